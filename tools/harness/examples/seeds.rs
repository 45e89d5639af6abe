//! Writes the inputs that a fuzzer should start from into `fuzz/corpus`: good ones, which it would
//! take long to find by itself.

use std::{fs, io, path::Path};

use signer::{Answer, Ask, ConnectionId, NodeKey};
use wire::{
    Message,
    address::Addresses,
    bigsize,
    dice::Dice,
    features::{Feature, Features},
    field::Field as _,
    tlv::{Extension as _, Unknown},
};

fn main() -> io::Result<()> {
    let mut dice = Dice::new(1);
    for (message_type, name) in Message::ALL {
        let message = Message::generate(*message_type, &mut dice).expect("it is listed");
        keep("message", name, &message.encode().expect("generated messages are short"))?;
    }
    for chosen in [0_u8, 3, 7, 30] {
        let bytes = [&[chosen][..], &[0; 8], &[0, 40, 0xff, 0, 2, 1]].concat();
        keep("message_of", &format!("row-{chosen}"), &bytes)?;
    }
    let mut stream = Unknown::NONE;
    for (number, value) in [(0x1_0001, &b""[..]), (1 << 32 | 1, b"five"), (1 << 33 | 1, b"nine")] {
        stream.insert(number, value).expect("odd");
        let mut bytes = Vec::new();
        bigsize::write(number, &mut bytes);
        keep("bigsize", &format!("number-{number}"), &bytes)?;
    }
    let mut bytes = Vec::new();
    stream.write_rest(0, &mut bytes);
    keep("tlv_stream", "three-records", &bytes)?;
    let all = Features::optional(Feature::ALL);
    keep("features", "all-twice", &[all.bytes(), all.bytes()].concat())?;
    for number in 0..4 {
        let mut bytes = Vec::new();
        Addresses::generate(&mut dice).write(&mut bytes);
        keep("addresses", &format!("some-{number}"), &bytes)?;
    }
    keep("acts", "after-a-good-act", &[50, 7, 0, 2, 3, 4])?;
    keep("acts", "from-the-start", &[0, 255, 0, 2, 3, 4])?;
    keep("record_stream", "moved-and-damaged", &[0, 0, 0, 9, 200, 3, 80, 0, 255, 3, 251, 5])?;
    for (rn, pending) in [([0, 0], [0, 0]), ([0, 7], [0, 9])] {
        let keys: Vec<u8> = (1..=128).collect();
        let (send, receive) = keys.split_at(64);
        let state = [&[1][..], send, &[3, 0xe6], receive, &rn, &pending].concat();
        keep("transport_state", &format!("rn-{}", rn[1]), &state)?;
    }
    let secrets: Vec<u8> = (1..=128).collect();
    keep("half_open", "plausible", &[&[1][..], &secrets].concat())?;
    keys()
}

fn keys() -> io::Result<()> {
    let connection = ConnectionId(7);
    keep("signer_ask", "node-id", &Ask::NodeId.encode())?;
    keep("signer_ask", "forget", &Ask::Forget { connection }.encode())?;
    keep("signer_ask", "sign", &Ask::SignMessage { message: b"hello".to_vec() }.encode())?;
    let key = NodeKey::take(&mut [1; 32]).expect("small repeated bytes are a key");
    let signature = key.sign_message(b"hello");
    keep("seed_file", "signature", signature.to_string().as_bytes())?;
    keep("seed_file", "magic", signer::FILE_MAGIC)?;
    keep("signer_answer", "signed", Answer::Signed { signature }.encode().bytes())?;
    keep("signer_answer", "node-id", Answer::NodeId { node: key.id() }.encode().bytes())
}

fn keep(target: &str, name: &str, input: &[u8]) -> io::Result<()> {
    let folder = Path::new("fuzz/corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), input)
}
