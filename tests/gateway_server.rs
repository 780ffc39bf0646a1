//! `metricsjob gateway`: the embedded gateway over HTTP.

use serde_json::Value as Json;

use crate::common::{Sandbox, Server};

#[test]
fn it_shows_what_was_pushed_to_it() {
    let server = Server::gateway(&[]);
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    sandbox.run_with_input("push --job a", "m 1\n").code(0);
    assert_eq!(server.value("a", "m"), Some(1.0));
    let (status, _) = server.request("DELETE", "/metrics/job/a", "");
    assert_eq!(status, 202);
    assert!(server.samples().is_empty());
}

#[test]
fn a_path_of_the_metrics_that_is_none() {
    for path in ["/", "metrics", "///"] {
        let run = Sandbox::new().run(&format!("gateway --web.telemetry-path {path}"));
        run.code(2).err("must start with a slash");
    }
}

#[test]
fn the_build_is_told_in_the_fields_of_a_pushgateway() {
    let text = Server::gateway(&[]).get("/api/v1/status");
    let status: Json = serde_json::from_str(&text).unwrap();
    let build = &status["data"]["build_information"];
    for field in [
        "branch",
        "buildDate",
        "buildUser",
        "goVersion",
        "revision",
        "version",
    ] {
        assert!(
            build[field].as_str().is_some_and(|it| !it.is_empty()),
            "{text}"
        );
    }
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(build["implementation"], "metricsjob");
    assert!(
        build["goVersion"].as_str().unwrap().starts_with("rustc 1."),
        "{text}"
    );
}
