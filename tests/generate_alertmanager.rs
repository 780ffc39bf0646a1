//! `metricsjob generate alertmanager`: who gets the alerts, by the tables `[[receiver]]` of the config file.

use crate::common::{Finished, Sandbox, monitoring};

const USER: &str = ".config/metricsjob/metricsjob.toml";

/// A receiver of each kind; the last gets what no other takes.
const RECEIVERS: &str = r##"
[[receiver]]
name = "dba"
owner = ["dba", "it's \"a.b|c\", \\d {{ x }}"]
severity = ["critical", "page"]
[receiver.email]
to = "dba@example.com"
from = "alerts@example.com"
smarthost = "mail.example.com:587"
username = "alerts"
password_file = "/etc/alertmanager/password"

[[receiver]]
name = "pager # 1"
severity = "critical"
webhook = { url = "http://pager.example:8080/", bearer_token_file = "/etc/alertmanager/token" }

[[receiver]]
name = "orders"
owner = "a \"b\" \\ ünï, {x=\"y\"}"
slack = { api_url_file = "/etc/alertmanager/slack", channel = "#orders" }

[[receiver]]
name = "ops"
slack = { api_url_file = "/etc/alertmanager/slack" }
webhook = { url = "http://ops.example:8080/" }
"##;

fn with(config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(USER, config);
    sandbox
}

fn generated(sandbox: &Sandbox) -> Finished {
    sandbox.run("generate alertmanager")
}

#[test]
fn monitoring_has_the_configuration() {
    let line = "alertmanager --config ROOT/monitoring/metricsjob.toml";
    monitoring::holds("alertmanager.yml", line);
}

#[test]
fn nobody_is_named() {
    let run = generated(&Sandbox::new());
    run.code(0)
        .out("receiver: 'nobody'")
        .err("warning: nobody gets an alert: there is no [[receiver]] in a config file, see ");
    // Not for all alerts, and under a name that is taken.
    let run = generated(&with(
        "[[receiver]]\nname = 'nobody'\nowner = 'a'\nwebhook.url = 'http://h/'",
    ));
    run.code(0)
        .out("  receiver: 'nobody_'\n")
        .out("    - receiver: 'nobody'\n")
        .err("warning: nobody gets the alerts that no [[receiver]] takes");
}

#[test]
fn mistakes_have_their_places() {
    for (config, problem) in [
        (
            "receiver = 7",
            "1:12: receiver must be a list of tables, [[receiver]]",
        ),
        (
            "[[receiver]]\nnam = 'x'",
            "2:1: unknown key \"nam\" (did you mean \"name\"?)",
        ),
        ("[[receiver]]\nname = ''", "2:8: name \"\" is empty"),
        (
            "[[receiver]]\nslack.api_url_file = '/a'",
            "1:1: [[receiver]] needs the key name",
        ),
        (
            "[[receiver]]\nname = 'a'",
            "1:1: the receiver \"a\" has neither webhook nor slack nor email",
        ),
        (
            "[[receiver]]\nname = 'a'\nowner = []",
            "3:9: owner is an empty list: leave it out for all",
        ),
        (
            "[[receiver]]\nname = 'a'\nseverity = [7]",
            "3:13: severity must be a string",
        ),
        (
            "[[receiver]]\nname = 'a'\nslack = { api_url = 's3cret' }",
            "3:11: unknown key \"api_url\" (did you mean \"api_url_file\"?)",
        ),
        (
            "[[receiver]]\nname = 'a'\nslack = {}",
            "3:9: slack needs the key api_url_file",
        ),
        (
            "[[receiver]]\nname = 'a'\nslack.api_url_file = 'here'",
            "3:22: api_url_file \"here\" is not an absolute path",
        ),
        (
            "[[receiver]]\nname = 'a'\nwebhook.url = 'http://me:s3cret@h/'",
            "3:15: url has a user or a password in it: give bearer_token_file",
        ),
        (
            "[[receiver]]\nname = 'a'\nwebhook.url = 'ftp://h'",
            "3:15: url \"ftp://h\" is no URL of http or https",
        ),
        (
            "[[receiver]]\nname = 'a'\nemail = { to = 'a@b', from = 'a@b', smarthost = 'mail' }",
            "3:49: smarthost \"mail\" is not HOST:PORT",
        ),
        (
            "[[receiver]]\nname = 'a'\nemail = { to = 'a@b', from = 'a@b', smarthost = 'h:25', username = 'u' }",
            "3:9: email needs the key password_file",
        ),
        (
            "[[receiver]]\nname = 'a'\nwebhook.url = 'http://h/'\n[[receiver]]\nname = 'b'\nwebhook.url = 'http://h/'",
            "4:1: \"b\" has neither owner nor severity, and \"a\" gets what no other takes already",
        ),
        (
            "[[receiver]]\nname = 'a'\nowner = 'x'\nwebhook.url = 'http://h/'\n[[receiver]]\nname = 'a'\nwebhook.url = 'http://h/'",
            "5:1: another receiver is called \"a\" too",
        ),
    ] {
        let sandbox = with(config);
        let place = sandbox.path().join(USER);
        let run = generated(&sandbox);
        let error = format!("error: {}:{problem}", place.display());
        run.code(2).err(&error);
        assert_eq!(run.stdout(), "", "{config}");
        assert_eq!(run.stderr().lines().count(), 1, "{}", run.stderr());
        assert!(!run.stderr().contains("s3cret"), "{}", run.stderr());
        // It concerns nobody else.
        sandbox.exec("--no-push", "true").code(0).quiet_stderr();
    }
}

/// An empty configuration must not take the place of a good one.
#[test]
fn a_file_that_is_ignored_is_an_error() {
    let problem =
        "error: a config file is ignored (see the warning above), and the receivers may be in it";
    generated(&with("receiver = ")).code(2).err(problem);
    let gone = Sandbox::new().variable("METRICSJOB_CONFIG", "gone.toml");
    generated(&gone).code(2).err(problem);
}

#[test]
fn their_names_are_a_setting() {
    let shown = with(RECEIVERS).run("config show").code(0).stdout();
    let line = shown.lines().find(|line| line.starts_with("receiver "));
    assert!(
        line.unwrap().contains("dba,pager # 1,orders,ops"),
        "{shown}"
    );
}

#[cfg(feature = "real-servers")]
mod with_alertmanager {
    use std::process::Command;

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::common::{PATIENCE, Server, awaited};

    fn amtool(sandbox: &Sandbox, arguments: &[&str]) -> Finished {
        let mut command = Command::new("amtool");
        command.args(arguments).current_dir(sandbox.path());
        command.output().unwrap().into()
    }

    fn written(config: &str) -> Sandbox {
        let sandbox = with(config);
        let text = generated(&sandbox).code(0).stdout();
        sandbox.write("alertmanager.yml", text);
        sandbox
    }

    #[test]
    fn amtool_takes_it() {
        for (config, receivers) in [("", 1), (RECEIVERS, 4)] {
            let sandbox = written(config);
            let checked = amtool(&sandbox, &["check-config", "alertmanager.yml"]);
            checked
                .code(0)
                .out("SUCCESS")
                .out("1 inhibit rules")
                .out(&format!("{receivers} receivers"));
        }
    }

    #[test]
    fn each_alert_finds_its_receivers() {
        let sandbox = written(RECEIVERS);
        for (labels, receivers) in [
            (&["owner=dba", "severity=critical"][..], "dba,pager # 1"),
            (&["owner=dba", "severity=page"], "dba"),
            (&["owner=dba", "severity=warning"], "ops"),
            (&["owner=adba", "severity=page"], "ops"),
            (&["severity=critical"], "pager # 1"),
            (&["severity=warning"], "ops"),
            (
                &[r#"owner="it's \"a.b|c\", \\d {{ x }}""#, "severity=page"],
                "dba",
            ),
            (
                &[r#"owner="it's \"axb|c\", \\d {{ x }}""#, "severity=page"],
                "ops",
            ),
            (
                &[r#"owner="a \"b\" \\ ünï, {x=\"y\"}""#, "severity=info"],
                "orders",
            ),
        ] {
            let mut arguments = vec!["config", "routes", "test", "--config.file=alertmanager.yml"];
            arguments.extend(labels);
            let routed = amtool(&sandbox, &arguments).code(0).stdout();
            assert_eq!(routed.trim_end(), receivers, "{labels:?}");
        }
    }

    /// The alerts in a real Alertmanager, and which of them it keeps to itself because of another.
    #[test]
    fn late_is_not_reported_of_a_job_that_failed() {
        let sandbox = written(RECEIVERS);
        let alertmanager = Server::alertmanager(&sandbox.path().join("alertmanager.yml"));
        let alert = |name: &str, group: &str| {
            let mut labels = json!({"alertname": name, "job": "backup", "batch_job_group": group});
            if group.ends_with("task=*") {
                labels["task"] = json!("*");
            }
            json!({ "labels": labels })
        };
        let late = "BatchJobLate";
        let alerts = json!([
            alert("BatchJobFailed", "backup db=a"),
            alert(late, "backup db=a"),
            alert(late, "backup db=b"),
            // Other tasks of an array than those that failed.
            alert("BatchJobFailed", "backup task=*"),
            alert(late, "backup task=*"),
        ]);
        let headers = [("Content-Type", "application/json")];
        let path = "/api/v2/alerts";
        let posted = alertmanager.exchange("POST", path, &headers, alerts.to_string());
        assert_eq!(posted.status, 200, "{}", posted.body);
        awaited(PATIENCE, || {
            let shown: Json = serde_json::from_str(&alertmanager.get(path)).unwrap();
            let shown = shown.as_array().unwrap().iter();
            let mut states: Vec<_> = shown
                .map(|alert| {
                    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
                    let labels = &alert["labels"];
                    (
                        text(&labels["batch_job_group"]),
                        text(&labels["alertname"]),
                        text(&alert["status"]["state"]),
                    )
                })
                .collect();
            states.sort();
            let wanted = [
                ("backup db=a", "BatchJobFailed", "active"),
                ("backup db=a", late, "suppressed"),
                ("backup db=b", late, "active"),
                ("backup task=*", "BatchJobFailed", "active"),
                ("backup task=*", late, "active"),
            ];
            let shown = states.iter();
            let shown = shown.map(|(group, name, state)| (&**group, &**name, &**state));
            if shown.eq(wanted) {
                return Ok(());
            }
            Err(format!("{states:?}"))
        });
    }
}
