//! A desk that lies. Threat T12/T13: whatever it says on the socket, the guard runs nothing that a person did not sign.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::type_complexity, missing_docs)]

mod support;

use approve::Nonce;
use approve::statement::{Approval, GrantKey, Resume};
use artifact::claim::{Signature, Signed};
use artifact::effect::{Rows, Verb};
use artifact::{Digest, Effect, Kind, ProposalId, RunId, TaskId, Timestamp};
use support::{Scene, is_refused, mark, update};
use wire::socket::{Answer, NewEntry, Outcome, Proposed, Refused, Request};

/// Attempts and how many were accepted.
struct Hostile<'a> {
    scene: &'a Scene,
    before: (i64, i64, i64),
    attempts: u64,
    accepted: Vec<String>,
}

impl Hostile<'_> {
    /// A request that must change nothing and come back as a refusal, or as a run that did not happen.
    fn attempt(&mut self, what: &str, request: &Request) {
        self.attempts += 1;
        let answer = self.scene.guard.ask(request);
        let refused = matches!(answer, Answer::Refused { .. } | Answer::Ran { outcome: Outcome::Failed { .. }, .. });
        if !refused || self.scene.state() != self.before {
            self.accepted.push(format!("{what}: {answer:?}"));
        }
    }

    fn run(&mut self, what: &str, claim: Signed, proposed: &Proposed) {
        self.attempt(what, &Request::Run { claim, proposed: proposed.clone() });
    }
}

fn approved(scene: &Scene) -> (Proposed, Approval, Signed) {
    let (sql, effect) = update("id < 3");
    let proposed = scene.proposed(&sql, effect);
    let approval = scene.approval(&proposed, 3);
    let claim = scene.ada.sign(&approval.to_text().unwrap());
    (proposed, approval, claim)
}

#[test]
fn an_honest_desk_is_served_once() {
    let scene = Scene::new();
    let (proposed, _, claim) = approved(&scene);
    let request = Request::Run { claim, proposed };
    let answer = scene.guard.ask(&request);
    assert!(matches!(answer, Answer::Ran { outcome: Outcome::Held { affected: 3, .. }, .. }), "{answer:?}");
    assert_eq!(scene.state(), (0, 3, 10));
    // The same approval again: spent.
    assert!(is_refused(&scene.guard.ask(&request), Refused::AlreadySpent));
    assert_eq!(scene.state(), (0, 3, 10));
}

#[test]
fn a_ceiling_rolls_back() {
    let scene = Scene::new();
    let (sql, effect) = update("id < 5");
    let proposed = scene.proposed(&sql, effect);
    let claim = scene.ada.sign(&scene.approval(&proposed, 4).to_text().unwrap());
    let answer = scene.guard.ask(&Request::Run { claim, proposed });
    assert!(
        matches!(
            answer,
            Answer::Ran { outcome: Outcome::Failed { code: wire::order::FailCode::CeilingExceeded, .. }, .. }
        ),
        "{answer:?}"
    );
    assert_eq!(scene.state(), (0, 0, 10));
}

/// Prints `attempts` and `accepted`.
#[test]
fn a_hostile_desk_gets_nothing() {
    let scene = Scene::new();
    let mut hostile = Hostile { before: scene.state(), scene: &scene, attempts: 0, accepted: vec![] };
    let (proposed, approval, claim) = approved(&scene);
    let mallory = testkit::SoftKey::new(66);

    // Another artifact, effect, target, kind, proposal or revision than the signed ones.
    let other = |change: &dyn Fn(&mut Proposed)| {
        let mut changed = proposed.clone();
        change(&mut changed);
        changed
    };
    let changes: [(&str, &dyn Fn(&mut Proposed)); 9] = [
        ("another artifact", &|p| p.artifact = "DELETE FROM rows".into()),
        ("a byte more", &|p| p.artifact.push(' ')),
        ("a wider effect", &|p| p.effect.relations[0].verbs.push(Verb::Delete)),
        ("another count", &|p| {
            p.effect.rows = Some(Rows { grade: artifact::effect::Grade::Counted, count: 3, of: None });
        }),
        ("another target", &|p| p.target = "other".into()),
        ("another kind", &|p| p.kind = Kind::SqlPostgresql),
        ("another proposal", &|p| p.proposal = ProposalId::random()),
        ("another revision", &|p| p.revision = 2),
        ("an effect in another spelling", &|p| p.effect.relations[0].verbs.reverse()),
    ];
    for (what, change) in changes {
        hostile.run(what, claim.clone(), &other(change));
    }

    // Every single bit of the signed statement.
    let text = claim.statement.clone().into_bytes();
    for bit in 0..text.len() * 8 {
        let mut changed = text.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(statement) = String::from_utf8(changed) {
            let claim = Signed { statement, batch: None, signatures: claim.signatures.clone() };
            hostile.run(&format!("bit {bit} of the statement"), claim, &proposed);
        }
    }

    // Signatures: none, too many, by a stranger, for another purpose, of another text, cut, doubled.
    let Signature::Ssh { armored } = &claim.signatures[0] else { panic!("ssh") };
    let with = |signatures: Vec<Signature>| Signed { statement: claim.statement.clone(), batch: None, signatures };
    let ssh = |armored: &str| Signature::Ssh { armored: armored.to_owned() };
    hostile.run("no signature", with(vec![]), &proposed);
    hostile.run("eleven signatures", with(vec![claim.signatures[0].clone(); 11]), &proposed);
    hostile.run("a stranger's signature", mallory.sign(&claim.statement), &proposed);
    hostile.run(
        "one good, one stranger's",
        with(vec![claim.signatures[0].clone(), mallory.sign(&claim.statement).signatures[0].clone()]),
        &proposed,
    );
    hostile.run("a sign-in signature", scene.ada.sign_as("wetink-login@v1", &claim.statement), &proposed);
    hostile.run("a git signature", scene.ada.sign_as("git", &claim.statement), &proposed);
    hostile.run("a signature of other text", with(scene.ada.sign("hello").signatures), &proposed);
    hostile.run("a cut signature", with(vec![ssh(&armored[..armored.len() / 2])]), &proposed);
    hostile.run("an empty signature", with(vec![ssh("")]), &proposed);
    let passkey = Signature::Passkey {
        credential: "AA".into(),
        authenticator_data: "AA".into(),
        client_data: "e30".into(),
        signature: "AA".into(),
    };
    hostile.run("an invented passkey", with(vec![passkey]), &proposed);

    // Statements that a person did sign, about something else.
    let resigned = |change: &dyn Fn(&mut Approval)| {
        let mut changed = approval.clone();
        change(&mut changed);
        scene.ada.sign(&changed.to_text().unwrap())
    };
    let fields: [(&str, &dyn Fn(&mut Approval)); 10] = [
        ("signed for another gateway", &|a| a.gateway = Digest::of(b"elsewhere")),
        ("signed for another target", &|a| a.target_name = "other".into()),
        ("signed for an older registration", &|a| a.target_fingerprint = Digest::of(b"older")),
        ("signed for another role", &|a| a.run_as = "postgres".into()),
        ("signed under another policy", &|a| a.policy = Digest::of(b"older")),
        ("signed another artifact", &|a| a.artifact = Digest::of(b"x")),
        ("signed another effect", &|a| a.effect = Digest::of(b"x")),
        ("signed too late", &|a| a.not_after = Timestamp::from_millis(1)),
        ("signed for too long", &|a| a.not_after = Timestamp::now().plus_seconds(90_000)),
        ("signed another kind", &|a| a.kind = Kind::SqlPostgresql),
    ];
    for (what, change) in fields {
        hostile.run(what, resigned(change), &proposed);
    }
    // A smaller ceiling than what would change: runs into the roll-back.
    hostile.run("a smaller ceiling", resigned(&|a| a.ceiling_rows = 2), &proposed);

    // A grant statement is no approval, an approval is no grant.
    let grant = GrantKey {
        gateway: scene.gateway,
        person: "Mallory".into(),
        key: mallory.line(),
        roles: "admin,reviewer".into(),
        nonce: Nonce::random(),
        not_after: Scene::soon(),
    };
    let grant_text = grant.to_text().unwrap();
    hostile.run("a grant as approval", scene.ada.sign(&grant_text), &proposed);
    hostile.attempt("an approval as grant", &Request::Grant { claim: claim.clone(), attachment: None });
    hostile.attempt("a stranger grants a key", &Request::Grant { claim: mallory.sign(&grant_text), attachment: None });
    hostile.attempt(
        "nobody grants a key",
        &Request::Grant { claim: Signed { statement: grant_text, batch: None, signatures: vec![] }, attachment: None },
    );
    let enroll =
        |token: &str| Request::EnrollFirst { token: token.into(), person: "Mallory".into(), key: mallory.line() };
    hostile.attempt("a guessed enrollment", &enroll("wte_guess"));
    hostile.attempt("a second enrollment", &enroll(scene.guard.enrollment.as_deref().unwrap()));
    let resume =
        Resume { gateway: scene.gateway, scope: "all".into(), nonce: Nonce::random(), not_after: Scene::soon() };
    hostile.attempt(
        "a stranger resumes",
        &Request::Grant { claim: mallory.sign(&resume.to_text().unwrap()), attachment: None },
    );

    // Runs under the task that the scope does not cover: writes, other relations, functions, other tasks, foreign tasks.
    let under =
        |sql: &str, effect: Effect, task: TaskId| Request::RunUnderTask { task, proposed: scene.proposed(sql, effect) };
    let (sql, writes) = update("id = 1");
    hostile.attempt("a write under the task", &under(&sql, writes, scene.task));
    let (sql, marks) = mark(1);
    hostile.attempt("another relation under the task", &under(&sql, marks, scene.task));
    let mut reads = update("1").1;
    reads.relations[0].verbs = vec![Verb::Read];
    reads.relations[0].writes.clear();
    reads.verb = Verb::Read;
    hostile.attempt("a write that claims to read", &under("UPDATE rows SET n = 9", reads.clone(), scene.task));
    hostile.attempt("a delete that claims to read", &under("DELETE FROM rows", reads.clone(), scene.task));
    hostile.attempt("two statements", &under("SELECT n FROM rows; DELETE FROM rows", reads.clone(), scene.task));
    hostile.attempt("a pragma", &under("PRAGMA writable_schema = 1", reads.clone(), scene.task));
    hostile.attempt("an attach", &under("ATTACH '/srv/x' AS x", reads.clone(), scene.task));
    hostile.attempt("another table than claimed", &under("SELECT k FROM marks", reads.clone(), scene.task));
    let mut calls = reads.clone();
    calls.functions = vec!["load_extension".into()];
    hostile.attempt("a function outside the scope", &under("SELECT load_extension('x') FROM rows", calls, scene.task));
    hostile.attempt("an unknown task", &under("SELECT n FROM rows", reads.clone(), TaskId::random()));
    let mut defines = Effect::empty();
    defines.verb = Verb::Define;
    hostile.attempt("a definition under the task", &under("DROP TABLE rows", defines.clone(), scene.task));
    let signed_task = scene.open_task(false);
    hostile.attempt("a task that asks for signatures", &under("SELECT n FROM rows", reads, signed_task));

    // What the task never allows, with a good signature; a desk that is not honest would not say so.
    let strict = scene.open_task_that_never(true, &["update main.rows(n)"]);
    hostile.run("what its task never allows", resigned(&|a| a.task = strict), &proposed);

    // Trials that are not for trials.
    hostile.attempt(
        "a trial of a definition",
        &Request::Preview { proposed: scene.proposed("DROP TABLE rows", defines), sample: true, task: scene.task },
    );
    let (_, effect) = update("1");
    hostile.attempt(
        "a trial of something else",
        &Request::Preview {
            proposed: scene.proposed("DELETE FROM rows", effect.clone()),
            sample: true,
            task: scene.task,
        },
    );
    hostile.attempt(
        "a trial that commits",
        &Request::Preview {
            proposed: scene.proposed("UPDATE rows SET n = 5; COMMIT", effect),
            sample: true,
            task: scene.task,
        },
    );

    // Results and releases of runs that are not there; the operator's verbs; entries in the guard's name.
    hostile.attempt("a peek at nothing", &Request::Peek { run: RunId::random(), person: "Ada".into() });
    hostile.attempt("an invented release", &Request::Release { claim: claim.clone() });
    let source = "{\"from\":\"variable\",\"name\":\"PATH\"}".into();
    hostile.attempt("a secret's place by the desk", &Request::ReferSecret { name: "x".into(), source });
    hostile.attempt(
        "a secret by the desk",
        &Request::StoreSecret { name: "x".into(), value: wire::socket::SecretText("y".into()) },
    );
    hostile.attempt("an export by the desk", &Request::Export { folder: "/srv/never".into() });
    for (domain, event) in [
        ("guard", "proposed"),
        ("desk", "started"),
        ("desk", "settled"),
        ("desk", "released"),
        ("desk", "key_granted"),
        ("desk", "policy_set"),
        ("desk", "stopped"),
    ] {
        let entry = serde_json::json!({ "v": 1, "at": "2026-11-20T00:00:00.000Z", "domain": domain, "event": event, "actor": { "role": "guard", "name": "guard" } });
        hostile.attempt(
            &format!("an entry {domain}/{event}"),
            &Request::Append { entries: vec![NewEntry { entry, contents: vec![] }] },
        );
    }

    // The honest one still works, so the refusals above were not a broken guard.
    let (proposed, _, claim) = approved(&scene);
    let answer = scene.guard.ask(&Request::Run { claim, proposed });
    assert!(matches!(answer, Answer::Ran { outcome: Outcome::Held { affected: 3, .. }, .. }), "{answer:?}");
    println!("attempts: {}\naccepted: {}", hostile.attempts, hostile.accepted.len());
    assert!(hostile.accepted.is_empty(), "{:#?}", hostile.accepted);
}

#[test]
fn stop_holds_at_once_and_needs_a_signature_to_end() {
    let scene = Scene::new();
    let (proposed, _, claim) = approved(&scene);
    let request = Request::Run { claim, proposed };
    assert!(matches!(scene.guard.ask(&Request::Stop { scope: "all".into(), by: "Ada".into() }), Answer::Done { .. }));
    assert!(is_refused(&scene.guard.ask(&request), Refused::Stopped));
    let resume =
        Resume { gateway: scene.gateway, scope: "all".into(), nonce: Nonce::random(), not_after: Scene::soon() };
    let claim = scene.ada.sign(&resume.to_text().unwrap());
    assert!(matches!(scene.guard.ask(&Request::Grant { claim, attachment: None }), Answer::Done { .. }));
    assert!(matches!(scene.guard.ask(&request), Answer::Ran { .. }));
}

#[test]
fn garbage_on_the_socket_is_refused_and_the_guard_lives() {
    use std::io::{Read as _, Write as _};
    let scene = Scene::new();
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x02{}", b"\0\0\0\x04nope", b"GET / HTTP/1.1\r\n\r\n", &[0; 64]] {
        let mut stream = scene.guard.connect();
        stream.write_all(bytes).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        let _ = stream.read(&mut [0; 4096]);
    }
    let deep = format!("{{\"request\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let mut stream = scene.guard.connect();
    stream.write_all(&u32::try_from(deep.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(deep.as_bytes()).unwrap();
    let _ = stream.read(&mut [0; 4096]);
    assert_eq!(scene.guard.gateway(), scene.gateway);
}
