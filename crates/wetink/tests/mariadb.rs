//! The whole way to a real MariaDB: agent, desk, person at a terminal, guard, confined child, server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
#[path = "../../execute/tests/mariadb_server/mod.rs"]
mod mariadb_server;
mod support;

use machine::Machine;
use mariadb_server::Mariadb;

#[test]
fn the_whole_way_to_mariadb() {
    let server = Mariadb::start();
    server.sql(
        "USE shop; CREATE TABLE orders (id int PRIMARY KEY, status varchar(20), email varchar(40));
         INSERT INTO orders SELECT seq, 'paid', concat('c', seq, '@example.com') FROM seq_1_to_40;
         CREATE USER minter@'%' IDENTIFIED BY 'very-secret'; GRANT CREATE USER ON *.* TO minter@'%'; GRANT SELECT ON mysql.user TO minter@'%';
         GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO minter@'%' WITH GRANT OPTION",
    );
    let machine = Machine::start();
    machine.furnish();
    assert!(machine.run(&["secret", "set", "maria"], "very-secret", None).status.success());
    let address = format!("mariadb://minter@{}/shop", server.socket().replace('/', "%2F"));
    let (ok, text) = machine.person(
        &[
            "target",
            "add",
            "maria",
            &address,
            "--minted",
            "--credential",
            "maria",
            "--label",
            "shop.orders.email=personal",
        ],
        "",
    );
    assert!(ok, "{text}");
    let scope = ["--may", "read shop.orders", "--may", "update shop.orders(status)", "--auto-reads"];
    let task = [&["task", "new", "Refund in MariaDB", "--agent", "robin", "--target", "maria"], &scope[..]].concat();
    let (ok, text) = machine.person(&task, "");
    assert!(ok, "{text}");
    let pass = machine.pass_of("maria");
    let agent = |arguments: &[&str], input: &str| machine.json(arguments, input, Some(&pass));

    let read = agent(
        &["propose", "--target", "maria", "--purpose", "look", "--wait", "20"],
        "SELECT id, status FROM orders WHERE id < 4",
    );
    assert_eq!(
        (read["status"].as_str(), read["result"]["rows"].as_array().map(Vec::len)),
        (Some("released"), Some(3)),
        "{read}"
    );
    let update = "UPDATE orders SET status = ? WHERE id <= ?";
    let values = ["--param", "text=refunded", "--param", "integer=5"];
    let proposal = agent(&[&["propose", "--target", "maria", "--purpose", "refund"], &values[..]].concat(), update);
    let malformed = ["check", "--target", "maria", "--param", "integer=five"];
    let refused = machine.run(&malformed, "SELECT ?", Some(&pass));
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && words.contains("parameter 1 is not integer"), "{words}");
    let id = proposal["proposal_id"].as_str().unwrap().to_owned();
    assert_eq!(proposal["status"], "pending", "{proposal}");
    let (ok, text) = machine.person(&["approve", &id], "");
    assert!(ok && text.contains("CHANGES 5 of 40") && text.contains("-- 1 text \"refunded\""), "{text}");
    let refunded = || server.sql("SELECT count(*) FROM shop.orders WHERE status = 'refunded'");
    assert_eq!(refunded(), "5");
    assert!(!machine.person(&["approve", &id], "").0, "a second run");

    // More rows than shown, and another schema than shown, are stale; nothing is changed.
    let propose = |sql: &str| {
        let proposal = agent(&["propose", "--target", "maria", "--purpose", "more"], sql);
        proposal["proposal_id"].as_str().unwrap_or_else(|| panic!("{proposal}")).to_owned()
    };
    let grown = propose("UPDATE orders SET status = 'late' WHERE id > 38");
    server.sql("INSERT INTO shop.orders VALUES (41, 'paid', 'x')");
    let (ok, text) = machine.person(&["approve", &grown], "");
    assert!(!ok && text.contains("stale"), "{text}");
    let drifted = propose("UPDATE orders SET status = 'late' WHERE id = 1");
    server.sql("ALTER TABLE shop.orders MODIFY status varchar(30)");
    let (ok, text) = machine.person(&["approve", &drifted], "");
    assert!(!ok && text.contains("is now column status varchar(30)"), "{text}");
    assert_eq!(server.sql("SELECT count(*) FROM shop.orders WHERE status = 'late'"), "0");

    let trick =
        machine.json(&["check", "--target", "maria"], "SELECT 1 /*M!100000 , load_file('/etc/passwd') */", Some(&pass));
    assert_eq!(trick["decision"], "deny", "{trick}");
    assert_eq!(server.sql("SELECT count(*) FROM mysql.user WHERE User LIKE 'wetink%'"), "0");
    let log = machine.run(&["audit", "search", "--json"], "", None);
    assert!(!String::from_utf8_lossy(&log.stdout).contains("very-secret"));
}
