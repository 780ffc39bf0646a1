//! Metrics of runs under the names that all jobs share.

use super::family::Family;

/// Prefix of the metrics of a run, unless the job has another; and that of the metrics that each report has whatever the
/// job's prefix.
pub const DEFAULT_PREFIX: &str = "batch_job";

/// Names, without a prefix, of the gauges of a run that each report has under [`DEFAULT_PREFIX`] too.
const GAUGES: [&str; 4] = [
    "duration_seconds",
    "last_completion_timestamp_seconds",
    "last_success_timestamp_seconds",
    "success",
];

/// Returns the gauges of a run that are in its report under [`DEFAULT_PREFIX`] too, so that the same alert rules serve all
/// jobs: those of `families`, whose names begin with `prefix`, renamed. None if that is the prefix already.
pub fn under_default_prefix(families: &[Family], prefix: &str) -> Vec<Family> {
    if prefix == DEFAULT_PREFIX {
        return Vec::new();
    }
    let renamed = GAUGES.iter().filter_map(|gauge| {
        let of_job = format!("{prefix}_{gauge}");
        let family = families.iter().find(|family| family.name == of_job)?;
        Some(Family {
            name: format!("{DEFAULT_PREFIX}_{gauge}"),
            ..family.clone()
        })
    });
    renamed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_all_jobs_share() {
        let families = |prefix: &str| {
            let names = ["success", "duration_seconds", "exit_code"];
            names.map(|name| Family::gauge(format!("{prefix}_{name}"), "help", 1.0))
        };
        let common = under_default_prefix(&families("p"), "p");
        let names: Vec<&str> = common.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names, ["batch_job_duration_seconds", "batch_job_success"]);
        assert_eq!(common[0].help, "help");
        assert_eq!(
            under_default_prefix(&families("batch_job"), "batch_job"),
            []
        );
    }
}
