//! Children that meet targets so that the guard does not have to.
//!
//! A child is started ahead, waits for one order, does it, and ends. It gets the order and the credential over a pipe that
//! nobody else holds; it has no environment, no other open file, and no way back but length-prefixed reports that are
//! bounded in size, number and time.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vault::Credential;
use wire::frame::{self, FrameError};
use wire::order::{FailCode, Go, ORDER_LIMIT, Order, REPORT_LIMIT, Report};

/// How executors are started.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// The program, normally this same binary.
    pub program: PathBuf,
    /// Its arguments, normally `["executor"]`.
    pub arguments: Vec<String>,
    /// Children kept waiting.
    pub idle: usize,
    /// Children at work at once; above it a run is refused as busy.
    pub busy_max: usize,
}

/// Why an order brought no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecutorError {
    /// Too many at work.
    #[error("too many runs at once; try again in a moment")]
    Busy,
    /// The child could not be started.
    #[error("the executor could not be started: {0}")]
    Start(#[source] io::Error),
    /// The child ended, broke the protocol, or took too long. Whether it reached the target is for the caller to judge by
    /// how far it had come.
    #[error("the executor gave no answer: {0}")]
    Lost(#[from] FrameError),
}

/// A supply of executors.
pub(crate) struct Executors {
    config: ExecutorConfig,
    state: Arc<State>,
}

struct State {
    pool: Mutex<Pool>,
    wanted: Condvar,
}

struct Pool {
    idle: VecDeque<Waiting>,
    busy: usize,
    closed: bool,
}

/// A child that waits for its order.
struct Waiting {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // A child must not outlive its order, whatever it is doing; killing an ended one does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(config: &ExecutorConfig) -> io::Result<Waiting> {
    let mut child = Command::new(&config.program)
        .args(&config.arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("the child has no pipes"));
    };
    Ok(Waiting { child, stdin, stdout })
}

impl Executors {
    /// Starts the supply and its first children.
    pub(crate) fn new(config: ExecutorConfig) -> Self {
        let pool = Pool { idle: VecDeque::new(), busy: 0, closed: false };
        let state = Arc::new(State { pool: Mutex::new(pool), wanted: Condvar::new() });
        let (refill, refill_config) = (Arc::clone(&state), config.clone());
        std::thread::spawn(move || keep_filled(&refill, &refill_config));
        Self { config, state }
    }

    /// Has one child do `order` with `credential`. `prepared` is asked whether the target may commit, at most once.
    ///
    /// `limit` bounds the whole order. A child that is late is killed; if `prepared` had answered yes by then, the outcome
    /// is unknown, otherwise nothing was committed, since the child commits only after that answer.
    pub(crate) fn run(
        &self,
        order: &Order,
        credential: Option<&Credential>,
        limit: Duration,
        prepared: &mut dyn FnMut(u64, Option<&str>) -> bool,
    ) -> Result<Report, ExecutorError> {
        let _slot = Slot::take(&self.state, self.config.busy_max)?;
        let ready = lock(&self.state.pool).idle.pop_front();
        self.state.wanted.notify_one();
        let mut child = match ready {
            Some(child) => child,
            None => start(&self.config).map_err(ExecutorError::Start)?,
        };
        let deadline = Instant::now() + limit;
        if send(&mut child, order, credential).is_err() {
            // An idle child may have been ended from outside. Nothing was ordered, so another one may take its place.
            child = start(&self.config).map_err(ExecutorError::Start)?;
            send(&mut child, order, credential)?;
        }
        let mut asked = false;
        loop {
            let mut reader = Deadline { from: &mut child.stdout, until: deadline };
            let body = frame::read_bytes(&mut reader, REPORT_LIMIT)?;
            match frame::decode(&body)? {
                Report::Prepared { affected, transaction } if !asked => {
                    asked = true;
                    let commit = prepared(affected, transaction.as_deref());
                    frame::write(&mut child.stdin, &Go { commit }, 1024)?;
                }
                Report::Prepared { .. } => {
                    return Ok(Report::Failed { code: FailCode::BadOrder, detail: "the executor asked twice".into() });
                }
                report => return Ok(report),
            }
        }
    }

    /// Ends all idle children. Those at work end with their order.
    pub(crate) fn close(&self) {
        let mut pool = lock(&self.state.pool);
        pool.closed = true;
        pool.idle.clear();
        self.state.wanted.notify_all();
    }
}

impl Drop for Executors {
    fn drop(&mut self) {
        self.close();
    }
}

fn send(child: &mut Waiting, order: &Order, credential: Option<&Credential>) -> Result<(), FrameError> {
    frame::write(&mut child.stdin, order, ORDER_LIMIT)?;
    match credential {
        Some(credential) => credential.write_to(&mut child.stdin)?,
        None => child.stdin.write_all(&0_u32.to_be_bytes())?,
    }
    child.stdin.flush()?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starting takes a few milliseconds; this thread takes them before a person waits.
fn keep_filled(state: &State, config: &ExecutorConfig) {
    loop {
        {
            let mut pool = lock(&state.pool);
            while !pool.closed && pool.idle.len() >= config.idle {
                pool = state.wanted.wait(pool).unwrap_or_else(PoisonError::into_inner);
            }
            if pool.closed {
                return;
            }
        }
        match start(config) {
            Ok(child) => {
                let mut pool = lock(&state.pool);
                if pool.closed {
                    return;
                }
                pool.idle.push_back(child);
            }
            // The next run tries by itself and reports the error to a person.
            Err(_) => std::thread::sleep(Duration::from_secs(1)),
        }
    }
}

/// Counts one child at work.
struct Slot<'a>(&'a State);

impl<'a> Slot<'a> {
    fn take(state: &'a State, most: usize) -> Result<Self, ExecutorError> {
        let mut pool = lock(&state.pool);
        if pool.busy >= most {
            return Err(ExecutorError::Busy);
        }
        pool.busy += 1;
        Ok(Self(state))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        lock(&self.0.pool).busy -= 1;
    }
}

/// Reads until a point in time and no longer.
struct Deadline<'a> {
    from: &'a mut ChildStdout,
    until: Instant,
}

impl Read for Deadline<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let wait = PollTimeout::try_from(left.min(Duration::from_mins(1)) + Duration::from_millis(1))
                .unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, wait) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return self.from.read(into),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
