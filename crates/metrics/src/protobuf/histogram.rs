//! Decoding of a histogram's message.

use super::decode::{label_bytes, utf8};
use super::memory::Memory;
use super::message::histogram::{self as field, MessageSide};
use super::message::{bucket, exemplar, span, timestamp};
use super::wire::{Fields, Malformed, Payload, double, from_zigzag, zigzag};
use crate::count::Count;
use crate::family::Bucket;
use crate::labels::Labels;
use crate::native::{
    BucketExemplar, BucketSpan, Exemplar, NativeBuckets, NativeHistogram, Timestamp,
};

/// Decodes a histogram's message into the fields of a series. A second message for the same series is merged into the
/// first, as protobuf requires.
pub struct HistogramReader<'a> {
    pub memory: &'a mut Memory,
    pub count: &'a mut Count,
    pub sum: &'a mut f64,
    pub buckets: &'a mut Vec<Bucket>,
    pub native: &'a mut Option<Box<NativeHistogram>>,
}

impl HistogramReader<'_> {
    pub fn read(mut self, message: &[u8]) -> Result<(), Malformed> {
        let mut count = CountFields::default();
        let mut zero_count = CountFields::default();
        for field in Fields(message) {
            match field? {
                (field::COUNT, Payload::Varint(number)) => count.integer = Some(number),
                (field::COUNT_FLOAT, Payload::Double(number)) => count.float = Some(number),
                (field::ZERO_COUNT, Payload::Varint(number)) => zero_count.integer = Some(number),
                (field::ZERO_COUNT_FLOAT, Payload::Double(number)) => {
                    zero_count.float = Some(number);
                }
                (field::SUM, Payload::Double(number)) => *self.sum = number,
                (field::BUCKET, Payload::Bytes(message)) => self.bucket(message)?,
                (field, payload) => self.native_field(field, payload)?,
            }
        }
        if let Some(count) = count.after(Some(*self.count)) {
            *self.count = count;
        }
        if zero_count != CountFields::default() {
            let native = native(self.memory, self.native)?;
            native.zero_count = zero_count.after(native.zero_count);
        }
        Ok(())
    }

    fn bucket(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let mut upper_bound = 0.0;
        let mut count = CountFields::default();
        let mut exemplar = None;
        for field in Fields(message) {
            match field? {
                (bucket::COUNT, Payload::Varint(number)) => count.integer = Some(number),
                (bucket::UPPER_BOUND, Payload::Double(number)) => upper_bound = number,
                (bucket::COUNT_FLOAT, Payload::Double(number)) => count.float = Some(number),
                (bucket::EXEMPLAR, Payload::Bytes(message)) => {
                    exemplar = Some(read_exemplar(self.memory, message)?);
                }
                _ => {}
            }
        }
        self.memory.take_room(self.buckets, 1)?;
        let index = self.buckets.len();
        self.buckets.push(Bucket {
            upper_bound,
            count: count.after(None).unwrap_or(Count::Integer(0)),
        });
        if let Some(exemplar) = exemplar {
            let native = native(self.memory, self.native)?;
            self.memory.take_room(&mut native.bucket_exemplars, 1)?;
            let exemplar = BucketExemplar { index, exemplar };
            native.bucket_exemplars.push(exemplar);
        }
        Ok(())
    }

    fn native_field(&mut self, field: u32, payload: Payload<'_>) -> Result<(), Malformed> {
        // Unknown fields must not make a histogram native.
        if !(field::SCHEMA..=field::EXEMPLAR).contains(&field) {
            return Ok(());
        }
        let native = native(self.memory, self.native)?;
        match (field, payload) {
            (field::SCHEMA, Payload::Varint(number)) => {
                native.schema = Some(from_zigzag(number) as i32);
            }
            (field::ZERO_THRESHOLD, Payload::Double(number)) => {
                native.zero_threshold = Some(number);
            }
            (field::CREATED, Payload::Bytes(message)) => {
                native.created = Some(read_timestamp(message)?);
            }
            (field::EXEMPLAR, Payload::Bytes(message)) => {
                let exemplar = read_exemplar(self.memory, message)?;
                self.memory.take_room(&mut native.exemplars, 1)?;
                native.exemplars.push(exemplar);
            }
            _ => {
                let memory = &mut *self.memory;
                let negative = &mut native.negative;
                buckets_field(memory, field::NEGATIVE, negative, field, payload)?;
                let positive = &mut native.positive;
                buckets_field(memory, field::POSITIVE, positive, field, payload)?;
            }
        }
        Ok(())
    }
}

/// The integer and the float field of a count, which may come in any order.
#[derive(Default, PartialEq)]
struct CountFields {
    integer: Option<u64>,
    float: Option<f64>,
}

impl CountFields {
    /// Returns the count. A field that is missing is taken from `before`, the count of an earlier message.
    fn after(self, before: Option<Count>) -> Option<Count> {
        if self.integer.is_none() && self.float.is_none() {
            return before;
        }
        // An integer 0 may only be the initial value.
        let before = before.filter(|before| *before != Count::Integer(0));
        let (integer, float) = before.map_or((None, None), Count::fields);
        Count::of_fields(self.integer.or(integer), self.float.or(float))
    }
}

fn native<'a>(
    memory: &mut Memory,
    native: &'a mut Option<Box<NativeHistogram>>,
) -> Result<&'a mut NativeHistogram, Malformed> {
    if native.is_none() {
        memory.take::<NativeHistogram>(1)?;
    }
    Ok(native.get_or_insert_default())
}

/// Decodes a field of the buckets on one side. Numbers may be packed, many in one field.
fn buckets_field(
    memory: &mut Memory,
    fields: MessageSide,
    buckets: &mut NativeBuckets,
    field: u32,
    payload: Payload<'_>,
) -> Result<(), Malformed> {
    match payload {
        Payload::Bytes(message) if field == fields.span => {
            let mut read = BucketSpan {
                offset: 0,
                length: 0,
            };
            for field in Fields(message) {
                match field? {
                    (span::OFFSET, Payload::Varint(number)) => {
                        read.offset = from_zigzag(number) as i32;
                    }
                    (span::LENGTH, Payload::Varint(number)) => read.length = number as u32,
                    _ => {}
                }
            }
            memory.take_room(&mut buckets.spans, 1)?;
            buckets.spans.push(read);
        }
        Payload::Varint(number) if field == fields.delta => {
            memory.take_room(&mut buckets.deltas, 1)?;
            buckets.deltas.push(from_zigzag(number));
        }
        Payload::Bytes(mut packed) if field == fields.delta => {
            // Only the last byte of a varint has its eighth bit unset.
            let count = packed.iter().filter(|byte| byte.is_ascii()).count();
            memory.take_room(&mut buckets.deltas, count)?;
            while !packed.is_empty() {
                buckets.deltas.push(zigzag(&mut packed)?);
            }
        }
        Payload::Double(number) if field == fields.count => {
            memory.take_room(&mut buckets.counts, 1)?;
            buckets.counts.push(number);
        }
        Payload::Bytes(mut packed) if field == fields.count => {
            memory.take_room(&mut buckets.counts, packed.len() / size_of::<f64>())?;
            while !packed.is_empty() {
                buckets.counts.push(double(&mut packed)?);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The last value of a repeated label wins; exemplars are not validated.
fn read_exemplar(memory: &mut Memory, message: &[u8]) -> Result<Exemplar, Malformed> {
    let mut read = Exemplar::default();
    let mut pairs = Vec::new();
    for field in Fields(message) {
        match field? {
            (exemplar::LABEL, Payload::Bytes(message)) => {
                let (name, value) = label_bytes(message)?;
                memory.take_room(&mut pairs, 1)?;
                pairs.push((
                    utf8("name of an exemplar's label", name)?,
                    utf8("label of an exemplar", value)?,
                ));
            }
            (exemplar::VALUE, Payload::Double(number)) => read.value = number,
            (exemplar::TIMESTAMP, Payload::Bytes(message)) => {
                read.timestamp = Some(read_timestamp(message)?);
            }
            _ => {}
        }
    }
    read.labels = pairs.into_iter().collect::<Labels>();
    memory.take_bytes(read.labels.size())?;
    Ok(read)
}

fn read_timestamp(message: &[u8]) -> Result<Timestamp, Malformed> {
    let mut read = Timestamp::default();
    for field in Fields(message) {
        match field? {
            (timestamp::SECONDS, Payload::Varint(number)) => read.seconds = number as i64,
            (timestamp::NANOS, Payload::Varint(number)) => read.nanos = number as i32,
            _ => {}
        }
    }
    Ok(read)
}
