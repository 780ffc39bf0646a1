//! The code blocks of the pages: each is what its language says, and what it asks of `metricsjob` is what the program takes.
//!
//! | language | checked by |
//! | --- | --- |
//! | `sh`, `console` | `bash -n`; each command line of `metricsjob` by the program itself, which only parses it |
//! | `toml` | `metricsjob check` or `metricsjob config show`, by the path in the first line |
//! | `yaml` | the program that reads the file in the first line, or its schema; the command lines in it |
//! | `promql` | promtool |
//! | `crontab` | cron's parser; the command lines |
//! | `ini` | `systemd-analyze verify`; the command lines |
//! | `json`, `rust` | a parser |
//! | `text` | nobody |

mod command_line;
mod files;
mod shell;

use std::fs;

use crate::common::code_blocks::{Block, blocks};
use crate::common::page;

/// Checks a block, and returns how many command lines of `metricsjob` are in it.
fn check(block: &Block) -> Result<usize, String> {
    let text = &block.text;
    let checked = match &*block.language {
        "sh" if text.lines().any(|line| line.starts_with("$ ")) => {
            Err("a prompt; the language of sessions is console".into())
        }
        "sh" => files::check_shell(text),
        "console" => session(text).and_then(|script| files::check_shell(&script)),
        "toml" => files::check_toml(text),
        "yaml" => files::check_yaml(text),
        "promql" => files::check_promql(text),
        "crontab" => files::check_crontab(text),
        "ini" => files::check_unit(text),
        "json" => files::check_json(text),
        "rust" => files::check_rust(text),
        "text" => Ok(0),
        other => Err(format!("{other:?} is no language that is known here")),
    };
    checked.map_err(|reason| format!("{} ({}): {reason}", block.place, block.language))
}

/// The commands of a session: what is behind `$ `, with the lines that belong to it.
fn session(text: &str) -> Result<String, String> {
    let mut script = String::new();
    let mut lines = text.lines();
    if !text.starts_with("$ ") {
        return Err("a session begins with $ and a command".into());
    }
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else {
            continue;
        };
        let mut command = command.to_owned();
        let document = document_end(&command);
        let is_open = |command: &str| match &document {
            Some(end) => command.lines().last() != Some(&**end),
            None => command.ends_with('\\'),
        };
        while is_open(&command) {
            let line = lines.next().ok_or("a command without an end")?;
            command += &format!("\n{}", line.strip_prefix("> ").unwrap_or(line));
        }
        script += &format!("{command}\n");
    }
    Ok(script)
}

/// The last line of the document that a command has as its input.
fn document_end(command: &str) -> Option<String> {
    let (_, rest) = command.split_once("<<")?;
    let is_quote = |c: char| "-'\"".contains(c);
    let rest = rest.trim_start_matches(is_quote);
    let end = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    (!end.is_empty()).then(|| end.to_owned())
}

#[test]
fn all_blocks_of_the_pages() {
    let mut problems = Vec::new();
    let (mut count, mut command_lines) = (0, 0);
    // Those beside docs/ whose readers run commands too.
    for page in page::paths(&["CHANGELOG.md", "CONTRIBUTING.md"]) {
        let text = fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
        let found = blocks(name.to_str().unwrap(), &text);
        for block in found.unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        }) {
            count += 1;
            match check(&block) {
                Ok(found) => command_lines += found,
                Err(problem) => problems.push(problem),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    // Nothing was overlooked.
    assert!(
        count > 80 && command_lines > 100,
        "{count}, {command_lines}"
    );
}

fn checked(language: &str, text: &str) -> Result<usize, String> {
    check(&Block {
        place: "page:1".into(),
        language: language.into(),
        text: format!("{text}\n"),
    })
}

#[track_caller]
fn refused(language: &str, text: &str, reason: &str) {
    let problem = checked(language, text).expect_err(text);
    assert!(problem.contains(reason), "{problem}");
}

#[test]
fn a_block_has_a_known_language() {
    refused("", "a", "is no language");
    refused("shell", "a", "is no language");
    let page = "a\n\n```sh\na\n```\n\n- b\n\n  ~~~text\n  c\n    d\n  ~~~\n";
    let found = blocks("page", page).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|b| (&*b.place, &*b.language, &*b.text))
        .collect();
    assert_eq!(
        found,
        [("page:3", "sh", "a\n"), ("page:9", "text", "c\n  d\n")]
    );
    for (page, problem) in [
        ("a\n\n    b\n", "page:3: code that is not in a fenced block"),
        ("a\n\n```sh\nb\n", "page:3: a block without an end"),
    ] {
        assert_eq!(blocks("page", page).unwrap_err(), problem);
    }
}

#[test]
fn unknown_options_are_found_wherever_they_are() {
    for line in [
        "metricsjob run backup --tiemout 5s",
        "sudo -u metricsjob metricsjob run backup --tiemout 5s",
        "METRICSJOB_METHOD=put metricsjob run --tiemout=5s backup",
        "true && /usr/bin/metricsjob \\\n  exec --tiemout 5s -- true",
        "echo 'a 1' | metricsjob push --tiemout 5s --job a",
        "if ! metricsjob status --tiemout 5s; then exit 1; fi",
        "for j in a b; do metricsjob run \"$j\" --tiemout 5s; done",
        "n=$(metricsjob history --tiemout 5s | wc -l)",
        "echo \"$(metricsjob history --tiemout 5s)\"",
        "diff <(metricsjob list --tiemout 5s) /dev/null",
        "(cd /srv; metricsjob list --tiemout 5s >list.txt)",
        "trap 'metricsjob metric inc a --tiemout 5s' EXIT",
        "sh -c 'metricsjob list --tiemout 5s'",
        "metricsjob exec --job a -- sh -c 'metricsjob metric inc a --tiemout 5s'",
        "docker run --rm -v metricsjob:/srv registry.example/metricsjob:1.2 run backup --tiemout 5s",
        "docker compose exec gateway metricsjob status --tiemout 5s",
        "kubectl exec deploy/metricsjob -- metricsjob status --tiemout 5s",
        "cargo run --release -- run backup --tiemout 5s",
        "metricsjob push --job a --tiemout 5s <<'END'\na 1\nEND",
        "timeout 1m metricsjob serve --tiemout 5s 2>&1 &",
    ] {
        refused("sh", line, "unexpected argument '--tiemout'");
        let right = line.replace("--tiemout=5s", "").replace("--tiemout 5s", "");
        let count = if line.contains("-- sh") { 2 } else { 1 };
        assert_eq!(checked("sh", &right), Ok(count), "{right}");
    }
}

#[test]
fn what_is_no_command_line_is_none() {
    for line in [
        "# metricsjob run --nonsense",
        "sudo apt install ./metricsjob_0.1.0-1_amd64.deb",
        "cargo install --path . # metricsjob run --nonsense",
        "cat <<END\nmetricsjob run --nonsense\nEND",
        "man metricsjob",
        "sudo -u root install -t /usr/local/bin metricsjob",
        "docker build -t metricsjob .",
        "docker run -p 9091:9091 metricsjob # the gateway",
        "cat <<<'metricsjob run --nonsense'",
        "echo 'a; metricsjob run --nonsense'",
    ] {
        assert_eq!(checked("sh", line), Ok(0), "{line}");
    }
    refused("sh", "frobnicate metricsjob run", "is metricsjob run here?");
}

#[test]
fn wrong_values_and_subcommands_are_found() {
    for (line, reason) in [
        ("metricsjob run backup --timeout 5", "needs a unit"),
        ("metricsjob run backup --timeout", "a value is required"),
        ("metricsjob run backup extra", "unexpected argument 'extra'"),
        ("metricsjob frobnicate", "unrecognized subcommand"),
        ("metricsjob", "no subcommand"),
        ("metricsjob exec --job a true", "no -- before the command"),
        ("metricsjob metric set a b", "invalid value 'b'"),
        ("metricsjob state frobnicate", "unrecognized subcommand"),
        ("if metricsjob list", "syntax error"),
        ("$ metricsjob list", "a prompt"),
    ] {
        refused("sh", line, reason);
    }
    for line in [
        "metricsjob --version",
        "metricsjob run --help",
        "metricsjob metric set a 5 --help 'Text of the metric.'",
        "metricsjob metric -",
        "metricsjob history -- show",
        "metricsjob exec -- ./a.sh --nonsense",
        "for d in fleet job; do metricsjob generate dashboard $d >\"/tmp/$d.json\"; done",
        "metricsjob metric set a \"$(date -d '26 hours' +%s)\"",
        "metricsjob run backup -g \"branch=$BRANCH\" --timeout \"${TIMEOUT:-1}s\"",
    ] {
        assert_eq!(checked("sh", line), Ok(1), "{line}");
    }
}

#[test]
fn sessions() {
    let session = "$ metricsjob list \\\n    --output json\n[]\n$ metricsjob push --job a <<'END'\na 1\nEND\nif pushed (\n";
    assert_eq!(checked("console", session), Ok(2));
    refused("console", "metricsjob list", "a session begins with $");
    refused(
        "console",
        "$ metricsjob list --tiemout",
        "unexpected argument",
    );
    refused("console", "$ (metricsjob list", "syntax error");
}

#[test]
fn toml_files() {
    let job = "# jobs/a.toml\ncommand = ['metricsjob', 'list']\n";
    assert_eq!(checked("toml", job), Ok(1));
    assert_eq!(checked("toml", "# in jobs/a.toml\ntimeout = '1h'"), Ok(0));
    let config = "# /etc/metricsjob/metricsjob.toml\ntimeout = '1h'";
    assert_eq!(checked("toml", config), Ok(0));
    for (text, reason) in [
        ("command = ['true']", "no comment with the file's path"),
        ("# a.toml\ncommand = ['true']", "no path of a job file"),
        ("# jobs/a.toml\ntimeout = '1h'", "command"),
        (
            "# jobs/a.toml\ncommand = ['true']\ntiemout = '1h'",
            "tiemout",
        ),
        (
            "# jobs/a.toml\ncommand = ['true']\ntimeout = '1 hor'",
            "hor",
        ),
        ("# in jobs/a.toml\ntiemout = '1h'", "tiemout"),
        ("# jobs/a.toml\ncommand = ['metricsjob', 'lsit']", "lsit"),
        (
            "# ~/.config/metricsjob/metricsjob.toml\ntiemout = '1h'",
            "tiemout",
        ),
        ("# jobs/a.toml\ncommand =", "expected"),
    ] {
        refused("toml", text, reason);
    }
}

#[test]
fn yaml_files() {
    let workflow = "# .github/workflows/a.yml\non: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n    - run: ";
    let pipeline = "# .gitlab-ci.yml\na:\n  script:\n    - ";
    let compose = "# compose.yml\nservices:\n  a:\n    image: metricsjob\n    command: ";
    let pod = "# kubernetes/a.yaml\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n    \
               image: registry.example/metricsjob:1\n    args: ";
    let rules = "# rules.yml\ngroups:\n- name: a\n  rules:\n  - alert: A\n    expr: ";
    let web = "# web.yml\nbasic_auth_users:\n  a: ";
    let password = bcrypt::hash("a", 4).unwrap();
    for (text, count) in [
        (format!("{workflow}metricsjob list"), 1),
        (format!("{pipeline}metricsjob list"), 1),
        (format!("{compose}[serve]"), 1),
        (format!("{pod}[serve]"), 1),
        (format!("{rules}up == 0"), 0),
        (format!("{web}{password}"), 0),
        (
            "# prometheus.yml\nscrape_configs: [{job_name: a}]".into(),
            0,
        ),
        (
            "# alertmanager.yml\nroute: {receiver: a}\nreceivers: [{name: a}]".into(),
            0,
        ),
        (
            "# grafana/provisioning/dashboards/a.yml\napiVersion: 1".into(),
            0,
        ),
    ] {
        assert_eq!(checked("yaml", &text), Ok(count), "{text}");
    }
    for (text, reason) in [
        ("a: 1".to_owned(), "no comment with the file's path"),
        ("# a.yml\na: 1".into(), "no program is known"),
        ("# rules.yml\na: [".into(), "expected"),
        (format!("{workflow}metricsjob list --tiemout"), "--tiemout"),
        (format!("{workflow}(a"), "syntax error"),
        (format!("{workflow}a\n      frobnicate: 1"), "frobnicate"),
        (format!("{pipeline}metricsjob list --tiemout"), "--tiemout"),
        (format!("{pipeline}a\n  frobnicate: 1"), "frobnicate"),
        (format!("{compose}[serve, --tiemout]"), "--tiemout"),
        (format!("{compose}[serve]\n    frobnicate: 1"), "frobnicate"),
        (format!("{pod}[serve, --tiemout]"), "--tiemout"),
        (format!("{pod}[serve]\n    frobnicate: 1"), "frobnicate"),
        (format!("{rules}up =="), "could not parse expression"),
        (format!("{web}none"), "bcrypt"),
        (
            "# prometheus.yml\nscrape_configs: [{name: a}]".into(),
            "name",
        ),
        (
            "# alertmanager.yml\nroute: {receiver: a}".into(),
            "receiver",
        ),
        (
            "# grafana/provisioning/dashboards/a.yml\na: 1".into(),
            "no program is known",
        ),
    ] {
        refused("yaml", &text, reason);
    }
}

#[test]
fn the_other_languages() {
    for (language, text, count) in [
        ("promql", "sum by (job) (\n  rate(a_total[5m])\n)", 0),
        ("json", "{\"a\": 1}", 0),
        ("rust", "let a = 1;", 0),
        ("text", "a (", 0),
        (
            "crontab",
            "MAILTO=a\n# c\n*/5 * * * *  metricsjob run a >/dev/null\n@daily metricsjob list",
            2,
        ),
        (
            "crontab",
            "# /etc/cron.d/a\n0 2 * * 1-5 root metricsjob run a\n",
            1,
        ),
        (
            "ini",
            "# /etc/systemd/system/a.service\n[Service]\nExecStart=/usr/bin/metricsjob run a\nUser=daemon",
            1,
        ),
        (
            "ini",
            "# /etc/systemd/system/a.timer\n[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target",
            0,
        ),
        (
            "ini",
            "# /etc/systemd/system/a.service.d/b.conf\n[Service]\nEnvironment=A=b",
            0,
        ),
    ] {
        assert_eq!(checked(language, text), Ok(count), "{text}");
    }
    for (language, text, reason) in [
        ("promql", "sum by (job) (", "could not parse expression"),
        ("promql", "a == 1\nb == 1", "could not parse expression"),
        ("json", "{\"a\": …}", "expected"),
        ("rust", "let a = ;", "expected"),
        ("crontab", "61 2 * * * metricsjob run a", "bad minute"),
        ("crontab", "0 2 * * metricsjob run", "bad"),
        (
            "crontab",
            "0 2 * * * metricsjob run a --tiemout",
            "--tiemout",
        ),
        ("crontab", "@dialy metricsjob run a", "bad"),
        (
            "crontab",
            "@daily metricsjob run a --set day=$(date +%F)",
            "a %",
        ),
        ("crontab", "metricsjob run a", "bad"),
        ("ini", "[Service]", "no comment with the file's path"),
        (
            "ini",
            "# a.service\n[Service]\nExecStart=/usr/bin/metricsjob run a --tiemout",
            "--tiemout",
        ),
        (
            "ini",
            "# a.service\n[Service]\nExecStart=/bin/true\nPrivateTmp=perhaps",
            "Failed to parse boolean",
        ),
        (
            "ini",
            "# a.service\n[Service]\nExecStart=/bin/true\nFrobnicate=1",
            "Frobnicate",
        ),
        (
            "ini",
            "# a.timer\n[Timer]\nOnCalendar=sometimes",
            "calendar specification",
        ),
    ] {
        refused(language, text, reason);
    }
}
