//! What leaves channels in a day: the owner of the signer says how much, whoever asks.

use chain::Height;
use signer::{
    ChannelAnswer, ChannelAsk, ChannelChange, ChannelLimits, ChannelOp, ChannelRefusal as No,
    Channels, ChannelsFault, DAY_MSAT_MAX, Money, Policy, Seen, SetUp, Spent, UnixTime,
};
use tx::{Form, Meaning, Placed, Side};
use wire::Network;
use wire::amount::Msat;
use wire::id::{ChannelKey, CommitmentNumber};

use crate::channels::{CAPACITY, CHANNEL, PREIMAGE, Pair, htlc};
use crate::claims::wallet;
use crate::parties::channels;
use crate::vectors::{VOID_24, bytes};

const NETWORK: Network = Network::Regtest;
const HOUR: u32 = 3_600;
/// The beginning of an hour.
const NOW: u32 = 500_000 * HOUR;

/// A signer alone, with its file; its owner lets this much leave in a day.
struct Owner {
    channels: Channels,
    file: Vec<u8>,
    day_sat: u64,
    now: u32,
}

impl Owner {
    fn of(channels: Channels, day_sat: u64) -> Self {
        Self { file: channels.encode(NETWORK), channels, day_sat, now: NOW }
    }

    fn new(day_sat: u64) -> Self {
        Self::of(channels(VOID_24), day_sat)
    }

    /// What is new is in the file first; what is refused changes nothing.
    fn ask(&mut self, channel: ChannelKey, op: ChannelOp) -> Result<ChannelAnswer, No> {
        let limits = ChannelLimits { day_max: Msat(self.day_sat * 1_000), ..Default::default() };
        let policy = Policy { channels: limits, ..Default::default() };
        let money = Money { wallet: &wallet(Side::Opener), policy: &policy };
        let seen = Seen { tip: Some(Height(9)), stale: None, time: Some(UnixTime(self.now)) };
        let ask = ChannelAsk { channel, op };
        let (change, answer) = self.channels.decide_with(&ask, &money, &seen)?;
        if let Some(change) = change {
            if self.channels.has_to_be_saved(&change) {
                self.file.extend(self.channels.encode_change(&channel, &change));
            }
            self.channels.evolve(channel, &change);
        }
        Ok(answer)
    }

    /// The same signer after a restart, from its changes or from their sum.
    fn restarted(&self, from_sum: bool) -> Self {
        let mut again = channels(VOID_24);
        let sum = self.channels.encode(NETWORK);
        let file = if from_sum { sum.clone() } else { self.file.clone() };
        again.restore(&file, NETWORK).unwrap();
        // From the changes without those that wait.
        assert!(!from_sum || again.encode(NETWORK) == sum);
        Self { channels: again, file, day_sat: self.day_sat, now: self.now }
    }
}

/// A channel whose peer's first commitment is signed, and in which we have everything.
fn open(owner: &mut Owner, channel: ChannelKey) -> Pair {
    let opened = open_with(owner, channel, Msat(0));
    opened.unwrap_or_else(|no| panic!("{no}"))
}

fn open_with(owner: &mut Owner, channel: ChannelKey, pushed: Msat) -> Result<Pair, No> {
    let Ok(ChannelAnswer::Keys(ours)) = owner.ask(channel, ChannelOp::Keys) else {
        panic!("keys are shown")
    };
    let mut pair = Pair::new(Form::Anchors);
    pair.setup.pushed = pushed;
    let opener = &mut pair.setup.terms.opener;
    (opener.funding_key, opener.keys) = (ours.funding_key, ours.basepoints);
    let setup = ChannelOp::SetUp(Box::new(pair.setup.clone()));
    owner.ask(channel, setup)?;
    offer(owner, channel, &mut pair, &[])?;
    Ok(pair)
}

/// The next commitment of the peer has these contracts.
fn offer(
    owner: &mut Owner,
    channel: ChannelKey,
    pair: &mut Pair,
    contracts: &[Placed],
) -> Result<(), No> {
    let offered = |side| -> u64 {
        contracts.iter().filter(|it| it.offered_by == side).map(|it| it.amount.0).sum()
    };
    let pushed = pair.setup.pushed.0;
    let meaning = Meaning {
        to_opener: Msat(CAPACITY.0 * 1_000 - pushed - offered(Side::Opener)),
        to_acceptor: Msat(pushed - offered(Side::Acceptor)),
        ..pair.meaning(Side::Acceptor, &[])
    };
    let meaning = Meaning { contracts: contracts.to_vec(), ..meaning };
    owner.ask(channel, ChannelOp::SignRemote { meaning, secrets: Vec::new() })?;
    pair.signed[1] += 1;
    Ok(())
}

fn ours(sat: u64) -> Placed {
    htlc(Side::Opener, sat, 600)
}

fn no(got: u64, left: u64, limit: u64) -> Result<(), No> {
    let [got, left, limit] = [got, left, limit].map(|sat| Msat(sat * 1_000));
    Err(No::Allowance { got, left, limit })
}

#[test]
fn what_is_offered_in_a_day_is_limited_over_all_channels() {
    let mut owner = Owner::new(100_000);
    let names = [1, 2, 3, 4].map(|byte| ChannelKey([byte; 32]));
    let mut pairs = names.map(|name| open(&mut owner, name));
    let [first, second, third, last] = &mut pairs;
    assert_eq!(offer(&mut owner, names[0], first, &[ours(60_000)]), Ok(()));
    owner.now += 5 * HOUR;
    let before = owner.channels.encode(NETWORK);
    let more = [ours(40_001)];
    assert_eq!(offer(&mut owner, names[1], second, &more), no(40_001, 40_000, 100_000));
    assert_eq!(owner.channels.encode(NETWORK), before);
    // Nor does a restart forget it, from the changes or from their sum.
    for from_sum in [false, true] {
        let mut again = owner.restarted(from_sum);
        assert_eq!(offer(&mut again, names[1], second, &more), no(40_001, 40_000, 100_000));
    }
    assert_eq!(offer(&mut owner, names[1], second, &[ours(40_000)]), Ok(()));
    assert_eq!(offer(&mut owner, names[2], third, &[ours(1)]), no(1, 0, 100_000));
    // Nothing of ours costs nothing.
    assert_eq!(offer(&mut owner, names[2], third, &[]), Ok(()));
    // The first is a day old, and an hour so that it is one whenever it was.
    owner.now = NOW + 25 * HOUR - 1;
    assert_eq!(offer(&mut owner, names[3], last, &[ours(60_000)]), no(60_000, 0, 100_000));
    owner.now += 1;
    let mut again = owner.restarted(true);
    assert_eq!(offer(&mut again, names[3], last, &[ours(60_001)]), no(60_001, 60_000, 100_000));
    assert_eq!(offer(&mut again, names[3], last, &[ours(60_000)]), Ok(()));
    // An owner who wants less than has left already.
    owner.day_sat = 10;
    let [_, _, _, mut last] = pairs;
    last.signed[1] = 1;
    assert_eq!(offer(&mut owner, names[3], &mut last, &[ours(1)]), no(1, 0, 10));
    assert_eq!(Policy::default().channels.day_max, DAY_MSAT_MAX);
}

/// What is given away when a channel is opened leaves at once.
#[test]
fn what_is_given_away_at_once_counts() {
    let mut owner = Owner::new(100_000);
    let pushed = |owner: &mut Owner, byte, sat: u64| {
        open_with(owner, ChannelKey([byte; 32]), Msat(sat * 1_000)).map(|_| ())
    };
    assert_eq!(pushed(&mut owner, 1, 100_001), no(100_001, 100_000, 100_000));
    assert_eq!(pushed(&mut owner, 2, 70_000), Ok(()));
    assert_eq!(pushed(&mut owner, 3, 30_001), no(30_001, 30_000, 100_000));
    let mut pair = open(&mut owner, ChannelKey([4; 32]));
    let more = [ours(30_001)];
    let said = offer(&mut owner, ChannelKey([4; 32]), &mut pair, &more);
    assert_eq!(said, no(30_001, 30_000, 100_000));
    // Both first commitments of one channel count once.
    let mut both = Both { pair: Pair::new(Form::Anchors), owner: Owner::new(200_000) };
    for side in [Side::Opener, Side::Acceptor] {
        let setup = ChannelOp::SetUp(Box::new(SetUp { side, ..both.pair.setup.clone() }));
        let done = match side {
            Side::Opener => both.owner.ask(CHANNEL, setup),
            Side::Acceptor => crate::channels::ask(&mut both.pair.acceptor, setup),
        };
        assert!(done.is_ok());
    }
    let theirs = both.pair.meaning(Side::Acceptor, &[]);
    assert_eq!(both.theirs(&theirs, &[]), Ok(()));
    let ours = both.pair.meaning(Side::Opener, &[]);
    let (signature, stages) = both.pair.sign(&ours, &[]).unwrap_or_else(|no| panic!("{no}"));
    let op = ChannelOp::Advance { meaning: ours, secrets: Vec::new(), signature, stages };
    assert!(both.owner.ask(CHANNEL, op).is_ok());
}

/// Both sides of a channel; the opener's signer has an owner.
struct Both {
    pair: Pair,
    owner: Owner,
}

impl Both {
    fn new(day_sat: u64) -> Self {
        let mut pair = Pair::open();
        let opener = std::mem::replace(&mut pair.opener, channels(VOID_24));
        Self { pair, owner: Owner::of(opener, day_sat) }
    }

    /// The owner signs, and the peer takes it and gives up the one before.
    fn theirs(&mut self, meaning: &Meaning, secrets: &[Vec<u8>]) -> Result<(), No> {
        let secrets = secrets.to_vec();
        let op = ChannelOp::SignRemote { meaning: meaning.clone(), secrets: secrets.clone() };
        self.owner.ask(CHANNEL, op)?;
        std::mem::swap(&mut self.pair.opener, &mut self.owner.channels);
        let taken = self.pair.step_to(meaning.clone(), &secrets);
        std::mem::swap(&mut self.pair.opener, &mut self.owner.channels);
        taken
    }

    /// The peer signs, and the owner takes it.
    fn ours(&mut self, meaning: &Meaning, secrets: &[Vec<u8>]) -> Result<(), No> {
        let (signature, stages) = self.pair.sign(meaning, secrets)?;
        let (meaning, secrets) = (meaning.clone(), secrets.to_vec());
        let number = meaning.number;
        let op = ChannelOp::Advance { meaning, secrets, signature, stages };
        let answer = self.owner.ask(CHANNEL, op)?;
        let ChannelAnswer::Advanced { secret: Some(secret), next } = answer else {
            panic!("there is one before")
        };
        (self.pair.points[0], self.pair.signed[0]) = (next, self.pair.signed[0] + 1);
        let number = CommitmentNumber(number.0 - 1);
        crate::channels::ask(&mut self.pair.acceptor, ChannelOp::Revoked { number, secret })?;
        Ok(())
    }

    /// A commitment with this, in which the peer was paid so much.
    fn meaning(&self, owner: Side, contracts: &[Placed], paid_sat: u64) -> Meaning {
        let plain = self.pair.meaning(owner, contracts);
        Meaning {
            to_opener: Msat(plain.to_opener.0 - paid_sat * 1_000),
            to_acceptor: Msat(plain.to_acceptor.0 + paid_sat * 1_000),
            ..plain
        }
    }
}

#[test]
fn a_payment_counts_once_and_stays_counted() {
    for paid in [0, 60_000] {
        let mut both = Both::new(100_000);
        // What the peer offers leaves nothing of ours.
        let theirs = htlc(Side::Acceptor, 150_000, 600);
        let (payment, secrets) = ([ours(60_000), theirs], [PREIMAGE.to_vec()]);
        let secrets = if paid == 0 { &[][..] } else { &secrets };
        for contracts in [&payment[..], &payment[1..]] {
            let paid = if contracts.len() == 1 { paid } else { 0 };
            let theirs = both.meaning(Side::Acceptor, contracts, paid);
            assert_eq!(both.theirs(&theirs, secrets), Ok(()));
            let ours = both.meaning(Side::Opener, contracts, paid);
            assert_eq!(both.ours(&ours, secrets), Ok(()));
        }
        let more = both.meaning(Side::Acceptor, &[payment[1].clone(), ours(40_001)], paid);
        assert_eq!(both.theirs(&more, &[]), no(40_001, 40_000, 100_000));
        let more = both.meaning(Side::Acceptor, &[payment[1].clone(), ours(40_000)], paid);
        assert_eq!(both.theirs(&more, &[]), Ok(()));
        // After a restart it is known how far both commitments are.
        both.owner = both.owner.restarted(true);
        let ours = both.meaning(Side::Opener, &[payment[1].clone(), ours(40_000)], paid);
        assert_eq!(both.ours(&ours, &[]), Ok(()));
    }
}

/// It is paid and offered again, and again, in the peer's commitments, while ours has it still: a
/// contract that cannot be told from one that is there, and takes as much each time.
#[test]
fn what_is_offered_again_after_it_was_paid_counts_again() {
    let mut both = Both::new(100_000);
    let (payment, secrets) = ([ours(30_000)], [PREIMAGE.to_vec()]);
    let theirs = both.meaning(Side::Acceptor, &payment, 0);
    assert_eq!(both.theirs(&theirs, &[]), Ok(()));
    let ours = both.meaning(Side::Opener, &payment, 0);
    assert_eq!(both.ours(&ours, &[]), Ok(()));
    for times in 1..=3 {
        let paid = both.meaning(Side::Acceptor, &[], 30_000 * times);
        assert_eq!(both.theirs(&paid, &secrets), Ok(()));
        let again = both.meaning(Side::Acceptor, &payment, 30_000 * times);
        let want = if times < 3 { Ok(()) } else { no(30_000, 10_000, 100_000) };
        assert_eq!(both.theirs(&again, &secrets), want);
    }
}

/// In ours as well: whoever has both the node and the peer could publish it.
#[test]
fn what_only_our_own_commitment_offers_counts() {
    let mut both = Both::new(50_000);
    let (payment, secrets) = ([ours(30_000)], [PREIMAGE.to_vec()]);
    let first = both.meaning(Side::Opener, &payment, 0);
    assert_eq!(both.ours(&first, &[]), Ok(()));
    let paid = both.meaning(Side::Opener, &[], 30_000);
    assert_eq!(both.ours(&paid, &secrets), Ok(()));
    let again = both.meaning(Side::Opener, &payment, 30_000);
    assert_eq!(both.ours(&again, &[]), no(30_000, 20_000, 50_000));
    // What ours had before theirs counts no second time.
    let theirs = both.meaning(Side::Acceptor, &payment, 0);
    assert_eq!(both.theirs(&theirs, &[]), Ok(()));
}

/// A signer of the version before had no hours. What it has written is read, as it was, and goes on
/// in the new layout.
#[test]
fn what_an_older_version_has_saved_is_read() {
    let read = |hex: &str| {
        let hex: String = hex.lines().collect();
        let (old, mut by) = (bytes(&hex), channels(VOID_24));
        assert_eq!(old[0], 2);
        let whole = by.restore(&old, NETWORK).unwrap();
        assert_eq!(whole.bytes, old.len());
        by.encode(NETWORK)
    };
    let sum = read(include_str!("../saved/channels-2-sum.hex"));
    assert_eq!(read(include_str!("../saved/channels-2-changes.hex")), sum);
    assert_eq!(sum[0], 3);
    let mut owner = Owner::new(1);
    owner.channels.restore(&sum, NETWORK).unwrap();
    assert_eq!(owner.channels.encode(NETWORK), sum);
    let mut newer = sum.clone();
    newer[0] = 4;
    let fault = owner.channels.restore(&newer, NETWORK);
    assert_eq!(fault, Err(ChannelsFault::Version { got: 4, want: 3 }));
    assert_eq!(owner.channels.encode(NETWORK), sum);
}

#[test]
fn what_is_spent_is_frozen_in_the_file() {
    let mut owner = Owner::new(100_000);
    let name = ChannelKey([1; 32]);
    let pair = open(&mut owner, name);
    let meaning = pair.meaning(Side::Acceptor, &[ours(7)]);
    let at = UnixTime(NOW);
    let spent = Spent { offered: Msat(7_000), counted: Msat(6_000), at };
    let txid = pair.setup.terms.funding.outpoint.txid;
    let change = ChannelChange::SignedRemote { meaning: Box::new(meaning), txid, spent };
    let bytes = owner.channels.encode_change(&name, &change);
    // Behind two lengths, its own length, the channel, its record and the length of that.
    let value = bytes.windows(20).any(|it| {
        it == [&7_000u64.to_be_bytes()[..], &6_000u64.to_be_bytes(), &NOW.to_be_bytes()].concat()
    });
    assert!(value);
    owner.channels.evolve(name, &change);
    let sum = owner.channels.encode(NETWORK);
    let hours = [&1u32.to_be_bytes()[..], &500_000u32.to_be_bytes(), &6_000u64.to_be_bytes()];
    assert_eq!(sum[sum.len() - 20..sum.len() - 4], hours.concat());
}
