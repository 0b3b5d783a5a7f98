//! The stdio bridge between scripted pipes and a served door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod common;

use std::time::Duration;

use common::{PASS, Served, modern_body, proposal, serve};
use doors::agents::Status;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};

struct Host {
    input: WriteHalf<DuplexStream>,
    output: Lines<BufReader<ReadHalf<DuplexStream>>>,
    bridge: tokio::task::JoinHandle<Result<(), intake::bridge::BridgeError>>,
}

impl Host {
    fn start(url: String, pass: &'static str) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (read, write) = tokio::io::split(theirs);
        let bridge = tokio::spawn(async move { intake::bridge::run(&url, pass, None, read, write).await });
        let (read, input) = tokio::io::split(ours);
        Self { input, output: BufReader::new(read).lines(), bridge }
    }

    fn to(served: &Served) -> Self {
        Self::start(format!("http://{}", served.at), PASS)
    }

    async fn say(&mut self, message: Value) {
        self.input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(20), self.output.next_line()).await.unwrap();
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }
}

fn numbered(id: u32, method: &str, params: Value) -> Value {
    let mut message = modern_body(method, params, json!({}));
    message["id"] = json!(id);
    message
}

#[tokio::test]
async fn a_modern_host() {
    let served = serve().await;
    let mut host = Host::to(&served);
    host.say(numbered(1, "server/discover", json!({}))).await;
    assert_eq!(host.hear().await["result"]["supportedVersions"][2], "2026-07-28");
    host.say(numbered(2, "tools/call", json!({"name": "list_targets", "arguments": {}}))).await;
    let heard = host.hear().await;
    assert_eq!(
        (&heard["id"], &heard["result"]["structuredContent"]["targets"][0]["name"]),
        (&json!(2), &json!("orders"))
    );
    host.say(numbered(3, "tools/call", json!({"name": "ä\nb", "arguments": {}}))).await;
    assert_eq!(host.hear().await["error"]["code"], -32602);
    // Answers come as they are ready, not in the order of the questions.
    let slow = json!({"name": "propose", "arguments": proposal("SELECT 1", 30), "_meta": {"progressToken": 7}});
    host.say(numbered(4, "tools/call", slow)).await;
    assert_eq!(host.hear().await["method"], "notifications/progress");
    host.say(numbered(5, "tools/list", json!({}))).await;
    loop {
        let heard = host.hear().await;
        if heard["method"] != "notifications/progress" {
            assert_eq!(heard["id"], 5);
            break;
        }
    }
    served.door.decide(served.door.last().proposal_id, Status::Released);
    loop {
        let heard = host.hear().await;
        if heard["method"] != "notifications/progress" {
            assert_eq!(
                (&heard["id"], &heard["result"]["structuredContent"]["status"]),
                (&json!(4), &json!("released"))
            );
            break;
        }
    }
}

#[tokio::test]
async fn a_host_that_begins_with_initialize() {
    let served = serve().await;
    let mut host = Host::to(&served);
    let params =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "h", "version": "1"}});
    host.say(json!({"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": params})).await;
    assert_eq!(host.hear().await["result"]["protocolVersion"], "2025-06-18");
    host.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    host.say(json!({"jsonrpc": "2.0", "id": "b", "method": "tools/list"})).await;
    let heard = host.hear().await;
    assert_eq!((&heard["id"], heard["result"]["tools"].as_array().unwrap().len()), (&json!("b"), 7));
}

#[tokio::test]
async fn cancelling_cuts_the_waiting() {
    let served = serve().await;
    let mut host = Host::to(&served);
    host.say(numbered(1, "tools/call", json!({"name": "propose", "arguments": proposal("SELECT 1", 45)}))).await;
    while served.door.count() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    host.say(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})).await;
    host.say(numbered(2, "tools/list", json!({}))).await;
    assert_eq!(host.hear().await["id"], 2);
    assert_eq!(served.door.last().status, Status::Pending);
}

#[tokio::test]
async fn what_goes_wrong_is_told_to_the_host() {
    let served = serve().await;
    let mut host = Host::to(&served);
    host.input.write_all(b"\nnot json\n").await.unwrap();
    assert_eq!(host.hear().await["error"]["code"], -32700);
    let mut wrong = Host::start(format!("http://{}", served.at), "wrong");
    wrong.say(numbered(1, "tools/list", json!({}))).await;
    let heard = wrong.hear().await;
    assert_eq!((&heard["id"], &heard["error"]["code"]), (&json!(1), &json!(1)));
    assert!(heard["error"]["message"].as_str().unwrap().contains("wetink connect"));
    assert!(!heard.to_string().contains("wrong"));
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut away = Host::start(format!("http://{free}"), PASS);
    away.say(numbered(1, "tools/list", json!({}))).await;
    assert!(away.hear().await["error"]["message"].as_str().unwrap().contains("does not answer"));
    assert!(intake::bridge::run("http://gw.example", PASS, None, tokio::io::empty(), tokio::io::sink()).await.is_err());
}

#[tokio::test]
async fn the_bridge_ends_with_its_host() {
    let served = serve().await;
    let mut host = Host::to(&served);
    host.say(numbered(1, "tools/list", json!({}))).await;
    host.input.shutdown().await.unwrap();
    assert_eq!(host.hear().await["id"], 1);
    tokio::time::timeout(Duration::from_secs(5), host.bridge).await.unwrap().unwrap().unwrap();
    let mut endless = Host::to(&served);
    let _ = endless.input.write_all(&vec![b'x'; 2 * 1024 * 1024 + 10]).await;
    assert!(endless.bridge.await.unwrap().is_err());
}
