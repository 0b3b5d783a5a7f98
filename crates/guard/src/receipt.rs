//! What a service gets along with a request so that it can check, without us, that people signed it: their claim, and an HTTP message
//! signature (RFC 9421) of this gateway over method, target, body and that claim.
//!
//! The request is not read here. Its parts are taken where its form has them; were they taken wrongly, the signature would fit nothing.

use artifact::claim::Signed;
use artifact::{Digest, RunId, Timestamp};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The headers. None: the artifact has not the form of a request, or there is nothing to add.
pub(crate) fn headers(
    (key, gateway): (&Ed25519KeyPair, Digest),
    origin: &str,
    (run, artifact): (RunId, &str),
    claim: &Signed,
    now: Timestamp,
) -> Option<Vec<(String, String)>> {
    let (head, body) = artifact.split_once("\n\n").unwrap_or((artifact.trim_end_matches('\n'), ""));
    let mut lines = head.split('\n');
    let (method, target) = lines.next()?.split_once(' ')?;
    let names: Option<Vec<&str>> = lines.map(|line| Some(line.split_once(": ")?.0)).collect();
    let content = serde_json::json!({ "v": 1, "run": run.to_string(), "headers": names?, "claim": claim });
    let receipt = URL_SAFE_NO_PAD.encode(content.to_string());
    let hash = format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, body.as_bytes())));
    let params = format!(
        "(\"@method\" \"@target-uri\" \"content-digest\" \"wetink-receipt\");created={};keyid=\"{gateway}\";alg=\"ed25519\"",
        now.as_millis() / 1000
    );
    let base = format!(
        "\"@method\": {method}\n\"@target-uri\": {origin}{target}\n\"content-digest\": {hash}\n\"wetink-receipt\": {receipt}\n\"@signature-params\": {params}"
    );
    let signature = STANDARD.encode(key.sign(base.as_bytes()));
    let header = |name: &str, value: String| (name.to_owned(), value);
    Some(vec![
        header("wetink-receipt", receipt),
        header("content-digest", hash),
        header("signature-input", format!("wetink={params}")),
        header("signature", format!("wetink=:{signature}:")),
    ])
}
