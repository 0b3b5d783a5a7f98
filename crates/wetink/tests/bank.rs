//! Payments at a real small bank: amount and payee are signed and no other ones leave, further people sign where the registration says
//! so, budgets hold whoever signs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "browser_tools/mod.rs"]
#[allow(dead_code, reason = "no browser here")]
mod browser_tools;
mod machine;
mod script;
mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use artifact::money::{Money, Payment, PaymentForm};
use machine::Machine;
use reading::payment::payment;
use reading::request;
use script::{Script, settled};
use serde_json::{Value, json};

const TOKEN: &str = "bank_4eC39HqLyjWDarjtT1zdp7dc";
const BO: &str = "DE89 3704 0044 0532 0130 00";
const CY: &str = "FR1420041010050500013M02606";

const PAYMENTS: &str = r#"
two_people_above = ["1000.00 EUR"]
two_people_for_new_accounts = true
per_day = ["3000.00 EUR"]
per_account_and_day = ["2500.00 EUR"]

[[forms]]
request = "POST /v1/payments"
amount = "amount.value"
currency = "amount.currency"
payee = "creditor.name"
account = "creditor.iban"
reference = "reference"
"#;

fn bank() -> Script {
    Script::start("bank/server.mjs", &[("TOKEN", TOKEN)])
}

/// A machine with the bank, Bo and Cy beside Ada, and a task of that scope. Answers robin's pass.
fn furnish(machine: &Machine, bank: &Script, payments: &str, may: &str) -> String {
    machine.furnish();
    machine.reviewer("Bo", "bo");
    assert!(machine.run(&["secret", "set", "bank"], TOKEN, None).status.success());
    let file = machine.path("payments.toml");
    std::fs::write(&file, payments).unwrap();
    let origin = bank.origin();
    let (ok, text) = machine.person(
        &[
            "target",
            "add",
            "bank",
            &origin,
            "--credential",
            "bank",
            "--payments",
            file.to_str().unwrap(),
            "--idempotency-header",
            "idempotency-key",
            "--request",
            "GET /v1/**",
            "--request",
            "POST /v1/**",
        ],
        "",
    );
    assert!(ok, "{text}");
    let title = format!("Pay the invoices of Bo Ltd, {BO}, and Cy SARL, {CY}");
    let (ok, text) = machine.person(&["task", "new", &title, "--agent", "robin", "--target", "bank", "--may", may], "");
    assert!(ok, "{text}");
    machine.pass_of("bank")
}

fn pays(amount: &str, payee: &str, account: &str, reference: &str) -> String {
    let body = json!({
        "amount": { "value": amount, "currency": "EUR" }, "creditor": { "name": payee, "iban": account }, "reference": reference,
    });
    format!("POST /v1/payments\ncontent-type: application/json\n\n{body}")
}

fn propose(machine: &Machine, artifact: &str, pass: &str) -> Value {
    let out = machine.run(&["propose", "--json", "--target", "bank", "--purpose", "as asked"], artifact, Some(pass));
    serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)))
}

fn pending(machine: &Machine, artifact: &str, pass: &str) -> String {
    let answer = propose(machine, artifact, pass);
    assert_eq!(answer["status"], "pending", "{answer}");
    answer["proposal_id"].as_str().unwrap().to_owned()
}

fn status(machine: &Machine, id: &str) -> String {
    machine.json(&["show", id], "", None)["row"]["status"].as_str().unwrap_or_default().to_owned()
}

fn codes(machine: &Machine, id: &str) -> Vec<String> {
    let shown = machine.json(&["show", id], "", None);
    shown["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap().to_owned()).collect()
}

/// One after the other signs. Answers whether the last one's command ended well.
fn sign(machine: &Machine, id: &str, keys: &[&str]) -> (bool, String) {
    keys.iter().fold((false, String::new()), |_, key| machine.person_with(key, &["approve", id], "bank\n"))
}

#[test]
fn what_is_paid_is_what_was_signed_by_as_many_as_it_takes() {
    let (machine, bank) = (Machine::start(), bank());
    let pass = furnish(&machine, &bank, PAYMENTS, "call POST /v1/payments up to 2600.00 EUR");
    let paid = || bank.seen();
    // A new account takes two, whatever the amount.
    let first = pending(&machine, &pays("49.90", "Bo Ltd", BO, "R-1"), &pass);
    let shown = machine.json(&["show", &first], "", None);
    assert_eq!(shown["row"]["headline"], format!("PAYS 49.90 EUR to Bo Ltd, {BO}"), "{shown}");
    assert!(codes(&machine, &first).contains(&"new_payee".to_owned()), "{shown}");
    let (_, text) = sign(&machine, &first, &["key"]);
    assert!(paid().is_empty() && status(&machine, &first) == "pending", "{text}");
    let (ok, text) = sign(&machine, &first, &["bo"]);
    assert!(ok, "{text}");
    settled("paid", || paid().len() == 1);
    let one = paid().remove(0);
    assert_eq!((one["value"].as_str(), one["to"]["iban"].as_str()), (Some("49.90"), Some(BO)));
    assert!(one["key"].as_str().is_some_and(|key| key.starts_with("r-")), "{one}");
    // The same account in another spelling is known; below the limit one signature is enough.
    let again = pending(&machine, &pays("1000.00", "Bo Ltd", &BO.replace(' ', ""), "R-2"), &pass);
    assert!(!codes(&machine, &again).contains(&"new_payee".to_owned()));
    let (ok, text) = sign(&machine, &again, &["key"]);
    assert!(ok && paid().len() == 2, "{text}");
    // Above it, two.
    let large = pending(&machine, &pays("1000.01", "Bo Ltd", BO, "R-3"), &pass);
    sign(&machine, &large, &["key"]);
    assert_eq!((paid().len(), status(&machine, &large).as_str()), (2, "pending"));
    let (ok, text) = sign(&machine, &large, &["bo"]);
    assert!(ok && paid().len() == 3, "{text}");
    // 2,049.91 so far; the account's day has room for 450.09, the task for 550.09, the day for 950.09.
    let beyond = pending(&machine, &pays("450.10", "Bo Ltd", BO, "R-4"), &pass);
    let (ok, text) = sign(&machine, &beyond, &["key"]);
    assert!(!ok && text.contains("budget") && paid().len() == 3, "{text}");
    let fits = pending(&machine, &pays("450.09", "Bo Ltd", BO, "R-5"), &pass);
    assert!(sign(&machine, &fits, &["key"]).0);
    assert_eq!(paid().len(), 4);
    // The task has 100.00 left.
    let other = pending(&machine, &pays("100.01", "Cy SARL", CY, "R-6"), &pass);
    let (ok, text) = sign(&machine, &other, &["key", "bo"]);
    assert!(!ok && text.contains("budget") && paid().len() == 4, "{text}");

    // Offline: each run had as many signatures as its registration asks for.
    let file = machine.path("log.wetink");
    assert!(machine.run(&["audit", "export", file.to_str().unwrap()], "", None).status.success());
    let verified = machine.run(&["audit", "verify", file.to_str().unwrap()], "", None);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// C-F5 and its attacks: a known name at another account, a name that looks like a known one.
#[test]
fn changed_accounts_and_names_that_pose_are_red() {
    let (machine, bank) = (Machine::start(), bank());
    let pass =
        furnish(&machine, &bank, &PAYMENTS.replace("two_people_for_new_accounts = true", ""), "call POST /v1/payments");
    let first = pending(&machine, &pays("10.00", "Muster Energie", BO, "a"), &pass);
    assert!(sign(&machine, &first, &["key"]).0);
    for (payee, account, code) in [
        ("Muster Energie", CY, "changed_account"),
        ("Muster Energle", CY, "lookalike_payee"),
        ("Must\u{435}r Energie", CY, "lookalike_payee"),
        ("Muster-Energie", CY, "lookalike_payee"),
        ("Stadtwerke", CY, "new_payee"),
    ] {
        let id = pending(&machine, &pays("10.00", payee, account, "b"), &pass);
        assert!(codes(&machine, &id).contains(&code.to_owned()), "{payee}: {:?}", codes(&machine, &id));
        assert_eq!(machine.json(&["show", &id], "", None)["row"]["risk"], "high");
    }
    // An account that the person did not name is red by that alone.
    let id = pending(&machine, &pays("10.00", "Evil", "GB29NWBK60161331926819", "c"), &pass);
    assert!(codes(&machine, &id).contains(&"not_from_request".to_owned()));
}

/// C-F7: what is labelled in a body stands in a column of its own, which a task's scope does not let out.
#[test]
fn balances_stay_with_people_unless_they_are_released() {
    let (machine, bank) = (Machine::start(), bank());
    machine.furnish();
    assert!(machine.run(&["secret", "set", "bank"], TOKEN, None).status.success());
    let add = ["target", "add", "bank", &bank.origin(), "--credential", "bank", "--request", "GET /v1/**"];
    let (ok, text) = machine.person(&[&add[..], &["--label", "body.balance.amount=personal"]].concat(), "");
    assert!(ok, "{text}");
    let scope = ["--may", "call GET /v1/accounts/*", "--auto-reads"];
    let new = ["task", "new", "How does ACME stand?", "--agent", "robin", "--target", "bank"];
    assert!(machine.person(&[&new[..], &scope[..]].concat(), "").0);
    let pass = machine.pass_of("bank");
    let out = machine.run(
        &["propose", "--json", "--target", "bank", "--purpose", "as asked", "--wait", "10"],
        "GET /v1/accounts/ACME",
        Some(&pass),
    );
    let answer = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(answer.contains("\\\"amount\\\":null") && answer.contains("Acme GmbH"), "{answer}");
    assert!(!answer.contains("1000000") && !answer.contains("\"name\":\"sha256\""), "{answer}");
    let id = serde_json::from_str::<Value>(&answer).unwrap()["proposal_id"].as_str().unwrap().to_owned();
    let run = machine.json(&["show", &id], "", None)["run"].as_str().unwrap().to_owned();
    let shown = machine.json(&["result", "show", &run], "", None).to_string();
    assert!(shown.contains("1000000.00") && shown.contains("body.balance.amount"), "{shown}");
}

/// C-F1, C-F6: nobody is asked to sign what could be read in two ways.
#[test]
fn what_moves_money_and_is_not_beyond_doubt_is_denied() {
    let (machine, bank) = (Machine::start(), bank());
    let pass = furnish(&machine, &bank, PAYMENTS, "call POST /v1/payments");
    let good = pays("49.90", "Bo Ltd", BO, "R-1");
    for bad in [
        good.replace("\"49.90\"", "49.900"),
        good.replace("\"49.90\"", "\"4.99e1\""),
        good.replace("\"49.90\"", "\"49,90\""),
        good.replace("EUR", "XXX"),
        good.replace("\"reference\"", "\"tip\""),
        good.replace("{\"amount\"", "{\"Amount\":{},\"amount\""),
        good.replace("/payments\n", "/payments?amount=1\n"),
        good.replace("application/json", "text/plain"),
    ] {
        let answer = propose(&machine, &bad, &pass);
        assert_eq!(answer["status"], "denied", "{bad}: {answer}");
    }
    // A request that is no payment by its form is another thing altogether, and out of the scope.
    let other = pending(&machine, &good.replace("/v1/payments", "/v1/transfers"), &pass);
    assert!(!machine.json(&["show", &other], "", None)["row"]["in_scope"].as_bool().unwrap());
    assert!(bank.seen().is_empty());
    // Limits that limit nothing, currencies that are none.
    let file = machine.path("bad.toml");
    for bad in [
        "per_day = [\"1.00 EUR\"]\nforms = []",
        &PAYMENTS.replace("1000.00 EUR", "1000 EUR"),
        &PAYMENTS.replace("\"1000.00 EUR\"", "\"1.00 EUR\", \"2.00 EUR\""),
        &PAYMENTS.replace("POST /v1/payments", "GET /v1/payments"),
        &PAYMENTS.replace("creditor.iban", "amount.value"),
        &format!("{PAYMENTS}\nfee = \"x\""),
    ] {
        std::fs::write(&file, bad).unwrap();
        let arguments =
            ["target", "add", "b2", &bank.origin(), "--payments", file.to_str().unwrap(), "--request", "POST /v1/**"];
        let (ok, text) = machine.person(&arguments, "");
        assert!(!ok, "{bad}: {text}");
    }
}

/// C-F4: budgets are counted where the signature is spent, so nothing goes beyond them however many sign at once.
#[test]
fn payments_at_once_do_not_go_beyond_a_budget() {
    let (machine, bank) = (Machine::start(), bank());
    let limits = PAYMENTS.replace("two_people_for_new_accounts = true", "").replace("2500.00", "1000.00");
    let pass = furnish(&machine, &bank, &limits, "call POST /v1/payments");
    let ids: Vec<String> =
        (0..6).map(|n| pending(&machine, &pays("300.00", "Bo Ltd", BO, &format!("P-{n}")), &pass)).collect();
    std::thread::scope(|scope| {
        for id in &ids {
            scope.spawn(|| sign(&machine, id, &["key"]));
        }
    });
    assert_eq!(bank.seen().len(), 3);
    assert_eq!(ids.iter().filter(|id| status(&machine, id) == "pending").count(), 3);
}

/// C-F3: an answer that does not come leaves an unknown outcome. It counts, and is not tried again.
#[test]
fn a_bank_that_hangs_up_leaves_an_unknown_outcome_that_counts() {
    let (machine, bank) = (Machine::start(), bank());
    let limits = PAYMENTS.replace("two_people_for_new_accounts = true", "").replace("2500.00", "1000.00");
    let pass = furnish(&machine, &bank, &limits, "call POST /v1/payments");
    let id = pending(&machine, &pays("900.00", "Bo Ltd", BO, "hang up"), &pass);
    sign(&machine, &id, &["key"]);
    assert_eq!((status(&machine, &id).as_str(), bank.seen().len()), ("unknown", 1));
    sign(&machine, &id, &["key"]);
    assert_eq!(bank.seen().len(), 1);
    let next = pending(&machine, &pays("100.01", "Bo Ltd", BO, "R-2"), &pass);
    assert!(!sign(&machine, &next, &["key"]).0 && bank.seen().len() == 1);
}

/// How many bodies are generated; `measure money` asks for more.
fn bodies() -> usize {
    std::env::var("WETINK_BODIES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

/// The same numbers each time.
struct Random(u64);

impl Random {
    fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from[usize::try_from(self.0 >> 33).unwrap() % from.len()]
    }

    /// Mostly nothing strange.
    fn odd<'a>(&mut self, usual: &'a str, strange: &[&'a str]) -> &'a str {
        if self.of(&["u", "u", "u", "u", "u", "u", "u", "s"]) == "u" { usual } else { self.of(strange) }
    }

    fn digits(&mut self, many: &str) -> String {
        (0..many.len()).map(|_| self.of(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "9", "5"])).collect()
    }

    fn number(&mut self) -> String {
        let many = self.of(&["d", "dd", "ddd", "ddddddd", "dddddddddddd", "ddddddddddddd"]);
        let whole = self.digits(many);
        let many = self.of(&["", "d", "dd", "dd", "dd", "ddd"]);
        let part = self.digits(many);
        let point = if part.is_empty() { self.odd("", &["."]) } else { self.odd(".", &[","]) };
        let (sign, tail) = (self.odd("", &["-", "+", "0"]), self.odd("", &["e0", "E1", "0", " ", "\u{661}"]));
        format!("{sign}{whole}{point}{part}{tail}")
    }

    fn body(&mut self) -> String {
        let number = self.number();
        let value = if self.of(&["n", "s"]) == "n" { number } else { format!("\"{number}\"") };
        let space = self.of(&["", " ", "\n", "\t"]);
        let currency = self.odd("EUR", &["JPY", "KWD", "\\u0045UR", "eur", "EU", ""]);
        let payee = self.odd("Bo", &["Bo \\u00e4", "B\u{f6}", "\\ud83d\\ude00", "", "\\n"]);
        let account = self.odd("DE1", &["DE\\u0031", "DE 1", ""]);
        let name = self.odd("value", &["\\u0076alue", "Value", "valu\\u0435"]);
        let more = self.odd("", &[",\"value\":99", ",\"Value\":99", ",\"\\u0076alue\":99", ",\"tip\":1"]);
        let amount = format!("\"amount\":{space}{{\"{name}\":{value}{more},\"currency\":\"{currency}\"}}");
        let creditor = format!("\"creditor\":{{\"name\":\"{payee}\",{space}\"iban\":\"{account}\"}}");
        let strange = [
            ",\"reference\":\"r\"",
            ",\"amount\":{}",
            ",\"creditor\":{\"iban\":\"X\"}",
            ",\"fee\":1",
            "}",
            ",\"reference\":{\"a\":1}",
        ];
        let rest = self.odd("", &strange);
        if self.of(&["a", "b"]) == "a" {
            format!("{{{amount},{creditor}{rest}}}")
        } else {
            format!("{{{space}{creditor},{amount}{rest}}}")
        }
    }
}

/// How many of the lines the program reads otherwise.
fn read_by(program: &str, script: &str, lines: &str) -> u64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bank").join(script);
    let mut child = Command::new(program).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().parse().unwrap_or_else(|_| panic!("{program} did not read all of them"))
}

/// C-F6: of any number of bodies, none that is taken for a payment says another amount or payee to another reader of JSON.
#[test]
fn of_many_bodies_none_pays_another_amount_than_shown() {
    let form = PaymentForm {
        request: "POST /v1/payments".into(),
        amount: "amount.value".into(),
        currency: "amount.currency".into(),
        payee: Some("creditor.name".into()),
        account: "creditor.iban".into(),
        reference: Some("reference".into()),
        ..PaymentForm::default()
    };
    let (mut random, mut lines, mut taken, mut differ) = (Random(0x6d_6f6e_6579), String::new(), 0, 0);
    for _ in 0..bodies() {
        let body = random.body();
        let text = format!("POST /v1/payments\ncontent-type: application/json\n\n{body}");
        let Ok(request) = request::read(&text) else { continue };
        let Ok(Some(Payment { amount: Money { currency, units }, payee, account, .. })) =
            payment(std::slice::from_ref(&form), &request)
        else {
            continue;
        };
        let digits = match currency.as_str() {
            "JPY" => 0,
            "KWD" => 3,
            _ => 2,
        };
        // A third reader: the last of two members wins, numbers as floating point.
        let read: Value = serde_json::from_str(&body).unwrap();
        let value = &read["amount"]["value"];
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap();
        let same = format!("{:.0}", number * 10_f64.powi(digits)) == units.to_string()
            && read["amount"]["currency"] == currency
            && read["creditor"] == json!({ "name": payee, "iban": account });
        differ += u64::from(!same);
        taken += 1;
        lines += &format!("{}\n", json!([body, units, digits, currency, payee, account]));
    }
    differ += read_by("python3", "read.py", &lines) + read_by("node", "read.mjs", &lines);
    println!("bodies: {}", bodies());
    println!("taken_for_payments: {taken}");
    println!("differences: {differ}");
    assert!(differ == 0 && taken > bodies() / 10, "{taken} {differ}");
}
