//! Targets for the decoders of `wire`.

use wire::{
    Broke, Message,
    address::Addresses,
    bigsize as number,
    dice::Dice,
    features::{Feature, Features},
    field::Field as _,
    reader::Reader,
    tlv::{Extension as _, Unknown},
};

/// A whole message: what is accepted is written again to the byte, and can be shown.
pub fn message(data: &[u8]) {
    match Message::decode(data) {
        Ok(message) => {
            assert_eq!(message.encode().as_deref(), Ok(data));
            assert!(!format!("{message:?}").is_empty());
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

/// A good message of every type, changed: the first byte chooses the type, the next eight the
/// message, and each group of three after that overwrites one byte.
pub fn message_of(data: &[u8]) {
    let Some(([chosen, seed @ ..], changes)) = data.split_first_chunk::<9>() else { return };
    let (message_type, _) = Message::ALL[usize::from(*chosen) % Message::ALL.len()];
    let mut dice = Dice::new(u64::from_be_bytes(*seed));
    let good = Message::generate(message_type, &mut dice).expect("it is listed");
    let mut bytes = good.encode().expect("generated messages are short");
    assert_eq!(Message::decode(&bytes), Ok(good));
    for &[high, low, value] in changes.as_chunks::<3>().0 {
        let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
        bytes[at] = value;
    }
    message(&bytes);
}

/// One BigSize.
pub fn bigsize(data: &[u8]) {
    let mut from = Reader::new(data);
    let Ok(value) = number::read(&mut from) else { return };
    let mut written = Vec::new();
    number::write(value, &mut written);
    assert_eq!(written, data[..data.len() - from.len()]);
    let mut from = Reader::new(data);
    if let Ok(value) = number::read_truncated(&mut from, 8) {
        let mut written = Vec::new();
        number::write_truncated(value, &mut written);
        assert_eq!(written, data);
    }
}

/// A TLV stream of which nothing is known.
pub fn tlv_stream(data: &[u8]) {
    let read = Unknown::read(&mut Reader::new(data), |_| Ok::<bool, Broke>(false));
    let Ok(unknown) = read else { return };
    let mut written = Vec::new();
    unknown.write_rest(0, &mut written);
    assert_eq!(written, data);
    let mut again = Unknown::NONE;
    for record in unknown.iter().take(100) {
        assert_eq!(unknown.find(record.number), Some(record.value));
        if again.insert(record.number, record.value).is_ok() {
            assert_eq!(again.find(record.number), Some(record.value));
        }
    }
    // Whatever number is known, the records before it and behind it are all there are.
    for number in unknown.iter().take(100).map(|record| record.number) {
        let (mut at, mut written) = (0, Vec::new());
        unknown.write_before(&mut at, number, &mut written);
        unknown.write_rest(at, &mut written);
        assert!(written.len() < data.len());
    }
}

/// Two sets of features, cut at the middle.
pub fn features(data: &[u8]) {
    let (one, two) = data.split_at(data.len() / 2);
    let (one, two) = (Features::from_bytes(one), Features::from_bytes(two));
    let both = one.union(&two);
    assert_eq!(both, two.union(&one));
    for bit in both.bits() {
        assert!(one.bit(bit) || two.bit(bit));
    }
    if let Ok(agreed) = one.negotiate(&two) {
        assert!(two.judge().is_ok() && agreed.iter().all(|feature| one.offers(*feature)));
        assert!(Feature::ALL.iter().all(|f| !two.requires(*f) || one.offers(*f)));
    }
    assert_eq!(both.bits().count() == 0, both.to_string().is_empty());
}

/// The addresses of a node, behind their length.
pub fn addresses(data: &[u8]) {
    let mut from = Reader::new(data);
    let Ok(addresses) = Addresses::read(&mut from) else { return };
    let mut written = Vec::new();
    addresses.write(&mut written);
    assert_eq!(written, data[..data.len() - from.len()]);
    let readable: Vec<_> = addresses.iter().collect();
    assert!(readable.iter().all(|address| !address.to_string().is_empty()));
    assert!(Addresses::new(&readable).size() <= addresses.size());
}
