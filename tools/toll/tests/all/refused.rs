//! Who does not know tolls refuses them, and changes nothing.

use channel::{Change, ContractId, Effect, Event, Refusal, Resolvers, State, Violation};
use signer::{Ask, ChannelAsk, ChannelOp, ChannelRefusal, Refusal as Refused};
use toll::{TOLL, TOLL_SAT_MAX, TOLLS_MAX, Toll, TollResolver, TollTemplate};
use tx::{Flaw, Form, Kind, Side, Template, Templates};
use wire::amount::{CsvDelay, Msat};
use wire::features::Features;
use wire::id::HtlcId;
use wire::lease::LeaseEpoch;
use wire::{Message, Network, Unnamed};

use crate::flow::{AMOUNT, features, offer, resolvers, toll, town, town_with};
use crate::halves::{Half, answer, channels_of};
use crate::town::Town;

fn no(end: &Half, amount: Msat, toll: &Toll) -> Refusal {
    let offered = end.live.offer(TOLL, |to, id| TollResolver::offer(to, id, amount, toll));
    offered.map(|(id, _)| id).expect_err("it has no place here")
}

#[test]
fn a_signer_without_the_template_refuses() {
    // The payee's signer knows HTLCs only.
    let templates = [resolvers().templates(), Templates::bolt3()];
    let mut town = town_with(Form::Anchors, templates, &features());
    offer(&mut town.ends[0], toll());
    town.pump();
    // It was shown a commitment with a toll, and gives up nothing for it. That is no fault of the
    // peer's: the channel waits for a signer that knows more.
    let want = ChannelRefusal::Contract(Flaw::UnknownKind { kind: TOLL }).to_string();
    assert!(town.ends[1].told.contains(&Event::Refused { why: want.clone() }));
    let advanced = |it: &Change| matches!(it, Change::Advanced { .. });
    assert!(!town.ends[1].log.iter().any(advanced));
    assert!(town.ends.iter().all(|it| *it.live.state() == State::Normal));
    // Whose owner does not want to wait has the commitment before.
    town.ends.iter_mut().for_each(|it| it.may_fail = true);
    let fail = town.ends[1].live.fail();
    town.ends[1].take(fail);
    town.finish();

    // And nobody's signer signs one.
    let mut town = town_with(Form::Anchors, templates_of_opener(), &features());
    offer(&mut town.ends[0], toll());
    town.pump();
    assert!(town.ends[0].told.contains(&Event::Refused { why: want }));
    assert!(town.ends[1].live.ledger().has_unsigned(Side::Opener), "nothing was signed");
}

fn templates_of_opener() -> [Templates; 2] {
    [Templates::bolt3(), resolvers().templates()]
}

/// A channel and signers of BOLT 2 alone.
fn plain() -> Town {
    let signers = [1, 2].map(|it| channels_of(it, Templates::bolt3()));
    Town::knowing(Form::Anchors, &Resolvers::bolt2(), signers)
}

#[test]
fn a_channel_without_the_resolver_does_not_know_the_message() {
    let town = town(Form::Anchors);
    let plain = plain();
    let said = TollResolver::offer(plain.ends[1].live.channel_id(), HtlcId(0), AMOUNT, &toll());
    // It knows no such message.
    let mut ends = plain.ends;
    for at in [0, 1] {
        let deep = ends[at].live.deep(None);
        ends[at].take(deep);
        let mut sent = std::collections::VecDeque::new();
        ends[at].flush(&mut sent);
        ends[1 - at].inbox.extend(sent);
    }
    ends.iter_mut().for_each(Half::hear);
    let heard = ends[1].live.receive(&said).map(|_| ());
    assert_eq!(heard, Err(Violation::Unexpected { message: "unknown" }));
    let refused = ends[0].live.offer(TOLL, |_, _| said.clone()).map(|_| ());
    assert_eq!(refused, Err(Refusal::NotNegotiated { kind: TOLL }));
    // Whoever knows it takes it.
    assert!(town.ends[1].live.receive(&said).is_ok());
}

#[test]
fn what_not_both_have_offered_is_refused() {
    let templates = resolvers().templates();
    let mut town = town_with(Form::Anchors, [templates.clone(), templates], &Features::NONE);
    assert_eq!(no(&town.ends[0], AMOUNT, &toll()), Refusal::NotNegotiated { kind: TOLL });
    let said = TollResolver::offer(town.ends[0].live.channel_id(), HtlcId(0), AMOUNT, &toll());
    let heard = town.ends[1].live.receive(&said).map(|_| ());
    assert_eq!(heard, Err(Violation::NotNegotiated { kind: TOLL }));
    // One of the two is not enough.
    let met = resolvers().met(&features(), &Features::NONE);
    let connected = town.ends[0].live.connected(met);
    town.ends[0].take(connected);
    assert_eq!(met, resolvers().met(&Features::NONE, &features()));
}

#[test]
fn limits_are_said_with_their_numbers() {
    let mut town = town(Form::Anchors);
    let end = &town.ends[0];
    let (min, max) = (Msat(1_000_000), Msat(TOLL_SAT_MAX.0 * 1_000));
    let less = Msat(min.0 - 1);
    assert_eq!(no(end, less, &toll()), Refusal::TooSmall { got: less, min });
    let more = Msat(max.0 + 1);
    assert_eq!(no(end, more, &toll()), Refusal::TooLarge { got: more, max });
    let short = Toll { wait: CsvDelay(287), ..toll() };
    let flaw = Flaw::Least { field: "wait", got: 287, min: 288 };
    assert_eq!(no(end, AMOUNT, &short), Refusal::Contract(flaw));
    let said = TollResolver::offer(end.live.channel_id(), HtlcId(0), AMOUNT, &short);
    let heard = town.ends[1].live.receive(&said).map(|_| ());
    assert_eq!(heard, Err(Violation::Contract(flaw)));
    for _ in 0..TOLLS_MAX.0 {
        offer(&mut town.ends[0], toll());
    }
    assert_eq!(no(&town.ends[0], AMOUNT, &toll()), Refusal::TooMany { max: TOLLS_MAX });
    // HTLCs are counted apart, and so are their numbers.
    let id = ContractId { offered_by: Side::Opener, kind: TOLL, id: HtlcId(2) };
    assert!(town.ends[0].live.contracts().contains_key(&id));
    assert_eq!(town.ends[0].live.ledger().next_id(Side::Opener), HtlcId(0));
}

/// What a signer far away is sent, and what it keeps on its disk.
#[test]
fn a_signer_on_a_link_or_after_a_restart_reads_tolls_or_says_why_not() {
    let mut town = town(Form::Anchors);
    offer(&mut town.ends[0], toll());
    let asks = town.ends[0].live.drive().effects.into_iter();
    let ask = asks.filter_map(|it| if let Effect::Ask(_, ask) = it { Some(*ask) } else { None });
    let ask = Ask::Channel { lease: LeaseEpoch(0), ask: Box::new(ask.last().expect("it signs")) };
    let bytes = ask.encode();
    assert_eq!(Ask::decode_with(&bytes, &resolvers().templates()), Ok(ask));
    let no = Ask::decode_with(&bytes, &Templates::bolt3()).expect_err("it does not know tolls");
    let flaw = Flaw::UnknownKind { kind: TOLL };
    let said = no.refusal().map(|(_, no)| no);
    assert_eq!(said, Some(Refused::Channel(ChannelRefusal::Contract(flaw))));

    town.pump();
    let saved = town.ends[1].signer.channels.encode(Network::Regtest);
    let restored = |templates| {
        let mut signer = channels_of(2, templates);
        signer.channels.restore(&saved, Network::Regtest).map(|_| ())
    };
    assert_eq!(restored(resolvers().templates()), Ok(()));
    assert!(restored(Templates::bolt3()).is_err(), "what it signs by must be known");
}

#[test]
fn the_signer_judges_the_terms_itself() {
    // A channel that does not ask whether a toll fits its terms is stopped by its signer.
    let mut town = town(Form::Anchors);
    offer(&mut town.ends[0], toll());
    let end = &mut town.ends[0];
    let mut found = None;
    let mut sent = std::collections::VecDeque::new();
    end.flush(&mut sent);
    let drive = end.live.drive();
    for effect in &drive.effects {
        if let Effect::Ask(_, ask) = effect {
            found = Some((**ask).clone());
        }
    }
    let Some(ChannelAsk { channel, op: ChannelOp::SignRemote { mut meaning, secrets } }) = found
    else {
        panic!("it signs the peer's commitment");
    };
    let short = Toll { wait: CsvDelay(10), ..toll() };
    meaning.contracts[0].contract = std::sync::Arc::new(short);
    let ask = ChannelAsk { channel, op: ChannelOp::SignRemote { meaning, secrets } };
    let flaw = Flaw::Least { field: "wait", got: 10, min: 288 };
    let said = answer(&mut end.signer, &ask).map(|_| ());
    assert_eq!(said, Err(ChannelRefusal::Contract(flaw)));
}

#[test]
fn what_is_no_toll_is_named() {
    let town = town(Form::Anchors);
    let live = &town.ends[1].live;
    for (message_type, len) in [(40_001, 0), (40_001, 69), (40_001, 71), (40_003, 39), (40_003, 55)]
    {
        let said = Unnamed::new(message_type, vec![0; len]).expect("it is odd");
        let heard = live.receive(&Message::Unknown(said)).map(|_| ());
        assert!(matches!(heard, Err(Violation::Contract(Flaw::Length { .. }))), "{len}");
    }
    let other = Unnamed::new(40_005, vec![0; 70]).expect("it is odd");
    let heard = live.receive(&Message::Unknown(other)).map(|_| ());
    assert_eq!(heard, Err(Violation::Unexpected { message: "unknown" }));
    assert_eq!(TollTemplate.kind(), Kind(40_001));
    assert!(TollTemplate.read(&[0; 21]).is_err());
}
