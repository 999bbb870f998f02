//! A proxy that understands bulk requests; all others pass as they are.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING,
};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::bulk::{self, Operation, Refusal};
use super::fault::{Fault, Injected, What};
use super::worker::{self, Worker};

/// A proxy in front of a search engine without TLS; its connections are closed when it is dropped.
///
/// Answers come uncompressed, so that they can be read. Compressed requests pass untouched by item faults and are
/// counted as `unreadable`.
#[derive(Debug)]
pub struct BulkProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _worker: Worker,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    injected: Injected,
    before: Option<Answer>,
}

/// An answer in full.
#[derive(Debug, Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Why a request has no answer; the connection is closed then.
#[derive(Debug, Error)]
enum Unanswered {
    #[error("the answer is lost on purpose")]
    OnPurpose,
    #[error("no connection to the server")]
    Connect(#[from] io::Error),
    #[error("no answer of the server")]
    Http(#[from] hyper::Error),
}

impl BulkProxy {
    /// Starts a proxy on a free port of loopback, in front of a node.
    ///
    /// # Errors
    /// If no port or thread can be had.
    pub fn to(upstream: SocketAddr) -> io::Result<Self> {
        let shared = Arc::new(Shared { upstream, state: Mutex::default() });
        let served = Arc::clone(&shared);
        let (address, worker) = worker::start(|listener| serve(listener, served))?;
        Ok(Self { address, shared, _worker: worker })
    }

    /// Returns `http://127.0.0.1:PORT` for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address for clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the faults of coming requests, in the order in which they are applied. Of faults of items, the first that
    /// chooses an item has it.
    pub fn set(&self, faults: Vec<Fault>) {
        self.shared.state().faults = faults;
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.set(Vec::new());
    }

    /// Returns what was done so far.
    #[must_use]
    pub fn injected(&self) -> Injected {
        self.shared.state().injected.clone()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Decides about the items of a request: which the server does not see, and what is told of them.
    fn refusals(&mut self, operations: &[Operation<'_>]) -> BTreeMap<usize, Refusal> {
        let request = self.injected.requests;
        let mut refused = BTreeMap::new();
        for fault in self.faults.iter_mut().filter(|fault| fault.times != Some(0)) {
            let What::Items { choose, status, error } = &fault.what else { continue };
            let mut hit = false;
            for (at, operation) in operations.iter().enumerate() {
                let item = operation.item(at);
                if refused.contains_key(&at) || !choose.takes(&item, request) {
                    continue;
                }
                hit = true;
                *self.injected.items.entry(*status).or_default() += 1;
                self.injected.ids.entry(*status).or_default().extend(item.id.map(str::to_owned));
                refused.insert(at, Refusal { status: *status, error: error.clone() });
            }
            if hit {
                fault.times = fault.times.map(|times| times - 1);
            }
        }
        refused
    }

    /// Takes the status of a whole refusal, if one is due.
    fn refuse(&mut self) -> Option<StatusCode> {
        for fault in self.faults.iter_mut().filter(|fault| fault.times != Some(0)) {
            if let What::Refuse(status) = fault.what {
                fault.times = fault.times.map(|times| times - 1);
                self.injected.refused += 1;
                self.injected.requests += 1;
                return Some(status_code(status));
            }
        }
        None
    }

    /// Does to an answer what is due.
    fn spoil(&mut self, mut answer: Answer) -> Result<Answer, Unanswered> {
        let real = answer.clone();
        let mut lost = false;
        for fault in self.faults.iter_mut().filter(|fault| fault.times != Some(0)) {
            let injected = &mut self.injected;
            match fault.what {
                What::Refuse(_) | What::Items { .. } => continue,
                What::Status(status) => {
                    injected.statuses += 1;
                    answer = error(status_code(status));
                }
                What::LoseAnswer => {
                    injected.lost += 1;
                    lost = true;
                }
                What::Reorder => {
                    injected.reordered += 1;
                    edit(&mut answer, |items| items.reverse());
                }
                What::DropItem => {
                    injected.dropped += 1;
                    edit(&mut answer, |items| drop(items.pop()));
                }
                What::Truncate => {
                    injected.truncated += 1;
                    answer.body.truncate(answer.body.len() / 2);
                }
                What::Repeat => {
                    if let Some(before) = &self.before {
                        injected.repeated += 1;
                        answer = before.clone();
                    }
                }
            }
            fault.times = fault.times.map(|times| times - 1);
        }
        self.before = Some(real);
        if lost { Err(Unanswered::OnPurpose) } else { Ok(answer) }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(|request| handle(request, Arc::clone(&shared)));
                    // An answer that is lost on purpose ends the connection with an error, and is meant to.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Unanswered> {
    let is_bulk = request.uri().path().ends_with("/_bulk");
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let request = Request::from_parts(head, body);
    let answer = if is_bulk { bulk(request, &shared).await? } else { forward(request, shared.upstream).await? };
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

async fn bulk(mut request: Request<Bytes>, shared: &Shared) -> Result<Answer, Unanswered> {
    let refused = shared.state().refuse();
    if let Some(status) = refused {
        return Ok(error(status));
    }
    let body = request.body().clone();
    let compressed = request.headers().contains_key(CONTENT_ENCODING);
    let operations = if compressed { None } else { bulk::parse(&body) };
    let Some(operations) = operations else {
        {
            let mut state = shared.state();
            state.injected.unreadable += 1;
            state.injected.requests += 1;
        }
        let answer = forward(request, shared.upstream).await?;
        return shared.state().spoil(answer);
    };
    let refused = {
        let mut state = shared.state();
        let refused = state.refusals(&operations);
        state.injected.requests += 1;
        refused
    };
    let answer = if refused.is_empty() {
        forward(request, shared.upstream).await?
    } else if refused.len() == operations.len() {
        let mut answer = error(StatusCode::OK);
        answer.body = bulk::splice(None, &operations, &refused).map_or_else(Bytes::new, |body| body.to_string().into());
        answer
    } else {
        *request.body_mut() = bulk::without(&operations, &refused).into();
        let mut answer = forward(request, shared.upstream).await?;
        // An answer to the whole request (503, 429, …) has no items: it stands for the refused ones, too.
        if let Some(body) =
            serde_json::from_slice(&answer.body).ok().and_then(|body| bulk::splice(Some(body), &operations, &refused))
        {
            answer.body = body.to_string().into();
        }
        answer
    };
    shared.state().spoil(answer)
}

/// Hands a request on, over a connection of its own, and returns the answer in full.
async fn forward(request: Request<Bytes>, upstream: SocketAddr) -> Result<Answer, Unanswered> {
    let (mut head, body) = request.into_parts();
    head.headers.remove(ACCEPT_ENCODING);
    without_frame(&mut head.headers);
    let stream = TcpStream::connect(upstream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let mut headers = head.headers;
        without_frame(&mut headers);
        Ok(Answer { status: head.status, headers, body })
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended?;
            exchange.await
        }
    }
}

/// Takes out the headers that belong to one connection; hyper sets those of the other.
fn without_frame(headers: &mut HeaderMap) {
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

fn edit(answer: &mut Answer, change: impl FnOnce(&mut Vec<Value>)) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return };
    if let Some(items) = bulk::items(&mut body) {
        change(items);
        answer.body = body.to_string().into();
    }
}

/// An answer as the engines give it when a whole request fails.
fn error(status: StatusCode) -> Answer {
    let body = json!({
        "error": { "type": "injected_exception", "reason": "injected by the fault proxy" }, "status": status.as_u16()
    });
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    Answer { status, headers, body: body.to_string().into() }
}

/// A number that is no status would be a mistake of the test; it shows as 500.
fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
