//! Another user's links, directories and job files, as root: these tests need it, as CI has it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Finished, Sandbox, US};

/// Debian's user without rights.
const NOBODY: u32 = 65534;

const RUN: &str = "run backup --set duration=0s";

/// A home that belongs to nobody, and a copy of the program beside it that nobody can run.
struct Home {
    sandbox: Sandbox,
    program: PathBuf,
    _elsewhere: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let elsewhere = tempfile::tempdir().unwrap();
        mode(elsewhere.path(), 0o755);
        let program = elsewhere.path().join("metricsjob");
        // By another process: what other tests start would have inherited the file, open for writing, if we had it
        // open, and then it cannot be run.
        let copy = Command::new("cp").arg(US).arg(&program).status();
        assert!(copy.unwrap().success());
        give(sandbox.path());
        Home {
            sandbox,
            program,
            _elsewhere: elsewhere,
        }
    }

    /// The same, with the state of a run of nobody's.
    fn used() -> Self {
        let home = Home::new();
        home.as_nobody(RUN).code(0).quiet_stderr();
        home
    }

    fn state(&self, name: &str) -> PathBuf {
        self.sandbox.state_db().with_file_name(name)
    }

    fn as_root(&self, line: &str) -> Finished {
        self.sandbox.run(line)
    }

    fn as_nobody(&self, line: &str) -> Finished {
        let mut command = Command::new(&self.program);
        command
            .args(line.split_whitespace())
            .env_clear()
            .envs(crate::common::environment(self.sandbox.path()))
            .current_dir(self.sandbox.path())
            .uid(NOBODY)
            .gid(NOBODY);
        command.output().unwrap().into()
    }

    /// Puts a link of nobody's at a name in the state directory.
    fn plant(&self, name: &str, target: &Path) {
        let path = self.state(name);
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
        link(target, &path, NOBODY);
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn give(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}

fn link(target: &Path, path: &Path, owner: u32) {
    symlink(target, path).unwrap();
    lchown(path, Some(owner), Some(owner)).unwrap();
}

/// All files below `dir`.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            paths.extend(below(&path));
        }
        paths.push(path);
    }
    paths
}

/// A file of root's, which stays as it is.
struct Target {
    dir: tempfile::TempDir,
    content: &'static str,
}

impl Target {
    fn new(content: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("target"), content).unwrap();
        Target { dir, content }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("target")
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(fs::read_to_string(self.path()).unwrap(), self.content);
        assert_eq!(below(self.dir.path()), [self.path()]);
        assert_eq!(self.path().metadata().unwrap().uid(), 0);
    }
}

/// A database that is none would be moved aside.
#[test]
fn root_follows_no_link_of_the_directorys_owner() {
    for name in [
        "state.db",
        "state.db-wal",
        "state.db-shm",
        "delivery.lock",
        "gateway.lock",
    ] {
        let home = Home::used();
        for target in ["no database\n", ""] {
            let target = Target::new(target);
            home.plant(name, &target.path());
            home.as_root(RUN).code(0).out("backup: success");
            target.is_untouched();
            if name == "state.db" {
                let refused = "state.db is a link of nobody, and only one's own are followed";
                home.as_root(RUN).err(refused);
                home.as_root("history").err(refused);
            }
        }
        // To nothing.
        let target = Target::new("");
        let missing = target.dir.path().join("missing");
        home.plant(name, &missing);
        home.as_root(RUN).code(0);
        assert!(missing.symlink_metadata().is_err(), "{name}");
    }
}

#[test]
fn nor_one_that_is_a_directory() {
    let home = Home::used();
    let target = Target::new("");
    home.plant("locks", target.dir.path());
    home.as_root("exec --lock --job j -- true").code(0).quiet();
    target.is_untouched();

    let home = Home::new();
    link(
        target.dir.path(),
        &home.sandbox.path().join(".local"),
        NOBODY,
    );
    let run = home.as_root(RUN);
    run.code(0).err(".local is a link of nobody");
    target.is_untouched();
}

#[test]
fn what_root_makes_in_a_users_home_is_that_users() {
    let home = Home::new();
    let serve = "exec --lock --job j -- sh -c :";
    home.as_root(RUN).code(0).quiet_stderr();
    home.as_root(serve).code(0).quiet_stderr();
    for path in below(&home.sandbox.path().join(".local")) {
        assert_eq!(path.metadata().unwrap().uid(), NOBODY, "{}", path.display());
    }
    home.as_nobody(RUN).code(0).quiet_stderr();
    home.as_root(RUN).code(0).quiet_stderr();
    assert_eq!(home.sandbox.outcomes().len(), 4);
    home.as_nobody("history").code(0).quiet_stderr();
}

#[test]
fn root_writes_nothing_where_others_can() {
    let home = Home::new();
    for (bits, owner) in [(0o775, NOBODY), (0o777, NOBODY), (0o777, 0)] {
        chown(home.sandbox.path(), Some(owner), None).unwrap();
        mode(home.sandbox.path(), bits);
        home.as_root(RUN)
            .code(0)
            .err("other users can write in ")
            .err("choose another directory with --state-dir");
        assert!(below(home.sandbox.path()).is_empty(), "{bits:o}");
    }
    // As in /tmp.
    mode(home.sandbox.path(), 0o1777);
    home.as_root(RUN).code(0).quiet_stderr();
    // Reading is allowed.
    mode(home.sandbox.path(), 0o777);
    let before = fs::read(home.sandbox.state_db()).unwrap();
    home.as_root("history").code(0).out("backup");
    home.as_root("status").code(0).out("db_backup");
    assert_eq!(fs::read(home.sandbox.state_db()).unwrap(), before);
}

#[test]
fn a_place_of_two_other_users_is_neithers() {
    let home = Home::new();
    let inner = home.sandbox.path().join("inner");
    fs::create_dir(&inner).unwrap();
    chown(&inner, Some(1), Some(1)).unwrap();
    let run = home.as_root(&format!("{RUN} --state-dir {}", inner.display()));
    run.code(0)
        .err("inner belongs to daemon, who could put anything there");
    assert!(below(&inner).is_empty());
}

/// As a state on another disk is.
#[test]
fn ones_own_links_are_followed() {
    let home = Home::new();
    let disk = home.sandbox.path().join("disk");
    fs::create_dir(&disk).unwrap();
    give(&disk);
    link(&disk, &home.sandbox.path().join(".local"), NOBODY);
    home.as_nobody(RUN).code(0).quiet_stderr();
    assert!(disk.join("state/metricsjob/state.db").is_file());
    // Root's are followed by everybody, and nobody else's by anybody.
    let owners = [(0, ""), (1, ".local is a link of daemon")];
    for (owner, warning) in owners {
        fs::remove_file(home.sandbox.path().join(".local")).unwrap();
        link(&disk, &home.sandbox.path().join(".local"), owner);
        let run = home.as_nobody(RUN);
        run.code(0).err(warning);
        assert_eq!(run.stderr().is_empty(), owner == 0);
    }
}

#[test]
fn root_runs_no_job_that_others_can_change() {
    let sandbox = Sandbox::new();
    let job = sandbox.write("jobs/j.toml", "command = ['touch', 'ran']\n");
    let jobs = sandbox.path().join("jobs");
    let is_refused = |why: &str| {
        for line in ["run j", "run jobs/j.toml", "check jobs/j.toml"] {
            let run = sandbox.run(line);
            run.code(2).err("could not read the job file").err(why);
        }
        sandbox.run("list").err(why);
        assert!(!sandbox.path().join("ran").exists());
    };
    let is_run = || {
        sandbox.run("run j").code(0);
        fs::remove_file(sandbox.path().join("ran")).unwrap();
    };
    is_run();
    give(&job);
    is_refused("j.toml belongs to nobody, and root must not do what others say");
    chown(&job, Some(0), Some(NOBODY)).unwrap();
    is_run();
    mode(&job, 0o664);
    is_refused("j.toml can be changed by other users");
    chown(&job, Some(0), Some(0)).unwrap();
    is_run();
    mode(&job, 0o666);
    is_refused("(chmod go-w)");
    mode(&job, 0o644);
    mode(&jobs, 0o777);
    is_refused("jobs can be changed by other users");
    mode(&jobs, 0o1777);
    is_run();
    give(&jobs);
    is_refused("jobs belongs to nobody");
    chown(&jobs, Some(0), Some(0)).unwrap();
    // In a sticky directory the system itself follows no link of another user (fs.protected_symlinks).
    mode(&jobs, 0o755);
    fs::rename(&job, sandbox.path().join("real.toml")).unwrap();
    link(&sandbox.path().join("real.toml"), &job, 0);
    is_run();
    fs::remove_file(&job).unwrap();
    link(&sandbox.path().join("real.toml"), &job, NOBODY);
    is_refused("j.toml is a link of nobody");
}

/// A user who is not root runs what is there, as a shell does.
#[test]
fn others_run_each_others_jobs() {
    let home = Home::new();
    let job = home.sandbox.write("jobs/j.toml", "command = ['true']\n");
    chown(job, Some(1), None).unwrap();
    mode(&home.sandbox.path().join("jobs"), 0o755);
    home.as_nobody("run j").code(0);
}

#[test]
fn root_takes_no_web_config_that_others_can_change() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("web.yml", "{}");
    give(&config);
    for server in ["gateway", "serve"] {
        let run = sandbox.run(&format!("{server} --web.config.file web.yml"));
        run.code(1)
            .err("web.yml belongs to nobody, and root must not do what others say");
    }
}
