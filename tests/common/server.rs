//! Servers, ours and real ones, each on a free port of 127.0.0.1, ended with the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
#[cfg(feature = "real-servers")]
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::gateway::{Samples, exposed_samples};
#[cfg(feature = "real-servers")]
use super::port::Port;
use super::sandbox::Sandbox;

/// How long a server may take to start, and a page to show what is awaited.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    child: Child,
    address: String,
    _dir: Home,
}

/// Where a server works.
enum Home {
    Sandbox(Sandbox),
    #[cfg(feature = "real-servers")]
    Dir(tempfile::TempDir),
}

impl Home {
    fn path(&self) -> &std::path::Path {
        match self {
            Home::Sandbox(sandbox) => sandbox.path(),
            #[cfg(feature = "real-servers")]
            Home::Dir(dir) => dir.path(),
        }
    }
}

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
    /// Of all that has come; none, if its head is not complete.
    pub fn parse(mut answer: Vec<u8>) -> Option<Self> {
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

impl Server {
    /// `metricsjob gateway` with further flags, in a home and with a state directory of its own.
    pub fn gateway(flags: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(["gateway", "--web.listen-address=127.0.0.1:0"]);
        command.args(flags);
        let server = Server::start(command, Home::Sandbox(sandbox));
        server.wait_for("/-/ready", |_| true);
        server
    }

    /// `prometheus-pushgateway` with further flags.
    #[cfg(feature = "real-servers")]
    pub fn pushgateway(flags: &[&str]) -> Self {
        Server::ready_pushgateway("127.0.0.1:0", flags)
    }

    /// The same on a port that stays when the server has gone, for the next one.
    #[cfg(feature = "real-servers")]
    pub fn pushgateway_on(port: &Port) -> Self {
        Server::ready_pushgateway(&port.address(), &[])
    }

    /// `prometheus-pushgateway` with the TLS and the users of this web configuration file. What else
    /// is known of a server here speaks plain HTTP, and is of no use for it.
    #[cfg(feature = "real-servers")]
    pub fn secured_pushgateway(web_config: &Path) -> Self {
        let config = web_config.display();
        Server::listening_pushgateway("127.0.0.1:0", &[&format!("--web.config.file={config}")])
    }

    #[cfg(feature = "real-servers")]
    fn ready_pushgateway(address: &str, flags: &[&str]) -> Self {
        let server = Server::listening_pushgateway(address, flags);
        server.wait_for("/-/ready", |_| true);
        server
    }

    #[cfg(feature = "real-servers")]
    fn listening_pushgateway(address: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("prometheus-pushgateway");
        command
            .arg(format!("--web.listen-address={address}"))
            // Debian's keeps its groups in a file of the system by default.
            .arg("--persistence.file=")
            .args(flags);
        Server::start(command, Home::Dir(dir))
    }

    /// `prometheus` with this configuration file.
    #[cfg(feature = "real-servers")]
    pub fn prometheus(config: &Path) -> Self {
        Server::prometheus_with(config, &[])
    }

    /// The same with further flags.
    #[cfg(feature = "real-servers")]
    pub fn prometheus_with(config: &Path, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg("--web.listen-address=127.0.0.1:0")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().display()))
            .args(flags);
        let server = Server::start(command, Home::Dir(dir));
        server.wait_for("/-/ready", |_| true);
        server
    }

    /// Starts a server that takes a port of its choice and logs the one it got.
    fn start(mut command: Command, dir: Home) -> Self {
        let program = command.get_program().to_owned();
        let mut child = command
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?}: {error} (scripts/test installs it)"));
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        // The log is read to its end, or the server would block on a full pipe.
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let mut seen = String::new();
        let address = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = receiver
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("{program:?} does not listen:\n{seen}"));
            if let Some((_, address)) = line.split_once("address=127.0.0.1:")
                && line.contains("Listening on")
            {
                break format!("127.0.0.1:{}", address.split(' ').next().unwrap());
            }
            seen.push_str(&line);
            seen.push('\n');
        };
        Server {
            child,
            address,
            _dir: dir,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[cfg(feature = "real-servers")]
    pub fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }

    #[cfg(feature = "real-servers")]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The body of a page that answers 200.
    pub fn get(&self, path: &str) -> String {
        let (status, body) = self.request("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// What was pushed to a Pushgateway, with the push times.
    pub fn samples(&self) -> Samples {
        exposed_samples(&self.get("/metrics"))
    }

    /// Status and body of an answer.
    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.exchange(method, path, &[], body.as_bytes());
        (answer.status, answer.body)
    }

    /// Sends a request and returns the answer.
    pub fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let answer = self.exchange_within(PATIENCE, method, path, headers, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends a request and returns the answer, or an error if none comes for so long or the connection
    /// ends before its head. HTTP 1.0, so that
    /// the body ends with the connection.
    pub fn exchange_within(
        &self,
        patience: Duration,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(patience))?;
        let length = body.len();
        let mut request = format!("{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        stream.write_all(&request)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Answer::parse(answer).ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Asks for `path` until it answers 200 with a body that is `wanted`, and returns that.
    pub fn wait_for(&self, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.request("GET", path, "");
            if status == 200 && wanted(&body) {
                return body;
            }
            assert!(
                Instant::now() < deadline,
                "{path} still shows: {status} {body}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
