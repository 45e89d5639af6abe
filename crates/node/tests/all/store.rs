//! What the log keeps, and what it refuses.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::channel,
    time::Duration,
};

use apart::{Place, WAIT};
use node::{
    roles::{self, Plan, RunFault},
    services::gate::Ticket,
    services::post::{self, Reply},
    store::{
        ARCHIVE_ENTRIES_MAX, Core, Durable, Log, LogFault, Restored, SNAPSHOT_BYTES_MAX, Store,
        StoreFault, WRITE_BYTES_MAX, Write,
    },
};

use crate::party::{Party, plan};

const ONE: Core = Core("one");
const TWO: Core = Core("two");

fn change(core: Core, text: &str) -> Write {
    Write::Change { core, bytes: text.into() }
}

fn texts(restored: &Restored) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    restored.changes.iter().map(|(_, bytes)| text(bytes)).collect()
}

fn open(path: &Path) -> Store {
    Store::open(path, None).expect("it opens")
}

/// The same of each store: whoever opens it comes behind whoever had it.
fn of_each(test: impl Fn(&dyn Fn() -> Store)) {
    let place = Place::new();
    test(&|| open(&place.at("log.sqlite")));
    #[cfg(feature = "postgres")]
    {
        let place = Place::new();
        let database = database::Database::start(place.path());
        test(&|| Store::connect(&database.address()).expect("it is there"));
    }
}

#[test]
fn cores_are_restored_apart_and_in_order() {
    of_each(|open| {
        let mut store = open();
        let batches = [vec![change(ONE, "a"), change(TWO, "x")], vec![change(ONE, "b")]];
        store.commit(&batches).expect("room");
        drop(store);
        let mut store = open();
        assert_eq!(texts(&store.restore(ONE).expect("whole")), ["a", "b"]);
        assert_eq!(texts(&store.restore(TWO).expect("whole")), ["x"]);
        let snapshot = Write::Snapshot { core: ONE, bytes: b"a and b".to_vec() };
        let behind = vec![change(ONE, "c"), change(TWO, "y"), change(ONE, "d")];
        store.commit(&[vec![snapshot], behind]).expect("room");
        store.commit(&[vec![change(ONE, "e")]]).expect("room");
        store.commit(&[]).expect("nothing is to be done");
        drop(store);
        let restored = open().restore(ONE).expect("whole");
        assert_eq!(restored.snapshot.as_deref(), Some(&b"a and b"[..]));
        assert_eq!(texts(&restored), ["c", "d", "e"]);
        let at: Vec<_> = restored.changes.iter().map(|(position, _)| *position).collect();
        assert!(at.is_sorted() && at[0] > node::store::Position(0), "{at:?}");
        assert_eq!(texts(&open().restore(TWO).expect("whole")), ["x", "y"]);
    });
}

#[test]
fn the_archive_keeps_the_newest() {
    of_each(|open| {
        let mut store = open();
        let entry = |number: u64| Write::Archive {
            core: ONE,
            key: b"received".to_vec(),
            entry: number.to_be_bytes().to_vec(),
        };
        let last = ARCHIVE_ENTRIES_MAX + 50;
        store.commit(&[(1..=last).map(entry).collect()]).expect("room");
        let kept = store.newest(ONE, b"received", u32::MAX).expect("whole");
        assert_eq!(kept.len() as u64, ARCHIVE_ENTRIES_MAX);
        assert_eq!(kept[0], (last, last.to_be_bytes().to_vec()));
        assert_eq!(store.newest(ONE, b"received", 2).expect("whole"), kept[..2]);
        assert!(store.newest(ONE, b"other", 5).expect("whole").is_empty());
    });
}

/// Whoever comes last has the database: the one before saves nothing any more, of no kind.
#[cfg(feature = "postgres")]
#[test]
fn whoever_takes_the_database_fences_whoever_had_it() {
    let place = Place::new();
    let database = database::Database::start(place.path());
    let connect = || Store::connect(&database.address()).expect("it is there");
    let mut first = connect();
    first.commit(&[vec![change(ONE, "a")]]).expect("it has it");
    let mut second = connect();
    second.commit(&[vec![change(ONE, "b")]]).expect("it has it");
    let key = b"k".to_vec();
    let writes = [
        change(ONE, "late"),
        Write::Snapshot { core: ONE, bytes: b"late".to_vec() },
        Write::Archive { core: ONE, key: key.clone(), entry: b"late".to_vec() },
    ];
    for write in writes {
        let fault = first.commit(&[vec![write]]).expect_err("it was taken");
        assert!(matches!(fault, StoreFault::Fenced { got: 2, have: 1, .. }), "{fault}");
        assert!(fault.to_string().contains("taken by another process"), "{fault}");
    }
    let restored = second.restore(ONE).expect("whole");
    assert_eq!((texts(&restored), restored.snapshot), (vec!["a".into(), "b".into()], None));
    assert!(second.newest(ONE, &key, 5).expect("whole").is_empty());
    // A log on it tells those who wait.
    let log = Log::start(first);
    let (told, durable) = channel();
    let writer = log.writer(move |news| told.send(news).expect("we wait"));
    writer.append(vec![change(ONE, "later")]).expect("it is open");
    let Durable::Failed(fault) = durable.recv_timeout(WAIT).expect("it is told") else {
        panic!("it was saved")
    };
    assert!(matches!(*fault, StoreFault::Fenced { .. }), "{fault}");
    // Whoever was fenced comes back as the last one.
    connect().commit(&[vec![change(ONE, "c")]]).expect("it has it");
    assert!(second.commit(&[vec![change(ONE, "d")]]).is_err());
    let missing = Store::connect("host=/nowhere user=leyden").err().expect("there is none");
    assert!(matches!(missing, StoreFault::Failed { .. }), "{missing}");
}

/// A whole node on a database, and again; its folder has no store of its own.
#[cfg(feature = "postgres")]
#[test]
fn a_node_remembers_in_a_database() {
    let (place, own) = (Place::new(), Place::new());
    let database = database::Database::start(place.path());
    let in_it = |own: &Place| Plan { store: Some(database.address()), ..plan(own.path(), 72) };
    let mut first = Party::with(in_it(&own), Place::new(), 72);
    let id = first.id();
    first.stop();
    let mut second = Party::with(in_it(&own), Place::new(), 72);
    assert_eq!(second.id(), id);
    assert!(!own.at("log.sqlite").exists());
    // Who has remembered something in its folder does not begin anew elsewhere.
    let old = Place::new();
    drop(open(&old.at("log.sqlite")));
    let refused = roles::start(in_it(&old), Box::new(|_| ())).err().expect("it has one");
    assert!(matches!(refused, RunFault::Plan(why) if why.contains("log.sqlite")), "{refused}");
    // And nobody takes what is in use but a node that starts: then the one before ends.
    let mut thief = Store::connect(&database.address()).expect("it is there");
    thief.commit(&[vec![change(ONE, "x")]]).expect("it has it");
    let peer = Party::start(73);
    let connect = post::Command::Connect { node: peer.id(), address: peer.address() };
    let running = second.running.take().expect("it runs");
    let bell = running.bell.clone().expect("it has a node");
    bell.call(connect, Box::new(|_| ())).expect("it has room");
    let fault = running.wait().expect_err("it was taken");
    assert!(fault.to_string().contains("taken by another process (epoch 3, ours is 2)"), "{fault}");
}

/// The body of a process that is killed: it commits numbers and says which are durable.
#[test]
fn killed_child() {
    let Some(path) = std::env::var_os("LEYDEN_STORE") else { return };
    let (told, durable) = channel();
    let log = Log::start(open(Path::new(&path)));
    let log = log.writer(move |news| told.send(news).expect("we wait"));
    std::thread::spawn(move || {
        for news in durable {
            if let Durable::Through(ticket) = news {
                println!("DURABLE {}", ticket.0);
            }
        }
    });
    for number in 1_u64.. {
        let text = number.to_string();
        // Two writes that belong together.
        if log.append(vec![change(ONE, &text), change(TWO, &text)]).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if number.is_multiple_of(7) {
            std::thread::sleep(Duration::from_micros(300));
        }
    }
}

/// A bug in the log's thread ends it; nobody waits for it for ever.
#[test]
fn a_log_that_panics_is_broken_and_says_so() {
    let place = Place::new();
    let log = Log::start(open(&place.at("log.sqlite")));
    let (told, durable) = channel();
    let well = log.writer(move |news| told.send(news).expect("we wait"));
    well.append(vec![change(ONE, "a")]).expect("it is open");
    let first = durable.recv_timeout(WAIT).expect("it is saved");
    assert!(matches!(first, Durable::Through(Ticket(1))), "{first:?}");
    let bug = log.writer(|_| panic!("a bug, planted by a test"));
    bug.append(vec![change(TWO, "x")]).expect("it is open");
    let Durable::Failed(fault) = durable.recv_timeout(WAIT).expect("it is told") else {
        panic!("it went on")
    };
    assert!(fault.to_string().contains("a bug has ended its thread"), "{fault}");
    assert_eq!(well.append(vec![change(ONE, "b")]), Err(LogFault::Broken));
    // What was durable still is.
    drop((well, bug, log));
    assert_eq!(texts(&open(&place.at("log.sqlite")).restore(ONE).expect("whole")), ["a"]);
}

#[test]
fn what_was_durable_survives_a_kill() {
    for round in 0..6_u64 {
        let place = Place::new();
        let path = place.at("log.sqlite");
        let mut command = Command::new(std::env::current_exe().expect("we run"));
        command.args(["--exact", "store::killed_child", "--nocapture"]);
        command.env("LEYDEN_STORE", &path).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it is built");
        let mut durable = 0;
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.split("DURABLE ").nth(1) {
                durable = number.parse().expect("a number");
                if durable > 100 + 150 * round {
                    break;
                }
            }
        }
        child.kill().expect("it runs");
        child.wait().expect("it is ours");
        let mut store = open(&path);
        let (one, two) = (store.restore(ONE).expect("whole"), store.restore(TWO).expect("whole"));
        assert_eq!(texts(&one), texts(&two), "batches are whole");
        let numbers: Vec<u64> = texts(&one).iter().map(|it| it.parse().expect("ours")).collect();
        assert!(numbers.len() as u64 >= durable, "{} of {durable}", numbers.len());
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "a prefix");
    }
}

#[test]
fn what_is_no_store_of_ours_is_left_alone() {
    let place = Place::new();
    let path = place.at("log.sqlite");
    let refused = |path: &Path| Store::open(path, None).err().map(|fault| fault.to_string());

    std::fs::write(&path, vec![0x5a; 8_192]).expect("a file");
    assert!(refused(&path).is_some());
    assert_eq!(std::fs::read(&path).expect("a file"), vec![0x5a; 8_192], "it is not touched");

    let other = place.at("other.sqlite");
    let sql = rusqlite::Connection::open(&other).expect("a database");
    sql.execute_batch("CREATE TABLE theirs (x); PRAGMA application_id = 5;").expect("ours to make");
    drop(sql);
    assert!(matches!(Store::open(&other, None), Err(StoreFault::Foreign { got: 5, .. })));

    let newer = place.at("newer.sqlite");
    drop(open(&newer));
    let sql = rusqlite::Connection::open(&newer).expect("a database");
    sql.execute_batch("PRAGMA user_version = 99;").expect("ours to change");
    drop(sql);
    assert!(matches!(Store::open(&newer, None), Err(StoreFault::Newer { got: 99, max: 1, .. })));

    let used = place.at("used.sqlite");
    let first = open(&used);
    assert!(matches!(Store::open(&used, None), Err(StoreFault::InUse { .. })));
    drop(first);
    assert!(refused(&used).is_none());

    let below = place.at("used.sqlite").join("log.sqlite");
    assert!(matches!(Store::open(&below, None), Err(StoreFault::Unusable { .. })));

    // Damaged in the middle: found at the start, not when it matters.
    let damaged = place.at("damaged.sqlite");
    let mut store = open(&damaged);
    let many = (0..3_000).map(|number| change(ONE, &format!("{number:0100}"))).collect();
    store.commit(&[many]).expect("room");
    drop(store);
    let mut bytes = std::fs::read(&damaged).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3_000].fill(0xee);
    std::fs::write(&damaged, bytes).expect("a file");
    assert!(matches!(Store::open(&damaged, None), Err(StoreFault::Damaged { .. })));
}

/// Whoever made the file may have died before it wrote anything.
#[test]
fn a_blank_database_is_taken_for_a_new_one() {
    let place = Place::new();
    let path = place.at("log.sqlite");
    let sql = rusqlite::Connection::open(&path).expect("a database");
    sql.execute_batch("PRAGMA journal_mode = WAL; BEGIN EXCLUSIVE; COMMIT;").expect("ours to make");
    drop(sql);
    open(&path);
}

#[test]
fn a_full_store_says_so_and_keeps_what_it_has() {
    let place = Place::new();
    let path = place.at("log.sqlite");
    let mut store = Store::open(&path, Some(40)).expect("forty pages are enough for a start");
    let mut kept = Vec::new();
    let fault = loop {
        let text = format!("{:04000}", kept.len());
        match store.commit(&[vec![change(ONE, &text)]]) {
            Ok(()) => kept.push(text),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, StoreFault::Full { .. }), "{fault}");
    assert!(kept.len() > 10);
    drop(store);
    let mut store = open(&path);
    assert_eq!(texts(&store.restore(ONE).expect("whole")), kept);
    store.commit(&[vec![change(ONE, "with more room")]]).expect("room");
}

/// A sum is as long as it is: half a million headers are more than one write of another kind.
#[test]
fn a_long_sum_is_kept() {
    let place = Place::new();
    let path = place.at("log.sqlite");
    let (told, news) = channel();
    let log = Log::start(open(&path));
    let writer = log.writer(move |durable| told.send(durable).expect("we wait"));
    let sum: Vec<u8> = (0..WRITE_BYTES_MAX + 5).map(|at| (at % 251) as u8).collect();
    let snapshot = Write::Snapshot { core: ONE, bytes: sum.clone() };
    assert_eq!(writer.append(vec![change(ONE, "a"), snapshot, change(ONE, "b")]), Ok(Ticket(1)));
    assert!(matches!(news.recv_timeout(WAIT), Ok(Durable::Through(Ticket(1)))));
    // Its memory is never touched.
    let too_long = Write::Snapshot { core: ONE, bytes: vec![0; SNAPSHOT_BYTES_MAX + 1] };
    let want = LogFault::TooLong { got: SNAPSHOT_BYTES_MAX + 1, max: SNAPSHOT_BYTES_MAX };
    assert_eq!(writer.append(vec![too_long]), Err(want));
    drop((writer, log));
    let restored = open(&path).restore(ONE).expect("whole");
    assert!(restored.snapshot == Some(sum));
    assert_eq!(texts(&restored), ["b"]);
}

#[test]
fn after_a_failed_commit_nothing_more_is_taken() {
    let place = Place::new();
    let store = Store::open(&place.at("log.sqlite"), Some(20)).expect("it opens");
    let (told, news) = channel();
    let log = Log::start(store).writer(move |durable| told.send(durable).expect("we wait"));
    let long = "x".repeat(20_000);
    for _ in 0..200 {
        if log.append(vec![change(ONE, &long)]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let failed = news.iter().find(|news| matches!(news, Durable::Failed(_)));
    let Some(Durable::Failed(fault)) = failed else { panic!("it is full: {failed:?}") };
    assert!(matches!(*fault, StoreFault::Full { .. }));
    assert_eq!(log.append(vec![change(ONE, "y")]), Err(LogFault::Broken));
    let too_long = vec![change(ONE, &"z".repeat(WRITE_BYTES_MAX + 1))];
    let want = LogFault::TooLong { got: WRITE_BYTES_MAX + 1, max: WRITE_BYTES_MAX };
    assert_eq!(log.append(too_long), Err(want));
}

/// Each writer hears of its own tickets, and of the end of all.
#[test]
fn writers_of_one_log_do_not_disturb_each_other() {
    let place = Place::new();
    let store = Store::open(&place.at("log.sqlite"), Some(20)).expect("it opens");
    let log = Log::start(store);
    let writer = || {
        let (told, news) = channel();
        (log.writer(move |durable| told.send(durable).expect("we wait")), news)
    };
    let ((one, of_one), (two, of_two)) = (writer(), writer());
    let last = |news: &std::sync::mpsc::Receiver<Durable>, want: Ticket| {
        let seen = news.iter().find(|news| !matches!(news, Durable::Through(at) if *at < want));
        assert!(matches!(seen, Some(Durable::Through(at)) if at == want), "{want:?}: {seen:?}");
    };
    for n in 1..=3 {
        assert_eq!(one.append(vec![change(ONE, "a")]), Ok(Ticket(n)));
    }
    assert_eq!(two.append(vec![change(TWO, "b")]), Ok(Ticket(1)));
    last(&of_one, Ticket(3));
    last(&of_two, Ticket(1));
    assert!(of_two.try_recv().is_err(), "it has nothing else to hear");
    let long = "x".repeat(20_000);
    while one.append(vec![change(ONE, &long)]).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(two.append(vec![change(TWO, "c")]), Err(LogFault::Broken));
    assert!(of_two.iter().any(|news| matches!(news, Durable::Failed(_))));
}

/// A node whose disk is full stops, says why, and starts again with all that it had told of.
#[test]
fn a_node_with_a_full_disk_stops_and_says_why() {
    let place = Place::new();
    let mut small = plan(place.path(), 61);
    small.store_pages_max = Some(24);
    let (told, events) = channel();
    let running = roles::start(
        small,
        Box::new(move |event| {
            told.send(event).ok();
        }),
    );
    let running = running.expect("it starts");
    let bell = running.bell.clone().expect("a node");
    let other = Party::start(62);
    let (node, address) = (other.id(), other.address());
    let connect = post::Command::Connect { node, address };
    let begin = std::time::Instant::now();
    loop {
        assert!(begin.elapsed() < WAIT);
        let (said, reply) = channel();
        let answer = Box::new(move |reply| {
            said.send(reply).ok();
        });
        bell.call(connect.clone(), answer).expect("little waits");
        match reply.recv_timeout(WAIT).expect("an answer") {
            Ok(Reply::Peer(_)) => break,
            Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    other.until_connected();
    // The peer says more than the disk holds.
    let ended = std::thread::spawn(move || running.wait());
    let us = other.peers()[0];
    let bytes = [&[0x81, 1][..], &[7; 20_000]].concat();
    while !ended.is_finished() {
        assert!(begin.elapsed() < WAIT, "it goes on with a full disk");
        other.call(post::Command::Message { node: us, bytes: bytes.clone() }).ok();
    }
    let Err(RunFault::Office(fault)) = ended.join().expect("no panic") else {
        panic!("it ended as if nothing was")
    };
    let text = fault.to_string();
    assert!(text.contains("no room left"), "{text}");
    let was_told = events.try_iter().filter(|it| matches!(it, post::Event::Message { .. })).count();
    let mut store = open(&place.at("log.sqlite"));
    let kept = store.newest(node::io::office::POST, b"received", u32::MAX).expect("whole");
    assert!(kept.len() >= was_told, "{} kept, {was_told} told", kept.len());
}
