//! Rules of Prometheus, each with the tests that it passes.
//!
//! - [`conditions`]: what the reports of jobs show that is wrong; [`jobs`]: alerts about it; [`arrays`]: about many tasks
//!   at once; [`repeated`], [`slo`]: those that need further recording rules; [`unreported`]: about jobs without any.
//! - [`gateways`]: several gateways that have the same groups.
//! - [`servers`]: about this program's own servers and deliveries; [`services`]: about services over HTTP.
//! - `sparse`: the rules for series with a sample for each run.
//! - [`sample`]: groups and alerts as the tests of rules have them.
//! - [`yaml`]: the rules and their tests as files.
//!
//! A rule and its tests are one value, from which both files are written, so that neither changes without the other.

pub mod arrays;
pub mod conditions;
pub mod gateways;
pub mod jobs;
pub mod repeated;
pub mod sample;
pub mod servers;
pub mod services;
pub mod slo;
mod sparse;
pub mod unreported;
pub mod yaml;

use self::sample::RuleTest;
use super::text::{quoted, template};
use super::watched::WatchedJob;

/// Rules that Prometheus evaluates one after the other.
pub struct RuleGroup {
    pub name: &'static str,
    /// Time between evaluations; `None` for Prometheus' own.
    pub interval: Option<&'static str>,
    pub rules: Vec<Rule>,
}

/// A rule of Prometheus.
pub struct Rule {
    /// Name of the alert, or of the recorded metric.
    pub name: &'static str,
    /// Reason for the rule or for its form, in one line or more.
    pub comment: &'static str,
    pub expr: String,
    /// `None` for a recording rule.
    pub alert: Option<Alert>,
}

/// The alert of a rule. Its texts are templates.
pub struct Alert {
    /// Time for which the expression has to hold; empty for none.
    pub wait: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub summary: String,
    pub description: String,
    pub runbook_url: String,
    /// Address of the section that explains it, which `runbook_url` results in for jobs that give no runbook.
    pub section: String,
    pub tests: Vec<RuleTest>,
}

/// The page with a section for each alert.
pub const PAGE: &str = "docs/how-to/alerts.md";

/// Label `task` of alerts about a job array as a whole.
pub const ALL_TASKS: &str = "*";

/// Labels that a job's `batch_job_alerting_info` gives to its alerts.
const ALERTING_LABELS: &str = "severity, owner, runbook";

/// Template of the job and the other labels of a group: `db_backup db=customers`.
const WHO: &str = "{{ $labels.job }}{{ range $name, $value := $labels }}\
    {{ if not (match \"^(__name__|job|job_name|metric|severity|owner|runbook)$\" $name) }} \
    {{ $name }}={{ $value }}{{ end }}{{ end }}";

/// How Prometheus gets the reports of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It scrapes them from a gateway, `serve` or node_exporter again and again.
    Scrape,
    /// It gets a sample for each run, by remote write.
    RemoteWrite,
}

/// All rules: those that serve every job, and one for each of `jobs`. `page` is the address of the page that
/// explains them.
pub fn all(jobs: &[WatchedJob], page: &str, source: Source) -> Vec<RuleGroup> {
    let group = |name, rules| RuleGroup {
        name,
        interval: None,
        rules,
    };
    let never_reported = unreported::never_reported(jobs, page, source);
    let of_jobs = [
        gateways::rules(),
        conditions::rules(),
        jobs::rules(page),
        arrays::rules(page),
    ];
    let groups = vec![
        group("batch-jobs", of_jobs.into_iter().flatten().collect()),
        RuleGroup {
            interval: Some("1m"),
            ..group("batch-job-error-budgets", slo::rules(page))
        },
        group("batch-jobs-never-reported", never_reported),
        group("metricsjob", servers::rules(page)),
        group("services", services::rules(page)),
    ];
    let groups = groups.into_iter();
    let mut groups: Vec<RuleGroup> = groups.filter(|group| !group.rules.is_empty()).collect();
    if source == Source::RemoteWrite {
        for rule in groups.iter_mut().flat_map(|group| &mut group.rules) {
            rule.expr = sparse::over_time(&rule.expr);
        }
    }
    groups
}

impl Rule {
    /// A rule that records the result of `expr`.
    fn recording(name: &'static str, comment: &'static str, expr: &str) -> Self {
        Rule {
            name,
            comment,
            expr: expr.to_owned(),
            alert: None,
        }
    }

    /// A rule that records what [`of_group`](Self::of_group) and [`of_tasks`](Self::of_tasks) are about: groups for which
    /// `condition` holds, once however many gateways have them. `own` are labels of the condition that are not the group's.
    fn of_condition(
        name: &'static str,
        comment: &'static str,
        condition: &str,
        own: &[&str],
    ) -> Self {
        let ignored = match own {
            [] => String::new(),
            own => format!("ignoring ({}) ", own.join(", ")),
        };
        let indented = condition.replace('\n', "\n    ");
        let expr = format!(
            "max without (gateway_replica) (\n  (\n    {indented}\n  ) unless {ignored}{}\n)",
            gateways::OLDER
        );
        Rule::recording(name, comment, &expr)
    }

    /// An alert about each group that the rule `recorded` records, those of tasks excepted.
    fn of_group(
        name: &'static str,
        severity: &str,
        recorded: &str,
        own: &[&str],
        page: &str,
    ) -> Self {
        // Without labels, a vector matches what has no label `task` either.
        let condition = format!("{recorded} and on (task) vector(1)");
        Rule::of_job(name, "", severity, &condition, own, page)
    }

    /// An alert about job arrays, whose value is how many tasks `recorded` has.
    fn of_tasks(
        name: &'static str,
        comment: &'static str,
        severity: &str,
        recorded: &str,
        own: &[&str],
        page: &str,
    ) -> Self {
        let condition = format!("count without (task) ({recorded} unless on (task) vector(1))");
        let mut rule = Rule::of_job(name, comment, severity, &condition, own, page);
        if let Some(alert) = &mut rule.alert {
            alert.set_label("task", ALL_TASKS);
            alert.set_label("batch_job_group", &format!("{WHO} task={ALL_TASKS}"));
        }
        rule
    }

    /// An alert for which `condition` holds. The severity, owner and runbook are those that the job gives; without them
    /// `severity` counts. `own` are labels of the condition that are not the group's.
    fn of_job(
        name: &'static str,
        comment: &'static str,
        severity: &str,
        condition: &str,
        own: &[&str],
        page: &str,
    ) -> Self {
        let own: String = own.iter().map(|label| format!("{label}, ")).collect();
        let indented = condition.replace('\n', "\n  ");
        let expr = format!(
            "(\n  {indented}\n) * ignoring ({own}{ALERTING_LABELS}) group_left ({ALERTING_LABELS}) {}\n\
             or ignoring ({ALERTING_LABELS})\n(\n  {indented}\n)",
            gateways::ALERTING_INFO
        );
        let labels = vec![
            ("batch_job_group", WHO.to_owned()),
            // In the annotation runbook_url; an empty label is none.
            ("runbook", String::new()),
            (
                "severity",
                format!("{{{{ or $labels.severity \"{severity}\" }}}}"),
            ),
        ];
        let section = section(page, name);
        let runbook_url = format!("{{{{ or $labels.runbook {} }}}}", quoted(&section));
        Rule {
            name,
            comment,
            expr,
            alert: Some(Alert::new(labels, section, runbook_url)),
        }
    }

    /// An alert of a fixed severity.
    fn fixed(
        name: &'static str,
        comment: &'static str,
        severity: &str,
        expr: &str,
        page: &str,
    ) -> Self {
        let section = section(page, name);
        let runbook_url = template(&section);
        let labels = vec![("severity", severity.to_owned())];
        Rule {
            name,
            comment,
            expr: expr.to_owned(),
            alert: Some(Alert::new(labels, section, runbook_url)),
        }
    }

    /// Gives the alert this severity, whatever the job says: it is worth a look, and nobody's sleep.
    fn always(mut self, severity: &str) -> Self {
        if let Some(alert) = &mut self.alert {
            alert.set_label("severity", severity);
        }
        self
    }

    fn after(mut self, wait: &'static str) -> Self {
        if let Some(alert) = &mut self.alert {
            alert.wait = wait;
        }
        self
    }

    /// Gives the alert its texts: `summary` follows the labels, and both are templates.
    fn says(mut self, summary: &str, description: &str) -> Self {
        if let Some(alert) = &mut self.alert {
            alert.summary = format!("{WHO}{summary}");
            alert.description = description.to_owned();
        }
        self
    }

    fn tested(self, tests: impl Into<Vec<RuleTest>>) -> Self {
        self.with_tests(tests.into())
    }

    fn with_tests(mut self, tests: Vec<RuleTest>) -> Self {
        if let Some(alert) = &mut self.alert {
            alert.tests.extend(tests);
            let checks = alert.tests.iter_mut().flat_map(|test| &mut test.checks);
            for firing in checks.flat_map(|check| &mut check.firing) {
                if firing.runbook_url.is_empty() {
                    firing.runbook_url.clone_from(&alert.section);
                }
            }
        }
        self
    }
}

impl Alert {
    fn set_label(&mut self, label: &'static str, value: &str) {
        self.labels.retain(|(name, _)| *name != label);
        self.labels.push((label, value.to_owned()));
    }

    fn new(labels: Vec<(&'static str, String)>, section: String, runbook_url: String) -> Self {
        Alert {
            wait: "",
            labels,
            section,
            summary: String::new(),
            description: String::new(),
            runbook_url,
            tests: Vec::new(),
        }
    }
}

/// Address of the section about an alert on `page`.
fn section(page: &str, name: &str) -> String {
    format!("{page}#{}", name.to_lowercase())
}
