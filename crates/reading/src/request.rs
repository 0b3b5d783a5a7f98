//! An HTTP request as an artifact: method, path, headers and body, apart from where it goes and what proves the sender. Those two are
//! the target's, and are added by the executor alone.
//!
//! ```text
//! POST /v1/refunds?notify=no
//! content-type: application/json
//!
//! {"charge":"ch_1","amount":4990}
//! ```
//!
//! A call of a tool of an MCP server has the same form: the tool's name is the path, its arguments are the body. `ASK` calls a
//! tool that only reads, as the target's registration says, `CALL` any other.
//!
//! ```text
//! CALL /create_issue
//!
//! {"title":"The gate sticks"}
//! ```
//!
//! One form, read the same way by the analysis that shows it and by the executor that sends it: whatever two readers could take
//! differently is refused (RFC 9112, sections 3 and 11; RFC 3986, section 6).

use artifact::effect::Verb;
use artifact::request::{self, Method};
use artifact::{Kind, has_hidden, visible};

use crate::mail;

/// Most headers.
pub const HEADERS_MAX: usize = 50;
/// Longest header value, in bytes.
pub const VALUE_MAX: usize = 4_000;

/// Headers that are the connection's, the credential's or a proxy's, and so never the agent's.
const NOT_THEIRS: [&str; 25] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
    // Some servers take another method, or another path, from these.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];
/// Beginnings of such headers.
const NOT_THEIRS_BEGIN: [&str; 3] = ["proxy-", "sec-", "x-forwarded-"];

/// A request, as it stands in the artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// Path, which begins with `/`.
    pub path: &'a str,
    /// What follows `?`.
    pub query: Option<&'a str>,
    /// Names in lower case and values, in the order they stand.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Everything after the empty line, as it is.
    pub body: &'a str,
}

impl Request<'_> {
    /// Whether it says that its body is JSON, in words that no server takes otherwise.
    pub(crate) fn is_json(&self) -> bool {
        let plain = ["application/json", "application/json; charset=utf-8"];
        self.headers.iter().any(|(name, value)| *name == "content-type" && plain.contains(value))
    }
}

/// A path as the most lenient server reads it: escapes taken for what they stand for, whatever the case, with or without a slash at its end.
pub(crate) fn leniently(path: &str) -> String {
    String::from_utf8_lossy(&unescaped(path)).to_lowercase().trim_end_matches('/').to_owned()
}

/// Bytes that percent escapes stand for (RFC 3986, section 2.1). [`read`] takes whole escapes only; what is none stays.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let byte = digit(more.first()).zip(digit(more.get(1))).filter(|_| *first == b'%');
        out.push(byte.map_or(*first, |(high, low)| high * 16 + low));
        rest = if byte.is_some() { more.get(2..).unwrap_or_default() } else { more };
    }
    out
}

/// Percent escapes (RFC 3986, section 2.1) for everything but letters, digits and what is named.
pub fn escaped(text: &[u8], kept: &[u8]) -> String {
    use std::fmt::Write as _;
    text.iter().fold(String::with_capacity(text.len()), |mut out, &b| {
        if b.is_ascii_alphanumeric() || kept.contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

/// Text that is no request of this form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The first line.
    #[error("the first line is a method, one space and a path, e.g. `GET /v1/charges?limit=3`")]
    Line,
    /// Another method.
    #[error(
        "the method is one of GET, HEAD, POST, PUT, PATCH, DELETE (for a tool ASK, CALL; for a mailbox LIST, READ, MARK, DRAFT, SEND), in capitals"
    )]
    Method,
    /// A path or query that two readers could take differently.
    #[error("the path is not plain: {0}")]
    Target(&'static str),
    /// A header.
    #[error("the header `{0}` is not usable: {1}")]
    Header(String, &'static str),
    /// Too many headers.
    #[error("there are more than {HEADERS_MAX} headers")]
    Headers,
    /// A call of a tool with more than its name and arguments.
    #[error(
        "a call is `CALL /name` (or `ASK /name`), an empty line and the arguments as a JSON object; names have letters, digits, `_`, `-`, `.`"
    )]
    Tool,
    /// A mail, or a question to a mailbox, that is not of its form.
    #[error("that is nothing for a mailbox: {0}")]
    Mail(&'static str),
    /// A body where none belongs.
    #[error("a request that reads has no body")]
    Body,
}

/// Reads the exact text.
pub fn read(text: &str) -> Result<Request<'_>, RequestError> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.strip_suffix('\n').unwrap_or(text), ""));
    let mut lines = head.split('\n');
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).ok_or(RequestError::Line)?;
    let method = Method::from_name(method).ok_or(RequestError::Method)?;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    request::plain(target).and_then(|()| request::straight(path)).map_err(RequestError::Target)?;
    let mut headers: Vec<(&str, &str)> = Vec::new();
    for line in lines {
        let header = header(line, method.kind())?;
        if headers.len() >= HEADERS_MAX {
            return Err(RequestError::Headers);
        }
        if headers.iter().any(|(name, _)| *name == header.0) {
            return Err(RequestError::Header(header.0.to_owned(), "it stands there twice"));
        }
        headers.push(header);
    }
    if method.kind() == Kind::Mcp {
        let name = path.strip_prefix('/').unwrap_or_default();
        if !is_tool(name) || query.is_some() || !headers.is_empty() {
            return Err(RequestError::Tool);
        }
    } else if (method.verb() == Verb::Read || method == Method::Mark)
        && !(body.is_empty() && (method.kind() == Kind::Http || headers.is_empty()))
    {
        return Err(RequestError::Body);
    }
    let request = Request { method, path, query, headers, body };
    match method {
        Method::Draft | Method::Send => mail::read(&request).map(|_| ())?,
        Method::List | Method::Read | Method::Mark => mail::place(&request).map(|_| ())?,
        _ => {}
    }
    Ok(request)
}

/// Whether text is a name of a tool that can be called.
pub fn is_tool(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(plain)
}

fn header(line: &str, kind: Kind) -> Result<(&str, &str), RequestError> {
    let shown = |text: &str| visible(&text.chars().take(60).collect::<String>());
    let (name, value) = line.split_once(": ").ok_or(RequestError::Header(shown(line), "write `name: value`"))?;
    let wrong = |why| Err(RequestError::Header(shown(name), why));
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > 100 || !name.bytes().all(token) {
        return wrong("names are in lower case");
    }
    if NOT_THEIRS.contains(&name) || NOT_THEIRS_BEGIN.iter().any(|begin| name.starts_with(begin)) {
        return wrong("it is added by the gateway, or not at all");
    }
    // A subject is in the language of whoever reads it.
    let word = |c: char| {
        (' '..='~').contains(&c)
            || (kind == Kind::Mail && name == "subject" && !has_hidden(c) && !c.is_control() && c > '~')
    };
    let plain = value.chars().all(word);
    if value.is_empty() || value.len() > VALUE_MAX || value.trim() != value || !plain {
        return wrong("its value is plain text without spaces around it");
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUND: &str = "POST /v1/refunds?notify=no\ncontent-type: application/json\nidempotency-key: r-1\n\n{\"charge\":\"ch_1\",\n\n\"amount\":4990}\n";

    #[test]
    fn a_request_is_read_as_it_stands() {
        let request = read(REFUND).unwrap();
        assert_eq!((request.method, request.path, request.query), (Method::Post, "/v1/refunds", Some("notify=no")));
        assert_eq!(request.headers, [("content-type", "application/json"), ("idempotency-key", "r-1")]);
        assert_eq!(request.body, "{\"charge\":\"ch_1\",\n\n\"amount\":4990}\n");
        assert_eq!(read("GET /").unwrap(), read("GET /\n").unwrap());
        assert_eq!(read("DELETE /a%20b/c").unwrap().path, "/a%20b/c");
    }

    #[test]
    fn a_call_is_a_name_and_arguments() {
        let call = read("CALL /create_issue\n\n{\"title\": \"x\"}").unwrap();
        assert_eq!((call.method, call.path, call.body), (Method::Call, "/create_issue", "{\"title\": \"x\"}"));
        assert_eq!(read("ASK /list.all-2").unwrap().method.kind(), Kind::Mcp);
        for bad in [
            "CALL /a/b\n\n{}",
            "CALL /\n\n{}",
            "CALL /a?b=c",
            "CALL /a\nx: y\n\n{}",
            "CALL /a%41",
            "CALL a",
            "CALL /a b",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&format!("ASK /{}", "a".repeat(129))).is_err());
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        for bad in [
            "",
            "GET",
            "GET  /",
            "GET /\tx",
            "get /",
            "TRACE /",
            "CONNECT a:1",
            "OPTIONS *",
            "GET x",
            "GET https://evil.example/",
            "GET //evil.example/",
            "GET /a//b",
            "GET /a/../b",
            "GET /a/./b",
            "GET /..",
            "GET /a/%2e%2e/b",
            "GET /a%2Fb",
            "GET /a%5cb",
            "GET /a\\b",
            "GET /a%",
            "GET /a%zz",
            "GET /a%00",
            "GET /a%252e",
            "GET /a;b=c",
            "GET /a#b",
            "GET /ä",
            "GET / HTTP/1.1",
            "GET /a b",
            "GET /\r\nx: y",
            "GET /\nHost: evil.example",
            "GET /\nhost: evil.example",
            "GET /\ncontent-length: 3",
            "GET /\ntransfer-encoding: chunked",
            "GET /\nx-method-override: POST",
            "GET /\nx-http-method: POST",
            "GET /\nx-original-url: /admin",
            "GET /\nx-rewrite-url: /admin",
            "GET /\nauthorization: Bearer x",
            "GET /\ncookie: a=b",
            "GET /\nx-forwarded-for: 127.0.0.1",
            "GET /\nproxy-x: y",
            "GET /\na:b",
            "GET /\na : b",
            "GET /\na:  b",
            "GET /\na: b ",
            "GET /\na: ",
            "GET /\na: b\na: c",
            "GET /\na: \u{e9}",
            "GET /\n: b",
            "GET /\n b: c",
            "GET /\nB: c",
            "GET /\n\nbody",
            "HEAD /\n\nbody",
            "GET /\na: b\rc: d",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        let many: String = (0..=HEADERS_MAX).map(|n| format!("\nh{n}: x")).collect();
        assert_eq!(read(&format!("GET /{many}")), Err(RequestError::Headers));
        assert!(read(&format!("GET /{}", "a".repeat(request::TARGET_MAX))).is_err());
    }
}
