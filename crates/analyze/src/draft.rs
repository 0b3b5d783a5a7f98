use std::collections::BTreeSet;

use artifact::catalog::{Catalog, unnamed_column};
use artifact::effect::Verb;
use artifact::{Effect, visible};
use reading::bound::{self, ParameterType};

use crate::{Analysis, Code, Finding, sentence};

/// Most findings kept; the first of each kind come first anyway.
const MAX_FINDINGS: usize = 200;

/// Most pieces of SQL that are followed behind one artifact.
const MAX_BEHIND: usize = 500;

/// SQL that the target runs by itself because of something that was claimed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Behind {
    /// A view's query.
    View { name: String, sql: String },
    /// A default, a check, a policy: over the columns of one row.
    Expression { relation: String, sql: String },
    /// A function's body. `row`: it is a trigger's, for this relation and verb.
    Function { name: String, definition: String, row: Option<(String, Verb)> },
    /// A trigger that may fire.
    Trigger { relation: String, verb: Verb, definition: String },
}

/// An analysis in the making.
pub(crate) struct Draft {
    pub(crate) effect: Effect,
    pub(crate) statements: u32,
    /// Types of the values that came with the statement.
    pub(crate) given: Vec<ParameterType>,
    /// Which of them it uses, counted from 1.
    used: BTreeSet<usize>,
    /// Relations of which every row is changed or deleted.
    pub(crate) all_rows: BTreeSet<String>,
    findings: Vec<Finding>,
    understood: bool,
    behind: Vec<Behind>,
    followed: BTreeSet<Behind>,
}

impl Draft {
    pub(crate) fn new() -> Self {
        Self {
            effect: Effect::empty(),
            statements: 0,
            given: Vec::new(),
            used: BTreeSet::new(),
            all_rows: BTreeSet::new(),
            findings: Vec::new(),
            understood: true,
            behind: Vec::new(),
            followed: BTreeSet::new(),
        }
    }

    /// Adds a finding once. A blocking code makes the artifact not understood, even if the list is full.
    pub(crate) fn note(&mut self, code: Code, span: Option<(usize, usize)>, sentence: impl Into<String>) {
        if code.blocks() {
            self.understood = false;
        }
        let finding = Finding { code, severity: code.severity(), span, sentence: sentence.into() };
        if self.findings.len() < MAX_FINDINGS && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Takes the values off the text. What looks like values and is not blocks.
    pub(crate) fn take_parameters(&mut self, text: &str) {
        match bound::read(text) {
            Ok(bound) => self.given = bound.parameters.iter().map(|parameter| parameter.of).collect(),
            Err(error) => self.note(Code::Parameter, None, format!("The parameters cannot be read: {error}.")),
        }
    }

    /// The statement uses the parameter of this number, counted from 1.
    pub(crate) fn use_parameter(&mut self, number: usize, span: Option<(usize, usize)>) {
        if !(1..=self.given.len()).contains(&number) {
            return self.note(Code::Parameter, span, format!("The parameter {number} has no value."));
        }
        self.used.insert(number);
    }

    /// A value that is shown and not used would be read as if it mattered.
    pub(crate) fn all_parameters_are_used(&mut self) {
        let unused = (1..=self.given.len()).find(|number| !self.used.contains(number));
        if let Some(number) = unused {
            self.note(Code::Parameter, None, format!("The value of parameter {number} is used nowhere."));
        }
    }

    /// True if nothing was found so far that analysis does not follow.
    pub(crate) fn is_understood(&self) -> bool {
        self.understood
    }

    /// True if the text checks found the artifact too large or too deep for a parser.
    pub(crate) fn cannot_parse(&self) -> bool {
        self.findings.iter().any(|f| matches!(f.code, Code::TooLarge | Code::NestedTooDeep))
    }

    pub(crate) fn claim(&mut self, relation: &str, verb: Verb) {
        add_verb(&mut self.effect.relation_mut(relation).verbs, verb);
    }

    pub(crate) fn claim_read(&mut self, relation: &str, column: &str) {
        let used = self.effect.relation_mut(relation);
        add_verb(&mut used.verbs, Verb::Read);
        add_column(&mut used.reads, column);
    }

    pub(crate) fn claim_write(&mut self, relation: &str, verb: Verb, column: &str) {
        let used = self.effect.relation_mut(relation);
        add_verb(&mut used.verbs, verb);
        add_column(&mut used.writes, column);
    }

    /// Seeing that rows exist needs a right on some column. Where no column can stand for that without being named by the
    /// statement, or by code that it runs, the first one is claimed.
    pub(crate) fn claim_existence(&mut self, text: &str, catalog: &Catalog) {
        let elsewhere = self.effect.runs_code_of_users();
        for used in &mut self.effect.relations {
            if used.verbs.contains(&Verb::Read) && used.reads.is_empty() {
                let columns = catalog.relation(&used.name).map(|r| r.columns.as_slice()).unwrap_or_default();
                if elsewhere || unnamed_column(columns.iter().map(|c| c.name.as_str()), text).is_none() {
                    used.reads.extend(columns.first().map(|c| c.name.clone()));
                }
            }
        }
    }

    /// Has something followed, once.
    pub(crate) fn follow(&mut self, item: Behind) {
        if self.followed.len() >= MAX_BEHIND {
            return self.note(Code::EffectTooLarge, None, "More runs behind the statement than analysis goes after.");
        }
        if self.followed.insert(item.clone()) {
            self.behind.push(item);
        }
    }

    /// What waits to be followed.
    pub(crate) fn next_behind(&mut self) -> Option<Behind> {
        self.behind.pop()
    }

    /// Nothing of what was claimed so far is run, only planned: it reads definitions and statistics. Functions are followed all
    /// the same, since the planner may call them.
    pub(crate) fn only_planned(&mut self) {
        self.behind.retain(|item| matches!(item, Behind::Function { .. }));
        for relation in &mut self.effect.relations {
            relation.verbs = vec![Verb::Read];
            relation.reads.append(&mut relation.writes);
        }
        self.effect.verb = Verb::Read;
        self.all_rows.clear();
        self.findings.retain(|f| {
            !matches!(
                f.code,
                Code::NoWhere
                    | Code::RowLocks
                    | Code::Cascades
                    | Code::WritingCte
                    | Code::SequenceAdvanced
                    | Code::WritesView
            )
        });
    }

    /// Bytes of all names in the effect, with what stands around each.
    fn names_length(&self) -> usize {
        const AROUND: usize = 30;
        let all = |names: &[String]| names.iter().map(|name| name.len() + AROUND).sum::<usize>();
        let relations = self
            .effect
            .relations
            .iter()
            .map(|r| r.name.len() + 4 * AROUND + all(&r.reads) + all(&r.writes) + all(&r.computed));
        relations.sum::<usize>() + all(&self.effect.functions)
    }

    pub(crate) fn finish(mut self) -> Analysis {
        self.effect.normalize();
        for relation in &mut self.effect.relations {
            // One spelling: `*` says all that the others say.
            for list in [&mut relation.reads, &mut relation.writes] {
                if list.iter().any(|c| c == "*") {
                    *list = vec!["*".to_owned()];
                }
            }
        }
        // Written out only where it could be too long: each name is, with escapes, at most six times itself.
        if self.names_length() * 6 > Effect::MAX_BYTES / 2 && self.effect.to_canonical().len() > Effect::MAX_BYTES {
            self.note(Code::EffectTooLarge, None, "The effect is too large to be shown and signed.");
            self.effect.relations.clear();
            self.effect.functions.clear();
        }
        if !self.understood {
            self.effect.verb = Verb::Define;
        }
        self.findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.span.cmp(&b.span)).then(a.code.cmp(&b.code)));
        let sentence = sentence::sentence(&self.effect, &self.findings, self.understood, &self.all_rows);
        Analysis {
            understood: self.understood,
            effect: self.effect,
            findings: self.findings,
            statements: self.statements,
            sentence,
        }
    }
}

fn add_verb(verbs: &mut Vec<Verb>, verb: Verb) {
    if !verbs.contains(&verb) {
        verbs.push(verb);
    }
}

/// Most columns are named several times, one soon after the other; what is doubled in spite of this is taken out at the end.
fn add_column(columns: &mut Vec<String>, column: &str) {
    const LOOKED_AT: usize = 8;
    if !columns.iter().rev().take(LOOKED_AT).any(|known| known == column) {
        columns.push(column.to_owned());
    }
}

/// A name for a sentence: hidden characters escaped, cut to a readable length.
pub(crate) fn quoted(name: &str) -> String {
    if name.len() <= 80 && name.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return format!("`{name}`");
    }
    let shown: String = name.chars().take(80).collect();
    let dots = if shown.len() < name.len() { "…" } else { "" };
    format!("`{}{dots}`", visible(&shown).replace('\n', "⏎"))
}
