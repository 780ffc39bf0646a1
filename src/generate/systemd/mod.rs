//! A job as a service of systemd and its timer.

mod calendar;

use std::time::{Duration, SystemTime};

use super::invocation::{self, InvocationError, comment, one_line, relative_paths};
use super::schedule::{self, ScheduleError};
use crate::job::schedule::Missed;
use crate::job::{Job, Overlap};

pub use self::calendar::{Calendar, calendar};

/// Time that systemd gives a service to end, where it is long enough.
const STOP_TIMEOUT: Duration = Duration::from_secs(90);

/// How long the report of an ended job may take, and the program's own end.
const REPORT_TIME: Duration = Duration::from_secs(20);

/// Longest name of a unit without its suffix; the state directory is called like it.
const MAX_NAME: usize = 200;

/// Reason why a job cannot be a service with a timer.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    #[error(
        "{0:?} cannot be the name of a unit: give one of letters, digits, -, _ and . by --name"
    )]
    Name(String),
    #[error(
        "{0:?} cannot be the name of a user: it has letters, digits, -, _ and . only, and begins with a letter or _"
    )]
    User(String),
    #[error(
        "{0} is among the temporary files, and a service without a user of the system's has its own: put it elsewhere, such as \
         /etc/metricsjob/jobs, or give --user"
    )]
    Temporary(String),
    #[error(
        "overlap = {0:?} is more than systemd can do, which starts no service that is running: make it \"skip\" \
         (`metricsjob serve` can do it as it is)"
    )]
    Overlap(&'static str),
}

/// How the units are called and run.
pub struct UnitOptions {
    /// Name of the units without their suffixes; `None` for `metricsjob-JOB`.
    pub name: Option<String>,
    /// Absolute path of this program.
    pub program: String,
    /// User of the service; `None` for one that exists only while it runs.
    pub user: Option<String>,
    /// Options of `run`.
    pub options: Vec<String>,
}

/// The two units.
pub struct Units {
    pub name: String,
    pub service: String,
    pub timer: String,
    /// Warnings: what differs from the job's definition, or needs a look.
    pub notes: Vec<String>,
}

/// The service and the timer of `job`.
///
/// # Errors
///
/// The definition says something that systemd cannot do.
pub fn units(job: &Job, options: &UnitOptions, now: SystemTime) -> Result<Units, SystemdError> {
    let plan = schedule::plan(job)?;
    if job.overlap != Overlap::Skip {
        return Err(SystemdError::Overlap(job.overlap.name()));
    }
    let name = match &options.name {
        Some(name) => name.clone(),
        None => format!("metricsjob-{}", job.name),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty()
        || name.len() > MAX_NAME
        || !name.chars().all(is_name)
        || name.starts_with('.')
    {
        return Err(SystemdError::Name(name));
    }
    let calendar = calendar(&plan.schedule, now)?;
    let mut notes: Vec<String> = calendar.note.map(str::to_owned).into_iter().collect();
    for path in relative_paths(job) {
        notes.push(format!(
            "The path {path} is relative, and the service starts in /."
        ));
    }
    let description = match &job.description {
        Some(description) => one_line(description).replace('%', "%%"),
        None => format!("Run the job {}", one_line(&job.name).replace('%', "%%")),
    };
    let service = service(job, &name, &description, options)?;
    let mut timer = comment(&[format!("systemctl enable --now {name}.timer")]);
    timer += &comment(&notes);
    timer += &format!("[Unit]\nDescription={description}\n\n[Timer]\n");
    timer += &format!("# {}\n", one_line(&plan.schedule.to_string()));
    for expression in &calendar.expressions {
        timer += &format!("OnCalendar={expression}\n");
    }
    timer += "AccuracySec=1s\n";
    if !plan.jitter.is_zero() {
        timer += &format!("RandomizedDelaySec={}\n", time_span(plan.jitter));
    }
    timer += match plan.missed {
        Missed::Skip => {
            "# missed = \"skip\": a run that was due while the machine was off does not take place.\nPersistent=no\n"
        }
        Missed::RunOnce => {
            "# missed = \"run-once\": one run makes up for those that were due while the machine was off.\nPersistent=yes\n"
        }
    };
    timer += "\n[Install]\nWantedBy=timers.target\n";
    Ok(Units {
        name,
        service,
        timer,
        notes,
    })
}

fn service(
    job: &Job,
    name: &str,
    description: &str,
    options: &UnitOptions,
) -> Result<String, SystemdError> {
    let definition = invocation::definition(job)?;
    let user = match &options.user {
        Some(user) if !is_user(user) => return Err(SystemdError::User(user.clone())),
        Some(user) => format!("User={user}\n"),
        None => "# A user that exists only while it runs. To name one of the system's: --user.\nDynamicUser=yes\n".to_owned(),
    };
    let mut start = exec_path(&options.program);
    let words = ["run", &definition, "--quiet"].into_iter();
    for word in words.chain(options.options.iter().map(String::as_str)) {
        start += " ";
        start += &exec_word(word);
    }
    let stop = (job.policy.kill_after + REPORT_TIME).max(STOP_TIMEOUT);
    let used = |places: &[&str]| {
        let paths = [options.program.as_str(), &definition].into_iter();
        let mut paths = paths.chain(working_directory(job));
        paths.find(|path| places.iter().any(|place| path.starts_with(place)))
    };
    let home = if used(&["/home/", "/root/", "/run/user/"]).is_some() {
        "# The program, the job file or its working directory is in a home.\nProtectHome=read-only"
    } else {
        "ProtectHome=yes"
    };
    let temporary = match used(&["/tmp/", "/var/tmp/"]) {
        // DynamicUser= implies PrivateTmp=, whatever is said.
        Some(path) if options.user.is_none() => {
            return Err(SystemdError::Temporary(path.to_owned()));
        }
        Some(_) => "# The program, the job file or its working directory is there.\nPrivateTmp=no",
        None => "PrivateTmp=yes",
    };
    Ok(format!(
        "# Started by {name}.timer; to try it: systemctl start {name}.service\n\
         [Unit]\n\
         Description={description}\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         {user}\
         # metricsjob keeps its state there: metricsjob history --state-dir /var/lib/{name}\n\
         StateDirectory={name}\n\
         StateDirectoryMode=0700\n\
         # METRICSJOB_GATEWAY=http://user:password@pushgateway:9091, readable by root alone; without the\n\
         # file reports go to the embedded gateway.\n\
         EnvironmentFile=-/etc/metricsjob/environment\n\
         ExecStart={start}\n\
         # metricsjob passes SIGTERM on, waits for the job and reports how it ended.\n\
         KillMode=mixed\n\
         TimeoutStopSec={}\n\
         \n\
         # What the job needs besides goes into a file of your own (systemctl edit {name}.service): ReadWritePaths= for\n\
         # where it writes, SupplementaryGroups= for what it reads, MemoryDenyWriteExecute=no for Java and Node.\n\
         NoNewPrivileges=yes\n\
         CapabilityBoundingSet=\n\
         ProtectSystem=strict\n\
         {home}\n\
         ProtectProc=invisible\n\
         {temporary}\n\
         PrivateDevices=yes\n\
         ProtectKernelTunables=yes\n\
         ProtectKernelModules=yes\n\
         ProtectKernelLogs=yes\n\
         ProtectControlGroups=yes\n\
         ProtectClock=yes\n\
         ProtectHostname=yes\n\
         RemoveIPC=yes\n\
         RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n\
         RestrictNamespaces=yes\n\
         RestrictRealtime=yes\n\
         RestrictSUIDSGID=yes\n\
         LockPersonality=yes\n\
         MemoryDenyWriteExecute=yes\n\
         SystemCallArchitectures=native\n\
         SystemCallFilter=@system-service\n\
         SystemCallFilter=~@privileged\n\
         UMask=0077\n",
        time_span(stop)
    ))
}

fn working_directory(job: &Job) -> Option<&str> {
    match &job.work {
        crate::job::Work::Command(command) => command.working_directory.as_deref()?.to_str(),
        crate::job::Work::Builtin(..) => None,
    }
}

fn is_user(name: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(begins)
        && name.len() < 32
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A duration as systemd.time(7) has it.
fn time_span(duration: Duration) -> String {
    match duration.subsec_micros() {
        0 => format!("{}s", duration.as_secs()),
        micros => format!("{}s {micros}us", duration.as_secs()),
    }
}

/// The program of `ExecStart=`, in which no variable is replaced.
fn exec_path(path: &str) -> String {
    quoted(&path.replace('%', "%%"))
}

/// A further word of `ExecStart=`.
fn exec_word(word: &str) -> String {
    quoted(&word.replace('%', "%%").replace('$', "$$"))
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+$".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    for char in word.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ if char.is_control() => quoted.push_str(&format!("\\U{:08x}", u32::from(char))),
            _ => quoted.push(char),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(exec_word("/a/b-1.toml"), "/a/b-1.toml");
        assert_eq!(exec_word("100%$x"), "100%%$$x");
        assert_eq!(exec_word(r#"a "b" \c"#), r#""a \"b\" \\c""#);
        assert_eq!(exec_word(""), r#""""#);
        assert_eq!(exec_word("a\nb"), r#""a\nb""#);
        assert_eq!(exec_path("/a$b/%c"), "/a$b/%%c");
    }

    #[test]
    fn spans() {
        assert_eq!(time_span(Duration::from_secs(120)), "120s");
        assert_eq!(time_span(Duration::from_millis(1500)), "1s 500000us");
    }
}
