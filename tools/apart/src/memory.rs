//! What a process has in its memory, and must not have.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io,
    os::unix::fs::FileExt as _,
};

use bip39::Mnemonic;
use bitcoin::{
    NetworkKind,
    bip32::{ChildNumber, Xpriv},
    secp256k1::Secp256k1,
};

/// Everything from which a node's identity can be had, and the identity itself.
pub struct Secrets(Vec<(String, Vec<u8>)>);

/// The name of the secret that a signer cannot do without.
pub const IDENTITY: &str = "key at depth 4";

impl Secrets {
    /// Those of the seed with this entropy.
    pub fn of_entropy(entropy: &[u8]) -> Self {
        Self::of(&Mnemonic::from_entropy(entropy).expect("as long as a seed"))
    }

    /// Those of the seed with these words.
    pub fn of_words(words: &str) -> Option<Self> {
        Mnemonic::parse_in_normalized(bip39::Language::English, words).ok().map(|it| Self::of(&it))
    }

    fn of(words: &Mnemonic) -> Self {
        let text = words.words().collect::<Vec<_>>().join(" ");
        let stretched = words.to_seed_normalized("");
        let secp = Secp256k1::new();
        let master = Xpriv::new_master(NetworkKind::Main, &stretched).expect("a key");
        let mut secrets = vec![
            (
                "entropy".to_owned(),
                words.to_entropy_array().0[..words.word_count() / 3 * 4].to_vec(),
            ),
            ("words".to_owned(), text.as_bytes()[..40].to_vec()),
            ("seed, first half".to_owned(), stretched[..32].to_vec()),
            ("seed, second half".to_owned(), stretched[32..].to_vec()),
        ];
        let path = [9735, 1, 0, 0].map(|step| ChildNumber::from_hardened_idx(step).expect("small"));
        for depth in 0..=path.len() {
            let key = master.derive_priv(&secp, &path[..depth].to_vec()).expect("a key");
            secrets.push((format!("key at depth {depth}"), key.private_key[..].to_vec()));
            let chain_code = key.chain_code.to_bytes().to_vec();
            secrets.push((format!("chain code at depth {depth}"), chain_code));
        }
        Self(secrets)
    }

    /// Which of them a process of ours has in its memory: as they are, backwards as
    /// `libsecp256k1` computes with them, in halves, or as text.
    pub fn found_in(&self, process: u32) -> io::Result<Vec<String>> {
        let mut forms: HashMap<[u8; 8], Vec<(&str, Vec<u8>)>> = HashMap::new();
        for (name, secret) in &self.0 {
            let backwards: Vec<u8> = secret.iter().rev().copied().collect();
            let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            for form in [
                &secret[..16],
                &secret[secret.len() - 16..],
                &backwards[..16],
                &backwards[secret.len() - 16..],
                &text.as_bytes()[..32],
            ] {
                let head = *form.first_chunk().expect("long enough");
                forms.entry(head).or_default().push((name, form.to_vec()));
            }
        }
        let mut found = BTreeSet::new();
        for area in memory(process)? {
            for at in 0..area.len().saturating_sub(8) {
                let head: &[u8; 8] = area[at..].first_chunk().expect("eight are left");
                // Almost all of a memory is zeros.
                if head[0] == 0 && head[1] == 0 {
                    continue;
                }
                for (name, form) in forms.get(head).into_iter().flatten() {
                    if area[at..].starts_with(form) {
                        found.insert((*name).to_owned());
                    }
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// All that a process can write to.
fn memory(process: u32) -> io::Result<Vec<Vec<u8>>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    let memory = File::open(format!("/proc/{process}/mem"))?;
    let mut areas = Vec::new();
    for line in maps.lines().filter(|line| !line.contains("[v")) {
        let mut fields = line.split(' ');
        let range = fields.next().and_then(|range| range.split_once('-')).expect("a range");
        let number = |text| u64::from_str_radix(text, 16).expect("a number");
        let (start, end) = (number(range.0), number(range.1));
        if fields.next().is_some_and(|flags| flags.starts_with("rw")) {
            let mut area = vec![0; (end - start) as usize];
            memory.read_exact_at(&mut area, start)?;
            areas.push(area);
        }
    }
    let bytes = areas.iter().map(Vec::len).sum::<usize>();
    assert!(bytes > 100_000, "a process has more memory than {bytes} bytes");
    Ok(areas)
}
