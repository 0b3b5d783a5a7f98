//! Rules about sources: what must not stand in them and what must.

use super::{Files, Finding, has_ending};
use crate::source::{Source, count_word, has_word};

/// A file above this many lines says in its first five why: a comment with the words `Long file:`.
const LINES_MAX: usize = 700;

/// Ways in which a credential leaves `vault::Credential`.
const CREDENTIAL_WORDS: &[&str] = &["expose", "write_to", "with_bytes"];

/// Where they may be called, and how often: `(file, calls)`. Tests aside.
const CREDENTIAL_CALLS: &[(&str, usize)] = &[
    // To the pipe of the executor that runs one order, and nowhere else.
    ("crates/guard/src/broker.rs", 1),
    ("crates/guard/src/executors.rs", 1),
];

/// What only stands in unfinished code.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

pub(super) fn check(files: &Files, findings: &mut Vec<Finding>) {
    for (path, text) in files.iter() {
        spaces(path, text, findings);
        places(path, text, findings);
        sources(path, text, findings);
        manifests(path, text, findings);
    }
    for (path, text) in files.rust() {
        length(path, text, findings);
        words(path, text, findings);
        opening(path, text, findings);
    }
    credentials(files, CREDENTIAL_CALLS, findings);
}

fn spaces(path: &str, text: &str, findings: &mut Vec<Finding>) {
    // Committed output of other programs is kept as it is.
    if ["stderr", "lock", "golden"].iter().any(|ending| has_ending(path, ending)) {
        return;
    }
    for (index, line) in text.split('\n').enumerate() {
        let problem = if line.contains('\r') {
            "carriage return"
        } else if line.contains('\t') {
            "tab"
        } else if line.ends_with(' ') {
            "space at the end of the line"
        } else {
            continue;
        };
        findings.push(Finding::new("space", path, index + 1, problem));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(Finding::new("space", path, 0, "no newline at the end"));
    }
}

/// Paths that exist on somebody's machine only.
fn places(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let places = [concat!("/wo", "rk"), concat!("/tm", "p")];
    for (index, line) in text.lines().enumerate() {
        for place in places {
            let absolute = line.match_indices(place).any(|(at, _)| {
                let starts =
                    !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_-.}/*>~$)".contains(before));
                starts && line[at + place.len()..].starts_with('/')
            });
            if absolute {
                findings.push(Finding::new(
                    "places",
                    path,
                    index + 1,
                    format!("absolute path `{place}`: use a temporary folder"),
                ));
            }
        }
    }
}

/// Everything that is fetched comes from the public registries by their own names.
fn sources(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let cargo = "\"registry+https://github.com/rust-lang/crates.io-index\"";
    let npm = "\"https://registry.npmjs.org/";
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let strange = if has_ending(path, "lock") {
            line.strip_prefix("source = ").filter(|source| *source != cargo)
        } else if path.ends_with("package-lock.json") {
            line.strip_prefix("\"resolved\": ").filter(|source| !source.starts_with(npm))
        } else if path.starts_with(".cargo/") {
            Some(line).filter(|line| line.starts_with("[source") || line.starts_with("[registr"))
        } else {
            None
        };
        if let Some(source) = strange {
            findings.push(Finding::new("sources", path, index + 1, format!("{source} is not a public registry")));
        }
    }
}

fn manifests(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let ours = path.starts_with("crates/") && path.ends_with("/Cargo.toml") && path.matches('/').count() == 2;
    if ours && !text.contains("[lints]\nworkspace = true") {
        findings.push(Finding::new("lints", path, 0, "the workspace's lints are not taken over"));
    }
}

fn length(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    let explained = text.lines().take(5).any(|line| line.starts_with("//") && line.contains("Long file:"));
    if lines > LINES_MAX && !explained {
        findings.push(Finding::new(
            "long",
            path,
            lines,
            format!("{lines} lines: split it, or say why at its top (`Long file:`)"),
        ));
    }
    if lines <= LINES_MAX && explained {
        findings.push(Finding::new("long", path, lines, "no longer a long file: remove the reason at its top"));
    }
}

fn words(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (line, code) in Source::new(text).lines() {
        for word in UNFINISHED {
            // `#[ignore` is no word at its start, so its neighbor on the left does not matter.
            if code.match_indices(word).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            {
                findings.push(Finding::new("unfinished", path, line, format!("`{word}`")));
            }
        }
        if has_word(&code, concat!("un", "safe")) {
            findings.push(Finding::new("unsafe", path, line, "unsafe code"));
        }
    }
    for (index, line) in text.lines().enumerate() {
        let marked = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
        if line.contains("//") && marked.iter().any(|word| has_word(line, word)) {
            findings.push(Finding::new(
                "unfinished",
                path,
                index + 1,
                "a note to do something later: do it, or open an issue",
            ));
        }
    }
}

/// A library opens with what it owns and what it never does.
fn opening(path: &str, text: &str, findings: &mut Vec<Finding>) {
    if !(path.starts_with("crates/") && path.ends_with("/src/lib.rs")) {
        return;
    }
    for word in ["Owns:", "Never:"] {
        if !text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains(word)) {
            findings.push(Finding::new("opening", path, 1, format!("the crate's first words do not say `{word}`")));
        }
    }
}

/// INVARIANT (I4): a credential is used, never read. The type cannot hold this alone, so its call sites are a list.
fn credentials(files: &Files, allowed: &[(&str, usize)], findings: &mut Vec<Finding>) {
    let mut seen = Vec::new();
    for (path, text) in files.rust().filter(|(path, _)| path.starts_with("crates/") && path.contains("/src/")) {
        let mut calls = 0;
        let mut first = 0;
        for (line, code) in Source::new(text).product_lines() {
            // `UFCS` and method calls alike; the definition itself is neither.
            let found = CREDENTIAL_WORDS.iter().filter(|word| !code.contains(&format!("fn {word}")));
            let found = found.map(|word| count_word(&code, word)).sum::<usize>();
            if found > 0 && calls == 0 {
                first = line;
            }
            calls += found;
        }
        if calls == 0 {
            continue;
        }
        seen.push(path);
        let expected = allowed.iter().find(|(file, _)| *file == path).map_or(0, |(_, calls)| *calls);
        if calls != expected {
            let text = format!("{calls} uses of a credential's bytes, {expected} allowed (xtask/src/tidy/code.rs)");
            findings.push(Finding::new("credentials", path, first, text));
        }
    }
    for (path, _) in allowed.iter().filter(|(path, _)| !seen.contains(path)) {
        findings.push(Finding::new("credentials", path, 0, "no longer uses a credential's bytes: shorten the list"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::files;
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        let mut findings = Vec::new();
        let files = files(&[(path, text)]);
        check(&files, &mut findings);
        findings.retain(|finding| finding.file == path);
        findings.into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn clean_code_passes() {
        assert!(
            rules("crates/a/src/b.rs", "//! Never todo!().\nfn a() {\n    let text = \"unsafe todo!()\";\n}\n")
                .is_empty()
        );
        assert!(rules("crates/a/src/lib.rs", "//! A.\n//!\n//! Owns: a.\n//! Never: b.\n").is_empty());
    }

    #[test]
    fn untidy_code_is_found() {
        let cases = [
            ("a.rs", "fn a() { todo!() }\n", "unfinished"),
            ("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n", "unfinished"),
            ("a.rs", concat!("// TO", "DO: later\n"), "unfinished"),
            ("a.rs", "fn a() { unsafe { b() } }\n", "unsafe"),
            ("a.md", "two \n", "space"),
            ("a.toml", "a = 1\r\n", "space"),
            ("a.sql", "\tselect 1\n", "space"),
            ("a.sql", "select 1", "space"),
            ("a.md", concat!("see `/wo", "rk/x`\n"), "places"),
            ("a.rs", concat!("const A: &str = \"/tm", "p/x\";\n"), "places"),
            ("Cargo.lock", "source = \"git+https://example.org/x\"\n", "sources"),
            ("web/package-lock.json", "  \"resolved\": \"https://example.org/x.tgz\"\n", "sources"),
            (".cargo/config.toml", "[source.crates-io]\n", "sources"),
            ("crates/a/src/lib.rs", "//! Owns: a.\n", "opening"),
            ("crates/a/Cargo.toml", "[package]\n", "lints"),
            ("crates/a/src/b.rs", "fn b() { c.expose(|d| d.to_vec()) }\n", "credentials"),
            ("crates/a/src/b.rs", "fn b() { Credential::write_to(&c, d) }\n", "credentials"),
            ("crates/a/src/b.rs", "fn b() { let f = Credential::expose; }\n", "credentials"),
        ];
        for (path, text, rule) in cases {
            assert_eq!(rules(path, text), [rule], "{path}: {text}");
        }
    }

    #[test]
    fn long_files_say_why_and_short_ones_do_not() {
        let long = "fn a() {}\n".repeat(LINES_MAX + 1);
        assert_eq!(rules("a.rs", &long), ["long"]);
        assert!(rules("a.rs", &format!("// Long file: one table.\n{long}")).is_empty());
        assert_eq!(rules("a.rs", "// Long file: one table.\n"), ["long"]);
    }

    #[test]
    fn relative_and_inner_paths_are_no_places() {
        assert!(rules("a.md", concat!("`target/tm", "p/x` and `https://example.org/wo", "rk/x`\n")).is_empty());
    }

    #[test]
    fn uses_of_credentials_are_counted_exactly() {
        let files = files(&[(
            "crates/a/src/b.rs",
            "fn b() { c.write_to(d) }\n#[cfg(test)]\nmod tests { fn x() { c.expose(d) } }\n",
        )]);
        let check = |allowed: &[(&str, usize)]| {
            let mut findings = Vec::new();
            credentials(&files, allowed, &mut findings);
            findings.len()
        };
        assert_eq!(check(&[("crates/a/src/b.rs", 1)]), 0);
        assert_eq!(check(&[("crates/a/src/b.rs", 2)]), 1);
        assert_eq!(check(&[]), 1);
        assert_eq!(check(&[("crates/a/src/b.rs", 1), ("crates/gone/src/b.rs", 1)]), 1);
    }
}
