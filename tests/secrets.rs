//! A secret, given in each way there is, is sent, and stands nowhere else.

use std::fs;
use std::path::Path;

use crate::common::{FakeServer, Finished, Sandbox, US};

const SECRET: &str = "s3cret-t0ken";

/// What a secret looks like as text, and base64 of `me:` and it.
const FORMS: [&str; 2] = [SECRET, "bWU6czNjcmV0LXQwa2Vu"];

/// A way to give a secret: options, variables, and files of the home by their content. `ADDRESS`
/// is the server's, `SECRET` the secret.
struct Way {
    options: &'static str,
    variables: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
}

const GATEWAY: (&str, &str) = ("METRICSJOB_GATEWAY", "http://ADDRESS");

const WAYS: [Way; 11] = [
    Way {
        options: "--gateway http://me:SECRET@ADDRESS",
        variables: &[],
        files: &[],
    },
    Way {
        options: "",
        variables: &[("METRICSJOB_GATEWAY", "me:SECRET@ADDRESS")],
        files: &[],
    },
    Way {
        options: "",
        variables: &[GATEWAY, ("METRICSJOB_BASIC_AUTH", "me:SECRET")],
        files: &[],
    },
    Way {
        options: "",
        variables: &[GATEWAY, ("METRICSJOB_BEARER_TOKEN", "SECRET")],
        files: &[],
    },
    Way {
        options: "",
        variables: &[GATEWAY, ("METRICSJOB_BASIC_AUTH_FILE", "file")],
        files: &[("file", "me:SECRET\n")],
    },
    Way {
        options: "",
        variables: &[GATEWAY, ("METRICSJOB_BEARER_TOKEN_FILE", "file")],
        files: &[("file", "SECRET\n")],
    },
    Way {
        options: "--basic-auth-file file",
        variables: &[GATEWAY],
        files: &[("file", "me:SECRET")],
    },
    Way {
        options: "--bearer-token-file file",
        variables: &[GATEWAY],
        files: &[("file", "SECRET\n")],
    },
    Way {
        options: "--header @file",
        variables: &[GATEWAY],
        files: &[("file", "X-Api-Key: SECRET\n")],
    },
    Way {
        options: "--header @file",
        variables: &[GATEWAY],
        files: &[("file", "Authorization: Custom SECRET\n")],
    },
    Way {
        options: "--gateway http://gateway.invalid",
        variables: &[("http_proxy", "http://me:SECRET@ADDRESS")],
        files: &[],
    },
];

impl Way {
    fn filled(text: &str, address: &str) -> String {
        text.replace("ADDRESS", address).replace("SECRET", SECRET)
    }

    fn options(&self, address: &str) -> String {
        Way::filled(self.options, address)
    }

    fn sandbox(&self, address: &str) -> Sandbox {
        let mut sandbox = Sandbox::new();
        for (name, value) in self.variables {
            sandbox = sandbox.variable(name, Way::filled(value, address));
        }
        for (path, content) in self.files {
            sandbox.write(path, Way::filled(content, address));
        }
        sandbox
    }

    fn is_on_the_command_line(&self) -> bool {
        self.options.contains("SECRET")
    }
}

#[track_caller]
fn hides_it(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for form in FORMS {
        assert!(!text.contains(form), "{what} shows {form}:\n{text}");
    }
}

#[track_caller]
fn output_hides_it(finished: &Finished) {
    hides_it("stdout", finished.stdout().as_bytes());
    hides_it("stderr", finished.stderr().as_bytes());
}

#[track_caller]
fn files_hide_it(dir: &Path) {
    let entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    assert!(!entries.is_empty());
    for entry in entries {
        if entry.file_type().unwrap().is_dir() {
            files_hide_it(&entry.path())
        } else {
            hides_it("a file", &fs::read(entry.path()).unwrap())
        }
    }
}

#[test]
fn a_secret_is_shown_nowhere() {
    // An answer with all that was sent is what a server shows that is being debugged.
    for server in [
        FakeServer::status("200 OK", ""),
        FakeServer::echoing("400 Bad Request"),
    ] {
        for way in WAYS {
            let address = server.address();
            let (options, sandbox) = (way.options(&address), way.sandbox(&address));
            let before = server.requests().len();
            let run = sandbox.exec(
                &format!("--job j --output json {options}"),
                "cp /proc/$PPID/cmdline cmdline",
            );
            run.code(0);
            output_hides_it(&run);
            if !way.is_on_the_command_line() {
                let cmdline = fs::read(sandbox.path().join("cmdline")).unwrap();
                assert!(cmdline.starts_with(US.as_bytes()));
                hides_it("the command line", &cmdline);
            }
            let sent = server.requests()[before].headers.join("\n");
            assert!(FORMS.iter().any(|form| sent.contains(form)), "{sent}");

            for form in ["text", "json"] {
                output_hides_it(
                    &sandbox.run_with_input(
                        &format!("push --job j --output {form} {options}"),
                        "m 1\n",
                    ),
                );
            }
            for line in [
                "status",
                "delete --job j",
                "run backup --set duration=0s",
                "exec --job j --dry-run",
                "delete --job j --dry-run",
                "push --help",
            ] {
                let command = if line.starts_with("exec") {
                    "-- true"
                } else {
                    ""
                };
                output_hides_it(&sandbox.run(&format!("{line} {options} {command}")));
            }
            output_hides_it(&sandbox.run("history --output json"));
            files_hide_it(&sandbox.path().join(".local/state/metricsjob"));
        }
    }
}

#[test]
fn nor_where_there_is_no_gateway() {
    for way in WAYS {
        let (options, sandbox) = (way.options("127.0.0.1:1"), way.sandbox("127.0.0.1:1"));
        let push = sandbox.run_with_input(&format!("push --job j {options}"), "m 1\n");
        output_hides_it(push.code(69).err("could not connect to http://"));
        files_hide_it(&sandbox.path().join(".local/state/metricsjob"));
    }
}
