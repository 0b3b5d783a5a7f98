//! The log's own forms, for whoever folds entries without depending on the log itself.

pub use audit::entry::{Actor, Domain, Entry, EventKind, Role};

/// The event's name in the log.
pub fn event_name(event: EventKind) -> String {
    match serde_json::to_value(event) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
