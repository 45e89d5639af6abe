//! Paths: against numbers of others, and against a model that shares no line with `bitcoin`.

use std::num::NonZeroU32;
use std::str::FromStr;

use bitcoin::bip32::Xpriv;
use ring::{hmac, pbkdf2};
use secp256k1::{SECP256K1, Scalar, SecretKey};
use signer::{IndexFault, NODE_INDEX_MAX, NodeIndex, PURPOSE};
use wire::Network;

use crate::parties::{node_key, seed};
use crate::vectors::{BIP32, NODES, TREZOR, VOID_24, WORDS, bytes, point};

const ALL_NETWORKS: [(Network, u32); 5] = [
    (Network::Bitcoin, 0),
    (Network::Testnet, 1),
    (Network::Testnet4, 1),
    (Network::Signet, 1),
    (Network::Regtest, 1),
];

/// BIP 39: "we use the PBKDF2 function with a mnemonic sentence (in UTF-8 NFKD) used as the
/// password and the string "mnemonic" + passphrase (again in UTF-8 NFKD) used as the salt. The
/// iteration count is set to 2048 and HMAC-SHA512 is used as the pseudo-random function."
fn model_seed(words: &str, passphrase: &str) -> Vec<u8> {
    let mut seed = vec![0; 64];
    let salt = format!("mnemonic{passphrase}");
    let rounds = NonZeroU32::new(2048).unwrap();
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        rounds,
        salt.as_bytes(),
        words.as_bytes(),
        &mut seed,
    );
    seed
}

/// A private key and its chain code, by BIP 32's text.
struct Model(SecretKey, Vec<u8>);

impl Model {
    fn hmac(key: &[u8], data: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), data);
        let (left, right) = tag.as_ref().split_at(32);
        (left.to_vec(), right.to_vec())
    }

    fn master(seed: &[u8]) -> Model {
        let (left, right) = Model::hmac(b"Bitcoin seed", seed);
        Model(SecretKey::from_slice(&left).unwrap(), right)
    }

    /// BIP 32: "If so (hardened child): let I = HMAC-SHA512(Key = cpar, Data = 0x00 || ser256(kpar)
    /// || ser32(i))." and "The returned child key ki is parse256(IL) + kpar (mod n)."
    fn hardened(&self, index: u32) -> Model {
        let number = (index | 1 << 31).to_be_bytes();
        let data = [&[0][..], &self.0.secret_bytes(), &number].concat();
        let (left, right) = Model::hmac(&self.1, &data);
        let tweak = Scalar::from_be_bytes(left.try_into().unwrap()).unwrap();
        Model(self.0.add_tweak(&tweak).unwrap(), right)
    }
}

#[test]
fn the_model_is_right() {
    for (words, want) in TREZOR {
        assert_eq!(model_seed(words, "TREZOR"), bytes(want));
    }
    for (seed, path, want) in BIP32 {
        let key = path.iter().fold(Model::master(&bytes(seed)), |key, index| key.hardened(*index));
        let want = Xpriv::from_str(want).unwrap();
        assert_eq!(key.0, want.private_key, "{seed} {path:?}");
        assert_eq!(key.1, want.chain_code.as_bytes(), "{seed} {path:?}");
    }
}

#[test]
fn node_ids_are_frozen() {
    for (words, coin, index, want) in NODES {
        let network = ALL_NETWORKS.iter().find(|(_, number)| number == coin).unwrap().0;
        let key = seed(words).node_key(network, NodeIndex::new(*index).unwrap());
        assert_eq!(key.id(), point(want), "{words} {coin} {index}");
    }
}

#[test]
fn the_model_derives_the_same() {
    for (_, words) in WORDS {
        for (network, coin) in ALL_NETWORKS {
            for index in [0, 1, 0x1234_5678, NODE_INDEX_MAX] {
                let want = [PURPOSE, coin, 0, index]
                    .iter()
                    .fold(Model::master(&model_seed(words, "")), |key, step| key.hardened(*step));
                let key = seed(words).node_key(network, NodeIndex::new(index).unwrap());
                assert_eq!(key.id(), want.0.public_key(SECP256K1), "{words} {network} {index}");
            }
        }
    }
}

#[test]
fn an_index_fits_bip_32() {
    assert!(NodeIndex::new(NODE_INDEX_MAX).is_ok());
    assert_eq!(NodeIndex::new(0), Ok(NodeIndex::FIRST));
    for got in [NODE_INDEX_MAX + 1, u32::MAX] {
        assert_eq!(NodeIndex::new(got), Err(IndexFault { got, max: 0x7fff_ffff }));
    }
}

#[test]
fn the_same_words_are_the_same_node() {
    assert_eq!(node_key(VOID_24).id(), node_key(VOID_24).id());
}
