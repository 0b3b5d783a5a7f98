//! The Merkle tree of RFC 6962 section 2.1, its proofs by RFC 9162 section 2.1.
//!
//! A node is named by level and index: level 0 are leaves, node (l, i) is the root of leaves i·2^l to (i+1)·2^l - 1.
//! Only complete subtrees have a name; what is left over at the right edge is computed when asked for.

use artifact::{Digest, Hasher};
use aws_lc_rs::digest::{SHA256, digest};

use crate::Error;

/// Most entries in a log: 2^53 - 1, the largest number canonical JSON holds.
pub const MAX_SIZE: u64 = (1 << 53) - 1;

/// A complete subtree's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Height above the leaves.
    pub level: u8,
    /// Place within the level, from 0.
    pub index: u64,
    /// Root of the subtree.
    pub hash: Digest,
}

/// Where complete subtrees' roots are looked up.
pub trait Nodes {
    /// What can go wrong in the lookup.
    type Error: From<Error>;

    /// The root of the complete subtree (`level`, `index`). Never asked for one that is not complete.
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Error>;
}

/// SHA-256 of `0x00` and the entry.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[0]);
    hasher.update(entry);
    hasher.finish()
}

/// SHA-256 of `0x01` and the two children.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left.as_bytes());
    bytes[33..].copy_from_slice(right.as_bytes());
    sha256(&bytes)
}

/// SHA-256 in one call, without the state that [`Hasher`] carries along.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Digest::from_bytes(out)
}

/// Root of the tree without entries: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

/// Root over consecutive hashes of one level, leaving them overwritten; none for none.
///
/// The last hash may stand for an incomplete subtree: without a sibling it rises as it is.
pub(crate) fn reduce(hashes: &mut [Digest]) -> Option<Digest> {
    let mut count = hashes.len();
    while count > 1 {
        for i in 0..count / 2 {
            hashes[i] = node_hash(&hashes[2 * i], &hashes[2 * i + 1]);
        }
        if count % 2 == 1 {
            hashes[count / 2] = hashes[count - 1];
        }
        count = count.div_ceil(2);
    }
    hashes.first().copied()
}

/// The tree's right edge: all that is needed to append and to know the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees that `size` splits into, the largest first: one for each 1 bit of `size`.
    edge: Vec<Digest>,
}

impl Frontier {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` entries, from stored nodes.
    pub fn from_nodes(size: u64, node: impl Fn(u8, u64) -> Option<Digest>) -> Result<Self, Error> {
        if size > MAX_SIZE {
            return Err(Error::OutOfRange { index: size, size: MAX_SIZE });
        }
        let edge = split(0, size)
            .map(|(level, index)| node(level, index).ok_or(Error::NodeMissing { level, index }))
            .collect::<Result<_, _>>()?;
        Ok(Self { size, edge })
    }

    /// Entries in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf and returns the subtrees it completes, itself first.
    pub fn append(&mut self, leaf: Digest) -> Vec<Node> {
        let mut node = Node { level: 0, index: self.size, hash: leaf };
        let mut completed = Vec::with_capacity(self.size.trailing_ones() as usize + 1);
        completed.push(node);
        while node.index % 2 == 1
            && let Some(left) = self.edge.pop()
        {
            node = Node { level: node.level + 1, index: node.index / 2, hash: node_hash(&left, &node.hash) };
            completed.push(node);
        }
        self.edge.push(node.hash);
        self.size += 1;
        completed
    }

    /// The tree's root.
    pub fn root(&self) -> Digest {
        fold_right(&self.edge).unwrap_or_else(empty_root)
    }
}

fn fold_right(edge: &[Digest]) -> Option<Digest> {
    edge.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// The complete subtrees that make up leaves `begin..end`, the largest first. `begin` is a multiple of the smallest
/// power of two not below the length, as it is wherever RFC 6962 splits a tree.
fn split(begin: u64, end: u64) -> impl Iterator<Item = (u8, u64)> {
    let (mut at, mut rest) = (begin, end - begin);
    std::iter::from_fn(move || {
        let level = u8::try_from(rest.checked_ilog2()?).ok()?;
        let index = at >> level;
        at += 1 << level;
        rest -= 1 << level;
        Some((level, index))
    })
}

/// Root of leaves `begin..end`.
fn range_hash<N: Nodes>(begin: u64, end: u64, nodes: &N) -> Result<Digest, N::Error> {
    let edge = split(begin, end).map(|(level, index)| nodes.node(level, index)).collect::<Result<Vec<_>, _>>()?;
    Ok(fold_right(&edge).unwrap_or_else(empty_root))
}

/// Root of the first `size` leaves.
pub fn root_at<N: Nodes>(size: u64, nodes: &N) -> Result<Digest, N::Error> {
    range_hash(0, size, nodes)
}

/// The largest power of two below `n`, for `n` of 2 or more.
fn split_point(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Shows that entry `index` is in the tree of `size` entries (RFC 9162 2.1.3.1); the sibling next to the leaf first.
pub fn inclusion_proof<N: Nodes>(index: u64, size: u64, nodes: &N) -> Result<Vec<Digest>, N::Error> {
    if index >= size || size > MAX_SIZE {
        return Err(Error::OutOfRange { index, size }.into());
    }
    let (mut begin, mut end) = (0, size);
    let mut path = Vec::new();
    while end - begin > 1 {
        let middle = begin + split_point(end - begin);
        if index < middle {
            path.push(range_hash(middle, end, nodes)?);
            end = middle;
        } else {
            path.push(range_hash(begin, middle, nodes)?);
            begin = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Shows that the tree of `new` entries starts with the tree of `old` entries (RFC 9162 2.1.4.1). Empty for equal
/// sizes and for `old` 0.
pub fn consistency_proof<N: Nodes>(old: u64, new: u64, nodes: &N) -> Result<Vec<Digest>, N::Error> {
    if old > new || new > MAX_SIZE {
        return Err(Error::OutOfRange { index: old, size: new }.into());
    }
    let mut path = Vec::new();
    if old == 0 {
        return Ok(path);
    }
    let (mut begin, mut end) = (0, new);
    while old != end {
        let middle = begin + split_point(end - begin);
        if old <= middle {
            path.push(range_hash(middle, end, nodes)?);
            end = middle;
        } else {
            path.push(range_hash(begin, middle, nodes)?);
            begin = middle;
        }
    }
    // The verifier knows the old root already if the old tree is one complete subtree of the new one.
    if begin != 0 {
        path.push(range_hash(begin, end, nodes)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `proof` leads from the leaf at `index` to `root` (RFC 9162 2.1.3.2).
pub fn verify_inclusion(leaf: Digest, index: u64, size: u64, proof: &[Digest], root: &Digest) -> Result<(), Error> {
    if index >= size {
        return Err(Error::OutOfRange { index, size });
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(Error::Proof);
        }
        if at % 2 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at % 2 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(Error::Proof) }
}

/// Whether `proof` shows that the tree with `new_root` starts with the one with `old_root` (RFC 9162 2.1.4.2).
pub fn verify_consistency(
    (old, old_root): (u64, &Digest),
    (new, new_root): (u64, &Digest),
    proof: &[Digest],
) -> Result<(), Error> {
    let verify = |holds: bool| if holds { Ok(()) } else { Err(Error::Proof) };
    if old == 0 {
        return verify(proof.is_empty() && *old_root == empty_root() && (new > 0 || *new_root == empty_root()));
    }
    if old >= new {
        return verify(old == new && proof.is_empty() && old_root == new_root);
    }
    let (mut at, mut last) = (old - 1, new - 1);
    let shared = at.trailing_ones();
    at >>= shared;
    last >>= shared;
    let mut rest = proof.iter();
    let first = if old.is_power_of_two() { old_root } else { rest.next().ok_or(Error::Proof)? };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(Error::Proof);
        }
        if at % 2 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while at % 2 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    verify(last == 0 && old_hash == *old_root && new_hash == *new_root)
}

#[cfg(test)]
mod tests;
