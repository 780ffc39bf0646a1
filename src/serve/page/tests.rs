//! The page as a whole.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    BARS, CONTENT_SECURITY_POLICY, Failure, JobView, List, Page, RunView, WORDS, matches, script,
};

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

fn page(jobs: &[JobView]) -> Page<'_> {
    Page {
        jobs,
        list: list(jobs.len()),
        failed: jobs.iter().filter(|job| job.last_failed()).count(),
        running: jobs.iter().filter(|job| job.running.is_some()).count(),
        now: now(),
        can_start: true,
        is_ending: false,
        problems: &[],
        status: &[],
    }
}

/// A run that began three minutes ago.
fn run(outcome: &str, exit_code: u8, duration: f64) -> RunView {
    RunView {
        id: "r1".into(),
        outcome: outcome.into(),
        exit_code,
        started_at: NOW as f64 - 200.0,
        duration,
    }
}

fn job(name: &str, recent: Vec<RunView>) -> JobView {
    JobView {
        name: name.into(),
        last: recent.last().cloned(),
        recent,
        can_start: true,
        ..JobView::default()
    }
}

fn failure(text: &str) -> Failure {
    Failure {
        run: run("failure", 3, 1.5),
        failure: Some(text.into()),
        tail: vec![text.into(), "last line".into()],
    }
}

#[track_caller]
fn assert_has(html: &str, parts: &[&str]) {
    for part in parts {
        assert!(html.contains(part), "no {part} in:\n{html}");
    }
}

/// The text of the page, without tags.
fn text(html: &str) -> String {
    let parts = html
        .split('<')
        .map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.collect()
}

#[test]
fn a_job_and_all_about_it() {
    let jobs = [JobView {
        description: "Dumps the database".into(),
        what: "pg_dump shop".into(),
        schedule: Some("*/5 * * * *".into()),
        timezone: Some("Europe/Berlin".into()),
        next_run: Some(NOW as f64 + 270.0),
        running: Some(NOW as f64 - 130.0),
        queued: 2,
        is_demo: true,
        can_start: true,
        last_failure: Some(failure("no space left")),
        ..job("nightly", vec![run("success", 0, 125.0)])
    }];
    let html = page(&jobs).render();
    assert_has(
        &text(&html),
        &[
            "1 job, 1 running",
            "nightlyDemoRunning 2 queued SuccessRun nowDumps the database",
            "Runspg_dump shopSchedule*/5 * * * * Europe/Berlin",
            "Next runin 4 minutes",
            "Runningsince 2026-09-21T14:11:10Z (2 minutes ago)",
            "Last run3 minutes ago, took 2 min 5 s",
            "1 run, longest 2 min 5 s",
            "Success, 2 min 5 s, 2026-09-21T14:10:00Z",
            "Last failure 3 minutes ago: exit code 3",
            "Whyno space left",
            "no space left\nlast line",
        ],
    );
    assert_has(
        &html,
        &[
            "title=\"2026-09-21T14:17:50Z\" data-due>in 4 minutes",
            "<a href=\"/api/v1/jobs/nightly\">",
            "<a href=\"/api/v1/jobs/nightly/runs\">",
            "aria-label=\"Run now: nightly\"",
        ],
    );
}

#[test]
fn of_many_jobs_each_is_a_row() {
    let rows = |count| page(&vec![job("j", vec![]); count]).render();
    let (few, many) = (rows(8), rows(9));
    assert_eq!(
        (
            few.matches("compact").count(),
            many.matches("compact").count()
        ),
        (0, 9)
    );
    assert_eq!(many.matches("<details class=\"row\">").count(), 9);
    // A search that leaves few shows them in full.
    let mut found = page(&[]);
    found.list.matching = 2;
    let jobs = [job("j", vec![]), job("k", vec![])];
    assert!(
        !Page {
            jobs: &jobs,
            ..found
        }
        .render()
        .contains("compact")
    );
}

#[test]
fn a_row_has_the_last_failure_when_the_newest_run_succeeded() {
    let mut runs = vec![run("success", 0, 1.0); 16];
    runs.extend(vec![run("failure", 3, 1.0); 11]);
    runs.push(run("skipped", 0, 0.0));
    runs.push(run("success", 0, 1.0));
    let shown = |runs: Vec<RunView>| {
        let mut jobs = vec![job("j", vec![]); 9];
        jobs[0] = JobView {
            next_run: Some(NOW as f64 + 270.0),
            last_failure: Some(failure("no space left")),
            ..job("nightly", runs)
        };
        text(&page(&jobs).render())
    };
    assert_has(
        &shown(runs),
        &[
            "nightlySuccess11 of 28 failed, last 3 minutes ago: exit code 3 \
             Ran 3 minutes ago Next run in 4 minutes",
            "29 runs, longest 1 s 11 of 28 failed 1 skipped",
            "Whyno space left",
        ],
    );
    let long_ago = shown(vec![run("success", 0, 1.0); 30]);
    assert_has(
        &long_ago,
        &["nightlySuccessLast failure 3 minutes ago: exit code 3"],
    );
}

#[test]
fn a_summary_of_all_jobs() {
    let shown = |jobs: &[JobView]| text(&page(jobs).render());
    let mut jobs = vec![job("a", vec![]), job("b", vec![run("failure", 1, 1.0)])];
    assert_has(&shown(&jobs), &["2 jobs, 1 failed"]);
    jobs[0].running = Some(NOW as f64);
    assert_has(&shown(&jobs), &["2 jobs, 1 failed, 1 running"]);
    assert_has(&shown(&[]), &["0 jobs"]);
}

#[test]
fn a_job_and_nothing_about_it() {
    let html = page(&[JobView::default()]).render();
    assert_has(
        &text(&html),
        &["Not run yet", "Schedulenone", "No run so far"],
    );
    for absent in ["Next run", "Last run", "Demo", "queued", "Last failure"] {
        assert!(!text(&html).contains(absent), "{absent}");
    }
}

#[test]
fn hostile_text_stays_text() {
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></textarea><iframe onload=alert(1)>",
        "javascript:alert(1)",
        "gpj\u{202e}exe",
        "a\0b\u{1b}[31m",
    ];
    let shown = |text: &str| {
        let jobs = [JobView {
            description: text.into(),
            what: text.into(),
            schedule: Some(text.into()),
            timezone: Some(text.into()),
            last_failure: Some(Failure {
                run: RunView {
                    id: text.into(),
                    ..run(text, 1, 1.0)
                },
                ..failure(text)
            }),
            ..job(text, vec![run(text, 1, 1.0)])
        }];
        let status = [(text, text.to_owned())];
        let problems = [text.to_owned()];
        Page {
            list: List {
                search: text,
                ..list(jobs.len())
            },
            status: &status,
            problems: &problems,
            ..page(&jobs)
        }
        .render()
    };
    let plain = shown("v");
    for text in hostile {
        let html = shown(text);
        for part in [
            "<script>",
            "<img",
            "<iframe",
            "\0",
            "\u{1b}",
            "\u{202e}",
            "=\"javascript:",
        ] {
            let expected = match part {
                // The search has to come back as it was sent.
                "\0" | "\u{1b}" | "\u{202e}" => text.matches(part).count(),
                "=\"javascript:" => usize::from(text.starts_with("javascript:")),
                _ => 0,
            };
            assert_eq!(html.matches(part).count(), expected, "{part:?} in {html}");
        }
        for tag in ["<li", "<details", "<button", "<h3", "<script ", "<rect"] {
            assert_eq!(
                html.matches(tag).count(),
                plain.matches(tag).count(),
                "{tag}: {html}"
            );
        }
    }
}

#[test]
fn nothing_runs_but_the_script_file() {
    assert_has(CONTENT_SECURITY_POLICY, &["script-src 'self';"]);
    let html = page(&[job("j", vec![run("failure", 1, 1.0)])]).render();
    assert_eq!(html.matches("<script").count(), 1);
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
        "DOMParser",
        "eval(",
        "Function(",
        "http://",
        "https://",
    ] {
        assert!(!script().contains(sink), "{sink}");
    }
}

#[test]
fn runs_are_offered_where_they_can_be_begun() {
    let jobs = [job("a b/ü", vec![])];
    let button = "hidden data-start=\"/pre/api/v1/jobs/a%20b%2F%C3%BC/runs\"";
    let shown = |can_start, is_ending| {
        Page {
            can_start,
            is_ending,
            list: List {
                base: "/pre",
                ..list(jobs.len())
            },
            ..page(&jobs)
        }
        .render()
    };
    assert_has(&shown(true, false), &[button]);
    assert!(!shown(false, false).contains("data-start"));
    // Some jobs are not begun over HTTP.
    let job = JobView {
        can_start: false,
        ..job("j", vec![])
    };
    assert!(!page(&[job]).render().contains("data-start"));
    let ending = shown(true, true);
    assert_has(&ending, &["hidden disabled data-start", "is ending"]);
}

#[test]
fn bars() {
    let bars = |runs: Vec<RunView>| {
        let html = page(&[job("j", runs)]).render();
        let (_, figure) = html.split_once("<figure").unwrap();
        let (figure, _) = figure.split_once("</figure>").unwrap();
        figure.to_owned()
    };
    let bar = |y, height| format!("y=\"{y}\" width=\"7\" height=\"{height}\"");

    let one = bars(vec![run("success", 0, 2.0)]);
    assert_eq!(one.matches("<rect").count(), 1);
    assert_has(
        &one,
        &["x=\"261\"", &bar("0.0", "44.0"), "1 run, longest 2 s"],
    );

    let many: Vec<RunView> = (0..40)
        .map(|index| match index % 10 {
            3 => run("timeout", 124, f64::from(index)),
            7 => run("skipped", 0, 0.0),
            _ => run("success", 0, f64::from(index)),
        })
        .collect();
    let many = bars(many);
    assert_eq!(many.matches("<rect").count(), BARS);
    assert_eq!(many.matches("fill=\"url(#stripes)\"").count(), 3);
    assert_has(
        &many,
        &[
            "x=\"0\"",
            "x=\"261\"",
            "<title>Timeout, 33 s, 2026-09-21T14:10:00Z</title>",
            "30 runs, longest 39 s",
            "3 of 27 failed",
            "3 skipped",
            "aria-label=\"How long the last 30 runs took",
        ],
    );

    let zero = bars(vec![run("success", 0, 0.0), run("success", 0, 0.0)]);
    assert_eq!(zero.matches(&bar("42.0", "2.0")).count(), 2);
    assert_has(&zero, &["longest 0 s"]);

    let odd = bars(
        [f64::NAN, f64::INFINITY, -5.0, f64::MAX, 1e-320]
            .map(|duration| run("success", 0, duration))
            .into(),
    );
    assert_eq!(odd.matches(&bar("42.0", "2.0")).count(), 4);
    assert_eq!(odd.matches(&bar("0.0", "44.0")).count(), 1);
    assert_has(
        &odd,
        &["longest 2e308 s", "an unknown time", "Success, inf s"],
    );
}

#[test]
fn times_that_are_none() {
    let mut odd = run("failure", 1, f64::NAN);
    odd.started_at = f64::NAN;
    let jobs = [JobView {
        next_run: Some(f64::INFINITY),
        running: Some(f64::NAN),
        last_failure: Some(Failure {
            run: odd.clone(),
            ..Failure::default()
        }),
        ..job("j", vec![odd])
    }];
    assert_has(
        &text(&page(&jobs).render()),
        &[
            "Last runat no known time, took an unknown time",
            "Nothing of its stderr was kept.",
        ],
    );
}

#[test]
fn a_page_is_bounded() {
    let long = "<\u{202e}".repeat(1_000);
    let runs = vec![run(&"x".repeat(100), 1, 1.0); 100];
    let huge = JobView {
        description: long.clone(),
        what: long.clone(),
        schedule: Some(long.clone()),
        timezone: Some(long.clone()),
        last_failure: Some(Failure {
            failure: Some(long.replace('\u{202e}', "\n")),
            tail: vec![long.clone(); 100],
            ..failure(&long)
        }),
        // The system keeps the names of files shorter.
        ..job(&"é".repeat(255), runs)
    };
    let jobs = vec![huge; 50];
    let problems = vec![long; 1_000];
    let html = Page {
        problems: &problems,
        ..page(&jobs)
    }
    .render();
    assert!(html.len() < 10 << 20, "{}", html.len());
    assert_has(&html, &["And 980 more.", "… and 980 more lines"]);
    // Of a tail the end is shown.
    let tail = (0..100).map(|line| format!("line {line}")).collect();
    let jobs = [JobView {
        last_failure: Some(Failure {
            tail,
            ..failure("")
        }),
        ..JobView::default()
    }];
    let html = page(&jobs).render();
    assert_has(&html, &["line 80\n", "line 99</code>"]);
    assert!(!html.contains("line 79"));
}

#[test]
fn problems_are_shown() {
    let problems = ["jobs/a.toml:4:11: <no> duration\n  try 1h".to_owned()];
    let html = Page {
        problems: &problems,
        ..page(&[])
    }
    .render();
    assert_has(
        &text(&html),
        &[
            "1 problem",
            "jobs/a.toml:4:11: &lt;no&gt; duration\n  try 1h",
        ],
    );
}

#[test]
fn empty_lists() {
    assert_has(
        &text(&page(&[]).render()),
        &["No jobs yet.", "schedule = &quot;0 3 * * *&quot;"],
    );
    let unmatched = Page {
        list: List {
            total: 3,
            search: "<x>",
            only_failed: true,
            ..list(0)
        },
        ..page(&[])
    };
    assert_has(
        &text(&unmatched.render()),
        &["None of the jobs match “&lt;x&gt;” and had their last run fail."],
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

#[test]
fn every_url_starts_with_the_prefix() {
    let jobs = [job("j", vec![])];
    let html = Page {
        list: List {
            base: "/pre",
            page_count: 2,
            ..list(jobs.len())
        },
        ..page(&jobs)
    }
    .render();
    for attribute in ["href", "src", "action", "data-start", "data-runs"] {
        for url in html.split(&format!(" {attribute}=\"")).skip(1) {
            // A place in the page itself has no path.
            assert!(
                url.starts_with("/pre/") || url.starts_with('#'),
                "{attribute}: {url}"
            );
        }
    }
}

#[test]
fn jobs_are_found() {
    let found = |search| matches("nightly", "Dumps Ä", Some("*/5 * * * *"), search);
    for search in ["", "NIGHT", "dumps ä", "*/5 *", "nightly dumps"] {
        assert!(found(search), "{search:?}");
    }
    for search in ["other", "nightly other", "nightlydumps"] {
        assert!(!found(search), "{search:?}");
    }
    assert!(matches("nightly", "", None, "nightly"));
}

#[test]
fn the_last_run_decides_whether_a_job_failed() {
    let failed = |outcome| job("j", vec![run(outcome, 1, 1.0)]).last_failed();
    let mut since = job("j", vec![run("failure", 1, 1.0)]);
    since.last = Some(run("skipped", 0, 0.0));
    assert!(since.last_failed());
    assert!(failed("failure") && failed("signal") && failed("timeout"));
    assert!(!failed("success") && !failed("skipped"));
    assert!(!job("j", vec![]).last_failed());
}
