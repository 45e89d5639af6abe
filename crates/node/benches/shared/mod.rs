//! Two holders of sockets, each with a signer, and many connections between them. Both have their
//! subscriber in the bench's process.

use std::time::{Duration, Instant};

use apart::{Process, Subscriber, WAIT};
use peer::{desk::News, holder::Ask};
use rustix::process::{Resource, getrlimit};

/// Calls under way at once.
const CALLS_MAX: usize = 300;
/// What a holder has besides, and keeps free.
const OTHER_DESCRIPTORS: u64 = 200;
/// So often the bench says how far it is.
const SAID_EVERY: Duration = Duration::from_secs(3);

/// Both sides. Dropped in this order: whoever asks goes before whoever answers.
pub struct World {
    /// Listens to the holder that is measured.
    pub here: Subscriber,
    /// Listens to the other one.
    pub there: Subscriber,
    /// The holder that is measured.
    pub holder: Process,
    /// The holder of the other ends.
    pub peers: Process,
    /// The signer of the first.
    pub ours: Process,
    /// The signer of the second; it has no other use than to live.
    _theirs: Process,
}

impl World {
    /// No connections yet.
    pub fn new() -> Self {
        let (ours, theirs) = (Process::signer(&[], 1), Process::signer(&[], 2));
        let (holder, peers) = (Process::sockets(&[], &ours), Process::sockets(&[], &theirs));
        let here = Subscriber::new(&holder.path("node"), 1);
        let there = Subscriber::new(&peers.path("node"), 1);
        Self { here, there, holder, peers, ours, _theirs: theirs }
    }

    /// Makes so many connections, all called by the other side.
    pub fn open(&mut self, count: usize) {
        let (address, remote) = (self.holder.listening(), self.ours.node());
        let (begin, mut said, mut called) = (Instant::now(), Instant::now(), 0);
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let want = count as u64 + OTHER_DESCRIPTORS;
        assert!(most >= want, "a process may have {most} descriptors here, not {want}");
        let mut open = [0; 2];
        while open != [count; 2] {
            assert!(begin.elapsed() < WAIT, "{open:?} of {count} are open");
            while called < count && called < open[0].min(open[1]) + CALLS_MAX {
                self.there.desk.ask(Ask::Dial { remote, address }).expect("the link is up");
                called += 1;
            }
            for (side, open) in [&mut self.here, &mut self.there].into_iter().zip(&mut open) {
                let news = side.turn(Duration::from_millis(1));
                *open += news.iter().filter(|news| is_opened(news)).count();
            }
            if said.elapsed() > SAID_EVERY {
                said = Instant::now();
                eprintln!("{} of {count} connections are open", open[0]);
            }
        }
        eprintln!("{count} connections after {:.1} s", begin.elapsed().as_secs_f64());
    }
}

/// Nothing but openings is expected while connections are made.
fn is_opened(news: &News) -> bool {
    match news {
        News::Opened(_) => true,
        News::Caught | News::Answered { .. } | News::Sent { .. } => false,
        News::Closed { text, .. } | News::Complaint { text, .. } => panic!("closed: {text}"),
        News::NotSent { why, .. } | News::Superseded { why } => panic!("{why}"),
        News::Behind { have } => panic!("{have:?} was here before"),
        News::Message { .. } => panic!("nobody has sent anything"),
    }
}
