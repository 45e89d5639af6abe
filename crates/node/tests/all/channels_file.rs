//! What a signer remembers of channels, on a disk that fails and in a process that dies.

use std::{fs, sync::Arc};

use apart::{Place, Process, WAIT};
use bitcoin::{OutPoint, Txid, hashes::Hash as _};
use bus::Caller;
use node::io::{
    channels_file::{CHANNELS_FILE, ChannelsFile},
    folder_lock::FolderLock,
    journal_file::{JournalFault, ROOM_BYTES},
    signer::{SignerFiles, saved_answer},
};
use signer::{
    Answer, Ask, ChannelAnswer, ChannelAsk, ChannelChange, ChannelOp, ChannelRefusal, Channels,
    LinkId, NodeIndex, Refusal, SetUp, ShownKeys, Signer,
};
use tx::{Basepoints, Form, Funding, Htlc, Meaning, Party, Placed, Side, Terms};
use wire::{
    Network,
    amount::{BlockHeight, CsvDelay, FeeratePerKw, Msat, Sat},
    dice::Dice,
    field::Field as _,
    id::{ChannelKey, CommitmentNumber, PaymentHash},
    key::Point,
    lease::LeaseEpoch,
};

use crate::{handover::CHILD, view_file::open};

const CHANNEL: ChannelKey = ChannelKey([3; 32]);
const CAPACITY: Msat = Msat(1_000_000_000);

fn ask(op: ChannelOp) -> Ask {
    Ask::Channel { lease: LeaseEpoch(0), ask: Box::new(ChannelAsk { channel: CHANNEL, op }) }
}

/// A channel that we have opened, with a peer that somebody made up.
fn set_up(shown: &ShownKeys) -> Box<SetUp> {
    let mut dice = Dice::new(1);
    let mut point = || Point::generate(&mut dice);
    let keys = Basepoints {
        revocation: point(),
        payment: point(),
        delayed_payment: point(),
        htlc: point(),
    };
    let (dust_limit, delay) = (Sat(354), CsvDelay(144));
    let outpoint = OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 1 };
    let terms = Terms {
        form: Form::Anchors,
        funding: Funding { outpoint, value: CAPACITY.floor_to_sat() },
        opener: Party { funding_key: shown.funding_key, keys: shown.basepoints, dust_limit, delay },
        acceptor: Party { funding_key: point(), keys, dust_limit, delay },
    };
    Box::new(SetUp { side: Side::Opener, terms, pushed: Msat(0) })
}

/// The peer's commitment, which pays this rate.
fn meaning(number: u64, rate: u32) -> Meaning {
    Meaning {
        owner: Side::Acceptor,
        number: CommitmentNumber(number),
        point: Point::generate(&mut Dice::new(2)),
        feerate: FeeratePerKw(rate),
        to_opener: CAPACITY,
        to_acceptor: Msat(0),
        contracts: Vec::new(),
    }
}

fn sign(rate: u32) -> Ask {
    ask(ChannelOp::SignRemote { meaning: meaning(0, rate), secrets: Vec::new() })
}

/// Sets the channel up.
fn begin(mut asked: impl FnMut(Ask) -> Answer) {
    let Answer::Channel(ChannelAnswer::Keys(shown)) = asked(ask(ChannelOp::Keys)) else {
        panic!("keys are shown")
    };
    let done = asked(ask(ChannelOp::SetUp(set_up(&shown))));
    assert!(matches!(done, Answer::Channel(ChannelAnswer::Done)), "{}", done.name());
}

fn is_alarm(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused(Refusal::Channel(ChannelRefusal::Otherwise { .. })))
}

fn is_signed(answer: &Answer) -> bool {
    matches!(answer, Answer::Channel(ChannelAnswer::RemoteSigned { .. }))
}

#[test]
fn a_signer_that_was_killed_signs_the_same_and_nothing_else() {
    let mut signer = Process::signer(&CHILD, 61);
    let asked = |signer: &Process, ask: &Ask| {
        let mut link = Caller::connect(&signer.path("node")).expect("it listens");
        let answer = link.ask(ask.topic(), &ask.encode(), WAIT).expect("it answers");
        answer.payload.to_vec()
    };
    let read = |mut bytes: Vec<u8>| Answer::decode(&mut bytes).expect("an answer");
    begin(|ask| read(asked(&signer, &ask)));
    let first = asked(&signer, &sign(1_000));
    assert!(is_signed(&read(first.clone())));
    for _ in 0..2 {
        assert!(signer.restart(), "it goes on");
        assert!(is_alarm(&read(asked(&signer, &sign(1_001)))));
        assert_eq!(asked(&signer, &sign(1_000)), first);
    }
    // Sockets may ask nothing of this.
    let mut link = Caller::connect(&signer.path("sockets")).expect("it listens");
    for ask in [sign(1_000), ask(ChannelOp::Keys)] {
        let denied = link.ask(ask.topic(), &ask.encode(), WAIT);
        assert!(matches!(denied, Err(bus::CallFault::Denied(_))), "{denied:?}");
    }
    // What is damaged stops the start.
    let path = signer.path(CHANNELS_FILE);
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[100] ^= 1;
    fs::write(&path, &bytes).expect("it is ours");
    assert!(!signer.restart(), "it ends");
    bytes[100] ^= 1;
    fs::write(&path, &bytes).expect("it is ours");
    assert!(signer.restart());
}

/// Whoever asks knows more contracts than the signer: it is told so, and may go on asking.
#[test]
fn a_contract_that_the_signer_does_not_know_is_refused_and_the_link_lives() {
    let signer = Process::signer(&CHILD, 63);
    let mut link = Caller::connect(&signer.path("node")).expect("it listens");
    let mut said = |topic, bytes: &[u8]| {
        let mut answer = link.ask(topic, bytes, WAIT).expect("it answers").payload.to_vec();
        Answer::decode(&mut answer).expect("an answer")
    };
    let mut meaning = meaning(0, 1_000);
    meaning.contracts = contracts(7, 2);
    let sign = ask(ChannelOp::SignRemote { meaning, secrets: Vec::new() });
    let mut bytes = sign.encode();
    // The second contract: its kind stands before the length of its terms.
    let second = [&1_u64.to_be_bytes()[..], &[7; 24]].concat();
    let at = bytes.windows(32).position(|it| it == second).expect("it is written there");
    assert_eq!(bytes[at - 3..at], [0, 0, 36]);
    bytes[at - 2] = 9;
    let unknown =
        Answer::Refused(Refusal::Channel(ChannelRefusal::Contract(tx::Flaw::UnknownKind {
            kind: tx::Kind(9),
        })));
    assert_eq!(said(sign.topic(), &bytes).encode().bytes(), unknown.encode().bytes());
    let keys = ask(ChannelOp::Keys);
    let shown = said(keys.topic(), &keys.encode());
    assert!(matches!(shown, Answer::Channel(ChannelAnswer::Keys(_))), "{}", shown.name());
}

#[test]
fn a_folder_has_one_signer() {
    let mut signer = Process::signer(&CHILD, 62);
    let taken = FolderLock::take(&signer.path("")).expect_err("it has it");
    assert!(matches!(taken, JournalFault::InUse { .. }), "{taken}");
    signer.kill();
    let lock = FolderLock::take(&signer.path("")).expect("whoever is gone has nothing");
    assert!(!signer.restart(), "it does not start");
    drop(lock);
    assert!(signer.restart());
}

#[test]
fn what_was_not_saved_is_not_signed_and_not_remembered() {
    let place = Place::new();
    let dir = place.at("later");
    let (mut files, mut signer) = open(&dir);
    let mut asked =
        |files: &mut SignerFiles, ask: Ask| saved_answer(&mut signer, files, LinkId(1), ask);
    fs::create_dir(&dir).expect("it is ours");
    begin(|ask| asked(&mut files, ask));
    // The disk is gone before the signature is saved: a file that cannot be written.
    let (mut broken, _) = open(&place.at("never"));
    for rate in [1_000, 1_001] {
        let answer = asked(&mut broken, sign(rate));
        let Answer::Refused(Refusal::NotSaved { bytes, code }) = answer else {
            panic!("{} without a disk", answer.name())
        };
        assert!(bytes > 100 && code == 2, "{bytes} {code}");
    }
    // Nothing was promised, so anything may be signed; and then nothing else.
    assert!(is_signed(&asked(&mut files, sign(1_002))));
    assert!(is_alarm(&asked(&mut files, sign(1_000))));
    let (mut files, mut again) = open(&dir);
    assert!(is_alarm(&saved_answer(&mut again, &mut files, LinkId(1), sign(1_001))));
    assert!(is_signed(&saved_answer(&mut again, &mut files, LinkId(1), sign(1_002))));
}

/// What is answered is in the file when the answer is there: a copy of the file knows it.
#[test]
fn each_answer_is_on_the_disk_before_it_is_given() {
    let place = Place::new();
    let dir = place.at("");
    let (mut files, mut signer) = open(&dir);
    let same = |signer: &Signer| {
        let (_, again) = open(&dir);
        assert_eq!(again.channels().encode(NETWORK), signer.channels().encode(NETWORK));
    };
    begin(|ask| {
        let answer = saved_answer(&mut signer, &mut files, LinkId(1), ask);
        same(&signer);
        answer
    });
    let answer = saved_answer(&mut signer, &mut files, LinkId(1), sign(1_000));
    assert!(is_signed(&answer));
    same(&signer);
}

const NETWORK: Network = Network::Regtest;

#[test]
fn a_file_of_another_network_or_node_is_refused_and_said_to_be_precious() {
    let place = Place::new();
    let dir = place.at("");
    let (mut files, mut signer) = open(&dir);
    begin(|ask| saved_answer(&mut signer, &mut files, LinkId(1), ask));
    let open = |seed: u8, network| {
        let keys = apart::seed(seed).channel_keys(network, NodeIndex::FIRST);
        ChannelsFile::open(&dir, network, keys).map(|_| ())
    };
    assert!(open(4, NETWORK).is_ok());
    for wrong in [open(5, NETWORK), open(4, Network::Signet)] {
        let fault = wrong.expect_err("it is another's");
        assert!(matches!(fault, JournalFault::File { .. }), "{fault}");
        assert!(fault.to_string().contains("do not go on without it"), "{fault}");
    }
}

/// Contracts that come and go make the changes longer than their sum: then only that is kept.
#[test]
fn a_file_does_not_grow_for_ever() {
    let place = Place::new();
    let dir = place.at("");
    let keys = || apart::seed(4).channel_keys(NETWORK, NodeIndex::FIRST);
    let (mut file, mut channels) = ChannelsFile::open(&dir, NETWORK, keys()).expect("it is new");
    let mut save = |channels: &mut Channels, change: ChannelChange| {
        let bytes = channels.encode_change(&CHANNEL, &change);
        file.save(channels, &bytes).expect("there is room");
        channels.evolve(CHANNEL, &change);
        bytes.len()
    };
    let shown = ShownKeys {
        funding_key: Point::generate(&mut Dice::new(3)),
        basepoints: set_up_keys(),
        points: [Point::generate(&mut Dice::new(4)); 2],
    };
    save(&mut channels, ChannelChange::SetUp(set_up(&shown)));
    let (mut longest, mut written) = (0, 0);
    for number in 0..160 {
        let mut meaning = meaning(number, 1_000);
        meaning.contracts = contracts(number as u8, 400);
        let txid = Txid::from_byte_array([number as u8; 32]);
        let change = ChannelChange::SignedRemote {
            meaning: Box::new(meaning),
            txid,
            spent: signer::Spent::default(),
        };
        written += save(&mut channels, change);
        longest = longest.max(fs::metadata(dir.join(CHANNELS_FILE)).expect("it is there").len());
    }
    assert!(written > 5 << 19, "{written}");
    assert!(longest < (9 << 17) + 2 * ROOM_BYTES, "{longest}");
    let (_, again) = ChannelsFile::open(&dir, NETWORK, keys()).expect("it is ours");
    assert_eq!(again.encode(NETWORK), channels.encode(NETWORK));
}

fn set_up_keys() -> Basepoints {
    let mut dice = Dice::new(5);
    let mut point = || Point::generate(&mut dice);
    Basepoints { revocation: point(), payment: point(), delayed_payment: point(), htlc: point() }
}

fn contracts(salt: u8, count: usize) -> Vec<Placed> {
    let contract = |at: usize| {
        let mut hash = [salt; 32];
        hash[..8].copy_from_slice(&(at as u64).to_be_bytes());
        let terms = Htlc { payment_hash: PaymentHash(hash), cltv_expiry: BlockHeight(600) };
        let amount = Msat(1_000_000);
        Placed { offered_by: Side::Opener, amount, contract: Arc::new(terms) }
    };
    (0..count).map(contract).collect()
}
