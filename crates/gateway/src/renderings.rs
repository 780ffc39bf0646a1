//! Renderings of all groups: equal waiting requests share one, and nothing is rendered for clients that have
//! gone.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::app::App;
use super::changes::failed;
use super::keeper::NotKept;
use super::{api, scrape};
use metricsjob_metrics::escaping::Escaping;
use metricsjob_state::store::Snapshot;
use metricsjob_system::panics::locked;
use metricsjob_web::negotiation::Format;
use metricsjob_web::sending::{Sending, TooMany};

/// Maximum number of requests waiting for renderings.
const MOST_WAITING: usize = 1024;

/// Parameters by which two renderings of the same groups differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    Metrics {
        format: Format,
        escaping: Escaping,
        is_gzip: bool,
    },
    Api,
}

/// A rendering, which can be sent to all clients that asked for it.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub sending: Sending,
    /// True if names had to be escaped or quoted.
    pub has_utf8_names: bool,
}

/// Reason why there is no rendering.
#[derive(Debug, Clone)]
pub enum Failure {
    NotKept(NotKept),
    TooMany(TooMany),
    TooManyWaiting,
    Unrendered,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Failure::NotKept(not_kept) => failed(&not_kept),
            Failure::TooMany(too_many) => too_many.into_response(),
            Failure::TooManyWaiting => {
                let text = "too many other requests wait for the metrics: try again in a moment\n";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                (status, [(header::RETRY_AFTER, "1")], text).into_response()
            }
            Failure::Unrendered => {
                let text = "the metrics could not be rendered\n";
                (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
            }
        }
    }
}

type Waiter = oneshot::Sender<Result<Rendered, Failure>>;

/// Requests waiting for a rendering whose snapshot has not been taken yet. A later request must see all
/// earlier pushes, so it waits for the next rendering.
#[derive(Default)]
pub struct Renderings {
    waiting: Mutex<HashMap<Shape, Vec<Waiter>>>,
}

impl Renderings {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Shape, Vec<Waiter>>> {
        locked(&self.waiting)
    }

    /// Adds a waiter. Returns true if it is the first one, for which a rendering has to be started.
    fn add(&self, shape: Shape, waiter: Waiter) -> Result<bool, Failure> {
        let mut waiting = self.waiting();
        let count = |waiting: &HashMap<Shape, Vec<Waiter>>| -> usize {
            waiting.values().map(Vec::len).sum()
        };
        if count(&waiting) >= MOST_WAITING {
            waiting.retain(|_, waiters| has_anybody(waiters));
            if count(&waiting) >= MOST_WAITING {
                return Err(Failure::TooManyWaiting);
            }
        }
        let waiters = waiting.entry(shape).or_default();
        waiters.push(waiter);
        Ok(waiters.len() == 1)
    }

    fn take(&self, shape: Shape) -> Vec<Waiter> {
        self.waiting().remove(&shape).unwrap_or_default()
    }
}

/// Removes the waiters that have gone, and returns true if any are left.
fn has_anybody(waiters: &mut Vec<Waiter>) -> bool {
    waiters.retain(|waiter| !waiter.is_closed());
    !waiters.is_empty()
}

/// Returns all groups in this shape, in a state no older than the call.
pub async fn rendered(app: &Arc<App>, shape: Shape) -> Result<Rendered, Failure> {
    let (waiter, rendered) = oneshot::channel();
    if app.renderings().add(shape, waiter)? {
        // A separate task, so that the other requests get the rendering even if the client of the first one
        // disconnects.
        tokio::spawn(render(Arc::clone(app), shape));
    }
    rendered.await.unwrap_or(Err(Failure::Unrendered))
}

async fn render(app: Arc<App>, shape: Shape) {
    let turn = app.scrape().await;
    let mut waiters = app.renderings().take(shape);
    if !has_anybody(&mut waiters) {
        return;
    }
    let snapshot = match turn {
        None => Err(NotKept::Ending),
        Some(_) => app.keeper().snapshot().await,
    };
    let snapshot = match snapshot {
        Ok(snapshot) => snapshot,
        Err(not_kept) => return tell(waiters, &Err(Failure::NotKept(not_kept))),
    };
    // A panic drops the waiters, which notifies their requests.
    let _ = spawn_blocking(move || {
        let _turn = turn;
        // Dropping the handler would not cancel this closure.
        if has_anybody(&mut waiters) {
            let rendered = now(&app, shape, snapshot);
            tell(waiters, &rendered);
        }
    })
    .await;
}

fn tell(waiters: Vec<Waiter>, rendered: &Result<Rendered, Failure>) {
    for waiter in waiters {
        let _ = waiter.send(rendered.clone());
    }
}

fn now(app: &App, shape: Shape, snapshot: Snapshot) -> Result<Rendered, Failure> {
    let rendered: io::Result<(Vec<Bytes>, bool)> = match shape {
        Shape::Api => api::metrics_json(snapshot)
            .map(|json| (vec![json.into()], false))
            .map_err(io::Error::from),
        Shape::Metrics {
            format,
            escaping,
            is_gzip,
        } => {
            metricsjob_system::panics::point("scrape");
            let snapshot = snapshot.aggregated(&app.options().aggregation);
            scrape::render(&snapshot, &app.families(), format, escaping, is_gzip)
        }
    };
    let (pieces, has_utf8_names) = rendered.map_err(|_| Failure::Unrendered)?;
    let sending = app.sendings().begin(pieces).map_err(Failure::TooMany)?;
    Ok(Rendered {
        sending,
        has_utf8_names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_gone_makes_room() {
        let renderings = Renderings::default();
        let shape = |is_gzip| Shape::Metrics {
            format: Format::Text,
            escaping: Escaping::default(),
            is_gzip,
        };
        let mut clients = Vec::new();
        for n in 0..MOST_WAITING {
            let (waiter, client) = oneshot::channel();
            let is_first = renderings.add(shape(n % 2 == 0), waiter).unwrap();
            assert_eq!(is_first, n < 2);
            clients.push(client);
        }
        let add = || renderings.add(Shape::Api, oneshot::channel().0);
        assert!(matches!(add(), Err(Failure::TooManyWaiting)));
        clients.pop();
        assert!(matches!(add(), Ok(true)));
        assert_eq!(renderings.take(shape(true)).len(), MOST_WAITING / 2);
        assert!(renderings.take(shape(true)).is_empty());
        drop(clients);
        assert!(!has_anybody(&mut renderings.take(shape(false))));
    }
}
