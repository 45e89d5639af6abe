//! Targets for what `signer` reads: questions, answers, and a seed file that somebody has touched.

use signer::{Answer, Ask, MessageSignature, SealedSeed};
use wire::Network;

/// A question over a link. Unknown odd records are skipped, so what is written again may be
/// shorter; but it reads as the same question.
pub fn signer_ask(data: &[u8]) {
    if let Ok(ask) = Ask::decode(data) {
        let written = ask.encode();
        assert!(written.len() <= data.len());
        assert_eq!(Ask::decode(&written), Ok(ask));
    }
}

/// An answer over a link, likewise; its bytes are wiped whatever the outcome.
pub fn signer_answer(data: &[u8]) {
    let mut bytes = data.to_vec();
    let answer = Answer::decode(&mut bytes);
    assert!(bytes.iter().all(|byte| *byte == 0), "secrets are left behind");
    if let Ok(answer) = answer {
        let written = answer.encode();
        assert!(written.bytes().len() <= data.len());
        let again = Answer::decode(&mut written.bytes().to_vec()).map(Answer::encode);
        assert!(again.is_ok_and(|again| again.bytes() == written.bytes()));
    }
}

/// A seed file, and a signature as people pass it on.
pub fn seed_file(data: &[u8]) {
    if let Ok(sealed) = SealedSeed::parse(data, Network::Regtest) {
        assert_eq!(sealed.bytes().as_slice(), data);
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(signature) = text.parse::<MessageSignature>() {
        assert_eq!(signature.to_string(), text);
        signature.recover(data).ok();
    }
}
