//! Two channels with a signer each: messages that wait and are lost, disks that lag, crashes at any
//! moment. What both have in the end is the same, and each signature on the way was a true one.

use std::collections::BTreeMap;

use bitcoin::hashes::{Hash as _, sha256};
use channel::{
    As, Change, Channel, ContractId, Dialects, Effect, End, Event, Met, Now, Offer, Outcome,
    Refusal,
};
use signer::ChannelChange;
use tx::{Form, HTLC, PARKED, Side};
use wire::amount::{BlockHeight, FeeratePerKw, Msat};
use wire::dice::Dice;
use wire::id::{HtlcId, OnionPacket, PaymentHash, PaymentPreimage};
use wire::list::Blob;
use wire::{Message, UpdateAddHtlc};

use crate::halves::{CAPACITY, Half, PUSHED, SIDES, pair};

pub fn two(ends: &mut [Half; 2], at: usize) -> (&mut Half, &mut Half) {
    let [first, second] = ends;
    if at == 0 { (first, second) } else { (second, first) }
}

/// The connection is lost, and comes back.
pub fn reconnect(ends: &mut [Half; 2], crashed: Option<usize>) {
    reconnect_as(ends, crashed, Dialects::default());
}

pub fn reconnect_as(ends: &mut [Half; 2], crashed: Option<usize>, met: impl Into<Met> + Copy) {
    for (at, end) in ends.iter_mut().enumerate() {
        end.inbox.clear();
        match crashed == Some(at) {
            true => end.crash(),
            false => {
                // What was on its way to the peer is lost with the connection.
                end.waiting.retain(|effect| !matches!(effect, Effect::Send(_)));
                let lost = end.live.disconnected();
                end.take(lost);
            }
        }
        let hello = end.live.connected(met);
        end.take(hello);
    }
}

pub fn preimage(number: u64) -> PaymentPreimage {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    PaymentPreimage(bytes)
}

pub fn hash_of(preimage: &PaymentPreimage) -> PaymentHash {
    PaymentHash(sha256::Hash::hash(&preimage.0).to_byte_array())
}

/// Some of the preimages are those of several contracts.
const PREIMAGES: usize = 4;

pub fn offer(dice: &mut Dice) -> Offer {
    let amount = match dice.below(4) {
        0 => 1 + dice.below(900_000),
        _ => 1_000_000 + dice.below(80_000_000),
    };
    Offer {
        amount: Msat(amount as u64),
        payment_hash: hash_of(&preimage(dice.below(PREIMAGES) as u64)),
        cltv_expiry: BlockHeight(500 + dice.below(3) as u32),
        onion: Box::new(OnionPacket([0; 1366])),
        path_key: None,
    }
}

pub fn act(end: &mut Half, dice: &mut Dice) {
    // What is not possible now is refused and changes nothing.
    let outcome = match dice.below(5) {
        0 | 1 => end.live.send_add(offer(dice)).map(|(_, outcome)| outcome).ok(),
        2 if end.live.side() == Side::Opener => {
            end.live.send_fee(FeeratePerKw(253 + dice.below(2_000) as u32)).ok()
        }
        _ => end_of_any(end, dice),
    };
    if let Some(outcome) = outcome {
        end.take(outcome);
    }
}

/// The name of a contract, how much is in it, and what opens it.
pub fn said_of(by: Side, add: &Message) -> (ContractId, Msat, PaymentHash) {
    let parked = |id| ContractId { offered_by: by, kind: PARKED, id };
    if let Message::UpdateAddHtlc(add) = add {
        (ContractId::htlc(by, add.id), add.amount_msat, add.payment_hash)
    } else if let Message::AddParked(add) = add {
        (parked(add.id), add.amount_msat, add.payment_hash)
    } else {
        panic!("{} adds nothing", add.name());
    }
}

/// Ends one of the contracts that can be ended.
pub fn end_of_any(end: &Half, dice: &mut Dice) -> Option<Outcome> {
    let side = end.live.side();
    let open = end.live.contracts().iter();
    let open = open.filter(|(id, known)| id.offered_by != side && known.end.is_none());
    let mut open: Vec<_> = open.map(|(id, it)| (*id, said_of(id.offered_by, &it.add).2)).collect();
    while !open.is_empty() {
        let (id, hash) = open.swap_remove(dice.below(open.len()));
        let opens = (0..PREIMAGES as u64).map(preimage).find(|it| hash_of(it) == hash);
        let how = match (dice.below(3), id.kind) {
            (0, HTLC) => End::Failed(Blob(vec![1, 2, 3])),
            (0, _) => End::Cancelled(Blob(Vec::new())),
            (_, HTLC) => End::Fulfilled(opens.expect("all are known here")),
            (_, _) => End::Opened(opens.expect("all are known here").0.to_vec()),
        };
        if let Ok(outcome) = end.live.end(id, how) {
            return Some(outcome);
        }
    }
    None
}

pub fn settle(ends: &mut [Half; 2]) {
    for _ in 0..60 {
        for at in [0, 1] {
            let (end, peer) = two(ends, at);
            while !end.is_idle() {
                end.flush(&mut peer.inbox);
                end.answer();
                end.hear();
            }
            let commit = end.live.drive();
            end.take(commit);
        }
    }
}

fn says(live: &Channel, owner: Side, which: As) -> (Msat, Msat, FeeratePerKw, Vec<ContractId>) {
    let view = live.ledger().view(owner, which);
    let contracts = view.contracts.iter().map(|(id, _)| *id).collect();
    (view.to_opener, view.to_acceptor, view.feerate, contracts)
}

/// How each contract ended, as a side was told.
fn ends_of(told: &[Event]) -> BTreeMap<ContractId, bool> {
    let over = |event: &Event| {
        let Event::Over { id, end } = event else { return None };
        Some((*id, matches!(end, End::Fulfilled(_))))
    };
    told.iter().filter_map(over).collect()
}

fn world(seed: u64) -> usize {
    world_of(seed, false).0
}

/// How many contracts were over, and how many were taken back, because a signer's owner changes
/// what may be under way again and again.
fn world_of(seed: u64, are_strict: bool) -> (usize, usize) {
    let mut dice = Dice::new(seed);
    let form = if dice.one_in(3) { Form::StaticRemoteKey } else { Form::Anchors };
    let mut ends = pair(form);
    reconnect(&mut ends, None);
    settle(&mut ends);
    for _ in 0..600 {
        let at = dice.below(2);
        let (end, peer) = two(&mut ends, at);
        if are_strict && dice.one_in(20) {
            end.signer.policy.channels.in_flight_max = Msat(dice.below(200_000_000) as u64);
        }
        if end.hung_up && dice.one_in(2) {
            end.hung_up = false;
            reconnect(&mut ends, None);
            continue;
        }
        match dice.below(16) {
            0..=2 => act(end, &mut dice),
            3..=6 => end.flush(&mut peer.inbox),
            7..=9 => end.answer(),
            10..=13 => end.hear(),
            14 => {
                let commit = end.live.drive();
                end.take(commit);
            }
            _ if dice.one_in(3) => {
                let crashed = dice.one_in(2).then_some(at);
                reconnect(&mut ends, crashed);
            }
            _ => {}
        }
    }
    if are_strict {
        // Each owner allows everything, and what had to wait after a crash is asked again.
        settle(&mut ends);
        for end in &mut ends {
            end.signer.policy = signer::Policy::default();
            end.live.at(Now { tip: BlockHeight(1), ..Default::default() });
        }
        settle(&mut ends);
        reconnect(&mut ends, None);
    }
    settle(&mut ends);
    // Everything comes to an end.
    for end in &mut ends {
        while let Some(outcome) = end_of_any(end, &mut dice) {
            end.take(outcome);
        }
    }
    settle(&mut ends);
    assert!(ends.iter().all(|end| end.live.is_up()), "seed {seed}");
    assert!(ends.iter().all(|end| end.live.contracts().is_empty()), "seed {seed}");
    for owner in SIDES {
        let all: Vec<_> = [As::Draft, As::Signed, As::Settled]
            .iter()
            .flat_map(|which| ends.iter().map(|end| says(&end.live, owner, *which)))
            .collect();
        assert!(all.iter().all(|it| *it == all[0]), "seed {seed}: {all:?}");
    }
    let told = [ends_of(&ends[0].told), ends_of(&ends[1].told)];
    assert_eq!(told[0], told[1], "seed {seed}");
    assert_balances(&ends, &told[0], seed);
    ends.iter().for_each(assert_recalled);
    let taken_back = |event: &&Event| matches!(event, Event::TakenBack { .. });
    let all = ends.iter().flat_map(|end| &end.told).filter(taken_back).count();
    (told[0].len(), all)
}

/// The log says of each commitment of the peer what was signed, and nothing that was taken back.
fn assert_recalled(end: &Half) {
    for change in &end.signer.log {
        let ChannelChange::SignedRemote { meaning, .. } = change else { continue };
        let log = end.log.iter().cloned();
        let recalled = Channel::recall(end.begun.clone(), log, meaning.number);
        assert_eq!(recalled.as_ref(), Some(&**meaning));
    }
}

/// The money is where the contracts that are over have put it.
fn assert_balances(ends: &[Half; 2], over: &BTreeMap<ContractId, bool>, seed: u64) {
    let mut amounts = BTreeMap::new();
    for change in ends.iter().flat_map(|end| &end.log) {
        if let Change::Added { by, add } = change {
            let (id, amount, _) = said_of(*by, add);
            amounts.insert(id, amount.0);
        }
    }
    let mut have = [CAPACITY.0 * 1_000 - PUSHED.0, PUSHED.0];
    for (id, paid) in over {
        let payer = id.offered_by as usize;
        if *paid {
            have[payer] -= amounts[id];
            have[1 - payer] += amounts[id];
        }
    }
    for (id, entry) in ends[0].live.ledger().entries() {
        have[id.offered_by as usize] -= entry.amount.0;
    }
    for side in SIDES {
        assert_eq!(ends[0].live.ledger().free(side).0, have[side as usize], "seed {seed}");
    }
}

#[test]
fn one_payment_goes_from_offer_to_end() {
    let mut ends = pair(Form::Anchors);
    reconnect(&mut ends, None);
    settle(&mut ends);
    let mut dice = Dice::new(1);
    let offer = Offer { amount: Msat(50_000_000), ..offer(&mut dice) };
    let opens = (0..PREIMAGES as u64).map(preimage).find(|it| hash_of(it) == offer.payment_hash);
    let opens = opens.expect("all are known");
    let (id, outcome) = ends[0].live.send_add(offer).unwrap_or_else(|no| panic!("{no}"));
    ends[0].take(outcome);
    settle(&mut ends);
    assert_eq!(ends[1].told, [Event::Up, Event::Offered(id)]);
    let end = ends[1].live.send_end(id.id, End::Fulfilled(opens));
    ends[1].take(end.unwrap_or_else(|no| panic!("{no}")));
    settle(&mut ends);
    let over = || Event::Over { id, end: End::Fulfilled(opens) };
    assert_eq!(ends[0].told, [Event::Up, Event::Fulfilled(id, opens), over()]);
    assert_eq!(ends[1].told, [Event::Up, Event::Offered(id), over()]);
    assert_eq!(ends[0].live.ledger().free(Side::Acceptor), Msat(PUSHED.0 + 50_000_000));
}

#[test]
fn a_peer_may_spend_what_came_back_before_all_commitments_have_it() {
    let mut ends = pair(Form::Anchors);
    reconnect(&mut ends, None);
    settle(&mut ends);
    let mut dice = Dice::new(2);
    let paid = Offer { amount: Msat(500_000_000), ..offer(&mut dice) };
    let opens = (0..PREIMAGES as u64).map(preimage).find(|it| hash_of(it) == paid.payment_hash);
    let (id, outcome) = ends[0].live.send_add(paid).unwrap_or_else(|no| panic!("{no}"));
    ends[0].take(outcome);
    settle(&mut ends);
    let end = ends[1].live.send_end(id.id, End::Fulfilled(opens.expect("all are known")));
    ends[1].take(end.unwrap_or_else(|no| panic!("{no}")));
    let commit = ends[1].live.drive();
    ends[1].take(commit);
    let (end, peer) = two(&mut ends, 1);
    while !end.is_idle() {
        end.flush(&mut peer.inbox);
        end.answer();
    }
    // Our commitment is without it, the peer's own is not.
    while !peer.is_idle() {
        peer.flush(&mut end.inbox);
        peer.answer();
        peer.hear();
    }
    let offer = Offer { amount: Msat(PUSHED.0 + 450_000_000), ..offer(&mut dice) };
    let add = Message::UpdateAddHtlc(UpdateAddHtlc {
        channel_id: peer.live.channel_id(),
        id: HtlcId(0),
        amount_msat: offer.amount,
        payment_hash: offer.payment_hash,
        cltv_expiry: offer.cltv_expiry,
        onion_routing_packet: offer.onion,
        path_key: None,
        extension: Default::default(),
    });
    assert_eq!(peer.live.ledger().free(Side::Acceptor), PUSHED);
    let outcome = peer.live.receive(&add);
    peer.take(outcome.unwrap_or_else(|no| panic!("{no}")));
    assert_eq!(peer.live.ledger().free(Side::Acceptor), Msat(0));
}

#[test]
fn one_rate_is_on_its_way_at_a_time() {
    let mut ends = pair(Form::Anchors);
    reconnect(&mut ends, None);
    settle(&mut ends);
    let rates = [2_000, 3_000, 4_000].map(FeeratePerKw);
    // Nobody has signed it: another one takes its place.
    for rate in &rates[..2] {
        let outcome = ends[0].live.send_fee(*rate).unwrap_or_else(|no| panic!("{no}"));
        ends[0].take(outcome);
    }
    let commit = ends[0].live.drive();
    ends[0].take(commit);
    let no = Refusal::RateUnderWay { got: rates[2], before: rates[1] };
    assert_eq!(ends[0].live.send_fee(rates[2]).map(|_| ()), Err(no));
    settle(&mut ends);
    assert_eq!(ends[0].live.ledger().feerate(Side::Opener, As::Settled), rates[1]);
    assert_eq!(ends[0].live.send_fee(rates[2]).map(|_| ()), Ok(()));
}

#[test]
fn channels_agree_whatever_waits_is_lost_or_crashes() {
    let over: usize = (0..100).map(world).sum();
    assert!(over > 1_000, "only {over} contracts came to their end: the worlds are too tame");
}

/// What a signer does not take on goes back, and all else goes on; after a crash it waits.
#[test]
fn channels_agree_whatever_their_signers_do_not_take_on() {
    let all = (0..100).map(|seed| world_of(seed, true));
    let (over, back) = all.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    assert!(over > 500 && back > 200, "only {over} came to their end, {back} were taken back");
}
