//! What comes in from forms and terminals, parsed once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;

use artifact::claim::{Signature, Signed};
use artifact::{Id, MAX_ARTIFACT_BYTES, Marker, ProposalId, has_hidden};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doors::people::{GrantRequest, MAIL_LABELS, Person, PersonError, Selection, TOGETHER_MAX};
use wire::payments::Payments;
use wire::target::{Address as TargetAddress, Approvals, AwsService, McpServer, Registration, Rights, Tls};
use wire::whose::Whose;

use crate::error::error;

/// Longest sentence to an agent, in characters.
pub(crate) const SENTENCE_MAX: usize = 500;
/// Most columns or rows named one by one in a selection made on the page.
const SELECTED_MAX: usize = 10_000;
/// Longest text about payments, in bytes.
const PAYMENTS_MAX: usize = 64 * 1024;

/// The caller's address; `unknown` where the listener has none (a Unix socket).
pub(crate) struct Address(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(address.map_or_else(|| "unknown".to_owned(), |a| a.0.ip().to_string())))
    }
}

/// Fields of a form; of a repeated one, every value in order.
#[derive(Debug, Default)]
pub(crate) struct Form(BTreeMap<String, Vec<String>>);

impl From<Vec<(String, String)>> for Form {
    fn from(pairs: Vec<(String, String)>) -> Self {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in pairs {
            fields.entry(name).or_default().push(value);
        }
        Self(fields)
    }
}

impl Form {
    /// The value of a field, trimmed; empty if absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).and_then(|v| v.first()).map_or("", |v| v.trim())
    }

    /// What stands before a credential in its header, with the blank after it.
    fn prefix(&self) -> String {
        match self.get("credential_prefix").trim() {
            "" => String::new(),
            word => format!("{word} "),
        }
    }

    fn rights(&self) -> Result<Rights, PersonError> {
        match self.get("rights") {
            "login" => Ok(Rights::Login),
            // A person's own names its login as a lent one does.
            "leased" | "requester" | "signer" => Ok(Rights::Leased),
            "minted" => Ok(Rights::Minted),
            "minted-if-possible" => Ok(Rights::MintedIfPossible),
            _ => Err(error("malformed", "choose with which rights a run meets the database")),
        }
    }

    /// The value of a field that must be there.
    fn need(&self, name: &str) -> Result<String, PersonError> {
        let value = self.get(name);
        if value.is_empty() {
            Err(error("malformed", format!("`{name}` is missing; fill it in")))
        } else {
            Ok(value.to_owned())
        }
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, PersonError> {
        let text = self.get(name);
        text.parse().map_err(|_| error("malformed", format!("`{name}` is not a number in range; write digits only")))
    }

    fn lines(&self, name: &str) -> Vec<String> {
        self.get(name).lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
    }

    /// The exact text of a multi-line field: browsers send line ends as CR LF, which are line feeds again here.
    pub(crate) fn text(&self, name: &str) -> String {
        self.0.get(name).and_then(|v| v.first()).map_or_else(String::new, |v| v.replace("\r\n", "\n"))
    }

    /// Text that travelled as base64url so that the browser could not touch its line ends.
    pub(crate) fn exact(&self, name: &str) -> Result<String, PersonError> {
        exact_text(self.get(name))
    }

    /// The signature a browser or a person put into the form.
    pub(crate) fn signature(&self) -> Result<Signature, PersonError> {
        let armored = self.text("armored");
        if !armored.trim().is_empty() {
            return Ok(Signature::Ssh { armored: armored.trim().to_owned() + "\n" });
        }
        let field = |name: &str| {
            let value = self.get(name);
            let form = value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !value.is_empty() && value.len() <= 8192 && form {
                Ok(value.to_owned())
            } else {
                Err(error("malformed", "there is no signature in the form; use your passkey or the terminal"))
            }
        };
        Ok(Signature::Passkey {
            credential: field("credential")?,
            authenticator_data: field("authenticator_data")?,
            client_data: field("client_data")?,
            signature: field("signature")?,
        })
    }

    /// The statement with its one signature.
    pub(crate) fn signed(&self) -> Result<Signed, PersonError> {
        Ok(Signed { statement: self.exact("statement")?, batch: None, signatures: vec![self.signature()?] })
    }

    /// The proposals ticked.
    pub(crate) fn proposals(&self) -> Result<Vec<ProposalId>, PersonError> {
        self.0.get("proposal").into_iter().flatten().take(TOGETHER_MAX + 1).map(|one| id(one)).collect()
    }

    /// Several approvals under the one signature over their list.
    pub(crate) fn signed_together(&self) -> Result<Vec<Signed>, PersonError> {
        let (batch, signature) = (self.exact("statement")?, self.signature()?);
        let items = self.0.get("item").into_iter().flatten().take(TOGETHER_MAX + 1);
        items
            .map(|item| {
                let statement = exact_text(item)?;
                Ok(Signed { statement, batch: Some(batch.clone()), signatures: vec![signature.clone()] })
            })
            .collect()
    }

    /// What to release, from the boxes ticked. Column fields are `col-0` and so on with `show` or `mask`.
    pub(crate) fn selection(&self) -> Result<Selection, PersonError> {
        let rows = match self.get("rows") {
            rows @ ("none" | "all" | "some") => rows.to_owned(),
            _ => return Err(error("malformed", "choose which rows to release")),
        };
        let mut selection = Selection { rows, ..Selection::default() };
        if selection.rows == "some" {
            for row in self.0.get("row").into_iter().flatten().take(SELECTED_MAX) {
                selection.row_indexes.push(row.parse().map_err(|_| error("malformed", "a row is not a number"))?);
            }
        }
        if selection.rows != "none" {
            for (name, values) in &self.0 {
                let Some(column) = name.strip_prefix("col-").and_then(|n| n.parse().ok()) else { continue };
                match values.first().map(String::as_str) {
                    Some("show") => selection.show.push(column),
                    Some("mask") => selection.mask.push(column),
                    _ => {}
                }
            }
            selection.show.sort_unstable();
            selection.mask.sort_unstable();
            selection.vouch = self.lines("vouch");
        }
        Ok(selection)
    }

    /// The grant a form asks for.
    pub(crate) fn grant(&self) -> Result<GrantRequest, PersonError> {
        let bad = |what: &str| error("malformed", format!("{what} is not of the expected form; copy it whole"));
        Ok(match self.get("grant") {
            "key" => GrantRequest::Key {
                person: self.need("person")?,
                key: self.need("key")?,
                roles: self.0.get("role").cloned().unwrap_or_default(),
            },
            "revoke_key" => GrantRequest::RevokeKey {
                fingerprint: self.get("fingerprint").parse().map_err(|_| bad("the fingerprint"))?,
            },
            "target" => GrantRequest::Target { registration: Box::new(self.registration()?) },
            "task" => GrantRequest::Task {
                title: self.need("title")?,
                agent: self.need("agent")?,
                target: self.need("target")?,
                task_type: Some(self.get("task_type").to_owned()).filter(|name| !name.is_empty()),
                may: self.lines("may"),
                never: self.lines("never"),
                functions: self.lines("functions"),
                rows_per_run: self.number("rows_per_run")?,
                rows_total: self.number("rows_total")?,
                auto_reads: self.get("auto_reads") == "yes",
                minutes: self.number("minutes")?,
            },
            "close_task" => GrantRequest::CloseTask { task: self.get("task").parse().map_err(|_| bad("the task"))? },
            "policy" => GrantRequest::Policy { pack: self.need("pack")? },
            "resume" => GrantRequest::Resume { scope: scope(self.get("scope"))? },
            _ => return Err(error("malformed", "the form does not say what to grant; open it again")),
        })
    }

    fn registration(&self) -> Result<Registration, PersonError> {
        let optional = |name: &str| Some(self.get(name).to_owned()).filter(|v| !v.is_empty());
        let mut labels = BTreeMap::new();
        for line in self.lines("labels") {
            let (column, label) = line
                .split_once(' ')
                .ok_or_else(|| error("malformed", "a label line has the form `main.customers.email personal`"))?;
            labels.insert(column.to_owned(), label.trim().to_owned());
        }
        let address = match self.get("type") {
            "sqlite" => TargetAddress::Sqlite { path: self.need("path")? },
            "postgresql" => TargetAddress::Postgresql {
                host: self.need("host")?,
                port: self.number("port")?,
                database: self.need("database")?,
                login: self.need("login")?,
                mirror: optional("mirror"),
                rights: self.rights()?,
                tls: if self.get("tls") == "disable" { Tls::Disable } else { Tls::Require },
                ca_file: optional("ca_file"),
                search_path: self.lines("search_path"),
            },
            "mariadb" => TargetAddress::Mariadb {
                host: self.need("host")?,
                port: self.number("port")?,
                database: self.need("database")?,
                login: self.need("login")?,
                rights: self.rights()?,
                tls: if self.get("tls") == "disable" { Tls::Disable } else { Tls::Require },
                ca_file: optional("ca_file"),
            },
            "mcp_program" => TargetAddress::Mcp {
                server: McpServer::Stdio {
                    command: self.lines("command"),
                    reads: self.lines("reads"),
                    writes: self.lines("writes"),
                    ports: self
                        .lines("ports")
                        .iter()
                        .map(|port| port.parse().map_err(|_| error("malformed", "a port is a number up to 65535")))
                        .collect::<Result<_, _>>()?,
                    credential_variable: optional("credential_variable"),
                },
                requests: self.lines("requests"),
            },
            "mcp_http" => TargetAddress::Mcp {
                server: McpServer::Http {
                    origin: self.need("origin")?,
                    path: self.need("path")?,
                    credential_header: optional("credential_header"),
                    credential_prefix: self.prefix(),
                    private: self.get("private") == "yes",
                    ca_file: optional("ca_file"),
                },
                requests: self.lines("requests"),
            },
            "mail" => TargetAddress::Mail {
                address: self.need("address")?,
                imap: self.need("imap")?,
                smtp: optional("smtp"),
                login: self.need("login")?,
                oauth: self.get("oauth") == "yes",
                outbox_s: 10,
                requests: self.lines("requests"),
                private: self.get("private") == "yes",
                ca_file: optional("ca_file"),
            },
            "http" => TargetAddress::Http {
                origin: self.need("origin")?,
                requests: self.lines("requests"),
                credential_header: optional("credential_header"),
                credential_prefix: self.prefix(),
                private: self.get("private") == "yes",
                ca_file: optional("ca_file"),
                openapi: optional("openapi"),
                aws: match (optional("aws_region"), optional("aws_service")) {
                    (None, None) => None,
                    (Some(region), Some(service)) => Some(AwsService { region, service }),
                    _ => return Err(error("malformed", "signatures for AWS need a region and a service")),
                },
            },
            _ => return Err(error("malformed", "choose the kind of target")),
        };
        if matches!(address, TargetAddress::Mail { .. }) {
            for part in MAIL_LABELS {
                labels.entry(part.to_owned()).or_insert_with(|| "personal".to_owned());
            }
        }
        let whose = match [self.get("credential_of"), self.get("rights")] {
            ["requester", _] | [_, "requester"] => Some(Whose::Requester),
            ["signer", _] | [_, "signer"] => Some(Whose::Signer),
            _ => None,
        };
        let run_as = match &address {
            _ if whose == Some(Whose::Requester) => "whoever opened the task".to_owned(),
            _ if whose == Some(Whose::Signer) => "whoever signs".to_owned(),
            TargetAddress::Sqlite { .. } => "owner".to_owned(),
            TargetAddress::Postgresql { mirror: Some(role), .. } => role.clone(),
            TargetAddress::Postgresql { rights: Rights::Minted, .. } => "a role minted for the run".to_owned(),
            TargetAddress::Postgresql { rights: Rights::MintedIfPossible, login, .. }
            | TargetAddress::Mariadb { rights: Rights::MintedIfPossible, login, .. } => {
                format!("minted for the run if {login} may, else {login}")
            }
            TargetAddress::Postgresql { rights: Rights::Leased, login, .. }
            | TargetAddress::Mariadb { rights: Rights::Leased, login, .. } => format!("a login lent as {login}"),
            TargetAddress::Http { .. } | TargetAddress::Mcp { .. } => "the gateway".to_owned(),
            TargetAddress::Mail { address, .. } => address.clone(),
            TargetAddress::Mariadb { rights: Rights::Minted, .. } => "a user minted for the run".to_owned(),
            TargetAddress::Postgresql { login, .. } | TargetAddress::Mariadb { login, .. } => login.clone(),
        };
        let registration = Registration {
            name: self.need("name")?,
            address,
            environment: self.need("environment")?,
            run_as,
            credential: optional("credential"),
            credential_of: whose,
            statement_timeout_ms: 15_000,
            result_rows_max: 1_000,
            labels,
            approvals: Approvals {
                quorum: if self.get("quorum").is_empty() { 1 } else { self.number("quorum")? },
                not_requester: self.get("not_requester") == "yes",
            },
            payments: self.payments()?,
            idempotency_header: optional("idempotency_header"),
            receipts: self.get("receipts") == "yes",
            rotate_after_s: match optional("rotate_after") {
                Some(_) => Some(self.number::<u64>("rotate_after")?.saturating_mul(86_400)),
                None => None,
            },
            graphql: optional("graphql"),
        };
        registration.check().map_err(|e| error("malformed", e.to_string()))?;
        Ok(registration)
    }

    /// What a service takes as payments, in the form of docs/payments.md.
    fn payments(&self) -> Result<Payments, PersonError> {
        let text = self.get("payments").replace("\r\n", "\n");
        if text.len() > PAYMENTS_MAX {
            return Err(error("malformed", "the payments are longer than 64 KiB"));
        }
        toml::from_str(&text)
            .map_err(|e| error("malformed", format!("payments: {}", artifact::visible(&e.to_string()))))
    }
}

/// The proposal that an approval statement names.
pub(crate) fn proposal_of(statement: &str) -> Result<ProposalId, PersonError> {
    let named = crate::facts::field(statement, "proposal").and_then(|line| line.split(' ').next());
    id(named.unwrap_or_default())
}

/// An id from a path.
pub(crate) fn id<M: Marker>(text: &str) -> Result<Id<M>, PersonError> {
    text.parse().map_err(|_| error("not_found", "there is nothing of this name; check the link"))
}

/// A sentence for an agent.
pub(crate) fn sentence(text: &str) -> Result<&str, PersonError> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= SENTENCE_MAX;
    if fits && !text.chars().any(|c| has_hidden(c) || c == '\n' || c == '\t') {
        Ok(text)
    } else {
        Err(error("malformed", "write one sentence: 1 to 500 characters, one line, no hidden characters"))
    }
}

/// A person's own artifact.
pub(crate) fn artifact(body: String) -> Result<String, PersonError> {
    if body.trim().is_empty() || body.len() > MAX_ARTIFACT_BYTES {
        return Err(error("malformed", "write the statement to propose instead: 1 byte to 1 MiB"));
    }
    Ok(body)
}

/// The scope of a stop switch.
pub(crate) fn scope(text: &str) -> Result<String, PersonError> {
    let named = ["task:", "target:", "agent:", "person:", "proposal:"]
        .iter()
        .any(|p| text.strip_prefix(p).is_some_and(|r| !r.is_empty()));
    if (text == "all" || named) && text.len() <= 255 && !text.chars().any(|c| has_hidden(c) || c.is_whitespace()) {
        Ok(text.to_owned())
    } else {
        Err(error(
            "malformed",
            "stop takes `all`, `task:<id>`, `target:<name>`, `agent:<name>`, `person:<name>` or `proposal:<id>`",
        ))
    }
}

/// Tasks may be opened and closed by reviewers; everything else needs an admin. The guard holds its own rule.
pub(crate) fn may_grant(who: &Person, request: &GrantRequest) -> Result<(), PersonError> {
    let for_reviewers = matches!(request, GrantRequest::Task { .. } | GrantRequest::CloseTask { .. });
    if for_reviewers || who.roles.iter().any(|r| r == "admin") {
        Ok(())
    } else {
        Err(error("not_permitted", "only an admin may ask for this; your roles do not allow it"))
    }
}

/// Base64url for a form field whose line ends must not change.
fn exact_text(field: &str) -> Result<String, PersonError> {
    let text = URL_SAFE_NO_PAD.decode(field).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| error("malformed", "the form is damaged; reload the page and try again"))
}

/// The same the other way.
pub(crate) fn exact(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Form {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>().into()
    }

    #[test]
    fn sentences_are_one_visible_line() {
        assert_eq!(sentence("  use INSERT OR REPLACE ").unwrap(), "use INSERT OR REPLACE");
        let long = "x".repeat(501);
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "a\u{1b}[31m", "a\tb", &long] {
            assert!(sentence(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn scopes() {
        for good in ["all", "task:t-000000000000", "target:shop", "agent:robin", "person:ada"] {
            assert!(scope(good).is_ok(), "{good}");
        }
        for bad in ["", "task:", "all ", "everything", "agent:a b", "agent:\u{200b}"] {
            assert!(scope(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn servers_of_tools_are_registered_by_form() {
        let base = [("name", "tools"), ("environment", "dev"), ("requests", "CALL /*\r\n")];
        let made = |more: &[(&str, &str)]| form(&[&base[..], more].concat()).registration();
        let program = [("type", "mcp_program"), ("command", "/usr/bin/node\r\n/opt/a b.js"), ("ports", "443\r\n")];
        let TargetAddress::Mcp { server: McpServer::Stdio { command, ports, .. }, requests } =
            made(&program).unwrap().address
        else {
            panic!("a program")
        };
        assert_eq!(
            (command, ports, requests),
            (vec!["/usr/bin/node".into(), "/opt/a b.js".into()], vec![443], vec!["CALL /*".into()])
        );
        let http = [
            ("type", "mcp_http"),
            ("origin", "https://mcp.example"),
            ("path", "/mcp"),
            ("credential_prefix", "Bearer"),
        ];
        let TargetAddress::Mcp { server: McpServer::Http { credential_prefix, .. }, .. } = made(&http).unwrap().address
        else {
            panic!("over HTTP")
        };
        assert_eq!(credential_prefix, "Bearer ");
        assert!(made(&[("type", "mcp_program"), ("command", "/usr/bin/node"), ("ports", "https")]).is_err());
        assert!(made(&[("type", "mcp_program"), ("command", "node")]).is_err());
        assert!(made(&[("type", "mcp_http"), ("origin", "http://mcp.example"), ("path", "/mcp")]).is_err());
    }

    #[test]
    fn the_least_is_the_default() {
        let none = form(&[("rows", "none"), ("col-0", "show")]).selection().unwrap();
        assert_eq!(none, Selection { rows: "none".into(), ..Selection::default() });
        let some =
            form(&[("rows", "some"), ("row", "2"), ("row", "0"), ("col-1", "mask"), ("col-0", "show"), ("col-2", "")]);
        let some = some.selection().unwrap();
        assert_eq!((some.row_indexes, some.show, some.mask), (vec![2, 0], vec![0], vec![1]));
        assert!(form(&[("rows", "every")]).selection().is_err());
        assert!(form(&[("rows", "some"), ("row", "-1")]).selection().is_err());
    }

    #[test]
    fn signatures_have_a_form() {
        assert!(form(&[]).signature().is_err());
        assert!(
            form(&[("credential", "a b"), ("authenticator_data", "a"), ("client_data", "a"), ("signature", "a")])
                .signature()
                .is_err()
        );
        let ok = form(&[
            ("credential", "a"),
            ("authenticator_data", "a"),
            ("client_data", "a"),
            ("signature", "a"),
            ("statement", &exact("a\nb\n")),
        ]);
        assert_eq!(ok.signed().unwrap().statement, "a\nb\n");
        assert!(form(&[("statement", "%%")]).signed().is_err());
    }
}
