//! `metricsjob healthcheck`: servers that are ready, and all the ways not to be.

use crate::common::own_gateway::OwnGateway;
use crate::common::own_server::{self, OwnServer};
use crate::common::{Authority, FakeServer, Finished, Port, Sandbox, Server};

fn check(sandbox: &Sandbox, arguments: &str) -> Finished {
    sandbox.run(&format!("healthcheck {arguments}"))
}

/// It says so in one line, and nothing else.
#[track_caller]
fn is_unhealthy(run: &Finished, message: &str) {
    run.code(1).err(message);
    assert!(run.stderr().starts_with("error: "), "{}", run.stderr());
    assert_eq!(run.stderr().lines().count(), 1, "{}", run.stderr());
    assert_eq!(run.stdout(), "");
}

#[test]
fn nothing_listens() {
    let port = Port::reserve();
    is_unhealthy(
        &check(&Sandbox::new(), &port.address()),
        &format!(
            "could not connect to http://{}/-/ready: connection refused (is a gateway listening there?)",
            port.address()
        ),
    );
    is_unhealthy(
        &check(&Sandbox::new(), "http://no.such.host.invalid:9091"),
        "could not connect to http://no.such.host.invalid:9091/-/ready",
    );
}

#[test]
fn not_ready() {
    let server = FakeServer::status("503 Service Unavailable", "metricsjob is ending.\n");
    is_unhealthy(
        &check(&Sandbox::new(), &server.url()),
        "responded with 503 Service Unavailable: metricsjob is ending. (its log says more)",
    );
}

#[test]
fn no_response_in_time() {
    let server = FakeServer::hanging();
    is_unhealthy(
        &check(
            &Sandbox::new(),
            &format!("{} --timeout 300ms", server.url()),
        ),
        "/-/ready did not respond within 300ms: raise --timeout if it is only slow",
    );
    // No host of this network is there, so that nobody refuses either.
    is_unhealthy(
        &check(&Sandbox::new(), "http://192.0.2.1:9091 --timeout 300ms"),
        "http://192.0.2.1:9091",
    );
}

#[test]
fn no_response_that_makes_sense() {
    for (response, message) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "broke: invalid HTTP"),
        ("", "broke: "),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nmetr",
            "broke: ",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
            "responded with 302 Found: it redirects to ",
        ),
    ] {
        let server = FakeServer::answering(response);
        is_unhealthy(&check(&Sandbox::new(), &server.url()), message);
    }
    let server = FakeServer::endless("200 OK");
    is_unhealthy(
        &check(&Sandbox::new(), &server.url()),
        "more than 65536 bytes, or than there is memory for (is it the right URL?)",
    );
}

#[test]
fn wrong_urls() {
    let server = FakeServer::status("404 Not Found", "");
    is_unhealthy(
        &check(&Sandbox::new(), &format!("{}/metrics", server.url())),
        "/metrics/-/ready responded with 404 Not Found (give the base URL of the server",
    );
    for (url, problem) in [
        ("http://me:s3cret@h:port", "is not a URL"),
        ("ftp://me:s3cret@h", "only http and https"),
        ("http://h/?q", "a query"),
    ] {
        let run = check(&Sandbox::new(), url);
        run.code(2).err(problem);
        assert!(!run.stderr().contains("s3cret"), "{}", run.stderr());
    }
    let none = Sandbox::new().run_args(["healthcheck", ""]);
    none.code(2).err("the gateway is empty");
    check(&Sandbox::new(), "--timeout 0s h").code(2);
}

#[test]
fn ready() {
    for status in ["200 OK", "204 No Content"] {
        let server = FakeServer::status(status, "");
        let url = format!("{}/prefix/", server.address());
        check(&Sandbox::new(), &url).code(0).quiet();
        assert_eq!(server.requests()[0].line, "GET /prefix/-/ready HTTP/1.1");
    }
}

#[test]
fn our_own_servers() {
    let gateway = OwnGateway::alone(&[]);
    check(&Sandbox::new(), &gateway.url()).code(0).quiet();
    let sandbox = Sandbox::new();
    own_server::job(&sandbox, "j", "every = '1h'", "true");
    let server = OwnServer::start(&sandbox, "");
    check(&Sandbox::new(), &server.url()).code(0).quiet();
}

/// It would say nothing of the server, and containers often have one in their environment.
#[test]
fn proxies_are_not_asked() {
    let gateway = Server::gateway(&[]);
    let sandbox = Sandbox::new()
        .variable("HTTP_PROXY", "http://127.0.0.1:1")
        .variable("http_proxy", "http://127.0.0.1:1")
        .variable("ALL_PROXY", "http://127.0.0.1:1");
    check(&sandbox, &gateway.url()).code(0).quiet();
    check(&sandbox.variable("NO_PROXY", "example.com"), &gateway.url()).code(0);
}

#[test]
fn a_config_file_that_is_broken_is_of_no_concern() {
    let gateway = Server::gateway(&[]);
    let sandbox = Sandbox::new().variable("METRICSJOB_TIMOUT", "1s");
    sandbox.write(".config/metricsjob/metricsjob.toml", "timeout = ");
    check(&sandbox, &gateway.url()).code(0).quiet();
}

/// `metricsjob gateway` with this web config file in `sandbox`.
fn secured(sandbox: &Sandbox, config: &str) -> OwnGateway {
    let config = sandbox.write("web.yml", config);
    let flag = format!("--web.config.file={}", config.display());
    OwnGateway::alone(&[&flag])
}

#[test]
fn over_tls() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    let identity = authority.server("localhost");
    sandbox.write("server.pem", identity.certificate_pem());
    sandbox.write("server.key", identity.key_pem());
    let ca = sandbox.write("ca.pem", authority.pem());
    let gateway = secured(
        &sandbox,
        "tls_server_config: {cert_file: server.pem, key_file: server.key}\n",
    );
    let address = gateway.address().replace("127.0.0.1", "localhost");
    let url = format!("https://{address}");
    check(&sandbox, &format!("{url} --ca-file ca.pem"))
        .code(0)
        .quiet();
    let by_variable = Sandbox::new().variable("METRICSJOB_CA_FILE", ca.display().to_string());
    check(&by_variable, &url).code(0).quiet();
    is_unhealthy(
        &check(&sandbox, &url),
        "give that authority's certificate by --ca-file",
    );
    is_unhealthy(
        &check(&sandbox, &format!("{url} --ca-file none.pem")),
        "--ca-file none.pem: could not read the file",
    );
    is_unhealthy(&check(&sandbox, &address), "give its URL with https://");
}

#[test]
fn of_users() {
    let sandbox = Sandbox::new();
    let hash = bcrypt::hash("s3cret", 4).unwrap();
    let gateway = secured(&sandbox, &format!("basic_auth_users:\n  me: {hash}\n"));
    sandbox.write("right", "me:s3cret\n");
    sandbox.write("wrong", "me:other\n");
    let url = gateway.url();
    check(&sandbox, &format!("{url} --basic-auth-file right"))
        .code(0)
        .quiet();
    let address = gateway.address();
    check(&sandbox, &format!("http://me:s3cret@{address}"))
        .code(0)
        .quiet();
    is_unhealthy(
        &check(&sandbox, &url),
        "401 Unauthorized: Unauthorized (give it credentials by --basic-auth-file",
    );
    is_unhealthy(
        &check(&sandbox, &format!("{url} --basic-auth-file wrong")),
        "it does not accept the credentials of --basic-auth-file wrong",
    );
    let by_variable = Sandbox::new().variable("METRICSJOB_BASIC_AUTH", "me:s3cret");
    check(&by_variable, &url).code(0).quiet();
}

/// They could be for anybody.
#[test]
fn credentials_need_a_url() {
    let sandbox = Sandbox::new();
    sandbox.write("basic", "me:s3cret");
    for options in ["--basic-auth-file basic", "--header X:1"] {
        check(&sandbox, options)
            .code(2)
            .err("credentials and headers are for one server: name it by its URL");
    }
}

#[cfg(feature = "real-servers")]
mod on_real_servers {
    use super::*;
    use crate::common::own_server::wrapped;

    #[test]
    fn those_of_prometheus() {
        let sandbox = Sandbox::new();
        let config = sandbox.write("prometheus.yml", "");
        let servers = [Server::pushgateway(&[]), Server::prometheus(&config)];
        for server in servers {
            check(&sandbox, &server.url()).code(0).quiet();
        }
        let config = sandbox.run("generate alertmanager").code(0).stdout();
        let config = sandbox.write("alertmanager.yml", config);
        let server = Server::alertmanager(&config);
        check(&sandbox, &server.url()).code(0).quiet();
    }

    /// Without a URL, on a network where nobody else listens. What the environment has for another server is of no
    /// concern, not even if it is bad.
    #[test]
    fn the_default_addresses() {
        let sandbox = Sandbox::new();
        let script = r#"
            check() { METRICSJOB_BASIC_AUTH_FILE=/none "$0" healthcheck "$@"; }
            listens() { until "$0" healthcheck "$1" 2>/dev/null; do sleep 0.02; done; }
            ip link set lo up
            check && exit 10
            "$0" serve --demo --state-dir serve 2>/dev/null & serve=$!
            listens 127.0.0.1:9464
            check
            "$0" gateway --state-dir gateway 2>/dev/null & gateway=$!
            listens 127.0.0.1:9091
            kill $serve; wait $serve
            check
            kill $gateway; wait $gateway
            check 127.0.0.1:9091 && exit 11
            echo all
        "#;
        let wrapper = ["timeout", "60", "unshare", "--net", "sh", "-euc", script];
        let mut command = wrapped(&wrapper, &sandbox.command::<&str>([]));
        let run = Finished::from(command.output().unwrap());
        run.code(0).out("all");
        assert_eq!(
            run.stderr(),
            "error: nothing listens at http://127.0.0.1:9091 (metricsjob gateway) or http://127.0.0.1:9464 (serve): \
             start one, or give the URL of another server\n\
             error: --basic-auth-file /none: could not read the file: No such file or directory\n"
        );
    }
}
