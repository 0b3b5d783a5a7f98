//! Credentials from servers that give them, and logins that such servers lend for one run.
//!
//! The guard asks no server itself: a child does, which gets the secret that opens the server and no target. What is to be taken
//! back is written down before it is lent. If we crash here: the child takes it back when its pipe closes, and where it was
//! killed too, the next start does.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use artifact::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use vault::{Credential, Found, SecretInfo, Source, Vault};
use wire::broker::{Ask, BROKER_LIMIT, Broker, Give, OauthGrant, Told};
use wire::frame;
use wire::order::{CREDENTIAL_LIMIT, Go};
use zeroize::Zeroizing;

use crate::executors::{Deadline, ExecutorConfig, Waiting, start};

/// How long a server may take to give or to take back.
const LIMIT: Duration = Duration::from_secs(30);
/// How often what could not be taken back is tried again.
const AGAIN: Duration = Duration::from_mins(1);
/// Longest reference to a server, in bytes.
const REFERENCE_MAX: usize = 8 * 1024;
/// Folder of what is written down.
const LENT: &str = "lent";

/// Reads a reference to a server, as the operator stored it.
pub(crate) fn read(reference: &serde_json::Value) -> Result<Broker, String> {
    if reference.to_string().len() > REFERENCE_MAX {
        return Err("it is too long".to_owned());
    }
    let broker: Broker = serde_json::from_value(reference.clone()).map_err(|error| error.to_string())?;
    broker.check().map_err(str::to_owned)?;
    Ok(broker)
}

/// Whether asking may use up the secret, and bring another one.
const fn uses_up(broker: &Broker) -> bool {
    matches!(&broker.give, Give::Oauth { grant: OauthGrant::RefreshToken {}, .. })
}

/// A credential for one order. What was lent with it is taken back when it is dropped.
pub(crate) struct Lent {
    pub(crate) credential: Credential,
    /// It is the same the next time: it comes from the vault itself.
    pub(crate) lasts: bool,
    /// The secret that was used up by asking, as it is now.
    pub(crate) replaced: Option<SecretInfo>,
    lease: Option<Lease>,
}

impl Lent {
    /// One that the vault holds itself.
    pub(crate) fn kept(credential: Credential) -> Self {
        Self { lasts: true, ..credential.into() }
    }

    /// The server's name of the lease, for the log.
    pub(crate) fn lease(&self) -> Option<&str> {
        self.lease.as_ref().map(|lease| lease.id.as_str())
    }
}

impl From<Credential> for Lent {
    fn from(credential: Credential) -> Self {
        Self { credential, lasts: false, replaced: None, lease: None }
    }
}

struct Lease {
    id: String,
    child: Option<Waiting>,
    written: Written,
    brokers: Brokers,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        let (brokers, written) = (self.brokers.clone(), self.written.clone());
        // A person waits for the result, not for this.
        std::thread::spawn(move || {
            let mut child = child.close();
            let mut end = Deadline { from: &mut child.stdout, until: Instant::now() + LIMIT };
            let returned = matches!(frame::read(&mut end, BROKER_LIMIT), Ok(Told::Returned {}));
            drop(child);
            brokers.done(&written, returned);
        });
    }
}

/// What is written down while something is lent.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    at: Timestamp,
    broker: Broker,
    handle: String,
}

/// Those who ask servers.
#[derive(Clone)]
pub(crate) struct Brokers {
    config: ExecutorConfig,
    folder: PathBuf,
    vault: Arc<Mutex<Vault>>,
    /// Handles of what is lent by children of this process.
    lent: Arc<Mutex<BTreeSet<String>>>,
    /// One at a time: each answer replaces the secret that the next one needs.
    refreshing: Arc<Mutex<()>>,
}

impl Brokers {
    /// Those of the guard in `dir`. What an earlier one left lent is taken back in the background, and again until it is.
    pub(crate) fn new(dir: &Path, config: &ExecutorConfig, vault: &Arc<Mutex<Vault>>) -> io::Result<Self> {
        let folder = dir.join(LENT);
        fs::create_dir_all(&folder)?;
        let config = ExecutorConfig { arguments: vec!["broker".to_owned()], ..config.clone() };
        let vault = Arc::clone(vault);
        let brokers = Self { config, folder, vault, lent: Arc::default(), refreshing: Arc::default() };
        let again = brokers.clone();
        let alive = Arc::downgrade(&brokers.refreshing);
        std::thread::spawn(move || {
            loop {
                again.take_back_all();
                // The guard's own, and this one.
                if alive.strong_count() <= 1 {
                    return;
                }
                std::thread::sleep(AGAIN);
            }
        });
        Ok(brokers)
    }

    /// Asks a server for a credential, for a session that its own log may name.
    pub(crate) fn fetch(&self, broker: &Broker, session: &str) -> Result<Lent, String> {
        let turn = uses_up(broker).then(|| self.refreshing.lock().unwrap_or_else(PoisonError::into_inner));
        let mut child = self.ask(&Ask::Fetch { broker: broker.clone(), session: session.to_owned() }, broker)?;
        let until = Instant::now() + LIMIT;
        let mut written = None;
        loop {
            let told = frame::read::<Told>(&mut Deadline { from: &mut child.stdout, until }, BROKER_LIMIT);
            let step = self.step(told, broker, &mut child, &mut written, until);
            match step {
                Ok(None) => {}
                Ok(Some(mut lent)) => {
                    drop(turn);
                    if let Some(lease) = &mut lent.lease {
                        lease.child = Some(child);
                    }
                    return Ok(lent);
                }
                Err(detail) => {
                    if let Some(written) = written {
                        // It may have been lent. The child, if it lives, takes it back as well.
                        let brokers = self.clone();
                        std::thread::spawn(move || brokers.done(&written, false));
                    }
                    return Err(detail);
                }
            }
        }
    }

    /// One word of the child's. Something: the credential, its lease still without its child.
    fn step(
        &self,
        told: Result<Told, frame::FrameError>,
        broker: &Broker,
        child: &mut Waiting,
        written: &mut Option<Written>,
        until: Instant,
    ) -> Result<Option<Lent>, String> {
        let lost = |error: &dyn std::fmt::Display| format!("the credential's server was not asked to the end: {error}");
        match told.map_err(|error| lost(&error))? {
            Told::Announced { handle } if written.is_none() => {
                let one = Written { at: Timestamp::now(), broker: broker.clone(), handle };
                self.write(&one).map_err(|error| format!("what is lent cannot be written down: {error}"))?;
                *written = Some(one);
                frame::write(&mut child.stdin, &Go { commit: true }, 1024).map_err(|error| lost(&error))?;
                Ok(None)
            }
            Told::Given { lease, replaced }
                if lease.is_some() == written.is_some() && (!replaced || uses_up(broker)) =>
            {
                let mut reader = Deadline { from: &mut child.stdout, until };
                let credential = Credential::read_from(&mut reader).map_err(|error| lost(&error))?;
                let mut info = None;
                if replaced {
                    let secret = frame::read_bytes(&mut reader, CREDENTIAL_LIMIT).map(Zeroizing::new);
                    let secret = secret.map_err(|error| lost(&error))?;
                    // Durable before anything runs: the old one is worth nothing any more.
                    let mut vault = self.vault.lock().unwrap_or_else(PoisonError::into_inner);
                    let put = vault.put(&broker.secret, &secret, Timestamp::now());
                    info = Some(put.map_err(|error| format!("the secret's successor cannot be stored: {error}"))?);
                }
                let lease = lease.zip(written.take());
                let lease = lease.map(|(id, written)| Lease { id, child: None, written, brokers: self.clone() });
                Ok(Some(Lent { credential, lasts: false, replaced: info, lease }))
            }
            Told::Failed { detail } => Err(format!("the credential's server: {}", artifact::visible(&detail))),
            Told::Announced { .. } | Told::Given { .. } | Told::Returned {} => {
                Err("the credential's server was asked by a child that broke the protocol".to_owned())
            }
        }
    }

    fn ask(&self, ask: &Ask, broker: &Broker) -> Result<Waiting, String> {
        let found = self.vault.lock().unwrap_or_else(PoisonError::into_inner).credential(&broker.secret);
        let secret = match found.map_err(|error| error.to_string())? {
            Some(Found::Here(secret)) => secret,
            Some(Found::At(Source::Broker { .. })) => {
                return Err("what opens a server of credentials cannot come from another one".to_owned());
            }
            Some(Found::At(_)) if uses_up(broker) => {
                return Err("a refresh token has to be in the vault itself, where its successor is kept".to_owned());
            }
            Some(Found::At(source)) => source.fetch().map_err(|error| error.to_string())?,
            None => {
                return Err(format!(
                    "the vault has no `{}`, which opens the credential's server; store it with `wetink secret set`",
                    broker.secret
                ));
            }
        };
        let cannot = |error: &dyn std::fmt::Display| format!("the credential's server cannot be asked: {error}");
        let mut child = start(&self.config).map_err(|error| cannot(&error))?;
        frame::write(&mut child.stdin, ask, BROKER_LIMIT).map_err(|error| cannot(&error))?;
        secret.write_to(&mut child.stdin).map_err(|error| cannot(&error))?;
        child.stdin.flush().map_err(|error| cannot(&error))?;
        Ok(child)
    }

    fn file(&self, handle: &str) -> PathBuf {
        self.folder.join(Digest::of(handle.as_bytes()).hex())
    }

    /// Durable on return.
    fn write(&self, written: &Written) -> io::Result<()> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner).insert(written.handle.clone());
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.file(&written.handle))?;
        file.write_all(&serde_json::to_vec(written)?)?;
        file.sync_all()?;
        File::open(&self.folder)?.sync_all()
    }

    /// Nothing of this process holds it any more. Not returned: somebody else takes it back, now or later.
    fn done(&self, written: &Written, returned: bool) {
        let returned = returned || self.take_back(written);
        self.lent.lock().unwrap_or_else(PoisonError::into_inner).remove(&written.handle);
        if returned {
            // If we crash before this, it is taken back once more, which does nothing.
            let _ = fs::remove_file(self.file(&written.handle));
        }
    }

    fn take_back(&self, written: &Written) -> bool {
        let ask = Ask::TakeBack { broker: written.broker.clone(), handle: written.handle.clone() };
        let Ok(mut child) = self.ask(&ask, &written.broker) else { return false };
        let mut reader = Deadline { from: &mut child.stdout, until: Instant::now() + LIMIT };
        matches!(frame::read(&mut reader, BROKER_LIMIT), Ok(Told::Returned {}))
    }

    /// Takes back what nobody holds.
    fn take_back_all(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let mut bytes = Vec::new();
            let read = File::open(entry.path()).and_then(|file| file.take(64 * 1024).read_to_end(&mut bytes));
            // Cut off while it was written: nothing was lent yet.
            let Some(written) = read.ok().and_then(|_| serde_json::from_slice::<Written>(&bytes).ok()) else {
                continue;
            };
            let held = self.lent.lock().unwrap_or_else(PoisonError::into_inner).contains(&written.handle);
            if !held && self.take_back(&written) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
