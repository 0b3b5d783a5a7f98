//! A desk for protocol tests: keeps proposals in memory and decides when the test says so. And a client that speaks HTTP in
//! raw bytes, so that attacks need no library's consent.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code; each file uses a part"
)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use artifact::{Digest, ProposalId, SessionId, TaskId, Timestamp};
use doors::Refusal;
use doors::agents::{
    Check, CheckAnswer, OwnTool, Principal, ProposalAnswer, Propose, RelationDescription, Status, TargetDescription,
    TargetSummary,
};
use intake::oauth::{Exchange, ExchangeError, Exchanged};
use intake::{Door, IntakeConfig, Refused};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub const PASS: &str = "wtk_robin";
pub const OTHER: &str = "wtk_other";

#[derive(Clone)]
pub struct TestDoor {
    people: Arc<[(&'static str, Principal)]>,
    proposals: Arc<Mutex<Vec<(SessionId, ProposalAnswer)>>>,
    changed: watch::Sender<u64>,
    /// How long a hand-in takes.
    slow: Duration,
}

impl TestDoor {
    pub fn new() -> Self {
        let principal = |agent: &str| Principal {
            session: SessionId::random(),
            agent: agent.to_owned(),
            person: "ada".to_owned(),
            task: TaskId::random(),
            address: String::new(),
            bound_to: None,
        };
        Self {
            people: Arc::new([(PASS, principal("robin")), (OTHER, principal("other"))]),
            proposals: Arc::default(),
            changed: watch::Sender::new(0),
            slow: Duration::ZERO,
        }
    }

    pub fn slow(slow: Duration) -> Self {
        Self { slow, ..Self::new() }
    }

    pub fn count(&self) -> usize {
        self.proposals.lock().unwrap().len()
    }

    pub fn last(&self) -> ProposalAnswer {
        self.proposals.lock().unwrap().last().unwrap().1.clone()
    }

    pub fn decide(&self, id: ProposalId, status: Status) {
        let mut all = self.proposals.lock().unwrap();
        let (_, answer) = all.iter_mut().find(|(_, a)| a.proposal_id == id).unwrap();
        answer.status = status;
        status.next().clone_into(&mut answer.message);
        answer.retry_after_s = (!status.is_final()).then_some(15);
        answer.result = (status == Status::Released).then(|| json!({"rows": [[1, "a"]]}));
        answer.reason = (status == Status::Rejected).then(|| "Not on a Friday.".to_owned());
        drop(all);
        self.changed.send_modify(|n| *n += 1);
    }

    /// Decides about the next proposal once it is there.
    pub fn decide_soon(&self, status: Status) {
        let (door, mut changed) = (self.clone(), self.changed.subscribe());
        tokio::spawn(async move {
            changed.changed().await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            door.decide(door.last().proposal_id, status);
        });
    }

    fn find(&self, who: &Principal, id: ProposalId) -> Result<ProposalAnswer, Refused> {
        let all = self.proposals.lock().unwrap();
        let found = all.iter().find(|(session, a)| *session == who.session && a.proposal_id == id);
        found.map(|(_, a)| a.clone()).ok_or_else(|| Refusal::UnknownProposal.into())
    }
}

impl Door for TestDoor {
    async fn exchange(&self, _: Exchange, _: Option<String>) -> Result<Exchanged, ExchangeError> {
        Err(ExchangeError::InvalidGrant)
    }

    async fn authenticate(&self, pass: &str, address: &str) -> Result<Principal, Refusal> {
        let found = self.people.iter().find(|(known, _)| *known == pass).ok_or(Refusal::NotAuthenticated)?;
        Ok(Principal { address: address.to_owned(), ..found.1.clone() })
    }

    async fn check(&self, _: &Principal, check: Check) -> Result<CheckAnswer, Refused> {
        if check.target != "orders" {
            return Err(Refusal::UnknownTarget.into());
        }
        Ok(CheckAnswer {
            decision: "ask".to_owned(),
            sentence: "Reads orders.".to_owned(),
            understood: true,
            effect: artifact::Effect::empty(),
            findings: Vec::new(),
            reasons: Vec::new(),
            digest: Digest::of(check.body.as_bytes()),
            message: "Propose it.".to_owned(),
        })
    }

    async fn propose(&self, who: &Principal, propose: Propose) -> Result<ProposalAnswer, Refused> {
        tokio::time::sleep(self.slow).await;
        if propose.target != "orders" {
            return Err(Refusal::UnknownTarget.into());
        }
        let digest = Digest::of(propose.body.as_bytes());
        let same = |(session, a): &&(SessionId, ProposalAnswer)| *session == who.session && a.digest == digest;
        if let Some((_, known)) = self.proposals.lock().unwrap().iter().find(same) {
            return Ok(known.clone());
        }
        let status = if propose.body.starts_with("DROP") { Status::Denied } else { Status::Pending };
        let id = ProposalId::random();
        let answer = ProposalAnswer {
            proposal_id: id,
            revision: 1,
            status,
            digest,
            words: artifact::digest_words(&digest),
            target: propose.target,
            task: who.task,
            review_url: format!("http://127.0.0.1:7117/p/{id}"),
            expires_at: Timestamp::now().plus_seconds(3600),
            retry_after_s: Some(15),
            result: None,
            reason: None,
            reasons: Vec::new(),
            message: status.next().to_owned(),
        };
        self.proposals.lock().unwrap().push((who.session, answer.clone()));
        self.changed.send_modify(|n| *n += 1);
        Ok(answer)
    }

    async fn get(&self, who: &Principal, id: ProposalId) -> Result<ProposalAnswer, Refused> {
        self.find(who, id)
    }

    async fn wait(
        &self,
        who: &Principal,
        id: ProposalId,
        seen: Status,
        time: Duration,
    ) -> Result<ProposalAnswer, Refused> {
        let mut changed = self.changed.subscribe();
        let differs = async {
            while self.find(who, id).is_ok_and(|a| a.status == seen) {
                changed.changed().await.unwrap();
            }
        };
        let _ = tokio::time::timeout(time, differs).await;
        self.find(who, id)
    }

    async fn withdraw(&self, who: &Principal, id: ProposalId) -> Result<ProposalAnswer, Refused> {
        if self.find(who, id)?.status != Status::Pending {
            return Err(Refusal::WrongState.into());
        }
        self.decide(id, Status::Withdrawn);
        self.find(who, id)
    }

    async fn list(&self, who: &Principal) -> Result<Vec<ProposalAnswer>, Refused> {
        let all = self.proposals.lock().unwrap();
        Ok(all.iter().rev().filter(|(session, _)| *session == who.session).map(|(_, a)| a.clone()).collect())
    }

    async fn targets(&self, _: &Principal) -> Result<Vec<TargetSummary>, Refused> {
        Ok(vec![target()])
    }

    async fn tools(&self, _: &Principal) -> Result<Option<Vec<OwnTool>>, Refused> {
        Ok(None)
    }

    async fn describe(&self, _: &Principal, name: &str) -> Result<TargetDescription, Refused> {
        if name != "orders" {
            return Err(Refusal::UnknownTarget.into());
        }
        let relation = RelationDescription { name: "main.orders".to_owned(), columns: vec!["id integer".to_owned()] };
        Ok(TargetDescription { target: target(), relations: vec![relation], message: "Propose.".to_owned() })
    }
}

fn target() -> TargetSummary {
    TargetSummary {
        name: "orders".to_owned(),
        kind: "sql/sqlite".to_owned(),
        environment: "prod".to_owned(),
        may: vec!["read main.orders".to_owned()],
        reads_run_without_asking: false,
    }
}

/// A served door.
pub struct Served {
    pub door: TestDoor,
    pub at: SocketAddr,
}

pub async fn serve() -> Served {
    serve_with(TestDoor::new(), |_| ()).await
}

pub async fn serve_with(door: TestDoor, change: impl FnOnce(&mut IntakeConfig)) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut config = IntakeConfig::at(&format!("http://{at}")).unwrap();
    config.task_after = Duration::from_millis(150);
    config.progress_every = Duration::from_millis(200);
    change(&mut config);
    let service = intake::router(door.clone(), config).into_make_service_with_connect_info::<intake::tls::Peer>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    Served { door, at }
}

/// An answer, read whole.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The messages of a stream of events.
    pub fn events(&self) -> Vec<Value> {
        self.body.lines().filter_map(|l| serde_json::from_str(l.strip_prefix("data:")?.trim()).ok()).collect()
    }

    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, &self.json()["refused"]), (status, &json!(code)), "{}", self.body);
        assert!(self.json()["message"].as_str().is_some_and(|m| !m.is_empty()));
    }
}

impl Served {
    /// Sends these bytes and reads until the end.
    pub async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        // The server may answer and close before everything is sent.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { dechunk(body) } else { body.to_owned() };
        Answer { status, head: head.to_owned(), body }
    }

    pub fn bytes(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            write!(head, "Host: {}\r\n", self.at).unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !body.is_empty() {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.raw(&self.bytes(method, path, headers, body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("Authorization", &bearer(PASS))], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("Authorization", &*bearer(PASS)), ("Content-Type", "application/json")];
        self.send("POST", path, &headers, &body.to_string()).await
    }

    /// A message of revision 2026-07-28, with its headers.
    pub async fn modern(&self, method: &str, params: Value) -> Answer {
        self.modern_as(PASS, method, params, json!({})).await
    }

    pub async fn modern_as(&self, pass: &str, method: &str, params: Value, capabilities: Value) -> Answer {
        let body = modern_body(method, params, capabilities);
        let name = body["params"].get("name").or_else(|| body["params"].get("taskId")).and_then(Value::as_str);
        let bearer = bearer(pass);
        let mut headers = mcp_headers(&bearer);
        headers.extend([("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)]);
        headers.extend(name.map(|name| ("Mcp-Name", name)));
        self.send("POST", "/mcp", &headers, &body.to_string()).await
    }

    pub async fn tool(&self, name: &str, arguments: Value) -> Value {
        let answer = self.modern("tools/call", json!({"name": name, "arguments": arguments})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["result"].clone()
    }

    /// A message of an older revision.
    pub async fn legacy(&self, version: Option<&str>, method: &str, params: Value) -> Answer {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let bearer = bearer(PASS);
        let mut headers = mcp_headers(&bearer);
        headers.extend(version.map(|v| ("MCP-Protocol-Version", v)));
        self.send("POST", "/mcp", &headers, &body.to_string()).await
    }
}

pub fn bearer(pass: &str) -> String {
    format!("Bearer {pass}")
}

pub fn mcp_headers(bearer: &str) -> Vec<(&str, &str)> {
    vec![
        ("Authorization", bearer),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ]
}

pub fn modern_body(method: &str, mut params: Value, capabilities: Value) -> Value {
    let meta = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
    meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    meta["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "vectors", "version": "1"});
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

pub fn proposal(body: &str, wait_s: u8) -> Value {
    json!({"target": "orders", "body": body, "purpose": "because", "wait_s": wait_s})
}

fn dechunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body += &after[..size];
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}
