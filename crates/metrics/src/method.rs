//! What a push does to the group it goes to.

use std::fmt;
use std::str::FromStr;

/// How a report changes its group on a gateway.
///
/// The default is [`Method::Post`]: the report of a failed run, which has no last success, must not
/// erase the last success that an earlier run reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// HTTP PUT: the report replaces all families of the group.
    Put,
    /// HTTP POST: the report replaces families of the same name and leaves the others.
    #[default]
    Post,
}

impl Method {
    /// The name that flags, job files and the outbox use: `put` or `post`.
    pub fn name(self) -> &'static str {
        match self {
            Method::Put => "put",
            Method::Post => "post",
        }
    }

    /// The name on the wire: `PUT` or `POST`.
    pub fn http(self) -> &'static str {
        match self {
            Method::Put => "PUT",
            Method::Post => "POST",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is neither `put` nor `post`.
#[derive(Debug, thiserror::Error)]
#[error("unknown method {0:?} (put replaces the group, post adds to it)")]
pub struct UnknownMethod(String);

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "put" => Ok(Method::Put),
            "post" => Ok(Method::Post),
            _ => Err(UnknownMethod(text.to_owned())),
        }
    }
}
