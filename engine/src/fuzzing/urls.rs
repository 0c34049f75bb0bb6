//! The guard of URLs: what it lets through leads to the public internet, whoever reads it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::IpNet;

use super::text;
use crate::egress::{EgressPolicy, URL_BYTES_MAX, UrlRefused, is_public};

/// The special addresses of the registries as networks, written down apart from the guard's own rules.
const SPECIAL: [&str; 22] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    // All of IPv6 that is not 2000::/3, and what is special within that.
    "::/3",
    "4000::/2",
    "8000::/1",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
];
/// Names of somebody's own network.
const INNER: [&str; 6] = ["localhost", "local", "localdomain", "internal", "intranet", "home.arpa"];
/// Some ports where something listens that is no receiver.
const NO_RECEIVER: [u16; 14] =
    [0, 22, 23, 25, 53, 110, 143, 445, 2375, 3306, 5432, 6379, 9200, 27017];
const OWN_HOST: &str = "relay.deptex.example";

static NETWORKS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| SPECIAL.iter().map(|net| net.parse().expect("a network")).collect());
static POLICIES: LazyLock<[EgressPolicy; 3]> = LazyLock::new(|| {
    let strict = EgressPolicy { own_hosts: vec![OWN_HOST.into()], ..EgressPolicy::default() };
    let with_http = EgressPolicy { allow_http: true, ..strict.clone() };
    let opened = vec!["10.0.0.0/8".parse().expect("a network")];
    let opened = EgressPolicy { allowed: opened, ..with_http.clone() };
    [strict, with_http, opened]
});

/// Four or sixteen bytes are an address as well.
pub(super) fn check(data: &[u8]) {
    let v4 = <[u8; 4]>::try_from(data).ok().map(IpAddr::from);
    if let Some(ip) = v4.or_else(|| <[u8; 16]>::try_from(data).ok().map(IpAddr::from)) {
        assert_eq!(is_public(ip), !is_special(ip), "{ip}");
    }
    if let Some(raw) = text(data) {
        POLICIES.iter().for_each(|policy| check_under(policy, raw));
    }
}

fn check_under(policy: &EgressPolicy, raw: &str) {
    let Ok(url) = policy.check_url(raw) else { return };
    assert!(raw.len() <= URL_BYTES_MAX);
    assert!(url.scheme() == "https" || policy.allow_http && url.scheme() == "http", "{url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    match policy.check_url(url.as_str()) {
        Ok(again) => assert_eq!(again, url, "the normal form is its own"),
        // Escapes make it longer.
        Err(refused) => {
            let is_longer = url.as_str().len() > URL_BYTES_MAX;
            assert!(refused == UrlRefused::TooLong && is_longer, "{url}: {refused}");
        }
    }
    // Whoever takes the text as it was typed, and whoever takes its normal form.
    for text in [raw, url.as_str()] {
        let (host, port) = host_and_port(text);
        if let Some(ip) = literal(&folded(host)) {
            let allowed = policy.allowed.iter().any(|net| net.contains(&ip));
            assert!(allowed || !is_special(ip), "{text} leads to {ip}");
        }
        if let Some(port) = port {
            assert_eq!(Some(port), url.port_or_known_default(), "{text}");
            assert!(!NO_RECEIVER.contains(&port), "{text}");
        }
    }
    let (host, _) = host_and_port(url.as_str());
    assert_eq!(Some(host), url.host_str(), "the host of the normal form is where it seems to be");
    if literal(host).is_none() {
        check_name(policy, host);
    }
}

fn check_name(policy: &EgressPolicy, host: &str) {
    let name = host.trim_end_matches('.').to_lowercase();
    assert!(!name.is_empty() && name != OWN_HOST, "{host}");
    if policy.allowed.is_empty() {
        let last = |inner: &str| name == inner || name.ends_with(&format!(".{inner}"));
        assert!(!INNER.iter().any(|inner| last(inner)), "{host}");
        assert!(name.contains('.'), "{host}");
    }
}

/// As plain readers of RFC 3986 see them, with nothing mended.
fn host_and_port(url: &str) -> (&str, Option<u16>) {
    let (_, rest) = url.split_once("//").expect("what is accepted has an authority");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

/// A host with its escapes read and its wide letters made narrow, as resolvers may do.
fn folded(host: &str) -> String {
    let mut bytes = Vec::with_capacity(host.len());
    let mut rest = host.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3002}' | '\u{ff61}' => '.',
        other => other,
    };
    String::from_utf8_lossy(&bytes).chars().map(narrow).collect()
}

/// The address that a host is in any spelling that C libraries take: `0x7f.1`, `0177.0.0.1`, `[::1]`.
fn literal(host: &str) -> Option<IpAddr> {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(Into::into);
    }
    let host = host.trim_end_matches('.');
    let parts: Vec<u64> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, front) = parts.split_last()?;
    if front.len() > 3 || front.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 8 * (4 - u32::try_from(front.len()).ok()?);
    if *last >= 1 << room {
        return None;
    }
    let front = front.iter().enumerate().map(|(place, part)| part << (24 - 8 * place));
    u32::try_from(front.sum::<u64>() + last).ok().map(|bits| Ipv4Addr::from_bits(bits).into())
}

fn number(part: &str) -> Option<u64> {
    let lower = part.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some("") => return Some(0),
        Some(digits) => (digits, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    let is_plain = digits.chars().all(|c| c.is_digit(radix));
    u64::from_str_radix(digits, radix).ok().filter(|_| is_plain)
}

fn is_special(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    NETWORKS.iter().any(|net| net.contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_reader_knows_every_spelling() {
        for host in ["127.0.0.1", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "127.0.0.1."] {
            assert_eq!(literal(host), Some(Ipv4Addr::LOCALHOST.into()), "{host}");
        }
        assert_eq!(literal("[::1]"), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(literal(&folded("１２７.０.０.１")), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(literal(&folded("%31%32%37.1")), Some(Ipv4Addr::LOCALHOST.into()));
        for host in ["1.2.3.4.5", "256.1.1.1", "example.com", "", "1..2", "0x7g", "4294967296"] {
            assert_eq!(literal(host), None, "{host}");
        }
        assert_eq!(host_and_port("https://a.b:8443/c?d:9"), ("a.b", Some(8443)));
        assert_eq!(host_and_port("https://[::1]?x"), ("[::1]", None));
    }
}
