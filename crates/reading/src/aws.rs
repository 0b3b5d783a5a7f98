//! How a service of AWS reads the path and the query of a request that is signed for it (Signature Version 4).

use crate::request::{Request, escaped, unescaped};

/// What no letter, digit or of these is, is escaped.
const PLAIN: &[u8] = b"-._~";
/// Headers that signing adds.
const ADDED: [&str; 4] = ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// Path and query as they are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    /// The path: as it stands for S3, escaped once more for everybody else.
    pub path: String,
    /// The query, sorted by name.
    pub query: String,
}

/// A request that could be read in another way than it is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// The path is escaped in another way than the service does it.
    #[error("the service signs this path as `{0}`; write it so")]
    Path(String),
    /// A part of the query is.
    #[error("the service signs this part of the query as `{0}`; write it so")]
    Query(String),
    /// It brings what signing adds.
    #[error("the gateway signs the request; leave the header `{0}` out")]
    Header(String),
}

/// Path and query as `service` signs them. Refused if they are not written as the service would write them: what goes over the wire is what
/// the person signed, so nothing is written anew here.
pub fn canonical(service: &str, request: &Request<'_>) -> Result<Canonical, Unclear> {
    if let Some((name, _)) = request.headers.iter().find(|(name, _)| ADDED.contains(name)) {
        return Err(Unclear::Header((*name).to_owned()));
    }
    let kept = [PLAIN, b"/"].concat();
    let path = if service == "s3" {
        let again = escaped(&unescaped(request.path), &kept);
        if again != request.path {
            return Err(Unclear::Path(again));
        }
        again
    } else {
        escaped(request.path.as_bytes(), &kept)
    };
    let mut pairs = Vec::new();
    for pair in request.query.unwrap_or_default().split('&').filter(|_| request.query.is_some()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let again = [name, value].map(|part| escaped(&unescaped(part), PLAIN));
        if pair != again.join("=") && (!value.is_empty() || pair != again[0] || pair.is_empty()) {
            return Err(Unclear::Query(again.join("=")));
        }
        pairs.push(again);
    }
    pairs.sort();
    let query = pairs.iter().map(|pair| pair.join("=")).collect::<Vec<_>>().join("&");
    Ok(Canonical { path, query })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::read;

    fn of(service: &str, text: &str) -> Result<Canonical, Unclear> {
        canonical(service, &read(text).unwrap())
    }

    #[test]
    fn what_is_written_as_it_is_signed_is_taken() {
        let plain = of("s3", "GET /shop/two%20words%2B?prefix=a%2Fb&list-type=2&acl&max-keys=").unwrap();
        assert_eq!(
            (plain.path.as_str(), plain.query.as_str()),
            ("/shop/two%20words%2B", "acl=&list-type=2&max-keys=&prefix=a%2Fb")
        );
        // Everybody but S3 takes the path as it came over the wire for a text of its own.
        let other = of("execute-api", "GET /v1/two%20words(1)").unwrap();
        assert_eq!((other.path.as_str(), other.query.as_str()), ("/v1/two%2520words%281%29", ""));
    }

    #[test]
    fn what_two_could_read_differently_is_refused() {
        assert_eq!(of("s3", "GET /a(1)"), Err(Unclear::Path("/a%281%29".into())));
        assert_eq!(of("s3", "GET /%c3%a4"), Err(Unclear::Path("/%C3%A4".into())));
        for (query, again) in [
            ("a=b/c", "a=b%2Fc"),
            ("a=%2f", "a=%2F"),
            ("a=%61", "a=a"),
            ("a=b=c", "a=b%3Dc"),
            ("a=x+y", "a=x%2By"),
            ("a=1&&b=2", "="),
        ] {
            assert_eq!(of("sqs", &format!("GET /?{query}")), Err(Unclear::Query(again.into())), "{query}");
        }
        // No artifact at all has the first of them.
        for name in &ADDED[1..] {
            assert_eq!(of("sqs", &format!("GET /\n{name}: mine")), Err(Unclear::Header((*name).into())));
        }
    }
}
