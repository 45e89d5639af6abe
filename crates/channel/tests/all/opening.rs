//! Opening: what both sides agree on, and everything that they do not.

use channel::{Accepting, FundingOutput, Policy, Proposed, Unfit};
use tx::Form;
use wire::amount::{BlockCount, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::features::{Feature, Features};
use wire::id::{ChainHash, OutputIndex, TemporaryChannelId, Txid};
use wire::{AcceptChannel, Message, Network, OpenChannel};

use crate::halves::{KEY, channels, home, open, policy, shown, wanted};

#[test]
fn both_sides_mean_the_same_channel() {
    for form in [Form::StaticRemoteKey, Form::Anchors] {
        let (_, [opener, acceptor]) = open(form);
        assert_eq!(opener.funding(), acceptor.funding());
        assert_eq!(opener.channel_id(), acceptor.channel_id());
        let [ours, theirs] = [opener.agreed(), acceptor.agreed()];
        assert_eq!((ours.local, ours.remote), (theirs.remote, theirs.local));
        assert_eq!(
            (ours.local_taken, ours.remote_taken),
            (theirs.remote_taken, theirs.local_taken)
        );
        // The reserve is no dust, to neither side.
        assert!(ours.local_taken.reserve >= Sat(1_000) && ours.remote_taken.reserve >= Sat(1_000));
    }
}

#[test]
fn the_name_of_a_channel_follows_from_its_funding() {
    let txid: Txid =
        "00000000000000000000000000000000000000000000000000000000000000ff".parse().expect("a txid");
    let named = |output| FundingOutput { txid, output: OutputIndex(output) }.channel_id();
    let id = named(0x0102);
    assert_eq!((id.0[0], id.0[30], id.0[31]), (0xff, 1, 2));
    assert_eq!(named(0).0, *<Txid as AsRef<[u8; 32]>>::as_ref(&txid));
}

fn opened(policy: Policy) -> (Proposed, OpenChannel) {
    let keys = shown(&mut channels(1));
    let (proposed, made) =
        Proposed::new(policy, keys, &wanted(Form::Anchors)).unwrap_or_else(|no| panic!("{no}"));
    let channel::Move::Send(message) = made else { panic!("it is sent") };
    let Message::OpenChannel(said) = *message else { panic!("it opens") };
    (proposed, said)
}

fn accepts(said: &OpenChannel) -> Result<AcceptChannel, Unfit> {
    let keys = shown(&mut channels(2));
    let (_, made) = Accepting::new(&policy(), KEY, &keys, &home(2), said)?;
    let channel::Move::Send(message) = made else { panic!("it is sent") };
    let Message::AcceptChannel(said) = *message else { panic!("it accepts") };
    Ok(said)
}

#[test]
fn channels_that_would_hurt_are_not_accepted() {
    type Row = (&'static str, fn(&mut OpenChannel));
    let rows: &[Row] = &[
        ("funding_satoshis", |it| it.funding_satoshis = Sat(19_999)),
        ("funding_satoshis", |it| it.funding_satoshis = Sat(u64::MAX)),
        ("push_msat", |it| it.push_msat = Msat(2_000_000_001)),
        ("to_self_delay", |it| it.to_self_delay = CsvDelay(2_017)),
        ("max_accepted_htlcs", |it| it.max_accepted_htlcs = HtlcCount(484)),
        ("max_accepted_htlcs", |it| it.max_accepted_htlcs = HtlcCount(0)),
        ("feerate_per_kw", |it| it.feerate_per_kw = FeeratePerKw(252)),
        ("feerate_per_kw", |it| it.feerate_per_kw = FeeratePerKw(50_001)),
        ("dust_limit_satoshis", |it| it.dust_limit_satoshis = Sat(353)),
        ("dust_limit_satoshis", |it| it.dust_limit_satoshis = Sat(10_001)),
        ("channel_reserve_satoshis", |it| it.channel_reserve_satoshis = Sat(353)),
        ("channel_reserve_satoshis", |it| it.channel_reserve_satoshis = Sat(400_001)),
        ("htlc_minimum_msat", |it| it.htlc_minimum_msat = Msat(200_000_001)),
        ("max_htlc_value_in_flight_msat", |it| it.max_htlc_value_in_flight_msat = Msat(0)),
    ];
    let (_, said) = opened(policy());
    assert!(accepts(&said).is_ok());
    for (want, change) in rows {
        let mut said = said.clone();
        change(&mut said);
        let no = accepts(&said).expect_err(want);
        assert!(matches!(no, Unfit::Value { field, .. } if field == *want), "{want}: {no}");
    }
    let with = |change: fn(&mut OpenChannel)| {
        let mut said = said.clone();
        change(&mut said);
        accepts(&said).err()
    };
    assert_eq!(with(|it| it.chain_hash = ChainHash::of(Network::Bitcoin)), Some(Unfit::Chain));
    assert_eq!(with(|it| it.channel_type = None), Some(Unfit::Type));
    let basic = || Features::default().and_required(Feature::StaticRemotekey);
    let optional = with(|it| {
        it.channel_type = Some(Features::optional(&[Feature::StaticRemotekey, Feature::Anchors]));
    });
    assert_eq!(optional, Some(Unfit::Type));
    let mut unknown = said.clone();
    unknown.channel_type = Some(basic().and_required(Feature::BasicMpp));
    assert_eq!(accepts(&unknown).err(), Some(Unfit::Type));
    let poor = with(|it| it.push_msat = Msat(1_999_000_000));
    assert!(matches!(poor, Some(Unfit::Fee { .. })), "{poor:?}");
    let bare = with(|it| {
        (it.funding_satoshis, it.push_msat) = (Sat(20_000), Msat(100));
        (it.channel_reserve_satoshis, it.feerate_per_kw) = (Sat(4_000), FeeratePerKw(15_000));
    });
    assert_eq!(bare, Some(Unfit::Reserve { reserve: Sat(4_000) }));
}

#[test]
fn answers_that_do_not_fit_the_proposal_end_it() {
    let (proposed, said) = opened(policy());
    let accept = accepts(&said).unwrap_or_else(|no| panic!("{no}"));
    assert!(proposed.accepted(&accept).is_ok());
    let with = |change: fn(&mut AcceptChannel)| {
        let mut said = accept.clone();
        change(&mut said);
        proposed.accepted(&said).err()
    };
    let other = with(|it| it.temporary_channel_id = TemporaryChannelId([2; 32]));
    assert_eq!(other, Some(Unfit::OtherChannel));
    assert_eq!(with(|it| it.channel_type = None), Some(Unfit::Type));
    let basic = with(|it| {
        it.channel_type = Some(Features::default().and_required(Feature::StaticRemotekey));
    });
    assert_eq!(basic, Some(Unfit::OtherType));
    type Row = (&'static str, fn(&mut AcceptChannel));
    let rows: &[Row] = &[
        ("minimum_depth", |it| it.minimum_depth = BlockCount(145)),
        ("channel_reserve_satoshis", |it| it.channel_reserve_satoshis = Sat(353)),
        ("dust_limit_satoshis", |it| {
            // More than the reserve that was asked for.
            (it.dust_limit_satoshis, it.channel_reserve_satoshis) = (Sat(9_999), Sat(20_001));
        }),
        ("to_self_delay", |it| it.to_self_delay = CsvDelay(0)),
        ("max_accepted_htlcs", |it| it.max_accepted_htlcs = HtlcCount(500)),
    ];
    // So small a channel that the reserve that was asked for is less than such a dust limit.
    for (want, change) in rows {
        let mut said = accept.clone();
        change(&mut said);
        let proposed = if *want == "dust_limit_satoshis" { small() } else { proposed.clone() };
        let no = proposed.accepted(&said).expect_err(want);
        assert!(matches!(no, Unfit::Value { field, .. } if field == *want), "{want}: {no}");
    }
}

fn small() -> Proposed {
    let keys = shown(&mut channels(1));
    let wanted =
        channel::Funding { funding: Sat(400_000), pushed: Msat(0), ..wanted(Form::Anchors) };
    let (proposed, _) = Proposed::new(policy(), keys, &wanted).unwrap_or_else(|no| panic!("{no}"));
    proposed
}
