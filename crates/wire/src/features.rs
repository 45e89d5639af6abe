//! Feature bits: names, contexts and dependencies (BOLT 9).

use core::fmt;

use crate::{
    dice::Dice,
    fault::Broke,
    field::{Field, Value},
    hex::Hex,
    list::write_prefixed,
    reader::Reader,
};

/// Declares the pairs of feature bits, each by the number of its even bit.
macro_rules! features {
    ($( $(#[$doc:meta])* $even:literal $Name:ident $bolt:literal [$($context:ident)*]
        needs [$($needs:ident)*]; )*) => {
        /// A feature that BOLT 9 names, or one of ours. Its value is its even bit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Feature { $( $(#[$doc])* $Name = $even, )* }

        impl Feature {
            /// Every feature, by rising bit.
            pub const ALL: &'static [Self] = &[$( Self::$Name, )*];

            /// The name in BOLT 9.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$Name => $bolt, )* }
            }

            /// Where the feature may be shown.
            pub const fn contexts(self) -> &'static [Context] {
                match self { $( Self::$Name => &[$( Context::$context, )*], )* }
            }

            /// The features without which it makes no sense.
            pub const fn needs(self) -> &'static [Self] {
                match self { $( Self::$Name => &[$( Self::$needs, )*], )* }
            }
        }
    };
}

/// Where a feature bit may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// `I`: in `init`.
    Init,
    /// `N`: in `node_announcement`.
    Node,
    /// `9`: in BOLT 11 invoices.
    Invoice,
    /// `T`: in `channel_type`.
    ChannelType,
    /// Assumed of every node: the bit says nothing any more.
    Assumed,
}

features! {
    /// Assumed.
    0 DataLossProtect "option_data_loss_protect" [Assumed] needs [];
    /// Commits to a closing script when the channel opens.
    4 UpfrontShutdownScript "option_upfront_shutdown_script" [Init Node] needs [];
    /// The peer has gossip worth asking for.
    6 GossipQueries "gossip_queries" [] needs [];
    /// Assumed.
    8 VarOnion "var_onion_optin" [Assumed] needs [];
    /// Gossip queries can ask for timestamps and checksums.
    10 GossipQueriesEx "gossip_queries_ex" [Init Node] needs [];
    /// Assumed.
    12 StaticRemotekey "option_static_remotekey" [Assumed ChannelType] needs [];
    /// Assumed.
    14 PaymentSecret "payment_secret" [Assumed] needs [];
    /// Receives payments in parts.
    16 BasicMpp "basic_mpp" [Init Node Invoice] needs [PaymentSecret];
    /// Channels above 2^24 satoshis.
    18 SupportLargeChannel "option_support_large_channel" [Init Node] needs [];
    /// Anchor outputs and HTLC transactions without fees.
    22 Anchors "option_anchors" [Init Node ChannelType] needs [];
    /// Blinded paths.
    24 RouteBlinding "option_route_blinding" [Init Node Invoice] needs [];
    /// Any segwit version in `shutdown`.
    26 ShutdownAnysegwit "option_shutdown_anysegwit" [Init Node] needs [];
    /// Version 2 of the opening.
    28 DualFund "option_dual_fund" [Init Node] needs [];
    /// `stfu`.
    34 Quiesce "option_quiesce" [Init Node] needs [];
    /// Failures that can be attributed.
    36 AttributionData "option_attribution_data" [Init Node Invoice] needs [];
    /// Forwards onion messages.
    38 OnionMessages "option_onion_messages" [Init Node] needs [];
    /// Stores a peer's backup.
    42 ProvideStorage "option_provide_storage" [Init Node] needs [];
    /// Assumed.
    44 ChannelType "option_channel_type" [Assumed] needs [];
    /// Channel aliases for routing.
    46 ScidAlias "option_scid_alias" [Init Node ChannelType] needs [];
    /// Metadata in payments.
    48 PaymentMetadata "option_payment_metadata" [Invoice] needs [];
    /// Channels that work before they confirm.
    50 Zeroconf "option_zeroconf" [Init Node ChannelType] needs [ScidAlias];
    /// `closing_complete` and `closing_sig`.
    60 SimpleClose "option_simple_close" [Init Node] needs [ShutdownAnysegwit];
    /// Replaces the funding transaction of a living channel.
    62 Splice "option_splice" [Init Node] needs [];
    /// Ours, no BOLT's: contracts whose refund is relative. Bits from 256 on are custom, and no
    /// bLIP has this one.
    560 Parked "option_parked" [Init] needs [Anchors];
}

/// Why a set of features cannot be accepted: "MUST close the connection" (BOLT 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureFault {
    /// A required bit that we do not know.
    UnknownRequired {
        /// The bit.
        bit: usize,
    },
    /// A feature without one that it builds on.
    Needs {
        /// The feature that is set.
        feature: Feature,
        /// The feature that is not.
        needs: Feature,
    },
    /// A required feature that we do not offer.
    NotOffered {
        /// The feature.
        feature: Feature,
    },
}

impl fmt::Display for FeatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRequired { bit } => write!(f, "unknown required feature bit {bit}"),
            Self::Needs { feature, needs } => write!(
                f,
                "{} (bit {}) without {} (bit {})",
                feature.name(),
                *feature as u16,
                needs.name(),
                *needs as u16
            ),
            Self::NotOffered { feature } => {
                write!(f, "{} (bit {}) required, not offered", feature.name(), *feature as u16)
            }
        }
    }
}

impl core::error::Error for FeatureFault {}

/// A set of feature bits, kept to the byte as it was read. Two sets are equal when their bits are,
/// however many zeros stand before them.
#[derive(Clone, Default)]
pub struct Features {
    be: Vec<u8>,
}

impl PartialEq for Features {
    fn eq(&self, other: &Self) -> bool {
        self.trimmed() == other.trimmed()
    }
}

impl Eq for Features {}

/// So many features are named before the rest is only counted.
pub const SHOWN_FEATURES_MAX: usize = 64;

impl Features {
    /// No feature.
    pub const NONE: Self = Self { be: Vec::new() };

    /// These features, each as one that may be ignored (the odd bit).
    pub fn optional(features: &[Feature]) -> Self {
        features.iter().fold(Self::NONE, |set, feature| set.with_bit(*feature as usize + 1))
    }

    /// The same set and this feature as one that must be understood (the even bit).
    #[must_use]
    pub fn and_required(self, feature: Feature) -> Self {
        self.with_bit(feature as usize)
    }

    /// Whether a bit is set.
    pub fn bit(&self, bit: usize) -> bool {
        let place = self.be.len().checked_sub(1 + bit / 8);
        place.is_some_and(|place| self.be[place] >> (bit % 8) & 1 == 1)
    }

    /// Set as one or the other bit, or assumed of everyone.
    pub fn offers(&self, feature: Feature) -> bool {
        feature.contexts().contains(&Context::Assumed)
            || self.bit(feature as usize)
            || self.bit(feature as usize + 1)
    }

    /// Set as one or the other bit of the pair that this one belongs to.
    pub fn offers_pair(&self, bit: usize) -> bool {
        self.bit(bit & !1) || self.bit(bit | 1)
    }

    /// Set as the even bit. BOLT 9: if both bits are set, "treated as mandatory".
    pub fn requires(&self, feature: Feature) -> bool {
        self.bit(feature as usize)
    }

    /// All bits that are set, rising.
    pub fn bits(&self) -> impl Iterator<Item = usize> {
        (0..self.be.len() * 8).filter(|bit| self.bit(*bit))
    }

    /// Bits of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (mut long, short) = match self.be.len() >= other.be.len() {
            true => (self.be.clone(), &other.be),
            false => (other.be.clone(), &self.be),
        };
        let shift = long.len() - short.len();
        long[shift..].iter_mut().zip(short).for_each(|(byte, more)| *byte |= more);
        Self { be: long }
    }

    /// Refuses what cannot be accepted from anyone: an unknown even bit, a missing dependency.
    pub fn judge(&self) -> Result<(), FeatureFault> {
        let known = |bit: &usize| Feature::ALL.iter().any(|feature| *feature as usize == *bit);
        if let Some(bit) = self.bits().find(|bit| bit.is_multiple_of(2) && !known(bit)) {
            return Err(FeatureFault::UnknownRequired { bit });
        }
        // Each feature is looked at, so a chain of dependencies breaks at its missing link.
        let set = |feature: Feature| self.bit(feature as usize) || self.bit(feature as usize + 1);
        for feature in Feature::ALL.iter().copied().filter(|feature| set(*feature)) {
            if let Some(needs) = feature.needs().iter().copied().find(|n| !self.offers(*n)) {
                return Err(FeatureFault::Needs { feature, needs });
            }
        }
        Ok(())
    }

    /// What both sides will use; refuses a peer that requires what we do not offer.
    pub fn negotiate(&self, remote: &Self) -> Result<Vec<Feature>, FeatureFault> {
        remote.judge()?;
        let all = Feature::ALL.iter().copied();
        if let Some(feature) = all.clone().find(|f| remote.requires(*f) && !self.offers(*f)) {
            return Err(FeatureFault::NotOffered { feature });
        }
        Ok(all.filter(|f| self.offers(*f) && (remote.offers(*f) || self.requires(*f))).collect())
    }

    /// The bytes, big-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.be
    }

    /// A set from its bytes, big-endian.
    pub fn from_bytes(be: &[u8]) -> Self {
        Self { be: be.to_vec() }
    }

    fn trimmed(&self) -> &[u8] {
        let zeros = self.be.iter().take_while(|byte| **byte == 0).count();
        &self.be[zeros..]
    }

    /// The same set and this bit, whether anybody has named it or not.
    #[must_use]
    pub fn with_bit(mut self, bit: usize) -> Self {
        let len = bit / 8 + 1;
        if self.be.len() < len {
            self.be.splice(0..0, core::iter::repeat_n(0, len - self.be.len()));
        }
        let place = self.be.len() - len;
        self.be[place] |= 1 << (bit % 8);
        self
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.be), f)
    }
}

/// Names what is known, numbers what is not; `!` marks what is required.
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, bit) in self.bits().enumerate() {
            if at == SHOWN_FEATURES_MAX {
                return write!(f, " …+{}", self.bits().count() - at);
            }
            let space = if at == 0 { "" } else { " " };
            let required = if bit.is_multiple_of(2) { "!" } else { "" };
            match Feature::ALL.iter().find(|feature| **feature as usize == bit & !1) {
                Some(feature) => write!(f, "{space}{}{required}", feature.name())?,
                None => write!(f, "{space}{bit}{required}")?,
            }
        }
        Ok(())
    }
}

impl Field for Features {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Ok(Self::from_bytes(from.prefixed()?))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        write_prefixed(&self.be, to);
    }

    #[inline]
    fn size(&self) -> usize {
        2 + self.be.len()
    }

    fn generate(dice: &mut Dice) -> Self {
        Self { be: dice.bytes(12) }
    }
}

impl Value for Features {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Ok(Self::from_bytes(from.rest()))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.be);
    }

    #[inline]
    fn size(&self) -> usize {
        self.be.len()
    }

    fn generate(dice: &mut Dice) -> Self {
        Field::generate(dice)
    }
}
