//! Why a request got no answer, in classes that people can act on.

use std::net::IpAddr;

/// Why there is no answer, in classes that people can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The address is not one that we send to.
    Blocked,
    /// The name could not be looked up.
    Dns,
    /// Our own name servers answer nobody: the receiver is not to blame.
    Resolver,
    /// Nobody accepted the connection.
    Connect,
    /// The certificate has run out, or is not valid yet.
    TlsExpired,
    /// The certificate is for another host.
    TlsHostname,
    /// The certificate is not signed by anybody known.
    TlsUntrusted,
    /// The TLS handshake failed in another way.
    Tls,
    /// A deadline passed.
    Timeout,
    /// The connection broke in the middle.
    Reset,
    /// The answer is not HTTP.
    Protocol,
}

impl Failure {
    /// As stored in `attempts.error_class`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Dns => "dns",
            Self::Resolver => "resolver",
            Self::Connect => "connect",
            Self::TlsExpired => "tls_expired",
            Self::TlsHostname => "tls_hostname",
            Self::TlsUntrusted => "tls_untrusted",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
        }
    }
}

/// A request that got no usable answer.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct SendError {
    /// The class it falls in.
    pub failure: Failure,
    /// What exactly happened, for the person who looks.
    pub detail: String,
}

/// An address that we do not send to.
#[derive(Debug, thiserror::Error)]
#[error("the address {0} is not public")]
pub(super) struct Blocked(pub(super) IpAddr);

/// A host name without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the name could not be looked up: {0}")]
pub(super) struct LookupFailed(pub(super) String);

/// Our own name servers answer nobody.
#[derive(Debug, thiserror::Error)]
#[error("our name servers do not answer")]
pub(super) struct OursFailed;

/// Finds the class of a failure among its causes, and words that hold no URL.
pub(super) fn classify(error: &reqwest::Error) -> SendError {
    let (mut failure, mut detail) = (None, String::new());
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        failure = failure.or_else(|| class_of(current));
        // The outermost message names the URL, which may carry a secret; the causes do not.
        if current.downcast_ref::<reqwest::Error>().is_none() {
            detail = current.to_string();
        }
        cause = current.source();
    }
    let failure = match failure {
        Some(failure) => failure,
        None if error.is_timeout() => Failure::Timeout,
        None if error.is_connect() => Failure::Connect,
        None if error.is_body() || error.is_decode() => Failure::Reset,
        None => Failure::Protocol,
    };
    if detail.is_empty() || failure == Failure::Timeout {
        detail = match failure {
            Failure::Timeout => "a deadline passed".to_owned(),
            other => other.as_str().to_owned(),
        };
    }
    SendError { failure, detail }
}

fn class_of(error: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    use rustls::CertificateError as Certificate;
    use std::io::ErrorKind as Io;
    if error.downcast_ref::<Blocked>().is_some() {
        return Some(Failure::Blocked);
    }
    if error.downcast_ref::<LookupFailed>().is_some() {
        return Some(Failure::Dns);
    }
    if error.downcast_ref::<OursFailed>().is_some() {
        return Some(Failure::Resolver);
    }
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(match tls {
            rustls::Error::InvalidCertificate(why) => match why {
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. } => Failure::TlsExpired,
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                    Failure::TlsHostname
                }
                _ => Failure::TlsUntrusted,
            },
            _ => Failure::Tls,
        });
    }
    let io = error.downcast_ref::<std::io::Error>()?;
    // TLS errors travel inside an I/O error that does not list them as its source.
    if let Some(class) = io.get_ref().and_then(|inner| class_of(inner)) {
        return Some(class);
    }
    match io.kind() {
        Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable => {
            Some(Failure::Connect)
        }
        Io::ConnectionReset | Io::BrokenPipe | Io::UnexpectedEof | Io::ConnectionAborted => {
            Some(Failure::Reset)
        }
        Io::TimedOut => Some(Failure::Timeout),
        _ => None,
    }
}
