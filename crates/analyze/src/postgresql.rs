//! PostgreSQL: the server's own grammar (libpg_query), walked completely, names resolved against the catalog.
//!
//! Three nets, each of which alone refuses what it does not know:
//! `class` has an arm for every kind of node the grammar has and no wildcard; the careful walk (`walk`, `from`,
//! `select`, `dml`, `utility`) claims what each part reads, writes and calls; a generic second walk (`places`) compares
//! the places it saw.
//!
//! What runs by itself (views, defaults, checks, policies, triggers, functions of users in SQL and PL/pgSQL) is followed by
//! `behind` where the catalog has its text, and makes the artifact not understood where it has not.
//!
//! What no parser can see is left to the lock on the run: functions behind implicit casts, domains and index expressions.

mod behind;
mod class;
mod dml;
mod from;
mod names;
mod net;
mod places;
mod plpgsql;
mod resolve;
mod scope;
mod select;
mod utility;
mod walk;

use artifact::catalog::Catalog;
use artifact::visible;

use crate::Code;
use crate::draft::Draft;
use resolve::Resolver;
use walk::Walker;

/// Most statements of an artifact looked at. More than one is refused anyway; this only bounds the work.
const MAX_STATEMENTS_SHOWN: usize = 20;

pub(crate) fn analyze_into(text: &str, catalog: &Catalog, draft: &mut Draft) {
    // The parser is somebody else's code: should it panic, the artifact is not understood and nothing else happens.
    let parsed = std::panic::catch_unwind(|| pg_query::parse(text, 0));
    let tree = match parsed {
        Ok(Ok(result)) => result.protobuf,
        Ok(Err(pg_query::Error::Parse(message))) => {
            let short: String = message.chars().take(200).collect();
            return draft.note(Code::SyntaxError, None, format!("PostgreSQL's grammar says: {}.", visible(&short)));
        }
        Ok(Err(_)) => {
            return draft.note(Code::NestedTooDeep, None, "The statement is nested deeper than analysis follows.");
        }
        Err(_) => return draft.note(Code::SyntaxError, None, "The parser gave up on the statement."),
    };
    draft.statements = u32::try_from(tree.stmts.len()).unwrap_or(u32::MAX);
    match tree.stmts.as_slice() {
        [] => draft.note(Code::EmptyStatement, None, "There is no statement."),
        [_] => {}
        [_, second, ..] => {
            let at = usize::try_from(second.stmt_location).unwrap_or(0);
            let sentence = format!("There are {} statements.", tree.stmts.len());
            draft.note(Code::MultiStatement, Some((at, text.len())), sentence);
        }
    }
    for raw in tree.stmts.iter().take(MAX_STATEMENTS_SHOWN) {
        let Some(statement) = raw.stmt.as_deref() else {
            draft.note(Code::EmptyStatement, None, "A statement is empty.");
            continue;
        };
        let mut walker = Walker::new(Resolver::new(catalog), draft);
        let covered = walker.statement(statement);
        let seen = std::mem::take(&mut walker.seen);
        if covered {
            let found = statement.node.as_ref().and_then(places::places);
            if found.is_some_and(|places| places.is_subset(&seen)) {
                continue;
            }
            draft.note(Code::AnalysisIncomplete, None, "A part of the statement was not accounted for.");
        }
    }
    behind::follow(catalog, draft);
    draft.claim_existence(text, catalog);
}
