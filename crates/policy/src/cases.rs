//! Tests that stand beside a policy: questions with the answer that its author expects.

use artifact::Effect;
use artifact::effect::{RelationUse, Verb};
use serde::Deserialize;

use crate::{Decision, Policy, PolicyError, Question, decide};

/// Most cases of one file.
const CASES_MAX: usize = 1000;

fn yes() -> bool {
    true
}

fn none() -> String {
    "none".to_owned()
}

fn dev() -> String {
    "dev".to_owned()
}

fn one() -> u32 {
    1
}

/// A question and what is expected of it. What is left out is what a plain proposal inside its scope has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    verb: String,
    #[serde(default = "dev")]
    environment: String,
    #[serde(default = "yes")]
    in_scope: bool,
    #[serde(default = "yes")]
    auto_reads: bool,
    #[serde(default)]
    agent: Option<String>,
    #[serde(default)]
    task_type: String,
    #[serde(default = "yes")]
    understood: bool,
    #[serde(default)]
    commits_itself: bool,
    #[serde(default)]
    relations: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    findings: Vec<String>,
    #[serde(default = "none")]
    severity: String,
    /// `deny`, `ask` or `allow`.
    expect: String,
    #[serde(default = "one")]
    quorum: u32,
    #[serde(default)]
    apart: bool,
    /// `@id` of a rule that must be among those that decided.
    rule: Option<String>,
}

/// How many cases hold, and what is told about each that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cases {
    /// Cases.
    pub run: usize,
    /// Name, and what came instead.
    pub failed: Vec<String>,
}

/// What a decision is, in words that can be compared: `ask`, `ask 2`, `ask 2 not requester`.
pub fn in_words(decision: &Decision) -> String {
    match decision {
        Decision::Ask { quorum, apart, .. } => words("ask", *quorum, *apart),
        other => other.as_str().to_owned(),
    }
}

/// The same from its parts.
pub fn words(decision: &str, quorum: u32, apart: bool) -> String {
    let people = if quorum > 1 { format!(" {quorum}") } else { String::new() };
    format!("{decision}{people}{}", if apart { " not requester" } else { "" })
}

/// Runs the cases of a JSON text against a policy.
pub fn run_cases(policy: &Policy, json: &str) -> Result<Cases, PolicyError> {
    let wrong = |why: String| PolicyError::Syntax(format!("its tests: {why}"));
    let cases: Vec<Case> = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    if cases.len() > CASES_MAX {
        return Err(wrong(format!("more than {CASES_MAX}")));
    }
    let mut failed = Vec::new();
    for case in &cases {
        let verb: Verb =
            case.verb.parse().map_err(|_| wrong(format!("`{}` has an unknown verb", artifact::visible(&case.name))))?;
        let mut effect = Effect::empty();
        let names: &[String] = if case.relations.is_empty() { &["main.rows".to_owned()] } else { &case.relations };
        for name in names {
            effect.relations.push(RelationUse {
                name: name.clone(),
                verbs: vec![verb],
                reads: vec![],
                writes: vec![],
                ..RelationUse::default()
            });
        }
        effect.commits_itself = case.commits_itself;
        effect.normalize();
        let decision = decide(
            policy,
            &Question {
                agent: case.agent.as_deref().unwrap_or("agent"),
                person: "person",
                task: "task",
                task_type: &case.task_type,
                never: None,
                auto_reads: case.auto_reads,
                in_scope: case.in_scope,
                target: "target",
                environment: &case.environment,
                kind: "sql/postgresql",
                effect: &effect,
                understood: case.understood,
                findings: case.findings.clone(),
                severity: &case.severity,
                labels: case.labels.clone(),
            },
        );
        let (wanted, got) = (words(&case.expect, case.quorum, case.apart), in_words(&decision));
        let rules: Vec<&str> = decision.rules().iter().map(|rule| rule.id.as_str()).collect();
        if wanted != got || case.rule.as_deref().is_some_and(|rule| !rules.contains(&rule)) {
            failed.push(format!("{}: {got} by {}, expected {wanted}", artifact::visible(&case.name), rules.join(", ")));
        }
    }
    Ok(Cases { run: cases.len(), failed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pack;

    #[test]
    fn cases_hold_or_say_what_came_instead() {
        let policy = Policy::load(Pack::Regulated.text()).unwrap();
        let json = r#"[
            {"name": "a write takes two others", "verb": "update", "expect": "ask", "quorum": 2, "apart": true, "rule": "write-asks-two-others"},
            {"name": "reads run", "verb": "read", "expect": "allow"},
            {"name": "no schema in production", "verb": "define", "environment": "prod", "expect": "deny"}
        ]"#;
        let cases = run_cases(&policy, json).unwrap();
        assert_eq!(
            (cases.run, cases.failed),
            (3, vec!["reads run: ask not requester by read-asks-another, expected allow".to_owned()])
        );
        for bad in [
            "",
            "{}",
            r#"[{"name": "x", "verb": "update"}]"#,
            r#"[{"name": "x", "verb": "drop", "expect": "ask"}]"#,
            r#"[{"name": "x", "verb": "read", "expect": "ask", "typo": 1}]"#,
        ] {
            assert!(run_cases(&policy, bad).is_err(), "{bad}");
        }
    }
}
