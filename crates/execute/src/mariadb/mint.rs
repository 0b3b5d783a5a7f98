//! A user for one run, with exactly the grants of the signed effect, dropped afterwards.
//!
//! If we crash here: the user stays, and is swept by the next run. The minter holds a named lock as long as it lives, so a
//! sweeper knows which users nobody needs any more.

use artifact::catalog::unnamed_column;
use artifact::effect::{RelationUse, Verb};
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;
use wire::order::{FailCode, Job, Report};
use zeroize::Zeroizing;

use super::session::{literal, login, open, quote, run, strings};
use crate::child::failed;

/// Every minted user's name begins with this.
const PREFIX: &str = "wetink_run_";
/// Users that one run sweeps at most.
const SWEPT_MAX: usize = 50;

/// The minter's session and what it made.
pub(super) struct Minted {
    minter: MySqlConnection,
    user: String,
    password: Zeroizing<String>,
}

/// 144 bits in lowercase letters and digits.
#[allow(clippy::expect_used, reason = "without randomness no secret can be made")]
fn random() -> String {
    let mut raw = [0; 24];
    rand::fill(&mut raw).expect("the system's random source answers");
    URL_SAFE_NO_PAD.encode(raw).replace('-', "x").replace('_', "y").to_lowercase()
}

/// What the server stores of a password (`mysql_native_password`), so that the password itself stands in no statement and
/// no log. The hash is old; the password is random and lives as long as the run.
pub(super) fn stored(password: &str) -> String {
    use std::fmt::Write as _;
    let once = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let twice = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, once.as_ref());
    twice.as_ref().iter().fold("*".to_owned(), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

impl Minted {
    /// Sweeps what earlier runs may have left, then makes the user.
    pub(super) async fn make(job: &Job, credential: &[u8]) -> Result<Self, Report> {
        if job.effect.relations.iter().any(|r| r.verbs.contains(&Verb::Define)) {
            return Err(failed(
                FailCode::BadOrder,
                "no grant for one run covers a change of the schema; register the target once more with a login that may",
            ));
        }
        let mut minter = login(&job.target, credential).await?;
        sweep(&mut minter).await;
        let (user, password) = (format!("{PREFIX}{}", random()), Zeroizing::new(random()));
        let made = Self { minter, user, password };
        made.minted(job).await
    }

    async fn minted(mut self, job: &Job) -> Result<Self, Report> {
        let grants = grants(&mut self.minter, job, &self.user).await?;
        let steps = [
            format!("SELECT GET_LOCK({}, 0)", literal(&self.user)),
            format!(
                "CREATE USER {}@'%' IDENTIFIED BY PASSWORD {} WITH MAX_USER_CONNECTIONS 1",
                literal(&self.user),
                literal(&stored(&self.password))
            ),
        ];
        for step in steps.into_iter().chain(grants) {
            if let Err(report) = run(&mut self.minter, &step).await {
                self.drop().await;
                let Report::Failed { detail, .. } = report else { return Err(report) };
                let detail = format!(
                    "the login cannot mint a user with the rights of this effect ({detail}); it needs CREATE USER, and the rights of its database WITH GRANT OPTION"
                );
                return Err(failed(FailCode::BadOrder, &detail));
            }
        }
        Ok(self)
    }

    /// A session of the minted user.
    pub(super) async fn connect(&self, job: &Job) -> Result<MySqlConnection, Report> {
        open(&job.target, &self.user, self.password.as_bytes()).await
    }

    /// The session that made it, for reading what the user changes.
    pub(super) const fn minter(&mut self) -> &mut MySqlConnection {
        &mut self.minter
    }

    /// Takes everything back. An error leaves the user to the next sweep; the run's outcome does not change.
    pub(super) async fn drop(mut self) {
        let _ = run(&mut self.minter, &format!("DROP USER IF EXISTS {}@'%'", literal(&self.user))).await;
        let _ = self.minter.close().await;
    }
}

/// Drops users whose minter is gone. What cannot be seen or dropped is left.
async fn sweep(minter: &mut MySqlConnection) {
    let sql =
        format!("SELECT User FROM mysql.user WHERE User LIKE '{}%' LIMIT {SWEPT_MAX}", PREFIX.replace('_', "\\_"));
    for user in strings(minter, &sql).await.unwrap_or_default() {
        let ours = user.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let lock = format!("SELECT COALESCE(IS_FREE_LOCK({}), 0)", literal(&user));
        if ours && strings(minter, &lock).await.is_ok_and(|free| free == ["1"]) {
            let _ = run(minter, &format!("DROP USER IF EXISTS {}@'%'", literal(&user))).await;
        }
    }
}

/// One GRANT for each relation, down to columns.
async fn grants(minter: &mut MySqlConnection, job: &Job, user: &str) -> Result<Vec<String>, Report> {
    let mut out = Vec::new();
    for used in &job.effect.relations {
        let Some((database, table)) = used.name.split_once('.') else { continue };
        let rights = rights(minter, used, (database, table), &job.artifact).await?;
        if !rights.is_empty() {
            let on = format!("{}.{}", quote(database), quote(table));
            out.push(format!("GRANT {} ON {on} TO {}@'%'", rights.join(", "), literal(user)));
        }
    }
    Ok(out)
}

async fn rights(
    minter: &mut MySqlConnection,
    used: &RelationUse,
    (database, table): (&str, &str),
    text: &str,
) -> Result<Vec<String>, Report> {
    let listed = |columns: &[String]| columns.iter().map(|column| quote(column)).collect::<Vec<_>>().join(", ");
    let with = |right: &str, columns: &[String]| match columns {
        [all] if all == "*" => right.to_owned(),
        columns => format!("{right} ({})", listed(columns)),
    };
    let mut out = Vec::new();
    for verb in &used.verbs {
        match verb {
            Verb::Read if used.reads.is_empty() => {
                // That a row exists is shown with the right on any column; it is given on one that is not named.
                let sql = format!(
                    "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
                    literal(database),
                    literal(table)
                );
                let columns = strings(minter, &sql).await?;
                let one = unnamed_column(columns.iter().map(String::as_str), text);
                out.extend(one.map(|column| with("SELECT", &[column.to_owned()])));
            }
            Verb::Read => out.push(with("SELECT", &used.reads)),
            Verb::Insert | Verb::Update if used.writes.is_empty() => {}
            Verb::Insert => out.push(with("INSERT", &used.writes)),
            Verb::Update => out.push(with("UPDATE", &used.writes)),
            Verb::Delete => out.push("DELETE".to_owned()),
            Verb::Define => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_password_is_the_server_s_form() {
        // As the server says: SELECT PASSWORD('secret').
        assert_eq!(stored("secret"), "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7");
    }
}
