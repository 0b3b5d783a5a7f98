#[cfg(test)]
mod faults;

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use artifact::Digest;
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Request,
    RestrictedExpression, Schema, ValidationMode, Validator,
};

use crate::decision::{Question, Rule};
use crate::select::Selector;

/// Longest policy text in bytes.
const TEXT_MAX: usize = 256 * 1024;
/// Most people a policy may ask for.
const QUORUM_MAX: u32 = 10;

/// A policy that parsed and fits the schema.
pub struct Policy {
    selector: Selector,
    types: Types,
    schema: Schema,
    authorizer: Authorizer,
    digest: Digest,
}

/// Why a policy was not accepted, or could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than 256 KiB.
    #[error("the policy has {0} bytes, the limit is 262144")]
    TooLarge(usize),
    /// Not Cedar.
    #[error("the policy does not parse: {0}")]
    Syntax(String),
    /// Speaks of what the schema does not know.
    #[error("the policy does not fit the schema: {0}")]
    Schema(String),
    /// An annotation that the gateway reads has a value it cannot use.
    #[error("annotation `{0}` of the policy is not usable; see the shipped packs for its form")]
    Annotation(&'static str),
    /// Evaluation failed, so the answer is deny.
    #[error("the policy could not be evaluated, so the answer is deny: {0}")]
    Evaluation(String),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Run,
    Ask,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    Permit { rules: Vec<Rule>, quorum: u32, arm: bool, apart: bool },
    Forbid { rules: Vec<Rule> },
    Nothing,
}

/// Names of the schema, parsed once.
struct Types {
    agent: EntityTypeName,
    person: EntityTypeName,
    task: EntityTypeName,
    target: EntityTypeName,
    run: EntityUid,
    ask: EntityUid,
}

impl Types {
    fn new() -> Result<Self, PolicyError> {
        let name = |kind: &str| EntityTypeName::from_str(kind).map_err(|e| PolicyError::Schema(e.to_string()));
        let action = |id: &str| Ok(EntityUid::from_type_name_and_id(name("Action")?, EntityId::new(id)));
        Ok(Self {
            agent: name("Agent")?,
            person: name("Person")?,
            task: name("Task")?,
            target: name("Target")?,
            run: action("run")?,
            ask: action("ask")?,
        })
    }
}

/// A question in Cedar's form.
struct Case {
    agent: EntityUid,
    target: EntityUid,
    context: Context,
    entities: Entities,
}

/// A policy and a question to it.
pub(crate) struct About<'a> {
    policy: &'a Policy,
    case: Case,
}

impl About<'_> {
    pub(crate) fn ask(&self, act: Act) -> Result<Answered, PolicyError> {
        self.policy.ask(act, &self.case, false)
    }

    /// The same by every policy there is: what [`ask`](Self::ask) has to agree with.
    #[cfg(test)]
    pub(crate) fn ask_whole(&self, act: Act) -> Result<Answered, PolicyError> {
        self.policy.ask(act, &self.case, true)
    }
}

impl Policy {
    /// Parses and validates a Cedar text against the shipped schema.
    pub fn load(text: &str) -> Result<Self, PolicyError> {
        if text.len() > TEXT_MAX {
            return Err(PolicyError::TooLarge(text.len()));
        }
        let schema = Schema::from_cedarschema_str(include_str!("../../../policies/schema.cedarschema"))
            .map_err(|error| PolicyError::Schema(error.to_string()))?
            .0;
        let set = PolicySet::from_str(text).map_err(|error| PolicyError::Syntax(error.to_string()))?;
        let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        if let Some(error) = result.validation_errors().next() {
            return Err(PolicyError::Schema(error.to_string()));
        }
        let mut ids = HashSet::new();
        for policy in set.policies() {
            let id = policy.annotation("id").unwrap_or_default();
            if !id.is_empty() && !ids.insert(id.to_owned()) {
                return Err(PolicyError::Annotation("id"));
            }
            quorum(policy.annotation("quorum"))?;
            arm(policy.annotation("arm"))?;
            apart(policy.annotation("not"))?;
        }
        Ok(Self {
            selector: Selector::new(set),
            types: Types::new()?,
            schema,
            authorizer: Authorizer::new(),
            digest: Digest::of(text.as_bytes()),
        })
    }

    /// SHA-256 of the text: what statements name as `policy`.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Entities and context of a question, made once for both actions. Held against the schema each time: a value of another type
    /// would not err in a condition, it would only be unequal, and a rule that forbids would forbid nothing.
    fn case(&self, q: &Question<'_>) -> Result<Case, PolicyError> {
        let failed = |error: &dyn std::fmt::Display| PolicyError::Evaluation(error.to_string());
        let uid =
            |kind: &EntityTypeName, name: &str| EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name));
        let (agent, person) = (uid(&self.types.agent, q.agent), uid(&self.types.person, q.person));
        let (task, target) = (uid(&self.types.task, q.task), uid(&self.types.target, q.target));
        let text = |t: &str| RestrictedExpression::new_string(t.to_owned());
        let set = |items: &[String]| RestrictedExpression::new_set(items.iter().map(|i| text(i)));
        let reference = |uid: &EntityUid| RestrictedExpression::new_entity_uid(uid.clone());
        let entity = |uid: EntityUid, attributes: Vec<(&str, RestrictedExpression)>| {
            let attributes: HashMap<String, _> = attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            Entity::new(uid, attributes, HashSet::new()).map_err(|e| failed(&e))
        };
        let entities = Entities::from_entities(
            [
                entity(agent.clone(), vec![("owner", reference(&person))])?,
                entity(person, vec![])?,
                entity(
                    task.clone(),
                    vec![("auto_reads", RestrictedExpression::new_bool(q.auto_reads)), ("type", text(q.task_type))],
                )?,
                entity(target.clone(), vec![("environment", text(q.environment)), ("kind", text(q.kind))])?,
            ],
            Some(&self.schema),
        )
        .map_err(|e| failed(&e))?;
        let relations: Vec<String> = q.effect.relations.iter().map(|r| r.name.clone()).collect();
        let context = Context::from_pairs(
            [
                ("task", reference(&task)),
                ("verb", text(q.effect.verb.as_str())),
                ("read_only", RestrictedExpression::new_bool(q.effect.is_read_only())),
                ("understood", RestrictedExpression::new_bool(q.understood)),
                ("in_scope", RestrictedExpression::new_bool(q.in_scope)),
                ("commits_itself", RestrictedExpression::new_bool(q.effect.commits_itself)),
                ("labels", set(&q.labels)),
                ("findings", set(&q.findings)),
                ("severity", text(q.severity)),
                ("relations", set(&relations)),
            ]
            .map(|(k, v)| (k.to_owned(), v)),
        )
        .map_err(|e| failed(&e))?;
        Ok(Case { agent, target, context, entities })
    }

    /// What the policy answers about one question.
    pub(crate) fn about(&self, q: &Question<'_>) -> Result<About<'_>, PolicyError> {
        Ok(About { policy: self, case: self.case(q)? })
    }

    fn ask(&self, act: Act, case: &Case, whole: bool) -> Result<Answered, PolicyError> {
        let failed = |error: &dyn std::fmt::Display| PolicyError::Evaluation(error.to_string());
        let action = match act {
            Act::Run => &self.types.run,
            Act::Ask => &self.types.ask,
        };
        let (agent, target, context) = (case.agent.clone(), case.target.clone(), case.context.clone());
        let request =
            Request::new(agent, action.clone(), target, context, Some(&self.schema)).map_err(|e| failed(&e))?;
        let part = if whole { None } else { Some(self.selector.part(action, &case.agent, &case.target)?) };
        let set = part.as_deref().unwrap_or_else(|| self.selector.whole());
        let response = self.authorizer.is_authorized(&request, set, &case.entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(failed(error));
        }
        // Sorted, so that the same decision reads the same in every log.
        let mut deciding: Vec<&PolicyId> = response.diagnostics().reason().collect();
        deciding.sort_unstable();
        let rules: Vec<Rule> = deciding.iter().map(|id| self.rule(id)).collect();
        Ok(match response.decision() {
            cedar_policy::Decision::Allow => {
                let mut needed = (1, false, false);
                for policy in deciding.iter().filter_map(|id| self.selector.whole().policy(id)) {
                    needed.0 = needed.0.max(quorum(policy.annotation("quorum"))?);
                    needed.1 |= arm(policy.annotation("arm"))?;
                    needed.2 |= apart(policy.annotation("not"))?;
                }
                Answered::Permit { rules, quorum: needed.0, arm: needed.1, apart: needed.2 }
            }
            cedar_policy::Decision::Deny if rules.is_empty() => Answered::Nothing,
            cedar_policy::Decision::Deny => Answered::Forbid { rules },
        })
    }

    fn rule(&self, id: &PolicyId) -> Rule {
        let annotation =
            |name: &str| self.selector.whole().policy(id).and_then(|p| p.annotation(name)).map(str::to_owned);
        Rule {
            id: annotation("id").unwrap_or_else(|| id.to_string()),
            reason: annotation("reason").unwrap_or_default(),
        }
    }
}

fn quorum(annotation: Option<&str>) -> Result<u32, PolicyError> {
    let Some(text) = annotation else { return Ok(1) };
    text.parse().ok().filter(|n| (1..=QUORUM_MAX).contains(n)).ok_or(PolicyError::Annotation("quorum"))
}

/// Whether whoever the agent works for may not sign (separation of duties).
fn apart(annotation: Option<&str>) -> Result<bool, PolicyError> {
    match annotation {
        None => Ok(false),
        Some("requester") => Ok(true),
        Some(_) => Err(PolicyError::Annotation("not")),
    }
}

fn arm(annotation: Option<&str>) -> Result<bool, PolicyError> {
    match annotation {
        None => Ok(false),
        Some("name") => Ok(true),
        Some(_) => Err(PolicyError::Annotation("arm")),
    }
}
