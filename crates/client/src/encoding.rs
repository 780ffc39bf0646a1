//! Encoding of the body of a push.

use std::io::Write;

use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

use metricsjob_metrics::{Push, protobuf, text};

/// Encoding of the body of a push; by default uncompressed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Encoding {
    /// The format of the families.
    pub format: Format,
    /// The compression of the body.
    pub compression: Compression,
}

/// The format of the families in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The text format 0.0.4.
    #[default]
    Text,
    /// The protobuf format.
    Protobuf,
}

/// Compression of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// Compression by gzip.
    Gzip,
}

impl Encoding {
    /// Returns the headers `Content-Type` and, if compressed, `Content-Encoding`.
    pub fn headers(self) -> impl Iterator<Item = (HeaderName, &'static str)> {
        let content_type = match self.format {
            Format::Text => text::CONTENT_TYPE,
            Format::Protobuf => protobuf::CONTENT_TYPE,
        };
        let content_encoding = match self.compression {
            Compression::None => None,
            Compression::Gzip => Some((CONTENT_ENCODING, "gzip")),
        };
        [(CONTENT_TYPE, content_type)]
            .into_iter()
            .chain(content_encoding)
    }

    /// Encodes the body of `push`.
    pub fn body(self, push: &Push) -> Vec<u8> {
        let plain = match self.format {
            Format::Text => push.text().into(),
            Format::Protobuf => protobuf::encode(push.families()),
        };
        match self.compression {
            Compression::None => plain,
            Compression::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(&plain)
                    .and_then(|()| gzip.finish())
                    .expect("a vector takes all that is written")
            }
        }
    }

    /// Formats headers and body of `push` for display. The body is always text, with a note if it is sent otherwise.
    pub fn shown(self, push: &Push) -> String {
        let mut out = String::new();
        for (name, value) in self.headers() {
            // In the usual capitalization; HTTP ignores case.
            let words = name.as_str().split('-').map(capitalized);
            let name = words.collect::<Vec<_>>().join("-");
            out.push_str(&format!("{name}: {value}\n"));
        }
        if let Some(ttl) = push.ttl() {
            let ttl = humantime::format_duration(ttl);
            out.push_str(&format!("Pushgateway-TTL: {ttl}\n"));
        }
        out.push('\n');
        match (self.format, self.compression) {
            (Format::Text, Compression::None) => {}
            (Format::Text, Compression::Gzip) => {
                out.push_str("# the body before it is compressed\n")
            }
            (Format::Protobuf, _) => out.push_str("# the body as text; protobuf is sent\n"),
        }
        out.push_str(push.text());
        out
    }
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
