use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};

/// Makes stable tokens: the same value in the same task gives the same token, so an agent can join on it without seeing it.
pub struct MaskKey(Key);

impl MaskKey {
    /// A key derived from the guard's own for one task, so that tokens of different tasks cannot be compared.
    pub fn for_task(guard: &[u8; 32], task: &str) -> Self {
        let derived = sign(&Key::new(HMAC_SHA256, guard), format!("mask\n{task}").as_bytes());
        Self(Key::new(HMAC_SHA256, derived.as_ref()))
    }

    pub(crate) fn token(&self, column: &str, value: &str) -> String {
        use std::fmt::Write as _;
        let mut message = u64::try_from(column.len()).unwrap_or(u64::MAX).to_be_bytes().to_vec();
        message.extend_from_slice(column.as_bytes());
        message.extend_from_slice(value.as_bytes());
        let tag = sign(&self.0, &message);
        tag.as_ref().iter().take(6).fold("masked_".to_owned(), |mut out, b| {
            let _ = write!(out, "{b:02x}");
            out
        })
    }
}
