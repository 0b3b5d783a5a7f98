//! Webhooks: whoever is named by the operator is told when a proposal changes its state.
//!
//! The log is the outbox. Each receiver has a position in it that is saved after each delivery, so after a crash delivery goes
//! on where it was: each change is told at least once, in order, and a change told twice carries the same id, by which the
//! receiver knows it. What is sent are facts and a link, never an artifact, a result or a button. The form is that of
//! Standard Webhooks (<https://www.standardwebhooks.com>), signature `v1`.

mod mail;
mod send;

use std::path::{Path, PathBuf};
use std::time::Duration;

use artifact::{Digest, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doors::agents::Status;
use doors::people::SignalView;
use lifecycle::log::Entry;
use lifecycle::{Ending, Event};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wire::socket::{Answer, Request};

use crate::convert::signal_view;
use crate::state::{Desk, DeskError};
use send::Sender;

/// Most receivers of one gateway.
const HOOKS_MAX: usize = 8;
/// Entries read at once.
const BATCH: u32 = 256;
/// How long one read waits for a first entry, in milliseconds.
const WAIT_MS: u32 = 20_000;
/// Waits between two attempts: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// After this long a change is given up, so that one dead receiver does not keep the past for ever.
const GIVEN_UP: Duration = Duration::from_hours(24);

/// A receiver.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// `https://` anywhere, `http://` on this machine.
    pub url: String,
    /// `whsec_` and 24 to 64 bytes in Base64; for mail the user's password, empty where there is no user.
    pub secret: String,
    /// Certificates that the receiver's chain may end at besides the usual ones, a PEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// In which form it is told.
    #[serde(default, skip_serializing_if = "Form::is_standard")]
    pub form: Form,
    /// Who writes to whom, for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailOf>,
}

/// Who writes to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailOf {
    /// The sender's address.
    pub from: String,
    /// The receiver's.
    pub to: String,
    /// Who signs in at the server, if anybody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// In which form a receiver is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Standard Webhooks: facts, signed.
    #[default]
    Standard,
    /// An incoming webhook of Slack, Mattermost and the like: one line with a link, and nothing to press. Whoever knows the
    /// address can write there, so it is a secret.
    Slack,
    /// A mail for each alert, and for nothing else.
    Mail,
}

impl Form {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls takes a reference")]
    fn is_standard(&self) -> bool {
        *self == Self::Standard
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The file of receivers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    webhook: Vec<Hook>,
}

/// Why a receiver or the file of them is not usable.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The address.
    #[error("`{0}` is no address for a webhook: https://HOST/PATH, or http:// on this machine")]
    Address(String),
    /// The secret.
    #[error("a webhook's secret is `whsec_` and 24 to 64 bytes in Base64")]
    Secret,
    /// A mailbox.
    #[error("`{0}` is no mail address")]
    Mailbox(String),
    /// Too many.
    #[error("there are {HOOKS_MAX} webhooks already; remove one first")]
    TooMany,
    /// There already, or not there.
    #[error("that address is {0} in the list")]
    Listed(&'static str),
    /// The certificates.
    #[error("the certificates in {0} cannot be read")]
    Certificates(PathBuf),
    /// The file.
    #[error("the list of webhooks cannot be read or written: {0}")]
    File(String),
}

/// The receivers in `file`; none if there is no file.
pub fn hooks(file: &Path) -> Result<Vec<Hook>, HookError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(HookError::File(error.to_string())),
    };
    let list: File = toml::from_str(&text).map_err(|error| HookError::File(error.message().to_owned()))?;
    if list.webhook.len() > HOOKS_MAX {
        return Err(HookError::TooMany);
    }
    Ok(list.webhook)
}

/// Adds a receiver and gives the secret it verifies with, which is shown this once.
pub fn add_hook(file: &Path, url: &str, ca_file: Option<PathBuf>, form: Form) -> Result<String, HookError> {
    let mut raw = [0; 32];
    aws_lc_rs::rand::fill(&mut raw).map_err(|_| HookError::Secret)?;
    let secret = format!("whsec_{}", STANDARD.encode(raw));
    add(file, Hook { url: url.to_owned(), secret: secret.clone(), ca_file, form, mail: None })?;
    Ok(secret)
}

/// Adds a mail server that alerts go out by; `password` is empty where nobody signs in there.
pub fn add_mail(
    file: &Path,
    url: &str,
    ca_file: Option<PathBuf>,
    mail: MailOf,
    password: String,
) -> Result<(), HookError> {
    add(file, Hook { url: url.to_owned(), secret: password, ca_file, form: Form::Mail, mail: Some(mail) })
}

fn add(file: &Path, hook: Hook) -> Result<(), HookError> {
    let mut list = hooks(file)?;
    if list.iter().any(|known| known.url == hook.url) {
        return Err(HookError::Listed("already"));
    }
    if list.len() >= HOOKS_MAX {
        return Err(HookError::TooMany);
    }
    Sender::new(&hook)?;
    list.push(hook);
    write(file, list)
}

/// Takes a receiver out.
pub fn remove_hook(file: &Path, url: &str) -> Result<(), HookError> {
    let mut list = hooks(file)?;
    let before = list.len();
    list.retain(|hook| hook.url != url);
    if list.len() == before {
        return Err(HookError::Listed("not"));
    }
    write(file, list)
}

/// If we crash here: the old list stands, and a file beside it that the next write replaces.
fn write(file: &Path, webhook: Vec<Hook>) -> Result<(), HookError> {
    let wrong = |error: std::io::Error| HookError::File(error.to_string());
    let text = toml::to_string(&File { webhook }).map_err(|error| HookError::File(error.to_string()))?;
    let beside = file.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    private(&beside).and_then(|mut out| std::io::Write::write_all(&mut out, text.as_bytes())).map_err(wrong)?;
    std::fs::rename(&beside, file).map_err(wrong)
}

fn private(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Serves every receiver for ever.
pub(crate) async fn serve(desk: Desk, hooks: Vec<Hook>) {
    let mut serving = tokio::task::JoinSet::new();
    for hook in hooks {
        match Sender::new(&hook) {
            Ok(sender) => _ = serving.spawn(follow(desk.clone(), sender)),
            Err(error) => tracing::warn!(%error, "a webhook is left out"),
        }
    }
    while serving.join_next().await.is_some() {}
}

async fn follow(desk: Desk, sender: Sender) {
    let place = Place::of(&desk, &sender);
    loop {
        if let Err(error) = next(&desk, &sender, &place).await {
            tracing::warn!(%error, "a webhook cannot follow the log; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn next(desk: &Desk, sender: &Sender, place: &Place) -> Result<(), DeskError> {
    let Some(from) = place.read() else {
        // A new receiver is told what happens from now on.
        place.write(*desk.inner.applied.borrow());
        return Ok(());
    };
    let request = Request::Read { from, limit: BATCH, wait_ms: WAIT_MS };
    let Answer::Entries { from: first, entries } = desk.inner.link.ask(&request).await? else {
        return Err(crate::link::LinkError::Protocol.into());
    };
    // Signals are drawn by the view, which may be a moment behind the log.
    let end = first + entries.len() as u64;
    desk.applied(end).await?;
    let mut signals = desk.view(move |store| store.signals_between(first, end)).await?.into_iter().peekable();
    let people_url = &desk.inner.config.people_url;
    for (logged, index) in entries.iter().zip(first..) {
        let mut told = false;
        if let Some(message) = message(&logged.entry, people_url) {
            deliver(sender, &sender.id(&index.to_string()), &message).await;
            told = true;
        }
        while let Some(row) = signals.next_if(|row| row.index == index) {
            let signal = signal_view(row);
            let id = sender.id(&format!("{index} {}", signal.signal));
            deliver(sender, &id, &alert(&signal, people_url)).await;
            told = true;
        }
        if told {
            place.write(index + 1);
        }
    }
    if !entries.is_empty() {
        place.write(first + entries.len() as u64);
    }
    Ok(())
}

/// Until it is taken, or a day has passed.
async fn deliver(sender: &Sender, id: &str, message: &Message) {
    let began = tokio::time::Instant::now();
    let mut pause = PAUSES.0;
    while let Err(why) = sender.send(id, Timestamp::now(), message).await {
        if began.elapsed() > GIVEN_UP {
            tracing::warn!(%id, why, "a webhook was given up");
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// What is told, in the two forms that receivers take.
pub(crate) struct Message {
    /// Facts, JSON.
    pub(crate) facts: String,
    /// One line and a link, for people.
    pub(crate) line: String,
    /// What a mail about it is called; none is sent without.
    pub(crate) subject: Option<String>,
}

/// What is told of a signal.
fn alert(signal: &SignalView, people_url: &str) -> Message {
    let link =
        signal.proposal.as_ref().map_or_else(|| format!("{people_url}/alerts"), |id| format!("{people_url}/r/{id}"));
    let facts = json!({
        "type": "signal.raised",
        "timestamp": signal.at,
        "data": {
            "signal": signal.signal,
            "agent": signal.agent,
            "person": signal.person,
            "task": signal.task,
            "target": signal.target,
            "proposal_id": signal.proposal,
            "review_url": link,
        },
    });
    // The signal's own words name tables and paths that an agent chose; they stay here.
    let line = format!("{} at {}: {}. {link}", signal.agent, signal.target, signal.signal);
    let subject = format!("Wetink alert: {} ({} at {})", signal.signal, signal.agent, signal.target);
    Message { facts: facts.to_string(), line, subject: Some(subject) }
}

/// What is told of an entry; none if no proposal changed its state by it.
fn message(entry: &str, people_url: &str) -> Option<Message> {
    let entry = Entry::parse(entry.as_bytes()).ok()?;
    let status = status_after(Event::of_entry(&entry)?)?;
    let proposal = entry.proposal.as_deref()?;
    let body = json!({
        "type": format!("proposal.{}", status.as_str()),
        "timestamp": entry.at,
        "data": {
            "proposal_id": proposal,
            "revision": entry.revision,
            "status": status,
            "task": entry.task,
            "target": entry.target,
            "review_url": format!("{people_url}/r/{proposal}"),
        },
    });
    let target = entry.target.as_deref().unwrap_or_default();
    let line = format!("{proposal} at {target} is {}. {people_url}/r/{proposal}", status.as_str());
    Some(Message { facts: body.to_string(), line, subject: None })
}

/// Where a proposal stands after an event that moved it on.
fn status_after(event: Event) -> Option<Status> {
    Some(match event {
        Event::Proposed { auto: false } => Status::Pending,
        Event::Proposed { auto: true } => Status::Approved,
        Event::Denied => Status::Denied,
        Event::ChangesRequested => Status::ChangesRequested,
        Event::Rejected => Status::Rejected,
        Event::Withdrawn => Status::Withdrawn,
        Event::Expired => Status::Expired,
        Event::Superseded => Status::Superseded,
        Event::Started => Status::Running,
        Event::Settled { ending: Ending::Ran, .. } => Status::Held,
        Event::Settled { ending: Ending::Stale, .. } => Status::Stale,
        Event::Settled { ending: Ending::Failed, .. } => Status::Failed,
        Event::Settled { ending: Ending::Unknown, .. } => Status::Unknown,
        Event::Released => Status::Released,
        Event::Opened | Event::Signed | Event::Committing | Event::Viewed | Event::Collected => return None,
    })
}

/// How far a receiver was told: the index of the next entry, in a file of its own beside the view.
struct Place(PathBuf);

impl Place {
    fn of(desk: &Desk, sender: &Sender) -> Self {
        let name = Digest::of(sender.url().as_bytes()).hex();
        Self(desk.inner.config.view.with_file_name(format!("webhook-{}.next", &name[..16])))
    }

    fn read(&self) -> Option<u64> {
        std::fs::read_to_string(&self.0).ok()?.trim().parse().ok()
    }

    /// Not synced: what is lost in a crash of the machine is told once more, under the same ids.
    fn write(&self, next: u64) {
        let beside = self.0.with_extension("new");
        let written = std::fs::write(&beside, next.to_string()).and_then(|()| std::fs::rename(&beside, &self.0));
        if let Err(error) = written {
            tracing::warn!(%error, "a webhook's place cannot be saved");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_private_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("webhooks.toml");
        assert_eq!(hooks(&file).unwrap(), []);
        let secret = add_hook(&file, "http://127.0.0.1:9/a", None, Form::Standard).unwrap();
        assert!(secret.starts_with("whsec_") && secret.len() > 40);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{:?}", hooks(&file).unwrap()).contains("whsec"));
        assert!(matches!(
            add_hook(&file, "http://127.0.0.1:9/a", None, Form::Standard),
            Err(HookError::Listed("already"))
        ));
        for bad in
            ["http://example.com/", "ftp://127.0.0.1/", "https://a@example.com/", "", "https://", "http://10.0.0.1/x"]
        {
            assert!(matches!(add_hook(&file, bad, None, Form::Standard), Err(HookError::Address(_))), "{bad}");
        }
        for n in 1..HOOKS_MAX {
            add_hook(&file, &format!("https://example.com/{n}"), None, Form::Slack).unwrap();
        }
        assert!(matches!(add_hook(&file, "https://example.com/more", None, Form::Standard), Err(HookError::TooMany)));
        remove_hook(&file, "http://127.0.0.1:9/a").unwrap();
        assert!(matches!(remove_hook(&file, "http://127.0.0.1:9/a"), Err(HookError::Listed("not"))));
        assert_eq!(hooks(&file).unwrap().len(), HOOKS_MAX - 1);
    }
}
