//! What stands in commitments.

use std::sync::Arc;

use bitcoin::hashes::{Hash as _, hash160};
use bitcoin::opcodes::all::{
    OP_CHECKSIG, OP_CSV, OP_DROP, OP_DUP, OP_ELSE, OP_ENDIF, OP_EQUAL, OP_EQUALVERIFY, OP_HASH160,
    OP_IF, OP_SIZE,
};
use bitcoin::script::Builder;
use bitcoin::{ScriptBuf, Sequence};
use tx::{
    Contract, Direction, Flaw, Form, Item, Kind, Place, Side, Stage, Template, Terms, Way, Who,
};
use wire::amount::{CsvDelay, LockTime};

/// The kind of [`Toll`]s. From 32,768 on kinds are free for anyone.
pub const TOLL: Kind = Kind(40_001);
/// What opens one.
pub const WORD_BYTES: usize = 16;
/// Nobody waits longer for its money.
pub const WAIT_BLOCKS_MAX: u16 = 4_032;
const HASH_BYTES: usize = 20;
const TERMS_BYTES: usize = HASH_BYTES + 2;

/// Reads [`Toll`]s.
#[derive(Clone, Copy, Debug)]
pub struct TollTemplate;

/// Whoever shows the word is paid; `wait` after the commitment the payer may take the money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toll {
    /// [`hash_of`] the word.
    pub hash: [u8; HASH_BYTES],
    /// From the block of the commitment on. The payee waits for half of it if the commitment is
    /// its own, so that a revoked one can be punished.
    pub wait: CsvDelay,
}

/// HASH160 of a word.
pub fn hash_of(word: &[u8; WORD_BYTES]) -> [u8; HASH_BYTES] {
    hash160::Hash::hash(word).to_byte_array()
}

impl Template for TollTemplate {
    fn kind(&self) -> Kind {
        TOLL
    }

    fn read(&self, terms: &[u8]) -> Result<Arc<dyn Contract>, Flaw> {
        let wrong = Flaw::Length { got: terms.len(), want: TERMS_BYTES };
        let (hash, wait) = terms.split_first_chunk::<HASH_BYTES>().ok_or(wrong)?;
        let wait = u16::from_be_bytes(wait.try_into().map_err(|_| wrong)?);
        if wait > WAIT_BLOCKS_MAX {
            let (got, max) = (wait.into(), WAIT_BLOCKS_MAX.into());
            return Err(Flaw::Value { field: "wait", got, max });
        }
        Ok(Arc::new(Toll { hash: *hash, wait: CsvDelay(wait) }))
    }
}

impl Toll {
    /// How long an owner waits that is paid.
    const fn half(&self) -> u16 {
        self.wait.0 / 2
    }
}

impl Contract for Toll {
    fn kind(&self) -> Kind {
        TOLL
    }

    fn terms(&self) -> Vec<u8> {
        [&self.hash[..], &self.wait.0.to_be_bytes()].concat()
    }

    fn script(&self, place: &Place<'_>) -> ScriptBuf {
        let keys = place.keys;
        let (payee, payer) = match place.direction {
            Direction::Offered => (keys.other, keys.owner),
            Direction::Received => (keys.owner, keys.other),
        };
        let begun = Builder::new()
            .push_opcode(OP_DUP)
            .push_opcode(OP_HASH160)
            .push_slice(hash160::Hash::hash(&keys.revocation.bytes()).to_byte_array())
            .push_opcode(OP_EQUAL)
            .push_opcode(OP_IF)
            .push_opcode(OP_CHECKSIG)
            .push_opcode(OP_ELSE)
            .push_opcode(OP_SIZE)
            .push_int(WORD_BYTES as i64)
            .push_opcode(OP_EQUAL)
            .push_opcode(OP_IF)
            .push_opcode(OP_HASH160)
            .push_slice(self.hash)
            .push_opcode(OP_EQUALVERIFY);
        let opened = match place.direction {
            Direction::Offered => begun,
            Direction::Received => waiting(begun, self.half()),
        };
        let opened = opened.push_slice(payee.bytes()).push_opcode(OP_CHECKSIG);
        waiting(opened.push_opcode(OP_ELSE).push_opcode(OP_DROP), self.wait.0)
            .push_slice(payer.bytes())
            .push_opcode(OP_CHECKSIG)
            .push_opcode(OP_ENDIF)
            .push_opcode(OP_ENDIF)
            .into_script()
    }

    fn order(&self) -> u32 {
        self.wait.0.into()
    }

    fn stage(&self, _: Form, _: Direction) -> Option<Stage> {
        None
    }

    fn ways(&self, place: &Place<'_>) -> Vec<Way> {
        let signature = |who| match who {
            Who::Owner => Item::OwnerSignature,
            Who::Other => Item::OtherSignature,
            Who::Punisher => Item::RevocationSignature,
        };
        let way = |name, who, sequence, last| {
            let witness = vec![signature(who), last];
            Way { name, who, staged: false, lock_time: LockTime(0), sequence, witness }
        };
        let at_once = Sequence(place.form.sequence());
        let (half, whole) = (Sequence::from_height(self.half()), self.wait.0);
        let (payee, payer, opened) = match place.direction {
            Direction::Offered => (Who::Other, Who::Owner, at_once),
            Direction::Received => (Who::Owner, Who::Other, half),
        };
        let revocation = Item::Bytes(place.keys.revocation.bytes().to_vec());
        vec![
            way("word", payee, opened, Item::Secret(WORD_BYTES)),
            way("refund", payer, Sequence::from_height(whole), Item::Bytes(Vec::new())),
            way("penalty", Who::Punisher, at_once, revocation),
        ]
    }

    fn is_opened_by(&self, secret: &[u8]) -> bool {
        secret.try_into().is_ok_and(|word: &[u8; WORD_BYTES]| hash_of(word) == self.hash)
    }

    /// Whoever owns a commitment must not take of it before the other could punish.
    fn fits(&self, terms: &Terms, _: Side) -> Result<(), Flaw> {
        let longest = terms.opener.delay.max(terms.acceptor.delay).0;
        let (got, min) = (u64::from(self.wait.0), 2 * u64::from(longest));
        if got < min { Err(Flaw::Least { field: "wait", got, min }) } else { Ok(()) }
    }
}

fn waiting(begun: Builder, blocks: u16) -> Builder {
    begun.push_int(blocks.into()).push_opcode(OP_CSV).push_opcode(OP_DROP)
}
