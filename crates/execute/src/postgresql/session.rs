//! A connection whose settings are pinned and whose powers are known.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use wire::order::{FailCode, Report};
use wire::target::{Address, Registration, Rights, Tls};

use super::map;
use crate::child::failed;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long another transaction's lock is waited for, in milliseconds.
const LOCK_MS: u64 = 2_000;
/// How long the guard may think before the server gives up on us, in milliseconds.
const IDLE_MS: u64 = 60_000;

pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A constant as the server reads it with `standard_conforming_strings` on.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) async fn run(db: &mut PgConnection, sql: &str) -> Result<(), Report> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(db).await.map(|_| ()).map_err(|error| map(&error))
}

/// First column of each row; NULL is refused.
pub(super) async fn strings(db: &mut PgConnection, sql: &str) -> Result<Vec<String>, Report> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(db).await.map_err(|error| map(&error))?;
    rows.iter().map(|row| row.try_get::<String, _>(0).map_err(|error| map(&error))).collect()
}

/// Every column of each row as text.
pub(super) async fn table(db: &mut PgConnection, sql: &str) -> Result<Vec<Vec<Option<String>>>, Report> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(db).await.map_err(|error| map(&error))?;
    rows.iter()
        .map(|row| (0..row.len()).map(|i| row.try_get::<Option<String>, _>(i).map_err(|error| map(&error))).collect())
        .collect()
}

/// Connects as the registered login, pins the session, and refuses powers that the login must not have.
pub(super) async fn login(target: &Registration, credential: &[u8]) -> Result<PgConnection, Report> {
    let Address::Postgresql { login, .. } = &target.address else { return Err(not_ours()) };
    let mut db = open(target, login, credential).await?;
    check(&mut db, target).await?;
    Ok(db)
}

/// Refuses a login with powers that it must not have now.
pub(super) async fn check(db: &mut PgConnection, target: &Registration) -> Result<(), Report> {
    let Address::Postgresql { rights, mirror, .. } = &target.address else { return Err(not_ours()) };
    match rights {
        Rights::Login | Rights::Leased => check_login(db, mirror.as_deref()).await,
        Rights::Minted => check_minter(db, true).await,
        Rights::MintedIfPossible => check_minter(db, false).await,
    }
}

pub(super) fn not_ours() -> Report {
    failed(FailCode::BadOrder, "the target is not a PostgreSQL database")
}

/// Connects as `role` and pins what the meaning of a statement depends on.
pub(super) async fn open(target: &Registration, role: &str, password: &[u8]) -> Result<PgConnection, Report> {
    let Address::Postgresql { host, port, database, tls, ca_file, search_path, .. } = &target.address else {
        return Err(not_ours());
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .port(*port)
        .username(role)
        .database(database)
        .application_name("wetink")
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
    if !password.is_empty() {
        let password =
            std::str::from_utf8(password).map_err(|_| failed(FailCode::LoginRefused, "the password is not UTF-8"))?;
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
    Ok(db)
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

/// A login that mints roles needs that power and no greater one. No artifact ever runs in its session.
async fn check_minter(db: &mut PgConnection, must: bool) -> Result<(), Report> {
    let powers = "SELECT rolname::text FROM pg_roles WHERE (rolsuper OR rolreplication OR rolbypassrls)
                  AND (rolname = session_user OR pg_has_role(session_user, oid, 'MEMBER'))
                  UNION ALL SELECT '' FROM pg_roles WHERE rolname = session_user AND rolcreaterole";
    let found = strings(db, powers).await?;
    if let Some(role) = found.iter().find(|role| !role.is_empty()) {
        let detail = format!("the login is, or can become, the powerful role {role}; minting needs CREATEROLE only");
        return Err(failed(FailCode::BadOrder, &detail));
    }
    if must && found.is_empty() {
        return Err(failed(
            FailCode::BadOrder,
            "the target says that roles are minted, but its login may not: ALTER ROLE ... CREATEROLE, or register the target with the login's own rights",
        ));
    }
    Ok(())
}
