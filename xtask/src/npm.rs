//! Packages of npm that tests drive a browser with: exact versions, in the target folder, nothing global.

use std::fs;
use std::process::Command;

use crate::graph::Workspace;
use crate::run::{Outcome, on_path, run};

/// A browser's driver, the rules of accessibility, the official client of MCP, a certified OpenID provider, three MCP servers, a mail server,
/// another implementation of HTTP message signatures, a GraphQL service.
const PACKAGES: &[&str] = &[
    "playwright-core@1.65.1",
    "axe-core@4.14.1",
    "@modelcontextprotocol/sdk@1.32.2",
    "oidc-provider@8.8.1",
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
    "@modelcontextprotocol/server-memory@2026.8.31",
    "smtp-server@3.21.6",
    "http-message-signatures@1.0.6",
    "graphql@17.1.0",
    "graphql-http@1.23.1",
];

/// Brings the packages to `target/npm`, once a version.
pub(crate) fn ensure() -> Outcome {
    let folder = Workspace::load()?.target.join("npm");
    let (marker, wanted) = (folder.join("brought"), PACKAGES.join(" "));
    if fs::read_to_string(&marker).is_ok_and(|brought| brought == wanted) {
        return Ok(());
    }
    if !on_path("npm") {
        return Err("npm is missing; `cargo xtask setup` installs it".to_owned());
    }
    println!("setup: bringing {wanted} by npm into the target folder");
    fs::create_dir_all(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    let mut command = Command::new("npm");
    command.arg("install").args(["--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", "--prefix"]);
    run(command.arg(&folder).args(PACKAGES)).map_err(|error| {
        format!(
            "{error}\nthe browser tests need {wanted}: see to it that npm reaches its registry, then run this again"
        )
    })?;
    fs::write(&marker, wanted).map_err(|error| format!("`{}`: {error}", marker.display()))
}
