//! Texts as words, compared the way a reader compares them.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A text's words in order, lower case, without the punctuation around them.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    all: Vec<String>,
    /// Where each word stands. Most values are not there at all, which one look tells.
    places: HashMap<String, Vec<usize>>,
}

/// At most `most` bytes, ending at a character.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn word(raw: &str) -> Option<String> {
    let trimmed = raw.trim_matches(|c: char| !c.is_alphanumeric());
    if trimmed.is_empty() {
        return None;
    }
    // 10.00 and 10 are one number; 007 is a name.
    if trimmed.contains('.')
        && trimmed.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && trimmed.matches('.').count() == 1
    {
        let short = trimmed.trim_end_matches('0').trim_end_matches('.');
        return Some(short.to_owned());
    }
    Some(trimmed.to_lowercase())
}

/// The words of a text.
fn split(text: &str) -> Vec<String> {
    // Signs that end a word in prose; what is part of addresses, numbers and names is not among them.
    let ends = |c: char| c.is_whitespace() || ",;()[]{}<>\"|\\".contains(c);
    text.split(ends).filter_map(word).collect()
}

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let all = split(text);
        let mut places: HashMap<String, Vec<usize>> = HashMap::with_capacity(all.len());
        for (at, word) in all.iter().enumerate() {
            places.entry(word.clone()).or_default().push(at);
        }
        Self { all, places }
    }

    /// True if the words of `text` stand here next to each other. A text without words stands nowhere.
    pub(super) fn has(&self, text: &str) -> bool {
        let wanted = split(text);
        // Where the rarest of them stands is looked at, so that a text full of one word costs no more than another.
        let places = |word: &String| self.places.get(word).map(Vec::as_slice).unwrap_or_default();
        let rarest = wanted.iter().enumerate().min_by_key(|(_, word)| places(word).len());
        let Some((offset, word)) = rarest else { return false };
        let starts = places(word).iter().filter_map(|at| at.checked_sub(offset));
        starts.into_iter().any(|at| self.all.get(at..at + wanted.len()).is_some_and(|here| here == wanted))
    }

    /// True if they are the words of `text` and no others.
    pub(super) fn is(&self, text: &str) -> bool {
        !self.all.is_empty() && self.all == split(text)
    }
}

/// How many words a text has.
pub(super) fn count(text: &str) -> usize {
    split(text).len()
}

/// A text with the line breaks that a printed string holds as two characters.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if text.contains("\\n") { Cow::Owned(text.replace("\\n", "\n")) } else { Cow::Borrowed(text) }
}

/// Shortest run of letters and digits that is looked for without regard to what stands between them.
const SKELETON_MIN: usize = 10;

/// Only the letters and digits, lower case.
pub(super) fn skeleton(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether `text` stands in the skeleton, long enough for that to be no chance.
pub(super) fn in_skeleton(skeleton_of_passage: &str, text: &str) -> bool {
    let wanted = skeleton(text);
    wanted.chars().count() >= SKELETON_MIN && skeleton_of_passage.contains(&wanted)
}

/// Sentences. One may follow another without a blank, as what was put into a text does.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let next = rest.peek().map(|(_, next)| *next);
        let ends = match c {
            '\n' | '!' | '?' | ';' => true,
            '.' | ':' => next.is_none_or(|next| next.is_whitespace() || next.is_uppercase() || next == '<'),
            _ => false,
        };
        if ends {
            out.push(&text[start..at]);
            start = at + c.len_utf8();
        }
    }
    out.push(&text[start..]);
    out.into_iter().map(str::trim).filter(|sentence| !sentence.is_empty()).collect()
}

/// A passage as it stands, and as it reads once the usual disguises are off.
pub(super) fn readings(passage: &str) -> Vec<String> {
    let plain: String = passage.chars().filter(|c| !artifact::has_hidden(*c)).map(folded).collect();
    let mut out = vec![passage.to_owned(), joined(&plain), glued(&plain)];
    for token in plain.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='))) {
        let decoded = (token.len() >= 4).then(|| STANDARD.decode(token).ok()).flatten();
        if let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
            out.push(text);
        }
    }
    out.push(plain);
    out
}

/// Letters of other alphabets that look like Latin ones (Unicode TR 39), as those.
fn folded(c: char) -> char {
    match c {
        'а' | 'ɑ' | 'α' => 'a',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ε' => 'e',
        'һ' => 'h',
        'і' | 'ι' => 'i',
        'ј' => 'j',
        'ӏ' => 'l',
        'ո' => 'n',
        'о' | 'ο' => 'o',
        'р' | 'ρ' => 'p',
        'ѕ' => 's',
        'т' => 't',
        'υ' => 'u',
        'ѵ' | 'ν' => 'v',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'С' => 'C',
        'Е' | 'Ε' => 'E',
        'Н' | 'Η' => 'H',
        'І' | 'Ι' => 'I',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'О' | 'Ο' => 'O',
        'Р' | 'Ρ' => 'P',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'Х' | 'Χ' => 'X',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        c => c,
    }
}

/// `1 3` and `e.v.i.l` with the single characters put together.
fn joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    let flush = |run: &mut String, out: &mut String| {
        out.push_str(run);
        out.push(' ');
        run.clear();
    };
    for token in text.split([' ', '_', '\t', '\n']) {
        if token.chars().count() == 1 || token.chars().all(|c| !c.is_alphanumeric()) {
            run.push_str(token);
        } else {
            flush(&mut run, &mut out);
            out.push_str(token);
            out.push(' ');
        }
    }
    flush(&mut run, &mut out);
    out
}

/// `'ab' + 'cd'` and `ab" "cd` as one.
fn glued(text: &str) -> String {
    let mut out: Cow<'_, str> = Cow::Borrowed(text);
    for sign in ["' + '", "\" + \"", " + ", "'+'", "\"+\"", "' '", "\" \"", "` `", "-\n", "\n"] {
        if out.contains(sign) {
            out = Cow::Owned(out.replace(sign, ""));
        }
    }
    out.into_owned()
}
