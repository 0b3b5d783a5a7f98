//! Credentials from servers that give them: logins lent for one run and taken back whatever is killed, and access tokens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "browser_tools/mod.rs"]
#[allow(dead_code, reason = "no browser here")]
mod browser_tools;
mod machine;
#[path = "../../execute/tests/support/mod.rs"]
mod pg;
mod script;
mod support;

use std::process::Command;
use std::time::Duration;

use machine::{Machine, WETINK};
use script::{Script, settled};
use serde_json::Value;

const LENT: &str = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-approle-%'";

fn goods() -> pg::Server {
    let server = pg::Server::start();
    server.sql("CREATE TABLE goods (id int PRIMARY KEY, n int NOT NULL); INSERT INTO goods SELECT i, 0 FROM generate_series(1, 10) i");
    server.let_in("local all boss trust\nlocal all all scram-sha-256\n");
    server
}

fn openbao(server: &pg::Server, more: &[(&str, &str)]) -> Script {
    let socket = server.socket();
    let mut environment = vec![
        ("PSQL", "psql"),
        ("PG_SOCKET", socket.as_str()),
        ("ROOT_TOKEN", "s.root-4eC39HqLyjWDarj"),
        ("ROLE_ID", "role-7"),
        ("SECRET_ID", "secret-id-8fK20PqMzkXEbsk"),
        ("LEASE_S", "600"),
    ];
    environment.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    environment.extend(more);
    Script::start("lent/openbao.mjs", &environment)
}

/// A machine with a server of credentials, a target that borrows from it, and a task there. Answers robin's pass.
fn furnish(machine: &Machine, bao: &Script, server: &pg::Server, role_id: Option<&str>) -> String {
    machine.furnish();
    let secret = if role_id.is_some() { "secret-id-8fK20PqMzkXEbsk" } else { "s.root-4eC39HqLyjWDarj" };
    assert!(machine.run(&["secret", "set", "bao"], secret, None).status.success());
    let role_id = role_id.map(|id| format!("role_id = \"{id}\"\n")).unwrap_or_default();
    let give = format!("what = \"openbao_database\"\nmount = \"database\"\nrole = \"shop\"\n{role_id}");
    refer(machine, "goods", &bao.origin(), "bao", &give);
    let address = format!("postgres://database%2Fshop@{}/postgres", server.socket().replace('/', "%2F"));
    let (ok, text) = machine.person(&["target", "add", "goods", &address, "--leased", "--credential", "goods"], "");
    assert!(ok, "{text}");
    let scope = ["--may", "read public.goods", "--may", "update public.goods(n)", "--auto-reads"];
    let new = ["task", "new", "Set n", "--agent", "robin", "--target", "goods"];
    let (ok, text) = machine.person(&[&new[..], &scope[..]].concat(), "");
    assert!(ok, "{text}");
    machine.pass_of("goods")
}

fn refer(machine: &Machine, name: &str, origin: &str, secret: &str, give: &str) {
    let file = machine.path("broker.toml");
    std::fs::write(&file, format!("origin = \"{origin}\"\nsecret = \"{secret}\"\n[give]\n{give}")).unwrap();
    let out = machine.run(&["secret", "refer", name, "--broker", file.to_str().unwrap()], "", None);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn propose(machine: &Machine, target: &str, artifact: &str, pass: &str) -> Value {
    let out = machine.run(&["propose", "--json", "--target", target, "--purpose", "as asked"], artifact, Some(pass));
    serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)))
}

fn log(machine: &Machine) -> String {
    machine.json(&["audit", "search"], "", None).to_string()
}

/// Nothing lent, and nothing written down as lent.
fn all_is_back(machine: &Machine, server: &pg::Server) {
    settled("a login stays", || server.sql(LENT) == "0");
    let folder = machine.path("home/guard/lent");
    settled("a lease stays written down", || std::fs::read_dir(&folder).unwrap().count() == 0);
}

#[test]
fn a_login_is_lent_for_one_run_and_taken_back() {
    let server = goods();
    for role_id in [Some("role-7"), None] {
        let bao = openbao(&server, &[]);
        let machine = Machine::start();
        let pass = furnish(&machine, &bao, &server, role_id);
        let id = propose(&machine, "goods", "UPDATE goods SET n = n + 1 WHERE id = 3", &pass);
        let (ok, text) = machine.person(&["approve", id["proposal_id"].as_str().unwrap()], "public.goods\n");
        assert!(ok, "{text}");
        // Whose rights these are is told: the lease's, which may be wider than the effect.
        assert!(text.contains("login_rights"), "{text}");
        all_is_back(&machine, &server);
        settled("the schema and the run", || bao.asked("/creds/shop") >= 2);
        let read = propose(&machine, "goods", "SELECT id FROM goods WHERE n > 0", &pass);
        let read = machine.json(&["wait", read["proposal_id"].as_str().unwrap()], "", Some(&pass));
        assert_eq!(read["status"], "released", "{read}");
        all_is_back(&machine, &server);
        settled("each is taken back", || bao.asked("/creds/shop") == bao.asked("/sys/leases/revoke"));
        // The log names the lease, so that both logs can be laid side by side, and nothing that opens anything.
        let log = log(&machine);
        assert!(log.contains("database/creds/shop/") && !log.contains("s.root") && !log.contains("secret-id"), "{log}");
    }
    assert_eq!(server.sql("SELECT n FROM goods WHERE id = 3"), "2");
}

#[test]
fn what_was_lent_is_taken_back_whatever_is_killed() {
    let server = goods();
    // Not every policy lets a lease be revoked by its id.
    let bao = openbao(&server, &[("DENY", "sys/leases/revoke")]);
    let mut machine = Machine::start();
    let mut pass = furnish(&machine, &bao, &server, Some("role-7"));
    for round in 0..12_u64 {
        let lent = server.sql(LENT);
        assert_eq!(lent, "0");
        let before = bao.asked("/creds/shop");
        server.sql("ALTER TABLE goods ADD COLUMN IF NOT EXISTS waste text");
        // A lock at the server holds the run, and the lease with it.
        let holder = std::thread::spawn({
            let socket = server.socket();
            move || {
                let sql = "BEGIN; LOCK goods; SELECT pg_sleep(1.5); COMMIT";
                let held = Command::new("psql")
                    .args(["-X", "-q", "-U", "boss", "-d", "postgres", "-h", &socket, "-c", sql])
                    .output();
                assert!(held.is_ok());
            }
        });
        std::thread::sleep(Duration::from_millis(200));
        let asked = ["propose", "--target", "goods", "--purpose", "look"];
        let out = machine.run(&asked, "SELECT id FROM goods", Some(&pass));
        assert!(out.status.code().is_some(), "{out:?}");
        settled("nothing was lent", || bao.asked("/creds/shop") > before);
        std::thread::sleep(Duration::from_millis(round * 10));
        match round % 3 {
            // The child that holds the lease, the guard with all its children at once, the whole gateway by its supervisor.
            0 => machine.kill("broker"),
            1 => {
                machine.kill("guard");
                machine = Machine::start_in(machine.killed(), WETINK);
                pass = machine.pass_of("goods");
            }
            _ => {
                machine.kill("broker");
                machine = Machine::start_in(machine.killed(), WETINK);
                pass = machine.pass_of("goods");
            }
        }
        holder.join().unwrap();
        all_is_back(&machine, &server);
    }
}

#[test]
fn a_lease_lasts_as_long_as_its_run_and_errors_tell_nothing() {
    let server = goods();
    let bao = openbao(&server, &[("LEASE_S", "2")]);
    let machine = Machine::start();
    let pass = furnish(&machine, &bao, &server, Some("role-7"));
    let slow = propose(
        &machine,
        "goods",
        "SELECT count(*) FROM goods a, goods b, goods c, goods d, goods e, goods f, goods g, generate_series(1, 40)",
        &pass,
    );
    let (ok, text) = machine.person(&["approve", slow["proposal_id"].as_str().unwrap()], "public.goods\n");
    assert!(ok, "{text}");
    settled("it is renewed", || bao.asked("/sys/leases/renew") >= 2);
    all_is_back(&machine, &server);

    server.sql("CREATE ROLE app LOGIN PASSWORD 'kv-4eC39HqLyjWDarj'");
    // A field of the key-value store; what is not there, or opens nothing, is told without a value.
    let cases =
        [("value", "bao", true), ("number", "bao", false), ("value", "wrong", false), ("value", "goods", false)];
    for (n, (field, secret, works)) in cases.into_iter().enumerate() {
        assert!(machine.run(&["secret", "set", "wrong"], "not-the-secret-id-9Xy", None).status.success());
        let give = format!(
            "what = \"openbao_kv\"\nmount = \"secret\"\npath = \"shop/token\"\nfield = \"{field}\"\nrole_id = \"role-7\"\n"
        );
        refer(&machine, "kv", &bao.origin(), secret, &give);
        let address = format!("postgres://app@{}/postgres", server.socket().replace('/', "%2F"));
        let (target, n) = (format!("kv-{n}"), n.to_string());
        assert!(machine.person(&["target", "add", &target, &address, "--credential", "kv"], "").0);
        let new = ["task", "new", "Look", "--agent", "robin", "--target", &target, "--may", "read public.goods"];
        assert!(machine.person(&new, "").0);
        let asked = ["propose", "--target", &target, "--purpose", "look"];
        let shown =
            machine.run(&asked, &format!("SELECT id FROM goods WHERE id = {n}"), Some(&machine.pass_of(&target)));
        let told = String::from_utf8_lossy(&[shown.stdout, shown.stderr].concat()).into_owned() + &log(&machine);
        assert_eq!(told.contains("unavailable"), !works, "{field} {secret}: {told}");
        assert!(!told.contains("9Xy") && !told.contains("4eC39") && !told.contains("8fK20"), "{told}");
    }

    // What is no server, or leads elsewhere, is not stored.
    for text in [
        "origin = \"http://bao.example\"\nsecret = \"bao\"\n",
        "origin = \"https://bao.example/x\"\nsecret = \"bao\"\n",
        "what = 1",
    ] {
        let file = machine.path("broker.toml");
        std::fs::write(
            &file,
            format!("{text}[give]\nwhat = \"openbao_kv\"\nmount = \"secret\"\npath = \"a\"\nfield = \"b\"\n"),
        )
        .unwrap();
        assert!(!machine.run(&["secret", "refer", "x", "--broker", file.to_str().unwrap()], "", None).status.success());
    }
}

#[test]
fn access_tokens_come_from_an_authorization_server() {
    let server = Script::start("lent/authorization.mjs", &[]);
    let machine = Machine::start();
    machine.furnish();
    let text = |name: &str| server.first[name].as_str().unwrap().to_owned();
    for (name, secret) in
        [("client", "a secret & more: +%".to_owned()), ("refresh", text("refresh")), ("subject", text("subject"))]
    {
        assert!(machine.run(&["secret", "set", name], &secret, None).status.success());
    }
    let by = |what: &str, more: &str| format!("what = \"oauth\"\npath = \"/token\"\n{more}\ngrant = {{ {what} }}\n");
    let exchange = "type = \"token_exchange\", subject_token_type = \"urn:ietf:params:oauth:token-type:access_token\", audience = \"orders\"";
    let cases = [
        (
            "own",
            "client",
            by("type = \"client_credentials\"", "client_id = \"gate way\"\nscope = \"orders\""),
            "gate way",
        ),
        ("adas", "refresh", by("type = \"refresh_token\"", "client_id = \"for-ada\""), "for-ada"),
        ("changed", "subject", by(exchange, "client_id = \"changer\""), "changer"),
    ];
    for (name, secret, give, client) in &cases {
        refer(&machine, name, &server.origin(), secret, give);
        let add = ["target", "add", name, &server.origin(), "--credential", name, "--request", "GET /v1/**"];
        let (ok, told) = machine.person(&add, "");
        assert!(ok, "{told}");
        let new =
            ["task", "new", "Look", "--agent", "robin", "--target", name, "--may", "call GET /v1/**", "--auto-reads"];
        assert!(machine.person(&new, "").0);
        let pass = machine.pass_of(name);
        // Twice: a refresh token serves once, and its successor the next time.
        for n in 0..2 {
            let read = propose(&machine, name, &format!("GET /v1/orders/{n}"), &pass);
            let read = machine.json(&["wait", read["proposal_id"].as_str().unwrap()], "", Some(&pass));
            assert_eq!(read["status"], "released", "{name}: {read}");
        }
        let took = || server.seen().iter().filter(|one| one["client"] == *client).count() >= 2;
        settled(name, took);
    }
    settled("a person's token", || server.seen().iter().filter(|one| one["account"] == "ada").count() >= 2);

    // A refresh token that lies elsewhere is not used up there.
    let file = machine.path("refresh-token");
    std::fs::write(&file, "a-refresh-token-5Kw").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(machine.run(&["secret", "refer", "refresh", "--file", file.to_str().unwrap()], "", None).status.success());
    let asked = ["propose", "--json", "--target", "adas", "--purpose", "look"];
    let out = machine.run(&asked, "GET /v1/orders/7", Some(&machine.pass_of("adas")));
    assert!(String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).contains("unavailable"));

    // Refused: the reason is a word of the standard's, and nothing that was sent.
    assert!(machine.run(&["secret", "set", "subject"], "a-token-that-is-none-7Hq", None).status.success());
    let pass = machine.pass_of("changed");
    let out = machine.run(
        &["propose", "--json", "--target", "changed", "--purpose", "look"],
        "GET /v1/orders/9",
        Some(&pass),
    );
    let told = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(!told.contains("7Hq"), "{told}");
    let log = log(&machine);
    assert!(!log.contains("7Hq") && !log.contains(&text("refresh")), "{log}");
    for one in &server.seen() {
        assert!(!log.contains(one["token"].as_str().unwrap()));
    }
}
