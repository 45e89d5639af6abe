//! The transport against the bare cipher work it cannot do without.
//!
//! A message is two records: two bytes and the body, each sealed and opened once. The *bare* work
//! is just that, in place, with a key that is already expanded: no framing, no copy, no rotation.
//! It is done by the fastest of three libraries, found anew in every run: the one at `1 x`.

use std::hint::black_box;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit};
use noise::keyholder;
use noise::{EphemeralKey, IdentityKey, Transport};
use paired::Target;

#[global_allocator]
static HEAP: counting::Counting = counting::Counting;

const BENCH: &str = "noise";
const SIZES: [usize; 3] = [65_535, 1_450, 128];
const KEY: [u8; 32] = [7; 32];
const TAG_BYTES: usize = 16;
const COMPARISONS: usize = 3;
/// Several rotations of each direction.
const COUNTED_MESSAGES: u64 = 3_000;

fn main() {
    for size in SIZES {
        let fastest = race(size);
        against(size, fastest);
        allocations(size);
    }
}

/// A library's name and its bare work.
type Candidate = (&'static str, fn(&mut Records));

const CANDIDATES: [Candidate; 3] =
    [("ring", ring_bare), ("aws-lc-rs", aws_bare), ("rustcrypto", rustcrypto_bare)];

/// Times the candidates against each other; returns the fastest one's place.
fn race(size: usize) -> usize {
    let mut records = CANDIDATES.map(|_| Records::new(size));
    let [one, two, three] = &mut records;
    let timings = paired::compare_many(&mut [
        (CANDIDATES[0].0, &mut || CANDIDATES[0].1(one)),
        (CANDIDATES[1].0, &mut || CANDIDATES[1].1(two)),
        (CANDIDATES[2].0, &mut || CANDIDATES[2].1(three)),
    ]);
    let fastest = paired::fastest(&timings).expect("there are three");
    for timing in &timings {
        let figure = format!("bare-{}-{size}", timing.name);
        let ratio = fastest.ns / timing.ns;
        paired::report(BENCH, &figure, ratio, "x", Target::Report, fastest.ns, timing.ns);
    }
    let place = CANDIDATES.iter().position(|(name, _)| *name == fastest.name);
    place.expect("the fastest is one of them")
}

/// The middle one of several comparisons, each with buffers of its own: where these happen to lie
/// in memory moves a short message's figure by a hundredth.
fn against(size: usize, fastest: usize) {
    let mut ratios = [(); COMPARISONS].map(|()| compare(size, CANDIDATES[fastest].1));
    ratios.sort_by(|one, other| one.ratio.total_cmp(&other.ratio));
    let figure = format!("transport-{size}");
    ratios[COMPARISONS / 2].report(BENCH, &figure, Target::AtLeast(0.95));
}

fn compare(size: usize, bare: fn(&mut Records)) -> paired::Ratio {
    let mut records = Records::new(size);
    let (mut sender, mut receiver) = transports();
    let (message, mut wire) = (vec![0x5a; size], Vec::with_capacity(size + 64));
    paired::compare(|| bare(&mut records), || pass(&mut sender, &mut receiver, &message, &mut wire))
}

fn allocations(size: usize) {
    let (mut sender, mut receiver) = transports();
    let (message, mut wire) = (vec![0x5a; size], Vec::with_capacity(size + 64));
    let usage = counting::measure(|| {
        for _ in 0..COUNTED_MESSAGES {
            pass(&mut sender, &mut receiver, &message, &mut wire);
        }
    });
    let (count, messages) = (usage.allocations as f64, COUNTED_MESSAGES as f64);
    let figure = format!("allocations-{size}");
    let target = Target::AtMost(0.0);
    paired::report(BENCH, &figure, count / messages, "per-message", target, count, messages);
}

/// One message from one end to the other.
fn pass(sender: &mut Transport, receiver: &mut Transport, message: &[u8], wire: &mut Vec<u8>) {
    wire.clear();
    sender.encrypt(black_box(message), wire).expect("a good length");
    let (header, body) = wire.split_first_chunk_mut().expect("longer than a header");
    receiver.decrypt_header(header).expect("our own header");
    black_box(receiver.decrypt_body(body).expect("our own body"));
}

fn transports() -> (Transport, Transport) {
    let identity = |byte| IdentityKey::take(&mut [byte; 32]).expect("a good key");
    let ephemeral = |byte| EphemeralKey::take(&mut [byte; 32]).expect("a good key");
    let (dial, act1) = keyholder::dial(&identity(2).public(), ephemeral(3));
    let responded = keyholder::respond(&act1, &identity(2), ephemeral(4));
    let (act2, half_open, _) = responded.expect("good acts");
    let (act3, sender) = dial.finish(&act2, &identity(1)).expect("good acts");
    let (_, receiver) = half_open.finish(&act3).expect("good acts");
    (sender.into(), receiver.into())
}

/// The two records of a message, and room for the tag of each.
struct Records {
    header: [u8; 2 + TAG_BYTES],
    body: Vec<u8>,
    nonce: u64,
    ring: ring::aead::LessSafeKey,
    aws: aws_lc_rs::aead::LessSafeKey,
    rustcrypto: ChaCha20Poly1305,
}

impl Records {
    fn new(size: usize) -> Records {
        let ring = ring::aead::UnboundKey::new(&ring::aead::CHACHA20_POLY1305, &KEY);
        let aws = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::CHACHA20_POLY1305, &KEY);
        Records {
            header: [0; 2 + TAG_BYTES],
            body: vec![0x5a; size + TAG_BYTES],
            nonce: 0,
            ring: ring::aead::LessSafeKey::new(ring.expect("32 bytes")),
            aws: aws_lc_rs::aead::LessSafeKey::new(aws.expect("32 bytes")),
            rustcrypto: ChaCha20Poly1305::new(&Key::from(KEY)),
        }
    }

    fn next_nonce(&mut self) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.nonce.to_le_bytes());
        self.nonce += 1;
        nonce
    }

    /// Header, then body.
    fn each(&mut self, work: impl Fn(&Records, [u8; 12], &mut [u8])) {
        let (mut header, mut body) = (self.header, std::mem::take(&mut self.body));
        let nonce = self.next_nonce();
        work(self, nonce, &mut header);
        let nonce = self.next_nonce();
        work(self, nonce, &mut body);
        (self.header, self.body) = (header, body);
    }
}

fn ring_bare(records: &mut Records) {
    use ring::aead::{Aad, Nonce};
    records.each(|records, nonce, record| {
        let nonce = || Nonce::assume_unique_for_key(nonce);
        let (plaintext, tag) = record.split_at_mut(record.len() - TAG_BYTES);
        let sealed =
            records.ring.seal_in_place_separate_tag(nonce(), Aad::empty(), black_box(plaintext));
        tag.copy_from_slice(sealed.expect("short enough").as_ref());
        black_box(records.ring.open_in_place(nonce(), Aad::empty(), record).expect("our own"));
    });
}

fn aws_bare(records: &mut Records) {
    use aws_lc_rs::aead::{Aad, Nonce};
    records.each(|records, nonce, record| {
        let nonce = || Nonce::assume_unique_for_key(nonce);
        let (plaintext, tag) = record.split_at_mut(record.len() - TAG_BYTES);
        let sealed =
            records.aws.seal_in_place_separate_tag(nonce(), Aad::empty(), black_box(plaintext));
        tag.copy_from_slice(sealed.expect("short enough").as_ref());
        black_box(records.aws.open_in_place(nonce(), Aad::empty(), record).expect("our own"));
    });
}

fn rustcrypto_bare(records: &mut Records) {
    records.each(|records, nonce, record| {
        let nonce = nonce.into();
        let (plaintext, tag) = record.split_at_mut(record.len() - TAG_BYTES);
        let cipher = &records.rustcrypto;
        let sealed = cipher.encrypt_inout_detached(&nonce, b"", black_box(&mut *plaintext).into());
        tag.copy_from_slice(&sealed.expect("short enough"));
        let tag = (&*tag).try_into().expect("16 bytes");
        let opened = cipher.decrypt_inout_detached(&nonce, b"", (&mut *plaintext).into(), tag);
        opened.expect("our own");
        black_box(plaintext);
    });
}
