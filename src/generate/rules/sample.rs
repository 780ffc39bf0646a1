//! Groups and alerts as the tests of rules have them.

use metricsjob_metrics::Labels;

use super::ALL_TASKS;
use crate::generate::text::quoted;

/// A test of one rule: series, and the alerts that they lead to at some times.
pub struct RuleTest {
    pub name: &'static str,
    pub series: Vec<TestSeries>,
    pub checks: Vec<AlertCheck>,
}

/// A series as promtool expands it.
pub struct TestSeries {
    pub series: String,
    pub values: String,
}

/// The alerts of a rule that fire at a time, and no others.
pub struct AlertCheck {
    /// Time since the series began.
    pub at: &'static str,
    pub firing: Vec<FiringAlert>,
}

/// An alert as Alertmanager gets it.
pub struct FiringAlert {
    pub labels: Labels,
    pub summary: String,
    pub description: String,
    /// Empty for the section about the alert.
    pub runbook_url: String,
}

impl RuleTest {
    /// A test with a sample of each series a minute.
    pub fn new<S>(name: &'static str, series: impl IntoIterator<Item = S>) -> Self
    where
        S: IntoIterator<Item = TestSeries>,
    {
        RuleTest {
            name,
            series: series.into_iter().flatten().collect(),
            checks: Vec::new(),
        }
    }

    /// Nothing fires at this time.
    pub fn silent(self, at: &'static str) -> Self {
        self.firing(at, [])
    }

    /// Exactly these alerts fire at this time.
    pub fn firing(
        mut self,
        at: &'static str,
        firing: impl IntoIterator<Item = FiringAlert>,
    ) -> Self {
        let firing = firing.into_iter().collect();
        self.checks.push(AlertCheck { at, firing });
        self
    }
}

/// The labels that all series of a sample have.
#[derive(Clone, Copy)]
pub struct SampleLabels {
    pub labels: &'static [(&'static str, &'static str)],
    /// Severity, owner and runbook, if the job gives them.
    pub alerting: Option<[&'static str; 3]>,
}

/// A group of a job that says nothing about alerts, as a Pushgateway shows it.
pub const CUSTOMERS: SampleLabels = SampleLabels {
    labels: &[("job", "db_backup"), ("instance", ""), ("db", "customers")],
    alerting: None,
};

/// Another group of the job.
pub const SHOP: SampleLabels = SampleLabels {
    labels: &[("job", "db_backup"), ("instance", ""), ("db", "shop")],
    alerting: None,
};

/// A group of a job that says who its alerts are for.
pub const SYNC: SampleLabels = SampleLabels {
    labels: &[("job", "sync"), ("instance", "web1"), ("site", "berlin")],
    alerting: Some(["page", "orders", "https://wiki.example/sync"]),
};

/// A group of one more job, without further labels.
pub const REPORT: SampleLabels = SampleLabels {
    labels: &[("job", "report")],
    alerting: None,
};

impl SampleLabels {
    /// The series of these names, each with its values. A name may have labels of its own: `a_total{result="ok"}`.
    pub fn series<const N: usize>(self, series: [(&str, &str); N]) -> Vec<TestSeries> {
        self.all(&series)
    }

    fn all(self, series: &[(&str, &str)]) -> Vec<TestSeries> {
        let series = series.iter();
        let mut all: Vec<TestSeries> = series
            .map(|(name, values)| self.one(name, values))
            .collect();
        if let Some([severity, owner, runbook]) = self.alerting {
            let info = format!(
                "batch_job_alerting_info{{severity=\"{severity}\",owner=\"{owner}\",runbook=\"{runbook}\"}}"
            );
            all.push(self.one(&info, "1x1000"));
        }
        all
    }

    fn one(self, name: &str, values: &str) -> TestSeries {
        let (name, own) = name.split_once('{').unwrap_or((name, ""));
        let own = own.trim_end_matches('}');
        let labels = self.labels.iter();
        let labels = labels.map(|(name, value)| format!("{name}={}", quoted(value)));
        let own = Some(own).filter(|own| !own.is_empty()).map(str::to_owned);
        let labels: Vec<String> = labels.chain(own).collect();
        TestSeries {
            series: format!("{name}{{{}}}", labels.join(",")),
            values: values.to_owned(),
        }
    }

    /// The job with the other labels.
    fn who(self, own: &[(&str, &str)]) -> String {
        let labels: Labels = self.labels.iter().chain(own).copied().collect();
        let mut who = labels.get("job").unwrap_or_default().to_owned();
        for (name, value) in &labels {
            if !["job", "metric", "job_name"].contains(&name) && !value.is_empty() {
                who += &format!(" {name}={value}");
            }
        }
        who
    }

    /// An alert about this group, whose condition has the labels `own` too. `severity` is that of jobs that give none.
    pub fn alert(
        self,
        severity: &str,
        own: &[(&str, &str)],
        summary: &str,
        description: &str,
    ) -> FiringAlert {
        let mut alert = self.fixed(severity, own, summary, description);
        let group = self.who(&[]);
        alert.labels.insert("batch_job_group", group);
        if let Some([severity, owner, runbook]) = self.alerting {
            alert.labels.insert("severity", severity);
            alert.labels.insert("owner", owner);
            alert.runbook_url = runbook.into();
        }
        alert
    }

    /// An alert about tasks of the array with these labels, as [`alert`](Self::alert) has it.
    pub fn alert_of_tasks(
        self,
        severity: &str,
        own: &[(&str, &str)],
        summary: &str,
        description: &str,
    ) -> FiringAlert {
        let mut alert = self.alert(severity, own, summary, description);
        let group = format!("{} task={ALL_TASKS}", self.who(&[]));
        alert.labels.insert("batch_job_group", group);
        alert.labels.insert("task", ALL_TASKS);
        alert
    }

    /// An alert with these labels and `own`.
    pub fn fixed(
        self,
        severity: &str,
        own: &[(&str, &str)],
        summary: &str,
        description: &str,
    ) -> FiringAlert {
        let severity = ("severity", severity);
        let labels = self.labels.iter().chain(own).chain([&severity]);
        let labels = labels.filter(|(_, value)| !value.is_empty());
        FiringAlert {
            labels: labels.copied().collect(),
            summary: self.who(own) + summary,
            description: description.to_owned(),
            runbook_url: String::new(),
        }
    }
}
