//! Passages of a result that ask for something to be done.

use super::words::{sentences, unescaped};

/// Words that open a sentence which asks. Base forms of what tools do, and of how one addresses a helper.
const OPENERS: &[&str] = &[
    "accept",
    "add",
    "advertise",
    "append",
    "approve",
    "attach",
    "book",
    "buy",
    "call",
    "cancel",
    "change",
    "click",
    "confirm",
    "contact",
    "copy",
    "create",
    "delete",
    "deposit",
    "disable",
    "disregard",
    "do",
    "download",
    "email",
    "enable",
    "erase",
    "execute",
    "export",
    "find",
    "follow",
    "forget",
    "forward",
    "get",
    "give",
    "grant",
    "ignore",
    "include",
    "insert",
    "invite",
    "kick",
    "make",
    "message",
    "modify",
    "move",
    "open",
    "order",
    "override",
    "pay",
    "post",
    "publish",
    "purchase",
    "read",
    "refund",
    "register",
    "remove",
    "rename",
    "replace",
    "reply",
    "report",
    "reschedule",
    "reserve",
    "reset",
    "run",
    "say",
    "schedule",
    "send",
    "set",
    "share",
    "submit",
    "subscribe",
    "tell",
    "transfer",
    "update",
    "upload",
    "use",
    "visit",
    "wire",
    "withdraw",
    "write",
];

/// Words that may stand before the first one that says what to do.
const FILLERS: &[&str] = &[
    "after", "also", "and", "finally", "first", "just", "kindly", "next", "now", "please", "second", "so", "that",
    "then", "third",
];

/// Phrases by which a text speaks to whoever works for the person.
const ADDRESSES: &[&str] = &[
    "important message",
    "important instruction",
    "ignore all",
    "ignore previous",
    "ignore the",
    "previous instruction",
    "new instruction",
    "your instruction",
    "system prompt",
    "system message",
    "as an ai",
    "ai assistant",
    "language model",
    "before you can",
    "before you solve",
    "you must",
    "you need to",
    "you have to",
    "make sure to",
    "make sure you",
    "i want you to",
    "please ",
    "<important>",
    "<information>",
    "todo:",
    "task for you",
];

/// The sentences of `text` that ask for something, each with the one after it in the same line, which often holds what it is
/// about.
pub fn passages(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in unescaped(text).lines() {
        let all = sentences(line);
        let asking = all.iter().enumerate().filter(|(_, sentence)| asks(sentence));
        out.extend(asking.map(|(at, _)| all[at..(at + 2).min(all.len())].join(" ")));
    }
    out
}

fn asks(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    if ADDRESSES.iter().any(|phrase| lower.contains(phrase)) {
        return true;
    }
    // A capital inside of a sentence begins another one, as where a text was put into a text.
    let mut names = sentence.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty()).peekable();
    while let Some(word) = names.next() {
        let opens = word.starts_with(char::is_uppercase) && OPENERS.contains(&word.to_lowercase().as_str());
        if opens && names.peek().is_some() {
            return true;
        }
    }
    // Marks of a list or a tag are no words.
    let start = lower.trim_start_matches(|c: char| !c.is_alphabetic());
    let words = start.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty());
    let mut words = words.skip_while(|word| FILLERS.contains(word));
    let first = words.next().unwrap_or_default();
    // `Book club` and `Report` are things; a request has something to act on.
    OPENERS.contains(&first) && words.next().is_some()
}
