use audit::entry::{Entry, EventKind};

/// What happened to a proposal, as the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Handed in and understood.
    Proposed {
        /// True: the policy lets it run under the signed task scope.
        auto: bool,
    },
    /// Handed in and denied by policy.
    Denied,
    /// A person opened it.
    Opened,
    /// A person signed, and more are needed.
    Signed,
    /// A person asks for changes.
    ChangesRequested,
    /// A person said no.
    Rejected,
    /// The agent took it back.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
    /// A newer revision took its place.
    Superseded,
    /// The guard spent the approval and is about to run it.
    Started,
    /// The guard is about to let the target commit.
    Committing,
    /// The run ended.
    Settled {
        /// How.
        ending: Ending,
        /// True: the signed task scope releases the result.
        auto_release: bool,
    },
    /// A person looked at the held result.
    Viewed,
    /// A person released a part.
    Released,
    /// The agent read what was released.
    Collected,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It ran.
    Ran,
    /// What was shown no longer held; rolled back.
    Stale,
    /// It did not happen.
    Failed,
    /// Nobody can say.
    Unknown,
}

impl Ending {
    /// The value of the fact `outcome` in a `settled` entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl Event {
    /// The event's name, as in the log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Proposed { .. } => "proposed",
            Self::Denied => "denied",
            Self::Opened => "opened",
            Self::Signed => "approved",
            Self::ChangesRequested => "changes_requested",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Started => "started",
            Self::Committing => "committing",
            Self::Settled { .. } => "settled",
            Self::Viewed => "viewed",
            Self::Released => "released",
            Self::Collected => "collected",
        }
    }

    /// Reads the event off a log entry; none if the entry is not about a proposal's life.
    ///
    /// Unknown words in facts are read as the worst: an outcome nobody recognizes is `unknown`.
    pub fn of_entry(entry: &Entry) -> Option<Self> {
        let fact = |name: &str| entry.facts.get(name).map(String::as_str);
        Some(match entry.event {
            EventKind::Proposed => Self::Proposed { auto: fact("decision") == Some("allow") },
            EventKind::Denied => Self::Denied,
            EventKind::Opened => Self::Opened,
            EventKind::Approved => Self::Signed,
            EventKind::ChangesRequested => Self::ChangesRequested,
            EventKind::Rejected => Self::Rejected,
            EventKind::Withdrawn => Self::Withdrawn,
            EventKind::Expired => Self::Expired,
            EventKind::Superseded => Self::Superseded,
            EventKind::Started => Self::Started,
            EventKind::Committing => Self::Committing,
            EventKind::Settled => Self::Settled {
                ending: match fact("outcome") {
                    Some("ran") => Ending::Ran,
                    Some("stale") => Ending::Stale,
                    Some("failed") => Ending::Failed,
                    _ => Ending::Unknown,
                },
                auto_release: fact("release") == Some("task"),
            },
            EventKind::Viewed => Self::Viewed,
            EventKind::Released => Self::Released,
            EventKind::Collected => Self::Collected,
            _ => return None,
        })
    }
}
