//! The people API.
