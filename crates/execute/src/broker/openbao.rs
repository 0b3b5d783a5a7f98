//! OpenBao and HashiCorp Vault, by their HTTP API (version 1): login, key-value store, logins at databases, leases.
//!
//! What is lent hangs on a token made for this one run: when that token is revoked, the server takes back everything that was
//! lent under it. The token's accessor can revoke it and nothing else, and is what the guard writes down.

use std::fs::File;
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use wire::broker::{Broker, Give, Told};
use zeroize::Zeroizing;

use super::http::{Question, ask};
use super::{Given, announce, give, tell};
use crate::confine;

/// How long a token made for one run lives at most, in seconds; longer than any run.
const TOKEN_S: u64 = 15 * 60;

/// A token, and by what it can be revoked.
struct Token {
    value: Zeroizing<String>,
    accessor: String,
}

async fn call(
    broker: &Broker,
    method: &'static str,
    path: &str,
    token: Option<&str>,
    body: &Value,
) -> Result<Value, String> {
    let path = format!("/v1/{path}");
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).map_err(|error| error.to_string())? };
    // The namespace-wide guard of theirs against requests that were never meant for them.
    let mut headers = vec![("x-vault-request", "true"), ("content-type", "application/json")];
    headers.extend(token.map(|token| ("x-vault-token", token)));
    let question = Question { method, path: &path, headers: &headers, body: Zeroizing::new(body) };
    let (status, answer) = ask(broker, question).await?;
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    // Their words name paths and reasons, no values.
    let errors = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let errors = errors.collect::<Vec<_>>().join("; ");
    Err(format!("the server answered {status} at {path}: {}", if errors.is_empty() { "no reason" } else { &errors }))
}

fn token_of(answer: &Value) -> Result<Token, String> {
    let text = |name: &str| answer["auth"][name].as_str().filter(|text| !text.is_empty() && text.len() <= 4096);
    let value = text("client_token").ok_or("the server gave no token")?;
    let accessor =
        text("accessor").ok_or("the server gave no accessor of the token, so nothing could be taken back")?;
    Ok(Token { value: Zeroizing::new(value.to_owned()), accessor: accessor.to_owned() })
}

/// A token for this run. `own`: one that can be revoked with all that hangs on it, whatever the secret is.
async fn login(broker: &Broker, secret: &str, own: bool) -> Result<Option<Token>, String> {
    let (Give::OpenbaoKv { role_id, .. } | Give::OpenbaoDatabase { role_id, .. }) = &broker.give else {
        return Err("this is no OpenBao server".to_owned());
    };
    if let Some(role_id) = role_id {
        let body = json!({ "role_id": role_id, "secret_id": secret });
        return token_of(&call(broker, "POST", "auth/approle/login", None, &body).await?).map(Some);
    }
    if !own {
        return Ok(None);
    }
    let body = json!({ "ttl": format!("{TOKEN_S}s"), "renewable": false, "display_name": "wetink" });
    token_of(&call(broker, "POST", "auth/token/create", Some(secret), &body).await?).map(Some)
}

async fn leave(broker: &Broker, token: Option<Token>) {
    if let Some(token) = token {
        // It ends by itself soon, and nothing hangs on it.
        let _ = call(broker, "POST", "auth/token/revoke-self", Some(&token.value), &Value::Null).await;
    }
}

/// A field of a secret of the key-value store.
pub(super) async fn read(broker: &Broker, secret: &str) -> Result<Given, String> {
    let Give::OpenbaoKv { mount, path, field, .. } = &broker.give else {
        return Err("this is no key-value store".to_owned());
    };
    let token = login(broker, secret, false).await?;
    let opened = token.as_ref().map_or(secret, |token| token.value.as_str());
    let answer = call(broker, "GET", &format!("{mount}/data/{path}"), Some(opened), &Value::Null).await;
    leave(broker, token).await;
    let answer = answer?;
    let value = answer["data"]["data"][field].as_str().filter(|text| !text.is_empty());
    let value = value.ok_or("the secret has no such field, or it is no text")?;
    Ok(Given { credential: Zeroizing::new(value.as_bytes().to_vec()), replaced: None })
}

/// A login at a database, until standard input closes.
pub(super) async fn lend(broker: &Broker, secret: &str, stdin: &mut File) -> Result<(), String> {
    let Give::OpenbaoDatabase { mount, role, .. } = &broker.give else {
        return Err("this is no database secrets engine".to_owned());
    };
    let token = login(broker, secret, true).await?.ok_or("the server gave no token")?;
    // From here on it is taken back even if the guard is killed meanwhile.
    confine::outlive(true);
    let lent = async {
        announce(&token.accessor, stdin)?;
        let path = format!("{mount}/creds/{role}");
        let answer = call(broker, "GET", &path, Some(&token.value), &Value::Null).await?;
        let text = |name: &str| answer["data"][name].as_str().filter(|text| !text.is_empty() && !text.contains('\n'));
        let lease = answer["lease_id"].as_str().filter(|id| !id.is_empty() && id.len() <= 500);
        let (Some(user), Some(password), Some(lease)) = (text("username"), text("password"), lease) else {
            return Err("the server gave no login with a lease".to_owned());
        };
        let credential = Zeroizing::new(format!("{user}\n{password}").into_bytes());
        let seconds = answer["lease_duration"].as_u64().unwrap_or(TOKEN_S).max(2);
        Ok((Given { credential, replaced: None }, lease.to_owned(), seconds))
    };
    let lent = lent.await;
    let outcome = match lent {
        Ok((given, lease, seconds)) => match give(&given, Some(&lease)) {
            Ok(()) => {
                drop(given);
                keep(broker, &token, &lease, seconds, stdin).await;
                // Waited for. Not every policy allows it; what follows takes it back too, a moment later.
                let body = json!({ "lease_id": lease, "sync": true });
                let _ = call(broker, "POST", "sys/leases/revoke", Some(&token.value), &body).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let returned = call(broker, "POST", "auth/token/revoke-self", Some(&token.value), &Value::Null).await;
    outcome?;
    returned?;
    // Nobody may be listening any more.
    let _ = tell(&Told::Returned {});
    Ok(())
}

/// Waits for the end of the run, and has the lease last as long.
async fn keep(broker: &Broker, token: &Token, lease: &str, seconds: u64, stdin: &File) {
    let half = u16::try_from((seconds * 500).min(60_000)).unwrap_or(u16::MAX);
    loop {
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(half)) {
            Ok(0) => {
                let body = json!({ "lease_id": lease });
                if call(broker, "POST", "sys/leases/renew", Some(&token.value), &body).await.is_err() {
                    // It ends when it ends; the run finds its login refused.
                    return_when_closed(stdin);
                    return;
                }
            }
            Err(nix::errno::Errno::EINTR) => {}
            _ => return,
        }
    }
}

fn return_when_closed(stdin: &File) {
    while let Err(nix::errno::Errno::EINTR) =
        poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)
    {}
}

/// Takes back what hangs on a token that another process made.
pub(super) async fn take_back(broker: &Broker, secret: &str, accessor: &str) -> Result<(), String> {
    let token = login(broker, secret, false).await?;
    let opened = token.as_ref().map_or(secret, |token| token.value.as_str());
    let body = json!({ "accessor": accessor });
    let revoked = call(broker, "POST", "auth/token/revoke-accessor", Some(opened), &body).await;
    leave(broker, token).await;
    match revoked {
        // It was revoked, or ended by itself.
        Err(error) if error.contains("invalid accessor") => Ok(()),
        other => other.map(|_| ()),
    }
}
