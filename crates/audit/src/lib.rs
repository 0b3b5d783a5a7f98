//! Log entries, Merkle tree, checkpoints, tiles, proofs, offline verification
