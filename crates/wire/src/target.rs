//! A target's registration: what a person signed when they let Wetink reach it.

use std::collections::BTreeMap;

use artifact::{Digest, Effect, Kind, canonical};
use serde::{Deserialize, Serialize};

/// A registered target. Its fingerprint (SHA-256 of the canonical JSON) stands in every approval statement, so a target
/// that is registered anew makes older approvals void.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Short name: lowercase letters, digits, `-`, `_`; at most 40 characters.
    pub name: String,
    /// Where it is and how it is reached.
    pub address: Address,
    /// `prod`, `staging`, `dev` or the like; shown in words beside the target.
    pub environment: String,
    /// The role or login the run is attributed to at the target. `owner` for SQLite.
    pub run_as: String,
    /// Name of the credential in the guard's vault; none for targets that need none (SQLite).
    pub credential: Option<String>,
    /// Longest a statement may run, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Most rows returned by one run; more are cut off and counted.
    pub result_rows_max: u64,
    /// Labels of columns, `relation.column` to `personal`, `health`, `secret`; what is absent is `plain`.
    pub labels: BTreeMap<String, String>,
    /// Who must sign here. The guard holds every approval against it, whatever policy or desk say.
    #[serde(default, skip_serializing_if = "Approvals::is_default")]
    pub approvals: Approvals,
}

/// Who must sign a run at a target, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// Different people, 1 to 10.
    pub quorum: u32,
    /// True: the person who opened the task does not count among them (separation of duties).
    pub not_requester: bool,
}

impl Default for Approvals {
    fn default() -> Self {
        Self { quorum: 1, not_requester: false }
    }
}

impl Approvals {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls takes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a target is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Address {
    /// A SQLite file.
    Sqlite {
        /// Absolute path.
        path: String,
    },
    /// A PostgreSQL database.
    Postgresql {
        /// Host name, IP address, or the absolute path of a Unix socket's directory.
        host: String,
        /// TCP port (or the number in the socket's name).
        port: u16,
        /// Database.
        database: String,
        /// Login role: low-privilege, or a member of `mirror` only, or one that mints (see `rights`).
        login: String,
        /// With which rights a run meets the database.
        rights: Rights,
        /// The person's role to switch to after login (`SET ROLE`), so that row-level security holds.
        mirror: Option<String>,
        /// Whether TLS is used: `disable` (Unix sockets, loopback), `require` (verified against the system's roots or `ca_file`).
        tls: Tls,
        /// Extra root certificate, absolute path of a PEM file.
        ca_file: Option<String>,
        /// `search_path` set for every run.
        search_path: Vec<String>,
    },
    /// A MariaDB or MySQL database.
    Mariadb {
        /// Host name, IP address, or the absolute path of a Unix socket.
        host: String,
        /// TCP port.
        port: u16,
        /// Database, where unqualified names are looked up.
        database: String,
        /// Login: low-privilege, or one that mints (see `rights`).
        login: String,
        /// With which rights a run meets the database.
        rights: Rights,
        /// Whether TLS is used.
        tls: Tls,
        /// Extra root certificate, absolute path of a PEM file.
        ca_file: Option<String>,
    },
    /// A service that takes HTTP requests.
    Http {
        /// Scheme, host and maybe port: `https://api.example`; `http` on this machine only. Requests name the path.
        origin: String,
        /// Methods and patterns of paths that may be sent, e.g. `GET /v1/**`. Nothing else is.
        requests: Vec<String>,
        /// Header that the credential goes into, lower case, e.g. `authorization`.
        credential_header: Option<String>,
        /// What stands before the credential in that header, e.g. `Bearer `.
        credential_prefix: String,
        /// True: the host may have a private address.
        private: bool,
        /// Extra root certificate, absolute path of a PEM file.
        ca_file: Option<String>,
    },
}

/// Where requests go, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// TLS or not.
    pub secure: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// As the `Host` header names it.
    pub authority: String,
}

impl Origin {
    /// Reads `https://host[:port]`, or `http://` on this machine; nothing before and behind it.
    pub fn read(origin: &str) -> Option<Self> {
        let (secure, authority) = match origin.split_once("://")? {
            ("https", authority) => (true, authority),
            ("http", authority) => (false, authority),
            _ => return None,
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':').map_or_else(|| port.is_empty().then_some(None), |port| Some(Some(port)))?)
        } else {
            let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            if host.is_empty() || !host.bytes().all(plain) || host.starts_with(['-', '.']) || host.ends_with('.') {
                return None;
            }
            (host, port)
        };
        let port = match port {
            Some(text) => text.parse::<u16>().ok().filter(|port| *port > 0 && port.to_string() == text)?,
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
        };
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        // Numbers in other spellings (octal, one number for all) mean different hosts to different readers.
        let number = host.split('.').next_back().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
        let odd = number && host.parse::<std::net::Ipv4Addr>().is_err();
        (!odd && (secure || here)).then(|| Self {
            secure,
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
        })
    }
}

/// With which rights a run meets a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// Those of the login, or of the mirrored role: whatever was granted to it before.
    Login,
    /// A role minted for the one run, with exactly the grants of the signed effect (or as a member of the mirrored role
    /// only), dropped afterwards. The login needs CREATEROLE, and the relations' rights with grant option.
    Minted,
    /// Minted where the login may mint. Where it may not, the effect has to say so ([`Effect::unminted`]), and the run has the
    /// login's rights.
    MintedIfPossible,
}

/// TLS to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// No TLS: only for Unix sockets and loopback.
    Disable,
    /// TLS with a verified certificate and host name.
    Require,
}

/// A registration that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The name has other characters or another length than allowed.
    #[error("target name `{0}` is not accepted; use 1 to 40 lowercase letters, digits, `-` or `_`")]
    Name(String),
    /// Not an absolute path.
    #[error("path `{0}` is not absolute; give the full path")]
    Path(String),
    /// TLS is off for a host that is neither loopback nor a socket.
    #[error("TLS is off for host `{0}`, which is not on this machine; use tls=require")]
    PlainText(String),
    /// A limit is zero or beyond what the guard allows.
    #[error("{0} must lie between 1 and {1}")]
    Limit(&'static str, u64),
    /// A text field is empty, too long or holds hidden characters.
    #[error("{0} is empty, longer than 255 characters, or holds control characters")]
    Text(&'static str),
}

/// How a server is reached: TLS unless it is on this machine.
fn server(host: &str, port: u16, tls: Tls, ca_file: Option<&str>) -> Result<(), RegistrationError> {
    if port == 0 {
        return Err(RegistrationError::Limit("port", 65_535));
    }
    if let Some(path) = ca_file.filter(|p| !p.starts_with('/')) {
        return Err(RegistrationError::Path(path.to_owned()));
    }
    let local = host.starts_with('/') || ["localhost", "127.0.0.1", "::1"].contains(&host);
    if tls == Tls::Disable && !local { Err(RegistrationError::PlainText(host.to_owned())) } else { Ok(()) }
}

impl Registration {
    /// Most rows any run may return.
    pub const RESULT_ROWS_LIMIT: u64 = 10_000;
    /// Longest statement time-out in milliseconds.
    pub const STATEMENT_TIMEOUT_LIMIT_MS: u64 = 300_000;

    /// Checks what can be checked without reaching the target.
    pub fn check(&self) -> Result<(), RegistrationError> {
        let name_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(name_ok) {
            let shown = self.name.chars().take(40).map(artifact::visible_char).collect();
            return Err(RegistrationError::Name(shown));
        }
        let text = |what: &'static str, value: &str| {
            let bad = value.is_empty()
                || value.len() > 255
                || value.chars().any(|c| artifact::has_hidden(c) || c == '\n' || c == '\t');
            if bad { Err(RegistrationError::Text(what)) } else { Ok(()) }
        };
        text("environment", &self.environment)?;
        text("run-as", &self.run_as)?;
        self.credential.as_deref().map_or(Ok(()), |c| text("credential", c))?;
        for (column, label) in &self.labels {
            text("label", column)?;
            text("label", label)?;
        }
        if self.statement_timeout_ms == 0 || self.statement_timeout_ms > Self::STATEMENT_TIMEOUT_LIMIT_MS {
            return Err(RegistrationError::Limit(
                "statement timeout in milliseconds",
                Self::STATEMENT_TIMEOUT_LIMIT_MS,
            ));
        }
        if self.result_rows_max == 0 || self.result_rows_max > Self::RESULT_ROWS_LIMIT {
            return Err(RegistrationError::Limit("most rows of a result", Self::RESULT_ROWS_LIMIT));
        }
        if !(1..=10).contains(&self.approvals.quorum) {
            return Err(RegistrationError::Limit("people who must sign", 10));
        }
        match &self.address {
            Address::Sqlite { path } => {
                text("path", path)?;
                if path.starts_with('/') { Ok(()) } else { Err(RegistrationError::Path(path.clone())) }
            }
            Address::Postgresql { host, port, database, login, mirror, tls, ca_file, search_path, rights: _ } => {
                mirror.as_deref().map_or(Ok(()), |m| text("mirror", m))?;
                search_path.iter().try_for_each(|s| text("search path", s))?;
                text("database", database)?;
                text("login", login)?;
                text("host", host)?;
                server(host, *port, *tls, ca_file.as_deref())
            }
            Address::Http { origin, requests, credential_header, credential_prefix, private: _, ca_file } => {
                text("origin", origin)?;
                Origin::read(origin).ok_or(RegistrationError::Text("origin"))?;
                let unusable = requests.is_empty() || requests.len() > 200;
                if unusable || requests.iter().any(|rule| artifact::request::rule(rule).is_none()) {
                    return Err(RegistrationError::Text("request"));
                }
                let token = |name: &String| {
                    name.len() <= 100
                        && !name.is_empty()
                        && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit())
                };
                let framing = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"];
                if credential_header.as_ref().is_some_and(|name| !token(name) || framing.contains(&name.as_str())) {
                    return Err(RegistrationError::Text("credential header"));
                }
                if credential_prefix.len() > 40 || !credential_prefix.bytes().all(|b| (b' '..=b'~').contains(&b)) {
                    return Err(RegistrationError::Text("credential prefix"));
                }
                match ca_file {
                    Some(file) if !file.starts_with('/') => Err(RegistrationError::Path(file.clone())),
                    _ => Ok(()),
                }
            }
            Address::Mariadb { host, port, database, login, tls, ca_file, rights: _ } => {
                text("database", database)?;
                text("login", login)?;
                text("host", host)?;
                server(host, *port, *tls, ca_file.as_deref())
            }
        }
    }

    /// The kind of artifact this target runs.
    pub fn kind(&self) -> Kind {
        match self.address {
            Address::Sqlite { .. } => Kind::SqlSqlite,
            Address::Postgresql { .. } => Kind::SqlPostgresql,
            Address::Mariadb { .. } => Kind::SqlMariadb,
            Address::Http { .. } => Kind::Http,
        }
    }

    /// With which rights a run meets the target; none for targets without logins.
    pub const fn rights(&self) -> Option<Rights> {
        match &self.address {
            Address::Sqlite { .. } | Address::Http { .. } => None,
            Address::Postgresql { rights, .. } | Address::Mariadb { rights, .. } => Some(*rights),
        }
    }

    /// The target as a run with this signed effect meets it: whether anything is minted is settled.
    #[must_use]
    pub fn settled(&self, effect: &Effect) -> Self {
        let mut settled = self.clone();
        if let Address::Postgresql { rights, .. } | Address::Mariadb { rights, .. } = &mut settled.address
            && *rights == Rights::MintedIfPossible
        {
            *rights = if effect.unminted { Rights::Login } else { Rights::Minted };
        }
        settled
    }

    /// Methods and patterns of paths that may be sent; none for targets that take no requests.
    pub fn requests(&self) -> &[String] {
        match &self.address {
            Address::Http { requests, .. } => requests,
            _ => &[],
        }
    }

    /// SHA-256 of the canonical JSON.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&canonical::to_vec(self).unwrap_or_default())
    }

    /// The label of `relation.column`; `plain` if none is registered.
    pub fn label(&self, relation: &str, column: &str) -> &str {
        self.labels.get(&format!("{relation}.{column}")).map_or("plain", String::as_str)
    }
}
