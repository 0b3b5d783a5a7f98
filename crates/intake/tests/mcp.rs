//! MCP of both eras, in raw bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod common;

use std::time::{Duration, Instant};

use common::{OTHER, PASS, Served, TestDoor, bearer, mcp_headers, modern_body, proposal, serve, serve_with};
use doors::agents::Status;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

const TOOLS: [&str; 7] =
    ["check", "propose", "get_proposal", "withdraw", "list_proposals", "list_targets", "describe_target"];

const V: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");
const M: (&str, &str) = ("Mcp-Method", "tools/call");
const N: (&str, &str) = ("Mcp-Name", "list_targets");

fn tasks() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

#[tokio::test]
async fn discover_says_what_this_is() {
    let served = serve().await;
    let answer = served.modern("server/discover", json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let result = &answer.json()["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["supportedVersions"], json!(["2025-06-18", "2025-11-25", "2026-07-28"]));
    assert_eq!(result["cacheScope"], "private");
    assert!(result["ttlMs"].is_u64());
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "wetink");
    assert_eq!(result["instructions"].as_str().unwrap().lines().count(), 4);
    let capabilities = result["capabilities"].as_object().unwrap();
    assert_eq!(capabilities.keys().collect::<Vec<_>>(), ["extensions", "tools"]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("mcp-session-id"), None);
}

#[tokio::test]
async fn older_clients_begin_with_initialize() {
    let served = serve().await;
    for (asked, agreed) in [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ] {
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "v", "version": "1"}});
        let answer = served.legacy(None, "initialize", params).await;
        let result = &answer.json()["result"];
        assert_eq!(result["protocolVersion"], agreed, "{}", answer.body);
        assert_eq!(result["serverInfo"]["name"], "wetink");
        assert_eq!(result["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
        assert!(result["capabilities"]["tools"].is_object());
        assert_eq!(answer.header("mcp-session-id"), None);
    }
    for version in ["2025-06-18", "2025-11-25"] {
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        let auth = bearer(PASS);
        let mut headers = mcp_headers(&auth);
        headers.push(("MCP-Protocol-Version", version));
        let noted = served.send("POST", "/mcp", &headers, &note).await;
        assert_eq!((noted.status, &*noted.body), (202, ""));
        let listed = served.legacy(Some(version), "tools/list", json!({})).await;
        assert_eq!(listed.json()["result"]["tools"].as_array().unwrap().len(), 7, "{}", listed.body);
        assert!(listed.json()["result"].get("resultType").is_none());
        let call = json!({"name": "propose", "arguments": proposal(&format!("SELECT '{version}'"), 0)});
        let called = served.legacy(Some(version), "tools/call", call).await;
        assert_eq!(called.json()["result"]["structuredContent"]["status"], "pending", "{}", called.body);
        assert_eq!(served.legacy(Some(version), "ping", json!({})).await.json()["result"], json!({}));
        assert_eq!(
            served.legacy(Some(version), "tasks/get", json!({"taskId": "x"})).await.json()["error"]["code"],
            -32021
        );
    }
    let unfit = served.legacy(None, "initialize", json!({"protocolVersion": 7})).await;
    assert_eq!(unfit.json()["error"]["code"], -32602, "{}", unfit.body);
    served.legacy(Some("1999-01-01"), "tools/list", json!({})).await.refused(400, "malformed");
}

#[tokio::test]
async fn the_tools_are_these() {
    let served = serve().await;
    let answer = served.modern("tools/list", json!({})).await;
    let result = &answer.json()["result"];
    assert_eq!(result["cacheScope"], "private");
    assert!(result["ttlMs"].as_u64().is_some_and(|ttl| ttl > 0));
    let tools = result["tools"].as_array().unwrap();
    assert_eq!(tools.iter().map(|t| t["name"].as_str().unwrap()).collect::<Vec<_>>(), TOOLS);
    for tool in tools {
        assert_eq!(tool["inputSchema"]["additionalProperties"], false);
        assert_eq!(tool["outputSchema"]["type"], "object");
        assert_eq!(tool["annotations"]["destructiveHint"], false);
        assert_eq!(tool["annotations"]["openWorldHint"], false);
        let writes = matches!(tool["name"].as_str(), Some("propose" | "withdraw"));
        assert_eq!(tool["annotations"]["readOnlyHint"], !writes);
    }
    assert_eq!(served.modern("tools/list", json!({})).await.body, answer.body);
    for absent in [
        "initialize",
        "subscriptions/listen",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "ping",
        "logging/setLevel",
        "no/such",
    ] {
        let answer = served.modern(absent, json!({})).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!(-32601)), "{absent} {}", answer.body);
    }
}

#[tokio::test]
async fn every_tool_answers_with_one_object_twice() {
    let served = serve().await;
    let proposed = served.tool("propose", proposal("SELECT 1", 0)).await;
    let id = proposed["structuredContent"]["proposal_id"].clone();
    for (name, arguments, field) in [
        ("check", json!({"target": "orders", "body": "SELECT 1"}), "decision"),
        ("propose", proposal("SELECT 1", 0), "review_url"),
        ("get_proposal", json!({"proposal_id": id, "wait_s": 0}), "status"),
        ("list_proposals", json!({}), "proposals"),
        ("list_targets", json!({}), "targets"),
        ("describe_target", json!({"target": "orders"}), "relations"),
        ("withdraw", json!({"proposal_id": id}), "status"),
    ] {
        let result = served.tool(name, arguments).await;
        assert_eq!(result["isError"], false, "{name} {result}");
        assert!(result["structuredContent"].get(field).is_some(), "{name} {result}");
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"], "{name}");
        assert_eq!(result["content"].as_array().unwrap().len(), 1);
    }
    assert_eq!(served.door.count(), 1);
}

#[tokio::test]
async fn a_refusal_is_a_result_that_says_what_to_change() {
    let served = serve().await;
    for (name, arguments, code) in [
        ("check", json!({}), "malformed"),
        ("check", json!({"target": "orders", "body": "x", "approved": true}), "malformed"),
        ("check", json!({"target": "orders", "body": 1}), "malformed"),
        ("check", json!({"target": "nowhere", "body": "x"}), "unknown_target"),
        ("propose", json!({"target": "orders", "body": "x", "purpose": " "}), "malformed"),
        ("propose", proposal("SELECT 1", 46), "malformed"),
        ("propose", json!({"target": "orders", "body": "x", "purpose": "y", "run_as": "postgres"}), "malformed"),
        ("propose", json!({"target": "orders", "body": "x", "purpose": "y", "wait_s": -1}), "malformed"),
        ("propose", json!({"target": "orders", "body": "x".repeat(1024 * 1024 + 1), "purpose": "y"}), "too_large"),
        ("get_proposal", json!({"proposal_id": "p-000000000000"}), "unknown_proposal"),
        ("get_proposal", json!({"proposal_id": "../../etc"}), "unknown_proposal"),
        ("withdraw", json!({"proposal_id": "p-000000000000", "force": 1}), "malformed"),
        ("list_proposals", json!({"all": true}), "malformed"),
        ("list_targets", json!({"x": null}), "malformed"),
        ("describe_target", json!({"target": "other"}), "unknown_target"),
    ] {
        let result = served.tool(name, arguments).await;
        assert_eq!(result["isError"], true, "{name} {result}");
        assert_eq!(result["structuredContent"]["refused"], code, "{name} {result}");
        assert!(result["content"][0]["text"].as_str().unwrap().contains(code));
    }
    assert_eq!(served.door.count(), 0);
    let denied = served.tool("propose", proposal("DROP TABLE orders", 5)).await;
    assert_eq!((&denied["isError"], &denied["structuredContent"]["status"]), (&json!(true), &json!("denied")));
    for params in [json!({"name": "approve", "arguments": {}}), json!({"name": 7}), json!({"arguments": {}})] {
        let body = modern_body("tools/call", params.clone(), json!({}));
        let auth = bearer(PASS);
        let mut headers = mcp_headers(&auth);
        headers.extend([("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call")]);
        headers.extend(params["name"].as_str().map(|name| ("Mcp-Name", name)));
        let answer = served.send("POST", "/mcp", &headers, &body.to_string()).await;
        assert_eq!(answer.json()["error"]["code"], -32602, "{params} {} {}", answer.status, answer.body);
    }
}

#[tokio::test]
async fn headers_say_what_the_body_says() {
    let served = serve().await;
    let call = json!({"name": "list_targets", "arguments": {}});
    let body = modern_body("tools/call", call, json!({})).to_string();
    let auth = bearer(PASS);
    let with = |extra: &[(&'static str, &'static str)]| {
        let mut headers = mcp_headers(&auth);
        headers.extend_from_slice(extra);
        served.bytes("POST", "/mcp", &headers, &body)
    };
    for good in
        [&[V, M, N][..], &[V, M, ("Mcp-Name", "=?base64?bGlzdF90YXJnZXRz?=")], &[V, M, N, ("Mcp-Session-Id", "x")]]
    {
        let answer = served.raw(&with(good)).await;
        assert_eq!(answer.status, 200, "{good:?} {}", answer.body);
    }
    for bad in [
        &[V, M][..],
        &[V, N],
        &[M, N],
        &[V, ("Mcp-Method", "tools/list"), N],
        &[V, M, ("Mcp-Name", "propose")],
        &[V, M, ("Mcp-Name", "=?base64?cHJvcG9zZQ==?=")],
        &[V, M, N, N],
        &[V, M, N, ("Mcp-Name", "propose")],
        &[V, V, M, N],
        &[("MCP-Protocol-Version", "2025-11-25"), M, N],
    ] {
        let answer = served.raw(&with(bad)).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(-32020)), "{bad:?} {}", answer.body);
    }
}

#[tokio::test]
async fn requests_carry_who_they_are() {
    let served = serve().await;
    let auth = bearer(PASS);
    let mut headers = mcp_headers(&auth);
    headers.extend([("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/list")]);
    for missing in ["io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/protocolVersion"] {
        let mut body = modern_body("tools/list", json!({}), json!({}));
        body["params"]["_meta"].as_object_mut().unwrap().remove(missing);
        let answer = served.send("POST", "/mcp", &headers, &body.to_string()).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (400, &json!(-32602)),
            "{missing} {}",
            answer.body
        );
    }
    let mut body = modern_body("tools/list", json!({}), json!({}));
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    headers[3] = ("MCP-Protocol-Version", "2099-01-01");
    let answer = served.send("POST", "/mcp", &headers, &body.to_string()).await;
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"]), (400, &json!(-32022)), "{}", answer.body);
    assert_eq!(error["data"]["requested"], "2099-01-01");
    assert!(error["data"]["supported"].is_array());
}

#[tokio::test]
async fn only_one_whole_message_by_post() {
    let served = serve().await;
    let auth = bearer(PASS);
    for method in ["GET", "DELETE", "PUT"] {
        let answer = served.send(method, "/mcp", &mcp_headers(&auth), "").await;
        answer.refused(405, "malformed");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    let nested = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}{}}}"#,
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        (&*nested, -32700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}"#, -32600),
    ] {
        let answer = served.send("POST", "/mcp", &mcp_headers(&auth), body).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(code)), "{}", answer.body);
    }
    let big =
        json!({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"a": "x".repeat(2 * 1024 * 1024)}}).to_string();
    served.send("POST", "/mcp", &mcp_headers(&auth), &big).await.refused(413, "too_large");
    for pass in [None, Some("wrong")] {
        let auth = pass.map(bearer).unwrap_or_default();
        let answer = served.send("POST", "/mcp", &mcp_headers(&auth), "{}").await;
        answer.refused(401, "not_authenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"wetink\""));
    }
}

#[tokio::test]
async fn propose_waits_and_reports_progress() {
    let served = serve().await;
    served.door.decide_soon(Status::Rejected);
    let rejected = served.tool("propose", proposal("SELECT 1", 30)).await;
    assert_eq!((&rejected["isError"], &rejected["structuredContent"]["status"]), (&json!(true), &json!("rejected")));
    assert_eq!(rejected["structuredContent"]["reason"], "Not on a Friday.");
    let begin = Instant::now();
    let call = json!({"name": "propose", "arguments": proposal("SELECT 2", 1), "_meta": {"progressToken": "t"}});
    let answer = served.modern("tools/call", call).await;
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    let events = answer.events();
    let (last, before) = events.split_last().unwrap();
    assert!(before.len() >= 3, "{events:?}");
    assert!(before.iter().all(|e| e["method"] == "notifications/progress" && e["params"]["progressToken"] == "t"));
    assert!(before.windows(2).all(|two| two[0]["params"]["progress"].as_f64() < two[1]["params"]["progress"].as_f64()));
    assert_eq!(last["result"]["structuredContent"]["status"], "pending");
}

#[tokio::test]
async fn a_cut_call_leaves_the_proposal() {
    let served = serve_with(TestDoor::slow(Duration::from_millis(300)), |config| config.session_requests_max = 1).await;
    let body = modern_body("tools/call", json!({"name": "propose", "arguments": proposal("SELECT 1", 45)}), json!({}));
    let auth = bearer(PASS);
    let mut headers = mcp_headers(&auth);
    headers.extend([("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "propose")]);
    for after_ms in [100, 600] {
        let mut stream = tokio::net::TcpStream::connect(served.at).await.unwrap();
        stream.write_all(&served.bytes("POST", "/mcp", &headers, &body.to_string())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        drop(stream);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!((served.door.count(), served.door.last().status), (1, Status::Pending));
    }
    let again = served.tool("propose", proposal("SELECT 1", 0)).await;
    assert_eq!(again["structuredContent"]["proposal_id"], served.door.last().proposal_id.to_string());
}

async fn task(served: &Served, body: &str) -> Value {
    let call = json!({"name": "propose", "arguments": proposal(body, 30)});
    served.modern_as(PASS, "tools/call", call, tasks()).await.json()["result"].clone()
}

async fn about(served: &Served, pass: &str, method: &str, id: &Value) -> Value {
    let mut params = json!({"taskId": id});
    if method == "tasks/update" {
        params["inputResponses"] = json!({});
    }
    served.modern_as(pass, method, params, tasks()).await.json()
}

#[tokio::test]
async fn a_long_wait_becomes_a_task() {
    let served = serve().await;
    let begin = Instant::now();
    let created = task(&served, "SELECT 1").await;
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!((&created["resultType"], &created["status"]), (&json!("task"), &json!("working")), "{created}");
    assert_eq!(created["pollIntervalMs"], 5000);
    assert!(created["ttlMs"].as_u64().unwrap() > 3_600_000);
    let proposal = served.door.last();
    assert!(created["statusMessage"].as_str().unwrap().contains(&proposal.review_url));
    let id = &created["taskId"];
    for status in [Status::Approved, Status::Running, Status::Held] {
        served.door.decide(proposal.proposal_id, status);
        let now = about(&served, PASS, "tasks/get", id).await["result"].clone();
        assert_eq!((&now["resultType"], &now["status"]), (&json!("complete"), &json!("working")));
        assert_eq!(now["createdAt"], created["createdAt"]);
        assert!(now.get("result").is_none());
    }
    assert_eq!(about(&served, PASS, "tasks/cancel", id).await["result"], json!({"resultType": "complete"}));
    assert_eq!(served.door.last().status, Status::Held);
    served.door.decide(proposal.proposal_id, Status::Released);
    let done = about(&served, PASS, "tasks/get", id).await["result"].clone();
    assert_eq!((&done["status"], &done["result"]["isError"]), (&json!("completed"), &json!(false)));
    assert_eq!(done["result"]["structuredContent"]["result"], json!({"rows": [[1, "a"]]}));
}

#[tokio::test]
async fn a_task_s_ends() {
    let served = serve().await;
    for (number, status) in Status::ALL.into_iter().filter(|s| s.is_final()).enumerate() {
        let id = task(&served, &format!("SELECT {number}")).await["taskId"].clone();
        served.door.decide(served.door.last().proposal_id, status);
        let done = about(&served, PASS, "tasks/get", &id).await["result"].clone();
        if status == Status::Withdrawn {
            assert_eq!(done["status"], "cancelled");
        } else {
            assert_eq!(done["status"], "completed", "{status:?}");
            assert_eq!(done["result"]["isError"], status != Status::Released, "{status:?}");
            assert_eq!(done["result"]["structuredContent"]["status"], status.as_str());
        }
    }
    let id = task(&served, "SELECT 'cancel'").await["taskId"].clone();
    assert_eq!(about(&served, PASS, "tasks/update", &id).await["result"], json!({"resultType": "complete"}));
    assert_eq!(about(&served, PASS, "tasks/cancel", &id).await["result"], json!({"resultType": "complete"}));
    assert_eq!(served.door.last().status, Status::Withdrawn);
    assert_eq!(about(&served, PASS, "tasks/get", &id).await["result"]["status"], "cancelled");
}

#[tokio::test]
async fn a_task_s_id_opens_nothing() {
    let served = serve().await;
    let id = task(&served, "SELECT 1").await["taskId"].clone();
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        assert_eq!(about(&served, OTHER, method, &id).await["error"]["code"], -32602, "{method}");
        for bad in ["task-p-000000000000-1", "", "p-000000000000", "task-x"] {
            assert_eq!(about(&served, PASS, method, &json!(bad)).await["error"]["code"], -32602, "{method} {bad}");
        }
        let mut params = json!({"taskId": id});
        if method == "tasks/update" {
            params["inputResponses"] = json!({});
        }
        let undeclared = served.modern(method, params).await;
        assert_eq!(
            (undeclared.status, &undeclared.json()["error"]["code"]),
            (400, &json!(-32021)),
            "{}",
            undeclared.body
        );
    }
    assert_eq!(served.door.last().status, Status::Pending);
}

#[tokio::test]
async fn a_client_without_tasks_gets_none() {
    let served = serve().await;
    let call = json!({"name": "propose", "arguments": proposal("SELECT 1", 1)});
    let answer = served.modern("tools/call", call).await;
    assert_eq!(answer.json()["result"]["resultType"], "complete");
    // Decided before the first seconds are over: a plain result, also with tasks.
    served.door.decide_soon(Status::Released);
    let call = json!({"name": "propose", "arguments": proposal("SELECT 2", 30)});
    let answer = served.modern_as(PASS, "tools/call", call, tasks()).await;
    assert_eq!(answer.json()["result"]["structuredContent"]["status"], "released", "{}", answer.body);
}

#[tokio::test]
async fn a_client_that_can_open_pages_is_asked_and_its_answer_decides_nothing() {
    let served = serve_with(TestDoor::new(), |config| config.elicit_urls = true).await;
    let call = json!({"name": "propose", "arguments": proposal("SELECT 1", 0)});
    for silent in [json!({}), json!({"elicitation": {}}), json!({"elicitation": {"form": {}}})] {
        let answer = served.modern_as(PASS, "tools/call", call.clone(), silent).await;
        assert_eq!(answer.json()["result"]["resultType"], "complete", "{}", answer.body);
    }
    let shows = json!({"elicitation": {"url": {}}});
    let asked = served.modern_as(PASS, "tools/call", call.clone(), shows.clone()).await.json()["result"].clone();
    let known = served.door.last();
    assert_eq!((&asked["resultType"], &asked["requestState"]), (&json!("input_required"), &json!(known.proposal_id)));
    let request = &asked["inputRequests"]["review"];
    assert_eq!((&request["method"], &request["params"]["mode"]), (&json!("elicitation/create"), &json!("url")));
    assert_eq!(request["params"]["url"], known.review_url);
    for action in ["accept", "decline", "cancel", "approve"] {
        let mut again = call.clone();
        again["inputResponses"] = json!({"review": {"action": action}});
        again["requestState"] = json!("p-forged");
        let result = served.modern_as(PASS, "tools/call", again, shows.clone()).await.json()["result"].clone();
        assert_eq!(result["structuredContent"]["proposal_id"], json!(known.proposal_id), "{action}");
        assert_eq!(result["structuredContent"]["status"], "pending", "{action}");
    }
    assert_eq!(served.door.count(), 1);
    let off = serve().await;
    let answer = off.modern_as(PASS, "tools/call", call, shows).await;
    assert_eq!(answer.json()["result"]["resultType"], "complete");
}
