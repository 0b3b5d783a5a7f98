//! A service that carries a request out only if people signed it, and once.
//!
//! ```text
//! wetink key receipts > trusted
//! cargo run -p receipt --example provider -- 127.0.0.1:8080 http://127.0.0.1:8080 trusted
//! ```
#![allow(missing_docs, reason = "an example")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use artifact::{RunId, Timestamp};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use receipt::{Provider, Request};

/// What it knows, and what it has carried out.
pub struct Service {
    provider: Provider,
    // A real one keeps them where they outlive it, until the receipt's end.
    seen: Mutex<HashSet<RunId>>,
}

/// The service at this listener, for ever.
pub async fn serve(listener: tokio::net::TcpListener, provider: Provider) -> std::io::Result<()> {
    let service = Arc::new(Service { provider, seen: Mutex::default() });
    axum::serve(listener, Router::new().fallback(take).with_state(service)).await
}

async fn take(
    State(service): State<Arc<Service>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let texts: Option<Vec<(&str, &str)>> =
        headers.iter().map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let Some(headers) = texts else { return (StatusCode::BAD_REQUEST, "a header is not plain text".into()) };
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request { method: method.as_str(), target, headers: &headers, body: &body };
    match service.provider.check(&request, Timestamp::now()) {
        Err(refused) => (StatusCode::FORBIDDEN, refused.to_string()),
        Ok(receipt) => {
            let mut seen = service.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.insert(receipt.run) {
                (StatusCode::OK, format!("signed by {}", receipt.people.join(", ")))
            } else {
                (StatusCode::CONFLICT, "carried out already".into())
            }
        }
    }
}

#[allow(dead_code, reason = "tests start it by themselves")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, origin, file] = &arguments[..] else {
        return Err("usage: provider ADDRESS ORIGIN FILE".into());
    };
    let provider = Provider::read(origin, &std::fs::read_to_string(file)?)?;
    serve(tokio::net::TcpListener::bind(address.as_str()).await?, provider).await?;
    Ok(())
}
