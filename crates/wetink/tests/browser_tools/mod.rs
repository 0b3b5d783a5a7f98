//! Where node, its packages and Chromium are.
#![allow(clippy::expect_used, unreachable_pub, reason = "a test that lacks its tools says which")]

use std::path::PathBuf;
use std::process::Command;

/// The build's folder.
pub fn target() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_wetink"));
    program.ancestors().nth(2).map(PathBuf::from).expect("the program lies in target/debug")
}

fn chromium() -> PathBuf {
    if let Some(chosen) = std::env::var_os("WETINK_CHROMIUM") {
        return chosen.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    let mut found = found.filter(|p| p.is_file());
    found.next().expect("Chromium is missing; `cargo xtask setup` installs it")
}

/// Where npm's packages are.
#[allow(dead_code, reason = "each test program uses its own part")]
pub fn packages() -> PathBuf {
    let npm = std::env::var_os("WETINK_NPM").map_or_else(|| target().join("npm"), PathBuf::from);
    npm.join("node_modules").canonicalize().expect("npm's packages are missing; `cargo xtask setup` brings them")
}

/// Runs a script of this crate's with everything it needs in its environment.
pub fn node(script: &str) -> Command {
    let npm = std::env::var_os("WETINK_NPM").map_or_else(|| target().join("npm"), PathBuf::from);
    for package in ["playwright-core", "axe-core", "@modelcontextprotocol/sdk", "oidc-provider"] {
        let there = npm.join("node_modules").join(package).is_dir();
        assert!(there, "{package} is missing; `cargo xtask setup` brings it");
    }
    let mut command = Command::new("node");
    command
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script))
        .env("WETINK_NPM", npm)
        .env("WETINK_CHROMIUM", chromium())
        .env("WETINK_BIN", env!("CARGO_BIN_EXE_wetink"));
    command
}
