//! What a node answers to onions that no honest payer makes: they are exchanged on their way, which
//! no signature of a commitment shows.

use node::services::channels::Progress;
use sphinx::{
    AssociatedData, Failure, FinalPayload, ForwardPayload, Hop, Hops, Origin, SessionKey,
};
use wire::{
    Message, UpdateAddHtlc,
    amount::{BlockHeight, Msat},
    id::{FailureCode, PaymentPreimage, Scid},
};

use crate::pair::Pair;

const AMOUNT: Msat = Msat(5_000_000);

/// What the peer says to a payment whose offer was changed on its way.
fn answer(seed: u64, change: impl FnOnce(&mut Pair, &mut UpdateAddHtlc)) -> (Message, String) {
    let mut pair = Pair::new(seed);
    pair.opened();
    let call = pair.pay(0, AMOUNT, None);
    pair.step(0, 3);
    let (over, bytes) = pair.ends[1].inbox.pop_front().expect("an offer");
    let Ok(Message::UpdateAddHtlc(mut add)) = Message::decode(&bytes) else {
        panic!("the offer comes first");
    };
    change(&mut pair, &mut add);
    pair.ends[1].inbox.push_front((over, Message::UpdateAddHtlc(add).encode().expect("it fits")));
    let mut said = None;
    for _ in 0..500 {
        for (at, what) in [(0, 3), (0, 0), (0, 2), (1, 3), (1, 0), (1, 2), (1, 3)] {
            pair.step(at, what);
            let heard = pair.ends[0].inbox.iter().filter_map(|(_, it)| Message::decode(it).ok());
            said = said.or_else(|| heard.into_iter().find(is_end));
        }
    }
    pair.settle();
    let why = match pair.ends[0].replies.remove(&call) {
        Some(Ok(node::services::channels::Reply::Payment(line))) => match line.progress {
            Progress::Failed(why) => why,
            no @ (Progress::Pending | Progress::Paid(_)) => panic!("{no:?}"),
        },
        other => panic!("{other:?}"),
    };
    for at in [0, 1] {
        let lines = pair.lines(at);
        let ours = if at == 0 { 80_000_000 } else { 20_000_000 };
        assert_eq!((lines[0].local, lines[0].htlcs), (Msat(ours), 0));
    }
    (said.expect("an answer"), why)
}

fn is_end(message: &Message) -> bool {
    matches!(
        message,
        Message::UpdateFailHtlc(_)
            | Message::UpdateFailMalformedHtlc(_)
            | Message::UpdateFulfillHtlc(_)
    )
}

#[test]
fn an_onion_that_cannot_be_read_is_sent_back_with_its_hash() {
    type Garble = fn(&mut UpdateAddHtlc);
    let rows: [(Garble, u16); 3] = [
        (|add| add.onion_routing_packet.0[0] = 1, 0xc004),
        (|add| add.onion_routing_packet.0[700] ^= 1, 0xc005),
        (|add| add.onion_routing_packet.0[1] = 7, 0xc006),
    ];
    for (seed, (garble, code)) in (10..).zip(rows) {
        let (said, why) = answer(seed, |_, add| garble(add));
        let Message::UpdateFailMalformedHtlc(said) = said else { panic!("{said:?}") };
        assert_eq!(said.failure_code, FailureCode(code), "{why}");
        assert!(why.contains(&format!("{code:#06x}")), "{why}");
    }
}

/// The row whose onion has one more layer.
const BEHIND: &str = "somebody behind us";

/// What stands in the onion, and what is answered to it.
fn rows() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let honest = FinalPayload {
        amt_to_forward: AMOUNT,
        outgoing_cltv_value: BlockHeight(1),
        payment_data: None,
        payment_metadata: None,
        keysend_preimage: Some(PaymentPreimage([7; 32])),
    };
    let forward = ForwardPayload {
        amt_to_forward: AMOUNT,
        outgoing_cltv_value: BlockHeight(1),
        short_channel_id: Scid(42 << 40),
    };
    let unknown = |payload: &FinalPayload, kind: u8| {
        let mut bytes = payload.encode();
        // A record behind the last small one and before the preimage, in order.
        let at = bytes.len() - 42;
        bytes.splice(at..at, [kind, 1, 0]);
        bytes
    };
    vec![
        ("no stream of records", vec![2, 9, 1], "invalid_onion_payload"),
        ("an unknown even record", unknown(&honest, 100), "invalid_onion_payload"),
        ("nothing at all", vec![4, 0], "invalid_onion_payload"),
        ("an unknown odd one", unknown(&honest, 101), "incorrect_or_unknown_payment_details"),
        ("somebody else's preimage", honest.encode(), "incorrect_or_unknown_payment_details"),
        (
            "no preimage",
            FinalPayload { keysend_preimage: None, ..honest.clone() }.encode(),
            "incorrect_or_unknown_payment_details",
        ),
        (
            "more than the offer brings",
            FinalPayload { amt_to_forward: Msat(AMOUNT.0 + 1), ..honest.clone() }.encode(),
            "final_incorrect_htlc_amount",
        ),
        (
            "a lock behind that of the offer",
            FinalPayload { outgoing_cltv_value: BlockHeight(400_000_000), ..honest }.encode(),
            "final_incorrect_cltv_expiry",
        ),
        ("somebody behind us, in the last layer", forward.encode(), "invalid_onion_payload"),
        (BEHIND, forward.encode(), "unknown_next_peer"),
    ]
}

#[test]
fn what_an_onion_says_is_answered_by_a_failure_that_its_maker_can_read() {
    for (seed, (what, payload, want)) in (20..).zip(rows()) {
        let mut origin: Option<Origin> = None;
        let (said, why) = answer(seed, |pair, add| {
            let hops = match what {
                BEHIND => vec![payload.clone(), payload],
                _ => vec![payload],
            };
            // Nobody comes to open the layer behind the node's.
            let hop = |payload| Hop { node: pair.ends[1].node.into(), payload };
            let session = SessionKey::take(&mut [9; 32]).expect("a number");
            let data = AssociatedData::Payment(add.payment_hash);
            let onion = Hops::new(hops.into_iter().map(hop).collect())
                .expect("it fits")
                .wrap(session, &data);
            add.onion_routing_packet = onion.packet;
            origin = Some(onion.origin);
        });
        let Message::UpdateFailHtlc(said) = said else { panic!("{what}: {said:?}, {why}") };
        let returned = origin.expect("it was made").read(&said.reason).expect("it is for us");
        assert_eq!(returned.failure.name(), want, "{what}");
        if let Failure::IncorrectOrUnknownPaymentDetails { htlc_msat, .. } = returned.failure {
            assert_eq!(htlc_msat, AMOUNT, "{what}");
        }
    }
}
