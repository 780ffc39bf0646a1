//! Job files.

use super::Findings;
use crate::cli::options::JobsArgs;
use metricsjob::config::HostConfig;
use metricsjob::job::DefinedIn;

const PART: &str = "jobs";

pub fn check(args: &JobsArgs, config: &HostConfig, findings: &mut Findings) {
    let found = args.catalog(config).and_then(|catalog| Ok(catalog.list()?));
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            return findings.fail(PART, error.to_string(), "see --jobs-dir and jobs_dir");
        }
    };
    let files = found.iter();
    let files = files.filter(|found| matches!(found.defined_in, DefinedIn::File(_)));
    let (mut good, mut bad) = (0, 0);
    for found in files {
        match &found.job {
            Ok(_) => good += 1,
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
}
