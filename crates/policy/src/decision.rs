use artifact::Effect;
use artifact::effect::Verb;

use crate::cedar::{About, Act, Answered};
use crate::{Policy, PolicyError};

/// What a decision is about. Everything in it was worked out by the gateway; nothing comes from the agent's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// The person it works for.
    pub person: &'a str,
    /// The task's id.
    pub task: &'a str,
    /// The task's type; empty if it has none.
    pub task_type: &'a str,
    /// What of the effect the signed task never allows, if anything.
    pub never: Option<String>,
    /// Whether the signed scope lets reads inside it run.
    pub auto_reads: bool,
    /// Whether the whole effect is inside the signed scope.
    pub in_scope: bool,
    /// The target's name.
    pub target: &'a str,
    /// The target's environment.
    pub environment: &'a str,
    /// The artifact's kind.
    pub kind: &'a str,
    /// The effect.
    pub effect: &'a Effect,
    /// Whether the analysis understood all of it.
    pub understood: bool,
    /// Codes of findings.
    pub findings: Vec<String>,
    /// Gravest severity: `none`, `info`, `caution`, `high`, `refuse`.
    pub severity: &'a str,
    /// Labels of the columns touched, `plain` left out.
    pub labels: Vec<String>,
}

/// A rule that took part, by its id and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `@id` of the policy, or a built-in's name in angle brackets.
    pub id: String,
    /// `@reason` of the policy.
    pub reason: String,
}

/// What is to happen. Exhaustive on purpose: whoever matches on it handles every case (I8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No signature can allow it.
    Deny {
        /// Why.
        rules: Vec<Rule>,
    },
    /// A person is asked.
    Ask {
        /// Why.
        rules: Vec<Rule>,
        /// Different people who must sign.
        quorum: u32,
        /// The person must type a name first.
        arm: bool,
        /// The person the agent works for may not sign (separation of duties).
        apart: bool,
    },
    /// It runs under the signed task scope.
    Allow {
        /// Why.
        rules: Vec<Rule>,
    },
}

impl Decision {
    /// `deny`, `ask` or `allow`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Deny { .. } => "deny",
            Self::Ask { .. } => "ask",
            Self::Allow { .. } => "allow",
        }
    }

    /// The rules that decided.
    pub fn rules(&self) -> &[Rule] {
        match self {
            Self::Deny { rules } | Self::Ask { rules, .. } | Self::Allow { rules } => rules,
        }
    }
}

fn built_in(id: &str, reason: &str) -> Rule {
    Rule { id: format!("<{id}>"), reason: reason.to_owned() }
}

/// Decides. Deny on any error, on no answer, and on anything not understood.
pub fn decide(policy: &Policy, question: &Question<'_>) -> Decision {
    if !question.understood {
        return Decision::Deny { rules: vec![built_in("not-understood", "what is not understood is never run")] };
    }
    if let Some(denied) = &question.never {
        let reason = format!("the task never allows: {denied}");
        return Decision::Deny { rules: vec![built_in("task-never", &reason)] };
    }
    // Every error denies, wherever it comes from.
    policy
        .about(question)
        .and_then(|about| settle(&about, question))
        .unwrap_or_else(|error| Decision::Deny { rules: vec![built_in("evaluation-error", &error.to_string())] })
}

pub(crate) fn settle(about: &About<'_>, question: &Question<'_>) -> Result<Decision, PolicyError> {
    let person = needs_person(question);
    // Where no policy could let it run, none is asked whether it may.
    if person.is_none()
        && let Answered::Permit { rules, .. } = about.ask(Act::Run)?
    {
        return Ok(Decision::Allow { rules });
    }
    Ok(match about.ask(Act::Ask)? {
        Answered::Permit { mut rules, quorum, arm, apart } => {
            rules.extend(person.filter(|_| rules.is_empty()));
            Decision::Ask { rules, quorum, arm: arm || question.effect.verb == Verb::Define, apart }
        }
        Answered::Forbid { rules } => Decision::Deny { rules },
        Answered::Nothing => Decision::Deny { rules: vec![built_in("no-rule", "no rule of the policy allows it")] },
    })
}

/// Classes that no policy can allow without a person (requirement D9): whatever is not a plain read inside the signed scope.
fn needs_person(question: &Question<'_>) -> Option<Rule> {
    let free = question.effect.is_read_only() && question.in_scope && question.auto_reads;
    (!free).then(|| {
        built_in("needs-person", "only a read inside a signed task scope may run without a signature of its own")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pack;
    use artifact::effect::RelationUse;

    fn effect(verb: Verb) -> Effect {
        let mut effect = Effect::empty();
        effect.relations.push(RelationUse {
            name: "main.orders".into(),
            verbs: vec![verb],
            reads: vec![],
            writes: vec![],
            ..RelationUse::default()
        });
        effect.normalize();
        effect
    }

    fn question(effect: &Effect) -> Question<'_> {
        Question {
            agent: "robin",
            person: "ada",
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
            findings: vec![],
            severity: "none",
            labels: vec![],
        }
    }

    fn pack(pack: Pack) -> Policy {
        Policy::load(pack.text()).unwrap()
    }

    #[test]
    fn solo_careful_reads_run_writes_ask_schema_types_a_name() {
        let policy = pack(Pack::SoloCareful);
        let read = effect(Verb::Read);
        assert!(matches!(decide(&policy, &question(&read)), Decision::Allow { .. }));
        let out = Question { in_scope: false, ..question(&read) };
        assert!(matches!(decide(&policy, &out), Decision::Ask { arm: false, .. }));
        let labelled = Question { labels: vec!["personal".into()], ..question(&read) };
        assert!(matches!(decide(&policy, &labelled), Decision::Ask { .. }));
        let write = effect(Verb::Update);
        assert!(matches!(decide(&policy, &question(&write)), Decision::Ask { arm: false, .. }));
        let define = effect(Verb::Define);
        assert!(matches!(decide(&policy, &question(&define)), Decision::Ask { arm: true, .. }));
    }

    #[test]
    fn strict_signs_everything() {
        let policy = pack(Pack::Strict);
        let read = effect(Verb::Read);
        assert!(matches!(decide(&policy, &question(&read)), Decision::Ask { .. }));
        let define = effect(Verb::Define);
        let prod = Question { environment: "prod", ..question(&define) };
        let Decision::Deny { rules } = decide(&policy, &prod) else { panic!("denied in production") };
        assert_eq!(rules[0].id, "deny-production-schema");
    }

    #[test]
    fn in_a_team_others_sign_and_regulated_asks_two() {
        let (team, regulated) = (pack(Pack::Team), pack(Pack::Regulated));
        let (read, write, define) = (effect(Verb::Read), effect(Verb::Update), effect(Verb::Define));
        let prod = |effect| Question { environment: "prod", ..question(effect) };
        let asked = |decision: Decision| match decision {
            Decision::Ask { quorum, apart, arm, .. } => (quorum, apart, arm),
            other => panic!("{other:?}"),
        };
        assert!(matches!(decide(&team, &question(&read)), Decision::Allow { .. }));
        assert_eq!(asked(decide(&team, &question(&write))), (1, false, false));
        assert_eq!(asked(decide(&team, &prod(&write))), (1, true, false));
        assert_eq!(asked(decide(&team, &prod(&define))), (2, false, true));
        assert_eq!(asked(decide(&regulated, &question(&read))), (1, true, false));
        assert_eq!(asked(decide(&regulated, &question(&write))), (2, true, true));
        assert!(matches!(decide(&regulated, &prod(&define)), Decision::Deny { .. }));
        let secret = Question { findings: vec!["secret_inside".into()], ..question(&write) };
        assert!(matches!(decide(&regulated, &secret), Decision::Deny { .. }));
    }

    #[test]
    fn not_understood_and_refused_are_denied_by_every_pack() {
        for p in Pack::ALL {
            let policy = pack(p);
            for verb in [Verb::Read, Verb::Update, Verb::Define] {
                let effect = effect(verb);
                let unclear = Question { understood: false, ..question(&effect) };
                assert!(matches!(decide(&policy, &unclear), Decision::Deny { .. }));
                let refused = Question { severity: "refuse", ..question(&effect) };
                assert!(matches!(decide(&policy, &refused), Decision::Deny { .. }));
            }
        }
    }

    #[test]
    fn no_policy_lets_a_write_run_by_itself() {
        let policy = Policy::load(r#"@id("all") @reason("all") permit (principal, action, resource);"#).unwrap();
        for verb in [Verb::Insert, Verb::Update, Verb::Delete, Verb::Define] {
            let effect = effect(verb);
            assert!(matches!(decide(&policy, &question(&effect)), Decision::Ask { .. }), "{verb:?}");
        }
        let read = effect(Verb::Read);
        assert!(matches!(decide(&policy, &Question { in_scope: false, ..question(&read) }), Decision::Ask { .. }));
        assert!(matches!(decide(&policy, &Question { auto_reads: false, ..question(&read) }), Decision::Ask { .. }));
        assert!(matches!(decide(&policy, &question(&read)), Decision::Allow { .. }));
    }

    #[test]
    fn an_empty_policy_denies() {
        let policy = Policy::load("").unwrap();
        let read = effect(Verb::Read);
        assert!(matches!(decide(&policy, &question(&read)), Decision::Deny { .. }));
    }

    #[test]
    fn an_erroring_forbid_denies_instead_of_vanishing() {
        // Integer overflow is the evaluation error that validation cannot exclude.
        let text = r#"
            @id("yes") @reason("yes") permit (principal, action, resource);
            @id("boom") @reason("boom") forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };"#;
        let policy = Policy::load(text).unwrap();
        let read = effect(Verb::Read);
        let Decision::Deny { rules } = decide(&policy, &question(&read)) else { panic!("must deny") };
        assert_eq!(rules[0].id, "<evaluation-error>");
    }

    #[test]
    fn policies_that_do_not_fit_the_schema_are_refused() {
        for text in [
            "permit (principal, action, resource) when { context.nonsense };",
            r#"permit (principal, action == Action::"approve", resource);"#,
            r#"permit (principal == Robot::"x", action, resource);"#,
            "permit (principal, action, resource)",
            r#"@id("a") permit (principal, action, resource); @id("a") permit (principal, action, resource);"#,
            r#"@quorum("none") permit (principal, action, resource);"#,
            r#"@quorum("11") permit (principal, action, resource);"#,
            r#"@not("everybody") permit (principal, action, resource);"#,
        ] {
            assert!(Policy::load(text).is_err(), "{text}");
        }
    }
}
