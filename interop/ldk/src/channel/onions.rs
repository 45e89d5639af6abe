//! The work that LDK has with onions: one is made for each payment, and opened by whoever is paid.

use lightning::types::payment::{PaymentHash, PaymentSecret};
use lightning::util::logger::Level;
use tx::Form;
use wire::amount::{BlockCount, FeeratePerKw, HtlcCount};
use wire::id::{self, ChannelId, HtlcId};
use wire::{Message, UpdateAddHtlc};

use super::pairs::AMOUNT;
use super::{Theirs, Wants};

/// Makes onions, and opens them.
pub struct Onions {
    node: Theirs,
    invoices: Vec<(PaymentHash, PaymentSecret)>,
}

impl Onions {
    /// So many.
    pub fn new(payments: usize) -> Self {
        let wants = Wants {
            form: Form::Anchors,
            depth: BlockCount(3),
            rate: FeeratePerKw(1_000),
            htlcs_max: HtlcCount(483),
            level: Level::Error,
        };
        let node = Theirs::new(5, Theirs::id_of(6), &wants);
        let invoices = (0..payments).map(|_| node.invoice()).collect();
        Self { node, invoices }
    }

    /// Each is made, and opened.
    pub fn run(&mut self) {
        for invoice in &self.invoices {
            let (onion_routing_packet, cltv_expiry) = self.node.onion(AMOUNT, *invoice);
            let add = UpdateAddHtlc {
                channel_id: ChannelId([1; 32]),
                id: HtlcId(0),
                amount_msat: AMOUNT,
                payment_hash: id::PaymentHash(invoice.0.0),
                cltv_expiry,
                onion_routing_packet,
                path_key: None,
                extension: Default::default(),
            };
            let bytes = Message::from(add).encode().expect("it fits");
            assert!(self.node.opens(&bytes), "it is for this node");
        }
    }
}
