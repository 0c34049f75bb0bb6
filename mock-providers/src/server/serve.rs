//! Takes a request off the wire, remembers and judges it, and gives the answer or what tests put in
//! its place.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    listener::{Cut, Loopback},
    reply::Reply,
    request::Request,
    route::{self, Service, Stage},
};
use crate::{
    breakage::{Answer, What},
    contracts,
    mock::Mock,
};

/// More than any provider takes.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A provider, and which of its hosts is meant.
type Place<S> = Arc<(Arc<Mock<S>>, &'static str)>;

/// Serves one host of a provider until the handle is aborted.
pub(crate) fn spawn<S: Service>(
    mock: Arc<Mock<S>>,
    host: &'static str,
    listener: TcpListener,
) -> JoinHandle<()> {
    let router = Router::new().fallback(serve::<S>).with_state(Arc::new((mock, host)));
    let service = router.into_make_service_with_connect_info::<Cut>();
    tokio::spawn(async move {
        // It ends only with the task.
        let _ = axum::serve(Loopback(listener), service).await;
    })
}

async fn serve<S: Service>(
    State(place): State<Place<S>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: axum::extract::Request,
) -> Response {
    let (mock, host) = (&place.0, place.1);
    let Some(request) = read(host, request).await else {
        cut.cut();
        return Response::new(Body::empty());
    };
    let request = Arc::new(request);
    if let Some(reply) = for_people::<S>(mock, &request) {
        return response(reply);
    }
    let number = mock.shared.recorder.record(S::ID, &request, mock.shared.clock.now());
    judge(mock, &request).await;
    let answer = mock.take_breakage(&request).unwrap_or_else(Answer::real);
    let real = answer.has_effect.then(|| handle(mock, &request));
    if answer.is_held {
        let mut released = mock.shared.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    if matches!(answer.what, What::Nothing) {
        cut.cut();
        return Response::new(Body::empty());
    }
    let reply = answer.over(real);
    if matches!(answer.what, What::Half) {
        return half(reply, cut);
    }
    mock.shared.recorder.answered(number, reply.status);
    response(reply)
}

/// Reads a request to its end; `None` if it broke off.
async fn read(host: &'static str, request: axum::extract::Request) -> Option<Request> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.ok()?;
    let query = head.uri.query().unwrap_or_default();
    Some(Request {
        host,
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: head.headers,
        body,
    })
}

/// What only people ask for, and no provider's interface has: the page of the mock itself.
fn for_people<S: Service>(mock: &Mock<S>, request: &Request) -> Option<Reply> {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => Some(Reply::html(200, mock.inner().state.page(&mock.urls))),
        ("GET", "/favicon.ico") => Some(Reply::empty(204)),
        _ => None,
    }
}

/// Compares a request with what the provider has published.
async fn judge<S: Service>(mock: &Mock<S>, request: &Arc<Request>) {
    let judged = request.clone();
    // Reading a schema for the first time takes a while.
    let problems = tokio::task::spawn_blocking(move || contracts::problems(S::ID, &judged)).await;
    // A comparison that breaks must not pass for one that found nothing.
    let broken = |error| vec![format!("the comparison with what is published broke: {error}")];
    for problem in problems.unwrap_or_else(broken) {
        mock.shared.recorder.violation(S::ID, request, &problem);
    }
}

/// Lets the provider do what was asked.
fn handle<S: Service>(mock: &Mock<S>, request: &Request) -> Reply {
    let now = mock.shared.clock.now();
    let mut inner = mock.inner();
    let reply = match S::admit(request) {
        Err(reply) => reply,
        Ok(()) => {
            let inner = &mut *inner;
            let (state, oauth) = (&mut inner.state, &mut inner.oauth);
            route::answer(Stage { state, oauth, urls: &mock.urls, now }, request)
        }
    };
    let reply = inner.state.dress(reply, request, now);
    drop(inner);
    if let Some(what) = &reply.violation {
        mock.shared.recorder.violation(S::ID, request, what);
    }
    if reply.is_unexpected {
        mock.shared.recorder.unexpected(S::ID, request);
    }
    reply
}

fn response(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    for (name, value) in reply.headers {
        let name = HeaderName::try_from(name.as_str());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.as_str())) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// The first half of an answer that promises all of it.
fn half(mut reply: Reply, cut: Cut) -> Response {
    let whole = reply.body.split_off(0);
    let first: Bytes = whole.slice(..whole.len() / 2);
    let mut pieces = vec![first].into_iter();
    let body = stream::unfold((), move |()| {
        let (piece, cut) = (pieces.next(), cut.clone());
        async move {
            if let Some(piece) = piece {
                return Some((Ok::<Bytes, io::Error>(piece), ()));
            }
            // The half must be on its way before the connection is cut.
            tokio::time::sleep(Duration::from_millis(20)).await;
            cut.cut();
            Some((Err(io::ErrorKind::ConnectionReset.into()), ()))
        }
    });
    let mut response = response(reply);
    let length = HeaderValue::from(whole.len().max(1));
    response.headers_mut().insert(axum::http::header::CONTENT_LENGTH, length);
    *response.body_mut() = Body::from_stream(body);
    response
}
