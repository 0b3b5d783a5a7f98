//! Robin, the scripted agent: no model, but real MCP over HTTP, as a host would speak it.

use anyhow::{Context, Result, bail};
use doors::agents::ProposalAnswer;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

const VERSION: &str = "2026-07-28";

/// An MCP client of revision 2026-07-28 with just what the demo needs.
pub(crate) struct Robin {
    http: Client<HttpConnector, Full<Bytes>>,
    url: String,
    pass: String,
    next: std::cell::Cell<u64>,
}

impl Robin {
    /// A client of the agents' door.
    pub(crate) fn new(url: &str, pass: &str) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self { http, url: url.to_owned(), pass: pass.to_owned(), next: std::cell::Cell::new(1) }
    }

    /// Calls a tool and returns its structured answer and whether it is an error.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Result<(Value, bool)> {
        let id = self.next.replace(self.next.get() + 1);
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "robin (scripted)", "version": "1" },
        });
        let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("authorization", format!("Bearer {}", self.pass))
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .body(Full::new(Bytes::from(body.to_string())))?;
        let response = self.http.request(request).await.context("the agents' door does not answer")?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        let messages = text.lines().filter_map(|line| {
            line.strip_prefix("data:").map(str::trim).or_else(|| Some(line).filter(|l| l.starts_with('{')))
        });
        for message in messages {
            let Ok(message) = serde_json::from_str::<Value>(message) else { continue };
            if message.get("id") != Some(&json!(id)) {
                continue;
            }
            let Some(result) = message.get("result") else { bail!("{tool}: {}", message["error"]) };
            let is_error = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
            let content =
                result.get("structuredContent").cloned().context("the tool's answer has no structured content")?;
            return Ok((content, is_error));
        }
        bail!("{tool}: the agents' door answered {status} without a result: {}", artifact::visible(&text))
    }

    /// Hands in a statement.
    pub(crate) async fn propose(&self, target: &str, body: &str, purpose: &str, wait_s: u8) -> Result<ProposalAnswer> {
        let arguments = json!({ "target": target, "body": body, "purpose": purpose, "wait_s": wait_s });
        let (answer, is_error) = self.call("propose", arguments).await?;
        if is_error {
            bail!("propose was refused: {answer}");
        }
        Ok(serde_json::from_value(answer)?)
    }

    /// Looks at a proposal.
    pub(crate) async fn get(&self, id: artifact::ProposalId, wait_s: u8) -> Result<ProposalAnswer> {
        let (answer, is_error) = self.call("get_proposal", json!({ "proposal_id": id, "wait_s": wait_s })).await?;
        if is_error {
            bail!("get_proposal was refused: {answer}");
        }
        Ok(serde_json::from_value(answer)?)
    }
}
