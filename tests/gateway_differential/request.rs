//! Requests that are sent to both servers.

use std::io::Write;

use metricsjob_metrics::{protobuf, text};

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Vec<u8>,
}

/// A request with a body.
pub fn request(method: &'static str, path: &str, body: impl AsRef<[u8]>) -> Request {
    Request {
        method,
        path: path.into(),
        headers: Vec::new(),
        body: body.as_ref().into(),
    }
}

/// A push that replaces the group.
pub fn put(group: &str, body: impl AsRef<[u8]>) -> Request {
    request("PUT", &format!("/metrics/{group}"), body)
}

/// A push that adds to the group.
pub fn post(group: &str, body: impl AsRef<[u8]>) -> Request {
    request("POST", &format!("/metrics/{group}"), body)
}

pub fn get(path: &str) -> Request {
    request("GET", path, "")
}

pub fn delete(group: &str) -> Request {
    request("DELETE", &format!("/metrics/{group}"), "")
}

pub fn wipe() -> Request {
    request("PUT", "/api/v1/admin/wipe", "")
}

impl Request {
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With another body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With the start of its body.
    pub fn cut(mut self, length: usize) -> Self {
        self.body.truncate(length);
        self
    }

    /// With the same body, gzipped.
    pub fn gzip(self) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&self.body).unwrap();
        self.body(encoder.finish().unwrap())
            .header("Content-Encoding", "gzip")
    }

    /// With the same body in snappy frames.
    pub fn snappy(self) -> Self {
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(&self.body).unwrap();
        self.body(encoder.into_inner().unwrap())
            .header("Content-Encoding", "snappy")
    }

    /// With its text as protobuf.
    pub fn protobuf(self) -> Self {
        let families = text::parse(&self.body).unwrap();
        self.body(protobuf::encode(&families)).said_protobuf()
    }

    /// With its body, whatever it is, said to be protobuf.
    pub fn said_protobuf(self) -> Self {
        self.header("Content-Type", protobuf::CONTENT_TYPE)
    }
}
