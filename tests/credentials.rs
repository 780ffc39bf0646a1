//! Who a push says it is: users, tokens and other headers, in each way to give them.

use crate::common::{FakeServer, Finished, Sandbox};

fn push(sandbox: &Sandbox, options: &str) -> Finished {
    sandbox.run_with_input(&format!("push --job j {options}"), "m 1\n")
}

/// base64 of me:s3cr@t
const BASIC: &str = "authorization: Basic bWU6czNjckB0";

/// The headers of the one request that `sandbox` pushes with `options`.
#[track_caller]
fn sent(sandbox: &Sandbox, options: &str) -> Vec<String> {
    let server = FakeServer::status("200 OK", "");
    let push = push(sandbox, &format!("--gateway {} {options}", server.url()));
    assert_eq!(push.code(0).stderr(), "");
    server.requests()[0].headers.clone()
}

#[test]
fn basic_authentication() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("basic", "me:s3cr@t\n").display().to_string();
    let has = |headers: Vec<String>| headers.contains(&BASIC.to_owned());
    assert!(has(sent(&sandbox, "--basic-auth-file basic")));
    sandbox.write("basic", "me:s3cr@t\r\n");
    assert!(has(sent(&sandbox, "--basic-auth-file basic")));
    let named = Sandbox::new().variable("METRICSJOB_BASIC_AUTH_FILE", &file);
    assert!(has(sent(&named, "")));
    let named = Sandbox::new().variable("METRICSJOB_BASIC_AUTH", "me:s3cr@t");
    assert!(has(sent(&named, "")));
    // The file wins over the value, whoever names it.
    let both = named.variable("METRICSJOB_BASIC_AUTH_FILE", "");
    both.write("other", "other:one");
    assert!(has(sent(&both, "")));
    assert!(!has(sent(&both, "--basic-auth-file other")));
}

#[test]
fn bearer_tokens() {
    let has = |headers: Vec<String>| headers.contains(&"authorization: Bearer t0k.en=".into());
    let sandbox = Sandbox::new();
    let file = sandbox.write("token", "t0k.en=\n").display().to_string();
    assert!(has(sent(&sandbox, "--bearer-token-file token")));
    let named = Sandbox::new().variable("METRICSJOB_BEARER_TOKEN_FILE", file);
    assert!(has(sent(&named, "")));
    let named = Sandbox::new().variable("METRICSJOB_BEARER_TOKEN", "t0k.en=");
    assert!(has(sent(&named, "")));
}

#[test]
fn the_url_wins_for_its_gateway() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new()
        .variable("METRICSJOB_BEARER_TOKEN", "t0ken")
        .variable(
            "METRICSJOB_GATEWAY",
            format!("me:s3cr%40t@{}", server.address()),
        );
    push(&sandbox, "").code(0);
    let headers = &server.requests()[0].headers;
    let authorization = headers.iter().filter(|h| h.starts_with("authorization"));
    assert_eq!(authorization.collect::<Vec<_>>(), [BASIC]);
}

#[test]
fn further_headers() {
    let sandbox = Sandbox::new();
    sandbox.write("headers", "X-A: 1\r\n\nX-b:two words \nX-A: 2\n");
    let server = FakeServer::status("200 OK", "");
    let line = format!("push --job j --gateway {}", server.url());
    let arguments = line.split(' ').chain([
        "--header",
        "X-Scope-OrgID: team: a",
        "--header",
        "@headers",
        "--header",
        "user-agent: me",
        "--header",
        "authorization: Digest d",
    ]);
    sandbox.write("m", "m 1\n");
    sandbox.run_args(arguments.chain(["m"])).code(0);
    let headers = &server.requests()[0].headers;
    for header in [
        "x-scope-orgid: team: a",
        "x-a: 1",
        "x-a: 2",
        "x-b: two words",
        "user-agent: me",
        "authorization: Digest d",
    ] {
        assert!(headers.contains(&header.into()), "{header} {headers:?}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused_without_showing_it() {
    let long = format!("s3cret{}", "x".repeat(5_000_000));
    for (option, content, message) in [
        ("--basic-auth-file", "", ": it is empty"),
        ("--basic-auth-file", "\n", ": it is empty"),
        (
            "--basic-auth-file",
            "s3cret",
            ": it has no colon: the form is user:password",
        ),
        (
            "--basic-auth-file",
            "me:s3cret\n\n",
            ": it has a control character in it",
        ),
        (
            "--basic-auth-file",
            "me:s3\u{1b}cret",
            ": it has a control character in it",
        ),
        ("--basic-auth-file", &long, "too large to be the right file"),
        ("--bearer-token-file", "\r\n", ": it is empty"),
        (
            "--bearer-token-file",
            "s3\tcret",
            ": it has a control character in it",
        ),
        ("--bearer-token-file", "s3cret ", ": it has a blank in it"),
        (
            "--bearer-token-file",
            "s3crét",
            ": it has a character in it that is not ASCII",
        ),
        (
            "--header",
            "s3cret",
            ", line 1: it has no colon: the form is NAME: VALUE",
        ),
        (
            "--header",
            "\nX-A: 1\nX A: s3cret",
            ", line 3: the part before its colon is not a header",
        ),
        (
            "--header",
            "X: s3\u{1}cret",
            ", line 1: the value of x has a control character in it",
        ),
        (
            "--header",
            "Content-type: s3cret",
            ", line 1: content-type is set by metricsjob itself",
        ),
        (
            "--header",
            "Content-Encoding: s3cret",
            "content-encoding is set by metricsjob itself",
        ),
        (
            "--header",
            "Content-Length: 3",
            "content-length is set by metricsjob itself",
        ),
        (
            "--header",
            "HOST: s3cret",
            "host is set by metricsjob itself",
        ),
        (
            "--header",
            "transfer-encoding: s3cret",
            "transfer-encoding is set by metricsjob itself",
        ),
        (
            "--header",
            "Authorization: s3cret\nauthorization: s3cret",
            ", line 2: there is an Authorization before it already",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("file", content);
        let at = if option == "--header" { "@" } else { "" };
        let options = format!("{option} {at}file");
        let run = push(&sandbox, &options);
        let source = format!("error: {options}");
        let stderr = run.code(2).err(&source).err(message).stderr();
        assert!(
            !stderr.contains("s3") && !stderr.contains("cret"),
            "{stderr}"
        );
        assert!(!sandbox.state_db().exists());
        // A job runs, and its report waits.
        let run = sandbox.exec(&format!("{options} --gateway 127.0.0.1:1"), "true");
        let stderr = run.code(0).err(message).err("outbox entry").stderr();
        assert!(
            !stderr.contains("s3") && !stderr.contains("cret"),
            "{stderr}"
        );
    }
    let sandbox = Sandbox::new();
    let run = sandbox.run_args(["status", "--header", "s3cret"]);
    run.code(2)
        .err("error: --header number 1: it has no colon: the form is NAME: VALUE");
    assert!(!run.stderr().contains("s3cret"));
    let sandbox = sandbox.variable("METRICSJOB_BEARER_TOKEN", "s3\ncret");
    let run = sandbox.run("status");
    run.code(2)
        .err("error: METRICSJOB_BEARER_TOKEN: it has a control character in it");
    assert!(!run.stderr().contains("s3cret"));
}

#[test]
fn there_is_one_authorization() {
    let sandbox = Sandbox::new().variable("METRICSJOB_BEARER_TOKEN", "t0ken");
    sandbox.write("basic", "me:s3cret");
    push(&sandbox, "--basic-auth-file basic").code(2).err(
        "--basic-auth-file basic and METRICSJOB_BEARER_TOKEN both say who we are to the gateway: \
         remove one of them",
    );
    push(&sandbox, "--header Authorization:x")
        .code(2)
        .err("METRICSJOB_BEARER_TOKEN and --header number 1 both say");
}

#[test]
fn a_gateway_that_refuses_them_names_their_source() {
    let server = FakeServer::status("401 Unauthorized", "Unauthorized");
    let line = format!("--gateway {}", server.url());
    let sandbox = Sandbox::new();
    sandbox.write("basic", "me:s3cret");
    push(&sandbox, &line).code(69).err(
        "responded with 401 Unauthorized: Unauthorized (give it credentials by --basic-auth-file or \
         --bearer-token-file)",
    );
    push(&sandbox, &format!("{line} --basic-auth-file basic"))
        .code(69)
        .err("(it does not accept the credentials of --basic-auth-file basic)");
    push(
        &sandbox,
        &format!("--gateway me:s3cret@{}", server.address()),
    )
    .code(69)
    .err("(it does not accept the credentials of the gateway's URL)");
}

#[cfg(feature = "real-servers")]
#[test]
fn the_users_of_a_pushgateway() {
    use crate::common::Server;
    let sandbox = Sandbox::new();
    // bcrypt of s3cret-password, of the least cost.
    let hash = "$2b$04$U68uVLAb/XpsUwF5m9DAHOJ1GW6kyG58nn9y9B6C8eqVgfMV5AQTW";
    let config = sandbox.write("web.yml", format!("basic_auth_users:\n  me: {hash}\n"));
    let server = Server::secured_pushgateway(&config);
    let line = format!("--gateway {}", server.url());
    sandbox.write("right", "me:s3cret-password\n");
    sandbox.write("wrong", "me:s3cret\n");
    let right = format!("{line} --basic-auth-file right");
    push(&sandbox, &right).code(0);
    sandbox.run(&format!("status {right}")).code(0).out("j ");
    sandbox.run(&format!("delete --job j {right}")).code(0);
    push(&sandbox, &format!("{line} --basic-auth-file wrong"))
        .code(69)
        .err(
            "responded with 401 Unauthorized: Unauthorized (it does not accept the credentials of",
        );
    push(&sandbox, &line).code(69).err("give it credentials by");
    let url = format!("--gateway me:s3cret-password@{}", server.address());
    push(&sandbox, &url).code(0);
}
