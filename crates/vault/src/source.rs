//! Where a credential is fetched from at the moment it is used, for those that the vault does not hold itself.
//!
//! Only the operator names sources. Whatever goes wrong is told without a byte of what was read.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Credential;
use crate::credential::CREDENTIAL_MAX;

/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(10);

/// Where a credential is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A file, absolute path, that nobody but its owner and its group may read.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// A variable of the guard's own environment.
    Variable {
        /// Its name.
        name: String,
    },
    /// A credential that systemd gave the guard's service (systemd.exec, `LoadCredential=`).
    Systemd {
        /// Its name.
        name: String,
    },
    /// A server that gives credentials: which, and what it is asked for. The guard has a child of its own ask it.
    Broker {
        /// As the guard reads it.
        broker: serde_json::Value,
    },
    /// What a program prints, e.g. the command-line client of a password manager or of a vault.
    Command {
        /// Absolute path and arguments.
        command: Vec<String>,
    },
}

/// Why a credential could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source is not usable as it is named.
    #[error("the source is not usable: {0}")]
    Unusable(&'static str),
    /// The file cannot be read.
    #[error("the credential's file cannot be read: {0}")]
    File(io::Error),
    /// Others can read the file.
    #[error("others can read the credential's file; make it private (chmod 640 or less)")]
    Open,
    /// There is no such variable or credential.
    #[error("there is no {0} of that name in the guard's environment")]
    Absent(&'static str),
    /// The command cannot be run.
    #[error("the credential's command cannot be run: {0}")]
    Command(io::Error),
    /// The command failed.
    #[error("the credential's command {0}")]
    Failed(&'static str),
    /// Nothing, or more than a credential may be.
    #[error("the source gave nothing, or more than 64 KiB")]
    Size,
}

impl Source {
    /// Its kind, for lists and the log.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Variable { .. } => "variable",
            Self::Systemd { .. } => "systemd",
            Self::Broker { .. } => "broker",
            Self::Command { .. } => "command",
        }
    }

    /// Checks what can be checked without fetching.
    pub fn check(&self) -> Result<(), SourceError> {
        let bad = |why| Err(SourceError::Unusable(why));
        let name_ok = |name: &str| {
            !name.is_empty()
                && name.len() <= 200
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        match self {
            Self::File { path } if !path.is_absolute() => bad("give the file's whole path"),
            Self::Variable { name } | Self::Systemd { name } if !name_ok(name) || name.starts_with('.') => {
                bad("a name has letters, digits, `-`, `_` and `.`")
            }
            Self::Command { command } => match command.first() {
                Some(program) if Path::new(program).is_absolute() && command.len() <= 50 => Ok(()),
                _ => bad("give the program's whole path, and at most 50 words"),
            },
            _ => Ok(()),
        }
    }

    /// Fetches it. May take as long as the command does; no lock should be held meanwhile.
    pub fn fetch(&self) -> Result<Credential, SourceError> {
        self.check()?;
        let mut bytes = match self {
            Self::File { path } => file(path, true)?,
            Self::Variable { name } => {
                let value = std::env::var_os(name).ok_or(SourceError::Absent("variable"))?;
                Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value))
            }
            Self::Systemd { name } => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(SourceError::Absent("credential"))?;
                // systemd sees to it that nobody else reads there.
                file(&Path::new(&folder).join(name), false)?
            }
            Self::Broker { .. } => return Err(SourceError::Unusable("a server is asked by a child of the guard's")),
            Self::Command { command } => printed(command)?,
        };
        // The line end that editors and printing programs add.
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        if bytes.is_empty() || bytes.len() > CREDENTIAL_MAX {
            return Err(SourceError::Size);
        }
        Ok(Credential::new(bytes))
    }
}

fn file(path: &Path, private: bool) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let file = File::open(path).map_err(SourceError::File)?;
    let about = file.metadata().map_err(SourceError::File)?;
    if !about.is_file() {
        return Err(SourceError::Unusable("it is no file"));
    }
    if private && about.mode() & 0o007 != 0 {
        return Err(SourceError::Open);
    }
    bounded(file).map_err(SourceError::File)
}

/// At most one byte more than a credential may have.
fn bounded(from: impl io::Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Once, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(CREDENTIAL_MAX + 2));
    from.take(CREDENTIAL_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn printed(command: &[String]) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let Some((program, arguments)) = command.split_first() else { return Err(SourceError::Unusable("no program")) };
    let mut start = Command::new(program);
    start.args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8");
    if let Some(home) = std::env::var_os("HOME") {
        start.env("HOME", home);
    }
    start.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = start.spawn().map_err(SourceError::Command)?;
    let Some(stdout) = child.stdout.take() else { return Err(SourceError::Failed("has no output")) };
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || send.send(bounded(stdout)));
    let until = Instant::now() + COMMAND;
    let read = receive.recv_timeout(COMMAND);
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < until && read.is_ok() => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    match (ended, read) {
        (Some(status), Ok(Ok(bytes))) if status.success() => Ok(bytes),
        (None, _) => Err(SourceError::Failed("took longer than ten seconds")),
        _ => Err(SourceError::Failed("failed; run it by hand as the guard's user to see why")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn fetched(source: &Source) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        source.fetch().map_err(|error| error.to_string())?.write_to(&mut out).unwrap();
        Ok(out[4..].to_vec())
    }

    fn command(words: &[&str]) -> Source {
        Source::Command { command: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    #[test]
    fn a_credential_comes_from_where_it_is_and_nothing_of_it_into_errors() {
        let path = std::env::temp_dir().join(format!("wetink-source-{}", std::process::id()));
        let file = Source::File { path: path.clone() };
        assert!(fetched(&file).unwrap_err().contains("cannot be read"));
        std::fs::write(&path, "hunter2-secret\r\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(fetched(&file).unwrap(), b"hunter2-secret");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = fetched(&file).unwrap_err();
        assert!(error.contains("others can read") && !error.contains("hunter2"), "{error}");
        std::fs::write(&path, vec![b'x'; CREDENTIAL_MAX + 1]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(fetched(&file).is_err());
        std::fs::write(&path, "\n").unwrap();
        assert!(fetched(&file).is_err());
        std::fs::remove_file(&path).unwrap();

        assert_eq!(fetched(&command(&["/bin/echo", "from-a-program"])).unwrap(), b"from-a-program");
        let error = fetched(&command(&["/bin/sh", "-c", "echo hunter2; exit 3"])).unwrap_err();
        assert!(error.contains("failed") && !error.contains("hunter2"), "{error}");
        assert!(fetched(&command(&["/bin/cat", "/dev/zero"])).is_err());
        // No environment of the guard's reaches it.
        assert_eq!(fetched(&command(&["/bin/sh", "-c", "echo \"x$CARGO\""])).unwrap(), b"x");
        for bad in [
            command(&["echo"]),
            command(&[]),
            Source::File { path: "relative".into() },
            Source::Systemd { name: "../x".into() },
            Source::Variable { name: String::new() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        assert!(fetched(&Source::Variable { name: "WETINK_NO_SUCH".into() }).unwrap_err().contains("no variable"));
        assert!(fetched(&Source::Systemd { name: "x".into() }).is_err());
    }
}
