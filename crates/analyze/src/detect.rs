//! What a value looks like, whatever its column is called: contact data, payment data, secrets. For the person who releases a
//! result; it decides nothing by itself.

use crate::secrets;

/// Longest text looked at, in bytes.
const TEXT_MAX: usize = 64 * 1024;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitive {
    /// A mail address.
    Email,
    /// A telephone number with its country (E.164).
    Phone,
    /// A payment card's number (ISO/IEC 7812, with its check digit).
    Card,
    /// A bank account (ISO 13616, with its check digits).
    Iban,
    /// A social security number of the United States.
    Ssn,
    /// A key, token or private key.
    Secret,
}

impl Sensitive {
    /// Its name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "e-mail",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "IBAN",
            Self::Ssn => "social security number",
            Self::Secret => "key or token",
        }
    }
}

/// Everything that stands in the text, each kind once, in the order of [`Sensitive`].
pub fn detect(text: &str) -> Vec<Sensitive> {
    let text = &text[..text.floor_char_boundary(TEXT_MAX)];
    let bytes = text.as_bytes();
    let mut seen = Vec::new();
    if bytes.contains(&b'@') && emails(text) {
        seen.push(Sensitive::Email);
    }
    // Anything else needs digits, except for secrets.
    if bytes.iter().filter(|b| b.is_ascii_digit()).count() >= 8 {
        let (mut phone, mut card, mut ssn) = (false, false, false);
        digit_runs(text, |run| {
            phone |= is_phone(run);
            card |= is_card(run);
            ssn |= is_ssn(run);
        });
        let iban = ibans(text);
        let kinds =
            [(phone, Sensitive::Phone), (card, Sensitive::Card), (iban, Sensitive::Iban), (ssn, Sensitive::Ssn)];
        seen.extend(kinds.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind));
    }
    if secrets::holds(text) {
        seen.push(Sensitive::Secret);
    }
    seen
}

fn emails(text: &str) -> bool {
    let part = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&b);
    text.match_indices('@').any(|(at, _)| {
        let local = text.as_bytes()[..at].iter().rev().take_while(|b| part(**b)).count();
        let of_host = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        let length = text.as_bytes()[at + 1..].iter().take_while(|b| of_host(b)).count();
        let host = text[at + 1..at + 1 + length].trim_end_matches(['.', '-']);
        let end = host.rsplit('.').next().unwrap_or_default();
        (1..=64).contains(&local)
            && host.contains('.')
            && !host.starts_with('.')
            && !host.contains("..")
            && end.len() >= 2
            && end.bytes().all(|b| b.is_ascii_alphabetic())
    })
}

/// Runs of digits with single blanks, dashes, dots or brackets between them, and a plus before; not inside of words.
fn digit_runs<'t>(text: &'t str, mut look: impl FnMut(&'t str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let starts =
            bytes[at].is_ascii_digit() || (bytes[at] == b'+' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit));
        if !starts || (at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'.' | b'_' | b'-')))
        {
            at += 1;
            continue;
        }
        let from = at;
        let mut last = at;
        while at < bytes.len() {
            match bytes[at] {
                b if b.is_ascii_digit() => last = at + 1,
                b'+' if at == from => {}
                b' ' | b'-' | b'.' | b'(' | b')' | b'/' if at - last < 2 => {}
                _ => break,
            }
            at += 1;
        }
        let inside = bytes.get(last).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
        // The ends are ASCII, so they are characters' ends.
        if let (false, Some(run)) = (inside, text.get(from..last)) {
            look(run);
        }
        at = at.max(from + 1);
    }
}

fn is_phone(run: &str) -> bool {
    run.starts_with('+') && !run.starts_with("+0") && (8..=15).contains(&run.bytes().filter(u8::is_ascii_digit).count())
}

/// Known first digits, a length that cards have, and the check digit (Luhn).
fn is_card(run: &str) -> bool {
    let plain = run.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-'));
    if !plain || run.len() < 13 {
        return false;
    }
    let (mut digits, mut count) = ([0_u8; 19], 0);
    for b in run.bytes().filter(u8::is_ascii_digit) {
        let Some(place) = digits.get_mut(count) else { return false };
        *place = b - b'0';
        count += 1;
    }
    let digits = &digits[..count];
    let known = matches!(
        digits,
        [4, ..] | [5, 1..=5, ..] | [2, 2..=7, ..] | [3, 0 | 4..=7, ..] | [6, 0, 1, 1, ..] | [6, 5, ..]
    );
    let doubled = |digit: u32| digit * 2 / 10 + digit * 2 % 10;
    let each = digits.iter().rev().enumerate();
    let sum: u32 =
        each.map(|(at, digit)| if at % 2 == 0 { u32::from(*digit) } else { doubled(u32::from(*digit)) }).sum();
    // All the same digit passes the check and is nobody's card.
    let various = digits.iter().any(|digit| *digit != digits[0]);
    known && digits.len() >= 13 && sum.is_multiple_of(10) && various
}

/// `ddd-dd-dddd` outside of the ranges that are not given out.
fn is_ssn(run: &str) -> bool {
    if run.len() != "ddd-dd-dddd".len() {
        return false;
    }
    let parts: Vec<&str> = run.split('-').collect();
    let lengths = parts.iter().map(|part| part.len()).eq([3, 2, 4]);
    let numbers = parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    lengths
        && numbers
        && !matches!(parts[0], "000" | "666")
        && !parts[0].starts_with('9')
        && parts[1] != "00"
        && parts[2] != "0000"
}

fn ibans(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Two capitals and two digits; capitals are rare, so the second one is looked for first.
    (1..bytes.len().saturating_sub(13)).filter(|at| bytes[*at].is_ascii_uppercase()).any(|at| {
        let begins =
            bytes[at - 1].is_ascii_uppercase() && bytes[at + 1].is_ascii_digit() && bytes[at + 2].is_ascii_digit();
        begins && (at == 1 || !bytes[at - 2].is_ascii_alphanumeric()) && is_iban(&bytes[at - 1..])
    })
}

/// What is left by 97 once the character stands after what left `rest`; a letter is a number of two digits.
fn left(rest: u32, b: u8) -> u32 {
    match b {
        b'0'..=b'9' => (rest * 10 + u32::from(b - b'0')) % 97,
        b => (rest * 100 + u32::from(b.wrapping_sub(b'A')) + 10) % 97,
    }
}

/// Up to 34 letters and digits, in groups or not, whose remainder by 97 is 1 once the first four stand last. What follows in
/// groups of four may be no part of it, so each length is tried.
fn is_iban(bytes: &[u8]) -> bool {
    /// 10 to the power of 6, by 97: two letters and two digits move what stands before them by six.
    const MOVED: u32 = 27;
    let Some(head) = bytes.get(..4) else { return false };
    let head = head.iter().fold(0, |rest, b| left(rest, *b));
    let (mut count, mut rest, mut blank, mut found) = (4, 0, false, false);
    for b in &bytes[4..] {
        match b {
            b if b.is_ascii_digit() || b.is_ascii_uppercase() => {
                count += 1;
                rest = left(rest, *b);
                blank = false;
                found |= count >= 15 && (rest * MOVED + head) % 97 == 1;
            }
            b' ' if !blank && count % 4 == 0 => blank = true,
            b if b.is_ascii_alphabetic() => return false,
            _ => break,
        }
        if count > 34 {
            return false;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sensitive_is_seen_and_what_is_not_is_not() {
        use Sensitive::{Card, Email, Iban, Phone, Secret, Ssn};
        let token = format!("ghp_{}", "a1B2".repeat(9));
        for (text, expected) in [
            ("ada@example.com", &[Email][..]),
            ("Write to Ada.L+x@mail.example.co.uk, please", &[Email]),
            ("+49 30 1234567", &[Phone]),
            ("call +1 (415) 555-2671 now", &[Phone]),
            ("4242 4242 4242 4242", &[Card]),
            ("5555-5555-5555-4444", &[Card]),
            ("card 378282246310005.", &[Card]),
            ("DE89370400440532013000", &[Iban]),
            ("GB29 NWBK 6016 1331 9268 19", &[Iban]),
            ("pay NO9386011117947 soon", &[Iban]),
            ("078-05-1120", &[Ssn]),
            (&token, &[Secret]),
            ("ada@example.com +4930123456789", &[Email, Phone]),
        ] {
            assert_eq!(detect(text), expected, "{text}");
        }
        for text in [
            "",
            "paid",
            "a@b",
            "@example.com",
            "ada@",
            "ada@example",
            "user@.com",
            "4242 4242 4242 4241",
            "0000000000000000",
            "4444444444444444",
            "2026-11-21 10:00:00",
            "2026-11-21T10:00:00.123456Z",
            "0193e4a1-5b2c-7d3e-8f40-112233445566",
            "49.90",
            "1234567890",
            "DE89370400440532013001",
            "DE88 3704 0044 0532 0130 00",
            "XX00",
            "666-05-1120",
            "078-05-11201",
            "192.168.100.200",
            "+0 1234567",
            "order 4242424242424242x",
            "é",
            "v1.2.3-4567890",
        ] {
            assert_eq!(detect(text), [], "{text}");
        }
    }

    /// Numbers from a seed (xorshift64).
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % n
        }

        fn digits(&mut self, count: usize) -> String {
            (0..count).map(|_| char::from(b'0' + u8::try_from(self.below(10)).unwrap())).collect()
        }
    }

    /// A value of each kind in turn, valid by its own rules.
    fn planted(random: &mut Random, n: usize) -> (String, Sensitive) {
        match n % 5 {
            0 => {
                let host =
                    ["example.com", "mail.example.org", "x-y.example.net"][usize::try_from(random.below(3)).unwrap()];
                (format!("u{}.{}@{host}", random.digits(3), random.digits(2)), Sensitive::Email)
            }
            1 => (format!("+{}{}", 1 + random.below(9), random.digits(10)), Sensitive::Phone),
            2 => {
                let body = format!("4{}", random.digits(14));
                let check = (0..10).map(|d| format!("{body}{d}")).find(|full| is_card(full)).unwrap();
                (check, Sensitive::Card)
            }
            3 => {
                let body = random.digits(18);
                let check = (2..99).map(|c| format!("DE{c:02}{body}")).find(|full| is_iban(full.as_bytes())).unwrap();
                (check, Sensitive::Iban)
            }
            _ => (format!("AKIA{}", random.digits(16)), Sensitive::Secret),
        }
    }

    #[test]
    fn precision_and_recall() {
        let size = std::env::var("WETINK_VALUES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000_usize);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut hit, mut missed, mut wrong) = (0_u32, 0_u32, 0_u32);
        for n in 0..size {
            let (value, kind) = planted(&mut random, n);
            let around = [["", ""], ["see ", "."], ["(", ") and more"], ["a: ", ", b"]]
                [usize::try_from(random.below(4)).unwrap()];
            let seen = detect(&format!("{}{value}{}", around[0], around[1]));
            if seen.contains(&kind) {
                hit += 1;
            } else {
                missed += 1;
            }
            wrong += u32::try_from(seen.iter().filter(|other| **other != kind).count()).unwrap();
            // Ordinary values of tables: numbers, dates, names, ids, amounts.
            let ordinary = match random.below(6) {
                0 => random.digits(12),
                1 => format!("20{}-1{}-2{}", random.digits(2), random.below(3), random.below(9)),
                2 => format!("order-{}", random.digits(9)),
                3 => format!("{}.{}", random.digits(5), random.digits(2)),
                4 => format!(
                    "{}-{}-4{}-a{}-{}",
                    random.digits(8),
                    random.digits(4),
                    random.digits(3),
                    random.digits(3),
                    random.digits(12)
                ),
                _ => format!("Ada Lovelace {}", random.digits(2)),
            };
            wrong += u32::try_from(detect(&ordinary).len()).unwrap();
        }
        let precision = f64::from(hit) / f64::from(hit + wrong) * 100.0;
        let recall = f64::from(hit) / f64::from(hit + missed) * 100.0;
        println!("values: {}\nprecision_percent: {precision:.2}\nrecall_percent: {recall:.2}", size * 2);
        assert!(precision > 99.0 && recall > 99.5, "{precision} {recall}");
    }
}
