//! Stands between Relay and Postgres, or between Relay and a receiver, and slows, narrows, stalls,
//! cuts or breaks what passes.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinHandle,
};

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Everything.
    Open,
    /// Only what Relay sends: the other side hears and acts, and its replies wait.
    RepliesStalled,
    /// Nothing; connections stay open and new ones are accepted.
    Frozen,
    /// Nothing; every connection is closed, and new ones at once.
    Cut,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Closed in order.
    Close,
    /// Reset (RST): whoever reads or writes hears of it at once.
    Reset,
    /// Half of it: nothing more comes back, and what Relay says is still taken.
    HalfClose,
}

/// Where the other side listens.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A Unix socket.
    Socket(PathBuf),
    /// `host:port`.
    Address(String),
}

/// How the line is now.
#[derive(Clone, Copy, Debug)]
struct Line {
    flow: Flow,
    delay: Duration,
    bytes_per_second: Option<u32>,
    /// Each connection ends so once it has brought so many bytes of replies.
    breaks: Option<(u64, Ending)>,
    /// How often all connections were ended, and how they were the last time.
    ended: (u64, Ending),
    /// How often all connections were forsaken.
    forsaken: u64,
}

impl Line {
    const GOOD: Self = Self {
        flow: Flow::Open,
        delay: Duration::ZERO,
        bytes_per_second: None,
        breaks: None,
        ended: (0, Ending::Close),
        forsaken: 0,
    };
}

/// The proxy. Dropped, it closes every connection.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    line: watch::Sender<Line>,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts on a free port; everything passes.
    pub async fn start(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("it is bound").port();
        let line = watch::Sender::new(Line::GOOD);
        let accepting = tokio::spawn(accept(listener, Arc::new(upstream), line.subscribe()));
        Self { port, line, accepting }
    }

    /// The local port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a path, where an HTTP server is behind it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Changes what passes, at once and for every connection.
    pub fn set(&self, flow: Flow) {
        self.line.send_modify(|line| line.flow = flow);
    }

    /// Holds up each piece for so long, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.line.send_modify(|line| line.delay = delay);
    }

    /// Lets only so many bytes pass in a second, in each direction of each connection.
    pub fn narrow(&self, bytes_per_second: u32) {
        self.line.send_modify(|line| line.bytes_per_second = Some(bytes_per_second));
    }

    /// Ends every connection, those to come as well, once it has brought so many bytes of replies.
    pub fn break_after(&self, reply_bytes: u64, ending: Ending) {
        self.line.send_modify(|line| line.breaks = Some((reply_bytes, ending)));
    }

    /// Ends every connection now; those to come are good.
    pub fn end_all(&self, ending: Ending) {
        self.line.send_modify(|line| line.ended = (line.ended.0 + 1, ending));
    }

    /// Forgets every connection: nothing of it passes any more, and nobody is told. Those to come are
    /// good. So it is where a machine is lost and another one takes its address.
    pub fn forsake(&self) {
        self.line.send_modify(|line| line.forsaken += 1);
    }

    /// Everything passes again, undelayed and whole.
    pub fn mend(&self) {
        self.line.send_modify(|line| {
            *line = Line { ended: line.ended, forsaken: line.forsaken, ..Line::GOOD };
        });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Flow::Cut);
    }
}

async fn accept(listener: TcpListener, upstream: Arc<Upstream>, line: watch::Receiver<Line>) {
    while let Ok((client, _)) = listener.accept().await {
        let _ = client.set_nodelay(true);
        if line.borrow().flow == Flow::Cut {
            continue;
        }
        let (upstream, line) = (upstream.clone(), line.clone());
        tokio::spawn(async move {
            match upstream.as_ref() {
                Upstream::Socket(path) => join(client, UnixStream::connect(path).await, line).await,
                Upstream::Address(at) => join(client, TcpStream::connect(at).await, line).await,
            }
        });
    }
}

async fn join<S>(mut client: TcpStream, server: io::Result<S>, line: watch::Receiver<Line>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let Ok(server) = server else { return };
    let ending = {
        let (client_reads, client_writes) = client.split();
        let (server_reads, server_writes) = tokio::io::split(server);
        let (ended_before, mut told) = (line.borrow().ended.0, line.clone());
        let asking = pass(client_reads, server_writes, line.clone(), Way::Asking);
        let answering = pass(server_reads, client_writes, line, Way::Answering);
        tokio::select! {
            ending = asking => ending.unwrap_or(Ending::Close),
            ending = answering => ending.unwrap_or(Ending::Close),
            told = told.wait_for(|l| l.flow == Flow::Cut || l.ended.0 != ended_before) => match told {
                Ok(line) if line.flow != Flow::Cut => line.ended.1,
                _ => Ending::Close,
            },
        }
    };
    match ending {
        Ending::Close => {}
        Ending::Reset => drop(client.set_zero_linger()),
        Ending::HalfClose => {
            let _ = client.shutdown().await;
            let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Asking,
    Answering,
}

/// Passes on until one side has ended, or the line breaks: how the connection ends then.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut line: watch::Receiver<Line>,
    way: Way,
) -> io::Result<Ending> {
    let known = line.borrow().forsaken;
    let passes = |line: &Line| match line.flow {
        _ if line.forsaken != known => false,
        Flow::Open => true,
        Flow::RepliesStalled => way == Way::Asking,
        Flow::Frozen | Flow::Cut => false,
    };
    let mut buffer = vec![0; 16 * 1024];
    let mut passed: u64 = 0;
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(Ending::Close);
        }
        let delay = line.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let Ok(now) = line.wait_for(passes).await.map(|line| *line) else {
            return Ok(Ending::Close);
        };
        let breaks = now.breaks.filter(|_| way == Way::Answering);
        let left = breaks.map_or(u64::MAX, |(bytes, _)| bytes.saturating_sub(passed));
        let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
        write(&mut to, &buffer[..length], now.bytes_per_second).await?;
        passed += length as u64;
        if let Some((bytes, ending)) = breaks
            && passed >= bytes
        {
            return Ok(ending);
        }
    }
}

/// Writes twenty times in a second where the line is narrow.
async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    bytes_per_second: Option<u32>,
) -> io::Result<()> {
    let Some(rate) = bytes_per_second else { return to.write_all(bytes).await };
    for piece in bytes.chunks((rate / 20).max(1) as usize) {
        to.write_all(piece).await?;
        tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / f64::from(rate))).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A proxy before a server that says the same to everybody and waits for them to leave.
    async fn before(reply: &'static [u8]) -> FaultProxy {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = server.local_addr().expect("it is bound").to_string();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = server.accept().await {
                tokio::spawn(async move {
                    client.write_all(reply).await.expect("it is taken");
                    let _ = client.read(&mut [0; 8]).await;
                });
            }
        });
        FaultProxy::start(Upstream::Address(at)).await
    }

    /// What came, and how it ended.
    async fn hear(proxy: &FaultProxy) -> (Vec<u8>, io::Result<usize>) {
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it listens");
        let mut heard = Vec::new();
        let ended = client.read_to_end(&mut heard).await;
        (heard, ended)
    }

    #[tokio::test]
    async fn a_connection_breaks_after_the_bytes_that_were_said_and_as_was_said() {
        let proxy = before(b"0123456789").await;
        proxy.break_after(4, Ending::Close);
        let (heard, ended) = hear(&proxy).await;
        assert_eq!((heard.as_slice(), ended.expect("an orderly end")), (&b"0123"[..], 4));
        proxy.break_after(4, Ending::HalfClose);
        let (heard, ended) = hear(&proxy).await;
        assert_eq!((heard.as_slice(), ended.expect("an orderly end")), (&b"0123"[..], 4));
        proxy.break_after(4, Ending::Reset);
        let (_, ended) = hear(&proxy).await;
        assert_eq!(ended.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_is_open_ends_when_it_is_told_and_what_comes_later_is_good() {
        let proxy = before(b"hello").await;
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it listens");
        let mut heard = [0; 5];
        client.read_exact(&mut heard).await.expect("it passes");
        proxy.end_all(Ending::Reset);
        let ended = client.read(&mut heard).await.expect_err("a reset");
        assert_eq!(ended.kind(), io::ErrorKind::ConnectionReset);
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it listens");
        client.read_exact(&mut heard).await.expect("it passes");
    }

    #[tokio::test]
    async fn a_slow_and_a_narrow_line_take_their_time_until_they_are_mended() {
        let proxy = before(&[b'x'; 100]).await;
        proxy.break_after(100, Ending::Close);
        proxy.narrow(200);
        proxy.delay(Duration::from_millis(100));
        let began = Instant::now();
        assert_eq!(hear(&proxy).await.0.len(), 100);
        assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
        proxy.mend();
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it listens");
        client.read_exact(&mut [0; 100]).await.expect("whole");
    }
}
