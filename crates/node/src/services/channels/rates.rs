//! What commitments pay: enough for the chain of today, and not changed for little.

use channel::{As, Now, Policy};
use tx::{Form, Side};
use wire::amount::FeeratePerKw;

use super::Channels;

/// With anchors a child pays for haste, so a commitment needs no more than to be taken into every
/// mempool, and a little for when those are full: 10 sat/vB.
const ANCHORS_RATE_MAX: FeeratePerKw = FeeratePerKw(2_500);
/// Without anchors nobody can add anything later: it pays so many times what the next blocks cost.
const MARGIN: u32 = 2;
/// A rate is raised if it should be so many hundredths of what it is.
const RAISE_PERCENT: u64 = 125;
/// It is lowered if it is so many times what it should be: what falls may rise again.
const LOWER_TIMES: u64 = 4;

/// What a commitment should pay.
pub(super) fn rate_of(form: Form, now: Now, policy: &Policy) -> FeeratePerKw {
    let rate = match form {
        Form::Anchors => now.calm.min(ANCHORS_RATE_MAX),
        Form::StaticRemoteKey => FeeratePerKw(now.urgent.0.saturating_mul(MARGIN)),
    };
    rate.clamp(policy.feerate_min, policy.feerate_max)
}

/// Whether that is worth an update.
fn is_far(is: FeeratePerKw, wanted: FeeratePerKw) -> bool {
    let (is, wanted) = (u64::from(is.0), u64::from(wanted.0));
    wanted * 100 >= is * RAISE_PERCENT || wanted * LOWER_TIMES <= is
}

impl Channels {
    /// Whoever has opened a channel pays for its commitments, and says what. A channel whose peer
    /// is away has its turn with a later block.
    pub(super) fn look_at_rates(&mut self) {
        let Some(now) = self.now else { return };
        for name in self.live_names() {
            let channel = &self.state.channels[&name].channel;
            if !Self::is_opener(channel) || !channel.is_up() {
                continue;
            }
            let wanted = rate_of(channel.begun().agreed().form, now, &self.terms.policy);
            // What we have proposed is in the peer's commitments first.
            if !is_far(channel.ledger().feerate(Side::Acceptor, As::Draft), wanted) {
                continue;
            }
            // A channel that is not in use, or cannot pay it, stays as it is.
            if let Ok(outcome) = channel.send_fee(wanted) {
                self.take(name, &outcome);
            }
        }
    }
}
