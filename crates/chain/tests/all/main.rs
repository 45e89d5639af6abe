//! Chains that grow, fork and lie, and what their users hear; what is published, and what it costs.

mod blocks;
mod fees;
mod headers;
mod model;
mod periods;
#[cfg(feature = "planted")]
mod planted;
#[cfg(feature = "planted")]
mod plants;
mod proofs;
mod publish;
mod publish_model;
mod reasons;
mod replace;
mod searches;
