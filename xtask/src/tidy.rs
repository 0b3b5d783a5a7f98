//! `tidy`: the rules of this repository, as a test. Exceptions are lists that must stay true both ways.

mod code;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::blocks;
use crate::run::{Outcome, root};
use crate::source::Source;

/// `(rule, file, reason)`. One that no longer excuses anything is itself a finding.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "corpus", "artifacts"];

/// Endings of the files that are read.
const ENDINGS: &[&str] = &[
    "rs",
    "toml",
    "md",
    "sql",
    "cedar",
    "cedarschema",
    "css",
    "js",
    "mjs",
    "ts",
    "html",
    "svg",
    "sh",
    "py",
    "yml",
    "yaml",
    "json",
    "txt",
    "stderr",
    "lock",
    "golden",
];

/// One broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: String,
    line: usize,
    rule: &'static str,
    text: String,
}

impl Finding {
    fn new(rule: &'static str, file: &str, line: usize, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, rule, text: text.into() }
    }
}

/// The text files of the project by path from its root, with `/` between.
struct Files(BTreeMap<String, String>);

impl Files {
    fn load(root: &Path) -> Outcome<Self> {
        let mut files = BTreeMap::new();
        collect(root, "", &mut files)?;
        Ok(Self(files))
    }

    fn get(&self, path: &str) -> &str {
        self.0.get(path).map_or("", String::as_str)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(path, _)| has_ending(path, "rs"))
    }
}

fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Outcome {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file() && (ENDINGS.iter().any(|ending| has_ending(&name, ending)) || prefix == ".ci/") {
            let text = fs::read(entry.path()).map_err(failed)?;
            files.insert(path, String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(())
}

/// Names of tests, each with the folders below `crates/` (or at the root) that have one of that name.
struct Tests(BTreeMap<String, BTreeSet<String>>);

impl Tests {
    fn of(files: &Files) -> Self {
        let mut names = BTreeMap::<String, BTreeSet<String>>::new();
        for (path, text) in files.rust() {
            let home = path.strip_prefix("crates/").unwrap_or(path).split('/').next().unwrap_or_default();
            for name in Source::new(text).test_names() {
                names.entry(name).or_default().insert(home.to_owned());
            }
        }
        Self(names)
    }

    /// Whether `name`, or `crate::name`, is a test.
    fn has(&self, name: &str) -> bool {
        match name.split_once("::") {
            Some((home, name)) => self.0.get(name).is_some_and(|homes| homes.contains(home)),
            None => self.0.contains_key(name),
        }
    }
}

/// Checks every rule and prints what is broken.
pub(crate) fn run() -> Outcome {
    let files = Files::load(&root())?;
    let tests = Tests::of(&files);
    let mut findings = Vec::new();
    code::check(&files, &mut findings);
    tables::check(&files, &tests, &mut findings);
    for name in blocks::stale(files.get(blocks::FILE))? {
        findings.push(Finding::new(
            "blocks",
            blocks::FILE,
            0,
            format!("the block `{name}` is out of date: cargo xtask bless --docs"),
        ));
    }
    let mut left = except(findings, EXCEPTIONS);
    left.sort();
    for finding in &left {
        println!("{}:{}: {} [{}]", finding.file, finding.line, finding.text, finding.rule);
    }
    if left.is_empty() {
        println!("tidy: {} files, {} tests by name", files.0.len(), tests.0.len());
        Ok(())
    } else {
        Err(format!("{} findings", left.len()))
    }
}

/// Leaves out what is excused, and adds each excuse that excuses nothing.
fn except(findings: Vec<Finding>, exceptions: &[(&str, &str, &str)]) -> Vec<Finding> {
    let excused = |finding: &Finding| {
        exceptions.iter().position(|(rule, file, _)| *rule == finding.rule && *file == finding.file)
    };
    let used = findings.iter().filter_map(excused).collect::<BTreeSet<_>>();
    let mut left = findings.into_iter().filter(|finding| excused(finding).is_none()).collect::<Vec<_>>();
    for (index, (rule, file, _)) in exceptions.iter().enumerate() {
        if !used.contains(&index) {
            left.push(Finding::new("exceptions", file, 0, format!("the exception from `{rule}` is no longer needed")));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn files(list: &[(&str, &str)]) -> Files {
        Files(list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn exceptions_are_true_both_ways() {
        let finding = || Finding::new("long", "a.rs", 1, "long");
        assert_eq!(except(vec![finding()], &[]).len(), 1);
        assert!(except(vec![finding()], &[("long", "a.rs", "generated")]).is_empty());
        let unused = except(vec![], &[("long", "a.rs", "generated")]);
        assert_eq!(unused[0].rule, "exceptions");
        assert_eq!(except(vec![finding()], &[("space", "a.rs", "generated")]).len(), 2);
    }

    #[test]
    fn tests_are_found_by_crate() {
        let tests = Tests::of(&files(&[
            ("crates/approve/src/verify.rs", "#[test]\nfn a_forgery_is_refused() {}\n"),
            ("xtask/src/json.rs", "#[test]\nfn values_are_read() {}\nfn helper() {}\n"),
        ]));
        assert!(tests.has("a_forgery_is_refused") && tests.has("approve::a_forgery_is_refused"));
        assert!(tests.has("xtask::values_are_read"));
        assert!(!tests.has("audit::a_forgery_is_refused") && !tests.has("helper"));
    }

    #[test]
    fn the_project_is_read() {
        let files = Files::load(&root()).unwrap();
        assert!(files.get("Cargo.toml").contains("[workspace]"));
        assert!(files.iter().all(|(path, _)| !path.starts_with("target/")));
    }
}
