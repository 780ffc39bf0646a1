//! Whom a push trusts over TLS, who it is there, and what it says when that goes wrong.

use std::net::TcpListener;
use std::thread;

use std::fs;

use crate::common::{Authority, FakeServer, Finished, Sandbox, TlsServer};

fn push(sandbox: &Sandbox, options: &str) -> Finished {
    sandbox.run_with_input(&format!("push --job j {options}"), "m 1\n")
}

#[test]
fn the_ca_file_is_what_is_trusted() {
    let server = TlsServer::start();
    let sandbox = Sandbox::new();
    let ca = server.authority(&sandbox).display().to_string();
    let url = server.url();
    push(&sandbox, &format!("--gateway {url}"))
        .code(69)
        .err("could not connect to https://localhost:")
        .err("give that authority's certificate by --ca-file");
    let line = format!("--gateway {url} --ca-file {ca}");
    assert_eq!(push(&sandbox, &line).code(0).stderr(), "");
    let by_variable = Sandbox::new().variable("METRICSJOB_CA_FILE", &ca);
    push(&by_variable, &format!("--gateway {url}")).code(0);

    sandbox.write("ca.pem", Authority::new().pem());
    push(&sandbox, &line)
        .code(69)
        .err("its certificate is not from an authority that was given: is --ca-file the one for this gateway?");
    // It replaces the system's, here those that the variable names.
    let system = Sandbox::new();
    let roots = server.authority(&system).display().to_string();
    let system = system.variable("SSL_CERT_FILE", roots);
    push(&system, &format!("--gateway {url}")).code(0);
    push(&system, &line).code(69).err("--ca-file");
}

#[test]
fn an_expired_certificate() {
    let server = TlsServer::with(Authority::expired_server);
    let sandbox = Sandbox::new();
    let ca = server.authority(&sandbox).display().to_string();
    let url = server.url();
    push(&sandbox, &format!("--gateway {url} --ca-file {ca}"))
        .code(69)
        .err("its certificate has expired on 2020-12-31T00:00:00Z: renew it at the gateway");
}

#[test]
fn a_certificate_for_another_host() {
    let server = TlsServer::with(|authority| authority.server("gateway.example"));
    let sandbox = Sandbox::new();
    let ca = server.authority(&sandbox).display().to_string();
    let url = server.url();
    push(&sandbox, &format!("--gateway {url} --ca-file {ca}"))
        .code(69)
        .err("its certificate is not for localhost but for gateway.example: give the gateway by");
}

#[test]
fn https_where_http_is_spoken() {
    let sandbox = Sandbox::new();
    let server = FakeServer::status("400 Bad Request", "");
    let url = format!("https://{}", server.address());
    // It waits for the end of a request line.
    push(&sandbox, &format!("--gateway {url} --push-timeout 300ms")).code(69);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    push(&sandbox, &format!("--gateway {url}"))
        .code(69)
        .err("it does not speak TLS: if it speaks plain HTTP, give its URL with http://");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(drop));
    push(&sandbox, &format!("--gateway {url}"))
        .code(69)
        .err("if it speaks plain HTTP, give its URL with http://");
}

#[test]
fn http_where_https_is_spoken() {
    let server = TlsServer::start();
    let line = format!("--gateway http://localhost:{}", server.port());
    push(&Sandbox::new(), &line)
        .code(69)
        .err("if it speaks TLS, give its URL with https://");
}

/// Whatever the gateway is: the next one may need it.
#[test]
fn files_that_cannot_be_used_are_told() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    let (one, other) = (authority.client(), authority.client());
    sandbox.write("cert", one.certificate_pem());
    sandbox.write("key", one.key_pem());
    sandbox.write("other-key", other.key_pem());
    sandbox.write("text", "no PEM\n");
    sandbox.write(
        "broken",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    sandbox.write("cut", &one.certificate_pem()[..100]);
    let ran = sandbox.path().join("ran");
    let encrypted = one.key_pem().replace("PRIVATE", "ENCRYPTED PRIVATE");
    sandbox.write("encrypted", encrypted);
    for (options, message) in [
        (
            "--ca-file none",
            "--ca-file none: could not read the file: No such file",
        ),
        (
            "--ca-file .",
            "--ca-file .: could not read the file: Is a directory",
        ),
        ("--ca-file /dev/zero", "too large to be the right file"),
        (
            "--ca-file text",
            "--ca-file text: it holds no certificate in PEM form",
        ),
        (
            "--ca-file key",
            "--ca-file key: it holds no certificate in PEM form",
        ),
        (
            "--ca-file broken",
            "--ca-file broken: certificate 1 in it is no X.509 certificate",
        ),
        ("--ca-file cut", "--ca-file cut: it is not well-formed PEM"),
        (
            "--client-key key",
            "--client-key key: its certificate is missing: give it by --client-cert",
        ),
        (
            "--client-cert cert",
            "--client-cert cert: it holds no private key in PEM form",
        ),
        (
            "--client-cert cert",
            "(--client-key can name another file for the key)",
        ),
        (
            "--client-cert text --client-key key",
            "--client-cert text: it holds no certificate",
        ),
        (
            "--client-cert cert --client-key none",
            "--client-key none: could not read",
        ),
        (
            "--client-cert cert --client-key text",
            "--client-key text: it holds no private key",
        ),
        (
            "--client-cert cert --client-key encrypted",
            "one that is encrypted must be decrypted",
        ),
        (
            "--client-cert cert --client-key other-key",
            "--client-key other-key: the key in it is not the one of the client certificate",
        ),
        (
            "--client-cert broken --client-key key",
            "certificate 1 in it is no X.509 certificate",
        ),
    ] {
        // Only what is typed wrong keeps a job from running.
        let run = sandbox.exec(options, "touch ran");
        match options {
            "--client-key key" => run.code(2).err("error: ").err(message),
            _ => run.code(0).err("warning: ").err(message),
        };
        assert_eq!(fs::remove_file(&ran).is_ok(), options != "--client-key key");
        for gateway in ["embedded", "http://127.0.0.1:1"] {
            push(&sandbox, &format!("{options} --gateway {gateway}")).code(2);
        }
    }
    // And those that can: the key in a file of its own, or with the certificate.
    push(&sandbox, "--client-cert cert --client-key key").code(0);
    sandbox.write("both", one.certificate_pem() + &one.key_pem());
    push(&sandbox, "--client-cert both").code(0);
}

#[cfg(feature = "real-servers")]
mod pushgateway {
    use super::*;
    use crate::common::{Server, of_job, status_samples};

    /// A Pushgateway for `https://localhost`, with further lines of `tls_server_config`.
    fn start(sandbox: &Sandbox, authority: &Authority, more: &str) -> (Server, String) {
        let identity = authority.server("localhost");
        sandbox.write("ca.pem", authority.pem());
        sandbox.write("server.pem", identity.certificate_pem());
        sandbox.write("server.key", identity.key_pem());
        let config = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
        let config = sandbox.write("web.yml", format!("{config}{more}"));
        let server = Server::secured_pushgateway(&config);
        let url = format!("https://localhost:{}", server.port());
        (server, url)
    }

    #[test]
    fn tls() {
        let sandbox = Sandbox::new();
        let (server, url) = start(&sandbox, &Authority::new(), "");
        let line = format!("--gateway {url} --ca-file ca.pem");
        push(&sandbox, &line).code(0).out(&format!("{url}/metrics"));
        let status = sandbox.run(&format!("status {line} --output json"));
        let samples = status_samples(&status.code(0).json());
        assert_eq!(samples[&of_job("j", "m")], 1.0);

        push(&sandbox, &format!("--gateway {url}"))
            .code(69)
            .err("authority that is not trusted here");
        let plain = format!("--gateway http://localhost:{}", server.port());
        push(&sandbox, &plain)
            .code(69)
            .err("responded with 400 Bad Request: Client sent an HTTP request to an HTTPS server.")
            .err("(give its URL with https://)");
    }

    #[test]
    fn https_to_a_plain_one() {
        let server = Server::pushgateway(&[]);
        let line = format!("--gateway https://{}", server.address());
        push(&Sandbox::new(), &line)
            .code(69)
            .err("it does not speak TLS: if it speaks plain HTTP, give its URL with http://");
    }

    #[test]
    fn mutual_tls() {
        let (sandbox, authority) = (Sandbox::new(), Authority::new());
        let (_server, url) = start(
            &sandbox,
            &authority,
            "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n",
        );
        let line = format!("--gateway {url} --ca-file ca.pem");
        for (name, authority) in [("client", authority), ("stranger", Authority::new())] {
            let client = authority.client();
            sandbox.write(&format!("{name}.pem"), client.certificate_pem());
            sandbox.write(&format!("{name}.key"), client.key_pem());
        }
        let identified = "--client-cert client.pem --client-key client.key";
        push(&sandbox, &format!("{line} {identified}")).code(0);
        let variables = Sandbox::new();
        let path = |name: &str| sandbox.path().join(name).display().to_string();
        let variables = variables
            .variable("METRICSJOB_GATEWAY", &url)
            .variable("METRICSJOB_CA_FILE", path("ca.pem"))
            .variable("METRICSJOB_CLIENT_CERT", path("client.pem"))
            .variable("METRICSJOB_CLIENT_KEY", path("client.key"));
        push(&variables, "").code(0);
        // All in one file, with something else.
        let both = ["client.key", "client.pem", "server.key"]
            .map(|name| std::fs::read_to_string(sandbox.path().join(name)).unwrap());
        sandbox.write("both", both.concat());
        push(&sandbox, &format!("{line} --client-cert both")).code(0);

        push(&sandbox, &line)
            .code(69)
            .err("it wants a client certificate: give one by --client-cert and --client-key");
        let stranger = "--client-cert stranger.pem --client-key stranger.key";
        push(&sandbox, &format!("{line} {stranger}"))
            .code(69)
            .err("it does not accept the client certificate");
    }
}
