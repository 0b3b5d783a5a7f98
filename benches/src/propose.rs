//! Handing in a proposal (G5, G6): from the request to an answer that is decided, logged and durable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::load::{Ask, Done, post};
use crate::measure::rounds;
use crate::product::{Gateway, Pinned, Process, Running, cores_of_subject, private};
use crate::syncs::Counter;
use crate::table::{Goal, Table, rate, time};
use crate::{Plan, corpus, echo};

/// Callers under load.
const CALLERS: usize = 64;
/// Proposals that one pass hands in: as many as may wait for a person.
const PER_PASS: usize = 20;
/// Passes made at a time.
const PASSES: usize = 1_600;

/// Statements not handed in before, each under a pass that has room.
#[derive(Clone)]
struct Proposer {
    passes: Arc<Vec<String>>,
    next: Arc<AtomicUsize>,
}

/// Numbers the statements of the whole run: the same bytes again would be the same proposal.
static STATEMENT: AtomicU64 = AtomicU64::new(1);

impl Proposer {
    fn ask(&self) -> Result<Ask> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        // Callers spread over the passes, as agents do: one pass has a share of the work at once.
        let pass = turn % self.passes.len();
        let pass = self.passes.get(pass).filter(|_| turn < self.passes.len() * PER_PASS);
        let pass = pass.context("the passes have no room for more proposals")?;
        let body = corpus::statement(STATEMENT.fetch_add(1, Ordering::Relaxed));
        let body = json!({ "target": "shop", "body": body, "purpose": "the customer asked where it is", "wait_s": 0 });
        Ok(Ask {
            path: "/v1/proposals",
            headers: format!("content-type: application/json\r\nauthorization: Bearer {pass}\r\n"),
            body: body.to_string().into_bytes(),
        })
    }
}

fn bare(path: &'static str) -> Ask {
    Ask { path, headers: "content-type: application/json\r\n".into(), body: vec![b'x'; 250] }
}

pub(crate) fn rows(plan: &Plan, folder: &Path, table: &mut Table) -> Result<()> {
    let folder = folder.join("propose");
    private(&folder)?;
    let gateway = Gateway::set_up(&folder)?;
    let running = gateway.start()?;
    let rows_of_echo = folder.join("one-row.db");
    let echo = Process::start(
        &std::env::current_exe()?,
        &[echo::ROLE, rows_of_echo.to_str().context("a path that is not UTF-8")?],
    )?;
    let echo_base = format!("http://127.0.0.1:{}", echo.said("port ").context("the echo server named no port")?);
    let _pinned = Pinned::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let time_of_round = Duration::from_secs(if plan.full { 5 } else { 2 });
    let token = runtime.block_on(running.sign_in(&gateway.ada))?;
    let proposer = || -> Result<Proposer> {
        let passes = runtime.block_on(running.passes(&token, gateway.task, PASSES))?;
        Ok(Proposer { passes: Arc::new(passes), next: Arc::default() })
    };
    let propose = |proposer: &Proposer, callers: usize, time: Duration| -> Result<Done> {
        let proposer = proposer.clone();
        runtime.block_on(post(&running.agents, callers, time, move || proposer.ask()))
    };
    let half = Duration::from_secs(1);

    let mut supply = proposer()?;
    propose(&supply, 4, half)?;
    let of_bare = |path: &'static str| -> Result<f64> {
        Ok(runtime.block_on(post(&echo_base, 1, half, move || Ok(bare(path))))?.times.percentile(0.5))
    };
    let alone = rounds(3, || Ok(propose(&supply, 1, time_of_round)?.times.percentile(0.5)), || of_bare("/commit"))?;
    table.put(
        "G5 propose, 1 caller, p50: bare echo with one durable commit",
        time(alone.ours),
        format!("{}; without commit {}", time(alone.anchor), time(of_bare("/echo")?)),
        alone,
        Goal::AtMost(1.35),
    );
    syncs(&running, &supply, &propose, table)?;
    let before = running.guard.written();
    let done = propose(&supply, 1, half)?;
    if let (Some(before), Some(after)) = (before, running.guard.written()) {
        let each = (after - before) / done.times.len() as f64;
        let ours = format!("{:.1} kB", each / 1e3);
        table.counted(
            "bytes that the guard writes a proposal, 1 caller: 4 kB page",
            ours,
            "4.1 kB".into(),
            each / 4096.0,
            Goal::None,
        );
    }

    supply = proposer()?;
    let (mut cpu, mut of_desk, mut p99, mut refused) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let loaded = rounds(
        3,
        || {
            if supply.next.load(Ordering::Relaxed) > PASSES * PER_PASS / 2 {
                supply = proposer()?;
            }
            let (desk, guard) = (running.desk.cpu_us()?, running.guard.cpu_us()?);
            let mut done = propose(&supply, CALLERS, time_of_round)?;
            let (desk, guard) = (running.desk.cpu_us()? - desk, running.guard.cpu_us()? - guard);
            cpu.push((desk + guard) / done.times.len() as f64);
            of_desk.push(desk / done.times.len() as f64);
            refused += done.refused;
            p99.push(done.times.percentile(0.99));
            Ok(done.a_second / cores_of_subject())
        },
        || Ok(runtime.block_on(post(&echo_base, CALLERS, half, || Ok(bare("/echo"))))?.a_second / cores_of_subject()),
    )?;
    table.compared("propose, 64 callers, a core of the subject: bare echo", loaded, rate, Goal::None);
    let goal = Goal::AtMost(0.0);
    table.counted(
        "propose, 64 callers: answers that said busy",
        refused.to_string(),
        "none".into(),
        refused as f64,
        goal,
    );
    let (cpu, p99) = (crate::measure::median(&mut cpu), crate::measure::median(&mut p99));
    let name = "G6 propose, processor time of desk and guard: 110 us";
    let of_desk = crate::measure::median(&mut of_desk);
    let ours = format!("{cpu:.0} us = desk {of_desk:.0} + guard {:.0}; p99 {}", cpu - of_desk, time(p99));
    table.counted(name, ours, "110 us".into(), cpu / 110.0, Goal::AtMost(1.0));
    let name = "G6 propose, 64 callers, a core of the subject: 9 k/s";
    table.counted(name, rate(loaded.ours), rate(9e3), loaded.ours / 9e3, Goal::AtLeast(1.0));
    Ok(())
}

/// Syncs for each proposal, counted by the kernel.
fn syncs(
    running: &Running,
    supply: &Proposer,
    propose: &impl Fn(&Proposer, usize, Duration) -> Result<Done>,
    table: &mut Table,
) -> Result<()> {
    for (callers, name, goal) in [
        (1, "G5 syncs of the guard a proposal, 1 caller: exactly 1 (strace)", 1.0),
        (CALLERS, "G5 syncs of the guard a proposal, 64 callers: 1/8 (strace)", 1.0 / 8.0),
    ] {
        let Some(counter) = Counter::attach(running.guard.id())? else {
            table.absent(name, "no strace that may attach");
            continue;
        };
        let done = propose(supply, callers, Duration::from_millis(700))?;
        let share = counter.finish()? as f64 / done.times.len() as f64;
        table.counted(name, format!("{share:.3}"), format!("{goal:.3}"), share / goal, Goal::AtMost(1.0));
    }
    Ok(())
}
