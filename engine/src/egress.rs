//! Where a request may go: the address rules, and the check of a URL that a customer gives us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// The longest URL that is accepted.
pub const URL_BYTES_MAX: usize = 2_048;

/// Ports below 1024 that receivers really use.
const LOW_PORTS: [u16; 2] = [80, 443];
/// Ports from 1024 up where something listens that speaks no HTTP, or should never be reached.
const DENIED_PORTS: [u16; 19] = [
    1433, 1521, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5672, 5900, 5984, 6379, 6443, 9042, 9200,
    10250, 11211, 27017,
];
/// Names that only resolve inside somebody's network.
const INNER_SUFFIXES: [&str; 6] =
    ["localhost", "local", "localdomain", "internal", "intranet", "home.arpa"];

/// What the operator allows.
#[derive(Clone, Debug, Default)]
pub struct EgressPolicy {
    /// Networks that are reachable although they are not public.
    pub allowed: Vec<IpNet>,
    /// Whether `http://` is accepted beside `https://`.
    pub allow_http: bool,
    /// Hosts of our own API, lower case: a webhook there would loop.
    pub own_hosts: Vec<String>,
}

/// Why a URL is refused; each message is a sentence for a toast.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// Any scheme but the ones allowed, or none.
    #[error("webhook_url must start with https://")]
    Scheme,
    /// Not a URL.
    #[error("webhook_url is not a valid URL")]
    Malformed,
    /// Past [`URL_BYTES_MAX`].
    #[error("webhook_url is longer than 2048 characters")]
    TooLong,
    /// `user:password@host`.
    #[error("webhook_url must not contain a user name or password")]
    Userinfo,
    /// An address or name inside a private network.
    #[error("webhook_url must point to a public address")]
    NotPublic,
    /// A port that no webhook receiver uses.
    #[error("webhook_url uses a port that is not allowed")]
    Port,
    /// Our own API.
    #[error("webhook_url must not point back to Deptex")]
    Loop,
}

impl EgressPolicy {
    /// Checks the text that a customer typed and returns the URL in its normal form.
    ///
    /// Names are looked up only when something is sent: see [`EgressPolicy::permits`].
    pub fn check_url(&self, raw: &str) -> Result<Url, UrlRefused> {
        if raw.len() > URL_BYTES_MAX {
            return Err(UrlRefused::TooLong);
        }
        let lower = raw.to_ascii_lowercase();
        let rest = match (lower.strip_prefix("https://"), lower.strip_prefix("http://")) {
            (Some(rest), _) => rest,
            (None, Some(rest)) if self.allow_http => rest,
            _ => return Err(UrlRefused::Scheme),
        };
        // What a parser would silently mend or drop is refused: the text means one thing to everybody.
        if raw.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\')
            || rest.starts_with(['/', '?', '#'])
        {
            return Err(UrlRefused::Malformed);
        }
        let url = Url::parse(raw).map_err(|_| UrlRefused::Malformed)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefused::Userinfo);
        }
        match url.host().ok_or(UrlRefused::Malformed)? {
            Host::Ipv4(ip) if !self.permits(ip.into()) => return Err(UrlRefused::NotPublic),
            Host::Ipv6(ip) if !self.permits(ip.into()) => return Err(UrlRefused::NotPublic),
            Host::Domain(name) => self.check_name(name)?,
            _ => {}
        }
        if !port_allowed(url.port_or_known_default().unwrap_or(0)) {
            return Err(UrlRefused::Port);
        }
        // With or without the dot of the root, a name is the same name.
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        if self.own_hosts.iter().any(|own| own == host) {
            return Err(UrlRefused::Loop);
        }
        Ok(url)
    }

    fn check_name(&self, name: &str) -> Result<(), UrlRefused> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.len() > 253 || name.split('.').any(|label| label.is_empty() || label.len() > 63) {
            return Err(UrlRefused::Malformed);
        }
        let inner = INNER_SUFFIXES
            .iter()
            .any(|suffix| name == *suffix || name.ends_with(&format!(".{suffix}")));
        // Where the operator opened networks of their own, their own names are expected too.
        let unqualified = !name.contains('.');
        if (inner || unqualified) && self.allowed.is_empty() {
            return Err(UrlRefused::NotPublic);
        }
        Ok(())
    }

    /// Whether a request may be sent to this address.
    #[must_use]
    pub fn permits(&self, ip: IpAddr) -> bool {
        let ip = match ip {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
            IpAddr::V4(_) => ip,
        };
        self.allowed.iter().any(|net| net.contains(&ip)) || is_public(ip)
    }
}

/// Whether a host name is written in punycode: it may look like another one.
#[must_use]
pub fn looks_international(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host.split('.').any(|label| label.starts_with("xn--")))
}

fn port_allowed(port: u16) -> bool {
    LOW_PORTS.contains(&port) || (port >= 1024 && !DENIED_PORTS.contains(&port))
}

/// Whether an address belongs to the public internet, by the registries of special-purpose
/// addresses: <https://www.iana.org/assignments/iana-ipv4-special-registry> and its IPv6 twin.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, d] = ip.octets();
    let special = match a {
        0 | 10 | 127 | 224..=255 => true,
        100 => (64..=127).contains(&b),
        // The platform address that cloud virtual machines ask for their settings.
        168 => (b, c, d) == (63, 129, 16),
        169 => b == 254,
        172 => (16..=31).contains(&b),
        192 => matches!((b, c), (0, 0 | 2) | (88, 99) | (168, _)),
        198 => matches!((b, c), (18 | 19, _) | (51, 100)),
        203 => (b, c) == (0, 113),
        _ => false,
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Only 2000::/3 is handed out; inside it, these carry or document something else: Teredo and
    // its neighbours, documentation (2001:db8::, 3fff::), and 6to4, which wraps an IPv4 address.
    let [a, b, ..] = ip.segments();
    let global = a & 0xe000 == 0x2000;
    let special = match a {
        0x2001 => b < 0x0200 || b == 0x0db8,
        0x2002 => true,
        0x3fff => b < 0x1000,
        _ => false,
    };
    global && !special
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Addresses that are not public, in every spelling.
    pub(crate) const NOT_PUBLIC: &[&str] = &[
        "127.0.0.1",
        "[::1]",
        "0.0.0.0", // I1-3
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "１２７.０.０.１",
        "%31%32%37.0.0.1", // I4-9
        "127.0.0.1.",      // I10
        "169.254.169.254",
        "0xa9fea9fe",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16", // I11
        "[::ffff:169.254.169.254]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]", // I12-14
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[2001:0:4136:e378::]", // I15-17
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]", // I18
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.9",
        "240.0.0.1",
        "[2001:db8::1]",
        "[3fff::1]",
        "[100::1]",
    ];
    /// The same by names.
    const INNER_NAMES: [&str; 6] = [
        "LOCALHOST.",
        "x.localhost",
        "localhost", // I10
        "metadata.google.internal",
        "printer.local",
        "postgres", // I22 and kin
    ];

    fn strict() -> EgressPolicy {
        EgressPolicy { own_hosts: vec!["relay.deptex.example".into()], ..EgressPolicy::default() }
    }

    fn refused(raw: &str, policy: &EgressPolicy) -> UrlRefused {
        match policy.check_url(raw) {
            Err(refused) => refused,
            Ok(url) => panic!("{raw:?} was accepted as {url}"),
        }
    }

    /// I1 to I18: every spelling of an address that is not public.
    #[test]
    fn i1_to_i18_addresses_that_are_not_public_are_refused() {
        let policy = EgressPolicy { allow_http: true, ..strict() };
        for host in NOT_PUBLIC.iter().chain(&INNER_NAMES) {
            for scheme in ["http", "https"] {
                assert_eq!(
                    refused(&format!("{scheme}://{host}/x"), &policy),
                    UrlRefused::NotPublic,
                    "{host}"
                );
            }
        }
        assert_eq!(refused("https://[fe80::1%25eth0]/", &policy), UrlRefused::Malformed, "I18");
    }

    #[test]
    fn i24_to_i28_what_is_not_plainly_a_web_address_is_refused() {
        let policy = strict();
        for raw in [
            "file:///etc/passwd",
            "gopher://example.com",
            "ftp://example.com",
            "unix:/run/x",
            "http+unix://x",
            "javascript:alert(1)",
            "data:,x",
            "",
            "example.com",        // I24
            "http://example.com", // I25
            "https:example.com",  // I28
        ] {
            assert_eq!(refused(raw, &policy), UrlRefused::Scheme, "{raw}");
        }
        for raw in
            ["https://user:pw@example.com", "https://example.com@127.0.0.1", "https://@example.com"]
        {
            assert_eq!(refused(raw, &policy), UrlRefused::Userinfo, "{raw} (I26)");
        }
        for raw in [
            "https://127.0.0.1:80\\@example.com",
            "https://example.com\\@127.0.0.1", // I27
            "https://exa\tmple.com",
            "https://example.com/\n",
            "https://example.com/\r",
            "https://example.com/\0",
            "https:///x",
            "https://example.com/a b", // I28
            "https://a..b/",           // I31
        ] {
            assert_eq!(refused(raw, &policy), UrlRefused::Malformed, "{raw:?}");
        }
        assert_eq!(refused(" https://example.com", &policy), UrlRefused::Scheme, "I28");
    }

    #[test]
    fn i29_ports_that_no_receiver_uses_are_refused() {
        let policy = strict();
        for port in ["0", "22", "25", "6379", "5432"] {
            assert_eq!(refused(&format!("https://example.com:{port}/"), &policy), UrlRefused::Port);
        }
        assert_eq!(refused("https://example.com:65536/", &policy), UrlRefused::Malformed);
        for port in ["443", "80", "8443", "8080", "3000"] {
            assert!(policy.check_url(&format!("https://example.com:{port}/")).is_ok(), "{port}");
        }
    }

    #[test]
    fn i30_an_international_name_becomes_punycode_and_is_pointed_out() {
        let url = strict().check_url("https://аррӏе.com/hook").expect("a name all the same");
        assert!(url.host_str().expect("a host").starts_with("xn--"));
        assert!(looks_international(&url));
    }

    #[test]
    fn i31_names_and_urls_past_their_limits_are_refused() {
        let policy = strict();
        let label = "a".repeat(64);
        let host = format!("{}.com", "a.".repeat(126));
        assert_eq!(refused(&format!("https://{label}.com/"), &policy), UrlRefused::Malformed);
        assert_eq!(refused(&format!("https://{host}/"), &policy), UrlRefused::Malformed);
        assert_eq!(
            refused(&format!("https://example.com/{}", "a".repeat(10_000)), &policy),
            UrlRefused::TooLong
        );
    }

    #[test]
    fn i32_our_own_host_is_refused() {
        for host in ["relay.deptex.example", "relay.deptex.example.", "RELAY.Deptex.Example"] {
            let url = format!("https://{host}/v1/events");
            assert_eq!(refused(&url, &strict()), UrlRefused::Loop, "{host}");
        }
    }

    #[test]
    fn b31_networks_that_the_operator_opened_are_reachable_and_no_others() {
        let policy = EgressPolicy {
            allowed: vec!["10.0.0.0/8".parse().expect("a network")],
            allow_http: true,
            ..EgressPolicy::default()
        };
        assert!(policy.check_url("http://10.1.2.3:8080/hook").is_ok());
        assert!(policy.permits("::ffff:10.1.2.3".parse().expect("an address")));
        assert_eq!(refused("http://192.168.0.1/", &policy), UrlRefused::NotPublic);
        for public in ["93.184.216.34", "2606:2800:220:1::1", "100.63.0.1", "172.32.0.1"] {
            assert!(policy.permits(public.parse().expect("an address")), "{public}");
        }
    }
}
