use approve::statement::{Approval, Batch};
use approve::{NAMESPACE, PublicKey};
use artifact::claim::Signed;
use artifact::{Digest, Kind, ProposalId, RunId, TaskId, Timestamp};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::{Provider, RECEIPT};

/// Longest receipt, in bytes of the header.
const RECEIPT_MAX: usize = 32 * 1024;
/// How old a message signature may be, and how far ahead its clock, in seconds.
const AGE_MAX_S: u64 = 300;

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method, in capitals.
    pub method: &'a str,
    /// Path and query, as they stood in the first line.
    pub target: &'a str,
    /// Names in lower case, and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, whole.
    pub body: &'a [u8],
}

/// Who signed the request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The people, each once, as the provider's file names them.
    pub people: Vec<String>,
    /// The run. One that was seen before is the same request again: keep them until [`until`](Self::until), and five minutes more.
    pub run: RunId,
    /// The proposal that was signed.
    pub proposal: ProposalId,
    /// The task that it belongs to.
    pub task: TaskId,
    /// The gateway.
    pub gateway: Digest,
    /// Until when what was signed may be sent.
    pub until: Timestamp,
}

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has none of the headers, or two of one.
    #[error("the request brings no receipt")]
    Absent,
    /// They do not have the form that a gateway gives them.
    #[error("the receipt is not readable")]
    Malformed,
    /// Another gateway than those in the file.
    #[error("the receipt is of a gateway that is not known here")]
    Gateway,
    /// The message signature is not of this request, this place, or this gateway.
    #[error("the message signature does not fit this request")]
    Message,
    /// The message signature is too old, or from the future.
    #[error("the message signature is not of the last five minutes")]
    Time,
    /// What people signed are other bytes.
    #[error("what was signed is another request")]
    OtherRequest,
    /// What people signed has ended.
    #[error("what was signed has ended")]
    Ended,
    /// A signature is by nobody in the file.
    #[error("a signature is by nobody who is known here")]
    Person,
    /// Fewer people than it takes.
    #[error("fewer people signed than it takes")]
    TooFew,
}

/// The receipt's content.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    v: u8,
    run: RunId,
    /// Names of the headers that were signed, in their order.
    headers: Vec<String>,
    claim: Signed,
}

impl Provider {
    /// Checks one request. `now` is the provider's clock.
    pub fn check(&self, request: &Request<'_>, now: Timestamp) -> Result<Receipt, Refused> {
        let header = |name: &str| {
            let mut found = request.headers.iter().filter(|(known, _)| *known == name);
            found.next().map(|(_, value)| *value).filter(|_| found.next().is_none()).ok_or(Refused::Absent)
        };
        let receipt = header(RECEIPT)?;
        if receipt.len() > RECEIPT_MAX {
            return Err(Refused::Malformed);
        }
        let gateway = self.message(request, receipt, header("signature-input")?, header("signature")?, now)?;
        let hash = format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, request.body)));
        if header("content-digest")? != hash {
            return Err(Refused::Message);
        }
        let content = URL_SAFE_NO_PAD.decode(receipt).map_err(|_| Refused::Malformed)?;
        let content: Content = serde_json::from_slice(&content).map_err(|_| Refused::Malformed)?;
        let approval = Approval::parse(&content.claim.statement).map_err(|_| Refused::Malformed)?;
        if content.v != 1 || approval.gateway != gateway {
            return Err(Refused::Malformed);
        }
        // The text that was signed, from what arrived.
        let mut text = format!("{} {}", request.method, request.target);
        for name in &content.headers {
            text += &format!("\n{name}: {}", header(name).map_err(|_| Refused::OtherRequest)?);
        }
        let text = [text.as_bytes(), b"\n\n", request.body].concat();
        let bare = text.strip_suffix(b"\n\n").filter(|_| request.body.is_empty());
        let same = |text: &[u8]| Digest::of(text) == approval.artifact;
        if approval.kind != Kind::Http || !(same(&text) || bare.is_some_and(same)) {
            return Err(Refused::OtherRequest);
        }
        if approval.not_after <= now {
            return Err(Refused::Ended);
        }
        let people = self.people(&content.claim, &approval)?;
        if people.len() < self.least.max(usize::try_from(approval.quorum).unwrap_or(usize::MAX)) {
            return Err(Refused::TooFew);
        }
        Ok(Receipt {
            people,
            run: content.run,
            proposal: approval.proposal,
            task: approval.task,
            gateway,
            until: approval.not_after,
        })
    }

    /// Verifies the message signature (RFC 9421, section 3.2), in the one form that a gateway gives it.
    fn message(
        &self,
        request: &Request<'_>,
        receipt: &str,
        input: &str,
        signature: &str,
        now: Timestamp,
    ) -> Result<Digest, Refused> {
        let params = input.strip_prefix("wetink=").ok_or(Refused::Malformed)?;
        let rest = params.strip_prefix(COMPONENTS).and_then(|rest| rest.strip_prefix(";created="));
        let (created, keyid) = rest.and_then(|rest| rest.split_once(";keyid=\"")).ok_or(Refused::Malformed)?;
        let keyid = keyid.strip_suffix("\";alg=\"ed25519\"").ok_or(Refused::Malformed)?;
        let created: u64 = created.parse().map_err(|_| Refused::Malformed)?;
        let gateway: Digest = keyid.parse().map_err(|_| Refused::Malformed)?;
        let known = self.gateways.iter().find(|(fingerprint, _)| *fingerprint == gateway);
        let (_, key) = known.ok_or(Refused::Gateway)?;
        let signature = signature.strip_prefix("wetink=:").and_then(|rest| rest.strip_suffix(':'));
        let signature = signature.and_then(|text| STANDARD.decode(text).ok()).ok_or(Refused::Malformed)?;
        let hash = STANDARD.encode(digest(&SHA256, request.body));
        let base = format!(
            "\"@method\": {}\n\"@target-uri\": {}{}\n\"content-digest\": sha-256=:{hash}:\n\"{RECEIPT}\": {receipt}\n\"@signature-params\": {params}",
            request.method, self.origin, request.target
        );
        UnparsedPublicKey::new(&ED25519, key).verify(base.as_bytes(), &signature).map_err(|_| Refused::Message)?;
        let at = now.as_millis() / 1000;
        if created.abs_diff(at) > AGE_MAX_S { Err(Refused::Time) } else { Ok(gateway) }
    }

    /// Verifies every signature; each has to be by somebody in the file.
    fn people(&self, claim: &Signed, approval: &Approval) -> Result<Vec<String>, Refused> {
        let signed = match &claim.batch {
            None => &claim.statement,
            Some(text) => {
                let batch = Batch::parse(text).map_err(|_| Refused::Malformed)?;
                let item = (approval.proposal, approval.revision, Digest::of(claim.statement.as_bytes()));
                if batch.gateway != approval.gateway || !batch.items.contains(&item) {
                    return Err(Refused::OtherRequest);
                }
                text
            }
        };
        let mut people = Vec::new();
        for signature in &claim.signatures {
            let by = |(_, key): &&(String, PublicKey)| key.verify(NAMESPACE, signed, signature).is_ok();
            let (name, _) = self.people.iter().find(by).ok_or(Refused::Person)?;
            people.push(name.clone());
        }
        people.sort_unstable();
        people.dedup();
        people.retain(|name| !approval.not_by.contains(name));
        Ok(people)
    }
}

/// What a gateway's message signature covers.
const COMPONENTS: &str = "(\"@method\" \"@target-uri\" \"content-digest\" \"wetink-receipt\")";
