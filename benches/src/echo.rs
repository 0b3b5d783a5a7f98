//! The bare server that proposals are compared with: one route answers with the request, the other makes one row durable
//! first. A process of its own, on the same cores as the product.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;

use crate::floors::OneRow;

/// The argument that makes this program the server. The next one is the file of its rows.
pub(crate) const ROLE: &str = "echo-server";

async fn commit(State(rows): State<Arc<Mutex<OneRow>>>, body: Bytes) -> Result<Bytes, StatusCode> {
    let done = rows.lock().unwrap_or_else(PoisonError::into_inner).commit();
    done.map(|()| body).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// Serves until it is ended. Prints its port first.
pub(crate) fn serve(file: &Path) -> Result<()> {
    let rows = Arc::new(Mutex::new(OneRow::create(file)?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let mut out = std::io::stdout();
        writeln!(out, "port {port}\nready")?;
        out.flush()?;
        let app = Router::new().route("/echo", post(|body: Bytes| async { body })).route("/commit", post(commit));
        axum::serve(listener, app.with_state(rows)).await.context("the echo server ended")
    })
}
