//! One organization that asks for far too much: it is put off, and nobody else is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use engine::connection::room::CONNECTIONS_MAX;
use reqwest::Method;
use serde_json::json;
use tests::{World, event, new_id};

/// What an organization may ask at once, and in each minute.
const ALLOWED: usize = 1_200;
/// It goes on until so many were refused for that, or until it is clear that nobody is.
const REFUSED: usize = 50;
const FOR: Duration = Duration::from_secs(90);

/// I47: a flood on one organization's key is answered 429 with `Retry-After` beyond its allowance, which
/// creating endpoints and asking for replays draws on as well, so that neither can be done by the ten
/// thousand. Another organization, and what the core records, are not touched.
#[tokio::test]
async fn i47_a_flood_by_one_organization_is_put_off_and_nobody_else_is() {
    let world = World::start().await;
    let (loud, quiet) = (new_id(), new_id());
    let hook = world.relay.create_custom(quiet, &world.receiver.url("/quiet")).await;
    world.relay.create_custom(loud, &world.receiver.url("/loud")).await;
    let began = Instant::now();
    let rate_limited = Arc::new(AtomicUsize::new(0));
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..30 {
        let (relay, rate_limited) = (world.relay.clone(), rate_limited.clone());
        flood.spawn(async move {
            let custom = format!("/api/integrations/organizations/{loud}/custom-integrations");
            let replays = format!("/api/organizations/{loud}/replays");
            let made = json!({ "name": "X", "type": "notification", "webhook_url": "no" });
            let asked = json!({ "selection": {} });
            let mut answers = Vec::new();
            while rate_limited.load(Ordering::Relaxed) < REFUSED && began.elapsed() < FOR {
                let answer = match n % 3 {
                    0 => relay.admin(loud, Method::POST, &custom, Some(&made)).await,
                    1 => relay.admin(loud, Method::POST, &replays, Some(&asked)).await,
                    _ => relay.admin(loud, Method::GET, &replays, None).await,
                };
                rate_limited
                    .fetch_add(usize::from(answer.code() == "rate_limited"), Ordering::Relaxed);
                answers.push(answer);
            }
            answers
        });
    }
    // Meanwhile another organization is served each time.
    for _ in 0..50 {
        world.relay.connection(quiet, hook.id).await.expect(200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answers: Vec<_> = flood.join_all().await.into_iter().flatten().collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    // What comes back of the allowance meanwhile, and what was asked for before.
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let allowed = ALLOWED as f64 * (1.0 + minutes) + 1.0;
    let served = answers.len() - refused.len();
    assert!(served as f64 <= allowed, "{served} of {} were served", answers.len());
    assert!(rate_limited.load(Ordering::Relaxed) >= REFUSED, "{served} served, nobody put off");
    for answer in refused {
        assert!(["rate_limited", "too_many_replays"].contains(&answer.code().as_str()));
        let wait = answer.headers["retry-after"].to_str().expect("text").parse::<u64>();
        assert!(wait.is_ok_and(|seconds| (1..=60).contains(&seconds)), "{answer:?}");
    }
    for org in [loud, quiet] {
        world.relay.emit(&event(org, "a.b", json!({ "marker": "after" }))).await;
    }
    world.run_until_idle().await;
    assert_eq!((world.receiver.count("/loud"), world.receiver.count("/quiet")), (1, 1));
}

/// I47: an organization has only so many connections, however many are asked for at once; what it removes
/// makes room again, and nobody else's are counted.
#[tokio::test]
async fn i47_an_organization_has_only_so_many_connections() {
    let world = World::builder().workers(0).start().await;
    let (org, other) = (new_id(), new_id());
    let first = world.relay.create_custom(org, &world.receiver.url("/first")).await;
    fill(&world, first.id, CONNECTIONS_MAX - 3).await;
    let custom = format!("/api/integrations/organizations/{org}/custom-integrations");
    let made =
        json!({ "name": "X", "type": "ticketing", "webhook_url": world.receiver.url("/more") });
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (relay, custom, made) = (world.relay.clone(), custom.clone(), made.clone());
        asking.spawn(async move { relay.admin(org, Method::POST, &custom, Some(&made)).await });
    }
    let answers = asking.join_all().await;
    let (created, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status / 100 == 2);
    assert_eq!((created.len(), refused.len()), (3, 17));
    for refused in refused {
        assert_eq!((refused.status, refused.code().as_str()), (400, "too_many_connections"));
    }
    assert_eq!(there(&world, org).await, CONNECTIONS_MAX, "nothing is left of those");
    // Another organization is not concerned.
    world.relay.create_custom(other, &world.receiver.url("/other")).await;
    // What is removed makes room, once.
    world.relay.delete_connection(org, first.id).await.expect(200);
    world.relay.admin(org, Method::POST, &custom, Some(&made)).await.expect(200);
    let full = world.relay.admin(org, Method::POST, &custom, Some(&made)).await;
    assert_eq!(full.expect(400).code(), "too_many_connections");
}

/// Has the organization of a connection own `count`, as if they had been made one by one.
pub(crate) async fn fill(world: &World, like: uuid::Uuid, count: i64) {
    sqlx::query(
        "insert into relay.organization_integrations
            (id, organization_id, provider, installation_id, display_name, metadata, status, connected_at,
             event_types, version)
         select gen_random_uuid(), organization_id, provider, n::text, display_name, metadata, status,
                connected_at, event_types, version
         from relay.organization_integrations, generate_series(2, $2) n where id = $1",
    )
    .bind(like)
    .bind(count)
    .execute(world.sql())
    .await
    .expect("seeded");
}

async fn there(world: &World, org: uuid::Uuid) -> i64 {
    sqlx::query_scalar(
        "select count(*) from relay.organization_integrations
         where organization_id = $1 and status <> 'disconnected'",
    )
    .bind(org)
    .fetch_one(world.sql())
    .await
    .expect("counted")
}
