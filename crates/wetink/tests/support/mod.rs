//! A real guard process with a real SQLite target, driven over its socket as a desk would, or as a hostile one.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unused_self, missing_docs, unreachable_pub)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use approve::Nonce;
use approve::statement::{Approval, GrantTarget, OpenTask, ReleaseRule};
use artifact::effect::{RelationUse, Verb};
use artifact::{Digest, Effect, Kind, ProposalId, TaskId, Timestamp};
use testkit::SoftKey;
use wire::frame::{self, MAX_SOCKET_FRAME};
use wire::socket::{Answer, Content, NewEntry, Proposed, Refused, Registry, Request};
use wire::target::{Address, Registration};

/// A folder that goes away.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("wetink-test-{}", artifact::RunId::random()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A guard at work.
pub struct Guard {
    pub child: Child,
    pub home: PathBuf,
    pub enrollment: Option<String>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Guard {
    pub fn start(home: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wetink"))
            .args(["guard", "--dir"])
            .arg(home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut enrollment = None;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next().expect("the guard ended before it was ready").unwrap();
            if line == "ready" {
                break;
            }
            enrollment = line.strip_prefix("enroll ").map(str::to_owned).or(enrollment);
        }
        Self { child, home: home.to_owned(), enrollment }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn connect(&self) -> UnixStream {
        UnixStream::connect(self.home.join("desk.sock")).unwrap()
    }

    pub fn ask(&self, request: &Request) -> Answer {
        ask(&self.connect(), request).expect("the guard answers")
    }

    pub fn gateway(&self) -> Digest {
        let Answer::Hello { gateway, .. } = self.ask(&Request::Hello {}) else { panic!("hello") };
        gateway
    }

    pub fn registry(&self) -> Registry {
        let Answer::Registry { registry } = self.ask(&Request::Registry {}) else { panic!("registry") };
        registry
    }
}

pub fn ask(stream: &UnixStream, request: &Request) -> Option<Answer> {
    let mut stream = stream;
    frame::write(&mut stream, request, MAX_SOCKET_FRAME).ok()?;
    frame::read(&mut stream, MAX_SOCKET_FRAME).ok()
}

/// A guard with an enrolled person, a SQLite target `shop` with a table `marks (k)` and `rows (id, n)`, and a task.
pub struct Scene {
    pub folder: Folder,
    pub guard: Guard,
    pub ada: SoftKey,
    pub gateway: Digest,
    pub registration: Registration,
    pub task: TaskId,
}

impl Scene {
    pub fn new() -> Self {
        let folder = Folder::new();
        let database = folder.0.join("data/shop.db");
        std::fs::create_dir(folder.0.join("data")).unwrap();
        let db = rusqlite::Connection::open(&database).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE marks (k INTEGER NOT NULL); CREATE TABLE rows (id INTEGER PRIMARY KEY, n INTEGER NOT NULL);")
            .unwrap();
        for i in 0..10 {
            db.execute("INSERT INTO rows VALUES (?1, 0)", [i]).unwrap();
        }
        drop(db);
        let guard = Guard::start(&folder.0.join("gateway"));
        let (ada, gateway) = (SoftKey::new(7), guard.gateway());
        let token = guard.enrollment.clone().unwrap();
        let enroll = Request::EnrollFirst { token, person: "Ada".into(), key: ada.line() };
        assert!(matches!(guard.ask(&enroll), Answer::Done { .. }));
        let registration = Registration {
            name: "shop".into(),
            address: Address::Sqlite { path: database.to_str().unwrap().into() },
            environment: "test".into(),
            run_as: "owner".into(),
            credential: None,
            credential_of: None,
            statement_timeout_ms: 10_000,
            result_rows_max: 100,
            labels: [("main.rows.n".to_owned(), "personal".to_owned())].into(),
            approvals: wire::target::Approvals::default(),
            payments: wire::payments::Payments::default(),
            idempotency_header: None,
            receipts: false,
            rotate_after_s: None,
            graphql: None,
        };
        let mut scene = Self { folder, guard, ada, gateway, registration, task: TaskId::random() };
        scene.grant_target();
        scene.task = scene.open_task(true);
        scene
    }

    pub fn soon() -> Timestamp {
        Timestamp::now().plus_seconds(600)
    }

    pub fn grant_target(&self) {
        let answer = self.granted(&self.registration);
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    }

    /// What the guard answers to a registration that Ada signs.
    pub fn granted(&self, registration: &Registration) -> Answer {
        let statement = GrantTarget {
            gateway: self.gateway,
            name: registration.name.clone(),
            registration: registration.fingerprint(),
            nonce: Nonce::random(),
            not_after: Self::soon(),
        };
        let claim = self.ada.sign(&statement.to_text().unwrap());
        let attachment = String::from_utf8(artifact::canonical::to_vec(registration).unwrap()).ok();
        self.guard.ask(&Request::Grant { claim, attachment })
    }

    pub fn open_task(&self, auto_reads: bool) -> TaskId {
        self.open_task_that_never(auto_reads, &[])
    }

    pub fn open_task_that_never(&self, auto_reads: bool, never: &[&str]) -> TaskId {
        let task = TaskId::random();
        let statement = OpenTask {
            gateway: self.gateway,
            task,
            title: "keep the rows tidy".into(),
            agent: "robin".into(),
            target_name: "shop".into(),
            target_fingerprint: self.registration.fingerprint(),
            may: vec!["read main.rows".parse().unwrap(), "update main.rows(n)".parse().unwrap()],
            task_type: None,
            never: never.iter().map(|line| line.parse().unwrap()).collect(),
            functions: vec![],
            rows_per_run: 5,
            rows_total: 40,
            auto_reads,
            nonce: Nonce::random(),
            not_after: Self::soon(),
        };
        let answer =
            self.guard.ask(&Request::Grant { claim: self.ada.sign(&statement.to_text().unwrap()), attachment: None });
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
        task
    }

    /// What a well-meaning desk would hand over for this statement.
    pub fn proposed(&self, sql: &str, effect: Effect) -> Proposed {
        Proposed {
            proposal: ProposalId::random(),
            revision: 1,
            target: "shop".into(),
            kind: Kind::SqlSqlite,
            artifact: sql.into(),
            effect,
        }
    }

    /// The approval statement that fits it.
    pub fn approval(&self, proposed: &Proposed, ceiling_rows: u64) -> Approval {
        Approval {
            gateway: self.gateway,
            proposal: proposed.proposal,
            revision: proposed.revision,
            artifact: Digest::of(proposed.artifact.as_bytes()),
            kind: proposed.kind,
            target_name: proposed.target.clone(),
            target_fingerprint: self.registration.fingerprint(),
            run_as: self.registration.run_as.clone(),
            effect: proposed.effect.digest(),
            ceiling_rows,
            release: ReleaseRule::Hold,
            task: self.task,
            policy: self.guard.registry().policy,
            quorum: 1,
            not_by: Vec::new(),
            nonce: Nonce::random(),
            not_after: Self::soon(),
        }
    }

    /// Logs the proposal as the desk does, so that the log has what ran.
    pub fn log_proposed(&self, proposed: &Proposed) {
        let mut entry = audit::Entry::new(
            Timestamp::from_millis(0),
            audit::Domain::Desk,
            audit::EventKind::Proposed,
            audit::Actor { role: audit::Role::Agent, name: "robin".into() },
        );
        entry.proposal = Some(proposed.proposal.to_string());
        entry.revision = Some(1);
        entry.target = Some("shop".into());
        let effect = String::from_utf8(proposed.effect.to_canonical()).unwrap();
        let contents = vec![
            Content { name: "artifact".into(), text: proposed.artifact.clone() },
            Content { name: "effect".into(), text: effect },
        ];
        let answer = self.guard.ask(&Request::Append {
            entries: vec![NewEntry { entry: serde_json::to_value(&entry).unwrap(), contents }],
        });
        assert!(matches!(answer, Answer::Appended { .. }), "{answer:?}");
    }

    pub fn count(&self, sql: &str) -> i64 {
        let Address::Sqlite { path } = &self.registration.address else { panic!("sqlite") };
        rusqlite::Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Everything that could have been changed in the target.
    pub fn state(&self) -> (i64, i64, i64) {
        (
            self.count("SELECT count(*) FROM marks"),
            self.count("SELECT sum(n) FROM rows"),
            self.count("SELECT count(*) FROM rows"),
        )
    }
}

/// Inserts one mark.
pub fn mark(k: u64) -> (String, Effect) {
    let mut effect = Effect::empty();
    effect.relations.push(RelationUse {
        name: "main.marks".into(),
        verbs: vec![Verb::Insert],
        reads: vec![],
        writes: vec!["*".into()],
        ..RelationUse::default()
    });
    effect.normalize();
    (format!("INSERT INTO marks VALUES ({k})"), effect)
}

/// Updates `n` of some rows.
pub fn update(predicate: &str) -> (String, Effect) {
    let mut effect = Effect::empty();
    effect.relations.push(RelationUse {
        name: "main.rows".into(),
        verbs: vec![Verb::Read, Verb::Update],
        reads: vec!["id".into(), "n".into()],
        writes: vec!["n".into()],
        ..RelationUse::default()
    });
    effect.normalize();
    (format!("UPDATE rows SET n = n + 1 WHERE {predicate}"), effect)
}

pub fn is_refused(answer: &Answer, wanted: Refused) -> bool {
    matches!(answer, Answer::Refused { code, .. } if *code == wanted)
}
