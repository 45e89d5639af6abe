//! What is saved of channels: it comes back, a crash takes nothing that was answered, and damage is
//! seen.

use bitcoin::hashes::{Hash as _, sha256};
use signer::{
    Answer, Ask, ChannelAnswer, ChannelAsk, ChannelChange, ChannelOp, ChannelRefusal as No,
    Channels, ChannelsFault, Refusal, SetUp, SignerChange, Spent,
};
use tx::{Form, Meaning, Placed, Side};
use wire::Network;
use wire::amount::{FeeratePerKw, Msat};
use wire::dice::Dice;
use wire::id::{ChannelKey, CommitmentNumber};
use wire::lease::LeaseEpoch;
use wire::tick::Tick;

use crate::channels::{CHANNEL, PREIMAGE, Pair, htlc};
use crate::parties::{LINK, alice, channels, ephemeral};
use crate::vectors::{OZONE_12, VOID_24};

const NETWORK: Network = Network::Regtest;

/// A signer and its file.
struct Disk {
    channels: Channels,
    file: Vec<u8>,
    /// How long it was after each change, the sum first.
    ends: Vec<usize>,
}

impl Disk {
    fn new() -> Self {
        let channels = channels(VOID_24);
        let file = channels.encode(NETWORK);
        Self { channels, ends: vec![file.len()], file }
    }

    /// Says whether it is saved.
    fn take(&mut self, channel: ChannelKey, change: &ChannelChange) -> bool {
        let is_saved = self.channels.has_to_be_saved(change);
        if is_saved {
            self.file.extend(self.channels.encode_change(&channel, change));
            self.ends.push(self.file.len());
        }
        self.channels.evolve(channel, change);
        is_saved
    }

    /// As [`crate::channels::ask`], but what is new is in the file first.
    fn ask(&mut self, op: ChannelOp) -> Result<(), No> {
        let ask = ChannelAsk { channel: CHANNEL, op };
        if let Some(change) = self.channels.decide(&ask)?.0 {
            self.take(CHANNEL, &change);
        }
        Ok(())
    }
}

/// The sum that is read. Keys are slow to make, so a test makes them once.
fn sum(by: &mut Channels, bytes: &[u8]) -> Result<Vec<u8>, ChannelsFault> {
    by.restore(bytes, NETWORK).map(|_| by.encode(NETWORK))
}

/// All changes of an opener whose channel is used, and closed.
pub fn changes() -> Vec<ChannelChange> {
    let mut pair = Pair::new(Form::Anchors);
    let mut all = Vec::new();
    let mut ask = |pair: &mut Pair, side: Side, op: ChannelOp| {
        let decided = pair.of(side).decide(&ChannelAsk { channel: CHANNEL, op });
        let (change, answer) = decided.unwrap_or_else(|no| panic!("{no}"));
        if let Some(change) = change {
            pair.of(side).evolve(CHANNEL, &change);
            if side == Side::Opener {
                all.push(change);
            }
        }
        answer
    };
    for side in [Side::Opener, Side::Acceptor] {
        let setup = SetUp { side, ..pair.setup.clone() };
        ask(&mut pair, side, ChannelOp::SetUp(Box::new(setup)));
    }
    let (a, b) = (htlc(Side::Opener, 20_000, 600), htlc(Side::Acceptor, 30_000, 700));
    let rounds: [&[Placed]; 7] = [
        &[],
        std::slice::from_ref(&a),
        &[a.clone(), b.clone()],
        &[b.clone(), a.clone(), a.clone()],
        &[a.clone(), a.clone(), b.clone(), b.clone()],
        &[a.clone(), b],
        &[],
    ];
    for contracts in rounds {
        for owner in [Side::Acceptor, Side::Opener] {
            let meaning = pair.meaning(owner, contracts);
            let secrets = vec![PREIMAGE.to_vec()];
            let op = ChannelOp::SignRemote { meaning: meaning.clone(), secrets: secrets.clone() };
            let signed = ask(&mut pair, owner.other(), op);
            let ChannelAnswer::RemoteSigned { signature, stages } = signed else {
                panic!("it signs")
            };
            let number = meaning.number;
            let op = ChannelOp::Advance { meaning, secrets, signature, stages };
            let advanced = ask(&mut pair, owner, op);
            let ChannelAnswer::Advanced { secret, next } = advanced else { panic!("it advances") };
            let before = pair.points[owner as usize];
            pair.points[owner as usize] = next;
            pair.signed[owner as usize] += 1;
            if let Some(secret) = secret {
                let number = CommitmentNumber(number.0 - 1);
                ask(&mut pair, owner.other(), ChannelOp::Revoked { number, secret });
            }
            if owner == Side::Opener && pair.signed[0] == 7 {
                let number = CommitmentNumber(6);
                let meaning = Meaning { number, point: before, ..pair.meaning(owner, contracts) };
                ask(&mut pair, owner, ChannelOp::SignLocal { meaning });
            }
        }
    }
    all
}

fn disk() -> Disk {
    let mut disk = Disk::new();
    for change in changes() {
        disk.take(CHANNEL, &change);
    }
    disk
}

#[test]
fn the_sum_of_saved_changes_is_the_live_state() {
    let (mut disk, mut by) = (Disk::new(), channels(VOID_24));
    let all = changes();
    assert!(all.contains(&ChannelChange::Closing) && all.len() == 22, "{}", all.len());
    for change in all {
        let before = disk.channels.encode(NETWORK);
        let is_saved = disk.take(CHANNEL, &change);
        let live = disk.channels.encode(NETWORK);
        // What waits comes with the next one that does not.
        let want = if is_saved { &live } else { &before };
        assert_eq!(sum(&mut by, &disk.file).unwrap(), *want);
        assert_eq!(is_saved, !matches!(change, ChannelChange::Revoked { .. }));
        // The sum written anew says the same, and is its own sum.
        assert_eq!(sum(&mut by, &live).unwrap(), live);
    }
}

#[test]
fn what_a_crash_cuts_off_was_never_answered() {
    let (disk, mut by) = (disk(), channels(VOID_24));
    let mut sums = Vec::new();
    for end in &disk.ends {
        sums.push(sum(&mut by, &disk.file[..*end]).unwrap());
    }
    for cut in disk.ends[0]..=disk.file.len() {
        let last = disk.ends.iter().rposition(|end| *end <= cut).unwrap();
        let read = by.restore(&disk.file[..cut], NETWORK).unwrap();
        assert_eq!((read.sum_bytes, read.bytes), (disk.ends[0], disk.ends[last]), "cut at {cut}");
        if cut == disk.ends[last] || cut % 7 == 0 {
            assert_eq!(by.encode(NETWORK), sums[last], "cut at {cut}");
        }
        // The file had grown before its bytes came.
        if cut.is_multiple_of(512) || cut == disk.ends[last] {
            let mut holed = disk.file[..cut].to_vec();
            let end = disk.ends.get(last + 1).copied().unwrap_or(cut + 700);
            holed.resize(end, 0);
            let read = by.restore(&holed, NETWORK).unwrap();
            assert_eq!(read.bytes, disk.ends[last], "a hole from {cut} on");
            // There was room behind it, and some sectors were written.
            let mut torn = disk.file[..end.min(disk.file.len())].to_vec();
            let hole = cut..torn.len().min(cut + 512);
            torn[hole].fill(0);
            torn.resize(end + 5_000, 0);
            let read = by.restore(&torn, NETWORK).unwrap();
            assert_eq!(read.bytes, disk.ends[last], "a sector from {cut} on is missing");
        }
    }
    for cut in 0..disk.ends[0] {
        let short = sum(&mut by, &disk.file[..cut]).unwrap_err();
        assert!(matches!(short, ChannelsFault::Broke(_)), "{cut}: {short}");
    }
}

/// A signer that forgets what it has answered could answer otherwise: no damage is passed over, in
/// the last change neither.
#[test]
fn every_changed_byte_is_seen_with_its_place() {
    let (disk, mut by) = (disk(), channels(VOID_24));
    for at in 0..disk.file.len() {
        for flip in [0x01, 0x80] {
            let mut bytes = disk.file.clone();
            bytes[at] ^= flip;
            let fault = sum(&mut by, &bytes).err().unwrap_or_else(|| panic!("{at} is not seen"));
            let begin = disk.ends.iter().rev().find(|end| **end <= at);
            match (fault, begin) {
                (
                    ChannelsFault::Checksum { at: place, .. }
                    | ChannelsFault::Length { at: place, .. },
                    Some(begin),
                ) => assert_eq!(place, *begin, "{at}"),
                (fault, Some(_)) => panic!("{at}: {fault}"),
                (_, None) => {}
            }
        }
    }
    // A sector that is lost in the middle is no end.
    let mut bytes = disk.file.clone();
    bytes[512..1024].fill(0);
    assert!(sum(&mut by, &bytes).is_err());
    let gone = [&disk.file[..disk.ends[4]], &disk.file[disk.ends[5]..]].concat();
    let fault = sum(&mut by, &gone).unwrap_err();
    assert!(matches!(fault, ChannelsFault::Channel { .. }), "{fault}");
}

#[test]
fn a_journal_of_another_node_or_network_is_refused() {
    let disk = disk();
    let other = channels(OZONE_12).restore(&disk.file, NETWORK).unwrap_err();
    assert!(matches!(other, ChannelsFault::Keys { .. }), "{other}");
    let mut ours = channels(VOID_24);
    ours.restore(&disk.file, NETWORK).unwrap();
    let had = ours.encode(NETWORK);
    let other = ours.restore(&disk.file, Network::Signet).unwrap_err();
    assert_eq!(other, ChannelsFault::Network { got: 4, want: 3 });
    let mut newer = disk.file;
    newer[0] = 4;
    let fault = ours.restore(&newer, NETWORK).unwrap_err();
    assert_eq!(fault, ChannelsFault::Version { got: 4, want: 3 });
    assert_eq!(ours.encode(NETWORK), had, "a refusal changes nothing");
}

fn restart(signer: &mut Channels) {
    let saved = signer.encode(NETWORK);
    *signer = channels(VOID_24);
    signer.restore(&saved, NETWORK).unwrap();
}

#[test]
fn a_restored_signer_gives_the_same_answer_and_no_other() {
    let mut pair = Pair::open();
    let meaning = pair.meaning(Side::Acceptor, &[htlc(Side::Opener, 5_000, 600)]);
    let first = pair.sign(&meaning, &[]).unwrap();
    restart(&mut pair.opener);
    assert_eq!(pair.sign(&meaning, &[]), Ok(first));
    let other = Meaning { feerate: FeeratePerKw(2_000), ..meaning };
    assert!(matches!(pair.sign(&other, &[]), Err(No::Otherwise { .. })));
    // Both points that are not revoked are known again.
    let payment = [htlc(Side::Opener, 5_000, 600)];
    pair.step(Side::Acceptor, &payment, &[]);
    restart(&mut pair.opener);
    pair.step(Side::Acceptor, &payment, &[]);
}

#[test]
fn a_restored_signer_knows_that_its_channel_closes_and_where_it_was() {
    let mut pair = Pair::open();
    pair.step(Side::Opener, &[], &[]);
    restart(&mut pair.opener);
    let point = pair.points[0];
    pair.step(Side::Opener, &[], &[]);
    restart(&mut pair.opener);
    let newest = Meaning { number: CommitmentNumber(2), point, ..pair.meaning(Side::Opener, &[]) };
    let close = ChannelAsk { channel: CHANNEL, op: ChannelOp::SignLocal { meaning: newest } };
    let change = pair.opener.decide(&close).map(|it| it.0);
    assert_eq!(change, Ok(Some(ChannelChange::Closing)));
    pair.opener.evolve(CHANNEL, &ChannelChange::Closing);
    restart(&mut pair.opener);
    assert_eq!(pair.opener.decide(&close).map(|it| it.0), Ok(None));
    let next = pair.meaning(Side::Opener, &[]);
    assert_eq!(pair.step_to(next, &[]), Err(No::Closing));
}

#[test]
fn a_restored_signer_knows_that_its_channel_is_shut() {
    let mut disk = Disk::new();
    let pair = Pair::set_up();
    disk.ask(ChannelOp::SetUp(Box::new(pair.setup.clone()))).unwrap();
    disk.take(CHANNEL, &ChannelChange::Shut);
    let open = pair.meaning(Side::Acceptor, &[]);
    let next = ChannelOp::SignRemote { meaning: open, secrets: Vec::new() };
    let next = ChannelAsk { channel: CHANNEL, op: next };
    for bytes in [disk.file.clone(), disk.channels.encode(NETWORK)] {
        let mut read = channels(VOID_24);
        read.restore(&bytes, NETWORK).unwrap();
        assert_eq!(read.decide(&next).map(|_| ()), Err(No::Shut));
    }
    // A change of a channel that is not there.
    let mut none = Disk::new();
    let change = none.channels.encode_change(&CHANNEL, &ChannelChange::Shut);
    none.file.extend(change);
    let fault = sum(&mut channels(VOID_24), &none.file).unwrap_err();
    assert!(matches!(fault, ChannelsFault::Channel { .. }), "{fault}");
}

/// A question that is judged and could not be saved was never asked.
#[test]
fn what_is_not_saved_has_changed_nothing() {
    let mut signer = alice();
    let before = signer.channels().encode(NETWORK);
    let mut setup = Pair::new(Form::Anchors).setup;
    let ask = |setup: &SetUp| {
        let op = ChannelOp::SetUp(Box::new(setup.clone()));
        Ask::Channel { lease: LeaseEpoch(0), ask: Box::new(ChannelAsk { channel: CHANNEL, op }) }
    };
    for pushed in [1, 2, 3] {
        setup.pushed = Msat(pushed);
        let pending = signer.decide(LINK, ask(&setup), Tick(0), || ephemeral(1));
        let want = ChannelChange::SetUp(Box::new(setup.clone()));
        let Some(SignerChange::Channel { channel: CHANNEL, change }) = pending.unsaved() else {
            panic!("it is new")
        };
        assert_eq!(*change, want);
        assert_eq!(pending.signer().channels().encode(NETWORK), before);
        drop(pending);
        assert_eq!(signer.channels().encode(NETWORK), before);
    }
    let pending = signer.decide(LINK, ask(&setup), Tick(0), || ephemeral(1));
    assert!(matches!(pending.saved(), Answer::Channel(ChannelAnswer::Done)));
    // The same again is not new.
    let pending = signer.decide(LINK, ask(&setup), Tick(0), || ephemeral(1));
    assert!(pending.unsaved().is_none());
    assert!(matches!(pending.saved(), Answer::Channel(ChannelAnswer::Done)));
    setup.pushed = Msat(4);
    let no = signer.answer(LINK, ask(&setup), Tick(0), || ephemeral(1));
    assert!(matches!(no, Answer::Refused(Refusal::Channel(No::AlreadySetUp))));
}

/// A change costs what is new, however many contracts there are.
#[test]
fn a_change_costs_what_is_new() {
    let (mut disk, mut by) = (Disk::new(), channels(VOID_24));
    let pair = Pair::set_up();
    disk.ask(ChannelOp::SetUp(Box::new(pair.setup.clone()))).unwrap();
    let many: Vec<_> = (0..400).map(|at| htlc(Side::Opener, 400 + at, 600)).collect();
    let mut number = 0;
    let mut length = |contracts: &[Placed]| {
        let meaning =
            Meaning { number: CommitmentNumber(number), ..pair.meaning(Side::Acceptor, contracts) };
        number += 1;
        let change = ChannelChange::SignedRemote {
            meaning: Box::new(meaning),
            txid: pair.setup.terms.funding.outpoint.txid,
            spent: Spent::default(),
        };
        let bytes = disk.channels.encode_change(&CHANNEL, &change).len();
        disk.take(CHANNEL, &change);
        assert_eq!(sum(&mut by, &disk.file).unwrap(), disk.channels.encode(NETWORK));
        bytes
    };
    let none = length(&[]);
    assert!(none < 160, "{none}");
    let whole = length(&many);
    assert!((18_000..19_000).contains(&whole), "{whole}");
    for (contracts, max) in [
        (&many[..399], 160),
        (&many[1..399], 160),
        (&many[..], 250),
        (&[&many[..7], &many[8..]].concat(), 160),
        (&many[..], 200),
        (&[&many[..7], &many[6..9], &many[8..]].concat(), 300),
    ] {
        let bytes = length(contracts);
        assert!(bytes <= max, "{bytes} of {max}");
    }
}

/// Whatever contracts stand in two commitments, the second comes back from what differs.
#[test]
fn any_list_of_contracts_comes_back_from_the_one_before() {
    let (pair, mut by) = (Pair::set_up(), channels(VOID_24));
    let (mut dice, empty) = (Dice::new(6), by.encode(NETWORK));
    let mut disk = Disk::new();
    for _ in 0..300 {
        disk.channels.restore(&empty, NETWORK).unwrap();
        disk.file.clone_from(&empty);
        disk.take(CHANNEL, &ChannelChange::SetUp(Box::new(pair.setup.clone())));
        for number in 0..8 {
            let count = dice.below(9);
            let contracts: Vec<_> =
                (0..count).map(|_| htlc(Side::Opener, 1 + dice.below(4) as u64, 600)).collect();
            let meaning = Meaning {
                number: CommitmentNumber(number),
                to_opener: Msat(dice.number()),
                ..pair.meaning(Side::Opener, &contracts)
            };
            let txid = pair.setup.terms.funding.outpoint.txid;
            let spent = Spent::default();
            let meaning = Box::new(meaning);
            let change = ChannelChange::Advanced { meaning, txid, next: None, spent };
            disk.take(CHANNEL, &change);
        }
        assert_eq!(sum(&mut by, &disk.file).unwrap(), disk.channels.encode(NETWORK));
    }
}

/// Whatever the bytes are, they are read as they would be written, or refused; checksums that were
/// made right again do not help.
#[test]
fn any_bytes_are_channels_or_none() {
    let (disk, mut by) = (disk(), channels(VOID_24));
    let mut dice = Dice::new(9);
    let mut read = 0;
    for _ in 0..4_000 {
        let mut bytes = disk.file.clone();
        // One change, with its checksum.
        let which = 1 + dice.below(disk.ends.len() - 1);
        let (begin, end) = (disk.ends[which - 1], disk.ends[which]);
        for _ in 0..=dice.below(3) {
            let at = begin + 8 + dice.below(end - begin - 12);
            bytes[at] = dice.throw() as u8;
        }
        let right = sha256::Hash::hash(&bytes[begin..end - 4]).to_byte_array();
        bytes[end - 4..end].copy_from_slice(&right[..4]);
        if dice.one_in(4) {
            bytes.truncate(dice.below(bytes.len()));
        }
        if let Ok(again) = sum(&mut by, &bytes) {
            assert_eq!(sum(&mut by, &again).unwrap(), again);
            read += 1;
        }
    }
    assert!(read > 500, "{read}");
}

/// What waits to be saved is not without bound, and what is saved twice is one.
#[test]
fn what_waits_is_saved_after_a_while() {
    let (mut disk, mut by) = (Disk::new(), channels(VOID_24));
    for change in changes() {
        let revokes = matches!(change, ChannelChange::Revoked { .. });
        disk.take(CHANNEL, &change);
        let again = if revokes { 1_200 } else { 0 };
        let saved = (0..again).filter(|_| disk.take(CHANNEL, &change)).count();
        assert!(saved <= 2 && (saved > 0) == revokes, "{saved}");
    }
    assert_eq!(sum(&mut by, &disk.file).unwrap(), disk.channels.encode(NETWORK));
}
