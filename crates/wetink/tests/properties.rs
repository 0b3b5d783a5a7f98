//! The fuzzer's properties on its seeds and on mutations of them: a short walk through the same code in every gate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../../../fuzz/src/properties.rs"]
mod properties;

use std::path::Path;

/// A small generator of numbers (xorshift64*), the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % n.max(1)
    }
}

fn mutated(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => _ = bytes.remove(at),
            2 => bytes.insert(at, *b" \n'\"(),;*=-\x00\xe2\xff".get(random.below(14)).unwrap()),
            3 => bytes.truncate(at),
            4 => {
                let from = random.below(other.len() + 1);
                let piece = other[from..(from + random.below(12)).min(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let piece = bytes[at..(at + random.below(20)).min(bytes.len())].to_vec();
                bytes.extend(piece);
            }
        }
    }
    bytes
}

#[test]
fn every_property_holds_on_seeds_and_mutations() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let mut random = Random(1);
    for (name, property) in properties::ALL {
        let mut files: Vec<_> = std::fs::read_dir(seeds.join(name)).expect(name).map(|e| e.unwrap().path()).collect();
        files.sort();
        let all: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        assert!(!all.is_empty(), "{name} has no seeds");
        for seed in &all {
            property(seed);
        }
        for _ in 0..1_500 {
            let (seed, other) = (&all[random.below(all.len())], &all[random.below(all.len())]);
            property(&mutated(seed, other, &mut random));
        }
    }
}

#[test]
fn the_seeds_of_statements_are_statements() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/statement");
    for file in std::fs::read_dir(seeds).unwrap() {
        let path = file.unwrap().path();
        let read = approve::statement::Statement::parse(&std::fs::read_to_string(&path).unwrap());
        assert!(read.is_ok(), "{}: {read:?}", path.display());
    }
}
