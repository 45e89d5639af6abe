//! What a hop of a payment is told: a TLV stream, read once.

use core::fmt;

use wire::{
    amount::{BlockHeight, Msat},
    bigsize,
    fault::Broke,
    id::{PaymentPreimage, Scid},
    list::Blob,
    reader::Reader,
    tlv::{Record, Records},
};

use crate::{
    failure::{Culprit, Failure},
    packet::PAYLOAD_BYTES_MAX,
    planted,
};

const AMT_TO_FORWARD: u64 = 2;
const OUTGOING_CLTV_VALUE: u64 = 4;
const SHORT_CHANNEL_ID: u64 = 6;
const PAYMENT_DATA: u64 = 8;
const PAYMENT_METADATA: u64 = 16;
/// The preimage of a payment that nobody has asked for. It is in no BOLT; LND began with it.
const KEYSEND_PREIMAGE: u64 = 5_482_373_484;

/// The recipient's secret, from its invoice: who knows it has the invoice. Not printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PaymentSecret(pub [u8; 32]);

impl fmt::Debug for PaymentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentSecret(…)")
    }
}

/// `payment_data`: which payment an HTLC belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentData {
    /// From the invoice.
    pub payment_secret: PaymentSecret,
    /// Of all HTLCs of the payment.
    pub total_msat: Msat,
}

/// What the recipient of a payment is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalPayload {
    /// What the HTLC must bring at least.
    pub amt_to_forward: Msat,
    /// What the HTLC must be locked until at least.
    pub outgoing_cltv_value: BlockHeight,
    /// Which payment it belongs to.
    pub payment_data: Option<PaymentData>,
    /// From the invoice.
    pub payment_metadata: Option<Blob>,
    /// The preimage, where there is no invoice.
    pub keysend_preimage: Option<PaymentPreimage>,
}

/// What a hop that forwards is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardPayload {
    /// What the outgoing HTLC brings.
    pub amt_to_forward: Msat,
    /// What the outgoing HTLC is locked until.
    pub outgoing_cltv_value: BlockHeight,
    /// Where to.
    pub short_channel_id: Scid,
}

/// A payload that was not understood: a failure `invalid_onion_payload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPayload {
    /// The record at fault, if it is one.
    pub at: Option<RecordAt>,
    /// What is wrong.
    pub flaw: PayloadFlaw,
}

/// A record, and where in the payload it stands; for one that is missing, the payload's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordAt {
    /// Its type.
    pub record: u64,
    /// Bytes before it, not counting the payload's length.
    pub offset: u16,
}

/// What is wrong with a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadFlaw {
    /// Its length is one of those that the protocol reserves.
    TooShort {
        /// Its bytes.
        got: u64,
        /// The fewest there may be.
        min: usize,
    },
    /// It is longer than an onion has room for.
    TooLong {
        /// Its bytes.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// Bytes that are no such value, or no TLV stream.
    Broke(Broke),
    /// A record that must be there is not.
    Missing,
    /// A record that only the other kind of hop may have.
    Misplaced,
}

/// All records that a payment's hop may have, before it is known whether they belong there.
#[derive(Default)]
struct Found {
    amt_to_forward: Option<Msat>,
    outgoing_cltv_value: Option<BlockHeight>,
    short_channel_id: Option<(Scid, RecordAt)>,
    payment_data: Option<(PaymentData, RecordAt)>,
    payment_metadata: Option<(Blob, RecordAt)>,
    keysend_preimage: Option<(PaymentPreimage, RecordAt)>,
    bytes: usize,
}

impl FinalPayload {
    /// Reads the payload of the last hop.
    pub fn parse(payload: &[u8]) -> Result<Self, BadPayload> {
        let found = Found::read(payload)?;
        // BOLT 4: "For the final node: MUST NOT include `short_channel_id`"
        if let Some((_, at)) = found.short_channel_id {
            return Err(BadPayload::misplaced(at));
        }
        Ok(Self {
            amt_to_forward: found.require(found.amt_to_forward, AMT_TO_FORWARD)?,
            outgoing_cltv_value: found.require(found.outgoing_cltv_value, OUTGOING_CLTV_VALUE)?,
            payment_data: found.payment_data.map(|(data, _)| data),
            payment_metadata: found.payment_metadata.map(|(data, _)| data),
            keysend_preimage: found.keysend_preimage.map(|(preimage, _)| preimage),
        })
    }

    /// The bytes for [`Hop`](crate::Hop).
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        write_amounts(self.amt_to_forward, self.outgoing_cltv_value, &mut to);
        if let Some(PaymentData { payment_secret, total_msat }) = &self.payment_data {
            let mut value = payment_secret.0.to_vec();
            bigsize::write_truncated(total_msat.0, &mut value);
            write_record(PAYMENT_DATA, &value, &mut to);
        }
        if let Some(metadata) = &self.payment_metadata {
            write_record(PAYMENT_METADATA, &metadata.0, &mut to);
        }
        if let Some(preimage) = &self.keysend_preimage {
            write_record(KEYSEND_PREIMAGE, &preimage.0, &mut to);
        }
        to
    }

    /// What all HTLCs of the payment bring together.
    // BOLT 4: "MUST treat `total_msat` as if it were equal to `amt_to_forward` if it is not
    // present."
    pub fn total_msat(&self) -> Msat {
        self.payment_data.map_or(self.amt_to_forward, |data| data.total_msat)
    }
}

impl ForwardPayload {
    /// Reads the payload of any other hop.
    pub fn parse(payload: &[u8]) -> Result<Self, BadPayload> {
        let found = Found::read(payload)?;
        // BOLT 4: "For every non-final node: [...] MUST NOT include `payment_data`". What else is
        // only for the recipient shows the same: this is not the end that the sender meant.
        let places = [
            found.payment_data.as_ref().map(|(_, at)| at),
            found.payment_metadata.as_ref().map(|(_, at)| at),
            found.keysend_preimage.as_ref().map(|(_, at)| at),
        ];
        if let Some(at) = places.into_iter().flatten().next() {
            return Err(BadPayload::misplaced(*at));
        }
        let short_channel_id = found.short_channel_id.map(|(scid, _)| scid);
        Ok(Self {
            amt_to_forward: found.require(found.amt_to_forward, AMT_TO_FORWARD)?,
            outgoing_cltv_value: found.require(found.outgoing_cltv_value, OUTGOING_CLTV_VALUE)?,
            short_channel_id: found.require(short_channel_id, SHORT_CHANNEL_ID)?,
        })
    }

    /// The bytes for [`Hop`](crate::Hop).
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        write_amounts(self.amt_to_forward, self.outgoing_cltv_value, &mut to);
        write_record(SHORT_CHANNEL_ID, &self.short_channel_id.0.to_be_bytes(), &mut to);
        to
    }
}

impl Found {
    fn read(payload: &[u8]) -> Result<Self, BadPayload> {
        let (got, max) = (payload.len(), PAYLOAD_BYTES_MAX);
        if got > max {
            return Err(BadPayload { at: None, flaw: PayloadFlaw::TooLong { got, max } });
        }
        let mut found = Self { bytes: got, ..Self::default() };
        let mut records = Records::new(Reader::new(payload));
        let mut offset = 0;
        loop {
            let next = records.next_record().map_err(|broke| BadPayload::stream(broke, offset))?;
            let Some(record) = next else { return Ok(found) };
            let at = RecordAt { record: record.number, offset: narrow(offset) };
            found
                .take(record, at)
                .map_err(|broke| BadPayload { at: Some(at), flaw: PayloadFlaw::Broke(broke) })?;
            offset += record_size(record.number, record.value.len());
        }
    }

    fn take(&mut self, record: Record<'_>, at: RecordAt) -> Result<(), Broke> {
        let mut value = Reader::new(record.value);
        match record.number {
            AMT_TO_FORWARD => self.amt_to_forward = Some(read_msat(value)?),
            OUTGOING_CLTV_VALUE => {
                let height = bigsize::read_truncated(&mut value, 4)?;
                let height = u32::try_from(height).expect("4 bytes are a u32");
                self.outgoing_cltv_value = Some(BlockHeight(height));
            }
            SHORT_CHANNEL_ID => {
                self.short_channel_id = Some((wire::tlv::read_value(record.value)?, at));
            }
            PAYMENT_DATA => {
                let payment_secret = PaymentSecret(*value.array()?);
                let data = PaymentData { payment_secret, total_msat: read_msat(value)? };
                self.payment_data = Some((data, at));
            }
            PAYMENT_METADATA => self.payment_metadata = Some((Blob(record.value.to_vec()), at)),
            KEYSEND_PREIMAGE => {
                self.keysend_preimage = Some((wire::tlv::read_value(record.value)?, at));
            }
            odd if planted::skips(odd) => {}
            even => return Err(Broke::UnknownEvenTlv { record: even }),
        }
        Ok(())
    }

    fn require<T>(&self, value: Option<T>, record: u64) -> Result<T, BadPayload> {
        let at = RecordAt { record, offset: narrow(self.bytes) };
        value.ok_or(BadPayload { at: Some(at), flaw: PayloadFlaw::Missing })
    }
}

fn read_msat(mut value: Reader<'_>) -> Result<Msat, Broke> {
    bigsize::read_truncated(&mut value, 8).map(Msat)
}

fn write_amounts(amt_to_forward: Msat, outgoing_cltv_value: BlockHeight, to: &mut Vec<u8>) {
    let mut value = Vec::with_capacity(8);
    bigsize::write_truncated(amt_to_forward.0, &mut value);
    write_record(AMT_TO_FORWARD, &value, to);
    value.clear();
    bigsize::write_truncated(u64::from(outgoing_cltv_value.0), &mut value);
    write_record(OUTGOING_CLTV_VALUE, &value, to);
}

fn write_record(number: u64, value: &[u8], to: &mut Vec<u8>) {
    bigsize::write(number, to);
    bigsize::write(value.len() as u64, to);
    to.extend_from_slice(value);
}

fn record_size(number: u64, bytes: usize) -> usize {
    bigsize::size(number) + bigsize::size(bytes as u64) + bytes
}

fn narrow(offset: usize) -> u16 {
    u16::try_from(offset).expect("a payload has at most 1265 bytes")
}

impl BadPayload {
    /// The answer to whoever made the onion.
    pub fn failure(&self) -> Failure {
        Failure::InvalidOnionPayload { culprit: Culprit(self.at) }
    }

    fn misplaced(at: RecordAt) -> Self {
        Self { at: Some(at), flaw: PayloadFlaw::Misplaced }
    }

    /// A stream that breaks at `offset`, with the record if its type is known.
    fn stream(broke: Broke, offset: usize) -> Self {
        let record = if let Broke::TlvOrder { got: record, .. } | Broke::TlvTwice { record } = broke
        {
            Some(record)
        } else {
            None
        };
        let at = record.map(|record| RecordAt { record, offset: narrow(offset) });
        Self { at, flaw: PayloadFlaw::Broke(broke) }
    }
}

impl fmt::Display for BadPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payload")?;
        if let Some(RecordAt { record, offset }) = self.at {
            write!(f, ", record {record} at {offset}")?;
        }
        match &self.flaw {
            PayloadFlaw::TooShort { got, min } => write!(f, ": {got} bytes, at least {min}"),
            PayloadFlaw::TooLong { got, max } => write!(f, ": {got} bytes, at most {max}"),
            PayloadFlaw::Broke(broke) => write!(f, ": {broke}"),
            PayloadFlaw::Missing => f.write_str(": is missing"),
            PayloadFlaw::Misplaced => f.write_str(": is for another kind of hop"),
        }
    }
}

impl core::error::Error for BadPayload {}
