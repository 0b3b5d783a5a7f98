//! Statements: one text has one reading, and one reading has one text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use approve::Nonce;
use approve::statement::{
    Approval, CloseTask, ColumnChoice, GrantKey, GrantTarget, OpenTask, Release, ReleaseRule, Resume, RevokeKey,
    RowChoice, SetPolicy, Statement,
};
use artifact::{Digest, Kind, ProposalId, RunId, TaskId, Timestamp};
use proptest::prelude::*;

fn all() -> Vec<String> {
    let (gateway, nonce) = (Digest::of(b"root"), Nonce::random());
    let not_after = Timestamp::from_millis(1_795_185_120_000);
    let approval = Approval {
        gateway,
        proposal: ProposalId::random(),
        revision: 2,
        artifact: Digest::of(b"select 1"),
        kind: Kind::SqlSqlite,
        target_name: "shop".into(),
        target_fingerprint: Digest::of(b"target"),
        run_as: "owner".into(),
        effect: Digest::of(b"effect"),
        ceiling_rows: 37,
        release: ReleaseRule::Hold,
        task: TaskId::random(),
        policy: Digest::of(b"policy"),
        quorum: 1,
        not_by: vec![],
        nonce,
        not_after,
    };
    let column = |index, mask| ColumnChoice { index, mask, name: format!("column {index}") };
    let release = Release {
        gateway,
        proposal: ProposalId::random(),
        revision: 1,
        run: RunId::random(),
        result: Digest::of(b"result"),
        rows: RowChoice::Some(vec![0, 3, 5]),
        columns: vec![column(0, false), column(4, true)],
        vouched: vec!["DE89370400440532013000".into(), "ada@example.com".into()],
        task: TaskId::random(),
        nonce,
        not_after,
    };
    let task = OpenTask {
        gateway,
        task: TaskId::random(),
        title: "refund the orders".into(),
        agent: "robin".into(),
        target_name: "shop".into(),
        target_fingerprint: Digest::of(b"target"),
        may: vec!["read main.orders(id,status)".parse().unwrap(), "update main.orders(status)".parse().unwrap()],
        task_type: Some("refunds".into()),
        never: vec!["delete main.*".parse().unwrap()],
        functions: vec!["count".into(), "lower".into()],
        rows_per_run: 50,
        rows_total: 500,
        auto_reads: true,
        nonce,
        not_after,
    };
    vec![
        approval.to_text().unwrap(),
        Approval { quorum: 2, not_by: vec!["Ada".into(), "Bo".into()], ..approval.clone() }.to_text().unwrap(),
        release.to_text().unwrap(),
        Release { rows: RowChoice::None, columns: vec![], ..release.clone() }.to_text().unwrap(),
        Release { vouched: vec![], ..release.clone() }.to_text().unwrap(),
        Release { rows: RowChoice::All, ..release }.to_text().unwrap(),
        task.to_text().unwrap(),
        GrantKey {
            gateway,
            person: "Ada".into(),
            key: "ssh-ed25519 AAAA".into(),
            roles: "admin,reviewer".into(),
            nonce,
            not_after,
        }
        .to_text()
        .unwrap(),
        RevokeKey { gateway, fingerprint: Digest::of(b"key"), nonce, not_after }.to_text().unwrap(),
        GrantTarget { gateway, name: "shop".into(), registration: Digest::of(b"r"), nonce, not_after }
            .to_text()
            .unwrap(),
        CloseTask { gateway, task: TaskId::random(), nonce, not_after }.to_text().unwrap(),
        SetPolicy { gateway, name: "strict".into(), policy: Digest::of(b"p"), nonce, not_after }.to_text().unwrap(),
        Resume { gateway, scope: "all".into(), nonce, not_after }.to_text().unwrap(),
    ]
}

fn written(statement: &Statement) -> String {
    match statement {
        Statement::Approval(s) => s.to_text(),
        Statement::Release(s) => s.to_text(),
        Statement::Key(s) => s.to_text(),
        Statement::RevokeKey(s) => s.to_text(),
        Statement::Target(s) => s.to_text(),
        Statement::Task(s) => s.to_text(),
        Statement::CloseTask(s) => s.to_text(),
        Statement::Policy(s) => s.to_text(),
        Statement::Resume(s) => s.to_text(),
    }
    .unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    for text in all() {
        assert_eq!(written(&Statement::parse(&text).unwrap()), text);
    }
}

#[test]
fn another_spelling_is_another_text_or_none() {
    for text in all() {
        let lines: Vec<&str> = text.lines().collect();
        let mut bent = vec![
            text.trim_end().to_owned(),
            format!("{text}\n"),
            format!(" {text}"),
            text.replace('\n', "\r\n"),
            text.replace(": ", ":"),
            text.replace(": ", ":  "),
            text.replace('\n', " \n"),
            format!("{text}extra: 1\n"),
            text.replace("wetink/", "wetlnk/"),
            text.replace("/v1", "/v2"),
            text.replace("gateway", "gatew\u{0430}y"),
            text.replace("nonce: ", "nonce: \u{200b}"),
            text.replace(".000Z", "Z"),
            text.to_uppercase(),
            text.replacen("sha256:", "sha256: ", 1),
        ];
        for at in 0..lines.len() {
            let without: Vec<&str> = lines.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, l)| *l).collect();
            let repeats = ["may:", "never:", "function:", "column:", "vouch:"].iter().any(|p| lines[at].starts_with(p));
            let optional = ["quorum:", "not-by:", "type:"].iter().any(|p| lines[at].starts_with(p));
            if optional {
                // Without it, it is another statement, not another spelling of this one.
                assert_ne!(Statement::parse(&(without.join("\n") + "\n")), Statement::parse(&text));
            }
            if !repeats {
                if !optional {
                    bent.push(without.join("\n") + "\n");
                }
                let mut doubled = lines.clone();
                doubled.insert(at, lines[at]);
                bent.push(doubled.join("\n") + "\n");
            }
            if at + 1 < lines.len() && !(repeats && lines[at + 1].split(':').next() == lines[at].split(':').next()) {
                let mut swapped = lines.clone();
                swapped.swap(at, at + 1);
                bent.push(swapped.join("\n") + "\n");
            }
        }
        for bad in bent {
            assert!(Statement::parse(&bad).is_err(), "{bad:?}");
        }
    }
}

#[test]
fn every_changed_bit_changes_the_reading_or_ends_it() {
    for text in all() {
        let good = Statement::parse(&text).unwrap();
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            if let Ok(read) = Statement::parse(&changed) {
                assert_ne!(read, good, "{changed}");
                assert_eq!(written(&read), changed);
            }
        }
    }
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,300}") {
        let _ = Statement::parse(&text);
    }

    #[test]
    fn random_lines_never_panic(lines in proptest::collection::vec("(gateway|proposal|rows|may|column|nonce): .{0,40}", 0..12)) {
        for form in [Approval::FORM, Release::FORM, OpenTask::FORM] {
            let _ = Statement::parse(&format!("{form}\n{}\n", lines.join("\n")));
        }
    }
}
