use super::*;
use crate::fixture;
use crate::verify::Contents;

fn verify(dir: &Path) -> Result<Report, Error> {
    let key = VerifierKey::of(fixture::NAME, &fixture::key()).unwrap();
    verify_dir(dir, &key, &Options::default(), &mut |_, _, _| Ok(()))
}

#[test]
fn grows_step_by_step_and_verifies_at_each() {
    let dir = tempfile::tempdir().unwrap();
    for size in [1, 2, 60, 256, 257, 300, 300, 600] {
        let (log, _) = fixture::log(size);
        let done = export(dir.path(), &log.note(), &log, true).unwrap();
        assert_eq!(done.entries, size);
        assert_eq!(verify(dir.path()).unwrap().entries, size);
        let expected = export_to_memory(&log.note(), &log, true).unwrap();
        let mut found = BTreeMap::new();
        let source = Directory::new(dir.path());
        source
            .files(&mut |path| {
                let mut bytes = Vec::new();
                source.read(path, 1 << 24, &mut bytes)?;
                found.insert(path.to_owned(), bytes);
                Ok(())
            })
            .unwrap();
        assert_eq!(found, expected);
    }
    let (shorter, _) = fixture::log(300);
    assert!(matches!(
        export(dir.path(), &shorter.note(), &shorter, true),
        Err(Error::CutBack { size: 300, earlier: 600 })
    ));

    // Without contents, the contents of before go.
    let (log, key) = fixture::log(600);
    assert_eq!(export(dir.path(), &log.note(), &log, false).unwrap().tree_files, 0);
    assert!(matches!(verify(dir.path()), Err(Error::Missing(path)) if path == CONTENTS));
    let absent = Options { contents: Contents::Absent, ..Options::default() };
    verify_dir(dir.path(), &key, &absent, &mut |_, _, _| Ok(())).unwrap();
}

#[test]
fn mends_what_a_crash_left() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = fixture::log(60);
    export(dir.path(), &log.note(), &log, true).unwrap();
    fs::write(dir.path().join(UNFINISHED), b"half").unwrap();
    fs::create_dir_all(dir.path().join("tile/0/000.p")).unwrap();
    fs::write(dir.path().join("tile/0/000.p/61"), b"of a checkpoint never written").unwrap();
    assert!(matches!(verify(dir.path()), Err(Error::Unexpected(_))));
    export(dir.path(), &log.note(), &log, true).unwrap();
    verify(dir.path()).unwrap();
}

#[test]
fn anything_else_in_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = fixture::log(60);
    export(dir.path(), &log.note(), &log, true).unwrap();
    for extra in ["README", "tile/0/001", "tile/entries/000", "tile/0/000.p/59", "tile/1/000.p/1", ".hidden"] {
        let file = dir.path().join(extra);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, b"x").unwrap();
        assert!(matches!(verify(dir.path()), Err(Error::Unexpected(path)) if path == extra), "{extra}");
        fs::remove_file(dir.path().join(extra)).unwrap();
    }
    verify(dir.path()).unwrap();
    #[cfg(unix)]
    {
        let real = dir.path().join(CONTENTS);
        let elsewhere = tempfile::tempdir().unwrap();
        let copy = elsewhere.path().join("copy");
        fs::rename(&real, &copy).unwrap();
        std::os::unix::fs::symlink(&copy, &real).unwrap();
        assert!(matches!(verify(dir.path()), Err(Error::Unexpected(path)) if path == CONTENTS));
    }
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join(CHECKPOINT), log.note().replace("example.com/log", "example.com/other")).unwrap();
    assert!(matches!(export(other.path(), &log.note(), &log, true), Err(Error::Note(_))));
}
