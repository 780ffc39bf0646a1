//! Destinations of reports besides gateways, as settings name them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::gateway_name::elements;
use metricsjob_client::GatewayUrl;

/// Destination of reports besides a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportDestination {
    /// A directory that node_exporter reads, in which each group is a file.
    Textfile(PathBuf),
    /// A server that takes samples by Prometheus' remote write.
    RemoteWrite(GatewayUrl),
}

const TEXTFILE: &str = "textfile:";
const REMOTE_WRITE: &str = "remote-write:";
const FORM: &str = "the form is textfile:DIR or remote-write:URL";

impl ReportDestination {
    /// Reads the targets in one text: several have commas between them, or blanks.
    ///
    /// # Errors
    ///
    /// The reason, for a person to read; it shows no credentials.
    pub fn parse_all(text: &str) -> Result<Vec<ReportDestination>, String> {
        elements(text).map(str::parse).collect()
    }
}

impl FromStr for ReportDestination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(dir) = text.strip_prefix(TEXTFILE) {
            // A relative one would depend on where a job is started.
            if !dir.starts_with('/') {
                return Err(format!(
                    "names the directory {dir:?}, which is not an absolute path"
                ));
            }
            return Ok(ReportDestination::Textfile(dir.into()));
        }
        if let Some(url) = text.strip_prefix(REMOTE_WRITE) {
            let url = GatewayUrl::parse(url).map_err(|error| format!("has no URL: {error}"))?;
            return Ok(ReportDestination::RemoteWrite(url));
        }
        // It may be a URL with a password.
        Err(format!(
            "begins with neither textfile: nor remote-write: ({FORM}; the URL of a Pushgateway is for the setting gateway)"
        ))
    }
}

/// Writes the target without credentials, as the outbox names it.
impl fmt::Display for ReportDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReportDestination::Textfile(dir) => write!(f, "{TEXTFILE}{}", dir.display()),
            ReportDestination::RemoteWrite(url) => write!(f, "{REMOTE_WRITE}{url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, shown) in [
            (
                "textfile:/var/lib/prometheus/node-exporter",
                "textfile:/var/lib/prometheus/node-exporter",
            ),
            (
                "remote-write:http://h:9090/api/v1/write",
                "remote-write:http://h:9090/api/v1/write",
            ),
            (
                "remote-write:https://u:p@h/api/v1/push",
                "remote-write:https://h/api/v1/push",
            ),
        ] {
            assert_eq!(
                text.parse::<ReportDestination>().unwrap().to_string(),
                shown
            );
        }
        assert_eq!(
            ReportDestination::parse_all("textfile:/a, textfile:/b")
                .unwrap()
                .len(),
            2
        );
        assert_eq!(ReportDestination::parse_all(""), Ok(Vec::new()));
    }

    #[test]
    fn errors_show_no_secret() {
        for bad in [
            "",
            "http://u:s3cret@h",
            "textfile:dir",
            "textfile:",
            "remote-write:",
            "remote-write:ftp://u:s3cret@h",
        ] {
            let problem = bad.parse::<ReportDestination>().unwrap_err();
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }
}
