//! The body of a push: received, decompressed and read, within limits.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::metrics::protobuf::{self, DecodeError};
use crate::metrics::text;
use crate::metrics::{Family, Names};
use crate::state::group_log::Body;

/// What a push may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of one push, in bytes, decompressed.
    pub body: usize,
    /// Of all pushes that are being received or done, in bytes.
    pub pending: usize,
    /// Of one series.
    pub labels: usize,
    /// In bytes.
    pub label_value: usize,
    pub name: usize,
    /// Which ones metrics and labels may have, those of the grouping key too.
    pub names: Names,
    /// How long to wait for the next part of a body.
    pub read_timeout: Duration,
}

/// Why a body was not read. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the body has more than {limit} bytes{}: push less at once, or raise --push.max-body-size", if *.is_compressed { " once it is decompressed" } else { "" })]
    TooLarge { limit: usize, is_compressed: bool },
    #[error(
        "too many bytes of other pushes are waiting: try again in a moment (--push.max-pending-size sets how many may)"
    )]
    Busy,
    #[error("no more of the body came within {}", humantime::format_duration(*.0))]
    Slow(Duration),
    #[error("the body broke off: {0}")]
    Broken(String),
    #[error("the body is not {encoding} as its Content-Encoding says: {problem}")]
    Encoding {
        encoding: &'static str,
        problem: String,
    },
    #[error("text format parsing error in {0}")]
    Text(#[from] text::ParseError),
    #[error("protobuf parsing error: {0}")]
    Protobuf(DecodeError),
}

impl BodyError {
    pub fn status(&self) -> StatusCode {
        match self {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Takes bodies as far as all of them together keep within the limit.
pub struct Receiver {
    limits: Limits,
    /// A permit is a unit of bytes.
    pending: Arc<Semaphore>,
}

/// The unit in which pending bytes are counted.
const UNIT: usize = 1024;

/// A body as it came, and its part of what may be pending.
pub struct Received {
    bytes: Bytes,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Receiver {
    pub fn new(limits: Limits) -> Self {
        let units = (limits.pending / UNIT).min(Semaphore::MAX_PERMITS);
        Receiver {
            limits,
            pending: Arc::new(Semaphore::new(units)),
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
        let mut received = Received {
            bytes: Bytes::new(),
            permits: Vec::new(),
        };
        let mut more: Option<BytesMut> = None;
        let mut length = 0;
        let mut reserved = 0;
        loop {
            let patience = self.limits.read_timeout;
            let frame = match timeout(patience, body.frame()).await {
                Err(_) => return Err(BodyError::Slow(patience)),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(BodyError::Broken(error.to_string())),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            length += data.len();
            if length > limit {
                return Err(too_large);
            }
            if length > reserved {
                let units = (length - reserved).div_ceil(UNIT);
                received.permits.push(self.reserve(units)?);
                reserved += units * UNIT;
            }
            // Most bodies come in one piece.
            match &mut more {
                Some(more) => more.extend_from_slice(&data),
                None if received.bytes.is_empty() => received.bytes = data,
                None => {
                    let mut all = BytesMut::with_capacity(announced.unwrap_or(0).max(length));
                    all.extend_from_slice(&received.bytes);
                    all.extend_from_slice(&data);
                    more = Some(all);
                }
            }
        }
        if let Some(more) = more {
            received.bytes = more.freeze();
        }
        Ok(received)
    }

    /// Decompresses and reads what was received. Returns it decompressed, too.
    pub fn read(
        &self,
        headers: &HeaderMap,
        received: &mut Received,
    ) -> Result<(Body, Result<Vec<Family>, DecodeError>), BodyError> {
        let encoding = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
        let bytes = match encoding {
            Some(encoding) if encoding.eq_ignore_ascii_case(b"gzip") => self.decompress(
                "gzip",
                MultiGzDecoder::new(&*received.bytes),
                &mut received.permits,
            )?,
            Some(encoding) if encoding.eq_ignore_ascii_case(b"snappy") => {
                let decoder = snap::read::FrameDecoder::new(&*received.bytes);
                self.decompress("snappy", decoder, &mut received.permits)?
            }
            _ => received.bytes.clone(),
        };
        let limits = text::Limits {
            max_labels: self.limits.labels,
            max_label_value_bytes: self.limits.label_value,
            max_name_bytes: self.limits.name,
        };
        if !is_protobuf(headers) {
            let families = text::parse_names(&bytes, &limits, self.limits.names)?;
            return Ok((Body::Text(bytes), Ok(families)));
        }
        match protobuf::decode(&bytes, &limits) {
            Err(error @ DecodeError::Inconsistent { .. }) => {
                Ok((Body::Protobuf(bytes), Err(error)))
            }
            Err(error) => Err(BodyError::Protobuf(error)),
            Ok(families) => Ok((Body::Protobuf(bytes), Ok(families))),
        }
    }

    fn decompress(
        &self,
        encoding: &'static str,
        mut from: impl Read,
        permits: &mut Vec<OwnedSemaphorePermit>,
    ) -> Result<Bytes, BodyError> {
        let limit = self.limits.body;
        let mut out = Vec::new();
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
            permits.push(self.reserve(read.div_ceil(UNIT))?);
            out.extend_from_slice(&chunk[..read]);
        }
    }

    fn reserve(&self, units: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let pending = self.pending.clone();
        pending
            .try_acquire_many_owned(units)
            .map_err(|_| BodyError::Busy)
    }
}

impl Received {
    /// How many bytes came.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Whether the body is delimited protobuf, by the rules of the Pushgateway: whatever is not exactly that is
/// text.
fn is_protobuf(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut parts = media_type.split(';').map(str::trim);
    let is_protobuf = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("application/vnd.google.protobuf"));
    let (mut is_delimited, mut is_family) = (false, false);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim_matches('"');
        is_delimited |= name.eq_ignore_ascii_case("encoding") && value == "delimited";
        is_family |=
            name.eq_ignore_ascii_case("proto") && value == "io.prometheus.client.MetricFamily";
    }
    is_protobuf && is_delimited && is_family
}
