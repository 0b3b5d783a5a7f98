//! The vault file against those who have it, change it, or ask it for too much.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use artifact::Timestamp;
use tempfile::TempDir;
use vault::{Found, KeySource, Vault, VaultError};
use zeroize::Zeroizing;

const PLANTED: &[u8] = b"planted-4711-value";

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("vault")
    }

    fn key(&self) -> KeySource {
        KeySource::KeyFile(self.0.path().join("key"))
    }

    fn create(&self) -> Vault {
        Vault::create(&self.path(), &self.key()).unwrap()
    }

    fn open(&self) -> Result<Vault, VaultError> {
        Vault::open(&self.path(), &self.key())
    }
}

fn passphrase(text: &str) -> KeySource {
    KeySource::Passphrase(Zeroizing::new(text.as_bytes().to_vec()))
}

fn frame(vault: &Vault, name: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let Found::Here(credential) = vault.credential(name).unwrap()? else { panic!("it is elsewhere") };
    credential.write_to(&mut out).unwrap();
    Some(out)
}

#[test]
fn the_guards_own_keys_are_no_credentials() {
    let place = Place::new();
    let mut vault = place.create();
    let own = vault.own_key("root", at(1)).unwrap();
    // Neither may a target's registration name one, nor a stored secret take its place.
    assert!(vault.credential("guard/root").unwrap().is_none());
    assert!(matches!(vault.put("guard/root", PLANTED, at(2)), Err(VaultError::Limit)));
    assert!(matches!(vault.put("guard/new", PLANTED, at(2)), Err(VaultError::Limit)));
    vault.put("guard", PLANTED, at(2)).unwrap();
    drop(vault);
    let mut vault = place.open().unwrap();
    assert_eq!(*vault.own_key("root", at(9)).unwrap(), *own);
    assert_ne!(*vault.own_key("log", at(9)).unwrap(), *own);
    assert_eq!(vault.list().iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), ["guard"]);
    assert!(vault.own_key("not a name", at(9)).is_err());
}

#[test]
fn written_beside_and_renamed_for_the_owner_only() {
    let place = Place::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut vault = place.create();
    assert_eq!((mode(&place.path()), mode(&place.0.path().join("key"))), (0o600, 0o600));
    // A file or link left where the new one is written lends it neither its mode nor its place.
    let beside = place.path().with_extension("new");
    fs::write(&beside, b"left").unwrap();
    fs::set_permissions(&beside, Permissions::from_mode(0o666)).unwrap();
    vault.put("shop", PLANTED, at(1)).unwrap();
    assert_eq!(mode(&place.path()), 0o600);
    let elsewhere = place.0.path().join("elsewhere");
    symlink(&elsewhere, &beside).unwrap();
    vault.put("shop", PLANTED, at(2)).unwrap();
    assert!(!elsewhere.exists() && !beside.exists());
    assert_eq!(frame(&place.open().unwrap(), "shop").unwrap()[4..], *PLANTED);
}

#[test]
fn what_could_not_be_stored_is_not_used() {
    let place = Place::new();
    let mut vault = place.create();
    vault.put("shop", b"old", at(1)).unwrap();
    // A folder stands where the new file would be written.
    fs::create_dir(place.path().with_extension("new")).unwrap();
    assert!(matches!(vault.put("shop", b"new", at(2)), Err(VaultError::Io(_))));
    assert!(matches!(vault.put("mail", b"new", at(2)), Err(VaultError::Io(_))));
    assert_eq!(frame(&vault, "shop").unwrap(), b"\0\0\0\x03old");
    assert!(frame(&vault, "mail").is_none());
    assert_eq!(frame(&place.open().unwrap(), "shop").unwrap(), b"\0\0\0\x03old");
}

#[test]
fn every_changed_or_missing_byte_closes_it() {
    let place = Place::new();
    let mut vault = place.create();
    vault.put("shop", PLANTED, at(1)).unwrap();
    vault.put("shop", PLANTED, at(2)).unwrap();
    vault.own_key("root", at(3)).unwrap();
    let good = fs::read(place.path()).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(place.path(), bytes).unwrap();
        let error = place.open().err().map(|error| format!("{error} {error:?}"));
        assert!(error.is_some_and(|error| !error.contains("planted")), "{what}");
    };
    for i in 0..good.len() {
        for change in [0x01, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[i] ^= change;
            refused(&bad, &format!("byte {i} {change}"));
        }
        refused(&good[..i], &format!("cut at {i}"));
    }
    refused(&[&good[..], b"\n"].concat(), "longer");
    fs::write(place.path(), &good).unwrap();
    place.open().unwrap();
}

#[test]
fn a_value_stays_with_its_name_version_and_time() {
    let place = Place::new();
    let mut vault = place.create();
    vault.put("staging", b"low", at(1)).unwrap();
    vault.put("prod", b"high", at(1)).unwrap();
    let text = fs::read_to_string(place.path()).unwrap();
    let good: serde_json::Value = serde_json::from_str(&text).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut bad = good.clone();
        change(&mut bad);
        // Spelled as the vault spells it: fields in its order, which is the order of the text.
        let mut bad_text = text.clone();
        for name in ["staging", "prod"] {
            for field in ["version", "stored_at", "key", "value"] {
                let (old, new) = (&good["secrets"][name][field], &bad["secrets"][name][field]);
                let start = bad_text.find(&format!("\"{name}\":")).unwrap();
                let tail = bad_text.split_off(start);
                bad_text += &tail.replacen(&old.to_string(), &new.to_string(), 1);
            }
        }
        assert_ne!(bad_text, text);
        fs::write(place.path(), bad_text).unwrap();
        assert!(matches!(place.open(), Err(VaultError::DoesNotOpen)));
    };
    refused(&|v| v["secrets"]["staging"] = v["secrets"]["prod"].clone());
    refused(&|v| v["secrets"]["staging"]["version"] = 2.into());
    refused(&|v| v["secrets"]["staging"]["stored_at"] = at(2).to_string().into());
    refused(&|v| v["secrets"]["staging"]["value"] = v["secrets"]["prod"]["value"].clone());
    fs::write(place.path(), &text).unwrap();
    place.open().unwrap();
}

#[test]
fn the_wrong_key_in_every_form() {
    let place = Place::new();
    let mut vault = place.create();
    vault.put("shop", PLANTED, at(1)).unwrap();
    let refused = |key: &KeySource| {
        let error = Vault::open(&place.path(), key).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("planted-pass"));
    };
    refused(&passphrase("planted-pass"));
    for bytes in [vec![1; 32], vec![1; 31], vec![1; 33], Vec::new()] {
        let other = place.0.path().join("other");
        fs::write(&other, bytes).unwrap();
        refused(&KeySource::KeyFile(other));
    }
    refused(&KeySource::KeyFile(place.0.path().join("absent")));
    // An existing vault is never replaced, and opening makes none.
    assert!(matches!(Vault::create(&place.path(), &place.key()), Err(VaultError::Exists)));
    fs::remove_file(place.path()).unwrap();
    assert!(matches!(place.open(), Err(VaultError::Io(_))));
    assert!(!place.path().exists());
}

#[test]
fn the_file_cannot_ask_for_endless_work() {
    let place = Place::new();
    let head = r#"{"v":1,"source":{"type":"argon2id","salt":"00112233445566778899aabbccddeeff","#;
    for cost in [
        r#""memory_kib":4294967295,"passes":1,"lanes":1"#,
        r#""memory_kib":64,"passes":4294967295,"lanes":1"#,
        r#""memory_kib":64,"passes":1,"lanes":4294967295"#,
        r#""memory_kib":0,"passes":1,"lanes":1"#,
    ] {
        fs::write(place.path(), format!(r#"{head}{cost}}},"check":"00","secrets":{{}}}}"#)).unwrap();
        assert!(matches!(Vault::open(&place.path(), &passphrase("x")), Err(VaultError::DoesNotOpen)), "{cost}");
    }
}
