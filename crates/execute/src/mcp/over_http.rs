//! A server over HTTP (Streamable HTTP): each message is a POST, its answer a JSON document or an event of a stream.
//!
//! A redirection is no answer. Nothing is sent again: whether a call that was cut off was done, nobody can say.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use wire::order::{FailCode, Report};
use wire::origin::Origin;
use wire::target::McpServer;

use super::{Heard, MESSAGE_MAX, Silence, heard, message};
use crate::child::failed;
use crate::http::{CONNECT, meet};
use crate::secret::Secret;

/// How long the good-bye may take.
const PART: Duration = Duration::from_secs(1);
/// Longest name of a session.
const SESSION_MAX: usize = 1_000;

pub(super) struct OverHttp {
    origin: Origin,
    path: String,
    private: bool,
    ca_file: Option<String>,
    /// What stands in every message's head.
    headers: HeaderMap,
    sender: Option<SendRequest<Full<Bytes>>>,
    next: u64,
}

fn lost(error: impl std::fmt::Display) -> Silence {
    Silence::Lost(error.to_string())
}

impl OverHttp {
    pub(super) fn new(server: &McpServer, secret: &Secret) -> Result<Self, Report> {
        let bad = |detail: &str| failed(FailCode::BadOrder, detail);
        let McpServer::Http { origin, path, credential_header, credential_prefix, private, ca_file } = server else {
            return Err(bad("the server is not reached over HTTP"));
        };
        let origin = Origin::read(origin).ok_or_else(|| bad("the origin is not usable"))?;
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_str(&origin.authority).map_err(|_| bad("the origin is not usable"))?;
        headers.insert(HOST, host);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        match (credential_header, &secret.value) {
            (Some(name), Some(value)) => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("the header is not usable"))?;
                let value = HeaderValue::from_str(&format!("{credential_prefix}{value}"));
                let mut value = value.map_err(|_| bad("the credential cannot stand in a header"))?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            (None, Some(_)) => return Err(bad("the registration names no header for the credential")),
            (_, None) => {}
        }
        let (path, private, ca_file) = (path.clone(), *private, ca_file.clone());
        Ok(Self { origin, path, private, ca_file, headers, sender: None, next: 0 })
    }

    /// The revision that the server answered with, which later messages name.
    pub(super) fn agreed(&mut self, revision: &str) {
        if let Ok(value) = HeaderValue::from_str(revision) {
            self.headers.insert("mcp-protocol-version", value);
        }
    }

    pub(super) async fn ask(&mut self, method: &str, params: &str) -> Result<Json, Silence> {
        self.next += 1;
        let id = self.next;
        let response = self.post(Method::POST, message(Some(id), method, params)).await?;
        if let Some(session) = response.headers().get("mcp-session-id").filter(|s| s.len() <= SESSION_MAX) {
            self.headers.insert("mcp-session-id", session.clone());
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_stream = kind.split(';').next().is_some_and(|kind| kind.trim() == "text/event-stream");
        let mut body = response.into_body();
        let (mut taken, mut read) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(lost)?;
            let Some(data) = frame.data_ref() else { continue };
            read += data.len();
            if read > MESSAGE_MAX {
                return Err(Silence::Lost("the answer is too long".to_owned()));
            }
            taken.extend_from_slice(data);
            if is_stream && let Some(answer) = answer_in(&mut taken, id) {
                // The stream is not read to its end, so the connection is of no more use.
                self.sender = None;
                return answer;
            }
        }
        if is_stream {
            taken.extend_from_slice(b"\n\n");
            return answer_in(&mut taken, id).unwrap_or_else(|| Err(lost("the stream ended without an answer")));
        }
        let said: Json = serde_json::from_slice(&taken).map_err(|_| lost("the answer is no JSON"))?;
        match heard(&said, id) {
            Heard::Answer(answer) => answer,
            Heard::Question(_) | Heard::Other => Err(lost("the answer is to something else")),
        }
    }

    pub(super) async fn tell(&mut self, method: &str) -> Result<(), Silence> {
        let response = self.post(Method::POST, message(None, method, "{}")).await?;
        let mut body = http_body_util::Limited::new(response.into_body(), MESSAGE_MAX);
        while let Some(frame) = body.frame().await {
            frame.map_err(lost)?;
        }
        Ok(())
    }

    async fn post(&mut self, method: Method, body: String) -> Result<Response<Incoming>, Silence> {
        let mut sender = if let Some(sender) = self.sender.take().filter(|sender| !sender.is_closed()) {
            sender
        } else {
            let met = tokio::time::timeout(CONNECT, meet(&self.origin, self.private, self.ca_file.as_deref()));
            let stream = match met.await {
                Ok(Ok(stream)) => stream,
                Ok(Err(Report::Failed { detail, .. })) => return Err(Silence::Lost(detail)),
                Ok(Err(_)) | Err(_) => return Err(lost("connecting took too long")),
            };
            let mut settings = http1::Builder::new();
            settings.max_buf_size(64 * 1024).http09_responses(false);
            let (sender, connection) = settings.handshake(TokioIo::new(stream)).await.map_err(lost)?;
            tokio::spawn(connection);
            sender
        };
        sender.ready().await.map_err(lost)?;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.parse().map_err(|_| lost("the path is not usable"))?;
        *request.headers_mut() = self.headers.clone();
        let response = sender.send_request(request).await.map_err(lost)?;
        self.sender = Some(sender);
        match response.status() {
            status if status.is_success() => Ok(response),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(Silence::Login(format!("the server answered {status}")))
            }
            // Refused before anything was looked at.
            status if status.is_client_error() => Err(Silence::Refused(format!("the server answered {status}"))),
            status => Err(Silence::Lost(format!("the server answered {status}"))),
        }
    }

    /// Ends the session where there is one.
    pub(super) async fn part(mut self) {
        if self.headers.contains_key("mcp-session-id") {
            let _ = tokio::time::timeout(PART, self.post(Method::DELETE, String::new())).await;
        }
    }
}

/// The answer among the whole events at the beginning of `taken`, which are taken off it (HTML, section 9.2.6).
fn answer_in(taken: &mut Vec<u8>, id: u64) -> Option<Result<Json, Silence>> {
    loop {
        let ends = |two: &[u8]| taken.windows(two.len()).position(|w| w == two).map(|at| (at, two.len()));
        let (at, length) = [ends(b"\n\n"), ends(b"\r\n\r\n"), ends(b"\r\r")].into_iter().flatten().min()?;
        let event: Vec<u8> = taken.drain(..at + length).collect();
        let text = String::from_utf8_lossy(&event);
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let data = data.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let Ok(said) = serde_json::from_str::<Json>(&data) else { continue };
        // A question in the stream would be answered by a message of its own; leaving it open ends with the call.
        if let Heard::Answer(answer) = heard(&said, id) {
            return Some(answer);
        }
    }
}
