use crate::event::{Ending, Event};

/// Where a proposal's revision stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Waits for a person.
    Pending,
    /// Cleared to run (signed, or inside a signed task scope) but not started.
    Approved,
    /// The guard announced the run in the log.
    Running,
    /// It ran; the result waits for a person.
    Held,
    /// A person released a part, or only that it ran.
    Released,
    /// No signature could allow it.
    Denied,
    /// A person asks for changes.
    ChangesRequested,
    /// A person said no.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// A newer revision took its place.
    Superseded,
    /// What was shown no longer held when it should run; nothing changed.
    Stale,
    /// It did not happen.
    Failed,
    /// Nobody can say whether it happened.
    Unknown,
    /// The agent took it back.
    Withdrawn,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 14] = [
        Self::Pending,
        Self::Approved,
        Self::Running,
        Self::Held,
        Self::Released,
        Self::Denied,
        Self::ChangesRequested,
        Self::Rejected,
        Self::Expired,
        Self::Superseded,
        Self::Stale,
        Self::Failed,
        Self::Unknown,
        Self::Withdrawn,
    ];

    /// Its name in the view and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Running => "running",
            Self::Held => "held",
            Self::Released => "released",
            Self::Denied => "denied",
            Self::ChangesRequested => "changes_requested",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// True if a person may still sign it.
    pub const fn can_be_signed(self) -> bool {
        matches!(self, Self::Pending)
    }

    /// True if no run can come of it any more.
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Pending | Self::Approved | Self::Running | Self::Unknown)
    }
}

/// What has to happen next. The desk does it; doing it twice does no harm, since each ends in an entry that [`step`]
/// accepts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Tell people that somebody has to decide.
    TellPeople,
    /// Ask the guard to run it under the signed task scope.
    RunUnderTask,
    /// Ask the guard to release it under the signed task scope.
    ReleaseUnderTask,
    /// Wake whoever waits for this proposal.
    WakeWaiters,
}

/// An event that cannot follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow {}", state.map_or("nothing", State::as_str))]
pub struct Illegal {
    /// The state it met; none if there was no proposal.
    pub state: Option<State>,
    /// The event's name.
    pub event: &'static str,
}

/// The whole lifecycle.
///
/// An event of the guard is always accepted where it can follow at all: the guard announces what has happened. Events of
/// the desk are requests to change the record, so they are refused in any state that has moved on; the first decision wins.
pub fn step(state: Option<State>, event: &Event) -> Result<(State, &'static [Effect]), Illegal> {
    use Effect::{ReleaseUnderTask, RunUnderTask, TellPeople, WakeWaiters};
    let next: (State, &'static [Effect]) = match (state, event) {
        (None, Event::Proposed { auto: false }) => (State::Pending, &[TellPeople, WakeWaiters]),
        (None, Event::Proposed { auto: true }) => (State::Approved, &[RunUnderTask]),
        (None, Event::Denied) => (State::Denied, &[WakeWaiters]),

        (Some(State::Pending), Event::Opened) => (State::Pending, &[]),
        (Some(State::Pending), Event::Signed) => (State::Pending, &[TellPeople]),
        (Some(State::Pending), Event::ChangesRequested) => (State::ChangesRequested, &[WakeWaiters]),
        (Some(State::Pending), Event::Rejected) => (State::Rejected, &[WakeWaiters]),
        (Some(State::Pending), Event::Withdrawn) => (State::Withdrawn, &[WakeWaiters]),
        (Some(State::Pending | State::Approved), Event::Expired) => (State::Expired, &[WakeWaiters]),
        (Some(State::Pending | State::ChangesRequested), Event::Superseded) => (State::Superseded, &[WakeWaiters]),

        // The guard spent an approval: whatever the desk believed, this is running.
        (Some(_), Event::Started) if state.is_some_and(can_start) => (State::Running, &[WakeWaiters]),
        (Some(State::Running), Event::Committing) => (State::Running, &[]),
        (Some(State::Running | State::Unknown), Event::Settled { ending, auto_release }) => {
            match (ending, auto_release) {
                (Ending::Ran, true) => (State::Held, &[ReleaseUnderTask]),
                (Ending::Ran, false) => (State::Held, &[TellPeople, WakeWaiters]),
                (Ending::Stale, _) => (State::Stale, &[TellPeople, WakeWaiters]),
                (Ending::Failed, _) => (State::Failed, &[TellPeople, WakeWaiters]),
                (Ending::Unknown, _) => (State::Unknown, &[TellPeople, WakeWaiters]),
            }
        }
        (Some(State::Held), Event::Viewed) => (State::Held, &[]),
        (Some(State::Held), Event::Released) => (State::Released, &[WakeWaiters]),
        (Some(State::Released), Event::Collected) => (State::Released, &[]),
        _ => return Err(Illegal { state, event: event.name() }),
    };
    Ok(next)
}

/// States in which the guard may announce a run. A decision that lost the race against a signature is not among them for
/// the desk, but the guard's word that it started counts as long as nothing has run before.
fn can_start(state: State) -> bool {
    matches!(
        state,
        State::Pending
            | State::Approved
            | State::Expired
            | State::Withdrawn
            | State::Rejected
            | State::ChangesRequested
            | State::Superseded
    )
}
