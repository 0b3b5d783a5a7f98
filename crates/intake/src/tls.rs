//! The agents' door over TLS, for agents on other machines. A client's certificate is verified against the given authorities
//! (a company's own, or a SPIFFE trust bundle); a pass can be bound to it (RFC 8705, section 3), so that the pass alone is worth
//! nothing. A client without a certificate gets through as well, with a pass that is bound to nothing or to a key.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at once; whoever comes then waits in the system's queue.
const HANDSHAKES_MAX: usize = 256;
/// What a binding to a certificate begins with; the rest is `x5t#S256` of RFC 8705, section 3.1.
const CERTIFICATE: &str = "cert:";
/// What a binding to a workload's name begins with, whichever certificate it has at the moment.
const SPIFFE: &str = "spiffe://";
/// Longest SPIFFE id, in bytes (SPIFFE-ID, section 2.3).
const SPIFFE_MAX: usize = 2048;

/// How the door is opened over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What clients call it, with the port unless it is 443, e.g. `agents.corp.example:7443`.
    pub host: String,
    /// PEM file with the server's certificate and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// PEM file with the authorities of clients' certificates; none: certificates are not asked for.
    pub client_ca: Option<PathBuf>,
}

/// Why the door cannot be opened over TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("{} cannot be read as PEM", .0.display())]
    File(PathBuf),
    /// What the files hold.
    #[error("the certificate or key is not usable: {0}")]
    Unusable(String),
    /// The port.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// Who is at the other end, as far as the connection says.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Network address.
    pub address: SocketAddr,
    /// What the client proved to be, over TLS: `cert:` and the thumbprint, and SPIFFE ids.
    proved: Arc<[String]>,
}

impl Peer {
    /// Whether the client proved this binding.
    pub(crate) fn is(&self, binding: &str) -> bool {
        self.proved.iter().any(|name| name == binding)
    }
}

/// Whether a pass can be bound to this as something that a certificate shows.
pub fn is_certificate_binding(text: &str) -> bool {
    if let Some(thumbprint) = text.strip_prefix(CERTIFICATE) {
        return URL_SAFE_NO_PAD.decode(thumbprint).is_ok_and(|raw| raw.len() == 32);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._/".contains(&b);
    text.strip_prefix(SPIFFE).is_some_and(|rest| {
        text.len() <= SPIFFE_MAX
            && !rest.starts_with('/')
            && rest.contains('/')
            && !rest.ends_with('/')
            && rest.bytes().all(plain)
    })
}

/// What a verified certificate shows.
fn proved_by(certificate: &CertificateDer<'_>) -> Vec<String> {
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate));
    let mut proved = vec![format!("{CERTIFICATE}{thumbprint}")];
    if let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) {
        let names: Vec<&str> = parsed.valid_uri_names().filter(|name| name.starts_with(SPIFFE)).collect();
        // An SVID has exactly one name (X.509-SVID, section 2).
        if let [name] = names[..] {
            proved.push(name.to_owned());
        }
    }
    proved
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = || TlsError::File(file.to_owned());
    let read = CertificateDer::pem_reader_iter(File::open(file).map_err(|_| bad())?);
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|_| bad())?;
    if all.is_empty() { Err(bad()) } else { Ok(all) }
}

fn settings(config: &TlsConfig) -> Result<rustls::ServerConfig, TlsError> {
    let unusable = |error: &dyn std::fmt::Display| TlsError::Unusable(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|error| unusable(&error))?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|_| TlsError::File(config.key.clone()))?;
    builder.with_single_cert(certificates(&config.certificate)?, key).map_err(|error| unusable(&error))
}

/// A listener whose connections have finished their handshake.
pub struct TlsListener {
    local: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, Peer)>,
}

impl TlsListener {
    /// Opens the port. Handshakes happen beside each other, so that a slow one keeps nobody waiting.
    pub async fn open(config: &TlsConfig) -> Result<Self, TlsError> {
        let acceptor = TlsAcceptor::from(Arc::new(settings(config)?));
        let listener = TcpListener::bind(config.listen).await?;
        let local = listener.local_addr()?;
        let (done, ready) = mpsc::channel(HANDSHAKES_MAX);
        let at_once = Arc::new(tokio::sync::Semaphore::new(HANDSHAKES_MAX));
        tokio::spawn(async move {
            while let Ok(permit) = Arc::clone(&at_once).acquire_owned().await {
                let accepted = tokio::select! {
                    () = done.closed() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, address)) = accepted else {
                    // Out of files, mostly; the next may fare better.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        let first = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                        let proved = first.map(proved_by).unwrap_or_default().into();
                        let _ = done.send((stream, Peer { address, proved })).await;
                    }
                });
            }
        });
        Ok(Self { local, ready })
    }

    /// Where it listens.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(next) => next,
            // The accepting task is gone: nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Peer { address: self.local, proved: Arc::default() })
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        stream.remote_addr().clone()
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self { address: *stream.remote_addr(), proved: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_have_one_form() {
        let thumbprint = URL_SAFE_NO_PAD.encode([7; 32]);
        for good in [format!("cert:{thumbprint}"), "spiffe://corp.example/agents/robin".to_owned()] {
            assert!(is_certificate_binding(&good), "{good}");
        }
        let long = format!("spiffe://corp.example/{}", "a".repeat(SPIFFE_MAX));
        for bad in [
            "",
            "cert:",
            "cert:abc",
            &thumbprint,
            "spiffe://",
            "spiffe://corp.example",
            "spiffe://corp.example/",
            "spiffe:///x",
            "spiffe://corp.example/a b",
            "spiffe://corp.example/a?b",
            "SPIFFE://corp.example/a",
            &long,
        ] {
            assert!(!is_certificate_binding(bad), "{bad}");
        }
    }
}
