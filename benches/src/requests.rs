//! One HTTP request as an approved run, against the same request sent directly. Both connect anew.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use artifact::catalog::Catalog;
use artifact::{Artifact, Kind};
use execute::perform;
use wire::order::{Job, Order, Report};

use crate::hop;
use crate::measure::Times;
use crate::table::{Goal, Table, time};

/// Requests of each kind, in turns.
const REQUESTS: usize = 400;
const BODY: &str = "{\"charge\":\"ch_1\",\"amount\":4990}";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"id\":\"re_1\"}";

/// Answers every request the same.
fn serve() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let (mut all, mut part) = (Vec::new(), [0; 4096]);
            while !all.ends_with(BODY.as_bytes()) {
                match stream.read(&mut part) {
                    Ok(read) if read > 0 => all.extend_from_slice(&part[..read]),
                    _ => break,
                }
            }
            let _ = stream.write_all(ANSWER);
        }
    });
    Ok(port)
}

/// The same bytes with nothing around them.
fn direct(port: u16) -> Result<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let head = format!(
        "POST /v1/refunds HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nauthorization: Bearer key-of-the-bench\r\n\r\n{BODY}",
        BODY.len()
    );
    stream.write_all(head.as_bytes())?;
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while all.len() < ANSWER.len() {
        let read = stream.read(&mut part)?;
        if read == 0 {
            bail!("it did not answer");
        }
        all.extend_from_slice(&part[..read]);
    }
    Ok(began.elapsed())
}

pub(crate) fn rows(table: &mut Table) -> Result<()> {
    let port = serve()?;
    let target = hop::target(port, "POST /v1/**");
    let text = format!("POST /v1/refunds\ncontent-type: application/json\n\n{BODY}");
    let artifact = Artifact::new(Kind::Http, text.clone().into_bytes())?;
    let effect = analyze::analyze(&artifact, &Catalog::default()).effect;
    let order = Order::Run {
        job: Job { target, kind: Kind::Http, artifact: text, effect, signer: "bench".into(), additions: Vec::new() },
        ceiling_rows: 0,
    };
    let (mut bare, mut ours) = (Times::default(), Times::default());
    for round in 0..REQUESTS {
        let plain = direct(port)?;
        let began = Instant::now();
        let report = perform(&order, b"key-of-the-bench", &mut |_, _| true);
        let took = began.elapsed();
        if !matches!(report, Report::Done { .. }) {
            bail!("it was not sent: {report:?}");
        }
        if round > 9 {
            bare.add(plain);
            ours.add(took);
        }
    }
    let (anchor, limit) = (bare.percentile(0.5), 1e6);
    let added = ours.percentile(0.5) - anchor;
    let shown = format!("{} over {}; p99 {}", time(added), time(anchor), time(ours.percentile(0.99)));
    table.counted(
        "added by an HTTP run to the request alone: 1 ms",
        shown,
        time(limit),
        added / limit,
        Goal::AtMost(1.0),
    );
    Ok(())
}
