//! Scheduled jobs as lines of a user's crontab.

use std::time::SystemTime;

use super::invocation::{self, InvocationError, one_line, relative_paths};
use super::schedule::{self, ScheduleError, for_cron};
use crate::job::schedule::{Missed, Schedule, Zone};
use crate::job::{Job, LockPolicy, Overlap};

/// Longest command that Debian's cron reads; it cuts off the rest.
const MAX_COMMAND: usize = 998;

/// How long a run waits for its turn where all are to take place, one after the other.
const LONGEST_WAIT: &str = "365days";

/// Reason why a job cannot be a line of a crontab.
#[derive(Debug, thiserror::Error)]
pub enum CrontabError {
    #[error("{job}: {source}")]
    Schedule { job: String, source: ScheduleError },
    #[error("{job}: {source}")]
    Invocation {
        job: String,
        source: InvocationError,
    },
    #[error(
        "{0:?} has a backslash or a line feed, which crons read in different ways: move it elsewhere"
    )]
    Word(String),
    #[error(
        "the line of {0} is longer than the 998 characters that cron reads: give its file a shorter path"
    )]
    Long(String),
}

/// How the lines are made.
pub struct CrontabOptions {
    /// Absolute path of this program.
    pub program: String,
    /// True if the cron knows `CRON_TZ`, as cronie does.
    pub has_zones: bool,
}

/// A crontab, and what is not quite as the definitions say.
pub struct CrontabFile {
    pub text: String,
    pub notes: Vec<String>,
}

/// The crontab of `jobs`.
///
/// # Errors
///
/// One of them says something that cron cannot do.
pub fn crontab(
    jobs: &[Job],
    options: &CrontabOptions,
    now: SystemTime,
) -> Result<CrontabFile, CrontabError> {
    let mut crontab = CrontabFile {
        text: String::from(
            "# A user's crontab, written by `metricsjob generate crontab`. Install it with: crontab FILE\n\
             # It takes the place of the one that is there: crontab -l shows that.\n\
             # Who gets mail when a job fails or prints something; by default the user:\n\
             #MAILTO=ops@example.com\n\
             # cron's own PATH is /usr/bin:/bin, and so are the jobs'.\n\
             #PATH=/usr/local/bin:/usr/bin:/bin\n\
             # Without it, reports go to the embedded gateway: metricsjob status shows them.\n\
             #METRICSJOB_GATEWAY=http://pushgateway:9091\n",
        ),
        notes: Vec::new(),
    };
    let system = Zone::system();
    let zone = |job: &Job| {
        let zone = job.plan.as_ref()?.schedule.zone()?;
        (!zone.has_clock_of(&system, now)).then(|| zone.clone())
    };
    // A zone counts for all lines below it.
    let mut jobs: Vec<(Option<Zone>, &Job)> = jobs.iter().map(|job| (zone(job), job)).collect();
    jobs.sort_by_key(|(zone, _)| zone.as_ref().map(|zone| zone.name().to_owned()));
    let mut current = None;
    for (zone, job) in jobs {
        if options.has_zones && zone != current {
            let name = zone.as_ref().map_or("", Zone::name);
            crontab.text += &format!("\nCRON_TZ={name}\n");
            current = zone;
        }
        add(job, options, &system, now, &mut crontab)?;
    }
    Ok(crontab)
}

fn add(
    job: &Job,
    options: &CrontabOptions,
    system: &Zone,
    now: SystemTime,
    crontab: &mut CrontabFile,
) -> Result<(), CrontabError> {
    let unsaid = |source| CrontabError::Schedule {
        job: job.name.clone(),
        source,
    };
    let plan = schedule::plan(job).map_err(unsaid)?;
    let fields = for_cron(&plan.schedule, system, options.has_zones, now).map_err(unsaid)?;
    let definition = invocation::definition(job);
    let definition = definition.map_err(|source| CrontabError::Invocation {
        job: job.name.clone(),
        source,
    })?;
    let mut words = vec![
        options.program.clone(),
        "run".into(),
        definition,
        "--quiet".into(),
    ];
    if job.policy.lock == LockPolicy::Off {
        match job.overlap {
            Overlap::Skip => words.push("--lock".into()),
            Overlap::Queue => words.push(format!("--lock-wait={LONGEST_WAIT}")),
            Overlap::Allow => {}
        }
    }
    if !plan.jitter.is_zero() {
        let jitter = invocation::duration(plan.jitter + job.policy.splay);
        words.push(format!("--splay={jitter}"));
    }
    let command: Result<Vec<String>, _> = words.iter().map(|word| cron_word(word)).collect();
    let command = command?.join(" ");
    if command.len() > MAX_COMMAND {
        return Err(CrontabError::Long(job.name.clone()));
    }
    let mut comments = vec![match &job.description {
        Some(description) => format!("{}: {description}", job.name),
        None => job.name.clone(),
    }];
    let mut notes = Vec::new();
    if plan.missed == Missed::RunOnce {
        notes.push(format!(
            "missed = {:?}: cron makes up for no run that was due while the machine was off.",
            plan.missed.name()
        ));
    }
    for path in relative_paths(job) {
        notes.push(format!(
            "The path {path} is relative, and cron starts in the user's home."
        ));
    }
    comments.extend(notes.iter().cloned());
    if let Schedule::Every(_) = plan.schedule {
        comments.push(plan.schedule.to_string());
    }
    crontab.text.push('\n');
    for line in comments {
        crontab.text += &format!("# {}\n", one_line(&line));
    }
    crontab.text += &format!("{}  {command}\n", fields.join(" "));
    let named = notes
        .into_iter()
        .map(|note| format!("{}: {note}", job.name));
    crontab.notes.extend(named);
    Ok(())
}

/// A word for the shell that cron starts. There is no backslash in it but those before a `%`, because some crons take away
/// others.
fn cron_word(word: &str) -> Result<String, CrontabError> {
    if word.contains(['\\', '\n']) {
        return Err(CrontabError::Word(word.to_owned()));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@+%".contains(c);
    let quoted = if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r#"'"'"'"#))
    };
    Ok(quoted.replace('%', r"\%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (word, written) in [
            ("/usr/bin/x", "/usr/bin/x"),
            ("a b", "'a b'"),
            ("it's", r#"'it'"'"'s'"#),
            ("100%", r"100\%"),
            ("$HOME %", r"'$HOME \%'"),
            ("", "''"),
        ] {
            assert_eq!(cron_word(word).ok().as_deref(), Some(written));
        }
        assert!(cron_word(r"a\b").is_err() && cron_word("a\nb").is_err());
    }
}
