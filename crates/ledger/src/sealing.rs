use artifact::Digest;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};

use crate::LedgerError;

/// Seals contents under the guard's key. What is sealed is salt and bytes.
///
/// INVARIANT (I5): each is bound to its commitment and to whether it is held, so that a changed row cannot turn a held
/// result into one that the desk may read.
pub(crate) struct Sealing(RandomizedNonceKey);

const NONCE: usize = 12;

impl Sealing {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, LedgerError> {
        RandomizedNonceKey::new(&AES_256_GCM, key).map(Self).map_err(|_| LedgerError::Content)
    }

    pub(crate) fn seal(
        &self,
        commitment: &Digest,
        held: bool,
        salt: &[u8; 32],
        bytes: &[u8],
    ) -> Result<Vec<u8>, LedgerError> {
        let mut body = Vec::with_capacity(NONCE + 32 + bytes.len() + 16);
        body.extend_from_slice(salt);
        body.extend_from_slice(bytes);
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(bound_to(commitment, held)), &mut body)
            .map_err(|_| LedgerError::Content)?;
        let mut out = nonce.as_ref().to_vec();
        out.append(&mut body);
        Ok(out)
    }

    /// Salt and bytes.
    pub(crate) fn open(
        &self,
        commitment: &Digest,
        held: bool,
        sealed: &[u8],
    ) -> Result<([u8; 32], Vec<u8>), LedgerError> {
        let (nonce, body) = sealed.split_at_checked(NONCE).ok_or(LedgerError::Content)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| LedgerError::Content)?;
        let mut body = body.to_vec();
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(bound_to(commitment, held)), &mut body)
            .map_err(|_| LedgerError::Content)?;
        let (salt, bytes) = opened.split_first_chunk::<32>().ok_or(LedgerError::Content)?;
        Ok((*salt, bytes.to_vec()))
    }
}

fn bound_to(commitment: &Digest, held: bool) -> [u8; 33] {
    let mut about = [u8::from(held); 33];
    about[1..].copy_from_slice(commitment.as_bytes());
    about
}
