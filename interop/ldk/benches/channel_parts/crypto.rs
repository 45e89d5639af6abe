//! The work that nobody is spared.

use bitcoin::secp256k1::{Message, SECP256K1, SecretKey, ecdsa::Signature};

/// So many signatures, each made and verified.
pub struct Crypto {
    key: SecretKey,
    messages: Vec<Message>,
}

impl Crypto {
    /// So many.
    pub fn new(signatures: usize) -> Self {
        let message = |at: usize| {
            let mut digest = [3; 32];
            digest[..8].copy_from_slice(&at.to_be_bytes());
            Message::from_digest(digest)
        };
        let key = SecretKey::from_slice(&[5; 32]).expect("below the order");
        Self { key, messages: (0..signatures).map(message).collect() }
    }

    /// Each is made and verified.
    pub fn run(&mut self) {
        let public = self.key.public_key(SECP256K1);
        for message in &self.messages {
            let signature: Signature = SECP256K1.sign_ecdsa(message, &self.key);
            SECP256K1.verify_ecdsa(message, &signature, &public).expect("it was just made");
        }
    }
}
