//! Webhook URLs that must not be taken, or taken and never called.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, World, WorldBuilder, event, new_id};
use tokio::net::TcpListener;
use uuid::Uuid;

/// A world as in production: nothing private is opened, `http://` is refused.
pub(crate) fn strict() -> WorldBuilder {
    World::builder()
        .env("RELAY_ALLOW_PRIVATE_NETWORKS", "")
        .env("RELAY_ALLOW_HTTP", "")
        .env("BACKEND_URL", "https://relay.deptex.example")
}

async fn create(world: &World, org: Uuid, url: &str) -> (u16, Value) {
    let path = format!("/api/integrations/organizations/{org}/custom-integrations");
    let body = json!({ "name": "X", "type": "notification", "webhook_url": url });
    let answer = world.relay.admin(org, Method::POST, &path, Some(&body)).await;
    (answer.status, answer.json())
}

/// I1 to I29 and I31, with what a person is told.
#[rustfmt::skip]
fn refused() -> Vec<(String, &'static str)> {
    let not_public = "webhook_url must point to a public address";
    let scheme = "webhook_url must start with https://";
    let malformed = "webhook_url is not a valid URL";
    let userinfo = "webhook_url must not contain a user name or password";
    let port = "webhook_url uses a port that is not allowed";
    let mut table: Vec<(String, &str)> = Vec::new();
    for host in [
        "127.0.0.1", "[::1]", "0.0.0.0", // I1-3
        "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "１２７.０.０.１", "%31%32%37.0.0.1", // I4-9
        "127.0.0.1.", "LOCALHOST.", "x.localhost", "localhost", // I10
        "169.254.169.254", "0xa9fea9fe", "[fd00:ec2::254]", "100.100.100.200", "192.0.0.192", "168.63.129.16", // I11
        "[::ffff:169.254.169.254]", "[::ffff:7f00:1]", "[::127.0.0.1]", // I12-14
        "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[2001:0:4136:e378::]", // I15-17
        "[fe80::1]", "[fec0::1]", "[ff02::1]", // I18
        "metadata.google.internal", "printer.local", "intranet", // I22
        "10.0.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "224.0.0.1", "255.255.255.255",
    ] {
        table.push((format!("https://{host}/x"), not_public));
    }
    for raw in [
        "file:///etc/passwd", "gopher://example.com", "ftp://example.com", "unix:/run/x",
        "http+unix://x", "javascript:alert(1)", "data:text/html,x", "//example.com", "example.com", // I24
        "http://example.com", "HTTP://example.com", // I25
        "https:example.com", "https:/example.com", "https\t://example.com", " https://example.com", // I28
    ] {
        table.push((raw.into(), scheme));
    }
    for raw in ["https://user:pw@example.com", "https://user@example.com", "https://example.com@127.0.0.1", "https://@example.com/"] {
        table.push((raw.into(), userinfo)); // I26
    }
    for raw in [
        "https://[fe80::1%25eth0]/", // I18
        "https://127.0.0.1:80\\@example.com", "https://example.com\\@127.0.0.1", // I27
        "https://exa\tmple.com", "https://example.com/\n", "https://example.com\r\nx: y", "https://example.com/a b", "https:///x", "https://", // I28
        "https://example.com:65536/", // I29
        "https://a..b/", // I31
    ] {
        table.push((raw.into(), malformed));
    }
    for number in ["0", "22", "25", "6379", "5432"] {
        table.push((format!("https://example.com:{number}/"), port)); // I29
    }
    table.push((format!("https://example.com/{}", "x".repeat(10_240)), "webhook_url is longer than 2048 characters"));
    table.push((format!("https://{}.com/", ["a".repeat(60).as_str(); 5].join(".")), malformed)); // I31
    table.push((format!("https://{}.com/", "a".repeat(64)), malformed));
    table.push(("https://relay.deptex.example/v1/events".into(), "webhook_url must not point back to Deptex")); // I32
    table.push(("https://RELAY.deptex.example./x".into(), "webhook_url must not point back to Deptex"));
    table
}

/// I1-I18, I22, I24-I29, I31, I32: refused when created and when changed, with a sentence; nothing is kept.
#[tokio::test]
async fn i1_to_i32_urls_that_must_not_be_called_are_refused() {
    let world = strict().workers(0).start().await;
    let org = new_id();
    let good = "https://hooks.example.com:8443/in?token=x";
    let (status, made) = create(&world, org, good).await;
    assert_eq!(status, 200, "{made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    for (url, error) in refused() {
        let (status, answer) = create(&world, org, &url).await;
        assert_eq!((status, answer["error"].as_str()), (400, Some(error)), "{url:?}");
        assert_eq!(answer["code"], "invalid_webhook_url", "{url:?}");
    }
    // One of each kind, when changed, on both routes.
    for url in ["https://127.0.0.1/", "http://example.com", "https://u:p@example.com"] {
        let change = json!({ "webhook_url": url });
        let put = format!("/api/integrations/organizations/{org}/custom-integrations/{id}");
        world.relay.admin(org, Method::PUT, &put, Some(&change)).await.expect(400);
        let id = id.parse().expect("a UUID");
        world.relay.change(org, id, &change).await.expect(422);
    }
    let rows: Vec<Value> =
        sqlx::query_scalar("select metadata from relay.organization_integrations")
            .fetch_all(world.sql())
            .await
            .expect("the database answers");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["webhook_url"], good);
    for port in ["443", "80", "8080", "8443", "3000"] {
        let (status, answer) = create(&world, org, &format!("https://example.com:{port}/")).await;
        assert_eq!(status, 200, "{port}: {answer}");
    }
}

/// I30: an international host is kept, and shown, as what is looked up, with a warning.
#[tokio::test]
async fn i30_an_international_host_is_kept_in_punycode_with_a_warning() {
    let world = strict().workers(0).start().await;
    let org = new_id();
    for (url, kept) in [
        ("https://аррӏе.com/hook", "https://xn--80ak6aa92e.com/hook"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ] {
        let (status, made) = create(&world, org, url).await;
        assert_eq!(status, 200, "{made}");
        let host = kept.trim_start_matches("https://").split('/').next().expect("a host");
        let warning = made["warnings"][0].as_str().unwrap_or_default();
        assert!(warning.contains(host), "{made}");
        let id = made["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let view = world.relay.connection(org, id).await.expect(200).json();
        assert_eq!(view["metadata"]["webhook_url"], kept);
    }
}

/// B31: a private address is refused when created; one that got into the table all the same is
/// blocked when sent, without a packet. Opening the network lets the very same delivery through.
#[tokio::test]
async fn b31_a_private_address_is_refused_and_blocked_unless_its_network_is_opened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let mut world = strict().env("RELAY_RETRY_SCHEDULE", "200ms").start().await;
    let org = new_id();
    let inner = [
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://2130706433:{port}/"),
    ];
    for url in &inner {
        assert_eq!(create(&world, org, url).await.0, 400, "{url}");
    }
    let mut hooks = Vec::new();
    for (n, url) in inner.iter().enumerate() {
        let (status, made) = create(&world, org, &format!("https://hooks.example.com/{n}")).await;
        assert_eq!(status, 200);
        let id: Uuid = made["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        sqlx::query(
            "update relay.organization_integrations
             set metadata = jsonb_set(metadata, '{webhook_url}', to_jsonb($2::text)) where id = $1",
        )
        .bind(id)
        .bind(url)
        .execute(world.sql())
        .await
        .expect("a superuser may");
        hooks.push(id);
    }
    let emitted = world.relay.emit(&event(org, "a.b", json!({ "marker": "inner" }))).await;
    world.run_until_idle().await;
    for (hook, url) in hooks.iter().zip(&inner) {
        let delivery = world.relay.delivery_of(org, emitted, *hook).await;
        assert_eq!(delivery["status"], "dead", "{url}: {delivery}");
        let attempts = delivery["attempt_list"].as_array().expect("attempts");
        assert!(!attempts.is_empty() && attempts.len() <= 2, "no retry storm: {delivery}");
        for attempt in attempts {
            assert_eq!(attempt["error_class"], "blocked", "{url}: {attempt}");
            assert_eq!(attempt["status_code"], Value::Null);
        }
        // The test button is no way around.
        let path = format!("/api/integrations/organizations/{org}/custom-integrations/{hook}/test");
        let tested = world.relay.admin(org, Method::POST, &path, None).await.expect(200).json();
        assert_eq!((&tested["success"], &tested["statusText"]), (&json!(false), &json!("blocked")));
    }
    let knock = std::time::Duration::from_millis(100);
    assert!(tokio::time::timeout(knock, listener.accept()).await.is_err(), "a connection arrived");
    drop(listener);

    // The operator opens the network: the same row is called now.
    world.workers[0].kill9();
    let opened = [("RELAY_ALLOW_PRIVATE_NETWORKS", "127.0.0.1/32"), ("RELAY_ALLOW_HTTP", "true")];
    world.add_worker(&opened);
    let update = "update relay.organization_integrations
                  set metadata = jsonb_set(metadata, '{webhook_url}', to_jsonb($2::text)) where id = $1";
    let url = world.receiver.url("/opened");
    sqlx::query(update).bind(hooks[0]).bind(&url).execute(world.sql()).await.expect("it is set");
    let again = world.relay.emit(&event(org, "a.b", json!({ "marker": "opened" }))).await;
    world.relay.settled(org, again, hooks[0], "delivered").await;
    // It also hears that the others ran out of retries.
    let arrived = world.receiver.arrivals("/opened");
    assert_eq!(arrived.iter().filter(|arrival| arrival.json()["event"] == "a.b").count(), 1);
}

/// I23, B6: a redirect is an answer like any other, and not a good one; nobody goes there.
#[tokio::test]
async fn i23_redirects_are_failures_and_are_not_followed() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let target = world.receiver.url("/target");
    for (n, (status, location)) in [
        (301, target.as_str()),
        (302, "http://169.254.169.254/latest/meta-data/"),
        (303, "/target"),
        (307, "file:///etc/passwd"),
        (308, target.as_str()),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/hook{n}");
        let answer = Answer::status(status).header("location", location);
        world.receiver.answer(&path, [answer]);
        let hook = world.relay.create_custom(org, &world.receiver.url(&path)).await;
        let more = json!({ "marker": n.to_string() });
        let emitted = world.relay.emit(&event(org, "a.b", more)).await;
        let delivery = world.relay.settled(org, emitted, hook.id, "dead").await;
        assert_eq!(delivery["status_code"], status);
        // The test button tells the same.
        let test =
            format!("/api/integrations/organizations/{org}/custom-integrations/{}/test", hook.id);
        let tested = world.relay.admin(org, Method::POST, &test, None).await.expect(200).json();
        assert_eq!((&tested["success"], &tested["status"]), (&json!(false), &json!(status)));
        world.relay.delete_connection(org, hook.id).await.expect(200);
    }
    assert_eq!(world.receiver.count("/target"), 0);
}
