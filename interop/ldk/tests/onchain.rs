//! The end of a channel with LDK, on a chain with real rules: what each side has then, to the
//! satoshi.

mod onchain_parts;
