//! Random pushes, right ones and broken ones: whatever the gateway takes, a real Prometheus scrapes, in
//! protobuf and in text.
//!
//! `METRICSJOB_TEST_ROUNDS` is the number of pushes in thousandths of the normal, `METRICSJOB_TEST_SEED` the
//! seed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use prost::Message;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde_json::Value as Json;

use crate::common::client_model::{Bucket, Histogram, LabelPair, Metric, MetricFamily};
use crate::common::histograms::{PROTOBUF, both, native_float, native_integer, span};
use crate::common::own_gateway::OwnGateway;
use crate::common::{Sandbox, Server, campaign};

/// How many pushes are normal, and how many stand at a time for a scrape.
const PUSHES: usize = 500;
const BATCH: usize = 50;

#[test]
fn what_is_taken_is_scraped() {
    let seed = campaign::seed();
    let gateway = OwnGateway::alone(&["--web.enable-admin-api"]);
    let scrapers = Scrapers::start(&gateway);
    let mut random = campaign::random(seed, 0);
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    let pushes = campaign::rounds(PUSHES);
    for at in 1..=pushes {
        let push = any_push(&mut random);
        let headers: Vec<_> = push
            .content_type
            .map(|it| ("Content-Type", it))
            .into_iter()
            .collect();
        let path = format!("/metrics/job/{}/at/{at}", push.job);
        let (status, said) = gateway.request("PUT", &path, &headers, &push.body);
        assert!(status < 500, "push {at}: {status} {said}\n{:?}", push.body);
        *answers.entry(status).or_default() += 1;
        if at % BATCH == 0 || at == pushes {
            scrapers.check(&format!("after push {at}"));
            let wipe = gateway.request("PUT", "/api/v1/admin/wipe", &[], "");
            assert_eq!(wipe.0, 202);
        }
    }
    let memory = gateway.peak_mib();
    println!("{answers:?}, {memory} MiB at most");
    assert!(memory < 150, "{memory} MiB");
    for status in [200, 400] {
        let number = answers.get(&status).copied().unwrap_or_default();
        assert!(number * 8 > pushes || pushes < 100, "{answers:?}");
    }
}

/// A Prometheus that scrapes protobuf with native histograms, and one that scrapes text.
struct Scrapers {
    scrapers: [Server; 2],
    _sandbox: Sandbox,
}

impl Scrapers {
    fn start(gateway: &OwnGateway) -> Self {
        let sandbox = Sandbox::new();
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\nscrape_configs:\n\
             - job_name: gateway\n  honor_labels: true\n  \
             static_configs: [{{ targets: [\"{}\"] }}]\n",
            gateway.address()
        );
        let config = sandbox.write("scrape.yml", config);
        let native = Server::prometheus_with(&config, &["--enable-feature=native-histograms"]);
        let text = Server::prometheus(&config);
        Scrapers {
            scrapers: [native, text],
            _sandbox: sandbox,
        }
    }

    /// Waits for scrapes that begin from now on, and asserts that they succeed and find no series twice.
    #[track_caller]
    fn check(&self, when: &str) {
        let now = humantime::format_rfc3339_nanos(SystemTime::now()).to_string();
        for (scraper, format) in self.scrapers.iter().zip(["protobuf", "text"]) {
            // That one took too long on a busy machine says nothing about what was pushed.
            let is_new = |target: &Json| {
                let text = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
                text("lastScrape") > now && !text("lastError").contains("deadline exceeded")
            };
            let targets = scraper.wait_for("/api/v1/targets", |body| {
                let targets: Json = serde_json::from_str(body).unwrap();
                is_new(&targets["data"]["activeTargets"][0])
            });
            let targets: Json = serde_json::from_str(&targets).unwrap();
            let target = &targets["data"]["activeTargets"][0];
            assert_eq!(target["health"], "up", "{format}, {when}: {target}");
            let own = scraper.get("/metrics");
            let twice = "prometheus_target_scrapes_sample_duplicate_timestamp_total ";
            let twice = own.lines().find_map(|line| line.strip_prefix(twice));
            assert_eq!(twice, Some("0"), "{format}, {when}: a series appears twice");
        }
    }
}

struct Push {
    job: &'static str,
    content_type: Option<&'static str>,
    body: Vec<u8>,
}

fn any_push(random: &mut impl Rng) -> Push {
    let job = *["a", "a", "a", "a/x/", "a/instance/"]
        .choose(random)
        .unwrap();
    let (content_type, mut body) = match random.random_range(0..4) {
        0 => (None, any_text(random).into_bytes()),
        1 => {
            let text = any_text(random) + "# EOF\n";
            (Some("application/openmetrics-text"), text.into_bytes())
        }
        _ => (Some(PROTOBUF), any_message(random)),
    };
    if random.random_ratio(1, 4) {
        for _ in 0..random.random_range(1..4) {
            change(random, &mut body);
        }
    }
    Push {
        job,
        content_type,
        body,
    }
}

fn change(random: &mut impl Rng, body: &mut Vec<u8>) {
    if body.is_empty() {
        return;
    }
    let at = random.random_range(0..body.len());
    match random.random_range(0..4) {
        0 => body[at] ^= 1 << random.random_range(0..8),
        1 => body[at] = random.random(),
        2 => drop(body.remove(at)),
        _ => body.truncate(at),
    }
}

/// Lines of text, some of which spell the same thing in another way.
fn any_text(random: &mut impl Rng) -> String {
    const LABELS: [&str; 7] = [
        "",
        "a=\"\"",
        "a=\"1\"",
        "a=\"1\",b=\"\"",
        "instance=\"\"",
        "instance=\"i\"",
        "job=\"j\"",
    ];
    const NUMBERS: [&str; 9] = ["1", "1.0", "1e0", "0", "-0", "0.5", ".5", "+Inf", "NaN"];
    let kinds = ["gauge", "counter", "summary", "histogram"];
    let kind = *kinds.choose(random).unwrap();
    let mut text = format!("# TYPE {} {kind}\n", &kind[..1]);
    for _ in 0..random.random_range(1..3) {
        let labels = *LABELS.choose(random).unwrap();
        let [first, second] = [(); 2].map(|()| *NUMBERS.choose(random).unwrap());
        text += &match kind {
            "summary" => format!(
                "s{{{labels},quantile=\"{first}\"}} 1\ns{{{labels},quantile=\"{second}\"}} 2\n\
                 s_sum{{{labels}}} 3\ns_count{{{labels}}} 4\n"
            ),
            "histogram" => format!(
                "h_bucket{{{labels},le=\"{first}\"}} 1\nh_bucket{{{labels},le=\"{second}\"}} 1\n\
                 h_sum{{{labels}}} 3\nh_count{{{labels}}} 1\n"
            ),
            "counter" => format!("c_total{{{labels}}} {first}\n"),
            _ => format!("g{{{labels}}} {first}\n"),
        };
    }
    text.replace("{,", "{")
}

/// A family of histograms, each of which is native, classic, both, or neither any more.
fn any_message(random: &mut impl Rng) -> Vec<u8> {
    let metric = (0..random.random_range(1..4)).map(|at| {
        let mut histogram = any_histogram(random);
        if random.random_ratio(1, 4) {
            distort(random, &mut histogram);
        }
        let value = if random.random_ratio(1, 8) {
            String::new()
        } else {
            at.to_string()
        };
        Metric {
            label: vec![LabelPair {
                name: Some("a".into()),
                value: Some(value),
            }],
            histogram: Some(histogram),
            ..Default::default()
        }
    });
    let family = MetricFamily {
        name: Some("h".into()),
        r#type: Some(4),
        metric: metric.collect(),
        ..Default::default()
    };
    family.encode_length_delimited_to_vec()
}

fn any_histogram(random: &mut impl Rng) -> Histogram {
    let mut histogram = match random.random_range(0..8) {
        0 => return native_float(),
        1 => return native_integer(),
        2 => return both(),
        _ => Histogram::default(),
    };
    histogram.sample_sum = Some(*[1.5, f64::NAN, f64::INFINITY].choose(random).unwrap());
    if random.random_ratio(1, 4) {
        let bounds = [1.0, 2.0, f64::INFINITY].into_iter();
        histogram.sample_count = Some(3);
        histogram.bucket = bounds
            .map(|bound| Bucket {
                cumulative_count: Some(3),
                upper_bound: Some(bound),
                ..Default::default()
            })
            .collect();
        return histogram;
    }
    histogram.schema = Some(random.random_range(-4..=8));
    histogram.zero_threshold = Some(*[0.0, 1e-9, 0.5].choose(random).unwrap());
    let zero_count = random.random_range(0..3);
    let mut count = zero_count;
    let is_float = random.random_ratio(1, 2);
    for positive in [false, true] {
        let (mut spans, mut deltas, mut counts, mut before) = (vec![], vec![], vec![], 0);
        for at in 0..random.random_range(0..3) {
            let length = random.random_range(0..4);
            let offset = random.random_range(if at == 0 { -5..5 } else { 0..5 });
            spans.push(span(offset, length));
            for _ in 0..length {
                let own = random.random_range(0..5);
                count += own;
                deltas.push(own as i64 - before);
                before = own as i64;
                counts.push(own as f64);
            }
        }
        if is_float {
            deltas.clear();
        } else {
            counts.clear();
        }
        if positive {
            histogram.positive_span = spans;
            histogram.positive_delta = deltas;
            histogram.positive_count = counts;
        } else {
            histogram.negative_span = spans;
            histogram.negative_delta = deltas;
            histogram.negative_count = counts;
        }
    }
    if is_float {
        histogram.zero_count_float = Some(zero_count as f64);
        histogram.sample_count_float = Some(count as f64);
    } else {
        histogram.zero_count = Some(zero_count);
        histogram.sample_count = Some(count);
    }
    histogram
}

/// Does to a histogram what can break it.
fn distort(random: &mut impl Rng, histogram: &mut Histogram) {
    const FLOATS: [f64; 7] = [
        0.0,
        0.5,
        -1.0,
        1e300,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    const WHOLE: [i64; 6] = [0, 1, -1, -7, i64::MAX, i64::MIN];
    const OFFSETS: [i32; 6] = [0, -1, 7, i32::MIN, i32::MAX, i32::MAX / 2];
    let float = *FLOATS.choose(random).unwrap();
    let whole = *WHOLE.choose(random).unwrap();
    let offset = *OFFSETS.choose(random).unwrap();
    let (spans, deltas, counts) = if random.random_ratio(1, 2) {
        (
            &mut histogram.positive_span,
            &mut histogram.positive_delta,
            &mut histogram.positive_count,
        )
    } else {
        (
            &mut histogram.negative_span,
            &mut histogram.negative_delta,
            &mut histogram.negative_count,
        )
    };
    match random.random_range(0..20) {
        0 => histogram.sample_count = Some(whole as u64),
        1 => histogram.sample_count_float = Some(float),
        2 => histogram.zero_count = Some(whole as u64),
        3 => histogram.zero_count_float = Some(float),
        4 => histogram.zero_threshold = Some(float),
        5 => histogram.schema = Some(*[-53, -5, 9, 52, i32::MAX].choose(random).unwrap()),
        6 => histogram.sample_sum = Some(float),
        7 => deltas.push(whole),
        8 => counts.push(float),
        9 => spans.push(span(offset, random.random_range(0..3))),
        10 => spans.push(span(0, u32::MAX)),
        11 => spans.clear(),
        12 => deltas.clear(),
        13 => counts.clear(),
        14 => spans.reverse(),
        15 => spans.insert(0, span(offset, 0)),
        16 => deltas.iter_mut().take(1).for_each(|delta| *delta = whole),
        17 => counts.iter_mut().take(1).for_each(|count| *count = float),
        18 => spans.iter_mut().for_each(|span| span.offset = Some(offset)),
        _ => std::mem::swap(&mut histogram.positive_delta, &mut histogram.negative_delta),
    }
}
