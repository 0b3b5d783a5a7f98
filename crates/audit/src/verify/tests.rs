use super::*;
use crate::dir::export_to_memory;
use crate::fixture::{self, Memory};
use crate::tamper::{every_byte, every_file};
use crate::{Domain, EventKind};

fn check(files: &BTreeMap<String, Vec<u8>>, options: &Options) -> Result<Report, Error> {
    let key = VerifierKey::of(fixture::NAME, &fixture::key()).unwrap();
    verify_log(files, &key, options, &mut |_, _, _| Ok(()))
}

fn deep(log: &Memory) -> Result<Report, Error> {
    check(&export_to_memory(&log.note(), log, true).unwrap(), &Options::default())
}

#[test]
fn logs_of_many_sizes_verify() {
    for size in [1, 2, 3, 60, 255, 256, 257, 511, 512, 513, 700] {
        let (log, _) = fixture::log(size);
        let report = deep(&log).unwrap();
        assert_eq!((report.entries, report.leaf_hashes, report.checkpoints), (size, size, 1));
        // Entry 1 + 4n proposes with two contents, entry 2 + 4n starts the run.
        assert_eq!((report.started, report.opened), ((size + 1) / 4, 2 * ((size + 2) / 4)));
    }
}

#[test]
fn levels_above_one() {
    // Three tile levels, with entries that are not JSON: the tree alone.
    let mut log = Memory::default();
    for i in 0..65_536_u32 + 300 {
        log.append_raw(i.to_be_bytes().to_vec());
    }
    let files = export_to_memory(&log.note(), &log, false).unwrap();
    let options = Options { deep: false, contents: Contents::Absent, earlier: Vec::new() };
    assert_eq!(check(&files, &options).unwrap().entries, 65_836);
    for path in ["tile/2/000.p/1", "tile/1/001.p/1", "tile/1/000", "tile/0/256", "tile/0/257.p/44", "tile/entries/200"]
    {
        let mut bad = files.clone();
        *bad.get_mut(path).unwrap().last_mut().unwrap() ^= 1;
        assert!(check(&bad, &options).is_err(), "{path}");
    }
    let deep = Options { deep: true, ..options };
    assert!(matches!(check(&files, &deep), Err(Error::AtEntry { index: 0, .. })));
}

/// T-AUD-02: every byte of every file, and every file. Prints `entries`, `changes` and `not_found`. Size: WETINK_ENTRIES.
#[test]
fn every_changed_byte_is_found() {
    let entries = std::env::var("WETINK_ENTRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let (log, key) = fixture::log(entries);
    let files = export_to_memory(&log.note(), &log, true).unwrap();
    let bytes: usize = files.values().map(Vec::len).sum();
    let options = Options::default();
    let result = std::thread::scope(|threads| {
        let part = |part| every_byte(&files, &key, &options, &[0x01], (part, 2)).unwrap();
        let other = threads.spawn(move || part(1));
        part(0).and(other.join().unwrap())
    });
    println!("entries: {entries}\nchanges: {}\nnot_found: {}", result.tried, result.accepted.len());
    assert_eq!((result.tried, result.accepted), (bytes as u64, Vec::new()));
    let result = every_file(&files, &key, &options).unwrap();
    assert_eq!(result.accepted, Vec::<String>::new());
}

#[test]
fn every_bit_of_the_smallest_log_is_found() {
    let (log, key) = fixture::log(3);
    let files = export_to_memory(&log.note(), &log, true).unwrap();
    let result = every_byte(&files, &key, &Options::default(), &[1, 2, 4, 8, 16, 32, 64, 128], (0, 1)).unwrap();
    assert_eq!(result.accepted, Vec::<String>::new());
}

#[test]
fn says_which_entry() {
    let (log, _) = fixture::log(60);
    let mut files = export_to_memory(&log.note(), &log, true).unwrap();
    let bundle = files.get_mut("tile/entries/000.p/60").unwrap();
    let at = tile::entries(bundle).take(14).map(|entry| entry.unwrap().len() + 2).sum::<usize>();
    bundle[at + 20] ^= 1;
    let error = check(&files, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::LeafMismatch { index: 14, .. }));
    let text = error.to_string();
    assert!(text.starts_with("entry 14: leaf hash mismatch (expected ") && text.ends_with("…)"), "{text}");
}

/// Somebody with the files but not the key makes everything agree again, but for the signature.
#[test]
fn a_rewritten_log_needs_the_key() {
    let (log, key) = fixture::log(60);
    let (mut other, _) = fixture::log(59);
    other.append(&fixture::entry(59, EventKind::Note));
    let mut files = export_to_memory(&other.note(), &other, true).unwrap();
    files.insert(CHECKPOINT.into(), log.note().into_bytes());
    assert!(matches!(check(&files, &Options::default()), Err(Error::RootMismatch { size: 60, .. })));
    let thief = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    files.insert(CHECKPOINT.into(), other.checkpoint().sign(&thief, key.name()).unwrap().into_bytes());
    assert!(matches!(check(&files, &Options::default()), Err(Error::Unsigned(_))));
}

/// T-AUD-03: what only an earlier checkpoint can show.
#[test]
fn cut_back_and_forked_logs_are_found_with_an_earlier_checkpoint() {
    let earlier = |sizes: &[u64]| Options {
        earlier: sizes.iter().map(|size| fixture::log(*size).0.checkpoint()).collect(),
        ..Options::default()
    };
    let (log, _) = fixture::log(600);
    let files = export_to_memory(&log.note(), &log, true).unwrap();
    let sizes = [0, 1, 2, 255, 256, 257, 300, 512, 513, 599, 600];
    assert_eq!(check(&files, &earlier(&sizes)).unwrap().checkpoints, 12);
    assert!(matches!(check(&files, &earlier(&[601])), Err(Error::CutBack { size: 600, earlier: 601 })));

    for forked in [0, 1, 299, 511, 598] {
        let mut fork = Memory::default();
        for index in 0..600 {
            let mut entry = Entry::parse(&crate::Log::entry(&log, index).unwrap()).unwrap();
            if index == forked {
                entry.reasons.push("forked".into());
            }
            fork.append(&entry);
        }
        let files = export_to_memory(&fork.note(), &fork, false).unwrap();
        let absent = Options { contents: Contents::Absent, ..earlier(&[]) };
        check(&files, &absent).unwrap();
        for size in sizes {
            let seen = Options { contents: Contents::Absent, ..earlier(&[size]) };
            assert_eq!(check(&files, &seen).is_err(), size > forked, "{forked} {size}");
        }
    }
}

#[test]
fn rules_between_entries() {
    let started = |index: u64, run: &str, nonce: &str| {
        let mut entry = fixture::entry(index, EventKind::Started);
        entry.run = Some(run.into());
        entry.facts.insert("nonce".into(), nonce.into());
        entry
    };
    let about = |index: u64, event, run: &str| {
        let mut entry = fixture::entry(index, event);
        entry.run = Some(run.into());
        entry
    };
    let inception = || fixture::entry(0, EventKind::Inception);
    let run = |entries: Vec<Entry>| {
        let mut log = Memory::default();
        for entry in &entries {
            log.append(entry);
        }
        deep(&log)
    };
    let good =
        run(vec![inception(), started(1, "a", "1"), started(2, "b", "2"), about(3, EventKind::Settled, "a")]).unwrap();
    assert_eq!((good.started, good.settled), (2, 1));

    let mut by_desk = started(1, "a", "1");
    by_desk.domain = Domain::Desk;
    let mut bad = vec![
        (0, vec![fixture::entry(0, EventKind::Note)]),
        (1, vec![inception(), inception()]),
        (2, vec![inception(), fixture::entry(9, EventKind::Note), fixture::entry(8, EventKind::Note)]),
        (1, vec![inception(), by_desk]),
        (1, vec![inception(), started(1, "a", "")]),
        (2, vec![inception(), started(1, "a", "1"), started(2, "b", "1")]),
        (2, vec![inception(), started(1, "a", "1"), started(2, "a", "2")]),
        (1, vec![inception(), fixture::entry(1, EventKind::Settled)]),
    ];
    for event in [EventKind::Settled, EventKind::Held, EventKind::Released, EventKind::Committing] {
        bad.push((2, vec![inception(), started(1, "a", "1"), about(2, event, "b")]));
        bad.push((1, vec![inception(), about(1, event, "a"), started(2, "a", "1")]));
    }
    for (i, (at, entries)) in bad.into_iter().enumerate() {
        match run(entries) {
            Err(Error::AtEntry { index, source }) => {
                assert!(index == at && matches!(*source, Error::Rule(_)), "{i}: {index} {source}");
            }
            other => panic!("{i}: {other:?}"),
        }
    }
}

#[test]
fn erased_contents_leave_the_log_verifiable() {
    let (mut log, _) = fixture::log(10);
    let first = Entry::parse(&crate::Log::entry(&log, 1).unwrap()).unwrap().contents[0].commitment;
    log.erase(&first);
    assert!(matches!(deep(&log), Err(Error::Unopened { index: 1, .. })));
    let partial = Options { contents: Contents::Partial, ..Options::default() };
    let files = export_to_memory(&log.note(), &log, true).unwrap();
    assert_eq!(check(&files, &partial).unwrap().unopened, 1);

    let mut erased = fixture::entry(10, EventKind::Erased);
    erased.digests.insert("artifact".into(), first);
    log.append(&erased);
    let report = deep(&log).unwrap();
    assert_eq!((report.opened, report.erased, report.unopened), (5, 1, 0));
}

#[test]
fn foreign_moved_and_repeated_contents() {
    let (log, _) = fixture::log(10);
    let files = export_to_memory(&log.note(), &log, true).unwrap();
    let lines: Vec<String> =
        String::from_utf8(files[CONTENTS].clone()).unwrap().lines().map(|line| format!("{line}\n")).collect();
    let partial = Options { contents: Contents::Partial, ..Options::default() };
    let with = |lines: &[String]| {
        let mut files = files.clone();
        files.insert(CONTENTS.into(), lines.concat().into_bytes());
        files
    };
    check(&with(&lines[1..]), &partial).unwrap();
    check(&with(&[]), &partial).unwrap();
    let foreign = crate::Opening::new([3; 32], b"foreign".to_vec()).unwrap().to_line();
    for at in 0..=lines.len() {
        let mut more = lines.clone();
        more.insert(at, foreign.clone());
        let error = check(&with(&more), &partial).unwrap_err();
        assert!(error.to_string().contains("no entry commits"), "{error}");
    }
    let mut swapped = lines.clone();
    swapped.swap(0, 1);
    assert!(check(&with(&swapped), &partial).is_err());
    // The same line again, wherever it stands.
    for at in 0..=lines.len() {
        let mut more = lines.clone();
        more.insert(at, lines[2].clone());
        assert!(check(&with(&more), &partial).is_err());
    }
    let absent = Options { contents: Contents::Absent, ..Options::default() };
    assert!(matches!(check(&files, &absent), Err(Error::Unexpected(path)) if path == CONTENTS));
}

#[test]
fn the_callback_sees_entries_in_order_and_can_refuse() {
    let (log, key) = fixture::log(10);
    let files = export_to_memory(&log.note(), &log, true).unwrap();
    let (mut seen, mut opened) = (Vec::new(), 0);
    verify_log(&files, &key, &Options::default(), &mut |index, entry, contents| {
        seen.push((index, entry.event));
        opened += contents.len();
        assert!(contents.iter().all(|one| one.name == "artifact" || one.name == "effect"));
        Ok(())
    })
    .unwrap();
    assert_eq!((seen.len(), opened), (10, 6));
    let refused = verify_log(&files, &key, &Options::default(), &mut |index, _, _| {
        if index == 4 { Err("the signature does not hold".into()) } else { Ok(()) }
    });
    assert_eq!(refused.unwrap_err().to_string(), "entry 4: the signature does not hold");
}
