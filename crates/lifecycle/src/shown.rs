use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a reviewer was shown of a proposal besides the bytes and the effect: logged as content `shown`, so that the page
/// can be replayed as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// E.g. `CHANGES 37 of 5,311 rows in main.orders`.
    pub headline: String,
    /// The gateway's sentence.
    pub sentence: String,
    /// False: NOT UNDERSTOOD.
    pub understood: bool,
    /// Findings as JSON objects, in order.
    pub findings: Vec<serde_json::Value>,
    /// Inside the signed task scope?
    pub in_scope: bool,
    /// Whether it can be undone, one sentence.
    pub undo: String,
    /// What must be typed to arm signing, if anything.
    pub arm: Option<String>,
    /// Different people who must sign, as policy says.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub quorum: u32,
    /// Whether the person it works for may not sign, as policy says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// About how many rows each relation has that is read, where the target says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<String, u64>,
    /// Where the values come from, worst first; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<OriginLine>,
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls takes a reference")]
fn is_one(number: &u32) -> bool {
    *number == 1
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginLine {
    /// The value, cut at 120 characters.
    pub value: String,
    /// `request`, `vouched`, `named_record`, `result`, `nowhere`.
    pub origin: String,
    /// The result it stands in, if it does.
    pub source: Option<String>,
    /// `none`, `note`, `red`.
    pub alarm: String,
    /// One sentence for the person.
    pub sentence: String,
}
