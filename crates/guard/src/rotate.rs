//! New passwords for targets' logins, and what is known of secrets.

use std::sync::PoisonError;
use std::time::Duration;

use artifact::Timestamp;
use vault::Found;
use wire::order::{Order, Report};
use wire::socket::{Answer, Refused, SecretView};
use wire::target::Rights;

use crate::guard::Guard;
use crate::run::{Refusal, refused};

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

    /// Names, versions, ages and who uses them.
    pub(crate) fn secrets(&self) -> Answer {
        let listed = self.vault.lock().unwrap_or_else(PoisonError::into_inner).list();
        let grants = self.read_grants();
        let users = |name: &str| {
            let using = grants.targets.values().filter(|target| target.credential.as_deref() == Some(name));
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
