//! Where each value of a call comes from: the person's request, something the person vouched for, a released result, nowhere.
//!
//! The statement that is safe to make is "not from the person's request". Whether a value stands in untrusted text decides
//! nothing by itself, since any disguise (split, spaced, encoded) defeats that search; it only adds to the reason shown. So an
//! account, an address, a URL or a secret that the person did not name is an alarm wherever it comes from, and ids, dates and
//! amounts from named fields are information.
//!
//! Pure, and one set of rules for every tool: what a value is for is read from its parameter's name and description and from
//! its own form (`roles`), what asks for something from its grammar (`passages`), what belongs to what from the layout of a
//! result (`records`).

mod passages;
mod records;
mod roles;
mod statement;
mod words;

pub use passages::passages;
use std::sync::Arc;

use records::Records;
pub use roles::Role;
pub use statement::call_of;

use roles::{Family, family, identifiers, is_identifier, role};
use words::Words;

/// Longest text of one source that is looked at, in bytes. What is beyond it counts as not found, and as asking for any step.
const SOURCE_MAX: usize = 256 * 1024;
/// Most values of one call that are traced; a call with more is an alarm as a whole.
const VALUES_MAX: usize = 500;

/// Shortest number that is looked for in groups, and most groups of one.
const GROUPED_MIN: usize = 10;
const GROUPS_MAX: usize = 12;

/// Most passages of one source that are looked at one by one.
const PASSAGES_MAX: usize = 100;

/// One value of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Name of the parameter or column it is for; empty where there is none.
    pub name: String,
    /// What the tool's own schema says of the parameter; may be empty.
    pub description: String,
    /// The value as text.
    pub text: String,
}

/// What is about to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Name of the tool, or the verb and relation of a statement.
    pub what: String,
    /// True if it changes nothing by its own account.
    pub reads: bool,
    /// Its values, lists taken apart.
    pub values: Vec<Value>,
}

/// A result that the agent has seen, made ready for being held against. None of it depends on the call.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    words: Words,
    records: Records,
    /// Passages that ask for something, in each form that a disguise leaves readable.
    passages: Vec<(Words, String)>,
    asks: Vec<Family>,
}

impl Source {
    /// `name`: where it comes from, for the person: a proposal's id, a tool's name. `text`: what the agent was given.
    pub fn new(name: &str, text: &str) -> Self {
        let whole = text;
        let text = words::cut(whole, SOURCE_MAX);
        let mut found = passages(text);
        // So many that one more would not be noticed: then all of it asks.
        if found.len() > PASSAGES_MAX {
            found = vec![text.to_owned()];
        }
        // What was not looked at may ask for anything.
        let asks = if text.len() < whole.len() {
            vec![Family::Remove, Family::Book]
        } else {
            found.iter().filter_map(|passage| family(passage)).collect()
        };
        let passages = found
            .iter()
            .flat_map(|passage| words::readings(passage))
            .map(|p| (Words::of(&p), words::skeleton(&p)))
            .collect();
        Self {
            name: name.to_owned(),
            words: Words::of(&words::unescaped(text)),
            records: Records::of(text),
            passages,
            asks,
        }
    }
}

/// What the call is held against.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The person's own words, with the scope that they signed.
    pub request: &'a str,
    /// Values that the person marked as right when releasing a result. Single values, never whole sources.
    pub vouched: &'a [String],
    /// Released results, oldest first.
    pub results: &'a [Arc<Source>],
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It stands in the person's request.
    Request,
    /// The person vouched for it.
    Vouched,
    /// It is a field of a record that the request names.
    NamedRecord {
        /// The source's name.
        source: String,
        /// The field.
        field: String,
    },
    /// It stands in a released result.
    Result {
        /// The source's name.
        source: String,
        /// True if it stands in a passage that asks for something.
        asked: bool,
    },
    /// Nothing the agent was given has it.
    Nowhere,
}

/// How much it says against the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Nothing.
    None,
    /// Worth knowing.
    Note,
    /// Not from the person's request, where only that will do.
    Red,
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// Index into the call's values; none where it is about the call as a whole.
    pub value: Option<usize>,
    /// The value, or the identifier inside it.
    pub text: String,
    /// What it is for.
    pub role: Role,
    /// Where it comes from.
    pub origin: Origin,
    /// What that says.
    pub alarm: Alarm,
    /// The same in a sentence for the person. It holds no text of the value.
    pub sentence: &'static str,
}

/// The worst of them.
pub fn worst(traced: &[Traced]) -> Alarm {
    traced.iter().map(|t| t.alarm).max().unwrap_or(Alarm::None)
}

/// Traces every value of the call. Total: what cannot be traced comes from nowhere.
pub fn trace(call: &Call, ground: &Ground<'_>) -> Vec<Traced> {
    let tracer = Tracer::new(ground);
    let mut out = Vec::new();
    if call.values.len() > VALUES_MAX {
        out.push(Tracer::whole(Alarm::Red, "There are more values than are traced."));
    }
    let mut receivers = call.values.iter().filter(|value| role(value) == Role::Destination).peekable();
    let told = receivers.peek().is_some() && receivers.all(|value| tracer.of_the_person(&value.text).is_some());
    for (at, value) in call.values.iter().take(VALUES_MAX).enumerate() {
        tracer.value(call, at, value, told, &mut out);
    }
    tracer.verb(call, &mut out);
    out
}

struct Tracer<'a> {
    request: Words,
    request_text: &'a str,
    vouched: &'a [String],
    seen: &'a [Arc<Source>],
}

impl<'a> Tracer<'a> {
    fn new(ground: &Ground<'a>) -> Self {
        let request_text = words::cut(ground.request, SOURCE_MAX);
        Self { request: Words::of(request_text), request_text, vouched: ground.vouched, seen: ground.results }
    }

    fn whole(alarm: Alarm, sentence: &'static str) -> Traced {
        Traced { value: None, text: String::new(), role: Role::Other, origin: Origin::Nowhere, alarm, sentence }
    }

    /// True if the person named it, in the request or by vouching.
    fn of_the_person(&self, text: &str) -> Option<Origin> {
        if self.request.has(text) || self.has_in_groups(text) {
            return Some(Origin::Request);
        }
        self.vouched.iter().any(|vouched| Words::of(vouched).is(text)).then_some(Origin::Vouched)
    }

    /// True if the request names an account or number in groups, as people write them: `DE89 3704 0044 0532 0130 00`. Whole words only, so
    /// that no part of a longer number is taken for it.
    fn has_in_groups(&self, text: &str) -> bool {
        let bare = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase();
        let wanted = bare(text);
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-'));
        if !plain || wanted.len() < GROUPED_MIN || wanted.bytes().filter(u8::is_ascii_digit).count() < GROUPED_MIN / 2 {
            return false;
        }
        let words: Vec<&str> = self.request_text.split([' ', '\n', '-']).filter(|word| !word.is_empty()).collect();
        let is_number = |word: &&str| word.bytes().all(|b| b.is_ascii_digit());
        (0..words.len()).any(|first| {
            let mut so_far = String::new();
            (first..words.len()).take(GROUPS_MAX).any(|at| {
                so_far.push_str(&bare(words[at]));
                // One more group of digits, and it is another number.
                let goes_on = words[at].ends_with(|c: char| c.is_ascii_alphanumeric())
                    && words.get(at + 1).is_some_and(is_number);
                so_far == wanted && !goes_on
            })
        })
    }

    fn origin(&self, text: &str) -> Origin {
        if let Some(origin) = self.of_the_person(text) {
            return origin;
        }
        let asked = self.seen.iter().find(|seen| {
            seen.passages.iter().any(|(words, skeleton)| words.has(text) || words::in_skeleton(skeleton, text))
        });
        if let Some(seen) = asked {
            return Origin::Result { source: seen.name.clone(), asked: true };
        }
        for seen in self.seen {
            if let Some(field) = seen.records.field_of_named(text, &self.request) {
                return Origin::NamedRecord { source: seen.name.clone(), field: field.to_owned() };
            }
        }
        match self.seen.iter().find(|seen| seen.words.has(text)) {
            Some(seen) => Origin::Result { source: seen.name.clone(), asked: false },
            None => Origin::Nowhere,
        }
    }

    fn value(&self, call: &Call, at: usize, value: &Value, told: bool, out: &mut Vec<Traced>) {
        let role = role(value);
        let mut push = |text: &str, role: Role, origin: Origin, alarm: Alarm, sentence: &'static str| {
            out.push(Traced { value: Some(at), text: text.to_owned(), role, origin, alarm, sentence });
        };
        let origin = self.origin(&value.text);
        let (alarm, sentence) = judge(call, role, &value.text, &origin, told);
        push(&value.text, role, origin, alarm, sentence);
        if is_identifier(&value.text) || role == Role::Date {
            return;
        }
        // A text that carries an address carries it to whoever reads the text.
        for inside in identifiers(&value.text) {
            let origin = self.origin(inside);
            let (alarm, sentence) = judge(call, Role::Destination, inside, &origin, told);
            push(inside, Role::Destination, origin, alarm, sentence);
        }
    }

    /// What is done, apart from its values: taking things away has to be asked for by the person.
    fn verb(&self, call: &Call, out: &mut Vec<Traced>) {
        if call.reads {
            return;
        }
        let Some(wanted) = family(&call.what) else { return };
        let asked = self.seen.iter().any(|seen| seen.asks.contains(&wanted));
        let named = out.iter().filter(|t| matters(t.role, &t.text)).all(|t| t.origin == Origin::Request);
        // The person may ask for it as well; whose wish this one is can be told only where the person named what it is about.
        if asked && !(named && out.iter().any(|t| matters(t.role, &t.text))) {
            return out.push(Self::whole(Alarm::Red, "A result that was read asks for such a step."));
        }
        let requested = words::sentences(self.request_text).into_iter().any(|s| roles::asks_for(s, wanted));
        if wanted == Family::Remove && !requested {
            out.push(Self::whole(Alarm::Red, "The request does not ask to take anything away."));
        }
    }
}

/// `told`: everybody whom the call tells something was named by the person, so that words decide nothing more.
fn judge(call: &Call, role: Role, text: &str, origin: &Origin, told: bool) -> (Alarm, &'static str) {
    let sends = matches!(role, Role::Destination) && is_identifier(text);
    if call.reads && !matches!(origin, Origin::Request | Origin::Vouched) {
        // A read fetches from an address that it was given as it is; one that was put together carries something there.
        return match origin {
            Origin::Nowhere if sends && roles::is_place(text) => {
                (Alarm::Red, "An address that nobody gave the agent; what it says goes there.")
            }
            Origin::Result { asked: true, .. } if sends && roles::is_place(text) => {
                (Alarm::Red, "A result that was read asks to open this address.")
            }
            _ => (Alarm::None, "It is only looked for."),
        };
    }
    match origin {
        Origin::Request => (Alarm::None, "It stands in the request."),
        Origin::Vouched => (Alarm::None, "You said that it is right."),
        Origin::NamedRecord { .. } if role == Role::Secret => (Alarm::Red, "A secret that is not from your request."),
        Origin::NamedRecord { .. } => (Alarm::Note, "It is a field of something that the request names."),
        _ if role == Role::Secret => (Alarm::Red, "A secret that is not from your request."),
        _ if sends => (Alarm::Red, "An address or account that is not from your request."),
        Origin::Result { asked: true, .. } if matters(role, text) && !(role == Role::Prose && told) => {
            (Alarm::Red, "It stands in a passage of a result that asks for something.")
        }
        Origin::Nowhere if role == Role::Destination => {
            (Alarm::Red, "A receiver that nothing the agent was given names.")
        }
        Origin::Nowhere if role == Role::Selector => (Alarm::Note, "Nothing the agent was given has this id."),
        Origin::Result { .. } => (Alarm::Note, "It is from a result, not from your request."),
        Origin::Nowhere => (Alarm::Note, "The agent's own words."),
    }
}

/// Whether it decides what happens to what: names and ids do, amounts, dates and prose are information.
fn matters(role: Role, text: &str) -> bool {
    match role {
        Role::Destination | Role::Secret | Role::Selector => true,
        Role::Date | Role::Amount | Role::Flag => false,
        Role::Prose | Role::Other => {
            let count = text.split_whitespace().count();
            (1..=8).contains(&count) && text.chars().filter(|c| c.is_alphabetic()).count() >= 4
        }
    }
}

#[cfg(test)]
mod tests;
