//! A closed-loop load generator: each caller has one connection and sends its next request when the last is answered.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::measure::Times;

/// Largest answer taken.
const ANSWER_MAX: usize = 32 << 20;

/// An answer.
pub(crate) struct Reply {
    /// HTTP status.
    pub(crate) status: u16,
    /// Body.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The body, if the status is a good one.
    pub(crate) fn good(self) -> Result<Vec<u8>> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        bail!("answered {}: {}", self.status, String::from_utf8_lossy(&self.body).chars().take(300).collect::<String>())
    }
}

/// One kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to `http://host:port`.
    pub(crate) async fn open(base: &str) -> Result<Self> {
        let host = base.strip_prefix("http://").context("only plain HTTP is spoken here")?.trim_end_matches('/');
        let port: u16 = host.rsplit(':').next().context("no port")?.parse()?;
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: host.to_owned(), buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request with these header lines and reads the whole answer.
    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Reply> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n{headers}", self.host).into_bytes();
        if method == "POST" {
            request.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        self.buffer.clear();
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).context("no status line")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let Some(length) = length else { bail!("an answer without a length: {head}") };
        let length: usize = length.trim().parse()?;
        while self.buffer.len() < end + length {
            self.more().await?;
        }
        Ok(Reply { status, body: self.buffer[end..end + length].to_vec() })
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 || self.buffer.len() > ANSWER_MAX {
            bail!("the connection ended early");
        }
        Ok(())
    }
}

/// One request of a caller: path, header lines, body.
pub(crate) struct Ask {
    /// Path.
    pub(crate) path: &'static str,
    /// Header lines, each with its line end.
    pub(crate) headers: String,
    /// Body.
    pub(crate) body: Vec<u8>,
}

/// What a load did.
pub(crate) struct Done {
    /// Times of the good answers.
    pub(crate) times: Times,
    /// Good answers a second, all callers together.
    pub(crate) a_second: f64,
    /// Refusals. Not among the times: they are quick and would flatter.
    pub(crate) refused: u64,
}

/// POSTs from that many callers for that long.
pub(crate) async fn post(
    base: &str,
    callers: usize,
    time: Duration,
    next: impl Fn() -> Result<Ask> + Clone + Send + 'static,
) -> Result<Done> {
    let mut tasks = Vec::with_capacity(callers);
    let start = Instant::now();
    for _ in 0..callers {
        let (base, next) = (base.to_owned(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&base).await?;
            let (mut times, mut refused) = (Times::default(), 0);
            while start.elapsed() < time {
                let ask = next()?;
                let before = Instant::now();
                let reply = connection.send("POST", ask.path, &ask.headers, &ask.body).await?;
                match reply.status {
                    200..300 => times.add(before.elapsed()),
                    // Busy, for one reason or another. Everything else is a mistake of this program.
                    429 | 503 => refused += 1,
                    _ => drop(reply.good()?),
                }
            }
            anyhow::Ok((times, refused))
        }));
    }
    let (mut times, mut refused) = (Times::default(), 0);
    for task in tasks {
        let (of_caller, refused_caller) = task.await??;
        times.join(&of_caller);
        refused += refused_caller;
    }
    let a_second = times.len() as f64 / start.elapsed().as_secs_f64();
    Ok(Done { times, a_second, refused })
}
