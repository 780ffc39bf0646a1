//! The options that every server has, named as Prometheus' servers name them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use tracing::level_filters::LevelFilter;
use url::Host;

use super::help::{OUTPUT, SERVER};
use super::number::positive;
use metricsjob::job::duration::parse_positive;
use metricsjob_web::Settings;
use metricsjob_web::log::{self, LogFormat};
use metricsjob_web::origin::parse_allowed_host;

/// How long a connection may stay open between two requests; scrapes are often a minute apart.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A command with another default address has
/// `#[command(mut_arg("listen_address", |arg| arg.default_value(…)))]` below its `flatten`.
#[derive(Args)]
pub struct WebArgs {
    /// Address to listen on, HOST:PORT (repeatable)
    ///
    /// Without a host (`:9091`) it listens on all interfaces: protect it with --web.config.file. Port 0
    /// picks a free port.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9091",
        help_heading = SERVER
    )]
    listen_address: Vec<String>,

    /// File that configures TLS and users, as for other Prometheus servers
    ///
    /// Its format is described at
    /// https://prometheus.io/docs/prometheus/latest/configuration/https/. It is reloaded when it or a
    /// certificate changes.
    #[arg(
        long = "web.config.file",
        value_name = "FILE",
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        help_heading = SERVER
    )]
    config_file: Option<PathBuf>,

    /// Use the sockets passed by systemd (a .socket unit) instead of listen addresses
    #[arg(hide_short_help = true, long = "web.systemd-socket", help_heading = SERVER)]
    systemd_socket: bool,

    /// Maximum number of simultaneous connections
    ///
    /// Beyond it, the longest idle connections are closed. The limit of open files (ulimit -Hn) applies too.
    #[arg(hide_short_help = true, long = "web.max-connections",
        value_name = "COUNT",
        default_value = "16384",
        value_parser = positive::<u32>,
        help_heading = SERVER
    )]
    max_connections: u32,

    /// Time limit for a client to send or receive the next part of a request or response
    ///
    /// It applies to the head of a request and to each part of a body, which may also not fall behind 10 kB/s by
    /// more than this. A client that is too slow gets 408.
    #[arg(hide_short_help = true, long = "web.read-timeout",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = parse_positive,
        help_heading = SERVER
    )]
    read_timeout: Duration,

    /// Host name to accept in the `Host` header (repeatable)
    ///
    /// By default a server on a loopback address accepts only loopback names and addresses, and the name in
    /// --web.external-url: this stops pages of other sites that use DNS rebinding. A server on other addresses accepts any
    /// name unless this option is given. Requests without `Host` are always served.
    #[arg(hide_short_help = true, long = "web.allowed-hosts",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = parse_allowed_host,
        help_heading = SERVER
    )]
    allowed_hosts: Vec<Host>,
}

impl WebArgs {
    pub fn settings(&self) -> Settings {
        Settings {
            listen_addresses: self.listen_address.clone(),
            // As with the other servers, an empty one is none.
            config_file: self
                .config_file
                .clone()
                .filter(|path| !path.as_os_str().is_empty()),
            systemd_socket: self.systemd_socket,
            max_connections: self.max_connections.try_into().unwrap_or(usize::MAX),
            read_timeout: self.read_timeout,
            idle_timeout: IDLE_TIMEOUT,
            allowed_hosts: self.allowed_hosts.clone(),
            external_url: None,
        }
    }
}

fn level_parser() -> impl TypedValueParser<Value = LevelFilter> {
    let names = PossibleValuesParser::new(["debug", "info", "warn", "error"]);
    names.try_map(|name| name.parse::<LevelFilter>())
}

fn format_parser() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(["logfmt", "json"]).map(|name| {
        if name.eq_ignore_ascii_case("json") {
            LogFormat::Json
        } else {
            LogFormat::Logfmt
        }
    })
}

#[derive(Args)]
pub struct LogArgs {
    /// Minimum level of log messages
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        default_value = "info",
        value_parser = level_parser(),
        ignore_case = true,
        help_heading = OUTPUT
    )]
    level: LevelFilter,

    /// Format of the log
    #[arg(
        hide_short_help = true,
        // The gateway's options have another one.
        id = "log_format",
        long = "log.format",
        value_name = "FORMAT",
        default_value = "logfmt",
        value_parser = format_parser(),
        ignore_case = true,
        help_heading = OUTPUT
    )]
    format: LogFormat,
}

impl LogArgs {
    /// Has the process write its log, from here on.
    pub fn install(&self) {
        log::install(self.level, self.format);
    }

    /// The options with their values.
    pub fn flags(&self) -> [(&'static str, String); 2] {
        let format = match self.format {
            LogFormat::Logfmt => "logfmt",
            LogFormat::Json => "json",
        };
        [
            ("log.format", format.to_owned()),
            ("log.level", self.level.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Server {
        #[command(flatten)]
        web: WebArgs,
        #[command(flatten)]
        log: LogArgs,
    }

    #[derive(Parser)]
    #[command(mut_arg("listen_address", |arg| arg.default_value("127.0.0.1:9998")))]
    struct OtherServer {
        #[command(flatten)]
        web: WebArgs,
    }

    fn settings(line: &str) -> Settings {
        let line = format!("server {line}");
        Server::try_parse_from(line.split_whitespace())
            .unwrap()
            .web
            .settings()
    }

    #[test]
    fn defaults() {
        assert_eq!(
            settings(""),
            Settings {
                listen_addresses: vec!["127.0.0.1:9091".into()],
                config_file: None,
                systemd_socket: false,
                max_connections: 16_384,
                read_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(300),
                allowed_hosts: Vec::new(),
                external_url: None,
            }
        );
        let other = OtherServer::try_parse_from(["server"]).unwrap();
        assert_eq!(other.web.settings().listen_addresses, ["127.0.0.1:9998"]);
    }

    #[test]
    fn as_other_servers_take_them() {
        let given = settings(
            "--web.listen-address=:9091 --web.listen-address [::1]:0 --web.config.file= \
             --web.systemd-socket --web.max-connections 5 --web.read-timeout=1m --web.allowed-hosts a.example,[::2] --web.allowed-hosts=B.example",
        );
        assert_eq!(given.listen_addresses, [":9091", "[::1]:0"]);
        assert_eq!(given.config_file, None);
        assert!(given.systemd_socket);
        assert_eq!(given.max_connections, 5);
        assert_eq!(given.read_timeout, Duration::from_secs(60));
        let hosts: Vec<String> = given.allowed_hosts.iter().map(Host::to_string).collect();
        assert_eq!(hosts, ["a.example", "[::2]", "b.example"]);
        assert!(Server::try_parse_from(["server", "--web.max-connections=0"]).is_err());
        assert!(Server::try_parse_from(["server", "--web.read-timeout=0s"]).is_err());
    }

    #[test]
    fn logs() {
        let log = |line: &str| {
            let line = format!("server {line}");
            let server = Server::try_parse_from(line.split_whitespace()).unwrap();
            (server.log.level, server.log.format)
        };
        assert_eq!(log(""), (LevelFilter::INFO, LogFormat::Logfmt));
        let debug = log("--log.level=debug --log.format json");
        assert_eq!(debug, (LevelFilter::DEBUG, LogFormat::Json));
        assert_eq!(
            log("--log.level WARN"),
            (LevelFilter::WARN, LogFormat::Logfmt)
        );
    }
}
