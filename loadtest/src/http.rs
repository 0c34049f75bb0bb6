//! Just enough HTTP/1.1 for both ends of a load: cheap per request, and nothing in between.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::signature::Signed;

/// For a call that prepares or ends a load.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
const HEADERS_MAX: usize = 64;

/// A whole request at the beginning of what has been read.
#[derive(Debug)]
pub(crate) struct Request<'b> {
    pub(crate) path: &'b str,
    /// The body, and the headers that sign it.
    pub(crate) signed: Signed<'b>,
    /// How many bytes it took.
    pub(crate) used: usize,
}

/// A whole response at the beginning of what has been read.
#[derive(Debug)]
pub(crate) struct Response<'b> {
    pub(crate) status: u16,
    pub(crate) body: &'b [u8],
    /// Whether the server will close the connection after it.
    pub(crate) is_last: bool,
}

/// `None` while the request is incomplete.
pub(crate) fn request(buffer: &[u8]) -> anyhow::Result<Option<Request<'_>>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(buffer)? else { return Ok(None) };
    let mut signed = Signed::default();
    let mut length = 0;
    for header in parsed.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            length = number(header.value)?;
        } else if is("transfer-encoding") {
            bail!("a chunked body is not understood here");
        } else if is("x-deptex-signature") {
            signed.deptex_signature = header.value;
        } else if is("webhook-id") {
            signed.id = header.value;
        } else if is("webhook-timestamp") {
            signed.timestamp = header.value;
        } else if is("webhook-signature") {
            signed.signature = header.value;
        }
    }
    let used = head + length;
    let Some(body) = buffer.get(head..used) else { return Ok(None) };
    signed.body = body;
    Ok(Some(Request { path: parsed.path.unwrap_or_default(), signed, used }))
}

/// `None` while the response is incomplete.
pub(crate) fn response(buffer: &[u8]) -> anyhow::Result<Option<Response<'_>>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(buffer)? else { return Ok(None) };
    let (mut length, mut is_last) = (0, false);
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = number(header.value)?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a chunked answer is not understood here");
        } else if header.name.eq_ignore_ascii_case("connection") {
            is_last = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let status = parsed.code.unwrap_or_default();
    Ok(buffer.get(head..head + length).map(|body| Response { status, body, is_last }))
}

/// Writes a request and reads into `buffer` until its response is whole.
pub(crate) async fn exchange<'b>(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &'b mut Vec<u8>,
) -> anyhow::Result<Response<'b>> {
    stream.write_all(request).await?;
    buffer.clear();
    while response(buffer)?.is_none() {
        ensure!(stream.read_buf(buffer).await? > 0, "the connection was closed before an answer");
    }
    response(buffer)?.context("the answer was whole a moment ago")
}

/// One call on a connection of its own, for what happens before and after a load.
pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    bearer: &str,
    body: &str,
) -> anyhow::Result<(u16, Vec<u8>)> {
    let exchanged = tokio::time::timeout(CALL_TIMEOUT, async {
        let mut stream = TcpStream::connect(address).await?;
        let authorization = match bearer {
            "" => String::new(),
            token => format!("authorization: Bearer {token}\r\n"),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             {authorization}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut buffer = Vec::new();
        let answer = exchange(&mut stream, request.as_bytes(), &mut buffer).await?;
        anyhow::Ok((answer.status, answer.body.to_vec()))
    });
    exchanged
        .await
        .with_context(|| format!("{method} {path} was not answered in time"))?
        .with_context(|| format!("{method} http://{address}{path}"))
}

/// Where a base URL points, which must be this machine: the tool loads nobody else's.
pub(crate) fn loopback(url: &str) -> anyhow::Result<SocketAddr> {
    let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let address: SocketAddr = authority
        .replace("localhost:", "127.0.0.1:")
        .parse()
        .with_context(|| format!("`{url}` is not of the form http://127.0.0.1:3001"))?;
    ensure!(address.ip().is_loopback(), "load is only put on loopback addresses, not on {address}");
    Ok(address)
}

fn number(value: &[u8]) -> anyhow::Result<usize> {
    Ok(std::str::from_utf8(value)?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_when_whole_and_not_before() {
        let whole = b"POST /hook/3 HTTP/1.1\r\nWebhook-Id: a\r\nContent-Length: 2\r\n\r\n{}GET";
        let parsed = request(whole).expect("well formed").expect("whole");
        assert_eq!((parsed.path, parsed.used), ("/hook/3", whole.len() - 3));
        assert_eq!((parsed.signed.id, parsed.signed.body), (&b"a"[..], &b"{}"[..]));
        for cut in [10, 40, parsed.used - 1] {
            assert!(request(&whole[..cut]).expect("well formed so far").is_none(), "{cut}");
        }
    }

    #[test]
    fn a_response_says_whether_the_connection_ends_with_it() {
        let buffer = b"HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
        let parsed = response(buffer).expect("well formed").expect("whole");
        assert_eq!((parsed.status, parsed.body, parsed.is_last), (202, &b"{}"[..], true));
    }

    #[test]
    fn only_this_machine_is_loaded() {
        for url in ["http://127.0.0.1:3001", "http://localhost:3001/", "http://[::1]:3001"] {
            assert!(loopback(url).is_ok(), "{url}");
        }
        for url in ["http://192.0.2.1:3001", "https://127.0.0.1:3001", "http://example.com:80", ""]
        {
            assert!(loopback(url).is_err(), "{url}");
        }
    }
}
