//! Proxies that the environment names.

use crate::common::{FakeServer, Finished, Sandbox, TlsServer, TunnelProxy};

fn push(sandbox: &Sandbox, options: &str) -> Finished {
    sandbox.run_with_input(&format!("push --job j {options}"), "m 1\n")
}

/// base64 of me:s3cret
const BASIC: &str = "proxy-authorization: Basic bWU6czNjcmV0";

#[test]
fn http_goes_through_it() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let proxy = FakeServer::status("200 OK", "");
        let sandbox =
            Sandbox::new().variable(variable, format!("http://me:s3cret@{}", proxy.address()));
        push(&sandbox, "--gateway http://gateway.invalid:9091").code(0);
        let requests = proxy.requests();
        let line = "POST http://gateway.invalid:9091/metrics/job/j HTTP/1.1";
        assert_eq!(requests[0].line, line);
        assert!(requests[0].headers.contains(&BASIC.into()));
        // NO_PROXY excepts hosts.
        let gateway = FakeServer::status("200 OK", "");
        let address = gateway.address();
        let lists = ["127.0.0.1", "*", "a b 127.0.0.0/8", "a,  *", &address];
        for (index, list) in lists.into_iter().enumerate() {
            let sandbox = Sandbox::new()
                .variable(variable, proxy.url())
                .variable("NO_PROXY", list);
            push(&sandbox, &format!("--gateway {}", gateway.url())).code(0);
            assert!(!gateway.requests()[0].headers.contains(&BASIC.into()));
            assert_eq!(gateway.requests().len(), index + 1, "{list}");
        }
        let sandbox = sandbox.variable("NO_PROXY", "127.0.0.1:1");
        push(&sandbox, &format!("--gateway {}", gateway.url())).code(0);
        assert_eq!((proxy.requests().len(), gateway.requests().len()), (2, 5));
    }
}

#[test]
fn https_goes_through_a_tunnel() {
    let (server, proxy) = (TlsServer::start(), TunnelProxy::start());
    let sandbox = Sandbox::new().variable(
        "HTTPS_PROXY",
        format!("http://me:s3cret@{}", proxy.address()),
    );
    let ca = server.authority(&sandbox).display().to_string();
    sandbox.write("token", "t0ken");
    let line = format!(
        "--gateway {} --ca-file {ca} --bearer-token-file token",
        server.url()
    );
    push(&sandbox, &line).code(0);
    let heads = proxy.heads();
    let port = server.port();
    assert!(heads[0].starts_with(&format!("connect localhost:{port} http/1.1\r\n")));
    assert!(heads[0].contains(&BASIC.to_lowercase()));
    assert!(!heads[0].contains("t0ken"));
}

/// Which takes certificates to trust, though the gateway itself does not.
#[test]
fn a_proxy_over_tls() {
    let proxy = TlsServer::start();
    let sandbox = Sandbox::new().variable("HTTP_PROXY", proxy.url());
    let ca = proxy.authority(&sandbox).display().to_string();
    let gateway = "--gateway http://gateway.invalid:9091";
    push(&sandbox, gateway).code(69).err("--ca-file");
    push(&sandbox, &format!("{gateway} --ca-file {ca}")).code(0);
    let sandbox = sandbox.variable("SSL_CERT_FILE", ca);
    push(&sandbox, gateway).code(0);
}

#[test]
fn what_goes_wrong_with_it() {
    for (scheme, variable) in [("http", "http_proxy"), ("https", "ALL_PROXY")] {
        let gateway = format!("--gateway {scheme}://gateway.invalid");
        let names =
            |proxy: &str| Sandbox::new().variable(variable, format!("http://me:s3cret@{proxy}"));
        let down = push(&names("127.0.0.1:1"), &gateway);
        down.code(69)
            .err("connection refused")
            .err(&format!("({variable} names a proxy: is that right?"));
        let proxy = FakeServer::status("407 Proxy Authentication Required", "");
        let refused = push(&names(&proxy.address()), &gateway);
        refused.code(69).err(&format!("{variable} names "));
        let broken = push(&names("h:notaport"), &gateway);
        broken.code(69);
        for run in [down, refused, broken] {
            let stderr = run.stderr();
            assert!(
                !stderr.contains("s3cret") && !stderr.contains("me:"),
                "{stderr}"
            );
            assert!(!stderr.contains("bWU6"), "{stderr}");
        }
    }
}
