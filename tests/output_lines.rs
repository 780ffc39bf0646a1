//! Lines of a command's output: their ends, rewritten ones, long ones, and one that has not ended yet.

use std::fmt::Write;
use std::fs;
use std::process::Stdio;

use serde_json::json;

use crate::common::own_server::{GATE, OwnServer, close, history, id, job, open};
use crate::common::{Sandbox, eventually, finished};

/// Rules for gauges and counters, as name, type and pattern.
fn rules(rules: &[(&str, &str, &str)]) -> String {
    let mut text = String::new();
    for (name, kind, pattern) in rules {
        let entry =
            format!("[[metric]]\nname = '{name}'\ntype = '{kind}'\npattern = '{pattern}'\n");
        text.write_str(&entry).unwrap();
    }
    text
}

/// Writes the file of a job that runs a script in `sh`, with rules.
fn write(sandbox: &Sandbox, name: &str, script: &str, lines: &str, all: &[(&str, &str, &str)]) {
    job(sandbox, name, lines, script);
    let path = format!("jobs/{name}.toml");
    let text = fs::read_to_string(sandbox.path().join(&path)).unwrap();
    sandbox.write(&path, text + &rules(all));
}

/// 20,000 states of a progress line, ended by carriage returns, and a line feed.
const PROGRESS: &str = r#"i=0; while [ $i -lt 20000 ]
    do printf "frame=%6d fps=30 done=%d%%\r" $i $((i * 100 / 19999)); i=$((i + 1)); done; echo"#;

/// 66,000 bytes in front of a number.
const LONG: &str = r#"head -c 66000 /dev/zero | tr "\0" x; echo " 100 records""#;

/// The numbers from 1 to 30,000 in one line.
const NUMBERS: &str = r#"seq 1 30000 | sed "s/$/ rows, /" | tr -d "\n"; echo"#;

const RULES: [(&str, &str, &str); 6] = [
    ("frame", "gauge", r"frame=\s*(\d+)"),
    ("done", "gauge", r"done=(\d+)%"),
    ("frames_total", "counter", r"^frame=.*done=(100)%$"),
    ("records_total", "counter", " (\\d+) records"),
    ("rows_total", "counter", r"(\d+) rows"),
    ("ends_total", "counter", r"^(\d+) rows|rows, (\d+)$"),
];

fn assert_values(sandbox: &Sandbox, job: &str) {
    let value = |name: &str| sandbox.value(job, name);
    assert_eq!(value("frame"), Some(19_999.0));
    assert_eq!(value("done"), Some(100.0));
    assert_eq!(value("frames_total"), Some(100.0));
    assert_eq!(value("records_total"), Some(100.0));
    assert_eq!(value("rows_total"), Some(450_015_000.0));
    // Only the line's own beginning.
    assert_eq!(value("ends_total"), Some(1.0));
}

#[test]
fn rewritten_and_long_lines_have_their_values() {
    let sandbox = Sandbox::new();
    let script = format!("{PROGRESS}; {LONG}; {NUMBERS}");
    for (name, redirection) in [("out", ""), ("err", ">&2")] {
        let script = format!("{{ {script}; }} {redirection}");
        write(&sandbox, name, &script, "tail = 3", &RULES);
        sandbox.run(&format!("run {name} --quiet")).code(0);
        assert_values(&sandbox, name);
    }
    let tail = history(&sandbox, "err")[0]["tail"].clone();
    assert_eq!(tail[0], "frame= 19999 fps=30 done=100%");
    assert_eq!(tail[1].as_str().unwrap().len(), 4096);
    assert_eq!(tail.as_array().unwrap().len(), 3);
}

#[test]
fn serve_reads_the_same() {
    let sandbox = Sandbox::new();
    for (name, redirection) in [("out", ""), ("err", ">&2")] {
        let script = format!("{{ {PROGRESS}; {LONG}; {NUMBERS}; }} {redirection}");
        write(&sandbox, name, &script, "", &RULES);
    }
    let server = OwnServer::start(&sandbox, "");
    for name in ["out", "err"] {
        assert_eq!(server.run(name)["outcome"], "success");
        eventually("the report is delivered", || {
            sandbox.value(name, "batch_job_success") == Some(1.0)
        });
        assert_values(&sandbox, name);
    }
}

/// The carriage return and the line feed of a line end come at different times.
#[test]
fn cr_lf_is_one_line_end() {
    let sandbox = Sandbox::new();
    let script = r#"printf "n=1\r"; sleep 0.2; printf "\nn=2\r\n\r\nn=3\rn=4\n\rn=5""#;
    for (name, redirection) in [("out", ""), ("err", ">&2")] {
        let script = format!("{{ {script}; }} {redirection}");
        let all = [("n_total", "counter", r"^n=(\d)$")];
        write(&sandbox, name, &script, "tail = 10", &all);
        sandbox.run(&format!("run {name} --quiet")).code(0);
        assert_eq!(sandbox.value(name, "n_total"), Some(15.0));
    }
    let tail = &history(&sandbox, "err")[0]["tail"];
    assert_eq!(*tail, json!(["n=1", "n=2", "", "n=4", "n=5"]));
}

#[test]
fn the_tail_has_last_states() {
    for (written, tail) in [
        (r"\r 10%%\r 20%%\r100%%\n", json!(["100%"])),
        (r" 10%%\r100%%\r\n", json!(["100%"])),
        (r" 10%%\r100%%\r", json!(["100%"])),
        (r"a\r\nb\r\n\n", json!(["a", "b", ""])),
        (r"\ra\rb", json!(["b"])),
        (r"one\n 10%%\r 20%%\nlast", json!(["one", " 20%", "last"])),
    ] {
        let sandbox = Sandbox::new();
        let script = format!("printf '{written}' >&2; exit 3");
        let run = sandbox.exec("--job bar --tail 3", &script);
        run.code(3);
        assert_eq!(sandbox.history()[0]["tail"], tail, "{written}");
        // What is passed on is passed on as it is.
        assert!(
            run.stderr().starts_with(
                &written
                    .replace("%%", "%")
                    .replace(r"\r", "\r")
                    .replace(r"\n", "\n")
            )
        );
    }
}

/// The log's lines with output of the job, as their texts.
fn texts(server: &OwnServer, name: &str) -> Vec<String> {
    let start = format!("msg=output job={name} ");
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains(&start));
    let texts = lines.filter_map(|line| line.split_once(" text="));
    texts
        .map(|(_, text)| text.trim_matches('"').to_owned())
        .collect()
}

#[test]
fn serve_logs_a_rewritten_line_once_a_second() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    let steps =
        r#"for i in $(seq 1 250); do printf "\rstep%d" $i; sleep 0.01; done; echo; echo end"#;
    job(&sandbox, "steps", "", steps);
    job(
        &sandbox,
        "bar",
        "",
        r#"printf "\r 10%%\r 20%%\r100%%\nplain\r\n" >&2"#,
    );
    job(
        &sandbox,
        "stalls",
        "",
        &format!(r#"printf "stalled\r"; {GATE}; printf "\nend""#),
    );
    let server = OwnServer::start(&sandbox, "");
    let stalls = server.ask("stalls");
    let seconds = server.run("steps")["duration_seconds"].as_f64().unwrap();
    let steps = texts(&server, "steps");
    let passing = steps.len() - 2;
    assert!((1..=seconds as usize).contains(&passing), "{steps:?}");
    assert_eq!(steps[passing..], ["step250", "end"]);
    server.run("bar");
    assert_eq!(texts(&server, "bar"), ["100%", "plain"]);
    eventually("a state that stays is logged", || {
        texts(&server, "stalls") == ["stalled"]
    });
    open(&sandbox);
    server.run_once(&stalls, "finished");
    assert_eq!(texts(&server, "stalls"), ["stalled", "end"]);
    assert_eq!(id(&history(&sandbox, "stalls")[0]), stalls);
}

/// Lines that are rewritten, and one that has not ended, are reported while the run goes on, and each match counts once.
#[test]
fn reports_meanwhile_have_what_was_written() {
    let sandbox = Sandbox::new();
    let wait = |file: &str| format!("while ! [ -e {file} ]; do sleep 0.01; done");
    let script = format!(
        r#"printf "10%% 1 records\r"; {}
        printf "20%% 2 records"; {}
        printf " and 4 records\r"; {}
        printf "30%%"; head -c 200000 /dev/zero | tr "\0" .; printf "40%% 8 records, 9"; {}
        echo"#,
        wait("a"),
        wait("b"),
        wait("c"),
        wait("d")
    );
    let all = [
        ("done", "gauge", r"(\d+)%"),
        ("records_total", "counter", r"(\d+) records"),
        ("last", "gauge", r", (\d+)$"),
    ];
    write(&sandbox, "live", &script, "push_interval = '20ms'", &all);
    let mut command = sandbox.command(["run", "live", "--quiet"]);
    // Nobody reads all of it meanwhile.
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let values = || ["done", "records_total"].map(|name| sandbox.value("live", name));
    for (file, done, records) in [
        ("a", 10.0, 1.0),
        ("b", 20.0, 3.0),
        ("c", 20.0, 7.0),
        ("d", 40.0, 15.0),
    ] {
        eventually(&format!("{done}% {records}"), || {
            values() == [Some(done), Some(records)]
        });
        // Nothing is counted again by a further report.
        another_report(&sandbox);
        assert_eq!(values(), [Some(done), Some(records)]);
        assert_eq!(sandbox.value("live", "last"), None);
        sandbox.write(file, "");
    }
    finished(child).code(0);
    assert_eq!(values(), [Some(40.0), Some(15.0)]);
    assert_eq!(sandbox.value("live", "last"), Some(9.0));
}

/// Waits for a report that was begun after this, so the second one from now.
fn another_report(sandbox: &Sandbox) {
    for _ in 0..2 {
        let pushed = || sandbox.value("live", "push_time_seconds");
        let before = pushed();
        eventually("another report", || pushed() > before);
    }
}

/// A number that is not whole yet is not reported.
#[test]
fn half_a_number_is_not_reported() {
    let sandbox = Sandbox::new();
    let script = r#"printf "n=1\rn=2"; while ! [ -e end ]; do sleep 0.01; done; echo 34"#;
    let all = [("n", "gauge", r"n=(\d+)")];
    write(&sandbox, "live", script, "push_interval = '20ms'", &all);
    let child = sandbox.spawn(&mut sandbox.command(["run", "live", "--quiet"]));
    eventually("a report", || sandbox.value("live", "n").is_some());
    another_report(&sandbox);
    assert_eq!(sandbox.value("live", "n"), Some(1.0));
    sandbox.write("end", "");
    finished(child).code(0);
    assert_eq!(sandbox.value("live", "n"), Some(234.0));
}

/// The file that a job appends its metrics to has lines of its own format: a carriage return is a part of one.
#[test]
fn the_metrics_file_has_line_feeds() {
    let sandbox = Sandbox::new();
    let script = r#"printf "a 1\rb 2\nc 3\n" >>$METRICSJOB_METRICS"#;
    let run = sandbox.exec("--job file", script);
    run.code(0).err("line 1 of the job's metrics is left out");
    assert_eq!(sandbox.value("file", "c"), Some(3.0));
    assert_eq!(sandbox.value("file", "b"), None);
}
