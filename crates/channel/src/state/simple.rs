//! `closing_complete` and `closing_sig`: whoever wants a closing transaction pays for it.

use tx::{Close, ClosingOutputs};
use wire::amount::{LockTime, Msat, Sat};
use wire::key::Signature;
use wire::list::Script;
use wire::{ClosingComplete, ClosingSig};

use super::link::{Answer, Closing, Complete, Purpose, Variant};
use super::{Channel, Negotiating, Outcome, is_closing_script};
use crate::change::Change;
use crate::fault::Violation;

/// Core's dust of outputs that witnesses spend: by program's version and length.
const DUST_P2WPKH: Sat = Sat(294);
const DUST_P2WSH: Sat = Sat(330);
const DUST_WITNESS: Sat = Sat(354);

/// The least that an output to this script may hold. What burns money holds none, and may.
fn dust_of(script: &Script) -> Sat {
    if script.is_op_return() {
        Sat(0)
    } else if script.is_p2wpkh() {
        DUST_P2WPKH
    } else if script.is_p2wsh() {
        DUST_P2WSH
    } else {
        DUST_WITNESS
    }
}

impl Channel {
    /// Asks for the signatures of our own closing transaction, once in a connection.
    pub(super) fn propose_complete(&self, negotiating: &Negotiating, outcome: &mut Outcome) {
        if self.link.offered.complete.is_some() {
            return;
        }
        let sample = self.simple_close(negotiating, Sat(0), LockTime(0), self.setup.side);
        let weight = self.closing_weight(&sample);
        let fee = Sat(u64::from(self.closing_rate().0) * weight / 1_000);
        let [ours, theirs] = self.closing_balances();
        // Whoever cannot pay leaves it to the other.
        let Some(left) = ours.floor_to_sat().0.checked_sub(fee.0) else { return };
        let is_dust = Sat(left) < dust_of(&self.begun.agreed().home.script);
        if is_dust && ours >= theirs {
            // It could not leave out its own output, which nobody would relay.
            return;
        }
        let leaves_peer = theirs.floor_to_sat() < dust_of(&negotiating.remote);
        let mut variants = match (ours < theirs, is_dust, leaves_peer) {
            (true, true, _) => vec![Variant::Closee],
            (true, false, _) => vec![Variant::Both],
            (false, _, true) => vec![Variant::Closer],
            (false, _, false) => vec![Variant::Both, Variant::Closer],
        };
        let Some(variant) = variants.pop() else { return };
        let complete = Complete { variant, left: variants, signed: Vec::new() };
        let close = self.simple_close(negotiating, fee, LockTime(0), self.setup.side);
        self.ask_close(variant.of(close, self.setup.side), Purpose::Complete(complete), outcome);
    }

    /// One signature of our own closing transaction is there.
    pub(super) fn completing(
        &self,
        complete: &Complete,
        closing: &Closing,
        signature: Signature,
        mut outcome: Outcome,
    ) -> Outcome {
        let super::State::Negotiating(negotiating) = &self.state else { return outcome };
        let mut complete = complete.clone();
        complete.signed.push((complete.variant, signature));
        let fee = closing.close.fee;
        if let Some(variant) = complete.left.pop() {
            complete.variant = variant;
            let close = self.simple_close(negotiating, fee, LockTime(0), self.setup.side);
            let close = variant.of(close, self.setup.side);
            self.ask_close(close, Purpose::Complete(complete), &mut outcome);
            return outcome;
        }
        let of = |wanted: Variant| {
            let found = complete.signed.iter().find(|(variant, _)| *variant == wanted);
            found.map(|(_, signature)| *signature)
        };
        let message = ClosingComplete {
            channel_id: self.channel_id,
            closer_scriptpubkey: self.begun.agreed().home.script.clone(),
            closee_scriptpubkey: negotiating.remote.clone(),
            fee_satoshis: fee,
            locktime: LockTime(0),
            closer_output_only: of(Variant::Closer),
            closee_output_only: of(Variant::Closee),
            closer_and_closee_outputs: of(Variant::Both),
            extension: Default::default(),
        };
        outcome.link.offered.complete = Some(Box::new(message.clone()));
        outcome.send(message)
    }

    /// The peer pays for a close.
    pub(super) fn receive_closing_complete(
        &self,
        said: &ClosingComplete,
    ) -> Result<Outcome, Violation> {
        let home = &self.begun.agreed().home.script;
        let [ours, theirs] = self.closing_balances();
        let (got, min, max) = (said.fee_satoshis, Sat(0), theirs.floor_to_sat());
        if got > max {
            return Err(Violation::ClosingFee { got, min, max });
        }
        if said.closee_scriptpubkey != *home {
            return Err(Violation::OtherScript);
        }
        self.judge_script(&said.closer_scriptpubkey)?;
        let variant = if ours.floor_to_sat() < dust_of(home) {
            Variant::Closer
        } else if said.closer_and_closee_outputs.is_some() {
            Variant::Both
        } else {
            Variant::Closee
        };
        let none = Violation::ClosingSignature { fee: got };
        let theirs = variant.in_complete(said).ok_or(none.clone())?;
        let negotiating = Negotiating { remote: said.closer_scriptpubkey.clone(), closed: None };
        let peer = self.setup.side.other();
        let close = self.simple_close(&negotiating, got, said.locktime, peer);
        let close = variant.of(close, peer);
        if !self.is_closing_signed(&close, &theirs) {
            return Err(none);
        }
        let mut outcome = self.nothing();
        if self.is_elsewhere(&said.closer_scriptpubkey) {
            let script = said.closer_scriptpubkey.clone();
            outcome = outcome.save(Change::ShutdownHeard { script });
        }
        let answer = Answer { said: said.clone(), variant, theirs };
        self.ask_close(close, Purpose::Answer(Box::new(answer)), &mut outcome);
        Ok(outcome)
    }

    /// Our signer has signed a closing transaction of the peer.
    pub(super) fn answer_complete(
        &self,
        answer: &Answer,
        closing: &Closing,
        signature: Signature,
        outcome: Outcome,
    ) -> Outcome {
        let outcome = self.closed(&closing.close, signature, answer.theirs, outcome);
        let in_field = |variant| (answer.variant == variant).then_some(signature);
        outcome.send(ClosingSig {
            channel_id: self.channel_id,
            closer_scriptpubkey: answer.said.closer_scriptpubkey.clone(),
            closee_scriptpubkey: answer.said.closee_scriptpubkey.clone(),
            fee_satoshis: answer.said.fee_satoshis,
            locktime: answer.said.locktime,
            closer_output_only: in_field(Variant::Closer),
            closee_output_only: in_field(Variant::Closee),
            closer_and_closee_outputs: in_field(Variant::Both),
            extension: Default::default(),
        })
    }

    /// The peer has signed our closing transaction.
    pub(super) fn receive_closing_sig(
        &self,
        negotiating: &Negotiating,
        said: &ClosingSig,
    ) -> Result<Outcome, Violation> {
        let unexpected = || Violation::Unexpected { message: "closing_sig" };
        let ours = self.link.offered.complete.as_deref().ok_or_else(unexpected)?;
        let is_same = said.closer_scriptpubkey == ours.closer_scriptpubkey
            && said.closee_scriptpubkey == ours.closee_scriptpubkey
            && said.fee_satoshis == ours.fee_satoshis
            && said.locktime == ours.locktime;
        if !is_same {
            return Err(unexpected());
        }
        let none = Violation::ClosingSignature { fee: said.fee_satoshis };
        let signed = Variant::ALL.map(|it| it.in_sig(said).map(|signature| (it, signature)));
        let mut signed = signed.into_iter().flatten();
        let (Some((variant, theirs)), None) = (signed.next(), signed.next()) else {
            return Err(none);
        };
        let signature = variant.in_complete(ours).ok_or(none.clone())?;
        let (fee, lock_time) = (ours.fee_satoshis, ours.locktime);
        let remote = ours.closee_scriptpubkey.clone();
        let negotiating = Negotiating { remote, closed: negotiating.closed.clone() };
        let close = self.simple_close(&negotiating, fee, lock_time, self.setup.side);
        let close = variant.of(close, self.setup.side);
        if !self.is_closing_signed(&close, &theirs) {
            return Err(none);
        }
        Ok(self.closed(&close, signature, theirs, self.nothing()))
    }

    /// Ours and the peer's.
    fn closing_balances(&self) -> [Msat; 2] {
        [self.setup.side, self.setup.side.other()].map(|side| self.ledger.free(side))
    }

    fn simple_close(
        &self,
        negotiating: &Negotiating,
        fee: Sat,
        lock_time: LockTime,
        closer: tx::Side,
    ) -> Close {
        self.close_with(negotiating, fee, ClosingOutputs::Complete { closer, lock_time })
    }

    fn is_elsewhere(&self, script: &Script) -> bool {
        matches!(&self.state, super::State::Negotiating(it) if it.remote != *script)
    }

    /// Whether the peer's money may go there.
    pub(super) fn judge_script(&self, script: &Script) -> Result<(), Violation> {
        let agreed = &self.begun.agreed().remote_script;
        if !is_closing_script(script, self.link.dialects) {
            return Err(Violation::ClosingScript);
        }
        match agreed.is_empty() || agreed == script {
            true => Ok(()),
            false => Err(Violation::OtherScript),
        }
    }
}

impl Variant {
    const ALL: [Self; 3] = [Self::Closer, Self::Closee, Self::Both];

    /// A close with the outputs that this variant has.
    fn of(self, close: Close, closer: tx::Side) -> Close {
        let (has_closer, has_closee) = match self {
            Self::Closer => (true, false),
            Self::Closee => (false, true),
            Self::Both => (true, true),
        };
        let [opener, acceptor] = match closer {
            tx::Side::Opener => [has_closer, has_closee],
            tx::Side::Acceptor => [has_closee, has_closer],
        };
        Close {
            opener_script: close.opener_script.filter(|_| opener),
            acceptor_script: close.acceptor_script.filter(|_| acceptor),
            ..close
        }
    }

    const fn in_complete(self, said: &ClosingComplete) -> Option<Signature> {
        match self {
            Self::Closer => said.closer_output_only,
            Self::Closee => said.closee_output_only,
            Self::Both => said.closer_and_closee_outputs,
        }
    }

    const fn in_sig(self, said: &ClosingSig) -> Option<Signature> {
        match self {
            Self::Closer => said.closer_output_only,
            Self::Closee => said.closee_output_only,
            Self::Both => said.closer_and_closee_outputs,
        }
    }
}
