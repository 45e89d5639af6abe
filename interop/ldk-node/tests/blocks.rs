//! LDK's client of bitcoind follows our devnet over RPC.

use std::{cell::RefCell, sync::Arc};

use bitcoin::{
    Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, WScriptHash, block::Header,
    hashes::Hash as _,
};
use devnet::{
    Devnet, Shared, lock,
    rpc::{Access, Server},
};
use lightning::chain::{BestBlock, Listen, transaction::TransactionData};
use lightning_block_sync::{
    BlockSource, SpvClient, UnboundedCache,
    gossip::UtxoSource,
    http::HttpEndpoint,
    init::{synchronize_listeners, validate_best_block_header},
    poll::{ChainPoller, ChainTip},
    rpc::RpcClient,
};
use wire::dice::Dice;

/// `user:password` in base64.
const CREDENTIALS: &str = "dXNlcjpwYXNzd29yZA==";
/// Acts of a random walk.
const ACTS: usize = 60;

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Connected(u32, Arc<Block>),
    /// All above this block is gone.
    Back(u32, BlockHash),
}

/// Writes down what it hears.
#[derive(Default)]
struct Listener(RefCell<Vec<Heard>>);

impl Listen for Listener {
    fn filtered_block_connected(&self, _: &Header, _: &TransactionData<'_>, _: u32) {
        panic!("RPC gives whole blocks");
    }

    fn block_connected(&self, block: &Block, height: u32) {
        self.0.borrow_mut().push(Heard::Connected(height, Arc::new(block.clone())));
    }

    fn blocks_disconnected(&self, fork: BestBlock) {
        self.0.borrow_mut().push(Heard::Back(fork.height, fork.block_hash));
    }
}

impl Listener {
    fn take(&self) -> Vec<Heard> {
        self.0.take()
    }
}

/// A devnet of ten blocks, its server, and LDK's client of it.
fn world() -> (Shared, Server, RpcClient) {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    devnet.mine_many(10, None).expect("blocks");
    let devnet = devnet.shared();
    let access = Access::Password { user: "user".to_owned(), password: "password".to_owned() };
    let server = Server::start(devnet.clone(), 0, access).expect("a server");
    let address = server.address();
    let at = HttpEndpoint::for_host(address.ip().to_string()).with_port(address.port());
    (devnet, server, RpcClient::new(CREDENTIALS, at))
}

/// What somebody should hear who knows the chain up to a height, by the devnet's own ledger.
fn above(devnet: &Shared, height: u32) -> Vec<Heard> {
    let devnet = lock(devnet);
    let ledger = devnet.ledger();
    let connected = |height| {
        let hash = ledger.at(height).expect("not above the tip");
        Heard::Connected(height, Arc::clone(&ledger.node(&hash).expect("it is there").block))
    };
    (height + 1..=ledger.height()).map(connected).collect()
}

/// The same after a reorg.
fn back_to(devnet: &Shared, fork: u32) -> Vec<Heard> {
    let hash = lock(devnet).ledger().at(fork).expect("the fork is in both chains");
    [vec![Heard::Back(fork, hash)], above(devnet, fork)].concat()
}

/// Blocks by height, as a listener that has heard all would know them.
fn replay(chain: &mut Vec<BlockHash>, heard: Vec<Heard>) {
    for one in heard {
        match one {
            Heard::Connected(height, block) => {
                assert_eq!(chain.len(), height as usize);
                assert_eq!(chain.last(), Some(&block.header.prev_blockhash));
                chain.push(block.block_hash());
            }
            Heard::Back(height, hash) => {
                assert!((height as usize) < chain.len() - 1, "something went");
                chain.truncate(height as usize + 1);
                assert_eq!(chain.last(), Some(&hash));
            }
        }
    }
}

/// The devnet's active chain.
fn active(devnet: &Shared) -> Vec<BlockHash> {
    let devnet = lock(devnet);
    let ledger = devnet.ledger();
    (0..=ledger.height()).map_while(|height| ledger.at(height)).collect()
}

#[tokio::test]
async fn a_client_follows_through_a_reorg() {
    let (devnet, _server, rpc) = world();
    let tip = validate_best_block_header(&rpc).await.expect("a tip");
    let (listener, mut cache) = (Listener::default(), UnboundedCache::new());
    let poller = ChainPoller::new(&rpc, Network::Regtest);
    let mut client = SpvClient::new(tip, poller, &mut cache, &listener);

    let (same, changed) = client.poll_best_tip().await.expect("an answer");
    assert_eq!((same, changed, listener.take()), (ChainTip::Common, false, vec![]));

    lock(&devnet).mine_many(5, None).expect("blocks");
    let (_, changed) = client.poll_best_tip().await.expect("an answer");
    let heard = listener.take();
    assert_eq!((changed, heard.len()), (true, 5));
    assert_eq!(heard, above(&devnet, 10));

    // Four go, five come.
    lock(&devnet).reorg(4, Vec::new()).expect("a reorg");
    let first = lock(&devnet).tip();
    client.poll_best_tip().await.expect("an answer");
    let heard = listener.take();
    assert_eq!((first.height, heard.len()), (16, 1 + 5));
    assert_eq!(heard, back_to(&devnet, 11));

    // Deeper than where the client began.
    lock(&devnet).reorg(9, Vec::new()).expect("a reorg");
    client.poll_best_tip().await.expect("an answer");
    let heard = listener.take();
    assert_eq!(heard.len(), 1 + 10);
    assert_eq!(heard, back_to(&devnet, 7));

    // Without its newest blocks the best chain is the one before, which has less work: the client
    // waits until that has more.
    let gone = lock(&devnet).ledger().at(15).expect("a block");
    lock(&devnet).invalidate(&gone).expect("three go");
    let (worse, changed) = client.poll_best_tip().await.expect("an answer");
    assert!(
        matches!(worse, ChainTip::Worse(tip) if tip.to_best_block().block_hash == first.hash),
        "{worse:?}"
    );
    assert_eq!((changed, listener.take()), (false, vec![]));
    lock(&devnet).mine_many(4, None).expect("blocks");
    client.poll_best_tip().await.expect("an answer");
    let heard = listener.take();
    assert_eq!(heard.len(), 1 + 9 + 4);
    assert_eq!(heard, back_to(&devnet, 7));

    // And on it goes.
    lock(&devnet).mine_many(2, None).expect("blocks");
    client.poll_best_tip().await.expect("an answer");
    assert_eq!(listener.take(), above(&devnet, 20));
    assert_eq!(lock(&devnet).tip().height, 22);
}

#[tokio::test]
async fn listeners_that_were_away_catch_up() {
    let (devnet, _server, rpc) = world();
    let old = lock(&devnet).mine_many(3, None).expect("blocks");
    let new = lock(&devnet).reorg(3, Vec::new()).expect("a reorg");
    let listeners = [Listener::default(), Listener::default(), Listener::default()];
    // One saw a branch that is stale, one what both have, one all.
    let both = lock(&devnet).ledger().at(10).expect("a block");
    let pairs = [old[2].block.hash, both, new[3].block.hash].into_iter().zip(&listeners).collect();
    let mut cache = UnboundedCache::new();
    let tip = synchronize_listeners(&rpc, Network::Regtest, &mut cache, pairs);
    let tip = tip.await.expect("a tip");
    assert_eq!(tip.to_best_block().block_hash, lock(&devnet).tip().hash);
    assert_eq!(listeners[0].take(), back_to(&devnet, 10));
    assert_eq!(listeners[1].take(), above(&devnet, 10));
    assert_eq!(listeners[2].take(), vec![]);
}

#[tokio::test]
async fn a_client_follows_wherever_the_chain_goes() {
    let (devnet, _server, rpc) = world();
    let tip = validate_best_block_header(&rpc).await.expect("a tip");
    let (listener, mut cache) = (Listener::default(), UnboundedCache::new());
    let poller = ChainPoller::new(&rpc, Network::Regtest);
    let mut client = SpvClient::new(tip, poller, &mut cache, &listener);
    let (mut chain, mut dice) = (active(&devnet), Dice::new(5));
    let mut reorgs = 0;
    for act in 0..ACTS {
        {
            let mut devnet = lock(&devnet);
            let depth = 1 + dice.below(6) as u32;
            if dice.one_in(2) {
                devnet.mine_many(depth, None).expect("blocks");
            } else {
                devnet.reorg(depth, Vec::new()).expect("a reorg");
            }
        }
        // Now and then more than one thing has happened when it asks.
        if dice.one_in(3) && act + 1 < ACTS {
            continue;
        }
        client.poll_best_tip().await.expect("an answer");
        let heard = listener.take();
        reorgs += usize::from(matches!(heard.first(), Some(Heard::Back(..))));
        replay(&mut chain, heard);
        assert_eq!(chain, active(&devnet), "act {act}");
    }
    assert!(reorgs >= 10, "{reorgs} reorgs, at least 10 expected");
}

/// What gossip asks: whether a channel's output is there.
#[tokio::test]
async fn an_output_is_looked_up() {
    let (devnet, _server, rpc) = world();
    let script = ScriptBuf::new_p2wsh(&WScriptHash::from_byte_array([7; 32]));
    lock(&devnet).mine_many(100, None).expect("blocks");
    let coin = lock(&devnet).fund(&script, Amount::ONE_BTC).expect("a coin");
    // The mempool does not count.
    assert!(!rpc.is_output_unspent(coin).await.expect("an answer"));
    let mined = lock(&devnet).mine(None).expect("a block");
    assert!(rpc.is_output_unspent(coin).await.expect("an answer"));
    assert!(!rpc.is_output_unspent(OutPoint { vout: 9, ..coin }).await.expect("an answer"));
    let height = mined.block.height;
    assert_eq!(rpc.get_block_hash_by_height(height).await.expect("a hash"), mined.block.hash);
    rpc.get_block_hash_by_height(height + 1).await.expect_err("above the tip");
    let unknown = BlockHash::from_byte_array([7; 32]);
    assert!(rpc.get_block(&unknown).await.is_err());
    // After a refusal the same connection goes on.
    assert_eq!(rpc.get_best_block().await.expect("a tip"), (mined.block.hash, Some(height)));
}
