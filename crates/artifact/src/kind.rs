use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an artifact is, which fixes the grammar it is read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Kind {
    /// One PostgreSQL statement.
    SqlPostgresql,
    /// One MariaDB or MySQL statement.
    SqlMariadb,
    /// One SQLite statement.
    SqlSqlite,
    /// One HTTP request (see [`request`](crate::request)).
    Http,
    /// One call of a tool of an MCP server (see [`request`](crate::request)).
    Mcp,
    /// One mail, or one question to a mailbox (see [`mail`](crate::mail)).
    Mail,
}

/// Text that names no kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind `{0}`; known kinds: sql/postgresql, sql/mariadb, sql/sqlite, http, mcp, mail")]
pub struct KindError(String);

impl Kind {
    /// True for what is one request, whose effect is the request itself.
    pub const fn is_request(self) -> bool {
        matches!(self, Self::Http | Self::Mcp | Self::Mail)
    }

    /// Every kind there is.
    pub const ALL: [Self; 6] =
        [Self::SqlPostgresql, Self::SqlMariadb, Self::SqlSqlite, Self::Http, Self::Mcp, Self::Mail];

    /// The name used in statements and APIs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SqlPostgresql => "sql/postgresql",
            Self::SqlMariadb => "sql/mariadb",
            Self::SqlSqlite => "sql/sqlite",
            Self::Http => "http",
            Self::Mcp => "mcp",
            Self::Mail => "mail",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = KindError;
    fn from_str(text: &str) -> Result<Self, KindError> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| KindError(text.chars().take(40).map(crate::visible_char).collect()))
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().to_owned()
    }
}

impl TryFrom<String> for Kind {
    type Error = KindError;
    fn try_from(text: String) -> Result<Self, KindError> {
        text.parse()
    }
}
