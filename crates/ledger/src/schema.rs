/// A ledger made before there were budgets gets the table when it is opened.
pub(crate) const BUDGETS: &str =
    "CREATE TABLE IF NOT EXISTS budgets (key TEXT PRIMARY KEY, units INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/// Tables. An entry's event, proposal and run stand beside its body so that they can be looked up; the body is what counts.
pub(crate) const TABLES: &str = "
CREATE TABLE entries (
    idx INTEGER PRIMARY KEY, body BLOB NOT NULL, event TEXT NOT NULL, proposal TEXT, run TEXT
) STRICT;
CREATE INDEX entries_proposal ON entries (proposal, idx) WHERE proposal IS NOT NULL;
CREATE INDEX entries_run ON entries (run, idx) WHERE run IS NOT NULL;
CREATE INDEX entries_switches ON entries (idx) WHERE event IN ('stopped', 'resumed');
CREATE TABLE open_runs (run TEXT PRIMARY KEY, idx INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE task_use (task TEXT PRIMARY KEY, rows INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE nodes (level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE contents (commitment BLOB PRIMARY KEY, name TEXT NOT NULL, held INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE spent (nonce TEXT PRIMARY KEY, idx INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE grants (idx INTEGER PRIMARY KEY, claim TEXT NOT NULL, attachment TEXT, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, last_ms INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
-- What was logged stays. A bug or a hand at the database is stopped here; a determined one is found by the tree.
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT raise(ABORT, 'the log only grows'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries BEGIN SELECT raise(ABORT, 'the log only grows'); END;
CREATE TRIGGER spent_stay BEFORE UPDATE ON spent BEGIN SELECT raise(ABORT, 'spent stays spent'); END;
CREATE TRIGGER spent_remain BEFORE DELETE ON spent BEGIN SELECT raise(ABORT, 'spent stays spent'); END;
";
