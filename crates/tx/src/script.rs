//! The scripts of BOLT 3 that every channel has; those of contracts stand with their contracts.

use bitcoin::opcodes::all::{
    OP_CHECKMULTISIG, OP_CHECKSIG, OP_CHECKSIGVERIFY, OP_CSV, OP_DROP, OP_ELSE, OP_ENDIF, OP_IF,
    OP_IFDUP, OP_NOTIF,
};
use bitcoin::{ScriptBuf, WPubkeyHash, hashes::Hash as _, script::Builder};
use wire::amount::CsvDelay;
use wire::key::Point;

use crate::{CommitmentKeys, Form, Terms};

/// Blocks after which anybody may take an anchor.
const ANCHOR_OPEN_BLOCKS: i64 = 16;

/// The funding output: two of two, the keys in the order of their bytes.
pub fn funding(terms: &Terms) -> ScriptBuf {
    let keys = [terms.opener.funding_key.bytes(), terms.acceptor.funding_key.bytes()];
    let (first, second) = match keys[0] < keys[1] {
        true => (keys[0], keys[1]),
        false => (keys[1], keys[0]),
    };
    Builder::new()
        .push_int(2)
        .push_slice(first)
        .push_slice(second)
        .push_int(2)
        .push_opcode(OP_CHECKMULTISIG)
        .into_script()
}

/// `to_local`, and the output of every second stage: the owner's after a delay, the other's at once
/// if the commitment was revoked.
pub fn revocable(keys: &CommitmentKeys, delay: CsvDelay) -> ScriptBuf {
    Builder::new()
        .push_opcode(OP_IF)
        .push_slice(keys.revocation.bytes())
        .push_opcode(OP_ELSE)
        .push_int(delay.0.into())
        .push_opcode(OP_CSV)
        .push_opcode(OP_DROP)
        .push_slice(keys.delayed.bytes())
        .push_opcode(OP_ENDIF)
        .push_opcode(OP_CHECKSIG)
        .into_script()
}

/// What `to_remote` pays to, and the witness script behind it if there is one.
pub fn to_remote(form: Form, payment: &Point) -> (ScriptBuf, Option<ScriptBuf>) {
    match form {
        Form::StaticRemoteKey => {
            (ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&payment.bytes())), None)
        }
        Form::Anchors => {
            let script = Builder::new()
                .push_slice(payment.bytes())
                .push_opcode(OP_CHECKSIGVERIFY)
                .push_int(1)
                .push_opcode(OP_CSV)
                .into_script();
            (script.to_p2wsh(), Some(script))
        }
    }
}

/// An anchor: its owner's at once, anybody's after some blocks, so that none stays unspent.
pub fn anchor(funding_key: &Point) -> ScriptBuf {
    Builder::new()
        .push_slice(funding_key.bytes())
        .push_opcode(OP_CHECKSIG)
        .push_opcode(OP_IFDUP)
        .push_opcode(OP_NOTIF)
        .push_int(ANCHOR_OPEN_BLOCKS)
        .push_opcode(OP_CSV)
        .push_opcode(OP_ENDIF)
        .into_script()
}
