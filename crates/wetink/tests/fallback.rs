//! A login that may not mint: the run has its rights, the page says so, and what was signed is what is meant.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
#[path = "../../execute/tests/mariadb_server/mod.rs"]
mod mariadb_server;
#[path = "../../execute/tests/support/mod.rs"]
mod pg;
mod support;

use machine::Machine;
use mariadb_server::Mariadb;
use pg::Server;

/// Registers the target as minted if possible and proposes updates in a task of its own.
struct Scene {
    machine: Machine,
    relation: String,
    pass: String,
}

impl Scene {
    fn new(address: &str, relation: &str) -> Self {
        let machine = Machine::start();
        machine.furnish();
        assert!(machine.run(&["secret", "set", "pw"], "pw", None).status.success());
        let add = ["target", "add", "shop", address, "--minted=if-possible", "--credential", "pw"];
        let (ok, text) = machine.person(&add, "");
        assert!(ok, "{text}");
        let (read, update) = (format!("read {relation}"), format!("update {relation}(n)"));
        let scope = ["--may", read.as_str(), "--may", update.as_str()];
        let new = ["task", "new", "Set n", "--agent", "robin", "--target", "shop"];
        let (ok, text) = machine.person(&[&new[..], &scope[..]].concat(), "");
        assert!(ok, "{text}");
        let pass = machine.pass_of("shop");
        Self { machine, relation: relation.to_owned(), pass }
    }

    /// None if the trial was refused.
    fn propose(&self, sql: &str) -> Option<String> {
        let propose = ["propose", "--json", "--target", "shop", "--purpose", "as asked"];
        let output = self.machine.run(&propose, sql, Some(&self.pass));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        answer["proposal_id"].as_str().map(str::to_owned)
    }

    /// Signs; tells whether it ran, and what the person read.
    fn sign(&self, id: &str) -> (bool, String) {
        self.machine.person(&["approve", id], &format!("{}\n", self.relation))
    }
}

const FINDING: &str = "The login may not make a narrower one";

/// What holds on either server. `mighty` lets the login mint, `left` counts roles that were left behind.
fn told_and_bound(scene: &Scene, sum: &dyn Fn() -> String, mighty: &dyn Fn(), left: &dyn Fn() -> String) {
    let id = scene.propose("UPDATE goods SET n = 1 WHERE id = 1").unwrap();
    let before = scene.propose("UPDATE goods SET n = 1 WHERE id = 2").unwrap();
    let (ok, text) = scene.sign(&id);
    assert!(ok && text.contains(FINDING) && text.contains("high"), "{text}");
    assert_eq!(sum(), "1");

    // What was signed as "the login's rights" is not run by a login that can do more since.
    mighty();
    let (ok, text) = scene.sign(&before);
    assert!(!ok, "{text}");
    assert_eq!(sum(), "1");

    // A catalog read anew says that it mints: no finding, and a user for the run.
    let mut minted = (false, String::new());
    for _ in 0..40 {
        if let Some(id) = scene.propose("UPDATE goods SET n = 1 WHERE id = 3") {
            minted = scene.sign(&id);
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    assert!(minted.0 && !minted.1.contains(FINDING), "{}", minted.1);
    assert_eq!(sum(), "2");
    // One role may be made ahead, for the next run.
    assert!(["0", "1"].contains(&left().as_str()), "{} left behind", left());
}

#[test]
fn a_postgresql_login_that_may_not_mint_runs_with_its_rights_and_says_so() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE goods (id int PRIMARY KEY, n int NOT NULL); INSERT INTO goods SELECT i, 0 FROM generate_series(1, 10) i;
         CREATE ROLE app LOGIN; GRANT SELECT, UPDATE ON goods TO app WITH GRANT OPTION;
         GRANT USAGE ON SCHEMA public TO app WITH GRANT OPTION; GRANT CONNECT ON DATABASE postgres TO app WITH GRANT OPTION",
    );
    let address = format!("postgres://app@{}/postgres", server.socket().replace('/', "%2F"));
    told_and_bound(
        &Scene::new(&address, "public.goods"),
        &|| server.sql("SELECT sum(n) FROM goods"),
        &|| drop(server.sql("ALTER ROLE app CREATEROLE")),
        &|| server.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'wetink%'"),
    );
}

#[test]
fn a_mariadb_login_that_may_not_mint_runs_with_its_rights_and_says_so() {
    let server = Mariadb::start();
    server.sql(
        "USE shop; CREATE TABLE goods (id int PRIMARY KEY, n int NOT NULL); INSERT INTO goods SELECT seq, 0 FROM seq_1_to_10;
         CREATE USER app@'%' IDENTIFIED BY 'pw'; GRANT SELECT, UPDATE ON shop.* TO app@'%' WITH GRANT OPTION",
    );
    let address = format!("mariadb://app@{}/shop", server.socket().replace('/', "%2F"));
    told_and_bound(
        &Scene::new(&address, "shop.goods"),
        &|| server.sql("SELECT sum(n) FROM shop.goods"),
        &|| drop(server.sql("GRANT CREATE USER ON *.* TO app@'%'; GRANT SELECT ON mysql.user TO app@'%'")),
        &|| server.sql("SELECT count(*) FROM mysql.user WHERE User LIKE 'wetink%'"),
    );
}
