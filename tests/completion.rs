//! Completion of command lines: by the protocol of the scripts, and in bash itself.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Sandbox, US, environment};

const VARIABLE: &str = "METRICSJOB_COMPLETE";

/// Candidates for the last of `words`, as the script of bash asks for them. An error must be silent.
fn candidates(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let index = words.len().to_string();
    let mut command = sandbox.command(["--", "metricsjob"].iter().chain(words));
    let command = command
        .env(VARIABLE, "bash")
        .env("_CLAP_COMPLETE_INDEX", index)
        .env("_CLAP_IFS", "\n");
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    assert!(output.status.success(), "{words:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().map(str::to_owned).collect()
}

fn jobs() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("jobs/nightly.toml", "command = ['true']\n");
    sandbox.write("jobs/night-shift.toml", "command = ['true']\n");
    sandbox.write("jobs/broken.toml", "command = [\n");
    sandbox
}

#[test]
fn jobs_of_the_catalog() {
    let sandbox = jobs();
    assert_eq!(
        candidates(&sandbox, &["run", "nigh"]),
        ["night-shift", "nightly"]
    );
    assert_eq!(candidates(&sandbox, &["run", "brok"]), ["broken"]);
    assert_eq!(candidates(&sandbox, &["run", "back"]), ["backup"]);
    assert_eq!(candidates(&sandbox, &["run", "nothing-like-it"]), [""; 0]);
    sandbox.write("others/elsewhere.toml", "command = ['true']\n");
    let words = ["run", "--jobs-dir", "others", "else"];
    assert_eq!(candidates(&sandbox, &words), ["elsewhere"]);
    let words = ["run", "--jobs-dir", "missing", "nigh"];
    assert_eq!(candidates(&sandbox, &words), [""; 0]);
    assert!(!sandbox.state_db().exists());
}

#[test]
fn parameters_of_the_typed_job() {
    let sandbox = jobs();
    let words = ["run", "random", "--set", "se"];
    assert_eq!(candidates(&sandbox, &words), ["seed="]);
    let words = ["run", "nightly", "--set", ""];
    assert_eq!(candidates(&sandbox, &words), [""; 0]);
}

#[test]
fn groups_of_the_embedded_gateway() {
    let sandbox = jobs();
    let words = ["delete", "--job", ""];
    assert_eq!(candidates(&sandbox, &words), [""; 0]);
    assert!(!sandbox.state_db().exists(), "a completion makes no state");
    for line in [
        "run nightly -g db=customers -g zone=a",
        "run nightly -g db=orders",
        "exec --job sync -g site=berlin -- true",
    ] {
        sandbox.run(line).code(0);
    }
    assert_eq!(candidates(&sandbox, &words), ["nightly", "sync"]);
    let words = ["delete", "--job", "nightly", "-g", "db"];
    assert_eq!(candidates(&sandbox, &words), ["db=customers", "db=orders"]);
    let words = ["delete", "--job=sync", "--grouping", ""];
    assert_eq!(candidates(&sandbox, &words), ["site=berlin"]);
    assert_eq!(candidates(&sandbox, &["history", "syn"]), ["sync"]);
    let words = ["delete", "--state-dir", "empty", "--job", ""];
    assert_eq!(candidates(&sandbox, &words), [""; 0]);
    assert!(!sandbox.path().join("empty").exists());
    std::fs::write(sandbox.state_db(), "no database").unwrap();
    // All of the database may still be in its log.
    let _ = std::fs::remove_file(sandbox.state_db().with_extension("db-wal"));
    assert_eq!(candidates(&sandbox, &["delete", "--job", ""]), [""; 0]);
    assert_eq!(
        std::fs::read(sandbox.state_db()).unwrap(),
        b"no database",
        "a completion changes nothing"
    );
}

#[test]
fn an_unknown_shell_is_not_told() {
    let sandbox = Sandbox::new().variable(VARIABLE, "tcsh");
    sandbox.run("-- metricsjob ru").code(0).quiet();
}

#[test]
fn an_empty_variable_is_none() {
    let sandbox = Sandbox::new().variable(VARIABLE, "");
    sandbox.run("--version").code(0).out("metricsjob ");
}

#[test]
fn scripts() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.run(&format!("generate completions {shell}"));
        script.code(0).out(VARIABLE);
    }
    sandbox
        .run("generate completions tcsh")
        .code(2)
        .err("invalid value 'tcsh'");
}

#[test]
fn in_bash() {
    let sandbox = jobs();
    let directory = Path::new(&*US).parent().unwrap().display();
    let script = format!(
        r#"PATH="{directory}:$PATH"
        source <(metricsjob generate completions bash)
        complete -p metricsjob
        COMP_WORDS=(metricsjob run nigh) COMP_CWORD=2 COMP_TYPE=9
        _clap_complete_metricsjob metricsjob nigh run
        printf '<%s>' "${{COMPREPLY[@]}}""#
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .current_dir(sandbox.path())
        .env_clear()
        .envs(environment(sandbox.path()))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        shown.contains("-F _clap_complete_metricsjob metricsjob"),
        "{output:?}"
    );
    assert!(shown.ends_with("<night-shift><nightly>"), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
