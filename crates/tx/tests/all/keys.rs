//! The vectors of BOLT 3, appendix E.

use secp256k1::{PublicKey, SECP256K1, SecretKey};
use tx::{
    derived_key, derived_secret, revocation_key, revocation_key_of_base, revocation_key_of_secret,
    revocation_secret,
};

use wire::dice::Dice;

use crate::vectors::hex;

#[test]
fn keys_are_derived_as_in_appendix_e() {
    let secret = |text: &str| SecretKey::from_slice(&hex(text)).expect("a scalar");
    let base = secret("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let point = secret("1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100");
    let basepoint = base.public_key(SECP256K1).into();
    let per_commitment = point.public_key(SECP256K1).into();
    assert_eq!(
        derived_key(&basepoint, &per_commitment).to_string(),
        "0235f2dbfaa89b57ec7b055afe29849ef7ddfeb1cefdb9ebdc43f5494984db29e5"
    );
    assert_eq!(
        derived_secret(&base, &per_commitment),
        secret("cbced912d3b21bf196a766651e436aff192362621ce317704ea2f75d87e7be0f")
    );
    assert_eq!(
        revocation_key(&basepoint, &per_commitment).to_string(),
        "02916e326636d19c33f13e8c0c3a03dd157f332f3e99c317c141dd865eb01f8ff0"
    );
    let key = revocation_key(&basepoint, &per_commitment);
    assert_eq!(revocation_key_of_base(&basepoint, &base, &per_commitment), key);
    assert_eq!(revocation_key_of_secret(&basepoint, &per_commitment, &point), key);
    assert_eq!(
        revocation_secret(&base, &point),
        secret("d09ffff62ddb2297ab000cc85bcb4283fdeb6aa052affbc9dddcf33b61078110")
    );
}

/// Whoever knows a secret comes to the same key, whatever the points are.
#[test]
fn a_revocation_key_is_the_same_on_all_ways() {
    let mut dice = Dice::new(3);
    for _ in 0..200 {
        let [base, secret] = [(); 2].map(|()| SecretKey::from_slice(&dice.array::<32>()).unwrap());
        let [basepoint, point] = [base, secret].map(|it| it.public_key(SECP256K1).into());
        let key = revocation_key(&basepoint, &point);
        assert_eq!(revocation_key_of_base(&basepoint, &base, &point), key);
        assert_eq!(revocation_key_of_secret(&basepoint, &point, &secret), key);
    }
}

/// A peer may choose a basepoint whose x coordinate is not below the order of the curve.
#[test]
fn a_basepoint_far_right_is_a_basepoint() {
    let mut far = hex("02fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    let found = (0..64).find_map(|more| {
        far[32] = 0x41 + more;
        PublicKey::from_slice(&far).ok()
    });
    let basepoint = found.expect("every other is on the curve").into();
    let secret = SecretKey::from_slice(&[7; 32]).unwrap();
    let point = secret.public_key(SECP256K1).into();
    let key = revocation_key(&basepoint, &point);
    assert_eq!(revocation_key_of_secret(&basepoint, &point, &secret), key);
}
