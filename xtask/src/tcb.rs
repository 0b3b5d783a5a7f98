//! `tcb`: the trusted base is what must be right for the guard's promises to hold. Its size is printed, so that it is seen.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::graph::Resolved;
use crate::run::{Outcome, root};
use crate::source::Source;

/// The crates of the trusted base.
pub(crate) const TRUSTED: &[&str] = &["artifact", "approve", "release", "audit", "vault", "ledger", "wire", "guard"];

/// Own lines it should stay under.
const LINES_GOAL: usize = 10_000;

/// Prints the trusted base.
pub(crate) fn run() -> Outcome {
    print!("{}", describe()?);
    Ok(())
}

/// The trusted base as text, for ARCHITECTURE.md.
pub(crate) fn describe() -> Outcome<String> {
    let mut text = String::from("own lines of code (no blanks, comments or tests)\n");
    let mut total = 0;
    for name in TRUSTED {
        let lines = code_lines(&root().join("crates").join(name).join("src"))?;
        total += lines;
        let _ = writeln!(text, "  {name:<10} {lines:>6}");
    }
    let _ = writeln!(text, "  {:<10} {total:>6}   (goal: under {LINES_GOAL})", "total");

    let resolved = Resolved::load()?;
    let (mut linked, mut reached) = (BTreeSet::new(), BTreeSet::new());
    for name in TRUSTED {
        linked.extend(resolved.linked(name)?);
        reached.extend(resolved.reach(name)?);
    }
    linked.retain(|name| !resolved.is_member(name));
    reached.retain(|name| !resolved.is_member(name) && !linked.contains(name));
    for (title, names) in [("crates of others, linked", &linked), ("crates of others, only while building", &reached)] {
        let _ = writeln!(text, "{title}: {}", names.len());
        wrap(&mut text, names);
    }
    Ok(text)
}

fn wrap(text: &mut String, names: &BTreeSet<String>) {
    let mut width = usize::MAX;
    for name in names {
        if width.saturating_add(name.len() + 1) > 100 {
            let start = if width == usize::MAX { "  " } else { "\n  " };
            text.push_str(start);
            width = 2;
        } else {
            text.push(' ');
            width += 1;
        }
        text.push_str(name);
        width += name.len();
    }
    if !names.is_empty() {
        text.push('\n');
    }
}

/// Lines of code in the Rust files below a folder. Files that hold only tests are left out.
fn code_lines(folder: &Path) -> Outcome<usize> {
    let mut total = 0;
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        let tests = path.file_stem().is_some_and(|stem| stem == "tests");
        if tests {
            continue;
        }
        if path.is_dir() {
            total += code_lines(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            total += Source::new(&text).code_lines();
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_wrap() {
        let names = (0..40).map(|number| format!("crate-{number:02}")).collect::<BTreeSet<_>>();
        let mut text = String::new();
        wrap(&mut text, &names);
        assert!(text.lines().all(|line| line.len() <= 100 && line.starts_with("  crate")));
        assert_eq!(text.split_whitespace().count(), 40);
    }

    #[test]
    fn lines_are_counted_without_tests() {
        let lines = code_lines(&root().join("crates/artifact/src")).unwrap();
        assert!((500..2_000).contains(&lines), "{lines}");
    }
}
