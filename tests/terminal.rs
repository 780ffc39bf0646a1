//! On a terminal: colours and progress bars. `script`, of util-linux, gives the process one.

use crate::common::{Finished, Sandbox, US, environment};

/// Runs `metricsjob` on a terminal; what it shows is in stdout.
fn on_a_terminal(sandbox: &Sandbox, line: &str) -> Finished {
    let command = format!("{} {line}", US);
    let mut script = std::process::Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(sandbox.path())
        .env_clear()
        .envs(environment(sandbox.path()))
        .env("TERM", "xterm-256color")
        .stdin(std::process::Stdio::null());
    for (name, value) in sandbox.variables() {
        script.env(name, value);
    }
    script.output().unwrap().into()
}

#[test]
fn a_progress_bar_ends_green() {
    let sandbox = Sandbox::new();
    let run = on_a_terminal(&sandbox, "run random --set iterations=60");
    run.code(0)
        .out("of 60 iterations, ")
        .out("/s, ")
        .out("s left")
        .out("[\u{1b}[32m===")
        .out("100% 60 of 60 iterations in ")
        .out("random: success in ");
    let bar = on_a_terminal(&sandbox, "run backup");
    bar.code(0).out("of 42 records");
    let quiet = on_a_terminal(&sandbox, "run backup --quiet");
    assert_eq!(quiet.code(0).stdout(), "");
}

#[test]
fn a_progress_bar_of_a_failure_ends_red() {
    let sandbox = Sandbox::new();
    let run = on_a_terminal(&sandbox, "run random --set iterations=600 --timeout 300ms");
    let shown = run.code(124).out("[\u{1b}[31m=").stdout();
    assert!(!shown.contains("[\u{1b}[32m="), "{shown:?}");
    let sandbox = Sandbox::new().variable("NO_COLOR", "1");
    let plain = on_a_terminal(&sandbox, "run random --set iterations=60");
    let shown = plain.code(0).out("100% 60 of 60").stdout();
    assert!(!shown.contains("\u{1b}[3"), "{shown:?}");
}

#[test]
fn colours_unless_they_are_not_wanted() {
    let sandbox = Sandbox::new();
    on_a_terminal(&sandbox, "run nothing")
        .code(2)
        .out("\u{1b}[1m\u{1b}[31merror:");
    on_a_terminal(&sandbox, "list").code(0).out("\u{1b}[1mNAME");
    let sandbox = Sandbox::new().variable("NO_COLOR", "1");
    for line in ["run nothing", "list"] {
        let run = on_a_terminal(&sandbox, line);
        assert!(!run.stdout().contains('\u{1b}'), "{:?}", run.stdout());
    }
}
