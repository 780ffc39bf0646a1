//! `--output json`: what programs read, held against the schemas in docs/reference/schemas.

use serde_json::{Value as Json, json};

use crate::common::{FakeServer, Sandbox};

/// A state with runs that ended in several ways, a late group, entries in the outbox, and good and bad job files.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let script = "echo 'n 5' >>$METRICSJOB_METRICS; echo one >&2; exit 3";
    sandbox.exec("--job bad -g db=a --tail 1", script).code(3);
    sandbox.run("run backup -g db=b --set duration=0s").code(0);
    sandbox.exec("--job quick", "true").code(0);
    let late = "# TYPE batch_job_deadline_timestamp_seconds gauge\nbatch_job_deadline_timestamp_seconds 1e9\nm NaN\n";
    sandbox.run_with_input("push --job late", late).code(0);
    let more = "# TYPE s summary\ns{quantile=\"0.5\"} +Inf\ns_sum 1\ns_count 2\n\
                # TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n";
    sandbox.run_with_input("push --job more", more).code(0);
    sandbox
        .run_with_input("push --job lost --gateway 127.0.0.1:1", "m 1\n")
        .code(69);
    let server = FakeServer::status("400 Bad Request", "no");
    let line = format!("push --job refused -g l=x --gateway {}", server.url());
    sandbox.run_with_input(&line, "m 1\n").code(69);
    sandbox.write("jobs/typo.toml", "comand = ['true']\n");
    sandbox.write(
        "jobs/nightly.toml",
        "command = ['true']\nschedule = '@daily'\ntimeout = '1h'\nretries = 2\n[grouping]\ndb = 'a'\n",
    );
    sandbox
}

fn rows(json: &Json) -> &[Json] {
    json.as_array()
        .unwrap_or_else(|| panic!("no array: {json}"))
}

#[test]
fn each_list_is_an_array_of_objects_with_job_and_grouping() {
    let sandbox = sandbox();
    for line in [
        "status",
        "history",
        "history --stats",
        "list",
        "list nightly",
        "outbox list",
    ] {
        let json = sandbox.run(&format!("{line} --output json")).code(0).json();
        assert!(!rows(&json).is_empty(), "{line}");
        for row in rows(&json) {
            let is_bad = row
                .get("error")
                .is_some_and(|error| line == "list" && !error.is_null());
            assert!(
                row["job"].is_string() || (is_bad && row["job"].is_null()),
                "{line}: {row}"
            );
            assert!(row["grouping"].is_object(), "{line}: {row}");
        }
    }
    for line in ["status", "history", "history --stats", "outbox list"] {
        let empty = Sandbox::new().run(&format!("{line} --output json"));
        assert_eq!(empty.code(0).json(), json!([]), "{line}");
    }
}

#[test]
fn times_are_there_twice_and_null_for_never() {
    let sandbox = sandbox();
    let seconds_of = |text: &Json| {
        let time = humantime::parse_rfc3339(text.as_str().unwrap()).unwrap();
        metricsjob_metrics::unix_seconds(time)
    };
    let status = sandbox.run("status --output json").json();
    let history = sandbox.run("history --output json").json();
    let outbox = sandbox.run("outbox list --output json").json();
    for (row, name) in [
        (&status[0], "push_time"),
        (&status[0], "last_completion_timestamp"),
        (&history[0], "start_timestamp"),
        (&history[0], "completion_timestamp"),
        (&outbox[0], "produced_timestamp"),
    ] {
        let seconds = row[format!("{name}_seconds")].as_f64().unwrap();
        assert!(seconds > 1.7e9, "{name}");
        assert!((seconds - seconds_of(&row[name])).abs() < 0.002, "{name}");
    }
    assert_eq!(status[0]["job"], "bad");
    for never in ["last_success_timestamp", "push_failure_time"] {
        assert_eq!(status[0][never], Json::Null);
        assert_eq!(status[0][format!("{never}_seconds")], Json::Null);
    }
}

#[test]
fn a_command_has_stdout_for_itself() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/say.toml", "command = ['echo', 'hello']\n");
    for line in ["exec --output json -- echo hello", "run say --output json"] {
        let run = sandbox.run(line);
        assert_eq!(run.code(0).stdout(), "hello\n", "{line}");
        assert_eq!(run.stderr().lines().count(), 1, "{line}");
        assert_eq!(run.result()["outcome"], "success", "{line}");
    }
    // Behind all messages.
    let run = sandbox.run("exec --output json --gateway 127.0.0.1:1 -- ./gone");
    assert_eq!(
        run.code(127).result()["push"]["deliveries"][0]["delivered"],
        false
    );
    // A built-in writes nothing.
    let run = sandbox.run("run backup --set duration=0s --output json");
    assert_eq!(run.code(0).json()["outcome"], "success");
    run.quiet_stderr();
}

#[test]
fn the_result_can_go_to_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "result.json",
        "something longer that was there before".repeat(100),
    );
    let result = || {
        let text = std::fs::read_to_string(sandbox.path().join("result.json")).unwrap();
        serde_json::from_str::<Json>(&text).unwrap()
    };
    for options in [
        "--output json --output-file result.json",
        "--output-file result.json",
    ] {
        let run = sandbox.exec(options, "echo hello; exit 3");
        assert_eq!(run.code(3).stdout(), "hello\n");
        run.quiet_stderr();
        assert_eq!(
            (&result()["outcome"], &result()["exit_code"]),
            (&json!("failure"), &json!(3))
        );
    }
    sandbox
        .run("run backup --set duration=0s --output-file result.json")
        .code(0)
        .quiet();
    assert_eq!(result()["name"], "backup");
}

#[test]
fn a_file_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    for (file, reason) in [
        ("no/such.json", "there is no such directory"),
        (".", "it is a directory"),
    ] {
        let run = sandbox.exec(&format!("--output-file {file}"), "touch ran");
        run.code(2)
            .err(&format!("error: --output-file {file}: {reason}"));
        assert!(!sandbox.path().join("ran").exists());
    }
    // From then on the exit code is the job's.
    let run = sandbox.exec("--output-file /dev/full", "exit 3");
    run.code(3)
        .err("warning: could not write the result to /dev/full: no space is left");
    assert_eq!(sandbox.outcomes(), ["failure"]);
    sandbox
        .exec("--output-file result.json --dry-run", "true")
        .code(2)
        .err("cannot be used with");
}

#[cfg(feature = "real-servers")]
mod schemas {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;
    use crate::common::Finished;

    fn schema(name: &str) -> PathBuf {
        let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/schemas");
        schemas.join(format!("{name}.json"))
    }

    /// Runs check-jsonschema, which prints what does not fit.
    fn check(arguments: &[&Path]) -> Finished {
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemas/bin/check-jsonschema");
        assert!(
            program.exists(),
            "scripts/test installs check-jsonschema: {program:?}"
        );
        Command::new(program)
            .args(arguments)
            .output()
            .unwrap()
            .into()
    }

    fn fits(sandbox: &Sandbox, json: &Json, name: &str) -> Finished {
        let instance = sandbox.write(&format!("{name}.instance.json"), json.to_string());
        check(&[Path::new("--schemafile"), &schema(name), &instance])
    }

    #[test]
    fn what_is_printed_fits_its_schema() {
        let sandbox = sandbox();
        let history = sandbox.run("history --output json").json();
        let show = format!("history show {}", history[0]["run_id"].as_str().unwrap());
        for (line, name) in [
            ("status", "status"),
            ("history", "history"),
            ("history --stats", "history-stats"),
            (&show, "history-show"),
            ("list", "list"),
            ("outbox list", "outbox-list"),
            ("delete --match {job=~\".+\"} --dry-run", "delete"),
            ("run backup --set duration=0s", "run"),
        ] {
            let json = sandbox.run(&format!("{line} --output json")).code(0).json();
            fits(&sandbox, &json, name).code(0);
        }
        let findings = sandbox.run("doctor --output json");
        fits(&sandbox, &findings.code(1).json(), "doctor").code(0);
        for options in ["", "--gateway 127.0.0.1:1", "--no-push", "--job j -g a=c"] {
            let run = sandbox.exec(
                &format!("--output json {options}"),
                "echo 'a 1' >>$METRICSJOB_METRICS",
            );
            fits(&sandbox, &run.code(0).result(), "run").code(0);
        }
        let run = sandbox.exec("--output json --notify webhook:http://127.0.0.1:1", "false");
        fits(&sandbox, &run.code(1).result(), "run").code(0);
    }

    #[test]
    fn notifications_fit_their_schema() {
        let sandbox = Sandbox::new();
        let server = FakeServer::status("200 OK", "");
        let options = format!(
            "--job j --tail 1 --expect n=1.. --notify webhook:{}",
            server.url()
        );
        for (script, code) in [
            ("echo 'n 0' >>$METRICSJOB_METRICS", 0),
            ("echo no >&2; exit 3", 3),
            ("kill -9 $$", 137),
            ("echo 'n 5' >>$METRICSJOB_METRICS", 0),
        ] {
            sandbox.exec(&options, script).code(code);
        }
        let requests = server.requests();
        assert_eq!(requests.len(), 3);
        for request in requests {
            let event = serde_json::from_str(&request.body).unwrap();
            fits(&sandbox, &event, "notification").code(0);
        }
    }

    /// A schema that takes everything would hold nothing.
    #[test]
    fn what_is_missing_unknown_or_of_another_type_does_not_fit() {
        let sandbox = sandbox();
        for (line, name) in [
            ("status", "status"),
            ("history", "history"),
            ("history --stats", "history-stats"),
            ("list nightly", "list"),
            ("outbox list", "outbox-list"),
            ("delete --job late --dry-run", "delete"),
        ] {
            let json = sandbox.run(&format!("{line} --output json")).code(0).json();
            let keys: Vec<String> = json[0].as_object().unwrap().keys().cloned().collect();
            let mut changed = vec![json.clone(); 3];
            changed[0][0]["unknown"] = json!(1);
            changed[1][0]
                .as_object_mut()
                .unwrap()
                .remove(&keys[keys.len() - 1]);
            changed[2][0]["grouping"] = json!({ "l": 1 });
            for json in changed {
                fits(&sandbox, &json, name).code(1);
            }
        }
        let names = [
            "common",
            "run",
            "history-show",
            "status",
            "history",
            "history-stats",
            "list",
            "outbox-list",
            "delete",
            "doctor",
        ];
        let paths = names.map(schema);
        let mut arguments = vec![Path::new("--check-metaschema")];
        arguments.extend(paths.iter().map(PathBuf::as_path));
        check(&arguments).code(0);
    }
}
