//! What somebody should know about agents.

use doors::people::{Person, SignalView};
use maud::{Markup, html};

use super::{At, moment_full, page};
use crate::text::marked;

/// Alerts of one page, as the desk cuts it.
const PAGE: usize = 50;

/// What a kind of signal means, in few words.
fn words(signal: &str) -> &str {
    match signal {
        "out_of_scope" => "outside its task",
        "denials" => "many denials",
        "first_seen" => "something new",
        "unusual_hour" => "unusual hour",
        "rows" => "many rows",
        "share" => "much of a table",
        "held_value" => "value kept back",
        "canary" => "planted marker",
        "secret_overdue" => "credential due",
        "not_from_request" => "not from the request",
        "masked_value" => "masked value used",
        "secret_inside" => "secret inside",
        other => other,
    }
}

pub(crate) fn alerts_page(who: &Person, rows: &[SignalView]) -> Markup {
    let now = artifact::Timestamp::now();
    page(
        Some(who),
        At::Alerts,
        "Alerts",
        html! {
            div.head { h1 tabindex="-1" { "Alerts" } }
            p.lede { "Drawn from the log, across sessions and tasks. The same of one agent at one target is told once in ten minutes." }
            @if rows.is_empty() { section.empty { h2 { "Nothing unusual so far" } } }
            @else {
                ul.plain {
                    @for row in rows {
                        li.card {
                            p { strong { (marked(words(&row.signal))) } " · " span.dim { (moment_full(row.at, now)) } }
                            p {
                                span.mono { (marked(&row.agent)) }
                                @if !row.person.is_empty() { " for " (marked(&row.person)) }
                                " " (marked(&row.sentence))
                            }
                            p.dim {
                                "target " span.mono { (marked(&row.target)) }
                                @if !row.task.is_empty() { " · task " span.mono { (marked(&row.task)) } }
                                @if let Some(id) = &row.proposal { " · " a href={ "/r/" (id) } { (id) } }
                                @if row.agent.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                                    " · " a href={ "/audit?actor=" (row.agent) } { "all of its entries" }
                                }
                            }
                        }
                    }
                }
                @if let Some(last) = rows.get(PAGE - 1) {
                    form method="get" action="/alerts" {
                        input type="hidden" name="before" value=(last.index);
                        p.more { button type="submit" { "Older" } }
                    }
                }
            }
        },
    )
}
