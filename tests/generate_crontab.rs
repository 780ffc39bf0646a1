//! `metricsjob generate crontab`: scheduled jobs for cron. `cron.rs` runs what it prints.

use insta::assert_snapshot;

use crate::common::{Finished, Sandbox};

/// A sandbox with these job files, on a machine whose clock is that of `zone`.
fn with(zone: &str, files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new().variable("TZ", zone);
    for (name, lines) in files {
        let file = format!("command = ['true']\n{lines}\n");
        sandbox.write(&format!("jobs/{name}.toml"), file);
    }
    sandbox
}

fn generated(sandbox: &Sandbox, options: &str) -> Finished {
    sandbox.run(&format!(
        "generate crontab --program /usr/bin/metricsjob {options}"
    ))
}

/// The lines of a crontab that are none of its comments, with the sandbox's path masked.
fn lines(sandbox: &Sandbox, run: &Finished) -> Vec<String> {
    let text = run.code(0).stdout();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| masked(sandbox, line)).collect()
}

fn masked(sandbox: &Sandbox, text: &str) -> String {
    text.replace(sandbox.path().to_str().unwrap(), "/home/me")
}

#[test]
fn all_scheduled_jobs() {
    let sandbox = with(
        "Europe/Berlin",
        &[
            (
                "nightly",
                "description = \"Dump\\nall\"\nschedule = '30 2 * * Mon-fri'\njitter = '90s'\nsplay = '10s'\nmissed = 'run-once'",
            ),
            ("a b%", "every = '15m'\noverlap = 'queue'\ntimezone_ = 1"),
            ("on-request", "timeout = '1h'"),
            ("shown", "every = '1h'\ndemo = true"),
        ],
    );
    // A bad file is an error: the line of its job would be missing.
    generated(&sandbox, "")
        .code(2)
        .err("unknown key \"timezone_\"");
    sandbox.write(
        "jobs/a b%.toml",
        "command = ['./x']\nevery = '15m'\noverlap = 'queue'",
    );
    let run = generated(&sandbox, "");
    run.code(0)
        .err("warning: nightly: missed = \"run-once\": cron makes up for no run")
        .err("warning: a b%: The path ./x is relative, and cron starts in the user's home.");
    assert_snapshot!("jobs", masked(&sandbox, &run.stdout()));
}

#[test]
fn fields_are_those_of_the_file_in_numbers() {
    for (schedule, fields) in [
        ("schedule = '@hourly'", "0 * * * *"),
        ("schedule = '0 5 4 1,15 JAN-mar Sun'", "5 4 1,15 1-3 0"),
        ("schedule = '0 0 */2 * fri-sun'", "0 0 */2 * 5-7"),
        ("schedule = '*/15 8-18/2 * * mon,3'", "*/15 8-18/2 * * 1,3"),
        ("every = '1m'", "* * * * *"),
        ("every = '1h'", "0 * * * *"),
    ] {
        let sandbox = with("Europe/Berlin", &[("a", schedule)]);
        let lines = lines(&sandbox, &generated(&sandbox, ""));
        let command = "/usr/bin/metricsjob run /home/me/jobs/a.toml --quiet --lock";
        assert_eq!(lines, [format!("{fields}  {command}")], "{schedule}");
    }
}

#[test]
fn overlap_is_a_lock() {
    for (line, option) in [
        ("", " --lock"),
        ("overlap = 'queue'", " --lock-wait=365days"),
        ("overlap = 'allow'", ""),
        // The job's own settings are in its file.
        ("lock_wait = '1m'", ""),
    ] {
        let sandbox = with("UTC", &[("a", &format!("every = '1h'\n{line}"))]);
        let lines = lines(&sandbox, &generated(&sandbox, "a"));
        let expected =
            format!("0 * * * *  /usr/bin/metricsjob run /home/me/jobs/a.toml --quiet{option}");
        assert_eq!(lines, [expected], "{line}");
    }
}

#[test]
fn what_cron_cannot_say() {
    for (line, problem) in [
        ("", "a: the job a has no schedule"),
        (
            "schedule = '*/10 * * * * *'",
            "a: the schedule \"*/10 * * * * *\" has seconds, and cron counts in minutes",
        ),
        (
            "every = '7m'",
            "a: cron cannot say every = \"7m\": take a time that divides an hour evenly",
        ),
        // Midnight of UTC is no midnight here.
        ("every = '1day'", "a: cron cannot say every = \"1day\""),
        (
            "schedule = '@daily'\ntimezone = 'Asia/Tokyo'",
            "a: the schedule \"@daily\" is for Asia/Tokyo, and cron goes by the clock of this machine (Europe/Berlin)",
        ),
    ] {
        let sandbox = with("Europe/Berlin", &[("a", line)]);
        let run = generated(&sandbox, "a");
        run.code(2).err(&format!("error: {problem}"));
        assert_eq!(run.stdout(), "", "{line}");
    }
    let sandbox = with("UTC", &[("a\\b", "every = '1h'")]);
    generated(&sandbox, "")
        .code(2)
        .err("has a backslash or a line feed");
    let long = "x/".repeat(500);
    let sandbox = Sandbox::new();
    sandbox.write(&format!("{long}a.toml"), "command = ['true']\nevery = '1h'");
    let run = generated(&sandbox, &format!("{long}a.toml"));
    run.code(2)
        .err("the line of a is longer than the 998 characters");
}

#[test]
fn a_definition_that_does_not_stay() {
    let sandbox = Sandbox::new();
    let script = format!(
        "{} generate crontab <(printf 'command = [\"true\"]\\nevery = \"1h\"\\n')",
        crate::common::US
    );
    let run = sandbox.run_args(["exec", "--no-push", "--", "bash", "-c", &script]);
    run.code(2)
        .err("is not a regular file: it would be gone when the job is to run");
}

#[test]
fn no_schedule_at_all() {
    let sandbox = with("UTC", &[("a", "")]);
    let run = generated(&sandbox, "");
    run.code(2)
        .err("no job file has a schedule: give one its schedule");
}

/// cronie's way: a zone counts for the lines below it.
#[test]
fn zones() {
    let sandbox = with(
        "Europe/Berlin",
        &[
            ("a", "schedule = '1 1 * * *'\ntimezone = 'Asia/Tokyo'"),
            ("b", "schedule = '2 2 * * *'"),
            ("c", "schedule = '3 3 * * *'\ntimezone = 'America/New_York'"),
            ("d", "schedule = '4 4 * * *'\ntimezone = 'Asia/Tokyo'"),
            // The same clock by another name.
            ("e", "schedule = '5 5 * * *'\ntimezone = 'Europe/Stockholm'"),
        ],
    );
    let lines = lines(&sandbox, &generated(&sandbox, "--cron-tz"));
    let begins: Vec<&str> = lines
        .iter()
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    let expected = [
        "2 2 * * *",
        "5 5 * * *",
        "CRON_TZ=America/New_York",
        "3 3 * * *",
        "CRON_TZ=Asia/Tokyo",
        "1 1 * * *",
        "4 4 * * *",
    ];
    assert_eq!(begins, expected);
}

/// Debian's crontab has nothing against it, and finds what is wrong.
#[cfg(feature = "real-servers")]
#[test]
fn crontab_takes_it() {
    use std::process::Command;

    use crate::common::curl::finished;

    let sandbox = with(
        "UTC",
        &[
            ("it's \"so\" $HOME 100%", "schedule = '0 0 */2 * fri-sun'"),
            ("b", "schedule = '1,2-9/3 * * feb,nov *'"),
            ("c", "every = '1day'"),
            ("d", "schedule = '59 23 31 12 7'"),
        ],
    );
    let text = generated(&sandbox, "").code(0).stdout();
    assert!(text.contains(r#"'"'"'s "so" $HOME 100\%.toml'"#), "{text}");
    let check = |text: &str| {
        let file = sandbox.write("crontab", text);
        finished(Command::new("crontab").arg("-n").arg(file))
    };
    check(&text).code(0);
    check(&text.replace("59 23", "60 23"))
        .code(1)
        .err("bad minute");
}
