use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use artifact::Timestamp;
use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Credential;
use crate::credential::CREDENTIAL_MAX;
use crate::seal::{Key, open, random_key, seal};
use crate::source;

/// Largest vault file in bytes.
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// Longest name of a secret, in bytes.
const NAME_MAX: usize = 100;
/// Most secrets in one vault.
const SECRETS_MAX: usize = 1000;
/// Argon2id memory in KiB, passes, lanes (RFC 9106 section 4, second recommended option).
const ARGON2: (u32, u32, u32) = (64 * 1024, 3, 4);

/// Where the master key comes from.
pub enum KeySource {
    /// A passphrase that a person types.
    Passphrase(Zeroizing<Vec<u8>>),
    /// A file of 32 random bytes; whoever can read it can open the vault.
    KeyFile(PathBuf),
}

impl KeySource {
    /// A passphrase that a person typed.
    pub fn passphrase(bytes: Vec<u8>) -> Self {
        Self::Passphrase(Zeroizing::new(bytes))
    }
}

/// What protects the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assurance {
    /// A passphrase through Argon2id.
    Passphrase,
    /// A key file beside it.
    KeyFile,
}

/// Why the vault did not open, or did not store.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file cannot be read or written.
    #[error("the vault file cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It exists already.
    #[error("there is a vault already; it is never overwritten")]
    Exists,
    /// The passphrase or key file is wrong, or the file was changed.
    #[error("the vault does not open: the passphrase or key is wrong, or the file was changed")]
    DoesNotOpen,
    /// A limit.
    #[error("the secret is empty or larger than 64 KiB, its name is not usable, or the vault is full")]
    Limit,
    /// Cryptography failed.
    #[error("the system's cryptography failed")]
    Crypto,
}

/// A credential, or where it is to be fetched.
pub enum Found {
    /// From the vault.
    Here(Credential),
    /// From elsewhere, at the moment it is used. To be fetched without a lock on the vault.
    At(source::Source),
}

/// What may be known about a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretInfo {
    /// Name.
    pub name: String,
    /// Version, from 1.
    pub version: u32,
    /// When this version was stored.
    pub stored_at: Timestamp,
    /// True if the vault holds only where it is.
    pub refers: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    v: u8,
    source: Source,
    /// The master key's proof: a known text sealed with it.
    check: String,
    secrets: BTreeMap<String, Secret>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Source {
    Argon2id { salt: String, memory_kib: u32, passes: u32, lanes: u32 },
    KeyFile {},
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    version: u32,
    stored_at: Timestamp,
    /// The data key, sealed with the master key.
    key: String,
    /// The value, sealed with the data key.
    value: String,
    /// The value says where the credential is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    refers: bool,
}

/// An open vault.
pub struct Vault {
    path: PathBuf,
    master: Key,
    disk: OnDisk,
}

/// Names of the guard's own keys start like this.
const OWN: &str = "guard/";
/// Secrets that are to replace another start like this; they are the guard's own too.
const NEXT: &str = "guard/next/";

const CHECK: &[u8] = b"wetink vault v1";

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn unhex(text: &str) -> Result<Vec<u8>, VaultError> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(VaultError::DoesNotOpen),
    };
    if !text.len().is_multiple_of(2) {
        return Err(VaultError::DoesNotOpen);
    }
    text.as_bytes().chunks_exact(2).map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

fn master_key(source: &Source, key: &KeySource) -> Result<Key, VaultError> {
    match (source, key) {
        (Source::Argon2id { salt, memory_kib, passes, lanes }, KeySource::Passphrase(passphrase)) => {
            // The file is not believed: parameters beyond these would only make us work for an attacker.
            if *memory_kib > 1024 * 1024 || *passes > 16 || *lanes > 16 {
                return Err(VaultError::DoesNotOpen);
            }
            let params = Params::new(*memory_kib, *passes, *lanes, Some(32)).map_err(|_| VaultError::DoesNotOpen)?;
            let mut key = Zeroizing::new([0; 32]);
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_into(passphrase, &unhex(salt)?, &mut key[..]).map_err(|_| VaultError::DoesNotOpen)?;
            Ok(key)
        }
        (Source::KeyFile {}, KeySource::KeyFile(path)) => {
            let mut bytes = Zeroizing::new(Vec::with_capacity(33));
            File::open(path)?.take(33).read_to_end(&mut bytes)?;
            let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| VaultError::DoesNotOpen)?;
            Ok(Zeroizing::new(key))
        }
        _ => Err(VaultError::DoesNotOpen),
    }
}

impl Vault {
    /// Makes a new vault. A key file that does not exist is made.
    pub fn create(path: &Path, key: &KeySource) -> Result<Self, VaultError> {
        if path.exists() {
            return Err(VaultError::Exists);
        }
        let source = match key {
            KeySource::Passphrase(_) => {
                let mut salt = [0; 16];
                rand::fill(&mut salt).map_err(|_| VaultError::Crypto)?;
                Source::Argon2id { salt: hex(&salt), memory_kib: ARGON2.0, passes: ARGON2.1, lanes: ARGON2.2 }
            }
            KeySource::KeyFile(file) => {
                if !file.exists() {
                    let fresh = random_key().ok_or(VaultError::Crypto)?;
                    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
                    made.write_all(&fresh[..])?;
                    made.sync_all()?;
                }
                Source::KeyFile {}
            }
        };
        let master = master_key(&source, key)?;
        let check = hex(&seal(&master, b"check", CHECK).ok_or(VaultError::Crypto)?);
        let vault =
            Self { path: path.to_owned(), master, disk: OnDisk { v: 1, source, check, secrets: BTreeMap::new() } };
        vault.save()?;
        Ok(vault)
    }

    /// Opens an existing vault.
    pub fn open(path: &Path, key: &KeySource) -> Result<Self, VaultError> {
        let mut bytes = Vec::new();
        File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
        let disk: OnDisk = serde_json::from_slice(&bytes).map_err(|_| VaultError::DoesNotOpen)?;
        // One vault has one spelling, so that no changed byte goes unnoticed.
        if disk.v != 1 || serde_json::to_vec(&disk).ok().as_deref() != Some(&bytes) {
            return Err(VaultError::DoesNotOpen);
        }
        let master = master_key(&disk.source, key)?;
        let check = open(&master, b"check", &unhex(&disk.check)?).ok_or(VaultError::DoesNotOpen)?;
        if check.as_slice() != CHECK {
            return Err(VaultError::DoesNotOpen);
        }
        let vault = Self { path: path.to_owned(), master, disk };
        // A vault of which a part was changed is not used at all.
        for name in vault.disk.secrets.keys() {
            vault.value(name)?.ok_or(VaultError::DoesNotOpen)?;
        }
        Ok(vault)
    }

    /// What protects it.
    pub fn assurance(&self) -> Assurance {
        match self.disk.source {
            Source::Argon2id { .. } => Assurance::Passphrase,
            Source::KeyFile {} => Assurance::KeyFile,
        }
    }

    /// Stores a secret, durable on return. An existing one of that name gets a new version.
    pub fn put(&mut self, name: &str, value: &[u8], now: Timestamp) -> Result<SecretInfo, VaultError> {
        // INVARIANT (I4): the guard's own keys cannot be replaced under a target's name, nor handed to an executor.
        if name.starts_with(OWN) || name.len() > NAME_MAX {
            return Err(VaultError::Limit);
        }
        self.store(name, value, false, now)
    }

    /// Stores where a secret is, durable on return. What was stored under that name is gone.
    pub fn refer(&mut self, name: &str, to: &source::Source, now: Timestamp) -> Result<SecretInfo, VaultError> {
        if name.starts_with(OWN) || name.len() > NAME_MAX {
            return Err(VaultError::Limit);
        }
        let value = serde_json::to_vec(to).map_err(|_| VaultError::Crypto)?;
        self.store(name, &value, true, now)
    }

    fn store(&mut self, name: &str, value: &[u8], refers: bool, now: Timestamp) -> Result<SecretInfo, VaultError> {
        let name_ok = !name.is_empty()
            && name.len() <= NEXT.len() + NAME_MAX
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        let old = self.disk.secrets.get(name).cloned();
        if !name_ok
            || value.is_empty()
            || value.len() > CREDENTIAL_MAX
            || (old.is_none() && self.disk.secrets.len() >= SECRETS_MAX)
        {
            return Err(VaultError::Limit);
        }
        let version = old.as_ref().map_or(0, |s| s.version) + 1;
        let about = about(name, version, now, refers);
        let data_key = random_key().ok_or(VaultError::Crypto)?;
        let key = seal(&self.master, &about, &data_key[..]).ok_or(VaultError::Crypto)?;
        let value = seal(&data_key, &about, value).ok_or(VaultError::Crypto)?;
        let secret = Secret { version, stored_at: now, key: hex(&key), value: hex(&value), refers };
        self.disk.secrets.insert(name.to_owned(), secret);
        if let Err(error) = self.save() {
            // What could not be stored is not used either.
            match old {
                Some(old) => self.disk.secrets.insert(name.to_owned(), old),
                None => self.disk.secrets.remove(name),
            };
            return Err(error);
        }
        Ok(SecretInfo { name: name.to_owned(), version, stored_at: now, refers })
    }

    /// What is to replace a secret: made at random, durable on return, and the same until it is [`promote`](Self::promote)d.
    pub fn successor(&mut self, name: &str, now: Timestamp) -> Result<Credential, VaultError> {
        let next = format!("{NEXT}{name}");
        if !self.disk.secrets.contains_key(&next) {
            let fresh = random_key().ok_or(VaultError::Crypto)?;
            self.store(&next, hex(&fresh[..]).as_bytes(), false, now)?;
        }
        self.value(&next)?.map(Credential::new).ok_or(VaultError::Crypto)
    }

    /// The successor takes the secret's place, durable on return.
    pub fn promote(&mut self, name: &str, now: Timestamp) -> Result<SecretInfo, VaultError> {
        let next = format!("{NEXT}{name}");
        let value = self.value(&next)?.ok_or(VaultError::Limit)?;
        let info = self.store(name, &value, false, now)?;
        // If we crash before this, it is promoted once more, which changes nothing.
        self.disk.secrets.remove(&next);
        self.save()?;
        Ok(info)
    }

    /// The credential of that name, or where it is.
    pub fn credential(&self, name: &str) -> Result<Option<Found>, VaultError> {
        if name.starts_with(OWN) {
            return Ok(None);
        }
        let refers = self.disk.secrets.get(name).is_some_and(|secret| secret.refers);
        let Some(value) = self.value(name)? else { return Ok(None) };
        if !refers {
            return Ok(Some(Found::Here(Credential::new(value))));
        }
        let at = serde_json::from_slice(&value).map_err(|_| VaultError::DoesNotOpen)?;
        Ok(Some(Found::At(at)))
    }

    /// A key of the guard's own, exactly 32 bytes, made on first use. Not for credentials.
    pub fn own_key(&mut self, name: &str, now: Timestamp) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let name = format!("{OWN}{name}");
        if !self.disk.secrets.contains_key(&name) {
            let fresh = random_key().ok_or(VaultError::Crypto)?;
            self.store(&name, &fresh[..], false, now)?;
        }
        let bytes = self.value(&name)?.ok_or(VaultError::DoesNotOpen)?;
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| VaultError::DoesNotOpen)?;
        Ok(Zeroizing::new(key))
    }

    /// Names and ages, without the guard's own keys.
    pub fn list(&self) -> Vec<SecretInfo> {
        let of_targets = self.disk.secrets.iter().filter(|(name, _)| !name.starts_with(OWN));
        of_targets
            .map(|(name, s)| SecretInfo {
                name: name.clone(),
                version: s.version,
                stored_at: s.stored_at,
                refers: s.refers,
            })
            .collect()
    }

    fn value(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let Some(secret) = self.disk.secrets.get(name) else { return Ok(None) };
        let about = about(name, secret.version, secret.stored_at, secret.refers);
        let key = open(&self.master, &about, &unhex(&secret.key)?).ok_or(VaultError::DoesNotOpen)?;
        let key: [u8; 32] = key.as_slice().try_into().map_err(|_| VaultError::DoesNotOpen)?;
        let value = open(&Zeroizing::new(key), &about, &unhex(&secret.value)?).ok_or(VaultError::DoesNotOpen)?;
        Ok(Some(value))
    }

    /// Writes beside, syncs, renames, syncs the folder. A crash leaves the old file or the new one.
    fn save(&self) -> Result<(), VaultError> {
        let bytes = serde_json::to_vec(&self.disk).map_err(|_| VaultError::Crypto)?;
        // What opening would refuse to read is not written either.
        if bytes.len() as u64 >= FILE_MAX {
            return Err(VaultError::Limit);
        }
        let beside = self.path.with_extension("new");
        // A file left there would keep its own mode, a link its own place.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// What is bound to a value: one that says where a credential is never passes for the credential.
fn about(name: &str, version: u32, at: Timestamp, refers: bool) -> Vec<u8> {
    format!("{name}\n{version}\n{at}{}", if refers { "\nrefers" } else { "" }).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> KeySource {
        KeySource::Passphrase(Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn written(credential: &Credential) -> Vec<u8> {
        let mut out = Vec::new();
        credential.write_to(&mut out).unwrap();
        out
    }

    #[test]
    fn a_reference_never_passes_for_a_credential() {
        let folder = folder();
        let path = folder.path().join("vault");
        let mut vault = Vault::create(&path, &passphrase("correct horse")).unwrap();
        let at = source::Source::Variable { name: "TOKEN".into() };
        assert!(vault.refer("shop", &at, Timestamp::from_millis(1)).unwrap().refers);
        assert!(matches!(vault.credential("shop").unwrap(), Some(Found::At(found)) if found == at));
        assert!(vault.refer("guard/log", &at, Timestamp::from_millis(1)).is_err());
        // A value that reads like a source is a value; a flag that was turned around closes the vault.
        vault.put("text", br#"{"from":"variable","name":"TOKEN"}"#, Timestamp::from_millis(2)).unwrap();
        assert!(matches!(vault.credential("text").unwrap(), Some(Found::Here(_))));
        drop(vault);
        let text = fs::read_to_string(&path).unwrap();
        for changed in [text.replace(",\"refers\":true", ""), text.replacen("\"}", "\",\"refers\":true}", 2)] {
            assert_ne!(changed, text);
            fs::write(&path, changed).unwrap();
            assert!(Vault::open(&path, &passphrase("correct horse")).is_err());
        }
    }

    #[test]
    fn stores_and_gives_back_onto_a_pipe_only() {
        let folder = folder();
        let path = folder.path().join("vault");
        let mut vault = Vault::create(&path, &passphrase("correct horse")).unwrap();
        vault.put("shop", b"planted-4711", Timestamp::from_millis(1)).unwrap();
        vault.put("shop", b"planted-4712", Timestamp::from_millis(2)).unwrap();
        let own = vault.own_key("log", Timestamp::from_millis(3)).unwrap();
        drop(vault);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("planted") && !text.contains(&hex(b"planted")));
        let mut vault = Vault::open(&path, &passphrase("correct horse")).unwrap();
        let Some(Found::Here(shop)) = vault.credential("shop").unwrap() else { panic!("it is not here") };
        assert_eq!(written(&shop), b"\0\0\0\x0cplanted-4712");
        assert_eq!(vault.list()[0].version, 2);
        assert_eq!(vault.list().len(), 1);
        assert_eq!(*vault.own_key("log", Timestamp::from_millis(9)).unwrap(), *own);
        assert!(vault.credential("other").unwrap().is_none());
        assert!(matches!(Vault::open(&path, &passphrase("wrong")), Err(VaultError::DoesNotOpen)));
        assert!(matches!(Vault::create(&path, &passphrase("x")), Err(VaultError::Exists)));
    }

    #[test]
    fn a_changed_byte_anywhere_closes_the_whole_vault() {
        let folder = folder();
        let (path, key) = (folder.path().join("vault"), KeySource::KeyFile(folder.path().join("key")));
        let mut vault = Vault::create(&path, &key).unwrap();
        vault.put("shop", b"planted-4711", Timestamp::from_millis(1)).unwrap();
        assert_eq!(vault.assurance(), Assurance::KeyFile);
        let good = fs::read(&path).unwrap();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1;
            fs::write(&path, &bad).unwrap();
            let error = Vault::open(&path, &key).err().map(|e| format!("{e} {e:?}"));
            assert!(error.is_some_and(|e| !e.contains("planted")), "byte {i}");
        }
    }

    #[test]
    fn limits() {
        let folder = folder();
        let mut vault =
            Vault::create(&folder.path().join("vault"), &KeySource::KeyFile(folder.path().join("key"))).unwrap();
        let now = Timestamp::from_millis(1);
        for name in ["", "a b", "ü", &"x".repeat(101)] {
            assert!(matches!(vault.put(name, b"v", now), Err(VaultError::Limit)), "{name}");
        }
        assert!(vault.put("a", b"", now).is_err());
        assert!(vault.put("a", &vec![0; CREDENTIAL_MAX + 1], now).is_err());
        assert!(vault.put("a", &vec![0; CREDENTIAL_MAX], now).is_ok());
    }

    #[test]
    fn a_vault_too_large_to_open_is_not_written() {
        let folder = folder();
        let (path, key) = (folder.path().join("vault"), KeySource::KeyFile(folder.path().join("key")));
        let mut vault = Vault::create(&path, &key).unwrap();
        let now = Timestamp::from_millis(1);
        let filler = "0".repeat(usize::try_from(FILE_MAX).unwrap());
        let secret = Secret { version: 1, stored_at: now, key: String::new(), value: filler, refers: false };
        vault.disk.secrets.insert("filler".into(), secret);
        assert!(matches!(vault.put("shop", b"planted-4711", now), Err(VaultError::Limit)));
        assert!(vault.credential("shop").unwrap().is_none());
        assert!(Vault::open(&path, &key).unwrap().list().is_empty());
    }
}
