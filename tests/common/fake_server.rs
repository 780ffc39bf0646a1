//! A server that answers as it is told, however wrong that is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::port::served;

/// A server on a free port of 127.0.0.1. It goes with the test's process.
pub struct FakeServer {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    sent: Arc<AtomicUsize>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method, target, version.
    pub line: String,
    /// As `name: value`, names in lower case.
    pub headers: Vec<String>,
    pub body: String,
}

impl FakeServer {
    /// Answers with this status line and a body that has no end, up to 200 MB.
    pub fn endless(status: &'static str) -> Self {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let mut server = FakeServer::start(move |stream, _| {
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let piece = [b'x'; 64 * 1024];
            for _ in 0..3000 {
                if stream.write_all(&piece).is_err() {
                    return;
                }
                counted.fetch_add(piece.len(), Ordering::Relaxed);
            }
        });
        server.sent = sent;
        server
    }

    /// How many bytes of endless answers were taken, by the client or by the system for it.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Answers each request with these bytes and closes the connection.
    pub fn answering(answer: &'static str) -> Self {
        FakeServer::start(move |stream, _| {
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    /// Answers with this status line and body.
    pub fn status(status: &str, body: &str) -> Self {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        FakeServer::answering(answer.leak())
    }

    /// Answers the requests with these status lines in turn, then with the last one.
    pub fn statuses(statuses: &[&str]) -> Self {
        let answer = |status: &&str| {
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        };
        FakeServer::in_turn(statuses.iter().map(answer).collect())
    }

    /// Answers the requests with these bytes in turn, then with the last ones, and closes each time.
    pub fn answering_in_turn(answers: &[&str]) -> Self {
        FakeServer::in_turn(answers.iter().map(|answer| (*answer).to_owned()).collect())
    }

    fn in_turn(answers: Vec<String>) -> Self {
        let next = AtomicUsize::new(0);
        FakeServer::start(move |stream, _| {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let answer = answers.get(index).or(answers.last()).unwrap();
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    /// Redirects the first request with this status to what `target` makes of the server's own URL,
    /// and takes all others.
    pub fn redirecting(status: &str, target: impl FnOnce(&str) -> String) -> Self {
        let first = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&first);
        let server = FakeServer::start(move |stream, _| {
            let first: Option<String> = answer.lock().unwrap().take();
            let answer = first.unwrap_or("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into());
            let _ = stream.write_all(answer.as_bytes());
        });
        let target = target(&server.url());
        *first.lock().unwrap() = Some(format!(
            "HTTP/1.1 {status}\r\nLocation: {target}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        ));
        server
    }

    /// Answers each request with this status and its headers as the body.
    pub fn echoing(status: &'static str) -> Self {
        FakeServer::start(move |stream, request| {
            let body = request.headers.join("\n");
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        })
    }

    /// Answers each request with what is made of it.
    pub fn responding(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        FakeServer::start(move |stream, request| {
            let _ = stream.write_all(answer(request).as_bytes());
        })
    }

    /// Reads each request and never answers.
    pub fn hanging() -> Self {
        FakeServer::start(|_, _| {
            loop {
                thread::sleep(Duration::from_secs(3600));
            }
        })
    }

    fn start(answer: impl Fn(&mut TcpStream, &Request) + Send + Sync + 'static) -> Self {
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let seen = Arc::clone(&requests);
        let port = served(move |mut stream| {
            if let Some(request) = read_request(&stream) {
                seen.lock().unwrap().push(request.clone());
                answer(&mut stream, &request);
            }
        });
        FakeServer {
            port,
            requests,
            sent: Arc::default(),
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Reads a request with a `Content-Length` or without a body; `None` for anything else.
fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.strip_suffix("\r\n")?.to_owned())
    };
    let (line, mut headers) = (next()?, Vec::new());
    loop {
        let header = next()?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(": ")?;
        headers.push(format!("{}: {value}", name.to_lowercase()));
    }
    let mut lengths = headers.iter();
    let length = lengths.find_map(|header| header.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        line,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
