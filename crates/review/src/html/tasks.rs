//! Tasks: what a person asked an agent to do, what it may do, stopping it.

use artifact::Timestamp;
use doors::people::{NewPass, Overview, Person};
use maud::{Markup, html};
use wire::socket::TaskView;

use super::{At, moment_full, page};
use crate::facts::field;
use crate::text::{clock, grouped, line, marked, marked_lines};

/// The id in a task's statement.
pub(crate) fn task_id(task: &TaskView) -> &str {
    field(&task.statement, "task").unwrap_or_default()
}

fn title(task: &TaskView) -> &str {
    field(&task.statement, "title").unwrap_or("Task")
}

pub(crate) fn tasks_page(who: &Person, overview: &Overview, now: Timestamp) -> Markup {
    let registry = &overview.registry;
    page(
        Some(who),
        At::Tasks,
        "Tasks",
        html! {
            div.head { h1 tabindex="-1" { "Tasks" } }
            @if !registry.stopped.is_empty() {
                section.card.stopped {
                    h2 { "Stopped" }
                    ul.plain { @for scope in &registry.stopped { li.row {
                        strong.mono { (marked(scope)) }
                        form method="post" action="/grants" {
                            input type="hidden" name="grant" value="resume"; input type="hidden" name="scope" value=(scope);
                            button type="submit" { "Resume (needs a signature)" }
                        }
                    } } }
                }
            }
            @if registry.tasks.is_empty() {
                section.empty { h2 { "No open task" } p { "Open one below, or in a terminal with " code { "wetink task new" } "." } }
            } @else {
                ol.queue data-list {
                    @for task in &registry.tasks { li data-item {
                        a href={ "/tasks/" (line(task_id(task))) } {
                            span.line { strong.headline { (marked(title(task))) }
                                @if task.closed_at.is_some() { span.chip { "CLOSED" } } @else { span.chip.low { "OPEN" } } }
                            span.line.sub {
                                span { (marked(field(&task.statement, "agent").unwrap_or_default())) " for " (marked(&task.person)) }
                                span { (marked(field(&task.statement, "target").unwrap_or_default())) }
                                span { (grouped(task.rows_used)) " rows used" }
                                span.mono { (marked(task_id(task))) }
                                @if let Some(at) = task.closed_at { span.when { "closed " (clock(at, Some(now))) } }
                            }
                        }
                    } }
                }
            }
            (open_form(overview))
            section.card #stop {
                h2 { "Stop" }
                p { "Takes effect at once and needs no signature. Resuming does." }
                form.inline method="post" action="/stop" {
                    label { "What" input name="scope" type="text" value="all" required maxlength="255" list="scopes" autocomplete="off"; }
                    datalist #scopes { option value="all" {}
                        @for task in registry.tasks.iter().filter(|t| t.closed_at.is_none()) { option value={ "task:" (line(task_id(task))) } {} }
                        @for target in &registry.targets { option value={ "target:" (target.registration.name) } {} } }
                    button.danger type="submit" { "Stop now" }
                }
            }
        },
    )
}

fn open_form(overview: &Overview) -> Markup {
    html! {
        section.card {
            details {
                summary { "Open a task" }
                form method="post" action="/grants" {
                    input type="hidden" name="grant" value="task";
                    label { "What should the agent do? One line, in your words." input name="title" type="text" required maxlength="200"; }
                    div.grid {
                        label { "Agent" input name="agent" type="text" required maxlength="60" autocomplete="off"; }
                        label { "Target" select name="target" required {
                            @for target in &overview.registry.targets { option { (line(&target.registration.name)) } } } }
                        label { "Type, if policies name it" input name="task_type" type="text" maxlength="40" autocomplete="off"; }
                        label { "Minutes until it ends" input name="minutes" type="number" min="1" max="1440" value="240" required; }
                        label { "Most rows of one run" input name="rows_per_run" type="number" min="0" value="100" required; }
                        label { "Most rows of all runs" input name="rows_total" type="number" min="0" value="1000" required; }
                    }
                    label { "It may, one line each" textarea.mono name="may" rows="3" placeholder="read main.orders(id,status)" spellcheck="false" {} }
                    label { "It may never, whoever signs it, one line each" textarea.mono name="never" rows="2" placeholder="delete main.orders" spellcheck="false" {} }
                    label { "Functions a read may call, one line each" textarea.mono name="functions" rows="2" placeholder="count" spellcheck="false" {} }
                    label.tick { input type="checkbox" name="auto_reads" value="yes"; " Reads inside this scope run without a further signature" }
                    button.primary type="submit" { "Continue to the statement" }
                }
            }
        }
    }
}

pub(crate) fn task_page(who: &Person, task: &TaskView, now: Timestamp) -> Markup {
    let id = task_id(task);
    let agent = field(&task.statement, "agent").unwrap_or_default();
    let open = task.closed_at.is_none();
    page(
        Some(who),
        At::Tasks,
        id,
        html! {
            p.crumbs { a href="/tasks" { "‹ Tasks" } span.mono { (marked(id)) } }
            h1 tabindex="-1" autofocus { (marked(title(task))) }
            p.lede { (marked(agent)) " for " (marked(&task.person)) " · " (grouped(task.rows_used)) " rows used · "
                @if let Some(at) = task.closed_at { "closed " (moment_full(at, now)) } @else { "open" } }
            section.card {
                h2 { "Signed scope" }
                pre.statement tabindex="0" { (marked_lines(&task.statement)) }
                p.actions { a.button href={ "/audit?task=" (line(id)) } { "Everything that happened" } }
            }
            @if open {
                section.card {
                    h2 { "A pass for the agent" }
                    p { "With it the agent can propose and collect what you release. It opens nothing else, and ends by itself." }
                    form.inline method="post" action={ "/tasks/" (line(id)) "/pass" } {
                        label { "Minutes" input name="minutes" type="number" min="1" max="1440" value="240" required; }
                        label { "Bound to (optional): a key's thumbprint, cert:…, or spiffe://…" input name="key" type="text" maxlength="2048" autocomplete="off" spellcheck="false"; }
                        button.primary type="submit" { "Make a pass" }
                    }
                }
                section.card {
                    h2 { "End it" }
                    div.row {
                        form method="post" action="/stop" {
                            input type="hidden" name="scope" value={ "task:" (line(id)) };
                            button.danger type="submit" { "Stop this task now" }
                        }
                        form method="post" action="/grants" {
                            input type="hidden" name="grant" value="close_task"; input type="hidden" name="task" value=(line(id));
                            button type="submit" { "Close it (needs a signature)" }
                        }
                    }
                }
            }
        },
    )
}

/// Shown once.
pub(crate) fn pass_page(who: &Person, pass: &NewPass, now: Timestamp) -> Markup {
    page(
        Some(who),
        At::Tasks,
        "New pass",
        html! {
            p.crumbs { a href={ "/tasks/" (pass.task) } { "‹ " (pass.task) } }
            section.card.narrow {
                h1 tabindex="-1" { "A pass for " (marked(&pass.agent)) }
                p { "Shown once. Give it to the agent, not to people. It can propose and collect, nothing else, and ends " (moment_full(pass.expires_at, now)) "." }
                dl.pairs {
                    dt { "Address" } dd { code { (line(&pass.url)) } }
                    dt { "Pass" } dd { code.secret-text { (line(&pass.pass)) } }
                }
            }
        },
    )
}
