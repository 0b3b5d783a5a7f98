//! The queue.

use artifact::Timestamp;
use doors::agents::Status;
use doors::people::{Person, QueueRow};
use maud::{Markup, html};

use super::together::together_form;
use super::{At, environment_chip, framed, moment, risk_chip};
use crate::facts::status_words;
use crate::people::{QUEUE_PAGE, QueueFilter, QueueGroup};
use crate::text::marked;

pub(crate) fn queue_page(who: &Person, filter: QueueFilter, rows: &[QueueRow], now: Timestamp) -> Markup {
    let tab = |group: QueueGroup, text: &str| {
        html! { a href={ "/?group=" (group.as_str()) } aria-current=[(group == filter.group).then_some("true")] { (text) } }
    };
    // Without a script the page asks again by itself.
    let refresh = html! { noscript { meta http-equiv="refresh" content="15"; } };
    framed(
        Some(who),
        At::Queue,
        "Queue",
        refresh,
        html! {
            div.head {
                h1 tabindex="-1" { "Queue" }
                nav.tabs aria-label="Which proposals" {
                    (tab(QueueGroup::Pending, "Waiting")) (tab(QueueGroup::Decided, "Decided")) (tab(QueueGroup::All, "All"))
                }
                label.find hidden { span.sr { "Filter this page" }
                    input #filter type="search" placeholder="Filter this page" autocomplete="off"; }
            }
            p.live role="status" data-live-note hidden { "The queue changed. " a href="" { "Show it" } }
            @if rows.is_empty() {
                section.empty {
                    h2 { @if filter.group == QueueGroup::Pending { "Nothing waits for you" } @else { "Nothing here" } }
                    p { "When an agent proposes something that needs a signature, it appears here." }
                }
            } @else {
                ol.queue data-list {
                    @for row in rows { (entry(row, now)) }
                }
                (together_form(who, rows))
                @if rows.len() >= QUEUE_PAGE {
                    @if let Some(last) = rows.last() {
                        p.more { a.button href={ "/?group=" (filter.group.as_str()) "&before=" (last.created_at) } { "Older" } }
                    }
                }
            }
        },
    )
}

fn entry(row: &QueueRow, now: Timestamp) -> Markup {
    html! {
        li data-item data-state={ (row.id) " " (status_words(row.status)) } class=(if row.risk == doors::people::Risk::High { "high" } else { "" }) {
            a href={ "/r/" (row.id) } {
                span.line {
                    (risk_chip(row.risk))
                    strong.headline { (marked(&row.headline)) }
                }
                span.line.sub {
                    (environment_chip(&row.environment))
                    span { (marked(&row.target)) }
                    span class=(if row.in_scope { "" } else { "warn" }) {
                        @if row.in_scope { "in scope" } @else { "OUT OF SCOPE" }
                    }
                    span { (marked(&row.agent)) " for " (marked(&row.person)) }
                    span.mono { (row.id) " r" (row.revision) }
                    @if row.status == Status::Pending {
                        span.when { "expires " (moment(row.expires_at, now)) }
                    } @else {
                        span.state { (status_words(row.status)) }
                        span.when { (moment(row.created_at, now)) }
                    }
                }
            }
        }
    }
}
