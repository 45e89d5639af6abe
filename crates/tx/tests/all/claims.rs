//! Everything that one side can take on chain, run by Bitcoin Core's interpreter.

use std::sync::Arc;

use bitcoin::{
    OutPoint, ScriptBuf, Sequence, Transaction, Txid, hashes::Hash as _, hashes::sha256,
    key::TapTweak,
};
use devnet::ledger::verify;
use secp256k1::{Keypair, Message, SECP256K1, SecretKey};
use tx::{
    At, Basepoints, Claim, ClaimFault, Claimed, Coin, Commitment, Form, Funding, Htlc,
    InputSignature, Meaning, Party, Placed, Purpose, Side, SigningKey, Staged, Stages, Sweep,
    Terms, Unsigned, derived_secret, revocation_secret,
};
use wire::amount::{BlockHeight, CsvDelay, FeeratePerKw, LockTime, Msat, Sat};
use wire::id::{CommitmentNumber, PaymentHash};
use wire::key::{Point, Signature};

const FORMS: [Form; 2] = [Form::StaticRemoteKey, Form::Anchors];
const SIDES: [Side; 2] = [Side::Opener, Side::Acceptor];
/// Of all HTLCs that the opener offers; the acceptor's have another one.
const PREIMAGE: [u8; 32] = [9; 32];
const EXPIRY: u32 = 600;
/// A signature is one byte shorter in a half of all cases, and seldom more; so many inputs' worth.
const SLACK_WU: u64 = 3;

/// One side's secrets: a byte each.
fn secret(side: Side, of: u8) -> SecretKey {
    SecretKey::from_slice(&[side as u8 * 16 + of; 32]).expect("a scalar")
}

fn point_of(secret: &SecretKey) -> Point {
    secret.public_key(SECP256K1).into()
}

fn per_commitment(owner: Side) -> SecretKey {
    secret(owner, 7)
}

fn party(side: Side) -> Party {
    let point = |of| point_of(&secret(side, of));
    Party {
        funding_key: point(1),
        keys: Basepoints {
            revocation: point(2),
            payment: point(3),
            delayed_payment: point(4),
            htlc: point(5),
        },
        dust_limit: Sat(354),
        delay: CsvDelay(if side == Side::Opener { 144 } else { 1_008 }),
    }
}

fn htlc(offered_by: Side, sat: u64, expiry: u32) -> Placed {
    let preimage = preimage(offered_by);
    let payment_hash = PaymentHash(sha256::Hash::hash(&preimage).to_byte_array());
    let contract = Htlc { payment_hash, cltv_expiry: BlockHeight(expiry) };
    Placed { offered_by, amount: Msat(sat * 1_000), contract: Arc::new(contract) }
}

fn preimage(offered_by: Side) -> [u8; 32] {
    [PREIMAGE[0] + offered_by as u8; 32]
}

/// A commitment with two contracts each way.
struct World {
    terms: Terms,
    meaning: Meaning,
    built: Commitment,
}

impl World {
    fn new(form: Form, owner: Side) -> Self {
        let outpoint = OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 1 };
        let terms = Terms {
            form,
            funding: Funding { outpoint, value: Sat(1_000_000) },
            opener: party(Side::Opener),
            acceptor: party(Side::Acceptor),
        };
        let contracts = vec![
            htlc(Side::Opener, 50_000, EXPIRY),
            htlc(Side::Opener, 40_000, EXPIRY),
            htlc(Side::Acceptor, 30_000, EXPIRY + 1),
            htlc(Side::Acceptor, 20_000, EXPIRY + 1),
        ];
        let meaning = Meaning {
            owner,
            number: CommitmentNumber(3),
            point: point_of(&per_commitment(owner)),
            feerate: FeeratePerKw(1_000),
            to_opener: Msat(600_000_000),
            to_acceptor: Msat(260_000_000),
            contracts,
        };
        let built = meaning.build(&terms);
        Self { terms, meaning, built }
    }

    fn at(&self) -> At {
        At { number: self.meaning.number, point: self.meaning.point }
    }

    fn claims(&self, claimer: Side, is_revoked: bool, secrets: &[Vec<u8>]) -> Vec<Claim> {
        self.built.claims(&self.terms, &self.meaning, (claimer, is_revoked), secrets)
    }

    fn sweep(&self, claims: Vec<Claim>, coins: Vec<Coin>) -> Sweep {
        let (fee, lock_time) = (Sat(300), LockTime(0));
        Sweep { claims, coins, pays_to: wallet_script(), fee, lock_time }
    }

    /// The peer's part of second stages, all that are of this side's payments.
    fn staged(&self, offered_by: Side) -> Vec<Staged> {
        let other = self.meaning.owner.other();
        let htlc = derived_secret(&secret(other, 5), &self.meaning.point);
        let stages = self.built.second_stages(&self.terms, &self.meaning);
        let of =
            |it: &tx::SecondStage| self.meaning.contracts[it.contract].offered_by == offered_by;
        let staged = |it: tx::SecondStage| Staged {
            contract: it.contract,
            signature: ecdsa(it.digest(it.other_sighash), &htlc),
            secret: (offered_by == other).then(|| preimage(offered_by).to_vec()),
        };
        stages.filter(of).map(staged).collect()
    }
}

/// The wallet of everybody.
fn wallet() -> Keypair {
    secret(Side::Opener, 15).keypair(SECP256K1)
}

fn wallet_script() -> ScriptBuf {
    ScriptBuf::new_p2tr(SECP256K1, wallet().x_only_public_key().0, None)
}

fn coin(vout: u32, value: u64) -> Coin {
    let outpoint = OutPoint { txid: Txid::from_byte_array([6; 32]), vout };
    let (script, sequence) = (wallet_script(), Sequence::ENABLE_RBF_NO_LOCKTIME);
    Coin { outpoint, value: Sat(value), script, sequence }
}

fn ecdsa(digest: [u8; 32], key: &SecretKey) -> Signature {
    SECP256K1.sign_ecdsa(&Message::from_digest(digest), key).into()
}

fn signatures(unsigned: &Unsigned, side: Side) -> Vec<InputSignature> {
    let key = |key: &SigningKey| match key {
        SigningKey::Delayed(at) => derived_secret(&secret(side, 4), &at.point),
        SigningKey::Payment => secret(side, 3),
        SigningKey::Contract(at) => derived_secret(&secret(side, 5), &at.point),
        SigningKey::Revocation(_) => {
            revocation_secret(&secret(side, 2), &per_commitment(side.other()))
        }
        SigningKey::Funding => secret(side, 1),
    };
    let sign = |(input, digest): (usize, &[u8; 32])| match unsigned.locks.get(input) {
        Some(lock) => InputSignature::Channel(ecdsa(*digest, &key(&lock.key))),
        None => {
            let key = wallet().tap_tweak(SECP256K1, None).to_keypair();
            let message = Message::from_digest(*digest);
            InputSignature::Coin(SECP256K1.sign_schnorr_no_aux_rand(&message, &key))
        }
    };
    unsigned.digests().iter().enumerate().map(sign).collect()
}

/// Signs it; the kernel takes it, and it weighs what was said.
fn run(unsigned: &Unsigned, side: Side) -> Transaction {
    let signed = unsigned.signed(&signatures(unsigned, side));
    let signed = signed.unwrap_or_else(|fault| panic!("{fault}"));
    if let Err(fault) = verify(&signed, &unsigned.spent()) {
        panic!("{fault:?}: {unsigned:#?}");
    }
    let (max, is) = (unsigned.weight_max(), signed.weight().to_wu());
    let inputs = unsigned.locks.len() as u64;
    assert!(is <= max && max - is <= SLACK_WU * inputs, "{is} of {max}, {inputs} inputs");
    signed
}

fn built(sweep: &Sweep, terms: &Terms) -> Unsigned {
    let unsigned = sweep.build(terms).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(sweep.weight_max(terms), Ok(unsigned.weight_max()));
    assert_eq!(unsigned.fee(), sweep.fee);
    unsigned
}

/// Every claim alone, all of them together, and all of them with a coin.
fn run_all(world: &World, side: Side, claims: Vec<Claim>) {
    for claim in &claims {
        if matches!(claim.what, Claimed::Anchor) {
            continue; // It does not hold its own fee.
        }
        run(&built(&world.sweep(vec![claim.clone()], Vec::new()), &world.terms), side);
    }
    run(&built(&world.sweep(claims.clone(), Vec::new()), &world.terms), side);
    run(&built(&world.sweep(claims, vec![coin(0, 9_000), coin(1, 8_000)]), &world.terms), side);
}

#[test]
fn each_side_takes_what_is_its_own() {
    for (form, owner) in FORMS.into_iter().flat_map(|form| SIDES.map(|side| (form, side))) {
        let world = World::new(form, owner);
        let anchors = usize::from(form.has_anchors());
        let own = world.claims(owner, false, &[]);
        assert_eq!(own.len(), 1 + anchors);
        run_all(&world, owner, own);
        // The other: its balance, its anchor, its own payments after their time, and with the
        // preimage what is paid to it.
        let other = owner.other();
        let timed = world.claims(other, false, &[]);
        assert_eq!(timed.len(), 3 + anchors);
        let swept = built(&world.sweep(timed.clone(), Vec::new()), &world.terms);
        let expiry = if other == Side::Opener { EXPIRY } else { EXPIRY + 1 };
        assert_eq!(swept.transaction.lock_time.to_consensus_u32(), expiry);
        run_all(&world, other, timed);
        // That the preimages of its own payments are known does not keep it from them.
        let secrets = [preimage(other).to_vec(), preimage(owner).to_vec()];
        let all = world.claims(other, false, &secrets);
        assert_eq!(all.len(), 5 + anchors);
        run_all(&world, other, all);
    }
}

#[test]
fn what_was_revoked_is_taken_whole() {
    for (form, owner) in FORMS.into_iter().flat_map(|form| SIDES.map(|side| (form, side))) {
        let world = World::new(form, owner);
        let mut claims = world.claims(owner.other(), true, &[]);
        assert_eq!(claims.len(), 6 + usize::from(form.has_anchors()));
        // And what its second stages pay.
        for stage in world.built.second_stages(&world.terms, &world.meaning) {
            let outpoint = OutPoint { txid: stage.transaction.compute_txid(), vout: 0 };
            let value = Sat(stage.transaction.output[0].value.to_sat());
            let (claimer, what) = (owner.other(), Claimed::RevokedDelayed(world.at()));
            claims.push(Claim { outpoint, value, claimer, what });
        }
        assert_eq!(claims.len(), 10 + usize::from(form.has_anchors()));
        run_all(&world, owner.other(), claims);
    }
}

#[test]
fn second_stages_are_completed_and_their_outputs_taken() {
    for (form, owner) in FORMS.into_iter().flat_map(|form| SIDES.map(|side| (form, side))) {
        let world = World::new(form, owner);
        for offered_by in SIDES {
            let staged = world.staged(offered_by);
            assert_eq!(staged.len(), 2);
            let groups: Vec<Vec<Staged>> = match form {
                Form::StaticRemoteKey => staged.into_iter().map(|it| vec![it]).collect(),
                Form::Anchors => vec![vec![staged[0].clone()], staged],
            };
            for stages in groups {
                check_stages(&world, stages);
            }
        }
    }
}

fn check_stages(world: &World, stages: Vec<Staged>) {
    let World { terms, meaning, built: commitment } = world;
    let (coins, change, fee) = match terms.form {
        Form::StaticRemoteKey => {
            let stage = commitment.second_stages(terms, meaning);
            let mut stage = stage.filter(|it| it.contract == stages[0].contract);
            let stage = stage.next().expect("it has one");
            let fee = stage.spends.0 - stage.transaction.output[0].value.to_sat();
            (Vec::new(), None, Sat(fee))
        }
        Form::Anchors => (vec![coin(0, 9_000), coin(1, 400)], Some(wallet_script()), Sat(700)),
    };
    let count = stages.len();
    let stages = Stages { stages, coins, change, fee };
    let unsigned = stages.build(terms, meaning, commitment);
    let unsigned = unsigned.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(stages.weight_max(terms, meaning, commitment), Ok(unsigned.weight_max()));
    assert_eq!(unsigned.fee(), fee);
    let signed = run(&unsigned, meaning.owner);
    assert_eq!(signed.output.len(), count + stages.change.iter().len());
    for (vout, output) in (0..).zip(&signed.output[..count]) {
        let outpoint = OutPoint { txid: signed.compute_txid(), vout };
        let value = Sat(output.value.to_sat());
        let what = Claimed::Delayed(world.at());
        let claim = Claim { outpoint, value, claimer: meaning.owner, what };
        let lock = claim.lock(terms).expect("it is the owner's");
        assert_eq!(lock.spent, *output);
        run(&built(&world.sweep(vec![claim], Vec::new()), terms), meaning.owner);
    }
}

#[test]
fn the_child_of_an_anchor_pays_with_coins() {
    for side in SIDES {
        let world = World::new(Form::Anchors, Side::Opener);
        let anchor = |it: &Claim| matches!(it.what, Claimed::Anchor);
        let claims: Vec<_> = world.claims(side, false, &[]).into_iter().filter(anchor).collect();
        assert_eq!(claims.len(), 1);
        let mut sweep = world.sweep(claims, vec![coin(0, 50_000)]);
        sweep.fee = Sat(20_000);
        let child = run(&built(&sweep, &world.terms), side);
        assert_eq!(child.output[0].value.to_sat(), 50_330 - 20_000);
        let vout = child.input[0].previous_output.vout as usize;
        assert_eq!(world.built.outputs[vout].purpose, Purpose::Anchor(side));
    }
}

#[test]
fn what_cannot_be_claimed_is_refused() {
    let world = World::new(Form::Anchors, Side::Opener);
    let terms = &world.terms;
    let claims = || world.claims(Side::Acceptor, true, &[]);
    let refused = |change: &dyn Fn(&mut Sweep)| {
        let mut sweep = world.sweep(claims(), Vec::new());
        change(&mut sweep);
        sweep.build(terms).expect_err("it is refused")
    };
    let spent = Sat(claims().iter().map(|it| it.value.0).sum());
    let (min, max) = (Sat(330), Sat::MAX_MONEY);
    let fee = Sat(spent.0 - 329);
    assert_eq!(refused(&|it| it.fee = fee), ClaimFault::Short { spent, fee, min });
    let fee = Sat(u64::MAX);
    assert_eq!(refused(&|it| it.fee = fee), ClaimFault::Short { spent, fee, min });
    let inputs = |got| ClaimFault::Inputs { got, min: 1, max: 970 };
    assert_eq!(refused(&|it| it.claims.clear()), inputs(0));
    let coins: Vec<_> = (0..971).map(|vout| coin(vout, 400)).collect();
    assert_eq!(refused(&|it| it.coins = coins.clone()), inputs(971 + claims().len()));
    let outpoint = claims()[0].outpoint;
    assert_eq!(refused(&|it| it.claims.push(claims().remove(0))), ClaimFault::Twice { outpoint });
    let got = Sat(u64::MAX);
    assert_eq!(refused(&|it| it.claims[0].value = got), ClaimFault::TooMuch { got, max });
    let outpoint = terms.funding.outpoint;
    let of_funding = refused(&|it| it.claims[0].outpoint = outpoint);
    assert_eq!(of_funding, ClaimFault::Funding { outpoint });
    let outpoint = coin(0, 1).outpoint;
    let other = Coin { script: ScriptBuf::new(), ..coin(0, 1_000) };
    let not_taproot = refused(&|it| it.coins = vec![other.clone()]);
    assert_eq!(not_taproot, ClaimFault::NotTaproot { outpoint });
    let waits = Coin { sequence: Sequence(6), ..coin(0, 1_000) };
    let waits = refused(&|it| it.coins = vec![waits.clone()]);
    assert_eq!(waits, ClaimFault::Waits { outpoint, got: 6, min: 1 << 31 });
    // Without the preimage nobody takes what is paid to him, nor with another one.
    let placed = htlc(Side::Opener, 50_000, EXPIRY);
    for secret in [None, Some(vec![8; 32]), Some(vec![9; 31])] {
        let has_secret = secret.is_some();
        let what = Claimed::Contract { at: world.at(), placed: placed.clone(), secret };
        let no_way = refused(&|it| it.claims[0].what = what.clone());
        assert_eq!(no_way, ClaimFault::NoWay { kind: tx::HTLC, has_secret });
    }
    let placed = htlc(Side::Acceptor, 50_000, EXPIRY);
    let timed = Claimed::Contract { at: world.at(), placed, secret: None };
    let (got, want) = (LockTime(500_000_000), LockTime(EXPIRY));
    let mixed = refused(&|it| (it.claims[0].what, it.lock_time) = (timed.clone(), got));
    assert_eq!(mixed, ClaimFault::LockTimes { got, want });
}

/// BOLT 5: "Thus, 483 bidirectional HTLCs (containing both `to_local` and `to_remote` outputs) can
/// be resolved in a single penalty transaction."
#[test]
fn as_many_contracts_as_there_may_be_are_punished_at_once() {
    for form in FORMS {
        let mut world = World::new(form, Side::Opener);
        let many = |side: Side| (0..483).map(move |at| htlc(side, 1_200, EXPIRY + at));
        world.terms.funding.value = Sat(3_000_000);
        world.meaning.contracts = SIDES.into_iter().flat_map(many).collect();
        world.built = world.meaning.build(&world.terms);
        let claims = world.claims(Side::Acceptor, true, &[]);
        assert_eq!(claims.len(), 968 + usize::from(form.has_anchors()));
        run(&built(&world.sweep(claims.clone(), Vec::new()), &world.terms), Side::Acceptor);
        if form == Form::StaticRemoteKey {
            continue;
        }
        // Of the heaviest kind, with anchors, there cannot be as many.
        let is_heavy = |it: &&Claim| match &it.what {
            Claimed::RevokedContract { placed, .. } => placed.offered_by == Side::Acceptor,
            Claimed::Delayed(_)
            | Claimed::ToRemote
            | Claimed::Anchor
            | Claimed::Contract { .. }
            | Claimed::OwnContract { .. }
            | Claimed::RevokedDelayed(_) => false,
        };
        let heavy = claims.iter().find(is_heavy).expect("there are many");
        let at = |vout| OutPoint { vout, ..heavy.outpoint };
        let many = (0..970).map(|vout| Claim { outpoint: at(vout), ..heavy.clone() });
        let sweep = world.sweep(many.collect(), Vec::new()).build(&world.terms);
        let max = 400_000;
        assert!(matches!(sweep, Err(ClaimFault::Weight { got, max: of }) if got > of && of == max));
    }
}

#[test]
fn signatures_that_do_not_fit_complete_nothing() {
    let world = World::new(Form::Anchors, Side::Opener);
    let claims = world.claims(Side::Acceptor, true, &[]);
    let unsigned = built(&world.sweep(claims, vec![coin(0, 1_000)]), &world.terms);
    let good = signatures(&unsigned, Side::Acceptor);
    let of = good.len();
    let short = unsigned.signed(&good[1..]);
    assert_eq!(short, Err(ClaimFault::Signatures { got: of - 1, want: of }));
    for input in 1..of {
        let mut swapped = good.clone();
        swapped[input] = good[(input + 1) % of];
        let bad = ClaimFault::BadSignature { input, of };
        assert_eq!(unsigned.signed(&swapped), Err(bad));
    }
    assert!(unsigned.signed(&good).is_ok());
}

#[test]
fn second_stages_that_the_peer_has_not_signed_so_are_refused() {
    let world = World::new(Form::Anchors, Side::Opener);
    let World { terms, meaning, built } = &world;
    let [own, others] = SIDES.map(|side| world.staged(side));
    let build = |stages: Vec<Staged>, coins: Vec<Coin>, fee| {
        let change = Some(wallet_script());
        let stages = Stages { stages, coins, change, fee: Sat(fee) };
        stages.build(terms, meaning, built).err()
    };
    let coins = || vec![coin(0, 1_000)];
    let mixed = vec![own[0].clone(), others[0].clone()];
    let (got, want) = (LockTime(0), LockTime(EXPIRY));
    assert_eq!(build(mixed, coins(), 500), Some(ClaimFault::LockTimes { got, want }));
    let alien = Staged { contract: 4, ..own[0].clone() };
    let no_stage = ClaimFault::NoStage { contract: 4, of: 4 };
    assert_eq!(build(vec![alien], coins(), 500), Some(no_stage));
    let unpaid = Staged { secret: None, ..others[0].clone() };
    let no_way = ClaimFault::NoWay { kind: tx::HTLC, has_secret: false };
    assert_eq!(build(vec![unpaid], coins(), 500), Some(no_way));
    let short = ClaimFault::Short { spent: Sat(1_000), fee: Sat(671), min: Sat(330) };
    assert_eq!(build(own.clone(), coins(), 671), Some(short));
    assert_eq!(build(own.clone(), coins(), 670), None);
    let none = ClaimFault::Short { spent: Sat(0), fee: Sat(0), min: Sat(330) };
    assert_eq!(build(own.clone(), Vec::new(), 0), Some(none));
    // Without anchors each is what it is.
    let world = World::new(Form::StaticRemoteKey, Side::Opener);
    let World { terms, meaning, built } = &world;
    let own = world.staged(Side::Opener);
    let build = |stages: &[Staged], coins: Vec<Coin>, fee| {
        let stages = Stages { stages: stages.to_vec(), coins, change: None, fee: Sat(fee) };
        stages.build(terms, meaning, built).err()
    };
    let inputs = Some(ClaimFault::Inputs { got: 2, min: 1, max: 1 });
    assert_eq!(build(&own, Vec::new(), 663), inputs);
    assert_eq!(build(&own[..1], coins(), 663), inputs);
    let fee = ClaimFault::Fee { got: Sat(662), want: Sat(663) };
    assert_eq!(build(&own[..1], Vec::new(), 662), Some(fee));
    assert_eq!(build(&own[..1], Vec::new(), 663), None);
}
