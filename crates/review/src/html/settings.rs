//! Keys, targets, policy.

use artifact::Timestamp;
use doors::people::{KeyRequest, Overview, Person, SessionView};
use maud::{Markup, html};
use wire::payments::Payments;
use wire::socket::Registry;

use super::{At, environment_chip, page};
use crate::facts::place;
use crate::text::{clock, grouped, line, marked, marked_lines};

pub(crate) fn settings_page(
    who: &Person,
    overview: &Overview,
    asking: &[KeyRequest],
    sessions: &[SessionView],
    now: Timestamp,
) -> Markup {
    let registry = &overview.registry;
    let admin = who.roles.iter().any(|r| r == "admin");
    page(
        Some(who),
        At::Settings,
        "Settings",
        html! {
            div.head { h1 tabindex="-1" { "Settings" } }
            p.lede { "Everything here was signed by somebody named in the log. Changing it takes a signature." }
            section.card aria-labelledby="keys-title" {
                h2 #keys-title { "Who may sign" }
                ul.rows { @for key in &registry.keys { li {
                    div { strong { (marked(&key.person)) } " " @for role in &key.roles { span.chip { (marked(role)) } " " }
                        p.mono.dim.data { (key.fingerprint) }
                        p.dim { "since " (clock(key.granted_at, Some(now)))
                            @if let Some(at) = key.revoked_at { " · " strong { "revoked " (clock(at, Some(now))) } } } }
                    @if admin && key.revoked_at.is_none() {
                        form method="post" action="/grants" {
                            input type="hidden" name="grant" value="revoke_key"; input type="hidden" name="fingerprint" value=(key.fingerprint);
                            button type="submit" { "Revoke" }
                        }
                    }
                } } }
                @if !asking.is_empty() { (asking_list(asking, registry, now)) }
                @if admin { details { summary { "Add a key" }
                    form method="post" action="/grants" {
                        input type="hidden" name="grant" value="key";
                        label { "Person" input name="person" type="text" required maxlength="60" autocomplete="off"; }
                        label { "Public key, one line" input.mono name="key" type="text" required maxlength="4000" autocomplete="off" spellcheck="false"; }
                        fieldset { legend { "Roles" }
                            @for role in ["reviewer", "auditor", "admin"] { label.tick { input type="checkbox" name="role" value=(role); " " (role) } } }
                        button.primary type="submit" { "Continue to the statement" }
                    } } }
            }
            section.card aria-labelledby="targets-title" {
                h2 #targets-title { "Targets" }
                @if registry.targets.is_empty() { p { "None yet." } }
                ul.rows { @for target in &registry.targets { li {
                    div { strong { (marked(&target.registration.name)) } " " (environment_chip(&target.registration.environment))
                        p.mono { (marked(&place(&target.registration))) }
                        p.dim { "runs as " (marked(&target.registration.run_as)) " · at most " (grouped(target.registration.result_rows_max)) " rows · "
                            (target.registration.labels.len()) " labelled columns"
                            @if !target.registration.payments.forms.is_empty() { " · " (payments(&target.registration.payments)) }
                            @if target.registration.approvals.quorum > 1 { " · " (target.registration.approvals.quorum) " people sign" }
                            @if target.registration.approvals.not_requester { " · not the person who asks" } }
                        p.mono.dim.data { (target.fingerprint) } }
                } } }
                @if admin { (target_forms()) }
            }
            section.card aria-labelledby="sessions-title" {
                h2 #sessions-title { "Your sessions" }
                ul.rows { @for session in sessions { li {
                    p { "since " (clock(session.opened_at, Some(now))) " · last used " (clock(session.seen_at, Some(now))) " · "
                        @if session.by_provider { "by the identity provider" } @else { "with a key" } }
                } } }
                form method="post" action="/logout/everywhere" { button type="submit" { "Sign out everywhere" } }
            }
            section.card aria-labelledby="policy-title" {
                h2 #policy-title { "Policy" }
                p.mono.dim.data { (registry.policy) }
                details { summary { "Text in force" } pre.statement tabindex="0" { (marked_lines(&registry.policy_text)) } }
                @if admin { form.inline method="post" action="/grants" {
                    input type="hidden" name="grant" value="policy";
                    label { "Pack" input name="pack" type="text" required maxlength="60" autocomplete="off"; }
                    button type="submit" { "Change policy" }
                } }
            }
            section.card aria-labelledby="gateway-title" {
                h2 #gateway-title { "This gateway" }
                dl.pairs {
                    dt { "Gateway" } dd.mono.data { (overview.gateway) }
                    dt { "Log key" } dd.mono.data { (marked(&overview.log_key)) }
                    dt { "Log" } dd { (grouped(registry.size)) " entries" }
                    dt { "You" } dd { (marked(&who.name)) " · " (line(&who.roles.join(", "))) }
                }
            }
        },
    )
}

/// Who asks to be let in. The words are the only thing here that the newcomer did not choose.
fn asking_list(asking: &[KeyRequest], registry: &Registry, now: Timestamp) -> Markup {
    // Names that differ in case only count as one person.
    let known = |name: &str| registry.keys.iter().any(|k| k.person.to_lowercase() == name.to_lowercase());
    html! {
        h3 { "Asking to be let in" }
        ul.rows { @for request in asking { li {
            div { strong { (marked(&request.person)) } " " span.mono { (request.words) }
                p.dim { "asked " (clock(request.asked_at, Some(now))) " · ask them for the words by another way before you sign" }
                @if known(&request.person) { p.warn { "Somebody of this name is known here. This key would sign as them." } } }
            form.inline method="post" action="/grants" {
                input type="hidden" name="grant" value="key";
                input type="hidden" name="person" value=(request.person);
                input type="hidden" name="key" value=(request.key);
                fieldset { legend { "Roles" }
                    label.tick { input type="checkbox" name="role" value="reviewer" checked; " reviewer" }
                    @for role in ["auditor", "admin"] { label.tick { input type="checkbox" name="role" value=(role); " " (role) } } }
                button type="submit" { "Continue to the statement" }
            }
        } } }
    }
}

fn target_forms() -> Markup {
    let common = html! {
        label { "Name" input name="name" type="text" required maxlength="40" pattern="[a-z0-9_\\-]+" autocomplete="off"; }
        label { "Environment" input name="environment" type="text" required maxlength="40" placeholder="prod" autocomplete="off"; }
    };
    let labels = html! {
        label { "Labels of columns, one line each" textarea.mono name="labels" rows="3" placeholder="main.customers.email personal" spellcheck="false" {} }
        div.grid {
            label { "People who must sign" input name="quorum" type="number" min="1" max="10" value="1" required; }
            label.tick { input type="checkbox" name="not_requester" value="yes"; " Not the person who opened the task" }
        }
        button.primary type="submit" { "Continue to the statement" }
    };
    let owner = html! {
        label { "Whose credential" select name="credential_of" {
            option value="gateway" { "the gateway's" }
            option value="requester" { "that of whoever opened the task" }
            option value="signer" { "that of whoever signs" } } }
    };
    let over_http = html! {
        label { "Credential in the vault (optional)" input name="credential" type="text" autocomplete="off"; }
        label { "Header it goes into (optional)" input name="credential_header" type="text" placeholder="authorization" autocomplete="off"; }
        label { "What stands before it there" input name="credential_prefix" type="text" placeholder="Bearer" autocomplete="off"; }
        (owner)
        label { "CA file (optional)" input name="ca_file" type="text" autocomplete="off"; }
        label.tick { input type="checkbox" name="private" value="yes"; " The host may have a private address" }
    };
    html! {
        details { summary { "Add a SQLite file" }
            form method="post" action="/grants" {
                input type="hidden" name="grant" value="target"; input type="hidden" name="type" value="sqlite";
                div.grid { (common) }
                label { "Full path" input.mono name="path" type="text" required autocomplete="off" spellcheck="false"; }
                (labels)
            } }
        details { summary { "Add an HTTP service" }
            form method="post" action="/grants" {
                input type="hidden" name="grant" value="target"; input type="hidden" name="type" value="http";
                div.grid {
                    (common)
                    label { "Origin" input.mono name="origin" type="text" required placeholder="https://api.example" autocomplete="off" spellcheck="false"; }
                    label { "OpenAPI description (optional)" input name="openapi" type="text" autocomplete="off"; }
                    label { "AWS region (optional)" input name="aws_region" type="text" placeholder="eu-central-1" autocomplete="off"; }
                    label { "AWS service (optional)" input name="aws_service" type="text" placeholder="s3" autocomplete="off"; }
                    (over_http)
                }
                label { "What may be sent, one line each" textarea.mono name="requests" rows="3" required placeholder="GET /v1/**" spellcheck="false" {} }
                (labels)
                div.grid {
                    label { "Path that takes GraphQL (optional)" input.mono name="graphql" type="text" autocomplete="off" spellcheck="false"; }
                    label { "Header for carrying out once (optional)" input.mono name="idempotency_header" type="text" placeholder="idempotency-key" autocomplete="off" spellcheck="false"; }
                    label { "Signatures go along" select name="receipts" { option value="no" { "no" } option value="yes" { "the service checks receipts" } } }
                    label { "Credential is due after days (optional)" input name="rotate_after" type="number" min="1" max="366"; }
                }
                label { "Payments and their limits, TOML (optional)" textarea.mono name="payments" rows="3" spellcheck="false" {} }
            } }
        details { summary { "Add a mailbox" }
            form method="post" action="/grants" {
                input type="hidden" name="grant" value="target"; input type="hidden" name="type" value="mail";
                div.grid {
                    (common)
                    label { "Address that mail is sent from" input.mono name="address" type="text" required placeholder="ada@acme.example" autocomplete="off" spellcheck="false"; }
                    label { "Where it is read" input.mono name="imap" type="text" required placeholder="imaps://mail.acme.example" autocomplete="off" spellcheck="false"; }
                    label { "Where it is sent (optional)" input.mono name="smtp" type="text" placeholder="smtps://mail.acme.example" autocomplete="off" spellcheck="false"; }
                    label { "Login at both" input name="login" type="text" required autocomplete="off"; }
                    label { "Credential in the vault" input name="credential" type="text" required autocomplete="off"; }
                    label { "The credential is" select name="oauth" { option value="no" { "a password" } option value="yes" { "an OAuth 2 access token" } } }
                    label { "Private network" select name="private" { option value="no" { "no" } option value="yes" { "the servers may be there" } } }
                    label { "CA file (optional)" input name="ca_file" type="text" autocomplete="off"; }
                }
                label { "What may be done, one line each; mail goes only to people that are named" textarea.mono name="requests" rows="5" required spellcheck="false" { "LIST /**\nREAD /**\nMARK /**\nDRAFT /\nSEND *@acme.example" } }
                (labels)
            } }
        details { summary { "Add an MCP server that is a program" }
            form method="post" action="/grants" {
                input type="hidden" name="grant" value="target"; input type="hidden" name="type" value="mcp_program";
                div.grid {
                    (common)
                    label { "Credential in the vault (optional)" input name="credential" type="text" autocomplete="off"; }
                    (owner)
                    label { "Variable it goes into (optional)" input.mono name="credential_variable" type="text" placeholder="GITHUB_TOKEN" autocomplete="off" spellcheck="false"; }
                }
                label { "The program by its whole path, then its arguments, one a line" textarea.mono name="command" rows="3" required placeholder="/usr/bin/node" spellcheck="false" {} }
                label { "Files and folders besides the system's that it may read, one a line" textarea.mono name="reads" rows="2" spellcheck="false" {} }
                label { "Files and folders that it may also write" textarea.mono name="writes" rows="2" spellcheck="false" {} }
                label { "TCP ports that it may connect to" textarea.mono name="ports" rows="2" spellcheck="false" {} }
                label { "What may be called, one line each; ASK for tools that only read" textarea.mono name="requests" rows="3" required placeholder="CALL /create_issue" spellcheck="false" {} }
                (labels)
            } }
        details { summary { "Add an MCP server over HTTP" }
            form method="post" action="/grants" {
                input type="hidden" name="grant" value="target"; input type="hidden" name="type" value="mcp_http";
                div.grid {
                    (common)
                    label { "Origin" input.mono name="origin" type="text" required placeholder="https://mcp.example" autocomplete="off" spellcheck="false"; }
                    label { "Path" input.mono name="path" type="text" required value="/mcp" autocomplete="off" spellcheck="false"; }
                    (over_http)
                }
                label { "What may be called, one line each; ASK for tools that only read" textarea.mono name="requests" rows="3" required placeholder="CALL /create_issue" spellcheck="false" {} }
                (labels)
            } }
        details { summary { "Add a PostgreSQL database" }
            form method="post" action="/grants" {
                input type="hidden" name="grant" value="target"; input type="hidden" name="type" value="postgresql";
                div.grid {
                    (common)
                    label { "Host or socket directory" input name="host" type="text" required autocomplete="off"; }
                    label { "Port" input name="port" type="number" min="1" max="65535" value="5432" required; }
                    label { "Database" input name="database" type="text" required autocomplete="off"; }
                    label { "Login role" input name="login" type="text" required autocomplete="off"; }
                    label { "Rights of a run" select name="rights" {
                        option value="login" { "those of the login" }
                        option value="minted" { "a role minted for the run (login needs CREATEROLE)" }
                        option value="minted-if-possible" { "minted if the login may, else high risk" }
                        option value="leased" { "a login that the credential's server lends for the run" }
                        option value="requester" { "the own login of whoever opened the task" }
                        option value="signer" { "the own login of whoever signs" } } }
                    label { "Switch to role (optional)" input name="mirror" type="text" autocomplete="off"; }
                    label { "Credential in the vault" input name="credential" type="text" autocomplete="off"; }
                    label { "TLS" select name="tls" { option value="require" { "require" } option value="disable" { "disable (this machine only)" } } }
                    label { "CA file (optional)" input name="ca_file" type="text" autocomplete="off"; }
                }
                label { "Search path, one schema a line" textarea.mono name="search_path" rows="2" spellcheck="false" { "\npublic" } }
                (labels)
            } }
        details { summary { "Add a MariaDB or MySQL database" }
            form method="post" action="/grants" {
                input type="hidden" name="grant" value="target"; input type="hidden" name="type" value="mariadb";
                div.grid {
                    (common)
                    label { "Host or socket" input name="host" type="text" required autocomplete="off"; }
                    label { "Port" input name="port" type="number" min="1" max="65535" value="3306" required; }
                    label { "Database" input name="database" type="text" required autocomplete="off"; }
                    label { "Login" input name="login" type="text" required autocomplete="off"; }
                    label { "Rights of a run" select name="rights" {
                        option value="login" { "those of the login" }
                        option value="minted" { "a user minted for the run (login needs CREATE USER)" }
                        option value="minted-if-possible" { "minted if the login may, else high risk" }
                        option value="leased" { "a login that the credential's server lends for the run" }
                        option value="requester" { "the own login of whoever opened the task" }
                        option value="signer" { "the own login of whoever signs" } } }
                    label { "Credential in the vault" input name="credential" type="text" autocomplete="off"; }
                    label { "TLS" select name="tls" { option value="require" { "require" } option value="disable" { "disable (this machine only)" } } }
                    label { "CA file (optional)" input name="ca_file" type="text" autocomplete="off"; }
                }
                (labels)
            } }
    }
}

/// What is paid there and within which limits.
fn payments(payments: &Payments) -> String {
    let list =
        |amounts: &[artifact::money::Money]| amounts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let limits = [
        ("two people above", &payments.two_people_above),
        ("a day", &payments.per_day),
        ("a month", &payments.per_month),
        ("an account and day", &payments.per_account_and_day),
    ];
    let set = limits.iter().filter(|(_, amounts)| !amounts.is_empty());
    let mut parts: Vec<String> = set.map(|(what, amounts)| format!("{what}: {}", list(amounts))).collect();
    if payments.two_people_for_new_accounts {
        parts.push("two people for new accounts".to_owned());
    }
    if parts.is_empty() { "payments without limits".to_owned() } else { format!("payments, {}", parts.join("; ")) }
}
