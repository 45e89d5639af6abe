//! Our side: a channel, its signer, its log, and what waits to happen.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use bitcoin::{Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction};
use chain::Watch;
use channel::{
    Accepting, Answering, AskId, Begun, Change, Channel, CoinOffer, ContractId, Created, Dialects,
    Effect, End, Event, Funding, FundingOutput, Home, Move, Now, Offer, Outcome, Policy, Proposed,
    Refusal, State as Life, Violation, Wanted,
};
use signer::{
    Branch, ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal, KeyIndex, KeyPlace, ShownKeys,
    SpendInput,
};
use tx::Side;
use wire::amount::{BlockCount, BlockHeight, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::id::{ChainHash, ChannelKey, CommitmentNumber, HtlcId};
use wire::{Message, Network};

use super::our_disk::OurDisk;
use super::our_signer::{Signer, answer};

/// Our name of the channel.
pub const KEY: ChannelKey = ChannelKey([3; 32]);
/// What we believe of fees on the chain.
const RATE: FeeratePerKw = FeeratePerKw(1_000);
/// The same, of what has to be there soon.
const URGENT: FeeratePerKw = FeeratePerKw(2_000);
/// Steps until nothing is left to do.
const STEPS_MAX: usize = 100_000;

/// Our side of the channel.
pub struct Ours {
    policy: Policy,
    keys: ShownKeys,
    home: Home,
    signer: Signer,
    /// Where it saves, beside `begun` and `log`.
    disk: Option<OurDisk>,
    state: State,
    /// What restores the channel: its beginning, and its saved changes.
    begun: Option<Begun>,
    /// Changes, as they are saved.
    log: Vec<Vec<u8>>,
    waiting: VecDeque<Effect>,
    asked: VecDeque<(AskId, ChannelAsk)>,
    inbox: VecDeque<Vec<u8>>,
    is_connected: bool,
    /// Messages for the peer.
    pub sent: VecDeque<Vec<u8>>,
    /// What the channel has said, and nobody has looked at yet.
    pub told: VecDeque<Event>,
    /// What is to be in the chain: packages, a child behind its parents.
    pub published: Vec<Vec<Transaction>>,
    /// What the peer has done that it must not do.
    pub broken: Option<String>,
    /// We want to be rid of the connection.
    pub wants_away: bool,
    /// Coins of our wallet that are not lent.
    coins: VecDeque<CoinOffer>,
    wanted: Vec<Wanted>,
    /// What both can do beside what everybody can.
    dialects: Dialects,
    now: Now,
}

enum State {
    Idle,
    Proposed(Box<Proposed>),
    /// Both have agreed; somebody makes a transaction.
    Unfunded(Box<Proposed>, Box<channel::Agreed>),
    Created(Box<Created>),
    Accepting(Box<Accepting>),
    Live(Box<Channel>),
}

/// What we want of channels here.
pub fn policy() -> Policy {
    Policy {
        chain: ChainHash::of(Network::Regtest),
        funding_min: Sat(20_000),
        funding_max: Sat(1_000_000_000),
        htlc_minimum: Msat(1),
        in_flight_percent: 90,
        htlcs_max: HtlcCount(40),
        reserve_permille: 10,
        dust_limit: Sat(546),
        delay: CsvDelay(144),
        delay_max: CsvDelay(2_016),
        minimum_depth: BlockCount(3),
        feerate_min: FeeratePerKw(253),
        feerate_max: FeeratePerKw(50_000),
        zero_conf: false,
        upfront: false,
    }
}

impl Ours {
    /// A side without a channel.
    pub fn new(entropy: u8, policy: Policy) -> Self {
        Self::with(Signer::new(entropy), policy, None)
    }

    /// A side without a channel, which saves: in a store, and what its signer knows in a folder.
    pub fn saving(entropy: u8, policy: Policy, dir: &Path, disk: OurDisk) -> Self {
        Self::with(Signer::saving(entropy, dir), policy, Some(disk))
    }

    fn with(mut signer: Signer, policy: Policy, disk: Option<OurDisk>) -> Self {
        let place = KeyPlace { branch: Branch::Receive, index: KeyIndex::FIRST };
        let home = Home { place, script: signer.wallet.account().script(place) };
        let ask = ChannelAsk { channel: KEY, op: ChannelOp::Keys };
        let Ok(ChannelAnswer::Keys(keys)) = answer(&mut signer, &ask) else {
            panic!("keys are shown");
        };
        Self {
            policy,
            keys: *keys,
            home,
            signer,
            disk,
            state: State::Idle,
            begun: None,
            log: Vec::new(),
            waiting: VecDeque::new(),
            asked: VecDeque::new(),
            inbox: VecDeque::new(),
            is_connected: false,
            sent: VecDeque::new(),
            told: VecDeque::new(),
            published: Vec::new(),
            broken: None,
            wants_away: false,
            coins: VecDeque::new(),
            wanted: Vec::new(),
            dialects: Dialects::default(),
            now: Now::default(),
        }
    }

    /// Another that remembers the same, and has half of the coins.
    pub fn twin(&mut self) -> Self {
        let mut twin = Self::new(self.signer.entropy, self.policy.clone());
        twin.coins = self.coins.split_off(self.coins.len() / 2);
        twin.signer = self.signer.twin();
        twin.begun.clone_from(&self.begun);
        twin.log.clone_from(&self.log);
        twin.now = self.now;
        twin.disconnect(true);
        twin
    }

    /// A place of our wallet for a coin.
    pub fn coin_place(&self, index: u32) -> (KeyPlace, ScriptBuf) {
        let index = KeyIndex::new(index).expect("it is small");
        let place = KeyPlace { branch: Branch::Receive, index };
        (place, self.signer.wallet.account().script(place))
    }

    /// A coin of our wallet, which is in a block.
    pub fn add_coin(&mut self, outpoint: OutPoint, amount: Amount, index: u32) {
        let (place, script) = self.coin_place(index);
        let sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
        let input = SpendInput { outpoint, amount, place, sequence };
        self.coins.push_back(CoinOffer { input, script });
    }

    /// The channel, once both have signed.
    pub fn live(&self) -> Option<&Channel> {
        match &self.state {
            State::Live(live) => Some(live),
            State::Idle
            | State::Proposed(_)
            | State::Unfunded(..)
            | State::Created(_)
            | State::Accepting(_) => None,
        }
    }

    /// The channel, for which both have signed.
    pub fn channel(&self) -> &Channel {
        self.live().expect("both have signed")
    }

    /// Whether payments can be made.
    pub fn is_usable(&self) -> bool {
        self.live().is_some_and(|it| it.is_up() && *it.state() == Life::Normal)
    }

    /// Where our money goes in the end.
    pub fn home(&self) -> Home {
        self.home.clone()
    }

    /// What we have and what the peer has, beside what each has offered; and the HTLCs under way.
    pub fn balances(&self) -> (Msat, Msat, usize) {
        let (live, side) = (self.channel(), self.channel().side());
        let ledger = live.ledger();
        (ledger.free(side), ledger.free(side.other()), ledger.entries().len())
    }

    /// Opens a channel.
    pub fn open(&mut self, wanted: &Funding) {
        let proposed = Proposed::new(self.policy.clone(), self.keys, wanted);
        let (proposed, made) = proposed.unwrap_or_else(|no| panic!("{no}"));
        self.state = State::Proposed(Box::new(proposed));
        self.moves(vec![made]);
    }

    /// What our funding is to be, if we wait for that.
    pub fn wants_funding(&self) -> Option<(ScriptBuf, Sat)> {
        match &self.state {
            State::Unfunded(_, agreed) => Some((agreed.funding_script(), agreed.funding)),
            State::Idle
            | State::Proposed(_)
            | State::Created(_)
            | State::Accepting(_)
            | State::Live(_) => None,
        }
    }

    /// Here it is.
    pub fn funded(&mut self, funding: FundingOutput) {
        let State::Unfunded(proposed, agreed) = std::mem::replace(&mut self.state, State::Idle)
        else {
            panic!("it waits for it");
        };
        let (created, moves) = proposed.funded(*agreed, funding);
        let signature = self.moves(moves).pop().flatten().expect("it signs last");
        let sent = created.signed(signature);
        self.state = State::Created(Box::new(created));
        self.moves(vec![sent]);
    }

    /// Whether the funding may be published.
    pub fn is_opened(&self) -> bool {
        self.live().is_some()
    }

    /// The peer is there.
    pub fn connect(&mut self, dialects: Dialects) {
        self.is_connected = true;
        self.dialects = dialects;
        if let State::Live(channel) = &self.state {
            let hello = channel.connected(dialects);
            self.take(hello);
        }
    }

    /// The peer is gone, and with it all that was under way. With `crash` also all that is not on
    /// the disk.
    pub fn disconnect(&mut self, crash: bool) {
        (self.is_connected, self.wants_away) = (false, false);
        self.inbox.clear();
        self.sent.clear();
        self.waiting.retain(|effect| !matches!(effect, Effect::Send(_)));
        if crash && let Some(begun) = &self.begun {
            self.waiting.clear();
            self.asked.clear();
            self.wanted.clear();
            let mut live = Channel::new(begun.clone());
            for bytes in &self.log {
                live.evolve(&change_of(bytes));
            }
            live.at(self.now);
            self.told.extend(live.owed());
            self.state = State::Live(Box::new(live));
        }
        if let State::Live(live) = &self.state {
            let lost = live.disconnected();
            self.take(lost);
        }
    }

    /// The next block.
    pub fn block(&mut self, block: &Block, height: u32) {
        self.now = Now { tip: BlockHeight(height), urgent: URGENT, calm: RATE };
        let State::Live(channel) = &mut self.state else { return };
        channel.at(self.now);
        // What is found may be spent in the same block.
        loop {
            let watches = self.channel().watches();
            let all = (0..).zip(&block.txdata);
            let found: Vec<_> = all
                .filter(|(_, it)| watches.iter().any(|watch| is_watched(watch, it)))
                .map(|(position, it)| (position, Arc::new(it.clone())))
                .collect();
            let outcome = self.channel().block(BlockHeight(height), &found);
            if outcome.changes.is_empty() {
                break;
            }
            self.take(outcome);
        }
        if self.channel().depth() == self.policy.minimum_depth {
            self.is_deep();
        }
    }

    /// The block of this height is in the chain no more.
    pub fn unblock(&mut self, height: u32) {
        if self.is_opened() {
            let gone = self.channel().unblock(BlockHeight(height));
            self.take(gone);
        }
    }

    /// Wants to close the channel together.
    pub fn close(&mut self) -> Result<(), Refusal> {
        let outcome = self.channel().close()?;
        self.take(outcome);
        Ok(())
    }

    /// Closes it by force.
    pub fn force_close(&mut self) {
        let outcome = self.channel().fail();
        self.take(outcome);
    }

    /// The funding is deep enough.
    pub fn is_deep(&mut self) {
        let outcome = self.channel().deep(None);
        self.take(outcome);
    }

    /// Offers an HTLC.
    pub fn offer(&mut self, offer: Offer) -> Result<ContractId, Refusal> {
        let (id, outcome) = self.channel().send_add(offer)?;
        self.take(outcome);
        Ok(id)
    }

    /// Ends an HTLC of the peer's.
    pub fn end(&mut self, id: HtlcId, end: End) -> Result<(), Refusal> {
        let outcome = self.channel().send_end(id, end)?;
        self.take(outcome);
        Ok(())
    }

    /// Wants another rate.
    pub fn set_fee(&mut self, rate: FeeratePerKw) -> Result<(), Refusal> {
        let outcome = self.channel().send_fee(rate)?;
        self.take(outcome);
        Ok(())
    }

    /// Whoever uses the channel has saved that an HTLC is over.
    pub fn heard(&mut self, id: ContractId) {
        let outcome = self.channel().heard(id);
        self.take(outcome);
    }

    /// Forgets what was saved: this channel will not restart.
    pub fn forget_log(&mut self) {
        self.log.clear();
        self.signer.log.clear();
    }

    /// All that has changed is durable when this returns.
    pub fn commit(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.commit();
        }
    }

    /// A message of the peer.
    pub fn deliver(&mut self, bytes: Vec<u8>) {
        self.inbox.push_back(bytes);
    }

    /// Whether messages wait to be heard.
    pub fn has_mail(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Does all there is to do. What has come together is saved together, before anything of it
    /// leaves.
    pub fn pump_together(&mut self) {
        for _ in 0..STEPS_MAX {
            let may_hear = |it: &Self| it.live().is_none_or(Channel::can_receive);
            while may_hear(self)
                && let Some(bytes) = self.inbox.pop_front()
            {
                self.hear(&bytes);
            }
            self.drive_on();
            if self.waiting.iter().any(|it| !matches!(it, Effect::Tell(_))) {
                self.commit();
            }
            std::mem::take(&mut self.waiting).into_iter().for_each(|it| self.release(it));
            let asked = std::mem::take(&mut self.asked);
            if asked.is_empty() && (self.inbox.is_empty() || !may_hear(self)) {
                return;
            }
            asked.into_iter().for_each(|(id, ask)| self.ask_signer(id, &ask));
        }
        panic!("we do not come to rest");
    }

    fn drive_on(&mut self) {
        for _ in 0..STEPS_MAX {
            let Some(live) = self.live() else { return };
            let outcome = live.drive();
            if outcome.effects.is_empty() {
                return;
            }
            self.take(outcome);
        }
        panic!("it is driven on and on");
    }

    /// Does all there is to do.
    pub fn pump(&mut self) {
        for _ in 0..STEPS_MAX {
            if !self.step() {
                return;
            }
        }
        panic!("we do not come to rest");
    }

    /// Does one thing. False if there is nothing to do.
    pub fn step(&mut self) -> bool {
        if let Some(effect) = self.waiting.pop_front() {
            self.release(effect);
            return true;
        }
        if let Some(wanted) = self.wanted.pop() {
            self.lend(wanted);
            return true;
        }
        if let Some((id, ask)) = self.asked.pop_front() {
            self.ask_signer(id, &ask);
            return true;
        }
        let may_hear = self.live().is_none_or(Channel::can_receive);
        if may_hear && let Some(bytes) = self.inbox.pop_front() {
            self.hear(&bytes);
            return true;
        }
        let Some(live) = self.live() else { return false };
        let outcome = live.drive();
        let has_more = !outcome.effects.is_empty();
        self.take(outcome);
        has_more
    }

    fn release(&mut self, effect: Effect) {
        match effect {
            Effect::Send(message) => self.send(&message),
            Effect::Ask(id, ask) => self.asked.push_back((id, *ask)),
            Effect::Tell(event) => self.told.push_back(event),
            Effect::Publish(package) => self.published.push(package),
            Effect::Recall(number) => self.recall(number),
            Effect::Borrow(wanted) => self.wanted.push(wanted),
            Effect::Hangup => self.wants_away = true,
        }
    }

    fn ask_signer(&mut self, id: AskId, ask: &ChannelAsk) {
        let answer = answer(&mut self.signer, ask);
        let outcome = self.channel().answered(id, answer);
        self.judge(outcome);
    }

    fn recall(&mut self, number: CommitmentNumber) {
        let begun = self.begun.clone().expect("it is live");
        let log: Vec<Change> = self.log.iter().map(|it| change_of(it)).collect();
        let meaning = Channel::recall(begun, log, number).expect("the log has it");
        let State::Live(live) = &mut self.state else { panic!("both have signed") };
        live.recalled(meaning);
    }

    fn lend(&mut self, wanted: Wanted) {
        let (mut coins, mut have) = (Vec::new(), 0);
        while have < wanted.value.0
            && let Some(coin) = self.coins.pop_front()
        {
            have += coin.input.amount.to_sat();
            coins.push(coin);
        }
        let outcome = self.channel().lent(wanted.asked, coins);
        self.take(outcome);
    }

    fn hear(&mut self, bytes: &[u8]) {
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(fault) => {
                self.broken = Some(fault.to_string());
                return;
            }
        };
        // Gossip, and announcements of channels that are not announced.
        if matches!(message, Message::ChannelUpdate(_) | Message::AnnouncementSignatures(_)) {
            return;
        }
        if let Message::Warning(_) = message {
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Idle);
        match self.hear_in(state, &message) {
            Ok(()) => {}
            Err(why) => _ = self.broken.get_or_insert(format!("{}: {why}", message.name())),
        }
    }

    fn hear_in(&mut self, state: State, message: &Message) -> Result<(), String> {
        let unexpected = || Err("it was not expected".to_owned());
        match (state, message) {
            (State::Idle, Message::OpenChannel(said)) => {
                let accepting = Accepting::new(&self.policy, KEY, &self.keys, &self.home, said);
                let (accepting, made) = accepting.map_err(|no| no.to_string())?;
                self.state = State::Accepting(Box::new(accepting));
                self.moves(vec![made]);
            }
            (State::Proposed(proposed), Message::AcceptChannel(said)) => {
                let agreed = proposed.accepted(said).map_err(|no| no.to_string())?;
                self.state = State::Unfunded(proposed, Box::new(agreed));
            }
            (State::Accepting(accepting), Message::FundingCreated(said)) => {
                let (answering, moves) = accepting.receive(said).map_err(|no| no.to_string())?;
                self.answering(answering, moves)?;
            }
            (State::Created(mut created), Message::FundingSigned(said)) => {
                let asked = created.receive(said).map_err(|no| no.to_string())?;
                let advanced = self.asked_for(asked);
                let begun = created.advanced(advanced).map_err(|no| no.to_string())?;
                self.begin(begun);
            }
            (State::Live(live), message) => {
                let outcome = live.receive(message);
                self.state = State::Live(live);
                self.judge(outcome);
            }
            (
                State::Idle
                | State::Proposed(_)
                | State::Unfunded(..)
                | State::Created(_)
                | State::Accepting(_),
                _,
            ) => return unexpected(),
        }
        Ok(())
    }

    fn answering(&mut self, mut answering: Answering, moves: Vec<Move>) -> Result<(), String> {
        let mut last = None;
        for made in moves {
            let answer = self.asked_for(made);
            if let Ok(ChannelAnswer::RemoteSigned { signature, .. }) = &answer {
                answering.signed(*signature);
            }
            last = Some(answer);
        }
        let last = last.expect("three questions, three answers");
        let (begun, made) = answering.advanced(last).map_err(|no| no.to_string())?;
        self.begin(begun);
        self.moves(vec![made]);
        Ok(())
    }

    /// Both have signed. The beginning is saved as bytes.
    fn begin(&mut self, begun: Begun) {
        let begun = Begun::decode(&begun.encode()).expect("ours");
        if let Some(disk) = &mut self.disk {
            disk.begin(begun.clone());
            disk.commit();
        }
        self.state = State::Live(Box::new(Channel::new(begun.clone())));
        self.begun = Some(begun);
        let State::Live(live) = &mut self.state else { panic!("it was just begun") };
        live.at(self.now);
        let up = live.opened_in(self.dialects);
        self.take(up);
    }

    /// Takes an outcome, or notes what the peer has done.
    fn judge(&mut self, outcome: Result<Outcome, Violation>) {
        match outcome {
            Ok(outcome) => self.take(outcome),
            Err(violation) => {
                let outcome = self.channel().violated(&violation);
                self.take(outcome);
                self.broken.get_or_insert(violation.to_string());
            }
        }
    }

    fn take(&mut self, outcome: Outcome) {
        let State::Live(live) = &mut self.state else { panic!("both have signed") };
        live.take(&outcome);
        match &mut self.disk {
            Some(disk) => outcome.changes.into_iter().for_each(|it| disk.changed(it)),
            None => self.log.extend(outcome.changes.iter().map(Change::encode)),
        }
        self.waiting.extend(outcome.effects);
    }

    fn send(&mut self, message: &Message) {
        if self.is_connected {
            self.sent.push_back(message.encode().expect("it fits"));
        }
    }

    /// Sends and asks; the last signature that was made, for each question.
    fn moves(&mut self, moves: Vec<Move>) -> Vec<Option<wire::key::Signature>> {
        let mut signatures = Vec::new();
        for made in moves {
            match made {
                Move::Send(message) => self.send(&message),
                Move::Ask(ask) => {
                    let answer = answer(&mut self.signer, &ask);
                    let answer = answer.unwrap_or_else(|no| panic!("{no}"));
                    signatures.push(signature_of(&answer));
                }
            }
        }
        signatures
    }

    fn asked_for(&mut self, made: Move) -> Result<ChannelAnswer, ChannelRefusal> {
        let Move::Ask(ask) = made else { panic!("the signer was to be asked") };
        answer(&mut self.signer, &ask)
    }

    /// Which side we are.
    pub fn side(&self) -> Side {
        self.channel().side()
    }
}

fn signature_of(answer: &ChannelAnswer) -> Option<wire::key::Signature> {
    match answer {
        ChannelAnswer::RemoteSigned { signature, .. } => Some(*signature),
        ChannelAnswer::Keys(_)
        | ChannelAnswer::Done
        | ChannelAnswer::Advanced { .. }
        | ChannelAnswer::Checked { .. }
        | ChannelAnswer::LocalSigned { .. }
        | ChannelAnswer::CloseSigned { .. }
        | ChannelAnswer::InputsSigned { .. } => None,
    }
}

fn change_of(bytes: &[u8]) -> Change {
    Change::decode(bytes).expect("ours").expect("of this version")
}

fn is_watched(watch: &Watch, transaction: &Transaction) -> bool {
    match watch {
        Watch::Spend(outpoint) => {
            transaction.input.iter().any(|it| it.previous_output == *outpoint)
        }
        Watch::Pay(script) => transaction.output.iter().any(|it| it.script_pubkey == *script),
    }
}
