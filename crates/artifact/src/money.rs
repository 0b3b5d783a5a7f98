//! Amounts of money as exact decimals, and payments as a registration says that a service takes them. Nothing here is computed in
//! floating point.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::has_hidden;
use crate::request;

/// Most digits before the decimal point: any reader of JSON gets such a number right.
const DIGITS_MAX: usize = 12;
/// Longest name, account or reference, in bytes.
pub const TEXT_MAX: usize = 255;
/// Most members of a payment's body.
pub const MEMBERS_MAX: usize = 100;

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
    pub fn minor(number: &str, currency: &str) -> Option<Self> {
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

    /// Every member that says something about the payment.
    pub fn members(&self) -> impl Iterator<Item = &String> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
