//! Two kinds of batch job that report to a Pushgateway. `README.md` says what to look at.

use std::time::Duration;

use metricsjob_client::{Job, Run};
use metricsjob_metrics::Method;
use rand::RngExt;

fn main() {
    let gateway = std::env::args().nth(1);
    let gateway = gateway.unwrap_or_else(|| "http://127.0.0.1:9091".into());
    let backup = Job::new("db_backup").prefix("db_backup").gateway(&gateway);
    // PUT: after each run the group holds the metrics of that run and nothing else.
    for db in ["customers", "producers"] {
        let job = backup.clone().grouping("db", db).method(Method::Put);
        let result = job.run(|run| back_up(run, 1.0));
        println!("backup of {db}: {result:?}");
    }
    // POST, the default: a run that fails leaves the time of the last success where it is.
    let result = backup.grouping("db", "orders").run(|run| back_up(run, 0.5));
    println!("backup of orders: {result:?}");

    let random = Job::new("my_batch_job").prefix("batch").gateway(&gateway);
    let random = random
        .method(Method::Put)
        .push_interval(Duration::from_millis(200));
    let Ok(()) = random.run(|run| {
        for _ in 0..100 {
            count_outcome(run);
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok::<(), std::convert::Infallible>(())
    });
}

/// Stands for a real backup, which succeeds with this probability.
fn back_up(run: &Run, success: f64) -> Result<u64, String> {
    let records = run.gauge("db_backup_records_processed", "Records in the backup.", &[]);
    for _ in 0..42 {
        records.inc();
    }
    if rand::rng().random_bool(success) {
        Ok(42)
    } else {
        Err("the disk is full".into())
    }
}

fn count_outcome(run: &Run) {
    run.counter("batch_count_total", "All outcomes.", &[]).inc();
    let (name, help) = match rand::rng().random_range(0..3) {
        0 => ("batch_ok_count_total", "Outcomes that are OK."),
        1 => ("batch_normal_count_total", "Outcomes that are Normal."),
        _ => ("batch_error_count_total", "Outcomes that are Error."),
    };
    run.counter(name, help, &[]).inc();
}
