//! A login role for one run, with exactly the grants of the signed effect, dropped afterwards.
//!
//! The statement runs in a session of the minted role and of no other: there is nothing that a role switch inside it could
//! fall back to. The login that mints never runs an artifact. A role is made empty, so that it can be made before it is
//! needed, and gets its grants once the effect is known.
//!
//! If we crash here: the role stays, cannot log in after its deadline, and is swept after the next run. The minter holds an
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

use super::session::{check, literal, not_ours, open, quote, run, strings, table};
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
    /// Makes a role that may do nothing yet.
    pub(super) async fn empty(target: &Registration, credential: &[u8]) -> Result<Self, Report> {
        let Address::Postgresql { login, mirror, .. } = &target.address else { return Err(not_ours()) };
        let mut minter = open(target, login, credential).await?;
        let (role, password) = (format!("{PREFIX}{}", random()), Zeroizing::new(random()));
        let seconds = target.statement_timeout_ms / 1000 + SLACK_S;
        // By the server's clock.
        let deadline = format!("SELECT (pg_catalog.now() + interval '{seconds} seconds')::text");
        let until = strings(&mut minter, &deadline).await?.pop().unwrap_or_default();
        // Nothing is lost if the server loses the role in a crash, so nobody waits for its disk.
        let batch = format!(
            "SET synchronous_commit = off; SELECT pg_advisory_lock({lock}); BEGIN;
             CREATE ROLE {role} LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 1 PASSWORD {verifier} VALID UNTIL {until};
             {member} COMMIT",
            lock = lock_of(&role),
            verifier = literal(&scram(&password)),
            until = literal(&until),
            member = mirror.as_ref().map(|mirror| format!("GRANT {} TO {role};", quote(mirror))).unwrap_or_default(),
        );
        if let Err(report) = run(&mut minter, &batch).await {
            // What the login lacks is better told by the question for it.
            run(&mut minter, "ROLLBACK").await?;
            check(&mut minter, target).await?;
            return Err(cannot_mint(report));
        }
        Ok(Self { minter, role, password })
    }

    /// Gives the role what the effect names, in one transaction, once the login that mints was found to have no powers that it
    /// must not have. A mirrored role has its rights by membership.
    pub(super) async fn grant(&mut self, job: &Job) -> Result<(), Report> {
        grant(&mut self.minter, &self.role, job).await
    }

    /// Asks what will be asked once there is an effect, so that the server has read its own tables by then.
    pub(super) async fn warm(&mut self) {
        let none = RelationUse { name: "public.none".to_owned(), ..RelationUse::default() };
        let _ = table(&mut self.minter, &questions(&[&none], &[], "postgres")).await;
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

    /// Takes everything back, also what earlier runs may have left. An error leaves the role to the next sweep; the run's outcome
    /// does not change.
    pub(super) async fn drop(mut self) {
        let _ = remove(&mut self.minter, &self.role).await;
        let _ = sweep(&mut self.minter).await;
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
    check(minter, &job.target).await?;
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
pub(super) fn scram(password: &str) -> String {
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

/// What the effect needs, as GRANT statements. Names of relations come from the server, spelled by it.
async fn grants(minter: &mut PgConnection, job: &Job, role: &str, database: &str) -> Result<String, Report> {
    let used: Vec<&RelationUse> = job.effect.relations.iter().filter(|r| !of_the_server(&r.name)).collect();
    let answers = table(minter, &questions(&used, &job.effect.functions, database)).await?;
    let mut sql = String::new();
    for wanted in &used {
        let found = answers.iter().find(|row| row.len() > 1 && row[0].as_deref() == Some(&wanted.name));
        let Some([_, Some(name), Some(kind), columns, whole]) = found.map(Vec::as_slice) else {
            let gone = format!("the relation {} is gone, or the login may not use its schema", wanted.name);
            return Err(failed(FailCode::StatementFailed, &gone));
        };
        let rights = match kind.as_str() {
            "sequence" => "USAGE, SELECT, UPDATE".to_owned(),
            "table" | "view" | "materialized view" | "foreign table" => {
                // What code of users names does not stand in the artifact, so then no column is known to be unnamed.
                let text = Some(job.artifact.as_str()).filter(|_| !job.effect.runs_code_of_users());
                rights_on(wanted, columns.as_deref(), text)
            }
            _ => return Err(failed(FailCode::StatementFailed, &format!("{} is no relation with rows", wanted.name))),
        };
        if !rights.is_empty() && whole.as_deref() == Some("true") {
            sql += &format!("GRANT {rights} ON {name} TO {role};");
        } else if !rights.is_empty() {
            // What only its view's owner may read cannot be passed on, and need not be: the fence binds it.
            sql += &format!(
                "DO $do$ BEGIN GRANT {rights} ON {name} TO {role}; EXCEPTION WHEN insufficient_privilege THEN NULL; END $do$;"
            );
        }
    }
    for grant in answers.into_iter().filter(|row| row.len() == 1).flatten().flatten() {
        sql += &format!("{grant} TO {role};");
    }
    Ok(sql)
}

/// In rows of five: spelling, kind and columns (where one may be needed) of each relation, and whether every right on its rows
/// can be passed on. In rows of one: rights to grant besides. What everybody may do anyway needs no grant, which the minter might
/// not be able to give. As far as can be without reading tables of the server, which a new session would have to get to know.
fn questions(used: &[&RelationUse], functions: &[String], database: &str) -> String {
    let mut sql = String::new();
    if !used.is_empty() {
        let rows: Vec<String> = used.iter().map(|relation| question_for(relation)).collect();
        let may = |right: &str| format!("pg_catalog.has_table_privilege(v.rel, '{right} WITH GRANT OPTION')");
        let whole = ["SELECT", "INSERT", "UPDATE", "DELETE"].map(may).join(" AND ");
        sql += &format!(
            "SELECT v.name, v.rel::text, (pg_catalog.pg_identify_object_as_address('pg_catalog.pg_class'::regclass, v.rel, 0)).type,
               v.columns, ({whole})::text FROM (VALUES {}) v(name, rel, columns);",
            rows.join(", ")
        );
    }
    let ours: Vec<&String> = functions.iter().filter(|f| !of_the_server(f)).collect();
    let mut schemas: Vec<&str> = used
        .iter()
        .map(|r| r.name.as_str())
        .chain(ours.iter().map(|name| name.as_str()))
        .filter_map(|name| name.split_once('.').map(|(schema, _)| schema))
        .collect();
    schemas.sort_unstable();
    schemas.dedup();
    let mut rights: Vec<String> = schemas
        .into_iter()
        .map(|schema| {
            let grant = literal(&format!("GRANT USAGE ON SCHEMA {}", quote(schema)));
            let schema = literal(&quote(schema));
            format!("(CASE WHEN NOT pg_catalog.has_schema_privilege('public', pg_catalog.to_regnamespace({schema}), 'USAGE') THEN {grant} END)")
        })
        .collect();
    let connect = literal(&format!("GRANT CONNECT ON DATABASE {}", quote(database)));
    let database = literal(database);
    rights.push(format!(
        "(CASE WHEN NOT pg_catalog.has_database_privilege('public', {database}, 'CONNECT') THEN {connect} END)"
    ));
    sql += &format!("VALUES {};", rights.join(", "));
    if !ours.is_empty() {
        let names: Vec<String> = ours.into_iter().map(|name| literal(name)).collect();
        sql += &format!(
            "SELECT 'GRANT EXECUTE ON ROUTINE ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE lower(n.nspname || '.' || p.proname) IN ({}) AND NOT has_function_privilege('public', p.oid, 'EXECUTE')",
            names.join(", ")
        );
    }
    sql
}

fn question_for(used: &RelationUse) -> String {
    let (schema, name) = used.name.split_once('.').unwrap_or(("", &used.name));
    let (schema, full) = (literal(&quote(schema)), literal(&format!("{}.{}", quote(schema), quote(name))));
    // A name in a schema that the login may not use would be an error.
    let rel = format!(
        "CASE WHEN pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace({schema}), 'USAGE') THEN pg_catalog.to_regclass({full}) END"
    );
    let unnamed = used.verbs.iter().any(|verb| match verb {
        Verb::Read => used.reads.is_empty(),
        Verb::Insert | Verb::Update => used.writes.is_empty(),
        Verb::Delete | Verb::Define => false,
    });
    let columns = if unnamed {
        format!(
            "(SELECT json_agg(a.attname ORDER BY a.attnum)::text FROM pg_attribute a WHERE a.attrelid = {rel} AND a.attnum > 0 AND NOT a.attisdropped)"
        )
    } else {
        "NULL".to_owned()
    };
    format!("({}, {rel}, {columns})", literal(&used.name))
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
