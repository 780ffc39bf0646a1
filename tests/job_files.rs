//! Job files: where they are found, what they can say, how `list` and `check` show them.

use serde_json::Value as Json;

use crate::common::Sandbox;

/// A job file that says who it is.
fn says(word: &str) -> String {
    format!("description = 'Says {word}'\ncommand = ['echo', '{word}']\n")
}

#[test]
fn the_first_directory_wins() {
    let sandbox = Sandbox::new();
    let said =
        |sandbox: &Sandbox, options: &str| sandbox.run(&format!("run -q who {options}")).stdout();
    let unknown = sandbox.run("run who");
    unknown.code(2).err("no job is called \"who\" (known: ");
    for name in ["backup", "demo-flaky", "demo-orders", "random"] {
        unknown.err(name);
    }
    sandbox.write(".config/metricsjob/jobs/who.toml", says("config"));
    assert_eq!(said(&sandbox, ""), "config\n");
    let xdg = sandbox.path().join("xdg").display().to_string();
    let sandbox = sandbox.variable("XDG_CONFIG_HOME", &xdg);
    sandbox.write("xdg/metricsjob/jobs/who.toml", says("xdg"));
    assert_eq!(said(&sandbox, ""), "xdg\n");
    sandbox.write("jobs/who.toml", says("here"));
    assert_eq!(said(&sandbox, ""), "here\n");
    sandbox.write("mine/who.toml", says("mine"));
    assert_eq!(said(&sandbox, "--jobs-dir mine"), "mine\n");
    // A directory that has no such job does not hide the others.
    sandbox.write("empty/other.toml", says("other"));
    assert_eq!(said(&sandbox, "--jobs-dir empty"), "here\n");
    let sandbox = sandbox.variable("METRICSJOB_JOBS_DIR", "mine");
    assert_eq!(said(&sandbox, ""), "mine\n");
    assert_eq!(
        sandbox
            .run("run -q ./xdg/metricsjob/jobs/who.toml")
            .stdout(),
        "xdg\n"
    );
    sandbox
        .run("run who --jobs-dir nowhere")
        .code(2)
        .err("could not read the jobs directory nowhere: No such file");
}

#[test]
fn a_file_hides_the_job_that_is_compiled_in() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/backup.toml", says("mine"));
    assert_eq!(sandbox.run("run backup -q").code(0).stdout(), "mine\n");
}

#[test]
fn a_broken_file_never_gives_way_to_another_job() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("jobs")).unwrap();
    std::os::unix::fs::symlink("nothing", sandbox.path().join("jobs/backup.toml")).unwrap();
    let run = sandbox.run("run backup");
    run.code(2)
        .err("could not read the job file jobs/backup.toml: No such file");
    sandbox
        .run("check")
        .code(2)
        .err("could not read the job file jobs/backup.toml");
    std::fs::create_dir(sandbox.path().join("jobs/random.toml")).unwrap();
    sandbox
        .run("run random")
        .code(2)
        .err("could not read the job file jobs/random.toml: it is a directory, not a regular file");
}

#[test]
fn list_shows_the_beginning_of_a_script() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs/lines.toml",
        "command = ['sh', '-c', '''first\nsecond''']\n",
    );
    let long = "é".repeat(100);
    sandbox.write("jobs/long.toml", format!("command = ['{long}']\n"));
    let list = sandbox.run("list");
    list.code(0)
        .out("sh -c 'first…  ")
        .out(&format!(" {}…  ", &long[..2 * 60]));
    let json = sandbox.run("list --output json").json();
    assert!(json.to_string().contains("second") && json.to_string().contains(&long));
}

/// The jobs that are listed, but for those of the machine.
fn listed(sandbox: &Sandbox) -> Vec<Json> {
    let json = sandbox.run("list --output json").json();
    let jobs = json.as_array().unwrap().iter();
    let is_ours = |job: &&Json| !job["defined_in"].as_str().unwrap().starts_with("/etc/");
    jobs.filter(is_ours).cloned().collect()
}

#[test]
fn list_shows_what_where_and_why() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs/dump.toml",
        "description = 'Dump it'\ncommand = ['pg_dump', '-f', 'a b', \"it's\"]\n",
    );
    sandbox.write("jobs/bad.toml", "comand = []\n");
    sandbox.write("jobs/.hidden.toml", "");
    sandbox.write("jobs/notes.txt", "");
    std::fs::create_dir(sandbox.path().join("jobs/dir.toml")).unwrap();
    let list = sandbox.run("list");
    list.code(0)
        .out("NAME               DESCRIPTION")
        .out("dump               Dump it")
        .out("  -  ")
        .out("pg_dump -f 'a b' 'it'\\''s'")
        .out("jobs/dump.toml")
        .out("built-in backup")
        .out("compiled in")
        .err("warning: jobs/bad.toml:1:1: unknown key \"comand\" (did you mean \"command\"?)");
    sandbox
        .run("list backup")
        .code(0)
        .out("\n  failure-rate=0.0\n");
    let json = listed(&sandbox);
    let names = json.iter().map(|job| job["name"].as_str().unwrap());
    let names: Vec<&str> = names.collect();
    let demos = [
        "demo-flaky",
        "demo-orders",
        "demo-probe",
        "demo-satisfaction",
    ];
    let (files, others) = (["backup", "bad"], ["dump", "probe", "random"]);
    assert_eq!(names, [&files[..], &demos, &others].concat());
    assert_eq!(json[0]["method"], "post");
    assert_eq!(json[0]["job"], "db_backup");
    assert_eq!(json[6]["defined_in"], "jobs/dump.toml");
}

#[test]
fn one_job_is_listed_with_all_that_can_be_set() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs/nightly.toml",
        "description = 'Back up'\nbuiltin = 'backup'\nschedule = '0 2 * * *'\ntimezone = 'Europe/Berlin'\n\
         jitter = '1m'\ntimeout = '1h'\nretries = 2\nparams = { records = 7 }\n\
         [grouping]\ndb = 'a'\nzone = 'z'\n",
    );
    let list = sandbox.run("list nightly");
    for line in [
        "nightly",
        "  description Back up",
        "  runs        built-in backup",
        "  file        jobs/nightly.toml",
        "  grouping    db=a,zone=z",
        "  schedule    0 2 * * * (Europe/Berlin)",
        "  jitter      1m",
        "  timeout     1h",
        "  retries     2",
        "  records=7",
        "  seed (no value)",
        "      Simulation: how many records it processes",
    ] {
        list.code(0).out(&format!("{line}\n"));
    }
    list.out("  next        20");
    let json = sandbox.run("list nightly --output json").code(0).json();
    let all = sandbox.run("list --output json").json();
    let mut listed = all.as_array().unwrap().iter();
    assert_eq!(Some(&json[0]), listed.find(|job| job["name"] == "nightly"));
    assert_eq!(json[0]["parameters"][2]["value"], "7");
    assert!(json[0]["plan"]["next_timestamp_seconds"].as_f64() > Some(1.7e9));
    // By its path, and without any schedule.
    sandbox.write("other.toml", "command = ['true']\n");
    sandbox
        .run("list ./other.toml")
        .code(0)
        .out("  schedule    none: it runs on request\n");
    sandbox
        .run("list nigthly")
        .code(2)
        .err("did you mean \"nightly\"?");
    sandbox.write("jobs/typo.toml", "comand = []\n");
    sandbox
        .run("list typo")
        .code(2)
        .err("unknown key \"comand\"");
}

#[test]
fn list_shows_when_jobs_run() {
    let sandbox = Sandbox::new().variable("TZ", "Asia/Kolkata");
    let job = |name: &str, keys: &str| {
        let file = format!("jobs/{name}.toml");
        sandbox.write(&file, format!("command = ['true']\n{keys}"));
    };
    job(
        "cron",
        "schedule = '0  2 * * mon-fri'\ntimezone = 'europe/berlin'\n",
    );
    job(
        "every",
        "every = '1h 30m'\njitter = '1500ms'\nmissed = 'run-once'\n",
    );
    job("local", "schedule = '@daily'\noverlap = 'queue'\n");
    job("told", "overlap = 'allow'\n");
    sandbox
        .run("list")
        .code(0)
        .out("  SCHEDULE ")
        .out("  0 2 * * mon-fri (Europe/Berlin)  true")
        .out("  every 1h 30m ")
        .out("  @daily (Asia/Kolkata) ");
    let json = listed(&sandbox);
    let jobs = json.iter().filter(|job| job["is_demo"] == false);
    let jobs: Vec<&Json> = jobs.collect();
    let [_, cron, every, local, _, _, told] = jobs[..] else {
        panic!("{json:?}");
    };
    let plan = |schedule: &str, timezone: Option<&str>, jitter: f64, missed: &str| {
        serde_json::json!({
            "schedule": schedule,
            "timezone": timezone,
            "jitter_seconds": jitter,
            "missed": missed,
        })
    };
    let mut planned = every["plan"].clone();
    for next in ["next_timestamp", "next_timestamp_seconds"] {
        assert!(
            !planned
                .as_object_mut()
                .unwrap()
                .remove(next)
                .unwrap()
                .is_null()
        );
    }
    assert_eq!(planned, plan("every 1h 30m", None, 1.5, "run-once"));
    assert_eq!(cron["plan"]["schedule"], "0 2 * * mon-fri");
    assert_eq!(cron["plan"]["timezone"], "Europe/Berlin");
    assert_eq!(cron["plan"]["missed"], "skip");
    assert_eq!(cron["overlap"], "skip");
    assert_eq!(local["plan"]["timezone"], "Asia/Kolkata");
    assert_eq!(local["overlap"], "queue");
    assert!(told["plan"].is_null());
    assert_eq!(told["overlap"], "allow");
    // What it says about schedules does not hinder a run that somebody asks for.
    sandbox.run("run cron --no-push").code(0);
}

#[test]
fn every_problem_of_a_schedule_has_its_place() {
    let sandbox = Sandbox::new();
    for (keys, problem) in [
        (
            "schedule = '0 25 * * *'",
            "2:12: schedule \"0 25 * * *\" is not a cron expression: hour \"25\" must be a number from 0 to 23",
        ),
        ("schedule = 5", "2:12: schedule must be a string"),
        (
            "schedule = '@reboot'",
            "2:12: schedule \"@reboot\" is not a time:",
        ),
        (
            "schedule = '0 0 30 feb *'",
            "2:12: schedule \"0 0 30 feb *\" is never due: there is no such day",
        ),
        (
            "every = '5 hor'",
            "2:9: every \"5 hor\" is not a duration: unknown time unit \"hor\"",
        ),
        (
            "every = '0s'",
            "2:9: every \"0s\" must not be shorter than 100ms",
        ),
        (
            "schedule = '@daily'\n every = '1d'",
            "3:2: a job has either schedule or every, not both",
        ),
        (
            "schedule = '@daily'\ntimezone = 'Europe/Berln'",
            "3:12: timezone \"Europe/Berln\" is not a time zone of this machine (did you mean \"Europe/Berlin\"?)",
        ),
        (
            "every = '1d'\ntimezone = 'Europe/Berlin'",
            "3:1: timezone is for schedule: every is the same in all zones",
        ),
        (
            "timezone = 'Europe/Berlin'",
            "2:1: timezone is for a job with a schedule: give schedule = \"…\" or every = \"…\"",
        ),
        (" jitter = '5s'", "2:2: jitter is for a job with a schedule"),
        (
            "missed = 'skip'",
            "2:1: missed is for a job with a schedule",
        ),
        (
            "every = '5s'\nmissed = 'once'",
            "3:10: missed \"once\" is unknown",
        ),
        (
            "overlap = 'que'",
            "2:11: overlap \"que\" is unknown (did you mean \"queue\"?)",
        ),
        (
            "shedule = '@daily'\njitter = '5s'",
            "2:1: unknown key \"shedule\" (did you mean \"schedule\"?)",
        ),
    ] {
        sandbox.write("jobs/bad.toml", format!("command = ['a']\n{keys}\n"));
        let check = sandbox.run("check jobs/bad.toml");
        check
            .code(2)
            .err(&format!("error: jobs/bad.toml:{problem}"));
        assert_eq!(check.stderr().lines().count(), 1, "{}", check.stderr());
    }
    let bad_twice = "command = ['a']\nschedule = '* 25 * * *'\ntimezone = 'x'\n";
    sandbox.write("jobs/bad.toml", bad_twice);
    let check = sandbox.run("check jobs/bad.toml");
    check.code(2).err("2:12: schedule").err("3:12: timezone");
}

/// As in many containers.
#[test]
fn a_machine_without_time_zone_files() {
    let sandbox = Sandbox::new();
    // Of a directory without any file the default one would take the place.
    sandbox.write("zoneinfo/zone.tab", "");
    let dir = sandbox.path().join("zoneinfo").display().to_string();
    let sandbox = sandbox.variable("TZDIR", &dir);
    let job =
        |zone: &str| format!("command = ['true']\nschedule = '@daily'\ntimezone = '{zone}'\n");
    sandbox.write("jobs/berlin.toml", job("Europe/Berlin"));
    sandbox
        .run("check jobs/berlin.toml")
        .code(2)
        .err("3:12: timezone \"Europe/Berlin\" cannot be looked up: this machine has no time zone files (install the package tzdata)");
    sandbox.write("jobs/utc.toml", job("UTC"));
    sandbox.run("check jobs/utc.toml").code(0);
}

#[test]
fn every_key_is_used() {
    let sandbox = Sandbox::new();
    let file = "\
description = 'All of it'
job = 'the job'
prefix = 'pre:fix_1'
method = 'PUT'
builtin = 'backup'

[grouping]
db = 'customers'

[params]
records = 5
duration = '0s'
failure-rate = 0.0
";
    sandbox.write("jobs/all.toml", file);
    sandbox
        .run("run all --dry-run")
        .code(0)
        .out("PUT embedded:/metrics/job/the%20job/db/customers\n")
        .out("\npre:fix_1_records_processed 5\n");
}

#[test]
fn the_job_and_the_prefix_have_defaults() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/nightly-dump.toml", "command = ['true']\n");
    sandbox
        .run("run nightly-dump --dry-run")
        .code(0)
        .out("POST embedded:/metrics/job/nightly-dump\n")
        .out("\nbatch_job_success 1\n");
}

#[test]
fn every_problem_has_its_place() {
    let sandbox = Sandbox::new();
    for (text, problem) in [
        (
            "",
            "1:1: nothing to run: give command = [\"…\"] or builtin = \"…\" (known: backup, demo-orders, demo-satisfaction, json, probe, random)",
        ),
        (
            "builtin = 'backup'\nhttp_params = ['record']\n",
            "2:16: http_params \"record\": the built-in backup has no such parameter (did you mean \"records\"?)",
        ),
        (
            "builtin = 'backup'\nhttp_params = 'records'\n",
            "2:15: http_params must be a list of names of parameters, but is of type string",
        ),
        (
            "command = ['a']\nhttp_params = ['records']\n",
            "2:1: http_params are a built-in's, and this job runs a command",
        ),
        (
            "command = ['a']\ncolour = 1\n",
            "2:1: unknown key \"colour\"",
        ),
        (
            "command = ['a']\nmetod = 'put'\n",
            "2:1: unknown key \"metod\" (did you mean \"method\"?)",
        ),
        (
            "command = ['a']\nmethod = 'patch'\n",
            "2:10: unknown method \"patch\" (put replaces the group, post adds to it)",
        ),
        (
            "command = ['a']\nmethod = 1\n",
            "2:10: method must be a string, but is of type integer",
        ),
        (
            "command = ['a']\nprefix = 'a-b'\n",
            "2:10: prefix \"a-b\" cannot begin a metric name",
        ),
        (
            "command = ['a']\nprefix = ''\n",
            "2:10: prefix \"\" cannot begin",
        ),
        ("command = ['a']\njob = ''\n", "2:7: job must not be empty"),
        (
            "command = 'a b'\n",
            "1:11: command must be a list of strings, the program and its arguments, but is of type string",
        ),
        ("command = []\n", "1:11: command names no program"),
        ("command = ['']\n", "1:11: command names no program"),
        (
            "command = ['a', 1]\n",
            "1:17: command must be a string, but is of type integer",
        ),
        (
            "command = [\"a\\u0000\"]\n",
            "1:11: command has a word with a NUL",
        ),
        (
            "command = ['a']\nbuiltin = 'backup'\n",
            "1:1: a job has either builtin or command, not both",
        ),
        (
            "builtin = 'bakup'\n",
            "1:11: no built-in is called \"bakup\" (did you mean \"backup\"?)",
        ),
        (
            "command = ['a']\n[params]\na = 1\n",
            "2:2: params are a built-in's, and this job runs a command",
        ),
        (
            "builtin = 'backup'\n[params]\n  record = 1\n",
            "3:12: params.record: the built-in backup has no such parameter (did you mean \"records\"?)",
        ),
        (
            "builtin = 'backup'\n[params]\nduration = '1 hor'\n",
            "3:12: params.duration \"1 hor\" is not a duration: unknown time unit \"hor\"",
        ),
        (
            "builtin = 'backup'\n[params]\nduration = ['1h']\n",
            "3:12: params.duration \"1h\" is a list, and must be one value",
        ),
        (
            "builtin = 'backup'\n[params]\nduration = { h = 1 }\n",
            "3:12: params.duration is a table, but must be a string, a number or a list of strings",
        ),
        (
            "builtin = 'backup'\n[params]\nsource = 'a'\n",
            "3:10: params.source needs the parameter \"dest\" beside it",
        ),
        (
            "command = ['a']\ngrouping = 'a'\n",
            "2:12: grouping must be a table, but is of type string",
        ),
        (
            "command = ['a']\n[grouping]\njob = 'a'\n",
            "3:1: grouping label \"job\" is the grouping key's own",
        ),
        (
            "command = ['a']\n[grouping]\n\"a-b\" = 'a'\n",
            "3:1: grouping label \"a-b\" is not a label name",
        ),
        (
            "command = ['a']\n[grouping]\nshard = 3\n",
            "3:9: shard must be a string, but is of type integer",
        ),
        ("command = ['a'\n", "1:"),
        ("command = ['a']\ncommand = ['b']\n", "2:1: duplicate key"),
        ("# ümläut\n\"é\" = 1; x\n", "2:7: "),
    ] {
        let file = sandbox.write("jobs/bad.toml", text);
        let check = sandbox.run("check jobs/bad.toml");
        check
            .code(2)
            .err(&format!("error: jobs/bad.toml:{problem}"));
        assert_eq!(check.stdout(), "", "{text}");
        sandbox.run("run bad").code(2).err(problem);
        std::fs::remove_file(file).unwrap();
    }
    assert!(!sandbox.state_db().exists());
}

#[test]
fn check_shows_all_problems_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/a.toml", "method = 1\nprefix = 2\ncomand = 3\n");
    sandbox.write("jobs/b.toml", says("b"));
    let check = sandbox.run("check");
    let expected = "\
error: jobs/a.toml:1:10: method must be a string, but is of type integer
error: jobs/a.toml:2:10: prefix must be a string, but is of type integer
error: jobs/a.toml:3:1: unknown key \"comand\" (did you mean \"command\"?)
";
    check.code(2);
    assert_eq!(check.stderr(), expected);
    let expected = "\
jobs/b.toml: ok
backup (compiled in): ok
demo-flaky (compiled in): ok
demo-orders (compiled in): ok
demo-probe (compiled in): ok
demo-satisfaction (compiled in): ok
probe (compiled in): ok
random (compiled in): ok
";
    let lines = check.stdout();
    let ours = lines.lines().filter(|line| !line.starts_with("/etc/"));
    assert_eq!(ours.collect::<Vec<_>>().join("\n") + "\n", expected);
    let json = sandbox
        .run("check --output json jobs/a.toml jobs/b.toml")
        .code(2)
        .json();
    assert_eq!(json[0]["problems"].as_array().unwrap().len(), 3);
    assert_eq!(json[1]["ok"], true);
}

#[test]
fn many_problems_are_not_all_shown() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/broken.toml", "=\n".repeat(60_000));
    let check = sandbox.run("check jobs/broken.toml");
    assert!((1..=10).contains(&check.code(2).stderr().lines().count()));
    // Ten thousand keys that nobody knows, in a moment.
    let keys: String = (0..10_000).map(|n| format!("k{n} = 1\n")).collect();
    sandbox.write("jobs/keys.toml", keys);
    let check = sandbox.run("check jobs/keys.toml");
    check
        .code(2)
        .err("jobs/keys.toml:10000:1: unknown key \"k9999\"");
    sandbox.write(
        "jobs/params.toml",
        "builtin = 'backup'\nparams = { record = 1, seeed = 2 }\n",
    );
    sandbox
        .run("check jobs/params.toml")
        .code(2)
        .err("2:21: params.record")
        .err("2:32: params.seeed");
}

#[test]
fn files_that_are_no_job_files() {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/binary.toml", b"job = 'a'\nx = '\xff'\n");
    sandbox
        .run("check jobs/binary.toml")
        .code(2)
        .err("jobs/binary.toml:2: the line is not UTF-8");
    std::fs::File::create(sandbox.path().join("jobs/huge.toml"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    sandbox
        .run("check jobs/huge.toml")
        .code(2)
        .err("could not read the job file jobs/huge.toml: it is larger than");
    sandbox
        .run("check nothing.toml")
        .code(2)
        .err("could not read the job file nothing.toml: No such file");
    sandbox
        .run("run nothing.toml")
        .code(2)
        .err("could not read the job file nothing.toml: No such file");
}

/// The job files of the repository are good, and `check` without a file finds them.
#[test]
fn the_shipped_job_files_are_good() {
    let sandbox = Sandbox::new();
    let jobs = concat!(env!("CARGO_MANIFEST_DIR"), "/jobs");
    let check = sandbox.run(&format!("check --jobs-dir {jobs}"));
    check
        .code(0)
        .out("jobs/backup.toml: ok")
        .out("jobs/random.toml: ok")
        .quiet_stderr();
}

/// A failed run of such a job leaves nothing of the last success at the gateway.
#[test]
fn put_with_a_deadline_is_warned_about() {
    let sandbox = Sandbox::new();
    let job = |name: &str, more: &str| {
        let path = format!("jobs/{name}.toml");
        sandbox.write(&path, format!("command = ['true']\n{more}"));
        sandbox.run(&format!("check {path}"))
    };
    let warned = |name: &str, by: &str| {
        format!(
            "warning: jobs/{name}.toml: with method \"put\" a failed run erases the last success, after which {by} says \
             when the next one is due (try method = \"post\")\n"
        )
    };
    for (name, more, by) in [
        ("aged", "method = 'put'\nmax_age = '26h'\n", "max_age"),
        (
            "planned",
            "method = 'put'\nschedule = '@daily'\n",
            "the schedule",
        ),
        ("often", "method = 'put'\nevery = '1m'\n", "the schedule"),
        (
            "both",
            "method = 'put'\nevery = '1m'\nmax_age = '2m'\n",
            "max_age",
        ),
    ] {
        let check = job(name, more);
        check.code(0).out(&format!("jobs/{name}.toml: ok\n"));
        assert_eq!(check.stderr(), warned(name, by));
    }
    job("put", "method = 'put'\nmax_duration = '1h'\n")
        .code(0)
        .quiet_stderr();
    job("post", "max_age = '26h'\n").code(0).quiet_stderr();

    // A problem in another file keeps neither back, and decides on the exit code.
    sandbox.write("jobs/bad.toml", "command = 3\n");
    let check = sandbox.run("check jobs/aged.toml jobs/bad.toml jobs/put.toml --output json");
    check.code(2).err(&warned("aged", "max_age"));
    let json = check.json();
    let warning = warned("aged", "max_age");
    let warning = warning.trim_end().split_once(".toml: ").unwrap().1;
    assert_eq!(json[0]["ok"], true);
    assert_eq!(json[0]["warnings"], serde_json::json!([warning]));
    assert_eq!(json[1]["ok"], false);
    assert_eq!(json[1]["warnings"], serde_json::json!([]));
    assert_eq!(json[2]["warnings"], serde_json::json!([]));
}

/// The config file can give a job its method or its deadline.
#[test]
fn an_inherited_put_with_a_deadline_is_warned_about() {
    const CONFIG: &str = ".config/metricsjob/metricsjob.toml";
    const WARNING: &str = "with method \"put\" a failed run erases the last success";
    let sandbox = Sandbox::new();
    sandbox.write("jobs/aged.toml", "command = ['true']\nmax_age = '1h'\n");
    let own = "command = ['true']\nmax_age = '1h'\nmethod = 'post'\n";
    sandbox.write("jobs/own.toml", own);
    sandbox.write(CONFIG, "method = 'put'\n");
    let check = sandbox.run("check jobs/aged.toml jobs/own.toml");
    check.code(0).err(&format!("jobs/aged.toml: {WARNING}"));
    assert_eq!(check.stderr().lines().count(), 1, "{}", check.stderr());
    sandbox.write(CONFIG, "max_age = '1d'\n");
    let check = sandbox.run("check");
    check
        .code(0)
        .err(&format!("random (compiled in): {WARNING}"));
    assert!(!check.stderr().contains("aged"), "{}", check.stderr());
}
