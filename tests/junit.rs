//! `exec --junit`: results of tests, from the JUnit XML files that a command writes.

use std::fmt::Write;
use std::os::unix::fs::symlink;

use crate::common::{Finished, Sandbox, TestGateway};

on_each_gateway!(results_of_tests_are_gauges);

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/junit");

/// A sandbox whose `given` holds the files, for commands that "write" them with cp.
fn sandbox(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, text) in files {
        sandbox.write(&format!("given/{name}"), text);
    }
    sandbox
}

/// A run whose command writes the files that are given to `results`.
fn run(sandbox: &Sandbox) -> Finished {
    sandbox.exec(
        "--job t --junit results/*.xml",
        "mkdir -p results && cp given/* results",
    )
}

/// The gauges of a suite: tests, failures, errors, skipped, seconds.
fn gauges(sandbox: &Sandbox, suite: &str) -> [Option<f64>; 5] {
    let value = |name| sandbox.value("t", &format!("junit_{name}{{suite=\"{suite}\"}}"));
    ["tests", "failures", "errors", "skipped", "duration_seconds"].map(value)
}

/// The gauges of the only suite in `text`, which is named `s` or after the file.
fn gauges_of(text: &str) -> [Option<f64>; 5] {
    let sandbox = sandbox(&[("s.xml", text)]);
    run(&sandbox).code(0).quiet_stderr();
    gauges(&sandbox, "s")
}

fn results_of_tests_are_gauges(gateway: &TestGateway) {
    let script = format!("cp {FIXTURES}/*.xml . && exit 3");
    let line = [
        "exec", "--job", "t", "--junit", "*.xml", "--", "sh", "-c", &script,
    ];
    gateway.sandbox.run_args(line).code(3);
    for (suite, expected) in [
        ("pytest", [7.0, 1.0, 1.0, 1.0, 0.09]),
        ("orders", [2.0, 1.0, 0.0, 0.0, 0.178]),
        ("orders::api", [2.0, 0.0, 0.0, 0.0, 0.051]),
        ("org.example.OrdersTest", [4.0, 1.0, 1.0, 1.0, 1234.056]),
        ("example.org/orders", [4.0, 1.0, 0.0, 1.0, 0.024]),
        ("example.org/orders/api", [1.0, 0.0, 0.0, 0.0, 0.003]),
    ] {
        let names = ["tests", "failures", "errors", "skipped", "duration_seconds"];
        for (name, expected) in names.into_iter().zip(expected) {
            let series = format!("junit_{name}{{suite=\"{suite}\"}}");
            let found = gateway.value("t", &series).unwrap_or(f64::NAN);
            assert!((found - expected).abs() < 1e-9, "{series}: {found}");
        }
    }
}

#[test]
fn suites_of_one_name_are_summed() {
    let suite = "<testsuite name='s' tests='2' failures='1' errors='0' skipped='1' time='0.5'/>";
    let without_time = "<testsuite name='s' tests='1'/>";
    let sandbox = sandbox(&[("a.xml", suite), ("b.xml", suite), ("c.xml", without_time)]);
    // A file that two patterns match counts once.
    let options = "--job t --junit results/*.xml --junit results/a.xml";
    let job = sandbox.exec(options, "mkdir results && cp given/* results");
    job.code(0).quiet_stderr();
    let expected = [5.0, 2.0, 0.0, 2.0, 1.0].map(Some);
    assert_eq!(gauges(&sandbox, "s"), expected);
}

#[test]
fn what_a_suite_does_not_say_is_counted() {
    let cases = "<testcase time='1.5'/><testcase time='0.25'><failure/></testcase>
        <testcase><error/><system-out><failure/></system-out></testcase><testcase><skipped/></testcase>";
    let counted = [4.0, 1.0, 1.0, 1.0, 1.75].map(Some);
    assert_eq!(
        gauges_of(&format!("<testsuite>{cases}</testsuite>")),
        counted
    );
    assert_eq!(
        gauges_of(&format!("<testsuite name=''>{cases}</testsuite>")),
        counted
    );
    // Test cases without a suite, as Node's runner writes them.
    assert_eq!(
        gauges_of(&format!("<testsuites>{cases}</testsuites>")),
        counted
    );
    // An attribute counts more.
    let text = format!("<testsuite name='s' tests='9' time='2'>{cases}</testsuite>");
    assert_eq!(gauges_of(&text), [9.0, 1.0, 1.0, 1.0, 2.0].map(Some));
    // No time is not 0 seconds.
    let text = "<testsuite name='s'><testcase/></testsuite>";
    assert_eq!(
        gauges_of(text),
        [Some(1.0), Some(0.0), Some(0.0), Some(0.0), None]
    );
}

#[test]
fn a_suite_that_contains_others_counts_its_own_cases_only() {
    let text = "<testsuites name='all' tests='4'><testsuite name='outer' tests='4' failures='2'>
        <testcase/><testsuite name='s' tests='3' failures='2' errors='0' skipped='0' time='1'/>
        <testsuite name='empty' tests='0'/></testsuite></testsuites>";
    let sandbox = sandbox(&[("a.xml", text)]);
    run(&sandbox).code(0).quiet_stderr();
    assert_eq!(gauges(&sandbox, "s")[0], Some(3.0));
    assert_eq!(gauges(&sandbox, "outer")[..2], [Some(1.0), Some(0.0)]);
    assert_eq!(gauges(&sandbox, "empty")[0], Some(0.0));
    assert_eq!(gauges(&sandbox, "all")[0], None);
}

#[test]
fn characters_and_names_of_suites() {
    for (name, label) in [
        ("a &amp; &#x42; &lt;c&gt;", "a & B <c>"),
        ("ein Käse &quot;x&quot;", r#"ein Käse \"x\""#),
    ] {
        let text = format!(
            "\u{feff}<?xml version='1.0' encoding='utf-8'?>\r\n<testsuite name='{name}' tests='1'/>"
        );
        let sandbox = sandbox(&[("a.xml", &text)]);
        run(&sandbox).code(0).quiet_stderr();
        assert_eq!(gauges(&sandbox, label)[0], Some(1.0), "{name}");
    }
}

/// A file that is no good is left out, with a warning that names it; the others count.
#[test]
fn files_that_are_no_good() {
    let good = "<testsuite name='good' tests='1'/>";
    for (text, problem) in [
        ("", "it is empty: did the test runner end before it wrote?"),
        (" \n", "it is empty"),
        (
            "<html/>",
            "line 1: <html> is not <testsuites> or <testsuite>: is it a JUnit file?",
        ),
        (
            "5 passed",
            "line 1: it is not XML: text outside of the root element",
        ),
        (
            "<testsuites/>",
            "it has no <testsuite>: were any tests run?",
        ),
        (
            "<testsuite>\n<testcase>",
            "line 2: it is not XML: it ends before its elements do",
        ),
        ("<testsuite>\n<testcase", "line 2: it is not XML: "),
        ("<testsuite></testsuites>", "line 1: it is not XML: "),
        (
            "<testsuite/>\n<testsuite/>",
            "line 2: it is not XML: <testsuite> follows the root element",
        ),
        ("<testsuite name='a' name='b'/>", "line 1: it is not XML: "),
        (
            "<testsuite tests='x'/>",
            "line 1: tests \"x\" is not a whole number",
        ),
        (
            "<testsuite tests='-1'/>",
            "line 1: tests \"-1\" is not a whole number",
        ),
        (
            "<testsuite time='0,5'/>",
            "line 1: time \"0,5\" is not a number of seconds",
        ),
        (
            "<testsuite time='NaN'/>",
            "line 1: time \"NaN\" is not a number of seconds",
        ),
        (
            "<testsuite>\n<testcase time='x'/></testsuite>",
            "line 2: time \"x\" is not a number of seconds",
        ),
        (
            "<!DOCTYPE t [<!ENTITY x \"y\">]>\n<testsuite name='&x;'/>",
            "line 1: it has a document type declaration (<!DOCTYPE), which is not read because it can define entities",
        ),
        (
            "<!DOCTYPE testsuite SYSTEM 'x.dtd'><testsuite/>",
            "line 1: it has a document type declaration",
        ),
        ("<testsuite name='&x;'/>", "line 1: it is not XML: "),
        (
            "<testsuite>&x;</testsuite>",
            "line 1: it is not XML: &x; is not defined",
        ),
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite/>",
            "line 1: it is in ISO-8859-1: let the test runner write UTF-8",
        ),
    ] {
        let sandbox = sandbox(&[("bad.xml", text), ("good.xml", good)]);
        let job = run(&sandbox);
        job.code(0).err(&format!(
            "warning: t: results/bad.xml is left out: {problem}"
        ));
        assert_eq!(job.stderr().lines().count(), 1, "{text}: {}", job.stderr());
        assert_eq!(gauges(&sandbox, "good")[0], Some(1.0), "{text}");
        assert_eq!(gauges(&sandbox, "bad")[0], None, "{text}");
    }
    let sandbox = sandbox(&[]);
    sandbox.write("given/latin.xml", b"<testsuite name='\xe4'/>");
    run(&sandbox)
        .code(0)
        .err("latin.xml is left out: it is not in UTF-8: let the test runner write UTF-8");
}

/// 16 MiB are read, a byte more is not.
#[test]
fn files_that_are_too_large() {
    let (begin, end) = (
        "<testsuite name='large' tests='1'><system-out>",
        "</system-out></testsuite>",
    );
    for (length, is_read) in [(16 << 20, true), ((16 << 20) + 1, false)] {
        let filling = "x".repeat(length - begin.len() - end.len());
        let sandbox = sandbox(&[("large.xml", &format!("{begin}{filling}{end}"))]);
        let job = run(&sandbox);
        job.code(0);
        assert_eq!(gauges(&sandbox, "large")[0].is_some(), is_read, "{length}");
        let warning =
            "large.xml is left out: it is larger than 16 MiB: write one file for each suite";
        assert_eq!(job.stderr().contains(warning), !is_read, "{}", job.stderr());
    }
}

#[test]
fn a_pattern_that_matches_nothing() {
    let sandbox = Sandbox::new();
    let job = sandbox.run("exec --job t --junit target/*.xml -- sh -c true");
    let home = sandbox.path().display().to_string();
    job.code(0).err(&format!(
        "warning: t: junit \"target/*.xml\" matches no file in {home}: no test results are reported of it (does the command write them there?)"
    ));
    assert_eq!(sandbox.value("t", "batch_job_success"), Some(1.0));
}

/// Results of an earlier step are not those of this run.
#[test]
fn files_from_before_the_run_are_left_out() {
    let suite = |name: &str| format!("<testsuite name='{name}' tests='1'/>");
    let sandbox = sandbox(&[("new.xml", &suite("new"))]);
    for name in ["old", "older", "rewritten"] {
        sandbox.write(&format!("results/{name}.xml"), suite(name));
    }
    let script = "cp given/new.xml results; echo \"<testsuite name='rewritten' tests='2'/>\" >results/rewritten.xml";
    let job = sandbox.exec("--job t --junit results/*.xml", script);
    job.code(0).err(
        "warning: t: results/old.xml and 1 other file are left out: they were there before and the command has not written them; remove old results before the tests",
    );
    let tests = ["new", "rewritten", "old", "older"].map(|name| gauges(&sandbox, name)[0]);
    assert_eq!(tests, [Some(1.0), Some(2.0), None, None]);

    // A copy keeps the time of its original, which is before the run; it is new all the same.
    let job = sandbox.exec(
        "--job t --junit copies/*.xml",
        "mkdir copies; cp -p given/new.xml copies",
    );
    job.code(0).quiet_stderr();
}

/// Of a run that tries again, the last attempt's files count.
#[test]
fn files_of_an_attempt_before_the_last_one_are_left_out() {
    let sandbox = sandbox(&[("a.xml", "<testsuite name='a' tests='1'/>")]);
    let script = "[ -e a.xml ] && exit; cp given/a.xml .; exit 1";
    let job = sandbox.exec(
        "--job t --retries 1 --backoff 1ms..1ms --junit *.xml",
        script,
    );
    job.code(0).err("a.xml is left out: it was there before");
    assert_eq!(gauges(&sandbox, "a")[0], None);
}

/// What is no regular file neither blocks the run nor ends it.
#[test]
fn what_is_no_file() {
    let sandbox = sandbox(&[("a.xml", "<testsuite name='a' tests='1'/>")]);
    symlink(
        sandbox.path().join("given/a.xml"),
        sandbox.path().join("given/link.xml"),
    )
    .unwrap();
    let script = "mkdir -p results/dir.xml; mkfifo results/fifo.xml; cp -d given/* results";
    let job = sandbox.exec("--job t --junit results/*.xml", script);
    job.code(0)
        .err(
            "results/dir.xml is left out: could not read it: it is a directory, not a regular file",
        )
        .err("results/fifo.xml is left out: could not read it: it is a FIFO, not a regular file");
    assert_eq!(gauges(&sandbox, "a")[0], Some(2.0));
}

/// A key of job files; relative patterns are in the command's working directory.
#[test]
fn a_key_of_job_files() {
    let sandbox = Sandbox::new();
    let command =
        "command = ['sh', '-c', '''echo \"<testsuite name='s' tests='2'/>\" >\"r [1].xml\"''']";
    sandbox.write("it [x]/keep", "");
    for junit in ["'*.xml'", "['*.xml', '**/r*.xml']"] {
        let file = format!("working_directory = 'it [x]'\njunit = {junit}\n{command}\n");
        sandbox.write("jobs/t.toml", file);
        let job = sandbox.run("run t --quiet");
        job.code(0).quiet_stderr();
        assert_eq!(gauges(&sandbox, "s")[0], Some(2.0), "{junit}");
        std::fs::remove_file(sandbox.path().join("it [x]/r [1].xml")).unwrap();
    }
    for (line, problem) in [
        ("junit = ''", "1:9: junit \"\" is empty: it must name files"),
        (
            "junit = ['a**']",
            "1:10: junit \"a**\" is not a pattern of files: ",
        ),
        (
            "junit = 1",
            "1:9: junit must be a pattern of files or a list of them",
        ),
    ] {
        sandbox.write("jobs/t.toml", format!("{line}\n{command}\n"));
        sandbox.run("check jobs/t.toml").code(2).err(problem);
    }
    sandbox.write("jobs/t.toml", "builtin = 'backup'\njunit = '*.xml'\n");
    sandbox
        .run("check jobs/t.toml")
        .code(2)
        .err("junit is for a command, and this job runs a built-in");
}

#[test]
fn bad_options() {
    let sandbox = Sandbox::new();
    let job = sandbox.run("exec --junit [ -- true");
    job.code(2)
        .err("invalid value '[' for '--junit <PATTERN>': is not a pattern of files: ");
    // The shell has expanded a pattern without quotes.
    let job = sandbox.run("exec --junit a.xml b.xml c.xml -- true");
    job.code(2).err("--junit takes one pattern, and \"b.xml\" behind it would be the command: quote the pattern");
    sandbox
        .run("run backup --junit a.xml")
        .code(2)
        .err("--junit is for commands, and backup runs a built-in");
    assert!(!sandbox.state_db().exists());
}

/// More suites than a job may have series: the runner's own families arrive.
#[test]
fn too_many_suites() {
    let mut text = String::from("<testsuites>");
    for number in 0..3000 {
        write!(text, "<testsuite name='s{number}' tests='1'/>").unwrap();
    }
    text += "</testsuites>";
    let sandbox = sandbox(&[("a.xml", &text)]);
    run(&sandbox)
        .code(0)
        .err("is left out: the job has more than 10000 series");
    assert_eq!(sandbox.value("t", "batch_job_success"), Some(1.0));
    assert_eq!(gauges(&sandbox, "s0")[0], Some(1.0));
}
