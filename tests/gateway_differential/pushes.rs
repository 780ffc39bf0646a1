//! What becomes of pushes and deletions, one after the other.

use super::pair::beside;
use super::request::{delete, post, put};

const GAUGE: &str = "# TYPE m gauge\nm 1\n";

#[test]
fn put_replaces_a_group_and_post_families() {
    beside(&[], |pair| {
        pair.sequences([
            vec![put("job/a", "m 1\nn 1\n"), put("job/a", "n 2\n")],
            vec![put("job/a", "m 1\nn 1\n"), post("job/a", "n 2\n")],
            vec![
                put("job/a", "m{a=\"1\"} 1\n"),
                post("job/a", "m{a=\"2\"} 1\n"),
            ],
            vec![put("job/a", "m 1\n"), put("job/a", "")],
            vec![put("job/a", "m 1\n"), post("job/a", "")],
            vec![put("job/a", "")],
            vec![post("job/a", "")],
            vec![put("job/a", ""), post("job/a", "m 1\n")],
            vec![put("job/a", "m 1\n"), put("job/a", "# TYPE m gauge\n")],
            vec![put("job/a", "m 1\n"), post("job/a", "# TYPE m gauge\n")],
        ]);
    });
}

#[test]
fn deletions_take_exactly_one_group() {
    beside(&[], |pair| {
        pair.sequences([
            vec![put("job/a", "m 1\n"), delete("job/a")],
            vec![put("job/a/x/1", "m 1\n"), delete("job/a")],
            vec![put("job/a/x/1", "m 1\n"), delete("job/a/x/1")],
            vec![put("job/a/x/1/y/2", "m 1\n"), delete("job/a/y/2/x/1")],
            vec![put("job/a", "m 1\n"), delete("job/a/instance/")],
            vec![put("job/a/instance/", "m 1\n"), delete("job/a")],
            vec![put("job/a/instance/", "m 1\n"), delete("job/a/instance/")],
            vec![delete("job/a")],
            vec![put("job/a", "m 1\n"), delete("job/a").body("m{")],
            vec![put("job/a", "m 1\n"), delete("job/a"), put("job/a", GAUGE)],
        ]);
    });
}

#[test]
fn timestamps_are_refused() {
    beside(&[], |pair| {
        pair.sequences([
            vec![put("job/a", "m 1 5\n")],
            vec![put("job/a", "m 1\n"), put("job/a", "n 1 5\n")],
            vec![
                put("job/a", "m 1\n"),
                post("job/a", "m 2 0\n"),
                put("job/a", "m 3\n"),
            ],
            vec![put("job/a", "m 1 5\n"), delete("job/a")],
            vec![put("job/a", "m 1 5\n"), post("job/a", "m 1\n")],
        ]);
    });
}

#[test]
fn a_name_has_one_type_over_all_groups() {
    beside(&[], |pair| {
        pair.sequences([
            vec![put("job/a", "m 1\n"), put("job/b", GAUGE)],
            vec![put("job/a", GAUGE), put("job/b", "m 1\n")],
            vec![put("job/a", "m 1\n"), put("job/a", GAUGE)],
            vec![put("job/a", "m 1\n"), post("job/a", GAUGE)],
            vec![
                put("job/a", "m 1\n"),
                put("job/b", "m 1\n"),
                put("job/a", GAUGE),
            ],
            vec![
                put("job/a", "m 1\n"),
                put("job/b", GAUGE),
                delete("job/a"),
                put("job/b", GAUGE),
            ],
            vec![put("job/a", GAUGE), put("job/b", "# TYPE m counter\nm 1\n")],
            vec![
                put("job/a", GAUGE),
                put("job/b", "# TYPE m summary\nm_sum 1\n"),
            ],
            vec![
                put("job/a", GAUGE),
                put("job/b", "# TYPE m histogram\nm_sum 1\n"),
            ],
        ]);
    });
}

#[test]
fn names_that_clash_with_the_parts_of_a_summary_or_histogram() {
    beside(&[], |pair| {
        pair.sequences([
            vec![
                put("job/a", "# TYPE m summary\nm_sum 1\n"),
                put("job/b", "m_sum 1\n"),
            ],
            vec![
                put("job/a", "# TYPE m summary\nm_sum 1\n"),
                put("job/b", "m_count 1\n"),
            ],
            vec![
                put("job/a", "# TYPE m summary\nm_sum 1\n"),
                put("job/b", "m_bucket 1\n"),
            ],
            vec![
                put("job/a", "# TYPE m histogram\nm_sum 1\n"),
                put("job/b", "m_bucket 1\n"),
            ],
            vec![
                put("job/a", "# TYPE m histogram\nm_sum 1\n"),
                put("job/b", "m_sum 1\n"),
            ],
            vec![
                put("job/b", "m_sum 1\n"),
                put("job/a", "# TYPE m summary\nm_count 1\n"),
            ],
            vec![
                put("job/b", "m_bucket 1\n"),
                put("job/a", "# TYPE m summary\nm_count 1\n"),
            ],
            vec![
                put("job/b", "m_bucket 1\n"),
                put("job/a", "# TYPE m histogram\nm_count 1\n"),
            ],
            vec![
                put("job/a", "# TYPE m histogram\nm_sum 1\n"),
                post("job/a", "m_bucket 1\n"),
            ],
            vec![
                put("job/a", "# TYPE m histogram\nm_sum 1\n"),
                put("job/a", "m_bucket 1\n"),
            ],
            vec![
                put("job/a", "# TYPE m histogram\nm_sum 1\n"),
                put("job/b", "# TYPE m_sum summary\nm_sum_count 1\n"),
            ],
        ]);
    });
}

#[test]
fn helps_that_differ_are_taken() {
    beside(&[], |pair| {
        pair.sequences([
            vec![
                put("job/a", "# HELP m one\nm 1\n"),
                put("job/a", "# HELP m two\nm 1\n"),
            ],
            vec![
                put("job/a", "# HELP m one\nm 1\n"),
                put("job/b", "# HELP m two\nm 1\n"),
            ],
            vec![
                put("job/a", "# HELP m one\nm 1\n"),
                put("job/b", "m 1\n"),
                delete("job/a"),
            ],
        ]);
    });
}

#[test]
fn the_same_series_stands_once() {
    beside(&[], |pair| {
        pair.sequences([
            vec![put("job/a/x/1", "m{x=\"2\"} 1\n")],
            vec![put("job/a/x/1", "m{x=\"2\"} 1\nm{x=\"3\"} 1\n")],
            vec![put("job/a/x/1", "m 1\n"), put("job/a", "m{x=\"1\"} 1\n")],
            vec![put("job/a", "m{x=\"1\"} 1\n"), put("job/a/x/1", "m 1\n")],
            vec![
                put("job/a/instance/i", "m 1\n"),
                put("job/a", "m{instance=\"i\"} 1\n"),
            ],
            vec![
                put("job/a/x/1", "m 1\n"),
                put("job/a", "m{x=\"1\"} 1\n"),
                delete("job/a/x/1"),
                post("job/a", "m{x=\"1\"} 1\n"),
            ],
        ]);
    });
}

#[test]
fn labels_of_the_key_that_a_type_needs() {
    beside(&[], |pair| {
        pair.sequences([
            vec![put("job/a/quantile/1", "m 1\n")],
            vec![put(
                "job/a/quantile/1",
                "# TYPE m summary\nm{quantile=\"0.5\"} 1\nm_sum 1\n",
            )],
            vec![put("job/a/quantile/1", "# TYPE m summary\nm_sum 1\n")],
            vec![put("job/a/quantile/1", "# TYPE m histogram\nm_sum 1\n")],
            vec![put("job/a/le/1", "# TYPE m summary\nm_sum 1\n")],
        ]);
    });
}

#[test]
fn a_refused_push_changes_only_its_own_group() {
    beside(&[], |pair| {
        pair.sequences([vec![
            put("job/a", "m 1\nn 1\n"),
            put("job/b", "o 1\n# TYPE m gauge\nm 1\n"),
            post("job/b", "o 1\n"),
            put("job/b", "p 1\np 1\n"),
            put("job/c", "q 1\n"),
        ]]);
    });
}
