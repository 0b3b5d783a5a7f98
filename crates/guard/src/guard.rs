//! The trusted process: what it holds, and how it answers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use approve::statement::{GrantKey, SetPolicy, Statement};
use approve::{Nonce, PublicKey, sshsig};
use artifact::claim::{Signature, Signed};
use artifact::{Digest, Effect, ProposalId, RunId, TaskId, Timestamp};
use audit::entry::{Domain, Entry, EventKind};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledger::{Draft, GrantRow, Job, Keys, Ledger, LedgerError};
use release::{Held, MaskKey, ReleaseOrder};
use vault::{Found, KeySource, SecretInfo, Source, Vault, VaultError};
use wire::socket::{Answer, Content, LoggedEntry, NewEntry, Refused, Request};
use wire::target::Registration;

use crate::broker::{self, Brokers, Lent};
use crate::entries::{by_person, entry, open_content, plain};
use crate::executors::{ExecutorConfig, Executors};
use crate::floor::Floor;
use crate::grants::{GrantError, Grants, lasts};
use crate::look::HeldResult;
use crate::run::{Authority, Refusal, answer_refused, refused};
use crate::server::{Answerer, Door};
use crate::show;

/// Most entries in one request of the desk.
const APPEND_MAX: usize = 1024;
/// Longest wait of a read.
const WAIT_MAX_MS: u32 = 30_000;
/// How long the first key's enrollment statement lives: it is made and used in one step.
const ENROLL_S: u64 = 60;

/// How a guard is set up.
#[derive(Clone, Debug)]
pub struct GuardConfig {
    /// Its own folder: vault, ledger.
    pub dir: PathBuf,
    /// How executors are started.
    pub executor: ExecutorConfig,
    /// What nobody can go below.
    pub floor: Floor,
}

/// Why a guard does not start.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A stored grant does not verify.
    #[error("a grant in the ledger does not verify, so nothing is started: {0}")]
    Grant(String),
    /// The system's cryptography failed.
    #[error("the system's cryptography failed")]
    Crypto,
}

/// The guard.
pub struct Guard {
    pub(crate) ledger: Ledger,
    pub(crate) executors: Executors,
    pub(crate) grants: RwLock<Grants>,
    pub(crate) floor: Floor,
    pub(crate) vault: Arc<Mutex<Vault>>,
    brokers: Brokers,
    root: Ed25519KeyPair,
    /// Signs what services get along with requests, and nothing else.
    pub(crate) receipts: Ed25519KeyPair,
    enrollment: Digest,
    mask_key: zeroize::Zeroizing<[u8; 32]>,
}

/// The guard's own keys, from the vault.
struct OwnKeys {
    root: Ed25519KeyPair,
    root_line: String,
    receipts: Ed25519KeyPair,
    ledger: Keys,
    enroll: String,
    mask: zeroize::Zeroizing<[u8; 32]>,
    origin: String,
}

fn own_keys(vault: &mut Vault) -> Result<OwnKeys, GuardError> {
    let now = Timestamp::now();
    let pair = |seed: &[u8; 32]| Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| GuardError::Crypto);
    let root = pair(&*vault.own_key("root", now)?)?;
    let log = pair(&*vault.own_key("log", now)?)?;
    let receipts = pair(&*vault.own_key("receipts", now)?)?;
    let seal = *vault.own_key("seal", now)?;
    let mask = vault.own_key("mask", now)?;
    let enroll = format!("wte_{}", URL_SAFE_NO_PAD.encode(&vault.own_key("enroll", now)?[..]));
    let root_line = sshsig::ed25519_line(root.public_key().as_ref());
    let fingerprint = Digest::of(root_line.as_bytes());
    let origin = format!("wetink/{}", &fingerprint.hex()[..16]);
    Ok(OwnKeys { root, root_line, receipts, ledger: Keys { log, seal }, enroll, mask, origin })
}

fn root_claim(root: &Ed25519KeyPair, statement: String) -> Signed {
    let armored = sshsig::sign_ed25519(root, approve::NAMESPACE, statement.as_bytes());
    Signed { statement, batch: None, signatures: vec![Signature::Ssh { armored }] }
}

impl Guard {
    /// Sets a guard up: vault, keys, ledger with its first entry, and the first policy, signed by the new root.
    pub fn set_up(dir: &Path, key: &KeySource, policy_name: &str, policy_text: &str) -> Result<(), GuardError> {
        let mut vault = Vault::create(&dir.join("vault"), key)?;
        let keys = own_keys(&mut vault)?;
        let gateway = Digest::of(keys.root_line.as_bytes());
        let mut inception = entry(EventKind::Inception);
        inception.facts.insert("root".into(), keys.root_line);
        inception.facts.insert("origin".into(), keys.origin.clone());
        inception.digests.insert("gateway".into(), gateway);
        let ledger = Ledger::create(dir, &keys.origin, keys.ledger, plain(inception))?;
        let now = Timestamp::now();
        let policy = Digest::of(policy_text.as_bytes());
        let statement = SetPolicy {
            gateway,
            name: policy_name.to_owned(),
            policy,
            nonce: Nonce::random(),
            not_after: now.plus_seconds(ENROLL_S),
        };
        let statement = statement.to_text().map_err(|error| GuardError::Grant(error.to_string()))?;
        let claim = root_claim(&keys.root, statement);
        let mut set = entry(EventKind::PolicySet);
        set.facts.insert("name".into(), policy_name.to_owned());
        set.facts.insert("policy".into(), policy.to_string());
        let contents = vec![open_content("claim", claim_json(&claim)), open_content("attachment", policy_text)];
        let grant = GrantRow { claim, attachment: Some(policy_text.to_owned()) };
        ledger.append(Job { drafts: vec![Draft { entry: set, contents }], grant: Some(grant), ..Job::default() })?;
        Ok(())
    }

    /// Opens an existing guard: every grant is verified again, and runs that a crash left open are settled.
    pub fn open(config: GuardConfig, key: &KeySource) -> Result<Arc<Self>, GuardError> {
        let mut vault = Vault::open(&config.dir.join("vault"), key)?;
        let keys = own_keys(&mut vault)?;
        let ledger = Ledger::open(&config.dir, &keys.origin, keys.ledger)?;
        let mut grants = Grants::new(&keys.root_line).map_err(|error| GuardError::Grant(error.to_string()))?;
        let switches = ledger.switches()?;
        // Grants and switches are two ordered lists; a `resumed` is a grant too, and only counts for what was stopped before.
        for (_, switch) in &switches {
            let stopped = switch.facts.get("scope").filter(|_| switch.event == EventKind::Stopped);
            if let Some(scope) = stopped.filter(|scope| lasts(scope)) {
                grants.stopped.insert(scope.clone());
            }
        }
        let still_stopped = stopped_after(&switches);
        for stored in ledger.grants()? {
            let applied = grants.apply(&stored.claim, stored.attachment.as_deref(), stored.at);
            match applied {
                // What was resumed before the last stop is not stopped any more; the switches say what holds now.
                Ok(_) | Err(GrantError::Attachment("that is not stopped")) => {}
                Err(error) => return Err(GuardError::Grant(error.to_string())),
            }
        }
        grants.stopped = still_stopped;
        let vault = Arc::new(Mutex::new(vault));
        let brokers = Brokers::new(&config.dir, &config.executor, &vault).map_err(VaultError::Io)?;
        let guard = Self {
            brokers,
            executors: Executors::new(config.executor),
            ledger,
            grants: RwLock::new(grants),
            floor: config.floor,
            vault,
            root: keys.root,
            receipts: keys.receipts,
            enrollment: Digest::of(keys.enroll.as_bytes()),
            mask_key: keys.mask,
        };
        guard.recover()?;
        Ok(Arc::new(guard))
    }

    /// The one-time enrollment token, while no key is granted.
    pub fn enrollment_token(&self) -> Option<String> {
        if !self.read_grants().trust.keys().is_empty() {
            return None;
        }
        let mut vault = self.vault.lock().unwrap_or_else(PoisonError::into_inner);
        let key = vault.own_key("enroll", Timestamp::now()).ok()?;
        Some(format!("wte_{}", URL_SAFE_NO_PAD.encode(&key[..])))
    }

    /// Fingerprint of the root.
    pub fn gateway(&self) -> Digest {
        self.read_grants().trust.gateway()
    }

    pub(crate) fn read_grants(&self) -> std::sync::RwLockReadGuard<'_, Grants> {
        self.grants.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn masks(&self, task: &str) -> MaskKey {
        MaskKey::for_task(&self.mask_key, task)
    }

    /// The credential of a target, for a session that the log of whoever gives it may name; none for those that need none.
    pub(crate) fn credential(&self, target: &Registration, session: &str) -> Result<Option<Lent>, String> {
        let Some(name) = &target.credential else { return Ok(None) };
        let found = self.vault.lock().unwrap_or_else(PoisonError::into_inner).credential(name);
        match found {
            Ok(Some(Found::Here(credential))) => Ok(Some(Lent::kept(credential))),
            Ok(Some(Found::At(Source::Broker { broker }))) => {
                let mut lent = self.brokers.fetch(&broker::read(&broker)?, session)?;
                if let Some(info) = lent.replaced.take() {
                    // Used up or not, what is lent with it goes back when this is dropped.
                    self.stored(Ok(info), Some("broker"))
                        .map_err(|_| "the log does not take the secret's successor")?;
                }
                Ok(Some(lent))
            }
            Ok(Some(Found::At(source))) => {
                source.fetch().map(|credential| Some(credential.into())).map_err(|error| error.to_string())
            }
            Ok(None) => Err(format!(
                "the vault has no credential `{}`; store it with `wetink secret set`",
                artifact::visible(name)
            )),
            Err(error) => Err(error.to_string()),
        }
    }

    fn hello(&self) -> Answer {
        Answer::Hello {
            gateway: self.gateway(),
            log_key: self.ledger.verifier().to_string(),
            size: self.ledger.size(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn append(&self, entries: Vec<NewEntry>) -> Answer {
        if entries.is_empty() || entries.len() > APPEND_MAX {
            return answer_refused(Refused::Malformed, "between 1 and 1024 entries at once");
        }
        let mut drafts = Vec::with_capacity(entries.len());
        for new in entries {
            let entry: Entry = match serde_json::from_value(new.entry) {
                Ok(entry) => entry,
                Err(error) => return answer_refused(Refused::Malformed, error.to_string()),
            };
            // INVARIANT: the desk speaks under its own name, and never of what only the guard can know.
            if entry.v != 1
                || entry.domain != Domain::Desk
                || entry.event.is_guards()
                || is_grant(entry.event)
                || !entry.contents.is_empty()
            {
                return answer_refused(Refused::NotPermitted, "the desk may not log this event");
            }
            let mut stamped = entry;
            stamped.at = Timestamp::now();
            let contents = new.contents.into_iter().map(|c| open_content(&c.name, c.text)).collect();
            drafts.push(Draft { entry: stamped, contents });
        }
        match self.ledger.append(Job { drafts, ..Job::default() }) {
            Ok(first) => Answer::Appended { first },
            Err(error @ LedgerError::Audit(_)) => answer_refused(Refused::Malformed, error.to_string()),
            Err(error) => answer_refused(Refused::LedgerFailed, error.to_string()),
        }
    }

    fn read(&self, from: u64, limit: u32, wait_ms: u32) -> Answer {
        self.ledger.wait(from, Duration::from_millis(u64::from(wait_ms.min(WAIT_MAX_MS))));
        match self.ledger.read(from, limit) {
            Ok(logged) => {
                let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
                let entries = logged.into_iter().map(|l| LoggedEntry {
                    entry: text(l.body),
                    contents: l.contents.into_iter().map(|(name, bytes)| Content { name, text: text(bytes) }).collect(),
                });
                Answer::Entries { from, entries: entries.collect() }
            }
            Err(error) => answer_refused(Refused::LedgerFailed, error.to_string()),
        }
    }

    fn registry(&self) -> Answer {
        let used = |task: TaskId| self.ledger.task_use(&task.to_string()).unwrap_or(u64::MAX);
        let mut registry = self.read_grants().registry(self.ledger.size(), Timestamp::now(), used);
        registry.receipt_key = sshsig::ed25519_line(self.receipts.public_key().as_ref());
        Answer::Registry { registry }
    }

    fn release(&self, claim: &Signed) -> Result<Answer, Refusal> {
        let now = Timestamp::now();
        let not_approved = |error: approve::Refused| refused(Refused::NotApproved, error.to_string());
        let statement = self.read_grants().trust.read(claim, now).map_err(not_approved)?;
        let Statement::Release(statement) = statement else { return Err(not_approved(approve::Refused::WrongForm)) };
        let run = statement.run;
        let HeldResult { history, settled, json } = self.result_of(run)?;
        if history.iter().any(|(_, e)| e.event == EventKind::Released) {
            return Err(refused(Refused::AlreadySpent, "this result was released before"));
        }
        let affected = settled.facts.get("affected").and_then(|n| n.parse().ok()).unwrap_or(0);
        let held =
            Held::new(run, &json, affected).map_err(|error| refused(Refused::LedgerFailed, error.to_string()))?;
        let order = ReleaseOrder::verify(claim, &self.read_grants().trust, &held, now).map_err(not_approved)?;
        let mut base = settled;
        base.event = EventKind::Released;
        base.at = now;
        base.facts.clear();
        base.digests.clear();
        base.contents.clear();
        let mut draft = self.released_draft(base, held, order)?;
        draft.contents.push(open_content("claim", claim_json(claim)));
        let released =
            draft.contents.iter().find(|c| c.name == "released").map(|c| c.bytes.clone()).unwrap_or_default();
        // One release a run: whichever of two statements comes second finds this spent.
        let spend = Some(format!("release-{run}"));
        match self.ledger.append(Job { drafts: vec![draft], spend, ..Job::default() }) {
            Ok(_) => Ok(Answer::Released { released: String::from_utf8(released).unwrap_or_default() }),
            Err(LedgerError::AlreadySpent) => Err(refused(Refused::AlreadySpent, "this result was released before")),
            Err(error) => Err(refused(Refused::LedgerFailed, error.to_string())),
        }
    }

    fn grant(&self, claim: &Signed, attachment: Option<String>) -> Result<Answer, Refusal> {
        let mut grants = self.grants.write().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now();
        let applied = grants
            .apply(claim, attachment.as_deref(), now)
            .map_err(|error| refused(Refused::NotApproved, error.to_string()))?;
        let mut entry = by_person(applied.event, &applied.people.join(", "));
        if applied.people.is_empty() {
            entry.actor = crate::entries::entry(applied.event).actor;
        }
        entry.at = now;
        entry.task = applied.task.map(|t| t.to_string());
        entry.target = applied.target;
        entry.facts = applied.facts.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        entry.digests.insert("statement".into(), Digest::of(claim.statement.as_bytes()));
        let mut contents = vec![open_content("claim", claim_json(claim))];
        contents.extend(attachment.as_deref().map(|text| open_content("attachment", text)));
        let grant = GrantRow { claim: claim.clone(), attachment };
        let drafts = vec![Draft { entry, contents }];
        let job = Job { drafts, spend: Some(applied.nonce), grant: Some(grant), ..Job::default() };
        match self.ledger.append(job) {
            Ok(index) => Ok(Answer::Done { index }),
            Err(error) => {
                let answer = match &error {
                    LedgerError::AlreadySpent => refused(Refused::AlreadySpent, "this statement was used before"),
                    other => refused(Refused::LedgerFailed, other.to_string()),
                };
                // The memory is ahead of the log now. Reading the log again is the one way back that cannot be wrong.
                self.reload(&mut grants);
                Err(answer)
            }
        }
    }

    fn reload(&self, grants: &mut Grants) {
        let root = sshsig::ed25519_line(self.root.public_key().as_ref());
        let Ok(mut fresh) = Grants::new(&root) else { return };
        let (Ok(stored), Ok(switches)) = (self.ledger.grants(), self.ledger.switches()) else { return };
        fresh.stopped = switches.iter().filter_map(|(_, e)| e.facts.get("scope").cloned()).collect();
        for grant in stored {
            let _ = fresh.apply(&grant.claim, grant.attachment.as_deref(), grant.at);
        }
        fresh.stopped = stopped_after(&switches);
        *grants = fresh;
    }

    fn enroll_first(&self, token: &str, person: &str, key: &str) -> Result<Answer, Refusal> {
        // Digests are compared, so the time it takes says nothing about the token.
        if Digest::of(token.as_bytes()) != self.enrollment {
            return Err(refused(Refused::NotPermitted, "the enrollment token is wrong"));
        }
        if !self.read_grants().trust.keys().is_empty() {
            return Err(refused(
                Refused::NotPermitted,
                "the first key is enrolled already; an admin grants further ones",
            ));
        }
        let key = PublicKey::parse(key).map_err(|error| refused(Refused::Malformed, error.to_string()))?;
        let grant = GrantKey {
            gateway: self.gateway(),
            person: person.to_owned(),
            key: key.to_string(),
            roles: "admin,reviewer".into(),
            nonce: Nonce::random(),
            not_after: Timestamp::now().plus_seconds(ENROLL_S),
        };
        let statement = grant.to_text().map_err(|error| refused(Refused::Malformed, error.to_string()))?;
        self.grant(&root_claim(&self.root, statement), None)
    }

    fn stop(&self, scope: &str, by: &str) -> Result<Answer, Refusal> {
        let known = scope == "all"
            || ["task:", "target:", "agent:", "person:", "proposal:"]
                .iter()
                .any(|p| scope.len() > p.len() && scope.starts_with(p));
        if !known || scope.len() > 255 || scope.chars().any(artifact::has_hidden) {
            return Err(refused(
                Refused::Malformed,
                "stop takes all, task:ID, target:NAME, agent:NAME, person:NAME or proposal:ID",
            ));
        }
        // In memory first: it holds from this instant, whatever becomes of the log.
        self.grants.write().unwrap_or_else(PoisonError::into_inner).stopped.insert(scope.to_owned());
        let mut stopped = by_person(EventKind::Stopped, &by.chars().take(200).collect::<String>());
        stopped.facts.insert("scope".into(), scope.to_owned());
        match self.ledger.append(Job { drafts: vec![plain(stopped)], ..Job::default() }) {
            Ok(index) => Ok(Answer::Done { index }),
            Err(error) => Err(refused(
                Refused::LedgerFailed,
                format!("it is stopped until the guard ends, but could not be logged: {error}"),
            )),
        }
    }

    fn show(&self, proposal: ProposalId, revision: u32) -> Result<Answer, Refusal> {
        let failed = |error: LedgerError| refused(Refused::LedgerFailed, error.to_string());
        let history = self.ledger.of_proposal(&proposal.to_string()).map_err(failed)?;
        let handed_in = history
            .iter()
            .find(|(_, e)| e.revision == Some(revision) && matches!(e.event, EventKind::Proposed | EventKind::Denied));
        let (_, handed_in) = handed_in.ok_or_else(|| refused(Refused::Unknown, "the guard has no such proposal"))?;
        let content = |name: &str| {
            self.ledger.content_of(handed_in, name).map_err(failed).map(|c| c.and_then(|b| String::from_utf8(b).ok()))
        };
        let (Some(artifact), Some(effect)) = (content("artifact")?, content("effect")?) else {
            return Err(refused(Refused::Unknown, "its contents are erased"));
        };
        let effect: Effect =
            serde_json::from_str(&effect).map_err(|_| refused(Refused::Malformed, "its effect is not readable"))?;
        let grants = self.read_grants();
        let target = handed_in.target.as_ref().and_then(|t| grants.targets.get(t));
        Ok(Answer::Text { text: show::render(&proposal.to_string(), revision, target, &artifact, &effect) })
    }

    fn receipt(&self, run: RunId) -> Result<Answer, Refusal> {
        let failed = |error: LedgerError| refused(Refused::LedgerFailed, error.to_string());
        let history = self.ledger.of_run(&run.to_string()).map_err(failed)?;
        let (_, first) = history.first().ok_or_else(|| refused(Refused::Unknown, "there is no such run"))?;
        let mut indices: Vec<u64> = history.iter().map(|(i, _)| *i).collect();
        if let Some(proposal) = &first.proposal {
            let about = self.ledger.of_proposal(proposal).map_err(failed)?;
            indices.extend(
                about
                    .iter()
                    .filter(|(_, e)| e.event == EventKind::Proposed && e.revision == first.revision)
                    .map(|(i, _)| *i),
            );
        }
        let note = self.ledger.checkpoint().map_err(failed)?;
        let receipt = audit::Receipt::build(&indices, &note, &self.ledger.without_held()).map_err(failed)?;
        let text =
            serde_json::to_string(&receipt).map_err(|error| refused(Refused::LedgerFailed, error.to_string()))?;
        Ok(Answer::Text { text })
    }

    fn store_secret(&self, name: &str, value: &str) -> Result<Answer, Refusal> {
        let info =
            self.vault.lock().unwrap_or_else(PoisonError::into_inner).put(name, value.as_bytes(), Timestamp::now());
        self.stored(info, None)
    }

    fn refer_secret(&self, name: &str, source: &str) -> Result<Answer, Refusal> {
        let malformed = |error: String| refused(Refused::Malformed, error);
        let source: Source = serde_json::from_str(source).map_err(|_| malformed("that is no source".to_owned()))?;
        source.check().map_err(|error| malformed(error.to_string()))?;
        if let Source::Broker { broker } = &source {
            broker::read(broker).map_err(|error| malformed(format!("that is no server of credentials: {error}")))?;
        }
        let info = self.vault.lock().unwrap_or_else(PoisonError::into_inner).refer(name, &source, Timestamp::now());
        self.stored(info, Some(source.kind()))
    }

    /// Logs what was stored, and from where it comes.
    pub(crate) fn stored(&self, info: Result<SecretInfo, VaultError>, from: Option<&str>) -> Result<Answer, Refusal> {
        let info = info.map_err(|error| refused(Refused::Malformed, error.to_string()))?;
        self.executors.forget(&info.name);
        let mut stored = entry(EventKind::SecretStored);
        if let Some(from) = from {
            stored.facts.insert("from".into(), from.to_owned());
        }
        stored.facts.insert("name".into(), info.name);
        stored.facts.insert("version".into(), info.version.to_string());
        match self.ledger.append(Job { drafts: vec![plain(stored)], ..Job::default() }) {
            Ok(index) => Ok(Answer::Done { index }),
            Err(error) => Err(refused(Refused::LedgerFailed, error.to_string())),
        }
    }

    fn export(&self, folder: &str) -> Result<Answer, Refusal> {
        let folder = Path::new(folder);
        if !folder.is_absolute() {
            return Err(refused(Refused::Malformed, "give the folder's full path"));
        }
        match self.ledger.export(folder) {
            Ok(entries) => Ok(Answer::Done { index: entries }),
            Err(error) => Err(refused(Refused::LedgerFailed, error.to_string())),
        }
    }
}

/// Grants come by signed statements only, never as the desk's own entries.
fn is_grant(event: EventKind) -> bool {
    matches!(
        event,
        EventKind::KeyGranted
            | EventKind::KeyRevoked
            | EventKind::TargetGranted
            | EventKind::TargetRemoved
            | EventKind::TaskOpened
            | EventKind::TaskClosed
            | EventKind::PolicySet
            | EventKind::SecretStored
            | EventKind::Stopped
            | EventKind::Resumed
            | EventKind::Viewed
            | EventKind::Erased
            | EventKind::Approved
    )
}

fn stopped_after(switches: &[(u64, Entry)]) -> std::collections::BTreeSet<String> {
    let mut stopped = std::collections::BTreeSet::new();
    for (_, switch) in switches {
        if let Some(scope) = switch.facts.get("scope").filter(|scope| lasts(scope)) {
            match switch.event {
                EventKind::Stopped => _ = stopped.insert(scope.clone()),
                _ => _ = stopped.remove(scope),
            }
        }
    }
    stopped
}

fn claim_json(claim: &Signed) -> String {
    // Strings only; it cannot fail.
    serde_json::to_string(claim).unwrap_or_default()
}

impl Answerer for Guard {
    fn answer(&self, door: Door, request: Request) -> Answer {
        let result = match request {
            Request::Hello {} => Ok(self.hello()),
            Request::Append { entries } => Ok(self.append(entries)),
            Request::Read { from, limit, wait_ms } => Ok(self.read(from, limit, wait_ms)),
            Request::Registry {} => Ok(self.registry()),
            Request::Catalog { target } => self.catalog(&target),
            Request::Preview { proposed, sample, task } => self.preview(proposed, sample, task),
            Request::Undo { run, person } => self.undo(run, &person),
            Request::Run { claim, proposed } => Ok(self.run(&Authority::Claim(&claim), proposed)),
            Request::RunUnderTask { task, proposed } => Ok(self.run(&Authority::Task(task), proposed)),
            Request::Peek { run, person } => self.peek(run, &person),
            Request::Release { claim } => self.release(&claim),
            Request::Grant { claim, attachment } => self.grant(&claim, attachment),
            Request::EnrollFirst { token, person, key } => self.enroll_first(&token, &person, &key),
            Request::Stop { scope, by } => self.stop(&scope, &by),
            Request::Show { proposal, revision } => self.show(proposal, revision),
            Request::Checkpoint {} => match self.ledger.checkpoint() {
                Ok(text) => Ok(Answer::Text { text }),
                Err(error) => Err(refused(Refused::LedgerFailed, error.to_string())),
            },
            Request::Receipt { run } => self.receipt(run),
            Request::Export { folder } if door == Door::Operator => self.export(&folder),
            Request::StoreSecret { name, value } if door == Door::Operator => self.store_secret(&name, &value.0),
            Request::ReferSecret { name, source } if door == Door::Operator => self.refer_secret(&name, &source),
            Request::RotateSecret { target } if door == Door::Operator => self.rotate(&target),
            Request::Secrets {} if door == Door::Operator => Ok(self.secrets()),
            Request::Export { .. }
            | Request::StoreSecret { .. }
            | Request::ReferSecret { .. }
            | Request::RotateSecret { .. }
            | Request::Secrets {} => Err(refused(Refused::NotPermitted, "this is for the operator's socket only")),
        };
        result.unwrap_or_else(Answer::from)
    }
}
