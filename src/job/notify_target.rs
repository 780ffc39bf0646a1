//! Destinations of notifications, as settings name them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use super::gateway_name::elements;

/// Destination of notifications about a job.
#[derive(Clone, PartialEq, Eq)]
pub struct NotifyTarget {
    pub form: NotifyForm,
    place: UrlSource,
}

/// Form in which a destination takes notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyForm {
    /// The event as JSON.
    Webhook,
    /// A message as Slack's incoming webhooks take it, which Mattermost and others do too.
    Slack,
    /// The pings of healthchecks.io, one for each run.
    Ping,
}

/// Source of the URL. It is a secret: anyone who knows it can send there.
#[derive(Clone, PartialEq, Eq)]
enum UrlSource {
    Url(Url),
    File(PathBuf),
}

const FORMS: [(&str, NotifyForm); 3] = [
    ("webhook", NotifyForm::Webhook),
    ("slack", NotifyForm::Slack),
    ("ping", NotifyForm::Ping),
];

/// A longer file is not one with a URL.
const MAX_BYTES: u64 = 64 * 1024;

impl NotifyTarget {
    /// Reads the targets in one text: several have commas between them, or blanks.
    ///
    /// # Errors
    ///
    /// The reason, for a person to read; it shows no URL.
    pub fn parse_all(text: &str) -> Result<Vec<NotifyTarget>, String> {
        elements(text).map(str::parse).collect()
    }

    /// The target as the outbox names it, with its URL if that was given. See [`fmt::Display`] for one to show.
    pub fn name(&self) -> String {
        match &self.place {
            UrlSource::Url(url) => format!("{}:{url}", self.scheme()),
            UrlSource::File(_) => self.to_string(),
        }
    }

    /// The URL, which is read from its file now.
    ///
    /// # Errors
    ///
    /// The reason, for a person to read; it shows no URL.
    pub fn url(&self) -> Result<Url, String> {
        let path = match &self.place {
            UrlSource::Url(url) => return Ok(url.clone()),
            UrlSource::File(path) => path,
        };
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        let url = match read {
            Ok(_) => parse_url(text.trim()),
            Err(error) => Err(metricsjob_system::reason(&error)),
        };
        url.map_err(|reason| format!("{self}: no URL in the file: {reason}"))
    }

    /// The URL if it was given itself, and is in no file: it must be kept out of what is shown.
    pub fn given_url(&self) -> Option<&Url> {
        match &self.place {
            UrlSource::Url(url) => Some(url),
            UrlSource::File(_) => None,
        }
    }

    fn scheme(&self) -> &'static str {
        let known = FORMS.iter().find(|(_, form)| *form == self.form);
        known.map_or("", |(scheme, _)| scheme)
    }
}

impl FromStr for NotifyTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str =
            "the form is webhook:URL, slack:URL or ping:URL, or with @FILE in place of the URL";
        let (scheme, place) = text.split_once(':').unwrap_or_default();
        let form = FORMS.iter().find(|(known, _)| *known == scheme);
        let Some((_, form)) = form else {
            // The text may be the URL alone.
            return Err(format!(
                "begins with none of webhook:, slack: and ping: ({FORM})"
            ));
        };
        let place = match place.strip_prefix('@') {
            Some(path) if path.starts_with('/') => UrlSource::File(path.into()),
            // A relative one would depend on where a job is started.
            Some(path) => {
                return Err(format!(
                    "names the file {path:?}, which is not an absolute path"
                ));
            }
            None => UrlSource::Url(
                parse_url(place).map_err(|reason| format!("has no URL: {reason} ({FORM})"))?,
            ),
        };
        if let UrlSource::Url(url) = &place
            && (!url.username().is_empty() || url.password().is_some())
        {
            return Err(format!(
                "has a user or password in its URL: put the URL into a file that only you can read, {scheme}:@FILE"
            ));
        }
        Ok(NotifyTarget { form: *form, place })
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("only http and https are spoken".into()),
    }
}

/// Writes the target without what is secret: of a URL the scheme and the host.
impl fmt::Display for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme())?;
        match &self.place {
            UrlSource::File(path) => write!(f, "@{}", path.display()),
            UrlSource::Url(url) => {
                let rest = if is_bare(url) { "/" } else { "/***" };
                write!(f, "{}{rest}", url.origin().ascii_serialization())
            }
        }
    }
}

fn is_bare(url: &Url) -> bool {
    url.path() == "/" && url.query().is_none()
}

impl fmt::Debug for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> NotifyTarget {
        text.parse().unwrap()
    }

    #[test]
    fn names() {
        for (text, shown) in [
            ("webhook:http://h:8080", "webhook:http://h:8080/"),
            ("webhook:https://h/s3cret?k=v", "webhook:https://h/***"),
            ("ping:https://h/?s3cret", "ping:https://h/***"),
            ("slack:@/etc/slack-url", "slack:@/etc/slack-url"),
        ] {
            let target = target(text);
            assert_eq!(target.to_string(), shown);
            assert_eq!(format!("{target:?}"), shown);
            assert_eq!(target.name().parse(), Ok(target));
        }
        assert_eq!(
            target("webhook:https://h/a?k=v").name(),
            "webhook:https://h/a?k=v"
        );
        assert_eq!(NotifyTarget::parse_all("").unwrap(), []);
        assert_eq!(
            NotifyTarget::parse_all("ping:http://a, slack:@/b")
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn errors_show_no_secret() {
        for bad in [
            "",
            "webhook:",
            "https://h/s3cret",
            "mail:s3cret@h",
            "webhook:s3cret",
            "slack:ftp://h/s3cret",
            "ping:https://u:s3cret@h/",
            "webhook:@s3cret-file",
        ] {
            let problem = bad.parse::<NotifyTarget>().unwrap_err();
            assert!(
                !problem.contains("s3cret") || bad.contains("@s3cret"),
                "{problem}"
            );
        }
    }

    #[test]
    fn urls_in_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url");
        let target = target(&format!("webhook:@{}", path.display()));
        assert!(target.url().unwrap_err().contains("No such file"));
        std::fs::write(&path, " https://u:p@h/x \n").unwrap();
        assert_eq!(target.url().unwrap().as_str(), "https://u:p@h/x");
        std::fs::write(&path, "s3cret").unwrap();
        let problem = target.url().unwrap_err();
        assert!(
            problem.contains("no URL") && !problem.contains("s3cret"),
            "{problem}"
        );
    }
}
