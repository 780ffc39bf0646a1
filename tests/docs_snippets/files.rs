//! Files, by the paths in their first lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use super::command_line::{check_command, check_script};
use crate::common::curl::finished;
use crate::common::{Authority, Finished, Sandbox, US};

/// The path that the first line of a file gives, which is a comment, and the rest of that line.
fn path(text: &str) -> Result<&str, String> {
    let first = text.lines().next().unwrap_or_default();
    let path = first.strip_prefix("# ").filter(|path| !path.is_empty());
    path.ok_or_else(|| format!("the first line is no comment with the file's path, but {first:?}"))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// An error with the output of a program that did not succeed.
fn succeeded(run: &Finished) -> Result<(), String> {
    if run.code_is(0) {
        Ok(())
    } else {
        Err(format!("{}{}", run.stdout(), run.stderr()))
    }
}

/// Fails if the run failed or warned of something.
fn succeeded_quietly(run: &Finished) -> Result<(), String> {
    if run.stderr().is_empty() {
        succeeded(run)
    } else {
        Err(format!("{}{}", run.stdout(), run.stderr()))
    }
}

/// A file that a program is to check, under its own name.
fn run_on(text: &str, path: &str, program: &str, arguments: &[&str]) -> Result<(), String> {
    let sandbox = Sandbox::new();
    let file = sandbox.write(name(path), text);
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(file)
        .current_dir(sandbox.path());
    succeeded(&finished(&mut command))
}

/// A program that `scripts/test` installs below target.
fn installed(program: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target")
        .join(program);
    assert!(path.exists(), "scripts/test installs it: {path:?}");
    path
}

pub fn check_toml(text: &str) -> Result<usize, String> {
    let path = path(text)?;
    let (path, is_part) = match path.strip_prefix("in ") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    let sandbox = Sandbox::new();
    let name = name(path);
    if name == "metricsjob.toml" {
        let file = sandbox.write(name, text);
        succeeded_quietly(&sandbox.run(&format!("config show --config {}", file.display())))?;
        return Ok(0);
    }
    if !path.contains("jobs/") || !name.ends_with(".toml") {
        return Err(format!(
            "{path:?} is no path of a job file or a config file"
        ));
    }
    let has_command = ["command", "builtin"]
        .iter()
        .any(|key| table.contains_key(*key));
    let text = if is_part && !has_command {
        format!("command = ['true']\n{text}")
    } else {
        text.to_owned()
    };
    sandbox.write(&format!("jobs/{name}"), text);
    let checked = sandbox.run_args(["check", &format!("jobs/{name}")]);
    succeeded_quietly(&checked)?;
    let words = table.get("command").and_then(toml::Value::as_array);
    let words = words.into_iter().flatten().filter_map(toml::Value::as_str);
    check_command(&words.map(str::to_owned).collect::<Vec<_>>())
}

pub fn check_json(text: &str) -> Result<usize, String> {
    let parsed: Result<Json, _> = serde_json::from_str(text);
    parsed.map(|_| 0).map_err(|error| error.to_string())
}

pub fn check_yaml(text: &str) -> Result<usize, String> {
    let path = path(text)?;
    let documents = yaml_documents(text)?;
    let schema = |schema| {
        let program = installed("schemas/bin/check-jsonschema");
        let arguments = ["--builtin-schema", schema];
        run_on(text, path, program.to_str().unwrap(), &arguments)
    };
    match name(path) {
        _ if path.starts_with("kubernetes/") => {
            let mut command = Command::new(installed("kubernetes/bin/python"));
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/manifests.py");
            let sandbox = Sandbox::new();
            let file = sandbox.write("manifests.yaml", text);
            command.arg(script).stdin(fs::File::open(file).unwrap());
            succeeded_quietly(&finished(&mut command))?;
        }
        _ if path.contains(".github/workflows/") => schema("vendor.github-workflows")?,
        ".gitlab-ci.yml" => schema("vendor.gitlab-ci")?,
        "compose.yml" => schema("vendor.compose-spec")?,
        "prometheus.yml" => run_on(
            text,
            path,
            "promtool",
            &["check", "config", "--syntax-only"],
        )?,
        "rules.yml" => run_on(text, path, "promtool", &["check", "rules", "--lint-fatal"])?,
        "web.yml" => check_web_config(text)?,
        "alertmanager.yml" => run_on(text, path, "amtool", &["check-config"])?,
        // Grafana reads it as it is, and has no program to check it.
        _ if path.contains("grafana/provisioning/") && documents[0]["apiVersion"].is_u64() => {}
        _ => return Err(format!("no program is known that reads {path}")),
    }
    check_commands_in(&Json::Array(documents))
}

/// Returns YAML as JSON.
fn yaml_documents(text: &str) -> Result<Vec<Json>, String> {
    let sandbox = Sandbox::new();
    let file = sandbox.write("file.yml", text);
    let program = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin)), default=str))";
    let mut python = Command::new(installed("containers/bin/python"));
    python
        .args(["-c", program])
        .stdin(fs::File::open(file).unwrap());
    let run = finished(&mut python);
    succeeded(&run)?;
    Ok(run.json().as_array().unwrap().clone())
}

/// Checks the command lines in a workflow, a pipeline, a manifest or a compose file.
fn check_commands_in(value: &Json) -> Result<usize, String> {
    let texts = |list: &Json| -> Vec<String> {
        let texts = list.as_array().into_iter().flatten();
        texts.filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let mut count = 0;
    match value {
        Json::Array(values) => {
            for value in values {
                count += check_commands_in(value)?;
            }
        }
        Json::Object(fields) => {
            let image = fields
                .get("image")
                .and_then(Json::as_str)
                .unwrap_or_default();
            let is_our_image = image
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .starts_with("metricsjob");
            for (key, value) in fields {
                count += match (&**key, value) {
                    ("run" | "script" | "before_script" | "after_script", Json::String(script)) => {
                        check_shell(script)?
                    }
                    ("script" | "before_script" | "after_script", Json::Array(_)) => {
                        check_shell(&texts(value).join("\n"))?
                    }
                    ("command" | "args" | "entrypoint", Json::Array(_)) => {
                        let mut words = texts(value);
                        // The image's entry point; in Kubernetes `command` takes its place.
                        let entry = if fields.contains_key("args") {
                            "args"
                        } else {
                            "command"
                        };
                        let replaced = ["entrypoint", "command"].iter();
                        let is_replaced = replaced.filter(|name| **name != entry);
                        if is_our_image
                            && key == entry
                            && !is_replaced.clone().any(|name| fields.contains_key(*name))
                        {
                            words.insert(0, "metricsjob".into());
                        }
                        check_command(&words)?
                    }
                    _ => check_commands_in(value)?,
                };
            }
        }
        _ => {}
    }
    Ok(count)
}

/// Checks a script by `bash -n`, and the command lines in it.
pub fn check_shell(script: &str) -> Result<usize, String> {
    let sandbox = Sandbox::new();
    let file = sandbox.write("script", script);
    succeeded_quietly(&finished(Command::new("bash").arg("-n").arg(file)))?;
    check_script(script)
}

pub fn check_promql(text: &str) -> Result<usize, String> {
    let indented: String = text.lines().map(|line| format!("      {line}\n")).collect();
    let rules =
        format!("groups:\n- name: page\n  rules:\n  - alert: Example\n    expr: |\n{indented}");
    run_on(&rules, "rules.yml", "promtool", &["check", "rules"]).map(|()| 0)
}

/// Checks lines of a crontab: their times by cron's own parser, their commands as a shell gets them.
pub fn check_crontab(text: &str) -> Result<usize, String> {
    let is_of_system = text.starts_with("# /etc/cron");
    let mut count = 0;
    let mut lines = String::new();
    for line in text.lines() {
        let is_entry = line.starts_with(|c: char| c.is_ascii_digit() || "*@".contains(c));
        if !is_entry {
            lines += &format!("{line}\n");
            continue;
        }
        let fields = if line.starts_with('@') { 1 } else { 5 } + usize::from(is_of_system);
        let (mut times, mut rest) = (Vec::new(), line);
        for _ in 0..fields {
            let (field, behind) = rest
                .split_once([' ', '\t'])
                .ok_or_else(|| format!("{line}: fewer than {fields} fields and a command"))?;
            times.push(field);
            rest = behind.trim_start();
        }
        if is_of_system {
            // The user.
            times.pop();
        }
        let unescaped = rest.replace("\\%", "");
        if unescaped.contains('%') {
            return Err(format!(
                "{line}: cron ends the command at a % without a backslash"
            ));
        }
        count += check_shell(&rest.replace("\\%", "%"))?;
        lines += &format!("{} {rest}\n", times.join(" "));
    }
    run_on(&lines, "crontab", "crontab", &["-n"])?;
    Ok(count)
}

/// Checks a unit by `systemd-analyze verify`, with the built program and others that exist; what is added to a unit together
/// with that.
pub fn check_unit(text: &str) -> Result<usize, String> {
    let path = path(text)?;
    let sandbox = Sandbox::new();
    let mut count = 0;
    let mut unit = String::new();
    for line in text.replace("\\\n", " ").lines() {
        let setting = line.split_once('=');
        match setting.filter(|(key, command)| key.starts_with("Exec") && !command.is_empty()) {
            Some((key, command)) => {
                count += check_script(command.trim_start_matches(['-', '@', '+', '!', ':']))?;
                unit += &format!("{key}=/bin/true\n");
            }
            None => unit += &format!("{line}\n"),
        }
    }
    let file = match path.split_once(".d/") {
        Some((changed, added)) => {
            let name = name(changed);
            sandbox.write(&format!("{name}.d/{added}"), unit);
            let shipped = format!("{}/scripts/examples/{name}", env!("CARGO_MANIFEST_DIR"));
            let shipped =
                fs::read_to_string(shipped).unwrap_or("[Service]\nExecStart=/bin/true\n".into());
            sandbox.write(name, shipped.replace("/usr/local/bin/metricsjob", &US))
        }
        None => sandbox.write(name(path), unit),
    };
    let started = [".timer", ".socket"]
        .iter()
        .find_map(|end| file.to_str()?.strip_suffix(end));
    if let Some(started) = started {
        fs::write(
            format!("{started}.service"),
            "[Service]\nExecStart=/bin/true\n",
        )
        .unwrap();
    }
    let mut command = Command::new("systemd-analyze");
    command
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(file);
    succeeded_quietly(&finished(&mut command))?;
    Ok(count)
}

/// A web config file, with certificates in place of those that it names.
fn check_web_config(text: &str) -> Result<(), String> {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    let server = authority.server("localhost");
    let mut written = String::new();
    for line in text.lines() {
        let pem = match line.trim().split_once(": ") {
            Some(("cert_file", _)) => server.certificate_pem(),
            Some(("key_file", _)) => server.key_pem(),
            Some(("client_ca_file", _)) => authority.pem(),
            _ => {
                written += &format!("{line}\n");
                continue;
            }
        };
        let (key, _) = line.split_once(": ").unwrap();
        let file = sandbox.write(key.trim(), pem);
        written += &format!("{key}: {}\n", file.display());
    }
    run_on(&written, "web.yml", "promtool", &["check", "web-config"])
}

/// Checks that Rust can be parsed; a part of a program need not be a whole one.
pub fn check_rust(text: &str) -> Result<usize, String> {
    let text = if text.contains("fn main()") {
        text.to_owned()
    } else {
        format!("fn part() {{\n{text}\n}}\n")
    };
    let arguments = ["--edition", "2024", "--emit", "stdout"];
    run_on(&text, "part.rs", "rustfmt", &arguments).map(|()| 0)
}
