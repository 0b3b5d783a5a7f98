//! One message as one POST to the gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use artifact::Timestamp;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use axum::http::{Request, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::BridgeError;
use crate::{AgentKey, dpop};

/// Longest message from the gateway, in bytes.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Where to post, with what.
pub(super) struct Gateway {
    authority: String,
    addresses: Vec<SocketAddr>,
    authorization: HeaderValue,
    pass: String,
    key: Option<AgentKey>,
    /// What the gateway wants proofs to hold.
    nonce: Mutex<Option<String>>,
    /// What `initialize` agreed on, for hosts of the revisions that have it.
    agreed: Mutex<Option<HeaderValue>>,
}

impl Gateway {
    /// The gateway at `url`, which must be on this machine: over plain HTTP a pass goes no further. No name is looked up.
    pub(super) fn new(url: &str, pass: &str, key: Option<AgentKey>) -> Result<Self, BridgeError> {
        let refused = || BridgeError::Address(url.chars().take(100).map(artifact::visible_char).collect());
        let uri: Uri = url.parse().map_err(|_| refused())?;
        let authority = uri.authority().ok_or_else(refused)?;
        if uri.scheme_str() != Some("http") || authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") {
            return Err(refused());
        }
        let port = authority.port_u16().unwrap_or(80);
        let host = authority.host();
        let ips = if host.eq_ignore_ascii_case("localhost") {
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        } else {
            vec![host.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| refused())?]
        };
        if !ips.iter().all(IpAddr::is_loopback) {
            return Err(refused());
        }
        let scheme = if key.is_some() { "DPoP" } else { "Bearer" };
        let mut authorization = HeaderValue::try_from(format!("{scheme} {pass}")).map_err(|_| BridgeError::Pass)?;
        authorization.set_sensitive(true);
        Ok(Self {
            authority: authority.to_string(),
            addresses: ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
            authorization,
            pass: pass.to_owned(),
            key,
            nonce: Mutex::new(None),
            agreed: Mutex::new(None),
        })
    }

    /// Posts `message` and hands every message of the answer on. The error is a sentence for the host.
    pub(super) async fn post(&self, message: &Value, lines: &mpsc::Sender<Value>) -> Result<(), String> {
        let mut tries = 0..2;
        loop {
            match self.once(message, lines, tries.next().is_some_and(|n| n == 0)).await {
                Ok(true) => return Ok(()),
                // The gateway told what its proofs must hold; the message itself was not looked at.
                Ok(false) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// False if it is to be sent once more.
    async fn once(&self, message: &Value, lines: &mpsc::Sender<Value>, again: bool) -> Result<bool, String> {
        let away = |_| format!("the gateway at {} does not answer; is `wetink up` running?", self.authority);
        let stream = TcpStream::connect(self.addresses.as_slice()).await.map_err(|e| away(e.to_string()))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e: hyper::Error| away(e.to_string()))?;
        let request = self.request(message).map_err(|_| "the message cannot be sent".to_owned())?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|e| away(e.to_string()))?;
            let nonce = response.headers().get(dpop::NONCE).and_then(|nonce| nonce.to_str().ok());
            if let (true, Some(nonce)) = (again && self.key.is_some(), nonce) {
                *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
                return Ok(false);
            }
            self.answer(message, response, lines).await.map(|()| true)
        };
        // Both in one future: dropping it cuts the connection, and so cancels the request.
        tokio::pin!(connection);
        tokio::pin!(exchange);
        tokio::select! {
            done = &mut exchange => done,
            _ = &mut connection => exchange.await,
        }
    }

    fn request(&self, message: &Value) -> Result<Request<Full<Bytes>>, axum::http::Error> {
        let mut request = Request::post("/mcp")
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream");
        if let Some(key) = &self.key {
            let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let url = format!("http://{}/mcp", self.authority);
            let proof = key.prove("POST", &url, &self.pass, nonce.as_deref(), Timestamp::now());
            request = request.header(dpop::HEADER, proof);
        }
        let (method, params) = (message["method"].as_str().unwrap_or_default(), &message["params"]);
        match params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str() {
            Some(version) => {
                request = request.header(VERSION, in_header(version)).header(METHOD, in_header(method));
                if let Some(name) = name(method, params) {
                    request = request.header(NAME, in_header(name));
                }
            }
            None if method != "initialize" => {
                let agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(version) = agreed {
                    request = request.header(VERSION, version);
                }
            }
            None => {}
        }
        request.body(Full::new(Bytes::from(message.to_string())))
    }

    async fn answer(
        &self,
        asked: &Value,
        response: hyper::Response<Incoming>,
        lines: &mpsc::Sender<Value>,
    ) -> Result<(), String> {
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).map(|v| v.as_bytes().to_vec()).unwrap_or_default();
        let mut body = response.into_body();
        let mut parts = if kind.starts_with(b"text/event-stream") { Parts::Events(Vec::new()) } else { Parts::Whole };
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| "the connection to the gateway broke; ask again".to_owned())?;
            let Some(chunk) = frame.data_ref() else { continue };
            if parts.held() + buffer.len() + chunk.len() > ANSWER_MAX {
                return Err("the gateway's answer is too large".to_owned());
            }
            buffer.extend_from_slice(chunk);
            for text in parts.taken(&mut buffer) {
                self.hand_on(asked, &text, lines).await;
            }
        }
        if matches!(parts, Parts::Whole) && !buffer.is_empty() && !self.hand_on(asked, &buffer, lines).await {
            return Err(refusal(status, &buffer));
        }
        Ok(())
    }

    /// False if the text is no JSON-RPC message.
    async fn hand_on(&self, asked: &Value, text: &[u8], lines: &mpsc::Sender<Value>) -> bool {
        let Ok(message) = serde_json::from_slice::<Value>(text) else { return false };
        if message["jsonrpc"] != "2.0" {
            return false;
        }
        if asked["method"] == "initialize"
            && let Some(version) = message["result"]["protocolVersion"].as_str()
            && let Ok(version) = HeaderValue::from_str(version)
        {
            *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        }
        // A host that closed its pipe ends the bridge elsewhere.
        lines.send(message).await.is_ok()
    }
}

/// How messages lie in the answer's body.
enum Parts {
    Whole,
    /// The `data` lines of the event that is being read.
    Events(Vec<u8>),
}

impl Parts {
    fn held(&self) -> usize {
        match self {
            Self::Whole => 0,
            Self::Events(data) => data.len(),
        }
    }

    /// Takes the finished events out of the buffer (WHATWG HTML, section 9.2.6).
    fn taken(&mut self, buffer: &mut Vec<u8>) -> Vec<Vec<u8>> {
        let Self::Events(data) = self else { return Vec::new() };
        let mut done = Vec::new();
        while let Some(end) = buffer.iter().position(|c| *c == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let line = line.trim_ascii_end();
            if line.is_empty() {
                let event = std::mem::take(data);
                if !event.is_empty() {
                    done.push(event);
                }
            } else if let Some(rest) = line.strip_prefix(b"data:") {
                data.extend_from_slice(rest.trim_ascii_start());
            }
        }
        done
    }
}

/// The gateway's own words where it refused before the message was read.
fn refusal(status: hyper::StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice::<doors::agents::RefusalAnswer>(body) {
        Ok(answer) => answer.message,
        Err(_) => format!("the gateway answered with HTTP status {}", status.as_u16()),
    }
}

/// What `Mcp-Name` repeats (MCP 2026-07-28, Streamable HTTP, standard request headers).
fn name<'a>(method: &str, params: &'a Value) -> Option<&'a str> {
    let field = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    params[field].as_str()
}

/// Plain text as it is, anything else in the base64 form of the same section.
fn in_header(text: &str) -> String {
    let plain =
        text.bytes().all(|c| (0x20..=0x7e).contains(&c)) && text.trim() == text && !text.starts_with("=?base64?");
    if plain { text.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_goes_to_this_machine_only() {
        for good in ["http://127.0.0.1:7117", "http://127.9.9.9:1/", "http://[::1]:7117", "http://localhost:7117"] {
            assert!(Gateway::new(good, "wtk_x", None).is_ok(), "{good}");
        }
        for bad in [
            "https://127.0.0.1:7117",
            "http://gw.example:7117",
            "http://10.0.0.1:7117",
            "http://0.0.0.0:7117",
            "http://localhost.evil.example:7117",
            "http://127.0.0.1@evil.example:7117",
            "http://[::ffff:10.0.0.1]:7117",
            "http://127.0.0.1:7117/mcp",
            "127.0.0.1:7117",
            "",
        ] {
            assert!(matches!(Gateway::new(bad, "wtk_x", None), Err(BridgeError::Address(_))), "{bad}");
        }
        assert!(matches!(Gateway::new("http://127.0.0.1:1", "a\r\nX: y", None), Err(BridgeError::Pass)));
    }

    #[test]
    fn events_arrive_in_any_pieces() {
        let text = b": ping\r\n\r\nid: 0\r\ndata:\r\n\r\nevent: message\ndata: {\"a\":\ndata: 1}\n\ndata: {}\n\n";
        for size in 1..text.len() {
            let (mut parts, mut buffer, mut all) = (Parts::Events(Vec::new()), Vec::new(), Vec::new());
            for piece in text.chunks(size) {
                buffer.extend_from_slice(piece);
                all.extend(parts.taken(&mut buffer));
            }
            assert_eq!(all, [b"{\"a\":1}".to_vec(), b"{}".to_vec()], "{size}");
        }
    }

    #[test]
    fn names_fit_into_headers() {
        assert_eq!(in_header("check"), "check");
        assert_eq!(in_header("ä"), "=?base64?w6Q=?=");
        assert_eq!(in_header(" a"), "=?base64?IGE=?=");
        assert_eq!(in_header("a\r\nX: y"), "=?base64?YQ0KWDogeQ==?=");
        assert_eq!(in_header("=?base64?YQ==?="), "=?base64?PT9iYXNlNjQ/WVE9PT89?=");
    }
}
