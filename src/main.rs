//! `metricsjob`: runs a batch job and reports how it went to a Prometheus Pushgateway.
//!
//! [`cli`] is the command line; everything below it is in the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main().into()
}
