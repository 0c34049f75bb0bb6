//! Bodies that are meant to hurt: refused with a code and bounded memory, or delivered byte for byte.

use serde_json::json;
use tests::{World, event, new_id};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use uuid::Uuid;

async fn stored(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from relay.event_log")
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
}

/// An event whose data are exactly these bytes.
fn around(org: Uuid, data: &[u8]) -> Vec<u8> {
    let head = format!(r#"{{"type":"a.b","organization_id":"{org}","data":"#);
    [head.as_bytes(), data, b"}"].concat()
}

/// I37: JSON that readers take in different ways is refused at its place, and nothing is stored.
#[tokio::test]
async fn i37_json_that_is_not_strict_is_refused_with_its_place() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    // Ten million keys do not fit in a body; these do.
    let keys: Vec<String> = (0..500_000).map(|n| format!("\"{n:06}\":0")).collect();
    let keys = format!("{{{}}}", keys.join(","));
    let table: Vec<(Vec<u8>, &str)> = vec![
        (around(org, format!(r#"{{"x":{deep}}}"#).as_bytes()), "too_deep"),
        (around(org, deep_objects.as_bytes()), "too_deep"),
        (around(org, keys.as_bytes()), "too_many_keys"),
        (around(org, br#"{"a":1,"a":2}"#), "duplicate_key"),
        (around(org, br#"{"a":1,"\u0061":2}"#), "duplicate_key"),
        (around(org, br#"{"a":1e999}"#), "number_out_of_range"),
        (around(org, br#"{"a":-1e999}"#), "number_out_of_range"),
        (around(org, br#"{"a":"\ud800"}"#), "lone_surrogate"),
        (around(org, br#"{"a":"\udc00\ud800"}"#), "lone_surrogate"),
        (around(org, br#"{"\ud83d":1}"#), "lone_surrogate"),
        (around(org, br#"{"a":"\u0000"}"#), "null_character"),
        (around(org, br#"{"\u0000":1}"#), "null_character"),
        (around(org, b"{\"a\":\"\xff\"}"), "invalid_utf8"),
        (around(org, b"{\"a\":\"\xc0\x80\"}"), "invalid_utf8"),
        (around(org, b"{\"a\":\"\xed\xa0\x80\"}"), "invalid_utf8"),
        (around(org, b"{\"a\":\"\n\"}"), "malformed_json"),
        (around(org, b"{\"a\":NaN}"), "malformed_json"),
        (around(org, b"{\"a\":01}"), "malformed_json"),
        (around(org, b"{\"a\":1,}"), "malformed_json"),
        (around(org, b"{'a':1}"), "malformed_json"),
        (around(org, b"{/* */}"), "malformed_json"),
        ([b"\xef\xbb\xbf".as_slice(), &around(org, b"{}")].concat(), "malformed_json"),
        ([around(org, b"{}"), around(org, b"{}")].concat(), "malformed_json"),
        (Vec::new(), "malformed_json"),
        (b"[".repeat(1_000_000), "too_deep"),
        // One key twice at the top; and a fault in one event refuses the whole array.
        (br#"{"type":"a.b","type":"a.c"}"#.to_vec(), "duplicate_key"),
        ([b"[", around(org, b"{}").as_slice(), b",{]"].concat(), "malformed_json"),
    ];
    let before = world.apis[0].resident_bytes();
    for (body, code) in table {
        let shown = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
        let refused = world.relay.post_events(body).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, code), "{shown}");
        let error = refused.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains("line ") && error.contains("column "), "{error}");
    }
    assert_eq!(stored(&world).await, 0);
    let growth = world.apis[0].resident_bytes().saturating_sub(before);
    assert!(growth < 64 << 20, "the process grew by {growth} bytes");
}

/// I37: what is odd but valid is delivered in the very bytes that were received.
#[tokio::test]
async fn i37_odd_but_valid_json_is_delivered_byte_for_byte() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let odd: [&[u8]; 8] = [
        br#"{"z":1,"a":2,"m":{"y":[],"b":{}}}"#,
        b"{ \"a\" :\t1 ,\r\n \"b\"\n: [ 1 , 2 ] }",
        br#"{"a":"\u00e9\u00E9\/\ud83d\ude00\b\f\n\r\t\"\\"}"#,
        "{\"é\":\"😀\u{2028}\u{7f}\",\"\":\"\"}".as_bytes(),
        br#"{"a":1.0,"b":1.50e2,"c":-0,"d":-0.0,"e":1E+2,"f":123456789012345678901234567890}"#,
        br#"{"a":0.1000000000000000055511151231257827,"b":1e-300}"#,
        br#"{"$ref":"x","__proto__":{"a":1},"constructor":null,"\u2028":true}"#,
        br#"{"a":"</script><!--","b":"\u003cimg src=x\u003e","c":"=1+1"}"#,
    ];
    for data in odd {
        world.relay.post_events(around(org, data)).await.expect(202);
    }
    // The same inside an array.
    let array: Vec<Vec<u8>> = odd.iter().map(|data| around(org, data)).collect();
    let array = [b"[ ".as_slice(), &array.join(b" ,\n".as_slice()), b"\t]"].concat();
    world.relay.post_events(array).await.expect(202);
    world.run_until_idle().await;
    let arrivals = world.receiver.arrivals("/hook");
    assert_eq!(arrivals.len(), 2 * odd.len());
    for data in odd {
        let needle = [b",\"data\":", data, b",\"delivery_id\":"].concat();
        let found = arrivals
            .iter()
            .filter(|arrival| arrival.body.windows(needle.len()).any(|window| window == needle))
            .count();
        assert_eq!(found, 2, "{}", String::from_utf8_lossy(data));
    }
}

/// Sends raw bytes to the API and reads until it closes, or answers a whole head.
async fn raw(world: &World, parts: &[&[u8]], then_close: bool) -> String {
    let address = world.relay.base_url().trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(address).await.expect("the API listens");
    for part in parts {
        // A refusal may come before everything is taken.
        if socket.write_all(part).await.is_err() {
            break;
        }
    }
    if then_close {
        let _ = socket.shutdown().await;
    }
    let mut answer = vec![0; 64 * 1024];
    let reading = socket.read(&mut answer);
    let read = tokio::time::timeout(std::time::Duration::from_secs(30), reading).await;
    let read = read.expect("the API answers or closes").unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

fn head(world: &World, more: &str) -> Vec<u8> {
    let key = world.relay.service_key();
    format!(
        "POST /v1/events HTTP/1.1\r\nhost: relay\r\nx-internal-api-key: {key}\r\n{more}\r\n\r\n"
    )
    .into_bytes()
}

/// I38: too much is refused whatever its length claims to be, without being kept in memory.
#[tokio::test]
async fn i38_too_large_is_refused_by_an_honest_an_absent_and_a_lying_length() {
    const SENT: usize = 128 << 20;
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let small = event(org, "a.b", json!({})).to_string();
    world.relay.post_events(small.clone()).await.expect(202);
    let blanks = vec![b' '; 1 << 20];
    let before = world.apis[0].resident_bytes();

    // Honest: nothing of the body is even waited for.
    let honest = head(&world, &format!("content-length: {SENT}"));
    let answer = raw(&world, &[&honest], false).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("body_too_large"), "{answer}");

    // Absent: chunks until it is too much.
    let mut chunks = vec![head(&world, "transfer-encoding: chunked")];
    let chunk = [format!("{:x}\r\n", blanks.len()).as_bytes(), &blanks, b"\r\n"].concat();
    chunks.extend(std::iter::repeat_n(chunk, SENT / blanks.len()));
    let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    let answer = raw(&world, &chunks, false).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    // Lying, too long: the body ends before its length.
    let long = head(&world, &format!("content-length: {}", small.len() + 10));
    let answer = raw(&world, &[&long, small.as_bytes()], true).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");

    // Lying, too short: what is beyond is no part of the body.
    let short = head(&world, &format!("content-length: {}", small.len() - 1));
    let answer = raw(&world, &[&short, small.as_bytes()], true).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    // Both lengths at once is how requests are smuggled.
    let both =
        head(&world, &format!("content-length: {}\r\ntransfer-encoding: chunked", small.len()));
    let answer = raw(&world, &[&both, small.as_bytes()], true).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");

    let growth = world.apis[0].resident_bytes().saturating_sub(before);
    // The limit is 8 MiB; the rest is what reads from sockets, and what the first of each kind wakes up.
    assert!(growth < 24 << 20, "the process grew by {growth} bytes for {SENT} that were sent");
    assert_eq!(stored(&world).await, 1, "only the first event is there");
}

/// I38: nothing is inflated here, so no bomb can go off.
#[tokio::test]
async fn i38_a_compressed_body_is_refused_unread() {
    let world = World::builder().workers(0).start().await;
    for encoding in ["gzip", "br", "deflate", "zstd", "identity, gzip"] {
        let request = world
            .relay
            .request(reqwest::Method::POST, "/v1/events")
            .header("x-internal-api-key", world.relay.service_key())
            .header("content-encoding", encoding)
            .body(vec![0x1f_u8; 4096]);
        let refused = world.relay.send(request).await.expect(415);
        assert_eq!(refused.code(), "content_encoding_unsupported", "{encoding}");
    }
    assert_eq!(stored(&world).await, 0);
}

/// I35: a request's head is bounded too; the process goes on serving.
#[tokio::test]
async fn i35_a_head_without_end_is_refused() {
    let world = World::builder().workers(0).start().await;
    let many: String = (0..1_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "y".repeat(1 << 20));
    for more in [many, large] {
        let request = head(&world, &format!("{more}content-length: 0"));
        let answer = raw(&world, &[&request], false).await;
        let refused = ["HTTP/1.1 431", "HTTP/1.1 400"].iter().any(|s| answer.starts_with(s));
        assert!(refused || answer.is_empty(), "{answer}");
    }
    world.relay.send(world.relay.request(reqwest::Method::GET, "/healthz")).await.expect(200);
    assert_eq!(stored(&world).await, 0);
}
