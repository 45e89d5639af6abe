//! How much may be under way: what could go to miners, rates, and updates that cross where the
//! opener has little left.

use channel::{As, ContractId, DUST_MSAT_MAX, Dialects, End, Event, Offer, Refusal, State};
use tx::{Form, Side};
use wire::amount::{BlockHeight, FeeratePerKw, HtlcCount, Msat};
use wire::id::HtlcId;
use wire::{Message, UpdateAddHtlc, UpdateFulfillHtlc};

use crate::halves::{Half, PUSHED, SIDES, pair};
use crate::live::{preimage, reconnect, settle, two};
use crate::parting::with_pushed;
use crate::refused::{add, offer, sent, up, with_contract};

fn up_as(form: Form) -> [Half; 2] {
    let mut ends = pair(form);
    reconnect(&mut ends, None);
    settle(&mut ends);
    ends
}

/// Offers until there is too much of it: how many were taken, and the refusal.
fn fill(ends: &mut [Half; 2], at: usize, amount: u64) -> (usize, Refusal) {
    for taken in 0..40 {
        match ends[at].live.send_add(offer(amount)) {
            Ok((_, outcome)) => ends[at].take(outcome),
            Err(no) => return (taken, no),
        }
    }
    panic!("nothing bounds it")
}

#[test]
fn no_more_is_offered_than_may_go_to_miners() {
    // The opener's dust limit is 354 sat, the acceptor's 1,000. Without anchors the second stage
    // counts too: 663 units if the owner of the commitment has offered it, else 703; at 5,000 sat
    // for each 1,000 units.
    let rows = [
        (Form::Anchors, 0, 999_999, false),
        (Form::Anchors, 1, 999_999, false),
        (Form::StaticRemoteKey, 0, 4_514_999, true),
        (Form::StaticRemoteKey, 1, 4_314_999, true),
        // It has an output in neither commitment.
        (Form::StaticRemoteKey, 0, 3_668_999, true),
        (Form::StaticRemoteKey, 1, 3_868_999, true),
        // It has one in both.
        (Form::StaticRemoteKey, 0, 4_515_000, false),
        (Form::StaticRemoteKey, 1, 4_315_000, false),
    ];
    for (form, at, amount, is_bounded) in rows {
        let mut ends = up_as(form);
        let fee = ends[0].live.send_fee(FeeratePerKw(5_000)).unwrap_or_else(|no| panic!("{no}"));
        ends[0].take(fee);
        settle(&mut ends);
        let (taken, no) = fill(&mut ends, at, amount);
        let most = DUST_MSAT_MAX.0 / amount;
        // Else it is the number of contracts that bounds it.
        if is_bounded {
            let got = Msat((most + 1) * amount);
            assert_eq!(no, Refusal::TooMuchDust { got, max: DUST_MSAT_MAX });
            assert_eq!(taken as u64, most);
        } else {
            assert!(matches!(no, Refusal::TooMany { .. }), "{form:?} {at} {amount}: {no}");
        }
    }
}

#[test]
fn what_both_offer_is_one_exposure() {
    let mut ends = up_as(Form::Anchors);
    for _ in 0..30 {
        add(&mut ends[0], 999_000);
    }
    settle(&mut ends);
    let (taken, no) = fill(&mut ends, 1, 999_000);
    let got = Msat(51 * 999_000);
    assert_eq!((taken, no), (20, Refusal::TooMuchDust { got, max: DUST_MSAT_MAX }));
    // What has an output is not counted, nor is what is over.
    assert!(ends[1].live.send_add(offer(1_000_000)).is_ok());
    let end = ends[1].live.send_end(HtlcId(0), End::Fulfilled(preimage(1)));
    ends[1].take(end.unwrap_or_else(|no| panic!("{no}")));
    settle(&mut ends);
    assert!(ends[1].live.send_add(offer(999_000)).is_ok());
}

/// What the peer offers is taken, since it may have other limits; and not relied on.
#[test]
fn what_is_too_dusty_is_told_apart() {
    let mut ends = up_as(Form::Anchors);
    // They cross: either side has seen nothing of the other's.
    for at in [0, 1] {
        for _ in 0..30 {
            add(&mut ends[at], 999_000);
        }
        assert!(matches!(fill(&mut ends, at, 999_000).1, Refusal::TooMany { .. }));
    }
    let whole = ends[0].live.contracts().keys().next().copied().expect("there are 30");
    settle(&mut ends);
    for at in [0, 1] {
        let offered = |event: &Event| {
            let Event::Offered(id) = event else { return None };
            Some((*id, ends[at].live.is_too_dusty(*id)))
        };
        let told: Vec<_> = ends[at].told.iter().filter_map(offered).collect();
        let want = |(number, (id, _)): (usize, &(ContractId, bool))| (*id, number >= 20);
        let want: Vec<_> = told.iter().enumerate().map(want).collect();
        assert_eq!(told.len(), 30);
        assert_eq!(told, want, "50 of 999 sat are enough");
    }
    // A greater one has an output, and may be taken at any time.
    for end in &mut ends {
        let id = ContractId::htlc(whole.offered_by, HtlcId(0));
        assert!(!end.live.is_too_dusty(id));
    }
    let outcome = ends[1].live.send_end(HtlcId(3), End::Fulfilled(preimage(1)));
    ends[1].take(outcome.unwrap_or_else(|no| panic!("{no}")));
    settle(&mut ends);
    let large = add(&mut ends[0], 1_000_000);
    settle(&mut ends);
    assert!(ends[1].told.contains(&Event::Offered(large)) && !ends[1].live.is_too_dusty(large));
    assert!(!ends[1].live.is_too_dusty(ContractId::htlc(Side::Opener, HtlcId(99))));
}

#[test]
fn no_rate_is_sent_that_the_peer_must_refuse() {
    let mut ends = up();
    let refused = |ends: &[Half; 2], rate| ends[0].live.send_fee(FeeratePerKw(rate)).err();
    for rate in [0, 249, 500_001, u32::MAX] {
        let (got, min, max) = (FeeratePerKw(rate), FeeratePerKw(250), FeeratePerKw(500_000));
        assert_eq!(refused(&ends, rate), Some(Refusal::FeeRate { got, min, max }));
    }
    for rate in [250, 500_000] {
        assert_eq!(refused(&ends, rate), None);
    }
    // 1,060,000 sat beside the anchors and the reserve, for 1,124 units and many contracts.
    for _ in 0..6 {
        add(&mut ends[0], 100_000_000);
    }
    settle(&mut ends);
    assert!(matches!(refused(&ends, 500_000), Some(Refusal::Fee { .. })));
    let fee = ends[0].live.send_fee(FeeratePerKw(200_000)).unwrap_or_else(|no| panic!("{no}"));
    assert!(ends[1].live.receive(&sent(&fee)).is_ok(), "what we send the peer takes");
}

#[test]
fn updates_that_cross_are_nobodys_fault() {
    for is_first in [0, 1] {
        let mut ends = up();
        // 50,000 sat are left to the opener, and 20,000 of them must stay.
        add(&mut ends[0], 1_050_000_000);
        settle(&mut ends);
        let rate = FeeratePerKw(22_000);
        let fee = ends[0].live.send_fee(rate).unwrap_or_else(|no| panic!("{no}"));
        ends[0].take(fee);
        // Each of them would be too much at that rate, and the acceptor has not heard of it.
        let ids: Vec<_> = (0..20).map(|_| add(&mut ends[1], 2_000_000)).collect();
        for at in [is_first, 1 - is_first] {
            let (end, peer) = two(&mut ends, at);
            let drive = end.live.drive();
            end.take(drive);
            end.flush(&mut peer.inbox);
        }
        settle(&mut ends);
        for end in &ends {
            assert_eq!(*end.live.state(), State::Normal);
            assert!(!end.hung_up && end.live.is_up());
            assert!(ids.iter().all(|id| end.live.contracts().contains_key(id)));
            for owner in SIDES {
                assert_eq!(end.live.ledger().feerate(owner, As::Settled), rate);
            }
        }
        // And it goes on.
        for id in ids {
            let outcome = ends[0].live.send_end(id.id, End::Fulfilled(preimage(1)));
            ends[0].take(outcome.unwrap_or_else(|no| panic!("{no}")));
        }
        settle(&mut ends);
        assert!(ends.iter().all(|end| end.live.contracts().len() == 1));
        let lower = ends[0].live.send_fee(FeeratePerKw(1_000)).unwrap_or_else(|no| panic!("{no}"));
        ends[0].take(lower);
        settle(&mut ends);
        assert_eq!(ends[1].live.ledger().feerate(Side::Opener, As::Settled), FeeratePerKw(1_000));
    }
}

/// A peer may offer what it is paid in the same breath: both come into our commitment together.
#[test]
fn a_peer_may_spend_what_it_was_just_paid() {
    let (mut ends, id) = with_contract(500_000_000);
    let channel_id = ends[0].live.channel_id();
    let fulfill = UpdateFulfillHtlc {
        channel_id,
        id: id.id,
        payment_preimage: preimage(1),
        attribution_data: None,
        extension: Default::default(),
    };
    let more = offer(PUSHED.0 + 450_000_000);
    let spend = UpdateAddHtlc {
        channel_id,
        id: HtlcId(0),
        amount_msat: more.amount,
        payment_hash: more.payment_hash,
        cltv_expiry: more.cltv_expiry,
        onion_routing_packet: more.onion,
        path_key: None,
        extension: Default::default(),
    };
    let spend = Message::from(spend);
    // Before it is paid it has not so much.
    assert!(ends[0].live.receive(&spend).is_err());
    for message in [fulfill.into(), spend] {
        let outcome = ends[0].live.receive(&message).unwrap_or_else(|no| panic!("{no}"));
        ends[0].take(outcome);
    }
    let view = ends[0].live.ledger().view(Side::Opener, As::Draft);
    assert_eq!(view.to_acceptor, Msat(50_000_000));
    assert_eq!(ends[0].live.ledger().free(Side::Acceptor), Msat(0));
    // Not one commitment that can be published has less than nothing for anybody.
    for owner in SIDES {
        for which in [As::Draft, As::Signed, As::Settled] {
            ends[0].live.ledger().view(owner, which);
        }
    }
    let lost = ends[0].live.disconnected();
    ends[0].take(lost);
    assert_eq!(ends[0].live.ledger().free(Side::Acceptor), PUSHED);
}

/// What a side must not offer it refuses itself, with the numbers.
#[test]
fn no_offer_is_made_that_the_peer_must_refuse() {
    let mut ends = up();
    // 20,000 sat must stay. Beside them twice the fee of two outputs, 1,124 and 344 units at one
    // sat each, and two anchors.
    let [has, reserve, costs] = [1_100_000_000, 20_000_000, (2 * 1_468 + 660) * 1_000];
    let most = has - reserve - costs;
    let not_enough = |amount| Refusal::NotEnough { have: Msat(has - reserve), need: Msat(amount) };
    let fee = |left| Refusal::Fee { have: Msat(left), need: Msat(reserve + costs) };
    let in_flight = |got| Refusal::TooMuchInFlight { got: Msat(got), max: Msat(1_500_000_000) };
    let rows = [
        (0, Some(Refusal::Zero)),
        (999, Some(Refusal::TooSmall { got: Msat(999), min: Msat(1_000) })),
        (1_000, None),
        (most, None),
        (most + 1, Some(fee(reserve + costs - 1))),
        (has - reserve + 1, Some(not_enough(has - reserve + 1))),
        (1_500_000_000, Some(not_enough(1_500_000_000))),
        (1_500_000_001, Some(in_flight(1_500_000_001))),
        (u64::MAX, Some(in_flight(u64::MAX))),
    ];
    for (amount, want) in rows {
        assert_eq!(ends[0].live.send_add(offer(amount)).err(), want, "{amount}");
    }
    let end = BlockHeight(500_000_000);
    for (got, is_fine) in [(499_999_999, true), (500_000_000, false), (u32::MAX, false)] {
        let offer = Offer { cltv_expiry: BlockHeight(got), ..offer(1_000_000) };
        let no = Refusal::Expiry { got: BlockHeight(got), end };
        assert_eq!(ends[0].live.send_add(offer).err(), (!is_fine).then_some(no));
    }
    // They are counted from 0, and a lost connection changes nothing of that.
    for id in 0..30 {
        assert_eq!(add(&mut ends[0], 1_000_000).id, HtlcId(id));
        if id == 10 {
            reconnect(&mut ends, None);
            settle(&mut ends);
        }
    }
    let no = Refusal::TooMany { max: HtlcCount(30) };
    assert_eq!(ends[0].live.send_add(offer(1_000_000)).err(), Some(no));
    settle(&mut ends);
    assert_eq!(ends[1].live.contracts().len(), 30);
}

/// Each output costs the opener something, whoever offers it.
#[test]
fn nobody_offers_what_the_opener_cannot_pay_for() {
    // 2,000 sat are the opener's: 1,956 are the costs of one output.
    let mut ends = with_pushed(Msat(1_998_000_000), Dialects::default());
    add(&mut ends[1], 10_000_000);
    settle(&mut ends);
    let no = Refusal::Fee { have: Msat(2_000_000), need: Msat(2_128_000) };
    assert_eq!(ends[1].live.send_add(offer(10_000_000)).err(), Some(no));
    // Without an output it costs nothing.
    assert!(ends[1].live.send_add(offer(100_000)).is_ok());
}
