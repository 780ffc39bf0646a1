//! Tasks of job arrays: `${task}`, and what keeps their reports, locks and histories apart.

use std::thread;

use serde_json::Value as Json;

use crate::common::{Finished, Sandbox, TestGateway, eventually, finished};

on_each_gateway!(each_task_reports_under_its_number);

const VARIABLES: [&str; 3] = [
    "SLURM_ARRAY_TASK_ID",
    "CI_NODE_INDEX",
    "JOB_COMPLETION_INDEX",
];

/// Runs a command as a task of an array, with these variables.
fn as_task(sandbox: &Sandbox, set: &[(&str, &str)], options: &str, script: &str) -> Finished {
    let mut command = sandbox.exec_command(options, script);
    command.envs(set.iter().copied()).output().unwrap().into()
}

fn each_task_reports_under_its_number(gateway: &TestGateway) {
    let options = "--job train -g task=${task} -g site=berlin --method put";
    let fails = |task: &str| if task == "2" { "exit 3" } else { "true" };
    let runs = thread::scope(|scope| {
        let tasks = ["0", "1", "2", "10"];
        let start = |task: &'static str| {
            let set = [("JOB_COMPLETION_INDEX", task)];
            let sandbox = &gateway.sandbox;
            scope.spawn(move || as_task(sandbox, &set, options, fails(task)))
        };
        let started: Vec<_> = tasks.into_iter().map(start).collect();
        let ends = started.into_iter().map(|run| run.join().unwrap());
        ends.collect::<Vec<_>>()
    });
    for (run, code) in runs.iter().zip([0, 0, 3, 0]) {
        run.code(code);
    }
    for (task, success) in [("0", 1.0), ("1", 1.0), ("2", 0.0), ("10", 1.0)] {
        let labels = format!("site=\"berlin\",task=\"{task}\"");
        let value = |series: &str| gateway.value("train", series);
        assert_eq!(
            value(&format!("batch_job_success{{{labels}}}")),
            Some(success)
        );
        let outcome = if success == 1.0 { "success" } else { "failure" };
        let total = format!("batch_job_runs_total{{outcome=\"{outcome}\",{labels}}}");
        assert_eq!(value(&total), Some(1.0));
    }
    // Nobody else's group has changed.
    assert_eq!(gateway.value("train", "batch_job_success"), None);
}

#[test]
fn the_first_variable_counts() {
    let sandbox = Sandbox::new();
    let task = |values: [&str; 3]| {
        let set: Vec<_> = VARIABLES.into_iter().zip(values).collect();
        let run = as_task(&sandbox, &set, "--job j -g n=${task} --dry-run", "true");
        let request = run.code(0).stdout() + &run.stderr();
        let (_, path) = request.split_once("/metrics/job/j/n/").unwrap();
        path.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(task(["7", "2", "0"]), "7");
    assert_eq!(task(["", "2", "0"]), "2");
    assert_eq!(task(["", "", "0"]), "0");
}

#[test]
fn where_there_is_no_task() {
    let sandbox = Sandbox::new();
    let problem = "task: the placeholder ${task} is empty: none of the variables SLURM_ARRAY_TASK_ID, CI_NODE_INDEX, \
                   JOB_COMPLETION_INDEX is set";
    // Typed, or in a job file: nothing runs.
    let run = sandbox.exec("-g task=${task}", "touch ran");
    run.code(2).err(problem).err("elsewhere use ${env:NAME}");
    let file = "command = ['touch', 'ran']\n[grouping]\ntask = '${task}'";
    sandbox.write("jobs/j.toml", file);
    sandbox.run("check").code(0);
    sandbox.run("run j").code(2).err(problem);
    assert!(!sandbox.path().join("ran").exists());
    sandbox.run("run j --drop-label task").code(0);
    assert!(sandbox.path().join("ran").exists());
    // In the environment and in the host's config file: the job runs, and its report has no such label.
    let host = Sandbox::new().variable("METRICSJOB_GROUPING", "task=${task},a=1");
    host.exec("--job j", "true").code(0).err(problem);
    assert_eq!(host.value("j", "batch_job_success{a=\"1\"}"), Some(1.0));
    let host = Sandbox::new();
    host.write(
        ".config/metricsjob/metricsjob.toml",
        "[grouping]\ntask = '${task}'\n",
    );
    host.exec("--job j", "true").code(0).err(problem);
    assert_eq!(host.value("j", "batch_job_success"), Some(1.0));
}

#[cfg(unix)]
#[test]
fn a_number_that_is_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let mut command = sandbox.exec_command("-g task=${task}", "touch ran");
    let value = std::ffi::OsStr::from_bytes(b"\xff");
    let run: Finished = command.env("CI_NODE_INDEX", value).output().unwrap().into();
    run.code(2)
        .err("task: the variable CI_NODE_INDEX, which a placeholder stands for, is not UTF-8");
    assert!(!sandbox.path().join("ran").exists());
}

/// Several tasks on one host at the same time, each with a lock.
#[test]
fn tasks_do_not_wait_for_each_other() {
    let sandbox = Sandbox::new();
    let options = "--job train --lock -g task=${task}";
    let script = "echo >ready$CI_NODE_INDEX; while ! [ -e end ]; do sleep 0.01; done";
    let start = |task: &str| {
        let mut command = sandbox.exec_command(options, script);
        sandbox.spawn(command.env("CI_NODE_INDEX", task))
    };
    let tasks = [start("1"), start("2"), start("3")];
    eventually("all of them run", || {
        (1..=3).all(|task| sandbox.path().join(format!("ready{task}")).exists())
    });
    // A second run of one of them does.
    let again = as_task(&sandbox, &[("CI_NODE_INDEX", "2")], options, "touch again");
    again.code(0);
    assert!(!sandbox.path().join("again").exists());
    sandbox.write("end", "");
    for task in tasks {
        finished(task).code(0);
    }
    let mut outcomes = sandbox.outcomes();
    outcomes.sort();
    assert_eq!(outcomes, ["skipped", "success", "success", "success"]);
}

/// Deadlines, counters and unusual durations are of a task, whatever the others did.
#[test]
fn each_task_has_its_own_past() {
    let sandbox = Sandbox::new();
    let options = "--job train --max-age 1h -g task=${task}";
    let run = |task: &str, script: &str| {
        as_task(&sandbox, &[("SLURM_ARRAY_TASK_ID", task)], options, script)
    };
    run("1", "true").code(0);
    run("2", "false").code(1);
    run("2", "false").code(1);
    run("1", "false").code(1);
    let value = |name: &str, task: &str| {
        sandbox.value(
            "train",
            &format!("batch_job_{name},task=\"{task}\"}}").replace("{,", "{"),
        )
    };
    assert_eq!(value("runs_total{outcome=\"failure\"", "1"), Some(1.0));
    assert_eq!(value("runs_total{outcome=\"failure\"", "2"), Some(2.0));
    assert_eq!(value("runs_total{outcome=\"success\"", "2"), Some(0.0));
    // A deadline follows a success, and task 2 had none.
    assert!(value("deadline_timestamp_seconds{", "1").is_some());
    assert_eq!(value("deadline_timestamp_seconds{", "2"), None);
    let history = sandbox.history();
    let tasks: Vec<&Json> = history.iter().map(|run| &run["grouping"]["task"]).collect();
    assert_eq!(tasks, ["1", "2", "2", "1"]);
    // One of them is forgotten, then all.
    sandbox.run("forget train -g task=1").code(0);
    assert_eq!(value("success{", "1"), None);
    assert_eq!(value("success{", "2"), Some(0.0));
    assert_eq!(sandbox.history().len(), 2);
    sandbox.run("forget train").code(0);
    assert!(sandbox.samples().is_empty());
    assert!(sandbox.history().is_empty());
}

/// The next task does not make the group of the one before look left behind, whose deletion would be advised.
#[test]
fn no_task_is_left_behind_by_the_next() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".config/metricsjob/metricsjob.toml",
        "[grouping]\ntask = '${task}'\nsite = 'berlin'\n",
    );
    for task in ["1", "2"] {
        as_task(&sandbox, &[("CI_NODE_INDEX", task)], "--job train", "true").code(0);
    }
    let mut status = sandbox.command(["status"]);
    let status: Finished = status.env("CI_NODE_INDEX", "2").output().unwrap().into();
    status.code(0).quiet_stderr().out("2 groups\n");
}

#[cfg(feature = "real-servers")]
mod on_a_real_prometheus {
    use super::*;
    use crate::common::{PATIENCE, Server, awaited};

    /// Group and summary of each alert that fires.
    fn firing(prometheus: &Server) -> Vec<(String, String)> {
        let answer: Json = serde_json::from_str(&prometheus.get("/api/v1/alerts")).unwrap();
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let text = |text: &Json| text.as_str().unwrap().to_owned();
        firing
            .map(|alert| {
                let summary = &alert["annotations"]["summary"];
                (text(&alert["labels"]["batch_job_group"]), text(summary))
            })
            .collect()
    }

    #[track_caller]
    fn awaits(prometheus: &Server, wanted: Option<(&str, &str)>) {
        awaited(PATIENCE, || {
            let firing = firing(prometheus);
            let shown = firing.iter().map(|(group, text)| (&**group, &**text));
            shown.eq(wanted).then_some(()).ok_or(format!("{firing:?}"))
        });
    }

    #[test]
    fn an_array_that_fails_is_one_alert() {
        let gateway = Server::gateway(&[]);
        let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateway.url());
        let rules = sandbox.run("generate rules").code(0).stdout();
        sandbox.write("rules.yml", rules);
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n\
             - {{job_name: gateway, honor_labels: true, static_configs: [{{targets: [\"{}\"]}}]}}\n",
            gateway.address()
        );
        let prometheus = Server::prometheus(&sandbox.write("prometheus.yml", config));
        let run = |task: &str, script: &str| {
            let options = "--job train -g task=${task} -g site=berlin --severity page";
            as_task(&sandbox, &[("CI_NODE_INDEX", task)], options, script)
        };
        let tasks: Vec<String> = (1..=12).map(|task| task.to_string()).collect();
        for task in &tasks {
            run(task, "false").code(1);
        }
        let group = "train site=berlin task=*";
        awaits(
            &prometheus,
            Some((group, "train site=berlin: 12 tasks failed")),
        );
        for task in &tasks[1..] {
            run(task, "true").code(0);
        }
        awaits(
            &prometheus,
            Some((group, "train site=berlin: 1 task failed")),
        );
        run("1", "true").code(0);
        awaits(&prometheus, None);
    }
}
