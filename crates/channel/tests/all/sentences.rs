//! What we send, beside the sentences of BOLT 2 about it: each is held to all messages that the
//! cases of its table make, and each must have something to say about one of them.

use bitcoin::absolute::LockTime as Lock;
use bitcoin::secp256k1::{Message as Digest, SECP256K1};
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use channel::{Accepting, Effect, FUNDING_SMALL_MAX, Funding, Move, Now, Policy, Proposed};
use channel::{Unfit, Variation, is_closing_script};
use signer::{ChannelOp, ShownKeys};
use tx::{Close, Form, Side, Terms};
use wire::amount::{BlockCount, BlockHeight, FeeratePerKw, LockTime, Msat, Sat};
use wire::features::{Feature, Features};
use wire::id::ChainHash;
use wire::key::{Point, Signature};
use wire::{AcceptChannel, ClosingComplete, ClosingSigned, Message, Network, OpenChannel};

use crate::halves::{CAPACITY, Half, KEY, PUSHED, channels, home, policy, shown, wanted};
use crate::live::two;
use crate::parting::{LEGACY, SIMPLE, close, closing_signed, heard, with_pushed};

/// A sentence, and whether a message keeps to it: nothing if it is about others.
type Row<S> = (&'static str, fn(&S) -> Option<bool>);

fn hold<S>(rows: &[Row<S>], cases: &[S]) {
    for (sentence, keeps) in rows {
        let said: Vec<bool> = cases.iter().filter_map(keeps).collect();
        assert!(!said.is_empty(), "nothing is shown of: {sentence}");
        let broken = said.iter().filter(|it| !**it).count();
        assert_eq!(broken, 0, "of {} messages break: {sentence}", said.len());
    }
}

/// As it crosses the wire.
fn sent(made: Move) -> Message {
    let Move::Send(message) = made else { panic!("it is sent") };
    Message::decode(&message.encode().expect("it fits")).expect("it was encoded")
}

struct Opened {
    said: OpenChannel,
    wanted: Funding,
    policy: Policy,
    keys: ShownKeys,
    is_large: bool,
}

/// All bits of a type, which has no others and no zeros in front.
fn is_defined(channel_type: &Features) -> bool {
    let bits: Vec<usize> = channel_type.bits().collect();
    let basic = bits.strip_prefix(&[12]).map(|rest| rest.strip_prefix(&[22]).unwrap_or(rest));
    matches!(basic, Some([] | [46] | [50] | [46, 50]))
}

const OPEN: &[Row<Opened>] = &[
    ("MUST ensure the `chain_hash` value identifies the chain it wishes to open within", |it| {
        Some(it.said.chain_hash == ChainHash::of(Network::Regtest))
    }),
    ("(not large) MUST set `funding_satoshis` to less than 2^24 satoshi", |it| {
        (!it.is_large).then_some(it.said.funding_satoshis.0 < 1 << 24)
    }),
    ("MUST set `push_msat` to equal or less than 1000 * `funding_satoshis`", |it| {
        let (pushed, all) = (it.said.push_msat, it.said.funding_satoshis.to_msat());
        Some(all.is_some_and(|all| pushed <= all) && pushed == it.wanted.pushed)
    }),
    ("MUST set `funding_pubkey` and the basepoints to valid secp256k1 pubkeys", |it| {
        let (said, keys) = (&it.said, &it.keys);
        let points = [
            (said.funding_pubkey, keys.funding_key),
            (said.revocation_basepoint, keys.basepoints.revocation),
            (said.payment_basepoint, keys.basepoints.payment),
            (said.delayed_payment_basepoint, keys.basepoints.delayed_payment),
            (said.htlc_basepoint, keys.basepoints.htlc),
        ];
        Some(points.iter().all(|(said, ours)| said == ours))
    }),
    ("MUST set `first_per_commitment_point` to that of the initial commitment transaction", |it| {
        Some(it.said.first_per_commitment_point == it.keys.points[0])
    }),
    ("MUST set `channel_reserve_satoshis` greater than or equal to `dust_limit_satoshis`", |it| {
        Some(it.said.channel_reserve_satoshis >= it.said.dust_limit_satoshis)
    }),
    ("MUST set undefined bits in `channel_flags` to 0", |it| {
        Some(it.said.channel_flags.0 == u8::from(it.wanted.announce))
    }),
    (
        "MUST include `upfront_shutdown_script` with either a valid one, or a zero-length one",
        |it| {
            let script = it.said.upfront_shutdown_script.as_ref();
            let is_fine = |it: &ScriptBuf| it.is_empty() || is_closing_script(it, LEGACY);
            let is_said = |it: &ScriptBuf, upfront: bool| it.is_empty() != upfront;
            Some(script.is_some_and(|script| is_fine(script) && is_said(script, it.policy.upfront)))
        },
    ),
    ("MUST set `channel_type`", |it| Some(it.said.channel_type.is_some())),
    ("MUST set it to a defined type representing the type it wants", |it| {
        let channel_type = it.said.channel_type.as_ref()?;
        let has = |feature| channel_type.requires(feature);
        let wanted = [
            (Feature::Anchors, it.wanted.form == Form::Anchors),
            (Feature::ScidAlias, it.wanted.variation.alias),
            (Feature::Zeroconf, it.wanted.variation.zero_conf),
        ];
        let is_wanted = wanted.iter().all(|(feature, is_wanted)| has(*feature) == *is_wanted);
        Some(is_defined(channel_type) && is_wanted)
    }),
    ("MUST use the smallest bitmap possible to represent the channel type", |it| {
        Some(it.said.channel_type.as_ref()?.bytes().first() != Some(&0))
    }),
    ("(announced) MUST NOT send `channel_type` with the `option_scid_alias` bit set", |it| {
        let is_announced = it.said.channel_flags.announce_channel();
        is_announced.then(|| it.said.channel_type.as_ref().is_some_and(|it| !it.bit(46)))
    }),
    ("SHOULD set `to_self_delay` sufficient to spend irreversibly, in case of misbehavior", |it| {
        Some(it.said.to_self_delay == it.policy.delay && it.said.to_self_delay.0 >= 144)
    }),
    (
        "SHOULD set `dust_limit_satoshis` to allow commitments and HTLC transactions to propagate",
        |it| Some(it.said.dust_limit_satoshis >= Sat(354)),
    ),
    ("SHOULD set `htlc_minimum_msat` to the minimum value HTLC it's willing to accept", |it| {
        Some(it.said.htlc_minimum_msat == it.policy.htlc_minimum)
    }),
];

/// All that can be wanted, of those that it is refused for.
fn proposals() -> Vec<Result<Opened, Unfit>> {
    let mut all = Vec::new();
    let keys = shown(&mut channels(1));
    let large = Features::optional(&[Feature::SupportLargeChannel]);
    for form in [Form::Anchors, Form::StaticRemoteKey] {
        for turn in 0..64_u8 {
            let bit = |at: u8| turn >> at & 1 == 1;
            let is_large = bit(3);
            let both = if is_large { large.clone() } else { Features::NONE };
            let base = Policy { upfront: bit(4), dust_limit: Sat(1_000), ..policy() };
            let policy = base.towards(&both, &both);
            let variation = Variation { alias: bit(0), zero_conf: bit(1) };
            let funding = if bit(5) { Sat(FUNDING_SMALL_MAX.0 + 1) } else { CAPACITY };
            let wanted = Funding { announce: bit(2), variation, funding, ..wanted(form) };
            all.push(Proposed::new(policy.clone(), keys, &wanted).map(|(_, made)| {
                let Message::OpenChannel(said) = sent(made) else { panic!("it opens") };
                Opened { said, wanted, policy, keys, is_large }
            }));
        }
    }
    all
}

#[test]
fn open_channel_is_what_bolt_2_says_of_its_sender() {
    let proposals = proposals();
    let refused: Vec<_> = proposals.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(refused.contains(&&Unfit::AnnouncedAlias));
    let max = FUNDING_SMALL_MAX.0;
    let got = max + 1;
    let too_large = Unfit::Value { field: "funding_satoshis", got, min: 20_000, max };
    assert!(refused.contains(&&too_large));
    let opened: Vec<Opened> = proposals.into_iter().filter_map(Result::ok).collect();
    assert!(opened.iter().any(|it| it.said.funding_satoshis > FUNDING_SMALL_MAX));
    hold(OPEN, &opened);
}

struct Accepted {
    open: OpenChannel,
    said: AcceptChannel,
    keys: ShownKeys,
}

const ACCEPT: &[Row<Accepted>] = &[
    ("The `temporary_channel_id` MUST be the same as in the `open_channel` message", |it| {
        Some(it.said.temporary_channel_id == it.open.temporary_channel_id)
    }),
    ("(`option_zeroconf`) MUST set `minimum_depth` to zero", |it| {
        let is_zero = it.open.channel_type.as_ref()?.requires(Feature::Zeroconf);
        is_zero.then_some(it.said.minimum_depth == BlockCount(0))
    }),
    ("otherwise: SHOULD set `minimum_depth` to a number of blocks it considers reasonable", |it| {
        let is_zero = it.open.channel_type.as_ref()?.requires(Feature::Zeroconf);
        (!is_zero).then_some(it.said.minimum_depth == policy().minimum_depth)
    }),
    ("MUST set `channel_reserve_satoshis` to at least the opener's `dust_limit_satoshis`", |it| {
        Some(it.said.channel_reserve_satoshis >= it.open.dust_limit_satoshis)
    }),
    ("MUST set `dust_limit_satoshis` to at most the opener's `channel_reserve_satoshis`", |it| {
        Some(it.said.dust_limit_satoshis <= it.open.channel_reserve_satoshis)
    }),
    ("MUST set `channel_type` to the `channel_type` from `open_channel`", |it| {
        Some(it.said.channel_type.is_some() && it.said.channel_type == it.open.channel_type)
    }),
    ("Other fields have the same requirements as their counterparts in `open_channel`", |it| {
        let said = &it.said;
        let is_ours = said.funding_pubkey == it.keys.funding_key
            && said.first_per_commitment_point == it.keys.points[0]
            && said.htlc_basepoint == it.keys.basepoints.htlc;
        let has_room = said.channel_reserve_satoshis >= said.dust_limit_satoshis;
        let policy = policy();
        let is_policy = (said.to_self_delay, said.htlc_minimum_msat)
            == (policy.delay, policy.htlc_minimum)
            && said.dust_limit_satoshis == policy.dust_limit;
        Some(is_ours && has_room && is_policy && said.upfront_shutdown_script.is_some())
    }),
];

#[test]
fn accept_channel_is_what_bolt_2_says_of_its_sender() {
    let mut accepted = Vec::new();
    let keys = shown(&mut channels(2));
    let policy = Policy { zero_conf: true, ..policy() };
    for opened in proposals().into_iter().filter_map(Result::ok) {
        // Openers whose dust is more than we would keep of a small channel, and as much as we take.
        for (dust, reserve) in [(354, 354), (1_000, 10_000), (10_000, 10_000)] {
            let mut open = opened.said.clone();
            (open.dust_limit_satoshis, open.channel_reserve_satoshis) = (Sat(dust), Sat(reserve));
            (open.funding_satoshis, open.push_msat) = (Sat(100_000), Msat(0));
            open.htlc_minimum_msat = Msat(1);
            let made = Accepting::new(&policy, KEY, &keys, &home(2), &open);
            let (_, made) = made.unwrap_or_else(|no| panic!("{no}"));
            let Message::AcceptChannel(said) = sent(made) else { panic!("it accepts") };
            accepted.push(Accepted { open, said, keys });
        }
    }
    hold(ACCEPT, &accepted);
}

/// The dust limit of BOLT 3 for what both here have their money sent to.
const DUST: u64 = 354;

struct Completed {
    said: ClosingComplete,
    terms: Terms,
    closer: Side,
    ours: Msat,
    theirs: Msat,
}

impl Completed {
    fn script(side: Side) -> ScriptBuf {
        home(side as u8 + 1).script
    }

    fn is_lesser(&self) -> bool {
        self.ours < self.theirs
    }

    /// What is left of ours, and the peer's.
    fn left(&self) -> [u64; 2] {
        [self.ours.0 / 1_000 - self.said.fee_satoshis.0, self.theirs.0 / 1_000]
    }

    /// BOLT 3, "Closing Transaction": with these outputs, of ours and the peer's.
    fn is_signed(&self, signature: Option<Signature>, [ours, theirs]: [bool; 2]) -> bool {
        let [left, peer] = self.left();
        let parts = [(ours, left, self.closer), (theirs, peer, self.closer.other())];
        let outputs = parts.into_iter().filter(|it| it.0);
        let output = outputs.map(|(_, value, side)| (value, Self::script(side))).collect();
        let lock = self.said.locktime.0;
        let closing = closing(&self.terms, Sequence::ENABLE_RBF_NO_LOCKTIME, lock, output);
        signature.is_none_or(|it| is_valid(&self.terms, self.closer, &closing, &it))
    }
}

/// As BOLT 3 has it: outputs by value, then by script.
fn closing(
    terms: &Terms,
    sequence: Sequence,
    lock: u32,
    mut outputs: Vec<(u64, ScriptBuf)>,
) -> Transaction {
    outputs.sort();
    let output = |(value, script_pubkey)| TxOut { value: Amount::from_sat(value), script_pubkey };
    Transaction {
        version: Version::TWO,
        lock_time: Lock::from_consensus(lock),
        input: vec![TxIn {
            previous_output: terms.funding.outpoint,
            script_sig: ScriptBuf::new(),
            sequence,
            witness: Witness::new(),
        }],
        output: outputs.into_iter().map(output).collect(),
    }
}

fn is_valid(terms: &Terms, by: Side, closing: &Transaction, signature: &Signature) -> bool {
    let digest = Digest::from_digest(Close::digest(terms, closing));
    let key: Point = terms.party(by).funding_key;
    SECP256K1.verify_ecdsa(&digest, &signature.ecdsa(), key.key()).is_ok()
}

const COMPLETE: &[Row<Completed>] = &[
    ("MUST set `fee_satoshis` to a fee less than or equal to its outstanding balance", |it| {
        Some(it.said.fee_satoshis.0 <= it.ours.0 / 1_000)
    }),
    ("MUST set `fee_satoshis` so that at least one output is not dust", |it| {
        let [left, theirs] = it.left();
        let said = &it.said;
        let ours = said.closer_output_only.is_none() || left >= DUST;
        Some(ours && (said.closee_output_only.is_none() || theirs >= DUST))
    }),
    ("MUST set `closer_scriptpubkey` to its desired output script", |it| {
        Some(it.said.closer_scriptpubkey == Completed::script(it.closer))
    }),
    ("MUST set `closee_scriptpubkey` to the last script it received from its peer", |it| {
        Some(it.said.closee_scriptpubkey == Completed::script(it.closer.other()))
    }),
    ("MUST set `locktime` to the desired `nLockTime` of the closing transaction", |it| {
        Some(it.said.locktime == LockTime(0))
    }),
    ("(lesser amount) MUST NOT set `closer_output_only`", |it| {
        it.is_lesser().then_some(it.said.closer_output_only.is_none())
    }),
    ("(lesser amount) MUST set `closee_output_only` if the local output amount is dust", |it| {
        let is_it = it.is_lesser() && it.left()[0] < DUST;
        is_it.then_some(it.said.closee_output_only.is_some())
    }),
    ("(not lesser amount) MUST NOT set `closee_output_only`", |it| {
        (!it.is_lesser()).then_some(it.said.closee_output_only.is_none())
    }),
    ("(not lesser) if the closee's output amount is dust: MUST set `closer_output_only`", |it| {
        let is_it = !it.is_lesser() && it.left()[1] < DUST;
        is_it.then_some(it.said.closer_output_only.is_some())
    }),
    ("(the same) MUST NOT set `closer_and_closee_outputs`", |it| {
        let is_it = !it.is_lesser() && it.left()[1] < DUST;
        is_it.then_some(it.said.closer_and_closee_outputs.is_none())
    }),
    ("otherwise: MUST set both `closer_output_only` and `closer_and_closee_outputs`", |it| {
        let is_it = !it.is_lesser() && it.left()[1] >= DUST;
        let said = &it.said;
        let both = said.closer_output_only.is_some() && said.closer_and_closee_outputs.is_some();
        is_it.then_some(both)
    }),
    ("MUST generate its closing transaction as specified in BOLT #3", |it| {
        let said = &it.said;
        let any =
            [said.closer_output_only, said.closee_output_only, said.closer_and_closee_outputs];
        Some(any.iter().any(Option::is_some))
    }),
    ("MUST set `signature` fields as valid signature: `closer_output_only`", |it| {
        let is_set = it.said.closer_output_only.is_some();
        is_set.then(|| it.is_signed(it.said.closer_output_only, [true, false]))
    }),
    ("MUST set `signature` fields as valid signature: `closee_output_only`", |it| {
        let is_set = it.said.closee_output_only.is_some();
        is_set.then(|| it.is_signed(it.said.closee_output_only, [false, true]))
    }),
    ("MUST set `signature` fields as valid signature: `closer_and_closee_outputs`", |it| {
        let is_set = it.said.closer_and_closee_outputs.is_some();
        is_set.then(|| it.is_signed(it.said.closer_and_closee_outputs, [true, true]))
    }),
];

fn at_rate(end: &mut Half, rate: u32) {
    let (tip, calm) = (BlockHeight(1_000), FeeratePerKw(rate));
    end.live.at(Now { tip, calm, urgent: calm });
}

/// All `closing_complete` that a side says, while it hears of none, nor an answer.
fn completes(ends: &mut [Half; 2], from: usize) -> Vec<ClosingComplete> {
    let mut said = Vec::new();
    for _ in 0..8 {
        for at in [0, 1] {
            let (end, peer) = two(ends, at);
            let drive = end.live.drive();
            end.take(drive);
            for _ in 0..3 {
                end.flush(&mut peer.inbox);
                end.answer();
            }
            end.flush(&mut peer.inbox);
            for message in std::mem::take(&mut peer.inbox) {
                match message {
                    Message::ClosingComplete(it) if at == from => said.push(it),
                    Message::ClosingComplete(_) => {}
                    message => peer.inbox.push_back(message),
                }
            }
            while !peer.inbox.is_empty() {
                peer.hear();
            }
        }
    }
    said
}

#[test]
fn closing_complete_is_what_bolt_2_says_of_its_sender() {
    let half = CAPACITY.0 * 500;
    let shares = [0, 353_999, 354_000, 500_000, PUSHED.0, half, half + 1];
    let rates = [253, 1_000, 500_000];
    let mut all = Vec::new();
    for (pushed, rate) in shares.into_iter().flat_map(|it| rates.map(|rate| (it, rate))) {
        for from in [0, 1] {
            let mut ends = with_pushed(Msat(pushed), SIMPLE);
            ends.iter_mut().for_each(|it| at_rate(it, rate));
            close(&mut ends, from);
            let said = completes(&mut ends, from);
            let Some(first) = said.first().cloned() else { continue };
            // "MUST wait until it has received `closing_sig` first": it says no second one.
            at_rate(&mut ends[from], rate * 2);
            let more = completes(&mut ends, from);
            assert_eq!((said.len(), more.len()), (1, 0), "{pushed} {rate}");
            let closer = ends[from].live.side();
            let free = |side| ends[from].live.ledger().free(side);
            let (ours, theirs) = (free(closer), free(closer.other()));
            let terms = ends[from].live.begun().set_up().terms;
            all.push(Completed { said: first, terms, closer, ours, theirs });
        }
    }
    // Some cannot pay, and say nothing.
    assert!(all.len() > 20 && all.len() < shares.len() * rates.len() * 2, "{}", all.len());
    hold(COMPLETE, &all);
}

/// The fee of the close that our signer is asked for, if it is asked.
fn asked_at(end: &mut Half, rate: u32) -> Option<u64> {
    at_rate(end, rate);
    end.live.drive().effects.iter().find_map(|effect| {
        let Effect::Ask(_, ask) = effect else { return None };
        let ChannelOp::SignClose(sign) = &ask.op else { return None };
        Some(sign.close.fee.0)
    })
}

/// "MUST set `fee_satoshis` so that at least one output is not dust": whoever must keep an output,
/// and whose fee leaves too little for it, leaves the close to the other.
#[test]
fn no_fee_leaves_nothing_but_dust() {
    let mut ends = with_pushed(PUSHED, SIMPLE);
    // More than it has.
    at_rate(&mut ends[0], 3_000_000);
    close(&mut ends, 0);
    assert!(completes(&mut ends, 0).is_empty());
    let ours = CAPACITY.0 - PUSHED.0 / 1_000;
    let weight = asked_at(&mut ends[0], 1_000_000).expect("it can pay that") / 1_000;
    let mut seen = [false; 2];
    for left in 340..370 {
        let rate = ((ours - left) * 1_000).div_ceil(weight) as u32;
        let fee = u64::from(rate) * weight / 1_000;
        let is_dust = ours - fee < DUST;
        assert_eq!(asked_at(&mut ends[0], rate), (!is_dust).then_some(fee), "{}", ours - fee);
        seen[usize::from(is_dust)] = true;
    }
    assert_eq!(seen, [true; 2]);
}

struct Signed {
    said: ClosingSigned,
    terms: Terms,
    by: Side,
    rate: u32,
    balances: [Msat; 2],
    /// What the peer has said before, if it has.
    before: Option<ClosingSigned>,
}

impl Signed {
    fn closing(&self) -> Transaction {
        let [opener, acceptor] = self.balances.map(|it| it.0 / 1_000);
        let outputs =
            vec![(opener - self.said.fee_satoshis.0, home(1).script), (acceptor, home(2).script)];
        closing(&self.terms, Sequence::MAX, 0, outputs)
    }

    /// The fee at a rate, of a transaction with two signatures.
    fn fee_at(&self, rate: u32) -> u64 {
        u64::from(rate) * (self.closing().weight().to_wu() + 224) / 1_000
    }
}

const SIGNED: &[Row<Signed>] = &[
    (
        "SHOULD set the initial `fee_satoshis` according to its estimate of cost of inclusion",
        |it| {
            let wanted = it.fee_at(it.rate.max(253));
            it.before.is_none().then_some(it.said.fee_satoshis.0.abs_diff(wanted) <= 2)
        },
    ),
    (
        "SHOULD set `fee_range` according to the minimum and maximum fees it is prepared to pay",
        |it| {
            let range = it.said.fee_range.as_ref()?;
            let (min, max) = (range.min_fee_satoshis, range.max_fee_satoshis);
            let can_pay = max.0 <= it.balances[0].0 / 1_000;
            Some(min <= it.said.fee_satoshis && it.said.fee_satoshis <= max && can_pay)
        },
    ),
    ("(not the funder) SHOULD set `max_fee_satoshis` to at least the one received", |it| {
        let theirs = it.before.as_ref()?.fee_range.as_ref()?.max_fee_satoshis;
        Some(it.said.fee_range.as_ref()?.max_fee_satoshis >= theirs)
    }),
    ("(not the funder) SHOULD set `min_fee_satoshis` to a fairly low value", |it| {
        it.before.as_ref()?;
        Some(it.said.fee_range.as_ref()?.min_fee_satoshis.0 <= it.fee_at(253) + 1)
    }),
    ("MUST set `signature` to the Bitcoin signature of the close transaction", |it| {
        Some(is_valid(&it.terms, it.by, &it.closing(), &it.said.signature))
    }),
];

#[test]
fn closing_signed_is_what_bolt_2_says_of_its_sender() {
    let mut all = Vec::new();
    for pushed in [PUSHED.0, 354_000 * 3, 1_990_000_000] {
        for rate in [1, 253, 1_000, 8_000] {
            let mut ends = with_pushed(Msat(pushed), LEGACY);
            ends.iter_mut().for_each(|it| at_rate(it, rate));
            let first = closing_signed(&mut ends);
            let (_, sent) = heard(&mut ends[1], first.clone());
            let [Message::ClosingSigned(answer)] = &sent[..] else { panic!("{sent:?}") };
            let terms = ends[0].live.begun().set_up().terms;
            let balances = [Side::Opener, Side::Acceptor].map(|it| ends[0].live.ledger().free(it));
            let of = |said: &ClosingSigned, by, before| Signed {
                said: said.clone(),
                terms,
                by,
                rate,
                balances,
                before,
            };
            all.push(of(&first, Side::Opener, None));
            all.push(of(answer, Side::Acceptor, Some(first)));
        }
    }
    hold(SIGNED, &all);
}
