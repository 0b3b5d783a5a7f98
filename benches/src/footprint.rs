//! What it takes to run (G18), and the size of a whole proposal on disk (G11).

use std::time::Duration;

use anyhow::Result;

use crate::growth::bytes;
use crate::measure::median;
use crate::page::Stored;
use crate::product::program;
use crate::table::{Goal, Table, time};

/// Starts that the median is taken of.
const STARTS: usize = 5;

pub(crate) fn rows(stored: &Stored, table: &mut Table) -> Result<()> {
    let (mut guard, mut desk, mut of_small, mut resident) = (Vec::new(), Vec::new(), Vec::new(), (0.0, 0.0));
    for start in 0..STARTS {
        let small = stored.small.start()?;
        of_small.push((small.guard.ready + small.desk.ready).as_nanos() as f64);
        drop(small);
        let running = stored.large.start()?;
        guard.push(running.guard.ready.as_nanos() as f64);
        desk.push(running.desk.ready.as_nanos() as f64);
        if start + 1 == STARTS {
            // Until whatever a start leaves behind is done.
            std::thread::sleep(Duration::from_secs(1));
            resident = (running.guard.resident()?, running.desk.resident()?);
        }
    }
    let (guard, desk) = (median(&mut guard), median(&mut desk));
    let both = guard + desk;
    let words = &stored.words;
    let ours = format!("{} = guard {} + desk {}", time(both), time(guard), time(desk));
    let goal = Goal::AtMost(1.0);
    table.counted(&format!("G18 from start to listening ({words}): 30 ms"), ours, time(3e7), both / 3e7, goal);
    let of_small = median(&mut of_small);
    table.counted("G10 start of both: at 1,000 stored", time(both), time(of_small), both / of_small, Goal::AtMost(2.0));
    let mb = |bytes: f64| bytes / 1e6;
    let sum = resident.0 + resident.1;
    let ours = format!("{:.1} MB = guard {:.1} + desk {:.1}", mb(sum), mb(resident.0), mb(resident.1));
    table.counted("G18 idle memory, both processes: 25 MB", ours, "25 MB".into(), mb(sum) / 25.0, goal);
    let size = std::fs::metadata(program()?)?.len() as f64;
    table.counted(
        "G18 program file, stripped: 35 MB",
        format!("{:.1} MB", mb(size)),
        "35 MB".into(),
        mb(size) / 35.0,
        goal,
    );

    let count = stored.count as f64;
    let log = bytes(&stored.large.home.join("guard"))? as f64 / count;
    let view = bytes(&stored.large.home.join("desk"))? as f64 / count;
    let ours = format!("{:.0} B = log {log:.0} + view {view:.0}", log + view);
    table.counted(
        "a whole proposal on disk: the log alone",
        ours,
        format!("{log:.0} B"),
        (log + view) / log,
        Goal::None,
    );
    Ok(())
}
