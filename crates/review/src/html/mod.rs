//! The HTML skin. Works without JavaScript except for the passkey itself; nothing inline, nothing from elsewhere.

mod access;
mod alerts;
mod audit;
mod authorize;
mod held;
#[cfg(test)]
mod hostile;
mod queue;
mod review;
mod rows;
mod settings;
mod tasks;
mod together;

use artifact::Timestamp;
use doors::people::{Person, PersonError, Risk};
use maud::{DOCTYPE, Markup, html};

pub(crate) use access::{back_page, enroll_ceremony, enroll_page, enrolled_page, join_page, joined_page, login_page};
pub(crate) use alerts::alerts_page;
pub(crate) use audit::audit_page;
pub(crate) use authorize::authorize_page;
pub(crate) use held::held_page;
pub(crate) use queue::queue_page;
pub(crate) use review::review_page;
pub(crate) use rows::rows_page;
pub(crate) use settings::settings_page;
pub(crate) use tasks::{pass_page, task_id, task_page, tasks_page};
pub(crate) use together::together_page;

use crate::input::exact;
use crate::people::Passkeys;
use crate::text::{clock, line, marked, marked_lines, span};

/// Sections of the site, for the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Queue,
    Tasks,
    Alerts,
    Audit,
    Settings,
    Elsewhere,
}

/// The frame around every page.
fn page(who: Option<&Person>, at: At, title: &str, main: Markup) -> Markup {
    framed(who, at, title, html! {}, main)
}

fn framed(who: Option<&Person>, at: At, title: &str, head: Markup, main: Markup) -> Markup {
    let item = |here: At, href: &str, text: &str| {
        html! { a href=(href) aria-current=[(here == at).then_some("page")] { (text) } }
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (line(title)) " · Wetink" }
                link rel="stylesheet" href="/static/style.css";
                script src="/static/app.js" defer {}
                (head)
            }
            body data-live=[who.map(|_| "/events")] {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    a.brand href="/" { "Wetink" }
                    @if let Some(who) = who {
                        nav aria-label="Main" {
                            (item(At::Queue, "/", "Queue"))
                            (item(At::Tasks, "/tasks", "Tasks"))
                            (item(At::Alerts, "/alerts", "Alerts"))
                            (item(At::Audit, "/audit", "Audit"))
                            (item(At::Settings, "/settings", "Settings"))
                        }
                        form.who method="post" action="/logout" {
                            span.name { (marked(&who.name)) }
                            button.link type="submit" { "Sign out" }
                        }
                    }
                }
                main #main { (main) }
                @if who.is_some() {
                    footer {
                        p { "People sign. Only then does anything run." }
                        button.link #keys type="button" hidden { "Keyboard shortcuts (?)" }
                    }
                    (shortcuts())
                }
            }
        }
    }
}

fn shortcuts() -> Markup {
    html! {
        dialog #help aria-labelledby="help-title" {
            h2 #help-title { "Keyboard shortcuts" }
            dl.keys {
                @for (key, what) in [("j k", "next, previous in the queue"), ("o", "open"), ("a", "go to the signature (never signs)"),
                    ("c", "request changes"), ("x", "reject"), ("/", "filter"), ("?", "this list")] {
                    dt { @for k in key.split(' ') { kbd { (k) } " " } } dd { (what) }
                }
            }
            label.tick { input #keys-on type="checkbox" checked; " Single-key shortcuts are on" }
            form method="dialog" { button type="submit" { "Close" } }
        }
    }
}

/// An error with the way back.
pub(crate) fn error_page(who: Option<&Person>, error: &PersonError, back: &str) -> Markup {
    let title = match error.code.as_str() {
        "not_found" => "Not found",
        "not_permitted" => "Not permitted",
        "already_decided" => "Already decided",
        "stale" => "Changed since you looked",
        "expired" => "Expired",
        "login_failed" | "not_signed_in" => "Not signed in",
        "guard_refused" => "The guard refused",
        "unavailable" => "Not available",
        "cross_site" | "wrong_host" => "Refused",
        _ => "That did not work",
    };
    page(
        who,
        At::Elsewhere,
        title,
        html! {
            section.narrow.card {
                h1 { (title) }
                p { (marked(&error.message)) }
                p.dim { "Code: " code { (marked(&error.code)) } }
                p { a.button href=(back) { "Go back" } }
            }
        },
    )
}

/// Risk in words, shape and color.
fn risk_chip(risk: Risk) -> Markup {
    let (class, shape) = match risk {
        Risk::Low => ("chip low", "●"),
        Risk::Medium => ("chip medium", "▲"),
        Risk::High => ("chip high", "■"),
    };
    html! { span class=(class) { span aria-hidden="true" { (shape) } " " (crate::facts::risk_word(risk)) } }
}

fn environment_chip(environment: &str) -> Markup {
    let class = if environment.eq_ignore_ascii_case("prod") || environment.eq_ignore_ascii_case("production") {
        "chip env prod"
    } else {
        "chip env"
    };
    html! { span class=(class) { (marked(&environment.to_uppercase())) } }
}

/// An instant: absolute, with the distance to now.
fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let relative = if at > now {
        format!("in {}", span(at.millis_since(now)))
    } else {
        format!("{} ago", span(now.millis_since(at)))
    };
    html! { time datetime=(at) title=(at) { (relative) } }
}

/// The same with the clock beside it.
fn moment_full(at: Timestamp, now: Timestamp) -> Markup {
    html! { (moment(at, now)) " · " (clock(at, Some(now))) }
}

/// What a signature is asked for.
struct Signing<'a> {
    action: String,
    statement: &'a str,
    attachment: Option<&'a str>,
    passkeys: &'a Passkeys,
    button: &'a str,
    /// Command for terminals, shown where the page cannot sign.
    command: String,
    high: bool,
    arm: Option<&'a str>,
    /// Whether the bytes on the page are compared with the statement.
    bytes: bool,
    /// Statements that `statement` names by digest, where it is a list of them.
    items: Vec<&'a str>,
}

/// The statement in full and the gesture beside it. The browser computes every digest again before the button works.
fn signing(s: &Signing) -> Markup {
    html! {
        pre.statement tabindex="0" aria-label="Statement to sign" { (marked_lines(s.statement)) }
        form.sign method="post" action=(s.action) data-sign data-rp=(s.passkeys.rp_id)
            data-credentials=(s.passkeys.credentials.join(" ")) data-high[s.high] data-bytes[s.bytes]
            data-arm=[s.arm] {
            input type="hidden" name="statement" value=(exact(s.statement));
            @for item in &s.items { input type="hidden" name="item" value=(exact(item)); }
            @if let Some(attachment) = s.attachment { input type="hidden" name="attachment" value=(exact(attachment)); }
            @for name in ["credential", "authenticator_data", "client_data", "signature"] {
                input type="hidden" name=(name);
            }
            @if let Some(arm) = s.arm {
                label { "Type " strong.data { (marked(arm)) } " to arm the button"
                    input name="arm" type="text" data-arm-input autocomplete="off" autocapitalize="none" spellcheck="false"; }
            }
            @if s.high && s.bytes {
                label { "Type the three words that the guard's own view shows in your terminal"
                    input name="words" type="text" data-words-input autocomplete="off" autocapitalize="none" spellcheck="false"; }
            }
            p.check role="status" data-check hidden { "Your browser computes the digests…" }
            button class=(if s.high { "danger needs-js" } else { "primary needs-js" }) type="submit" disabled { (s.button) }
            noscript { p { "Signing here needs JavaScript for your passkey. In a terminal:" } }
            p.terminal { "In a terminal: " code { (line(&s.command)) } }
        }
    }
}

/// A page whose one purpose is a signature.
pub(crate) struct SignPage<'a> {
    pub(crate) title: &'a str,
    pub(crate) intro: &'a str,
    pub(crate) statement: &'a str,
    pub(crate) attachment: Option<&'a str>,
    pub(crate) action: String,
    pub(crate) button: &'a str,
    pub(crate) command: String,
    pub(crate) back: &'a str,
}

pub(crate) fn sign_page(who: &Person, passkeys: &Passkeys, s: &SignPage) -> Markup {
    page(
        Some(who),
        At::Elsewhere,
        s.title,
        html! {
            p.crumbs { a href=(s.back) { "‹ Back" } }
            section.card.narrow {
                h1 { (s.title) }
                p { (s.intro) }
                p.dim { "Signing as " strong { (marked(&who.name)) } ". Nobody else can sign this for you." }
                @if let Some(attachment) = s.attachment {
                    h2 { "What the statement names by digest" }
                    pre.statement tabindex="0" { (marked_lines(attachment)) }
                    h2 { "Statement" }
                }
                (signing(&Signing {
                    action: s.action.clone(), statement: s.statement, attachment: s.attachment, passkeys, button: s.button,
                    command: s.command.clone(), high: false, arm: None, bytes: false, items: Vec::new(),
                }))
            }
        },
    )
}
