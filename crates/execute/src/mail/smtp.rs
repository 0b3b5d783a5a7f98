//! Sending.

use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use wire::order::{FailCode, Report, ResultSet};

use super::{Account, BEGIN, lost, refused, table};
use crate::child::failed;
use crate::http::{late, lookup};
use crate::secret::Secret;

/// Connects, waits in the outbox, and sends it once.
pub(super) async fn send(
    account: &Account<'_>,
    secret: &Secret,
    mail: Message,
    limit: Duration,
    announce: &mut dyn FnMut() -> Result<(), Report>,
) -> Result<ResultSet, Report> {
    let begun = tokio::time::timeout(BEGIN, connect(account, secret)).await;
    let mut server = begun.map_err(|_| late("the mail server took too long to let us in"))??;
    // Whoever changes their mind stops it now; the guard looks when it is asked.
    tokio::time::sleep(Duration::from_secs(u64::from(account.outbox_s))).await;
    if let Err(report) = announce() {
        server.abort().await;
        return Err(report);
    }
    let (envelope, bytes) = (mail.envelope().clone(), mail.formatted());
    let sent = tokio::time::timeout(limit, server.send(&envelope, &bytes)).await;
    let response = match sent {
        Ok(Ok(response)) => response,
        // The server said no, to all of it: one that takes a mail for some of its people only is not asked for the others.
        Ok(Err(error)) if error.is_permanent() || error.is_transient() => {
            server.abort().await;
            return Err(refused(secret, "the mail server refused it", error));
        }
        Ok(Err(error)) => {
            return Err(failed(
                FailCode::OutcomeUnknown,
                &secret.out_of(&format!("the mail server hung up while it was sent: {error}")),
            ));
        }
        Err(_) => return Err(failed(FailCode::OutcomeUnknown, "the mail server gave no answer in time")),
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), server.quit()).await;
    let id = mail.headers().get_raw("Message-ID").unwrap_or_default().to_owned();
    let said: String = response.message().collect::<Vec<_>>().join(" ").chars().take(200).collect();
    let row = vec![Some("sent".to_owned()), Some(id), Some(secret.out_of(&said))];
    Ok(table(&["status", "message_id", "server_said"], vec![row], 1))
}

async fn connect(account: &Account<'_>, secret: &Secret) -> Result<AsyncSmtpConnection, Report> {
    let url =
        account.smtp.ok_or_else(|| failed(FailCode::BadOrder, "the mailbox is registered without a way to send"))?;
    let (origin, starttls) = Account::server(url)?;
    let found = lookup(&origin, account.private).await?;
    let hello = ClientId::Domain("localhost".to_owned());
    let unreachable = |error| lost(secret, "the mail server cannot be reached", error);
    let tls = origin.secure.then(|| parameters(&origin.host, account.ca_file)).transpose()?;
    let (first, later) = if starttls { (None, tls) } else { (tls, None) };
    let mut server =
        AsyncSmtpConnection::connect_tokio1(&found[..], Some(BEGIN), &hello, first, None).await.map_err(unreachable)?;
    if let Some(tls) = later {
        server.starttls(tls, &hello).await.map_err(unreachable)?;
    }
    if let Some(value) = &secret.value {
        let mechanisms: &[Mechanism] =
            if account.oauth { &[Mechanism::Xoauth2] } else { &[Mechanism::Plain, Mechanism::Login] };
        let credentials = Credentials::new(account.login.to_owned(), value.clone());
        let login = |error| failed(FailCode::LoginRefused, &secret.out_of(&format!("the mail server: {error}")));
        server.auth(mechanisms, &credentials).await.map_err(login)?;
    }
    Ok(server)
}

fn parameters(host: &str, ca_file: Option<&str>) -> Result<TlsParameters, Report> {
    let bad = |detail: &str| failed(FailCode::BadOrder, detail);
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca_file {
        let pem = std::fs::read(file).map_err(|_| bad("the certificate file cannot be read"))?;
        let authority = Certificate::from_pem(&pem).map_err(|_| bad("the certificate file is not PEM"))?;
        builder = builder.add_root_certificate(authority);
    }
    builder.build_rustls().map_err(|_| bad("TLS cannot be set up"))
}
