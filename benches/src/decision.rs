//! A policy decision (G14), against Cedar alone with the same policies and everything it needs ready made.

use std::collections::{HashMap, HashSet};
use std::str::FromStr as _;

use anyhow::{Context as _, Result, ensure};
use artifact::Effect;
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression, Schema,
};
use policy::{Decision, Policy, Question, decide};

use crate::corpus;
use crate::measure;
use crate::table::{Goal, Table, time};

const SCHEMA: &str = include_str!("../../policies/schema.cedarschema");

/// That many policies: all but one about other agents and targets, as in a house with many of them.
fn policies(count: usize) -> String {
    let others = (1..count).map(|n| {
        format!(
            "@id(\"p{n}\") @reason(\"rule {n}\") permit (principal == Agent::\"a{n}\", action == Action::\"ask\", resource == Target::\"t{n}\") \
             when {{ context.verb == \"update\" && context.in_scope }};\n"
        )
    });
    let ours = "@id(\"ours\") @reason(\"reads of the shop\") permit (principal == Agent::\"robin\", action in [Action::\"run\", Action::\"ask\"], \
                resource == Target::\"shop\") when { context.read_only && context.in_scope };\n";
    others.collect::<String>() + ours
}

fn question(effect: &Effect) -> Question<'_> {
    Question {
        agent: "robin",
        person: "Ada",
        task: "t-1",
        task_type: "",
        never: None,
        auto_reads: true,
        in_scope: true,
        target: "shop",
        environment: "dev",
        kind: "sql/sqlite",
        effect,
        understood: true,
        findings: Vec::new(),
        severity: "none",
        labels: Vec::new(),
    }
}

/// Cedar itself: set, entities and request made once.
struct Alone {
    authorizer: Authorizer,
    set: PolicySet,
    entities: Entities,
    request: Request,
}

impl Alone {
    fn new(text: &str, effect: &Effect) -> Result<Self> {
        let schema = Schema::from_cedarschema_str(SCHEMA)?.0;
        let uid = |kind: &str, name: &str| -> Result<EntityUid> {
            Ok(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind)?, EntityId::new(name)))
        };
        let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let none = || RestrictedExpression::new_set([]);
        let entity = |uid: EntityUid, attributes: Vec<(&str, RestrictedExpression)>| {
            let attributes: HashMap<_, _> = attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            Entity::new(uid, attributes, HashSet::new()).map_err(Box::new)
        };
        let reference = RestrictedExpression::new_entity_uid;
        let entities = Entities::from_entities(
            [
                entity(uid("Agent", "robin")?, vec![("owner", reference(uid("Person", "Ada")?))])?,
                entity(uid("Person", "Ada")?, vec![])?,
                entity(uid("Task", "t-1")?, vec![("auto_reads", RestrictedExpression::new_bool(true))])?,
                entity(uid("Target", "shop")?, vec![("environment", string("dev")), ("kind", string("sql/sqlite"))])?,
            ],
            Some(&schema),
        )?;
        let relations = RestrictedExpression::new_set(effect.relations.iter().map(|r| string(&r.name)));
        let context = Context::from_pairs(
            [
                ("task", reference(uid("Task", "t-1")?)),
                ("verb", string(effect.verb.as_str())),
                ("read_only", RestrictedExpression::new_bool(true)),
                ("understood", RestrictedExpression::new_bool(true)),
                ("in_scope", RestrictedExpression::new_bool(true)),
                ("commits_itself", RestrictedExpression::new_bool(false)),
                ("labels", none()),
                ("findings", none()),
                ("severity", string("none")),
                ("relations", relations),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        )?;
        let action = uid("Action", "run")?;
        let request = Request::new(uid("Agent", "robin")?, action, uid("Target", "shop")?, context, Some(&schema))?;
        Ok(Self { authorizer: Authorizer::new(), set: PolicySet::from_str(text)?, entities, request })
    }

    fn allows(&self) -> bool {
        let response = self.authorizer.is_authorized(&self.request, &self.set, &self.entities);
        response.decision() == cedar_policy::Decision::Allow
    }
}

pub(crate) fn rows(table: &mut Table) -> Result<()> {
    let effect = corpus::examined()?.analysis.effect;
    let load = |count: usize| Policy::load(&policies(count)).context("the generated policies do not load");
    let question = question(&effect);
    let (ten, twelve, many) = (load(10)?, load(12)?, load(1_000)?);
    for policy in [&ten, &twelve, &many] {
        ensure!(
            matches!(decide(policy, &question), Decision::Allow { .. }),
            "the decision is another one than intended"
        );
    }
    let (alone, alone_many) = (Alone::new(&policies(12), &effect)?, Alone::new(&policies(1_000), &effect)?);
    ensure!(alone.allows() && alone_many.allows(), "Cedar alone decides something else");

    let seen = measure::calls(|| decide(&twelve, &question), || alone.allows())?;
    table.compared("G14 decision, 12 policies: Cedar alone, entities ready", seen, time, Goal::AtMost(1.25));
    let seen = measure::calls(|| decide(&many, &question), || decide(&ten, &question))?;
    table.compared("G14 decision, 1,000 policies: ours at 10", seen, time, Goal::AtMost(3.0));
    let seen = measure::calls(|| alone_many.allows(), || decide(&many, &question))?;
    table.put(
        "G14 decision, 1,000 policies: times as fast as Cedar alone",
        time(seen.anchor),
        time(seen.ours),
        seen,
        Goal::AtLeast(10.0),
    );
    Ok(())
}
