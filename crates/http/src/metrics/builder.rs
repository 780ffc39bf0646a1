//! Names, labels and buckets of the metrics.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use http::{Extensions, Uri};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use super::{DURATION_BUCKETS, HttpMetrics, Instruments, Route, SIZE_BUCKETS};
use crate::AccessLog;

/// A metric of [`HttpMetrics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpMetric {
    /// The counter `http_requests_total`.
    Requests,
    /// The histogram `http_request_duration_seconds`.
    Durations,
    /// The histogram `http_request_size_bytes`.
    RequestSizes,
    /// The histogram `http_response_size_bytes`.
    ResponseSizes,
    /// The gauge `http_requests_in_flight`.
    InFlight,
    /// The counter `errors_total`.
    Errors,
}

/// Default names, in the order of [`HttpMetric`].
const NAMES: [&str; 6] = [
    "http_requests_total",
    "http_request_duration_seconds",
    "http_request_size_bytes",
    "http_response_size_bytes",
    "http_requests_in_flight",
    "errors_total",
];

/// Help texts, in the order of [`HttpMetric`].
const HELP: [&str; 6] = [
    "HTTP requests with a response; status 499 is that of clients that went away before.",
    "Time from the head of an HTTP request to the last byte of its response.",
    "Size of the bodies of HTTP requests, as far as they were read.",
    "Size of the bodies of HTTP responses, as far as they were sent.",
    "HTTP requests whose response is not complete.",
    "HTTP requests whose response was an error.",
];

/// A label of [`HttpMetrics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpLabel {
    /// The label `method`.
    Method,
    /// The label `endpoint`, a route's template.
    Endpoint,
    /// The label `status_code`.
    StatusCode,
    /// The label `type` of errors.
    Type,
    /// The label `service` of errors.
    Service,
}

/// Default names, in the order of [`HttpLabel`].
const LABELS: [&str; 5] = ["method", "endpoint", "status_code", "type", "service"];

/// Builder of [`HttpMetrics`].
///
/// ```
/// use metricsjob_http::{HttpLabel, HttpMetric, HttpMetrics};
///
/// let registry = prometheus::Registry::new();
/// let http = HttpMetrics::builder()
///     .namespace("shop")
///     .rename(HttpMetric::Requests, "requests_total")
///     .help(HttpMetric::Requests, "Requests of the shop.")
///     .omit(HttpMetric::RequestSizes)
///     .rename_label(HttpLabel::Endpoint, "route")
///     .const_label("region", "eu")
///     .duration_buckets(&[0.1, 1.0])
///     .status_on_histograms()
///     .register(&registry)?;
/// # let _ = http.begin(&mut http::Request::new(()));
/// # let text = metricsjob_metrics::text::encode(&metricsjob_metrics::registry::gather(&registry));
/// # assert!(text.contains(r#"shop_requests_total{method="GET",region="eu",route="other",status_code="499"} 1"#), "{text}");
/// # assert!(text.contains(r#"shop_http_request_duration_seconds_count{method="GET",region="eu",route="other",status_code="499"} 1"#), "{text}");
/// # assert!(text.contains("Requests of the shop.") && !text.contains("request_size"), "{text}");
/// # Ok::<(), prometheus::Error>(())
/// ```
#[must_use]
pub struct HttpMetricsBuilder {
    namespace: String,
    service: String,
    const_labels: HashMap<String, String>,
    /// In the order of [`HttpMetric`]; `None` is omitted.
    names: [Option<String>; 6],
    /// In the order of [`HttpMetric`].
    help: [String; 6],
    /// In the order of [`HttpLabel`].
    labels: [String; 5],
    durations: Vec<f64>,
    sizes: Vec<f64>,
    has_status_on_histograms: bool,
    max_endpoints: usize,
    route: Option<Box<Route>>,
    access_log: Option<Box<dyn AccessLog>>,
}

impl Default for HttpMetricsBuilder {
    fn default() -> Self {
        HttpMetricsBuilder {
            namespace: String::new(),
            service: "http".into(),
            const_labels: HashMap::new(),
            names: NAMES.map(|name| Some(name.to_owned())),
            help: HELP.map(str::to_owned),
            labels: LABELS.map(str::to_owned),
            durations: DURATION_BUCKETS.into(),
            sizes: SIZE_BUCKETS.into(),
            has_status_on_histograms: false,
            max_endpoints: 64,
            route: None,
            access_log: None,
        }
    }
}

impl fmt::Debug for HttpMetricsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpMetricsBuilder")
            .field("namespace", &self.namespace)
            .field("names", &self.names)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

impl HttpMetricsBuilder {
    /// Sets the prefix of all names, without the underscore that follows it. A [`Manager`](crate::Manager) puts
    /// its own before it.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets the label `service` of errors that are HTTP responses; `http` by default.
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    /// Adds a label with a constant value to all series.
    pub fn const_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.const_labels.insert(name.into(), value.into());
        self
    }

    /// Changes the name of a metric.
    pub fn rename(mut self, metric: HttpMetric, name: impl Into<String>) -> Self {
        self.names[metric as usize] = Some(name.into());
        self
    }

    /// Changes the help text of a metric.
    pub fn help(mut self, metric: HttpMetric, help: impl Into<String>) -> Self {
        self.help[metric as usize] = help.into();
        self
    }

    /// Leaves out a metric.
    pub fn omit(mut self, metric: HttpMetric) -> Self {
        self.names[metric as usize] = None;
        self
    }

    /// Changes the name of a label.
    pub fn rename_label(mut self, label: HttpLabel, name: impl Into<String>) -> Self {
        self.labels[label as usize] = name.into();
        self
    }

    /// Sets the bucket bounds of durations, in seconds; [`DURATION_BUCKETS`] by default.
    pub fn duration_buckets(mut self, bounds: &[f64]) -> Self {
        self.durations = bounds.into();
        self
    }

    /// Sets the bucket bounds of request and response sizes, in bytes; [`SIZE_BUCKETS`] by default.
    pub fn size_buckets(mut self, bounds: &[f64]) -> Self {
        self.sizes = bounds.into();
        self
    }

    /// Adds the label `status_code` to the histograms. It multiplies the number of their series.
    pub fn status_on_histograms(mut self) -> Self {
        self.has_status_on_histograms = true;
        self
    }

    /// Sets the maximum number of endpoints, 64 by default. Further ones are [`OTHER`](crate::OTHER).
    pub fn max_endpoints(mut self, max: usize) -> Self {
        self.max_endpoints = max;
        self
    }

    /// Names the endpoints of requests. `route` returns the template of a request's route, from its URI or from an
    /// extension that the service's router has added; `None` leaves the name to axum's `MatchedPath` (with the
    /// feature `axum`) and to [`name_endpoint`](crate::name_endpoint).
    pub fn route<F>(mut self, route: F) -> Self
    where
        F: for<'a> Fn(&'a Uri, &'a Extensions) -> Option<&'a str> + Send + Sync + 'static,
    {
        self.route = Some(Box::new(route));
        self
    }

    /// Logs all requests.
    pub fn access_log(mut self, log: impl AccessLog + 'static) -> Self {
        self.access_log = Some(Box::new(log));
        self
    }

    /// Builds the metrics and registers them. For a [`Manager`](crate::Manager) there is
    /// [`register_http`](crate::Manager::register_http).
    ///
    /// # Errors
    ///
    /// Fails if a name, label or bucket is invalid, or if the registry has another metric of the same name.
    pub fn register(self, registry: &Registry) -> prometheus::Result<HttpMetrics> {
        let (metrics, collector) = self.build()?;
        registry.register(collector)?;
        Ok(metrics)
    }

    pub(crate) fn build(self) -> prometheus::Result<(HttpMetrics, Box<dyn Collector>)> {
        // Instruments do not check this.
        if let Some(label) = self
            .labels
            .iter()
            .find(|label| self.const_labels.contains_key(*label))
        {
            return Err(prometheus::Error::Msg(format!(
                "two labels have the name {label}"
            )));
        }
        let [method, endpoint, status_code, r#type, service] = self.labels.each_ref();
        let labels = [method.as_str(), endpoint, status_code];
        let of_histograms = if self.has_status_on_histograms {
            &labels[..]
        } else {
            &labels[..2]
        };
        let durations = self.histogram(HttpMetric::Durations, &self.durations, of_histograms)?;
        let request_sizes = self.histogram(HttpMetric::RequestSizes, &self.sizes, of_histograms)?;
        let response_sizes =
            self.histogram(HttpMetric::ResponseSizes, &self.sizes, of_histograms)?;
        let requests = IntCounterVec::new(self.options(HttpMetric::Requests), &labels)?;
        let in_flight = IntGauge::with_opts(self.options(HttpMetric::InFlight))?;
        let errors = IntCounterVec::new(
            self.options(HttpMetric::Errors),
            &[r#type.as_str(), service],
        )?;
        // In the order of [`HttpMetric`].
        let all: [Box<dyn Collector>; 6] = [
            Box::new(requests.clone()),
            Box::new(durations.clone()),
            Box::new(request_sizes.clone()),
            Box::new(response_sizes.clone()),
            Box::new(in_flight.clone()),
            Box::new(errors.clone()),
        ];
        let named = all.into_iter().zip(&self.names);
        let wanted = named.filter_map(|(one, name)| name.as_ref().map(|_| one));
        let collector = Box::new(All(wanted.collect()));
        let metrics = HttpMetrics(Arc::new(Instruments {
            requests,
            durations,
            request_sizes,
            response_sizes,
            in_flight,
            client_errors: errors.with_label_values(&["client_error", &self.service]),
            server_errors: errors.with_label_values(&["server_error", &self.service]),
            errors,
            has_status_on_histograms: self.has_status_on_histograms,
            max_endpoints: self.max_endpoints,
            endpoints: RwLock::default(),
            route: self.route,
            access_log: self.access_log,
        }));
        Ok((metrics, collector))
    }

    fn options(&self, metric: HttpMetric) -> Opts {
        let name = self.names[metric as usize].as_deref();
        // An omitted one gets a name, too, but is not registered.
        let help = self.help[metric as usize].clone();
        Opts::new(name.unwrap_or(NAMES[metric as usize]), help)
            .namespace(self.namespace.clone())
            .const_labels(self.const_labels.clone())
    }

    fn histogram(
        &self,
        metric: HttpMetric,
        bounds: &[f64],
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        if bounds.iter().any(|bound| bound.is_nan()) {
            return Err(prometheus::Error::Msg("a bucket bound is no number".into()));
        }
        let options = HistogramOpts::from(self.options(metric)).buckets(bounds.into());
        // The rest is checked for each child only.
        HistogramVec::new(options.clone(), labels)?.get_metric_with_label_values(&vec![
            "";
            labels
                .len(
                )
        ])?;
        HistogramVec::new(options, labels)
    }
}

/// Registers several collectors together, or none of them.
struct All(Vec<Box<dyn Collector>>);

impl Collector for All {
    fn desc(&self) -> Vec<&Desc> {
        self.0.iter().flat_map(|one| one.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.iter().flat_map(|one| one.collect()).collect()
    }
}
