//! Options for reaching a gateway.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::builder::{EnumValueParser, PathBufValueParser};
use clap::{Args, ValueEnum};
use reqwest::header::{AUTHORIZATION, HeaderMap};

use super::exit::usage;
use super::help::GATEWAY;
use super::setting::{Setting, Strictness, given, setting};
use metricsjob::job::duration::parse_positive;
use metricsjob_client::credentials::{Authorization, CredentialsError, Secret, parse_header};
use metricsjob_client::encoding::{self, Encoding};
use metricsjob_client::tls::{self, Tls};
use metricsjob_client::{Connection, Timeouts};
use metricsjob_system::reason;

#[derive(Args)]
pub struct ConnectionArgs {
    /// Time limit for connecting to the gateway
    #[arg(hide_short_help = true, long,
        value_name = "DURATION",
        env = "METRICSJOB_CONNECT_TIMEOUT",
        hide_env_values = true,
        default_value = "5s",
        value_parser = setting(parse_positive),
        help_heading = GATEWAY
    )]
    connect_timeout: Setting<Duration>,

    /// Time limit for one request to the gateway, connecting included
    #[arg(hide_short_help = true, long,
        value_name = "DURATION",
        env = "METRICSJOB_PUSH_TIMEOUT",
        hide_env_values = true,
        default_value = "10s",
        value_parser = setting(parse_positive),
        help_heading = GATEWAY
    )]
    push_timeout: Setting<Duration>,

    #[command(flatten)]
    identity: IdentityArgs,

    // No default of clap's for these two, which would be parsed each time.
    /// Compression of request bodies; a Pushgateway accepts gzip since version 1.5.0 [default: none]
    #[arg(hide_short_help = true, long,
        value_name = "HOW",
        env = "METRICSJOB_COMPRESS",
        hide_env_values = true,
        value_parser = setting(EnumValueParser::<CompressionArg>::new()),
        help_heading = GATEWAY
    )]
    compress: Option<Setting<CompressionArg>>,

    /// Format of the metrics that are sent [default: text]
    #[arg(hide_short_help = true, long,
        value_name = "FORMAT",
        env = "METRICSJOB_FORMAT",
        hide_env_values = true,
        value_parser = setting(EnumValueParser::<FormatArg>::new()),
        help_heading = GATEWAY
    )]
    format: Option<Setting<FormatArg>>,
}

/// Whom we trust, and who we are, on the way to a server.
#[derive(Args)]
pub struct IdentityArgs {
    /// PEM file of certificate authorities to trust instead of the system's
    #[arg(hide_short_help = true, long, value_name = "FILE", env = "METRICSJOB_CA_FILE", hide_env_values = true, help_heading = GATEWAY)]
    ca_file: Option<PathBuf>,

    /// PEM file with the client certificate, for gateways that ask for one
    ///
    /// It holds the chain, the client's own certificate first, and may hold the private key too.
    #[arg(hide_short_help = true, long, value_name = "FILE", env = "METRICSJOB_CLIENT_CERT", hide_env_values = true, help_heading = GATEWAY)]
    client_cert: Option<PathBuf>,

    /// PEM file with the private key of the client certificate, unencrypted [default: the file of
    /// --client-cert]
    #[arg(hide_short_help = true, long,
        value_name = "FILE",
        env = "METRICSJOB_CLIENT_KEY",
        hide_env_values = true,
        value_parser = setting(PathBufValueParser::new()),
        help_heading = GATEWAY
    )]
    client_key: Option<Setting<PathBuf>>,

    /// File with `user:password` for basic authentication
    ///
    /// They can be in the variable METRICSJOB_BASIC_AUTH instead. A user and password in a gateway's URL
    /// take precedence for that gateway.
    #[arg(hide_short_help = true, long,
        value_name = "FILE",
        env = "METRICSJOB_BASIC_AUTH_FILE",
        hide_env_values = true,
        value_parser = setting(PathBufValueParser::new()),
        help_heading = GATEWAY
    )]
    basic_auth_file: Option<Setting<PathBuf>>,

    /// File with a bearer token
    ///
    /// The token can be in the variable METRICSJOB_BEARER_TOKEN instead.
    #[arg(hide_short_help = true, long,
        value_name = "FILE",
        env = "METRICSJOB_BEARER_TOKEN_FILE",
        hide_env_values = true,
        value_parser = setting(PathBufValueParser::new()),
        help_heading = GATEWAY
    )]
    bearer_token_file: Option<Setting<PathBuf>>,

    /// Header to add to each request, or @FILE with one header per line (repeatable)
    ///
    /// Other users can see command lines: keep secret headers in a file.
    #[arg(hide_short_help = true, long, value_name = "NAME: VALUE|@FILE", help_heading = GATEWAY)]
    header: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CompressionArg {
    None,
    Gzip,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    Text,
    Protobuf,
    /// Only what `push` reads can be that.
    #[value(hide = true)]
    Openmetrics,
}

/// Larger files are no certificates, credentials or headers.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Why a gateway cannot be reached as the options say.
enum OptionProblem {
    /// The command line contradicts itself, or a value on it is wrong.
    Typed(anyhow::Error),
    /// A variable or a file is wrong or missing.
    Elsewhere(anyhow::Error),
}

impl ConnectionArgs {
    /// Makes a connection of the options. The files that they name are read here, so that one which cannot be used is
    /// found before anything runs.
    ///
    /// # Errors
    ///
    /// A mistake on the command line; one in a variable or a file only if `strictness` makes that wrong usage. Where it
    /// does not, the connection is [unusable](Connection::unusable).
    pub fn connection(&self, strictness: Strictness) -> anyhow::Result<Connection> {
        let default = Timeouts::default();
        let timeouts = Timeouts {
            connect: self.connect_timeout.get_or(default.connect, strictness)?,
            total: self.push_timeout.get_or(default.total, strictness)?,
        };
        let encoding = Encoding {
            format: match given(&self.format, strictness)? {
                None | Some(FormatArg::Text) => encoding::Format::Text,
                Some(FormatArg::Protobuf) => encoding::Format::Protobuf,
                Some(FormatArg::Openmetrics) => {
                    let is_typed = self.format.as_ref().is_some_and(Setting::is_typed);
                    let strictness = if is_typed {
                        Strictness::Strict
                    } else {
                        strictness
                    };
                    strictness.settle(
                        "--format openmetrics is for push, which can read it; what is sent is text or protobuf",
                    )?;
                    encoding::Format::Text
                }
            },
            compression: match given(&self.compress, strictness)? {
                None | Some(CompressionArg::None) => encoding::Compression::None,
                Some(CompressionArg::Gzip) => encoding::Compression::Gzip,
            },
        };
        let connection = Connection {
            timeouts,
            encoding,
            ..Connection::default()
        };
        self.identity.apply(connection, strictness)
    }

    /// Takes out the format `openmetrics` if it was typed: it is none that is sent. Returns whether it was there.
    pub fn take_openmetrics(&mut self) -> bool {
        let is_openmetrics = |format: &mut Setting<FormatArg>| {
            format.is_typed()
                && matches!(
                    format.get(Strictness::Strict),
                    Ok(Some(FormatArg::Openmetrics))
                )
        };
        self.format.take_if(is_openmetrics).is_some()
    }
}

impl IdentityArgs {
    /// `connection` with the trusted certificates, our credentials and headers.
    ///
    /// # Errors
    ///
    /// As those of [`ConnectionArgs::connection`].
    pub fn apply(
        &self,
        connection: Connection,
        strictness: Strictness,
    ) -> anyhow::Result<Connection> {
        match self.identified(connection.clone()) {
            Ok(connection) => Ok(connection),
            Err(OptionProblem::Elsewhere(error)) if strictness == Strictness::Lenient => {
                Ok(Connection {
                    unusable: Some(error.to_string()),
                    ..connection
                })
            }
            Err(OptionProblem::Typed(error) | OptionProblem::Elsewhere(error)) => Err(usage(error)),
        }
    }

    /// Returns true if credentials or headers are on the command line.
    pub fn are_typed(&self) -> bool {
        let mut files = [&self.basic_auth_file, &self.bearer_token_file].into_iter();
        !self.header.is_empty() || files.any(|file| file.as_ref().is_some_and(Setting::is_typed))
    }

    fn identified(&self, connection: Connection) -> Result<Connection, OptionProblem> {
        let (headers, custom) = self.headers()?;
        Ok(Connection {
            tls: self.tls()?,
            authorization: self.authorization(custom)?,
            headers,
            ..connection
        })
    }

    fn tls(&self) -> Result<Tls, OptionProblem> {
        let mut tls = Tls::default();
        if let Some(path) = &self.ca_file {
            let source = source("--ca-file", path);
            tls.trust(read(path, &source)?)
                .map_err(|error| refused(&source, error))?;
        }
        let client_key = path_of(&self.client_key);
        let Some(cert_path) = &self.client_cert else {
            return match &self.client_key {
                Some(key) => Err(at_odds(
                    key.is_typed(),
                    format!(
                        "{}: its certificate is missing: give it by --client-cert",
                        source("--client-key", client_key.unwrap_or(Path::new("")))
                    ),
                )),
                None => Ok(tls),
            };
        };
        let cert_source = source("--client-cert", cert_path);
        let certificate = read(cert_path, &cert_source)?;
        tls::check_certificate(&certificate).map_err(|error| refused(&cert_source, error))?;
        match client_key {
            Some(path) => {
                let source = source("--client-key", path);
                tls.identify(&certificate, &read(path, &source)?)
                    .map_err(|error| refused(&source, error))?;
            }
            None => tls.identify(&certificate, &certificate).map_err(|error| {
                refused(
                    &cert_source,
                    format!("{error} (--client-key can name another file for the key)"),
                )
            })?,
        }
        Ok(tls)
    }

    /// The header `Authorization`, of which there can be only one.
    fn authorization(
        &self,
        custom: Option<Authorization>,
    ) -> Result<Option<Authorization>, OptionProblem> {
        let basic = credentials(
            ("--basic-auth-file", path_of(&self.basic_auth_file)),
            "METRICSJOB_BASIC_AUTH",
            Authorization::basic,
        )?;
        let bearer = credentials(
            ("--bearer-token-file", path_of(&self.bearer_token_file)),
            "METRICSJOB_BEARER_TOKEN",
            Authorization::bearer,
        )?;
        let is_typed = |file: &Option<Setting<PathBuf>>| {
            usize::from(file.as_ref().is_some_and(Setting::is_typed))
        };
        let typed = is_typed(&self.basic_auth_file)
            + is_typed(&self.bearer_token_file)
            + usize::from(custom.is_some());
        let mut given = [basic, bearer, custom].into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(one), Some(other)) => Err(at_odds(
                typed > 1,
                format!(
                    "{} and {} both say who we are to the gateway: remove one of them",
                    one.source(),
                    other.source()
                ),
            )),
            (one, _) => Ok(one),
        }
    }

    /// The further headers, and `Authorization` if it is among them.
    fn headers(&self) -> Result<(HeaderMap, Option<Authorization>), OptionProblem> {
        let mut headers = HeaderMap::new();
        let mut authorization = None;
        let mut add = |line: &str, source: String| {
            let (name, value) = parse_header(&Secret::from(line.to_owned()))
                .map_err(|error| anyhow!("{source}: {error}"))?;
            if name != AUTHORIZATION {
                headers.append(name, value);
                return Ok(());
            }
            match authorization.replace(Authorization::custom(value, source.clone())) {
                Some(_) => Err(anyhow!(
                    "{source}: there is an Authorization before it already"
                )),
                None => Ok(()),
            }
        };
        for (index, given) in self.header.iter().enumerate() {
            let Some(path) = given.strip_prefix('@') else {
                // The value itself must not be shown.
                add(given, format!("--header number {}", index + 1))
                    .map_err(OptionProblem::Typed)?;
                continue;
            };
            let file = source("--header", Path::new(given));
            let text = text(read(Path::new(path), &file)?, &file)?;
            for (number, line) in text.lines().enumerate() {
                if !line.trim().is_empty() {
                    add(line, format!("{file}, line {}", number + 1))
                        .map_err(OptionProblem::Elsewhere)?;
                }
            }
        }
        Ok((headers, authorization))
    }
}

/// The path that was given. Only an empty one is none, and an empty variable is not there.
fn path_of(file: &Option<Setting<PathBuf>>) -> Option<&Path> {
    let path = file.as_ref()?.get(Strictness::Strict).ok()??;
    Some(path)
}

/// The credentials in a file or, without one, in an environment variable.
fn credentials(
    (option, path): (&str, Option<&Path>),
    variable: &str,
    make: fn(&Secret, String) -> Result<Authorization, CredentialsError>,
) -> Result<Option<Authorization>, OptionProblem> {
    let (secret, source) = match path {
        Some(path) => {
            let source = source(option, path);
            (text(read(path, &source)?, &source)?, source)
        }
        None => match env::var_os(variable) {
            Some(value) => (text(value.into_encoded_bytes(), variable)?, variable.into()),
            None => return Ok(None),
        },
    };
    // Only the one that an editor leaves there, or a shell's `$(…)` would have removed.
    let secret = secret
        .strip_suffix('\n')
        .map_or(&*secret, |line| line.strip_suffix('\r').unwrap_or(line));
    make(&secret.to_owned().into(), source.clone())
        .map(Some)
        .map_err(|error| refused(&source, error))
}

/// A file as messages name it.
fn source(option: &str, path: &Path) -> String {
    format!("{option} {}", path.display())
}

/// Settings that contradict each other; `are_typed` if only the command line can be to blame.
fn at_odds(are_typed: bool, problem: String) -> OptionProblem {
    if are_typed {
        OptionProblem::Typed(anyhow!(problem))
    } else {
        OptionProblem::Elsewhere(anyhow!(problem))
    }
}

fn refused(source: &str, problem: impl std::fmt::Display) -> OptionProblem {
    OptionProblem::Elsewhere(anyhow!("{source}: {problem}"))
}

fn read(path: &Path, source: &str) -> Result<Vec<u8>, OptionProblem> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            Err(io::Error::other("it is too large to be the right file"))
        } else {
            Ok(bytes)
        }
    };
    read().map_err(|error| {
        refused(
            source,
            format!("could not read the file: {}", reason(&error)),
        )
    })
}

/// The text in `bytes`, without the byte order mark that some editors write before it.
fn text(bytes: Vec<u8>, source: &str) -> Result<String, OptionProblem> {
    let text = String::from_utf8(bytes).map_err(|_| refused(source, "it is not UTF-8"))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}
