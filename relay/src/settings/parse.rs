//! What each kind of setting may say. The messages name the form expected, never what was found.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{LogFormat, Membership};

/// What a malformed value should have been.
pub(super) type Expected = &'static str;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const DURATION_MAX: Duration = Duration::from_secs(3650 * DAY);

pub(super) fn text(text: &str) -> Result<String, Expected> {
    Ok(text.to_owned())
}

pub(super) fn secret(text: &str) -> Result<SecretString, Expected> {
    Ok(SecretString::from(text))
}

pub(super) fn secrets(text: &str) -> Result<Vec<SecretString>, Expected> {
    items(text).map(secret).collect()
}

pub(super) fn postgres_url(text: &str) -> Result<SecretString, Expected> {
    let expected = "must be a URL that begins with postgres:// or postgresql://";
    let url = Url::parse(text).map_err(|_| expected)?;
    if matches!(url.scheme(), "postgres" | "postgresql") { secret(text) } else { Err(expected) }
}

/// 32 bytes in base64, kept as the text that it is.
pub(super) fn encryption_key(text: &str) -> Result<SecretString, Expected> {
    let decoded = STANDARD.decode(text).map(Zeroizing::new);
    match decoded {
        Ok(bytes) if bytes.len() == 32 => secret(text),
        _ => Err("must be 32 bytes in base64, as from `openssl rand -base64 32`"),
    }
}

pub(super) fn encryption_keys(text: &str) -> Result<Vec<SecretString>, Expected> {
    let keys: Result<_, _> = items(text).map(encryption_key).collect();
    keys.map_err(|_| "must be keys of 32 bytes in base64, separated by commas")
}

/// A private key in PEM, in lines; `.env` files have it in one line with `\n` between.
pub(super) fn private_key(text: &str) -> Result<String, Expected> {
    let key = text.replace("\\n", "\n").trim().to_owned();
    let framed = key.starts_with("-----BEGIN ")
        && key.ends_with(" PRIVATE KEY-----")
        && key.contains("\n-----END ");
    if framed { Ok(key) } else { Err("must be a private key in PEM") }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Expected> {
    text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:3001")
}

pub(super) fn web_url(text: &str) -> Result<Url, Expected> {
    let expected = "must be a URL that begins with http:// or https://";
    let url = Url::parse(text).map_err(|_| expected)?;
    let plain = url.username().is_empty() && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && plain { Ok(url) } else { Err(expected) }
}

/// Failures name it in the log: whatever is secret belongs into the headers.
pub(super) fn collector_url(text: &str) -> Result<Url, Expected> {
    let expected = "must be a URL that begins with http:// or https://, without a query";
    let url = web_url(text).map_err(|_| expected)?;
    if url.query().is_none() && url.fragment().is_none() { Ok(url) } else { Err(expected) }
}

pub(super) fn secret_pairs(text: &str) -> Result<Vec<(String, SecretString)>, Expected> {
    let pair = |item: &str| {
        let (name, value) =
            item.split_once('=').map(|(name, value)| (name.trim(), value.trim()))?;
        // What no request can carry would not be sent, and nobody would hear of it.
        let can_be_sent =
            HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
        can_be_sent.then(|| (name.to_owned(), SecretString::from(value)))
    };
    let pairs: Option<_> = items(text).map(pair).collect();
    pairs.ok_or("must be names and values such as x-api-key=…, separated by commas")
}

pub(super) fn ratio(text: &str) -> Result<f64, Expected> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or("must be a number from 0 to 1")
}

pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, Expected> {
    let networks: Result<_, _> = items(text).map(str::parse::<IpNet>).collect();
    networks.map_err(|_| "must be networks such as 10.0.0.0/8, separated by commas")
}

/// Addresses with a port, or without where it is that of DNS.
pub(super) fn name_servers(text: &str) -> Result<Vec<SocketAddr>, Expected> {
    let server = |item: &str| {
        let plain = item.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        plain.or_else(|_| item.parse())
    };
    let servers: Result<_, _> = items(text).map(server).collect();
    servers.map_err(|_| "must be IP addresses such as 10.0.0.2 or 10.0.0.2:53, separated by commas")
}

pub(super) fn yes_or_no(text: &str) -> Result<bool, Expected> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false"),
    }
}

/// At least one, and few enough to be meant.
pub(super) fn count(text: &str) -> Result<u32, Expected> {
    match text.parse() {
        Ok(count @ 1..=100_000) => Ok(count),
        _ => Err("must be a whole number from 1 to 100000"),
    }
}

/// A number with its unit: `250ms`, `5s`, `2m`, `1h`, `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, Expected> {
    const EXPECTED: Expected = "must be a time such as 30s, 2m, 1h or 30d, above zero";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED)?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(MINUTE),
        "h" => Duration::from_secs(HOUR),
        "d" => Duration::from_secs(DAY),
        _ => return Err(EXPECTED),
    };
    let number = u32::try_from(number).map_err(|_| EXPECTED)?;
    let duration = unit.checked_mul(number).filter(|d| *d <= DURATION_MAX).ok_or(EXPECTED)?;
    if duration.is_zero() { Err(EXPECTED) } else { Ok(duration) }
}

pub(super) fn lease(text: &str) -> Result<Duration, Expected> {
    match duration(text) {
        Ok(lease) if (1..=HOUR).contains(&lease.as_secs()) => Ok(lease),
        _ => Err("must be a time from 1s to 1h"),
    }
}

/// `0` means never.
pub(super) fn disable_after(text: &str) -> Result<Option<Duration>, Expected> {
    if text == "0" {
        return Ok(None);
    }
    duration(text).map(Some).map_err(|_| "must be a time such as 5d, or 0 for never")
}

pub(super) fn retention(text: &str) -> Result<Duration, Expected> {
    match duration(text) {
        Ok(retention) if DAY <= retention.as_secs() => Ok(retention),
        _ => Err("must be a time of one day (1d) or more"),
    }
}

/// Empty means none. A longest wait bounds how long a delivery can be promised.
pub(super) fn schedule(text: &str) -> Result<Vec<Duration>, Expected> {
    let expected = "must be at most 50 times of up to 30d, such as 5s,30s,2m, or empty";
    let waits: Vec<Duration> =
        items(text).map(duration).collect::<Result<_, _>>().map_err(|_| expected)?;
    let sound = waits.len() <= 50 && waits.iter().all(|wait| wait.as_secs() <= 30 * DAY);
    if sound { Ok(waits) } else { Err(expected) }
}

pub(super) fn membership(text: &str) -> Result<Membership, Expected> {
    match text {
        "claims" => Ok(Membership::Claims),
        "postgres" => Ok(Membership::Postgres),
        _ => Err("must be claims or postgres"),
    }
}

/// Kept as text; it is read again where the log is set up.
pub(super) fn log_filter(text: &str) -> Result<String, Expected> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must be filters such as info,engine=debug"),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, Expected> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json"),
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, seconds) in [
            ("5s", Some(5.0)),
            ("250ms", Some(0.25)),
            ("2m", Some(120.0)),
            ("1h", Some(3_600.0)),
            ("24h", Some(86_400.0)),
            ("30d", Some(2_592_000.0)),
            ("0s", None),
            ("5", None),
            ("s", None),
            ("", None),
            ("-5s", None),
            ("1.5s", None),
            ("5 s", None),
            ("5w", None),
            ("99999999999999999999s", None),
            ("4294967295d", None),
        ] {
            assert_eq!(duration(text).ok().map(|d| d.as_secs_f64()), seconds, "{text:?}");
        }
    }

    #[test]
    fn a_schedule_is_a_list_of_waits_and_may_be_empty() {
        let seconds = |text| {
            schedule(text).map(|waits| waits.iter().map(Duration::as_secs).collect::<Vec<_>>())
        };
        assert_eq!(seconds("5s,30s,2m,10m,1h,24h"), Ok(vec![5, 30, 120, 600, 3_600, 86_400]));
        assert_eq!(seconds(" 5s , 1m "), Ok(vec![5, 60]));
        assert_eq!(seconds(""), Ok(vec![]));
        for broken in ["5", "5s;30s", "soon", "31d", &"1s,".repeat(51)] {
            assert!(seconds(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn networks_are_cidrs() {
        let parsed = networks("10.0.0.0/8, 127.0.0.1/32,fd00::/8").expect("well formed");
        assert_eq!(parsed.len(), 3);
        for broken in ["10.0.0.0", "10.0.0.0/33", "localhost", "10.0.0.0/8;127.0.0.0/8"] {
            assert!(networks(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn name_servers_are_addresses_with_or_without_a_port() {
        let parsed = name_servers("10.0.0.2, 10.0.0.3:5353,fd00::53,[fd00::54]:54");
        let expected = ["10.0.0.2:53", "10.0.0.3:5353", "[fd00::53]:53", "[fd00::54]:54"];
        assert_eq!(parsed, Ok(expected.map(|text| text.parse().expect("an address")).to_vec()));
        for broken in ["dns.example", "10.0.0.2:", "10.0.0.2;10.0.0.3", "10.0.0.2:65536"] {
            assert!(name_servers(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn headers_are_those_that_a_request_can_carry() {
        let names = |text| {
            secret_pairs(text)
                .map(|pairs| pairs.into_iter().map(|pair| pair.0).collect::<Vec<_>>())
                .unwrap_or_default()
        };
        assert_eq!(
            names("x-api-key=a=b, Authorization=Basic%20YTpi"),
            ["x-api-key", "Authorization"]
        );
        for broken in ["x-api-key", "=secret", "x api key=secret", "x-api-key=sec\nret"] {
            assert!(secret_pairs(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn an_encryption_key_is_exactly_32_bytes() {
        let encoded = |bytes: &[u8]| STANDARD.encode(bytes);
        assert!(encryption_key(&encoded(&[7; 32])).is_ok());
        for broken in [encoded(&[7; 31]), encoded(&[7; 33]), "%".into(), "a".repeat(44)] {
            assert!(encryption_key(&broken).is_err());
        }
        let two = format!("{},{}", encoded(&[1; 32]), encoded(&[2; 32]));
        assert_eq!(encryption_keys(&two).map(|keys| keys.len()), Ok(2));
    }

    #[test]
    fn addresses_urls_counts_and_choices_are_checked() {
        assert!(address("127.0.0.1:0").is_ok() && address("[::1]:80").is_ok());
        assert!(address("localhost:80").is_err() && address("3001").is_err());
        assert!(web_url("https://app.example.com").is_ok());
        for broken in ["app.example.com", "ftp://example.com", "https://user:pw@example.com", ""] {
            assert!(web_url(broken).is_err(), "{broken}");
        }
        assert!(postgres_url("postgres://u:p@h/db").is_ok());
        assert!(postgres_url("mysql://u:p@h/db").is_err() && postgres_url("h/db").is_err());
        assert!(count("1").is_ok() && count("0").is_err() && count("1e3").is_err());
        assert!(yes_or_no("true") == Ok(true) && yes_or_no("yes").is_err());
        assert!(lease("30s").is_ok() && lease("500ms").is_err() && lease("2h").is_err());
        assert_eq!(disable_after("0"), Ok(None));
        assert_eq!(
            disable_after("5d").map(|window| window.map(|w| w.as_secs())),
            Ok(Some(5 * DAY))
        );
        assert!(disable_after("").is_err() && disable_after("0s").is_err());
        assert!(retention("1d").is_ok() && retention("23h").is_err());
        assert!(membership("postgres").is_ok() && membership("Claims").is_err());
        assert!(log_format("json").is_ok() && log_format("xml").is_err());
        assert!(log_filter("info,engine=debug").is_ok() && log_filter("engine=loud").is_err());
    }
}
