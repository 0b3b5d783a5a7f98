//! Several proposals of one task, each in full, and one gesture for all of them.

use artifact::Timestamp;
use doors::agents::Status;
use doors::people::{Person, QueueRow, Risk, Together};
use maud::{Markup, html};

use super::review::code;
use super::{At, Signing, environment_chip, moment, page, risk_chip, signing};
use crate::facts::{Fact, Facts, Tone, exact_title, facts};
use crate::input::exact;
use crate::people::Passkeys;
use crate::text::{marked, marked_lines};

/// The page. Nothing can be signed before each of them was ticked.
pub(crate) fn together_page(who: &Person, passkeys: &Passkeys, together: &Together, now: Timestamp) -> Markup {
    let all: Vec<Facts> = together.views.iter().map(facts).collect();
    // What is the same of each is said once.
    let of_first = all.first().map(|facts| facts.items.iter().collect::<Vec<_>>()).unwrap_or_default();
    let common: Vec<&Fact> =
        of_first.into_iter().filter(|fact| all.iter().all(|other| other.items.contains(fact))).collect();
    let ids: Vec<String> = together.views.iter().map(|view| view.row.id.to_string()).collect();
    page(
        Some(who),
        At::Queue,
        "Sign together",
        html! {
            p.crumbs { a href="/" { "‹ Queue" } }
            h1 tabindex="-1" autofocus { "Sign " (together.views.len()) " proposals together" }
            p.lede { "One task, one target, nothing grave. Each is approved by itself and runs by itself; read each, tick it, then sign the list of them." }
            (list(&common))
            @for (view, facts) in together.views.iter().zip(&all) {
                article.card data-together aria-label={ "Proposal " (view.row.id) } {
                    p.chips { (risk_chip(view.row.risk)) (environment_chip(&view.row.environment)) span.mono { (view.row.id) " r" (view.row.revision) } " "
                        span.when { "expires " (moment(view.row.expires_at, now)) } }
                    h2 { (marked(&facts.headline)) }
                    (list(&facts.items.iter().filter(|fact| !common.contains(fact)).collect::<Vec<_>>()))
                    @for finding in &view.findings { p.dim { (marked(&finding.sentence)) } }
                    div.bytes data-artifact=(exact(&view.artifact)) {
                        h3 { (exact_title(view)) }
                        (code(&view.artifact, &format!("The bytes of {}, line by line", view.row.id)))
                    }
                    @if let Some(statement) = &view.statement {
                        details data-statement=(exact(statement)) { summary { "Its statement" } pre.statement tabindex="0" { (marked_lines(statement)) } }
                    }
                    @if !view.purpose.is_empty() { p.dim { "The agent says: " q { (marked(&view.purpose)) } } }
                    label.tick { input type="checkbox" data-tick; " I have read this one" }
                    p { a href={ "/r/" (view.row.id) } { "Everything about it" } }
                }
            }
            section.card {
                h2 { "The list that you sign" }
                p.dim { "Signing as " strong { (marked(&who.name)) } ". Each line names one of the statements above by its digest." }
                (signing(&Signing {
                    action: "/together/sign".to_owned(), statement: &together.batch, attachment: None, passkeys, button: "Sign & run all",
                    command: format!("wetink approve {}", ids.join(" ")), high: false, arm: None, bytes: false,
                    items: together.views.iter().filter_map(|view| view.statement.as_deref()).collect(),
                }))
            }
        },
    )
}

fn list(facts: &[&Fact]) -> Markup {
    html! {
        dl { @for fact in facts {
            div class=(if fact.tone == Tone::Warn { "warn" } else { "" }) { dt { (fact.label) } dd { (marked(&fact.value)) @if !fact.note.is_empty() { " " span.note { (marked(&fact.note)) } } } } } }
    }
}

/// What of the queue could be signed together: two or more of one task at one target, none of them grave.
pub(crate) fn together_form(who: &Person, rows: &[QueueRow]) -> Markup {
    let fits = |row: &&QueueRow| row.status == Status::Pending && row.risk != Risk::High;
    let mut groups: Vec<Vec<&QueueRow>> = Vec::new();
    for row in rows.iter().filter(fits) {
        match groups.iter_mut().find(|group| group[0].task == row.task && group[0].target == row.target) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups.retain(|group| group.len() > 1);
    let may_decide = who.roles.iter().any(|role| role == "reviewer");
    html! {
        @for group in groups.iter().filter(|_| may_decide) {
            section.card {
                details {
                    summary { "Sign several of " (marked(&group[0].agent)) " at " (marked(&group[0].target)) " together" }
                    form method="get" action="/together" {
                        @for row in group { label.tick { input type="checkbox" name="proposal" value=(row.id); " " (marked(&row.headline)) " " span.mono { (row.id) } } }
                        button.primary type="submit" { "Read the ticked ones" }
                    }
                }
            }
        }
    }
}
