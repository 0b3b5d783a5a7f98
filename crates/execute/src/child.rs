use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use artifact::Effect;
use artifact::catalog::Catalog;
use wire::frame::{self, FrameError};
use wire::order::{CREDENTIAL_LIMIT, FailCode, Go, Job, ORDER_LIMIT, Order, REPORT_LIMIT, Report};
use wire::target::{Address, Registration};
use zeroize::Zeroizing;

use crate::{confine, mariadb, postgresql, sqlite, sqlite_catalog};

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

/// The whole life of an executor process. Standard input carries the order, standard output the reports.
pub fn main() -> ExitCode {
    confine::first();
    let mut stdin = io::stdin().lock();
    let order: Order = match frame::read(&mut stdin, ORDER_LIMIT) {
        Ok(order) => order,
        // An idle child whose guard closed the pipe was never needed.
        Err(FrameError::Closed) => return ExitCode::SUCCESS,
        Err(_) => return ExitCode::FAILURE,
    };
    let Ok(credential) = frame::read_bytes(&mut stdin, CREDENTIAL_LIMIT).map(Zeroizing::new) else {
        return ExitCode::FAILURE;
    };
    let target = match &order {
        Order::Catalog { target } | Order::Resolve { target, .. } => target,
        Order::Preview { job, .. } | Order::Run { job, .. } => &job.target,
    };
    if let Err(detail) = confine::second(&target.address) {
        drop(stdin);
        return send(&failed(FailCode::NotConfined, &detail));
    }
    let mut commit = |affected: u64, transaction: Option<&str>| {
        let prepared = Report::Prepared { affected, transaction: transaction.map(str::to_owned) };
        let sent = frame::write(&mut io::stdout().lock(), &prepared, REPORT_LIMIT);
        // Anything but a clear yes is a no, a closed pipe too.
        sent.is_ok() && frame::read::<Go>(&mut stdin, 1024).is_ok_and(|go| go.commit)
    };
    let report = perform(&order, &credential, &mut commit);
    // Sending waits on standard input by itself.
    drop(stdin);
    send(&report)
}

fn send(report: &Report) -> ExitCode {
    let mut out = io::stdout().lock();
    let sent = match frame::write(&mut out, report, REPORT_LIMIT) {
        Err(FrameError::TooLarge { .. }) => {
            frame::write(&mut out, &failed(FailCode::BadOrder, "the report is too large"), REPORT_LIMIT)
        }
        other => other,
    };
    // Whoever holds the other end may still be reading what stands in the pipe.
    let _ = out.flush().and_then(|()| io::stdin().lock().read(&mut [0; 1]).map(|_| ()));
    if sent.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
    attempt(order, credential, commit).unwrap_or_else(|report| report)
}

fn attempt(order: &Order, credential: &[u8], commit: &mut Commit<'_>) -> Result<Report, Report> {
    match order {
        Order::Catalog { target } => {
            registered(target)?;
            match &target.address {
                Address::Sqlite { path } => sqlite_catalog::read(path),
                Address::Postgresql { .. } => postgresql::block_on(postgresql::read_catalog(target, credential)),
                Address::Mariadb { .. } => postgresql::block_on(mariadb::read_catalog(target, credential)),
            }
            .map(|catalog| Report::Catalog { catalog: Box::new(catalog) })
        }
        Order::Resolve { target, transaction } => {
            registered(target)?;
            match &target.address {
                // These keep no record of past transactions.
                Address::Sqlite { .. } | Address::Mariadb { .. } => Ok(Report::Resolved { status: None }),
                Address::Postgresql { .. } => {
                    postgresql::block_on(postgresql::resolve(target, credential, transaction))
                }
            }
        }
        Order::Preview { job, sample } => meet(job, Way::Trial { sample: *sample }, credential, commit),
        Order::Run { job, ceiling_rows } => meet(job, Way::Once { ceiling: *ceiling_rows }, credential, commit),
    }
}

fn meet(job: &Job, way: Way, credential: &[u8], commit: &mut Commit<'_>) -> Result<Report, Report> {
    registered(&job.target)?;
    if job.kind != job.target.kind() {
        return Err(failed(FailCode::BadOrder, "the artifact is of another kind than the target takes"));
    }
    match &job.target.address {
        Address::Sqlite { path } => sqlite::run(path, job, way, commit),
        Address::Postgresql { .. } => postgresql::block_on(postgresql::perform(job, credential, way, commit)),
        Address::Mariadb { .. } => postgresql::block_on(mariadb::perform(job, credential, way, commit)),
    }
}
