/// Layout version; another one means: drop everything and fold the log again.
pub(crate) const VERSION: i64 = 8;

pub(crate) const TABLES: &str = "
CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), next INTEGER NOT NULL) STRICT;
INSERT INTO position VALUES (1, 0);

CREATE TABLE proposals (
    id TEXT NOT NULL, revision INTEGER NOT NULL, current INTEGER NOT NULL, state TEXT NOT NULL,
    task TEXT NOT NULL, session TEXT NOT NULL, agent TEXT NOT NULL, person TEXT NOT NULL,
    target TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL,
    artifact TEXT NOT NULL, pattern TEXT NOT NULL, effect TEXT NOT NULL, shown TEXT NOT NULL, purpose TEXT NOT NULL,
    decision TEXT NOT NULL, reasons TEXT NOT NULL, risk TEXT NOT NULL,
    created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
    run TEXT, affected INTEGER, reason TEXT, released TEXT, claim TEXT, signed_by TEXT,
    PRIMARY KEY (id, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX proposals_waiting ON proposals (created_ms, id) WHERE state IN ('pending', 'held', 'unknown', 'approved', 'running');
CREATE INDEX proposals_created ON proposals (created_ms, id) WHERE current = 1;
CREATE INDEX proposals_pending ON proposals (session) WHERE current = 1 AND state = 'pending';
CREATE INDEX proposals_expiry ON proposals (expires_ms) WHERE state = 'pending';
CREATE INDEX proposals_same ON proposals (task, target, digest, id) WHERE current = 1;
CREATE INDEX proposals_session ON proposals (session, created_ms) WHERE current = 1;
CREATE INDEX proposals_sibling ON proposals (target, pattern, created_ms) WHERE decision = 'ask' AND state IN ('held', 'released');
CREATE INDEX proposals_run ON proposals (run) WHERE run IS NOT NULL;

CREATE TABLE released (task TEXT NOT NULL, at_ms INTEGER NOT NULL, proposal TEXT NOT NULL, PRIMARY KEY (task, at_ms, proposal)) STRICT, WITHOUT ROWID;
CREATE TABLE vouched (task TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (task, value)) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY, pass TEXT NOT NULL UNIQUE, agent TEXT NOT NULL, person TEXT NOT NULL, task TEXT NOT NULL,
    created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, ended_ms INTEGER, bound_to TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    idx INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, event TEXT NOT NULL, actor TEXT NOT NULL,
    task TEXT, target TEXT, proposal TEXT, body TEXT NOT NULL
) STRICT;
CREATE INDEX entries_event ON entries (event, idx);
CREATE INDEX entries_actor ON entries (actor, idx);
CREATE INDEX entries_task ON entries (task, idx) WHERE task IS NOT NULL;
CREATE INDEX entries_target ON entries (target, idx) WHERE target IS NOT NULL;
CREATE INDEX entries_proposal ON entries (proposal, idx) WHERE proposal IS NOT NULL;

CREATE TABLE signals (
    idx INTEGER NOT NULL, kind TEXT NOT NULL, at_ms INTEGER NOT NULL, agent TEXT NOT NULL, person TEXT NOT NULL,
    task TEXT NOT NULL, target TEXT NOT NULL, proposal TEXT, sentence TEXT NOT NULL,
    PRIMARY KEY (idx, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX signals_lately ON signals (agent, target, kind, at_ms);
CREATE TABLE hours (agent TEXT NOT NULL, hour INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (agent, hour)) STRICT, WITHOUT ROWID;
CREATE TABLE worked (agent TEXT NOT NULL, target TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (agent, target)) STRICT, WITHOUT ROWID;
CREATE TABLE touched (agent TEXT NOT NULL, target TEXT NOT NULL, object TEXT NOT NULL, PRIMARY KEY (agent, target, object)) STRICT, WITHOUT ROWID;
CREATE TABLE given (agent TEXT NOT NULL, target TEXT NOT NULL, relation TEXT NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY (agent, target, relation)) STRICT, WITHOUT ROWID;

CREATE TABLE digests (digest TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (digest, idx)) STRICT, WITHOUT ROWID;
";
