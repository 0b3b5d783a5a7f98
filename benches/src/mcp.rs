//! A tool's call through the agents' MCP door (G16), beside an echo tool of the protocol library alone and the same proposal over HTTP.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::routing::any_service;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};

use crate::corpus;
use crate::load::{Ask, Done, post};
use crate::measure::median;
use crate::product::{Gateway, Pinned, Process, private};
use crate::table::{Goal, Table, rate, time};

/// The argument that makes this program the echo server.
pub(crate) const ROLE: &str = "mcp-echo-server";
/// Callers under load, as many as the figure for the library has.
const CALLERS: usize = 16;
const PASSES: usize = 1_000;
/// Proposals that one pass hands in: as many as may wait for a person.
const PER_PASS: usize = 20;
const ROUND: Duration = Duration::from_secs(2);

/// One tool, whatever its name, that answers with its arguments.
#[derive(Clone)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::structured(Value::Object(request.arguments.unwrap_or_default())).into())
    }
}

/// Serves until it is ended. Prints its port first.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut out = std::io::stdout();
        writeln!(out, "port {}\nready", listener.local_addr()?.port())?;
        out.flush()?;
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let service = StreamableHttpService::new(|| Ok(Echo), Arc::new(NeverSessionManager::default()), config);
        axum::serve(listener, Router::new().route("/mcp", any_service(service))).await.context("the echo server ended")
    })
}

/// A call as a client of revision 2025-11-25 makes it.
fn call(pass: &str, arguments: &Value) -> Ask {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "propose", "arguments": arguments } });
    let headers = format!(
        "content-type: application/json\r\naccept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\nauthorization: Bearer {pass}\r\n"
    );
    Ask { path: "/mcp", headers, body: body.to_string().into_bytes() }
}

pub(crate) fn rows(folder: &Path, table: &mut Table) -> Result<()> {
    let folder = folder.join("mcp");
    private(&folder)?;
    let gateway = Gateway::set_up(&folder)?;
    let running = gateway.start()?;
    let echo = Process::start(&std::env::current_exe()?, &[ROLE])?;
    let echo_base = format!("http://127.0.0.1:{}", echo.said("port ").context("the echo server named no port")?);
    let _pinned = Pinned::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let token = runtime.block_on(running.sign_in(&gateway.ada))?;
    let passes = Arc::new(runtime.block_on(running.passes(&token, gateway.task, PASSES))?);
    let (turn, number) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(1 << 40)));
    let propose = |callers: usize, over_mcp: bool| -> Result<Done> {
        let (passes, turn, number) = (Arc::clone(&passes), Arc::clone(&turn), Arc::clone(&number));
        runtime.block_on(post(&running.agents, callers, ROUND, move || {
            let turn = turn.fetch_add(1, Ordering::Relaxed);
            let pass = passes.get(turn % passes.len()).filter(|_| turn < passes.len() * PER_PASS);
            let pass = pass.context("the passes have no room for more proposals")?;
            let body = corpus::statement(number.fetch_add(1, Ordering::Relaxed));
            let given =
                json!({ "target": "shop", "body": body, "purpose": "the customer asked where it is", "wait_s": 0 });
            if over_mcp {
                return Ok(call(pass, &given));
            }
            let headers = format!("content-type: application/json\r\nauthorization: Bearer {pass}\r\n");
            Ok(Ask { path: "/v1/proposals", headers, body: given.to_string().into_bytes() })
        }))
    };
    let bare = |callers: usize| -> Result<Done> {
        let given = json!({ "target": "shop", "body": corpus::statement(1), "purpose": "the customer asked where it is", "wait_s": 0 });
        runtime.block_on(post(&echo_base, callers, ROUND, move || Ok(call("none", &given))))
    };
    propose(4, true)?;
    let (mut ours, mut http, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut over_mcp = propose(1, true)?;
        if over_mcp.times.len() < 10 {
            bail!("{} calls were answered, {} were refused", over_mcp.times.len(), over_mcp.refused);
        }
        let mcp = over_mcp.times.percentile(0.5);
        let plain = propose(1, false)?.times.percentile(0.5);
        let echoed = bare(1)?.times.percentile(0.5);
        ratios.push(mcp / (1.3 * echoed + plain));
        ours.push(mcp);
        http.push(plain);
        theirs.push(echoed);
    }
    let (mcp, plain, echoed) = (median(&mut ours), median(&mut http), median(&mut theirs));
    table.counted(
        "G16 a proposal by tools/call, 1 caller, p50: 1.3 echoes of rmcp and the same proposal over HTTP",
        time(mcp),
        format!("{} and {}", time(echoed), time(plain)),
        median(&mut ratios),
        Goal::AtMost(1.0),
    );
    let (loaded, echoes) = (propose(CALLERS, true)?, bare(CALLERS)?);
    table.counted(
        "proposals by tools/call, 16 callers: an echo of rmcp, which keeps nothing",
        rate(loaded.a_second),
        rate(echoes.a_second),
        loaded.a_second / echoes.a_second,
        Goal::None,
    );
    Ok(())
}
