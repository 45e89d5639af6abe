//! Whose the channels are: an older owner is refused, whatever it asks, and after each restart.

use bitcoin::hex::FromHex as _;
use signer::{
    Answer, Ask, ChannelAnswer, ChannelAsk, ChannelChange, ChannelOp, Channels, Refusal, Signer,
    SignerChange,
};
use tx::Form;
use wire::Network;
use wire::id::{ChannelKey, CommitmentNumber, PerCommitmentSecret};
use wire::lease::{LeaseEpoch, StaleLease};
use wire::tick::Tick;

use crate::channel_journals::changes;
use crate::channels::{CHANNEL, Pair};
use crate::parties::{LINK, alice, channels, ephemeral};
use crate::vectors::VOID_24;

const NETWORK: Network = Network::Regtest;
/// What version 2 has written: a sum of four changes, and behind it three more.
const OLD: &str = include_str!("../saved/channels-2.hex");

fn claim(signer: &mut Signer, epoch: u64) -> Result<(), StaleLease> {
    let answer = ask(signer, Ask::Lease { epoch: LeaseEpoch(epoch) });
    stale(&answer).map_or(Ok(()), Err)
}

fn ask(signer: &mut Signer, ask: Ask) -> Answer {
    let ask = Ask::decode(&ask.encode()).unwrap();
    let mut answer = signer.answer(LINK, ask, Tick(0), || ephemeral(1)).encode().bytes().to_vec();
    Answer::decode(&mut answer).unwrap()
}

fn stale(answer: &Answer) -> Option<StaleLease> {
    if let Answer::Refused(Refusal::StaleLease(stale)) = answer { Some(*stale) } else { None }
}

fn by(epoch: u64, op: ChannelOp) -> Ask {
    let ask = Box::new(ChannelAsk { channel: CHANNEL, op });
    Ask::Channel { lease: LeaseEpoch(epoch), ask }
}

/// One of each kind: what tells, what moves, and what is judged anew.
fn ops() -> [ChannelOp; 3] {
    let number = CommitmentNumber(0);
    let check = ChannelOp::CheckSecret { number, secret: PerCommitmentSecret([7; 32]) };
    [ChannelOp::Keys, ChannelOp::SetUp(Box::new(Pair::new(Form::Anchors).setup)), check]
}

#[test]
fn only_who_came_last_is_answered() {
    let mut signer = alice();
    assert_eq!(claim(&mut signer, 5), Ok(()));
    let before = signer.channels().encode(NETWORK);
    let have = LeaseEpoch(5);
    for op in ops() {
        for got in [0, 4, 6, u64::MAX] {
            let refused = stale(&ask(&mut signer, by(got, op.clone())));
            assert_eq!(refused, Some(StaleLease { got: LeaseEpoch(got), have }));
        }
    }
    for got in [0, 4, 5] {
        // The same once more is no other: there may be two copies of one node.
        let refused = claim(&mut signer, got);
        assert_eq!(refused, Err(StaleLease { got: LeaseEpoch(got), have }));
    }
    assert_eq!(signer.channels().encode(NETWORK), before, "a refusal changes nothing");
    for op in ops() {
        assert!(matches!(ask(&mut signer, by(5, op)), Answer::Channel(_)));
    }
    assert_eq!(claim(&mut signer, 9), Ok(()));
    assert!(stale(&ask(&mut signer, by(5, ChannelOp::Keys))).is_some());
    assert!(matches!(ask(&mut signer, by(9, ChannelOp::Keys)), Answer::Channel(_)));
}

#[test]
fn a_claim_is_saved_once_and_a_question_saves_nothing_of_it() {
    let mut signer = alice();
    let claim = Ask::Lease { epoch: LeaseEpoch(3) };
    let pending = signer.decide(LINK, claim.clone(), Tick(0), || ephemeral(1));
    assert_eq!(pending.unsaved(), Some(&SignerChange::Lease(LeaseEpoch(3))));
    // It could not be saved: nobody has them.
    drop(pending);
    assert_eq!(signer.channels().lease(), LeaseEpoch(0));
    assert!(stale(&ask(&mut signer, by(3, ChannelOp::Keys))).is_some());
    let done = signer.decide(LINK, claim, Tick(0), || ephemeral(1)).saved();
    assert!(matches!(done, Answer::Channel(ChannelAnswer::Done)));
    let [keys, _, check] = ops();
    for op in [keys, check] {
        let pending = signer.decide(LINK, by(3, op), Tick(0), || ephemeral(1));
        assert_eq!(pending.unsaved(), None);
    }
}

/// The file of a signer, and what a new one makes of it.
fn restored(file: &[u8]) -> Channels {
    let mut read = channels(VOID_24);
    let whole = read.restore(file, NETWORK).unwrap();
    assert_eq!(whole.bytes, file.len());
    read
}

#[test]
fn a_restart_knows_who_came_last() {
    let mut all = channels(VOID_24);
    let mut file = all.encode(NETWORK);
    for epoch in [1, 2, 40].map(LeaseEpoch) {
        file.extend(all.encode_lease(epoch));
        all.take_lease(epoch);
        assert_eq!(restored(&file).lease(), epoch, "from changes");
        assert_eq!(restored(&all.encode(NETWORK)).lease(), epoch, "from their sum");
    }
    // What is cut was not answered.
    let cut = all.encode_lease(LeaseEpoch(50));
    file.extend(&cut[..cut.len() - 1]);
    let mut read = channels(VOID_24);
    read.restore(&file, NETWORK).unwrap();
    assert_eq!(read.lease(), LeaseEpoch(40));
    // A file that is refused takes nobody's.
    file[0] = 9;
    assert!(read.restore(&file, NETWORK).is_err());
    assert_eq!(read.lease(), LeaseEpoch(40));
}

/// A change that waits is saved with the lease, and not again behind it.
#[test]
fn what_waits_is_saved_with_a_claim() {
    let mut all = channels(VOID_24);
    let mut file = all.encode(NETWORK);
    for change in &changes()[..5] {
        if all.has_to_be_saved(change) {
            file.extend(all.encode_change(&CHANNEL, change));
        }
        all.evolve(CHANNEL, change);
    }
    let with_it = all.encode_lease(LeaseEpoch(1));
    all.take_lease(LeaseEpoch(1));
    assert!(with_it.len() > all.encode_lease(LeaseEpoch(2)).len() + 32);
    file.extend(with_it);
    assert_eq!(restored(&file).encode(NETWORK), all.encode(NETWORK));
}

fn old() -> Vec<u8> {
    Vec::from_hex(&OLD.split_whitespace().collect::<String>()).unwrap()
}

#[test]
fn a_file_without_a_lease_is_nobodys() {
    let mut read = restored(&old());
    assert_eq!(read.lease(), LeaseEpoch(0));
    // It knows what it had signed: two of the peer's commitments, one of ours.
    let mut same = channels(VOID_24);
    changes()[..7].iter().for_each(|change| same.evolve(CHANNEL, change));
    assert_eq!(read.encode(NETWORK), same.encode(NETWORK));
    // It goes on as it is, and its next sum is of this version.
    let mut file = old();
    file.extend(read.encode_lease(LeaseEpoch(7)));
    read.take_lease(LeaseEpoch(7));
    let again = restored(&file);
    assert_eq!(again.lease(), LeaseEpoch(7));
    assert_eq!(again.encode(NETWORK), read.encode(NETWORK));
    assert_eq!(restored(&read.encode(NETWORK)).encode(NETWORK), read.encode(NETWORK));
}

/// No channel has the place of the lease, whatever its key.
#[test]
fn a_channel_of_zeros_is_a_channel() {
    let mut all = channels(VOID_24);
    let zeros = ChannelKey([0; 32]);
    let setup = Pair::new(Form::Anchors).setup;
    let mut file = all.encode(NETWORK);
    let change = ChannelChange::SetUp(Box::new(setup));
    file.extend(all.encode_change(&zeros, &change));
    all.evolve(zeros, &change);
    file.extend(all.encode_lease(LeaseEpoch(2)));
    all.take_lease(LeaseEpoch(2));
    assert_eq!(restored(&file).encode(NETWORK), all.encode(NETWORK));
}
