//! The desk's end of the guard's socket: a small pool of connections, and one lane on which appends are batched.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use wire::frame::{self, FrameError, MAX_SOCKET_FRAME};
use wire::socket::{Answer, NewEntry, Refused, Request};

/// Connections beside the append lane and the tail.
const CONNECTIONS: usize = 24;
/// Appends waiting for the lane. Above it callers wait, and so do the agents behind them.
const QUEUE: usize = 1024;
/// Most entries carried by one frame.
const BATCH: usize = 128;

/// Why the guard gave no useful answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The guard cannot be reached, or went away. Whether it did what was asked is known only to the log.
    #[error("the guard does not answer; is `wetink guard` running?")]
    Unreachable,
    /// The guard refused.
    #[error("the guard refused: {detail}")]
    Refused {
        /// Why.
        code: Refused,
        /// Its words.
        detail: String,
    },
    /// The guard answered something else than asked.
    #[error("the guard answered out of turn")]
    Protocol,
}

/// Connections to the guard.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    idle: Mutex<Vec<UnixStream>>,
    slots: Semaphore,
    appends: mpsc::Sender<Append>,
}

struct Append {
    entries: Vec<NewEntry>,
    reply: oneshot::Sender<Result<u64, LinkError>>,
}

impl Link {
    /// A link to the guard's desk socket. Connects when first used.
    pub fn new(path: PathBuf) -> Self {
        let (appends, queue) = mpsc::channel(QUEUE);
        let inner = Arc::new(Inner { path, idle: Mutex::new(Vec::new()), slots: Semaphore::new(CONNECTIONS), appends });
        tokio::spawn(append_lane(inner.path.clone(), queue));
        Self { inner }
    }

    /// Sends one request and waits for its answer. Refusals come back as errors.
    ///
    /// A request is sent at most once: after a broken connection nobody here knows whether it was carried out.
    pub async fn ask(&self, request: &Request) -> Result<Answer, LinkError> {
        let _slot = self.inner.slots.acquire().await.map_err(|_| LinkError::Unreachable)?;
        let pooled = self.inner.idle.lock().await.pop();
        // A pooled connection may have been closed by a guard that restarted; that shows before anything is sent.
        let mut stream = match pooled.filter(is_open) {
            Some(stream) => stream,
            None => UnixStream::connect(&self.inner.path).await.map_err(|_| LinkError::Unreachable)?,
        };
        let answer = exchange(&mut stream, request).await?;
        self.inner.idle.lock().await.push(stream);
        refusal(answer)
    }

    /// Appends entries, all or none; answers the index of the first when they are durable.
    pub async fn append(&self, entries: Vec<NewEntry>) -> Result<u64, LinkError> {
        let (reply, answer) = oneshot::channel();
        self.inner.appends.send(Append { entries, reply }).await.map_err(|_| LinkError::Unreachable)?;
        answer.await.map_err(|_| LinkError::Unreachable)?
    }
}

fn is_open(stream: &UnixStream) -> bool {
    let mut byte = [0];
    matches!(stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn refusal(answer: Answer) -> Result<Answer, LinkError> {
    match answer {
        Answer::Refused { code, detail } => Err(LinkError::Refused { code, detail }),
        answer => Ok(answer),
    }
}

async fn exchange(stream: &mut UnixStream, request: &Request) -> Result<Answer, LinkError> {
    let lost = |_| LinkError::Unreachable;
    let bytes = frame::encode(request, MAX_SOCKET_FRAME).map_err(|_| LinkError::Protocol)?;
    stream.write_all(&bytes).await.map_err(lost)?;
    let length = stream.read_u32().await.map_err(lost)? as usize;
    if length > MAX_SOCKET_FRAME {
        return Err(LinkError::Protocol);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(lost)?;
    frame::decode(&body).map_err(|_: FrameError| LinkError::Protocol)
}

/// While one batch is being synced the next one gathers; so the number of syncs falls as load rises, by itself.
async fn append_lane(path: PathBuf, mut queue: mpsc::Receiver<Append>) {
    let mut stream: Option<UnixStream> = None;
    while let Some(first) = queue.recv().await {
        let mut batch = vec![first];
        while batch.iter().map(|a| a.entries.len()).sum::<usize>() < BATCH {
            match queue.try_recv() {
                Ok(next) => batch.push(next),
                Err(_) => break,
            }
        }
        let result = send_batch(&path, &mut stream, &batch).await;
        // One malformed entry refuses the whole frame; then each is tried alone, so that only its own caller is refused.
        if matches!(&result, Err(LinkError::Refused { code: Refused::Malformed, .. })) && batch.len() > 1 {
            for append in batch {
                let result = send_batch(&path, &mut stream, std::slice::from_ref(&append)).await;
                let _ = append.reply.send(result);
            }
            continue;
        }
        let mut offset = 0;
        for append in batch {
            let _ = append.reply.send(result.clone().map(|first| first + offset));
            offset += append.entries.len() as u64;
        }
    }
}

async fn send_batch(path: &PathBuf, stream: &mut Option<UnixStream>, batch: &[Append]) -> Result<u64, LinkError> {
    let entries = batch.iter().flat_map(|a| a.entries.iter().cloned()).collect();
    let mut connection = match stream.take().filter(is_open) {
        Some(open) => open,
        None => UnixStream::connect(path).await.map_err(|_| LinkError::Unreachable)?,
    };
    let answer = exchange(&mut connection, &Request::Append { entries }).await?;
    *stream = Some(connection);
    match refusal(answer)? {
        Answer::Appended { first } => Ok(first),
        _ => Err(LinkError::Protocol),
    }
}
