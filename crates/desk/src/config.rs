use std::net::SocketAddr;
use std::path::PathBuf;

/// How a desk is set up. Checked before any port or file opens.
#[derive(Clone, Debug)]
pub struct DeskConfig {
    /// The guard's desk socket.
    pub guard_socket: PathBuf,
    /// The view's file; rebuilt from the log when absent.
    pub view: PathBuf,
    /// Where people's pages listen. Loopback unless a TLS proxy stands before it.
    pub people: SocketAddr,
    /// Where agents' door listens.
    pub agents: SocketAddr,
    /// How people reach their pages, e.g. `http://localhost:7117`. Passkeys are bound to its host.
    pub people_url: String,
    /// How agents reach their door, e.g. `http://localhost:7118`.
    pub agents_url: String,
    /// How long a proposal waits for a person, in seconds (at most 24 hours).
    pub pending_s: u64,
    /// How long a statement may be signed and run after it was made, in seconds.
    pub statement_s: u64,
    /// Most proposals of one session that may wait for a person.
    pub pending_max: u64,
    /// Most requests of one session a minute.
    pub requests_per_minute: u32,
    /// Who is told when a proposal changes its state.
    pub hooks: Vec<crate::Hook>,
    /// How the desk reaches what strangers name.
    pub outbound: crate::OutboundConfig,
    /// Where people may sign in besides with a key.
    pub oidc: Option<crate::OidcConfig>,
    /// The agents' door over TLS, besides the one on this machine.
    pub agents_tls: Option<intake::tls::TlsConfig>,
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting `{name}` is not usable: {why}")]
pub struct ConfigError {
    name: &'static str,
    why: &'static str,
}

impl DeskConfig {
    /// The usual settings on this machine.
    pub fn local(guard_socket: PathBuf, view: PathBuf, people: SocketAddr, agents: SocketAddr) -> Self {
        Self {
            guard_socket,
            view,
            people,
            agents,
            people_url: format!("http://localhost:{}", people.port()),
            agents_url: format!("http://localhost:{}", agents.port()),
            pending_s: 3600,
            statement_s: 900,
            pending_max: 20,
            requests_per_minute: 120,
            hooks: Vec::new(),
            outbound: crate::OutboundConfig::default(),
            oidc: None,
            agents_tls: None,
        }
    }

    /// Checks what can be checked before anything opens.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fail = |name, why| Err(ConfigError { name, why });
        if !self.people.ip().is_loopback() || !self.agents.ip().is_loopback() {
            return fail("listen", "this release serves plain HTTP, so it listens on loopback only");
        }
        if self.people == self.agents && self.people.port() != 0 {
            return fail("listen", "people and agents have listeners of their own; choose two ports");
        }
        if !(60..=86_400).contains(&self.pending_s) {
            return fail("pending", "a proposal waits between 60 seconds and 24 hours");
        }
        if !(30..=3_600).contains(&self.statement_s) {
            return fail("statement", "a statement lives between 30 seconds and one hour");
        }
        Ok(())
    }
}
