//! Length-prefixed JSON: four bytes of big-endian length, then that many bytes of JSON.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest frame between guard and desk, in bytes. An artifact of 1 MiB may double when escaped, and a result is bounded below this.
pub const MAX_SOCKET_FRAME: usize = 16 * 1024 * 1024;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side closed before a frame began.
    #[error("the connection is closed")]
    Closed,
    /// More bytes announced than allowed.
    #[error("a frame of {length} bytes was announced, the limit is {limit}")]
    TooLarge {
        /// Announced length in bytes.
        length: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// The bytes are not the expected JSON.
    #[error("malformed frame: {0}")]
    Malformed(#[source] serde_json::Error),
    /// The connection failed.
    #[error("connection failed")]
    Io(#[from] io::Error),
}

/// Writes one frame and flushes it.
pub fn write<T: Serialize>(to: &mut impl Write, value: &T, limit: usize) -> Result<(), FrameError> {
    to.write_all(&encode(value, limit)?)?;
    to.flush()?;
    Ok(())
}

/// The bytes of one frame, prefix included.
pub fn encode<T: Serialize>(value: &T, limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value).map_err(FrameError::Malformed)?;
    let length = bytes.len() - 4;
    let prefix = u32::try_from(length).ok().filter(|_| length <= limit);
    let prefix = prefix.ok_or(FrameError::TooLarge { length, limit })?;
    bytes[..4].copy_from_slice(&prefix.to_be_bytes());
    Ok(bytes)
}

/// Reads one frame. Nothing is allocated beyond what arrives.
pub fn read<T: DeserializeOwned>(from: &mut impl Read, limit: usize) -> Result<T, FrameError> {
    decode(&read_bytes(from, limit)?)
}

/// Decodes the body of one frame.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(FrameError::Malformed)
}

/// Reads the body of one frame.
pub fn read_bytes(from: &mut impl Read, limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut prefix = [0; 4];
    let first = from.read(&mut prefix)?;
    if first == 0 {
        return Err(FrameError::Closed);
    }
    from.read_exact(&mut prefix[first..])?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > limit {
        return Err(FrameError::TooLarge { length, limit });
    }
    // The announced length is a stranger's word until the bytes are there.
    let mut body = Vec::with_capacity(length.min(64 * 1024));
    from.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length { Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into())) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_limits_and_truncation() {
        let mut bytes = Vec::new();
        write(&mut bytes, &vec![1, 2, 3], 100).unwrap();
        assert_eq!(read::<Vec<u8>>(&mut bytes.as_slice(), 100).unwrap(), [1, 2, 3]);
        assert!(matches!(read::<Vec<u8>>(&mut bytes.as_slice(), 3), Err(FrameError::TooLarge { .. })));
        assert!(matches!(read::<Vec<u8>>(&mut &bytes[..6], 100), Err(FrameError::Io(_))));
        assert!(matches!(read::<Vec<u8>>(&mut &bytes[..0], 100), Err(FrameError::Closed)));
        assert!(matches!(read::<String>(&mut bytes.as_slice(), 100), Err(FrameError::Malformed(_))));
        assert!(write(&mut Vec::new(), &"x".repeat(100), 10).is_err());
        assert!(matches!(read_bytes(&mut &[0xff; 8][..], 100), Err(FrameError::TooLarge { .. })));
    }
}
