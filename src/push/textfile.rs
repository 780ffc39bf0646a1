//! Reports as files for node_exporter's textfile collector: a file for each group, in one directory.
//!
//! node_exporter reads all files whose names end in `.prom` at each scrape. It refuses timestamps; a series that is there
//! twice, or a name with two TYPEs, fails the whole scrape. So what is written is checked against all other files, as a
//! gateway checks a push against all groups.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ring::digest;

use super::gateway::GatewayError;
use super::recipient::{Recipient, merged_pushes, wrong};
use metricsjob_client::Stop;
use metricsjob_metrics::text::{self, encode};
use metricsjob_metrics::{Family, GroupingKey, Kind, Labels, Method, Push, series_name};
use metricsjob_state::LazyState;
use metricsjob_state::outbox::Content;

/// Ending of the files that node_exporter reads.
const ENDING: &str = "prom";

/// Beginning of the names of our files.
const BEGINNING: &str = "metricsjob_";

/// Beginning of the names of files that are not complete yet.
const INCOMPLETE: &str = ".metricsjob-";

/// Longest part of a file's name that is made of the grouping key, in bytes: names end at 255.
const MAX_NAME: usize = 180;

/// First line of a file, before the grouping key.
const TITLE: &str = "# Written by metricsjob for the group ";

/// Pause between two looks whether another process has left the directory.
const LOOK: Duration = Duration::from_millis(2);

/// Why a report was not written into the directory.
#[derive(Debug, thiserror::Error)]
pub enum TextfileError {
    #[error("could not write {}: {reason}", path.display())]
    Io { path: PathBuf, reason: String },
    #[error("another process is writing into {} (for {waited:?} now)", dir.display())]
    Busy { dir: PathBuf, waited: Duration },
    /// node_exporter would refuse it, or everything.
    #[error("{name} cannot be written: {reason}")]
    Refused { name: String, reason: String },
}

/// Writes reports into one directory.
pub struct Textfile {
    name: String,
    dir: PathBuf,
}

impl Textfile {
    /// Writes into `dir`, which exists. `name` is what the outbox calls it.
    pub fn new(name: String, dir: &Path) -> Self {
        Textfile {
            name,
            dir: dir.to_owned(),
        }
    }

    /// Path of the file of a group.
    pub fn path(dir: &Path, key: &GroupingKey) -> PathBuf {
        dir.join(format!("{BEGINNING}{}.{ENDING}", file_name(key)))
    }

    /// Content of the file after `push` alone.
    pub fn shown(push: &Push) -> String {
        content(push.key(), &families(push))
    }

    fn write(&self, push: &Push, limit: Duration) -> Result<(), TextfileError> {
        let path = Textfile::path(&self.dir, push.key());
        let failed = |error: &io::Error| failure(&path, error);
        // The directory itself is the lock, so that there is no other file in it.
        let _lock = self.lock(limit)?;
        let mut families = families(push);
        let own = match fs::read(&path) {
            Ok(text) => of_group(&String::from_utf8_lossy(&text), push.key(), &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(&error)),
        };
        let others = self.others(&path).map_err(|error| failed(&error))?;
        for family in &mut families {
            others.check(family)?;
        }
        if push.method() == Method::Post {
            let is_new = |old: &Family| families.iter().any(|new| new.name == old.name);
            let kept: Vec<Family> = own.into_iter().filter(|old| !is_new(old)).collect();
            families.extend(kept);
            families.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new()
                .prefix(INCOMPLETE)
                .tempfile_in(&self.dir)?;
            file.write_all(content(push.key(), &families).as_bytes())?;
            let permissions = Permissions::from_mode(0o644);
            file.as_file().set_permissions(permissions)?;
            // It leaves the outbox then.
            file.as_file().sync_data()?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error| failed(&error))
    }

    /// Locks the directory against other writers, until the returned file is dropped.
    fn lock(&self, limit: Duration) -> Result<File, TextfileError> {
        let dir = File::open(&self.dir).map_err(|error| failure(&self.dir, &error))?;
        let start = Instant::now();
        loop {
            match dir.try_lock() {
                Ok(()) => return Ok(dir),
                Err(fs::TryLockError::Error(error)) => return Err(failure(&self.dir, &error)),
                Err(fs::TryLockError::WouldBlock) if start.elapsed() >= limit => {
                    return Err(TextfileError::Busy {
                        dir: self.dir.clone(),
                        waited: limit,
                    });
                }
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Everything in the directory but the file at `path`. Incomplete files go: who wrote them is gone, since the
    /// directory is locked.
    fn others(&self, path: &Path) -> io::Result<OtherFiles> {
        let mut others = OtherFiles::default();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?.path();
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(INCOMPLETE) {
                let _ = fs::remove_file(&entry);
            }
            if entry.extension().is_none_or(|ending| ending != ENDING) || entry == path {
                continue;
            }
            // node_exporter says itself what it cannot read.
            let families = fs::read(&entry)
                .ok()
                .and_then(|text| text::parse(&text).ok());
            for family in families.unwrap_or_default() {
                others.add(family, &name);
            }
        }
        Ok(others)
    }
}

impl Recipient for Textfile {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(
        &self,
        content: &Content<'_>,
        _state: &mut LazyState,
        limit: Duration,
        _stop: &Stop,
    ) -> Result<(), GatewayError> {
        match content {
            Content::Push(push) => Ok(self.write(push, limit)?),
            Content::Notification(_) => Err(wrong("a file takes no notifications")),
        }
    }

    fn merged<'a>(&self, older: &Content<'a>, newer: &Content<'a>) -> Option<Content<'a>> {
        merged_pushes(older, newer)
    }

    fn takes_parts(&self) -> bool {
        true
    }
}

/// Families of the other files of the directory.
#[derive(Default)]
struct OtherFiles {
    /// TYPE, HELP and the file of each name.
    declared: HashMap<String, (Kind, String, String)>,
    /// Names of all their series.
    series: HashMap<String, String>,
}

impl OtherFiles {
    fn add(&mut self, family: Family, file: &str) {
        for metric in &family.metrics {
            let series = series_name(&family.name, &metric.labels);
            self.series.insert(series, file.to_owned());
        }
        let declared = (family.kind, family.help, file.to_owned());
        self.declared.entry(family.name).or_insert(declared);
    }

    /// Gives `family` the HELP that it has in other files.
    ///
    /// # Errors
    ///
    /// node_exporter would not take it beside them.
    fn check(&self, family: &mut Family) -> Result<(), TextfileError> {
        let refused = |reason: String| TextfileError::Refused {
            name: family.name.clone(),
            reason,
        };
        for metric in &family.metrics {
            let series = series_name(&family.name, &metric.labels);
            if let Some(file) = self.series.get(&series) {
                return Err(refused(format!("{series} is in {file} already")));
            }
        }
        match self.declared.get(&family.name) {
            Some((kind, _, file)) if *kind != family.kind => Err(refused(format!(
                "its type is {}, and {kind} in {file}",
                family.kind
            ))),
            Some((_, help, _)) => {
                family.help.clone_from(help);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The families in the file of a group. What cannot be read is replaced.
fn of_group(text: &str, key: &GroupingKey, path: &Path) -> Result<Vec<Family>, TextfileError> {
    let title = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(TITLE));
    if title.is_some_and(|title| title != shown(key)) {
        return Err(TextfileError::Refused {
            name: shown(key),
            reason: format!("{} is the file of another group", path.display()),
        });
    }
    Ok(text::parse(text.as_bytes()).unwrap_or_default())
}

/// The families of `push` with the labels of its group, and without what the format cannot hold.
fn families(push: &Push) -> Vec<Family> {
    let mut families = push.families().to_vec();
    for family in &mut families {
        for metric in &mut family.metrics {
            metric.labels = with_group(&metric.labels, push.key());
            metric.timestamp_ms = None;
        }
    }
    families
}

/// `labels` and those of the group of `key`, which a gateway adds.
pub(super) fn with_group(labels: &Labels, key: &GroupingKey) -> Labels {
    let group = [("job", key.job())].into_iter();
    labels.iter().chain(group).chain(key.labels()).collect()
}

fn content(key: &GroupingKey, families: &[Family]) -> String {
    format!("{TITLE}{}\n{}", shown(key), encode(families))
}

/// The grouping key in one line.
fn shown(key: &GroupingKey) -> String {
    format!("{{{key}}}").replace(['\n', '\r'], " ")
}

/// A name for the file of a group: readable, and different for each.
fn file_name(key: &GroupingKey) -> String {
    let text = key.to_string();
    let is_kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let readable: String = text
        .chars()
        .map(|c| if is_kept(c) { c } else { '_' })
        .collect();
    let readable = readable.replace("__", "_");
    let readable = &readable[..readable.len().min(MAX_NAME)];
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let hash: String = digest.as_ref()[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}_{hash}", readable.trim_matches('_'))
}

fn failure(path: &Path, error: &io::Error) -> TextfileError {
    TextfileError::Io {
        path: path.to_owned(),
        reason: metricsjob_system::reason(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(job: &str, labels: &[(&str, &str)]) -> GroupingKey {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        GroupingKey::new(job, labels).unwrap()
    }

    #[test]
    fn names_of_files() {
        let name = |key: &GroupingKey| file_name(key);
        let backup = name(&key("db_backup", &[("db", "customers")]));
        assert!(
            backup.starts_with("job_db_backup_db_customers_"),
            "{backup}"
        );
        assert_ne!(
            name(&key("a", &[("b", "c/d")])),
            name(&key("a", &[("b", "c_d")]))
        );
        let long = name(&key(&"ä/".repeat(500), &[]));
        assert!(long.len() < 200 && long.is_ascii(), "{long}");
    }
}
