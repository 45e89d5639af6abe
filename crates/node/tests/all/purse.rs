//! The wallet of a treasury: spent when a signer agrees, and as before when it does not.

use std::collections::BTreeSet;

use bitcoin::{Amount, BlockHash, FeeRate, Network, ScriptBuf, Transaction, hashes::Hash as _};
use chain::{Headers, Height, PublishAnswer};
use node::services::{
    saved,
    treasury::{
        Change, Command, FORGET_BLOCKS, Failure, NAME_BLOCKS, NAME_BYTES_MAX, NAMES_MAX, NameFault,
        Named, Ordered, PaymentName, Refusal, Reply, SIGN_MAX, Saved, State, TAKE_MAX,
    },
};
use wire::id::ChainHash;

use crate::{
    bank::{Bank, sign, signer, to},
    blocks::mine,
};

#[test]
fn a_payment_is_saved_before_it_is_published_and_survives_a_restart() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    bank.send(50_000);
    assert_eq!(bank.balance().locked.to_sat(), 200_000, "its coin is kept");
    let before = bank.wallet.changes.len();
    bank.serve(&mut by);
    assert!(bank.wallet.changes.len() > before);
    let Some(Ok(Reply::Sent(sent))) = bank.replies.pop() else { panic!("it is sent") };
    assert_eq!((bank.published.len(), &sent.waits), (1, &None));
    let paid = bank.published[0].clone();
    assert_eq!(paid.compute_txid(), sent.txid);
    let mut bank = bank.restart();
    bank.treasury.signer_came();
    bank.follow();
    bank.serve(&mut by);
    assert_eq!(bank.published, std::slice::from_ref(&paid), "it is published again");
    // The blocks here commit to no witnesses.
    let mut bare = paid;
    bare.input.iter_mut().for_each(|input| input.witness.clear());
    bank.mine(vec![bare]);
    assert_eq!(bank.confirmed(), 150_000 - sent.fee.to_sat());
    assert_eq!(bank.failure, None);
}

#[test]
fn coins_of_a_spend_that_nobody_signs_are_free_again() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    // It goes away.
    bank.send(50_000);
    bank.treasury.signer_went();
    bank.settle();
    assert_eq!(bank.replies.pop(), Some(Err(Refusal::NoSigner)));
    assert_eq!(bank.balance().locked, Amount::ZERO);
    bank.send(50_000);
    assert_eq!(bank.replies.pop(), Some(Err(Refusal::NoSigner)));
    // It says no, or signs something else.
    bank.treasury.signer_came();
    bank.settle();
    bank.serve(&mut by);
    bank.send(50_000);
    let (id, _) = bank.to_sign.remove(0);
    bank.treasury.signer_answered(id, None);
    bank.settle();
    assert!(matches!(bank.replies.pop(), Some(Err(Refusal::Signer { .. }))));
    assert_eq!(bank.balance().locked, Amount::ZERO);
    bank.send(50_000);
    let (id, ask) = bank.to_sign.remove(0);
    let other = sign(&mut signer(8), ask);
    bank.treasury.signer_answered(id, Some(other));
    bank.settle();
    assert!(matches!(bank.replies.pop(), Some(Err(Refusal::Signer { .. }))));
    assert_eq!(bank.balance().locked, Amount::ZERO);
    assert!(bank.published.is_empty());
    // The process ends before it has answered.
    bank.send(50_000);
    let mut bank = bank.restart();
    bank.follow();
    assert_eq!(bank.balance().locked, Amount::ZERO);
    assert_eq!(bank.confirmed(), 200_000);
}

/// Whoever pays hears of it before the API gives up, and what he heard stays true.
#[test]
fn nobody_waits_so_long_that_he_would_pay_twice() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    bank.send(50_000);
    let (id, ask) = bank.to_sign.remove(0);
    let begun = bank.now;
    for _ in 0..100 {
        if !bank.replies.is_empty() {
            break;
        }
        assert!(bank.now.since(begun) <= SIGN_MAX);
        bank.follow();
    }
    assert_eq!(bank.replies.pop(), Some(Err(Refusal::SlowSigner)));
    assert_eq!(bank.balance().locked, Amount::ZERO);
    // It signs nevertheless, and nothing comes of it.
    let late = sign(&mut by, ask);
    bank.treasury.signer_answered(id, Some(late));
    bank.settle();
    bank.follow();
    assert!(bank.published.is_empty() && bank.replies.is_empty());
    // A source that says nothing.
    bank.send(50_000);
    let (id, ask) = bank.to_sign.remove(0);
    let signed = sign(&mut by, ask);
    bank.treasury.signer_answered(id, Some(signed));
    bank.settle();
    let begun = bank.now;
    for _ in 0..100 {
        if !bank.replies.is_empty() {
            break;
        }
        bank.now = bank.treasury.wake_at();
        assert!(bank.now.since(begun) <= TAKE_MAX);
        bank.treasury.wake(bank.now);
        bank.settle();
    }
    let Some(Ok(Reply::Sent(sent))) = bank.replies.pop() else { panic!("it is on its way") };
    assert_eq!(sent.waits.as_deref(), Some("no answer yet"));
    assert!(bank.balance().pending > Amount::ZERO);
}

#[test]
fn what_nobody_will_ever_take_never_was() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    bank.says = PublishAnswer::parse("dust");
    bank.send(50_000);
    bank.serve(&mut by);
    assert!(matches!(bank.replies.pop(), Some(Err(Refusal::NotTaken { .. }))));
    assert_eq!((bank.confirmed(), bank.balance().pending), (200_000, Amount::ZERO));
    // What may be taken later stays, and it is said what it waits for.
    bank.says = PublishAnswer::parse("non-BIP68-final");
    bank.send(50_000);
    bank.serve(&mut by);
    let Some(Ok(Reply::Sent(sent))) = bank.replies.pop() else { panic!("it is sent") };
    assert!(sent.waits.is_some());
    assert!(bank.balance().pending > Amount::ZERO);
}

/// A signer that has seen more than its node is left in peace.
#[test]
fn a_signer_that_is_ahead_is_not_asked_again_and_again() {
    let mut by = signer(7);
    let bank = Bank::rich(&mut by);
    let ahead = mine(mine(bank.tip(), 77, vec![]).block_hash(), 78, vec![]);
    let behind = mine(bank.tip(), 77, vec![]);
    let headers = vec![behind.header, ahead.header];
    assert!(matches!(
        sign(&mut by, signer::Ask::ViewHeaders { headers }),
        signer::Answer::View { .. }
    ));
    let mut bank = bank.restart();
    bank.treasury.signer_came();
    bank.settle();
    for _ in 0..20 {
        let Some((id, ask)) = bank.to_sign.pop() else { return };
        let answer = sign(&mut by, ask);
        bank.treasury.signer_answered(id, Some(answer));
        bank.settle();
    }
    panic!("it is asked for ever");
}

/// What was given up of a payment may be mined, while another payment that has its coins is not:
/// until that is decided, the payment is not made once more.
#[test]
fn a_payment_that_may_still_be_mined_is_not_made_beside_another_one() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    let first = bank.paid(&mut by, Some("rent"), 50_000).txid;
    assert!(bank.forget(first, true).is_ok());
    let other = bank.paid(&mut by, Some("food"), 20_000).txid;
    let again = |bank: &mut Bank| {
        bank.send_as(Some("rent"), 50_000);
        bank.replies.pop()
    };
    let haunted = |reply: Option<Result<Reply, Refusal>>| match reply {
        Some(Err(Refusal::NameHaunted { txid, .. })) => txid == first,
        _ => false,
    };
    assert!(haunted(again(&mut bank)));
    let mut transaction = bank.published.last().expect("it was published").clone();
    assert_eq!(transaction.compute_txid(), other);
    // Its block does not say what witnesses it has.
    transaction.input.iter_mut().for_each(|input| input.witness.clear());
    bank.mine(vec![transaction]);
    for _ in 1..FORGET_BLOCKS {
        assert!(haunted(again(&mut bank)));
        bank.mine(Vec::new());
    }
    assert!(again(&mut bank).is_none(), "it is being signed");
    bank.serve(&mut by);
    assert!(matches!(bank.replies.pop(), Some(Ok(Reply::Sent(_)))));
}

#[test]
fn a_wallet_is_of_one_seed() {
    let mut by = signer(7);
    let bank = Bank::rich(&mut by);
    let mut bank = bank.restart();
    bank.treasury.signer_came();
    bank.settle();
    bank.serve(&mut signer(8));
    let Some(Failure::OtherSeed { got, want }) = bank.failure else { panic!("{:?}", bank.failure) };
    assert_ne!(got, want);
}

#[test]
fn saved_records_of_a_wallet_belong_to_one_network() {
    let mut by = signer(7);
    let bank = Bank::rich(&mut by);
    let account = bank.own.iter().filter_map(|bytes| Change::decode(bytes).ok().flatten());
    assert_eq!(account.filter(|change| matches!(change, Change::Account { .. })).count(), 1);
    assert!(saved::split(&bank.treasury.snapshot()).is_ok());
    assert!(bank.treasury.wallet_snapshot().is_some());
}

/// A source that had it, or may have had it, does not make us forget it.
#[test]
fn what_somebody_may_have_is_not_forgotten() {
    // It was taken; then the source is another one, which does not like it.
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    let sent = bank.paid(&mut by, None, 50_000);
    let pending = bank.balance();
    bank.says = PublishAnswer::parse("dust");
    bank.lose();
    assert!(bank.published.len() > 1, "the other one was asked");
    assert_eq!((bank.balance(), bank.forgotten.len()), (pending, 0));
    assert!(bank.is_published(sent.txid));
    // So it is after a restart, although nobody remembers what the first one has said.
    let mut bank = bank.restart();
    bank.says = PublishAnswer::parse("dust");
    bank.follow();
    bank.follow();
    assert_eq!((bank.balance(), bank.forgotten.len()), (pending, 0));
    // One that was told of it has not answered.
    let mut bank = Bank::rich(&mut by);
    bank.send(50_000);
    let (id, ask) = bank.to_sign.remove(0);
    bank.treasury.signer_answered(id, Some(sign(&mut by, ask)));
    bank.settle();
    bank.says = PublishAnswer::parse("dust");
    bank.lose();
    let pending = bank.balance().pending;
    assert!(pending > Amount::ZERO && bank.forgotten.is_empty());
    assert!(bank.sent().waits.is_some());
}

/// A source that lies may have a transaction of ours that it says to refuse.
#[test]
fn of_what_was_refused_at_once_and_the_next_payment_only_one_can_be() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    for sat in [90_000, 80_000, 70_000] {
        let script = bank.address();
        bank.mine(vec![to(script, sat)]);
    }
    bank.says = PublishAnswer::parse("dust");
    bank.send(50_000);
    bank.serve(&mut by);
    assert!(matches!(bank.replies.pop(), Some(Err(Refusal::NotTaken { .. }))));
    let refused = bank.published[0].clone();
    assert_eq!(bank.forgotten, [refused.compute_txid()]);
    assert!(!bank.is_published(refused.compute_txid()));
    bank.says = PublishAnswer::Accepted;
    let mut bank = bank.restart();
    bank.treasury.signer_came();
    bank.follow();
    bank.serve(&mut by);
    bank.paid(&mut by, None, 50_000);
    let next = bank.published.pop().expect("it is published");
    let shared = |input: &bitcoin::TxIn| {
        refused.input.iter().any(|other| other.previous_output == input.previous_output)
    };
    assert!(next.input.iter().any(shared));
}

/// What is built on something goes with it, from everywhere.
#[test]
fn what_is_given_up_goes_with_all_that_hangs_on_it() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    let sent = [50_000, 40_000, 30_000].map(|sat| bank.paid(&mut by, None, sat).txid);
    let refusal = bank.forget(sent[1], false).expect_err("somebody has it");
    let Refusal::MayBeMined { txid, frees, hang, blocks, min } = &refusal else {
        panic!("{refusal}")
    };
    assert_eq!((*txid, *hang, *blocks, *min), (sent[1], 1, 0, FORGET_BLOCKS));
    assert!(frees.to_sat() > 149_000, "{frees}");
    let gone = BTreeSet::from([sent[1], sent[2]]);
    assert_eq!(bank.forget(sent[1], true), Ok(Reply::Forgotten(gone.iter().copied().collect())));
    assert_eq!(bank.forgotten, gone.into_iter().collect::<Vec<_>>());
    assert_eq!(sent.map(|txid| bank.is_published(txid)), [true, false, false]);
    assert!(bank.balance().pending.to_sat() > 149_000);
    // In a block it is no question of force, and neither is what nobody knows.
    let mut bare = bank.published[0].clone();
    bare.input.iter_mut().for_each(|input| input.witness.clear());
    bank.mine(vec![bare]);
    for txid in [sent[0], sent[1]] {
        assert!(matches!(bank.forget(txid, true), Err(Refusal::Wallet(_))));
    }
}

#[test]
fn one_name_is_one_payment() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    // While it is signed, by somebody who is gone meanwhile.
    bank.send_as(Some("rent"), 50_000);
    bank.send_as(Some("rent"), 50_000);
    assert!(matches!(bank.replies.pop(), Some(Err(Refusal::NameBusy { .. }))));
    bank.serve(&mut by);
    let sent = bank.sent();
    assert_eq!(bank.published.len(), 1);
    // It was sent; it is in no question which fee it would have now.
    bank.send_as(Some("rent"), 50_000);
    assert_eq!(bank.sent(), sent);
    let mut bank = bank.restart();
    bank.send_as(Some("rent"), 50_000);
    assert_eq!(bank.sent().txid, sent.txid, "it needs no signer");
    bank.send_as(Some("rent"), 50_001);
    let Some(Err(refusal)) = bank.replies.pop() else { panic!("another one") };
    let text = refusal.to_string();
    assert!(text.contains("0.00050000 BTC") && text.contains("0.00050001 BTC"), "{text}");
    bank.treasury.signer_came();
    bank.follow();
    bank.serve(&mut by);
    // What replaces it has its name.
    let fee_rate = FeeRate::from_sat_per_vb(9).expect("it fits");
    let (txid, draw) = (sent.txid, [8; 32]);
    let bump = Command::Bump { txid, fee_rate, allow_high_fee: false, spend_reserve: false, draw };
    bank.call(bump);
    bank.serve(&mut by);
    let bumped = bank.sent();
    bank.send_as(Some("rent"), 50_000);
    assert_eq!(bank.sent(), bumped);
    // What is given up leaves its name free.
    assert!(bank.forget(sent.txid, true).is_ok());
    assert!(bank.forget(bumped.txid, true).is_ok());
    assert_ne!(bank.paid(&mut by, Some("rent"), 40_000).txid, sent.txid);
    let snapshot = bank.treasury.snapshot();
    let named = |bytes: &Vec<u8>| matches!(Change::decode(bytes), Ok(Some(Change::Named { .. })));
    let changes = saved::split(&snapshot).expect("ours");
    assert_eq!(changes.iter().filter(|bytes| named(&bytes.to_vec())).count(), 1);
}

/// A crash may keep the name, and not the transaction.
#[test]
fn a_name_whose_transaction_was_not_saved_is_free() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    let changes = bank.wallet.changes.len();
    bank.paid(&mut by, Some("rent"), 50_000);
    // So little was saved that nobody can have been told. That it is published was.
    bank.wallet.changes.truncate(changes);
    let mut bank = bank.restart();
    bank.treasury.signer_came();
    bank.follow();
    bank.serve(&mut by);
    assert_eq!((bank.published.len(), bank.confirmed()), (0, 200_000));
    bank.paid(&mut by, Some("rent"), 50_000);
    assert_eq!(bank.published.len(), 1);
}

/// Wherever the process ends: whoever asks again by the same name pays once.
#[test]
fn a_crash_anywhere_pays_once() {
    let mut by = signer(7);
    let all = |says: &str, force: bool| {
        let mut by = signer(7);
        let mut bank = Bank::rich(&mut by);
        for sat in [90_000, 80_000, 70_000] {
            let script = bank.address();
            bank.mine(vec![to(script, sat)]);
        }
        let begun = bank.log.len();
        if !says.is_empty() {
            bank.says = PublishAnswer::parse(says);
        }
        bank.send_as(Some("rent"), 50_000);
        bank.serve(&mut by);
        if force {
            let txid = bank.sent().txid;
            assert!(bank.forget(txid, true).is_ok());
        }
        (bank, begun)
    };
    for (bank, begun) in [all("", false), all("dust", false), all("", true)] {
        assert!(bank.log.len() > begun + 3 && bank.told.len() == 1);
        for count in begun..=bank.log.len() {
            let mut cut = bank.cut(count);
            cut.treasury.signer_came();
            cut.follow();
            cut.serve(&mut by);
            cut.paid(&mut by, Some("rent"), 50_000);
            let spends = |paid: &Transaction| {
                let inputs = paid.input.iter().map(|input| input.previous_output);
                inputs.collect::<BTreeSet<_>>()
            };
            let Some((_, last)) = cut.told.last() else { panic!("it is sent") };
            for (_, told) in &cut.told {
                assert!(!spends(told).is_disjoint(&spends(last)), "cut at {count}");
            }
        }
    }
}

/// Names are kept for a month, and not more than so many.
#[test]
fn names_have_room_and_an_end() {
    let mut by = signer(7);
    let tip = Height(5_000);
    let first = mine(BlockHash::all_zeros(), 1, Vec::new());
    let full = |old: usize| {
        let named = |number: usize| {
            let name = PaymentName::new(&format!("payment {number}")).expect("a name");
            let ordered = Ordered { to: ScriptBuf::new(), amount: None };
            let at = Height(tip.0 - NAME_BLOCKS + u32::from(number >= old));
            (name, Named { ordered, at, sent: Vec::new() })
        };
        let headers = Headers::new(Network::Regtest, tip, first.header);
        let chain = Some((ChainHash::of(Network::Regtest), headers));
        let mut state = State::default();
        state.chain = chain;
        state.names = (0..NAMES_MAX).map(named).collect();
        state
    };
    for (old, left) in [(0, NAMES_MAX), (1, NAMES_MAX - 1), (NAMES_MAX, 0)] {
        let mut bank = Bank::with(Saved { own: full(old), ..Saved::default() });
        bank.blocks.push(first.clone());
        bank.treasury.signer_came();
        bank.settle();
        bank.serve(&mut by);
        bank.send_as(Some("another"), 1_000);
        let refusal = bank.replies.pop().expect("at once").expect_err("there is no money");
        match old {
            0 => assert_eq!(refusal, Refusal::TooManyNames { have: left, max: left }),
            _ => assert!(matches!(refusal, Refusal::Wallet(_)), "{refusal}"),
        }
        assert_eq!(bank.treasury.state().names.len(), left);
    }
    let long = NameFault::Length { got: NAME_BYTES_MAX + 1, min: 1, max: NAME_BYTES_MAX };
    assert_eq!(PaymentName::new(&"x".repeat(NAME_BYTES_MAX + 1)), Err(long));
    let none = NameFault::Length { got: 0, min: 1, max: NAME_BYTES_MAX };
    assert_eq!(PaymentName::new(""), Err(none));
    assert_eq!(PaymentName::new("a\nb"), Err(NameFault::Character { at: 1, of: 3 }));
}
