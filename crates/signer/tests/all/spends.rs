//! Spends: signed as `bitcoin` itself verifies them, and every rule broken once.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TapSighashType, Txid};
use secp256k1::{Message, SECP256K1, XOnlyPublicKey};
use signer::{
    Account, Answer, Ask, Branch, Destinations, FEE_RATE_SAT_PER_VB_MAX, LinkId, PLACE_STEP_MAX,
    Payee, Policy, Refusal, SPEND_INPUTS_MAX, SPEND_OUTPUTS_MAX, Signer, Spend, SpendFlaw,
    SpendInput, SpendOutput, UnsignedFault,
};
use wire::dice::Dice;
use wire::tick::Tick;

use crate::accounts::place;
use crate::parties::{ask_over_bytes, bob, ephemeral, wallet_key};
use crate::vectors::OZONE_12;

const LINK: LinkId = LinkId(3);

/// [`plain`] as it travels.
pub const PLAIN: &str = "0109 0204 00000002 0404 00000007 066a \
    0101010101010101010101010101010101010101010101010101010101010101 00000001 \
    000000000000c350 00 00000000 fffffffd \
    0202020202020202020202020202020202020202020202020202020202020202 00000002 \
    0000000000007530 01 00000003 fffffffd \
    083b 000000000000ea60 01 0022 \
    51201111111111111111111111111111111111111111111111111111111111111111 \
    0000000000004a38 00 01 00000004 0a01 00";
pub const OZONE_ACCOUNT: &str = "010f 024e \
    043587cf036464b559800000005d305ded9fc30d8527a1bef21a49e4e13f70ea179bddfb387e3f \
    c8430303a5e90380b5872a988d30bd62c65e9890f320bbb176a2956711a979b9add2651f164dea 0404 a07d432c";

pub fn coin(number: u8) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([number; 32]), vout: number.into() }
}

pub fn stranger(number: u8) -> ScriptBuf {
    ScriptBuf::from_bytes([&[0x51, 0x20][..], &[number; 32]].concat())
}

fn input(number: u8, sat: u64, branch: Branch, index: u32) -> SpendInput {
    SpendInput {
        outpoint: coin(number),
        amount: Amount::from_sat(sat),
        place: place(branch, index),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
    }
}

fn pay(sat: u64, to: Payee) -> SpendOutput {
    SpendOutput { amount: Amount::from_sat(sat), to }
}

/// Two coins, a payment, change, and a fee of 1,000.
pub fn plain() -> Spend {
    Spend {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(7),
        inputs: vec![input(1, 50_000, Branch::Receive, 0), input(2, 30_000, Branch::Change, 3)],
        outputs: vec![
            pay(60_000, Payee::Script(stranger(0x11))),
            pay(19_000, Payee::Ours(place(Branch::Change, 4))),
        ],
        allow_high_fee: false,
    }
}

/// As much of everything as there may be.
pub fn longest() -> Spend {
    let one = |number: usize| SpendInput {
        outpoint: OutPoint { vout: u32::try_from(number).unwrap(), ..coin(9) },
        ..input(9, 100_000, Branch::Receive, 1)
    };
    let script = ScriptBuf::from_bytes(vec![0x51; signer::SCRIPT_BYTES_MAX]);
    Spend {
        inputs: (0..SPEND_INPUTS_MAX).map(one).collect(),
        outputs: vec![pay(99_000, Payee::Script(script)); SPEND_OUTPUTS_MAX],
        ..plain()
    }
}

/// Every flaw, with numbers that are told apart.
pub fn flaws() -> impl Iterator<Item = SpendFlaw> {
    let (one, two, three) = (Amount::from_sat(1), Amount::from_sat(2), Amount::from_sat(3));
    let flaws = [
        SpendFlaw::Inputs { got: 1, min: 2, max: 3 },
        SpendFlaw::Outputs { got: 1, min: 2, max: 3 },
        SpendFlaw::Version { got: u32::MAX, want: 2 },
        SpendFlaw::LockTime { got: 1, times_from: 2 },
        SpendFlaw::Sequence { input: 1, got: 2, min: 3 },
        SpendFlaw::Twice { outpoint: coin(5) },
        SpendFlaw::TooMuch { got: Amount::from_sat(u64::MAX), max: two },
        SpendFlaw::ScriptLength { output: 1, got: 2, max: 3 },
        SpendFlaw::Burned { output: 1, got: two },
        SpendFlaw::Dust { output: 1, got: two, min: three },
        SpendFlaw::Short { inputs: one, outputs: two },
        SpendFlaw::FeeRate { fee: one, got_sat_per_vb: 2, max_sat_per_vb: 3 },
        SpendFlaw::FeeShare { fee: one, max: two, moved: three },
        SpendFlaw::Destination { output: 1, listed: 2 },
        SpendFlaw::ConsolidationFee { fee: one, max: two, moved: three },
        SpendFlaw::Place { output: 1, got: 2, max: 3 },
        SpendFlaw::Uncommitted { output: 3 },
    ];
    flaws.into_iter()
}

pub fn ask(signer: &mut Signer, spend: &Spend) -> Answer {
    signer.answer(LINK, Ask::SignSpend { spend: spend.clone() }, Tick(0), || ephemeral(1))
}

/// A signer whose owner lets its node ask for high fees.
fn trusting() -> Signer {
    bob().with_policy(Policy { high_fees: true, ..Policy::default() })
}

fn flaw(signer: &mut Signer, spend: &Spend) -> SpendFlaw {
    let answer = ask(signer, spend);
    let Answer::Refused(Refusal::Spend(flaw)) = answer else { panic!("{}", answer.name()) };
    flaw
}

fn signed(signer: &mut Signer, spend: &Spend) -> Vec<secp256k1::schnorr::Signature> {
    let ask = Ask::SignSpend { spend: spend.clone() };
    let answer = ask_over_bytes(signer, LINK, &ask, 0, 1);
    if let Answer::Refused(refusal) = &answer {
        panic!("{refusal}");
    }
    let name = answer.name();
    let Answer::SpendSigned { signatures } = answer else { panic!("{name}") };
    signatures
}

fn account() -> Account {
    *wallet_key(OZONE_12).account()
}

fn random(dice: &mut Dice) -> Spend {
    let mut spend = plain();
    spend.inputs = (0..=dice.below(5))
        .map(|number| {
            let index = dice.below(1_000_000) as u32;
            let branch = Branch::ALL[dice.below(2)];
            input(number as u8, 20_000 + dice.below(1_000_000) as u64, branch, index)
        })
        .collect();
    let total: u64 = spend.inputs.iter().map(|input| input.amount.to_sat()).sum();
    let (fee, first) = (200 + dice.below(5_000) as u64, 330 + dice.below(14_000) as u64);
    spend.outputs = vec![
        pay(first, Payee::Script(stranger(dice.throw() as u8))),
        pay(total - fee - first, Payee::Ours(place(Branch::Change, dice.below(9_000) as u32))),
    ];
    spend
}

/// What nobody here wrote says so: `bitcoin`'s own hash, and the key in the output that is spent.
#[test]
fn a_signature_is_one_of_taproot() {
    let (mut bob, mut dice) = (bob(), Dice::new(3));
    for _ in 0..40 {
        let spend = random(&mut dice);
        let signatures = signed(&mut bob, &spend);
        let transaction = spend.signed(&account(), &signatures).unwrap();
        let prevouts = spend.prevouts(&account());
        let mut cache = SighashCache::new(&transaction);
        for (at, input) in transaction.input.iter().enumerate() {
            let [signature] = input.witness.to_vec().try_into().unwrap();
            let signature = bitcoin::taproot::Signature::from_slice(&signature).unwrap();
            assert_eq!(signature.sighash_type, TapSighashType::Default);
            let hash = cache
                .taproot_key_spend_signature_hash(
                    at,
                    &Prevouts::All(&prevouts),
                    TapSighashType::Default,
                )
                .unwrap();
            let script = prevouts[at].script_pubkey.to_bytes();
            let key = XOnlyPublicKey::from_slice(&script[2..]).unwrap();
            let message = Message::from_digest(hash.to_byte_array());
            SECP256K1.verify_schnorr(&signature.signature, &message, &key).unwrap();
        }
        assert_eq!(transaction.weight(), spend.weight());
    }
}

#[test]
fn the_same_question_gets_the_same_answer() {
    let spend = plain();
    let first = signed(&mut bob(), &spend);
    let mut bob = bob();
    assert_eq!(signed(&mut bob, &spend), first);
    assert_eq!(signed(&mut bob, &spend), first);
    let other = Spend { lock_time: LockTime::from_consensus(8), ..spend };
    assert_ne!(signed(&mut bob, &other)[0], first[0]);
}

#[test]
fn signatures_that_do_not_fit_are_refused() {
    let spend = plain();
    let signatures = signed(&mut bob(), &spend);
    let complete = |signatures: &[_]| spend.signed(&account(), signatures).unwrap_err();
    assert_eq!(complete(&signatures[..1]), UnsignedFault::Count { got: 1, want: 2 });
    let swapped = [signatures[1], signatures[0]];
    assert_eq!(complete(&swapped), UnsignedFault::Signature { input: 0, of: 2 });
    let twice = [signatures[0], signatures[0]];
    assert_eq!(complete(&twice), UnsignedFault::Signature { input: 1, of: 2 });
    // A wrong amount, as somebody who wants a fee to be overlooked would name it.
    let mut lie = plain();
    lie.inputs[0].amount = Amount::from_sat(49_000);
    let fault = spend.signed(&account(), &signed(&mut bob(), &lie)).unwrap_err();
    assert_eq!(fault, UnsignedFault::Signature { input: 0, of: 2 });
}

#[test]
fn every_rule_of_form_is_kept() {
    let mut bob = bob();
    let mut refused = |change: &dyn Fn(&mut Spend), want: SpendFlaw| {
        let mut spend = plain();
        change(&mut spend);
        assert_eq!(flaw(&mut bob, &spend), want);
    };
    let (min, max) = (1, 250);
    refused(&|spend| spend.inputs.clear(), SpendFlaw::Inputs { got: 0, min, max });
    refused(&|spend| spend.outputs.clear(), SpendFlaw::Outputs { got: 0, min, max });
    let more = |spend: &mut Spend| {
        *spend = longest();
        spend.inputs.push(input(1, 5_000, Branch::Receive, 1));
    };
    refused(&more, SpendFlaw::Inputs { got: 251, min, max });
    let more = |spend: &mut Spend| spend.outputs = vec![spend.outputs[0].clone(); 251];
    refused(&more, SpendFlaw::Outputs { got: 251, min, max });
    for version in [0, 1, 3, -1] {
        let got = version as u32;
        let want = SpendFlaw::Version { got, want: 2 };
        refused(&|spend| spend.version = Version(version), want);
    }
    let time = |spend: &mut Spend| spend.lock_time = LockTime::from_consensus(500_000_000);
    let times_from = 500_000_000;
    refused(&time, SpendFlaw::LockTime { got: 500_000_000, times_from });
    let wait = |spend: &mut Spend| spend.inputs[1].sequence = Sequence::from_height(3);
    refused(&wait, SpendFlaw::Sequence { input: 1, got: 3, min: 1 << 31 });
    let twice = |spend: &mut Spend| spend.inputs[1].outpoint = coin(1);
    refused(&twice, SpendFlaw::Twice { outpoint: coin(1) });
}

#[test]
fn every_rule_of_amounts_is_kept() {
    let mut bob = bob();
    let mut refused = |change: &dyn Fn(&mut Spend), want: SpendFlaw| {
        let mut spend = plain();
        change(&mut spend);
        assert_eq!(flaw(&mut bob, &spend), want);
    };
    let sat = Amount::from_sat;
    let max = Amount::MAX_MONEY;
    let one = sat(1);
    refused(
        &|spend| spend.inputs[0].amount = max + one,
        SpendFlaw::TooMuch { got: max + one, max },
    );
    let got = max + sat(30_000);
    refused(&|spend| spend.inputs[0].amount = max, SpendFlaw::TooMuch { got, max });
    let got = sat(u64::MAX);
    refused(&|spend| spend.outputs[0].amount = got, SpendFlaw::TooMuch { got, max });
    let short = SpendFlaw::Short { inputs: sat(80_000), outputs: sat(80_001) };
    refused(&|spend| spend.outputs[1].amount = sat(20_001), short);
    for output in [0, 1] {
        let dust = SpendFlaw::Dust { output, got: sat(329), min: sat(330) };
        refused(&|spend| spend.outputs[output].amount = sat(329), dust);
    }
    let long = ScriptBuf::from_bytes(vec![0x51; 84]);
    let length = SpendFlaw::ScriptLength { output: 0, got: 84, max: 83 };
    refused(&|spend| spend.outputs[0].to = Payee::Script(long.clone()), length);
    let data = ScriptBuf::new_op_return([7; 32]);
    let burned = SpendFlaw::Burned { output: 0, got: sat(60_000) };
    refused(&|spend| spend.outputs[0].to = Payee::Script(data.clone()), burned);
}

#[test]
fn data_is_paid_nothing() {
    let mut spend = plain();
    let data = ScriptBuf::new_op_return([7; 32]);
    spend.outputs.push(pay(0, Payee::Script(data)));
    assert_eq!(signed(&mut bob(), &spend).len(), 2);
}

/// A spend whose fee is `fee`, of one coin of a whole bitcoin.
fn costs(fee: u64) -> Spend {
    let one = 100_000_000;
    Spend {
        inputs: vec![input(1, one, Branch::Receive, 0)],
        outputs: vec![pay(one - fee, Payee::Script(stranger(1)))],
        ..plain()
    }
}

#[test]
fn a_fee_rate_has_a_limit_and_the_flag_another_one() {
    let mut bob = trusting();
    let vbytes = costs(0).weight().to_vbytes_ceil();
    assert_eq!(vbytes, 111, "one input and one output of taproot");
    let flagged = |fee| Spend { allow_high_fee: true, ..costs(fee) };
    assert_eq!(FEE_RATE_SAT_PER_VB_MAX, 1_000);
    signed(&mut bob, &costs(1_000 * vbytes));
    for (fee, got_sat_per_vb) in [(1_000 * vbytes + 1, 1_001), (10_000 * vbytes, 10_000)] {
        let got = flaw(&mut bob, &costs(fee));
        let fee = Amount::from_sat(fee);
        assert_eq!(got, SpendFlaw::FeeRate { fee, got_sat_per_vb, max_sat_per_vb: 1_000 });
        signed(&mut bob, &flagged(fee.to_sat()));
    }
    signed(&mut bob, &flagged(50_000 * vbytes));
    let fee = Amount::from_sat(50_000 * vbytes + 1);
    let (got_sat_per_vb, max_sat_per_vb) = (50_001, 50_000);
    let want = SpendFlaw::FeeRate { fee, got_sat_per_vb, max_sat_per_vb };
    assert_eq!(flaw(&mut bob, &flagged(fee.to_sat())), want);
}

#[test]
fn a_fee_is_a_part_of_what_is_moved() {
    let mut bob = trusting();
    let sat = Amount::from_sat;
    // 100,000 go away, and the rest comes back: a quarter of what goes away may be the fee.
    let with = |fee: u64, away: u64| {
        let mut spend = costs(0);
        let change = 100_000_000 - away - fee;
        spend.outputs = vec![
            pay(away, Payee::Script(stranger(1))),
            pay(change, Payee::Ours(place(Branch::Change, 0))),
        ];
        spend
    };
    signed(&mut bob, &with(25_000, 100_000));
    let want = SpendFlaw::FeeShare { fee: sat(25_001), max: sat(25_000), moved: sat(100_000) };
    assert_eq!(flaw(&mut bob, &with(25_001, 100_000)), want);
    signed(&mut bob, &Spend { allow_high_fee: true, ..with(25_001, 100_000) });
    // Small sums may cost more than they are.
    signed(&mut bob, &with(20_000, 1_000));
    let want = SpendFlaw::FeeShare { fee: sat(20_001), max: sat(20_000), moved: sat(1_000) };
    assert_eq!(flaw(&mut bob, &with(20_001, 1_000)), want);
}

/// What only comes back may cost less: a node that does it again and again would burn everything.
#[test]
fn what_only_comes_back_costs_little() {
    let mut bob = trusting();
    let sat = Amount::from_sat;
    let home = |all: u64, fee: u64| Spend {
        inputs: vec![input(1, all, Branch::Receive, 0)],
        outputs: vec![pay(all - fee, Payee::Ours(place(Branch::Change, 0)))],
        ..plain()
    };
    signed(&mut bob, &home(1_050_000, 50_000));
    let want =
        SpendFlaw::ConsolidationFee { fee: sat(50_001), max: sat(49_999), moved: sat(999_999) };
    assert_eq!(flaw(&mut bob, &home(1_050_000, 50_001)), want);
    let text = "a fee of 0.00050001 BTC for 0.00999999 BTC that all come back to us, \
                0.00049999 BTC at most";
    assert_eq!(want.to_string(), text);
    // What nobody can spend for less is no burning.
    signed(&mut bob, &home(20_000, 5_000));
    let want = SpendFlaw::ConsolidationFee { fee: sat(5_001), max: sat(5_000), moved: sat(14_999) };
    assert_eq!(flaw(&mut bob, &home(20_000, 5_001)), want);
    signed(&mut bob, &Spend { allow_high_fee: true, ..home(1_050_000, 50_001) });
}

/// Only the owner of a signer lets its node pay what it likes.
#[test]
fn a_node_without_the_right_says_in_vain_that_a_person_wants_the_fee() {
    let mut bob = bob();
    assert!(!Policy::default().high_fees);
    let vbytes = costs(0).weight().to_vbytes_ceil();
    let flagged = |spend| Spend { allow_high_fee: true, ..spend };
    signed(&mut bob, &flagged(costs(1_000 * vbytes)));
    let got = flaw(&mut bob, &flagged(costs(1_001 * vbytes)));
    let fee = Amount::from_sat(1_001 * vbytes);
    let want = SpendFlaw::FeeRate { fee, got_sat_per_vb: 1_001, max_sat_per_vb: 1_000 };
    assert_eq!(got, want);
    let mut dear = plain();
    dear.outputs = vec![pay(59_999, Payee::Script(stranger(1)))];
    assert!(matches!(flaw(&mut bob, &flagged(dear)), SpendFlaw::FeeShare { .. }));
}

/// Change far away would be lost to whoever has only the words.
#[test]
fn change_is_not_far_from_what_is_spent() {
    let mut bob = bob();
    let change = |index: u32| {
        let mut spend = plain();
        spend.inputs[1].place = place(Branch::Change, 300);
        spend.outputs[1].to = Payee::Ours(place(Branch::Receive, index));
        spend
    };
    signed(&mut bob, &change(300 + PLACE_STEP_MAX));
    let (got, max) = (301 + PLACE_STEP_MAX, 300 + PLACE_STEP_MAX);
    assert_eq!(flaw(&mut bob, &change(got)), SpendFlaw::Place { output: 1, got, max });
    let mut last = change(signer::KEY_INDEX_MAX);
    last.inputs[0].place = place(Branch::Receive, signer::KEY_INDEX_MAX);
    signed(&mut bob, &last);
}

#[test]
fn only_the_listed_are_paid() {
    let destinations = Destinations::Listed([stranger(1)].into());
    let mut bob = bob().with_policy(Policy { destinations, ..Policy::default() });
    signed(&mut bob, &costs(1_000));
    let want = SpendFlaw::Destination { output: 0, listed: 1 };
    assert_eq!(flaw(&mut bob, &plain()), want);
    // What is ours needs no list, but must be ours: a script that only looks so is a stranger's.
    let mut home = plain();
    home.outputs.remove(0);
    home.outputs[0].amount = Amount::from_sat(79_000);
    signed(&mut bob, &home);
    home.outputs[0].to = Payee::Script(account().script(place(Branch::Change, 4)));
    assert_eq!(flaw(&mut bob, &home), want);
}
