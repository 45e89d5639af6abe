//! Handshakes: one answer per connection, a limit, a time, and links that do not meet.

use noise::{Act2, Act3, Fault, Initiator, Responder};
use signer::{
    Answer, Ask, ConnectionId, HANDSHAKE_MS_MAX, HANDSHAKES_MAX, LinkId, Refusal, Signer,
};
use wire::tick::Tick;

use crate::parties::{
    LINK, alice, ask_over_bytes, bob, bob_id, ephemeral, handshake, refused, step,
};

const OTHER: LinkId = LinkId(2);
const MAX: u64 = HANDSHAKE_MS_MAX.0;

fn dial() -> noise::Ask {
    noise::Ask::Dial { remote: bob_id() }
}

fn not_now(state: &'static str, ask: &'static str) -> Fault {
    Fault::NotNow { state, ask }
}

/// What the two say to each other: all four questions, in the order of the two sides.
struct Script {
    respond: noise::Ask,
    finish: noise::Ask,
    verify: noise::Ask,
}

/// A handshake of connection `number` of both, which both are asked about in every step.
fn script(alice: &mut Signer, bob: &mut Signer, number: u64) -> Script {
    let noise::Answer::Dialed { act1 } = step(alice, number, dial(), 0) else { panic!("no act 1") };
    let respond = noise::Ask::Respond { act1 };
    let noise::Answer::Responded { act2, .. } = step(bob, number, respond, 0) else {
        panic!("no act 2")
    };
    let finish = noise::Ask::Finish { act2 };
    let noise::Answer::Finished { act3, .. } = step(alice, number, finish, 0) else {
        panic!("no act 3")
    };
    Script { respond, finish, verify: noise::Ask::Verify { act3 } }
}

fn bad(act: noise::Ask) -> noise::Ask {
    match act {
        noise::Ask::Finish { act2 } => {
            let mut bytes = *act2.bytes();
            bytes[49] ^= 1;
            noise::Ask::Finish { act2: Act2::parse(bytes).unwrap() }
        }
        noise::Ask::Respond { act1 } => {
            let mut bytes = *act1.bytes();
            bytes[49] ^= 1;
            noise::Ask::Respond { act1: noise::Act1::parse(bytes).unwrap() }
        }
        noise::Ask::Verify { act3 } => {
            let mut bytes = *act3.bytes();
            bytes[65] ^= 1;
            noise::Ask::Verify { act3: Act3::parse(bytes).unwrap() }
        }
        noise::Ask::Dial { .. } => panic!("no act"),
    }
}

/// Both cores of `noise` with a signer behind bytes each: they open the same connection.
#[test]
fn two_signers_open_a_connection() {
    let (mut alice, mut bob) = (alice(), bob());
    let (mut one, mut two) = (Initiator::new(bob.node_id()), Responder::new());
    let (mut states, mut sent) = (Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..4 {
        while let Some(effect) = one.poll() {
            match effect {
                noise::Effect::Ask(ask) => {
                    one.handle_answer(step(&mut alice, 7, ask, 0)).unwrap();
                }
                noise::Effect::Send(act) => sent[0].extend_from_slice(act.bytes()),
                noise::Effect::Done { remote, transport } => {
                    assert_eq!(remote, bob.node_id());
                    states.push(transport.export().as_bytes().to_vec());
                }
            }
        }
        let taken = two.handle_bytes(&sent[0]).unwrap();
        sent[0].drain(..taken);
        while let Some(effect) = two.poll() {
            match effect {
                noise::Effect::Ask(ask) => {
                    two.handle_answer(step(&mut bob, 7, ask, 0)).unwrap();
                }
                noise::Effect::Send(act) => sent[1].extend_from_slice(act.bytes()),
                noise::Effect::Done { remote, transport } => {
                    assert_eq!(remote, alice.node_id());
                    states.push(transport.export().as_bytes().to_vec());
                }
            }
        }
        let taken = one.handle_bytes(&sent[1]).unwrap();
        sent[1].drain(..taken);
    }
    let [a, b] = &states[..] else { panic!("{} ends are open", states.len()) };
    // What one sends with, the other receives with.
    assert_eq!((&a[1..65], &a[67..131]), (&b[67..131], &b[1..65]));
    assert!(two.is_verified());
    assert_eq!((alice.handshakes(), bob.handshakes()), (0, 0));
}

#[test]
fn each_question_is_answered_once() {
    let (mut alice, mut bob) = (alice(), bob());
    let Script { respond, finish, verify } = script(&mut alice, &mut bob, 1);
    assert_eq!(refused(step(&mut bob, 1, respond, 0)), not_now("responding", "respond"));
    assert_eq!(refused(step(&mut bob, 1, dial(), 0)), not_now("responding", "dial"));
    assert_eq!(step(&mut bob, 1, verify, 0).name(), "verified");
    for ask in [dial(), finish, respond, verify] {
        for signer in [&mut alice, &mut bob] {
            assert_eq!(refused(step(signer, 1, ask, 0)), not_now("spent", ask.name()));
        }
    }
}

#[test]
fn a_question_out_of_turn_changes_nothing() {
    let (mut alice, mut bob) = (alice(), bob());
    let Script { respond, finish, verify } = script(&mut alice, &mut bob, 1);
    let mut alice = crate::parties::alice();
    for ask in [finish, verify] {
        assert_eq!(refused(step(&mut alice, 2, ask, 0)), not_now("fresh", ask.name()));
    }
    assert_eq!((alice.handshakes(), alice.next_expiry()), (0, None), "nothing is kept of it");
    assert_eq!(step(&mut alice, 2, dial(), 5).name(), "dialed");
    for ask in [dial(), respond, verify] {
        assert_eq!(refused(step(&mut alice, 2, ask, 9)), not_now("dialing", ask.name()));
    }
    assert_eq!(alice.next_expiry(), Some(Tick(5 + MAX)), "and no time is won");
}

#[test]
fn a_bad_act_spends_a_connection() {
    let (mut alice, mut bob) = (alice(), bob());
    let Script { respond, finish, verify } = script(&mut alice, &mut bob, 1);
    assert!(matches!(refused(step(&mut bob, 1, bad(verify), 0)), Fault::Mac { .. }));
    assert_eq!(refused(step(&mut bob, 1, verify, 0)), not_now("spent", "verify"));
    step(&mut alice, 2, dial(), 0);
    assert!(matches!(refused(step(&mut alice, 2, bad(finish), 0)), Fault::Mac { .. }));
    assert_eq!(refused(step(&mut alice, 2, finish, 0)), not_now("spent", "finish"));
    assert!(matches!(refused(step(&mut bob, 3, bad(respond), 0)), Fault::Mac { .. }));
    assert_eq!(refused(step(&mut bob, 3, respond, 0)), not_now("spent", "respond"));
    assert_eq!((alice.handshakes(), bob.handshakes()), (0, 0));
}

#[test]
fn a_link_cannot_reach_another_ones_connection() {
    let (mut alice, mut bob) = (alice(), bob());
    let noise::Answer::Dialed { act1 } = step(&mut alice, 1, dial(), 0) else { panic!("no act 1") };
    let noise::Answer::Responded { act2, .. } = step(&mut bob, 1, noise::Ask::Respond { act1 }, 0)
    else {
        panic!("no act 2")
    };
    let finish = handshake(1, noise::Ask::Finish { act2 });
    let forget = Ask::Forget { connection: ConnectionId(1) };
    let Answer::Handshake { answer, .. } = ask_over_bytes(&mut alice, OTHER, &finish, 0, 1) else {
        panic!("no answer")
    };
    assert_eq!(refused(answer), not_now("fresh", "finish"));
    ask_over_bytes(&mut alice, OTHER, &forget, 0, 1);
    alice.unlink(OTHER);
    assert_eq!(step(&mut alice, 1, noise::Ask::Finish { act2 }, 0).name(), "finished");
}

#[test]
fn a_connection_that_is_forgotten_is_spent() {
    let mut alice = alice();
    let forget = Ask::Forget { connection: ConnectionId(1) };
    // One that was never there is none of our business.
    assert_eq!(ask_over_bytes(&mut alice, LINK, &forget, 0, 1).name(), "forgotten");
    step(&mut alice, 1, dial(), 0);
    assert_eq!(alice.handshakes(), 1);
    assert_eq!(ask_over_bytes(&mut alice, LINK, &forget, 1, 1).name(), "forgotten");
    assert_eq!((alice.handshakes(), alice.next_expiry()), (0, None));
    assert_eq!(refused(step(&mut alice, 1, dial(), 2)), not_now("spent", "dial"));
}

#[test]
fn a_link_that_is_gone_takes_its_connections_along() {
    let mut alice = alice();
    for connection in [0, 5, u64::MAX] {
        for link in [LINK, OTHER] {
            ask_over_bytes(&mut alice, link, &handshake(connection, dial()), 0, 1);
        }
    }
    assert_eq!(alice.handshakes(), 6);
    alice.unlink(LINK);
    assert_eq!(alice.handshakes(), 3);
    assert_eq!(step(&mut alice, 5, dial(), 0).name(), "dialed", "it begins anew");
}

#[test]
fn a_handshake_expires() {
    let mut alice = alice();
    step(&mut alice, 1, dial(), 1_000);
    step(&mut alice, 2, dial(), 1_001);
    assert_eq!(alice.next_expiry(), Some(Tick(1_000 + MAX)));
    alice.expire(Tick(999 + MAX));
    assert_eq!(alice.handshakes(), 2);
    alice.expire(Tick(1_000 + MAX));
    assert_eq!((alice.handshakes(), alice.next_expiry()), (1, Some(Tick(1_001 + MAX))));
    let (mut other, mut bob) = (crate::parties::alice(), bob());
    let finish = script(&mut other, &mut bob, 1).finish;
    // Any question makes time pass, and what is over is not answered.
    assert_eq!(refused(step(&mut alice, 2, finish, 1_001 + MAX)), not_now("fresh", "finish"));
    assert_eq!((alice.handshakes(), alice.next_expiry()), (0, None));
}

#[test]
fn a_clock_that_goes_back_prolongs_nothing() {
    let mut alice = alice();
    step(&mut alice, 1, dial(), 5_000);
    step(&mut alice, 2, dial(), 10);
    assert_eq!(alice.next_expiry(), Some(Tick(5_000 + MAX)));
    alice.expire(Tick(5_000 + MAX));
    assert_eq!(alice.handshakes(), 0);
}

#[test]
fn a_spent_connection_is_forgotten_in_time() {
    let (mut alice, mut bob) = (alice(), bob());
    let _ = script(&mut alice, &mut bob, 1);
    assert_eq!(refused(step(&mut alice, 1, dial(), MAX - 1)), not_now("spent", "dial"));
    assert_eq!(step(&mut alice, 1, dial(), MAX).name(), "dialed");
}

#[test]
fn a_signer_that_restarts_refuses_the_rest() {
    let (mut first, mut bob) = (alice(), bob());
    let Script { finish, .. } = script(&mut first, &mut bob, 1);
    let mut second = alice();
    assert_eq!(refused(step(&mut second, 1, finish, 0)), not_now("fresh", "finish"));
}

#[test]
fn an_ephemeral_key_is_drawn_for_a_beginning_only() {
    let (mut alice, mut bob) = (alice(), bob());
    let Script { finish, respond, .. } = script(&mut alice, &mut bob, 1);
    let drawn = |signer: &mut Signer, ask: Ask| {
        let mut drawn = 0;
        signer.answer(LINK, ask, Tick(0), || {
            drawn += 1;
            ephemeral(9)
        });
        drawn
    };
    assert_eq!(drawn(&mut alice, handshake(1, dial())), 0, "spent");
    assert_eq!(drawn(&mut alice, handshake(2, finish)), 0, "out of turn");
    assert_eq!(drawn(&mut alice, handshake(2, dial())), 1);
    assert_eq!(drawn(&mut alice, handshake(2, finish)), 0);
    assert_eq!(drawn(&mut bob, handshake(2, respond)), 1);
    assert_eq!(drawn(&mut bob, Ask::NodeId), 0);
    assert_eq!(drawn(&mut bob, Ask::SignMessage { message: Vec::new() }), 0);
}

fn begin(signer: &mut Signer, connection: u64, now: u64) -> Answer {
    signer.answer(LINK, handshake(connection, dial()), Tick(now), || ephemeral(3))
}

#[test]
fn there_are_never_too_many() {
    let mut alice = alice();
    let count = HANDSHAKES_MAX as u64;
    for connection in 0..count {
        assert_eq!(begin(&mut alice, connection, connection / 1_000).name(), "dialed");
    }
    assert_eq!(alice.handshakes(), HANDSHAKES_MAX);
    let Answer::Refused(refusal) = begin(&mut alice, count, 100) else { panic!("one too many") };
    let (connection, have) = (ConnectionId(count), HANDSHAKES_MAX);
    assert_eq!(refusal, Refusal::Busy { connection, have, max: HANDSHAKES_MAX });
    // Those that are under way go on, and one that ends makes room for one.
    alice.answer(LINK, Ask::Forget { connection: ConnectionId(5) }, Tick(100), || ephemeral(3));
    assert_eq!(begin(&mut alice, count, 100).name(), "dialed");
    assert_eq!(begin(&mut alice, count + 1, 100).name(), "refused");
    // So does time.
    assert_eq!(begin(&mut alice, count + 1, MAX).name(), "dialed");
    assert_eq!(alice.handshakes(), HANDSHAKES_MAX + 1 - 999);
}

#[test]
fn other_questions_are_answered() {
    let mut alice = alice();
    let Answer::NodeId { node } = ask_over_bytes(&mut alice, LINK, &Ask::NodeId, 0, 1) else {
        panic!("no id")
    };
    assert_eq!(node, alice.node_id());
    let message = b"who are you?".to_vec();
    let ask = Ask::SignMessage { message: message.clone() };
    let Answer::Signed { signature } = ask_over_bytes(&mut alice, LINK, &ask, 0, 1) else {
        panic!("no signature")
    };
    assert_eq!(signature.recover(&message), Ok(node));
    let ask = Ask::SignMessage { message: vec![0; 65_536] };
    let Answer::Refused(refusal) = alice.answer(LINK, ask, Tick(0), || ephemeral(1)) else {
        panic!("signed")
    };
    assert_eq!(refusal, Refusal::MessageTooLong { got: 65_536, max: 65_535 });
}
