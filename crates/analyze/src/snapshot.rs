//! A target's schema at one moment, with what was made of the artifacts that were held against it.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use artifact::catalog::Catalog;
use artifact::{Artifact, Digest, Kind};

use crate::{Analysis, analyze};

/// Most analyses kept. An agent checks an artifact, hands it in, and asks again; few are looked at for longer.
const KEPT: usize = 256;
/// Most bytes of an artifact whose analysis is kept.
const BYTES_MAX: usize = 16 * 1024;

/// The catalog is never changed, so the same bytes mean the same as long as it lives.
#[derive(Debug)]
pub struct Snapshot {
    catalog: Catalog,
    known: Mutex<HashMap<(Kind, Digest), Analysis>>,
}

impl From<Catalog> for Snapshot {
    fn from(catalog: Catalog) -> Self {
        Self { catalog, known: Mutex::default() }
    }
}

impl Deref for Snapshot {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.catalog
    }
}

impl Snapshot {
    /// [`analyze`], remembered by kind and digest of the bytes.
    pub fn analyze(&self, artifact: &Artifact) -> Analysis {
        let key = (artifact.kind(), artifact.digest());
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let analysis = analyze(artifact, &self.catalog);
        if artifact.text().len() <= BYTES_MAX {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= KEPT {
                known.clear();
            }
            known.insert(key, analysis.clone());
        }
        analysis
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::catalog::{Column, Relation};

    fn of(kind: Kind, text: &str) -> Artifact {
        Artifact::new(kind, text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_is_remembered_is_what_is_found() {
        let table = |name: &str| Relation {
            name: name.into(),
            columns: vec![Column { name: "id".into(), type_name: "int".into(), ..Column::default() }],
            ..Relation::default()
        };
        let catalog = Catalog {
            search_path: vec!["public".into()],
            relations: vec![table("public.a"), table("public.b")],
            ..Catalog::default()
        };
        let snapshot = Snapshot::from(catalog.clone());
        let texts =
            ["SELECT id FROM a", "SELECT id FROM b", "DELETE FROM a WHERE id = 1", "SELECT nothing FROM a", "no"];
        for _ in 0..2 {
            for text in texts {
                for kind in [Kind::SqlPostgresql, Kind::SqlMariadb] {
                    let artifact = of(kind, text);
                    assert_eq!(snapshot.analyze(&artifact), analyze(&artifact, &catalog), "{kind:?} {text}");
                }
            }
        }
        // Another schema is another snapshot, so nothing is taken from the first.
        let without = Snapshot::from(Catalog { relations: vec![table("public.b")], ..catalog });
        assert!(snapshot.analyze(&of(Kind::SqlPostgresql, texts[0])).understood);
        assert!(!without.analyze(&of(Kind::SqlPostgresql, texts[0])).understood);
    }

    #[test]
    fn the_memory_has_an_end() {
        let snapshot = Snapshot::from(Catalog::default());
        for n in 0..2 * KEPT + 7 {
            snapshot.analyze(&of(Kind::SqlPostgresql, &format!("SELECT {n}")));
            assert!(snapshot.known.lock().unwrap().len() <= KEPT);
        }
        let long = format!("SELECT '{}'", "x".repeat(BYTES_MAX));
        let before = snapshot.known.lock().unwrap().len();
        snapshot.analyze(&of(Kind::SqlPostgresql, &long));
        assert_eq!(snapshot.known.lock().unwrap().len(), before);
    }
}
