use approve::PublicKey;
use artifact::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest file, in bytes.
const FILE_MAX: usize = 256 * 1024;

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {0}: expected `gateway sha256:... ssh-ed25519 ...` or `person NAME; KEY`, as `wetink key receipts` prints it"
)]
pub struct ProviderError(pub(crate) usize);

/// What a provider knows: where it is, and whom it trusts.
#[derive(Clone, Debug)]
pub struct Provider {
    pub(crate) origin: String,
    pub(crate) gateways: Vec<(Digest, [u8; 32])>,
    pub(crate) people: Vec<(String, PublicKey)>,
    pub(crate) least: usize,
}

impl Provider {
    /// For a service that its callers reach at `origin` (`https://api.bank.example`), by a file of gateways and people as `wetink key receipts`
    /// prints it. Lines that begin with `#` are remarks.
    pub fn read(origin: &str, file: &str) -> Result<Self, ProviderError> {
        let (mut gateways, mut people) = (Vec::new(), Vec::new());
        if file.len() > FILE_MAX {
            return Err(ProviderError(0));
        }
        for (at, line) in file.lines().enumerate() {
            let wrong = || ProviderError(at + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(' ').ok_or_else(wrong)? {
                ("gateway", rest) => {
                    let (fingerprint, key) = rest.split_once(' ').ok_or_else(wrong)?;
                    gateways.push((fingerprint.parse().map_err(|_| wrong())?, raw(key).ok_or_else(wrong)?));
                }
                ("person", rest) => {
                    let (name, key) = rest.split_once("; ").ok_or_else(wrong)?;
                    people.push((name.to_owned(), PublicKey::parse(key).map_err(|_| wrong())?));
                }
                _ => return Err(wrong()),
            }
        }
        Ok(Self { origin: origin.trim_end_matches('/').to_owned(), gateways, people, least: 1 })
    }

    /// So many different people have to have signed, whatever the gateway asked for.
    #[must_use]
    pub fn at_least(mut self, people: usize) -> Self {
        self.least = people.max(1);
        self
    }
}

/// The 32 bytes of an OpenSSH Ed25519 key (RFC 8709, section 4).
fn raw(line: &str) -> Option<[u8; 32]> {
    PublicKey::parse(line).ok()?;
    let blob = STANDARD.decode(line.strip_prefix("ssh-ed25519 ")?).ok()?;
    blob.get(blob.len().checked_sub(32)?..)?.try_into().ok()
}
