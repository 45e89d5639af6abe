//! An HTLC whose refund is relative: it waits as long as both like.
//!
//! The refund counts from the block of the commitment, so no deadline forces anybody to the chain.
//! Only channels with anchors have it. The witness script, as HTLCs of BOLT 3 have it but for
//! `refund_delay OP_CSV` in the place of `cltv_expiry OP_CLTV`, and for a payer that takes its own
//! commitment's output back by itself: `refund_delay` is no less than its `to_self_delay`, so a
//! second stage would win nothing.

use std::sync::Arc;

use bitcoin::hashes::{Hash as _, hash160, ripemd160, sha256};
use bitcoin::opcodes::all::{
    OP_CHECKSIG, OP_CSV, OP_DROP, OP_DUP, OP_ELSE, OP_ENDIF, OP_EQUAL, OP_EQUALVERIFY, OP_HASH160,
    OP_IF, OP_SIZE, OP_SWAP,
};
use bitcoin::script::Builder;
use bitcoin::{ScriptBuf, Sequence};
use wire::amount::{CsvDelay, LockTime};
use wire::id::PaymentHash;

use super::htlc::both;
use super::{Contract, Direction, Flaw, Item, Kind, Place, Stage, Template, Way, Who};
use crate::{Form, Side, Terms};

/// The kind of [`Parked`].
pub const PARKED: Kind = Kind(1);
/// Nobody waits longer for its money once a commitment is in the chain: four weeks.
pub const PARKED_BLOCKS_MAX: u16 = 4_032;
const TERMS_BYTES: usize = 34;
const PREIMAGE_BYTES: usize = 32;
/// The weight of its second stage. It pays nothing by itself.
const STAGE_WEIGHT: u64 = 706;

/// Reads [`Parked`] contracts.
#[derive(Clone, Copy, Debug)]
pub struct ParkedTemplate;

/// Whoever shows the preimage is paid; `refund_delay` after the commitment the payer may take the
/// money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// SHA-256 of the preimage.
    pub payment_hash: PaymentHash,
    /// At most [`PARKED_BLOCKS_MAX`], at least the payer's `to_self_delay`.
    pub refund_delay: CsvDelay,
}

impl Template for ParkedTemplate {
    fn kind(&self) -> Kind {
        PARKED
    }

    fn read(&self, terms: &[u8]) -> Result<Arc<dyn Contract>, Flaw> {
        let wrong = Flaw::Length { got: terms.len(), want: TERMS_BYTES };
        let (hash, delay) = terms.split_first_chunk::<32>().ok_or(wrong)?;
        let delay = u16::from_be_bytes(delay.try_into().map_err(|_| wrong)?);
        if delay > PARKED_BLOCKS_MAX {
            let (got, max) = (delay.into(), PARKED_BLOCKS_MAX.into());
            return Err(Flaw::Value { field: "refund_delay", got, max });
        }
        let refund_delay = CsvDelay(delay);
        Ok(Arc::new(Parked { payment_hash: PaymentHash(*hash), refund_delay }))
    }
}

impl Parked {
    /// The payer owns the commitment: `... OP_SIZE 32 OP_EQUAL OP_IF OP_HASH160 <hash>
    /// OP_EQUALVERIFY 1 OP_CSV OP_DROP <payee> OP_CHECKSIG OP_ELSE <refund>`.
    fn offered(&self, begun: Builder, place: &Place<'_>) -> Builder {
        let opened = self.opened(begun.push_opcode(OP_SIZE));
        let opened = waiting(opened, 1).push_slice(place.keys.other.bytes());
        let refund = opened.push_opcode(OP_CHECKSIG).push_opcode(OP_ELSE).push_opcode(OP_DROP);
        waiting(refund, self.refund_delay.0)
            .push_slice(place.keys.owner.bytes())
            .push_opcode(OP_CHECKSIG)
            .push_opcode(OP_ENDIF)
    }

    /// The payee owns it: `... <payer> OP_SWAP OP_SIZE 32 OP_EQUAL OP_IF OP_HASH160 <hash>
    /// OP_EQUALVERIFY <two of two> OP_ELSE <refund> OP_ENDIF 1 OP_CSV OP_DROP`.
    fn received(&self, begun: Builder, place: &Place<'_>) -> Builder {
        let begun = begun.push_slice(place.keys.other.bytes()).push_opcode(OP_SWAP);
        let opened = self.opened(begun.push_opcode(OP_SIZE));
        let refund = both(opened, place.keys.owner.bytes());
        let refund = refund.push_opcode(OP_ELSE).push_opcode(OP_DROP);
        let refund = waiting(refund, self.refund_delay.0).push_opcode(OP_CHECKSIG);
        waiting(refund.push_opcode(OP_ENDIF), 1)
    }

    fn opened(&self, begun: Builder) -> Builder {
        begun
            .push_int(PREIMAGE_BYTES as i64)
            .push_opcode(OP_EQUAL)
            .push_opcode(OP_IF)
            .push_opcode(OP_HASH160)
            .push_slice(ripemd160::Hash::hash(&self.payment_hash.0).to_byte_array())
            .push_opcode(OP_EQUALVERIFY)
    }
}

impl Contract for Parked {
    fn kind(&self) -> Kind {
        PARKED
    }

    fn terms(&self) -> Vec<u8> {
        [&self.payment_hash.0[..], &self.refund_delay.0.to_be_bytes()].concat()
    }

    fn script(&self, place: &Place<'_>) -> ScriptBuf {
        let begun = Builder::new()
            .push_opcode(OP_DUP)
            .push_opcode(OP_HASH160)
            .push_slice(hash160::Hash::hash(&place.keys.revocation.bytes()).to_byte_array())
            .push_opcode(OP_EQUAL)
            .push_opcode(OP_IF)
            .push_opcode(OP_CHECKSIG)
            .push_opcode(OP_ELSE);
        let ended = match place.direction {
            Direction::Offered => self.offered(begun, place),
            Direction::Received => self.received(begun, place),
        };
        ended.push_opcode(OP_ENDIF).into_script()
    }

    fn order(&self) -> u32 {
        self.refund_delay.0.into()
    }

    fn stage(&self, _: Form, direction: Direction) -> Option<Stage> {
        match direction {
            Direction::Offered => None,
            Direction::Received => Some(Stage { weight: STAGE_WEIGHT, lock_time: LockTime(0) }),
        }
    }

    fn ways(&self, place: &Place<'_>) -> Vec<Way> {
        let nothing = || Item::Bytes(Vec::new());
        let secret = || Item::Secret(PREIMAGE_BYTES);
        let at_once = Sequence(place.form.sequence());
        let refund = Sequence::from_height(self.refund_delay.0);
        let way = |name, (who, staged), sequence, witness| Way {
            name,
            who,
            staged,
            lock_time: LockTime(0),
            sequence,
            witness,
        };
        let (other, owner) = (Item::OtherSignature, Item::OwnerSignature);
        let [first, second] = match place.direction {
            Direction::Offered => [
                way("refund", (Who::Owner, false), refund, vec![owner, nothing()]),
                way("preimage", (Who::Other, false), at_once, vec![other, secret()]),
            ],
            Direction::Received => {
                let both = vec![nothing(), other.clone(), owner, secret()];
                [
                    way("preimage", (Who::Owner, true), at_once, both),
                    way("refund", (Who::Other, false), refund, vec![other, nothing()]),
                ]
            }
        };
        let revocation_key = Item::Bytes(place.keys.revocation.bytes().to_vec());
        let punish = vec![Item::RevocationSignature, revocation_key];
        vec![first, second, way("penalty", (Who::Punisher, false), at_once, punish)]
    }

    fn is_opened_by(&self, secret: &[u8]) -> bool {
        secret.len() == PREIMAGE_BYTES
            && sha256::Hash::hash(secret).to_byte_array() == self.payment_hash.0
    }

    /// The payer's own commitment gives it back without a second stage: if it was revoked, the
    /// payee has as long to punish it as for all else in it.
    fn fits(&self, terms: &Terms, offered_by: Side) -> Result<(), Flaw> {
        if terms.form != Form::Anchors {
            return Err(Flaw::Form { kind: PARKED });
        }
        let [got, min] =
            [self.refund_delay, terms.party(offered_by).delay].map(|it| u64::from(it.0));
        let (field, max) = ("refund_delay", u64::from(PARKED_BLOCKS_MAX));
        if got > max {
            return Err(Flaw::Value { field, got, max });
        }
        if got < min { Err(Flaw::Least { field, got, min }) } else { Ok(()) }
    }
}

fn waiting(begun: Builder, blocks: u16) -> Builder {
    begun.push_int(blocks.into()).push_opcode(OP_CSV).push_opcode(OP_DROP)
}
