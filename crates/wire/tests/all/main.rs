//! One binary for all tests of `wire`, so that `planted` can run the ordinary ones again.

mod allocation;
mod features;
mod layouts;
mod messages;
mod refusals;
mod support;
mod values;
mod vectors_bigsize;
mod vectors_message;
mod vectors_tlv;

#[cfg(feature = "planted")]
mod planted;

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;
