//! Bytes and a catalog go in; what the bytes would do, and what is odd about them, come out.
//!
//! Owns: every parser of artifacts, [`analyze`], the closed table of [`Code`]s, the plain words shown to people.
//!
//! Never: talks to a target, reads a clock, decides. It claims too much rather than too little: whatever it cannot
//! follow makes the artifact *not understood* (`understood == false`, verb `define`), which the default policy denies.
//!
//! Read [`postgresql`] first; [`sqlite`] is the same question put to the engine itself.

mod computed;
mod detect;
mod draft;
mod finding;
mod http;
mod lexer;
pub mod mail;
pub mod mariadb;
mod mcp;
pub mod overlap;
pub mod postgresql;
pub mod provenance;
mod schema;
mod secrets;
mod sentence;
mod sibling;
mod snapshot;
pub mod sqlite;
mod text;

use artifact::catalog::Catalog;
use artifact::{Artifact, Effect, Kind};
use serde::{Deserialize, Serialize};

pub use detect::{Sensitive, detect};
pub use finding::{Code, Finding, Severity};
pub use lexer::{Literal, literals};
pub use sentence::headline;
pub use sibling::{differences, pattern};
pub use snapshot::Snapshot;

use draft::Draft;

/// Most bytes of an artifact that are parsed. Larger ones are not understood.
pub const MAX_PARSED_BYTES: usize = 256 * 1024;
/// Deepest nesting of brackets that is parsed.
pub const MAX_NESTING: usize = 200;
/// Most lines that count as reviewable.
pub const MAX_REVIEWABLE_LINES: usize = 400;

/// What analysis makes of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// True if `effect` is all the artifact can do. False: NOT UNDERSTOOD, and the verb is `define`.
    pub understood: bool,
    /// What it does, as far as known. Never less than what it does when `understood`.
    pub effect: Effect,
    /// What is worth knowing, most severe first.
    pub findings: Vec<Finding>,
    /// Statements in the artifact, where they could be counted.
    pub statements: u32,
    /// The effect in the gateway's plain words.
    pub sentence: String,
}

impl Analysis {
    /// The most severe finding's severity.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|f| f.severity).max()
    }

    /// True if there is a finding with this code.
    pub fn has(&self, code: Code) -> bool {
        self.findings.iter().any(|f| f.code == code)
    }
}

/// Finds out what `artifact` would do on a target with this `catalog`. Total: every input gets an answer.
///
/// INVARIANT (I8): any doubt ends as `understood == false`, so that no decision rests on half an analysis.
pub fn analyze(artifact: &Artifact, catalog: &Catalog) -> Analysis {
    let mut draft = Draft::new();
    text::check(artifact, &mut draft);
    draft.take_parameters(artifact.text());
    if !draft.cannot_parse() {
        match artifact.kind() {
            Kind::SqlPostgresql => postgresql::analyze_into(artifact.text(), catalog, &mut draft),
            Kind::SqlMariadb => mariadb::analyze_into(artifact.text(), catalog, &mut draft),
            Kind::SqlSqlite => sqlite::analyze_into(artifact.text(), catalog, &mut draft),
            Kind::Http => http::analyze_into(artifact.text(), catalog, &mut draft),
            Kind::Mcp => mcp::analyze_into(artifact.text(), catalog, &mut draft),
            Kind::Mail => mail::analyze_into(artifact.text(), &mut draft),
        }
        computed::claim(catalog, &mut draft);
        if draft.is_understood() {
            draft.all_parameters_are_used();
        }
        secrets::masks(artifact.text(), &mut draft);
    }
    draft.finish()
}
