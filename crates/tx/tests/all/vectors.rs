//! The transactions of BOLT 3, appendices C and F, to the last byte of their signatures.

use std::sync::Arc;

use bitcoin::{EcdsaSighashType, OutPoint, Transaction, consensus::encode};
use secp256k1::{Message, SECP256K1, SecretKey};
use tx::{
    Basepoints, Commitment, Contract, Form, Funding, Htlc, Meaning, Party, Pieces, Place, Placed,
    SecondStage, Side, Terms, Who, derived_secret, funding_witness,
};
use wire::{
    amount::{BlockHeight, CsvDelay, FeeratePerKw, Msat, Sat},
    id::{CommitmentNumber, PaymentHash},
    key::{Point, Signature},
};

const TABLE: &str = include_str!("../vectors/commitments.txt");

pub fn hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn secret(text: &str) -> SecretKey {
    SecretKey::from_slice(&hex(text)).expect("a scalar")
}

fn point_of(secret: SecretKey) -> Point {
    secret.public_key(SECP256K1).into()
}

/// Direction, amount, expiry and preimage byte of the HTLCs, by their numbers.
const HTLCS: [(Side, u64, u32, u8); 7] = [
    (Side::Acceptor, 1_000_000, 500, 0),
    (Side::Acceptor, 2_000_000, 501, 1),
    (Side::Opener, 2_000_000, 502, 2),
    (Side::Opener, 3_000_000, 503, 3),
    (Side::Acceptor, 4_000_000, 504, 4),
    (Side::Opener, 5_000_000, 506, 5),
    (Side::Opener, 5_000_001, 505, 5),
];

struct Keys {
    local_funding: SecretKey,
    remote_funding: SecretKey,
    local_htlc: SecretKey,
    remote_htlc: SecretKey,
    point: Point,
}

struct Row<'a>(&'a str);

impl<'a> Row<'a> {
    fn get(&self, key: &str) -> &'a str {
        self.all(key).next().unwrap_or_else(|| panic!("no {key} in {}", self.0))
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(": "))
    }

    fn number(&self, key: &str) -> u64 {
        self.get(key).parse().expect("a number")
    }
}

fn keys() -> Keys {
    let point =
        point_of(secret("1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"));
    Keys {
        local_funding: secret("30ff4956bbdd3222d44cc5e8a1261dab1e07957bdac5ae88fe3261ef321f3749"),
        remote_funding: secret("1552dfba4f6cf29a62a0af13c8d6981d36d0ef8d61ba10fb0fe90da7634d7e13"),
        local_htlc: derived_secret(&secret(&"11".repeat(32)), &point),
        remote_htlc: derived_secret(&secret(&"44".repeat(32)), &point),
        point,
    }
}

fn terms(row: &Row<'_>, keys: &Keys) -> Terms {
    let form = match row.get("form") {
        "static_remotekey" => Form::StaticRemoteKey,
        "anchors" => Form::Anchors,
        other => panic!("{other}"),
    };
    let party = |funding, revocation: &str, payment: &str, delayed: &str| {
        let base = |byte: &str| point_of(secret(&byte.repeat(32)));
        Party {
            funding_key: point_of(funding),
            keys: Basepoints {
                revocation: base(revocation),
                payment: base(payment),
                delayed_payment: base(delayed),
                htlc: base(payment),
            },
            dust_limit: Sat(row.number("dust_limit")),
            delay: CsvDelay(144),
        }
    };
    let txid = "8984484a580b825b9972d7adb15050b3ab624ccd731946b3eeddb92f4e7ef6be";
    Terms {
        form,
        funding: Funding {
            outpoint: OutPoint { txid: txid.parse().expect("a txid"), vout: 0 },
            value: Sat(10_000_000),
        },
        opener: party(keys.local_funding, "55", "11", "33"),
        acceptor: party(keys.remote_funding, "22", "44", "66"),
    }
}

fn meaning(row: &Row<'_>, keys: &Keys) -> (Meaning, Vec<[u8; 32]>) {
    let numbers: &[usize] = match row.get("htlcs") {
        "none" => &[],
        "five" => &[0, 1, 2, 3, 4],
        "same" => &[1, 5, 6],
        other => panic!("{other}"),
    };
    let preimage = |number: &usize| [HTLCS[*number].3; 32];
    let placed = |number: &usize| {
        let (offered_by, amount, expiry, _) = HTLCS[*number];
        let hash = bitcoin::hashes::Hash::hash(&preimage(number));
        let hash: bitcoin::hashes::sha256::Hash = hash;
        let contract: Arc<dyn Contract> = Arc::new(Htlc {
            payment_hash: PaymentHash(bitcoin::hashes::Hash::to_byte_array(hash)),
            cltv_expiry: BlockHeight(expiry),
        });
        Placed { offered_by, amount: Msat(amount), contract }
    };
    let meaning = Meaning {
        owner: Side::Opener,
        number: CommitmentNumber(42),
        point: keys.point,
        feerate: FeeratePerKw(row.number("feerate") as u32),
        to_opener: Msat(row.number("to_local")),
        to_acceptor: Msat(row.number("to_remote")),
        contracts: numbers.iter().map(placed).collect(),
    };
    (meaning, numbers.iter().map(preimage).collect())
}

fn sign(digest: [u8; 32], key: &SecretKey) -> Signature {
    SECP256K1.sign_ecdsa(&Message::from_digest(digest), key).into()
}

fn der(signature: &Signature) -> Vec<u8> {
    signature.ecdsa().serialize_der().to_vec()
}

fn check_stage(
    (terms, keys): (&Terms, &Keys),
    (meaning, built): (&Meaning, &Commitment),
    stage: SecondStage,
    (preimage, want): (&[u8; 32], &str),
) {
    let (signature, transaction) = want.split_once(' ').expect("two words");
    let placed = &meaning.contracts[stage.contract];
    let remote = sign(stage.digest(stage.other_sighash), &keys.remote_htlc);
    assert_eq!(der(&remote), hex(signature));
    let local = sign(stage.digest(EcdsaSighashType::All), &keys.local_htlc);
    let direction = placed.direction(meaning.owner);
    let contract_keys = built.contract_keys.as_ref().expect("there is a contract");
    let place = Place { form: terms.form, direction, keys: contract_keys };
    let ways = placed.contract.ways(&place);
    let way = ways.into_iter().find(|way| way.who == Who::Owner).expect("the owner has a way");
    let pieces = Pieces {
        owner: Some(&local),
        other: Some(&remote),
        revocation: None,
        secret: Some(preimage),
    };
    let mut witness = way.witness(terms.form, &pieces).expect("all pieces are there");
    witness.push(&stage.script);
    let mut signed: Transaction = stage.transaction;
    signed.input[0].witness = witness;
    assert_eq!(encode::serialize_hex(&signed), transaction);
}

#[test]
fn commitments_and_second_stages_are_those_of_the_appendices() {
    let keys = keys();
    let mut stages = 0;
    let rows: Vec<_> = TABLE.split("\n\n").skip(1).map(Row).collect();
    for row in &rows {
        let name = row.get("name");
        let terms = terms(row, &keys);
        let (meaning, preimages) = meaning(row, &keys);
        let built = meaning.build(&terms);
        let digest = built.digest(&terms);
        let remote = sign(digest, &keys.remote_funding);
        assert_eq!(der(&remote), hex(row.get("signature")), "{name}");
        let mut signed = built.transaction.clone();
        let local = sign(digest, &keys.local_funding);
        signed.input[0].witness = funding_witness(&terms, &local, &remote);
        assert_eq!(encode::serialize_hex(&signed), row.get("transaction"), "{name}");
        let mut wanted = row.all("stage");
        for stage in built.second_stages(&terms, &meaning) {
            let want = wanted.next().unwrap_or_else(|| panic!("{name}: too many"));
            let preimage = &preimages[stage.contract];
            check_stage((&terms, &keys), (&meaning, &built), stage, (preimage, want));
            stages += 1;
        }
        assert_eq!(wanted.next(), None, "{name}");
    }
    assert_eq!((rows.len(), stages), (25, 48));
}
