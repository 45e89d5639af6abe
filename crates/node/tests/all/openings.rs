//! What a peer says to an opening at a time at which it must not, or may already.

use std::collections::BTreeSet;

use node::services::channels::{self, Refusal, Stage};
use wire::{
    Message, Shutdown,
    amount::{Msat, Sat},
    features::{Feature, Features},
    id::{ChannelId, TemporaryChannelId},
};

use crate::pair::Pair;

/// What a message is called that an end is about to hear.
fn next(pair: &Pair, at: usize) -> Option<Message> {
    let (_, bytes) = pair.ends[at].inbox.front()?;
    Some(Message::decode(bytes).expect("ours"))
}

/// An opening of the first, up to where an end is about to hear this message, or has just done so.
fn until(pair: &mut Pair, at: usize, name: &str) -> Message {
    for _ in 0..300 {
        for side in [0, 1] {
            for what in [0, 1, 3] {
                pair.step(side, what);
            }
            match next(pair, side) {
                Some(message) if side == at && message.name() == name => return message,
                Some(_) => pair.step(side, 2),
                None => {}
            }
        }
    }
    panic!("{name} is never said")
}

/// The end hears this before all else, and does what follows, but for what it has to ask.
fn hears(pair: &mut Pair, at: usize, message: impl Into<Message>) {
    let connection = pair.connection.expect("there is one");
    let bytes = message.into().encode().expect("it fits");
    pair.ends[at].channels.message(connection, &bytes);
    pair.step(at, 3);
}

fn shutdown(id: ChannelId) -> Shutdown {
    let bytes = [vec![0x51, 32], vec![1; 32]].concat();
    let scriptpubkey = bitcoin::ScriptBuf::from_bytes(bytes);
    Shutdown { channel_id: id, scriptpubkey, extension: Default::default() }
}

/// Both of its names, when the second is about to hear `funding_created`.
fn names(message: &Message) -> [ChannelId; 2] {
    let Message::FundingCreated(said) = message else { panic!("{}", message.name()) };
    let TemporaryChannelId(temporary) = said.temporary_channel_id;
    let mut named: [u8; 32] = *said.funding_txid.as_ref();
    let index = said.funding_output_index.0.to_be_bytes();
    (named[30], named[31]) = (named[30] ^ index[0], named[31] ^ index[1]);
    [ChannelId(temporary), ChannelId(named)]
}

/// What waits to be heard.
fn waiting(pair: &Pair, at: usize) -> Vec<Message> {
    let waiting = pair.ends[at].inbox.iter();
    waiting.map(|(_, bytes)| Message::decode(bytes).expect("ours")).collect()
}

/// An opening that ends: the peer hears an error by this name, and nothing is paid.
fn is_over(pair: &mut Pair, at: usize, name: ChannelId, why: &str) {
    let said = waiting(pair, 1 - at);
    let Some(Message::Error(error)) = said.last() else { panic!("{said:?}") };
    assert_eq!(error.channel_id, name);
    let text = String::from_utf8_lossy(&error.data.0);
    assert!(text.contains(why), "{text}");
    while !waiting(pair, 1 - at).is_empty() {
        pair.step(1 - at, 2);
    }
    // What a peer complains of is told by whoever has the connection.
    let connection = pair.connection.expect("there is one");
    pair.ends[1 - at].channels.complaint(connection, name, true, &text);
    pair.settle();
    assert!(pair.lines(0).is_empty() && pair.lines(1).is_empty());
    let bank = &mut pair.ends[0].bank;
    assert_eq!((bank.balance().locked.to_sat(), bank.published.len()), (0, 0));
}

#[test]
fn a_shutdown_before_the_funding_is_signed_fails_the_opening() {
    let why = "not funded yet";
    // Whoever opens: before it has named the funding, and after.
    let mut pair = Pair::new(71);
    let call = pair.open(Sat(100_000), Msat(0));
    let Message::AcceptChannel(said) = until(&mut pair, 0, "accept_channel") else {
        unreachable!()
    };
    let temporary = ChannelId(said.temporary_channel_id.0);
    hears(&mut pair, 0, shutdown(temporary));
    is_over(&mut pair, 0, temporary, why);
    let refused = pair.ends[0].replies.remove(&call).expect("an answer").expect_err("it failed");
    assert!(
        matches!(&refused, Refusal::NotOpened { why: it, .. } if it.contains(why)),
        "{refused}"
    );

    for by in [0, 1] {
        let mut pair = Pair::new(72);
        pair.open(Sat(100_000), Msat(0));
        let names = names(&until(&mut pair, 1, "funding_created"));
        hears(&mut pair, 0, shutdown(names[by]));
        is_over(&mut pair, 0, names[1], why);
    }

    // Whoever accepts.
    let mut pair = Pair::new(73);
    pair.open(Sat(100_000), Msat(0));
    let [temporary, _] = names(&until(&mut pair, 1, "funding_created"));
    hears(&mut pair, 1, shutdown(temporary));
    is_over(&mut pair, 1, temporary, why);
}

/// Who has sent `funding_created` may say so at once, as may who has sent `funding_signed`: our
/// signer looks at the signature, and then it is heard.
#[test]
fn a_shutdown_behind_the_first_signature_is_heard_when_our_signer_has_looked() {
    assert!(channels::features().offers(Feature::ShutdownAnysegwit));
    for (at, last) in [(1, "funding_created"), (0, "funding_signed")] {
        let mut pair = Pair::new(74);
        pair.open(Sat(100_000), Msat(20_000_000));
        let message = until(&mut pair, at, last);
        let named = match &message {
            Message::FundingSigned(said) => said.channel_id,
            other => names(other)[1],
        };
        // It hears that, its signer has not answered, and the next message comes.
        pair.step(at, 2);
        pair.step(at, 3);
        hears(&mut pair, at, shutdown(named));
        assert!(waiting(&pair, 1 - at).is_empty(), "{last}: nothing is said to it yet");
        for what in [0, 1, 3].repeat(4) {
            pair.step(at, what);
        }
        let said = waiting(&pair, 1 - at);
        let said: Vec<_> = said.iter().map(Message::name).collect();
        let want = [&["funding_signed"][..at], &["shutdown"]].concat();
        assert_eq!(said[..want.len()], want, "behind {last}");
        assert_eq!(pair.stages(at), [Stage::Closing]);
    }
}

#[test]
fn an_opening_that_the_peer_fails_by_its_new_name_pays_nothing() {
    let mut pair = Pair::new(75);
    let call = pair.open(Sat(100_000), Msat(0));
    let Message::FundingSigned(said) = until(&mut pair, 0, "funding_signed") else {
        unreachable!()
    };
    pair.step(0, 2);
    pair.ends[0].channels.complaint(
        pair.connection.expect("there is one"),
        said.channel_id,
        true,
        "we do not want it",
    );
    pair.settle();
    let refused = pair.ends[0].replies.remove(&call).expect("an answer").expect_err("it failed");
    assert!(refused.to_string().contains("we do not want it"), "{refused}");
    assert!(pair.ends[0].bank.published.is_empty());
    assert_eq!(pair.ends[0].bank.balance().locked.to_sat(), 0);
}

/// What an opening is called is drawn, and what both have not agreed on is not in its type.
#[test]
fn each_opening_has_its_own_name_and_a_type_that_both_know() {
    let mut pair = Pair::new(76);
    let mut names = BTreeSet::new();
    let known = channels::features();
    let rows = [[true; 2], [false, true], [true, false], [false; 2]];
    for (turn, [anchors, alias]) in rows.into_iter().enumerate() {
        let is_known = |it: &Feature| {
            (anchors || *it != Feature::Anchors) && (alias || *it != Feature::ScidAlias)
        };
        let both = Feature::ALL.iter().copied().filter(|it| known.offers(*it));
        pair.features = Features::optional(&both.filter(is_known).collect::<Vec<_>>());
        pair.connect();
        pair.settle();
        for announce in [false, true] {
            pair.open_as(Sat(30_000), Msat(0), announce);
            let Message::OpenChannel(said) = until(&mut pair, 1, "open_channel") else {
                unreachable!()
            };
            pair.step(1, 2);
            let has = said.channel_type.expect("it has one");
            let wanted = [(Feature::Anchors, anchors), (Feature::ScidAlias, alias && !announce)];
            for (feature, is_wanted) in wanted {
                assert_eq!(has.requires(feature), is_wanted, "{turn} {announce} {feature:?}");
            }
            assert!(names.insert(said.temporary_channel_id.0), "{turn} {announce}");
        }
    }
    assert_eq!(names.len(), 8);
}
