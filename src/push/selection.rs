//! Deleting the groups that selectors select.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value as Json;
use url::form_urlencoded;

use super::deletion::delete_by;
use super::embedded;
use super::gateway::{Gateway, GatewayClient, GatewayError, ready};
use metricsjob_client::{HttpError, HttpGateway};
use metricsjob_metrics::selector::{GroupFilter, Selector};
use metricsjob_metrics::{Group, GroupingKey, Names, unix_seconds};
use metricsjob_state::State;
use metricsjob_state::outbox::Selection;

/// Path at which a gateway of ours deletes groups by selectors.
const PATH: &str = "/api/v1/groups";

/// Most bytes of its response, which lists groups with at most one megabyte of labels.
pub(super) const MAX_RESPONSE: usize = 4 << 20;

/// The groups that are meant.
pub struct GroupSelection {
    pub selectors: Vec<Selector>,
    /// Only groups without a successful push for this long.
    pub older_than: Option<Duration>,
}

/// Outcome of deleting groups by selectors.
#[derive(Default)]
pub struct DeletedGroups {
    /// The groups that were deleted, sorted.
    pub keys: Vec<GroupingKey>,
    /// How many more were deleted, for which the response had no room.
    pub more: usize,
    /// The groups that could not be deleted.
    pub failures: Vec<(GroupingKey, GatewayError)>,
    /// How many groups were left alone after a failure that concerns all of them.
    pub untried: usize,
    /// True if the gateway does not delete by selectors, so that the groups were listed and deleted one by one.
    pub is_one_by_one: bool,
    /// How many entries were dropped that waited for the groups in the outbox.
    pub forgotten: u64,
}

impl GroupSelection {
    fn filter(&self, now: SystemTime) -> GroupFilter {
        let since = |ago: Duration| unix_seconds(now) - ago.as_secs_f64();
        GroupFilter {
            selectors: self.selectors.clone(),
            not_pushed_since: self.older_than.map(since),
        }
    }

    /// The request to a gateway of ours.
    fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for selector in &self.selectors {
            query.append_pair("match[]", &selector.to_string());
        }
        if let Some(ago) = self.older_than {
            query.append_pair("older_than", &humantime::format_duration(ago).to_string());
        }
        format!("{PATH}?{}", query.finish())
    }

    /// The groups of `gateway` that are meant, sorted. A response of `most` bytes at most is read.
    pub fn groups(&self, gateway: &Gateway, most: usize) -> Result<Vec<Group>, GatewayError> {
        self.groups_by(&GatewayClient::new(gateway), most)
    }

    fn groups_by(&self, client: &GatewayClient, most: usize) -> Result<Vec<Group>, GatewayError> {
        let filter = self.filter(SystemTime::now());
        let mut groups = client.groups(most)?;
        groups
            .retain(|group| filter.includes(&group.key, group.push_time, group.push_failure_time));
        Ok(groups)
    }

    /// Deletes the groups from `gateway`: in one transaction if it is one of ours that allows it, else one by one. Entries
    /// that wait for them in the outbox are dropped, because they would bring them back. To list the groups, a response of
    /// `most` bytes at most is read.
    ///
    /// # Errors
    ///
    /// Nothing was deleted. If only some groups could not be, that is in the outcome.
    pub fn delete(
        &self,
        gateway: &Gateway,
        state_dir: &Path,
        most: usize,
    ) -> Result<DeletedGroups, GatewayError> {
        let client = GatewayClient::new(gateway);
        let filter = self.filter(SystemTime::now());
        // Entries that come into the outbox from now on are newer than the deletion.
        let mut waiting = Vec::new();
        if let Some(mut state) = State::open_existing(state_dir)? {
            for key in state.waiting_groups(client.name())? {
                if filter.selects(&key) {
                    let ids = state.waiting_ids(client.name(), &key)?;
                    waiting.push((key, ids));
                }
            }
        }
        let at_once = match &client {
            GatewayClient::Embedded(dir) => embedded::delete_selected(dir, &filter, &self.path()),
            GatewayClient::Http { client, .. } => self.delete_at_once(client),
        };
        let mut deleted = match at_once {
            Ok(deleted) => deleted,
            Err(error) if is_unknown(&error) => self.one_by_one(&client, state_dir, most)?,
            Err(error) => return Err(error),
        };
        if let Some(mut state) = State::open_existing(state_dir)? {
            let gone: HashSet<&GroupingKey> = deleted.keys.iter().collect();
            let left: HashSet<&GroupingKey> = deleted.failures.iter().map(|(key, _)| key).collect();
            // A group that is not there yet is meant too, unless by its age.
            let is_meant = |key: &GroupingKey| match self.older_than {
                Some(_) => gone.contains(key),
                None => deleted.untried == 0 && !left.contains(key),
            };
            let ids = waiting.iter().filter(|(key, _)| is_meant(key));
            let ids: Vec<i64> = ids.flat_map(|(_, ids)| ids).copied().collect();
            // The groups are gone also where the state cannot be written; what is noted of them is only looked at beside
            // them.
            let reported = state.reported_groups().unwrap_or_default();
            for reported in &reported {
                if gone.contains(&reported.key) {
                    let _ = state.forget_reported(&reported.key, client.name());
                }
            }
            if !ids.is_empty() {
                deleted.forgotten += state.drop_entries(Selection::Ids(&ids))?;
            }
        }
        Ok(deleted)
    }

    fn delete_at_once(
        &self,
        client: &Result<HttpGateway, HttpError>,
    ) -> Result<DeletedGroups, GatewayError> {
        let client = ready(client)?;
        let response = client.delete_at(&self.path(), MAX_RESPONSE)?;
        parse(&response).map_err(|problem| GatewayError::Answer {
            url: client.url().join(PATH),
            problem,
        })
    }

    fn one_by_one(
        &self,
        client: &GatewayClient,
        state_dir: &Path,
        most: usize,
    ) -> Result<DeletedGroups, GatewayError> {
        let mut deleted = DeletedGroups {
            is_one_by_one: true,
            ..DeletedGroups::default()
        };
        let mut groups = self.groups_by(client, most)?;
        // They get what the other groups had counted.
        groups.sort_by_key(|group| group.key.is_remainder());
        let mut left = groups.into_iter();
        for Group { key, .. } in left.by_ref() {
            match delete_by(client, &key, state_dir) {
                Ok((_, forgotten)) => {
                    deleted.forgotten += forgotten;
                    deleted.keys.push(key);
                }
                Err(error) => {
                    let is_of_group = error.may_be_of_push() || matches!(error, GatewayError::Busy);
                    deleted.failures.push((key, error));
                    if !is_of_group {
                        break;
                    }
                }
            }
        }
        deleted.untried = left.count();
        Ok(deleted)
    }
}

/// Returns true if the gateway does not know [`PATH`], or does not allow it.
fn is_unknown(error: &GatewayError) -> bool {
    matches!(
        error.http(),
        Some(HttpError::Status { status, .. }) if matches!(status.as_u16(), 404 | 405)
    )
}

/// Reads the response to a deletion.
pub(super) fn parse(response: &[u8]) -> Result<DeletedGroups, String> {
    let response: Json = serde_json::from_slice(response).map_err(|error| error.to_string())?;
    let data = &response["data"];
    let listed = data["groups"].as_array();
    let (Some(count), Some(groups)) = (data["count"].as_u64(), listed) else {
        return Err("it has no list \"groups\" with its \"count\"".into());
    };
    let key = |group: &Json| -> Result<GroupingKey, String> {
        let labels = group["labels"].as_object().ok_or("a group has no labels")?;
        let mut job = String::new();
        let mut others = Vec::new();
        for (name, value) in labels {
            let value = value.as_str().ok_or("a label is no string")?.to_owned();
            match name.as_str() {
                "job" => job = value,
                _ => others.push((name.clone(), value)),
            }
        }
        GroupingKey::with_names(job, others, Names::Utf8).map_err(|error| error.to_string())
    };
    let keys = groups.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    Ok(DeletedGroups {
        more: (count as usize).saturating_sub(keys.len()),
        keys,
        ..DeletedGroups::default()
    })
}
