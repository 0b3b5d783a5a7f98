//! `deps`: the arrows between crates are a contract. What is not listed here is forbidden.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::graph::{Arrow, Need, Resolved, Workspace};
use crate::run::Outcome;

/// Every crate may use it: the exact bytes and what names them.
const COMMON: &str = "artifact";

/// Which crate may depend on which. A new arrow is the gravest kind of change: it needs a decision record.
const ALLOWED: &[(&str, &[&str])] = &[
    ("artifact", &[]),
    ("wire", &[]),
    ("doors", &["reading", "wire"]),
    ("audit", &[]),
    ("reading", &[]),
    ("analyze", &["reading"]),
    ("approve", &[]),
    ("vault", &[]),
    ("release", &["approve"]),
    ("receipt", &["approve"]),
    ("policy", &["analyze", "approve"]),
    ("execute", &["reading", "wire"]),
    ("ledger", &["approve", "audit"]),
    ("lifecycle", &["analyze", "approve", "audit", "policy", "reading", "release"]),
    ("store", &["lifecycle"]),
    ("intake", &["doors", "wire"]),
    ("review", &["approve", "audit", "doors", "reading", "wire"]),
    ("desk", &["doors", "intake", "lifecycle", "reading", "review", "store", "wire"]),
    ("guard", &["approve", "audit", "ledger", "release", "vault", "wire"]),
    // approve, audit and wire by decision 0002.
    ("wetink", &["approve", "audit", "desk", "doors", "execute", "guard", "wire"]),
    ("testkit", &["approve", "audit", "release", "wire"]),
    ("xtask", &[]),
];

/// Crates that drive the others from outside and ship in nothing: they may use every crate.
const DRIVERS: &[&str] = &["bench"];

/// What tests may use beyond the arrows above. `testkit` is open to all.
const ALLOWED_IN_TESTS: &[(&str, &[&str])] = &[
    // Whole-system stories drive the parts directly where the binary gives no way in.
    (
        "wetink",
        &[
            "analyze",
            "intake",
            "ledger",
            "lifecycle",
            "policy",
            "reading",
            "receipt",
            "release",
            "review",
            "store",
            "vault",
        ],
    ),
];

/// What a crate must not reach by any road, tests aside. Names of other people's crates stand for what they do.
const UNREACHABLE: &[(&str, &[&str])] = &[
    (
        "guard",
        &[
            "analyze",
            "reading",
            "policy",
            "execute",
            "sqlx",
            "sqlx-core",
            "sqlx-postgres",
            "pg_query",
            "cedar-policy",
            "cedar-policy-core",
            "tokio",
            "axum",
            "hyper",
            "doors",
        ],
    ),
    ("intake", &["vault", "approve", "execute"]),
    ("desk", &["vault", "execute"]),
    ("execute", &["vault", "ledger", "approve", "doors"]),
];

/// Prints the graph and fails on any arrow or reach that the contract does not allow.
pub(crate) fn run() -> Outcome {
    let workspace = Workspace::load()?;
    print!("{}", describe(&workspace));
    let mut broken = forbidden(&workspace);
    let resolved = Resolved::load()?;
    for (from, banned) in UNREACHABLE {
        if !resolved.is_member(from) {
            continue;
        }
        let reached = resolved.reach(from)?;
        let found = banned.iter().filter(|name| reached.contains(**name)).copied().collect::<Vec<_>>();
        if found.is_empty() {
            println!("{from} cannot reach {}", banned.join(", "));
        } else {
            broken.push(format!("`{from}` reaches {}", found.join(", ")));
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nremove it, or argue for it in a decision record and list it in xtask/src/deps.rs",
        broken.join("\n")
    ))
}

/// The graph as text, for ARCHITECTURE.md.
pub(crate) fn describe(workspace: &Workspace) -> String {
    let mut text = String::new();
    for name in &workspace.crates {
        let to = |need: fn(Need) -> bool| {
            let arrows = workspace.arrows.iter().filter(|arrow| arrow.from == *name && need(arrow.need));
            arrows.map(|arrow| arrow.to.as_str()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
        };
        let (product, tests) = (to(|need| need != Need::Dev), to(|need| need == Need::Dev));
        let product = if product.is_empty() { "nothing" } else { product.as_str() };
        let tests = if tests.is_empty() { String::new() } else { format!("   (tests: {tests})") };
        let _ = writeln!(text, "{name:<10} -> {product}{tests}");
    }
    text
}

fn forbidden(workspace: &Workspace) -> Vec<String> {
    let mut broken = Vec::new();
    for name in &workspace.crates {
        if listed(ALLOWED, name).is_none() && !DRIVERS.contains(&name.as_str()) {
            broken.push(format!("`{name}` is not in the list of crates"));
        }
    }
    for arrow in workspace.arrows.iter().filter(|arrow| !allowed(arrow)) {
        let tests = if arrow.need == Need::Dev { " in its tests" } else { "" };
        broken.push(format!("`{}` must not depend on `{}`{tests}", arrow.from, arrow.to));
    }
    broken
}

fn allowed(arrow: &Arrow) -> bool {
    let (from, to) = (arrow.from.as_str(), arrow.to.as_str());
    let in_product = (to == COMMON && from != COMMON && from != "xtask")
        || listed(ALLOWED, from).is_some_and(|list| list.contains(&to))
        || (DRIVERS.contains(&from) && to != "xtask");
    let in_tests = to == "testkit" || listed(ALLOWED_IN_TESTS, from).is_some_and(|list| list.contains(&to));
    in_product || (arrow.need == Need::Dev && in_tests)
}

fn listed<'a>(list: &'a [(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    list.iter().find(|(from, _)| *from == name).map(|(_, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str, need: Need) -> Arrow {
        Arrow { from: from.to_owned(), to: to.to_owned(), need }
    }

    #[test]
    fn only_listed_arrows_are_allowed() {
        assert!(allowed(&arrow("guard", "vault", Need::Normal)));
        assert!(allowed(&arrow("guard", "artifact", Need::Normal)));
        for to in ["analyze", "policy", "execute", "testkit", "desk"] {
            assert!(!allowed(&arrow("guard", to, Need::Normal)), "{to}");
        }
        assert!(!allowed(&arrow("intake", "vault", Need::Build)));
        assert!(!allowed(&arrow("xtask", "artifact", Need::Normal)));
    }

    #[test]
    fn tests_may_use_the_testkit_and_little_else() {
        assert!(allowed(&arrow("approve", "testkit", Need::Dev)));
        assert!(!allowed(&arrow("approve", "testkit", Need::Normal)));
        assert!(allowed(&arrow("wetink", "store", Need::Dev)));
        assert!(!allowed(&arrow("wetink", "store", Need::Normal)));
        assert!(!allowed(&arrow("guard", "execute", Need::Dev)));
        assert!(!allowed(&arrow("intake", "vault", Need::Dev)));
    }

    #[test]
    fn an_unlisted_crate_is_reported() {
        let crates = ["artifact", "stranger"].map(str::to_owned).into();
        let workspace = Workspace { crates, arrows: vec![arrow("artifact", "wire", Need::Normal)], target: "t".into() };
        let broken = forbidden(&workspace);
        assert_eq!(broken, ["`stranger` is not in the list of crates", "`artifact` must not depend on `wire`"]);
        assert_eq!(describe(&workspace), "artifact   -> wire\nstranger   -> nothing\n");
    }

    #[test]
    fn the_allowed_arrows_keep_the_promises_on_reach() {
        let mut reach = vec![("guard", BTreeSet::new()), ("intake", BTreeSet::new()), ("desk", BTreeSet::new())];
        for (from, reached) in &mut reach {
            let mut open = vec![*from];
            while let Some(name) = open.pop() {
                for to in listed(ALLOWED, name).unwrap_or_default() {
                    if reached.insert(*to) {
                        open.push(to);
                    }
                }
            }
            let banned = listed(UNREACHABLE, from).unwrap();
            assert!(banned.iter().all(|name| !reached.contains(name)), "{from} reaches {reached:?}");
        }
    }
}
