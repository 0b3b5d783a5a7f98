//! The table of findings in the documentation is the table in the code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;

use analyze::{Code, Severity};

#[test]
fn every_finding_is_documented() {
    let mut page = "# Findings\n\nWhat analysis says of an artifact besides its effect. The codes are the same on the page, in the terminal, in the API and to \
        policies.\nSeverities: info, caution, high (the page gets the grave layout), refuse (the shipped policies deny it). A finding that blocks makes the artifact \
        NOT UNDERSTOOD.\n\n| code | severity | blocks | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for code in Code::ALL {
        let severity = match code.severity() {
            Severity::Info => "info",
            Severity::Caution => "caution",
            Severity::High => "high",
            Severity::Refuse => "refuse",
        };
        let blocks = if code.blocks() { "yes" } else { "" };
        writeln!(page, "| `{}` | {severity} | {blocks} | {} |", code.as_str(), code.explain()).unwrap();
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/findings.md");
    if std::env::var_os("WETINK_BLESS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(written == page, "docs/findings.md is not the table in the code; write it with WETINK_BLESS=1");
}
