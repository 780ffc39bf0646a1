//! Grouping keys: every value arrives as it was given, and what is no key is refused.

use crate::common::{Sandbox, TestGateway, of_job};

on_each_gateway!(
    every_value_arrives_as_it_was_given,
    every_job_arrives_as_it_was_given,
    the_order_of_labels_does_not_matter,
    job_file_and_command_line_are_merged,
);

const VALUES: [&str; 20] = [
    "plain",
    "",
    "a b",
    "a+b",
    "a/b",
    "/",
    "//",
    "100%",
    "%2F",
    "a?b#c&d=e",
    ".",
    "..",
    "...",
    "café ☕ 名前",
    "a\"b\\c",
    "line\nfeed\ttab\r",
    "base64",
    "=",
    "a;b,c:d@e!$'()*",
    "x/é?>~",
];

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

fn push(gateway: &TestGateway, job: &str, labels: &[&str]) {
    let file = gateway.write("body.prom", "m 1\n");
    let mut arguments = vec!["push".into(), format!("--job={job}")];
    arguments.extend(labels.iter().map(|label| format!("--grouping={label}")));
    arguments.push(file.display().to_string());
    gateway.sandbox.run_args(arguments).code(0);
}

fn every_value_arrives_as_it_was_given(gateway: &TestGateway) {
    for value in VALUES {
        push(gateway, "j", &[&format!("l={value}")]);
        let series = of_job("j", &format!(r#"m{{l="{}"}}"#, escaped(value)));
        assert!(
            gateway.samples().contains_key(&series),
            "{series} {:?}",
            gateway.samples()
        );
    }
    assert_eq!(gateway.samples().len(), 3 * VALUES.len());
    // The key that pushed a group deletes it.
    for value in VALUES {
        gateway
            .sandbox
            .run_args(["delete", "--job=j", "-g", &format!("l={value}")])
            .code(0);
    }
    assert!(gateway.samples().is_empty());
}

fn every_job_arrives_as_it_was_given(gateway: &TestGateway) {
    for job in VALUES.into_iter().filter(|job| !job.is_empty()) {
        push(gateway, job, &[]);
        let series = of_job(&escaped(job), "m");
        assert!(
            gateway.samples().contains_key(&series),
            "{series} {:?}",
            gateway.samples()
        );
    }
}

fn the_order_of_labels_does_not_matter(gateway: &TestGateway) {
    push(gateway, "j", &["a=1", "b=2", "instance=i"]);
    push(gateway, "j", &["instance=i", "b=2", "a=1"]);
    let series: Vec<String> = gateway.samples().into_keys().collect();
    let labels = r#"{a="1",b="2",instance="i",job="j"}"#;
    let names = ["m", "push_failure_time_seconds", "push_time_seconds"];
    assert_eq!(series, names.map(|name| format!("{name}{labels}")));
}

fn job_file_and_command_line_are_merged(gateway: &TestGateway) {
    let job = "builtin = 'backup'\nprefix = 'b'\n[params]\nduration = '0s'\n[grouping]\ndb = 'file'\nzone = 'z1'\n";
    gateway.write("jobs/nightly.toml", job);
    gateway.run("run nightly -g db=flag -g site=s").code(0);
    let series = r#"b_success{db="flag",site="s",zone="z1"}"#;
    assert_eq!(gateway.value("nightly", series), Some(1.0));
}

#[test]
fn bad_keys_are_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/touch.toml", "command = ['touch', 'ran']\n");
    let refused = [
        (
            &["-g", "job=other"][..],
            "grouping label \"job\" is the grouping key's own",
        ),
        (&["-g", "a-b=1"], "\"a-b\" is not a label name"),
        (&["-g", "1a=1"], "\"1a\" is not a label name"),
        (&["-g", "é=1"], "\"é\" is not a label name"),
        (
            &["-g", "__a=1"],
            "\"__a\" starts with __, which is reserved",
        ),
        (&["-g", "a=1", "-g", "a=1"], "\"a\" is given twice"),
        (&["-g", "a"], "it has no =, the form is NAME=VALUE"),
        (&["-g", "=1"], "there is no name before the ="),
    ];
    for (options, message) in refused {
        for command in [
            &["run", "touch"][..],
            &["push", "--job", "j"],
            &["delete", "--job", "j"],
        ] {
            let run = sandbox.run_args(command.iter().chain(options));
            run.code(2).err(message);
        }
    }
    for command in ["push", "delete"] {
        let run = sandbox.run_args([command, "--job", ""]);
        run.code(2)
            .err("the job of a grouping key must not be empty");
    }
    sandbox.write("jobs/empty.toml", "command = ['touch', 'ran']\njob = ''\n");
    sandbox
        .run("run empty")
        .code(2)
        .err("jobs/empty.toml:2:7: job must not be empty");
    assert!(!sandbox.path().join("ran").exists());
    assert!(!sandbox.state_db().exists());
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let label = OsStr::from_bytes(b"l=\xff");
    let run = sandbox.run_args([
        OsStr::new("delete"),
        OsStr::new("--job=j"),
        OsStr::new("-g"),
        label,
    ]);
    run.code(2).err("invalid UTF-8");
}
