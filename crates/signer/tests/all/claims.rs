//! Two signers end a channel on chain, and Bitcoin Core's interpreter takes what they sign.

use bitcoin::sighash::SighashCache;
use bitcoin::{
    Amount, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Txid,
    hashes::Hash as _,
};
use devnet::ledger::verify;
use secp256k1::{Message, SECP256K1};
use signer::{
    Answer, Ask, Branch, ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal as No, Channels,
    EndFlaw, KeyIndex, KeyPlace, Money, NodeIndex, Payee, Policy, Refusal, Seen, SetUp, SignClaims,
    SignStages, SpendInput, WalletKey,
};
use tx::{
    At, Claim, ClaimFault, Claimed, Commitment, Form, InputSignature, Meaning, Side, Staged,
    Stages, Sweep, Templates, Unsigned, funding_witness,
};
use wire::Network;
use wire::amount::{LockTime, Msat, Sat};
use wire::id::CommitmentNumber;
use wire::key::{Point, Signature};
use wire::lease::LeaseEpoch;

use crate::channels::{CHANNEL, PREIMAGE, Pair, htlc};
use crate::parties::wallet_key;
use crate::vectors::{OZONE_12, VOID_24};

const FORMS: [Form; 2] = [Form::StaticRemoteKey, Form::Anchors];
const SIDES: [Side; 2] = [Side::Opener, Side::Acceptor];
/// A signature is one byte shorter in a half of all cases, and seldom more.
const SLACK_WU: u64 = 3;

/// Asks a side with its wallet, both ways through bytes.
pub fn ask_with(pair: &mut Pair, side: Side, op: ChannelOp) -> Result<ChannelAnswer, No> {
    ask_under(pair, side, op, &Policy::default())
}

pub fn ask_under(
    pair: &mut Pair,
    side: Side,
    op: ChannelOp,
    policy: &Policy,
) -> Result<ChannelAnswer, No> {
    ask_seeing(pair, side, op, (policy, &Seen::default()))
}

pub fn ask_seeing(
    pair: &mut Pair,
    side: Side,
    op: ChannelOp,
    (policy, seen): (&Policy, &Seen),
) -> Result<ChannelAnswer, No> {
    let money = Money { wallet: &wallet(side), policy };
    let asked =
        Ask::Channel { lease: LeaseEpoch(0), ask: Box::new(ChannelAsk { channel: CHANNEL, op }) };
    let carried = Ask::decode(&asked.encode());
    let Ok(Ask::Channel { ask, .. }) = carried else { panic!("{carried:?}") };
    let decided = pair.of(side).decide_with(&ask, &money, seen);
    if let Ok((Some(change), _)) = &decided {
        pair.of(side).evolve(CHANNEL, change);
    }
    let answer = decided.map_or_else(
        |no| Answer::Refused(Refusal::Channel(no)),
        |(_, answer)| Answer::Channel(answer),
    );
    match Answer::decode(&mut answer.encode().bytes().to_vec()) {
        Ok(Answer::Channel(answer)) => Ok(answer),
        Ok(Answer::Refused(Refusal::Channel(no))) => Err(no),
        Ok(_) | Err(_) => panic!("another answer"),
    }
}

pub fn wallet(side: Side) -> WalletKey {
    wallet_key(if side == Side::Opener { VOID_24 } else { OZONE_12 })
}

pub fn place(index: u32) -> KeyPlace {
    let index = KeyIndex::new(index).expect("it is small");
    KeyPlace { branch: Branch::Receive, index }
}

pub fn script(side: Side, place: KeyPlace) -> ScriptBuf {
    wallet(side).account().script(place)
}

fn coin(vout: u32, sat: u64) -> SpendInput {
    let outpoint = OutPoint { txid: Txid::from_byte_array([6; 32]), vout };
    let sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
    SpendInput { outpoint, amount: Amount::from_sat(sat), place: place(vout), sequence }
}

fn coins_of(side: Side, coins: &[SpendInput]) -> Vec<tx::Coin> {
    let coin = |it: &SpendInput| tx::Coin {
        outpoint: it.outpoint,
        value: Sat(it.amount.to_sat()),
        script: script(side, it.place),
        sequence: it.sequence,
    };
    coins.iter().map(coin).collect()
}

/// Commitments 1 of both sides are signed, with contracts each way.
struct World {
    pair: Pair,
    /// Of the opener's and the acceptor's: what it means, and the peer's signatures.
    signed: Vec<(Meaning, Signature, Vec<Signature>)>,
}

impl World {
    fn new(form: Form) -> Self {
        let mut pair = Pair::open_as(form);
        let contracts = [
            htlc(Side::Opener, 50_000, 600),
            htlc(Side::Opener, 40_000, 600),
            htlc(Side::Acceptor, 30_000, 700),
        ];
        let mut signed = Vec::new();
        for owner in SIDES {
            let meaning = pair.meaning(owner, &contracts);
            let (signature, stages) = pair.sign(&meaning, &[]).expect("it is signed");
            pair.step(owner, &contracts, &[]);
            signed.push((meaning, signature, stages));
        }
        Self { pair, signed }
    }

    fn commitment(&self, owner: Side) -> (Meaning, Commitment) {
        let meaning = self.signed[owner as usize].0.clone();
        let built = meaning.build(&self.pair.setup.terms);
        (meaning, built)
    }

    fn claims(&self, owner: Side, claimer: Side, is_revoked: bool) -> Vec<Claim> {
        let (meaning, built) = self.commitment(owner);
        let secrets = [PREIMAGE.to_vec()];
        built.claims(&self.pair.setup.terms, &meaning, (claimer, is_revoked), &secrets)
    }

    /// Revokes the commitments 1.
    fn go_on(&mut self) {
        for owner in SIDES {
            let contracts = self.signed[owner as usize].0.contracts.clone();
            self.pair.step(owner, &contracts, &[]);
        }
    }

    /// Our commitment, as it is published.
    fn publish(&mut self, owner: Side) -> Transaction {
        let (meaning, built) = self.commitment(owner);
        let op = ChannelOp::SignLocal { meaning };
        let ours = match ask_with(&mut self.pair, owner, op) {
            Ok(ChannelAnswer::LocalSigned { signature }) => signature,
            Ok(_) | Err(_) => panic!("it is the newest"),
        };
        let theirs = self.signed[owner as usize].1;
        let (opener, acceptor) = match owner {
            Side::Opener => (ours, theirs),
            Side::Acceptor => (theirs, ours),
        };
        let terms = &self.pair.setup.terms;
        let mut signed = built.transaction;
        signed.input[0].witness = funding_witness(terms, &opener, &acceptor);
        let script_pubkey = tx::funding(terms).to_p2wsh();
        let value = Amount::from_sat(terms.funding.value.0);
        assert_eq!(verify(&signed, &[TxOut { value, script_pubkey }]), Ok(()));
        signed
    }

    fn ask_claims(&mut self, side: Side, ask: SignClaims) -> Result<Vec<InputSignature>, No> {
        let answer = ask_with(&mut self.pair, side, ChannelOp::SignClaims(Box::new(ask)))?;
        let ChannelAnswer::InputsSigned { signatures } = answer else {
            panic!("inputs are signed");
        };
        Ok(signatures)
    }

    /// Claims are signed, and taken by the kernel.
    fn take(&mut self, side: Side, ask: SignClaims) -> Transaction {
        let signatures = self.ask_claims(side, ask.clone()).unwrap_or_else(|no| panic!("{no}"));
        assert_eq!(self.ask_claims(side, ask.clone()), Ok(signatures.clone()));
        let Payee::Ours(to) = ask.to else { panic!("it is ours") };
        let sweep = Sweep {
            claims: ask.claims,
            coins: coins_of(side, &ask.coins),
            pays_to: script(side, to),
            fee: ask.fee,
            lock_time: ask.lock_time,
        };
        let unsigned = sweep.build(&self.pair.setup.terms).expect("it was signed");
        run(&unsigned, &signatures)
    }

    /// Each claim alone, all together, and all together with coins.
    fn take_all(&mut self, side: Side, claims: &[Claim], parents: &[Transaction]) {
        for claim in claims.iter().filter(|it| !matches!(it.what, Claimed::Anchor)) {
            self.take(side, asked(std::slice::from_ref(claim), parents, &[]));
        }
        self.take(side, asked(claims, parents, &[]));
        self.take(side, asked(claims, parents, &[coin(0, 9_000), coin(3, 700)]));
    }
}

fn asked(claims: &[Claim], parents: &[Transaction], coins: &[SpendInput]) -> SignClaims {
    SignClaims {
        claims: claims.to_vec(),
        parents: parents.to_vec(),
        coins: coins.to_vec(),
        to: Payee::Ours(place(5)),
        fee: Sat(1_000),
        lock_time: LockTime(0),
    }
}

fn run(unsigned: &Unsigned, signatures: &[InputSignature]) -> Transaction {
    let signed = unsigned.signed(signatures).unwrap_or_else(|fault| panic!("{fault}"));
    if let Err(fault) = verify(&signed, &unsigned.spent()) {
        panic!("{fault:?}: {unsigned:#?}");
    }
    let (max, is) = (unsigned.weight_max(), signed.weight().to_wu());
    let inputs = unsigned.locks.len() as u64;
    assert!(is <= max && max - is <= SLACK_WU * inputs, "{is} of {max}, {inputs} inputs");
    signed
}

#[test]
fn our_own_commitment_is_taken_with_its_second_stages() {
    for (form, owner) in FORMS.into_iter().flat_map(|form| SIDES.map(|side| (form, side))) {
        let mut world = World::new(form);
        let published = world.publish(owner);
        let claims = world.claims(owner, owner, false);
        assert_eq!(claims.len(), 1 + usize::from(form.has_anchors()));
        world.take_all(owner, &claims, std::slice::from_ref(&published));
        let (meaning, built) = world.commitment(owner);
        let terms = world.pair.setup.terms;
        let (mut outputs, mut parents) = (Vec::new(), vec![published]);
        for (stage, signature) in
            built.second_stages(&terms, &meaning).zip(world.signed[owner as usize].2.clone())
        {
            let is_paid = meaning.contracts[stage.contract].offered_by != owner;
            let secret = is_paid.then(|| PREIMAGE.to_vec());
            let fee = stage.spends.0 - stage.transaction.output[0].value.to_sat();
            let staged = Staged { contract: stage.contract, signature, secret };
            let signed = take_stages(&mut world, owner, vec![staged], fee);
            let outpoint = OutPoint { txid: signed.compute_txid(), vout: 0 };
            let at = At { number: meaning.number, point: meaning.point };
            let value = Sat(signed.output[0].value.to_sat());
            let what = Claimed::Delayed(at);
            outputs.push(Claim { outpoint, value, claimer: owner, what });
            parents.push(signed);
        }
        assert_eq!(outputs.len(), 3);
        world.take_all(owner, &outputs, &parents);
    }
}

fn take_stages(world: &mut World, side: Side, stages: Vec<Staged>, fee: u64) -> Transaction {
    let (meaning, built) = world.commitment(side);
    let terms = world.pair.setup.terms;
    let (coins, change, fee) = match terms.form {
        Form::StaticRemoteKey => (Vec::new(), None, Sat(fee)),
        Form::Anchors => (vec![coin(0, 9_000), coin(1, 700)], Some(place(2)), Sat(3_000)),
    };
    let ask = SignStages { stages: stages.clone(), coins: coins.clone(), change, fee };
    let op = ChannelOp::SignStages(Box::new(ask));
    let signatures = match ask_with(&mut world.pair, side, op) {
        Ok(ChannelAnswer::InputsSigned { signatures }) => signatures,
        Ok(_) => panic!("inputs are signed"),
        Err(no) => panic!("{no}"),
    };
    let coins = coins_of(side, &coins);
    let change = change.map(|place| script(side, place));
    let stages = Stages { stages, coins, change, fee };
    let unsigned = stages.build(&terms, &meaning, &built).expect("it was signed");
    run(&unsigned, &signatures)
}

#[test]
fn second_stages_of_one_lock_time_go_together() {
    let mut world = World::new(Form::Anchors);
    world.publish(Side::Opener);
    let (meaning, built) = world.commitment(Side::Opener);
    let terms = world.pair.setup.terms;
    let own = built.second_stages(&terms, &meaning).zip(world.signed[0].2.clone());
    let own = own.filter(|(it, _)| meaning.contracts[it.contract].offered_by == Side::Opener);
    let staged = |(it, signature): (tx::SecondStage, Signature)| Staged {
        contract: it.contract,
        signature,
        secret: None,
    };
    let stages: Vec<_> = own.map(staged).collect();
    assert_eq!(stages.len(), 2);
    let signed = take_stages(&mut world, Side::Opener, stages, 0);
    assert_eq!((signed.input.len(), signed.output.len()), (4, 3));
}

#[test]
fn of_the_peers_commitment_all_is_taken_that_is_ours() {
    for (form, owner) in FORMS.into_iter().flat_map(|form| SIDES.map(|side| (form, side))) {
        let mut world = World::new(form);
        let published = world.publish(owner);
        let claims = world.claims(owner, owner.other(), false);
        assert_eq!(claims.len(), 4 + usize::from(form.has_anchors()));
        world.take_all(owner.other(), &claims, &[published]);
    }
}

#[test]
fn of_a_revoked_commitment_all_is_taken() {
    for (form, owner) in FORMS.into_iter().flat_map(|form| SIDES.map(|side| (form, side))) {
        let mut world = World::new(form);
        let mut parents = vec![world.publish_unseen(owner)];
        world.go_on();
        let side = owner.other();
        let mut claims = world.claims(owner, side, true);
        assert_eq!(claims.len(), 5 + usize::from(form.has_anchors()));
        let (meaning, built) = world.commitment(owner);
        let at = At { number: meaning.number, point: meaning.point };
        for stage in built.second_stages(&world.pair.setup.terms, &meaning) {
            let outpoint = OutPoint { txid: stage.transaction.compute_txid(), vout: 0 };
            let value = Sat(stage.transaction.output[0].value.to_sat());
            let what = Claimed::RevokedDelayed(at);
            claims.push(Claim { outpoint, value, claimer: side, what });
            parents.push(stage.transaction);
        }
        assert_eq!(claims.len(), 8 + usize::from(form.has_anchors()));
        world.take_all(side, &claims, &parents);
    }
}

#[test]
fn what_the_peer_has_not_revoked_yet_is_taken_too_and_what_nobody_knows() {
    for (form, owner) in FORMS.into_iter().flat_map(|form| SIDES.map(|side| (form, side))) {
        let mut world = World::new(form);
        let (side, published) = (owner.other(), world.publish_unseen(owner));
        // The next one is signed, and the one before could still be published.
        let next = world.pair.meaning(owner, &[]);
        let next = Meaning { contracts: world.signed[owner as usize].0.contracts.clone(), ..next };
        let offered = |by| -> u64 {
            next.contracts.iter().filter(|it| it.offered_by == by).map(|it| it.amount.0).sum()
        };
        let next = Meaning {
            to_opener: Msat(next.to_opener.0 - offered(Side::Opener)),
            to_acceptor: Msat(next.to_acceptor.0 - offered(Side::Acceptor)),
            ..next.clone()
        };
        world.pair.sign(&next, &[]).unwrap_or_else(|no| panic!("{no}"));
        let claims = world.claims(owner, side, false);
        assert_eq!(claims.len(), 4 + usize::from(form.has_anchors()));
        world.take_all(side, &claims, std::slice::from_ref(&published));
        // Once it is revoked it can be taken as before.
        let mut world = World::new(form);
        world.go_on();
        world.take_all(side, &claims, &[published]);
        // Whoever has lost what came later still has its own balance.
        let lost = Meaning { number: CommitmentNumber(90), ..world.commitment(owner).0 };
        let terms = world.pair.setup.terms;
        let built = lost.build(&terms);
        let claims = built.claims(&terms, &lost, (side, false), &[]);
        let is_known = |it: &Claim| matches!(it.what, Claimed::ToRemote);
        let (known, unknown): (Vec<_>, Vec<_>) = claims.into_iter().partition(is_known);
        world.take_all(side, &known, std::slice::from_ref(&built.transaction));
        let contracts = unknown.iter().filter(|it| !matches!(it.what, Claimed::Anchor));
        for claim in contracts {
            let ask =
                asked(std::slice::from_ref(claim), std::slice::from_ref(&built.transaction), &[]);
            assert!(matches!(world.ask_claims(side, ask), Err(No::OutOfTurn { .. })));
        }
    }
}

impl World {
    /// A commitment that its owner has kept, to cheat with it.
    fn publish_unseen(&self, owner: Side) -> Transaction {
        self.commitment(owner).1.transaction
    }
}

#[test]
fn the_child_of_an_anchor_is_paid_by_coins() {
    for (owner, side) in SIDES.into_iter().flat_map(|owner| SIDES.map(|side| (owner, side))) {
        let mut world = World::new(Form::Anchors);
        let published = world.publish(owner);
        let is_anchor = |it: &Claim| matches!(it.what, Claimed::Anchor);
        let claims = world.claims(owner, side, false);
        let claims: Vec<_> = claims.into_iter().filter(is_anchor).collect();
        let mut ask = asked(&claims, &[published], &[coin(0, 90_000)]);
        // More than the anchor holds, and more than any fee may be: the commitment is at stake.
        ask.fee = Sat(40_000);
        let child = world.take(side, ask.clone());
        assert_eq!(child.output[0].value.to_sat(), 90_330 - 40_000);
        // A quarter of our 760,000 and of 30,000 more that are under way to us, or 200,000.
        let free = if side == Side::Opener { 710_000 } else { 170_000 };
        let stake = Sat(free + 120_000);
        let max = Sat(stake.0 / 4);
        let got = Sat(max.0 + 1);
        (ask.fee, ask.coins) = (got, vec![coin(0, 900_000)]);
        let no = world.ask_claims(side, ask.clone());
        assert_eq!(no, Err(No::End(EndFlaw::Fee { got, max, stake })));
        ask.fee = max;
        world.take(side, ask);
    }
}

/// A question of the acceptor's that is answered: a payment by its preimage and its balance.
struct Good {
    world: World,
    ask: SignClaims,
}

impl Good {
    fn new() -> Self {
        let mut world = World::new(Form::Anchors);
        let published = world.publish(Side::Opener);
        let mut claims = world.claims(Side::Opener, Side::Acceptor, false);
        claims.retain(|it| match &it.what {
            Claimed::Contract { secret, .. } => secret.is_some(),
            Claimed::ToRemote => true,
            Claimed::Anchor
            | Claimed::Delayed(_)
            | Claimed::RevokedDelayed(_)
            | Claimed::OwnContract { .. }
            | Claimed::RevokedContract { .. } => false,
        });
        claims.remove(0);
        let ask = asked(&claims, &[published], &[]);
        assert_eq!(claims.len(), 2);
        assert!(world.ask_claims(Side::Acceptor, ask.clone()).is_ok());
        Self { world, ask }
    }

    fn refused(&mut self, change: impl FnOnce(&mut SignClaims)) -> No {
        let mut ask = self.ask.clone();
        change(&mut ask);
        self.world.ask_claims(Side::Acceptor, ask).expect_err("it is refused")
    }
}

#[test]
fn claims_of_what_is_not_there_or_not_ours_are_refused() {
    let mut good = Good::new();
    let (paid, parents) = (good.ask.claims[0].clone(), good.ask.parents.len());
    let [zero, newest, next] = [0, 1, 2].map(CommitmentNumber);
    let point: Point = point_of(&paid).key().negate(SECP256K1).into();
    let at = |number| At { number, point };
    let (outpoint, value) = (paid.outpoint, paid.value);
    let elsewhere = OutPoint { vout: 90, ..outpoint };
    let more = Sat(value.0 + 1);
    let funding = good.world.pair.setup.terms.funding.outpoint;
    let there = |outpoint, got, have| EndFlaw::NotThere { outpoint, got, have };
    let turn = |number| No::OutOfTurn { number, newest: Some(newest), unrevoked: newest };
    let is = |it: &mut SignClaims, what| it.claims[0].what = what;
    let rows = [
        (
            good.refused(|it| it.claims[0].claimer = Side::Opener),
            No::End(EndFlaw::NotOurs { want: Side::Acceptor }),
        ),
        (
            good.refused(|it| it.parents.clear()),
            No::End(EndFlaw::NotShown { outpoint, shown: parents - 1 }),
        ),
        (
            good.refused(|it| it.parents = vec![it.parents[0].clone(); 971]),
            No::End(EndFlaw::Shown { got: 971, max: 970 }),
        ),
        (good.refused(|it| it.claims[0].value = more), No::End(there(outpoint, more, Some(value)))),
        (
            good.refused(|it| it.claims[0].outpoint = elsewhere),
            No::End(there(elsewhere, value, None)),
        ),
        (
            good.refused(|it| is(it, Claimed::RevokedDelayed(at(newest)))),
            No::End(EndFlaw::NotRevoked { number: newest, unrevoked: newest }),
        ),
        (
            good.refused(|it| is(it, Claimed::RevokedDelayed(at(zero)))),
            No::WrongPoint { number: zero },
        ),
        (
            good.refused(|it| set_at(&mut it.claims[0], at(newest))),
            No::WrongPoint { number: newest },
        ),
        (good.refused(|it| set_at(&mut it.claims[0], at(next))), turn(next)),
        (good.refused(|it| is(it, Claimed::Delayed(at(newest)))), No::End(EndFlaw::NotClosing)),
        (good.refused(|it| is(it, Claimed::Delayed(at(zero)))), turn(zero)),
        (
            good.refused(|it| it.claims[0].outpoint = funding),
            No::End(EndFlaw::Claim(ClaimFault::Funding { outpoint: funding })),
        ),
    ];
    for (at, (got, want)) in rows.into_iter().enumerate() {
        assert_eq!(got, want, "row {at}");
    }
}

#[test]
fn claims_that_could_cost_money_are_refused() {
    let mut good = Good::new();
    let values = [0, 1].map(|at: usize| good.ask.claims[at].value.0);
    // Three quarters of what the peer could take first, one of what nobody else can take.
    let (stake, max) = (Sat(values[0] + values[1]), Sat(values[0] * 3 / 4 + values[1] / 4));
    let got = Sat(max.0 + 1);
    let elsewhere = ScriptBuf::new_p2wsh(&ScriptBuf::new().wscript_hash());
    let short = ClaimFault::Short { spent: stake, fee: stake, min: Sat(330) };
    let many = ClaimFault::Inputs { got: 971, min: 1, max: 970 };
    let rows = [
        (good.refused(|it| it.fee = got), EndFlaw::Fee { got, max, stake }),
        (good.refused(|it| it.fee = stake), EndFlaw::Claim(short)),
        (good.refused(|it| it.to = Payee::Script(elsewhere)), EndFlaw::Destination { listed: 0 }),
        (
            good.refused(|it| it.to = Payee::Ours(place(10_001))),
            EndFlaw::Place { got: 10_001, max: 10_000 },
        ),
        (good.refused(|it| it.claims = vec![it.claims[0].clone(); 971]), EndFlaw::Claim(many)),
    ];
    for (at, (got, want)) in rows.into_iter().enumerate() {
        assert_eq!(got, No::End(want), "row {at}");
    }
    good.ask.fee = max;
    good.world.take(Side::Acceptor, good.ask.clone());
    // A coin that was far away allows places behind it.
    let far = SpendInput { place: place(3), ..coin(1, 5_000) };
    (good.ask.coins, good.ask.to) = (vec![far], Payee::Ours(place(10_003)));
    good.world.take(Side::Acceptor, good.ask.clone());
}

#[test]
fn a_contract_that_no_template_reads_is_not_claimed() {
    let Good { mut world, ask } = Good::new();
    let keys = crate::parties::seed(OZONE_12).channel_keys(Network::Regtest, NodeIndex::FIRST);
    world.pair.acceptor = Channels::new(keys, Templates::default());
    let setup = SetUp { side: Side::Acceptor, ..world.pair.setup.clone() };
    let op = ChannelOp::SetUp(Box::new(setup));
    assert!(ask_with(&mut world.pair, Side::Acceptor, op).is_ok());
    assert!(matches!(world.ask_claims(Side::Acceptor, ask), Err(No::Contract(_))));
}

fn set_at(claim: &mut Claim, to: At) {
    match &mut claim.what {
        Claimed::Contract { at, .. }
        | Claimed::OwnContract { at, .. }
        | Claimed::RevokedContract { at, .. } => *at = to,
        Claimed::Delayed(at) | Claimed::RevokedDelayed(at) => *at = to,
        Claimed::ToRemote | Claimed::Anchor => panic!("it stands nowhere"),
    }
}

fn point_of(claim: &Claim) -> Point {
    let Claimed::Contract { at, .. } = &claim.what else { panic!("it is a contract") };
    at.point
}

#[test]
fn what_was_not_signed_for_publication_is_not_taken() {
    let mut world = World::new(Form::Anchors);
    let side = Side::Opener;
    let not_closing = Some(No::End(EndFlaw::NotClosing));
    let unsigned = world.publish_unseen(side);
    let (meaning, _) = world.commitment(side);
    let (number, point, placed) = (meaning.number, meaning.point, meaning.contracts[0].clone());
    let own = |number| {
        let what =
            Claimed::OwnContract { at: At { number, point }, placed: placed.clone(), secret: None };
        let outpoint = OutPoint { txid: unsigned.compute_txid(), vout: 0 };
        Claim { outpoint, value: Sat(1), claimer: side, what }
    };
    for claim in world.claims(side, side, false).into_iter().chain([own(number)]) {
        let ask = asked(&[claim], std::slice::from_ref(&unsigned), &[coin(0, 5_000)]);
        assert_eq!(world.ask_claims(side, ask).err(), not_closing);
    }
    let old = asked(&[own(CommitmentNumber(number.0 - 1))], &[], &[]);
    let no = world.ask_claims(side, old).err();
    assert!(matches!(no, Some(No::OutOfTurn { .. })), "{no:?}");
    let stages = || {
        let stages = Vec::new();
        let ask = SignStages { stages, coins: vec![coin(0, 90_000)], change: None, fee: Sat(0) };
        ChannelOp::SignStages(Box::new(ask))
    };
    assert_eq!(ask_with(&mut world.pair, side, stages()).err(), not_closing);
    world.publish(side);
    // An HTLC has no way but its second stage.
    let no = world.ask_claims(side, asked(&[own(number)], &[], &[])).err();
    let no_way = ClaimFault::NoWay { kind: tx::HTLC, has_secret: false };
    assert_eq!(no, Some(No::End(EndFlaw::Claim(no_way))));
    let none = ClaimFault::Inputs { got: 0, min: 1, max: 970 };
    let no = ask_with(&mut world.pair, side, stages()).err();
    assert_eq!(no, Some(No::End(EndFlaw::Claim(none))));
}

#[test]
fn second_stages_cost_at_most_a_part_of_what_they_hold() {
    let mut world = World::new(Form::Anchors);
    world.publish(Side::Opener);
    let (meaning, built) = world.commitment(Side::Opener);
    let terms = world.pair.setup.terms;
    let own = |it: &tx::SecondStage| meaning.contracts[it.contract].offered_by == Side::Opener;
    let stage = built.second_stages(&terms, &meaning).find(own).expect("there are two");
    let signature = world.signed[0].2[0];
    let staged = Staged { contract: stage.contract, signature, secret: None };
    let stake = stage.spends;
    let max = Sat(stake.0 * 3 / 4);
    for (fee, change, want) in [
        (max, place(5), None),
        (Sat(max.0 + 1), place(5), Some(EndFlaw::Fee { got: Sat(max.0 + 1), max, stake })),
        (max, place(10_001), Some(EndFlaw::Place { got: 10_001, max: 10_000 })),
    ] {
        let (stages, coins) = (vec![staged.clone()], vec![coin(0, 90_000)]);
        let ask = SignStages { stages, coins, change: Some(change), fee };
        let no = ask_with(&mut world.pair, Side::Opener, ChannelOp::SignStages(Box::new(ask)));
        assert_eq!(no.err(), want.map(No::End));
    }
}

#[test]
fn no_answer_to_a_claim_is_good_for_the_funding() {
    // Whatever input of the same transaction is said to be the funding, and for the commitments.
    let mut world = World::new(Form::Anchors);
    let published = world.publish(Side::Opener);
    let claims = world.claims(Side::Opener, Side::Acceptor, false);
    assert!(claims.iter().any(|it| matches!(it.what, Claimed::Anchor)));
    let ask = asked(&claims, &[published], &[]);
    let spend = world.take(Side::Acceptor, ask.clone());
    let terms = world.pair.setup.terms;
    let (code, value) = (tx::funding(&terms), Amount::from_sat(terms.funding.value.0));
    let mut digests: Vec<_> = SIDES.map(|it| world.commitment(it).1.digest(&terms)).to_vec();
    for input in 0..spend.input.len() {
        let mut other = spend.clone();
        for outpoint in [other.input[input].previous_output, terms.funding.outpoint] {
            other.input[input].previous_output = outpoint;
            let mut cache = SighashCache::new(&other);
            let hash = cache.p2wsh_signature_hash(input, &code, value, EcdsaSighashType::All);
            digests.push(hash.expect("there is such an input").to_byte_array());
        }
    }
    for signature in world.ask_claims(Side::Acceptor, ask).expect("they are ours") {
        let InputSignature::Channel(signature) = signature else { panic!("no coins") };
        for digest in &digests {
            let (message, key) = (Message::from_digest(*digest), terms.acceptor.funding_key);
            let is_good = SECP256K1.verify_ecdsa(&message, &signature.ecdsa(), key.key());
            assert!(is_good.is_err());
        }
    }
}

#[test]
fn without_a_wallet_nothing_is_taken() {
    let mut world = World::new(Form::Anchors);
    let op = ChannelOp::SignClaims(Box::new(asked(&[], &[], &[])));
    let ask = ChannelAsk { channel: CHANNEL, op };
    let no = world.pair.of(Side::Opener).decide(&ask).err();
    assert_eq!(no, Some(No::End(EndFlaw::NoWallet)));
}
