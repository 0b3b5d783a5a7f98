use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

/// A 256-bit key, wiped when dropped.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Nonce and tag around the sealed bytes.
const NONCE: usize = 12;

pub(crate) fn random_key() -> Option<Key> {
    let mut key = Zeroizing::new([0; 32]);
    rand::fill(&mut key[..]).ok()?;
    Some(key)
}

/// AES-256-GCM with a random nonce in front.
pub(crate) fn seal(key: &Key, about: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key[..]).ok()?;
    let mut bytes = plain.to_vec();
    let nonce = cipher.seal_in_place_append_tag(Aad::from(about), &mut bytes).ok()?;
    let mut out = nonce.as_ref().to_vec();
    out.append(&mut bytes);
    Some(out)
}

/// Opens what [`seal`] made about the same thing.
pub(crate) fn open(key: &Key, about: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_at_checked(NONCE)?;
    let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key[..]).ok()?;
    let mut bytes = Zeroizing::new(body.to_vec());
    let length = cipher.open_in_place(nonce, Aad::from(about), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}
