//! Two whole nodes of LDK live on our devnet: they have no other chain.

use bitcoin::{Amount, OutPoint, Transaction};
use devnet::{Clock, Devnet, Shared, lock, mempool::Rate};
use interop_ldk_node::{Party, until};
use ldk_node::{
    Event, bitcoin,
    lightning_invoice::{Bolt11InvoiceDescription, Description},
    payment::PaymentStatus,
};

/// What each node has in the beginning.
const FUNDS: Amount = Amount::from_sat(2_000_000);
/// What the channel has.
const CHANNEL: Amount = Amount::from_sat(1_000_000);
/// Blocks behind which a channel is announced.
const ANNOUNCED_BLOCKS: u32 = 6;
/// What the devnet says that a place in a block costs.
const MARKET: Rate = Rate::sat_per_kvb(3_000);
/// Payments, in this order: whether the opener pays, and how much.
const PAYMENTS: [(bool, u64); 6] =
    [(true, 90_000), (false, 25_000), (true, 1), (true, 44_000), (false, 61_234), (true, 7_500)];

fn world() -> Shared {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    devnet.set_clock(Clock::Wall);
    devnet.set_fee_estimate(Some(MARKET));
    devnet.shared()
}

/// Mines, and has both nodes see it.
fn mine(devnet: &Shared, blocks: u32, parties: [&Party; 2]) {
    lock(devnet).mine_many(blocks, None).expect("blocks");
    parties.iter().for_each(|party| party.follow(devnet));
}

/// What a transaction pays, whose inputs are in the chain.
fn fee(devnet: &Shared, tx: &Transaction) -> Amount {
    let devnet = lock(devnet);
    let value = |at: &OutPoint| {
        let (tx, _) = devnet.transaction(&at.txid).expect("an input of the chain");
        tx.output[at.vout as usize].value
    };
    let spent: Amount = tx.input.iter().map(|input| value(&input.previous_output)).sum();
    spent - tx.output.iter().map(|output| output.value).sum()
}

/// The one transaction that waits, and spends or makes this output.
fn waiting(devnet: &Shared, funding: OutPoint) -> Option<Transaction> {
    let devnet = lock(devnet);
    let pool = devnet.mempool();
    let entry = pool.entry(&funding.txid).or_else(|| pool.spender(&funding));
    entry.map(|entry| Transaction::clone(&entry.tx))
}

/// All coins of the chain but the bank's.
fn outside(devnet: &Shared) -> Amount {
    let devnet = lock(devnet);
    let bank = devnet.bank().script();
    let coins = devnet.ledger().coins().values().map(|coin| &coin.output);
    coins.filter(|output| output.script_pubkey != *bank).map(|output| output.value).sum()
}

/// Funds both nodes and has them see it, first in the mempool and then in the chain.
fn fund(devnet: &Shared, parties: [&Party; 2]) {
    let address = |party: &Party| party.node.onchain_payment().new_address().expect("an address");
    let addresses = parties.map(address);
    {
        // Both at once: a node that has seen the one takes what has come in the same second for
        // seen, too.
        let mut devnet = lock(devnet);
        for address in addresses {
            devnet.fund(&address.script_pubkey(), FUNDS).expect("a coin");
        }
    }
    for party in parties {
        until("the coin is seen in the mempool", || {
            party.follow(devnet);
            let balances = party.node.list_balances();
            (balances.total_onchain_balance_sats == FUNDS.to_sat()).then_some(())
        });
        assert_eq!(party.spendable(), Amount::ZERO);
    }
    mine(devnet, 1, parties);
    for party in parties {
        assert_eq!(party.spendable(), FUNDS);
    }
}

/// Pays over an invoice, and waits until both know.
fn pay(payer: &Party, payee: &Party, amount: Amount) {
    let amount_msat = amount.to_sat() * 1_000;
    let words = Description::new("from one to the other".to_owned()).expect("it is short");
    let words = Bolt11InvoiceDescription::Direct(words);
    let invoice = payee.node.bolt11_payment().receive(amount_msat, &words, 3_600);
    let invoice = invoice.expect("an invoice");
    // The payment before may not be through all signatures yet.
    until("the channel can carry it", || {
        let channel = payer.node.list_channels().pop().expect("a channel");
        let carries =
            channel.next_outbound_htlc_minimum_msat..=channel.next_outbound_htlc_limit_msat;
        (channel.is_usable && carries.contains(&amount_msat)).then_some(())
    });
    let id = payer.node.bolt11_payment().send(&invoice, None).expect("a way");
    match payer.event() {
        Event::PaymentSuccessful { payment_id, fee_paid_msat, .. } => {
            assert_eq!((payment_id, fee_paid_msat), (Some(id), Some(0)));
        }
        other => panic!("paid? {other:?}"),
    }
    match payee.event() {
        Event::PaymentReceived { amount_msat: got, .. } => assert_eq!(got, amount_msat),
        other => panic!("received? {other:?}"),
    }
    for party in [payer, payee] {
        let payment = party.node.payment(&id).expect("both know it");
        assert_eq!(
            (payment.status, payment.amount_msat),
            (PaymentStatus::Succeeded, Some(amount_msat))
        );
    }
}

#[test]
fn two_nodes_open_pay_each_other_and_close() {
    let devnet = world();
    lock(&devnet).mine_many(1, None).expect("a block");
    let (alice, bob) = (Party::start(&devnet, "alice"), Party::start(&devnet, "bob"));
    let both = [&alice, &bob];
    fund(&devnet, both);

    // Alice opens.
    let user_channel = alice
        .node
        .open_announced_channel(bob.node.node_id(), bob.address(), CHANNEL.to_sat(), None, None)
        .expect("Bob is there");
    let fundings = both.map(|party| match party.event() {
        Event::ChannelPending { funding_txo, .. } => funding_txo,
        other => panic!("pending? {other:?}"),
    });
    assert_eq!(fundings[0], fundings[1]);
    let funding = fundings[0];
    let opening = until("the funding waits", || waiting(&devnet, funding));
    assert_eq!(opening.output[funding.vout as usize].value, CHANNEL);
    let opening_fee = fee(&devnet, &opening);
    // The devnet's estimate is what it pays: a quarter of the rate for a unit of weight.
    let least = MARKET.fee(opening.weight().to_wu()) / 4;
    assert!((least..=least * 5 / 4).contains(&opening_fee), "{opening_fee}, at least {least}");

    mine(&devnet, ANNOUNCED_BLOCKS, both);
    for party in both {
        let ready = party.event();
        assert!(matches!(ready, Event::ChannelReady { .. }), "{ready:?}");
    }
    // Each has looked up the output over RPC before it believed the announcement.
    for party in both {
        until("the channel is announced", || {
            (party.node.network_graph().list_channels().len() == 1).then_some(())
        });
    }

    let mut paid = 0;
    for (at, (forth, sats)) in PAYMENTS.into_iter().enumerate() {
        let amount = Amount::from_sat(sats);
        if forth {
            pay(&alice, &bob, amount);
            paid += amount.to_sat();
        } else {
            pay(&bob, &alice, amount);
            paid -= amount.to_sat();
        }
        // The newest blocks go, and others come: not so deep that the channel would go with them.
        if at == PAYMENTS.len() / 2 {
            lock(&devnet).reorg(ANNOUNCED_BLOCKS - 2, Vec::new()).expect("a reorg");
            both.iter().for_each(|party| party.follow(&devnet));
        }
    }
    until("Bob can pay what he was paid", || {
        let channels = bob.node.list_channels();
        let reserve = channels[0].unspendable_punishment_reserve.expect("a reserve");
        (channels[0].outbound_capacity_msat == (paid - reserve) * 1_000).then_some(())
    });

    // Alice closes, and pays for it.
    alice.node.close_channel(&user_channel, bob.node.node_id()).expect("a channel");
    for party in both {
        let closed = party.event();
        assert!(matches!(closed, Event::ChannelClosed { .. }), "{closed:?}");
    }
    let closing = until("the closing waits", || waiting(&devnet, funding));
    assert_eq!((closing.input.len(), closing.input[0].previous_output), (1, funding));
    let closing_fee = fee(&devnet, &closing);
    mine(&devnet, ANNOUNCED_BLOCKS, both);
    let left = FUNDS - opening_fee - closing_fee - Amount::from_sat(paid);
    assert_eq!(alice.spendable(), left);
    assert_eq!(bob.spendable(), FUNDS + Amount::from_sat(paid));
    for party in both {
        let balances = party.node.list_balances();
        assert_eq!(balances.total_lightning_balance_sats, 0);
        assert_eq!(party.node.next_event(), None);
    }
    // The chain says so, too: all else is the bank's.
    assert_eq!(outside(&devnet), alice.spendable() + bob.spendable());
    alice.stop();
    bob.stop();
}
