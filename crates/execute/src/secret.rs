//! A credential in what comes back from whoever was shown it.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use wire::order::{FailCode, Report};

use crate::aws::Keys;
use crate::child::failed;

/// Shortest credential that is looked for; a shorter one would be found everywhere.
const CREDENTIAL_LEAST: usize = 6;

/// The credential, and the forms in which it could come back.
pub(crate) struct Secret {
    pub(crate) value: Option<String>,
    /// None: no form is long enough to be looked for.
    forms: Option<AhoCorasick>,
    /// Forms of what was made from it for one request.
    made: Option<AhoCorasick>,
}

impl Secret {
    /// Refuses a credential that cannot stand in a header.
    pub(crate) fn of(credential: &[u8]) -> Result<Self, Report> {
        if credential.is_empty() {
            return Ok(Self { value: None, forms: None, made: None });
        }
        let plain = credential.iter().all(|b| (b' '..=b'~').contains(b));
        let value = std::str::from_utf8(credential).ok().filter(|_| plain).map(str::to_owned);
        let value = value.ok_or_else(|| failed(FailCode::LoginRefused, "the credential cannot stand in a header"))?;
        let forms = found_by(forms(&value))?;
        Ok(Self { value: Some(value), forms, made: None })
    }

    /// Keys of AWS, of which each secret one is looked for.
    pub(crate) fn of_keys(credential: &[u8]) -> Result<Self, Report> {
        let refused = |detail| failed(FailCode::LoginRefused, detail);
        let value = std::str::from_utf8(credential).map_err(|_| refused("the credential is no text"))?;
        let forms = Keys::read(value).map_err(refused)?.secrets().flat_map(forms).collect();
        Ok(Self { value: Some(value.to_owned()), forms: found_by(forms)?, made: None })
    }

    /// What was made from it is looked for as well, until something else was made.
    pub(crate) fn also(&mut self, made: &str) -> Result<(), Report> {
        self.made = found_by(forms(made))?;
        Ok(())
    }

    /// Whether it is this credential. Both are this process's own, so time tells nobody anything.
    pub(crate) fn is(&self, credential: &[u8]) -> bool {
        self.value.as_deref().unwrap_or_default().as_bytes() == credential
    }

    /// The text without the credential in any of its forms.
    pub(crate) fn out_of(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for forms in [&self.forms, &self.made].into_iter().flatten().filter(|forms| forms.is_match(text)) {
            let before = std::mem::take(&mut out);
            forms.replace_all_with(&before, &mut out, |_, _, out| {
                out.push_str("[credential]");
                true
            });
        }
        out
    }
}

/// Forms in which a secret could come back.
fn forms(value: &str) -> Vec<String> {
    let credential = value.as_bytes();
    let mut forms = Vec::new();
    if value.len() < CREDENTIAL_LEAST {
        return forms;
    }
    // With and without one byte before it, as in `user:secret`: Base64 of a text begins anew every three bytes.
    for skip in 0..3 {
        let shifted = [vec![b'x'; skip], credential.to_vec()].concat();
        let whole = STANDARD_NO_PAD.encode(&shifted);
        let from = (skip * 8).div_ceil(6);
        let to = whole.len() - usize::from(shifted.len() % 3 != 0);
        let inner = whole.get(from..to).unwrap_or_default().to_owned();
        forms.push(inner.replace('+', "-").replace('/', "_"));
        forms.push(inner);
    }
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.push(engine.encode(credential));
    }
    let hex = |upper: bool| {
        credential.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect::<String>()
    };
    forms.extend([hex(false), hex(true)]);
    // `whole`: every byte as an escape, which nobody needs to do and anybody may.
    let escaped = |upper: bool, whole: bool| -> String {
        let plain = |b: u8| !whole && (b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        let one = |b: &u8| match (plain(*b), upper) {
            (true, _) => char::from(*b).to_string(),
            (false, true) => format!("%{b:02X}"),
            (false, false) => format!("%{b:02x}"),
        };
        credential.iter().map(one).collect()
    };
    forms.extend(
        [(true, true), (true, false), (false, true), (false, false)].map(|(upper, whole)| escaped(upper, whole)),
    );
    forms.push(serde_json::to_string(value).unwrap_or_default().trim_matches('"').to_owned());
    forms.push(value.to_owned());
    forms.retain(|form| form.len() >= CREDENTIAL_LEAST);
    forms
}

/// What finds these. Of two that begin at one place the longer, so that no part of one is left of another.
fn found_by(forms: Vec<String>) -> Result<Option<AhoCorasick>, Report> {
    if forms.is_empty() {
        return Ok(None);
    }
    let found = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms);
    found.map(Some).map_err(|_| failed(FailCode::LoginRefused, "the credential is too long to be looked for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_taken_out_in_every_form() {
        let secret = Secret::of(b"sk_live_4eC39HqLyjWDarj\"t/").unwrap();
        let value = "sk_live_4eC39HqLyjWDarj\"t/";
        let hex: String = value.bytes().map(|b| format!("{b:02X}")).collect();
        let all = [
            value.to_owned(),
            STANDARD.encode(value),
            URL_SAFE_NO_PAD.encode(value),
            STANDARD.encode(format!("user:{value}")),
            STANDARD.encode(format!("u:{value}")),
            STANDARD.encode(format!("us:{value}\n")),
            hex.to_lowercase(),
            hex,
            "sk_live_4eC39HqLyjWDarj%22t%2F".to_owned(),
            value.bytes().map(|b| format!("%{b:02x}")).collect(),
            "sk_live_4eC39HqLyjWDarj\\\"t/".to_owned(),
        ];
        for text in all {
            let out = secret.out_of(&format!("before {text} after"));
            assert!(out.contains("[credential]"), "{text} -> {out}");
            assert!(!out.contains("4eC39HqLyjWDarj") && !out.contains(&text), "{text} -> {out}");
        }
        assert_eq!(secret.out_of("nothing of it"), "nothing of it");
    }
}
