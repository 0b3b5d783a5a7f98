//! What a value is for, by its parameter's name and description and by its own form.

use super::Value;

/// What a value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Where something goes: a person, an account, an address, a URL.
    Destination,
    /// What lets somebody in.
    Secret,
    /// Which thing is meant.
    Selector,
    /// How much.
    Amount,
    /// When.
    Date,
    /// One of a few choices.
    Flag,
    /// Words for a reader: a subject, a body.
    Prose,
    /// Names and anything else.
    Other,
}

/// What a call does, where that alone can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Takes something away.
    Remove,
    /// Takes something into use that costs.
    Book,
}

const REMOVE: &[&str] = &[
    "delete",
    "deletes",
    "remove",
    "cancel",
    "erase",
    "drop",
    "destroy",
    "revoke",
    "kick",
    "uninvite",
    "unsubscribe",
    "purge",
    "wipe",
    "truncate",
];
const BOOK: &[&str] = &["reserve", "book", "buy", "purchase", "order", "reservation", "booking", "subscribe"];

const DESTINATION: &[&str] = &[
    "recipient",
    "recipients",
    "to",
    "cc",
    "bcc",
    "email",
    "emails",
    "participant",
    "participants",
    "attendee",
    "attendees",
    "invitee",
    "invitees",
    "guest",
    "guests",
    "payee",
    "iban",
    "account",
    "beneficiary",
    "url",
    "uri",
    "link",
    "links",
    "host",
    "hostname",
    "domain",
    "webhook",
    "endpoint",
    "callback",
    "phone",
    "receiver",
    "forward",
    "destination",
];
const SECRET: &[&str] =
    &["password", "passwd", "passphrase", "secret", "token", "pin", "apikey", "credential", "credentials"];
const SELECTOR: &[&str] = &["id", "ids", "key", "uuid", "number", "no"];
const AMOUNT: &[&str] = &["amount", "sum", "price", "total", "quantity", "qty", "count", "n", "limit"];
const DATE: &[&str] = &["date", "day", "time", "start", "end", "until", "from", "deadline", "month", "year"];

const PROSE: &[&str] =
    &["subject", "body", "message", "content", "description", "title", "text", "note", "comment", "summary"];

fn parts(name: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut before = ' ';
    for c in name.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.push(c);
        before = c;
    }
    spaced.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()).map(str::to_lowercase).collect()
}

pub(super) fn role(value: &Value) -> Role {
    let text = value.text.trim();
    if matches!(text.to_lowercase().as_str(), "true" | "false" | "null" | "") {
        return Role::Flag;
    }
    let parts = parts(&value.name);
    let has = |list: &[&str]| parts.iter().any(|part| list.contains(&part.as_str()));
    let description = value.description.to_lowercase();
    if has(SECRET) {
        return Role::Secret;
    }
    if has(DATE) || is_date(text) {
        return Role::Date;
    }
    if has(DESTINATION) || description.contains("iban") || description.contains("email address") || is_identifier(text)
    {
        return Role::Destination;
    }
    if has(AMOUNT) || (text.parse::<f64>().is_ok() && !has(SELECTOR)) {
        return Role::Amount;
    }
    if has(SELECTOR) {
        return Role::Selector;
    }
    if has(PROSE) { Role::Prose } else { Role::Other }
}

fn is_date(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let known = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | ' ' | 'T' | 'Z' | '/' | '.' | '+'));
    known && (4..=20).contains(&digits) && text.matches(['-', ':', '/']).count() >= 2 && !text.contains("//")
}

/// Ends of host names that are not ends of file names.
const TOP_LEVEL: &[&str] = &[
    "com", "org", "net", "io", "ly", "co", "de", "uk", "eu", "us", "info", "biz", "dev", "app", "ai", "me", "gov",
    "edu", "ru", "cn", "fr", "nl", "it", "es", "ch", "at", "xyz", "online", "site", "top", "club", "shop", "link",
    "example", "test", "onion", "tv", "gg", "to",
];

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, host)| !local.is_empty() && host.contains('.') && !host.contains('@'))
        && !text.contains(char::is_whitespace)
}

/// A URL or a host.
pub(super) fn is_place(text: &str) -> bool {
    let lower = text.to_lowercase();
    if lower.contains("://") || lower.starts_with("www.") {
        return true;
    }
    let host = lower.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let labels: Vec<&str> = host.split('.').collect();
    let address = labels.len() == 4 && labels.iter().all(|l| l.parse::<u8>().is_ok());
    let known = labels.len() >= 2 && labels.last().is_some_and(|end| TOP_LEVEL.contains(end));
    host.chars().all(plain) && labels.iter().all(|l| !l.is_empty()) && (address || known)
}

/// An IBAN or another account number: letters of a country, then mostly digits; or many digits.
fn is_account(text: &str) -> bool {
    let compact: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let digits = compact.bytes().filter(u8::is_ascii_digit).count();
    let plain = compact.bytes().all(|b| b.is_ascii_alphanumeric());
    let country = compact.bytes().take(2).all(|b| b.is_ascii_uppercase())
        && compact.bytes().skip(2).take(2).all(|b| b.is_ascii_digit());
    plain
        && ((country && compact.len() >= 12 && digits >= 8)
            || (digits == compact.len() && digits >= 9)
            || is_wallet(&compact))
}

/// Long mixed text without a blank: a wallet, a key.
fn is_wallet(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    (26..=120).contains(&text.len()) && digits >= 4 && letters >= 4
}

fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    text.starts_with('+') && digits >= 8 && text.chars().all(|c| c.is_ascii_digit() || "+ -()".contains(c))
}

/// True if the text is one address, account, URL or number to call.
pub(super) fn is_identifier(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && !is_date(text) && (is_email(text) || is_place(text) || is_account(text) || is_phone(text))
}

/// Identifiers inside of a longer text.
pub(super) fn identifiers(text: &str) -> Vec<&str> {
    let ends = |c: char| {
        c.is_whitespace()
            || matches!(c, ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '"' | '\'' | '|' | '`')
    };
    let tokens = text.split(ends).map(|t| t.trim_matches(['.', ':', '!', '?', '*', '\\']));
    tokens.filter(|token| token.len() >= 4 && is_identifier(token)).collect()
}

/// What a tool's name or a sentence is about.
pub(super) fn family(text: &str) -> Option<Family> {
    let parts = parts(text);
    let has = |list: &[&str]| parts.iter().any(|part| list.contains(&part.as_str()));
    if has(REMOVE) {
        return Some(Family::Remove);
    }
    has(BOOK).then_some(Family::Book)
}

/// Whether the sentence of a request asks for it.
pub(super) fn asks_for(sentence: &str, family: Family) -> bool {
    let list = match family {
        Family::Remove => REMOVE,
        Family::Book => BOOK,
    };
    parts(sentence).iter().any(|part| list.iter().any(|word| part.starts_with(word)))
}
