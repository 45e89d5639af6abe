//! People of a town: what they ask of their nodes, and what they are answered.

use bitcoin::FeeRate;
use channel::State as Phase;
use node::services::{
    channels::{CallId, ChannelName, Command, Open, Progress, Refusal, Reply},
    treasury::PaymentName,
};
use wire::{
    Hex,
    amount::{FeeratePerKw, Msat, Sat},
    id::ChannelId,
};

use super::{Broken, World, keys};

/// Channels of a world, about.
const CHANNELS_MAX: usize = 7;

impl World {
    /// Somebody wants something.
    pub(super) fn people(&mut self) {
        let house = self.dice.below(self.houses.len());
        let wants_end = self.agenda.now.0 > super::CLOSES_FROM_MS;
        match self.dice.below(40) {
            0..5 => self.open(house),
            5..8 => self.set_fee(house),
            8 if wants_end => self.end_any(house, false),
            9 if wants_end && self.forceful => self.end_any(house, true),
            _ => self.pay(house),
        }
    }

    fn call(&mut self, house: usize, command: Command) {
        self.note(|| format!("{house}: people: {command:?}"));
        if let Some(office) = &mut self.houses[house].office {
            office.call(command);
        }
    }

    pub(super) fn open(&mut self, house: usize) {
        let all: usize = self.houses.iter().map(|it| it.durable.channels.len()).sum();
        if all >= 2 * CHANNELS_MAX.min(2 + 2 * self.houses.len()) {
            return;
        }
        let peer = (house + 1 + self.dice.below(self.houses.len() - 1)) % self.houses.len();
        let amount = Sat(40_000 + self.dice.below(400_000) as u64);
        let pushed = match self.dice.one_in(3) {
            true => Msat(0),
            false => Msat(self.dice.below(amount.0 as usize * 500) as u64),
        };
        let node = keys::known(peer).node;
        let fee_rate = FeeRate::from_sat_per_kwu(400 + self.dice.below(1_500) as u64);
        let open = Open { node, amount, pushed, announce: false, fee_rate };
        self.call(house, Command::Open(open));
    }

    /// A new payment, or one that was asked for before, whatever has become of it.
    fn pay(&mut self, house: usize) {
        let peers: Vec<_> = self.houses[house].durable.channels.keys().map(|it| it.node).collect();
        if peers.is_empty() {
            return;
        }
        let node = peers[self.dice.below(peers.len())];
        let amount = match self.dice.below(6) {
            0 => 1 + self.dice.below(350_000),
            1 | 2 => 300_000 + self.dice.below(3_000_000),
            _ => 1_000_000 + self.dice.below(40_000_000),
        };
        let mut wanted = (node, Msat(amount as u64));
        let mut name = None;
        if self.dice.one_in(4) {
            let nth = self.dice.below(self.named[house].len() + 1);
            match self.named[house].get(nth) {
                Some(before) => wanted = *before,
                None => self.named[house].push(wanted),
            }
            name = PaymentName::new(&format!("rent {nth}")).ok();
        }
        let (node, amount) = wanted;
        self.call(house, Command::Pay { node, amount, name });
    }

    fn any_channel(&mut self, house: usize) -> Option<(ChannelName, ChannelId)> {
        let all = &self.houses[house].durable.channels;
        let live: Vec<_> = all.iter().filter(|(_, held)| !held.closed).collect();
        let (name, held) = live.get(self.dice.below(live.len().max(1)))?;
        Some((**name, held.channel.channel_id()))
    }

    fn set_fee(&mut self, house: usize) {
        let rate = FeeratePerKw(300 + self.dice.below(2_000) as u32);
        if let Some((_, id)) = self.any_channel(house) {
            self.call(house, Command::Fee { id: hex(id), rate });
        }
    }

    fn end_any(&mut self, house: usize, force: bool) {
        let Some((name, id)) = self.any_channel(house) else { return };
        if force {
            let held = &self.houses[house].durable.channels[&name];
            self.truth.forced.insert(held.channel.funding());
        }
        self.call(house, Command::Close { id: hex(id), force, unheard: force });
    }

    /// In the end all channels are closed together.
    pub(super) fn end_all(&mut self) {
        for house in 0..self.houses.len() {
            let all = self.houses[house].durable.channels.values();
            let open = all.filter(|held| {
                !held.closed
                    && matches!(held.channel.state(), Phase::Normal)
                    && held.confirmed.is_some()
            });
            let ids: Vec<_> = open.map(|held| held.channel.channel_id()).collect();
            for id in ids {
                self.call(house, Command::Close { id: hex(id), force: false, unheard: false });
            }
        }
    }

    pub(super) fn replied(
        &mut self,
        house: usize,
        call: CallId,
        reply: Result<Reply, Refusal>,
    ) -> Result<(), Broken> {
        let this = &mut self.houses[house];
        let Some(office) = &mut this.office else { return Ok(()) };
        let Some(command) = office.calls.remove(&call) else {
            return Err(format!("{call:?} of house {house} was replied twice, or never called"));
        };
        match (command, reply) {
            (Command::Open(_), Ok(Reply::Opened(opened))) => {
                self.sums.opened += 1;
                let id = opened.channel.channel_id;
                let mut saved = this.durable.channels.values();
                match saved.any(|held| held.channel.channel_id() == id) {
                    true => Ok(()),
                    false => {
                        Err(format!("house {house} says that it has opened what is not saved"))
                    }
                }
            }
            (Command::Pay { node, amount, .. }, Ok(Reply::Payment(line))) => {
                if (line.node, line.amount) != (node, amount) {
                    return Err(format!("house {house} has paid something else: {line:?}"));
                }
                let saved = this.durable.payments.get(&line.id).map(|it| &it.progress);
                if line.progress != Progress::Pending && saved != Some(&line.progress) {
                    return Err(format!("house {house} says {line:?}, and has {saved:?}"));
                }
                Ok(())
            }
            (_, Ok(_)) => Ok(()),
            (_, Err(refusal)) => may_refuse(house, &refusal),
        }
    }
}

fn hex(id: ChannelId) -> String {
    Hex(&id.0).to_string()
}

/// What may be refused to people who ask for anything at any time.
fn may_refuse(house: usize, refusal: &Refusal) -> Result<(), Broken> {
    let wrong = match refusal {
        Refusal::NotConnected { .. }
        | Refusal::NoChain
        | Refusal::NoChannel { .. }
        | Refusal::NotOpened { .. }
        | Refusal::UnknownChannel { .. }
        | Refusal::Channel(_)
        | Refusal::NameTaken { .. }
        | Refusal::TooMany { .. } => false,
        Refusal::NoRandomness
        | Refusal::ManyChannels { .. }
        | Refusal::BadId { .. }
        | Refusal::Unheard { .. } => true,
    };
    match wrong {
        true => Err(format!("house {house} refuses: {refusal}")),
        false => Ok(()),
    }
}
