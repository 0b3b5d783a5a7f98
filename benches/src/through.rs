//! A read of an HTTP service through the whole gateway: handed in, understood, decided under the signed scope, logged, sent by a confined
//! child, sealed, released (G1, G2). Beside it nginx as a plain proxy, which keeps no log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::hop::{self, PATH};
use crate::load::{Ask, post};
use crate::measure::median;
use crate::product::{Gateway, Pinned, cores_of_subject, private};
use crate::table::{Goal, Table, rate, time};

/// Callers under load: as many children may be at work at once, less one.
const CALLERS: usize = 15;
const PASSES: usize = 320;
const ROUND: Duration = Duration::from_secs(2);

pub(crate) fn rows(folder: &Path, table: &mut Table) -> Result<()> {
    let folder = folder.join("through");
    private(&folder)?;
    let (upstream, _) = hop::service()?;
    let gateway = Gateway::set_up(&folder)?;
    let task = gateway.with_service(upstream, hop::KEY)?;
    let running = gateway.start()?;
    let nginx = hop::nginx(upstream)?;
    let _pinned = Pinned::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let token = runtime.block_on(running.sign_in(&gateway.ada))?;
    let passes = Arc::new(runtime.block_on(running.passes(&token, task, PASSES))?);
    let (turn, number) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(1)));
    let load = |callers: usize| {
        let (passes, turn, number) = (Arc::clone(&passes), Arc::clone(&turn), Arc::clone(&number));
        runtime.block_on(post(&running.agents, callers, ROUND, move || {
            let pass = &passes[turn.fetch_add(1, Ordering::Relaxed) % passes.len()];
            let body = format!("GET {PATH}?n={}", number.fetch_add(1, Ordering::Relaxed));
            let body =
                json!({ "target": "api", "body": body, "purpose": "the customer asked where it is", "wait_s": 5 });
            let headers = format!("content-type: application/json\r\nauthorization: Bearer {pass}\r\n");
            Ok(Ask { path: "/v1/proposals", headers, body: body.to_string().into_bytes() })
        }))
    };
    load(2)?;
    let mut alone = load(1)?;
    if alone.times.len() < 10 {
        bail!("{} reads came back, {} were refused", alone.times.len(), alone.refused);
    }
    let (p50, p99) = (alone.times.percentile(0.5), alone.times.percentile(0.99));
    let mut rates = Vec::new();
    let mut refused = 0;
    for _ in 0..3 {
        let done = load(CALLERS)?;
        rates.push(done.a_second / cores_of_subject());
        refused += done.refused;
    }
    let ours = median(&mut rates);
    let Some((proxy, port)) = nginx else {
        table.absent("G1, G2 a read through the gateway: nginx", "not found on this machine");
        return Ok(());
    };
    let mut hops = runtime.block_on(hop::calls(port, 1))?;
    let floor = crate::floors::sync_p50(&folder)?;
    let limit = 1.3 * hops.percentile(0.5) + 1.7 * floor + 60e3;
    let name = "G1 a read through the gateway, 1 caller, p50: 1.3 hops of nginx, 1.7 syncs and 60 us";
    table.counted(name, format!("{}; p99 {}", time(p50), time(p99)), time(limit), p50 / limit, Goal::AtMost(1.0));
    let theirs = hop::load(port)? / 2.0;
    drop(proxy);
    let name = "G2 reads through the gateway, 15 callers, a core: nginx, 32 callers, a core";
    let shown = format!("{}, {refused} refused as busy", rate(ours));
    table.counted(name, shown, rate(theirs), ours / theirs, Goal::AtLeast(0.3));
    Ok(())
}

impl Gateway {
    /// Has the guard learn the service as well, and a task whose reads run by themselves.
    fn with_service(&self, port: u16, key: &str) -> Result<artifact::TaskId> {
        self.grant_service(&hop::target(port, "GET /v1/**"), key).context("the service could not be registered")
    }
}
