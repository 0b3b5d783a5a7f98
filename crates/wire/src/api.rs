//! The agents API.
