//! Who signed in, and what a browser's new passkey is. The desk uses these for sessions only; what counts is verified by
//! the guard.

use approve::webauthn::{Passkey, claimed_challenge};
use approve::{LOGIN_NAMESPACE, PublicKey};
use artifact::claim::Signature;

/// Whether the key of this line made the signature over a sign-in text.
pub fn verifies(key: &str, text: &str, signature: &Signature) -> bool {
    PublicKey::parse(key).is_ok_and(|key| key.verify(LOGIN_NAMESPACE, text, signature).is_ok())
}

/// The credential id of a passkey's line.
pub fn credential_id(key: &str) -> Option<String> {
    Passkey::parse(key).ok().map(|key| key.credential())
}

/// The challenge that `clientDataJSON` claims.
pub fn challenge_of(client_data: &[u8]) -> Option<Vec<u8>> {
    claimed_challenge(client_data)
}

/// The key line of a registration.
pub fn passkey(
    attestation: &[u8],
    client_data: &[u8],
    challenge: &[u8],
    origin: &str,
    rp_id: &str,
) -> Result<String, String> {
    Passkey::register(attestation, client_data, challenge, origin, rp_id)
        .map(|key| key.to_line())
        .map_err(|error| error.to_string())
}
