//! A chain that is validated by Bitcoin Core's kernel, our own beside it, and who asks them.

mod purse;
mod refusals;
