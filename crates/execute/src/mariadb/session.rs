//! A connection whose settings are pinned and whose powers are known.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use wire::order::{FailCode, Report};
use wire::target::{Address, Registration, Rights, Tls};

use crate::child::failed;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long another transaction's lock is waited for, in seconds.
const LOCK_S: u64 = 2;

/// Rights that no login of a target may have: each reaches beyond rows of its database.
const POWERS: [&str; 9] = [
    "SUPER",
    "FILE",
    "SHUTDOWN",
    "PROCESS",
    "REPLICATION SLAVE",
    "RELOAD",
    "CREATE TABLESPACE",
    "SET USER",
    "BINLOG ADMIN",
];

pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A constant as the server reads it under the session's pinned `sql_mode`.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

pub(super) fn not_ours() -> Report {
    failed(FailCode::BadOrder, "the target is not a MariaDB database")
}

pub(super) async fn run(db: &mut MySqlConnection, sql: &str) -> Result<(), Report> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(db).await.map(|_| ()).map_err(|error| map(&error))
}

/// First column of each row; NULL is refused.
pub(super) async fn strings(db: &mut MySqlConnection, sql: &str) -> Result<Vec<String>, Report> {
    let rows = table(db, sql).await?;
    let first = |row: Vec<Option<String>>| row.into_iter().next().flatten();
    let all: Option<Vec<String>> = rows.into_iter().map(first).collect();
    all.ok_or_else(|| failed(FailCode::StatementFailed, "the server's own tables have another form"))
}

/// Every column of each row as text.
pub(super) async fn table(db: &mut MySqlConnection, sql: &str) -> Result<Vec<Vec<Option<String>>>, Report> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(db).await.map_err(|error| map(&error))?;
    let text = |row: &sqlx::mysql::MySqlRow, at: usize| {
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).map_err(|error| map(&error))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect()).collect()
}

/// Connects as the registered login, pins the session, and refuses powers that the login must not have.
pub(super) async fn login(target: &Registration, credential: &[u8]) -> Result<MySqlConnection, Report> {
    let Address::Mariadb { login, rights, .. } = &target.address else { return Err(not_ours()) };
    let mut db = open(target, login, credential).await?;
    let grants = strings(&mut db, "SHOW GRANTS").await?;
    let global = |grant: &String| grant.contains(" ON *.* ");
    for grant in grants.iter().filter(|grant| global(grant)) {
        let list = grant.trim_start_matches("GRANT ").split(" ON ").next().unwrap_or_default();
        let held: Vec<&str> = list.split(',').map(str::trim).collect();
        let bad = held.iter().find(|power| **power == "ALL PRIVILEGES" || POWERS.contains(power));
        if let Some(power) = bad {
            let detail = format!("the login has the power {power}; use a login with rights on its database only");
            return Err(failed(FailCode::BadOrder, &detail));
        }
        if *rights == Rights::Login && held.contains(&"CREATE USER") {
            return Err(failed(
                FailCode::BadOrder,
                "the login may make users; register the target as minted, or use another login",
            ));
        }
    }
    if grants.iter().any(|grant| !grant.contains(" ON ")) {
        return Err(failed(
            FailCode::BadOrder,
            "the login is a member of a role; use a login with rights of its own only",
        ));
    }
    Ok(db)
}

/// Connects as `user` and pins what the meaning of a statement depends on.
pub(super) async fn open(target: &Registration, user: &str, password: &[u8]) -> Result<MySqlConnection, Report> {
    let Address::Mariadb { host, port, database, tls, ca_file, .. } = &target.address else { return Err(not_ours()) };
    let mut options = MySqlConnectOptions::new()
        .username(user)
        .database(database)
        .charset("utf8mb4")
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    options = if host.starts_with('/') { options.socket(host) } else { options.host(host).port(*port) };
    options = match tls {
        Tls::Disable => options.ssl_mode(MySqlSslMode::Disabled),
        Tls::Require => options.ssl_mode(MySqlSslMode::VerifyIdentity),
    };
    if let Some(file) = ca_file {
        options = options.ssl_ca(file);
    }
    if !password.is_empty() {
        let password =
            std::str::from_utf8(password).map_err(|_| failed(FailCode::LoginRefused, "the password is not UTF-8"))?;
        options = options.password(password);
    }
    let connecting = tokio::time::timeout(CONNECT, MySqlConnection::connect_with(&options)).await;
    let mut db = connecting
        .map_err(|_| failed(FailCode::TargetUnreachable, "the server did not answer in time"))?
        .map_err(|error| map(&error))?;
    let seconds = target.statement_timeout_ms.div_ceil(1000);
    let pins = format!(
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE,NO_ZERO_IN_DATE,ONLY_FULL_GROUP_BY',
         time_zone = '+00:00', max_statement_time = {seconds}, lock_wait_timeout = {LOCK_S}, innodb_lock_wait_timeout = {LOCK_S},
         autocommit = 1, completion_type = 'NO_CHAIN', sql_auto_is_null = 0, foreign_key_checks = 1, unique_checks = 1,
         tx_isolation = 'READ-COMMITTED', group_concat_max_len = 1048576"
    );
    run(&mut db, &pins).await?;
    Ok(db)
}

/// An error as a report, by the server's number (MariaDB error codes).
pub(super) fn map(error: &sqlx::Error) -> Report {
    let (code, detail) = match error {
        sqlx::Error::Database(database) => {
            let number = database.try_downcast_ref().map_or(0, sqlx::mysql::MySqlDatabaseError::number);
            let code = match number {
                // Denied: to the user, on a table, column, routine, database; or in a read-only transaction.
                1142 | 1143 | 1044 | 1370 | 1227 | 1410 | 1792 => FailCode::BeyondEffect,
                1045 | 1698 => FailCode::LoginRefused,
                1969 | 3024 => FailCode::TimedOut,
                1205 | 1213 => FailCode::Locked,
                1049 | 1053 | 1040 | 1203 | 1226 => FailCode::TargetUnreachable,
                1295 => FailCode::NotOneStatement,
                _ => FailCode::StatementFailed,
            };
            (code, format!("{number}: {}", database.message()))
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
            (FailCode::TargetUnreachable, error.to_string())
        }
        _ => (FailCode::StatementFailed, error.to_string()),
    };
    failed(code, &detail)
}
