//! Who may start runs and reload over HTTP. Looking is another matter: `--web.config.file` alone decides that.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::common::api_server::{Answer, Api, JSON, sandbox};
use crate::common::curl::curl;
use crate::common::{Authority, Finished, Sandbox, eventually};

const RUNS: &str = "/api/v1/jobs/backup/runs";

/// base64 of me:secret
const PASSWORD: (&str, &str) = ("Authorization", "Basic bWU6c2VjcmV0");

/// A request to start a run, and one to reload.
#[track_caller]
fn change(api: &Api, headers: &[(&str, &str)]) -> [Answer; 2] {
    let with_type = [&[JSON], headers].concat();
    [
        api.send("POST", RUNS, &with_type, b"{}"),
        api.send("POST", "/-/reload", headers, b""),
    ]
}

#[track_caller]
fn allowed(api: &Api, headers: &[(&str, &str)]) {
    let [start, reload] = change(api, headers);
    start.json(202);
    reload.json(200);
}

/// Neither is allowed; says why. Nothing has begun.
#[track_caller]
fn forbidden(api: &Api, headers: &[(&str, &str)]) -> String {
    let runs = api.runs("backup", "").len();
    let [start, reload] = change(api, headers);
    let why = start.error(403);
    assert_eq!(reload.error(403), why);
    assert_eq!(api.runs("backup", "").len(), runs);
    why
}

/// All that can be looked at.
#[track_caller]
fn shown(api: &Api, headers: &[(&str, &str)]) {
    for path in [
        "/",
        "/static/page.js",
        "/metrics",
        "/health",
        "/-/healthy",
        "/-/ready",
        "/api/v1/openapi.json",
        "/api/v1/jobs",
        "/api/v1/jobs/backup",
        RUNS,
    ] {
        assert_eq!(api.send("GET", path, headers, b"").status, 200, "{path}");
    }
}

fn port(api: &Api) -> String {
    let address = api.address();
    address.rsplit_once(':').unwrap().1.to_owned()
}

#[test]
fn programs_of_this_machine() {
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let api = Api::start_on(host, sandbox(), &[]);
        let port = port(&api);
        allowed(&api, &[]);
        for name in ["127.0.0.1", "localhost", "[::1]", "serve.localhost"] {
            let host = format!("{name}:{port}");
            let origin = format!("http://{host}");
            allowed(&api, &[("Host", &host)]);
            allowed(&api, &[("Host", &host), ("Origin", &origin)]);
        }
        shown(&api, &[]);
    }
}

#[test]
fn pages_of_other_sites() {
    let api = Api::start();
    let port = port(&api);
    let elsewhere = format!("http://localhost:{port}");
    for origin in [
        "http://evil.example",
        "null",
        "",
        "file://",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        // Another name of the same address is another site to a browser.
        &elsewhere,
        "chrome-extension://abcdefgh",
        "\u{e4}",
    ] {
        forbidden(&api, &[("Origin", origin)]);
        // That is no matter to who looks.
        shown(&api, &[("Origin", origin)]);
    }
    // What a name that leads here by DNS looks like.
    let rebound = format!("evil.example:{port}");
    let rebound_origin = format!("http://{rebound}");
    for headers in [
        &[("Host", "evil.example")][..],
        &[("Host", &rebound)],
        &[("Host", &rebound), ("Origin", &rebound_origin)],
        &[("Host", "localhost.evil.example")],
        &[("Host", "127.0.0.1.evil.example")],
        &[("Host", "evil.example@127.0.0.1")],
        &[("Host", "")],
    ] {
        let why = forbidden(&api, headers);
        assert!(why.contains("--web.enable-lifecycle"), "{why}");
        shown(&api, headers);
    }
}

#[test]
fn other_machines() {
    for host in ["0.0.0.0", ""] {
        let api = Api::start_on(host, sandbox(), &[]);
        let why = forbidden(&api, &[]);
        for cure in ["--web.enable-lifecycle", "--web.config.file"] {
            assert!(why.contains(cure), "{why}");
        }
        // Whatever they say they are.
        forbidden(&api, &[PASSWORD]);
        forbidden(&api, &[("Host", "localhost")]);
        forbidden(&api, &[("X-Forwarded-For", "127.0.0.1")]);
        shown(&api, &[]);
        assert_eq!(api.runs("backup", ""), Vec::<Json>::new());
    }
}

#[test]
fn one_address_of_several() {
    let api = Api::start_on("127.0.0.1", sandbox(), &["--web.listen-address=0.0.0.0:0"]);
    forbidden(&api, &[]);
}

#[test]
fn everybody() {
    let api = Api::start_on("0.0.0.0", sandbox(), &["--web.enable-lifecycle"]);
    allowed(&api, &[]);
    let origin = "http://serve.example:9464";
    allowed(&api, &[("Host", "serve.example:9464"), ("Origin", origin)]);
    for origin in ["http://evil.example", "null", "http://serve.example:9465"] {
        let host = ("Host", "serve.example:9464");
        forbidden(&api, &[host, ("Origin", origin)]);
    }
}

#[test]
fn users() {
    let sandbox = sandbox();
    let hash = bcrypt::hash("secret", 4).unwrap();
    let config = format!("basic_auth_users:\n  me: {hash}\n");
    let path = sandbox.write("web.yml", &config);
    let flag = format!("--web.config.file={}", path.display());
    let api = Api::start_on("0.0.0.0", sandbox, &[&flag]);
    let refused = |api: &Api| {
        for wrong in [&[][..], &[("Authorization", "Basic bWU6d3Jvbmc=")]] {
            let answers = change(api, wrong);
            assert_eq!(answers.map(|answer| answer.status), [401, 401]);
            assert_eq!(api.send("GET", RUNS, wrong, b"").status, 401);
        }
    };
    refused(&api);
    allowed(&api, &[PASSWORD]);
    shown(&api, &[PASSWORD]);
    let foreign = ("Origin", "http://evil.example");
    let answers = change(&api, &[PASSWORD, foreign]);
    assert_eq!(answers.map(|answer| answer.status), [403, 403]);

    // Without its users, all can come, so nobody may change anything.
    api.sandbox.write("web.yml", "{}\n");
    eventually("they are gone", || api.get(RUNS).status == 200);
    forbidden(&api, &[]);
    forbidden(&api, &[PASSWORD]);
    shown(&api, &[]);
    api.sandbox.write("web.yml", &config);
    eventually("they are back", || api.get(RUNS).status == 401);
    refused(&api);
    allowed(&api, &[PASSWORD]);

    // What cannot be read changes nothing.
    api.sandbox.write("web.yml", "basic_auth_users: [\n");
    api.server.logs("Could not use the changed web config file");
    refused(&api);
    allowed(&api, &[PASSWORD]);
    fs::remove_file(path).unwrap();
    refused(&api);
}

/// A server for all machines, with TLS.
struct Secured {
    api: Api,
    authority: Authority,
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

fn requires_certificates() -> String {
    let client = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    format!("{TLS}{client}")
}

impl Secured {
    fn start(config: &str) -> Self {
        let (sandbox, authority) = (sandbox(), Authority::new());
        let (server, client) = (authority.server("localhost"), authority.client());
        sandbox.write("ca.pem", authority.pem());
        sandbox.write("server.pem", server.certificate_pem());
        sandbox.write("server.key", server.key_pem());
        sandbox.write("client.pem", client.certificate_pem());
        sandbox.write("client.key", client.key_pem());
        let path = sandbox.write("web.yml", config);
        let flag = format!("--web.config.file={}", path.display());
        let api = Api::start_on("0.0.0.0", sandbox, &[&flag]);
        Secured { api, authority }
    }

    fn path(&self, name: &str) -> String {
        path_in(&self.api.sandbox, name)
    }

    /// A request by curl. The status, and the body before it.
    fn request(&self, path: &str, options: &[&str]) -> Finished {
        let authority = self.path("ca.pem");
        let url = format!("https://localhost:{}{path}", port(&self.api));
        let common = [
            "--noproxy",
            "*",
            "--cacert",
            &authority,
            "-w",
            "%{http_code}",
        ];
        curl(&[&common, options, &[&url]].concat())
    }

    fn certificate(&self) -> [String; 4] {
        let (certificate, key) = (self.path("client.pem"), self.path("client.key"));
        ["--cert".into(), certificate, "--key".into(), key]
    }
}

fn path_in(sandbox: &Sandbox, name: &str) -> String {
    let path: &Path = sandbox.path();
    path.join(name).display().to_string()
}

#[test]
fn certificates() {
    let server = Secured::start(&requires_certificates());
    let certificate = server.certificate();
    let certificate: Vec<&str> = certificate.iter().map(String::as_str).collect();
    let post = [&certificate[..], &["-X", "POST"]].concat();
    server.request(RUNS, &post).code(0).out("202");
    server.request("/-/reload", &post).code(0).out("200");
    server.request(RUNS, &certificate).code(0).out("200");
    let foreign = [&post[..], &["-H", "Origin: https://evil.example"]].concat();
    server.request(RUNS, &foreign).code(0).out("403");
    // Others get nowhere: the handshake fails.
    let others = server.request(RUNS, &["-X", "POST"]);
    assert!(!others.stdout().contains('2'), "{}", others.stdout());

    // Once nobody has to show one any more, nobody may change anything.
    server.api.sandbox.write("web.yml", TLS);
    eventually("all get in", || {
        server.request(RUNS, &[]).stdout().ends_with("200")
    });
    server.request(RUNS, &post).code(0).out("403");
    server.request(RUNS, &["-X", "POST"]).code(0).out("403");
}

/// One that was not asked who it is stays unknown, whatever others have to show by now.
#[test]
fn a_connection_from_before() {
    let server = Secured::start(TLS);
    let authority = reqwest::Certificate::from_pem(server.authority.pem().as_bytes()).unwrap();
    let client = metricsjob::client::builder(false).tls_certs_only([authority]);
    let client = client.build().unwrap();
    let url = format!("https://localhost:{}{RUNS}", port(&server.api));
    let runtime = metricsjob::client::Runtime::new().unwrap();
    let status = |request: reqwest::RequestBuilder| {
        runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            // So that the connection can be used again.
            answer.bytes().await.unwrap();
            status
        })
    };
    assert_eq!(status(client.post(&url)), 403);
    let config = requires_certificates();
    server.api.sandbox.write("web.yml", config);
    eventually("others have to show one", || {
        server.request(RUNS, &[]).stdout().ends_with("000")
    });
    assert_eq!(status(client.get(&url)), 200);
    assert_eq!(status(client.post(&url)), 403);
}
