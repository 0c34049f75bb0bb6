//! Pictures of custom integrations: told by their bytes, bounded while they arrive, served back inert.

use reqwest::Method;
use tests::{Answered, World, new_id};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use uuid::Uuid;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9";
const WEBP: &[u8] =
    b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0";
const BYTES_MAX: usize = 256 * 1024;

async fn upload(world: &World, org: Uuid, content_type: &str, bytes: Vec<u8>) -> Answered {
    let path = format!("/api/integrations/organizations/{org}/custom-integrations/upload-icon");
    let request = world.relay.request(Method::POST, &path).header("content-type", content_type);
    let request = request.bearer_auth(world.relay.admin_token(org)).body(bytes);
    world.relay.send(request).await
}

async fn stored(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from relay.icons")
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
}

/// The three kinds are taken by what they are, not by what they are called, and come back as such.
#[tokio::test]
async fn a_picture_is_taken_by_its_bytes_and_served_back_inert() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    for (bytes, called, content_type, ending) in [
        (PNG, "image/png", "image/png", "png"),
        (JPEG, "image/png", "image/jpeg", "jpg"),
        (WEBP, "text/html", "image/webp", "webp"),
    ] {
        let answer = upload(&world, org, called, bytes.to_vec()).await.expect(200).json();
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(1));
        let url = answer["url"].as_str().expect("a URL");
        let path = url.strip_prefix("http://localhost:3001").expect("under BACKEND_URL");
        assert!(path.starts_with(&format!("/api/integrations/icons/{org}/")), "{path}");
        assert!(path.ends_with(&format!(".{ending}")), "{path}");
        // Whoever shows it has no token.
        let served = world.relay.send(world.relay.request(Method::GET, path)).await.expect(200);
        assert_eq!(served.body, bytes);
        let header = |name: &str| served.headers.get(name).and_then(|v| v.to_str().ok());
        assert_eq!(header("content-type"), Some(content_type));
        assert_eq!(header("x-content-type-options"), Some("nosniff"));
        assert!(header("content-security-policy").is_some_and(|csp| csp.contains("sandbox")));
        // Under no other name, and not as another organization's.
        for other in [
            path.replace(&format!(".{ending}"), ".svg"),
            path.replace(&format!(".{ending}"), ""),
            path.replace(&org.to_string(), &new_id().to_string()),
        ] {
            world.relay.send(world.relay.request(Method::GET, &other)).await.expect(404);
        }
    }
    assert_eq!(stored(&world).await, 3);
}

/// What can run in a browser is no picture, whatever its label.
#[tokio::test]
async fn i46_what_is_not_a_picture_is_refused() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    for bytes in [
        &b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"[..],
        b"<!doctype html><script>alert(1)</script>",
        b"GIF89a\x01\0\x01\0",
        b"%PDF-1.7",
        b" \x89PNG\r\n\x1a\n",
        b"",
    ] {
        for label in ["image/png", "image/svg+xml"] {
            let refused = upload(&world, org, label, bytes.to_vec()).await.expect(400);
            assert_eq!(refused.code(), "icon_unsupported");
            let error = refused.json()["error"].clone();
            assert_eq!(error, "Only PNG, JPEG and WebP images are allowed");
        }
    }
    assert_eq!(stored(&world).await, 0);
}

/// The limit is kept while the bytes arrive, with and without a length.
#[tokio::test]
async fn i38_a_picture_past_the_limit_is_refused_while_it_arrives() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let sized = |bytes: usize| [PNG, &vec![0; bytes - PNG.len()]].concat();
    upload(&world, org, "image/png", sized(BYTES_MAX)).await.expect(200);
    let refused = upload(&world, org, "image/png", sized(BYTES_MAX + 1)).await.expect(413);
    assert_eq!(
        (refused.code().as_str(), &refused.json()["error"]),
        ("icon_too_large", &"Image must be under 256KB".into())
    );

    // Chunks without an end: the answer comes although the caller would send for ever.
    let before = world.apis[0].resident_bytes();
    let address = world.relay.base_url().trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(address).await.expect("the API listens");
    let token = world.relay.admin_token(org);
    let head = format!(
        "POST /api/integrations/organizations/{org}/custom-integrations/upload-icon HTTP/1.1\r\n\
         host: relay\r\nauthorization: Bearer {token}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("the API reads");
    let chunk = [b"10000\r\n".as_slice(), &vec![0x89; 0x10000], b"\r\n"].concat();
    let (mut reading, mut writing) = socket.split();
    let mut answer = vec![0; 4096];
    let sending = async {
        while writing.write_all(&chunk).await.is_ok() {}
        std::future::pending::<usize>().await
    };
    let read = tokio::select! {
        read = reading.read(&mut answer) => read.expect("an answer"),
        never = sending => never,
    };
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let growth = world.apis[0].resident_bytes().saturating_sub(before);
    assert!(growth < 16 << 20, "the process grew by {growth} bytes");
    assert_eq!(stored(&world).await, 1);
}
