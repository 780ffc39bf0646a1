//! `anomaly_metrics`: values of a success that are unusual beside those of earlier ones.

use crate::common::{Finished, Sandbox};

fn exec(sandbox: &Sandbox, options: &str, rows: &str) -> Finished {
    let script = "command = ['sh', '-c', 'echo rows $ROWS >>$METRICSJOB_METRICS']\n";
    sandbox.write("jobs/j.toml", format!("{script}anomaly_metrics = 'rows'\n"));
    sandbox.run(&format!("run j --env ROWS={rows} {options}"))
}

fn score(sandbox: &Sandbox, metric: &str) -> Option<f64> {
    sandbox.value(
        "j",
        &format!("batch_job_anomaly_score{{metric=\"{metric}\"}}"),
    )
}

#[test]
fn from_the_eleventh_success_on() {
    let sandbox = Sandbox::new();
    for _ in 0..10 {
        exec(&sandbox, "", "10").code(0);
        assert_eq!(score(&sandbox, "rows"), None);
    }
    exec(&sandbox, "", "11").code(0);
    // The spread is a twentieth of the median at least.
    assert!((score(&sandbox, "rows").unwrap() - 2.0).abs() < 1e-9);
    let unusual = exec(&sandbox, "", "1000");
    unusual
        .code(0)
        .err("unusual: rows is 1000, usually 10 to 10");
    assert_eq!(score(&sandbox, "rows"), Some(100.0));
    let nothing = exec(&sandbox, "", "0");
    nothing.code(0).err("unusual: rows is 0");
    assert!(score(&sandbox, "rows").unwrap() < -3.5);
    let usual = exec(&sandbox, "", "10");
    assert!(!usual.stderr().contains("unusual"), "{}", usual.stderr());
}

#[test]
fn the_duration() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/j.toml", "command = ['sh', '-c', 'sleep $SLEEP']\n");
    let line = "run j --anomaly-metrics duration_seconds --env SLEEP";
    for _ in 0..10 {
        sandbox.run(&format!("{line}=0")).code(0);
    }
    let slow = sandbox.run(&format!("{line}=3"));
    slow.code(0).err("unusual: took 3s").err(", usually ");
    assert!(score(&sandbox, "duration_seconds").unwrap() > 3.5);
}

#[test]
fn failures_are_neither_compared_nor_compared_with() {
    let sandbox = Sandbox::new();
    for _ in 0..10 {
        exec(&sandbox, "", "10").code(0);
    }
    for _ in 0..3 {
        let failed = exec(&sandbox, "--success-codes 7", "1000");
        failed.code(0);
        assert!(!failed.stderr().contains("unusual"), "{}", failed.stderr());
    }
    assert_eq!(score(&sandbox, "rows"), None);
    exec(&sandbox, "", "10").code(0);
    assert_eq!(score(&sandbox, "rows"), Some(0.0));
}

#[test]
fn each_group_has_a_past_of_its_own() {
    let sandbox = Sandbox::new();
    for _ in 0..10 {
        exec(&sandbox, "-g db=a", "10").code(0);
    }
    exec(&sandbox, "-g db=b", "1000").code(0);
    let group = "batch_job_anomaly_score{db=\"b\",metric=\"rows\"}";
    assert_eq!(sandbox.value("j", group), None);
}

#[test]
fn names_that_no_metric_has() {
    let sandbox = Sandbox::new();
    let run = sandbox.exec("--anomaly-metrics rows,9", "touch ran");
    run.code(2)
        .err("has \"9\" in it, which is no name of a metric");
    assert!(!sandbox.path().join("ran").exists());
}

#[test]
fn a_dry_run_compares_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    exec(&sandbox, "--dry-run", "10").code(0);
    assert!(!sandbox.state_db().exists());
    for _ in 0..10 {
        exec(&sandbox, "", "10").code(0);
    }
    let run = exec(&sandbox, "--dry-run", "1000");
    assert!(
        run.stdout()
            .contains("batch_job_anomaly_score{metric=\"rows\"} 100\n")
    );
    assert_eq!(sandbox.history().len(), 10);
}
