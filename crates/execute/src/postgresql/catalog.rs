//! What a PostgreSQL database says about itself. A handful of queries, whatever the number of relations.

use artifact::Effect;
use artifact::catalog::{Cascade, Catalog, Column, Function, Operator, Relation, RelationKind, Volatility};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgConnection;
use wire::order::{FailCode, Report};
use wire::target::{Address, Registration, Rights};

use super::session::{literal, login, strings};
use crate::child::failed;

/// One row for each relation, as JSON, so that no name can look like a separator. Of the server's own relations only the
/// columns are asked for.
const RELATIONS: &str = "
SELECT json_build_object(
  'name', n.nspname || '.' || c.relname, 'kind', c.relkind, 'rows', greatest(c.reltuples, -1)::int8, 'row_security', c.relrowsecurity,
  'columns', coalesce((SELECT json_agg(json_build_object('name', a.attname, 'type_name', format_type(a.atttypid, a.atttypmod), 'generated', a.attgenerated <> '', 'default',
      CASE WHEN own THEN NULL WHEN a.attidentity <> ''
           THEN 'nextval(' || quote_literal((SELECT quote_ident(sn.nspname) || '.' || quote_ident(sc.relname) FROM pg_depend sd
             JOIN pg_class sc ON sc.oid = sd.objid AND sc.relkind = 'S' JOIN pg_namespace sn ON sn.oid = sc.relnamespace
             WHERE sd.classid = 'pg_class'::regclass AND sd.refclassid = 'pg_class'::regclass AND sd.refobjid = c.oid AND sd.refobjsubid = a.attnum AND sd.deptype = 'i' LIMIT 1)) || '::regclass)'
           ELSE (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum) END) ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
  'key', CASE WHEN own THEN '[]' ELSE coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary), '[]') END,
  'triggers', CASE WHEN own THEN '[]' ELSE coalesce((SELECT json_agg(json_build_array(t.tgname, pg_get_triggerdef(t.oid)) ORDER BY t.tgname)
    FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'), '[]') END,
  'rules', CASE WHEN own THEN '[]' ELSE coalesce((SELECT json_agg(w.rulename ORDER BY w.rulename)
    FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN'), '[]') END,
  'checks', CASE WHEN own THEN '[]' ELSE coalesce((SELECT json_agg(x.sql) FROM (
      SELECT pg_get_expr(k.conbin, k.conrelid) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'
      UNION ALL SELECT pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polqual IS NOT NULL
      UNION ALL SELECT pg_get_expr(p.polwithcheck, p.polrelid) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polwithcheck IS NOT NULL) x(sql)), '[]') END,
  'cascades_to', CASE WHEN own THEN '[]' ELSE coalesce((SELECT json_agg(DISTINCT fn.nspname || '.' || fc.relname) FROM pg_constraint k
      JOIN pg_class fc ON fc.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = fc.relnamespace
      WHERE k.confrelid = c.oid AND k.contype = 'f' AND (k.confdeltype IN ('c','n','d') OR k.confupdtype IN ('c','n','d'))), '[]') END,
  'cascades', CASE WHEN own THEN '[]' ELSE coalesce((SELECT json_agg(json_build_object('to', fn.nspname || '.' || fc.relname,
      'columns', (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)),
      'on', (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = k.confrelid AND a.attnum = ANY (k.confkey)),
      'on_delete', CASE WHEN k.confdeltype = 'c' THEN 'delete' WHEN k.confdeltype IN ('n', 'd') THEN 'set' ELSE 'nothing' END,
      'on_update', CASE WHEN k.confupdtype IN ('c', 'n', 'd') THEN 'set' ELSE 'nothing' END))
      FROM pg_constraint k JOIN pg_class fc ON fc.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = fc.relnamespace
      WHERE k.confrelid = c.oid AND k.contype = 'f' AND (k.confdeltype IN ('c','n','d') OR k.confupdtype IN ('c','n','d'))), '[]') END,
  'definition', CASE WHEN own OR c.relkind NOT IN ('v', 'm') THEN NULL ELSE pg_get_viewdef(c.oid) END,
  'reads_from', CASE WHEN own OR c.relkind NOT IN ('v', 'm') THEN '[]' ELSE coalesce((
    WITH RECURSIVE uses(oid) AS (
      SELECT DISTINCT d.refobjid FROM pg_rewrite w JOIN pg_depend d ON d.objid = w.oid AND d.classid = 'pg_rewrite'::regclass
        AND d.refclassid = 'pg_class'::regclass WHERE w.ev_class = c.oid AND d.refobjid <> c.oid
      UNION
      SELECT d.refobjid FROM uses u JOIN pg_rewrite w ON w.ev_class = u.oid JOIN pg_depend d ON d.objid = w.oid
        AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass WHERE d.refobjid <> u.oid)
    SELECT json_agg(DISTINCT un.nspname || '.' || uc.relname) FROM uses u JOIN pg_class uc ON uc.oid = u.oid
      JOIN pg_namespace un ON un.oid = uc.relnamespace), '[]') END)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT n.nspname IN ('pg_catalog', 'information_schema')) o(own)
WHERE c.relkind IN ('r','p','v','m','f','S') AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%' /* only */
ORDER BY own, n.nspname, c.relname LIMIT 5000";

/// One row for each name. A definition is given where the text says all: SQL or PL/pgSQL, under the session's settings.
const FUNCTIONS: &str = "
SELECT json_build_object(
  'name', n.nspname || '.' || p.proname,
  'volatility', max(CASE p.provolatile WHEN 'i' THEN 0 WHEN 's' THEN 1 ELSE 2 END),
  'security_definer', bool_or(p.prosecdef),
  'user_code', bool_or(l.lanname NOT IN ('internal', 'c') OR (l.lanname = 'sql' AND NOT own)),
  'definitions', coalesce(json_agg(pg_get_functiondef(p.oid)) FILTER (WHERE told), '[]'),
  'opaque', bool_or(NOT own AND NOT told AND p.prokind <> 'a'),
  'calls', coalesce((SELECT json_agg(DISTINCT gn.nspname || '.' || g.proname) FROM pg_proc g JOIN pg_namespace gn ON gn.oid = g.pronamespace
     WHERE g.oid = ANY (array_agg(a.aggtransfn::oid) || array_agg(a.aggfinalfn::oid) || array_agg(a.aggcombinefn::oid) || array_agg(a.aggserialfn::oid)
       || array_agg(a.aggdeserialfn::oid) || array_agg(a.aggmtransfn::oid) || array_agg(a.aggminvtransfn::oid) || array_agg(a.aggmfinalfn::oid))), '[]'))::text
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid AND n.nspname <> 'pg_catalog'
CROSS JOIN LATERAL (SELECT n.nspname IN ('pg_catalog', 'information_schema')) o(own)
CROSS JOIN LATERAL (SELECT NOT own AND l.lanname IN ('sql', 'plpgsql') AND p.prokind <> 'a' AND p.proconfig IS NULL AND length(p.prosrc) <= 65536) t(told)
WHERE n.nspname NOT LIKE 'pg\\_temp%' /* only */
GROUP BY n.nspname, p.proname LIMIT 20000";

/// Operators of users, with what they call.
const OPERATORS: &str = "
SELECT json_build_object('name', n.nspname || '.' || o.oprname, 'calls', json_agg(DISTINCT pn.nspname || '.' || p.proname))::text
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace JOIN pg_proc p ON p.oid = o.oprcode JOIN pg_namespace pn ON pn.oid = p.pronamespace
WHERE n.nspname <> 'pg_catalog' GROUP BY n.nspname, o.oprname LIMIT 5000";

#[derive(Deserialize)]
struct RelationRow {
    name: String,
    kind: String,
    rows: i64,
    row_security: bool,
    columns: Vec<Column>,
    key: Vec<String>,
    triggers: Vec<(String, String)>,
    rules: Vec<String>,
    checks: Vec<String>,
    cascades_to: Vec<String>,
    cascades: Vec<Cascade>,
    definition: Option<String>,
    reads_from: Vec<String>,
}

#[derive(Deserialize)]
struct FunctionRow {
    name: String,
    volatility: u8,
    security_definer: bool,
    user_code: bool,
    definitions: Vec<String>,
    opaque: bool,
    calls: Vec<String>,
}

async fn rows<T: DeserializeOwned>(db: &mut PgConnection, sql: &str) -> Result<Vec<T>, Report> {
    let read = |text: &String| serde_json::from_str(text);
    let rows: Result<_, _> = strings(db, sql).await?.iter().map(read).collect();
    rows.map_err(|error| {
        failed(FailCode::StatementFailed, &format!("the server's own tables have another form: {error}"))
    })
}

/// Reads the schema.
pub(crate) async fn read(target: &Registration, credential: &[u8]) -> Result<Catalog, Report> {
    let mut db = login(target, credential).await?;
    let version = strings(&mut db, "SELECT current_setting('server_version')").await?.pop().unwrap_or_default();
    let relations = rows::<RelationRow>(&mut db, RELATIONS).await?.into_iter().map(relation).collect();
    let functions = rows::<FunctionRow>(&mut db, FUNCTIONS).await?.into_iter().map(function).collect();
    let operators = rows::<Operator>(&mut db, OPERATORS).await?;
    let Address::Postgresql { search_path, rights, .. } = &target.address else { return Ok(Catalog::default()) };
    let search_path = search_path.clone();
    let mints = if *rights == Rights::MintedIfPossible {
        let may = "SELECT rolcreaterole::text FROM pg_catalog.pg_roles WHERE rolname = session_user";
        Some(strings(&mut db, may).await? == ["true"])
    } else {
        None
    };
    let mut catalog = Catalog { version, mints, search_path, relations, functions, operators, ..Catalog::default() };
    catalog.sort();
    Ok(catalog)
}

/// What the relations and functions that an effect names look like now, as the session that runs it sees them.
pub(super) async fn now(db: &mut PgConnection, effect: &Effect) -> Result<Catalog, Report> {
    let only = |sql: &str, name: &str, names: Vec<String>| {
        sql.replace("/* only */", &format!("AND n.nspname || '.' || {name} IN ({})", names.join(", ")))
    };
    let relations: Vec<String> = effect.relations.iter().map(|used| literal(&used.name)).collect();
    let functions: Vec<String> =
        effect.functions.iter().filter(|name| name.contains('.')).map(|name| literal(name)).collect();
    let mut catalog = Catalog::default();
    if !relations.is_empty() {
        let found = rows::<RelationRow>(db, &only(RELATIONS, "c.relname", relations)).await?;
        catalog.relations = found.into_iter().map(relation).collect();
    }
    if !functions.is_empty() {
        let found = rows::<FunctionRow>(db, &only(FUNCTIONS, "p.proname", functions)).await?;
        catalog.functions = found.into_iter().map(function).collect();
    }
    catalog.sort();
    Ok(catalog)
}

fn relation(row: RelationRow) -> Relation {
    let (triggers, trigger_definitions) = row.triggers.into_iter().unzip();
    Relation {
        name: row.name,
        kind: match row.kind.as_str() {
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::Foreign,
            "S" => RelationKind::Sequence,
            _ => RelationKind::Table,
        },
        columns: row.columns,
        key: row.key,
        commits_alone: false,
        // -1: never analyzed.
        rows_estimate: u64::try_from(row.rows).ok(),
        triggers,
        rules: row.rules,
        row_security: row.row_security,
        cascades_to: row.cascades_to,
        cascades: row.cascades,
        reads_from: row.reads_from,
        definition: row.definition,
        checks: row.checks,
        trigger_definitions,
    }
}

fn function(row: FunctionRow) -> Function {
    Function {
        name: row.name,
        volatility: match row.volatility {
            0 => Volatility::Immutable,
            1 => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        security_definer: row.security_definer,
        user_code: row.user_code,
        definitions: row.definitions,
        opaque: row.opaque,
        calls: row.calls,
    }
}
