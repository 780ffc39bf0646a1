//! What `metricsjob serve` exposes at `/metrics`, read by those who read it: promtool, Python's strict parser of
//! OpenMetrics, and Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::process::Command;

use flate2::read::GzDecoder;
use serde_json::{Value as Json, json};

use crate::common::client_model::{self, Metric, MetricFamily};
use crate::common::curl::finished;
use crate::common::own_server::{GATE, OwnServer, close, open, with_jobs};
use crate::common::{Answer, Finished, Sandbox, Server, US, eventually};

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// A job that runs a shell script.
fn script(head: &str, script: &str) -> String {
    format!("{head}\ncommand = [\"sh\", \"-c\", '''\n{script}\n''']\n")
}

/// A job that reports these metrics.
fn reporting(head: &str, text: &str) -> String {
    let text = text.trim();
    script(
        head,
        &format!("cat >>\"$METRICSJOB_METRICS\" <<'END'\n{text}\nEND"),
    )
}

/// One job for each outcome.
fn outcomes() -> Vec<(&'static str, String)> {
    let grouping = "[grouping]\ndb = \"customers\"\n";
    vec![
        (
            "success",
            format!(
                "{}{grouping}",
                reporting(
                    "prefix = \"good\"",
                    "# HELP rows Rows.\n# TYPE rows gauge\nrows{table=\"a\"} 42"
                )
            ),
        ),
        ("failure", script("", "exit 3")),
        ("signal", script("", "kill -9 $$")),
        ("timeout", script("timeout = \"100ms\"", "exec sleep 60")),
        ("skipped", script("every = \"1s\"", "exec sleep 60")),
    ]
}

/// Has runs end in all ways, and then asks for the metrics, so that there are requests.
fn after_all_outcomes(options: &str) -> (Sandbox, OwnServer) {
    let jobs = outcomes();
    let sandbox = with_jobs(&jobs);
    let server = OwnServer::start(&sandbox, options);
    for (name, _) in &jobs[..4] {
        assert_eq!(server.run(name)["outcome"], *name);
    }
    // The one that came before it goes on.
    server.eventually_runs("skipped", "skipped", 1);
    assert_eq!(server.get("/nothing").status, 404);
    (sandbox, server)
}

/// What a program says that reads this text.
fn reading(command: &mut Command, text: &str) -> Finished {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    finished(command.stdin(File::open(file.path()).unwrap()))
}

fn checked_by_promtool(text: &str) -> Finished {
    reading(Command::new("promtool").args(["check", "metrics"]), text)
}

/// The types of the families that Python's parser of OpenMetrics finds.
#[track_caller]
fn openmetrics(text: &str) -> BTreeMap<String, String> {
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg("-c")
        .arg(
            "import json, sys\n\
             sys.path.insert(0, '/usr/lib/python3/dist-packages')\n\
             from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
             families = [(f.name, f.type) for f in parse(sys.stdin.read())]\n\
             assert len(families) == len(dict(families))\n\
             print(json.dumps(dict(families)))\n",
        );
    let parsed = reading(&mut command, text);
    assert_eq!(parsed.stderr(), "", "{text}");
    serde_json::from_str(&parsed.code(0).stdout()).unwrap()
}

#[track_caller]
fn scrape(server: &OwnServer, headers: &[(&str, &str)]) -> Answer {
    let answer = server.exchange("GET", "/metrics", headers, "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

fn as_openmetrics(server: &OwnServer) -> String {
    scrape(server, &[("Accept", OPENMETRICS)]).body
}

fn as_protobuf(server: &OwnServer) -> Vec<MetricFamily> {
    let answer = scrape(server, &[("Accept", PROTOBUF)]);
    client_model::decode(&answer.bytes).unwrap()
}

/// The series of a text, each with its labels, and that none stands twice.
#[track_caller]
fn series(text: &str) -> BTreeSet<&str> {
    let mut series = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, _) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(name), "it stands twice: {line}\n{text}");
    }
    series
}

/// All three formats can be read by whoever is strictest.
#[track_caller]
fn is_good(server: &OwnServer) -> String {
    let text = server.metrics();
    checked_by_promtool(&text).code(0).quiet();
    series(&text);
    let strict = as_openmetrics(server);
    series(&strict);
    let types = openmetrics(&strict);
    for (name, expected) in [
        ("batch_job_runs", "counter"),
        ("batch_job_run_duration_seconds", "histogram"),
        ("metricsjob_push_duration_seconds", "summary"),
        ("metricsjob_build_info", "gauge"),
    ] {
        assert_eq!(types[name], expected, "{name}");
    }
    // A run may end between two scrapes, and bring a family that was not there before.
    eventually("both formats to have the same families", || {
        let text = server.metrics();
        let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let families = as_protobuf(server).into_iter();
        typed
            .map(|line| line.split(' ').next().unwrap())
            .eq(families.map(|family| family.name.unwrap()))
    });
    text
}

#[test]
fn every_name_that_was_promised() {
    let options = "--demo --grace=0s --gateway=http://127.0.0.1:1";
    let (_sandbox, server) = after_all_outcomes(options);
    for demo in ["demo-orders", "demo-satisfaction"] {
        // It is refused where one is due just now.
        server.post(demo, "{}");
        server.eventually_runs(demo, "success", 1);
    }
    let text = is_good(&server);
    for expected in [
        "batch_job_run_duration_seconds_bucket{db=\"customers\",job=\"success\",job_name=\"success\",le=\"1\"} 1\n",
        "batch_job_run_duration_seconds_bucket{db=\"customers\",job=\"success\",job_name=\"success\",le=\"21600\"} 1\n",
        "batch_job_run_duration_seconds_count{job=\"timeout\",job_name=\"timeout\"} 1\n",
        "batch_job_runs_total{db=\"customers\",job=\"success\",job_name=\"success\",outcome=\"success\"} 1\n",
        "batch_job_runs_total{job=\"failure\",job_name=\"failure\",outcome=\"failure\"} 1\n",
        "batch_job_runs_total{job=\"signal\",job_name=\"signal\",outcome=\"signal\"} 1\n",
        "batch_job_runs_total{job=\"timeout\",job_name=\"timeout\",outcome=\"timeout\"} 1\n",
        "batch_job_running{job=\"skipped\",job_name=\"skipped\"} 1\n",
        "batch_job_running{db=\"customers\",job=\"success\",job_name=\"success\"} 0\n",
        "batch_job_next_run_timestamp_seconds{job=\"demo_orders\",job_name=\"demo-orders\"} ",
        // The runner's, with the prefix of the job and the labels of its grouping key.
        "good_duration_seconds{db=\"customers\",job=\"success\",job_name=\"success\"} ",
        "good_start_timestamp_seconds{db=\"customers\",job=\"success\",job_name=\"success\"} ",
        "good_last_completion_timestamp_seconds{db=\"customers\",job=\"success\",job_name=\"success\"} ",
        "good_last_success_timestamp_seconds{db=\"customers\",job=\"success\",job_name=\"success\"} ",
        "good_success{db=\"customers\",job=\"success\",job_name=\"success\"} 1\n",
        "good_exit_code{db=\"customers\",job=\"success\",job_name=\"success\"} 0\n",
        "good_attempts{db=\"customers\",job=\"success\",job_name=\"success\"} 1\n",
        "good_cpu_user_seconds{db=\"customers\",job=\"success\",job_name=\"success\"} ",
        "good_cpu_system_seconds{db=\"customers\",job=\"success\",job_name=\"success\"} ",
        "good_max_rss_bytes{db=\"customers\",job=\"success\",job_name=\"success\"} ",
        "good_runs_total{db=\"customers\",job=\"success\",job_name=\"success\",outcome=\"success\"} 1\n",
        "batch_job_exit_code{job=\"failure\",job_name=\"failure\"} 3\n",
        "batch_job_exit_code{job=\"signal\",job_name=\"signal\"} 137\n",
        "batch_job_exit_code{job=\"timeout\",job_name=\"timeout\"} 124\n",
        // The job's own.
        "rows{db=\"customers\",job=\"success\",job_name=\"success\",table=\"a\"} 42\n",
        "demo_orders_total{job=\"demo_orders\",job_name=\"demo-orders\",",
        "demo_satisfaction_score_bucket{job=\"demo_satisfaction\",job_name=\"demo-satisfaction\",",
        // The server's.
        "metricsjob_build_info{revision=\"",
        "rustversion=\"1.",
        "metricsjob_uptime_seconds ",
        "metricsjob_schedule_lag_seconds_count ",
        "metricsjob_last_run_timestamp_seconds{db=\"customers\",job=\"success\",job_name=\"success\"} ",
        "metricsjob_missed_runs_total{job=\"demo_orders\",job_name=\"demo-orders\"} ",
        "metricsjob_queued_runs 0\n",
        "metricsjob_job_file_problems 0\n",
        "metricsjob_outbox_entries{status=\"waiting\"} ",
        "metricsjob_push_attempts_total{result=\"failed\"} ",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_threads ",
        "tokio_workers ",
        "tokio_alive_tasks ",
        "system_cpu_usage_ratio ",
        "system_memory_usage_bytes ",
        "system_tcp_connections{state=\"listen\"} ",
        "http_requests_total{endpoint=\"/metrics\",method=\"GET\",status_code=\"200\"} ",
        "http_requests_total{endpoint=\"/api/v1/jobs/{name}/runs\",method=\"POST\",status_code=\"202\"} ",
        "http_request_duration_seconds_bucket{endpoint=\"/metrics\",method=\"GET\",le=\"",
        "http_request_size_bytes_sum{endpoint=\"/api/v1/jobs/{name}/runs\",method=\"POST\"} ",
        "http_response_size_bytes_count{endpoint=\"/metrics\",method=\"GET\"} ",
        "http_requests_in_flight 1\n",
        "errors_total{service=\"serve\",type=\"client_error\"} ",
    ] {
        assert!(text.contains(expected), "no {expected}:\n{text}");
    }
    // Where there is a disk at all.
    if let Some(line) = text
        .lines()
        .find(|line| line.starts_with("system_disk_usage_bytes"))
    {
        assert!(
            line.contains("mount_point=\"") && line.contains("device=\""),
            "{line}"
        );
    }
    server.end();
}

fn family<'a>(families: &'a [MetricFamily], name: &str) -> &'a MetricFamily {
    let mut families = families.iter();
    families
        .find(|family| family.name.as_deref() == Some(name))
        .unwrap_or_else(|| panic!("no {name}"))
}

fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    let mut labels = metric.label.iter();
    let label = labels.find(|label| label.name.as_deref() == Some(name));
    label.map_or("", |label| label.value.as_deref().unwrap())
}

#[test]
fn protobuf_has_native_buckets() {
    let jobs = [("slow", script("", "sleep 0.3")), ("never", script("", ""))];
    let sandbox = with_jobs(&jobs);
    let server = OwnServer::start(&sandbox, "");
    let runs: Vec<f64> = (0..3)
        .map(|_| server.run("slow")["duration_seconds"].as_f64().unwrap())
        .collect();
    let families = as_protobuf(&server);
    let durations = family(&families, "batch_job_run_duration_seconds");
    // Besides the three that every server has.
    assert_eq!(durations.metric.len(), 5);
    for metric in &durations.metric {
        let histogram = metric.histogram.as_ref().unwrap();
        assert_eq!(histogram.schema, Some(3));
        assert!(histogram.zero_threshold.unwrap() < 1e-3);
        assert!(!histogram.positive_span.is_empty());
        assert_eq!(histogram.bucket.len(), 15);
        if label(metric, "job_name") != "slow" {
            assert_eq!(histogram.sample_count, Some(0));
            continue;
        }
        assert_eq!(histogram.sample_count, Some(3));
        let sum = histogram.sample_sum.unwrap();
        assert!((sum - runs.iter().sum::<f64>()).abs() < 1e-6, "{runs:?}");
        // Each bucket's count, by its index.
        let mut counts = BTreeMap::new();
        let (mut index, mut count) = (0, 0);
        let mut deltas = histogram.positive_delta.iter();
        for span in &histogram.positive_span {
            index += span.offset.unwrap();
            for _ in 0..span.length.unwrap() {
                count += deltas.next().unwrap();
                counts.insert(index, count);
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        counts.retain(|_, count| *count != 0);
        let mut expected = BTreeMap::new();
        for duration in &runs {
            *expected
                .entry((duration.log2() * 8.0).ceil() as i32)
                .or_default() += 1;
        }
        assert_eq!(counts, expected, "{runs:?}");
    }
    // What is no histogram of runs has the same values as in the text.
    let build = &family(&families, "metricsjob_build_info").metric[0];
    assert_eq!(build.gauge.as_ref().unwrap().value, Some(1.0));
    assert_eq!(label(build, "version"), env!("CARGO_PKG_VERSION"));
}

/// What a running job has reported so far is as good.
#[test]
fn a_running_job_can_be_read_by_all() {
    let us = &*US;
    let live = format!(
        "{us} metric - <<'END'
inc orders_total 5 -l region=eu --help Orders.
set queue_size 17 --help 'Orders that \"wait\".'
observe request_seconds 0.2 --buckets 0.1,1 --help Requests.
observe row_seconds 2 --quantiles 0.5,0.9 --help Rows.
END
{GATE}"
    );
    let sandbox = with_jobs(&[("live", script("", &live)), ("other", script("", &live))]);
    close(&sandbox);
    let server = OwnServer::start(&sandbox, "");
    let ids = ["live", "other"].map(|job| server.ask(job));
    for job in ["live", "other"] {
        server.shows(
            &format!("row_seconds_count{{job=\"{job}\",job_name=\"{job}\"}}"),
            1.0,
        );
    }
    let text = is_good(&server);
    for line in [
        "# TYPE orders_total counter\n",
        "# HELP queue_size Orders that \"wait\".\n",
        "orders_total{job=\"live\",job_name=\"live\",region=\"eu\"} 5\n",
        "request_seconds_bucket{job=\"other\",job_name=\"other\",le=\"1\"} 1\n",
        "row_seconds{job=\"live\",job_name=\"live\",quantile=\"0.9\"} ",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}\n{text}");
    }
    open(&sandbox);
    for id in ids {
        server.run_once(&id, "finished");
    }
}

fn essence(answer: &Answer) -> &str {
    answer.headers["content-type"].split(';').next().unwrap()
}

#[test]
fn formats_and_compression_are_negotiated() {
    let sandbox = with_jobs(&[("a", script("", ""))]);
    let server = OwnServer::start(&sandbox, "");
    for (accept, expected) in [
        ("*/*", "text/plain"),
        ("text/html", "text/plain"),
        (OPENMETRICS, "application/openmetrics-text"),
        (PROTOBUF, "application/vnd.google.protobuf"),
        (
            &format!("{OPENMETRICS};q=0.5,text/plain;q=0.9"),
            "text/plain",
        ),
        (
            &format!("{PROTOBUF};q=0.3,{OPENMETRICS};q=0.2,text/plain;q=0.1"),
            "application/vnd.google.protobuf",
        ),
    ] {
        let plain = scrape(&server, &[("Accept", accept)]);
        assert_eq!(essence(&plain), expected, "{accept}");
        assert_eq!(plain.headers["vary"], "Accept, Accept-Encoding");
        assert_eq!(plain.headers.get("content-encoding"), None);
        let gzip = [("Accept", accept), ("Accept-Encoding", "gzip")];
        let zipped = scrape(&server, &gzip);
        assert_eq!(zipped.headers["content-encoding"], "gzip");
        assert_eq!(essence(&zipped), expected, "{accept}");
        let mut unzipped = Vec::new();
        GzDecoder::new(&zipped.bytes[..])
            .read_to_end(&mut unzipped)
            .unwrap();
        assert!(zipped.bytes.len() < unzipped.len() / 2);
        let name = b"metricsjob_build_info";
        assert!(unzipped.windows(name.len()).any(|part| part == name));
    }
    let refused = [("Accept-Encoding", "gzip;q=0")];
    let plain = scrape(&server, &refused);
    assert_eq!(plain.headers.get("content-encoding"), None);
    assert!(plain.body.contains("metricsjob_build_info"));
    assert_eq!(server.exchange("POST", "/metrics", &[], "").status, 405);
    assert_eq!(server.exchange("HEAD", "/metrics", &[], "").status, 200);
}

/// Jobs know nothing of each other, nor of the server's names.
#[test]
fn metrics_that_collide_break_nothing() {
    let huge = "long ".repeat(20_000);
    let jobs: Vec<(&str, String)> = [
        // The same name with other types.
        ("a-gauge", "# TYPE same gauge\nsame 1"),
        ("b-counter", "# TYPE same counter\nsame 2"),
        (
            "c-histogram",
            "# TYPE same histogram\nsame_bucket{le=\"1\"} 1\nsame_bucket{le=\"+Inf\"} 1\nsame_sum 1\nsame_count 1",
        ),
        ("d-gauge", "# HELP same Another.\n# TYPE same gauge\nsame 4"),
        // Series that are called like those of another family.
        (
            "e-summary",
            "# TYPE x summary\nx{quantile=\"0.5\"} 1\nx_sum 1\nx_count 1",
        ),
        ("f-counts", "# TYPE x_count gauge\nx_count 5\nx_sum 6\nx_bucket 7"),
        // Those of the server.
        (
            "g-ours",
            "batch_job_running 7\nbatch_job_next_run_timestamp_seconds 7\nbatch_job_runs_total 7\n\
             batch_job_run_duration_seconds 7\nbatch_job_run_duration_seconds_count 7\nprocess_open_fds 7\n\
             metricsjob_last_run_timestamp_seconds 7\n\
             http_request_duration_seconds_bucket 7\nmetricsjob_build_info 7\n\
             # TYPE metricsjob_last_run_timestamp_seconds gauge\n\
             metricsjob_schedule_lag_seconds_count 7",
        ),
        (
            "h-typed",
            "# TYPE process_open_fds gauge\nprocess_open_fds 8\n\
             # TYPE metricsjob_last_run_timestamp_seconds gauge\nmetricsjob_last_run_timestamp_seconds 8\n\
             # TYPE batch_job_running gauge\nbatch_job_running 8\n\
             # TYPE metricsjob_jobs gauge\nmetricsjob_jobs 8\n\
             # TYPE metricsjob_push summary\nmetricsjob_push_sum 1\nmetricsjob_push_count 1",
        ),
        // Names that OpenMetrics takes for the same.
        ("i-total", "# TYPE t_total counter\nt_total 1"),
        ("j-no-total", "# TYPE t gauge\nt 1"),
        ("k-total-total", "# TYPE t_total_total counter\nt_total_total 1"),
        (
            "l-suffix-total",
            "# TYPE y histogram\ny_bucket{le=\"+Inf\"} 1\ny_sum 1\ny_count 1\n\
             # TYPE y_count_total counter\ny_count_total 1\n# TYPE y_total counter\ny_total 1",
        ),
        // Labels of the server's own.
        (
            "m-labels",
            "lab{job_name=\"x\",z=\"1\"} 1\nlab{job_name=\"y\",z=\"1\"} 2\nlab{z=\"2\"} 3\nlab2{instance=\"y\"} 1",
        ),
        ("n-text", "# HELP odd a\\\\b\\nc \"d\" é\nodd{v=\"a\\\\b\\nc\\\"d é\"} 1"),
        // Neither names nor values that every format has.
        ("o-names", "{\"dotted.name\"} 1\nplain{\"dotted.label\"=\"1\"} 1"),
        (
            "p-values",
            "nan NaN\ninf +Inf\nless -Inf\nsmall 1e-300\n# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 0\ns_count 0",
        ),
    ]
    .into_iter()
    .map(|(name, text)| (name, reporting("", text)))
    .chain([
        (
            "q-huge",
            script(
                "",
                "{ printf '# HELP huge '; head -c 100000 /dev/zero | tr '\\0' h; echo; echo 'huge 1'; } >>\"$METRICSJOB_METRICS\"",
            ),
        ),
        ("r-long", format!("description = \"{huge}\"\n{}", reporting("", "long_described 1"))),
    ])
    .collect();
    let sandbox = with_jobs(&jobs);
    let server = OwnServer::start(&sandbox, "");
    let check = |server: &OwnServer| {
        let text = server.metrics();
        let series: BTreeSet<&str> = series(&text);
        for expected in [
            "same{job=\"a-gauge\",job_name=\"a-gauge\"}",
            "same{job=\"d-gauge\",job_name=\"d-gauge\"}",
            "x_count{job=\"e-summary\",job_name=\"e-summary\"}",
            "process_open_fds{job=\"h-typed\",job_name=\"h-typed\"}",
            "batch_job_running{job=\"h-typed\",job_name=\"h-typed\"}",
            "lab{job=\"m-labels\",job_name=\"m-labels\",z=\"1\"}",
            "lab{job=\"m-labels\",job_name=\"m-labels\",z=\"2\"}",
            "lab2{instance=\"y\",job=\"m-labels\",job_name=\"m-labels\"}",
            "odd{job=\"n-text\",job_name=\"n-text\",v=\"a\\\\b\\nc\\\"d é\"}",
            "huge{job=\"q-huge\",job_name=\"q-huge\"}",
        ] {
            assert!(series.contains(expected), "no {expected}:\n{text}");
        }
        assert!(text.contains("\nbatch_job_running{job=\"h-typed\",job_name=\"h-typed\"} 0\n"));
        assert!(!series.contains("same{job=\"b-counter\",job_name=\"b-counter\"}"));
        assert!(!series.contains("x_count{job=\"f-counts\",job_name=\"f-counts\"}"));
        text
    };
    for (name, _) in &jobs {
        assert_eq!(server.run(name)["outcome"], "success", "{name}");
    }
    check(&server);
    is_valid(&server);
    let prometheus = prometheus(&sandbox, &server, &["--enable-feature=native-histograms"]);
    assert_eq!(value(&prometheus, "up"), 1.0);
    assert_eq!(
        value(&prometheus, "same{job=\"d-gauge\",job_name=\"d-gauge\"}"),
        4.0
    );
    drop(prometheus);
    // The same of what the history knows.
    server.end();
    let server = OwnServer::start(&sandbox, "");
    check(&server);
    is_valid(&server);
}

/// The same as [`is_good`], but that promtool may find names and help that could be better.
#[track_caller]
fn is_valid(server: &OwnServer) {
    let said = checked_by_promtool(&server.metrics()).stderr();
    assert!(!said.contains("error while"), "{said}");
    let strict = as_openmetrics(server);
    series(&strict);
    openmetrics(&strict);
    as_protobuf(server);
}

/// One job with several grouping keys, whose labels and those of its metrics make the same series.
#[test]
fn grouping_keys_that_collide_break_nothing() {
    let text = "m{e=\"1\"} 1\nm 2\n# TYPE le_hist histogram\nle_hist_bucket{le=\"+Inf\"} 1\nle_hist_sum 1\nle_hist_count 1";
    let sandbox = with_jobs(&[("j", reporting("", text))]);
    let server = OwnServer::start(&sandbox, "");
    for grouping in [
        json!({ "db": "x" }),
        json!({ "db": "x", "e": "1" }),
        json!({ "db": "x", "e": "", "job_name": "y" }),
        json!({ "instance": "i" }),
    ] {
        let run = server.run_with("j", &json!({ "grouping": grouping }));
        assert_eq!(run["outcome"], "success");
    }
    let text = server.metrics();
    let series = series(&text);
    for expected in [
        "m{db=\"x\",e=\"1\",job=\"j\",job_name=\"j\"}",
        "m{db=\"x\",job=\"j\",job_name=\"j\"}",
        "m{instance=\"i\",job=\"j\",job_name=\"j\"}",
    ] {
        assert!(series.contains(expected), "no {expected}:\n{text}");
    }
    is_valid(&server);
}

/// The value of an instant query that has one series, once it has.
fn value(prometheus: &Server, query: &str) -> f64 {
    let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let path = format!("/api/v1/query?query={encoded}");
    let answer = prometheus.wait_for(&path, |body| body.contains("\"value\""));
    let answer: Json = serde_json::from_str(&answer).unwrap();
    let result = answer["data"]["result"].as_array().unwrap();
    assert_eq!(result.len(), 1, "{query}: {answer}");
    let text = result[0]["value"][1].as_str().unwrap();
    text.parse().unwrap()
}

fn prometheus(sandbox: &Sandbox, server: &OwnServer, flags: &[&str]) -> Server {
    let address = server.address();
    let config = format!(
        "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\nscrape_configs:\n\
         - job_name: metricsjob\n  honor_labels: true\n  static_configs:\n  - targets: ['{address}']\n"
    );
    let config = sandbox.write("prometheus.yml", config);
    Server::prometheus_with(&config, flags)
}

fn three_runs() -> (Sandbox, OwnServer, Vec<f64>) {
    let grouping = "[grouping]\ndb = \"customers\"\ninstance = \"i\"\n";
    let job = format!("{}{grouping}", reporting("", "rows 42"));
    let slow = script("", "sleep 0.2");
    let sandbox = with_jobs(&[("j", job), ("slow", slow)]);
    let server = OwnServer::start(&sandbox, "");
    server.run("j");
    let runs = (0..3)
        .map(|_| server.run("slow")["duration_seconds"].as_f64().unwrap())
        .collect();
    (sandbox, server, runs)
}

#[test]
fn prometheus_scrapes_it() {
    let (sandbox, server, _) = three_runs();
    let prometheus = prometheus(&sandbox, &server, &[]);
    // The grouping labels are those of the group, whatever the target has.
    let rows = r#"rows{job="j",job_name="j",db="customers",instance="i"}"#;
    assert_eq!(value(&prometheus, rows), 42.0);
    let query = |query: &str| value(&prometheus, query);
    assert_eq!(query(r#"up{job="metricsjob"}"#), 1.0);
    assert_eq!(
        query(r#"batch_job_runs_total{job="slow",job_name="slow",outcome="success"}"#),
        3.0
    );
    assert_eq!(
        query(r#"batch_job_run_duration_seconds_bucket{job="slow",job_name="slow",le="21600"}"#),
        3.0
    );
    assert_eq!(
        query(r#"batch_job_success{job="j",job_name="j",db="customers"}"#),
        1.0
    );
    assert_eq!(query(r#"count(metricsjob_build_info)"#), 1.0);
}

#[test]
fn prometheus_scrapes_native_histograms() {
    let (sandbox, server, runs) = three_runs();
    let prometheus = prometheus(&sandbox, &server, &["--enable-feature=native-histograms"]);
    let query = |query: &str| value(&prometheus, query);
    let durations = r#"batch_job_run_duration_seconds{job="slow",job_name="slow"}"#;
    assert_eq!(query(&format!("histogram_count({durations})")), 3.0);
    let sum = query(&format!("histogram_sum({durations})"));
    assert!((sum - runs.iter().sum::<f64>()).abs() < 1e-6);
    let (least, most) = (
        runs.iter().copied().fold(f64::INFINITY, f64::min),
        runs.iter().copied().fold(0.0, f64::max),
    );
    let median = query(&format!("histogram_quantile(0.5, {durations})"));
    // A bucket is 9 % wide.
    assert!(
        (least / 1.1..most * 1.1).contains(&median),
        "{median} of {runs:?}"
    );
    assert_eq!(query(r#"up{job="metricsjob"}"#), 1.0);
    // Another run makes it grow, and is no reset.
    server.run("slow");
    eventually("the fourth run is seen", || {
        query(&format!("histogram_count({durations})")) == 4.0
    });
    assert_eq!(query(&format!("resets({durations}[1m])")), 0.0);
}
