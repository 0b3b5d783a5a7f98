//! An MCP server: one call of one tool (Model Context Protocol, revisions 2024-11-05 to 2025-11-25).
//!
//! The arguments go out as they stand in the artifact; only line ends between them become spaces where a line is a message.
//! What the server says about its tools is read again before the call and has to be what was signed. Nothing that the server
//! asks of us is done: no sampling, no roots, no questions to people.
//!
//! If we crash here: what changes something was announced before the call left; whether it was done, nobody can say.

mod over_http;
mod stdio;

use std::time::{Duration, Instant};

use artifact::Digest;
use artifact::catalog::{Catalog, Tool};
use reading::request;
use serde_json::Value as Json;
use wire::order::{FailCode, Job, Report, ResultColumn, ResultSet};
use wire::target::{Address, McpServer, Registration};

use crate::child::{Commit, Way, drifted, failed};
use crate::http::within;
use crate::members;
use crate::secret::Secret;
use over_http::OverHttp;
use stdio::Stdio;
pub(crate) use stdio::workplace;

/// How long a server may take to start and to say what it has.
const BEGIN: Duration = Duration::from_secs(20);
/// The revision we ask for.
const REVISION: &str = "2025-11-25";
/// Those that we speak.
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", REVISION];
/// Most tools of a server, and most answers that list them.
const TOOLS_MAX: usize = 1_000;
const PAGES_MAX: usize = 50;
/// Longest description and longest schema of a tool, in bytes. A tool with a longer one is left out.
const DESCRIPTION_MAX: usize = 20_000;
const SCHEMA_MAX: usize = 100_000;
/// Longest message, in bytes.
const MESSAGE_MAX: usize = 2 * wire::order::RESULT_BYTES_MAX;

/// Why there is no answer to a message.
enum Silence {
    /// The server's own refusal (JSON-RPC error).
    Refused(String),
    /// The credential was not accepted.
    Login(String),
    /// It is not reached, went away, or does not speak as it should.
    Lost(String),
}

/// A server that we talk to.
enum Server {
    Stdio(Box<Stdio>),
    Http(Box<OverHttp>),
}

impl Server {
    /// Starts it or connects, and shakes hands.
    async fn meet(target: &Registration, secret: &Secret) -> Result<Self, Report> {
        let Address::Mcp { server, .. } = &target.address else {
            return Err(failed(FailCode::BadOrder, "the target is no MCP server"));
        };
        let mut met = match server {
            McpServer::Stdio { .. } => Self::Stdio(Box::new(Stdio::start(server, secret)?)),
            McpServer::Http { .. } => Self::Http(Box::new(OverHttp::new(server, secret)?)),
        };
        match met.greet().await {
            Ok(()) => Ok(met),
            Err(silence) => {
                met.part().await;
                Err(silence.report(secret))
            }
        }
    }

    async fn greet(&mut self) -> Result<(), Silence> {
        let hello = format!(
            r#"{{"protocolVersion":"{REVISION}","capabilities":{{}},"clientInfo":{{"name":"wetink","version":"{}"}}}}"#,
            env!("CARGO_PKG_VERSION")
        );
        let answer = self.ask("initialize", &hello).await?;
        let revision = answer.get("protocolVersion").and_then(Json::as_str).unwrap_or_default();
        if !REVISIONS.contains(&revision) {
            return Err(Silence::Lost(format!("the server speaks revision {revision}, which we do not")));
        }
        if let Self::Http(server) = self {
            server.agreed(revision);
        }
        self.tell("notifications/initialized").await
    }

    async fn ask(&mut self, method: &str, params: &str) -> Result<Json, Silence> {
        match self {
            Self::Stdio(server) => server.ask(method, params).await,
            Self::Http(server) => server.ask(method, params).await,
        }
    }

    async fn tell(&mut self, method: &str) -> Result<(), Silence> {
        match self {
            Self::Stdio(server) => server.tell(method).await,
            Self::Http(server) => server.tell(method).await,
        }
    }

    /// What it says can be called.
    async fn tools(&mut self) -> Result<Vec<Tool>, Silence> {
        let (mut tools, mut params) = (Vec::new(), "{}".to_owned());
        for _ in 0..PAGES_MAX {
            let page = self.ask("tools/list", &params).await?;
            let listed = page.get("tools").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
            tools.extend(listed.iter().filter_map(tool).take(TOOLS_MAX.saturating_sub(tools.len())));
            match page.get("nextCursor").filter(|next| next.is_string()) {
                Some(next) => params = format!(r#"{{"cursor":{next}}}"#),
                None => break,
            }
        }
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        // Of two with one name nobody knows which is called.
        let doubled: Vec<String> =
            tools.windows(2).filter(|two| two[0].name == two[1].name).map(|two| two[0].name.clone()).collect();
        tools.retain(|tool| !doubled.contains(&tool.name));
        Ok(tools)
    }

    async fn part(self) {
        match self {
            Self::Stdio(server) => server.stop().await,
            Self::Http(server) => server.part().await,
        }
    }
}

impl Silence {
    /// As nothing has been called yet.
    fn report(self, secret: &Secret) -> Report {
        let (code, detail) = match self {
            Self::Refused(detail) => (FailCode::StatementFailed, detail),
            Self::Login(detail) => (FailCode::LoginRefused, detail),
            Self::Lost(detail) => (FailCode::TargetUnreachable, detail),
        };
        failed(code, &secret.out_of(&detail))
    }
}

/// One tool as it is kept; none if it cannot be named or is too long to be shown.
fn tool(told: &Json) -> Option<Tool> {
    let text = |name: &str| told.get(name).and_then(Json::as_str);
    let hint = |name: &str| told.get("annotations").and_then(|hints| hints.get(name)).and_then(Json::as_bool);
    let name = text("name").filter(|name| request::is_tool(name))?;
    let description = text("description").or_else(|| text("title")).unwrap_or_default();
    let input_schema = told.get("inputSchema").map_or_else(|| "{}".to_owned(), |schema| in_order(schema).to_string());
    let fits = description.len() <= DESCRIPTION_MAX && input_schema.len() <= SCHEMA_MAX;
    fits.then(|| Tool {
        name: name.to_owned(),
        description: description.to_owned(),
        input_schema,
        reads_only: hint("readOnlyHint"),
        destroys: hint("destructiveHint"),
        digest: Digest::of(in_order(told).to_string().as_bytes()),
    })
}

/// The same with the members of every object in order of their names, so that a server may list them as it likes.
fn in_order(value: &Json) -> Json {
    match value {
        Json::Object(members) => {
            let mut members: Vec<(&String, &Json)> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            Json::Object(members.into_iter().map(|(name, value)| (name.clone(), in_order(value))).collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(in_order).collect()),
        other => other.clone(),
    }
}

fn begin_late<T>(_: T) -> Report {
    failed(FailCode::TimedOut, "the server took too long to start and to list its tools")
}

/// Reads what can be called.
pub(crate) async fn read_catalog(target: &Registration, credential: &[u8]) -> Result<Catalog, Report> {
    let secret = Secret::of(credential)?;
    let read = async {
        let mut server = Server::meet(target, &secret).await?;
        let tools = server.tools().await.map_err(|silence| silence.report(&secret));
        server.part().await;
        tools
    };
    let tools = tokio::time::timeout(BEGIN, read).await.map_err(begin_late)??;
    Ok(Catalog { tools, ..Catalog::default() })
}

/// Calls the tool of the job once.
pub(crate) async fn perform(job: &Job, credential: &[u8], way: Way, commit: &mut Commit<'_>) -> Result<Report, Report> {
    let Address::Mcp { requests, .. } = &job.target.address else {
        return Err(failed(FailCode::BadOrder, "the target is no MCP server"));
    };
    if way.is_trial() {
        return Err(failed(FailCode::BadOrder, "a call cannot be tried and rolled back"));
    }
    let call = request::read(&job.artifact).map_err(|error| failed(FailCode::BadOrder, &error.to_string()))?;
    within(&call, job, requests)?;
    let name = call.path.trim_start_matches('/');
    // No line end can stand inside a string of JSON, so none of these is part of a value.
    let arguments = if call.body.is_empty() { "{}".to_owned() } else { call.body.replace(['\n', '\r'], " ") };
    if !serde_json::from_str::<Json>(&arguments).is_ok_and(|arguments| arguments.is_object()) {
        return Err(failed(FailCode::BadOrder, "the arguments are no JSON object"));
    }
    let secret = Secret::of(credential)?;
    let began = Instant::now();
    let begin = async {
        let mut server = Server::meet(&job.target, &secret).await?;
        let tools = server.tools().await.map_err(|silence| silence.report(&secret))?;
        Ok((server, tools))
    };
    let (mut server, tools) = tokio::time::timeout(BEGIN, begin).await.map_err(begin_late)??;
    let done = async {
        drifted(&job.effect, &Catalog { tools, ..Catalog::default() })?;
        let changes = !job.effect.is_read_only();
        // Announced with nothing called yet: from the next line on it may have happened.
        if changes && !commit(0, None) {
            return Err(failed(FailCode::Withdrawn, "the guard said no at the last moment; nothing was called"));
        }
        let limit = Duration::from_millis(job.target.statement_timeout_ms);
        let params = format!(r#"{{"name":"{name}","arguments":{arguments}}}"#);
        let answer = tokio::time::timeout(limit, server.ask("tools/call", &params)).await;
        let unknown = |detail: &str| failed(FailCode::OutcomeUnknown, &secret.out_of(detail));
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Silence::Lost(detail))) if changes => Err(unknown(&detail)),
            Ok(Err(silence)) => Err(silence.report(&secret)),
            Err(_) if changes => Err(unknown("no answer came in time")),
            Err(_) => Err(failed(FailCode::TimedOut, "no answer came in time")),
        }
    };
    let answer = done.await;
    server.part().await;
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Report::Done { affected: 0, result: result(name, &answer?, job, &secret), elapsed_ms, undo: None, stays: false })
}

/// The column with what a piece says.
const TEXT: usize = 2;

/// One row for each piece of what the tool gave.
fn result(tool: &str, answer: &Json, job: &Job, secret: &Secret) -> ResultSet {
    let text = |piece: &Json, name: &str| piece.get(name).and_then(Json::as_str).map(|text| secret.out_of(text));
    let is_error = answer.get("isError").and_then(Json::as_bool) == Some(true);
    let row = |piece: &Json| -> Vec<Option<String>> {
        let kind = text(piece, "type").unwrap_or_default();
        let (kind, name, value) = match kind.as_str() {
            "text" => ("text".to_owned(), None, text(piece, "text")),
            "image" | "audio" => (text(piece, "mimeType").unwrap_or(kind), None, text(piece, "data")),
            "resource" => {
                let inner = piece.get("resource").unwrap_or(&Json::Null);
                let value = text(inner, "text").or_else(|| text(inner, "blob"));
                (text(inner, "mimeType").unwrap_or(kind), text(inner, "uri"), value)
            }
            _ => (kind, text(piece, "uri"), Some(secret.out_of(&piece.to_string()))),
        };
        vec![Some(if is_error { "error".to_owned() } else { kind }), name, value]
    };
    let content = answer.get("content").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let mut rows: Vec<_> = content.iter().map(row).collect();
    if let Some(structured) = answer.get("structuredContent") {
        rows.push(vec![Some("structured".to_owned()), None, Some(secret.out_of(&structured.to_string()))]);
    }
    let total_rows = rows.len() as u64;
    rows.truncate(usize::try_from(job.target.result_rows_max).unwrap_or(usize::MAX));
    let mut left = wire::order::RESULT_BYTES_MAX;
    for cell in rows.iter_mut().flatten() {
        // What does not fit is not shown in part: half a document reads like a whole one.
        match cell.as_ref().map_or(0, String::len) {
            length if length > left => *cell = None,
            length => left -= length,
        }
    }
    let columns = ["kind", "name", "text"]
        .map(|name| ResultColumn { name: name.to_owned(), origin: Some(format!("{tool}.{name}")) })
        .to_vec();
    let mut result = ResultSet { columns, rows, total_rows };
    members::apart(&mut result, TEXT, &format!("{tool}.text"), &job.target.labels);
    result
}

/// A message of JSON-RPC 2.0; one without a number wants no answer.
fn message(id: Option<u64>, method: &str, params: &str) -> String {
    let id = id.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0",{id}"method":"{method}","params":{params}}}"#)
}

/// What a message of the server's is to us.
enum Heard {
    /// The answer to our message.
    Answer(Result<Json, Silence>),
    /// A question of its own, and what we say to it.
    Question(String),
    /// Nothing that concerns us.
    Other,
}

fn heard(message: &Json, id: u64) -> Heard {
    let method = message.get("method").and_then(Json::as_str);
    match (method, message.get("id")) {
        (Some("ping"), Some(theirs)) => Heard::Question(format!(r#"{{"jsonrpc":"2.0","id":{theirs},"result":{{}}}}"#)),
        (Some(_), Some(theirs)) => Heard::Question(format!(
            r#"{{"jsonrpc":"2.0","id":{theirs},"error":{{"code":-32601,"message":"not offered"}}}}"#
        )),
        (None, Some(theirs)) if theirs.as_u64() == Some(id) => {
            if let Some(error) = message.get("error") {
                let text = error.get("message").and_then(Json::as_str).unwrap_or("an error without words");
                return Heard::Answer(Err(Silence::Refused(format!("the server refused: {text}"))));
            }
            Heard::Answer(Ok(message.get("result").cloned().unwrap_or(Json::Null)))
        }
        _ => Heard::Other,
    }
}
