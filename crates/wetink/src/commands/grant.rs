//! Granting: keys, targets, tasks, policy. Each is a statement that a person signs.

use std::collections::BTreeMap;

use anyhow::Result;
use artifact::{Digest, TaskId};
use wire::people::{GrantRequest, NewPass, Overview};
use wire::target::{Address, Approvals, Registration, Rights, Tls};

use crate::exit::{Exit, Failure};
use crate::person::{Terminal, line};

/// A target to register.
#[derive(clap::Args)]
pub(crate) struct TargetAdd {
    /// Short name.
    pub(crate) name: String,
    /// sqlite:/path/to/file, postgres://login@host:port/database, mariadb://login@host:port/database (without a password), or https://host.
    pub(crate) address: String,
    /// prod, staging, dev ...
    #[arg(long, default_value = "dev")]
    pub(crate) environment: String,
    /// The person's own role: runs obey its rights and row-level security.
    #[arg(long)]
    pub(crate) mirror: Option<String>,
    /// Mint a role for each run, with exactly the grants of the signed effect; the login needs CREATEROLE (MariaDB: CREATE
    /// USER). With `if-possible` a login that may not runs with its own rights, at high risk.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub(crate) minted: Option<Minting>,
    /// relation.column=personal (or health, secret); repeatable.
    #[arg(long = "label")]
    pub(crate) labels: Vec<String>,
    /// Schemas where unqualified names are looked up; repeatable.
    #[arg(long)]
    pub(crate) search_path: Vec<String>,
    /// PEM file with the server's root certificate.
    #[arg(long)]
    pub(crate) ca_file: Option<String>,
    /// Name of the credential (`wetink secret set NAME`).
    #[arg(long)]
    pub(crate) credential: Option<String>,
    /// Different people who must sign each run here, whatever the policy says.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) quorum: u32,
    /// The person who opened the task does not count among them.
    #[arg(long)]
    pub(crate) not_requester: bool,
    /// What may be sent to an https:// target, e.g. "GET /v1/**"; repeatable.
    #[arg(long = "request")]
    pub(crate) requests: Vec<String>,
    /// Header that the credential of an https:// target goes into, with what stands before it (default: authorization: Bearer).
    #[arg(long)]
    pub(crate) credential_header: Option<String>,
    /// The host may have an address of a private network.
    #[arg(long)]
    pub(crate) private: bool,
}

/// When roles are minted.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Minting {
    Always,
    IfPossible,
}

/// Reads an address. Passwords do not belong into addresses: they go to the guard by `secret set`.
pub(crate) fn registration(add: TargetAdd) -> Result<Registration> {
    let usage = |why: &str| Failure::of(Exit::Usage, why.to_owned());
    let labels: BTreeMap<String, String> = add
        .labels
        .iter()
        .map(|l| {
            l.split_once('=')
                .map(|(c, l)| (c.to_owned(), l.to_owned()))
                .ok_or_else(|| usage("a label has the form relation.column=personal"))
        })
        .collect::<Result<_>>()?;
    let (address, run_as, credential) = if let Some(path) = add.address.strip_prefix("sqlite:") {
        let path = std::fs::canonicalize(path)
            .map_err(|_| usage("there is no such SQLite file; give the path of an existing one"))?;
        let path = path.to_str().ok_or_else(|| usage("the path is not UTF-8"))?.to_owned();
        (Address::Sqlite { path }, "owner".to_owned(), None)
    } else if add.address.starts_with("https://") || add.address.starts_with("http://") {
        if add.requests.is_empty() {
            return Err(usage("say what may be sent there, e.g. --request \"GET /v1/**\""));
        }
        // With a credential, the usual header unless another one is named.
        let given =
            add.credential_header.or_else(|| add.credential.as_ref().map(|_| "authorization: Bearer".to_owned()));
        let (credential_header, credential_prefix) =
            match given.as_deref().map(|text| text.split_once(':').unwrap_or((text, ""))) {
                None => (None, String::new()),
                Some((name, prefix)) => {
                    let prefix = prefix.trim();
                    (Some(name.to_owned()), if prefix.is_empty() { String::new() } else { format!("{prefix} ") })
                }
            };
        let origin = add.address.trim_end_matches('/').to_owned();
        let private = add.private;
        let address = Address::Http {
            origin,
            requests: add.requests,
            credential_header,
            credential_prefix,
            private,
            ca_file: add.ca_file,
        };
        (address, "the gateway".to_owned(), add.credential)
    } else if let Some((scheme, server)) = server(&add.address).map_err(|why| usage(&why))? {
        let Server { login, host, port, database } = server;
        let local = host.starts_with('/') || ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
        let tls = if local { Tls::Disable } else { Tls::Require };
        let rights = match add.minted {
            None => Rights::Login,
            Some(Minting::Always) => Rights::Minted,
            Some(Minting::IfPossible) => Rights::MintedIfPossible,
        };
        let run_as = match &add.mirror {
            Some(role) => role.clone(),
            None if rights == Rights::Minted => {
                format!("a {} minted for the run", if scheme == Scheme::Mariadb { "user" } else { "role" })
            }
            None if rights == Rights::MintedIfPossible => format!("minted for the run if {login} may, else {login}"),
            None => login.clone(),
        };
        let address = match scheme {
            Scheme::Mariadb if add.mirror.is_some() || !add.search_path.is_empty() => {
                return Err(usage(
                    "MariaDB has no rows of a role's own and no search path; leave --mirror and --search-path out",
                ));
            }
            Scheme::Mariadb => Address::Mariadb {
                host,
                port: port.unwrap_or(3306),
                database,
                login,
                rights,
                tls,
                ca_file: add.ca_file,
            },
            Scheme::Postgresql => Address::Postgresql {
                host,
                port: port.unwrap_or(5432),
                database,
                login,
                mirror: add.mirror,
                rights,
                tls,
                ca_file: add.ca_file,
                search_path: if add.search_path.is_empty() { vec!["public".to_owned()] } else { add.search_path },
            },
        };
        (address, run_as, add.credential)
    } else {
        return Err(usage(
            "a target is sqlite:/path/to/file, postgres://login@host:port/database, mariadb://login@host:port/database or https://host",
        ));
    };
    let registration = Registration {
        name: add.name,
        address,
        environment: add.environment,
        run_as,
        credential,
        statement_timeout_ms: 30_000,
        result_rows_max: 1_000,
        labels,
        approvals: Approvals { quorum: add.quorum, not_requester: add.not_requester },
    };
    registration.check().map_err(|error| usage(&error.to_string()))?;
    Ok(registration)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Postgresql,
    Mariadb,
}

/// A server's address as it is typed.
struct Server {
    login: String,
    host: String,
    port: Option<u16>,
    database: String,
}

/// Reads `scheme://login@host:port/database`; none if the scheme is no server's.
fn server(address: &str) -> std::result::Result<Option<(Scheme, Server)>, String> {
    let schemes = [
        ("postgres://", Scheme::Postgresql),
        ("postgresql://", Scheme::Postgresql),
        ("mariadb://", Scheme::Mariadb),
        ("mysql://", Scheme::Mariadb),
    ];
    let Some((prefix, scheme)) = schemes.into_iter().find(|(prefix, _)| address.starts_with(prefix)) else {
        return Ok(None);
    };
    let form = || format!("use {prefix}login@host:port/database, without a password");
    let rest = address.get(prefix.len()..).unwrap_or_default();
    let (login, rest) = rest.split_once('@').ok_or_else(form)?;
    if login.contains(':') {
        return Err("the address holds a password; leave it out and store it with `wetink secret set NAME`".to_owned());
    }
    let (host, database) = rest.rsplit_once('/').ok_or_else(form)?;
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| "the port is not a number".to_owned())?)),
        None => (host, None),
    };
    // A socket is written with %2F, as libpq does.
    let host = host.replace("%2F", "/").replace("%2f", "/");
    Ok(Some((scheme, Server { login: login.to_owned(), host, port, database: database.to_owned() })))
}

/// Registers a target.
pub(crate) async fn target_add(terminal: &Terminal, add: TargetAdd) -> Result<()> {
    let registration = registration(add)?;
    let client = terminal.sign_in().await?;
    let name = registration.name.clone();
    terminal.grant(&client, GrantRequest::Target { registration }).await?;
    terminal.print(&serde_json::json!({ "target": name }), || format!("target {name} is registered"))
}

/// What is granted.
pub(crate) async fn list(terminal: &Terminal, what: &str) -> Result<()> {
    let client = terminal.sign_in().await?;
    let overview: Overview = client.get("/api/v1/overview").await?;
    let registry = overview.registry;
    match what {
        "targets" => terminal.print(&registry.targets, || {
            let line = |t: &wire::socket::TargetView| {
                format!(
                    "{:<20} {:<16} {:<8} {}\n",
                    t.registration.name,
                    t.registration.kind(),
                    t.registration.environment,
                    t.fingerprint
                )
            };
            registry.targets.iter().map(line).collect()
        }),
        "keys" => terminal.print(&registry.keys, || {
            let line = |k: &wire::socket::KeyView| {
                let state = k.revoked_at.map_or("granted".to_owned(), |at| format!("revoked {at}"));
                format!("{:<16} {:<24} {state}  {}\n", artifact::visible(&k.person), k.roles.join(","), k.fingerprint)
            };
            registry.keys.iter().map(line).collect()
        }),
        _ => terminal.print(&registry.tasks, || {
            let line = |t: &wire::socket::TaskView| {
                let value = |name| line(&t.statement, name).unwrap_or_default();
                let state = t
                    .closed_at
                    .map_or_else(|| format!("open until {}", value("not-after")), |at| format!("closed {at}"));
                format!(
                    "{:<16} {state}  {}  {} rows used\n",
                    value("task"),
                    artifact::visible(value("title")),
                    t.rows_used
                )
            };
            registry.tasks.iter().map(line).collect()
        }),
    }
}

/// `task new`.
pub(crate) async fn task_new(terminal: &Terminal, request: GrantRequest) -> Result<()> {
    let client = terminal.sign_in().await?;
    let statement = terminal.grant(&client, request).await?;
    let task = line(&statement, "task").unwrap_or_default().to_owned();
    terminal.print(&serde_json::json!({ "task": task }), || {
        format!("task {task} is open\n  connect an agent: wetink connect claude-code --task {task}")
    })
}

/// A pass for an agent.
pub(crate) async fn pass(terminal: &Terminal, task: TaskId, minutes: u32, key: Option<String>) -> Result<NewPass> {
    let client = terminal.sign_in().await?;
    client.post("/api/v1/passes", &serde_json::json!({ "task": task, "minutes": minutes, "key": key })).await
}

/// Anything else that is a signed statement and nothing more.
pub(crate) async fn simple(terminal: &Terminal, request: GrantRequest, done: &str) -> Result<()> {
    let client = terminal.sign_in().await?;
    terminal.grant(&client, request).await?;
    terminal.print(&serde_json::json!({ "done": done }), || done.to_owned())
}

/// Presses stop. No signature: stopping is always free.
pub(crate) async fn stop(terminal: &Terminal, scope: &str) -> Result<()> {
    let client = terminal.sign_in().await?;
    client.post::<serde_json::Value>("/api/v1/stop", &serde_json::json!({ "scope": scope })).await?;
    terminal.print(&serde_json::json!({ "stopped": scope }), || {
        format!("stopped: {scope}. Resume with `wetink resume {scope}` (needs a signature).")
    })
}

/// Revokes a key.
pub(crate) async fn revoke(terminal: &Terminal, fingerprint: Digest) -> Result<()> {
    simple(terminal, GrantRequest::RevokeKey { fingerprint }, "the key is revoked").await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(address: &str) -> TargetAdd {
        TargetAdd {
            name: "shop".into(),
            address: address.into(),
            environment: "dev".into(),
            mirror: None,
            minted: None,
            labels: vec!["public.customers.email=personal".into()],
            search_path: vec![],
            ca_file: None,
            credential: Some("shop".into()),
            quorum: 1,
            not_requester: false,
            requests: vec![],
            credential_header: None,
            private: false,
        }
    }

    #[test]
    fn addresses_are_read_and_passwords_refused() {
        let made = registration(add("postgres://app@db.example:5433/shop")).unwrap();
        let Address::Postgresql { host, port, tls, .. } = &made.address else { panic!("PostgreSQL") };
        assert_eq!((host.as_str(), *port, *tls), ("db.example", 5433, Tls::Require));
        let socket = registration(add("postgres://app@%2Frun%2Fpostgresql/shop")).unwrap();
        assert!(
            matches!(&socket.address, Address::Postgresql { host, tls: Tls::Disable, .. } if host == "/run/postgresql")
        );
        let maria = registration(add("mariadb://app@%2Frun%2Fmysqld%2Fmysqld.sock/shop")).unwrap();
        assert!(
            matches!(&maria.address, Address::Mariadb { host, port: 3306, .. } if host == "/run/mysqld/mysqld.sock")
        );
        assert!(registration(TargetAdd { mirror: Some("ada".into()), ..add("mariadb://app@localhost/shop") }).is_err());
        for bad in [
            "postgres://app:pw@h/shop",
            "mysql://x:pw@h/d",
            "oracle://x@h/d",
            "sqlite:/no/such/file",
            "postgres://h/shop",
            "postgres://a@h:x/shop",
        ] {
            assert!(registration(add(bad)).is_err(), "{bad}");
        }
    }
}
