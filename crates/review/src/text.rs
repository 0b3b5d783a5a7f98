//! Data made safe to show: every hidden character is written out, nothing is ever dropped silently.

use artifact::{Timestamp, has_hidden, visible};
use maud::{Markup, PreEscaped, Render, html};

/// One line for terminals and titles: hidden characters, tabs and line feeds all written out.
pub(crate) fn line(text: &str) -> String {
    visible(text).replace("→\t", "⟨U+0009⟩").replace('\n', "⟨U+000A⟩")
}

/// One line as HTML with the written-out characters set apart. Its text content equals `artifact::visible`, except that
/// a line feed is written out too.
pub(crate) fn marked(text: &str) -> Markup {
    let mut out = String::with_capacity(text.len() + 16);
    let mut start = 0;
    for (at, c) in text.char_indices() {
        if !(has_hidden(c) || matches!(c, '\n' | '\t' | '⟨' | '⟩' | '→')) {
            continue;
        }
        text[start..at].render_to(&mut out);
        start = at + c.len_utf8();
        match c {
            '\t' => out.push_str("<span class=\"tab\">→\t</span>"),
            '\n' => out.push_str("<span class=\"hid\">⟨U+000A⟩</span>"),
            c => {
                out.push_str("<span class=\"hid\">");
                out.push_str(&visible(c.encode_utf8(&mut [0; 4])));
                out.push_str("</span>");
            }
        }
    }
    text[start..].render_to(&mut out);
    PreEscaped(out)
}

/// Several lines as HTML, joined by line feeds; for `pre`.
pub(crate) fn marked_lines(text: &str) -> Markup {
    html! { @for (i, l) in text.split('\n').enumerate() { @if i > 0 { "\n" } (marked(l)) } }
}

/// At most `limit` characters, and how many there are in all if some were cut.
pub(crate) fn cut(text: &str, limit: usize) -> (&str, Option<usize>) {
    match text.char_indices().nth(limit) {
        Some((at, _)) => (&text[..at], Some(text.chars().count())),
        None => (text, None),
    }
}

/// `5,311`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `37 rows`, `1 row`.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}

/// `14:32:07 UTC`, with the date in front unless it is the day of `now`.
pub(crate) fn clock(at: Timestamp, now: Option<Timestamp>) -> String {
    let text = at.to_string();
    let (date, time) = (text.get(..10).unwrap_or_default(), text.get(11..19).unwrap_or_default());
    match now {
        Some(now) if now.to_string().starts_with(date) => format!("{time} UTC"),
        _ => format!("{date} {time} UTC"),
    }
}

/// `9 min`, `2 h`, `40 s`: how far two instants lie apart, in the coarsest fitting unit.
pub(crate) fn span(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..=89 => format!("{s} s"),
        s @ 90..=7199 => format!("{} min", s / 60),
        s @ 7200..=172_799 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads back what a browser would show of markup made of text and spans.
    fn text_content(html: &str) -> String {
        let mut out = String::new();
        let mut rest = html;
        while let Some(open) = rest.find('<') {
            out.push_str(&rest[..open]);
            rest = &rest[open + rest[open..].find('>').unwrap() + 1..];
        }
        out.push_str(rest);
        out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    }

    /// T-SHOW-01, HTML skin: every scalar alone and inside an identifier, a string and a comment.
    #[test]
    fn every_scalar_is_seen() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            let wanted = if c == '\n' { "⟨U+000A⟩".to_owned() } else { visible(c.encode_utf8(&mut [0; 4])) };
            let html = marked(c.encode_utf8(&mut [0; 4])).into_string();
            assert!(c == '\t' || !html.chars().any(|c| has_hidden(c) || c == '\n'), "U+{:04X}", c as u32);
            if matches!(c, '<' | '>' | '"' | '&') || has_hidden(c) || (c as u32) < 0x3000 {
                assert_eq!(text_content(&html), wanted);
                for (before, after) in [("a", "b"), ("'", "'"), ("-- ", "")] {
                    let html = marked(&format!("{before}{c}{after}")).into_string();
                    assert_eq!(text_content(&html), format!("{before}{wanted}{after}"));
                }
            } else {
                // Everything else stands for itself.
                assert_eq!(html, wanted);
            }
            let plain = line(c.encode_utf8(&mut [0; 4]));
            assert!(!plain.is_empty() && !plain.chars().any(|c| has_hidden(c) || c == '\n' || c == '\t'));
        }
    }

    #[test]
    fn small_forms() {
        assert_eq!(
            ["0", "999", "1,000", "5,311", "1,234,567"],
            [0, 999, 1000, 5311, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
        assert_eq!(cut("añb", 2), ("añ", Some(3)));
        assert_eq!(cut("añb", 3), ("añb", None));
        assert_eq!(span(552_000), "9 min");
        let at = Timestamp::from_millis(1_795_185_120_000);
        assert_eq!(clock(at, Some(at)), "14:32:00 UTC");
        assert_eq!(clock(at, None), "2026-11-20 14:32:00 UTC");
    }
}
