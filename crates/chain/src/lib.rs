//! The chain, as a node sees it: headers and reorgs, and what is watched in blocks.
//!
//! *What it is for.* Its users hear of each block and of all they watch in it, from where they
//! stopped hearing; a reorg takes back exactly what it took away. *What it never does.* It has no
//! socket: blocks are asked for, and answered by whatever source there is.
//!
//! Where to start: [`Chain`].

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("planted bugs are for tests, never for a release");

mod api;
mod chain;
mod fault;
mod fees;
mod first;
mod hashes;
mod headers;
mod index;
#[cfg(feature = "planted")]
mod planted;
mod proof;
mod publish;
mod replace;
mod rules;
mod search;
mod snapshot;

pub use api::{Ask, BlockRef, Event, Found, FoundIn, Height, User, Watch, WatchFault};
pub use chain::{Chain, SCRIPT_BYTES_MAX, USERS_MAX, WATCHES_MAX};
pub use fault::{BlockFault, Fault, HeaderFault, ProofFault};
pub use fees::{
    FeeSource, FeeTerms, Fees, NoRate, RATE_MAX, RATES_ANSWER_MS_MAX, RATES_FRESH_MS_MAX, RATES_MS,
    RATES_RETRY_MS, RATES_STALE_MS_MAX, Rate, Rates, RatesFault, TARGETS, Target, TermsFault,
    parse_rate,
};
pub use first::{FirstFault, HEIGHT_MAX, judge_first};
pub use headers::{Change, HEADERS_MAX, Headers, REORG_BLOCKS_MAX};
pub use proof::{PROOF_STEPS_MAX, Proof};
pub use publish::{
    ATTEMPT_MS_MAX, ATTEMPTS_MAX, Attempt, Cure, DEEP_BLOCKS, Key, PACKAGE_TRANSACTIONS_MAX,
    PACKAGE_WEIGHT_MAX, PUBLICATION_INPUTS_MAX, PUBLICATIONS_MAX, PUBLICATIONS_WU_MAX, PUBLISHER,
    Package, PackageFault, Publication, PublicationId, PublishAnswer, PublishChange, PublishEvent,
    PublishFault, PublishState, Publisher, REASON_CHARS_MAX, REBROADCAST_MS, REBROADCAST_MS_MAX,
    RETRY_MS, RETRY_MS_MAX, Reason, Spend, Standing, Text, TooLittle, Unasked, Wanted, WatchAsk,
};
pub use replace::{
    ChildFault, ChildFee, INCREMENTAL_RELAY, INCREMENTAL_RELAY_CORE_30, MIN_RELAY,
    MIN_RELAY_CORE_30, Priced, ReplaceFault, child_fee, judge_replacement, replacement_fee,
};
pub use rules::{RETARGET_BLOCKS, easiest};
pub use snapshot::SnapshotFault;
