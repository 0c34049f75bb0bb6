//! What a receiver answers, politely or not.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
};

use super::wire::{Wire, response};

/// What a receiver does with one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers.
    Reply {
        /// The status.
        status: u16,
        /// Beside `content-length`.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// Answers after a while.
    Later(Duration, Box<Answer>),
    /// Answers once [`Receiver::release`](super::receiver::Receiver::release) is called.
    Held(Box<Answer>),
    /// A good status, then one byte of body every tenth of a second, for ever.
    Trickle,
    /// A good status, then body as fast as it is taken, for ever.
    Endless,
    /// Headers without end.
    EndlessHeaders,
    /// Half a response, then a reset connection.
    Reset,
    /// Half a response, then an orderly close.
    HalfClose,
    /// Something that is not HTTP.
    Gibberish,
    /// Nothing, ever; the connection stays open until the other side closes it.
    Silence,
}

impl Answer {
    /// 200 without a body.
    #[must_use]
    pub fn ok() -> Self {
        Self::status(200)
    }

    /// A status without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Reply { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        match self {
            Self::Reply { status, mut headers, body } => {
                headers.push((name.to_owned(), value.to_owned()));
                Self::Reply { status, headers, body }
            }
            other => other,
        }
    }

    /// The same with a body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        match self {
            Self::Reply { status, headers, .. } => {
                Self::Reply { status, headers, body: body.into() }
            }
            other => other,
        }
    }

    /// Whether it accepts a delivery, if it is heard.
    pub(crate) fn accepts(&self) -> bool {
        match self {
            Self::Reply { status, .. } => (200..300).contains(status),
            Self::Later(_, next) | Self::Held(next) => next.accepts(),
            Self::Endless => true,
            _ => false,
        }
    }

    /// The same after a while.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Later(delay, Box::new(self))
    }

    /// The same once [`Receiver::release`](super::receiver::Receiver::release) is called.
    #[must_use]
    pub fn held(self) -> Self {
        Self::Held(Box::new(self))
    }
}

/// What the answers of one receiver share.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Whether held answers may go.
    pub(crate) released: watch::Sender<bool>,
    /// Bytes of bodies and headers without end.
    pub(crate) bytes_sent: AtomicU64,
}

impl Default for Stage {
    fn default() -> Self {
        Self { released: watch::Sender::new(false), bytes_sent: AtomicU64::new(0) }
    }
}

/// Gives an answer. The status if the connection can go on, `None` if it is at its end.
pub(crate) async fn give<W: Wire>(wire: &mut W, mut answer: Answer, stage: &Stage) -> Option<u16> {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n";
    loop {
        answer = match answer {
            Answer::Later(delay, next) => {
                tokio::time::sleep(delay).await;
                *next
            }
            Answer::Held(next) => {
                let _ = stage.released.subscribe().wait_for(|released| *released).await;
                *next
            }
            Answer::Reply { status, headers, body } => {
                wire.write_all(&response(status, &headers, &body)).await.ok()?;
                wire.flush().await.ok()?;
                return Some(status);
            }
            Answer::Trickle => {
                wire.write_all(HEAD).await.ok()?;
                loop {
                    wire.write_all(b".").await.ok()?;
                    wire.flush().await.ok()?;
                    stage.bytes_sent.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Answer::Endless => {
                wire.write_all(HEAD).await.ok()?;
                pour(wire, &[b'.'; 16 * 1024], stage).await?;
                return None;
            }
            Answer::EndlessHeaders => {
                wire.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
                pour(wire, &b"x-filler: 0123456789\r\n".repeat(500), stage).await?;
                return None;
            }
            Answer::Reset => {
                wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.ok()?;
                wire.flush().await.ok()?;
                // The half must be on its way before the reset overtakes it.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = wire.socket().set_zero_linger();
                return None;
            }
            Answer::HalfClose => {
                wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.ok()?;
                wire.shutdown().await.ok()?;
                return None;
            }
            Answer::Gibberish => {
                wire.write_all(b"* OK IMAP4 ready when you are\r\n\r\n").await.ok()?;
                return None;
            }
            Answer::Silence => {
                // Until the other side has had enough of it.
                let _ = wire.read(&mut [0]).await;
                return None;
            }
        };
    }
}

async fn pour<W: Wire>(wire: &mut W, piece: &[u8], stage: &Stage) -> Option<()> {
    loop {
        wire.write_all(piece).await.ok()?;
        stage.bytes_sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
}
