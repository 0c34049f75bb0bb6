//! The only HTTP client: addresses guarded, sizes and times bounded, nothing followed.

mod failure;

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{HeaderMap, HeaderValue},
    redirect,
};
use url::{Host, Url};

use self::failure::{Blocked, LookupFailed, classify};
pub use self::failure::{Failure, SendError};
use crate::egress::EgressPolicy;

/// How long opening a connection may take, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the receiver may take until its status line.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the whole exchange may take, the answer's body included.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long looking a name up may take.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(3);
/// How much of an answer is read.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024;
/// The name we go by.
pub const USER_AGENT: &str = "Deptex-Webhook/1.0";

/// What a look-up of a host name gives.
pub type LookedUp = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;
/// Looks host names up: the system's resolver, or a table in tests.
pub type Lookup = Arc<dyn Fn(String) -> LookedUp + Send + Sync>;

/// The system's resolver.
#[must_use]
pub fn system_lookup() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

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
    /// The `Retry-After` header, as sent.
    pub retry_after: Option<String>,
    /// The beginning of the body, at most [`RESPONSE_BYTES_MAX`].
    pub head: Bytes,
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
    /// For addresses that the operator set, wherever they lie.
    operator: Client,
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
        let mut builder = plain()
            .dns_resolver(Guard { policy: policy.clone(), lookup })
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(EXCHANGE_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(64)
            .tcp_nodelay(true)
            .user_agent(USER_AGENT);
        if let Some(pem) = extra_roots {
            let roots =
                reqwest::Certificate::from_pem_bundle(pem).map_err(ClientError::Certificates)?;
            builder = builder.tls_certs_merge(roots);
        }
        let client = builder.build().map_err(ClientError::Build)?;
        Ok(Self { client, operator, policy })
    }

    /// What the operator allows.
    #[must_use]
    pub fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    /// Posts a request and reads the beginning of its answer. Ends within [`EXCHANGE_TIMEOUT`].
    pub async fn post(&self, request: Request) -> Result<Reply, SendError> {
        // Addresses written as such never reach the resolver, so they are checked here.
        let literal = match request.url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        if let Some(ip) = literal.filter(|ip| !self.policy.permits(*ip)) {
            return Err(SendError { failure: Failure::Blocked, detail: Blocked(ip).to_string() });
        }
        if request.url.scheme() != "https" && !self.policy.allow_http {
            let detail = "only https:// is allowed".to_owned();
            return Err(SendError { failure: Failure::Blocked, detail });
        }
        let mut headers = request.headers;
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        let sending = self.client.post(request.url).headers(headers).body(request.body).send();
        let response = match tokio::time::timeout(FIRST_BYTE_TIMEOUT, sending).await {
            Ok(answer) => answer.map_err(|error| classify(&error))?,
            Err(_) => {
                let detail = format!("no answer within {} s", FIRST_BYTE_TIMEOUT.as_secs());
                return Err(SendError { failure: Failure::Timeout, detail });
            }
        };
        read(response, RESPONSE_BYTES_MAX).await
    }

    /// Gets a document from an address that the operator set: nothing of a customer's goes here.
    pub async fn get(&self, url: Url, bytes_max: usize) -> Result<Reply, SendError> {
        let response = self.operator.get(url).send().await.map_err(|error| classify(&error))?;
        read(response, bytes_max).await
    }
}

/// Reads the beginning of an answer; what lies beyond is left, and the connection with it.
async fn read(mut response: reqwest::Response, bytes_max: usize) -> Result<Reply, SendError> {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok())
        .map(|value| value.chars().take(100).collect());
    let mut head = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        let room = bytes_max - head.len();
        head.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(Reply { status, retry_after, head: head.into() })
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
            let found = tokio::time::timeout(DNS_TIMEOUT, looking)
                .await
                .map_err(|_| LookupFailed("no answer in time".into()))?
                .map_err(|error| LookupFailed(error.to_string()))?;
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
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn client(answers: Vec<Vec<&'static str>>) -> HttpClient {
        let turn = AtomicUsize::new(0);
        let lookup: Lookup = Arc::new(move |_| {
            let at = turn.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
            let found = answers[at].iter().map(|ip| ip.parse().expect("an address")).collect();
            Box::pin(async move { Ok(found) })
        });
        HttpClient::new(
            Arc::new(EgressPolicy { allow_http: true, ..EgressPolicy::default() }),
            lookup,
            None,
        )
        .expect("a client")
    }

    async fn failure(client: &HttpClient, url: &str) -> SendError {
        let url = Url::parse(url).expect("a URL");
        client
            .post(Request { url, headers: HeaderMap::new(), body: Bytes::new() })
            .await
            .expect_err("nothing may be reached")
    }

    /// I19, I20, I22: one bad address among the answers blocks them all.
    #[tokio::test]
    async fn i19_i20_i22_a_name_with_any_inner_address_is_blocked() {
        for answer in [
            vec!["93.184.216.34", "::1"],
            vec!["93.184.216.34", "10.0.0.1"],
            vec!["169.254.169.254"],
        ] {
            let error = failure(&client(vec![answer]), "http://hook.example/").await;
            assert_eq!(error.failure, Failure::Blocked, "{error}");
        }
    }

    /// I21, B31: what was public when it was saved is looked up and judged again when it is sent.
    #[tokio::test]
    async fn i21_b31_a_name_that_moved_to_loopback_gets_no_packet() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let client = client(vec![vec!["127.0.0.1"]]);
        let url = format!("http://hook.example:{port}/");
        assert!(client.policy().check_url(&url).is_ok(), "the name alone says nothing");
        assert_eq!(failure(&client, &url).await.failure, Failure::Blocked);
        let knock = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(knock.is_err(), "a connection arrived");
    }

    #[tokio::test]
    async fn i1_literals_are_blocked_although_the_resolver_never_sees_them() {
        let client = client(vec![vec!["93.184.216.34"]]);
        for url in ["http://127.0.0.1:1/", "http://[::1]:1/", "http://2130706433:1/"] {
            assert_eq!(failure(&client, url).await.failure, Failure::Blocked, "{url}");
        }
    }
}
