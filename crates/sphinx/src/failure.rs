//! Why a payment failed: the failure messages of BOLT 4.

use core::fmt;

use wire::{
    amount::{BlockHeight, Msat},
    bigsize,
    dice::Dice,
    fault::Broke,
    field::Field,
    id::{FailureCode, OnionHash},
    list::Blob,
    reader::Reader,
};

use crate::payload::RecordAt;

/// Bytes of a failure message and its padding.
// BOLT 4: "SHOULD set `pad` such that the `failure_len` plus `pad_len` is equal to 256."
pub const FAILURE_BYTES_MAX: usize = 256;

/// A failure message with more data than others can read. Nothing was made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureTooLong {
    /// Bytes of the message.
    pub got: usize,
    /// The most there may be.
    pub max: usize,
}

/// The flags in the top byte of a failure code.
pub mod flag {
    /// The sending peer made an onion that cannot be read.
    pub const BADONION: u16 = 0x8000;
    /// It will fail again.
    pub const PERM: u16 = 0x4000;
    /// The node failed, otherwise a channel of it.
    pub const NODE: u16 = 0x2000;
    /// A parameter of the channel was violated.
    pub const UPDATE: u16 = 0x1000;
}

use flag::{BADONION, NODE, PERM, UPDATE};

macro_rules! failures {
    ($(
        $(#[$doc:meta])*
        ($code:expr) $Name:ident $bolt:literal $( { $( $field:ident: $Type:ty ),* } )?
    )*) => {
        /// A failure, by whichever hop. Fields bear their BOLT names.
        #[allow(missing_docs, reason = "the fields bear their BOLT names")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Failure {
            $( $(#[$doc])* $Name $( { $( $field: $Type ),* } )?, )*
            /// One that BOLT 4 does not name, or whose data are not as BOLT 4 says.
            Other { code: FailureCode, data: Blob },
        }

        impl Failure {
            /// `failure_code`.
            pub const fn code(&self) -> FailureCode {
                match self {
                    $( Failure::$Name { .. } => FailureCode($code), )*
                    Failure::Other { code, .. } => *code,
                }
            }

            /// Its BOLT name.
            pub const fn name(&self) -> &'static str {
                match self {
                    $( Failure::$Name { .. } => $bolt, )*
                    Failure::Other { .. } => "a failure that BOLT 4 does not name",
                }
            }

            fn write_data(&self, to: &mut Vec<u8>) {
                match self {
                    $( Failure::$Name $( { $( $field ),* } )? => {
                        $( $( Field::write($field, to); )* )?
                    } )*
                    Failure::Other { data, .. } => to.extend_from_slice(&data.0),
                }
            }

            fn data_size(&self) -> usize {
                match self {
                    $( Failure::$Name $( { $( $field ),* } )? => {
                        0 $( $( + Field::size($field) )* )?
                    } )*
                    Failure::Other { data, .. } => data.0.len(),
                }
            }

            fn read_data(code: FailureCode, from: &mut Reader<'_>) -> Result<Option<Self>, Broke> {
                $( if code.0 == $code {
                    return Ok(Some(Failure::$Name $( { $( $field: Field::read(from)? ),* } )?));
                } )*
                let _ = from;
                Ok(None)
            }

            /// Any failure, for tests.
            pub fn generate(dice: &mut Dice) -> Self {
                let mut which = dice.below([$( $bolt ),*].len() + 1);
                $( if which == 0 {
                    return Failure::$Name $( { $( $field: Field::generate(dice) ),* } )?;
                }
                which = which.saturating_sub(1); )*
                let _ = which;
                Failure::Other { code: FailureCode(0x0fff), data: Blob(dice.bytes(60)) }
            }
        }
    };
}

failures! {
    /// The node, for now.
    (NODE | 2) TemporaryNodeFailure "temporary_node_failure"
    /// The node, for good.
    (PERM | NODE | 2) PermanentNodeFailure "permanent_node_failure"
    /// The node requires a feature that was not in the onion.
    (PERM | NODE | 3) RequiredNodeFeatureMissing "required_node_feature_missing"
    /// The onion's version.
    (BADONION | PERM | 4) InvalidOnionVersion "invalid_onion_version" {
        sha256_of_onion: OnionHash
    }
    /// The onion's HMAC.
    (BADONION | PERM | 5) InvalidOnionHmac "invalid_onion_hmac" { sha256_of_onion: OnionHash }
    /// The onion's ephemeral key.
    (BADONION | PERM | 6) InvalidOnionKey "invalid_onion_key" { sha256_of_onion: OnionHash }
    /// The outgoing channel, for now.
    (UPDATE | 7) TemporaryChannelFailure "temporary_channel_failure" { channel_update: Blob }
    /// The outgoing channel, for good.
    (PERM | 8) PermanentChannelFailure "permanent_channel_failure"
    /// The outgoing channel requires a feature that was not in the onion.
    (PERM | 9) RequiredChannelFeatureMissing "required_channel_feature_missing"
    /// No channel bears that `short_channel_id`.
    (PERM | 10) UnknownNextPeer "unknown_next_peer"
    /// Below `htlc_minimum_msat`.
    (UPDATE | 11) AmountBelowMinimum "amount_below_minimum" {
        htlc_msat: Msat, channel_update: Blob
    }
    /// Too little left for the node.
    (UPDATE | 12) FeeInsufficient "fee_insufficient" { htlc_msat: Msat, channel_update: Blob }
    /// Too few blocks between both locks.
    (UPDATE | 13) IncorrectCltvExpiry "incorrect_cltv_expiry" {
        cltv_expiry: BlockHeight, channel_update: Blob
    }
    /// Too few blocks from now on.
    (UPDATE | 14) ExpiryTooSoon "expiry_too_soon" { channel_update: Blob }
    /// The recipient does not want it: unknown hash, wrong secret, wrong amount, too late.
    (PERM | 15) IncorrectOrUnknownPaymentDetails "incorrect_or_unknown_payment_details" {
        htlc_msat: Msat, height: BlockHeight
    }
    /// The last HTLC is locked shorter than its onion says.
    (18) FinalIncorrectCltvExpiry "final_incorrect_cltv_expiry" { cltv_expiry: BlockHeight }
    /// The last HTLC brings less than its onion says.
    (19) FinalIncorrectHtlcAmount "final_incorrect_htlc_amount" { incoming_htlc_amt: Msat }
    /// The outgoing channel is disabled.
    (UPDATE | 20) ChannelDisabled "channel_disabled" {
        disabled_flags: DisabledFlags, channel_update: Blob
    }
    /// Too many blocks from now on.
    (21) ExpiryTooFar "expiry_too_far"
    /// The payload was not understood.
    (PERM | 22) InvalidOnionPayload "invalid_onion_payload" { culprit: Culprit }
    /// Not all parts of the payment came.
    (23) MppTimeout "mpp_timeout"
    /// Something in a blinded path.
    (BADONION | PERM | 24) InvalidOnionBlinding "invalid_onion_blinding" {
        sha256_of_onion: OnionHash
    }
}

/// The record that was not understood, if the node says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Culprit(pub Option<RecordAt>);

/// `disabled_flags`: none are defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisabledFlags(pub u16);

impl Failure {
    /// `failuremsg`: the code and its data. Refuses one with more data than others read.
    pub fn encode(&self) -> Result<Vec<u8>, FailureTooLong> {
        // Before anything is written: a `Blob` is trusted to fit its length.
        let (got, max) = (2 + self.data_size(), FAILURE_BYTES_MAX);
        if got > max {
            return Err(FailureTooLong { got, max });
        }
        let mut to = self.code().0.to_be_bytes().to_vec();
        self.write_data(&mut to);
        Ok(to)
    }

    /// Reads `failuremsg`. Refuses only one that has no room for a code.
    // BOLT 4: "MUST ignore any extra bytes in `failuremsg`."
    pub fn decode(bytes: &[u8]) -> Result<Self, Broke> {
        let mut from = Reader::new(bytes);
        let code = <FailureCode as Field>::read(&mut from)?;
        let data = Blob(from.clone().rest().to_vec());
        let known = Self::read_data(code, &mut from).unwrap_or_default();
        Ok(known.unwrap_or(Failure::Other { code, data }))
    }

    /// What `update_fail_malformed_htlc` of the next hop says, as we pass it back. BOLT 2 has the
    /// channel fail if `BADONION` is missing, so there is none then.
    pub fn of_malformed(code: FailureCode, sha256_of_onion: OnionHash) -> Option<Self> {
        if code.0 & BADONION == 0 {
            return None;
        }
        let mut bytes = code.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&sha256_of_onion.0);
        Some(Self::decode(&bytes).expect("two bytes are a code"))
    }

    /// Whether its code has one of the [`flag`]s.
    pub const fn has(&self, flag: u16) -> bool {
        self.code().0 & flag != 0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:04x})", self.name(), self.code().0)
    }
}

impl fmt::Display for FailureTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a failure of {} bytes, at most {}", self.got, self.max)
    }
}

impl core::error::Error for FailureTooLong {}

impl Field for DisabledFlags {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Ok(Self(u16::from_be_bytes(*from.array()?)))
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0.to_be_bytes());
    }

    fn size(&self) -> usize {
        2
    }

    fn generate(_: &mut Dice) -> Self {
        Self(0)
    }
}

/// The last thing in its failure; nothing at all if the node does not say which record it was.
impl Field for Culprit {
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        if from.is_empty() {
            return Ok(Self(None));
        }
        let record = bigsize::read(from)?;
        Ok(Self(Some(RecordAt { record, offset: u16::from_be_bytes(*from.array()?) })))
    }

    fn write(&self, to: &mut Vec<u8>) {
        if let Some(RecordAt { record, offset }) = self.0 {
            bigsize::write(record, to);
            to.extend_from_slice(&offset.to_be_bytes());
        }
    }

    fn size(&self) -> usize {
        self.0.map_or(0, |at| bigsize::size(at.record) + 2)
    }

    fn generate(dice: &mut Dice) -> Self {
        let offset = dice.number() as u16;
        Self((!dice.one_in(4)).then(|| RecordAt { record: dice.number(), offset }))
    }
}
