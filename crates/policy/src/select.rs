//! Which policies can apply at all, by their heads, so that Cedar evaluates those and no others.
//!
//! A policy whose head names another action, principal or resource is not applicable: it can neither permit, nor forbid, nor
//! err. Leaving it out changes no answer; a differential test over random policies holds that.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{ActionConstraint, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint};

use crate::PolicyError;

/// Most selections remembered; when they are more, all are forgotten.
const REMEMBERED_MAX: usize = 1_024;

/// Action, principal, resource.
type Head = (EntityUid, EntityUid, EntityUid);

/// The whole policy, and the part of it for each head asked about.
pub(crate) struct Selector {
    whole: PolicySet,
    parts: RwLock<HashMap<Head, Arc<PolicySet>>>,
}

impl Selector {
    pub(crate) fn new(whole: PolicySet) -> Self {
        Self { whole, parts: RwLock::default() }
    }

    pub(crate) fn whole(&self) -> &PolicySet {
        &self.whole
    }

    /// The policies that can apply to this head.
    pub(crate) fn part(
        &self,
        action: &EntityUid,
        principal: &EntityUid,
        resource: &EntityUid,
    ) -> Result<Arc<PolicySet>, PolicyError> {
        let head = (action.clone(), principal.clone(), resource.clone());
        if let Some(part) = self.parts.read().unwrap_or_else(PoisonError::into_inner).get(&head) {
            return Ok(Arc::clone(part));
        }
        let mut part = PolicySet::new();
        for policy in self.whole.policies() {
            let acts = match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(uid) => uid == *action,
                ActionConstraint::In(uids) => uids.contains(action),
            };
            // Groups are left to Cedar: only a name that is another one rules a policy out.
            let principal = !matches!(policy.principal_constraint(), PrincipalConstraint::Eq(uid) if uid != *principal);
            let resource = !matches!(policy.resource_constraint(), ResourceConstraint::Eq(uid) if uid != *resource);
            if acts && principal && resource {
                part.add(policy.clone()).map_err(|error| PolicyError::Evaluation(error.to_string()))?;
            }
        }
        let part = Arc::new(part);
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        if parts.len() >= REMEMBERED_MAX {
            parts.clear();
        }
        parts.insert(head, Arc::clone(&part));
        Ok(part)
    }
}
