use std::collections::BTreeSet;

use artifact::effect::{Grade, OperationKind, RelationUse, RequestUse, Rows, Verb};
use artifact::{Effect, Kind, visible};

use crate::{Analysis, Code, Finding};

/// Most relations named in one sentence; the effect itself lists them all.
const MAX_NAMED: usize = 6;

/// The effect in plain words, e.g. `Changes rows of main.orders: status; reads main.customers: id`.
pub(crate) fn sentence(effect: &Effect, findings: &[Finding], understood: bool, all_rows: &BTreeSet<String>) -> String {
    if !understood {
        let why = findings.iter().find(|f| f.code.blocks()).map_or("unknown", |f| f.sentence.as_str());
        return format!("NOT UNDERSTOOD: {why}");
    }
    if let Some(request) = &effect.request {
        let with = |names: &[String], of: &str| match names {
            [] => String::new(),
            names => format!("; {of}: {}", names.iter().map(|name| visible(name)).collect::<Vec<_>>().join(", ")),
        };
        if effect.is_of(Kind::Mail) {
            return of_mail(request, "Lists", "Reads", "Marks", "Keeps", "Sends") + &with(&request.query, "by");
        }
        if effect.is_of(Kind::Mcp) {
            let does = if effect.verb == Verb::Read { "Asks" } else { "Calls" };
            let arguments = with(&request.body, "arguments");
            return format!("{does} the tool {}{arguments}", visible(request.path.trim_start_matches('/')));
        }
        let does = if effect.verb == Verb::Read { "Asks" } else { "Sends" };
        let (query, body) = (with(&request.query, "query"), with(&request.body, "body"));
        return format!("{does} {} {}{query}{body}", request.method, visible(&request.path));
    }
    let mut used: Vec<&RelationUse> = effect.relations.iter().collect();
    used.sort_by_key(|r| std::cmp::Reverse(strongest(r)));
    let mut parts: Vec<String> = used.iter().take(MAX_NAMED).map(|r| clause(r, all_rows.contains(&r.name))).collect();
    if used.len() > MAX_NAMED {
        parts.push(format!("and {} more relations", used.len() - MAX_NAMED));
    }
    if parts.is_empty() {
        parts.push(
            if effect.verb == Verb::Read { "Reads no table" } else { "Changes the schema or a right" }.to_owned(),
        );
    }
    if effect.commits_itself {
        parts.push("the database commits this by itself".to_owned());
    }
    let mut text = parts.join("; ");
    // Each part begins with a word of ours.
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// What is done at a mailbox, with the words for it.
fn of_mail(request: &RequestUse, lists: &str, reads: &str, marks: &str, keeps: &str, sends: &str) -> String {
    let path = visible(&request.path);
    match request.method.as_str() {
        "LIST" => format!("{lists} messages of {path}"),
        "READ" => format!("{reads} the message {path}"),
        "MARK" => format!("{marks} the message {path}"),
        "DRAFT" => format!("{keeps} a draft"),
        _ => {
            let more = match request.recipients.len() {
                0 | 1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            format!(
                "{sends} a mail to {}{more}",
                request.recipients.first().map_or_else(String::new, |one| visible(one))
            )
        }
    }
}

/// One line for the top of the page, e.g. `CHANGES 37 of 5,311 rows in main.orders`.
///
/// `rows` is what a preview or an estimate said; none says so in words.
pub fn headline(analysis: &Analysis, rows: Option<Rows>) -> String {
    if !analysis.understood {
        return "NOT UNDERSTOOD".to_owned();
    }
    let effect = &analysis.effect;
    if let Some(request) = &effect.request {
        if effect.is_of(Kind::Mail) {
            return of_mail(request, "LISTS", "READS", "MARKS", "KEEPS", "SENDS");
        }
        if effect.is_of(Kind::Mcp) {
            let does = if effect.verb == Verb::Read { "ASKS" } else { "CALLS" };
            return format!("{does} the tool {}", visible(request.path.trim_start_matches('/')));
        }
        if let Some(operation) = &request.operation {
            let fields = operation.fields.iter().map(|field| visible(field)).collect::<Vec<_>>().join(", ");
            return match operation.kind {
                OperationKind::Query => format!("ASKS {} for {fields}", visible(&request.path)),
                OperationKind::Mutation => format!("SENDS the mutation {fields} to {}", visible(&request.path)),
            };
        }
        if let Some(payment) = &request.payment {
            let account = visible(&payment.account);
            return match payment.payee.as_str() {
                "" => format!("PAYS {} to {account}", payment.amount),
                payee => format!("PAYS {} to {}, {account}", payment.amount, visible(payee)),
            };
        }
        let does = if effect.verb == Verb::Read { "ASKS" } else { "SENDS" };
        return format!("{does} {} {}", request.method, visible(&request.path));
    }
    // Locked rows and sequences that move on change no row; they lead only where there is nothing else.
    let (aside, main): (Vec<_>, Vec<_>) =
        effect.relations.iter().filter(|r| strongest(r) == effect.verb).partition(|r| is_aside(r));
    let mut hit = if main.is_empty() { aside } else { main }.into_iter();
    let Some(first) = hit.next() else {
        return if effect.verb == Verb::Read { "READS no table" } else { "CHANGES the schema or a right" }.to_owned();
    };
    // The number of rows is that of all relations that change, so all of them are counted here too.
    let weaker = effect.relations.iter().filter(|r| {
        effect.verb > Verb::Read && strongest(r) > Verb::Read && strongest(r) != effect.verb && !is_aside(r)
    });
    let others = hit.count() + weaker.count();
    if is_aside(first) {
        let more = if others == 0 { String::new() } else { format!(" and {others} more") };
        let what = if effect.verb == Verb::Insert { "MOVES ON the sequence" } else { "LOCKS rows of" };
        return format!("{what} {}{more}", visible(&first.name));
    }
    let verb = match effect.verb {
        Verb::Read => "READS",
        Verb::Insert => "ADDS",
        Verb::Update if first.verbs.contains(&Verb::Insert) => "CHANGES OR ADDS",
        Verb::Update => "CHANGES",
        Verb::Delete if first.verbs.iter().any(|v| matches!(v, Verb::Insert | Verb::Update)) => "DELETES AND CHANGES",
        Verb::Delete => "DELETES",
        Verb::Define => "CHANGES THE DEFINITION of",
    };
    let place = match effect.verb {
        Verb::Read => "from",
        Verb::Insert => "to",
        Verb::Update | Verb::Delete | Verb::Define => "in",
    };
    let amount = match (effect.verb, rows) {
        (Verb::Define, _) => String::new(),
        (Verb::Update | Verb::Delete, Some(Rows { count, of: Some(of), .. })) if count == of && of > 0 => {
            format!(" ALL {} rows {place}", grouped(of))
        }
        (verb, Some(rows)) => {
            let about = if rows.grade == Grade::Guess { "about " } else { "" };
            let of = match rows.of {
                Some(of) if verb != Verb::Insert => format!(" of {}", grouped(of)),
                _ => String::new(),
            };
            let noun = if rows.count == 1 && of.is_empty() { "row" } else { "rows" };
            format!(" {about}{}{of} {noun} {place}", grouped(rows.count))
        }
        (Verb::Update | Verb::Delete, None) if analysis.has(Code::NoWhere) => format!(" ALL rows {place}"),
        (_, None) => format!(" an unknown number of rows {place}"),
    };
    let more = if others == 0 { String::new() } else { format!(" and {others} more") };
    format!("{verb}{amount} {}{more}", visible(&first.name))
}

/// A write without columns: rows are only locked, or a sequence moves on.
fn is_aside(used: &RelationUse) -> bool {
    matches!(strongest(used), Verb::Insert | Verb::Update) && used.writes.is_empty()
}

fn strongest(used: &RelationUse) -> Verb {
    used.verbs.iter().copied().max().unwrap_or(Verb::Read)
}

fn clause(used: &RelationUse, all: bool) -> String {
    let name = visible(&used.name);
    let rows = if all { "ALL rows" } else { "rows" };
    let has = |verb| used.verbs.contains(&verb);
    match strongest(used) {
        Verb::Define => format!("changes the definition of {name}"),
        Verb::Delete if has(Verb::Update) => format!("deletes and changes {rows} of {name}{}", columns(&used.writes)),
        Verb::Delete => format!("deletes {rows} of {name}"),
        Verb::Update if used.writes.is_empty() => format!("locks rows of {name}"),
        Verb::Update if has(Verb::Insert) => format!("adds or changes rows of {name}{}", columns(&used.writes)),
        Verb::Update => format!("changes {rows} of {name}{}", columns(&used.writes)),
        Verb::Insert if used.writes.is_empty() => format!("moves the sequence {name} on"),
        Verb::Insert => format!("adds rows to {name}{}", columns(&used.writes)),
        Verb::Read if used.reads.is_empty() => format!("counts rows of {name}"),
        Verb::Read => format!("reads {name}{}", columns(&used.reads)),
    }
}

fn columns(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [star] if star == "*" => ": every column".to_owned(),
        names => format!(": {}", names.iter().map(|n| visible(n)).collect::<Vec<_>>().join(", ")),
    }
}

fn grouped(n: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (5311, "5,311"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(n), text);
        }
    }
}
