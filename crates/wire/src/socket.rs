//! The guard socket.
