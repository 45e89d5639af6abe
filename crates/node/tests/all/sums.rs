//! Snapshots of channels: the same as all changes, readable for ever, and nothing that is revoked
//! is lost with them.

use apart::Place;
use bitcoin::hex::{DisplayHex as _, FromHex as _};
use channel::Channel;
use node::io::channels::{CHANNELS, Sums, recalled, restore};
use node::services::channels::{
    AttemptId, Change, ChannelName, PAYMENTS_MAX, Past, PaymentId, ReturnBytes, State,
};
use node::store::{Store, Write};
use signer::UnixTime;
use sphinx::RETURN_KEYS_BYTES;
use wire::{
    amount::Msat,
    dice::Dice,
    id::{CommitmentNumber, HtlcId, PaymentHash},
};

use crate::pair::Pair;

/// What this layout has written once: `a_snapshot_of_this_layout_stays_readable` says of what.
const OLD: &str = include_str!("../saved/channels-1.hex");

/// Two nodes that have paid each other.
fn paid(seed: u64) -> Pair {
    let mut pair = Pair::new(seed);
    pair.opened();
    for at in [0, 1, 0, 0, 1] {
        pair.pay(at, Msat(3_000_000), None);
        pair.settle();
    }
    pair
}

fn folded(log: &[Vec<u8>]) -> State {
    let mut state = State::default();
    for change in changes(log) {
        state.evolve(&change);
    }
    state
}

fn changes(log: &[Vec<u8>]) -> impl Iterator<Item = Change> {
    log.iter().map(|bytes| Change::decode(bytes).expect("ours").expect("of this version"))
}

#[test]
fn a_snapshot_and_later_changes_are_all_changes() {
    let pair = paid(21);
    for end in &pair.ends {
        let all = format!("{:?}", folded(&end.log));
        for at in 0..=end.log.len() {
            let (before, after) = end.log.split_at(at);
            let mut state = State::decode(&folded(before).encode()).expect("ours");
            changes(after).for_each(|change| state.evolve(&change));
            assert_eq!(format!("{state:?}"), all, "a snapshot after {at} changes");
        }
    }
}

#[test]
fn revoked_commitments_are_recalled_across_snapshots() {
    let pair = paid(22);
    let mut dice = Dice::new(22);
    for end in &pair.ends {
        let state = folded(&end.log);
        let (name, held) = state.channels.first_key_value().expect("it has one");
        let begun = held.channel.begun();
        let (mut past, mut archive, mut since) = (Past::default(), Vec::new(), Vec::new());
        for bytes in &end.log {
            changes(std::slice::from_ref(bytes)).for_each(|change| past.note(&change));
            since.push(bytes.as_slice());
            if dice.one_in(7) {
                archive.extend(past.take());
                since.clear();
            }
        }
        assert!(archive.len() > 2 && archive.iter().all(|(key, _)| *key == Past::key(name)));
        let recall = |number| {
            let entries = archive.iter().map(|(_, entry)| entry.as_slice());
            Past::recall(*name, begun.clone(), entries, since.iter().copied(), number)
        };
        let lived = |name: &ChannelName| {
            let of = *name;
            changes(&end.log).filter_map(move |change| {
                let Change::Live { name, change } = change else { return None };
                (name == of).then_some(*change)
            })
        };
        for number in (0..10).map(CommitmentNumber) {
            let want = Channel::recall(begun.clone(), lived(name), number);
            assert!(want.is_some(), "there were as many as {number}");
            assert_eq!(recall(number), want, "commitment {number}");
        }
        assert_eq!(recall(CommitmentNumber(10_000)), None);
    }
}

/// As the service does it, with a store: what is cut short comes back, and is recalled.
#[test]
fn a_log_that_is_cut_short_loses_nothing() {
    let pair = paid(24);
    for end in &pair.ends {
        let place = Place::new();
        let path = place.at("log.sqlite");
        let mut store = Store::open(&path, None).expect("it is new");
        let (mut state, mut sums, mut cuts) = (State::default(), Sums::after(0, 25), 0);
        for bytes in &end.log {
            let change = Write::Change { core: CHANNELS, bytes: bytes.clone() };
            changes(std::slice::from_ref(bytes)).for_each(|change| {
                sums.note(&change);
                state.evolve(&change);
            });
            let cut = sums.take(&state);
            cuts += usize::from(!cut.is_empty());
            store.commit(&[vec![change], cut]).expect("room");
        }
        assert!(cuts > 1, "{cuts}");
        drop(store);
        let mut store = Store::open(&path, None).expect("it is ours");
        let saved = store.restore(CHANNELS).expect("whole");
        assert!(saved.snapshot.is_some() && saved.changes.len() < 25, "{}", saved.changes.len());
        let before = restore(&saved).expect("ours");
        assert_eq!(format!("{:?}", before.state), format!("{:?}", folded(&end.log)));
        let (name, held) = state.channels.first_key_value().expect("it has one");
        for number in (0..10).map(CommitmentNumber) {
            let begun = held.channel.begun().clone();
            let said = recalled(&mut store, *name, begun, number).expect("whole");
            assert_eq!(said.map(|it| it.number), Some(number));
        }
    }
}

/// One channel with five payments over it, as `paid(23)` had it when this layout was new.
#[test]
fn a_snapshot_of_this_layout_stays_readable() {
    let bytes: Vec<u8> = Vec::from_hex(OLD.trim()).expect("hex");
    let state = State::decode(&bytes).expect("ours");
    let (_, held) = state.channels.first_key_value().expect("it has one");
    let ledger = held.channel.ledger();
    let side = held.channel.side();
    assert_eq!((state.channels.len(), state.payments.len()), (1, 5));
    assert_eq!(ledger.free(side).0 + ledger.free(side.other()).0, 100_000_000);
    assert!(held.channel.ended_by().is_none() && held.confirmed.is_some());
    assert!(state.encode().to_lower_hex_string() == OLD.trim(), "it is written the same");
}

/// A payment whose HTLC was never signed leaves its number to another one, which is found by it
/// however long the first has been forgotten.
#[test]
fn a_number_is_of_the_payment_that_has_it_last() {
    let pair = paid(24);
    let state = folded(&pair.ends[0].log);
    let (name, _) = state.channels.first_key_value().expect("it has one");
    let name = *name;
    let (hash, keys) = (PaymentHash([1; 32]), ReturnBytes([2; RETURN_KEYS_BYTES]));
    let paying = |id| Change::Paying {
        id: PaymentId(id),
        node: name.node,
        amount: Msat(1_000),
        hash,
        created: UnixTime(1),
        name: None,
    };
    let attempt = |id| Change::Attempt {
        id: PaymentId(id),
        attempt: AttemptId(0),
        channel: name,
        htlc: HtlcId(0),
        keys,
    };
    let mut state = State::default();
    for change in [
        paying(0),
        attempt(0),
        Change::Failed { id: PaymentId(0), why: "it is not signed".to_owned() },
        paying(1),
        attempt(1),
    ] {
        state.evolve(&change);
    }
    for id in 2..=PAYMENTS_MAX as u64 {
        state.evolve(&paying(id));
    }
    assert_eq!(state.payments.keys().next(), Some(&PaymentId(1)), "the first is forgotten");
    assert_eq!(state.carried(&name, false, HtlcId(0)), Some(PaymentId(1)));
}
