//! `metricsjob generate systemd`: a job as a service and its timer.

use std::fs;

use insta::assert_snapshot;

use crate::common::{Finished, Sandbox};

#[cfg(feature = "real-servers")]
mod calendar;

/// A sandbox with the job file `nightly.toml` of these lines.
fn with(lines: &str) -> Sandbox {
    let sandbox = Sandbox::new().variable("TZ", "UTC");
    sandbox.write(
        "jobs/nightly.toml",
        format!("command = ['true']\n{lines}\n"),
    );
    sandbox
}

/// The units of a job with these lines. Its file is among the temporary ones, so it needs a user.
fn generated(lines: &str, options: &str) -> Finished {
    with(lines).run(&format!("generate systemd nightly --user daemon {options}"))
}

/// The values of a setting in what was printed.
fn values(run: &Finished, name: &str) -> Vec<String> {
    let text = run.code(0).stdout();
    let values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

#[test]
fn both_units() {
    let sandbox = with(
        "description = '100% of the dump'\nschedule = '30 2 1 * sat,sun'\ntimezone = 'Europe/Berlin'\njitter = '90s'\nmissed = 'run-once'",
    );
    let options = "--program /usr/bin/metricsjob -g db=shop --user dumper --name shop-dump";
    let run = sandbox.run(&format!("generate systemd nightly {options}"));
    run.code(0).err(
        "warning: A run whose time is skipped when the clock is put forward does not take place.",
    );
    let home = sandbox.path().to_str().unwrap();
    assert_snapshot!("units", run.stdout().replace(home, "/tmp/me"));

    // The same, as files.
    fs::create_dir(sandbox.path().join("units")).unwrap();
    let written = sandbox.run(&format!(
        "generate systemd nightly {options} --directory units"
    ));
    assert_eq!(written.code(0).stdout(), "");
    for kind in ["service", "timer"] {
        let name = format!("shop-dump.{kind}");
        let unit = fs::read_to_string(sandbox.path().join("units").join(&name)).unwrap();
        let shown = format!("# /etc/systemd/system/{name}\n{unit}");
        assert!(run.stdout().contains(&shown), "{}", run.stdout());
    }
    let run = sandbox.run("generate systemd nightly --user daemon --directory gone");
    run.code(1)
        .err("could not write gone/metricsjob-nightly.service: ");
}

#[test]
fn schedules() {
    for (lines, expressions) in [
        ("schedule = '@daily'", &["*-*-* 0:0:0 UTC"][..]),
        ("schedule = '*/20 * * * * *'", &["*-*-* *:*:0,20,40 UTC"]),
        (
            "schedule = '0 9-17 * * fri-sun'",
            &["Sun,Fri,Sat *-*-* 9..17:0:0 UTC"],
        ),
        // Both days count.
        (
            "schedule = '0 0 */10 * mon'",
            &["Mon *-*-1,11,21,31 0:0:0 UTC"],
        ),
        // Either will do.
        (
            "schedule = '0 0 13 6 fri'",
            &["*-6-13 0:0:0 UTC", "Fri *-6-* 0:0:0 UTC"],
        ),
        ("schedule = '0 0 1-31 * fri'", &["*-*-* 0:0:0 UTC"]),
        (
            "schedule = '5 4 * * *'\ntimezone = 'Asia/Tokyo'",
            &["*-*-* 4:5:0 Asia/Tokyo"],
        ),
        // By each clock the same, but systemd passes over a repeated hour.
        (
            "schedule = '*/30 * * * *'\ntimezone = 'Europe/Berlin'",
            &["*-*-* *:0,30:0 UTC"],
        ),
        ("every = '20s'", &["*-*-* *:*:0/20 UTC"]),
        ("every = '15m'", &["*-*-* *:0/15:0 UTC"]),
        ("every = '8h'", &["*-*-* 0/8:0:0 UTC"]),
        ("every = '7days'", &["Thu *-*-* 0:0:0 UTC"]),
    ] {
        let run = generated(lines, "");
        assert_eq!(values(&run, "OnCalendar"), expressions, "{lines}");
        run.quiet_stderr();
    }
}

#[test]
fn what_becomes_of_missed_runs() {
    let persistent = |lines: &str| values(&generated(lines, ""), "Persistent");
    assert_eq!(persistent("every = '1h'"), ["no"]);
    assert_eq!(persistent("every = '1h'\nmissed = 'run-once'"), ["yes"]);
}

#[test]
fn jitter_and_ends() {
    let run = generated("every = '1h'\njitter = '2m'\nkill_after = '5m'", "");
    assert_eq!(values(&run, "RandomizedDelaySec"), ["120s"]);
    assert_eq!(values(&run, "TimeoutStopSec"), ["320s"]);
    let run = generated("every = '1h'", "");
    assert_eq!(values(&run, "RandomizedDelaySec"), [""; 0]);
    assert_eq!(values(&run, "TimeoutStopSec"), ["90s"]);
    assert_eq!(values(&run, "DynamicUser"), [""; 0]);
    assert_eq!(values(&run, "User"), ["daemon"]);
}

/// A service sees neither homes nor the temporary files of others, unless what it runs is there.
#[test]
fn places_of_the_program_and_the_job() {
    let run = generated("every = '1h'", "--program /home/me/bin/metricsjob");
    assert_eq!(values(&run, "ProtectHome"), ["read-only"]);
    assert_eq!(values(&run, "PrivateTmp"), ["no"]);
    // A compiled-in job has no file.
    let run = Sandbox::new().run("generate systemd demo-probe --program /usr/bin/metricsjob");
    assert_eq!(values(&run, "DynamicUser"), ["yes"]);
    assert_eq!(values(&run, "User"), [""; 0]);
    assert_eq!(values(&run, "ProtectHome"), ["yes"]);
    assert_eq!(values(&run, "PrivateTmp"), ["yes"]);
    assert_eq!(
        values(&run, "ExecStart"),
        ["/usr/bin/metricsjob run demo-probe --quiet"]
    );
    // A user that exists only while the service runs has temporary files of its own, too.
    let run = Sandbox::new().run("generate systemd demo-probe --program /tmp/metricsjob");
    run.code(2)
        .err("error: /tmp/metricsjob is among the temporary files, and a service without");
    let run = generated("every = '1h'\nworking_directory = 'data'", "");
    run.code(0)
        .err("warning: The path data is relative, and the service starts in /.");
}

#[test]
fn what_systemd_cannot_say() {
    for (lines, problem) in [
        ("", "the job nightly has no schedule"),
        (
            "every = '7m'",
            "systemd cannot say every = \"7m\": take a time that divides a minute, an hour or a day evenly",
        ),
        (
            "every = '1500ms'",
            "systemd cannot say every = \"1s 500ms\"",
        ),
        (
            "every = '1h'\noverlap = 'allow'",
            "overlap = \"allow\" is more than systemd can do",
        ),
        (
            "every = '1h'\noverlap = 'queue'",
            "overlap = \"queue\" is more than systemd can do",
        ),
    ] {
        let run = generated(lines, "");
        run.code(2).err(&format!("error: {problem}"));
        assert_eq!(run.stdout(), "", "{lines}");
    }
    with("every = '1h'")
        .run("generate systemd nightly --user 1x")
        .code(2)
        .err("\"1x\" cannot be the name of a user");
    for (option, problem) in [
        (
            "--name a@b",
            "\"a@b\" cannot be the name of a unit: give one of letters",
        ),
        ("--name=", "\"\" cannot be the name of a unit"),
        ("-g a=${x}", "--grouping a: there is no placeholder ${x}"),
    ] {
        generated("every = '1h'", option).code(2).err(problem);
    }
}

#[cfg(feature = "real-servers")]
fn verify(sandbox: &Sandbox) -> Finished {
    use std::process::Command;

    let mut command = Command::new("systemd-analyze");
    let units = ["n.service", "n.timer"].map(|unit| sandbox.path().join(unit));
    command
        .args(["verify", "--recursive-errors=no"])
        .args(units);
    crate::common::curl::finished(&mut command)
}

/// systemd has nothing against the units, and finds what is wrong.
#[cfg(feature = "real-servers")]
#[test]
fn systemd_takes_them() {
    for (lines, label) in [
        ("schedule = '30 2 13 * fri'\nmissed = 'run-once'", "a=b"),
        (
            "every = '20s'\njitter = '1500ms'\ndescription = '%n $x \"'",
            "a=100%$HOME;\\x",
        ),
    ] {
        let sandbox = with(lines);
        let file = "jobs/it's \"50%\" $HOME.toml";
        let path = |name| sandbox.path().join(name);
        fs::rename(path("jobs/nightly.toml"), path(file)).unwrap();
        let options = "--name n --user daemon --directory . -g";
        let words = ["generate", "systemd", file].into_iter();
        sandbox
            .run_args(words.chain(options.split(' ')).chain([label]))
            .code(0);
        verify(&sandbox).code(0).quiet();
        // systemd's specifiers and variables are escaped.
        let text = fs::read_to_string(path("n.service")).unwrap();
        assert!(text.contains("it's \\\"50%%\\\" $$HOME.toml\""), "{text}");
        let wrong = text.replace("PrivateTmp=no", "PrivateTmp=perhaps");
        fs::write(path("n.service"), wrong).unwrap();
        verify(&sandbox).err("Failed to parse");
    }
    // With a user that exists only while it runs.
    let sandbox = Sandbox::new();
    sandbox
        .run("generate systemd demo-probe --name n --directory .")
        .code(0);
    verify(&sandbox).code(0).quiet();
}
