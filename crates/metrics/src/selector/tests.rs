use std::collections::BTreeMap;

use super::*;
use crate::GroupingKey;

fn parsed(text: &str) -> Result<Selector, SelectorError> {
    series_selectors(&[text]).map(|mut selectors| selectors.remove(0))
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs.iter();
    owned
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

#[track_caller]
fn matches(selector: &str, pairs: &[(&str, &str)]) -> bool {
    let labels = labels(pairs);
    let selector = parsed(selector).unwrap();
    let value_of = |label: &str| Some(labels.get(label).map_or("", String::as_str));
    selector.judge(&value_of).unwrap()
}

#[test]
fn what_is_selected() {
    let series = [
        ("__name__", "up"),
        ("job", "ci"),
        ("branch", "feature/a\nb"),
        ("größe.x", "süß"),
    ];
    for yes in [
        r#"up"#,
        r#" up { } "#,
        r#"up{job="ci",}"#,
        r#"{job="ci"}"#,
        r#"{ job = 'ci' , branch=~`feature/.*` }"#,
        "{job=\"ci\", # a comment }\nbranch!=\"\"}",
        r#"{job!="cd",job!=""}"#,
        r#"{job!~"c",job="ci"}"#,
        r#"{missing="",job="ci"}"#,
        r#"{missing!="x",job="ci"}"#,
        r#"{missing=~"x|",job="ci"}"#,
        r#"{"up"}"#,
        r#"{"up",job="ci"}"#,
        r#"{__name__=~"u.",job="ci"}"#,
        r#"{"größe.x"="süß"}"#,
        r#"{'größe.x'=~"S.ß|s.ß"}"#,
        r#"{"job"="\x63\151"}"#,
        r#"{"job"="\u0063\U00000069"}"#,
        r#"{branch="feature/a\nb"}"#,
        r#"{branch=~"feature/a.b"}"#,
        "{branch=~\"(?i)FEATURE/\\\\w\\\\s\\\\w\"}",
    ] {
        assert!(matches(yes, &series), "{yes}");
    }
    for no in [
        r#"down"#,
        r#"up{job="c"}"#,
        r#"{job=~"c"}"#,
        r#"{job=~"i"}"#,
        r#"{job="ci",branch="x"}"#,
        r#"{job="CI"}"#,
        r#"{missing!="",job="ci"}"#,
        r#"{missing=~".+",job="ci"}"#,
        r#"{"größe.x"=~"\\w+"}"#,
        r#"{branch="feature/a\\nb"}"#,
        r#"{branch=`feature/a\nb`}"#,
    ] {
        assert!(!matches(no, &series), "{no}");
    }
}

#[test]
fn mistakes_have_a_place_a_reason_and_a_cure() {
    for (text, position, message) in [
        ("", 1, "expected {, as in {job=\"ci\"}, found the end"),
        (
            "{job=ci}",
            6,
            "expected a value in quotes, as in {job=\"ci\"}, found 'c'",
        ),
        (
            "job=\"ci\"",
            4,
            "expected { with matchers in it, as in {job=\"ci\"}, found '='",
        ),
        (
            "{größe=\"x\"}",
            4,
            "expected =, !=, =~ or !~ after a label name, found 'ö'",
        ),
        (
            "{\"ö\",x}",
            7,
            "expected =, !=, =~ or !~ after a label name, found '}'",
        ),
        (
            "{job==\"ci\"}",
            6,
            "expected a value in quotes, as in {job=\"ci\"}, found '='",
        ),
        (
            "{job=\"ci\" db=\"x\"}",
            11,
            "expected , or } after a matcher, found 'd'",
        ),
        (
            "{job=\"ci\"",
            10,
            "expected , or } after a matcher, found the end",
        ),
        (
            "{job=\"ci\",,}",
            11,
            "expected a label name or }, as in {job=\"ci\"}, found ','",
        ),
        (
            "{,}",
            2,
            "expected a label name or }, as in {job=\"ci\"}, found ','",
        ),
        (
            "{job=\"ci\"}[5m]",
            11,
            "expected the end behind the }, found '['",
        ),
        ("{job=\"ci}", 6, "the quote \" is not closed"),
        ("{job=\"c\ni\"}", 6, "the quote \" is not closed"),
        (
            "{job=\"a\\.b\"}",
            8,
            "\\. is no escape: write \\\\ for a backslash, or put the value into `backticks`",
        ),
        (
            "{job=\"\\'\"}",
            7,
            "\\' is no escape: write \\\\ for a backslash, or put the value into `backticks`",
        ),
        (
            "{job=\"\\777\"}",
            7,
            "\\777 is no escape: write \\\\ for a backslash, or put the value into `backticks`",
        ),
        ("{job=\"\\xff\"}", 6, "the bytes in quotes are not UTF-8"),
        ("{\"\"=\"x\"}", 2, "there is no name between the quotes"),
        (
            "up{\"down\"}",
            4,
            "the metric is named twice: leave out one of the names",
        ),
        (
            "up{__name__=\"down\"}",
            4,
            "the metric is named twice: leave out one of the names",
        ),
        (
            "{\"up\",\"down\"}",
            7,
            "the metric is named twice: leave out one of the names",
        ),
        (
            "{job=~\"a(\"}",
            7,
            "regular expression \"a(\": unclosed group",
        ),
    ] {
        let error = parsed(text).unwrap_err();
        assert_eq!(
            (error.position, &*error.problem.to_string()),
            (position, message),
            "{text}"
        );
    }
    let whole = parsed("{job=ci}").unwrap_err().to_string();
    assert!(
        whole.starts_with("selector \"{job=ci}\", character 6: expected "),
        "{whole}"
    );
}

#[test]
fn what_selects_everything_is_refused() {
    for text in [
        "{}",
        "{job=\"\"}",
        "{job=~\".*\"}",
        "{job!=\"x\"}",
        "{job!~\".+\",db=~\"x?\"}",
    ] {
        let problem = parsed(text).unwrap_err().problem;
        assert_eq!(problem, SelectorProblem::MatchesEverything, "{text}");
    }
}

/// Patterns in Go's syntax, and what the crate below would make of them.
#[test]
fn patterns_are_those_of_go() {
    for (pattern, yes, no) in [
        (r"\d+", "12", "١٢"),
        (r"\w", "_", "ü"),
        (r"\W", "ü", "u"),
        (r"a\sb", "a b", "a\u{b}b"),
        (r"[\d\s-]+", "1 -", "a"),
        (r"a{", "a{", "a"),
        (r"a{,2}", "a{,2}", "aa"),
        (r"a{2}", "aa", "a{2}"),
        (r"{{[^}]+}}", "{{x}}", "x"),
        (r"[a[b]", "[", "]"),
        (r"[a&&b]", "&", "&&"),
        (r"[a~~b]", "~", "c"),
        (r"[a-c--]", "-", "d"),
        (r"[]a]", "]", "b"),
        (r"[^]a]", "b", "]"),
        (r"[[:alpha:]_]", "_", "1"),
        (r"[[:^alpha:]]", "1", "a"),
        (r"[[:]", ":", "a"),
        (r"\<b\>", "<b>", "b"),
        (r"\Qa.b(\E+", "a.b((", "axb("),
        (r"\x41\x{42}", "AB", "x"),
        (r"(?i)straße", "STRAßE", "strasse"),
        (r"(?P<x>a)(?:b)(?-s:.)", "abc", "ab\n"),
        (r"a|b", "b", "ab"),
        (r"^a$", "a", "aa"),
        (r".", "é", "ab"),
        (r"a.b", "a\nb", "ab"),
        (r"a\bb|a-\bb", "a-b", "ab"),
        (r"a.*?", "ab", "b"),
    ] {
        let selector = Selector {
            text: String::new(),
            matchers: vec![Matcher {
                label: "l".into(),
                test: Test::Pattern(Pattern::new(pattern, &mut Budget::default()).unwrap()),
                is_negated: false,
            }],
        };
        assert_eq!(
            selector.judge(&|_| Some(yes)),
            Some(true),
            "{pattern} {yes}"
        );
        assert_eq!(selector.judge(&|_| Some(no)), Some(false), "{pattern} {no}");
    }
    for pattern in [
        "(",
        ")",
        "a)(b",
        "[a",
        "*",
        "a**",
        "a+*",
        "a{2}{3}",
        "a??*",
        r"\",
        r"\C",
        r"\y",
        r"\u{41}",
        r"\p{Greek}",
        "(?x)a",
        "(?=a)",
        "[[:foo:]]",
        "[b-a]",
        "a{1001}",
        "a{2,1}",
        "(?",
        "(?i",
    ] {
        let problem = Pattern::new(pattern, &mut Budget::default()).unwrap_err();
        assert!(
            matches!(problem, SelectorProblem::Pattern { .. }),
            "{pattern}: {problem}"
        );
        assert!(!problem.to_string().contains('\n'), "{problem}");
    }
}

#[test]
fn hostile_selectors() {
    let problem = |texts: &[String]| series_selectors(texts).unwrap_err().problem;
    let one = |text: String| problem(&[text]);
    let nested = [
        "(((.{1000}){1000}){1000}){1000}",
        "(?i)[^a]{1000}.{1000}.{1000}.{1000}",
    ];
    for pattern in nested {
        let text = format!("{{a=~\"{pattern}\"}}");
        assert_eq!(one(text), SelectorProblem::LargePatterns, "{pattern}");
    }
    // Together they are too large.
    let some = format!("{{a=~\"{}\"}}", "x.{200}");
    assert!(parsed(&some).is_ok());
    assert_eq!(problem(&vec![some; 64]), SelectorProblem::LargePatterns);
    let many = vec!["{a=~\"x\"}".to_owned(); MAX];
    assert!(series_selectors(&many[1..]).is_ok());
    assert_eq!(problem(&many), SelectorProblem::ManyPatterns);
    assert_eq!(
        one(format!("{{a=\"{}\"}}", "x".repeat(1 << 14))),
        SelectorProblem::TooLong
    );
    // Deep nesting must not exhaust the stack.
    let deep = format!("{{a=~\"{}x{}\"}}", "(".repeat(8000), ")".repeat(8000));
    assert!(matches!(one(deep), SelectorProblem::Pattern { .. }));
    // No backtracking.
    let slow = parsed("{a=~\"(x+x+)+y\"}").unwrap();
    let value = "x".repeat(10_000);
    assert_eq!(slow.judge(&|_| Some(&value)), Some(false));
}

const MAX: usize = pattern::MAX_PATTERNS + 1;

#[test]
fn a_verdict_before_all_is_known() {
    let selector = parsed("up{job=\"ci\"}").unwrap();
    let known = |name: Option<&'static str>, job: Option<&'static str>| {
        selector.judge(&|label| if label == "job" { job } else { name })
    };
    assert_eq!(known(None, Some("ci")), None);
    assert_eq!(known(None, Some("cd")), Some(false));
    assert_eq!(known(Some("down"), None), Some(false));
    assert_eq!(known(Some("up"), Some("ci")), Some(true));
}

#[test]
fn groups() {
    let key = |job: &str, pairs: &[(&str, &str)]| {
        let pairs = labels(pairs);
        GroupingKey::with_names(job, pairs, crate::Names::Utf8).unwrap()
    };
    let filter = |texts: &[&str], not_pushed_since| GroupFilter {
        selectors: group_selectors(texts).unwrap(),
        not_pushed_since,
    };
    let ci = filter(
        &["{job=\"ci\",branch=~\"feature/.*\"}", "{\"ö.x\"=\"1\"}"],
        None,
    );
    assert!(ci.selects(&key("ci", &[("branch", "feature/x")])));
    assert!(ci.selects(&key("other", &[("ö.x", "1")])));
    assert!(!ci.selects(&key("ci", &[])));
    assert!(!ci.selects(&key("ci", &[("branch", "a/feature/x")])));
    // An empty label is none.
    let none = filter(&["{job=\"ci\",branch=\"\"}"], None);
    assert!(none.selects(&key("ci", &[])) && none.selects(&key("ci", &[("branch", "")])));
    for by_name in [
        "up",
        "{\"up\"}",
        "{__name__=\"up\"}",
        "{job=\"x\",__name__!=\"up\"}",
    ] {
        let problem = group_selectors(&[by_name]).unwrap_err().problem;
        assert_eq!(problem, SelectorProblem::NameOfGroup, "{by_name}");
    }

    let old = filter(&["{job=\"ci\"}"], Some(100.0));
    for (push_time, failure_time, is_included) in [
        (99.0, 0.0, true),
        (100.0, 0.0, false),
        // A failed push leaves the metrics as old as they were.
        (99.0, 200.0, true),
        (200.0, 99.0, false),
        // Never pushed successfully.
        (0.0, 99.0, true),
        (0.0, 200.0, false),
        (0.0, 0.0, false),
    ] {
        let found = old.includes(&key("ci", &[]), push_time, failure_time);
        assert_eq!(found, is_included, "{push_time} {failure_time}");
    }
    assert!(!old.includes(&key("cd", &[]), 1.0, 0.0));
}
