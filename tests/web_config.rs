//! The web config file at work: TLS, clients' certificates, users, headers, and changes of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use metricsjob_web::Server;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use reqwest::{Certificate, Identity};

use crate::common::web_server::{WebServer, exchange, request, settings};
use crate::common::{Authority, Sandbox, eventually};

/// A sandbox with a web config file and certificates.
struct Site {
    sandbox: Sandbox,
    authority: Authority,
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

impl Site {
    /// With the certificate of a server, and of clients from its authority and from another one.
    fn new() -> Self {
        let site = Site {
            sandbox: Sandbox::new(),
            authority: Authority::new(),
        };
        site.sandbox.write("ca.pem", site.authority.pem());
        site.certify();
        let identities = [
            ("client", site.authority.client()),
            ("named", site.authority.server("job.example")),
            ("stranger", Authority::new().client()),
        ];
        for (name, identity) in identities {
            let pem = identity.certificate_pem() + &identity.key_pem();
            site.sandbox.write(name, pem);
        }
        site
    }

    /// Gives the server a new certificate.
    fn certify(&self) {
        let identity = self.authority.server("localhost");
        self.sandbox.write("server.pem", identity.certificate_pem());
        self.sandbox.write("server.key", identity.key_pem());
    }

    fn write(&self, config: &str) -> PathBuf {
        self.sandbox.write("web.yml", config)
    }

    fn serve(&self, config: &str) -> WebServer {
        WebServer::start(&settings(Some(&self.write(config))))
    }

    /// The answer to a request over TLS, by a client that has the certificate in the file `identity`;
    /// `None` without one.
    fn get(&self, server: &WebServer, identity: &str) -> Option<reqwest::Response> {
        let authority = Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        let mut client = metricsjob_client::call::builder(false).tls_certs_only([authority]);
        if !identity.is_empty() {
            let pem = std::fs::read(self.sandbox.path().join(identity)).unwrap();
            client = client.identity(Identity::from_pem(&pem).unwrap());
        }
        let client = client.tls_info(true).build().unwrap();
        let runtime = metricsjob_client::call::Runtime::new().unwrap();
        runtime.block_on(client.get(server.url()).send()).ok()
    }

    fn is_served(&self, server: &WebServer, identity: &str) -> bool {
        self.get(server, identity)
            .is_some_and(|answer| answer.status() == 200)
    }

    /// The certificate that the server shows.
    fn shown(&self, server: &WebServer) -> Vec<u8> {
        let answer = self.get(server, "").unwrap();
        let info = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
        info.peer_certificate().unwrap().to_vec()
    }
}

/// A user as in a config file.
fn user(name: &str, password: &str) -> String {
    let hash = bcrypt::hash(password, 5).unwrap();
    format!("basic_auth_users:\n  {name}: {hash}\n")
}

fn authorization(pair: &str) -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Authorization: Basic {encoded}\r\n")
}

/// Whether the request is let in.
#[track_caller]
fn admits(server: &WebServer, pair: &str) -> bool {
    let answer = server.get(&authorization(pair));
    match &answer[..12] {
        "HTTP/1.1 200" => true,
        "HTTP/1.1 401" => false,
        _ => panic!("{answer}"),
    }
}

#[test]
fn tls() {
    let site = Site::new();
    let config = site.write(TLS);
    assert!(Server::bind(&settings(Some(&config))).unwrap().is_tls());
    let server = WebServer::start(&settings(Some(&config)));
    eventually("it is logged", || {
        server.log().contains("msg=\"TLS is enabled.\"")
    });
    let answer = site.get(&server, "").unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_11);
    // Who does not speak TLS is told so.
    let answer = exchange(server.connect(), &request("/", ""));
    assert!(
        answer.starts_with("HTTP/1.0 400 Bad Request\r\n"),
        "{answer}"
    );
    eventually("it is logged", || {
        server
            .log()
            .contains("level=debug msg=\"TLS handshake failed\"")
    });
    // An answer that is larger than what a connection takes at once.
    let authority = Certificate::from_pem(site.authority.pem().as_bytes()).unwrap();
    let client = metricsjob_client::call::builder(false).tls_certs_only([authority]);
    let runtime = metricsjob_client::call::Runtime::new().unwrap();
    let length = runtime.block_on(async {
        let big = format!("{}/big", server.url());
        let answer = client.build().unwrap().get(big).send().await.unwrap();
        answer.bytes().await.unwrap().len()
    });
    assert_eq!(length, 64 << 20);
}

#[test]
fn handshakes_that_take_long() {
    let site = Site::new();
    let server = WebServer::start(&metricsjob_web::Settings {
        read_timeout: Duration::from_millis(300),
        ..settings(Some(&site.write(TLS)))
    });
    let start = Instant::now();
    // The beginning of a ClientHello.
    assert_eq!(exchange(server.connect(), "\u{16}\u{3}\u{1}"), "");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(site.is_served(&server, ""));
}

#[test]
fn connections_that_pause_over_tls() {
    let site = Site::new();
    let server = site.serve(TLS);
    let authority = Certificate::from_pem(site.authority.pem().as_bytes()).unwrap();
    let client = metricsjob_client::call::builder(false).tls_certs_only([authority]);
    let client = client.build().unwrap();
    let runtime = metricsjob_client::call::Runtime::new().unwrap();
    runtime.block_on(async {
        for _ in 0..2 {
            let answer = client.get(server.url()).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "hello");
            tokio::time::sleep(Duration::from_millis(2500)).await;
        }
    });
}

#[test]
fn client_certificates() {
    let site = Site::new();
    let with = |lines: &str| site.serve(&format!("{TLS}{lines}"));
    let served = |lines: &str, identities: [&str; 3]| {
        let server = with(lines);
        identities.map(|identity| site.is_served(&server, identity))
    };
    let all = ["", "client", "stranger"];
    let ca = "  client_ca_file: ca.pem\n  client_auth_type: ";
    assert_eq!(served("", all), [true, true, true]);
    assert_eq!(
        served("  client_auth_type: NoClientCert\n", all),
        [true, true, true]
    );
    assert_eq!(
        served("  client_auth_type: RequestClientCert\n", all),
        [true, true, true]
    );
    assert_eq!(
        served("  client_auth_type: RequireAnyClientCert\n", all),
        [false, true, true]
    );
    assert_eq!(
        served(&format!("{ca}VerifyClientCertIfGiven\n"), all),
        [true, true, false]
    );
    assert_eq!(
        served(&format!("{ca}RequireAndVerifyClientCert\n"), all),
        [false, true, false]
    );

    let sans = "  client_allowed_sans: [other.example, job.example]\n";
    let named = ["", "client", "named"];
    let some = format!("{ca}VerifyClientCertIfGiven\n{sans}");
    assert_eq!(served(&some, named), [true, false, true]);
    let any = format!("  client_auth_type: RequireAnyClientCert\n{sans}");
    assert_eq!(served(&any, named), [false, false, true]);
    let none = format!("{ca}RequireAndVerifyClientCert\n  client_allowed_sans: []\n");
    assert_eq!(served(&none, named), [false, false, false]);
}

#[test]
fn users() {
    let site = Site::new();
    let server = site.serve(&user("alice", "s3cret:x"));
    let answer = server.get("");
    assert!(
        answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\nwww-authenticate: Basic\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nUnauthorized\n"), "{answer}");
    for _ in 0..2 {
        assert!(admits(&server, "alice:s3cret:x"));
        assert!(!admits(&server, "alice:s3cret"));
        assert!(!admits(&server, "alice:"));
        assert!(!admits(&server, "bob:s3cret:x"));
    }
    assert!(!server.log().contains("s3cret"));
}

#[test]
fn many_first_requests_at_once() {
    let site = Site::new();
    let hash = bcrypt::hash("s3cret", 10).unwrap();
    let server = site.serve(&format!("basic_auth_users: {{alice: {hash}}}"));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert!(admits(&server, "alice:s3cret")));
        }
    });
    let one = Instant::now();
    bcrypt::verify("s3cret", &hash).unwrap();
    // Each of them checked for itself would take 50 times as long.
    let (all, one) = (start.elapsed(), one.elapsed());
    assert!(all < 25 * one, "{all:?}, where one takes {one:?}");
}

/// Whose password is checked for the first time waits for one check of a flood, and not for all.
#[test]
fn a_flood_of_wrong_passwords() {
    let site = Site::new();
    let hash = bcrypt::hash("s3cret", 10).unwrap();
    let server = site.serve(&format!("basic_auth_users: {{alice: {hash}}}"));
    let one = Instant::now();
    bcrypt::verify("s3cret", &hash).unwrap();
    let one = one.elapsed();
    const FLOOD: usize = 80;
    let mut flood: Vec<_> = (0..FLOOD).map(|_| server.connect()).collect();
    for (number, stream) in flood.iter_mut().enumerate() {
        let wrong = authorization(&format!("alice:wrong{number}"));
        write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\n{wrong}\r\n").unwrap();
    }
    // Another address of this machine.
    let from = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::empty(),
        None,
    )
    .unwrap();
    bind(from.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 2, 0)).unwrap();
    let to = SockaddrIn::new(127, 0, 0, 1, server.address().port());
    connect(from.as_raw_fd(), &to).unwrap();
    let mut other = TcpStream::from(from);
    let right = authorization("alice:s3cret");
    let start = Instant::now();
    write!(
        other,
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{right}\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    let took = start.elapsed();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // All of the flood takes at least a quarter of that, as half of the processors check.
    assert!(
        took < one * FLOOD as u32 / 8,
        "{took:?}, where one takes {one:?}"
    );
}

#[test]
fn headers() {
    let site = Site::new();
    let server = site.serve(&format!(
        "http_server_config:
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=1
    X-XSS-Protection: ''
{}",
        user("alice", "x")
    ));
    for answer in [server.get(""), server.get(&authorization("alice:x"))] {
        assert!(answer.contains("\r\nx-frame-options: deny\r\n"), "{answer}");
        assert!(
            answer.contains("\r\nstrict-transport-security: max-age=1\r\n"),
            "{answer}"
        );
        assert!(!answer.contains("x-xss"), "{answer}");
    }
}

#[test]
fn rate_limit() {
    let site = Site::new();
    let server = site.serve("rate_limit: {interval: 1h, burst: 2}\n");
    let statuses = [(); 3].map(|()| server.get("")[9..12].to_owned());
    assert_eq!(statuses, ["200", "200", "429"]);
}

#[test]
fn changed_users() {
    let site = Site::new();
    let server = site.serve(&user("alice", "one"));
    assert!(admits(&server, "alice:one"));
    site.write(&user("alice", "two"));
    eventually("the new password is right", || admits(&server, "alice:two"));
    assert!(!admits(&server, "alice:one"));
    assert!(
        server
            .log()
            .contains("msg=\"Reloaded the web config file\"")
    );
    site.write("basic_auth_users: {alice: three}");
    eventually("it is logged", || server.log().contains("level=error"));
    let log = server.log();
    let start =
        "msg=\"Could not use the changed web config file; what it said before stays in force\"";
    assert!(log.contains(start), "{log}");
    assert!(
        log.contains("not a bcrypt hash") && !log.contains("three"),
        "{log}"
    );
    assert!(admits(&server, "alice:two"));
    // Without TLS at the start there is none later.
    site.write(TLS);
    eventually("it is logged", || {
        server.log().contains("that takes a restart")
    });
    assert!(!admits(&server, "alice:one"));
    assert!(admits(&server, "alice:two"));
    site.write("");
    eventually("there are no users any more", || admits(&server, "x:y"));
}

#[test]
fn rotated_certificates() {
    let site = Site::new();
    let server = site.serve(&format!(
        "{TLS}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n"
    ));
    let first = site.shown(&server);
    assert!(site.is_served(&server, "client"));
    site.certify();
    eventually("the new certificate is shown", || {
        site.shown(&server) != first
    });
    let second = site.shown(&server);
    // By links, as Kubernetes does it.
    let dir = site.sandbox.path();
    std::fs::rename(dir.join("server.pem"), dir.join("kept.pem")).unwrap();
    eventually("it is logged", || {
        server.log().contains("failed to read cert_file")
    });
    assert_eq!(site.shown(&server), second);
    std::os::unix::fs::symlink("kept.pem", dir.join("server.pem")).unwrap();
    let third = site.authority.server("localhost");
    site.sandbox.write("server.key", third.key_pem());
    eventually("it is logged", || {
        server
            .log()
            .contains("is not the one of the certificate in")
    });
    assert_eq!(site.shown(&server), second);
    site.sandbox.write("kept.pem", third.certificate_pem());
    eventually("the new certificate is shown", || {
        site.shown(&server) != second
    });
    // Another authority for clients.
    site.sandbox.write("ca.pem", Authority::new().pem());
    eventually("the client is a stranger", || {
        !site.is_served(&server, "client")
    });
}
