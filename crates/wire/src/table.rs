//! Every message that we read and write: the one table.
//!
//! A row is `type Name "bolt_name" { fields } then Unknown { records }`. To add a message or a TLV
//! record, add a row or a line; the value, its codec, its generator for tests, fuzzing and the
//! comparison with other codecs follow. Signed gossip ends in `Excess`, which keeps every byte.

use crate::{
    address::{Address, Addresses},
    amount::{
        BaseFee, BlockCount, BlockHeight, ByteCount, CltvDelta, CsvDelay, FeeratePerKw, HtlcCount,
        LockTime, Millionths, Msat, Sat, Seconds, Timestamp,
    },
    declare::messages,
    dice::Dice,
    fault::Fault,
    features::Features,
    field::{Field, Value},
    id::{
        AttributionData, ChainHash, ChannelFlags, ChannelId, CommitmentNumber, FailureCode,
        FeeRange, FundingLocked, HtlcId, NextFunding, OnionHash, OnionPacket, OutputIndex,
        PaymentHash, PaymentPreimage, PerCommitmentSecret, RgbColor, Scid, TemporaryChannelId,
        Txid, UpdateChannelFlags, UpdateMessageFlags,
    },
    key::{NodeId, Point, Signature},
    list::{Alias, Blob, ChecksumList, QueryFlags, QueryOption, ScidList, Script, TimestampList},
    message::{Body, InRecord, Unnamed},
    reader::Reader,
    tlv::{Excess, Extension, Unknown, read_value, record_size, write_record},
};

messages! {
    // ---- BOLT 1: the connection ------------------------------------------------------------

    /// Something is odd, nothing is broken.
    1 Warning "warning" {
        channel_id: ChannelId,
        data: Blob,
    } then Unknown {}

    /// A backup that the peer should keep for us.
    7 PeerStorage "peer_storage" {
        blob: Blob,
    } then Unknown {}

    /// The backup that we kept for the peer.
    9 PeerStorageRetrieval "peer_storage_retrieval" {
        blob: Blob,
    } then Unknown {}

    /// The first message on every connection.
    16 Init "init" {
        globalfeatures: Features,
        features: Features,
    } then Unknown {
        1 networks: Vec<ChainHash>,
        3 remote_addr: Address,
    }

    /// Fails a channel, or all of them.
    17 Error "error" {
        channel_id: ChannelId,
        data: Blob,
    } then Unknown {}

    /// Are you there?
    18 Ping "ping" {
        num_pong_bytes: ByteCount,
        ignored: Blob,
    } then Unknown {}

    /// I am here.
    19 Pong "pong" {
        ignored: Blob,
    } then Unknown {}

    // ---- BOLT 2: opening, version 1 --------------------------------------------------------

    /// Proposes a channel.
    32 OpenChannel "open_channel" {
        chain_hash: ChainHash,
        temporary_channel_id: TemporaryChannelId,
        funding_satoshis: Sat,
        push_msat: Msat,
        dust_limit_satoshis: Sat,
        max_htlc_value_in_flight_msat: Msat,
        channel_reserve_satoshis: Sat,
        htlc_minimum_msat: Msat,
        feerate_per_kw: FeeratePerKw,
        to_self_delay: CsvDelay,
        max_accepted_htlcs: HtlcCount,
        funding_pubkey: Point,
        revocation_basepoint: Point,
        payment_basepoint: Point,
        delayed_payment_basepoint: Point,
        htlc_basepoint: Point,
        first_per_commitment_point: Point,
        channel_flags: ChannelFlags,
    } then Unknown {
        0 upfront_shutdown_script: Script,
        1 channel_type: Features,
    }

    /// Agrees to a channel.
    33 AcceptChannel "accept_channel" {
        temporary_channel_id: TemporaryChannelId,
        dust_limit_satoshis: Sat,
        max_htlc_value_in_flight_msat: Msat,
        channel_reserve_satoshis: Sat,
        htlc_minimum_msat: Msat,
        minimum_depth: BlockCount,
        to_self_delay: CsvDelay,
        max_accepted_htlcs: HtlcCount,
        funding_pubkey: Point,
        revocation_basepoint: Point,
        payment_basepoint: Point,
        delayed_payment_basepoint: Point,
        htlc_basepoint: Point,
        first_per_commitment_point: Point,
    } then Unknown {
        0 upfront_shutdown_script: Script,
        1 channel_type: Features,
    }

    /// Names the funding and signs the acceptor's first commitment.
    34 FundingCreated "funding_created" {
        temporary_channel_id: TemporaryChannelId,
        funding_txid: Txid,
        funding_output_index: OutputIndex,
        signature: Signature,
    } then Unknown {}

    /// Signs the funder's first commitment.
    35 FundingSigned "funding_signed" {
        channel_id: ChannelId,
        signature: Signature,
    } then Unknown {}

    /// The funding is deep enough.
    36 ChannelReady "channel_ready" {
        channel_id: ChannelId,
        second_per_commitment_point: Point,
    } then Unknown {
        1 short_channel_id: Scid,
    }

    // ---- BOLT 2: closing -------------------------------------------------------------------

    /// No new HTLCs from here on.
    38 Shutdown "shutdown" {
        channel_id: ChannelId,
        scriptpubkey: Script,
    } then Unknown {}

    /// Proposes a closing fee and signs for it.
    39 ClosingSigned "closing_signed" {
        channel_id: ChannelId,
        fee_satoshis: Sat,
        signature: Signature,
    } then Unknown {
        1 fee_range: FeeRange,
    }

    /// A closing transaction at the sender's cost.
    40 ClosingComplete "closing_complete" {
        channel_id: ChannelId,
        closer_scriptpubkey: Script,
        closee_scriptpubkey: Script,
        fee_satoshis: Sat,
        locktime: LockTime,
    } then Unknown {
        1 closer_output_only: Signature,
        2 closee_output_only: Signature,
        3 closer_and_closee_outputs: Signature,
    }

    /// Signs a closing transaction of the other side.
    41 ClosingSig "closing_sig" {
        channel_id: ChannelId,
        closer_scriptpubkey: Script,
        closee_scriptpubkey: Script,
        fee_satoshis: Sat,
        locktime: LockTime,
    } then Unknown {
        1 closer_output_only: Signature,
        2 closee_output_only: Signature,
        3 closer_and_closee_outputs: Signature,
    }

    // ---- BOLT 2: normal operation ----------------------------------------------------------

    /// Something fundamental is underway: be quiet.
    2 Stfu "stfu" {
        channel_id: ChannelId,
        initiator: bool,
    } then Unknown {}

    /// Offers an HTLC.
    128 UpdateAddHtlc "update_add_htlc" {
        channel_id: ChannelId,
        id: HtlcId,
        amount_msat: Msat,
        payment_hash: PaymentHash,
        cltv_expiry: BlockHeight,
        onion_routing_packet: Box<OnionPacket>,
    } then Unknown {
        0 path_key: Point,
    }

    /// Claims an HTLC.
    130 UpdateFulfillHtlc "update_fulfill_htlc" {
        channel_id: ChannelId,
        id: HtlcId,
        payment_preimage: PaymentPreimage,
    } then Unknown {
        1 attribution_data: Box<AttributionData>,
    }

    /// Gives an HTLC back.
    131 UpdateFailHtlc "update_fail_htlc" {
        channel_id: ChannelId,
        id: HtlcId,
        reason: Blob,
    } then Unknown {
        1 attribution_data: Box<AttributionData>,
    }

    /// Signs the other side's next commitment.
    132 CommitmentSigned "commitment_signed" {
        channel_id: ChannelId,
        signature: Signature,
        htlc_signature: Vec<Signature>,
    } then Unknown {
        1 funding_txid: Txid,
    }

    /// Gives up the last commitment.
    133 RevokeAndAck "revoke_and_ack" {
        channel_id: ChannelId,
        per_commitment_secret: PerCommitmentSecret,
        next_per_commitment_point: Point,
    } then Unknown {}

    /// Changes the commitments' fee rate.
    134 UpdateFee "update_fee" {
        channel_id: ChannelId,
        feerate_per_kw: FeeratePerKw,
    } then Unknown {}

    /// Gives an HTLC back whose onion could not be read.
    135 UpdateFailMalformedHtlc "update_fail_malformed_htlc" {
        channel_id: ChannelId,
        id: HtlcId,
        sha256_of_onion: OnionHash,
        failure_code: FailureCode,
    } then Unknown {}

    /// Where we stand, after a reconnection.
    136 ChannelReestablish "channel_reestablish" {
        channel_id: ChannelId,
        next_commitment_number: CommitmentNumber,
        next_revocation_number: CommitmentNumber,
        your_last_per_commitment_secret: PerCommitmentSecret,
        my_current_per_commitment_point: Point,
    } then Unknown {
        1 next_funding: NextFunding,
        5 my_current_funding_locked: FundingLocked,
    }

    // ---- BOLT 7: gossip --------------------------------------------------------------------

    /// A channel exists.
    256 ChannelAnnouncement "channel_announcement" {
        node_signature_1: Signature,
        node_signature_2: Signature,
        bitcoin_signature_1: Signature,
        bitcoin_signature_2: Signature,
        features: Features,
        chain_hash: ChainHash,
        short_channel_id: Scid,
        node_id_1: NodeId,
        node_id_2: NodeId,
        bitcoin_key_1: NodeId,
        bitcoin_key_2: NodeId,
    } then Excess {}

    /// A node exists.
    257 NodeAnnouncement "node_announcement" {
        signature: Signature,
        features: Features,
        timestamp: Timestamp,
        node_id: NodeId,
        rgb_color: RgbColor,
        alias: Alias,
        addresses: Addresses,
    } then Excess {}

    /// What one side of a channel asks for.
    258 ChannelUpdate "channel_update" {
        signature: Signature,
        chain_hash: ChainHash,
        short_channel_id: Scid,
        timestamp: Timestamp,
        message_flags: UpdateMessageFlags,
        channel_flags: UpdateChannelFlags,
        cltv_expiry_delta: CltvDelta,
        htlc_minimum_msat: Msat,
        fee_base_msat: BaseFee,
        fee_proportional_millionths: Millionths,
        htlc_maximum_msat: Msat,
    } then Excess {}

    /// Signs the announcement of a channel that both ends have.
    259 AnnouncementSignatures "announcement_signatures" {
        channel_id: ChannelId,
        short_channel_id: Scid,
        node_signature: Signature,
        bitcoin_signature: Signature,
    } then Unknown {}

    /// Asks for certain channels.
    261 QueryShortChannelIds "query_short_channel_ids" {
        chain_hash: ChainHash,
        encoded_short_ids: ScidList,
    } then Unknown {
        1 query_flags: QueryFlags,
    }

    /// That was all about them.
    262 ReplyShortChannelIdsEnd "reply_short_channel_ids_end" {
        chain_hash: ChainHash,
        full_information: bool,
    } then Unknown {}

    /// Asks which channels were opened in some blocks.
    263 QueryChannelRange "query_channel_range" {
        chain_hash: ChainHash,
        first_blocknum: BlockHeight,
        number_of_blocks: BlockCount,
    } then Unknown {
        1 query_option: QueryOption,
    }

    /// These were.
    264 ReplyChannelRange "reply_channel_range" {
        chain_hash: ChainHash,
        first_blocknum: BlockHeight,
        number_of_blocks: BlockCount,
        sync_complete: bool,
        encoded_short_ids: ScidList,
    } then Unknown {
        1 timestamps_tlv: TimestampList,
        3 checksums_tlv: ChecksumList,
    }

    /// Which gossip to pass on from now.
    265 GossipTimestampFilter "gossip_timestamp_filter" {
        chain_hash: ChainHash,
        first_timestamp: Timestamp,
        timestamp_range: Seconds,
    } then Unknown {}

    // ---- Ours: parked contracts (docs/decisions/0016) ----------------------------------------

    /// Offers a contract that is opened by a preimage, and whose refund waits from the block in
    /// which a commitment is.
    33025 AddParked "add_parked" {
        channel_id: ChannelId,
        id: HtlcId,
        amount_msat: Msat,
        payment_hash: PaymentHash,
        refund_delay: CsvDelay,
    } then Unknown {}

    /// Claims a parked contract.
    33027 SettleParked "settle_parked" {
        channel_id: ChannelId,
        id: HtlcId,
        payment_preimage: PaymentPreimage,
    } then Unknown {}

    /// Gives a parked contract back.
    33029 CancelParked "cancel_parked" {
        channel_id: ChannelId,
        id: HtlcId,
    } then Unknown {}

    /// Whoever pays wants a parked contract back: only whoever is paid can give it.
    33031 AskParked "ask_parked" {
        channel_id: ChannelId,
        id: HtlcId,
    } then Unknown {}
}
