//! What Bitcoin Core says when it does not take a transaction: its own words, of versions 24 to 31.

use bitcoin::Amount;
use chain::{
    Cure::{self, GiveUp, Look, RaiseFee, Wait},
    PublishAnswer, Reason, TooLittle,
};

/// What a row expects.
enum Is {
    Known,
    Confirmed,
    No(&'static str, Cure),
}

const ID: &str = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";

const ROWS: &[(&str, Is)] = &[
    ("txn-already-in-mempool", Is::Known),
    ("txn-same-nonwitness-data-in-mempool", Is::Known),
    ("txn-already-known", Is::Confirmed),
    ("Transaction outputs already in utxo set", Is::Confirmed),
    ("Transaction already in block chain", Is::Confirmed),
    ("mempool min fee not met, 110 < 141", Is::No("FeeTooLow", RaiseFee)),
    ("min relay fee not met, 0 < 141", Is::No("FeeTooLow", RaiseFee)),
    ("mempool full", Is::No("FeeTooLow", RaiseFee)),
    (
        "insufficient fee, rejecting replacement ID, less fees than conflicting txs; \
             0.00000110 < 0.00000220",
        Is::No("Conflict", RaiseFee),
    ),
    (
        "insufficient fee, rejecting replacement ID, not enough additional fees to relay; \
             0.00 < 0.00000141",
        Is::No("Conflict", RaiseFee),
    ),
    (
        "insufficient fee, rejecting replacement ID; new feerate 0.00001000 BTC/kvB <= old \
             feerate 0.00001000 BTC/kvB",
        Is::No("Conflict", RaiseFee),
    ),
    (
        "insufficient fee (including sibling eviction), rejecting replacement ID, less fees \
             than conflicting txs; 0.00000110 < 0.00000220",
        Is::No("Conflict", RaiseFee),
    ),
    (
        "replacement-failed, insufficient feerate: does not improve feerate diagram",
        Is::No("Conflict", RaiseFee),
    ),
    ("txn-mempool-conflict", Is::No("Conflict", RaiseFee)),
    ("bip125-replacement-disallowed", Is::No("Conflict", RaiseFee)),
    (
        "package RBF failed: insufficient anti-DoS fees, rejecting replacement ID, less fees \
             than conflicting txs; 0.00000110 < 0.00000220",
        Is::No("Conflict", RaiseFee),
    ),
    (
        "package RBF failed: package feerate is less than or equal to parent feerate, package \
             feerate 0.00001000 BTC/kvB <= parent feerate is 0.00001000 BTC/kvB",
        Is::No("Conflict", RaiseFee),
    ),
    ("package RBF failed: package must be 1-parent-1-child", Is::No("Package", Look)),
    (
        "package RBF failed: new transaction cannot have mempool ancestors",
        Is::No("AddsUnconfirmed", Wait),
    ),
    (
        "too many potential replacements, rejecting replacement ID; too many conflicting \
             clusters (101 > 100)",
        Is::No("ReplacesTooMany", Look),
    ),
    (
        "package RBF failed: too many potential replacements, rejecting replacement ID; too \
             many conflicting clusters (101 > 100)",
        Is::No("ReplacesTooMany", Look),
    ),
    (
        "replacement-adds-unconfirmed, replacement ID adds unconfirmed input, idx 1",
        Is::No("AddsUnconfirmed", Wait),
    ),
    ("bad-txns-inputs-missingorspent", Is::No("InputsMissing", Wait)),
    (
        "bad-txns-inputs-missingorspent, CheckTxInputs: inputs missing/spent",
        Is::No("InputsMissing", Wait),
    ),
    ("missing-inputs", Is::No("InputsMissing", Wait)),
    ("Missing inputs", Is::No("InputsMissing", Wait)),
    ("Inputs missing or spent", Is::No("InputsMissing", Wait)),
    ("non-final", Is::No("NotFinal", Wait)),
    ("non-BIP68-final", Is::No("NotFinalBip68", Wait)),
    (
        "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 5",
        Is::No("Immature", Wait),
    ),
    (
        "too-long-mempool-chain, too many unconfirmed parents [limit: 25]",
        Is::No("TooLongChain", Wait),
    ),
    (
        "too-long-mempool-chain, exceeds ancestor size limit [limit: 101000]",
        Is::No("TooLongChain", Wait),
    ),
    ("too-large-cluster", Is::No("TooLongChain", Wait)),
    ("package-mempool-limits, possibly exceeds ancestor limit", Is::No("TooLongChain", Wait)),
    (
        "TRUC-violation, tx ID (wtxid=ID) would exceed descendant count limit",
        Is::No("TooLongChain", Wait),
    ),
    (
        "TRUC-violation, tx ID (wtxid=ID) would have too many ancestors",
        Is::No("TooLongChain", Wait),
    ),
    (
        "TRUC-violation, version=3 tx ID (wtxid=ID) is too big: 10001 > 10000 virtual bytes",
        Is::No("NonStandard", GiveUp),
    ),
    ("dust", Is::No("Dust", GiveUp)),
    ("dust, tx with dust output must be 0-fee", Is::No("Dust", GiveUp)),
    (
        "missing-ephemeral-spends, tx ID (wtxid=ID) did not spend parent's ephemeral dust",
        Is::No("Dust", GiveUp),
    ),
    ("version", Is::No("NonStandard", GiveUp)),
    ("tx-size", Is::No("NonStandard", GiveUp)),
    ("tx-size-small", Is::No("NonStandard", GiveUp)),
    ("scriptsig-size", Is::No("NonStandard", GiveUp)),
    ("scriptsig-not-pushonly", Is::No("NonStandard", GiveUp)),
    ("scriptpubkey", Is::No("NonStandard", GiveUp)),
    ("datacarrier", Is::No("NonStandard", GiveUp)),
    ("bare-multisig", Is::No("NonStandard", GiveUp)),
    ("multi-op-return", Is::No("NonStandard", GiveUp)),
    ("bad-txns-nonstandard-inputs", Is::No("NonStandard", GiveUp)),
    ("bad-witness-nonstandard", Is::No("NonStandard", GiveUp)),
    ("bad-txns-too-many-sigops, 80004", Is::No("NonStandard", GiveUp)),
    (
        "mempool-script-verify-flag-failed (Witness program hash mismatch), input 0 of ID",
        Is::No("Script", GiveUp),
    ),
    (
        "mandatory-script-verify-flag-failed (Signature must be zero for failed \
             CHECK(MULTI)SIG operation)",
        Is::No("Script", GiveUp),
    ),
    (
        "non-mandatory-script-verify-flag (Witness version reserved for soft-fork upgrades)",
        Is::No("Script", GiveUp),
    ),
    ("coinbase", Is::No("Invalid", GiveUp)),
    ("bad-cb-length", Is::No("Invalid", GiveUp)),
    ("bad-txns-in-belowout, value in (0.1) < value out (0.2)", Is::No("Invalid", GiveUp)),
    ("bad-txns-inputs-duplicate", Is::No("Invalid", GiveUp)),
    ("bad-txns-vout-empty", Is::No("Invalid", GiveUp)),
    (
        "bad-txns-spends-conflicting-tx, ID spends conflicting transaction ID",
        Is::No("Invalid", GiveUp),
    ),
    ("max feerate exceeded", Is::No("TooDear", Look)),
    ("max-fee-exceeded", Is::No("TooDear", Look)),
    (
        "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
        Is::No("TooDear", Look),
    ),
    ("package-not-child-with-parents", Is::No("Package", Look)),
    ("package-not-sorted", Is::No("Package", Look)),
    ("conflict-in-package", Is::No("Package", Look)),
    ("transaction failed", Is::No("Unknown", Look)),
    ("Mempool internal error", Is::No("Unknown", Look)),
    ("", Is::No("Unknown", Look)),
    ("a version that nobody has heard of", Is::No("Unknown", Look)),
];

#[test]
fn bitcoin_cores_words_have_a_meaning() {
    for (words, wanted) in ROWS {
        let words = words.replace("ID", ID);
        let answer = PublishAnswer::parse(&words);
        match (wanted, &answer) {
            (Is::Known, PublishAnswer::Known) | (Is::Confirmed, PublishAnswer::Confirmed) => {}
            (Is::No(name, cure), PublishAnswer::Refused(reason)) => {
                let debug = format!("{reason:?}");
                assert_eq!(debug.split([' ', '{']).next(), Some(*name), "{words}");
                assert_eq!(reason.cure(), *cure, "{words}");
            }
            (Is::Known | Is::Confirmed | Is::No(..), _) => panic!("{words}: {answer:?}"),
        }
    }
}

#[test]
fn numbers_are_read_from_the_words() {
    let sat = Amount::from_sat;
    let rows = [
        ("mempool min fee not met, 110 < 141", Some((110, 141))),
        (
            "insufficient fee, rejecting replacement a, less fees; 0.00000110 < 1.5",
            Some((110, 150_000_000)),
        ),
        ("min relay fee not met, 110 < many", None),
        ("min relay fee not met, -1 < 99999999999999999999", None),
        ("insufficient fee, < ", None),
        ("mempool full", None),
    ];
    for (words, wanted) in rows {
        let wanted = wanted.map(|(got, min)| TooLittle { got: sat(got), min: sat(min) });
        let answer = PublishAnswer::parse(words);
        let (PublishAnswer::Refused(Reason::FeeTooLow { fees })
        | PublishAnswer::Refused(Reason::Conflict { fees })) = answer
        else {
            panic!("{words}: {answer:?}");
        };
        assert_eq!(fees, wanted, "{words}");
    }
}

#[test]
fn foreign_words_are_kept_short_and_printable() {
    let long = format!("what\n\u{1b}[31m{}", "é".repeat(5_000));
    let PublishAnswer::Refused(Reason::Unknown { text }) = PublishAnswer::parse(&long) else {
        panic!("nobody knows this");
    };
    assert_eq!(text.as_str().chars().count(), chain::REASON_CHARS_MAX);
    assert!(text.as_str().starts_with("what  [31m"));
}

#[test]
fn a_packages_answer_is_the_worst_of_its_transactions() {
    let no = |text| PublishAnswer::parse(text);
    let (low, missing) = (no("min relay fee not met, 0 < 141"), no("missing-inputs"));
    let (known, accepted) = (PublishAnswer::Known, PublishAnswer::Accepted);
    let rows = [
        (vec![], None),
        (vec![known.clone(), accepted.clone()], Some(accepted.clone())),
        (vec![PublishAnswer::Confirmed, known.clone()], Some(known)),
        (vec![low.clone(), missing], Some(low.clone())),
        (vec![accepted, low.clone()], Some(low)),
    ];
    for (answers, wanted) in rows {
        assert_eq!(PublishAnswer::of_all(answers), wanted);
    }
}
