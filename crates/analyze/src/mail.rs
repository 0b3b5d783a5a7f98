//! A mail, or a question to a mailbox: what its own form says, and domains that look like others.

use artifact::effect::{RequestUse, Verb};
use artifact::request::Method;
use artifact::visible;
use reading::request;

use crate::Code;
use crate::draft::Draft;

pub(crate) fn analyze_into(text: &str, draft: &mut Draft) {
    let malformed = |error: String| format!("It is nothing for a mailbox: {error}.");
    let request = match request::read(text) {
        Ok(request) if request.method.kind() == artifact::Kind::Mail => request,
        Ok(_) => {
            let sentence = malformed("ask by LIST, READ, MARK, DRAFT or SEND".to_owned());
            return draft.note(Code::RequestMalformed, None, sentence);
        }
        Err(error) => return draft.note(Code::RequestMalformed, None, malformed(error.to_string())),
    };
    draft.statements = 1;
    draft.effect.verb = request.method.verb();
    draft.effect.commits_itself = request.method.verb() != Verb::Read;
    let (mut query, mut body, mut recipients) = (Vec::new(), Vec::new(), Vec::new());
    match request.method {
        Method::Draft | Method::Send => {
            // Read once already, as part of the form.
            let Ok(mail) = reading::mail::read(&request) else { return };
            body = request.headers.iter().map(|(name, _)| (*name).to_owned()).collect();
            recipients = mail.recipients();
            if request.method == Method::Send && !mail.bcc.is_empty() {
                let hidden = mail.bcc.iter().map(|address| visible(address)).collect::<Vec<_>>().join(", ");
                draft.note(Code::BlindCopy, None, format!("A copy goes to {hidden}, which the others do not see."));
            }
        }
        _ => {
            let Ok((_, asked)) = reading::mail::place(&request) else { return };
            query = asked.into_iter().map(|(name, _)| name).collect();
        }
    }
    let (method, path) = (request.method.as_str().to_owned(), request.path.to_owned());
    draft.effect.request = Some(RequestUse { method, path, query, body, recipients, payment: None, operation: None });
    draft.effect.normalize();
}

/// Shortest part of a domain's name that another one is compared with; shorter ones are alike by chance.
const ALIKE_MIN: usize = 4;

/// The known domain that this one looks like without being it, if there is one. Domains in lower case ASCII.
pub fn lookalike<'a>(domain: &str, known: &[&'a str]) -> Option<&'a str> {
    if known.contains(&domain) {
        return None;
    }
    known.iter().copied().find(|other| {
        let (ours, theirs) = (name(domain), name(other));
        let inside =
            domain.starts_with(&format!("{other}.")) || domain.starts_with(&format!("{}.", other.replace('.', "-")));
        let sub = domain.ends_with(&format!(".{other}")) || other.ends_with(&format!(".{domain}"));
        let long = theirs.len() >= ALIKE_MIN;
        !sub && (inside
            || seen(domain) == seen(other)
            || (long
                && (ours == theirs || seen(ours) == seen(theirs) || one_off(ours, theirs) || affixed(ours, theirs))))
    })
}

/// The known name, of people or companies, that another one is taken for: alike at a glance, one letter off, or in letters of another
/// alphabet. All in lower case.
pub fn resembling<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| seen(&plain_letters(text));
    let ours = plain(name);
    known.iter().copied().filter(|other| *other != name).find(|other| {
        let theirs = plain(other);
        theirs.chars().count() >= ALIKE_MIN && (ours == theirs || one_off(&ours, &theirs))
    })
}

/// Letters of other alphabets as the Latin ones that they look like, without spaces and signs.
fn plain_letters(name: &str) -> String {
    const ALIKE: [(&str, char); 16] = [
        ("\u{430}\u{3b1}\u{e4}\u{e0}\u{e1}\u{251}", 'a'),
        ("\u{435}\u{451}\u{3b5}\u{e9}\u{e8}\u{eb}", 'e'),
        ("\u{43e}\u{3bf}\u{f6}\u{f3}\u{585}", 'o'),
        ("\u{440}\u{3c1}", 'p'),
        ("\u{441}\u{3f2}", 'c'),
        ("\u{443}\u{3b3}", 'y'),
        ("\u{445}\u{3c7}", 'x'),
        ("\u{456}\u{457}\u{3b9}\u{131}\u{ed}\u{4cf}", 'i'),
        ("\u{458}", 'j'),
        ("\u{455}", 's'),
        ("\u{43a}\u{3ba}", 'k'),
        ("\u{43c}", 'm'),
        ("\u{442}\u{3c4}", 't'),
        ("\u{43d}\u{4bb}", 'h'),
        ("\u{432}\u{3b2}", 'b'),
        ("\u{fc}\u{fa}\u{3c5}", 'u'),
    ];
    let latin = |c: char| ALIKE.iter().find(|(letters, _)| letters.contains(c)).map_or(c, |(_, latin)| *latin);
    name.chars().filter(|c| c.is_alphanumeric()).map(latin).collect()
}

/// The part that people read as the name: before the last dot.
fn name(domain: &str) -> &str {
    let before = domain.rsplit_once('.').map_or(domain, |(before, _)| before);
    before.rsplit_once('.').map_or(before, |(_, last)| last)
}

/// As it looks at a glance.
fn seen(name: &str) -> String {
    let pairs = name.replace("rn", "m").replace("vv", "w").replace("cl", "d").replace("nn", "m");
    let alike = |c: char| match c {
        '0' => Some('o'),
        '1' | 'i' | 'j' => Some('l'),
        '3' => Some('e'),
        '5' => Some('s'),
        '6' | '8' => Some('b'),
        '9' | 'q' => Some('g'),
        'v' => Some('u'),
        '-' => None,
        other => Some(other),
    };
    pairs.chars().filter_map(alike).collect()
}

/// One letter more, less or other, or two letters in the other order.
fn one_off(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (ra, rb) = (&a[same..], &b[same..]);
    match ra.len().abs_diff(rb.len()) {
        0 => {
            let swapped = ra.len() >= 2 && ra[0] == rb[1] && ra[1] == rb[0] && ra[2..] == rb[2..];
            swapped || (!ra.is_empty() && ra[1..] == rb[1..])
        }
        1 if ra.len() > rb.len() => ra[1..] == *rb,
        1 => *ra == rb[1..],
        _ => false,
    }
}

/// The known name with a word before or behind it.
fn affixed(ours: &str, theirs: &str) -> bool {
    ours.split('-').any(|part| part == theirs)
}

#[cfg(test)]
mod tests {
    use artifact::{Artifact, Kind};

    use super::*;
    use crate::{Analysis, analyze, headline};

    fn of(text: &str) -> Analysis {
        analyze(&Artifact::new(Kind::Mail, text.as_bytes().to_vec()).unwrap(), &artifact::catalog::Catalog::default())
    }

    #[test]
    fn a_mail_is_its_people_and_its_form() {
        let mail = of("SEND /\nto: bo@acme.example, cy@shop.example\nbcc: di@acme.example\nsubject: Hello\n\nHi.\n");
        assert!(mail.understood && mail.has(Code::BlindCopy) && mail.effect.is_normal(), "{:?}", mail.findings);
        assert!(mail.effect.is_of(Kind::Mail) && !mail.effect.is_read_only());
        let used = mail.effect.request.clone().unwrap();
        assert_eq!(used.recipients, ["bo@acme.example", "cy@shop.example", "di@acme.example"]);
        assert_eq!(headline(&mail, None), "SENDS a mail to bo@acme.example and 2 more");
        let list = of("LIST /INBOX?from=bo&unseen=yes");
        assert!(list.understood && list.effect.is_read_only() && list.effect.is_of(Kind::Mail));
        assert_eq!(headline(&list, None), "LISTS messages of /INBOX");
        assert_eq!(headline(&of("READ /INBOX/1.2"), None), "READS the message /INBOX/1.2");
        assert_eq!(headline(&of("DRAFT /\nsubject: x\n\nlater"), None), "KEEPS a draft");
        assert_eq!(headline(&of("MARK /INBOX/1.2?add=Seen"), None), "MARKS the message /INBOX/1.2");
    }

    #[test]
    fn what_is_no_mail_cannot_be_signed() {
        for bad in [
            "SELECT 1",
            "POST /\n\n{}",
            "SEND /\nto: bo@acme.example\nfrom: ceo@acme.example\n\nx",
            "SEND /\n\nx",
            "READ /INBOX",
            "CALL /send\n\n{}",
        ] {
            let analysis = of(bad);
            assert!(!analysis.understood && analysis.has(Code::RequestMalformed), "{bad}: {:?}", analysis.findings);
        }
        assert!(!of("SEND /\nto: bo@acme.example\nsubject: x\u{202e}y\n\nx").understood);
    }

    #[test]
    fn domains_that_look_like_known_ones_are_seen() {
        let known = ["acme.example", "mail.shop.example", "xy.example"];
        for bad in [
            "acrne.example",
            "acme.co",
            "acne.example",
            "amce.example",
            "acmee.example",
            "ac-me.example",
            "acme-billing.example",
            "acme.example.evil.com",
            "acme-example.evil.com",
            "sh0p.example",
        ] {
            assert!(lookalike(bad, &known).is_some(), "{bad}");
        }
        for good in ["acme.example", "billing.acme.example", "other.example", "gmail.com", "xz.example", "shop.example"]
        {
            assert!(lookalike(good, &known).is_none(), "{good}: {:?}", lookalike(good, &known));
        }
    }
}
