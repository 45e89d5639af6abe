//! What a channel begins with: the first that is saved of it, and all that never changes.

use bitcoin::{OutPoint, Transaction};
use signer::{Branch, ChannelAnswer, ChannelRefusal, KeyIndex, KeyPlace, SetUp};
use tx::{Basepoints, Form, Party, Side};
use wire::amount::{BlockCount, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::features::Features;
use wire::field::Field as _;
use wire::id::{ChannelId, ChannelKey, OutputIndex, Txid};
use wire::key::{Point, Signature};
use wire::list::Script;
use wire::reader::Reader;
use wire::saved::{self, ChangeFault};

use crate::bolt2::{Limits, Taken};
use crate::fault::Violation;
use crate::opening::{Agreed, Home};
use crate::points::{read_point, write_point};

/// With points in 33 bytes each, as messages have them.
const SHORT: u64 = 0;
/// With points as [`crate::points`] has them.
const WHOLE: u64 = 2;

type WritePoint = fn(&Point, &mut Vec<u8>);
type ReadPoint = fn(&mut Reader<'_>) -> Result<Point, ChangeFault>;

/// The output that a channel lives in. Its index crosses the wire in two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FundingOutput {
    /// Of the funding transaction.
    pub txid: Txid,
    /// Which of its outputs.
    pub output: OutputIndex,
}

/// Both sides have agreed, and our first commitment is signed by the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    agreed: Agreed,
    funding: FundingOutput,
    /// The peer's, of our first commitment.
    signature: Signature,
}

impl FundingOutput {
    /// Where it is.
    pub fn outpoint(&self) -> OutPoint {
        OutPoint { txid: self.txid, vout: self.output.0.into() }
    }

    /// The name that a channel has from its funding on.
    pub fn channel_id(&self) -> ChannelId {
        let mut bytes: [u8; 32] = *self.txid.as_ref();
        let [high, low] = self.output.0.to_be_bytes();
        bytes[30] ^= high;
        bytes[31] ^= low;
        ChannelId(bytes)
    }
}

impl Begun {
    /// The signer has looked at the peer's signature of our first commitment.
    pub(crate) fn of(
        agreed: Agreed,
        funding: FundingOutput,
        signature: Option<Signature>,
        answer: Result<ChannelAnswer, ChannelRefusal>,
    ) -> Result<Self, Violation> {
        let signer = |why: String| Violation::Signer { why };
        let signature = signature.ok_or(signer("the peer has not signed".to_owned()))?;
        match answer {
            Ok(ChannelAnswer::Advanced { secret: None, .. }) => {
                Ok(Self { agreed, funding, signature })
            }
            Ok(_) => Err(signer("it answers something else".to_owned())),
            Err(refusal) => Err(signer(refusal.to_string())),
        }
    }

    /// What both have agreed on.
    pub const fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// Where the money is, or will be.
    pub const fn funding(&self) -> FundingOutput {
        self.funding
    }

    /// The channel's name for both.
    pub fn channel_id(&self) -> ChannelId {
        self.funding.channel_id()
    }

    /// The peer's signature of our first commitment.
    pub const fn signature(&self) -> Signature {
        self.signature
    }

    /// What the signer was told.
    pub fn set_up(&self) -> SetUp {
        self.agreed.set_up(self.funding)
    }

    /// What each side takes.
    pub const fn limits(&self) -> Limits {
        Limits { local: self.agreed.local_taken, remote: self.agreed.remote_taken }
    }

    /// Whether this is the funding: what it holds, and for whom, is only seen in the chain.
    pub fn is_funded_by(&self, transaction: &Transaction) -> bool {
        let FundingOutput { txid, output } = self.funding;
        let output = transaction.output.get(usize::from(output.0));
        transaction.compute_txid() == txid
            && output.is_some_and(|it| {
                it.value.to_sat() == self.agreed.funding.0
                    && it.script_pubkey == self.agreed.funding_script()
            })
    }

    /// The bytes that are saved.
    pub fn encode(&self) -> Vec<u8> {
        saved::write(SHORT, &self.write(|point, to| point.write(to)))
    }

    /// The same, longer, and read in a fraction of the time.
    pub fn encode_whole(&self) -> Vec<u8> {
        saved::write(WHOLE, &self.write(write_point))
    }

    fn write(&self, write_point: WritePoint) -> Vec<u8> {
        let (agreed, mut to) = (&self.agreed, Vec::with_capacity(700));
        agreed.key.write(&mut to);
        to.push(agreed.side as u8);
        to.push(match agreed.form {
            Form::StaticRemoteKey => 0,
            Form::Anchors => 1,
        });
        to.push(u8::from(agreed.announce));
        agreed.funding.write(&mut to);
        agreed.pushed.write(&mut to);
        agreed.feerate.write(&mut to);
        for party in [&agreed.local, &agreed.remote] {
            write_party(party, write_point, &mut to);
        }
        for taken in [&agreed.local_taken, &agreed.remote_taken] {
            write_taken(taken, &mut to);
        }
        let [first, second] = agreed.local_points;
        for point in [first, second, agreed.remote_point] {
            write_point(&point, &mut to);
        }
        agreed.minimum_depth.write(&mut to);
        self.funding.txid.write(&mut to);
        self.funding.output.write(&mut to);
        self.signature.write(&mut to);
        to.push(agreed.home.place.branch as u8);
        to.extend_from_slice(&agreed.home.place.index.number().to_be_bytes());
        agreed.home.script.write(&mut to);
        agreed.remote_script.write(&mut to);
        agreed.channel_type.write(&mut to);
        to
    }

    /// Reads what was saved.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChangeFault> {
        let begun = saved::read(bytes, |record, from| match record {
            SHORT => Self::read(from, |from| Ok(Point::read(from)?)).map(Some),
            WHOLE => Self::read(from, read_point).map(Some),
            _ => Ok(None),
        })?;
        begun.ok_or(ChangeFault::Meaningless { what: "beginning", got: "nothing".to_owned() })
    }

    fn read(from: &mut Reader<'_>, read_point: ReadPoint) -> Result<Self, ChangeFault> {
        let none = |what, got: String| ChangeFault::Meaningless { what, got };
        let key = ChannelKey::read(from)?;
        let side = match *from.array()? {
            [0] => Side::Opener,
            [1] => Side::Acceptor,
            [got] => return Err(none("side", got.to_string())),
        };
        let form = match *from.array()? {
            [0] => Form::StaticRemoteKey,
            [1] => Form::Anchors,
            [got] => return Err(none("form", got.to_string())),
        };
        let [announce] = *from.array()?;
        let (funding, pushed) = (Sat::read(from)?, Msat::read(from)?);
        if funding.to_msat().is_none_or(|all| pushed > all) {
            return Err(none("push_msat", pushed.to_string()));
        }
        let feerate = FeeratePerKw::read(from)?;
        let (local, remote) = (read_party(from, read_point)?, read_party(from, read_point)?);
        let (local_taken, remote_taken) = (read_taken(from)?, read_taken(from)?);
        let local_points = [read_point(from)?, read_point(from)?];
        let (remote_point, minimum_depth) = (read_point(from)?, BlockCount::read(from)?);
        let output = FundingOutput { txid: Txid::read(from)?, output: OutputIndex::read(from)? };
        let signature = Signature::read(from)?;
        let home = Home { place: read_place(from)?, script: Script::read(from)? };
        let remote_script = Script::read(from)?;
        let agreed = Agreed {
            key,
            side,
            form,
            channel_type: Features::read(from)?,
            announce: announce == 1,
            funding,
            pushed,
            feerate,
            local,
            remote,
            local_taken,
            remote_taken,
            local_points,
            remote_point,
            minimum_depth,
            home,
            remote_script,
        };
        Ok(Self { agreed, funding: output, signature })
    }
}

fn write_party(party: &Party, write_point: WritePoint, to: &mut Vec<u8>) {
    let keys = &party.keys;
    let points = [keys.revocation, keys.payment, keys.delayed_payment, keys.htlc];
    write_point(&party.funding_key, to);
    points.iter().for_each(|it| write_point(it, to));
    party.dust_limit.write(to);
    party.delay.write(to);
}

fn read_party(from: &mut Reader<'_>, read_point: ReadPoint) -> Result<Party, ChangeFault> {
    Ok(Party {
        funding_key: read_point(from)?,
        keys: Basepoints {
            revocation: read_point(from)?,
            payment: read_point(from)?,
            delayed_payment: read_point(from)?,
            htlc: read_point(from)?,
        },
        dust_limit: Sat::read(from)?,
        delay: CsvDelay::read(from)?,
    })
}

fn read_place(from: &mut Reader<'_>) -> Result<KeyPlace, ChangeFault> {
    let none = |got: String| ChangeFault::Meaningless { what: "place", got };
    let branch = match *from.array()? {
        [0] => Branch::Receive,
        [1] => Branch::Change,
        [got] => return Err(none(got.to_string())),
    };
    let index = KeyIndex::new(u32::from_be_bytes(*from.array()?));
    Ok(KeyPlace { branch, index: index.map_err(|fault| none(fault.to_string()))? })
}

fn write_taken(taken: &Taken, to: &mut Vec<u8>) {
    taken.htlc_minimum.write(to);
    taken.in_flight_max.write(to);
    taken.htlcs_max.write(to);
    taken.reserve.write(to);
}

fn read_taken(from: &mut Reader<'_>) -> Result<Taken, ChangeFault> {
    Ok(Taken {
        htlc_minimum: Msat::read(from)?,
        in_flight_max: Msat::read(from)?,
        htlcs_max: HtlcCount::read(from)?,
        reserve: Sat::read(from)?,
    })
}
