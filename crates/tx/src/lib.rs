//! Every transaction of a channel as a pure function of its meaning (BOLT 3).
//!
//! *What it is for.* A channel says what a commitment means: whose it is, its number, the balances,
//! the fee rate, the contracts under way. From that this crate builds the transaction, its second
//! stages and what spends them. The channel that asks for a signature and the signer that gives it
//! build with the same code, so they cannot mean two things.
//!
//! *What it never does.* It signs nothing and keeps nothing. It does not judge whether a state is
//! allowed, what a payment is for or when to publish: `channel` does, and the signer again.
//!
//! Both ends of a channel build the same value from the same meaning: a channel has an *opener*
//! and an *acceptor* ([`Side`]), a commitment has an *owner*, who can publish it, and the *other*.

mod claim;
mod closing;
mod commitment;
mod contract;
mod form;
mod keys;
mod script;
mod second;
mod secret;
mod terms;
mod witness;

pub use claim::{
    At, CLAIM_INPUTS_MAX, Claim, ClaimFault, Claimed, Coin, InputSignature, Lock, Locks, Opening,
    SWEEP_WEIGHT_MAX, SigningKey, Staged, Stages, Sweep, Unsigned,
};
pub use closing::{Close, ClosingOutputs};
pub use commitment::{Commitment, Meaning, Output, Placed, Purpose};
pub use contract::{
    Contract, Direction, Flaw, HTLC, Htlc, HtlcTemplate, Item, Kind, PARKED, PARKED_BLOCKS_MAX,
    Parked, ParkedTemplate, Place, Stage, Template, Templates, Way, Who,
};
pub use form::{ANCHOR_SAT, Form, OUTPUT_WEIGHT};
pub use keys::{
    Basepoints, CommitmentKeys, ContractKeys, derived_key, derived_secret, derived_secret_of,
    revocation_key, revocation_key_of_base, revocation_key_of_secret, revocation_secret,
};
pub use script::{anchor, funding, revocable, to_remote};
pub use second::SecondStage;
pub use secret::{CommitmentSeed, FIRST_INDEX, NearSeed, RevokedSecrets, SecretFault, SecretIndex};
pub use terms::{Funding, Party, Side, Terms};
pub use witness::{Pieces, funding_witness};
