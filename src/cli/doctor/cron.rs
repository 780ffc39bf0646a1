//! Crontabs that call this program, which cron looks for in a short `PATH`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{AccessFlags, access};

use super::Findings;

const PART: &str = "cron";

/// The program's name in a crontab.
const PROGRAM: &str = "metricsjob";

/// `PATH` of cron's jobs where the crontab does not set one, as in Debian's crontab(5).
const CRON_PATH: &str = "/usr/bin:/bin";

/// A crontab and its text.
struct Crontab {
    name: String,
    text: String,
}

pub fn check(findings: &mut Findings) {
    let ours = env::current_exe().unwrap_or_else(|_| PathBuf::from(PROGRAM));
    let mut calls = 0;
    let before = findings.0.len();
    for crontab in crontabs() {
        calls += look(&crontab, &ours, findings);
    }
    if findings.is_any_bad_since(before) {
        return;
    }
    findings.ok(
        PART,
        match calls {
            0 if in_path(CRON_PATH, PROGRAM) => {
                format!("no crontab calls {PROGRAM}; cron would find it")
            }
            0 => format!(
                "no crontab calls {PROGRAM}; cron, whose PATH is {CRON_PATH}, would need its path: {}",
                ours.display()
            ),
            1 => format!("the line that calls {PROGRAM} finds it"),
            calls => format!("all {calls} lines that call {PROGRAM} find it"),
        },
    );
}

/// The crontabs that this user can read: its own and the system's.
fn crontabs() -> Vec<Crontab> {
    let mut found = Vec::new();
    let own = Command::new("crontab")
        .arg("-l")
        .stdin(Stdio::null())
        .output();
    if let Ok(own) = own
        && own.status.success()
    {
        found.push(Crontab {
            name: "this user's crontab".into(),
            text: String::from_utf8_lossy(&own.stdout).into_owned(),
        });
    }
    let parts = fs::read_dir("/etc/cron.d").into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = parts.map(|part| part.path()).collect();
    files.push("/etc/crontab".into());
    files.sort();
    for path in files {
        if let Ok(text) = fs::read(&path) {
            found.push(Crontab {
                name: path.display().to_string(),
                text: String::from_utf8_lossy(&text).into_owned(),
            });
        }
    }
    found
}

/// Checks the calls in `crontab`, and returns their number.
fn look(crontab: &Crontab, ours: &Path, findings: &mut Findings) -> u64 {
    let mut path = CRON_PATH.to_owned();
    let mut calls = 0;
    for (index, line) in crontab.text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if let Some(value) = assigned_path(line) {
            path = value.to_owned();
            continue;
        }
        for called in called(line) {
            calls += 1;
            let why = if called.contains('/') {
                (!is_executable(Path::new(called))).then(|| format!("there is no program {called}"))
            } else {
                (!in_path(&path, called)).then(|| format!("its PATH ({path}) has no {called}"))
            };
            if let Some(why) = why {
                findings.fail(
                    PART,
                    format!("{}, line {}: {why}", crontab.name, index + 1),
                    format!("write {} there", ours.display()),
                );
            }
        }
    }
    calls
}

/// The value of a line that sets `PATH`.
fn assigned_path(line: &str) -> Option<&str> {
    let (name, value) = line.split_once('=')?;
    let unquoted = value.trim().trim_matches(['"', '\'']);
    (name.trim() == "PATH").then_some(unquoted)
}

/// The words of a line that name this program where a command can stand.
fn called(line: &str) -> impl Iterator<Item = &str> {
    // A path to it, or its bare name; not a file such as `metricsjob.toml`, nor a directory of its name.
    let words = line.split(|symbol: char| symbol.is_whitespace() || ";&|()`\"'".contains(symbol));
    words.filter(|word| {
        let name = word.rsplit('/').next();
        let is_path = word.starts_with('/') && !Path::new(word).is_dir();
        name == Some(PROGRAM) && (is_path || !word.contains('/'))
    })
}

fn in_path(path: &str, program: &str) -> bool {
    let mut dirs = path.split(':');
    dirs.any(|dir| is_executable(&Path::new(dir).join(program)))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        let crontab = Crontab {
            name: "crontab".into(),
            text: text.into(),
        };
        look(&crontab, Path::new("/opt/metricsjob"), &mut findings);
        let messages = findings.0.into_iter().map(|finding| finding.message);
        messages.collect()
    }

    #[test]
    fn calls() {
        let called = |line| called(line).collect::<Vec<_>>();
        assert_eq!(called("* * * * * metricsjob run a"), ["metricsjob"]);
        assert_eq!(
            called("@daily root cd /x && /usr/bin/metricsjob exec -- y; metricsjob status"),
            ["/usr/bin/metricsjob", "metricsjob"]
        );
        assert_eq!(
            called("@daily x --config /etc/metricsjob/metricsjob.toml"),
            [""; 0]
        );
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join(PROGRAM);
        fs::create_dir(&dir).unwrap();
        let line = format!("@daily root cd {} && x", dir.display());
        assert_eq!(super::called(&line).count(), 0);
    }

    #[test]
    fn paths() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(PROGRAM);
        fs::copy("/bin/true", &program).unwrap();
        let (dir, program) = (dir.path().display(), program.display());
        let missing = "crontab, line 1: its PATH (/usr/bin:/bin) has no metricsjob";
        assert_eq!(problems("@daily metricsjob run a"), [missing]);
        assert_eq!(problems("# @daily metricsjob run a"), [""; 0]);
        assert_eq!(problems(&format!("@daily {program} run a")), [""; 0]);
        assert_eq!(
            problems(&format!("PATH={dir}\n@daily metricsjob run a")),
            [""; 0]
        );
        assert_eq!(
            problems(&format!("PATH = \"/a:{dir}\"\n@daily metricsjob x")),
            [""; 0]
        );
        assert_eq!(
            problems(&format!("@daily metricsjob x\nPATH={dir}")),
            [missing]
        );
        let gone = problems("@daily /no/metricsjob run a");
        assert_eq!(
            gone,
            ["crontab, line 1: there is no program /no/metricsjob"]
        );
    }
}
