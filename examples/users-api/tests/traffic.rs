//! The script that makes traffic, against the API.

use std::path::Path;

use examples_harness::output_of;

#[test]
fn traffic() {
    let api = crate::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/examples/traffic");
    let url = api.url();
    // It fails itself if a status is not as it should be.
    let printed = output_of(script, &["--url", &url, "--rate", "100", "--for", "2"]);
    let text = api.get("/metrics").text();
    let samples = |start: &str| -> Vec<(String, f64)> {
        let lines = text.lines().filter(|line| line.starts_with(start));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        pairs
            .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
            .collect()
    };
    let mut all = 0.0;
    for line in printed.lines() {
        let (status, count) = line.split_once(' ').unwrap();
        let count: f64 = count.parse().unwrap();
        let label = format!(r#"status_code="{status}""#);
        let requests = samples("http_requests_total{");
        let counted = requests
            .iter()
            .filter(|(series, _)| series.contains(&label));
        assert_eq!(
            counted.map(|(_, value)| value).sum::<f64>(),
            count,
            "{status}\n{text}"
        );
        all += count;
    }
    // 200, or fewer on a busy machine.
    assert!((20.0..=201.0).contains(&all), "{printed}");
    for status in ["200", "201", "400", "404"] {
        assert!(printed.contains(&format!("{status} ")), "{printed}");
    }
    let one = |series: &str| samples(series).iter().map(|(_, value)| value).sum::<f64>();
    let created = one("user_registrations_total ");
    assert!(created > 0.0);
    assert_eq!(one("active_users "), created + 2.0);
    assert!(one("feature_usage_total{feature=\"health_check\"") > 0.0);
    assert!(one("http_requests_total{endpoint=\"other\"") > 0.0);
    api.terminate();
}

#[test]
fn options_that_cannot_be_used() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/examples/traffic");
    for (option, value) in [
        ("--rate", "0"),
        ("--for", "-1"),
        ("--url", "ftp://a"),
        ("--rate", "nan"),
    ] {
        let output = std::process::Command::new(&script)
            .args([option, value])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{option} {value}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(option));
    }
}
