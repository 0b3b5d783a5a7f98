use std::io::{self, Read, Write};

use zeroize::Zeroizing;

/// Largest credential in bytes.
pub(crate) const CREDENTIAL_MAX: usize = 64 * 1024;

/// A credential. It can be used and not read.
///
/// INVARIANT (I4): no Clone, Copy, Debug, Display, Serialize, Deserialize or Default; the bytes are wiped when it is
/// dropped. It leaves by [`write_to`](Self::write_to) only; call sites of that are on an allow-list (`cargo xtask tidy`).
pub struct Credential(Zeroizing<Vec<u8>>);

impl Credential {
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Takes a credential from a child that fetched it: the same frame as [`write_to`](Self::write_to) makes. Empty or too large is an
    /// error.
    pub fn read_from(pipe: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        pipe.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > CREDENTIAL_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        pipe.read_exact(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Both in one, for a child that replaces the first by the second: four bytes of big-endian length of the first, then both.
    pub fn followed_by(&self, next: &Self) -> io::Result<Self> {
        let length = u32::try_from(self.0.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(Self(Zeroizing::new([&length.to_be_bytes()[..], &self.0, &next.0].concat())))
    }

    /// Writes the frame an executor reads: four bytes of big-endian length, then the bytes.
    pub fn write_to(&self, pipe: &mut impl Write) -> io::Result<()> {
        let length = u32::try_from(self.0.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        pipe.write_all(&length.to_be_bytes())?;
        pipe.write_all(&self.0)
    }
}
