//! Hostile text in every field of every page and of the terminal's view: it stays text (T-SHOW-03).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use artifact::effect::{RelationUse, Verb};
use artifact::{Digest, Effect, ProposalId, RunId, TaskId, Timestamp, has_hidden};
use doors::agents::{FindingView, Status};
use doors::people::{
    HeldView, OriginView, Person, QueueRow, ReviewView, Risk, RowsView, Sibling, SignalView, Together,
};
use wire::order::{Change, ResultColumn, ResultSet, Sample};
use wire::target::{Address, Registration};

use super::{alerts_page, held_page, queue_page, review_page, rows_page, together_page};
use crate::people::{Passkeys, QueueFilter};

const PAYLOADS: &[&str] = &[
    "<script>alert(1)</script>",
    "</code></div><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "\" onfocus=\"alert(1)\" autofocus=\"",
    "<a href=\"javascript:alert(1)\">sign here</a>",
    "javascript:alert(1)",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><input name=statement></form>",
    "<!--",
    "-->",
    "]]>",
    "<![CDATA[",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "&amp;",
    "\\u003cscript\\u003e",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "%3Cscript%3E",
    "<ScRiPt >",
    "<script\n>",
    "<\tscript>",
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;owned\u{7}",
    "\u{1b}]52;c;ZXZpbA==\u{7}",
    "\u{1b}[31mAPPROVED\u{1b}[0m",
    "\u{9b}31m",
    "\r\nAPPROVED by Ada\r\n",
    "a\rb",
    "a\u{8}\u{8}b",
    "\u{c}",
    "\u{b}",
    "=HYPERLINK(\"http://evil.example\")",
    "+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "-2+3",
    "\u{202e}txt.exe",
    "\u{2066}a\u{2069}",
    "a\u{200b}b",
    "\u{feff}",
    "\u{ad}",
    "\u{e0041}\u{e0042}",
    "\u{2028}x\u{2029}",
    "DELETE FROM users -- \u{202e} }",
    "IN SCOPE",
    "Sign & run once",
    "wetink/approval/v1\ngateway: x",
    "  ! LOW RISK",
    "STATEMENT TO SIGN",
    "\n\nTHE AGENT SAYS",
    "\u{0}",
    "a\u{0}b",
    "\u{fffd}",
    "\u{1f600}",
    "⟨U+0041⟩",
    "→\t",
];

const BETWEEN: &[&str] = &[
    "", " ", "\n", "\t", "\"", "'", "<", ">", "&", "\u{202e}", "\u{200d}", "\u{1b}", "\u{7f}", "\u{85}", "`", "\\",
    "/", "=", "ž", "\u{301}",
];

fn held_as(status: Status, risk: Risk, text: &str) -> ReviewView {
    let own = || text.to_owned();
    let mut effect = Effect::empty();
    effect.relations.push(RelationUse {
        name: own(),
        verbs: vec![Verb::Update],
        reads: vec![own()],
        writes: vec![own()],
        ..RelationUse::default()
    });
    effect.functions.push(own());
    effect.verb = Verb::Update;
    let pending = status == Status::Pending;
    ReviewView {
        row: QueueRow {
            id: ProposalId::random(),
            revision: 1,
            status,
            risk,
            headline: own(),
            target: own(),
            environment: own(),
            task: TaskId::random(),
            in_scope: true,
            agent: own(),
            person: own(),
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(1),
        },
        artifact: own(),
        digest: Digest::of(text.as_bytes()),
        words: own(),
        kind: "sql/sqlite".to_owned(),
        effect,
        sentence: own(),
        understood: true,
        findings: vec![FindingView { code: own(), severity: own(), span: Some((0, 1)), sentence: own() }],
        origins: vec![OriginView { value: own(), origin: own(), source: Some(own()), alarm: own(), sentence: own() }],
        registration: registration(text),
        undo: own(),
        task_title: own(),
        task_scope: vec![own()],
        reasons: vec![own()],
        purpose: own(),
        statement: pending.then(own),
        // A name with hidden characters is refused by analysis and armed by nobody.
        quorum: 2,
        signed_by: vec![own()],
        not_by: vec![],
        arm: pending.then(|| "main.orders".to_owned()),
        history: vec![(Timestamp::from_millis(0), own())],
        run: (!pending).then(RunId::random),
        undo_rows: Some(3),
        sibling: Some(Sibling {
            proposal: ProposalId::random(),
            at: Timestamp::from_millis(0),
            affected: Some(1),
            differs: vec![(own(), own())],
            changed: vec![own()],
        }),
        reason: Some(own()),
        released: Some(own()),
    }
}

fn registration(text: &str) -> Registration {
    Registration {
        name: text.to_owned(),
        address: Address::Sqlite { path: text.to_owned() },
        environment: text.to_owned(),
        run_as: text.to_owned(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 1_000,
        result_rows_max: 10,
        labels: std::collections::BTreeMap::new(),
        approvals: wire::target::Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        receipts: false,
        rotate_after_s: None,
        graphql: None,
    }
}

/// Every sink with `text` wherever data may stand.
fn pages(text: &str) -> Vec<(&'static str, String)> {
    let own = || text.to_owned();
    let who = Person { name: own(), roles: vec!["reviewer".into()] };
    let passkeys = Passkeys { rp_id: "localhost".into(), credentials: vec![] };
    let now = Timestamp::from_millis(2);
    let view = held_as(Status::Pending, Risk::Medium, text);
    let held = HeldView {
        seen: vec![own()],
        proposal: view.row.id,
        revision: 1,
        task: view.row.task,
        run: RunId::random(),
        result: ResultSet {
            columns: vec![ResultColumn { name: own(), origin: Some(own()) }],
            rows: vec![vec![Some(own())]],
            total_rows: 1,
        },
        digest: view.digest,
        labels: vec![own()],
        affected: 1,
    };
    let cells = || Some(vec![Some(own())]);
    let sample =
        Sample { relation: own(), columns: vec![own()], rows: vec![Change { before: cells(), after: cells() }] };
    let rows = RowsView { proposal: view.row.id, rows: 1, of: None, sample: Some(sample) };
    let alert = SignalView {
        index: 1,
        signal: own(),
        at: now,
        agent: own(),
        person: own(),
        task: own(),
        target: own(),
        proposal: Some(ProposalId::random()),
        sentence: own(),
    };
    vec![
        ("review", review_page(&who, &view, &passkeys, now).into_string()),
        ("high", review_page(&who, &held_as(Status::Pending, Risk::High, text), &passkeys, now).into_string()),
        ("ended", review_page(&who, &held_as(Status::Failed, Risk::Low, text), &passkeys, now).into_string()),
        ("queue", queue_page(&who, QueueFilter::default(), std::slice::from_ref(&view.row), now).into_string()),
        ("held", held_page(&who, &held).into_string()),
        (
            "together",
            together_page(&who, &passkeys, &Together { batch: own(), views: vec![view.clone(), view.clone()] }, now)
                .into_string(),
        ),
        ("rows", rows_page(&who, &rows).into_string()),
        ("alerts", alerts_page(&who, &[alert]).into_string()),
    ]
}

/// Each tag with the names of its attributes. Whatever is text has no `<` of its own.
fn tags(html: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let mut names = String::new();
        let mut quoted = false;
        let mut end = rest.len();
        for (i, c) in rest.char_indices() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = i;
                    break;
                }
                _ if quoted => continue,
                _ => {}
            }
            names.push(c);
        }
        out.insert(names);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    out
}

#[test]
fn hostile_text_stays_text_in_every_sink() {
    let benign: Vec<BTreeSet<String>> = pages("plain").iter().map(|(_, html)| tags(html)).collect();
    // Which parts of a page there are may hang on the text (a long one is cut, an empty one says so), but only these.
    let extra = ["span class=\"\"", "/span", "p class=\"\"", "p", "/p", "time datetime=\"\"", "details", "/details"];
    let mut tried = 0;
    for payload in PAYLOADS {
        for (between, other) in
            BETWEEN.iter().flat_map(|b| [(b, "x"), (b, PAYLOADS[0]), (b, "\u{202e}"), (b, "\u{1b}[0m")])
        {
            let text = format!("{other}{between}{payload}");
            tried += 1;
            for ((page, html), usual) in pages(&text).iter().zip(&benign) {
                for tag in tags(html).difference(usual) {
                    assert!(extra.contains(&tag.as_str()), "{page}: {text:?} made <{tag}>");
                }
                let bad = html.find(|c: char| has_hidden(c) || c.is_control() && !matches!(c, '\n' | '\t'));
                let around = bad.map(|at| html.get(at.saturating_sub(120)..at).unwrap_or_default());
                assert_eq!(around, None, "{page}: {text:?}");
            }
            let plain = crate::plain(&held_as(Status::Pending, Risk::High, &text));
            let bad = plain.chars().find(|c| has_hidden(*c) || c.is_control() && *c != '\n');
            assert_eq!(bad, None, "terminal: {text:?}");
            // A line of data never begins where the gateway's own headings do.
            let headings = plain
                .lines()
                .filter(|line| line.starts_with("STATEMENT TO SIGN") || line.starts_with("THE AGENT SAYS"));
            assert_eq!(headings.count(), 2, "terminal: {text:?}");
        }
    }
    assert!(tried >= 4_800, "{tried}");
}
