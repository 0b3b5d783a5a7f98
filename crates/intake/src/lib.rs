//! The agents' door: MCP and plain HTTP, both over the same few calls.
//!
//! Owns: who may knock (Host, Origin, bearer pass, limits), the seven tools and their HTTP twins, their schemas, waiting
//! for a person, the stdio bridge.
//!
//! Never: decides anything, holds anything durable, sees a credential, a cookie of a person or an unreleased result. What
//! stands behind the door is the desk's, through [`Door`].
//!
//! Read [`Door`] first: it is all an agent can reach. `verbs.golden` lists the same from outside.

mod address;
pub mod bridge;
mod config;
mod door;
mod dpop;
mod gate;
mod http;
mod mcp;
pub mod oauth;
mod openapi;
mod schema;
mod surface;
pub mod tls;
mod verbs;

pub use config::{ConfigError, IntakeConfig};
pub use door::{Door, Refused};
pub use dpop::{AgentKey, AgentKeyError, is_thumbprint};
pub use verbs::verbs;

use axum::Router;

use crate::gate::Gate;
use crate::surface::Surface;

/// Everything an agent can call, ready to be served. Serve it with
/// `into_make_service_with_connect_info::<tls::Peer>()` so that the door learns the network address.
pub fn router<D: Door>(door: D, config: IntakeConfig) -> Router {
    let gate = Gate::new(door.clone(), &config);
    let surface = Surface::new(door.clone(), &config);
    let behind_the_gate = http::routes(surface.clone())
        .merge(mcp::routes(surface, &config))
        .layer(axum::middleware::from_fn_with_state(gate.clone(), gate::agents::<D>));
    // INVARIANT (I9): these say nothing about anybody; the health check must also answer a prober that knows no name.
    let described = openapi::routes()
        .merge(oauth::routes(door, &config))
        .layer(axum::middleware::from_fn_with_state(gate, gate::addressed::<D>));
    behind_the_gate.merge(described).merge(http::health()).layer(axum::middleware::from_fn(gate::headers))
}
