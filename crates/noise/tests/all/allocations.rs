//! No heap allocation per message, not even when keys rotate.

use noise::Reader;

use crate::parties::transports;

#[test]
fn messages_allocate_nothing_across_rotations() {
    let (mut initiator, mut responder) = transports();
    let mut readers = [Reader::new(), Reader::new()];
    let (mut there, mut back) = (Vec::with_capacity(4_096), Vec::with_capacity(4_096));
    let message = [0x5a; 1_450];
    let mut exchange = |count: usize| {
        for _ in 0..count {
            there.clear();
            initiator.encrypt(&message, &mut there).unwrap();
            let (early, late) = there.split_at(700);
            assert_eq!(readers[1].read(&mut responder, &mut &*early), Ok(None));
            let got = readers[1].read(&mut responder, &mut &*late).unwrap();
            assert_eq!(got.as_deref(), Some(message.as_slice()));
            back.clear();
            responder.encrypt(&message, &mut back).unwrap();
            readers[0].read(&mut initiator, &mut back.as_slice()).unwrap().unwrap();
        }
    };
    exchange(1);
    let usage = counting::measure(|| exchange(1_700));
    assert_eq!((usage.allocations, usage.allocated_bytes), (0, 0));
}

#[test]
fn a_quiet_connection_keeps_no_buffer() {
    let (mut sender, mut receiver) = transports();
    let mut wire = Vec::new();
    sender.encrypt(&vec![1; 65_535], &mut wire).unwrap();
    let mut reader = Reader::new();
    let usage = counting::measure(|| {
        reader.read(&mut receiver, &mut wire.as_slice()).unwrap().unwrap();
    });
    assert!(usage.allocated_bytes <= 65_551, "{usage:?}: the longest body and its tag");
    reader.shrink();
    let usage = counting::measure(|| reader.shrink());
    assert_eq!(usage.allocations, 0);
}
