//! Parked contracts: between both, and on the chain.

use bitcoin::Transaction;
use channel::{
    Channel, ContractId, Effect, End, EndedBy, Event, Met, PARKED_SAT_MIN, ParkedOffer, Refusal,
    Resolvers, State, Violation,
};
use signer::{ChannelAsk, ChannelOp, ChannelRefusal};
use tx::{Flaw, Form, PARKED, PARKED_BLOCKS_MAX, Parked, Side};
use wire::amount::{CsvDelay, Msat};
use wire::features::{Feature, Features};
use wire::id::HtlcId;
use wire::list::Blob;
use wire::{AddParked, AskParked, Message};

use crate::halves::{CAPACITY, Half, PUSHED, answer};
use crate::live::{hash_of, preimage, reconnect_as};
use crate::onchain::{fail, keep, learn, offered, over, town_of};
use crate::town::Town;

const AMOUNT: Msat = Msat(150_000_000);
/// What a side may lose to miners here.
const FEES_SAT_MAX: u64 = 15_000;
const DELAY: CsvDelay = CsvDelay(200);

fn met(local: bool, remote: bool) -> Met {
    let features = |has: bool| {
        let all = [Feature::ShutdownAnysegwit, Feature::Parked];
        Features::optional(if has { &all } else { &all[..1] })
    };
    Resolvers::all().met(&features(local), &features(remote))
}

/// A channel that can be used, whose ends both know parked contracts.
fn town() -> Town {
    let mut town = town_of(Form::Anchors, &Resolvers::all());
    reconnect_as(&mut town.ends, None, met(true, true));
    town.pump();
    town
}

fn offer(number: u64) -> ParkedOffer {
    let payment_hash = hash_of(&preimage(number));
    ParkedOffer { amount: AMOUNT, payment_hash, refund_delay: DELAY }
}

fn parked(town: &mut Town, at: usize, number: u64) -> ContractId {
    let (id, outcome) = town.ends[at].live.park(offer(number)).unwrap_or_else(|no| panic!("{no}"));
    town.ends[at].take(outcome);
    town.pump();
    id
}

fn opened(number: u64) -> End {
    End::Opened(preimage(number).0.to_vec())
}

fn cancelled() -> End {
    End::Cancelled(Blob(Vec::new()))
}

fn end_it(end: &mut Half, id: ContractId, how: End) {
    let outcome = end.live.end(id, how).unwrap_or_else(|no| panic!("{no}"));
    end.take(outcome);
}

fn ended(end: &Half, id: ContractId) -> Option<&End> {
    end.told.iter().find_map(|event| {
        let Event::Over { id: of, end } = event else { return None };
        (*of == id).then_some(end)
    })
}

/// What each side must have on the chain, if the opener has lost so much.
fn assert_has(town: &Town, lost: i64) {
    let pushed = (PUSHED.0 / 1_000) as i64;
    let want = [CAPACITY.0 as i64 - pushed - lost, pushed + lost];
    for at in [0, 1] {
        let (has, want) = (town.has(at), want[at] as u64);
        assert!(has <= want && has + FEES_SAT_MAX > want, "{at}: {has} of {want}");
    }
}

#[test]
fn a_parked_contract_is_settled_by_its_payee() {
    for payer in [0, 1] {
        let mut town = town();
        let side = town.ends[payer].live.side();
        let before = town.ends[0].live.ledger().free(side);
        let id = parked(&mut town, payer, 7);
        assert_eq!(id, ContractId { offered_by: side, kind: PARKED, id: HtlcId(0) });
        assert_eq!(town.ends[1 - payer].told.last(), Some(&Event::Offered(id)));
        // It has no deadline.
        town.mine_many(700);
        assert!(town.ends.iter().all(|it| *it.live.state() == State::Normal));
        assert!(!town.ends[1 - payer].live.is_too_late(id));
        let wrong = town.ends[1 - payer].live.end(id, opened(8)).map(|_| ());
        assert_eq!(wrong, Err(Refusal::WrongPreimage { id: HtlcId(0) }));
        let wrong = town.ends[1 - payer].live.end(id, End::Failed(Blob(vec![1]))).map(|_| ());
        assert_eq!(wrong, Err(Refusal::WrongEnd { kind: PARKED }));
        end_it(&mut town.ends[1 - payer], id, opened(7));
        town.pump();
        let shown = Event::Opened(id, preimage(7).0.to_vec());
        assert!(town.ends[payer].told.contains(&shown));
        for end in &town.ends {
            assert_eq!(ended(end, id), Some(&opened(7)));
            assert_eq!(end.live.ledger().free(side).0, before.0 - AMOUNT.0);
        }
    }
}

#[test]
fn a_payer_asks_and_the_payee_gives_back() {
    let mut town = town();
    let id = parked(&mut town, 0, 7);
    // By itself the payer can do nothing.
    let alone = town.ends[0].live.end(id, cancelled()).map(|_| ());
    assert_eq!(alone, Err(Refusal::NoSuchHtlc { id: HtlcId(0) }));
    let asked = town.ends[0].live.ask_back(id).expect("it can ask");
    assert!(asked.changes.is_empty(), "a wish changes nothing");
    town.ends[0].take(asked);
    town.pump();
    assert_eq!(town.ends[1].told.last(), Some(&Event::Asked(id)));
    assert_eq!(town.ends[1].live.contracts()[&id].end, None);
    end_it(&mut town.ends[1], id, cancelled());
    town.pump();
    for end in &town.ends {
        assert_eq!(ended(end, id), Some(&cancelled()));
    }
    let no = Refusal::NoSuchHtlc { id: HtlcId(0) };
    assert_eq!(town.ends[0].live.ask_back(id).map(|_| ()), Err(no));
    // What is over, or was never there, is not asked for: nobody is told.
    let channel_id = town.ends[0].live.channel_id();
    let said = AskParked { channel_id, id: HtlcId(0), extension: Default::default() };
    let heard = town.ends[1].live.receive(&said.into()).expect("it may be late");
    assert!(heard.effects.is_empty());
    // Of an HTLC nobody asks for the end.
    let id = offered(&mut town, 0, 60_000_000, 1, 40);
    let no = town.ends[0].live.ask_back(id).map(|_| ());
    assert_eq!(no, Err(Refusal::WrongEnd { kind: id.kind }));
}

#[test]
fn a_commitment_with_it_pays_by_the_preimage_or_comes_back() {
    for closer in [0, 1] {
        for payer in [0, 1] {
            for is_paid in [true, false] {
                let mut town = town();
                let id = parked(&mut town, payer, 7);
                // An HTLC beside it goes its own way.
                let htlc = offered(&mut town, payer, 60_000_000, 1, 40);
                fail(&mut town, closer);
                town.pump();
                town.mine_many(2);
                if is_paid {
                    end_it(&mut town.ends[1 - payer], id, opened(7));
                    learn(&mut town, htlc, 1);
                }
                town.pump();
                let (_, height) = town.ends[payer].live.ended_by().expect("it is in a block");
                while town.height() + 1 < height.0 + u32::from(DELAY.0) {
                    town.mine_many(1);
                }
                // Nobody has it back before its time.
                for end in &town.ends {
                    assert_eq!(ended(end, id).is_some(), is_paid);
                }
                town.finish();
                for at in [0, 1] {
                    let how = ended(&town.ends[at], id).map(|it| it.secret().is_some());
                    assert_eq!(how, Some(is_paid), "{closer} {payer} {at}");
                    assert_eq!(over(&town, at, htlc), Some(is_paid));
                }
                let shown = Event::Opened(id, preimage(7).0.to_vec());
                assert_eq!(town.ends[payer].told.contains(&shown), is_paid);
                let paid = if is_paid { (AMOUNT.0 / 1_000) as i64 + 60_000 } else { 0 };
                assert_has(&town, if payer == 0 { paid } else { -paid });
            }
        }
    }
}

#[test]
fn a_revoked_one_is_taken_by_whoever_was_cheated() {
    for cheat in [0, 1] {
        for payer in [0, 1] {
            for stages in [false, true] {
                let mut town = town();
                let id = parked(&mut town, payer, 7);
                if payer != cheat {
                    // So the cheat could publish its second stage.
                    end_it(&mut town.ends[cheat], id, opened(7));
                }
                let kept = keep(&town, cheat, 12);
                if payer == cheat {
                    end_it(&mut town.ends[1 - payer], id, opened(7));
                }
                town.pump();
                assert!(ended(&town.ends[payer], id).is_some());
                punished(town, cheat, kept.commitment, if stages { kept.stages } else { vec![] });
            }
        }
    }
}

/// A cheat publishes these, and loses all that it has in the channel.
fn punished(mut town: Town, cheat: usize, commitment: Transaction, stages: Vec<Transaction>) {
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    town.sees[cheat] = false;
    town.mine_with(vec![commitment]);
    if !stages.is_empty() {
        town.mine_with(stages);
    }
    let honest = 1 - cheat;
    for round in 0..400 {
        town.pump();
        town.mine();
        // Long before the cheat could take any of it.
        if round == 12 {
            assert!(town.has(honest) + FEES_SAT_MAX > CAPACITY.0, "{}", town.has(honest));
        }
        if *town.ends[honest].live.state() == State::Done {
            break;
        }
    }
    let by = town.ends[honest].live.ended_by().map(|(by, _)| by);
    assert!(matches!(by, Some(EndedBy::Revoked(_))), "{by:?}");
    let has = town.has(honest);
    assert!(has + FEES_SAT_MAX > CAPACITY.0, "{has}");
}

#[test]
fn both_go_on_from_what_was_saved() {
    for steps in 0..14 {
        let mut town = town();
        let (id, outcome) = town.ends[0].live.park(offer(7)).expect("there is room");
        town.ends[0].take(outcome);
        for step in 0..steps {
            let [one, other] = &mut town.ends;
            let (end, peer) = if step % 2 == 0 { (one, other) } else { (other, one) };
            end.flush(&mut peer.inbox);
            end.answer();
            end.hear();
            let drive = end.live.drive();
            end.take(drive);
        }
        reconnect_as(&mut town.ends, Some(steps % 2), met(true, true));
        town.tell_now(steps % 2);
        town.pump();
        if !town.ends[0].live.contracts().contains_key(&id) {
            // Whoever has crashed had not saved it: its number is free.
            assert_eq!(parked(&mut town, 0, 7), id);
        }
        end_it(&mut town.ends[1], id, opened(7));
        reconnect_as(&mut town.ends, Some(0), met(true, true));
        town.tell_now(0);
        town.pump();
        for end in &town.ends {
            assert_eq!(ended(end, id), Some(&opened(7)), "{steps}");
        }
    }
}

#[test]
fn what_has_no_place_is_refused_with_its_numbers() {
    let town = town();
    let end = &town.ends[0];
    let no =
        |offer: ParkedOffer| end.live.park(offer).map(|(id, _)| id).expect_err("it is refused");
    let min = Msat(PARKED_SAT_MIN.0 * 1_000);
    let got = Msat(min.0 - 1);
    assert_eq!(no(ParkedOffer { amount: got, ..offer(1) }), Refusal::TooSmall { got, min });
    assert_eq!(no(ParkedOffer { amount: Msat(0), ..offer(1) }), Refusal::Zero);
    // What both ask each other to wait for is 144.
    let field = "refund_delay";
    let short = Flaw::Least { field, got: 143, min: 144 };
    let long = u64::from(PARKED_BLOCKS_MAX);
    let long = Flaw::Value { field, got: long + 1, max: long };
    for (delay, flaw) in [(143, short), (PARKED_BLOCKS_MAX + 1, long)] {
        let bad = ParkedOffer { refund_delay: CsvDelay(delay), ..offer(1) };
        assert_eq!(no(bad), Refusal::Contract(flaw));
        let heard = town.ends[1].live.receive(&said(&end.live, bad)).map(|_| ());
        assert_eq!(heard, Err(Violation::Contract(flaw)));
    }
    let good = ParkedOffer { refund_delay: CsvDelay(144), ..offer(1) };
    assert!(end.live.park(good).is_ok());
    assert!(town.ends[1].live.receive(&said(&end.live, good)).is_ok());
    let wrong = AddParked { id: HtlcId(1), ..add(&end.live, good) };
    let heard = town.ends[1].live.receive(&wrong.into()).map(|_| ());
    assert_eq!(heard, Err(Violation::HtlcId { got: HtlcId(1), want: HtlcId(0) }));
}

fn add(live: &Channel, offer: ParkedOffer) -> AddParked {
    AddParked {
        channel_id: live.channel_id(),
        id: HtlcId(0),
        amount_msat: offer.amount,
        payment_hash: offer.payment_hash,
        refund_delay: offer.refund_delay,
        extension: Default::default(),
    }
}

fn said(live: &Channel, offer: ParkedOffer) -> Message {
    add(live, offer).into()
}

#[test]
fn only_those_who_have_both_offered_it_have_it() {
    for met in [met(false, false), met(true, false), met(false, true)] {
        let mut town = town();
        let id = parked(&mut town, 0, 7);
        reconnect_as(&mut town.ends, None, met);
        town.pump();
        let no = town.ends[0].live.park(offer(8)).map(|_| ());
        assert_eq!(no, Err(Refusal::NotNegotiated { kind: PARKED }));
        let heard = town.ends[1].live.receive(&said(&town.ends[0].live, offer(8))).map(|_| ());
        assert_eq!(heard, Err(Violation::NotNegotiated { kind: PARKED }));
        // What is there stays, and ends.
        end_it(&mut town.ends[1], id, opened(7));
        town.pump();
        assert_eq!(ended(&town.ends[0], id), Some(&opened(7)));
    }
    // Channels without anchors have none, whoever has offered it.
    let mut town = town_of(Form::StaticRemoteKey, &Resolvers::all());
    reconnect_as(&mut town.ends, None, met(true, true));
    town.pump();
    let flaw = Flaw::Form { kind: PARKED };
    let no = town.ends[0].live.park(offer(8)).map(|_| ());
    assert_eq!(no, Err(Refusal::Contract(flaw)));
    let heard = town.ends[1].live.receive(&said(&town.ends[0].live, offer(8))).map(|_| ());
    assert_eq!(heard, Err(Violation::Contract(flaw)));
    // Who knows only BOLT 2 does not know the message.
    let town = crate::onchain::town(Form::Anchors);
    let heard = town.ends[1].live.receive(&said(&town.ends[0].live, offer(8))).map(|_| ());
    assert_eq!(heard, Err(Violation::Unexpected { message: "add_parked" }));
}

#[test]
fn the_signer_looks_at_the_terms_too() {
    let mut town = town();
    let (_, outcome) = town.ends[0].live.park(offer(7)).expect("there is room");
    let end = &mut town.ends[0];
    end.take(outcome);
    let asks = end.live.drive().effects.into_iter();
    let ask = asks.filter_map(|it| if let Effect::Ask(_, ask) = it { Some(*ask) } else { None });
    let ask = ask.last().expect("it signs the peer's commitment");
    let ChannelOp::SignRemote { mut meaning, secrets } = ask.op else { panic!("it signs") };
    let payment_hash = hash_of(&preimage(7));
    let short = Parked { payment_hash, refund_delay: CsvDelay(143) };
    meaning.contracts[0].contract = std::sync::Arc::new(short);
    let ask = ChannelAsk { op: ChannelOp::SignRemote { meaning, secrets }, ..ask };
    let flaw = Flaw::Least { field: "refund_delay", got: 143, min: 144 };
    let said = answer(&mut end.signer, &ask).map(|_| ());
    assert_eq!(said, Err(ChannelRefusal::Contract(flaw)));
}

#[test]
fn htlcs_and_parked_contracts_share_the_room_of_a_commitment() {
    let mut town = town();
    // The peer takes 30 contracts, of any kind.
    for number in 0..15 {
        parked_small(&mut town, number);
        offered(&mut town, 0, 2_000_000, number, 40);
    }
    let small = ParkedOffer { amount: Msat(2_000_000), ..offer(99) };
    let no = town.ends[0].live.park(small).map(|_| ());
    assert!(matches!(no, Err(Refusal::TooMany { .. })), "{no:?}");
    // The numbers of each kind are its own.
    let ledger = town.ends[0].live.ledger();
    assert_eq!(ledger.next_id(Side::Opener), HtlcId(15));
    assert_eq!(ledger.next_of(Side::Opener, PARKED), HtlcId(15));
}

fn parked_small(town: &mut Town, number: u64) {
    let small = ParkedOffer { amount: Msat(2_000_000), ..offer(number) };
    let (_, outcome) = town.ends[0].live.park(small).unwrap_or_else(|no| panic!("{no}"));
    town.ends[0].take(outcome);
    town.pump();
}
