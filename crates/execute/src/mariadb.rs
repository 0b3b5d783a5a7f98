//! MariaDB and MySQL: one connection, one statement, in one transaction where the server has one.
//!
//! The bytes are prepared first, where the server itself refuses more than one statement, and then run as they are, so that
//! every value comes back in the server's own rendering. Between the two nothing changes that they mean: the session's
//! settings are pinned.

mod catalog;
mod image;
mod mint;
mod opinion;
mod session;

use std::time::Instant;

use artifact::effect::Verb;
use futures_util::TryStreamExt as _;
use reading::bound::{self, Parameter, ParameterType};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{
    AssertSqlSafe, Column as _, Either, Executor as _, Row as _, SqlSafeStr as _, Statement as _, ValueRef as _,
};
use wire::order::{FailCode, Job, RESULT_BYTES_MAX, Report, ResultColumn, ResultSet};
use wire::target::{Address, Registration, Rights};

use crate::child::{Commit, Way, drifted, failed};
use image::{Changed, Reader};
use mint::Minted;
use session::{literal, login, map, not_ours, quote, run, strings};

pub(crate) use catalog::read as read_catalog;

/// Whether the login opens with this password.
pub(crate) async fn opens(target: &Registration, password: &[u8]) -> Result<(), Report> {
    let Address::Mariadb { login, .. } = &target.address else { return Err(not_ours()) };
    session::open(target, login, password).await.map(|_| ())
}

/// Gives the login a new password, and sees that it opens with it; if not, it keeps the one it had.
pub(crate) async fn rotate(target: &Registration, old: &[u8], new: &[u8]) -> Result<(), Report> {
    let Address::Mariadb { login, .. } = &target.address else { return Err(not_ours()) };
    let mut db = session::open(target, login, old).await?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| failed(FailCode::BadOrder, "the password is no text"));
    let change = |password: &str| format!("SET PASSWORD = '{}'", mint::stored(password));
    session::run(&mut db, &change(text(new)?)).await?;
    if let Err(report) = opens(target, new).await {
        session::run(&mut db, &change(text(old)?)).await?;
        return Err(report);
    }
    Ok(())
}

/// Runs the job with the registered login's rights, or as a user minted for it.
pub(crate) async fn perform(job: &Job, credential: &[u8], way: Way, commit: &mut Commit<'_>) -> Result<Report, Report> {
    let Address::Mariadb { rights, .. } = &job.target.address else { return Err(not_ours()) };
    if matches!(way, Way::Trial { .. }) && job.effect.commits_itself {
        return Err(failed(FailCode::BadOrder, "the server commits this by itself; there is no trial of it"));
    }
    match rights {
        Rights::Login => {
            let mut reader = Reader::Login { credential, session: None };
            let done = attempt(&mut login(&job.target, credential).await?, job, way, &mut reader, commit).await;
            reader.close().await;
            done
        }
        Rights::MintedIfPossible | Rights::Leased => {
            Err(failed(FailCode::BadOrder, "the order leaves open with which rights it runs"))
        }
        Rights::Minted => {
            let mut minted = Minted::make(job, credential).await?;
            let done = async {
                let mut db = minted.connect(job).await?;
                attempt(&mut db, job, way, &mut Reader::Minter(&mut minted), commit).await
            };
            let done = done.await;
            minted.drop().await;
            done
        }
    }
}

async fn attempt(
    db: &mut MySqlConnection,
    job: &Job,
    way: Way,
    reader: &mut Reader<'_>,
    commit: &mut Commit<'_>,
) -> Result<Report, Report> {
    let read_only = job.effect.is_read_only();
    let began = Instant::now();
    let sql = prepared(db, job).await?;
    if !job.effect.shapes.is_empty() {
        drifted(&job.effect, &catalog::now(db, &job.effect).await?)?;
    }
    if job.effect.commits_itself {
        // Nothing holds it once it has begun, so the guard's word comes first.
        if !commit(0, None) {
            return Err(failed(FailCode::Withdrawn, "the guard said no at the last moment"));
        }
        let (affected, result) = collect(db, job, &sql.text).await?;
        let _ = run(db, "COMMIT").await;
        return Ok(Report::Done { affected, result, elapsed_ms: elapsed(began), undo: None, stays: false });
    }
    let of = if matches!(way, Way::Trial { .. }) { count_of_written(db, job).await } else { None };
    run(db, if read_only { "START TRANSACTION READ ONLY" } else { "START TRANSACTION READ WRITE" }).await?;
    if job.target.rights() == Some(Rights::Login) {
        opinion::hold(db, &job.artifact, &sql.using, &job.effect).await?;
    }
    let before = changes(db).await?;
    let (affected, result) = collect(db, job, &sql.text).await?;
    if strings(db, "SELECT @@in_transaction").await? != ["1"] {
        return Err(failed(FailCode::OutcomeUnknown, "the statement ended the transaction"));
    }
    let told = if read_only { 0 } else { changes(db).await?.saturating_sub(before) };
    let changed = if read_only { 0 } else { affected.max(told) };
    let ceiling = match way {
        Way::Once { ceiling } => ceiling,
        Way::Trial { sample } => {
            let sampled = if sample && !read_only { Changed::read(reader, job, None).await } else { None };
            run(db, "ROLLBACK").await?;
            let rows = if read_only { result.total_rows } else { changed };
            return Ok(Report::Preview { rows, of, sample: sampled.map(|changed| changed.images().sample()) });
        }
    };
    if read_only {
        run(db, "ROLLBACK").await?;
        return Ok(Report::Done { affected: 0, result, elapsed_ms: elapsed(began), undo: None, stays: false });
    }
    if changed > ceiling {
        let _ = run(db, "ROLLBACK").await;
        return Err(failed(
            FailCode::CeilingExceeded,
            &format!("{changed} rows would have changed, {ceiling} were signed; rolled back"),
        ));
    }
    let elapsed_ms = elapsed(began);
    let undo = Changed::read(reader, job, Some(told)).await.and_then(|changed| changed.inverse());
    if !commit(changed, None) {
        let _ = run(db, "ROLLBACK").await;
        return Err(failed(FailCode::Withdrawn, "the guard said no at the last moment; rolled back"));
    }
    match run(db, "COMMIT").await {
        Ok(()) => Ok(Report::Done { affected: changed, result, elapsed_ms, undo, stays: false }),
        // The connection broke while committing, or the server refused; it keeps no record to ask.
        Err(Report::Failed { detail, .. }) => Err(failed(FailCode::OutcomeUnknown, &detail)),
        Err(other) => Err(other),
    }
}

fn elapsed(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Rows written by this session so far, as the storage engines were told, triggers included. Rows that foreign keys change
/// are the engine's own affair and not in it; the page says so.
async fn changes(db: &mut MySqlConnection) -> Result<u64, Report> {
    let sql = "SELECT CAST(SUM(VARIABLE_VALUE) AS CHAR) FROM information_schema.SESSION_STATUS
               WHERE VARIABLE_NAME IN ('HANDLER_WRITE', 'HANDLER_UPDATE', 'HANDLER_DELETE')";
    let counted = strings(db, sql).await?;
    let counted = counted.first().and_then(|n| n.split('.').next()?.parse().ok());
    counted.ok_or_else(|| failed(FailCode::StatementFailed, "the server does not count changed rows"))
}

/// What is to be run.
struct Prepared {
    text: String,
    /// The variables that carry the values.
    using: Vec<String>,
}

/// Has the server see that it is one statement. Gives the text to run: the artifact itself, or, where it has values, a call of
/// it with them. The artifact cannot name the variables that carry them.
async fn prepared(db: &mut MySqlConnection, job: &Job) -> Result<Prepared, Report> {
    let bound = bound::read(&job.artifact).map_err(|error| failed(FailCode::BadOrder, &error.to_string()))?;
    let sql = AssertSqlSafe(job.artifact.clone()).into_sql_str();
    let seen = db.prepare(sql).await.map_err(|error| map(&error))?;
    let wanted = seen.parameters().map_or(0, |parameters| parameters.either(<[_]>::len, |count| count));
    if wanted != bound.parameters.len() {
        let detail = "the statement has parameters without values, or values without parameters";
        return Err(failed(FailCode::BadOrder, detail));
    }
    if bound.parameters.is_empty() {
        return Ok(Prepared { text: job.artifact.clone(), using: vec![] });
    }
    let (mut set, mut using) = (Vec::new(), Vec::new());
    for (number, parameter) in (1..).zip(&bound.parameters) {
        set.push(format!("@wetink_{number} = {}", value(parameter)));
        using.push(format!("@wetink_{number}"));
    }
    run(db, &format!("SET {}", set.join(", "))).await?;
    run(db, &format!("PREPARE wetink_bound FROM {}", literal(&job.artifact))).await?;
    Ok(Prepared { text: format!("EXECUTE wetink_bound USING {}", using.join(", ")), using })
}

fn value(parameter: &Parameter) -> String {
    let Some(text) = &parameter.value else { return "NULL".to_owned() };
    let cast = |to: &str| format!("CAST({} AS {to})", literal(text));
    match parameter.of {
        // Checked to be a number before it got here.
        ParameterType::Integer => cast("SIGNED"),
        ParameterType::Numeric => {
            let digits = |part: &str| part.bytes().filter(u8::is_ascii_digit).count();
            let scale = text.split_once('.').map_or(0, |(_, fraction)| digits(fraction));
            cast(&format!("DECIMAL({}, {scale})", digits(text)))
        }
        ParameterType::Double => cast("DOUBLE"),
        ParameterType::Boolean => text.to_uppercase(),
        ParameterType::Text | ParameterType::Uuid => literal(text),
        ParameterType::Date => cast("DATE"),
        // The session's time zone is UTC, and no type of the server keeps an offset.
        ParameterType::Timestamp => {
            format!("CAST({} AS DATETIME(6))", literal(&bound::in_utc(text).unwrap_or_default()))
        }
        ParameterType::Bytes => format!("x'{text}'"),
    }
}

async fn collect(db: &mut MySqlConnection, job: &Job, sql: &str) -> Result<(u64, ResultSet), Report> {
    let most = usize::try_from(job.target.result_rows_max).unwrap_or(usize::MAX);
    let (mut result, mut affected, mut bytes) = (ResultSet::default(), 0_u64, 0_usize);
    let writes = !job.effect.is_read_only();
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_many(db);
    while let Some(item) = stream.try_next().await.map_err(|error| map(&error))? {
        match item {
            Either::Left(done) => affected += if writes { done.rows_affected() } else { 0 },
            Either::Right(row) => {
                if result.total_rows == 0 {
                    result.columns = columns(&row);
                }
                result.total_rows += 1;
                if result.rows.len() >= most || bytes >= RESULT_BYTES_MAX {
                    continue;
                }
                let mut cells = Vec::with_capacity(row.len());
                for index in 0..row.len() {
                    let cell = cell(&row, index)?;
                    bytes += cell.as_ref().map_or(1, String::len);
                    cells.push(cell);
                }
                result.rows.push(cells);
            }
        }
    }
    Ok((affected, result))
}

/// Columns with the relation they come from, as the protocol names it.
fn columns(row: &MySqlRow) -> Vec<ResultColumn> {
    let describe = |column: &sqlx::mysql::MySqlColumn| {
        let origin = match column.origin() {
            sqlx::ColumnOrigin::Table(table) => Some(format!("{}.{}", table.table, table.name)),
            _ => None,
        };
        ResultColumn { name: column.name().to_owned(), origin }
    };
    row.columns().iter().map(describe).collect()
}

fn cell(row: &MySqlRow, index: usize) -> Result<Option<String>, Report> {
    let value = row.try_get_raw(index).map_err(|error| map(&error))?;
    if value.is_null() {
        return Ok(None);
    }
    let bytes = <&[u8] as sqlx::Decode<'_, sqlx::MySql>>::decode(value)
        .map_err(|_| failed(FailCode::StatementFailed, "a value is not readable"))?;
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Some(text.chars().take(RESULT_BYTES_MAX).collect()));
    }
    Ok(Some(bytes.iter().take(RESULT_BYTES_MAX / 2).fold("0x".to_owned(), |mut out, byte| {
        use std::fmt::Write as _;
        let _ = write!(out, "{byte:02x}");
        out
    })))
}

/// Rows in the one relation that is written, for "37 of 5,311".
async fn count_of_written(db: &mut MySqlConnection, job: &Job) -> Option<u64> {
    let mut written = job.effect.relations.iter().filter(|r| r.verbs.iter().any(|v| *v > Verb::Read));
    let (Some(one), None) = (written.next(), written.next()) else { return None };
    let (database, table) = one.name.split_once('.')?;
    let sql = format!("SELECT CAST(count(*) AS CHAR) FROM {}.{}", quote(database), quote(table));
    strings(db, &sql).await.ok()?.first()?.parse().ok()
}
