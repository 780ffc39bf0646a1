//! `gateway` in a job file: a job that reports elsewhere than the others of its host.

use crate::common::own_server::OwnServer;
use crate::common::{FakeServer, Sandbox, eventually};

const CONFIG: &str = ".config/metricsjob/metricsjob.toml";

fn server() -> FakeServer {
    FakeServer::status("202 Accepted", "")
}

/// Writes the file of a job with this `gateway`, as TOML.
fn job(sandbox: &Sandbox, name: &str, gateway: &str) {
    let text = format!("command = ['true']\ngateway = {gateway}\n");
    sandbox.write(&format!("jobs/{name}.toml"), text);
}

/// How many reports of the job called `name` the server has got.
fn reports(server: &FakeServer, name: &str) -> usize {
    let requests = server.requests();
    let path = format!("POST /metrics/job/{name} ");
    let of_job = |line: &&String| line.starts_with(&path);
    requests
        .iter()
        .map(|request| &request.line)
        .filter(of_job)
        .count()
}

#[test]
fn one_or_several() {
    let (host, own, other) = (server(), server(), server());
    let sandbox = Sandbox::new();
    sandbox.write(CONFIG, format!("gateway = '{}'", host.url()));
    job(&sandbox, "one", &format!("'{}'", own.url()));
    job(
        &sandbox,
        "several",
        &format!("['{}', '{}', 'embedded']", own.url(), other.url()),
    );
    sandbox.write("jobs/none.toml", "command = ['true']");
    for name in ["one", "several", "none"] {
        sandbox.run(&format!("run {name}")).code(0);
    }
    let of = |name: &str| [&host, &own, &other].map(|server| reports(server, name));
    assert_eq!(of("one"), [0, 1, 0]);
    assert_eq!(of("several"), [0, 1, 1]);
    assert_eq!(of("none"), [1, 0, 0]);
    assert_eq!(sandbox.value("several", "batch_job_success"), Some(1.0));
    assert_eq!(sandbox.value("one", "batch_job_success"), None);
    let listed = sandbox.run("list several");
    let names = format!("gateway     {} {} embedded\n", own.url(), other.url());
    listed.code(0).out(&names);
    let json = sandbox.run("list none --output json").code(0).json();
    assert_eq!(json[0]["gateways"], serde_json::json!([]));
}

#[test]
fn the_host_says_how_to_reach_it() {
    let own = server();
    let sandbox = Sandbox::new();
    let token = sandbox.write("token", "s3cret-token");
    let config = format!(
        "gateway = 'ftp://nowhere'\n[credentials]\nbearer_token_file = '{}'",
        token.display()
    );
    sandbox.write(CONFIG, config);
    job(&sandbox, "j", &format!("'{}'", own.url()));
    // The host's gateway is wrong, which is nothing to this job.
    let run = sandbox.run("run j");
    assert!(
        !run.code(0).stderr().contains("warning"),
        "{}",
        run.stderr()
    );
    let header = "authorization: Bearer s3cret-token".to_owned();
    assert!(own.requests()[0].headers.contains(&header));
    job(&sandbox, "j", &format!("'http://u:p@{}'", own.address()));
    sandbox.run("run j").code(0);
    let header = "authorization: Basic dTpw".to_owned();
    assert!(own.requests()[1].headers.contains(&header));
}

/// Nothing has run, and no password is shown.
#[test]
fn bad_values() {
    let sandbox = Sandbox::new();
    for (line, problem) in [
        (
            "gateway = 7",
            "2:11: gateway must be a URL, \"embedded\" or a list of such, but is of type integer",
        ),
        (
            "gateway = []",
            "2:11: gateway is an empty list: leave the key out for the gateways of the host",
        ),
        ("gateway = ''", "2:11: the gateway is empty"),
        (
            "gateway = ['embedded', 'ftp://u:s3cret@h']",
            "2:24: gateway \"ftp://***@h\" has the scheme \"ftp\": only http and https are spoken",
        ),
        (
            "gateway = ['embedded', true]",
            "2:24: gateway must be a string, but is of type boolean",
        ),
        (
            "gateway = 'http://u:s3 cret@h'",
            "2:11: gateway \"http://***@h\" has commas or blanks in it",
        ),
        (
            "require_push = 'yes'",
            "2:16: require_push must be true or false, but is of type string",
        ),
        (
            "gatway = 'embedded'",
            "2:1: unknown key \"gatway\" (did you mean \"gateway\"?)",
        ),
    ] {
        let text = format!("command = ['touch', 'ran']\n{line}\n");
        sandbox.write("jobs/j.toml", text);
        for command in ["run j", "check"] {
            let run = sandbox.run(command);
            run.code(2).err(&format!("error: jobs/j.toml:{problem}"));
            assert!(!run.stderr().contains("cret"), "{}", run.stderr());
        }
    }
    assert!(!sandbox.path().join("ran").exists());
}

#[test]
fn its_password_is_kept_out_of_reports() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs/j.toml",
        "command = ['sh', '-c', 'echo it is hunter2222 >&2; exit 1']\ntail = 3\n\
         gateway = 'http://u:hunter2222@127.0.0.1:1'",
    );
    sandbox.run("run j").code(1);
    assert_eq!(
        sandbox.history()[0]["tail"],
        serde_json::json!(["it is ***"])
    );
    let listed = sandbox.run("list j");
    listed.code(0).out("gateway     http://127.0.0.1:1\n");
    let request = sandbox.run("run j --dry-run");
    assert!(!request.stdout().contains("hunter"), "{}", request.stdout());
}

#[test]
fn it_is_forgotten_there_too() {
    let (host, own) = (server(), server());
    let sandbox = Sandbox::new();
    sandbox.write(CONFIG, format!("gateway = '{}'", host.url()));
    job(&sandbox, "j", &format!("'{}'", own.url()));
    sandbox.run("run j").code(0);
    sandbox
        .run("forget j")
        .code(0)
        .out(&own.url())
        .out(&host.url());
    let last = |server: &FakeServer| server.requests().last().unwrap().line.clone();
    for server in [&host, &own] {
        assert!(
            last(server).starts_with("DELETE /metrics/job/j "),
            "{}",
            last(server)
        );
    }
    let count = own.requests().len();
    let named = format!("forget j --gateway {}", host.url());
    sandbox.run(&named).code(0);
    assert_eq!(own.requests().len(), count);
    sandbox.write("jobs/j.toml", "gateway = 7");
    sandbox
        .run("forget j")
        .code(0)
        .err("warning: jobs/j.toml:")
        .err("warning: the groups stay at gateways that this file names: mend it first");
}

#[test]
fn serve_reports_to_it() {
    let (host, own, later) = (server(), server(), server());
    let sandbox = Sandbox::new();
    sandbox.write(CONFIG, format!("gateway = '{}'", host.url()));
    sandbox.write("jobs/plain.toml", "command = ['true']\npush_start = true");
    job(&sandbox, "own", &format!("['{}', 'embedded']", own.url()));
    let served = OwnServer::start(&sandbox, "");
    for name in ["plain", "own"] {
        served.run(name);
    }
    eventually("both have theirs", || {
        reports(&host, "plain") == 2 && reports(&own, "own") == 1
    });
    eventually("the embedded one has it too", || {
        sandbox.value("own", "batch_job_success") == Some(1.0)
    });
    // One that comes with a job.
    job(&sandbox, "new", &format!("'{}'", later.url()));
    served.reload();
    served.run("new");
    eventually("it has the report", || reports(&later, "new") == 1);
    // The report of a job whose file is gone.
    job(&sandbox, "down", "'http://127.0.0.1:1'");
    served.reload();
    served.run("down");
    std::fs::remove_file(sandbox.path().join("jobs/down.toml")).unwrap();
    served.reload();
    served.end();
    let all = [&host, &own, &later].map(|server| server.requests().len());
    assert_eq!(all, [2, 1, 1]);
    assert_eq!(sandbox.outbox_len(), 1);
}

/// At the start, without another run of the job.
#[test]
fn serve_delivers_what_waits_for_it() {
    let own = server();
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "'http://127.0.0.1:1'");
    sandbox.run("run j").code(0);
    sandbox.redirect_outbox("http://127.0.0.1:1", &own.url());
    job(&sandbox, "j", &format!("'{}'", own.url()));
    let served = OwnServer::start(&sandbox, "");
    eventually("it has the report", || reports(&own, "j") == 1);
    served.end();
    assert_eq!(sandbox.outbox_len(), 0);
}

#[test]
fn serve_takes_a_new_password() {
    let own = server();
    let sandbox = Sandbox::new();
    let authorizations = || {
        let requests = own.requests().into_iter();
        let headers = requests.flat_map(|request| request.headers);
        let own = headers.filter(|header| header.starts_with("authorization: "));
        own.collect::<Vec<_>>()
    };
    let with = |password: &str| format!("'http://u:{password}@{}'", own.address());
    job(&sandbox, "j", &with("old"));
    let served = OwnServer::start(&sandbox, "");
    served.run("j");
    eventually("the first report", || {
        authorizations() == ["authorization: Basic dTpvbGQ="]
    });
    job(&sandbox, "j", &with("new"));
    served.reload();
    served.run("j");
    eventually("the second report", || {
        authorizations().last().unwrap() == "authorization: Basic dTpuZXc="
    });
    served.end();
    assert_eq!(authorizations().len(), 2);
}

#[test]
fn serve_has_an_option_that_wins() {
    let (host, own) = (server(), server());
    let sandbox = Sandbox::new();
    job(&sandbox, "j", &format!("'{}'", own.url()));
    let served = OwnServer::start(&sandbox, &format!("--gateway {}", host.url()));
    served.run("j");
    eventually("it has the report", || reports(&host, "j") == 1);
    served.end();
    assert_eq!(own.requests().len(), 0);
}
