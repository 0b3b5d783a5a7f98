//! The five facts of a proposal, from what the gateway derived. Pure; skins only lay them out.
//!
//! INVARIANT (INV4): nothing here reads `purpose`. The agent's words cannot change a fact, its order or its tone.

use artifact::Kind;
use artifact::effect::{Grade, OperationKind, RelationUse, Verb};
use doors::agents::{FindingView, Status};
use doors::people::{ReviewView, Risk};
use wire::target::{Address, McpServer, Registration};

use crate::text::{clock, counted, grouped};

/// How a fact is set apart, besides its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Warn,
}

/// One fact. Texts are raw; a skin makes them safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) label: &'static str,
    pub(crate) value: String,
    pub(crate) note: String,
    pub(crate) tone: Tone,
}

/// What a reviewer sees first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) headline: String,
    pub(crate) risk: Risk,
    pub(crate) risk_word: &'static str,
    /// What makes it grave, in words; empty below high risk.
    pub(crate) band: Vec<String>,
    pub(crate) items: [Fact; 5],
}

/// `LOW`, `MEDIUM`, `HIGH`.
pub(crate) const fn risk_word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "LOW RISK",
        Risk::Medium => "MEDIUM RISK",
        Risk::High => "HIGH RISK",
    }
}

/// Most findings that stand in the band of a grave proposal; all of them stand below.
const BAND_FINDINGS: usize = 3;

/// Where a value comes from, in a word.
pub(crate) fn origin_word(origin: &str) -> &'static str {
    match origin {
        "request" => "Request",
        "vouched" => "Vouched for",
        "named_record" => "Named record",
        "result" => "Result",
        _ => "Nowhere",
    }
}

/// The value of `field` in a statement: one `field: value` a line.
pub(crate) fn field<'a>(statement: &'a str, field: &str) -> Option<&'a str> {
    statement.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(": "))
}

/// Derives the facts.
pub(crate) fn facts(view: &ReviewView) -> Facts {
    let row = &view.row;
    let ceiling = view.statement.as_deref().and_then(|s| field(s, "ceiling"));
    let what =
        if view.understood { view.sentence.clone() } else { "No summary is possible. Read the bytes.".to_owned() };
    let headline = if view.understood { row.headline.clone() } else { "NOT UNDERSTOOD".to_owned() };
    let scope = if row.in_scope { "Inside the task's scope" } else { "OUTSIDE the task's scope" };
    let lasting = view.undo.starts_with("cannot");
    let mut band = Vec::new();
    if row.risk == Risk::High {
        if !view.understood {
            band.push(view.sentence.clone());
        }
        let grave = view.findings.iter().filter(|f| matches!(f.severity.as_str(), "high" | "refuse"));
        band.extend(grave.take(BAND_FINDINGS).map(|finding| finding.sentence.clone()));
        if lasting {
            band.push(view.undo.clone());
        }
        if !row.in_scope {
            band.push(scope.to_owned());
        }
    }
    let limit = match ceiling.and_then(|c| c.strip_prefix("rows<=")) {
        // A request changes no rows that could be counted, and what cannot be undone is said under Undo.
        _ if view.effect.request.is_some() => String::new(),
        // A ceiling holds rows that change; a read has none, and a definition is not counted in rows.
        Some(_) if view.effect.is_read_only() || view.effect.verb == Verb::Define => counted_note(view),
        Some(rows) => format!("Stops and rolls back above {rows} {}.", if rows == "1" { "row" } else { "rows" }),
        None if view.effect.commits_itself => "Commits by itself; no ceiling can hold it.".to_owned(),
        None => counted_note(view),
    };
    let until = match row.status {
        Status::Pending => format!("waits until {}", clock(row.expires_at, None)),
        status => status_words(status).to_owned(),
    };
    let tone = |warn: bool| if warn { Tone::Warn } else { Tone::Plain };
    Facts {
        headline,
        risk: row.risk,
        risk_word: risk_word(row.risk),
        band,
        items: [
            Fact {
                label: "What",
                value: what,
                note: limit,
                tone: tone(!view.understood || view.effect.commits_itself),
            },
            Fact {
                label: "Where",
                value: format!("{} · {}", row.target, row.environment.to_uppercase()),
                note: format!("{} · runs as {}", place(&view.registration), view.registration.run_as),
                tone: Tone::Plain,
            },
            Fact {
                label: "For",
                value: view.task_title.clone(),
                note: format!("{scope} · {}", row.task),
                tone: tone(!row.in_scope),
            },
            Fact { label: "Undo", value: view.undo.clone(), note: String::new(), tone: tone(lasting) },
            Fact {
                label: "Who",
                value: format!("{} for {}", row.agent, row.person),
                note: format!("{} r{} · {until}", row.id, row.revision),
                tone: Tone::Plain,
            },
        ],
    }
}

fn counted_note(view: &ReviewView) -> String {
    view.effect.rows.map_or_else(String::new, |rows| {
        let of = rows.of.map_or_else(String::new, |of| format!(" of {}", grouped(of)));
        format!("{}{of}, {}.", counted(rows.count, "row", "rows"), grade_words(rows.grade))
    })
}

/// Where the target is, one line.
pub(crate) fn place(registration: &Registration) -> String {
    match &registration.address {
        Address::Sqlite { path } => path.clone(),
        Address::Postgresql { host, port, database, .. } | Address::Mariadb { host, port, database, .. } => {
            format!("{database} at {host}:{port}")
        }
        Address::Http { origin, .. } => origin.clone(),
        Address::Mail { address, imap, .. } => format!("{address} at {imap}"),
        Address::Mcp { server: McpServer::Http { origin, path, .. }, .. } => format!("{origin}{path}"),
        Address::Mcp { server: McpServer::Stdio { command, .. }, .. } => command.join(" "),
    }
}

/// Fixed vocabulary of how a number was learned.
pub(crate) const fn grade_words(grade: Grade) -> &'static str {
    match grade {
        Grade::Guess => "guess by the planner",
        Grade::Counted => "counted",
        Grade::RanAndRolledBack => "ran and rolled back",
    }
}

/// The state in words for a person.
pub(crate) const fn status_words(status: Status) -> &'static str {
    match status {
        Status::Pending => "waits for a signature",
        Status::Approved => "signed, about to run",
        Status::Running => "runs now",
        Status::Held => "ran; result held",
        Status::Released => "released",
        Status::Denied => "denied by policy",
        Status::ChangesRequested => "changes requested",
        Status::Rejected => "rejected",
        Status::Expired => "expired; nobody decided",
        Status::Superseded => "superseded by a newer revision",
        Status::Stale => "stale; nothing changed",
        Status::Failed => "failed; it did not happen",
        Status::Unknown => "outcome unknown",
        Status::Withdrawn => "withdrawn by the agent",
    }
}

/// One line of the effect list: verbs, relation, columns.
pub(crate) struct EffectLine {
    pub(crate) verbs: String,
    pub(crate) relation: String,
    pub(crate) columns: Vec<(&'static str, String)>,
}

/// The effect of one relation.
pub(crate) fn effect_line(relation: &RelationUse) -> EffectLine {
    let list = |columns: &[String]| if columns == ["*"] { "every column".to_owned() } else { columns.join(", ") };
    let mut columns = Vec::new();
    if !relation.writes.is_empty() {
        columns.push(("writes", list(&relation.writes)));
    }
    if !relation.computed.is_empty() {
        columns.push(("and with them", list(&relation.computed)));
    }
    if !relation.reads.is_empty() {
        columns.push(("reads", list(&relation.reads)));
    }
    EffectLine {
        verbs: relation.verbs.iter().rev().map(|v| v.as_str()).collect::<Vec<_>>().join(", "),
        relation: relation.name.clone(),
        columns,
    }
}

/// What the effect does beyond relations, one sentence each.
pub(crate) fn effect_notes(view: &ReviewView) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(request) = &view.effect.request {
        notes.push(format!("{} {}", request.method, request.path));
        let of_body = match view.kind.as_str() {
            kind if kind == Kind::Mcp.as_str() => "arguments",
            kind if kind == Kind::Mail.as_str() => "headers",
            _ => "body",
        };
        for (of, names) in [("query", &request.query), (of_body, &request.body)] {
            if !names.is_empty() {
                notes.push(format!("{of}: {}", names.join(", ")));
            }
        }
        if let Some(operation) = &request.operation {
            let kind = if operation.kind == OperationKind::Query { "query" } else { "mutation" };
            notes.push(format!("{kind}: {}", operation.fields.join(", ")));
        }
        if let Some(payment) = &request.payment {
            notes.push(format!("pays {}", payment.amount));
            let parts = [
                ("payee", &payment.payee),
                ("account", &payment.account),
                ("reference", &payment.reference),
                ("date", &payment.date),
            ];
            notes.extend(parts.iter().filter(|(_, text)| !text.is_empty()).map(|(of, text)| format!("{of}: {text}")));
        }
        if !request.recipients.is_empty() {
            notes.push(format!("goes to {}", request.recipients.join(", ")));
        }
    }
    if !view.effect.functions.is_empty() {
        notes.push(format!("calls {}", view.effect.functions.join(", ")));
    }
    if view.effect.rows.is_some() {
        notes.push(counted_note(view));
    }
    if view.effect.commits_itself {
        notes.push(
            if view.effect.request.is_some() {
                "once sent, nothing takes it back"
            } else {
                "commits by itself; nothing can roll it back"
            }
            .to_owned(),
        );
    }
    notes
}

/// What the bytes are, as a heading.
pub(crate) fn exact_title(view: &ReviewView) -> &'static str {
    match &view.effect.request {
        None => "Exact statement",
        Some(_) if view.kind == Kind::Mcp.as_str() => "Exact call",
        Some(_) if view.kind == Kind::Mail.as_str() => "Exact mail",
        Some(_) => "Exact request",
    }
}

/// What is known about the bytes as such.
pub(crate) fn byte_facts(text: &str) -> String {
    let hidden = text.chars().filter(|c| artifact::has_hidden(*c)).count() as u64;
    let foreign = text.chars().filter(|c| !c.is_ascii() && !artifact::has_hidden(*c)).count() as u64;
    let lines = text.split('\n').count() as u64;
    let mut out = format!("{} · {}", counted(lines, "line", "lines"), counted(text.len() as u64, "byte", "bytes"));
    out.push_str(" · ");
    out.push_str(&match hidden {
        0 => "no hidden characters".to_owned(),
        n => counted(n, "hidden character, shown as ⟨U+…⟩", "hidden characters, shown as ⟨U+…⟩"),
    });
    if foreign > 0 {
        out.push_str(" · ");
        out.push_str(&counted(foreign, "non-ASCII character", "non-ASCII characters"));
    }
    out
}

/// `line 3, column 7: DROP`, if the finding is about a place in the bytes.
pub(crate) fn finding_place(text: &str, finding: &FindingView) -> Option<String> {
    let (from, to) = finding.span?;
    let before = text.get(..from)?;
    let quoted = text.get(from..to.max(from))?;
    let (quoted, more) = crate::text::cut(quoted, 60);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let dots = if more.is_some() { " …" } else { "" };
    Some(format!("line {line}, column {column}: {quoted}{dots}"))
}
