//! `metricsjob`: runs a batch job and reports how it went to a Prometheus Pushgateway.

use std::process::ExitCode;

fn main() -> ExitCode {
    metricsjob::cli::main().into()
}
