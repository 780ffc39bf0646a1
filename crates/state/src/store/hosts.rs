//! Hosts that report to a group.

use super::lines;

/// Longer texts are no names of hosts, and are not kept.
const MAX_NAME: usize = 255;

/// Two hosts that report to one group, so that each replaces the other's report.
#[derive(Debug, Clone, PartialEq)]
pub struct HostClash {
    /// Host of the last report.
    pub host: String,
    /// Host of the report before.
    pub host_before: String,
    /// Time of the last push before the last report, in seconds since the epoch.
    pub time_before: f64,
}

/// Returns the host of the last run among families with these `names`, of which `lines_of` returns the lines: the
/// label `host` of `PREFIX_info`, where there is a `PREFIX_last_completion_timestamp_seconds`. Of several prefixes that of
/// the newest run counts.
pub fn reporting_host<'a>(
    names: impl Iterator<Item = &'a str>,
    lines_of: impl Fn(&str) -> Option<&'a str>,
) -> Option<String> {
    let runs = names.filter_map(|name| {
        let prefix = name.strip_suffix("_info")?;
        let ends = lines_of(&format!("{prefix}_last_completion_timestamp_seconds"))?;
        Some((lines::first_number(ends)?, name))
    });
    let (_, info) = runs.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let host = lines::first_label(lines_of(info)?, "host")?;
    (1..=MAX_NAME).contains(&host.len()).then_some(host)
}
