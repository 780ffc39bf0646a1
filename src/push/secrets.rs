//! Secrets of this process, kept out of the output of jobs that we show or store.

use std::env;

use url::Position;

use metricsjob_client::GatewayUrl;
use metricsjob_client::call::Credentials;
use metricsjob_client::secrets::{Secrets, forms_of_gateway};

use super::gateway::Gateway;
use super::recipient::DeliveryTarget;
use crate::job::{NotifyTarget, ReportDestination, elements};

/// Environment variables that hold credentials, and nothing else.
const CREDENTIALS: [&str; 2] = ["METRICSJOB_BEARER_TOKEN", "METRICSJOB_BASIC_AUTH"];
/// The variable with the URLs of webhooks, which are secrets.
const NOTIFY: &str = "METRICSJOB_NOTIFY";
/// The variable that can hold credentials besides its other content.
const GATEWAY: &str = "METRICSJOB_GATEWAY";
const PROXIES: [&str; 6] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// Secrets of this process: those for `destinations`, the URLs of `notified`, and those in its environment.
pub fn of_process(destinations: &[DeliveryTarget], notified: &[NotifyTarget]) -> Secrets {
    let mut forms = of_environment();
    let urls = notified.iter().filter_map(NotifyTarget::given_url);
    forms.extend(urls.map(|url| url[Position::BeforePath..].to_owned()));
    for destination in destinations {
        if let DeliveryTarget::Gateway(Gateway::Http(url, connection))
        | DeliveryTarget::Target(ReportDestination::RemoteWrite(url), connection) = destination
        {
            forms.extend(forms_of_gateway(url, connection));
        }
    }
    Secrets::new(forms)
}

/// Secrets in our environment, in use or not.
fn of_environment() -> Vec<String> {
    let value = |name| env::var(name).unwrap_or_default();
    let [token, pair] = CREDENTIALS.map(value);
    let mut forms = vec![token.trim_end().to_owned()];
    if let Some((user, password)) = pair.trim_end_matches(['\r', '\n']).split_once(':') {
        let (user, password) = (user.to_owned(), password.to_owned());
        forms.extend(Credentials { user, password }.secrets());
    }
    for url in [GATEWAY].into_iter().chain(PROXIES).map(value) {
        forms.extend(elements(&url).flat_map(of_url));
    }
    forms
}

/// Secrets in a text that is to be a URL.
fn of_url(text: &str) -> Vec<String> {
    let Some((before, _)) = text.rsplit_once('@') else {
        return Vec::new();
    };
    let user_info = before.rsplit_once("//").map_or(before, |(_, rest)| rest);
    // As it is written, which can be percent-encoded.
    let written = user_info.split_once(':').map(|(_, password)| password);
    let mut forms = vec![written.unwrap_or(user_info).to_owned()];
    match GatewayUrl::parse(text) {
        Ok(url) => forms.extend(url.credentials().into_iter().flat_map(Credentials::secrets)),
        // One that is mistyped: `http:/user:password@host`.
        Err(_) => forms.extend(before.rsplit(':').next().map(str::to_owned)),
    }
    forms
}

/// Variables of our environment that hold credentials, each with the value without them that a process gets in
/// its place, if there is one.
pub fn withheld() -> Vec<(&'static str, Option<String>)> {
    let mut variables: Vec<_> = CREDENTIALS.map(|name| (name, None)).into();
    variables.push((NOTIFY, None));
    if let Some(given) = env::var_os(GATEWAY) {
        let given = given.to_string_lossy();
        let gateways = elements(&given).map(|part| match part {
            part if part.contains('@') => GatewayUrl::parse(part).map(|url| url.to_string()),
            part => Ok(part.to_owned()),
        });
        let gateways: Option<Vec<String>> = gateways.map(Result::ok).collect();
        variables.push((GATEWAY, gateways.map(|gateways| gateways.join(" "))));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_credentials() {
        for url in [
            "http://u:s3cret@h",
            "u:s3cret@h",
            "http://s3cret@h",
            "http:/u:s3cret@h",
            "http//u:s3cret@h",
            "http:\\\\u:s3cret@h",
        ] {
            assert!(of_url(url).contains(&"s3cret".to_owned()), "{url}");
        }
        let forms = of_url("http://u:s3%2Fcret@h");
        assert!(forms.contains(&"s3/cret".into()) && forms.contains(&"s3%2Fcret".into()));
        assert!(of_url("http://h").is_empty());
    }
}
