//! What a connection may take, wait for and keep.

use wire::tick::Millis;

/// From the first byte of the handshake to its last.
pub const HANDSHAKE_MAX: Millis = Millis(10_000);
/// From the end of the handshake to the peer's `init`.
pub const INIT_MAX: Millis = Millis(10_000);
/// A peer that has been silent for so long is sent a ping.
pub const PING_AFTER: Millis = Millis(30_000);
/// A ping must be answered in this time. A peer busy with a flood of ours may need most of it.
pub const PONG_MAX: Millis = Millis(30_000);
/// A message must be complete this long after its first byte.
pub const MESSAGE_MAX: Millis = Millis(30_000);
/// A connection quiet for so long keeps its keys in their short form.
pub const COOL_AFTER: Millis = Millis(200);

/// Messages kept for a subscriber that has not acknowledged them; then no more are read.
pub const INBOX_MESSAGES_MAX: usize = 1_024;
/// Bytes of them, likewise.
pub const INBOX_BYTES_MAX: usize = 1 << 20;
/// Bytes of pongs that the socket has not taken yet; then no more pings are read.
pub const UNSENT_PONG_BYTES_MAX: usize = 128 << 10;
/// Bytes that the socket has not taken yet; more are refused to whoever sends.
pub const UNSENT_BYTES_MAX: usize = 4 << 20;
/// Ciphertext kept for a client that has not acknowledged it; then no more is read.
pub const TUNNEL_BYTES_MAX: usize = 256 << 10;

/// Bytes a peer may send at once.
pub const BURST_BYTES_MAX: u64 = 8 << 20;
/// Bytes it may send in a second on end.
pub const RATE_BYTES_PER_S_MAX: u64 = 1 << 20;
/// Messages a peer may send at once.
pub const BURST_MESSAGES_MAX: u64 = 20_000;
/// Messages it may send in a second on end.
pub const RATE_MESSAGES_PER_S_MAX: u64 = 2_000;

const _: () = assert!(INBOX_BYTES_MAX > 2 * noise::MESSAGE_BYTES_MAX, "two messages must fit");
const _: () = assert!(BURST_BYTES_MAX > noise::WIRE_BYTES_MAX as u64, "a message must pass");

/// A question waits so long for a key holder that cannot be reached.
pub const KEY_HOLDER_AWAY_MAX: Millis = Millis(4_500);
/// A tunnel whose client has gone waits so long for it to come back: nobody answers its peer.
pub const TUNNEL_ALONE_MAX: Millis = Millis(120_000);
/// From a call to an address to a socket that is connected.
pub const CONNECT_MAX: Millis = Millis(10_000);
/// Connections that a holder lets shake hands at the same time.
pub const HANDSHAKES_MAX: usize = 4_096;
/// Connections in one list.
pub const LISTED_MAX: usize = 1_000;
/// Connections acknowledged with one question.
pub const MARKS_MAX: usize = 4_096;
/// Complaints kept for a subscriber, for each connection; more are dropped.
pub const COMPLAINTS_MAX: usize = 16;
/// Questions for a pong that wait, for each connection.
pub const PINGS_MAX: usize = 16;
/// Messages of one connection that a desk has sent and the holder has not answered.
pub const UNANSWERED_MAX: usize = 1_024;
