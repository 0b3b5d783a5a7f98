//! One message to one receiver.

use std::net::IpAddr;
use std::time::Duration;

use artifact::{Timestamp, visible};
use aws_lc_rs::hmac;
use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use axum::http::{Request, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::mail::Mailer;
use super::{Form, Hook, HookError, Message};
use crate::outbound::{self, OutboundError};

/// How long a receiver may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// Longest address of a receiver, in bytes.
const URL_MAX: usize = 500;

/// A receiver that can be sent to.
pub(super) struct Sender {
    url: Uri,
    by: By,
}

/// On which way.
enum By {
    Http { key: Box<hmac::Key>, slack: bool, client: Box<Client<HttpsConnector<HttpConnector>, Full<Bytes>>> },
    Mail(Box<Mailer>),
}

impl Sender {
    pub(super) fn new(hook: &Hook) -> Result<Self, HookError> {
        let address = || HookError::Address(visible(&hook.url.chars().take(100).collect::<String>()));
        let url: Uri = hook.url.parse().map_err(|_| address())?;
        let authority = url.authority().ok_or_else(address)?;
        if hook.form == Form::Mail {
            let fits = !authority.as_str().contains('@') && hook.url.len() <= URL_MAX;
            let by = if fits { By::Mail(Box::new(Mailer::new(hook, &url)?)) } else { return Err(address()) };
            return Ok(Self { url, by });
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let fits = match url.scheme_str() {
            Some("https") => !host.is_empty(),
            Some("http") => here,
            _ => false,
        };
        if !fits || authority.as_str().contains('@') || hook.url.len() > URL_MAX {
            return Err(address());
        }
        let secret = hook.secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let secret = secret.filter(|raw| (24..=64).contains(&raw.len())).ok_or(HookError::Secret)?;
        let tls = outbound::tls(hook.ca_file.as_deref()).map_err(|error| match error {
            OutboundError::Certificates(file) => HookError::Certificates(file),
            _ => HookError::Secret,
        })?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        let key = Box::new(hmac::Key::new(hmac::HMAC_SHA256, &secret));
        Ok(Self { url, by: By::Http { key, slack: hook.form == Form::Slack, client: Box::new(client) } })
    }

    pub(super) fn url(&self) -> String {
        self.url.to_string()
    }

    /// The same for the same news and receiver, however often it is sent.
    pub(super) fn id(&self, news: &str) -> String {
        let name = artifact::Digest::of(format!("{news} {}", self.url).as_bytes()).hex();
        format!("msg_{}", &name[..32])
    }

    /// Sends once. Anything but a 2xx answer in time is an error; a redirection is not followed.
    pub(super) async fn send(&self, id: &str, at: Timestamp, message: &Message) -> Result<(), &'static str> {
        let (key, is_slack, client) = match &self.by {
            By::Http { key, slack, client } => (key, *slack, client),
            By::Mail(mailer) => return mailer.send(id, message).await,
        };
        let seconds = at.as_millis() / 1000;
        let body = if is_slack { slack(&message.line) } else { message.facts.clone() };
        let tag = hmac::sign(key, format!("{id}.{seconds}.{body}").as_bytes());
        let request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("wetink/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", format!("v1,{}", STANDARD.encode(tag.as_ref())))
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| "the request cannot be made")?;
        match tokio::time::timeout(ANSWER, client.request(request)).await {
            // What it says besides is not read: the connection is dropped with it.
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(_)) => Err("the receiver did not take it"),
            Ok(Err(_)) => Err("the receiver cannot be reached"),
            Err(_) => Err("the receiver did not answer in time"),
        }
    }
}

/// A line as Slack takes it: plain text, its three signs escaped, so that no name becomes a link or a mention.
fn slack(line: &str) -> String {
    let plain = visible(line).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    serde_json::json!({ "text": plain, "mrkdwn": false, "unfurl_links": false }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_becomes_a_mention() {
        let said = slack("robin <!channel> & \u{202e}x: <https://evil.example|safe>");
        let text: serde_json::Value = serde_json::from_str(&said).unwrap();
        let text = text["text"].as_str().unwrap();
        assert!(!text.contains('<') && !text.contains('>') && !text.contains('\u{202e}'), "{text}");
    }
}
