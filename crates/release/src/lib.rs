//! Held and a verified release order to Released.
//!
//! Owns: [`Held`] (a result no agent may see yet, I5), [`ReleaseOrder`] (a person's verified choice), [`Released`] (what the
//! agent gets, I6), masks, and the neutralizing of untrusted text.
//!
//! Never: talks to anything, or turns a held result into something readable without a verified order.
//!
//! Read `held.rs` first.

mod held;
mod mask;
mod order;
mod released;

pub use held::{Held, HeldError, ResultTable, TableColumn};
pub use mask::MaskKey;
pub use order::{ReleaseOrder, shown_name};
pub use released::{Released, ReleasedColumn};

/// Opens a held result as far as the order says. Consumes both: one order, one release.
///
/// An order that was verified against another result opens nothing: neither cells nor counts, and the note says so.
///
/// INVARIANT (I6): the only way to a [`Released`].
pub fn open(held: Held, order: ReleaseOrder, masks: &MaskKey) -> Released {
    released::make(held, order, masks)
}
