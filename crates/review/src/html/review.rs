//! The review page: the five facts, the exact bytes, findings, effect, then the agent's words, then the decision.

use artifact::effect::Verb;
use artifact::{Timestamp, has_hidden};
use doors::agents::{FindingView, PURPOSE_MAX, Status};
use doors::credential::credential_words;
use doors::people::{Person, ReviewView, Risk};
use maud::{Markup, html};
use reading::bound;
use wire::target::Address;

use super::{At, Signing, environment_chip, moment_full, page, risk_chip, signing};
use crate::facts::origin_word;
use crate::facts::{
    Facts, Tone, byte_facts, effect_line, effect_notes, exact_title, facts, finding_place, status_words,
};
use crate::input::{SENTENCE_MAX, exact};
use crate::people::Passkeys;
use crate::text::{clock, counted, cut, marked, marked_lines};

/// Longest constant shown beside another, in characters.
const CONSTANT_MAX: usize = 120;

pub(crate) fn review_page(who: &Person, view: &ReviewView, passkeys: &Passkeys, now: Timestamp) -> Markup {
    let facts = facts(view);
    let high = view.row.risk == Risk::High;
    let pending = view.row.status == Status::Pending;
    let may_decide = who.roles.iter().any(|r| r == "reviewer");
    let layout = if high { "review high" } else { "review" };
    page(
        Some(who),
        At::Queue,
        &format!("{} r{}", view.row.id, view.row.revision),
        html! {
            article class=(layout) data-proposal=(view.row.id) data-state=(status_words(view.row.status)) data-region {
                p.crumbs {
                    a href="/" { "‹ Queue" }
                    span.mono { (view.row.id) " r" (view.row.revision) }
                    @if pending { span.when { "expires " (moment_full(view.row.expires_at, now)) } }
                    @else { span.state { (status_words(view.row.status)) } }
                }
                p.live role="status" data-live-note hidden { "This proposal changed. " a href="" { "Show it" } }
                (facts_pane(view, &facts))
                div.columns {
                    div.column {
                        (bytes(view, high && pending))
                        (parameters(view))
                        (findings(view))
                        (origins(view))
                        (sibling(view, now))
                        (effect(view))
                        (agent_says(view))
                        @if !pending { (outcome(view, now)) }
                        @else if may_decide { (decide(who, view, passkeys, high)) }
                        @else { section.card { h2 { "Decision" } p { "A reviewer decides. Your roles let you look." } } }
                    }
                    aside.column { (context(view, now)) }
                }
            }
        },
    )
}

/// INVARIANT (INV4): a function of the facts alone; the agent's words are not among them.
fn facts_pane(view: &ReviewView, facts: &Facts) -> Markup {
    let class = match facts.risk {
        Risk::Low => "facts low",
        Risk::Medium => "facts medium",
        Risk::High => "facts high",
    };
    html! {
        header class=(class) {
            @if facts.risk == Risk::High {
                div.band {
                    p.chips { (risk_chip(facts.risk)) (environment_chip(&view.row.environment)) }
                    h1 tabindex="-1" autofocus { (marked(&facts.headline)) }
                    @for words in &facts.band { p { (marked(words)) } }
                }
            } @else {
                p.chips {
                    (risk_chip(facts.risk)) (environment_chip(&view.row.environment))
                    span class=(if view.row.in_scope { "chip" } else { "chip warn" }) {
                        @if view.row.in_scope { "IN SCOPE" } @else { "OUT OF SCOPE" }
                    }
                }
                h1 tabindex="-1" autofocus { (marked(&facts.headline)) }
            }
            dl {
                @for fact in &facts.items {
                    div class=(if fact.tone == Tone::Warn { "warn" } else { "" }) {
                        dt { (fact.label) }
                        dd { (marked(&fact.value)) @if !fact.note.is_empty() { " " span.note { (marked(&fact.note)) } } }
                    }
                }
            }
        }
    }
}

/// The bytes, line by line, so that a script can read them back.
pub(super) fn code(artifact: &str, label: &str) -> Markup {
    html! {
        div.code tabindex="0" role="region" aria-label=(label) data-code {
            @for (i, line) in artifact.split('\n').enumerate() {
                @let body = line.trim_end_matches(' ');
                div.ln { span.no aria-hidden="true" data-no=(i + 1) {} code { (marked(body)) @if body.len() < line.len() { span.trail { (line[body.len()..]) } } } }
            }
        }
    }
}

fn bytes(view: &ReviewView, hide_words: bool) -> Markup {
    html! {
        section.card.bytes aria-labelledby="bytes-title" data-artifact=(exact(&view.artifact)) {
            div.bar {
                h2 #bytes-title { (exact_title(view)) }
                p.dim { (view.kind) " · " (byte_facts(&view.artifact)) }
            }
            (code(&view.artifact, "The bytes, line by line"))
            p.digest { span.mono.data { (view.digest) } @if !hide_words { " " span.words { (marked(&view.words)) } } }
        }
    }
}

/// The values beside their types, apart from the statement. They stand in the exact text too, which is what is signed.
fn parameters(view: &ReviewView) -> Markup {
    let given = bound::read(&view.artifact).map(|bound| bound.parameters).unwrap_or_default();
    html! {
        @if !given.is_empty() {
            section.card aria-labelledby="parameters-title" {
                h2 #parameters-title { "Values" }
                div.scroll tabindex="0" role="region" aria-labelledby="parameters-title" {
                    table {
                        thead { tr { th scope="col" { "No." } th scope="col" { "Type" } th scope="col" { "Value" } } }
                        tbody {
                            @for (number, parameter) in (1..).zip(&given) {
                                tr {
                                    td { (number) }
                                    td { (parameter.of) }
                                    td.mono { @match &parameter.value { Some(value) => (marked(value)), None => span.dim { "NULL" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn findings(view: &ReviewView) -> Markup {
    let mark = |finding: &FindingView| match finding.severity.as_str() {
        "info" => ("info", "Note"),
        "caution" => ("caution", "Caution"),
        "high" => ("high", "High"),
        "refuse" => ("high", "Refuse"),
        _ => ("high", "Unknown severity"),
    };
    html! {
        @if !view.findings.is_empty() {
            section.card aria-labelledby="findings-title" {
                h2 #findings-title { "Findings" }
                ul.findings {
                    @for finding in &view.findings {
                        @let (class, word) = mark(finding);
                        li class=(class) {
                            span.severity { (word) }
                            div {
                                p { (marked(&finding.sentence)) " " span.mono.dim { (marked(&finding.code)) } }
                                @if let Some(place) = finding_place(&view.artifact, finding) { p.mono.dim { (marked(&place)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn effect(view: &ReviewView) -> Markup {
    html! {
        section.card aria-labelledby="effect-title" {
            h2 #effect-title { "What it touches" }
            @if !view.understood { p.warn { "Not understood. What stands here is incomplete; read the bytes." } }
            ul.effects {
                @for relation in &view.effect.relations {
                    @let shown = effect_line(relation);
                    li { span.verb { (shown.verbs) } " " strong.mono { (marked(&shown.relation)) }
                        @for (verb, columns) in &shown.columns { span.cols { (verb) " " span.mono { (marked(columns)) } } } }
                }
                @for note in effect_notes(view) { li { (marked(&note)) } }
                @if view.effect.relations.is_empty() && view.effect.request.is_none() && view.understood { li { "No relation." } }
            }
            @if view.row.status == Status::Pending && matches!(view.effect.verb, Verb::Insert | Verb::Update | Verb::Delete) && !view.effect.commits_itself {
                form method="post" action={ "/r/" (view.row.id) "/rows" } {
                    button type="submit" { "See the rows before and after" }
                }
            }
            p.digest.dim { "The signature covers this list: " span.mono { (view.effect.digest()) } }
        }
    }
}

/// Where each value comes from, in words and, besides, in color.
fn origins(view: &ReviewView) -> Markup {
    let class = |alarm: &str| match alarm {
        "none" => "info",
        "note" => "caution",
        _ => "high",
    };
    html! {
        @if !view.origins.is_empty() {
            section.card aria-labelledby="origins-title" {
                h2 #origins-title { "Where its values come from" }
                ul.findings {
                    @for line in &view.origins {
                        li class=(class(&line.alarm)) {
                            span.severity { (origin_word(&line.origin)) }
                            div {
                                p { code.mono { (marked(cut(&line.value, CONSTANT_MAX).0)) } }
                                p.dim { (marked(&line.sentence)) @if let Some(source) = &line.source { " " span.mono { (marked(source)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What is new against the last signed statement of the same pattern.
fn sibling(view: &ReviewView, now: Timestamp) -> Markup {
    html! {
        @if let Some(sibling) = &view.sibling {
            section.card aria-labelledby="sibling-title" {
                h2 #sibling-title { "Like one signed before" }
                p { a href={ "/r/" (sibling.proposal) } { (sibling.proposal) } " of " (moment_full(sibling.at, now))
                    @if let Some(rows) = sibling.affected { ", which changed " (counted(rows, "row", "rows")) } "." }
                @if !sibling.changed.is_empty() {
                    p.warn { "What it touches has changed since then:" }
                    ul.plain { @for line in &sibling.changed { li.mono { (marked(cut(line, CONSTANT_MAX).0)) } } }
                }
                @if sibling.differs.is_empty() { p { "The same constants." } }
                @else {
                    ul.plain {
                        @for (then, now) in &sibling.differs {
                            li { @if then.is_empty() { "only now: " } @else { del.mono { (marked(cut(then, CONSTANT_MAX).0)) } }
                                @if now.is_empty() { " not any more" } @else { " " ins.mono { (marked(cut(now, CONSTANT_MAX).0)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn agent_says(view: &ReviewView) -> Markup {
    let (purpose, all) = cut(&view.purpose, PURPOSE_MAX);
    html! {
        section.card.agent aria-labelledby="agent-title" {
            h2 #agent-title { "The agent says " span.unverified { "not verified" } }
            blockquote { @if purpose.is_empty() { "Nothing." } @else { (marked_lines(purpose)) } }
            @if let Some(all) = all { p.dim { "First " (PURPOSE_MAX) " of " (all) " characters." } }
        }
    }
}

fn decide(who: &Person, view: &ReviewView, passkeys: &Passkeys, high: bool) -> Markup {
    let sign = sign(who, view, passkeys, high);
    html! {
        section.card.decide #decide aria-labelledby="decide-title" {
            @if high {
                h2 #decide-title { "Decide" }
                (no(view, true))
                (sign)
            } @else {
                h2 #decide-title { "Sign to run it once" }
                (sign)
                (no(view, false))
            }
        }
    }
}

fn sign(who: &Person, view: &ReviewView, passkeys: &Passkeys, high: bool) -> Markup {
    let Some(statement) = &view.statement else {
        return html! { p { "There is nothing for you to sign here." } };
    };
    let row = &view.row;
    let same = |name: &String| name.eq_ignore_ascii_case(&who.name);
    if view.not_by.iter().any(same) {
        return html! { p { "You asked for this, so somebody else has to sign it." } (signatures(view)) };
    }
    if view.signed_by.iter().any(same) {
        return html! { p { "You signed it. It runs when enough people have." } (signatures(view)) };
    }
    html! {
        (signatures(view))
        div.signing {
            @if high { h3 { "Or sign it all the same" } }
            p { "Signing as " strong { (marked(&who.name)) } ". Touching your key now authorizes exactly this statement to run "
                strong { "once" } " on " strong { (marked(&row.target)) } " as " strong { (marked(&view.registration.run_as)) }
                " before " (clock(row.expires_at, None)) ". Only " (marked(&who.name)) " may do this." }
            @if high {
                p { "Look a second time, past this page: run " code { "wetink show --from-guard " (row.id) }
                    " in a terminal. The guard shows its own copy of the bytes and three words." }
            }
            @if let Some(seconds) = outbox_s(view) {
                p { "Signed, it waits " (counted(u64::from(seconds), "second", "seconds")) " in the outbox; until then it can be canceled." }
                (cancel(view, false))
            }
            (signing(&Signing {
                action: format!("/r/{}/approve", row.id), statement, attachment: None, passkeys, button: "Sign & run once",
                command: format!("wetink approve {}", row.id), high, arm: view.arm.as_deref(), bytes: true, items: Vec::new(),
            }))
        }
    }
}

/// How many people have to sign, and who did.
fn signatures(view: &ReviewView) -> Markup {
    html! {
        @if view.quorum > 1 {
            p { strong { (view.signed_by.len()) " of " (view.quorum) } " people have signed"
                @if !view.signed_by.is_empty() { ": " (marked(&view.signed_by.join(", "))) } ". All sign the same statement." }
        }
    }
}

/// The three other answers. A no carries a sentence, which the agent gets word for word.
fn no(view: &ReviewView, first: bool) -> Markup {
    let id = view.row.id;
    let sentence = |action: &str, label: &str, button: &str, class: &str| {
        html! {
            form method="post" action={ "/r/" (id) "/" (action) } {
                label { (label) input name="sentence" type="text" required maxlength=(SENTENCE_MAX) autocomplete="off"; }
                button class=(class) type="submit" { (button) }
            }
        }
    };
    let own = if view.artifact.chars().any(has_hidden) { "" } else { view.artifact.as_str() };
    html! {
        div.answers {
            details #reject open[first] {
                summary { "Reject" }
                (sentence("reject", "Why not? The agent gets this sentence.", "Reject", "danger"))
            }
            details #changes {
                summary { "Request changes" }
                (sentence("changes", "What should be different? The agent gets this sentence.", "Request changes", ""))
            }
            details #take-over {
                summary { "Take over" }
                form method="post" action={ "/r/" (id) "/take-over" } {
                    label { "Write it yourself. It becomes a new revision, analyzed like any other, and still needs a signature."
                        textarea.mono name="body" rows="6" required spellcheck="false" { "\n" (own) } }
                    button type="submit" { "Propose mine instead" }
                }
            }
        }
    }
}

/// How long a mail waits before it is sent, in seconds.
fn outbox_s(view: &ReviewView) -> Option<u32> {
    match &view.registration.address {
        Address::Mail { outbox_s, .. } if view.effect.request.as_ref().is_some_and(|r| !r.recipients.is_empty()) => {
            Some(*outbox_s)
        }
        _ => None,
    }
}

/// Stops this one run while it has not happened.
fn cancel(view: &ReviewView, shown: bool) -> Markup {
    html! {
        form #outbox method="post" action="/stop" hidden[!shown] {
            input type="hidden" name="scope" value={ "proposal:" (view.row.id) };
            button.danger type="submit" { "Cancel it" }
        }
    }
}

fn outcome(view: &ReviewView, now: Timestamp) -> Markup {
    let last = view.history.last();
    html! {
        section.card.outcome aria-labelledby="outcome-title" {
            h2 #outcome-title { (outcome_title(view.row.status)) }
            @if let Some((at, what)) = last { p { (marked(what)) " · " (moment_full(*at, now)) } }
            @if let Some(reason) = &view.reason { blockquote { (marked_lines(reason)) } }
            @if view.row.status == Status::Unknown {
                p.warn { "The run started and its outcome could not be learned. It is never tried again by itself: look at the target." }
            }
            @if matches!(view.row.status, Status::Running | Status::Approved) {
                (cancel(view, true))
            }
            @if let Some(run) = view.run {
                p.actions {
                    @if view.row.status == Status::Held { a.button.primary href={ "/runs/" (run) } { "See the result and release" } }
                    a.button href={ "/runs/" (run) "/receipt" } { "Receipt" }
                }
                @if let Some(rows) = view.undo_rows {
                    form method="post" action={ "/runs/" (run) "/undo" } {
                        p { "The old contents of " (counted(rows, "row", "rows")) " are kept. What others changed since stays as it is." }
                        button type="submit" { "Propose putting them back" }
                    }
                }
            }
            @if let Some(released) = &view.released {
                details {
                    summary { "What the agent got" }
                    div.fence { pre { (marked_lines(released)) } }
                }
            }
        }
    }
}

const fn outcome_title(status: Status) -> &'static str {
    match status {
        Status::Pending => "Waits for a signature",
        Status::Approved => "Signed, about to run",
        Status::Running => "Runs now",
        Status::Held => "It ran; the result is held",
        Status::Released => "Done and released",
        Status::Denied => "Denied by policy",
        Status::ChangesRequested => "Changes requested",
        Status::Rejected => "Rejected",
        Status::Expired => "Expired: nobody decided in time",
        Status::Superseded => "A newer revision took its place",
        Status::Stale => "Changed since it was shown; nothing was changed",
        Status::Failed => "It did not happen",
        Status::Unknown => "Nobody can say whether it happened",
        Status::Withdrawn => "Withdrawn by the agent",
    }
}

fn context(view: &ReviewView, now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="task-title" {
            h2 #task-title { "Task" }
            p { a href={ "/tasks/" (view.row.task) } { (marked(&view.task_title)) } }
            @if view.task_scope.is_empty() { p.dim { "No scope: everything is asked." } }
            @else { ul.plain.mono { @for l in &view.task_scope { li { (marked(l)) } } } }
        }
        @if !view.reasons.is_empty() {
            section aria-labelledby="policy-title" {
                h2 #policy-title { "Policy" }
                ul.plain { @for r in &view.reasons { li { (marked(r)) } } }
            }
        }
        section aria-labelledby="target-title" {
            h2 #target-title { "Target" }
            p.mono { (marked(&crate::facts::place(&view.registration))) }
            p { (marked(&credential_words(&view.registration, &view.effect, &view.row.person))) }
            p.dim { "Runs as " (marked(&view.registration.run_as)) ", at most " (view.registration.statement_timeout_ms / 1000) " s. "
                "The result goes to a person first." }
        }
        @if !view.history.is_empty() {
            section aria-labelledby="history-title" {
                h2 #history-title { "History" }
                ol.history { @for (at, what) in &view.history {
                    li { time datetime=(at) { (clock(*at, Some(now))) } " " (marked(what)) } } }
            }
        }
    }
}
