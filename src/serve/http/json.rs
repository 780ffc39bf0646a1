//! Jobs and runs as the API shows them.

use std::time::SystemTime;

use serde_json::{Map, Value as Json, json};

use crate::serve::job_state::{Finished, JobState};
use crate::serve::request::{RunRequest, Trigger};
use metricsjob_metrics::{json, unix_seconds};
use metricsjob_state::history::RecordedRun;

/// How far a run is.
#[derive(Clone, Copy)]
enum Status {
    Queued,
    Running,
    Finished,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Running => "running",
            Status::Finished => "finished",
        }
    }
}

/// A job, with its state.
pub fn job(entry: &JobState) -> Json {
    let job = &entry.job;
    let plan = job.plan.as_ref();
    let zone = plan.and_then(|plan| plan.schedule.zone());
    let jitter = plan.map_or(0.0, |plan| plan.jitter.as_secs_f64());
    json!({
        "name": job.name,
        "description": job.description,
        "job": job.job,
        "grouping": entry.key.labels(),
        "prefix": job.prefix,
        "method": job.method.name(),
        "work": job.work.to_string(),
        "schedule": plan.map(|plan| plan.schedule.to_string()),
        "timezone": zone.map(|zone| zone.name()),
        "overlap": job.overlap.name(),
        "missed": plan.map(|plan| plan.missed.name()),
        "jitter_seconds": json::number(jitter),
        "is_demo": job.is_demo,
        "defined_in": job.defined_in.to_string(),
        "next_run_timestamp_seconds": entry.next.map(|next| time(next.at)),
        "running": entry.running.len(),
        "queued": entry.waiting(),
        "last_run": entry.last.as_deref().map(finished),
    })
}

/// A run that waits for its turn.
pub fn queued(request: &RunRequest) -> Json {
    unfinished(request, Status::Queued, None)
}

/// A run that began at `since`.
pub fn running(request: &RunRequest, since: SystemTime) -> Json {
    unfinished(request, Status::Running, Some(since))
}

/// A run that is over.
pub fn finished(finished: &Finished) -> Json {
    recorded(&finished.run, finished.trigger)
}

/// A run that the history has.
pub fn recorded(run: &RecordedRun, trigger: Option<Trigger>) -> Json {
    let mut json = Map::new();
    json.insert("trigger".into(), trigger.map(Trigger::name).into());
    json.insert("status".into(), Status::Finished.name().into());
    if let Json::Object(run) = run.to_json() {
        json.extend(run);
    }
    json.into()
}

fn unfinished(request: &RunRequest, status: Status, since: Option<SystemTime>) -> Json {
    json!({
        "trigger": request.trigger.name(),
        "status": status.name(),
        "run_id": request.id,
        "name": request.job.name,
        "job": request.key.job(),
        "grouping": request.key.labels(),
        "outcome": null,
        "exit_code": null,
        "failure": null,
        "start_timestamp_seconds": since.map(time),
        "completion_timestamp_seconds": null,
        "duration_seconds": null,
        "attempts": null,
        "cpu_user_seconds": null,
        "cpu_system_seconds": null,
        "max_rss_bytes": null,
        "metrics": [],
        "tail": [],
    })
}

fn time(time: SystemTime) -> Json {
    json::number(unix_seconds(time))
}
