//! People's pages in a real browser, beyond the plain way that `pages.rs` walks: what is signed twice or by the wrong
//! gesture, what looks like something else, what works with a keyboard alone, without scripts, and unfolded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "browser_tools/mod.rs"]
mod browser_tools;

use std::path::PathBuf;

/// A folder with the target's file in it.
struct Place {
    folder: PathBuf,
    shop: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Place {
    /// Forty orders; `tries` counts how often one was touched. The schema and the notes hold what a page must not believe.
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("wetink-browser-{}", artifact::RunId::random()));
        std::fs::create_dir(&folder).unwrap();
        let shop = folder.join("shop.db");
        let db = rusqlite::Connection::open(&shop).unwrap();
        db.execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
                 customer TEXT NOT NULL);
             CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT NOT NULL, \"<b>bold</b>\" TEXT);
             CREATE TABLE trash (id INTEGER PRIMARY KEY);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
             INSERT INTO orders SELECT i, 'paid', 0, 'c' || i || '@example.test' FROM n;
             INSERT INTO trash VALUES (1), (2), (3);",
        )
        .unwrap();
        let notes = [
            "<script>window.owned = 'cell'</script>",
            "<img src=x onerror=\"window.owned = 'image'\">",
            "\u{202e}desrever\u{2066}\u{200b}\u{7}\u{1b}[31m",
            "\" onfocus=window.owned=1 autofocus x='",
        ];
        for note in notes {
            db.execute("INSERT INTO notes (note, \"<b>bold</b>\") VALUES (?1, ?1)", [note]).unwrap();
        }
        Self { folder, shop }
    }

    fn count(&self, sql: &str) -> i64 {
        rusqlite::Connection::open(&self.shop).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Runs scenarios one after the other at one gateway.
    fn play(&self, scenarios: &[&str]) {
        self.run("play", scenarios);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let shots = browser_tools::target().join("screenshots");
        std::fs::create_dir_all(&shots).unwrap();
        let out = browser_tools::node(&format!("tests/browser/{program}.mjs"))
            .args(arguments)
            .env("WETINK_FOLDER", &self.folder)
            .env("WETINK_SHOP", &self.shop)
            .env("WETINK_SHOTS", &shots)
            .output()
            .expect("node is missing; `cargo xtask setup` installs it");
        let text = [out.stdout, out.stderr].concat();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn what_is_signed_runs_once_and_only_by_the_right_gesture() {
    let place = Place::new();
    place.play(&["decide"]);
    assert_eq!(place.count("SELECT sum(tries) FROM orders"), 7, "seven orders, each once");
    assert_eq!(place.count("SELECT count(*) FROM orders WHERE tries = 1 AND id <= 7"), 7);
    assert_eq!(place.count("SELECT count(*) FROM trash"), 0, "the grave one ran in the end, by the right gesture");
}

#[test]
fn what_looks_like_something_else_is_seen_for_what_it_is() {
    Place::new().play(&["hostile"]);
}

#[test]
fn a_page_that_shows_other_than_it_has_signed_refuses() {
    let place = Place::new();
    place.play(&["shown"]);
    assert_eq!(place.count("SELECT count(*) FROM orders WHERE status = 'honest'"), 1, "the unchanged page signs");
    assert_eq!(place.count("SELECT count(*) FROM orders WHERE status NOT IN ('paid', 'honest')"), 0);
}

#[test]
fn an_open_page_follows_what_happens() {
    Place::new().play(&["live"]);
}

#[test]
fn single_keys_go_where_the_help_says() {
    Place::new().play(&["shortcuts"]);
}

#[test]
fn the_keyboard_alone_and_no_script_at_all() {
    let place = Place::new();
    place.play(&["keyboard", "noscript"]);
    assert_eq!(place.count("SELECT count(*) FROM orders WHERE status = 'typed'"), 1, "signed by keys alone");
    assert_eq!(place.count("SELECT count(*) FROM orders WHERE status NOT IN ('paid', 'typed')"), 0);
}

#[test]
fn a_host_gets_a_pass_by_itself_once_a_person_allows_it() {
    Place::new().play(&["oauth"]);
}

#[test]
fn people_sign_in_at_a_real_identity_provider() {
    Place::new().run("oidc", &[]);
}

#[test]
fn a_request_is_understood_signed_and_sent_once() {
    Place::new().play(&["requests"]);
}

#[test]
fn a_mail_is_shown_canceled_in_the_outbox_and_sent() {
    Place::new().play(&["mail"]);
}

#[test]
fn a_payment_is_shown_as_one_and_signed() {
    Place::new().play(&["payments"]);
}

#[test]
fn several_are_read_ticked_and_signed_at_once() {
    let place = Place::new();
    place.play(&["together"]);
    assert_eq!(place.count("SELECT sum(tries) FROM orders WHERE id IN (21, 22, 23)"), 3);
    assert_eq!(place.count("SELECT sum(tries) FROM orders"), 3, "nothing else, and each once");
}

#[test]
fn many_columns_stay_readable() {
    Place::new().play(&["columns"]);
}

#[test]
fn every_page_unfolded_fits_and_is_accessible() {
    Place::new().play(&["looks"]);
}
