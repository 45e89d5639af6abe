//! Reading and writing messages, ours against LDK's, in the same run.
//!
//! Both codecs work typed: from a body to the message's own struct, and back to bytes.

use interop_ldk::codec::{BOTH_KNOW, Pairing};
use paired::{Target, compare, report};
use wire::{Message, dice::Dice};

/// Different messages of each type, so that no branch is learnt by heart.
const EACH: usize = 64;

fn main() {
    let only = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    let chosen = |pairing: &&Pairing| only.as_ref().is_none_or(|name| name == pairing.name);
    let pairings: Vec<_> = BOTH_KNOW.iter().filter(chosen).collect();
    let mut product = [1.0_f64; 3];
    let mut worst = f64::INFINITY;
    for pairing in &pairings {
        let bodies = bodies(pairing);
        let (mut theirs, mut ours) = ((pairing.theirs)(&bodies), (pairing.ours)(&bodies));
        let read = compare(&mut theirs.read, &mut ours.read);
        let write = compare(&mut theirs.write, &mut ours.write);
        let (num, den) = (read.num + write.num, read.den + write.den);
        let both = num / den;
        report("codec", pairing.name, both, "x", Target::AtLeast(0.8), num, den);
        println!("  {}: read {:.2}, written {:.2}", pairing.name, read.ratio, write.ratio);
        for (product, ratio) in product.iter_mut().zip([both, read.ratio, write.ratio]) {
            *product *= ratio.powf(1.0 / pairings.len() as f64);
        }
        worst = worst.min(both);
    }
    let types = pairings.len() as f64;
    let [both, read, write] = product;
    report("codec", "geometric-mean", both, "x", Target::AtLeast(1.0), both, types);
    report("codec", "worst-type", worst, "x", Target::AtLeast(0.8), worst, types);
    report("codec", "geometric-mean-read", read, "x", Target::Report, read, types);
    report("codec", "geometric-mean-write", write, "x", Target::Report, write, types);
}

/// Bodies that both sides accept.
fn bodies(pairing: &Pairing) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(u64::from(pairing.message_type));
    let any = std::iter::repeat_with(|| {
        let message = Message::generate(pairing.message_type, &mut dice).expect("ours");
        message.encode().expect("it fits").split_off(2)
    });
    any.filter(|body| (pairing.again)(body).is_ok()).take(EACH).collect()
}
