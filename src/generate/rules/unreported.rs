//! Alerts about jobs that do not report at all.

use super::sample::{FiringAlert, RuleTest, TestSeries};
use super::{Rule, Source, section};
use crate::generate::text::{quoted, template};
use crate::generate::watched::WatchedJob;

const NAME: &str = "BatchJobNeverReported";
const COMPLETION: &str = "batch_job_last_completion_timestamp_seconds";

/// A rule for each of `jobs`, of which Prometheus knows nothing. The first has the tests of all.
pub fn never_reported(jobs: &[WatchedJob], page: &str, source: Source) -> Vec<Rule> {
    let mut rules: Vec<Rule> = jobs.iter().map(|job| of_job(job, page)).collect();
    if let Some(alert) = rules.first_mut().and_then(|rule| rule.alert.as_mut()) {
        // Every other one reports for two hours.
        let reports = jobs.iter().step_by(2).map(|job| TestSeries {
            series: format!("{COMPLETION}{{job={},db=\"shop\"}}", quoted(&job.job)),
            values: "60x120".into(),
        });
        let alert_of = |job| no_report(job, page);
        let silent = jobs.iter().skip(1).step_by(2);
        let test = RuleTest::new("jobs that never report, and groups that go", [reports])
            .silent("23h")
            .firing("25h", silent.clone().map(alert_of));
        // What was sent once is no group that could go.
        let test = match source {
            Source::Scrape => test.firing("27h", jobs.iter().map(alert_of)),
            Source::RemoteWrite => test.firing("27h", silent.map(alert_of)),
        };
        alert.tests = vec![test];
    }
    rules
}

fn of_job(job: &WatchedJob, page: &str) -> Rule {
    let expr = format!("absent({COMPLETION}{{job={}}})", quoted(&job.job));
    let severity = job.severity.as_deref().unwrap_or("warning");
    let mut rule = Rule::fixed(NAME, "", &template(severity), &expr, page)
        .after("1d")
        .says(
            " has not reported",
            "Prometheus has had no report of {{ $labels.job }} for a day: it does not run, or its reports do not arrive. \
             See on its host: metricsjob history {{ $labels.job }}; metricsjob outbox list",
        );
    if let Some(alert) = &mut rule.alert {
        // The expression gives it too; here it tells the rules apart.
        alert.set_label("job", &template(&job.job));
        if let Some(owner) = &job.owner {
            alert.set_label("owner", &template(owner));
        }
        if let Some(runbook) = &job.runbook {
            alert.runbook_url = template(runbook);
        }
    }
    rule
}

/// The alert of [`of_job`].
fn no_report(job: &WatchedJob, page: &str) -> FiringAlert {
    let WatchedJob {
        job,
        severity,
        owner,
        runbook,
    } = job;
    let severity = severity.as_deref().unwrap_or("warning");
    let labels = [
        ("job", Some(&**job)),
        ("severity", Some(severity)),
        ("owner", owner.as_deref()),
    ];
    FiringAlert {
        labels: labels
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        summary: format!("{job} has not reported"),
        description: format!(
            "Prometheus has had no report of {job} for a day: it does not run, or its reports do not arrive. \
             See on its host: metricsjob history {job}; metricsjob outbox list"
        ),
        runbook_url: match runbook {
            Some(runbook) => runbook.clone(),
            None => section(page, NAME),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_says_who_is_told() {
        let owned = WatchedJob {
            job: "a\"b".into(),
            severity: Some("page".into()),
            owner: Some("{{ ops }}".into()),
            runbook: Some("https://wiki.example/a".into()),
        };
        let plain = WatchedJob {
            job: "c".into(),
            ..WatchedJob::default()
        };
        let rules = never_reported(&[owned, plain], "page", Source::Scrape);
        let shown = rules.iter().map(|rule| {
            let alert = rule.alert.as_ref().unwrap();
            (&*rule.expr, alert.labels.clone(), &*alert.runbook_url)
        });
        let label = |name, value: &str| (name, value.to_owned());
        let wanted = [
            (
                "absent(batch_job_last_completion_timestamp_seconds{job=\"a\\\"b\"})",
                vec![
                    label("severity", "page"),
                    label("job", "a\"b"),
                    label("owner", "{{ \"{{ ops }}\" }}"),
                ],
                "https://wiki.example/a",
            ),
            (
                "absent(batch_job_last_completion_timestamp_seconds{job=\"c\"})",
                vec![label("severity", "warning"), label("job", "c")],
                "page#batchjobneverreported",
            ),
        ];
        assert!(shown.eq(wanted));
    }
}
