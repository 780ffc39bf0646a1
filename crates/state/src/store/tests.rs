//! The store beside a model that checks all groups anew with each push.

use std::collections::BTreeMap;

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use metricsjob_metrics::escaping::Escaping;
use metricsjob_metrics::{
    Family, Group, Kind, Labels, Names, TIME_SERIES, Value, protobuf, series_name, text,
};

/// Families that get into each other's way: of one name, and of a name that another's series have.
const FAMILIES: [&str; 13] = [
    "# TYPE m gauge\nm 1\n",
    "# TYPE m gauge\nm{a=\"x\"} 2\n",
    "# TYPE m gauge\nm{b=\"\"} 9\nm{a=\"x\",instance=\"\"} 9\n",
    "# TYPE m gauge\nm 1\nm{a=\"x\"} 2\nm{a=\"y\"} 3\n",
    "# TYPE m gauge\n# HELP m Help.\nm{instance=\"x\"} 4\n",
    "# TYPE m counter\nm 5\n",
    "m 6\n",
    "# TYPE s summary\ns_sum 1\ns_count 1\n",
    "# TYPE s_count gauge\ns_count 7\n",
    "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
    "# TYPE h_bucket gauge\nh_bucket{a=\"x\"} 8\n",
    "# TYPE pushgateway_build_info counter\npushgateway_build_info{a=\"x\"} 1\n",
    "# TYPE pushgateway_build_info gauge\npushgateway_build_info{a=\"x\"} 1\n",
];

fn key(labels: &[(&str, &str)]) -> GroupingKey {
    let labels = labels
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    GroupingKey::new("j", labels).unwrap()
}

/// Grouping keys under which series can collide: a series' own label can equal that of another key.
fn keys() -> [GroupingKey; 5] {
    [
        key(&[]),
        key(&[("instance", "x")]),
        key(&[("a", "x")]),
        key(&[("a", "x"), ("instance", "x")]),
        key(&[("b", "")]),
    ]
}

/// Returns true if the groups can be exposed in one scrape.
fn is_consistent<'a>(groups: impl Iterator<Item = &'a Group> + Clone) -> bool {
    let mut kinds: BTreeMap<&str, Kind> = own::FAMILIES.into_iter().collect();
    let mut series = std::collections::HashSet::new();
    let compared = |name: &str, labels: Labels| {
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        series_name(name, &labels.collect())
    };
    for group in groups {
        let time = group.series_labels(&Labels::new());
        if !series.insert(compared(TIME_SERIES[0], time)) {
            return false;
        }
        for family in &group.families {
            if *kinds.entry(&family.name).or_insert(family.kind) != family.kind {
                return false;
            }
            for metric in &family.metrics {
                let labels = group.series_labels(&metric.labels);
                if !series.insert(compared(&family.name, labels)) {
                    return false;
                }
            }
        }
    }
    !kinds.iter().any(|(name, kind)| {
        let suffixes: &[&str] = match kind {
            Kind::Histogram => &["_count", "_sum", "_bucket"],
            Kind::Summary => &["_count", "_sum"],
            _ => &[],
        };
        let is_taken = |suffix| kinds.contains_key(format!("{name}{suffix}").as_str());
        suffixes.iter().any(is_taken)
    })
}

type Model = BTreeMap<GroupingKey, Group>;

/// Returns the group after the push, without a check of its consistency.
fn pushed(model: &Model, key: &GroupingKey, method: Method, report: &[Family]) -> Group {
    let old = match method {
        Method::Put => None,
        Method::Post => model.get(key),
    };
    let mut families: Vec<Family> = old.map_or(Vec::new(), |group| group.families.clone());
    families.retain(|family| report.iter().all(|new| new.name != family.name));
    families.extend(report.iter().cloned());
    families.sort_by(|a, b| a.name.cmp(&b.name));
    Group {
        key: key.clone(),
        families,
        push_time: 0.0,
        push_failure_time: 0.0,
        ttl: None,
    }
}

/// Returns the series of groups as exposed, with their values.
fn shown<'a>(groups: impl Iterator<Item = &'a Group>) -> BTreeMap<String, String> {
    let series = groups.flat_map(|group| {
        let families = group.families.iter();
        families.flat_map(|family| {
            let metrics = family.metrics.iter();
            metrics.map(|metric| {
                let labels = group.series_labels(&metric.labels);
                (
                    series_name(&family.name, &labels),
                    format!("{:?}", metric.value),
                )
            })
        })
    });
    series.collect()
}

fn shown_by(store: &Store) -> BTreeMap<String, String> {
    let groups: Vec<Group> = store.groups().map(|(_, group)| group.to_group()).collect();
    for (_, group) in store.groups() {
        assert!(group.bytes() >= group.exposition().len());
    }
    let shown = shown(groups.iter());
    let scraped = exposition::text(&store.snapshot(), &[], Escaping::AllowUtf8).pieces;
    let scraped = text::parse(scraped.concat().as_bytes()).unwrap();
    let series = scraped.iter().flat_map(|family| {
        let metrics = family.metrics.iter();
        metrics.map(|metric| {
            (
                series_name(&family.name, &metric.labels),
                format!("{:?}", metric.value),
            )
        })
    });
    let mut series: BTreeMap<String, String> = series.collect();
    series.retain(|series, _| !series.starts_with("push_"));
    assert_eq!(series, shown);
    shown
}

#[test]
fn as_if_all_groups_were_checked() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let keys = keys();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..120 {
        let mut store = Store::new();
        let mut model = Model::new();
        for step in 0..60 {
            let key = keys.choose(&mut random).unwrap();
            let undone = random.random_ratio(1, 5);
            let before = shown_by(&store);
            let series = store.series();
            if random.random_ratio(1, 8) {
                let undo = store.delete(key);
                assert_eq!(undo.is_some(), model.contains_key(key));
                match undo {
                    Some(undo) if undone => store.undo(undo),
                    _ => drop(model.remove(key)),
                }
            } else {
                let method = *[Method::Put, Method::Post].choose(&mut random).unwrap();
                let count = random.random_range(0..4);
                let body: String = FAMILIES.sample(&mut random, count).copied().collect();
                let Ok(families) = text::parse(body.as_bytes()) else {
                    continue;
                };
                let group = pushed(&model, key, method, &families);
                let others = model.values().filter(|group| group.key != *key);
                let is_consistent = is_consistent(others.chain([&group]));
                let report = RenderedPush::new(key, families, Names::Legacy, &store.hasher());
                let Pushed { result, undo, .. } = store.push(key, method, report, f64::from(step));
                assert_eq!(
                    result.is_ok(),
                    is_consistent,
                    "{key}: {body}{result:?} {model:?}"
                );
                if is_consistent {
                    taken += 1
                } else {
                    refused += 1
                }
                if undone {
                    undo.into_iter().for_each(|undo| store.undo(undo));
                    assert_eq!((shown_by(&store), store.series()), (before, series));
                } else if is_consistent {
                    model.insert(key.clone(), group);
                } else if !matches!(result, Err(Rejection::Key { .. })) {
                    let refused = pushed(&model, key, Method::Post, &[]);
                    model.entry(key.clone()).or_insert(refused);
                }
            }
            assert_eq!(shown_by(&store), shown(model.values()));
            assert_eq!(store.len(), model.len());
            assert_eq!(store.series(), shown_by(&store).len());
        }
        keys.iter().for_each(|key| drop(store.delete(key)));
        assert_eq!((store.len(), store.series(), store.bytes()), (0, 0, 0));
    }
    println!("{taken} pushes taken, {refused} refused");
    assert!(taken > 1000 && refused > 1000);
}

/// Bodies of one histogram each may take more memory, relative to their size, than one body of them all.
#[test]
fn many_native_histograms_that_came_one_by_one() {
    // `h0` with one series, whose native histogram has a zero threshold and nothing else.
    let message = |name: &str| {
        let metric = [0x3a, 9, 0x31, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        let mut message = vec![0x0a, name.len() as u8];
        message.extend(name.as_bytes());
        message.extend([0x18, 4, 0x22, metric.len() as u8]);
        message.extend(metric);
        message.insert(0, message.len() as u8);
        message
    };
    let mut store = Store::new();
    for count in 0..1000 {
        let body = message(&format!("h{count}"));
        let families = protobuf::decode(&body, &text::Limits::default()).unwrap();
        assert!(protobuf::exceeds_text(&families[0]), "{families:?}");
        let report = RenderedPush::new(&key(&[]), families, Names::Legacy, &store.hasher());
        let pushed = store.push(&key(&[]), Method::Post, report, 1.0);
        assert!(pushed.result.is_ok());
    }
    let group = store.group_of(&key(&[])).unwrap().clone();
    assert!(protobuf::decode(&group.natives(), &text::Limits::default()).is_err());
    let families = group.to_group().families;
    assert_eq!(families.len(), 1000);
    assert!(families.iter().all(protobuf::exceeds_text));
    assert!(group.bytes() >= group.exposition().len() + group.natives().len());
}

#[test]
fn a_small_body_takes_no_much_memory_by_long_labels() {
    let key = key(&[("l", &"v".repeat(60_000))]);
    let body = "m{a=\"1\"} 1\n".repeat(1000);
    let families = text::parse(body.as_bytes()).unwrap();
    let hasher = RandomState::new();
    let report =
        |bytes| RenderedPush::of_body(bytes, &key, families.clone(), Names::Legacy, &hasher);
    assert!(matches!(
        report(body.len()),
        Err(Rejection::TooLarge { .. })
    ));
    let families = text::parse(b"m 1\n").unwrap();
    assert!(RenderedPush::of_body(4, &key, families, Names::Legacy, &hasher).is_ok());
}

/// Metrics of the gateway that a push may conflict with, because they are not reserved, and a reserved one.
fn unreserved() -> [Family; 4] {
    let labels = |name: &str, value: &str| [(name, value)].into();
    [
        Family::new(
            "http_requests_total",
            "Of the gateway.",
            Kind::Counter,
            [(labels("endpoint", "/"), Value::Number(1.0))],
        ),
        Family::new(
            "http_request_duration_seconds",
            "Of the gateway.",
            Kind::Histogram,
            [(labels("endpoint", "/"), Value::zero(Kind::Histogram))],
        ),
        Family::gauge("system_tcp_connections", "Of the gateway.", 2.0),
        Family::gauge("pushgateway_http_push_size_bytes", "No, reserved.", 3.0),
    ]
}

/// Returns name, type, help and number of series of `names` in a scrape after a push of `text`, once text format and
/// protobuf have been found equal.
fn scraped_with_own(text: &str, escaping: Escaping) -> Vec<String> {
    let mut store = Store::new();
    let key = key(&[]);
    let families = text::parse_names(text.as_bytes(), &text::Limits::default(), Names::Utf8);
    let report = RenderedPush::new(&key, families.unwrap(), Names::Utf8, &store.hasher());
    let pushed = store.push(&key, Method::Put, report, 1.0);
    assert_eq!(pushed.result, Ok(()), "{text}");
    let own = &unreserved()[..3];
    let snapshot = store.snapshot();
    let lines = exposition::text(&snapshot, own, escaping).pieces.concat();
    let parsed = text::parse_names(lines.as_bytes(), &text::Limits::default(), Names::Utf8);
    let mut parsed = parsed.unwrap();
    let openmetrics = exposition::openmetrics(&snapshot, own, escaping).pieces;
    assert!(openmetrics.concat().ends_with("# EOF\n"));
    let messages = exposition::protobuf(&snapshot, own, escaping).pieces;
    let mut messages = protobuf::decode_again(&messages).unwrap();
    let mut all = [&mut parsed, &mut messages].map(|families| {
        families.retain(|family| !metricsjob_metrics::TIME_SERIES.contains(&family.name.as_str()));
        families.sort_by(|a, b| a.name.cmp(&b.name));
        let shown = families.iter().map(|family| {
            let Family {
                name,
                help,
                kind,
                metrics,
            } = family;
            format!("{name} {kind} {help:?} {}", metrics.len())
        });
        shown.collect::<Vec<_>>()
    });
    let [text, messages] = &mut all;
    assert_eq!(text, messages);
    std::mem::take(text)
}

#[test]
fn own_metrics_give_way_to_what_is_pushed() {
    let names = [
        "http_request_duration_seconds",
        "http_requests_total",
        "system_tcp_connections",
    ];
    let shown = |text| scraped_with_own(text, Escaping::Underscores);
    let own = [
        "http_request_duration_seconds histogram \"Of the gateway.\" 1",
        "http_requests_total counter \"Of the gateway.\" 1",
        "system_tcp_connections gauge \"Of the gateway.\" 1",
    ];
    for name in names {
        assert!(!own::is_reserved(name), "{name}");
    }
    assert!(own::is_reserved(&unreserved()[3].name));
    assert_eq!(shown(""), own);
    // Series of the same type are merged, with the pushed help.
    let same = shown(
        "# HELP http_requests_total Mine.\n# TYPE http_requests_total counter\nhttp_requests_total 5\n",
    );
    assert_eq!(same[1], "http_requests_total counter \"Mine.\" 2");
    assert_eq!([&same[0], &same[2]], [own[0], own[2]]);
    // On a conflict of types or series names the gateway's own are left out.
    for (pushed, expected) in [
        (
            "# TYPE http_requests_total gauge\nhttp_requests_total 5\n",
            vec![own[0], "http_requests_total gauge \"\" 1", own[2]],
        ),
        (
            "http_request_duration_seconds_sum 5\n",
            vec![
                "http_request_duration_seconds_sum untyped \"\" 1",
                own[1],
                own[2],
            ],
        ),
        (
            "# TYPE http_request_duration_seconds summary\nhttp_request_duration_seconds_sum 1\nhttp_request_duration_seconds_count 1\n",
            vec![
                "http_request_duration_seconds summary \"\" 1",
                own[1],
                own[2],
            ],
        ),
        // Beside ours it could not be a counter in OpenMetrics.
        (
            "# TYPE system_tcp_connections_total counter\nsystem_tcp_connections_total 5\n",
            vec![
                own[0],
                own[1],
                "system_tcp_connections_total counter \"\" 1",
            ],
        ),
        // Names that are equal once escaped for this reader.
        (
            "# TYPE \"http.requests.total\" gauge\n{\"http.requests.total\"} 5\n",
            vec![own[0], "http_requests_total gauge \"\" 1", own[2]],
        ),
    ] {
        assert_eq!(shown(pushed), expected, "{pushed}");
    }
    // Another reader has both.
    let dots = "# TYPE \"http.requests.total\" gauge\n{\"http.requests.total\"} 5\n";
    assert_eq!(scraped_with_own(dots, Escaping::AllowUtf8).len(), 4);
}

/// Pushes these metrics at this time, and returns the other host that is warned of.
fn reported(store: &mut Store, method: Method, body: &str, now: f64) -> Option<String> {
    let key = key(&[("a", "x")]);
    let families = text::parse(body.as_bytes()).unwrap();
    let report = RenderedPush::new(&key, families, Names::Legacy, &store.hasher());
    let pushed = store.push(&key, method, report, now);
    assert!(pushed.result.is_ok());
    pushed.other_host
}

/// Host of the last report, host before, and its time, if the group has a clash.
fn clash(store: &Store) -> Option<(String, String, f64)> {
    let clash = store.group_of(&key(&[("a", "x")]))?.host_clash()?.clone();
    Some((clash.host, clash.host_before, clash.time_before))
}

fn report_of(host: &str, ended_at: f64) -> String {
    format!("b_info{{host=\"{host}\"}} 1\nb_last_completion_timestamp_seconds {ended_at}\n")
}

#[test]
fn two_hosts_clash_until_one_has_reported_twice() {
    use Method::{Post, Put};
    let mut store = Store::new();
    let (a, b) = (report_of("a", 1.0), report_of("b", 1.0));
    let clash_of = |host: &str, before: &str, time| Some((host.into(), before.into(), time));
    let steps = [
        (Post, &*a, None, None),
        (Post, &a, None, None),
        (Post, &b, Some("a"), clash_of("b", "a", 2.0)),
        // No reports, or not of a host.
        (Post, "m 1\n", None, clash_of("b", "a", 2.0)),
        (
            Post,
            "other_info{host=\"a\"} 1\n",
            None,
            clash_of("b", "a", 2.0),
        ),
        (Put, &a, Some("b"), clash_of("a", "b", 5.0)),
        (Put, &a, None, None),
        (Put, &b, Some("a"), clash_of("b", "a", 7.0)),
        (Put, "m 1\n", None, None),
        (Put, &a, None, None),
    ];
    for (step, (method, body, told, known)) in steps.into_iter().enumerate() {
        let other_host = reported(&mut store, method, body, step as f64 + 1.0);
        assert_eq!(other_host.as_deref(), told, "{step}");
        assert_eq!(clash(&store), known, "{step}");
    }
}

#[test]
fn a_task_goes_from_host_to_host() {
    let mut store = Store::new();
    let key = key(&[("task", "3")]);
    for (now, host) in [(1.0, "a"), (2.0, "b")] {
        let families = text::parse(report_of(host, 1.0).as_bytes()).unwrap();
        let report = RenderedPush::new(&key, families, Names::Legacy, &store.hasher());
        assert_eq!(store.push(&key, Method::Post, report, now).other_host, None);
    }
    assert!(store.group_of(&key).unwrap().host_clash().is_none());
}

#[test]
fn the_newest_of_several_prefixes_names_the_host() {
    let mut store = Store::new();
    let old = report_of("a", 1.0).replace("b_", "a_");
    assert_eq!(reported(&mut store, Method::Post, &old, 1.0), None);
    let post = |store: &mut Store, host: &str, ended_at| {
        reported(store, Method::Post, &report_of(host, ended_at), ended_at)
    };
    assert_eq!(post(&mut store, "b", 2.0).as_deref(), Some("a"));
    assert_eq!(post(&mut store, "b", 3.0), None);
    // A text that is no name of a host is not kept.
    assert_eq!(post(&mut store, &"c".repeat(256), 4.0), None);
    assert_eq!(post(&mut store, "", 5.0), None);
    assert_eq!(clash(&store), None);
}

#[test]
fn the_last_run_is_read_from_the_lines() {
    let mut store = Store::new();
    let key = key(&[("a", "x")]);
    let body = "b_last_completion_timestamp_seconds{l=\"} 9\"} 1.7e9\nb_success 0\nb_exit_code 3\n\
                b_duration_seconds 1e-7\nb_deadline_timestamp_seconds +Inf\n\
                # TYPE b_last_success_timestamp_seconds summary\nb_last_success_timestamp_seconds_sum 1\n\
                b_last_success_timestamp_seconds_count 1\n";
    let families = text::parse(body.as_bytes()).unwrap();
    let report = RenderedPush::new(&key, families, Names::Legacy, &store.hasher());
    assert!(store.push(&key, Method::Put, report, 1.0).result.is_ok());
    let group = store.group_of(&key).unwrap().clone();
    let run = group.last_run();
    assert_eq!(run, metricsjob_metrics::LastRun::of(&group.to_group()));
    assert_eq!((run.ended_at, run.exit_code), (Some(1.7e9), Some(3.0)));
    assert_eq!(
        (run.duration, run.deadline),
        (Some(1e-7), Some(f64::INFINITY))
    );
    assert_eq!((run.is_success, run.last_success), (Some(false), None));
}
