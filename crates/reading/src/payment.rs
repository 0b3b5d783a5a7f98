//! Payments in the bodies of requests, where a registered form says that they stand.
//!
//! Nothing is guessed: a body that could say another amount or another payee to another reader is no payment (PSD2 RTS, article 5: what
//! is signed is specific to the amount and the payee).

use std::collections::BTreeSet;
use std::fmt;

use artifact::has_hidden;
use artifact::money::{MEMBERS_MAX, Money, Payment, PaymentForm, TEXT_MAX};
use artifact::request as rules;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::request::{Request, leniently};

/// Deepest nesting of a payment's body.
const DEPTH_MAX: usize = 8;

/// The payment that a request is by these forms. `Ok(None)`: none of them is about it.
///
/// Errors: one of them is, and the body does not say amount and payee beyond doubt.
pub fn payment(forms: &[PaymentForm], request: &Request<'_>) -> Result<Option<Payment>, NotTyped> {
    let about =
        |form: &&PaymentForm, path: &str, lenient: bool| {
            let rule = rules::rule(&form.request).filter(|(method, _)| *method == request.method);
            rule.is_some_and(|(_, pattern)| {
                if lenient { rules::covers(&leniently(pattern), path) } else { rules::covers(pattern, path) }
            })
        };
    if let Some(form) = forms.iter().find(|form| about(form, request.path, false)) {
        return read(form, request).map(Some).ok_or(NotTyped(()));
    }
    // A path that only some servers take for a payment's is no way around its limits.
    let path = leniently(request.path);
    if forms.iter().any(|form| about(&form, &path, true)) { Err(NotTyped(())) } else { Ok(None) }
}

/// Reads the payment. None wherever another reader could read another one.
fn read(form: &PaymentForm, request: &Request<'_>) -> Option<Payment> {
    // What a query adds has no name in the form.
    if !request.is_json() || request.query.is_some() {
        return None;
    }
    let mut found = Vec::new();
    collect("", request.body, 0, &mut found).ok()?;
    let known = |path: &String| form.members().chain(&form.other).any(|name| name == path);
    if !found.iter().all(|(path, _)| known(path)) {
        return None;
    }
    let raw = |name: &str| found.iter().find(|(path, _)| path == name).map(|(_, raw)| *raw);
    let text = |name: &str| {
        let text: String = serde_json::from_str(raw(name)?).ok()?;
        Some(text).filter(|text| (1..=TEXT_MAX).contains(&text.len()) && !text.chars().any(has_hidden))
    };
    let maybe = |name: &Option<String>| match name.as_ref().filter(|name| raw(name).is_some()) {
        Some(name) => text(name),
        None => Some(String::new()),
    };
    let currency = match form.currency.strip_prefix('=') {
        Some(fixed) => fixed.to_owned(),
        None => text(&form.currency)?,
    };
    // A number stands there as it is written, not as somebody's floating point rounds it.
    let number = raw(&form.amount)?;
    let number = if number.starts_with('"') { text(&form.amount)? } else { number.to_owned() };
    let amount = if form.minor_units { Money::minor(&number, &currency) } else { Money::decimal(&number, &currency) }?;
    let payee = match &form.payee {
        Some(name) => text(name)?,
        None => String::new(),
    };
    let (account, reference, date) = (text(&form.account)?, maybe(&form.reference)?, maybe(&form.date)?);
    Some(Payment { amount, payee, account, reference, date }).filter(|payment| payment.amount.units > 0)
}

/// A body that moves money and does not say beyond doubt how much to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "amount and payee are not beyond doubt: the body is a JSON object with the registered members only, each once, the amount a plain decimal"
)]
pub struct NotTyped(());

/// Names and texts of all leaves. Fails on what two readers could take differently.
fn collect<'a>(
    prefix: &str,
    json: &'a str,
    depth: usize,
    into: &mut Vec<(String, &'a str)>,
) -> Result<(), serde_json::Error> {
    let too_much = || serde_json::Error::custom("too deep or too long");
    let mut members = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(json);
    Members(&mut members).deserialize(&mut reader)?;
    reader.end()?;
    for (name, raw) in members {
        let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let raw = raw.get();
        if raw.starts_with('{') {
            if depth == DEPTH_MAX {
                return Err(too_much());
            }
            collect(&path, raw, depth + 1, into)?;
        } else if raw.starts_with('[') || into.len() == MEMBERS_MAX {
            return Err(too_much());
        } else {
            into.push((path, raw));
        }
    }
    Ok(())
}

/// The members of one object, each name once whatever its case: some readers do not tell `Amount` from `amount`.
struct Members<'v, 'a>(&'v mut Vec<(String, &'a RawValue)>);

impl<'a> DeserializeSeed<'a> for Members<'_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Members<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some((name, value)) = map.next_entry::<String, &'a RawValue>()? {
            let plain = !name.is_empty() && !name.contains('.') && !name.chars().any(has_hidden);
            if !plain || !seen.insert(name.to_lowercase()) || seen.len() > MEMBERS_MAX {
                return Err(A::Error::custom("a member stands twice, or has no plain name"));
            }
            self.0.push((name, value));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::read;

    fn form() -> PaymentForm {
        PaymentForm {
            request: "POST /v1/payments".into(),
            amount: "amount.value".into(),
            currency: "amount.currency".into(),
            payee: Some("creditor.name".into()),
            account: "creditor.iban".into(),
            reference: Some("reference".into()),
            other: vec!["endToEndId".into()],
            ..PaymentForm::default()
        }
    }

    fn paid(form: &PaymentForm, body: &str) -> Option<Payment> {
        let text = format!("POST /v1/payments\ncontent-type: application/json\n\n{body}");
        payment(std::slice::from_ref(form), &read(&text).unwrap()).ok().flatten()
    }

    fn body(amount: &str) -> String {
        format!(
            "{{\"amount\":{{\"value\":{amount},\"currency\":\"EUR\"}},\"creditor\":{{\"name\":\"Bo\",\"iban\":\"DE1\"}},\"reference\":\"r\"}}"
        )
    }

    #[test]
    fn a_payment_is_read_where_the_form_says() {
        let found = paid(&form(), &body("49.90")).unwrap();
        assert_eq!(
            (found.amount.to_string().as_str(), found.payee.as_str(), found.account.as_str()),
            ("49.90 EUR", "Bo", "DE1")
        );
        assert_eq!(paid(&form(), &body("\"49.90\"")), Some(found));
        let cents = PaymentForm { minor_units: true, ..form() };
        assert_eq!(paid(&cents, &body("4990")).unwrap().amount.to_string(), "49.90 EUR");
        let fixed = PaymentForm {
            currency: "=JPY".into(),
            amount: "yen".into(),
            payee: None,
            account: "to".into(),
            reference: None,
            other: vec![],
            ..form()
        };
        assert_eq!(paid(&fixed, "{\"yen\":5000,\"to\":\"7\"}").unwrap().amount.to_string(), "5000 JPY");
        for other in ["GET /v1/payments", "POST /v1/payment", "POST /v1/payments/7/notes"] {
            assert_eq!(payment(&[form()], &read(other).unwrap()), Ok(None));
        }
        // Another spelling of the same path, as lenient servers take it.
        for same in ["POST /v1/payments/", "POST /V1/Payments", "POST /v1/p%61yments", "POST /v1/P%41YMENTS/"] {
            let text = format!("{same}\ncontent-type: application/json\n\n{}", body("49.90"));
            assert!(payment(&[form()], &read(&text).unwrap()).is_err(), "{same}");
        }
    }

    /// C-F1, C-F6: what another reader could read otherwise is no payment.
    #[test]
    fn whatever_could_say_something_else_is_no_payment() {
        let good = body("49.90");
        let bad = [
            body("49.990"),
            body("4.99e1"),
            body("-49.90"),
            body("0"),
            body("049.90"),
            body("\"49,90\""),
            body("\"\u{664}9.90\""),
            body("null"),
            body("[49.90]"),
            body("{\"v\":49.90}"),
            good.replace("EUR", "EURO"),
            good.replace("EUR", "eur"),
            good.replace("\"reference\":\"r\"", "\"tip\":5"),
            good.replace("\"reference\":\"r\"", "\"reference\":[]"),
            good.replace("\"reference\":\"r\"", "\"amount\":{\"value\":99}"),
            good.replace("\"reference\":\"r\"", "\"Amount\":{\"value\":99}"),
            good.replace("\"reference\":\"r\"", "\"amount.value\":99"),
            good.replace("\"value\":49.90", "\"value\":49.90,\"value\":99"),
            good.replace("\"value\":49.90", "\"value\":49.90,\"Value\":99"),
            good.replace("\"iban\":\"DE1\"", "\"iban\":\"DE1\",\"\\u0069ban\":\"DE2\""),
            good.replace("\"iban\":\"DE1\"", "\"iban\":7"),
            good.replace("\"DE1\"", "\"DE1\u{202e}\""),
            good.replace("\"Bo\"", "\"\""),
            format!("{good}{good}"),
            format!("[{good}]"),
            String::new(),
        ];
        assert!(paid(&form(), &good).is_some());
        for body in bad {
            assert_eq!(paid(&form(), &body), None, "{body}");
        }
        for head in [
            "POST /v1/payments?amount=1\ncontent-type: application/json",
            "POST /v1/payments",
            "POST /v1/payments\ncontent-type: application/json; charset=utf-16",
            "POST /v1/payments\ncontent-type: text/json",
        ] {
            let text = format!("{head}\n\n{good}");
            assert!(payment(&[form()], &read(&text).unwrap()).is_err(), "{head}");
        }
    }
}
