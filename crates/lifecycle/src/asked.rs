//! What a person asked for and what the agent has seen, which a proposal's values are held against.

use std::fmt::Write as _;
use std::sync::Arc;

use analyze::provenance::{Alarm, Ground, Origin, Source, Traced, call_of, trace};
use analyze::{Analysis, Code, Finding, overlap};
use artifact::{Artifact, visible};

use crate::{OriginLine, TaskScope};

/// Most lines shown.
const LINES_MAX: usize = 50;
/// Most findings made.
const FINDINGS_MAX: usize = 20;
/// Longest value shown, in characters.
const VALUE_MAX: usize = 120;

/// The request and the results of one task.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    request: String,
    vouched: Vec<String>,
    /// Oldest first.
    results: Vec<Arc<Source>>,
    withheld: Vec<Withheld>,
    marked: bool,
}

/// A part of an artifact that a person kept back from its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Its letters and digits, as [`analyze::overlap`] compares them.
    pub text: String,
    /// The bytes it stands at.
    pub span: Option<(usize, usize)>,
    /// The proposal whose result it stands in.
    pub proposal: String,
    /// Column or member there.
    pub field: String,
}

impl Asked {
    /// The task's title and its signed scope are the request; `vouched` stands in signed releases; `results` were released in it, oldest
    /// first.
    pub fn of(task: &TaskScope, vouched: Vec<String>, results: Vec<Arc<Source>>) -> Self {
        let mut request = task.title.clone();
        for may in &task.may {
            _ = write!(request, "\n{may}");
        }
        Self { request, vouched, results, withheld: Vec::new(), marked: false }
    }

    /// Adds what of the artifact was kept back from its author, and whether a marker stands in it.
    #[must_use]
    pub fn with_kept_back(mut self, withheld: Vec<Withheld>, marked: bool) -> Self {
        (self.withheld, self.marked) = (withheld, marked);
        self
    }

    /// Domains of addresses that the person named.
    pub(crate) fn domains_asked_for(&self) -> Vec<String> {
        let words = self.request.split(|c: char| c.is_whitespace() || ",;<>()\"".contains(c));
        let addresses = words.map(|word| word.trim_end_matches(['.', ':', '!', '?']).to_lowercase());
        let addresses = addresses.filter(|word| artifact::mail::is_address(word));
        addresses.filter_map(|address| Some(address.rsplit_once('@')?.1.to_owned())).collect()
    }

    /// Whether a marker stands in the artifact.
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// What the author should not have.
    fn kept_back(&self, analysis: &mut Analysis) {
        let mut note = |code: Code, span, sentence| {
            analysis.findings.push(Finding { code, severity: code.severity(), span, sentence });
        };
        if !self.withheld.is_empty() {
            // The person's own words are no leak, nor is what they vouched for.
            let told = std::iter::once(&self.request).chain(&self.vouched);
            let told: Vec<String> = told.map(|text| overlap::bare(text)).collect();
            for one in self.withheld.iter().filter(|one| !told.iter().any(|text| text.contains(&one.text))) {
                let sentence = format!(
                    "It stands in the result of {}, {}, and was not given to this agent.",
                    shown(&one.proposal),
                    shown(&one.field)
                );
                note(Code::HeldValue, one.span, sentence);
            }
        }
        if self.marked {
            note(Code::Canary, None, "A planted marker stands in it: data has left its place.".to_owned());
            analysis.understood = false;
        }
    }

    /// Traces the values and adds what is alarming to the findings.
    pub(crate) fn hold(&self, artifact: &Artifact, analysis: &mut Analysis) -> Vec<OriginLine> {
        let (call, spans) = call_of(artifact, &analysis.effect);
        let ground = Ground { request: &self.request, vouched: &self.vouched, results: &self.results };
        let mut traced = trace(&call, &ground);
        let red = traced.iter().filter(|t| t.alarm == Alarm::Red).take(FINDINGS_MAX).map(|t| Finding {
            code: Code::NotFromRequest,
            severity: Code::NotFromRequest.severity(),
            span: t.value.and_then(|at| spans.get(at).copied().flatten()),
            sentence: if t.text.is_empty() {
                t.sentence.to_owned()
            } else {
                format!("{}: {}", shown(&t.text), t.sentence)
            },
        });
        analysis.findings.extend(red);
        self.kept_back(analysis);
        analysis.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        traced.sort_by_key(|t| std::cmp::Reverse(t.alarm));
        let mut lines: Vec<OriginLine> = Vec::new();
        for line in traced.iter().filter(|t| !t.text.is_empty()).map(line) {
            if lines.len() < LINES_MAX && !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }
}

fn shown(text: &str) -> String {
    let cut: String = text.chars().take(VALUE_MAX).collect();
    visible(&cut).replace('\n', " ")
}

fn line(traced: &Traced) -> OriginLine {
    let (origin, source) = match &traced.origin {
        Origin::Request => ("request", None),
        Origin::Vouched => ("vouched", None),
        Origin::NamedRecord { source, field } => ("named_record", Some(format!("{source}, {}", shown(field)))),
        Origin::Result { source, .. } => ("result", Some(source.clone())),
        Origin::Nowhere => ("nowhere", None),
    };
    let alarm = match traced.alarm {
        Alarm::None => "none",
        Alarm::Note => "note",
        Alarm::Red => "red",
    };
    OriginLine {
        value: shown(&traced.text),
        origin: origin.to_owned(),
        source,
        alarm: alarm.to_owned(),
        sentence: traced.sentence.to_owned(),
    }
}

/// The columns' names and the rows of a released result.
#[derive(serde::Deserialize)]
struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Option<String>>>,
}

#[derive(serde::Deserialize)]
struct Column {
    name: String,
}

/// Every value of a released result (the agent's view, JSON).
pub fn released_cells(json: &str) -> Vec<String> {
    serde_json::from_str::<Table>(json)
        .map(|table| table.rows.into_iter().flatten().flatten().collect())
        .unwrap_or_default()
}

/// A released result (the agent's view, JSON) as records of fields, one field a line. Empty if it holds no rows.
pub fn released_text(json: &str) -> String {
    let Ok(table) = serde_json::from_str::<Table>(json) else { return String::new() };
    let mut out = String::new();
    for row in &table.rows {
        for (at, (column, cell)) in table.columns.iter().zip(row).enumerate() {
            let mark = if at == 0 { "- " } else { "  " };
            // A cell with lines of its own stays inside of its field.
            let cell = cell.as_deref().unwrap_or("null").replace('\n', "\n    ");
            _ = writeln!(out, "{mark}{}: {cell}", column.name);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_rows_are_records() {
        let json = r#"{"note":"x","affected":0,"total_rows":2,"columns":[{"name":"id","masked":false},{"name":"note","masked":false}],"rows":[["1","a\nb: c"],["2",null]]}"#;
        assert_eq!(released_text(json), "- id: 1\n  note: a\n    b: c\n- id: 2\n  note: null\n");
        assert_eq!(released_text("{}"), "");
        assert_eq!(released_text("nonsense"), "");
    }
}
