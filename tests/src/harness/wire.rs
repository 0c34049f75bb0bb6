//! HTTP/1.1 by hand, so that a receiver can also speak it badly.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
};

/// A connection, encrypted or not.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket underneath.
    fn socket(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Wire for tokio_rustls::server::TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// One request as it was sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// The next request on a connection; `None` once the other side has closed it.
pub(crate) async fn read_request<W: Wire>(
    wire: &mut W,
    buffer: &mut BytesMut,
) -> io::Result<Option<Request>> {
    loop {
        if let Some(request) = parse(buffer)? {
            return Ok(Some(request));
        }
        if wire.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// Takes one whole request off the front, if it is there.
fn parse(buffer: &mut BytesMut) -> io::Result<Option<Request>> {
    let broken = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(buffer).map_err(|error| broken(error.to_string()))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()))
        .collect();
    let size = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Ok(0), |(_, value)| value.parse::<usize>())
        .map_err(|error| broken(error.to_string()))?;
    if buffer.len() < length + size {
        return Ok(None);
    }
    let (method, path) =
        (head.method.unwrap_or_default().to_owned(), head.path.unwrap_or_default().to_owned());
    buffer.advance(length);
    let body = buffer.split_to(size).freeze();
    Ok(Some(Request { method, path, headers, body }))
}

/// A whole response.
pub(crate) fn response(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
