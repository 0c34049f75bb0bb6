//! Connections: as they stood, what happened to them, and all of them at a glance.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{World, new_id};

use super::{all, get, hook, texts};

/// A connection as it stood after each of its changes, and before the first one.
#[tokio::test]
async fn a_connection_is_shown_as_it_stood_at_each_version() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let id = hook(&world, org, "hook", json!({})).await;
    let mut shown = vec![world.relay.connection(org, id).await.json()];
    for change in [
        json!({ "name": "Renamed" }),
        json!({ "event_types": ["a.*"], "conditions": { "field": "severity", "eq": "high" } }),
        json!({ "paused": true }),
        json!({ "retry_schedule": [5], "rate_limit": { "count": 3, "seconds": 1 } }),
        json!({ "headers": { "X-Team": "ops" } }),
        json!({ "paused": false }),
    ] {
        world.relay.change(org, id, &change).await.expect(200);
        shown.push(world.relay.connection(org, id).await.json());
    }
    let as_of = async |at: &str| {
        get(&world, org, &format!("connections/{id}?as_of={}", at.replace('+', "%2B"))).await
    };
    // Exactly what was shown then, from its moment on until the next one.
    for state in &shown {
        let at = state["updated_at"].as_str().expect("an instant");
        assert_eq!(as_of(at).await, *state);
    }
    let now = shown.last().expect("there are some");
    assert_eq!(as_of("2099-01-01T00:00:00Z").await, *now);
    let history = all(&world, org, &format!("connections/{id}/history?limit=3"), async || ()).await;
    let versions: Vec<i64> = history.iter().filter_map(|e| e["version"].as_i64()).collect();
    let newest = now["version"].as_i64().expect("a number");
    assert_eq!(versions, (1..=newest).rev().collect::<Vec<_>>());
    for said in ["Connected as Test.", "Renamed from Test to Renamed.", "Paused.", "Resumed."] {
        assert!(texts(&history, "summary").contains(&said.to_owned()), "{said}: {history:?}");
    }
    assert!(history.iter().all(|e| e["actor"]["kind"] == "user" && e["actor"]["id"].is_string()));
    for (at, status) in [("2020-01-01T00:00:00Z", 404), ("then", 422)] {
        let path = format!("/api/organizations/{org}/connections/{id}?as_of={at}");
        world.relay.admin(org, Method::GET, &path, None).await.expect(status);
    }
    // A removed connection keeps its history and its past, and is found where it is asked for.
    world.relay.delete_connection(org, id).await.expect(200);
    assert_eq!(as_of(now["updated_at"].as_str().expect("an instant")).await, *now);
    let history = get(&world, org, &format!("connections/{id}/history")).await;
    assert_eq!(history["items"][0]["type"], "connection.disconnected");
    assert_eq!(get(&world, org, "connections").await["items"], json!([]));
    let removed = get(&world, org, "connections?removed=true").await;
    assert_eq!(removed["items"][0]["id"], json!(id));
    assert_eq!(removed["items"][0]["status"], "disconnected");
}

/// The list tells of every scope and status, and of what troubles a connection.
#[tokio::test]
async fn every_connection_is_listed_with_what_troubles_it() {
    let world = World::builder().workers(0).start().await;
    let (org, team) = (new_id(), new_id());
    let well = hook(&world, org, "well", json!({})).await;
    let path = format!("/api/organizations/{org}/teams/{team}/custom-integrations");
    let url = world.receiver.url("/team");
    let body = json!({ "name": "Team", "type": "ticketing", "webhook_url": url });
    world.relay.admin(org, Method::POST, &path, Some(&body)).await.expect(200);
    sqlx::query(
        "insert into relay.connection_health (connection_id, organization_id, shard, failing_since,
             failed_at, held_until, held_because)
         values ($1, $2, relay.shard_of($1), '2026-02-25 12:00Z', '2026-02-25 13:00Z',
             now() + interval '1 hour', 'retry_after')",
    )
    .bind(well)
    .bind(org)
    .execute(world.sql())
    .await
    .expect("it is written");
    let found = get(&world, org, "connections").await;
    let items = found["items"].as_array().expect("items");
    assert_eq!(items.len(), 2);
    let (first, second) = (&items[0], &items[1]);
    assert_eq!(first["id"], json!(well));
    assert_eq!(first["destination"], json!(world.receiver.url("/well")));
    assert_eq!(first["category"], "notification");
    assert_eq!(first["health"]["held_because"], "retry_after");
    assert_eq!(first["health"]["disables_at"], "2026-03-02T12:00:00Z", "five days later");
    assert_eq!((&second["team_id"], &second["health"]), (&json!(team), &Value::Null));
    assert_eq!(second["category"], "ticketing");
    for (query, count) in [
        ("provider=custom_ticketing", 1),
        ("provider=slack", 0),
        ("status=connected", 2),
        ("status=error", 0),
        ("removed=true", 0),
    ] {
        let found = get(&world, org, &format!("connections?{query}")).await;
        assert_eq!(found["items"].as_array().map(Vec::len), Some(count), "{query}");
    }
    let path = format!("/api/organizations/{org}/connections?scope=team");
    let refused = world.relay.admin(org, Method::GET, &path, None).await.expect(422);
    assert_eq!(refused.code(), "unknown_filter");
}
