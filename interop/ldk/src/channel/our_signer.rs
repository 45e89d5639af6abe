//! Our signer, and what it remembers: here, or in the file of a real one.

use std::path::Path;

use node::io::channels_file::ChannelsFile;
use signer::{
    ChannelAnswer, ChannelAsk, ChannelChange, ChannelRefusal, Channels, Money, NodeIndex, Seed,
    Seen, WalletKey,
};
use tx::Templates;
use wire::Network;

use super::ours::KEY;

/// What our signer has.
pub(super) struct Signer {
    pub(super) entropy: u8,
    channels: Channels,
    pub(super) wallet: WalletKey,
    policy: signer::Policy,
    /// What it has remembered, in its order.
    pub(super) log: Vec<ChannelChange>,
    /// Or in this file.
    file: Option<ChannelsFile>,
}

impl Signer {
    pub(super) fn new(entropy: u8) -> Self {
        let seed = Seed::take(&mut [entropy; 32]).expect("entropy of 32 bytes is a seed");
        let keys = seed.channel_keys(Network::Regtest, NodeIndex::FIRST);
        Self {
            entropy,
            channels: Channels::new(keys, Templates::bolt3()),
            wallet: seed.wallet_key(Network::Regtest),
            policy: signer::Policy::default(),
            log: Vec::new(),
            file: None,
        }
    }

    /// One that remembers in a folder.
    pub(super) fn saving(entropy: u8, dir: &Path) -> Self {
        let (file, channels) = signer_file(entropy, dir);
        Self { channels, file: Some(file), ..Self::new(entropy) }
    }

    /// Another that remembers the same.
    pub(super) fn twin(&self) -> Self {
        let mut twin = Self::new(self.entropy);
        self.log.iter().for_each(|it| twin.channels.evolve(KEY, it));
        twin.log.clone_from(&self.log);
        twin
    }
}

/// Whatever a signer is asked for, saved at once.
pub(super) fn answer(
    signer: &mut Signer,
    ask: &ChannelAsk,
) -> Result<ChannelAnswer, ChannelRefusal> {
    let money = Money { wallet: &signer.wallet, policy: &signer.policy };
    let (change, answer) = signer.channels.decide_with(ask, &money, &Seen::default())?;
    if let Some(change) = change {
        let has_to_be = signer.channels.has_to_be_saved(&change);
        if let Some(file) = signer.file.as_mut().filter(|_| has_to_be) {
            let bytes = signer.channels.encode_change(&ask.channel, &change);
            file.save(&signer.channels, &bytes).expect("the disk has room");
        }
        signer.channels.evolve(ask.channel, &change);
        if signer.file.is_none() {
            signer.log.push(change);
        }
    }
    Ok(answer)
}

/// A signer's channels, and the file that has them, in a folder where there are none.
fn signer_file(entropy: u8, dir: &Path) -> (ChannelsFile, Channels) {
    let seed = Seed::take(&mut [entropy; 32]).expect("entropy of 32 bytes is a seed");
    let keys = seed.channel_keys(Network::Regtest, NodeIndex::FIRST);
    let opened = ChannelsFile::open(dir, Network::Regtest, keys);
    opened.unwrap_or_else(|no| panic!("{no}"))
}
