//! Changes of the embedded gateway: made in its database, or by the gateway that serves that.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::gateway::GatewayError;
use super::selection::{self, DeletedGroups};
use metricsjob_client::Connection;
use metricsjob_client::Stop;
use metricsjob_client::call::innermost;
use metricsjob_client::{HttpError, HttpGateway};
use metricsjob_metrics::selector::GroupFilter;
use metricsjob_metrics::{GroupingKey, Push};
use metricsjob_state::serving::{self, lock_groups};
use metricsjob_state::{LazyState, State};

/// How long to wait before the next try, while a gateway starts or ends.
const PAUSE: Duration = Duration::from_millis(5);

/// Pushes to the embedded gateway in `dir`, whose database is `state`. A gateway that serves it has as
/// long as `limit`.
pub fn push(
    dir: &Path,
    push: &Push,
    state: &mut LazyState,
    limit: Duration,
    stop: &Stop,
) -> Result<(), GatewayError> {
    let deadline = Instant::now() + limit;
    // Where there can be no state, that is the error to report.
    state.get()?;
    change(
        dir,
        deadline,
        stop,
        || Ok(state.get()?.push(push, SystemTime::now())?),
        |gateway| gateway.push(push, deadline.duration_since(Instant::now()), stop),
    )
}

/// Deletes a group of the embedded gateway in `dir`. Returns whether there was one, where that is known: a
/// gateway that serves it does not report it.
pub fn delete(dir: &Path, key: &GroupingKey) -> Result<Option<bool>, GatewayError> {
    let Some(mut state) = State::open_existing(dir)? else {
        return Ok(Some(false));
    };
    let deadline = Instant::now() + Connection::default().timeouts.total;
    change(
        dir,
        deadline,
        &Stop::never(),
        || Ok(Some(state.delete(key)?)),
        |gateway| gateway.delete(key).map(|()| None),
    )
}

/// Deletes the groups of the embedded gateway in `dir` that `filter` includes; a gateway that serves them gets the request
/// of `path`.
pub fn delete_selected(
    dir: &Path,
    filter: &GroupFilter,
    path: &str,
) -> Result<DeletedGroups, GatewayError> {
    let Some(mut state) = State::open_existing(dir)? else {
        return Ok(DeletedGroups::default());
    };
    let deadline = Instant::now() + Connection::default().timeouts.total;
    let deleted = change(
        dir,
        deadline,
        &Stop::never(),
        || {
            let keys = state.delete_selected(filter)?;
            Ok(Ok(DeletedGroups {
                keys,
                ..DeletedGroups::default()
            }))
        },
        |gateway| {
            let response = gateway.delete_at(path, selection::MAX_RESPONSE)?;
            Ok(selection::parse(&response))
        },
    )?;
    deleted.map_err(|problem| GatewayError::Answer {
        url: path.to_owned(),
        problem,
    })
}

fn change<T>(
    dir: &Path,
    deadline: Instant,
    stop: &Stop,
    mut by_ourselves: impl FnMut() -> Result<T, GatewayError>,
    mut by_gateway: impl FnMut(&HttpGateway) -> Result<T, HttpError>,
) -> Result<T, GatewayError> {
    loop {
        if let Some(_lock) = lock_groups(dir)? {
            return by_ourselves();
        }
        let result = serving::socket(dir)
            .map_err(|error| HttpError::Setup(innermost(&error)))
            .and_then(|socket| {
                // The path may be valid only as long as `socket` is there.
                let gateway = HttpGateway::at_socket(socket.as_ref())?;
                by_gateway(&gateway)
            });
        // Each change can be made once more, if it was made before the gateway ended.
        let starts_or_ends = matches!(
            result,
            Err(HttpError::Connect { .. } | HttpError::Broken { .. })
        );
        if !starts_or_ends || Instant::now() >= deadline || stop.is_wanted() {
            return result.map_err(|source| GatewayError::Serving {
                dir: dir.to_owned(),
                source,
            });
        }
        thread::sleep(PAUSE);
    }
}
