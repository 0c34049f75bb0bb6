//! The only HTTP client: addresses guarded, sizes and times bounded, nothing followed.

mod failure;
mod head;
mod names;
mod timing;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{self, HeaderMap},
    redirect,
};
use url::{Host, Url};

pub(crate) use self::head::{MASKED, as_sent, title_case};
use self::{
    failure::{Blocked, LookupFailed, OursFailed, classify},
    head::with_ours,
    timing::{Watch, WatchConnecting},
};
pub use self::{
    failure::{Failure, SendError},
    names::{DNS_TIMEOUT, LookedUp, Lookup, NoAddress, lookup, system_lookup},
    timing::{Trace, WireTiming},
};
use crate::{
    clock,
    egress::EgressPolicy,
    provider::{self, Call, Hosts},
};

/// How long opening a connection may take, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the receiver may take until its status line.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the whole exchange may take, the answer's body included.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);
/// How much of an answer is read.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024;
/// How much is read of a page of choices, or of a token endpoint's answer.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// The name we go by at customers' own endpoints.
pub const USER_AGENT: &str = "Deptex-Webhook/1.0";
/// The name we go by at providers, where a call does not say another one.
pub const PROVIDER_USER_AGENT: &str = "Deptex-Relay/1.0";
/// How often a call that may follow redirects does so.
const REDIRECTS_MAX: usize = 3;

/// One request, ready to be sent.
#[derive(Debug)]
pub struct Request {
    /// Where to; checked again before it is sent.
    pub url: Url,
    /// What goes with it.
    pub headers: HeaderMap,
    /// The exact bytes.
    pub body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body, at most [`RESPONSE_BYTES_MAX`].
    pub head: Bytes,
}

impl Reply {
    /// The `Retry-After` header, as sent.
    #[must_use]
    pub fn retry_after(&self) -> Option<&str> {
        self.headers.get(header::RETRY_AFTER)?.to_str().ok()
    }
}

/// Whose address a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A provider's own, or one that a customer gave: public addresses only, `https` unless the
    /// operator allows more.
    Customer,
    /// One that the operator set: wherever it lies.
    Operator,
}

impl Route {
    /// The route to an address: the operator's, where a setting moved the provider there.
    #[must_use]
    pub fn to(url: &Url, hosts: &Hosts) -> Self {
        if hosts.is_set(url) { Self::Operator } else { Self::Customer }
    }
}

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The extra certificates are not PEM.
    #[error("the file of extra certificates cannot be read as PEM: {0}")]
    Certificates(reqwest::Error),
    /// The TLS library refused its settings.
    #[error("the HTTP client cannot be built: {0}")]
    Build(reqwest::Error),
}

/// Sends requests to receivers.
#[derive(Clone)]
pub struct HttpClient {
    client: Client,
    /// For documents at addresses that the operator set, wherever they lie.
    operator: Client,
    /// For calls to a provider that the operator moved to another address.
    unguarded: Client,
    policy: Arc<EgressPolicy>,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// One client for the whole process; `extra_roots` is PEM that is trusted beside the system's.
    #[expect(clippy::disallowed_methods, reason = "this is the client's one home")]
    pub fn new(
        policy: Arc<EgressPolicy>,
        lookup: Lookup,
        extra_roots: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        let plain = || {
            Client::builder()
                .no_proxy()
                .redirect(redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
        };
        let operator = plain()
            .timeout(Duration::from_secs(5))
            .user_agent(USER_AGENT)
            .build()
            .map_err(ClientError::Build)?;
        let roots = extra_roots
            .map(reqwest::Certificate::from_pem_bundle)
            .transpose()
            .map_err(ClientError::Certificates)?;
        let bounded = || {
            let builder = plain()
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(EXCHANGE_TIMEOUT)
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(64)
                .tcp_nodelay(true)
                // `X-Deptex-Event`, as it is documented: there are receivers that look at the case.
                .http1_title_case_headers()
                .connector_layer(WatchConnecting);
            match &roots {
                Some(roots) => builder.tls_certs_merge(roots.clone()),
                None => builder,
            }
        };
        let client = bounded()
            .dns_resolver(Guard { policy: policy.clone(), lookup })
            .build()
            .map_err(ClientError::Build)?;
        let unguarded = bounded().build().map_err(ClientError::Build)?;
        Ok(Self { client, operator, unguarded, policy })
    }

    /// What the operator allows.
    #[must_use]
    pub fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    /// Posts a request and reads the beginning of its answer. Ends within [`EXCHANGE_TIMEOUT`].
    pub async fn post(&self, request: Request) -> Result<Reply, SendError> {
        self.post_traced(request, &mut Trace::default()).await
    }

    /// The same, telling where the time went.
    pub async fn post_traced(
        &self,
        request: Request,
        trace: &mut Trace,
    ) -> Result<Reply, SendError> {
        self.check(&request.url)?;
        let headers = with_ours(request.headers, USER_AGENT);
        let (watch, body) = Watch::begin(request.body);
        let sending = self.client.post(request.url).headers(headers).body(body).send();
        let answer = exchange(&watch, sending, RESPONSE_BYTES_MAX).await;
        trace.timing += watch.timing();
        let (status, headers, head) = answer?;
        Ok(Reply { status, headers, head })
    }

    /// Makes a provider's call and reads its answer, at most `bytes_max` of it. Ends within
    /// [`EXCHANGE_TIMEOUT`], and within that for each redirect that the call may follow.
    ///
    /// A redirect is an answer like any other, unless the call says that it follows: GitHub moves a
    /// renamed repository that way. Even then it stays at the host, and what is sent stays the same:
    /// <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>.
    pub async fn send(
        &self,
        call: &Call,
        route: Route,
        bytes_max: usize,
    ) -> Result<provider::Reply, SendError> {
        self.send_traced(call, route, bytes_max, &mut Trace::default()).await
    }

    /// The same, telling where the time went, of all redirects together.
    pub async fn send_traced(
        &self,
        call: &Call,
        route: Route,
        bytes_max: usize,
        trace: &mut Trace,
    ) -> Result<provider::Reply, SendError> {
        let mut url = call.url.clone();
        for _ in 0..REDIRECTS_MAX {
            let reply = self.send_once(call, url.clone(), route, bytes_max, trace).await?;
            match call.follows.then(|| same_host_redirect(&url, &reply)).flatten() {
                Some(elsewhere) => url = elsewhere,
                None => return Ok(reply),
            }
        }
        self.send_once(call, url, route, bytes_max, trace).await
    }

    async fn send_once(
        &self,
        call: &Call,
        url: Url,
        route: Route,
        bytes_max: usize,
        trace: &mut Trace,
    ) -> Result<provider::Reply, SendError> {
        let client = match route {
            Route::Operator => &self.unguarded,
            Route::Customer => {
                self.check(&url)?;
                &self.client
            }
        };
        trace.url = Some(url.clone());
        let headers = with_ours(call.headers.clone(), PROVIDER_USER_AGENT);
        let (watch, body) = Watch::begin(call.body.clone());
        let sending = client.request(call.method.clone(), url).headers(headers).body(body).send();
        let answer = exchange(&watch, sending, bytes_max).await;
        trace.timing += watch.timing();
        let (status, headers, body) = answer?;
        Ok(provider::Reply { status, headers, body, at: clock::now() })
    }

    /// Refuses what the guard of names cannot see: addresses written as such never reach it.
    fn check(&self, url: &Url) -> Result<(), SendError> {
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        if let Some(ip) = literal.filter(|ip| !self.policy.permits(*ip)) {
            return Err(SendError { failure: Failure::Blocked, detail: Blocked(ip).to_string() });
        }
        if url.scheme() != "https" && !self.policy.allow_http {
            let detail = "only https:// is allowed".to_owned();
            return Err(SendError { failure: Failure::Blocked, detail });
        }
        Ok(())
    }

    /// Gets a document from an address that the operator set: nothing of a customer's goes here.
    pub async fn get(&self, url: Url, bytes_max: usize) -> Result<Reply, SendError> {
        let mut response = self.operator.get(url).send().await.map_err(|error| classify(&error))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        Ok(Reply { status, headers, head: read(response, bytes_max).await? })
    }
}

/// One request and its answer: the status, the headers, and the beginning of the body.
async fn exchange(
    watch: &Arc<Watch>,
    sending: impl Future<Output = Result<reqwest::Response, reqwest::Error>>,
    bytes_max: usize,
) -> Result<(u16, HeaderMap, Bytes), SendError> {
    let mut response = first_byte(watch.over(sending)).await?;
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    Ok((status, headers, read(response, bytes_max).await?))
}

/// The answer up to its headers, within [`FIRST_BYTE_TIMEOUT`].
async fn first_byte(
    sending: impl Future<Output = Result<reqwest::Response, reqwest::Error>>,
) -> Result<reqwest::Response, SendError> {
    match tokio::time::timeout(FIRST_BYTE_TIMEOUT, sending).await {
        Ok(answer) => answer.map_err(|error| classify(&error)),
        Err(_) => {
            let detail = format!("no answer within {} s", FIRST_BYTE_TIMEOUT.as_secs());
            Err(SendError { failure: Failure::Timeout, detail })
        }
    }
}

/// Reads the beginning of an answer; what lies beyond is left, and the connection with it.
async fn read(mut response: reqwest::Response, bytes_max: usize) -> Result<Bytes, SendError> {
    let mut head = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        let room = bytes_max - head.len();
        head.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(head.into())
}

/// Where an answer sends us, if it is to the same host. A redirect that makes a GET of what was sent
/// (303) is not one of those.
fn same_host_redirect(from: &Url, reply: &provider::Reply) -> Option<Url> {
    if !matches!(reply.status, 301 | 302 | 307 | 308) {
        return None;
    }
    let to = from.join(reply.header("location")?).ok()?;
    (to.origin() == from.origin()).then_some(to)
}

/// Refuses a whole answer of the resolver when any of its addresses is not allowed, and hands the
/// connector the very addresses that were checked: nothing is looked up twice.
struct Guard {
    policy: Arc<EgressPolicy>,
    lookup: Lookup,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = (self.lookup)(name.as_str().to_owned());
        let policy = self.policy.clone();
        Box::pin(async move {
            let found = match looking.await {
                Ok(found) => found,
                Err(NoAddress::Theirs(why)) => return Err(LookupFailed(why).into()),
                Err(NoAddress::Ours) => return Err(OursFailed.into()),
            };
            if let Some(ip) = found.iter().find(|ip| !policy.permits(**ip)) {
                return Err(Blocked(*ip).into());
            }
            if found.is_empty() {
                return Err(LookupFailed("it has no address".into()).into());
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests;
