//! The keys of one node: its seed, its handshakes, the messages it signs.
//!
//! **What it is for.** Whoever holds the identity key answers those who hold the sockets. A
//! [`Seed`] is written down as words and kept at rest as a [`SealedSeed`]; it derives a [`NodeKey`]
//! for each node; a [`Signer`] answers [`Ask`]s as that node, in the same process or across a link.
//!
//! **What it never does.** It opens no file or socket, reads no clock and draws no random number:
//! entropy, salt, nonce and ephemeral keys are handed in. It offers no bare ECDH and signs nothing
//! but prefixed messages. Nothing of a handshake can be written to a disk. No secret can be cloned,
//! copied or printed, and each is wiped when it is dropped.
//!
//! ```
//! use signer::{Channels, NodeIndex, Seed, Signer};
//! use wire::Network;
//!
//! let words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
//!              abandon about";
//! let seed = Seed::from_words(words)?;
//! let (network, index) = (Network::Regtest, NodeIndex::FIRST);
//! let channels = Channels::bolt3(seed.channel_keys(network, index));
//! let key = seed.node_key(network, index);
//! let signer = Signer::new(key, seed.wallet_key(network), channels);
//! assert!(signer.node_id().to_string().starts_with("03d109254b90c06a"));
//! # Ok::<(), signer::WordsFault>(())
//! ```

mod account;
mod api;
mod channel;
mod checkpoint;
mod codec;
mod derive;
mod fault;
mod file;
mod handshakes;
mod journal;
mod message;
mod onion;
mod policy;
mod secret;
mod seed;
mod signer;
mod spend;
mod view;
mod zbase32;

pub use account::{
    Account, AccountBranch, Branch, KEY_INDEX_MAX, KeyIndex, KeyPlace, WALLET_PURPOSE, WalletKey,
};
pub use api::{Answer, Ask, ConnectionId, Refusal, topic};
pub use channel::{
    CHANNELS_MAX, CHANNELS_VERSION, CLAIM_FEE_PERCENT_MAX, CLOSE_FEE_PERCENT_MAX,
    COMMITMENT_RATE_MAX, COMMITMENT_RATE_MIN, CONTRACTS_MAX, ChannelAnswer, ChannelAsk,
    ChannelChange, ChannelKeys, ChannelLimits, ChannelOp, ChannelRefusal, Channels, ChannelsFault,
    DAY_MSAT_MAX, DELAY_MAX, DUST_SAT_MAX, DUST_SAT_MIN, Decided, END_FEE_FLOOR_SAT,
    EXPIRY_BLOCKS_MAX, EndFlaw, HEADER_AGE_SECONDS_MAX, IN_FLIGHT_MSAT_MAX, Money, PAYMENT_KEYS,
    PEER_DELAY_MIN, PUSH_PERCENT_MAX, RACED_FEE_PERCENT_MAX, RestoredChannels, Seen, SetUp,
    ShownKeys, SignClaims, SignClose, SignStages, Spent,
};
pub use checkpoint::{Checkpoint, CheckpointFault};
pub use codec::{
    ANSWER_BYTES_MAX, ASK_BYTES_MAX, CODEC_VERSION, CONTRACT_BYTES_MAX, Frame, Malformed,
    PARENTS_BYTES_MAX, RecordFlaw,
};
pub use derive::{NODE_INDEX_MAX, NodeIndex, NodeKey, PURPOSE};
pub use fault::{
    CostFault, IndexFault, PassphraseFault, SeedFault, SeedFileFault, SignatureFault, WordsFault,
};
pub use file::{
    Cost, FILE_BYTES, FILE_MAGIC, FILE_VERSION, FileKey, LANES, MEMORY_KIB_MAX, MEMORY_KIB_MIN,
    NONCE_BYTES, PASSES_MAX, PASSES_MIN, PASSPHRASE_BYTES_MAX, Passphrase, SALT_BYTES, SealedSeed,
};
pub use handshakes::{HANDSHAKE_MS_MAX, HANDSHAKES_MAX, LinkId};
pub use journal::{Restored, VIEW_VERSION, ViewFault};
pub use message::{MESSAGE_BYTES_MAX, MessageSignature, SIGNATURE_BYTES, SIGNATURE_CHARS};
pub use onion::Peel;
pub use policy::{
    CONSOLIDATION_FLOOR_SAT, CONSOLIDATION_PERCENT_MAX, Destinations, FEE_FLOOR_SAT,
    FEE_PERCENT_MAX, FEE_RATE_FLAGGED_SAT_PER_VB_MAX, FEE_RATE_SAT_PER_VB_MAX, PLACE_STEP_MAX,
    Policy, SpendFlaw,
};
pub use seed::{ENTROPY_BYTES, SHORT_ENTROPY_BYTES, Seed, Words};
pub use signer::{Pending, Signer, SignerChange};
pub use spend::{
    Payee, SCRIPT_BYTES_MAX, SPEND_INPUTS_MAX, SPEND_OUTPUTS_MAX, Spend, SpendInput, SpendOutput,
    UnsignedFault,
};
pub use view::{
    AHEAD_SECONDS_MAX, Proven, Seconds, UnixTime, VIEW_BLOCKS_MAX, VIEW_HEADERS_MAX,
    VIEW_PROVEN_MAX, View, ViewChange, ViewFlaw, ViewStatus,
};
