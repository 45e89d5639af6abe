//! Who listens to a holder of sockets, as a node does.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    time::{Duration, Instant},
};

use bus::{Grant, Hub, Input, Kind, LinkId, NotSent};
use peer::{
    Epoch,
    desk::{Desk, News, Token},
    holder::{Answer, Event},
};
use zeroize::Zeroizing;

use crate::process::WAIT;

/// A desk, and its link to a holder, which comes back by itself.
pub struct Subscriber {
    hub: Hub,
    /// What it knows.
    pub desk: Desk,
    link: Option<LinkId>,
    asked: BTreeMap<u64, Token>,
    unsent: VecDeque<(Token, u16, Zeroizing<Vec<u8>>)>,
    /// How often the link came up.
    pub lives: usize,
}

impl Subscriber {
    /// Listens to whoever is at this path.
    pub fn new(path: &Path, epoch: u64) -> Self {
        let mut hub = Hub::new().expect("a loop");
        hub.stand(path, Grant::nothing("sockets"));
        let desk = Desk::new(Epoch(epoch), BTreeMap::new());
        let (asked, unsent) = (BTreeMap::new(), VecDeque::new());
        let mut subscriber = Self { hub, desk, link: None, asked, unsent, lives: 0 };
        let caught = |news: &News| matches!(news, News::Caught);
        assert!(subscriber.until(caught).is_some(), "nobody is at that path");
        subscriber
    }

    /// Does what there is to do, waiting so long if there is nothing; tells the news.
    pub fn turn(&mut self, wait: Duration) -> Vec<News> {
        self.send();
        let mut inputs = Vec::new();
        self.hub.poll(Some(wait), &mut inputs).expect("a loop goes on");
        for input in inputs {
            self.take(input);
        }
        self.send();
        std::iter::from_fn(|| self.desk.news()).collect()
    }

    /// Turns until there is such news.
    pub fn until(&mut self, mut wanted: impl FnMut(&News) -> bool) -> Option<News> {
        let end = Instant::now() + WAIT;
        while Instant::now() < end {
            for news in self.turn(Duration::from_millis(20)) {
                if wanted(&news) {
                    return Some(news);
                }
            }
        }
        None
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::LinkUp { link, .. } => {
                self.link = Some(link);
                self.lives += 1;
                self.desk.link_came();
            }
            Input::LinkDown { .. } => {
                self.link = None;
                self.asked.clear();
                self.unsent.clear();
                self.desk.link_went();
            }
            Input::Frame { frame, .. } => match frame.kind {
                Kind::Answer => {
                    let Some(token) = self.asked.remove(&frame.id) else { return };
                    let answer = Answer::decode(frame.topic, &frame.payload).expect("an answer");
                    self.desk.answered(token, answer);
                }
                Kind::Event => {
                    let event = Event::decode(frame.topic, &frame.payload).expect("an event");
                    self.desk.event(event);
                }
                Kind::Ask => {}
            },
            Input::Denied { .. } | Input::Room { .. } | Input::Ready { .. } | Input::Woken => {}
        }
    }

    fn send(&mut self) {
        let Some(link) = self.link else { return };
        loop {
            if self.unsent.is_empty() {
                let next = self.desk.poll();
                self.unsent.extend(next.map(|(token, ask)| (token, ask.topic(), ask.encode())));
            }
            let Some((token, topic, payload)) = self.unsent.front() else { return };
            match self.hub.ask(link, *topic, payload) {
                Ok(id) => {
                    self.asked.insert(id, *token);
                    self.unsent.pop_front();
                }
                Err(NotSent::Full { .. } | NotSent::Unanswered { .. } | NotSent::NoLink) => return,
                Err(fault @ (NotSent::NotAsked { .. } | NotSent::TooLong { .. })) => {
                    panic!("{fault}")
                }
            }
        }
    }
}
