//! BOLT 1, appendix C: message extensions.

use wire::{Broke, Fault, Message};

use crate::support::hex;

#[test]
fn init_extensions_accepted() {
    let bare = hex("001000000000");
    let Ok(Message::Init(init)) = Message::decode(&bare) else { panic!("a bare init") };
    assert_eq!(init.extension.iter().count(), 0);

    let extended = hex("001000000000 c9012a cb0104");
    let message = Message::decode(&extended).expect("two unknown odd records");
    assert_eq!(message.encode(), Ok(extended), "unknown odd records are kept");
    let Message::Init(init) = message else { panic!("an init") };
    assert_eq!(init.extension.find(0xc9), Some(&[0x2a][..]));
    assert_eq!(init.extension.find(0xcb), Some(&[0x04][..]));
}

#[test]
fn init_extensions_refused() {
    let rows = [
        ("truncated", "001000000000 01", Broke::Short { need: 1, have: 0 }),
        ("unknown even", "001000000000 ca012a", Broke::UnknownEvenTlv { record: 0xca }),
        ("twice", "001000000000 c90101 c90102", Broke::TlvTwice { record: 0xc9 }),
    ];
    for (name, bytes, broke) in rows {
        let want = Fault::Field { message: "init", field: "extension", broke };
        assert_eq!(Message::decode(&hex(bytes)), Err(want), "{name}");
    }
}
