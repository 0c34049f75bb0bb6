//! As much of a browser as it takes to follow a person to a page and see where it sends them.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::{Position, Url};

/// Asks for a page as a browser does: where it sends the browser, or what it shows instead.
pub(crate) async fn visit(address: &str) -> Result<String, String> {
    let url = Url::parse(address).map_err(|error| format!("{address}: {error}"))?;
    let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
    let unreachable = |error: std::io::Error| format!("{host}:{port}: {error}");
    let mut stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let request = format!(
        "GET {target} HTTP/1.1\r\nhost: {host}:{port}\r\naccept: text/html\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(unreachable)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let location = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    });
    location.ok_or_else(|| {
        let shown = body.rsplit_once("</p><p>").map_or(body, |(_, why)| why);
        let shown = shown.split('<').next().unwrap_or_default();
        format!("{}: {shown}", head.lines().next().unwrap_or_default())
    })
}
