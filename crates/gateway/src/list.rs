//! List of groups on the page.

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use tokio::task::spawn_blocking;

use super::app::App;
use super::changes::failed;
use super::keeper::NotKept;
use super::own_metrics::BUILD;
use super::page::{self, Page};
use super::renderings::Failure;
use metricsjob_metrics::Group;
use metricsjob_system::panics::point;
use metricsjob_web::files;
use metricsjob_web::page::{List, Query};

/// Responds with the page.
pub async fn answer(app: &Arc<App>, parts: &Parts) -> Response {
    let query = Query::of(parts.uri.query().unwrap_or_default());
    let Some(_place) = app.page() else {
        return Failure::TooManyWaiting.into_response();
    };
    let Some(turn) = app.scrape().await else {
        return failed(&NotKept::Ending);
    };
    let snapshot = match app.keeper().snapshot().await {
        Ok(snapshot) => snapshot,
        Err(not_kept) => return failed(&not_kept),
    };
    let options = app.options();
    let (base, ttl) = (options.route_prefix.clone(), options.ttl);
    let started = humantime::format_rfc3339_seconds(app.start_time()).to_string();
    let mut status: Vec<(String, String)> = vec![("started".into(), started)];
    status.extend(BUILD.map(|(name, value)| (name.into(), value.into())));
    status.extend(options.flags.iter().cloned());
    let app = Arc::clone(app);
    let rendered = spawn_blocking(move || {
        let _turn = turn;
        point("page");
        let status: Vec<(&str, String)> = (status.iter())
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        let sorted = snapshot.sorted();
        let total = sorted.len();
        let is_wanted = |group: &Group| {
            (!query.only_failed || group.last_push_failed()) && page::matches(group, &query.search)
        };
        let has_filter = query.only_failed || !query.search.trim().is_empty();
        let wanted: Vec<_> = if has_filter {
            (sorted.into_iter())
                .filter(|group| is_wanted(&group.outline()))
                .collect()
        } else {
            sorted
        };
        let list = List::new(&page::WORDS, &query, total, wanted.len(), &base);
        let shown = wanted[list.places()].iter();
        let groups: Vec<Group> = shown.map(|group| group.to_group()).collect();
        let html = Page {
            groups: &groups,
            list,
            now: SystemTime::now(),
            status: &status,
            ttl,
        }
        .render();
        app.sendings().begin(vec![html.into()])
    })
    .await;
    match rendered {
        Ok(Ok(sending)) => files::page(sending, page::CONTENT_SECURITY_POLICY),
        Ok(Err(too_many)) => too_many.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
