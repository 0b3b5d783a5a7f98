//! A login role for one run, with exactly the grants of the signed effect, dropped afterwards.
//!
//! The statement runs in a session of the minted role and of no other: there is nothing that a role switch inside it could
//! fall back to. The login that mints never runs an artifact. A role is made empty, so that it can be made before it is
//! needed, and gets its grants once the effect is known.
//!
//! If we crash here: the role stays, cannot log in after its deadline, and is swept by the next run. The minter holds an
//! advisory lock named after the role as long as it lives, so a sweeper knows which roles nobody needs any more.

use artifact::catalog::unnamed_column;
use artifact::effect::{RelationUse, Verb};
use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use wire::order::{FailCode, Job, Report};
use wire::target::{Address, Registration};
use zeroize::Zeroizing;

use super::session::{literal, login, not_ours, open, quote, run, strings, table};
use crate::child::failed;

/// Every minted role's name begins with this.
const PREFIX: &str = "wetink_run_";
/// First key of the advisory locks, our own number.
const LOCK: u32 = 0x7765_7469;
/// Roles that one run sweeps at most.
const SWEPT_MAX: usize = 50;
/// Added to the statement's own time-out before the role can no longer log in, in seconds.
const SLACK_S: u64 = 60;

/// The minter's session and what it made.
pub(super) struct Minted {
    minter: PgConnection,
    role: String,
    password: Zeroizing<String>,
}

fn lock_of(role: &str) -> String {
    format!("{LOCK}, hashtext({})", literal(role))
}

impl Minted {
    /// Sweeps what earlier runs may have left, then makes a role that may do nothing yet.
    pub(super) async fn empty(target: &Registration, credential: &[u8]) -> Result<Self, Report> {
        let Address::Postgresql { mirror, .. } = &target.address else { return Err(not_ours()) };
        let mut minter = login(target, credential).await?;
        sweep(&mut minter).await?;
        let (role, password) = (format!("{PREFIX}{}", random()), Zeroizing::new(random()));
        let until = target.statement_timeout_ms / 1000 + SLACK_S;
        // Nothing is lost if the server loses the role in a crash, so nobody waits for its disk.
        let batch = format!(
            "SET synchronous_commit = off; SELECT pg_advisory_lock({lock}); BEGIN;
             CREATE ROLE {role} LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 1 PASSWORD {verifier};
             DO $do$ BEGIN EXECUTE format('ALTER ROLE {role} VALID UNTIL %L', now() + interval '{until} seconds'); END $do$;
             {member} COMMIT",
            lock = lock_of(&role),
            verifier = literal(&scram(&password)),
            member = mirror.as_ref().map(|mirror| format!("GRANT {} TO {role};", quote(mirror))).unwrap_or_default(),
        );
        run(&mut minter, &batch).await.map_err(cannot_mint)?;
        Ok(Self { minter, role, password })
    }

    /// Gives the role what the effect names, in one transaction. A mirrored role has its rights by membership.
    pub(super) async fn grant(&mut self, job: &Job) -> Result<(), Report> {
        grant(&mut self.minter, &self.role, job).await
    }

    /// Asks what will be asked once there is an effect, so that the server has read its own tables by then.
    pub(super) async fn warm(&mut self) {
        for question in [facts_of(&["''".to_owned()]), wider(&["''".to_owned()], &["''".to_owned()], "")] {
            let _ = table(&mut self.minter, &question).await;
        }
    }

    /// A session of the minted role.
    pub(super) async fn connect(&self, target: &Registration) -> Result<PgConnection, Report> {
        connect(target, &self.role, &self.password).await
    }

    /// Both at once. If the role cannot have its rights, there is no session.
    pub(super) async fn grant_and_connect(&mut self, job: &Job) -> Result<PgConnection, Report> {
        let Self { minter, role, password } = self;
        let (granted, connected) = future::join(grant(minter, role, job), connect(&job.target, role, password)).await;
        granted.and(connected)
    }

    /// The minter's session, for questions of ours.
    pub(super) fn minter(&mut self) -> &mut PgConnection {
        &mut self.minter
    }

    /// Takes everything back. An error leaves the role to the next sweep; the run's outcome does not change.
    pub(super) async fn drop(mut self) {
        let _ = remove(&mut self.minter, &self.role).await;
        let _ = self.minter.close().await;
    }
}

async fn grant(minter: &mut PgConnection, role: &str, job: &Job) -> Result<(), Report> {
    let Address::Postgresql { database, mirror, .. } = &job.target.address else { return Err(not_ours()) };
    if job.effect.commits_itself || job.effect.relations.iter().any(|r| r.verbs.contains(&Verb::Define)) {
        return Err(failed(
            FailCode::BadOrder,
            "no grant covers a change of the schema; register the target once more with a login that owns the objects",
        ));
    }
    if mirror.is_some() {
        return Ok(());
    }
    let grants = grants(minter, job, role, database).await?;
    if grants.is_empty() {
        return Ok(());
    }
    run(minter, &format!("BEGIN; {grants} COMMIT")).await.map_err(cannot_mint)
}

async fn connect(target: &Registration, role: &str, password: &str) -> Result<PgConnection, Report> {
    let Address::Postgresql { mirror, .. } = &target.address else { return Err(not_ours()) };
    let mut db = open(target, role, password.as_bytes()).await?;
    if let Some(role) = mirror {
        // The minted login is a member of this role only, so falling back to itself gains nothing.
        run(&mut db, &format!("SET ROLE {}", quote(role))).await?;
    }
    Ok(db)
}

fn cannot_mint(report: Report) -> Report {
    let Report::Failed { detail, .. } = report else { return report };
    failed(
        FailCode::BadOrder,
        &format!(
            "the login cannot mint a role with the rights of this effect ({detail}); let it own the relations or grant to it WITH GRANT OPTION"
        ),
    )
}

/// 192 bits in characters that a role name takes as they are.
#[allow(clippy::expect_used, reason = "without randomness no secret can be made")]
fn random() -> String {
    let mut raw = [0; 24];
    rand::fill(&mut raw).expect("the system's random source answers");
    URL_SAFE_NO_PAD.encode(raw).replace('-', "x").replace('_', "y").to_lowercase()
}

/// What the server stores of a password (RFC 5803), so that the password itself stands in no statement and no log. One
/// iteration: a random password needs no stretching.
#[allow(clippy::expect_used, reason = "without randomness no secret can be made")]
fn scram(password: &str) -> String {
    let mut salt = [0; 16];
    rand::fill(&mut salt).expect("the system's random source answers");
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        std::num::NonZeroU32::MIN,
        &salt,
        password.as_bytes(),
        salted.as_mut_slice(),
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, salted.as_slice());
    let stored = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let [salt, stored, server] = [salt.as_slice(), stored.as_ref(), server.as_ref()].map(|b| STANDARD.encode(b));
    format!("SCRAM-SHA-256$1:{salt}${stored}:{server}")
}

/// What the effect needs, as GRANT statements. Names come from the server, spelled by it.
async fn grants(minter: &mut PgConnection, job: &Job, role: &str, database: &str) -> Result<String, Report> {
    let used: Vec<&RelationUse> = job.effect.relations.iter().filter(|r| !of_the_server(&r.name)).collect();
    let mut sql = String::new();
    if !used.is_empty() {
        let names: Vec<String> = used.iter().map(|r| literal(&r.name)).collect();
        let facts = table(minter, &facts_of(&names)).await?;
        for wanted in &used {
            let found = facts.iter().find(|row| row[0].as_deref() == Some(&wanted.name));
            let Some([_, Some(name), Some(kind), columns]) = found.map(Vec::as_slice) else {
                let gone = format!("the relation {} is gone", wanted.name);
                return Err(failed(FailCode::StatementFailed, &gone));
            };
            let rights = if kind == "S" {
                "USAGE, SELECT, UPDATE".to_owned()
            } else {
                // What code of users names does not stand in the artifact, so then no column is known to be unnamed.
                let text = Some(job.artifact.as_str()).filter(|_| !job.effect.runs_code_of_users());
                rights_on(wanted, columns.as_deref(), text)
            };
            if !rights.is_empty() {
                // What only its view's owner may read cannot be passed on, and need not be: the fence binds it.
                sql += &format!(
                    "DO $do$ BEGIN GRANT {rights} ON {name} TO {role}; EXCEPTION WHEN insufficient_privilege THEN NULL; END $do$;"
                );
            }
        }
    }
    let schemas: Vec<String> = used
        .iter()
        .map(|r| r.name.as_str())
        .chain(job.effect.functions.iter().map(String::as_str))
        .filter_map(|name| name.split_once('.').map(|(schema, _)| literal(schema)))
        .collect();
    let functions: Vec<String> =
        job.effect.functions.iter().filter(|f| !of_the_server(f)).map(|f| literal(f)).collect();
    for grant in strings(minter, &wider(&schemas, &functions, database)).await? {
        sql += &format!("{grant} TO {role};");
    }
    Ok(sql)
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "NULL".to_owned() } else { items.join(", ") }
}

/// Kind and columns of relations.
fn facts_of(names: &[String]) -> String {
    format!(
        "SELECT n.nspname || '.' || c.relname, c.oid::regclass::text, c.relkind::text,
           (SELECT json_agg(a.attname ORDER BY a.attnum)::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname IN ({}) AND c.relkind IN ('r','p','v','m','f','S')",
        list(names)
    )
}

/// What everybody may do anyway needs no grant, which the minter might not be able to give.
fn wider(schemas: &[String], functions: &[String], database: &str) -> String {
    format!(
        "SELECT 'GRANT USAGE ON SCHEMA ' || quote_ident(nspname) FROM pg_namespace WHERE nspname IN ({})
           AND nspname NOT IN ('pg_catalog', 'information_schema') AND NOT has_schema_privilege('public', oid, 'USAGE')
         UNION ALL SELECT 'GRANT EXECUTE ON ROUTINE ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
           WHERE lower(n.nspname || '.' || p.proname) IN ({}) AND NOT has_function_privilege('public', p.oid, 'EXECUTE')
         UNION ALL SELECT 'GRANT CONNECT ON DATABASE ' || quote_ident(datname) FROM pg_database WHERE datname = {}
           AND NOT has_database_privilege('public', oid, 'CONNECT')",
        list(schemas),
        list(functions),
        literal(database)
    )
}

fn of_the_server(name: &str) -> bool {
    name.starts_with("pg_catalog.") || name.starts_with("information_schema.")
}

/// Column-level where the effect names columns. Looking at rows without a column, or locking them, needs a right on some
/// column: one that the statement does not name. `columns`: all of the relation's, as JSON.
fn rights_on(used: &RelationUse, columns: Option<&str>, artifact: Option<&str>) -> String {
    let all: Vec<String> = columns.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let on = |right: &str, columns: &[String]| {
        if columns.iter().any(|c| c == "*") {
            return Some(right.to_owned());
        }
        let some: Vec<String> = match columns {
            [] => artifact
                .and_then(|text| unnamed_column(all.iter().map(String::as_str), text))
                .map(quote)
                .into_iter()
                .collect(),
            _ => columns.iter().map(|c| quote(c)).collect(),
        };
        (!some.is_empty()).then(|| format!("{right} ({})", some.join(", ")))
    };
    let rights: Vec<String> = used
        .verbs
        .iter()
        .filter_map(|verb| match verb {
            Verb::Read => on("SELECT", &used.reads),
            Verb::Insert => on("INSERT", &used.writes),
            Verb::Update => on("UPDATE", &used.writes),
            Verb::Delete => Some("DELETE".to_owned()),
            Verb::Define => None,
        })
        .collect();
    rights.join(", ")
}

/// Drops roles that no living minter holds.
async fn sweep(db: &mut PgConnection) -> Result<(), Report> {
    let left = format!(
        "SELECT rolname::text FROM pg_roles WHERE rolname LIKE '{}%' LIMIT {SWEPT_MAX}",
        PREFIX.replace('_', "\\_")
    );
    for role in strings(db, &left).await? {
        let free = strings(db, &format!("SELECT pg_try_advisory_lock({})::text", lock_of(&role))).await?;
        if free.first().map(String::as_str) == Some("true") {
            // Another sweeper may be faster, and a role that another login minted is not ours to drop.
            let _ = remove(db, &role).await;
            run(db, &format!("SELECT pg_advisory_unlock({})", lock_of(&role))).await?;
        }
    }
    Ok(())
}

/// Takes back every grant by name and drops the role, in one transaction. `DROP OWNED BY` would need membership.
async fn remove(db: &mut PgConnection, role: &str) -> Result<(), Report> {
    run(db, "ROLLBACK").await?;
    let granted = format!(
        "SELECT DISTINCT CASE d.classid
             WHEN 'pg_class'::regclass THEN (SELECT 'REVOKE ALL ON ' || CASE WHEN c.relkind = 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || d.objid::regclass FROM pg_class c WHERE c.oid = d.objid)
             WHEN 'pg_proc'::regclass THEN 'REVOKE ALL ON ROUTINE ' || d.objid::regprocedure
             WHEN 'pg_namespace'::regclass THEN 'REVOKE ALL ON SCHEMA ' || d.objid::regnamespace
             WHEN 'pg_database'::regclass THEN (SELECT 'REVOKE ALL ON DATABASE ' || quote_ident(datname) FROM pg_database WHERE oid = d.objid) END
         FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid AND d.refclassid = 'pg_authid'::regclass
         WHERE r.rolname = {} AND d.deptype = 'a' AND (d.dbid = 0 OR d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        literal(role)
    );
    let mut batch = "BEGIN;".to_owned();
    for revoke in strings(db, &granted).await? {
        batch += &format!("{revoke} FROM {role};");
    }
    batch += &format!("DROP ROLE IF EXISTS {role}; COMMIT");
    let done = run(db, &batch).await;
    if done.is_err() {
        let _ = run(db, "ROLLBACK").await;
    }
    done
}
