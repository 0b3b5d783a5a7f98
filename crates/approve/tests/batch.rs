//! Several approvals under one signature: each is as good as its own, and nothing else is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use approve::statement::{Approval, Batch, GrantKey, OpenTask, ReleaseRule};
use approve::{Approved, Assurance, Context, Nonce, Refused, Trust, VerifiedTask};
use artifact::claim::Signed;
use artifact::effect::{RelationUse, Verb};
use artifact::{Artifact, Digest, Effect, Kind, ProposalId, TaskId, Timestamp};
use testkit::SoftKey;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

struct Scene {
    trust: Trust,
    ada: SoftKey,
    task: TaskId,
}

fn effect() -> Effect {
    let mut effect = Effect::empty();
    effect.relations.push(RelationUse {
        name: "main.orders".into(),
        verbs: vec![Verb::Update],
        writes: vec!["status".into()],
        ..RelationUse::default()
    });
    effect.normalize();
    effect
}

fn artifact(n: u32) -> Artifact {
    Artifact::new(Kind::SqlSqlite, format!("UPDATE orders SET status = 'x' WHERE id = {n}").into_bytes()).unwrap()
}

impl Scene {
    fn new() -> Self {
        let (root, ada) = (SoftKey::new(1), SoftKey::new(2));
        let mut trust = Trust::new(&root.line()).unwrap();
        let grant = GrantKey {
            gateway: trust.gateway(),
            person: "Ada".into(),
            key: ada.line(),
            roles: "admin,reviewer".into(),
            nonce: Nonce::random(),
            not_after: NOW.plus_seconds(600),
        };
        trust.apply_key(&root.sign(&grant.to_text().unwrap()), NOW).unwrap();
        Self { trust, ada, task: TaskId::random() }
    }

    fn approval(&self, n: u32) -> Approval {
        Approval {
            gateway: self.trust.gateway(),
            proposal: ProposalId::random(),
            revision: 1,
            artifact: artifact(n).digest(),
            kind: Kind::SqlSqlite,
            target_name: "shop".into(),
            target_fingerprint: Digest::of(b"registration"),
            run_as: "owner".into(),
            effect: effect().digest(),
            ceiling_rows: 1,
            release: ReleaseRule::Hold,
            task: self.task,
            policy: Digest::of(b"policy"),
            quorum: 1,
            not_by: Vec::new(),
            nonce: Nonce::random(),
            not_after: NOW.plus_seconds(600),
        }
    }

    fn batch(&self, approvals: &[Approval]) -> Batch {
        let item = |a: &Approval| (a.proposal, a.revision, Digest::of(a.to_text().unwrap().as_bytes()));
        Batch {
            gateway: self.trust.gateway(),
            task: self.task,
            target_name: "shop".into(),
            items: approvals.iter().map(item).collect(),
        }
    }

    fn claim(&self, approval: &Approval, batch: &str) -> Signed {
        let signatures = self.ada.sign(batch).signatures;
        Signed { statement: approval.to_text().unwrap(), batch: Some(batch.to_owned()), signatures }
    }

    fn verify(&self, claim: &Signed, approval: &Approval, n: u32) -> Result<Approved, Refused> {
        let context = Context {
            trust: &self.trust,
            proposal: approval.proposal,
            revision: approval.revision,
            target_name: &approval.target_name,
            target_fingerprint: approval.target_fingerprint,
            kind: Kind::SqlSqlite,
            run_as: "owner",
            policy: approval.policy,
            quorum: 1,
            apart_from: None,
            least: Assurance::PlainKey,
            now: NOW,
        };
        Approved::verify(claim, artifact(n), effect(), &context)
    }
}

#[test]
fn each_of_a_batch_is_approved_and_nothing_else() {
    let scene = Scene::new();
    let approvals = [scene.approval(0), scene.approval(1), scene.approval(2)];
    let text = scene.batch(&approvals).to_text().unwrap();
    for (n, approval) in (0..).zip(&approvals) {
        assert_eq!(scene.verify(&scene.claim(approval, &text), approval, n).unwrap().people(), ["Ada"]);
        // The same signature without the list is none over the statement, and the other way round.
        let bare = Signed { batch: None, ..scene.claim(approval, &text) };
        assert!(scene.verify(&bare, approval, n).is_err());
        let own = Signed { batch: Some(text.clone()), ..scene.ada.sign(&approval.to_text().unwrap()) };
        assert!(scene.verify(&own, approval, n).is_err());
    }
    // One that is not in the list, and one of the list with another end, ceiling or nonce.
    let other = scene.approval(3);
    assert!(matches!(scene.verify(&scene.claim(&other, &text), &other, 3), Err(Refused::Differs("the batch"))));
    for change in [
        (|a: &mut Approval| a.ceiling_rows = 2) as fn(&mut Approval),
        |a| a.not_after = a.not_after.plus_seconds(1),
        |a| a.nonce = Nonce::random(),
        |a| a.revision = 2,
    ] {
        let mut changed = approvals[0].clone();
        change(&mut changed);
        assert!(scene.verify(&scene.claim(&changed, &text), &changed, 0).is_err());
    }
    // Every bit of the list.
    let claim = scene.claim(&approvals[0], &text);
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(batch) = String::from_utf8(bytes) else { continue };
        let changed = Signed { batch: Some(batch), ..claim.clone() };
        assert!(scene.verify(&changed, &approvals[0], 0).is_err(), "bit {bit}");
    }
}

#[test]
fn a_batch_is_of_one_task_at_one_target_and_of_approvals_alone() {
    let scene = Scene::new();
    let approvals = [scene.approval(0), scene.approval(1)];
    let good = scene.batch(&approvals);
    let refused = |batch: &Batch, what: &str| {
        let text = batch.to_text().unwrap();
        assert!(scene.verify(&scene.claim(&approvals[0], &text), &approvals[0], 0).is_err(), "{what}");
    };
    refused(&Batch { task: TaskId::random(), ..good.clone() }, "another task");
    refused(&Batch { target_name: "other".into(), ..good.clone() }, "another target");
    refused(&Batch { gateway: Digest::of(b"elsewhere"), ..good.clone() }, "another gateway");
    for count in [0, 1, 21] {
        let items = (0..count).map(|_| good.items[0]).collect();
        assert!(Batch { items, ..good.clone() }.to_text().is_err(), "{count} approvals");
    }
    let text = good.to_text().unwrap();
    assert_eq!(Batch::parse(&text).unwrap(), good);
    for bent in [text.trim_end().to_owned(), format!("{text}\n"), text.replace(" r1 ", " r01 "), format!(" {text}")] {
        assert!(Batch::parse(&bent).is_err(), "{bent:?}");
    }
    // Where several people are needed each signs the statement itself.
    let mut two = scene.approval(2);
    two.quorum = 2;
    let text = scene.batch(&[approvals[0].clone(), two.clone()]).to_text().unwrap();
    assert!(matches!(scene.verify(&scene.claim(&two, &text), &two, 2), Err(Refused::WrongForm)));
    // A grant, or a task, is no approval, whatever list names it.
    let key = SoftKey::new(66);
    let (gateway, nonce, not_after) = (scene.trust.gateway(), Nonce::random(), NOW.plus_seconds(600));
    let (person, roles) = ("Mallory".to_owned(), "admin".to_owned());
    let grant = GrantKey { gateway, person, key: key.line(), roles, nonce, not_after };
    let task = OpenTask {
        gateway,
        task: scene.task,
        title: "anything".into(),
        agent: "robin".into(),
        target_name: "shop".into(),
        target_fingerprint: Digest::of(b"registration"),
        task_type: None,
        may: vec!["read main.*".parse().unwrap()],
        never: vec![],
        functions: vec![],
        rows_per_run: 1,
        rows_total: 1,
        auto_reads: true,
        nonce,
        not_after,
    };
    let mut trust = scene.trust.clone();
    for statement in [grant.to_text().unwrap(), task.to_text().unwrap()] {
        let mut batch = good.clone();
        batch.items[0].2 = Digest::of(statement.as_bytes());
        let batch = batch.to_text().unwrap();
        let signatures = scene.ada.sign(&batch).signatures;
        let claim = Signed { statement, batch: Some(batch), signatures };
        assert!(trust.apply_key(&claim, NOW).is_err());
        assert!(VerifiedTask::verify(&claim, &scene.trust, NOW).is_err());
    }
}
