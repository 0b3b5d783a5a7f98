//! Plain HTTP, in raw bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod common;

use std::time::{Duration, Instant};

use common::{OTHER, PASS, TestDoor, bearer, proposal, serve, serve_with};
use doors::agents::Status;
use serde_json::json;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn the_whole_way() {
    let served = serve().await;
    let check = served.post("/v1/check", &json!({"target": "orders", "body": "SELECT 1"})).await;
    assert_eq!((check.status, &check.json()["decision"]), (200, &json!("ask")));
    let proposed = served.post("/v1/proposals", &proposal("SELECT 1", 0)).await;
    assert_eq!((proposed.status, &proposed.json()["status"]), (200, &json!("pending")));
    assert_eq!(proposed.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(proposed.header("cache-control"), Some("no-store"));
    let id = proposed.json()["proposal_id"].as_str().unwrap().to_owned();
    assert_eq!(served.get("/v1/proposals").await.json()["proposals"][0]["proposal_id"], *id);
    served.door.decide(id.parse().unwrap(), Status::Released);
    let got = served.get(&format!("/v1/proposals/{id}")).await;
    assert_eq!(got.json()["result"], json!({"rows": [[1, "a"]]}));
    served.post(&format!("/v1/proposals/{id}/withdraw"), &json!({})).await.refused(409, "wrong_state");
    assert_eq!(served.get("/v1/targets").await.json()["targets"][0]["name"], "orders");
    assert_eq!(served.get("/v1/targets/orders").await.json()["relations"][0]["name"], "main.orders");
}

#[tokio::test]
async fn withdrawing_takes_no_body() {
    let served = serve().await;
    let id = served.post("/v1/proposals", &proposal("SELECT 1", 0)).await.json()["proposal_id"].clone();
    let path = format!("/v1/proposals/{}/withdraw", id.as_str().unwrap());
    served.post(&path, &json!({"force": true})).await.refused(400, "malformed");
    let withdrawn = served.send("POST", &path, &[("Authorization", &bearer(PASS))], "").await;
    assert_eq!(withdrawn.json()["status"], "withdrawn");
}

#[tokio::test]
async fn waiting_ends_with_a_decision_or_with_its_time() {
    let served = serve().await;
    let begin = Instant::now();
    assert_eq!(served.post("/v1/proposals", &proposal("SELECT 1", 1)).await.json()["status"], "pending");
    assert!(begin.elapsed() >= Duration::from_secs(1));
    let id = served.door.last().proposal_id;
    let door = served.door.clone();
    tokio::spawn(async move {
        for status in [Status::Approved, Status::Running, Status::Held] {
            tokio::time::sleep(Duration::from_millis(50)).await;
            door.decide(id, status);
        }
    });
    let begin = Instant::now();
    let held = served.get(&format!("/v1/proposals/{id}?wait=30")).await;
    assert_eq!(held.json()["status"], "held");
    assert!(begin.elapsed() < Duration::from_secs(10));
    served.door.decide_soon(Status::Released);
    let body = json!({"target": "orders", "body": "SELECT 2", "purpose": "because"});
    assert_eq!(served.post("/v1/proposals?wait=30", &body).await.json()["status"], "released");
}

#[tokio::test]
async fn a_cut_connection_stops_the_waiting_and_nothing_else() {
    let served = serve_with(TestDoor::slow(Duration::from_millis(300)), |_| ()).await;
    let auth = bearer(PASS);
    let headers = [("Authorization", &*auth), ("Content-Type", "application/json")];
    let request = served.bytes("POST", "/v1/proposals", &headers, &proposal("SELECT 1", 45).to_string());
    let mut stream = tokio::net::TcpStream::connect(served.at).await.unwrap();
    stream.write_all(&request).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(served.door.last().status, Status::Pending);
    let again = served.post("/v1/proposals", &proposal("SELECT 1", 0)).await;
    assert_eq!(again.json()["proposal_id"], served.door.last().proposal_id.to_string());
    assert_eq!(served.door.count(), 1);
}

#[tokio::test]
async fn without_a_pass_there_is_nothing() {
    let served = serve().await;
    for headers in [
        &[][..],
        &[("Authorization", "Bearer wrong")],
        &[("Authorization", "Basic d3RrX3JvYmlu")],
        &[("Authorization", "Bearer")],
        &[("Authorization", "Bearer wtk_robin"), ("Authorization", "Bearer wtk_robin")],
        &[("Cookie", "pass=wtk_robin")],
    ] {
        for path in ["/v1/targets", "/v1/proposals", "/mcp", "/v1/targets?pass=wtk_robin"] {
            let answer = served.send("GET", path, headers, "").await;
            answer.refused(401, "not_authenticated");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"wetink\""));
        }
    }
    let open = served.send("GET", "/healthz", &[("Host", "10.0.0.7")], "").await;
    assert_eq!((open.status, &*open.body), (200, "ok\n"));
    let described = served.send("GET", "/openapi.json", &[], "").await;
    assert_eq!(described.json()["openapi"], "3.1.0");
    served.send("GET", "/openapi.json", &[("Host", "evil.example")], "").await.refused(403, "origin_refused");
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_for_both_forms() {
    let served = serve().await;
    let auth = bearer(PASS);
    let port = served.at.port().to_string();
    for (name, value) in [
        ("Host", "evil.example".to_owned()),
        ("Host", "127.0.0.1".to_owned()),
        ("Host", format!("localhost:{port}")),
        ("Host", format!("evil.example:{port}")),
        ("Host", String::new()),
        ("Origin", "https://evil.example".to_owned()),
        ("Origin", "null".to_owned()),
        ("Origin", "http://127.0.0.1".to_owned()),
        ("Origin", format!("https://127.0.0.1:{port}")),
        ("Origin", format!("http://127.0.0.1:{port}.evil.example")),
    ] {
        for (method, path) in [("GET", "/v1/targets"), ("POST", "/v1/check"), ("POST", "/mcp"), ("GET", "/mcp")] {
            let answer = served.send(method, path, &[("Authorization", &auth), (name, &value)], "").await;
            answer.refused(403, "origin_refused");
        }
    }
    let own = format!("http://{}", served.at);
    let answer = served.send("GET", "/v1/targets", &[("Authorization", &auth), ("Origin", &own)], "").await;
    assert_eq!(answer.status, 200);
    let no_host = format!("GET /v1/targets HTTP/1.0\r\nAuthorization: {auth}\r\n\r\n");
    served.raw(no_host.as_bytes()).await.refused(403, "origin_refused");
    let absolute = format!(
        "GET http://evil.example/v1/targets HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: {auth}\r\n\r\n",
        served.at
    );
    served.raw(absolute.as_bytes()).await.refused(403, "origin_refused");
}

#[tokio::test]
async fn what_is_not_of_the_form_is_refused() {
    let served = serve().await;
    let auth = bearer(PASS);
    let headers = [("Authorization", &*auth), ("Content-Type", "application/json")];
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "",
        "{",
        "[]",
        "null",
        r#"{"target":"orders"}"#,
        r#"{"target":"orders","body":"SELECT 1","body":"DROP TABLE orders"}"#,
        r#"{"target":"orders","body":"SELECT 1","approved":true}"#,
        r#"{"target":"orders","body":["SELECT 1"]}"#,
        r#"{"target":"orders","body":""}"#,
        "{\"target\":\"orders\",\"body\":\"\u{0}\"} trailing",
        &nested,
        &format!(r#"{{"target":"orders","body":{nested}}}"#),
    ] {
        served.send("POST", "/v1/check", &headers, body).await.refused(400, "malformed");
    }
    served
        .send("POST", "/v1/check", &[("Authorization", &auth)], r#"{"target":"orders","body":"x"}"#)
        .await
        .refused(400, "malformed");
    served.get("/v1/targets?x=1").await.refused(400, "malformed");
    served.get("/v1/proposals/p-000000000000?wait=46").await.refused(400, "malformed");
    served.get("/v1/proposals/p-000000000000?wait=1&wait=2").await.refused(400, "malformed");
    served.post("/v1/proposals?wait=1", &proposal("SELECT 1", 1)).await.refused(400, "malformed");
    served.post("/v1/proposals", &proposal("SELECT 1", 46)).await.refused(400, "malformed");
    served.get("/v1/proposals/%ff").await.refused(400, "malformed");
    served.get("/v1/nothing").await.refused(404, "malformed");
    let wrong = served.get("/v1/check").await;
    wrong.refused(405, "malformed");
    assert_eq!(wrong.header("allow"), Some("POST"));
    assert_eq!(served.door.count(), 0);
}

#[tokio::test]
async fn sizes_have_limits() {
    let served = serve().await;
    let over = "x".repeat(1024 * 1024 + 1);
    served.post("/v1/check", &json!({"target": "orders", "body": over})).await.refused(413, "too_large");
    served.post("/v1/check", &json!({"target": "orders", "body": "x".repeat(1024 * 1024)})).await.json()["digest"]
        .as_str()
        .unwrap();
    let body = json!({"target": "orders", "body": "SELECT 1", "purpose": "y".repeat(501)});
    served.post("/v1/proposals", &body).await.refused(413, "too_large");
    // Announced and not sent: refused before a byte of it is read.
    let head = format!(
        "POST /v1/check HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nConnection: close\r\nContent-Length: 2097153\r\n\r\n",
        served.at,
        bearer(PASS)
    );
    served.raw(head.as_bytes()).await.refused(413, "too_large");
    // Not announced: refused when it is over.
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
    let head = format!(
        "POST /v1/check HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        served.at,
        bearer(PASS)
    );
    served.raw(format!("{head}{chunk}{chunk}1\r\nx\r\n0\r\n\r\n").as_bytes()).await.refused(413, "too_large");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let served = serve_with(TestDoor::new(), |config| config.body_time = Duration::from_millis(200)).await;
    let head = format!(
        "POST /v1/check HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{{",
        served.at,
        bearer(PASS)
    );
    served.raw(head.as_bytes()).await.refused(400, "malformed");
}

#[tokio::test]
async fn one_agent_cannot_see_or_touch_another_s() {
    let served = serve().await;
    let id =
        served.post("/v1/proposals", &proposal("SELECT 1", 0)).await.json()["proposal_id"].as_str().unwrap().to_owned();
    let auth = bearer(OTHER);
    let other = [("Authorization", &*auth)];
    let foreign = served.send("GET", &format!("/v1/proposals/{id}"), &other, "").await;
    foreign.refused(404, "unknown_proposal");
    for absent in ["p-000000000000", "p-x", "t-000000000000", "%2e%2e"] {
        let absent = served.send("GET", &format!("/v1/proposals/{absent}"), &other, "").await;
        assert_eq!((absent.status, absent.body), (foreign.status, foreign.body.clone()));
    }
    served.send("POST", &format!("/v1/proposals/{id}/withdraw"), &other, "").await.refused(404, "unknown_proposal");
    assert_eq!(served.send("GET", "/v1/proposals", &other, "").await.json(), json!({"proposals": []}));
}

#[tokio::test]
async fn a_session_has_its_share_of_the_work() {
    let served = serve_with(TestDoor::new(), |config| config.session_requests_max = 2).await;
    let auth = bearer(PASS);
    let headers = [("Authorization", &*auth), ("Content-Type", "application/json")];
    let mut waiting = Vec::new();
    for body in ["SELECT 1", "SELECT 2"] {
        let mut stream = tokio::net::TcpStream::connect(served.at).await.unwrap();
        let request = served.bytes("POST", "/v1/proposals", &headers, &proposal(body, 45).to_string());
        stream.write_all(&request).await.unwrap();
        waiting.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let slow = served.get("/v1/targets").await;
    slow.refused(429, "slow_down");
    assert_eq!(slow.header("retry-after"), Some("15"));
    let other = served.send("GET", "/v1/targets", &[("Authorization", &bearer(OTHER))], "").await;
    assert_eq!(other.status, 200);
    drop(waiting);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(served.get("/v1/targets").await.status, 200);
}
