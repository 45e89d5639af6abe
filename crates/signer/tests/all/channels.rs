//! Two signers take a channel through its commitments, and refuse all that would cost money.

use std::sync::Arc;

use bitcoin::{OutPoint, Txid, hashes::Hash as _};
use signer::{
    ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal as No, Channels, NodeIndex, SetUp,
    ShownKeys,
};
use tx::{Form, Funding, Htlc, Meaning, Party, Placed, Side, Templates, Terms};
use wire::Network;
use wire::amount::{BlockHeight, CsvDelay, FeeratePerKw, Msat, Sat};
use wire::id::{ChannelKey, CommitmentNumber, PaymentHash, PerCommitmentSecret};
use wire::key::{Point, Signature};

use crate::parties::{channels, seed};
use crate::vectors::{OZONE_12, VOID_24};

pub const CHANNEL: ChannelKey = ChannelKey([7; 32]);
pub const CAPACITY: Sat = Sat(1_000_000);
pub const PUSHED: Msat = Msat(200_000_000);
pub const PREIMAGE: [u8; 32] = [9; 32];

/// A channel's two signers.
pub struct Pair {
    pub opener: Channels,
    pub acceptor: Channels,
    pub setup: SetUp,
    /// The points of the opener's and of the acceptor's next commitments.
    pub points: [Point; 2],
    pub signed: [u64; 2],
}

pub fn ask(channels: &mut Channels, op: ChannelOp) -> Result<ChannelAnswer, No> {
    let (change, answer) = channels.decide(&ChannelAsk { channel: CHANNEL, op })?;
    if let Some(change) = change {
        channels.evolve(CHANNEL, &change);
    }
    Ok(answer)
}

fn keys(channels: &mut Channels) -> ShownKeys {
    match ask(channels, ChannelOp::Keys) {
        Ok(ChannelAnswer::Keys(keys)) => *keys,
        _ => panic!("keys are shown to anybody who may ask"),
    }
}

fn party(keys: &ShownKeys) -> Party {
    let (funding_key, delay) = (keys.funding_key, CsvDelay(144));
    Party { funding_key, keys: keys.basepoints, dust_limit: Sat(354), delay }
}

pub fn htlc(offered_by: Side, sat: u64, expiry: u32) -> Placed {
    let hash = bitcoin::hashes::sha256::Hash::hash(&PREIMAGE).to_byte_array();
    let contract = Htlc { payment_hash: PaymentHash(hash), cltv_expiry: BlockHeight(expiry) };
    Placed { offered_by, amount: Msat(sat * 1_000), contract: Arc::new(contract) }
}

impl Pair {
    pub fn new(form: Form) -> Self {
        let [mut opener, mut acceptor] = [VOID_24, OZONE_12].map(channels);
        let shown = [keys(&mut opener), keys(&mut acceptor)];
        let outpoint = OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 1 };
        let terms = Terms {
            form,
            funding: Funding { outpoint, value: CAPACITY },
            opener: party(&shown[0]),
            acceptor: party(&shown[1]),
        };
        let setup = SetUp { side: Side::Opener, terms, pushed: PUSHED };
        let points = shown.map(|it| it.points[0]);
        Self { opener, acceptor, setup, points, signed: [0; 2] }
    }

    pub fn set_up() -> Self {
        Self::set_up_as(Form::Anchors)
    }

    fn set_up_as(form: Form) -> Self {
        let mut pair = Self::new(form);
        for side in [Side::Opener, Side::Acceptor] {
            let setup = SetUp { side, ..pair.setup.clone() };
            ask(pair.of(side), ChannelOp::SetUp(Box::new(setup)))
                .unwrap_or_else(|no| panic!("{no}"));
        }
        pair
    }

    /// With its first commitments signed.
    pub fn open() -> Self {
        Self::open_as(Form::Anchors)
    }

    pub fn open_as(form: Form) -> Self {
        let mut pair = Self::set_up_as(form);
        for owner in [Side::Opener, Side::Acceptor] {
            pair.step(owner, &[], &[]);
        }
        pair
    }

    pub fn of(&mut self, side: Side) -> &mut Channels {
        match side {
            Side::Opener => &mut self.opener,
            Side::Acceptor => &mut self.acceptor,
        }
    }

    pub fn meaning(&self, owner: Side, contracts: &[Placed]) -> Meaning {
        let offered = |side| -> u64 {
            contracts.iter().filter(|it| it.offered_by == side).map(|it| it.amount.0).sum()
        };
        let all = CAPACITY.0 * 1_000;
        Meaning {
            owner,
            number: CommitmentNumber(self.signed[owner as usize]),
            point: self.points[owner as usize],
            feerate: FeeratePerKw(1_000),
            to_opener: Msat(all - PUSHED.0 - offered(Side::Opener)),
            to_acceptor: Msat(PUSHED.0 - offered(Side::Acceptor)),
            contracts: contracts.to_vec(),
        }
    }

    /// The peer of `owner` signs its next commitment, and `owner` gives up the one before.
    pub fn step(&mut self, owner: Side, contracts: &[Placed], secrets: &[Vec<u8>]) {
        let meaning = self.meaning(owner, contracts);
        self.step_to(meaning, secrets).unwrap_or_else(|no| panic!("{no}"));
    }

    pub fn step_to(&mut self, meaning: Meaning, secrets: &[Vec<u8>]) -> Result<(), No> {
        let (owner, secrets) = (meaning.owner, secrets.to_vec());
        let (signature, stages) = self.sign(&meaning, &secrets)?;
        let op = ChannelOp::Advance { meaning: meaning.clone(), secrets, signature, stages };
        let ChannelAnswer::Advanced { secret, next } = ask(self.of(owner), op)? else {
            panic!("it advances");
        };
        self.points[owner as usize] = next;
        self.signed[owner as usize] += 1;
        if let Some(secret) = secret {
            let number = CommitmentNumber(meaning.number.0 - 1);
            ask(self.of(owner.other()), ChannelOp::Revoked { number, secret })?;
        }
        Ok(())
    }

    pub fn sign(
        &mut self,
        meaning: &Meaning,
        secrets: &[Vec<u8>],
    ) -> Result<(Signature, Vec<Signature>), No> {
        let op = ChannelOp::SignRemote { meaning: meaning.clone(), secrets: secrets.to_vec() };
        let answer = ask(self.of(meaning.owner.other()), op)?;
        let ChannelAnswer::RemoteSigned { signature, stages } = answer else {
            panic!("it signs");
        };
        Ok((signature, stages))
    }
}

#[test]
fn a_payment_goes_through_both_commitments_and_is_settled() {
    for form in [Form::StaticRemoteKey, Form::Anchors] {
        let mut pair = Pair::open_as(form);
        let payment = [htlc(Side::Opener, 50_000, 600)];
        pair.step(Side::Acceptor, &payment, &[]);
        pair.step(Side::Opener, &payment, &[]);
        // It is paid: the opener gives up its claim to it, because it was shown the preimage.
        let all = CAPACITY.0 * 1_000;
        for owner in [Side::Opener, Side::Acceptor] {
            let meaning = Meaning {
                to_opener: Msat(all - PUSHED.0 - 50_000_000),
                to_acceptor: Msat(PUSHED.0 + 50_000_000),
                ..pair.meaning(owner, &[])
            };
            pair.step_to(meaning, &[PREIMAGE.to_vec()]).unwrap_or_else(|no| panic!("{no}"));
        }
    }
}

#[test]
fn the_same_again_gets_the_same_answer_and_another_is_an_alarm() {
    let mut pair = Pair::open();
    let payment = [htlc(Side::Acceptor, 50_000, 600), htlc(Side::Opener, 20_000, 700)];
    let meaning = pair.meaning(Side::Acceptor, &payment);
    let first = pair.sign(&meaning, &[]).unwrap_or_else(|no| panic!("{no}"));
    assert_eq!(first.1.len(), 2);
    assert_eq!(pair.sign(&meaning, &[]), Ok(first.clone()));
    let fee = Meaning { feerate: FeeratePerKw(1_001), ..meaning.clone() };
    assert!(matches!(pair.sign(&fee, &[]), Err(No::Otherwise { .. })));
    let other = pair.meaning(Side::Acceptor, &payment[1..]);
    assert!(matches!(pair.sign(&other, &[]), Err(No::Otherwise { .. })));
    let (signature, stages) = first;
    let op = || ChannelOp::Advance {
        meaning: meaning.clone(),
        secrets: Vec::new(),
        signature,
        stages: stages.clone(),
    };
    let mut secrets = Vec::new();
    for _ in 0..2 {
        match ask(&mut pair.acceptor, op()) {
            Ok(ChannelAnswer::Advanced { secret, .. }) => secrets.push(secret),
            _ => panic!("it advances"),
        }
    }
    assert!(secrets[0].is_some() && secrets[0] == secrets[1]);
}

/// What a signer says to a question about an open channel.
fn refused(change: impl FnOnce(&mut Pair) -> Result<(), No>) -> No {
    let mut pair = Pair::open();
    change(&mut pair).expect_err("it is refused")
}

fn signs(pair: &mut Pair, meaning: &Meaning) -> Result<(), No> {
    pair.sign(meaning, &[]).map(|_| ())
}

#[test]
fn no_money_leaves_but_by_contracts() {
    let less = refused(|pair| {
        let mut meaning = pair.meaning(Side::Acceptor, &[]);
        meaning.to_opener.0 -= 1;
        meaning.to_acceptor.0 += 1;
        signs(pair, &meaning)
    });
    let want = Msat(CAPACITY.0 * 1_000 - PUSHED.0);
    assert_eq!(less, No::Loss { got: Msat(want.0 - 1), want });
    let vanished = refused(|pair| {
        let mut meaning = pair.meaning(Side::Acceptor, &[]);
        meaning.to_acceptor.0 -= 1;
        signs(pair, &meaning)
    });
    assert!(matches!(vanished, No::Money { .. }));
    let overflow = refused(|pair| {
        let mut meaning = pair.meaning(Side::Acceptor, &[]);
        meaning.to_acceptor.0 = u64::MAX;
        signs(pair, &meaning)
    });
    assert!(matches!(overflow, No::Money { .. }));
    // A contract of ours that is gone is paid only to whoever had its preimage.
    let unpaid = |secrets: &[Vec<u8>]| {
        let mut pair = Pair::open();
        let payment = [htlc(Side::Opener, 50_000, 600)];
        pair.step(Side::Acceptor, &payment, &[]);
        pair.step(Side::Opener, &payment, &[]);
        let mut meaning = pair.meaning(Side::Acceptor, &[]);
        meaning.to_opener.0 -= 50_000_000;
        meaning.to_acceptor.0 += 50_000_000;
        pair.sign(&meaning, secrets).map(|_| ())
    };
    assert!(matches!(unpaid(&[]), Err(No::Loss { .. })));
    assert!(matches!(unpaid(&[[8; 32].to_vec()]), Err(No::Loss { .. })));
    assert_eq!(unpaid(&[PREIMAGE.to_vec()]), Ok(()));
}

#[test]
fn commitments_stay_within_limits() {
    let many = refused(|pair| {
        let all: Vec<_> = (0..484).map(|_| htlc(Side::Opener, 1_000, 600)).collect();
        let meaning = pair.meaning(Side::Acceptor, &all);
        signs(pair, &meaning)
    });
    assert_eq!(many, No::Contracts { got: 484, max: 483 });
    for rate in [0, 249, 500_001, u32::MAX] {
        let fee = refused(|pair| {
            let feerate = FeeratePerKw(rate);
            let meaning = Meaning { feerate, ..pair.meaning(Side::Acceptor, &[]) };
            signs(pair, &meaning)
        });
        assert!(matches!(fee, No::FeeRate { got, .. } if got.0 == rate));
    }
    let early = {
        let mut pair = Pair::set_up();
        let meaning = pair.meaning(Side::Acceptor, &[htlc(Side::Opener, 1_000, 600)]);
        signs(&mut pair, &meaning)
    };
    assert_eq!(early, Err(No::Contracts { got: 1, max: 0 }));
}

#[test]
fn no_second_state_is_signed_before_the_first_is_revoked() {
    let mut pair = Pair::open();
    let first = pair.meaning(Side::Acceptor, &[htlc(Side::Opener, 5_000, 600)]);
    assert_eq!(signs(&mut pair, &first), Ok(()));
    let second = Meaning { number: CommitmentNumber(2), ..first.clone() };
    let no = signs(&mut pair, &second).expect_err("number 0 is not revoked");
    let (newest, unrevoked) = (Some(CommitmentNumber(1)), CommitmentNumber(0));
    assert_eq!(no, No::OutOfTurn { number: CommitmentNumber(2), newest, unrevoked });
    // Nor an old one again, or one of the future.
    for number in [0, 3, u64::MAX] {
        let meaning = Meaning { number: CommitmentNumber(number), ..first.clone() };
        assert!(matches!(signs(&mut pair, &meaning), Err(No::OutOfTurn { .. })));
    }
    // Secrets that revoke nothing, or not this.
    let op = |number, byte| ChannelOp::Revoked {
        number: CommitmentNumber(number),
        secret: PerCommitmentSecret([byte; 32]),
    };
    for (number, byte) in [(0, 1), (0, 0), (0, 255)] {
        let no = ask(&mut pair.opener, op(number, byte)).err();
        assert_eq!(no, Some(No::WrongSecret { number: CommitmentNumber(number) }));
    }
    let no = ask(&mut pair.opener, op(1, 1)).err();
    assert!(matches!(no, Some(No::OutOfTurn { .. })));
}

/// The same signature with the other s: true as well, and relayed by nobody.
fn high(signature: &Signature) -> Signature {
    let mut bytes = *signature.bytes();
    let s = secp256k1::SecretKey::from_slice(&bytes[32..]).expect("s is a scalar");
    bytes[32..].copy_from_slice(&s.negate().secret_bytes());
    Signature::parse(&bytes).expect("both halves are below the order")
}

#[test]
fn what_the_peer_has_not_signed_revokes_nothing() {
    let mut pair = Pair::open();
    let payment = [htlc(Side::Acceptor, 50_000, 600), htlc(Side::Opener, 20_000, 700)];
    let meaning = pair.meaning(Side::Opener, &payment);
    let (signature, stages) = pair.sign(&meaning, &[]).unwrap_or_else(|no| panic!("{no}"));
    let mut advance = |signature, stages: Vec<Signature>, meaning: &Meaning| {
        let (meaning, secrets) = (meaning.clone(), Vec::new());
        let op = ChannelOp::Advance { meaning, secrets, signature, stages };
        ask(&mut pair.opener, op).err()
    };
    let number = CommitmentNumber(1);
    let swapped = vec![stages[1], stages[0]];
    let bad = |stage| Some(No::BadSignature { number, stage });
    assert_eq!(advance(stages[0], stages.clone(), &meaning), bad(None));
    assert_eq!(advance(signature, swapped, &meaning), bad(Some(0)));
    assert_eq!(advance(signature, vec![stages[0]; 2], &meaning), bad(Some(1)));
    assert_eq!(advance(high(&signature), stages.clone(), &meaning), bad(None));
    assert_eq!(advance(signature, vec![stages[0], high(&stages[1])], &meaning), bad(Some(1)));
    let short = advance(signature, stages[..1].to_vec(), &meaning);
    assert_eq!(short, Some(No::StageCount { got: 1, want: 2 }));
    let point = Meaning {
        point: meaning.point.key().negate(secp256k1::SECP256K1).into(),
        ..meaning.clone()
    };
    assert_eq!(advance(signature, stages.clone(), &point), Some(No::WrongPoint { number }));
    assert_eq!(advance(signature, stages, &meaning), None);
}

#[test]
fn nothing_is_revoked_once_our_commitment_may_be_published() {
    let mut pair = Pair::open();
    let newest = pair.signed[0] - 1;
    let point = match ask(&mut pair.opener, ChannelOp::Keys) {
        Ok(ChannelAnswer::Keys(keys)) => keys.points[0],
        _ => panic!("keys are shown"),
    };
    let number = CommitmentNumber(newest);
    let meaning = Meaning { number, point, ..pair.meaning(Side::Opener, &[]) };
    for _ in 0..2 {
        let signed = ask(&mut pair.opener, ChannelOp::SignLocal { meaning: meaning.clone() });
        assert!(matches!(signed, Ok(ChannelAnswer::LocalSigned { .. })));
    }
    let next = pair.meaning(Side::Opener, &[]);
    assert_eq!(pair.step_to(next.clone(), &[]), Err(No::Closing));
    // What was revoked is not signed any more.
    let mut pair = Pair::open();
    pair.step(Side::Opener, &[], &[]);
    let old = ask(&mut pair.opener, ChannelOp::SignLocal { meaning });
    assert!(matches!(old, Err(No::OutOfTurn { .. })));
    let foreign = ask(&mut pair.acceptor, ChannelOp::SignLocal { meaning: next });
    assert!(matches!(foreign, Err(No::OutOfTurn { .. } | No::WrongOwner { .. })));
}

#[test]
fn terms_are_agreed_on_once_and_within_limits() {
    let mut pair = Pair::new(Form::Anchors);
    let ours = pair.setup.clone();
    let with = |change: &dyn Fn(&mut SetUp)| {
        let mut setup = ours.clone();
        change(&mut setup);
        setup
    };
    let delay = |got| (CsvDelay(got), CsvDelay(2_016));
    for (setup, want) in [
        (with(&|it| it.pushed = Msat(1_000_000_001)), "push_msat"),
        (with(&|it| it.terms.funding.value = Sat(u64::MAX)), "funding_satoshis"),
        (with(&|it| it.terms.opener.dust_limit = Sat(353)), "dust_limit_satoshis"),
        (with(&|it| it.terms.acceptor.dust_limit = Sat(10_001)), "dust_limit_satoshis"),
    ] {
        let no = ask(&mut pair.opener, ChannelOp::SetUp(Box::new(setup))).err();
        assert!(matches!(no, Some(No::Terms { term, .. }) if term == want), "{want}: {no:?}");
    }
    for (setup, (got, max)) in [
        (with(&|it| it.terms.opener.delay = CsvDelay(2_017)), delay(2_017)),
        (with(&|it| it.terms.acceptor.delay = CsvDelay(143)), delay(143)),
    ] {
        let no = ask(&mut pair.opener, ChannelOp::SetUp(Box::new(setup))).err();
        assert!(matches!(no, Some(No::Delay { got: is, max: of, .. }) if (is, of) == (got, max)));
    }
    let swapped = with(&|it| it.terms.opener.keys.htlc = it.terms.acceptor.keys.htlc);
    let no = ask(&mut pair.opener, ChannelOp::SetUp(Box::new(swapped))).err();
    assert_eq!(no, Some(No::ForeignKeys));
    let meaning = pair.meaning(Side::Acceptor, &[]);
    assert_eq!(signs(&mut pair, &meaning), Err(No::Unknown));
    for _ in 0..2 {
        let done = ask(&mut pair.opener, ChannelOp::SetUp(Box::new(ours.clone())));
        assert!(matches!(done, Ok(ChannelAnswer::Done)));
    }
    let other = SetUp { pushed: Msat(0), ..ours };
    let no = ask(&mut pair.opener, ChannelOp::SetUp(Box::new(other))).err();
    assert_eq!(no, Some(No::AlreadySetUp));
}

#[test]
fn a_signer_without_the_template_refuses_the_contract() {
    let mut pair = Pair::open();
    let keys = seed(VOID_24).channel_keys(Network::Regtest, NodeIndex::FIRST);
    pair.opener = Channels::new(keys, Templates::default());
    let setup = ChannelOp::SetUp(Box::new(pair.setup.clone()));
    assert!(ask(&mut pair.opener, setup).is_ok());
    let meaning = pair.meaning(Side::Acceptor, &[htlc(Side::Opener, 5_000, 600)]);
    assert!(matches!(signs(&mut pair, &meaning), Err(No::Contract(_))));
}
