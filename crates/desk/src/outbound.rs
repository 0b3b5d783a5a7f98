//! Requests that the desk makes by itself: to receivers of webhooks, to an identity provider, for a client's metadata. Bounded in
//! size and time, without redirection, and, where a stranger names the address, never into a private network.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Request, StatusCode, Uri};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use wire::net::is_private;

/// How long one request may take.
const TIME: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const ANSWER_MAX: usize = 256 * 1024;
/// Longest address, in bytes.
const URL_MAX: usize = 2000;

/// What a gateway inside a company's network needs besides the public internet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundConfig {
    /// PEM file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Hosts of client metadata that may have private addresses, e.g. `agents.corp.example`.
    pub private_hosts: Vec<String>,
}

/// Text with everything but unreserved characters as escapes (RFC 3986, section 2.3).
pub(crate) fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Names and values as a form or a query (application/x-www-form-urlencoded).
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

/// An address with a query, or with further parameters of one.
pub(crate) fn query(uri: &str, pairs: &[(&str, &str)]) -> String {
    let joint = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{joint}{}", form(pairs))
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("the address is not usable: https with a host, at most 2000 bytes")]
    Address,
    #[error("the address leads into a private network")]
    Private,
    #[error("{} is not a PEM file of certificates", .0.display())]
    Certificates(PathBuf),
    #[error("TLS cannot be set up")]
    Tls,
    #[error("it cannot be reached")]
    Unreachable,
    #[error("it did not answer in 10 seconds")]
    Late,
    #[error("it answered {0}")]
    Status(u16),
    #[error("its answer is larger than 256 KiB")]
    TooLarge,
}

/// Roots of trust: the public ones, and those of a file.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, OutboundError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = ca_file {
        let bad = || OutboundError::Certificates(file.to_owned());
        for certificate in CertificateDer::pem_file_iter(file).map_err(|_| bad())? {
            roots.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(versions.map_err(|_| OutboundError::Tls)?.with_root_certificates(roots).with_no_client_auth())
}

/// A client for one purpose.
pub(crate) struct Outbound {
    http: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    guard: Guard,
}

/// Which addresses are refused.
#[derive(Clone)]
enum Guard {
    /// The operator named the address.
    Named,
    /// A stranger named it; these hosts may be private.
    Stranger(Arc<[String]>),
}

impl Guard {
    fn refuses(&self, host: &str, ip: IpAddr) -> bool {
        match self {
            Self::Named => false,
            Self::Stranger(private) => is_private(ip) && !private.iter().any(|known| known.eq_ignore_ascii_case(host)),
        }
    }
}

/// Looks a name up, and gives only addresses that may be met. The connection is made to these and no others, so a name that
/// answers otherwise a moment later changes nothing.
#[derive(Clone)]
struct Resolver(Guard);

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guard = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One bad address among good ones is a name that plays.
            if found.iter().any(|address| guard.refuses(name.as_str(), address.ip())) {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            Ok(found.into_iter())
        })
    }
}

impl Outbound {
    /// For addresses that the operator of the gateway wrote down.
    pub(crate) fn named(ca_file: Option<&Path>) -> Result<Self, OutboundError> {
        Self::new(ca_file, Guard::Named)
    }

    /// For addresses that strangers bring.
    pub(crate) fn to_strangers(config: &OutboundConfig) -> Result<Self, OutboundError> {
        Self::new(config.ca_file.as_deref(), Guard::Stranger(config.private_hosts.clone().into()))
    }

    fn new(ca_file: Option<&Path>, guard: Guard) -> Result<Self, OutboundError> {
        let mut connector = HttpConnector::new_with_resolver(Resolver(guard.clone()));
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(TIME));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(ca_file)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self { http: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector), guard })
    }

    /// Fetches JSON.
    pub(crate) async fn get(&self, url: &str) -> Result<Bytes, OutboundError> {
        self.ask(Method::GET, url, None, Bytes::new()).await
    }

    /// Sends a form, with an `Authorization` header where that is given.
    pub(crate) async fn post_form(
        &self,
        url: &str,
        authorization: Option<HeaderValue>,
        form: String,
    ) -> Result<Bytes, OutboundError> {
        self.ask(Method::POST, url, authorization, Bytes::from(form)).await
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        authorization: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Bytes, OutboundError> {
        let uri: Uri = url.parse().map_err(|_| OutboundError::Address)?;
        let host = uri.host().ok_or(OutboundError::Address)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let ip: Option<IpAddr> = host.parse().ok();
        let here = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
        let plain = uri.scheme_str() == Some("http") && here && matches!(self.guard, Guard::Named);
        if !(uri.scheme_str() == Some("https") || plain)
            || host.is_empty()
            || url.len() > URL_MAX
            || uri.authority().is_some_and(|a| a.as_str().contains('@'))
        {
            return Err(OutboundError::Address);
        }
        // A number is not looked up by anybody.
        if ip.is_some_and(|ip| self.guard.refuses(&host, ip)) {
            return Err(OutboundError::Private);
        }
        let mut request = Request::builder().method(&method).uri(uri).header(ACCEPT, "application/json");
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body)).map_err(|_| OutboundError::Address)?;
        let whole = async {
            let response = self.http.request(request).await.map_err(|error| refused_by_us(&error))?;
            if response.status() != StatusCode::OK {
                return Err(OutboundError::Status(response.status().as_u16()));
            }
            let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|_| OutboundError::TooLarge)
        };
        tokio::time::timeout(TIME, whole).await.map_err(|_| OutboundError::Late)?
    }
}

fn refused_by_us(error: &(dyn std::error::Error + 'static)) -> OutboundError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            return OutboundError::Private;
        }
        cause = error.source();
    }
    OutboundError::Unreachable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strangers_lead_nowhere_private() {
        let outbound = Outbound::to_strangers(&OutboundConfig::default()).unwrap();
        for url in [
            "https://127.0.0.1/x",
            "https://[::1]/x",
            "https://169.254.169.254/latest",
            "https://localhost/x",
            "https://[::ffff:10.0.0.1]/",
        ] {
            assert!(matches!(outbound.get(url).await, Err(OutboundError::Private)), "{url}");
        }
        for url in [
            "http://app.example/x",
            "ftp://app.example/",
            "https://a@app.example/",
            "https:///x",
            "not a url",
            "http://127.0.0.1/x",
        ] {
            assert!(matches!(outbound.get(url).await, Err(OutboundError::Address)), "{url}");
        }
    }
}
