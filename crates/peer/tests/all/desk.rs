//! A desk and its holder: the link between them breaks anywhere, and nothing is lost or doubled.

use std::collections::BTreeMap;

use peer::{
    Culprit, Epoch, OutSeq, Refusal, Seq,
    desk::{Desk, News, NotTaken, Token},
    holder::{Answer, Ask, AskId, Denial, Event, Link, Opened},
    limits,
};
use wire::{dice::Dice, id::ConnectionId};

use crate::{
    host::{Host, INSTANCE},
    pair::{NOTE, key},
};

const ONE: ConnectionId = ConnectionId(1);

fn note(text: &str) -> Vec<u8> {
    [&NOTE.to_be_bytes()[..], text.as_bytes()].concat()
}

fn opened(connection: ConnectionId, epoch: u64, sent: u64) -> Event {
    Event::Opened(Opened {
        connection,
        remote: key(2).public(),
        address: "10.0.0.9:4000".parse().expect("an address"),
        outbound: false,
        epoch: Epoch(epoch),
        sent: OutSeq(sent),
        init: vec![0; 4],
    })
}

fn message(seq: u64) -> Event {
    Event::Message { connection: ONE, seq: Seq(seq), bytes: note("x") }
}

/// All that a desk asks at present.
fn asked(desk: &mut Desk) -> Vec<(Token, Ask)> {
    std::iter::from_fn(|| desk.poll()).collect()
}

fn news(desk: &mut Desk) -> Vec<News> {
    std::iter::from_fn(|| desk.news()).collect()
}

/// The numbers of the messages among questions.
fn sends(asks: &[(Token, Ask)]) -> Vec<u64> {
    let number = |(_, ask): &(Token, Ask)| {
        if let Ask::Send { seq, .. } = ask { Some(seq.0) } else { None }
    };
    asks.iter().filter_map(number).collect()
}

fn marks(asks: &[(Token, Ask)]) -> Vec<(ConnectionId, Seq)> {
    let mut all = Vec::new();
    for (_, ask) in asks {
        if let Ask::Acknowledge { marks } = ask {
            all.extend(marks.iter().copied());
        }
    }
    all
}

/// Joins a desk to a holder of this number, which has these connections.
fn join(desk: &mut Desk, holder: u64, events: impl IntoIterator<Item = Event>) {
    desk.link_came();
    let asks = asked(desk);
    let is_it = |(_, ask): &&(Token, Ask)| matches!(ask, Ask::Subscribe { .. });
    let (token, _) = asks.iter().find(is_it).expect("it subscribes");
    desk.answered(*token, Answer::Subscribed { holder, listening: Vec::new() });
    events.into_iter().for_each(|event| desk.event(event));
    desk.event(Event::Caught);
}

/// A desk of epoch 1 with one connection.
fn joined() -> Desk {
    let mut desk = Desk::new(Epoch(1), BTreeMap::new());
    join(&mut desk, INSTANCE, [opened(ONE, 1, 0)]);
    news(&mut desk);
    desk
}

#[test]
fn what_the_holder_has_not_sent_is_sent_again() {
    for taken in 0..=6_u64 {
        for answered in 0..=taken {
            let mut desk = joined();
            for number in 1..=6 {
                assert_eq!(desk.send(ONE, note("x")), Ok(OutSeq(number)));
            }
            let asks = asked(&mut desk);
            assert_eq!(sends(&asks), [1, 2, 3, 4, 5, 6]);
            for (token, _) in &asks[..answered as usize] {
                desk.answered(*token, Answer::Done);
            }
            desk.link_went();
            // What comes meanwhile goes behind.
            assert_eq!(desk.send(ONE, note("x")), Ok(OutSeq(7)));
            desk.link_came();
            let (token, ask) = desk.poll().expect("it subscribes");
            assert!(matches!(ask, Ask::Subscribe { epoch: Epoch(1) }));
            assert!(desk.send(ONE, note("x")).is_ok());
            assert!(asked(&mut desk).is_empty(), "not before it is known what was sent");
            desk.answered(token, Answer::Subscribed { holder: INSTANCE, listening: Vec::new() });
            desk.event(opened(ONE, 1, taken));
            desk.event(Event::Caught);
            let again = asked(&mut desk);
            assert_eq!(sends(&again), (taken + 1..=8).collect::<Vec<_>>(), "{answered}");
            for (token, _) in again {
                desk.answered(token, Answer::Done);
            }
            let mut sent = Vec::new();
            for each in news(&mut desk) {
                if let News::Sent { seq, .. } = each {
                    sent.push(seq.0);
                } else {
                    assert!(matches!(each, News::Caught), "no other news");
                }
            }
            assert_eq!(sent, [1, 2, 3, 4, 5, 6, 7, 8]);
        }
    }
}

#[test]
fn what_comes_again_is_told_once() {
    let mut desk = joined();
    (1..=3).for_each(|seq| desk.event(message(seq)));
    assert_eq!(news(&mut desk).len(), 3);
    desk.saved(ONE, Seq(2));
    assert_eq!(marks(&asked(&mut desk)), [(ONE, Seq(2))]);
    desk.link_went();
    // The acknowledgement was lost: all three come again.
    join(&mut desk, INSTANCE, [opened(ONE, 1, 0), message(1), message(2), message(3), message(4)]);
    let told = news(&mut desk);
    let seqs: Vec<u64> = told
        .iter()
        .filter_map(|each| if let News::Message { seq, .. } = each { Some(seq.0) } else { None })
        .collect();
    assert_eq!(seqs, [4]);
    assert_eq!(marks(&asked(&mut desk)), [(ONE, Seq(2))], "what is saved is said again");
    desk.saved(ONE, Seq(4));
    desk.saved(ONE, Seq(3));
    assert_eq!(marks(&asked(&mut desk)), [(ONE, Seq(4))]);
    assert!(asked(&mut desk).is_empty());
}

#[test]
fn marks_of_an_earlier_life() {
    let mark = |holder| BTreeMap::from([((holder, ONE), Seq(2))]);
    for (holder, want) in [(INSTANCE, vec![3]), (INSTANCE + 1, vec![1, 2, 3])] {
        let mut desk = Desk::new(Epoch(2), mark(holder));
        let events = [opened(ONE, 2, 0), message(1), message(2), message(3)];
        join(&mut desk, INSTANCE, events);
        let told = news(&mut desk);
        let seq =
            |each: &News| if let News::Message { seq, .. } = each { Some(seq.0) } else { None };
        assert_eq!(told.iter().filter_map(seq).collect::<Vec<_>>(), want);
        let acknowledged = marks(&asked(&mut desk));
        match holder == INSTANCE {
            true => assert_eq!(acknowledged, [(ONE, Seq(2))]),
            false => assert_eq!(acknowledged, [], "another holder's connection of that number"),
        }
    }
}

#[test]
fn another_holder_has_other_connections() {
    let mut desk = joined();
    desk.send(ONE, note("x")).expect("open");
    desk.event(message(1));
    desk.saved(ONE, Seq(1));
    desk.link_went();
    join(&mut desk, INSTANCE + 1, [opened(ONE, 1, 0), message(1)]);
    assert_eq!(desk.holder(), Some(INSTANCE + 1));
    let told = news(&mut desk);
    let count = |is: fn(&News) -> bool| told.iter().filter(|each| is(each)).count();
    assert_eq!(count(|each| matches!(each, News::NotSent { seq: OutSeq(1), .. })), 1);
    assert_eq!(count(|each| matches!(each, News::Closed { culprit: Culprit::Local, .. })), 1);
    assert_eq!(count(|each| matches!(each, News::Opened(_))), 1, "of the same number, but new");
    assert_eq!(count(|each| matches!(each, News::Message { .. })), 2, "each holder's first one");
    let asks = asked(&mut desk);
    assert_eq!((sends(&asks), marks(&asks)), (vec![], vec![]));
    assert_eq!(desk.send(ONE, note("x")), Ok(OutSeq(1)), "counted anew");
}

#[test]
fn what_is_not_told_again_is_over() {
    let mut desk = joined();
    desk.send(ONE, note("x")).expect("open");
    desk.link_went();
    assert_eq!(desk.connections().count(), 1);
    join(&mut desk, INSTANCE, []);
    assert_eq!(desk.connections().count(), 0);
    let told = news(&mut desk);
    assert!(matches!(told[0], News::NotSent { seq: OutSeq(1), .. }));
    assert!(matches!(told[1], News::Closed { culprit: Culprit::Network, .. }));
    assert!(matches!(told[2], News::Caught));
    assert_eq!(desk.send(ONE, note("x")), Err(NotTaken::Unknown));
    desk.saved(ONE, Seq(1));
    desk.event(message(2));
    desk.event(Event::Closed { connection: ONE, culprit: Culprit::Local, text: String::new() });
    assert!(asked(&mut desk).is_empty(), "of what is over nothing is said");
}

#[test]
fn another_owner_closes_what_we_knew() {
    let mut desk = joined();
    desk.send(ONE, note("x")).expect("open");
    desk.link_went();
    for (epoch, sent) in [(5, 0), (1, 9)] {
        join(&mut desk, INSTANCE, [opened(ONE, epoch, sent)]);
        let told = news(&mut desk);
        assert!(told.iter().any(|each| matches!(each, News::Closed { .. })));
        assert!(told.iter().any(|each| matches!(each, News::Opened(_))));
        assert!(sends(&asked(&mut desk)).is_empty());
        assert_eq!(desk.send(ONE, note("x")), Ok(OutSeq(sent + 1)));
        desk.link_went();
    }
}

#[test]
fn after_a_refusal_numbers_are_used_again() {
    let mut desk = joined();
    (1..=3).for_each(|_| assert!(desk.send(ONE, note("x")).is_ok()));
    let asks = asked(&mut desk);
    let full = Denial::Connection(Refusal::Congested { unsent: 9, max: 8 });
    desk.answered(asks[0].0, Answer::Done);
    desk.answered(asks[1].0, Answer::Refused(full));
    assert_eq!(desk.send(ONE, note("x")), Ok(OutSeq(2)));
    // The answer to the one behind is for a message that is given up.
    desk.answered(asks[2].0, Answer::Refused(Denial::Malformed));
    desk.answered(asks[2].0, Answer::Done);
    let again = asked(&mut desk);
    assert_eq!(sends(&again), [2]);
    desk.answered(again[0].0, Answer::Done);
    let fate = |each: News| {
        if let News::Sent { seq, .. } = each {
            return (seq.0, true);
        }
        let News::NotSent { seq, .. } = each else { panic!("other news") };
        (seq.0, false)
    };
    let mut fates: Vec<_> = news(&mut desk).into_iter().map(fate).collect();
    fates[1..3].sort_unstable();
    assert_eq!(fates, [(1, true), (2, false), (3, false), (2, true)]);
}

#[test]
fn what_is_refused_is_told_in_order() {
    let mut desk = joined();
    (1..=3).for_each(|_| assert!(desk.send(ONE, note("x")).is_ok()));
    let asks = asked(&mut desk);
    desk.answered(asks[0].0, Answer::Refused(Denial::Malformed));
    let number = |each: &News| if let News::NotSent { seq, .. } = each { seq.0 } else { 0 };
    assert_eq!(news(&mut desk).iter().map(number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn limits_of_a_desk() {
    let mut desk = joined();
    for _ in 0..limits::UNANSWERED_MAX {
        desk.send(ONE, note("x")).expect("there is room");
    }
    let (have, max) = (limits::UNANSWERED_MAX, limits::UNANSWERED_MAX);
    assert_eq!(desk.send(ONE, note("x")), Err(NotTaken::Full { have, max }));
    asked(&mut desk);
    // Marks of very many connections go in several questions.
    let many = limits::MARKS_MAX as u64 + 100;
    for id in 2..=many {
        desk.event(opened(ConnectionId(id), 1, 0));
        desk.saved(ConnectionId(id), Seq(1));
    }
    let asks = asked(&mut desk);
    assert_eq!((asks.len(), marks(&asks).len() as u64), (2, many - 1));
}

#[test]
fn questions_of_the_owner_have_one_answer_each() {
    let mut desk = joined();
    let token = desk.ask(Ask::Status).expect("the link is up");
    asked(&mut desk);
    desk.answered(token, Answer::Done);
    desk.answered(token, Answer::Done);
    desk.answered(Token(999), Answer::Done);
    let lost = desk.ask(Ask::Status).expect("the link is up");
    desk.link_went();
    desk.answered(lost, Answer::Done);
    assert!(desk.ask(Ask::Status).is_none());
    let told = news(&mut desk);
    assert!(matches!(told[0], News::Answered { answer: Some(Answer::Done), .. }));
    assert!(matches!(told[1], News::Answered { token, answer: None } if token == lost));
    assert_eq!(told.len(), 2);
    desk.link_came();
    let (token, _) = desk.poll().expect("it subscribes");
    desk.answered(token, Answer::Refused(Denial::Told("another one".to_owned())));
    assert!(matches!(&news(&mut desk)[..], [News::Superseded { .. }]));
}

/// Two copies of one node: the one that starts later takes another epoch, and the other one says
/// nothing to a peer any more.
#[test]
fn who_starts_behind_goes_ahead_and_the_other_one_is_mute() {
    let (mut host, id) = Host::open();
    let mut old = Desk::new(Epoch(1), BTreeMap::new());
    join(&mut old, INSTANCE, [opened(id, 1, 0)]);
    let later = Link(9);
    let mut desk = Desk::new(Epoch(1), BTreeMap::new());
    let carry = |host: &mut Host, desk: &mut Desk, link: Link| {
        for (token, ask) in asked(desk) {
            let answer = host.ask(link, ask);
            desk.answered(token, answer);
        }
        for (to, event) in std::mem::take(&mut host.events) {
            if to == link {
                desk.event(event);
            }
        }
    };
    desk.link_came();
    carry(&mut host, &mut desk, later);
    assert!(matches!(&news(&mut desk)[..], [News::Behind { have: Epoch(1) }]));
    desk.raise(Epoch(2));
    carry(&mut host, &mut desk, later);
    let told = news(&mut desk);
    assert!(matches!(&told[..], [News::Opened(_), News::Caught]), "{}", told.len());
    news(&mut old);
    old.send(id, note("from yesterday")).expect("it does not know");
    carry(&mut host, &mut old, crate::host::NODE);
    assert!(matches!(&news(&mut old)[..], [News::NotSent { .. }, ..]));
    desk.send(id, note("from today")).expect("it is open");
    carry(&mut host, &mut desk, later);
    assert!(matches!(&news(&mut desk)[..], [News::Sent { .. }]));
    // Once it has been told of a holder it does not fight.
    old.link_went();
    old.link_came();
    carry(&mut host, &mut old, Link(10));
    assert!(matches!(&news(&mut old)[..], [News::Superseded { .. }]));
}

/// A desk and a holder whose link breaks.
struct Party {
    host: Host,
    desk: Desk,
    link: u64,
    waiting: Vec<(AskId, Token)>,
    fates: Vec<(OutSeq, bool)>,
    heard: Vec<String>,
    unsaved: Vec<Seq>,
}

impl Party {
    /// Carries at most so many questions, and all answers and events or none.
    fn carry(&mut self, most: usize, back: bool) {
        let link = Link(self.link);
        for _ in 0..most {
            let Some((token, ask)) = self.desk.poll() else { break };
            self.waiting.push((self.host.ask_later(link, ask), token));
        }
        if back {
            for (id, token) in std::mem::take(&mut self.waiting) {
                let answer = self.host.answer(link, id).expect("answered at once");
                self.desk.answered(token, answer);
            }
            for (to, event) in std::mem::take(&mut self.host.events) {
                assert_eq!(to, link, "nothing for a link that is gone");
                self.desk.event(event);
            }
        }
        while let Some(each) = self.desk.news() {
            match each {
                News::Sent { seq, .. } => self.fates.push((seq, true)),
                News::NotSent { seq, why, .. } => panic!("{seq:?}: {why}"),
                News::Message { seq, bytes, .. } => {
                    self.heard.push(String::from_utf8_lossy(&bytes[2..]).into_owned());
                    self.unsaved.push(seq);
                }
                News::Closed { text, .. } => panic!("{text}"),
                News::Caught
                | News::Opened(_)
                | News::Complaint { .. }
                | News::Answered { .. }
                | News::Behind { .. }
                | News::Superseded { .. } => {}
            }
        }
    }

    fn cut(&mut self) {
        self.host.holder.link_went(Link(self.link), self.host.now);
        self.host.run();
        self.host.events.clear();
        self.waiting.clear();
        self.desk.link_went();
        self.link += 1;
        self.desk.link_came();
    }
}

#[test]
fn a_link_that_breaks_anywhere_loses_and_doubles_nothing() {
    for seed in 0..12 {
        let mut dice = Dice::new(seed);
        let host = Host::new(10);
        let desk = Desk::new(Epoch(1), BTreeMap::new());
        let (waiting, fates, heard) = (Vec::new(), Vec::new(), Vec::new());
        let mut party = Party { host, desk, link: 10, waiting, fates, heard, unsaved: Vec::new() };
        party.desk.link_came();
        party.carry(9, true);
        let id = party.host.peer(2);
        party.carry(9, true);
        let (mut there, mut back) = (Vec::new(), Vec::new());
        for number in 0..600 {
            match dice.below(8) {
                0 | 1 => {
                    party.host.hear(id, &number.to_string());
                    back.push(number.to_string());
                }
                2..=4 => {
                    party.desk.send(id, note(&number.to_string())).expect("open");
                    there.push(number.to_string());
                }
                5 if !party.unsaved.is_empty() => {
                    let saved = party.unsaved[dice.below(party.unsaved.len())];
                    party.desk.saved(id, saved);
                }
                6 if dice.one_in(3) => party.cut(),
                7 if dice.one_in(12) => {
                    party.host.hand_over().expect("just written");
                    party.cut();
                }
                _ => party.carry(dice.below(6), dice.one_in(2)),
            }
        }
        party.cut();
        (0..3).for_each(|_| party.carry(2_000, true));
        assert_eq!(party.host.peers[&id].notes(), there, "seed {seed}");
        assert_eq!(party.heard, back, "seed {seed}");
        let sent: Vec<_> = (1..=there.len() as u64).map(|seq| (OutSeq(seq), true)).collect();
        assert_eq!(party.fates, sent, "seed {seed}");
    }
}
