//! Scripts without the kernel: what is accepted there the kernel accepts, and each of the kinds
//! that it knows is.

use bitcoin::{
    OutPoint, ScriptBuf, TapSighashType, Transaction, TxOut, Txid, Witness, hashes::Hash,
    taproot::Signature,
};
use devnet::ledger::{plain, verify};
use wire::dice::Dice;

use crate::purse::{Coin, Lock, Purse, sat};

fn coins(lock: Lock) -> Vec<Coin> {
    let coin = |vout| {
        let outpoint = OutPoint { txid: Txid::from_byte_array([3; 32]), vout };
        Coin { outpoint, value: sat(50_000 + u64::from(vout)), lock }
    };
    (0..3).map(coin).collect()
}

fn spend(purse: &Purse, lock: Lock) -> (Transaction, Vec<TxOut>) {
    let coins = coins(lock);
    let tx = purse.spend(&coins, &[(Lock::Key, sat(40_000)), (Lock::Taproot, sat(50_000))]);
    let outputs = coins.iter().map(|coin| purse.output(coin.lock, coin.value));
    (tx, outputs.collect())
}

#[test]
fn what_it_knows_is_accepted_and_all_else_refused() {
    let purse = Purse::new();
    assert_eq!(purse.script(Lock::Anyone), plain::anyone());
    for lock in [Lock::Taproot, Lock::Anyone] {
        let (tx, spent) = spend(&purse, lock);
        assert_eq!((plain::verify(&tx, &spent), verify(&tx, &spent)), (Ok(()), Ok(())), "{lock:?}");
        assert!(plain::verify(&tx, &spent[..2]).is_err(), "one is missing");
    }
    for lock in [Lock::Key, Lock::OldKey, Lock::Nested, Lock::Anchor] {
        let (tx, spent) = spend(&purse, lock);
        assert!(plain::verify(&tx, &spent).is_err(), "{lock:?}");
        assert_eq!(verify(&tx, &spent), Ok(()), "{lock:?}");
    }
}

/// A change that may break a signature.
fn change(tx: &mut Transaction, spent: &mut [TxOut], dice: &mut Dice) {
    let at = dice.below(tx.input.len());
    let input = &mut tx.input[at];
    let mut item = input.witness.nth(0).expect("it is signed").to_vec();
    match dice.below(9) {
        0 => {
            let byte = dice.below(item.len());
            item[byte] ^= 1 << dice.below(8);
            input.witness = Witness::from_slice(&[item]);
        }
        1 => input.witness.push([0x50, 1]),
        2 => input.witness.clear(),
        3 => input.script_sig = ScriptBuf::from_bytes(vec![0x51]),
        4 => {
            item.push([0, 1, 2, 3, 0x81, 7][dice.below(6)]);
            input.witness = Witness::from_slice(&[item]);
        }
        5 => spent[at].value += sat(1),
        6 => tx.output[0].value -= sat(1),
        7 => spent[at].script_pubkey = Purse::new().script(Lock::Taproot),
        _ => spent.swap(0, at),
    }
}

#[test]
fn nothing_is_accepted_that_the_kernel_refuses() {
    let (purse, mut dice) = (Purse::new(), Dice::new(9));
    let mut refused = 0;
    for nth in 0..400 {
        let (mut tx, mut spent) = spend(&purse, [Lock::Taproot, Lock::Anyone][nth % 2]);
        change(&mut tx, &mut spent, &mut dice);
        let (ours, theirs) = (plain::verify(&tx, &spent), verify(&tx, &spent));
        if ours.is_err() {
            refused += 1;
        } else {
            assert_eq!(theirs, Ok(()), "{tx:?}");
        }
    }
    assert!((200..400).contains(&refused), "{refused} refused: some must be, others not");
}

#[test]
fn other_sighashes_are_accepted() {
    let purse = Purse::new();
    let (mut tx, spent) = spend(&purse, Lock::Taproot);
    let signed = tx.input[0].witness.nth(0).expect("it is signed").to_vec();
    let usual = Signature::from_slice(&signed).expect("a signature");
    assert_eq!(usual.sighash_type, TapSighashType::Default);
    for sighash_type in [TapSighashType::All, TapSighashType::NonePlusAnyoneCanPay] {
        tx.input[0].witness = purse.by_key(&tx, 0, &spent, sighash_type);
        assert_eq!((plain::verify(&tx, &spent), verify(&tx, &spent)), (Ok(()), Ok(())));
    }
}
