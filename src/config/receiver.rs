//! Receivers of alerts: the tables `[[receiver]]`, of which `generate alertmanager` makes routes.

use url::Url;

use super::settings::ValueKind;
use crate::job::file::{Key, Reader, Value};
use crate::job::suggest;

/// The keys of a `[[receiver]]`, and of the tables in it.
const KEYS: &[&str] = &["name", "owner", "severity", "webhook", "slack", "email"];
const WEBHOOK_KEYS: &[&str] = &["url", "bearer_token_file"];
const SLACK_KEYS: &[&str] = &["api_url_file", "channel"];
const EMAIL_KEYS: &[&str] = &["to", "from", "smarthost", "username", "password_file"];

/// The receivers of alerts, and what is wrong with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receivers {
    pub receivers: Vec<AlertReceiver>,
    /// Mistakes, each with its place. They concern nobody who runs a job.
    pub problems: Vec<String>,
}

impl Receivers {
    /// Their names, with commas between them.
    pub fn names(&self) -> String {
        let names = self.receivers.iter().map(|receiver| &*receiver.name);
        names.collect::<Vec<_>>().join(",")
    }
}

/// Somebody who gets alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertReceiver {
    pub name: String,
    /// Owners whose alerts it gets; none for all.
    pub owners: Vec<String>,
    /// Severities of which it gets alerts; none for all.
    pub severities: Vec<String>,
    pub webhook: Option<Webhook>,
    pub slack: Option<SlackChannel>,
    pub email: Option<Mailbox>,
}

impl AlertReceiver {
    /// Returns true if it gets the alerts that no other receiver takes.
    pub fn is_default(&self) -> bool {
        self.owners.is_empty() && self.severities.is_empty()
    }
}

/// A URL to which Alertmanager posts its JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub url: String,
    pub bearer_token_file: Option<String>,
}

/// A channel of Slack, or of what takes Slack's webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackChannel {
    /// A file with the URL of the webhook, which is a secret.
    pub api_url_file: String,
    /// `None` for the webhook's own.
    pub channel: Option<String>,
}

/// A mailbox, and the server that takes mail for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub to: String,
    pub from: String,
    /// `host:port`.
    pub smarthost: String,
    /// User name and file with the password.
    pub login: Option<(String, String)>,
}

impl<'a> Reader<'a> {
    /// Reads all tables `[[receiver]]`; without those that have a mistake.
    pub fn receivers(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<AlertReceiver> {
        let mut receivers: Vec<AlertReceiver> = Vec::new();
        let entries = self.array(key, value, "a list of tables, [[receiver]]");
        for entry in entries.into_iter().flatten() {
            let Some(receiver) = self.receiver(key, entry) else {
                continue;
            };
            let name = &receiver.name;
            if receivers.iter().any(|other| other.name == *name) {
                let problem = format!("another receiver is called {name:?} too");
                self.problem(entry.span(), problem);
            }
            let default = receivers.iter().find(|other| other.is_default());
            if let (true, Some(other)) = (receiver.is_default(), default) {
                let problem = format!(
                    "{name:?} has neither owner nor severity, and {:?} gets what no other takes already: one receiver \
                     can have several of webhook, slack and email",
                    other.name
                );
                self.problem(entry.span(), problem);
            }
            receivers.push(receiver);
        }
        receivers
    }

    fn receiver(&mut self, key: &Key<'a>, entry: &Value<'a>) -> Option<AlertReceiver> {
        let before = self.problems.len();
        let mut receiver = AlertReceiver::default();
        for (key, value) in self.table(key, entry) {
            match key.get_ref().as_ref() {
                "name" => receiver.name = self.filled(key, value).unwrap_or_default(),
                "owner" => receiver.owners = self.one_or_more(key, value),
                "severity" => receiver.severities = self.one_or_more(key, value),
                "webhook" => receiver.webhook = self.webhook(key, value),
                "slack" => receiver.slack = self.slack(key, value),
                "email" => receiver.email = self.email(key, value),
                unknown => self.unknown_key(key, unknown, KEYS),
            }
        }
        if self.problems.len() > before {
            return None;
        }
        let AlertReceiver {
            name,
            webhook,
            slack,
            email,
            ..
        } = &receiver;
        let problem = if name.is_empty() {
            "[[receiver]] needs the key name".to_owned()
        } else if (webhook, slack, email) == (&None, &None, &None) {
            format!("the receiver {name:?} has neither webhook nor slack nor email")
        } else {
            return Some(receiver);
        };
        self.problem(entry.span(), problem);
        None
    }

    fn webhook(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Webhook> {
        let (mut url, mut bearer_token_file) = (None, None);
        for (key, value) in self.table(key, value) {
            match key.get_ref().as_ref() {
                "url" => url = self.url(key, value),
                "bearer_token_file" => bearer_token_file = self.path(key, value),
                unknown => self.unknown_key(key, unknown, WEBHOOK_KEYS),
            }
        }
        Some(Webhook {
            url: self.needed(value, WEBHOOK_KEYS, "webhook", "url", url)?,
            bearer_token_file,
        })
    }

    fn slack(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<SlackChannel> {
        let (mut api_url_file, mut channel) = (None, None);
        for (key, value) in self.table(key, value) {
            match key.get_ref().as_ref() {
                "api_url_file" => api_url_file = self.path(key, value),
                "channel" => channel = self.filled(key, value),
                unknown => self.unknown_key(key, unknown, SLACK_KEYS),
            }
        }
        Some(SlackChannel {
            api_url_file: self.needed(value, SLACK_KEYS, "slack", "api_url_file", api_url_file)?,
            channel,
        })
    }

    fn email(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Mailbox> {
        let [
            mut to,
            mut from,
            mut smarthost,
            mut username,
            mut password_file,
        ] = [const { None }; 5];
        for (key, value) in self.table(key, value) {
            match key.get_ref().as_ref() {
                "to" => to = self.filled(key, value),
                "from" => from = self.filled(key, value),
                "smarthost" => smarthost = self.smarthost(key, value),
                "username" => username = self.filled(key, value),
                "password_file" => password_file = self.path(key, value),
                unknown => self.unknown_key(key, unknown, EMAIL_KEYS),
            }
        }
        let login = match (username, password_file) {
            (Some(username), Some(password_file)) => Some((username, password_file)),
            (None, None) => None,
            (username, _) => {
                let missing = if username.is_some() {
                    "password_file"
                } else {
                    "username"
                };
                self.needed::<()>(value, EMAIL_KEYS, "email", missing, None)?;
                None
            }
        };
        Some(Mailbox {
            to: self.needed(value, EMAIL_KEYS, "email", "to", to)?,
            from: self.needed(value, EMAIL_KEYS, "email", "from", from)?,
            smarthost: self.needed(value, EMAIL_KEYS, "email", "smarthost", smarthost)?,
            login,
        })
    }

    /// A string that is not empty.
    fn filled(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<String> {
        let text = self.string(key, value)?;
        let result = ValueKind::Text.check(&text);
        self.checked(key.get_ref(), value.span(), &text, result)?;
        Some(text)
    }

    /// One string, or a list of them.
    fn one_or_more(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<String> {
        if value.get_ref().as_str().is_some() {
            return self.filled(key, value).into_iter().collect();
        }
        let texts = self.array(key, value, "a string or a list of strings");
        let texts: Vec<&Value<'a>> = texts.into_iter().flatten().collect();
        if texts.is_empty() && value.get_ref().as_array().is_some() {
            let problem = format!("{} is an empty list: leave it out for all", key.get_ref());
            self.problem(value.span(), problem);
        }
        let texts = texts.into_iter();
        texts.filter_map(|text| self.filled(key, text)).collect()
    }

    /// The path of a file. Alertmanager would look for another one where it is started.
    fn path(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<String> {
        let path = self.string(key, value)?;
        let result = ValueKind::Path.check(&path);
        self.checked(key.get_ref(), value.span(), &path, result)?;
        Some(path)
    }

    fn url(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<String> {
        let text = self.string(key, value)?;
        match Url::parse(&text) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                // Neither the one nor the other is shown.
                let problem = "url has a user or a password in it: give bearer_token_file";
                self.problem(value.span(), problem.into());
                None
            }
            Ok(url) if matches!(url.scheme(), "http" | "https") => Some(text),
            Ok(_) | Err(_) => {
                let example = "(for example http://alerts.example:8080/)";
                let problem = format!("url {text:?} is no URL of http or https {example}");
                self.problem(value.span(), problem);
                None
            }
        }
    }

    fn smarthost(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<String> {
        let text = self.string(key, value)?;
        let is_good = text
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_good {
            let problem =
                format!("smarthost {text:?} is not HOST:PORT (for example mail.example:587)");
            self.problem(value.span(), problem);
        }
        is_good.then_some(text)
    }

    /// Unwraps the value of a key that the table `name`, with these `keys`, has to have.
    fn needed<T>(
        &mut self,
        table: &Value<'a>,
        keys: &[&str],
        name: &str,
        key: &str,
        given: Option<T>,
    ) -> Option<T> {
        // A value that is wrong has a problem of its own, and of keys one that is misspelt is the one.
        let is_known =
            |found: &Key<'a>| found.get_ref() != key && keys.contains(&&**found.get_ref());
        let mut found = table.get_ref().as_table().into_iter().flatten();
        if given.is_none() && table.get_ref().is_table() && found.all(|(key, _)| is_known(key)) {
            self.problem(table.span(), format!("{name} needs the key {key}"));
        }
        given
    }

    fn unknown_key(&mut self, key: &Key<'a>, unknown: &str, known: &[&str]) {
        let hint = suggest::hint(unknown, known.iter().copied());
        self.problem(key.span(), format!("unknown key {unknown:?}{hint}"));
    }
}
