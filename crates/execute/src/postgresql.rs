//! PostgreSQL: one connection as a low-privilege login, one statement, in one transaction.
//!
//! The bytes are prepared over the extended protocol first, where the server itself refuses more than one statement, and
//! then run as they are, so that every value comes back in the server's own rendering. Between the two nothing changes that
//! they mean: the session's settings are pinned.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Either, Executor as _, Row as _, SqlSafeStr as _,
    ValueRef as _,
};
use wire::order::{FailCode, Job, RESULT_BYTES_MAX, Report, ResultColumn, ResultSet};
use wire::target::{Address, Registration, Tls};

use crate::child::{Commit, failed};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long another transaction's lock is waited for, in milliseconds.
const LOCK_MS: u64 = 2_000;
/// How long the guard may think before the server gives up on us, in milliseconds.
const IDLE_MS: u64 = 60_000;

/// Names the transaction: its start, which stands still inside it, and its id if it has one.
const OURS: &str =
    "SELECT transaction_timestamp()::text || ' ' || coalesce(pg_current_xact_id_if_assigned()::text, '')";

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Runs a future on this thread. Each order is one connection, so one thread is enough.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| failed(FailCode::BadOrder, &error.to_string()))?.block_on(work)
}

/// Connects and pins what the meaning of a statement depends on.
pub(crate) async fn connect(target: &Registration, credential: &[u8], signer: &str) -> Result<PgConnection, Report> {
    let Address::Postgresql { host, port, database, login, mirror, tls, ca_file, search_path } = &target.address else {
        return Err(failed(FailCode::BadOrder, "the target is not a PostgreSQL database"));
    };
    let name: String = format!("wetink:{signer}").chars().filter(char::is_ascii_graphic).take(63).collect();
    let mut options = PgConnectOptions::new_without_pgpass()
        .port(*port)
        .username(login)
        .database(database)
        .application_name(&name)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    options = if host.starts_with('/') { options.socket(host) } else { options.host(host) };
    options = match tls {
        Tls::Disable => options.ssl_mode(PgSslMode::Disable),
        Tls::Require => options.ssl_mode(PgSslMode::VerifyFull),
    };
    if let Some(file) = ca_file {
        options = options.ssl_root_cert(file);
    }
    if !credential.is_empty() {
        let password =
            std::str::from_utf8(credential).map_err(|_| failed(FailCode::LoginRefused, "the password is not UTF-8"))?;
        options = options.password(password);
    }
    let connecting = tokio::time::timeout(CONNECT, PgConnection::connect_with(&options)).await;
    let mut db = connecting
        .map_err(|_| failed(FailCode::TargetUnreachable, "the server did not answer in time"))?
        .map_err(|error| map(&error))?;
    let path: Vec<String> = search_path.iter().map(|s| quote(s)).collect();
    let pins = format!(
        "SET search_path TO {}; SET standard_conforming_strings = on; SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET TimeZone = 'UTC';
         SET statement_timeout = {}; SET lock_timeout = {LOCK_MS}; SET idle_in_transaction_session_timeout = {IDLE_MS}; SET row_security = on;
         SET default_transaction_isolation = 'read committed'",
        if path.is_empty() { "''".to_owned() } else { path.join(", ") },
        target.statement_timeout_ms
    );
    run(&mut db, &pins).await?;
    check_login(&mut db, mirror.as_deref()).await?;
    if let Some(role) = mirror {
        // The login is a member of this role only, so falling back to it gains nothing.
        run(&mut db, &format!("SET ROLE {}", quote(role))).await?;
    }
    Ok(db)
}

async fn run(db: &mut PgConnection, sql: &str) -> Result<(), Report> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(db).await.map(|_| ()).map_err(|error| map(&error))
}

async fn strings(db: &mut PgConnection, sql: &str) -> Result<Vec<String>, Report> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(db).await.map_err(|error| map(&error))?;
    rows.iter().map(|row| row.try_get::<String, _>(0).map_err(|error| map(&error))).collect()
}

/// A login that could do more than the person may is refused, whatever the artifact says.
async fn check_login(db: &mut PgConnection, mirror: Option<&str>) -> Result<(), Report> {
    let bad = |detail: &str| Err(failed(FailCode::BadOrder, detail));
    let powers = "SELECT rolname::text FROM pg_roles WHERE (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
                  AND (rolname = session_user OR pg_has_role(session_user, oid, 'MEMBER'))";
    if let Some(role) = strings(db, powers).await?.first() {
        return bad(&format!("the login is, or can become, the powerful role {role}; use a login without such rights"));
    }
    let Some(mirror) = mirror else { return Ok(()) };
    let roles = "SELECT m.roleid::regrole::text FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = session_user";
    let member_of = strings(db, roles).await?;
    let inherits =
        strings(db, "SELECT rolname::text FROM pg_roles WHERE rolname = session_user AND rolinherit").await?;
    if member_of.len() != 1 || (member_of[0] != mirror && member_of[0] != quote(mirror)) {
        return bad("the login must be a member of the mirrored role and of no other");
    }
    if !inherits.is_empty() {
        return bad("the login inherits the mirrored role's rights; make it NOINHERIT");
    }
    Ok(())
}

/// Runs the job. Without a ceiling it is a trial: rolled back whatever happens.
pub(crate) async fn perform(
    job: &Job,
    credential: &[u8],
    ceiling: Option<u64>,
    commit: &mut Commit<'_>,
) -> Result<Report, Report> {
    let mut db = connect(&job.target, credential, &job.signer).await?;
    let read_only = job.effect.is_read_only();
    let began = Instant::now();
    let of = if ceiling.is_none() { count_of_written(&mut db, job).await } else { None };
    run(&mut db, if read_only { "BEGIN READ ONLY" } else { "BEGIN READ WRITE" }).await?;
    let transaction = if read_only { None } else { strings(&mut db, "SELECT pg_current_xact_id()::text").await?.pop() };
    let ours = strings(&mut db, OURS).await?;
    let sql = AssertSqlSafe(job.artifact.clone()).into_sql_str();
    (&mut db).prepare(sql).await.map_err(|error| map_prepare(&error))?;
    let (tag_rows, mut result, sources) = collect(&mut db, job).await?;
    // The artifact must not have ended our transaction and begun another.
    if strings(&mut db, OURS).await.ok() != Some(ours) {
        return Err(failed(FailCode::BeyondEffect, "the statement ended the transaction it ran in"));
    }
    let changed = if read_only { 0 } else { changed_rows(&mut db).await?.max(tag_rows) };
    origins(&mut db, &mut result, &sources).await?;
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Some(ceiling) = ceiling else {
        run(&mut db, "ROLLBACK").await?;
        return Ok(Report::Preview { rows: if read_only { result.total_rows } else { changed }, of });
    };
    if read_only {
        run(&mut db, "ROLLBACK").await?;
        return Ok(Report::Done { affected: 0, result, elapsed_ms });
    }
    if changed > ceiling {
        let _ = run(&mut db, "ROLLBACK").await;
        return Err(failed(
            FailCode::CeilingExceeded,
            &format!("{changed} rows would have changed, {ceiling} were signed; rolled back"),
        ));
    }
    if !commit(changed, transaction.as_deref()) {
        let _ = run(&mut db, "ROLLBACK").await;
        return Err(failed(FailCode::Withdrawn, "the guard said no at the last moment; rolled back"));
    }
    match sqlx::raw_sql("COMMIT").execute(&mut db).await {
        Ok(_) => Ok(Report::Done { affected: changed, result, elapsed_ms }),
        // The server refused to commit (a deferred constraint): it says so and rolled back.
        Err(sqlx::Error::Database(error)) => Err(map(&sqlx::Error::Database(error))),
        // The connection broke while committing: only the server knows.
        Err(error) => Err(failed(FailCode::OutcomeUnknown, &error.to_string())),
    }
}

/// Relation and attribute of each column, where the server says so.
type Sources = Vec<Option<(u32, i16)>>;

async fn collect(db: &mut PgConnection, job: &Job) -> Result<(u64, ResultSet, Sources), Report> {
    let most = usize::try_from(job.target.result_rows_max).unwrap_or(usize::MAX);
    let (mut result, mut sources, mut tag_rows, mut bytes) = (ResultSet::default(), Sources::new(), 0_u64, 0_usize);
    let writes = !job.effect.is_read_only();
    let mut stream = sqlx::raw_sql(AssertSqlSafe(job.artifact.clone())).fetch_many(db);
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
    let wanted: Vec<String> =
        sources.iter().flatten().map(|(oid, number)| format!("({oid}::oid, {number}::int2)")).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT a.attrelid::int8, a.attnum::int8, n.nspname || '.' || c.relname || '.' || a.attname FROM pg_attribute a
         JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE (a.attrelid, a.attnum) IN ({})",
        wanted.join(", ")
    );
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
    let sql = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int8::text FROM pg_stat_xact_all_tables WHERE schemaname <> 'pg_catalog'";
    let counted = strings(db, sql).await?;
    counted
        .first()
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| failed(FailCode::StatementFailed, "the server does not count changed rows"))
}

/// Rows in the one relation that is written, for "37 of 5,311". An estimate is not good enough for that sentence.
async fn count_of_written(db: &mut PgConnection, job: &Job) -> Option<u64> {
    use artifact::effect::Verb;
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
    let mut db = connect(target, credential, "resolve").await?;
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
