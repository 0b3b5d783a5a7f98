//! The demo as a guest plays it, in a real browser.
#![allow(clippy::expect_used, reason = "a test that lacks its tools says which")]

#[path = "browser_tools/mod.rs"]
mod browser_tools;

#[test]
fn a_guest_plays_the_demo_in_the_browser() {
    let out =
        browser_tools::node("tests/demo/guest.mjs").output().expect("node starts; `cargo xtask setup` installs it");
    let text = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&text));
}
