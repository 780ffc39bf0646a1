//! The jobs that are watched for their reports.

use std::collections::BTreeMap;

use crate::job::catalog::{Catalog, CatalogError};
use crate::job::{DefinedIn, Job};

/// A job that is to report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchedJob {
    /// Its `job` label.
    pub job: String,
    pub severity: Option<String>,
    pub owner: Option<String>,
    pub runbook: Option<String>,
}

impl From<&Job> for WatchedJob {
    fn from(job: &Job) -> Self {
        let expected = &job.policy.expected;
        WatchedJob {
            job: job.job.clone(),
            severity: expected.severity.clone(),
            owner: expected.owner.clone(),
            runbook: expected.runbook.clone(),
        }
    }
}

/// The jobs that have a file in `catalog`, by their `job` labels, each once. Demos are none of them, and neither are jobs that
/// are only compiled in, which nobody may run here.
///
/// # Errors
///
/// A directory or a file cannot be read: the rule of a job would be missing.
pub fn watched(catalog: &Catalog) -> Result<Vec<WatchedJob>, CatalogError> {
    let mut watched = BTreeMap::new();
    for found in catalog.list()? {
        if !matches!(found.defined_in, DefinedIn::File(_)) {
            continue;
        }
        let job = found.job?;
        if !job.is_demo {
            watched
                .entry(job.job.clone())
                .or_insert_with(|| WatchedJob::from(&job));
        }
    }
    Ok(watched.into_values().collect())
}
