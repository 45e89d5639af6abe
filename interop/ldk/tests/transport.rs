//! We and LDK shake hands, agree on features and exchange messages, in both roles.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use end::{End, KeyHolder};
use interop_ldk::node::{ECHO, Node};
use wire::{
    Init, Message, Unnamed, custom,
    dice::Dice,
    features::{Feature, Features},
    id::ChainHash,
};

/// Notes in each direction. A key lives for 500, so three rotations are behind after 1,500.
const NOTES: usize = 3_000;
/// At most so many notes are on their way to LDK before we listen again.
const BURST_MAX: usize = 40;
/// On the way from the last act to LDK's word that it agrees.
const AGREE_MS_MAX: u64 = 5_000;

#[derive(Clone, Copy)]
enum Role {
    WeDial,
    LdkDials,
}

fn answer(ldk: &Node, keys: &KeyHolder) -> End {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    ldk.dial(keys.node(), listener.local_addr().expect("it is bound"));
    let (stream, _) = listener.accept().expect("LDK dials");
    let end = End::answer(stream, keys).expect("we accept LDK");
    assert_eq!(end.remote(), ldk.id(), "the one that our key holder has verified");
    end
}

/// Sends our `init`, reads LDK's, and checks on both sides what they make of each other.
fn agree(end: &mut End, ldk: &Node, we: bitcoin::secp256k1::PublicKey) {
    use Feature::{
        Anchors, DualFund, ScidAlias, ShutdownAnysegwit, StaticRemotekey, SupportLargeChannel,
        UpfrontShutdownScript, Zeroconf,
    };
    let ours = Features::optional(&[Anchors, ScidAlias, ShutdownAnysegwit, SupportLargeChannel]);
    let mut init = Init::offering(ours.clone());
    init.networks = Some(vec![ChainHash::of(bitcoin::Network::Regtest)]);
    end.send(&init.into()).expect("init");

    let Message::Init(theirs) = end.receive().expect("LDK's init") else { panic!("init is first") };
    let all = theirs.all_features();
    assert_eq!(all.judge(), Ok(()), "{all}");
    assert!(all.offers(Zeroconf) && all.offers(DualFund), "{all}");
    let agreed = ours.negotiate(&all).expect("LDK requires nothing");
    assert!(agreed.contains(&ScidAlias) && agreed.contains(&SupportLargeChannel), "{agreed:?}");
    assert!(agreed.contains(&StaticRemotekey), "assumed of everyone: {agreed:?}");
    assert!(!agreed.contains(&UpfrontShutdownScript), "we do not offer it: {agreed:?}");

    let start = Instant::now();
    let seen = loop {
        if let Some(init) = ldk.init_of(we) {
            break init.features;
        }
        assert!(start.elapsed() < Duration::from_millis(AGREE_MS_MAX), "LDK never agreed");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(seen.supports_scid_privacy() && seen.supports_anchors_zero_fee_htlc_tx());
    assert!(!seen.supports_zero_conf() && !seen.requires_scid_privacy());
}

fn note(number: usize, dice: &mut Dice) -> Vec<u8> {
    let mut text = format!("note {number}: ").into_bytes();
    // Most are short; some need several segments, a few are as long as the transport allows.
    let bound = if dice.one_in(200) { 65_000 } else { 300 };
    text.extend(dice.bytes(bound));
    text
}

/// Sends all notes and hears every echo, in order. With `moving`, the transport's state leaves for
/// bytes and comes back at random moments, also between a header and its body.
fn exchange(mut end: End, ldk: &Node, moving: bool) -> usize {
    let mut dice = Dice::new(u64::from(moving));
    let (mut sent, mut heard, mut pings, mut moves) = (Vec::new(), 0, 0, 0);
    while heard < NOTES {
        while sent.len() < NOTES && sent.len() - heard < BURST_MAX && !dice.one_in(12) {
            let text = note(sent.len(), &mut dice);
            let message = Unnamed::new(custom::NOTE.first, text.clone()).expect("it is odd");
            end.send(&Message::Unknown(message)).expect("sent");
            sent.push(text);
        }
        if sent.len() == heard {
            continue;
        }
        if moving && dice.one_in(6) {
            end = end.rest().expect("it lives").wake().expect("its own state");
            moves += 1;
        }
        // Whoever takes over reads the partial record again, so it must now and then read more
        // than it is given time to forget.
        let dribble = moving && !dice.one_in(3);
        let bytes_max = if dribble { 1 + dice.below(700) } else { usize::MAX };
        match end.receive_some(bytes_max).expect("LDK stays") {
            None => {}
            Some(Message::Ping(ping)) => {
                pings += 1;
                end.send(&ping.pong().expect("LDK wants short pongs").into()).expect("pong");
            }
            Some(Message::Unknown(echo)) => {
                assert_eq!(echo.payload().strip_prefix(ECHO), Some(&sent[heard][..]), "{heard}");
                heard += 1;
            }
            Some(other) => panic!("LDK said {other:?}"),
        }
    }
    assert_eq!((ldk.received(), ldk.disconnected()), (NOTES, 0));
    println!("{NOTES} notes each way, {pings} pings answered, {moves} moves of the state");
    moves
}

fn run(role: Role, moving: bool) {
    let ldk = Node::start(7);
    let keys = KeyHolder::start();
    let mut end = match role {
        Role::WeDial => End::dial(ldk.listen(), ldk.id(), &keys).expect("LDK accepts us"),
        Role::LdkDials => answer(&ldk, &keys),
    };
    agree(&mut end, &ldk, keys.node());
    let moves = exchange(end, &ldk, moving);
    assert_eq!(moves > 500, moving, "{moves} moves");
}

#[test]
fn we_dial() {
    run(Role::WeDial, false);
}

#[test]
fn ldk_dials() {
    run(Role::LdkDials, false);
}

#[test]
fn we_dial_and_move() {
    run(Role::WeDial, true);
}

#[test]
fn ldk_dials_and_we_move() {
    run(Role::LdkDials, true);
}
