//! PostgreSQL: one connection as a low-privilege login, one statement, in one transaction.
//!
//! The bytes are prepared over the extended protocol first, where the server itself refuses more than one statement, and
//! then run as they are, so that every value comes back in the server's own rendering. Between the two nothing changes that
//! they mean: the session's settings are pinned.

mod catalog;
mod fence;
mod image;
mod mint;
mod ready;
mod session;

use std::time::Instant;

use artifact::effect::Verb;
use futures_util::TryStreamExt as _;
use reading::bound::{self, Parameter, ParameterType};
use sqlx::postgres::{PgConnection, PgRow, PgTypeInfo};
use sqlx::{AssertSqlSafe, Column as _, Either, Executor as _, Row as _, SqlSafeStr as _, ValueRef as _};
use tokio::runtime::Runtime;
use wire::order::{FailCode, Job, RESULT_BYTES_MAX, Report, ResultColumn, ResultSet, Sample, Undo};
use wire::target::{Address, Registration};

use crate::child::{Commit, Way, drifted, failed};
use crate::image::Images;
use mint::Minted;
use session::{literal, login, quote, run, strings};

pub(crate) use catalog::read as read_catalog;
pub(crate) use ready::{Leftover, Ready, perform};

/// Names the transaction: its start, which stands still inside it, and its id if it has one.
const OURS: &str = "SELECT pg_catalog.transaction_timestamp()::text || ' ' || coalesce(pg_catalog.pg_current_xact_id_if_assigned()::text, '')";

/// Whether the login opens with this password.
pub(crate) async fn opens(target: &Registration, password: &[u8]) -> Result<(), Report> {
    let Address::Postgresql { login, .. } = &target.address else { return Err(session::not_ours()) };
    session::open(target, login, password).await.map(|_| ())
}

/// Gives the login a new password, and sees that it opens with it; if not, it keeps the one it had.
pub(crate) async fn rotate(target: &Registration, old: &[u8], new: &[u8]) -> Result<(), Report> {
    let Address::Postgresql { login, .. } = &target.address else { return Err(session::not_ours()) };
    let mut db = session::open(target, login, old).await?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| failed(FailCode::BadOrder, "the password is no text"));
    let change = |password: &str| format!("ALTER ROLE CURRENT_USER PASSWORD {}", literal(&mint::scram(password)));
    run(&mut db, &change(text(new)?)).await?;
    if let Err(report) = opens(target, new).await {
        run(&mut db, &change(text(old)?)).await?;
        return Err(report);
    }
    Ok(())
}

/// Each order is one connection or two, so one thread is enough.
fn runtime() -> Result<Runtime, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| failed(FailCode::BadOrder, &error.to_string()))
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    runtime()?.block_on(work)
}

/// Who reads old rows while the change is open. Never the session that ran the artifact.
enum Reader<'a> {
    /// A second session of the registered login, made when it is needed.
    Login { credential: &'a [u8], session: Option<PgConnection> },
    /// The session that minted the role.
    Minter(&'a mut Minted),
}

impl Reader<'_> {
    async fn session(&mut self, job: &Job) -> Option<&mut PgConnection> {
        match self {
            Self::Minter(minted) => Some(minted.minter()),
            Self::Login { credential, session } => {
                if session.is_none() {
                    let mut db = login(&job.target, credential).await.ok()?;
                    if let Address::Postgresql { mirror: Some(role), .. } = &job.target.address {
                        run(&mut db, &format!("SET ROLE {}", quote(role))).await.ok()?;
                    }
                    *session = Some(db);
                }
                session.as_mut()
            }
        }
    }
}

async fn attempt(
    db: &mut PgConnection,
    job: &Job,
    way: Way,
    of: Option<u64>,
    reader: &mut Reader<'_>,
    commit: &mut Commit<'_>,
) -> Result<Report, Report> {
    let read_only = job.effect.is_read_only();
    let began = Instant::now();
    let who: String = format!("wetink:{}", job.signer).chars().filter(char::is_ascii_graphic).take(63).collect();
    let begin = if read_only { "BEGIN READ ONLY" } else { "BEGIN READ WRITE" };
    let id = if read_only { "" } else { "SELECT pg_current_xact_id()::text;" };
    let opening = format!("SET application_name = {}; {begin}; {id} {OURS}", literal(&who));
    let mut told = strings(db, &opening).await?;
    let ours = told.pop();
    let transaction = told.pop();
    // A statement that changes the schema is compared before it does, any other once it holds its locks.
    let defines = job.effect.verb == Verb::Define;
    if defines {
        drifted(&job.effect, &catalog::now(db, &job.effect).await?)?;
    }
    let ran = match prepared(db, job).await {
        Ok(sql) => collect(db, job, sql).await,
        Err(report) => Err(report),
    };
    let (tag_rows, mut result, sources) = match ran {
        Ok(ran) => ran,
        Err(report) => {
            // What was shown may be gone; then that is the cause to tell.
            if run(db, "ROLLBACK").await.is_ok()
                && let Ok(now) = catalog::now(db, &job.effect).await
            {
                drifted(&job.effect, &now)?;
            }
            return Err(report);
        }
    };
    // The artifact must not have ended our transaction and begun another.
    if ours.is_none() || strings(db, OURS).await.ok().and_then(|mut now| now.pop()) != ours {
        return Err(failed(FailCode::BeyondEffect, "the statement ended the transaction it ran in"));
    }
    if !defines && !job.effect.shapes.is_empty() {
        drifted(&job.effect, &catalog::now(db, &job.effect).await?)?;
    }
    fence::check(db, &job.effect).await?;
    let changed = if read_only { 0 } else { changed_rows(db).await?.max(tag_rows) };
    origins(db, &mut result, &sources).await?;
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ceiling = match way {
        Way::Once { ceiling } => ceiling,
        Way::Trial { sample } => {
            let sample =
                if sample { sampled(db, reader, job, transaction.as_deref().unwrap_or_default()).await } else { None };
            run(db, "ROLLBACK").await?;
            return Ok(Report::Preview { rows: if read_only { result.total_rows } else { changed }, of, sample });
        }
    };
    if read_only {
        run(db, "ROLLBACK").await?;
        return Ok(Report::Done { affected: 0, result, elapsed_ms, undo: None, stays: false });
    }
    if changed > ceiling {
        let _ = run(db, "ROLLBACK").await;
        return Err(failed(
            FailCode::CeilingExceeded,
            &format!("{changed} rows would have changed, {ceiling} were signed; rolled back"),
        ));
    }
    let before = before(db, reader, job, transaction.as_deref().unwrap_or_default()).await;
    if !commit(changed, transaction.as_deref()) {
        let _ = run(db, "ROLLBACK").await;
        return Err(failed(FailCode::Withdrawn, "the guard said no at the last moment; rolled back"));
    }
    match sqlx::raw_sql("COMMIT").execute(db).await {
        Ok(_) => {
            let undo = match before {
                Some(before) => put_back(before, reader, job).await,
                None => None,
            };
            Ok(Report::Done { affected: changed, result, elapsed_ms, undo, stays: false })
        }
        // The server refused to commit (a deferred constraint): it says so and rolled back.
        Err(sqlx::Error::Database(error)) => Err(map(&sqlx::Error::Database(error))),
        // The connection broke while committing: only the server knows.
        Err(error) => Err(failed(FailCode::OutcomeUnknown, &error.to_string())),
    }
}

/// The inverse, once the new rows are there to be read by others.
async fn put_back(before: image::Before, reader: &mut Reader<'_>, job: &Job) -> Option<Undo> {
    let session = reader.session(job).await?;
    run(session, &format!("SET statement_timeout = {}", image::READ_MS)).await.ok()?;
    before.with_after(session, true).await.ok().and_then(Images::folded)?.inverse()
}

/// Old rows of what is about to be committed. What cannot be told is left out.
async fn before(db: &mut PgConnection, reader: &mut Reader<'_>, job: &Job, transaction: &str) -> Option<image::Before> {
    if job.effect.commits_itself || job.effect.verb == Verb::Define {
        return None;
    }
    image::Before::read(db, reader.session(job).await?, transaction, true).await
}

/// Some rows before and, where the role that ran it may read them, after.
async fn sampled(db: &mut PgConnection, reader: &mut Reader<'_>, job: &Job, transaction: &str) -> Option<Sample> {
    let before = image::Before::read(db, reader.session(job).await?, transaction, false).await?;
    let sample = match before.with_after(db, false).await {
        Ok(images) => images.sample(),
        Err(before) => before.sample(),
    };
    (!sample.rows.is_empty()).then_some(sample)
}

/// Relation and attribute of each column, where the server says so.
type Sources = Vec<Option<(u32, i16)>>;

/// Has the server see that it is one statement. Gives the text to run: the artifact itself, or, where it has values, a call of
/// it with them.
async fn prepared(db: &mut PgConnection, job: &Job) -> Result<String, Report> {
    let bound = bound::read(&job.artifact).map_err(|error| failed(FailCode::BadOrder, &error.to_string()))?;
    let names: Vec<&str> = bound.parameters.iter().map(|parameter| type_name(parameter.of)).collect();
    let types: Vec<PgTypeInfo> = names.iter().map(|name| PgTypeInfo::with_name(name)).collect();
    let sql = AssertSqlSafe(job.artifact.clone()).into_sql_str();
    db.prepare_with(sql, &types).await.map_err(|error| map_prepare(&error))?;
    if bound.parameters.is_empty() {
        return Ok(job.artifact.clone());
    }
    run(db, &format!("PREPARE wetink_bound ({}) AS {}", names.join(", "), job.artifact)).await?;
    let value = |(parameter, name): (&Parameter, &&str)| match (&parameter.value, parameter.of) {
        (None, _) => "NULL".to_owned(),
        (Some(hex), ParameterType::Bytes) => format!("{}::bytea", literal(&format!("\\x{hex}"))),
        (Some(text), _) => format!("{}::{name}", literal(text)),
    };
    let values: Vec<String> = bound.parameters.iter().zip(&names).map(value).collect();
    Ok(format!("EXECUTE wetink_bound ({})", values.join(", ")))
}

fn type_name(of: ParameterType) -> &'static str {
    match of {
        ParameterType::Integer => "int8",
        ParameterType::Numeric => "numeric",
        ParameterType::Double => "float8",
        ParameterType::Boolean => "bool",
        ParameterType::Text => "text",
        ParameterType::Date => "date",
        ParameterType::Timestamp => "timestamptz",
        ParameterType::Uuid => "uuid",
        ParameterType::Bytes => "bytea",
    }
}

async fn collect(db: &mut PgConnection, job: &Job, sql: String) -> Result<(u64, ResultSet, Sources), Report> {
    let most = usize::try_from(job.target.result_rows_max).unwrap_or(usize::MAX);
    let (mut result, mut sources, mut tag_rows, mut bytes) = (ResultSet::default(), Sources::new(), 0_u64, 0_usize);
    let writes = !job.effect.is_read_only();
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(db);
    while let Some(item) = stream.try_next().await.map_err(|error| map(&error))? {
        match item {
            Either::Left(done) => tag_rows += if writes { done.rows_affected() } else { 0 },
            Either::Right(row) => {
                if result.total_rows == 0 {
                    (result.columns, sources) = columns(&row);
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
    Ok((tag_rows, result, sources))
}

fn columns(row: &PgRow) -> (Vec<ResultColumn>, Sources) {
    let describe = |column: &sqlx::postgres::PgColumn| {
        let source = column.relation_id().zip(column.relation_attribute_no()).map(|(oid, number)| (oid.0, number));
        (ResultColumn { name: column.name().to_owned(), origin: None }, source)
    };
    row.columns().iter().map(describe).unzip()
}

fn cell(row: &PgRow, index: usize) -> Result<Option<String>, Report> {
    let value = row.try_get_raw(index).map_err(|error| map(&error))?;
    if value.is_null() {
        return Ok(None);
    }
    let text = value.as_str().map_err(|_| failed(FailCode::StatementFailed, "a value is not text"))?;
    Ok(Some(text.chars().take(RESULT_BYTES_MAX).collect()))
}

/// Names of the columns' sources, looked up inside the same transaction.
async fn origins(db: &mut PgConnection, result: &mut ResultSet, sources: &Sources) -> Result<(), Report> {
    let wanted: Vec<String> = sources
        .iter()
        .flatten()
        .map(|(oid, number)| format!(
            "({oid}::int8, {number}::int8, pg_catalog.array_to_string((pg_catalog.pg_identify_object_as_address('pg_catalog.pg_class'::regclass, {oid}, {number})).object_names, '.'))"
        ))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let sql = format!("VALUES {}", wanted.join(", "));
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(db).await.map_err(|error| map(&error))?;
    for row in rows {
        let (Ok(oid), Ok(number), Ok(name)) =
            (row.try_get::<i64, _>(0), row.try_get::<i64, _>(1), row.try_get::<String, _>(2))
        else {
            continue;
        };
        for (column, source) in result.columns.iter_mut().zip(sources) {
            if source.is_some_and(|(o, n)| i64::from(o) == oid && i64::from(n) == number) {
                column.origin = Some(name.clone());
            }
        }
    }
    Ok(())
}

/// Rows changed in this transaction by anything: the statement, its CTEs, triggers, cascades.
async fn changed_rows(db: &mut PgConnection) -> Result<u64, Report> {
    let sql = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int8::text FROM pg_catalog.pg_stat_xact_all_tables WHERE schemaname <> 'pg_catalog'";
    let counted = strings(db, sql).await?;
    counted
        .first()
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| failed(FailCode::StatementFailed, "the server does not count changed rows"))
}

/// Rows in the one relation that is written, for "37 of 5,311". An estimate is not good enough for that sentence.
async fn count_of_written(db: &mut PgConnection, job: &Job) -> Option<u64> {
    let mut written = job.effect.relations.iter().filter(|r| r.verbs.iter().any(|v| *v > Verb::Read));
    let (Some(one), None) = (written.next(), written.next()) else { return None };
    let (schema, table) = one.name.split_once('.')?;
    let sql = format!("SELECT count(*)::text FROM {}.{}", quote(schema), quote(table));
    strings(db, &sql).await.ok()?.first()?.parse().ok()
}

/// What became of a transaction.
pub(crate) async fn resolve(target: &Registration, credential: &[u8], transaction: &str) -> Result<Report, Report> {
    if transaction.is_empty() || !transaction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(failed(FailCode::BadOrder, "that is not a transaction id"));
    }
    let mut db = login(target, credential).await?;
    let sql = format!("SELECT coalesce(pg_xact_status('{transaction}'::xid8), '')");
    let status = strings(&mut db, &sql).await?.pop().filter(|s| !s.is_empty());
    Ok(Report::Resolved { status })
}

fn map_prepare(error: &sqlx::Error) -> Report {
    let text = error.to_string();
    if text.contains("cannot insert multiple commands into a prepared statement") {
        return failed(FailCode::NotOneStatement, "the server sees more than one statement");
    }
    map(error)
}

/// An error as a report, by SQLSTATE (PostgreSQL appendix A).
pub(crate) fn map(error: &sqlx::Error) -> Report {
    let (code, detail) = match error {
        sqlx::Error::Database(database) => {
            let state = database.code().unwrap_or_default();
            let code = match state.as_ref() {
                "42501" | "25006" => FailCode::BeyondEffect,
                "57014" => FailCode::TimedOut,
                "55P03" | "40P01" => FailCode::Locked,
                state if state.starts_with("28") => FailCode::LoginRefused,
                state if state.starts_with("08") || state.starts_with("57P") || state == "3D000" => {
                    FailCode::TargetUnreachable
                }
                _ => FailCode::StatementFailed,
            };
            (code, format!("{state}: {}", database.message()))
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
            (FailCode::TargetUnreachable, error.to_string())
        }
        _ => (FailCode::StatementFailed, error.to_string()),
    };
    failed(code, &detail)
}
