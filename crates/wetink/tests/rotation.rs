//! A login's password is changed where it is used and where it is kept, or in neither.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
#[path = "../../execute/tests/mariadb_server/mod.rs"]
mod mariadb_server;
#[path = "../../execute/tests/support/mod.rs"]
mod pg;
mod support;

use std::path::Path;

use machine::{Asked, Machine, WETINK, ask, session, signed};

const FIRST: &str = "first-4eC39HqLyjWDarj";

/// A machine with one target, whose login has the first password.
fn furnish(machine: &Machine, address: &str) {
    machine.furnish();
    assert!(machine.run(&["secret", "set", "pw"], FIRST, None).status.success());
    let (ok, text) = machine.person(&["target", "add", "goods", address, "--credential", "pw"], "");
    assert!(ok, "{text}");
    let new = [
        "task",
        "new",
        "Look",
        "--agent",
        "robin",
        "--target",
        "goods",
        "--may",
        "read public.goods",
        "--may",
        "read shop.goods",
        "--auto-reads",
    ];
    assert!(machine.person(&new, "").0);
}

fn reads(machine: &Machine) -> bool {
    let asked = ["propose", "--json", "--target", "goods", "--purpose", "look"];
    let sql = format!("SELECT id FROM goods WHERE id = {}", artifact::Timestamp::now().as_millis() % 100_000);
    let out = machine.run(&asked, &sql, Some(&machine.pass_of("goods")));
    let told: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
    let Some(id) = told["proposal_id"].as_str() else { return false };
    machine.json(&["wait", id], "", Some(&machine.pass_of("goods")))["status"] == "released"
}

fn version(machine: &Machine) -> (u64, String) {
    let listed = machine.json(&["secret", "list"], "", None);
    let one = listed.as_array().unwrap().iter().find(|secret| secret["name"] == "pw").unwrap();
    (one["version"].as_u64().unwrap(), one["targets"].to_string())
}

fn rotate(machine: &Machine) -> (bool, String) {
    let out = machine.run(&["secret", "rotate", "goods"], "", None);
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

/// What holds at either server. `as_it_was` gives the login back its first password; `logged` is what the server wrote down.
fn changed_in_both_places(
    machine: &Machine,
    as_it_was: &dyn Fn(),
    opens: &dyn Fn(&str) -> bool,
    logged: &dyn Fn() -> String,
) {
    assert!(reads(machine) && opens(FIRST));
    assert_eq!(version(machine), (1, "[\"goods\"]".to_owned()));
    let (ok, text) = rotate(machine);
    assert!(ok, "{text}");
    assert!(!opens(FIRST) && reads(machine));
    assert_eq!(version(machine).0, 2);
    // Twice is another one.
    assert!(rotate(machine).0 && reads(machine));
    // Changed by somebody else: neither side has it, and nothing is lost.
    as_it_was();
    let (ok, text) = rotate(machine);
    assert!(!ok && !text.contains(FIRST), "{text}");
    assert_eq!(version(machine).0, 3);
    assert!(machine.run(&["secret", "set", "pw"], FIRST, None).status.success());
    assert!(reads(machine));
    assert!(rotate(machine).0 && reads(machine) && !opens(FIRST));
    // Nothing of a password stands in what the server wrote down, which has every statement.
    let log = logged();
    assert!(log.to_uppercase().contains("PASSWORD") && !log.contains(FIRST), "{}", log.len());
    assert!(!machine.run(&["secret", "rotate", "shop"], "", None).status.success(), "a file has no password");
    let listed = machine.run(&["secret", "list", "--older-than", "0"], "", None);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(!listed.status.success() && text.contains("pw"), "{text}");
    assert!(machine.run(&["secret", "list", "--older-than", "30"], "", None).status.success());
}

#[test]
fn a_postgresql_password_is_changed_in_both_places() {
    let server = pg::Server::start_with("-c log_statement=all");
    server.sql(&format!(
        "CREATE TABLE goods (id int PRIMARY KEY, n int); CREATE ROLE app LOGIN PASSWORD '{FIRST}'; GRANT SELECT ON goods TO app; GRANT USAGE ON SCHEMA public TO app"
    ));
    server.let_in("local all boss trust\nlocal all all scram-sha-256\n");
    std::fs::write(Path::new(&server.socket()).join("log"), "").unwrap();
    let machine = Machine::start();
    furnish(&machine, &format!("postgres://app@{}/postgres", server.socket().replace('/', "%2F")));
    let opens = |password: &str| {
        let mut psql = std::process::Command::new("psql");
        psql.args(["-X", "-U", "app", "-d", "postgres", "-h", &server.socket(), "-c", "SELECT 1"]);
        psql.env("PGPASSWORD", password).output().unwrap().status.success()
    };
    // The other way in, so that the log has no password by it.
    let verifier = server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'");
    let as_it_was = || drop(server.sql(&format!("ALTER ROLE app PASSWORD '{verifier}'")));
    let logged = || std::fs::read_to_string(Path::new(&server.socket()).join("log")).unwrap();
    changed_in_both_places(&machine, &as_it_was, &opens, &logged);
}

#[test]
fn a_killed_guard_loses_no_password() {
    let server = pg::Server::start();
    server.sql(&format!(
        "CREATE TABLE goods (id int PRIMARY KEY, n int); CREATE ROLE app LOGIN PASSWORD '{FIRST}'; GRANT SELECT ON goods TO app; GRANT USAGE ON SCHEMA public TO app"
    ));
    server.let_in("local all boss trust\nlocal all all scram-sha-256\n");
    let mut machine = Machine::start();
    furnish(&machine, &format!("postgres://app@{}/postgres", server.socket().replace('/', "%2F")));
    for pause in [0, 4, 8, 12, 16, 20, 25, 30, 40, 60] {
        std::thread::scope(|scope| {
            let rotating = scope.spawn(|| rotate(&machine));
            std::thread::sleep(std::time::Duration::from_millis(pause));
            machine.kill("guard");
            let _ = rotating.join();
        });
        machine = Machine::start_in(machine.killed(), WETINK);
        // Whatever was cut where: asking once more ends with one password in both places.
        let (ok, text) = rotate(&machine);
        assert!(ok && reads(&machine), "{pause}: {text}");
    }
}

#[test]
fn a_mariadb_password_is_changed_in_both_places() {
    let server = mariadb_server::Mariadb::start();
    server.sql(&format!(
        "USE shop; CREATE TABLE goods (id int PRIMARY KEY, n int); CREATE USER app@'%' IDENTIFIED BY '{FIRST}'; GRANT SELECT ON shop.goods TO app@'%'"
    ));
    let machine = Machine::start();
    furnish(&machine, &format!("mariadb://app@{}/shop", server.socket().replace('/', "%2F")));
    server.sql("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = ON");
    let opens = |password: &str| {
        let mut client = std::process::Command::new("mariadb");
        client.args(["--no-defaults", "-u", "app", "-S", &server.socket(), &format!("-p{password}"), "-e", "SELECT 1"]);
        client.output().unwrap().status.success()
    };
    let as_it_was = || {
        server.sql(&format!(
            "SET GLOBAL general_log = OFF; ALTER USER app@'%' IDENTIFIED BY '{FIRST}'; SET GLOBAL general_log = ON"
        ));
    };
    let logged = || server.sql("SELECT argument FROM mysql.general_log");
    changed_in_both_places(&machine, &as_it_was, &opens, &logged);
}

/// A credential that is due is changed without anybody asking; one that cannot be is told.
#[test]
fn what_is_due_is_changed_or_told() {
    let server = pg::Server::start();
    server.sql(&format!(
        "CREATE TABLE goods (id int PRIMARY KEY, n int); CREATE ROLE app LOGIN PASSWORD '{FIRST}'; GRANT SELECT ON goods TO app; GRANT USAGE ON SCHEMA public TO app"
    ));
    server.let_in("local all boss trust\nlocal all all scram-sha-256\n");
    let machine = Machine::start();
    furnish(&machine, &format!("postgres://app@{}/postgres", server.socket().replace('/', "%2F")));
    assert_eq!(version(&machine).0, 1);
    // Registered anew: due after three seconds; and a service whose token nobody here can change.
    let registered = machine.json(&["target", "list"], "", None);
    let goods = registered.as_array().unwrap().iter().find(|t| t["registration"]["name"] == "goods").unwrap();
    let mut registration: wire::target::Registration = serde_json::from_value(goods["registration"].clone()).unwrap();
    registration.rotate_after_s = Some(3);
    grant(&machine, &registration);
    registration.name = "service".into();
    registration.credential = Some("token".into());
    registration.rotate_after_s = Some(3);
    registration.address = wire::target::Address::Http {
        origin: "https://api.example".into(),
        requests: vec!["GET /**".into()],
        credential_header: Some("authorization".into()),
        credential_prefix: "Bearer ".into(),
        private: false,
        ca_file: None,
        openapi: None,
        aws: None,
    };
    registration.run_as = "the gateway".into();
    assert!(machine.run(&["secret", "set", "token"], "tok-4eC39HqLyjWDarj", None).status.success());
    grant(&machine, &registration);
    // It looks at ages when it starts, and then as often as what is registered asks for.
    let machine = Machine::start_in(machine.killed(), WETINK);
    let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
    let told = || String::from_utf8_lossy(&machine.run(&["alerts", "--json"], "", None).stdout).into_owned();
    let changed = || machine.run(&["secret", "list", "--json"], "", None).stdout;
    let machine_told = loop {
        let (alerts, secrets) = (told(), String::from_utf8_lossy(&changed()).into_owned());
        if alerts.contains("secret_overdue") && secrets.contains("\"name\":\"pw\"") && version(&machine).0 >= 2 {
            break alerts;
        }
        assert!(std::time::Instant::now() < until, "{alerts} {secrets}");
        std::thread::sleep(std::time::Duration::from_millis(500));
    };
    assert!(machine_told.contains("service") && machine_told.contains("token"), "{machine_told}");
    // The service's is told once, the login's is not told.
    assert_eq!(machine_told.matches("\"secret_overdue\"").count(), 1, "{machine_told}");
    // The server has another password, too.
    let mut psql = std::process::Command::new("psql");
    psql.args(["-X", "-U", "app", "-d", "postgres", "-h", &server.socket(), "-c", "SELECT 1"]);
    assert!(!psql.env("PGPASSWORD", FIRST).output().unwrap().status.success());
}

/// Registers a target as a page would.
fn grant(machine: &Machine, registration: &wire::target::Registration) {
    let key = machine.path("key");
    let token = session(machine, &key);
    let headers = [("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {token}"))];
    let post = |path: &str, body: &str| {
        let (status, _, body) = ask(&Asked { base: &machine.people, method: "POST", path, headers: &headers, body });
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    let asked = serde_json::json!({ "grant": "target", "registration": registration }).to_string();
    let proposed = post("/api/v1/grant-statement", &asked);
    let statement = proposed["statement"].as_str().unwrap();
    let armored = signed(&key, approve::NAMESPACE, statement);
    let claim = serde_json::json!({ "statement": statement, "signatures": [{ "type": "ssh", "armored": armored }] });
    post("/api/v1/grants", &serde_json::json!({ "claim": claim, "attachment": proposed["attachment"] }).to_string());
}
