//! The front process: it shows and carries, and decides nothing that counts without a signature.
//!
//! Owns: the agents' listener and the people's listener, the pipeline from bytes to a decided proposal, the view of the log
//! and its upkeep, people's sessions.
//!
//! Never: holds a credential, an approval key, the log's key, or a held result for longer than it takes to show it. A desk
//! that lies cannot make the guard run anything.
//!
//! Read `hand_in.rs` first, then `tail.rs`.

mod agents;
mod authorize;
mod config;
mod convert;
mod expire;
mod grants;
mod hand_in;
mod hooks;
pub mod kept_back;
mod limits;
mod link;
mod oidc;
mod outbound;
mod people;
mod replay;
mod serve;
mod settings;
mod shown;
mod signin;
mod sources;
mod state;
mod tail;
mod tools;

pub use config::{ConfigError, DeskConfig};
pub use hooks::{Form, Hook, HookError, MailOf, add_hook, add_mail, hooks, remove_hook};
pub use intake::AgentKey;
pub use intake::bridge::bridge;
pub use intake::tls::TlsConfig;
pub use lifecycle::{Cases, Policy, PolicyError, run_cases};
pub use link::{Link, LinkError};
pub use oidc::{OidcConfig, OidcError};
pub use outbound::OutboundConfig;
pub use review::plain;
pub use serve::{Ready, rebuild, serve};
pub use settings::{SettingsError, agents_tls, oidc, outbound};
pub use state::{Desk, DeskError};

/// Forms of the people's API that a terminal needs.
pub mod api {
    pub use review::{LoggedIn, Login, LoginChallenge};
}
