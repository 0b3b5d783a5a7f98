//! Credentials: sealing, sources, one way out
