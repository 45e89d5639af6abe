//! What the types make of their values.

use wire::{
    Broke, Fault, Message, Network, Unnamed,
    address::{Address, Hostname},
    amount::{Msat, Sat},
    custom,
    features::{
        Context::{self, Assumed, ChannelType, Init, Invoice, Node},
        Feature, FeatureFault, Features,
    },
    field::Value as _,
    id::{ChainHash, ChannelFlags, Scid},
    reader::Reader,
    tlv::Unknown,
};

use crate::support::hex;

#[test]
fn amounts() {
    assert_eq!(Sat(5).to_msat(), Some(Msat(5_000)));
    assert_eq!(Sat(u64::MAX / 1_000).to_msat(), Some(Msat(18_446_744_073_709_551_000)));
    assert_eq!(Sat(u64::MAX / 1_000 + 1).to_msat(), None);
    assert_eq!(Msat(5_999).floor_to_sat(), Sat(5));
    assert_eq!(Sat::MAX_MONEY.0, 2_100_000_000_000_000);
}

#[test]
fn short_channel_ids() {
    let scid = Scid::new(0xab_cdef, 0x12_3456, 0x789a).expect("it fits");
    assert_eq!(scid.0, 0xabcd_ef12_3456_789a);
    assert_eq!((scid.block(), scid.transaction(), scid.output()), (0xab_cdef, 0x12_3456, 0x789a));
    assert_eq!(Scid::new(0x100_0000, 0, 0), None);
    assert_eq!(Scid::new(0, 0x100_0000, 0), None);
    assert!(Scid::new(0xff_ffff, 0xff_ffff, 0xffff).is_some());
}

#[test]
fn chains_are_named_by_their_genesis_block() {
    let bitcoin = "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000";
    assert_eq!(ChainHash::of(Network::Bitcoin).to_string(), bitcoin);
    let regtest = "06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f";
    assert_eq!(ChainHash::of(Network::Regtest).to_string(), regtest);
}

#[test]
fn flags() {
    assert!(ChannelFlags(1).announce_channel() && ChannelFlags(0xff).announce_channel());
    assert!(!ChannelFlags(0).announce_channel() && !ChannelFlags(2).announce_channel());
}

#[test]
fn addresses_as_people_write_them() {
    // The service of the Tor Project's site, port 80.
    let onion = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion:80";
    let key = "d1b38b83a83b3ed918c5bb69dd444ad56bc8d5835a914de73447474e5f02591b";
    let rows = [
        (format!("04 {key} ddd9 03 0050"), onion),
        ("01 7f000001 2607".into(), "127.0.0.1:9735"),
        (format!("02 {} 01 2607", "00".repeat(15)), "[::1]:9735"),
        ("05 0b 6578616d706c652e636f6d 2607".into(), "example.com:9735"),
    ];
    for (bytes, text) in rows {
        let bytes = hex(&bytes);
        let address = Address::read(&mut Reader::new(&bytes)).expect(text);
        assert_eq!(address.to_string(), text);
    }
}

#[test]
fn host_names() {
    for byte in 0..=u8::MAX {
        let fine = byte.is_ascii_alphanumeric() || [b'.', b'-', b'_'].contains(&byte);
        assert_eq!(Hostname::parse(&[b'a', byte]).is_ok(), fine, "{byte:02x}");
    }
    assert!(Hostname::parse(&[b'a'; 255]).is_ok());
    let long = Broke::LongHostname { bytes: 256, max: 255 };
    assert_eq!(Hostname::parse(&[b'a'; 256]), Err(long));
}

#[test]
fn custom_ranges_hold_odd_numbers_only() {
    assert!(custom::CLIENT_HOST.holds(32_769) && custom::CLIENT_HOST.holds(33_023));
    assert!(!custom::CLIENT_HOST.holds(32_770) && !custom::CLIENT_HOST.holds(33_025));
    assert!(custom::PARKED.holds(33_025) && !custom::PARKED.holds(custom::NOTE.first));
    assert!(custom::RESERVE.holds(44_203) && !custom::RESERVE.holds(44_201));
}

type Listed<'a> = (Feature, u16, &'a str, &'a [Context], &'a [Feature]);

#[test]
fn features_are_as_bolt_9_lists_them() {
    use Feature as F;
    let table: &[Listed<'_>] = &[
        (F::DataLossProtect, 0, "option_data_loss_protect", &[Assumed], &[]),
        (F::UpfrontShutdownScript, 4, "option_upfront_shutdown_script", &[Init, Node], &[]),
        (F::GossipQueries, 6, "gossip_queries", &[], &[]),
        (F::VarOnion, 8, "var_onion_optin", &[Assumed], &[]),
        (F::GossipQueriesEx, 10, "gossip_queries_ex", &[Init, Node], &[]),
        (F::StaticRemotekey, 12, "option_static_remotekey", &[Assumed, ChannelType], &[]),
        (F::PaymentSecret, 14, "payment_secret", &[Assumed], &[]),
        (F::BasicMpp, 16, "basic_mpp", &[Init, Node, Invoice], &[F::PaymentSecret]),
        (F::SupportLargeChannel, 18, "option_support_large_channel", &[Init, Node], &[]),
        (F::Anchors, 22, "option_anchors", &[Init, Node, ChannelType], &[]),
        (F::RouteBlinding, 24, "option_route_blinding", &[Init, Node, Invoice], &[]),
        (F::ShutdownAnysegwit, 26, "option_shutdown_anysegwit", &[Init, Node], &[]),
        (F::DualFund, 28, "option_dual_fund", &[Init, Node], &[]),
        (F::Quiesce, 34, "option_quiesce", &[Init, Node], &[]),
        (F::AttributionData, 36, "option_attribution_data", &[Init, Node, Invoice], &[]),
        (F::OnionMessages, 38, "option_onion_messages", &[Init, Node], &[]),
        (F::ProvideStorage, 42, "option_provide_storage", &[Init, Node], &[]),
        (F::ChannelType, 44, "option_channel_type", &[Assumed], &[]),
        (F::ScidAlias, 46, "option_scid_alias", &[Init, Node, ChannelType], &[]),
        (F::PaymentMetadata, 48, "option_payment_metadata", &[Invoice], &[]),
        (F::Zeroconf, 50, "option_zeroconf", &[Init, Node, ChannelType], &[F::ScidAlias]),
        (F::SimpleClose, 60, "option_simple_close", &[Init, Node], &[F::ShutdownAnysegwit]),
        (F::Splice, 62, "option_splice", &[Init, Node], &[]),
        // Ours: BOLT 9 has nothing from 256 on.
        (F::Parked, 560, "option_parked", &[Init], &[F::Anchors]),
    ];
    assert_eq!(table.len(), F::ALL.len());
    for ((feature, bit, name, contexts, needs), listed) in table.iter().zip(F::ALL) {
        assert_eq!(feature, listed);
        assert_eq!((*feature as u16, feature.name()), (*bit, *name));
        assert_eq!((feature.contexts(), feature.needs()), (*contexts, *needs), "{name}");
    }
}

#[test]
fn negotiation_judges_the_other_side() {
    let unknown = Features::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let fault = FeatureFault::UnknownRequired { bit: 72 };
    assert_eq!(Features::NONE.negotiate(&unknown), Err(fault));
    let lonely = Features::optional(&[Feature::SimpleClose]);
    let (feature, needs) = (Feature::SimpleClose, Feature::ShutdownAnysegwit);
    assert_eq!(Features::NONE.negotiate(&lonely), Err(FeatureFault::Needs { feature, needs }));
}

#[test]
fn sets_of_features_are_equal_when_their_bits_are() {
    assert_eq!(Features::from_bytes(&[0, 0, 8]), Features::from_bytes(&[8]));
    assert_ne!(Features::from_bytes(&[8, 0]), Features::from_bytes(&[8]));
    let both = Features::from_bytes(&[0b1010]).union(&Features::from_bytes(&[1, 0b0110]));
    assert_eq!(both.bytes(), [1, 0b1110]);
}

#[test]
fn what_a_peer_makes_long_is_shown_short() {
    let all = Features::from_bytes(&[0xff; 8_000]).to_string();
    assert!(all.len() < 3_000 && all.ends_with(&format!("…+{}", 64_000 - 64)), "{}", all.len());
    let mut init = vec![0, 16, 0, 0, 0, 0, 1, 0xfd];
    init.extend_from_slice(&(32_u16 * 2_000).to_be_bytes());
    init.resize(init.len() + 32 * 2_000, 7);
    let message = Message::decode(&init).expect("many chains");
    let shown = format!("{message:?}");
    assert_eq!(shown.chars().count(), wire::SHOWN_CHARS_MAX + 1);
    assert!(shown.starts_with("Init {") && shown.ends_with('…'));
}

#[test]
fn records_that_are_not_ours_to_add() {
    let mut unknown = Unknown::NONE;
    let (record, min) = (7, 65_536);
    assert_eq!(unknown.insert(record, b""), Err(Broke::ReservedTlv { record, min }));
    assert_eq!(unknown.insert(65_538, b""), Err(Broke::UnknownEvenTlv { record: 65_538 }));
    assert_eq!(unknown.insert(65_537, b"ours"), Ok(()));
    assert_eq!((unknown.find(65_537), unknown.find(65_535)), (Some(&b"ours"[..]), None));
    assert_eq!(Unnamed::new(17, vec![]), Err(Fault::Named { message_type: 17 }));
}

#[test]
#[should_panic(expected = "no list in a message has more than 65,535 bytes")]
fn a_part_written_by_hand_cannot_lie_about_its_length() {
    use wire::{Body as _, Error, id::ChannelId};
    Error::new(ChannelId::ALL, &"x".repeat(70_000)).write_body(&mut Vec::new());
}
