//! Real hosts and SDKs against the product: each proposes, a person signs at a terminal and releases a part, and the host gets
//! exactly that part.
//!
//! The slow lane: `cargo xtask test --slow`. What it needs weighs about 1 GB and is brought by npm and pip.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use machine::{Machine, WETINK};
use serde_json::Value;

const SQL: &str = "UPDATE orders SET status = 'refunded' WHERE id <= 5 RETURNING id, customer";
const VERBS: [&str; 7] =
    ["check", "describe_target", "get_proposal", "list_proposals", "list_targets", "propose", "withdraw"];
const NPM: &[&str] = &[
    "@anthropic-ai/claude-code@2.1.329",
    "@openai/codex@0.169.0",
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/client@2.4.0",
    "@modelcontextprotocol/sdk@1.32.2",
    "node@22",
];
const PIP: &[&str] = &["mcp==2.3.0", "fastmcp==4.1.2"];
/// Longest that a host may take in all.
const PATIENCE: Duration = Duration::from_secs(150);

/// The folder with everything brought, once; none with a clear line if the lane was not asked for or cannot be brought.
fn tools() -> Option<&'static PathBuf> {
    static TOOLS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let bring = || {
        if std::env::var_os("WETINK_SLOW").is_none() {
            println!("slow lane: not asked for (cargo xtask test --slow)");
            return None;
        }
        let folder = Path::new(WETINK).ancestors().nth(2).unwrap().join("hosts");
        let wanted = [NPM, PIP].concat().join(" ");
        if std::fs::read_to_string(folder.join("brought")).is_ok_and(|brought| brought == wanted) {
            return Some(folder);
        }
        std::fs::create_dir_all(&folder).unwrap();
        let run = |command: &mut Command| command.status().is_ok_and(|status| status.success());
        let npm = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--save-exact", "--prefix"])
            .arg(&folder)
            .args(NPM)
            .stdout(Stdio::null())
            .status();
        let venv = folder.join("venv");
        let brought = npm.is_ok_and(|status| status.success())
            && run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
            && run(Command::new(venv.join("bin/pip")).args(["install", "--quiet"]).args(PIP));
        if !brought {
            println!("hosts: skipped: npm or pip cannot bring {wanted}");
            return None;
        }
        std::fs::write(folder.join("brought"), wanted).unwrap();
        Some(folder)
    };
    TOOLS.get_or_init(bring).as_ref()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts").join(name)
}

/// Starts the host and is the person meanwhile: signs what waits, releases `id` as it is and `customer` as a token.
fn with_person(machine: &Machine, mut host: Command) -> (String, String) {
    let out = machine.path("host.out");
    let err = machine.path("host.err");
    let files = [&out, &err].map(|path| std::fs::File::create(path).unwrap());
    let [to_out, to_err] = files;
    let mut child = host.stdin(Stdio::null()).stdout(to_out).stderr(to_err).spawn().unwrap();
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let until = Instant::now() + PATIENCE;
    let wait = |child: &mut Child, what: &str| {
        assert!(Instant::now() < until, "no {what} in time\n{}\n{}", read(&out), read(&err));
        std::thread::sleep(Duration::from_millis(100));
        child.try_wait().unwrap()
    };
    let id = loop {
        // A host that does not wait may have proposed and ended between two looks, so its end is asked for before the look.
        let ended = wait(&mut child, "proposal").is_some();
        let waiting = machine.json(&["review"], "", None);
        if let Some(id) = waiting[0]["id"].as_str() {
            break id.to_owned();
        }
        assert!(!ended, "it ended without a proposal\n{}\n{}", read(&out), read(&err));
    };
    let (ok, text) = machine.person(&["approve", &id], "");
    assert!(ok, "{text}");
    let run = machine.json(&["show", &id], "", None)["run"].as_str().unwrap().to_owned();
    let (ok, text) = machine.person(&["result", "release", &run, "--column", "id", "--mask", "customer"], "");
    assert!(ok, "{text}");
    let status = loop {
        if let Some(status) = wait(&mut child, "end") {
            break status;
        }
    };
    assert!(status.success(), "{status}\n{}\n{}", read(&out), read(&err));
    (read(&out), read(&err))
}

fn is_released_part(text: &str) {
    assert!(text.contains("masked_") && text.contains("released"), "{text}");
    assert!(!text.contains("example.com"), "what was masked came through: {text}");
    assert!(!text.contains("wtp_"), "a pass came through: {text}");
}

struct Lane {
    machine: Machine,
    pass: String,
    tools: &'static PathBuf,
}

impl Lane {
    fn open() -> Option<Self> {
        let tools = tools()?;
        let machine = Machine::start();
        let pass = machine.furnish();
        Some(Self { machine, pass, tools })
    }

    fn url(&self) -> String {
        format!("{}/mcp", self.machine.agents)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("WETINK_TOKEN", &self.pass)
            .env("WETINK_URL", self.url())
            .env("WETINK_AGENTS", &self.machine.agents)
            .env("WETINK_SQL", SQL)
            .env("WETINK_HOSTS", self.tools)
            .current_dir(&self.machine.folder.0);
        command
    }

    fn sdk(&self, command: Command) {
        let (out, _) = with_person(&self.machine, command);
        let said: Value = serde_json::from_str(out.lines().last().unwrap_or_default()).expect(&out);
        assert_eq!(said["tools"], serde_json::json!(VERBS));
        assert_eq!(said["answer"]["status"], "released");
        is_released_part(&said["answer"].to_string());
    }

    /// The scripted model; its address, and the file where it writes down the tool results it was given.
    fn model(&self) -> (Model, String, PathBuf) {
        let seen = self.machine.path("seen.txt");
        let mut child = self
            .command("node")
            .arg(script("model.mjs"))
            .env("WETINK_SEEN", &seen)
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (Model(child), format!("http://127.0.0.1:{}", line.trim()), seen)
    }
}

struct Model(Child);

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_python_sdk() {
    let Some(lane) = Lane::open() else { return };
    let mut command = lane.command(lane.tools.join("venv/bin/python"));
    command.arg(script("sdk.py"));
    lane.sdk(command);
}

#[test]
fn both_lines_of_the_typescript_sdk() {
    for line in ["1", "2"] {
        let Some(lane) = Lane::open() else { return };
        let mut command = lane.command(lane.tools.join("node_modules/node/bin/node"));
        command.arg(script("client.mjs")).arg(line);
        lane.sdk(command);
    }
}

#[test]
fn fastmcp_on_the_command_line() {
    let Some(lane) = Lane::open() else { return };
    let fastmcp = || lane.command(lane.tools.join("venv/bin/fastmcp"));
    let listed = fastmcp().args(["list", &lane.url(), "--auth", &lane.pass]).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(VERBS.iter().all(|verb| text.contains(verb)), "{text}");
    let mut command = fastmcp();
    let body = format!("body={SQL}");
    command.args(["call", &lane.url(), "propose", "target=shop", &body, "purpose=refund", "wait_s=45"]);
    command.args(["--auth", &lane.pass, "--json"]);
    // A held result is news, so the call may end before the release; the person's part is done all the same.
    let (out, _) = with_person(&lane.machine, command);
    assert!(out.contains("proposal_id"), "{out}");
    let id = out.split("p-").nth(1).map(|rest| format!("p-{}", &rest[..12])).unwrap();
    let got = fastmcp()
        .args(["call", &lane.url(), "get_proposal", &format!("proposal_id={id}"), "--auth", &lane.pass, "--json"])
        .output()
        .unwrap();
    is_released_part(&String::from_utf8_lossy(&got.stdout));
}

#[test]
fn the_inspector_over_http_and_over_the_bridge() {
    let Some(lane) = Lane::open() else { return };
    let header = format!("Authorization: Bearer {}", lane.pass);
    let inspector = || {
        let mut command = lane.command(lane.tools.join("node_modules/node/bin/node"));
        command.arg(lane.tools.join("node_modules/.bin/mcp-inspector")).arg("--cli");
        command
    };
    let mut over_http = inspector();
    over_http.args([&lane.url(), "--transport", "http", "--header", &header, "--method", "tools/list"]);
    let mut over_bridge = inspector();
    let [token, agents] = [format!("WETINK_TOKEN={}", lane.pass), format!("WETINK_AGENTS={}", lane.machine.agents)];
    over_bridge.args(["-e", &token, "-e", &agents, WETINK, "mcp", "--method", "tools/list"]);
    for mut command in [over_http, over_bridge] {
        let out = command.args(["--format", "json"]).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success() && VERBS.iter().all(|verb| text.contains(verb)), "{text}{out:?}");
    }
    let arguments = serde_json::json!({ "target": "shop", "body": SQL, "purpose": "refund", "wait_s": 0 }).to_string();
    let mut propose = inspector();
    propose.args([&lane.url(), "--transport", "http", "--header", &header, "--method", "tools/call"]);
    propose.args(["--tool-name", "propose", "--tool-args-json", &arguments, "--format", "json"]);
    let (out, _) = with_person(&lane.machine, propose);
    let id = out.split("p-").nth(1).map(|rest| format!("p-{}", &rest[..12])).expect(&out);
    let arguments = serde_json::json!({ "proposal_id": id }).to_string();
    let mut get = inspector();
    get.args([&lane.url(), "--transport", "http", "--header", &header, "--method", "tools/call"]);
    get.args(["--tool-name", "get_proposal", "--tool-args-json", &arguments, "--format", "json"]);
    is_released_part(&String::from_utf8_lossy(&get.output().unwrap().stdout));
}

#[test]
fn claude_code() {
    let Some(lane) = Lane::open() else { return };
    let (_model, address, seen) = lane.model();
    let config = lane.machine.path("mcp.json");
    let entry = serde_json::json!({ "mcpServers": { "wetink": { "type": "http", "url": lane.url(),
        "headers": { "Authorization": "Bearer ${WETINK_TOKEN}" } } } });
    std::fs::write(&config, entry.to_string()).unwrap();
    let mut command = lane.command(lane.tools.join("node_modules/.bin/claude"));
    command
        .env("ANTHROPIC_BASE_URL", &address)
        .env("ANTHROPIC_API_KEY", "sk-ant-none")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("HOME", &lane.machine.folder.0)
        .args(["-p", "go", "--strict-mcp-config", "--output-format", "json", "--mcp-config"])
        .arg(&config)
        .args(["--allowedTools", "mcp__wetink__propose,mcp__wetink__get_proposal"]);
    with_person(&lane.machine, command);
    is_released_part(&std::fs::read_to_string(seen).unwrap());
}

#[test]
fn codex() {
    let Some(lane) = Lane::open() else { return };
    let (_model, address, seen) = lane.model();
    let home = lane.machine.path("codex");
    std::fs::create_dir(&home).unwrap();
    let config = format!(
        "model = \"scripted\"\nmodel_provider = \"scripted\"\napproval_policy = \"never\"\n
[model_providers.scripted]\nname = \"scripted\"\nbase_url = \"{address}/v1\"\nwire_api = \"responses\"\nenv_key = \"MOCK_KEY\"\n
[mcp_servers.wetink]\nurl = \"{}\"\nbearer_token_env_var = \"WETINK_TOKEN\"\ndefault_tools_approval_mode = \"approve\"\n",
        lane.url()
    );
    std::fs::write(home.join("config.toml"), config).unwrap();
    let mut command = lane.command(lane.tools.join("node_modules/.bin/codex"));
    command.env("CODEX_HOME", &home).env("MOCK_KEY", "none").env("HOME", &lane.machine.folder.0).args([
        "exec",
        "--skip-git-repo-check",
        "go",
    ]);
    with_person(&lane.machine, command);
    is_released_part(&std::fs::read_to_string(seen).unwrap());
}
