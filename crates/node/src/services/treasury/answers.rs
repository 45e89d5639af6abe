//! What a source answers, or does not, and what becomes of it.

use bitcoin::{Block, BlockHash, block::Header};
use chain::{Height, RatesFault};
use wire::tick::Tick;

use super::{
    Answer, Ask, AskId, BIRTH_BLOCKS, Effect, Event, Failure, Following, From, Health, LAG_MAX,
    SourceFault, Tip, Treasury,
};

impl Treasury {
    /// So late it is by the clock on the wall, in seconds since 1970.
    pub const fn clock(&mut self, seconds: u32) {
        self.source.clock = Some(seconds);
    }

    /// A question has left for the source only now: it waited for the log. Says whether anybody
    /// still waits for its answer; if not it need not be asked.
    #[must_use]
    pub fn question_left(&mut self, id: AskId, now: Tick) -> bool {
        self.source.left(id, now)
    }

    /// Nobody waits for an answer to a question before this one.
    pub fn first_open(&self) -> AskId {
        self.source.first_open()
    }

    /// The source has answered, or has not.
    pub fn answered(&mut self, id: AskId, answer: Result<Answer, SourceFault>, now: Tick) {
        self.now = now;
        let Some(asked) = self.source.answered(id, now) else { return };
        if self.view.has_read(id) {
            return self.read_for_view(answer);
        }
        match answer {
            Ok(answer) => self.has_answer(asked, answer, now),
            Err(fault) => self.has_no_answer(asked, fault, now),
        }
        self.hear();
        self.ask_more(now);
    }

    /// What is refused concerns itself only, if the source is there.
    fn has_no_answer(&mut self, asked: Ask, fault: SourceFault, now: Tick) {
        match (asked, &fault) {
            // One that has no estimates has blocks nevertheless.
            (Ask::Rates { .. }, SourceFault::Refused { .. } | SourceFault::Nonsense { .. }) => {
                self.fees.handle_no_rates(now)
            }
            (Ask::Block { hash }, SourceFault::Refused { why, .. })
                if fault.is_of_this_question() =>
            {
                let chain = self.chain.as_mut().map(|following| &mut following.chain);
                if let Some(block) = chain.and_then(|chain| chain.handle_no_block(hash))
                    && self.source.has_no_block(block, why.clone(), now)
                {
                    self.tell(Event::NoBlock(self.source.why_no_block(block)));
                }
            }
            _ => self.lose(Health::Down { why: fault.to_string() }, now),
        }
    }

    fn has_answer(&mut self, asked: Ask, answer: Answer, now: Tick) {
        match (asked, answer) {
            (Ask::Tip, Answer::Tip(tip)) => self.has_tip(&tip, now),
            (Ask::HeaderAt { at }, Answer::HeaderAt { height, header }) => {
                self.has_first(at, height, header, now);
            }
            (Ask::Headers { .. }, Answer::Headers(headers)) => self.has_headers(&headers, now),
            (Ask::Block { hash }, Answer::Block(block)) => self.has_block(hash, *block, now),
            (Ask::Publish { attempt, .. }, Answer::Published(answer)) => {
                if let Some(following) = &mut self.chain {
                    // One that came too late is asked again by itself.
                    following.publisher.handle_answer(attempt, answer, now).ok();
                }
            }
            (Ask::Rates { .. }, Answer::Rates(rates)) => match self.fees.handle_rates(rates, now) {
                Ok(()) | Err(RatesFault::Unasked) => {}
                // It is no reason to doubt its blocks.
                Err(fault) => self.tell(Event::Rates(fault)),
            },
            (asked, _) => {
                let why = format!("an answer to another question than {}", asked.name());
                self.lose(Health::Lying { why }, now);
            }
        }
    }

    fn has_tip(&mut self, tip: &Tip, now: Tick) {
        if !self.source.is_ours(&tip.network) {
            let (got, want) = (tip.network.to_string(), self.source.network.to_string());
            return self.lose(Health::OtherNetwork { got, want }, now);
        }
        let was_up = self.source.is_up();
        if was_up {
            self.source.succeed();
        }
        let Some(Following { chain, publisher, .. }) = &mut self.chain else {
            self.set_health(Health::Up);
            let at = match self.terms.birthday {
                Some(height) => From::At(height),
                None => From::Below(BIRTH_BLOCKS),
            };
            if self.source.is_asked(|ask| matches!(ask, Ask::HeaderAt { .. })) {
                return;
            }
            let (id, ask) = self.source.ask(Ask::HeaderAt { at }, now);
            return self.act(Effect::AskSource(id, ask));
        };
        let ours = chain.headers().tip();
        if !was_up {
            chain.handle_source_lost();
            publisher.handle_source_lost(now);
            self.fees.handle_source_lost(now);
        // What our chain is may change with each answer: one question at a time.
        } else if !self.source.is_asked(|ask| matches!(ask, Ask::Headers { .. })) {
            chain.handle_tip(tip.hash);
        }
        let time = chain.headers().header_at(ours.height).map(|header| header.time);
        let age = self.source.lag(tip, time.filter(|_| ours.hash == tip.hash), now);
        let want = tip.headers.max(ours.height);
        self.set_health(match age {
            _ if tip.blocks < want => Health::Behind { have: tip.blocks, want },
            Some(age) => Health::Stale { tip: tip.blocks, age, max: LAG_MAX },
            None => Health::Up,
        });
    }

    /// Our chain is to begin here.
    fn has_first(&mut self, at: From, height: Height, header: Header, now: Tick) {
        if self.chain.is_some() {
            return;
        }
        if let Err(fault) = chain::judge_first(self.terms.network, height, &header) {
            return self.lose(Health::Lying { why: fault.to_string() }, now);
        }
        match at {
            From::At(asked) if height > asked => {
                let why = format!("block {height} when asked for {asked}");
                self.lose(Health::Lying { why }, now);
            }
            From::At(_) | From::Below(_) => self.born_with(height, header),
        }
    }

    fn has_headers(&mut self, headers: &[Header], now: Tick) {
        let Some(following) = &mut self.chain else { return };
        match following.chain.handle_headers(headers) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => self.fail(Failure::Chain(fault)),
            Err(fault) => self.lose(Health::Lying { why: fault.to_string() }, now),
        }
    }

    fn has_block(&mut self, hash: BlockHash, block: Block, now: Tick) {
        let got = block.block_hash();
        if got != hash {
            return self.lose(Health::Lying { why: format!("block {got} for {hash}") }, now);
        }
        self.source.has_block(hash);
        let Some(following) = &mut self.chain else { return };
        match following.chain.handle_block(block) {
            // A block that left the chain meanwhile.
            Ok(()) | Err(chain::BlockFault::Unasked { .. }) => {}
            Err(fault) => self.lose(Health::Lying { why: fault.to_string() }, now),
        }
    }

    /// The source cannot be used for now.
    pub(super) fn lose(&mut self, health: Health, now: Tick) {
        self.source.fail(now);
        self.view.lose_source();
        self.set_health(health);
        self.stop_waiting();
    }

    fn set_health(&mut self, health: Health) {
        let stale = |health: &Health| matches!(health, Health::Stale { .. });
        if stale(&health) && stale(&self.source.health) {
            // It grows older with each question, which is no news.
            self.source.health = health;
        } else if self.source.health != health {
            self.source.health = health.clone();
            self.tell(Event::Source(health));
        }
    }

    pub(super) fn ask_more(&mut self, now: Tick) {
        while self.source.is_up()
            && self.source.has_room()
            && !self.failed
            && let Some(following) = &mut self.chain
        {
            // There may be no end to what the chain asks for.
            let ask = following.publisher.poll().or_else(|| self.fees.poll());
            let Some(ask) = ask.or_else(|| following.chain.poll()) else { return };
            let ask = match ask {
                chain::Ask::Headers { locator } => Ask::Headers { locator },
                chain::Ask::Block { block } => Ask::Block { hash: block.hash },
                chain::Ask::Publish { attempt, package } => Ask::Publish { attempt, package },
                chain::Ask::Rates { targets } => Ask::Rates { targets },
            };
            let (id, ask) = self.source.ask(ask, now);
            self.act(Effect::AskSource(id, ask));
        }
    }
}
