//! SQLite: one file, one statement, in one transaction.

use std::time::{Duration, Instant};

use reading::bound::{self, Parameter, ParameterType};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};
use wire::order::{FailCode, Job, RESULT_BYTES_MAX, Report, ResultColumn, ResultSet};

use crate::child::{Commit, Way, drifted, failed};
use crate::sqlite_catalog;
use crate::sqlite_image::Listener;
use crate::sqlite_lock::{self, Refusals};

/// How long another writer's lock is waited for.
const BUSY: Duration = Duration::from_secs(2);
/// Virtual machine steps between two looks at the clock.
const STEPS: i32 = 10_000;

/// Opens the file as it is: never made, no URI, nothing loaded, definitions in it not trusted.
pub(crate) fn open(path: &str, read_only: bool) -> Result<Connection, Report> {
    let mode = if read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let unreachable = |error: rusqlite::Error| {
        failed(FailCode::TargetUnreachable, &format!("the SQLite file cannot be opened: {error}"))
    };
    let db = Connection::open_with_flags(path, flags).map_err(unreachable)?;
    db.busy_timeout(BUSY).map_err(unreachable)?;
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;")
        .map_err(unreachable)?;
    db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(unreachable)?;
    Ok(db)
}

/// Runs the job. A trial is rolled back whatever happens.
pub(crate) fn run(path: &str, job: &Job, way: Way, commit: &mut Commit<'_>) -> Result<Report, Report> {
    let read_only = job.effect.is_read_only();
    let db = open(path, read_only)?;
    let began = Instant::now();
    let until = began + Duration::from_millis(job.target.statement_timeout_ms);
    db.progress_handler(STEPS, Some(move || Instant::now() > until)).map_err(|error| map(&error, None))?;
    db.execute_batch(if read_only { "BEGIN" } else { "BEGIN IMMEDIATE" }).map_err(|error| map(&error, None))?;
    drifted(&job.effect, &sqlite_catalog::now(&db, &job.effect).map_err(|error| map(&error, None))?)?;
    // Counted before the statement changes it; only a trial needs the number.
    let of = if matches!(way, Way::Trial { .. }) { count_of_written(&db, job) } else { None };
    let listener = Listener::new(&db, job).map_err(|error| map(&error, None))?;
    // Locked only now: the lock refuses transaction statements too, so the artifact cannot end ours.
    let refusals = sqlite_lock::lock(&db, &job.effect).map_err(|error| map(&error, None))?;
    let outcome = execute(&db, job, &refusals);
    let unlocked = db.authorizer(None::<fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization>);
    let done = outcome.and_then(|done| unlocked.map(|()| done).map_err(|error| map(&error, None)));
    let (affected, result) = match done {
        Ok(done) => done,
        Err(report) => {
            let _ = db.execute_batch("ROLLBACK");
            return Err(report);
        }
    };
    let ceiling = match way {
        Way::Once { ceiling } => ceiling,
        Way::Trial { sample } => {
            db.execute_batch("ROLLBACK").map_err(|error| map(&error, None))?;
            let sample = if sample { listener.sample(job) } else { None };
            return Ok(Report::Preview { rows: if read_only { result.total_rows } else { affected }, of, sample });
        }
    };
    if affected > ceiling {
        let _ = db.execute_batch("ROLLBACK");
        return Err(failed(
            FailCode::CeilingExceeded,
            &format!("{affected} rows would have changed, {ceiling} were signed; rolled back"),
        ));
    }
    let elapsed = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    if read_only {
        let elapsed_ms = elapsed();
        let _ = db.execute_batch("ROLLBACK");
        return Ok(Report::Done { affected: 0, result, elapsed_ms, undo: None, stays: false });
    }
    let elapsed_ms = elapsed();
    if !commit(affected, None) {
        let _ = db.execute_batch("ROLLBACK");
        return Err(failed(FailCode::Withdrawn, "the guard said no at the last moment; rolled back"));
    }
    // The time limit was for the statement; a commit that has begun is let finish.
    let _ = db.progress_handler(0, None::<fn() -> bool>);
    match db.execute_batch("COMMIT") {
        Ok(()) => Ok(Report::Done { affected, result, elapsed_ms, undo: listener.undo(), stays: false }),
        Err(error) if db.execute_batch("ROLLBACK").is_ok() => Err(map(&error, None)),
        Err(error) => Err(failed(FailCode::OutcomeUnknown, &error.to_string())),
    }
}

fn execute(db: &Connection, job: &Job, refusals: &Refusals) -> Result<(u64, ResultSet), Report> {
    let fail = |error: rusqlite::Error| map(&error, refusals.first());
    let mut statement = db.prepare(&job.artifact).map_err(fail)?;
    bind(&mut statement, &job.artifact)?;
    if job.effect.is_read_only() && !statement.readonly() {
        return Err(failed(FailCode::BeyondEffect, "the engine says that this statement writes"));
    }
    let before = db.total_changes();
    let result = collect(&mut statement, job).map_err(fail)?;
    drop(statement);
    if db.is_autocommit() {
        return Err(failed(FailCode::OutcomeUnknown, "the statement ended the transaction"));
    }
    Ok((db.total_changes() - before, result))
}

/// Puts the values into the statement. Days, moments and the like are text to SQLite.
fn bind(statement: &mut Statement<'_>, artifact: &str) -> Result<(), Report> {
    let bad = |detail: &str| failed(FailCode::BadOrder, detail);
    let parameters = bound::read(artifact).map_err(|error| bad(&error.to_string()))?.parameters;
    if statement.parameter_count() != parameters.len() {
        return Err(bad("the statement has parameters without values, or values without parameters"));
    }
    for (number, Parameter { of, value }) in (1..).zip(parameters) {
        let unreadable = || bad("a parameter's value is not of its type");
        let value = match (of, value) {
            (_, None) => Value::Null,
            (ParameterType::Integer, Some(text)) => Value::Integer(text.parse().map_err(|_| unreadable())?),
            (ParameterType::Boolean, Some(text)) => Value::Integer(i64::from(text == "true")),
            (ParameterType::Double, Some(text)) => Value::Real(text.parse().map_err(|_| unreadable())?),
            (ParameterType::Bytes, Some(text)) => Value::Blob(bytes(&text).ok_or_else(unreadable)?),
            (ParameterType::Numeric, Some(_)) => return Err(bad("SQLite has no type numeric")),
            (
                ParameterType::Text | ParameterType::Date | ParameterType::Timestamp | ParameterType::Uuid,
                Some(text),
            ) => Value::Text(text),
        };
        statement.raw_bind_parameter(number, value).map_err(|error| map(&error, None))?;
    }
    Ok(())
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn collect(statement: &mut Statement<'_>, job: &Job) -> rusqlite::Result<ResultSet> {
    let columns: Vec<ResultColumn> = statement
        .columns_with_metadata()
        .iter()
        .map(|column| ResultColumn {
            name: column.name().to_owned(),
            origin: match (column.database_name(), column.table_name(), column.origin_name()) {
                (Some(db), Some(table), Some(name)) => Some(format!("{db}.{table}.{name}")),
                _ => None,
            },
        })
        .collect();
    let width = columns.len();
    let most = usize::try_from(job.target.result_rows_max).unwrap_or(usize::MAX);
    let (mut kept, mut bytes, mut total) = (Vec::new(), 0_usize, 0_u64);
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        total += 1;
        if kept.len() >= most || bytes >= RESULT_BYTES_MAX {
            continue;
        }
        let mut cells = Vec::with_capacity(width);
        for index in 0..width {
            let cell = text(row.get_ref(index)?, RESULT_BYTES_MAX);
            bytes += cell.as_ref().map_or(1, String::len);
            cells.push(cell);
        }
        kept.push(cells);
    }
    Ok(ResultSet { columns, rows: kept, total_rows: total })
}

/// A cell as text: numbers as SQLite writes them, blobs as `x'..'`, text that is not UTF-8 with replacement characters.
fn text(value: ValueRef<'_>, most: usize) -> Option<String> {
    use std::fmt::Write as _;
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned()),
        ValueRef::Blob(bytes) => {
            let mut out = "x'".to_owned();
            for byte in bytes.iter().take(most / 2) {
                let _ = write!(out, "{byte:02x}");
            }
            out.push('\'');
            Some(out)
        }
    }
}

/// Rows in the one relation that is written, for "37 of 5,311".
fn count_of_written(db: &Connection, job: &Job) -> Option<u64> {
    use artifact::effect::Verb;
    let mut written = job.effect.relations.iter().filter(|r| r.verbs.iter().any(|v| *v > Verb::Read));
    let (Some(one), None) = (written.next(), written.next()) else { return None };
    let (schema, table) = one.name.split_once('.')?;
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let sql = format!("SELECT count(*) FROM {}.{}", quote(schema), quote(table));
    let count: i64 = db.query_row(&sql, [], |row| row.get(0)).ok()?;
    u64::try_from(count).ok()
}

/// An error of the engine as a report.
pub(crate) fn map(error: &rusqlite::Error, refused: Option<String>) -> Report {
    if let Some(what) = refused {
        return failed(FailCode::BeyondEffect, &format!("beyond the signed effect: {what}"));
    }
    let code = match error {
        rusqlite::Error::MultipleStatement => FailCode::NotOneStatement,
        rusqlite::Error::SqliteFailure(inner, _) => match inner.code {
            ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly => FailCode::BeyondEffect,
            ErrorCode::OperationInterrupted => FailCode::TimedOut,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => FailCode::Locked,
            ErrorCode::CannotOpen | ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => FailCode::TargetUnreachable,
            _ => FailCode::StatementFailed,
        },
        _ => FailCode::StatementFailed,
    };
    failed(code, &error.to_string())
}
