//! Two whole nodes of LDK live on our devnet: they have no other chain.

use bitcoin::{Amount, OutPoint, Transaction};
use devnet::{Clock, Devnet, Shared, lock, mempool::Rate};
use interop_ldk_node::{Party, until};
use ldk_node::{
    Event, UserChannelId, bitcoin,
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

/// A channel, how its opener calls it, and what it cost to open.
struct Channel {
    id: UserChannelId,
    funding: OutPoint,
    fee: Amount,
}

/// Opens a channel that both are ready to use, and announce.
fn open(devnet: &Shared, opener: &Party, other: &Party) -> Channel {
    let both = [opener, other];
    let (node, address, sats) = (other.node.node_id(), other.address(), CHANNEL.to_sat());
    let id = opener.node.open_announced_channel(node, address, sats, None, None);
    let id = id.expect("the other one is there");
    let fundings = both.map(|party| match party.event() {
        Event::ChannelPending { funding_txo, .. } => funding_txo,
        other => panic!("pending? {other:?}"),
    });
    assert_eq!(fundings[0], fundings[1]);
    let funding = fundings[0];
    let tx = until("the funding waits", || waiting(devnet, funding));
    assert_eq!(tx.output[funding.vout as usize].value, CHANNEL);
    let fee = fee(devnet, &tx);
    // The devnet's estimate is what it pays: a quarter of the rate for a unit of weight.
    let least = MARKET.fee(tx.weight().to_wu()) / 4;
    assert!((least..=least * 5 / 4).contains(&fee), "{fee}, at least {least}");

    mine(devnet, ANNOUNCED_BLOCKS, both);
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
    Channel { id, funding, fee }
}

/// Pays to and fro, and says how much came to the other one in the end.
fn pay_each_other(devnet: &Shared, opener: &Party, other: &Party) -> Amount {
    let mut paid = Amount::ZERO;
    for (at, (forth, sats)) in PAYMENTS.into_iter().enumerate() {
        let amount = Amount::from_sat(sats);
        if forth {
            pay(opener, other, amount);
            paid += amount;
        } else {
            pay(other, opener, amount);
            paid -= amount;
        }
        // The newest blocks go, and others come: not so deep that the channel would go with them.
        if at == PAYMENTS.len() / 2 {
            lock(devnet).reorg(ANNOUNCED_BLOCKS - 2, Vec::new()).expect("a reorg");
            [opener, other].iter().for_each(|party| party.follow(devnet));
        }
    }
    until("the other one can pay what it was paid", || {
        let channel = other.node.list_channels().pop().expect("a channel");
        let reserve = channel.unspendable_punishment_reserve.expect("a reserve");
        (channel.outbound_capacity_msat == (paid.to_sat() - reserve) * 1_000).then_some(())
    });
    paid
}

/// Closes a channel in peace, and says what that cost its opener.
fn close(devnet: &Shared, channel: &Channel, opener: &Party, other: &Party) -> Amount {
    let both = [opener, other];
    opener.node.close_channel(&channel.id, other.node.node_id()).expect("a channel");
    for party in both {
        let closed = party.event();
        assert!(matches!(closed, Event::ChannelClosed { .. }), "{closed:?}");
    }
    let tx = until("the closing waits", || waiting(devnet, channel.funding));
    assert_eq!((tx.input.len(), tx.input[0].previous_output), (1, channel.funding));
    let fee = fee(devnet, &tx);
    mine(devnet, ANNOUNCED_BLOCKS, both);
    fee
}

#[test]
fn two_nodes_open_pay_each_other_and_close() {
    let devnet = world();
    lock(&devnet).mine(None).expect("a block");
    let (alice, bob) = (Party::start(&devnet, "alice"), Party::start(&devnet, "bob"));
    fund(&devnet, [&alice, &bob]);
    let channel = open(&devnet, &alice, &bob);
    let paid = pay_each_other(&devnet, &alice, &bob);
    let fees = channel.fee + close(&devnet, &channel, &alice, &bob);

    assert_eq!(alice.spendable(), FUNDS - fees - paid);
    assert_eq!(bob.spendable(), FUNDS + paid);
    // The chain says so, too: all else is the bank's.
    assert_eq!(outside(&devnet), FUNDS * 2 - fees);
    for party in [alice, bob] {
        assert_eq!(party.node.list_balances().total_lightning_balance_sats, 0);
        assert_eq!(party.node.next_event(), None);
        party.stop();
    }
}
