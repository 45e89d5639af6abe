//! Openings: our part by the engine, the peer's by hand, with whatever a twist makes of it.

use std::cell::RefCell;

use bitcoin::hashes::Hash as _;
use bitcoin::{ScriptBuf, Txid};
use channel::{
    Accepting, Agreed, Begun, Channel, Funding, FundingOutput, Home, Move, Policy, Proposed,
    Variation,
};
use signer::{
    Branch, ChannelAnswer, ChannelAsk, ChannelOp, KeyIndex, KeyPlace, NodeIndex, Seed, ShownKeys,
};
use tx::{Form, Meaning, Side, Templates};
use wire::amount::{BlockCount, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::features::{Feature, Features};
use wire::id::{
    ChainHash, ChannelFlags, ChannelKey, CommitmentNumber, OutputIndex, TemporaryChannelId,
};
use wire::{AcceptChannel, FundingCreated, FundingSigned, Message, Network, OpenChannel};

use super::peer::Peer;
use super::tape::Tape;
use super::world::Keys;

pub(super) const KEY: ChannelKey = ChannelKey([3; 32]);
const NETWORK: Network = Network::Regtest;
const TEMPORARY: TemporaryChannelId = TemporaryChannelId([1; 32]);
const CAPACITY: Sat = Sat(2_000_000);
const PUSHED: Msat = Msat(900_000_000);
const RATE: FeeratePerKw = FeeratePerKw(1_000);
/// Places of a message that a twist may overwrite.
const PATCHES_MAX: usize = 4;

/// What a hostile peer makes of its messages: bytes over theirs.
pub(super) struct Twist(Vec<(u8, usize, Vec<u8>)>);

impl Twist {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn of(tape: &mut Tape<'_>) -> Self {
        let count = tape.below(PATCHES_MAX + 1);
        let patch = |_| {
            let (which, at) = (tape.byte() % 2, usize::from(u16::from_be_bytes(tape.array())));
            let len = tape.below(9);
            (which, at, tape.bytes(len).to_vec())
        };
        Self((0..count).map(patch).collect())
    }

    /// The message, as the peer sends it; none if nobody can read that.
    fn on(&self, which: u8, message: Message) -> Option<Message> {
        let mut bytes = message.encode().expect("it fits");
        for (_, at, over) in self.0.iter().filter(|it| it.0 == which) {
            patch(&mut bytes, *at, over);
        }
        Message::decode(&bytes).ok()
    }
}

/// Overwrites a part of a message behind its type.
pub(super) fn patch(bytes: &mut [u8], at: usize, over: &[u8]) {
    let at = 2 + at % (bytes.len() - 2).max(1);
    bytes.iter_mut().skip(at).zip(over).for_each(|(byte, new)| *byte = *new);
}

pub(super) fn place() -> KeyPlace {
    KeyPlace { branch: Branch::Receive, index: KeyIndex::FIRST }
}

thread_local! {
    /// A signer that nobody uses now: to make its keys takes longer than most runs.
    static SPARE: RefCell<Option<Keys>> = const { RefCell::new(None) };
}

/// A signer that has never signed.
fn keys() -> Keys {
    SPARE.take().unwrap_or_else(|| {
        let seed = Seed::take(&mut [1; 32]).expect("32 bytes are a seed");
        let channels =
            signer::Channels::new(seed.channel_keys(NETWORK, NodeIndex::FIRST), Templates::all());
        let (policy, empty) = (signer::Policy::default(), channels.encode(NETWORK));
        let (signed, taken, secrets) = Default::default();
        let wallet = seed.wallet_key(NETWORK);
        Keys { channels, wallet, policy, empty, signed, taken, secrets }
    })
}

/// The next run may have it.
pub(super) fn give_back(mut keys: Keys) {
    keys.channels.restore(&keys.empty, NETWORK).expect("we wrote it");
    (keys.signed, keys.taken, keys.secrets) = Default::default();
    SPARE.set(Some(keys));
}

pub(super) fn home(keys: &Keys) -> Home {
    Home { place: place(), script: keys.wallet.account().script(place()) }
}

fn policy() -> Policy {
    Policy {
        chain: ChainHash::of(NETWORK),
        funding_min: Sat(20_000),
        funding_max: Sat(1_000_000_000),
        htlc_minimum: Msat(1),
        in_flight_percent: 75,
        htlcs_max: HtlcCount(30),
        reserve_permille: 10,
        dust_limit: Sat(354),
        delay: CsvDelay(144),
        delay_max: CsvDelay(2_016),
        minimum_depth: BlockCount(3),
        feerate_min: FeeratePerKw(253),
        feerate_max: FeeratePerKw(50_000),
        zero_conf: false,
        upfront: false,
    }
}

/// A channel that has just begun. Nothing if the twist was seen.
pub(super) fn open(kind: u8, twist: &Twist) -> Option<(Keys, Begun, Peer)> {
    let (mut keys, peer) = (keys(), Peer::new());
    let form = if kind & 2 == 0 { Form::Anchors } else { Form::StaticRemoteKey };
    let ask = ChannelAsk { channel: KEY, op: ChannelOp::Keys };
    let Ok(ChannelAnswer::Keys(shown)) = keys.answer(&ask) else { panic!("keys are shown") };
    let begun = match kind & 1 {
        0 => propose(&mut keys, &shown, &peer, form, twist),
        _ => accept(&mut keys, &shown, &peer, form, twist),
    };
    let Some(begun) = begun else {
        give_back(keys);
        return None;
    };
    // A channel whose money the ledger does not have would be a bug of the judge.
    assert_eq!(Begun::decode(&begun.encode()), Ok(begun.clone()));
    assert_eq!(Channel::new(begun.clone()).funding(), begun.funding().outpoint());
    Some((keys, begun, peer))
}

fn propose(
    keys: &mut Keys,
    shown: &ShownKeys,
    peer: &Peer,
    form: Form,
    twist: &Twist,
) -> Option<Begun> {
    let wanted = Funding {
        key: KEY,
        temporary: TEMPORARY,
        funding: CAPACITY,
        pushed: PUSHED,
        feerate: RATE,
        form,
        variation: Variation::default(),
        announce: false,
        home: home(keys),
    };
    let (proposed, _) = Proposed::new(policy(), *shown, &wanted).expect("it is fit");
    let Message::AcceptChannel(said) = twist.on(0, accept_channel(peer, form).into())? else {
        return None;
    };
    let agreed = proposed.accepted(&said).ok()?;
    let funding = FundingOutput { txid: funding_txid(), output: OutputIndex(258) };
    let first = first(&agreed, Side::Opener);
    let terms = terms(&agreed, funding);
    let (mut created, moves) = proposed.funded(agreed, funding);
    let Some(ChannelAnswer::RemoteSigned { .. }) = asked(keys, &moves)?.pop() else {
        panic!("it signs last");
    };
    let (signature, _) = peer.sign(&terms, &first);
    let channel_id = funding.channel_id();
    let said = FundingSigned { channel_id, signature, extension: Default::default() };
    let Message::FundingSigned(said) = twist.on(1, said.into())? else { return None };
    let made = created.receive(&said).ok()?;
    let Move::Ask(ask) = made else { panic!("the signer looks at it") };
    created.advanced(keys.answer(&ask)).ok()
}

fn accept(
    keys: &mut Keys,
    shown: &ShownKeys,
    peer: &Peer,
    form: Form,
    twist: &Twist,
) -> Option<Begun> {
    let Message::OpenChannel(said) = twist.on(0, open_channel(peer, form).into())? else {
        return None;
    };
    let (accepting, _) = Accepting::new(&policy(), KEY, shown, &home(keys), &said).ok()?;
    let agreed = accepting.agreed().clone();
    let funding = FundingOutput { txid: funding_txid(), output: OutputIndex(258) };
    let (signature, _) = peer.sign(&terms(&agreed, funding), &first(&agreed, Side::Acceptor));
    let said = FundingCreated {
        temporary_channel_id: said.temporary_channel_id,
        funding_txid: funding.txid,
        funding_output_index: funding.output,
        signature,
        extension: Default::default(),
    };
    let Message::FundingCreated(said) = twist.on(1, said.into())? else { return None };
    let (mut answering, moves) = accepting.receive(&said).ok()?;
    let mut answers = asked(keys, &moves)?;
    let advanced = answers.pop()?;
    let Some(ChannelAnswer::RemoteSigned { signature, .. }) = answers.pop() else {
        panic!("it signs, and then takes");
    };
    answering.signed(signature);
    answering.advanced(Ok(advanced)).ok().map(|(begun, _)| begun)
}

/// What the signer answers, unless it refuses something.
fn asked(keys: &mut Keys, moves: &[Move]) -> Option<Vec<ChannelAnswer>> {
    let ask = |made: &Move| {
        let Move::Ask(ask) = made else { panic!("the signer was to be asked") };
        keys.answer(ask).ok()
    };
    moves.iter().map(ask).collect()
}

fn terms(agreed: &Agreed, funding: FundingOutput) -> tx::Terms {
    let funding = tx::Funding { outpoint: funding.outpoint(), value: agreed.funding };
    let (opener, acceptor) = match agreed.side {
        Side::Opener => (agreed.local, agreed.remote),
        Side::Acceptor => (agreed.remote, agreed.local),
    };
    tx::Terms { form: agreed.form, funding, opener, acceptor }
}

fn first(agreed: &Agreed, owner: Side) -> Meaning {
    let all = agreed.funding.to_msat().expect("it was judged");
    Meaning {
        owner,
        number: CommitmentNumber(0),
        point: agreed.local_points[0],
        feerate: agreed.feerate,
        to_opener: Msat(all.0 - agreed.pushed.0),
        to_acceptor: agreed.pushed,
        contracts: Vec::new(),
    }
}

fn funding_txid() -> Txid {
    Txid::from_byte_array([5; 32])
}

fn type_of(form: Form) -> Features {
    let basic = Features::default().and_required(Feature::StaticRemotekey);
    match form {
        Form::StaticRemoteKey => basic,
        Form::Anchors => basic.and_required(Feature::Anchors),
    }
}

fn open_channel(peer: &Peer, form: Form) -> OpenChannel {
    let keys = &peer.party.keys;
    OpenChannel {
        chain_hash: ChainHash::of(NETWORK),
        temporary_channel_id: TEMPORARY,
        funding_satoshis: CAPACITY,
        push_msat: PUSHED,
        dust_limit_satoshis: peer.party.dust_limit,
        max_htlc_value_in_flight_msat: Msat(u64::MAX),
        channel_reserve_satoshis: Sat(20_000),
        htlc_minimum_msat: Msat(1),
        feerate_per_kw: RATE,
        to_self_delay: CsvDelay(144),
        max_accepted_htlcs: HtlcCount(483),
        funding_pubkey: peer.party.funding_key,
        revocation_basepoint: keys.revocation,
        payment_basepoint: keys.payment,
        delayed_payment_basepoint: keys.delayed_payment,
        htlc_basepoint: keys.htlc,
        first_per_commitment_point: peer.point(CommitmentNumber(0)),
        channel_flags: ChannelFlags(0),
        upfront_shutdown_script: Some(ScriptBuf::new()),
        channel_type: Some(type_of(form)),
        extension: Default::default(),
    }
}

fn accept_channel(peer: &Peer, form: Form) -> AcceptChannel {
    let keys = &peer.party.keys;
    AcceptChannel {
        temporary_channel_id: TEMPORARY,
        dust_limit_satoshis: peer.party.dust_limit,
        max_htlc_value_in_flight_msat: Msat(u64::MAX),
        channel_reserve_satoshis: Sat(20_000),
        htlc_minimum_msat: Msat(1),
        minimum_depth: BlockCount(3),
        to_self_delay: CsvDelay(144),
        max_accepted_htlcs: HtlcCount(483),
        funding_pubkey: peer.party.funding_key,
        revocation_basepoint: keys.revocation,
        payment_basepoint: keys.payment,
        delayed_payment_basepoint: keys.delayed_payment,
        htlc_basepoint: keys.htlc,
        first_per_commitment_point: peer.point(CommitmentNumber(0)),
        upfront_shutdown_script: Some(ScriptBuf::new()),
        channel_type: Some(type_of(form)),
        extension: Default::default(),
    }
}
