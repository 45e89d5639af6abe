//! Fees of `closing_signed` on which both do not agree at once, or never.

use channel::{CLOSING_BLOCKS_MAX, Change, Now, Remedy, State, Violation, Why};
use signer::{ChannelAnswer, ChannelAsk, ChannelOp, Payee, SignClose};
use tx::{Close, ClosingOutputs, Side};
use wire::amount::{BlockHeight, FeeratePerKw, Sat};
use wire::id::FeeRange;
use wire::{ClosingSigned, Message};

use crate::halves::{Half, KEY, PUSHED, answer, home, policy};
use crate::live::{reconnect_as, settle};
use crate::parting::{LEGACY, SIMPLE, close, close_at, closing_signed, heard, with_pushed};
use crate::refused::refused;

fn fees(min: u64, max: u64) -> Option<FeeRange> {
    Some(FeeRange { min_fee_satoshis: Sat(min), max_fee_satoshis: Sat(max) })
}

fn at(ends: &mut [Half; 2], tip: u32) {
    for end in ends {
        let (tip, calm) = (BlockHeight(tip), FeeratePerKw(1_000));
        end.live.at(Now { tip, calm, urgent: calm });
    }
}

/// What the opener signs for such a fee, whatever its channel thinks of that.
fn signed_by_opener(ends: &mut [Half; 2], fee: u64, fee_range: Option<FeeRange>) -> ClosingSigned {
    let [opener, acceptor] = ends;
    let free = |side| acceptor.live.ledger().free(side);
    let close = Close {
        to_opener: free(Side::Opener),
        to_acceptor: free(Side::Acceptor),
        opener_script: Some(home(1).script),
        acceptor_script: Some(home(2).script),
        fee: Sat(fee),
        dialect: ClosingOutputs::Signed { dust_limit: policy().dust_limit },
    };
    let sign = SignClose { close, ours: Payee::Ours(home(1).place) };
    let ask = ChannelAsk { channel: KEY, op: ChannelOp::SignClose(Box::new(sign)) };
    let Ok(ChannelAnswer::CloseSigned { signature }) = answer(&mut opener.signer, &ask) else {
        panic!("it signs")
    };
    let channel_id = acceptor.live.channel_id();
    let (fee_satoshis, extension) = (Sat(fee), Default::default());
    ClosingSigned { channel_id, fee_satoshis, signature, fee_range, extension }
}

fn said(sent: &[Message]) -> &ClosingSigned {
    let [Message::ClosingSigned(said)] = sent else { panic!("{sent:?}") };
    said
}

#[test]
fn an_acceptor_proposes_a_fee_that_both_take_and_holds_to_it() {
    // A fee that nobody relays, from openers that would pay more.
    for (fee, min, max) in [(100, 50, 5_000), (100, 100, 200), (10, 400, 5_000)] {
        let mut ends = with_pushed(PUSHED, LEGACY);
        closing_signed(&mut ends);
        let low = signed_by_opener(&mut ends, fee, fees(min, max));
        let (published, sent) = heard(&mut ends[1], low.clone());
        let ours = said(&sent).clone();
        let range = ours.fee_range.expect("it says what it takes");
        assert!(published.is_empty());
        assert!(range.min_fee_satoshis > Sat(fee), "{range:?}");
        let overlap = range.min_fee_satoshis.0.max(min)..=range.max_fee_satoshis.0.min(max);
        assert!(overlap.contains(&ours.fee_satoshis.0), "{} of {overlap:?}", ours.fee_satoshis);
        // It is the opener's turn to take that. Another one that we do not take fails the channel.
        let again = signed_by_opener(&mut ends, fee + 1, fees(min, max));
        let (no, remedy) = refused(&ends[1].live, again);
        let is_it = matches!(no, Violation::ClosingFeeAgain { got, .. } if got == Sat(fee + 1));
        assert!(is_it && remedy == Remedy::Error, "{no}");
        let taken = signed_by_opener(&mut ends, ours.fee_satoshis.0, fees(min, max));
        let (published, sent) = heard(&mut ends[1], taken);
        assert_eq!((published.len(), sent), (1, Vec::new()));
    }
    // There is none that both take: it may try again.
    let mut ends = with_pushed(PUSHED, LEGACY);
    closing_signed(&mut ends);
    let low = signed_by_opener(&mut ends, 100, fees(50, 101));
    let (no, remedy) = refused(&ends[1].live, low);
    assert!(matches!(no, Violation::ClosingFee { got: Sat(100), .. }), "{no}");
    assert_eq!(remedy, Remedy::Warning);
}

/// The peer wants a fee of which we take none, in one connection after the other.
fn disagreed(ends: &mut [Half; 2], dear: &ClosingSigned) {
    reconnect_as(ends, None, LEGACY);
    for _ in 0..6 {
        for end in &mut *ends {
            let drive = end.live.drive();
            end.take(drive);
        }
        settle_but_closes(ends);
    }
    let outcome = ends[0].live.receive(&dear.clone().into());
    let no = outcome.expect_err("it is too dear");
    assert_eq!(no.remedy(), Remedy::Warning, "{no}");
    let outcome = ends[0].live.violated(&no);
    ends[0].take(outcome);
    ends[0].flush(&mut Default::default());
    assert!(std::mem::take(&mut ends[0].hung_up));
}

/// What both say, but for closing transactions.
fn settle_but_closes(ends: &mut [Half; 2]) {
    let [one, other] = ends;
    for _ in 0..2 {
        one.flush(&mut other.inbox);
        one.answer();
        other.flush(&mut one.inbox);
        other.answer();
    }
    let is_close =
        |it: &Message| matches!(it, Message::ClosingSigned(_) | Message::ClosingComplete(_));
    for end in [one, other] {
        end.inbox.retain(|it| !is_close(it));
        while !end.inbox.is_empty() {
            end.hear();
        }
    }
}

fn too_dear() -> ClosingSigned {
    let dear = close_at(20_000);
    let fee = dear.fee_satoshis.0;
    ClosingSigned { fee_range: fees(fee, fee), ..dear }
}

fn waits(end: &Half) -> Vec<u32> {
    let mut all = Vec::new();
    for change in &end.log {
        if let Change::Waits { since } = change {
            all.push(since.0);
        }
    }
    all
}

#[test]
fn who_never_says_a_fee_that_we_take_fails_the_channel_after_a_day() {
    let dear = too_dear();
    let mut ends = with_pushed(PUSHED, LEGACY);
    at(&mut ends, 1_000);
    closing_signed(&mut ends);
    disagreed(&mut ends, &dear);
    assert_eq!(waits(&ends[0]), [1_000]);
    // Trying again is no new beginning, nor is a restart.
    at(&mut ends, 1_100);
    disagreed(&mut ends, &dear);
    assert_eq!(waits(&ends[0]), [1_000]);
    ends[0].crash();
    ends[0].may_fail = true;
    let last = 1_000 + CLOSING_BLOCKS_MAX.0;
    for (tip, fails) in [(last - 1, false), (last, true)] {
        at(&mut ends, tip);
        let drive = ends[0].live.drive();
        ends[0].take(drive);
        assert_eq!(matches!(ends[0].live.state(), State::Failing(_)), fails, "{tip}");
    }
    let State::Failing(failing) = ends[0].live.state() else { unreachable!() };
    assert!(matches!(&failing.why, Why::Violation(why) if why.contains("144")), "{failing:?}");
    for _ in 0..3 {
        let drive = ends[0].live.drive();
        ends[0].take(drive);
        ends[0].flush(&mut Default::default());
        ends[0].answer();
    }
    ends[0].flush(&mut Default::default());
    let spends = ends[0].published.iter().map(|it| it.input[0].previous_output);
    assert_eq!(spends.collect::<Vec<_>>(), [ends[0].live.funding()]);
}

#[test]
fn who_comes_to_an_agreement_in_time_does_not_fail_the_channel() {
    let dear = too_dear();
    let mut ends = with_pushed(PUSHED, LEGACY);
    at(&mut ends, 1_000);
    closing_signed(&mut ends);
    disagreed(&mut ends, &dear);
    at(&mut ends, 1_100);
    reconnect_as(&mut ends, None, LEGACY);
    settle(&mut ends);
    let is_closed =
        |end: &Half| matches!(end.live.state(), State::Negotiating(it) if it.closed.is_some());
    assert!(ends.iter().all(is_closed));
    at(&mut ends, 9_000);
    settle(&mut ends);
    assert!(ends.iter().all(is_closed));
}

/// Both have said that they want to close, and what comes then is lost.
fn silent(ends: &mut [Half; 2]) {
    for _ in 0..6 {
        for end in &mut *ends {
            let drive = end.live.drive();
            end.take(drive);
        }
        settle_but_closes(ends);
    }
    assert!(ends.iter().all(|it| matches!(it.live.state(), State::Negotiating(_))));
}

#[test]
fn who_never_answers_our_fee_fails_the_channel_after_a_day() {
    let mut ends = with_pushed(PUSHED, LEGACY);
    at(&mut ends, 1_000);
    close(&mut ends, 0);
    silent(&mut ends);
    // The acceptor has nothing to answer to.
    assert_eq!([waits(&ends[0]), waits(&ends[1])], [vec![1_000], vec![]]);
    let last = 1_000 + CLOSING_BLOCKS_MAX.0;
    for (tip, fails) in [(last - 1, false), (last, true)] {
        at(&mut ends, tip);
        for end in &mut ends {
            let drive = end.live.drive();
            end.take(drive);
        }
        let failing = ends.each_ref().map(|it| matches!(it.live.state(), State::Failing(_)));
        assert_eq!(failing, [fails, false], "{tip}");
    }
}

/// Its fee has nothing in common with what we take, in one connection after the other.
#[test]
fn an_opener_that_pays_too_little_fails_the_channel_after_a_day() {
    let mut ends = with_pushed(PUSHED, LEGACY);
    at(&mut ends, 1_000);
    closing_signed(&mut ends);
    let low = signed_by_opener(&mut ends, 10, fees(1, 20));
    for tip in [1_001, 1_100] {
        at(&mut ends, tip);
        let (no, _) = refused(&ends[1].live, low.clone());
        let outcome = ends[1].live.violated(&no);
        ends[1].take(outcome);
    }
    assert_eq!(waits(&ends[1]), [1_001]);
    let last = 1_001 + CLOSING_BLOCKS_MAX.0;
    for (tip, fails) in [(last - 1, false), (last, true)] {
        at(&mut ends, tip);
        let drive = ends[1].live.drive();
        ends[1].take(drive);
        assert_eq!(matches!(ends[1].live.state(), State::Failing(_)), fails, "{tip}");
    }
}

/// Whoever pays for its own close need not agree with anybody; and what was waited for before, the
/// funding, is no fee.
#[test]
fn only_a_fee_makes_us_wait() {
    for dialects in [LEGACY, SIMPLE] {
        let mut ends = with_pushed(PUSHED, dialects);
        let before = Change::Waits { since: BlockHeight(500) };
        ends[1].live.evolve(&before);
        ends[1].log.push(before);
        at(&mut ends, 1_000);
        close(&mut ends, 0);
        silent(&mut ends);
        if dialects == SIMPLE {
            let (got, min, max) = (Sat(9), Sat(0), Sat(8));
            let outcome = ends[0].live.violated(&Violation::ClosingFee { got, min, max });
            assert!(outcome.changes.is_empty());
            assert!(waits(&ends[0]).is_empty());
        }
        at(&mut ends, 9_000);
        let sides = if dialects == SIMPLE { 0..2 } else { 1..2 };
        for end in &mut ends[sides] {
            let drive = end.live.drive();
            end.take(drive);
            let state = end.live.state();
            assert!(matches!(state, State::Negotiating(it) if it.closed.is_none()), "{state:?}");
        }
        assert_eq!(waits(&ends[1]), [500]);
    }
}
