//! Tests of the whole page.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    CONTENT_SECURITY_POLICY, Condition, ConditionCounts, List, Page, Urgency, WORDS, script,
};
use metricsjob_metrics::{
    Bucket, Count, Family, Group, GroupingKey, Kind, Labels, LastRun, Metric, Quantile, Value,
};
use metricsjob_state::store::HostClash;

const NOW: u64 = 1_790_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn list(count: usize) -> List<'static> {
    List {
        words: &WORDS,
        total: count,
        matching: count,
        search: "",
        page_number: 1,
        page_count: 1,
        only_failed: false,
        base: "",
    }
}

static NO_CLASHES: BTreeMap<&GroupingKey, &HostClash> = BTreeMap::new();

fn page(groups: &[Group]) -> Page<'_> {
    Page {
        groups,
        clashes: &NO_CLASHES,
        list: list(groups.len()),
        counts: groups.iter().map(condition).collect(),
        now: now(),
        status: &[],
        ttl: None,
        problem: None,
        can_delete_found: false,
    }
}

fn condition(group: &Group) -> Condition {
    Condition {
        is_refused: group.last_push_failed(),
        ..Condition::of_run(&LastRun::of(group), NOW as f64)
    }
}

fn key(job: &str, labels: &[(&str, &str)]) -> GroupingKey {
    GroupingKey::new(
        job,
        labels
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
    )
    .unwrap()
}

/// Returns a group that was pushed three minutes ago.
fn group(job: &str, labels: &[(&str, &str)], families: Vec<Family>) -> Group {
    Group {
        key: key(job, labels),
        push_time: NOW as f64 - 200.0,
        push_failure_time: 0.0,
        ttl: None,
        families,
    }
}

fn family(name: &str, kind: Kind, metrics: Vec<(&[(&str, &str)], Value)>) -> Family {
    let metric = |(labels, value): (&[(&str, &str)], Value)| Metric {
        labels: labels
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        value,
        timestamp_ms: None,
    };
    Family {
        name: name.into(),
        help: String::new(),
        kind,
        metrics: metrics.into_iter().map(metric).collect(),
    }
}

#[track_caller]
fn assert_has(html: &str, parts: &[&str]) {
    for part in parts {
        assert!(html.contains(part), "no {part} in:\n{html}");
    }
}

/// Returns the text of the page, without tags.
fn text(html: &str) -> String {
    let parts = html
        .split('<')
        .map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.collect()
}

/// Returns a family whose label and HELP are `text`.
fn gauge(text: &str) -> Family {
    let labels: &[(&str, &str)] = &[("own", text)];
    Family {
        help: text.into(),
        ..family("g", Kind::Gauge, vec![(labels, Value::Number(1.0))])
    }
}

#[test]
fn hostile_text_stays_text() {
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></textarea><svg onload=alert(1)>",
        "javascript:alert(1)",
        "gpj\u{202e}exe",
        "a\0b",
    ];
    let plain = page(&[group("j", &[("l", "v")], vec![gauge("v")])]).render();
    for text in hostile {
        let groups = [group(text, &[("l", text)], vec![gauge(text)])];
        let status = [(text, text.to_owned())];
        let html = Page {
            list: List {
                search: text,
                ..list(groups.len())
            },
            status: &status,
            ..page(&groups)
        }
        .render();
        for part in [
            "<script>",
            "<img",
            "<svg",
            "\0",
            "\u{202e}",
            "=\"javascript:",
        ] {
            let expected = match part {
                // The search must be returned as it was sent.
                "\0" | "\u{202e}" => text.matches(part).count(),
                "=\"javascript:" => usize::from(text.starts_with("javascript:")),
                _ => 0,
            };
            assert_eq!(html.matches(part).count(), expected, "{part:?} in {html}");
        }
        // The text has added no attributes or tags; only those of the status and the filter are there.
        for tag in [
            "<li",
            "<details",
            "<button",
            "<h3",
            "<script ",
            "<bdi class=\"chip\" dir=\"ltr\"",
        ] {
            assert_eq!(
                html.matches(tag).count(),
                plain.matches(tag).count(),
                "{tag}: {html}"
            );
        }
    }
}

#[test]
fn what_deceives_is_shown() {
    let html = page(&[group("gpj\u{202e}exe", &[("a", "x\0\n")], vec![])]).render();
    assert_has(
        &html,
        &[
            r"<h3><bdi>gpj\u{202e}exe</bdi></h3>",
            r"a=&quot;x\u{0}\n&quot;</bdi>",
            r#"<bdi dir="ltr">job=&quot;gpj\u{202e}exe&quot;</bdi>,<bdi dir="ltr">a=&quot;x\u{0}\n&quot;</bdi>"#,
            r#"data-delete="/metrics/job/gpj%E2%80%AEexe/a/x%00%0A""#,
        ],
    );
}

#[test]
fn nothing_runs_but_the_script_file() {
    assert_has(
        CONTENT_SECURITY_POLICY,
        &[
            "default-src 'none'",
            "script-src 'self';",
            "frame-ancestors 'none'",
        ],
    );
    let groups = [group("j", &[], vec![])];
    let html = page(&groups).render();
    assert_eq!(html.matches("<script").count(), 1);
    // Actions that need the script are hidden without it.
    assert_has(&html, &["<div class=\"actions\" hidden>"]);
    assert_has(&html, &["<script src=\"/static/page.js\" defer></script>"]);
    for inline in [
        " style=", "<style", " onclick", " onload", "data:", "http://", "https://",
    ] {
        assert!(!html.contains(inline), "{inline}");
    }
    for sink in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ] {
        assert!(!script().contains(sink), "{sink}");
    }
}

#[test]
fn the_time_of_the_last_push() {
    let mut group = group("j", &[], vec![]);
    let shown = |group: &Group| page(std::slice::from_ref(group)).render();
    assert_has(
        &shown(&group),
        &[
            "Pushed <time datetime=\"2026-09-21T14:10:00Z\" title=\"2026-09-21T14:10:00Z\">3 minutes ago</time>",
        ],
    );
    assert!(!shown(&group).contains("failed push"));

    group.push_failure_time = NOW as f64 - 10.0;
    let failed = text(&shown(&group));
    assert_has(
        &failed,
        &["Last push failed 10 seconds ago", "Pushed 3 minutes ago"],
    );

    group.push_failure_time = NOW as f64 - 400.0;
    let recovered = text(&shown(&group));
    assert!(!recovered.contains("Last push failed"));
    assert_has(
        &recovered,
        &["Last failed push2026-09-21T14:06:40Z (6 minutes ago)"],
    );

    group.push_time = 0.0;
    assert_has(
        &text(&shown(&group)),
        &["Last push failed", "Never pushed successfully"],
    );

    group.push_time = NOW as f64 + 300.0;
    assert_has(&text(&shown(&group)), &["Pushed in 5 minutes"]);
}

/// The runner's report of a run that ended `age` seconds ago.
fn report(age: f64, success: f64, more: &[(&str, f64)]) -> Vec<Family> {
    let own = [
        ("last_completion_timestamp_seconds", NOW as f64 - age),
        ("success", success),
        ("duration_seconds", 2.5),
    ];
    let families = own.iter().chain(more);
    families
        .map(|(name, value)| Family::gauge(format!("db_{name}"), "", *value))
        .collect()
}

#[test]
fn a_failed_job_looks_failed() {
    let shown = |families| page(&[group("j", &[], families)]).render();
    let success = ("last_success_timestamp_seconds", NOW as f64 - 7_500.0);
    let failed = shown(report(90.0, 0.0, &[("exit_code", 3.0), success]));
    assert_has(
        &failed,
        &[
            "<span class=\"badge failed\">Failed (exit code 3)</span>",
            "data-is=\"failed\"",
        ],
    );
    assert_has(
        &text(&failed),
        &[
            "1 group, 1 failed",
            "Last success 2 hours ago Pushed 3 minutes ago",
            "Last runended 2026-09-21T14:11:50Z (90 seconds ago), took 2.5 s",
            "Last success2026-09-21T12:08:20Z (2 hours ago)",
        ],
    );
    let unknown = text(&shown(report(90.0, 0.0, &[])));
    assert_has(&unknown, &["jFailed No success known Pushed"]);

    let fine = shown(report(90.0, 1.0, &[("exit_code", 0.0), success]));
    assert_has(&fine, &["<span class=\"badge success\">Success</span>"]);
    assert!(!fine.contains("badge failed") && text(&fine).contains("1 group"));
    // Without a report of a run there is no state.
    let other = shown(vec![Family::gauge("success", "", 0.0)]);
    assert!(!other.contains("class=\"badge"), "{other}");
}

#[test]
fn a_running_job_looks_neither_failed_nor_done() {
    let running = |more: &[(&str, f64)]| {
        let start = ("start_timestamp_seconds", NOW as f64 - 30.0);
        let families = [&[("running", 1.0), start], more].concat();
        let families = families.into_iter();
        let families = families.map(|(name, value)| Family::gauge(format!("db_{name}"), "", value));
        page(&[group("j", &[], families.collect())]).render()
    };
    let end = ("last_completion_timestamp_seconds", NOW as f64 - 90.0);
    let after_failure = running(&[end, ("success", 0.0)]);
    for html in [running(&[]), after_failure] {
        assert_has(&html, &["<span class=\"badge\">Running</span>"]);
        assert_has(
            &text(&html),
            &["Runningsince 2026-09-21T14:12:50Z (30 seconds ago)"],
        );
        assert!(!html.contains("badge failed") && !html.contains("badge success"));
    }
}

#[test]
fn late_is_what_says_when_it_is_due() {
    let due = |seconds: f64| ("deadline_timestamp_seconds", NOW as f64 + seconds);
    let groups = |seconds| [group("j", &[], report(90.0, 1.0, &[due(seconds)]))];
    let late = page(&groups(-130.0)).render();
    assert_has(&late, &["class=\"badge late\"", "data-is=\"late\""]);
    assert_has(
        &text(&late),
        &[
            "1 group, 1 late",
            "Late: due 2 minutes ago",
            "Next report due2026-09-21T14:11:10Z (2 minutes ago)",
        ],
    );
    let on_time = page(&groups(130.0)).render();
    assert_has(&text(&on_time), &["1 group", "(in 2 minutes)"]);
    assert!(!text(&on_time).contains("ate:") && !text(&on_time).contains(" late"));
}

#[test]
fn a_summary_of_all_groups() {
    let push_failed = |mut group: Group| {
        group.push_failure_time = NOW as f64;
        group
    };
    let late = ("deadline_timestamp_seconds", 1e9);
    let groups = [
        group("a", &[], vec![]),
        group("b", &[], report(1.0, 0.0, &[late])),
        push_failed(group("c", &[], report(1.0, 0.0, &[]))),
        push_failed(group("d", &[], report(1.0, 1.0, &[late]))),
        group("e", &[], report(1.0, 1.0, &[late])),
    ];
    let page = page(&groups);
    let counts = ConditionCounts {
        failed: 2,
        refused: 2,
        late: 3,
        shared: 0,
    };
    assert_eq!(page.counts, counts);
    assert_has(
        &text(&page.render()),
        &["5 groups, 2 failed, 3 late, 2 with a failed push"],
    );
    use Urgency::*;
    let urgencies = groups.each_ref().map(|group| condition(group).urgency());
    assert_eq!(urgencies, [Fine, Failed, Failed, Failed, Late]);
}

#[test]
fn hosts_that_share_a_group() {
    let groups = [
        group("a", &[], report(90.0, 1.0, &[])),
        group("b", &[("l", "v")], report(90.0, 1.0, &[])),
    ];
    let clash = HostClash {
        host: "web2<".into(),
        host_before: "\u{202e}".repeat(130),
        time_before: NOW as f64 - 7_500.0,
    };
    let clashes = BTreeMap::from([(&groups[1].key, &clash)]);
    let shared = Condition {
        is_shared: true,
        ..condition(&groups[1])
    };
    assert_eq!(shared.urgency(), Urgency::Shared);
    let html = Page {
        clashes: &clashes,
        counts: [condition(&groups[0]), shared].into_iter().collect(),
        ..page(&groups)
    }
    .render();
    assert_has(
        &text(&html),
        &[
            "2 groups, 1 shared by hosts",
            "Success Reported by web2&lt;, until 2 hours ago by \\u{202e}",
            "Several hosts report to this group",
            "instance = true in its metricsjob.toml.",
        ],
    );
    for (part, count) in [
        ("data-is=\"shared\"", 1),
        ("data-is=\"\"", 1),
        ("class=\"hosts\"", 1),
        ("Several hosts", 1),
        ("\u{202e}", 0),
    ] {
        assert_eq!(html.matches(part).count(), count, "{part} in {html}");
    }
    assert!(Urgency::Late < Urgency::Shared && Urgency::Shared < Urgency::Fine);
    let late = Condition {
        is_late: true,
        ..shared
    };
    assert_eq!(late.urgency(), Urgency::Late);
}

#[test]
fn single_values_share_one_table() {
    let series: &[(&str, &str)] = &[("table", "t")];
    let families = vec![
        Family::gauge("a_bytes", "Size.", 2048.0),
        family("b", Kind::Gauge, vec![(series, Value::Number(7.0))]),
        Family::counter("c_total", "", 5.0),
    ];
    let html = page(&[group("j", &[], families)]).render();
    assert_eq!(html.matches("<table").count(), 2, "{html}");
    assert_has(
        &text(&html),
        &["MetricValuea_bytes gaugeSize.2048 2 KiBc_total counter5b gauge"],
    );
}

#[test]
fn groups_that_will_be_removed() {
    let own = Group {
        ttl: Some(Duration::from_secs(7200)),
        ..group("k", &[], vec![])
    };
    let groups = [group("j", &[], vec![]), own];
    let html = Page {
        ttl: Some(Duration::from_secs(3600)),
        ..page(&groups)
    }
    .render();
    assert_has(
        &text(&html),
        &[
            "A group is removed 60 minutes after its last push, successful or not, unless it has a time to live of its own.",
            "Kept until2026-09-21T15:10:00Z (in 56 minutes)",
            "Time to live2 hours after the last push",
            "Kept until2026-09-21T16:10:00Z (in 116 minutes)",
        ],
    );
}

#[test]
fn an_empty_label_is_shown_if_the_key_has_it() {
    let with = page(&[group("j", &[("instance", "")], vec![])]).render();
    assert_has(
        &with,
        &[
            "instance=&quot;&quot;</bdi>",
            "/metrics/job/j/instance@base64/=",
        ],
    );
    let without = page(&[group("j", &[], vec![])]).render();
    assert!(!without.contains("instance"));
}

#[test]
fn series_show_their_own_labels() {
    let both: &[(&str, &str)] = &[("job", "j"), ("db", "a"), ("table", "t")];
    let own: &[(&str, &str)] = &[("job", "j"), ("db", "a")];
    let families = vec![
        family("rows", Kind::Counter, vec![(both, Value::Number(42.0))]),
        family(
            "size_bytes",
            Kind::Gauge,
            vec![(own, Value::Number(2048.0))],
        ),
    ];
    let html = page(&[group("j", &[("db", "a")], families)]).render();
    assert_has(
        &text(&html),
        &[
            "2 families",
            "rows counter",
            " table=&quot;t&quot;42",
            "size_bytes gauge2048 2 KiB",
        ],
    );
    // Once in the summary; the grouping key is a separate text.
    assert_eq!(
        html.matches("<bdi class=\"chip\" dir=\"ltr\">db=").count(),
        1,
        "{html}"
    );
}

#[test]
fn histograms_and_summaries_are_tables() {
    let bucket = |upper_bound, count| Bucket {
        upper_bound,
        count: Count::Integer(count),
    };
    let families = vec![
        family(
            "took_seconds",
            Kind::Histogram,
            vec![(
                &[("step", "dump")],
                Value::Histogram {
                    count: Count::Integer(3),
                    sum: 125.0,
                    native: None,
                    buckets: vec![bucket(0.5, 1), bucket(f64::INFINITY, 3)],
                },
            )],
        ),
        family(
            "wait_seconds",
            Kind::Summary,
            vec![(
                &[],
                Value::Summary {
                    count: 7,
                    sum: 3.5,
                    quantiles: vec![Quantile {
                        quantile: 0.99,
                        value: f64::NAN,
                    }],
                },
            )],
        ),
    ];
    assert_has(
        &text(&page(&[group("j", &[], families)]).render()),
        &[
            " step=&quot;dump&quot;Count 3, sum 125 2 min 5 sAt mostCount0.5 500 ms1+Inf3",
            "Count 7, sum 3.5QuantileValue0.99NaN",
        ],
    );
}

#[test]
fn a_page_is_bounded() {
    let series = |index: usize| Metric {
        labels: Labels::from([("i", index.to_string())]),
        value: Value::Number(1.0),
        timestamp_ms: None,
    };
    let huge = |name: String, series_count| Family {
        metrics: (0..series_count).map(series).collect(),
        ..family(&name, Kind::Gauge, vec![])
    };
    let html = page(&[group("j", &[], vec![huge("a".into(), 10_000)])]).render();
    assert_eq!(html.matches("<th scope=\"row\">").count(), 200);
    assert_has(&html, &["And 9800 more series."]);

    let many = (0..300)
        .map(|index| huge(format!("f{index}"), 200))
        .collect();
    let html = page(&[group("j", &[], many)]).render();
    assert_has(&html, &[" more families, which this page has no room for"]);
    assert!(html.len() < 5 << 20, "{}", html.len());
}

#[test]
fn links_to_other_pages_keep_the_search() {
    let groups = [group("j", &[], vec![])];
    let page = Page {
        list: List {
            total: 5000,
            matching: 500,
            search: "a=b&c \"é",
            page_number: 5,
            page_count: 10,
            only_failed: true,
            base: "/pre",
            ..list(groups.len())
        },
        ..page(&groups)
    };
    let html = page.render();
    let query = "/pre/?search=a%3Db%26c+%22%C3%A9&amp;failed=1";
    assert_has(
        &html,
        &[
            &format!("<a rel=\"prev\" href=\"{query}&amp;page=4\">Previous</a>"),
            &format!("<a href=\"{query}\" aria-label=\"Page 1\">1</a><span>…</span>"),
            &format!("<a href=\"{query}&amp;page=5\" aria-current=\"page\">5</a>"),
            &format!("<a rel=\"next\" href=\"{query}&amp;page=6\">Next</a>"),
            "value=\"a=b&amp;c &quot;é\"",
            " checked>",
        ],
    );
    assert_has(
        &text(&html),
        &[
            "5000 groups",
            "500 of them match “a=b&amp;c &quot;é” and have a failed job or push. Show all",
        ],
    );
    assert_has(&text(&html), &["Previous1…456…10Next"]);
}

#[test]
fn every_url_starts_with_the_prefix() {
    let groups = [group("j", &[], vec![])];
    let empty = Page {
        list: List {
            base: "/pre",
            ..list(0)
        },
        ..page(&[])
    }
    .render();
    let full = Page {
        list: List {
            base: "/pre",
            page_count: 2,
            ..list(groups.len())
        },
        ..page(&groups)
    }
    .render();
    for html in [&empty, &full] {
        for attribute in ["href", "src", "action", "data-path", "data-delete"] {
            for url in html.split(&format!(" {attribute}=\"")).skip(1) {
                // A place in the page itself has no path.
                assert!(
                    url.starts_with("/pre/") || url.starts_with('#'),
                    "{attribute}: {url}"
                );
            }
        }
    }
    assert_has(&full, &["data-delete=\"/pre/metrics/job/j\""]);
}

#[test]
fn empty_lists() {
    assert_has(
        &text(&page(&[]).render()),
        &[
            "No groups yet",
            "echo 'some_metric 3.14' | curl --data-binary @- http://GATEWAY/metrics/job/some_job",
        ],
    );
    let unmatched = Page {
        list: List {
            total: 3,
            search: "<x>",
            ..list(0)
        },
        ..page(&[])
    };
    assert_has(
        &text(&unmatched.render()),
        &["None of the groups match “&lt;x&gt;”.", "Show all"],
    );
    let healthy = Page {
        list: List {
            total: 3,
            only_failed: true,
            ..list(0)
        },
        ..page(&[])
    };
    assert_has(
        &text(&healthy.render()),
        &["None of the groups have a failed job or push."],
    );
    let past_the_end = Page {
        list: List {
            total: 60,
            matching: 60,
            page_number: 9,
            page_count: 2,
            ..list(0)
        },
        ..page(&[])
    };
    let html = past_the_end.render();
    assert_has(&html, &["The list has no page 9.", "href=\"/?page=2\""]);
}
