//! The read model of connections against the log that it is folded from.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, LONG, World, event, new_id};
use uuid::Uuid;

use super::command::{self, Finished};

async fn projection(world: &World, what: &str) -> Finished {
    let database = world.database_url();
    command::relay(&["projection", what, "--json"], &[("DATABASE_URL", &database)]).await
}

async fn rows(world: &World) -> Vec<Value> {
    sqlx::query_scalar("select to_jsonb(c) from relay.organization_integrations c order by id")
        .fetch_all(world.sql())
        .await
        .expect("the database answers")
}

/// Draws a command and gives it; whatever the answer, the log and the table must agree.
async fn some_command(world: &World, org: Uuid, hooks: &[Uuid]) {
    let pick = |count: usize| rand::random::<u32>() as usize % count;
    let id = hooks[pick(hooks.len())];
    let custom = format!("/api/integrations/organizations/{org}/custom-integrations/{id}");
    match pick(12) {
        0 => drop(world.relay.change(org, id, &json!({ "paused": true })).await),
        1 => drop(world.relay.change(org, id, &json!({ "paused": false })).await),
        2 => {
            let name = format!("Name {}", pick(5));
            drop(world.relay.change(org, id, &json!({ "name": name })).await);
        }
        3 => {
            let kinds = [json!(["*"]), json!(["a.*", "sla_breached"]), json!(["x.y"])];
            let change = json!({ "event_types": kinds[pick(3)], "retry_schedule": [pick(9), 5] });
            drop(world.relay.change(org, id, &change).await);
        }
        4 => {
            let conditions = [json!(null), json!({ "field": "data.n", "gte": pick(4) })];
            let change = json!({ "conditions": conditions[pick(2)], "retry_schedule": null });
            drop(world.relay.change(org, id, &change).await);
        }
        5 => {
            let change =
                json!({ "regenerate_secret": true, "secret_overlap_seconds": pick(2) * 60 });
            let answer = world.relay.admin(org, Method::PUT, &custom, Some(&change)).await;
            if let Some(secret) = answer.json()["secret"].as_str() {
                world.relay.keep_secret(&world.receiver.url("/hook"), secret);
                world.relay.keep_secret(&world.receiver.url("/gone"), secret);
            }
        }
        6 => {
            let url = world.receiver.url(["/hook", "/gone"][pick(2)]);
            let change = json!({ "webhook_url": url, "icon_url": "https://cdn.example/i.png" });
            drop(world.relay.admin(org, Method::PUT, &custom, Some(&change)).await);
        }
        7 => {
            let orders =
                [json!(null), json!({ "policy": "skip" }), json!({ "policy": "park", "after": 2 })];
            let limits = [json!(null), json!({ "count": 1 + pick(50), "seconds": 1 })];
            let change = json!({ "ordering": orders[pick(3)], "rate_limit": limits[pick(2)] });
            drop(world.relay.change(org, id, &change).await);
        }
        8 => {
            let values = [json!(null), json!("a"), json!("b")];
            let change = json!({ "headers": { "X-A": values[pick(3)], "X-B": values[pick(3)] } });
            drop(world.relay.change(org, id, &change).await);
        }
        9 if pick(3) == 0 => drop(world.relay.delete_connection(org, id).await),
        _ => {
            let body = event(org, "a.b", json!({ "n": pick(5) }));
            world.relay.try_emit(&body).await.expect(202);
        }
    }
}

/// After any commands, receivers switched off by 410 among them, folding the log gives the very rows.
#[tokio::test]
async fn rebuilding_the_read_model_gives_what_is_live() {
    let world = World::start().await;
    let org = new_id();
    world.receiver.answer("/gone", [Answer::status(410)]);
    let mut hooks = Vec::new();
    let mut secrets = Vec::new();
    for _ in 0..6 {
        let made = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
        hooks.push(made.id);
        secrets.push(made.secret);
    }
    // A webhook may move to the other path with its secret.
    for secret in secrets {
        world.relay.keep_secret(&world.receiver.url("/gone"), &secret);
    }
    for _ in 0..80 {
        some_command(&world, org, &hooks).await;
    }
    world.run_until_idle().await;
    // What follows from a settlement is recorded after it, and before the workers end.
    world.workers[0].sigterm();
    world.workers[0].wait_exit(LONG).await;
    let live = rows(&world).await;
    let check = projection(&world, "check").await.good().json();
    assert_eq!((&check["streams"], &check["different"]), (&json!(6), &json!([])));
    let events = check["events"].as_i64().expect("a number");
    assert!(events > 6, "{events} events");
    let rebuilt = projection(&world, "rebuild").await.good().json();
    assert_eq!(rebuilt["repaired"], 0, "there was nothing to repair");
    assert_eq!(rows(&world).await, live);
}

/// A row that somebody damaged is named by the check and repaired by the rebuild, tokens untouched.
#[tokio::test]
async fn a_damaged_row_is_found_and_repaired() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let mut hooks = Vec::new();
    for _ in 0..3 {
        hooks.push(world.relay.create_custom(org, &world.receiver.url("/hook")).await.id);
    }
    world.relay.change(org, hooks[1], &json!({ "event_types": ["a.*"] })).await.expect(200);
    let live = rows(&world).await;
    let damages = [
        "display_name = 'Evil'",
        "event_types = '{*}'",
        "paused = true",
        "metadata = metadata || '{\"webhook_url\": \"https://evil.example\"}'",
        "status = 'suspended', status_reason = 'x'",
        "version = 9",
        "conditions = '{}', conditions_path = '$.a == 1'",
        "team_id = gen_random_uuid()",
        "retry_schedule = '{1}'",
        "header_names = '{X-Evil}'",
        "rate_limit_count = 1, rate_limit_seconds = 3600",
        "ordering = 'park', ordering_after = 1",
        "digest_minutes = 1440",
    ];
    for damage in damages {
        let update = format!(
            "update relay.organization_integrations set {damage} where id = '{}'",
            hooks[1]
        );
        sqlx::query(sqlx::AssertSqlSafe(update)).execute(world.sql()).await.expect(damage);
        let check = projection(&world, "check").await;
        assert_eq!(check.code, Some(1), "{damage}: {check:?}");
        assert_eq!(check.json()["different"], json!([hooks[1]]), "{damage}");
        let rebuilt = projection(&world, "rebuild").await.good().json();
        assert_eq!(rebuilt["repaired"], 1, "{damage}");
        projection(&world, "check").await.good();
        assert_eq!(rows(&world).await, live, "{damage}");
    }
    // A row that vanished comes back from the log, though its secret cannot.
    sqlx::query("delete from relay.organization_integrations where id = $1")
        .bind(hooks[0])
        .execute(world.sql())
        .await
        .expect("a superuser may");
    assert_eq!(projection(&world, "check").await.code, Some(1));
    projection(&world, "rebuild").await.good();
    projection(&world, "check").await.good();
    assert_eq!(rows(&world).await.len(), 3);
    // And one that has no history is told of.
    sqlx::query("delete from relay.streams where stream_id = $1")
        .bind(hooks[2])
        .execute(world.sql())
        .await
        .expect("a superuser may");
    let check = projection(&world, "check").await;
    assert_eq!((check.code, &check.json()["unknown"]), (Some(1), &json!(1)));
}
