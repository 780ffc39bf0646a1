//! Our own gateway, as `metricsjob gateway`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::program::{US, environment, isolate};
use super::server::{Answer, PATIENCE};
use super::waiting::{eventually, send};

const ADDRESS: &str = "--web.listen-address";

/// Runs on a free port of 127.0.0.1 until it is dropped.
pub struct OwnGateway {
    child: Child,
    addresses: Vec<String>,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    _dir: Option<TempDir>,
}

/// `metricsjob gateway`, not started yet, with its state in `dir`.
pub fn gateway_command(dir: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(US);
    command
        .args(["gateway", "--state-dir"])
        .arg(dir)
        .arg(format!("{ADDRESS}=127.0.0.1:0"))
        .args(flags)
        .env_clear()
        .envs(environment(dir))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    isolate(&mut command);
    command
}

impl OwnGateway {
    /// Starts it with its state in `dir`, and waits until it listens.
    #[track_caller]
    pub fn start(dir: &Path, flags: &[&str]) -> Self {
        OwnGateway::start_command(gateway_command(dir, flags))
    }

    /// The same, with its state in a directory of its own.
    #[track_caller]
    pub fn alone(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut gateway = OwnGateway::start(dir.path(), flags);
        gateway._dir = Some(dir);
        gateway
    }

    /// The same, by a command whose stderr is the gateway's.
    #[track_caller]
    pub fn start_command(mut command: Command) -> Self {
        let is_address = |argument: &&OsStr| argument.as_bytes().starts_with(ADDRESS.as_bytes());
        let ports = command.get_args().filter(is_address).count();
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, listening) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let reader = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                for line in stderr.lines().map_while(Result::ok) {
                    let logfmt = line.split_once("msg=\"Listening on\" address=");
                    let json = line.split_once("\"msg\":\"Listening on\",\"address\":");
                    if let Some((_, address)) = logfmt.or(json) {
                        let address = address.trim_matches(['"', '}', ' ']);
                        let _ = sender.send(address.replace("0.0.0.0", "127.0.0.1"));
                    }
                    *log.lock().unwrap() += &format!("{line}\n");
                }
            })
        };
        let start = || listening.recv_timeout(PATIENCE).ok();
        let addresses: Option<Vec<String>> = (0..ports).map(|_| start()).collect();
        let Some(addresses) = addresses else {
            let _ = child.kill();
            panic!("the gateway did not start: {}", log.lock().unwrap());
        };
        OwnGateway {
            child,
            addresses,
            log,
            reader: Some(reader),
            _dir: None,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How much memory it has, in MiB.
    pub fn resident_mib(&self) -> u64 {
        self.memory_mib("VmRSS:")
    }

    /// The most memory that it has had, in MiB.
    pub fn peak_mib(&self) -> u64 {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let mut words = status.split_whitespace().skip_while(|word| *word != line);
        words.nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// HOST:PORT, as it is reached from here.
    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    #[cfg(feature = "real-servers")]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// What it has logged so far; all, once it has ended.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn logs(&self, expected: &str) {
        eventually(&format!("{expected:?} in the log"), || {
            self.log().contains(expected)
        });
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address()).unwrap()
    }

    /// The status and the body of the answer.
    #[track_caller]
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> (u16, String) {
        request(self.address(), method, path, headers, body.as_ref())
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, &[], "")
    }

    /// Pushes, which must be acknowledged.
    #[track_caller]
    pub fn put(&self, path: &str, body: impl AsRef<[u8]>) {
        let (status, text) = self.request("PUT", path, &[], body);
        assert_eq!(status, 200, "{path}: {text}\n{}", self.log());
    }

    /// The text of `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        text
    }

    /// The samples of `/metrics` whose names start with `prefix`.
    #[track_caller]
    pub fn samples(&self, prefix: &str) -> BTreeMap<String, f64> {
        let text = self.metrics();
        text.lines()
            .filter(|line| line.starts_with(prefix) && !line.starts_with('#'))
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                (series.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    /// The one sample of this name without labels.
    #[track_caller]
    pub fn own(&self, name: &str) -> f64 {
        self.samples(name)[name]
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.wait();
    }

    /// Ends it by SIGTERM. Returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        send(self.pid(), Signal::SIGTERM);
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status.code()
    }
}

impl Drop for OwnGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One request on a connection of its own: the status and the body of the answer.
pub fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<(u16, String)> {
    let answer = exchange(address, method, path, headers, body)?;
    Ok((answer.status, answer.body))
}

/// The same: all of the answer. HTTP 1.0, so that the body ends with the connection.
pub fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut stream = connect(address)?;
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

/// Reads an answer to its end: the status and the body.
pub fn answer(stream: &mut TcpStream) -> io::Result<(u16, String)> {
    let answer = receive(stream, "GET")?;
    Ok((answer.status, answer.body))
}

/// Reads the answer to a request with this method to its end.
fn receive(stream: &mut TcpStream, method: &str) -> io::Result<Answer> {
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    let text = String::from_utf8_lossy(&received).into_owned();
    let Some(answer) = Answer::parse(received) else {
        read?;
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    };
    let length = answer.headers.get("content-length");
    let length = length.and_then(|length| length.parse::<usize>().ok());
    if method != "HEAD" && length.is_some_and(|length| length != answer.bytes.len()) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}
