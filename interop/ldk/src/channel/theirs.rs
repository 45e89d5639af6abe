//! LDK's side: an unmodified `ChannelManager`, with all that it wants in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use bitcoin::{
    Block, Network, OutPoint, Transaction, TxOut,
    secp256k1::{PublicKey, SECP256K1, SecretKey},
};
use lightning::{
    chain::{BestBlock, Listen as _, chainmonitor::ChainMonitor},
    events::{Event, EventsProvider as _, ReplayEvent},
    ln::{
        channelmanager::{ChainParameters, ChannelManager, PaymentId, RecipientOnionFields},
        msgs::{
            self, BaseMessageHandler as _, ChannelMessageHandler as _, ErrorAction,
            MessageSendEvent,
        },
        onion_payment, onion_utils,
        types::ChannelId,
        wire::Type,
    },
    onion_message::messenger::NullMessageRouter,
    routing::router::{Path, Route, RouteHop},
    sign::{EntropySource as _, InMemorySigner, KeysManager, NodeSigner as _, Recipient},
    types::{
        features::{ChannelFeatures, NodeFeatures},
        payment::{PaymentHash, PaymentPreimage, PaymentSecret},
    },
    util::{
        config::{MaxDustHTLCExposure, UserConfig},
        logger::Level,
        ser::{LengthReadable, Writeable},
    },
};
use tx::Form;
use wire::amount::{BlockCount, BlockHeight, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::features::{Feature, Features};
use wire::id::OnionPacket;

use super::ldk_disk::{LdkDisk, LdkSaves};
use super::parts::{AllBlocks, Lines, NoWay, Published, Rates};
use super::purse::{Bumper, Purse, bumper, sweep};

type Monitors = ChainMonitor<
    InMemorySigner,
    Arc<AllBlocks>,
    Arc<Published>,
    Arc<Rates>,
    Arc<Lines>,
    Arc<LdkDisk>,
    Arc<KeysManager>,
>;

type Channels = ChannelManager<
    Arc<Monitors>,
    Arc<Published>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Rates>,
    Arc<NoWay>,
    Arc<NullMessageRouter>,
    Arc<Lines>,
>;

/// What HTLCs whose last hop we are have left before they expire.
const FINAL_BLOCKS: u32 = 80;
/// Its payments have so many different locks at each height.
const LOCKS: u32 = 30;
/// Seconds that an invoice of LDK's is good for: longer than any of these tests, by its blocks.
const INVOICE_SECONDS: u32 = 1 << 30;

/// A node of LDK, with one peer.
pub struct Theirs {
    peer: PublicKey,
    manager: Channels,
    monitors: Arc<Monitors>,
    rates: Arc<Rates>,
    published: Arc<Published>,
    keys: Arc<KeysManager>,
    log: Arc<Lines>,
    purse: Arc<Purse>,
    bumper: Bumper,
    payments: u64,
    /// Messages for its peer.
    pub sent: VecDeque<Vec<u8>>,
    /// What it has said of its channel, and nobody has looked at yet.
    pub told: VecDeque<Happened>,
    /// What it has complained about. A complaint that it sends is also in `sent`.
    pub complaints: Vec<String>,
    /// It wants to disconnect, because an answer does not come.
    pub wants_away: bool,
    /// Wanted of the funding: the channel's temporary name, the amount, the script.
    unfunded: Option<(ChannelId, Sat, bitcoin::ScriptBuf)>,
}

/// What LDK says of its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A payment to it is there; with this it can be claimed.
    Claimable(PaymentHash, PaymentPreimage),
    /// It has a payment.
    Claimed(PaymentHash),
    /// A payment of its own was fulfilled.
    Sent(PaymentHash),
    /// A payment of its own failed.
    Failed(PaymentHash),
    /// The channel can be used.
    Ready,
    /// The channel is closed, for this reason.
    Closed(String),
}

/// How LDK is set up.
pub struct Wants {
    /// Of its channels.
    pub form: Form,
    /// So deep a funding must be.
    pub depth: BlockCount,
    /// What it believes of fees.
    pub rate: FeeratePerKw,
    /// HTLCs that it takes at a time.
    pub htlcs_max: HtlcCount,
    /// What of its log is kept.
    pub level: Level,
}

/// How LDK opens and takes channels here.
fn config(wants: &Wants) -> UserConfig {
    let mut config = UserConfig::default();
    let handshake = &mut config.channel_handshake_config;
    handshake.minimum_depth = wants.depth.0;
    handshake.negotiate_anchors_zero_fee_htlc_tx = wants.form == Form::Anchors;
    handshake.max_inbound_htlc_value_in_flight_percent_of_channel = 100;
    handshake.our_max_accepted_htlcs = wants.htlcs_max.0;
    config.channel_config.max_dust_htlc_exposure = MaxDustHTLCExposure::FixedLimitMsat(1 << 50);
    config.manually_accept_inbound_channels = true;
    config
}

/// What a peer with such channels offers.
fn init(form: Form) -> msgs::Init {
    let basic = [
        Feature::DataLossProtect,
        Feature::VarOnion,
        Feature::StaticRemotekey,
        Feature::PaymentSecret,
        Feature::BasicMpp,
        Feature::ChannelType,
        Feature::ShutdownAnysegwit,
    ];
    let features = match form {
        Form::StaticRemoteKey => Features::optional(&basic),
        Form::Anchors => Features::optional(&[&basic[..], &[Feature::Anchors]].concat()),
    };
    let bytes = wire::Message::from(wire::Init::offering(features)).encode().expect("it fits");
    read(&bytes[2..]).expect("it was just written")
}

fn read<T: LengthReadable>(body: &[u8]) -> Option<T> {
    let mut from = body;
    T::read_from_fixed_length_buffer(&mut from).ok()
}

impl Drop for Theirs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.log.show();
        }
    }
}

impl Theirs {
    /// A node at the first block, with a peer that is not connected.
    pub fn new(seed: u8, peer: PublicKey, wants: &Wants) -> Self {
        Self::saving(seed, peer, wants, LdkSaves::Nothing)
    }

    /// The same, which saves.
    pub fn saving(seed: u8, peer: PublicKey, wants: &Wants, saves: LdkSaves<'_>) -> Self {
        let keys = Arc::new(KeysManager::new(&[seed; 32], 1, 1, true));
        let (rates, published) =
            (Arc::new(Rates::new(wants.rate.0)), Arc::new(Published::default()));
        let log = Arc::new(Lines::new(wants.level));
        let monitors = Arc::new(Monitors::new(
            None,
            Arc::clone(&published),
            Arc::clone(&log),
            Arc::clone(&rates),
            Arc::new(LdkDisk::new(saves, &log, &keys, (&published, &rates))),
            Arc::clone(&keys),
            keys.get_peer_storage_key(),
        ));
        let purse = Arc::new(Purse::new(seed.wrapping_add(100)));
        let bumper = bumper(&purse, &published, &keys, &log);
        let best_block = BestBlock::from_network(Network::Regtest);
        let genesis = bitcoin::constants::genesis_block(Network::Regtest);
        let manager = Channels::new(
            Arc::clone(&rates),
            Arc::clone(&monitors),
            Arc::clone(&published),
            Arc::new(NoWay),
            Arc::new(NullMessageRouter {}),
            Arc::clone(&log),
            Arc::clone(&keys),
            Arc::clone(&keys),
            Arc::clone(&keys),
            config(wants),
            ChainParameters { network: Network::Regtest, best_block },
            genesis.header.time,
        );
        Self {
            peer,
            manager,
            monitors,
            rates,
            published,
            keys,
            log,
            purse,
            bumper,
            payments: 0,
            sent: VecDeque::new(),
            told: VecDeque::new(),
            complaints: Vec::new(),
            wants_away: false,
            unfunded: None,
        }
    }

    /// The id of the node with this seed.
    pub fn id_of(seed: u8) -> PublicKey {
        let keys = KeysManager::new(&[seed; 32], 1, 1, true);
        keys.get_node_id(Recipient::Node).expect("the node's own id")
    }

    /// Its id.
    pub fn id(&self) -> PublicKey {
        self.manager.get_our_node_id()
    }

    /// LDK itself.
    pub const fn manager(&self) -> &Channels {
        &self.manager
    }

    /// What it has, what its peer has, beside what each has offered and all above the reserves;
    /// and the HTLCs under way. Nothing without a channel.
    pub fn balances(&self) -> Option<(Msat, Msat, usize)> {
        let channel = self.manager.list_channels().pop()?;
        let to_msat = |reserve: Option<u64>| reserve.unwrap_or(0) * 1_000;
        let (own, other) = (
            to_msat(channel.unspendable_punishment_reserve),
            to_msat(Some(channel.counterparty.unspendable_punishment_reserve)),
        );
        // What is in anchors LDK counts as spent.
        let anchors = match &channel.channel_type {
            Some(of) if of.supports_anchors_zero_fee_htlc_tx() => 2 * tx::ANCHOR_SAT.0 * 1_000,
            Some(_) | None => 0,
        };
        let (own, other) = match channel.is_outbound {
            true => (own + anchors, other),
            false => (own, other + anchors),
        };
        let pending = channel.pending_inbound_htlcs.len() + channel.pending_outbound_htlcs.len();
        let ours = Msat(channel.outbound_capacity_msat + own);
        Some((ours, Msat(channel.inbound_capacity_msat + other), pending))
    }

    /// The most that it would offer now.
    pub fn limit(&self) -> Option<Msat> {
        Some(Msat(self.manager.list_usable_channels().pop()?.next_outbound_htlc_limit_msat))
    }

    /// The rate in its channel.
    pub fn rate(&self) -> Option<u32> {
        self.manager.list_channels().pop()?.feerate_sat_per_1000_weight
    }

    /// Whether its channel can be used now.
    pub fn is_usable(&self) -> bool {
        !self.manager.list_usable_channels().is_empty()
    }

    /// Opens a channel.
    pub fn open(&mut self, value: Sat, pushed: Msat) {
        let opened = self.manager.create_channel(self.peer, value.0, pushed.0, 0, None, None);
        opened.unwrap_or_else(|no| panic!("{no:?}"));
        self.pump();
    }

    /// What its funding is to be, if it waits for that.
    pub fn wants_funding(&self) -> Option<(bitcoin::ScriptBuf, Sat)> {
        self.unfunded.as_ref().map(|(_, value, script)| (script.clone(), *value))
    }

    /// Here it is.
    pub fn funded(&mut self, funding: Transaction) {
        let (name, ..) = self.unfunded.take().expect("it waits for it");
        let funded = self.manager.funding_transaction_generated(name, self.peer, funding);
        funded.unwrap_or_else(|no| panic!("{no:?}"));
        self.pump();
    }

    /// What it has published since it was last asked.
    pub fn published(&self) -> Vec<Vec<Transaction>> {
        self.published.take()
    }

    /// What it offers in its `init`.
    pub fn features(&self) -> Features {
        let features = self.manager.provided_init_features(self.peer);
        let init = msgs::Init { features, networks: None, remote_network_address: None };
        let mut bytes = 16_u16.to_be_bytes().to_vec();
        bytes.extend(init.encode());
        match wire::Message::decode(&bytes) {
            Ok(wire::Message::Init(said)) => said.all_features(),
            other => panic!("{other:?}"),
        }
    }

    /// Where all its money comes to in the end.
    pub fn script(&self) -> bitcoin::ScriptBuf {
        self.purse.script()
    }

    /// These are the coins of its wallet now.
    pub fn set_coins(&self, coins: Vec<(OutPoint, TxOut)>) {
        self.purse.set(coins);
    }

    pub(super) const fn keys(&self) -> &Arc<KeysManager> {
        &self.keys
    }

    /// Bumps with its coins.
    pub(super) fn bumper(&self, published: &Arc<Published>, log: &Arc<Lines>) -> Bumper {
        bumper(&self.purse, published, &self.keys, log)
    }

    /// Its monitor, as it would be on its disk now.
    pub fn monitor_bytes(&self) -> Vec<u8> {
        let id = self.monitors.list_monitors().pop().expect("it has a channel");
        self.monitors.get_monitor(id).expect("it is listed").encode()
    }

    /// Whether nothing of its channels is left to be had on the chain.
    pub fn is_swept(&self) -> bool {
        self.manager.list_channels().is_empty()
            && self.monitors.get_claimable_balances(&[]).is_empty()
    }

    /// Wants to close its channel together.
    pub fn close(&mut self) {
        let id = self.manager.list_channels().pop().expect("it has a channel").channel_id;
        let closing = self.manager.close_channel(&id, &self.peer);
        closing.unwrap_or_else(|no| panic!("{no:?}"));
        self.pump();
    }

    /// Closes its channel by force.
    pub fn force_close(&mut self) {
        let id = self.manager.list_channels().pop().expect("it has a channel").channel_id;
        let why = "closed by its owner".to_owned();
        let closed = self.manager.force_close_broadcasting_latest_txn(&id, &self.peer, why);
        closed.unwrap_or_else(|no| panic!("{no:?}"));
        self.pump();
    }

    /// Its peer is there.
    pub fn connect(&mut self, form: Form) {
        let taken = self.manager.peer_connected(self.peer, &init(form), false);
        taken.expect("it likes our features");
        self.pump();
    }

    /// Its peer is gone.
    pub fn disconnect(&mut self) {
        self.manager.peer_disconnected(self.peer);
        self.pump();
        self.wants_away = false;
        self.sent.clear();
    }

    /// The next block.
    pub fn block(&mut self, block: &Block, height: u32) {
        self.monitors.block_connected(block, height);
        self.manager.block_connected(block, height);
        self.pump();
    }

    /// All blocks above this one are in the chain no more.
    pub fn unblock(&mut self, newest: &Block, height: u32) {
        let fork = BestBlock::new(newest.block_hash(), height);
        self.monitors.blocks_disconnected(fork);
        self.manager.blocks_disconnected(fork);
        self.pump();
    }

    /// It believes in another rate, and says so if it has opened the channel. Its timer ticks:
    /// now it may want to be rid of a peer from which it waits for an answer.
    pub fn set_rate(&mut self, rate: u32) {
        self.rates.set(rate);
        self.manager.timer_tick_occurred();
        self.pump();
    }

    /// An invoice: what a payer has to know.
    pub fn invoice(&self) -> (PaymentHash, PaymentSecret) {
        let made = self.manager.create_inbound_payment(None, INVOICE_SECONDS, None);
        made.expect("the amount is open")
    }

    /// An onion that pays an invoice of this node's: it and when it expires.
    pub fn onion(
        &self,
        amount: Msat,
        (hash, secret): (PaymentHash, PaymentSecret),
    ) -> (Box<OnionPacket>, BlockHeight) {
        let session = SecretKey::from_slice(&self.keys.get_secure_random_bytes());
        let (onion, _, expiry) = onion_utils::create_payment_onion(
            SECP256K1,
            &one_hop(self.id(), 0, amount),
            &session.expect("nobody finds such bytes"),
            amount.0,
            &RecipientOnionFields::secret_only(secret),
            self.manager.current_best_block().height + 1,
            &hash,
            &None,
            None,
            self.keys.get_secure_random_bytes(),
        )
        .unwrap_or_else(|no| panic!("{no:?}"));
        let bytes = onion.encode().try_into().expect("an onion has one length");
        (Box::new(OnionPacket(bytes)), BlockHeight(expiry))
    }

    /// Whether the onion of this `update_add_htlc` is for this node and can be read.
    pub fn opens(&self, bytes: &[u8]) -> bool {
        let add = read(&bytes[2..]).expect("LDK reads what we write");
        let (keys, log) = (Arc::clone(&self.keys), Arc::clone(&self.log));
        let height = self.manager.current_best_block().height;
        onion_payment::peel_payment_onion(&add, keys, log, SECP256K1, height, false).is_ok()
    }

    /// Pays its peer. False if it says at once that it cannot; later it may still say so.
    pub fn pay(&mut self, amount: Msat, hash: PaymentHash) -> bool {
        let is_sent = self.begin_payment(amount, (hash, PaymentSecret([7; 32])));
        self.pump();
        is_sent
    }

    /// The same, to an invoice; what it wants to say is said when it is pumped.
    pub fn begin_payment(
        &mut self,
        amount: Msat,
        (hash, secret): (PaymentHash, PaymentSecret),
    ) -> bool {
        let Some(channel) = self.manager.list_usable_channels().pop() else { return false };
        let scid = channel.short_channel_id.expect("it is confirmed");
        self.payments += 1;
        let mut id = [0; 32];
        id[..8].copy_from_slice(&self.payments.to_be_bytes());
        let mut hop = one_hop(self.peer, scid, amount);
        // No two of its commitments' contracts have the same lock: LDK loses track of those that
        // wait for one together, when it learns a secret meanwhile.
        hop.hops[0].cltv_expiry_delta += self.payments as u32 % LOCKS;
        let paths = vec![hop];
        let onion = RecipientOnionFields::secret_only(secret);
        let route = Route { paths, route_params: None };
        let sent = self.manager.send_payment_with_route(route, hash, onion, PaymentId(id));
        sent.is_ok()
    }

    /// Takes a payment.
    pub fn claim(&mut self, preimage: PaymentPreimage) {
        self.manager.claim_funds(preimage);
        self.pump();
    }

    /// Gives a payment back.
    pub fn fail(&mut self, hash: PaymentHash) {
        self.manager.fail_htlc_backwards(&hash);
        self.pump();
    }

    /// A message of its peer.
    pub fn deliver(&mut self, bytes: &[u8]) {
        if self.hand_over(bytes).is_none() {
            self.complaints.push("it cannot be read".to_owned());
        }
        self.manager.message_received();
        self.pump();
    }

    /// Works off what it has put aside.
    pub fn pump(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.manager.process_pending_htlc_forwards();
            let mut events = Vec::new();
            let seen = std::cell::RefCell::new(&mut events);
            let take = |event: Event| -> Result<(), ReplayEvent> {
                seen.borrow_mut().push(event);
                Ok(())
            };
            self.manager.process_pending_events(&take);
            self.monitors.process_pending_events(&take);
            let messages = self.manager.get_and_clear_pending_msg_events();
            if events.is_empty() && messages.is_empty() {
                return;
            }
            events.into_iter().for_each(|it| self.take_event(it));
            messages.into_iter().for_each(|it| self.take_message(it));
        }
        panic!("LDK does not come to rest");
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "LDK has many that are not looked at")]
    fn take_event(&mut self, event: Event) {
        match event {
            Event::FundingGenerationReady {
                temporary_channel_id,
                channel_value_satoshis,
                output_script,
                ..
            } => {
                let value = Sat(channel_value_satoshis);
                self.unfunded = Some((temporary_channel_id, value, output_script));
            }
            Event::OpenChannelRequest { temporary_channel_id, .. } => {
                let manager = &self.manager;
                let taken =
                    manager.accept_inbound_channel(&temporary_channel_id, &self.peer, 0, None);
                taken.unwrap_or_else(|no| panic!("{no:?}"));
            }
            Event::PaymentClaimable { payment_hash, purpose, .. } => {
                let preimage = purpose.preimage().expect("it has made the invoice");
                self.told.push_back(Happened::Claimable(payment_hash, preimage));
            }
            Event::PaymentClaimed { payment_hash, .. } => {
                self.told.push_back(Happened::Claimed(payment_hash));
            }
            Event::PaymentSent { payment_hash, .. } => {
                self.told.push_back(Happened::Sent(payment_hash));
            }
            Event::PaymentFailed { payment_hash: Some(hash), .. } => {
                self.told.push_back(Happened::Failed(hash));
            }
            Event::ChannelReady { .. } => self.told.push_back(Happened::Ready),
            Event::ChannelClosed { reason, .. } => {
                self.told.push_back(Happened::Closed(reason.to_string()));
            }
            Event::BumpTransaction(bump) => self.bumper.handle_event(&bump),
            Event::SpendableOutputs { outputs, .. } => {
                sweep(&self.keys, &self.published, (&*self.rates, self.script()), &outputs);
            }
            _ => {}
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "LDK has many that do not come up here")]
    fn take_message(&mut self, event: MessageSendEvent) {
        use MessageSendEvent as Send;
        match event {
            Send::SendOpenChannel { msg, .. } => self.send(&msg),
            Send::SendAcceptChannel { msg, .. } => self.send(&msg),
            Send::SendFundingCreated { msg, .. } => self.send(&msg),
            Send::SendFundingSigned { msg, .. } => self.send(&msg),
            Send::SendChannelReady { msg, .. } => self.send(&msg),
            Send::SendChannelReestablish { msg, .. } => self.send(&msg),
            Send::SendRevokeAndACK { msg, .. } => self.send(&msg),
            Send::SendShutdown { msg, .. } => self.send(&msg),
            Send::SendClosingSigned { msg, .. } => self.send(&msg),
            Send::SendChannelUpdate { msg, .. } => self.send(&msg),
            Send::SendAnnouncementSignatures { msg, .. } => self.send(&msg),
            Send::SendStfu { msg, .. } => self.send(&msg),
            Send::UpdateHTLCs { updates, .. } => self.send_updates(&updates),
            Send::HandleError { action, .. } => self.complain(action),
            Send::BroadcastChannelUpdate { .. } | Send::BroadcastChannelAnnouncement { .. } => {}
            other => panic!("LDK sends {other:?}"),
        }
    }

    /// In the order of LDK's peer handler.
    fn send_updates(&mut self, updates: &msgs::CommitmentUpdate) {
        updates.update_fulfill_htlcs.iter().for_each(|it| self.send(it));
        updates.update_fail_htlcs.iter().for_each(|it| self.send(it));
        updates.update_fail_malformed_htlcs.iter().for_each(|it| self.send(it));
        updates.update_add_htlcs.iter().for_each(|it| self.send(it));
        updates.update_fee.iter().for_each(|it| self.send(it));
        updates.commitment_signed.iter().for_each(|it| self.send(it));
    }

    fn complain(&mut self, action: ErrorAction) {
        if let ErrorAction::DisconnectPeerWithWarning { msg } = &action
            && msg.data == "Disconnecting due to timeout awaiting response"
        {
            self.wants_away = true;
            return;
        }
        self.complaints.push(format!("{action:?}"));
        match action {
            ErrorAction::DisconnectPeer { msg: Some(msg) }
            | ErrorAction::SendErrorMessage { msg } => self.send(&msg),
            ErrorAction::DisconnectPeerWithWarning { msg }
            | ErrorAction::SendWarningMessage { msg, .. } => self.send(&msg),
            ErrorAction::DisconnectPeer { msg: None }
            | ErrorAction::IgnoreError
            | ErrorAction::IgnoreAndLog(_)
            | ErrorAction::IgnoreDuplicateGossip => {}
        }
    }

    fn send<T: Type + Writeable>(&mut self, message: &T) {
        let mut bytes = message.type_id().to_be_bytes().to_vec();
        bytes.extend(message.encode());
        self.sent.push_back(bytes);
    }

    fn hand_over(&self, bytes: &[u8]) -> Option<()> {
        let (kind, body) = bytes.split_first_chunk::<2>()?;
        let (kind, to, peer) = (u16::from_be_bytes(*kind), &self.manager, self.peer);
        /// Reads a message as LDK does, and gives it to LDK.
        macro_rules! hand {
            ($handle:ident) => {
                to.$handle(peer, &read(body)?)
            };
        }
        match kind {
            1 | 258 | 259 => {}
            17 => hand!(handle_error),
            32 => hand!(handle_open_channel),
            33 => hand!(handle_accept_channel),
            34 => hand!(handle_funding_created),
            35 => hand!(handle_funding_signed),
            36 => hand!(handle_channel_ready),
            38 => hand!(handle_shutdown),
            39 => hand!(handle_closing_signed),
            128 => hand!(handle_update_add_htlc),
            130 => to.handle_update_fulfill_htlc(peer, read(body)?),
            131 => hand!(handle_update_fail_htlc),
            132 => hand!(handle_commitment_signed),
            133 => hand!(handle_revoke_and_ack),
            134 => hand!(handle_update_fee),
            135 => hand!(handle_update_fail_malformed_htlc),
            136 => hand!(handle_channel_reestablish),
            _ => return None,
        }
        Some(())
    }
}

/// Rounds until LDK has nothing left to do.
const ROUNDS_MAX: usize = 100;

fn one_hop(to: PublicKey, scid: u64, amount: Msat) -> Path {
    let hop = RouteHop {
        pubkey: to,
        node_features: NodeFeatures::empty(),
        short_channel_id: scid,
        channel_features: ChannelFeatures::empty(),
        fee_msat: amount.0,
        cltv_expiry_delta: FINAL_BLOCKS,
        maybe_announced_channel: false,
    };
    Path { hops: vec![hop], blinded_tail: None }
}
