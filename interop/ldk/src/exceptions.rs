//! Where our codec and LDK's differ, each with the words of the BOLT that let them.
//!
//! Two kinds. A *verdict* exception explains why one side refuses what the other accepts. A
//! *re-encoding* exception says what LDK leaves out when it writes a message again; the comparison
//! applies it to our value and then wants the same bytes.

use wire::{Fault, Message, features::Features, list::Blob, tlv::Unknown};

/// One side refuses, the other does not.
pub struct Verdict {
    /// A short name for the counts.
    pub name: &'static str,
    /// What the BOLT says.
    pub quote: &'static str,
    /// Whether this is such a case: the type, the whole message, and our refusal if we refused.
    pub holds: fn(u16, &[u8], Option<&Fault>) -> bool,
}

/// Both accept, and LDK writes less than it read.
pub struct Rewrite {
    /// A short name for the counts.
    pub name: &'static str,
    /// What the BOLT says.
    pub quote: &'static str,
    /// Makes our value what LDK kept of it; tells whether that changed anything.
    pub apply: fn(&mut Message) -> bool,
}

fn field_of(fault: Option<&Fault>) -> Option<&'static str> {
    match fault {
        Some(Fault::Field { field, .. }) => Some(field),
        _ => None,
    }
}

/// All verdict exceptions.
pub const VERDICTS: &[Verdict] = &[
    Verdict {
        name: "LDK does not look at the extension of its hand-written messages",
        quote: "BOLT 1: \"upon receiving a message with an `extension`: MAY ignore the \
                `extension`. Otherwise, if the `extension` is invalid: MUST close the \
                connection.\"",
        holds: |message_type, _, ours| {
            let by_hand = [1, 17, 18, 19, 261, 264].contains(&message_type);
            by_hand && field_of(ours) == Some("extension")
        },
    },
    Verdict {
        name: "LDK does not know the records of gossip queries",
        quote: "BOLT 1: \"if `type` is known: MUST decode the next `length` bytes using the known \
                encoding for `type`\"; BOLT 7 defines `query_flags`, `query_option`, \
                `timestamps_tlv` and `checksums_tlv`.",
        holds: |message_type, _, ours| match message_type {
            261 => field_of(ours) == Some("query_flags"),
            263 => field_of(ours) == Some("query_option"),
            264 => matches!(field_of(ours), Some("timestamps_tlv" | "checksums_tlv")),
            _ => false,
        },
    },
    Verdict {
        name: "LDK wants complaints in UTF-8",
        quote: "BOLT 1: `error` and `warning` carry [`len*byte`:`data`], and \"if `data` is not \
                composed solely of printable ASCII characters: SHOULD NOT print out `data` \
                verbatim.\"",
        holds: |message_type, bytes, ours| {
            let data = || match Message::decode(bytes) {
                Ok(Message::Error(error)) => Some(error.data),
                Ok(Message::Warning(warning)) => Some(warning.data),
                _ => None,
            };
            [1, 17].contains(&message_type)
                && ours.is_none()
                && data().is_some_and(|data| data.text().is_err())
        },
    },
    Verdict {
        name: "LDK insists on the bit `must_be_one`",
        quote: "BOLT 7: \"`must_be_one` is a constant value, and ignored by receivers.\"",
        holds: |message_type, bytes, ours| {
            message_type == 258 && ours.is_none() && bytes.get(110).is_some_and(|f| f & 1 == 0)
        },
    },
];

/// All re-encoding exceptions, applied in this order.
pub const REWRITES: &[Rewrite] = &[
    Rewrite {
        name: "LDK discards unknown odd records",
        quote: "BOLT 1: \"otherwise, if `type` is odd: MUST discard the next `length` bytes.\" We \
                keep them for whoever subscribes.",
        apply: |message| {
            let unknown = message.unknown_records();
            unknown.is_some_and(|unknown| std::mem::take(unknown) != Unknown::NONE)
        },
    },
    Rewrite {
        name: "LDK discards the records of gossip queries",
        quote: "BOLT 7 defines them; LDK answers queries without them.",
        apply: |message| match message {
            Message::QueryShortChannelIds(query) => query.query_flags.take().is_some(),
            Message::QueryChannelRange(query) => query.query_option.take().is_some(),
            Message::ReplyChannelRange(reply) => {
                reply.timestamps_tlv.take().is_some() | reply.checksums_tlv.take().is_some()
            }
            _ => false,
        },
    },
    Rewrite {
        name: "LDK joins the two bitmaps of init and writes them anew",
        quote: "BOLT 1: \"MUST combine (bitwise OR) the two feature bitmaps into one logical \
                `features` map\"; the sender \"SHOULD NOT set features greater than 13 in \
                `globalfeatures`.\"",
        apply: |message| {
            let Message::Init(init) = message else { return false };
            let all = init.all_features();
            let be = all.bytes();
            let mut low = be[be.len().saturating_sub(2)..].to_vec();
            if let [high, _] = low.as_mut_slice() {
                *high &= 0b0011_1111;
            }
            let joined = (Features::from_bytes(&low), all);
            let was = (
                std::mem::replace(&mut init.globalfeatures, joined.0.clone()),
                std::mem::replace(&mut init.features, joined.1.clone()),
            );
            was != joined
        },
    },
    Rewrite {
        name: "LDK forgets the ignored bytes of ping and pong",
        quote: "BOLT 1: \"SHOULD set `ignored` to 0s\", and the receiver has no use for them.",
        apply: |message| {
            let ignored = match message {
                Message::Ping(ping) => &mut ping.ignored,
                Message::Pong(pong) => &mut pong.ignored,
                _ => return false,
            };
            let zeros = Blob(vec![0; ignored.0.len()]);
            std::mem::replace(ignored, zeros.clone()) != zeros
        },
    },
    Rewrite {
        name: "LDK reads the onion's key early and forgets one that is no point",
        quote: "BOLT 2: `onion_routing_packet` is [`1366*byte`]; one that cannot be read is \
                answered with the SHA-256 of exactly these bytes (`update_fail_malformed_htlc`).",
        apply: |message| {
            let Message::UpdateAddHtlc(add) = message else { return false };
            let key: &mut [u8; 33] =
                (&mut add.onion_routing_packet.0[1..34]).try_into().expect("33 bytes");
            let lost = wire::key::Point::parse(key).is_err() && *key != [0; 33];
            if lost {
                *key = [0; 33];
            }
            lost
        },
    },
];
