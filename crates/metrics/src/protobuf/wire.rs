//! Reading and writing of message fields.

use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

/// Error for bytes that are not the expected message.
#[derive(Debug, PartialEq)]
pub struct Malformed(pub String);

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Self {
        Malformed(error.to_string())
    }
}

impl From<String> for Malformed {
    fn from(problem: String) -> Self {
        Malformed(problem)
    }
}

/// Iterator over the fields of a message. Skips wire types that none of our messages use.
#[derive(Clone)]
pub struct Fields<'a>(pub &'a [u8]);

/// Value of a field, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Payload<'a> {
    Varint(u64),
    Double(f64),
    /// A string, a message, or packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Iterator for Fields<'a> {
    /// The field's number and value.
    type Item = Result<(u32, Payload<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.field() {
            Ok(field) => field.map(Ok),
            Err(error) => {
                self.0 = &[];
                Some(Err(error))
            }
        }
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<Option<(u32, Payload<'a>)>, Malformed> {
        while !self.0.is_empty() {
            let (number, wire_type) = decode_key(&mut self.0)?;
            let payload = match wire_type {
                WireType::Varint => Payload::Varint(decode_varint(&mut self.0)?),
                WireType::SixtyFourBit => Payload::Double(double(&mut self.0)?),
                WireType::LengthDelimited => Payload::Bytes(delimited(&mut self.0)?),
                _ => {
                    skip_field(wire_type, number, &mut self.0, DecodeContext::default())?;
                    continue;
                }
            };
            return Ok(Some((number, payload)));
        }
        Ok(None)
    }
}

/// Splits off a length-delimited value.
pub fn delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = decode_varint(rest)?;
    let split = usize::try_from(length).ok();
    let Some((bytes, behind)) = split.and_then(|length| rest.split_at_checked(length)) else {
        let problem = format!("{length} bytes should follow, and {} do", rest.len());
        return Err(Malformed(problem));
    };
    *rest = behind;
    Ok(bytes)
}

/// Splits off one little-endian double.
pub fn double(rest: &mut &[u8]) -> Result<f64, Malformed> {
    let Some((bytes, behind)) = rest.split_first_chunk() else {
        return Err(Malformed("a number is cut off".into()));
    };
    *rest = behind;
    Ok(f64::from_le_bytes(*bytes))
}

/// Splits off one zigzag-encoded varint.
pub fn zigzag(rest: &mut &[u8]) -> Result<i64, Malformed> {
    Ok(from_zigzag(decode_varint(rest)?))
}

/// Decodes a zigzag-encoded number, whose last bit is the sign.
pub fn from_zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

pub fn put_uint(out: &mut Vec<u8>, field: u32, number: u64) {
    encode_key(field, WireType::Varint, out);
    encode_varint(number, out);
}

pub fn put_zigzag(out: &mut Vec<u8>, field: u32, number: i64) {
    put_uint(out, field, ((number << 1) ^ (number >> 63)) as u64);
}

pub fn put_double(out: &mut Vec<u8>, field: u32, number: f64) {
    encode_key(field, WireType::SixtyFourBit, out);
    out.extend_from_slice(&number.to_le_bytes());
}

pub fn put_str(out: &mut Vec<u8>, field: u32, text: &str) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

pub fn put_message(out: &mut Vec<u8>, field: u32, put_fields: impl FnOnce(&mut Vec<u8>)) {
    encode_key(field, WireType::LengthDelimited, out);
    put_delimited(out, put_fields);
}

/// Appends what `put_fields` writes, preceded by its length.
pub fn put_delimited(out: &mut Vec<u8>, put_fields: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    // Most lengths fit into one byte; behind a longer one the content is moved.
    out.push(0);
    put_fields(out);
    let length = out.len() - start - 1;
    if let Ok(length @ ..0x80) = u8::try_from(length) {
        out[start] = length;
        return;
    }
    let mut prefix = Vec::new();
    encode_varint(length as u64, &mut prefix);
    out.splice(start..=start, prefix);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 100_000] {
            let mut out = b"before".to_vec();
            put_delimited(&mut out, |out| out.extend(vec![7; length]));
            let mut rest = &out[6..];
            assert_eq!(delimited(&mut rest), Ok(&vec![7; length][..]));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn signed_numbers() {
        for number in [0, 1, -1, 63, -64, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_zigzag(&mut out, 3, number);
            assert_eq!(zigzag(&mut &out[1..]), Ok(number));
        }
    }

    #[test]
    fn unknown_types_are_left_out() {
        // Four bytes; a group with a number inside; a number.
        let fields = Fields(b"\x0d\x00\x00\x00\x00\x13\x08\x01\x14\x08\x07");
        let fields: Vec<_> = fields.collect();
        assert_eq!(fields, [Ok((1, Payload::Varint(7)))]);
        for broken in [
            &b"\x08"[..],
            b"\x0a\x02a",
            b"\x09\x00",
            b"\x13\x08",
            b"\x00",
            b"\x0e",
        ] {
            assert!(matches!(Fields(broken).next(), Some(Err(_))), "{broken:?}");
        }
    }
}
