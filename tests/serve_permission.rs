//! Who may start runs and reload over HTTP. Looking is another matter: `--web.config.file` alone decides that.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::{Map, Value as Json, json};

use crate::common::curl::curl;
use crate::common::own_server::{JSON, OwnServer, server_command, with_examples};
use crate::common::{Answer, Authority, Finished, Sandbox, US, eventually};

const RUNS: &str = "/api/v1/jobs/backup/runs";

/// base64 of me:secret
const PASSWORD: (&str, &str) = ("Authorization", "Basic bWU6c2VjcmV0");

/// A server on a free port of `host`.
#[track_caller]
fn start_on(host: &str, sandbox: &Sandbox, options: &str) -> OwnServer {
    OwnServer::start(sandbox, &format!("--web.listen-address={host}:0 {options}"))
}

/// A request to start a run, and one to reload.
#[track_caller]
fn change(server: &OwnServer, headers: &[(&str, &str)]) -> [Answer; 2] {
    let with_type = [&[JSON], headers].concat();
    [
        server.exchange("POST", RUNS, &with_type, b"{}"),
        server.exchange("POST", "/-/reload", headers, b""),
    ]
}

#[track_caller]
fn allowed(server: &OwnServer, headers: &[(&str, &str)]) {
    let [start, reload] = change(server, headers);
    start.json(202);
    reload.json(200);
}

/// Neither is allowed; says why. Nothing has begun.
#[track_caller]
fn forbidden(server: &OwnServer, headers: &[(&str, &str)]) -> String {
    let runs = server.listed("backup", "").len();
    let [start, reload] = change(server, headers);
    let why = start.error(403);
    assert_eq!(reload.error(403), why);
    assert_eq!(server.listed("backup", "").len(), runs);
    why
}

/// All that can be looked at.
#[track_caller]
fn shown(server: &OwnServer, headers: &[(&str, &str)]) {
    for path in [
        "/",
        "/static/page.js",
        "/metrics",
        "/health",
        "/healthz",
        "/-/healthy",
        "/-/ready",
        "/api/v1/openapi.json",
        "/api/v1/jobs",
        "/api/v1/jobs/backup",
        RUNS,
    ] {
        assert_eq!(
            server.exchange("GET", path, headers, b"").status,
            200,
            "{path}"
        );
    }
}

fn port(server: &OwnServer) -> String {
    let address = server.address();
    address.rsplit_once(':').unwrap().1.to_owned()
}

/// A server that runs as a user of its own, where the tests are root.
fn start_as_nobody(sandbox: &Sandbox, options: &str) -> OwnServer {
    let done = |program: &str, arguments: &[&OsStr]| {
        let status = Command::new(program).args(arguments).status().unwrap();
        assert!(status.success(), "{program}");
    };
    let (home, binary) = (sandbox.path(), sandbox.path().join("metricsjob"));
    // By another process, see `tests/state_unwritable.rs`.
    done("cp", &[OsStr::new(&*US), binary.as_os_str()]);
    done(
        "chown",
        &["-R".as_ref(), "65534:65534".as_ref(), home.as_os_str()],
    );
    let server = server_command(sandbox, options);
    let variables = server.get_envs();
    let mut command = Command::new(binary);
    command
        .args(server.get_args())
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .current_dir(home)
        .uid(65534)
        .gid(65534);
    OwnServer::start_command(command)
}

#[test]
fn programs_of_this_machine() {
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let sandbox = with_examples();
        let server = start_as_nobody(&sandbox, &format!("--web.listen-address={host}:0"));
        let port = port(&server);
        allowed(&server, &[]);
        for name in ["127.0.0.1", "localhost", "[::1]", "serve.localhost"] {
            let host = format!("{name}:{port}");
            let origin = format!("http://{host}");
            allowed(&server, &[("Host", &host)]);
            allowed(&server, &[("Host", &host), ("Origin", &origin)]);
        }
        shown(&server, &[]);
    }
}

/// Every user of the machine reaches it, and it has more rights than they have.
#[test]
fn as_root() {
    if !nix::unistd::geteuid().is_root() {
        return programs_of_this_machine();
    }
    let sandbox = with_examples();
    let server = start_on("127.0.0.1", &sandbox, "");
    let why = forbidden(&server, &[]);
    for cure in ["root", "--web.enable-lifecycle", "--web.config.file"] {
        assert!(why.contains(cure), "{why}");
    }
    shown(&server, &[]);
    let server = start_on("127.0.0.1", &sandbox, "--web.enable-lifecycle");
    allowed(&server, &[]);
}

/// What any local user could do once: overwrite and read files as the server's user.
#[test]
fn only_what_a_job_file_lists() {
    let sandbox = Sandbox::new();
    sandbox.write("root-only", "precious");
    let attack = |param: &str| {
        let dest = sandbox.path().join("root-only");
        let all = json!({ "source": "evil.db", "dest": dest, "records": 7 });
        let chosen = |(name, _): &(&String, &Json)| param.is_empty() || *name == param;
        let params: Map<String, Json> = (all.as_object().unwrap().iter())
            .filter(chosen)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        json!({ "params": params }).to_string()
    };
    let all = attack("");
    // Compiled in, and in no job file.
    let server = OwnServer::start(&sandbox, "");
    for job in ["backup", "random"] {
        assert!(server.post(job, "{}").error(403).contains("--demo"));
    }
    server.post("backup", &all).error(403);
    assert!(!server.get("/").body.contains("data-start"));
    drop(server);

    let server = OwnServer::start(&sandbox, "--demo");
    server.post("backup", &all).error(403);
    server.post("backup", "{}").json(202);
    drop(server);

    let builtin = "builtin = 'backup'\noverlap = 'allow'\nparams = { duration = '0s' }\n";
    sandbox.write("jobs/none.toml", builtin);
    let listed = format!("{builtin}http_params = ['records']\n");
    sandbox.write("jobs/records.toml", listed);
    let server = OwnServer::start(&sandbox, "");
    server.post("none", "{}").json(202);
    for param in ["", "source", "dest", "records"] {
        let why = server.post("none", attack(param)).error(403);
        assert!(why.contains("http_params"), "{why}");
    }
    let run = server.run_with("records", &json!({ "params": { "records": 7 } }));
    assert_eq!(run["metrics"][0]["metrics"][0]["value"], 7);
    for param in ["", "source", "dest"] {
        let why = server.post("records", attack(param)).error(403);
        assert!(why.contains("http_params"), "{why}");
    }
    let left = fs::read_to_string(sandbox.path().join("root-only"));
    assert_eq!(left.unwrap(), "precious");
}

#[test]
fn pages_of_other_sites() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let port = port(&server);
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
        forbidden(&server, &[("Origin", origin)]);
        // That is no matter to who looks.
        shown(&server, &[("Origin", origin)]);
    }
    // What a name that leads here by DNS looks like: to such a page, all that is shown is its own.
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
        let why = forbidden(&server, headers);
        assert!(why.contains("--web.allowed-hosts"), "{why}");
        for path in [
            "/",
            "/metrics",
            "/healthz",
            "/-/healthy",
            "/api/v1/jobs",
            RUNS,
            "/no",
        ] {
            let answer = server.exchange("GET", path, headers, b"");
            assert_eq!(answer.error(403), why, "{path}");
        }
    }
}

#[test]
fn names_that_are_allowed() {
    let own = [
        ("Host", "serve.example:9464"),
        ("Origin", "http://serve.example:9464"),
    ];
    let allows = "--web.enable-lifecycle --web.allowed-hosts=other.example,Serve.example";
    for host in ["127.0.0.1", "0.0.0.0"] {
        let sandbox = with_examples();
        let server = start_on(host, &sandbox, allows);
        allowed(&server, &own);
        allowed(&server, &[]);
        shown(&server, &own[..1]);
        forbidden(&server, &[("Host", "evil.example")]);
        let read = server.exchange("GET", "/", &[("Host", "evil.example")], b"");
        assert_eq!(read.status, 403);
    }
    // Nobody knows by which names other machines call it.
    let sandbox = with_examples();
    let server = start_on("0.0.0.0", &sandbox, "--web.enable-lifecycle");
    shown(&server, &[("Host", "any.example")]);
    let wrong = sandbox.run("serve --web.allowed-hosts=http://a.example");
    wrong.code(2).err("http://a.example");
}

#[test]
fn other_machines() {
    for host in ["0.0.0.0", ""] {
        let sandbox = with_examples();
        let server = start_on(host, &sandbox, "");
        let why = forbidden(&server, &[]);
        for cure in ["--web.enable-lifecycle", "--web.config.file"] {
            assert!(why.contains(cure), "{why}");
        }
        // Whatever they say they are.
        forbidden(&server, &[PASSWORD]);
        forbidden(&server, &[("Host", "localhost")]);
        forbidden(&server, &[("X-Forwarded-For", "127.0.0.1")]);
        shown(&server, &[]);
        assert_eq!(server.listed("backup", ""), Vec::<Json>::new());
    }
}

#[test]
fn one_address_of_several() {
    let sandbox = with_examples();
    let server = start_on("127.0.0.1", &sandbox, "--web.listen-address=0.0.0.0:0");
    forbidden(&server, &[]);
}

#[test]
fn everybody() {
    let sandbox = with_examples();
    let server = start_on("0.0.0.0", &sandbox, "--web.enable-lifecycle");
    allowed(&server, &[]);
    let origin = "http://serve.example:9464";
    allowed(
        &server,
        &[("Host", "serve.example:9464"), ("Origin", origin)],
    );
    for origin in ["http://evil.example", "null", "http://serve.example:9465"] {
        let host = ("Host", "serve.example:9464");
        forbidden(&server, &[host, ("Origin", origin)]);
    }
}

#[test]
fn users() {
    let sandbox = with_examples();
    let hash = bcrypt::hash("secret", 4).unwrap();
    let config = format!("basic_auth_users:\n  me: {hash}\n");
    let path = sandbox.write("web.yml", &config);
    let option = format!("--web.config.file={}", path.display());
    let server = start_on("0.0.0.0", &sandbox, &option);
    let refused = |server: &OwnServer| {
        for wrong in [&[][..], &[("Authorization", "Basic bWU6d3Jvbmc=")]] {
            let answers = change(server, wrong);
            assert_eq!(answers.map(|answer| answer.status), [401, 401]);
            assert_eq!(server.exchange("GET", RUNS, wrong, b"").status, 401);
        }
    };
    refused(&server);
    allowed(&server, &[PASSWORD]);
    shown(&server, &[PASSWORD]);
    let foreign = ("Origin", "http://evil.example");
    let answers = change(&server, &[PASSWORD, foreign]);
    assert_eq!(answers.map(|answer| answer.status), [403, 403]);

    // Without its users, all can come, so nobody may change anything.
    sandbox.write("web.yml", "{}\n");
    eventually("they are gone", || server.get(RUNS).status == 200);
    forbidden(&server, &[]);
    forbidden(&server, &[PASSWORD]);
    shown(&server, &[]);
    sandbox.write("web.yml", &config);
    eventually("they are back", || server.get(RUNS).status == 401);
    refused(&server);
    allowed(&server, &[PASSWORD]);

    // What cannot be read changes nothing.
    sandbox.write("web.yml", "basic_auth_users: [\n");
    server.logs("Could not use the changed web config file");
    refused(&server);
    allowed(&server, &[PASSWORD]);
    fs::remove_file(path).unwrap();
    refused(&server);
}

/// A server for all machines, with TLS.
struct Secured {
    server: OwnServer,
    sandbox: Sandbox,
    authority: Authority,
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

fn requires_certificates() -> String {
    let client = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    format!("{TLS}{client}")
}

impl Secured {
    fn start(config: &str) -> Self {
        let (sandbox, authority) = (with_examples(), Authority::new());
        let (server, client) = (authority.server("localhost"), authority.client());
        sandbox.write("ca.pem", authority.pem());
        sandbox.write("server.pem", server.certificate_pem());
        sandbox.write("server.key", server.key_pem());
        sandbox.write("client.pem", client.certificate_pem());
        sandbox.write("client.key", client.key_pem());
        let path = sandbox.write("web.yml", config);
        let option = format!("--web.config.file={}", path.display());
        Secured {
            server: start_on("0.0.0.0", &sandbox, &option),
            sandbox,
            authority,
        }
    }

    fn path(&self, name: &str) -> String {
        self.sandbox.path().join(name).display().to_string()
    }

    /// A request by curl. The status, and the body before it.
    fn request(&self, path: &str, options: &[&str]) -> Finished {
        let authority = self.path("ca.pem");
        let url = format!("https://localhost:{}{path}", port(&self.server));
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
    server.sandbox.write("web.yml", TLS);
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
    let client = metricsjob_client::call::builder(false).tls_certs_only([authority]);
    let client = client.build().unwrap();
    let url = format!("https://localhost:{}{RUNS}", port(&server.server));
    let runtime = metricsjob_client::call::Runtime::new().unwrap();
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
    server.sandbox.write("web.yml", config);
    eventually("others have to show one", || {
        server.request(RUNS, &[]).stdout().ends_with("000")
    });
    assert_eq!(status(client.get(&url)), 200);
    assert_eq!(status(client.post(&url)), 403);
}
