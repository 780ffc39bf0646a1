//! Series that should have come to a Prometheus.

use std::fmt::Write as _;
use std::time::SystemTime;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use super::Findings;
use crate::cli::when::age;
use metricsjob::push::strays::ReportedGroups;
use metricsjob_client::{Connection, GatewayUrl, HttpError, HttpGateway};
use metricsjob_metrics::GroupingKey;
use metricsjob_state::reported::ReportedGroup;

const PART: &str = "prometheus";

/// How many bytes of a response are read.
const MAX_ANSWER: usize = 4 << 20;

/// Most groups that are looked for, the one that was reported to last first.
const MAX_GROUPS: usize = 50;

/// Looks for the series of the groups that this host reports to.
pub fn check(url: &GatewayUrl, reported: &ReportedGroups, findings: &mut Findings) {
    let server = match Server::new(url) {
        Ok(server) => server,
        Err(error) => return findings.fail(PART, error.to_string(), ""),
    };
    let moved = reported.moved();
    let is_current = |group: &&ReportedGroup| moved.iter().all(|moved| moved.from != **group);
    let known = |group: &ReportedGroup| Some((group.clone(), group.prefix.clone()?));
    let groups = reported.all.iter().filter(is_current).filter_map(known);
    let groups: Vec<_> = groups.take(MAX_GROUPS).collect();
    let mut found = 0;
    for (group, prefix) in &groups {
        match server.look_for(&group.key, prefix) {
            Ok(Sighting::There) => found += 1,
            Ok(Sighting::Renamed) => findings.fail(
                PART,
                format!(
                    "{url}: the series of {{{}}} have its labels as exported_job and so on",
                    group.key
                ),
                "set honor_labels: true in the scrape config of the gateway",
            ),
            Ok(Sighting::Nowhere) => findings.fail(
                PART,
                format!(
                    "{url}: no series of {{{}}}, which was pushed to {} {}",
                    group.key,
                    group.gateway.as_deref().unwrap_or("a gateway"),
                    age(group.last_at, SystemTime::now())
                ),
                "is that gateway a target in its scrape configs, and up?",
            ),
            Err(error @ QueryError::Answer(_)) => {
                return findings.fail(PART, error.to_string(), "is it the base URL of one?");
            }
            Err(error) => return findings.fail(PART, error.to_string(), ""),
        }
    }
    match (groups.len(), found) {
        (0, _) => findings.ok(
            PART,
            format!("{url}: this host has not reported to any group yet"),
        ),
        (all, found) if all == found => {
            findings.ok(
                PART,
                format!("{url}: has the series of {found} of {all} groups"),
            );
        }
        _ => {}
    }
}

/// Where the series of a group are.
enum Sighting {
    There,
    /// Their labels have the names that Prometheus gives to those that collide with a target's.
    Renamed,
    Nowhere,
}

/// Failure of a query.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{0} does not respond to a query as a Prometheus does")]
    Answer(String),
}

struct Server {
    client: HttpGateway,
    url: String,
}

impl Server {
    fn new(url: &GatewayUrl) -> Result<Server, HttpError> {
        Ok(Server {
            client: HttpGateway::new(url.clone(), &Connection::default())?,
            url: url.to_string(),
        })
    }

    fn look_for(&self, key: &GroupingKey, prefix: &str) -> Result<Sighting, QueryError> {
        let name = format!("{prefix}_last_completion_timestamp_seconds");
        if self.has_any(&selector(&name, key, "job"))? {
            return Ok(Sighting::There);
        }
        let is_renamed = self.has_any(&selector(&name, key, "exported_job"))?;
        Ok(if is_renamed {
            Sighting::Renamed
        } else {
            Sighting::Nowhere
        })
    }

    fn has_any(&self, selector: &str) -> Result<bool, QueryError> {
        let query = utf8_percent_encode(selector, NON_ALPHANUMERIC);
        let path = format!("/api/v1/query?query={query}");
        let answer = match self.client.get(&path, MAX_ANSWER) {
            Err(HttpError::Status { status, .. }) if status.as_u16() == 404 => Vec::new(),
            answer => answer?,
        };
        let answer: Option<Json> = serde_json::from_slice(&answer).ok();
        let result = answer
            .as_ref()
            .and_then(|answer| answer["data"]["result"].as_array());
        let result = result.ok_or_else(|| QueryError::Answer(self.url.clone()))?;
        Ok(!result.is_empty())
    }
}

/// `{__name__="NAME",job="backup",db="customers"}`. A label that is renamed may be one of the others too.
fn selector(name: &str, key: &GroupingKey, job: &str) -> String {
    let mut selector = format!("{{__name__={name:?},{job}={}", Json::from(key.job()));
    if job == "job" {
        for (label, value) in key.labels() {
            let _ = write!(selector, ",{label}={}", Json::from(value));
        }
    }
    selector + "}"
}
