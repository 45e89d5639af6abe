//! Chains that grow, fork and lie, and what their users hear.

mod blocks;
mod headers;
mod model;
