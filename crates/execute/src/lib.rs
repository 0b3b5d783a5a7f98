//! The executor: one order and one credential to one report, locked to the signed effect.
//!
//! Owns: the child process that meets a target, its confinement, one module a connector; the child that asks servers of credentials.
//!
//! Never: sees the vault, the ledger or a second credential; does a second order; prints anything but reports.
//!
//! Read `child.rs` first.

mod aws;
mod broker;
mod child;
mod confine;
mod http;
mod image;
mod mail;
mod mariadb;
mod mcp;
mod members;
mod openapi;
mod postgresql;
mod rotate;
mod secret;
mod sqlite;
mod sqlite_catalog;
mod sqlite_image;
mod sqlite_lock;

pub use broker::main as broker;
pub use child::{Commit, Ready, Requests, main, perform, perform_with};
pub use confine::{Confinement, probe};
