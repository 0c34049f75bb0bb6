//! A port at which nobody answers.

use std::net::SocketAddr;

/// A port of this machine on which connections are refused; it stays ours while the value lives.
#[derive(Debug)]
pub struct ClosedPort {
    _socket: tokio::net::TcpSocket,
    /// Its number.
    pub port: u16,
}

impl ClosedPort {
    /// Takes one.
    #[must_use]
    pub fn take() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket can be had");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port exists");
        let port = socket.local_addr().expect("it is bound").port();
        Self { _socket: socket, port }
    }
}
