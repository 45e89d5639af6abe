//! Which field is which: the layouts as the BOLTs print them, beside our table.
//!
//! Every field gets a value of its own, the bytes are put together by the layout here, and the
//! message that is read must show each value under its name. Two fields of the same width that have
//! changed places cannot hide.

use wire::{Hex, Message, dice::Dice, field::Field as _, key::Point};

/// A line for each message: type and name, then fields, then after `|` the TLV records, each with
/// its number and its fields.
const LAYOUTS: &str = "
1 warning channel_id:32 data:blob
2 stfu channel_id:32 initiator:bool
7 peer_storage blob:blob
9 peer_storage_retrieval blob:blob
16 init globalfeatures:blob features:blob | 1 networks:32s | 3 remote_addr:addr
17 error channel_id:32 data:blob
18 ping num_pong_bytes:u16 ignored:blob
19 pong ignored:blob
32 open_channel chain_hash:32 temporary_channel_id:32 funding_satoshis:u64 push_msat:u64 \
 dust_limit_satoshis:u64 max_htlc_value_in_flight_msat:u64 channel_reserve_satoshis:u64 \
 htlc_minimum_msat:u64 feerate_per_kw:u32 to_self_delay:u16 max_accepted_htlcs:u16 \
 funding_pubkey:point revocation_basepoint:point payment_basepoint:point \
 delayed_payment_basepoint:point htlc_basepoint:point first_per_commitment_point:point \
 channel_flags:u8 | 0 upfront_shutdown_script:rest_script | 1 channel_type:rest
33 accept_channel temporary_channel_id:32 dust_limit_satoshis:u64 \
 max_htlc_value_in_flight_msat:u64 channel_reserve_satoshis:u64 htlc_minimum_msat:u64 \
 minimum_depth:u32 to_self_delay:u16 max_accepted_htlcs:u16 funding_pubkey:point \
 revocation_basepoint:point payment_basepoint:point delayed_payment_basepoint:point \
 htlc_basepoint:point first_per_commitment_point:point \
 | 0 upfront_shutdown_script:rest_script | 1 channel_type:rest
34 funding_created temporary_channel_id:32 funding_txid:txid funding_output_index:u16 signature:64
35 funding_signed channel_id:32 signature:64
36 channel_ready channel_id:32 second_per_commitment_point:point | 1 short_channel_id:scid
38 shutdown channel_id:32 scriptpubkey:script
39 closing_signed channel_id:32 fee_satoshis:u64 signature:64 \
 | 1 min_fee_satoshis:u64 max_fee_satoshis:u64
40 closing_complete channel_id:32 closer_scriptpubkey:script closee_scriptpubkey:script \
 fee_satoshis:u64 locktime:u32 \
 | 1 closer_output_only:64 | 2 closee_output_only:64 | 3 closer_and_closee_outputs:64
41 closing_sig channel_id:32 closer_scriptpubkey:script closee_scriptpubkey:script \
 fee_satoshis:u64 locktime:u32 \
 | 1 closer_output_only:64 | 2 closee_output_only:64 | 3 closer_and_closee_outputs:64
128 update_add_htlc channel_id:32 id:u64 amount_msat:u64 payment_hash:32 cltv_expiry:u32 \
 onion_routing_packet:1366 | 0 path_key:point
130 update_fulfill_htlc channel_id:32 id:u64 payment_preimage:secret \
 | 1 htlc_hold_times:80 truncated_hmacs:840
131 update_fail_htlc channel_id:32 id:u64 reason:blob | 1 htlc_hold_times:80 truncated_hmacs:840
132 commitment_signed channel_id:32 signature:64 htlc_signature:64s | 1 funding_txid:txid
133 revoke_and_ack channel_id:32 per_commitment_secret:secret next_per_commitment_point:point
134 update_fee channel_id:32 feerate_per_kw:u32
135 update_fail_malformed_htlc channel_id:32 id:u64 sha256_of_onion:32 failure_code:u16
136 channel_reestablish channel_id:32 next_commitment_number:u64 next_revocation_number:u64 \
 your_last_per_commitment_secret:secret my_current_per_commitment_point:point \
 | 1 txid:txid retransmit_flags:u8 | 5 txid:txid retransmit_flags:u8
256 channel_announcement node_signature_1:64 node_signature_2:64 bitcoin_signature_1:64 \
 bitcoin_signature_2:64 features:blob chain_hash:32 short_channel_id:scid node_id_1:33 \
 node_id_2:33 bitcoin_key_1:33 bitcoin_key_2:33
257 node_announcement signature:64 features:blob timestamp:u32 node_id:33 rgb_color:3 alias:text \
 addresses:addrs
258 channel_update signature:64 chain_hash:32 short_channel_id:scid timestamp:u32 \
 message_flags:u8 channel_flags:u8 cltv_expiry_delta:u16 htlc_minimum_msat:u64 \
 fee_base_msat:u32 fee_proportional_millionths:u32 htlc_maximum_msat:u64
259 announcement_signatures channel_id:32 short_channel_id:scid node_signature:64 \
 bitcoin_signature:64
261 query_short_channel_ids chain_hash:32 encoded_short_ids:scids | 1 query_flags:flags
262 reply_short_channel_ids_end chain_hash:32 full_information:bool
263 query_channel_range chain_hash:32 first_blocknum:u32 number_of_blocks:u32 \
 | 1 query_option:bigsize
264 reply_channel_range chain_hash:32 first_blocknum:u32 number_of_blocks:u32 \
 sync_complete:bool encoded_short_ids:scids \
 | 1 zero:zero timestamp_node_id_1:u32 timestamp_node_id_2:u32 \
 | 3 checksum_node_id_1:u32 checksum_node_id_2:u32
265 gossip_timestamp_filter chain_hash:32 first_timestamp:u32 timestamp_range:u32
33025 add_parked channel_id:32 id:u64 amount_msat:u64 payment_hash:32 refund_delay:u16
33027 settle_parked channel_id:32 id:u64 payment_preimage:secret
33029 cancel_parked channel_id:32 id:u64
33031 ask_parked channel_id:32 id:u64
";

/// A value that stands nowhere else in the message: its bytes, and what the message must show.
fn value(kind: &str, n: u8, dice: &mut Dice) -> (Vec<u8>, String) {
    let plain = |len: usize| {
        let bytes = vec![n; len];
        let shown = Hex(&bytes).to_string();
        (bytes, shown)
    };
    let prefixed = |bytes: Vec<u8>| [(bytes.len() as u16).to_be_bytes().to_vec(), bytes].concat();
    let number = 3 + u64::from(n) * 7;
    let scid = (u64::from(n) << 40 | u64::from(n) << 16 | 5, format!("{n}x{n}x5"));
    match kind {
        "u8" => (vec![n], n.to_string()),
        "u16" => ((number as u16).to_be_bytes().into(), number.to_string()),
        "u32" => ((number as u32).to_be_bytes().into(), number.to_string()),
        "u64" => (number.to_be_bytes().into(), number.to_string()),
        "bool" => (vec![1], "true".into()),
        "zero" => (vec![0], String::new()),
        "point" => {
            let point = Point::generate(dice);
            (point.bytes().into(), point.to_string())
        }
        "txid" => {
            let mut bytes: [u8; 32] = dice.array();
            let sent = bytes.to_vec();
            bytes.reverse();
            (sent, Hex(&bytes).to_string())
        }
        "secret" => (vec![n; 32], "(…)".into()),
        "scid" => (scid.0.to_be_bytes().into(), scid.1),
        "scids" => (prefixed([&[0][..], &scid.0.to_be_bytes()].concat()), format!("[{}]", scid.1)),
        "blob" => (prefixed(plain(5).0), plain(5).1),
        "rest" => plain(5),
        "script" => (prefixed(vec![0x50 + n % 16]), format!("OP_PUSHNUM_{}", n % 16)),
        "rest_script" => (vec![0x50 + n % 16], format!("OP_PUSHNUM_{}", n % 16)),
        "text" => (vec![b'a' + n; 32], char::from(b'a' + n).to_string().repeat(32)),
        "addr" => (vec![1, 127, 0, 0, n, 38, 7], format!("127.0.0.{n}:9735")),
        "addrs" => (prefixed(vec![1, 127, 0, 0, n, 38, 7]), format!("[127.0.0.{n}:9735]")),
        "flags" => (vec![0, n, n + 1], format!("[{n}, {}]", n + 1)),
        "bigsize" => (vec![n], n.to_string()),
        "32s" => (plain(32).0, plain(32).1),
        "64s" => ([vec![0, 1], plain(64).0].concat(), plain(64).1),
        len => plain(len.parse().unwrap_or_else(|_| panic!("no kind is called {len}"))),
    }
}

/// Puts the fields of a part together; what the message must show of them is added to `shown`.
fn part(
    fields: &[&str],
    n: &mut u8,
    dice: &mut Dice,
    shown: &mut Vec<(String, String)>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        let (name, kind) = field.split_once(':').expect("a field is name:kind");
        let (value, text) = value(kind, *n, dice);
        bytes.extend(value);
        *n += 1;
        if kind != "zero" {
            shown.push((name.to_owned(), text));
        }
    }
    bytes
}

/// Whether the text shows this value under this name, at or behind `from`; where it does.
fn shows(text: &str, name: &str, value: &str, from: usize) -> Option<usize> {
    let label = format!("{name}: ");
    for (at, _) in text[from..].match_indices(&label) {
        let before = text[..from + at].chars().next_back();
        let rest = &text[from + at + label.len()..];
        let rest = rest.strip_prefix("Some(").unwrap_or(rest);
        let end = rest.find([',', '}']).unwrap_or(rest.len());
        let standing = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let here = &rest[..if value.starts_with('[') { rest.len() } else { end }];
        let number = value.bytes().all(|byte| byte.is_ascii_digit());
        let found = here.find(value).is_some_and(|place| {
            let behind = here[place + value.len()..].chars().next();
            !number
                || (place == 0 || !here.as_bytes()[place - 1].is_ascii_digit())
                    && behind.is_none_or(|c| !c.is_ascii_digit())
        });
        if standing && found {
            return Some(from + at);
        }
    }
    None
}

#[test]
fn every_field_stands_where_the_bolts_put_it() {
    let mut dice = Dice::new(1);
    let mut rows = 0;
    for layout in LAYOUTS.trim().lines() {
        let mut parts = layout.split('|');
        let fields: Vec<&str> = parts.next().expect("a row").split_whitespace().collect();
        let message_type: u16 = fields[0].parse().expect("a type");
        assert!(Message::ALL.contains(&(message_type, fields[1])), "{layout}");
        let (mut n, mut shown) = (1, Vec::new());
        let mut bytes = message_type.to_be_bytes().to_vec();
        bytes.extend(part(&fields[2..], &mut n, &mut dice, &mut shown));
        for record in parts {
            let fields: Vec<&str> = record.split_whitespace().collect();
            let value = part(&fields[1..], &mut n, &mut dice, &mut shown);
            bytes.push(fields[0].parse().expect("a record's number"));
            wire::bigsize::write(value.len() as u64, &mut bytes);
            bytes.extend(value);
        }
        let message = Message::decode(&bytes).unwrap_or_else(|fault| panic!("{layout}: {fault}"));
        let text = format!("{message:?}");
        let mut from = 0;
        for (name, value) in &shown {
            // In order: what has the same name in two records is found in the right one.
            from = shows(&text, name, value, from)
                .unwrap_or_else(|| panic!("{}.{name} is not {value}: {text}", fields[1]));
        }
        assert_eq!(message.encode(), Ok(bytes), "{layout}");
        rows += 1;
    }
    assert_eq!(rows, Message::ALL.len(), "a row for every message");
}
