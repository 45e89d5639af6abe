//! The same payments, where both sides save every change before anything leaves: we in the store
//! and the signer's file of a real node, LDK its monitors by its own `FilesystemStore`. All files
//! are on the same disk. And once more with a PostgreSQL database for each of our nodes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use database::Database;
use interop_ldk::channel::{LdkSaves, Ldks, Onions, OurDisk, Twins};
use node::store::Store;
use paired::{Target, compare_many, report};

/// How many times as fast as LDK we want to be in waves of one.
const SINGLE_MIN: f64 = 3.0;
/// The same, if our nodes save in a database.
const DATABASE_MIN: f64 = 1.5;
/// What we want to keep of our speed in memory in waves of [`MANY`].
const KEPT_MIN: f64 = 0.6;
/// A large wave.
const MANY: usize = 400;
/// LDK writes a whole monitor after so many updates, where it writes updates.
const UPDATES_MAX: u64 = 100;
/// Waves that are run under `strace`.
const TRACED: usize = 50;
/// The part that runs under `strace`: `ours` or `ldk`, and the payments of a wave; then the waves.
const TRACE: &str = "LEYDEN_CHANNEL_TRACE";

/// Folders on a real disk, gone with this.
struct Folders {
    root: PathBuf,
    made: usize,
}

/// Runs the part that was asked for, if this process is to be traced.
pub fn traced() -> bool {
    let Ok(wanted) = env::var(TRACE) else { return false };
    let mut words = wanted.split(' ');
    let (who, payments, waves) = (words.next(), words.next(), words.next());
    let number = |word: Option<&str>| word.and_then(|it| it.parse().ok()).expect("a number");
    let (payments, waves): (usize, usize) = (number(payments), number(waves));
    let mut folders = Folders::new();
    if who == Some("ours") {
        let mut twins = Twins::saving(payments, || folders.ours());
        (0..waves).for_each(|_| twins.wave(payments));
    } else {
        let (first, second) = (folders.next(), folders.next());
        let mut ldks = Ldks::saving([LdkSaves::Whole(&first), LdkSaves::Whole(&second)]);
        (0..waves).for_each(|_| ldks.wave(payments));
    }
    true
}

/// Measures.
pub fn run() {
    let mut folders = Folders::new();
    println!("  files in {}, on {}", folders.root.display(), folders.kind());
    single(&mut folders);
    many(&mut folders);
    for (who, payments) in [("ours", 1), ("ours", MANY), ("ldk", 1)] {
        syncs(who, payments);
    }
}

fn single(folders: &mut Folders) {
    let dirs = [(); 6].map(|()| folders.next());
    let [first, second, third, fourth, fifth, sixth] = &dirs;
    let mut whole = Ldks::saving([LdkSaves::Whole(first), LdkSaves::Whole(second)]);
    let updates = |dir| LdkSaves::Updates(dir, UPDATES_MAX);
    let mut updating = Ldks::saving([updates(third), updates(fourth)]);
    let mut twins = Twins::saving(1, || folders.ours());
    // A server for each: so they do not save together what two nodes would not.
    let servers = [fifth, sixth].map(|dir| Database::start(dir));
    let mut servers_left = servers.iter();
    let mut remote = Twins::saving(1, || {
        let server = servers_left.next().expect("there are two sides");
        let store = Store::connect(&server.address());
        (folders.next(), OurDisk::new(store.unwrap_or_else(|no| panic!("{no}"))))
    });
    let mut onions = Onions::new(1);
    let timings = compare_many(&mut [
        ("ldk", &mut || whole.wave(1)),
        ("ldk, updates", &mut || updating.wave(1)),
        ("ours", &mut || twins.wave(1)),
        ("database", &mut || remote.wave(1)),
        ("onions", &mut || onions.run()),
    ]);
    let [whole, updating, ours, database, onion] = [0, 1, 2, 3, 4].map(|at| timings[at].ns);
    let (net, target) = (whole - onion, Target::AtLeast(SINGLE_MIN));
    report("channel", "durable-against-ldk-1", net / ours, "x", target, net, ours);
    let (target, name) = (Target::AtLeast(DATABASE_MIN), "database-against-ldk-1");
    report("channel", name, net / database, "x", target, net, database);
    let net = updating - onion;
    let figure = "durable-against-ldk-updates-1";
    report("channel", figure, net / ours, "x", Target::Report, net, ours);
    let all = [
        ("ours", ours),
        ("ours, in PostgreSQL", database),
        ("ldk", whole),
        ("ldk with updates", updating),
    ];
    for (who, ns) in all {
        println!("  {who}, durable, waves of 1: {:.0} payments/s", 1e9 / ns);
    }
}

fn many(folders: &mut Folders) {
    let (mut memory, mut twins) = (Twins::open(MANY), Twins::saving(MANY, || folders.ours()));
    let timings = compare_many(&mut [
        ("in memory", &mut || memory.wave(MANY)),
        ("durable", &mut || twins.wave(MANY)),
    ]);
    let [memory, durable] = [0, 1].map(|at| timings[at].ns);
    let figure = format!("durable-of-memory-{MANY}");
    let target = Target::AtLeast(KEPT_MIN);
    report("channel", &figure, memory / durable, "x", target, memory, durable);
    println!("  ours, durable, waves of {MANY}: {:.0} payments/s", MANY as f64 / (durable / 1e9));
}

/// What `strace` counts, less what the opening takes.
fn syncs(who: &str, payments: usize) {
    let counted = |waves: usize| {
        let out = env::temp_dir().join(format!("leyden-channel-strace-{}", std::process::id()));
        let traced = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"])
            .arg(&out)
            .arg(env::current_exe().expect("it runs"))
            .env(TRACE, format!("{who} {payments} {waves}"))
            .status();
        let traced = traced.is_ok_and(|status| status.success());
        let lines = traced.then(|| fs::read_to_string(&out).expect("strace has written it"));
        fs::remove_file(&out).ok();
        lines.map(|lines| lines.lines().filter(|line| line.contains("sync(")).count())
    };
    let (Some(opened), Some(all)) = (counted(0), counted(TRACED)) else {
        return println!("  strace is missing, or may not trace: syncs of {who} are not counted");
    };
    let (count, of) = ((all - opened) as f64, (payments * TRACED) as f64);
    let figure = format!("syncs-{who}-{payments}");
    report("channel", &figure, count / of, "1", Target::Report, count, of);
}

impl Folders {
    /// Beside what cargo builds.
    fn new() -> Self {
        let name = format!("channel-{}", std::process::id());
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&root).expect("the disk has room");
        let folders = Self { root, made: 0 };
        let kind = folders.kind();
        assert!(kind != "tmpfs" && kind != "ramfs", "files in memory: set CARGO_TARGET_DIR");
        folders
    }

    fn kind(&self) -> String {
        let told = Command::new("stat").args(["-f", "-c", "%T"]).arg(&self.root).output();
        String::from_utf8_lossy(&told.expect("it is there").stdout).trim().to_owned()
    }

    fn next(&mut self) -> PathBuf {
        self.made += 1;
        let dir = self.root.join(self.made.to_string());
        fs::create_dir(&dir).expect("it is new");
        dir
    }

    fn ours(&mut self) -> (PathBuf, OurDisk) {
        let dir = self.next();
        let store = Store::open(&dir.join("log.sqlite"), None);
        (dir, OurDisk::new(store.unwrap_or_else(|no| panic!("{no}"))))
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).ok();
    }
}
