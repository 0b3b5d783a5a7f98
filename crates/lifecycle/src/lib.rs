//! State and event to state and effects; pure
