//! Nothing errs open: whatever is broken in what Cedar is given, the answer is no more permissive, and an error is a no.
//! Selecting by head changes no answer.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use artifact::Effect;
use artifact::effect::{RelationUse, Verb};
use cedar_policy::{Context, Entities, Entity, RestrictedExpression};

use super::{About, Act, Case, Policy};
use crate::decision::{Decision, Question, decide, settle};
use crate::{Pack, PolicyError};

/// A small generator of numbers (xorshift64*), the same everywhere for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % n.max(1)
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

const AGENTS: [&str; 4] = ["robin", "wren", "a\"b\\c", "ž\u{202e}"];
const TARGETS: [&str; 5] = ["shop", "billing", "", "target_7", "x\ny"];

fn effect(random: &mut Random) -> Effect {
    let mut effect = Effect::empty();
    for _ in 0..random.below(4) {
        let verb = random.of(&[Verb::Read, Verb::Insert, Verb::Update, Verb::Delete, Verb::Define]);
        let name = format!("main.t{}", random.below(5));
        effect.relations.push(RelationUse {
            name,
            verbs: vec![verb],
            reads: vec![],
            writes: vec![],
            ..RelationUse::default()
        });
    }
    effect.commits_itself = random.below(8) == 0;
    effect.normalize();
    effect
}

fn question<'a>(random: &mut Random, effect: &'a Effect) -> Question<'a> {
    Question {
        agent: random.of(&AGENTS),
        person: random.of(&["ada", "bo", ""]),
        task: random.of(&["t-1", "t-2"]),
        task_type: random.of(&["", "refunds"]),
        never: None,
        auto_reads: random.flag(),
        in_scope: random.flag(),
        target: random.of(&TARGETS),
        environment: random.of(&["dev", "prod", "staging"]),
        kind: random.of(&["sql/sqlite", "sql/postgresql", "sql/mariadb"]),
        effect,
        understood: random.below(6) != 0,
        findings: if random.flag() { vec![] } else { vec!["no_where".into(), "ddl".into()] },
        severity: random.of(&["none", "info", "caution", "high", "refuse"]),
        labels: if random.flag() { vec![] } else { vec!["personal".into()] },
    }
}

/// Policies whose heads name some agents, targets and actions, some of which err in their conditions.
fn policies(random: &mut Random, count: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        let effect = random.of(&["permit", "permit", "forbid"]);
        let principal = match random.below(4) {
            0 => "principal == Agent::\"robin\"".to_owned(),
            1 => "principal in Agent::\"wren\"".to_owned(),
            2 => "principal is Agent".to_owned(),
            _ => "principal".to_owned(),
        };
        let action = random.of(&[
            "action",
            "action == Action::\"run\"",
            "action == Action::\"ask\"",
            "action in [Action::\"ask\", Action::\"run\"]",
        ]);
        let resource = match random.below(4) {
            0 => "resource".to_owned(),
            1 => "resource in Target::\"shop\"".to_owned(),
            _ => format!("resource == Target::\"target_{}\"", random.below(count)),
        };
        let condition = random.of(&[
            "context.in_scope",
            "context.read_only && context.task.auto_reads",
            "context.verb != \"define\"",
            "context.labels.isEmpty()",
            "resource.environment == \"prod\"",
            "9223372036854775807 + 1 == 0",
            "context.relations.contains(\"main.t1\")",
            "true",
        ]);
        text += &format!(
            "@id(\"p{n}\") @reason(\"r\") {effect} ({principal}, {action}, {resource}) when {{ {condition} }};\n"
        );
    }
    text
}

const fn rank(decision: &Decision) -> u8 {
    match decision {
        Decision::Deny { .. } => 0,
        Decision::Ask { .. } => 1,
        Decision::Allow { .. } => 2,
    }
}

#[test]
fn a_selection_answers_as_the_whole_does() {
    let mut random = Random(20_261_121);
    for round in 0..60 {
        let policy = Policy::load(&policies(&mut random, 1 + round)).unwrap();
        for _ in 0..40 {
            let effect = effect(&mut random);
            let question = question(&mut random, &effect);
            let about = policy.about(&question).unwrap();
            for act in [Act::Run, Act::Ask] {
                let whole = about.ask_whole(act);
                let (whole, part) = (whole.map_err(|_| ()), about.ask(act).map_err(|_| ()));
                assert_eq!(part, whole, "{act:?} {question:?}");
            }
        }
    }
}

/// A case of which one part is missing, or of another type. None where it cannot even be made, which denies.
fn broken(policy: &Policy, question: &Question<'_>, random: &mut Random) -> Option<Case> {
    let schema = Some(&policy.schema);
    let mut case = policy.case(question).ok()?;
    let odd = || RestrictedExpression::new_string("odd".to_owned());
    match random.below(5) {
        // An entity is missing.
        0 => {
            let kept: Vec<Entity> = case.entities.iter().cloned().collect();
            let gone = random.below(kept.len());
            let kept = kept.into_iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, entity)| entity);
            case.entities = Entities::from_entities(kept, schema).ok()?;
        }
        // All are.
        1 => case.entities = Entities::empty(),
        // One has lost its attributes, or they are of another type.
        2 | 3 => {
            let gone = random.below(4);
            let strip = random.flag();
            let changed = case.entities.iter().enumerate().map(|(at, entity)| {
                if at != gone {
                    return entity.clone();
                }
                let names = ["owner", "auto_reads", "environment", "kind"];
                let attributes = names.into_iter().filter(|name| !strip && entity.attr(name).is_some());
                let attributes: HashMap<String, _> =
                    attributes.map(|name| (name.to_owned(), RestrictedExpression::new_long(7))).collect();
                Entity::new(entity.uid(), attributes, HashSet::new()).unwrap()
            });
            case.entities = Entities::from_entities(changed.collect::<Vec<_>>(), schema).ok()?;
        }
        // The context has lost one of its values, or all, or they are of another type.
        _ => {
            let names = [
                "task",
                "verb",
                "read_only",
                "understood",
                "in_scope",
                "commits_itself",
                "labels",
                "findings",
                "severity",
                "relations",
            ];
            let keep = random.below(3);
            let pairs = names.into_iter().filter(|_| keep > 0).map(|name| {
                let number = RestrictedExpression::new_long(7);
                (name.to_owned(), if keep == 1 { number } else { RestrictedExpression::new_set([odd()]) })
            });
            case.context = Context::from_pairs(pairs).ok()?;
        }
    }
    Some(case)
}

#[test]
fn nothing_errs_open() {
    let size: usize = std::env::var("WETINK_DECISIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000);
    let mut random = Random(7);
    let mut loaded: Vec<Policy> = Pack::ALL.into_iter().map(|pack| Policy::load(pack.text()).unwrap()).collect();
    loaded.extend((0..6).map(|n| Policy::load(&policies(&mut random, 5 + n * 5)).unwrap()));
    let (mut decisions, mut erred_open) = (0_u64, 0_u64);
    let mut times = Vec::with_capacity(size);
    for round in 0..size {
        let policy = &loaded[round % loaded.len()];
        let effect = effect(&mut random);
        let question = question(&mut random, &effect);
        let began = Instant::now();
        let intact = decide(policy, &question);
        times.push(began.elapsed());
        decisions += 1;
        if !question.understood {
            assert_eq!(rank(&intact), 0);
            continue;
        }
        let Some(case) = broken(policy, &question, &mut random) else { continue };
        let about = About { policy, case };
        let errs = |act| matches!(about.ask(act), Err(PolicyError::Evaluation(_)));
        let both_err = errs(Act::Run) && errs(Act::Ask);
        let answer = settle(&about, &question);
        let answer = answer.map_or(0, |decision| rank(&decision));
        // Broken in what a forbidding rule looks at, the rule errs, and that is a no.
        if answer > rank(&intact) || both_err && answer > 0 {
            erred_open += 1;
            println!("more permissive: {question:?}: {intact:?}");
        }
    }
    let microseconds = |times: &mut Vec<std::time::Duration>, share: f64| {
        times.sort_unstable();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let at = (times.len() as f64 * share) as usize;
        times[at.min(times.len() - 1)].as_secs_f64() * 1e6
    };
    println!("decisions: {decisions}");
    println!("erred_open: {erred_open}");
    println!("median_us: {:.1}", microseconds(&mut times, 0.5));
    println!("p99_us: {:.1}", microseconds(&mut times, 0.99));
    for count in [10, 1_000] {
        // Each target has rules of its own, as a house with many targets has.
        let mut text = Pack::SoloCareful.text().to_owned();
        for n in 0..count {
            text += &format!(
                "@id(\"own-{n}\") @reason(\"r\") forbid (principal, action, resource == Target::\"target_{n}\") when {{ context.labels.contains(\"health\") }};\n"
            );
        }
        let policy = Policy::load(&text).unwrap();
        let effect = Effect::empty();
        let mut times: Vec<_> = (0..size.min(20_000))
            .map(|_| {
                let question = question(&mut random, &effect);
                let began = Instant::now();
                decide(&policy, &question);
                began.elapsed()
            })
            .collect();
        println!("median_us_at_{count}_policies: {:.1}", microseconds(&mut times, 0.5));
    }
    assert_eq!(erred_open, 0);
}
