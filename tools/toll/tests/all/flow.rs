//! Tolls that are paid and given back between the two.

use channel::{As, Channel, ContractId, Dialects, End, Event, Resolvers, State};
use toll::{FEATURE, TOLL, Toll, TollResolver, WORD_BYTES, hash_of};
use tx::{Form, Templates};
use wire::amount::{CsvDelay, Msat};
use wire::features::{Feature, Features};
use wire::list::Blob;

use crate::halves::{Half, channels_of};
use crate::town::Town;

pub const WORD: [u8; WORD_BYTES] = *b"open the bridge!";
pub const AMOUNT: Msat = Msat(100_000_000);

/// A channel's kinds, tolls with them.
pub fn resolvers() -> Resolvers {
    let mut resolvers = Resolvers::bolt2();
    assert!(resolvers.register(std::sync::Arc::new(TollResolver)), "there is room");
    resolvers
}

/// What both offer in `init`.
pub fn features() -> Features {
    Features::optional(&[Feature::ShutdownAnysegwit]).with_bit(usize::from(FEATURE) + 1)
}

/// A channel that can be used, whose ends have met with these features.
pub fn town_with(form: Form, templates: [Templates; 2], features: &Features) -> Town {
    let [one, other] = templates;
    let mut town = Town::knowing(form, &resolvers(), [channels_of(1, one), channels_of(2, other)]);
    for at in [0, 1] {
        let deep = town.ends[at].live.deep(None);
        town.ends[at].take(deep);
    }
    town.pump();
    reconnect(&mut town, features);
    assert!(town.ends.iter().all(|it| *it.live.state() == State::Normal));
    town
}

pub fn town(form: Form) -> Town {
    let templates = resolvers().templates();
    town_with(form, [templates.clone(), templates], &features())
}

pub fn reconnect(town: &mut Town, features: &Features) {
    for end in &mut town.ends {
        end.inbox.clear();
        let lost = end.live.disconnected();
        end.take(lost);
        let met = end.live.resolvers().met(features, features);
        let connected = end.live.connected(met);
        end.take(connected);
    }
    town.pump();
}

pub fn toll() -> Toll {
    Toll { hash: hash_of(&WORD), wait: CsvDelay(300) }
}

/// Offers it; nothing has been said yet.
pub fn offer(end: &mut Half, toll: Toll) -> ContractId {
    let write = |channel, id| TollResolver::offer(channel, id, AMOUNT, &toll);
    let (id, outcome) = end.live.offer(TOLL, write).unwrap_or_else(|no| panic!("{no}"));
    end.take(outcome);
    id
}

pub fn end_it(end: &mut Half, id: ContractId, how: End) {
    let outcome = end.live.end(id, how).unwrap_or_else(|no| panic!("{no}"));
    end.take(outcome);
}

pub fn over(end: &Half, id: ContractId) -> Option<&End> {
    end.told.iter().find_map(|event| {
        let Event::Over { id: of, end } = event else { return None };
        (*of == id).then_some(end)
    })
}

#[test]
fn a_toll_is_paid_or_goes_back() {
    for form in [Form::Anchors, Form::StaticRemoteKey] {
        for (how, is_paid) in
            [(End::Opened(WORD.to_vec()), true), (End::Cancelled(Blob(Vec::new())), false)]
        {
            let mut town = town(form);
            let before = town.ends[0].live.ledger().free(town.ends[0].live.side());
            let id = offer(&mut town.ends[0], toll());
            town.pump();
            assert_eq!(town.ends[1].told.last(), Some(&Event::Offered(id)));
            // It has an output in both commitments, and no second stage.
            for end in &town.ends {
                let side = end.live.side();
                assert_eq!(end.live.ledger().view(side, As::Settled).contracts.len(), 1);
            }
            end_it(&mut town.ends[1], id, how.clone());
            town.pump();
            let shown = Event::Opened(id, WORD.to_vec());
            assert_eq!(town.ends[0].told.contains(&shown), is_paid);
            for end in &town.ends {
                assert_eq!(over(end, id), Some(&how));
                let want = if is_paid { before.0 - AMOUNT.0 } else { before.0 };
                assert_eq!(end.live.ledger().free(town.ends[0].live.side()), Msat(want));
            }
            // The next one has the next number.
            assert_eq!(offer(&mut town.ends[0], toll()).id.0, 1);
        }
    }
}

#[test]
fn both_begin_again_from_what_was_saved_whatever_was_under_way() {
    // After each message that is delivered both forget what they had not saved.
    for steps in 0..18 {
        let mut town = town(Form::Anchors);
        let id = offer(&mut town.ends[0], toll());
        for step in 0..steps {
            let [one, other] = &mut town.ends;
            let (end, peer) = if step % 2 == 0 { (one, other) } else { (other, one) };
            end.flush(&mut peer.inbox);
            end.answer();
            end.hear();
            let drive = end.live.drive();
            end.take(drive);
        }
        for at in [0, 1] {
            town.ends[at].inbox.clear();
            town.ends[at].crash();
            town.tell_now(at);
        }
        reconnect(&mut town, &features());
        if town.ends[0].live.contracts().is_empty() {
            // It had not been saved.
            assert_eq!(offer(&mut town.ends[0], toll()), id);
            town.pump();
        }
        end_it(&mut town.ends[1], id, End::Opened(WORD.to_vec()));
        for at in [0, 1] {
            town.ends[at].crash();
            town.tell_now(at);
        }
        reconnect(&mut town, &features());
        if over(&town.ends[1], id).is_none() {
            end_it(&mut town.ends[1], id, End::Opened(WORD.to_vec()));
            town.pump();
        }
        for end in &town.ends {
            assert_eq!(over(end, id), Some(&End::Opened(WORD.to_vec())), "{steps}");
        }
    }
}

#[test]
fn it_closes_together_once_no_toll_is_left() {
    let mut town = town(Form::Anchors);
    let id = offer(&mut town.ends[0], toll());
    town.pump();
    let close = town.ends[0].live.close().expect("it is open");
    town.ends[0].take(close);
    town.pump();
    assert!(matches!(town.ends[1].live.state(), State::Shutdown(_)));
    end_it(&mut town.ends[1], id, End::Opened(WORD.to_vec()));
    town.pump();
    assert!(town.ends.iter().all(|it| matches!(it.live.state(), State::Negotiating(_))));
    town.finish();
}

#[test]
fn a_channel_without_the_resolver_does_not_begin_with_a_toll() {
    let mut town = town(Form::Anchors);
    offer(&mut town.ends[0], toll());
    town.pump();
    for end in &town.ends {
        let mut forgetful = Channel::new(end.begun.clone());
        let restored: Result<Vec<()>, _> =
            end.log.iter().map(|change| forgetful.restore(change)).collect();
        let no = restored.expect_err("it does not know tolls");
        assert_eq!(no, channel::NoResolver::Message { message_type: 40_001 });
        assert!(no.to_string().contains("no resolver"), "{no}");
        // Whoever knows them does.
        let mut live = Channel::with(end.begun.clone(), resolvers());
        end.log.iter().for_each(|it| live.restore(it).expect("it is known"));
        assert_eq!(live.contracts().len(), 1);
        // The same of all that was saved, in one.
        let sum = channel::Change::Sum(Box::new(live.sum()));
        let mut forgetful = Channel::new(end.begun.clone());
        let no = forgetful.restore(&sum).expect_err("it does not know tolls");
        assert_eq!(no, channel::NoResolver::Message { message_type: 40_001 });
        let mut again = Channel::with(end.begun.clone(), resolvers());
        again.restore(&sum).expect("it is known");
        assert_eq!(format!("{again:?}"), format!("{live:?}"));
    }
    // Dialects alone say nothing of tolls.
    assert_ne!(resolvers().met(&features(), &features()), Dialects::ALL.into());
}
