use crate::{Digest, Kind};

/// Largest artifact accepted anywhere, in bytes (1 MiB).
pub const MAX_ARTIFACT_BYTES: usize = 1024 * 1024;

/// The exact bytes an agent proposes, their kind and their SHA-256.
///
/// INVARIANT (I1): `digest` is the SHA-256 of `bytes`. The only constructor computes it, and nothing changes either
/// after that. It is deliberately not `Deserialize`: whoever receives bytes makes the artifact anew and so re-hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    kind: Kind,
    bytes: Vec<u8>,
    digest: Digest,
}

/// Why bytes are not an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// Nothing was handed in.
    #[error("the artifact is empty; hand in the statement to run")]
    Empty,
    /// Longer than [`MAX_ARTIFACT_BYTES`].
    #[error("the artifact has {0} bytes, the limit is 1048576; split it into smaller proposals")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("the artifact is not UTF-8 at byte {0}; send it as UTF-8 text")]
    NotUtf8(usize),
    /// Contains U+0000, which targets read differently from each other.
    #[error("the artifact holds a NUL character at byte {0}; remove it")]
    Nul(usize),
}

impl Artifact {
    /// Takes the bytes as they are. Nothing is trimmed, normalized or cleaned.
    pub fn new(kind: Kind, bytes: Vec<u8>) -> Result<Self, ArtifactError> {
        if bytes.is_empty() {
            return Err(ArtifactError::Empty);
        }
        if bytes.len() > MAX_ARTIFACT_BYTES {
            return Err(ArtifactError::TooLarge(bytes.len()));
        }
        if let Err(error) = std::str::from_utf8(&bytes) {
            return Err(ArtifactError::NotUtf8(error.valid_up_to()));
        }
        if let Some(at) = bytes.iter().position(|&b| b == 0) {
            return Err(ArtifactError::Nul(at));
        }
        let digest = Digest::of(&bytes);
        Ok(Self { kind, bytes, digest })
    }

    /// The kind, which fixes how the bytes are read.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes as text. They are UTF-8 by construction.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_agrees_with_bytes() {
        let artifact = Artifact::new(Kind::SqlSqlite, b"select 1".to_vec()).unwrap();
        assert_eq!(artifact.digest(), Digest::of(b"select 1"));
        assert_eq!(artifact.text(), "select 1");
    }

    #[test]
    fn refuses_what_cannot_be_reviewed() {
        let make = |b: &[u8]| Artifact::new(Kind::SqlSqlite, b.to_vec()).unwrap_err();
        assert_eq!(make(b""), ArtifactError::Empty);
        assert_eq!(make(b"a\xff"), ArtifactError::NotUtf8(1));
        assert_eq!(make(b"ab\0"), ArtifactError::Nul(2));
        assert_eq!(make(&vec![b'x'; MAX_ARTIFACT_BYTES + 1]), ArtifactError::TooLarge(MAX_ARTIFACT_BYTES + 1));
        assert!(Artifact::new(Kind::SqlSqlite, vec![b'x'; MAX_ARTIFACT_BYTES]).is_ok());
    }
}
