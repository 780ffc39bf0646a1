//! The shipped crontab and a generated one under a real cron, in a mount namespace where its hard-coded paths are ours.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Sandbox, US, awaited};

/// Until the next full minute, when cron begins, and what the jobs take.
const PATIENCE: Duration = Duration::from_secs(75);

/// Debian's user without rights; its home is the sandbox.
const USER: &str = "nobody";

/// With the sandbox as $1 and the built binary as $2. Nothing is mounted outside of the namespace.
///
/// The pid is the one outside of the pid namespace, because /proc is not mounted anew.
const START: &str = r#"
read -r pid rest </proc/self/stat
echo "$pid" >"$1/pid"
mount -t tmpfs none /run
mount -t tmpfs none /etc/cron.d
mount --bind /dev/null /etc/crontab
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs none /var/spool/cron
mkdir /var/spool/cron/crontabs
install -m 600 "$1/crontab" /var/spool/cron/crontabs/nobody
mount -t tmpfs none /usr/local/bin
touch /usr/local/bin/metricsjob
mount --bind "$2" /usr/local/bin/metricsjob
mount -t tmpfs none /opt
install "$1/sync.sh" /opt/sync.sh
cp /usr/sbin/cron "$1/cron"
mount -t tmpfs none /usr/sbin
install "$1/sendmail" /usr/sbin/sendmail
exec "$1/cron" -f
"#;

struct Cron {
    /// `unshare`, which waits for cron.
    child: Child,
    sandbox: Sandbox,
}

impl Cron {
    fn start(sandbox: Sandbox) -> Self {
        let log = fs::File::create(sandbox.path().join("log")).unwrap();
        let child = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-euc", START, "sh"])
            .arg(sandbox.path())
            .arg(US)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Cron { child, sandbox }
    }

    /// What was mailed so far.
    fn mails(&self) -> Vec<String> {
        let entries = fs::read_dir(self.sandbox.path().join("mails")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let complete = paths.filter(|path| path.extension().is_some());
        complete
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    }

    fn wait_for_mail(&mut self) -> Vec<String> {
        awaited(PATIENCE, || {
            let mails = self.mails();
            if !mails.is_empty() {
                return Ok(mails);
            }
            let log = || fs::read_to_string(self.sandbox.path().join("log")).unwrap();
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "no cron in a mount namespace (it needs root, CAP_SYS_ADMIN and cron, which \
                 scripts/test installs):\n{}",
                log()
            );
            Err(format!("no mail from cron\n{}", log()))
        })
    }
}

impl Drop for Cron {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.sandbox.path().join("pid"));
        let pid = pid.ok().and_then(|pid| pid.trim_end().parse().ok());
        match (self.child.try_wait(), pid) {
            // The first process of its pid namespace, so all others there end too.
            (Ok(None), Some(cron)) => drop(kill(Pid::from_raw(cron), Signal::SIGKILL)),
            _ => drop(self.child.kill()),
        }
        let _ = self.child.wait();
    }
}

/// A job whose path has what cron and the shell take for something else.
const GENERATED: &str = "it's 100% \"$HOME\"";

/// The shipped crontab, every minute, a generated one, and one more job, whose failure is to be mailed.
fn crontab(sandbox: &Sandbox) -> String {
    let mut crontab = include_str!("../scripts/examples/metricsjob.crontab").to_owned();
    for (shipped, here) in [
        ("*/15 * * * *", "* * * * *"),
        ("30 2 * * *", "* * * * *"),
        ("--splay 10m", "--splay 0s"),
    ] {
        assert_eq!(crontab.matches(shipped).count(), 1, "{shipped}");
        crontab = crontab.replace(shipped, here);
    }
    // Later than all others, so that a mail of theirs would be there when its mail is.
    let broken = "sh -c 'sleep 3; echo no such order >&2; exit 3'";
    sandbox.write(
        &format!("jobs/{GENERATED}.toml"),
        "command = ['true']\nschedule = '* * * * *'\njitter = '1s'\n",
    );
    let generated = sandbox.run("generate crontab --program /usr/local/bin/metricsjob");
    crontab += &generated.code(0).stdout();
    crontab + &format!("* * * * * metricsjob exec --job broken --tail 1 -- {broken}\n")
}

#[test]
fn the_shipped_crontab_runs_under_cron() {
    let sandbox = Sandbox::new();
    let home = sandbox.path().to_owned();
    assert_eq!(
        fs::metadata(&home).unwrap().uid(),
        0,
        "only root can start a cron of its own"
    );
    let mut uid = 0;
    let passwd: Vec<String> = fs::read_to_string("/etc/passwd")
        .unwrap()
        .lines()
        .map(|line| {
            let mut fields: Vec<&str> = line.split(':').collect();
            if fields[0] == USER {
                uid = fields[2].parse().unwrap();
                fields[5] = home.to_str().unwrap();
            }
            fields.join(":") + "\n"
        })
        .collect();
    sandbox.write("passwd", passwd.concat());
    sandbox.write("crontab", crontab(&sandbox));
    sandbox.write("sync.sh", "#!/bin/sh\nenv >\"$HOME/env\"\n");
    // It has no HOME. A mail's name has an end when the mail is complete.
    let sendmail = format!("#!/bin/sh\ncd {home:?}/mails\ncat >$$\nmv $$ $$.mail\n");
    sandbox.write("sendmail", sendmail);
    sandbox.write("Documents/letter", "Dear Sir or Madam");
    for dir in ["", "backup", "mails"] {
        fs::create_dir_all(home.join(dir)).unwrap();
        chown(home.join(dir), Some(uid), None).unwrap();
    }

    let mut cron = Cron::start(sandbox);
    let mails = cron.wait_for_mail();
    let sandbox = &cron.sandbox;

    // The failure was mailed, and nothing else.
    for mail in &mails {
        assert!(mail.contains("broken: failure (exit code 3)"), "{mails:?}");
        assert!(mail.contains("no such order"), "{mails:?}");
    }

    // cron sets next to nothing: the state is found by the home alone.
    let env = fs::read_to_string(home.join("env")).unwrap();
    assert!(env.contains("PATH=/usr/local/bin:/usr/bin:/bin\n"), "{env}");
    assert!(!env.contains("XDG_") && !env.contains("CARGO"), "{env}");
    assert_eq!(fs::metadata(sandbox.state_db()).unwrap().uid(), uid);
    for (job, outcome, code) in [
        ("sync_orders", "success", 0),
        ("archive_documents", "success", 0),
        (GENERATED, "success", 0),
        ("broken", "failure", 3),
    ] {
        let history = sandbox.run_args(["history", job, "--output", "json"]);
        let history = history.code(0).json();
        assert_eq!(history[0]["outcome"], outcome, "{history}");
        assert_eq!(history[0]["exit_code"], code, "{history}");
    }
    let series = r#"batch_job_success{site="berlin"}"#;
    assert_eq!(sandbox.value("sync_orders", series), Some(1.0));
    assert_eq!(sandbox.value("broken", "batch_job_exit_code"), Some(3.0));

    // The % reached date(1).
    let archives = fs::read_dir(home.join("backup")).unwrap();
    let archive = archives.last().unwrap().unwrap().file_name();
    let archive = archive.to_str().unwrap();
    assert!(archive.starts_with("documents-20"), "{archive}");
}
