//! `--to textfile:DIR`: reports as files for node_exporter's textfile collector.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::common::own_server::OwnServer;
use crate::common::{FakeServer, Sandbox, eventually, finished};

/// A home, and a directory in it for the files.
fn setup() -> (Sandbox, PathBuf, String) {
    let sandbox = Sandbox::new();
    let dir = sandbox.path().join("textfiles");
    fs::create_dir(&dir).unwrap();
    let to = format!("textfile:{}", dir.display());
    (sandbox, dir, to)
}

/// Names and contents of the files in the directory.
fn files(dir: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn only(dir: &Path) -> String {
    let files = files(dir);
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].1.clone()
}

#[test]
fn a_file_for_each_group() {
    let (sandbox, dir, to) = setup();
    let run = sandbox.run(&format!(
        "run backup --set duration=0s -g db=customers --to {to}"
    ));
    run.code(0);
    let (name, content) = files(&dir).remove(0);
    let line = format!("  reported to {}/{name}\n", dir.display());
    run.out(&line);
    assert!(
        name.starts_with("metricsjob_job_db_backup_db_customers_"),
        "{name}"
    );
    assert!(content.starts_with(
        "# Written by metricsjob for the group {job=\"db_backup\",db=\"customers\"}\n"
    ));
    let sample = "\n# TYPE db_backup_records_processed gauge\n\
                  db_backup_records_processed{db=\"customers\",job=\"db_backup\"} 42\n";
    assert!(content.contains(sample), "{content}");
    let mode = fs::metadata(dir.join(&name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    // The embedded gateway is only for who names nothing else.
    assert_eq!(sandbox.value("db_backup", "db_backup_success"), None);
    sandbox
        .exec(&format!("--job other --to {to}"), "true")
        .code(0)
        .quiet();
    assert_eq!(files(&dir).len(), 2);
    assert_eq!(sandbox.outbox_len(), 0);
}

#[test]
fn its_mode_does_not_depend_on_the_umask() {
    let (sandbox, dir, to) = setup();
    let mut command = sandbox.exec_command(&format!("--job j --to {to}"), "true");
    let umask = || {
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
        Ok(())
    };
    // umask(2) is one that a child may call between fork and exec.
    unsafe { command.pre_exec(umask) };
    finished(sandbox.spawn(&mut command)).code(0);
    let (name, _) = files(&dir).remove(0);
    let mode = fs::metadata(dir.join(name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn put_drops_families_and_post_keeps_them() {
    let (sandbox, dir, to) = setup();
    let push = |method: &str, text: &str| {
        let line = format!("push --job j --method {method} --to {to}");
        sandbox.run_with_input(&line, text).code(0);
    };
    push("post", "a 1\nb 1\n");
    push("post", "b 2\nc 2\n");
    assert!(only(&dir).ends_with(
        "# TYPE a untyped\na{job=\"j\"} 1\n# TYPE b untyped\nb{job=\"j\"} 2\n# TYPE c untyped\nc{job=\"j\"} 2\n"
    ));
    push("put", "b 3\n");
    assert!(only(&dir).ends_with("group {job=\"j\"}\n# TYPE b untyped\nb{job=\"j\"} 3\n"));
}

#[test]
fn it_adds_to_a_gateway_that_is_given() {
    let (sandbox, dir, to) = setup();
    let gateway = FakeServer::status("200 OK", "");
    let options = format!("--job j --to {to} --to {to} --gateway {}", gateway.url());
    sandbox.exec(&options, "true").code(0);
    assert_eq!(gateway.requests().len(), 1);
    only(&dir);
    let both = format!("--job j --to {to} --gateway embedded");
    sandbox.exec(&both, "true").code(0);
    assert_eq!(sandbox.value("j", "batch_job_success"), Some(1.0));
}

#[test]
fn where_it_can_be_given() {
    let (sandbox, dir, to) = setup();
    let gateway = FakeServer::status("200 OK", "");
    sandbox.write(".config/metricsjob/metricsjob.toml", format!("to = '{to}'"));
    sandbox.write("jobs/of-config.toml", "command = ['true']");
    let own = sandbox.path().join("own");
    fs::create_dir(&own).unwrap();
    let lines = format!("command = ['true']\nto = ['textfile:{}']", own.display());
    sandbox.write("jobs/of-job.toml", lines);
    let lines = format!("command = ['true']\ngateway = '{}'", gateway.url());
    sandbox.write("jobs/elsewhere.toml", lines);
    for job in ["of-config", "of-job", "elsewhere"] {
        sandbox.run(&format!("run {job}")).code(0);
    }
    sandbox.run_with_input("push --job pushed", "a 1\n").code(0);
    assert_eq!((files(&dir).len(), files(&own).len()), (3, 1));
    assert_eq!(gateway.requests().len(), 1);
    let sandbox = sandbox.variable("METRICSJOB_TO", to);
    sandbox.run("run of-job").code(0);
    assert_eq!((files(&dir).len(), files(&own).len()), (4, 1));
}

#[test]
fn a_dry_run_prints_the_file() {
    let (sandbox, dir, to) = setup();
    let run = sandbox.run(&format!(
        "run random --set iterations=1 --set interval=0s --dry-run --to {to}"
    ));
    run.code(0)
        .out(&format!("{}/metricsjob_job_my_batch_job_", dir.display()));
    run.out("\nbatch_count_total{job=\"my_batch_job\"} 1\n");
    assert_eq!(files(&dir), []);
}

#[test]
fn what_cannot_be_written_waits_in_the_outbox() {
    let (sandbox, dir, to) = setup();
    fs::remove_dir(&dir).unwrap();
    let options = format!("--job j --to {to}");
    let run = sandbox.exec(&options, "true");
    run.code(0)
        .err(&format!("warning: could not write {}", dir.display()));
    run.err("; the report is kept as outbox entry ");
    sandbox
        .exec(&format!("{options} --require-push"), "true")
        .code(69);
    assert_eq!(sandbox.outbox()[0]["gateway"], to.as_str());
    fs::create_dir(&dir).unwrap();
    sandbox.run("outbox flush").code(0).out("delivered ");
    assert!(only(&dir).contains("batch_job_runs_total{job=\"j\",outcome=\"success\"} 2\n"));
}

#[test]
fn what_node_exporter_would_refuse_is_left_out() {
    let (sandbox, dir, to) = setup();
    fs::write(
        dir.join("other.prom"),
        "# HELP m Of others.\n# TYPE m counter\nm{x=\"1\"} 1\n",
    )
    .unwrap();
    fs::write(dir.join("broken.prom"), "}{").unwrap();
    let report = |job: &str, line: &str| {
        let script = format!("echo '{line}' >>$METRICSJOB_METRICS");
        sandbox.exec(&format!("--job {job} --to {to}"), &script)
    };
    let run = report("a", "m 1");
    run.code(0)
        .err("the metric m is refused")
        .err("its type is untyped, and counter in other.prom");
    // The label is in the grouping key of one, and in the metric of the other.
    sandbox
        .run_with_input(&format!("push --job c -g x=1 --to {to}"), "n 1\n")
        .code(0);
    let run = sandbox.run_with_input(&format!("push --job c --to {to}"), "n{x=\"1\"} 1\n");
    run.code(69)
        .err("n{job=\"c\",x=\"1\"} is in metricsjob_job_c_x_1_");
    for (name, content) in files(&dir)
        .iter()
        .filter(|(name, _)| name.contains("job_a_"))
    {
        assert!(
            content.contains("batch_job_success{job=\"a\"} 1\n"),
            "{name}: {content}"
        );
    }
    let rejected = sandbox.outbox();
    assert!(
        rejected.iter().all(|entry| entry["is_rejected"] == true),
        "{rejected:?}"
    );
}

#[test]
fn help_is_the_same_in_all_files() {
    let (sandbox, dir, to) = setup();
    fs::write(
        dir.join("other.prom"),
        "# HELP m Of others.\n# TYPE m gauge\nm{x=\"1\"} 1\n",
    )
    .unwrap();
    let text = "# HELP m Another.\n# TYPE m gauge\nm 2\n";
    sandbox
        .run_with_input(&format!("push --job j --to {to}"), text)
        .code(0);
    assert!(
        files(&dir)[0].1.contains("# HELP m Of others.\n"),
        "{:?}",
        files(&dir)
    );
}

#[test]
fn a_file_that_cannot_be_read_is_replaced() {
    let (sandbox, dir, to) = setup();
    let options = format!("--job j --to {to}");
    sandbox.exec(&options, "true").code(0);
    let path = dir.join(&files(&dir)[0].0);
    fs::write(&path, b"\xff\x00{").unwrap();
    sandbox.exec(&options, "true").code(0).quiet();
    assert!(only(&dir).contains("batch_job_success{job=\"j\"} 1\n"));
}

#[test]
fn writers_at_the_same_time() {
    let (sandbox, dir, to) = setup();
    fs::write(dir.join(".metricsjob-left.tmp"), "half").unwrap();
    let runs: Vec<_> = (0..16)
        .map(|index| {
            let options = format!("--job j{} --to {to}", index % 8);
            sandbox.spawn(&mut sandbox.exec_command(&options, "true"))
        })
        .collect();
    for run in runs {
        finished(run).code(0);
    }
    let files = files(&dir);
    assert_eq!(files.len(), 8, "{files:?}");
    for (_, content) in files {
        assert!(content.contains("outcome=\"success\"} 2\n"), "{content}");
    }
}

#[test]
fn bad_targets() {
    let sandbox = Sandbox::new();
    for (bad, problem) in [
        (
            "textfile:dir",
            "names the directory \"dir\", which is not an absolute path",
        ),
        (
            "http://u:s3cret@h",
            "begins with neither textfile: nor remote-write:",
        ),
    ] {
        let run = sandbox.exec(&format!("--to {bad}"), "true");
        run.code(2)
            .err(&format!("error: a value of --to {problem}"));
        assert!(!run.stderr().contains("s3cret"));
    }
    let sandbox = sandbox.variable("METRICSJOB_TO", "http://u:s3cret@h");
    let run = sandbox.exec("--job j", "true");
    run.code(0).err("METRICSJOB_TO begins with neither");
    assert!(!run.stderr().contains("s3cret"));
    assert_eq!(sandbox.value("j", "batch_job_success"), Some(1.0));
}

#[test]
fn serve_writes_too() {
    let (sandbox, dir, to) = setup();
    sandbox.write("jobs/a.toml", "command = ['true']");
    let own = sandbox.path().join("own");
    fs::create_dir(&own).unwrap();
    let lines = format!("command = ['true']\nto = 'textfile:{}'", own.display());
    sandbox.write("jobs/b.toml", lines);
    sandbox.write(".config/metricsjob/metricsjob.toml", format!("to = '{to}'"));
    let serve = OwnServer::start(&sandbox, "");
    for job in ["a", "b"] {
        serve.run_once(&serve.ask(job), "finished");
    }
    eventually("both are written", || {
        files(&dir).len() == 1 && files(&own).len() == 1
    });
}

#[cfg(feature = "real-servers")]
mod node_exporter {
    use super::*;
    use crate::common::{Process, Server};

    fn scrape(exporter: &Process) -> String {
        let answer = exporter.exchange("GET", "/metrics", &[], "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    #[test]
    fn it_shows_many_groups_of_all_types() {
        let (sandbox, dir, to) = setup();
        let exporter = Server::node_exporter(&dir);
        let text = |index: u32| {
            format!(
                "# HELP h {index}\n# TYPE h histogram\nh_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"+Inf\"}} 2\nh_sum 3\n\
                 h_count 2\n# TYPE s summary\ns{{quantile=\"0.5\"}} 1\ns_sum 3\ns_count 2\n# TYPE c_total counter\n\
                 c_total {index}\n# TYPE g gauge\ng{{l=\"a\\\"b\\\\c\\nd\"}} -1.5e-9\nu NaN\ni +Inf\n"
            )
        };
        for index in 0..120 {
            let line = format!("push --job j -g n={index} --to {to}");
            sandbox.run_with_input(&line, text(index)).code(0);
            if index % 40 == 0 {
                scrape(&exporter);
            }
        }
        let shown = scrape(&exporter);
        assert!(shown.contains("node_textfile_scrape_error 0\n"), "{shown}");
        for index in 0..120 {
            for line in [
                format!("c_total{{job=\"j\",n=\"{index}\"}} {index}\n"),
                format!("h_bucket{{job=\"j\",n=\"{index}\",le=\"+Inf\"}} 2\n"),
                format!("s{{job=\"j\",n=\"{index}\",quantile=\"0.5\"}} 1\n"),
                format!("g{{job=\"j\",l=\"a\\\"b\\\\c\\nd\",n=\"{index}\"}} -1.5e-09\n"),
                format!("u{{job=\"j\",n=\"{index}\"}} NaN\n"),
                format!("i{{job=\"j\",n=\"{index}\"}} +Inf\n"),
            ] {
                assert!(shown.contains(&line), "{line}{}", &shown[..3000]);
            }
        }
        assert!(shown.contains("# HELP h 0\n"));
    }

    #[test]
    fn a_scrape_never_sees_half_a_file() {
        let (sandbox, dir, to) = setup();
        let exporter = Server::node_exporter(&dir);
        let options = format!("--job j --to {to}");
        let mut run = sandbox.spawn(&mut sandbox.exec_command(&options, "true"));
        for _ in 0..20 {
            while run.try_wait().unwrap().is_none() {
                assert!(scrape(&exporter).contains("node_textfile_scrape_error 0\n"));
            }
            run = sandbox.spawn(&mut sandbox.exec_command(&options, "true"));
        }
        finished(run).code(0);
        let last = "batch_job_runs_total{job=\"j\",outcome=\"success\"} 21\n";
        assert!(scrape(&exporter).contains(last));
    }
}
