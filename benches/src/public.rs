//! Detectors on a public set: sentences and people of presidio-evaluator (PyPI), which others measure theirs with. Each sentence is
//! filled with values of its people; cards, accounts and addresses that the set leaves to a generator are made with right check digits.

use std::collections::BTreeMap;
use std::path::Path;

use analyze::{Sensitive, detect};
use anyhow::{Context as _, Result, bail};

/// Fields of one line, quotes read.
fn fields(line: &str) -> Vec<String> {
    let (mut out, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    out.push(field);
    out
}

fn luhn(first: &str, n: u64) -> String {
    let mut digits = format!("{first}{n:0width$}", width = 15 - first.len());
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, b)| {
            let digit = u32::from(b - b'0');
            if at % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    digits.push(char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0'));
    digits
}

fn iban(n: u64) -> String {
    let account = format!("{:018}", n * 7_919 % 1_000_000_000_000_000_000);
    // DE and 00 as digits, behind the account (ISO 13616).
    let rest = format!("{account}131400").bytes().fold(0_u64, |rest, b| (rest * 10 + u64::from(b - b'0')) % 97);
    format!("DE{:02}{account}", 98 - rest)
}

/// What stands for a place of a template, and what it is.
fn value(place: &str, person: &BTreeMap<&str, &str>, at: usize) -> (String, Option<Sensitive>) {
    let n = at as u64;
    let of = |name: &str| person.get(name).copied().unwrap_or_default().to_owned();
    match place {
        "credit_card_number" => {
            let plain = luhn(["4", "51", "37", "6011"][at % 4], n * 104_729 % 10_000_000_000);
            let spaced =
                plain.as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four)).collect::<Vec<_>>().join(" ");
            (if at.is_multiple_of(2) { plain } else { spaced }, Some(Sensitive::Card))
        }
        "email" => (of("EmailAddress"), Some(Sensitive::Email)),
        "iban" => (iban(n), Some(Sensitive::Iban)),
        "phone_number" => {
            (format!("+{} {}", of("TelephoneCountryCode"), of("TelephoneNumber")), Some(Sensitive::Phone))
        }
        "ssn" => {
            (format!("{:03}-{:02}-{:04}", 100 + n % 500, 10 + n % 80, 1_000 + n * 7 % 8_000), Some(Sensitive::Ssn))
        }
        "url" => (format!("https://www.{}/", of("Domain")), None),
        "ip_address" => (format!("10.{}.{}.{}", n % 250, n % 240, n % 230), None),
        "age" | "day_of_week" | "year" => ((1_950 + n % 70).to_string(), None),
        "date_time" | "date_of_birth" => (of("Birthday"), None),
        "zipcode" | "postcode" | "building_number" => (of("ZipCode"), None),
        "us_driver_license" => (format!("S{:07}", n * 31 % 10_000_000), None),
        "organization" => (of("Company"), None),
        "job" => (of("Occupation"), None),
        "city" => (of("City"), None),
        "country" | "nationality" => (of("CountryFull"), None),
        place if place.contains("address") || place.contains("street") => (of("StreetAddress"), None),
        _ => (format!("{} {}", of("GivenName"), of("Surname")), None),
    }
}

/// Prints the figures. `folder` has the package's `raw_data`.
pub(crate) fn run(folder: &Path) -> Result<()> {
    let read = |name: &str| {
        let file = folder.join(name);
        std::fs::read_to_string(&file).with_context(|| file.display().to_string())
    };
    let (templates, people) = (read("templates.txt")?, read("FakeNameGenerator.com_3000.csv")?);
    let mut lines = people.lines();
    let names = fields(lines.next().unwrap_or_default().trim_start_matches('\u{feff}'));
    let people: Vec<Vec<String>> = lines.map(fields).filter(|person| person.len() == names.len()).collect();
    if people.len() < 1_000 || templates.lines().count() < 100 {
        bail!("this is not the set");
    }
    let (mut cells, mut right, mut false_positives) = (0_u32, 0_u32, 0_u32);
    let mut recall: BTreeMap<Sensitive, (u32, u32)> = BTreeMap::new();
    for (at, template) in templates.lines().flat_map(|t| std::iter::repeat_n(t, 50)).enumerate() {
        let person = &people[at * 7 % people.len()];
        let person: BTreeMap<&str, &str> =
            names.iter().map(String::as_str).zip(person.iter().map(String::as_str)).collect();
        let (mut text, mut rest, mut wanted) = (String::new(), template, Vec::new());
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((place, behind)) = after.split_once("}}") else { break };
            let (filled, kind) = value(place.trim(), &person, at);
            text.push_str(before);
            text.push_str(&filled);
            wanted.extend(kind);
            rest = behind;
        }
        text.push_str(rest);
        wanted.sort_unstable();
        wanted.dedup();
        cells += 1;
        let found = detect(&text);
        for kind in &wanted {
            let of = recall.entry(*kind).or_default();
            of.1 += 1;
            of.0 += u32::from(found.contains(kind));
            right += u32::from(found.contains(kind));
        }
        false_positives += u32::try_from(found.iter().filter(|kind| !wanted.contains(kind)).count())?;
    }
    let percent = |part: u32, whole: u32| f64::from(part) * 100.0 / f64::from(whole.max(1));
    let wanted: u32 = recall.values().map(|(_, all)| all).sum();
    println!("public_cells: {cells}\npublic_values: {wanted}");
    println!("public_precision_percent: {:.2}", percent(right, right + false_positives));
    println!("public_recall_percent: {:.2}", percent(right, wanted));
    for (kind, (seen, all)) in recall {
        println!("public_recall_{}_percent: {:.2}", format!("{kind:?}").to_lowercase(), percent(seen, all));
    }
    Ok(())
}
