//! MCP over Streamable HTTP, both eras: 2026-07-28 without sessions, and `initialize` of 2025-06-18 and 2025-11-25.
//!
//! Everything of the protocol library stays inside this module. It is stateless: a connection is not a conversation, and a
//! proposal's id is the only handle.

mod ask;
mod envelope;
#[cfg(feature = "conformance")]
mod fixtures;
mod handler;
mod own;
mod tasks;
mod tools;

use std::sync::Arc;

use axum::Router;
use axum::routing::any_service;
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;

use crate::gate::BODY_MAX;
use crate::mcp::handler::Agents;
use crate::surface::Surface;
use crate::{Door, IntakeConfig};

/// The names of the tools, in the order of `tools/list`.
pub(crate) fn tool_names() -> impl Iterator<Item = &'static str> {
    tools::Tool::ALL.into_iter().map(tools::Tool::name)
}

/// The protocol's methods that are answered; every other one is not found.
pub(crate) const METHODS: [&str; 8] =
    ["server/discover", "initialize", "ping", "tools/list", "tools/call", "tasks/get", "tasks/update", "tasks/cancel"];

/// `/mcp`.
pub(crate) fn routes<D: Door>(surface: Surface<D>, config: &IntakeConfig) -> Router {
    let agents = Agents::new(surface, config);
    #[cfg(feature = "conformance")]
    let agents = fixtures::Fixtures(agents);
    // Host and Origin are checked in front, for HTTP as well; two lists would drift apart.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_MAX)
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let service =
        StreamableHttpService::new(move || Ok(agents.clone()), Arc::new(NeverSessionManager::default()), config);
    Router::new().route("/mcp", any_service(service)).layer(axum::middleware::from_fn(envelope::check))
}
