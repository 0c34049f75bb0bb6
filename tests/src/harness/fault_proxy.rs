//! Stands between Relay and Postgres, and stalls, freezes or cuts what passes.

use std::{io, path::PathBuf, sync::Arc};

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
    /// Only what Relay sends: Postgres hears and acts, and its replies wait.
    RepliesStalled,
    /// Nothing; connections stay open and new ones are accepted.
    Frozen,
    /// Nothing; every connection is closed, and new ones at once.
    Cut,
}

/// Where the server listens.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A Unix socket.
    Socket(PathBuf),
    /// `host:port`.
    Address(String),
}

/// The proxy.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    flow: watch::Sender<Flow>,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts on a free port, open.
    pub async fn start(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("it is bound").port();
        let flow = watch::Sender::new(Flow::Open);
        let accepting = tokio::spawn(accept(listener, Arc::new(upstream), flow.subscribe()));
        Self { port, flow, accepting }
    }

    /// The local port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what passes, at once and for every connection.
    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.flow.send_replace(Flow::Cut);
    }
}

async fn accept(listener: TcpListener, upstream: Arc<Upstream>, flow: watch::Receiver<Flow>) {
    while let Ok((client, _)) = listener.accept().await {
        let _ = client.set_nodelay(true);
        if *flow.borrow() == Flow::Cut {
            continue;
        }
        let (upstream, flow) = (upstream.clone(), flow.clone());
        tokio::spawn(async move {
            match upstream.as_ref() {
                Upstream::Socket(path) => join(client, UnixStream::connect(path).await, flow).await,
                Upstream::Address(at) => join(client, TcpStream::connect(at).await, flow).await,
            }
        });
    }
}

async fn join<S>(client: TcpStream, server: io::Result<S>, flow: watch::Receiver<Flow>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let Ok(server) = server else { return };
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = tokio::io::split(server);
    let mut cut = flow.clone();
    let asking = pass(client_reads, server_writes, flow.clone(), |flow| flow != Flow::Frozen);
    let answering = pass(server_reads, client_writes, flow, |flow| flow == Flow::Open);
    tokio::select! {
        _ = asking => {}
        _ = answering => {}
        _ = cut.wait_for(|flow| *flow == Flow::Cut) => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: watch::Receiver<Flow>,
    passes: fn(Flow) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        if flow.wait_for(|flow| passes(*flow)).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}
