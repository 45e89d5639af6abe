//! `leyden init` and `leyden up`.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _},
    path::{Path, PathBuf},
};

use node::{
    io::{
        devnet::Embedded,
        http::{self, ADDRESS_FILE, Desk, Tellers, Token},
        seed_file,
    },
    roles::{self, ChainPlan, Plan, Running},
};
use signer::{NodeIndex, Passphrase, Seed};
use tracing_subscriber::EnvFilter;

use crate::{Failure, config::Config, show};

/// A passphrase file that is longer is another file.
const PASSPHRASE_FILE_BYTES_MAX: u64 = 4_096;

/// Makes a seed, and shows its words.
pub fn init(config: &Config, words_file: Option<&Path>, json: bool) -> Result<(), Failure> {
    let seed = match words_file {
        Some(path) => Seed::from_words(&read(path)?).map_err(|fault| Failure::of(&fault))?,
        None => seed_file::draw(),
    };
    seed_file::make_folder(&config.dir).map_err(|fault| Failure::of(&fault))?;
    let path = config.dir.join(seed_file::SEED_FILE);
    if path.exists() {
        return Err(Failure::of(&seed_file::SeedFault::Exists { path }));
    }
    let passphrase = passphrase(config, true)?;
    seed_file::create(&config.dir, &seed, config.network, &passphrase)
        .map_err(|fault| Failure::of(&fault))?;
    let node = seed.node_key(config.network, NodeIndex::FIRST).id();
    let words: Vec<_> =
        if words_file.is_some() { Vec::new() } else { seed.words().iter().collect() };
    show::created(&node.to_string(), &config.dir, &words, json);
    Ok(())
}

/// Runs until it is stopped.
pub fn up(config: &Config, json: bool) -> Result<(), Failure> {
    log(config);
    if config.network == wire::Network::Bitcoin {
        eprintln!("leyden: this version is not made for real money; you may lose it");
    }
    let seed = match config.roles.signer {
        true => Some(open_seed(config)?),
        false => None,
    };
    if config.roles.node || config.roles.devnet {
        seed_file::make_folder(&config.dir).map_err(|fault| Failure::of(&fault))?;
    }
    let (events, Tellers { post: tell, treasury, channels }) = http::events(config.network);
    let chain =
        (config.roles.node && (config.roles.devnet || config.bitcoind.is_some())).then(|| {
            let source = config.bitcoind.clone();
            let (challenge, birthday) = (config.signet_challenge.clone(), config.birthday);
            ChainPlan {
                source,
                challenge,
                birthday,
                reserve: config.reserve,
                tell: treasury,
                tell_channels: channels,
            }
        });
    let devnet = config.roles.devnet.then_some(config.devnet);
    let plan = Plan {
        dir: config.dir.clone(),
        network: config.network,
        roles: config.roles,
        listen: config.listen.clone(),
        links: config.links.clone(),
        signer: config.signer.clone(),
        sockets: config.sockets.clone(),
        take_over: config.take_over.clone(),
        seed,
        policy: config.policy.clone(),
        checkpoint: config.checkpoint,
        chain,
        devnet,
        store: config.store.clone(),
        store_pages_max: None,
    };
    let running = roles::start(plan, tell).map_err(|fault| Failure::of(&fault))?;
    on_signals(&running)?;
    let mut address = None;
    let devnet = running.devnet.as_ref().map(Embedded::address);
    if let Some(bell) = running.bell.clone() {
        let desk = Desk {
            bell,
            treasury: running.treasury.clone(),
            channels: running.channels.clone(),
            devnet: running.devnet.clone(),
            token: Token::of(&config.dir).map_err(|fault| Failure::of(&fault))?,
            events,
            network: config.network,
            stop: Box::new(running.stopper()),
        };
        let bound = http::serve(config.api, desk)
            .map_err(|fault| Failure::new("unavailable", format!("the API: {fault}")))?;
        address = Some(AddressFile::write(&config.dir, &bound.to_string())?);
        show::up(Some(&bound.to_string()), &running.listening, devnet, json);
    } else {
        show::up(None, &running.listening, devnet, json);
    }
    let ended = running.wait().map_err(|fault| Failure::of(&fault));
    drop(address);
    ended
}

/// The file with the address of the API, as long as the node runs.
struct AddressFile(PathBuf);

impl AddressFile {
    fn write(dir: &Path, address: &str) -> Result<Self, Failure> {
        let path = dir.join(ADDRESS_FILE);
        fs::write(&path, address)
            .map_err(|fault| Failure::new("io", format!("{}: {fault}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn open_seed(config: &Config) -> Result<Seed, Failure> {
    let path = config.dir.join(seed_file::SEED_FILE);
    if !path.exists() {
        return Err(Failure::of(&seed_file::SeedFault::None { path }));
    }
    let passphrase = passphrase(config, false)?;
    seed_file::open(&config.dir, config.network, &passphrase).map_err(|fault| Failure::of(&fault))
}

fn passphrase(config: &Config, new: bool) -> Result<Passphrase, Failure> {
    let mut text = match &config.passphrase_file {
        Some(path) => read(path)?,
        None if io::stdin().is_terminal() => ask(new)?,
        None => {
            let text = "no terminal to ask for the passphrase; use --passphrase-file FILE";
            return Err(Failure::new("no_passphrase", text));
        }
    }
    .into_bytes();
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let line = text[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
    text[line..].fill(0);
    Passphrase::take(&mut text[..line]).map_err(|fault| Failure::of(&fault))
}

fn ask(new: bool) -> Result<String, Failure> {
    let prompt = |text| {
        rpassword::prompt_password(text).map_err(|fault| Failure::new("io", fault.to_string()))
    };
    let first = prompt("Passphrase: ")?;
    if new && prompt("Once more: ")? != first {
        return Err(Failure::new("no_passphrase", "the two passphrases differ"));
    }
    Ok(first)
}

fn read(path: &Path) -> Result<String, Failure> {
    let fail = |fault: io::Error| Failure::new("io", format!("{}: {fault}", path.display()));
    let size = fs::metadata(path).map_err(fail)?.len();
    if size > PASSPHRASE_FILE_BYTES_MAX {
        let (path, max) = (path.display(), PASSPHRASE_FILE_BYTES_MAX);
        return Err(Failure::new("io", format!("{path}: {size} bytes, at most {max}")));
    }
    fs::read_to_string(path).map_err(fail)
}

fn log(config: &Config) {
    let filter = EnvFilter::new(&config.log);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second call, which does not happen, would change nothing.
    if config.log_json {
        lines.json().try_init().ok();
    } else {
        lines.with_ansi(false).try_init().ok();
    }
}

fn on_signals(running: &Running) -> Result<(), Failure> {
    use signal_hook::{consts::TERM_SIGNALS, iterator::Signals};
    let mut signals =
        Signals::new(TERM_SIGNALS).map_err(|fault| Failure::new("io", fault.to_string()))?;
    let stop = running.stopper();
    std::thread::spawn(move || signals.forever().for_each(|_| stop()));
    Ok(())
}

/// Reads lines of server-sent events, and gives the data of each.
pub fn each_event(from: impl io::Read, mut tell: impl FnMut(&str)) -> io::Result<()> {
    for line in io::BufReader::new(from).lines() {
        if let Some(data) = line?.strip_prefix("data: ") {
            tell(data);
        }
    }
    Ok(())
}
