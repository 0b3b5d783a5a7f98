//! Checkpoints as signed notes (C2SP signed-note v1, C2SP tlog-checkpoint v1), Ed25519 (RFC 8032).

use std::fmt;
use std::str::FromStr;

use artifact::{Digest, Hasher};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;
use crate::tree::MAX_SIZE;

/// Largest note in bytes.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;
/// Most signature lines in a note; the standard demands at least 16.
pub const MAX_SIGNATURES: usize = 32;
/// Longest key name and origin in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// Signature type byte of Ed25519 over the note's text (C2SP signed-note, "Signature types").
const ED25519_TYPE: u8 = 1;

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(Error::Note("a key name has 1 to 200 bytes"));
    }
    // INVARIANT: names stand between spaces and plus signs, so they hold neither; and nothing that hides (CVE-2021-42574).
    if name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+' || artifact::has_hidden(c)) {
        return Err(Error::Note(
            "a key name has no spaces, plus signs or hidden characters; use a form like `example.com/log`",
        ));
    }
    Ok(())
}

fn key_id(name: &str, kind: u8, public: &[u8]) -> [u8; 4] {
    let mut hasher = Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(&[b'\n', kind]);
    hasher.update(public);
    let hash = hasher.finish();
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

/// The public key that checkpoints are checked with. Written `name+hexid+base64(0x01 || public key)`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl VerifierKey {
    /// Names a public key.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, Error> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), id: key_id(name, ED25519_TYPE, &public), public })
    }

    /// The public half of a signing key.
    pub fn of(name: &str, key: &Ed25519KeyPair) -> Result<Self, Error> {
        let public =
            key.public_key().as_ref().try_into().map_err(|_| Error::Note("an Ed25519 public key has 32 bytes"))?;
        Self::new(name, public)
    }

    /// The key's name, which is also the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First four bytes of SHA-256 of name, line feed, `0x01`, public key.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        const FORM: Error = Error::Note("not a verifier key; expected `name+8 hex digits+base64`");
        // The base64 may hold plus signs, the name may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(FORM) };
        let key = STANDARD.decode(key).map_err(|_| FORM)?;
        let (Some((&ED25519_TYPE, public)), true) = (key.split_first(), key.len() == 33) else {
            return Err(Error::Note("the verifier key is not an Ed25519 key (type 1)"));
        };
        let parsed = Self::new(name, public.try_into().map_err(|_| FORM)?)?;
        // One key has one spelling; this also compares the id.
        if parsed.to_string() == text { Ok(parsed) } else { Err(FORM) }
    }
}

/// One signature line, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub id: [u8; 4],
    /// The signature's bytes.
    pub bytes: Vec<u8>,
}

/// A text and signature lines, well-formed and not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    /// The signed text, with its last line feed.
    pub text: String,
    /// One for each signature line, in order.
    pub signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Reads a note. What is accepted is spelled back byte for byte by the same lines.
    pub fn parse(note: &[u8]) -> Result<Self, Error> {
        const FORM: Error = Error::Note("not a signed note; expected a text, an empty line and signature lines");
        if note.len() > MAX_NOTE_BYTES {
            return Err(Error::Note("the note is longer than 65536 bytes"));
        }
        let note = std::str::from_utf8(note).map_err(|_| Error::Note("the note is not UTF-8"))?;
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(Error::Note("the note holds a control character"));
        }
        let at = note.rfind("\n\n").ok_or(FORM)?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(FORM)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == MAX_SIGNATURES {
                return Err(Error::Note("the note has more than 32 signatures"));
            }
            let (name, encoded) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(FORM)?;
            check_name(name)?;
            // Strict: no other padding or trailing bits, so a line has one spelling.
            let decoded = STANDARD.decode(encoded).map_err(|_| FORM)?;
            let (id, bytes) = decoded.split_first_chunk::<4>().ok_or(FORM)?;
            if bytes.is_empty() {
                return Err(FORM);
            }
            signatures.push(NoteSignature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() });
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Whether `key` signed the text. Lines of other keys are passed over; one wrong line of `key` refuses the note.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), Error> {
        let mut ours = self.signatures.iter().filter(|line| line.name == key.name && line.id == key.id);
        let signature = ours.next().ok_or_else(|| Error::Unsigned(key.name.clone()))?;
        if ours.next().is_some() {
            return Err(Error::Note("the note is signed twice by the same key"));
        }
        UnparsedPublicKey::new(&ED25519, &key.public)
            .verify(self.text.as_bytes(), &signature.bytes)
            .map_err(|_| Error::BadSignature(key.name.clone()))
    }
}

/// The head of a log at one size (I7: the ledger replaces one only by a larger, consistent one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Entries covered.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The three lines that are signed.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }

    /// Reads the three lines. Extension lines are refused: nobody could audit them.
    pub fn parse_body(text: &str) -> Result<Self, Error> {
        const FORM: Error = Error::Note("not a checkpoint; expected the lines origin, size and base64 root");
        let lines = text.strip_suffix('\n').ok_or(FORM)?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(FORM);
        };
        check_name(origin)?;
        let size: u64 = size.parse().map_err(|_| FORM)?;
        let root: [u8; 32] = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(FORM)?;
        let parsed = Self { origin: origin.to_owned(), size, root: Digest::from_bytes(root) };
        // Leading zeros and plus signs end here.
        if size <= MAX_SIZE && parsed.body() == text { Ok(parsed) } else { Err(FORM) }
    }

    /// The signed note. `name` is the key's name and must be the origin, so that one key speaks for one log.
    ///
    /// The caller makes sure that it never signs two checkpoints of which neither continues the other.
    pub fn sign(&self, key: &Ed25519KeyPair, name: &str) -> Result<String, Error> {
        check_name(name)?;
        if name != self.origin {
            return Err(Error::Note("the key's name is not the log's origin"));
        }
        let body = self.body();
        Self::parse_body(&body)?;
        let mut line = VerifierKey::of(name, key)?.id.to_vec();
        line.extend_from_slice(key.sign(body.as_bytes()).as_ref());
        Ok(format!("{body}\n— {name} {}\n", STANDARD.encode(line)))
    }

    /// The checkpoint in `note`, if `key` signed it and names the same log.
    pub fn verify(note: &[u8], key: &VerifierKey) -> Result<Self, Error> {
        let note = SignedNote::parse(note)?;
        note.verify(key)?;
        let checkpoint = Self::parse_body(&note.text)?;
        if checkpoint.origin == key.name {
            Ok(checkpoint)
        } else {
            Err(Error::Note("the checkpoint is of another log than the key"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "example.com/log".into(), size: 3, root: Digest::of(b"root") }
    }

    #[test]
    fn example_key_and_note_of_the_standard() {
        // C2SP tlog-checkpoint's own example is well-formed; its key is not public, so only the form is checked.
        let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let parsed = SignedNote::parse(note.as_bytes()).unwrap();
        assert_eq!(Checkpoint::parse_body(&parsed.text).unwrap().size, 20_852_163);
        assert_eq!(parsed.signatures[0].id, [3, 0x3d, 0xe0, 0xae]);
        // golang.org/x/mod/sumdb: the checksum database's published key; its id is computed the same way.
        let sum: VerifierKey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse().unwrap();
        assert_eq!(sum.id(), [3, 0x3d, 0xe0, 0xae]);
    }

    #[test]
    fn sign_and_verify() {
        let verifier = VerifierKey::of("example.com/log", &key()).unwrap();
        assert_eq!(verifier.to_string().parse::<VerifierKey>().unwrap(), verifier);
        let note = checkpoint().sign(&key(), "example.com/log").unwrap();
        assert_eq!(Checkpoint::verify(note.as_bytes(), &verifier).unwrap(), checkpoint());
        assert!(checkpoint().sign(&key(), "example.com/other").is_err());
        let mut odd = checkpoint();
        odd.origin = "a b".into();
        assert!(odd.sign(&key(), "a b").is_err());

        // Another key's line is passed over, well-formed or refused.
        let cosigned = format!("{note}— witness.example {}\n", STANDARD.encode([1; 76]));
        assert_eq!(Checkpoint::verify(cosigned.as_bytes(), &verifier).unwrap(), checkpoint());
        let (body, line) = note.split_once("\n\n").unwrap();
        for bad in [
            format!("{note}\n"),
            format!("{note}x"),
            note.trim_end().to_owned(),
            format!("{note}— witness.example !\n"),
            format!("{note}— witness.example AAAA\n"),
            format!("{note}- witness.example {}\n", STANDARD.encode([1; 76])),
            format!("{note}{line}"),
            format!("{body}\nextension\n\n{line}"),
            format!("{body}\n\n\n{line}"),
            format!("{body}\n{line}"),
            note.replace("\n3\n", "\n03\n"),
            note.replace("\n3\n", "\n+3\n"),
            note.replace("\n3\n", "\n4\n"),
            note.replace('\n', "\r\n"),
            note.replace("— example.com/log ", "— example.com/log  "),
            note.replace("— example.com/log ", "— example.com/lug "),
            note.replace("example.com/log\n", "example.com/lug\n"),
            String::new(),
        ] {
            assert!(Checkpoint::verify(bad.as_bytes(), &verifier).is_err(), "{bad}");
        }
        let many = format!("{note}{}", format!("— w {}\n", STANDARD.encode([1; 76])).repeat(MAX_SIGNATURES));
        assert!(SignedNote::parse(many.as_bytes()).is_err());
        let other =
            VerifierKey::of("example.com/log", &Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap()).unwrap();
        assert!(matches!(Checkpoint::verify(note.as_bytes(), &other), Err(Error::Unsigned(_))));
    }

    #[test]
    fn keys_have_one_spelling() {
        let text = VerifierKey::of("example.com/log", &key()).unwrap().to_string();
        let (start, id_and_key) = text.split_once('+').unwrap();
        let (id, encoded) = id_and_key.split_once('+').unwrap();
        for bad in [
            format!("{start}+{}+{encoded}", id.to_uppercase() + "0"),
            format!("{start}+00000000+{encoded}"),
            format!("other+{id}+{encoded}"),
            format!("{start}+{id}+{}", STANDARD.encode([4; 33])),
            format!("{start}+{id}+{}", STANDARD.encode([1; 32])),
            format!("{start}+{id}+{encoded}="),
            format!(" {text}"),
            format!("{text}\n"),
            String::new(),
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
    }
}
