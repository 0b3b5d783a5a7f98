//! A target's registration: what a person signed when they let Wetink reach it.

use std::collections::BTreeMap;

use artifact::{Digest, Effect, Kind, canonical};
use serde::{Deserialize, Serialize};

use crate::origin::{self, Origin};
use crate::payments::Payments;
use crate::whose::Whose;

/// A registered target. Its fingerprint (SHA-256 of the canonical JSON) stands in every approval statement, so a target
/// that is registered anew makes older approvals void.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Short name: lowercase letters, digits, `-`, `_`; at most 40 characters.
    pub name: String,
    /// Where it is and how it is reached.
    pub address: Address,
    /// `prod`, `staging`, `dev` or the like; shown in words beside the target.
    pub environment: String,
    /// The role or login the run is attributed to at the target. `owner` for SQLite.
    pub run_as: String,
    /// Name of the credential in the guard's vault; none for targets that need none (SQLite).
    pub credential: Option<String>,
    /// Whose own credential a run has; none: that one, the gateway's. People's own are beside it in the vault (see [`own`](crate::whose::own)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_of: Option<Whose>,
    /// Longest a statement may run, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Most rows returned by one run; more are cut off and counted.
    pub result_rows_max: u64,
    /// Labels of columns, `relation.column` to `personal`, `health`, `secret`; what is absent is `plain`.
    pub labels: BTreeMap<String, String>,
    /// Who must sign here. The guard holds every approval against it, whatever policy or desk say.
    #[serde(default, skip_serializing_if = "Approvals::is_default")]
    pub approvals: Approvals,
    /// Which requests are payments there, and their limits.
    #[serde(default, skip_serializing_if = "Payments::is_default")]
    pub payments: Payments,
    /// A header in which a request that changes something carries its run's id, so that the service carries it out once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_header: Option<String>,
    /// Path that takes GraphQL: each request there is one operation, whose kind says whether it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphql: Option<String>,
    /// Age of the credential, in seconds, from which it is due: changed by the guard where that is possible, told to people where not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_after_s: Option<u64>,
    /// True: a request that people signed carries their signatures, and the gateway's message signature, for the service to check.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub receipts: bool,
}

/// Who must sign a run at a target, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// Different people, 1 to 10.
    pub quorum: u32,
    /// True: the person who opened the task does not count among them (separation of duties).
    pub not_requester: bool,
}

impl Default for Approvals {
    fn default() -> Self {
        Self { quorum: 1, not_requester: false }
    }
}

impl Approvals {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls takes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a target is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Address {
    /// A SQLite file.
    Sqlite {
        /// Absolute path.
        path: String,
    },
    /// A PostgreSQL database.
    Postgresql {
        /// Host name, IP address, or the absolute path of a Unix socket's directory.
        host: String,
        /// TCP port (or the number in the socket's name).
        port: u16,
        /// Database.
        database: String,
        /// Login role: low-privilege, or a member of `mirror` only, or one that mints (see `rights`).
        login: String,
        /// With which rights a run meets the database.
        rights: Rights,
        /// The person's role to switch to after login (`SET ROLE`), so that row-level security holds.
        mirror: Option<String>,
        /// Whether TLS is used: `disable` (Unix sockets, loopback), `require` (verified against the system's roots or `ca_file`).
        tls: Tls,
        /// Extra root certificate, absolute path of a PEM file.
        ca_file: Option<String>,
        /// `search_path` set for every run.
        search_path: Vec<String>,
    },
    /// A MariaDB or MySQL database.
    Mariadb {
        /// Host name, IP address, or the absolute path of a Unix socket.
        host: String,
        /// TCP port.
        port: u16,
        /// Database, where unqualified names are looked up.
        database: String,
        /// Login: low-privilege, or one that mints (see `rights`).
        login: String,
        /// With which rights a run meets the database.
        rights: Rights,
        /// Whether TLS is used.
        tls: Tls,
        /// Extra root certificate, absolute path of a PEM file.
        ca_file: Option<String>,
    },
    /// An MCP server: a program that the executor starts for each run, or one that is reached over HTTP.
    Mcp {
        /// Which.
        server: McpServer,
        /// Tools that may be called: `ASK /name` those that only read, `CALL /name` the others, or `CALL /*`.
        requests: Vec<String>,
    },
    /// A mailbox.
    Mail {
        /// Address that mail is sent from.
        address: String,
        /// Where it is read: `imaps://mail.example:993`; `imap` on this machine only.
        imap: String,
        /// Where it is sent: `smtps://mail.example:465`, `smtp+starttls://mail.example:587`; `smtp` on this machine only.
        smtp: Option<String>,
        /// Login at both.
        login: String,
        /// True: the credential is an OAuth 2 access token (XOAUTH2), else a password.
        oauth: bool,
        /// How long a mail waits before it is sent, in seconds, at most [`Registration::OUTBOX_LIMIT_S`].
        outbox_s: u32,
        /// What may be done: `LIST /**`, `READ /**`, `MARK /**`, `DRAFT /`, `SEND *@example.com`.
        requests: Vec<String>,
        /// True: the servers may have private addresses.
        private: bool,
        /// Extra root certificate, absolute path of a PEM file.
        ca_file: Option<String>,
    },
    /// A service that takes HTTP requests.
    Http {
        /// Scheme, host and maybe port: `https://api.example`; `http` on this machine only. Requests name the path.
        origin: String,
        /// Methods and patterns of paths that may be sent, e.g. `GET /v1/**`. Nothing else is.
        requests: Vec<String>,
        /// Header that the credential goes into, lower case, e.g. `authorization`.
        credential_header: Option<String>,
        /// What stands before the credential in that header, e.g. `Bearer `.
        credential_prefix: String,
        /// True: the host may have a private address.
        private: bool,
        /// Extra root certificate, absolute path of a PEM file.
        ca_file: Option<String>,
        /// The service's description (OpenAPI 3, JSON or YAML), absolute path. It is shown and held against requests, and never sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        openapi: Option<String>,
        /// The service is one of AWS, or takes its signatures: requests are signed with the credential, which goes into no header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aws: Option<AwsService>,
    },
}

/// For which service of AWS requests are signed (Signature Version 4). The credential is two or three lines: access key id, secret
/// access key, and for keys of a session its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsService {
    /// Region, e.g. `eu-central-1`.
    pub region: String,
    /// The name that signatures give the service, e.g. `s3`, `execute-api`.
    pub service: String,
}

impl AwsService {
    fn is_usable(&self) -> bool {
        let word = |text: &str| {
            (1..=60).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        word(&self.region) && word(&self.service)
    }
}

/// How an MCP server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "transport", rename_all = "snake_case", deny_unknown_fields)]
pub enum McpServer {
    /// Standard input and output of a program.
    Stdio {
        /// The program's absolute path and its arguments.
        command: Vec<String>,
        /// Folders and files besides the system's that it may read and run, absolute.
        reads: Vec<String>,
        /// Folders and files that it may also write, absolute.
        writes: Vec<String>,
        /// TCP ports that it may connect to.
        ports: Vec<u16>,
        /// Variable of its environment that the credential goes into.
        credential_variable: Option<String>,
    },
    /// Streamable HTTP.
    Http {
        /// `https://mcp.example`; `http` on this machine only.
        origin: String,
        /// Path of its endpoint, e.g. `/mcp`.
        path: String,
        /// Header that the credential goes into, lower case.
        credential_header: Option<String>,
        /// What stands before the credential in that header.
        credential_prefix: String,
        /// True: the host may have a private address.
        private: bool,
        /// Extra root certificate, absolute path of a PEM file.
        ca_file: Option<String>,
    },
}

/// With which rights a run meets a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// Those of the login, or of the mirrored role: whatever was granted to it before.
    Login,
    /// A role minted for the one run, with exactly the grants of the signed effect (or as a member of the mirrored role
    /// only), dropped afterwards. The login needs CREATEROLE, and the relations' rights with grant option.
    Minted,
    /// Minted where the login may mint. Where it may not, the effect has to say so ([`Effect::unminted`]), and the run has the
    /// login's rights.
    MintedIfPossible,
    /// A login that a server of credentials makes for the one run and takes back afterwards, or a person's own. The
    /// credential is two lines, the login's name and its password; `login` names the server's role, for people.
    Leased,
}

/// TLS to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// No TLS: only for Unix sockets and loopback.
    Disable,
    /// TLS with a verified certificate and host name.
    Require,
}

/// A registration that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The name has other characters or another length than allowed.
    #[error("target name `{0}` is not accepted; use 1 to 40 lowercase letters, digits, `-` or `_`")]
    Name(String),
    /// Not an absolute path.
    #[error("path `{0}` is not absolute; give the full path")]
    Path(String),
    /// TLS is off for a host that is neither loopback nor a socket.
    #[error("TLS is off for host `{0}`, which is not on this machine; use tls=require")]
    PlainText(String),
    /// A limit is zero or beyond what the guard allows.
    #[error("{0} must lie between 1 and {1}")]
    Limit(&'static str, u64),
    /// Payments that cannot be told, or limits that limit nothing.
    #[error(
        "payments need forms of requests that change something at an HTTP service, with members named once each, and limits with one amount a currency"
    )]
    Payments,
    /// People's own credentials where there can be none.
    #[error(
        "people's own credentials are for databases, HTTP services and MCP servers with a credential's name, no mirrored role, and, for the signer's, one signature"
    )]
    OwnCredential,
    /// A text field is empty, too long or holds hidden characters.
    #[error("{0} is empty, longer than 255 characters, or holds control characters")]
    Text(&'static str),
}

/// A whole path.
fn absolute(path: &str) -> Result<(), RegistrationError> {
    if path.starts_with('/') { Ok(()) } else { Err(RegistrationError::Path(path.to_owned())) }
}

/// How a server is reached: TLS unless it is on this machine.
fn server(host: &str, port: u16, tls: Tls, ca_file: Option<&str>) -> Result<(), RegistrationError> {
    if port == 0 {
        return Err(RegistrationError::Limit("port", 65_535));
    }
    absolute(ca_file.unwrap_or("/"))?;
    let local = host.starts_with('/') || ["localhost", "127.0.0.1", "::1"].contains(&host);
    if tls == Tls::Disable && !local { Err(RegistrationError::PlainText(host.to_owned())) } else { Ok(()) }
}

/// What may be sent or called: one rule at least, all of the target's kind.
fn named(requests: &[String], kind: Kind) -> Result<(), RegistrationError> {
    let usable = |rule: &String| artifact::request::rule(rule).is_some_and(|(method, _)| method.kind() == kind);
    let count = (1..=200).contains(&requests.len());
    if count && requests.iter().all(usable) { Ok(()) } else { Err(RegistrationError::Text("request")) }
}

/// Whether a header of this name may be added to requests: none that frames them.
fn is_header(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit();
    let framing = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"];
    (1..=100).contains(&name.len()) && name.bytes().all(plain) && !framing.contains(&name)
}

/// How a service is reached, and how it is shown the credential.
fn service(origin: &str, header: Option<&str>, prefix: &str, ca_file: Option<&str>) -> Result<(), RegistrationError> {
    Origin::read(origin).ok_or(RegistrationError::Text("origin"))?;
    if header.is_some_and(|name| !is_header(name)) {
        return Err(RegistrationError::Text("credential header"));
    }
    if prefix.len() > 40 || !prefix.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(RegistrationError::Text("credential prefix"));
    }
    absolute(ca_file.unwrap_or("/"))
}

/// A program with its arguments, none of which hides anything.
fn program(command: &[String], variable: Option<&str>) -> Result<(), RegistrationError> {
    let hides = |part: &String| part.len() > 1_000 || part.contains('\n') || part.chars().any(artifact::has_hidden);
    absolute(command.first().map_or("", String::as_str))?;
    if command.len() > 50 || command.iter().any(hides) {
        return Err(RegistrationError::Text("command"));
    }
    let word = |name: &str| {
        (1..=100).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    // What these say decides which code a program loads.
    let loads = |name: &str| name.starts_with("LD_") || name.starts_with("NODE_") || name.starts_with("PYTHON");
    match variable {
        Some(name) if !word(name) || loads(name) || ["PATH", "HOME"].contains(&name) => {
            Err(RegistrationError::Text("credential variable"))
        }
        _ => Ok(()),
    }
}

impl Registration {
    /// Most rows any run may return.
    pub const RESULT_ROWS_LIMIT: u64 = 10_000;
    /// Longest time after which a credential is due, in seconds: two years.
    pub const ROTATE_LIMIT_S: u64 = 2 * 366 * 86_400;
    /// Longest wait of a mail before it is sent, in seconds.
    pub const OUTBOX_LIMIT_S: u32 = 15;
    /// Longest statement time-out in milliseconds.
    pub const STATEMENT_TIMEOUT_LIMIT_MS: u64 = 300_000;

    /// Checks what can be checked without reaching the target.
    pub fn check(&self) -> Result<(), RegistrationError> {
        let name_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(name_ok) {
            let shown = self.name.chars().take(40).map(artifact::visible_char).collect();
            return Err(RegistrationError::Name(shown));
        }
        let text = |what: &'static str, value: &str| {
            let bad = value.is_empty()
                || value.len() > 255
                || value.chars().any(|c| artifact::has_hidden(c) || c == '\n' || c == '\t');
            if bad { Err(RegistrationError::Text(what)) } else { Ok(()) }
        };
        text("environment", &self.environment)?;
        text("run-as", &self.run_as)?;
        self.credential.as_deref().map_or(Ok(()), |c| text("credential", c))?;
        if self.credential_of.is_some() && !self.may_be_own() {
            return Err(RegistrationError::OwnCredential);
        }
        for (column, label) in &self.labels {
            text("label", column)?;
            text("label", label)?;
        }
        if self.statement_timeout_ms == 0 || self.statement_timeout_ms > Self::STATEMENT_TIMEOUT_LIMIT_MS {
            return Err(RegistrationError::Limit(
                "statement timeout in milliseconds",
                Self::STATEMENT_TIMEOUT_LIMIT_MS,
            ));
        }
        if self.result_rows_max == 0 || self.result_rows_max > Self::RESULT_ROWS_LIMIT {
            return Err(RegistrationError::Limit("most rows of a result", Self::RESULT_ROWS_LIMIT));
        }
        if !(1..=10).contains(&self.approvals.quorum) {
            return Err(RegistrationError::Limit("people who must sign", 10));
        }
        if self.rotate_after_s.is_some_and(|age| age == 0 || age > Self::ROTATE_LIMIT_S || self.credential.is_none()) {
            return Err(RegistrationError::Limit("age of a credential in seconds", Self::ROTATE_LIMIT_S));
        }
        if let Some(path) = &self.graphql {
            text("path of GraphQL", path)?;
            if self.kind() != Kind::Http || path.contains('*') || !artifact::request::is_pattern(path) {
                return Err(RegistrationError::Text("path of GraphQL"));
            }
        }
        if !self.payments.is_usable() {
            return Err(RegistrationError::Payments);
        }
        let added = self.idempotency_header.as_deref();
        if added.is_some_and(|name| !is_header(name)) || (added.is_some() && self.kind() != Kind::Http) {
            return Err(RegistrationError::Text("idempotency header"));
        }
        if self.kind() != Kind::Http && !self.payments.forms.is_empty() {
            return Err(RegistrationError::Payments);
        }
        if self.kind() != Kind::Http && self.receipts {
            return Err(RegistrationError::Text("receipts"));
        }
        match &self.address {
            Address::Sqlite { path } => {
                text("path", path)?;
                absolute(path)
            }
            Address::Postgresql { host, port, database, login, mirror, tls, ca_file, search_path, rights: _ } => {
                mirror.as_deref().map_or(Ok(()), |m| text("mirror", m))?;
                search_path.iter().try_for_each(|s| text("search path", s))?;
                text("database", database)?;
                text("login", login)?;
                text("host", host)?;
                server(host, *port, *tls, ca_file.as_deref())
            }
            Address::Http {
                origin,
                requests,
                credential_header,
                credential_prefix,
                private: _,
                ca_file,
                openapi,
                aws,
            } => {
                if aws
                    .as_ref()
                    .is_some_and(|aws| !aws.is_usable() || credential_header.is_some() || self.credential.is_none())
                {
                    return Err(RegistrationError::Text("signature for AWS"));
                }
                named(requests, Kind::Http)?;
                text("origin", origin)?;
                if let Some(path) = openapi {
                    text("description", path)?;
                    absolute(path)?;
                }
                service(origin, credential_header.as_deref(), credential_prefix, ca_file.as_deref())
            }
            Address::Mail { address, imap, smtp, login, oauth: _, outbox_s, requests, private: _, ca_file } => {
                named(requests, Kind::Mail)?;
                text("login", login)?;
                if !artifact::mail::is_address(address) {
                    return Err(RegistrationError::Text("address of the mailbox"));
                }
                let reads = |url: &str| url.starts_with("imap") && origin::mail_server(url).is_some();
                let sends = |url: &String| url.starts_with("smtp") && origin::mail_server(url).is_some();
                if !reads(imap) || !smtp.as_ref().is_none_or(sends) || imap.len() > 255 {
                    return Err(RegistrationError::Text("address of the mail server"));
                }
                if *outbox_s > Self::OUTBOX_LIMIT_S {
                    return Err(RegistrationError::Limit("outbox in seconds", u64::from(Self::OUTBOX_LIMIT_S)));
                }
                absolute(ca_file.as_deref().unwrap_or("/"))
            }
            Address::Mcp { server, requests } => {
                named(requests, Kind::Mcp)?;
                match server {
                    McpServer::Http { origin, path, credential_header, credential_prefix, private: _, ca_file } => {
                        text("origin", origin)?;
                        if path.contains('*') || !artifact::request::is_pattern(path) {
                            return Err(RegistrationError::Text("path of the MCP server"));
                        }
                        service(origin, credential_header.as_deref(), credential_prefix, ca_file.as_deref())
                    }
                    McpServer::Stdio { command, reads, writes, ports, credential_variable } => {
                        program(command, credential_variable.as_deref())?;
                        if reads.len() + writes.len() + ports.len() > 50 {
                            return Err(RegistrationError::Limit("paths and ports of the program", 50));
                        }
                        for path in reads.iter().chain(writes) {
                            text("path", path)?;
                            absolute(path)?;
                        }
                        Ok(())
                    }
                }
            }
            Address::Mariadb { host, port, database, login, tls, ca_file, rights: _ } => {
                text("database", database)?;
                text("login", login)?;
                text("host", host)?;
                server(host, *port, *tls, ca_file.as_deref())
            }
        }
    }

    /// The kind of artifact this target runs.
    pub fn kind(&self) -> Kind {
        match self.address {
            Address::Sqlite { .. } => Kind::SqlSqlite,
            Address::Postgresql { .. } => Kind::SqlPostgresql,
            Address::Mariadb { .. } => Kind::SqlMariadb,
            Address::Http { .. } => Kind::Http,
            Address::Mcp { .. } => Kind::Mcp,
            Address::Mail { .. } => Kind::Mail,
        }
    }

    /// With which rights a run meets the target; none for targets without logins.
    pub const fn rights(&self) -> Option<Rights> {
        match &self.address {
            Address::Sqlite { .. } | Address::Http { .. } | Address::Mcp { .. } | Address::Mail { .. } => None,
            Address::Postgresql { rights, .. } | Address::Mariadb { rights, .. } => Some(*rights),
        }
    }

    /// The target as a run with this signed effect meets it: whether anything is minted is settled.
    #[must_use]
    pub fn settled(&self, effect: &Effect) -> Self {
        let mut settled = self.clone();
        if let Address::Postgresql { rights, .. } | Address::Mariadb { rights, .. } = &mut settled.address
            && *rights == Rights::MintedIfPossible
        {
            *rights = if effect.unminted { Rights::Login } else { Rights::Minted };
        }
        settled
    }

    /// The target as the login that was lent for this run meets it. What is left is the password.
    ///
    /// Nothing is changed where logins are not lent. None: the credential is not a login's name and a password.
    #[must_use]
    pub fn lent<'a>(&mut self, credential: &'a [u8]) -> Option<&'a [u8]> {
        if let Address::Postgresql { login, rights, .. } | Address::Mariadb { login, rights, .. } = &mut self.address
            && *rights == Rights::Leased
        {
            let end = credential.iter().position(|b| *b == b'\n')?;
            let name = std::str::from_utf8(&credential[..end]).ok()?;
            if name.is_empty() || name.len() > 255 || name.chars().any(artifact::has_hidden) {
                return None;
            }
            name.clone_into(login);
            *rights = Rights::Login;
            self.credential_of = None;
            return Some(&credential[end + 1..]);
        }
        Some(credential)
    }

    /// For which service of AWS requests there are signed.
    pub const fn aws(&self) -> Option<&AwsService> {
        if let Address::Http { aws, .. } = &self.address { aws.as_ref() } else { None }
    }

    /// The address that mail is sent from; none for targets that are no mailbox.
    pub fn own_address(&self) -> Option<&str> {
        match &self.address {
            Address::Mail { address, .. } => Some(address),
            _ => None,
        }
    }

    /// Methods and patterns of paths that may be sent; none for targets that take no requests.
    pub fn requests(&self) -> &[String] {
        match &self.address {
            Address::Http { requests, .. } | Address::Mcp { requests, .. } | Address::Mail { requests, .. } => requests,
            _ => &[],
        }
    }

    /// SHA-256 of the canonical JSON.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&canonical::to_vec(self).unwrap_or_default())
    }

    /// The label of `relation.column`; `plain` if none is registered.
    pub fn label(&self, relation: &str, column: &str) -> &str {
        self.labels.get(&format!("{relation}.{column}")).map_or("plain", String::as_str)
    }
}
