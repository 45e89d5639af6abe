//! Words in, words out; and what is not a seed.

use signer::{Seed, SeedFault, WordsFault};

use crate::parties::{seed, words_of};
use crate::vectors::{ABANDON_12, ABANDON_24, VOID_24, WORDS, array};

#[test]
fn words_of_bip_39() {
    for (entropy, words) in WORDS {
        assert_eq!(words_of(&seed(words)), *words);
        if entropy.len() == 64 && !entropy.starts_with("00") {
            let mut bytes = array(entropy);
            let seed = Seed::take(&mut bytes).ok().unwrap();
            assert_eq!(words_of(&seed), *words);
            assert_eq!(bytes, [0; 32], "the caller's entropy is gone");
        }
    }
}

#[test]
fn white_space_between_words_is_free() {
    for text in [
        VOID_24.replace(' ', "\n"),
        VOID_24.replace(' ', " \t "),
        format!("\r\n {VOID_24}\u{a0}\n"),
    ] {
        assert_eq!(words_of(&seed(&text)), VOID_24);
    }
}

#[test]
fn entropy_that_nobody_has_drawn_is_refused() {
    assert_eq!(Seed::take(&mut [0; 32]).err(), Some(SeedFault::Zeros { bytes: 32 }));
    let mut bytes = [7; 32];
    assert!(Seed::take(&mut bytes).is_ok());
    assert_eq!(Seed::take(&mut bytes).err(), Some(SeedFault::Zeros { bytes: 32 }), "taken twice");
    let mut last = [0; 32];
    last[31] = 1;
    assert!(Seed::take(&mut last).is_ok());
}

#[test]
fn words_that_are_no_seed_are_refused() {
    let swapped = VOID_24.replace("void come", "come void");
    let cases = [
        ("nothing", String::new(), WordsFault::Count { got: 0 }),
        ("space", " \n ".into(), WordsFault::Count { got: 0 }),
        ("eleven", ABANDON_12.replacen("abandon ", "", 1), WordsFault::Count { got: 11 }),
        ("thirteen", format!("abandon {ABANDON_12}"), WordsFault::Count { got: 13 }),
        ("fifteen of BIP 39", ["zoo"; 15].join(" "), WordsFault::Count { got: 15 }),
        ("eighteen", ["zoo"; 18].join(" "), WordsFault::Count { got: 18 }),
        ("twenty-one", ["zoo"; 21].join(" "), WordsFault::Count { got: 21 }),
        ("twenty-five", format!("zoo {ABANDON_24}"), WordsFault::Count { got: 25 }),
        ("a lot", ["zoo"; 100_000].join(" "), WordsFault::Count { got: 100_000 }),
        ("capital", VOID_24.replace("void", "Void"), WordsFault::Unknown { word: 1, of: 24 }),
        ("cut word", VOID_24.replace("unfold", "unfo"), WordsFault::Unknown { word: 24, of: 24 }),
        (
            "comma",
            ABANDON_12.replacen("abandon ", "abandon, ", 1),
            WordsFault::Unknown { word: 1, of: 12 },
        ),
        (
            "other language",
            ABANDON_12.replace("about", "cœur"),
            WordsFault::Unknown { word: 12, of: 12 },
        ),
        ("last word", ABANDON_12.replace("about", "abandon"), WordsFault::Checksum),
        ("out of order", swapped, WordsFault::Checksum),
    ];
    for (name, text, want) in cases {
        assert_eq!(Seed::from_words(&text).err(), Some(want), "{name}");
    }
}

#[test]
fn a_fault_repeats_no_word() {
    let fault = Seed::from_words(&VOID_24.replace("unfold", "password")).err().unwrap();
    assert_eq!(fault.to_string(), "word 24 of 24 is not in BIP 39's English list");
}
