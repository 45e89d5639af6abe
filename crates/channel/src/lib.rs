//! One payment channel from its opening to its last confirmed spend (BOLT 2, 3, 5).
//!
//! *What it is for.* So far it keeps the [`Ledger`]: who has what, in each commitment that either
//! side could publish. Opening, messages and what happens on the chain come upon that.
//!
//! *What it never does.* It holds no key and signs nothing; it has no socket, disk or clock.

mod ledger;

pub use ledger::{As, ContractId, Entry, Gone, Ledger, Removal, Step, View};
