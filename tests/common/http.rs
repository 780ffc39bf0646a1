//! Requests, one on a connection.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The answer to a request.
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Bytes in it that are no UTF-8 are `\xff` and the like.
    pub body: String,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The response in the bytes that have arrived; `None` if its head is not complete.
    fn parse(mut answer: Vec<u8>) -> Option<Self> {
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n")?;
        let bytes = answer.split_off(end + 4);
        let head = shown_bytes(&answer);
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        Some(Answer {
            status: status.parse().ok()?,
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: shown_bytes(&bytes),
            bytes,
        })
    }
}

pub fn connect(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// Sends a request and returns the answer, or an error if nothing comes for so long or the connection ends before the
/// answer does. HTTP 1.0, so that the body ends with the connection.
pub fn exchange(
    patience: Duration,
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut stream = connect(address, patience)?;
    let length = body.len();
    let mut head = format!("{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n");
    if headers.iter().all(|(name, _)| *name != "Host") {
        head += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut message = (head + "\r\n").into_bytes();
    message.extend_from_slice(body);
    let written = stream.write_all(&message);
    // It may have answered before it has read all.
    receive(&mut stream, method).map_err(|error| written.err().unwrap_or(error))
}

/// Reads the answer to a request with this method to its end.
pub fn receive(stream: &mut TcpStream, method: &str) -> io::Result<Answer> {
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    let text = String::from_utf8_lossy(&received).into_owned();
    let Some(answer) = Answer::parse(received) else {
        read?;
        return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
    };
    let length = answer.headers.get("content-length");
    let length = length.and_then(|length| length.parse::<usize>().ok());
    if method != "HEAD" && length.is_some_and(|length| length != answer.bytes.len()) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

/// The text, with bytes that are no UTF-8 as `\xff` and the like.
fn shown_bytes(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown.push_str(chunk.valid());
        shown.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    shown
}
