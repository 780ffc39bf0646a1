//! Flipped bytes in state databases: the job runs, nothing wrong is delivered or shown, and what is not on the broken page
//! survives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use rand::{Rng, RngExt};
use rusqlite::Connection;

use crate::common::own_gateway::OwnGateway;
use crate::common::{FakeServer, Sandbox, campaign, stamp};

/// How many databases `scripts/test` breaks.
const FLIPS: usize = 20;

const PAGE: usize = 4096;

/// How many rows of each kind there are, so that each table has pages above its leaves.
const ROWS: usize = 150;

/// A state with rows of each kind, each with a marker of its own.
struct Template {
    content: Vec<u8>,
    /// The pages that hold rows.
    leaves: BTreeSet<usize>,
    /// The pages that lead to others, and the schema.
    inner: Vec<usize>,
    found: Found,
}

/// What a state holds, by markers.
#[derive(Debug, Clone, Default, PartialEq)]
struct Found {
    /// Requests that delivered the entries of the outbox.
    delivered: BTreeMap<String, String>,
    counters: BTreeMap<String, f64>,
    runs: BTreeMap<String, String>,
    /// Samples of the groups.
    groups: BTreeMap<String, f64>,
}

impl Template {
    fn new(server: &FakeServer) -> Self {
        let sandbox = Sandbox::new();
        sandbox.exec("--job seed --no-push", "true").code(0);
        let down = "--gateway http://127.0.0.1:1";
        sandbox
            .run_with_input(&format!("push --job seed {down}"), "m 1\n")
            .code(69);
        let dir = sandbox.state_db().parent().unwrap().to_owned();
        // Groups in rows, then groups in the log.
        for half in 0..2 {
            let mut gateway = OwnGateway::start(&dir, &[]);
            for number in (0..ROWS).skip(half).step_by(2) {
                let body = format!("marker_g{number:03} {number}\n");
                gateway.put(&format!("/metrics/job/g{number:03}"), body);
            }
            match half {
                0 => assert_eq!(gateway.terminate(), Some(0)),
                _ => gateway.kill(),
            }
        }
        let database = Connection::open(sandbox.state_db()).unwrap();
        let numbers = format!(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {})",
            ROWS - 1
        );
        let copies = format!(
            "{numbers} INSERT INTO runs SELECT i + 2, printf('marker_r%03d', i), name, job, grouping_key,
                started_at, ended_at, duration, outcome, exit_code, failure, attempts, cpu_user, cpu_system, i, metrics,
                'some lines of its tail', 0 FROM runs, n;
            {numbers} INSERT INTO counters SELECT printf('{{\"job\":\"c%03d\"}}', i), printf('marker_c%03d_total', i),
                '{{\"outcome\":\"success\"}}', i, 0 FROM n;
            {numbers} INSERT INTO outbox SELECT i + 100, produced_at, '{}', method,
                printf('{{\"job\":\"o%03d\"}}', i), printf('# TYPE marker_o%03d gauge%smarker_o%03d %d%s', i, char(10), i, i,
                char(10)), 0, '', 0, 0, '', 0 FROM outbox, n;
            DELETE FROM outbox WHERE id < 100;",
            server.url()
        );
        database.execute_batch(&copies).unwrap();
        stamp(&database);
        database
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        let leaves =
            "SELECT pageno FROM dbstat WHERE ncell > 0 AND (pagetype = 'leaf' OR name = 'counters')
            AND name IN ('runs', 'counters', 'outbox', 'groups', 'push_log')";
        let mut leaves = database.prepare(leaves).unwrap();
        let leaves = leaves.query_map([], |row| row.get(0)).unwrap();
        let leaves = leaves.map(Result::unwrap).collect();
        let inner = "SELECT pageno FROM dbstat WHERE pagetype = 'internal' UNION VALUES (1)";
        let mut inner = database.prepare(inner).unwrap();
        let inner = inner.query_map([], |row| row.get(0)).unwrap();
        let inner: Vec<usize> = inner.map(Result::unwrap).collect();
        assert!(inner.len() > 4, "{inner:?}");
        let mut template = Template {
            content: fs::read(sandbox.state_db()).unwrap(),
            leaves,
            inner,
            found: Found::default(),
        };
        let whole = template.with_flip(0, 0);
        template.found = found(&whole, server);
        for count in [
            template.found.delivered.len(),
            template.found.counters.len(),
            template.found.runs.len(),
            template.found.groups.len(),
        ] {
            assert_eq!(count, ROWS);
        }
        template
    }

    /// Anywhere, or where it does most harm: in a page that leads to others, or at the beginning of any.
    fn offset(&self, random: &mut impl Rng) -> usize {
        let pages = self.content.len() / PAGE;
        match random.random_range(0..3) {
            0 => random.random_range(0..self.content.len()),
            1 => {
                let page = self.inner[random.random_range(0..self.inner.len())];
                (page - 1) * PAGE + random.random_range(0..PAGE)
            }
            _ => random.random_range(0..pages) * PAGE + random.random_range(0..64),
        }
    }

    /// A sandbox with this state, in which bits of one byte are turned over.
    fn with_flip(&self, offset: usize, bits: u8) -> Sandbox {
        let mut content = self.content.clone();
        content[offset] ^= bits;
        let sandbox = Sandbox::new();
        sandbox.write(".local/state/metricsjob/state.db", content);
        sandbox
    }

    /// Whether rows of this marker are on the page at `offset`.
    fn is_on(&self, offset: usize, marker: &str) -> bool {
        let first = offset / PAGE * PAGE;
        let page = &self.content[first..first + PAGE];
        let mut windows = page.windows(marker.len());
        self.leaves.contains(&(offset / PAGE + 1))
            && windows.any(|window| window == marker.as_bytes())
    }

    /// What has all of `all` but rows of the page at `offset`, and nothing else.
    #[track_caller]
    fn has_survived<T: PartialEq + std::fmt::Debug>(
        &self,
        found: &BTreeMap<String, T>,
        all: &BTreeMap<String, T>,
        offset: usize,
        flip: &str,
    ) {
        for (marker, value) in found {
            assert_eq!(Some(value), all.get(marker), "{flip}: {marker}");
        }
        for marker in all.keys().filter(|marker| !found.contains_key(*marker)) {
            assert!(self.is_on(offset, marker), "{flip}: {marker} is lost");
        }
    }
}

/// Has a job run, which delivers the outbox too, and looks at what is there then.
fn found(sandbox: &Sandbox, server: &FakeServer) -> Found {
    let before = server.requests().len();
    let to_it = format!("--job mine --gateway {}", server.url());
    sandbox.exec(&to_it, "true").code(0);
    // It may find a broken index, which no run has needed so far.
    sandbox.run("outbox flush");
    let check = sandbox.run("state check --output json");
    let is_sound = check.json()["sound"].as_bool().unwrap();
    if !is_sound {
        check.code(1);
        sandbox.run("state repair").code(0);
        sandbox.run("outbox flush").code(0);
    }
    sandbox.run("state check").code(0).out(" is sound");

    let mut found = Found::default();
    for request in server.requests().into_iter().skip(before) {
        let path = request.line.split(' ').nth(1).unwrap().to_owned();
        if let Some(number) = path.strip_prefix("/metrics/job/o") {
            let delivered = format!("{} {}", request.line, request.body);
            let twice = found
                .delivered
                .insert(format!("marker_o{number}"), delivered);
            assert_eq!(twice, None, "{path}");
        } else {
            assert!(path.starts_with("/metrics/job/m"), "{path}");
        }
    }
    for run in sandbox.history() {
        let id = run["run_id"].as_str().unwrap().to_owned();
        if run["name"] == "seed" && id.starts_with("marker_") {
            found.runs.insert(id, run.to_string());
        } else {
            assert!(run["name"] == "seed" || run["name"] == "mine", "{run}");
        }
    }
    for (series, value) in sandbox.samples() {
        if let Some((name, _)) = series
            .split_once('{')
            .filter(|_| series.starts_with("marker"))
        {
            found.groups.insert(name.to_owned(), value);
        }
    }
    let database = Connection::open(sandbox.state_db()).unwrap();
    let counters = "SELECT grouping_key, name, value FROM counters WHERE name LIKE 'marker%'";
    let mut counters = database.prepare(counters).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    for counter in counters.query_map([], row).unwrap() {
        let (key, name, value): (String, String, f64) = counter.unwrap();
        assert!(
            key.contains(&name["marker_".len().."marker_c000".len()]),
            "{key} {name}"
        );
        found
            .counters
            .insert(name["".len().."marker_c000".len()].to_owned(), value);
    }
    found
}

#[test]
fn flipped_bytes() {
    let server = FakeServer::status("202 Accepted", "");
    let template = Template::new(&server);
    let seed = campaign::seed();
    let mut random = campaign::random(seed, 0);
    let start = Instant::now();
    let flips = campaign::rounds(FLIPS);
    let (mut lost, mut unseen) = (0, 0);
    for _ in 0..flips {
        let offset = template.offset(&mut random);
        let bits = random.random_range(1..=255);
        let flip = format!("byte {offset} of page {} by {bits:#x}", offset / PAGE + 1);
        println!("{flip}");
        let found = found(&template.with_flip(offset, bits), &server);
        let all = &template.found;
        template.has_survived(&found.delivered, &all.delivered, offset, &flip);
        template.has_survived(&found.counters, &all.counters, offset, &flip);
        template.has_survived(&found.runs, &all.runs, offset, &flip);
        template.has_survived(&found.groups, &all.groups, offset, &flip);
        let count = |found: &Found| {
            found.delivered.len() + found.counters.len() + found.runs.len() + found.groups.len()
        };
        lost += count(all) - count(&found);
        unseen += usize::from(found == *all);
    }
    println!(
        "{flips} databases with a flipped byte, {} rows in each: {unseen} lost none, the others {lost} together, all of them \
         on the broken page; {:.0?}",
        4 * ROWS,
        start.elapsed()
    );
}
