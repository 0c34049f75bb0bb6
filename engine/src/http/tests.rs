//! Tests of where requests may go, and of what is made of answers.

use super::*;
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::egress::tests::NOT_PUBLIC;

fn client(answers: Vec<Vec<&'static str>>) -> HttpClient {
    let turn = AtomicUsize::new(0);
    let lookup: Lookup = Arc::new(move |_| {
        let at = turn.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        let found = answers[at].iter().map(|ip| ip.parse().expect("an address")).collect();
        Box::pin(async move { Ok(found) })
    });
    HttpClient::new(
        Arc::new(EgressPolicy { allow_http: true, ..EgressPolicy::default() }),
        lookup,
        None,
    )
    .expect("a client")
}

async fn failure(client: &HttpClient, url: &str) -> SendError {
    let url = Url::parse(url).expect("a URL");
    client
        .post(Request { url, headers: HeaderMap::new(), body: Bytes::new() })
        .await
        .expect_err("nothing may be reached")
}

/// F22: a failure of our own name servers is told apart from one of the name.
#[tokio::test]
async fn f22_our_own_fault_is_not_the_names() {
    for (why, class) in [
        (NoAddress::Ours, Failure::Resolver),
        (NoAddress::Theirs("there is no such name".to_owned()), Failure::Dns),
    ] {
        let lookup: Lookup = Arc::new(move |_| {
            let why = why.clone();
            Box::pin(async move { Err(why) })
        });
        let policy = EgressPolicy { allow_http: true, ..EgressPolicy::default() };
        let client = HttpClient::new(Arc::new(policy), lookup, None).expect("a client");
        assert_eq!(failure(&client, "http://hook.example/").await.failure, class);
    }
}

/// I19, I20, I22: one bad address among the answers blocks them all.
#[tokio::test]
async fn i19_i20_i22_a_name_with_any_inner_address_is_blocked() {
    for answer in
        [vec!["93.184.216.34", "::1"], vec!["93.184.216.34", "10.0.0.1"], vec!["169.254.169.254"]]
    {
        let error = failure(&client(vec![answer]), "http://hook.example/").await;
        assert_eq!(error.failure, Failure::Blocked, "{error}");
    }
}

/// I21, B31: what was public when it was saved is looked up and judged again when it is sent.
#[tokio::test]
async fn i21_b31_a_name_that_moved_to_loopback_gets_no_packet() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let client = client(vec![vec!["127.0.0.1"]]);
    let url = format!("http://hook.example:{port}/");
    assert!(client.policy().check_url(&url).is_ok(), "the name alone says nothing");
    assert_eq!(failure(&client, &url).await.failure, Failure::Blocked);
    let knock = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(knock.is_err(), "a connection arrived");
}

/// I1 to I18, when something is sent: whatever got past the check of what was typed.
#[tokio::test]
async fn i1_to_i18_literals_are_blocked_although_the_resolver_never_sees_them() {
    let client = client(vec![vec!["93.184.216.34"]]);
    for host in NOT_PUBLIC {
        let url = format!("http://{host}:1/");
        assert_eq!(failure(&client, &url).await.failure, Failure::Blocked, "{url}");
    }
}

/// A server on a port of its own that gives each connection the next answer, and keeps what it heard.
async fn server(answers: Vec<String>) -> (Url, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = heard.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 64 * 1024];
            let mut length = 0;
            // Every request of these tests ends with this.
            while !request[..length].ends_with(b"END") {
                let read = socket.read(&mut request[length..]).await.expect("a request");
                assert!(read > 0, "the request never ended");
                length += read;
            }
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            keep.lock().expect("nobody panicked").push(text);
            socket.write_all(answer.as_bytes()).await.expect("a reader");
        }
    });
    (Url::parse(&url).expect("a URL"), heard)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn call(url: Url) -> Call {
    let mut call = Call::new(reqwest::Method::PATCH, url);
    call.body = Bytes::from_static(b"END");
    call
}

#[tokio::test]
async fn a_call_goes_out_as_it_is_with_our_name_and_comes_back_whole() {
    let (url, heard) = server(vec![
        answer("201 Created", "x-rate: 7\r\n", "0123456789"),
        answer("200 OK", "", ""),
    ])
    .await;
    let client = client(vec![vec!["93.184.216.34"]]);
    let made = call(url.clone()).header("x-own", "1");
    let reply = client.send(&made, Route::Operator, 4).await.expect("an answer");
    assert_eq!((reply.status, reply.header("x-rate")), (201, Some("7")));
    assert_eq!(&reply.body[..], b"0123", "no more than asked for is read");
    let named = call(url).header("user-agent", "DiscordBot (https://deptex.io, 1.0)");
    client.send(&named, Route::Operator, 4).await.expect("an answer");
    let heard = heard.lock().expect("nobody panicked");
    let first = heard[0].to_ascii_lowercase();
    for part in [
        "patch / http/1.1",
        "user-agent: deptex-relay/1.0",
        "accept-encoding: identity",
        "x-own: 1",
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    assert!(
        heard[1].to_ascii_lowercase().contains("user-agent: discordbot (https://deptex.io, 1.0)")
    );
}

#[tokio::test]
async fn only_an_address_that_the_operator_set_may_lie_inside() {
    let client = client(vec![vec!["127.0.0.1"]]);
    let url = Url::parse("http://127.0.0.1:9/").expect("a URL");
    let error = client.send(&call(url.clone()), Route::Customer, 4).await.expect_err("guarded");
    assert_eq!(error.failure, Failure::Blocked);
    let error = client.send(&call(url), Route::Operator, 4).await.expect_err("nobody listens");
    assert_ne!(error.failure, Failure::Blocked);
    let named = Url::parse("http://api.example:9/").expect("a URL");
    let error = client.send(&call(named), Route::Customer, 4).await.expect_err("guarded");
    assert_eq!(error.failure, Failure::Blocked);
}

#[tokio::test]
async fn b6_a_redirect_is_an_answer_unless_the_call_follows_and_stays_at_the_host() {
    let moved = |to: &str| answer("301 Moved Permanently", &format!("location: {to}\r\n"), "");
    let client = client(vec![vec!["93.184.216.34"]]);

    let (url, _) = server(vec![moved("/repositories/1")]).await;
    let reply = client.send(&call(url), Route::Operator, 9).await.expect("an answer");
    assert_eq!(reply.status, 301);

    let (url, heard) = server(vec![moved("/repositories/1"), answer("200 OK", "", "there")]).await;
    let reply = client.send(&call(url).following(), Route::Operator, 9).await.expect("an answer");
    assert_eq!((reply.status, &reply.body[..]), (200, &b"there"[..]));
    let second = heard.lock().expect("nobody panicked")[1].clone();
    assert!(second.starts_with("PATCH /repositories/1 ") && second.ends_with("END"), "{second}");

    for elsewhere in ["http://127.0.0.1:1/", "https://evil.example/", "//evil.example/x"] {
        let (url, heard) = server(vec![moved(elsewhere)]).await;
        let reply = client.send(&call(url).following(), Route::Operator, 9).await;
        assert_eq!(reply.expect("an answer").status, 301, "{elsewhere}");
        assert_eq!(heard.lock().expect("nobody panicked").len(), 1);
    }

    let (url, heard) = server(vec![moved("/again"); 9]).await;
    let reply = client.send(&call(url).following(), Route::Operator, 9).await.expect("an answer");
    assert_eq!((reply.status, heard.lock().expect("nobody panicked").len()), (301, 4));
}

/// A server that answers every request on one connection, each once it may, and counts connections.
async fn kept_open(may_answer: Arc<tokio::sync::Semaphore>) -> (Url, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            count.fetch_add(1, Ordering::Relaxed);
            let may_answer = may_answer.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                loop {
                    while !request.ends_with(b"END") {
                        if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    request.clear();
                    may_answer.acquire().await.expect("it is never closed").forget();
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    socket.write_all(answer).await.expect("a reader");
                }
            });
        }
    });
    (Url::parse(&url).expect("a URL"), connections)
}

#[tokio::test]
async fn opening_a_connection_is_timed_and_an_open_one_is_told_apart() {
    const HELD: Duration = Duration::from_millis(40);
    let may_answer = Arc::new(tokio::sync::Semaphore::new(1));
    let (url, connections) = kept_open(may_answer.clone()).await;
    let client = client(vec![vec!["93.184.216.34"]]);
    let mut call = call(url.clone());
    call.body = Bytes::from([vec![b'x'; 300 * 1024], b"END".to_vec()].concat());
    let began = std::time::Instant::now();
    let mut first = Trace::default();
    client.send_traced(&call, Route::Operator, 9, &mut first).await.expect("an answer");
    let whole = began.elapsed();
    let WireTiming { connect, send, wait, read } = first.timing;
    let connect = connect.expect("a connection was opened");
    assert!(connect > Duration::ZERO && connect + send + wait + read <= whole, "{first:?}");
    assert_eq!(first.url, Some(url));

    let releasing = tokio::spawn(async move {
        tokio::time::sleep(HELD).await;
        may_answer.add_permits(1);
    });
    let mut second = Trace::default();
    client.send_traced(&call, Route::Operator, 9, &mut second).await.expect("an answer");
    releasing.await.expect("it did");
    assert_eq!(connections.load(Ordering::Relaxed), 1, "the connection was kept");
    assert_eq!(second.timing.connect, None);
    assert!(second.timing.wait > HELD / 2, "the receiver was slow, nobody else: {second:?}");
}

#[tokio::test]
async fn where_no_connection_comes_about_that_is_where_the_time_went() {
    let client = client(vec![vec!["93.184.216.34"]]);
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let call = call(Url::parse(&format!("http://{address}/")).expect("a URL"));
    let mut trace = Trace::default();
    let failed = client.send_traced(&call, Route::Operator, 9, &mut trace).await;
    assert_eq!(failed.expect_err("nobody listens").failure, Failure::Connect);
    let WireTiming { connect, send, wait, read } = trace.timing;
    assert!(connect.is_some_and(|span| span > Duration::ZERO));
    assert_eq!(send + wait + read, Duration::ZERO);
    // What is refused by us goes nowhere, and takes no time.
    let mut trace = Trace::default();
    let refused = client.send_traced(&call, Route::Customer, 9, &mut trace).await;
    assert_eq!(refused.expect_err("guarded").failure, Failure::Blocked);
    assert_eq!((trace.timing, trace.url), (WireTiming::default(), None));
}
