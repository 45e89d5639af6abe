//! A world: its clock, its queue, its two machines, and how it ends.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::collections::BTreeMap;

use node::services::post::Command;
use noise::PublicKey;
use peer::Terms;
use wire::{
    Network,
    dice::Dice,
    features::{Feature, Features},
    id::{ChainHash, ConnectionId},
    tick::{Millis, Tick},
};

use crate::{
    agenda::Agenda,
    client::Client,
    faults::{Fault, GRID, Plan, Point},
    keys::{self, Keys, Mood},
    links::{Between, Frame, LINKS, Link, Role},
    net::{End, Side, Wire, WireId},
    node::Office,
    sockets::Host,
    table::Table,
    truth::{Broken, Disk, NOTE, Truth},
};

/// Things go wrong up to here,
const STORM_MS: u64 = 60_000;
/// and then everything must come to rest.
const END_MS: u64 = STORM_MS + 260_000;
/// So many happenings are no world, but a circle.
const HAPPENINGS_MAX: u64 = 400_000;

/// Where the machines can be called.
pub(crate) const ADDRESSES: [SocketAddr; 2] = [address(1), address(2)];

const fn address(host: u8) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), 9_735))
}

pub(crate) fn terms() -> Terms {
    Terms {
        features: Features::optional(&[Feature::Anchors]),
        networks: vec![ChainHash::of(Network::Regtest)],
        routed: vec![NOTE..=NOTE],
        custom: false,
    }
}

/// Something that is to happen.
pub(crate) enum Happening {
    Drive { side: Side, role: Role },
    Frame { side: Side, between: Between, life: u64, frame: Frame },
    Join { side: Side, between: Between },
    Start { side: Side, role: Role },
    Call { side: Side, connection: ConnectionId },
    Send { end: End },
    Read { end: End },
    Commit { side: Side, incarnation: u64 },
    Use { side: Side },
    UseClient,
}

/// One of the two machines.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) host: Option<Host>,
    pub(crate) office: Option<Office>,
    pub(crate) keys: Option<Keys>,
    pub(crate) client: Option<Client>,
    pub(crate) links: BTreeMap<Between, Link>,
    pub(crate) disk: Disk,
    pub(crate) mood: Mood,
    pub(crate) store_fails: bool,
    client_incarnation: u64,
    driven: [bool; 4],
}

/// A world.
pub(crate) struct World {
    pub(crate) agenda: Agenda<Happening>,
    pub(crate) dice: Dice,
    pub(crate) truth: Truth,
    pub(crate) net: BTreeMap<WireId, Wire>,
    pub(crate) wires: u64,
    pub(crate) ids: [PublicKey; 2],
    pub(crate) incarnations: u64,
    pub(crate) client_epochs: u64,
    pub(crate) dribble_until: Tick,
    machines: [Machine; 2],
    plan: Plan,
    table: Table,
    struck: Vec<(Side, Fault)>,
    with_client: bool,
    b_dials_too: bool,
    /// One that was broken where nobody could say so.
    rule: Option<Broken>,
}

/// How a world went.
pub struct Outcome {
    /// Which faults struck where.
    pub table: Table,
    /// Notes that arrived.
    pub received: u64,
    /// Notes that were to be sent.
    pub notes: u64,
    /// What happened, if it was to be kept.
    pub trace: Vec<String>,
    /// The rule that was broken, if one was.
    pub broken: Option<crate::Broken>,
}

/// Runs the world of a seed to its end, or until a rule is broken.
pub fn run(seed: u64, traced: bool) -> Outcome {
    let mut world = World::new(seed, traced);
    let end = world.live();
    let (trace, broken) = world.agenda.ended(seed, end);
    let (received, notes) = (world.truth.received, world.truth.notes);
    Outcome { table: world.table, received, notes, trace, broken }
}

impl World {
    fn new(seed: u64, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::new(&GRID, seed, &mut dice);
        let with_client = plan.needs_client() || dice.one_in(3);
        let b_dials_too = dice.one_in(3);
        Self {
            agenda: Agenda::new(traced),
            truth: Truth::default(),
            net: BTreeMap::new(),
            wires: 0,
            ids: [Side::A, Side::B].map(|side| keys::key(side).id()),
            incarnations: 0,
            client_epochs: 0,
            dribble_until: Tick(0),
            machines: [Machine::default(), Machine::default()],
            plan,
            table: GRID.table(),
            struck: Vec::new(),
            with_client,
            b_dials_too,
            rule: None,
            dice,
        }
    }

    fn live(&mut self) -> Result<(), Broken> {
        for side in [Side::A, Side::B] {
            for between in LINKS {
                self.machine_mut(side).links.insert(between, Link::default());
            }
            for role in [Role::Signer, Role::Sockets, Role::Node] {
                self.start(side, role)?;
            }
            self.at(Tick(1_000), Happening::Use { side });
        }
        if self.with_client {
            self.start(Side::A, Role::Client)?;
            self.at(Tick(3_000), Happening::UseClient);
        }
        while let Some(happening) = self.agenda.next(END_MS, HAPPENINGS_MAX)? {
            self.happen(happening)?;
            while let Some((side, fault)) = self.struck.pop() {
                self.do_fault(side, fault)?;
            }
            if let Some(rule) = self.rule.take() {
                return Err(rule);
            }
        }
        self.end()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Drive { side, role } => {
                self.machine_mut(side).driven[role as usize] = false;
                match role {
                    Role::Sockets => self.drive_sockets(side),
                    Role::Node => self.drive_node(side),
                    Role::Client => self.drive_client(),
                    Role::Signer => Ok(()),
                }
            }
            Happening::Frame { side, between, life, frame } => {
                self.on_frame(side, between, life, frame)
            }
            Happening::Join { side, between } => {
                self.join(side, between);
                Ok(())
            }
            Happening::Start { side, role } => self.start(side, role),
            Happening::Call { side, connection } => {
                self.called(side, connection);
                Ok(())
            }
            Happening::Send { end } => {
                self.sent(end);
                Ok(())
            }
            Happening::Read { end } => {
                self.read(end);
                Ok(())
            }
            Happening::Commit { side, incarnation } => self.commit(side, incarnation),
            Happening::Use { side } => {
                self.people(side);
                Ok(())
            }
            Happening::UseClient => {
                let pause = if self.calm() { 2_000 } else { 200 + self.dice.below(800) as u64 };
                if let Some(client) = &mut self.machines[0].client {
                    client.retires = self.agenda.now.0 >= STORM_MS;
                }
                self.use_client()?;
                self.at(self.agenda.now + Millis(pause), Happening::UseClient);
                Ok(())
            }
        }
    }

    /// People use their nodes: much during the storm, a little after it.
    fn people(&mut self, side: Side) {
        let there = self.ids[side.other() as usize];
        let address = ADDRESSES[side.other() as usize];
        let mut pause = 50 + self.dice.below(900) as u64;
        if self.agenda.now <= Tick(1_000) || self.calm() {
            // Who is wanted is called by the node itself.
            let wanted = self.machine(side).disk.state.wanted.contains_key(&there);
            if self.dials(side) && !self.sees_peer(side) && !wanted {
                self.call_node(side, Command::Connect { node: there, address });
            }
            pause = if self.calm() { 10_000 } else { pause };
        }
        if self.agenda.now.0 < END_MS - 20_000 {
            if self.calm() { self.send_note(side) } else { self.use_node(side) }
        }
        self.at(self.agenda.now + Millis(pause), Happening::Use { side });
    }

    /// With a client in the world its machine calls nobody: the client's connections are its own.
    pub(crate) const fn dials(&self, side: Side) -> bool {
        match side {
            Side::A => !self.with_client,
            Side::B => self.with_client || self.b_dials_too,
        }
    }

    const fn calm(&self) -> bool {
        self.agenda.now.0 >= STORM_MS
    }

    fn end(&mut self) -> Result<(), Broken> {
        for side in [Side::A, Side::B] {
            if !self.sees_peer(side) {
                return Err(format!("{side:?} has no connection in the end"));
            }
        }
        let both = self.net.iter().filter(|(_, wire)| wire.ends.len() == 2 && !wire.silent);
        for (id, wire) in both {
            let held = wire
                .ends
                .iter()
                .all(|(side, socket)| self.wire_of(*side, socket.connection) == Some(*id));
            if held {
                self.truth.at_rest(*id)?;
            }
        }
        if self.truth.received < 20 {
            return Err(format!("only {} notes came", self.truth.received));
        }
        Ok(())
    }

    pub(crate) fn at(&mut self, at: Tick, happening: Happening) {
        self.agenda.at(at, happening);
    }

    pub(crate) fn drive_later(&mut self, side: Side, role: Role) {
        let driven = &mut self.machine_mut(side).driven[role as usize];
        if !std::mem::replace(driven, true) {
            self.at(self.agenda.now, Happening::Drive { side, role });
        }
    }

    pub(crate) const fn machine(&self, side: Side) -> &Machine {
        &self.machines[side as usize]
    }

    pub(crate) const fn machine_mut(&mut self, side: Side) -> &mut Machine {
        &mut self.machines[side as usize]
    }

    pub(crate) const fn lives(&self, side: Side, role: Role) -> bool {
        let machine = self.machine(side);
        match role {
            Role::Sockets => machine.host.is_some(),
            Role::Node => machine.office.is_some(),
            Role::Signer => machine.keys.is_some(),
            Role::Client => machine.client.is_some(),
        }
    }

    /// Tells one life of a service from its others.
    pub(crate) fn incarnation(&self, side: Side, role: Role) -> u64 {
        let machine = self.machine(side);
        match role {
            Role::Node => machine.office.as_ref().map_or(0, |office| office.incarnation),
            Role::Client => (1 << 32) + machine.client_incarnation,
            Role::Sockets | Role::Signer => 0,
        }
    }

    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        self.agenda.note(text);
    }

    /// An effect is about to be done, or has just been done: does something go wrong with it?
    pub(crate) fn strike(&mut self, side: Side, point: Point) {
        if self.calm() {
            return;
        }
        let Some(fault) = self.plan.strikes(point) else { return };
        let side = if self.dice.one_in(4) { side.other() } else { side };
        let side = if fault.needs_client() { Side::A } else { side };
        self.table.hit(fault as usize, point as usize);
        self.note(|| format!("!!! {side:?} {fault:?} at {point:?}"));
        // What dies dies at once: the rest of its effects are never done.
        match fault.kills() {
            Some(role) => self.crash(side, role),
            None => self.struck.push((side, fault)),
        }
    }

    fn do_fault(&mut self, side: Side, fault: Fault) -> Result<(), Broken> {
        let span = Millis(500 + self.dice.below(7_500) as u64);
        let until = self.agenda.now + span;
        match fault {
            Fault::CutNodeSockets => self.cut_link(side, Between::NodeSockets),
            Fault::CutSocketsSigner => self.cut_link(side, Between::SocketsSigner),
            Fault::CutNodeSigner => self.cut_link(side, Between::NodeSigner),
            Fault::CutClientSockets => self.cut_link(side, Between::ClientSockets),
            Fault::NetCut => {
                if let Some(id) = self.some_wire() {
                    self.cut_wire(id);
                }
            }
            Fault::NetHalfOpen | Fault::NetStall => {
                if let Some(id) = self.some_wire()
                    && let Some(wire) = self.net.get_mut(&id)
                {
                    match fault == Fault::NetStall {
                        true => wire.stalled_until = until,
                        false => wire.silent = true,
                    }
                }
            }
            Fault::NetDribble => self.dribble_until = until,
            Fault::SignerAbsent => {
                for between in [Between::SocketsSigner, Between::NodeSigner] {
                    self.cut_link(side, between);
                    if let Some(link) = self.machine_mut(side).links.get_mut(&between) {
                        link.barred_until = until;
                    }
                }
            }
            Fault::SignerLate => self.machine_mut(side).mood = Mood::Late(span),
            Fault::SignerTwice => self.machine_mut(side).mood = Mood::Twice,
            Fault::SignerNever => self.machine_mut(side).mood = Mood::Never,
            Fault::SignerRefuses => self.machine_mut(side).mood = Mood::Refuses,
            Fault::StoreError => self.machine_mut(side).store_fails = true,
            Fault::Handover => return self.hand_over(side),
            Fault::CrashSockets | Fault::CrashNode | Fault::CrashSigner | Fault::CrashClient => {}
        }
        Ok(())
    }

    /// A service dies, and starts again after a while.
    pub(crate) fn crash(&mut self, side: Side, role: Role) {
        if !self.lives(side, role) {
            return;
        }
        self.note(|| format!("{side:?} {role:?} dies"));
        match role {
            Role::Sockets => {
                self.machine_mut(side).host = None;
                self.drop_sockets(side);
            }
            Role::Node => {
                if let Err(rule) = self.end_node(side) {
                    self.rule = Some(rule);
                }
            }
            Role::Signer => self.machine_mut(side).keys = None,
            Role::Client => self.machine_mut(side).client = None,
        }
        self.unlink_all(side, role);
        let pause = Millis(10 + self.dice.below(6_000) as u64);
        self.at(self.agenda.now + pause, Happening::Start { side, role });
    }

    fn start(&mut self, side: Side, role: Role) -> Result<(), Broken> {
        if self.lives(side, role) {
            return Ok(());
        }
        self.note(|| format!("{side:?} {role:?} starts"));
        match role {
            Role::Sockets => {
                let instance = self.dice.throw();
                let mut host = Host::new(instance);
                host.holder.listening_at(vec![ADDRESSES[side as usize]]);
                self.machine_mut(side).host = Some(host);
            }
            Role::Node => self.start_node(side)?,
            Role::Signer => self.machine_mut(side).keys = Some(Keys::new(side)),
            Role::Client => {
                let machine = self.machine_mut(side);
                machine.client_incarnation += 1;
                machine.client = Some(Client::default());
            }
        }
        self.link_all(side, role);
        Ok(())
    }
}
