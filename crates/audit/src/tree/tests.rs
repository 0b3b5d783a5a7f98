use super::*;
use crate::fixture::Memory;
use ct_merkle::{ConsistencyProof, InclusionProof, mem_backed_tree::MemoryBackedTree};
use proptest::prelude::*;
use sha2::Sha256;

fn both(size: u64) -> (Memory, MemoryBackedTree<Sha256, Vec<u8>>) {
    let (mut ours, mut theirs) = (Memory::default(), MemoryBackedTree::new());
    for i in 0..size {
        let entry = format!("entry {i}").into_bytes();
        ours.append_raw(entry.clone());
        theirs.push(entry);
    }
    (ours, theirs)
}

fn bytes(proof: &[Digest]) -> Vec<u8> {
    proof.iter().flat_map(|digest| *digest.as_bytes()).collect()
}

#[test]
fn roots_of_every_size_agree_with_the_other_implementation() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut frontier = Frontier::new();
    let mut stored = Memory::default();
    assert_eq!(frontier.root(), empty_root());
    for i in 0..600_u64 {
        let entry = i.to_be_bytes().to_vec();
        frontier.append(leaf_hash(&entry));
        stored.append_raw(entry.clone());
        theirs.push(entry);
        assert_eq!(frontier.root().as_bytes()[..], theirs.root().as_bytes()[..]);
        assert_eq!(root_at(i + 1, &stored).unwrap(), frontier.root());
        let again = Frontier::from_nodes(i + 1, |l, n| stored.node(l, n).ok()).unwrap();
        assert_eq!(again, frontier);
        let mut leaves: Vec<Digest> = (0..=i).map(|n| stored.node(0, n).unwrap()).collect();
        assert_eq!(reduce(&mut leaves), Some(frontier.root()));
    }
    assert!(matches!(Frontier::from_nodes(5, |_, _| None), Err(Error::NodeMissing { level: 2, index: 0 })));
    assert!(Frontier::from_nodes(u64::MAX, |_, _| None).is_err());
}

#[test]
fn append_names_each_complete_subtree_once() {
    let mut frontier = Frontier::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..256 {
        for node in frontier.append(leaf_hash(b"x")) {
            assert!(seen.insert((node.level, node.index)));
        }
    }
    assert_eq!(seen.len(), 511);
}

#[test]
fn every_inclusion_proof_of_small_trees() {
    for size in 1..=40 {
        let (ours, theirs) = both(size);
        let root = root_at(size, &ours).unwrap();
        for index in 0..size {
            let proof = inclusion_proof(index, size, &ours).unwrap();
            assert_eq!(bytes(&proof), theirs.prove_inclusion(usize::try_from(index).unwrap()).as_bytes());
            let leaf = ours.node(0, index).unwrap();
            verify_inclusion(leaf, index, size, &proof, &root).unwrap();
            for other in (0..size + 2).filter(|other| *other != index) {
                assert!(verify_inclusion(leaf, other, size, &proof, &root).is_err());
            }
            for i in 0..proof.len() {
                let mut bad = proof.clone();
                bad[i] = Digest::of(b"bad");
                assert!(verify_inclusion(leaf, index, size, &bad, &root).is_err());
                assert!(verify_inclusion(leaf, index, size, &proof[..i], &root).is_err());
            }
            let mut long = proof.clone();
            long.push(Digest::of(b"more"));
            assert!(verify_inclusion(leaf, index, size, &long, &root).is_err());
            assert!(verify_inclusion(Digest::of(b"other"), index, size, &proof, &root).is_err());
        }
        assert!(inclusion_proof(size, size, &ours).is_err());
    }
}

#[test]
fn every_consistency_proof_of_small_trees() {
    for new in 0..=40 {
        let (ours, theirs) = both(new);
        let new_root = root_at(new, &ours).unwrap();
        for old in 0..=new {
            let old_root = root_at(old, &ours).unwrap();
            let proof = consistency_proof(old, new, &ours).unwrap();
            if old > 0 && old < new {
                let reference = theirs.prove_consistency(usize::try_from(new - old).unwrap());
                assert_eq!(bytes(&proof), reference.as_bytes(), "{old} {new}");
            }
            verify_consistency((old, &old_root), (new, &new_root), &proof).unwrap();
            let bad = Digest::of(b"bad");
            assert!(verify_consistency((old, &bad), (new, &new_root), &proof).is_err());
            // An empty tree is the start of any tree, whatever its root.
            assert!(old == 0 && new > 0 || verify_consistency((old, &old_root), (new, &bad), &proof).is_err());
            for i in 0..proof.len() {
                let mut changed = proof.clone();
                changed[i] = bad;
                assert!(verify_consistency((old, &old_root), (new, &new_root), &changed).is_err());
                assert!(verify_consistency((old, &old_root), (new, &new_root), &proof[..i]).is_err());
            }
            let mut long = proof.clone();
            long.push(bad);
            assert!(verify_consistency((old, &old_root), (new, &new_root), &long).is_err());
            if old < new {
                assert!(verify_consistency((new, &new_root), (old, &old_root), &proof).is_err());
                assert!(consistency_proof(new, old, &ours).is_err());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_agree_with_the_other_implementation(size in 1_u64..600, a: u64, b: u64) {
        let (ours, theirs) = both(size);
        let root = root_at(size, &ours).unwrap();
        let index = a % size;
        let proof = inclusion_proof(index, size, &ours).unwrap();
        let reference = InclusionProof::<Sha256>::try_from_bytes(bytes(&proof)).unwrap();
        theirs.root().verify_inclusion(&format!("entry {index}").into_bytes(), index, &reference).unwrap();
        verify_inclusion(ours.node(0, index).unwrap(), index, size, &proof, &root).unwrap();

        let old = 1 + b % size;
        let proof = consistency_proof(old, size, &ours).unwrap();
        let (_, their_old) = both(old);
        if old < size {
            let reference = ConsistencyProof::<Sha256>::try_from_bytes(bytes(&proof)).unwrap();
            theirs.root().verify_consistency(&their_old.root(), &reference).unwrap();
        }
        verify_consistency((old, &root_at(old, &ours).unwrap()), (size, &root), &proof).unwrap();
    }
}
