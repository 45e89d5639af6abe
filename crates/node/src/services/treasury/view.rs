//! What the signer knows of the chain: it is told of headers, judges them itself, and says how far
//! it is. It is told nothing else by us that it would have to believe.

use bitcoin::block::Header;
use chain::{BlockRef, Height, REORG_BLOCKS_MAX};
use signer::{Answer, Ask, VIEW_HEADERS_MAX, ViewStatus};
use wire::tick::{Millis, Tick};

use super::{
    Answer as SourceAnswer, Ask as SourceAsk, AskId, Effect, Event, SourceFault, Treasury,
    purse::Waiting,
};

/// A signer that has not said whose money it is may say so later.
const ACCOUNT_AGAIN: Millis = Millis(30_000);

/// The signer's end of the chain, as far as we know.
#[derive(Default)]
pub(super) struct SignersView {
    /// What it has said of itself, and when.
    pub(super) status: Option<(ViewStatus, Tick)>,
    /// A question is open.
    asked: bool,
    /// It has refused headers, or has learnt nothing from them; it is told no more until we have
    /// another tip.
    refused: Option<Height>,
    /// Its newest block when it was told of headers.
    fed: Option<BlockRef>,
    /// Its newest block when it was said that none of our headers is behind that.
    unconnected: Option<BlockRef>,
    /// Our newest block when the source was last asked for what is between.
    looked: Option<Height>,
    /// That question.
    reading: Option<AskId>,
    /// When it is asked once more whose money it is, after it did not say so.
    pub(super) account_at: Option<Tick>,
}

impl SignersView {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The source answers nothing any more.
    pub(super) const fn lose_source(&mut self) {
        (self.reading, self.looked) = (None, None);
    }

    /// Whether a question to the source was asked for the signer. If so it is answered now.
    pub(super) fn has_read(&mut self, id: AskId) -> bool {
        self.reading.take_if(|reading| *reading == id).is_some()
    }
}

impl Treasury {
    /// Asks the signer how far it is.
    pub(super) fn look_at_view(&mut self) {
        self.view.asked = true;
        self.ask_signer(Ask::ViewStatus, Waiting::View);
    }

    pub(super) fn view_answered(&mut self, answer: Option<Answer>) {
        self.view.asked = false;
        match answer {
            Some(Answer::View { status }) => {
                self.view.status = Some((status, self.now));
                if self.view.fed.take() == Some(status.tip) {
                    // It is ahead of us, or knows a better branch.
                    self.view.refused = self.tip().map(|tip| tip.height);
                }
                self.feed_view();
            }
            Some(Answer::Refused(refusal)) => {
                self.view.refused = self.tip().map(|tip| tip.height);
                self.tell(Event::ViewRefused { why: refusal.to_string() });
            }
            // It keeps no view, or is not asked by us.
            _ => self.view.refused = Some(Height(u32::MAX)),
        }
    }

    /// Tells the signer of headers that it does not have.
    pub(super) fn feed_view(&mut self) {
        let Some((status, _)) = self.view.status else { return };
        let Some(tip) = self.tip() else { return };
        let is_refused = self.view.refused.is_some_and(|height| height >= tip.height);
        if self.view.asked || is_refused || status.tip == tip || !self.purse.has_signer() {
            return;
        }
        if let Some(first) = self.begins_above(status.tip) {
            return self.view_is_unconnected(status.tip, first, tip.height);
        }
        self.view.unconnected = None;
        let headers = self.headers_behind(&status);
        if !headers.is_empty() {
            self.tell_view(status.tip, headers);
        }
    }

    /// Our first block, if there are blocks between it and this one.
    fn begins_above(&self, block: BlockRef) -> Option<BlockRef> {
        let first = self.chain.as_ref()?.chain.headers().first();
        (first.height > block.height).then_some(first)
    }

    /// Nothing of ours is behind its newest block. That is said once, and the source is asked for
    /// what is between; if it does not have that, with our next block once more.
    fn view_is_unconnected(&mut self, tip: BlockRef, first: BlockRef, ours: Height) {
        if self.view.unconnected.replace(tip).is_none() {
            self.tell(Event::ViewUnconnected { tip, first });
        }
        if self.source.is_up() && self.view.reading.is_none() && self.view.looked != Some(ours) {
            let ask = SourceAsk::Headers { locator: vec![tip.hash] };
            let (id, ask) = self.source.ask(ask, self.now);
            (self.view.reading, self.view.looked) = (Some(id), Some(ours));
            self.act(Effect::AskSource(id, ask));
        }
    }

    /// The source has been asked for headers that we do not need ourselves. The signer judges them.
    pub(super) fn read_for_view(&mut self, answer: Result<SourceAnswer, SourceFault>) {
        let Some((status, _)) = self.view.status else { return };
        // One that does not have them is no worse for us.
        let Ok(SourceAnswer::Headers(mut headers)) = answer else { return };
        let connects = headers.first().is_some_and(|it| it.prev_blockhash == status.tip.hash);
        if !connects || self.view.asked || !self.purse.has_signer() {
            return;
        }
        headers.truncate(VIEW_HEADERS_MAX);
        // There may be more where these came from.
        self.view.looked = None;
        self.tell_view(status.tip, headers);
    }

    fn tell_view(&mut self, behind: BlockRef, headers: Vec<Header>) {
        self.view.asked = true;
        self.view.refused = None;
        self.view.fed = Some(behind);
        self.ask_signer(Ask::ViewHeaders { headers }, Waiting::View);
    }

    /// Headers behind its newest block; if that is of another branch, from where the branches may
    /// part, but not from below its first block. None if we are not as far as that.
    fn headers_behind(&self, status: &ViewStatus) -> Vec<Header> {
        let Some(following) = &self.chain else { return Vec::new() };
        let (headers, block) = (following.chain.headers(), status.tip);
        let behind = match headers.has(block) {
            true => block.height.0,
            false => {
                let shared = block.height.0.min(headers.tip().height.0);
                shared.saturating_sub(REORG_BLOCKS_MAX).max(status.first.height.0)
            }
        };
        let from = behind.max(headers.first().height.0).saturating_add(1);
        let last = headers.tip().height.0.min(from.saturating_add(VIEW_HEADERS_MAX as u32 - 1));
        (from..=last).filter_map(|height| headers.header_at(Height(height)).copied()).collect()
    }

    /// The signer has not said whose money it is: it may not, or could not understand.
    pub(super) fn account_refused(&mut self) {
        self.view.account_at = Some(self.now + ACCOUNT_AGAIN);
    }

    /// Asks it once more, if it is time.
    pub(super) fn ask_account_again(&mut self) {
        if self.view.account_at.take_if(|at| *at <= self.now).is_some() {
            self.ask_signer(Ask::WalletAccount, Waiting::Account);
        }
    }
}
