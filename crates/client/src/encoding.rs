//! How the body of a push is written.

use std::io::Write;

use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

use metricsjob_metrics::{Push, protobuf, text};

/// How the body of a push is written.
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

/// What becomes of a body before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// Compression by gzip.
    Gzip,
}

impl Encoding {
    /// The headers that tell a gateway of it.
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

    /// The body of `push`.
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

    /// Headers and body of `push` as a person can read them: the body is text, whatever is sent.
    pub fn shown(self, push: &Push) -> String {
        let mut out = String::new();
        for (name, value) in self.headers() {
            // As it is usually written, where HTTP does not care.
            let words = name.as_str().split('-').map(capitalized);
            let name = words.collect::<Vec<_>>().join("-");
            out.push_str(&format!("{name}: {value}\n"));
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
