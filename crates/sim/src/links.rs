//! The bus of a world: links that break and come back, with everything late.

use wire::tick::{Millis, Tick};

use crate::{
    net::Side,
    truth::Broken,
    world::{Happening, World},
};

/// A service of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Sockets,
    Node,
    Signer,
    Client,
}

/// A link between two services; the first asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Between {
    NodeSockets,
    NodeSigner,
    SocketsSigner,
    ClientSockets,
}

pub(crate) const LINKS: [Between; 4] =
    [Between::NodeSockets, Between::NodeSigner, Between::SocketsSigner, Between::ClientSockets];

/// Events on their way over one link; more wait at the teller.
const EVENTS_MAX: usize = 40;

impl Between {
    pub(crate) const fn asker(self) -> Role {
        match self {
            Self::NodeSockets | Self::NodeSigner => Role::Node,
            Self::SocketsSigner => Role::Sockets,
            Self::ClientSockets => Role::Client,
        }
    }

    pub(crate) const fn asked(self) -> Role {
        match self {
            Self::NodeSockets | Self::ClientSockets => Role::Sockets,
            Self::NodeSigner | Self::SocketsSigner => Role::Signer,
        }
    }

    /// How the sockets call it.
    pub(crate) const fn number(self) -> u64 {
        self as u64
    }
}

/// One link.
#[derive(Default)]
pub(crate) struct Link {
    pub(crate) up: bool,
    /// Counts its lives: what was sent in an earlier one never arrives.
    pub(crate) life: u64,
    /// It does not come back before.
    pub(crate) barred_until: Tick,
    events: usize,
    last: [Tick; 2],
}

/// What crosses a link.
pub(crate) enum Frame {
    Ask { id: u64, topic: u16, payload: Vec<u8> },
    Answer { id: u64, topic: u16, payload: Vec<u8> },
    Event { topic: u16, payload: Vec<u8> },
}

impl World {
    /// Sends a frame. Those of one direction arrive in order.
    pub(crate) fn post(&mut self, side: Side, between: Between, frame: Frame, late: Millis) {
        let delay = Millis(late.0 + self.dice.below(4) as u64);
        let now = self.agenda.now;
        let link = self.link(side, between);
        if !link.up {
            return;
        }
        let forward = usize::from(matches!(frame, Frame::Ask { .. }));
        let at = (now + delay).max(link.last[forward]);
        link.last[forward] = at;
        link.events += usize::from(matches!(frame, Frame::Event { .. }));
        let life = link.life;
        self.at(at, Happening::Frame { side, between, life, frame });
    }

    /// Whether a link takes one more event.
    pub(crate) fn has_room(&self, side: Side, number: u64) -> bool {
        let machine = self.machine(side);
        let link = LINKS.iter().find(|between| between.number() == number);
        link.map(|between| &machine.links[between])
            .is_some_and(|it| it.up && it.events < EVENTS_MAX)
    }

    pub(crate) fn on_frame(
        &mut self,
        side: Side,
        between: Between,
        life: u64,
        frame: Frame,
    ) -> Result<(), Broken> {
        let link = self.link(side, between);
        if link.life != life || !link.up {
            return Ok(());
        }
        if matches!(frame, Frame::Event { .. }) {
            link.events -= 1;
            self.drive_later(side, Role::Sockets);
        }
        match (between, &frame) {
            (Between::NodeSockets | Between::ClientSockets, Frame::Ask { .. }) => {
                self.sockets_asked(side, between, frame)
            }
            (Between::NodeSockets | Between::NodeSigner, _)
                if !matches!(frame, Frame::Ask { .. }) =>
            {
                self.node_hears(side, between, frame)
            }
            (Between::ClientSockets, _) => self.client_hears(side, frame),
            (Between::SocketsSigner, Frame::Answer { .. }) => self.sockets_answered(side, frame),
            (Between::NodeSockets | Between::NodeSigner | Between::SocketsSigner, _) => {
                self.signer_asked(side, between, frame);
                Ok(())
            }
        }
    }

    /// Breaks a link, if it is up; both ends hear so.
    pub(crate) fn cut_link(&mut self, side: Side, between: Between) {
        let pause = Millis(1 + self.dice.below(1_500) as u64);
        let now = self.agenda.now;
        let link = self.link(side, between);
        if link.up {
            link.up = false;
            link.life += 1;
            link.events = 0;
            self.note(|| format!("{side:?} {between:?} is down"));
            self.link_went(side, between);
        }
        self.at(now + pause, Happening::Join { side, between });
    }

    /// Joins two services, if both live and nothing bars it.
    pub(crate) fn join(&mut self, side: Side, between: Between) {
        if !self.lives(side, between.asker()) || !self.lives(side, between.asked()) {
            return;
        }
        let now = self.agenda.now;
        let link = self.link(side, between);
        if link.up {
            return;
        }
        if link.barred_until > now {
            let at = link.barred_until;
            return self.at(at, Happening::Join { side, between });
        }
        link.up = true;
        link.last = [now; 2];
        self.note(|| format!("{side:?} {between:?} is up"));
        match between {
            Between::NodeSockets => {
                self.with_node(side, |clerk, now| clerk.post().holder_came(now))
            }
            Between::NodeSigner => self.with_node(side, |clerk, _| clerk.post().signer_came()),
            Between::SocketsSigner => self.with_holder(side, |holder, _| holder.key_holder_came()),
            Between::ClientSockets => self.client_linked(side),
        }
        self.drive_later(side, between.asker());
        self.drive_later(side, between.asked());
    }

    fn link_went(&mut self, side: Side, between: Between) {
        let number = between.number();
        match between {
            Between::NodeSockets => {
                self.node_unasked(side, between);
                self.with_node(side, |clerk, now| clerk.post().holder_went(now));
                self.with_holder(side, |holder, now| {
                    holder.link_went(peer::holder::Link(number), now);
                });
            }
            Between::NodeSigner => {
                self.node_unasked(side, between);
                self.with_node(side, |clerk, _| clerk.post().signer_went());
                self.signer_unlinked(side, between);
            }
            Between::SocketsSigner => {
                self.sockets_unasked(side);
                self.with_holder(side, |holder, now| holder.key_holder_went(now));
                self.signer_unlinked(side, between);
            }
            Between::ClientSockets => {
                self.with_holder(side, |holder, now| {
                    holder.link_went(peer::holder::Link(number), now);
                });
                self.client_unlinked(side);
            }
        }
        self.drive_later(side, between.asker());
        self.drive_later(side, between.asked());
    }

    /// A service has died: its links break.
    pub(crate) fn unlink_all(&mut self, side: Side, role: Role) {
        for between in LINKS {
            if between.asker() == role || between.asked() == role {
                self.cut_link(side, between);
            }
        }
    }

    /// A service has started: its links are made.
    pub(crate) fn link_all(&mut self, side: Side, role: Role) {
        let now = self.agenda.now;
        for between in LINKS {
            if between.asker() == role || between.asked() == role {
                let pause = Millis(self.dice.below(300) as u64);
                self.at(now + pause, Happening::Join { side, between });
            }
        }
    }

    fn link(&mut self, side: Side, between: Between) -> &mut Link {
        self.machine_mut(side).links.entry(between).or_default()
    }
}
