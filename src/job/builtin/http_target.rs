//! HTTP targets of built-ins.

use reqwest::{Client, RequestBuilder};
use url::Url;

use metricsjob_client::call::{Credentials, NotUtf8};

/// A URL to ask. Credentials are kept apart from it, so that whatever shows the URL cannot leak them.
pub struct HttpTarget {
    /// Without credentials; http or https.
    pub url: Url,
    pub credentials: Option<Credentials>,
}

impl HttpTarget {
    /// Reads `http://…` or `https://…`. The error follows the value in a message, and shows nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "(for example https://shop.example/api/queue)";
        let text = text.trim();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let is_http = |scheme: &str| ["http", "https"].contains(&&*scheme.to_ascii_lowercase());
        if !scheme.is_some_and(is_http) {
            // What stands there may be anything, credentials included.
            return Err(format!("does not begin with http:// or https:// {EXAMPLE}"));
        }
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error} {EXAMPLE}"))?;
        if url.port() == Some(0) {
            return Err(format!(
                "has the port 0, on which nothing listens {EXAMPLE}"
            ));
        }
        HttpTarget::new(url)
    }

    /// A target from an http or https `url`.
    pub fn new(mut url: Url) -> Result<Self, String> {
        if url.fragment().is_some() {
            return Err("has a fragment (#…), which is never sent: remove it".into());
        }
        let credentials = Credentials::take(&mut url).map_err(|NotUtf8| {
            String::from("has a user or password that is not UTF-8 once its %-encoding is undone")
        })?;
        Ok(HttpTarget { url, credentials })
    }

    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// A GET by `client`, with the credentials.
    pub fn get(&self, client: &Client) -> RequestBuilder {
        let request = client.get(self.url.clone());
        match &self.credentials {
            Some(Credentials { user, password }) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }
}
