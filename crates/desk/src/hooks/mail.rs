//! Alerts by mail (RFC 5321), for people who read nothing else. The transport is encrypted except on this machine.

use std::net::IpAddr;
use std::path::Path;

use artifact::visible;
use axum::http::Uri;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncTransport as _, Tokio1Executor};

use super::send::ANSWER;
use super::{Hook, HookError, Message};

/// A mail server, and who writes to whom.
pub(super) struct Mailer {
    from: Mailbox,
    to: Mailbox,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Mailer {
    /// `smtps://HOST:465` is TLS from the start, `smtp://HOST:587` asks for it before anything else, and goes without on this
    /// machine alone.
    pub(super) fn new(hook: &Hook, url: &Uri) -> Result<Self, HookError> {
        let address = || HookError::Address(visible(&hook.url.chars().take(100).collect::<String>()));
        let mail = hook.mail.as_ref().ok_or_else(address)?;
        let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|_| HookError::Mailbox(visible(text)));
        let (from, to) = (mailbox(&mail.from)?, mailbox(&mail.to)?);
        let host = url.host().ok_or_else(address)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let parameters = || parameters(&host, hook.ca_file.as_deref());
        let (tls, port) = match url.scheme_str() {
            Some("smtps") => (Tls::Wrapper(parameters()?), 465),
            Some("smtp") if here && hook.ca_file.is_none() => (Tls::None, 25),
            Some("smtp") => (Tls::Required(parameters()?), 587),
            _ => return Err(address()),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
            .port(url.port_u16().unwrap_or(port))
            .timeout(Some(ANSWER))
            .tls(tls);
        if let Some(user) = &mail.user {
            builder = builder.credentials(Credentials::new(user.clone(), hook.secret.clone()));
        }
        Ok(Self { from, to, transport: builder.build() })
    }

    /// Sends once. The id names the mail, so that one that is sent again is known as the same.
    pub(super) async fn send(&self, id: &str, message: &Message) -> Result<(), &'static str> {
        let Some(subject) = &message.subject else { return Ok(()) };
        let mail = Mail::builder()
            .from(self.from.clone())
            .to(self.to.clone())
            .subject(visible(subject).replace('\n', " "))
            .message_id(Some(format!("<{id}@wetink>")))
            .header(ContentType::TEXT_PLAIN)
            .body(format!("{}\r\n", visible(&message.line)))
            .map_err(|_| "the mail cannot be made")?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            // What the server says may quote addresses; it stays out of the log.
            Err(error) if error.is_permanent() => Err("the mail server refuses it"),
            Err(_) => Err("the mail server cannot be reached"),
        }
    }
}

fn parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, HookError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca_file {
        let unread = || HookError::Certificates(file.to_owned());
        let pem = std::fs::read(file).map_err(|_| unread())?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|_| unread())?);
    }
    builder.build_rustls().map_err(|_| HookError::Address(visible(host)))
}
