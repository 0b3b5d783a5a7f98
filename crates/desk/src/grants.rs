//! Statements that grant something: written here, signed by a person, verified and applied by the guard.

use artifact::{Digest, TaskId, Timestamp};
use doors::people::{GrantRequest, GrantToSign, PersonError, SignedGrant};
use lifecycle::{Pack, Policy, statement};
use wire::socket::{Answer, Request};
use wire::whose::OF;

use crate::link::LinkError;
use crate::people::person_error;
use crate::state::{Desk, DeskError};

/// Longest task, in minutes (30 days).
const TASK_MINUTES_MAX: u32 = 30 * 24 * 60;

impl Desk {
    pub(crate) async fn grant_to_sign(&self, request: GrantRequest) -> Result<GrantToSign, PersonError> {
        let gateway = self.inner.gateway;
        let now = Timestamp::now();
        let until = now.plus_seconds(self.inner.config.statement_s);
        let malformed = |why: String| person_error("malformed", why);
        let mut attachment = None;
        let statement = match request {
            GrantRequest::Key { person, key, roles } => statement::key(gateway, &person, &key, &roles, until),
            GrantRequest::RevokeKey { fingerprint } => Ok(statement::revoke_key(gateway, fingerprint, until)),
            GrantRequest::Target { registration } => {
                if registration.credential.as_deref().is_some_and(|name| name.contains(OF)) {
                    return Err(malformed("It names a person's own credential, which is nobody else's.".to_owned()));
                }
                registration.check().map_err(|error| malformed(format!("{error}.")))?;
                // A digest of exactly the text that travels beside the statement.
                let text =
                    artifact::canonical::to_vec(&registration).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let text = text.ok_or_else(|| malformed("The registration has no canonical form.".to_owned()))?;
                let digest = Digest::of(text.as_bytes());
                attachment = Some(text);
                statement::target(gateway, &registration.name, digest, until)
            }
            GrantRequest::Task {
                title,
                agent,
                target,
                task_type,
                may,
                never,
                functions,
                rows_per_run,
                rows_total,
                auto_reads,
                minutes,
            } => {
                if !(1..=TASK_MINUTES_MAX).contains(&minutes) {
                    return Err(malformed("A task lives between 1 minute and 30 days.".to_owned()));
                }
                let registry = self.fresh_registry().await?;
                let found = registry.targets.iter().find(|t| t.registration.name == target);
                let found = found.ok_or_else(|| {
                    person_error("not_found", "There is no target of that name. `wetink target list` names them.")
                })?;
                statement::task(&statement::ForTask {
                    gateway,
                    task: TaskId::random(),
                    title: &title,
                    agent: &agent,
                    target: &target,
                    target_fingerprint: found.fingerprint,
                    task_type: task_type.as_deref(),
                    may: &may,
                    never: &never,
                    functions: &functions,
                    rows_per_run,
                    rows_total,
                    auto_reads,
                    // The statement's own end is the task's end.
                    not_after: now.plus_seconds(u64::from(minutes) * 60),
                })
            }
            GrantRequest::CloseTask { task } => Ok(statement::close_task(gateway, task, until)),
            GrantRequest::Policy { pack } => {
                let pack: Pack = pack.parse().map_err(|error| malformed(format!("{error}.")))?;
                attachment = Some(pack.text().to_owned());
                statement::policy(gateway, pack.as_str(), Digest::of(pack.text().as_bytes()), until)
            }
            GrantRequest::OwnPolicy { name, text } => {
                let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
                if !(1..=40).contains(&name.len()) || !name.chars().all(known) {
                    return Err(malformed(
                        "A policy's name has 1 to 40 lowercase letters, digits, `-` or `_`.".to_owned(),
                    ));
                }
                Policy::load(&text).map_err(|error| malformed(format!("{error}.")))?;
                let digest = Digest::of(text.as_bytes());
                attachment = Some(text);
                statement::policy(gateway, &name, digest, until)
            }
            GrantRequest::Resume { scope } => statement::resume(gateway, &scope, until),
        };
        Ok(GrantToSign { statement: statement.map_err(malformed)?, attachment })
    }

    pub(crate) async fn carry_grant(&self, grant: SignedGrant) -> Result<(), PersonError> {
        let request = Request::Grant { claim: grant.claim, attachment: grant.attachment };
        match self.inner.link.ask(&request).await.map_err(DeskError::from)? {
            Answer::Done { index } => {
                self.applied(index + 1).await?;
                self.end_sessions_without_key().await
            }
            _ => Err(DeskError::from(LinkError::Protocol).into()),
        }
    }

    /// Whoever has no key left has no session left.
    async fn end_sessions_without_key(&self) -> Result<(), PersonError> {
        let registry = self.fresh_registry().await?;
        for key in registry.keys.iter().filter(|k| k.revoked_at.is_some()) {
            if !registry.keys.iter().any(|k| k.person == key.person && k.revoked_at.is_none()) {
                self.inner.signins.end_all(&key.person);
            }
        }
        Ok(())
    }
}
