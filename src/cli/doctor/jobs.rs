//! Job files.

use super::Findings;
use crate::cli::options::JobsArgs;
use metricsjob::config::HostConfig;
use metricsjob::job::{DefinedIn, GatewayName};

const PART: &str = "jobs";

/// Checks the job files, and returns the gateways that they name.
pub fn check(args: &JobsArgs, config: &HostConfig, findings: &mut Findings) -> Vec<GatewayName> {
    let found = args.catalog(config).and_then(|catalog| Ok(catalog.list()?));
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            findings.fail(PART, error.to_string(), "see --jobs-dir and jobs_dir");
            return Vec::new();
        }
    };
    let files = found.iter();
    let files = files.filter(|found| matches!(found.defined_in, DefinedIn::File(_)));
    let (mut good, mut bad) = (0, 0);
    let mut gateways = Vec::new();
    for found in files {
        match &found.job {
            Ok(job) => {
                good += 1;
                gateways.extend(job.gateways.iter().cloned());
            }
            Err(error) => {
                bad += 1;
                findings.fail(PART, error.to_string(), "");
            }
        }
    }
    if bad == 0 {
        findings.ok(
            PART,
            match good {
                0 => "no job files".to_owned(),
                1 => "1 job file is valid".to_owned(),
                good => format!("{good} job files are valid"),
            },
        );
    }
    gateways
}
