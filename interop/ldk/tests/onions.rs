//! Onions of ours that LDK peels, onions of LDK that we peel, and failures of LDK that we read.

use bitcoin::{
    hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256},
    secp256k1::{All, PublicKey, Secp256k1, SecretKey},
};
use lightning::{
    ln::{
        LocalHTLCFailureReason,
        channelmanager::{PendingHTLCInfo, PendingHTLCRouting, RecipientOnionFields},
        create_payment_onion,
        msgs::{self, UpdateAddHTLC},
        onion_payment::{InboundHTLCErr, peel_payment_onion},
        types::ChannelId,
    },
    routing::router::{Path, RouteHop},
    sign::KeysManager,
    types::{
        features::{ChannelFeatures, NodeFeatures},
        payment::{PaymentHash, PaymentPreimage, PaymentSecret},
    },
    util::{
        logger::{Logger, Record},
        ser::{Readable as _, Writeable as _},
    },
};
use signer::NodeKey;
use sphinx::{
    AssociatedData, Culprit, Failure, FinalPayload, ForwardPayload, Hop, Hops, Instruction, Layer,
    OnionFlaw, Origin, PaymentData, ReturnKeys, SessionKey,
};
use wire::{
    amount::{BlockHeight, Msat},
    dice::Dice,
    id::{OnionPacket, Scid},
    list::Blob,
};

/// The chain's height.
const HEIGHT: u32 = 800_000;
/// The longest route.
const HOPS_MAX: usize = 20;
/// Routes of each length.
const ROUNDS: u64 = 3;
/// What LDK wants a hop to have between its two locks, and more.
const DELTA: u32 = 60;

struct Silent;

impl Logger for Silent {
    fn log(&self, _: Record) {}
}

/// One node, as LDK and as we see it.
struct Node {
    ldk: KeysManager,
    key: NodeKey,
    id: PublicKey,
}

/// One payment along a route.
struct World {
    secp: Secp256k1<All>,
    nodes: Vec<Node>,
    path: Path,
    session: SecretKey,
    hash: PaymentHash,
    secret: PaymentSecret,
    metadata: Option<Vec<u8>>,
    preimage: Option<PaymentPreimage>,
    total_msat: u64,
}

impl World {
    fn new(seed: u64, count: usize) -> Self {
        let secp = Secp256k1::new();
        let mut dice = Dice::new(seed);
        let nodes: Vec<Node> = (0..count)
            .map(|_| {
                let ldk = KeysManager::new(&dice.array(), 1, 1, true);
                let mut secret = ldk.get_node_secret_key().secret_bytes();
                let key = NodeKey::take(&mut secret).expect("LDK has made it");
                let id = key.id();
                Node { ldk, key, id }
            })
            .collect();
        let hops = nodes.iter().map(|node| RouteHop {
            pubkey: node.id,
            node_features: NodeFeatures::empty(),
            short_channel_id: dice.throw(),
            channel_features: ChannelFeatures::empty(),
            fee_msat: 1 + dice.throw() % 5_000_000,
            cltv_expiry_delta: DELTA + dice.below(20) as u32,
            maybe_announced_channel: true,
        });
        let path = Path { hops: hops.collect(), blinded_tail: None };
        let keysend = PaymentPreimage(dice.array());
        let hash = sha256::Hash::hash(&keysend.0).to_byte_array();
        let amount = path.hops[count - 1].fee_msat;
        Self {
            secp,
            nodes,
            path,
            session: SecretKey::from_slice(&dice.array::<32>()).expect("almost every number is"),
            hash: PaymentHash(hash),
            secret: PaymentSecret(dice.array()),
            metadata: dice.one_in(2).then(|| dice.bytes(200)),
            preimage: dice.one_in(2).then_some(keysend),
            total_msat: amount + dice.throw() % 1_000,
        }
    }

    fn data(&self) -> AssociatedData {
        AssociatedData::Payment(wire::id::PaymentHash(self.hash.0))
    }

    /// What reaches hop `at` (and leaves the one before): amount and lock.
    fn incoming(&self, at: usize) -> (u64, u32) {
        let rest = &self.path.hops[at..];
        let amount = rest.iter().map(|hop| hop.fee_msat).sum();
        (amount, HEIGHT + rest.iter().map(|hop| hop.cltv_expiry_delta).sum::<u32>())
    }

    fn last(&self) -> FinalPayload {
        let (amount, expiry) = self.incoming(self.path.hops.len() - 1);
        FinalPayload {
            amt_to_forward: Msat(amount),
            outgoing_cltv_value: BlockHeight(expiry),
            payment_data: Some(PaymentData {
                payment_secret: sphinx::PaymentSecret(self.secret.0),
                total_msat: Msat(self.total_msat),
            }),
            payment_metadata: self.metadata.clone().map(Blob),
            keysend_preimage: self.preimage.map(|it| wire::id::PaymentPreimage(it.0)),
        }
    }

    fn forward(&self, at: usize) -> ForwardPayload {
        let (amount, expiry) = self.incoming(at + 1);
        ForwardPayload {
            amt_to_forward: Msat(amount),
            outgoing_cltv_value: BlockHeight(expiry),
            short_channel_id: Scid(self.path.hops[at + 1].short_channel_id),
        }
    }

    /// What each hop is told, in our bytes.
    fn payloads(&self) -> Vec<Vec<u8>> {
        let last = self.nodes.len() - 1;
        let forwards = (0..last).map(|at| self.forward(at).encode());
        forwards.chain([self.last().encode()]).collect()
    }

    /// The onion as we make it.
    fn ours(&self, payloads: Vec<Vec<u8>>) -> (OnionPacket, Origin) {
        let hops = self.nodes.iter().zip(payloads);
        let hops = hops.map(|(node, payload)| Hop { node: node.id.into(), payload });
        let session = SessionKey::take(&mut self.session.secret_bytes()).expect("a key");
        let onion = Hops::new(hops.collect()).expect("they fit").wrap(session, &self.data());
        (*onion.packet, onion.origin)
    }

    /// The onion as LDK makes it.
    fn theirs(&self, seed: [u8; 32]) -> OnionPacket {
        let mut fields = RecipientOnionFields::secret_only(self.secret);
        fields.payment_metadata = self.metadata.clone();
        let (packet, amount, expiry) = create_payment_onion(
            &self.secp,
            &self.path,
            &self.session,
            self.total_msat,
            &fields,
            HEIGHT,
            &self.hash,
            &self.preimage,
            None,
            seed,
        )
        .expect("LDK makes an onion");
        assert_eq!((amount, expiry), self.incoming(0));
        OnionPacket(packet.encode().try_into().expect("1,366 bytes"))
    }

    /// What LDK makes of the packet that reaches hop `at`.
    fn peeled_by_ldk(
        &self,
        at: usize,
        packet: &OnionPacket,
    ) -> Result<PendingHTLCInfo, InboundHTLCErr> {
        let (amount_msat, cltv_expiry) = self.incoming(at);
        let add = UpdateAddHTLC {
            channel_id: ChannelId([1; 32]),
            htlc_id: 0,
            amount_msat,
            payment_hash: self.hash,
            cltv_expiry,
            skimmed_fee_msat: None,
            onion_routing_packet: ldk_packet(packet),
            blinding_point: None,
            hold_htlc: None,
        };
        peel_payment_onion(&add, &self.nodes[at].ldk, &Silent, &self.secp, HEIGHT, false)
    }

    /// What our signer makes of it.
    fn peeled_by_us(&self, at: usize, packet: &OnionPacket) -> (ReturnKeys, Layer) {
        match self.nodes[at].key.peel(packet, &self.data()) {
            Ok(peeled) => (peeled.return_keys, peeled.layer.expect("a good frame")),
            Err(bad) => panic!("hop {at}: {bad}"),
        }
    }
}

fn ldk_packet(packet: &OnionPacket) -> msgs::OnionPacket {
    msgs::OnionPacket::read(&mut &packet.0[..]).expect("any 1,366 bytes are one")
}

/// Every length of route, some times each.
fn worlds() -> impl Iterator<Item = World> {
    let seeds = (1..=HOPS_MAX).flat_map(|count| (0..ROUNDS).map(move |round| (count, round)));
    seeds.map(|(count, round)| World::new(round << 32 | count as u64, count))
}

#[test]
fn ldk_peels_our_onions() {
    let mut received = [0, 0];
    for world in worlds() {
        let (mut packet, _) = world.ours(world.payloads());
        let last = world.nodes.len() - 1;
        for at in 0..last {
            let info = world.peeled_by_ldk(at, &packet).expect("a layer of ours");
            let told = world.forward(at);
            assert_eq!(info.outgoing_amt_msat, told.amt_to_forward.0);
            assert_eq!(info.outgoing_cltv_value, told.outgoing_cltv_value.0);
            let PendingHTLCRouting::Forward { onion_packet, short_channel_id, .. } = info.routing
            else {
                panic!("hop {at} of {last} does not forward")
            };
            assert_eq!(short_channel_id, told.short_channel_id.0);
            let (_, layer) = world.peeled_by_us(at, &packet);
            let Layer::Forward { next, .. } = layer else { panic!("final at {at}") };
            assert_eq!(next.0, *onion_packet.encode(), "both send the same on");
            packet = *next;
        }
        let info = world.peeled_by_ldk(last, &packet).expect("the last layer of ours");
        assert_eq!(info.outgoing_amt_msat, world.incoming(last).0);
        assert_eq!(info.outgoing_cltv_value, world.incoming(last).1);
        let (data, metadata, preimage) = match info.routing {
            PendingHTLCRouting::Receive { payment_data, payment_metadata, .. } => {
                received[0] += 1;
                (payment_data, payment_metadata, None)
            }
            PendingHTLCRouting::ReceiveKeysend {
                payment_data,
                payment_metadata,
                payment_preimage,
                ..
            } => {
                received[1] += 1;
                (payment_data.expect("a secret"), payment_metadata, Some(payment_preimage))
            }
            PendingHTLCRouting::Forward { .. } | PendingHTLCRouting::TrampolineForward { .. } => {
                panic!("the last hop forwards")
            }
        };
        assert_eq!((data.payment_secret, data.total_msat), (world.secret, world.total_msat));
        assert_eq!((metadata, preimage), (world.metadata, world.preimage));
    }
    assert!(received[0] > 10 && received[1] > 10, "{received:?}");
}

#[test]
fn we_peel_ldks_onions() {
    for world in worlds() {
        let mut packet = world.theirs([7; 32]);
        let last = world.nodes.len() - 1;
        for at in 0..=last {
            let (_, layer) = world.peeled_by_us(at, &packet);
            match layer.read().expect("LDK's payloads") {
                Instruction::Forward { payload, next } => {
                    assert_eq!((payload, at < last), (world.forward(at), true));
                    packet = *next;
                }
                Instruction::Receive(payload) => {
                    assert_eq!((payload, at), (world.last(), last));
                }
            }
        }
    }
}

/// LDK is handed what BOLT 4 makes of the session key; so nothing is left to chance.
#[test]
fn both_make_the_same_bytes() {
    for world in worlds() {
        let mut pad = HmacEngine::<sha256::Hash>::new(b"pad");
        pad.input(&world.session.secret_bytes());
        let theirs = world.theirs(Hmac::from_engine(pad).to_byte_array());
        let (ours, _) = world.ours(world.payloads());
        assert_eq!(ours.0, theirs.0, "{} hops", world.nodes.len());
    }
}

/// A hop that LDK runs does not understand its payload, and says so to the origin.
#[test]
fn we_read_ldks_failures() {
    // LDK lets its user judge what is above 65,535, even or not.
    let unknown_even = [0xfd, 0x7f, 0x00, 0x01, 0x05];
    for world in worlds() {
        let count = world.nodes.len();
        for failing in [0, count / 2, count - 1] {
            let mut payloads = world.payloads();
            if failing == count - 1 {
                let keysend = FinalPayload { keysend_preimage: None, ..world.last() };
                payloads[failing] = keysend.encode();
            }
            payloads[failing].extend_from_slice(&unknown_even);
            let (mut packet, origin) = world.ours(payloads);
            let mut before = Vec::new();
            for at in 0..failing {
                let (keys, layer) = world.peeled_by_us(at, &packet);
                let Layer::Forward { next, .. } = layer else { panic!("final at {at}") };
                before.push(keys);
                packet = *next;
            }
            let refused = world.peeled_by_ldk(failing, &packet).err().expect("an unknown record");
            let mut reason = Blob(refused.err_data);
            for keys in before.iter().rev() {
                reason = keys.pass_back(reason);
            }
            let returned = origin.read(&reason).expect("a failure of LDK");
            assert_eq!(returned.hop, failing);
            let want = Failure::InvalidOnionPayload { culprit: Culprit(None) };
            assert_eq!(returned.failure, want);
            // We refuse it as well.
            let (_, layer) = world.peeled_by_us(failing, &packet);
            assert!(layer.read().is_err());
        }
    }
}

#[test]
fn both_refuse_the_same_packets_for_the_same_reason() {
    let world = World::new(5, 3);
    let (good, _) = world.ours(world.payloads());
    let mut dice = Dice::new(6);
    let mut seen = [0; 3];
    for _ in 0..600 {
        let mut packet = good;
        let bit = if dice.one_in(2) { dice.below(34 * 8) } else { dice.below(1_366 * 8) };
        packet.0[bit / 8] ^= 1 << (bit % 8);
        let ours = world.nodes[0].key.peel(&packet, &world.data());
        let flaw = ours.map(|_| ()).expect_err("a bit was flipped").flaw;
        let theirs = world.peeled_by_ldk(0, &packet).err().expect("a bit was flipped").reason;
        let (at, want) = match flaw {
            OnionFlaw::Version { .. } => (0, LocalHTLCFailureReason::InvalidOnionVersion),
            OnionFlaw::Key { .. } => (1, LocalHTLCFailureReason::InvalidOnionKey),
            OnionFlaw::Hmac => (2, LocalHTLCFailureReason::InvalidOnionHMAC),
        };
        seen[at] += 1;
        assert_eq!(theirs, want, "bit {bit}");
    }
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
}
