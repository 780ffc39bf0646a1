//! The time zones in whose wall-clock time a schedule is written.

use std::fmt;
use std::str::FromStr;

use jiff::tz::{self, TimeZone};

use crate::job::suggest;

/// A time zone of this machine's time zone files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The machine's own, which is cron's too: the variable `TZ`, else `/etc/localtime`, else UTC.
    pub fn system() -> Zone {
        Zone(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// UTC, which needs no time zone file.
    pub fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// Rules of the zone, from the time zone files.
    pub(super) fn rules(&self) -> &TimeZone {
        &self.0
    }

    /// Its IANA name; `local` where the machine's own zone has none, because it is no file of the
    /// time zone files.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("local")
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An IANA name such as `Europe/Berlin`.
impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        tz::db().get(name).map(Zone).map_err(|_| unknown(name))
    }
}

/// Why there is no such zone; follows the name.
fn unknown(name: &str) -> String {
    let names: Vec<_> = tz::db().available().collect();
    let names = names.iter().map(tz::TimeZoneName::as_str);
    // UTC is known without any file.
    if names.clone().all(|name| name == "UTC") {
        return "cannot be looked up: this machine has no time zone files (install the package tzdata)"
            .into();
    }
    let is_city = |zone: &&str| {
        let (_, city) = zone.rsplit_once('/').unwrap_or_default();
        city.eq_ignore_ascii_case(&name.replace(' ', "_"))
    };
    let meant = names.clone().find(is_city);
    match meant.or_else(|| suggest::nearest(name, names)) {
        Some(meant) => format!("is not a time zone of this machine (did you mean {meant:?}?)"),
        None => "is not a time zone of this machine (for example Europe/Berlin)".into(),
    }
}
