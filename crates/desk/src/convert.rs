//! Between the view's types and the wire's.

use doors::agents::{FindingView, Status};
use doors::people::Risk;
use lifecycle::State;
use lifecycle::draft::Draft;
use wire::socket::{Content, NewEntry};

/// The state as agents and people name it.
pub(crate) fn status(state: State) -> Status {
    match state {
        State::Pending => Status::Pending,
        State::Approved => Status::Approved,
        State::Running => Status::Running,
        State::Held => Status::Held,
        State::Released => Status::Released,
        State::Denied => Status::Denied,
        State::ChangesRequested => Status::ChangesRequested,
        State::Rejected => Status::Rejected,
        State::Expired => Status::Expired,
        State::Superseded => Status::Superseded,
        State::Stale => Status::Stale,
        State::Failed => Status::Failed,
        State::Unknown => Status::Unknown,
        State::Withdrawn => Status::Withdrawn,
    }
}

/// The risk of that name; anything unknown is high.
pub(crate) fn risk(name: &str) -> Risk {
    match name {
        "low" => Risk::Low,
        "medium" => Risk::Medium,
        _ => Risk::High,
    }
}

/// A draft as it travels to the guard.
pub(crate) fn new_entry(draft: Draft) -> NewEntry {
    let contents = draft.contents.into_iter().map(|(name, text)| Content { name, text }).collect();
    // An entry consists of strings and integers; it cannot fail to serialize.
    NewEntry { entry: serde_json::to_value(&draft.entry).unwrap_or_default(), contents }
}

/// Where a value comes from, as pages show it.
pub(crate) fn origin_view(line: &lifecycle::OriginLine) -> doors::people::OriginView {
    doors::people::OriginView {
        value: line.value.clone(),
        origin: line.origin.clone(),
        source: line.source.clone(),
        alarm: line.alarm.clone(),
        sentence: line.sentence.clone(),
    }
}

/// Findings as pages and agents see them.
pub(crate) fn finding_views(findings: &[serde_json::Value]) -> Vec<FindingView> {
    findings
        .iter()
        .map(|finding| {
            let text = |name: &str| finding.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            let span = finding.get("span").and_then(|v| serde_json::from_value(v.clone()).ok()).flatten();
            FindingView { code: text("code"), severity: text("severity"), span, sentence: text("sentence") }
        })
        .collect()
}

/// A signal as people and receivers get it.
pub(crate) fn signal_view(row: store::SignalRow) -> doors::people::SignalView {
    doors::people::SignalView {
        index: row.index,
        signal: row.kind,
        at: row.at,
        agent: row.agent,
        person: row.person,
        task: row.task,
        target: row.target,
        proposal: row.proposal.and_then(|id| id.parse().ok()),
        sentence: row.sentence,
    }
}
