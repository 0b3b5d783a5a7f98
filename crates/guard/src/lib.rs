//! The trusted process: verifies, spends, orders, seals, logs.
//!
//! Owns: the vault, the ledger, the trust made of signed grants, the executors' supply, the two sockets.
//!
//! Never: parses an artifact or what a target answers, links a target's driver, serves a page, believes the desk. A desk
//! that lies gets refusals.
//!
//! Read `run.rs` first: one run from claim to log entry.

mod broker;
mod entries;
mod executors;
mod floor;
mod grants;
mod guard;
mod harden;
mod look;
mod money;
mod receipt;
mod rotate;
mod run;
mod server;
mod show;

pub use executors::ExecutorConfig;
pub use floor::Floor;
pub use guard::{Guard, GuardConfig, GuardError};
pub use harden::{Hardened, end_with_parent, harden};
pub use server::{Answerer, Door, listen};
pub use vault::KeySource;
