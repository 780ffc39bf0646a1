//! The same requests to a real Pushgateway and to `metricsjob gateway`: they answer and show the same.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use metricsjob::metrics::{protobuf, text};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde_json::Value as Json;

use crate::common::{Server, campaign};

/// Where ours is meant to behave differently: its only known differences.
struct Difference {
    name: &'static str,
    /// The statuses of both.
    real: u16,
    ours: u16,
    /// What is to be seen on ours afterwards.
    then: Then,
    /// Why.
    _reason: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// The same as on the real one.
    Same,
    /// The same as before on ours.
    Unchanged,
    /// The push.
    Applied,
    /// A failed push, but no other data than before on ours.
    Refused,
}

#[rustfmt::skip]
const DIFFERENCES: &[Difference] = &[
    Difference { name: "not UTF-8", real: 400, ours: 400, then: Then::Unchanged,
        _reason: "the real one makes a group that breaks every later push and scrape" },
    Difference { name: "empty instance beside none", real: 400, ours: 400, then: Then::Unchanged,
        _reason: "the real one makes a group that breaks every later push and scrape" },
    Difference { name: "invalid protobuf name", real: 200, ours: 400, then: Then::Refused,
        _reason: "it would corrupt the text exposition for everyone" },
    Difference { name: "le on a histogram", real: 200, ours: 400, then: Then::Refused,
        _reason: "its buckets could not be told apart" },
    Difference { name: "gzip without its end", real: 200, ours: 400, then: Then::Unchanged,
        _reason: "the real one does not look at what comes after the last line" },
    Difference { name: "snappy", real: 400, ours: 200, then: Then::Applied,
        _reason: "Debian's is too old for it" },
    Difference { name: "snappy that is none", real: 200, ours: 400, then: Then::Unchanged,
        _reason: "Debian's is too old for it" },
    Difference { name: "redirected path", real: 301, ours: 404, then: Then::Same,
        _reason: "nobody relies on redirects of paths that name nothing" },
    Difference { name: "redirected push", real: 307, ours: 404, then: Then::Same,
        _reason: "nobody relies on redirects of paths that name nothing" },
    Difference { name: "inconsistent without the check", real: 202, ours: 202, then: Then::Refused,
        _reason: "the check costs hardly anything, and what it refuses breaks every scrape" },
];

#[derive(Clone, Debug)]
struct Step {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

impl Step {
    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With the same body, gzipped.
    fn gzip(mut self) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&self.body).unwrap();
        self.body = encoder.finish().unwrap();
        self.header("Content-Encoding", "gzip")
    }

    /// With the same body in snappy frames.
    fn snappy(mut self) -> Self {
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(&self.body).unwrap();
        self.body = encoder.into_inner().unwrap();
        self.header("Content-Encoding", "snappy")
    }

    /// With the body as protobuf.
    fn protobuf(mut self) -> Self {
        self.body = protobuf::encode(&text::parse(&self.body).unwrap());
        self.header("Content-Type", protobuf::CONTENT_TYPE)
    }
}

fn step(method: &'static str, path: &str, body: impl AsRef<[u8]>) -> Step {
    Step {
        method,
        path: path.into(),
        headers: Vec::new(),
        body: body.as_ref().into(),
    }
}

fn put(path: &str, body: impl AsRef<[u8]>) -> Step {
    step("PUT", &format!("/metrics/{path}"), body)
}

fn post(path: &str, body: impl AsRef<[u8]>) -> Step {
    step("POST", &format!("/metrics/{path}"), body)
}

fn delete(path: &str) -> Step {
    step("DELETE", &format!("/metrics/{path}"), "")
}

/// Both servers.
struct Pair {
    real: Server,
    ours: Server,
    /// What was sent since the last wipe, for messages.
    sent: Vec<String>,
    /// What differs.
    problems: Vec<String>,
}

/// What a server shows.
#[derive(PartialEq, Clone, Debug)]
struct Shown {
    series: BTreeMap<String, String>,
    types: BTreeMap<String, String>,
    api: BTreeMap<String, Json>,
}

impl Pair {
    fn new(flags: &[&str]) -> Self {
        let mut flags = flags.to_vec();
        flags.push("--web.enable-admin-api");
        Pair {
            real: Server::pushgateway(&flags),
            ours: Server::gateway(&flags),
            sent: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn wipe(&mut self) {
        self.send(&step("PUT", "/api/v1/admin/wipe", ""));
        self.compare();
        self.sent.clear();
    }

    fn problem(&mut self, problem: String) {
        let sent = self.sent.iter().rev().take(15).rev();
        let sent: Vec<_> = sent.map(|sent| format!("  {sent}")).collect();
        self.problems
            .push(format!("{problem}\nafter\n{}", sent.join("\n")));
    }

    fn exchange(&mut self, step: &Step) -> (u16, u16) {
        let send =
            |server: &Server| server.exchange(step.method, &step.path, &step.headers, &step.body);
        let (real, ours) = (send(&self.real), send(&self.ours));
        self.sent.push(format!(
            "{} {} {:?} {:?}: {} {:?} and {} {:?}",
            step.method,
            step.path,
            step.headers,
            String::from_utf8_lossy(&step.body),
            real.status,
            first_line(&real.body),
            ours.status,
            first_line(&ours.body),
        ));
        if real.status == 405 && ours.status == 405 && step.path != "/-/quit" {
            let allow = |answer: &crate::common::Answer| {
                let allow = answer.headers.get("allow").cloned().unwrap_or_default();
                let mut allow: Vec<_> = allow.split(", ").map(str::to_owned).collect();
                allow.sort();
                allow
            };
            if allow(&real) != allow(&ours) {
                self.problem(format!("Allow: {:?} and {:?}", allow(&real), allow(&ours)));
            }
        }
        (real.status, ours.status)
    }

    fn send(&mut self, step: &Step) {
        let (real, ours) = self.exchange(step);
        if real != ours {
            self.problem(format!("status {real} and ours {ours}"));
        }
    }

    /// Both show the same.
    fn compare(&mut self) {
        // The real one answers before it has done a deletion.
        let deadline = Instant::now() + Duration::from_millis(150);
        loop {
            let (real, ours) = (shown(&self.real), shown(&self.ours));
            if real == ours {
                return;
            }
            if Instant::now() > deadline {
                return self.problem(difference(&real, &ours));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends all of it and compares what is shown at the end; nothing of it remains.
    fn sequence(&mut self, steps: &[Step]) {
        for step in steps {
            self.send(step);
        }
        self.compare();
        self.wipe();
    }

    /// The same, followed by a step whose effect is known to differ.
    fn known(&mut self, steps: &[Step], name: &str, last: &Step) {
        let known = DIFFERENCES.iter().find(|known| known.name == name);
        let known = known.unwrap_or_else(|| panic!("unknown difference {name}"));
        for step in steps {
            self.send(step);
        }
        self.compare();
        let before = shown(&self.ours);
        let statuses = self.exchange(last);
        if statuses != (known.real, known.ours) {
            self.problem(format!("{name}: statuses {statuses:?}"));
        }
        let after = match known.then {
            Then::Same => {
                self.compare();
                before.clone()
            }
            _ => shown(&self.ours),
        };
        let data = |shown: &Shown| -> Vec<(String, String)> {
            let data = shown.series.clone().into_iter();
            data.filter(|(series, _)| !series.starts_with("push_"))
                .collect()
        };
        let is_as_expected = match known.then {
            Then::Same => true,
            Then::Applied => after != before,
            Then::Unchanged => after == before,
            Then::Refused => {
                let failed = |(part, value): (&String, &Json)| {
                    part.ends_with(" last_push_successful") && *value == false
                };
                data(&after) == data(&before) && after.api.iter().any(failed)
            }
        };
        if !is_as_expected {
            self.problem(format!("{name}: {}", difference(&before, &after)));
        }
        self.wipe();
    }

    #[track_caller]
    fn finish(self) {
        assert!(
            self.problems.is_empty(),
            "{} differences:\n\n{}",
            self.problems.len(),
            self.problems.join("\n\n")
        );
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(160).collect()
}

fn difference(real: &Shown, ours: &Shown) -> String {
    fn differing<V: PartialEq + std::fmt::Debug>(
        real: &BTreeMap<String, V>,
        ours: &BTreeMap<String, V>,
    ) -> Vec<String> {
        let mut names: Vec<_> = real.keys().chain(ours.keys()).collect();
        names.sort();
        names.dedup();
        let names = names
            .into_iter()
            .filter(|name| real.get(*name) != ours.get(*name));
        names
            .map(|name| format!("{name}: {:?} and ours {:?}", real.get(name), ours.get(name)))
            .collect()
    }
    let mut all = differing(&real.series, &ours.series);
    all.extend(differing(&real.types, &ours.types));
    let api = |shown: &Shown| -> BTreeMap<String, String> {
        let groups = shown.api.iter();
        groups
            .map(|(labels, group)| (labels.clone(), group.to_string()))
            .collect()
    };
    match real.api == ours.api {
        true => {}
        false => all.extend(differing(&api(real), &api(ours))),
    }
    all.join("\n")
}

/// What a server shows, without what is about itself, which has no label `job`.
fn shown(server: &Server) -> Shown {
    let (status, exposed) = server.request("GET", "/metrics", "");
    let mut shown = Shown {
        series: BTreeMap::from([("status".into(), status.to_string())]),
        types: BTreeMap::new(),
        api: BTreeMap::new(),
    };
    let mut of_type = ("", "");
    for line in exposed.lines() {
        if let Some(named) = line.strip_prefix("# TYPE ") {
            of_type = named.split_once(' ').unwrap();
        }
        if line.starts_with('#') || !line.contains("job=\"") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value = number(value, series.starts_with("push_"));
        // A quantile that was pushed twice stands twice.
        let values = shown.series.entry(series.into()).or_default();
        values.push_str(&value);
        values.push(' ');
        let (name, kind) = of_type;
        shown.types.insert(format!("TYPE {name}"), kind.into());
    }
    let api: Json = serde_json::from_str(&server.get("/api/v1/metrics")).unwrap();
    for group in api["data"].as_array().unwrap() {
        let mut group = group.clone();
        for (name, family) in group.as_object_mut().unwrap() {
            let Some(family) = family.as_object_mut().filter(|_| name != "labels") else {
                continue;
            };
            family.remove("time_stamp");
            let metrics = family["metrics"].as_array_mut().unwrap();
            for metric in &mut *metrics {
                numbers(metric, name.starts_with("push_"));
            }
            metrics.sort_by_key(|metric| {
                let labels = metric["labels"].as_object().unwrap().iter();
                let labels: BTreeMap<_, _> = labels
                    .map(|(name, value)| (name.clone(), value.to_string()))
                    .collect();
                format!("{labels:?}")
            });
        }
        let labels = group["labels"].as_object().unwrap();
        let labels: BTreeMap<_, _> = labels.iter().collect();
        for (part, value) in group.as_object().unwrap() {
            let part = format!("group {labels:?} {part}");
            let again = shown.api.insert(part, value.clone());
            assert_eq!(again, None, "{group}");
        }
    }
    shown
}

/// Makes numbers of the strings that are numbers, also as keys.
fn numbers(json: &mut Json, is_time: bool) {
    let object = json.as_object_mut().unwrap();
    for (name, value) in object {
        match value {
            Json::Object(inner) if name != "labels" => {
                *inner = std::mem::take(inner)
                    .into_iter()
                    .map(|(key, value)| {
                        let value = number(value.as_str().unwrap(), is_time);
                        (number(&key, false), value.into())
                    })
                    .collect();
            }
            Json::String(text) => *text = number(text, is_time),
            _ => {}
        }
    }
}

fn number(text: &str, is_time: bool) -> String {
    let value: f64 = text.parse().unwrap_or_else(|_| panic!("{text}"));
    match is_time {
        true => if value == 0.0 { "never" } else { "once" }.into(),
        false => format!("{value:?}"),
    }
}

#[test]
fn paths() {
    let mut pair = Pair::new(&[]);
    for path in [
        "job/a",
        "job/a/",
        "job/a/x/1",
        "job/a/x/1/",
        "job/a/x",
        "job/a/x/",
        "job/a/x/1/y",
        "job/a/x/1/y/",
        "job/a%20b",
        "job/a+b",
        "job/a%2Fx/1",
        "job/a%2fx%2f1",
        "job/a%25",
        "job/a/x/%E2%9C%93",
        "job/a/x/1?y=2",
        "job/a/x/1/x/2",
        "job/a/x/2/y/3/x/1",
        "job/a/job/b",
        "job/a/job/",
        "job/a/job@base64/!",
        "job/a/instance/",
        "job/a/instance/i",
        "job/a/instance@base64/=",
        "job@base64/YS9i",
        "job@base64/YS9i/x@base64/YS9i",
        "job@base64/YQ==",
        "job@base64/YQ=",
        "job@base64/YQ",
        "job@base64/YR",
        "job@base64/=",
        "job@base64/==",
        "job@base64/a+/x",
        "job@base64/-_-_",
        "job@base64/4pyT-w",
        "job@base64/4pyT",
        "job@base64/Y",
        "job/a/x@base64/4pyT",
        "job/a/x@base64/=",
        "job/a/x@base64/",
        "job/a/x@base64/!!",
        "job/a/x@base64/a+b_",
        "job/a/x@base64/Y\u{51}%3D%3D",
        "job/a/__x/1",
        "job/a/__name__/1",
        "job/a/_x/1",
        "job/a/x-y/1",
        "job/a/1x/1",
        "job/a/%C3%A4/1",
        "job/a/x:y/1",
        "job/a/@base64/YQ",
        "job/a/x@base65/YQ",
        "job/a/le/1",
        "job/a/quantile/1",
        "job/a/x/%0A",
        "job/a/x/%22%5C",
        "job/a/x/a.b",
        "job/a/U__foo_2e_bar/1",
        "job/%",
        "job/%zz",
        "jobs/a",
        "job",
        "job@base64",
        "jobbase64/a",
        "job@base63/a",
        "x",
    ] {
        // HTTP is not the Pushgateway's.
        let path = path.replace('\u{51}', "Q");
        pair.sequence(&[put(&path, "m 1\n")]);
        pair.sequence(&[post(&path, "m 1\n"), delete(&path)]);
        pair.sequence(&[delete(&path)]);
        pair.sequence(&[put(&path, "m 1 1\n")]);
        pair.sequence(&[put(&path, "m{")]);
    }
    let order = [put("job/a/x/1/y/2", "m 1\n"), put("job/a/y/2/x/1", "n 1\n")];
    pair.sequence(&order);
    pair.known(
        &[put("job/b", "m 1\n")],
        "not UTF-8",
        &put("job/a/l/%ff", "m 1\n"),
    );
    pair.known(
        &[put("job/b", "m 1\n")],
        "not UTF-8",
        &put("job/%ff", "m 1\n"),
    );
    pair.known(
        &[put("job/a", "m 1\n")],
        "empty instance beside none",
        &put("job/a/instance/", "m 1\n"),
    );
    for path in [
        "//x",
        "/metrics//job/a",
        "/metrics/job//a/1",
        "/metrics/./job/a",
    ] {
        pair.known(&[], "redirected path", &step("GET", path, ""));
        pair.known(&[], "redirected push", &step("PUT", path, "m 1\n"));
    }
    pair.known(&[], "redirected push", &put("job/", "m 1\n"));
    pair.finish();
}

#[test]
fn methods_and_pages() {
    let mut pair = Pair::new(&[]);
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"] {
        for path in [
            "/metrics/job/a",
            "/metrics/job/a/x/1",
            "/metrics/job@base64/YQ",
            "/metrics",
            "/api/v1/metrics",
            "/api/v1/status",
            "/-/healthy",
            "/-/ready",
            "/-/quit",
            "/-/x",
            "/api/v1/x",
            "/api/v2/metrics",
            "/nothing",
            "/",
        ] {
            pair.sequence(&[step(method, path, "m 1\n")]);
        }
    }
    for method in ["GET", "POST", "DELETE"] {
        pair.sequence(&[
            put("job/a", "m 1\n"),
            step(method, "/api/v1/admin/wipe", ""),
        ]);
    }
    pair.finish();
}

#[test]
fn flags() {
    for flags in [&[][..], &["--web.enable-lifecycle"]] {
        for method in ["PUT", "POST"] {
            let (real, ours) = (Server::pushgateway(flags), Server::gateway(flags));
            for (method, path) in [("GET", "/-/quit"), ("PUT", "/api/v1/admin/wipe")] {
                let [real, ours] = [&real, &ours].map(|it| it.request(method, path, "").0);
                assert_eq!(real, ours, "{method} {path}");
            }
            let [real, ours] = [&real, &ours].map(|it| it.request(method, "/-/quit", ""));
            assert_eq!(real, ours, "{flags:?}");
        }
    }
    let mut pair = Pair::new(&["--push.disable-consistency-check"]);
    pair.sequence(&[
        put("job/a", "m 1\n"),
        post("job/a", "n 1\n"),
        put("job/b", "m{"),
        delete("job/a"),
    ]);
    let other_type = put("job/b", "# TYPE m gauge\nm 1\n");
    let unchecked = "inconsistent without the check";
    pair.known(&[put("job/a", "m 1\n")], unchecked, &other_type);
    pair.known(&[], unchecked, &put("job/b", "m 1\nm 1\n"));
    pair.finish();
}

#[test]
fn texts() {
    let mut pair = Pair::new(&[]);
    for body in TEXTS {
        pair.sequence(&[put("job/a", "old 1\n"), put("job/a", body)]);
        pair.sequence(&[put("job/a", "old 1\n"), post("job/a", body)]);
        pair.sequence(&[put("job/new/instance/i", body)]);
    }
    pair.sequence(&[put("job/a", b"m{a=\"\xff\"} 1\n")]);
    pair.sequence(&[put("job/a", b"# HELP m \xff\nm 1\n")]);
    pair.sequence(&[put("job/a", b"# \xff\nm 1\n")]);
    pair.sequence(&[put("job/a", b"m\xff 1\n")]);
    let with_le = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 1\nh_sum 1\n";
    pair.sequence(&[put("job/a/le/5", "m 1\n")]);
    pair.known(&[], "le on a histogram", &put("job/a/le/5", with_le));
    pair.finish();
}

/// Bodies of text, accepted or not.
const TEXTS: &[&str] = &[
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
    "m{a=\"\"} 7\nm 8\n",
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
    "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.5\"} 2\n",
    "# TYPE s summary\ns_sum 1\ns_sum 2\n",
    "# TYPE s summary\ns_count 1\ns_count 2\n",
    "# TYPE s summary\ns_count -1\n",
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
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 2\nh_count 3\n",
    "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"NaN\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"-Inf\"} 1\nh_count 1\n",
    "# TYPE h histogram\nh_bucket 1\nh_count 1\n",
    "# TYPE h histogram\nh 1\n",
    "# TYPE h histogram\nh{le=\"1\"} 1\n",
    "# TYPE h histogram\nh_count 1\n",
    "# TYPE h histogram\nh_sum NaN\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1.7\nh_count 2.9\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} -1\nh_count 1\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} NaN\nh_count NaN\n",
    "# TYPE h histogram\nh_bucket{le=\"1\",a=\"1\"} 1\nh_count{a=\"1\"} 1\nh_count{a=\"2\"} 1\n",
    "# TYPE h histogram\nh_count 1\nh_count{job=\"x\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1 5\nh_count 1\n",
    "# TYPE h histogram\nh_count 1\n# TYPE h_total counter\nh_total 1\n",
    "# TYPE h gaugehistogram\nh 1\n",
    "push_time_seconds 5\n",
    "push_failure_time_seconds 5\nm 1\n",
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

#[test]
fn bodies() {
    let mut pair = Pair::new(&[]);
    let good = "# HELP m help\n# TYPE m gauge\nm{a=\"1\"} 1\n";
    pair.sequence(&[put("job/a", good).gzip()]);
    pair.known(&[], "snappy", &put("job/a", good).snappy());
    let not_snappy = put("job/a", good).header("Content-Encoding", "snappy");
    pair.known(&[], "snappy that is none", &not_snappy);
    pair.sequence(&[put("job/a", "m 1 1\n").gzip()]);
    pair.sequence(&[put("job/a", "m").gzip()]);
    for encoding in ["gzip"] {
        pair.sequence(&[put("job/a", "").header("Content-Encoding", encoding)]);
        pair.sequence(&[put("job/a", good).header("Content-Encoding", encoding)]);
    }
    let compressed = put("job/a", good).gzip();
    for end in [1, compressed.body.len() / 2] {
        let mut cut = compressed.clone();
        cut.body.truncate(end);
        pair.sequence(&[cut]);
    }
    let mut twice = compressed.clone();
    twice.body.extend_from_slice(&compressed.body);
    pair.sequence(&[twice]);
    let endless = "gzip without its end";
    let mut cut = compressed.clone();
    cut.body.truncate(compressed.body.len() - 1);
    pair.known(&[], endless, &cut);
    let mut flipped = compressed.clone();
    let near_end = flipped.body.len() - 3;
    flipped.body[near_end] ^= 0x55;
    pair.known(&[], endless, &flipped);
    for encoding in [
        "identity",
        "br",
        "deflate",
        "GZIP",
        "x-gzip",
        "zstd",
        "",
        "gzip, gzip",
    ] {
        pair.sequence(&[put("job/a", good).header("Content-Encoding", encoding)]);
        let mut other = put("job/a", good).gzip();
        other.headers = vec![("Content-Encoding", encoding)];
        pair.sequence(&[other]);
    }
    for media_type in [
        "text/plain",
        "text/plain; version=0.0.4",
        "text/plain; version=1.0.0",
        "application/openmetrics-text; version=1.0.0",
        "application/json",
        "nonsense",
        "",
        "application/vnd.google.protobuf",
        "application/vnd.google.protobuf; encoding=delimited",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text",
        "application/vnd.google.protobuf; proto=other; encoding=delimited",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        "APPLICATION/vnd.google.protobuf; PROTO=io.prometheus.client.MetricFamily; encoding=\"delimited\"",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; x",
    ] {
        pair.sequence(&[put("job/a", good).header("Content-Type", media_type)]);
    }
    pair.finish();
}

#[test]
#[ignore = "protobuf::decode is a stand-in yet"]
fn protobufs() {
    let mut pair = Pair::new(&[]);
    let all = "# HELP m help\n# TYPE m gauge\nm{a=\"1\"} 1\nm{a=\"2\"} NaN\n\
               # TYPE c counter\nc 1\nu 5\n\
               # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n\
               # TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 2\nh_count 2\n";
    let whole = put("job/a", all).protobuf();
    pair.sequence(&[whole.clone()]);
    pair.sequence(&[whole.clone().gzip()]);
    pair.known(&[], "snappy", &whole.clone().snappy());
    pair.sequence(&[put("job/a", "").protobuf()]);
    pair.sequence(&[put("job/a", "m 1 5\n").protobuf()]);
    for end in 1..whole.body.len() {
        let mut cut = whole.clone();
        cut.body.truncate(end);
        pair.sequence(&[cut]);
    }
    let mut twice = put("job/a", "m{a=\"1\"} 1\n").protobuf();
    twice
        .body
        .extend(put("job/a", "m{a=\"2\"} 1\n").protobuf().body);
    pair.sequence(&[twice]);
    let mut types = put("job/a", "m{a=\"1\"} 1\n").protobuf();
    let gauge = put("job/a", "# TYPE m gauge\nm{a=\"2\"} 1\n").protobuf();
    types.body.extend(gauge.body);
    pair.sequence(&[types]);
    // Same length, so that the lengths before the messages stay right.
    for (name, is_known) in [("x-y", true), ("1xy", true), ("a b", true), ("x:y", false)] {
        let mut renamed = put("job/a", "abc 1\n").protobuf();
        let at = renamed.body.windows(3).position(|it| it == b"abc").unwrap();
        renamed.body[at..at + 3].copy_from_slice(name.as_bytes());
        match is_known {
            true => pair.known(&[put("job/b", "n 1\n")], "invalid protobuf name", &renamed),
            false => pair.sequence(&[renamed]),
        }
    }
    for (label, is_utf8) in [
        (&b"__x"[..], true),
        (b"job", true),
        (b"\xff\xff\xff", false),
    ] {
        for of in [&b"lab"[..], b"val"] {
            let mut renamed = put("job/a", "m{lab=\"val\"} 1\n").protobuf();
            let at = renamed.body.windows(3).position(|it| it == of).unwrap();
            renamed.body[at..at + 3].copy_from_slice(label);
            let _ = is_utf8;
            pair.sequence(&[renamed]);
        }
    }
    pair.finish();
}

#[test]
fn pushes() {
    let mut pair = Pair::new(&[]);
    let gauge = "# TYPE m gauge\nm 1\n";
    for sequence in [
        // PUT and POST.
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
        // DELETE.
        vec![put("job/a", "m 1\n"), delete("job/a")],
        vec![put("job/a/x/1", "m 1\n"), delete("job/a")],
        vec![put("job/a/x/1", "m 1\n"), delete("job/a/x/1")],
        vec![put("job/a/x/1/y/2", "m 1\n"), delete("job/a/y/2/x/1")],
        vec![put("job/a", "m 1\n"), delete("job/a/instance/")],
        vec![put("job/a/instance/", "m 1\n"), delete("job/a")],
        vec![put("job/a/instance/", "m 1\n"), delete("job/a/instance/")],
        vec![delete("job/a")],
        vec![
            put("job/a", "m 1\n"),
            step("DELETE", "/metrics/job/a", "m{"),
        ],
        vec![put("job/a", "m 1\n"), delete("job/a"), put("job/a", gauge)],
        // Timestamps.
        vec![put("job/a", "m 1 5\n")],
        vec![put("job/a", "m 1\n"), put("job/a", "n 1 5\n")],
        vec![
            put("job/a", "m 1\n"),
            post("job/a", "m 2 0\n"),
            put("job/a", "m 3\n"),
        ],
        vec![put("job/a", "m 1 5\n"), delete("job/a")],
        vec![put("job/a", "m 1 5\n"), post("job/a", "m 1\n")],
        // Types.
        vec![put("job/a", "m 1\n"), put("job/b", gauge)],
        vec![put("job/a", gauge), put("job/b", "m 1\n")],
        vec![put("job/a", "m 1\n"), put("job/a", gauge)],
        vec![put("job/a", "m 1\n"), post("job/a", gauge)],
        vec![
            put("job/a", "m 1\n"),
            put("job/b", "m 1\n"),
            put("job/a", gauge),
        ],
        vec![
            put("job/a", "m 1\n"),
            put("job/b", gauge),
            delete("job/a"),
            put("job/b", gauge),
        ],
        vec![put("job/a", gauge), put("job/b", "# TYPE m counter\nm 1\n")],
        vec![
            put("job/a", gauge),
            put("job/b", "# TYPE m summary\nm_sum 1\n"),
        ],
        vec![
            put("job/a", gauge),
            put("job/b", "# TYPE m histogram\nm_sum 1\n"),
        ],
        // Suffixes.
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
        // HELP.
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
        // Labels and the same series.
        vec![put("job/a/x/1", "m{x=\"2\"} 1\n")],
        vec![put("job/a/x/1", "m{x=\"2\"} 1\nm{x=\"3\"} 1\n")],
        vec![put("job/a/x/1", "m 1\n"), put("job/a", "m{x=\"1\"} 1\n")],
        vec![put("job/a", "m{x=\"1\"} 1\n"), put("job/a/x/1", "m 1\n")],
        vec![
            put("job/a/instance/i", "m 1\n"),
            put("job/a", "m{instance=\"i\"} 1\n"),
        ],
        vec![put("job/a/x/", "m 1\n"), put("job/a", "m 1\n")],
        vec![put("job/a", "m 1\n"), put("job/a/x/", "m 1\n")],
        vec![put("job/a/x/1", "m 1\n"), put("job/a/x/1/y/", "m 1\n")],
        vec![
            put("job/a/x/1", "m 1\n"),
            put("job/a", "m{x=\"1\"} 1\n"),
            delete("job/a/x/1"),
            post("job/a", "m{x=\"1\"} 1\n"),
        ],
        // Label names of the key that clash with what a type needs.
        vec![put("job/a/quantile/1", "m 1\n")],
        vec![put(
            "job/a/quantile/1",
            "# TYPE m summary\nm{quantile=\"0.5\"} 1\nm_sum 1\n",
        )],
        vec![put("job/a/quantile/1", "# TYPE m summary\nm_sum 1\n")],
        vec![put("job/a/quantile/1", "# TYPE m histogram\nm_sum 1\n")],
        vec![put("job/a/le/1", "# TYPE m summary\nm_sum 1\n")],
        // A refused one among others.
        vec![
            put("job/a", "m 1\nn 1\n"),
            put("job/b", "o 1\n# TYPE m gauge\nm 1\n"),
            post("job/b", "o 1\n"),
            put("job/b", "p 1\np 1\n"),
            put("job/c", "q 1\n"),
        ],
    ] {
        pair.sequence(&sequence);
    }
    pair.finish();
}

/// How many steps a random sequence has, and how many sequences are normal.
const STEPS: usize = 100;
const ROUNDS: usize = 4;

#[test]
fn random_sequences() {
    let seed = campaign::seed();
    let rounds = campaign::rounds(ROUNDS);
    let mut pair = Pair::new(&[]);
    for round in 0..rounds {
        let mut random = campaign::random(seed, round);
        for at in 1..=STEPS {
            let step = random_step(&mut random);
            pair.send(&step);
            if at % 10 == 0 {
                pair.compare();
            }
            if pair.problems.len() > 3 {
                pair.problem(format!("round {round}, step {at}"));
                pair.finish();
                return;
            }
        }
        pair.wipe();
    }
    pair.finish();
}

const GROUPS: [&str; 6] = [
    "job/a",
    "job/a/x/1",
    "job/b/instance/i",
    "job/b/x/1/instance/",
    "job/a/x/",
    "job@base64/YS9i/y@base64/4pyT",
];

const NAMES: [&str; 6] = [
    "m",
    "m_count",
    "m_bucket",
    "n",
    "n_sum",
    "push_time_seconds",
];

const LABELS: [&str; 7] = [
    "",
    "l=\"1\"",
    "l=\"2\"",
    "x=\"1\"",
    "instance=\"i\"",
    "job=\"q\",l=\"1\"",
    "x=\"\",l=\"1\"",
];

fn random_step(random: &mut impl Rng) -> Step {
    let group = GROUPS.choose(random).unwrap();
    if random.random_ratio(1, 8) {
        return delete(group);
    }
    let mut body = String::new();
    for _ in 0..random.random_range(0..4) {
        random_family(random, &mut body);
    }
    let step = match random.random_ratio(1, 2) {
        true => put(group, body),
        false => post(group, body),
    };
    match random.random_range(0..8) {
        0 => step.gzip(),
        _ => step,
    }
}

fn random_family(random: &mut impl Rng, out: &mut String) {
    let name = NAMES.choose(random).unwrap();
    // Mostly of one type, so that most pushes are taken.
    let usual = match *name {
        "m" => "summary",
        "n" => "histogram",
        "m_count" => "counter",
        _ => "gauge",
    };
    let kinds = ["summary", "histogram", "counter", "gauge", "untyped"];
    let kind = match random.random_ratio(1, 5) {
        true => kinds.choose(random).unwrap(),
        false => usual,
    };
    if random.random_ratio(1, 2) {
        let help = random.random_range(0..3);
        out.push_str(&format!("# HELP {name} help {help}\n"));
    }
    if !random.random_ratio(1, 20) {
        out.push_str(&format!("# TYPE {name} {kind}\n"));
    }
    for _ in 0..random.random_range(1..3) {
        let labels = LABELS.choose(random).unwrap();
        let value = random.random_range(0..100);
        let time = if random.random_ratio(1, 40) { " 5" } else { "" };
        let comma = if labels.is_empty() { "" } else { "," };
        match kind {
            "summary" => out.push_str(&format!(
                "{name}{{quantile=\"0.5\"{comma}{labels}}} {value}\n{name}_sum{{{labels}}} 1\n{name}_count{{{labels}}} {value}{time}\n"
            )),
            "histogram" => out.push_str(&format!(
                "{name}_bucket{{le=\"1\"{comma}{labels}}} {value}\n{name}_sum{{{labels}}} 1{time}\n{name}_count{{{labels}}} {value}\n"
            )),
            _ => out.push_str(&format!("{name}{{{labels}}} {value}{time}\n")),
        }
    }
}
