//! The hash time locked contract of BOLT 3.

use std::sync::Arc;

use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::hashes::{Hash as _, hash160, ripemd160, sha256};
use bitcoin::opcodes::all::{
    OP_CHECKMULTISIG, OP_CHECKSIG, OP_CLTV, OP_CSV, OP_DROP, OP_DUP, OP_ELSE, OP_ENDIF, OP_EQUAL,
    OP_EQUALVERIFY, OP_HASH160, OP_IF, OP_NOTIF, OP_SIZE, OP_SWAP,
};
use bitcoin::script::Builder;
use wire::amount::{BlockHeight, LockTime};
use wire::id::PaymentHash;

use super::{Contract, Direction, Flaw, Item, Kind, Place, Stage, Template, Way, Who};
use crate::Form;

/// The kind of [`Htlc`].
pub const HTLC: Kind = Kind(0);
const TERMS_BYTES: usize = 36;
const PREIMAGE_BYTES: usize = 32;
/// Lock times from here on are times and no heights.
const HEIGHT_MAX: u32 = 499_999_999;

/// Reads [`Htlc`]s.
#[derive(Clone, Copy, Debug)]
pub struct HtlcTemplate;

/// Whoever shows the preimage is paid; after `cltv_expiry` the payer may take the money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Htlc {
    /// SHA-256 of the preimage.
    pub payment_hash: PaymentHash,
    /// A height, at most 499,999,999: [`HtlcTemplate`] and `channel` refuse others.
    pub cltv_expiry: BlockHeight,
}

impl Template for HtlcTemplate {
    fn kind(&self) -> Kind {
        HTLC
    }

    fn read(&self, terms: &[u8]) -> Result<Arc<dyn Contract>, Flaw> {
        let wrong = Flaw::Length { got: terms.len(), want: TERMS_BYTES };
        let (hash, expiry) = terms.split_first_chunk::<32>().ok_or(wrong)?;
        let expiry = u32::from_be_bytes(expiry.try_into().map_err(|_| wrong)?);
        if expiry > HEIGHT_MAX {
            let (got, max) = (expiry.into(), HEIGHT_MAX.into());
            return Err(Flaw::Value { field: "cltv_expiry", got, max });
        }
        let cltv_expiry = BlockHeight(expiry);
        Ok(Arc::new(Htlc { payment_hash: PaymentHash(*hash), cltv_expiry }))
    }
}

impl Contract for Htlc {
    fn kind(&self) -> Kind {
        HTLC
    }

    fn terms(&self) -> Vec<u8> {
        [&self.payment_hash.0[..], &self.cltv_expiry.0.to_be_bytes()].concat()
    }

    fn script(&self, place: &Place<'_>) -> ScriptBuf {
        let hash = ripemd160::Hash::hash(&self.payment_hash.0).to_byte_array();
        let keys = place.keys;
        let begun = Builder::new()
            .push_opcode(OP_DUP)
            .push_opcode(OP_HASH160)
            .push_slice(hash160::Hash::hash(&keys.revocation.bytes()).to_byte_array())
            .push_opcode(OP_EQUAL)
            .push_opcode(OP_IF)
            .push_opcode(OP_CHECKSIG)
            .push_opcode(OP_ELSE)
            .push_slice(keys.other.bytes())
            .push_opcode(OP_SWAP)
            .push_opcode(OP_SIZE)
            .push_int(PREIMAGE_BYTES as i64)
            .push_opcode(OP_EQUAL);
        let owner = keys.owner.bytes();
        let ended = match place.direction {
            Direction::Offered => offered(begun, owner, hash),
            Direction::Received => received(begun, owner, hash, self.cltv_expiry),
        };
        let ended = ended.push_opcode(OP_ENDIF);
        let ended = match place.form {
            Form::StaticRemoteKey => ended,
            Form::Anchors => ended.push_int(1).push_opcode(OP_CSV).push_opcode(OP_DROP),
        };
        ended.push_opcode(OP_ENDIF).into_script()
    }

    fn order(&self) -> u32 {
        self.cltv_expiry.0
    }

    fn stage(&self, form: Form, direction: Direction) -> Option<Stage> {
        let weight = match (direction, form) {
            (Direction::Offered, Form::StaticRemoteKey) => 663,
            (Direction::Offered, Form::Anchors) => 666,
            (Direction::Received, Form::StaticRemoteKey) => 703,
            (Direction::Received, Form::Anchors) => 706,
        };
        let lock_time = match direction {
            Direction::Offered => LockTime(self.cltv_expiry.0),
            Direction::Received => LockTime(0),
        };
        Some(Stage { weight, lock_time })
    }

    fn ways(&self, place: &Place<'_>) -> Vec<Way> {
        let nothing = || Item::Bytes(Vec::new());
        let secret = || Item::Secret(PREIMAGE_BYTES);
        let both = |last| vec![nothing(), Item::OtherSignature, Item::OwnerSignature, last];
        let expiry = LockTime(self.cltv_expiry.0);
        let sequence = Sequence(place.form.sequence());
        let way = |name, who, lock_time, witness| {
            let staged = who == Who::Owner;
            Way { name, who, staged, lock_time, sequence, witness }
        };
        let (now, other) = (LockTime(0), Item::OtherSignature);
        let revocation_key = Item::Bytes(place.keys.revocation.bytes().to_vec());
        let punish = vec![Item::RevocationSignature, revocation_key];
        let [first, second] = match place.direction {
            Direction::Offered => [
                way("timeout", Who::Owner, expiry, both(nothing())),
                way("preimage", Who::Other, now, vec![other, secret()]),
            ],
            Direction::Received => [
                way("preimage", Who::Owner, now, both(secret())),
                way("timeout", Who::Other, expiry, vec![other, nothing()]),
            ],
        };
        vec![first, second, way("penalty", Who::Punisher, now, punish)]
    }

    fn is_opened_by(&self, secret: &[u8]) -> bool {
        secret.len() == PREIMAGE_BYTES
            && sha256::Hash::hash(secret).to_byte_array() == self.payment_hash.0
    }
}

/// The owner pays: its second stage waits for the expiry, the other shows the preimage.
fn offered(begun: Builder, owner: [u8; 33], hash: [u8; 20]) -> Builder {
    both(begun.push_opcode(OP_NOTIF).push_opcode(OP_DROP), owner)
        .push_opcode(OP_ELSE)
        .push_opcode(OP_HASH160)
        .push_slice(hash)
        .push_opcode(OP_EQUALVERIFY)
        .push_opcode(OP_CHECKSIG)
}

/// The owner is paid: its second stage shows the preimage, the other waits for the expiry.
fn received(begun: Builder, owner: [u8; 33], hash: [u8; 20], expiry: BlockHeight) -> Builder {
    let begun = begun.push_opcode(OP_IF).push_opcode(OP_HASH160);
    both(begun.push_slice(hash).push_opcode(OP_EQUALVERIFY), owner)
        .push_opcode(OP_ELSE)
        .push_opcode(OP_DROP)
        .push_int(expiry.0.into())
        .push_opcode(OP_CLTV)
        .push_opcode(OP_DROP)
        .push_opcode(OP_CHECKSIG)
}

/// The second stage: two of two, the other's key being on the stack.
pub(super) fn both(begun: Builder, owner: [u8; 33]) -> Builder {
    begun
        .push_int(2)
        .push_opcode(OP_SWAP)
        .push_slice(owner)
        .push_int(2)
        .push_opcode(OP_CHECKMULTISIG)
}
