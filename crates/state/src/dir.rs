//! Where the state directory is.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where the system keeps state of services that have no home.
const SYSTEM_DIR: &str = "/var/lib/metricsjob";

/// The state directory when none was given: the first of `$STATE_DIRECTORY` (systemd sets it, the
/// first of several), `$XDG_STATE_HOME/metricsjob`, `$HOME/.local/state/metricsjob`,
/// `/var/lib/metricsjob`. As the XDG specification asks, a relative path in a variable is ignored.
///
/// `variable` reads the environment.
pub fn default_dir(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let path = |name| variable(name).map(PathBuf::from).and_then(absolute);
    let systemd = variable("STATE_DIRECTORY")
        .and_then(|directories| std::env::split_paths(&directories).next())
        .and_then(absolute);
    systemd
        .or_else(|| path("XDG_STATE_HOME").map(|dir| dir.join("metricsjob")))
        .or_else(|| path("HOME").map(|home| home.join(".local/state/metricsjob")))
        .unwrap_or_else(|| PathBuf::from(SYSTEM_DIR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(variables: &[(&str, &str)]) -> PathBuf {
        default_dir(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_first_usable_variable_wins() {
        let home = ("HOME", "/home/u");
        assert_eq!(dir(&[]), PathBuf::from(SYSTEM_DIR));
        assert_eq!(
            dir(&[home]),
            PathBuf::from("/home/u/.local/state/metricsjob")
        );
        assert_eq!(
            dir(&[home, ("XDG_STATE_HOME", "/s")]),
            PathBuf::from("/s/metricsjob")
        );
        let systemd = ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b");
        assert_eq!(dir(&[home, systemd]), PathBuf::from("/var/lib/a"));
    }

    #[test]
    fn empty_and_relative_values_do_not_count() {
        for value in ["", "relative"] {
            for name in ["HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"] {
                assert_eq!(dir(&[(name, value)]), PathBuf::from(SYSTEM_DIR));
            }
        }
    }
}
