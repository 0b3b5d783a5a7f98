//! Bytes, catalog, task and policy to everything that is decided and shown. Pure.

use std::collections::BTreeMap;

use analyze::{Analysis, Code, Finding, Severity, Snapshot, headline};
use artifact::catalog::Catalog;
use artifact::effect::{Allowance, RequestUse, Rows, UNDO_ROWS_MAX, Verb, touched, within_scope};
use artifact::money::PaymentForm;
use artifact::request::{self, Method};
use artifact::{Artifact, Effect, Kind, shapes};
use policy::{Decision, Policy, Question, decide};

use crate::{Asked, OriginLine, Shown, operations, payments};

/// Where and for whom an artifact is examined.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Agent's name.
    pub agent: &'a str,
    /// The person it works for.
    pub person: &'a str,
    /// Task.
    pub task: &'a str,
    /// The task's type; empty if it has none.
    pub task_type: &'a str,
    /// The task's signed scope at this target; empty if the target is not in the task.
    pub scope: &'a [Allowance],
    /// What the task never allows.
    pub never: &'a [Allowance],
    /// Functions that reads inside the scope may call.
    pub functions: &'a [String],
    /// Whether the signed task lets reads inside the scope run.
    pub auto_reads: bool,
    /// Target's name.
    pub target: &'a str,
    /// Its environment.
    pub environment: &'a str,
    /// Labels of columns, by `relation.column`.
    pub labels: &'a BTreeMap<String, String>,
    /// Its schema.
    pub catalog: &'a Snapshot,
    /// Methods and patterns of paths that may be sent there, for targets that take requests.
    pub requests: &'a [String],
    /// Which rights a run there has.
    pub rights: RunRights,
    /// The mailbox's own address, for targets that are one.
    pub own: Option<&'a str>,
    /// Addresses that mail was sent to from there before.
    pub written_to: &'a [String],
    /// Path there that takes GraphQL.
    pub graphql: Option<&'a str>,
    /// Requests there that are payments.
    pub forms: &'a [PaymentForm],
    /// Names and accounts that were paid from there before.
    pub paid: &'a [(String, String)],
    /// What an agent's values are held against; none for what a person writes.
    pub asked: Option<&'a Asked>,
}

/// Which rights a run has at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunRights {
    /// Those of its effect.
    Effect,
    /// All of the target's login.
    Login,
    /// Those of its effect where the login may mint a role with them, else all of the login.
    EffectIfPossible,
}

/// How grave it is. Decides layout and gesture, never whether something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// A read inside the scope.
    Low,
    /// A bounded write, or a read that needs a signature.
    Medium,
    /// Not understood, out of scope, unbounded, of the schema, or with a grave finding.
    High,
}

impl Risk {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// The result.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What the bytes do.
    pub analysis: Analysis,
    /// What happens with them.
    pub decision: Decision,
    /// Everything inside the signed scope?
    pub in_scope: bool,
    /// Why what it changes cannot be put back; none if it can be, up to a number of rows.
    pub lasting: Option<&'static str>,
    /// About how many rows each relation has that is read.
    pub sizes: BTreeMap<String, u64>,
    /// Where its values come from.
    pub origins: Vec<OriginLine>,
}

fn sizes(effect: &Effect, catalog: &Catalog) -> BTreeMap<String, u64> {
    let read = effect.relations.iter().filter(|used| !used.reads.is_empty());
    read.filter_map(|used| Some((used.name.clone(), catalog.relation(&used.name)?.rows_estimate?))).collect()
}

/// Analyzes and decides.
pub fn examine(artifact: &Artifact, setting: &Setting<'_>, policy: &Policy) -> Examined {
    let mut analysis = setting.catalog.analyze(artifact);
    analysis.effect.shapes = shapes(setting.catalog, &analysis.effect);
    operations::operation(setting, artifact, &mut analysis);
    payments::payment(setting, artifact, &mut analysis);
    let origins = setting.asked.map(|asked| asked.hold(artifact, &mut analysis)).unwrap_or_default();
    registered(setting, &mut analysis);
    recipients(setting, &mut analysis);
    let unminted = setting.rights == RunRights::EffectIfPossible && setting.catalog.mints != Some(true);
    analysis.effect.unminted = unminted;
    if (unminted || setting.rights == RunRights::Login) && !analysis.effect.is_read_only() {
        let name = artifact::visible(setting.target);
        let sentence = format!("The run has all rights of the login of {name}, not only those of this effect.");
        let (code, sentence) = if unminted {
            (Code::CannotMint, format!("{sentence} The login may not make a narrower one."))
        } else {
            (Code::LoginRights, sentence)
        };
        analysis.findings.push(Finding { code, severity: code.severity(), span: None, sentence });
    }
    let effect = &analysis.effect;
    let in_scope = analysis.understood
        && within_scope(effect, setting.scope)
        && effect.functions.iter().all(|f| setting.functions.contains(f));
    let decision = decide(
        policy,
        &Question {
            agent: setting.agent,
            person: setting.person,
            task: setting.task,
            task_type: setting.task_type,
            never: touched(effect, setting.never).map(ToString::to_string),
            auto_reads: setting.auto_reads,
            in_scope,
            target: setting.target,
            environment: setting.environment,
            kind: artifact.kind().as_str(),
            effect,
            understood: analysis.understood,
            findings: analysis.findings.iter().map(|f| f.code.as_str().to_owned()).collect(),
            severity: severity_name(analysis.worst()),
            labels: labels_touched(effect, setting.labels, setting.catalog),
        },
    );
    let lasting = lasting(&analysis.effect, setting.catalog);
    let sizes = sizes(&analysis.effect, setting.catalog);
    Examined { analysis, decision, in_scope, lasting, sizes, origins }
}

impl Examined {
    /// Whether running it and rolling back tells the number of rows without anything escaping the transaction.
    pub fn can_preview(&self) -> bool {
        let effect = &self.analysis.effect;
        let writes_rows = matches!(effect.verb, Verb::Insert | Verb::Update | Verb::Delete);
        let quiet = self.analysis.worst().is_none_or(|s| s < Severity::Refuse);
        self.analysis.understood
            && writes_rows
            && !effect.commits_itself
            && quiet
            && !matches!(self.decision, Decision::Deny { .. })
    }

    /// How grave it is.
    pub fn risk(&self) -> Risk {
        let effect = &self.analysis.effect;
        let grave = self.analysis.worst().is_some_and(|s| s >= Severity::High);
        let light = effect.request.as_ref().is_some_and(stays_in_the_mailbox);
        if !self.analysis.understood
            || grave
            || effect.verb == Verb::Define
            || (effect.commits_itself && !light)
            || !self.in_scope
        {
            Risk::High
        } else if effect.is_read_only() {
            Risk::Low
        } else {
            Risk::Medium
        }
    }

    /// What the reviewer is shown besides the bytes and the effect. Takes the number of rows once it is known.
    pub fn shown(&self, rows: Option<Rows>) -> Shown {
        let effect = &self.analysis.effect;
        let arm = match &self.decision {
            Decision::Ask { arm, .. } if *arm || (self.risk() == Risk::High && !effect.is_read_only()) => {
                effect.relations.iter().find(|r| r.verbs.contains(&effect.verb)).map(|r| r.name.clone())
            }
            _ => None,
        };
        let (quorum, apart) = match &self.decision {
            Decision::Ask { quorum, apart, .. } => (*quorum, *apart),
            Decision::Deny { .. } | Decision::Allow { .. } => (1, false),
        };
        Shown {
            quorum,
            apart,
            headline: headline(&self.analysis, rows),
            sentence: self.analysis.sentence.clone(),
            understood: self.analysis.understood,
            findings: self.analysis.findings.iter().filter_map(|f| serde_json::to_value(f).ok()).collect(),
            in_scope: self.in_scope,
            undo: undo(effect, self.lasting, rows),
            arm,
            sizes: self.sizes.clone(),
            origins: self.origins.clone(),
        }
    }

    /// True if the analysis says that every row of a relation may be hit.
    pub fn is_unbounded(&self) -> bool {
        self.analysis.has(Code::NoWhere)
    }
}

/// A proposal of the past, for the question what another policy would decide.
#[derive(Clone, Copy, Debug)]
pub struct Again<'a> {
    /// Agent's name.
    pub agent: &'a str,
    /// The person it works for.
    pub person: &'a str,
    /// Task.
    pub task: &'a str,
    /// The task's type; empty if it has none.
    pub task_type: &'a str,
    /// What the task never allows.
    pub never: &'a [Allowance],
    /// Whether the signed task lets reads inside the scope run.
    pub auto_reads: bool,
    /// Target's name.
    pub target: &'a str,
    /// Its environment now.
    pub environment: &'a str,
    /// Labels of columns now.
    pub labels: &'a BTreeMap<String, String>,
    /// Kind.
    pub kind: Kind,
    /// The effect as it was.
    pub effect: &'a Effect,
    /// What was shown.
    pub shown: &'a Shown,
}

/// What a policy decides about it now, in words, with the rules.
pub fn decide_again(policy: &Policy, past: &Again<'_>) -> (String, Vec<String>) {
    let text = |finding: &serde_json::Value, name: &str| {
        finding.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    let order = ["none", "info", "caution", "high", "refuse"];
    let rank = |severity: &str| order.iter().position(|known| *known == severity).unwrap_or(order.len() - 1);
    let worst = past.shown.findings.iter().map(|finding| rank(&text(finding, "severity"))).max().unwrap_or(0);
    let decision = decide(
        policy,
        &Question {
            agent: past.agent,
            person: past.person,
            task: past.task,
            task_type: past.task_type,
            never: touched(past.effect, past.never).map(ToString::to_string),
            auto_reads: past.auto_reads,
            in_scope: past.shown.in_scope,
            target: past.target,
            environment: past.environment,
            kind: past.kind.as_str(),
            effect: past.effect,
            understood: past.shown.understood,
            findings: past.shown.findings.iter().map(|finding| text(finding, "code")).collect(),
            severity: order.get(worst).copied().unwrap_or("refuse"),
            // The schema of then is not kept; every label of a relation counts where all its columns are named at once.
            labels: labels_touched(past.effect, past.labels, &Catalog::default()),
        },
    );
    (policy::in_words(&decision), decision.rules().iter().map(|rule| rule.id.clone()).collect())
}

/// A request that the registration does not name is not understood, so that nobody is asked to sign it.
fn registered(setting: &Setting<'_>, analysis: &mut Analysis) {
    let Some(sent) = &analysis.effect.request else { return };
    let rules: Vec<_> = setting.requests.iter().filter_map(|rule| request::rule(rule)).collect();
    if sent.within(&rules) {
        return;
    }
    let code = Code::RequestNotRegistered;
    let sentence =
        if sent.recipients.is_empty() { String::new() } else { " Or it does not name all of its people.".to_owned() };
    let sentence = format!(
        "The registration of {} does not name {} {}.{sentence}",
        artifact::visible(setting.target),
        sent.method,
        artifact::visible(&sent.path)
    );
    analysis.findings.insert(0, Finding { code, severity: code.severity(), span: None, sentence });
    analysis.understood = false;
}

/// Drafts and marks: nobody else gets anything.
fn stays_in_the_mailbox(request: &RequestUse) -> bool {
    [Method::Draft, Method::Mark].iter().any(|method| method.as_str() == request.method)
}

/// Most findings about recipients.
const RECIPIENTS_TOLD: usize = 20;

/// Who gets the mail: known, new, outside, or posing as somebody known.
fn recipients(setting: &Setting<'_>, analysis: &mut Analysis) {
    let (Some(own), Some(sent)) = (setting.own, &analysis.effect.request) else { return };
    if sent.method != Method::Send.as_str() {
        return;
    }
    let domain = |address: &str| address.rsplit_once('@').map(|(_, domain)| domain.to_owned());
    let own_domain = domain(own).unwrap_or_default();
    // What the person named themselves counts as known, and what was written to before.
    let scope =
        setting.scope.iter().filter_map(|allowance| allowance.rule()).filter_map(|(_, pattern)| domain(pattern));
    let asked = setting.asked.map(Asked::domains_asked_for).unwrap_or_default();
    let written = setting.written_to.iter().filter_map(|address| domain(address));
    let known: Vec<String> = std::iter::once(own_domain.clone()).chain(scope).chain(asked).chain(written).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for address in &sent.recipients {
        let (shown, theirs) = (artifact::visible(address), domain(address).unwrap_or_default());
        if let Some(like) = analyze::mail::lookalike(&theirs, &known) {
            let sentence = format!("{shown} looks like somebody at {}, and is not.", artifact::visible(like));
            found.push((Code::LookalikeRecipient, sentence));
        }
        if !setting.written_to.contains(address) {
            found.push((Code::NewRecipient, format!("No mail was sent to {shown} from here before.")));
        }
        if theirs != own_domain {
            found.push((Code::OutsideRecipient, format!("{shown} is outside {}.", artifact::visible(&own_domain))));
        }
    }
    found.sort_by_key(|(code, _)| std::cmp::Reverse(code.severity()));
    let finding = |(code, sentence): (Code, String)| Finding { code, severity: code.severity(), span: None, sentence };
    analysis.findings.extend(found.into_iter().take(RECIPIENTS_TOLD).map(finding));
    analysis.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
}

fn severity_name(worst: Option<Severity>) -> &'static str {
    match worst {
        None => "none",
        Some(Severity::Info) => "info",
        Some(Severity::Caution) => "caution",
        Some(Severity::High) => "high",
        Some(Severity::Refuse) => "refuse",
    }
}

/// Why nothing can be kept to put a change back.
fn lasting(effect: &Effect, catalog: &Catalog) -> Option<&'static str> {
    if let Some(request) = &effect.request {
        return Some(if stays_in_the_mailbox(request) {
            "the mailbox keeps no record of before; it can be set back by hand"
        } else {
            "once sent, nothing takes it back"
        });
    }
    if effect.commits_itself {
        return Some("the target commits it by itself");
    }
    let mut written = effect.relations.iter().filter(|r| r.verbs.iter().any(|v| *v > Verb::Read));
    let (Some(one), None) = (written.next(), written.next()) else {
        return Some("it changes more than one table");
    };
    if one.verbs.contains(&Verb::Define) {
        return Some("it changes the schema");
    }
    match catalog.relation(&one.name) {
        Some(relation) if !relation.key.is_empty() => None,
        _ => Some("the table has no primary key to know a row by"),
    }
}

/// What can be done about it afterwards, one sentence.
fn undo(effect: &Effect, lasting: Option<&str>, rows: Option<Rows>) -> String {
    if effect.is_read_only() {
        return "nothing to undo: it only reads".to_owned();
    }
    if let Some(why) = lasting {
        return format!("cannot be undone: {why}");
    }
    match rows {
        Some(rows) if rows.count > UNDO_ROWS_MAX => {
            format!("cannot be undone: old rows are kept up to {UNDO_ROWS_MAX}")
        }
        _ => {
            let kept =
                if effect.verb == Verb::Insert { "which rows it added is kept" } else { "the old rows are kept" };
            format!("can be undone: {kept}, and a statement that puts them back is ready to be signed")
        }
    }
}

/// Labels of the columns an effect touches. `*` stands for every column of the relation.
pub fn labels_touched(effect: &Effect, labels: &BTreeMap<String, String>, catalog: &Catalog) -> Vec<String> {
    let mut found = Vec::new();
    for relation in &effect.relations {
        for column in relation.reads.iter().chain(&relation.writes) {
            let prefix = format!("{}.", relation.name);
            let mut add = |name: &str| found.extend(labels.get(&format!("{prefix}{name}")).cloned());
            if column == "*" {
                let known = catalog.relation(&relation.name).map_or(&[][..], |r| &r.columns);
                for known in known {
                    add(&known.name);
                }
                labels
                    .iter()
                    .filter(|(name, _)| name.starts_with(&prefix))
                    .for_each(|(_, label)| found.push(label.clone()));
            } else {
                add(column);
            }
        }
    }
    found.retain(|label| label != "plain");
    found.sort_unstable();
    found.dedup();
    found
}
