//! The plain-text skin for terminals. No escape sequence is ever written, and data can neither start a line nor look
//! like a heading: every line of it stands behind a gutter and is wrapped here, not by the terminal.

use std::fmt::Write as _;

use doors::credential::credential_words;
use doors::people::ReviewView;

use crate::facts::{byte_facts, effect_line, effect_notes, facts, finding_place, origin_word};
use crate::text::{clock, cut, line};

/// Cells of data on one line; with the gutter everything fits 80 columns.
const WIDTH: usize = 70;

/// Everything a reviewer sees of one proposal, as plain text safe to print to a terminal: no control character but line
/// feed, no hidden character, at most 80 columns.
pub fn plain(view: &ReviewView) -> String {
    let facts = facts(view);
    let mut out = String::new();
    block(&mut out, "", &facts.headline);
    block(&mut out, "  ", &format!("{} · {}", facts.risk_word, crate::facts::status_words(view.row.status)));
    for words in &facts.band {
        block(&mut out, "  ! ", words);
    }
    out.push('\n');
    for fact in &facts.items {
        _ = write!(out, "{:<6}", fact.label);
        block_from(&mut out, 6, "      ", &fact.value);
        if !fact.note.is_empty() {
            block(&mut out, "      ", &fact.note);
        }
    }
    _ = writeln!(out, "\nEXACT ARTIFACT ({})", line(&view.kind));
    block(&mut out, "  ", &byte_facts(&view.artifact));
    _ = writeln!(out, "  {}", view.digest);
    _ = writeln!(out, "  words {}", line(&view.words));
    for (i, text) in view.artifact.split('\n').enumerate() {
        for (k, part) in wrap(&line(text), WIDTH).into_iter().enumerate() {
            _ = if k == 0 { writeln!(out, "{:>5} | {part}", i + 1) } else { writeln!(out, "      : {part}") };
        }
    }
    if !view.findings.is_empty() {
        out.push_str("\nFINDINGS\n");
        for finding in &view.findings {
            block(&mut out, "  ", &format!("{} · {} · {}", finding.severity, finding.code, finding.sentence));
            if let Some(place) = finding_place(&view.artifact, finding) {
                block(&mut out, "    ", &place);
            }
        }
    }
    if !view.origins.is_empty() {
        out.push_str("\nWHERE ITS VALUES COME FROM\n");
        for line in &view.origins {
            let mark = if line.alarm == "red" { "! " } else { "" };
            let source = line.source.as_deref().map(|source| format!(" ({source})")).unwrap_or_default();
            block(&mut out, "  ", &format!("{mark}{}: {}{source}", origin_word(&line.origin), line.value));
            block(&mut out, "    ", &line.sentence);
        }
    }
    if let Some(sibling) = &view.sibling {
        let rows = sibling.affected.map(|rows| format!(", which changed {rows}")).unwrap_or_default();
        let mut lines = vec![format!("{}{rows}", sibling.proposal)];
        lines.extend(sibling.differs.iter().map(|(then, now)| format!("{then} -> {now}")));
        lines.extend(sibling.changed.iter().map(|line| format!("since then: {line}")));
        section(&mut out, "LIKE ONE SIGNED BEFORE", &lines);
    }
    out.push_str("\nEFFECT (the signature covers it)\n");
    _ = writeln!(out, "  {}", view.effect.digest());
    for relation in &view.effect.relations {
        let shown = effect_line(relation);
        block(&mut out, "  ", &format!("{} {}", shown.verbs, shown.relation));
        for (verb, columns) in shown.columns {
            block(&mut out, "    ", &format!("{verb} {columns}"));
        }
    }
    for note in effect_notes(view) {
        block(&mut out, "  ", &note);
    }
    let whose = credential_words(&view.registration, &view.effect, &view.row.person);
    section(&mut out, "WITH WHOSE CREDENTIAL", &[whose]);
    section(&mut out, "TASK SCOPE", &view.task_scope);
    section(&mut out, "POLICY", &view.reasons);
    let history: Vec<String> = view.history.iter().map(|(at, what)| format!("{} {what}", clock(*at, None))).collect();
    section(&mut out, "HISTORY", &history);
    if let Some(reason) = &view.reason {
        section(&mut out, "REASON", std::slice::from_ref(reason));
    }
    out.push_str("\nTHE AGENT SAYS (not verified)\n");
    let (purpose, all) = cut(&view.purpose, doors::agents::PURPOSE_MAX);
    block(&mut out, "  > ", purpose);
    if let Some(all) = all {
        _ = writeln!(out, "  (first {} of {all} characters)", doors::agents::PURPOSE_MAX);
    }
    if let Some(statement) = &view.statement {
        out.push_str("\nSTATEMENT TO SIGN\n");
        for text in statement.lines() {
            block(&mut out, "  | ", text);
        }
    }
    out
}

fn section(out: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        _ = writeln!(out, "\n{title}");
        for line in lines {
            block(out, "  ", line);
        }
    }
}

fn block(out: &mut String, indent: &str, text: &str) {
    out.push_str(indent);
    block_from(out, indent.len(), indent, text);
}

/// Writes `text` wrapped; the first line is already indented by `used` columns.
fn block_from(out: &mut String, used: usize, indent: &str, text: &str) {
    let width = WIDTH + 8 - used.max(indent.len());
    for (i, part) in wrap(&line(text), width).into_iter().enumerate() {
        if i > 0 {
            out.push_str(indent);
        }
        _ = writeln!(out, "{part}");
    }
}

/// Cuts a line into parts of at most `width` columns, at spaces where one is near. Characters beyond ASCII count as two
/// columns, which is never too few.
fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let mut columns = 0;
        let mut space = None;
        let mut end = None;
        for (at, c) in rest.char_indices() {
            columns += if c.is_ascii() || c == '·' { 1 } else { 2 };
            if columns > width {
                end = Some(space.filter(|s| *s > at / 2).unwrap_or(at));
                break;
            }
            if c == ' ' {
                space = Some(at + 1);
            }
        }
        match end {
            Some(at) if at > 0 => {
                parts.push(&rest[..at]);
                rest = &rest[at..];
            }
            _ => {
                parts.push(rest);
                return parts;
            }
        }
    }
}
