//! Decoding of protobuf messages into families.

use super::histogram;
use super::memory::Memory;
use super::message::{family, label, metric, number, quantile, summary};
use super::wire::{Fields, Malformed, Payload, delimited};
use crate::excerpt;
use crate::family::{Family, Kind, Metric, Quantile, Value};
use crate::index::PairIndex;
use crate::labels::Labels;
use crate::text::Limits;

/// Reason why a body was refused. Messages quote it in excerpts only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A body that is malformed or beyond the limits: a Pushgateway responds 400 and changes nothing.
    #[error("the message at byte {at} is refused: {problem}")]
    Syntax {
        /// The byte offset of the family's message in the body.
        at: usize,
        /// The problem, in words.
        problem: String,
    },
    /// A body that is well-formed but inconsistent: a Pushgateway responds 400 and records a failed push to the group
    /// (`push_failure_time_seconds`).
    #[error("{problem}")]
    Inconsistent {
        /// The problem, in words.
        problem: String,
    },
    /// More series, or more families, than [`Limits::max_series`].
    #[error("more than {limit} series")]
    TooManySeries {
        /// The limit.
        limit: usize,
    },
}

/// Decodes delimited `io.prometheus.client.MetricFamily` messages as the Pushgateway does. Allocates at most twelve
/// times the size of `body`, plus 64 KiB.
///
/// Families keep the order in which their names first appear. Of families with the same name the last one wins; one
/// without series is dropped. One without a type is a counter. Labels are sorted. See [`protobuf`](super) for the
/// fields that are kept, and [`check`](crate::check) for what is not checked here: names, timestamps, duplicate
/// series.
///
/// # Errors
///
/// Returns [`DecodeError::Syntax`] for a body that is truncated or not protobuf; a name or HELP text that is not
/// UTF-8 (proto2 allows it, text does not); an unknown type, and gauge histograms, which text does not have either;
/// anything beyond `limits` or the memory above.
///
/// Returns [`DecodeError::TooManySeries`] beyond [`Limits::max_series`].
///
/// Returns [`DecodeError::Inconsistent`], if the whole body has no other error, for a series without the value of its
/// family's type, with a repeated label, or with one that is not UTF-8.
pub fn decode(body: &[u8], limits: &Limits) -> Result<Vec<Family>, DecodeError> {
    read(body, limits, Memory::of_body(body.len()))
}

/// Decodes messages that were accepted before, perhaps in other bodies, without limits.
///
/// # Errors
///
/// Fails as [`decode`] does.
pub fn decode_again(body: &[u8]) -> Result<Vec<Family>, DecodeError> {
    read(body, &Limits::default(), Memory::unlimited())
}

fn read(body: &[u8], limits: &Limits, memory: Memory) -> Result<Vec<Family>, DecodeError> {
    let mut decoder = Decoder {
        limits,
        memory,
        pairs: Vec::new(),
        inconsistent: None,
        series: 0,
    };
    let too_many = DecodeError::TooManySeries {
        limit: limits.max_series,
    };
    let refused = |at, Malformed(problem)| DecodeError::Syntax { at, problem };
    let count = count_messages(body);
    if count > limits.max_series {
        return Err(too_many);
    }
    let room = decoder.memory.take::<(Family, usize)>(count);
    room.map_err(|error| refused(0, error))?;
    let mut families: Vec<Family> = Vec::with_capacity(count);
    let mut names = PairIndex::default();
    let mut rest = body;
    while !rest.is_empty() {
        let at = body.len() - rest.len();
        let read = delimited(&mut rest).and_then(|message| decoder.family(message));
        if decoder.series > limits.max_series {
            return Err(too_many);
        }
        let family = read.map_err(|error| refused(at, error))?;
        match names.find(&families, family_name, &family.name) {
            Some(place) => families[place] = family,
            None => {
                families.push(family);
                names.grew(&families, family_name);
            }
        }
    }
    if let Some(problem) = decoder.inconsistent {
        return Err(DecodeError::Inconsistent { problem });
    }
    families.retain(|family| !family.metrics.is_empty());
    Ok(families)
}

/// Counts the messages, except empty ones, which all make one family without a name.
fn count_messages(mut body: &[u8]) -> usize {
    let messages = std::iter::from_fn(|| delimited(&mut body).ok());
    messages.filter(|message| !message.is_empty()).count()
}

fn family_name(family: &Family) -> &str {
    &family.name
}

struct Decoder<'a> {
    limits: &'a Limits,
    memory: Memory,
    /// Labels of the current series.
    pairs: Vec<(&'a str, &'a str)>,
    /// The first [`DecodeError::Inconsistent`], reported only if the syntax is right throughout.
    inconsistent: Option<String>,
    /// Number of series so far, including all of the current family.
    series: usize,
}

/// Fields of a family that must be known before its series are decoded. They may come behind them.
struct Header<'a> {
    name: &'a str,
    help: &'a str,
    kind: Kind,
    metrics: usize,
}

impl<'a> Decoder<'a> {
    fn family(&mut self, message: &'a [u8]) -> Result<Family, Malformed> {
        let header = header(message)?;
        self.limits.check_name(header.name)?;
        self.memory.take_text(header.name)?;
        self.memory.take_text(header.help)?;
        self.series += header.metrics;
        if self.series > self.limits.max_series {
            return Err(Malformed("too many series".into()));
        }
        self.memory.take::<Metric>(header.metrics)?;
        let mut metrics = Vec::with_capacity(header.metrics);
        for field in Fields(message) {
            if let (family::METRIC, Payload::Bytes(message)) = field? {
                metrics.push(self.metric(&header, message)?);
            }
        }
        Ok(Family {
            name: header.name.to_owned(),
            help: header.help.to_owned(),
            kind: header.kind,
            metrics,
        })
    }

    fn metric(&mut self, header: &Header<'a>, message: &'a [u8]) -> Result<Metric, Malformed> {
        self.pairs.clear();
        let value_field = value_field(header.kind);
        let mut value = None;
        let mut timestamp_ms = None;
        for field in Fields(message) {
            match field? {
                (metric::LABEL, Payload::Bytes(message)) => self.label(header, message)?,
                (metric::TIMESTAMP_MS, Payload::Varint(time)) => timestamp_ms = Some(time as i64),
                (field, Payload::Bytes(message)) if field == value_field => {
                    let value = value.get_or_insert_with(|| Value::zero(header.kind));
                    self.value(value, message)?;
                }
                _ => {}
            }
        }
        let value = value.unwrap_or_else(|| {
            self.inconsistent.get_or_insert_with(|| {
                let (name, kind) = (excerpt::word(header.name), header.kind);
                format!("{name} is a {kind}, but a series of it has no such value")
            });
            Value::zero(header.kind)
        });
        let labels = Labels::from_pairs(&self.pairs).unwrap_or_else(|repeated| {
            self.inconsistent.get_or_insert_with(|| {
                format!(
                    "{} has a series with the label {} twice",
                    excerpt::word(header.name),
                    excerpt::word(self.pairs[repeated].0)
                )
            });
            Labels::new()
        });
        self.memory.take_bytes(labels.size())?;
        Ok(Metric {
            labels,
            value,
            timestamp_ms,
        })
    }

    fn label(&mut self, header: &Header<'_>, message: &'a [u8]) -> Result<(), Malformed> {
        let (name, value) = label_bytes(message)?;
        let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value)) else {
            self.inconsistent.get_or_insert_with(|| {
                format!(
                    "{} has a series with the label {} of {}, which is not UTF-8",
                    excerpt::word(header.name),
                    excerpt::quoted(name),
                    excerpt::quoted(value)
                )
            });
            return Ok(());
        };
        self.limits.check_name(name)?;
        self.limits.check_value(name, value)?;
        self.limits.check_count(header.name, self.pairs.len() + 1)?;
        self.memory.take_room(&mut self.pairs, 1)?;
        self.pairs.push((name, value));
        Ok(())
    }

    fn value(&mut self, value: &mut Value, message: &[u8]) -> Result<(), Malformed> {
        match value {
            Value::Number(value) => {
                for field in Fields(message) {
                    if let (number::VALUE, Payload::Double(number)) = field? {
                        *value = number;
                    }
                }
                Ok(())
            }
            Value::Summary {
                count,
                sum,
                quantiles,
            } => {
                for field in Fields(message) {
                    match field? {
                        (summary::COUNT, Payload::Varint(number)) => *count = number,
                        (summary::SUM, Payload::Double(number)) => *sum = number,
                        (summary::QUANTILE, Payload::Bytes(message)) => {
                            self.memory.take_room(quantiles, 1)?;
                            quantiles.push(read_quantile(message)?);
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
            Value::Histogram {
                count,
                sum,
                buckets,
                native,
            } => histogram::HistogramReader {
                memory: &mut self.memory,
                count,
                sum,
                buckets,
                native,
            }
            .read(message),
        }
    }
}

fn header(message: &[u8]) -> Result<Header<'_>, Malformed> {
    let mut header = Header {
        name: "",
        help: "",
        kind: Kind::Counter,
        metrics: 0,
    };
    let mut type_number = 0;
    for field in Fields(message) {
        match field? {
            (family::NAME, Payload::Bytes(name)) => header.name = utf8("name", name)?,
            (family::HELP, Payload::Bytes(help)) => header.help = utf8("HELP text", help)?,
            (family::TYPE, Payload::Varint(number)) => type_number = number,
            (family::METRIC, Payload::Bytes(_)) => header.metrics += 1,
            _ => {}
        }
    }
    header.kind = match type_number {
        0 => Kind::Counter,
        1 => Kind::Gauge,
        2 => Kind::Summary,
        3 => Kind::Untyped,
        4 => Kind::Histogram,
        5 => {
            let name = excerpt::word(header.name);
            let problem = format!("{name} is a gauge histogram, and those cannot be pushed");
            return Err(Malformed(problem));
        }
        _ => {
            let name = excerpt::word(header.name);
            let problem = format!("{name} has the type {type_number}, which is unknown");
            return Err(Malformed(problem));
        }
    };
    Ok(header)
}

fn value_field(kind: Kind) -> u32 {
    match kind {
        Kind::Counter => metric::COUNTER,
        Kind::Gauge => metric::GAUGE,
        Kind::Summary => metric::SUMMARY,
        Kind::Histogram => metric::HISTOGRAM,
        Kind::Untyped => metric::UNTYPED,
    }
}

/// Returns name and value of a label.
pub fn label_bytes(message: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut name, mut value) = (&[][..], &[][..]);
    for field in Fields(message) {
        match field? {
            (label::NAME, Payload::Bytes(bytes)) => name = bytes,
            (label::VALUE, Payload::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((name, value))
}

fn read_quantile(message: &[u8]) -> Result<Quantile, Malformed> {
    let mut read = Quantile {
        quantile: 0.0,
        value: 0.0,
    };
    for field in Fields(message) {
        match field? {
            (quantile::QUANTILE, Payload::Double(number)) => read.quantile = number,
            (quantile::VALUE, Payload::Double(number)) => read.value = number,
            _ => {}
        }
    }
    Ok(read)
}

/// Converts `bytes` to a string; `what` names them in the error.
pub fn utf8<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, Malformed> {
    str::from_utf8(bytes).map_err(|_| {
        Malformed(format!(
            "the {what} {} is not UTF-8",
            excerpt::quoted(bytes)
        ))
    })
}
