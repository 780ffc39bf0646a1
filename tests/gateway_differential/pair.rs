//! Both servers, side by side.

use crate::common::{Answer, Server};

use super::request::{Request, wipe};
use super::shown::{SETTLED, Shown};

/// After so many problems a test ends.
const ENOUGH: usize = 8;

/// A Pushgateway and ours, which get the same requests.
pub struct Pair {
    pub real: Server,
    pub ours: Server,
    settled: u32,
    /// What was sent since the last wipe, for messages.
    sent: Vec<String>,
    /// What differs.
    problems: Vec<String>,
}

/// Does `work` with both servers, and fails if anything was found to differ.
#[track_caller]
pub fn beside(flags: &[&str], work: impl FnOnce(&mut Pair)) {
    let mut flags = flags.to_vec();
    flags.push("--web.enable-admin-api");
    let mut pair = Pair {
        real: Server::pushgateway(&flags),
        ours: Server::gateway(&flags),
        settled: 0,
        sent: Vec::new(),
        problems: Vec::new(),
    };
    work(&mut pair);
    pair.fail_if_different();
}

impl Pair {
    /// Sends each sequence of requests, and compares how each is answered and what is shown after all.
    /// Nothing remains of it.
    #[track_caller]
    pub fn sequences(&mut self, sequences: impl IntoIterator<Item = impl AsRef<[Request]>>) {
        for sequence in sequences {
            for request in sequence.as_ref() {
                self.send(request);
            }
            self.compare();
            self.wipe();
        }
    }

    /// Sends a request to both, and compares the statuses.
    #[track_caller]
    pub fn send(&mut self, request: &Request) -> u16 {
        let send = |server: &Server| {
            let Request { method, path, .. } = request;
            server.exchange(method, path, &request.headers, &request.body)
        };
        let (real, ours) = (send(&self.real), send(&self.ours));
        self.note(request, &real, &ours);
        if real.status != ours.status {
            let text = format!("status {} and ours {}", real.status, ours.status);
            self.problem(&text);
        } else if real.status == 405 && allowed(&real) != allowed(&ours) {
            let text = format!("Allow: {:?} and ours {:?}", allowed(&real), allowed(&ours));
            self.problem(&text);
        }
        ours.status
    }

    /// Remembers what was sent and how it was answered.
    fn note(&mut self, request: &Request, real: &Answer, ours: &Answer) {
        let Request { method, path, .. } = request;
        let body = String::from_utf8_lossy(&request.body);
        let answer = |answer: &Answer| {
            let line = answer.body.lines().next().unwrap_or_default();
            let line: String = line.chars().take(160).collect();
            format!("{} {line:?}", answer.status)
        };
        self.sent.push(format!(
            "{method} {path} {:?} {body:?}\n    {}\n    {}",
            request.headers,
            answer(real),
            answer(ours),
        ));
    }

    /// Waits until both have done all that was sent. The real one answers before it has done a deletion,
    /// and without its check before it has done a push, but it does all in order.
    fn settle(&mut self) {
        self.settled += 1;
        let path = format!("/metrics/job/{SETTLED}/n/{}", self.settled);
        let shown = format!("\"n\":\"{}\"", self.settled);
        for server in [&self.real, &self.ours] {
            server.request("POST", &path, "");
            wait_for(server, &shown);
        }
    }

    /// What both show.
    pub fn shown(&mut self) -> [Shown; 2] {
        self.settle();
        [&self.real, &self.ours].map(Shown::of)
    }

    /// Compares what is shown.
    #[track_caller]
    pub fn compare(&mut self) {
        let [real, ours] = self.shown().map(Shown::with_implied_buckets);
        if real != ours {
            let difference = real.difference(&ours);
            self.problem(&difference);
        }
    }

    /// Removes all groups of both.
    #[track_caller]
    pub fn wipe(&mut self) {
        self.send(&wipe());
        for server in [&self.real, &self.ours] {
            wait_for(server, "\"data\":[]");
        }
        self.sent.clear();
    }

    #[track_caller]
    fn problem(&mut self, problem: &str) {
        let sent = &self.sent[self.sent.len().saturating_sub(15)..];
        let problem = format!("{problem}\n  after\n  {}", sent.join("\n  "));
        self.problems.push(problem);
        if self.problems.len() == ENOUGH {
            self.fail_if_different();
        }
    }

    #[track_caller]
    fn fail_if_different(&self) {
        let problems = &self.problems;
        let number = problems.len();
        assert!(
            problems.is_empty(),
            "{number} differences:\n\n{}",
            problems.join("\n\n")
        );
    }
}

/// Waits until the API shows `text`.
fn wait_for(server: &Server, text: &str) {
    server.wait_for("/api/v1/metrics", |body| body.contains(text));
}

/// The methods in `Allow`, sorted.
fn allowed(answer: &Answer) -> Vec<&str> {
    let allow = answer.headers.get("allow").map_or("", String::as_str);
    let mut allowed: Vec<_> = allow.split(", ").collect();
    allowed.sort_unstable();
    allowed
}
