//! `metricsjob_client::Job`, as a batch job in Rust uses it. That it reads its environment is tested where it is alone in a
//! process (`library_outside`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use metricsjob_client::{Job, JobError};
use metricsjob_metrics::Method;
use prometheus::{IntGauge, Registry};

use crate::common::own_gateway::OwnGateway;
use crate::common::{FakeServer, Port, eventually};

const DOWN: &str = "http://127.0.0.1:1";

fn job(gateway: &OwnGateway) -> Job {
    let job = Job::new("import").gateway(gateway.url());
    job.grouping("db", "customers").prefix("import")
}

fn value(gateway: &OwnGateway, name: &str) -> Option<f64> {
    gateway.value("import", &format!("{name}{{db=\"customers\"}}"))
}

fn succeed(job: &Job) {
    job.run(|_| Ok::<(), ()>(())).unwrap();
}

fn fail(job: &Job) {
    assert_eq!(
        job.run(|_| Err::<(), _>("out of paper")),
        Err("out of paper")
    );
}

#[test]
fn a_success_with_every_kind_of_instrument() {
    let gateway = OwnGateway::alone(&[]);
    let rows = job(&gateway).run(|run| {
        for region in ["eu", "us", "eu"] {
            let orders = run.counter("orders_total", "Orders.", &[("region", region)]);
            orders.inc_by(5.0);
        }
        let queue = run.gauge("queue_size", "Orders that wait.", &[]);
        queue.set(17.0);
        queue.sub(2.0);
        let sizes = run.histogram("size_bytes", "Sizes.", &[100.0, 1000.0], &[]);
        sizes.observe(512.0);
        for seconds in [0.1, 0.2, 0.3] {
            run.summary("row_seconds", "Time for a row.", &[])
                .observe(seconds);
        }
        Ok::<u64, ()>(42)
    });
    assert_eq!(rows, Ok(42));
    let orders = |region: &str| {
        let series = format!("orders_total{{db=\"customers\",region=\"{region}\"}}");
        gateway.value("import", &series)
    };
    assert_eq!((orders("eu"), orders("us")), (Some(10.0), Some(5.0)));
    assert_eq!(value(&gateway, "queue_size"), Some(15.0));
    assert_eq!(value(&gateway, "size_bytes_sum"), Some(512.0));
    assert_eq!(value(&gateway, "row_seconds_count"), Some(3.0));
    assert_eq!(value(&gateway, "import_success"), Some(1.0));
    let [start, completion, success] = ["start", "last_completion", "last_success"]
        .map(|name| value(&gateway, &format!("import_{name}_timestamp_seconds")).unwrap());
    assert_eq!(success, completion);
    let duration = value(&gateway, "import_duration_seconds").unwrap();
    assert!(
        (completion - start - duration).abs() < 1e-3,
        "{start} {completion} {duration}"
    );
    // Under the names of all jobs too.
    for name in [
        "success",
        "duration_seconds",
        "last_completion_timestamp_seconds",
        "last_success_timestamp_seconds",
    ] {
        let common = value(&gateway, &format!("batch_job_{name}"));
        assert!(common.is_some(), "{name}");
        assert_eq!(common, value(&gateway, &format!("import_{name}")), "{name}");
    }
    // Only for those who watch a run.
    assert_eq!(value(&gateway, "import_running"), None);
}

#[test]
fn a_failure_keeps_the_time_of_the_last_success_unless_it_replaces_the_group() {
    let gateway = OwnGateway::alone(&[]);
    let last_success = || value(&gateway, "import_last_success_timestamp_seconds");
    let job = job(&gateway);
    succeed(&job);
    let before = last_success();
    assert!(before.is_some());
    fail(&job);
    assert_eq!(value(&gateway, "import_success"), Some(0.0));
    assert_eq!(last_success(), before);
    fail(&job.method(Method::Put));
    assert_eq!(last_success(), None);
}

#[test]
fn a_panic_is_a_failure_and_goes_on() {
    let gateway = OwnGateway::alone(&[]);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        job(&gateway).run(|run| -> Result<(), ()> {
            run.counter("rows_total", "Rows.", &[]).inc();
            panic!("no more rows")
        })
    }));
    let panic = panicked.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"no more rows"));
    assert_eq!(value(&gateway, "import_success"), Some(0.0));
    assert_eq!(value(&gateway, "rows_total"), Some(1.0));
}

#[test]
fn async_jobs() {
    let gateway = OwnGateway::alone(&[]);
    let job = job(&gateway);
    let success = || value(&gateway, "import_success");
    for mut runtime in [
        tokio::runtime::Builder::new_current_thread(),
        tokio::runtime::Builder::new_multi_thread(),
    ] {
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let result = job.run_async(async |run| {
                tokio::task::yield_now().await;
                run.gauge("rows", "Rows.", &[]).set(7.0);
                Ok::<_, ()>(7)
            });
            assert_eq!(result.await, Ok(7));
            assert_eq!((success(), value(&gateway, "rows")), (Some(1.0), Some(7.0)));
            let failed = job.run_async(async |_| Err::<(), _>("late")).await;
            assert_eq!((failed, success()), (Err("late"), Some(0.0)));
            // Within a runtime, a function is as good.
            succeed(&job);
            assert_eq!(success(), Some(1.0));
        });
        // A task may be moved between threads.
        let moved = job.clone();
        let panicked = runtime.block_on(runtime.spawn(async move {
            let work = async |_: &_| -> Result<(), ()> { panic!("no more rows") };
            moved.run_async(work).await
        }));
        assert!(panicked.unwrap_err().is_panic());
        assert_eq!(success(), Some(0.0));
    }
}

#[test]
fn a_future_that_is_dropped_is_a_failure() {
    let gateway = OwnGateway::alone(&[]);
    let job = job(&gateway);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let endless = job.run_async(async |run| {
            run.counter("rows_total", "Rows.", &[]).inc();
            std::future::pending::<Result<(), ()>>().await
        });
        let cut_off = tokio::time::timeout(Duration::from_millis(20), endless).await;
        assert!(cut_off.is_err());
    });
    assert_eq!(value(&gateway, "import_success"), Some(0.0));
    assert_eq!(value(&gateway, "rows_total"), Some(1.0));
}

#[test]
fn a_report_that_is_not_delivered_changes_nothing() {
    let hanging = FakeServer::hanging();
    let jobs = [
        Job::new("import").gateway(DOWN),
        Job::new("import").gateway(hanging.url()),
        Job::new("import").gateway("ftp://pushgateway"),
        Job::new("import"),
        Job::new("").gateway(DOWN),
        Job::new("import").gateway(DOWN).grouping("a-b", "c"),
    ];
    for job in jobs {
        let job = job.deadline(Duration::from_millis(300)).push_start();
        let start = Instant::now();
        succeed(&job);
        fail(&job);
        // The push at the start is given up for the one at the end.
        assert!(start.elapsed() < Duration::from_secs(2), "{job:?}");
    }
}

#[test]
fn the_end_of_a_report_says_why() {
    let reason = |job: Job| {
        let report = job
            .deadline(Duration::from_millis(200))
            .start()
            .finish(true);
        report.push().unwrap_err()
    };
    let down = reason(Job::new("import").gateway(DOWN)).to_string();
    assert!(
        down.contains("127.0.0.1:1") && down.contains("refused"),
        "{down}"
    );
    let hanging = FakeServer::hanging();
    let late = reason(Job::new("import").gateway(hanging.url()));
    assert!(matches!(late, JobError::Deadline { .. }), "{late}");
    let refusing = FakeServer::status("400 Bad Request", "no such thing");
    let refused = reason(Job::new("import").gateway(refusing.url())).to_string();
    assert!(refused.contains("no such thing"), "{refused}");
}

#[test]
fn settings_are_checked_on_demand() {
    let check = |job: Job| job.check().map_err(|error| error.to_string());
    assert_eq!(check(Job::new("import").gateway(DOWN)), Ok(()));
    for (job, part) in [
        (Job::new("import"), "METRICSJOB_GATEWAY"),
        (Job::new("import").gateway("ftp://a:s3cret@b"), "ftp"),
        (Job::new("").gateway(DOWN), "job"),
        (Job::new("import").gateway(DOWN).grouping("job", "x"), "job"),
        (Job::new("import").gateway(DOWN).prefix("1st"), "\"1st\""),
    ] {
        let error = check(job).unwrap_err();
        assert!(error.contains(part) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn progress_is_pushed_while_it_runs() {
    let gateway = OwnGateway::alone(&[]);
    let job = job(&gateway)
        .push_start()
        .push_interval(Duration::from_millis(10));
    succeed(&job);
    let last_success = || value(&gateway, "import_last_success_timestamp_seconds");
    let running = || value(&gateway, "import_running");
    let before = last_success();
    assert_eq!(running(), Some(0.0));
    job.method(Method::Put)
        .run(|run| {
            run.counter("rows_total", "Rows.", &[]).inc_by(3.0);
            eventually("rows are pushed", || {
                value(&gateway, "rows_total") == Some(3.0)
            });
            assert_eq!(running(), Some(1.0));
            // Until it ends, what it replaces is still there.
            assert_eq!(last_success(), before);
            Ok::<(), ()>(())
        })
        .unwrap();
    assert_eq!(running(), Some(0.0));
    // Nothing comes after the report of the end.
    let pushed = value(&gateway, "push_time_seconds");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(value(&gateway, "push_time_seconds"), pushed);
}

#[test]
fn the_start_alone_is_pushed() {
    let gateway = OwnGateway::alone(&[]);
    let run = job(&gateway).push_start().start();
    eventually("it runs", || value(&gateway, "import_running") == Some(1.0));
    assert!(value(&gateway, "import_start_timestamp_seconds").is_some());
    run.finish(false).push().unwrap();
    assert_eq!(value(&gateway, "import_running"), Some(0.0));
}

#[test]
fn instruments_that_cannot_be_reported() {
    let gateway = OwnGateway::alone(&[]);
    let result = job(&gateway).run(|run| {
        run.counter("no name", "Help.", &[]).inc();
        run.counter("rows_total", "Rows.", &[("table", "a")]).inc();
        // Another type, and other labels than before.
        run.gauge("rows_total", "Rows.", &[("table", "a")]).set(5.0);
        run.counter("rows_total", "Rows.", &[("region", "eu")])
            .inc();
        run.counter("twice_total", "Twice.", &[("a", "1"), ("a", "2")])
            .inc();
        run.histogram("sizes", "Sizes.", &[2.0, 1.0], &[])
            .observe(1.0);
        run.summary("", "Nothing.", &[]).observe(1.0);
        // That is a label of the group.
        run.gauge("grouped", "Grouped.", &[("db", "other")])
            .set(1.0);
        Ok::<(), ()>(())
    });
    assert_eq!(result, Ok(()));
    assert_eq!(value(&gateway, "import_success"), Some(1.0));
    let rows = r#"rows_total{db="customers",table="a"}"#;
    assert_eq!(gateway.value("import", rows), Some(1.0));
    assert_eq!(gateway.samples("rows_total").len(), 1);
    assert_eq!(gateway.samples("grouped").len(), 0);
}

#[test]
fn metrics_that_clash_with_those_of_the_run_are_left_out() {
    let gateway = OwnGateway::alone(&[]);
    job(&gateway)
        .run(|run| {
            run.counter("import_success", "Not that of the run.", &[])
                .inc();
            Ok::<(), ()>(())
        })
        .unwrap();
    assert_eq!(value(&gateway, "import_success"), Some(1.0));
    let kind = gateway.metrics();
    assert!(kind.contains("# TYPE import_success gauge"), "{kind}");
}

#[test]
fn a_registry_and_collectors_that_come_and_go() {
    let gateway = OwnGateway::alone(&[]);
    let registry = Registry::new();
    let workers = IntGauge::new("workers", "Workers.").unwrap();
    registry.register(Box::new(workers.clone())).unwrap();
    let with = job(&gateway).registry(&registry).method(Method::Put);
    with.run(|run| {
        workers.set(4);
        let temporary = IntGauge::new("temporary", "Soon gone.").unwrap();
        let register = || run.registry().register(Box::new(temporary.clone()));
        register().unwrap();
        run.registry()
            .unregister(Box::new(temporary.clone()))
            .unwrap();
        register().unwrap();
        Ok::<(), ()>(())
    })
    .unwrap();
    assert_eq!(value(&gateway, "workers"), Some(4.0));
    assert_eq!(value(&gateway, "temporary"), Some(0.0));
    // Another run begins with nothing.
    succeed(&with);
    assert_eq!(value(&gateway, "temporary"), None);
}

#[test]
fn each_gateway_receives_the_report() {
    let gateways = [OwnGateway::alone(&[]), OwnGateway::alone(&[])];
    let closed = Port::reserve();
    let [first, second] = &gateways;
    let all = job(first)
        .gateway(format!("http://{}", closed.address()))
        .gateway(second.url())
        .deadline(Duration::from_secs(1));
    succeed(&all);
    for gateway in &gateways {
        assert_eq!(value(gateway, "import_success"), Some(1.0));
    }
}

#[test]
fn requests_for_other_clients() {
    let run = Job::new("import")
        .gateway("http://user:s3cret@pushgateway:9091/prefix")
        .gateway("pushgateway:9092")
        .grouping("path", "a/b")
        .method(Method::Put)
        .start();
    run.gauge("rows", "Rows.", &[]).set(42.0);
    let requests = run.finish(false).requests().unwrap();
    let [first, second] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(first.method, "PUT");
    assert_eq!(
        first.url,
        "http://pushgateway:9091/prefix/metrics/job/import/path@base64/YS9i"
    );
    assert_eq!(first.headers["authorization"], "Basic dXNlcjpzM2NyZXQ=");
    assert_eq!(
        first.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(!format!("{requests:?}").contains("czM2NyZXQ"));
    let body = String::from_utf8(first.body.clone()).unwrap();
    assert!(
        body.contains("\nrows 42\n") && body.contains("\nbatch_job_success 0\n"),
        "{body}"
    );
    assert_eq!(second.headers.get("authorization"), None);
}
