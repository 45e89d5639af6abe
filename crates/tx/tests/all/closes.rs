//! Cooperative closes: who pays, what is rounded down, what is left out.

use bitcoin::{OutPoint, ScriptBuf, Sequence, Transaction, absolute};
use secp256k1::{SECP256K1, SecretKey};
use tx::{Basepoints, Close, ClosingOutputs, Form, Funding, Party, Side, Terms};
use wire::amount::{CsvDelay, LockTime, Msat, Sat};
use wire::key::Point;

fn point(byte: u8) -> Point {
    SecretKey::from_slice(&[byte; 32]).expect("a scalar").public_key(SECP256K1).into()
}

fn terms() -> Terms {
    let party = |byte| {
        let [revocation, payment, delayed_payment, htlc] = [1, 2, 3, 4].map(|by| point(byte + by));
        let keys = Basepoints { revocation, payment, delayed_payment, htlc };
        Party { funding_key: point(byte), keys, dust_limit: Sat(354), delay: CsvDelay(144) }
    };
    let funding = Funding { outpoint: OutPoint::null(), value: Sat(1_000_000) };
    Terms { form: Form::Anchors, funding, opener: party(10), acceptor: party(20) }
}

/// A script of 22 bytes, and one that burns.
fn script(byte: u8) -> ScriptBuf {
    ScriptBuf::from_bytes([&[0, 20][..], &[byte; 20]].concat())
}

fn burning() -> ScriptBuf {
    ScriptBuf::from_bytes([&[0x6a, 6][..], &[7; 6]].concat())
}

/// 700,000.9 sat of the opener and 299,999.1 of the acceptor.
fn close(dialect: ClosingOutputs) -> Close {
    Close {
        to_opener: Msat(700_000_900),
        to_acceptor: Msat(299_999_100),
        opener_script: Some(script(1)),
        acceptor_script: Some(script(2)),
        fee: Sat(500),
        dialect,
    }
}

fn outputs(close: &Close) -> Vec<(u64, ScriptBuf)> {
    let built = close.build(&terms()).expect("there is something to pay");
    built.output.iter().map(|it| (it.value.to_sat(), it.script_pubkey.clone())).collect()
}

fn looks(transaction: &Transaction) -> (i32, u32, Sequence, usize) {
    let absolute::LockTime::Blocks(_) = transaction.lock_time else { panic!("a height") };
    let [input] = &transaction.input[..] else { panic!("one input") };
    assert_eq!(input.previous_output, OutPoint::null());
    let lock_time = transaction.lock_time.to_consensus_u32();
    (transaction.version.0, lock_time, input.sequence, input.script_sig.len())
}

const SIGNED: ClosingOutputs = ClosingOutputs::Signed { dust_limit: Sat(354) };

#[test]
fn a_close_of_the_first_dialect_is_paid_for_by_the_opener() {
    let both = close(SIGNED);
    assert_eq!(outputs(&both), [(299_999, script(2)), (699_500, script(1))]);
    let built = both.build(&terms()).expect("it is the same");
    assert_eq!(looks(&built), (2, 0, Sequence(0xffff_ffff), 0));
    // What is below the limit of the side that signs is left out; its own may be anyway.
    let poor = |to_opener| Close { to_opener: Msat(to_opener), ..both.clone() };
    assert_eq!(outputs(&poor(854_000)), [(354, script(1)), (299_999, script(2))]);
    assert_eq!(outputs(&poor(853_999)), [(299_999, script(2))]);
    let dialect = ClosingOutputs::Signed { dust_limit: Sat(355) };
    assert_eq!(outputs(&Close { dialect, ..poor(854_000) }), [(299_999, script(2))]);
    let only = Close { opener_script: None, ..both.clone() };
    assert_eq!(outputs(&only), [(299_999, script(2))]);
    // Nobody pays what he does not have, and nothing pays nobody.
    assert_eq!(poor(499_999).build(&terms()), None);
    let nothing = Close { to_acceptor: Msat(353_999), ..poor(853_999) };
    assert_eq!(nothing.build(&terms()), None);
}

#[test]
fn a_close_of_the_second_dialect_is_paid_for_by_whoever_wants_it() {
    let with = |closer| close(ClosingOutputs::Complete { closer, lock_time: LockTime(850_000) });
    let [opener, acceptor] = [Side::Opener, Side::Acceptor].map(with);
    assert_eq!(outputs(&opener), [(299_999, script(2)), (699_500, script(1))]);
    assert_eq!(outputs(&acceptor), [(299_499, script(2)), (700_000, script(1))]);
    for close in [&opener, &acceptor] {
        let built = close.build(&terms()).expect("it is the same");
        assert_eq!(looks(&built), (2, 850_000, Sequence(0xffff_fffd), 0));
    }
    // What burns pays nothing: all of it goes to the fee.
    let burns = Close { opener_script: Some(burning()), ..opener.clone() };
    assert_eq!(outputs(&burns), [(0, burning()), (299_999, script(2))]);
    let burns = Close { acceptor_script: Some(burning()), ..opener.clone() };
    assert_eq!(outputs(&burns), [(0, burning()), (699_500, script(1))]);
    // No limit: each side leaves out what it does not want.
    let dust = Close { to_acceptor: Msat(1_999), ..opener.clone() };
    assert_eq!(outputs(&dust), [(1, script(2)), (699_500, script(1))]);
    let dust = Close { acceptor_script: None, ..dust };
    assert_eq!(outputs(&dust), [(699_500, script(1))]);
    let poor = Close { to_opener: Msat(499_999), ..opener };
    assert_eq!(poor.build(&terms()), None);
}
