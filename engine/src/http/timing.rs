//! When the parts of an exchange began and ended: seen by a layer around the connector, by the body
//! that a connection takes, and by whoever waits for the answer.

use std::{
    convert::Infallible,
    ops::AddAssign,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};
use url::Url;

/// Where the time of an exchange went, or of several one after the other. The parts add up to the
/// whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireTiming {
    /// Looking the name up, connecting and TLS; `None` where an open connection was used.
    pub connect: Option<Duration>,
    /// Until the connection had taken the request. What the network still held back of it then counts
    /// as waiting: nobody on this side can tell.
    pub send: Duration,
    /// Until the head of the answer was here.
    pub wait: Duration,
    /// Until its body was here, as much of it as is read.
    pub read: Duration,
}

impl AddAssign for WireTiming {
    fn add_assign(&mut self, other: Self) {
        self.connect = match (self.connect, other.connect) {
            (Some(one), Some(another)) => Some(one + another),
            (one, another) => one.or(another),
        };
        self.send += other.send;
        self.wait += other.wait;
        self.read += other.read;
    }
}

/// What is told of an exchange beside its answer, good or bad.
#[derive(Debug, Default)]
pub struct Trace {
    /// Where the time went.
    pub timing: WireTiming,
    /// Where the last request went, once one was sent: a redirect may have led there.
    pub url: Option<Url>,
}

tokio::task_local! {
    /// The exchange that connections are opened for.
    static WATCH: Arc<Watch>;
}

/// The moments of one exchange.
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    has_body: bool,
    connecting: OnceLock<Instant>,
    connected: OnceLock<Instant>,
    taken: OnceLock<Instant>,
    answered: OnceLock<Instant>,
}

impl Watch {
    /// An exchange that begins now, and the body that it sends.
    pub(super) fn begin(body: Bytes) -> (Arc<Self>, reqwest::Body) {
        let watch = Arc::new(Self {
            began: Instant::now(),
            has_body: !body.is_empty(),
            connecting: OnceLock::new(),
            connected: OnceLock::new(),
            taken: OnceLock::new(),
            answered: OnceLock::new(),
        });
        let body = WatchedBody { left: Some(body).filter(|b| !b.is_empty()), watch: watch.clone() };
        (watch, reqwest::Body::wrap(body))
    }

    /// Waits for the head of the answer; connections that are opened meanwhile count.
    pub(super) async fn over<T, E>(
        self: &Arc<Self>,
        sending: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let answer = WATCH.scope(self.clone(), sending).await?;
        let _ = self.answered.set(Instant::now());
        Ok(answer)
    }

    /// Where the time went until now.
    pub(super) fn timing(&self) -> WireTiming {
        let moments = Moments {
            began: self.began,
            connecting: self.connecting.get().copied(),
            connected: self.connected.get().copied(),
            taken: self.taken.get().copied(),
            answered: self.answered.get().copied(),
            ended: Instant::now(),
        };
        moments.timing(self.has_body)
    }
}

/// What was seen of an exchange.
#[derive(Clone, Copy, Debug)]
struct Moments {
    began: Instant,
    connecting: Option<Instant>,
    connected: Option<Instant>,
    taken: Option<Instant>,
    answered: Option<Instant>,
    ended: Instant,
}

impl Moments {
    /// A connection that is opened may be late: one that became free meanwhile then takes the request.
    fn timing(self, has_body: bool) -> WireTiming {
        let Self { began, connecting, connected, taken, answered, ended } = self;
        // An answer that comes before all was taken ends the sending.
        let taken = taken.map(|taken| answered.map_or(taken, |answered| taken.min(answered)));
        let served = taken.or(answered);
        let opened = connected.filter(|at| served.is_none_or(|served| *at <= served));
        if connecting.is_some() && opened.is_none() && served.is_none() {
            return WireTiming { connect: Some(ended - began), ..WireTiming::default() };
        }
        let ready = opened.unwrap_or(began);
        // Of an empty body nobody sees that it is taken.
        let taken = if has_body { taken } else { taken.or(Some(ready)) };
        let sent = taken.or(answered).unwrap_or(ended);
        let head = answered.unwrap_or(ended);
        WireTiming {
            connect: opened.map(|at| at - began),
            send: sent - ready,
            wait: head - sent,
            read: ended - head,
        }
    }
}

/// A body that tells when a connection takes it.
struct WatchedBody {
    left: Option<Bytes>,
    watch: Arc<Watch>,
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let left = self.left.take();
        if left.is_some() {
            let _ = self.watch.taken.set(Instant::now());
        }
        Poll::Ready(left.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// Tells the exchange that a connection is opened for when that begins and ends.
#[derive(Clone, Debug)]
pub(super) struct WatchConnecting;

impl<S> Layer<S> for WatchConnecting {
    type Service = WatchedConnector<S>;
    fn layer(&self, inner: S) -> WatchedConnector<S> {
        WatchedConnector(inner)
    }
}

/// The connector, watched.
#[derive(Clone, Debug)]
pub(super) struct WatchedConnector<S>(S);

impl<S, Target> Service<Target> for WatchedConnector<S>
where
    S: Service<Target>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        // Looked up here: the rest may go on in another task, for whoever needs a connection next.
        let watch = WATCH.try_with(Arc::clone).ok();
        if let Some(watch) = &watch {
            let _ = watch.connecting.set(Instant::now());
        }
        let connecting = self.0.call(target);
        Box::pin(async move {
            let connection = connecting.await?;
            if let Some(watch) = watch {
                let _ = watch.connected.set(Instant::now());
            }
            Ok(connection)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments in milliseconds; 0 is the beginning.
    fn timing(
        connecting: Option<u64>,
        connected: Option<u64>,
        taken: Option<u64>,
        answered: Option<u64>,
        ended: u64,
        has_body: bool,
    ) -> [Option<u128>; 4] {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let moments = Moments {
            began,
            connecting: connecting.map(at),
            connected: connected.map(at),
            taken: taken.map(at),
            answered: answered.map(at),
            ended: at(ended),
        };
        let timing = moments.timing(has_body);
        let whole = timing.connect.unwrap_or_default() + timing.send + timing.wait + timing.read;
        assert_eq!(whole, Duration::from_millis(ended), "the parts are the whole");
        let ms = |span: Duration| Some(span.as_millis());
        [timing.connect.map(|s| s.as_millis()), ms(timing.send), ms(timing.wait), ms(timing.read)]
    }

    #[test]
    fn every_moment_counts_to_one_part() {
        let some = |connect, send, wait, read| [connect, Some(send), Some(wait), Some(read)];
        for (case, seen, expected) in [
            (
                "a new connection",
                timing(Some(1), Some(5), Some(6), Some(9), 10, true),
                some(Some(5), 1, 3, 1),
            ),
            ("an open one", timing(None, None, Some(1), Some(9), 10, true), some(None, 1, 8, 1)),
            (
                "one that became free before ours was there",
                timing(Some(1), Some(7), Some(4), Some(9), 10, true),
                some(None, 4, 5, 1),
            ),
            (
                "the same, and ours never was",
                timing(Some(1), None, Some(4), Some(9), 10, true),
                some(None, 4, 5, 1),
            ),
            ("no body", timing(Some(1), Some(5), None, Some(9), 10, false), some(Some(5), 0, 4, 1)),
            ("no connection", timing(Some(1), None, None, None, 10, true), some(Some(10), 0, 0, 0)),
            (
                "no connection for no body",
                timing(Some(1), None, None, None, 10, false),
                some(Some(10), 0, 0, 0),
            ),
            (
                "no answer",
                timing(Some(1), Some(5), Some(6), None, 10, true),
                some(Some(5), 1, 4, 0),
            ),
            (
                "broken before it was taken",
                timing(Some(1), Some(5), None, None, 10, true),
                some(Some(5), 5, 0, 0),
            ),
            (
                "answered before it was taken",
                timing(None, None, Some(10), Some(9), 10, true),
                some(None, 9, 0, 1),
            ),
            ("never taken", timing(None, None, None, Some(9), 10, true), some(None, 9, 0, 1)),
        ] {
            assert_eq!(seen, expected, "{case}");
        }
    }

    #[test]
    fn exchanges_add_up() {
        let ms = Duration::from_millis;
        let reused = WireTiming { connect: None, send: ms(1), wait: ms(2), read: ms(3) };
        let opened = WireTiming { connect: Some(ms(9)), ..reused };
        let mut sum = WireTiming::default();
        sum += reused;
        assert_eq!(sum, reused);
        sum += opened;
        sum += opened;
        assert_eq!(
            sum,
            WireTiming { connect: Some(ms(18)), send: ms(3), wait: ms(6), read: ms(9) }
        );
    }
}
