//! A proxy that does to requests what networks and overloaded servers do.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::{MsgFlags, Shutdown, recv, setsockopt, shutdown, sockopt};

use super::fault::Fault;
use super::port::Port;
use super::waiting::eventually;

/// A proxy in front of `target`, for requests with or without a `Content-Length` and answers with or
/// without keep-alive. It goes with the test's process.
///
/// What is forwarded of a request is forwarded while its client waits: once that has closed its
/// connection, even for writing alone, the request never becomes complete. And requests become
/// complete one at a time, the next one when the target has answered: a client that gave up and comes
/// again is not overtaken by its own first request.
pub struct FaultProxy(Arc<Shared>);

struct Shared {
    port: Port,
    target: String,
    faults: Mutex<Box<dyn FnMut() -> Fault + Send>>,
    counts: Mutex<BTreeMap<&'static str, usize>>,
    /// `None` while connections are refused.
    listener: Mutex<Option<TcpListener>>,
    /// Held while a [`Fault::Down`] goes on.
    outage: Mutex<()>,
    completing: Mutex<()>,
    connections: AtomicUsize,
}

impl FaultProxy {
    /// Asks `faults` at each connection for what becomes of its first request, and then at each
    /// further request.
    pub fn new(target: &str, faults: impl FnMut() -> Fault + Send + 'static) -> Self {
        let proxy = FaultProxy(Arc::new(Shared {
            port: Port::reserve(),
            target: target.to_owned(),
            faults: Mutex::new(Box::new(faults)),
            counts: Mutex::default(),
            listener: Mutex::default(),
            outage: Mutex::default(),
            completing: Mutex::default(),
            connections: AtomicUsize::new(0),
        }));
        proxy.open();
        proxy
    }

    /// The same fault for each request.
    pub fn fixed(target: &str, fault: Fault) -> Self {
        FaultProxy::new(target, move || fault)
    }

    /// No more faults from now on. Waits for the end of those that go on, so of all connections:
    /// there must be no client any more that keeps one.
    #[track_caller]
    pub fn heal(&self) {
        *self.0.faults.lock().unwrap() = Box::new(|| Fault::None);
        eventually("all connections end", || self.connections() == 0);
    }

    /// Refuses connections from now on, because nobody listens.
    pub fn close(&self) {
        self.0.close();
    }

    /// Listens again.
    pub fn open(&self) {
        Shared::open(&self.0);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub fn address(&self) -> String {
        self.0.port.address()
    }

    /// How often each kind of fault came.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.0.counts.lock().unwrap().clone()
    }

    /// The connections that stand now.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn open(self: &Arc<Self>) {
        let listener = self.port.listen();
        *self.listener.lock().unwrap() = Some(listener.try_clone().unwrap());
        let shared = Arc::clone(self);
        spawn(move || {
            // It ends with an error once the socket is shut down.
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                shared.connections.fetch_add(1, Ordering::SeqCst);
                spawn(move || {
                    // An error is a client or target that went away.
                    let _ = Connection::new(&shared, stream).serve();
                    shared.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
    }

    fn close(&self) {
        if let Some(listener) = self.listener.lock().unwrap().take() {
            // To drop it would not do: a thread is in `accept`.
            shutdown(listener.as_raw_fd(), Shutdown::Both).unwrap();
        }
    }

    fn fault(&self) -> Fault {
        let fault = (self.faults.lock().unwrap())();
        *self.counts.lock().unwrap().entry(fault.kind()).or_default() += 1;
        fault
    }
}

/// A client's connection.
struct Connection<'a> {
    shared: &'a Arc<Shared>,
    client: TcpStream,
    /// What was read and belongs to no request yet.
    input: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn new(shared: &'a Arc<Shared>, client: TcpStream) -> Self {
        Connection {
            shared,
            client,
            input: Vec::new(),
        }
    }

    /// Serves requests until the connection ends.
    fn serve(mut self) -> io::Result<()> {
        let mut fault = self.shared.fault();
        loop {
            match fault {
                Fault::Refuse => return self.reset(),
                Fault::Down(time) => return self.down(time),
                Fault::Reset(after) => {
                    self.read_request(after)?;
                    return self.reset();
                }
                _ => {}
            }
            let Some(request) = self.read_request(usize::MAX)? else {
                return Ok(());
            };
            let pause = match fault {
                Fault::Slow(pause) => Some(pause),
                _ => None,
            };
            let answer = match fault {
                // A client that waits sends nothing, so this ends when it gives up.
                Fault::Hang => return self.read().map(drop),
                Fault::CutRequest(after) => {
                    self.forward_part(&request, after)?;
                    return self.reset();
                }
                Fault::Status(status) => status_answer(status),
                Fault::LateStatus => {
                    self.forward(&request, None)?;
                    status_answer(500)
                }
                _ => self.forward(&request, pause)?,
            };
            if let Fault::CutAnswer(after) = fault {
                let part = after.min(answer.len().saturating_sub(1));
                return self.client.write_all(&answer[..part]);
            }
            self.answer(&answer, pause)?;
            if !(request.keeps_alive && is_framed(&answer)) {
                return Ok(());
            }
            if self.input.is_empty() && !self.read()? {
                return Ok(());
            }
            fault = self.shared.fault();
        }
    }

    /// Reads what there is. Returns whether there was anything before the end.
    fn read(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        let count = self.client.read(&mut chunk)?;
        self.input.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }

    /// The next request; `None` if the client ends before that, or once `limit` bytes are there.
    fn read_request(&mut self, limit: usize) -> io::Result<Option<Request>> {
        while self.input.len() < limit {
            if let Some(request) = Request::take(&mut self.input) {
                return Ok(Some(request));
            }
            if !self.read()? {
                break;
            }
        }
        Ok(None)
    }

    /// Sends `request` to the target and returns its answer, made fit for further requests.
    fn forward(&self, request: &Request, pause: Option<Duration>) -> io::Result<Vec<u8>> {
        let mut target = self.connect()?;
        let (last, bytes) = request.bytes.split_last().unwrap();
        for piece in pieces(bytes, pause) {
            thread::sleep(pause.unwrap_or_default());
            self.while_client_waits()?;
            target.write_all(piece)?;
        }
        let _turn = self.shared.completing.lock().unwrap();
        self.while_client_waits()?;
        target.write_all(&[*last])?;
        let mut answer = Vec::new();
        target.read_to_end(&mut answer)?;
        Ok(without_close(answer))
    }

    fn forward_part(&self, request: &Request, after: usize) -> io::Result<()> {
        let part = after.min(request.bytes.len() - 1);
        self.connect()?.write_all(&request.bytes[..part])
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let target = TcpStream::connect(&self.shared.target)?;
        target.set_nodelay(true)?;
        Ok(target)
    }

    fn answer(&mut self, answer: &[u8], pause: Option<Duration>) -> io::Result<()> {
        self.client.set_nodelay(true)?;
        for piece in pieces(answer, pause) {
            thread::sleep(pause.unwrap_or_default());
            self.client.write_all(piece)?;
        }
        Ok(())
    }

    /// An error if the client has closed the connection.
    fn while_client_waits(&self) -> io::Result<()> {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(self.client.as_raw_fd(), &mut [0], flags) {
            Ok(0) => Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(_) | Err(nix::Error::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the connection reset when it is dropped.
    fn reset(&self) -> io::Result<()> {
        let now = linger {
            l_onoff: 1,
            l_linger: 0,
        };
        Ok(setsockopt(&self.client, sockopt::Linger, &now)?)
    }

    fn down(self, time: Duration) -> io::Result<()> {
        self.reset()?;
        // During an outage there is no second one.
        let shared = self.shared;
        if let Ok(_outage) = shared.outage.try_lock() {
            shared.close();
            drop(self);
            thread::sleep(time);
            shared.open();
        }
        Ok(())
    }
}

/// A request as it is forwarded.
struct Request {
    bytes: Vec<u8>,
    keeps_alive: bool,
}

impl Request {
    /// Takes a complete request off the front of `input`.
    fn take(input: &mut Vec<u8>) -> Option<Self> {
        let end = head_len(input)?;
        let head = String::from_utf8_lossy(&input[..end]).to_lowercase();
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        if input.len() < end + length {
            return None;
        }
        let keeps_alive = head.lines().next()?.ends_with("http/1.1")
            && header(&head, "connection") != Some("close");
        let mut bytes: Vec<u8> = input.drain(..end + length).collect();
        if keeps_alive {
            // So that the end of the answer is the end of the connection.
            let line = *b"Connection: close\r\n";
            bytes.splice(end - 2..end - 2, line);
        }
        Some(Request { bytes, keeps_alive })
    }
}

/// How long the head at the front of `bytes` is, its empty line included.
fn head_len(bytes: &[u8]) -> Option<usize> {
    Some(memchr::memmem::find(bytes, b"\r\n\r\n")? + 4)
}

/// The value of a header in a head in lower case.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    Some(headers.find(|(found, _)| *found == name)?.1.trim())
}

/// `answer` without what the target was asked for by [`Request::take`].
fn without_close(mut answer: Vec<u8>) -> Vec<u8> {
    if is_framed(&answer) {
        let line = b"Connection: close\r\n";
        if let Some(at) = memchr::memmem::find(&answer, line) {
            answer.drain(at..at + line.len());
        }
    }
    answer
}

/// Whether the end of `answer` can be known before the end of the connection.
fn is_framed(answer: &[u8]) -> bool {
    head_len(answer).is_some_and(|end| {
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        header(&head, "content-length").is_some()
            || header(&head, "transfer-encoding") == Some("chunked")
    })
}

fn status_answer(status: u16) -> Vec<u8> {
    let (reason, headers) = match status {
        429 => ("Too Many Requests", "Retry-After: 1\r\n"),
        500 => ("Internal Server Error", ""),
        503 => ("Service Unavailable", ""),
        _ => panic!("what is {status} called?"),
    };
    let body = "by the proxy";
    let length = body.len();
    format!("HTTP/1.1 {status} {reason}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into()
}

/// All of `bytes` at once, or in 16 pieces if there are pauses between them.
fn pieces(bytes: &[u8], pause: Option<Duration>) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(match pause {
        Some(_) => bytes.len().div_ceil(16).max(1),
        None => bytes.len().max(1),
    })
}

/// A thread with a small stack: hung connections are many.
fn spawn(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(256 * 1024);
    thread.spawn(work).unwrap();
}
