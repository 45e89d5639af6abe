//! Our side: a channel, its signer, its log, and what waits to happen.

use std::collections::VecDeque;

use bitcoin::{Block, ScriptBuf, Transaction};
use channel::{
    Accepting, Answering, AskId, Begun, Change, Channel, ContractId, Created, Dialects, Effect,
    End, Event, Funding, FundingOutput, Home, Move, Now, Offer, Outcome, Policy, Proposed, Refusal,
    State as Life, Violation,
};
use signer::{
    Branch, ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal, Channels, KeyIndex, KeyPlace,
    Money, NodeIndex, Seed, ShownKeys, WalletKey,
};
use tx::{Side, Templates};
use wire::amount::{BlockCount, BlockHeight, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::id::{ChainHash, ChannelKey, HtlcId};
use wire::{Message, Network};

/// Our name of the channel.
pub const KEY: ChannelKey = ChannelKey([3; 32]);
/// What we believe of fees on the chain.
const RATE: FeeratePerKw = FeeratePerKw(1_000);
/// Steps until nothing is left to do.
const STEPS_MAX: usize = 100_000;

/// Our side of the channel.
pub struct Ours {
    policy: Policy,
    keys: ShownKeys,
    home: Home,
    signer: Signer,
    state: State,
    /// What restores the channel: its beginning, and its saved changes.
    begun: Option<Begun>,
    /// Changes, as they are saved.
    log: Vec<Vec<u8>>,
    waiting: VecDeque<Effect>,
    asked: VecDeque<(AskId, ChannelAsk)>,
    inbox: VecDeque<Vec<u8>>,
    is_connected: bool,
    /// Where the funding was found.
    funded_at: Option<u32>,
    /// Messages for the peer.
    pub sent: VecDeque<Vec<u8>>,
    /// What the channel has said, and nobody has looked at yet.
    pub told: VecDeque<Event>,
    /// What is to be in the chain.
    pub published: Vec<Transaction>,
    /// What the peer has done that it must not do: the channel does nothing any more.
    pub broken: Option<String>,
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

/// What our signer has.
struct Signer {
    channels: Channels,
    wallet: WalletKey,
    policy: signer::Policy,
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
        let seed = Seed::take(&mut [entropy; 32]).expect("entropy of 32 bytes is a seed");
        let keys = seed.channel_keys(Network::Regtest, NodeIndex::FIRST);
        let wallet = seed.wallet_key(Network::Regtest);
        let place = KeyPlace { branch: Branch::Receive, index: KeyIndex::FIRST };
        let home = Home { place, script: wallet.account().script(place) };
        let channels = Channels::new(keys, Templates::bolt3());
        let mut signer = Signer { channels, wallet, policy: signer::Policy::default() };
        let ask = ChannelAsk { channel: KEY, op: ChannelOp::Keys };
        let Ok(ChannelAnswer::Keys(keys)) = answer(&mut signer, &ask) else {
            panic!("keys are shown");
        };
        Self {
            policy,
            keys: *keys,
            home,
            signer,
            state: State::Idle,
            begun: None,
            log: Vec::new(),
            waiting: VecDeque::new(),
            asked: VecDeque::new(),
            inbox: VecDeque::new(),
            is_connected: false,
            funded_at: None,
            sent: VecDeque::new(),
            told: VecDeque::new(),
            published: Vec::new(),
            broken: None,
        }
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
    pub fn connect(&mut self) {
        self.is_connected = true;
        if let State::Live(channel) = &self.state {
            let hello = channel.connected(Dialects::default());
            self.take(hello);
        }
    }

    /// The peer is gone, and with it all that was under way. With `crash` also all that is not on
    /// the disk.
    pub fn disconnect(&mut self, crash: bool) {
        self.is_connected = false;
        self.inbox.clear();
        self.sent.clear();
        self.waiting.retain(|effect| !matches!(effect, Effect::Send(_)));
        if crash && let Some(begun) = &self.begun {
            self.waiting.clear();
            self.asked.clear();
            let mut live = Channel::new(begun.clone());
            for bytes in &self.log {
                let change = Change::decode(bytes).expect("ours").expect("of this version");
                live.evolve(&change);
            }
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
        let State::Live(channel) = &mut self.state else { return };
        let (urgent, calm) = (RATE, RATE);
        channel.at(Now { tip: BlockHeight(height), urgent, calm });
        let txid = channel.begun().funding().txid;
        if block.txdata.iter().any(|tx| tx.compute_txid() == txid) {
            self.funded_at = Some(height);
        }
        let depth = self.funded_at.map_or(0, |at| height + 1 - at);
        if depth == self.policy.minimum_depth.0 {
            self.is_deep();
        }
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
    }

    /// A message of the peer.
    pub fn deliver(&mut self, bytes: Vec<u8>) {
        self.inbox.push_back(bytes);
    }

    /// Whether messages wait to be heard.
    pub fn has_mail(&self) -> bool {
        !self.inbox.is_empty()
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
        if self.broken.is_some() {
            return false;
        }
        if let Some(effect) = self.waiting.pop_front() {
            match effect {
                Effect::Send(message) => self.send(&message),
                Effect::Ask(id, ask) => self.asked.push_back((id, *ask)),
                Effect::Tell(event) => self.told.push_back(event),
                Effect::Publish(transaction) => self.published.push(*transaction),
                Effect::Hangup => self.broken = Some("it hangs up".to_owned()),
            }
            return true;
        }
        if let Some((id, ask)) = self.asked.pop_front() {
            let answer = answer(&mut self.signer, &ask);
            let outcome = self.channel().answered(id, answer);
            self.judge(outcome);
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
        if let Message::Error(_) | Message::Warning(_) = message {
            self.broken = Some(format!("it complains: {message:?}"));
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Idle);
        match self.hear_in(state, &message) {
            Ok(()) => {}
            Err(why) => self.broken = Some(format!("{}: {why}", message.name())),
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
        self.state = State::Live(Box::new(Channel::new(begun.clone())));
        self.begun = Some(begun);
        let up = self.channel().opened_in(Dialects::default());
        self.take(up);
    }

    /// Takes an outcome, or notes what the peer has done.
    fn judge(&mut self, outcome: Result<Outcome, Violation>) {
        match outcome {
            Ok(outcome) => self.take(outcome),
            Err(violation) => self.broken = Some(violation.to_string()),
        }
    }

    fn take(&mut self, outcome: Outcome) {
        let State::Live(live) = &mut self.state else { panic!("both have signed") };
        live.take(&outcome);
        self.log.extend(outcome.changes.iter().map(Change::encode));
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

/// Whatever a signer is asked for, saved at once.
fn answer(signer: &mut Signer, ask: &ChannelAsk) -> Result<ChannelAnswer, ChannelRefusal> {
    let money = Money { wallet: &signer.wallet, policy: &signer.policy };
    let (change, answer) = signer.channels.decide_with(ask, &money)?;
    if let Some(change) = change {
        signer.channels.evolve(ask.channel, &change);
    }
    Ok(answer)
}
