//! What we do, and what happens to us: commands, connections, crashes, a chain of anything.

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use channel::{CoinOffer, ContractId, End, Met, Offer, ParkedOffer, Resolvers};
use signer::{ChannelRefusal, Seconds, SpendInput};
use tx::PARKED;
use wire::Message;
use wire::amount::{BlockHeight, CsvDelay, FeeratePerKw, Msat, Sat};
use wire::features::{Feature, Features};
use wire::id::{OnionPacket, PaymentPreimage, Scid};
use wire::list::Blob;

use super::open::place;
use super::said::{hash_of, opens, preimage};
use super::tape::Tape;
use super::world::{HEIGHT, World};

/// The same as a parked contract; the longer its lock, the longer its refund waits.
fn park(offer: &Offer) -> ParkedOffer {
    let Offer { amount, payment_hash, cltv_expiry, .. } = *offer;
    let refund_delay = CsvDelay((cltv_expiry.0 % 512) as u16);
    ParkedOffer { amount, payment_hash, refund_delay }
}

/// What both can do, a bit each.
pub(super) fn met(bits: u8) -> Met {
    let mut features = Features::NONE;
    let all = [Feature::ShutdownAnysegwit, Feature::SimpleClose, Feature::Parked];
    for (at, feature) in all.into_iter().enumerate() {
        let has = bits >> at & 1 == 1;
        features = if has { features.with_bit(feature as usize + 1) } else { features };
    }
    Resolvers::all().met(&features, &features)
}

/// What opens a contract, if it is known here.
pub(super) fn opens_it(add: &Message) -> Option<PaymentPreimage> {
    if let Message::UpdateAddHtlc(add) = add {
        opens(add.payment_hash)
    } else if let Message::AddParked(add) = add {
        opens(add.payment_hash)
    } else {
        None
    }
}

/// A chain that is at most so long: heights are no times.
const HEIGHT_MAX: u32 = 100_000;

impl World {
    /// A command of whoever owns the channel. What is refused changes nothing.
    pub(super) fn do_something(&mut self, tape: &mut Tape<'_>) {
        let made = match tape.byte() % 16 {
            0..=4 => {
                let (offer, parked) = self.offer(tape);
                let made = match parked {
                    true => self.live.park(park(&offer)),
                    false => self.live.send_add(offer),
                };
                made.map(|(_, outcome)| outcome).ok()
            }
            5..=8 => self.end(tape),
            9 => self.live.send_fee(FeeratePerKw(tape.number(2_000) as u32)).ok(),
            10 => self.live.close().ok().filter(|_| tape.flag()),
            11 if tape.byte() < 64 => Some(self.live.fail()),
            12 => Some(self.live.deep(tape.flag().then_some(Scid(9)))),
            13 => {
                let id = self.some_contract(tape);
                id.map(|it| self.live.heard(it))
            }
            _ => {
                self.dance();
                None
            }
        };
        if let Some(outcome) = made {
            self.take(outcome);
        }
    }

    /// What we offer, and whether it is to be parked.
    fn offer(&self, tape: &mut Tape<'_>) -> (Offer, bool) {
        let chosen = tape.byte();
        let amount = match chosen % 4 {
            0 | 1 => 1_000_000 + u64::from(tape.byte()) * 300_000,
            2 => tape.number(self.live.ledger().free(self.side()).0),
            _ => tape.number(354_000),
        };
        let expiry = u64::from(HEIGHT) + 20 + u64::from(tape.byte());
        let expiry = if tape.byte() > 245 { tape.number(expiry) } else { expiry };
        let offer = Offer {
            amount: Msat(amount),
            payment_hash: hash_of(&preimage(tape.below(4))),
            cltv_expiry: BlockHeight(expiry as u32),
            onion: Box::new(OnionPacket([0; 1366])),
            path_key: None,
        };
        (offer, self.is_parked(chosen))
    }

    /// Whether an amount that was chosen so is parked, where both can do that.
    pub(super) const fn is_parked(&self, chosen: u8) -> bool {
        self.parks && chosen >> 2 & 1 == 1
    }

    fn some_contract(&self, tape: &mut Tape<'_>) -> Option<ContractId> {
        let side = [self.side(), self.side().other()][tape.below(2)];
        let most = self.live.ledger().next_id(side).0 as usize;
        let id = wire::id::HtlcId(tape.below(most) as u64);
        Some(ContractId::htlc(side, id))
    }

    /// Ends a contract of the peer.
    fn end(&self, tape: &mut Tape<'_>) -> Option<channel::Outcome> {
        let peer = self.side().other();
        let theirs = self.live.contracts().iter().filter(|(id, _)| id.offered_by == peer);
        let theirs: Vec<_> = theirs.map(|(id, it)| (*id, opens_it(&it.add))).collect();
        let found = theirs.get(tape.below(theirs.len())).copied();
        let (id, opened) = match found {
            Some(found) => found,
            None => (self.some_contract(tape)?, None),
        };
        let chosen = tape.byte() % 8;
        let parked = id.kind == PARKED;
        let opened = match chosen {
            0..=4 => Some(opened?),
            5 => Some(preimage(tape.below(4))),
            _ => None,
        };
        let end = match (opened, parked) {
            (Some(preimage), false) => End::Fulfilled(preimage),
            (Some(preimage), true) => End::Opened(preimage.0.to_vec()),
            (None, _) if chosen == 6 => End::Failed(Blob(vec![7; 3])),
            (None, true) => End::Cancelled(Blob(Vec::new())),
            (None, false) => End::Malformed {
                sha256_of_onion: wire::id::OnionHash([5; 32]),
                failure_code: 0x8006,
            },
        };
        self.live.end(id, end).ok()
    }

    /// What happens to a node.
    pub(super) fn suffer(&mut self, tape: &mut Tape<'_>) {
        match tape.byte() % 32 {
            0 | 1 => self.is_slow = !self.is_slow,
            2 => self.flush(),
            3 => self.sign(),
            4 => self.deliver(),
            5 => self.refuse(tape),
            6 => self.disconnect(),
            7 => self.connect(tape),
            8..=10 => {
                self.is_slow = false;
                self.turn();
                self.disconnect();
                self.connect(tape);
                let hello = self.reestablish(tape);
                self.hear(&hello);
            }
            11 | 12 => self.crash(0),
            13 if tape.byte() < 64 => self.crash(1 + tape.below(8)),
            14 => self.weather(tape),
            15 | 16 => self.lend(tape),
            17 => self.reorg(tape),
            18 | 19 => {
                for _ in 0..=tape.below(16) {
                    self.found(Vec::new());
                    self.turn();
                }
            }
            23 if tape.byte() < 128 => {
                self.now.tip.0 = (self.now.tip.0 + u32::from(tape.byte()) * 16).min(HEIGHT_MAX);
                self.found(Vec::new());
            }
            20 | 24 => {
                let transaction = self.transaction(tape);
                self.found(transaction.into_iter().collect());
            }
            _ => self.mend(),
        }
    }

    /// Nobody is slow, both are there, and all that is under way comes to an end: from here on
    /// something new can happen.
    pub(super) fn mend(&mut self) {
        self.is_slow = false;
        self.turn();
        if !self.is_connected {
            self.connect(&mut Tape::new(&[]));
            self.turn();
            let hello = self.reestablish(&mut Tape::new(&[]));
            self.hear(&hello);
            if self.live.ready() != Default::default() {
                let ready = self.ready(None);
                self.hear(&ready);
            }
        }
        self.dance();
    }

    fn refuse(&mut self, tape: &mut Tape<'_>) {
        let Some((id, _)) = self.asked.pop_front() else { return };
        let refusal = match tape.byte() % 4 {
            0 => ChannelRefusal::Unknown,
            1 => ChannelRefusal::AlreadySetUp,
            2 => ChannelRefusal::TooMany { max: 0 },
            _ => ChannelRefusal::Stale { age: Seconds(2), max: Seconds(1) },
        };
        self.answers.push_back((id, Err(refusal)));
    }

    fn connect(&mut self, tape: &mut Tape<'_>) {
        let bits = tape.byte();
        if !self.is_connected {
            (self.is_connected, self.parks) = (true, bits & 4 == 4);
            let hello = self.live.connected(met(bits));
            self.take(hello);
        }
    }

    fn weather(&mut self, tape: &mut Tape<'_>) {
        self.now.urgent = FeeratePerKw(tape.number(3_000) as u32);
        self.now.calm = FeeratePerKw(tape.number(500) as u32);
        self.live.at(self.now);
    }

    /// Coins, or none, for a question of now or of nobody.
    fn lend(&mut self, tape: &mut Tape<'_>) {
        let Some(wanted) = self.wanted.pop_front() else { return };
        let coin = |number: u8, amount: u64| CoinOffer {
            input: SpendInput {
                outpoint: OutPoint { txid: txid(0x77), vout: number.into() },
                amount: Amount::from_sat(amount),
                place: place(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            },
            script: self.begun.agreed().home.script.clone(),
        };
        let coins = match tape.byte() % 8 {
            0 => Vec::new(),
            1 => vec![coin(1, tape.number(1_000) % 1_000_000_000)],
            2 => (0..tape.byte()).map(|it| coin(it, 1_000)).collect(),
            _ => vec![coin(1, wanted.value.0), coin(2, 5_000)],
        };
        let outcome = self.live.lent(wanted.asked, coins);
        self.take(outcome);
    }

    fn reorg(&mut self, tape: &mut Tape<'_>) {
        let from = self.now.tip.0.saturating_sub(tape.below(12) as u32).max(1);
        let outcome = self.live.unblock(BlockHeight(from));
        self.take(outcome);
        self.now.tip = BlockHeight(from - 1);
        self.live.at(self.now);
    }

    /// What is in a block: something of ours, of the peer's, or of nobody's.
    fn transaction(&self, tape: &mut Tape<'_>) -> Option<Transaction> {
        let terms = self.begun.set_up().terms;
        let pick = |len: usize, tape: &mut Tape<'_>| len.saturating_sub(1 + tape.below(3));
        match tape.byte() % 8 {
            0..=2 => self.published.get(pick(self.published.len(), tape)).cloned(),
            3 | 4 => {
                let number = pick(self.signer.signed.len(), tape);
                let meaning = self.signer.signed.values().nth(number)?;
                Some(meaning.build(&terms).transaction)
            }
            5 => {
                let number = tape.below(self.signer.taken.len());
                let meaning = self.signer.taken.values().nth(number)?;
                Some(meaning.build(&terms).transaction)
            }
            6 => Some(self.garbage(vec![self.live.funding()], tape)),
            _ => {
                let watched = self.live.watches().into_iter().filter_map(|it| match it {
                    chain::Watch::Spend(outpoint) => Some(outpoint),
                    chain::Watch::Pay(_) => None,
                });
                let watched: Vec<_> = watched.collect();
                let first = tape.below(watched.len());
                let spent = watched.into_iter().skip(first).take(1 + tape.below(3)).collect();
                Some(self.garbage(spent, tape))
            }
        }
    }

    /// A spend that nobody has signed; now and then it shows a preimage.
    fn garbage(&self, spent: Vec<OutPoint>, tape: &mut Tape<'_>) -> Transaction {
        let (sequence, lock_time) = match tape.byte() % 4 {
            0 => (0x8000_0000 | u32::from(tape.byte()), 0x2000_0000 | u32::from(tape.byte())),
            1 => (u32::from_be_bytes(tape.array()), u32::from_be_bytes(tape.array())),
            _ => (u32::MAX, 0),
        };
        let shown = preimage(tape.below(4)).0;
        let input = |previous_output| TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence(sequence),
            witness: Witness::from_slice(&[&[][..], &[1; 70], &shown, &[2; 100]]),
        };
        let output = |_| TxOut {
            value: Amount::from_sat(tape.number(Sat(9_000).0) % 1_000_000_000),
            script_pubkey: self.begun.agreed().home.script.clone(),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::from_consensus(lock_time),
            input: spent.into_iter().map(input).collect(),
            output: (0..2).map(output).collect(),
        }
    }
}

fn txid(byte: u8) -> Txid {
    bitcoin::hashes::Hash::from_byte_array([byte; 32])
}
