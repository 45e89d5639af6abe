//! What the peer says: what it should, what it could, and what nobody would.

use bitcoin::ScriptBuf;
use bitcoin::hashes::{Hash as _, sha256};
use channel::{As, Change, ContractId};
use tx::{Close, ClosingOutputs, Meaning, PARKED, Side};
use wire::amount::{BlockHeight, CsvDelay, FeeratePerKw, LockTime, Msat, Sat};
use wire::dice::Dice;
use wire::id::{
    CommitmentNumber, FailureCode, FeeRange, HtlcId, OnionHash, OnionPacket, PaymentHash,
    PaymentPreimage, PerCommitmentSecret, Scid,
};
use wire::list::Blob;
use wire::{
    AddParked, AskParked, CancelParked, ChannelReady, ChannelReestablish, ClosingComplete,
    ClosingSig, ClosingSigned, CommitmentSigned, Error, Message, RevokeAndAck, SettleParked,
    Shutdown, UpdateAddHtlc, UpdateFailHtlc, UpdateFailMalformedHtlc, UpdateFee, UpdateFulfillHtlc,
};

use super::done::opens_it;
use super::open::patch;
use super::tape::Tape;
use super::world::{HEIGHT, World};

/// Some of the preimages are those of several contracts.
const PREIMAGES: usize = 4;
/// Bytes of a message that nobody has written.
const RAW_BYTES_MAX: usize = 100;
/// Turns in which a good peer signs and revokes all there is.
const DANCE_MAX: usize = 4;

pub(super) fn preimage(number: usize) -> PaymentPreimage {
    PaymentPreimage([number as u8 + 1; 32])
}

pub(super) fn hash_of(preimage: &PaymentPreimage) -> PaymentHash {
    PaymentHash(sha256::Hash::hash(&preimage.0).to_byte_array())
}

/// What opens it, if anybody here knows that.
pub(super) fn opens(hash: PaymentHash) -> Option<PaymentPreimage> {
    (0..PREIMAGES).map(preimage).find(|it| hash_of(it) == hash)
}

impl World {
    /// Both are there, and payments can be made.
    pub(super) fn settle_in(&mut self) {
        let deep = self.live.deep(None);
        self.take(deep);
        self.turn();
        let ready = self.ready(None);
        self.hear(&ready);
    }

    pub(super) fn side(&self) -> Side {
        self.live.side()
    }

    /// The peer says one thing, now and then with a byte or two of its own.
    pub(super) fn say(&mut self, tape: &mut Tape<'_>) {
        let kind = tape.byte();
        if kind % 32 >= 26 {
            return self.dance();
        }
        let Some(message) = self.message(kind % 32, tape) else { return };
        if kind < 224 {
            return self.hear(&message);
        }
        let mut bytes = message.encode().expect("it fits");
        let (at, len) = (usize::from(u16::from_be_bytes(tape.array())), tape.below(9));
        patch(&mut bytes, at, tape.bytes(len));
        if let Ok(message) = Message::decode(&bytes) {
            self.hear(&message);
        }
    }

    fn message(&self, kind: u8, tape: &mut Tape<'_>) -> Option<Message> {
        let channel_id = self.live.channel_id();
        match kind {
            0..=3 => Some(self.add(tape)),
            4..=6 => self.ended(tape),
            7 => {
                let feerate_per_kw = FeeratePerKw(tape.number(1_500) as u32);
                Some(UpdateFee { channel_id, feerate_per_kw, extension: Default::default() }.into())
            }
            8 | 9 => Some(self.commitment_signed(tape.byte())),
            10 | 11 => Some(self.revoke(tape.byte())),
            12..=14 => Some(self.reestablish(tape)),
            15 => {
                let scriptpubkey = self.closing_script(tape);
                Some(Shutdown { channel_id, scriptpubkey, extension: Default::default() }.into())
            }
            16 | 17 => self.closing_signed(tape),
            18 => self.closing_complete(tape),
            19 => self.closing_sig(tape),
            20 => Some(self.ready(tape.flag().then_some(Scid(7)))),
            21 => {
                let data = Blob(tape.bytes(9).to_vec());
                Some(Error { channel_id, data, extension: Default::default() }.into())
            }
            22 => {
                let len = tape.below(RAW_BYTES_MAX);
                Message::decode(tape.bytes(len)).ok()
            }
            23 => {
                let (number, seed) = (tape.below(Message::ALL.len()), tape.byte());
                let (message_type, _) = Message::ALL[number];
                Message::generate(message_type, &mut Dice::new(seed.into()))
            }
            // What we have said comes back.
            _ => self.sent.get(tape.below(self.sent.len())).cloned(),
        }
    }

    /// A good peer signs what there is to sign, and gives up what is to be given up.
    pub(super) fn dance(&mut self) {
        for _ in 0..DANCE_MAX {
            if self.owes_revocation() {
                let message = self.revoke(0);
                self.hear(&message);
            }
            let peer = self.side().other();
            if self.live.ledger().has_unsigned(peer) {
                let message = self.commitment_signed(0);
                self.hear(&message);
            }
        }
    }

    fn signed(&self) -> u64 {
        let taken_back = self.of_log(|it| matches!(it, Change::TakenBack));
        self.of_log(|it| matches!(it, Change::Signed)) - taken_back
    }

    fn revoked(&self) -> u64 {
        self.of_log(|it| matches!(it, Change::Revoked { .. }))
    }

    fn advanced(&self) -> u64 {
        self.of_log(|it| matches!(it, Change::Advanced { .. }))
    }

    fn owes_revocation(&self) -> bool {
        self.signed() > self.revoked()
    }

    pub(super) fn ready(&self, short_channel_id: Option<Scid>) -> Message {
        ChannelReady {
            channel_id: self.live.channel_id(),
            second_per_commitment_point: self.peer.point(CommitmentNumber(1)),
            short_channel_id,
            extension: Default::default(),
        }
        .into()
    }

    fn add(&self, tape: &mut Tape<'_>) -> Message {
        let peer = self.side().other();
        let id = self.live.ledger().next_id(peer);
        let chosen = tape.byte();
        let amount = match chosen % 4 {
            0 | 1 => 1_000_000 + u64::from(tape.byte()) * 300_000,
            2 => tape.number(self.live.ledger().free(peer).0),
            _ => tape.number(354_000),
        };
        if self.is_parked(chosen) {
            let id = self.live.ledger().next_of(peer, PARKED);
            let extension = Default::default();
            return AddParked {
                channel_id: self.live.channel_id(),
                id: HtlcId(if tape.byte() > 250 { tape.number(id.0) } else { id.0 }),
                amount_msat: Msat(amount),
                payment_hash: hash_of(&preimage(tape.below(PREIMAGES))),
                refund_delay: CsvDelay(100 + u16::from(tape.byte()) * 2),
                extension,
            }
            .into();
        }
        let expiry = u64::from(HEIGHT) + 20 + u64::from(tape.byte());
        UpdateAddHtlc {
            channel_id: self.live.channel_id(),
            id: HtlcId(if tape.byte() > 250 { tape.number(id.0) } else { id.0 }),
            amount_msat: Msat(amount),
            payment_hash: hash_of(&preimage(tape.below(PREIMAGES))),
            cltv_expiry: BlockHeight(
                if tape.byte() > 245 { tape.number(expiry) } else { expiry } as u32
            ),
            onion_routing_packet: Box::new(OnionPacket([0; 1366])),
            path_key: None,
            extension: Default::default(),
        }
        .into()
    }

    /// The end of a contract of ours.
    fn ended(&self, tape: &mut Tape<'_>) -> Option<Message> {
        let (channel_id, side) = (self.live.channel_id(), self.side());
        let ours = |id: &ContractId| id.offered_by == side;
        let ours: Vec<_> = self.live.contracts().iter().filter(|(id, _)| ours(id)).collect();
        let (id, known) = *ours.get(tape.below(ours.len()))?;
        let (kind, id, how) = (id.kind, id.id, tape.byte());
        if kind == PARKED {
            let extension = Default::default();
            return Some(match how % 8 {
                0..=4 => SettleParked {
                    channel_id,
                    id,
                    payment_preimage: opens_it(&known.add)?,
                    extension,
                }
                .into(),
                5 => AskParked { channel_id, id, extension }.into(),
                _ => CancelParked { channel_id, id, extension }.into(),
            });
        }
        Some(match how % 8 {
            0..=4 => UpdateFulfillHtlc {
                channel_id,
                id,
                payment_preimage: opens(known.htlc()?.payment_hash)?,
                attribution_data: None,
                extension: Default::default(),
            }
            .into(),
            5 => UpdateFulfillHtlc {
                channel_id,
                id,
                payment_preimage: preimage(tape.below(PREIMAGES)),
                attribution_data: None,
                extension: Default::default(),
            }
            .into(),
            6 => UpdateFailHtlc {
                channel_id,
                id,
                reason: Blob(vec![1, 2, 3]),
                attribution_data: None,
                extension: Default::default(),
            }
            .into(),
            _ => UpdateFailMalformedHtlc {
                channel_id,
                id,
                sha256_of_onion: OnionHash([4; 32]),
                failure_code: FailureCode(if tape.flag() { 0x8005 } else { 5 }),
                extension: Default::default(),
            }
            .into(),
        })
    }

    /// Of the commitment of ours that is next, as we see it ourselves.
    fn commitment_signed(&self, flaw: u8) -> Message {
        let (begun, number) = (&self.begun, self.advanced() + 1);
        let later = self
            .log
            .iter()
            .filter_map(|it| if let Change::Advanced { next } = it { Some(*next) } else { None });
        let mut points = begun.agreed().local_points.into_iter().chain(later);
        let point = points.nth(number as usize).expect("each is followed by the next");
        let view = self.live.ledger().view(self.side(), As::Draft);
        let meaning = Meaning {
            owner: self.side(),
            number: CommitmentNumber(number),
            point,
            feerate: view.feerate,
            to_opener: view.to_opener,
            to_acceptor: view.to_acceptor,
            contracts: view.contracts.into_iter().map(|(_, placed)| placed).collect(),
        };
        let (signature, mut htlc_signature) = self.peer.sign(&begun.set_up().terms, &meaning);
        match flaw {
            250 => htlc_signature.push(signature),
            251 => htlc_signature.reverse(),
            252.. => drop(htlc_signature.pop()),
            _ => {}
        }
        CommitmentSigned {
            channel_id: self.live.channel_id(),
            signature,
            htlc_signature,
            funding_txid: None,
            extension: Default::default(),
        }
        .into()
    }

    fn revoke(&self, flaw: u8) -> Message {
        let number = self.revoked() + u64::from(flaw > 252);
        RevokeAndAck {
            channel_id: self.live.channel_id(),
            per_commitment_secret: self.peer.secret(CommitmentNumber(number)),
            next_per_commitment_point: self.peer.point(CommitmentNumber(number + 2)),
            extension: Default::default(),
        }
        .into()
    }

    /// Where the peer says that both stand: all well, something lost, or a lie.
    pub(super) fn reestablish(&self, tape: &mut Tape<'_>) -> Message {
        let (mut next, mut revoked) = (self.signed() + 1, self.advanced());
        match tape.byte() {
            0..=99 => {}
            100..=139 => next = next.wrapping_sub(1),
            140..=179 => revoked = revoked.saturating_sub(1),
            180..=199 => (next, revoked) = (next.saturating_sub(1), revoked.saturating_sub(1)),
            200..=219 => revoked += 1,
            _ => (next, revoked) = (tape.number(next), tape.number(revoked)),
        }
        let known = revoked.checked_sub(1).and_then(|it| self.signer.secrets.get(&it)).copied();
        let secret = known.unwrap_or(PerCommitmentSecret([0; 32]));
        ChannelReestablish {
            channel_id: self.live.channel_id(),
            next_commitment_number: CommitmentNumber(next),
            next_revocation_number: CommitmentNumber(revoked),
            your_last_per_commitment_secret: secret,
            my_current_per_commitment_point: self.peer.point(CommitmentNumber(self.signed())),
            next_funding: None,
            my_current_funding_locked: None,
            extension: Default::default(),
        }
        .into()
    }

    fn closing_script(&self, tape: &mut Tape<'_>) -> ScriptBuf {
        let bytes = match tape.byte() % 8 {
            0..=3 => [&[0, 20][..], &[9; 20]].concat(),
            4 => [&[0, 32][..], &[9; 32]].concat(),
            5 => [&[0x51, 32][..], &[9; 32]].concat(),
            6 => [&[0x6a, 6][..], &[9; 6]].concat(),
            _ => tape.bytes(40).to_vec(),
        };
        ScriptBuf::from_bytes(bytes)
    }

    fn close(&self, fee: Sat, dialect: ClosingOutputs, [ours, theirs]: [bool; 2]) -> Close {
        let local = ours.then(|| self.begun.agreed().home.script.clone());
        let remote = theirs.then(|| self.script.clone());
        let (opener_script, acceptor_script) = match self.side() {
            Side::Opener => (local, remote),
            Side::Acceptor => (remote, local),
        };
        let ledger = self.live.ledger();
        let (to_opener, to_acceptor) = (ledger.free(Side::Opener), ledger.free(Side::Acceptor));
        Close { to_opener, to_acceptor, opener_script, acceptor_script, fee, dialect }
    }

    fn closing_signed(&self, tape: &mut Tape<'_>) -> Option<Message> {
        let ours = self.sent.iter().rev().find_map(|it| {
            if let Message::ClosingSigned(said) = it { Some(said.fee_satoshis.0) } else { None }
        });
        let fee = Sat(tape.number(ours.unwrap_or(400)));
        let terms = self.begun.set_up().terms;
        let signer = if tape.byte() < 200 { self.side().other() } else { self.side() };
        let dust_limit = terms.party(signer).dust_limit;
        let close = self.close(fee, ClosingOutputs::Signed { dust_limit }, [true; 2]);
        let range = tape.flag().then(|| FeeRange {
            min_fee_satoshis: Sat(tape.number(100)),
            max_fee_satoshis: Sat(tape.number(5_000)),
        });
        let said = ClosingSigned {
            channel_id: self.live.channel_id(),
            fee_satoshis: fee,
            signature: self.peer.sign_close(&terms, &close)?,
            fee_range: range,
            extension: Default::default(),
        };
        Some(said.into())
    }

    fn closing_complete(&self, tape: &mut Tape<'_>) -> Option<Message> {
        let (fee, locktime) = (Sat(tape.number(400)), LockTime(tape.below(3) as u32));
        let terms = self.begun.set_up().terms;
        let dialect = ClosingOutputs::Complete { closer: self.side().other(), lock_time: locktime };
        let which = tape.byte();
        let sign = |bit: u8, outputs| {
            let close = self.close(fee, dialect, outputs);
            (which & bit == 0).then(|| self.peer.sign_close(&terms, &close)).flatten()
        };
        let said = ClosingComplete {
            channel_id: self.live.channel_id(),
            closer_scriptpubkey: self.script.clone(),
            closee_scriptpubkey: self.begun.agreed().home.script.clone(),
            fee_satoshis: fee,
            locktime,
            closer_output_only: sign(1, [false, true]),
            closee_output_only: sign(2, [true, false]),
            closer_and_closee_outputs: sign(4, [true; 2]),
            extension: Default::default(),
        };
        Some(said.into())
    }

    fn closing_sig(&self, tape: &mut Tape<'_>) -> Option<Message> {
        let ours = self.sent.iter().rev().find_map(|it| {
            if let Message::ClosingComplete(said) = it { Some(said) } else { None }
        })?;
        let (fee, lock_time) = (ours.fee_satoshis, ours.locktime);
        let terms = self.begun.set_up().terms;
        let dialect = ClosingOutputs::Complete { closer: self.side(), lock_time };
        let which = tape.byte();
        let sign = |bit: u8, outputs| {
            let close = self.close(fee, dialect, outputs);
            (which & bit == 0).then(|| self.peer.sign_close(&terms, &close)).flatten()
        };
        let said = ClosingSig {
            channel_id: self.live.channel_id(),
            closer_scriptpubkey: ours.closer_scriptpubkey.clone(),
            closee_scriptpubkey: ours.closee_scriptpubkey.clone(),
            fee_satoshis: fee,
            locktime: lock_time,
            closer_output_only: sign(1, [true, false])
                .filter(|_| ours.closer_output_only.is_some()),
            closee_output_only: sign(2, [false, true])
                .filter(|_| ours.closee_output_only.is_some()),
            closer_and_closee_outputs: sign(4, [true; 2])
                .filter(|_| ours.closer_and_closee_outputs.is_some()),
            extension: Default::default(),
        };
        Some(said.into())
    }
}
