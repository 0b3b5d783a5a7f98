//! A pass that is bound to a key of the agent: with the key it works through the bridge, without it a thief has nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use machine::{Machine, WETINK};
use serde_json::{Value, json};

/// One call with these headers. Answers the status and the whole text.
fn call(machine: &Machine, headers: &[String]) -> (u16, String) {
    let authority = machine.agents.trim_start_matches("http://");
    let mut stream = TcpStream::connect(format!("127.0.0.1:{}", authority.split(':').nth(1).unwrap())).unwrap();
    let headers = headers.iter().map(|header| format!("{header}\r\n")).collect::<String>();
    let head = format!("GET /v1/targets HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[test]
fn a_stolen_pass_alone_is_refused() {
    let machine = Machine::start();
    let free = machine.furnish();
    let file = machine.path("agent.key");
    let made = machine.json(&["key", "agent", file.to_str().unwrap()], "", None);
    let thumbprint = made["thumbprint"].as_str().unwrap().to_owned();
    let statement = machine.json(&["task", "list"], "", None)[0]["statement"].as_str().unwrap().to_owned();
    let task = statement.lines().find_map(|l| l.strip_prefix("task: ")).unwrap().to_owned();
    let bad = machine.run(&["task", "pass", &task, "--agent-key", "nonsense"], "", None);
    assert!(String::from_utf8_lossy(&bad.stderr).contains("thumbprint"));
    let pass = machine.json(&["task", "pass", &task, "--agent-key", &thumbprint], "", None)["pass"]
        .as_str()
        .unwrap()
        .to_owned();

    // The bridge has the key: two calls, each with a proof of its own.
    let mut bridge = Command::new(WETINK)
        .args(["mcp", "--agent-key"])
        .arg(&file)
        .env("WETINK_HOME", machine.path("home"))
        .env("WETINK_AGENTS", &machine.agents)
        .env("WETINK_TOKEN", &pass)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = bridge.stdin.take().unwrap();
    let mut from = BufReader::new(bridge.stdout.take().unwrap());
    let mut ask = |message: Value| -> Value {
        writeln!(to, "{message}").unwrap();
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    };
    let info = json!({ "name": "test", "version": "1" });
    let begin = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
    let answer = ask(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": begin }));
    assert!(answer["result"]["serverInfo"].is_object(), "{answer}");
    let call_of = json!({ "name": "list_targets", "arguments": {} });
    let answer = ask(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call_of }));
    assert!(answer["result"].to_string().contains("shop"), "{answer}");
    drop(to);
    bridge.wait().unwrap();

    // And so have scripts.
    let with_key = |key: &std::path::Path| {
        let check = ["check", "--target", "shop", "--agent-key", key.to_str().unwrap()];
        let output = machine.run(&check, "SELECT id FROM orders", Some(&pass));
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(with_key(&file).0, "{}", with_key(&file).1);

    // The thief has the pass, and a key of their own.
    let other = machine.path("other.key");
    machine.json(&["key", "agent", other.to_str().unwrap()], "", None);
    assert!(!with_key(&other).0);
    let (status, text) = call(&machine, &[format!("authorization: Bearer {pass}")]);
    assert_eq!(status, 401, "{text}");
    let key = desk::AgentKey::read(&other).unwrap();
    let url = format!("{}/v1/targets", machine.agents);
    let proof =
        |key: &desk::AgentKey, nonce: Option<&str>| key.prove("GET", &url, &pass, nonce, artifact::Timestamp::now());
    let with = |proof: String| call(&machine, &[format!("authorization: DPoP {pass}"), format!("dpop: {proof}")]);
    let (status, text) = with(proof(&key, None));
    assert!(status == 401 && !text.contains("dpop-nonce"), "{text}");
    // The owner's key is told the value, then served once.
    let key = desk::AgentKey::read(&file).unwrap();
    let (status, text) = with(proof(&key, None));
    let nonce = text.lines().find_map(|line| line.strip_prefix("dpop-nonce: ")).unwrap().trim().to_owned();
    assert_eq!(status, 401);
    let good = proof(&key, Some(&nonce));
    assert_eq!(with(good.clone()).0, 200);
    assert_eq!(with(good).0, 401, "a proof that was seen");
    assert_eq!(call(&machine, &[format!("authorization: DPoP {pass}")]).0, 401, "no proof");
    // A pass without a key is no key's pass.
    assert_eq!(call(&machine, &[format!("authorization: Bearer {free}")]).0, 200);
    let dressed = key.prove("GET", &url, &free, Some(&nonce), artifact::Timestamp::now());
    assert_eq!(call(&machine, &[format!("authorization: DPoP {free}"), format!("dpop: {dressed}")]).0, 401);
}
