//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::money;

/// A Lightning node you can take apart.
#[derive(Parser)]
#[command(name = "leyden", version, arg_required_else_help = true)]
pub struct Arguments {
    /// The node's folder [default: ~/.leyden]
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The file with its settings [default: leyden.toml in the folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// regtest, signet, testnet4 or bitcoin [default: regtest]
    #[arg(long, global = true, value_name = "NETWORK")]
    pub network: Option<String>,
    /// Allow --network bitcoin, although this version is not made for real money
    #[arg(long, global = true)]
    pub mainnet: bool,
    /// Answer with one line of JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    /// Make a seed, and show its words once
    Init {
        /// Take the passphrase from the first line of this file, instead of asking
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// Take these words from a file, instead of drawing new ones
        #[arg(long, value_name = "FILE")]
        words_file: Option<PathBuf>,
    },
    /// Run a node, or some of its services
    Up(Box<Up>),
    /// Who the node is, and how it is
    Info,
    /// Connect to a node, and stay connected
    Connect {
        /// The node's id, and where it listens
        #[arg(value_name = "NODE@HOST:PORT")]
        to: String,
    },
    /// Hang up, and do not call again
    Disconnect {
        /// The node's id
        node: String,
    },
    /// Who is connected
    Peers,
    /// How long a peer takes to answer
    Ping {
        /// The node's id
        node: String,
    },
    /// Send a custom message to a peer
    Message {
        /// The node's id
        node: String,
        /// Odd, and at least 32768
        #[arg(value_name = "TYPE")]
        message_type: u16,
        /// What follows the type, in hex
        #[arg(value_name = "HEX", default_value = "")]
        payload: String,
    },
    /// Sign a text, so that other nodes can verify it
    Sign {
        /// The text
        text: String,
    },
    /// Tell who has signed a text
    Verify {
        /// The text
        text: String,
        /// 104 characters of zbase32
        signature: String,
    },
    /// Open a channel with a node
    Open(Box<Open>),
    /// Which channels there are, and were
    Channels,
    /// How a channel is
    Channel {
        /// Its id, or enough of its beginning
        id: String,
    },
    /// Set what the commitments of a channel pay, until fee rates of the chain are far from that
    Fee {
        /// Its id, or enough of its beginning
        #[arg(value_name = "CHANNEL")]
        id: String,
        /// In sat/vB
        #[arg(value_parser = money::sat_per_kvb)]
        rate: u64,
    },
    /// Close a channel
    Close {
        /// Its id, or enough of its beginning
        #[arg(value_name = "CHANNEL")]
        id: String,
        /// Without the peer: the money comes back later, and costs more
        #[arg(long)]
        force: bool,
        /// Although the peer was not heard since the start: never with files of an earlier day
        #[arg(long, requires = "force")]
        unheard: bool,
        /// Wait until it is over, and show how far it is
        #[arg(long)]
        wait: bool,
    },
    /// Pay a node over a channel with it
    Pay {
        /// The node's id
        node: String,
        /// How much, such as 25sat, 1500msat or 0.00025btc
        #[arg(value_parser = money::msat)]
        amount: u64,
        /// What you call this payment: whoever asks again by the same name pays nothing more
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Which payments there were over channels, in both directions
    Payments,
    /// The chain, and what is watched in it
    #[command(subcommand)]
    Chain(ChainVerb),
    /// The money on the chain
    #[command(subcommand)]
    Wallet(WalletVerb),
    /// The chain of this machine, for tests
    #[command(subcommand)]
    Devnet(DevnetVerb),
    /// Show what happens, line by line
    Events,
    /// End the node
    Stop,
    /// Print what a shell needs to complete these words
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// A new channel.
#[derive(Args)]
pub struct Open {
    /// The node's id, and where it listens if it is not connected
    #[arg(value_name = "NODE[@HOST:PORT]")]
    pub to: String,
    /// How much, such as 250000sat or 0.0025btc
    #[arg(value_parser = money::sat)]
    pub amount: u64,
    /// Give so much of it to the node at once
    #[arg(long, value_name = "AMOUNT", value_parser = money::msat, default_value = "0sat")]
    pub push: u64,
    /// Tell nobody of it [default]
    #[arg(long, conflicts_with = "announce")]
    pub private: bool,
    /// The world shall know of it
    #[arg(long)]
    pub announce: bool,
    /// The fee rate of the funding transaction, in sat/vB [default: enough for 6 blocks]
    #[arg(long, value_name = "RATE", value_parser = money::sat_per_kvb)]
    pub feerate: Option<u64>,
    /// Wait until it can be used, and show how far it is
    #[arg(long)]
    pub wait: bool,
}

/// What to do with the chain.
#[derive(Subcommand)]
pub enum ChainVerb {
    /// How the chain is, and where blocks come from
    Status,
    /// Watch an address, an output or a script; or list what is watched, and what was found
    Watch {
        /// An address, TXID:NUMBER of an output, or script:HEX
        what: Option<String>,
        /// From this block on [default: from the next one on]
        #[arg(long, value_name = "HEIGHT", requires = "what")]
        from: Option<u32>,
    },
    /// Do not watch it any more
    Unwatch {
        /// An address, TXID:NUMBER of an output, or script:HEX
        what: String,
    },
}

/// What to do with the money.
#[derive(Subcommand)]
pub enum WalletVerb {
    /// An address that nobody has paid to
    Address,
    /// How much there is
    Balance,
    /// What there is, coin by coin
    Coins,
    /// Pay to an address
    Send(Box<Pay>),
    /// Replace an unconfirmed payment by one that pays a higher fee
    Bump {
        /// The payment
        txid: String,
        /// The new fee rate, in sat/vB
        #[arg(long, value_name = "RATE", value_parser = money::sat_per_kvb)]
        rate: u64,
        /// Pay it, although it is high; the signer must have been started with --high-fees
        #[arg(long)]
        allow_high_fee: bool,
        /// Spend what future channels need, too
        #[arg(long)]
        spend_reserve: bool,
    },
    /// Give up a pending payment, and all that hangs on it: its coins are free again
    Forget {
        /// The payment
        txid: String,
        /// Although somebody may still have it mined
        #[arg(long)]
        force: bool,
    },
    /// Look for our money once more, as far back as there are blocks
    Rescan {
        /// From this block on
        #[arg(long, value_name = "HEIGHT")]
        from: Option<u32>,
    },
}

/// A payment.
#[derive(Args)]
pub struct Pay {
    /// Whom to pay
    pub to: String,
    /// How much, such as 25000sat or 0.00025btc
    #[arg(value_parser = money::sat, required_unless_present = "all", conflicts_with = "all")]
    pub amount: Option<u64>,
    /// All that can be spent
    #[arg(long)]
    pub all: bool,
    /// The fee rate, in sat/vB
    #[arg(long, value_name = "RATE", value_parser = money::sat_per_kvb)]
    pub rate: Option<u64>,
    /// Instead of a rate: to be confirmed within so many blocks [default: 6]
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    pub blocks: Option<u16>,
    /// Pay the fee, although it is high; the signer must have been started with --high-fees
    #[arg(long)]
    pub allow_high_fee: bool,
    /// Spend what future channels need, too
    #[arg(long)]
    pub spend_reserve: bool,
    /// What you call this payment: whoever asks again by the same name pays nothing more
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// What to do with the devnet.
#[derive(Subcommand)]
pub enum DevnetVerb {
    /// Mine blocks
    Mine {
        /// How many
        #[arg(default_value_t = 1)]
        blocks: u32,
        /// Who gets the reward [default: the devnet itself]
        #[arg(long, value_name = "ADDRESS")]
        to: Option<String>,
    },
    /// Pay test money to an address; it waits for a block
    Fund {
        /// The address
        to: String,
        /// How much, such as 25000sat or 0.00025btc
        #[arg(value_parser = money::sat)]
        amount: u64,
    },
    /// Replace the newest blocks by as many, and one more
    Reorg {
        /// How many
        depth: u32,
    },
}

/// How to run.
#[derive(Args, Default)]
pub struct Up {
    /// signer, sockets, node, devnet; several with commas; all is the first three [default: all]
    #[arg(long, value_name = "LIST")]
    pub roles: Option<String>,
    /// HOST:PORT for peers; unix:PATH for the node, sockets@unix:PATH for the sockets,
    /// client@unix:PATH for clients, handover@unix:PATH for a successor
    #[arg(long, value_name = "WHERE")]
    pub listen: Vec<String>,
    /// The signer, if it is in another process
    #[arg(long, value_name = "unix:PATH")]
    pub signer: Option<String>,
    /// The sockets, if they are in another process
    #[arg(long, value_name = "unix:PATH")]
    pub sockets: Option<String>,
    /// Take over the sockets of the process that listens there
    #[arg(long, value_name = "unix:PATH")]
    pub take_over: Option<String>,
    /// Where the API listens [default: 127.0.0.1:9737]
    #[arg(long, value_name = "HOST:PORT")]
    pub api: Option<String>,
    /// The node remembers in this database and not in its folder: postgres://USER@HOST/NAME
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Blocks come from this bitcoind: http://[USER:PASSWORD@]HOST:PORT
    #[arg(long, value_name = "URL")]
    pub bitcoind: Option<String>,
    /// The file with that bitcoind's cookie, instead of user and password
    #[arg(long, value_name = "FILE")]
    pub bitcoind_cookie: Option<PathBuf>,
    /// Where the devnet of this process speaks JSON-RPC [default: 127.0.0.1:18443]
    #[arg(long, value_name = "HOST:PORT")]
    pub devnet_rpc: Option<String>,
    /// The devnet mines a block each time so many seconds have passed
    #[arg(long, value_name = "SECONDS")]
    pub devnet_every: Option<u64>,
    /// Where a new node's chain begins [default: 288 blocks below the tip]
    #[arg(long, value_name = "HEIGHT")]
    pub birthday: Option<u32>,
    /// What spends of the wallet have to leave, for future channels [default: 25000]
    #[arg(long, value_name = "SAT")]
    pub reserve: Option<u64>,
    /// The signer lets nobody be paid but us and this address; several are possible
    #[arg(long, value_name = "ADDRESS")]
    pub pay_only: Vec<String>,
    /// The signer pays fees above its limits, if the node says that a person has seen them
    #[arg(long)]
    pub high_fees: bool,
    /// The signer trusts this block, the first of a period of 2016, and judges the chain from there
    /// on; HEADER is what bitcoin-cli getblockheader HASH false prints [default: built in]
    #[arg(long, value_name = "HEIGHT:HEADER")]
    pub checkpoint: Option<String>,
    /// The challenge of a signet of your own
    #[arg(long, value_name = "HEX")]
    pub signet_challenge: Option<String>,
    /// Take the passphrase from the first line of this file, instead of asking
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Log lines of JSON
    #[arg(long)]
    pub log_json: bool,
}
