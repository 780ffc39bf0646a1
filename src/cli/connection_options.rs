//! The options that say how a gateway is reached.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use reqwest::header::{AUTHORIZATION, HeaderMap};

use super::exit::usage;
use crate::job::duration::parse_positive;
use crate::push::credentials::{Authorization, CredentialsError, Secret, parse_header};
use crate::push::encoding::{self, Encoding};
use crate::push::tls::{self, Tls};
use crate::push::{Connection, Timeouts};

/// The heading of the options that say where reports go.
pub const GATEWAY: &str = "Gateway";

#[derive(Args)]
pub struct ConnectionArgs {
    /// How long to wait for the connection to the gateway
    #[arg(
        long,
        value_name = "DURATION",
        env = "METRICSJOB_CONNECT_TIMEOUT",
        default_value = "5s",
        value_parser = parse_positive,
        help_heading = GATEWAY
    )]
    connect_timeout: Duration,

    /// How long to wait for the gateway's answer, the connection included
    #[arg(
        long,
        value_name = "DURATION",
        env = "METRICSJOB_PUSH_TIMEOUT",
        default_value = "10s",
        value_parser = parse_positive,
        help_heading = GATEWAY
    )]
    push_timeout: Duration,

    /// Trust the certificate authorities in this PEM file instead of the system's
    #[arg(long, value_name = "FILE", env = "METRICSJOB_CA_FILE", help_heading = GATEWAY)]
    ca_file: Option<PathBuf>,

    /// The client certificate for gateways that want one, in PEM form
    ///
    /// The file holds the chain: the certificate itself first. It can hold the key too.
    #[arg(long, value_name = "FILE", env = "METRICSJOB_CLIENT_CERT", help_heading = GATEWAY)]
    client_cert: Option<PathBuf>,

    /// The private key of the client certificate, in PEM form, not encrypted [default: the file of
    /// --client-cert]
    #[arg(long, value_name = "FILE", env = "METRICSJOB_CLIENT_KEY", help_heading = GATEWAY)]
    client_key: Option<PathBuf>,

    /// A file with `user:password` for basic authentication
    ///
    /// Without it the variable METRICSJOB_BASIC_AUTH can hold them. A user and password in a
    /// gateway's URL win for that gateway.
    #[arg(
        long,
        value_name = "FILE",
        env = "METRICSJOB_BASIC_AUTH_FILE",
        help_heading = GATEWAY
    )]
    basic_auth_file: Option<PathBuf>,

    /// A file with a bearer token
    ///
    /// Without it the variable METRICSJOB_BEARER_TOKEN can hold the token.
    #[arg(
        long,
        value_name = "FILE",
        env = "METRICSJOB_BEARER_TOKEN_FILE",
        help_heading = GATEWAY
    )]
    bearer_token_file: Option<PathBuf>,

    /// A further header of each request, or @FILE with one a line; can be given several times
    ///
    /// Other users can see command lines: a header that is secret belongs into a file.
    #[arg(long, value_name = "NAME: VALUE|@FILE", help_heading = GATEWAY)]
    header: Vec<String>,

    // No default of clap's for these two, which would be parsed each time.
    /// How to compress what is sent; a Pushgateway takes gzip from version 1.5.0 on [default: none]
    #[arg(long, value_name = "HOW", env = "METRICSJOB_COMPRESS", help_heading = GATEWAY)]
    compress: Option<Compression>,

    /// The format in which metrics are sent [default: text]
    #[arg(long, value_name = "FORMAT", env = "METRICSJOB_FORMAT", help_heading = GATEWAY)]
    format: Option<Format>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Compression {
    None,
    Gzip,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Protobuf,
    /// Only what `push` reads can be that.
    #[value(hide = true)]
    Openmetrics,
}

/// Larger files are no certificates, credentials or headers.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

impl ConnectionArgs {
    /// What the options say. The files that they name are read here, so that one which cannot be
    /// used is found before anything runs.
    pub fn connection(&self) -> anyhow::Result<Connection> {
        let (headers, custom) = self.headers()?;
        Ok(Connection {
            timeouts: Timeouts {
                connect: self.connect_timeout,
                total: self.push_timeout,
            },
            tls: self.tls()?,
            authorization: self.authorization(custom)?,
            headers,
            encoding: Encoding {
                format: match self.format {
                    None | Some(Format::Text) => encoding::Format::Text,
                    Some(Format::Protobuf) => encoding::Format::Protobuf,
                    Some(Format::Openmetrics) => {
                        return Err(usage(anyhow!(
                            "--format openmetrics is for push, which can read it; what is sent is text or protobuf"
                        )));
                    }
                },
                compression: match self.compress {
                    None | Some(Compression::None) => encoding::Compression::None,
                    Some(Compression::Gzip) => encoding::Compression::Gzip,
                },
            },
        })
    }

    /// Takes out the format `openmetrics`, which is none that is sent. Returns whether it was there.
    pub fn take_openmetrics(&mut self) -> bool {
        let is_there = matches!(self.format, Some(Format::Openmetrics));
        self.format = self.format.filter(|_| !is_there);
        is_there
    }

    fn tls(&self) -> anyhow::Result<Tls> {
        let mut tls = Tls::default();
        if let Some(path) = &self.ca_file {
            let source = source("--ca-file", path);
            tls.trust(read(path, &source)?)
                .map_err(|error| refused(&source, error))?;
        }
        let Some(cert_path) = &self.client_cert else {
            return match &self.client_key {
                Some(path) => Err(refused(
                    &source("--client-key", path),
                    "its certificate is missing: give it by --client-cert",
                )),
                None => Ok(tls),
            };
        };
        let cert_source = source("--client-cert", cert_path);
        let certificate = read(cert_path, &cert_source)?;
        tls::check_certificate(&certificate).map_err(|error| refused(&cert_source, error))?;
        match &self.client_key {
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
    ) -> anyhow::Result<Option<Authorization>> {
        let basic = credentials(
            ("--basic-auth-file", &self.basic_auth_file),
            "METRICSJOB_BASIC_AUTH",
            Authorization::basic,
        )?;
        let bearer = credentials(
            ("--bearer-token-file", &self.bearer_token_file),
            "METRICSJOB_BEARER_TOKEN",
            Authorization::bearer,
        )?;
        let mut given = [basic, bearer, custom].into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(one), Some(other)) => Err(usage(anyhow!(
                "{} and {} both say who we are to the gateway: remove one of them",
                one.source(),
                other.source()
            ))),
            (one, _) => Ok(one),
        }
    }

    /// The further headers, and `Authorization` if it is among them.
    fn headers(&self) -> anyhow::Result<(HeaderMap, Option<Authorization>)> {
        let mut headers = HeaderMap::new();
        let mut authorization = None;
        let mut add = |line: &str, source: String| {
            let (name, value) = parse_header(&Secret::from(line.to_owned()))
                .map_err(|error| refused(&source, error))?;
            if name != AUTHORIZATION {
                headers.append(name, value);
                return Ok(());
            }
            match authorization.replace(Authorization::custom(value, source.clone())) {
                Some(_) => Err(refused(
                    &source,
                    "there is an Authorization before it already",
                )),
                None => Ok(()),
            }
        };
        for (index, given) in self.header.iter().enumerate() {
            let Some(path) = given.strip_prefix('@') else {
                // The value itself must not be shown.
                add(given, format!("--header number {}", index + 1))?;
                continue;
            };
            let file = source("--header", Path::new(given));
            let text = text(read(Path::new(path), &file)?, &file)?;
            for (number, line) in text.lines().enumerate() {
                if !line.trim().is_empty() {
                    add(line, format!("{file}, line {}", number + 1))?;
                }
            }
        }
        Ok((headers, authorization))
    }
}

/// The credentials in a file or, without one, in an environment variable.
fn credentials(
    (option, path): (&str, &Option<PathBuf>),
    variable: &str,
    make: fn(&Secret, String) -> Result<Authorization, CredentialsError>,
) -> anyhow::Result<Option<Authorization>> {
    let (secret, source) = match path {
        Some(path) => {
            let source = source(option, path);
            let mut text = text(read(path, &source)?, &source)?;
            // Only the one that an editor leaves there.
            if text.ends_with('\n') {
                text.pop();
                if text.ends_with('\r') {
                    text.pop();
                }
            }
            (text, source)
        }
        None => match env::var_os(variable) {
            Some(value) => (text(value.into_encoded_bytes(), variable)?, variable.into()),
            None => return Ok(None),
        },
    };
    make(&secret.into(), source.clone())
        .map(Some)
        .map_err(|error| refused(&source, error))
}

/// A file as messages name it.
fn source(option: &str, path: &Path) -> String {
    format!("{option} {}", path.display())
}

fn refused(source: &str, problem: impl std::fmt::Display) -> anyhow::Error {
    usage(anyhow!("{source}: {problem}"))
}

fn read(path: &Path, source: &str) -> anyhow::Result<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > MAX_BYTES {
            true => Err(io::Error::other("it is too large to be the right file")),
            false => Ok(bytes),
        }
    };
    read().map_err(|error| refused(source, format!("could not read the file: {error}")))
}

fn text(bytes: Vec<u8>, source: &str) -> anyhow::Result<String> {
    String::from_utf8(bytes).map_err(|_| refused(source, "it is not UTF-8"))
}
