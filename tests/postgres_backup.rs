//! The shipped `jobs/postgres-backup.toml` against a real PostgreSQL server.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::common::{Finished, PATIENCE, Process, Sandbox, awaited, send};

/// A PostgreSQL server of its own, and a sandbox whose commands talk to its database `shop`.
struct Postgres {
    server: Process,
    sandbox: Sandbox,
    programs: PathBuf,
    _dir: tempfile::TempDir,
}

/// Where Debian keeps the programs of the newest server; the ones in PATH guess the version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let dirs = versions.map(|version| version.unwrap().path().join("bin"));
    let with_server = dirs.filter(|dir| dir.join("initdb").exists());
    with_server
        .max()
        .expect("no PostgreSQL server in /usr/lib/postgresql (scripts/test installs it)")
}

impl Postgres {
    fn start() -> Self {
        let programs = programs();
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        // The server refuses to run as root.
        let is_root = fs::metadata(dir.path()).unwrap().uid() == 0;
        let user = is_root.then(|| {
            let home = fs::metadata("/var/lib/postgresql").unwrap();
            (home.uid(), home.gid())
        });
        let program = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.current_dir(dir.path()).stdin(Stdio::null());
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let initdb = program("initdb")
            .args(["--no-sync", "--auth=trust", "--username=test"])
            .args(["--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(initdb.status.success(), "{initdb:?}");
        let sandbox = Sandbox::new();
        let jobs = concat!(env!("CARGO_MANIFEST_DIR"), "/jobs");
        symlink(jobs, sandbox.path().join("jobs")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let dump = sandbox.path().join("shop.dump").display().to_string();
        let sandbox = sandbox
            .variable("PATH", format!("{}:{path}", programs.display()))
            .variable("PGHOST", dir.path().display().to_string())
            .variable("PGUSER", "test")
            .variable("PGDATABASE", "shop")
            .variable("POSTGRES_BACKUP_FILE", dump);
        // A socket in a directory of its own, and no port, which others could take.
        let mut server = program("postgres");
        server
            .args(["-c", "fsync=off", "-c", "listen_addresses=", "-D"])
            .arg(&data)
            .arg("-k")
            .arg(dir.path());
        let postgres = Postgres {
            server: Process::spawn(&mut server),
            sandbox,
            programs,
            _dir: dir,
        };
        awaited(PATIENCE, || {
            let is_ready = postgres.program("pg_isready", &[]).status.success();
            is_ready.then_some(()).ok_or(postgres.server.log())
        });
        postgres.sql("postgres", "CREATE DATABASE shop");
        postgres
    }

    /// A client program, not started yet.
    fn client(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command
            .env_clear()
            .envs(self.sandbox.variables())
            .current_dir(self.sandbox.path())
            .stdin(Stdio::null());
        command
    }

    fn program(&self, name: &str, arguments: &[&str]) -> std::process::Output {
        self.client(name).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn sql(&self, database: &str, sql: &str) -> String {
        let arguments = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql];
        let output = self.program("psql", &arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().into()
    }

    fn backup(&self, options: &str) -> Finished {
        self.sandbox.run(&format!("run postgres-backup {options}"))
    }

    fn dump(&self) -> PathBuf {
        self.sandbox.path().join("shop.dump")
    }

    /// The value of one of the job's metrics, with these labels as a gateway shows them.
    fn metric(&self, name: &str, labels: &str) -> Option<f64> {
        let series = format!("postgres_backup_{name}{{{labels}}}");
        self.sandbox.value("postgres_backup", &series)
    }

    fn rows(&self, table: &str) -> Option<f64> {
        let table = table.replace('\\', r"\\").replace('\n', r"\n");
        let table = table.replace('"', "\\\"");
        self.metric("rows", &format!(",table=\"{table}\""))
    }

    /// The dump and what is left of others.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.sandbox.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("shop")).collect();
        names.sort();
        names
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown; SIGKILL would leave its children and its shared memory.
        send(self.server.pid(), Signal::SIGINT);
        self.server.wait();
    }
}

/// A table's name in SQL that has all that needs care in a label's value and in a statement.
const ODD: &str = "\"My.Shop\".\"Odd \"\"name\"\" \\ (x) FROM stdin;\n\"";

fn shop() -> Postgres {
    let postgres = Postgres::start();
    // Rows that look like the end of a block, or like the begin of one, when their text is dumped.
    let rows = r"('\.'), (E'a\nb'), (E'a\n\\.\nb'), (E'\\'), (E'\t\r'), (''), (NULL),
        ('COPY public.fake (id) FROM stdin;'), (E'\nCOPY public.fake (id) FROM stdin;\n1\n\\.\n')";
    postgres.sql(
        "shop",
        &format!(
            r#"CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id;
            CREATE TABLE nothing (id int, "a "" FROM stdin;" text);
            CREATE TABLE no_columns ();
            INSERT INTO no_columns DEFAULT VALUES;
            CREATE TABLE tricky (text text);
            INSERT INTO tricky VALUES {rows};
            CREATE SCHEMA "My.Shop";
            CREATE TABLE {ODD} (text text);
            INSERT INTO {ODD} VALUES ('x'), ('y');"#
        ),
    );
    postgres
}

#[test]
fn size_and_rows_are_those_of_the_dump_and_it_restores() {
    let postgres = shop();
    postgres.backup("").code(0).err("postgres-backup: success");
    let size = fs::metadata(postgres.dump()).unwrap();
    assert_eq!(postgres.metric("size_bytes", ""), Some(size.len() as f64));
    assert_eq!(size.permissions().mode() & 0o777, 0o600);
    assert_eq!(postgres.metric("success", ""), Some(1.0));

    // Later rows are not in the dump.
    postgres.sql("shop", "INSERT INTO orders VALUES (1001)");
    postgres.sql("postgres", "CREATE DATABASE restored");
    let dump = postgres.dump();
    let arguments = ["--exit-on-error", "-d", "restored", dump.to_str().unwrap()];
    let restore = postgres.program("pg_restore", &arguments);
    assert!(restore.status.success(), "{restore:?}");
    for (table, rows) in [
        ("public.orders", 1000.0),
        ("public.nothing", 0.0),
        ("public.no_columns", 1.0),
        ("public.tricky", 9.0),
        (ODD, 2.0),
    ] {
        assert_eq!(postgres.rows(table), Some(rows), "{table}");
        let count = postgres.sql("restored", &format!("SELECT count(*) FROM {table}"));
        assert_eq!(count, rows.to_string(), "{table}");
    }
    let samples = postgres.sandbox.samples();
    let tables = samples.keys().filter(|name| name.contains("_rows{"));
    assert_eq!(tables.count(), 5, "{samples:?}");
}

#[test]
fn a_table_that_is_gone_is_not_reported_any_more() {
    let postgres = shop();
    postgres.backup("").code(0);
    postgres.sql("shop", "DROP TABLE tricky; DELETE FROM orders");
    postgres.backup("").code(0);
    assert_eq!(postgres.rows("public.tricky"), None);
    assert_eq!(postgres.rows("public.orders"), Some(0.0));
}

#[test]
fn an_empty_database_has_no_tables_and_a_dump() {
    let postgres = Postgres::start();
    postgres.backup("").code(0);
    assert!(postgres.metric("size_bytes", "").unwrap() > 0.0);
    let samples = postgres.sandbox.samples();
    assert!(!samples.keys().any(|name| name.contains("_rows{")));
}

/// Whatever fails, and however late.
#[test]
fn a_failure_leaves_the_older_dump_and_what_it_reported() {
    let postgres = shop();
    postgres.backup("").code(0);
    let older = fs::read(postgres.dump()).unwrap();
    postgres.sql("shop", "DELETE FROM orders");
    let still_there = |failed: &Finished, code| {
        failed.code(code);
        assert_eq!(postgres.files(), ["shop.dump"]);
        assert!(fs::read(postgres.dump()).unwrap() == older);
        assert_eq!(postgres.metric("success", ""), Some(0.0));
        assert_eq!(postgres.metric("exit_code", ""), Some(f64::from(code)));
        assert_eq!(postgres.rows("public.orders"), Some(1000.0));
    };

    let missing = postgres.backup("--env PGDATABASE=missing");
    still_there(missing.err("database \"missing\" does not exist"), 1);

    // pg_dump waits for a table that another session holds.
    let mut session = postgres.client("psql");
    session.args(["-XAtq", "-d", "shop"]);
    session.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut session = session.spawn().unwrap();
    let mut input = session.stdin.take().unwrap();
    writeln!(input, "BEGIN; LOCK TABLE tricky; SELECT 'locked';").unwrap();
    let mut line = String::new();
    let output = session.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    still_there(&postgres.backup("--timeout 2s"), 124);
    drop(input);
    session.wait().unwrap();

    // A dump that cannot be read to its end, though what was read of it looks good.
    let broken = "#!/bin/sh\nprintf 'COPY public.orders (id) FROM stdin;\\n1\\n'\nexit 3\n";
    let broken = postgres.sandbox.write("bin/pg_restore", broken);
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let dirs = [broken.parent().unwrap(), &postgres.programs];
    let [first, then] = dirs.map(|dir| dir.display());
    let broken = postgres.backup(&format!("--env PATH={first}:{then}:/usr/bin:/bin"));
    still_there(&broken, 3);

    let no_server = postgres.backup("--env PGHOST=/nonexistent");
    still_there(no_server.err("No such file or directory"), 1);
}

#[test]
fn without_a_path_for_the_dump_it_says_so() {
    let sandbox = Sandbox::new();
    let jobs = concat!(env!("CARGO_MANIFEST_DIR"), "/jobs");
    let run = sandbox.run(&format!("run postgres-backup --jobs-dir {jobs}"));
    run.code(78).err("POSTGRES_BACKUP_FILE is not set");
}

#[test]
fn the_job_file_is_good() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/jobs/postgres-backup.toml");
    Sandbox::new().run(&format!("check {file}")).code(0);
}
