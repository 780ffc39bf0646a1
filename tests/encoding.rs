//! How a body is sent: `--format` and `--compress`.

use crate::common::{FakeServer, Sandbox};

const PROTOBUF: &str = "application/vnd.google.protobuf; \
                        proto=io.prometheus.client.MetricFamily; encoding=delimited";

#[test]
fn the_headers_say_what_is_sent() {
    for (options, content_type, content_encoding) in [
        ("", "text/plain; version=0.0.4; charset=utf-8", None),
        ("--format protobuf", PROTOBUF, None),
        (
            "--compress gzip --format text",
            "text/plain; version=0.0.4; charset=utf-8",
            Some("gzip"),
        ),
        ("--compress gzip --format protobuf", PROTOBUF, Some("gzip")),
    ] {
        let server = FakeServer::status("200 OK", "");
        let line = format!("push --job j --gateway {} {options}", server.url());
        let sandbox = Sandbox::new();
        sandbox.run_with_input(&line, "m 1\n").code(0);
        let headers = &server.requests()[0].headers;
        let value = |name: &str| headers.iter().find_map(|header| header.strip_prefix(name));
        assert_eq!(value("content-type: "), Some(content_type));
        assert_eq!(value("content-encoding: "), content_encoding);
        // And so does a dry run, which shows the body as text all the same.
        let dry = sandbox.run_with_input(&format!("{line} --dry-run"), "m 1\n");
        dry.code(0)
            .out(&format!("\nContent-Type: {content_type}\n"))
            .out("\nm 1\n");
        let encoding = "\nContent-Encoding: gzip\n\n# the body ";
        assert_eq!(dry.stdout().contains(encoding), content_encoding.is_some());
        assert_eq!(server.requests().len(), 1);
    }
    let sandbox = Sandbox::new();
    let other = sandbox.run("status --compress zip");
    other.code(2).err("[possible values: none, gzip]");
    let other = sandbox.run("status --format json");
    other.code(2).err("[possible values: text, protobuf]");
    // The embedded gateway is sent nothing over HTTP.
    let dry = "push --job j --dry-run --format protobuf";
    let dry = sandbox.run_with_input(dry, "m 1\n");
    dry.code(0).out("Content-Type: text/plain;");
}

#[cfg(feature = "real-servers")]
#[test]
fn a_pushgateway_gets_the_same_in_each_encoding() {
    use crate::common::TestGateway;
    let text = "\
# HELP c_total Counts \\\\ \\n and é.\n# TYPE c_total counter\nc_total{l=\"a\\\"b\\\\\\n\"} 0\n\
c_total{l=\"ü\"} 1.5\n# TYPE g gauge\ng{empty=\"\"} -Inf\n# TYPE u untyped\nu 1e300\n\
# TYPE h histogram\nh_bucket{le=\"0.1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n\
# TYPE n histogram\nn_bucket{le=\"1\"} 2\nn_bucket{le=\"+Inf\"} 2\nn_sum 1\nn_count 2\n\
# TYPE s summary\ns{quantile=\"0.5\"} 2\ns_sum 7\ns_count 7\n";
    let samples = |options: &str| {
        let gateway = TestGateway::pushgateway();
        gateway
            .push(&format!("--job j --method put {options}"), text)
            .code(0);
        let mut samples = gateway.samples();
        samples.retain(|series, _| !series.starts_with("push_"));
        samples
    };
    let plain = samples("");
    assert!(plain.len() > 12, "{plain:?}");
    for options in [
        "--format protobuf",
        "--compress gzip",
        "--format protobuf --compress gzip",
    ] {
        assert_eq!(samples(options), plain, "{options}");
    }
    let variables = TestGateway::pushgateway();
    let sandbox = variables
        .sandbox
        .variable("METRICSJOB_COMPRESS", "gzip")
        .variable("METRICSJOB_FORMAT", "protobuf");
    sandbox.run("run backup --set duration=0s -g db=c").code(0);
    sandbox.run("status").code(0).out("db=c");
}
