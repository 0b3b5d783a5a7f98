//! What has no business inside of an artifact: secrets, which reviewers, logs and targets would see, and the tokens that stand for
//! masked values, which must never be written back as if they were the values.

use artifact::effect::Verb;

use crate::Code;
use crate::draft::Draft;
use crate::lexer::{Lexeme, Token};

/// A form of secret: how it begins, what it goes on with, how long that is at least.
struct Form {
    begins: &'static str,
    goes_on: fn(u8) -> bool,
    least: usize,
    is: &'static str,
}

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

fn upper(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

const fn form(begins: &'static str, goes_on: fn(u8) -> bool, least: usize, is: &'static str) -> Form {
    Form { begins, goes_on, least, is }
}

/// Forms that their makers publish so that they can be found.
const FORMS: &[Form] = &[
    form("AKIA", upper, 16, "an access key of AWS"),
    form("ASIA", upper, 16, "an access key of AWS"),
    form("AIza", token, 35, "an API key of Google"),
    form("ghp_", word, 36, "a token of GitHub"),
    form("gho_", word, 36, "a token of GitHub"),
    form("ghs_", word, 36, "a token of GitHub"),
    form("ghu_", word, 36, "a token of GitHub"),
    form("ghr_", word, 36, "a token of GitHub"),
    form("github_pat_", token, 22, "a token of GitHub"),
    form("glpat-", token, 20, "a token of GitLab"),
    form("npm_", word, 36, "a token of npm"),
    form("sk-ant-", token, 20, "a key of Anthropic"),
    form("sk-proj-", token, 20, "a key of OpenAI"),
    form("sk_live_", word, 16, "a key of Stripe"),
    form("rk_live_", word, 16, "a key of Stripe"),
    form("xoxb-", token, 20, "a token of Slack"),
    form("xoxp-", token, 20, "a token of Slack"),
    form("hvs.", token, 20, "a token of Vault"),
    form("wtp_", token, 20, "an agent's pass"),
    form("whsec_", word, 24, "the secret of a webhook"),
];

/// No form is shorter, in bytes.
const SHORTEST: usize = 20;
/// Dashes in a row that a private key in PEM begins with.
const DASHES: usize = 5;

/// Whether a byte can stand in a secret of any form, tokens in three parts included.
const fn may_stand() -> [bool; 256] {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 128 {
        table[b as usize] = b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.';
        b += 1;
    }
    table
}

const MAY_STAND: [bool; 256] = may_stand();

/// Whether so many bytes of that kind stand in a row. One of them stands at every so-manieth place, so few places are looked at.
fn has_run(bytes: &[u8], length: usize, kind: impl Fn(u8) -> bool) -> bool {
    (length - 1..bytes.len()).step_by(length).filter(|at| kind(bytes[*at])).any(|at| {
        let before = bytes[..at].iter().rev().take(length).take_while(|b| kind(**b)).count();
        let after = bytes[at..].iter().take(length).take_while(|b| kind(**b)).count();
        before + after >= length
    })
}

/// How a token for a masked value begins, and how many hexadecimal digits follow (`release`).
const MASK: (&str, usize) = ("masked_", 12);

/// Looks into strings and comments, and into the whole text for keys that span lines.
pub(crate) fn check(text: &str, all: &[Lexeme], draft: &mut Draft) {
    for lexeme in all.iter().filter(|l| matches!(l.token, Token::Text | Token::Comment | Token::QuotedName)) {
        let Some(piece) = text.get(lexeme.start..lexeme.end) else { continue };
        for (at, is) in found(piece) {
            let start = lexeme.start + at;
            draft.note(
                Code::SecretInside,
                Some((start, lexeme.end)),
                format!("The artifact holds what looks like {is}."),
            );
        }
    }
}

/// Writing a mask where a value belongs destroys the value. Known only once the verbs are.
pub(crate) fn masks(text: &str, draft: &mut Draft) {
    let effect = &draft.effect;
    let sends = effect.request.is_some() && effect.verb > Verb::Read;
    let writes = sends || effect.relations.iter().any(|r| r.verbs.iter().any(|verb| *verb > Verb::Read));
    if !writes {
        return;
    }
    let (begins, digits) = MASK;
    let is_mask = |at: usize| {
        let rest = text.as_bytes().get(at + begins.len()..).unwrap_or_default();
        rest.len() >= digits && rest[..digits].iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if let Some((at, _)) = text.match_indices(begins).find(|(at, _)| is_mask(*at)) {
        let span = Some((at, at + begins.len() + digits));
        draft.note(Code::MaskedValue, span, "A token that stands for a masked value would be used as the value.");
    }
}

/// Whether the text holds what looks like a secret.
pub(crate) fn holds(text: &str) -> bool {
    !found(text).is_empty()
}

/// Where something begins, and what it looks like.
fn found(piece: &str) -> Vec<(usize, &'static str)> {
    let mut out = Vec::new();
    // Most texts have no run that is long enough for either.
    let bytes = piece.as_bytes();
    if has_run(bytes, DASHES, |b| b == b'-')
        && let Some(at) = piece.find("-----BEGIN ").filter(|at| piece[*at..].contains("PRIVATE KEY-----"))
    {
        out.push((at, "a private key"));
    }
    if !has_run(bytes, SHORTEST, |b| MAY_STAND[usize::from(b)]) {
        return out;
    }
    let starts = (0..bytes.len()).filter(|&at| token(bytes[at]) && (at == 0 || !token(bytes[at - 1])));
    for at in starts {
        // A start is an ASCII character, so it is a character's.
        let Some(rest) = piece.get(at..) else { continue };
        if let Some(form) = FORMS.iter().find(|form| {
            let tail = rest.strip_prefix(form.begins).map(str::as_bytes);
            tail.is_some_and(|tail| tail.iter().take_while(|b| (form.goes_on)(**b)).count() >= form.least)
        }) {
            out.push((at, form.is));
        } else if is_jwt(rest) {
            out.push((at, "a signed token (JWT)"));
        }
    }
    out
}

/// Three parts in base64url, the first two of which are JSON objects (`eyJ` is `{"`), RFC 7519.
fn is_jwt(rest: &str) -> bool {
    let end = rest.bytes().position(|b| !token(b) && b != b'.').unwrap_or(rest.len());
    let mut parts = rest[..end].split('.');
    let object = |part: Option<&str>| part.is_some_and(|part| part.starts_with("eyJ") && part.len() >= 10);
    object(parts.next()) && object(parts.next()) && parts.next().is_some_and(|part| part.len() >= 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_wherever_they_begin() {
        for length in [1, 5, 20] {
            for before in 0..45 {
                for run in 0..45 {
                    let text = format!("{}{}{}", ".".repeat(before), "-".repeat(run), ".".repeat(before % 7));
                    assert_eq!(has_run(text.as_bytes(), length, |b| b == b'-'), run >= length, "{length} {text}");
                }
            }
        }
    }

    #[test]
    fn no_form_is_shorter_than_what_is_looked_at() {
        for form in FORMS {
            assert!(form.begins.len() + form.least >= SHORTEST, "{}", form.begins);
            assert!(form.begins.bytes().all(|b| MAY_STAND[usize::from(b)]), "{}", form.begins);
            assert!((0..=255).all(|b| !(form.goes_on)(b) || MAY_STAND[usize::from(b)]), "{}", form.begins);
        }
    }

    /// Put together here, so that nobody's scanner takes this file for a leak.
    fn made(begins: &str, goes_on: &str, count: usize) -> String {
        format!("{begins}{}", goes_on.repeat(count))
    }

    #[test]
    fn secrets_are_found_and_ordinary_texts_are_not() {
        let key = format!("-----BEGIN EC {}-----\nMHcCAQEEI", "PRIVATE KEY");
        let jwt = format!("{}.{}.{}", made("eyJ", "hbGci", 4), made("eyJ", "zdWIi", 4), "c2lnbmF0dXJl".repeat(3));
        for (secret, is) in [
            (made("AKIA", "Q7", 8), "AWS"),
            (made("ghp_", "a1B2", 9), "GitHub"),
            (made("sk_live_", "4e", 10), "Stripe"),
            (made("sk-ant-", "api03-", 5), "Anthropic"),
            (made("wtp_", "x9", 16), "pass"),
            (key, "private key"),
            (jwt, "JWT"),
        ] {
            for text in [secret.clone(), format!("'{secret}'"), format!("see key={secret}, please")] {
                let seen = found(&text);
                assert!(seen.len() == 1 && seen[0].1.contains(is), "{text}: {seen:?}");
            }
        }
        for text in [
            "AKIA",
            "an AKIA key",
            "ghp_short",
            "eyJ.eyJ.x",
            "sk-",
            "paid",
            "-----BEGIN CERTIFICATE-----",
            "é-ghp_",
            "SLAKIA2345678901234567890",
            "2026-11-21T10:00:00Z",
            "0193e4a1-5b2c-7d3e-8f40-112233445566",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
