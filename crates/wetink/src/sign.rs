//! Signing in a terminal: OpenSSH's own signer, so that agents, passphrases and security keys work as people know them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use artifact::claim::Signature;

use crate::exit::{Exit, Failure};

/// Namespace of approval and grant signatures (PROTOCOL.sshsig section 3).
pub(crate) const APPROVAL: &str = "wetink-approval@v1";
/// Namespace of sign-in signatures.
pub(crate) const LOGIN: &str = "wetink-login@v1";

/// Signs `text` with an OpenSSH key: a key file, or a `.pub` file whose private half is in ssh-agent or on a security key.
pub(crate) fn sign(text: &str, namespace: &str, key: &Path) -> Result<Signature> {
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|_| Failure::of(Exit::Error, "ssh-keygen is not installed; install openssh-client"))?;
    child.stdin.take().context("ssh-keygen has no input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(Failure::of(
            Exit::Error,
            format!("ssh-keygen did not sign with {}; nothing was sent", key.display()),
        ));
    }
    Ok(Signature::Ssh { armored: String::from_utf8(output.stdout).context("ssh-keygen wrote something unreadable")? })
}

/// The key to sign with: the one named, or the first usual one in `~/.ssh`.
pub(crate) fn find_key(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        if path.exists() {
            return Ok(path.to_owned());
        }
        return Err(Failure::of(Exit::Usage, format!("there is no key {}; name one with --key", path.display())));
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let usual = ["id_ed25519_sk", "id_ecdsa_sk", "id_ed25519", "id_ecdsa"];
    let found = usual.iter().map(|name| home.join(".ssh").join(name)).find(|path| path.exists());
    found.ok_or_else(|| {
        Failure::of(Exit::Usage, "no SSH key found in ~/.ssh; make one with `ssh-keygen -t ed25519-sk` (or -t ed25519), or name one with --key")
    })
}

/// The one-line public key beside a private one.
pub(crate) fn public_line(key: &Path) -> Result<String> {
    let mut path = key.as_os_str().to_owned();
    if key.extension().is_none_or(|e| e != "pub") {
        path.push(".pub");
    }
    let path = PathBuf::from(path);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(blob)) => Ok(format!("{kind} {blob}")),
        _ => Err(Failure::of(Exit::Usage, format!("{} is not a public key", path.display()))),
    }
}
