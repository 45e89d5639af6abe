//! Targets for what is saved of the money: the signer's view of the chain, and the wallet.

use chain::{BlockRef, Height};
use signer::{Account, Seed, View};
use wallet::Wallet;
use wire::Network;

const NETWORK: Network = Network::Regtest;
/// Where a snapshot says how many addresses were used, and how many are derived in no time.
const USED: [std::ops::Range<usize>; 2] = [156..160, 160..164];
const USED_MAX: u32 = 100;

/// A saved view: a sum without changes is written again to the byte, and any sum read again.
pub fn signer_view(data: &[u8]) {
    let Ok(restored) = View::decode(data, NETWORK) else { return };
    let sum = restored.view.encode();
    if restored.bytes == restored.sum_bytes {
        assert_eq!(sum, data[..restored.bytes]);
    }
    let again = View::decode(&sum, NETWORK).expect("we wrote it");
    assert_eq!((again.bytes, again.view.encode()), (sum.len(), sum));
}

/// A saved wallet, or one change to an empty one. What comes of it comes back from its snapshot.
pub fn wallet(data: &[u8]) {
    let account = account();
    let restored = match data.split_first() {
        Some((0, snapshot)) if is_quick(snapshot) => {
            Wallet::restore(account, NETWORK, snapshot, [])
        }
        Some((1, change)) => {
            let empty = Wallet::create(account, NETWORK, genesis()).snapshot();
            Wallet::restore(account, NETWORK, &empty, [change])
        }
        Some(_) | None => return,
    };
    if let Ok(wallet) = restored {
        let again = Wallet::restore(account, NETWORK, &wallet.snapshot(), []);
        let again = again.expect("a snapshot of ours");
        assert_eq!(again.snapshot(), wallet.snapshot());
        assert_eq!(again.coins(), wallet.coins());
    }
}

fn is_quick(snapshot: &[u8]) -> bool {
    USED.into_iter().filter_map(|range| snapshot.get(range)).all(|bytes| {
        bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) <= USED_MAX
    })
}

/// The account of the wallets in `fuzz/corpus/wallet`.
pub fn account() -> Account {
    let words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                 abandon about";
    let seed = Seed::from_words(words).expect("twelve words");
    *seed.wallet_key(NETWORK).account()
}

/// The first block of the test network.
pub fn genesis() -> BlockRef {
    let hash = bitcoin::constants::genesis_block(NETWORK).block_hash();
    BlockRef { height: Height(0), hash }
}
