//! Bodies of text, accepted or not.

use super::pair::beside;
use super::request::{post, put};

#[test]
fn what_is_read_replaces_a_group() {
    beside(&[], |pair| {
        pair.sequences(
            TEXTS
                .iter()
                .map(|text| [put("job/a", "old 1\n"), put("job/a", text)]),
        );
    });
}

#[test]
fn what_is_read_is_added_to_a_group() {
    beside(&[], |pair| {
        pair.sequences(
            TEXTS
                .iter()
                .map(|text| [put("job/a", "old 1\n"), post("job/a", text)]),
        );
    });
}

#[test]
fn what_is_read_makes_a_group() {
    beside(&[], |pair| {
        pair.sequences(TEXTS.iter().map(|text| [put("job/new/instance/i", text)]));
    });
}

#[test]
fn a_failure_time_that_makes_a_group_is_dropped() {
    beside(&[], |pair| {
        pair.sequences([[put("job/a", "push_failure_time_seconds 5\nm 1\n")]]);
    });
}

#[test]
fn bytes_that_are_not_utf8() {
    beside(&[], |pair| {
        pair.sequences([
            [put("job/a", b"m{a=\"\xff\"} 1\n")],
            [put("job/a", b"# \xff\nm 1\n")],
            [put("job/a", b"m\xff 1\n")],
            [put("job/a", b"m 1\xff\n")],
        ]);
    });
}

/// Bodies of text, accepted or not.
pub const TEXTS: &[&str] = &[
    "",
    "\n",
    "\n\n\n",
    " ",
    "#\n",
    "# \n",
    "# comment\n",
    "#comment",
    "m 1",
    "m 1\n",
    "m 1\r\n",
    " m 1\n",
    "\tm\t1\n",
    "m  1\n",
    "m 1 \n",
    "m 1\t\n",
    "m{} 1\n",
    "m{ } 1\n",
    "m{a=\"1\"}7\n",
    "m{a=\"1\",} 7\n",
    "m{a=\"1\",,} 7\n",
    "m{,a=\"1\"} 7\n",
    "m{,} 7\n",
    "m {a=\"1\"} 7\n",
    "m { a = \"1\" , b = \"2\" } 7\n",
    "m{a=\"1\" b=\"2\"} 7\n",
    "m{a=\"1\",a=\"2\"} 7\n",
    "m{a=\"1\",a=\"1\"} 7\n",
    "m{a=\"\"} 7\n",
    "m{a='1'} 7\n",
    "m{a=1} 7\n",
    "m{a} 7\n",
    "m{a=\"1} 7\n",
    "m{a=\"1\" 7\n",
    "m{a=\"x\\ny\\\\z\\\"\"} 7\n",
    "m{a=\"\\t\"} 7\n",
    "m{a=\"x\ny\"} 7\n",
    "m{a=\"\u{2713}\"} 7\n",
    "m{__a=\"1\"} 7\n",
    "m{__name__=\"1\"} 7\n",
    "m{job=\"x\"} 7\n",
    "m{instance=\"x\"} 7\n",
    "m{job=\"x\"} 7\nm{job=\"y\"} 8\n",
    "m{instance=\"x\"} 7\nm{instance=\"y\"} 8\n",
    "m{instance=\"\"} 7\nm 8\n",
    "m{a-b=\"1\"} 7\n",
    "m{a:b=\"1\"} 7\n",
    "m{1=\"1\"} 7\n",
    "{a=\"1\"} 7\n",
    "{\"m\"} 7\n",
    "m{quantile=\"x\"} 7\n",
    "m{le=\"x\"} 7\n",
    "m-n 1\n",
    "m.n 1\n",
    "1m 1\n",
    "m:n 1\n",
    ":m 1\n",
    "_m 1\n",
    "\u{e4} 1\n",
    "m\n",
    "m \n",
    "m x\n",
    "m 1 x\n",
    "m 1 1\n",
    "m 1 0\n",
    "m 1 -1\n",
    "m 1 1.5\n",
    "m 1 1 1\n",
    "m 1 99999999999999999999\n",
    "m NaN\n",
    "m nan\n",
    "m +NaN\n",
    "m -nan\n",
    "m Inf\n",
    "m +inf\n",
    "m -INF\n",
    "m infinity\n",
    "m -Infinity\n",
    "m 1e3\n",
    "m 1E-3\n",
    "m .5\n",
    "m 5.\n",
    "m +5\n",
    "m --5\n",
    "m 0x10\n",
    "m 0x1p4\n",
    "m 1p4\n",
    "m 1_000\n",
    "m 1e400\n",
    "m -1e400\n",
    "m 1e-400\n",
    "m -0\n",
    "m 123456789012345678901234567890\n",
    "m 0.1\n",
    "m 1e21\n",
    "m 123456789\n",
    "m 0.00001\n",
    "m 1\nm 1\n",
    "m 1\nn 2\nm{a=\"1\"} 1\n",
    "# TYPE m counter\nm 1\n",
    "# TYPE m COUNTER\nm 1\n",
    "# TYPE m Gauge\nm 1\n",
    "# TYPE m untyped\nm 1\n",
    "# TYPE m unknown\nm 1\n",
    "# TYPE m info\nm 1\n",
    "# TYPE m\nm 1\n",
    "# TYPE m \nm 1\n",
    "# TYPE\nm 1\n",
    "# TYPE m gauge x\nm 1\n",
    "# TYPE m gauge \nm 1\n",
    "#TYPE m gauge\nm 1\n",
    "#  TYPE  m  gauge\nm 1\n",
    "# type m gauge\nm 1\n",
    "# TYPE m gauge\n",
    "# TYPE m gauge\n# TYPE m gauge\nm 1\n",
    "m 1\n# TYPE m gauge\n",
    "m 1\n# HELP m help\n",
    "# HELP m help\n",
    "# HELP m help\n# HELP m help\nm 1\n",
    "# HELP m help\n# TYPE m gauge\nm 1\n",
    "# TYPE m gauge\n# HELP m help\nm 1\n",
    "# HELP m\nm 1\n",
    "# HELP m \nm 1\n",
    "# HELP m  two  blanks \nm 1\n",
    "# HELP m a\\nb\\\\c\nm 1\n",
    "# HELP m a\\\"b\nm 1\n",
    "# HELP m a\"b\nm 1\n",
    "# HELP m a\\tb\nm 1\n",
    "# HELP m a\\\nm 1\n",
    "# HELP 1m x\nm 1\n",
    "# HELP n x\nm 1\n",
    "# EOF\n",
    "m 1\n# EOF\n",
    "# UNIT m seconds\nm 1\n",
    "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n",
    "# TYPE s summary\ns_sum 2\n",
    "# TYPE s summary\ns_count 2\n",
    "# TYPE s summary\ns 2\n",
    "# TYPE s summary\ns{quantile=\"x\"} 2\n",
    "# TYPE s summary\ns{quantile=\"NaN\"} 2\n",
    "# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns{quantile=\"0.9\"} +Inf\ns_count 3\n",
    "# TYPE s summary\ns{quantile=\"0.9\"} 1\ns{quantile=\"0.5\"} 1\n",
    "# TYPE s summary\ns_sum 1\ns_sum 2\n",
    "# TYPE s summary\ns_count 1\ns_count 2\n",
    "# TYPE s summary\ns_count 1.5\n",
    "# TYPE s summary\ns_count 1e19\n",
    "# TYPE s summary\ns_count{a=\"1\"} 1\ns_count{a=\"2\"} 2\ns_sum{a=\"1\"} 1\n",
    "# TYPE s summary\ns_count{quantile=\"0.5\"} 1\n",
    "# TYPE s summary\ns_bucket{le=\"1\"} 1\n",
    "# TYPE s summary\n# TYPE s_count gauge\ns_count 1\n",
    "# TYPE s summary\ns_count 1\n# TYPE s_count gauge\n",
    "# TYPE s_count gauge\ns_count 1\n# TYPE s summary\ns_sum 1\n",
    "# TYPE s_count gauge\ns_count 1\n# TYPE s summary\ns_count 1\n",
    "# TYPE s summary\n# HELP s_count x\ns_count 1\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 2\nh_count 2\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 2\nh_count 2\n",
    "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\n",
    "# TYPE h histogram\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"1\"} 1\nh_count 3\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 1\nh_count 0\n",
    "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"NaN\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"-Inf\"} 1\nh_count 1\n",
    "# TYPE h histogram\nh_bucket 1\nh_count 1\n",
    "# TYPE h histogram\nh 1\n",
    "# TYPE h histogram\nh{le=\"1\"} 1\n",
    "# TYPE h histogram\nh_count 1\n",
    "# TYPE h histogram\nh_sum NaN\n",
    "# TYPE h histogram\nh_bucket{le=\"1\",a=\"1\"} 1\nh_count{a=\"1\"} 1\nh_count{a=\"2\"} 1\n",
    "# TYPE h histogram\nh_count 1\nh_count{job=\"x\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1 5\nh_count 1\n",
    "# TYPE h histogram\nh_count 1\n# TYPE h_total counter\nh_total 1\n",
    "# TYPE h gaugehistogram\nh 1\n",
    "push_time_seconds 5\n",
    "# TYPE push_time_seconds counter\npush_time_seconds{a=\"1\"} 5\nm 1\n",
    "# TYPE push_time_seconds gauge\n# HELP push_time_seconds mine\npush_time_seconds 5\n",
    "push_time_seconds 5 5\n",
    "push_time_seconds 5\npush_time_seconds 5\n",
    "push_time_seconds_count 5\n",
    "# TYPE push_time_seconds summary\npush_time_seconds_count 5\n",
    "# TYPE process_cpu_seconds_total gauge\nprocess_cpu_seconds_total 1\n",
    "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1\n",
    "process_start_time_seconds 1\n",
    "# TYPE pushgateway_build_info counter\npushgateway_build_info 1\n",
    "# TYPE pushgateway_build_info gauge\npushgateway_build_info 1\n",
    "# TYPE pushgateway_http_push_size_bytes_count counter\npushgateway_http_push_size_bytes_count 1\n",
    "pushgateway_http_push_size_bytes_sum 1\n",
    "x_count 1\n# TYPE x summary\nx_sum 1\n",
    "x_count 1\n# TYPE x histogram\nx_sum 1\n",
    "x_bucket 1\n# TYPE x histogram\nx_sum 1\n",
    "x_bucket 1\n# TYPE x summary\nx_sum 1\n",
    "x_count 1\nx 1\n",
];
