//! People's pages in a real browser with a virtual authenticator: the whole way, both themes, two sizes, and what must fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "browser_tools/mod.rs"]
mod browser_tools;

#[test]
fn people_do_their_work_in_the_browser() {
    let folder = std::env::temp_dir().join(format!("wetink-pages-{}", artifact::RunId::random()));
    std::fs::create_dir(&folder).unwrap();
    let shop = folder.join("shop.db");
    let db = rusqlite::Connection::open(&shop).unwrap();
    db.execute_batch(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT NOT NULL, customer TEXT NOT NULL);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
         INSERT INTO orders SELECT i, 'paid', 'c' || i || '@example.test' FROM n;",
    )
    .unwrap();
    drop(db);
    let shots = browser_tools::target().join("screenshots");
    std::fs::create_dir_all(&shots).unwrap();
    let out = browser_tools::node("tests/pages/people.mjs")
        .env("WETINK_FOLDER", &folder)
        .env("WETINK_SHOP", &shop)
        .env("WETINK_SHOTS", &shots)
        .output()
        .expect("node starts; `cargo xtask setup` installs it");
    let text = [out.stdout, out.stderr].concat();
    let _ = std::fs::remove_dir_all(&folder);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&text));
}
