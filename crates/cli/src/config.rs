//! Settings: built in, then the file, then the environment, then the flags.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use bitcoin::Amount;
use chain::Height;
use node::{
    io::bitcoind::{DoorKey, Place},
    roles::{DevnetPlan, LinkName, Roles},
};
use serde::Deserialize;
use signer::{Checkpoint, Policy};
use wire::Network;

use crate::{
    arguments::{Arguments, Up},
    policy,
};

/// Names of variables begin with this.
pub const PREFIX: &str = "LEYDEN_";
/// Bytes of a settings file.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// One layer of settings. What is not set leaves the layer below as it is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    network: Option<String>,
    mainnet: Option<bool>,
    roles: Option<String>,
    listen: Option<Vec<String>>,
    signer: Option<String>,
    sockets: Option<String>,
    take_over: Option<String>,
    api: Option<String>,
    store: Option<String>,
    bitcoind: Option<String>,
    bitcoind_cookie: Option<PathBuf>,
    devnet_rpc: Option<String>,
    devnet_every: Option<u64>,
    birthday: Option<u32>,
    reserve: Option<u64>,
    pay_only: Option<Vec<String>>,
    high_fees: Option<bool>,
    push_percent: Option<u8>,
    in_flight: Option<u64>,
    day_limit: Option<u64>,
    stale_hours: Option<u32>,
    checkpoint: Option<String>,
    signet_challenge: Option<String>,
    passphrase_file: Option<PathBuf>,
    log: Option<String>,
    log_json: Option<bool>,
}

const KEYS: [&str; 28] = [
    "dir",
    "config",
    "network",
    "mainnet",
    "roles",
    "listen",
    "signer",
    "sockets",
    "take_over",
    "api",
    "store",
    "bitcoind",
    "bitcoind_cookie",
    "devnet_rpc",
    "devnet_every",
    "birthday",
    "reserve",
    "pay_only",
    "high_fees",
    "push_percent",
    "in_flight",
    "day_limit",
    "stale_hours",
    "checkpoint",
    "signet_challenge",
    "passphrase_file",
    "log",
    "log_json",
];

/// All settings, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The node's folder.
    pub dir: PathBuf,
    /// Its network.
    pub network: Network,
    /// The services of this process.
    pub roles: Roles,
    /// Where peers can call.
    pub listen: Vec<SocketAddr>,
    /// Where other services can connect.
    pub links: Vec<(LinkName, PathBuf)>,
    /// The signer, if it is elsewhere.
    pub signer: Option<PathBuf>,
    /// The sockets, if they are elsewhere.
    pub sockets: Option<PathBuf>,
    /// Whose sockets to take over.
    pub take_over: Option<PathBuf>,
    /// Where the API listens.
    pub api: SocketAddr,
    /// The database that keeps what the node remembers, if it is not a file of the folder.
    pub store: Option<String>,
    /// Where blocks come from, if it is not the devnet of this process.
    pub bitcoind: Option<Place>,
    /// How the devnet of this process is to work.
    pub devnet: DevnetPlan,
    /// Where a new chain begins.
    pub birthday: Option<Height>,
    /// What the signer agrees to.
    pub policy: Policy,
    /// Where the signer's view of the chain begins.
    pub checkpoint: Checkpoint,
    /// What spends of the wallet have to leave, for future channels.
    pub reserve: Amount,
    /// The challenge of a signet of one's own.
    pub signet_challenge: Option<String>,
    /// Where the passphrase is.
    pub passphrase_file: Option<PathBuf>,
    /// What is logged.
    pub log: String,
    /// Whether in JSON.
    pub log_json: bool,
}

/// Reads all layers.
pub fn read(
    arguments: &Arguments,
    up: &Up,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, String> {
    let mut variables = from_environment(environment)?;
    let dir = arguments.dir.clone().or_else(|| variables.remove("dir").map(PathBuf::from));
    let dir = match dir {
        Some(dir) => dir,
        None => std::env::home_dir()
            .map(|home| home.join(".leyden"))
            .ok_or("there is no home folder; say where with --dir")?,
    };
    let named = arguments.config.clone().or_else(|| variables.remove("config").map(PathBuf::from));
    let file = match named {
        Some(path) => from_file(&path)?.ok_or_else(|| format!("no file {}", path.display()))?,
        None => from_file(&dir.join("leyden.toml"))?.unwrap_or_default(),
    };
    let settings = file.under(of_variables(variables)?).under(of_flags(arguments, up));
    settings.judge(dir)
}

fn from_file(path: &Path) -> Result<Option<Settings>, String> {
    let text = match fs::metadata(path) {
        Ok(found) if found.len() > FILE_BYTES_MAX => {
            let (got, max) = (found.len(), FILE_BYTES_MAX);
            return Err(format!("{}: {got} bytes, at most {max}", path.display()));
        }
        _ => match fs::read_to_string(path) {
            Ok(text) => text,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) if fault.kind() == io::ErrorKind::NotADirectory => {
                return Err(format!(
                    "{}: a part of this path is a file, no folder",
                    path.display()
                ));
            }
            Err(fault) => return Err(format!("{}: {fault}", path.display())),
        },
    };
    let read = toml::from_str(&text).map_err(|fault| {
        let hint = fault.message().split('`').nth(1).map(nearest).unwrap_or_default();
        format!("{}: {}{hint}", path.display(), fault.to_string().trim_end())
    });
    read.map(Some)
}

fn from_environment(
    environment: impl Iterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, String> {
    let ours = environment.filter_map(|(name, value)| {
        let key = name.strip_prefix(PREFIX)?.to_lowercase();
        Some((name, key, value))
    });
    let mut variables = BTreeMap::new();
    for (name, key, value) in ours {
        if !KEYS.contains(&key.as_str()) {
            return Err(format!("the variable {name} is no setting{}", nearest(&key)));
        }
        variables.insert(key, value);
    }
    Ok(variables)
}

/// A key that may have been meant.
fn nearest(key: &str) -> String {
    let distance = |known: &&str| {
        let shared = known.bytes().filter(|byte| key.bytes().any(|other| other == *byte)).count();
        let start = known.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
        std::cmp::Reverse(shared + 2 * start)
    };
    let best = KEYS.into_iter().min_by_key(distance).unwrap_or("network");
    format!(" (did you mean {best}?)")
}

fn of_variables(mut variables: BTreeMap<String, String>) -> Result<Settings, String> {
    let mut text = |key: &str| variables.remove(key);
    let flag = |name: &str, value: Option<String>| match value.as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(got) => Err(format!("{PREFIX}{name} is true or false, not '{got}'")),
    };
    Ok(Settings {
        network: text("network"),
        mainnet: flag("MAINNET", text("mainnet"))?,
        roles: text("roles"),
        listen: text("listen").map(|list| list.split(',').map(str::to_owned).collect()),
        signer: text("signer"),
        sockets: text("sockets"),
        take_over: text("take_over"),
        api: text("api"),
        store: text("store"),
        bitcoind: text("bitcoind"),
        bitcoind_cookie: text("bitcoind_cookie").map(PathBuf::from),
        devnet_rpc: text("devnet_rpc"),
        devnet_every: text("devnet_every")
            .map(|text| number("LEYDEN_DEVNET_EVERY", &text))
            .transpose()?,
        birthday: text("birthday").map(|text| number("LEYDEN_BIRTHDAY", &text)).transpose()?,
        pay_only: text("pay_only").map(|list| list.split(',').map(str::to_owned).collect()),
        high_fees: flag("HIGH_FEES", text("high_fees"))?,
        push_percent: text("push_percent")
            .map(|text| number("LEYDEN_PUSH_PERCENT", &text))
            .transpose()?,
        in_flight: text("in_flight").map(|text| number("LEYDEN_IN_FLIGHT", &text)).transpose()?,
        day_limit: text("day_limit").map(|text| number("LEYDEN_DAY_LIMIT", &text)).transpose()?,
        stale_hours: text("stale_hours")
            .map(|text| number("LEYDEN_STALE_HOURS", &text))
            .transpose()?,
        reserve: text("reserve").map(|text| number("LEYDEN_RESERVE", &text)).transpose()?,
        checkpoint: text("checkpoint"),
        signet_challenge: text("signet_challenge"),
        passphrase_file: text("passphrase_file").map(PathBuf::from),
        log: text("log"),
        log_json: flag("LOG_JSON", text("log_json"))?,
    })
}

fn of_flags(arguments: &Arguments, up: &Up) -> Settings {
    Settings {
        network: arguments.network.clone(),
        mainnet: arguments.mainnet.then_some(true),
        roles: up.roles.clone(),
        listen: (!up.listen.is_empty()).then(|| up.listen.clone()),
        signer: up.signer.clone(),
        sockets: up.sockets.clone(),
        take_over: up.take_over.clone(),
        api: up.api.clone(),
        store: up.store.clone(),
        bitcoind: up.bitcoind.clone(),
        bitcoind_cookie: up.bitcoind_cookie.clone(),
        devnet_rpc: up.devnet_rpc.clone(),
        devnet_every: up.devnet_every,
        birthday: up.birthday,
        reserve: up.reserve,
        pay_only: (!up.pay_only.is_empty()).then(|| up.pay_only.clone()),
        high_fees: up.high_fees.then_some(true),
        push_percent: up.push_percent,
        in_flight: up.in_flight,
        day_limit: up.day_limit,
        stale_hours: up.stale_hours,
        checkpoint: up.checkpoint.clone(),
        signet_challenge: up.signet_challenge.clone(),
        passphrase_file: up.passphrase_file.clone(),
        log: up.log.clone(),
        log_json: up.log_json.then_some(true),
    }
}

impl Settings {
    /// This layer below another.
    fn under(self, over: Self) -> Self {
        Self {
            network: over.network.or(self.network),
            mainnet: over.mainnet.or(self.mainnet),
            roles: over.roles.or(self.roles),
            listen: over.listen.or(self.listen),
            signer: over.signer.or(self.signer),
            sockets: over.sockets.or(self.sockets),
            take_over: over.take_over.or(self.take_over),
            api: over.api.or(self.api),
            store: over.store.or(self.store),
            bitcoind: over.bitcoind.or(self.bitcoind),
            bitcoind_cookie: over.bitcoind_cookie.or(self.bitcoind_cookie),
            devnet_rpc: over.devnet_rpc.or(self.devnet_rpc),
            devnet_every: over.devnet_every.or(self.devnet_every),
            birthday: over.birthday.or(self.birthday),
            reserve: over.reserve.or(self.reserve),
            pay_only: over.pay_only.or(self.pay_only),
            high_fees: over.high_fees.or(self.high_fees),
            push_percent: over.push_percent.or(self.push_percent),
            in_flight: over.in_flight.or(self.in_flight),
            day_limit: over.day_limit.or(self.day_limit),
            stale_hours: over.stale_hours.or(self.stale_hours),
            checkpoint: over.checkpoint.or(self.checkpoint),
            signet_challenge: over.signet_challenge.or(self.signet_challenge),
            passphrase_file: over.passphrase_file.or(self.passphrase_file),
            log: over.log.or(self.log),
            log_json: over.log_json.or(self.log_json),
        }
    }

    fn judge(self, dir: PathBuf) -> Result<Config, String> {
        let network = network(self.network.as_deref(), self.mainnet.unwrap_or(false))?;
        let (mut listen, mut links) = (Vec::new(), Vec::new());
        for place in self.listen.unwrap_or_default() {
            match place.split_once("unix:") {
                Some((name, path)) => links.push((link_name(name)?, PathBuf::from(path))),
                None => listen.push(address("--listen", &place)?),
            }
        }
        let path = |flag: &str, given: Option<String>| match given {
            None => Ok(None),
            Some(text) => match text.strip_prefix("unix:") {
                Some(path) if !path.is_empty() => Ok(Some(PathBuf::from(path))),
                _ => Err(format!("{flag} takes unix:PATH, not '{text}'")),
            },
        };
        let log = self.log.unwrap_or_else(|| "info".to_owned());
        if !["error", "warn", "info", "debug", "trace"].contains(&log.as_str()) {
            return Err(format!("'{log}' is no level: error, warn, info, debug or trace"));
        }
        let signet_challenge = challenge(self.signet_challenge, network)?;
        let said = policy::Said {
            pay_only: self.pay_only,
            high_fees: self.high_fees,
            push_percent: self.push_percent,
            in_flight: self.in_flight,
            day_limit: self.day_limit,
            stale_hours: self.stale_hours,
        };
        Ok(Config {
            dir,
            network,
            roles: roles(self.roles.as_deref())?,
            listen,
            links,
            signer: path("--signer", self.signer)?,
            sockets: path("--sockets", self.sockets)?,
            take_over: path("--take-over", self.take_over)?,
            api: address("--api", self.api.as_deref().unwrap_or("127.0.0.1:9737"))?,
            store: store(self.store)?,
            bitcoind: bitcoind(self.bitcoind.as_deref(), self.bitcoind_cookie)?,
            devnet: DevnetPlan {
                rpc: address(
                    "--devnet-rpc",
                    self.devnet_rpc.as_deref().unwrap_or("127.0.0.1:18443"),
                )?,
                every: self.devnet_every.map(|seconds| Duration::from_secs(seconds.max(1))),
            },
            birthday: self.birthday.map(Height),
            reserve: reserve(self.reserve)?,
            policy: said.judge(network)?,
            checkpoint: checkpoint(self.checkpoint, network, signet_challenge.is_some())?,
            signet_challenge,
            passphrase_file: self.passphrase_file,
            log,
            log_json: self.log_json.unwrap_or(false),
        })
    }
}

fn network(name: Option<&str>, mainnet: bool) -> Result<Network, String> {
    match name.unwrap_or("regtest") {
        "regtest" => Ok(Network::Regtest),
        "signet" => Ok(Network::Signet),
        "testnet4" => Ok(Network::Testnet4),
        "bitcoin" | "mainnet" if mainnet => Ok(Network::Bitcoin),
        "bitcoin" | "mainnet" => {
            Err("this version is not made for real money; --mainnet allows it nevertheless".into())
        }
        other => Err(format!("'{other}' is no network: regtest, signet, testnet4 or bitcoin")),
    }
}

fn roles(list: Option<&str>) -> Result<Roles, String> {
    let Some(list) = list else { return Ok(Roles::ALL) };
    let mut roles = Roles::NONE;
    for name in list.split(',') {
        match name.trim() {
            "signer" => roles.signer = true,
            "sockets" => roles.sockets = true,
            "node" => roles.node = true,
            "devnet" => roles.devnet = true,
            "all" => roles = Roles { devnet: roles.devnet, ..Roles::ALL },
            other => {
                return Err(format!("'{other}' is no role: signer, sockets, node, devnet or all"));
            }
        }
    }
    Ok(roles)
}

/// The address of a database.
fn store(given: Option<String>) -> Result<Option<String>, String> {
    match given {
        // It may have a password, which is repeated nowhere.
        Some(url) if !url.starts_with("postgres://") => {
            Err("--store takes postgres://USER@HOST/NAME".to_owned())
        }
        Some(url) => Ok(Some(url)),
        None => Ok(None),
    }
}

/// The place of a bitcoind, from `http://[USER:PASSWORD@]HOST:PORT` and the file with its cookie.
fn bitcoind(url: Option<&str>, cookie: Option<PathBuf>) -> Result<Option<Place>, String> {
    let Some(url) = url else {
        return match cookie {
            Some(_) => Err("--bitcoind-cookie needs --bitcoind, too".to_owned()),
            None => Ok(None),
        };
    };
    let wrong = "--bitcoind takes http://HOST:PORT, with USER:PASSWORD@ in front of the host or \
                 with --bitcoind-cookie FILE";
    let rest = url.strip_prefix("http://").ok_or(wrong)?.trim_end_matches('/');
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() || host.contains(['/', '?', '#', ' ']) {
        return Err(wrong.to_owned());
    }
    let key = match (user.map(|user| user.split_once(':')), cookie) {
        (None, Some(cookie)) => DoorKey::Cookie(cookie),
        (Some(Some((name, password))), None) => {
            DoorKey::User { name: name.to_owned(), password: password.to_owned() }
        }
        (Some(_), Some(_)) => return Err("a cookie or a user, not both".to_owned()),
        (None | Some(None), None) => return Err(wrong.to_owned()),
    };
    Ok(Some(Place { url: format!("http://{host}"), key }))
}

fn challenge(hex: Option<String>, network: Network) -> Result<Option<String>, String> {
    let Some(hex) = hex else { return Ok(None) };
    if network != Network::Signet {
        return Err(format!("--signet-challenge is for --network signet, not for {network}"));
    }
    let digits = hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    if hex.is_empty() || !digits || hex.len() % 2 != 0 {
        return Err(format!("--signet-challenge takes a script in hex, not '{hex}'"));
    }
    Ok(Some(hex))
}

/// Where the signer begins: what is built in is of the public signet, and of no other.
fn checkpoint(
    text: Option<String>,
    network: Network,
    is_own_signet: bool,
) -> Result<Checkpoint, String> {
    match text {
        Some(text) => {
            Checkpoint::parse(network, &text).map_err(|fault| format!("--checkpoint: {fault}"))
        }
        None if is_own_signet => Ok(Checkpoint::genesis(network)),
        None => Ok(Checkpoint::built_in(network)),
    }
}

/// What a channel needs for the fees of a bad end, if nobody says otherwise.
const RESERVE_SAT: u64 = 25_000;

fn reserve(sat: Option<u64>) -> Result<Amount, String> {
    let amount = Amount::from_sat(sat.unwrap_or(RESERVE_SAT));
    match amount <= Amount::MAX_MONEY {
        true => Ok(amount),
        false => Err(format!("--reserve is {amount}, and there are only {}", Amount::MAX_MONEY)),
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name} is a number, not '{text}'"))
}

fn link_name(name: &str) -> Result<LinkName, String> {
    match name {
        "" | "node@" => Ok(LinkName::Node),
        "sockets@" => Ok(LinkName::Sockets),
        "client@" => Ok(LinkName::Client),
        "handover@" => Ok(LinkName::Handover),
        other => {
            Err(format!("'{other}' is nobody who connects: node@, sockets@, client@ or handover@"))
        }
    }
}

fn address(flag: &str, text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{flag} takes an address such as 127.0.0.1:9735, not '{text}'"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use signer::{ChannelLimits, Destinations, Seconds};
    use wire::amount::Msat;

    use super::*;
    use crate::arguments::Verb;

    fn config(words: &[&str], file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let dir = std::env::temp_dir().join(format!("leyden-config-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        let path = dir.join(format!("{:?}.toml", std::thread::current().id()));
        fs::write(&path, file).expect("a file");
        let path_text = path.display().to_string();
        let line = ["leyden", "--dir", "/nowhere", "--config", &path_text, "up"];
        let line = line.iter().chain(words);
        let arguments = Arguments::try_parse_from(line).map_err(|fault| fault.to_string())?;
        let Verb::Up(up) = &arguments.verb else { panic!("up") };
        let environment = environment.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        let config = read(&arguments, up, environment);
        fs::remove_file(path).expect("it was there");
        config
    }

    #[test]
    fn later_layers_weigh_more() {
        let file = "network = \"signet\"\nlog = \"warn\"\napi = \"127.0.0.1:1\"";
        let variables = [("LEYDEN_LOG", "debug"), ("LEYDEN_API", "127.0.0.1:2"), ("HOME", "x")];
        let config = config(&["--api", "127.0.0.1:3"], file, &variables).expect("it is fine");
        assert_eq!(config.network, Network::Signet, "the file over what is built in");
        assert_eq!(config.log, "debug", "the environment over the file");
        assert_eq!(config.api.port(), 3, "flags over the environment");
        assert_eq!(config.roles, Roles::ALL, "built in");
    }

    /// The header of the first block of all networks but one, at a place that it cannot have.
    const CHECKPOINT: &str = "2017:0100000000000000000000000000000000000000000000000000000000000000\
        000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a\
        008f4d5fae77031e8ad22203";

    #[test]
    fn a_signer_begins_with_what_is_built_in_or_given() {
        let of = |words: &[&str]| config(words, "", &[]).expect("it is fine").checkpoint;
        let built_in = Checkpoint::built_in(Network::Signet);
        assert_eq!(of(&["--network", "signet"]), built_in);
        let own = ["--network", "signet", "--signet-challenge", "51"];
        assert_eq!(of(&own), Checkpoint::genesis(Network::Signet));
        let genesis = CHECKPOINT.replace("2017:", "0:");
        let given = of(&["--network", "signet", "--checkpoint", &genesis]);
        assert_eq!(given, Checkpoint::genesis(Network::Signet));
        assert_eq!(of(&[]), Checkpoint::genesis(Network::Regtest));
    }

    #[test]
    fn what_is_unknown_or_wrong_is_named() {
        type Row<'a> = (&'a [&'a str], &'a str, &'a [(&'a str, &'a str)], &'a str);
        let rows: [Row<'_>; 23] = [
            (&[], "netwrk = \"signet\"", &[], "did you mean network?"),
            (
                &[],
                "",
                &[("LEYDEN_LISTN", "x")],
                "LEYDEN_LISTN is no setting (did you mean listen?)",
            ),
            (&[], "", &[("LEYDEN_LOG_JSON", "maybe")], "LEYDEN_LOG_JSON is true or false"),
            (&["--network", "bitcoin"], "", &[], "not made for real money"),
            (&["--network", "testnet"], "", &[], "'testnet' is no network"),
            (&["--roles", "signer,peer"], "", &[], "'peer' is no role"),
            (&["--listen", "9735"], "", &[], "--listen takes an address"),
            (&["--listen", "me@unix:/x"], "", &[], "'me@' is nobody who connects"),
            (&["--signer", "/x"], "", &[], "--signer takes unix:PATH, not '/x'"),
            (&["--store", "mysql://x:secret@y/z"], "", &[], "--store takes postgres://USER@HOST"),
            (&["--bitcoind", "localhost:1"], "", &[], "--bitcoind takes http://HOST:PORT"),
            (&["--bitcoind", "http://127.0.0.1:1"], "", &[], "USER:PASSWORD@"),
            (&["--bitcoind-cookie", "/x"], "", &[], "needs --bitcoind, too"),
            (&["--signet-challenge", "51"], "", &[], "not for regtest"),
            (&["--checkpoint", "2016:00"], "", &[], "160 characters of hex, not 2"),
            (
                &["--network", "signet"],
                "",
                &[("LEYDEN_CHECKPOINT", CHECKPOINT)],
                "inside of a period",
            ),
            (&[], "", &[("LEYDEN_BIRTHDAY", "soon")], "LEYDEN_BIRTHDAY is a number"),
            (&["--devnet-rpc", "18443"], "", &[], "--devnet-rpc takes an address"),
            (&["--pay-only", "xyz"], "", &[], "--pay-only takes addresses of regtest: 'xyz'"),
            (&[], "", &[("LEYDEN_HIGH_FEES", "yes")], "LEYDEN_HIGH_FEES is true or false"),
            (&["--push-percent", "101"], "", &[], "--push-percent is 101, at most 100"),
            (&[], "in_flight = 2100000000000001", &[], "--in-flight is 2100000000000001 sat"),
            (&[], "", &[("LEYDEN_STALE_HOURS", "-1")], "LEYDEN_STALE_HOURS is a number"),
        ];
        for (words, file, variables, want) in rows {
            let fault = config(words, file, variables).expect_err(want);
            assert!(fault.contains(want), "{fault}");
        }
    }

    /// Nobody but the signer's owner gives a node the right to ask for high fees.
    #[test]
    fn high_fees_are_a_right_that_is_given() {
        let high_fees = |words: &[&str], file| config(words, file, &[]).expect("fine").policy;
        assert!(!high_fees(&[], "").high_fees);
        assert!(high_fees(&["--high-fees"], "").high_fees);
        let to = "bcrt1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqvg32hk";
        let both = high_fees(&["--pay-only", to], "high_fees = true");
        assert!(both.high_fees && both.destinations != Destinations::Any);
    }

    #[test]
    fn channels_have_the_limits_that_their_owner_wants() {
        let of = |words: &[&str], file, variables: &[_]| {
            config(words, file, variables).expect("fine").policy.channels
        };
        let built_in = ChannelLimits::default();
        assert_eq!(of(&[], "", &[]), built_in);
        let flags = "--push-percent 0 --in-flight 7 --day-limit 9 --stale-hours 0";
        let flags: Vec<_> = flags.split(' ').collect();
        let limits = ChannelLimits {
            push_percent_max: 0,
            in_flight_max: Msat(7_000),
            day_max: Msat(9_000),
            header_age_max: Some(Seconds(u32::MAX)),
        };
        let file = "push_percent = 3\nin_flight = 3\nday_limit = 3\nstale_hours = 3";
        assert_eq!(of(&flags, file, &[]), limits);
        let variables = [
            ("LEYDEN_PUSH_PERCENT", "0"),
            ("LEYDEN_IN_FLIGHT", "7"),
            ("LEYDEN_DAY_LIMIT", "9"),
            ("LEYDEN_STALE_HOURS", "0"),
        ];
        assert_eq!(of(&[], "", &variables), limits);
        let hours = of(&[], "stale_hours = 3", &[]);
        assert_eq!(hours, ChannelLimits { header_age_max: Some(Seconds(10_800)), ..built_in });
    }

    #[test]
    fn a_bitcoind_lets_in_by_cookie_or_by_user() {
        let user = config(&["--bitcoind", "http://a:b:c@127.0.0.1:8332/"], "", &[]).expect("fine");
        let key = DoorKey::User { name: "a".to_owned(), password: "b:c".to_owned() };
        assert_eq!(user.bitcoind, Some(Place { url: "http://127.0.0.1:8332".to_owned(), key }));
        let words = ["--bitcoind", "http://node:8332", "--bitcoind-cookie", "/x"];
        let cookie = config(&words, "", &[]).expect("fine").bitcoind.expect("it is given");
        assert!(cookie.key == DoorKey::Cookie(PathBuf::from("/x")));
        assert!(!format!("{:?}", user.bitcoind).contains("b:c"), "a password is not shown");
    }

    #[test]
    fn places_are_sorted_by_who_uses_them() {
        let words = ["127.0.0.1:9735", "unix:/a", "sockets@unix:/b", "handover@unix:/c"];
        let words: Vec<_> = words.iter().flat_map(|word| ["--listen", word]).collect();
        let config = config(&words, "", &[]).expect("it is fine");
        let link = |name, path: &str| (name, PathBuf::from(path));
        let links = [
            link(LinkName::Node, "/a"),
            link(LinkName::Sockets, "/b"),
            link(LinkName::Handover, "/c"),
        ];
        assert_eq!(config.links, links);
        assert_eq!(config.listen.len(), 1);
    }
}
