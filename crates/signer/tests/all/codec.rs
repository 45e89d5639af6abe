//! Questions and answers as bytes: there and back, frozen, and everything malformed refused.

use noise::{Act, Fault, Flaw, Sealed, Stored};
use signer::{
    ANSWER_BYTES_MAX, ASK_BYTES_MAX, Answer, Ask, ConnectionId, MESSAGE_BYTES_MAX, Malformed,
    RecordFlaw, Refusal, SignatureFault, Spend, SpendFlaw, ViewFlaw,
};
use wire::Broke;
use wire::dice::Dice;

use crate::parties::{alice, bob, bob_id, handshake, node_key, step, wallet_key};
use crate::vectors::{OZONE_12, VOID_24, bytes};
use crate::{channel_codec, spends, views};

/// Every question, one of each kind.
fn asks() -> Vec<Ask> {
    let (mut alice, mut bob) = (alice(), bob());
    let dial = noise::Ask::Dial { remote: bob_id() };
    let noise::Answer::Dialed { act1 } = step(&mut alice, 1, dial, 0) else { panic!("no act 1") };
    let respond = noise::Ask::Respond { act1 };
    let noise::Answer::Responded { act2, .. } = step(&mut bob, 1, respond, 0) else {
        panic!("no act 2")
    };
    let finish = noise::Ask::Finish { act2 };
    let noise::Answer::Finished { act3, .. } = step(&mut alice, 1, finish, 0) else {
        panic!("no act 3")
    };
    let mut asks = vec![Ask::NodeId];
    asks.extend([dial, finish, respond, noise::Ask::Verify { act3 }].map(|ask| handshake(9, ask)));
    asks.push(Ask::Forget { connection: ConnectionId(u64::MAX) });
    asks.push(Ask::SignMessage { message: b"hi".to_vec() });
    asks.push(Ask::WalletAccount);
    asks.push(Ask::SignSpend { spend: spends::plain() });
    asks.extend(views::asks());
    asks.extend(channel_codec::asks());
    asks.push(Ask::SignSpend { spend: Spend { allow_high_fee: true, ..spends::plain() } });
    asks
}

/// Every fault with which a key holder refuses a step.
fn faults() -> Vec<Fault> {
    let mut faults = vec![Fault::Denied, Fault::IdentityAsEphemeral];
    faults.extend([Act::One, Act::Two, Act::Three].map(|act| Fault::Point { act, prefix: 5 }));
    let sealed = [Sealed::ActOne, Sealed::ActTwo, Sealed::ActThreeKey, Sealed::ActThreeEnd];
    faults.extend(sealed.map(|sealed| Fault::Mac { sealed }));
    for state in ["fresh", "dialing", "responding", "spent"] {
        for ask in ["dial", "finish", "respond", "verify"] {
            faults.push(Fault::NotNow { state, ask });
        }
    }
    faults
}

/// Every answer, one of each kind, with a name.
fn answers() -> Vec<Answer> {
    let (mut alice, mut bob) = (alice(), bob());
    let connection = ConnectionId(0x0102_0304_0506_0708);
    let mut all = Vec::new();
    for ask in &asks()[1..=4] {
        let Ask::Handshake { ask, .. } = *ask else { panic!("no step") };
        let dials = matches!(ask, noise::Ask::Dial { .. } | noise::Ask::Finish { .. });
        let signer = if dials { &mut alice } else { &mut bob };
        all.push(Answer::Handshake { connection, answer: step(signer, 1, ask, 0) });
    }
    assert_eq!(all.len(), 4);
    let node = node_key(OZONE_12).id();
    all.push(Answer::NodeId { node });
    all.push(Answer::Forgotten { connection });
    all.push(Answer::Signed { signature: node_key(VOID_24).sign_message(b"hi") });
    let max = usize::try_from(u32::MAX).unwrap();
    all.push(Answer::Refused(Refusal::Busy { connection, have: 16_384, max }));
    all.push(Answer::Refused(Refusal::MessageTooLong { got: 65_536, max: 65_535 }));
    all.push(Answer::WalletAccount { account: *wallet_key(OZONE_12).account() });
    all.push(spends::ask(&mut bob, &spends::plain()));
    all.extend(views::answers());
    all.extend(channel_codec::answers());
    all.extend(spends::flaws().map(|flaw| Answer::Refused(Refusal::Spend(flaw))));
    all.extend(
        faults()
            .into_iter()
            .map(|fault| Answer::Handshake { connection, answer: noise::Answer::Refused(fault) }),
    );
    all
}

fn encoded_answers() -> Vec<(&'static str, Vec<u8>)> {
    answers().into_iter().map(|a| (a.name(), a.encode().bytes().to_vec())).collect()
}

fn ask_fault(bytes: &[u8]) -> Malformed {
    Ask::decode(bytes).expect_err("malformed")
}

fn answer_fault(bytes: &[u8]) -> Malformed {
    match Answer::decode(&mut bytes.to_vec()) {
        Ok(answer) => panic!("read as {}", answer.name()),
        Err(fault) => fault,
    }
}

#[test]
fn questions_come_back() {
    for ask in asks() {
        let bytes = ask.encode();
        assert!(bytes.len() <= ASK_BYTES_MAX);
        assert_eq!(Ask::decode(&bytes).as_ref(), Ok(&ask), "{}", ask.name());
    }
    let longest = Ask::SignMessage { message: vec![7; MESSAGE_BYTES_MAX] };
    assert!(longest.encode().len() <= ASK_BYTES_MAX);
    assert_eq!(Ask::decode(&longest.encode()), Ok(longest));
    let headers = vec![bitcoin::constants::genesis_block(wire::Network::Regtest).header; 800];
    let longest = Ask::ViewHeaders { headers };
    assert_eq!(Ask::decode(&longest.encode()), Ok(longest));
    let longest = Ask::SignSpend { spend: spends::longest() };
    assert_eq!(Ask::decode(&longest.encode()), Ok(longest));
}

#[test]
fn answers_come_back() {
    for answer in answers() {
        let name = answer.name();
        let frame = answer.encode();
        assert!(frame.bytes().len() <= ANSWER_BYTES_MAX);
        let mut carried = frame.bytes().to_vec();
        let again = Answer::decode(&mut carried).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(carried, vec![0; carried.len()], "{name}: the carrier's bytes are gone");
        assert_eq!(again.name(), name);
        assert_eq!(again.encode().bytes(), frame.bytes(), "{name}");
    }
}

#[test]
fn faults_come_back() {
    let back = |fault| {
        let answer = noise::Answer::Refused(fault);
        let frame = Answer::Handshake { connection: ConnectionId(1), answer }.encode();
        match Answer::decode(&mut frame.bytes().to_vec()) {
            Ok(Answer::Handshake { answer: noise::Answer::Refused(fault), .. }) => fault,
            _ => panic!("no refusal"),
        }
    };
    for fault in faults() {
        assert_eq!(back(fault), fault);
    }
    // Faults of the socket side, which no key holder gives.
    for fault in [
        Fault::Over,
        Fault::Mac { sealed: Sealed::Header { rn: 3 } },
        Fault::NotNow { state: "awaiting act two", ask: "dial" },
        Fault::NotNow { state: "fresh", ask: "sign" },
        Fault::Unanswered { state: "dialing" },
    ] {
        assert_eq!(back(fault), Fault::Denied, "{fault}");
    }
}

#[test]
fn the_layout_is_frozen() {
    let connection = ConnectionId(0x0102_0304_0506_0708);
    let remote = crate::vectors::point(crate::vectors::NODES[0].3);
    let spend = spends::plain();
    let asks: [(Ask, &str); 7] = [
        (Ask::NodeId, "0101"),
        (
            Ask::Handshake { connection, ask: noise::Ask::Dial { remote } },
            "0102 0008 0102030405060708 \
             0221 025556051b018c55c1560bbc9ad1d6ca89829e37fd4f1b7c61e22956fdc190843f",
        ),
        (Ask::Forget { connection }, "0106 0008 0102030405060708"),
        (Ask::SignMessage { message: b"hi".to_vec() }, "0107 0202 6869"),
        (Ask::WalletAccount, "0108"),
        (Ask::ViewStatus, "010c"),
        (Ask::SignSpend { spend }, spends::PLAIN),
    ];
    for (ask, want) in asks {
        assert_eq!(ask.encode(), bytes(&want.replace(' ', "")), "{}", ask.name());
    }
    let refusal = |fault| Answer::Handshake { connection, answer: noise::Answer::Refused(fault) };
    let not_now = Fault::NotNow { state: "responding", ask: "verify" };
    let account = *wallet_key(OZONE_12).account();
    let (outpoint, flaw) = (spends::coin(5), |flaw| Answer::Refused(Refusal::Spend(flaw)));
    let status = views::status();
    let deep = ViewFlaw::Chain(chain::Fault::TooDeep { got: 300, max: 288 });
    let answers: [(Answer, &str); 13] = [
        (
            Answer::NodeId { node: remote },
            "0101 0221 025556051b018c55c1560bbc9ad1d6ca89829e37fd4f1b7c61e22956fdc190843f",
        ),
        (
            Answer::Refused(Refusal::Busy { connection, have: 5, max: 6 }),
            "0108 0008 0102030405060708 0204 00000005 0404 00000006",
        ),
        (
            Answer::Refused(Refusal::MessageTooLong { got: 65_536, max: 65_535 }),
            "0109 0204 00010000 0404 0000ffff",
        ),
        (refusal(Fault::Denied), "010a 0008 0102030405060708"),
        (
            refusal(Fault::Point { act: Act::Two, prefix: 9 }),
            "010b 0008 0102030405060708 0201 02 0401 09",
        ),
        (refusal(Fault::Mac { sealed: Sealed::ActThreeEnd }), "010c 0008 0102030405060708 0201 03"),
        (refusal(not_now), "010d 0008 0102030405060708 0201 02 0401 03"),
        (refusal(Fault::IdentityAsEphemeral), "010e 0008 0102030405060708"),
        (Answer::WalletAccount { account }, spends::OZONE_ACCOUNT),
        (Answer::View { status }, views::STATUS),
        (Answer::Refused(Refusal::View(deep)), "0114 0201 05 040c 0000012c 00000120 00000000"),
        (
            flaw(SpendFlaw::Sequence { input: 1, got: 2, min: 1 << 31 }),
            "0111 0201 04 0418 000000000000000100000000000000020000000080000000",
        ),
        (
            flaw(SpendFlaw::Twice { outpoint }),
            &format!("0111 0201 05 0418 {} 0624 {} 00000005", "00".repeat(24), "05".repeat(32)),
        ),
    ];
    for (answer, want) in answers {
        let name = answer.name();
        assert_eq!(answer.encode().bytes(), bytes(&want.replace(' ', "")), "{name}");
    }
}

#[test]
fn a_prefix_is_refused() {
    for ask in asks() {
        let bytes = ask.encode();
        for len in 0..bytes.len() {
            ask_fault(&bytes[..len]);
        }
    }
    for (_, bytes) in encoded_answers() {
        for len in 0..bytes.len() {
            answer_fault(&bytes[..len]);
        }
    }
}

#[test]
fn an_odd_record_is_skipped_and_an_even_one_is_not() {
    let (odd, even) = (bytes("fd03e7020909"), bytes("fd03e8020909"));
    let unknown = Malformed::Frame(Broke::UnknownEvenTlv { record: 1_000 });
    for ask in asks() {
        let mut longer = [ask.encode(), odd.clone()].concat();
        assert_eq!(Ask::decode(&longer).as_ref(), Ok(&ask));
        longer.truncate(longer.len() - odd.len());
        longer.extend_from_slice(&even);
        assert_eq!(ask_fault(&longer), unknown, "{}", ask.name());
    }
    for (name, bytes) in encoded_answers() {
        let mut longer = [bytes.clone(), odd.clone()].concat();
        let answer = Answer::decode(&mut longer).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(answer.encode().bytes(), bytes, "{name}");
        assert_eq!(answer_fault(&[bytes, even.clone()].concat()), unknown, "{name}");
    }
    // An odd one between others.
    let between = bytes("0102 0008 0000000000000001 0100 0221".replace(' ', "").as_str());
    let ask = Ask::decode(&[between, bob_id().serialize().to_vec()].concat()).unwrap();
    assert_eq!(ask, handshake(1, noise::Ask::Dial { remote: bob_id() }));
}

#[test]
fn malformed_questions_are_refused() {
    let frame = Malformed::Frame;
    let record = |kind, record, flaw| Malformed::Record { kind, record, flaw };
    let short = |need, have| RecordFlaw::Broke(Broke::Short { need, have });
    let no_point = [&[4][..], &[1; 32]].concat();
    let not_on_curve = Broke::NotOnCurve { bytes: Box::new(no_point[..].try_into().unwrap()) };
    let bad_point = format!("0102 0008 0000000000000001 0221 04{}", "01".repeat(32));
    let bad_act = format!("0104 0008 0000000000000001 0232 01{}", "01".repeat(49));
    let short_act = format!("0104 0008 0000000000000001 0231 {}", "00".repeat(49));
    let long_act = format!("0104 0008 0000000000000001 0233 {}", "00".repeat(51));
    let version = Fault::Version { act: Act::One, got: 1, want: 0 };
    let cases: [(&str, &str, Malformed); 22] = [
        ("nothing", "", frame(Broke::Short { need: 1, have: 0 })),
        ("no kind", "01", frame(Broke::Short { need: 1, have: 0 })),
        ("version 0", "0001", Malformed::Version { got: 0, want: 1 }),
        ("version 2", "0201", Malformed::Version { got: 2, want: 1 }),
        ("kind 0", "0100", Malformed::Kind { got: 0 }),
        ("kind 99", "0163", Malformed::Kind { got: 99 }),
        ("long kind", "01fd0100", Malformed::Kind { got: 256 }),
        ("kind too long", "01fd0001", frame(Broke::NotMinimal { value: 1, took: 3, enough: 1 })),
        ("half a record", "0101 01", frame(Broke::Short { need: 1, have: 0 })),
        ("cut record", "0107 0205 68", frame(Broke::Short { need: 5, have: 1 })),
        (
            "huge record",
            "0107 02ffffffffffffffffff",
            frame(Broke::Short { need: usize::MAX, have: 0 }),
        ),
        ("twice", "0107 0200 0200", frame(Broke::TlvTwice { record: 2 })),
        ("order", "0107 0300 0200", frame(Broke::TlvOrder { after: 3, got: 2 })),
        ("stranger", "0101 0200", frame(Broke::UnknownEvenTlv { record: 2 })),
        ("no connection", "0106", Malformed::Missing { kind: 6, record: 0 }),
        ("no message", "0107", Malformed::Missing { kind: 7, record: 2 }),
        ("no act", "0103 0008 0000000000000001", Malformed::Missing { kind: 3, record: 2 }),
        ("short connection", "0106 0007 00000000000000", record(6, 0, short(8, 7))),
        ("bad point", &bad_point, record(2, 2, RecordFlaw::Broke(not_on_curve))),
        ("bad act", &bad_act, record(4, 2, RecordFlaw::Noise(version))),
        ("short act", &short_act, record(4, 2, short(50, 49))),
        ("long act", &long_act, record(4, 2, RecordFlaw::Broke(Broke::Trailing { bytes: 1 }))),
    ];
    for (name, hex, want) in cases {
        assert_eq!(ask_fault(&bytes(&hex.replace(' ', ""))), want, "{name}");
    }
    let long = Ask::SignMessage { message: vec![0; ASK_BYTES_MAX] }.encode();
    assert_eq!(ask_fault(&long), Malformed::TooLong { got: long.len(), max: ASK_BYTES_MAX });
}

#[test]
fn malformed_answers_are_refused() {
    let record = |kind, record, flaw| Malformed::Record { kind, record, flaw };
    let choice = |got, min, max| RecordFlaw::Choice { got, min, max };
    let stored = |stored, flaw| RecordFlaw::Noise(Fault::Stored { stored, flaw });
    let c = "0008 0000000000000001";
    let finished = format!("0103 {c} 0242 00{} 0487 {}", "00".repeat(65), "00".repeat(135));
    let responded = format!("0104 {c} 0232 00{} 0480 {}", "00".repeat(49), "01".repeat(128));
    let signed = format!("0107 0241 1e{}", "01".repeat(64));
    let header = SignatureFault::Header { got: 30, min: 31, max: 34 };
    let state_version = Flaw::Version { got: 0, want: 1 };
    let half_open_length = Flaw::Length { got: 128, want: 129 };
    let cases = [
        ("kind 0", "0100".into(), Malformed::Kind { got: 0 }),
        ("kind 99", "0163".into(), Malformed::Kind { got: 99 }),
        ("version", "0301".into(), Malformed::Version { got: 3, want: 1 }),
        ("transport", finished, record(3, 4, stored(Stored::TransportState, state_version))),
        ("half open", responded, record(4, 4, stored(Stored::HalfOpen, half_open_length))),
        ("signature", signed, record(7, 2, RecordFlaw::Signature(header))),
        ("act 0", format!("010b {c} 0201 00 0401 00"), record(11, 2, choice(0, 1, 3))),
        ("act 4", format!("010b {c} 0201 04 0401 00"), record(11, 2, choice(4, 1, 3))),
        ("sealed", format!("010c {c} 0201 04"), record(12, 2, choice(4, 0, 3))),
        ("state", format!("010d {c} 0201 04 0401 00"), record(13, 2, choice(4, 0, 3))),
        ("step", format!("010d {c} 0201 00 0401 ff"), record(13, 4, choice(255, 0, 3))),
        ("no max", format!("0108 {c} 0204 00000001"), Malformed::Missing { kind: 8, record: 4 }),
        ("no connection", "010a".into(), Malformed::Missing { kind: 10, record: 0 }),
    ];
    for (name, hex, want) in cases {
        assert_eq!(answer_fault(&bytes(&hex.replace(' ', ""))), want, "{name}");
    }
    let (got, max) = (ANSWER_BYTES_MAX + 1, ANSWER_BYTES_MAX);
    assert_eq!(answer_fault(&vec![1; got]), Malformed::TooLong { got, max });
}

#[test]
fn what_is_refused_is_wiped_too() {
    let mut bytes = vec![1; 200];
    assert!(Answer::decode(&mut bytes).is_err());
    assert_eq!(bytes, vec![0; 200]);
}

/// Whatever is read is written again as it was, but for records that were skipped.
#[test]
fn changed_bytes_do_no_harm() {
    let (asks, answers) = (asks(), encoded_answers());
    let mut dice = Dice::new(7);
    let mut read = 0;
    for round in 0..20_000 {
        let mut bytes = match round % 2 {
            0 => asks[dice.below(asks.len())].encode(),
            _ => answers[dice.below(answers.len())].1.clone(),
        };
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len());
            match dice.below(3) {
                0 => bytes[at] = dice.throw() as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, dice.throw() as u8),
            }
        }
        if let Ok(ask) = Ask::decode(&bytes) {
            assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
            read += 1;
        }
        if let Ok(answer) = Answer::decode(&mut bytes.clone()) {
            let again = answer.encode();
            assert!(Answer::decode(&mut again.bytes().to_vec()).is_ok());
            read += 1;
        }
    }
    assert!(read > 100, "{read}");
}
