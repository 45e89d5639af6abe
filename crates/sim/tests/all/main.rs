//! Worlds: that they keep the rules, can be repeated, and see what is planted.

#[cfg(feature = "planted")]
mod planted;
mod replay;
mod worlds;
