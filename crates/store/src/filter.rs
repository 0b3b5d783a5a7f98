//! A Bloom filter over marks: it forgets none, and takes one in some hundred others for one of them.

use crate::held::Mark;

/// Bits for each mark.
const BITS: usize = 16;
/// Least room.
const LEAST: usize = 4096;

/// The filter.
#[derive(Debug)]
pub(crate) struct Filter {
    words: Vec<u64>,
    /// Marks that went in, and how many may.
    many: usize,
    room: usize,
}

impl Filter {
    /// An empty one with room for this many.
    pub(crate) fn for_many(many: usize) -> Self {
        let room = many.max(LEAST).next_power_of_two();
        Self { words: vec![0; room * BITS / 64], many: 0, room }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.many == 0
    }

    pub(crate) const fn has_room_for(&self, more: usize) -> bool {
        self.many + more <= self.room
    }

    pub(crate) fn insert(&mut self, mark: &Mark) {
        self.many += 1;
        for (word, bit) in self.places(mark) {
            self.words[word] |= bit;
        }
    }

    /// False: it never went in.
    pub(crate) fn may_have(&self, mark: &Mark) -> bool {
        self.places(mark).iter().all(|(word, bit)| self.words[*word] & bit != 0)
    }

    /// Three places. Marks are hashes already, so parts of them serve as they are.
    fn places(&self, mark: &Mark) -> [(usize, u64); 3] {
        let part = |at: usize| {
            let bytes = [mark[at], mark[at + 1], mark[at + 2], mark[at + 3]];
            let bit = u32::from_le_bytes(bytes) as usize % (self.words.len() * 64);
            (bit / 64, 1 << (bit % 64))
        };
        [part(0), part(4), part(8)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_forgotten_and_few_are_taken_for_others() {
        // Good enough as a hash: the steps of a linear congruential generator, of which the upper bits are used.
        let mark = |n: u64| -> Mark {
            let mut state = n;
            let mut out = [0; 16];
            for chunk in out.chunks_mut(4) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state ^= state >> 29;
                chunk.copy_from_slice(&state.to_be_bytes()[..4]);
            }
            out
        };
        let mut filter = Filter::for_many(5_000);
        assert!(filter.is_empty() && !filter.may_have(&mark(1)));
        (0..5_000).for_each(|n| filter.insert(&mark(n)));
        assert!((0..5_000).all(|n| filter.may_have(&mark(n))));
        let wrong = (5_000..25_000).filter(|n| filter.may_have(&mark(*n))).count();
        assert!(wrong < 400, "{wrong}");
        assert!(filter.has_room_for(3_000) && !filter.has_room_for(4_000));
    }
}
