//! HTTP statuses that count as up.

use std::fmt;
use std::str::FromStr;

/// The status codes that a check expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExpectedStatus {
    /// 2xx or 3xx: a server that redirects does its work.
    #[default]
    Good,
    /// All that begin with this digit.
    Class(u16),
    Code(u16),
}

impl ExpectedStatus {
    pub fn includes(self, code: u16) -> bool {
        match self {
            ExpectedStatus::Good => (200..400).contains(&code),
            ExpectedStatus::Class(class) => code / 100 == class,
            ExpectedStatus::Code(expected) => code == expected,
        }
    }
}

/// A status such as `200`, or a class such as `2xx`. The error follows the value in a message.
///
/// None of 1xx is accepted: a response of that class is followed by another one.
impl FromStr for ExpectedStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digit = |byte: u8| u16::from(byte - b'0');
        match *text.as_bytes() {
            [a @ b'2'..=b'5', b'x' | b'X', b'x' | b'X'] => Ok(ExpectedStatus::Class(digit(a))),
            [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => Ok(ExpectedStatus::Code(
                digit(a) * 100 + digit(b) * 10 + digit(c),
            )),
            _ => Err(
                "is neither an HTTP status from 200 to 599 nor a class from 2xx to 5xx \
                 (for example 200 or 2xx)"
                    .into(),
            ),
        }
    }
}

impl fmt::Display for ExpectedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExpectedStatus::Good => f.write_str("2xx or 3xx"),
            ExpectedStatus::Class(class) => write!(f, "{class}xx"),
            ExpectedStatus::Code(code) => write!(f, "{code}"),
        }
    }
}
