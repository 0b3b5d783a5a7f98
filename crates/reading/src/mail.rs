//! A mail as an artifact, and what else may be asked of a mailbox. The form is that of a [`request`](crate::request); the mailbox's own
//! address, the date and the message's id are added by the executor, and nothing else.
//!
//! ```text
//! SEND /
//! to: bo@example.com, cy@example.com
//! subject: The gate
//!
//! It sticks.
//! ```
//!
//! `DRAFT /` has the same form and sends nothing. `LIST /INBOX?from=bo&limit=20` lists, `READ /INBOX/1700000000.42` reads one message,
//! `MARK /INBOX/1700000000.42?add=Seen` sets and removes marks. A message is named by its folder's validity and its number there (RFC
//! 9051, section 2.3.1.1).

use artifact::mail::is_address;
use artifact::request::Method;

use crate::request::{Request, RequestError};

/// Most people that one mail goes to.
pub const RECIPIENTS_MAX: usize = 50;
/// Longest subject, in bytes.
const SUBJECT_MAX: usize = 500;
/// What a listing may be narrowed by.
const FILTERS: [&str; 9] = ["since", "before", "from", "to", "subject", "text", "unseen", "flagged", "limit"];

/// A mail, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail<'a> {
    /// Addresses of `to`.
    pub to: Vec<&'a str>,
    /// Addresses of `cc`.
    pub cc: Vec<&'a str>,
    /// Addresses of `bcc`.
    pub bcc: Vec<&'a str>,
    /// Subject; may be empty.
    pub subject: &'a str,
    /// Message that it answers, with its angle brackets.
    pub in_reply_to: Option<&'a str>,
    /// Messages of its thread, with their angle brackets.
    pub references: Option<&'a str>,
    /// The text.
    pub body: &'a str,
}

impl Mail<'_> {
    /// Everybody whom it goes to, sorted, each once.
    pub fn recipients(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.to.iter().chain(&self.cc).chain(&self.bcc).map(|address| (*address).to_owned()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn wrong<T>(why: &'static str) -> Result<T, RequestError> {
    Err(RequestError::Mail(why))
}

/// The mail that `SEND` or `DRAFT` has.
pub fn read<'a>(request: &Request<'a>) -> Result<Mail<'a>, RequestError> {
    if request.path != "/" || request.query.is_some() {
        return wrong("it is `SEND /` or `DRAFT /`, and the rest stands below");
    }
    let mut mail = Mail { body: request.body, ..Mail::default() };
    for (name, value) in &request.headers {
        match *name {
            "to" => mail.to = addresses(value)?,
            "cc" => mail.cc = addresses(value)?,
            "bcc" => mail.bcc = addresses(value)?,
            "subject" => mail.subject = value,
            "in-reply-to" => mail.in_reply_to = Some(ids(value)?),
            "references" => mail.references = Some(ids(value)?),
            _ => return wrong("its headers are to, cc, bcc, subject, in-reply-to and references"),
        }
    }
    let count = mail.to.len() + mail.cc.len() + mail.bcc.len();
    if request.method == Method::Send && mail.to.is_empty() {
        return wrong("it goes to nobody; name an address under `to`");
    }
    if count > RECIPIENTS_MAX || mail.recipients().len() < count {
        return wrong("it goes to more than 50 addresses, or to one of them twice");
    }
    if mail.subject.len() > SUBJECT_MAX {
        return wrong("its subject is longer than 500 bytes");
    }
    if mail.body.contains(['\r', '\0']) {
        return wrong("its text has line ends of another system");
    }
    Ok(mail)
}

fn addresses(list: &str) -> Result<Vec<&str>, RequestError> {
    let all: Vec<&str> = list.split(", ").collect();
    if all.iter().all(|address| is_address(address)) {
        return Ok(all);
    }
    wrong(
        "addresses are `name@domain`, domains in lower case, without names and brackets, with a comma and a blank between them",
    )
}

fn ids(list: &str) -> Result<&str, RequestError> {
    let id = |text: &str| {
        let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
        inner.is_some_and(|inner| {
            (3..=250).contains(&inner.len()) && inner.bytes().all(|b| b.is_ascii_graphic() && !b"<>".contains(&b))
        })
    };
    if list.split(' ').all(id) {
        Ok(list)
    } else {
        wrong("ids of messages stand in angle brackets, a blank between them")
    }
}

/// The folder, and for one message its folder's validity and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Names from the root down, their escapes read.
    pub folder: Vec<String>,
    /// Validity and number.
    pub message: Option<(u32, u32)>,
}

/// Where `LIST`, `READ` and `MARK` look, and what they are narrowed by, in the order it stands.
pub fn place(request: &Request<'_>) -> Result<(Place, Vec<(String, String)>), RequestError> {
    let mut segments: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let mut message = None;
    if request.method != Method::List {
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0 && n.to_string() == text);
        let named = segments.pop().and_then(|last| last.split_once('.'));
        message = named.and_then(|(validity, uid)| Some((number(validity)?, number(uid)?)));
        if message.is_none() {
            return wrong("name the folder and the message as a listing gives it, e.g. `/INBOX/1700000000.42`");
        }
    }
    let folder: Option<Vec<String>> = segments.iter().map(|segment| plain(segment)).collect();
    let folder =
        folder.filter(|names| names.iter().all(|name| !name.is_empty() && !name.contains(['*', '%', '"', '\\'])));
    let Some(folder) = folder else { return wrong("the folder's name has plain ASCII letters, digits and signs") };
    let mut asked = Vec::new();
    for part in request.query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = plain(&value.replace('+', "%20"))
            .filter(|value| (1..=100).contains(&value.len()) && !value.contains(['"', '\\']));
        let Some(value) = value else {
            return wrong("what is asked for is plain ASCII of at most 100 characters, without quotes");
        };
        let known = match request.method {
            Method::List => filter(name, &value) && !asked.iter().any(|(other, _)| other == name),
            Method::Mark => (name == "add" || name == "remove") && is_mark(&value),
            _ => false,
        };
        if !known {
            return wrong(
                "it asks for something unknown: LIST takes since, before (YYYY-MM-DD), from, to, subject, text, unseen=yes, flagged=yes, limit (1 to 200), each once; MARK takes add and remove",
            );
        }
        asked.push((name.to_owned(), value));
    }
    if request.method == Method::Mark && (asked.is_empty() || asked.len() > 20) {
        return wrong("say which marks to add or to remove, at most 20");
    }
    Ok((Place { folder, message }, asked))
}

fn filter(name: &str, value: &str) -> bool {
    let day = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        let number = |text: &str, length: usize, most: u32| {
            text.len() == length && text.parse::<u32>().is_ok_and(|n| (1..=most).contains(&n))
        };
        matches!(parts[..], [year, month, day] if number(year, 4, 9999) && number(month, 2, 12) && number(day, 2, 31))
    };
    FILTERS.contains(&name)
        && match name {
            "since" | "before" => day(value),
            "unseen" | "flagged" => value == "yes",
            "limit" => value.parse::<u32>().is_ok_and(|n| (1..=200).contains(&n)),
            _ => true,
        }
}

/// Marks that may be set: two of the system's, and keywords. `Deleted` is none of them.
fn is_mark(text: &str) -> bool {
    let known = ["Seen", "Flagged", "Answered"].contains(&text);
    let systems = ["deleted", "draft", "recent", "seen", "flagged", "answered"];
    let keyword = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_$".contains(&b));
    known || (keyword && !systems.contains(&text.to_ascii_lowercase().as_str()))
}

/// Escapes read; none where that is no plain ASCII.
fn plain(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(rest.get(..at)?);
        let byte = u8::from_str_radix(rest.get(at + 1..at + 3)?, 16).ok()?;
        out.push(char::from(byte));
        rest = rest.get(at + 3..)?;
    }
    out.push_str(rest);
    out.bytes().all(|b| (b' '..=b'~').contains(&b)).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    fn mail(text: &str) -> Result<Vec<String>, RequestError> {
        let request = request::read(text)?;
        read(&request).map(|mail| mail.recipients())
    }

    #[test]
    fn a_mail_is_read_as_it_stands() {
        let text = "SEND /\nto: bo@example.com, cy@example.com\nbcc: di@example.org\nsubject: Grüße\nin-reply-to: <1@x.y>\n\nHi,\n\nyes.\n";
        let request = request::read(text).unwrap();
        let mail = read(&request).unwrap();
        assert_eq!((mail.subject, mail.body, mail.in_reply_to), ("Grüße", "Hi,\n\nyes.\n", Some("<1@x.y>")));
        assert_eq!(mail.recipients(), ["bo@example.com", "cy@example.com", "di@example.org"]);
    }

    #[test]
    fn what_goes_elsewhere_than_it_seems_is_refused() {
        for bad in [
            "SEND /\n\nx",
            "SEND /\nto: \n\nx",
            "SEND /x\nto: a@b.c\n\nx",
            "SEND /?a=b\nto: a@b.c\n\nx",
            "SEND /\nto: Bo <bo@example.com>\n\nx",
            "SEND /\nto: <bo@example.com>\n\nx",
            "SEND /\nto: bo@example.com,cy@example.com\n\nx",
            "SEND /\nto: bo@example.com; cy@example.com\n\nx",
            "SEND /\nto: friends: a@b.c;\n\nx",
            "SEND /\nto: \"bo\"@example.com\n\nx",
            "SEND /\nto: bo@[127.0.0.1]\n\nx",
            "SEND /\nto: bo(x)@example.com\n\nx",
            "SEND /\nto: bo@Example.com\n\nx",
            "SEND /\nto: bo@exämple.com\n\nx",
            "SEND /\nto: bo@example\n\nx",
            "SEND /\nto: bo@@example.com\n\nx",
            "SEND /\nto: bo%evil.example@example.com\n\nx",
            "SEND /\nto: evil.example!bo@example.com\n\nx",
            "SEND /\nto: a@b.c, a@b.c\n\nx",
            "SEND /\nto: a@b.c\ncc: a@b.c\n\nx",
            "SEND /\nto: a@b.c\nto: d@e.f\n\nx",
            "SEND /\nto: a@b.c\nfrom: d@e.f\n\nx",
            "SEND /\nto: a@b.c\nreply-to: d@e.f\n\nx",
            "SEND /\nto: a@b.c\nsender: d@e.f\n\nx",
            "SEND /\nto: a@b.c\ncontent-type: text/html\n\nx",
            "SEND /\nto: a@b.c\nsubject: x\rBcc: d@e.f\n\nx",
            "SEND /\nto: a@b.c\nsubject: x\u{2028}y\n\nx",
            "SEND /\nto: a@b.c\nsubject: x\u{85}y\n\nx",
            "SEND /\nto: a@b.c\nin-reply-to: 1@x\n\nx",
            "SEND /\nto: a@b.c\n\nx\r\n.\r\nMAIL FROM:<a@b.c>",
            "DRAFT /inbox\nto: a@b.c\n\nx",
        ] {
            assert!(mail(bad).is_err(), "{bad:?}");
        }
        let many: Vec<String> = (0..=RECIPIENTS_MAX).map(|n| format!("a{n}@b.c")).collect();
        assert!(mail(&format!("SEND /\nto: {}\n\nx", many.join(", "))).is_err());
        assert!(mail("DRAFT /\nsubject: x\n\nlater").unwrap().is_empty());
    }

    #[test]
    fn a_place_is_a_folder_and_a_number() {
        let place = |text: &str| request::read(text).and_then(|request| super::place(&request));
        let (found, asked) = place("LIST /INBOX/Old%20mail?from=bo%40x.y&limit=5").unwrap();
        assert_eq!((found.folder, found.message), (vec!["INBOX".to_owned(), "Old mail".to_owned()], None));
        assert_eq!(asked, [("from".to_owned(), "bo@x.y".to_owned()), ("limit".to_owned(), "5".to_owned())]);
        assert_eq!(place("READ /INBOX/17.42").unwrap().0.message, Some((17, 42)));
        assert!(place("MARK /INBOX/17.42?add=Seen&remove=todo").is_ok());
        for bad in [
            "LIST /",
            "LIST /INBOX?x=y",
            "LIST /INBOX?limit=5&limit=6",
            "LIST /INBOX?limit=0",
            "LIST /INBOX?limit=201",
            "LIST /INBOX?since=yesterday",
            "LIST /INBOX?from=a%22%20OR%20ALL",
            "LIST /INBOX?from=a%0d%0aA1%20LOGOUT",
            "LIST /INBOX?text=%C3%A9",
            "LIST /IN%2ABOX",
            "LIST /a%22b",
            "READ /INBOX",
            "READ /INBOX/42",
            "READ /INBOX/17.042",
            "READ /INBOX/17.0",
            "READ /INBOX/17.42?x=y",
            "MARK /INBOX/17.42",
            "MARK /INBOX/17.42?add=Deleted",
            "MARK /INBOX/17.42?add=deleted",
            "MARK /INBOX/17.42?add=%5CDeleted",
            "MARK /INBOX/17.42?add=a%20b",
            "LIST /INBOX\nx: y",
            "READ /INBOX/17.42\n\nx",
        ] {
            assert!(place(bad).is_err(), "{bad:?}");
        }
    }
}
