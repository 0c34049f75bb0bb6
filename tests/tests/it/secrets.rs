//! Secrets at rest: ciphertext in the tables, nowhere in clear, openable by the keys of the settings.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{LONG, World, event, new_id, wait_until};
use uuid::Uuid;

use super::command::{self, Finished};

const OLD_KEY: &str = "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0=";
const NEW_KEY: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldy0=";

/// Every row of every table of ours, as text.
pub(crate) async fn everything(world: &World) -> Vec<(String, String)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'relay' and c.relkind in ('r', 'v')",
    )
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    assert!(tables.len() > 8, "{tables:?}");
    let mut rows = Vec::new();
    for table in tables {
        let texts: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select t::text from {table} t")))
                .fetch_all(world.sql())
                .await
                .expect("a table can be read");
        rows.extend(texts.into_iter().map(|text| (table.clone(), text)));
    }
    rows
}

async fn tokens(world: &World, id: Uuid) -> (Option<String>, Vec<String>) {
    let token = sqlx::query_scalar(
        "select access_token from relay.organization_integrations where id = $1",
    );
    let sealed = sqlx::query_scalar("select sealed from relay.secrets where connection_id = $1");
    (
        token.bind(id).fetch_one(world.sql()).await.expect("the row is there"),
        sealed.bind(id).fetch_all(world.sql()).await.expect("the database answers"),
    )
}

/// B22: a signing secret is shown once. After that it is ciphertext in two places, and in clear in
/// none: no table, no answer, no log, no metric.
#[tokio::test]
async fn b22_a_secret_is_ciphertext_in_the_tables_and_in_no_answer_log_or_metric() {
    let world = World::start().await;
    let org = new_id();
    let url = world.receiver.url("/hook");
    let hook = world.relay.create_custom(org, &url).await;
    let custom = format!("/api/integrations/organizations/{org}/custom-integrations/{}", hook.id);
    let change = json!({ "regenerate_secret": true, "secret_overlap_seconds": 3600 });
    let changed = world.relay.admin(org, Method::PUT, &custom, Some(&change)).await.expect(200);
    let fresh = changed.json()["secret"].as_str().expect("shown once").to_owned();
    world.relay.keep_secret(&url, &fresh);
    let emitted = world.relay.emit(&event(org, "a.b", json!({ "marker": "a" }))).await;
    world.run_until_idle().await;
    let delivery = world.relay.delivery_of(org, emitted, hook.id).await;

    let (token, sealed) = tokens(&world, hook.id).await;
    assert_eq!(sealed.len(), 2);
    for text in sealed.iter().chain(&token) {
        assert!(text.starts_with("sealed.v1."), "{text}");
    }
    assert!(sealed.contains(&token.expect("the row has one")));

    let mut seen = everything(&world).await;
    for path in [
        format!("/api/integrations/organizations/{org}/connections"),
        format!("/api/organizations/{org}/connections/{}", hook.id),
        format!("/api/organizations/{org}/deliveries"),
        format!("/api/organizations/{org}/deliveries/{}", delivery["id"].as_str().expect("an id")),
        format!("/api/organizations/{org}/teams/{}/connections", new_id()),
    ] {
        let answer = world.relay.admin(org, Method::GET, &path, None).await.expect(200);
        seen.push((path, String::from_utf8_lossy(&answer.body).into_owned()));
    }
    for process in world.apis.iter().chain(&world.workers) {
        let log = process.log();
        seen.push((format!("the metrics of {}", process.name), metrics(&log).await));
        seen.push((format!("the log of {}", process.name), log));
    }
    for secret in [&hook.secret, &fresh] {
        let bare = secret.trim_start_matches("whsec_");
        let hits: Vec<&str> = seen
            .iter()
            .filter(|(_, text)| text.contains(bare))
            .map(|(at, _)| at.as_str())
            .collect();
        assert!(hits.is_empty(), "a secret stands in {hits:?}");
    }
    // Sealed texts are for the tables alone.
    for (place, text) in seen.iter().filter(|(place, _)| !place.starts_with("relay.")) {
        assert!(!text.contains("sealed.v1."), "{place} shows ciphertext");
    }
}

/// What a process tells Prometheus; its address is in the log.
async fn metrics(log: &str) -> String {
    let line = log.lines().find(|line| line.contains("metrics")).expect("it says where");
    let (_, port) = line.rsplit_once("127.0.0.1:").expect("an address");
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await;
    let text = answer.expect("metrics are served").text().await.expect("metrics are text");
    assert!(text.contains("relay_"), "{text}");
    text
}

pub(crate) async fn reseal(world: &World, key: &str, previous: &str) -> Finished {
    let database = world.database_url();
    let environment = [
        ("DATABASE_URL", database.as_str()),
        ("RELAY_ENCRYPTION_KEY", key),
        ("RELAY_ENCRYPTION_KEY_PREVIOUS", previous),
    ];
    let finished = command::relay(&["secrets", "reseal", "--json"], &environment).await;
    for text in [&finished.stdout, &finished.stderr] {
        assert!(!text.contains(OLD_KEY) && !text.contains(NEW_KEY), "{text}");
    }
    finished
}

/// B22: a new key takes over while the old one still opens; after re-sealing the old one is done with.
#[tokio::test]
async fn b22_a_rotated_key_opens_what_the_old_one_sealed_and_reseals_it() {
    let mut world = World::builder().workers(0).env("RELAY_ENCRYPTION_KEY", OLD_KEY).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let (before, _) = tokens(&world, hook.id).await;
    let body = |marker: &str| event(org, "a.b", json!({ "marker": marker }));

    let both = [("RELAY_ENCRYPTION_KEY", NEW_KEY), ("RELAY_ENCRYPTION_KEY_PREVIOUS", OLD_KEY)];
    world.add_worker(&both);
    world.relay.emit(&body("rotating")).await;
    world.receiver.wait_for("/hook", 1).await;
    world.run_until_idle().await;
    world.workers[0].kill9();

    let report = reseal(&world, NEW_KEY, OLD_KEY).await.good().json();
    assert_eq!(report, json!({ "resealed": 1, "sealed_first_time": 0, "unreadable": 0 }));
    let (after, sealed) = tokens(&world, hook.id).await;
    assert_ne!(before, after);
    assert_eq!(sealed, [after.expect("the row has one")]);
    let report = reseal(&world, NEW_KEY, OLD_KEY).await.good().json();
    assert_eq!(report["resealed"], 0, "there is nothing left to do");

    world.add_worker(&[("RELAY_ENCRYPTION_KEY", NEW_KEY)]);
    world.relay.emit(&body("rotated")).await;
    world.receiver.wait_for("/hook", 2).await;
    world.run_until_idle().await;
    world.workers[1].kill9();

    // With the old key alone nothing opens: told as such, nothing is sent unsigned, and the delivery
    // waits for a process that has the key.
    let finished = reseal(&world, OLD_KEY, "").await;
    assert_eq!((finished.code, &finished.json()["unreadable"]), (Some(1), &json!(1)));
    world.add_worker(&[("RELAY_ENCRYPTION_KEY", OLD_KEY)]);
    let waiting = world.relay.emit(&body("unreadable")).await;
    wait_until("the delivery to be put off", LONG, || async {
        let late: i64 = sqlx::query_scalar(
            "select count(*) from relay.outbox
             where due_at > now() + interval '10 seconds' and lease is null",
        )
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
        (late == 1).then_some(())
    })
    .await;
    assert_eq!(world.receiver.count("/hook"), 2);
    let delivery = world.relay.delivery_of(org, waiting, hook.id).await;
    assert_eq!(delivery["status"], "pending", "{delivery}");
    for worker in &world.workers {
        assert!(!worker.log().contains(OLD_KEY) && !worker.log().contains(NEW_KEY));
    }
}

/// B22: a row of the old core holds its secret in clear. It delivers as it is; re-sealing seals it.
#[tokio::test]
async fn b22_a_clear_secret_of_the_old_core_still_signs_and_can_be_sealed() {
    let world = World::builder().env("RELAY_ENCRYPTION_KEY", NEW_KEY).start().await;
    let (org, id) = (new_id(), new_id());
    let url = world.receiver.url("/hook");
    let secret = format!("whsec_{}", "5a".repeat(32));
    world.relay.keep_secret(&url, &secret);
    sqlx::query(
        "insert into relay.organization_integrations
             (id, organization_id, provider, installation_id, display_name, access_token, metadata,
              connected_at, version)
         values ($1, $2, 'custom_notification', $3, 'Old', $4, $5, now(), 1)",
    )
    .bind(id)
    .bind(org)
    .bind(id.to_string())
    .bind(&secret)
    .bind(json!({ "webhook_url": url, "icon_url": Value::Null, "custom_name": "Old", "type": "notification" }))
    .execute(world.sql())
    .await
    .expect("a row of the old core fits the table");
    world.relay.emit(&event(org, "a.b", json!({ "marker": "clear" }))).await;
    let arrivals = world.receiver.wait_for("/hook", 1).await;
    assert_eq!(arrivals[0].verify(&secret), Ok(()));

    let report = reseal(&world, NEW_KEY, "").await.good().json();
    assert_eq!(report, json!({ "resealed": 0, "sealed_first_time": 1, "unreadable": 0 }));
    let (token, sealed) = tokens(&world, id).await;
    assert!(token.is_some_and(|token| token.starts_with("sealed.v1.")));
    assert_eq!(sealed.len(), 1);
    assert!(everything(&world).await.iter().all(|(_, text)| !text.contains(&secret)));
    world.relay.emit(&event(org, "a.b", json!({ "marker": "sealed" }))).await;
    let arrivals = world.receiver.wait_for("/hook", 2).await;
    assert_eq!(arrivals[1].verify(&secret), Ok(()));
}

/// B22: a secret that comes from outside is refused where it is not a sealed one.
#[tokio::test]
async fn b22_the_table_of_secrets_takes_no_clear_text() {
    let world = World::builder().api(0).workers(0).start().await;
    for text in ["whsec_00", "", "sealed.v1.", "sealed.v1.00000000.", "sealed.v1.0000000g.AAAA"] {
        let error = sqlx::query(
            "insert into relay.secrets (connection_id, purpose, version, organization_id, key_id, sealed)
             values ($1, 'signing', 1, $1, 'k', $2)",
        )
        .bind(new_id())
        .bind(text)
        .execute(world.sql())
        .await
        .expect_err(text);
        let error = error.into_database_error().expect("the database's own");
        assert_eq!(error.constraint(), Some("secrets_are_sealed"), "{text}");
    }
}

/// A webhook's URL often carries a token. When it cannot be reached, neither the log nor what an
/// admin reads of the failure repeats it.
#[tokio::test]
async fn b22_the_token_in_a_webhooks_url_is_in_no_log_and_no_error() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let closed = tests::ClosedPort::take();
    world.receiver.answer("/reset?token=sesame-5f0c", [tests::Answer::Reset]);
    world.receiver.answer("/odd?token=sesame-5f0c", [tests::Answer::Gibberish]);
    let urls = [
        world.receiver.url("/reset?token=sesame-5f0c"),
        world.receiver.url("/odd?token=sesame-5f0c"),
        format!("http://127.0.0.1:{}/x?token=sesame-5f0c", closed.port),
        "http://nowhere.invalid/x?token=sesame-5f0c".to_owned(),
        format!("https://127.0.0.1:{}/x?token=sesame-5f0c", world.receiver.port()),
    ];
    let mut hooks = Vec::new();
    for url in &urls {
        hooks.push(world.relay.create_custom(org, url).await.id);
    }
    let emitted = world.relay.emit(&event(org, "a.b", json!({}))).await;
    world.run_until_idle().await;
    for (hook, url) in hooks.iter().zip(&urls) {
        let mut delivery = world.relay.delivery_of(org, emitted, *hook).await;
        assert_eq!(delivery["status"], "dead", "{url}");
        assert!(delivery["error"].is_string(), "{url}: {delivery}");
        // The request shows where it went, as the connection does; nothing else tells of it.
        let shown = delivery["attempt_list"][0]["request"]["url"].take();
        assert_eq!(shown.as_str(), Some(url.as_str()));
        assert!(!delivery.to_string().contains("sesame"), "{delivery}");
        let path = format!("/api/integrations/organizations/{org}/custom-integrations/{hook}/test");
        let tested = world.relay.admin(org, Method::POST, &path, None).await.expect(200).json();
        assert!(!tested.to_string().contains("sesame"), "{tested}");
    }
    for process in world.apis.iter().chain(&world.workers) {
        assert!(!process.log().contains("sesame"), "{} tells the token", process.name);
    }
}
