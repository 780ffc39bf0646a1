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
use super::page::{self, Condition, ConditionCounts, Page, Search, Urgency};
use super::renderings::Failure;
use metricsjob_metrics::{Group, unix_seconds};
use metricsjob_state::store::StoredGroup;
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
    let can_delete = options.enable_admin_api;
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
        let now = SystemTime::now();
        let condition = |group: &StoredGroup| Condition {
            is_refused: group.last_push_failed(),
            is_shared: group.host_clash().is_some(),
            ..Condition::of_run(&group.last_run(), unix_seconds(now))
        };
        let mut all: Vec<_> = (snapshot.sorted().into_iter())
            .map(|group| (condition(&group), group))
            .collect();
        let total = all.len();
        let counts: ConditionCounts = all.iter().map(|(condition, _)| *condition).collect();
        all.sort_by_key(|(condition, _)| condition.urgency());
        if query.only_failed {
            all.retain(|(condition, _)| condition.urgency() == Urgency::Failed);
        }
        let search = Search::parse(&query.search);
        match &search {
            Ok(search) => all.retain(|(_, group)| search.finds(group)),
            Err(_) => all.clear(),
        }
        let can_delete_found = can_delete
            && !query.only_failed
            && matches!(search, Ok(Search::Selected(_)))
            && !all.is_empty();
        let problem = search.err().map(|error| error.to_string());
        let wanted = all;
        let list = List::new(&page::WORDS, &query, total, wanted.len(), &base);
        let shown = wanted[list.places()].iter().map(|(_, group)| group);
        let groups: Vec<Group> = shown.clone().map(|group| group.to_group()).collect();
        let clashes = shown.filter_map(|group| Some((&group.key, group.host_clash()?)));
        let html = Page {
            groups: &groups,
            clashes: &clashes.collect(),
            list,
            counts,
            now,
            status: &status,
            ttl,
            problem: problem.as_deref(),
            can_delete_found,
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
