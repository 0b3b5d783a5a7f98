//! The guard's own plain-text view of what it would run, from its own copy of the bytes. A second look that the desk
//! cannot have painted, when it is asked for on the operator's socket.

use std::fmt::Write as _;

use artifact::{Digest, Effect, digest_words, visible};
use wire::target::{Address, McpServer, Registration, Rights};

/// Renders a proposal.
pub(crate) fn render(
    proposal: &str,
    revision: u32,
    target: Option<&Registration>,
    artifact: &str,
    effect: &Effect,
) -> String {
    let how = |rights, what| match rights {
        Rights::Minted => format!(", which mints a {what} for the run"),
        Rights::MintedIfPossible if !effect.unminted => format!(", which mints a {what} for the run"),
        Rights::Leased => ", lent for the run".to_owned(),
        Rights::Login | Rights::MintedIfPossible => String::new(),
    };
    let mut out = String::new();
    let digest = Digest::of(artifact.as_bytes());
    let _ = writeln!(out, "proposal   {proposal} r{revision}");
    let _ = writeln!(out, "artifact   {digest}");
    let _ = writeln!(out, "words      {}", digest_words(&digest));
    match target {
        Some(t) => {
            let place = match &t.address {
                Address::Sqlite { path } => format!("SQLite file {path}"),
                Address::Mcp { server: McpServer::Stdio { command, credential_variable, .. }, .. } => {
                    let with = credential_variable.as_ref().map(|name| format!(", credential in {name}"));
                    format!("MCP server {}{}", command.join(" "), with.unwrap_or_default())
                }
                Address::Mcp { server: McpServer::Http { origin, path, credential_header, .. }, .. } => {
                    let with = credential_header.as_ref().map(|name| format!(", credential in {name}"));
                    format!("MCP server {origin}{path}{}", with.unwrap_or_default())
                }
                Address::Http { origin, aws: Some(at), .. } => {
                    format!("requests to {origin}, signed for AWS {}/{}", at.region, at.service)
                }
                Address::Http { origin, credential_header, .. } => {
                    let with =
                        credential_header.as_ref().map(|name| format!(", credential in {name}")).unwrap_or_default();
                    format!("requests to {origin}{with}")
                }
                Address::Mail { address, imap, smtp, .. } => {
                    let sends = smtp.as_ref().map(|url| format!(", sent by {url}")).unwrap_or_default();
                    format!("mailbox {address} at {imap}{sends}")
                }
                Address::Mariadb { host, port, database, login, rights, .. } => {
                    let minted = how(*rights, "user");
                    format!("MariaDB {host}:{port}/{database}, login {login}{minted}")
                }
                Address::Postgresql { host, port, database, login, mirror, rights, .. } => {
                    let mirror = mirror.as_ref().map(|m| format!(", as role {m}")).unwrap_or_default();
                    let minted = how(*rights, "role");
                    format!("PostgreSQL {host}:{port}/{database}, login {login}{minted}{mirror}")
                }
            };
            let _ = writeln!(out, "target     {} ({}) {}", visible(&t.name), visible(&t.environment), visible(&place));
            let _ = writeln!(out, "runs as    {}", visible(&t.run_as));
        }
        None => out.push_str("target     not registered any more\n"),
    }
    let _ = writeln!(out, "effect     {}", effect.digest());
    let _ = writeln!(out, "verb       {}", effect.verb.as_str());
    for relation in &effect.relations {
        let verbs: Vec<&str> = relation.verbs.iter().map(|v| v.as_str()).collect();
        let list = |columns: &[String]| columns.iter().map(|c| visible(c)).collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "  {} {}", verbs.join("+"), visible(&relation.name));
        if !relation.reads.is_empty() {
            let _ = writeln!(out, "      reads  {}", list(&relation.reads));
        }
        if !relation.writes.is_empty() {
            let _ = writeln!(out, "      writes {}", list(&relation.writes));
        }
        if !relation.computed.is_empty() {
            let _ = writeln!(out, "      and with them {}", list(&relation.computed));
        }
    }
    if let Some(request) = &effect.request {
        let names = |names: &[String]| names.iter().map(|name| visible(name)).collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "  sends {} {}", visible(&request.method), visible(&request.path));
        if !request.query.is_empty() {
            let _ = writeln!(out, "      query  {}", names(&request.query));
        }
        if !request.body.is_empty() {
            let _ = writeln!(out, "      body   {}", names(&request.body));
        }
    }
    if !effect.functions.is_empty() {
        let _ = writeln!(out, "  calls {}", effect.functions.iter().map(|f| visible(f)).collect::<Vec<_>>().join(", "));
    }
    if let Some(rows) = effect.rows {
        let of = rows.of.map(|n| format!(" of {n}")).unwrap_or_default();
        let _ = writeln!(out, "rows       at most {}{of}", rows.count);
    }
    if effect.commits_itself {
        out.push_str("CAUTION    the target commits this by itself\n");
    }
    let _ = writeln!(out, "bytes      {}", artifact.len());
    for (number, line) in visible(artifact).lines().enumerate() {
        let _ = writeln!(out, "{:>5}  {line}", number + 1);
    }
    out
}
