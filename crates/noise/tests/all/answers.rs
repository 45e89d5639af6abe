//! Questions and answers: each once, in order, and nothing moves on one that was not asked for.

use noise::{Act1, Act2, Act3, Answer, Ask, Culprit, Effect, Fault, Initiator, Responder};

use crate::parties::{Core, Split, identity, responded, responder_id, states};
use crate::vectors::{ACT1, ACT2, ACT3, RESPONDER_KEY, array, bytes};

const ANSWERS: [&str; 5] = ["dialed", "finished", "responded", "verified", "refused"];

fn answer(name: &str) -> Answer {
    match name {
        "dialed" => Answer::Dialed { act1: Act1::parse(array(ACT1)).unwrap() },
        "finished" => {
            let (act3, transport) = (Act3::parse(array(ACT3)).unwrap(), states().0);
            Answer::Finished { act3, transport }
        }
        "responded" => {
            let (act2, half_open, _) = responded();
            Answer::Responded { act2, half_open }
        }
        "verified" => {
            let remote = identity(crate::vectors::INITIATOR_KEY).public();
            Answer::Verified { remote }
        }
        "refused" => Answer::Refused(Fault::Denied),
        other => panic!("there is no answer {other}"),
    }
}

fn asks() -> [Ask; 4] {
    [
        Ask::Dial { remote: responder_id() },
        Ask::Finish { act2: Act2::parse(array(ACT2)).unwrap() },
        Ask::Respond { act1: Act1::parse(array(ACT1)).unwrap() },
        Ask::Verify { act3: Act3::parse(array(ACT3)).unwrap() },
    ]
}

/// Brings a core to the state called `state` by the shortest way.
fn initiator_in(state: &str) -> Initiator {
    let mut core = Initiator::new(responder_id());
    let on = |core: &mut Initiator| match core.state() {
        "dialing" => core.handle_answer(answer("dialed")),
        "awaiting act two" => core.handle_bytes(&bytes(ACT2)).map(|_| ()),
        "finishing" => core.handle_answer(answer("finished")),
        "done" => panic!("no state {state}"),
        other => panic!("{other} is a dead end"),
    };
    if state == "over" {
        core.handle_answer(answer("refused")).unwrap_err();
    }
    while core.state() != state {
        on(&mut core).unwrap();
    }
    core
}

fn responder_in(state: &str) -> Responder {
    let mut core = Responder::new();
    let on = |core: &mut Responder| match core.state() {
        "awaiting act one" => core.handle_bytes(&bytes(ACT1)).map(|_| ()),
        "responding" => core.handle_answer(answer("responded")),
        "awaiting act three" => core.handle_bytes(&bytes(ACT3)).map(|_| ()),
        "verifying" => core.handle_answer(answer("verified")),
        other => panic!("{other} is a dead end"),
    };
    if state == "over" {
        core.handle_bytes(&[9]).unwrap_err();
    }
    while core.state() != state {
        on(&mut core).unwrap();
    }
    core
}

/// Offers every answer in a state: those in `due` are taken, the others change nothing.
fn check_answers<C: Core>(make: impl Fn() -> C, due: &[&str]) {
    for name in ANSWERS {
        let mut core = make();
        let state = core.state();
        let effects = effects(&mut make());
        let got = core.handle_answer(answer(name));
        match (name, due.contains(&name)) {
            ("refused", true) => {
                assert_eq!((got, core.state()), (Err(Fault::Denied), "over"), "{state}");
            }
            (_, true) => assert_eq!(got, Ok(()), "{name} while {state}"),
            (_, false) => {
                assert_eq!(got, Err(Fault::Unasked { state, answer: name }), "{name} in {state}");
                assert_eq!(core.state(), state);
                assert_eq!(self::effects(&mut core), effects, "{name} in {state}");
            }
        }
    }
}

fn effects(core: &mut impl Core) -> Vec<String> {
    std::iter::from_fn(|| core.poll())
        .map(|effect| match effect {
            Effect::Ask(ask) => format!("ask {ask:?}"),
            Effect::Send(act) => format!("send {act:?}"),
            Effect::Done { remote, .. } => format!("done with {remote}"),
        })
        .collect()
}

#[test]
fn an_initiator_takes_only_answers_it_asked_for() {
    for (state, due) in [
        ("dialing", &["dialed", "refused"][..]),
        ("awaiting act two", &[]),
        ("finishing", &["finished", "refused"]),
        ("done", &[]),
        ("over", &[]),
    ] {
        check_answers(|| initiator_in(state), due);
    }
}

#[test]
fn a_responder_takes_only_answers_it_asked_for() {
    for (state, due) in [
        ("awaiting act one", &[][..]),
        ("responding", &["responded", "refused"]),
        ("awaiting act three", &[]),
        ("verifying", &["verified", "refused"]),
        ("verified", &[]),
        ("over", &[]),
    ] {
        check_answers(|| responder_in(state), due);
    }
}

#[test]
fn bytes_wait_while_an_answer_is_due() {
    let stream = vec![0xff; 1_000];
    for state in ["dialing", "finishing", "done"] {
        assert_eq!(initiator_in(state).handle_bytes(&stream), Ok(0), "{state}");
    }
    for state in ["responding", "verifying", "verified"] {
        assert_eq!(responder_in(state).handle_bytes(&stream), Ok(0), "{state}");
    }
    assert_eq!(initiator_in("awaiting act two").handle_bytes(&[]), Ok(0));
    assert_eq!(initiator_in("over").handle_bytes(&stream), Err(Fault::Over));
    assert_eq!(responder_in("over").handle_bytes(&stream), Err(Fault::Over));
}

#[test]
fn an_end_names_what_was_missing() {
    for state in ["dialing", "finishing"] {
        let mut core = initiator_in(state);
        assert_eq!(core.end(), Err(Fault::Unanswered { state }));
        assert_eq!(core.poll().map(|_| ()), None, "nothing is done for a lost connection");
        assert_eq!(core.end(), Err(Fault::Over));
    }
    let mut core = responder_in("responding");
    assert_eq!(core.end(), Err(Fault::Unanswered { state: "responding" }));
    assert_eq!(core.end(), Err(Fault::Over));
    assert_eq!(initiator_in("done").end(), Ok(()));
    assert_eq!(responder_in("verifying").end(), Ok(()));
    assert_eq!(responder_in("verified").end(), Ok(()));
}

#[test]
fn a_connection_opens_before_the_key_holder_has_verified_it() {
    let mut core = responder_in("verifying");
    assert!(!core.is_verified());
    let effects = effects(&mut core);
    assert!(effects[0].starts_with("ask Respond"), "{effects:?}");
    assert!(effects[1].starts_with("send Two"), "{effects:?}");
    assert!(effects[2].starts_with("ask Verify"), "{effects:?}");
    assert!(effects[3].starts_with("done with"), "{effects:?}");
    core.handle_answer(answer("verified")).unwrap();
    assert!(core.is_verified());
}

#[test]
fn a_handshake_that_has_failed_wants_nothing_done() {
    // Everything due is still in the queue when the fault comes; none of it may be done.
    let mut core = responder_in("verifying");
    let claimed_by_another = Answer::Verified { remote: identity([9; 32]).public() };
    assert!(core.handle_answer(claimed_by_another).is_err());
    assert!(core.poll().is_none(), "the keys of a connection from nobody knows whom");

    let mut core = Responder::new();
    core.handle_bytes(&bytes(ACT1)).unwrap();
    assert!(core.handle_answer(Answer::Refused(Fault::Denied)).is_err());
    assert!(core.poll().is_none());

    let mut core = Initiator::new(responder_id());
    assert!(core.handle_answer(Answer::Refused(Fault::Denied)).is_err());
    assert!(core.poll().is_none());
}

#[test]
fn another_identity_than_the_claimed_one_ends_it() {
    let mut core = responder_in("verifying");
    let verified = identity(RESPONDER_KEY).public();
    let fault = core.handle_answer(Answer::Verified { remote: verified }).unwrap_err();
    let claimed = identity(crate::vectors::INITIATOR_KEY).public().serialize();
    assert_eq!(fault, Fault::WrongIdentity { claimed, verified: verified.serialize() });
    assert_eq!((fault.culprit(), core.state()), (Culprit::KeyHolder, "over"));
}

#[test]
fn a_key_holder_answers_each_question_once_and_in_order() {
    // What has been answered, and which question is due after it.
    let [dial, finish, respond, verify] = asks();
    let stages: [(&[Ask], &str, &[&str]); 5] = [
        (&[], "fresh", &["dial", "respond"]),
        (&[dial], "dialing", &["finish"]),
        (&[respond], "responding", &["verify"]),
        (&[dial, finish], "spent", &[]),
        (&[respond, verify], "spent", &[]),
    ];
    for (before, state, due) in stages {
        for ask in asks() {
            let dials = before.first().unwrap_or(&ask).name() == "dial";
            let mut split =
                if dials { Ready::Dials(Split::initiator()) } else { Ready::responds() };
            for earlier in before {
                assert_ne!(split.ask(*earlier).name(), "refused");
            }
            let want = Fault::NotNow { state, ask: ask.name() };
            let expected = due.contains(&ask.name());
            let answer = split.ask(ask);
            assert_eq!(answer.name() != "refused", expected, "{} while {state}", ask.name());
            if let Answer::Refused(fault) = answer {
                assert_eq!(fault, want);
            }
            // What was refused changed nothing: what is due is still answered.
            if let (false, Some(name)) = (expected, due.first()) {
                let next = asks().into_iter().find(|ask| ask.name() == *name).unwrap();
                assert_ne!(split.ask(next).name(), "refused");
            }
        }
    }
}

#[test]
fn a_key_holder_is_spent_by_a_bad_act_too() {
    let mut bad = array::<50>(ACT2);
    bad[49] ^= 1;
    let [dial, finish, ..] = asks();
    let mut split = Split::initiator();
    split.ask(dial);
    let refused = split.ask(Ask::Finish { act2: Act2::parse(bad).unwrap() });
    assert_eq!(refused.name(), "refused");
    let Answer::Refused(fault) = split.ask(finish) else { panic!("answered twice") };
    assert_eq!(fault, Fault::NotNow { state: "spent", ask: "finish" });
}

/// Either side, for questions that are not the side's own.
enum Ready {
    Dials(Split<Initiator>),
    Responds(Split<Responder>),
}

impl Ready {
    fn responds() -> Ready {
        Ready::Responds(Split::responder())
    }

    fn ask(&mut self, ask: Ask) -> Answer {
        match self {
            Ready::Dials(split) => split.ask(ask),
            Ready::Responds(split) => split.ask(ask),
        }
    }
}
