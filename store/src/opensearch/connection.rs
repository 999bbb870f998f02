//! The way to a cluster: one request, one answer. Files with secrets and certificates are read again when they change.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use opensearch::auth::{ClientCertificate as Identity, Credentials};
use opensearch::cert::{Certificate, CertificateValidation};
use opensearch::http::headers::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use opensearch::http::transport::{Connection as Node, ConnectionPool, Transport, TransportBuilder};
use opensearch::http::{Method, Url};
use serde_json::Value;

use super::classify;
use super::settings::{Login, OpenSearchSettings, Secret};
use crate::error::{Fate, StoreError};

/// What a cluster answered.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// What is sent.
pub(super) enum Body<'a> {
    None,
    Json(&'a Value),
    Lines(Bytes),
}

/// A cluster that can be asked. Making it connects to nothing.
#[derive(Debug)]
pub(super) struct Connection {
    settings: OpenSearchSettings,
    /// For messages: the first address.
    pub(super) place: String,
    open: Mutex<Option<Open>>,
}

#[derive(Debug, Clone)]
struct Open {
    stamps: Vec<Option<Stamp>>,
    transport: Transport,
    authorization: Option<HeaderValue>,
}

/// What changes when a file is replaced or written to.
type Stamp = (SystemTime, u64, u64);

impl Connection {
    pub(super) fn new(settings: OpenSearchSettings) -> Self {
        let place = settings.urls.first().cloned().unwrap_or_default();
        Self { settings, place, open: Mutex::new(None) }
    }

    pub(super) fn settings(&self) -> &OpenSearchSettings {
        &self.settings
    }

    /// Sends one request.
    ///
    /// # Errors
    /// Returns [`StoreError`] if no answer came; an answer of any status is one.
    pub(super) async fn send(&self, method: Method, path: &str, body: Body<'_>) -> Result<Reply, StoreError> {
        let open = self.current()?;
        let mut headers = HeaderMap::new();
        if let Some(authorization) = open.authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let bytes = match body {
            Body::None => None,
            Body::Json(value) => Some(Bytes::from(value.to_string())),
            Body::Lines(lines) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
                if self.settings.compress {
                    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    Some(gzip(&lines).map_err(|error| self.error("compress", Fate::Blocked, error.to_string()))?)
                } else {
                    Some(lines)
                }
            }
        };
        let timeout = Some(self.settings.request_timeout);
        let failed = |error: opensearch::Error| self.error("ask", Fate::Transient, chain(&error));
        let response = open.transport.send(method, path, headers, None::<&()>, bytes, timeout).await.map_err(failed)?;
        let status = response.status_code().as_u16();
        let body = response.bytes().await.map_err(failed)?;
        Ok(Reply { status, body })
    }

    /// Sends a request that must succeed; returns its answer.
    pub(super) async fn json(&self, method: Method, path: &str, body: Body<'_>) -> Result<Value, StoreError> {
        self.accepted(&self.send(method, path, body).await?, "ask")
    }

    /// As [`Connection::json`]; none where the cluster says that there is no such thing.
    pub(super) async fn find(&self, method: Method, path: &str) -> Result<Option<Value>, StoreError> {
        let reply = self.send(method, path, Body::None).await?;
        if reply.status == 404 {
            return Ok(None);
        }
        self.accepted(&reply, "ask").map(Some)
    }

    /// Reads a reply that must be a success.
    pub(super) fn accepted(&self, reply: &Reply, action: &'static str) -> Result<Value, StoreError> {
        if !(200..300).contains(&reply.status) {
            return Err(self.refused(reply, action));
        }
        serde_json::from_slice(&reply.body)
            .map_err(|error| self.error(action, Fate::Transient, format!("the answer cannot be read: {error}")))
    }

    /// Returns the error of a reply that is no success.
    pub(super) fn refused(&self, reply: &Reply, action: &'static str) -> StoreError {
        let (kind, reason) = problem_of(&reply.body);
        let class = classify::classify(reply.status, &kind, &reason);
        let fix = match class {
            classify::Class::Blocked(fix) => format!(": {}", fix.text()),
            _ => String::new(),
        };
        let text = format!("HTTP {} {kind} {reason}{fix}", reply.status);
        self.error(action, classify::fate(class), text)
    }

    pub(super) fn error(&self, action: &'static str, fate: Fate, text: String) -> StoreError {
        StoreError::Engine { action, place: self.place.clone(), fate, source: text.into() }
    }

    /// Returns the transport as the files are now. Where new files cannot be used, what worked before goes on.
    fn current(&self) -> Result<Open, StoreError> {
        let stamps: Vec<_> = files(&self.settings).into_iter().map(|file| stamp(&file)).collect();
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.as_ref() {
            Some(open) if open.stamps == stamps => return Ok(open.clone()),
            _ => {}
        }
        match open(&self.settings, stamps) {
            Ok(open) => {
                if slot.is_some() {
                    tracing::info!(place = %self.place, "secrets or certificates changed: read again");
                }
                *slot = Some(open.clone());
                Ok(open)
            }
            Err(reason) => match slot.as_ref() {
                Some(old) => {
                    tracing::warn!(place = %self.place, reason, "changed secrets cannot be used: those before stay");
                    Ok(old.clone())
                }
                None => Err(self.error("prepare the way to", Fate::Blocked, reason)),
            },
        }
    }
}

/// Returns type and text of the error in a body, as far as it has them.
pub(super) fn problem_of(body: &[u8]) -> (String, String) {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &value["error"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match error {
        Value::String(reason) => (String::new(), reason.clone()),
        Value::Object(_) => (text(&error["type"]), text(&error["reason"])),
        _ => (String::new(), String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()),
    }
}

fn files(settings: &OpenSearchSettings) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = settings.ca_file.iter().cloned().collect();
    match &settings.login {
        Login::Anonymous => {}
        Login::Basic { password_file, .. } => files.push(password_file.clone()),
        Login::ApiKey { file } => files.push(file.clone()),
    }
    if let Some(certificate) = &settings.client_certificate {
        files.extend([certificate.certificate_file.clone(), certificate.key_file.clone()]);
    }
    files
}

fn stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let data = std::fs::metadata(file).ok()?;
    Some((data.modified().ok()?, data.len(), data.ino()))
}

fn open(settings: &OpenSearchSettings, stamps: Vec<Option<Stamp>>) -> Result<Open, String> {
    let read = |file: &Path| std::fs::read(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()));
    let secret = |file: &Path| -> Result<Secret, String> {
        let text = String::from_utf8(read(file)?).map_err(|_| format!("`{}` is no text", file.display()))?;
        let secret = Secret::new(&text);
        if secret.reveal().is_empty() { Err(format!("`{}` is empty", file.display())) } else { Ok(secret) }
    };
    let authorization = match &settings.login {
        Login::Anonymous => None,
        Login::Basic { user, password_file } => {
            let pair = format!("{user}:{}", secret(password_file)?.reveal());
            Some(format!("Basic {}", super::documents::base64_text(pair.as_bytes())))
        }
        Login::ApiKey { file } => Some(format!("ApiKey {}", secret(file)?.reveal())),
    };
    let authorization = authorization
        .map(|text| {
            let mut value = HeaderValue::from_str(&text).map_err(|_| "the API key is no word".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        })
        .transpose()?;
    let urls = settings.urls.iter().map(|url| {
        // A base path is kept only if it ends with a slash.
        let url = if url.ends_with('/') { url.clone() } else { format!("{url}/") };
        Url::parse(&url).map(Node::new).map_err(|error| error.to_string())
    });
    let nodes = urls.collect::<Result<Vec<_>, _>>()?;
    if nodes.is_empty() {
        return Err("no address is given".to_owned());
    }
    // Proxies of the environment are for the world outside, not for a store.
    let mut builder = TransportBuilder::new(Nodes { nodes: nodes.into(), turn: Arc::default() }).disable_proxy();
    if let Some(file) = &settings.ca_file {
        let certificate = Certificate::from_pem(&read(file)?)
            .map_err(|error| format!("`{}` is no certificate: {}", file.display(), chain(&error)))?;
        builder = builder.cert_validation(CertificateValidation::Full(certificate));
    }
    if let Some(client) = &settings.client_certificate {
        let mut pem = read(&client.key_file)?;
        pem.push(b'\n');
        pem.extend(read(&client.certificate_file)?);
        builder = builder.auth(Credentials::Certificate(Identity::Pem(pem)));
    }
    let transport = builder.build().map_err(|error| chain(&error))?;
    Ok(Open { stamps, transport, authorization })
}

/// Nodes asked in turn.
#[derive(Debug, Clone)]
struct Nodes {
    nodes: Arc<[Node]>,
    turn: Arc<AtomicUsize>,
}

impl ConnectionPool for Nodes {
    fn next(&self) -> Node {
        self.nodes[self.turn.fetch_add(1, Ordering::Relaxed) % self.nodes.len()].clone()
    }
}

fn gzip(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 6), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish().map(Bytes::from)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}
