//! Rows before and after, from a trial that was rolled back.

use doors::people::{Person, RowsView};
use maud::{Markup, html};
use wire::order::{Change, Sample};

use super::held::cell;
use super::{At, page};
use crate::text::{counted, cut, grouped, marked};

/// Longest column name shown, in characters.
const NAME_MAX: usize = 200;

pub(crate) fn rows_page(who: &Person, view: &RowsView) -> Markup {
    page(
        Some(who),
        At::Queue,
        "Rows before and after",
        html! {
            p.crumbs { a href={ "/r/" (view.proposal) } { "‹ " (view.proposal) } }
            h1 tabindex="-1" autofocus { "Rows before and after" }
            p.lede { "It was run just now and rolled back: " (counted(view.rows, "row", "rows"))
                @if let Some(of) = view.of { " of " (grouped(of)) }
                ". Nothing was changed, and the agent sees none of this." }
            @match &view.sample {
                Some(sample) => { (table(sample, view.rows)) }
                None => { p { "No single rows can be shown: the target cannot tell them, or no open task covers all that this does." } }
            }
        },
    )
}

fn table(sample: &Sample, all: u64) -> Markup {
    let shown = sample.rows.len();
    html! {
        section.card.fence-card aria-labelledby="data-title" {
            div.bar { h2 #data-title { span.mono { (marked(&sample.relation)) } }
                p.dim { "From the target, shown as text. Labelled columns are masked." } }
            div.fence.scroll tabindex="0" role="region" aria-label="The rows" {
                table {
                    thead { tr {
                        th scope="col" { "Row" }
                        @for name in &sample.columns { th scope="col" { span.data { (marked(cut(name, NAME_MAX).0)) } } }
                    } }
                    tbody { @for (at, change) in sample.rows.iter().enumerate() { (row(at, change, sample.columns.len())) } }
                }
            }
            @if (shown as u64) < all { p.dim { "The first " (shown) " of " (grouped(all)) " rows." } }
        }
    }
}

/// One line for a row that is added or removed; two for one that is changed, the second with what is new.
fn row(at: usize, change: &Change, width: usize) -> Markup {
    let word = match (&change.before, &change.after) {
        (Some(_), Some(_)) => "before",
        (Some(_), None) => "old",
        _ => "new",
    };
    html! {
        @if let Some(before) = &change.before {
            tr { th scope="row" { (at + 1) " " span.dim { (word) } }
                @for (i, text) in before.iter().take(width).enumerate() {
                    @let differs = change.after.as_ref().is_some_and(|after| after.get(i) != Some(text));
                    td.data { @if differs { del { (cell(text.as_deref())) } } @else { (cell(text.as_deref())) } }
                } }
        }
        @if let Some(after) = &change.after {
            tr { th scope="row" { @if change.before.is_none() { (at + 1) " " } span.dim { @if change.before.is_some() { "after" } @else { (word) } } }
                @for (i, text) in after.iter().take(width).enumerate() {
                    @let differs = change.before.as_ref().is_some_and(|before| before.get(i) != Some(text));
                    td.data { @if differs { ins { (cell(text.as_deref())) } } @else { (cell(text.as_deref())) } }
                } }
        }
    }
}
