//! What the signer knows of the chain: it is told of headers, judges them itself, and says how far
//! it is. It is told nothing else by us that it would have to believe.

use bitcoin::block::Header;
use chain::{Height, REORG_BLOCKS_MAX};
use signer::{Answer, Ask, VIEW_HEADERS_MAX, ViewStatus};
use wire::tick::Tick;

use super::{Event, Treasury, purse::Waiting};

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
    fed: Option<chain::BlockRef>,
}

impl SignersView {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
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
        let headers = self.headers_behind(status.tip);
        if !headers.is_empty() {
            self.view.asked = true;
            self.view.refused = None;
            self.view.fed = Some(status.tip);
            self.ask_signer(Ask::ViewHeaders { headers }, Waiting::View);
        }
    }

    /// Headers behind a block; if that is of another branch, from where the branches may part.
    fn headers_behind(&self, block: chain::BlockRef) -> Vec<Header> {
        let Some(following) = &self.chain else { return Vec::new() };
        let headers = following.chain.headers();
        let behind = match headers.has(block) {
            true => block.height.0,
            false => block.height.0.min(headers.tip().height.0).saturating_sub(REORG_BLOCKS_MAX),
        };
        let from = behind.max(headers.first().height.0).saturating_add(1);
        let last = headers.tip().height.0.min(from.saturating_add(VIEW_HEADERS_MAX as u32 - 1));
        (from..=last).filter_map(|height| headers.header_at(Height(height)).copied()).collect()
    }
}
