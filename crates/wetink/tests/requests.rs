//! API calls through the gateway: what is signed is what is on the wire, once, to the registered place and no other, and the
//! credential comes back nowhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use artifact::catalog::Catalog;
use artifact::{Artifact, Kind};
use execute::perform;
use machine::Machine;
use wire::order::{FailCode, Job, Order, Report};
use wire::target::{Address, Approvals, Registration};

const CREDENTIAL: &str = "sk_test_51HqLyjWDarjtT1zdp7dc";

/// The same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// A service that keeps the bytes of each request and answers as it is told.
struct Service {
    port: u16,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Service {
    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream.unwrap(), &kept, &*answer));
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Vec<u8>>>, answer: &dyn Fn(&str) -> String) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut all, mut part) = (Vec::new(), vec![0; 65_536]);
    let whole = |all: &[u8]| {
        let head = all.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&all[..head]).to_lowercase();
        let length =
            text.split("content-length: ").nth(1).map_or(0, |l| l.split("\r\n").next().unwrap().parse().unwrap());
        (all.len() >= head + length).then_some(())
    };
    while whole(&all).is_none() {
        match stream.read(&mut part) {
            Ok(read) if read > 0 => all.extend_from_slice(&part[..read]),
            _ => break,
        }
    }
    if all.is_empty() {
        return;
    }
    let text = answer(&String::from_utf8_lossy(&all));
    kept.lock().unwrap().push(all);
    let _ = stream.write_all(text.as_bytes());
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn target(origin: &str, requests: &[&str]) -> Registration {
    Registration {
        name: "api".into(),
        address: Address::Http {
            origin: origin.into(),
            requests: requests.iter().map(|&rule| rule.to_owned()).collect(),
            credential_header: Some("authorization".into()),
            credential_prefix: "Bearer ".into(),
            private: false,
            ca_file: None,
            openapi: None,
            aws: None,
        },
        environment: "test".into(),
        run_as: "the gateway".into(),
        credential: Some("api".into()),
        credential_of: None,
        statement_timeout_ms: 2_000,
        result_rows_max: 10,
        labels: BTreeMap::new(),
        approvals: Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        receipts: false,
        rotate_after_s: None,
        graphql: None,
    }
}

/// Runs a request with the effect that analysis gives it, or another one.
fn send(target: &Registration, text: &str, changed: impl FnOnce(&mut artifact::Effect)) -> Report {
    let artifact = Artifact::new(Kind::Http, text.as_bytes().to_vec()).unwrap();
    let mut effect = effect(&artifact);
    changed(&mut effect);
    let job = Job {
        target: target.clone(),
        kind: Kind::Http,
        artifact: text.into(),
        effect,
        signer: "Ada".into(),
        additions: Vec::new(),
    };
    perform(&Order::Run { job, ceiling_rows: 0 }, CREDENTIAL.as_bytes(), &mut |_, _| true)
}

fn effect(artifact: &Artifact) -> artifact::Effect {
    analyze::analyze(artifact, &Catalog::default()).effect
}

fn code(report: &Report) -> Option<FailCode> {
    if let Report::Failed { code, .. } = report { Some(*code) } else { None }
}

/// How many requests are generated; `measure wire` asks for more.
fn size() -> usize {
    std::env::var("WETINK_WIRE").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

/// The bytes that the service has to see: what was signed, and the listed additions.
fn expected(text: &str, port: u16) -> Vec<u8> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.split('\n');
    let (line, headers): (&str, Vec<&str>) = (lines.next().unwrap(), lines.collect());
    let mut out = format!("{line} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n");
    for header in headers {
        out += &format!("{header}\r\n");
    }
    if !line.starts_with("GET") && !line.starts_with("HEAD") {
        out += &format!("content-length: {}\r\n", body.len());
    }
    out += &format!("authorization: Bearer {CREDENTIAL}\r\n\r\n{body}");
    out.into_bytes()
}

fn generated(random: &mut Random) -> String {
    const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    const PATH: &[u8] = b"abcXYZ019-._~!$&'()*+,=:@";
    const BODY: [&str; 8] = [
        "{\"a\":1}",
        "\u{e4}\u{f6}",
        "\r\nGET /evil HTTP/1.1\r\nhost: evil\r\n\r\n",
        "\n\n",
        " ",
        "0\r\n\r\n",
        "a=b&c=d",
        "\u{1f680}",
    ];
    let word = |random: &mut Random, from: &[u8], most: usize| -> String {
        let word: String = (0..=random.below(most)).map(|_| char::from(from[random.below(from.len())])).collect();
        if word.bytes().all(|b| b == b'.') { "x".to_owned() } else { word }
    };
    let method = METHODS[random.below(METHODS.len())];
    let mut text = format!("{method} ");
    for _ in 0..=random.below(4) {
        text += &format!("/{}", word(random, PATH, 8));
    }
    if random.below(2) == 0 {
        text += &format!("?{}=%{:02X}", word(random, b"abc", 4), random.below(128));
    }
    for n in 0..random.below(5) {
        text += &format!(
            "\nx-h{n}-{}: {}",
            word(random, b"abc-", 5),
            word(random, b"abc;=\"\\,/ :", 20).trim().trim_matches(' ').to_owned() + "v"
        );
    }
    if method != "GET" {
        text += "\n\n";
        for _ in 0..random.below(4) {
            text += BODY[random.below(BODY.len())];
        }
    }
    text
}

/// What is labelled in a body is labelled in whichever form the body comes.
#[test]
fn a_body_that_cannot_be_read_is_not_taken_for_one_without_labels() {
    let service = Service::start(|asked| {
        let body = if asked.contains("/text") { "<html>" } else { "{\"email\":\"bo@x.y\",\"n\":1}" };
        ok(body)
    });
    let mut target = target(&format!("http://127.0.0.1:{}", service.port), &["GET /**"]);
    let columns = |target: &Registration, text: &str| {
        let Report::Done { result, .. } = send(target, text, |_| {}) else { panic!("{text}") };
        let origins: Vec<_> = result.columns.iter().map(|column| column.origin.clone().unwrap_or_default()).collect();
        (origins.join(" "), result.rows[0].clone())
    };
    let (origins, _) = columns(&target, "GET /json");
    assert_eq!(origins, "status content_type location sha256 body");
    target.labels.insert("body.email".into(), "personal".into());
    let (origins, cells) = columns(&target, "GET /json");
    assert_eq!(origins, "status content_type location  body body.email");
    assert_eq!((cells[4].as_deref(), cells[5].as_deref()), (Some("{\"email\":null,\"n\":1}"), Some("bo@x.y")));
    // Nobody knows what else than JSON holds.
    let (origins, cells) = columns(&target, "GET /text");
    assert_eq!((origins.as_str(), cells[5].as_deref()), ("status content_type location   body.email", None));
}

#[test]
fn the_wire_has_what_was_signed() {
    let service = Service::start(|_| ok("{}"));
    let origin = format!("http://127.0.0.1:{}", service.port);
    let target = target(&origin, &["GET /**", "POST /**", "PUT /**", "PATCH /**", "DELETE /**"]);
    let mut random = Random(0x7769_7265);
    let (mut sent, mut differ) = (0, 0);
    while sent < size() {
        let text = generated(&mut random);
        let report = send(&target, &text, |_| {});
        match report {
            Report::Done { .. } => {}
            // Two headers of one name, mostly: refused before anything is sent.
            Report::Failed { code: FailCode::BadOrder, .. } => continue,
            other => panic!("{text:?}: {other:?}"),
        }
        let seen = service.seen();
        assert_eq!(seen.len(), sent + 1, "once each");
        if seen[sent] != expected(&text, service.port) {
            differ += 1;
            println!("{text:?}\n{}", String::from_utf8_lossy(&seen[sent]));
        }
        sent += 1;
    }
    println!("requests: {sent}\ndiffer: {differ}");
    assert_eq!(differ, 0);
}

#[test]
fn nothing_but_what_was_signed_and_registered_leaves() {
    let service = Service::start(|_| ok("{}"));
    let origin = format!("http://127.0.0.1:{}", service.port);
    let api = target(&origin, &["GET /v1/**", "POST /v1/refunds"]);
    let refund = "POST /v1/refunds\ncontent-type: application/json\n\n{\"amount\":1}";
    // An effect that says something else than the bytes, whoever made it.
    let lies: [fn(&mut artifact::Effect); 5] = [
        |e| e.request.as_mut().unwrap().path = "/v1/other".into(),
        |e| e.request.as_mut().unwrap().method = "GET".into(),
        |e| e.request = None,
        |e| e.commits_itself = false,
        |e| e.verb = artifact::effect::Verb::Read,
    ];
    for lie in lies {
        assert_eq!(code(&send(&api, refund, lie)), Some(FailCode::BeyondEffect));
    }
    for text in [
        "POST /v1/charges\n\nx",
        "DELETE /v1/refunds",
        "GET /v2/x",
        "GET /v1/../v2",
        "GET /v1//x",
        "PUT /v1/refunds\n\nx",
    ] {
        assert!(matches!(code(&send(&api, text, |_| {})), Some(FailCode::BeyondEffect | FailCode::BadOrder)), "{text}");
    }
    let artifact = Artifact::new(Kind::Http, refund.as_bytes().to_vec()).unwrap();
    let effect = effect(&artifact);
    let job = Job {
        target: api.clone(),
        kind: Kind::Http,
        artifact: refund.into(),
        effect,
        signer: "Ada".into(),
        additions: Vec::new(),
    };
    let no = perform(&Order::Run { job: job.clone(), ceiling_rows: 0 }, CREDENTIAL.as_bytes(), &mut |_, _| false);
    assert_eq!(code(&no), Some(FailCode::Withdrawn));
    let trial = perform(&Order::Preview { job, sample: false }, CREDENTIAL.as_bytes(), &mut |_, _| true);
    assert_eq!(code(&trial), Some(FailCode::BadOrder));
    assert!(service.seen().is_empty());
    assert!(matches!(send(&api, refund, |_| {}), Report::Done { .. }));
    assert_eq!(service.seen().len(), 1);
}

#[test]
fn answers_are_taken_as_they_are_and_without_the_credential() {
    let service = Service::start(|request| {
        let path = request.split(' ').nth(1).unwrap();
        match path {
            "/redirect" => {
                "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            "/echo" => {
                ok(&format!("{{\"you\":\"{CREDENTIAL}\",\"basic\":\"{}\"}}", base64_of(&format!("user:{CREDENTIAL}"))))
            }
            "/gone" => String::new(),
            "/zip" => "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc".to_owned(),
            "/big" => format!("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{}", "x".repeat(5_000_000)),
            "/two" => "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd".to_owned(),
            "/slow" => {
                std::thread::sleep(Duration::from_secs(4));
                ok("late")
            }
            _ => ok("{}"),
        }
    });
    let api = target(&format!("http://127.0.0.1:{}", service.port), &["GET /*", "POST /*"]);
    let get = |path: &str| send(&api, &format!("GET {path}"), |_| {});
    let post = |path: &str| send(&api, &format!("POST {path}\n\nx"), |_| {});
    let row = |report: Report| match report {
        Report::Done { result, .. } => result.rows[0].clone(),
        other => panic!("{other:?}"),
    };
    let redirect = row(get("/redirect"));
    assert_eq!((redirect[0].as_deref(), redirect[2].as_deref()), (Some("302"), Some("http://169.254.169.254/latest")));
    let echo = row(get("/echo"))[4].clone().unwrap();
    assert!(!echo.contains(CREDENTIAL) && echo.matches("[credential]").count() == 2, "{echo}");
    assert_eq!(row(get("/zip"))[4].as_deref(), Some("abc"));
    // Larger than is taken: it did answer, and nobody is shown a part as if it were the whole.
    let big = row(post("/big"));
    assert_eq!((big[0].as_deref(), &big[3], &big[4]), (Some("200"), &None, &None));
    assert_eq!(code(&get("/two")), Some(FailCode::TargetUnreachable), "two lengths");
    // What reads and fails did nothing; what changes something and was sent may have happened.
    assert_eq!(
        (code(&get("/gone")), code(&post("/gone"))),
        (Some(FailCode::TargetUnreachable), Some(FailCode::OutcomeUnknown))
    );
    assert_eq!((code(&get("/slow")), code(&post("/slow"))), (Some(FailCode::TimedOut), Some(FailCode::OutcomeUnknown)));
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn no_address_leads_elsewhere() {
    let service = Service::start(|_| ok("{}"));
    let port = service.port;
    // As origins: refused when registered, or met nowhere private.
    let origins = [
        "http://169.254.169.254",
        "https://169.254.169.254",
        "https://127.0.0.1",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://[::ffff:169.254.169.254]",
        "https://10.0.0.1",
        "https://192.168.0.1",
        "https://172.16.0.1",
        "https://100.64.0.1",
        "https://0.0.0.0",
        "https://[::]",
        "https://[fd00::1]",
        "https://[fe80::1]",
        "https://[64:ff9b::7f00:1]",
        "https://[2002:7f00:1::]",
        "https://localhost",
        "https://2130706433",
        "https://0x7f000001",
        "https://0177.0.0.1",
        "https://127.1",
        "https://0x7f.1",
        "https://127.0.0.1.",
        "http://api.example",
        "http://evil.example@127.0.0.1",
        "https://user:pass@api.example",
        "https://api.example:443@evil.example",
        "https://api.example/",
        "https://api.example/x",
        "https://api.example?x",
        "https://api.example#x",
        "https://api.example\\@evil.example",
        "https://API.example",
        "https://api.example:0",
        "https://api.example:65536",
        "https://api.example:0443",
        "https://api.example:",
        "https://",
        "https:///x",
        "//api.example",
        "api.example",
        "ftp://api.example",
        "file:///etc/passwd",
        "gopher://127.0.0.1",
        "https://api example",
        "https://api.example\n",
        "https://\u{ff21}pi.example",
        "https://api\u{3002}example",
        "https://[::1",
        "https://::1",
        "https://-x",
        "https://.x",
        "https://1.2.3.4.5",
        "https://256.1.1.1",
        "https://1.2.3",
    ];
    // As requests: refused, or sent to the registered place.
    let requests = [
        "GET http://169.254.169.254/latest",
        "GET https://evil.example/",
        "GET //evil.example/x",
        "GET ///evil.example",
        "GET /\\evil.example",
        "GET @evil.example/",
        "GET :80/",
        "GET ?x",
        "GET #x",
        "GET /x#@evil.example",
        "GET /..//evil.example",
        "GET /%2e%2e/x",
        "GET /%2F%2Fevil.example",
        "GET /x\r\nhost: evil.example",
        "GET /x HTTP/1.1\r\nhost: evil.example\r\n",
        "GET /x\nhost: evil.example",
        "GET /x\nx-forwarded-host: evil.example",
        "GET /x\nforwarded: host=evil.example",
        "GET /x\nconnection: upgrade",
        "GET /x\nupgrade: h2c",
        "GET /x\ntransfer-encoding: chunked",
        "GET /x\nTransfer-Encoding: chunked",
        "GET /x\ntransfer-encoding : chunked",
        "GET /x\ncontent-length: 5",
        "GET /x\nx: y\r\nevil: z",
        "GET /x\nx: y\u{0}",
        "GET /x\n x: y",
        "GET /x\nx:y",
        "CONNECT evil.example:443",
        "OPTIONS *",
        "TRACE /",
        "PRI * HTTP/2.0",
        "get /x",
        "GET\t/x",
        "GET  /x",
        " GET /x",
        "\nGET /x",
        "GET /x;jsessionid=1",
        "GET /x%00",
        "GET /x%0d%0ahost:%20evil.example",
        "GET /x?u=http://169.254.169.254/",
        "GET /@evil.example",
        "GET /:80",
    ];
    let mut escapes = Vec::new();
    for origin in origins {
        let mut registration = target(origin, &["GET /**"]);
        registration.statement_timeout_ms = 1_000;
        let report = send(&registration, "GET /x", |_| {});
        if !matches!(code(&report), Some(FailCode::BadOrder | FailCode::BeyondEffect)) {
            escapes.push(format!("{origin}: {report:?}"));
        }
    }
    assert!(service.seen().is_empty(), "nobody was met");
    let api = target(&format!("http://127.0.0.1:{port}"), &["GET /**"]);
    for text in requests {
        let before = service.seen().len();
        if Artifact::new(Kind::Http, text.as_bytes().to_vec()).is_err() {
            continue;
        }
        let report = send(&api, text, |e| {
            // A desk that lies makes an effect that fits the bytes as far as it can.
            e.verb = artifact::effect::Verb::Read;
            e.commits_itself = false;
        });
        let seen = service.seen();
        let fits = match report {
            Report::Failed { .. } => seen.len() == before,
            _ => seen.len() == before + 1 && seen[before] == expected(text, port),
        };
        if !fits {
            escapes.push(format!("{text:?}: {report:?}"));
        }
    }
    println!("urls: {}\nescapes: {}", origins.len() + requests.len(), escapes.len());
    assert!(escapes.is_empty(), "{escapes:#?}");
}

#[test]
fn an_api_call_from_proposal_to_release() {
    let service = Service::start(|request| {
        if request.starts_with("POST") {
            ok("{\"id\":\"re_1\",\"status\":\"succeeded\"}")
        } else {
            ok("[{\"id\":\"ch_1\"}]")
        }
    });
    let machine = Machine::start();
    machine.furnish();
    let set = machine.run(&["secret", "set", "stripe-key"], CREDENTIAL, None);
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let origin = format!("http://127.0.0.1:{}", service.port);
    let rules = ["--request", "GET /v1/**", "--request", "POST /v1/refunds"];
    let (fine, text) =
        machine.person(&[&["target", "add", "stripe", &origin, "--credential", "stripe-key"], &rules[..]].concat(), "");
    assert!(fine, "{text}");
    let scope = ["--may", "call GET /v1/charges/*", "--may", "call POST /v1/refunds", "--auto-reads"];
    let (fine, text) = machine.person(
        &[&["task", "new", "Refund charge ch_1 with 4990", "--agent", "robin", "--target", "stripe"], &scope[..]]
            .concat(),
        "",
    );
    assert!(fine, "{text}");
    let pass = machine.pass_of("stripe");
    let propose =
        |body: &str| machine.json(&["propose", "--target", "stripe", "--purpose", "refund"], body, Some(&pass));

    // A read inside the scope runs by itself; one outside asks; what is not registered nobody may sign.
    let read = propose("GET /v1/charges/ch_1");
    let read = machine.json(&["wait", read["proposal_id"].as_str().unwrap()], "", Some(&pass));
    assert_eq!(read["status"], "released", "{read}");
    assert_eq!(propose("GET /v1/customers/cus_1")["status"], "pending");
    let denied = propose("DELETE /v1/charges/ch_1");
    assert_eq!(denied["status"], "denied", "{denied}");

    let asked = propose("POST /v1/refunds\ncontent-type: application/json\n\n{\"charge\":\"ch_1\",\"amount\":4990}");
    assert_eq!(asked["status"], "pending", "{asked}");
    let id = asked["proposal_id"].as_str().unwrap();
    let view = machine.json(&["show", id], "", None);
    assert_eq!(view["row"]["headline"], "SENDS POST /v1/refunds");
    assert_eq!(view["row"]["in_scope"], true);
    assert!(view["undo"].as_str().unwrap().contains("nothing takes it back"), "{}", view["undo"]);
    assert_eq!(service.seen().len(), 1, "only the read so far");
    let arm = view["arm"].as_str().unwrap_or_default().to_owned();
    let (fine, text) = machine.person(&["approve", id], &format!("{arm}\n"));
    assert!(fine, "{text}");
    let seen = service.seen();
    assert_eq!(seen.len(), 2);
    let post = String::from_utf8_lossy(&seen[1]).into_owned();
    assert!(
        post.contains(&format!("authorization: Bearer {CREDENTIAL}\r\n"))
            && post.ends_with("{\"charge\":\"ch_1\",\"amount\":4990}"),
        "{post}"
    );
    let (fine, _) = machine.person(&["approve", id], &format!("{arm}\n"));
    assert!(!fine, "once");
    assert_eq!(service.seen().len(), 2);
    let run = machine.json(&["show", id], "", None)["run"].as_str().unwrap().to_owned();
    let (fine, text) = machine.person(&["result", "release", &run, "--column", "status", "--column", "body"], "");
    assert!(fine, "{text}");
    let got = machine.json(&["wait", id], "", Some(&pass));
    assert!(got.to_string().contains("re_1") && !got.to_string().contains(CREDENTIAL), "{got}");
    let export = machine.path("export");
    assert!(machine.run(&["audit", "export", export.to_str().unwrap()], "", None).status.success());
    let verified = machine.run(&["audit", "verify", export.to_str().unwrap()], "", None);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn a_credential_is_fetched_from_where_it_is_each_time() {
    let service = Service::start(|_| ok("[]"));
    let machine = Machine::start();
    machine.furnish();
    let file = machine.path("token");
    let put = |value: &str, mode: u32| {
        std::fs::write(&file, format!("{value}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    put("first-4eC39HqLyjWDarj", 0o600);
    let refer = |arguments: &[&str]| machine.run(&[&["secret", "refer"], arguments].concat(), "", None);
    let path = file.to_str().unwrap();
    assert!(refer(&["from-file", "--file", path]).status.success());
    assert!(refer(&["from-program", "--", "/bin/cat", path]).status.success());
    assert!(!refer(&["nowhere"]).status.success());
    assert!(!refer(&["relative", "--", "cat", path]).status.success());
    let origin = format!("http://127.0.0.1:{}", service.port);
    let ask = |target: &str, credential: &str, n: u32| {
        if n == 0 {
            let add = ["target", "add", target, &origin, "--credential", credential, "--request", "GET /**"];
            assert!(machine.person(&add, "").0);
            let new = [
                "task",
                "new",
                "Look",
                "--agent",
                "robin",
                "--target",
                target,
                "--may",
                "call GET /**",
                "--auto-reads",
            ];
            assert!(machine.person(&new, "").0);
        }
        let pass = machine.pass_of(target);
        let body = format!("GET /v1/{n}");
        let read = machine.run(&["propose", "--json", "--target", target, "--purpose", "look"], &body, Some(&pass));
        let read: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap_or_default();
        // The schema is asked for with the same credential.
        let Some(id) = read["proposal_id"].as_str() else { return "failed".to_owned() };
        machine.json(&["wait", id], "", Some(&pass))["status"].as_str().unwrap_or_default().to_owned()
    };
    let last = || String::from_utf8_lossy(service.seen().last().unwrap()).into_owned();
    for (target, credential) in [("filed", "from-file"), ("printed", "from-program")] {
        put("first-4eC39HqLyjWDarj", 0o600);
        assert_eq!(ask(target, credential, 0), "released");
        assert!(last().contains("authorization: Bearer first-4eC39HqLyjWDarj\r\n"), "{}", last());
        // Rotated where it is: the next run has the new one.
        put("second-9vQ2xLmWcRz7Tb4", 0o600);
        assert_eq!(ask(target, credential, 1), "released");
        assert!(last().contains("authorization: Bearer second-9vQ2xLmWcRz7Tb4\r\n"), "{}", last());
    }
    // Open to others, or gone: nothing is sent, and no byte of it is told.
    let sent = service.seen().len();
    put("third-KpS1nYd51HqLyjWDarj", 0o644);
    assert_eq!(ask("filed", "from-file", 2), "failed");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ask("printed", "from-program", 3), "failed");
    assert_eq!(service.seen().len(), sent);
    let log = machine.run(&["audit", "search", "--json"], "", None);
    let log = String::from_utf8_lossy(&log.stdout);
    assert!(!["first-4e", "second-9v", "third-Kp"].iter().any(|part| log.contains(part)));
    assert!(log.contains("\\\"from\\\":\\\"file\\\""), "the log says where it comes from");
}

#[test]
fn a_service_s_description_is_shown_and_held_against_requests() {
    let service = Service::start(|_| ok("{}"));
    let machine = Machine::start();
    machine.furnish();
    let description = machine.path("openapi.json");
    let refund = serde_json::json!({ "summary": "Create a refund", "requestBody": { "required": true, "content": { "application/json": {
        "schema": { "$ref": "#/components/schemas/refund" } } } } });
    let document = serde_json::json!({
        "openapi": "3.0.3", "servers": [{ "url": "https://api.example/v1" }],
        "paths": { "/refunds": { "post": refund }, "/charges/{charge}": { "get": { "summary": "Retrieve a charge\u{202e}" } } },
        "components": { "schemas": { "refund": { "type": "object", "required": ["charge", "amount"],
            "properties": { "charge": { "type": "string" }, "amount": { "type": "integer" } } } } },
    });
    std::fs::write(&description, document.to_string()).unwrap();
    let origin = format!("http://127.0.0.1:{}", service.port);
    let add = ["target", "add", "pay", &origin, "--request", "GET /v1/**", "--request", "POST /v1/**"];
    let (fine, text) = machine.person(&[&add[..], &["--openapi", description.to_str().unwrap()]].concat(), "");
    assert!(fine, "{text}");
    let scope = ["--may", "call GET /v1/charges/*", "--may", "call POST /v1/refunds"];
    let new = ["task", "new", "Refund charge ch_1 with 4990", "--agent", "robin", "--target", "pay"];
    assert!(machine.person(&[&new[..], &scope[..]].concat(), "").0);
    let pass = machine.pass_of("pay");
    let headers = [("authorization", format!("Bearer {pass}"))];
    let asked =
        machine::Asked { base: &machine.agents, method: "GET", path: "/v1/targets/pay", headers: &headers, body: "" };
    let (status, _, told) = machine::ask(&asked);
    assert!(status == 200 && told.contains("POST /v1/refunds") && told.contains("GET /v1/charges/{charge}"), "{told}");
    assert!(!told.contains('\u{202e}'), "{told}");

    let propose = |body: &str| {
        let proposal = machine.json(&["propose", "--target", "pay", "--purpose", "refund"], body, Some(&pass));
        let id = proposal["proposal_id"].as_str().unwrap_or_else(|| panic!("{proposal}")).to_owned();
        machine.json(&["show", &id], "", None)
    };
    let post = |body: &str| propose(&format!("POST /v1/refunds\ncontent-type: application/json\n\n{body}"));
    let good = post("{\"charge\":\"ch_1\",\"amount\":4990}").to_string();
    assert!(good.contains("Create a refund") && !good.contains("operation_mismatch"), "{good}");
    let bad = post("{\"charge\":\"ch_1\",\"amount\":\"4990\"}");
    assert!(bad.to_string().contains("The member `amount` is not of type integer"), "{bad}");
    assert_eq!((bad["row"]["risk"].as_str(), bad["row"]["status"].as_str()), (Some("high"), Some("pending")));
    assert!(propose("GET /v1/unheard/of").to_string().contains("unknown_operation"));
    assert!(service.seen().is_empty());
}
