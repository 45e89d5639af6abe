//! The signer of a house: a process with a disk of its own, which dies and comes back by itself.

use std::{collections::BTreeSet, sync::LazyLock};

use bitcoin::ScriptBuf;
use node::services::{channels::Token, treasury::SignId};
use noise::PublicKey;
use signer::{
    Account, Answer, Ask, Branch, Channels, KeyIndex, KeyPlace, LinkId, NodeIndex, Policy, Refusal,
    Seed, Signer, SignerChange, View,
};
use wire::{
    Network,
    amount::Msat,
    tick::{Millis, Tick},
};

use super::{Broken, HOUSES_MAX, Happening, World, faults::Point};

/// No wallet of a world hands out more addresses.
const ADDRESSES: u32 = 60;
const NETWORK: Network = Network::Regtest;
/// An answer that comes twice does so within this time.
const TWICE_MS: usize = 400;

/// Who of a node has asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    Channels(Token),
    Bank(SignId),
}

/// How the next answer goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    Late(Millis),
    Twice,
    /// Until the link breaks: on a link answers come in their order.
    Never,
    /// So often.
    Refuses(u32),
}

/// What a signer has on its disk.
#[derive(Clone, Default)]
pub(crate) struct Lines {
    channels: Vec<u8>,
    view: Vec<u8>,
}

/// A signer's process, and its link with the node.
pub(crate) struct Keys {
    house: usize,
    pub(crate) signer: Option<Signer>,
    pub(crate) lines: Lines,
    /// How often it has started.
    pub(crate) life: u64,
    /// Names the link: each has its own.
    pub(crate) link: u64,
    pub(crate) linked: bool,
    pub(crate) mood: Mood,
    /// Nothing can be saved until then.
    pub(crate) full: Tick,
    /// When the last question and the last answer on their way arrive.
    asks: Tick,
    answers: Tick,
}

/// What everybody knows of a house.
pub(crate) struct Known {
    pub(crate) node: PublicKey,
    pub(crate) account: Account,
    pub(crate) scripts: BTreeSet<ScriptBuf>,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| (0..HOUSES_MAX).map(known_of).collect());

/// What everybody knows of a house.
pub(crate) fn known(house: usize) -> &'static Known {
    &KNOWN[house]
}

fn known_of(house: usize) -> Known {
    let seed = seed(house);
    let account = *seed.wallet_key(NETWORK).account();
    let mut scripts = BTreeSet::new();
    for branch in Branch::ALL {
        scripts.extend((0..ADDRESSES).map(|index| account.script(place(branch, index))));
    }
    Known { node: seed.node_key(NETWORK, NodeIndex::FIRST).id(), account, scripts }
}

/// Where the first coins of a house are.
pub(crate) fn first_scripts(house: usize, count: u32) -> impl Iterator<Item = ScriptBuf> {
    (0..count).map(move |index| known(house).account.script(place(Branch::Receive, index)))
}

fn place(branch: Branch, index: u32) -> KeyPlace {
    KeyPlace { branch, index: KeyIndex::new(index).expect("it is small") }
}

/// Kept: what is made of words is made slowly, so that nobody can guess them.
static SEEDS: LazyLock<Vec<Seed>> = LazyLock::new(|| {
    let seed = |house| Seed::take(&mut [0x61 + house as u8; 32]).expect("32 bytes are a seed");
    (0..HOUSES_MAX).map(seed).collect()
});

fn seed(house: usize) -> &'static Seed {
    &SEEDS[house]
}

fn no_handshake() -> noise::EphemeralKey {
    unreachable!("nobody begins a handshake")
}

impl Lines {
    /// Of a signer that has seen nothing yet.
    pub(crate) fn new(house: usize) -> Self {
        let channels = Channels::bolt3(seed(house).channel_keys(NETWORK, NodeIndex::FIRST));
        Self { channels: channels.encode(NETWORK), view: View::genesis(NETWORK).encode() }
    }

    /// The signer that these lines make. What a crash has cut is no line.
    fn restore(&mut self, house: usize) -> Result<Signer, Broken> {
        let seed = seed(house);
        let mut channels = Channels::bolt3(seed.channel_keys(NETWORK, NodeIndex::FIRST));
        let whole = channels.restore(&self.channels, NETWORK).map_err(|fault| fault.to_string())?;
        self.channels.truncate(whole.bytes);
        let view = View::decode(&self.view, NETWORK).map_err(|fault| fault.to_string())?;
        self.view.truncate(view.bytes);
        let key = seed.node_key(NETWORK, NodeIndex::FIRST);
        let signer = Signer::new(key, seed.wallet_key(NETWORK), channels).with_view(view.view);
        Ok(signer.with_policy(policy(house)))
    }

    fn of(&mut self, change: &SignerChange) -> &mut Vec<u8> {
        match change {
            SignerChange::View(_) => &mut self.view,
            SignerChange::Lease(_) | SignerChange::Channel { .. } => &mut self.channels,
        }
    }
}

impl Keys {
    pub(crate) fn new(house: usize, lines: Lines) -> Self {
        Self {
            house,
            signer: None,
            lines,
            life: 0,
            link: 0,
            linked: false,
            mood: Mood::Well,
            full: Tick(0),
            asks: Tick(0),
            answers: Tick(0),
        }
    }

    pub(crate) fn start(&mut self) -> Result<(), Broken> {
        self.life += 1;
        self.mood = Mood::Well;
        self.full = Tick(0);
        self.signer = Some(self.lines.restore(self.house)?);
        Ok(())
    }
}

/// Every other owner lets little leave, so that some payments are not signed.
fn policy(house: usize) -> Policy {
    let mut policy = Policy::default();
    if house % 2 == 1 {
        policy.channels.in_flight_max = Msat(30_000_000);
        policy.channels.day_max = Msat(600_000_000);
    }
    policy
}

/// The bytes of a line that is to be saved.
fn line_of(signer: &Signer, change: &SignerChange) -> Vec<u8> {
    match change {
        SignerChange::View(change) => change.encode(),
        SignerChange::Lease(epoch) => signer.channels().encode_lease(*epoch),
        SignerChange::Channel { channel, change } => {
            signer.channels().encode_change(channel, change)
        }
    }
}

impl World {
    /// A question is on its way.
    pub(super) fn ask_signer(&mut self, house: usize, who: Who, ask: &Ask) {
        let soon = self.soon(20);
        let keys = &mut self.houses[house].keys;
        if keys.linked {
            let (link, bytes) = (keys.link, ask.encode());
            keys.asks = keys.asks.max(soon);
            let at = keys.asks;
            self.at(at, Happening::Asked { house, link, who, bytes });
        }
    }

    /// It has arrived.
    pub(super) fn asked(
        &mut self,
        house: usize,
        link: u64,
        who: Who,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        let now = self.agenda.now;
        let keys = &mut self.houses[house].keys;
        if !keys.linked || keys.link != link {
            return Ok(());
        }
        let Some(mut signer) = keys.signer.take() else { return Ok(()) };
        let (life, is_full) = (keys.life, keys.full > now);
        let refuses = match keys.mood {
            Mood::Refuses(left) => {
                keys.mood = if left > 1 { Mood::Refuses(left - 1) } else { Mood::Well };
                true
            }
            Mood::Well | Mood::Late(_) | Mood::Twice | Mood::Never => false,
        };
        let ask = Ask::decode(bytes).map_err(|fault| format!("no question: {fault}"))?;
        let pending = signer.decide(LinkId(link), ask, now, no_handshake);
        let change = pending.unsaved().cloned();
        let line = change.as_ref().map(|change| line_of(pending.signer(), change));
        let answer = match (change, line) {
            _ if refuses => Answer::Refused(Refusal::NotSaved { bytes: 0, code: 28 }),
            (Some(_), Some(line)) if is_full => {
                Answer::Refused(Refusal::NotSaved { bytes: line.len(), code: 28 })
            }
            (Some(change), Some(line)) => {
                self.strike(house, Point::SignerSave);
                if self.houses[house].keys.life != life {
                    // It died in the middle of that line, or before.
                    let cut = self.dice.below(line.len());
                    let lines = &mut self.houses[house].keys.lines;
                    lines.of(&change).extend(&line[..cut]);
                    return Ok(());
                }
                self.houses[house].keys.lines.of(&change).extend(line);
                self.truth.signed(house, &change)?;
                pending.saved()
            }
            _ => pending.saved(),
        };
        let bytes = answer.encode().bytes().to_vec();
        self.houses[house].keys.signer = Some(signer);
        self.strike(house, Point::SignerAnswer);
        if self.houses[house].keys.life == life {
            self.say(house, link, who, bytes);
        }
        Ok(())
    }

    /// An answer is on its way.
    fn say(&mut self, house: usize, link: u64, who: Who, bytes: Vec<u8>) {
        let (mut soon, again) = (self.soon(20), self.soon(TWICE_MS));
        let keys = &mut self.houses[house].keys;
        let mut times = 1;
        match keys.mood {
            Mood::Well | Mood::Refuses(_) => {}
            Mood::Late(by) => soon = soon + by,
            Mood::Twice => times = 2,
            Mood::Never => times = 0,
        }
        if matches!(keys.mood, Mood::Late(_) | Mood::Twice) {
            keys.mood = Mood::Well;
        }
        for nth in 0..times {
            let at = if nth == 0 { soon } else { again };
            keys.answers = keys.answers.max(at);
            let (at, bytes) = (keys.answers, bytes.clone());
            self.agenda.at(at, Happening::Answered { house, link, who, bytes });
        }
    }

    /// It has arrived.
    pub(super) fn answered(&mut self, house: usize, link: u64, who: Who, mut bytes: Vec<u8>) {
        let house = &mut self.houses[house];
        if !house.keys.linked || house.keys.link != link {
            return;
        }
        let Some(office) = &mut house.office else { return };
        let answer = Answer::decode(&mut bytes).ok();
        match who {
            Who::Channels(token) => office.channels.signer_answered(token, answer),
            Who::Bank(id) => office.treasury.signer_answered(id, answer),
        }
    }

    /// The signer dies, and comes back after some time.
    pub(super) fn crash_signer(&mut self, house: usize) {
        let at = self.agenda.now + Millis(100 + self.dice.below(3_000) as u64);
        self.houses[house].keys.signer = None;
        self.houses[house].keys.life += 1;
        self.unlink(house);
        self.note(|| format!("{house}: the signer is dead"));
        self.at(at, Happening::StartSigner { house });
    }

    pub(super) fn start_signer(&mut self, house: usize) -> Result<(), Broken> {
        if self.houses[house].keys.signer.is_none() {
            self.houses[house].keys.start()?;
            self.note(|| format!("{house}: the signer starts"));
            self.link_soon(house);
        }
        Ok(())
    }

    /// The link between a node and its signer breaks.
    pub(super) fn unlink(&mut self, house: usize) {
        let house = &mut self.houses[house];
        house.keys.link += 1;
        house.keys.mood = Mood::Well;
        if std::mem::take(&mut house.keys.linked)
            && let Some(office) = &mut house.office
        {
            office.channels.signer_went();
            office.treasury.signer_went();
        }
    }

    pub(super) fn link_soon(&mut self, house: usize) {
        let (at, link) = (self.soon(100), self.houses[house].keys.link);
        self.at(at, Happening::LinkUp { house, link });
    }

    pub(super) fn link_up(&mut self, house: usize, link: u64) {
        let house = &mut self.houses[house];
        let keys = &mut house.keys;
        let Some(office) = &mut house.office else { return };
        if keys.link == link && !keys.linked && keys.signer.is_some() {
            keys.linked = true;
            (keys.asks, keys.answers) = (self.agenda.now, self.agenda.now);
            office.channels.signer_came();
            office.treasury.signer_came();
        }
    }
}
