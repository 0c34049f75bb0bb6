//! Looks host names up, and tells whose fault it is where there is no answer: the name's own, which is
//! a failed attempt, or that of our name servers, for which nobody is charged.

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RecordType},
    },
};
use tokio::sync::Mutex;

/// How long looking a name up may take.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long our name servers may take for a question that they always know the answer of.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(1);
/// A question that got lost is asked once more.
const ATTEMPTS: u32 = 2;
/// For how long it is believed that our name servers do, or do not, answer.
const CONTROL_KEPT: Duration = Duration::from_secs(1);
/// The longest that an answer is kept, whatever it says itself.
const KEPT_MAX: Duration = Duration::from_secs(60);
/// The same of one that there is nothing: whoever mends a name is not to wait for us.
const NOTHING_KEPT_MAX: Duration = Duration::from_secs(5);
/// How many answers are kept.
const ANSWERS_KEPT: u64 = 4_096;

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// There is none, or those who answer for the name do not.
    #[error("{0}")]
    Theirs(String),
    /// Our name servers answer nobody.
    #[error("our name servers do not answer")]
    Ours,
}

/// What a look-up of a host name gives.
pub type LookedUp = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, NoAddress>> + Send>>;
/// Looks host names up: by name servers, by the system, or in a table of a test.
pub type Lookup = Arc<dyn Fn(String) -> LookedUp + Send + Sync>;

/// The system's resolver. It does not tell whose fault a failure is: it counts as the name's.
#[must_use]
pub fn system_lookup() -> Lookup {
    Arc::new(|host| Box::pin(ask_system(host)))
}

/// Asks these name servers, or those that the system names where there are none. What only this
/// machine can know, `localhost` and names without a dot, is left to the system; so is all where it
/// names no servers that can be read.
#[must_use]
pub fn lookup(servers: &[SocketAddr]) -> Lookup {
    let resolvers = match Resolvers::new(servers) {
        Ok(resolvers) => RwLock::new(Arc::new(resolvers)),
        Err(error) => {
            tracing::warn!(error = %error, "no name servers can be read: the system looks names up");
            return system_lookup();
        }
    };
    let names = Arc::new(Names { servers: servers.to_vec(), resolvers, control: Mutex::default() });
    Arc::new(move |host| match is_of_this_machine(&host) {
        true => Box::pin(ask_system(host)),
        false => {
            let names = names.clone();
            Box::pin(async move { names.addresses(&host).await })
        }
    })
}

fn is_of_this_machine(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    !host.contains('.') || host.ends_with(".localhost")
}

async fn ask_system(host: String) -> Result<Vec<IpAddr>, NoAddress> {
    let theirs = |error: &dyn std::fmt::Display| NoAddress::Theirs(error.to_string());
    let asking = tokio::net::lookup_host((host, 0));
    let found = tokio::time::timeout(DNS_TIMEOUT, asking)
        .await
        .map_err(|_| theirs(&NO_ANSWER))?
        .map_err(|error| theirs(&error))?;
    Ok(found.map(|address| address.ip()).collect())
}

const NO_ANSWER: &str = "no answer in time";

struct Names {
    /// None: those that the system names.
    servers: Vec<SocketAddr>,
    resolvers: RwLock<Arc<Resolvers>>,
    /// Whether our name servers answered when they were last asked for what they always know.
    control: Mutex<Option<(Instant, bool)>>,
}

struct Resolvers {
    names: TokioResolver,
    /// The same servers, and nothing kept.
    control: TokioResolver,
}

impl Resolvers {
    fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let mut names = builder(servers)?;
        let options = names.options_mut();
        bound(options, DNS_TIMEOUT);
        // Both families are asked for: what is bad in one of them must not go unseen.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = ANSWERS_KEPT;
        options.positive_max_ttl = Some(KEPT_MAX);
        options.negative_max_ttl = Some(NOTHING_KEPT_MAX);
        let mut control = builder(servers)?;
        let options = control.options_mut();
        bound(options, CONTROL_TIMEOUT);
        options.cache_size = 0;
        Ok(Self { names: names.build()?, control: control.build()? })
    }
}

fn bound(options: &mut ResolverOpts, whole: Duration) {
    options.timeout = whole / ATTEMPTS;
    // Those after the first.
    options.attempts = ATTEMPTS as usize - 1;
}

fn builder(servers: &[SocketAddr]) -> Result<ResolverBuilder<TokioRuntimeProvider>, NetError> {
    if servers.is_empty() {
        return TokioResolver::builder_tokio();
    }
    let servers = servers.iter().map(|server| {
        let mut config = NameServerConfig::udp_and_tcp(server.ip());
        for connection in &mut config.connections {
            connection.port = server.port();
        }
        config
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
}

impl Names {
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NoAddress> {
        let resolvers = self.resolvers();
        let asking = resolvers.names.lookup_ip(host);
        let why = match tokio::time::timeout(DNS_TIMEOUT, asking).await {
            Ok(Ok(found)) => return Ok(found.iter().collect()),
            Ok(Err(error)) if is_settled(&error) => return Err(NoAddress::Theirs(words(&error))),
            Ok(Err(error)) => words(&error),
            Err(_) => NO_ANSWER.to_owned(),
        };
        match self.do_ours_answer(&resolvers).await {
            true => Err(NoAddress::Theirs(why)),
            false => Err(NoAddress::Ours),
        }
    }

    fn resolvers(&self) -> Arc<Resolvers> {
        self.resolvers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether our name servers know what each of them always does: who serves the root. One that
    /// cannot reach the world itself does not; then a name's failure says nothing about the name.
    async fn do_ours_answer(&self, resolvers: &Resolvers) -> bool {
        let mut control = self.control.lock().await;
        if let Some((at, answered)) = *control
            && at.elapsed() < CONTROL_KEPT
        {
            return answered;
        }
        let asking = resolvers.control.lookup(Name::root(), RecordType::NS);
        let answered = match tokio::time::timeout(CONTROL_TIMEOUT, asking).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => is_settled(&error),
            Err(_) => false,
        };
        let before = control.replace((Instant::now(), answered)).is_none_or(|(_, was)| was);
        match (before, answered) {
            (true, false) => tracing::error!("our name servers do not answer: deliveries wait"),
            (false, true) => tracing::info!("our name servers answer again"),
            _ => {}
        }
        if !answered && self.servers.is_empty() {
            self.read_system_again();
        }
        answered
    }

    /// The system may name other servers by now.
    fn read_system_again(&self) {
        if let Ok(read) = Resolvers::new(&[]) {
            *self.resolvers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        }
    }
}

/// Whether it was answered that there is no such name, or nothing of that kind by it.
fn is_settled(error: &NetError) -> bool {
    let NetError::Dns(DnsError::NoRecordsFound(nothing)) = error else { return false };
    matches!(nothing.response_code, ResponseCode::NXDomain | ResponseCode::NoError)
}

fn words(error: &NetError) -> String {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(nothing)) => match nothing.response_code {
            ResponseCode::NXDomain => "there is no such name".to_owned(),
            ResponseCode::NoError => "it has no address".to_owned(),
            code => code.to_string(),
        },
        NetError::Timeout => NO_ANSWER.to_owned(),
        other => other.to_string(),
    }
}
