//! An HTTP service: one request, sent as it was signed. The connection may stay for the next one of the same target, with the same
//! credential.
//!
//! What is added is `host`, `content-length`, the credential's header, and the headers of the order, and nothing else. A redirection is an answer like any
//! other. Names are looked up here, and only the address that was found and may be met is connected to.
//!
//! If we crash here: what reads is lost and did no harm. What changes something was announced before the first byte left; whether
//! it arrived, nobody can say.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use artifact::Timestamp;
use artifact::request::{self, Method};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use reading::request::Request;
use reading::{graphql, mail, payment};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use wire::net::is_private;
use wire::order::{FailCode, Job, RESULT_BYTES_MAX, Report, ResultColumn, ResultSet};
use wire::origin::Origin;
use wire::target::{Address, AwsService};
use zeroize::Zeroizing;

use crate::aws;
use crate::child::{Commit, Way, failed};
use crate::members;
use crate::secret::Secret;

/// How long connecting may take, TLS included.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// Longest value of a header that is reported.
const HEADER_MAX: usize = 8 * 1024;

/// How long a connection may have been idle for what reads, which is sent again if it did not arrive. What changes something goes over a
/// fresh one: a server may be closing one that was idle just then, and whether it arrived nobody could say.
const IDLE: Duration = Duration::from_secs(50);

/// How long after an answer its server has hardly had the time to go away.
const BUSY: Duration = Duration::from_millis(20);

/// A connection that stays, with the runtime that drives it.
pub(crate) struct Session {
    link: Option<Link>,
    runtime: Option<Runtime>,
    /// What the credential could come back as is worked out once.
    secret: Option<Secret>,
}

struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
    since: Instant,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Session {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self { link: None, runtime: None, secret: None }
    }

    /// Whether a connection is there for the next request.
    pub(crate) const fn is_open(&self) -> bool {
        self.link.is_some()
    }

    /// Sends the request of the job once. Every job has to be of the same target.
    pub(crate) fn perform(
        &mut self,
        job: &Job,
        credential: &[u8],
        way: Way,
        commit: &mut Commit<'_>,
    ) -> Result<Report, Report> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| failed(FailCode::BadOrder, &error.to_string()))?,
        };
        let mut secret = match self.secret.take() {
            Some(secret) if secret.is(credential) => secret,
            _ if is_signed(job) => Secret::of_keys(credential)?,
            _ => Secret::of(credential)?,
        };
        let done = runtime.block_on(perform(job, &mut secret, way, &mut self.link, commit));
        (self.runtime, self.secret) = (Some(runtime), Some(secret));
        done
    }
}

impl Link {
    async fn open(origin: &Origin, private: bool, ca_file: Option<&str>) -> Result<Self, Report> {
        let met = tokio::time::timeout(CONNECT, meet(origin, private, ca_file)).await;
        let stream = met.map_err(|_| late("connecting took too long"))??;
        let mut settings = http1::Builder::new();
        settings.max_buf_size(64 * 1024).http09_responses(false).allow_spaces_after_header_name_in_responses(false);
        let (sender, connection) = settings
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(FailCode::TargetUnreachable, &error.to_string()))?;
        Ok(Self { sender, connection: tokio::spawn(connection), since: Instant::now() })
    }

    /// Whether it may be used once more.
    async fn serves(&self) -> bool {
        if self.since.elapsed() > BUSY {
            // Nothing has looked at it while it was idle: what the server did meanwhile is seen now, and then by its own task.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        self.since.elapsed() < IDLE && !self.sender.is_closed() && self.sender.is_ready()
    }
}

/// Sends the request of the job once.
async fn perform(
    job: &Job,
    secret: &mut Secret,
    way: Way,
    kept: &mut Option<Link>,
    commit: &mut Commit<'_>,
) -> Result<Report, Report> {
    let Address::Http { origin, requests, credential_header, credential_prefix, private, ca_file, openapi: _, aws } =
        &job.target.address
    else {
        return Err(failed(FailCode::BadOrder, "the target takes no requests"));
    };
    if way.is_trial() {
        return Err(failed(FailCode::BadOrder, "a request cannot be tried and rolled back"));
    }
    let origin = Origin::read(origin).ok_or_else(|| failed(FailCode::BadOrder, "the origin is not usable"))?;
    let request =
        reading::request::read(&job.artifact).map_err(|error| failed(FailCode::BadOrder, &error.to_string()))?;
    within(&request, job, requests)?;
    let mut ready = ready(&request, &origin)?;
    add(ready.headers_mut(), &job.additions)?;
    match aws {
        Some(at) => sign(&mut ready, at, &request, secret)?,
        None => show(ready.headers_mut(), credential_header.as_deref(), credential_prefix, secret)?,
    }
    let limit = Duration::from_millis(job.target.statement_timeout_ms);
    let began = Instant::now();
    let changes = !job.effect.is_read_only();
    let (mut link, again) = match kept.take() {
        Some(link) if !changes && link.serves().await => (link, true),
        _ => (Link::open(&origin, *private, ca_file.as_deref()).await?, false),
    };
    // Announced with nothing sent yet: from the next line on it may have happened.
    if changes && !commit(0, None) {
        return Err(failed(FailCode::Withdrawn, "the guard said no at the last moment; nothing was sent"));
    }
    let lost = |detail: &str| {
        let code = if changes { FailCode::OutcomeUnknown } else { FailCode::TargetUnreachable };
        failed(code, &secret.out_of(detail))
    };
    let once_more = again.then(|| ready.clone());
    let exchange = async {
        let response = match link.sender.try_send_request(ready).await {
            Ok(response) => response,
            Err(mut error) => {
                // Not a byte of it left, or it only reads: over a connection that was idle the server's end may have come between.
                let Some(request) = error.take_message().or(once_more).filter(|_| again) else {
                    return Err(lost(&error.into_error().to_string()));
                };
                link = Link::open(&origin, *private, ca_file.as_deref()).await?;
                link.sender.send_request(request).await.map_err(|error| lost(&error.to_string()))?
            }
        };
        let (head, body) = response.into_parts();
        // It has answered: it happened, also where the rest of the answer does not fit or come.
        let body = Limited::new(body, RESULT_BYTES_MAX).collect().await;
        Ok((head, body.ok().map(|body| body.to_bytes().to_vec())))
    };
    let (head, body) = tokio::time::timeout(limit, exchange).await.map_err(|_| {
        if changes {
            failed(FailCode::OutcomeUnknown, "no answer came in time")
        } else {
            late("no answer came in time")
        }
    })??;
    // The server said that it stays, and the whole answer was taken.
    let stays = link.sender.is_ready()
        || matches!(tokio::time::timeout(Duration::from_millis(5), link.sender.ready()).await, Ok(Ok(())));
    if body.is_some() && stays {
        link.since = Instant::now();
        *kept = Some(link);
    }
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Report::Done {
        affected: 0,
        result: result(&head, body.as_deref(), job, secret),
        elapsed_ms,
        undo: None,
        stays: kept.is_some(),
    })
}

pub(crate) fn late(detail: &str) -> Report {
    failed(FailCode::TimedOut, detail)
}

/// Refuses what the signed effect or the registration does not name.
pub(crate) fn within(request: &Request<'_>, job: &Job, requests: &[String]) -> Result<(), Report> {
    let beyond = |detail: &str| Err(failed(FailCode::BeyondEffect, detail));
    let Some(signed) = &job.effect.request else { return beyond("the signed effect is not that of a request") };
    let recipients = match request.method {
        Method::Send | Method::Draft => {
            mail::read(request).map_err(|error| failed(FailCode::BadOrder, &error.to_string()))?.recipients()
        }
        _ => Vec::new(),
    };
    let payment = payment::payment(&job.target.payments.forms, request)
        .map_err(|error| failed(FailCode::BeyondEffect, &error.to_string()))?;
    let operation = graphql::operation(job.target.graphql.as_deref(), request)
        .map_err(|error| failed(FailCode::BeyondEffect, &error.to_string()))?;
    let same = signed.method == request.method.as_str() && signed.path == request.path;
    if !same
        || signed.recipients != recipients
        || signed.payment != payment
        || signed.operation != operation
        || !job.effect.is_of(job.kind)
    {
        return beyond("the signed effect names another request, other people, another payment or another operation");
    }
    let rules: Vec<_> = requests.iter().filter_map(|rule| request::rule(rule)).collect();
    if !signed.within(&rules) {
        return beyond("the registration does not name this request, or not all of its people");
    }
    Ok(())
}

/// The request as hyper sends it: what stands in the artifact, in its order, with what frames it.
fn ready(request: &Request<'_>, origin: &Origin) -> Result<hyper::Request<Full<Bytes>>, Report> {
    let bad = |_| failed(FailCode::BadOrder, "the request cannot be sent as it stands");
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&origin.authority).map_err(|error| bad(error.to_string()))?);
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| bad(error.to_string()))?;
        headers.append(name, HeaderValue::from_str(value).map_err(|error| bad(error.to_string()))?);
    }
    if request.method.verb() != artifact::effect::Verb::Read {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    }
    let target = request.query.map_or(request.path.to_owned(), |query| format!("{}?{query}", request.path));
    let mut ready = hyper::Request::new(Full::new(Bytes::copy_from_slice(request.body.as_bytes())));
    *ready.method_mut() = request.method.as_str().parse().map_err(|_| bad(String::new()))?;
    *ready.uri_mut() = target.parse().map_err(|_| bad(String::new()))?;
    if ready.uri().path_and_query().map(hyper::http::uri::PathAndQuery::as_str) != Some(target.as_str()) {
        return Err(bad(String::new()));
    }
    *ready.headers_mut() = headers;
    Ok(ready)
}

/// Whether requests of the job's target are signed with the credential.
fn is_signed(job: &Job) -> bool {
    matches!(job.target.address, Address::Http { aws: Some(_), .. })
}

/// Signs the request with the credential. The signature is looked for in the answer, as the credential is: whoever has it can send the
/// request once more.
fn sign(
    ready: &mut hyper::Request<Full<Bytes>>,
    at: &AwsService,
    request: &Request<'_>,
    secret: &mut Secret,
) -> Result<(), Report> {
    let refused = |detail: &str| failed(FailCode::BeyondEffect, detail);
    let keys = secret.value.as_deref().unwrap_or_default();
    let keys = aws::Keys::read(keys).map_err(|detail| failed(FailCode::LoginRefused, detail))?;
    let canonical = reading::aws::canonical(&at.service, request).map_err(|error| refused(&error.to_string()))?;
    let signable =
        aws::Signable { method: request.method.as_str(), canonical: &canonical, body: request.body.as_bytes() };
    let signature = aws::sign(&keys, at, &signable, ready.headers_mut(), Timestamp::now());
    let signature = signature.map_err(refused)?;
    secret.also(&signature)
}

/// Adds the credential's header, which the artifact may not bring.
fn show(headers: &mut HeaderMap, name: Option<&str>, prefix: &str, secret: &Secret) -> Result<(), Report> {
    let bad = |detail: &str| failed(FailCode::BadOrder, detail);
    let Some(value) = &secret.value else { return Ok(()) };
    let name = name.ok_or_else(|| bad("the registration names no header for the credential"))?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| bad(&error.to_string()))?;
    let value = Zeroizing::new(format!("{prefix}{value}"));
    let mut value = HeaderValue::from_str(&value).map_err(|error| bad(&error.to_string()))?;
    value.set_sensitive(true);
    match headers.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(failed(FailCode::BeyondEffect, "the request brings the header that the credential goes into")),
    }
}

/// Adds the order's headers. None of them takes the place of one that was signed.
fn add(headers: &mut HeaderMap, additions: &[(String, String)]) -> Result<(), Report> {
    let bad = || failed(FailCode::BadOrder, "a header that is to be added is not usable");
    for (name, value) in additions {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let value = HeaderValue::from_str(value).map_err(|_| bad())?;
        if headers.insert(name, value).is_some() {
            return Err(failed(FailCode::BeyondEffect, "the request brings a header that the gateway adds"));
        }
    }
    Ok(())
}

/// A connection on which nothing of the request has left yet.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug> Stream for S {}

/// Connects, and has the host prove its name where TLS is used.
pub(crate) async fn meet(origin: &Origin, private: bool, ca_file: Option<&str>) -> Result<Box<dyn Stream>, Report> {
    if !origin.secure {
        return Ok(Box::new(connect(origin, private).await?));
    }
    let connector = TlsConnector::from(Arc::new(tls(ca_file)?));
    let name = ServerName::try_from(origin.host.clone());
    let name = name.map_err(|_| failed(FailCode::BadOrder, "the host is no name for TLS"))?;
    let stream = connector.connect(name, connect(origin, private).await?).await;
    Ok(Box::new(stream.map_err(|error| failed(FailCode::TargetUnreachable, &format!("TLS: {error}")))?))
}

/// Addresses of the host that may be met, four at most.
pub(crate) async fn lookup(origin: &Origin, private: bool) -> Result<Vec<SocketAddr>, Report> {
    let unreachable = |detail: String| failed(FailCode::TargetUnreachable, &detail);
    let here = |ip: IpAddr| !origin.secure && ip.is_loopback();
    let mut found: Vec<SocketAddr> = if let Ok(ip) = origin.host.parse::<IpAddr>() {
        vec![SocketAddr::new(ip, origin.port)]
    } else {
        let looked = tokio::net::lookup_host((origin.host.as_str(), origin.port)).await;
        looked.map_err(|error| unreachable(format!("the host cannot be looked up: {error}")))?.collect()
    };
    // One bad address among good ones is a name that plays.
    if found.iter().any(|address| is_private(address.ip()) && !private && !here(address.ip())) {
        return Err(failed(
            FailCode::BeyondEffect,
            "the host has an address of a private network, which the registration does not allow",
        ));
    }
    found.truncate(4);
    if found.is_empty() { Err(unreachable("the host has no address".to_owned())) } else { Ok(found) }
}

/// Looks the host up and connects.
async fn connect(origin: &Origin, private: bool) -> Result<TcpStream, Report> {
    let mut last = String::new();
    for address in lookup(origin, private).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(failed(FailCode::TargetUnreachable, &last))
}

fn tls(ca_file: Option<&str>) -> Result<ClientConfig, Report> {
    let bad = |detail: &str| failed(FailCode::BadOrder, detail);
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = ca_file {
        for certificate in
            CertificateDer::pem_file_iter(file).map_err(|_| bad("the certificate file cannot be read"))?
        {
            let certificate = certificate.map_err(|_| bad("the certificate file is not PEM"))?;
            roots.add(certificate).map_err(|_| bad("the certificate file holds no authority"))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|_| bad("TLS cannot be set up"))?.with_root_certificates(roots).with_no_client_auth())
}

/// Columns of the answer.
const SHA256: usize = 3;
const BODY: usize = 4;

/// The answer as one row. A body that is no text comes in Base64; one that was not taken is NULL.
fn result(head: &hyper::http::response::Parts, body: Option<&[u8]>, job: &Job, secret: &Secret) -> ResultSet {
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok())?;
        Some(secret.out_of(&value.chars().take(HEADER_MAX).collect::<String>()))
    };
    let (name, text) = match body.map(|body| (body, std::str::from_utf8(body))) {
        None => ("body", None),
        Some((_, Ok(text))) => ("body", Some(secret.out_of(text))),
        Some((body, Err(_))) => ("body_base64", Some(secret.out_of(&STANDARD.encode(body)))),
    };
    let sha256 =
        body.map(|body| digest::digest(&digest::SHA256, body).as_ref().iter().map(|b| format!("{b:02x}")).collect());
    let cells = [
        ("status", Some(head.status.as_str().to_owned())),
        ("content_type", header("content-type")),
        ("location", header("location")),
        ("sha256", sha256),
        (name, text),
    ];
    // In whichever form it comes, a body is a body to those who label it.
    let origin = |name: &str| if name == "body_base64" { "body" } else { name }.to_owned();
    let column = |name: &str| ResultColumn { name: name.to_owned(), origin: Some(origin(name)) };
    let columns = cells.iter().map(|(name, _)| column(name)).collect();
    let row = cells.into_iter().map(|(_, cell)| cell).collect();
    let mut result = ResultSet { columns, rows: vec![row], total_rows: 1 };
    if members::apart(&mut result, BODY, "body", &job.target.labels) {
        // A digest says which of a few values it was.
        result.columns[SHA256].origin = None;
    }
    result
}
