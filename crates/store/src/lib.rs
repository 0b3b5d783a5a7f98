//! The desk's view of the log, people's sessions
