//! `-h`, which is one screen, and `--help`, which has everything.

use crate::common::{Sandbox, page};

/// The largest screen that `-h` may fill.
const MAX_LINES: usize = 45;
const COLUMNS: usize = 80;

/// The headings that options stand under.
const HEADINGS: [&str; 10] = [
    "Options",
    "Job",
    "Grouping and push",
    "Retries and locks",
    "Expectations",
    "Notifications",
    "Gateway connection",
    "Output",
    "Server",
    "Limits and storage",
];

/// All subcommands, found by their parents' help, the program itself first.
fn commands() -> Vec<String> {
    let mut found = vec![String::new()];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next].clone();
        next += 1;
        let help = shown(&format!("{parent} -h"), COLUMNS);
        let Some((_, list)) = help.split_once("\nCommands:\n") else {
            continue;
        };
        let list = list.lines().take_while(|line| !line.is_empty());
        // Deeper lines are the rest of a description.
        let names = list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let names = names.filter(|name| !name.is_empty());
        found.extend(
            names
                .filter(|name| *name != "help")
                .map(|name| format!("{parent} {name}").trim().to_owned()),
        );
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

fn shown(line: &str, columns: usize) -> String {
    let sandbox = Sandbox::new().variable("COLUMNS", columns.to_string());
    sandbox.run(line.trim()).code(0).stdout()
}

fn assert_fits(line: &str, text: &str) {
    let wide = |line: &&str| line.chars().count() > COLUMNS;
    assert_eq!(text.lines().find(wide), None, "{line}");
}

/// Everything from the examples on.
fn examples(help: &str) -> Option<&str> {
    help.find("\nExample").map(|start| &help[start..])
}

#[test]
fn short_help_is_one_screen() {
    for command in commands() {
        let line = format!("{command} -h");
        let help = shown(&line, COLUMNS);
        assert_fits(&line, &help);
        let count = help.lines().count();
        assert!(count <= MAX_LINES, "{line}: {count} lines\n{help}");
        // Where --help takes the HELP text of a metric, -h is all there is.
        if !help.contains("--help <TEXT>") {
            let last = help.trim_end().lines().last().unwrap_or_default();
            assert!(help.contains("--help` for "), "{line}: {last}");
        }
    }
}

#[test]
fn long_help_has_all_options_under_known_headings() {
    for command in commands() {
        let short = shown(&format!("{command} -h"), COLUMNS);
        if short.contains("--help <TEXT>") {
            continue;
        }
        let long = shown(&format!("{command} --help"), COLUMNS);
        assert_fits(&command, &long);
        let mut heading = "";
        for line in long.lines() {
            if let Some(title) = line.strip_suffix(':').filter(|t| !t.starts_with(' ')) {
                heading = title;
            }
            let option = line.trim_start();
            if line.starts_with("  ") && (option.starts_with("--") || option.starts_with("-g,")) {
                assert!(HEADINGS.contains(&heading), "{command}: {heading}: {line}");
            }
        }
        for line in short.lines().map(str::trim_start) {
            let option = line.split_whitespace().find(|word| word.starts_with("--"));
            if let Some(option) = option.filter(|_| line.starts_with('-')) {
                assert!(long.contains(option), "{command}: {option}");
            }
        }
    }
}

#[test]
fn examples_never_wrap() {
    let mut count = 0;
    for command in commands() {
        for form in ["-h", "--help"] {
            let line = format!("{command} {form}");
            if line.starts_with("metric ") && form == "--help" {
                continue;
            }
            let narrow = shown(&line, COLUMNS);
            assert_eq!(
                examples(&narrow),
                examples(&shown(&line, 200)),
                "{line} at 80 and at 200 columns"
            );
            count += usize::from(examples(&narrow).is_some());
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn no_help_shows_what_a_variable_holds() {
    let mut names = Vec::new();
    for command in commands() {
        let help = shown(&format!("{command} --help"), 200);
        for part in help.split("[env: ").skip(1) {
            let name = part.split([']', '=']).next().unwrap_or_default();
            names.push((command.clone(), name.trim().to_owned()));
            assert!(part.starts_with(&format!("{name}]")), "{command}: {name}");
        }
    }
    assert!(names.len() > 20, "{names:?}");
    for (command, name) in names {
        let sandbox = Sandbox::new().variable(&name, "kept-from-view");
        let help = sandbox.run(&format!("{command} --help")).code(0).stdout();
        assert!(!help.contains("kept-from-view"), "{command}: {name}");
    }
}

/// The whole help of a command, as the page has it.
fn section(command: &str) -> String {
    let line = format!("metricsjob {command}");
    let long = shown(&format!("{command} --help"), COLUMNS);
    // Where --help takes the HELP text of a metric, -h is all there is.
    let help = if long.contains("Usage:") {
        long
    } else {
        shown(&format!("{command} -h"), COLUMNS)
    };
    let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    format!(
        "## {}\n\n```text\n{}\n```\n",
        line.trim_end(),
        help.join("\n")
    )
}

/// `docs/reference/command-line.md` has the help of all commands.
#[test]
fn reference_page() {
    let sections: Vec<String> = commands().iter().map(|command| section(command)).collect();
    page::holds("command-line", "commands", &sections.join("\n"));
}
