//! Entries that the guard itself vouches for.

use artifact::Timestamp;
use audit::entry::{Actor, Domain, Entry, EventKind, Role};
use ledger::{Class, Draft, NewContent};

/// An entry of the guard.
pub(crate) fn entry(event: EventKind) -> Entry {
    Entry::new(Timestamp::now(), Domain::Guard, event, Actor { role: Role::Guard, name: "guard".into() })
}

/// An entry of the guard about a person's act, which the guard verified.
pub(crate) fn by_person(event: EventKind, person: &str) -> Entry {
    Entry::new(Timestamp::now(), Domain::Guard, event, Actor { role: Role::Person, name: person.to_owned() })
}

/// Without contents.
pub(crate) fn plain(entry: Entry) -> Draft {
    Draft { entry, contents: Vec::new() }
}

/// A content that the desk may read.
pub(crate) fn open_content(name: &str, bytes: impl Into<Vec<u8>>) -> NewContent {
    NewContent { name: name.to_owned(), class: Class::Desk, bytes: bytes.into() }
}
