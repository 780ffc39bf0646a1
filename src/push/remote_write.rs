//! Reports as samples, by Prometheus' remote write 1.0
//! (<https://prometheus.io/docs/specs/prw/remote_write_spec/>).

use std::time::Duration;

use prost::Message;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::gateway::GatewayError;
use super::recipient::{Recipient, wrong};
use super::textfile::with_group;
use metricsjob_client::{Connection, GatewayUrl, HttpError, HttpGateway, Stop};
use metricsjob_metrics::text::encode::{each_sample, number};
use metricsjob_metrics::{Kind, Push, unix_seconds};
use metricsjob_state::LazyState;
use metricsjob_state::outbox::Content;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// Sends reports to one server.
pub struct RemoteWrite {
    name: String,
    client: Result<HttpGateway, HttpError>,
}

impl RemoteWrite {
    /// Sends to `url`. `name` is what the outbox calls it.
    pub fn new(name: String, url: &GatewayUrl, connection: &Connection) -> Self {
        RemoteWrite {
            name,
            client: HttpGateway::new(url.clone(), connection),
        }
    }
}

impl Recipient for RemoteWrite {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(
        &self,
        content: &Content<'_>,
        _state: &mut LazyState,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(), GatewayError> {
        let Content::Push(push) = content else {
            return Err(wrong("remote write takes no notifications"));
        };
        let client = self.client.as_ref().map_err(HttpError::clone)?;
        let body = request(push).encode_to_vec();
        let body = snap::raw::Encoder::new().compress_vec(&body);
        let body =
            body.map_err(|error| wrong(&format!("a report cannot be compressed: {error}")))?;
        let headers = [
            (CONTENT_ENCODING, "snappy"),
            (CONTENT_TYPE, "application/x-protobuf"),
            (VERSION, "0.1.0"),
        ];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let headers: HeaderMap = headers.into_iter().collect();
        Ok(client.post("", headers, body, limit, stop)?)
    }

    /// Each report is a sample of its own time.
    fn merged<'a>(&self, _older: &Content<'a>, _newer: &Content<'a>) -> Option<Content<'a>> {
        None
    }
}

/// The report as a request: a sample of each series at the end of the run.
fn request(push: &Push) -> WriteRequest {
    let timestamp = (unix_seconds(push.produced_at()) * 1e3).round() as i64;
    let mut request = WriteRequest::default();
    for family in push.families() {
        for metric in &family.metrics {
            let labels = with_group(&metric.labels, push.key());
            each_sample(&metric.value, |suffix, further, value| {
                let name = format!("{}{suffix}", family.name);
                let further = further.map(|(label, bound)| {
                    let mut text = String::new();
                    number(&mut text, bound);
                    (label.to_owned(), text)
                });
                let own = labels
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()));
                let mut labels: Vec<Label> = own
                    .chain([("__name__".to_owned(), name)])
                    .chain(further)
                    // A label without a value is one that is not there.
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| Label { name, value })
                    .collect();
                labels.sort_by(|a, b| a.name.cmp(&b.name));
                request.timeseries.push(TimeSeries {
                    labels,
                    samples: vec![WrittenSample { value, timestamp }],
                });
            });
        }
        request.metadata.push(MetricMetadata {
            kind: match family.kind {
                Kind::Untyped => 0,
                Kind::Counter => 1,
                Kind::Gauge => 2,
                Kind::Histogram => 3,
                Kind::Summary => 5,
            },
            metric_family_name: family.name.clone(),
            help: family.help.clone(),
        });
    }
    request
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<MetricMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<WrittenSample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct MetricMetadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    metric_family_name: String,
    #[prost(string, tag = "4")]
    help: String,
}
