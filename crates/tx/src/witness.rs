//! Signatures at their places.

use bitcoin::{EcdsaSighashType, Witness, ecdsa};
use wire::key::Signature;

use crate::{Form, Item, Terms, Way, script};

/// What goes into the witness that takes a contract's output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pieces<'a> {
    /// For [`Item::OwnerSignature`].
    pub owner: Option<&'a Signature>,
    /// For [`Item::OtherSignature`].
    pub other: Option<&'a Signature>,
    /// For [`Item::RevocationSignature`].
    pub revocation: Option<&'a Signature>,
    /// For [`Item::Secret`].
    pub secret: Option<&'a [u8]>,
}

impl Way {
    /// The witness of this way, without the script that ends it; nothing if a piece is missing.
    pub fn witness(&self, form: Form, pieces: &Pieces<'_>) -> Option<Witness> {
        let mut witness = Witness::new();
        let others = match self.staged {
            true => form.second_stage_sighash(),
            false => EcdsaSighashType::All,
        };
        for item in &self.witness {
            match item {
                Item::OwnerSignature => push(&mut witness, pieces.owner?, EcdsaSighashType::All),
                Item::OtherSignature => push(&mut witness, pieces.other?, others),
                Item::RevocationSignature => {
                    push(&mut witness, pieces.revocation?, EcdsaSighashType::All);
                }
                Item::Secret(_) => witness.push(pieces.secret?),
                Item::Bytes(bytes) => witness.push(bytes),
            }
        }
        Some(witness)
    }
}

/// The witness that spends the funding: what both sides have signed.
pub fn funding_witness(terms: &Terms, opener: &Signature, acceptor: &Signature) -> Witness {
    let opener_is_first = terms.opener.funding_key.bytes() < terms.acceptor.funding_key.bytes();
    let (first, second) = if opener_is_first { (opener, acceptor) } else { (acceptor, opener) };
    let mut witness = Witness::new();
    witness.push([]);
    push(&mut witness, first, EcdsaSighashType::All);
    push(&mut witness, second, EcdsaSighashType::All);
    witness.push(script::funding(terms));
    witness
}

fn push(witness: &mut Witness, signature: &Signature, sighash_type: EcdsaSighashType) {
    witness.push_ecdsa_signature(&ecdsa::Signature { signature: signature.ecdsa(), sighash_type });
}
