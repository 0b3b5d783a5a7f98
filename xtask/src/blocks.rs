//! Blocks of ARCHITECTURE.md that are made from the code.

use std::fs;

use crate::graph::Workspace;
use crate::run::{Outcome, root};
use crate::{deps, tcb};

/// Where they stand.
pub(crate) const FILE: &str = "ARCHITECTURE.md";

/// Writes the blocks anew.
pub(crate) fn write() -> Outcome {
    let path = root().join(FILE);
    let text = fs::read_to_string(&path).map_err(|error| format!("{FILE}: {error}"))?;
    let text = replace(&text, "deps", &deps::describe(&Workspace::load()?))?;
    let text = replace(&text, "tcb", &tcb::describe()?)?;
    fs::write(&path, text).map_err(|error| format!("{FILE}: {error}"))
}

/// Names of the blocks that no longer say what is so. Line counts move with every change, so only the graph is compared.
pub(crate) fn stale(text: &str) -> Outcome<Vec<&'static str>> {
    let graph = replace(text, "deps", &deps::describe(&Workspace::load()?))?;
    let counts = replace(text, "tcb", "").map(|_| ());
    counts?;
    Ok(if graph == text { Vec::new() } else { vec!["deps"] })
}

/// Puts the body between the marks of that name.
fn replace(text: &str, name: &str, body: &str) -> Outcome<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let missing = || format!("{FILE} has no block `{name}`");
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}```text\n{body}```\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_replaced_and_stays() {
        let text = "a\n<!-- deps:begin -->\nold\n<!-- deps:end -->\nb\n";
        let once = replace(text, "deps", "new\n").unwrap();
        assert_eq!(once, "a\n<!-- deps:begin -->\n```text\nnew\n```\n<!-- deps:end -->\nb\n");
        assert_eq!(replace(&once, "deps", "new\n").unwrap(), once);
        assert!(replace("nothing", "deps", "new\n").is_err());
    }
}
