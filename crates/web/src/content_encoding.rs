//! Content encoding of a request's body.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;

use super::framing::all_values;

/// A supported encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentEncoding {
    Identity,
    Gzip,
    Snappy,
}

/// Reads the header `Content-Encoding`; an empty one is ignored.
///
/// # Errors
///
/// The header's value, if it names an unknown encoding or more than one.
pub fn content_encoding(headers: &HeaderMap) -> Result<ContentEncoding, String> {
    let mut encoding = ContentEncoding::Identity;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.as_bytes().split(|byte| *byte == b',') {
            let name = name.trim_ascii().to_ascii_lowercase();
            let next = match name.as_slice() {
                b"" | b"identity" => continue,
                // The older name of gzip (RFC 9110, section 8.4.1.3).
                b"gzip" | b"x-gzip" => ContentEncoding::Gzip,
                b"snappy" => ContentEncoding::Snappy,
                _ => return Err(all_values(headers, CONTENT_ENCODING)),
            };
            if encoding != ContentEncoding::Identity {
                return Err(all_values(headers, CONTENT_ENCODING));
            }
            encoding = next;
        }
    }
    Ok(encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().unwrap());
            }
            content_encoding(&headers)
        };
        for none in [&[][..], &[""], &["identity"], &["Identity, "], &["", ","]] {
            assert_eq!(read(none), Ok(ContentEncoding::Identity), "{none:?}");
        }
        for gzip in [
            &["GZIP"][..],
            &["x-gzip"],
            &["gzip, identity"],
            &["", " gzip "],
        ] {
            assert_eq!(read(gzip), Ok(ContentEncoding::Gzip), "{gzip:?}");
        }
        assert_eq!(read(&["snappy"]), Ok(ContentEncoding::Snappy));
        for unknown in [
            "br",
            "deflate",
            "zstd",
            "gzip, gzip",
            "gzip br",
            "gzip;q=1",
            "*",
        ] {
            assert_eq!(read(&[unknown]), Err(unknown.to_owned()));
        }
        assert_eq!(read(&["gzip", "snappy"]), Err("gzip, snappy".into()));
    }
}
