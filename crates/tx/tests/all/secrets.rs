//! Secrets from one seed, and the 49 places that keep them: BOLT 3, appendix D.

use tx::{CommitmentSeed, RevokedSecrets, SecretFault, SecretIndex};
use wire::{
    dice::Dice,
    id::{CommitmentNumber, PerCommitmentSecret},
};

use crate::vectors::hex;

const TABLE: &str = include_str!("../vectors/secrets.txt");

fn bytes(text: &str) -> [u8; 32] {
    hex(text).try_into().expect("32 bytes")
}

fn number(index: u64) -> CommitmentNumber {
    CommitmentNumber((1 << 48) - 1 - index)
}

#[test]
fn secrets_come_from_seeds_as_in_appendix_d() {
    for (seed, index, secret) in [
        (
            "00",
            0xffff_ffff_ffff,
            "02a40c85b6f28da08dfdbe0926c53fab2de6d28c10301f8f7c4073d5e42e3148",
        ),
        (
            "ff",
            0xffff_ffff_ffff,
            "7cc854b54e3e0dcdb010d7a3fee464a9687be6e8db3be6854c475621e007a5dc",
        ),
        (
            "ff",
            0x0aaa_aaaa_aaaa,
            "56f4008fb007ca9acf0e15b054d5c9fd12ee06cea347914ddbaed70d1c13a528",
        ),
        (
            "ff",
            0x5555_5555_5555,
            "9015daaeb06dba4ccc05b91b2f73bd54405f2be9f217fbacd3c5ac2e62327d31",
        ),
        ("01", 1, "915c75942a26bb3a433a8ce2cb0427c29ec6c1775cfc78328b57f6ba7bfeaa9c"),
    ] {
        let seed = CommitmentSeed::take(&mut bytes(&seed.repeat(32)));
        let index = SecretIndex::of(number(index)).expect("there are so many");
        assert_eq!(seed.secret(index).0, bytes(secret));
    }
}

#[test]
fn secrets_are_taken_and_refused_as_in_appendix_d() {
    let mut cases = 0;
    for case in TABLE.split("name: ").skip(1) {
        let mut secrets = RevokedSecrets::default();
        let mut lines = case.lines();
        let name = lines.next().expect("a case has a name");
        for line in lines.filter(|line| !line.is_empty()) {
            let [index, secret, verdict] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{name}: {line}");
            };
            let number = number(index.parse().expect("a number"));
            let taken = secrets.insert(number, &PerCommitmentSecret(bytes(secret)));
            assert_eq!(taken.is_ok(), verdict == "taken", "{name}: {line}");
        }
        cases += 1;
    }
    assert_eq!(cases, 9);
}

#[test]
fn all_that_was_taken_is_found_again_after_each_restart() {
    let seed = CommitmentSeed::take(&mut Dice::new(1).array());
    let secret = |number| seed.secret(SecretIndex::of(CommitmentNumber(number)).expect("few"));
    let mut secrets = RevokedSecrets::default();
    for last in 0..600 {
        secrets.insert(CommitmentNumber(last), &secret(last)).expect("it comes from the seed");
        let kept: Vec<_> = secrets.kept().copied().collect();
        assert!(kept.len() <= 49);
        let again = RevokedSecrets::from_kept(secrets.next(), &kept).expect("it was saved");
        assert!(again == secrets);
        assert!(RevokedSecrets::from_kept(secrets.next(), &kept[1..]).is_none());
        for number in 0..=last {
            assert!(secrets.secret(CommitmentNumber(number)) == Some(secret(number)));
        }
        assert!(secrets.secret(CommitmentNumber(last + 1)).is_none());
    }
    let next = CommitmentNumber(600);
    for number in [CommitmentNumber(599), CommitmentNumber(601), CommitmentNumber(u64::MAX)] {
        let refused = secrets.insert(number, &secret(600));
        assert_eq!(refused, Err(SecretFault::OutOfTurn { number, next }));
    }
}

#[test]
fn the_last_secret_of_all_is_kept_too() {
    let seed = CommitmentSeed::take(&mut [7; 32]);
    let last = CommitmentNumber((1 << 48) - 1);
    let kept = [seed.secret(SecretIndex::of(last).expect("it is the last"))];
    assert!(SecretIndex::of(CommitmentNumber(1 << 48)).is_none());
    // All places but the last are not needed any more, and none of them may be missing.
    assert!(RevokedSecrets::from_kept(CommitmentNumber(1 << 48), &kept).is_none());
    assert!(RevokedSecrets::from_kept(CommitmentNumber(u64::MAX), &[]).is_none());
    assert!(RevokedSecrets::from_kept(CommitmentNumber(0), &[]).is_some());
}

/// The short way ends where the long one does, on both sides of where it begins to be long.
#[test]
fn secrets_near_others_are_the_same() {
    let seed = CommitmentSeed::take(&mut [5; 32]);
    for number in [0, 1, 14, 15, 16, 17, 31, 4_000, (1 << 48) - 2] {
        let at = |number| SecretIndex::of(CommitmentNumber(number)).expect("there are so many");
        let near = seed.near(at(number));
        for number in [number.saturating_sub(1), number, number + 1] {
            assert_eq!(near.secret(at(number)), seed.secret(at(number)), "{number}");
            assert_eq!(near.point(at(number)), seed.point(at(number)), "{number}");
        }
    }
}
