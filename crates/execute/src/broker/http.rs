//! One question to the server, one answer, no redirection followed.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use wire::broker::Broker;
use wire::order::Report;
use wire::origin::Origin;
use zeroize::Zeroizing;

use crate::http::{CONNECT, meet};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Largest answer in bytes.
const ANSWER_MAX: usize = 256 * 1024;

/// A question.
pub(super) struct Question<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    /// Name in lower case, and value, which is never shown.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Everything but what no reader takes for something else is escaped.
pub(super) fn escaped(text: &str) -> String {
    reading::request::escaped(text.as_bytes(), b"-._~")
}

/// Fields as `application/x-www-form-urlencoded`. Secrets among them leave no copy behind.
pub(super) fn form(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // Never moved while it grows: each byte takes three at most.
    let most = fields.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(most));
    for (name, value) in fields {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(name.as_bytes());
        body.push(b'=');
        body.extend_from_slice(Zeroizing::new(escaped(value)).as_bytes());
    }
    body
}

/// Status and body, which is JSON: `null` if it is empty or something else.
pub(super) async fn ask(broker: &Broker, question: Question<'_>) -> Result<(u16, Value), String> {
    let headers = [&[("accept", "application/json")], question.headers].concat();
    let (status, body) = ask_raw(broker, Question { headers: &headers, ..question }).await?;
    Ok((status, serde_json::from_slice(&Zeroizing::new(body)).unwrap_or_default()))
}

/// Status and body.
pub(super) async fn ask_raw(broker: &Broker, question: Question<'_>) -> Result<(u16, Vec<u8>), String> {
    let origin = Origin::read(&broker.origin).ok_or("the origin is not usable")?;
    let met = tokio::time::timeout(CONNECT, meet(&origin, broker.private, broker.ca_file.as_deref())).await;
    let stream = met.map_err(|_| "the server did not answer in time")?.map_err(|report| match report {
        Report::Failed { detail, .. } => detail,
        _ => "the server cannot be reached".to_owned(),
    })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| "the server does not speak HTTP")?;
    let connection = tokio::spawn(connection);
    let mut request =
        hyper::Request::builder().method(question.method).uri(question.path).header("host", &origin.authority);
    for (name, value) in question.headers {
        let mut value = hyper::header::HeaderValue::from_str(value).map_err(|_| "a header cannot be sent")?;
        value.set_sensitive(true);
        request = request.header(*name, value);
    }
    let request = request
        .body(Full::new(Bytes::copy_from_slice(&question.body)))
        .map_err(|_| "the question cannot be sent as it stands")?;
    let answered = tokio::time::timeout(ANSWER, async {
        let response = sender.send_request(request).await.map_err(|_| "the server hung up".to_owned())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|_| "the server's answer is too large or did not come whole")?.to_bytes();
        Ok((status, body.to_vec()))
    });
    let answered = answered.await.map_err(|_| "the server did not answer in time")?;
    connection.abort();
    answered
}
