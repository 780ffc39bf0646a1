//! Alerts about services over HTTP: those of `examples/`, our own servers, and what the job `probe` looks at.

use super::sample::{RuleTest, SampleLabels};
use super::{Rule, gateways};

const SERVICE: SampleLabels = SampleLabels {
    labels: &[("job", "users-api"), ("instance", "users:8000")],
    alerting: None,
};

const OTHER: SampleLabels = SampleLabels {
    labels: &[("job", "users-api"), ("instance", "users:8001")],
    alerting: None,
};

pub fn rules(page: &str) -> Vec<Rule> {
    vec![
        high_error_rate(page),
        high_response_time(page),
        service_down(page),
        high_cpu_usage(page),
    ]
}

fn high_error_rate(page: &str) -> Rule {
    let errors = "errors_total{type=\"server_error\",service=\"http\"}";
    let firing = SERVICE.fixed(
        "warning",
        &[("service", "http"), ("type", "server_error")],
        ": many errors",
        "0.50 errors per second in the last 5 minutes",
    );
    Rule::fixed(
        "HighErrorRate",
        "",
        "warning",
        "rate(errors_total[5m]) > 0.1",
        page,
    )
    .after("2m")
    .says(
        ": many errors",
        "{{ $value | printf \"%.2f\" }} errors per second in the last 5 minutes",
    )
    .tested([RuleTest::new(
        "many errors and few",
        [
            SERVICE.series([(errors, "0x10 0+30x20 600x20")]),
            OTHER.series([(errors, "0+5x50")]),
        ],
    )
    .silent("10m")
    .firing("25m", [firing])
    .silent("45m")])
}

fn high_response_time(page: &str) -> Rule {
    let bucket = |method: &str, le: &str| {
        format!(
            "http_request_duration_seconds_bucket{{method=\"{method}\",endpoint=\"/users\",le=\"{le}\"}}"
        )
    };
    let [fast, slow, all] = ["1", "5", "+Inf"].map(|le| bucket("GET", le));
    let posted = bucket("POST", "+Inf");
    let posted_fast = bucket("POST", "1");
    let firing = SERVICE.fixed(
        "critical",
        &[("endpoint", "/users")],
        ": slow responses",
        "A twentieth of the requests of the last 5 minutes took 4.0s or longer",
    );
    Rule::fixed(
        "HighResponseTime",
        "",
        "critical",
        "histogram_quantile(\n\
         \x20 0.95,\n\
         \x20 sum without (method) (rate(http_request_duration_seconds_bucket[5m]))\n\
         ) > 2",
        page,
    )
    .after("5m")
    .says(
        ": slow responses",
        "A twentieth of the requests of the last 5 minutes took {{ $value | printf \"%.1f\" }}s or longer",
    )
    .tested([RuleTest::new(
        "slow requests of one method, and fast ones",
        [
            SERVICE.series([
                (&*fast, "0+40x20 800+60x20"),
                (&*slow, "0+60x40"),
                (&*all, "0+60x40"),
                (&*posted_fast, "0+40x40"),
                (&bucket("POST", "5"), "0+40x40"),
                (&*posted, "0+40x40"),
            ]),
            OTHER.series([(&*fast, "0+60x40"), (&*slow, "0+60x40"), (&*all, "0+60x40")]),
        ],
    )
    .silent("5m")
    .firing("15m", [firing])
    .silent("35m")])
}

fn service_down(page: &str) -> Rule {
    let up = "external_service_up{service=\"shop\",endpoint=\"https://shop.example/health\"}";
    let down = "external_service_up{service=\"db\",endpoint=\"tcp://db.example:5432\"}";
    let firing = SERVICE.fixed(
        "critical",
        &[("service", "db"), ("endpoint", "tcp://db.example:5432")],
        ": the service db is down",
        "db does not respond at tcp://db.example:5432: external_service_up is 0",
    );
    Rule::fixed(
        "ServiceDown",
        "",
        "critical",
        // Reported by jobs such as `probe`.
        &gateways::newest("external_service_up == 0", "service, endpoint"),
        page,
    )
    .after("1m")
    .says(
        ": the service {{ $labels.service }} is down",
        "{{ $labels.service }} does not respond at {{ $labels.endpoint }}: external_service_up is {{ $value }}",
    )
    .tested([RuleTest::new(
        "one service is down for a while, the other for a moment",
        [SERVICE.series([(up, "1x10 0 1x20"), (down, "1x10 0x10 1x10")])],
    )
    .silent("11m")
    .firing("15m", [firing])
    .silent("25m")])
}

fn high_cpu_usage(page: &str) -> Rule {
    let usage = "system_cpu_usage_ratio";
    let firing = SERVICE.fixed(
        "warning",
        &[],
        ": the processors are busy",
        "90% of the processors' time is used",
    );
    Rule::fixed(
        "HighCPUUsage",
        "",
        "warning",
        "system_cpu_usage_ratio > 0.8",
        page,
    )
    .after("5m")
    .says(
        ": the processors are busy",
        "{{ $value | humanizePercentage }} of the processors' time is used",
    )
    .tested([RuleTest::new(
        "busy for long, for a moment, and just not",
        [
            SERVICE.series([(usage, "0.2x10 0.9x20 0.2x10")]),
            OTHER.series([(usage, "0.8x10 0.9x3 0.8x27")]),
        ],
    )
    .silent("14m")
    .firing("20m", [firing])
    .silent("35m")])
}
