//! How to reach a cluster, and how much to send it at once. Plain values: who reads them from a file gives them here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use opensearch::http::Url;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text; white space around it, as the line end of a file, is no part of it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Returns the text itself.
    #[must_use]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Who we are to the cluster. Secrets lie in files, which are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Login {
    /// Nobody: an open cluster, or one that asks for a client certificate alone.
    #[default]
    Anonymous,
    /// A user with a password.
    Basic {
        /// Name of the user.
        user: String,
        /// File with nothing but the password.
        password_file: PathBuf,
    },
    /// An API key of Elasticsearch, encoded as the product prints it.
    ApiKey {
        /// File with nothing but the key.
        file: PathBuf,
    },
}

/// A client's certificate, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate with those that it needs.
    pub certificate_file: PathBuf,
    /// Its key, unencrypted.
    pub key_file: PathBuf,
}

/// How to reach a cluster, and how much to send it at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSearchSettings {
    /// Addresses of nodes, `https://host:9200`; asked in turn, so that a dead one costs one try.
    pub urls: Vec<String>,
    /// What the names of all our indices and templates begin with: `millrace` gives `millrace-flows-2026.11.25`.
    pub index_prefix: String,
    /// Certificate authorities to trust beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Who we are.
    pub login: Login,
    /// The certificate that we show, if any.
    pub client_certificate: Option<ClientCertificate>,
    /// How long one request may take; after that its outcome is unknown and it is tried again.
    pub request_timeout: Duration,
    /// The most bytes of one bulk request, before compression; one record may be larger.
    pub bulk_bytes: usize,
    /// The most documents of one bulk request.
    pub bulk_documents: usize,
    /// Whether bulk requests are compressed (gzip).
    pub compress: bool,
}

impl Default for OpenSearchSettings {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            index_prefix: "millrace".to_owned(),
            ca_file: None,
            login: Login::Anonymous,
            client_certificate: None,
            request_timeout: Duration::from_secs(30),
            // Peers agree on 5 to 15 MiB; below that the cost of a request shows, above it memory does.
            bulk_bytes: 8 << 20,
            bulk_documents: 5000,
            compress: false,
        }
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Name of the setting.
    pub key: &'static str,
    /// Why it cannot be used.
    pub reason: String,
}

impl OpenSearchSettings {
    /// Returns the settings with these addresses, all else by default.
    #[must_use]
    pub fn at<I: IntoIterator<Item = S>, S: Into<String>>(urls: I) -> Self {
        Self { urls: urls.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Looks at every setting; files are looked at when they are used, since they may come and go.
    ///
    /// # Errors
    /// Returns all that cannot be used.
    pub fn validate(&self) -> Result<(), Vec<InvalidSetting>> {
        let mut problems = Vec::new();
        let mut problem = |key: &'static str, reason: String| problems.push(InvalidSetting { key, reason });
        if self.urls.is_empty() {
            problem("urls", "no address is given: name at least one node, as https://host:9200".to_owned());
        }
        for (at, url) in self.urls.iter().enumerate() {
            if let Some(reason) = bad_url(url) {
                // An address may hold a password: it is named by its place.
                problem("urls", format!("address {} {reason}", at + 1));
            }
        }
        let plain = self.urls.iter().any(|url| url.starts_with("http://"));
        if plain && self.client_certificate.is_some() {
            problem("client_certificate", "it needs https:// in every address".to_owned());
        }
        if let Some(reason) = bad_prefix(&self.index_prefix) {
            problem("index_prefix", reason);
        }
        if let Login::Basic { user, .. } = &self.login
            && (user.is_empty() || user.contains(':'))
        {
            problem("user", "the name must not be empty nor hold a colon".to_owned());
        }
        if self.request_timeout < Duration::from_secs(1) {
            problem("request_timeout", "at least 1 s".to_owned());
        }
        if self.bulk_bytes < 1 << 16 {
            problem("bulk_bytes", "at least 65536".to_owned());
        }
        if !(1..=100_000).contains(&self.bulk_documents) {
            problem("bulk_documents", "from 1 to 100000".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

fn bad_url(text: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else { return Some("is no address: write https://host:9200") };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Some("is no address of HTTP: write https://host:9200");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("holds a user: write the user under `user`, the password into `password_file`");
    }
    (url.query().is_some() || url.fragment().is_some()).then_some("has a part after `?` or `#`: leave it out")
}

fn bad_prefix(prefix: &str) -> Option<String> {
    let first = prefix.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let plain = prefix.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    (!first || !plain || prefix.len() > 100)
        .then(|| "1 to 100 lower-case letters, digits, `-`, `_`, `.`, the first a letter or digit".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_need_an_address_alone() {
        let keys = |settings: OpenSearchSettings| -> Vec<&str> {
            settings.validate().err().unwrap_or_default().iter().map(|problem| problem.key).collect()
        };
        assert_eq!(keys(OpenSearchSettings::default()), ["urls"]);
        assert_eq!(keys(OpenSearchSettings::at(["http://a:9200", "https://b/base/"])), [""; 0]);
    }

    #[test]
    fn every_problem_is_told_and_no_secret() {
        let bad = OpenSearchSettings {
            urls: vec!["http://u:hunter2@h".into(), "ftp://h".into(), "x".into(), "http://h?q".into()],
            index_prefix: "Up*".into(),
            login: Login::Basic { user: "a:b".into(), password_file: "p".into() },
            client_certificate: Some(ClientCertificate { certificate_file: "c".into(), key_file: "k".into() }),
            request_timeout: Duration::ZERO,
            bulk_bytes: 0,
            bulk_documents: 0,
            ..OpenSearchSettings::default()
        };
        let problems = bad.validate().unwrap_err();
        let keys: Vec<_> = problems.iter().map(|problem| problem.key).collect();
        let expected = ["urls", "urls", "urls", "urls", "client_certificate", "index_prefix", "user"];
        assert_eq!(keys[..7], expected);
        assert_eq!(keys[7..], ["request_timeout", "bulk_bytes", "bulk_documents"]);
        assert!(!format!("{problems:?}").contains("hunter2"));
        assert_eq!(format!("{:?}", Secret::new("hunter2\n")), "Secret(…)");
    }
}
