//! An authority of the gateway's own, for whoever has none: the certificate of the agents' door, and short-lived ones for agents.
//!
//! The authority's key lies in the desk's folder, readable by its user alone. It signs for the agents' door and for nothing else: no
//! person signs in and nothing is approved by a certificate.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::person::Terminal;

/// What the authority calls itself in its certificates.
const AUTHORITY: &str = "Wetink agents' authority";
/// How long the authority lives, in days.
const AUTHORITY_DAYS: u64 = 3650;
/// How long the door's certificate lives, in days.
const DOOR_DAYS: u64 = 365;
/// Clocks differ; a certificate begins this much earlier, in seconds.
const EARLIER_S: u64 = 300;
const DAY_S: u64 = 86_400;

#[derive(Subcommand)]
pub(crate) enum CertificateCommand {
    /// Make an authority and the certificate of the agents' door, and have the door opened over TLS. Once more: renew the certificate.
    Door {
        /// What agents call it, with the port, e.g. agents.corp.example:7443.
        host: String,
        /// Where it listens (0.0.0.0 and that port if not given).
        #[arg(long)]
        listen: Option<SocketAddr>,
    },
    /// A certificate and key for an agent, in its name, for some hours.
    Agent {
        /// The agent's name.
        name: String,
        /// How long it is valid.
        #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=168))]
        hours: u16,
        /// New folder for `agent.pem`, `agent.key` and the authority's `ca.pem`.
        #[arg(long)]
        out: PathBuf,
    },
}

pub(crate) fn run(terminal: &Terminal, home: &Home, command: CertificateCommand) -> Result<()> {
    home.prepare()?;
    let folder = home.authority();
    match command {
        CertificateCommand::Door { host, listen } => door(terminal, home, &folder, &host, listen),
        CertificateCommand::Agent { name, hours, out } => agent(terminal, &folder, &name, hours, &out),
    }
}

fn usage(sentence: impl Into<String>) -> anyhow::Error {
    Failure::of(Exit::Usage, sentence.into())
}

/// Name and port.
fn parts(host: &str) -> Result<(&str, u16)> {
    let plain = |name: &str| {
        (1..=253).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
    };
    host.rsplit_once(':')
        .and_then(|(name, port)| Some((name, port.parse().ok()?)))
        .filter(|(name, _)| plain(name))
        .ok_or_else(|| usage("write the host in lowercase and with its port, e.g. agents.corp.example:7443"))
}

fn door(terminal: &Terminal, home: &Home, folder: &Path, host: &str, listen: Option<SocketAddr>) -> Result<()> {
    let (name, port) = parts(host)?;
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], port)));
    let file = |name: &str| folder.join(name);
    let path = |name: &str| file(name).display().to_string();
    let settings = toml::to_string(&BTreeMap::from([
        ("listen", listen.to_string()),
        ("host", host.to_owned()),
        ("certificate", path("door.pem")),
        ("key", path("door.key")),
        ("client_ca", path("ca.pem")),
    ]))?;
    let place = home.agents_tls();
    if place.exists() && fs::read_to_string(&place)? != settings {
        let sentence = format!("{} is there already and says otherwise; take it away first", place.display());
        return Err(usage(sentence));
    }
    fs::create_dir_all(folder)?;
    if !file("ca.key").exists() {
        let key = KeyPair::generate()?;
        let mut params = authority();
        lasts(&mut params, AUTHORITY_DAYS * DAY_S)?;
        let certificate = params.self_signed(&key)?;
        secret(&file("ca.key"), &key.serialize_pem())?;
        fs::write(file("ca.pem"), certificate.pem())?;
        fs::write(file("domain"), name)?;
    } else if fs::read_to_string(file("domain"))? != name {
        return Err(usage("the authority is of another host; agents' names would change with it"));
    }
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    lasts(&mut params, DOOR_DAYS * DAY_S)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer(folder)?)?;
    let _ = fs::remove_file(file("door.key"));
    secret(&file("door.key"), &key.serialize_pem())?;
    fs::write(file("door.pem"), certificate.pem())?;
    fs::write(&place, settings)?;
    let ca = path("ca.pem");
    terminal.print(&json!({ "host": host, "ca": ca }), || {
        format!("agents reach https://{host} and trust {ca}; it takes effect when the gateway is started next")
    })
}

fn agent(terminal: &Terminal, folder: &Path, name: &str, hours: u16, out: &Path) -> Result<()> {
    let domain = fs::read_to_string(folder.join("domain"))
        .map_err(|_| usage("there is no authority yet: wetink certificate door HOST:PORT"))?;
    let spiffe = format!("spiffe://{domain}/agent/{name}");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if !(1..=60).contains(&name.len()) || !name.bytes().all(plain) || name.chars().all(|c| c == '.') {
        return Err(usage("an agent's name in a certificate has letters, digits, `-`, `.` and `_`"));
    }
    let mut params = CertificateParams::new(Vec::new())?;
    params.subject_alt_names = vec![SanType::URI(spiffe.as_str().try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    lasts(&mut params, u64::from(hours) * 3600)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer(folder)?)?;
    fs::create_dir(out).with_context(|| format!("{} has to be new", out.display()))?;
    secret(&out.join("agent.key"), &key.serialize_pem())?;
    fs::write(out.join("agent.pem"), certificate.pem())?;
    fs::copy(folder.join("ca.pem"), out.join("ca.pem"))?;
    terminal.print(&json!({ "name": spiffe, "folder": out }), || {
        format!("bind passes to it: wetink task pass TASK --agent-key {spiffe}")
    })
}

/// The same each time, so that what was issued before still leads to it.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, AUTHORITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn issuer(folder: &Path) -> Result<Issuer<'static, KeyPair>> {
    let pem = fs::read_to_string(folder.join("ca.key")).context("the authority's key")?;
    Ok(Issuer::new(authority(), KeyPair::from_pem(&pem)?))
}

/// From a little before now on.
fn lasts(params: &mut CertificateParams, seconds: u64) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let at = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    (params.not_before, params.not_after) = (at(now - EARLIER_S), at(now + seconds));
    Ok(())
}

/// A new file that nobody else may read.
fn secret(file: &Path, text: &str) -> io::Result<()> {
    let mut open = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    open.write_all(text.as_bytes())
}
