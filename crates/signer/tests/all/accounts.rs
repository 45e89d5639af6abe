//! BIP 86: its own vectors, and the two sides of an account against each other.

use bitcoin::{Address, secp256k1};
use secp256k1::SECP256K1;
use signer::{Branch, IndexFault, KEY_INDEX_MAX, KeyIndex, KeyPlace};
use wire::Network;

use crate::parties::seed;
use crate::vectors::WORDS;

/// BIP 86, "Test vectors".
const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                       abandon abandon about";
const XPUB: &str = "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9\
                    QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ";
const ADDRESSES: [(Branch, u32, &str); 3] = [
    (Branch::Receive, 0, "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"),
    (Branch::Receive, 1, "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh"),
    (Branch::Change, 0, "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7"),
];

pub fn place(branch: Branch, index: u32) -> KeyPlace {
    KeyPlace { branch, index: KeyIndex::new(index).unwrap() }
}

#[test]
fn the_bip_has_the_same() {
    let key = seed(ABANDON).wallet_key(Network::Bitcoin);
    assert_eq!(key.account().xpub.to_string(), XPUB);
    assert_eq!(key.account().fingerprint.to_string(), "73c5da0a");
    for (branch, index, want) in ADDRESSES {
        let script = key.account().script(place(branch, index));
        let address = Address::from_script(&script, Network::Bitcoin).unwrap();
        assert_eq!(address.to_string(), want);
    }
}

/// The path spelled out, step by step, with what `bitcoin` derives.
#[test]
fn an_account_is_at_its_path() {
    for (_, words) in WORDS {
        for (network, coin) in [(Network::Bitcoin, 0), (Network::Regtest, 1), (Network::Signet, 1)]
        {
            let mnemonic = bip39::Mnemonic::parse_normalized(words).unwrap().to_seed_normalized("");
            let master = bitcoin::bip32::Xpriv::new_master(network, &mnemonic).unwrap();
            let path: bitcoin::bip32::DerivationPath =
                format!("86'/{coin}'/0'/1/7").parse().unwrap();
            let child = master.derive_priv(SECP256K1, &path).unwrap();
            let key = child.to_keypair(SECP256K1).x_only_public_key().0;
            let want = bitcoin::ScriptBuf::new_p2tr(SECP256K1, key, None);
            let ours = seed(words).wallet_key(network);
            assert_eq!(ours.account().script(place(Branch::Change, 7)), want);
            assert_eq!(ours.account().fingerprint, master.fingerprint(SECP256K1));
            assert_eq!(ours.network(), network);
        }
    }
}

#[test]
fn an_index_is_one_that_somebody_would_find() {
    assert_eq!(KeyIndex::new(KEY_INDEX_MAX).map(KeyIndex::number), Ok(999_999));
    for got in [KEY_INDEX_MAX + 1, u32::MAX] {
        assert_eq!(KeyIndex::new(got), Err(IndexFault { got, max: 999_999 }));
    }
}
