//! BOLT 9.

use wire::{
    Init,
    features::{
        Feature::{self, *},
        FeatureFault, Features,
    },
};

#[test]
fn bits_stand_where_bolt_9_puts_them() {
    assert_eq!(Features::optional(&[UpfrontShutdownScript]).bytes(), [0b10_0000]);
    assert_eq!(Features::NONE.and_required(GossipQueriesEx).bytes(), [0b100, 0]);
    let both = Features::optional(&[BasicMpp, DataLossProtect]);
    assert_eq!(both.bytes(), [0b10, 0, 0b10]);
    assert!(both.bit(17) && both.bit(1) && !both.bit(16) && !both.bit(1_000_000));
    assert_eq!(both.to_string(), "option_data_loss_protect basic_mpp");
    assert_eq!(
        Features::from_bytes(&[0x80, 1]).to_string(),
        "option_data_loss_protect! payment_secret"
    );
}

#[test]
fn features_are_listed_once_by_rising_even_bit() {
    let bits: Vec<u16> = Feature::ALL.iter().map(|feature| *feature as u16).collect();
    assert!(bits.windows(2).all(|pair| pair[0] < pair[1]), "{bits:?}");
    assert!(bits.iter().all(|bit| bit.is_multiple_of(2)), "{bits:?}");
}

#[test]
fn unknown_bits() {
    assert_eq!(Features::from_bytes(&[1 << 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).judge(), Ok(()));
    let required = Features::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(required.judge(), Err(FeatureFault::UnknownRequired { bit: 96 }));
    let fault = required.judge().expect_err("unknown");
    assert_eq!(fault.to_string(), "unknown required feature bit 96");
}

#[test]
fn dependencies() {
    let rows = [
        (vec![Zeroconf], Some((Zeroconf, ScidAlias))),
        (vec![Zeroconf, ScidAlias], None),
        (vec![SimpleClose], Some((SimpleClose, ShutdownAnysegwit))),
        (vec![SimpleClose, ShutdownAnysegwit], None),
        // `payment_secret` is assumed of everyone, so its bit need not be shown.
        (vec![BasicMpp], None),
    ];
    for (features, missing) in rows {
        let want = missing.map(|(feature, needs)| FeatureFault::Needs { feature, needs });
        assert_eq!(Features::optional(&features).judge().err(), want, "{features:?}");
    }
    let fault = Features::NONE.and_required(Zeroconf).judge().expect_err("no alias");
    let text = "option_zeroconf (bit 50) without option_scid_alias (bit 46)";
    assert_eq!(fault.to_string(), text);
}

#[test]
fn negotiation() {
    let local = Features::optional(&[Anchors, Quiesce]).and_required(ShutdownAnysegwit);
    let remote = Features::optional(&[Anchors, Splice]);
    let agreed = local.negotiate(&remote).expect("nothing is required of us");
    // BOLT 1: negotiated "if either both peers offered it, or the local node offered it as even".
    assert!(agreed.contains(&Anchors) && agreed.contains(&ShutdownAnysegwit), "{agreed:?}");
    assert!(!agreed.contains(&Quiesce) && !agreed.contains(&Splice), "{agreed:?}");
    let fault = local.negotiate(&Features::NONE.and_required(Splice));
    assert_eq!(fault, Err(FeatureFault::NotOffered { feature: Splice }));
}

#[test]
fn both_bitmaps_of_init_count() {
    let mut init = Init::offering(Features::optional(&[SimpleClose]));
    init.globalfeatures = Features::optional(&[GossipQueries]);
    let all = init.all_features();
    assert!(all.offers(SimpleClose) && all.offers(GossipQueries));
    assert_eq!(all.bytes().len(), init.features.bytes().len());
    assert_eq!(Features::NONE.union(&all), all);
}
