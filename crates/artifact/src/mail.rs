//! Addresses of people, and patterns of them, as registrations and scopes name whom mail may go to.

/// Longest address, in bytes (RFC 5321, section 4.5.3.1.3, without the brackets).
const ADDRESS_MAX: usize = 254;

/// Whether text is an address in the one spelling that is taken: a plain local part, and a domain in lower case ASCII (RFC 5321, section
/// 4.1.2, without quoting, literals and comments, and without the signs by which a relay is told to send it on).
pub fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"'+-=_".contains(&b);
    let dotted = |text: &str, ok: &dyn Fn(u8) -> bool| {
        !text.is_empty() && text.split('.').all(|part| !part.is_empty() && part.bytes().all(ok))
    };
    text.len() <= ADDRESS_MAX && local.len() <= 64 && dotted(local, &atom) && is_domain(domain)
}

fn is_domain(text: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.contains('.') && text.split('.').all(label)
}

/// Whether text names people whom mail may go to: an address, `*@domain`, or `*` for everybody.
pub fn is_recipient_pattern(text: &str) -> bool {
    text == "*" || text.strip_prefix("*@").map_or_else(|| is_address(text), is_domain)
}

/// Whether such a pattern names this address.
pub fn covers_recipient(pattern: &str, address: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some("") => true,
        Some(domain) => address.split_once('@').is_some_and(|(_, of)| domain.strip_prefix('@') == Some(of)),
        None => pattern == address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_people() {
        assert!(is_recipient_pattern("*") && is_recipient_pattern("*@acme.example") && is_recipient_pattern("a@b.c"));
        for bad in ["", "*@*", "*@", "@acme.example", "a*@b.c", "*@*.example", "a@b.c, d@e.f", "**"] {
            assert!(!is_recipient_pattern(bad), "{bad}");
        }
        assert!(covers_recipient("*@acme.example", "bo@acme.example"));
        for (pattern, address) in [
            ("*@acme.example", "bo@sub.acme.example"),
            ("*@acme.example", "bo@evilacme.example"),
            ("*@acme.example", "bo@acme.example.evil.com"),
            ("bo@acme.example", "Bo@acme.example"),
        ] {
            assert!(!covers_recipient(pattern, address), "{pattern} {address}");
        }
    }
}
