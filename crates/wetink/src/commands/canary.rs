//! Markers for records that nobody has a reason to touch.

use anyhow::Result;

use crate::home::Home;
use crate::person::Terminal;

/// Most markers at once.
const MOST: u8 = 100;

pub(crate) fn run(terminal: &Terminal, home: &Home, count: u8) -> Result<()> {
    home.prepare()?;
    let kept_back = desk::kept_back::KeptBack::open(&desk::kept_back::file_of(&home.view()))?;
    let markers: Vec<String> = (0..count.clamp(1, MOST)).map(|_| kept_back.marker()).collect();
    terminal.print(&markers, || {
        let lines: Vec<String> = markers.iter().map(|marker| format!("{marker}\t{marker}@mail.example")).collect();
        format!(
            "{}\nPut them into records that nobody has a reason to touch. Where one turns up in an artifact, it is refused, the session ends and an alert is raised.",
            lines.join("\n")
        )
    })
}
