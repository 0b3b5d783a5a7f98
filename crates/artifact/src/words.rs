use crate::Digest;

/// Three words of a digest, to compare by eye or ear across two screens: 24 bits, an aid against mixing things up and
/// against a display that lies, never a replacement for the digest.
///
/// Each byte is spoken as a consonant-vowel pattern, so no word list has to be agreed on: bits 7-4 choose the first
/// syllable's consonant, bits 3-2 its vowel, bits 1-0 the ending.
pub fn digest_words(digest: &Digest) -> String {
    const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
    const VOWELS: &[u8; 4] = b"aiou";
    const ENDINGS: [&str; 4] = ["bar", "lin", "mos", "tek"];
    let mut out = String::with_capacity(24);
    for (i, byte) in digest.as_bytes().iter().take(3).enumerate() {
        if i > 0 {
            out.push('-');
        }
        out.push(CONSONANTS[usize::from(byte >> 4)] as char);
        out.push(VOWELS[usize::from(byte >> 2 & 3)] as char);
        out.push_str(ENDINGS[usize::from(byte & 3)]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_its_own_word() {
        let word = |b: u8| {
            let mut bytes = [0; 32];
            bytes[0] = b;
            digest_words(&Digest::from_bytes(bytes)).split('-').next().unwrap().to_owned()
        };
        let all: std::collections::HashSet<String> = (0..=255).map(word).collect();
        assert_eq!(all.len(), 256);
    }
}
