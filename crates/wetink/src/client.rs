//! The terminal's and the scripts' HTTP client. Plain HTTP to this machine only: a session token or an agent pass never
//! travels unencrypted over a network.

use anyhow::{Context, Result, bail};
use desk::AgentKey;
use doors::agents::RefusalAnswer;
use doors::people::PersonError;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::{Exit, Failure};

/// Largest answer read, in bytes.
const ANSWER_MAX: usize = 24 * 1024 * 1024;

/// A client of one of the gateway's doors.
pub(crate) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    base: String,
    token: Option<String>,
    /// The key that the token is bound to, if it is.
    key: Option<AgentKey>,
}

impl Client {
    /// A client for `base`, e.g. `http://localhost:7117`.
    pub(crate) fn new(base: &str, token: Option<String>) -> Result<Self> {
        let uri: Uri = base.parse().with_context(|| format!("`{}` is not an address", artifact::visible(base)))?;
        let host = uri.host().unwrap_or_default();
        if uri.scheme_str() != Some("http") || !["localhost", "127.0.0.1", "[::1]"].contains(&host) {
            bail!("`{}` is not a gateway on this machine; use http://localhost:PORT", artifact::visible(base));
        }
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token, key: None })
    }

    /// The same, proving with each request that it holds this key.
    pub(crate) fn with_key(self, key: Option<AgentKey>) -> Self {
        Self { key, ..self }
    }

    /// GET.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send(Method::GET, path, Vec::new()).await
    }

    /// GET of plain text.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String> {
        let bytes = self.exchange(Method::GET, path, Vec::new()).await?;
        String::from_utf8(bytes.to_vec()).context("the gateway's answer is not UTF-8")
    }

    /// POST of a JSON body.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.send(Method::POST, path, serde_json::to_vec(body)?).await
    }

    async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Vec<u8>) -> Result<T> {
        let bytes = self.exchange(method, path, body).await?;
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(bytes)
            .context("the gateway's answer has another form than expected; are both of one version?")
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes> {
        let mut response = self.request(&method, path, &body, None).await?;
        // The gateway tells what its proofs must hold; the request itself was not looked at.
        let nonce = response.headers().get("dpop-nonce").and_then(|nonce| nonce.to_str().ok()).map(str::to_owned);
        if let (Some(_), Some(nonce)) = (&self.key, nonce) {
            response = self.request(&method, path, &body, Some(&nonce)).await?;
        }
        let status = response.status();
        let collected = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let bytes = collected.map_err(|_| anyhow::anyhow!("the answer broke off or is too large"))?.to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        Err(failure(status, &bytes))
    }

    async fn request(
        &self,
        method: &Method,
        path: &str,
        body: &[u8],
        nonce: Option<&str>,
    ) -> Result<hyper::Response<hyper::body::Incoming>> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url).header("accept", "application/json");
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        match (&self.token, &self.key) {
            (Some(token), Some(key)) => {
                let about = url.split('?').next().unwrap_or_default();
                let proof = key.prove(method.as_str(), about, token, nonce, artifact::Timestamp::now());
                request = request.header("authorization", format!("DPoP {token}")).header("dpop", proof);
            }
            (Some(token), None) => request = request.header("authorization", format!("Bearer {token}")),
            (None, _) => {}
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)))?;
        self.http.request(request).await.map_err(|_| {
            Failure::of(Exit::Error, format!("nothing answers at {}; start it with `wetink up`", self.base))
        })
    }
}

fn failure(status: StatusCode, bytes: &[u8]) -> anyhow::Error {
    if let Ok(error) = serde_json::from_slice::<PersonError>(bytes) {
        let exit = match error.code.as_str() {
            "stale" => Exit::Stale,
            "already_decided" | "rejected" | "denied" => Exit::Denied,
            _ => Exit::Error,
        };
        return Failure::of(exit, format!("{} ({})", artifact::visible(&error.message), error.code));
    }
    if let Ok(refusal) = serde_json::from_slice::<RefusalAnswer>(bytes) {
        let exit = match refusal.refused {
            doors::Refusal::DeniedByPolicy | doors::Refusal::NotUnderstood | doors::Refusal::Stopped => Exit::Denied,
            doors::Refusal::SlowDown | doors::Refusal::Unavailable => Exit::Pending,
            _ => Exit::Error,
        };
        return Failure::of(exit, format!("{} ({})", artifact::visible(&refusal.message), refusal.refused.code()));
    }
    Failure::of(Exit::Error, format!("the gateway answered {status}"))
}
