//! Rules and their tests as files of Prometheus and promtool.

use std::fmt::{self, Write};

use super::sample::{AlertCheck, FiringAlert, RuleTest};
use super::{Alert, Rule, RuleGroup};
use crate::generate::text::{block, scalar};

/// Name of the file with the rules, which that with the tests refers to.
pub const RULES_FILE: &str = "rules.yml";

/// The rules as a file of Prometheus.
pub fn rules(groups: &[RuleGroup]) -> String {
    let mut file = String::from(
        "# Alerts about batch jobs, written by `metricsjob generate rules`. Check it with: promtool check rules rules.yml\n\
         groups:\n",
    );
    for group in groups {
        // Writing to a string cannot fail, here and below.
        let _ = write_group(&mut file, group);
    }
    file
}

fn write_group(file: &mut String, group: &RuleGroup) -> fmt::Result {
    writeln!(file, "  - name: {}", group.name)?;
    if let Some(interval) = group.interval {
        writeln!(file, "    interval: {interval}")?;
    }
    writeln!(file, "    rules:")?;
    for rule in &group.rules {
        write_rule(file, rule)?;
    }
    Ok(())
}

fn write_rule(file: &mut String, rule: &Rule) -> fmt::Result {
    for line in rule.comment.lines() {
        writeln!(file, "      # {line}")?;
    }
    let kind = if rule.alert.is_some() {
        "alert"
    } else {
        "record"
    };
    writeln!(file, "      - {kind}: {}", rule.name)?;
    writeln!(file, "        expr: {}", block(&rule.expr, 10))?;
    let Some(alert) = &rule.alert else {
        return Ok(());
    };
    let Alert {
        wait,
        labels,
        summary,
        description,
        runbook_url,
        ..
    } = alert;
    if !wait.is_empty() {
        writeln!(file, "        for: {wait}")?;
    }
    writeln!(file, "        labels:")?;
    for (name, value) in labels {
        writeln!(file, "          {name}: {}", scalar(value))?;
    }
    writeln!(file, "        annotations:")?;
    writeln!(file, "          summary: {}", scalar(summary))?;
    writeln!(file, "          description: {}", scalar(description))?;
    writeln!(file, "          runbook_url: {}", scalar(runbook_url))
}

/// The tests of the rules as a file of promtool.
pub fn tests(groups: &[RuleGroup]) -> String {
    let mut file = format!(
        "# Unit tests of {RULES_FILE}, written by `metricsjob generate rules --tests`. Run them with: promtool test rules rules.test.yml\n\
         rule_files:\n  - {RULES_FILE}\n\nevaluation_interval: 1m\n\ntests:\n"
    );
    for rule in groups.iter().flat_map(|group| &group.rules) {
        for test in rule.alert.iter().flat_map(|alert| &alert.tests) {
            let _ = write_test(&mut file, rule.name, test);
        }
    }
    file
}

fn write_test(file: &mut String, alert: &str, test: &RuleTest) -> fmt::Result {
    writeln!(
        file,
        "  - name: {}",
        scalar(&format!("{alert}: {}", test.name))
    )?;
    writeln!(file, "    interval: 1m")?;
    writeln!(file, "    input_series:")?;
    for series in &test.series {
        writeln!(file, "      - series: {}", scalar(&series.series))?;
        writeln!(file, "        values: {}", scalar(&series.values))?;
    }
    writeln!(file, "    alert_rule_test:")?;
    for AlertCheck { at, firing } in &test.checks {
        writeln!(file, "      - eval_time: {at}")?;
        writeln!(file, "        alertname: {alert}")?;
        if firing.is_empty() {
            writeln!(file, "        exp_alerts: []")?;
            continue;
        }
        writeln!(file, "        exp_alerts:")?;
        for alert in firing {
            write_alert(file, alert)?;
        }
    }
    Ok(())
}

fn write_alert(file: &mut String, alert: &FiringAlert) -> fmt::Result {
    writeln!(file, "          - exp_labels:")?;
    for (name, value) in &alert.labels {
        writeln!(file, "              {name}: {}", scalar(value))?;
    }
    writeln!(file, "            exp_annotations:")?;
    let annotations = [
        ("summary", &alert.summary),
        ("description", &alert.description),
        ("runbook_url", &alert.runbook_url),
    ];
    for (name, text) in annotations {
        writeln!(file, "              {name}: {}", scalar(text))?;
    }
    Ok(())
}
