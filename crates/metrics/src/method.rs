//! Methods of a push.

use std::fmt;
use std::str::FromStr;

/// Method of a push: how it changes its group on a gateway.
///
/// The default is [`Method::Post`], because the report of a failed run, which has no time of last success, must not
/// erase the one that an earlier run reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// HTTP PUT: replaces all families of the group.
    Put,
    /// HTTP POST: replaces the families of the same names, and leaves others.
    #[default]
    Post,
}

impl Method {
    /// Returns the name in options, job files and the outbox: `put` or `post`.
    pub fn name(self) -> &'static str {
        match self {
            Method::Put => "put",
            Method::Post => "post",
        }
    }

    /// Returns the HTTP method: `PUT` or `POST`.
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

/// Error for a text that is neither `put` nor `post`, in any case.
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
