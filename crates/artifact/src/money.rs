//! Amounts of money as exact decimals, and payments as a registration says that a service takes them.
//!
//! Nothing here is computed in floating point, and nothing is guessed: a body that could say another amount or another payee to
//! another reader is no payment (PSD2 RTS, article 5: what is signed is specific to the amount and the payee).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::has_hidden;
use crate::request::{self, Request};

/// Most digits before the decimal point: any reader of JSON gets such a number right.
const DIGITS_MAX: usize = 12;
/// Longest name, account or reference, in bytes.
const TEXT_MAX: usize = 255;
/// Deepest nesting of a payment's body.
const DEPTH_MAX: usize = 8;
/// Most members of a payment's body.
const MEMBERS_MAX: usize = 100;

/// Codes of ISO 4217 in use, by the number of digits after the point.
const CURRENCIES: [(usize, &str); 4] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP \
         DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR \
         LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB \
         SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER \
         ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// An amount in a currency, in its smallest units.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Money {
    /// Code of ISO 4217.
    pub currency: String,
    /// Smallest units: cents, or whole yen.
    pub units: u64,
}

/// Text that is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an amount; expected e.g. `49.90 EUR`, with the digits that the currency has")]
pub struct MoneyError(());

/// Digits after the point; none for what is no currency.
fn digits_of(currency: &str) -> Option<usize> {
    let known = |list: &str| list.split(' ').any(|code| code == currency);
    CURRENCIES.iter().find(|(_, list)| known(list)).map(|(digits, _)| *digits)
}

impl Money {
    /// Reads a decimal number with the currency's digits after the point, or fewer. No sign, exponent, separator, or leading zero.
    pub fn decimal(number: &str, currency: &str) -> Option<Self> {
        let digits = digits_of(currency)?;
        let (whole, part) = match number.split_once('.') {
            Some((whole, part)) if !part.is_empty() => (whole, part),
            Some(_) => return None,
            None => (number, ""),
        };
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !(1..=DIGITS_MAX).contains(&whole.len()) || part.len() > digits || !plain(whole) || !plain(part) {
            return None;
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return None;
        }
        let units = format!("{whole}{part:0<digits$}").parse().ok()?;
        Some(Self { currency: currency.to_owned(), units })
    }

    /// Reads a whole number of smallest units.
    fn minor(number: &str, currency: &str) -> Option<Self> {
        digits_of(currency)?;
        let plain = number.bytes().all(|b| b.is_ascii_digit()) && (number == "0" || !number.starts_with('0'));
        let units = Some(number).filter(|text| plain && text.len() <= DIGITS_MAX)?.parse().ok()?;
        Some(Self { currency: currency.to_owned(), units })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = digits_of(&self.currency).unwrap_or(0);
        let scale = 10_u64.pow(u32::try_from(digits).unwrap_or(0));
        let (whole, part) = (self.units / scale, self.units % scale);
        if digits == 0 {
            write!(f, "{whole}")?;
        } else {
            write!(f, "{whole}.{part:0digits$}")?;
        }
        write!(f, " {}", self.currency)
    }
}

impl FromStr for Money {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (number, currency) = text.split_once(' ').ok_or(MoneyError(()))?;
        Self::decimal(number, currency).ok_or(MoneyError(()))
    }
}

impl TryFrom<String> for Money {
    type Error = MoneyError;
    fn try_from(text: String) -> Result<Self, MoneyError> {
        let money: Self = text.parse()?;
        // One amount has one spelling where it is signed.
        if money.to_string() == text { Ok(money) } else { Err(MoneyError(())) }
    }
}

impl From<Money> for String {
    fn from(money: Money) -> Self {
        money.to_string()
    }
}

/// Who is paid how much, as it stands in the body of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// How much.
    pub amount: Money,
    /// Name of whoever is paid, where the service takes one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub payee: String,
    /// Account it goes to.
    pub account: String,
    /// What the payee reads beside it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// When it is carried out, in the service's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
}

impl Payment {
    /// The account without the spaces and the case that people write it with.
    pub fn account_key(&self) -> String {
        self.account.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
    }
}

/// Where a service takes a payment's parts from: names of members of the JSON body, a point between the levels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentForm {
    /// Method and pattern of the path, `POST /v1/payments`.
    pub request: String,
    /// Member with the amount.
    pub amount: String,
    /// Member with the currency, or `=EUR` where the service knows one only.
    pub currency: String,
    /// True: the amount is a whole number of the smallest units.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub minor_units: bool,
    /// Member with the payee's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payee: Option<String>,
    /// Member with the payee's account.
    pub account: String,
    /// Member with the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Member with the date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Members that say nothing about money or people. Any that is named nowhere makes a body unreadable: it could be a fee.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<String>,
}

impl PaymentForm {
    /// Whether it can be used: a request of a service that changes something, names without hidden characters.
    pub fn is_usable(&self) -> bool {
        let name = |name: &String| {
            (1..=TEXT_MAX).contains(&name.len()) && !name.chars().any(|c| has_hidden(c) || c.is_whitespace())
        };
        let rule = request::rule(&self.request).is_some_and(|(method, _)| {
            method.kind() == crate::Kind::Http && method.verb() != crate::effect::Verb::Read
        });
        let currency = self.currency.strip_prefix('=').is_none_or(|fixed| digits_of(fixed).is_some());
        let named: Vec<&String> = self.members().chain(&self.other).collect();
        let apart = named.iter().collect::<BTreeSet<_>>().len() == named.len();
        rule && currency && apart && named.len() <= MEMBERS_MAX && named.into_iter().all(name)
    }

    fn members(&self) -> impl Iterator<Item = &String> {
        let currency = Some(&self.currency).filter(|currency| !currency.starts_with('='));
        [
            Some(&self.amount),
            currency,
            self.payee.as_ref(),
            Some(&self.account),
            self.reference.as_ref(),
            self.date.as_ref(),
        ]
        .into_iter()
        .flatten()
    }

    /// Reads the payment. None wherever another reader could read another one.
    fn read(&self, request: &Request<'_>) -> Option<Payment> {
        let json = request.headers.iter().any(|(name, value)| {
            *name == "content-type" && (*value == "application/json" || *value == "application/json; charset=utf-8")
        });
        // What a query adds has no name in the form.
        if !json || request.query.is_some() {
            return None;
        }
        let mut found = Vec::new();
        collect("", request.body, 0, &mut found).ok()?;
        let known = |path: &String| self.members().chain(&self.other).any(|name| name == path);
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
        let currency = match self.currency.strip_prefix('=') {
            Some(fixed) => fixed.to_owned(),
            None => text(&self.currency)?,
        };
        // A number stands there as it is written, not as somebody's floating point rounds it.
        let number = raw(&self.amount)?;
        let number = if number.starts_with('"') { text(&self.amount)? } else { number.to_owned() };
        let amount =
            if self.minor_units { Money::minor(&number, &currency) } else { Money::decimal(&number, &currency) }?;
        let payee = match &self.payee {
            Some(name) => text(name)?,
            None => String::new(),
        };
        let (account, reference, date) = (text(&self.account)?, maybe(&self.reference)?, maybe(&self.date)?);
        Some(Payment { amount, payee, account, reference, date }).filter(|payment| payment.amount.units > 0)
    }
}

/// The payment that a request is by these forms. `Ok(None)`: none of them is about it.
///
/// Errors: one of them is, and the body does not say amount and payee beyond doubt.
pub fn payment(forms: &[PaymentForm], request: &Request<'_>) -> Result<Option<Payment>, NotTyped> {
    let about = |form: &&PaymentForm| {
        let rule = request::rule(&form.request);
        rule.is_some_and(|(method, pattern)| method == request.method && request::covers(pattern, request.path))
    };
    match forms.iter().find(about) {
        None => Ok(None),
        Some(form) => form.read(request).map(Some).ok_or(NotTyped(())),
    }
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
    fn amounts_have_one_reading() {
        for (text, shown) in
            [("49.9 EUR", "49.90 EUR"), ("0 JPY", "0 JPY"), ("1.5 KWD", "1.500 KWD"), ("12 EUR", "12.00 EUR")]
        {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), shown);
        }
        let euros = |number: &str| Money::decimal(number, "EUR");
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e2",
            "1E2",
            "01",
            "00",
            "1,00",
            "1.000",
            "1 0",
            "\u{661}",
            "NaN",
            "Infinity",
            "0x1",
            "1000000000000",
            "1_0",
            "1.0.0",
            " 1",
            "1 ",
        ] {
            assert_eq!(euros(bad), None, "{bad}");
        }
        for bad in ["1.0 JPY", "1.0000 KWD", "1 EURO", "1 eur", "1", "EUR 1", "1  EUR"] {
            assert!(bad.parse::<Money>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Money>("\"1.5 EUR\"").is_err(), "another spelling than the one that is signed");
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
        let other = "GET /v1/payments";
        assert_eq!(payment(&[form()], &read(other).unwrap()), Ok(None));
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

    #[test]
    fn forms_that_would_limit_nothing_are_not_usable() {
        assert!(form().is_usable());
        for bad in [
            PaymentForm { request: "GET /v1/payments".into(), ..form() },
            PaymentForm { request: "CALL /pay".into(), ..form() },
            PaymentForm { currency: "=EURO".into(), ..form() },
            PaymentForm { account: "amount.value".into(), ..form() },
            PaymentForm { account: String::new(), ..form() },
            PaymentForm { other: vec!["a b".into()], ..form() },
        ] {
            assert!(!bad.is_usable(), "{bad:?}");
        }
    }
}
