//! The program under test, and the environment that it finds.

use std::env;
use std::ffi::{CStr, OsStr, OsString};
use std::fmt;
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigHandler, Signal};

/// The path of the program under test: that of the variable `METRICSJOB_TEST_PROGRAM`, as `scripts/test` sets it to
/// the release build, else the one that cargo has built beside the tests.
pub const US: Program = Program;

pub struct Program;

impl Deref for Program {
    type Target = str;

    fn deref(&self) -> &'static str {
        static PATH: OnceLock<String> = OnceLock::new();
        PATH.get_or_init(|| {
            let given = env::var("METRICSJOB_TEST_PROGRAM").ok();
            let path = given.unwrap_or_else(|| env!("CARGO_BIN_EXE_metricsjob").into());
            assert!(Path::new(&path).is_absolute(), "{path} is not absolute");
            path
        })
    }
}

impl AsRef<OsStr> for Program {
    fn as_ref(&self) -> &OsStr {
        OsStr::new(&**self)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// The environment of a user whose home is `home`, as a shell in a CI system or of a developer has it: with variables
/// that libraries look for.
pub fn environment(home: &Path) -> Vec<(&'static str, OsString)> {
    let path = env::var_os("PATH").unwrap();
    vec![
        ("PATH", path),
        ("HOME", home.into()),
        ("PWD", home.into()),
        ("USER", "somebody".into()),
        ("LOGNAME", "somebody".into()),
        ("SHELL", "/bin/bash".into()),
        ("LANG", "C.UTF-8".into()),
        ("EDITOR", "vi".into()),
        ("CI", "true".into()),
        // Set in many CI images: an error must not become a backtrace.
        ("RUST_BACKTRACE", "1".into()),
        ("RUST_LOG", "trace".into()),
    ]
}

/// Lets `command` begin as on a machine without anything of metricsjob's, without a terminal, and with signals as in an
/// ordinary shell, wherever the tests themselves run.
pub fn isolate(command: &mut Command) {
    let has_jobs = Path::new("/etc/metricsjob").exists();
    // SAFETY: all that is called between fork and exec are system calls.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            for signal in Signal::iterator() {
                // Those that cannot be changed are as they should be.
                let _ = nix::sys::signal::signal(signal, SigHandler::SigDfl);
            }
            if has_jobs && nix::unistd::geteuid().is_root() {
                hide(SYSTEM_JOBS)?;
            }
            Ok(())
        });
    }
}

/// The directory of job files that all users have.
const SYSTEM_JOBS: &CStr = c"/etc/metricsjob";

/// Shows an empty directory to this process and to those that come from it.
fn hide(dir: &CStr) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&CStr> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, c"/", none, private, none)?;
    mount(Some(c"none"), dir, Some(c"tmpfs"), MsFlags::empty(), none)
}
