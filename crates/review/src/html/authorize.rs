//! A program asks to work for a person: who it says it is, where the answer goes, and what it will never be able to do.

use doors::people::{AuthorizeView, Person};
use maud::{Markup, html};

use super::{At, page};
use crate::text::{line, marked};

pub(crate) fn authorize_page(who: &Person, view: &AuthorizeView) -> Markup {
    let request = &view.request;
    let fields = [
        ("client_id", &request.client_id),
        ("redirect_uri", &request.redirect_uri),
        ("response_type", &request.response_type),
        ("code_challenge", &request.code_challenge),
        ("code_challenge_method", &request.code_challenge_method),
        ("scope", &request.scope),
        ("state", &request.state),
        ("resource", &request.resource),
    ];
    page(
        Some(who),
        At::Elsewhere,
        "Let a program in",
        html! {
            section.card.narrow {
                h1 tabindex="-1" autofocus { "Let a program in?" }
                p.lede { "A program that calls itself " strong { (marked(&view.client)) } " asks to propose in your name." }
                ul.plain {
                    li { "It can propose, ask how a proposal stands, and collect what you release." }
                    li { "It can never approve anything, and never holds a credential." }
                    li { "Every run still needs what the task's signed scope says." }
                }
                dl.facts {
                    dt { "The answer goes to" } dd.mono { (marked(&request.redirect_uri)) }
                    @if let Some(document) = &view.documented { dt { "It describes itself at" } dd.mono { (marked(document)) } }
                    @else { dt { "Who made it" } dd { "nobody can say; only the address above is certain" } }
                }
                p { "Allow it only if you have just started it yourself." }
                form method="post" action="/authorize" {
                    @for (name, value) in fields { input type="hidden" name=(name) value=(line(value)); }
                    @if view.tasks.is_empty() {
                        p.check role="status" { "There is no open task it could work on. " a href="/tasks" { "Open one" } ", then start again from the program." }
                    } @else {
                        label { "For which task" select name="task" required {
                            @for (id, about) in &view.tasks { option value=(id.to_string()) { (line(about)) } } } }
                        button.primary type="submit" name="answer" value="allow" { "Let it propose" }
                    }
                    " "
                    button type="submit" name="answer" value="deny" formnovalidate { "No" }
                }
            }
        },
    )
}
