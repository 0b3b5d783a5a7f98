//! The agents' door over TLS: a pass bound to a certificate, or to a workload's name, is nothing without it. The same authority signs
//! client metadata documents that are fetched over HTTPS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use machine::{Machine, WETINK};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::Folder;

/// An authority for servers and clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, names: &[&str], uris: &[&str], late: bool) -> Identity {
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|&uri| SanType::URI(uri.try_into().unwrap())));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if late {
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }
}

impl Identity {
    fn binding(&self) -> String {
        format!("cert:{}", URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.certificate)))
    }
}

fn client(authority: &Authority, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.0.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        Some(identity) => {
            let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(vec![identity.certificate.clone()], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    })
}

/// The status of one call; none where the handshake fails.
fn call(port: u16, client: Arc<ClientConfig>, pass: &str) -> Option<u16> {
    let connection = ClientConnection::new(client, ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port)).unwrap());
    let head = format!(
        "GET /v1/targets HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\nauthorization: Bearer {pass}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// A gateway whose agents' door is open over TLS at the port.
fn gateway(authority: &Authority, server: &Identity) -> (Machine, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = Folder::new();
    let desk = folder.0.join("home/desk");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&desk).unwrap();
    write(&desk.join("server.pem"), &server.pem);
    write(&desk.join("server.key"), &server.key.serialize_pem());
    write(&desk.join("clients.pem"), &authority.0.pem());
    let file = |name: &str| desk.join(name).display().to_string();
    write(
        &desk.join("agents-tls.toml"),
        &format!(
            "listen = \"127.0.0.1:{port}\"\nhost = \"localhost:{port}\"\ncertificate = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n",
            file("server.pem"),
            file("server.key"),
            file("clients.pem")
        ),
    );
    (Machine::start_in(folder, WETINK), port)
}

#[test]
fn a_pass_bound_to_a_certificate_is_nothing_without_it() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let name = "spiffe://corp.example/agents/robin";
    let (machine, port) = gateway(&authority, &authority.issue(&["localhost"], &[], false));
    let free = machine.furnish();
    let statement = machine.json(&["task", "list"], "", None)[0]["statement"].as_str().unwrap().to_owned();
    let task = statement.lines().find_map(|l| l.strip_prefix("task: ")).unwrap().to_owned();
    let bound = |to: &str| {
        machine.json(&["task", "pass", &task, "--agent-key", to], "", None)["pass"].as_str().unwrap().to_owned()
    };

    let robin = authority.issue(&[], &[name], false);
    let renewed = authority.issue(&[], &[name], false);
    let other = authority.issue(&[], &["spiffe://corp.example/agents/other"], false);
    let double = authority.issue(&[], &[name, "spiffe://corp.example/agents/other"], false);
    let (by_certificate, by_name) = (bound(&robin.binding()), bound(name));
    let asks = |identity: Option<&Identity>, pass: &str| call(port, client(&authority, identity), pass);

    assert_eq!(asks(Some(&robin), &by_certificate), Some(200));
    assert_eq!(
        asks(Some(&renewed), &by_certificate),
        Some(401),
        "the next certificate of the same workload is another one"
    );
    assert_eq!((asks(Some(&robin), &by_name), asks(Some(&renewed), &by_name)), (Some(200), Some(200)));
    for (who, identity) in [("nobody", None), ("another", Some(&other)), ("two names", Some(&double))] {
        assert_eq!(asks(identity, &by_certificate), Some(401), "{who}");
        assert_eq!(asks(identity, &by_name), Some(401), "{who}");
    }
    // A pass that is bound to nothing works over TLS as elsewhere, and a bound one not past TLS.
    assert_eq!((asks(None, &free), asks(Some(&other), &free)), (Some(200), Some(200)));
    let past = machine.run(&["check", "--target", "shop"], "SELECT id FROM orders", Some(&by_name));
    assert!(!past.status.success(), "a thief on the gateway's own machine has no certificate either");

    // A certificate that nobody here trusts, or that has ended, gets no connection at all.
    assert_eq!(asks(Some(&stranger.issue(&[], &[name], false)), &by_name), None);
    assert_eq!(asks(Some(&authority.issue(&[], &[name], true)), &by_name), None);
    // Plain HTTP at that port gets nothing, and a connection that says nothing keeps nobody else out.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    assert_eq!(asks(Some(&robin), &by_certificate), Some(200));
    drop(silent);

    for bad in ["cert:abc", "spiffe://corp.example", "spiffe://corp.example/a b"] {
        let refused = machine.run(&["task", "pass", &task, "--agent-key", bad], "", None);
        assert!(!refused.status.success(), "{bad}");
    }
}

/// Whoever has no authority makes one with two commands.
#[test]
fn an_authority_of_one_s_own_serves_the_door_and_agents() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = Folder::new();
    let home = folder.0.join("home");
    let run = |arguments: &[&str]| {
        let out = std::process::Command::new(WETINK).env("WETINK_HOME", &home).args(arguments).output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let place = |name: &str| folder.0.join(name).display().to_string();
    assert!(!run(&["certificate", "agent", "robin", "--out", &place("early")]).0, "before there is an authority");
    assert!(!run(&["certificate", "door", "Localhost"]).0);
    let (host, listen) = (format!("localhost:{port}"), format!("127.0.0.1:{port}"));
    for _ in 0..2 {
        let (ok, text) = run(&["certificate", "door", &host, "--listen", &listen]);
        assert!(ok, "{text}");
    }
    assert!(!run(&["certificate", "door", "other.example:7443"]).0, "settings that are there are kept");
    for (name, out) in [("robin", "a"), ("robin", "b"), ("other", "c")] {
        let (ok, text) = run(&["certificate", "agent", name, "--hours", "1", "--out", &place(out)]);
        assert!(ok && text.contains(&format!("spiffe://localhost/agent/{name}")), "{text}");
    }
    for (name, out) in [("robin", "a"), ("../x", "d"), ("a b", "e"), ("", "f")] {
        assert!(!run(&["certificate", "agent", name, "--out", &place(out)]).0, "{name}");
    }
    let secrets = ["home/desk/authority/ca.key", "home/desk/authority/door.key", "a/agent.key"];
    for secret in secrets.map(|name| folder.0.join(name)) {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&secret).unwrap());
        assert_eq!(mode & 0o777, 0o600, "{}", secret.display());
    }

    let machine = Machine::start_in(folder, WETINK);
    let free = machine.furnish();
    let statement = machine.json(&["task", "list"], "", None)[0]["statement"].as_str().unwrap().to_owned();
    let task = statement.lines().find_map(|l| l.strip_prefix("task: ")).unwrap().to_owned();
    let pass =
        machine.json(&["task", "pass", &task, "--agent-key", "spiffe://localhost/agent/robin"], "", None)["pass"]
            .as_str()
            .unwrap()
            .to_owned();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let asks = |of: Option<&str>, pass: &str| {
        let pem = |folder: &str, name: &str| machine.path(folder).join(name);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pem("a", "ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match of {
            Some(folder) => {
                let certificate = CertificateDer::from_pem_file(pem(folder, "agent.pem")).unwrap();
                let key = PrivateKeyDer::from_pem_file(pem(folder, "agent.key")).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        call(port, Arc::new(config), pass)
    };
    // The next certificate of the same agent serves as well; another agent's, or none, does not.
    assert_eq!((asks(Some("a"), &pass), asks(Some("b"), &pass)), (Some(200), Some(200)));
    assert_eq!((asks(Some("c"), &pass), asks(None, &pass)), (Some(401), Some(401)));
    assert_eq!(asks(None, &free), Some(200));
}

/// A service over TLS that answers one request a connection, and what it was sent.
fn service(server: &Identity) -> (u16, Arc<std::sync::Mutex<Vec<String>>>) {
    serving(TcpListener::bind("127.0.0.1:0").unwrap(), server, "ok".to_owned())
}

fn serving(listener: TcpListener, server: &Identity, body: String) -> (u16, Arc<std::sync::Mutex<Vec<String>>>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(server.key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.certificate.clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let port = listener.local_addr().unwrap().port();
    let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut part = [0; 16_384];
            if let Ok(read) = stream.read(&mut part) {
                kept.lock().unwrap().push(String::from_utf8_lossy(&part[..read]).into_owned());
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    (port, seen)
}

#[test]
fn a_request_goes_only_to_who_proves_the_name() {
    use artifact::{Artifact, Kind};
    use wire::order::{FailCode, Job, Order, Report};
    use wire::target::{Address, Approvals, Registration};

    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = Folder::new();
    let file = folder.0.join("ca.pem");
    std::fs::write(&file, authority.0.pem()).unwrap();
    let announced = std::cell::Cell::new(0);
    let send = |port: u16, host: &str| {
        let target = Registration {
            name: "api".into(),
            address: Address::Http {
                origin: format!("https://{host}:{port}"),
                requests: vec!["POST /**".into()],
                credential_header: Some("x-api-key".into()),
                credential_prefix: String::new(),
                private: true,
                ca_file: Some(file.display().to_string()),
                openapi: None,
                aws: None,
            },
            environment: "test".into(),
            run_as: "the gateway".into(),
            credential: Some("api".into()),
            credential_of: None,
            statement_timeout_ms: 2_000,
            result_rows_max: 10,
            labels: std::collections::BTreeMap::new(),
            approvals: Approvals::default(),
            payments: wire::payments::Payments::default(),
            idempotency_header: None,
            receipts: false,
            rotate_after_s: None,
            graphql: None,
        };
        let artifact = Artifact::new(Kind::Http, b"POST /pay\n\nx".to_vec()).unwrap();
        let effect = analyze::analyze(&artifact, &artifact::catalog::Catalog::default()).effect;
        let job = Job {
            target,
            kind: Kind::Http,
            artifact: artifact.text().into(),
            effect,
            signer: "Ada".into(),
            additions: Vec::new(),
        };
        execute::perform(&Order::Run { job, ceiling_rows: 0 }, b"a-key-of-theirs", &mut |_, _| {
            announced.set(announced.get() + 1);
            true
        })
    };
    let code = |report: &Report| if let Report::Failed { code, .. } = report { Some(*code) } else { None };

    let (port, seen) = service(&authority.issue(&["localhost"], &[], false));
    assert!(matches!(send(port, "localhost"), Report::Done { .. }));
    assert!(seen.lock().unwrap()[0].contains("\r\nx-api-key: a-key-of-theirs\r\n"));
    for bad in [
        stranger.issue(&["localhost"], &[], false),
        authority.issue(&["other.example"], &[], false),
        authority.issue(&["localhost"], &[], true),
    ] {
        let (port, seen) = service(&bad);
        // Nothing of the request had left, so it did not happen, and everybody knows.
        assert_eq!(code(&send(port, "localhost")), Some(FailCode::TargetUnreachable));
        assert!(seen.lock().unwrap().is_empty());
    }
    let (port, seen) = service(&authority.issue(&["localhost"], &[], false));
    assert_eq!(code(&send(port, "127.0.0.1")), Some(FailCode::TargetUnreachable), "another name of the same place");
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(announced.get(), 1, "only what was about to be sent was announced");
}

/// A service that answers every request with this.
fn answering(server: &Identity, body: impl Fn(u16) -> String) -> (u16, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    serving(listener, server, body(port))
}

#[test]
fn a_client_is_known_by_its_document_and_receivers_are_told_over_tls() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (machine, _) = gateway(&authority, &authority.issue(&["localhost"], &[], false));
    let document = |port: u16| {
        serde_json::json!({
            "client_id": format!("https://localhost:{port}/client.json"),
            "client_name": "Robin at home",
            "redirect_uris": ["https://localhost:1/back"],
        })
        .to_string()
    };
    let good = authority.issue(&["localhost"], &[], false);
    let (known, seen) = answering(&good, document);
    let (untrusted, _) = answering(&stranger.issue(&["localhost"], &[], false), document);
    let (lying, _) = answering(&good, |_| document(known));
    let (huge, _) = answering(&good, |_| "x".repeat(300_000));

    // Strangers' addresses lead into no private network unless the operator names the host.
    let pass = machine.furnish();
    let session = machine::session(&machine, &machine.path("key"));
    let authorize = |machine: &Machine, session: &str, port: u16| {
        let challenge = URL_SAFE_NO_PAD.encode([7; 32]);
        let path = format!(
            "/authorize?response_type=code&client_id=https%3A%2F%2Flocalhost%3A{port}%2Fclient.json&redirect_uri=https%3A%2F%2Flocalhost%3A1%2Fback\
             &code_challenge={challenge}&code_challenge_method=S256&scope=propose"
        );
        let headers = [("cookie", format!("wetink={session}"))];
        let (status, _, body) = machine::ask(&machine::Asked {
            base: &machine.people,
            method: "GET",
            path: &path,
            headers: &headers,
            body: "",
        });
        (status, body)
    };
    let (status, body) = authorize(&machine, &session, known);
    assert!(status == 400 && body.contains("private network"), "{status} {body}");
    assert!(seen.lock().unwrap().is_empty(), "nobody was asked");

    let desk = machine.path("home/desk");
    write(
        &desk.join("outbound.toml"),
        &format!("private_hosts = [\"localhost\"]\nca_file = \"{}\"\n", desk.join("clients.pem").display()),
    );
    let (hooked, told) = answering(&good, |_| "{}".to_owned());
    let added = machine.run(&["webhook", "add", &format!("https://localhost:{hooked}/told")], "", None);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let hooks = desk.join("webhooks.toml");
    let text = std::fs::read_to_string(&hooks).unwrap();
    write(&hooks, &(text + &format!("ca_file = \"{}\"\n", desk.join("clients.pem").display())));
    let machine = Machine::start_in(machine.killed(), WETINK);
    let session = machine::session(&machine, &machine.path("key"));
    let (status, body) = authorize(&machine, &session, known);
    assert!(
        status == 200
            && body.contains("Robin at home")
            && body.contains(&format!("https://localhost:{known}/client.json")),
        "{status} {body}"
    );
    for (port, why) in [(untrusted, "a stranger's certificate"), (lying, "another's document"), (huge, "too large")] {
        let (status, body) = authorize(&machine, &session, port);
        assert!(status == 400 && !body.contains("Let it propose"), "{why}: {status} {body}");
    }
    // The receiver is told over TLS, with its own certificate verified.
    machine.json(
        &["propose", "--target", "shop", "--purpose", "try"],
        "UPDATE orders SET status = 'x' WHERE id = 1",
        Some(&pass),
    );
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while told.lock().unwrap().is_empty() && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let told = told.lock().unwrap().join("");
    assert!(told.starts_with("POST /told HTTP/1.1\r\n") && told.contains("webhook-signature: v1,"), "{told}");
}
