//! What may be sent, called or asked for: methods, and patterns of paths, as registrations and scopes name them. Requests themselves are
//! read elsewhere; here are the rules that they are held against.

use std::fmt;

use crate::effect::Verb;
use crate::{Kind, mail};

/// Longest target (path and query), in bytes.
pub const TARGET_MAX: usize = 8_000;
/// A method that an artifact may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the headers only.
    Head,
    /// Adds, or does anything.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
    /// Calls a tool that only reads.
    Ask,
    /// Calls a tool that may do anything.
    Call,
    /// Lists messages of a mailbox.
    List,
    /// Reads one message.
    Read,
    /// Sets and removes marks of a message.
    Mark,
    /// Keeps a mail with the drafts.
    Draft,
    /// Sends a mail.
    Send,
}

impl Method {
    /// Every one.
    pub const ALL: [Self; 13] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Ask,
        Self::Call,
        Self::List,
        Self::Read,
        Self::Mark,
        Self::Draft,
        Self::Send,
    ];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Ask => "ASK",
            Self::Call => "CALL",
            Self::List => "LIST",
            Self::Read => "READ",
            Self::Mark => "MARK",
            Self::Draft => "DRAFT",
            Self::Send => "SEND",
        }
    }

    /// The method of that name, in capitals as on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// What it does, as scopes and policies name it (RFC 9110, section 9.2.1: safe methods read).
    pub const fn verb(self) -> Verb {
        match self {
            Self::Get | Self::Head | Self::Ask | Self::List | Self::Read => Verb::Read,
            Self::Post | Self::Call | Self::Draft | Self::Send => Verb::Insert,
            Self::Put | Self::Patch | Self::Mark => Verb::Update,
            Self::Delete => Verb::Delete,
        }
    }
}

impl Method {
    /// What kind of artifact has it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Get | Self::Head | Self::Post | Self::Put | Self::Patch | Self::Delete => Kind::Http,
            Self::Ask | Self::Call => Kind::Mcp,
            Self::List | Self::Read | Self::Mark | Self::Draft | Self::Send => Kind::Mail,
        }
    }

    /// Whether text is a pattern of what it names: paths, or for mail that is sent, people.
    pub fn takes(self, pattern: &str) -> bool {
        if self == Self::Send { mail::is_recipient_pattern(pattern) } else { is_pattern(pattern) }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Only characters that a target (path and query) may have (RFC 3986, appendix A), and whole escapes. Errors say what it is not.
pub fn plain(target: &str) -> Result<(), &'static str> {
    let bytes = target.as_bytes();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&b);
    if target.len() > TARGET_MAX {
        return Err("longer than 8000 bytes");
    }
    if !bytes.iter().all(|b| allowed(*b)) {
        return Err("it has characters that are to be percent-encoded");
    }
    let whole = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if bytes.iter().enumerate().any(|(at, b)| *b == b'%' && !whole(at)) {
        return Err("a percent sign is not followed by two hexadecimal digits");
    }
    Ok(())
}

/// A path that no server and no proxy turns into another one. Errors say what it is not.
pub fn straight(path: &str) -> Result<(), &'static str> {
    let Some(rest) = path.strip_prefix('/') else { return Err("it does not begin with `/`") };
    let lower = path.to_ascii_lowercase();
    if ["%2e", "%2f", "%5c", "%00", "%25", "%3b"].iter().any(|escape| lower.contains(escape)) {
        return Err("it hides a dot, a slash, a semicolon or an escape in an escape");
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment == "." || segment == ".." {
            return Err("it has a segment of dots");
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Err("it has two slashes in a row");
        }
        if segment.contains(';') {
            return Err("it has parameters behind a semicolon, which some servers leave out");
        }
    }
    Ok(())
}

/// Whether a pattern covers a path: `*` stands for one segment, `**` at the end for any number of them.
pub fn covers(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (Some("**"), _) => return wanted.next().is_none(),
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(one), Some(other)) if one == other && one != "*" => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether text is a pattern of paths.
pub fn is_pattern(pattern: &str) -> bool {
    let stars = pattern.split('/').all(|segment| matches!(segment, "*" | "**") || !segment.contains('*'));
    let end = pattern.split('/').rev().skip(1).all(|segment| segment != "**");
    stars && end && plain(pattern).is_ok() && !pattern.contains('?') && straight(pattern).is_ok()
}

/// A method and a pattern, as registrations and scopes name what may be sent: `GET /v1/**`.
pub fn rule(text: &str) -> Option<(Method, &str)> {
    let (method, pattern) = text.split_once(' ')?;
    Some((Method::from_name(method)?, pattern)).filter(|(method, pattern)| method.takes(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_whole_segments() {
        for (pattern, path) in [
            ("/v1/charges", "/v1/charges"),
            ("/v1/*", "/v1/charges"),
            ("/v1/**", "/v1/a/b"),
            ("/v1/**", "/v1"),
            ("/**", "/"),
            ("/v1/*/x", "/v1/a/x"),
        ] {
            assert!(is_pattern(pattern) && covers(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/v1/*", "/v1/a/b"),
            ("/v1/*", "/v1/"),
            ("/v1/*", "/v1"),
            ("/v1", "/v1/"),
            ("/v1/**", "/v10"),
            ("/v1/charges", "/v1/charge"),
            ("/v1/*", "/v2/a"),
        ] {
            assert!(!covers(pattern, path), "{pattern} {path}");
        }
        for bad in ["", "v1", "/v1/a*", "/**/a", "/a?b", "/../a", "//", "/v1/***"] {
            assert!(!is_pattern(bad), "{bad}");
        }
        assert_eq!(rule("CALL /*"), Some((Method::Call, "/*")));
        assert_eq!(rule("GET /v1/**"), Some((Method::Get, "/v1/**")));
        assert!(rule("TRACE /").is_none() && rule("GET v1").is_none());
    }
}
