//! What networks and overloaded servers do to a request.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The connection is reset as soon as it stands; a further request of one that stands already is
    /// reset instead of answered.
    Refuse,
    /// The same, and nobody listens for this long.
    Down(Duration),
    /// Never an answer, until the client gives up.
    Hang,
    /// Reset once this much of the request was read.
    Reset(usize),
    /// Reset once this much of the request, but never all, was forwarded.
    CutRequest(usize),
    /// The request takes effect, but not more than this much of the answer comes, and never all.
    CutAnswer(usize),
    /// An answer of this status instead of the target's.
    Status(u16),
    /// The request takes effect, and the answer is 500.
    LateStatus,
    /// Request and answer in small pieces, with a pause before each.
    Slow(Duration),
}

impl Fault {
    /// The names of all kinds.
    pub const KINDS: [&str; 12] = [
        "none",
        "refuse",
        "down",
        "hang",
        "reset",
        "cut request",
        "cut answer",
        "429",
        "500",
        "503",
        "late 500",
        "slow",
    ];

    pub fn kind(self) -> &'static str {
        match self {
            Fault::None => "none",
            Fault::Refuse => "refuse",
            Fault::Down(_) => "down",
            Fault::Hang => "hang",
            Fault::Reset(_) => "reset",
            Fault::CutRequest(_) => "cut request",
            Fault::CutAnswer(_) => "cut answer",
            Fault::Status(429) => "429",
            Fault::Status(500) => "500",
            Fault::Status(_) => "503",
            Fault::LateStatus => "late 500",
            Fault::Slow(_) => "slow",
        }
    }

    /// Any fault, those that take time less often.
    pub fn random(random: &mut ChaCha8Rng) -> Self {
        match random.random_range(0..100) {
            0..44 => Fault::None,
            44..50 => Fault::Refuse,
            50..52 => Fault::Down(Duration::from_millis(20)),
            52..54 => Fault::Hang,
            54..62 => Fault::Reset(random.random_range(0..2500)),
            62..70 => Fault::CutRequest(random.random_range(0..2500)),
            70..78 => Fault::CutAnswer(random.random_range(0..150)),
            78..80 => Fault::Status(429),
            80..84 => Fault::Status(500),
            84..88 => Fault::Status(503),
            88..96 => Fault::LateStatus,
            _ => Fault::Slow(Duration::from_millis(random.random_range(1..8))),
        }
    }
}
