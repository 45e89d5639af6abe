//! What the owner of a signer lets its channels take on, and what of it hangs on the chain that the
//! signer sees. What is refused changes nothing, and what only ends is never refused for it.

use chain::Height;
use signer::{
    Answer, Ask, ChannelAnswer, ChannelAsk, ChannelLimits, ChannelOp, ChannelRefusal as No,
    EXPIRY_BLOCKS_MAX, IN_FLIGHT_MSAT_MAX, Policy, Refusal, Seconds, Seen, SetUp, Signer, UnixTime,
};
use tx::{Form, Meaning, Placed, Side};
use wire::Network;
use wire::amount::{BlockHeight, Msat};
use wire::id::CommitmentNumber;
use wire::key::Signature;
use wire::lease::LeaseEpoch;

use crate::channels::{CAPACITY, CHANNEL, PREIMAGE, PUSHED, Pair, htlc};
use crate::claims::ask_seeing;
use crate::parties::{ask_over_bytes, node_key, wallet_key};
use crate::vectors::VOID_24;
use crate::views::{branch, genesis, headers};

const NOTHING: Seen = Seen { tip: None, stale: None, time: None };

fn limited(limits: ChannelLimits) -> Policy {
    Policy { channels: limits, ..Policy::default() }
}

fn in_flight(sat: u64) -> Policy {
    limited(ChannelLimits { in_flight_max: Msat(sat * 1_000), ..Default::default() })
}

/// Asks the side that does not own it to sign a commitment. A refusal changes nothing.
fn sign(
    pair: &mut Pair,
    meaning: &Meaning,
    secrets: &[Vec<u8>],
    by: (&Policy, &Seen),
) -> Result<(Signature, Vec<Signature>), No> {
    let op = ChannelOp::SignRemote { meaning: meaning.clone(), secrets: secrets.to_vec() };
    let answer = refusal_changes_nothing(pair, meaning.owner.other(), op, by)?;
    let ChannelAnswer::RemoteSigned { signature, stages } = answer else { panic!("it signs") };
    Ok((signature, stages))
}

/// The owner takes its next commitment, which the other has signed without any rule.
fn advance(
    pair: &mut Pair,
    meaning: &Meaning,
    secrets: &[Vec<u8>],
    by: (&Policy, &Seen),
) -> Result<(), No> {
    let (signature, stages) = pair.sign(meaning, secrets).unwrap_or_else(|no| panic!("{no}"));
    let (meaning, secrets, owner) = (meaning.clone(), secrets.to_vec(), meaning.owner);
    let number = meaning.number;
    let op = ChannelOp::Advance { meaning, secrets, signature, stages };
    let ChannelAnswer::Advanced { secret, next } = refusal_changes_nothing(pair, owner, op, by)?
    else {
        panic!("it advances")
    };
    pair.points[owner as usize] = next;
    pair.signed[owner as usize] += 1;
    let secret = secret.expect("there is one before");
    let number = CommitmentNumber(number.0 - 1);
    let op = ChannelOp::Revoked { number, secret };
    ask_seeing(pair, owner.other(), op, by).map(|_| ())
}

/// The peer takes what was signed for it, and gives up the one before.
fn taken(pair: &mut Pair, meaning: &Meaning, secrets: &[Vec<u8>]) {
    pair.step_to(meaning.clone(), secrets).unwrap_or_else(|no| panic!("{no}"));
}

fn refusal_changes_nothing(
    pair: &mut Pair,
    side: Side,
    op: ChannelOp,
    by: (&Policy, &Seen),
) -> Result<ChannelAnswer, No> {
    let before = pair.of(side).encode(Network::Regtest);
    let said = ask_seeing(pair, side, op, by);
    assert!(said.is_ok() || pair.of(side).encode(Network::Regtest) == before);
    said
}

#[test]
fn a_channel_is_opened_without_giving_most_of_it_away() {
    let all = CAPACITY.0 * 1_000;
    let open = |pushed, side, percent: u8| {
        let mut pair = Pair::new(Form::Anchors);
        let setup = SetUp { side, pushed: Msat(pushed), ..pair.setup.clone() };
        let limits = ChannelLimits { push_percent_max: percent, ..Default::default() };
        let op = ChannelOp::SetUp(Box::new(setup));
        refusal_changes_nothing(&mut pair, side, op, (&limited(limits), &NOTHING)).err()
    };
    let no = |got, limit| Some(No::Terms { term: "push_msat", got, limit });
    let of_default = ChannelLimits::default().push_percent_max;
    assert_eq!(open(all / 2, Side::Opener, of_default), None);
    assert_eq!(open(all / 2 + 1, Side::Opener, of_default), no(all / 2 + 1, all / 2));
    assert_eq!(open(1, Side::Opener, 0), no(1, 0));
    assert_eq!(open(0, Side::Opener, 0), None);
    // An owner may want more, and never more than there is.
    assert_eq!(open(all, Side::Opener, 100), None);
    assert_eq!(open(all + 1, Side::Opener, 255), no(all + 1, all));
    // What the peer gives to us is its own affair.
    assert_eq!(open(all, Side::Acceptor, 0), None);
}

#[test]
fn no_more_is_under_way_of_what_we_offer_than_the_owner_wants() {
    let mut pair = Pair::open();
    let by = in_flight(50_000);
    let ours = |sat| htlc(Side::Opener, sat, 600);
    let too_much = pair.meaning(Side::Acceptor, &[ours(30_000), ours(20_001)]);
    let no = No::InFlight { got: Msat(50_001_000), max: Msat(50_000_000) };
    assert_eq!(sign(&mut pair, &too_much, &[], (&by, &NOTHING)), Err(no));
    // What the peer offers is the peer's.
    let two = [ours(30_000), ours(20_000), htlc(Side::Acceptor, 100_000, 600)];
    let enough = pair.meaning(Side::Acceptor, &two);
    assert!(sign(&mut pair, &enough, &[], (&by, &NOTHING)).is_ok());
    taken(&mut pair, &enough, &[]);
    let ours_with = pair.meaning(Side::Opener, &two);
    assert_eq!(advance(&mut pair, &ours_with, &[], (&by, &NOTHING)), Ok(()));
    // The owner wants less: what is there stays, ends, and is not joined by anything.
    let by = in_flight(10_000);
    let more = pair.meaning(Side::Acceptor, &[&two[..], &[ours(1)]].concat());
    let no = No::InFlight { got: Msat(50_001_000), max: Msat(10_000_000) };
    assert_eq!(sign(&mut pair, &more, &[], (&by, &NOTHING)), Err(no));
    let less = pair.meaning(Side::Acceptor, &two[1..]);
    assert!(sign(&mut pair, &less, &[], (&by, &NOTHING)).is_ok());
    assert_eq!(Policy::default().channels.in_flight_max, IN_FLIGHT_MSAT_MAX);
}

/// Whoever lies about the order shows it to our own commitment first: it is judged there.
#[test]
fn what_the_peers_commitment_has_not_is_judged_in_ours() {
    let mut pair = Pair::open();
    let meaning = pair.meaning(Side::Opener, &[htlc(Side::Opener, 20_000, 600)]);
    let no = No::InFlight { got: Msat(20_000_000), max: Msat(10_000_000) };
    assert_eq!(advance(&mut pair, &meaning, &[], (&in_flight(10_000), &NOTHING)), Err(no));
}

#[test]
fn what_we_offer_expires_in_the_sight_of_the_signer() {
    let seen = |tip| Seen { tip: Some(Height(tip)), ..NOTHING };
    let policy = Policy::default();
    let (min, max) = (BlockHeight(701), BlockHeight(700 + EXPIRY_BLOCKS_MAX));
    let rows = [(0, false), (700, false), (701, true), (max.0, true), (max.0 + 1, false)];
    for (expiry, is_signed) in rows {
        let mut pair = Pair::open();
        let meaning = pair.meaning(Side::Acceptor, &[htlc(Side::Opener, 20_000, expiry)]);
        let got = BlockHeight(expiry);
        let said = sign(&mut pair, &meaning, &[], (&policy, &seen(700))).err();
        assert_eq!(said, (!is_signed).then_some(No::Expiry { got, min, max }));
        // Without a view there is nothing to compare it with.
        assert!(sign(&mut pair, &meaning, &[], (&policy, &NOTHING)).is_ok());
    }
    // The peer's costs the peer, and could else stop the channel.
    let mut pair = Pair::open();
    let theirs = [htlc(Side::Acceptor, 20_000, 1), htlc(Side::Acceptor, 20_000, 499_999_999)];
    let meaning = pair.meaning(Side::Opener, &theirs);
    assert_eq!(advance(&mut pair, &meaning, &[], (&policy, &seen(700))), Ok(()));
    let meaning = pair.meaning(Side::Acceptor, &theirs);
    assert!(sign(&mut pair, &meaning, &[], (&policy, &seen(700))).is_ok());
    // What is there may stay and end, however many blocks have come, or left.
    for tip in [0, 100_000] {
        let mut pair = Pair::open();
        let payment = [htlc(Side::Opener, 50_000, 5_000)];
        pair.step(Side::Acceptor, &payment, &[]);
        pair.step(Side::Opener, &payment, &[]);
        paid(&mut pair, (&policy, &seen(tip)));
    }
}

/// The payment of 50,000 sat that is there stays in one commitment more, and is settled.
fn paid(pair: &mut Pair, by: (&Policy, &Seen)) {
    let payment = [htlc(Side::Opener, 50_000, 5_000)];
    let stays = pair.meaning(Side::Acceptor, &payment);
    assert!(sign(pair, &stays, &[], by).is_ok());
    taken(pair, &stays, &[]);
    let stays = pair.meaning(Side::Opener, &payment);
    assert_eq!(advance(pair, &stays, &[], by), Ok(()));
    let secrets = [PREIMAGE.to_vec()];
    let settled = |pair: &Pair, owner| Meaning {
        to_opener: Msat(CAPACITY.0 * 1_000 - PUSHED.0 - 50_000_000),
        to_acceptor: Msat(PUSHED.0 + 50_000_000),
        ..pair.meaning(owner, &[])
    };
    let ours = settled(pair, Side::Opener);
    assert_eq!(advance(pair, &ours, &secrets, by), Ok(()));
    let theirs = settled(pair, Side::Acceptor);
    assert!(sign(pair, &theirs, &secrets, by).is_ok());
}

#[test]
fn with_stale_headers_nothing_is_taken_on_and_everything_ends() {
    let (age, max) = (Seconds(7), Seconds(6));
    let stale = Seen { tip: Some(Height(9)), stale: Some((age, max)), time: None };
    let policy = Policy::default();
    let (by, no) = ((&policy, &stale), No::Stale { age, max });
    let ours = [htlc(Side::Opener, 50_000, 600)];
    let theirs = [htlc(Side::Acceptor, 50_000, 600)];
    // Ours is offered in the peer's commitment, the peer's in ours.
    let mut pair = Pair::open();
    let meaning = pair.meaning(Side::Acceptor, &ours);
    assert_eq!(sign(&mut pair, &meaning, &[], by), Err(no));
    let meaning = pair.meaning(Side::Opener, &theirs);
    assert_eq!(advance(&mut pair, &meaning, &[], by), Err(no));
    // One that has come into one commitment comes into the other.
    let all = [&ours[..], &theirs[..]].concat();
    let mut pair = Pair::open();
    pair.step(Side::Acceptor, &ours, &[]);
    pair.step(Side::Opener, &all, &[]);
    let meaning = pair.meaning(Side::Acceptor, &all);
    assert!(sign(&mut pair, &meaning, &[], by).is_ok());
    // Another one like it is another one.
    let mut pair = Pair::open();
    pair.step(Side::Acceptor, &ours, &[]);
    let twice = [ours[0].clone(), ours[0].clone()];
    let meaning = pair.meaning(Side::Opener, &twice);
    let signed = pair.sign(&meaning, &[]);
    assert!(signed.is_ok());
    assert_eq!(advance(&mut pair, &meaning, &[], by), Err(no));
    // What is there may stay, and end.
    let mut pair = Pair::open();
    let payment: [Placed; 1] = [htlc(Side::Opener, 50_000, 5_000)];
    pair.step(Side::Acceptor, &payment, &[]);
    pair.step(Side::Opener, &payment, &[]);
    paid(&mut pair, by);
}

/// The same of a whole signer: its view gets old by its clock, and a block makes it new.
#[test]
fn a_signer_waits_for_the_next_block() {
    let pair = Pair::open();
    let meaning = pair.meaning(Side::Acceptor, &[htlc(Side::Opener, 50_000, 600)]);
    let limits = ChannelLimits { header_age_max: Some(Seconds(3_600)), ..Default::default() };
    let (key, wallet) = (node_key(VOID_24), wallet_key(VOID_24));
    let mut signer = Signer::new(key, wallet, pair.opener).with_policy(limited(limits));
    let blocks = branch(genesis(), 3, 1);
    let time = blocks[2].header.time;
    let op = ChannelOp::SignRemote { meaning, secrets: Vec::new() };
    let ask = Box::new(ChannelAsk { channel: CHANNEL, op });
    let question = Ask::Channel { lease: LeaseEpoch(0), ask };
    let ask = |signer: &mut Signer, question: &Ask| {
        ask_over_bytes(signer, crate::parties::LINK, question, 0, 1)
    };
    ask(&mut signer, &Ask::ViewHeaders { headers: headers(&blocks[..2]) });
    signer.tell_time(UnixTime(time - 1 + 3_601));
    let Answer::Refused(Refusal::Channel(no)) = ask(&mut signer, &question) else {
        panic!("it is refused")
    };
    assert_eq!(no, No::Stale { age: Seconds(3_601), max: Seconds(3_600) });
    ask(&mut signer, &Ask::ViewHeaders { headers: headers(&blocks[2..]) });
    let signed = ask(&mut signer, &question);
    assert!(matches!(signed, Answer::Channel(ChannelAnswer::RemoteSigned { .. })));
    // The same again gets the same answer, however old everything is.
    signer.tell_time(UnixTime(time + 1_000_000));
    let signed = ask(&mut signer, &question);
    assert!(matches!(signed, Answer::Channel(ChannelAnswer::RemoteSigned { .. })));
}

/// A signer that nobody has ever shown a block to judges nothing by the chain.
#[test]
fn without_a_view_nothing_is_stale() {
    let pair = Pair::open();
    let meaning = pair.meaning(Side::Acceptor, &[htlc(Side::Opener, 50_000, 600_000)]);
    let limits = ChannelLimits { header_age_max: Some(Seconds(0)), ..Default::default() };
    let (key, wallet) = (node_key(VOID_24), wallet_key(VOID_24));
    let mut signer = Signer::new(key, wallet, pair.opener).with_policy(limited(limits));
    signer.tell_time(UnixTime(u32::MAX));
    let op = ChannelOp::SignRemote { meaning, secrets: Vec::new() };
    let ask = Box::new(ChannelAsk { channel: CHANNEL, op });
    let question = Ask::Channel { lease: LeaseEpoch(0), ask };
    let signed = ask_over_bytes(&mut signer, crate::parties::LINK, &question, 0, 1);
    assert!(matches!(signed, Answer::Channel(ChannelAnswer::RemoteSigned { .. })));
}
