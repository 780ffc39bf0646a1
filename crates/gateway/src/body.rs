//! Body of a push: received, decompressed and parsed, within limits.

use std::future::poll_fn;
use std::hint::black_box;
use std::io::Read;
use std::mem;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::time::timeout;

use metricsjob_metrics::protobuf::{self, DecodeError};
use metricsjob_metrics::text;
use metricsjob_metrics::{Family, Names};
use metricsjob_state::group_log::Body;
use metricsjob_web::byte_budget::{ByteBudget, Reservation};
use metricsjob_web::content_encoding::{ContentEncoding, content_encoding};
use metricsjob_web::pace::Pace;

/// Limits for pushes.
#[derive(Debug, Clone, Copy)]
pub struct PushLimits {
    /// Size of one push in bytes, decompressed.
    pub body: usize,
    /// Total size in bytes of all pushes that are being received or processed.
    pub pending: usize,
    /// Number of labels of one series.
    pub labels: usize,
    /// Size of a label value in bytes.
    pub label_value: usize,
    pub name: usize,
    /// Number of series in one push; a summary or histogram counts as one.
    pub series: usize,
    /// Names allowed for metrics and labels, including those of the grouping key.
    pub names: Names,
    /// Maximum time that a body may keep the server waiting; see [`Pace`].
    pub read_timeout: Duration,
}

impl Default for PushLimits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        PushLimits {
            body: 32 * MIB,
            pending: 256 * MIB,
            labels: 128,
            label_value: 64 * 1024,
            name: 1024,
            series: 100_000,
            names: Names::Legacy,
            read_timeout: Duration::from_secs(30),
        }
    }
}

impl PushLimits {
    /// Returns the limits for one series, which also apply to the grouping key.
    pub fn of_series(&self) -> text::Limits {
        text::Limits {
            max_labels: self.labels,
            max_label_value_bytes: self.label_value,
            max_name_bytes: self.name,
            max_series: self.series,
        }
    }
}

/// Reason why a body was not read. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the body has more than {limit} bytes{}: push less at once, or raise --push.max-body-size", if *.is_compressed { " once it is decompressed" } else { "" })]
    TooLarge { limit: usize, is_compressed: bool },
    #[error(
        "the body needs more than the {0} bytes that all pushes may have together: push less at once, or raise --push.max-pending-size"
    )]
    OverPending(usize),
    #[error(
        "too many bytes of other pushes are waiting: try again in a moment (--push.max-pending-size sets how many may)"
    )]
    Busy,
    #[error(
        "there is no memory for the body: try again in a moment, or push less at once (--push.max-pending-size sets \
         how much is taken)"
    )]
    Memory,
    #[error("the body did not come: it fell {} behind 10 kB/s (--web.read-timeout sets how far it may)", humantime::format_duration(*.0))]
    Slow(Duration),
    #[error("the body broke off: {0}")]
    Broken(String),
    #[error(
        "the Content-Encoding {0:?} is not known: send the body as it is, or by gzip or snappy"
    )]
    UnknownEncoding(String),
    #[error("the body is not {encoding} as its Content-Encoding says: {problem}")]
    Encoding {
        encoding: &'static str,
        problem: String,
    },
    #[error(
        "the push has more than {limit} series: push less at once, to several groups, or raise --push.max-series"
    )]
    TooManySeries { limit: usize },
    #[error("text format parsing error in {0}")]
    Text(text::ParseError),
    #[error("protobuf parsing error: {0}")]
    Protobuf(DecodeError),
}

impl BodyError {
    pub fn status(&self) -> StatusCode {
        match self {
            BodyError::TooLarge { .. }
            | BodyError::OverPending(_)
            | BodyError::TooManySeries { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Busy | BodyError::Memory => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            BodyError::UnknownEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Receives bodies as long as all of them together stay within the limit.
pub struct Receiver {
    limits: PushLimits,
    pending: ByteBudget,
}

/// A body as received, with its share of the pending bytes.
pub struct Received {
    bytes: Bytes,
    reserved: Reservation,
}

impl Receiver {
    pub fn new(limits: PushLimits) -> Self {
        Receiver {
            pending: ByteBudget::new(limits.pending),
            limits,
        }
    }

    /// Receives a body.
    pub async fn receive(
        &self,
        headers: &HeaderMap,
        mut body: HttpBody,
    ) -> Result<Received, BodyError> {
        let limit = self.limits.body;
        let too_large = BodyError::TooLarge {
            limit,
            is_compressed: false,
        };
        let announced = headers.get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large);
        }
        if announced.is_some_and(|length| length > self.pending.bytes()) {
            return Err(BodyError::OverPending(self.limits.pending));
        }
        let mut received = Received {
            bytes: Bytes::new(),
            reserved: Reservation::default(),
        };
        let mut more: Option<Vec<u8>> = None;
        let most = announced.unwrap_or(limit);
        let mut pace = Pace::default();
        let mut length = 0;
        let mut counted = 0;
        loop {
            let frame = match self.next(&mut body, &mut pace).await? {
                None => break,
                Some(Err(error)) => return Err(BodyError::Broken(error.to_string())),
                Some(Ok(frame)) => frame,
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            pace.came(data.len());
            length += data.len();
            if length > limit {
                return Err(too_large);
            }
            self.reserve(length, &mut counted, &mut received.reserved)?;
            // Most bodies arrive in one piece.
            match &mut more {
                Some(more) => append(more, &data, most)?,
                None if received.bytes.is_empty() => received.bytes = data,
                None => {
                    let mut all = Vec::new();
                    append(&mut all, &mem::take(&mut received.bytes), most)?;
                    append(&mut all, &data, most)?;
                    more = Some(all);
                }
            }
        }
        if let Some(more) = more {
            received.bytes = more.into();
        }
        Ok(received)
    }

    /// Waits for the next part of a body, as long as its pace allows.
    async fn next(
        &self,
        body: &mut HttpBody,
        pace: &mut Pace,
    ) -> Result<Option<Result<Frame<Bytes>, axum::Error>>, BodyError> {
        let mut next = pin!(body.frame());
        // Most bodies arrive with their heads, and need neither clock nor timer.
        if let Poll::Ready(frame) = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await {
            return Ok(frame);
        }
        let patience = self.limits.read_timeout;
        let left = patience.saturating_sub(pace.waits().elapsed());
        let frame = timeout(left, next).await;
        frame.map_err(|_| BodyError::Slow(patience))
    }

    /// Decompresses and parses a received body. Also returns it decompressed.
    pub fn read(
        &self,
        headers: &HeaderMap,
        received: &mut Received,
    ) -> Result<(Body, Result<Vec<Family>, DecodeError>), BodyError> {
        let encoding = content_encoding(headers).map_err(BodyError::UnknownEncoding)?;
        let bytes = match encoding {
            ContentEncoding::Gzip => self.decompress(
                "gzip",
                MultiGzDecoder::new(&*received.bytes),
                &mut received.reserved,
            )?,
            ContentEncoding::Snappy => {
                let decoder = snap::read::FrameDecoder::new(&*received.bytes);
                self.decompress("snappy", decoder, &mut received.reserved)?
            }
            ContentEncoding::Identity => received.bytes.clone(),
        };
        let limits = self.limits.of_series();
        if !is_protobuf(headers) {
            let parsed = text::parse_names(&bytes, &limits, self.limits.names);
            let families = parsed.map_err(|error| {
                if error.has_too_many_series {
                    BodyError::TooManySeries {
                        limit: limits.max_series,
                    }
                } else {
                    BodyError::Text(error)
                }
            })?;
            return Ok((Body::Text(bytes), Ok(families)));
        }
        match protobuf::decode(&bytes, &limits) {
            Err(error @ DecodeError::Inconsistent { .. }) => {
                Ok((Body::Protobuf(bytes), Err(error)))
            }
            Err(DecodeError::TooManySeries { limit }) => Err(BodyError::TooManySeries { limit }),
            Err(error) => Err(BodyError::Protobuf(error)),
            Ok(families) => Ok((Body::Protobuf(bytes), Ok(families))),
        }
    }

    fn decompress(
        &self,
        encoding: &'static str,
        mut from: impl Read,
        reserved: &mut Reservation,
    ) -> Result<Bytes, BodyError> {
        let limit = self.limits.body;
        let mut out = Vec::new();
        let mut counted = 0;
        let mut chunk = [0; 16 * 1024];
        loop {
            let read = from.read(&mut chunk).map_err(|error| BodyError::Encoding {
                encoding,
                problem: error.to_string(),
            })?;
            if read == 0 {
                return Ok(out.into());
            }
            if out.len() + read > limit {
                return Err(BodyError::TooLarge {
                    limit,
                    is_compressed: true,
                });
            }
            self.reserve(out.len() + read, &mut counted, reserved)?;
            append(&mut out, &chunk[..read], limit)?;
        }
    }

    /// Reserves the units for `length` bytes, of which `counted` are covered already, because a body may grow
    /// by little at a time. `reserved` is the whole reservation of this push.
    fn reserve(
        &self,
        length: usize,
        counted: &mut usize,
        reserved: &mut Reservation,
    ) -> Result<(), BodyError> {
        let needed = length.saturating_sub(*counted);
        if needed > 0 {
            if reserved.bytes() + needed > self.pending.bytes() {
                return Err(BodyError::OverPending(self.limits.pending));
            }
            let more = self.pending.reserve(needed).ok_or(BodyError::Busy)?;
            *counted += more.bytes();
            reserved.merge(more);
        }
        Ok(())
    }
}

/// Memory in bytes that a growing body must leave free, because other allocations abort the process if they
/// fail. It is more than the C library ever takes from its heap, so that checking for it leaves the heap
/// unchanged.
const LEFT: usize = 40 << 20;

/// Appends a piece to a body that will have at most `most` bytes. Its memory grows with the bytes received,
/// regardless of the announced length.
fn append(body: &mut Vec<u8>, piece: &[u8], most: usize) -> Result<(), BodyError> {
    let length = body.len() + piece.len();
    if length > body.capacity() {
        // The capacity doubles each time, so that moving the bytes takes no longer than receiving them.
        let capacity = length.max(body.capacity().saturating_mul(2).min(most));
        let more = body.try_reserve_exact(capacity - body.len());
        if more.is_err() || !is_free(LEFT) {
            return Err(BodyError::Memory);
        }
    }
    body.extend_from_slice(piece);
    Ok(())
}

/// Returns true if `bytes` bytes of memory can be allocated.
fn is_free(bytes: usize) -> bool {
    let mut memory = Vec::<u8>::new();
    let result = memory.try_reserve_exact(bytes);
    // This prevents the compiler from removing the unused allocation.
    black_box(memory.as_ptr());
    result.is_ok()
}

impl Received {
    /// Returns the number of bytes reserved for the body, including decompressed ones.
    pub fn reserved(&self) -> usize {
        self.reserved.bytes()
    }

    /// Returns the number of bytes received.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Returns true if the body is delimited protobuf by the rules of the Pushgateway: everything else is text.
fn is_protobuf(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let (name, parameters) = media_type.split_at(media_type.find(';').unwrap_or(media_type.len()));
    if !(name.trim()).eq_ignore_ascii_case("application/vnd.google.protobuf") {
        return false;
    }
    let Some(parameters) = media_type_parameters(parameters) else {
        return false;
    };
    let has = |name: &str, value: &str| {
        let mut parameters = parameters.iter();
        parameters.any(|(known, given)| known.eq_ignore_ascii_case(name) && given == value)
    };
    has("encoding", "delimited") && has("proto", "io.prometheus.client.MetricFamily")
}

/// Returns the parameters of a media type, `; NAME=VALUE` each, as Go's `mime.ParseMediaType` parses them.
/// Returns `None` if it would refuse them.
fn media_type_parameters(mut rest: &str) -> Option<Vec<(&str, String)>> {
    let mut parameters: Vec<(&str, String)> = Vec::new();
    while !matches!(rest.trim(), "" | ";") {
        rest = rest.trim_start().strip_prefix(';')?.trim_start();
        let (name, value) = rest.split_at(token_length(rest)?);
        let value = value.trim_start().strip_prefix('=')?.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (value, after) = value.split_at(token_length(value)?);
                (value.to_owned(), after)
            }
        };
        let mut known = parameters.iter();
        if known.any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return None;
        }
        parameters.push((name, value));
        rest = after;
    }
    Some(parameters)
}

/// Returns the length of the token that the text starts with, or `None` if there is none.
fn token_length(text: &str) -> Option<usize> {
    let is_of_token = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
    let length = text.bytes().take_while(|&byte| is_of_token(byte)).count();
    (length > 0).then_some(length)
}

/// Returns a text up to its closing quote, and the rest after it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;
    use axum::http::header::CONTENT_ENCODING;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// Reads a body in a gateway where four kilobytes may be pending.
    fn read(encoding: &'static str, bytes: Vec<u8>) -> Result<Vec<Family>, BodyError> {
        let receiver = Receiver::new(PushLimits {
            body: 2048,
            pending: 4 * 1024,
            labels: 3,
            label_value: 10,
            name: 10,
            series: 10,
            names: Names::Legacy,
            read_timeout: Duration::from_secs(1),
        });
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        let mut received = Received {
            bytes: bytes.into(),
            reserved: Reservation::default(),
        };
        let (_, families) = receiver.read(&headers, &mut received)?;
        Ok(families.unwrap())
    }

    #[test]
    fn many_small_parts_are_no_large_body() {
        let gzip = b"a 1\n".repeat(10).into_iter().flat_map(|byte| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&[byte]).unwrap();
            encoder.finish().unwrap()
        });
        assert_eq!(read("gzip", gzip.collect()).unwrap()[0].metrics.len(), 10);
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        for _ in 0..10 {
            encoder.write_all(b"a 1\n").unwrap();
            encoder.flush().unwrap();
        }
        let snappy = encoder.into_inner().unwrap();
        assert_eq!(read("snappy", snappy).unwrap()[0].metrics.len(), 10);
    }

    #[test]
    fn only_what_is_wholly_said_to_be_protobuf_is() {
        const PROTO: &str = "proto=io.prometheus.client.MetricFamily";
        for (parameters, expected) in [
            (format!("; {PROTO}; encoding=delimited"), true),
            (format!(" ;ENCODING = \"deli\\mited\" ;{PROTO};"), true),
            (format!("; {PROTO}; encoding=delimited; x=y"), true),
            (format!("; {PROTO}; encoding=delimited; x"), false),
            (format!("; {PROTO}; encoding=delimited; {PROTO}"), false),
            (format!("; {PROTO}; encoding=\"delimited"), false),
            (format!("; {PROTO}; encoding=text"), false),
            (format!("; {PROTO}"), false),
            (String::new(), false),
        ] {
            let mut headers = HeaderMap::new();
            let media_type = format!("application/vnd.google.protobuf{parameters}");
            headers.insert(CONTENT_TYPE, media_type.parse().unwrap());
            assert_eq!(is_protobuf(&headers), expected, "{media_type}");
        }
    }
}
