//! Signers, sockets and files of tests.

use std::sync::LazyLock;

use noise::{EphemeralKey, PublicKey};
use signer::{
    Answer, Ask, Channels, ConnectionId, FileKey, LinkId, NodeIndex, NodeKey, Passphrase,
    SealedSeed, Seed, Signer, WalletKey,
};
use wire::Network;
use wire::tick::Tick;

use crate::vectors::{FILE_24, OZONE_12, PASSPHRASE, VOID_24, bytes};

pub const LINK: LinkId = LinkId(1);

pub fn seed(words: &str) -> Seed {
    Seed::from_words(words).unwrap_or_else(|fault| panic!("{fault}"))
}

pub fn node_key(words: &str) -> NodeKey {
    seed(words).node_key(Network::Regtest, NodeIndex::FIRST)
}

pub fn channels(words: &str) -> Channels {
    Channels::bolt3(seed(words).channel_keys(Network::Regtest, NodeIndex::FIRST))
}

pub fn wallet_key(words: &str) -> WalletKey {
    seed(words).wallet_key(Network::Regtest)
}

/// A signer that dials in tests, and one that is dialled.
pub fn alice() -> Signer {
    Signer::new(node_key(VOID_24), wallet_key(VOID_24), channels(VOID_24))
}

pub fn bob() -> Signer {
    Signer::new(node_key(OZONE_12), wallet_key(OZONE_12), channels(OZONE_12))
}

pub fn bob_id() -> PublicKey {
    static ID: LazyLock<PublicKey> = LazyLock::new(|| bob().node_id());
    *ID
}

/// A key whose 32 bytes are all `byte`.
pub fn ephemeral(byte: u8) -> EphemeralKey {
    EphemeralKey::take(&mut [byte; 32]).unwrap_or_else(|fault| panic!("{fault}"))
}

pub fn passphrase(text: &str) -> Passphrase {
    Passphrase::take(&mut text.as_bytes().to_vec()).unwrap_or_else(|fault| panic!("{fault}"))
}

pub fn parsed(hex: &str, network: Network) -> SealedSeed {
    SealedSeed::parse(&bytes(hex), network).unwrap_or_else(|fault| panic!("{fault}"))
}

/// The key of [`FILE_24`] and of every file with its salt and cost: it is slow to make.
pub fn file_key() -> &'static FileKey {
    static KEY: LazyLock<FileKey> = LazyLock::new(|| {
        let file = parsed(FILE_24, Network::Regtest);
        file.stretch(&passphrase(PASSPHRASE)).unwrap_or_else(|fault| panic!("{fault}"))
    });
    &KEY
}

pub fn words_of(seed: &Seed) -> String {
    seed.words().iter().collect::<Vec<_>>().join(" ")
}

pub fn handshake(connection: u64, ask: noise::Ask) -> Ask {
    Ask::Handshake { connection: ConnectionId(connection), ask }
}

/// Asks as another process would: both ways through bytes.
pub fn ask_over_bytes(signer: &mut Signer, link: LinkId, ask: &Ask, now: u64, e: u8) -> Answer {
    let ask = Ask::decode(&ask.encode()).unwrap();
    let frame = signer.answer(link, ask, Tick(now), || ephemeral(e)).encode();
    match Answer::decode(&mut frame.bytes().to_vec()) {
        Ok(answer) => answer,
        Err(fault) => panic!("{fault}"),
    }
}

/// One step, of a connection on [`LINK`].
pub fn step(signer: &mut Signer, connection: u64, ask: noise::Ask, now: u64) -> noise::Answer {
    let answer = ask_over_bytes(signer, LINK, &handshake(connection, ask), now, 0x77);
    let name = answer.name();
    let Answer::Handshake { connection: got, answer } = answer else {
        panic!("{name} to a handshake")
    };
    assert_eq!(got, ConnectionId(connection));
    answer
}

/// The fault of a step that is refused.
pub fn refused(answer: noise::Answer) -> noise::Fault {
    let name = answer.name();
    let noise::Answer::Refused(fault) = answer else { panic!("{name} instead of a refusal") };
    fault
}
