//! New passwords for targets' logins, and what is known of secrets.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use artifact::Timestamp;
use audit::entry::EventKind;
use ledger::Job;
use vault::Found;
use wire::order::{Order, Report};
use wire::socket::{Answer, Refused, SecretView};
use wire::target::Rights;

use crate::entries::{entry, plain};
use crate::guard::Guard;
use crate::run::{Refusal, refused};

/// How often ages are looked at, at the least often.
const LOOK: Duration = Duration::from_mins(10);
/// What is due and could not be changed is tried, and told, again after this.
const AGAIN: Duration = Duration::from_hours(24);
/// How long it may take.
const LIMIT: Duration = Duration::from_secs(30);

impl Guard {
    /// Has a child give the target's login a new password.
    ///
    /// The new one is durable before the server hears of it. If we crash in between, the login has one of the two, the vault both,
    /// and asking once more finds out which.
    pub(crate) fn rotate(&self, name: &str) -> Result<Answer, Refusal> {
        let target = self.target(name)?;
        let (Some(secret), true) =
            (target.credential.as_deref(), target.rights().is_some_and(|rights| rights != Rights::Leased))
        else {
            return Err(refused(Refused::Malformed, "that target has no login whose password could be changed"));
        };
        let now = Timestamp::now();
        let failed = |error: &dyn std::fmt::Display| refused(Refused::TargetFailed, error.to_string());
        let both = {
            let mut vault = self.vault.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok(Some(Found::Here(old))) = vault.credential(secret) else {
                return Err(refused(
                    Refused::Malformed,
                    "its credential is not in the vault, so it is changed where it is",
                ));
            };
            let next = vault.successor(secret, now).map_err(|error| failed(&error))?;
            old.followed_by(&next).map_err(|error| failed(&error))?
        };
        let order = Order::Rotate { target: target.clone() };
        let report = self.executors.run(&order, (Some(&both), false), LIMIT, &mut |_, _| false);
        match report.map_err(|error| failed(&error))? {
            Report::Resolved { status: Some(status) } if status == "rotated" => {}
            Report::Failed { detail, .. } => return Err(failed(&detail)),
            _ => return Err(failed(&"the executor broke the protocol")),
        }
        let info = self.vault.lock().unwrap_or_else(PoisonError::into_inner).promote(secret, now);
        self.stored(info, Some("rotation"))
    }

    /// Looks after the age of credentials, as registrations ask for it, as long as the guard is there.
    pub fn look_after_ages(guard: &Arc<Self>) -> std::io::Result<()> {
        let guard: Weak<Self> = Arc::downgrade(guard);
        let watch = move || {
            let mut tried = HashMap::new();
            while let Some(guard) = guard.upgrade() {
                let next = guard.look_at_ages(&mut tried);
                drop(guard);
                std::thread::sleep(next);
            }
        };
        std::thread::Builder::new().name("ages".into()).spawn(watch).map(|_| ())
    }

    /// Changes what is due, or says so in the log. Answers when to look again.
    fn look_at_ages(&self, tried: &mut HashMap<(String, String), Instant>) -> Duration {
        let (mut due, mut next) = (Vec::new(), LOOK);
        let listed = self.vault.lock().unwrap_or_else(PoisonError::into_inner).list();
        {
            let grants = self.read_grants();
            for target in grants.targets.values() {
                let Some(after) = target.rotate_after_s else { continue };
                next = next.min(Duration::from_secs(after));
                for info in listed.iter().filter(|info| target.uses(&info.name)) {
                    let age_s = Timestamp::now().millis_since(info.stored_at) / 1000;
                    let about = (target.name.clone(), info.name.clone());
                    let lately = tried.get(&about).is_some_and(|at| at.elapsed() < AGAIN);
                    if age_s >= after && !lately && !grants.is_stopped(&[], None, &target.name, None) {
                        // A person's own is theirs to change.
                        due.push((about, target.credential_of.is_none(), info.clone(), age_s));
                    }
                }
            }
        }
        for (about, ours, info, age_s) in due {
            if ours && self.rotate(&about.0).is_ok() {
                tried.remove(&about);
                continue;
            }
            tried.insert(about.clone(), Instant::now());
            let mut overdue = entry(EventKind::SecretOverdue);
            overdue.target = Some(about.0);
            overdue.facts.insert("name".into(), info.name);
            overdue.facts.insert("version".into(), info.version.to_string());
            overdue.facts.insert("age_s".into(), age_s.to_string());
            // A ledger that takes nothing more says so to everybody who asks for anything.
            let _ = self.ledger.append(Job { drafts: vec![plain(overdue)], ..Job::default() });
        }
        next
    }

    /// Names, versions, ages and who uses them.
    pub(crate) fn secrets(&self) -> Answer {
        let listed = self.vault.lock().unwrap_or_else(PoisonError::into_inner).list();
        let grants = self.read_grants();
        let users = |name: &str| {
            let using = grants.targets.values().filter(|target| target.uses(name));
            using.map(|target| target.name.clone()).collect()
        };
        let view = |info: vault::SecretInfo| SecretView {
            targets: users(&info.name),
            name: info.name,
            version: info.version,
            stored_at: info.stored_at,
            refers: info.refers,
        };
        Answer::Secrets { secrets: listed.into_iter().map(view).collect() }
    }
}
