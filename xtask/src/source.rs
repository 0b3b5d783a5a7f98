//! Rust source seen roughly: code apart from comments, strings and tests. Enough to count lines and to find words.

use std::ops::Range;

/// One Rust file's text in several views of the same length, so that offsets agree.
pub(crate) struct Source {
    /// Comments are blanks.
    uncommented: Vec<u8>,
    /// Comments and the insides of strings and characters are blanks.
    code: Vec<u8>,
    /// Where `#[cfg(test)]` items lie.
    tests: Vec<Range<usize>>,
}

impl Source {
    /// Splits a file's text.
    pub(crate) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let (mut uncommented, mut code) = (bytes.to_vec(), bytes.to_vec());
        let mut at = 0;
        while at < bytes.len() {
            let end = match skip(bytes, at) {
                Skip::Comment(end) => {
                    blank(&mut uncommented[at..end]);
                    blank(&mut code[at..end]);
                    end
                }
                Skip::Literal(inside, end) => {
                    blank(&mut code[inside]);
                    end
                }
                Skip::Code(end) => end,
            };
            at = end.max(at + 1);
        }
        let tests = test_items(&code);
        Self { uncommented, code, tests }
    }

    /// Lines that hold code, tests left out.
    pub(crate) fn code_lines(&self) -> usize {
        let mut product = self.uncommented.clone();
        for range in &self.tests {
            blank(&mut product[range.clone()]);
        }
        product.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count()
    }

    /// The code with line numbers from 1; comments and the insides of strings are blanks.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, String)> {
        let lines = self.code.split(|byte| *byte == b'\n');
        lines.enumerate().map(|(index, line)| (index + 1, String::from_utf8_lossy(line).into_owned()))
    }

    /// The code with its tests left out, in lines from 1.
    pub(crate) fn product_lines(&self) -> Vec<(usize, String)> {
        let mut product = self.code.clone();
        for range in &self.tests {
            blank(&mut product[range.clone()]);
        }
        let lines = product.split(|byte| *byte == b'\n');
        lines.enumerate().map(|(index, line)| (index + 1, String::from_utf8_lossy(line).into_owned())).collect()
    }

    /// Names of the functions that carry a `#[test]` of some kind.
    pub(crate) fn test_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut marked = false;
        for (_, line) in self.lines() {
            let line = line.trim();
            if line.starts_with("#[") && !line.starts_with("#[cfg") {
                marked |= has_word(line, "test");
            }
            if let Some(name) = function_name(line) {
                if marked {
                    names.push(name.to_owned());
                }
                marked = false;
            }
        }
        names
    }
}

/// Whether the line holds that word, not as part of a longer one.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    count_word(line, word) > 0
}

/// How often the line holds that word, not as part of a longer one.
pub(crate) fn count_word(line: &str, word: &str) -> usize {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    let found = line.match_indices(word);
    let alone = found.filter(|(at, _)| !line[..*at].ends_with(part) && !line[at + word.len()..].starts_with(part));
    alone.count()
}

fn function_name(line: &str) -> Option<&str> {
    let at = line.match_indices("fn ").find(|(at, _)| *at == 0 || line[..*at].ends_with(' '))?.0;
    let rest = &line[at + 3..];
    let end = rest.find(|character: char| !character.is_alphanumeric() && character != '_')?;
    (end > 0).then(|| &rest[..end])
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

enum Skip {
    Comment(usize),
    Literal(Range<usize>, usize),
    Code(usize),
}

fn skip(bytes: &[u8], at: usize) -> Skip {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Skip::Comment(rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |line| at + line));
    }
    if rest.starts_with(b"/*") {
        return Skip::Comment(block_comment(bytes, at));
    }
    match rest[0] {
        b'"' => {
            let end = quoted(bytes, at + 1, b'"');
            Skip::Literal(at + 1..end.saturating_sub(1).max(at + 1), end)
        }
        b'\'' => character(bytes, at),
        first if first.is_ascii_alphabetic() || first == b'_' => {
            let word = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
            if matches!(&rest[..word], b"r" | b"br" | b"cr") {
                let hashes = rest[word..].iter().take_while(|byte| **byte == b'#').count();
                if rest.get(word + hashes) == Some(&b'"') {
                    return raw(bytes, at + word + hashes + 1, hashes);
                }
            }
            Skip::Code(at + word)
        }
        _ => Skip::Code(at + 1),
    }
}

fn block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn quoted(bytes: &[u8], mut at: usize, end: u8) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == end => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw(bytes: &[u8], start: usize, hashes: usize) -> Skip {
    let mut at = start;
    while at < bytes.len() {
        let after = at + 1;
        if bytes[at] == b'"' && bytes[after..].iter().take(hashes).filter(|byte| **byte == b'#').count() == hashes {
            return Skip::Literal(start..at, after + hashes);
        }
        at += 1;
    }
    Skip::Literal(start..bytes.len(), bytes.len())
}

/// A quote starts a character literal or a lifetime.
fn character(bytes: &[u8], at: usize) -> Skip {
    let inside = &bytes[at + 1..];
    let closes = match inside.first() {
        Some(b'\\') => true,
        Some(first) => {
            let width = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            inside.get(width) == Some(&b'\'')
        }
        None => false,
    };
    if !closes {
        return Skip::Code(at + 1);
    }
    let end = quoted(bytes, at + 1, b'\'');
    Skip::Literal(at + 1..end.saturating_sub(1).max(at + 1), end)
}

fn test_items(code: &[u8]) -> Vec<Range<usize>> {
    let whole = b"#![cfg(test)]";
    if code.windows(whole.len()).any(|window| window == whole) {
        return vec![0..code.len(); 1];
    }
    let mark = b"#[cfg(test)]";
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(found) = code[at..].windows(mark.len()).position(|window| window == mark) {
        let start = at + found;
        let end = item_end(code, start + mark.len());
        items.push(start..end);
        at = end;
    }
    items
}

/// End of the item that starts after `at`: its closing brace, or the semicolon of one without a body.
fn item_end(code: &[u8], at: usize) -> usize {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (offset, byte) in code[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => others += 1,
            b')' | b']' => others = others.saturating_sub(1),
            b'{' => braces += 1,
            b'}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 && others == 0 {
                    return at + offset + 1;
                }
            }
            b';' if braces == 0 && others == 0 => return at + offset + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r##"//! Words about todo!().
use std::fmt; // unsafe
/* unsafe /* nested */ todo!() */
fn plain<'a>(text: &'a str) -> char {
    let _ = "a \" todo!() // not a comment";
    let _ = r#"raw " unsafe "#;
    let _ = "two
lines";
    '"'
}

#[cfg(test)]
mod tests {
    #[test]
    fn first() { let _ = '{'; }

    #[tokio::test(flavor = "current_thread")]
    #[allow(clippy::unwrap_used)]
    async fn second() {}

    fn helper() {}
}

#[cfg(test)]
const ONLY: [u8; 1] = [0];
fn last() {}
"##;

    #[test]
    fn comments_strings_and_tests_are_told_apart() {
        let source = Source::new(FILE);
        let code = source.lines().map(|(_, line)| line + "\n").collect::<String>();
        assert!(!code.contains("unsafe") && !code.contains("todo!"), "{code}");
        assert!(code.contains("fn plain<'a>(text: &'a str) -> char"));
        // use, fn, three lets of which one has two lines, the character, the brace, and the last function.
        assert_eq!(source.code_lines(), 9);
        assert!(source.product_lines().iter().all(|(_, line)| !line.contains("ONLY")));
    }

    #[test]
    fn tests_are_named() {
        assert_eq!(Source::new(FILE).test_names(), ["first", "second"]);
    }

    #[test]
    fn words_stand_alone() {
        assert!(has_word("an unsafe block", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe"));
        assert_eq!(count_word("a.expose(b.expose(c)).exposed", "expose"), 2);
    }

    #[test]
    fn odd_ends_do_not_panic() {
        for text in ["\"open", "r#\"open", "'", "'\\", "/* open", "/", "\"\\", "#[cfg(test)]", "r", "'é'", "b'\\''"] {
            let _ = Source::new(text).code_lines();
        }
    }
}
