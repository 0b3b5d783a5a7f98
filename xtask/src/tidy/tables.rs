//! Rules about documents: what they name must exist.

use super::{Files, Finding, Tests, has_ending};

/// Ids of requirements: a letter and how many there are.
const REQUIREMENTS: &[(&str, usize)] =
    &[("M", 10), ("G", 7), ("A", 6), ("C", 7), ("D", 9), ("R", 8), ("L", 6), ("V", 5), ("T", 2), ("U", 3), ("O", 2)];

/// Threats are numbered from T01 to this.
const THREATS: usize = 30;

/// What stands where there is no test so far.
const NOT_YET: &str = "not yet";

pub(super) fn check(files: &Files, tests: &Tests, findings: &mut Vec<Finding>) {
    let ids = (1..=THREATS).map(|number| format!("T{number:02}")).collect::<Vec<_>>();
    traced(files, "THREATS.md", &ids, tests, findings);
    let ids =
        REQUIREMENTS.iter().flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}")));
    traced(files, "docs/coverage.md", &ids.collect::<Vec<_>>(), tests, findings);
    decisions(files, findings);
    links(files, findings);
}

/// Each id has exactly one row, whose last cell names tests that exist, or says that there are none so far.
fn traced(files: &Files, path: &str, ids: &[String], tests: &Tests, findings: &mut Vec<Finding>) {
    let mut rows = Vec::new();
    for (index, line) in files.get(path).lines().enumerate() {
        let cells = line.trim().trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else { continue };
        if !line.starts_with('|') || !ids.iter().any(|id| id == first) {
            continue;
        }
        if rows.contains(first) {
            findings.push(Finding::new("traced", path, index + 1, format!("a second row for {first}")));
        }
        rows.push(first);
        let names = quoted(last);
        for name in names.iter().filter(|name| !tests.has(name)) {
            findings.push(Finding::new("traced", path, index + 1, format!("{first} names `{name}`, which is no test")));
        }
        if names.is_empty() && !last.contains(NOT_YET) {
            findings.push(Finding::new(
                "traced",
                path,
                index + 1,
                format!("{first} names no test and does not say `{NOT_YET}`"),
            ));
        }
    }
    for id in ids.iter().filter(|id| !rows.contains(&id.as_str())) {
        findings.push(Finding::new("traced", path, 0, format!("no row for {id}")));
    }
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Records are numbered from 0001 without gaps and listed.
fn decisions(files: &Files, findings: &mut Vec<Finding>) {
    const FOLDER: &str = "docs/decisions/";
    let index = files.get("docs/decisions/README.md");
    let records = files.iter().filter_map(|(path, text)| Some((path.strip_prefix(FOLDER)?, text)));
    let records = records.filter(|(name, _)| *name != "README.md");
    for (number, (name, text)) in (1..).zip(records) {
        let path = format!("{FOLDER}{name}");
        let number = format!("{number:04}");
        if !name.starts_with(&format!("{number}-")) {
            findings.push(Finding::new("decisions", &path, 0, format!("expected the record {number} here")));
        }
        if !text.starts_with(&format!("# {number}: ")) {
            findings.push(Finding::new("decisions", &path, 1, format!("does not start with `# {number}: `")));
        }
        if !index.contains(&format!("({name})")) {
            findings.push(Finding::new("decisions", &path, 0, "not listed in docs/decisions/README.md"));
        }
    }
}

/// A link to a file leads to a file.
fn links(files: &Files, findings: &mut Vec<Finding>) {
    for (path, text) in files.iter().filter(|(path, _)| has_ending(path, "md")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (index, line) in text.lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = link.split('#').next().unwrap_or_default();
                if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                    continue;
                }
                let target = resolve(folder, file);
                if !crate::run::root().join(&target).exists() {
                    findings.push(Finding::new("links", path, index + 1, format!("`{target}` does not exist")));
                }
            }
        }
    }
}

fn resolve(folder: &str, link: &str) -> String {
    let mut parts = folder.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::tests::files;
    use super::*;

    fn trace(table: &str) -> Vec<String> {
        let files = files(&[("T.md", table), ("crates/a/src/b.rs", "#[test]\nfn holds() {}\n")]);
        let mut findings = Vec::new();
        traced(&files, "T.md", &["T01".to_owned(), "T02".to_owned()], &Tests::of(&files), &mut findings);
        findings.into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn each_row_names_tests_that_exist() {
        assert!(trace("| T01 | x | `holds`, `a::holds` |\n| T02 | y | not yet |\n| # | other | `z` |\n").is_empty());
        assert_eq!(trace("| T01 | x | `gone` |\n| T02 | y | `holds` |\n"), ["T01 names `gone`, which is no test"]);
        assert_eq!(
            trace("| T01 | x | soon |\n| T02 | y | not yet |\n"),
            ["T01 names no test and does not say `not yet`"]
        );
        assert_eq!(trace("| T01 | x | `holds` |\n"), ["no row for T02"]);
        assert_eq!(
            trace("| T01 | x | not yet |\n| T01 | x | not yet |\n| T02 | y | not yet |\n"),
            ["a second row for T01"]
        );
    }

    #[test]
    fn decisions_have_no_gaps() {
        let check = |list: &[(&str, &str)]| {
            let mut findings = Vec::new();
            decisions(&files(list), &mut findings);
            findings.len()
        };
        let index = ("docs/decisions/README.md", "[a](0001-a.md) [b](0002-b.md)\n");
        assert_eq!(
            check(&[index, ("docs/decisions/0001-a.md", "# 0001: a\n"), ("docs/decisions/0002-b.md", "# 0002: b\n")]),
            0
        );
        assert_eq!(check(&[index, ("docs/decisions/0002-b.md", "# 0002: b\n")]), 2);
        assert_eq!(check(&[("docs/decisions/0001-a.md", "# 0001: a\n")]), 1);
    }

    #[test]
    fn links_lead_somewhere() {
        let check = |text: &str| {
            let mut findings = Vec::new();
            links(&files(&[("docs/a.md", text)]), &mut findings);
            findings.len()
        };
        assert_eq!(check("[a](../Cargo.toml) [b](https://example.org) [c](#here) [d](../Cargo.toml#x)\n"), 0);
        assert_eq!(check("[a](../no-such-file.md)\n"), 1);
    }
}
