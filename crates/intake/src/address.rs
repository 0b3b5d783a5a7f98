//! Host and Origin: a web page in somebody's browser must not reach the door, also not through a name that was made to
//! point here (DNS rebinding). Pure comparison of text against two lists.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};

/// The addresses that are ours.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Addresses {
    pub(crate) fn new(hosts: &[String], origins: &[String]) -> Self {
        let lower = |list: &[String]| list.iter().map(|one| one.to_ascii_lowercase()).collect();
        Self { hosts: lower(hosts), origins: lower(origins) }
    }

    /// True if the request was sent to one of our names, by no browser or by a page of ours. On doubt, false: a missing,
    /// repeated or unreadable Host, a repeated or unreadable Origin, an address in the request line that differs.
    pub(crate) fn accept(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(host) = only(headers, HOST.as_str()) else { return false };
        let listed = |list: &[String], value: &str| list.iter().any(|one| one.eq_ignore_ascii_case(value));
        if !listed(&self.hosts, host) {
            return false;
        }
        if uri.authority().is_some_and(|named| !named.as_str().eq_ignore_ascii_case(host)) {
            return false;
        }
        if !headers.contains_key(ORIGIN) {
            return true;
        }
        only(headers, ORIGIN.as_str()).is_some_and(|origin| listed(&self.origins, origin))
    }
}

/// The header's value if it is there exactly once and is plain text.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(uri: &str, headers: &[(&str, &str)]) -> bool {
        let ours = Addresses::new(&["gw.example:7117".to_owned()], &["https://gw.example:7117".to_owned()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        ours.accept(&uri.parse().unwrap(), &map)
    }

    #[test]
    fn ours_pass() {
        assert!(accepts("/mcp", &[("host", "gw.example:7117")]));
        assert!(accepts("/mcp", &[("host", "GW.example:7117"), ("origin", "https://gw.example:7117")]));
        assert!(accepts("http://gw.example:7117/mcp", &[("host", "gw.example:7117")]));
    }

    #[test]
    fn others_do_not() {
        for headers in [
            &[][..],
            &[("host", "gw.example")],
            &[("host", "gw.example:80")],
            &[("host", "evil.example:7117")],
            &[("host", "gw.example:7117.evil.example")],
            &[("host", "gw.example:7117"), ("host", "gw.example:7117")],
            &[("host", "gw.example:7117"), ("origin", "null")],
            &[("host", "gw.example:7117"), ("origin", "http://gw.example:7117")],
            &[("host", "gw.example:7117"), ("origin", "https://gw.example:7117.evil.example")],
            &[("host", "gw.example:7117"), ("origin", "https://gw.example:7117"), ("origin", "https://evil.example")],
            &[("host", "gw.example:7117"), ("origin", "")],
        ] {
            assert!(!accepts("/mcp", headers), "{headers:?}");
        }
        assert!(!accepts("http://evil.example/mcp", &[("host", "gw.example:7117")]));
    }
}
