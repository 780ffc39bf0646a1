//! README.md and the pages in docs/: README's commands run as shown, and links lead somewhere.
//!
//! The language of a code block in README says what the test does with it:
//!
//! - `console`: runs each line after `$ `, in order, with an empty home. The lines up to the next command are its
//!   output; a command without any is not compared. `cargo run --release --` stands for the tested program, which is the
//!   first in `PATH`, and `cargo install` is left out. `metricsjob gateway` stands for a gateway that runs from then on, on a free port that replaces
//!   the one in the text.
//! - `text` and `yaml`: a diagram, a crontab, a CI step. The options of their `metricsjob exec` are tried with the command `true`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::page;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const README: &str = include_str!("../README.md");

#[test]
fn readme_is_short() {
    assert!(README.len() <= 6144, "{} bytes", README.len());
}

#[cfg(feature = "real-servers")]
mod commands {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    use super::{README, prose};
    use crate::common::code_blocks::{blocks, session};
    use crate::common::own_gateway::OwnGateway;
    use crate::common::{Finished, Sandbox, Server, US, environment, isolate};

    /// The gateway's address in README, which is its default.
    const GATEWAY: &str = "127.0.0.1:9091";

    #[test]
    fn run_in_order_with_our_gateway() {
        run_in_order(|sandbox| {
            let state_dir = sandbox.state_db();
            let gateway = OwnGateway::start(state_dir.parent().unwrap(), &[]);
            let address = gateway.address().to_owned();
            (gateway, address)
        });
    }

    #[test]
    fn run_in_order_with_a_pushgateway() {
        run_in_order(|_| {
            let gateway = Server::pushgateway(&[]);
            let address = gateway.address().to_owned();
            (gateway, address)
        });
    }

    /// Runs all blocks. `start` starts a gateway and returns its address too.
    fn run_in_order<G>(start: impl Fn(&Sandbox) -> (G, String)) {
        let machine = Machine::new();
        let mut gateway = None;
        let (mut compared, mut options_tried) = (0, 0);
        for block in blocks("README.md", README).unwrap() {
            match &*block.language {
                "console" => {
                    for (command, shown) in session(&block.text) {
                        if command.starts_with("cargo install ") {
                            continue;
                        }
                        if command == "metricsjob gateway" {
                            gateway = Some(start(&machine.sandbox));
                            continue;
                        }
                        let command = command.replace("cargo run --release --", "metricsjob");
                        let address = gateway.as_ref().map(|(_, address)| address.as_str());
                        let output = machine.run(&command, address);
                        if !shown.is_empty() {
                            assert_eq!(steady(&output), steady(&shown), "$ {command}\n{output}");
                            compared += 1;
                        }
                    }
                }
                "text" | "yaml" => {
                    for line in block.text.lines() {
                        if let Some((_, rest)) = line.split_once("metricsjob exec ") {
                            let (options, _) = rest.split_once(" -- ").unwrap();
                            machine.run(&format!("metricsjob exec {options} -- true"), None);
                            options_tried += 1;
                        }
                    }
                }
                other => panic!("a block of README in {other:?}: {}", block.text),
            }
        }
        // Nothing was overlooked.
        let unfenced = prose(README).find(|line| line.starts_with("    "));
        assert_eq!(unfenced, None, "not in a fenced block");
        let prompts = README.lines().filter(|line| line.starts_with("$ ")).count();
        let blocks = README
            .lines()
            .filter(|line| line.starts_with("```"))
            .count()
            / 2;
        assert!(gateway.is_some() && prompts > 8 && blocks >= 7);
        assert!(compared >= 6, "{compared}");
        assert_eq!(options_tried, 2);
    }

    /// The words of each line, without durations and ages.
    fn steady(text: &str) -> Vec<Vec<&str>> {
        let is_steady = |word: &&str| {
            let has_unit = word.ends_with(|end: char| end.is_ascii_alphabetic());
            let is_duration = has_unit && humantime::parse_duration(word).is_ok();
            !is_duration && !["just", "now", "ago"].contains(word)
        };
        let words = |line| str::split_whitespace(line).filter(is_steady).collect();
        text.lines().map(words).collect()
    }

    /// A machine with `metricsjob` in `PATH` and an empty home.
    struct Machine {
        sandbox: Sandbox,
        bin: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Self {
            let bin = tempfile::tempdir().unwrap();
            symlink(&*US, bin.path().join("metricsjob")).unwrap();
            let sandbox = Sandbox::new();
            assert_eq!(fs::read_dir(sandbox.path()).unwrap().count(), 0);
            Machine { sandbox, bin }
        }

        /// Runs a command as a shell does, which must succeed. Returns what a terminal would show, in README's terms.
        #[track_caller]
        fn run(&self, command: &str, gateway: Option<&str>) -> String {
            let gateway = gateway.unwrap_or(GATEWAY);
            let home = self.sandbox.path();
            let line = command.replace(GATEWAY, gateway);
            let mut shell = Command::new("bash");
            shell
                .args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{line}")])
                .env_clear()
                .envs(environment(home))
                .current_dir(home)
                .stdin(Stdio::null());
            let path = std::env::var("PATH").unwrap();
            shell.env("PATH", format!("{}:{path}", self.bin.path().display()));
            shell.env("COLUMNS", "80");
            isolate(&mut shell);
            let finished = Finished::from(shell.output().unwrap());
            finished.code(0);
            let home = home.to_str().unwrap();
            let output = finished.stdout();
            output.replace(gateway, GATEWAY).replace(home, "/home/you")
        }
    }
}

/// A link that is not to another site.
struct Link {
    page: PathBuf,
    target: String,
}

/// README, the other pages beside it, and all pages below docs/.
fn pages() -> Vec<PathBuf> {
    page::paths(&[
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ])
}

/// The lines of a page that are not in a fenced block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

fn links(page: &Path) -> Vec<Link> {
    let text = fs::read_to_string(page).unwrap();
    let mut links = Vec::new();
    for line in prose(&text) {
        for rest in line.split("](").skip(1) {
            let (target, _) = rest.split_once(')').expect(line);
            if !target.contains("://") {
                let (page, target) = (page.to_owned(), target.to_owned());
                links.push(Link { page, target });
            }
        }
    }
    links
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = prose(&text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            heading.chars().filter(kept).collect::<String>()
        })
        .map(|heading| heading.replace(' ', "-"))
        .collect()
}

impl Link {
    /// The file and the anchor in it.
    fn resolved(&self) -> (PathBuf, Option<&str>) {
        let (path, anchor) = match self.target.split_once('#') {
            Some((path, anchor)) => (path, Some(anchor)),
            None => (&*self.target, None),
        };
        let file = match path {
            "" => self.page.clone(),
            path => self.page.parent().unwrap().join(path),
        };
        (file, anchor)
    }
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut count = 0;
    for page in pages() {
        for link in links(&page) {
            let (file, anchor) = link.resolved();
            let shown = format!("{} in {}", link.target, page.display());
            assert!(file.exists(), "no such file: {shown}");
            if let Some(anchor) = anchor {
                assert!(anchors(&file).contains(anchor), "no such heading: {shown}");
            }
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

/// A part of the documentation: its title, and its pages by name.
type Part = (String, Vec<(String, PathBuf)>);

/// The parts that a table of contents lists below headings that begin with `mark`. What follows a colon in a title or behind a
/// link explains it.
fn parts(contents: &Path, mark: &str) -> Vec<Part> {
    let text = fs::read_to_string(contents).unwrap();
    let mut parts: Vec<Part> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix(mark) {
            let title = title.split(':').next().unwrap_or_default();
            parts.push((title.to_owned(), Vec::new()));
        } else if let Some(link) = line.strip_prefix("- [") {
            let (name, rest) = link.split_once("](").unwrap();
            let (target, _) = rest.split_once(')').unwrap();
            let page = contents.parent().unwrap().join(target);
            let (_, pages) = parts.last_mut().expect(line);
            pages.push((name.to_owned(), page));
        }
    }
    parts.retain(|(_, pages)| !pages.is_empty());
    parts
}

/// The book's table of contents and the index have all pages, in the same parts and order, under the same names.
#[test]
fn the_summary_and_the_index_list_all_pages() {
    let docs = Path::new(ROOT).join("docs");
    let (summary, index) = (docs.join("SUMMARY.md"), docs.join("README.md"));
    let contents = parts(&summary, "# ");
    assert_eq!(contents, parts(&index, "## "));
    let titles: Vec<&str> = contents.iter().map(|(title, _)| &**title).collect();
    assert_eq!(titles, ["Tutorial", "How-to", "Reference", "Explanation"]);
    let mut listed: Vec<&PathBuf> = vec![&summary, &index];
    for (title, pages) in &contents {
        for (_, page) in pages {
            assert!(
                page.starts_with(docs.join(title.to_lowercase())),
                "{page:?} in {title}"
            );
            listed.push(page);
        }
    }
    listed.sort();
    let pages = pages();
    let pages: Vec<&PathBuf> = pages
        .iter()
        .filter(|page| page.starts_with(&docs))
        .collect();
    assert_eq!(listed, pages);
}
