//! SQLite: the engine itself says what a statement would do.
//!
//! The target's schema is rebuilt, empty, in memory; the statement is prepared there and never run; the engine's
//! authorizer callback names every action, those of views, triggers and foreign keys included. [`action`] turns actions
//! into claims. What the callback does not name (rows that REPLACE removes, VACUUM, whether every row is hit) is found
//! from the tokens.

pub mod action;
mod functions;
mod scan;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use artifact::catalog::Catalog;
use artifact::effect::Verb;
use artifact::{Kind, visible};
use reading::bound::{PARAMETERS_MAX, ParameterType};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, Error, Statement};

use crate::draft::{Draft, quoted};
use crate::lexer::{Lexeme, Token, lexemes};
use crate::{Code, MAX_PARSED_BYTES};
use action::{Step, step};
use scan::Scan;

/// Most `CREATE` statements of a schema that are rebuilt.
const MAX_DDL: usize = 20_000;
/// Most actions recorded of one statement.
const MAX_STEPS: usize = 100_000;
/// Virtual machine steps the schema may take to rebuild, in thousands.
const MAX_REBUILD_KILO_STEPS: u32 = 50_000;

/// Tables the engine brings along that may be read.
const OWN_TABLES: &[&str] =
    &["main.sqlite_master", "main.sqlite_schema", "main.sqlite_sequence", "main.json_each", "main.json_tree"];

/// A step and the innermost trigger or view it comes from.
struct Recorded {
    step: Step,
    accessor: Option<String>,
}

pub(crate) fn analyze_into(text: &str, catalog: &Catalog, draft: &mut Draft) {
    let scan = Scan::of(text);
    if scan.is_empty() {
        return draft.note(Code::EmptyStatement, None, "There is no statement.");
    }
    let rebuilt = match Rebuilt::of(catalog) {
        Ok(rebuilt) => rebuilt,
        Err(why) => {
            return draft.note(Code::CatalogUnusable, None, format!("The target's schema cannot be rebuilt: {why}."));
        }
    };
    let connection = &rebuilt.connection;
    let steps: Arc<Mutex<Vec<Recorded>>> = Arc::default();
    let sink = Arc::clone(&steps);
    let record = move |context: AuthContext<'_>| {
        let mut steps = sink.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() >= MAX_STEPS {
            return Authorization::Deny;
        }
        steps.push(Recorded { step: step(&context), accessor: context.accessor.map(str::to_owned) });
        Authorization::Allow
    };
    if connection.authorizer(Some(record)).is_err() {
        return draft.note(Code::CatalogUnusable, None, "The engine does not take the authorizer.");
    }
    draft.statements = 1;
    let mut readonly = true;
    match connection.prepare(text) {
        Ok(statement) => {
            readonly = statement.readonly();
            parameters(&statement, text, draft);
        }
        Err(Error::MultipleStatement) => {
            draft.statements = 2;
            draft.note(Code::MultiStatement, None, "There is more than one statement.");
        }
        Err(error) => {
            let short: String = error.to_string().chars().take(200).collect();
            draft.note(Code::SyntaxError, None, format!("SQLite says: {}.", visible(&short)));
        }
    }
    // Taken before the next look at the connection, which is recorded as well.
    let steps = std::mem::take(&mut *steps.lock().unwrap_or_else(PoisonError::into_inner));
    claim(&steps, &scan, catalog, &rebuilt.names, draft);
    replaced(&steps, &scan, catalog, draft);
    if let Some(what) = scan.server_statement() {
        draft.note(Code::ServerControl, None, format!("{what} rewrites or empties whole files."));
    }
    if !readonly && draft.effect.relations.iter().all(|r| r.verbs.iter().all(|v| *v == Verb::Read)) {
        draft.note(Code::UnknownAction, None, "The statement writes, but names nothing that it writes.");
    }
    if draft.is_understood() {
        rebuilt.keep();
    }
}

/// Which values the statement uses, as the engine numbers them.
fn parameters(statement: &Statement<'_>, text: &str, draft: &mut Draft) {
    let count = statement.parameter_count();
    if count == 0 && draft.given.is_empty() {
        return;
    }
    let names: Vec<Option<&str>> = (1..=count.min(PARAMETERS_MAX + 1)).map(|n| statement.parameter_name(n)).collect();
    if names.iter().flatten().any(|name| !name.starts_with('?')) {
        draft.note(Code::Parameter, None, "A parameter has a name; write `?` or `?1`.");
    }
    (1..=names.len()).for_each(|number| draft.use_parameter(number, None));
    // `?5` alone makes the engine count to five.
    let all = lexemes(text, Kind::SqlSqlite);
    let is = |l: &Lexeme, token| l.token == token && (token != Token::Symbol || text.get(l.start..l.end) == Some("?"));
    let plain = (0..all.len())
        .filter(|&at| is(&all[at], Token::Symbol) && !all.get(at + 1).is_some_and(|next| is(next, Token::Number)))
        .count();
    if names.iter().filter(|name| name.is_none()).count() != plain {
        draft.note(Code::Parameter, None, "The numbers of the parameters leave one out.");
    }
    if draft.given.contains(&ParameterType::Numeric) {
        draft.note(Code::Parameter, None, "SQLite has no type numeric; use integer, double or text.");
    }
}

thread_local! {
    /// The last schema rebuilt on this thread.
    static LAST: RefCell<Option<Rebuilt>> = const { RefCell::new(None) };
}

/// A schema ready for questions, and what it was made of.
struct Rebuilt {
    ddl: Vec<String>,
    connection: Connection,
    names: Names,
}

impl Rebuilt {
    /// The one kept from the last analysis if it is of the same schema, to the byte; else a new one.
    fn of(catalog: &Catalog) -> Result<Self, String> {
        let kept = LAST.with(RefCell::take).filter(|last| last.ddl == catalog.ddl);
        kept.map_or_else(
            || {
                let connection = rebuild(catalog)?;
                let names = Names::of(&connection);
                Ok(Self { ddl: catalog.ddl.clone(), connection, names })
            },
            Ok,
        )
    }

    /// Keeps it for the next analysis. Only after a statement that was understood wholly: preparing one changes nothing, but
    /// preparing a PRAGMA may.
    fn keep(self) {
        if self.connection.authorizer(Some(only_definitions)).is_ok() {
            LAST.with(|last| last.replace(Some(self)));
        }
    }
}

/// Names of what the rebuilt schema has.
struct Names {
    triggers: BTreeSet<String>,
    views: BTreeSet<String>,
    relations: BTreeSet<String>,
}

impl Names {
    fn of(connection: &Connection) -> Self {
        let read = |kind: &str| -> BTreeSet<String> {
            let sql = "select lower(name) from main.sqlite_schema where type = ?1";
            let rows = connection.prepare(sql).and_then(|mut statement| {
                statement.query_map([kind], |row| row.get::<_, String>(0))?.collect::<Result<_, _>>()
            });
            rows.unwrap_or_default()
        };
        let views = read("view");
        let relations = read("table").union(&views).cloned().collect();
        Self { triggers: read("trigger"), views, relations }
    }
}

/// The schema, empty, in memory, with everything switched off that a statement might use to reach further.
fn rebuild(catalog: &Catalog) -> Result<Connection, String> {
    let shown = |error: Error| visible(&error.to_string().chars().take(160).collect::<String>());
    let connection = Connection::open_in_memory().map_err(shown)?;
    let limits = [
        (Limit::SQLITE_LIMIT_LENGTH, 16 * 1024 * 1024),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, i32::try_from(MAX_PARSED_BYTES).unwrap_or(i32::MAX).saturating_add(1024)),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 400),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 200),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 50),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ];
    for (limit, value) in limits {
        connection.set_limit(limit, value).map_err(shown)?;
    }
    let switches = [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, true),
        // Foreign keys on: what they carry along is reported whether or not the target has them on.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        // A misspelled column in double quotes is an error, not a text.
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    ];
    for (switch, on) in switches {
        connection.set_db_config(switch, on).map_err(shown)?;
    }
    let mut kilo_steps = 0_u32;
    let budget = move || {
        kilo_steps += 1;
        kilo_steps > MAX_REBUILD_KILO_STEPS
    };
    connection.progress_handler(1000, Some(budget)).map_err(shown)?;
    connection.authorizer(Some(only_definitions)).map_err(shown)?;
    if catalog.ddl.len() > MAX_DDL {
        return Err(format!("it has {} statements, the limit is {MAX_DDL}", catalog.ddl.len()));
    }
    for ddl in &catalog.ddl {
        if is_own_table(ddl) {
            continue;
        }
        match connection.execute(ddl, []) {
            Ok(_) => {}
            // A virtual table makes its own shadow tables, which the snapshot lists as well. Left out is never too
            // little: a name that is not there is not understood.
            Err(error) if is_made_by_engine(&error.to_string()) => {}
            Err(error) => return Err(shown(error)),
        }
    }
    Ok(connection)
}

/// While the schema is rebuilt: definitions only, so that a hostile snapshot can neither compute nor reach anything.
fn only_definitions(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::Pragma { .. }
        | AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. }
        | AuthAction::Recursive
        | AuthAction::Unknown { .. } => Authorization::Deny,
        AuthAction::Function { function_name } if functions::judge(function_name) == functions::Judgment::Refused => {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    }
}

fn is_made_by_engine(message: &str) -> bool {
    message.contains("already exists") || message.starts_with("object name reserved for internal use")
}

/// `sqlite_sequence`, `sqlite_stat1` and the like, which only the engine makes.
fn is_own_table(ddl: &str) -> bool {
    let mut words = ddl.split(|c: char| c.is_whitespace() || c == '(').filter(|w| !w.is_empty());
    let own = |name: &str| name.trim_matches(['"', '\'', '`', '[']).to_ascii_lowercase().starts_with("sqlite_");
    words.next().is_some_and(|w| w.eq_ignore_ascii_case("create"))
        && words.next().is_some_and(|w| w.eq_ignore_ascii_case("table"))
        && words.next().is_some_and(own)
}

fn claim(steps: &[Recorded], scan: &Scan<'_>, catalog: &Catalog, names: &Names, draft: &mut Draft) {
    let defines = steps.iter().any(|r| matches!(r.step, Step::Define { .. }));
    let mut fired = BTreeSet::new();
    for recorded in steps {
        if let Some(accessor) = &recorded.accessor {
            if names.triggers.contains(&accessor.to_lowercase()) {
                fired.insert(accessor.clone());
            } else if names.views.contains(&accessor.to_lowercase()) {
                draft.note(Code::ViewRead, None, format!("{} is a view.", quoted(accessor)));
            }
        }
        match &recorded.step {
            Step::Nothing => {}
            // Every definition reads the schema; a query of it is claimed like any other.
            Step::Read { relation, .. } if defines && action::is_schema_table(bare(relation)) => {}
            Step::Read { relation, column } => read(relation, column, scan, names, draft),
            Step::Insert { relation } => {
                draft.claim_write(relation, Verb::Insert, "*");
            }
            Step::Update { relation, column } => draft.claim_write(relation, Verb::Update, column),
            Step::Delete { relation } => draft.claim(relation, Verb::Delete),
            Step::Define { relation } => {
                draft.claim(relation, Verb::Define);
                draft.note(Code::Ddl, None, "The schema is changed.");
            }
            Step::SchemaTable if defines => {}
            Step::SchemaTable => {
                draft.note(Code::SchemaTableWrite, None, "The schema table is written directly.");
            }
            Step::Call { function } => call(function, draft),
            Step::Refuse { code, what } => draft.note(*code, None, format!("{} is refused.", visible(what))),
        }
    }
    for trigger in &fired {
        draft.note(Code::TriggerFires, None, format!("The trigger {} fires.", quoted(trigger)));
    }
    // Only what the statement itself hits, not what triggers and foreign keys add.
    if let Some(verb) = scan.hits_every_row() {
        let own = steps.iter().filter(|r| r.accessor.is_none()).find_map(|r| match (&r.step, verb) {
            (Step::Update { relation, .. }, Verb::Update) | (Step::Delete { relation }, Verb::Delete) => Some(relation),
            _ => None,
        });
        if let Some(relation) = own {
            draft.all_rows.insert(relation.clone());
            draft.note(Code::NoWhere, None, format!("Every row of {} is hit.", quoted(relation)));
        }
    }
    for relation in &catalog.relations {
        let cascades = !relation.cascades_to.is_empty();
        let hit = draft.effect.relation(&relation.name).is_some_and(|r| r.verbs.contains(&Verb::Delete));
        if cascades && hit {
            draft.note(Code::Cascades, None, format!("Foreign keys carry changes of {} on.", quoted(&relation.name)));
            for next in &relation.cascades_to {
                draft.claim_write(next, Verb::Update, "*");
                draft.claim(next, Verb::Delete);
            }
        }
    }
}

fn read(relation: &str, column: &str, scan: &Scan<'_>, names: &Names, draft: &mut Draft) {
    let bare = relation.strip_prefix("main.").unwrap_or(relation).to_lowercase();
    let known = names.relations.contains(&bare) || OWN_TABLES.contains(&relation.to_lowercase().as_str());
    if bare.starts_with("pragma_") && !known {
        draft.note(Code::PragmaStatement, None, format!("{} is a PRAGMA in another form.", quoted(relation)));
    } else if !(known || column.is_empty() && scan.defines_cte(&bare)) {
        draft.note(Code::UnknownRelation, None, format!("The target has no relation {}.", quoted(relation)));
    }
    if column.is_empty() {
        draft.claim(relation, Verb::Read);
    } else {
        draft.claim_read(relation, column);
    }
}

/// The name without the database in front.
fn bare(relation: &str) -> &str {
    relation.split_once('.').map_or(relation, |(_, name)| name)
}

fn call(function: &str, draft: &mut Draft) {
    use functions::Judgment;
    match functions::judge(function) {
        // Only the engine's own code for ALTER TABLE can call these.
        Judgment::Internal => return,
        Judgment::Pure => {}
        Judgment::Refused => {
            draft.note(Code::DangerousFunction, None, format!("{} reaches beyond the statement.", quoted(function)));
        }
        Judgment::Unknown => {
            draft.note(
                Code::UnknownFunction,
                None,
                format!("{} is not one of SQLite's own pure functions.", quoted(function)),
            );
        }
    }
    draft.effect.functions.push(function.to_lowercase());
}

/// REPLACE removes the rows in its way without the engine naming that: claimed for every relation written, if REPLACE
/// stands in the statement, in a trigger that fires, or in the definition of the relation.
fn replaced(steps: &[Recorded], scan: &Scan<'_>, catalog: &Catalog, draft: &mut Draft) {
    let writes: BTreeSet<(&String, Option<&String>)> = steps
        .iter()
        .filter_map(|r| match &r.step {
            Step::Insert { relation } | Step::Update { relation, .. } => Some((relation, r.accessor.as_ref())),
            _ => None,
        })
        .collect();
    let defined_with_replace =
        |name: &str| catalog.ddl.iter().any(|d| scan::defines(d, name) && Scan::of(d).replaces());
    let hit = writes.into_iter().filter(|(relation, accessor)| {
        accessor.map_or_else(|| scan.replaces(), |name| defined_with_replace(name))
            || defined_with_replace(bare(relation))
    });
    let hit: BTreeSet<String> = hit.map(|(relation, _)| relation.clone()).collect();
    for relation in hit {
        draft.claim(&relation, Verb::Delete);
        draft.note(Code::ReplacesRows, None, format!("Rows of {} that are in the way are deleted.", quoted(&relation)));
    }
}
