//! The dependency graph as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::json::Json;
use crate::run::{Outcome, cargo, output};

/// How one package needs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Linked into it.
    Normal,
    /// Run while it is built.
    Build,
    /// Used by its tests.
    Dev,
}

impl Need {
    fn of(kind: &Json) -> Self {
        match kind.text() {
            Some("build") => Self::Build,
            Some("dev") => Self::Dev,
            _ => Self::Normal,
        }
    }
}

/// A dependency from one crate of the workspace to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) need: Need,
}

/// The crates of the workspace and every arrow between them.
pub(crate) struct Workspace {
    pub(crate) crates: BTreeSet<String>,
    pub(crate) arrows: Vec<Arrow>,
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// As the manifests say.
    pub(crate) fn load() -> Outcome<Self> {
        Self::parse(&output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?)
    }

    fn parse(metadata: &str) -> Outcome<Self> {
        let metadata = Json::parse(metadata).map_err(|error| format!("cargo metadata: {error}"))?;
        let mut crates = BTreeSet::new();
        let mut arrows = Vec::new();
        for package in metadata.get("packages").items() {
            let from = package.get("name").text().ok_or("cargo metadata: a package without a name")?;
            crates.insert(from.to_owned());
            for dependency in package.get("dependencies").items() {
                let to = dependency.get("name").text().ok_or("cargo metadata: a dependency without a name")?;
                // Only what is named by path is ours; a crate of the same name elsewhere is a stranger.
                if dependency.get("path").text().is_some() {
                    let need = Need::of(dependency.get("kind"));
                    arrows.push(Arrow { from: from.to_owned(), to: to.to_owned(), need });
                }
            }
        }
        arrows.sort();
        arrows.dedup();
        let target = metadata.get("target_directory").text().ok_or("cargo metadata: no target folder")?.into();
        Ok(Self { crates, arrows, target })
    }
}

/// A package as resolved: its name, whether it only runs at build time, and what it needs.
#[derive(Debug, Default)]
struct Node {
    name: String,
    proc_macro: bool,
    needs: Vec<(String, Need)>,
}

/// Every package, ours and others', as resolved for this machine with the features the workspace turns on.
pub(crate) struct Resolved {
    nodes: BTreeMap<String, Node>,
    members: BTreeMap<String, String>,
}

impl Resolved {
    /// As the lockfile says, for the host.
    pub(crate) fn load() -> Outcome<Self> {
        let host = output(std::process::Command::new("rustc").arg("-vV"))?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("`rustc -vV` names no host")?;
        Self::parse(&output(cargo().args(["metadata", "--format-version", "1", "--filter-platform", host]))?)
    }

    fn parse(metadata: &str) -> Outcome<Self> {
        let metadata = Json::parse(metadata).map_err(|error| format!("cargo metadata: {error}"))?;
        let mut nodes = BTreeMap::<String, Node>::new();
        for package in metadata.get("packages").items() {
            let id = package.get("id").text().ok_or("cargo metadata: a package without an id")?;
            let name = package.get("name").text().unwrap_or(id).to_owned();
            let kinds = package.get("targets").items().iter().flat_map(|target| target.get("kind").items());
            let proc_macro = kinds.into_iter().any(|kind| kind.text() == Some("proc-macro"));
            nodes.insert(id.to_owned(), Node { name, proc_macro, needs: Vec::new() });
        }
        for resolved in metadata.get("resolve").get("nodes").items() {
            let id = resolved.get("id").text().unwrap_or_default();
            let node =
                nodes.get_mut(id).ok_or_else(|| format!("cargo metadata: `{id}` is resolved but not described"))?;
            for needed in resolved.get("deps").items() {
                let to = needed.get("pkg").text().unwrap_or_default();
                for kind in needed.get("dep_kinds").items() {
                    node.needs.push((to.to_owned(), Need::of(kind.get("kind"))));
                }
            }
        }
        let members = metadata.get("workspace_members").items().iter().filter_map(Json::text);
        let members = members.filter_map(|id| Some((nodes.get(id)?.name.clone(), id.to_owned()))).collect();
        Ok(Self { nodes, members })
    }

    /// Whether this is a crate of the workspace.
    pub(crate) fn is_member(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Names of all that a crate of the workspace pulls in, linked or run at build time, tests aside.
    pub(crate) fn reach(&self, from: &str) -> Outcome<BTreeSet<String>> {
        self.walk(from, |_, need| need != Need::Dev)
    }

    /// Names of all that ends up linked: build scripts, procedural macros and what only they need left out.
    pub(crate) fn linked(&self, from: &str) -> Outcome<BTreeSet<String>> {
        self.walk(from, |node, need| need == Need::Normal && !node.proc_macro)
    }

    fn walk(&self, from: &str, follow: impl Fn(&Node, Need) -> bool) -> Outcome<BTreeSet<String>> {
        let start = self.members.get(from).ok_or_else(|| format!("`{from}` is no crate of the workspace"))?;
        let mut seen = BTreeSet::from([start.as_str()]);
        let mut open = vec![start.as_str()];
        while let Some(id) = open.pop() {
            let needs = self.nodes.get(id).map(|node| node.needs.as_slice()).unwrap_or_default();
            for (to, need) in needs {
                if self.nodes.get(to).is_some_and(|node| follow(node, *need)) && seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen.remove(start.as_str());
        Ok(seen.into_iter().filter_map(|id| Some(self.nodes.get(id)?.name.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_are_read_from_manifests() {
        let read = Workspace::parse(
            r#"{"target_directory": "t", "packages": [
                {"name": "a", "dependencies": [
                    {"name": "b", "kind": null, "path": "/b"}, {"name": "b", "kind": "dev", "path": "/b"},
                    {"name": "serde", "kind": null}]},
                {"name": "b", "dependencies": [{"name": "c", "kind": "build", "path": "/c"}]}]}"#,
        )
        .unwrap();
        let arrow = |from: &str, to: &str, need| Arrow { from: from.to_owned(), to: to.to_owned(), need };
        let expected = vec![arrow("a", "b", Need::Normal), arrow("a", "b", Need::Dev), arrow("b", "c", Need::Build)];
        assert_eq!(read.arrows, expected);
    }

    #[test]
    fn reach_follows_build_scripts_but_not_tests() {
        let read = Resolved::parse(
            r#"{"workspace_members": ["1"], "packages": [
                {"id": "1", "name": "ours", "targets": [{"kind": ["lib"]}]},
                {"id": "2", "name": "linked", "targets": []}, {"id": "3", "name": "script", "targets": []},
                {"id": "4", "name": "derive", "targets": [{"kind": ["proc-macro"]}]},
                {"id": "5", "name": "syn", "targets": []}, {"id": "6", "name": "proptest", "targets": []}],
             "resolve": {"nodes": [
                {"id": "1", "deps": [
                    {"pkg": "2", "dep_kinds": [{"kind": null}]}, {"pkg": "3", "dep_kinds": [{"kind": "build"}]},
                    {"pkg": "4", "dep_kinds": [{"kind": null}]}, {"pkg": "6", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "4", "deps": [{"pkg": "5", "dep_kinds": [{"kind": null}]}]}]}}"#,
        )
        .unwrap();
        let names = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(names(read.reach("ours").unwrap()), "derive linked script syn");
        assert_eq!(names(read.linked("ours").unwrap()), "linked");
        assert!(read.reach("linked").is_err());
    }
}
