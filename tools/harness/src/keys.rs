//! Targets for what `signer` reads: questions, answers, and a seed file that somebody has touched.

use std::sync::{LazyLock, Mutex};

use bitcoin::hashes::{Hash as _, sha256};
use signer::{Answer, Ask, Channels, MessageSignature, NodeIndex, SealedSeed, Seed};
use wire::{Network, reader::Reader};

const NETWORK: Network = Network::Regtest;

/// A question over a link. Unknown odd records are skipped, so what is written again may be
/// shorter; but it reads as the same question.
pub fn signer_ask(data: &[u8]) {
    if let Ok(ask) = Ask::decode(data) {
        let written = ask.encode();
        assert!(written.len() <= data.len());
        assert_eq!(Ask::decode(&written), Ok(ask));
    }
}

/// An answer over a link, likewise; its bytes are wiped whatever the outcome.
pub fn signer_answer(data: &[u8]) {
    let mut bytes = data.to_vec();
    let answer = Answer::decode(&mut bytes);
    assert!(bytes.iter().all(|byte| *byte == 0), "secrets are left behind");
    if let Ok(answer) = answer {
        let written = answer.encode();
        assert!(written.bytes().len() <= data.len());
        let again = Answer::decode(&mut written.bytes().to_vec()).map(Answer::encode);
        assert!(again.is_ok_and(|again| again.bytes() == written.bytes()));
    }
}

/// A seed file, and a signature as people pass it on.
pub fn seed_file(data: &[u8]) {
    if let Ok(sealed) = SealedSeed::parse(data, Network::Regtest) {
        assert_eq!(sealed.bytes().as_slice(), data);
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(signature) = text.parse::<MessageSignature>() {
        assert_eq!(signature.to_string(), text);
        signature.recover(data).ok();
    }
}

/// Saved changes of channels, each behind its length in two bytes: lengths and checksums are made
/// right here. What comes of them comes back from its sum.
pub fn signer_channels(data: &[u8]) {
    static CHANNELS: LazyLock<Mutex<Channels>> = LazyLock::new(|| Mutex::new(empty_channels()));
    static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| empty_channels().encode(NETWORK));
    let (mut bytes, mut from) = (EMPTY.clone(), Reader::new(data));
    while let Ok(change) = from.prefixed() {
        let begin = bytes.len();
        let len = change.len() as u32;
        bytes.extend([!len, len].map(u32::to_be_bytes).as_flattened());
        bytes.extend(change);
        let sum: sha256::Hash = sha256::Hash::hash(&bytes[begin..]);
        bytes.extend(&sum.to_byte_array()[..4]);
    }
    let mut channels = CHANNELS.lock().expect("nobody panics while holding it, or all ends");
    if channels.restore(&bytes, NETWORK).is_ok() {
        let sum = channels.encode(NETWORK);
        channels.restore(&sum, NETWORK).expect("we wrote it");
        assert_eq!(channels.encode(NETWORK), sum);
    }
}

/// Channels of a seed that nobody uses.
pub fn empty_channels() -> Channels {
    let seed = Seed::take(&mut [2; 32]).expect("32 bytes are a seed");
    Channels::bolt3(seed.channel_keys(NETWORK, NodeIndex::FIRST))
}

/// What [`signer_channels`] takes, of a change as it is saved.
pub fn change_bytes(saved: &[u8]) -> Vec<u8> {
    let body = &saved[8..saved.len() - 4];
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}
