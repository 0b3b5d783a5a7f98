//! Many at once, and the moments at which things end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ledger::{Class, LedgerError};
use support::{Place, content, note, one, started, verify};

#[test]
fn concurrent_appends_are_gapless_and_share_commits() {
    const THREADS: usize = 64;
    const EACH: usize = 100;
    let (place, ledger) = Place::new();
    for i in 0..50 {
        ledger.append(one(note(&i.to_string()))).unwrap();
    }
    // One caller: one commit each, no waiting for company.
    assert_eq!(ledger.commits(), 50);
    let barrier = Barrier::new(THREADS);
    let append = |t: usize| {
        barrier.wait();
        (0..EACH).map(|i| ledger.append(one(note(&format!("{t} {i}")))).unwrap()).collect::<Vec<_>>()
    };
    let seen: Vec<u64> = thread::scope(|scope| {
        let append = &append;
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || append(t))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let commits = ledger.commits() - 50;
    assert!(commits * 8 <= (THREADS * EACH) as u64, "{commits}");
    let indices: BTreeSet<u64> = seen.iter().copied().collect();
    assert_eq!((indices.len(), seen.len()), (THREADS * EACH, THREADS * EACH));
    assert_eq!(ledger.size(), 51 + (THREADS * EACH) as u64);
    assert_eq!(verify(&ledger).entries, ledger.size());
    let note = ledger.checkpoint().unwrap();
    drop(ledger);
    let ledger = place.open().unwrap();
    assert_eq!(ledger.checkpoint().unwrap(), note);
    assert_eq!(verify(&ledger).entries, ledger.size());
}

/// T-RACE-01.
#[test]
fn of_many_who_spend_one_nonce_one_wins() {
    const RACES: usize = 10_000;
    const THREADS: usize = 16;
    /// Races beside each other, so that batches hold rivals and strangers.
    const LANES: usize = 8;
    let (place, ledger) = Place::new();
    let wins: Vec<AtomicUsize> = (0..RACES).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ledger, wins) = (&ledger, &wins);
            for lane in 0..LANES {
                scope.spawn(move || {
                    for race in (lane..RACES).step_by(LANES) {
                        match ledger.append(started(&format!("r-{race}-{thread}"), &format!("n-{race}"))) {
                            Ok(_) => drop(wins[race].fetch_add(1, Ordering::Relaxed)),
                            Err(LedgerError::AlreadySpent) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        }
    });
    assert!(wins.iter().all(|wins| wins.load(Ordering::Relaxed) == 1));
    assert_eq!(ledger.size(), 1 + RACES as u64);
    assert_eq!(verify(&ledger).started, RACES as u64);
    drop(ledger);
    let ledger = place.open().unwrap();
    for race in (0..RACES).step_by(997) {
        assert!(matches!(ledger.append(started("r-late", &format!("n-{race}"))), Err(LedgerError::AlreadySpent)));
    }
    assert_eq!(ledger.unsettled().unwrap().len(), RACES);
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let (place, ledger) = Place::new();
    let (done, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for t in 0..8 {
            let (ledger, done, acknowledged) = (&ledger, &done, &acknowledged);
            scope.spawn(move || {
                for i in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut job = started(&format!("r-{t}-{i}"), &format!("n-{t}-{i}"));
                    job.drafts[0].contents = vec![content("a", Class::Desk, b"some bytes")];
                    let index = ledger.append(job).unwrap();
                    acknowledged.fetch_max(index + 1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(30));
            // Copying a file that a checkpoint is writing yields what no disk holds. A reader in the midst of the log
            // keeps the checkpoint from wrapping around, and the copy is taken database first, log second.
            let reader = place.database();
            reader.execute_batch("BEGIN; SELECT * FROM head").unwrap();
            let before = acknowledged.load(Ordering::SeqCst);
            let copy = place.copy();
            drop(reader);
            let after = copy.open().unwrap();
            assert!(after.size() >= before, "{} < {before}", after.size());
            // Entries, nonces and contents are there together.
            let report = verify(&after);
            assert_eq!((report.started, report.opened), (after.size() - 1, after.size() - 1));
            assert_eq!(after.unsettled().unwrap().len() as u64, after.size() - 1);
            after.append(one(note("goes on"))).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    verify(&ledger);
}

#[test]
fn a_write_cut_short_leaves_whole_jobs() {
    let (place, ledger) = Place::new();
    let mut sizes = vec![1];
    for i in 0..6 {
        let mut job = started(&format!("r-{i}"), &format!("n-{i}"));
        job.drafts.push(note("second"));
        ledger.append(job).unwrap();
        sizes.push(ledger.size());
    }
    let whole = place.copy();
    let wal = fs::read(whole.file("ledger.db-wal")).unwrap();
    let mut seen = BTreeSet::new();
    for at in (0..wal.len()).step_by(1021).chain([wal.len()]) {
        let cut = whole.copy();
        fs::write(cut.file("ledger.db-wal"), &wal[..at]).unwrap();
        let ledger = cut.open().unwrap();
        assert_eq!(verify(&ledger).started * 2 + 1, ledger.size());
        seen.insert(ledger.size());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), sizes);
}

/// Nothing reached the log, and the ledger knows: it goes on where it was.
#[test]
fn a_write_that_failed_for_sure_changes_nothing() {
    let (place, ledger) = Place::new();
    ledger.append(one(note("before"))).unwrap();
    place
        .database()
        .execute_batch(
            "CREATE TRIGGER broken BEFORE INSERT ON nodes WHEN new.level = 1 BEGIN SELECT raise(ABORT, 'disk'); END",
        )
        .unwrap();
    ledger.append(one(note("level 0 only"))).unwrap();
    for nonce in ["n-1", "n-2"] {
        assert!(matches!(ledger.append(started("r-1", nonce)), Err(LedgerError::Database(_))));
    }
    assert_eq!(ledger.size(), 3);
    place.database().execute_batch("DROP TRIGGER broken").unwrap();
    ledger.append(started("r-1", "n-1")).unwrap();
    assert_eq!(verify(&ledger).entries, 4);
    drop(ledger);
    assert_eq!(place.open().unwrap().size(), 4);
}

/// The commit itself failed: nobody knows what the disk holds, so nothing more is written before it is read again.
#[test]
fn a_write_of_unknown_outcome_ends_the_ledger() {
    let (place, ledger) = Place::new();
    ledger.append(started("r-0", "n-0")).unwrap();
    place
        .database()
        .execute_batch(
            "CREATE TABLE other (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id INTEGER REFERENCES other (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER broken AFTER INSERT ON entries BEGIN INSERT INTO child VALUES (7); END;",
        )
        .unwrap();
    // Told so, in the words that say it may have been written.
    assert!(matches!(ledger.append(started("r-1", "n-1")), Err(LedgerError::Poisoned)));
    place.database().execute_batch("DROP TRIGGER broken").unwrap();
    for _ in 0..3 {
        assert!(matches!(ledger.append(started("r-1", "n-1")), Err(LedgerError::Poisoned)));
        assert!(matches!(ledger.append(one(note("x"))), Err(LedgerError::Poisoned)));
    }
    drop(ledger);
    let ledger = place.open().unwrap();
    assert_eq!(ledger.size(), 2);
    ledger.append(started("r-1", "n-1")).unwrap();
    assert_eq!(verify(&ledger).started, 2);
}

#[test]
fn the_head_is_replaced_only_by_its_writer() {
    let (place, ledger) = Place::new();
    // Somebody goes around the lock and moves the head.
    place.database().execute_batch("UPDATE head SET size = 7").unwrap();
    assert!(matches!(ledger.append(one(note("x"))), Err(LedgerError::Poisoned)));
    assert!(matches!(ledger.append(one(note("x"))), Err(LedgerError::Poisoned)));
    drop(ledger);
    assert!(matches!(place.open(), Err(LedgerError::HeadDoesNotFit)));
}

#[test]
fn more_than_the_queue_holds_is_refused() {
    const THREADS: usize = 1600;
    let (place, ledger) = Place::new();
    // A foreign write lock holds the writer up.
    let foreign = place.database();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (busy, written, asked) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let append = || {
                asked.fetch_add(1, Ordering::Relaxed);
                let count = match ledger.append(one(note("x"))) {
                    Err(LedgerError::Busy) => &busy,
                    other => other.map(|_| &written).unwrap(),
                };
                count.fetch_add(1, Ordering::Relaxed);
            };
            thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, append).unwrap();
        }
        while asked.load(Ordering::Relaxed) < THREADS {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(50));
        foreign.execute_batch("ROLLBACK").unwrap();
    });
    let (busy, written) = (busy.into_inner(), written.into_inner());
    assert_eq!(busy + written, THREADS);
    assert!(busy > 0 && written >= 1024, "{busy} {written}");
    assert_eq!(ledger.size(), 1 + written as u64);
}
