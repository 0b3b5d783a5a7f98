//! `wetink mcp`: MCP over stdio for hosts that start a program, forwarded to a gateway over HTTP. It reads one JSON-RPC
//! message a line, posts each, and writes every message of the answers as one line. It keeps nothing but the revision that
//! `initialize` agreed on, and it looks into a message only for what the HTTP form repeats in headers.

mod post;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use self::post::Gateway;
use crate::AgentKey;

/// Longest line from the host, in bytes: what the gateway takes, and the line's end.
const LINE_MAX: u64 = 2 * 1024 * 1024 + 2;
/// Requests under way at once; more wait for a place.
const AT_ONCE: usize = 32;
/// JSON-RPC code for a gateway that does not answer or refuses; outside the ranges that JSON-RPC and MCP keep for themselves.
const NOT_FORWARDED: i32 = 1;
/// How long answers are still waited for once the host closed its side.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
const PARSE_ERROR: i32 = -32700;

/// Why the bridge stopped or did not start.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The address is not one that a pass may be sent to.
    #[error(
        "gateway address `{0}` is not accepted; use http://127.0.0.1:PORT, http://[::1]:PORT or http://localhost:PORT"
    )]
    Address(String),
    /// The pass has characters that no pass has.
    #[error("the agent pass is not of the form that `wetink connect` prints")]
    Pass,
    /// The host's pipe broke.
    #[error("the host's pipe broke")]
    Pipe(#[from] std::io::Error),
    /// The host sent a line without end.
    #[error("the host sent a line of more than 2 MiB; an artifact has at most 1 MiB")]
    Line,
}

/// Bridges this process's stdin and stdout to the gateway at `url` until stdin ends. With a key each request proves that the
/// pass, which is bound to it, is not a stolen one.
///
/// # Errors
/// If the address or pass cannot be used, or the host's pipe breaks. A gateway that is away is told to the host as an error
/// of each request, not here.
pub async fn bridge(url: &str, pass: &str, key: Option<AgentKey>) -> Result<(), BridgeError> {
    run(url, pass, key, tokio::io::stdin(), tokio::io::stdout()).await
}

/// [`bridge`] between any two pipes.
///
/// # Errors
/// As [`bridge`].
pub async fn run<R, W>(url: &str, pass: &str, key: Option<AgentKey>, input: R, output: W) -> Result<(), BridgeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let gateway = Arc::new(Gateway::new(url, pass, key)?);
    let (lines, written) = mpsc::channel(AT_ONCE);
    let writer = tokio::spawn(write(output, written));
    let read = Forwarder { gateway, lines, at_once: Arc::new(Semaphore::new(AT_ONCE)), under_way: Arc::default() }
        .forward(BufReader::new(input))
        .await;
    let wrote = writer.await.map_err(std::io::Error::other)?;
    read?;
    Ok(wrote?)
}

async fn write(mut output: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<Value>) -> std::io::Result<()> {
    while let Some(message) = lines.recv().await {
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(())
}

/// Requests under way by their id, as JSON text.
type UnderWay = Arc<Mutex<HashMap<String, AbortHandle>>>;

struct Forwarder {
    gateway: Arc<Gateway>,
    lines: mpsc::Sender<Value>,
    at_once: Arc<Semaphore>,
    under_way: UnderWay,
}

impl Forwarder {
    async fn forward(self, mut input: impl AsyncBufReadExt + Unpin) -> Result<(), BridgeError> {
        let mut requests = JoinSet::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut input).take(LINE_MAX).read_until(b'\n', &mut line).await?;
            if read == 0 {
                break;
            }
            if line.last() != Some(&b'\n') && line.len() as u64 >= LINE_MAX {
                return Err(BridgeError::Line);
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let Ok(message) = serde_json::from_slice::<Value>(&line) else {
                self.say(failure(Value::Null, PARSE_ERROR, "not JSON")).await?;
                continue;
            };
            if message["method"] == "notifications/cancelled" {
                self.cancel(&message["params"]["requestId"]);
                continue;
            }
            let Ok(place) = Arc::clone(&self.at_once).acquire_owned().await else { break };
            let (gateway, lines, under_way) =
                (Arc::clone(&self.gateway), self.lines.clone(), Arc::clone(&self.under_way));
            let id = message.get("id").cloned();
            let key = id.as_ref().map(ToString::to_string);
            let done = key.clone();
            let request = async move {
                let sent = gateway.post(&message, &lines).await;
                if let (Err(why), Some(id)) = (sent, id) {
                    let _ = lines.send(failure(id, NOT_FORWARDED, &why)).await;
                }
                if let Some(key) = done {
                    locked(&under_way).remove(&key);
                }
                drop(place);
            };
            // Under one lock, so that a request cannot be over before it is noted down.
            let mut noted = locked(&self.under_way);
            let task = requests.spawn(request);
            if let Some(key) = key {
                noted.insert(key, task);
            }
            drop(noted);
            while requests.try_join_next().is_some() {}
        }
        // The host closed its side and soon ends this process. What is nearly done may finish; a connection that is cut only
        // ends the waiting.
        let _ = timeout(LAST_ANSWERS, async { while requests.join_next().await.is_some() {} }).await;
        requests.shutdown().await;
        Ok(())
    }

    /// In HTTP, cutting the connection is how a request is cancelled.
    fn cancel(&self, id: &Value) {
        if let Some(task) = locked(&self.under_way).remove(&id.to_string()) {
            task.abort();
        }
    }

    async fn say(&self, message: Value) -> Result<(), BridgeError> {
        self.lines.send(message).await.map_err(|_| BridgeError::Pipe(std::io::ErrorKind::BrokenPipe.into()))
    }
}

fn locked(map: &Mutex<HashMap<String, AbortHandle>>) -> std::sync::MutexGuard<'_, HashMap<String, AbortHandle>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failure(id: Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}
