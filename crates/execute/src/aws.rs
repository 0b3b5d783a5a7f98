//! Signatures of requests to AWS: Signature Version 4, as the IAM User Guide's "Create a signed AWS API request" has it.
//!
//! The secret access key stays here: a signature is good for one request, for a quarter of an hour.

use artifact::{Digest, Timestamp};
use aws_lc_rs::hmac;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reading::aws::Canonical;
use wire::target::AwsService;
use zeroize::Zeroizing;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Keys of an account, or of a session.
pub(crate) struct Keys<'a> {
    id: &'a str,
    secret: &'a str,
    token: Option<&'a str>,
}

impl<'a> Keys<'a> {
    /// Access key id, secret access key, and maybe a session token, a line each.
    pub(crate) fn read(text: &'a str) -> Result<Self, &'static str> {
        let mut lines = text.lines().map(str::trim_end);
        let (id, secret, token) = (lines.next(), lines.next(), lines.next());
        let visible = |line: &&str| !line.is_empty() && line.bytes().all(|b| b.is_ascii_graphic());
        match (id.filter(visible), secret.filter(visible), token.is_none_or(|token| visible(&token)), lines.next()) {
            (Some(id), Some(secret), true, None) if !id.contains([',', '/']) => Ok(Self { id, secret, token }),
            _ => Err(
                "the credential is not an access key id, a secret access key and maybe a session token, a line each",
            ),
        }
    }

    /// What nobody may see.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &'a str> {
        [Some(self.secret), self.token].into_iter().flatten()
    }
}

/// A request whose signature is to be made.
pub(crate) struct Signable<'a> {
    pub(crate) method: &'a str,
    pub(crate) canonical: &'a Canonical,
    pub(crate) body: &'a [u8],
}

/// Adds the headers that sign the request, and answers the signature. `host` has to be there. All headers are signed but that which
/// intermediaries change.
pub(crate) fn sign(
    keys: &Keys<'_>,
    at: &AwsService,
    request: &Signable<'_>,
    headers: &mut HeaderMap,
    now: Timestamp,
) -> Result<String, &'static str> {
    let time = now.to_string();
    let time: String = time.split('.').next().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    let time = format!("{}Z", time.trim_end_matches('Z'));
    let day = time.get(..8).ok_or("the time cannot be written")?;
    let content = Digest::of(request.body).hex();
    let s3 = at.service == "s3";
    let mut added = vec![(DATE, time.clone())];
    added.extend(keys.token.map(|token| (TOKEN, token.to_owned())));
    // Asked for by S3 alone.
    added.extend(s3.then(|| (CONTENT, content.clone())));
    for (name, value) in added {
        let mut value = HeaderValue::from_str(&value).map_err(|_| "a header of the signature cannot be sent")?;
        value.set_sensitive(name == TOKEN);
        if headers.insert(name, value).is_some() {
            return Err("the request brings a header of the signature");
        }
    }
    let (names, lines) = canonical_headers(headers)?;
    let Canonical { path, query } = request.canonical;
    let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{content}", request.method);
    let scope = format!("{day}/{}/{}/aws4_request", at.region, at.service);
    let hashed = Digest::of(canonical.as_bytes()).hex();
    let first = Zeroizing::new(format!("AWS4{}", keys.secret));
    let key = [day, &at.region, &at.service, "aws4_request"]
        .into_iter()
        .fold(hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes()), |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        });
    let signed = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
    let signature: String = hmac::sign(&key, signed.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let value =
        format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.id);
    let mut value = HeaderValue::from_str(&value).map_err(|_| "the signature cannot be sent")?;
    value.set_sensitive(true);
    match headers.insert(AUTHORIZATION, value) {
        None => Ok(signature),
        Some(_) => Err("the request brings a header of the signature"),
    }
}

/// Names, sorted, and lines of what is signed.
fn canonical_headers(headers: &HeaderMap) -> Result<(String, String), &'static str> {
    let mut names: Vec<&HeaderName> = headers.keys().filter(|name| **name != USER_AGENT).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    let mut lines = String::new();
    for name in &names {
        let mut values = Vec::new();
        for value in headers.get_all(*name) {
            let value = value.to_str().map_err(|_| "a header that is not ASCII cannot be signed")?;
            values.push(value.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
        }
        lines += &format!("{name}:{}\n", values.join(","));
    }
    Ok((names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(";"), lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = "AKIDEXAMPLE\nwJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn signed(
        service: &str,
        request: &Signable<'_>,
        given: &[(&'static str, &str)],
        keys: &str,
    ) -> Result<HeaderMap, &'static str> {
        let at = AwsService { region: "us-east-1".into(), service: service.into() };
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, value.parse().unwrap());
        }
        let now: Timestamp = "2015-08-30T12:36:00.000Z".parse().unwrap();
        sign(&Keys::read(keys)?, &at, request, &mut headers, now).map(|_| headers)
    }

    /// The example that the service's documentation works through.
    #[test]
    fn the_documented_request_has_the_documented_signature() {
        let canonical = Canonical { path: "/".into(), query: "Action=ListUsers&Version=2010-05-08".into() };
        let request = Signable { method: "GET", canonical: &canonical, body: b"" };
        let given =
            [("content-type", "application/x-www-form-urlencoded; charset=utf-8"), ("host", "iam.amazonaws.com")];
        let headers = signed("iam", &request, &given, KEYS).unwrap();
        assert_eq!(headers[DATE], "20150830T123600Z");
        assert_eq!(
            headers[AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn what_is_signed_is_what_services_read() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-b", "  two   words "), ("x-a", "1"), ("x-a", "2"), ("user-agent", "any")] {
            headers.append(name, value.trim().parse().unwrap());
        }
        let (names, lines) = canonical_headers(&headers).unwrap();
        assert_eq!((names.as_str(), lines.as_str()), ("x-a;x-b", "x-a:1,2\nx-b:two words\n"));
    }

    /// No header of a signature is the artifact's, and what is no pair of keys signs nothing.
    #[test]
    fn an_artifact_cannot_bring_its_own_signature() {
        let canonical = Canonical { path: "/".into(), query: String::new() };
        let request = Signable { method: "GET", canonical: &canonical, body: b"" };
        for name in ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
            let given = [("host", "s3.example"), (name, "mine")];
            assert!(signed("s3", &request, &given, &format!("{KEYS}\ntoken")).is_err(), "{name}");
        }
        for keys in [
            "",
            "AKID",
            "AKID\n",
            "\nsecret",
            "A KID\nsecret",
            "AKID\nsecret\ntoken\nmore",
            "AKID\nse cret",
            "A/B\nsecret",
        ] {
            assert!(Keys::read(keys).is_err(), "{keys:?}");
        }
        assert!(Keys::read("AKID\nsecret\n").is_ok());
    }
}
