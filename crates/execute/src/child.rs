use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use artifact::Effect;
use artifact::catalog::Catalog;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use wire::frame::{self, FrameError};
use wire::order::{CREDENTIAL_LIMIT, FailCode, Go, ORDER_LIMIT, Order, REPORT_LIMIT, Report};
use wire::target::{Address, Registration};
use zeroize::Zeroizing;

use crate::{confine, http, mail, mariadb, mcp, postgresql, rotate, sqlite, sqlite_catalog};

/// Asked with rows changed and the target's transaction id, while the target holds the change open. True: commit.
pub type Commit<'a> = dyn FnMut(u64, Option<&str>) -> bool + 'a;

/// How a job is run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// Rolled back whatever happens, to learn what it does.
    Trial {
        /// With some of the rows before and after.
        sample: bool,
    },
    /// Committed, if no more rows are changed.
    Once {
        /// Most rows changed.
        ceiling: u64,
    },
}

impl Way {
    pub(crate) const fn is_trial(self) -> bool {
        matches!(self, Self::Trial { .. })
    }
}

/// The whole life of an executor process. Standard input carries the order, standard output the reports.
pub fn main() -> ExitCode {
    confine::first();
    // Not buffered: whether an order has come is asked of the pipe itself.
    let Ok(mut stdin) = io::stdin().as_fd().try_clone_to_owned().map(File::from) else { return ExitCode::FAILURE };
    let mut order: Order = match frame::read(&mut stdin, ORDER_LIMIT) {
        Ok(order) => order,
        // An idle child whose guard closed the pipe was never needed.
        Err(FrameError::Closed) => return ExitCode::SUCCESS,
        Err(_) => return ExitCode::FAILURE,
    };
    let Ok(credential) = frame::read_bytes(&mut stdin, CREDENTIAL_LIMIT).map(Zeroizing::new) else {
        return ExitCode::FAILURE;
    };
    let Some(credential) = order.target_mut().lent(&credential) else {
        drop(stdin);
        return send(&failed(
            FailCode::LoginRefused,
            "the credential is no login that was lent: a name, a line end, a password",
        ));
    };
    if let Err(detail) = confine::second(&order.target().address) {
        drop(stdin);
        return send(&failed(FailCode::NotConfined, &detail));
    }
    let (mut order, mut ready) = match order {
        Order::Prepare { target } => match prepare(&mut stdin, &target, credential) {
            Ok(Some(prepared)) => prepared,
            Ok(None) => return ExitCode::SUCCESS,
            Err(report) => {
                drop(stdin);
                return send(&report);
            }
        },
        order => (order, None),
    };
    let mut service = http::Session::new();
    let (report, leftover) = loop {
        let mut commit = |affected: u64, transaction: Option<&str>| {
            let prepared = Report::Prepared { affected, transaction: transaction.map(str::to_owned) };
            let sent = frame::write(&mut io::stdout().lock(), &prepared, REPORT_LIMIT);
            // Anything but a clear yes is a no, a closed pipe too.
            sent.is_ok() && frame::read::<Go>(&mut stdin, 1024).is_ok_and(|go| go.commit)
        };
        let done = carry_out(&order, credential, ready.take(), &mut service, &mut commit);
        if !service.is_open() {
            break done;
        }
        // Connected still: the guard may have another order for the same target, or ends this process when it likes.
        if tell(&done.0) == ExitCode::FAILURE {
            return ExitCode::FAILURE;
        }
        let Some(next) = next(&mut stdin, order.target()) else { return ExitCode::SUCCESS };
        order = next;
    };
    // Sending waits on standard input by itself.
    drop(stdin);
    let sent = tell(&report);
    if let Some(leftover) = leftover {
        // Nobody waits for this, and it goes on if the guard ends now.
        confine::outlive(true);
        leftover.clean();
    }
    wait();
    sent
}

/// How long a child stays ready for its order.
const READY_MS: u16 = 60_000;

/// Waits for an order at the same target.
fn next(stdin: &mut File, target: &Registration) -> Option<Order> {
    let came = poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], PollTimeout::from(READY_MS));
    let order = match came {
        Ok(1..) => frame::read::<Order>(stdin, ORDER_LIMIT).ok(),
        _ => None,
    };
    order.filter(|order| order.target() == target && !matches!(order, Order::Prepare { .. }))
}

/// Makes the sessions and waits for the order that uses them. None: nobody needs them any more.
fn prepare(
    stdin: &mut File,
    target: &Registration,
    credential: &[u8],
) -> Result<Option<(Order, Option<postgresql::Ready>)>, Report> {
    registered(target)?;
    // What goes wrong now may go right when it counts.
    let mut ready = postgresql::Ready::make(target, credential).ok();
    // A role was made: it is taken back even if the guard is killed meanwhile.
    confine::outlive(true);
    let Some(order) = next(stdin, target) else {
        if let Some(ready) = ready {
            ready.unused();
        }
        return Ok(None);
    };
    confine::outlive(false);
    if let Some(stale) = ready.take_if(|ready| !ready.serves(target)) {
        stale.unused();
    }
    Ok(Some((order, ready)))
}

fn send(report: &Report) -> ExitCode {
    let sent = tell(report);
    wait();
    sent
}

fn tell(report: &Report) -> ExitCode {
    let mut out = io::stdout().lock();
    let sent = match frame::write(&mut out, report, REPORT_LIMIT) {
        Err(FrameError::TooLarge { .. }) => {
            frame::write(&mut out, &failed(FailCode::BadOrder, "the report is too large"), REPORT_LIMIT)
        }
        other => other,
    };
    if sent.is_ok() && out.flush().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whoever holds the other end may still be reading what stands in the pipe.
fn wait() {
    let _ = io::stdin().lock().read(&mut [0; 1]);
}

/// A failure with the target's words made safe to show.
pub(crate) fn failed(code: FailCode, detail: &str) -> Report {
    Report::Failed { code, detail: artifact::visible(&detail.replace(['\n', '\t'], " ")).chars().take(500).collect() }
}

/// Refuses to go on where something that the signed effect touches is not as it was when it was shown.
pub(crate) fn drifted(effect: &Effect, now: &Catalog) -> Result<(), Report> {
    let told = artifact::drift(&effect.shapes, &artifact::shapes(now, effect));
    if told.is_empty() { Ok(()) } else { Err(failed(FailCode::Drifted, &told.join("; "))) }
}

fn registered(target: &Registration) -> Result<(), Report> {
    target.check().map_err(|error| failed(FailCode::BadOrder, &error.to_string()))
}

/// Does one order in this process. `commit` is asked before anything is committed.
pub fn perform(order: &Order, credential: &[u8], commit: &mut Commit<'_>) -> Report {
    perform_with(order, credential, None, commit, &mut |_| {})
}

/// The same, in sessions made before. `told` hears the report before anything is taken back at the target.
pub fn perform_with(
    order: &Order,
    credential: &[u8],
    ready: Option<Ready>,
    commit: &mut Commit<'_>,
    told: &mut dyn FnMut(&Report),
) -> Report {
    let ready = ready.map(|ready| ready.0);
    let (report, leftover) = carry_out(order, credential, ready, &mut http::Session::new(), commit);
    told(&report);
    if let Some(leftover) = leftover {
        leftover.clean();
    }
    report
}

/// Requests to one service in this process, over a connection that stays.
pub struct Requests(http::Session);

impl Default for Requests {
    fn default() -> Self {
        Self(http::Session::new())
    }
}

impl Requests {
    /// Does one order. All have to be of one target, with one credential.
    pub fn perform(&mut self, order: &Order, credential: &[u8], commit: &mut Commit<'_>) -> Report {
        carry_out(order, credential, None, &mut self.0, commit).0
    }
}

/// Sessions made before their order comes.
pub struct Ready(postgresql::Ready);

impl Ready {
    /// Makes them.
    pub fn make(target: &Registration, credential: &[u8]) -> Result<Self, Report> {
        registered(target)?;
        postgresql::Ready::make(target, credential).map(Self)
    }
}

fn carry_out(
    order: &Order,
    credential: &[u8],
    ready: Option<postgresql::Ready>,
    service: &mut http::Session,
    commit: &mut Commit<'_>,
) -> (Report, Option<postgresql::Leftover>) {
    let mut leftover = None;
    let report = attempt(order, credential, ready, (&mut leftover, service), commit).unwrap_or_else(|report| report);
    (report, leftover)
}

fn attempt(
    order: &Order,
    credential: &[u8],
    ready: Option<postgresql::Ready>,
    (leftover, service): (&mut Option<postgresql::Leftover>, &mut http::Session),
    commit: &mut Commit<'_>,
) -> Result<Report, Report> {
    let (job, way) = match order {
        Order::Preview { job, sample } => (job, Way::Trial { sample: *sample }),
        Order::Run { job, ceiling_rows } => (job, Way::Once { ceiling: *ceiling_rows }),
        other => {
            if let Some(ready) = ready {
                ready.unused();
            }
            return ask(other, credential);
        }
    };
    let fits = registered(&job.target).and_then(|()| {
        if job.kind == job.target.kind() {
            Ok(())
        } else {
            Err(failed(FailCode::BadOrder, "the artifact is of another kind than the target takes"))
        }
    });
    if let Err(report) = fits {
        if let Some(ready) = ready {
            ready.unused();
        }
        return Err(report);
    }
    match &job.target.address {
        Address::Sqlite { path } => sqlite::run(path, job, way, commit),
        Address::Postgresql { .. } => {
            let done;
            (done, *leftover) = match ready {
                Some(ready) => ready.perform(job, credential, way, commit),
                None => postgresql::perform(job, credential, way, commit),
            };
            done
        }
        Address::Mariadb { .. } => postgresql::block_on(mariadb::perform(job, credential, way, commit)),
        Address::Http { .. } => service.perform(job, credential, way, commit),
        Address::Mcp { .. } => postgresql::block_on(mcp::perform(job, credential, way, commit)),
        Address::Mail { .. } => postgresql::block_on(mail::perform(job, credential, way, commit)),
    }
}

/// What is asked of a target without an artifact.
fn ask(order: &Order, credential: &[u8]) -> Result<Report, Report> {
    let target = order.target();
    registered(target)?;
    match order {
        Order::Catalog { .. } => match &target.address {
            Address::Sqlite { path } => sqlite_catalog::read(path),
            Address::Postgresql { .. } => postgresql::block_on(postgresql::read_catalog(target, credential)),
            Address::Mariadb { .. } => postgresql::block_on(mariadb::read_catalog(target, credential)),
            // A service has no schema to compare; its description is for people.
            Address::Http { openapi, .. } => {
                openapi.as_deref().map_or_else(|| Ok(Catalog::default()), crate::openapi::read)
            }
            Address::Mcp { .. } => postgresql::block_on(mcp::read_catalog(target, credential)),
            Address::Mail { .. } => postgresql::block_on(mail::read_catalog(target, credential)),
        }
        .map(|catalog| Report::Catalog { catalog: Box::new(catalog) }),
        Order::Resolve { transaction, .. } => match &target.address {
            // These keep no record of past transactions.
            Address::Sqlite { .. }
            | Address::Mariadb { .. }
            | Address::Http { .. }
            | Address::Mcp { .. }
            | Address::Mail { .. } => Ok(Report::Resolved { status: None }),
            Address::Postgresql { .. } => postgresql::block_on(postgresql::resolve(target, credential, transaction)),
        },
        Order::Rotate { .. } => rotate::perform(target, credential),
        Order::Prepare { .. } | Order::Preview { .. } | Order::Run { .. } => {
            Err(failed(FailCode::BadOrder, "this order is not a question"))
        }
    }
}
