//! Command lines of `metricsjob`, which the program reads without running them.

use super::shell;
use crate::common::Sandbox;

/// Programs that run a command, which is behind their own options and arguments.
const WRAPPERS: [&str; 13] = [
    "chronic",
    "env",
    "flock",
    "kubectl",
    "nice",
    "runuser",
    "setpriv",
    "srun",
    "ssh",
    "systemd-run",
    "timeout",
    "watch",
    "xargs",
];

/// Options of these whose value may be the name of ours: a user, a volume, a container.
const VALUED: [&str; 8] = ["-g", "-n", "-t", "-u", "-v", "--name", "--tag", "--user"];

/// Programs with an argument that is, or ends in, the name of ours.
const OTHERS: [&str; 19] = [
    "adduser",
    "apt",
    "apt-get",
    "cargo",
    "cat",
    "cd",
    "chmod",
    "chown",
    "cp",
    "dpkg",
    "git",
    "install",
    "journalctl",
    "ln",
    "ls",
    "man",
    "mkdir",
    "rm",
    "systemctl",
];

const KEYWORDS: [&str; 14] = [
    "!", "builtin", "command", "do", "elif", "else", "exec", "if", "nohup", "then", "time",
    "until", "while", "{",
];

/// Checks each command line of `metricsjob` in a script, and returns how many there are.
pub fn check_script(script: &str) -> Result<usize, String> {
    let mut count = 0;
    for words in shell::commands(script) {
        count += check_command(&words)?;
    }
    Ok(count)
}

/// Checks the words of a command, if it is one of `metricsjob` or runs one.
pub fn check_command(words: &[String]) -> Result<usize, String> {
    let is_before = |word: &&String| is_assignment(word) || KEYWORDS.contains(&&***word);
    let skipped = words.iter().take_while(is_before).count();
    let Some((program, arguments)) = words[skipped..].split_first() else {
        return Ok(0);
    };
    if is_ours(program) {
        return check(arguments);
    }
    let program = program.rsplit('/').next().unwrap_or_default();
    match program {
        "sh" | "bash" | "su" => {
            let script = arguments.iter().skip_while(|word| *word != "-c").nth(1);
            script.map_or(Ok(0), |script| check_script(script))
        }
        "sudo" => {
            let mut command = arguments;
            while let Some((option, rest)) = command
                .split_first()
                .filter(|(word, _)| word.starts_with('-'))
            {
                let has_value = VALUED.contains(&&**option);
                command = if has_value {
                    rest.get(1..).unwrap_or_default()
                } else {
                    rest
                };
            }
            check_command(command)
        }
        // The program is the package's.
        "cargo" if arguments.first().is_some_and(|word| word == "run") => {
            let mut ours = arguments.iter().skip_while(|word| *word != "--");
            let is_example = arguments
                .iter()
                .any(|word| word == "-p" || word == "--example");
            match ours.next() {
                Some(_) if !is_example => check(&ours.cloned().collect::<Vec<_>>()),
                _ => Ok(0),
            }
        }
        _ => {
            // A command in quotes, as for trap and ssh.
            let scripts = arguments
                .iter()
                .filter(|word| word.starts_with("metricsjob "));
            let count: Result<usize, String> = scripts.map(|script| check_script(script)).sum();
            if count.as_ref().map_or(true, |count| *count > 0) {
                return count;
            }
            let named = (0..arguments.len()).find(|&place| {
                let is_value = place > 0 && VALUED.contains(&&*arguments[place - 1]);
                is_ours(&arguments[place]) && !is_value
            });
            let Some(place) = named else {
                return Ok(0);
            };
            let behind = &arguments[place + 1..];
            // A place to run a command at, such as a pod, may have our name too.
            if let Some(("--", command)) = behind.split_first().map(|(word, rest)| (&**word, rest))
            {
                return check_command(command);
            }
            match program {
                "docker" | "podman" => {
                    let runs = arguments[..place]
                        .iter()
                        .any(|word| ["run", "exec"].contains(&&**word));
                    // An image may have a command of its own.
                    if runs && !behind.is_empty() {
                        check(behind)
                    } else {
                        Ok(0)
                    }
                }
                _ if WRAPPERS.contains(&program) => check(behind),
                _ if OTHERS.contains(&program) || arguments[0] == "-v" => Ok(0),
                _ => Err(format!(
                    "{words:?}: is metricsjob run here? Name {program} in {}",
                    file!()
                )),
            }
        }
    }
}

fn is_assignment(word: &str) -> bool {
    let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| !name.is_empty() && name.chars().all(is_name))
}

/// Returns true for the program's name, and for that of an image with it.
fn is_ours(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    name.split(':').next() == Some("metricsjob")
}

/// Checks the arguments of `metricsjob`.
///
/// `-h` before `--`, or at the end, has the program read all that is before it and then show its help in place of doing anything.
fn check(arguments: &[String]) -> Result<usize, String> {
    let shown = format!("metricsjob {}", arguments.join(" "));
    let mut read = arguments.to_vec();
    let mut count = 1;
    if let Some(place) = arguments.iter().position(|word| word == "--") {
        count += check_command(&arguments[place + 1..])?;
        read.truncate(place);
    } else if arguments.first().is_some_and(|word| word == "exec") {
        // Where the command begins is for the program to say, which would run it.
        return Err(format!("{shown}: no -- before the command"));
    }
    let asks = |word: &String| ["-h", "-V", "--version"].contains(&&**word);
    let is_help = read.iter().any(asks) || (read.last().is_some_and(|word| word == "--help"));
    if !is_help {
        read.push("-h".into());
    }
    let run = Sandbox::new().run_args(&read);
    let is_shown = run.stdout().contains("Usage: ") || run.stdout().starts_with("metricsjob ");
    if arguments.is_empty() || !run.code_is(0) || !is_shown {
        let reason = run.stderr();
        return Err(format!(
            "{shown}: {}",
            reason.lines().next().unwrap_or("no subcommand")
        ));
    }
    Ok(count)
}
