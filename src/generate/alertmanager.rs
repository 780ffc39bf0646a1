//! The configuration of Alertmanager: who gets which alerts.

use std::fmt::{self, Write};

use super::rules::ALL_TASKS;
use super::rules::jobs::{FAILED, LATE};
use super::text::{quoted, scalar};
use crate::config::receiver::{AlertReceiver, Mailbox, SlackChannel, Webhook};

const SLACK_TITLE: &str = "{{ .Status }}: {{ .GroupLabels.job }}";
const SLACK_TEXT: &str = "{{ range .Alerts }}{{ .Status }}: {{ .Annotations.summary }}\n\
    {{ .Annotations.description }}\n{{ end }}";

/// The file for these receivers. Each gets the alerts of its owners and severities; the one without either gets what no
/// other takes, and without such a one nobody does.
pub fn configuration(receivers: &[AlertReceiver]) -> String {
    let mut file = String::from(
        "# Who gets which alerts, written by `metricsjob generate alertmanager`. Check it with: amtool check-config alertmanager.yml\n",
    );
    // Writing to a string cannot fail.
    let _ = write_file(&mut file, receivers);
    file
}

fn write_file(file: &mut String, receivers: &[AlertReceiver]) -> fmt::Result {
    let default = receivers.iter().find(|receiver| receiver.is_default());
    let nobody = nobody(receivers);
    let default_name = default.map_or(&nobody, |default| &default.name);
    writeln!(file, "route:\n  receiver: {}", scalar(default_name))?;
    writeln!(file, "  group_by: ['job']")?;
    writeln!(
        file,
        "  group_wait: 30s\n  group_interval: 5m\n  repeat_interval: 12h"
    )?;
    let routed: Vec<&AlertReceiver> = receivers.iter().filter(|r| !r.is_default()).collect();
    if !routed.is_empty() {
        writeln!(file, "  routes:")?;
    }
    for receiver in routed {
        writeln!(file, "    - receiver: {}", scalar(&receiver.name))?;
        writeln!(file, "      matchers:")?;
        for (label, values) in [
            ("owner", &receiver.owners),
            ("severity", &receiver.severities),
        ] {
            if !values.is_empty() {
                writeln!(file, "        - {}", scalar(&matcher(label, values)))?;
            }
        }
        writeln!(
            file,
            "      # Others may want it too.\n      continue: true"
        )?;
    }
    writeln!(file, "inhibit_rules:")?;
    writeln!(file, "  # A job that failed is late too, before long.")?;
    writeln!(
        file,
        "  - source_matchers: [{}]",
        scalar(&matcher("alertname", &[FAILED]))
    )?;
    writeln!(
        file,
        "    # Of a job array, other tasks are late than those that failed.\n    target_matchers: [{}, {}]",
        scalar(&matcher("alertname", &[LATE])),
        scalar(&format!("task!={}", quoted(ALL_TASKS)))
    )?;
    writeln!(file, "    equal: ['job', 'batch_job_group']")?;
    writeln!(file, "receivers:")?;
    if default.is_none() {
        writeln!(file, "  - name: {}", scalar(&nobody))?;
    }
    receivers
        .iter()
        .try_for_each(|receiver| write_receiver(file, receiver))
}

fn write_receiver(file: &mut String, receiver: &AlertReceiver) -> fmt::Result {
    writeln!(file, "  - name: {}", scalar(&receiver.name))?;
    if let Some(Webhook {
        url,
        bearer_token_file,
    }) = &receiver.webhook
    {
        writeln!(file, "    webhook_configs:")?;
        writeln!(file, "      - url: {}", scalar(url))?;
        writeln!(file, "        send_resolved: true")?;
        if let Some(path) = bearer_token_file {
            writeln!(file, "        http_config:\n          authorization:")?;
            writeln!(file, "            credentials_file: {}", scalar(path))?;
        }
    }
    if let Some(SlackChannel {
        api_url_file,
        channel,
    }) = &receiver.slack
    {
        writeln!(file, "    slack_configs:")?;
        writeln!(file, "      - api_url_file: {}", scalar(api_url_file))?;
        if let Some(channel) = channel {
            writeln!(file, "        channel: {}", scalar(channel))?;
        }
        writeln!(file, "        send_resolved: true")?;
        writeln!(file, "        title: {}", scalar(SLACK_TITLE))?;
        writeln!(file, "        text: {}", scalar(SLACK_TEXT))?;
    }
    if let Some(Mailbox {
        to,
        from,
        smarthost,
        login,
    }) = &receiver.email
    {
        writeln!(file, "    email_configs:")?;
        writeln!(file, "      - to: {}", scalar(to))?;
        writeln!(file, "        from: {}", scalar(from))?;
        writeln!(file, "        smarthost: {}", scalar(smarthost))?;
        if let Some((username, password_file)) = login {
            writeln!(file, "        auth_username: {}", scalar(username))?;
            writeln!(
                file,
                "        auth_password_file: {}",
                scalar(password_file)
            )?;
        }
        writeln!(file, "        send_resolved: true")?;
    }
    Ok(())
}

/// A name that no receiver has.
fn nobody(receivers: &[AlertReceiver]) -> String {
    let mut name = "nobody".to_owned();
    while receivers.iter().any(|receiver| receiver.name == name) {
        name.push('_');
    }
    name
}

/// A matcher of alerts whose `label` has one of `values`.
fn matcher(label: &str, values: &[impl AsRef<str>]) -> String {
    let (operator, value) = match values {
        [value] => ("=", value.as_ref().to_owned()),
        values => {
            let values = values.iter().map(|value| literal(value.as_ref()));
            ("=~", values.collect::<Vec<_>>().join("|"))
        }
    };
    // Alertmanager knows no other escapes.
    let value = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("{label}{operator}\"{value}\"")
}

/// A regular expression that matches `text` and nothing else.
fn literal(text: &str) -> String {
    let mut literal = String::new();
    for char in text.chars() {
        if char.is_ascii_punctuation() {
            literal.push('\\');
        }
        literal.push(char);
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers() {
        assert_eq!(matcher("owner", &["a.b\"\\"]), r#"owner="a.b\"\\""#);
        assert_eq!(matcher("owner", &["a.b", "c"]), r#"owner=~"a\\.b|c""#);
    }
}
