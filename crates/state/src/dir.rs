//! Location of the state directory.

use std::ffi::OsString;
use std::path::PathBuf;

/// State directory of services without a home directory.
const SYSTEM_DIR: &str = "/var/lib/metricsjob";

/// Returns the default state directory: the first of `$STATE_DIRECTORY` (set by systemd; its first entry),
/// `$XDG_STATE_HOME/metricsjob`, `$HOME/.local/state/metricsjob` and `/var/lib/metricsjob`. Relative paths in
/// variables are ignored, as the XDG specification requires.
///
/// `variable` reads an environment variable.
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
