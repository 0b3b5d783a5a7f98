//! What the tokens of a statement say that the engine's callback does not.

use artifact::Kind;
use artifact::effect::Verb;

use crate::lexer::{Lexeme, Token, lexemes};

/// The code tokens of a statement, each with the number of brackets around it.
pub(super) struct Scan<'a> {
    words: Vec<(Token, &'a str, usize)>,
}

impl<'a> Scan<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut depth = 0_usize;
        let mut words = Vec::new();
        let code = |l: &Lexeme| !matches!(l.token, Token::Space | Token::Comment);
        for lexeme in lexemes(text, Kind::SqlSqlite).into_iter().filter(code) {
            let word = text.get(lexeme.start..lexeme.end).unwrap_or_default();
            let bracket = lexeme.token == Token::Symbol;
            if bracket && word == ")" {
                depth = depth.saturating_sub(1);
            }
            words.push((lexeme.token, word, depth));
            if bracket && word == "(" {
                depth += 1;
            }
        }
        Self { words }
    }

    /// True if there is nothing but semicolons.
    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|(_, word, _)| *word == ";")
    }

    fn is(&self, at: usize, keyword: &str) -> bool {
        self.words.get(at).is_some_and(|(token, word, _)| *token == Token::Name && word.eq_ignore_ascii_case(keyword))
    }

    /// The main verb's place: the first of these words outside brackets that starts a statement.
    fn main(&self) -> Option<usize> {
        let verbs = ["select", "values", "insert", "replace", "update", "delete"];
        let explained = usize::from(self.is(0, "explain"));
        let planned = if self.is(explained, "query") && self.is(explained + 1, "plan") { 2 } else { 0 };
        let start = explained + planned;
        if !self.is(start, "with") {
            return Some(start).filter(|at| verbs.iter().any(|v| self.is(*at, v)));
        }
        (start + 1..self.words.len()).find(|at| {
            let after_query = self.words[at - 1].1 == ")" && self.words[*at].2 == 0;
            after_query && verbs.iter().any(|v| self.is(*at, v))
        })
    }

    /// The verb, if an UPDATE or DELETE has no condition or one that names no column.
    pub(super) fn hits_every_row(&self) -> Option<Verb> {
        let main = self.main()?;
        let verb = match () {
            () if self.is(main, "update") => Verb::Update,
            () if self.is(main, "delete") => Verb::Delete,
            () => return None,
        };
        let outside = |at: &usize| self.words[*at].2 == 0;
        let condition = (main..self.words.len()).filter(outside).find(|at| self.is(*at, "where"));
        let Some(from) = condition.map(|at| at + 1) else { return Some(verb) };
        let ends = |at: &usize| {
            self.words[*at].1 == ";" || ["returning", "order", "limit"].iter().any(|end| self.is(*at, end))
        };
        let to = (from..self.words.len()).filter(outside).find(ends).unwrap_or(self.words.len());
        is_constant(&self.words[from..to]).then_some(verb)
    }

    /// True if REPLACE stands as a statement or as a way to settle conflicts, not as the function.
    pub(super) fn replaces(&self) -> bool {
        let function = |at: usize| self.words.get(at + 1).is_some_and(|(_, word, _)| *word == "(");
        (0..self.words.len()).any(|at| self.is(at, "replace") && !function(at))
    }

    /// True if the name is given to a query by WITH.
    pub(super) fn defines_cte(&self, name: &str) -> bool {
        let has_with = (0..self.words.len()).any(|at| self.is(at, "with"));
        let named = |(token, word, _): &(Token, &str, usize)| {
            matches!(token, Token::Name | Token::QuotedName) && unquoted(word).eq_ignore_ascii_case(name)
        };
        has_with
            && self.words.iter().enumerate().filter(|(_, w)| named(w)).any(|(at, (_, _, depth))| {
                let before = at.checked_sub(1).map(|b| self.words[b].1.to_ascii_lowercase()).unwrap_or_default();
                let starts = matches!(before.as_str(), "with" | "recursive" | ",");
                let rest =
                    self.words[at + 1..].iter().skip_while(|(_, word, d)| d > depth || *word == "(" || *word == ")");
                let mut rest = rest.map(|(_, word, _)| word.to_ascii_lowercase());
                starts && rest.next().is_some_and(|w| w == "as")
            })
    }

    /// VACUUM, which the engine's callback does not name.
    pub(super) fn server_statement(&self) -> Option<&'static str> {
        let start = usize::from(self.is(0, "explain"));
        self.is(start, "vacuum").then_some("VACUUM")
    }
}

/// True if the text creates a table or trigger of that name.
pub(super) fn defines(ddl: &str, name: &str) -> bool {
    let scan = Scan::of(ddl);
    let names = scan
        .words
        .iter()
        .take(12)
        .filter(|(token, _, depth)| *depth == 0 && matches!(token, Token::Name | Token::QuotedName));
    scan.is(0, "create") && names.map(|(_, word, _)| unquoted(word)).any(|word| word.eq_ignore_ascii_case(name))
}

fn unquoted(word: &str) -> String {
    match word.as_bytes() {
        [b'"', .., b'"'] => word[1..word.len() - 1].replace("\"\"", "\""),
        [b'`', .., b'`'] => word[1..word.len() - 1].replace("``", "`"),
        [b'[', .., b']'] => word[1..word.len() - 1].to_owned(),
        _ => word.to_owned(),
    }
}

/// True if a condition is the same for every row: it, or one side of an OR, names no column or compares one to itself.
fn is_constant(words: &[(Token, &str, usize)]) -> bool {
    const KEYWORDS: &[&str] = &[
        "true", "false", "null", "and", "or", "not", "is", "in", "between", "like", "glob", "collate", "nocase",
        "binary", "distinct", "from",
    ];
    let mut inner = words;
    while let [(_, "(", open), rest @ .., (_, ")", close)] = inner
        && open == close
        && rest.iter().all(|(_, _, depth)| depth > open)
    {
        inner = rest;
    }
    let Some(depth) = inner.iter().map(|(_, _, depth)| *depth).min() else { return true };
    let is_or = |(token, word, d): &(Token, &str, usize)| {
        *token == Token::Name && *d == depth && word.eq_ignore_ascii_case("or")
    };
    if inner.iter().any(is_or) {
        return inner.split(is_or).any(is_constant);
    }
    if let [left, (_, "=" | "is" | "IS", _), right] = inner
        && left.0 != Token::Number
        && unquoted(left.1).eq_ignore_ascii_case(&unquoted(right.1))
    {
        return true;
    }
    inner.iter().all(|(token, word, _)| match token {
        Token::Name => KEYWORDS.iter().any(|k| word.eq_ignore_ascii_case(k)),
        Token::QuotedName => false,
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_hit_every_row() {
        for all in [
            "delete from t",
            "DELETE FROM t -- where id = 1",
            "delete from t where 1",
            "delete from t where (1 = 1)",
            "delete from t where true or id = 3",
            "delete from t where id = 3 or ((1=1))",
            "delete from t where id = id",
            "delete from t where 'a' = 'a' returning *",
            "with x as (select 1 where 1) delete from t",
            "update t set a = (select 1 from u where id = 1)",
            "update t set a = 'where id = 1'",
            "update t set a = 1 where not 0",
        ] {
            assert!(Scan::of(all).hits_every_row().is_some(), "{all}");
        }
        for some in
            ["delete from t where id = 1", "update t set a = 1 where a is null", "select 1", "insert into t values (1)"]
        {
            assert!(Scan::of(some).hits_every_row().is_none(), "{some}");
        }
    }

    #[test]
    fn replace_is_told_from_the_function() {
        assert!(Scan::of("replace into t values (1)").replaces());
        assert!(Scan::of("insert or replace into t values (1)").replaces());
        assert!(Scan::of("create table t (a unique on conflict replace)").replaces());
        assert!(!Scan::of("select replace (a, 'x', 'y') from t").replaces());
    }
}
