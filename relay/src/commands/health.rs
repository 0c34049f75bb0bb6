//! `relay health`: asks a process beside this one whether it can work. For images without a shell.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::{Position, Url};

use crate::settings::{Needs, Settings};

/// Readiness is answered within two seconds.
const TIMEOUT: Duration = Duration::from_secs(4);
/// An answer is a word; what lies beyond is not read.
const ANSWER_BYTES_MAX: u64 = 4096;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to ask, `http://` only; /readyz at `RELAY_METRICS_LISTEN` where it is not given.
    #[arg(long)]
    url: Option<Url>,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let url = match arguments.url {
        Some(url) => url,
        None => own(Settings::from_env(Needs::Nothing)?.metrics_listen)?,
    };
    let answer = tokio::time::timeout(TIMEOUT, ask(&url))
        .await
        .with_context(|| format!("{url}: no answer within {} s", TIMEOUT.as_secs()))?
        .with_context(|| url.to_string())?;
    let (status, said) = understand(&answer)?;
    println!("{status} {said}");
    Ok(if status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The process that has this command's settings: who listens everywhere listens here.
fn own(listen: SocketAddr) -> anyhow::Result<Url> {
    let here = match listen.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    Ok(Url::parse(&format!("http://{}/readyz", SocketAddr::new(here, listen.port())))?)
}

/// One request by hand: the guarded client is for addresses of others, and refuses this one.
async fn ask(url: &Url) -> anyhow::Result<String> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        bail!("it has no host");
    };
    if url.scheme() != "http" {
        bail!("only http:// is asked");
    }
    // An IPv6 address stands in brackets in a URL, and without them where it is looked up.
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The status and the last line of the body.
fn understand(answer: &str) -> anyhow::Result<(u16, &str)> {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let said = answer.trim_end().rsplit("\r\n").next().unwrap_or_default();
    Ok((status.context("the answer is not HTTP")?, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listen, asked) in [
            ("0.0.0.0:9464", "http://127.0.0.1:9464/readyz"),
            ("[::]:9464", "http://127.0.0.1:9464/readyz"),
            ("10.1.2.3:9464", "http://10.1.2.3:9464/readyz"),
            ("[::1]:9464", "http://[::1]:9464/readyz"),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(own(listen).expect("a URL").as_str(), asked);
        }
    }

    #[test]
    fn an_answer_is_a_status_and_a_word() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\n\r\nstopping\n";
        assert_eq!(understand(answer).expect("HTTP"), (503, "stopping"));
        assert!(understand("SSH-2.0-OpenSSH\r\n").is_err());
        assert!(understand("").is_err());
    }
}
