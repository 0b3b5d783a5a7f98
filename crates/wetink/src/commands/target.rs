//! Registering a target: its address as it is typed, and what may be done there.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use doors::people::{GrantRequest, MAIL_LABELS};
use wire::payments::Payments;
use wire::target::{Address, Approvals, AwsService, McpServer, Registration, Rights, Tls};
use wire::whose::Whose;

use crate::exit::{Exit, Failure};
use crate::person::Terminal;

/// A target to register.
#[derive(clap::Args)]
pub(crate) struct TargetAdd {
    /// Short name.
    pub(crate) name: String,
    /// sqlite:/path/to/file, postgres://login@host:port/database, mariadb://login@host:port/database (without a password),
    /// https://host, mcp+https://host/path, "mcp:/path/to/program its arguments", or imaps://host for a mailbox.
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
    /// A login that the credential's server lends for each run (`secret refer --broker`). The address names its role instead of a
    /// login.
    #[arg(long, conflicts_with = "minted")]
    pub(crate) leased: bool,
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
    /// Whose credential a run has: each person's own, stored with `wetink secret set NAME --of PERSON`.
    #[arg(long, requires = "credential", conflicts_with_all = ["minted", "mirror"])]
    pub(crate) credential_of: Option<Owner>,
    /// Different people who must sign each run here, whatever the policy says.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) quorum: u32,
    /// The person who opened the task does not count among them.
    #[arg(long)]
    pub(crate) not_requester: bool,
    /// What may be sent to an https:// target, e.g. "GET /v1/**", or called at an MCP server: "ASK /name" for a tool that only
    /// reads, "CALL /name" for another; repeatable.
    #[arg(long = "request")]
    pub(crate) requests: Vec<String>,
    /// Header that the credential of an https:// target goes into, with what stands before it (default: authorization: Bearer).
    #[arg(long)]
    pub(crate) credential_header: Option<String>,
    /// Sign requests for a service of AWS, e.g. eu-central-1/s3; the credential is two or three lines: access key id, secret access key,
    /// session token.
    #[arg(long)]
    pub(crate) aws: Option<String>,
    /// The service's description (OpenAPI 3, JSON or YAML): shown beside requests and held against them.
    #[arg(long)]
    pub(crate) openapi: Option<std::path::PathBuf>,
    /// TOML file that says which requests of an https:// target are payments, where they say amount and payee, and their limits
    /// (docs/payments.md).
    #[arg(long)]
    pub(crate) payments: Option<std::path::PathBuf>,
    /// Header in which an https:// target takes a key for carrying a request out once, e.g. idempotency-key.
    #[arg(long)]
    pub(crate) idempotency_header: Option<String>,
    /// Path of an https:// target that takes GraphQL, e.g. /graphql: queries count as reads, mutations are changes.
    #[arg(long)]
    pub(crate) graphql: Option<String>,
    /// Days after which the credential is due: the guard changes passwords of PostgreSQL and MariaDB by itself, others are alerts.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=366))]
    pub(crate) rotate_after: Option<u64>,
    /// What people signed goes along with each request that they signed, so that the service can check it (docs/receipts.md).
    #[arg(long)]
    pub(crate) receipts: bool,
    /// The host may have an address of a private network.
    #[arg(long)]
    pub(crate) private: bool,
    #[command(flatten)]
    pub(crate) mail: MailAdd,
    /// File or folder besides the system's that an MCP server's program may read and run; repeatable.
    #[arg(long = "reads")]
    pub(crate) reads: Vec<String>,
    /// File or folder that it may also write; repeatable.
    #[arg(long = "writes")]
    pub(crate) writes: Vec<String>,
    /// TCP port that it may connect to; repeatable.
    #[arg(long = "connects")]
    pub(crate) ports: Vec<u16>,
    /// Variable of its environment that the credential goes into.
    #[arg(long)]
    pub(crate) credential_variable: Option<String>,
}

/// What a mailbox needs besides the place where it is read.
#[derive(Args, Default)]
pub(crate) struct MailAdd {
    /// Address that mail is sent from.
    #[arg(long = "from")]
    from: Option<String>,
    /// Where mail is sent: smtps://host or smtp+starttls://host.
    #[arg(long)]
    smtp: Option<String>,
    /// Login at both servers (default: the address).
    #[arg(long)]
    login: Option<String>,
    /// The credential is an OAuth 2 access token (XOAUTH2), not a password.
    #[arg(long)]
    oauth: bool,
    /// Seconds that a mail waits before it is sent, at most 15.
    #[arg(long, default_value_t = 10)]
    outbox: u32,
}

/// Whose own credential a run has.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Owner {
    /// The person who opened the task.
    Requester,
    /// The person who signed.
    Signer,
}

impl Owner {
    const fn words(self) -> &'static str {
        match self {
            Self::Requester => "whoever opened the task",
            Self::Signer => "whoever signs",
        }
    }
}

impl From<Owner> for Whose {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::Requester => Self::Requester,
            Owner::Signer => Self::Signer,
        }
    }
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
    let mut labels: BTreeMap<String, String> = add
        .labels
        .iter()
        .map(|l| {
            l.split_once('=')
                .map(|(c, l)| (c.to_owned(), l.to_owned()))
                .ok_or_else(|| usage("a label has the form relation.column=personal"))
        })
        .collect::<Result<_>>()?;
    if add.address.starts_with("imap") {
        for part in MAIL_LABELS {
            labels.entry(part.to_owned()).or_insert_with(|| "personal".to_owned());
        }
    }
    let payments = match &add.payments {
        Some(file) => payments(file).map_err(|why| usage(&why))?,
        None => Payments::default(),
    };
    let (address, run_as, credential) = if let Some(path) = add.address.strip_prefix("sqlite:") {
        let path = std::fs::canonicalize(path)
            .map_err(|_| usage("there is no such SQLite file; give the path of an existing one"))?;
        let path = path.to_str().ok_or_else(|| usage("the path is not UTF-8"))?.to_owned();
        (Address::Sqlite { path }, "owner".to_owned(), None)
    } else if add.address.starts_with("https://") || add.address.starts_with("http://") {
        service(&add).map_err(|why| usage(&why))?
    } else if add.address.starts_with("imaps://") || add.address.starts_with("imap://") {
        mailbox(&add).map_err(|why| usage(&why))?
    } else if add.address.starts_with("mcp:") || add.address.starts_with("mcp+") {
        mcp(&add).map_err(|why| usage(&why))?
    } else if let Some((scheme, server)) = server(&add.address).map_err(|why| usage(&why))? {
        let Server { login, host, port, database } = server;
        let local = host.starts_with('/') || ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
        let tls = if local { Tls::Disable } else { Tls::Require };
        let rights = match add.minted {
            // The credential names the login.
            None if add.leased || add.credential_of.is_some() => Rights::Leased,
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
            None if rights == Rights::Leased => format!("a login lent as {login}"),
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
            "a target is sqlite:/path/to/file, postgres://login@host:port/database, mariadb://login@host:port/database, https://host, mcp+https://host/path or \"mcp:/path/to/program its arguments\"",
        ));
    };
    let run_as = add.credential_of.map_or(run_as, |owner| owner.words().to_owned());
    let registration = Registration {
        name: add.name,
        address,
        environment: add.environment,
        run_as,
        credential,
        credential_of: add.credential_of.map(Whose::from),
        statement_timeout_ms: 30_000,
        result_rows_max: 1_000,
        labels,
        approvals: Approvals { quorum: add.quorum, not_requester: add.not_requester },
        payments,
        idempotency_header: add.idempotency_header,
        receipts: add.receipts,
        rotate_after_s: add.rotate_after.map(|days| days * 86_400),
        graphql: add.graphql,
    };
    registration.check().map_err(|error| usage(&error.to_string()))?;
    Ok(registration)
}

/// Address, whose rights a run has there, name of the credential.
type Reached = (Address, String, Option<String>);

/// With a credential, the usual header unless another one is named.
fn header(add: &TargetAdd) -> (Option<String>, String) {
    let usual = || add.credential.as_ref().map(|_| "authorization: Bearer".to_owned());
    match add.credential_header.clone().or_else(usual).as_deref().map(|text| text.split_once(':').unwrap_or((text, "")))
    {
        None => (None, String::new()),
        Some((name, prefix)) => {
            let prefix = prefix.trim();
            (Some(name.to_owned()), if prefix.is_empty() { String::new() } else { format!("{prefix} ") })
        }
    }
}

fn service(add: &TargetAdd) -> std::result::Result<Reached, String> {
    if add.requests.is_empty() {
        return Err("say what may be sent there, e.g. --request \"GET /v1/**\"".to_owned());
    }
    let aws = match add.aws.as_deref().map(|text| text.split_once('/')) {
        None => None,
        Some(Some((region, service))) if add.credential.is_some() && add.credential_header.is_none() => {
            Some(AwsService { region: region.to_owned(), service: service.to_owned() })
        }
        Some(_) => {
            return Err(
                "--aws is REGION/SERVICE, e.g. eu-central-1/s3, with a --credential and without a header".to_owned()
            );
        }
    };
    let (credential_header, credential_prefix) = if aws.is_some() { (None, String::new()) } else { header(add) };
    let openapi = match &add.openapi {
        None => None,
        Some(file) => {
            let path = std::fs::canonicalize(file).map_err(|error| format!("{}: {error}", file.display()))?;
            Some(path.to_str().ok_or("the description's path is not UTF-8")?.to_owned())
        }
    };
    let address = Address::Http {
        origin: add.address.trim_end_matches('/').to_owned(),
        requests: add.requests.clone(),
        credential_header,
        credential_prefix,
        private: add.private,
        ca_file: add.ca_file.clone(),
        openapi,
        aws,
    };
    Ok((address, "the gateway".to_owned(), add.credential.clone()))
}

/// A mailbox.
fn mailbox(add: &TargetAdd) -> std::result::Result<Reached, String> {
    let from = add.mail.from.clone().ok_or("say which address mail is sent from: --from ada@acme.example")?;
    if add.requests.is_empty() {
        return Err(
            "say what may be done there, e.g. --request \"LIST /**\" --request \"READ /**\" --request \"SEND *@acme.example\""
                .to_owned(),
        );
    }
    let address = Address::Mail {
        imap: add.address.clone(),
        smtp: add.mail.smtp.clone(),
        login: add.mail.login.clone().unwrap_or_else(|| from.clone()),
        oauth: add.mail.oauth,
        outbox_s: add.mail.outbox,
        requests: add.requests.clone(),
        private: add.private,
        ca_file: add.ca_file.clone(),
        address: from.clone(),
    };
    Ok((address, from, add.credential.clone()))
}

/// Longest file about payments, in bytes.
const PAYMENTS_MAX: u64 = 64 * 1024;

/// Which requests are payments, from a file.
fn payments(file: &std::path::Path) -> std::result::Result<Payments, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    if std::fs::metadata(file).map_err(|error| named(&error))?.len() > PAYMENTS_MAX {
        return Err(named(&"it is longer than 64 KiB"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    let payments: Payments = toml::from_str(&text).map_err(|error| named(&error))?;
    match payments.forms.iter().find(|form| !form.is_usable()) {
        Some(form) => Err(named(&format!(
            "the form of `{}` cannot be used: a request that changes something, members named once each, a currency of ISO 4217",
            artifact::visible(&form.request)
        ))),
        None => Ok(payments),
    }
}

/// An MCP server, reached or started.
fn mcp(add: &TargetAdd) -> std::result::Result<Reached, String> {
    if add.requests.is_empty() {
        return Err(
            "say what may be called there, e.g. --request \"ASK /list_issues\" --request \"CALL /create_issue\""
                .to_owned(),
        );
    }
    let server = if let Some(url) = add.address.strip_prefix("mcp+") {
        let scheme = url.find("://").map_or(0, |at| at + 3);
        let path = url[scheme..].find('/').map(|at| scheme + at);
        let (origin, path) = path.map_or((url, "/"), |at| url.split_at(at));
        let (credential_header, credential_prefix) = header(add);
        McpServer::Http {
            origin: origin.to_owned(),
            path: path.to_owned(),
            credential_header,
            credential_prefix,
            private: add.private,
            ca_file: add.ca_file.clone(),
        }
    } else {
        let command: Vec<String> =
            add.address.trim_start_matches("mcp:").split_whitespace().map(str::to_owned).collect();
        if !command.first().is_some_and(|program| program.starts_with('/')) {
            return Err(
                "name the program with its whole path, e.g. \"mcp:/usr/bin/node /opt/server/index.js\"".to_owned()
            );
        }
        if add.credential.is_some() && add.credential_variable.is_none() {
            return Err("say where the program looks for its credential: --credential-variable GITHUB_TOKEN".to_owned());
        }
        McpServer::Stdio {
            command,
            reads: add.reads.clone(),
            writes: add.writes.clone(),
            ports: add.ports.clone(),
            credential_variable: add.credential_variable.clone(),
        }
    };
    let address = Address::Mcp { server, requests: add.requests.clone() };
    Ok((address, "the gateway".to_owned(), add.credential.clone()))
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
    // A socket is written with %2F, as libpq does; so is the role that logins are lent as.
    let slashes = |text: &str| text.replace("%2F", "/").replace("%2f", "/");
    let (host, login) = (slashes(host), slashes(login));
    Ok(Some((scheme, Server { login, host, port, database: database.to_owned() })))
}

/// Registers a target.
pub(crate) async fn target_add(terminal: &Terminal, add: TargetAdd) -> Result<()> {
    let registration = registration(add)?;
    let client = terminal.sign_in().await?;
    let name = registration.name.clone();
    terminal.grant(&client, GrantRequest::Target { registration: Box::new(registration) }).await?;
    terminal.print(&serde_json::json!({ "target": name }), || format!("target {name} is registered"))
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
            leased: false,
            mail: MailAdd::default(),
            labels: vec!["public.customers.email=personal".into()],
            search_path: vec![],
            ca_file: None,
            credential: Some("shop".into()),
            credential_of: None,
            quorum: 1,
            not_requester: false,
            requests: vec![],
            credential_header: None,
            openapi: None,
            aws: None,
            payments: None,
            idempotency_header: None,
            receipts: false,
            rotate_after: None,
            graphql: None,
            private: false,
            reads: vec![],
            writes: vec![],
            ports: vec![],
            credential_variable: None,
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
        let tools = |address: &str| TargetAdd {
            requests: vec!["CALL /*".into()],
            credential_variable: Some("TOKEN".into()),
            ..add(address)
        };
        let made = registration(tools("mcp+https://mcp.example/v1/mcp")).unwrap();
        assert!(matches!(&made.address, Address::Mcp { server: McpServer::Http { origin, path, .. }, .. }
            if origin == "https://mcp.example" && path == "/v1/mcp"));
        let made = registration(tools("mcp:/usr/bin/node  /opt/x.js --all")).unwrap();
        assert!(
            matches!(&made.address, Address::Mcp { server: McpServer::Stdio { command, .. }, .. } if command.len() == 3)
        );
        for bad in ["mcp:node x.js", "mcp+http://mcp.example/mcp", "mcp+https://u@mcp.example/mcp", "mcp:"] {
            assert!(registration(tools(bad)).is_err(), "{bad}");
        }
        let wrong = TargetAdd { requests: vec!["GET /x".into()], ..tools("mcp:/usr/bin/node") };
        assert!(registration(wrong).is_err());
        let loads = TargetAdd { credential_variable: Some("LD_PRELOAD".into()), ..tools("mcp:/usr/bin/node") };
        assert!(registration(loads).is_err());
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
