//! A held result and what of it an agent may have.

use doors::people::{HeldView, Person};
use maud::{Markup, html};

use super::{At, page};
use crate::text::{counted, cut, grouped, marked};

/// Longest cell shown, in characters.
const CELL_MAX: usize = 200;
/// Most rows shown.
const ROWS_MAX: usize = 200;
/// Most cells shown in all, so that a result of thousands of columns still makes a page.
const CELLS_MAX: usize = 20_000;

pub(crate) fn held_page(who: &Person, held: &HeldView) -> Markup {
    let columns = held.result.columns.len();
    let shown = held.result.rows.len().min(ROWS_MAX).min(CELLS_MAX / columns.max(1));
    page(
        Some(who),
        At::Queue,
        "Held result",
        html! {
            p.crumbs { a href={ "/r/" (held.proposal) } { "‹ " (held.proposal) " r" (held.revision) } span.mono { (held.run) } }
            h1 tabindex="-1" autofocus { "Held result" }
            p.lede { (counted(held.affected, "row changed", "rows changed")) " · "
                (counted(held.result.total_rows, "row returned", "rows returned"))
                ". The agent has seen none of it. Choose the least that does the job." }
            @if !held.seen.is_empty() {
                ul.dim { @for line in &held.seen { li { (marked(line)) } } }
            }
            form method="post" action={ "/runs/" (held.run) } {
                fieldset.card.choices {
                    legend { "The agent may have" }
                    label.tick { input type="radio" name="rows" value="none" checked; " only the counts" }
                    @if !held.result.rows.is_empty() {
                        label.tick { input type="radio" name="rows" value="all"; " all " (grouped(held.result.rows.len() as u64)) " rows, columns as chosen below" }
                        label.tick { input type="radio" name="rows" value="some"; " the rows ticked below, columns as chosen" }
                    }
                }
                @if columns > 0 {
                    section.card.fence-card aria-labelledby="data-title" {
                        div.bar { h2 #data-title { "Unreleased data" }
                            p.dim { "From the target, shown as text. Nothing in it speaks for Wetink." } }
                        div.fence.scroll tabindex="0" role="region" aria-label="The rows" {
                            table {
                                thead { tr {
                                    th.pick scope="col" { span.sr { "Release row" } }
                                    @for (i, column) in held.result.columns.iter().enumerate() {
                                        @let label = held.labels.get(i).map_or("secret", String::as_str);
                                        th scope="col" {
                                            span.data { (marked(cut(&column.name, CELL_MAX).0)) }
                                            span class={ "label " (class_of(label)) } { (marked(label)) }
                                            select name={ "col-" (i) } aria-label={ "Column " (i + 1) } {
                                                option value="" selected[class_of(label) == "secret"] { "withhold" }
                                                option value="mask" selected[class_of(label) == "personal"] { "mask" }
                                                option value="show" selected[class_of(label) == "plain-label"] { "show" }
                                            }
                                        }
                                    }
                                } }
                                tbody {
                                    @for (i, row) in held.result.rows.iter().take(shown).enumerate() {
                                        tr {
                                            td.pick { input type="checkbox" name="row" value=(i) aria-label={ "Release row " (i + 1) }; }
                                            @for cell_text in row.iter().take(columns) { td.data { (cell(cell_text.as_deref())) } }
                                        }
                                    }
                                }
                            }
                        }
                        @if shown < held.result.rows.len() {
                            p.dim { "The first " (shown) " of " (grouped(held.result.rows.len() as u64)) " rows are shown; the rest can be released with all or from the terminal." }
                        }
                    }
                }
                @if columns > 0 {
                    fieldset.card {
                        legend { "Values you vouch for" }
                        p.dim #vouch-help { "An account or address of this result that the agent may act on in this task as if you had named it. One a line, copied whole. Leave it empty if in doubt." }
                        textarea name="vouch" rows="2" spellcheck="false" aria-label="Values you vouch for, one a line" aria-describedby="vouch-help" {}
                    }
                }
                p.actions { button.primary type="submit" { "Continue to the release statement" } }
                p.terminal { "In a terminal: " code { "wetink result release " (held.run) } }
            }
        },
    )
}

fn class_of(label: &str) -> &'static str {
    match label {
        "plain" => "plain-label",
        "personal" => "personal",
        // What nobody labelled and looks like it.
        guessed if guessed.starts_with("personal (") => "personal",
        _ => "secret",
    }
}

/// One cell: cut at [`CELL_MAX`], with the count of what is missing.
pub(crate) fn cell(text: Option<&str>) -> Markup {
    match text {
        None => html! { span.null { "NULL" } },
        Some(text) => {
            let (shown, all) = cut(text, CELL_MAX);
            html! { (marked(shown)) @if let Some(all) = all { span.cut { " … " (grouped(all as u64)) " characters in all" } } }
        }
    }
}
