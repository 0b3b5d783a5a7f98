//! What the ledger keeps, whom it shows what, and what it refuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

use artifact::Timestamp;
use artifact::claim::{Signature, Signed};
use audit::tree::leaf_hash;
use audit::{Checkpoint, Entry, EventKind, Log as _, Receipt, inclusion_proof, verify_inclusion};
use aws_lc_rs::signature::Ed25519KeyPair;
use ledger::{Class, GrantRow, Job, Keys, Ledger, LedgerError};
use support::{ORIGIN, Place, content, draft, entry, keys, note, one, settled, started, verify};

#[test]
fn created_once_and_never_by_opening() {
    let (place, ledger) = Place::new();
    assert_eq!(ledger.size(), 1);
    assert!(matches!(place.open(), Err(LedgerError::Locked)));
    drop(ledger);
    let again = Ledger::create(place.dir(), ORIGIN, keys(), draft(EventKind::Inception));
    assert!(matches!(again, Err(LedgerError::Exists)));
    let mode = |name| fs::metadata(place.file(name)).unwrap().permissions().mode() & 0o777;
    let ledger = place.open().unwrap();
    ledger.append(one(note("x"))).unwrap();
    assert_eq!((mode("ledger.db"), mode("ledger.db-wal"), mode("ledger.lock")), (0o600, 0o600, 0o600));
    drop(ledger);
    fs::rename(place.file("ledger.db"), place.file("elsewhere")).unwrap();
    assert!(matches!(place.open(), Err(LedgerError::Missing)));
    assert!(!place.file("ledger.db").exists());
}

#[test]
fn an_interrupted_set_up_leaves_no_ledger() {
    let place = Place::empty();
    fs::write(place.file("ledger.new"), b"half").unwrap();
    fs::write(place.file("ledger.new-wal"), b"half").unwrap();
    assert!(matches!(place.open(), Err(LedgerError::Missing)));
    let ledger = Ledger::create(place.dir(), ORIGIN, keys(), draft(EventKind::Inception)).unwrap();
    assert_eq!(verify(&ledger).entries, 1);
}

#[test]
fn other_keys_and_changed_files_do_not_open() {
    let (place, ledger) = Place::new();
    for i in 0..5 {
        ledger.append(one(note(&i.to_string()))).unwrap();
    }
    drop(ledger);
    let open = |origin, seed| {
        let log = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        Ledger::open(place.dir(), origin, Keys { log, seal: [8; 32] }).map(drop)
    };
    assert!(matches!(open(ORIGIN, 9), Err(LedgerError::HeadDoesNotFit)));
    assert!(matches!(open("example.com/other", 7), Err(LedgerError::HeadDoesNotFit)));
    open(ORIGIN, 7).unwrap();
    for sql in [
        "UPDATE nodes SET hash = zeroblob(32) WHERE level = 2 AND idx = 0",
        "DELETE FROM nodes WHERE level = 1 AND idx = 2",
        "DROP TRIGGER entries_remain; DELETE FROM entries WHERE idx = 5",
        "DROP TRIGGER entries_remain; DELETE FROM entries",
        "INSERT INTO entries VALUES (6, x'00', 'note', NULL, NULL)",
        "UPDATE head SET size = 5",
        "UPDATE head SET size = -1",
        "UPDATE head SET note = replace(note, 'example', 'exumple')",
        "DELETE FROM head",
        "DROP TABLE nodes",
    ] {
        let copy = place.copy();
        copy.database().execute_batch(sql).unwrap();
        assert!(copy.open().is_err(), "{sql}");
    }
    for sql in [
        "UPDATE entries SET body = x'00'",
        "DELETE FROM entries",
        "INSERT INTO spent VALUES ('n', 0); DELETE FROM spent",
    ] {
        assert!(place.copy().database().execute_batch(sql).is_err(), "{sql}");
    }
    let copy = place.copy();
    fs::write(copy.file("ledger.db"), b"not a database").unwrap();
    assert!(copy.open().is_err());
}

#[test]
fn jobs_that_break_a_rule_leave_no_trace() {
    let (_place, ledger) = Place::new();
    let mut long = note("x");
    long.entry.reasons.push("x".repeat(70_000));
    let mut version = note("x");
    version.entry.v = 2;
    let mut big = note("x");
    big.contents = vec![content("a", Class::Desk, &vec![0; audit::contents::MAX_CONTENT_BYTES + 1])];
    let mut other_nonce = started("r-2", "n-2");
    other_nonce.spend = Some("n-3".into());
    let mut no_nonce = started("r-2", "n-2");
    no_nonce.spend = None;
    let mut no_run = started("r-2", "n-2");
    no_run.drafts[0].entry.run = None;
    let mut two_starts = started("r-2", "n-2");
    two_starts.drafts.extend(started("r-3", "n-2").drafts);
    let mut second_bad = one(note("x"));
    second_bad.drafts.push(long.clone());
    for (what, job) in [
        ("nothing", Job::default()),
        ("long", one(long)),
        ("version", one(version)),
        ("big", one(big)),
        ("other nonce", other_nonce),
        ("no nonce", no_nonce),
        ("no run", no_run),
        ("two starts", two_starts),
        ("second draft", second_bad),
    ] {
        assert!(matches!(ledger.append(job), Err(LedgerError::Audit(_))), "{what}");
    }
    ledger.append(started("r-1", "n-1")).unwrap();
    assert!(matches!(ledger.append(started("r-1", "n-4")), Err(LedgerError::Audit(_))));
    assert!(matches!(ledger.append(started("r-2", "n-1")), Err(LedgerError::AlreadySpent)));
    // What was refused spent nothing and left the tree as it was.
    ledger.append(started("r-2", "n-4")).unwrap();
    ledger.append(started("r-3", "n-2")).unwrap();
    assert_eq!(ledger.size(), 4);
    assert_eq!(verify(&ledger).started, 3);
}

#[test]
fn time_never_goes_back() {
    let (place, ledger) = Place::new();
    let at = |ms| {
        let mut draft = note("x");
        draft.entry.at = Timestamp::from_millis(ms);
        one(draft)
    };
    ledger.append(at(1_800_000_000_000)).unwrap();
    drop(ledger);
    let ledger = place.open().unwrap();
    ledger.append(at(1_700_000_000_000)).unwrap();
    assert_eq!(Entry::parse(&ledger.read(2, 1).unwrap()[0].body).unwrap().at.as_millis(), 1_800_000_000_000);
    verify(&ledger);
}

#[test]
fn held_contents_are_for_those_who_ask_by_name() {
    let (place, ledger) = Place::new();
    let mut job = started("r-1", "n-1");
    job.drafts[0].entry.proposal = Some("p-1".into());
    job.drafts[0].contents =
        vec![content("artifact", Class::Desk, b"select-4711"), content("result", Class::Held, b"secret-4712")];
    let index = ledger.append(job).unwrap();
    assert_eq!(ledger.read(index, 10).unwrap()[0].contents, [("artifact".to_owned(), b"select-4711".to_vec())]);
    let (_, entry) = ledger.of_proposal("p-1").unwrap().remove(0);
    assert_eq!(ledger.of_run("r-1").unwrap(), [(index, entry.clone())]);
    assert!(ledger.of_run("p-1").unwrap().is_empty() && ledger.of_proposal("p-2").unwrap().is_empty());
    assert_eq!(ledger.content_of(&entry, "result").unwrap().unwrap(), b"secret-4712");
    assert_eq!(ledger.content_of(&entry, "other").unwrap(), None);
    let held = entry.contents[1].commitment;
    assert!(ledger.without_held().opening(&held).unwrap().is_none());
    let receipt = Receipt::build(&[index], &ledger.checkpoint().unwrap(), &ledger.without_held()).unwrap();
    assert_eq!(receipt.verify(ledger.verifier()).unwrap().contents.len(), 1);
    let report = verify(&ledger);
    assert_eq!((report.opened, report.unopened), (1, 1));
    drop(ledger);

    for name in ["ledger.db", "ledger.db-wal"] {
        let bytes = fs::read(place.file(name)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|window| window == b"t-4711" || window == b"t-4712"), "{name}");
    }
    // A row cannot be turned into one of the other class, nor put in another's place.
    for sql in
        ["UPDATE contents SET held = 0", "UPDATE contents SET sealed = (SELECT sealed FROM contents WHERE held = 1)"]
    {
        let copy = place.copy();
        copy.database().execute_batch(sql).unwrap();
        let ledger = copy.open().unwrap();
        assert!(matches!(ledger.read(index, 1), Err(LedgerError::Content)), "{sql}");
    }
}

#[test]
fn grants_runs_and_nonces_survive() {
    let (place, ledger) = Place::new();
    let grant = |text: &str, attachment: Option<&str>| GrantRow {
        claim: Signed { statement: text.into(), batch: None, signatures: vec![Signature::Ssh { armored: "x".into() }] },
        attachment: attachment.map(Into::into),
    };
    for grant in [grant("first", None), grant("second", Some("registration"))] {
        ledger.append(Job { grant: Some(grant), ..one(draft(EventKind::TargetGranted)) }).unwrap();
    }
    ledger.append(started("r-1", "n-1")).unwrap();
    ledger.append(started("r-2", "n-2")).unwrap();
    ledger.append(one(settled("r-1"))).unwrap();
    // A grant's nonce is of the same kind: neither another grant nor a run may have it again.
    let again =
        || Job { spend: Some("n-4".into()), grant: Some(grant("third", None)), ..one(draft(EventKind::KeyGranted)) };
    ledger.append(again()).unwrap();
    assert!(matches!(ledger.append(again()), Err(LedgerError::AlreadySpent)));
    assert!(matches!(ledger.append(started("r-4", "n-4")), Err(LedgerError::AlreadySpent)));
    drop(ledger);
    let ledger = place.open().unwrap();
    let grants = ledger.grants().unwrap();
    let texts: Vec<_> = grants.iter().map(|g| (g.claim.statement.as_str(), g.attachment.as_deref())).collect();
    assert_eq!(texts, [("first", None), ("second", Some("registration")), ("third", None)]);
    let open: Vec<_> = ledger.unsettled().unwrap().into_iter().map(|(index, entry)| (index, entry.run)).collect();
    assert_eq!(open, [(4, Some("r-2".to_owned()))]);
    assert!(matches!(ledger.append(started("r-3", "n-1")), Err(LedgerError::AlreadySpent)));
    let report = verify(&ledger);
    assert_eq!((report.started, report.settled), (2, 1));
}

#[test]
fn reading_in_parts_and_proofs() {
    let (_place, ledger) = Place::new();
    for i in 0..300 {
        ledger.append(one(note(&i.to_string()))).unwrap();
    }
    let mut index = 0;
    while let Some(last) = ledger.read(index, 70).unwrap().last() {
        index = last.index + 1;
    }
    assert_eq!(index, 301);
    assert_eq!(ledger.read(0, u32::MAX).unwrap().len(), 301);
    assert!(ledger.read(u64::MAX, 1).unwrap().is_empty());
    let head = Checkpoint::verify(ledger.checkpoint().unwrap().as_bytes(), ledger.verifier()).unwrap();
    assert_eq!(head.size, 301);
    for logged in ledger.read(0, 400).unwrap() {
        let proof = inclusion_proof(logged.index, head.size, &ledger).unwrap();
        verify_inclusion(leaf_hash(&logged.body), logged.index, head.size, &proof, &head.root).unwrap();
    }
    let mut large = note("large");
    large.contents = vec![content("a", Class::Desk, &vec![1; 5 * 1024 * 1024])];
    let first = ledger.append(Job { drafts: vec![large; 3], ..Job::default() }).unwrap();
    assert_eq!(ledger.read(first, 10).unwrap().len(), 1);
}

#[test]
fn waiting_for_more() {
    let (_place, ledger) = Place::new();
    assert_eq!(ledger.wait(0, Duration::from_secs(9)), 1);
    assert_eq!(ledger.wait(1, Duration::from_millis(20)), 1);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ledger.wait(1, Duration::from_secs(30)));
        thread::sleep(Duration::from_millis(50));
        ledger.append(one(note("x"))).unwrap();
        assert_eq!(waiting.join().unwrap(), 2);
    });
}

#[test]
fn exported_again_as_it_grows() {
    let (_place, ledger) = Place::new();
    let out = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        for i in 0..130 {
            ledger.append(one(note(&i.to_string()))).unwrap();
        }
        assert_eq!(ledger.export(out.path()).unwrap(), ledger.size());
        let report =
            audit::verify_dir(out.path(), ledger.verifier(), &audit::Options::default(), &mut |_, _, _| Ok(()));
        assert_eq!(report.unwrap().entries, ledger.size());
    }
}

#[test]
fn start_does_not_read_the_log() {
    let (place, ledger) = Place::new();
    for _ in 0..300 {
        ledger.append(Job { drafts: vec![note("x"); 64], ..Job::default() }).unwrap();
    }
    ledger.append(started("r-1", "n-1")).unwrap();
    drop(ledger);
    let begun = Instant::now();
    let ledger = place.open().unwrap();
    assert_eq!(ledger.unsettled().unwrap().len(), 1);
    // The goal is 50 ms in a release build; this is to notice a scan.
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
    assert_eq!(ledger.size(), 19_202);
}

/// Body, tree, indices and SQLite's own share, for entries with a proposal. The goal (G11) is 100 bytes beside the body;
/// this holds what is reached so far.
#[test]
fn size_on_disk() {
    let (place, ledger) = Place::new();
    let mut bodies = 0;
    for i in 0..300 {
        let mut drafts = vec![note("x"); 64];
        for (n, draft) in drafts.iter_mut().enumerate() {
            draft.entry.proposal = Some(format!("p-{:012}", i * 64 + n));
            draft.entry.reasons.push("x".repeat(120));
            bodies += draft.entry.to_bytes().unwrap().len();
        }
        ledger.append(Job { drafts, ..Job::default() }).unwrap();
    }
    let entries = usize::try_from(ledger.size()).unwrap();
    drop(ledger);
    let disk = usize::try_from(fs::metadata(place.file("ledger.db")).unwrap().len()).unwrap();
    let over = (disk - bodies) / entries;
    assert!(over <= 180, "{over}");
}

#[test]
fn errors_hold_no_content() {
    let (_place, ledger) = Place::new();
    let mut draft = note("x");
    draft.entry.reasons.push("hunter2".repeat(10_000));
    draft.contents = vec![content("a", Class::Held, b"hunter2")];
    let error = ledger.append(one(draft)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert!(entry(EventKind::Note).contents.is_empty());
}
