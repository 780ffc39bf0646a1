//! Settings of jobs in the environment.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use metricsjob_metrics::Method;

use super::JobError;
use crate::Connection;
use crate::credentials::{Authorization, CredentialsError, Secret};
use crate::encoding::{Compression, Format};
use crate::grouping::{GroupingSettings, Instance};

/// Variables with grouping labels.
const GROUPING: &str = "METRICSJOB_GROUPING";
const INSTANCE: &str = "METRICSJOB_INSTANCE";

/// Larger files hold no certificates or credentials.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Settings from variables, and the problems of those that cannot be used.
#[derive(Default)]
pub struct Environment {
    pub gateways: Vec<String>,
    /// Labels that can be used.
    pub grouping: Vec<(String, String)>,
    pub method: Option<Method>,
    pub prefix: Option<String>,
    pub deadline: Option<Duration>,
    pub connection: Connection,
    /// File for the metrics of a command that `metricsjob` runs.
    pub metrics_file: Option<PathBuf>,
    pub problems: Vec<JobError>,
}

impl Environment {
    /// Reads the environment of this process.
    pub fn of_process() -> Self {
        Environment::of(&|name| env::var_os(name))
    }

    fn of(variables: &Variables) -> Self {
        EnvironmentReader {
            variables,
            environment: Environment::default(),
        }
        .read()
    }
}

/// Looks up a variable.
type Variables<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

struct EnvironmentReader<'a> {
    variables: &'a Variables<'a>,
    environment: Environment,
}

impl EnvironmentReader<'_> {
    fn read(mut self) -> Environment {
        let metrics_file = (self.variables)("METRICSJOB_METRICS").filter(|path| !path.is_empty());
        self.environment.metrics_file = metrics_file.map(PathBuf::from);
        self.environment.gateways = self.words("METRICSJOB_GATEWAY");
        self.grouping();
        self.environment.method = self.parsed("METRICSJOB_METHOD", |text| {
            text.parse().map_err(|_| "neither put nor post".to_owned())
        });
        self.environment.prefix = self.text("METRICSJOB_PREFIX");
        self.environment.deadline = self.parsed("METRICSJOB_PUSH_DEADLINE", duration);
        self.connection();
        self.environment
    }

    fn grouping(&mut self) {
        let mut labels = GroupingSettings::default();
        for word in self.words(GROUPING) {
            match word.split_once('=') {
                Some((name, value)) => labels.set(name, value),
                None => self.bad_label(GROUPING, format!("{word:?} is not NAME=VALUE")),
            }
        }
        let mut instance = GroupingSettings::default();
        if let Some(value) = self.parsed(INSTANCE, str::parse::<Instance>) {
            instance.set_instance(value);
        }
        for (variable, level) in [(GROUPING, &mut labels), (INSTANCE, &mut instance)] {
            for problem in level.take_problems() {
                self.bad_label(variable, problem.to_string());
            }
        }
        // As on the command line, a label by its name takes precedence.
        instance.extend(&labels);
        match instance.labels() {
            Ok(labels) => self.environment.grouping = labels,
            Err(problem) => self.bad_label(GROUPING, problem.to_string()),
        }
    }

    fn connection(&mut self) {
        let connect = self.parsed("METRICSJOB_CONNECT_TIMEOUT", duration);
        let total = self.parsed("METRICSJOB_PUSH_TIMEOUT", duration);
        let compression = self.parsed("METRICSJOB_COMPRESS", |text| match text {
            "none" => Ok(Compression::None),
            "gzip" => Ok(Compression::Gzip),
            _ => Err("neither none nor gzip".to_owned()),
        });
        let format = self.parsed("METRICSJOB_FORMAT", |text| match text {
            "text" => Ok(Format::Text),
            "protobuf" => Ok(Format::Protobuf),
            _ => Err("neither text nor protobuf".to_owned()),
        });
        let connection = &mut self.environment.connection;
        connection.timeouts.connect = connect.unwrap_or(connection.timeouts.connect);
        connection.timeouts.total = total.unwrap_or(connection.timeouts.total);
        connection.encoding.compression = compression.unwrap_or_default();
        connection.encoding.format = format.unwrap_or_default();
        // Without credentials that somebody has set, nothing must be sent.
        if let Err(reason) = self.authorize().and_then(|()| self.secure()) {
            self.environment.connection.unusable = Some(reason);
        }
    }

    fn authorize(&mut self) -> Result<(), String> {
        const SCHEMES: [(&str, &str, Authorize); 2] = [
            (
                "METRICSJOB_BASIC_AUTH_FILE",
                "METRICSJOB_BASIC_AUTH",
                Authorization::basic,
            ),
            (
                "METRICSJOB_BEARER_TOKEN_FILE",
                "METRICSJOB_BEARER_TOKEN",
                Authorization::bearer,
            ),
        ];
        for (file, variable, authorize) in SCHEMES {
            let (secret, source) = match (self.file(file)?, (self.variables)(variable)) {
                (Some((path, bytes)), _) => {
                    let text = String::from_utf8(bytes);
                    (text.ok(), format!("{} ({file})", path.display()))
                }
                (None, Some(secret)) if !secret.is_empty() => {
                    (secret.into_string().ok(), variable.to_owned())
                }
                (None, _) => continue,
            };
            let secret = secret.ok_or_else(|| format!("{source} is not UTF-8"))?;
            let secret = Secret::from(secret.trim_end_matches(['\n', '\r']).to_owned());
            let authorization = authorize(&secret, source.clone());
            let authorization = authorization.map_err(|error| format!("{source}: {error}"))?;
            self.environment.connection.authorization = Some(authorization);
            return Ok(());
        }
        Ok(())
    }

    #[cfg(feature = "tls")]
    fn secure(&mut self) -> Result<(), String> {
        if let Some((path, pem)) = self.file("METRICSJOB_CA_FILE")? {
            let trusted = self.environment.connection.tls.trust(pem);
            trusted.map_err(|error| format!("{} (METRICSJOB_CA_FILE): {error}", path.display()))?;
        }
        if let Some((path, pem)) = self.file("METRICSJOB_CLIENT_CERT")? {
            let key = self.file("METRICSJOB_CLIENT_KEY")?;
            let key = key.map_or_else(|| pem.clone(), |(_, key)| key);
            let identified = self.environment.connection.tls.identify(&pem, &key);
            identified
                .map_err(|error| format!("{} (METRICSJOB_CLIENT_CERT): {error}", path.display()))?;
        }
        Ok(())
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Returns the path and the content of the file that `variable` names.
    fn file(&self, variable: &'static str) -> Result<Option<(PathBuf, Vec<u8>)>, String> {
        let Some(path) = (self.variables)(variable).filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let path = PathBuf::from(path);
        let mut content = Vec::new();
        let read =
            File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut content));
        read.map_err(|error| format!("{} ({variable}): {error}", path.display()))?;
        if content.len() as u64 > MAX_BYTES {
            return Err(format!(
                "{} ({variable}) is larger than 4 MiB",
                path.display()
            ));
        }
        Ok(Some((path, content)))
    }

    /// Returns the elements of a list, which have commas or blanks between them.
    fn words(&mut self, variable: &'static str) -> Vec<String> {
        let text = self.text(variable).unwrap_or_default();
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        let words = words.filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    }

    /// Returns the value of `variable`. An empty one is as good as none.
    fn text(&mut self, variable: &'static str) -> Option<String> {
        let value = (self.variables)(variable).filter(|value| !value.is_empty())?;
        let text = value.into_string().ok();
        if text.is_none() {
            self.problem(variable, "it is not UTF-8".into());
        }
        text
    }

    fn parsed<T>(
        &mut self,
        variable: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(variable)?;
        let parsed = parse(&text);
        parsed
            .map_err(|reason| self.problem(variable, format!("{text:?} is {reason}")))
            .ok()
    }

    fn problem(&mut self, variable: &'static str, reason: String) {
        let problem = JobError::Variable { variable, reason };
        self.environment.problems.push(problem);
    }

    fn bad_label(&mut self, variable: &'static str, reason: String) {
        let problem = JobError::Label { variable, reason };
        self.environment.problems.push(problem);
    }
}

type Authorize = fn(&Secret, String) -> Result<Authorization, CredentialsError>;

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err("no time at all".into()),
        Err(error) => Err(format!("not a duration: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use crate::host;

    fn read(variables: &[(&str, &str)]) -> Environment {
        Environment::of(&|name| {
            let mut variables = variables.iter();
            let found = variables.find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    fn problems(variables: &[(&str, &str)]) -> Vec<String> {
        let problems = read(variables).problems.into_iter();
        problems.map(|problem| problem.to_string()).collect()
    }

    fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        let labels = labels.iter();
        labels
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn settings() {
        let environment = read(&[
            ("METRICSJOB_GATEWAY", " http://a:9091\thttp://b:9091 "),
            ("METRICSJOB_GROUPING", "db=customers query=a=b empty="),
            ("METRICSJOB_METHOD", "put"),
            ("METRICSJOB_PREFIX", "nightly"),
            ("METRICSJOB_PUSH_DEADLINE", "1m 30s"),
            ("METRICSJOB_CONNECT_TIMEOUT", "250ms"),
            ("METRICSJOB_COMPRESS", "gzip"),
            ("METRICSJOB_FORMAT", "protobuf"),
            ("METRICSJOB_BASIC_AUTH", "user:s3cret"),
        ]);
        assert!(environment.problems.is_empty());
        assert_eq!(environment.gateways, ["http://a:9091", "http://b:9091"]);
        let grouping = [("db", "customers"), ("empty", ""), ("query", "a=b")];
        assert_eq!(environment.grouping, owned(&grouping));
        assert_eq!(environment.method, Some(Method::Put));
        assert_eq!(environment.prefix.as_deref(), Some("nightly"));
        assert_eq!(environment.deadline, Some(Duration::from_secs(90)));
        let connection = environment.connection;
        assert_eq!(connection.timeouts.connect, Duration::from_millis(250));
        assert_eq!(connection.timeouts.total, Duration::from_secs(10));
        assert_eq!(connection.encoding.compression, Compression::Gzip);
        assert_eq!(connection.encoding.format, Format::Protobuf);
        let authorization = connection.authorization.unwrap();
        assert_eq!(authorization.value(), "Basic dXNlcjpzM2NyZXQ=");
        assert_eq!(connection.unusable, None);
    }

    #[test]
    fn empty_variables_are_as_good_as_none() {
        let names = [
            "GATEWAY",
            "GROUPING",
            "INSTANCE",
            "METHOD",
            "PUSH_DEADLINE",
            "BEARER_TOKEN",
            "METRICS",
        ];
        let names = names.map(|name| format!("METRICSJOB_{name}"));
        let variables: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        let environment = read(&variables);
        assert!(environment.problems.is_empty() && environment.gateways.is_empty());
        assert_eq!(environment.connection, Connection::default());
        assert_eq!(environment.metrics_file, None);
    }

    /// The labels of these variables, none of which has a problem.
    #[track_caller]
    fn labels(grouping: &str, instance: &str) -> Vec<(String, String)> {
        let environment = read(&[(GROUPING, grouping), (INSTANCE, instance)]);
        assert!(environment.problems.is_empty(), "{grouping} {instance}");
        environment.grouping
    }

    #[test]
    fn the_label_instance() {
        let host = host::name().unwrap();
        for (instance, expected) in [
            ("", None),
            ("false", None),
            ("true", Some(&*host)),
            ("web-1", Some("web-1")),
            ("True", Some("True")),
            ("${hostname}", Some(&host)),
            ("$${hostname}", Some("${hostname}")),
        ] {
            let expected: Vec<_> = expected
                .map(|value| ("instance", value))
                .into_iter()
                .collect();
            assert_eq!(labels("", instance), owned(&expected), "{instance}");
        }
        let by_name = owned(&[("instance", "x")]);
        for instance in ["true", "false", "web-1"] {
            assert_eq!(labels("instance=x", instance), by_name, "{instance}");
        }
    }

    #[test]
    fn placeholders() {
        let (host, user) = (host::name().unwrap(), host::user());
        let path = env::var("PATH").unwrap();
        for (value, expected) in [
            ("${hostname}", host.clone()),
            ("${user}@${hostname}", format!("{user}@{host}")),
            ("${env:PATH}", path),
            ("$${hostname}", "${hostname}".into()),
            ("$$${user}", "$${user}".into()),
            ("$5", "$5".into()),
        ] {
            let grouping = format!("a={value},b=1");
            let expected = owned(&[("a", &expected), ("b", "1")]);
            assert_eq!(labels(&grouping, ""), expected, "{value}");
        }
    }

    #[test]
    fn labels_that_cannot_be_used_are_left_out() {
        for (value, part) in [
            (
                "a=${host}",
                "a: there is no placeholder ${host} (known: ${hostname}, ",
            ),
            ("a=${hostname", "no closing brace"),
            (
                "a=${env:NO_SUCH_VARIABLE_I_HOPE}",
                "NO_SUCH_VARIABLE_I_HOPE is not set",
            ),
            ("job=x", "job"),
            ("a-b=x", "\"a-b\""),
            ("=x", "\"\""),
            ("customers", "\"customers\" is not NAME=VALUE"),
        ] {
            let grouping = format!("{value} good=1");
            let variables = [(GROUPING, grouping.as_str()), (INSTANCE, "web-1")];
            let [problem] = &problems(&variables)[..] else {
                panic!("{value}");
            };
            assert!(
                problem.starts_with("a label in METRICSJOB_GROUPING is left out: "),
                "{problem}"
            );
            assert!(problem.contains(part), "{problem}");
            let left = read(&variables).grouping;
            assert_eq!(
                left,
                owned(&[("good", "1"), ("instance", "web-1")]),
                "{value}"
            );
        }
        let variables = [(GROUPING, "good=1"), (INSTANCE, "${nope}")];
        let [problem] = &problems(&variables)[..] else {
            panic!("no problem");
        };
        let expected =
            "a label in METRICSJOB_INSTANCE is left out: instance: there is no placeholder ${nope}";
        assert!(problem.starts_with(expected), "{problem}");
        let left = read(&variables).grouping;
        assert_eq!(left, owned(&[("good", "1")]));
    }

    #[test]
    fn values_that_cannot_be_used() {
        for (variable, value, part) in [
            ("METRICSJOB_METHOD", "patch", "neither put nor post"),
            ("METRICSJOB_COMPRESS", "zstd", "neither none nor gzip"),
            (
                "METRICSJOB_FORMAT",
                "openmetrics",
                "neither text nor protobuf",
            ),
            ("METRICSJOB_PUSH_DEADLINE", "0s", "no time at all"),
            ("METRICSJOB_PUSH_TIMEOUT", "1 hor", "not a duration"),
        ] {
            let [problem] = &problems(&[(variable, value)])[..] else {
                panic!("{variable}");
            };
            for part in [variable, value, part] {
                assert!(problem.contains(part), "{problem}");
            }
        }
        let not_utf8 = Environment::of(&|name| {
            (name == "METRICSJOB_PREFIX").then(|| OsString::from_vec(vec![0xff]))
        });
        assert_eq!(not_utf8.problems.len(), 1);
        assert_eq!(not_utf8.prefix, None);
    }

    #[test]
    fn nothing_is_sent_without_credentials_that_somebody_has_set() {
        for (variable, value) in [
            ("METRICSJOB_BASIC_AUTH_FILE", "/does/not/exist"),
            ("METRICSJOB_BEARER_TOKEN_FILE", "/dev/null"),
            ("METRICSJOB_BEARER_TOKEN", "s3 cret"),
            ("METRICSJOB_BASIC_AUTH_FILE", "/dev/zero"),
            #[cfg(feature = "tls")]
            ("METRICSJOB_CA_FILE", "/dev/null"),
            #[cfg(feature = "tls")]
            ("METRICSJOB_CLIENT_CERT", "/does/not/exist"),
        ] {
            let unusable = read(&[(variable, value)]).connection.unusable;
            let unusable = unusable.unwrap_or_else(|| panic!("{variable}={value}"));
            assert!(unusable.contains(variable), "{unusable}");
            assert!(!unusable.contains("s3 cret"), "{unusable}");
        }
    }
}
