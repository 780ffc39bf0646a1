//! The keys that a job file and the config file have in common. In the config file they are defaults of all jobs.

use std::time::Duration;

use super::reader::{Key, Reader, Value};
use crate::job::command::MAX_TAIL;
use crate::job::expectations::{Expectations, parse_metric_names, parse_slo};
use crate::job::{JobDefaults, NotifyTarget};
use metricsjob_client::grouping::{GroupingSettings, Instance, check_placeholders};
use metricsjob_metrics::{Labels, Method, check_grouping_label, is_metric_name};

pub const SHARED_KEYS: [&str; 27] = [
    "prefix",
    "method",
    "grouping",
    "instance",
    "timeout",
    "kill_after",
    "metrics_limit",
    "retries",
    "backoff",
    "lock",
    "lock_wait",
    "splay",
    "push_start",
    "push_interval",
    "require_push",
    "ttl",
    "tail",
    "keep",
    "max_age",
    "max_duration",
    "slo",
    "severity",
    "owner",
    "runbook",
    "anomaly_metrics",
    "notify",
    "notify_every",
];

/// The keys that mean something only together, as far as they were given.
#[derive(Default)]
pub struct SharedKeys {
    lock: Option<bool>,
    lock_wait: Option<Duration>,
    instance: Option<Instance>,
    grouping: GroupingSettings,
}

impl SharedKeys {
    /// Puts them over `settings`, once all keys are read.
    pub fn finish(mut self, settings: &mut JobDefaults) {
        let lock = &mut settings.policy.lock;
        *lock = lock.with(self.lock, self.lock_wait);
        if let Some(instance) = self.instance {
            self.grouping.set_instance(instance);
        }
        settings.grouping.extend(&self.grouping);
    }
}

impl<'a> Reader<'a> {
    /// Reads one of the [`SHARED_KEYS`]. After a problem the setting stays as it is.
    pub fn shared_key(
        &mut self,
        key: &Key<'a>,
        value: &Value<'a>,
        settings: &mut JobDefaults,
        shared: &mut SharedKeys,
    ) {
        let policy = &mut settings.policy;
        match key.get_ref().as_ref() {
            "prefix" => replace(&mut settings.prefix, self.prefix(key, value)),
            "method" => replace(&mut settings.method, self.method(key, value)),
            "grouping" => shared.grouping = self.grouping(key, value),
            "instance" => shared.instance = self.instance(key, value),
            "timeout" => policy.timeout = self.positive_duration(key, value).or(policy.timeout),
            "kill_after" => replace(&mut policy.kill_after, self.duration(key, value)),
            "metrics_limit" => replace(&mut policy.metrics_limit, self.size(key, value)),
            "retries" => replace(&mut policy.retries, self.integer(key, value, u32::MAX)),
            "backoff" => replace(&mut policy.backoff, self.backoff(key, value)),
            "lock" => shared.lock = self.boolean(key, value),
            "lock_wait" => shared.lock_wait = self.duration(key, value),
            "splay" => replace(&mut policy.splay, self.duration(key, value)),
            "push_start" => replace(&mut policy.push_start, self.boolean(key, value)),
            "push_interval" => {
                let interval = self.positive_duration(key, value);
                policy.push_interval = interval.or(policy.push_interval);
            }
            "require_push" => replace(&mut policy.require_push, self.boolean(key, value)),
            "ttl" => policy.ttl = self.duration(key, value).or(policy.ttl),
            "tail" => {
                let lines = self.integer(key, value, MAX_TAIL as u64);
                replace(&mut settings.tail, lines.map(|lines| lines as usize));
            }
            "keep" => replace(&mut policy.keep, self.integer(key, value, u32::MAX)),
            "notify" => replace(&mut policy.notify.to, self.notify(key, value)),
            "notify_every" => {
                replace(&mut policy.notify.every, self.integer(key, value, u32::MAX));
            }
            _ => self.expectation(key, value, &mut policy.expected),
        }
    }

    /// Reads one of the keys that say what is expected of the job.
    fn expectation(&mut self, key: &Key<'a>, value: &Value<'a>, expected: &mut Expectations) {
        match key.get_ref().as_ref() {
            "max_age" => expected.max_age = self.positive_duration(key, value).or(expected.max_age),
            "max_duration" => {
                let duration = self.positive_duration(key, value);
                expected.max_duration = duration.or(expected.max_duration);
            }
            "slo" => {
                let share = self.number(key, value).map(|share| share.to_string());
                let share = share
                    .and_then(|text| self.checked("slo", value.span(), &text, parse_slo(&text)));
                expected.slo = share.or(expected.slo);
            }
            "anomaly_metrics" => {
                let given = self.metric_names(key, value);
                replace(&mut expected.anomaly_metrics, given);
            }
            name => {
                let text = match name {
                    "severity" => &mut expected.severity,
                    "owner" => &mut expected.owner,
                    _ => &mut expected.runbook,
                };
                match self.string(key, value) {
                    Some(given) if given.is_empty() => {
                        self.problem(value.span(), format!("{name} must not be empty"));
                    }
                    given => *text = given.or(text.take()),
                }
            }
        }
    }

    /// Names of metrics in one text, or in a list.
    fn metric_names(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Vec<String>> {
        let text = self.one_or_list(key, value, "a list of names of metrics")?;
        let names = parse_metric_names(&text);
        self.checked(key.get_ref(), value.span(), &text, names)
    }

    /// Who is notified, in one text or in a list, which may be empty.
    fn notify(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Vec<NotifyTarget>> {
        let text = self.one_or_list(key, value, "a list of webhook:URL, slack:URL or ping:URL")?;
        let targets = NotifyTarget::parse_all(&text);
        // The value can be a secret.
        targets
            .map_err(|problem| self.problem(value.span(), format!("notify {problem}")))
            .ok()
    }

    /// A text, or the texts of a list with commas between them.
    pub fn one_or_list(&mut self, key: &Key<'a>, value: &Value<'a>, list: &str) -> Option<String> {
        if let Some(text) = value.get_ref().as_str() {
            return Some(text.to_owned());
        }
        let texts = self.array(key, value, list)?;
        let texts: Option<Vec<String>> = texts.map(|text| self.string(key, text)).collect();
        Some(texts?.join(","))
    }

    fn prefix(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<String> {
        let prefix = self.string(key, value)?;
        if !is_metric_name(&prefix) {
            self.problem(
                value.span(),
                format!("prefix {prefix:?} cannot begin a metric name ([a-zA-Z_:][a-zA-Z0-9_:]*)"),
            );
            return None;
        }
        Some(prefix)
    }

    fn method(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Method> {
        match self.string(key, value)?.parse() {
            Ok(method) => Some(method),
            Err(error) => {
                self.problem(value.span(), format!("{error}"));
                None
            }
        }
    }

    fn instance(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Instance> {
        if let Some(is_host) = value.get_ref().as_bool() {
            return Some(is_host.into());
        }
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "true (this host's name), false or a name");
            return None;
        };
        let result = check_placeholders(text).map_err(|error| error.to_string());
        let result = result.and_then(|()| text.parse());
        self.checked(key.get_ref(), value.span(), text, result)
    }

    fn grouping(&mut self, key: &Key<'a>, value: &Value<'a>) -> GroupingSettings {
        let mut grouping = GroupingSettings::default();
        for (label, value) in self.table(key, value) {
            let Some(text) = self.string(label, value) else {
                continue;
            };
            let name = label.get_ref();
            if let Err(error) = check_grouping_label(name) {
                self.problem(label.span(), error.to_string());
            } else if let Err(error) = check_placeholders(&text) {
                self.problem(value.span(), format!("grouping.{name}: {error}"));
            } else {
                grouping.set(name.as_ref(), text);
            }
        }
        grouping
    }

    /// Labels by name.
    pub fn labels(&mut self, key: &Key<'a>, value: &Value<'a>) -> Labels {
        self.table(key, value)
            .filter_map(|(label, value)| Some((label.get_ref(), self.string(label, value)?)))
            .collect()
    }
}

fn replace<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}
