//! Expectations of a job.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::gateway_name::elements;
use super::schedule::Plan;
use metricsjob_metrics::is_metric_name;

/// Shortest grace of a schedule. A scrape and its evaluation take a while, too.
const MIN_GRACE: Duration = Duration::from_secs(60);

/// Expectations of a job. Each report has them as metrics, so that a few static alert rules serve every job.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expectations {
    /// Time after a success within which the next one has to come; by default the schedule decides.
    pub max_age: Option<Duration>,
    /// Longest time that a run should take.
    pub max_duration: Option<Duration>,
    /// Share of runs that should succeed, between 0 and 1.
    pub slo: Option<f64>,
    /// Severity of alerts about the job.
    pub severity: Option<String>,
    /// Owner of the job, to whom its alerts go.
    pub owner: Option<String>,
    /// URL of the instructions for when it fails.
    pub runbook: Option<String>,
    pub metrics: Vec<MetricExpectation>,
    /// Metrics whose value in a success is compared with those of the successes before it; `duration_seconds` is the
    /// run's own.
    pub anomaly_metrics: Vec<String>,
}

/// Range in which the values of a metric of the job's own should be.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricExpectation {
    /// Name of the metric, with or without the job's prefix.
    pub metric: String,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

/// Score of an anomaly, in robust standard deviations, from which a value is unusual: the limit that Iglewicz and Hoaglin
/// recommend (How to Detect and Handle Outliers, 1993).
pub const UNUSUAL: f64 = 3.5;

/// Returns true if `family`, a metric of a job with this prefix, is meant by `name`, which can be without the prefix.
pub fn is_meant(name: &str, family: &str, prefix: &str) -> bool {
    let without = family.strip_prefix(prefix);
    let without = without.and_then(|rest| rest.strip_prefix('_'));
    family == name || without == Some(name)
}

/// Reads names of metrics, with commas or blanks between them.
///
/// # Errors
///
/// The reason, for a person to read behind the text.
pub fn parse_metric_names(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = elements(text).map(str::to_owned).collect();
    if names.is_empty() {
        return Err("names no metric".into());
    }
    match names.iter().find(|name| !is_metric_name(name)) {
        Some(name) => Err(format!("has {name:?} in it, which is no name of a metric")),
        None => Ok(names),
    }
}

impl Expectations {
    /// Returns when the next success is due after one at `last_success`. `plan` decides where no `max_age` is given: the
    /// next time by the schedule, and a grace of a tenth of the time to the one after that, at least a minute, with the
    /// jitter and `splay` on top. `None` if no success is expected.
    pub fn deadline(
        &self,
        plan: Option<&Plan>,
        splay: Duration,
        last_success: SystemTime,
    ) -> Option<SystemTime> {
        if let Some(max_age) = self.max_age {
            return last_success.checked_add(max_age);
        }
        let plan = plan?;
        let due = plan.schedule.next_after(last_success)?;
        let following = plan.schedule.next_after(due);
        let interval = following.and_then(|following| following.duration_since(due).ok());
        let grace = interval.map_or(MIN_GRACE, |interval| (interval / 10).max(MIN_GRACE));
        due.checked_add(grace)?
            .checked_add(plan.jitter)?
            .checked_add(splay)
    }
}

impl MetricExpectation {
    /// # Errors
    ///
    /// The reason, for a person to read: no limit, limits that exclude each other, or a name that no metric has.
    pub fn new(metric: String, min: Option<f64>, max: Option<f64>) -> Result<Self, String> {
        if !is_metric_name(&metric) {
            return Err(format!("{metric:?} is no name of a metric"));
        }
        match (min, max) {
            (None, None) => Err("has neither min nor max".into()),
            _ if [min, max].into_iter().flatten().any(f64::is_nan) => Err("is no range".into()),
            (Some(min), Some(max)) if min > max => Err(format!(
                "has a min of {min}, which is above its max of {max}"
            )),
            _ => Ok(MetricExpectation { metric, min, max }),
        }
    }

    /// Returns true if `value` is in the range.
    pub fn is_met_by(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// Reads `METRIC=MIN..MAX`, of which one limit can be left out.
impl FromStr for MetricExpectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "the form is METRIC=MIN..MAX, METRIC=MIN.. or METRIC=..MAX";
        let limit = |text: &str| match text {
            "" => Ok(None),
            text => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("{text:?} is no number ({FORM})")),
            },
        };
        let (metric, range) = text
            .split_once('=')
            .ok_or_else(|| format!("it has no = ({FORM})"))?;
        let (min, max) = range
            .split_once("..")
            .ok_or_else(|| format!("it has no .. ({FORM})"))?;
        MetricExpectation::new(metric.to_owned(), limit(min)?, limit(max)?)
    }
}

/// Reads the share of runs that should succeed.
///
/// # Errors
///
/// The reason, for a person to read behind the value.
pub fn parse_slo(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("is not a number between 0 and 1 (such as 0.99)".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::schedule::{Missed, Schedule, Zone};

    const HOUR: u64 = 3600;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn plan(schedule: Schedule) -> Plan {
        Plan {
            schedule,
            jitter: Duration::ZERO,
            missed: Missed::default(),
        }
    }

    #[test]
    fn deadlines() {
        let nothing = Expectations::default();
        let none = Duration::ZERO;
        assert_eq!(nothing.deadline(None, none, at(0)), None);
        let daily = plan(Schedule::cron("0 2 * * *", Zone::utc()).unwrap());
        // A success at 2:05 is followed by one at 2:00 on the next day; a tenth of a day is the grace.
        let after = |seconds| nothing.deadline(Some(&daily), none, at(seconds));
        let expected = at(26 * HOUR + 2 * HOUR + 24 * 60);
        assert_eq!(after(2 * HOUR + 300), Some(expected));
        assert_eq!(after(26 * HOUR - 1), Some(expected));
        let quick = plan(Schedule::every(Duration::from_secs(10)).unwrap());
        assert_eq!(nothing.deadline(Some(&quick), none, at(7)), Some(at(70)));
        let splay = Duration::from_secs(30);
        assert_eq!(nothing.deadline(Some(&quick), splay, at(7)), Some(at(100)));
        let jittered = Plan {
            jitter: Duration::from_secs(5),
            ..quick
        };
        assert_eq!(nothing.deadline(Some(&jittered), none, at(7)), Some(at(75)));
        let aged = Expectations {
            max_age: Some(Duration::from_secs(26 * HOUR)),
            ..Expectations::default()
        };
        assert_eq!(
            aged.deadline(Some(&daily), splay, at(5)),
            Some(at(26 * HOUR + 5))
        );
        let endless = Expectations {
            max_age: Some(Duration::MAX),
            ..Expectations::default()
        };
        assert_eq!(endless.deadline(None, none, at(5)), None);
    }

    #[test]
    fn ranges() {
        let range = |text: &str| text.parse::<MetricExpectation>();
        let met = |text: &str, value| range(text).unwrap().is_met_by(value);
        assert!(met("m=1..2", 1.0) && met("m=1..2", 2.0) && !met("m=1..2", 2.5));
        assert!(met("m=1..", 1e9) && !met("m=1..", 0.0) && !met("m=..5", 6.0));
        assert!(!met("m=1..", f64::NAN));
        assert!(met("m=-1e3..-.5", -1.0));
        for bad in [
            "", "m", "m=", "m=1", "m=..", "=1..", "m=2..1", "m=a..", "m=NaN..", "9=1..",
        ] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        assert!(is_meant("rows", "rows", "p") && is_meant("rows", "p_rows", "p"));
        assert!(!is_meant("rows", "q_rows", "p") && !is_meant("rows", "prows", "p"));
        let names = |text| parse_metric_names(text).map(|names| names.join(" "));
        assert_eq!(names("a, b_c"), Ok("a b_c".to_owned()));
        for bad in ["", ",", "a,9"] {
            assert!(names(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares() {
        assert_eq!(parse_slo("0.99"), Ok(0.99));
        for bad in ["", "0", "1", "99", "99%", "NaN", "-0.5"] {
            assert!(parse_slo(bad).is_err(), "{bad}");
        }
    }
}
