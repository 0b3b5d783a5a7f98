//! A person at a terminal: sign in, look, sign.

use std::io::{IsTerminal, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use artifact::claim::{Signature, Signed};
use desk::api::{LoggedIn, Login, LoginChallenge};
use doors::people::{GrantRequest, GrantToSign, Overview, SignedGrant};

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::sign;

/// Where and how this terminal works.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    /// Address of the people's door.
    pub(crate) server: String,
    /// The gateway's folder on this machine.
    pub(crate) home: PathBuf,
    /// Key named on the command line.
    pub(crate) key: Option<PathBuf>,
    /// Machine-readable output.
    pub(crate) json: bool,
    /// No remarks.
    pub(crate) quiet: bool,
}

impl Terminal {
    fn session_file(&self) -> PathBuf {
        self.home.join("terminal-session")
    }

    /// A remark for people, on standard error.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet && !self.json {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Prints JSON as it is, or the plain text.
    pub(crate) fn print(&self, value: &impl serde::Serialize, plain: impl FnOnce() -> String) -> Result<()> {
        let text = if self.json { serde_json::to_string(value)? } else { plain() };
        let mut out = std::io::stdout();
        // A reader that went away (`| head`) is no error.
        let _ = out
            .write_all(text.as_bytes())
            .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
        Ok(())
    }

    /// A signed-in client; signs in when the stored session is over.
    pub(crate) async fn sign_in(&self) -> Result<Client> {
        if let Ok(token) = std::fs::read_to_string(self.session_file()) {
            let client = Client::new(&self.server, Some(token.trim().to_owned()))?;
            if client.get::<serde_json::Value>("/api/v1/person").await.is_ok() {
                return Ok(client);
            }
        }
        let open = Client::new(&self.server, None)?;
        let challenge: LoginChallenge = open.post("/api/v1/login/challenge", &serde_json::json!({})).await?;
        let key = sign::find_key(self.key.as_deref())?;
        self.say(&format!("Signing in with {} …", key.display()));
        let signature = sign::sign(&challenge.text, sign::LOGIN, &key)?;
        let logged_in: LoggedIn = open.post("/api/v1/login", &Login { id: challenge.id, signature }).await?;
        write_private(&self.session_file(), logged_in.token.0.as_bytes())?;
        Client::new(&self.server, Some(logged_in.token.0))
    }

    /// Refuses to sign unless a person sits at this terminal.
    pub(crate) fn needs_person(&self, what: &str) -> Result<()> {
        if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            return Ok(());
        }
        Err(Failure::of(
            Exit::Usage,
            format!(
                "{what} needs a person: run it in a terminal with a security key or SSH key, or open {}",
                self.server
            ),
        ))
    }

    /// Asks one line on the terminal.
    pub(crate) fn ask(prompt: &str) -> Result<String> {
        eprint!("{prompt}");
        let _ = std::io::stderr().flush();
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line)? == 0 {
            return Err(Failure::of(Exit::Usage, "no answer; nothing was done"));
        }
        Ok(line.trim().to_owned())
    }

    /// Signs a statement that is shown in full first.
    pub(crate) fn sign_shown(&self, statement: &str) -> Result<Signed> {
        let key = sign::find_key(self.key.as_deref())?;
        eprintln!("\n{}", indent(&artifact::visible(statement)));
        eprintln!("Signing exactly this with {}. Touch your key if it blinks …", key.display());
        let signature: Signature = sign::sign(statement, sign::APPROVAL, &key)?;
        Ok(Signed { statement: statement.to_owned(), batch: None, signatures: vec![signature] })
    }

    /// Asks the desk for a statement, shows it, signs it, hands it to the guard.
    pub(crate) async fn grant(&self, client: &Client, request: GrantRequest) -> Result<String> {
        self.needs_person("granting")?;
        let overview: Overview = client.get("/api/v1/overview").await?;
        let to_sign: GrantToSign = client.post("/api/v1/grant-statement", &request).await?;
        // The statement names this gateway, or it is for somebody else.
        if !to_sign.statement.contains(&format!("\ngateway: {}\n", overview.gateway)) {
            return Err(Failure::of(Exit::Unverified, "the statement is for another gateway; nothing was signed"));
        }
        if let Some(attachment) = &to_sign.attachment {
            eprintln!("{}\n", indent(&artifact::visible(attachment)));
            let digest = artifact::Digest::of(attachment.as_bytes()).to_string();
            if !to_sign.statement.contains(&digest) {
                return Err(Failure::of(
                    Exit::Unverified,
                    "the statement does not name what is shown; nothing was signed",
                ));
            }
        }
        let claim = self.sign_shown(&to_sign.statement)?;
        let grant = SignedGrant { claim, attachment: to_sign.attachment };
        client.post::<serde_json::Value>("/api/v1/grants", &grant).await?;
        Ok(to_sign.statement)
    }
}

/// The value of a line of a statement.
pub(crate) fn line<'a>(statement: &'a str, name: &str) -> Option<&'a str> {
    statement.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub(crate) fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// Writes a file that only this user can read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(())
}
