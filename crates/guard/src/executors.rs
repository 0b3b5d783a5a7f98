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
use wire::target::{Address, Registration, Rights};

/// How executors are started.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// The program, normally this same binary.
    pub program: PathBuf,
    /// Its arguments, normally `["executor"]`.
    pub arguments: Vec<String>,
    /// Children kept waiting.
    pub idle: usize,
    /// Targets that a child is connected to ahead, after a run there.
    pub prepared: usize,
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

/// A child that is connected to a target ahead. It leaves by itself after a minute.
struct Prepared {
    target: Registration,
    child: Waiting,
    until: Instant,
}

/// How long a prepared child is taken; less than it waits, so that it is not met on its way out.
const PREPARED: Duration = Duration::from_secs(50);
/// How long a child may take back what it made, once its report is in.
const PARTING: Duration = Duration::from_secs(5);

struct Pool {
    idle: VecDeque<Waiting>,
    prepared: VecDeque<Prepared>,
    busy: usize,
    closed: bool,
}

/// A child that waits for its order. Its pipes close before it is ended.
pub(crate) struct Waiting {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    child: Ending,
}

/// A child that was told to end. It is ended when this is dropped.
pub(crate) struct Closing {
    pub(crate) stdout: ChildStdout,
    _child: Ending,
}

/// A child that must not outlive its order, whatever it is doing. Killing an ended one does nothing.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Waiting {
    /// Lets a child that has reported, or is not needed, take back what it made at its target, and ends it. `held` is held meanwhile.
    fn part<T: Send + 'static>(self, held: T) {
        let mut closing = self.close();
        std::thread::spawn(move || {
            let mut end = Deadline { from: &mut closing.stdout, until: Instant::now() + PARTING };
            // Its output ends when it does.
            while end.read(&mut [0; 256]).is_ok_and(|read| read > 0) {}
            drop(closing);
            drop(held);
        });
    }

    /// Tells it to end, and listens on.
    pub(crate) fn close(self) -> Closing {
        let Self { stdin, stdout, child } = self;
        drop(stdin);
        Closing { stdout, _child: child }
    }
}

impl Pool {
    fn drop_prepared(&mut self, mut which: impl FnMut(&Prepared) -> bool) {
        let kept = self.prepared.drain(..).filter_map(|prepared| {
            if which(&prepared) {
                prepared.child.part(());
                None
            } else {
                Some(prepared)
            }
        });
        self.prepared = kept.collect();
    }
}

pub(crate) fn start(config: &ExecutorConfig) -> io::Result<Waiting> {
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
    Ok(Waiting { stdin, stdout, child: Ending(child) })
}

impl Executors {
    /// Starts the supply and its first children.
    pub(crate) fn new(config: ExecutorConfig) -> Self {
        let pool = Pool { idle: VecDeque::new(), prepared: VecDeque::new(), busy: 0, closed: false };
        let state = Arc::new(State { pool: Mutex::new(pool), wanted: Condvar::new() });
        let (refill, refill_config) = (Arc::clone(&state), config.clone());
        std::thread::spawn(move || keep_filled(&refill, &refill_config));
        Self { config, state }
    }

    /// Has one child do `order` with `credential`; `lasts`: the credential is the same the next time, so that a child which stays
    /// connected may be used again. `prepared` is asked whether the target may commit, at most once.
    ///
    /// `limit` bounds the whole order. A child that is late is killed; if `prepared` had answered yes by then, the outcome
    /// is unknown, otherwise nothing was committed, since the child commits only after that answer.
    pub(crate) fn run(
        &self,
        order: &Order,
        (credential, lasts): (Option<&Credential>, bool),
        limit: Duration,
        prepared: &mut dyn FnMut(u64, Option<&str>) -> bool,
    ) -> Result<Report, ExecutorError> {
        let slot = Slot::take(&self.state, self.config.busy_max)?;
        let deadline = Instant::now() + limit;
        let mut child = self.hand_over(order, credential)?;
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
                report => {
                    if matches!(order, Order::Run { .. }) && !matches!(report, Report::Failed { .. }) {
                        self.prepare(order.target(), credential);
                    }
                    match &order.target().address {
                        Address::Postgresql { rights: Rights::Minted, .. } => child.part(slot),
                        Address::Http { .. } if lasts && matches!(report, Report::Done { stays: true, .. }) => {
                            self.keep(order.target(), child);
                        }
                        _ => {}
                    }
                    return Ok(report);
                }
            }
        }
    }

    /// Gives the order to a child that is connected already, to one that waits, or to a new one.
    fn hand_over(&self, order: &Order, credential: Option<&Credential>) -> Result<Waiting, ExecutorError> {
        let (prepared, idle) = {
            let mut pool = lock(&self.state.pool);
            let wanted = matches!(order, Order::Run { .. } | Order::Preview { .. });
            let at = pool.prepared.iter().position(|p| wanted && p.target == *order.target());
            let prepared = match at.and_then(|at| pool.prepared.remove(at)) {
                // On its way out by itself: it takes back what it made.
                Some(late) if late.until <= Instant::now() => {
                    late.child.part(());
                    None
                }
                prepared => prepared,
            };
            let idle = if prepared.is_none() { pool.idle.pop_front() } else { None };
            (prepared, idle)
        };
        self.state.wanted.notify_one();
        if let Some(Prepared { mut child, .. }) = prepared
            && frame::write(&mut child.stdin, order, ORDER_LIMIT).is_ok()
        {
            return Ok(child);
        }
        let start = || start(&self.config).map_err(ExecutorError::Start);
        if let Some(mut child) = idle
            && send(&mut child, order, credential).is_ok()
        {
            return Ok(child);
        }
        // An idle child may have been ended from outside. Nothing was ordered, so another one may take its place.
        let mut child = start()?;
        send(&mut child, order, credential)?;
        Ok(child)
    }

    /// Has a waiting child connect to a target where somebody just was. It is a favor: without one nothing is lost but time.
    fn prepare(&self, target: &Registration, credential: Option<&Credential>) {
        // A login that was lent is gone by then.
        let lasts = matches!(target.address, Address::Postgresql { rights, .. } if rights != Rights::Leased);
        if !lasts || self.config.prepared == 0 {
            return;
        }
        let mut pool = lock(&self.state.pool);
        pool.drop_prepared(|p| p.until <= Instant::now());
        if pool.closed || pool.prepared.iter().any(|p| p.target == *target) {
            return;
        }
        let Some(mut child) = pool.idle.pop_front() else { return };
        if send(&mut child, &Order::Prepare { target: target.clone() }, credential).is_ok() {
            drop(pool);
            self.keep(target, child);
        }
        self.state.wanted.notify_one();
    }

    /// Keeps a child that is connected to a target.
    fn keep(&self, target: &Registration, child: Waiting) {
        let mut pool = lock(&self.state.pool);
        pool.drop_prepared(|p| p.until <= Instant::now());
        if pool.closed || self.config.prepared == 0 {
            return;
        }
        if pool.prepared.len() >= self.config.prepared {
            let mut oldest = true;
            pool.drop_prepared(|_| std::mem::take(&mut oldest));
        }
        pool.prepared.push_back(Prepared { target: target.clone(), child, until: Instant::now() + PREPARED });
    }

    /// Ends what is connected ahead with a credential that is another one now.
    pub(crate) fn forget(&self, credential: &str) {
        lock(&self.state.pool).drop_prepared(|p| p.target.credential.as_deref() == Some(credential));
    }

    /// Ends all idle children. Those at work end with their order.
    pub(crate) fn close(&self) {
        let mut pool = lock(&self.state.pool);
        pool.closed = true;
        pool.idle.clear();
        pool.drop_prepared(|_| true);
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
struct Slot(Arc<State>);

impl Slot {
    fn take(state: &Arc<State>, most: usize) -> Result<Self, ExecutorError> {
        let mut pool = lock(&state.pool);
        if pool.busy >= most {
            return Err(ExecutorError::Busy);
        }
        pool.busy += 1;
        Ok(Self(Arc::clone(state)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.0.pool).busy -= 1;
    }
}

/// Reads until a point in time and no longer.
pub(crate) struct Deadline<'a> {
    pub(crate) from: &'a mut ChildStdout,
    pub(crate) until: Instant,
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
