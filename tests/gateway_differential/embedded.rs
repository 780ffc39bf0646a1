//! The embedded gateway without a server, beside one that serves: the same pushes are taken, and refused for the same
//! reasons.

use std::process::Child;

use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::Value as Json;

use super::random::any_body;
use crate::common::own_gateway::OwnGateway;
use crate::common::{Finished, Sandbox, campaign, finished};

/// How many pushes and deletions there are.
const REQUESTS: usize = 120;

/// For half of so many of them in turn the embedded gateway is served, too.
const TURN: usize = 30;

const GROUPS: [&str; 7] = [
    "--job a",
    "--job a -g x=1",
    "--job b -g instance=i",
    "--job b -g x=1 -g instance=",
    "--job d -g x=",
    "--job a/b -g y=✓",
    "--job d",
];

#[test]
fn by_the_index_and_by_a_server() {
    let mut random = campaign::random(campaign::seed(), 0);
    let (ours, theirs) = (Sandbox::new(), Sandbox::new());
    let served = OwnGateway::alone(&[]);
    let url = served.url();
    let (mut taken, mut refused) = (0, 0);
    let mut own_server = None;
    for at in 0..campaign::rounds(REQUESTS) {
        match at % TURN {
            0 if at > 0 => {
                own_server = Some(OwnGateway::start(ours.state_db().parent().unwrap(), &[]))
            }
            // Without any farewell.
            15 => drop(own_server.take()),
            _ => {}
        }
        let group = GROUPS.choose(&mut random).unwrap();
        let body = any_body(&mut random);
        let line = match random.random_range(0..10) {
            0 => format!("delete {group}"),
            1..5 => format!("push --method put --quiet {group}"),
            _ => format!("push --method post --quiet {group}"),
        };
        let ours_ended = start(&ours, &format!("{line} --gateway embedded"), &body);
        let theirs_ended = start(&theirs, &format!("{line} --gateway {url}"), &body);
        let [ours_ended, theirs_ended] = [ours_ended, theirs_ended].map(|child| finished(child));
        let context = format!("{line}\n{body}");
        assert_eq!(result(&ours_ended), result(&theirs_ended), "{context}");
        match result(&ours_ended) {
            Ok(()) => taken += 1,
            Err(_) => refused += 1,
        }
        if at % 10 == 9 {
            let shown = [groups(&ours, "embedded"), groups(&theirs, &url)];
            assert_eq!(shown[0], shown[1], "{context}");
        }
    }
    drop(own_server);
    assert_eq!(groups(&ours, "embedded"), groups(&theirs, &url));
    ours.run("state check").code(0);
    println!("{taken} taken, {refused} refused");
    assert!(
        taken > REQUESTS / 4 && refused > REQUESTS / 8,
        "{taken} {refused}"
    );
}

fn start(sandbox: &Sandbox, line: &str, body: &str) -> Child {
    sandbox.write("text", body);
    let file = line.starts_with("push").then_some("text");
    let mut command = sandbox.command(line.split(' '));
    sandbox.spawn(command.args(file))
}

/// Why it was refused, without the group that it does not go with, of which there may be several.
fn result(ended: &Finished) -> Result<(), String> {
    let text = ended.stderr();
    if !text.contains("; the report is kept") {
        // Of a text that is none nothing is sent.
        return if text.contains("error: ") {
            Err(text)
        } else {
            Ok(())
        };
    }
    let why = text
        .split("; the report is kept")
        .next()
        .unwrap_or_default();
    let starts = ["refused the push: ", "existing metrics: "];
    let why = starts.into_iter().fold(why, |why, start| {
        why.split_once(start).map_or(why, |(_, why)| why)
    });
    let ends = [" in the group {", " elsewhere"];
    let why = ends
        .into_iter()
        .filter_map(|end| why.split_once(end))
        .map(|(why, _)| why)
        .next()
        .unwrap_or(why);
    Err(why.to_owned())
}

/// All groups, without the times of their pushes but for whether there was one.
fn groups(sandbox: &Sandbox, gateway: &str) -> Json {
    let status = sandbox.run(&format!("status --gateway {gateway} --output json"));
    let mut groups = status.code(0).json();
    for group in groups.as_array_mut().unwrap() {
        group["gateway"].take();
        for time in ["push_time", "push_failure_time"] {
            let seconds = format!("{time}_seconds");
            group[&seconds] = (!group[&seconds].is_null()).into();
            group[time] = (!group[time].is_null()).into();
        }
    }
    groups
}
