//! The sender that adds a credential, as a hop between callers and a service, beside other programs that do the same: 32 callers, one
//! kept connection each. And what a round trip to a service far away costs, over a connection that stays.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use artifact::catalog::Catalog;
use artifact::{Artifact, Kind};
use execute::Requests;
use wire::order::{Job, Order, Report};
use wire::target::{Address, Approvals, Registration};

use crate::load::Connection;
use crate::measure::{Times, rounds};
use crate::table::{Goal, Table, rate, time};

const CALLERS: usize = 32;
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
pub(crate) const KEY: &str = "key-of-the-bench-4eC39HqLyjWDarj";
pub(crate) const PATH: &str = "/v1/charges/ch_1";
const BODY: &str =
    "{\"id\":\"ch_1\",\"amount\":4990,\"currency\":\"eur\",\"status\":\"succeeded\",\"customer\":\"cus_1\"}";
/// What one way to a service far away takes.
const FAR: Duration = Duration::from_millis(25);

/// Reads the head of a request; false at the end of the connection.
fn head(reader: &mut BufReader<TcpStream>, into: &mut String) -> bool {
    into.clear();
    loop {
        let before = into.len();
        match reader.read_line(into) {
            Ok(read) if read > 2 => {}
            Ok(2) if before > 0 => return true,
            _ => return false,
        }
    }
}

/// A service that answers who brings the key. Connections and requests are counted.
pub(crate) fn service() -> Result<(u16, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let connections = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&connections);
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::Relaxed);
            let answer = answer.clone();
            std::thread::spawn(move || {
                let Ok(mut out) = stream.try_clone() else { return };
                let _ = stream.set_nodelay(true);
                let (mut reader, mut text) = (BufReader::new(stream), String::new());
                while head(&mut reader, &mut text) {
                    let known = text.contains(KEY);
                    let told = if known { answer.as_str() } else { "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n" };
                    if out.write_all(told.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok((port, connections))
}

/// The service as it is registered.
pub(crate) fn target(port: u16, rule: &str) -> Registration {
    Registration {
        name: "api".into(),
        address: Address::Http {
            origin: format!("http://127.0.0.1:{port}"),
            requests: vec![rule.into()],
            credential_header: Some("authorization".into()),
            credential_prefix: "Bearer ".into(),
            private: false,
            ca_file: None,
            openapi: None,
            aws: None,
        },
        environment: "bench".into(),
        run_as: "the gateway".into(),
        credential: Some("api".into()),
        credential_of: None,
        statement_timeout_ms: 5_000,
        result_rows_max: 10,
        labels: std::collections::BTreeMap::new(),
        approvals: Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        receipts: false,
        rotate_after_s: None,
        graphql: None,
    }
}

fn order(port: u16) -> Result<Order> {
    let target = target(port, "GET /v1/**");
    let text = format!("GET {PATH}");
    let artifact = Artifact::new(Kind::Http, text.clone().into_bytes())?;
    let effect = analyze::analyze(&artifact, &Catalog::default()).effect;
    let job = Job { target, kind: Kind::Http, artifact: text, effect, signer: "bench".into(), additions: Vec::new() };
    Ok(Order::Run { job, ceiling_rows: 0 })
}

/// The product's sender behind a listener of the least kind, a thread for each caller as it is a process for each target.
fn ours(upstream: u16) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let order = order(upstream)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let order = order.clone();
            std::thread::spawn(move || {
                let Ok(mut out) = stream.try_clone() else { return };
                let _ = stream.set_nodelay(true);
                let (mut reader, mut text, mut requests) = (BufReader::new(stream), String::new(), Requests::default());
                while head(&mut reader, &mut text) && text.starts_with(&format!("GET {PATH} ")) {
                    let report = requests.perform(&order, KEY.as_bytes(), &mut |_, _| true);
                    let Report::Done { result, .. } = report else { return };
                    let body = result.rows.first().and_then(|row| row.last().cloned().flatten()).unwrap_or_default();
                    let told = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    if out.write_all(told.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(port)
}

/// Another program, which ends with this.
pub(crate) struct Peer(Child, PathBuf);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

fn free() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn up(child: Child, folder: PathBuf, port: u16) -> Result<Peer> {
    let peer = Peer(child, folder);
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > until {
            bail!("it does not listen");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(peer)
}

/// nginx as a plain proxy that sets the header, with connections to the service that stay.
pub(crate) fn nginx(upstream: u16) -> Result<Option<(Peer, u16)>> {
    let Some(program) = on_path("nginx").or_else(|| Some(PathBuf::from("/usr/sbin/nginx")).filter(|p| p.is_file()))
    else {
        return Ok(None);
    };
    let (port, folder) = (free()?, std::env::temp_dir().join(format!("wetink-bench-{}", std::process::id())));
    std::fs::create_dir_all(&folder)?;
    let at = folder.display();
    let settings = format!(
        "worker_processes 2; daemon off; pid {at}/pid; error_log /dev/null;
         events {{ worker_connections 512; }}
         http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
           keepalive_requests 1000000;
           upstream api {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
           server {{ listen 127.0.0.1:{port} backlog=512;
             location / {{ proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Authorization \"Bearer {KEY}\"; }} }} }}"
    );
    std::fs::write(folder.join("nginx.conf"), settings)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("nginx.conf")).arg("-p").arg(&folder);
    let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().context("nginx")?;
    Ok(Some((up(child, folder, port)?, port)))
}

/// mitmproxy's console-less program, as a reverse proxy that sets the header.
fn mitmproxy(upstream: u16) -> Result<Option<(Peer, u16)>> {
    let Some(program) = std::env::var_os("WETINK_MITMDUMP").map(PathBuf::from).or_else(|| on_path("mitmdump")) else {
        return Ok(None);
    };
    let (port, folder) = (free()?, std::env::temp_dir().join(format!("wetink-bench-mitm-{}", std::process::id())));
    std::fs::create_dir_all(&folder)?;
    let mut command = Command::new(program);
    command
        .args(["-q", "--mode", &format!("reverse:http://127.0.0.1:{upstream}"), "--listen-host", "127.0.0.1"])
        .args(["-p", &port.to_string(), "--set", &format!("confdir={}", folder.display())])
        .args(["--set", &format!("modify_headers=/~q/authorization/Bearer {KEY}")]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("mitmdump")?;
    Ok(Some((up(child, folder, port)?, port)))
}

/// Good answers a second to all callers.
pub(crate) fn load(port: u16) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let until = Instant::now() + ROUND;
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(async move {
                let mut connection = Connection::open(&format!("http://127.0.0.1:{port}")).await?;
                let mut good = 0_u64;
                while Instant::now() < until {
                    if connection.send("GET", PATH, "", b"").await?.good()? != BODY.as_bytes() {
                        bail!("another answer");
                    }
                    good += 1;
                }
                Ok::<u64, anyhow::Error>(good)
            });
        }
        let mut sum = 0;
        while let Some(done) = callers.join_next().await {
            sum += done??;
        }
        Ok(sum as f64 / ROUND.as_secs_f64())
    })
}

/// Times of calls in turn, by that many callers.
pub(crate) async fn calls(port: u16, callers: usize) -> Result<Times> {
    let mut connection = Connection::open(&format!("http://127.0.0.1:{port}")).await?;
    let mut times = Times::default();
    for _ in 0..1_000 * callers {
        let began = Instant::now();
        connection.send("GET", PATH, "", b"").await?.good()?;
        times.add(began.elapsed());
    }
    Ok(times)
}

/// A way to the service that takes its time: for a connection to come about, and each way of each exchange.
fn far(upstream: u16) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            std::thread::spawn(move || -> Result<()> {
                std::thread::sleep(2 * FAR);
                let far = TcpStream::connect(("127.0.0.1", upstream))?;
                let (mut back, mut there) = (far.try_clone()?, near.try_clone()?);
                std::thread::spawn(move || relay(&mut back, &mut there));
                let (mut near, mut far) = (near, far);
                relay(&mut near, &mut far);
                Ok(())
            });
        }
    });
    Ok(port)
}

fn relay(from: &mut TcpStream, to: &mut TcpStream) {
    let mut part = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut part) {
        std::thread::sleep(FAR);
        if to.write_all(&part[..read]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// A caller that keeps its own connection to the service.
fn direct(stream: &mut BufReader<TcpStream>) -> Result<Duration> {
    let began = Instant::now();
    stream
        .get_mut()
        .write_all(format!("GET {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    if !head(stream, &mut text) {
        bail!("no answer");
    }
    stream.read_exact(&mut vec![0; BODY.len()])?;
    Ok(began.elapsed())
}

pub(crate) fn rows(table: &mut Table, peers: bool) -> Result<()> {
    let (upstream, connections) = service()?;
    let way = far(upstream)?;
    let (order, mut requests) = (order(way)?, Requests::default());
    let (mut alone, mut through) = (Times::default(), Times::default());
    let mut own = BufReader::new(TcpStream::connect(("127.0.0.1", way))?);
    for round in 0..20 {
        let plain = direct(&mut own)?;
        let began = Instant::now();
        let report = requests.perform(&order, KEY.as_bytes(), &mut |_, _| true);
        let took = began.elapsed();
        if !matches!(report, Report::Done { .. }) {
            bail!("it was not sent: {report:?}");
        }
        if round > 0 {
            alone.add(plain);
            through.add(took);
        }
    }
    let (ours_p50, anchor) = (through.percentile(0.5), alone.percentile(0.5));
    table.counted(
        "G4 a read over a connection that stays, 50 ms away: the same by a caller that keeps its own",
        time(ours_p50),
        time(anchor),
        ours_p50 / anchor,
        Goal::AtMost(1.05),
    );
    let opened = connections.load(Ordering::Relaxed);
    table.counted(
        "G4 connections for 20 reads in turn",
        (opened - 1).to_string(),
        "1".to_owned(),
        (opened - 1) as f64,
        Goal::AtMost(1.0),
    );
    if !peers {
        return Ok(());
    }
    let sender = ours(upstream)?;
    for (name, peer, least) in [
        ("G3 hop, 32 callers: nginx", nginx(upstream)?, 0.6),
        ("G3 hop, 32 callers: mitmproxy", mitmproxy(upstream)?, 20.0),
    ] {
        match peer {
            Some((running, port)) => {
                let seen = rounds(ROUNDS, || load(sender), || load(port))?;
                drop(running);
                table.compared(name, seen, rate, Goal::AtLeast(least));
            }
            None => table.absent(name, "not found on this machine (PATH, WETINK_MITMDUMP)"),
        }
    }
    Ok(())
}
