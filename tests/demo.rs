//! The demo jobs: random metrics that look like a shop's.

use std::time::Instant;

use serde_json::Value as Json;

use crate::common::{FakeServer, Sandbox, TestGateway, of_job};

on_each_gateway!(
    orders_and_revenue_add_up_over_runs,
    the_scores_are_a_histogram_of_the_last_run
);

const REGIONS: [&str; 3] = ["emea", "americas", "apac"];
const PRODUCTS: [(&str, f64); 3] = [("coffee", 12.5), ("grinder", 89.0), ("machine", 449.0)];

/// The value of each series of `metric`, by region and product.
fn series(gateway: &TestGateway, metric: &str) -> Vec<f64> {
    let samples = gateway.samples();
    let value = |region: &str, product: &str| {
        let series = format!(r#"demo_{metric}{{product="{product}",region="{region}"}}"#);
        samples[&of_job("demo_orders", &series)]
    };
    let of_region = |region| PRODUCTS.map(|(product, _)| value(region, product));
    REGIONS.into_iter().flat_map(of_region).collect()
}

fn orders_and_revenue_add_up_over_runs(gateway: &TestGateway) {
    let run = || {
        gateway
            .run("run demo-orders --set duration=0s --set failure-rate=0 --set orders=1000 --set seed=1")
            .code(0)
            .out("demo-orders: success in ");
        (
            series(gateway, "orders_total"),
            series(gateway, "revenue_euros_total"),
        )
    };
    let (orders, revenue) = run();
    let all: f64 = orders.iter().sum();
    assert!((500.0..=1000.0).contains(&all), "{orders:?}");
    assert!(orders.iter().all(|count| *count > 0.0), "{orders:?}");
    let prices = PRODUCTS.iter().map(|(_, price)| price).cycle();
    for ((count, euros), price) in orders.iter().zip(&revenue).zip(prices) {
        let pieces = euros / price;
        assert_eq!(pieces.fract(), 0.0);
        assert!(
            (*count..=count * 3.0).contains(&pieces),
            "{orders:?} {revenue:?}"
        );
    }
    // The same seed: the same again on top.
    let twice = |values: Vec<f64>| -> Vec<f64> { values.iter().map(|value| value * 2.0).collect() };
    assert_eq!(run(), (twice(orders), twice(revenue)));
}

fn the_scores_are_a_histogram_of_the_last_run(gateway: &TestGateway) {
    let run = |seed: u32| {
        let line = format!(
            "run demo-satisfaction --set duration=0s --set failure-rate=0 --set answers=3000 --set seed={seed}"
        );
        gateway.run(&line).code(0);
        let samples = gateway.samples();
        let value = |name: &str, region: &str, le: &str| {
            let series = format!(r#"demo_satisfaction_score{name}{{region="{region}"{le}}}"#);
            samples[&of_job("demo_satisfaction", &series)]
        };
        REGIONS.map(|region| {
            let count = value("_count", region, "");
            let sum = value("_sum", region, "");
            let buckets = ["1", "2", "3", "4", "5", "+Inf"]
                .map(|le| value("_bucket", region, &format!(r#",le="{le}""#)));
            assert!(buckets.is_sorted() && buckets[0] > 0.0, "{buckets:?}");
            assert_eq!((buckets[4], buckets[5]), (count, count));
            let mean = sum / count;
            assert!((3.0..4.5).contains(&mean), "{mean}");
            (count as u64, sum as u64, buckets.map(|count| count as u64))
        })
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    let all: u64 = first.iter().map(|(count, ..)| count).sum();
    assert!((1500..=3000).contains(&all), "{first:?}");
}

#[test]
fn a_run_is_a_matter_of_seconds() {
    let sandbox = Sandbox::new();
    for name in ["demo-orders", "demo-satisfaction"] {
        let start = Instant::now();
        sandbox
            .run(&format!("run {name} --set failure-rate=0"))
            .code(0);
        let seconds = start.elapsed().as_secs_f64();
        // 0.75 s to 1.5 s by itself.
        assert!((0.7..15.0).contains(&seconds), "{name}: {seconds}");
    }
}

/// The sum of the values of `name` that a run reports as JSON.
fn sum(run: &Json, name: &str) -> f64 {
    let families = run["metrics"].as_array().unwrap();
    let family = families.iter().find(|family| family["name"] == name);
    let metrics = family.unwrap()["metrics"].as_array().unwrap();
    metrics
        .iter()
        .map(|metric| metric["value"].as_f64().unwrap())
        .sum()
}

#[test]
fn a_failure_is_on_the_way_and_says_its_seed() {
    let sandbox = Sandbox::new();
    let line = "run demo-orders --set failure-rate=1 --set duration=0s --set seed=7";
    let run = sandbox.run(&format!("{line} --output json"));
    let json = run.code(1).json();
    let taken = sum(&json, "demo_orders_total");
    assert!((0.0..40.0).contains(&taken), "{taken}");
    run.err(&format!(
        "demo-orders: the payment service stopped answering after {taken} of "
    ))
    .err(" orders (simulated: failure-rate 1, seed 7)");
    sandbox
        .run("run demo-satisfaction --set failure-rate=1 --set duration=0s")
        .code(1)
        .err("demo-satisfaction: the survey's server closed the connection after ")
        .err(" answers (simulated: failure-rate 1, seed ");
    assert_eq!(sandbox.outcomes(), ["failure", "failure"]);
}

#[test]
fn nothing_happens_at_all() {
    let sandbox = Sandbox::new();
    let none = "--set duration=0s --set failure-rate=0";
    let run = sandbox.run(&format!(
        "run demo-orders --set orders=0 {none} --output json"
    ));
    let json = run.code(0).json();
    assert_eq!(sum(&json, "demo_orders_total"), 0.0);
    // The series are there all the same.
    let value = sandbox.value(
        "demo_orders",
        r#"demo_orders_total{region="apac",product="coffee"}"#,
    );
    assert_eq!(value, Some(0.0));
    sandbox
        .run("run demo-orders --set orders=0 --set duration=0s --set failure-rate=1")
        .code(1)
        .err("after 0 of 0 orders");
}

#[test]
fn a_signal_ends_it_in_order() {
    let sandbox = Sandbox::new();
    sandbox
        .run("run demo-orders --set duration=1h --timeout 300ms")
        .code(124)
        .err("it took longer than 300ms");
}

#[test]
fn the_probe_checks_our_server() {
    let (sandbox, server) = (Sandbox::new(), FakeServer::status("200 OK", ""));
    let set = format!("--set endpoint={}/-/healthy", server.url());
    sandbox.run(&format!("run demo-probe {set}")).code(0);
    assert_eq!(server.requests()[0].line, "GET /-/healthy HTTP/1.1");
    let labels = format!(
        r#"{{service="metricsjob",endpoint="{}/-/healthy"}}"#,
        server.url()
    );
    let up = sandbox.value("demo_probe", &format!("external_service_up{labels}"));
    assert_eq!(up, Some(1.0));
}

#[test]
fn the_flaky_one_fails_now_and_then() {
    let sandbox = Sandbox::new();
    // One run fails in four: that 60 do all the same is less likely than 1 in 10^7.
    for _ in 0..60 {
        let run = sandbox.run("run demo-flaky --gateway embedded");
        if run.stderr().contains("too many clients") {
            run.code(75)
        } else {
            run.code(0)
        };
        let outcomes = sandbox.outcomes();
        if outcomes.iter().any(|o| o == "failure") && outcomes.iter().any(|o| o == "success") {
            break;
        }
    }
    let history = sandbox.history();
    let run = |outcome: &str| {
        history
            .iter()
            .find(|run| run["outcome"] == outcome)
            .unwrap()
    };
    let failed = run("failure");
    assert_eq!(failed["exit_code"], 75);
    assert!(
        failed["tail"].to_string().contains("too many clients"),
        "{failed}"
    );
    assert!(run("success")["tail"].to_string().contains("messages"));
    let imported = sandbox.value("demo_flaky", "demo_imported_messages_total");
    assert!(imported.is_some_and(|count| count >= 1.0), "{imported:?}");
}

#[test]
fn list_marks_demos() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/mine.toml", "demo = true\ncommand = ['true']\n");
    sandbox.write("jobs/real.toml", "demo = false\ncommand = ['true']\n");
    let list = sandbox.run("list");
    list.code(0)
        .out("(demo) Count the orders of a simulated shop")
        .out("built-in demo-orders");
    let json = sandbox.run("list --output json").json();
    let job = |name: &str| {
        let mut jobs = json.as_array().unwrap().iter();
        jobs.find(|job| job["name"] == name).unwrap()
    };
    for (name, schedule) in [
        ("demo-flaky", "*/20 * * * * *"),
        ("demo-orders", "every 5s"),
        ("demo-probe", "every 10s"),
        ("demo-satisfaction", "every 15s"),
    ] {
        assert_eq!(job(name)["is_demo"], true, "{name}");
        assert_eq!(job(name)["plan"]["schedule"], schedule);
    }
    for (name, is_demo) in [("mine", true), ("real", false), ("backup", false)] {
        assert_eq!(job(name)["is_demo"], is_demo, "{name}");
    }
    sandbox.write("jobs/mine.toml", "demo = 'yes'\ncommand = ['true']\n");
    sandbox
        .run("check jobs/mine.toml")
        .code(2)
        .err("jobs/mine.toml:1:8: demo must be true or false, but is of type string");
}
