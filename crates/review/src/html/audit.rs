//! The log, newest first.

use doors::people::{AuditFilter, AuditRow, Person};
use maud::{Markup, html};
use serde_json::Value;

use super::{At, page};
use crate::text::{grouped, marked, marked_lines};

/// Fields of the filter: name, label, current value.
fn fields(filter: &AuditFilter) -> [(&'static str, &'static str, &str); 6] {
    fn text(v: Option<&String>) -> &str {
        v.map(String::as_str).unwrap_or_default()
    }
    [
        ("actor", "Actor", text(filter.actor.as_ref())),
        ("event", "Event", text(filter.event.as_ref())),
        ("target", "Target", text(filter.target.as_ref())),
        ("task", "Task", text(filter.task.as_ref())),
        ("proposal", "Proposal", text(filter.proposal.as_ref())),
        ("digest", "Digest", text(filter.digest.as_ref())),
    ]
}

pub(crate) fn audit_page(who: &Person, filter: &AuditFilter, rows: &[AuditRow]) -> Markup {
    page(
        Some(who),
        At::Audit,
        "Audit",
        html! {
            div.head { h1 tabindex="-1" { "Audit" } a.button href="/audit/checkpoint" { "Checkpoint" } }
            p.lede { "The log only grows. Verify it without this server: " code { "wetink audit verify" } "." }
            form.card.filters method="get" action="/audit" {
                div.grid {
                    @for (name, label, value) in fields(filter) {
                        label { (label) input name=(name) type="search" value=(value) maxlength="200" autocomplete="off" spellcheck="false"; }
                    }
                }
                p.actions { button type="submit" { "Filter" } a.button.quiet href="/audit" { "Clear" } }
            }
            @if rows.is_empty() { section.empty { h2 { "No entry matches" } } }
            @else {
                ol.log {
                    @for row in rows { li { (entry(row)) } }
                }
                @if let Some(last) = rows.last().filter(|r| r.index > 0) {
                    form method="get" action="/audit" {
                        @for (name, _, value) in fields(filter) { @if !value.is_empty() { input type="hidden" name=(name) value=(value); } }
                        input type="hidden" name="before" value=(last.index);
                        p.more { button type="submit" { "Older" } }
                    }
                }
            }
        },
    )
}

/// One entry: what every entry has in a line, everything in the full record.
fn entry(row: &AuditRow) -> Markup {
    let json: Value = serde_json::from_str(&row.entry).unwrap_or_default();
    let text =
        |names: &[&str]| -> String { names.iter().find_map(|n| json.get(n)?.as_str()).unwrap_or_default().to_owned() };
    let (at, event, actor) =
        (text(&["at", "time"]), text(&["event", "kind", "type"]), text(&["actor", "by", "who", "person"]));
    let what: Vec<String> =
        ["proposal", "run", "task", "target"].iter().filter_map(|n| Some(json.get(n)?.as_str()?.to_owned())).collect();
    html! {
        details {
            summary {
                span.index { (grouped(row.index)) }
                span.event { (marked(&event)) }
                span.what { (marked(&actor)) @for w in &what { " · " span.mono { (marked(w)) } } }
                span.when.mono { (marked(at.get(..19).unwrap_or(&at))) }
            }
            pre.statement { (marked_lines(&serde_json::to_string_pretty(&json).unwrap_or_default())) }
            p.digest.dim { "As logged: " span.mono { (marked(&row.entry)) } }
        }
    }
}
