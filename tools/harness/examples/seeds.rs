//! Writes the inputs that a fuzzer should start from into `fuzz/corpus`: good ones, which it would
//! take long to find by itself.

use std::{fs, io, path::Path, sync::Arc};

use bitcoin::{
    Amount, BlockHash, FeeRate, OutPoint, ScriptBuf, Sequence, TxOut, Txid, hashes::Hash as _,
};
use chain::{BlockRef, Event, Found, FoundIn, Height, Proof, Watch};
use signer::{
    Answer, Ask, Branch, ChannelAnswer, ChannelAsk, ChannelChange, ChannelOp, ChannelRefusal,
    ConnectionId, EndFlaw, KeyIndex, KeyPlace, NodeKey, Payee, Refusal, SetUp, SignClaims,
    SignClose, SignStages, SpendFlaw, SpendInput, View,
};
use sphinx::{
    AssociatedData, Failure, FinalPayload, ForwardPayload, Hop, Hops, PaymentData, PaymentSecret,
    SessionKey,
};
use tx::{
    At, Basepoints, Claim, Claimed, Close, ClosingOutputs, Form, Funding, Htlc, InputSignature,
    Meaning, Party, Placed, Side, Staged, Terms,
};
use wallet::{Order, Recipient, Wallet, Wanted};
use wire::{
    Message, Network,
    address::Addresses,
    amount::{BlockHeight, CsvDelay, FeeratePerKw, LockTime, Msat, Sat},
    bigsize,
    dice::Dice,
    features::{Feature, Features},
    field::Field as _,
    id::{ChannelKey, CommitmentNumber, PaymentHash, PaymentPreimage, PerCommitmentSecret, Scid},
    key::{Point, Signature},
    lease::{LeaseEpoch, StaleLease},
    list::Blob,
    tick::Tick,
    tlv::{Extension as _, Unknown},
};

fn main() -> io::Result<()> {
    let mut dice = Dice::new(1);
    for (message_type, name) in Message::ALL {
        let message = Message::generate(*message_type, &mut dice).expect("it is listed");
        keep("message", name, &message.encode().expect("generated messages are short"))?;
    }
    for chosen in [0_u8, 3, 7, 30] {
        let bytes = [&[chosen][..], &[0; 8], &[0, 40, 0xff, 0, 2, 1]].concat();
        keep("message_of", &format!("row-{chosen}"), &bytes)?;
    }
    let mut stream = Unknown::NONE;
    for (number, value) in [(0x1_0001, &b""[..]), (1 << 32 | 1, b"five"), (1 << 33 | 1, b"nine")] {
        stream.insert(number, value).expect("odd");
        let mut bytes = Vec::new();
        bigsize::write(number, &mut bytes);
        keep("bigsize", &format!("number-{number}"), &bytes)?;
    }
    let mut bytes = Vec::new();
    stream.write_rest(0, &mut bytes);
    keep("tlv_stream", "three-records", &bytes)?;
    let all = Features::optional(Feature::ALL);
    keep("features", "all-twice", &[all.bytes(), all.bytes()].concat())?;
    for number in 0..4 {
        let mut bytes = Vec::new();
        Addresses::generate(&mut dice).write(&mut bytes);
        keep("addresses", &format!("some-{number}"), &bytes)?;
    }
    keep("acts", "after-a-good-act", &[50, 7, 0, 2, 3, 4])?;
    keep("acts", "from-the-start", &[0, 255, 0, 2, 3, 4])?;
    keep("record_stream", "moved-and-damaged", &[0, 0, 0, 9, 200, 3, 80, 0, 255, 3, 251, 5])?;
    for (rn, pending) in [([0, 0], [0, 0]), ([0, 7], [0, 9])] {
        let keys: Vec<u8> = (1..=128).collect();
        let (send, receive) = keys.split_at(64);
        let state = [&[1][..], send, &[3, 0xe6], receive, &rn, &pending].concat();
        keep("transport_state", &format!("rn-{}", rn[1]), &state)?;
    }
    let secrets: Vec<u8> = (1..=128).collect();
    keep("half_open", "plausible", &[&[1][..], &secrets].concat())?;
    engine()?;
    onions()?;
    keys()
}

/// Channels that pay, reconnect, crash, close and fail. Each act is whose it is (0 the peer, 1 we,
/// 2 what happens), what it is, and what it takes.
fn engine() -> io::Result<()> {
    const PEER_ADDS: &[u8] = &[0, 0, 0, 80, 20, 0, 1, 0];
    const WE_OFFER: &[u8] = &[1, 0, 0, 90, 20, 0, 1];
    const DANCE: &[u8] = &[0, 26];
    const RECONNECT: &[u8] = &[2, 8, 3, 0];
    const DUSK: &[u8] = &[2, 18, 15];
    let pays = [PEER_ADDS, WE_OFFER, DANCE].concat();
    let runs: [(&str, Vec<u8>); 8] = [
        ("pay", [&pays[..], &[1, 5, 0, 0, 0, 4, 0, 0], DANCE].concat()),
        ("reconnect", [&pays[..], &[2, 0], WE_OFFER, &[2, 2, 2, 3], RECONNECT, DANCE].concat()),
        ("crash", [&pays[..], &[2, 0], WE_OFFER, &[2, 2, 2, 11, 2, 7, 0, 0, 12, 0]].concat()),
        ("rollback", [&pays[..], DANCE, &[2, 13, 0, 6, 2, 7, 0, 0, 12, 0, 2, 24]].concat()),
        ("close", [&[1, 10, 1, 0, 15, 0, 0, 16, 0, 0, 0], DUSK, &[2, 24, 0, 0]].concat()),
        ("close-simply", [RECONNECT, &[1, 10, 1, 0, 15, 0, 0, 19, 0, 0, 18, 0, 0]].concat()),
        ("fail", [&pays[..], &[1, 11, 0, 2, 24, 0, 0], DUSK, &[2, 15, 3], DUSK].concat()),
        ("cheat", [&pays[..], PEER_ADDS, DANCE, &[2, 24, 3, 2], DUSK, DUSK].concat()),
    ];
    for (name, run) in runs {
        for kind in 0..4 {
            keep("channel", &format!("{name}-{kind}"), &[&[kind][..], &run].concat())?;
        }
    }
    for kind in 0..4 {
        keep("opening", &format!("good-{kind}"), &[&[kind, 0][..], &pays].concat())?;
        let twisted = [&[kind, 1, 0, 0, 70, 8][..], &[0, 0, 0, 0, 0, 0, 1, 98], &pays].concat();
        keep("opening", &format!("twisted-{kind}"), &twisted)?;
    }
    Ok(())
}

/// What two hops are told, the packet that tells them, and why they fail.
fn onions() -> io::Result<()> {
    let (amt_to_forward, outgoing_cltv_value) = (Msat(1_000), BlockHeight(800_000));
    let short_channel_id = Scid(3);
    let first = ForwardPayload { amt_to_forward, outgoing_cltv_value, short_channel_id };
    let (payment_secret, total_msat) = (PaymentSecret([1; 32]), Msat(2_000));
    let last = FinalPayload {
        amt_to_forward,
        outgoing_cltv_value,
        payment_data: Some(PaymentData { payment_secret, total_msat }),
        payment_metadata: Some(Blob(vec![2; 9])),
        keysend_preimage: Some(PaymentPreimage([3; 32])),
    };
    keep("onion", "forward", &first.encode())?;
    keep("onion", "final", &last.encode())?;
    let key = NodeKey::take(&mut [1; 32]).expect("small repeated bytes are a key");
    let node = key.id().into();
    let hops = [first.encode(), last.encode()].map(|payload| Hop { node, payload });
    let hops = Hops::new(hops.to_vec()).expect("two short ones fit");
    let session = SessionKey::take(&mut [4; 32]).expect("small repeated bytes are a key");
    let associated_data = AssociatedData::Payment(PaymentHash([0x42; 32]));
    let packet = hops.wrap(session, &associated_data).packet;
    keep("onion", "packet", &packet.0)?;
    let peel = key.peel(&packet, &associated_data);
    let damaged = key.peel(&packet, &AssociatedData::Message);
    keep("signer_ask", "peel-onion", &Ask::PeelOnion { packet, associated_data }.encode())?;
    for (name, peel) in [("peeled", peel), ("bad-onion", damaged)] {
        keep("signer_answer", name, Answer::Peeled(peel.into()).encode().bytes())?;
    }
    let failure = Failure::IncorrectOrUnknownPaymentDetails {
        htlc_msat: amt_to_forward,
        height: outgoing_cltv_value,
    };
    keep("onion", "failure", &failure.encode().expect("it is short"))
}

fn keys() -> io::Result<()> {
    let connection = ConnectionId(7);
    keep("signer_ask", "node-id", &Ask::NodeId.encode())?;
    keep("signer_ask", "forget", &Ask::Forget { connection }.encode())?;
    keep("signer_ask", "sign", &Ask::SignMessage { message: b"hello".to_vec() }.encode())?;
    let key = NodeKey::take(&mut [1; 32]).expect("small repeated bytes are a key");
    let signature = key.sign_message(b"hello");
    keep("seed_file", "signature", signature.to_string().as_bytes())?;
    keep("seed_file", "magic", signer::FILE_MAGIC)?;
    keep("signer_answer", "signed", Answer::Signed { signature }.encode().bytes())?;
    keep("signer_answer", "node-id", Answer::NodeId { node: key.id() }.encode().bytes())?;
    channels()?;
    money()
}

/// A channel that is set up, used and closing; and each question about one.
fn channels() -> io::Result<()> {
    let mut dice = Dice::new(20);
    let setup = set_up(&mut dice);
    let (point, txid) = (setup.terms.opener.funding_key, setup.terms.funding.outpoint.txid);
    let htlc = Htlc { payment_hash: PaymentHash([3; 32]), cltv_expiry: BlockHeight(600) };
    let amount = Msat(50_000_000);
    let placed = Placed { offered_by: Side::Opener, amount, contract: Arc::new(htlc) };
    let meaning = |number, contracts: Vec<Placed>| Meaning {
        owner: Side::Acceptor,
        number: CommitmentNumber(number),
        point,
        feerate: FeeratePerKw(253),
        to_opener: Msat(900_000_000),
        to_acceptor: Msat(50_000_000),
        contracts,
    };
    let (key, secret) = (ChannelKey([8; 32]), PerCommitmentSecret([4; 32]));
    let signed = |number, contracts| ChannelChange::SignedRemote {
        meaning: Box::new(meaning(number, contracts)),
        txid,
        spent: signer::Spent::default(),
    };
    let (mut channels, mut saved) = (harness::empty_channels(), Vec::new());
    for change in [
        ChannelChange::SetUp(Box::new(setup.clone())),
        signed(0, vec![]),
        signed(1, vec![placed.clone()]),
        signed(2, vec![placed.clone(), placed.clone()]),
        ChannelChange::Revoked { number: CommitmentNumber(0), secret },
        ChannelChange::Closing,
        ChannelChange::Shut,
    ] {
        saved.extend(harness::change_bytes(&channels.encode_change(&key, &change)));
        channels.evolve(key, &change);
    }
    keep("signer_channels", "used", &saved)?;
    let (meaning, secrets) = (meaning(1, vec![placed.clone()]), vec![vec![6; 32]]);
    let at = At { number: meaning.number, point: meaning.point };
    let signature = Signature::generate(&mut dice);
    for op in [
        ChannelOp::Keys,
        ChannelOp::SetUp(Box::new(setup)),
        ChannelOp::SignRemote { meaning: meaning.clone(), secrets: secrets.clone() },
        ChannelOp::Advance {
            meaning: meaning.clone(),
            secrets,
            signature,
            stages: vec![signature],
        },
        ChannelOp::Revoked { number: CommitmentNumber(0), secret },
        ChannelOp::SignLocal { meaning },
        ChannelOp::CheckSecret { number: CommitmentNumber(0), secret },
    ]
    .into_iter()
    .chain(ends(at, placed, signature))
    {
        let ask =
            Ask::Channel { lease: LeaseEpoch(0), ask: Box::new(ChannelAsk { channel: key, op }) };
        keep("signer_ask", &ask.name().replace(' ', "-"), &ask.encode())?;
    }
    let lease = Ask::Lease { epoch: LeaseEpoch(2) };
    keep("signer_ask", lease.name(), &lease.encode())?;
    let stale = StaleLease { got: LeaseEpoch(1), have: LeaseEpoch(2) };
    let stale = Answer::Refused(Refusal::StaleLease(stale));
    keep("signer_answer", "stale-lease", stale.encode().bytes())?;
    channel_answers(signature)
}

fn set_up(dice: &mut Dice) -> SetUp {
    let mut point = || Point::generate(dice);
    let mut party = || Party {
        funding_key: point(),
        keys: Basepoints {
            revocation: point(),
            payment: point(),
            delayed_payment: point(),
            htlc: point(),
        },
        dust_limit: Sat(354),
        delay: CsvDelay(144),
    };
    let (opener, acceptor) = (party(), party());
    let outpoint = OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 1 };
    let funding = Funding { outpoint, value: Sat(1_000_000) };
    let terms = Terms { form: Form::Anchors, funding, opener, acceptor };
    SetUp { side: Side::Opener, terms, pushed: Msat(7) }
}

/// Questions that end a channel.
fn ends(at: At, placed: Placed, signature: Signature) -> [ChannelOp; 3] {
    let index = KeyIndex::new(5).expect("it is small");
    let (place, secret) = (KeyPlace { branch: Branch::Receive, index }, Some(vec![6; 32]));
    let mut parent = bitcoin::constants::genesis_block(Network::Regtest).txdata[0].clone();
    parent.input[0].witness.clear();
    let outpoint = OutPoint { txid: parent.compute_txid(), vout: 0 };
    let claim = |what| Claim { outpoint, value: Sat(9_000), claimer: Side::Opener, what };
    let claims = vec![
        claim(Claimed::Delayed(at)),
        claim(Claimed::ToRemote),
        claim(Claimed::Anchor),
        claim(Claimed::Contract { at, placed: placed.clone(), secret: secret.clone() }),
        claim(Claimed::OwnContract { at, placed: placed.clone(), secret: secret.clone() }),
        claim(Claimed::RevokedDelayed(at)),
        claim(Claimed::RevokedContract { at, placed }),
    ];
    let (amount, sequence) = (Amount::from_sat(700), Sequence::ENABLE_RBF_NO_LOCKTIME);
    let (coins, fee) = (vec![SpendInput { outpoint, amount, place, sequence }], Sat(300));
    let close = Close {
        to_opener: Msat(900_000_000),
        to_acceptor: Msat(100_000_000),
        opener_script: Some(ScriptBuf::from_bytes(vec![0x51; 22])),
        acceptor_script: None,
        fee,
        dialect: ClosingOutputs::Complete { closer: Side::Opener, lock_time: LockTime(7) },
    };
    let stages = vec![Staged { contract: 0, signature, secret }];
    let (to, lock_time) = (Payee::Ours(place), LockTime(0));
    let swept =
        SignClaims { claims, parents: vec![parent], coins: coins.clone(), to, fee, lock_time };
    [
        ChannelOp::SignClose(Box::new(SignClose { close, ours: Payee::Ours(place) })),
        ChannelOp::SignClaims(Box::new(swept)),
        ChannelOp::SignStages(Box::new(SignStages { stages, coins, change: Some(place), fee })),
    ]
}

fn channel_answers(signature: Signature) -> io::Result<()> {
    let refusal = ChannelRefusal::Contracts { got: 484, max: 483 };
    let refused = Answer::Refused(Refusal::Channel(refusal));
    keep("signer_answer", "channel-refused", refused.encode().bytes())?;
    let outpoint = OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 1 };
    let flaw = EndFlaw::NotThere { outpoint, got: Sat(7), have: Some(Sat(8)) };
    let refused = Answer::Refused(Refusal::Channel(ChannelRefusal::End(flaw)));
    keep("signer_answer", "end-refused", refused.encode().bytes())?;
    let coin = bitcoin::secp256k1::schnorr::Signature::from_slice(&[5; 64]).expect("64 bytes");
    let signatures = vec![InputSignature::Channel(signature), InputSignature::Coin(coin)];
    for answer in [
        ChannelAnswer::RemoteSigned { signature, stages: vec![signature] },
        ChannelAnswer::InputsSigned { signatures },
    ] {
        let name = answer.name().replace(' ', "-");
        keep("signer_answer", &name, Answer::Channel(answer).encode().bytes())?;
    }
    Ok(())
}

/// A wallet that was paid, has sent, keeps a coin, and has drafted what it has not published.
fn money() -> io::Result<()> {
    let (first, account) = (harness::genesis(), harness::account());
    let genesis = bitcoin::constants::genesis_block(Network::Regtest);
    let block = |height, byte| BlockRef {
        height: Height(height),
        hash: BlockHash::from_byte_array([byte; 32]),
    };
    let mut wallet = Wallet::create(account, Network::Regtest, first);
    let script = wallet.address().expect("the first one").script_pubkey();
    let mut gift = genesis.txdata[0].clone();
    gift.input[0].previous_output.vout = 1;
    gift.output = vec![TxOut { value: Amount::from_sat(90_000), script_pubkey: script.clone() }; 2];
    let transaction = Arc::new(gift);
    let (watch, part) = (Watch::Pay(script.clone()), FoundIn::Output(0));
    let found = vec![Found { watch, transaction, position: 1, part }];
    let to = Recipient::Script(script);
    let rate = FeeRate::from_sat_per_kwu(500);
    let order = Order::new(to, Wanted::Exactly(Amount::from_sat(20_000)), rate);
    let heard = wallet.hear(Event::Connected { block: block(1, 1), found });
    heard.expect("it follows the first");
    let draft = wallet.send(&order, [7; 32]).expect("there is enough");
    let free = wallet.coins().into_iter().find(|coin| coin.is_free()).expect("one of two");
    wallet.lock(free.outpoint, 3, Some(Height(9))).expect("nobody keeps it");
    let mut sent = draft.spend().transaction(&account);
    sent.input[0].witness.push([1; 64]);
    wallet.published(sent).expect("it was drafted");
    let gone = Event::Disconnected { block: block(1, 1), cursor: first };
    wallet.hear(gone).expect("it was the newest");
    let snapshot = wallet.snapshot();
    keep("wallet", "snapshot", &[&[0][..], &snapshot].concat())?;
    let mut number = 0;
    while let Some(change) = wallet.change() {
        keep("wallet", &format!("change-{number}"), &[&[1][..], &change].concat())?;
        number += 1;
    }
    let view = View::genesis(Network::Regtest);
    keep("signer_view", "genesis", &view.encode())?;
    let proof = Proof::of(&genesis, 0).expect("every block has a coinbase");
    let proven = view.judge_proof(genesis.block_hash(), &proof).expect("it is the first block");
    keep("signer_view", "proven", &[view.encode(), proven.encode()].concat())?;
    keep("signer_ask", "sign-spend", &draft.ask().encode())?;
    keep(
        "signer_ask",
        "view-headers",
        &Ask::ViewHeaders { headers: vec![genesis.header] }.encode(),
    )?;
    let proof = Box::new(Proof::of(&genesis, 0).expect("every block has a coinbase"));
    let ask = Ask::ViewProof { block: genesis.block_hash(), proof };
    keep("signer_ask", "view-proof", &ask.encode())?;
    let status = view.status(Tick(0), None);
    keep("signer_answer", "view", Answer::View { status }.encode().bytes())?;
    keep("signer_answer", "account", Answer::WalletAccount { account }.encode().bytes())?;
    let flaw = SpendFlaw::Twice { outpoint: free.outpoint };
    let refused = Answer::Refused(Refusal::Spend(flaw));
    keep("signer_answer", "spend-refused", refused.encode().bytes())
}

fn keep(target: &str, name: &str, input: &[u8]) -> io::Result<()> {
    let folder = Path::new("fuzz/corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), input)
}
