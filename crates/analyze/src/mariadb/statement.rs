//! One statement of a kind that is followed.

use std::collections::BTreeSet;

use artifact::catalog::Catalog;
use artifact::effect::Verb;
use sqlparser::ast::{
    Assignment, AssignmentTarget, CreateTableOptions, Delete, FromTable, Insert, ObjectName, ObjectType, OnInsert,
    SelectItem, Statement, TableFactor, TableObject, TableWithJoins, Update,
};

use super::places::{all_of_named, claim as claim_reads, collect, joins};
use super::resolve::{Names, parts, reads, writes};
use crate::Code;
use crate::draft::{Draft, quoted};

/// Claims what the artifact itself does.
pub(super) fn claim(statement: &Statement, catalog: &Catalog, draft: &mut Draft) {
    let mut names = Names::new(catalog);
    match statement {
        Statement::Query(query) => {
            collect(query.as_ref(), &mut names, draft);
            claim_reads(query.as_ref(), &names, draft);
        }
        Statement::Insert(insert) => add(insert, &mut names, draft),
        Statement::Update(update) => change(update, &mut names, draft),
        Statement::Delete(delete) => remove(delete, &mut names, draft),
        other => define(other, &names, draft),
    }
}

/// Claims a view's query, or a trigger's one statement, in which `NEW` and `OLD` are a row of `row`.
pub(super) fn claim_behind(statement: &Statement, row: Option<&str>, catalog: &Catalog, draft: &mut Draft) {
    let mut names = Names::new(catalog);
    if let Some(row) = row {
        for alias in ["NEW", "OLD", "new", "old"] {
            names.alias(alias, row);
        }
    }
    match statement {
        Statement::Query(query) => {
            collect(query.as_ref(), &mut names, draft);
            claim_reads(query.as_ref(), &names, draft);
        }
        Statement::Insert(insert) if row.is_some() => add(insert, &mut names, draft),
        Statement::Update(update) if row.is_some() => change(update, &mut names, draft),
        Statement::Delete(delete) if row.is_some() => remove(delete, &mut names, draft),
        _ => draft.note(
            Code::TriggerNotFollowed,
            None,
            "What runs behind the statement is of a kind that is not followed.",
        ),
    }
}

fn odd(draft: &mut Draft, what: &str) {
    draft.note(Code::UnsupportedSyntax, None, format!("{what} with a clause that is not followed."));
}

fn returned(items: Option<&Vec<SelectItem>>, table: &str, names: &Names<'_>, draft: &mut Draft) {
    for item in items.into_iter().flatten() {
        match item {
            SelectItem::Wildcard(_) => draft.claim_read(table, "*"),
            SelectItem::QualifiedWildcard(sqlparser::ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                all_of_named(name, names, draft);
            }
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => claim_reads(expr, names, draft),
            _ => odd(draft, "RETURNING"),
        }
    }
}

fn columns_of(names: &Names<'_>, table: &str, columns: &[ObjectName], draft: &mut Draft) -> Vec<String> {
    let among = BTreeSet::from([table.to_owned()]);
    columns.iter().flat_map(|column| names.target(column, &among, draft)).map(|(_, column)| column).collect()
}

fn add(insert: &Insert, names: &mut Names<'_>, draft: &mut Draft) {
    let plain = insert.optimizer_hints.is_empty()
        && insert.or.is_none()
        && insert.table_alias.is_none()
        && !insert.overwrite
        && insert.partitioned.is_none()
        && insert.after_columns.is_empty()
        && insert.output.is_none()
        && insert.insert_alias.is_none()
        && insert.settings.is_none()
        && insert.format_clause.is_none()
        && insert.multi_table_insert_type.is_none();
    if !plain {
        odd(draft, "INSERT");
    }
    let TableObject::TableName(name) = &insert.table else { return odd(draft, "INSERT") };
    let Some(table) = names.relation(name, draft) else { return };
    if let Some(source) = &insert.source {
        collect(source.as_ref(), names, draft);
        claim_reads(source.as_ref(), names, draft);
    }
    let mut columns = columns_of(names, &table, &insert.columns, draft);
    let own = parts(name).and_then(|parts| parts.last().map(|part| part.value.clone())).unwrap_or_default();
    // What stands after the rows speaks of the table itself.
    names.alias(&own, &table);
    let set = assigned(&insert.assignments, &BTreeSet::from([table.clone()]), names, draft);
    columns.extend(set.into_iter().map(|(_, column)| column));
    if columns.is_empty() {
        columns.push("*".to_owned());
    }
    writes(&table, Verb::Insert, &columns, names.catalog, draft);
    if insert.returning.is_some() {
        // The server asks for the right to read what is inserted, whatever is returned.
        for column in &columns {
            draft.claim_read(&table, column);
        }
    }
    if insert.replace_into {
        draft.note(Code::ReplacesRows, None, format!("Rows of {} that are in the way are deleted.", quoted(&table)));
        writes(&table, Verb::Delete, &[], names.catalog, draft);
    }
    match &insert.on {
        None => {}
        Some(OnInsert::DuplicateKeyUpdate(assignments)) => {
            let set = assigned(assignments, &BTreeSet::from([table.clone()]), names, draft);
            let columns: Vec<String> = set.into_iter().map(|(_, column)| column).collect();
            writes(&table, Verb::Update, &columns, names.catalog, draft);
        }
        Some(_) => odd(draft, "INSERT"),
    }
    returned(insert.returning.as_ref(), &table, names, draft);
}

/// What assignments set; what they compute it from is claimed as read.
fn assigned(
    assignments: &[Assignment],
    among: &BTreeSet<String>,
    names: &Names<'_>,
    draft: &mut Draft,
) -> Vec<(String, String)> {
    let mut set = Vec::new();
    for assignment in assignments {
        claim_reads(&assignment.value, names, draft);
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => set.extend(names.target(name, among, draft)),
            AssignmentTarget::Tuple(_) => odd(draft, "An assignment"),
        }
    }
    set
}

/// Relations of a FROM, without views of what they read.
fn tables(joined: &TableWithJoins) -> Vec<&TableFactor> {
    std::iter::once(&joined.relation).chain(joined.joins.iter().map(|join| &join.relation)).collect()
}

fn change(update: &Update, names: &mut Names<'_>, draft: &mut Draft) {
    if !update.optimizer_hints.is_empty() || update.from.is_some() || update.output.is_some() || update.or.is_some() {
        odd(draft, "UPDATE");
    }
    collect(&update.table, names, draft);
    for piece in [update.selection.as_ref(), update.limit.as_ref()].into_iter().flatten() {
        collect(piece, names, draft);
    }
    for assignment in &update.assignments {
        collect(&assignment.value, names, draft);
    }
    let mut among = BTreeSet::new();
    for factor in tables(&update.table) {
        if let TableFactor::Table { name, .. } = factor
            && !names.is_derived(name)
        {
            among.extend(names.relation(name, draft));
        }
    }
    // Joins and conditions, then what is set.
    claim_reads(&update.table, names, draft);
    joins(&update.table, names, draft);
    for piece in [update.selection.as_ref(), update.limit.as_ref()].into_iter().flatten() {
        claim_reads(piece, names, draft);
    }
    claim_reads(&update.order_by, names, draft);
    let set = assigned(&update.assignments, &among, names, draft);
    for table in &among {
        let columns: Vec<String> = set.iter().filter(|(of, _)| of == table).map(|(_, column)| column.clone()).collect();
        if columns.is_empty() {
            continue;
        }
        writes(table, Verb::Update, &columns, names.catalog, draft);
        if update.selection.is_none() && update.limit.is_none() && update.table.joins.is_empty() {
            draft.all_rows.insert(table.clone());
            draft.note(
                Code::NoWhere,
                None,
                format!("Every row of {} is changed: there is no condition.", quoted(table)),
            );
        }
    }
    let first = among.iter().next().cloned().unwrap_or_default();
    returned(update.returning.as_ref(), &first, names, draft);
}

fn remove(delete: &Delete, names: &mut Names<'_>, draft: &mut Draft) {
    if !delete.optimizer_hints.is_empty() || delete.output.is_some() {
        odd(draft, "DELETE");
    }
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    for joined in from.iter().chain(delete.using.iter().flatten()) {
        collect(joined, names, draft);
    }
    for piece in [delete.selection.as_ref(), delete.limit.as_ref()].into_iter().flatten() {
        collect(piece, names, draft);
    }
    for joined in from.iter().chain(delete.using.iter().flatten()) {
        claim_reads(joined, names, draft);
        joins(joined, names, draft);
    }
    for piece in [delete.selection.as_ref(), delete.limit.as_ref()].into_iter().flatten() {
        claim_reads(piece, names, draft);
    }
    claim_reads(&delete.order_by, names, draft);
    // `DELETE a FROM ...` and `DELETE FROM a USING ...` name by alias; `DELETE FROM a` is the table itself.
    let named: Vec<&ObjectName> = if delete.tables.is_empty() {
        let factors = from.iter().flat_map(tables);
        factors
            .filter_map(|factor| if let TableFactor::Table { name, .. } = factor { Some(name) } else { None })
            .collect()
    } else {
        delete.tables.iter().collect()
    };
    let mut targets = BTreeSet::new();
    for name in &named {
        match parts(name).as_deref() {
            Some([one]) if names.named(&one.value).is_some() => {
                targets.extend(names.named(&one.value).into_iter().flatten().cloned());
            }
            _ => targets.extend(names.relation(name, draft)),
        }
    }
    if targets.is_empty() {
        odd(draft, "DELETE");
    }
    let bare = delete.selection.is_none() && delete.limit.is_none() && delete.using.is_none();
    for table in &targets {
        reads(table, names.catalog, draft);
        writes(table, Verb::Delete, &[], names.catalog, draft);
        if bare && from.iter().all(|joined| joined.joins.is_empty()) {
            draft.all_rows.insert(table.clone());
            draft.note(
                Code::NoWhere,
                None,
                format!("Every row of {} is deleted: there is no condition.", quoted(table)),
            );
        }
    }
    let first = targets.iter().next().cloned().unwrap_or_default();
    returned(delete.returning.as_ref(), &first, names, draft);
}

/// Changes of the schema: whole relations, and the server commits them by itself.
fn define(statement: &Statement, names: &Names<'_>, draft: &mut Draft) {
    let defined: Vec<&ObjectName> = match statement {
        Statement::CreateTable(table) => {
            let plain = table.query.is_none()
                && table.like.is_none()
                && table.clone.is_none()
                && !table.temporary
                && !table.external
                && table.inherits.is_none()
                && table.partition_by.is_none()
                && ordinary(&table.table_options);
            if !plain {
                odd(draft, "CREATE TABLE");
            }
            vec![&table.name]
        }
        Statement::CreateIndex(index) => vec![&index.table_name],
        Statement::AlterTable(table) if table.location.is_none() && table.on_cluster.is_none() => vec![&table.name],
        Statement::Truncate(truncate) => truncate.table_names.iter().map(|target| &target.name).collect(),
        Statement::Drop { object_type: ObjectType::Table | ObjectType::View, names, temporary: false, .. } => {
            names.iter().collect()
        }
        Statement::RenameTable(renames) => {
            renames.iter().flat_map(|rename| [&rename.old_name, &rename.new_name]).collect()
        }
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. }
        | Statement::LockTables { .. }
        | Statement::UnlockTables => {
            return draft.note(Code::TransactionStatement, None, "Transactions and locks are the gateway's.");
        }
        Statement::Set(_)
        | Statement::Use(_)
        | Statement::Prepare { .. }
        | Statement::Execute { .. }
        | Statement::Deallocate { .. } => {
            return draft.note(Code::SessionStatement, None, "The session's settings are the gateway's.");
        }
        Statement::Call(_) => {
            return draft.note(Code::CodeBlock, None, "A procedure whose statements cannot be shown.");
        }
        Statement::LoadData { .. } => return draft.note(Code::CopyStatement, None, "Rows in bulk from a file."),
        Statement::Flush { .. } | Statement::Kill { .. } => {
            return draft.note(Code::ServerControl, None, "The server itself is controlled.");
        }
        _ => return draft.note(Code::UnsupportedSyntax, None, "A statement of a kind that is not followed."),
    };
    for name in defined {
        let parts = parts(name).unwrap_or_default();
        let full = match parts.as_slice() {
            [one] => format!("{}.{}", names.catalog.search_path.first().map_or("", String::as_str), one.value),
            [database, one] => format!("{}.{}", database.value, one.value),
            _ => return odd(draft, "A definition"),
        };
        if ["mysql.", "sys.", "information_schema.", "performance_schema."]
            .iter()
            .any(|own| full.to_lowercase().starts_with(own))
        {
            draft.note(Code::SystemCatalog, None, format!("{} is the server's own.", quoted(&full)));
        }
        draft.claim(&full, Verb::Define);
    }
    draft.effect.commits_itself = true;
    draft.note(Code::Ddl, None, "The schema is changed.");
    draft.note(
        Code::CommitsItself,
        None,
        "The server commits a change of the schema by itself, and what was open before it.",
    );
}

/// Options that say how the table's text is kept, and no others: an engine may reach files or other servers.
fn ordinary(options: &CreateTableOptions) -> bool {
    let known = |option: &str| {
        let option = option.to_lowercase().replace(' ', "");
        option == "engine=innodb"
            || ["defaultcharset=", "charset=", "collate=", "defaultcollate=", "auto_increment=", "comment="]
                .iter()
                .any(|prefix| option.starts_with(prefix))
    };
    match options {
        CreateTableOptions::None => true,
        CreateTableOptions::Plain(options) => options.iter().all(|option| known(&option.to_string())),
        _ => false,
    }
}
