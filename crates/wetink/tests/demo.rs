//! The demo as a guest plays it, in a real browser.

#![allow(clippy::expect_used, reason = "a test that lacks its tools says which")]

use std::path::PathBuf;
use std::process::Command;

/// Chromium, where the set-up puts it.
fn chromium() -> PathBuf {
    if let Some(chosen) = std::env::var_os("WETINK_CHROMIUM") {
        return chosen.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found =
        std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|p| p.is_file());
    found.expect("Chromium is missing; `cargo xtask setup` installs it")
}

#[test]
fn a_guest_plays_the_demo_in_the_browser() {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let npm = std::env::var_os("WETINK_NPM").map_or_else(|| here.join("../../target/npm"), PathBuf::from);
    assert!(
        npm.join("node_modules/playwright-core").is_dir(),
        "playwright-core is missing; `cargo xtask setup` brings it"
    );
    let out = Command::new("node")
        .arg(here.join("tests/demo/guest.mjs"))
        .env("WETINK_NPM", npm)
        .env("WETINK_CHROMIUM", chromium())
        .env("WETINK_BIN", env!("CARGO_BIN_EXE_wetink"))
        .output()
        .expect("node starts; `cargo xtask setup` installs it");
    let text = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&text));
}
