//! Services of AWS: requests signed with a role's keys for one run, secrets of Secrets Manager, and signatures that stay where they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "browser_tools/mod.rs"]
#[allow(dead_code, reason = "no browser here")]
mod browser_tools;
mod machine;
mod script;
mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use machine::Machine;
use script::{Script, settled};
use serde_json::Value;

const TOKEN: &str = "sm-4eC39HqLyjWDarjtT1";
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::shop/*"}]}"#;

fn amazon(more: &[(&str, &str)]) -> Script {
    let environment = [&[("TOKEN", TOKEN)], more].concat();
    Script::start_python("lent/aws.py", &browser_tools::target().join("pypi-aws"), &environment)
}

impl Script {
    fn text(&self, name: &str) -> &str {
        self.first[name].as_str().unwrap()
    }
}

fn refer(machine: &Machine, name: &str, origin: &str, secret: &str, give: &str) {
    let file = machine.path("broker.toml");
    std::fs::write(&file, format!("origin = \"{origin}\"\nsecret = \"{secret}\"\n[give]\n{give}")).unwrap();
    let out = machine.run(&["secret", "refer", name, "--broker", file.to_str().unwrap()], "", None);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn set(machine: &Machine, name: &str, value: &str) {
    assert!(machine.run(&["secret", "set", name], value, None).status.success());
}

/// A target, and a task there that reads by itself. Answers robin's pass.
fn furnish(machine: &Machine, target: &str, origin: &str, more: &[&str]) -> String {
    let rules = ["--request", "GET /**", "--request", "PUT /**", "--request", "DELETE /**"];
    let add = [&["target", "add", target, origin][..], &rules[..], more].concat();
    let (fine, text) = machine.person(&add, "");
    assert!(fine, "{text}");
    let scope = ["--may", "call GET /**", "--may", "call PUT /**", "--may", "call DELETE /**", "--auto-reads"];
    let new = ["task", "new", "Look after the files", "--agent", "robin", "--target", target];
    let (fine, text) = machine.person(&[&new[..], &scope[..]].concat(), "");
    assert!(fine, "{text}");
    machine.pass_of(target)
}

fn propose(machine: &Machine, target: &str, text: &str, pass: &str) -> Value {
    machine.json(&["propose", "--target", target, "--purpose", "as asked"], text, Some(pass))
}

/// What a read brings.
fn read(machine: &Machine, target: &str, text: &str, pass: &str) -> Value {
    let asked = propose(machine, target, text, pass);
    machine.json(&["wait", asked["proposal_id"].as_str().unwrap()], "", Some(pass))
}

/// Approves what was asked, and answers what the person was told.
fn change(machine: &Machine, target: &str, text: &str, pass: &str) -> (bool, String) {
    let asked = propose(machine, target, text, pass);
    let id = asked["proposal_id"].as_str().unwrap_or_else(|| panic!("{asked}"));
    let arm = machine.json(&["show", id], "", None)["arm"].as_str().unwrap_or_default().to_owned();
    machine.person(&["approve", id], &format!("{arm}\n"))
}

#[test]
fn keys_of_a_role_serve_one_run() {
    let aws = amazon(&[]);
    let machine = Machine::start();
    machine.furnish();
    set(&machine, "wetink-user", &format!("{}\n{}", aws.text("id"), aws.text("secret")));
    let role = format!(
        "what = \"aws_role\"\nregion = \"eu-central-1\"\nrole_arn = \"{}\"\nexternal_id = \"acme/7\"\npolicy = '''{POLICY}'''\n",
        aws.text("role")
    );
    refer(&machine, "store", &aws.origin(), "wetink-user", &role);
    let pass = furnish(&machine, "store", &aws.origin(), &["--credential", "store", "--aws", "eu-central-1/s3"]);

    // The service signs what it got once more and compares, also where a path is written in more than one way.
    for path in ["/shop/a.txt", "/shop/two%20words%2Band%3D.txt", "/shop/%C3%A4/x~y%281%29"] {
        let text =
            format!("PUT {path}\ncontent-type: text/plain\nx-amz-meta-why: because   of it\n\nwritten to {path}");
        let (fine, told) = change(&machine, "store", &text, &pass);
        assert!(fine, "{path}: {told}");
        let got = read(&machine, "store", &format!("GET {path}"), &pass);
        assert_eq!(got["status"], "released", "{got}");
        assert!(got.to_string().contains(&format!("written to {path}")), "{got}");
    }
    let listed = read(&machine, "store", "GET /shop?prefix=two%20w&list-type=2&max-keys=5&delimiter=%2F", &pass);
    assert!(listed.to_string().contains("two words+and=.txt"), "{listed}");
    // Written in another way than the service signs it: said before anybody is asked.
    let told = machine.run(&["propose", "--target", "store", "--purpose", "x"], "GET /shop/b+c.txt", Some(&pass));
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("signs this path as `/shop/b%2Bc.txt`"), "{told}");
    // A person may sign more than the role allows.
    let (fine, told) = change(&machine, "store", "DELETE /shop/a.txt", &pass);
    assert!(fine, "{told}");
    settled("the service refuses", || aws.seen().iter().any(|one| one["method"] == "DELETE" && one["status"] == 403));

    let seen = aws.seen();
    let roles: Vec<_> = seen.iter().filter(|one| one["Action"] == "AssumeRole").collect();
    let mut sessions: Vec<_> = roles.iter().map(|one| one["RoleSessionName"].as_str().unwrap()).collect();
    sessions.retain(|name| *name != "look");
    assert_eq!(sessions.len(), 8, "one for each run");
    assert!(sessions.iter().all(|name| name.starts_with("r-") && name.ends_with(".Ada")), "{sessions:?}");
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 8);
    for one in roles {
        assert_eq!(
            (&one["Policy"], &one["ExternalId"], &one["DurationSeconds"]),
            (&POLICY.into(), &"acme/7".into(), &"900".into())
        );
    }
    let id = aws.text("id");
    let at_the_store = |one: &&Value| one["path"].as_str().unwrap().starts_with("/shop") && one["status"] != 403;
    assert!(seen.iter().filter(at_the_store).all(|one| !one["authorization"].as_str().unwrap().contains(id)));
    let log = machine.json(&["audit", "search"], "", None).to_string();
    assert!(!log.contains(aws.text("secret")), "{log}");

    // Refused: the person reads the service's word for it, and nothing that was sent; the agent neither.
    for (keys, text, why) in [
        (format!("{id}\nwrong-5Xq8RtzLm0vB7nPd"), "GET /shop/a.txt", "SignatureDoesNotMatch"),
        ("only one line, wrong-5Xq8".to_owned(), "GET /shop/a.txt?acl", "a line each"),
    ] {
        set(&machine, "wetink-user", &keys);
        let got = read(&machine, "store", text, &pass);
        assert_eq!(got["status"], "failed", "{got}");
        let shown = machine.json(&["show", got["proposal_id"].as_str().unwrap()], "", None).to_string();
        assert!(shown.contains(why), "{shown}");
        assert!(!(shown + &got.to_string()).contains("5Xq8"));
    }
}

/// A gateway that runs where its host vouches for it needs no keys that stay.
#[test]
fn a_web_identity_opens_a_role() {
    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ3ZXRpbmsifQ.c2lnbmF0dXJl";
    let aws = amazon(&[("UNSIGNED", "yes")]);
    let machine = Machine::start();
    machine.furnish();
    let file = machine.path("identity");
    std::fs::write(&file, format!("{JWT}\n")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(machine.run(&["secret", "refer", "identity", "--file", file.to_str().unwrap()], "", None).status.success());
    let role = format!(
        "what = \"aws_role\"\nregion = \"eu-central-1\"\nrole_arn = \"{}\"\nweb_identity = true\n",
        aws.text("role")
    );
    refer(&machine, "store", &aws.origin(), "identity", &role);
    let pass = furnish(&machine, "store", &aws.origin(), &["--credential", "store", "--aws", "eu-central-1/s3"]);
    let got = read(&machine, "store", "GET /shop?list-type=2", &pass);
    assert!(got.to_string().contains("ListBucketResult"), "{got}");
    let seen = aws.seen();
    let asked: Vec<_> = seen.iter().filter(|one| one["Action"] == "AssumeRoleWithWebIdentity").collect();
    assert!(!asked.is_empty() && asked.iter().all(|one| one["WebIdentityToken"] == JWT && one["authorization"] == ""));
}

/// Answers every request with what it saw of it.
fn echo() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{head}",
                head.len()
            );
            kept.lock().unwrap().push(head);
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    (origin, seen)
}

#[test]
fn a_secret_of_secrets_manager_goes_to_its_service() {
    let aws = amazon(&[]);
    let (origin, seen) = echo();
    let machine = Machine::start();
    machine.furnish();
    set(&machine, "wetink-user", &format!("{}\n{}\n", aws.text("id"), aws.text("secret")));
    let cases = [
        ("whole", "id = \"shop/token\"", true),
        ("member", "id = \"shop/db\"\nfield = \"password\"", true),
        ("number", "id = \"shop/db\"\nfield = \"port\"", false),
        ("none", "id = \"shop/other\"", false),
    ];
    for (name, give, fetched) in cases {
        refer(
            &machine,
            name,
            &aws.origin(),
            "wetink-user",
            &format!("what = \"aws_secret\"\nregion = \"eu-central-1\"\n{give}\n"),
        );
        let pass = furnish(&machine, name, &origin, &["--credential", name]);
        let asked = ["propose", "--json", "--target", name, "--purpose", "look"];
        let asked = machine.run(&asked, &format!("GET /{name}"), Some(&pass));
        if fetched {
            let id: Value = serde_json::from_slice(&asked.stdout).unwrap();
            let got = machine.json(&["wait", id["proposal_id"].as_str().unwrap()], "", Some(&pass));
            assert_eq!(got["status"], "released", "{got}");
            assert!(got.to_string().contains("[credential]") && !got.to_string().contains(TOKEN), "{got}");
            let line = format!("authorization: Bearer {TOKEN}");
            assert!(seen.lock().unwrap().iter().any(|head| head.contains(&line)), "{name}");
        } else {
            let told = String::from_utf8_lossy(&[asked.stdout, asked.stderr].concat()).into_owned();
            assert!(told.contains("unavailable") && !told.contains(TOKEN), "{told}");
        }
    }
    let log = machine.json(&["audit", "search"], "", None).to_string();
    assert!(!log.contains(TOKEN) && !log.contains(aws.text("secret")), "{log}");
}

#[test]
fn a_signature_does_not_come_back() {
    let (origin, seen) = echo();
    let machine = Machine::start();
    machine.furnish();
    let keys = ["AKIA3XQ7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "FwoGZXIvYXdzEJr//token"];
    set(&machine, "keys", &keys.join("\n"));
    let pass = furnish(&machine, "api", &origin, &["--credential", "keys", "--aws", "eu-central-1/execute-api"]);
    for n in 0..3 {
        let got = read(&machine, "api", &format!("GET /v1/{n}"), &pass).to_string();
        assert!(got.contains("released"), "{got}");
        let head = seen.lock().unwrap().last().unwrap().clone();
        let signature = head.split("Signature=").nth(1).unwrap().split(['\n', ',']).next().unwrap();
        assert_eq!(signature.len(), 64);
        assert!(got.contains("Signature=[credential]") && !got.contains(signature), "{got}");
        assert!(head.contains(keys[2]) && !head.contains(keys[1]) && !got.contains(keys[2]), "{got}");
    }
    // Who writes a request does not sign it.
    let before = seen.lock().unwrap().len();
    for header in ["x-amz-date: 20300101T000000Z", "x-amz-security-token: mine"] {
        let text = format!("PUT /v1/1\n{header}\n\nx");
        let told = machine.run(&["propose", "--target", "api", "--purpose", "x"], &text, Some(&pass));
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.contains("the gateway signs the request"), "{told}");
    }
    assert_eq!(seen.lock().unwrap().len(), before);
    let refused = |more: &[&str]| !machine.person(&[&["target", "add", "bad", &origin][..], more].concat(), "").0;
    for bad in [
        &["--aws", "eu-central-1"][..],
        &["--aws", "eu-central-1/s3"],
        &["--aws", "eu/s3", "--credential", "keys", "--credential-header", "x-key"],
        &["--aws", "EU/s3", "--credential", "keys"],
    ] {
        assert!(refused(&[&["--request", "GET /**"], bad].concat()), "{bad:?}");
    }
}
