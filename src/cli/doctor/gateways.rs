//! The gateways: whether they take pushes, their clocks, and certificates that end soon.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::Findings;
use crate::cli::advice::with_advice;
use crate::cli::console;
use crate::cli::options::GatewayArgs;
use crate::cli::setting::Strictness::Lenient;
use metricsjob::job::GatewayName;
use metricsjob::push::{Gateway, GatewayClient, GatewayError};
use metricsjob_client::{Stop, host};
use metricsjob_metrics::check::CheckError;
use metricsjob_metrics::{Family, GroupingKey, GroupingKeyError, Method, Push};
use metricsjob_state::{FILE_NAME, LazyState, serving};
use metricsjob_web::certificate;

const PART: &str = "gateway";

/// Value of the label `job` of the group that is pushed and deleted.
const PROBE_JOB: &str = "metricsjob_doctor";

/// Time limit for the push, beside that of the connection.
const PUSH_LIMIT: Duration = Duration::from_secs(30);

/// A certificate that ends within this time needs attention.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Checks the gateways of `args`, and those that `of_jobs` name, and returns them. The embedded one is left alone unless
/// `is_state_usable`: a push would replace a corrupt database.
///
/// # Errors
///
/// One that is typed is none.
pub fn check(
    args: &GatewayArgs,
    of_jobs: Vec<GatewayName>,
    is_state_usable: bool,
    findings: &mut Findings,
) -> anyhow::Result<Vec<Gateway>> {
    let targets = args.all_targets(of_jobs, Lenient)?;
    for problem in targets.left_out {
        findings.fail(PART, problem, "correct it: nothing is pushed there");
    }
    if let Some(problem) = targets.connection.unusable {
        findings.fail(PART, problem, "until then reports wait in the outbox");
    }
    for gateway in &targets.gateways {
        match gateway {
            Gateway::Embedded(_) if !is_state_usable => {}
            Gateway::Embedded(dir) => embedded(dir, gateway, findings),
            Gateway::Http(..) => http(gateway, findings),
        }
    }
    Ok(targets.gateways)
}

fn embedded(dir: &Path, gateway: &Gateway, findings: &mut Findings) {
    if !dir.join(FILE_NAME).exists() {
        return findings.ok(PART, "embedded: nothing was pushed to it yet");
    }
    if !is_probed(&GatewayClient::new(gateway), "embedded", findings) {
        return;
    }
    match serving::lock_groups(dir) {
        Ok(None) => findings.ok(PART, "embedded: takes pushes, and is served to Prometheus"),
        _ => findings.ok(
            PART,
            "embedded: takes pushes; for Prometheus serve it by metricsjob gateway, or name a Pushgateway by --gateway",
        ),
    }
}

fn http(gateway: &Gateway, findings: &mut Findings) {
    let client = GatewayClient::new(gateway);
    let name = client.name();
    let start = Instant::now();
    let version = match client.version() {
        Ok(version) => version,
        Err(error) => return findings.fail(PART, with_advice(&error), ""),
    };
    let took = start.elapsed();
    if is_probed(&client, name, findings) {
        let version = match version {
            Some(version) => format!("version {}", console::visible(&version)),
            None => "not a Pushgateway by its API".into(),
        };
        let took = console::rough(took);
        findings.ok(
            PART,
            format!("{name}: {version}, takes pushes and deletions, responds within {took}"),
        );
    }
    for notice in client.notices() {
        findings.warn("clock", format!("{name}: {notice}"), "");
    }
    if let Some(der) = client.certificate() {
        certificate(&format!("the certificate of {name}"), &der, findings);
    }
    if let Gateway::Http(_, connection) = gateway
        && let Some(der) = connection.tls.client_certificate()
    {
        certificate(
            &format!("the client certificate for {name}"),
            &der,
            findings,
        );
    }
}

/// Pushes to a group of the doctor's own, and deletes it. Returns true if both went well.
fn is_probed(client: &GatewayClient, name: &str, findings: &mut Findings) -> bool {
    match probe(client) {
        Ok(()) => true,
        Err(ProbeError::Push(error)) => {
            findings.fail(PART, with_advice(&error), "");
            false
        }
        Err(ProbeError::Delete(error)) => {
            let error = with_advice(&error);
            findings.fail(
                PART,
                format!("{name}: it took a push, but not its deletion: {error}"),
                format!("delete the group {{job={PROBE_JOB}}} there"),
            );
            false
        }
        Err(error) => {
            findings.fail(PART, error.to_string(), "");
            false
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error(transparent)]
    Key(#[from] GroupingKeyError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Push(GatewayError),
    #[error(transparent)]
    Delete(GatewayError),
}

fn probe(client: &GatewayClient) -> Result<(), ProbeError> {
    let host = host::name().map(|host| ("instance".to_owned(), host));
    let key = GroupingKey::new(PROBE_JOB, host)?;
    let family = Family::gauge(
        "metricsjob_doctor_probe",
        "A push that is deleted at once.",
        1.0,
    );
    let push = Push::new(key.clone(), Method::Put, vec![family], SystemTime::now())?;
    let mut state = match client {
        GatewayClient::Embedded(dir) => LazyState::new(dir),
        // It has none of its own.
        GatewayClient::Http { .. } => LazyState::new(Path::new("")),
    };
    let pushed = client.push(&push, &mut state, PUSH_LIMIT, &Stop::never());
    pushed.map_err(ProbeError::Push)?;
    client.delete(&key).map_err(ProbeError::Delete)?;
    Ok(())
}

fn certificate(what: &str, der: &[u8], findings: &mut Findings) {
    const PART: &str = "tls";
    let Some(end) = certificate::not_after(der) else {
        return findings.warn(PART, format!("{what} has no end that can be read"), "");
    };
    let date = humantime::format_rfc3339_seconds(end);
    match end.duration_since(SystemTime::now()) {
        Ok(left) if left >= SOON => findings.ok(PART, format!("{what} is valid until {date}")),
        Ok(_) => findings.warn(PART, format!("{what} ends soon, on {date}"), "renew it"),
        Err(_) => findings.fail(PART, format!("{what} has ended on {date}"), "renew it"),
    }
}
