use std::fmt::Write as _;

/// Whether a character is invisible or changes how its neighbors are shown (controls, bidi, zero-width, tags,
/// variation selectors, odd spaces, private use). Tab and line feed are shown by layout and so are not hidden.
/// Sources: CVE-2021-42574 (bidi), Unicode TR 36 and TR 39.
pub fn has_hidden(c: char) -> bool {
    match c {
        ' '..='~' | '\t' | '\n' => false,
        c if c.is_control() => true,
        '\u{00a0}'
        | '\u{00ad}'
        | '\u{034f}'
        | '\u{061c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{1680}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2000}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3000}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{e0000}'..='\u{10ffff}' => true,
        // Noncharacters.
        c => (c as u32) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c),
    }
}

/// The character, or `�` in place of a hidden one. For short quotes in error messages.
pub fn visible_char(c: char) -> char {
    if has_hidden(c) || c == '\n' || c == '\t' { '\u{fffd}' } else { c }
}

/// The text with every hidden character written as `⟨U+200B⟩`. The brackets themselves are written that way too when
/// they stand in the text, so two different texts never look the same. Line feeds stay; tabs become `→` and a tab.
pub fn visible(text: &str) -> String {
    // Most texts are plain, which one look at their bytes tells.
    if text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '⟨' | '⟩' | '→' => _ = write!(out, "⟨U+{:04X}⟩", c as u32),
            '\t' => out.push_str("→\t"),
            c if has_hidden(c) => _ = write!(out, "⟨U+{:04X}⟩", c as u32),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// T-SHOW-01, plain skin: every scalar alone and inside an identifier, a string and a comment.
    #[test]
    fn every_scalar_is_seen_and_none_looks_like_another() {
        let mut shown: HashMap<String, char> = HashMap::with_capacity(1_200_000);
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            let text = visible(&c.to_string());
            assert!(!text.is_empty());
            assert!(c == '\n' || c == '\t' || !text.chars().any(has_hidden), "U+{:04X}", c as u32);
            for (before, after) in [("a", "b"), ("'", "'"), ("-- ", "")] {
                assert_eq!(visible(&format!("{before}{c}{after}")), format!("{before}{text}{after}"));
            }
            if let Some(other) = shown.insert(text, c) {
                panic!("U+{:04X} and U+{:04X} look the same", c as u32, other as u32);
            }
        }
        assert_eq!(shown.len(), 1_112_064);
    }

    #[test]
    fn known_tricks_are_seen() {
        for c in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{ad}', '\u{a0}', '\u{e0041}', '\u{1b}', '\u{7f}'] {
            assert!(has_hidden(c), "U+{:04X}", c as u32);
        }
        assert_eq!(visible("a\u{202e}b\tc"), "a⟨U+202E⟩b→\tc");
    }
}
