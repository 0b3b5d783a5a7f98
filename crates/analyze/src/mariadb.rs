//! MariaDB and MySQL, by a grammar that is not the server's own; so whatever is out of the ordinary is refused.
//!
//! What the parser gets to see has no comments and no contents of strings, since those are where two readings of a text part
//! company: `/*! ... */` is code to the server. Names are then resolved against the catalog, too much rather than too little:
//! an unqualified column counts as read in every relation of the statement that has it.

mod functions;
mod places;
mod plain;
mod resolve;
mod statement;

use artifact::catalog::Catalog;
use sqlparser::ast::Statement;
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

use crate::Code;
use crate::draft::{Behind, Draft, quoted};

/// Deepest recursion of the parser.
const RECURSION_MAX: usize = 100;

/// Adds the effect of `text` to `draft`.
pub(crate) fn analyze_into(text: &str, catalog: &Catalog, draft: &mut Draft) {
    let Some(plain) = plain::without_comments(text, draft) else { return };
    let Some(statements) = parsed(&plain, draft) else { return };
    draft.statements = u32::try_from(statements.len()).unwrap_or(u32::MAX);
    match statements.as_slice() {
        [] => draft.note(Code::EmptyStatement, None, "There is no statement."),
        [one] => statement::claim(one, catalog, draft),
        _ => draft.note(Code::MultiStatement, None, format!("There are {} statements.", statements.len())),
    }
    behind(catalog, draft);
    draft.claim_existence(text, catalog);
}

fn parsed(plain: &str, draft: &mut Draft) -> Option<Vec<Statement>> {
    let parser = Parser::new(&MySqlDialect {}).with_recursion_limit(RECURSION_MAX).try_with_sql(plain);
    match parser.and_then(|mut parser| parser.parse_statements()) {
        Ok(statements) => Some(statements),
        Err(error) => {
            let error: String = error.to_string().chars().take(200).collect();
            draft.note(Code::SyntaxError, None, format!("It is not read as one statement: {}.", quoted(&error)));
            None
        }
    }
}

/// Views and triggers, until nothing new runs behind the statement.
fn behind(catalog: &Catalog, draft: &mut Draft) {
    while let Some(item) = draft.next_behind() {
        let (sql, name, row) = match &item {
            Behind::View { name, sql } => (sql, name, None),
            Behind::Trigger { relation, definition, .. } => (definition, relation, Some(relation.as_str())),
            Behind::Expression { relation, .. } | Behind::Function { name: relation, .. } => {
                draft.note(
                    Code::UnsupportedSyntax,
                    None,
                    format!("What runs behind {} is not followed.", quoted(relation)),
                );
                continue;
            }
        };
        let statements = plain::without_comments(sql, draft).and_then(|plain| parsed(&plain, draft));
        match statements.as_deref() {
            Some([one]) => statement::claim_behind(one, row, catalog, draft),
            _ => draft.note(
                Code::TriggerNotFollowed,
                None,
                format!("What runs behind {} is more than one statement.", quoted(name)),
            ),
        }
    }
}
