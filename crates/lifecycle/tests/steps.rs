//! The lifecycle against a table written out by hand.
#![allow(clippy::unwrap_used, missing_docs)]

use lifecycle::{Ending, Event, State, step};

fn events() -> Vec<Event> {
    let mut all = vec![
        Event::Proposed { auto: false },
        Event::Proposed { auto: true },
        Event::Denied,
        Event::Opened,
        Event::ChangesRequested,
        Event::Rejected,
        Event::Withdrawn,
        Event::Expired,
        Event::Superseded,
        Event::Started,
        Event::Committing,
        Event::Viewed,
        Event::Released,
        Event::Collected,
    ];
    for ending in [Ending::Ran, Ending::Stale, Ending::Failed, Ending::Unknown] {
        for auto_release in [false, true] {
            all.push(Event::Settled { ending, auto_release });
        }
    }
    all
}

/// From, event's name, to. What is not here cannot happen.
fn table() -> Vec<(Option<State>, &'static str, State)> {
    use State::{
        Approved, ChangesRequested, Denied, Expired, Failed, Held, Pending, Rejected, Released, Running, Stale,
        Superseded, Unknown, Withdrawn,
    };
    let mut rows = vec![
        (None, "proposed ask", Pending),
        (None, "proposed allow", Approved),
        (None, "denied", Denied),
        (Some(Pending), "opened", Pending),
        (Some(Pending), "changes_requested", ChangesRequested),
        (Some(Pending), "rejected", Rejected),
        (Some(Pending), "withdrawn", Withdrawn),
        (Some(Pending), "expired", Expired),
        (Some(Approved), "expired", Expired),
        (Some(Pending), "superseded", Superseded),
        (Some(ChangesRequested), "superseded", Superseded),
        (Some(Running), "committing", Running),
        (Some(Held), "viewed", Held),
        (Some(Held), "released", Released),
        (Some(Released), "collected", Released),
    ];
    // The guard's word that a run began counts as long as none has.
    for from in [Pending, Approved, ChangesRequested, Rejected, Expired, Superseded, Withdrawn] {
        rows.push((Some(from), "started", Running));
    }
    for from in [Running, Unknown] {
        for (name, to) in
            [("settled ran", Held), ("settled stale", Stale), ("settled failed", Failed), ("settled unknown", Unknown)]
        {
            rows.push((Some(from), name, to));
        }
    }
    rows
}

fn name(event: Event) -> String {
    match event {
        Event::Proposed { auto } => format!("proposed {}", if auto { "allow" } else { "ask" }),
        Event::Settled { ending, .. } => format!("settled {}", ending.as_str()),
        event => event.name().to_owned(),
    }
}

#[test]
fn every_legal_step_is_listed_and_no_other() {
    let table = table();
    let mut legal = 0;
    for state in [None].into_iter().chain(State::ALL.map(Some)) {
        for event in events() {
            let listed =
                table.iter().find(|(from, what, _)| *from == state && *what == name(event)).map(|(.., to)| *to);
            let reached = step(state, &event).ok().map(|(to, _)| to);
            assert_eq!(reached, listed, "{state:?} {}", name(event));
            legal += u32::from(reached.is_some());
        }
    }
    assert!(legal > 30);
}

#[test]
fn nothing_runs_twice_on_any_path() {
    // Every path of up to seven events: at most one run.
    fn walk(state: Option<State>, started: u32, depth: u32, seen: &mut u64) {
        *seen += 1;
        assert!(started <= 1, "a second run");
        if depth == 0 {
            return;
        }
        for event in events() {
            if let Ok((next, _)) = step(state, &event) {
                walk(Some(next), started + u32::from(event == Event::Started), depth - 1, seen);
            }
        }
    }
    let mut seen = 0;
    walk(None, 0, 7, &mut seen);
    assert!(seen > 1_000);
}

#[test]
fn states_are_found_by_their_names() {
    for state in State::ALL {
        assert_eq!(State::from_name(state.as_str()), Some(state));
    }
    assert_eq!(State::from_name("done"), None);
}
