//! Why an event arrived or did not, and what another subscription would take.

use std::collections::{HashMap, HashSet};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, World, event, new_id};
use uuid::Uuid;

use super::{get, hook, preview, texts};

async fn why(world: &World, org: Uuid, event: Uuid, connection: Uuid) -> Value {
    get(world, org, &format!("events/{event}/why?connection_id={connection}")).await
}

fn failed(why: &Value) -> Vec<&str> {
    let checks = why["checks"].as_array().expect("checks");
    let failed = checks.iter().filter(|check| check["passed"] == false);
    failed.map(|check| check["check"].as_str().expect("a name")).collect()
}

async fn tried_once(world: &World, org: Uuid, event: Uuid, connection: Uuid) {
    tests::wait_until("the failure to be recorded", tests::LONG, || async {
        let found = world.relay.delivery_of(org, event, connection).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        (found["attempts"] == 1).then_some(())
    })
    .await;
}

/// Why, for each verdict that there is.
#[tokio::test]
async fn each_verdict_has_its_reasons() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "1h").start().await;
    let (org, project) = (new_id(), new_id());
    for path in ["/slow", "/gone", "/waits"] {
        world.receiver.answer(path, [Answer::status(500).body("no")]);
    }
    let severe = json!({ "conditions": { "all": [
        { "field": "severity", "exists": true }, { "field": "severity", "at_least": "high" } ] } });
    let removed = hook(&world, org, "removed", json!({})).await;
    world.relay.delete_connection(org, removed).await.expect(200);
    let mut hooks = Vec::new();
    for name in ["good", "slow", "gone", "paused", "waits"] {
        hooks.push(hook(&world, org, name, json!({ "event_types": ["a.*"] })).await);
    }
    let [good, slow, gone, paused, waits] = hooks[..] else { unreachable!("five were made") };
    let narrow = hook(&world, org, "narrow", json!({ "event_types": ["x.*"] })).await;
    let severe = hook(&world, org, "severe", severe).await;
    let path = format!("/api/organizations/{org}/projects/{project}/custom-integrations");
    let url = world.receiver.url("/scoped");
    let body = json!({ "name": "Scoped", "type": "notification", "webhook_url": url });
    let scoped = world.relay.admin(org, Method::POST, &path, Some(&body)).await.expect(200).json();
    world.relay.keep_secret(&url, scoped["secret"].as_str().expect("a secret"));
    let scoped: Uuid = scoped["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    world.relay.change(org, gone, &json!({ "retry_schedule": [] })).await.expect(200);
    world.relay.change(org, paused, &json!({ "paused": true })).await.expect(200);
    let body = event(org, "a.b", json!({ "marker": "1", "severity": "low" }));
    let emitted = world.relay.emit(&body).await;
    let later = hook(&world, org, "later", json!({})).await;
    world.relay.settled(org, emitted, good, "delivered").await;
    world.relay.settled(org, emitted, gone, "dead").await;
    tried_once(&world, org, emitted, slow).await;
    tried_once(&world, org, emitted, waits).await;
    // What changes afterwards changes nothing of why.
    world.relay.change(org, narrow, &json!({ "event_types": ["*"] })).await.expect(200);
    world.relay.change(org, paused, &json!({ "paused": false })).await.expect(200);
    for (connection, verdict, fails, says) in [
        (good, "delivered", vec![], "1 attempt"),
        (slow, "pending", vec![], "next is due"),
        (gone, "dead", vec![], "given up"),
        (paused, "skipped", vec!["not_paused"], "paused"),
        (narrow, "not_matched", vec!["type"], "x.*"),
        (severe, "not_matched", vec!["conditions"], "all[1]"),
        (scoped, "not_matched", vec!["scope"], "project"),
        (later, "connected_later", vec!["existed"], "after the event"),
        (removed, "removed_before", vec!["existed"], "removed before"),
    ] {
        let why = why(&world, org, emitted, connection).await;
        assert_eq!(why["verdict"], verdict, "{why}");
        assert_eq!(failed(&why), fails, "{why}");
        let sentence = why["sentence"].as_str().expect("a sentence");
        assert!(sentence.contains(says), "{sentence}");
        let is_promised = ["delivered", "pending", "dead", "skipped"].contains(&verdict);
        assert_eq!(why["delivery"].is_object(), is_promised, "{why}");
        assert_eq!(why["connection_version"].is_null(), fails == ["existed"], "{why}");
    }
    assert_eq!(why(&world, org, emitted, paused).await["connection_version"], 2);
    // Removed while it waits; kept until somebody acts; of no use any more.
    world.relay.delete_connection(org, slow).await.expect(200);
    assert_eq!(why(&world, org, emitted, slow).await["verdict"], "cancelled");
    for (statement, verdict) in [
        (
            "update relay.outbox set shard = relay.parked_shard_of(connection_id), due_at = 'infinity'
             where connection_id = $1",
            "parked",
        ),
        (
            "with gone as (delete from relay.outbox where connection_id = $1 returning *)
             insert into relay.attempts (organization_id, delivery_id, number, connection_id, event_id,
                 settlement, reason)
             select organization_id, delivery_id, attempt, connection_id, event_id, 'expired', 'too_old' from gone",
            "expired",
        ),
    ] {
        let changed = sqlx::query(statement).bind(waits).execute(world.sql()).await;
        assert_eq!(changed.expect("it is changed").rows_affected(), 1);
        assert_eq!(why(&world, org, emitted, waits).await["verdict"], verdict);
    }
    // What is told of a connection is told to the others.
    let told: Uuid =
        sqlx::query_scalar("select relay.emit('connection.failing', $1, '{}', subject => $2)")
            .bind(org)
            .bind(severe.to_string())
            .fetch_one(world.sql())
            .await
            .expect("it is emitted");
    let own = why(&world, org, told, severe).await;
    assert_eq!(own["verdict"], "not_matched");
    assert_eq!(failed(&own), ["conditions", "not_its_own"]);
    let path = format!("/api/organizations/{org}/events/{emitted}/why");
    for (path, status, code) in [
        (path.clone(), 422, "missing_field"),
        (format!("{path}?connection_id=x"), 422, "invalid_filter"),
        (format!("{path}?connection={good}"), 422, "unknown_filter"),
        (format!("{path}?connection_id={}", new_id()), 404, "not_found"),
    ] {
        let refused = world.relay.admin(org, Method::GET, &path, None).await.expect(status);
        assert_eq!(refused.code(), code, "{path}");
    }
}

/// Connections of all scopes, with every pattern and condition beside every other.
async fn connections(world: &World, org: Uuid, project: Uuid, team: Uuid) -> Vec<Uuid> {
    let conditions = [
        Value::Null,
        json!({ "field": "severity", "at_least": "high" }),
        json!({ "not": { "field": "data.n", "gt": 5 } }),
        json!({ "any": [{ "field": "priority", "eq": "high" }, { "field": "subject", "starts_with": "CVE" }] }),
        json!({ "all": [{ "field": "project_id", "exists": true }, { "field": "data.n", "lte": 7 }] }),
        json!({ "field": "event", "in": ["a.b", "a.b.c"] }),
        json!({ "field": "source", "ne": "scanner" }),
    ];
    let patterns = [vec!["*"], vec!["a.*"], vec!["a.b"], vec!["a.b.*", "c.d"], vec!["x.y"]];
    let mut connections = Vec::new();
    for (n, condition) in conditions.iter().enumerate() {
        for (m, pattern) in patterns.iter().enumerate() {
            let base = match (n + m) % 3 {
                0 => format!("/api/organizations/{org}/projects/{project}/custom-integrations"),
                1 => format!("/api/organizations/{org}/teams/{team}/custom-integrations"),
                _ => format!("/api/integrations/organizations/{org}/custom-integrations"),
            };
            let body = json!({
                "name": "X", "type": "notification", "webhook_url": world.receiver.url("/hook"),
                "event_types": pattern, "conditions": condition,
            });
            let made = world.relay.admin(org, Method::POST, &base, Some(&body)).await.expect(200);
            let id = made.json()["id"].as_str().and_then(|id| id.parse().ok());
            connections.push(id.expect("an id"));
        }
    }
    connections
}

/// Why and preview give the answer of the real fan-out for every pair of many events and connections.
#[tokio::test]
async fn why_and_preview_agree_with_what_happens() {
    let world = World::builder().workers(0).start().await;
    let (org, project, team) = (new_id(), new_id(), new_id());
    let connections = connections(&world, org, project, team).await;
    let mut bodies = Vec::new();
    let kinds = ["a.b", "a.b.c", "c.d", "x.y", "a.c", "connection.failing"];
    for (n, kind) in kinds.iter().enumerate() {
        for m in 0..4 {
            let severity = ["low", "HIGH", "critical", "moderate"][(n + m) % 4];
            let data = json!({ "severity": severity, "n": (n * 3 + m * 2) % 11 });
            let mut body = event(org, kind, data);
            body["priority"] = json!(["normal", "high", "low"][(n + m) % 3]);
            let subjects = [json!("CVE-7"), Value::Null, json!(connections[n])];
            body["subject"] = subjects[m % 3].clone();
            body["source"] = if m % 2 == 0 { json!("scanner") } else { Value::Null };
            body["project_id"] = if (n + m) % 2 == 0 { json!(project) } else { Value::Null };
            body["team_id"] = if (n + m) % 3 == 0 { json!(team) } else { Value::Null };
            bodies.push(body);
        }
    }
    let results = world.relay.emit_batch(&bodies).await;
    let id = |result: &Value| result["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let events: Vec<Uuid> = results.iter().map(id).collect();
    let promised: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select event_id, connection_id from relay.outbox")
            .fetch_all(world.sql())
            .await
            .expect("the database answers");
    let promised: HashSet<(Uuid, Uuid)> = promised.into_iter().collect();
    let pairs = connections.len() * events.len();
    let of_both_kinds = pairs / 20..pairs / 2;
    assert!(of_both_kinds.contains(&promised.len()), "{} of {pairs}", promised.len());
    for connection in &connections {
        let previewed = preview(&world, org, *connection, json!({})).await;
        assert_eq!(previewed["considered"], events.len());
        let shown = previewed["events"].as_array().expect("events");
        assert!(shown.iter().all(|e| e["why"].is_null() == (e["matches"] == true)));
        let matches: HashMap<Uuid, bool> =
            shown.iter().map(|e| (id(e), e["matches"] == true)).collect();
        for event in &events {
            let expected = promised.contains(&(*event, *connection));
            assert_eq!(matches[event], expected, "{event} {connection}");
        }
    }
    // Some of the pairs: all would be too many for an admin's allowance.
    for (n, connection) in connections.iter().enumerate() {
        for m in 0..3 {
            let event = events[(n * 7 + m * 5) % events.len()];
            let why = why(&world, org, event, *connection).await;
            let expected = promised.contains(&(event, *connection));
            assert_eq!(why["verdict"] == "pending", expected, "{why}");
            assert_eq!(failed(&why).is_empty(), expected, "{why}");
        }
    }
}

/// A preview tries what is proposed, says why an event is not taken, and changes nothing.
#[tokio::test]
async fn a_preview_tries_another_subscription_and_changes_nothing() {
    let world = World::builder().workers(0).start().await;
    let (org, project) = (new_id(), new_id());
    let id = hook(&world, org, "hook", json!({ "event_types": ["x.*"] })).await;
    for severity in ["low", "high"] {
        let mut body = event(org, "a.b", json!({ "severity": severity }));
        body["project_id"] = if severity == "high" { json!(project) } else { Value::Null };
        world.relay.emit(&body).await;
    }
    let reasons = |preview: &Value| texts(preview["events"].as_array().expect("events"), "why");
    let as_it_is = preview(&world, org, id, json!({})).await;
    assert_eq!((&as_it_is["considered"], &as_it_is["matching"]), (&json!(2), &json!(0)));
    assert_eq!(reasons(&as_it_is), ["type", "type"]);
    let high = json!({ "field": "severity", "eq": "high" });
    for (body, expected) in [
        (json!({ "event_types": ["a.*"] }), ["", ""]),
        (json!({ "event_types": ["*"], "conditions": high }), ["", "conditions"]),
        (json!({ "event_types": ["*"], "project_id": project }), ["", "scope"]),
        (json!({ "event_types": ["*"], "team_id": new_id() }), ["scope", "scope"]),
    ] {
        let previewed = preview(&world, org, id, body.clone()).await;
        assert_eq!(reasons(&previewed), expected, "{body}");
    }
    assert_eq!(world.relay.connection(org, id).await.json()["version"], 1);
    let path = format!("/api/organizations/{org}/connections/{id}/preview");
    for (body, code) in [
        (json!({ "event_types": ["vuln*"] }), "invalid_event_types"),
        (json!({ "conditions": {} }), "invalid_conditions"),
        (json!({ "project_id": project, "team_id": project }), "invalid_scope"),
        (json!({ "events": 7 }), "unknown_field"),
    ] {
        let refused = world.relay.admin(org, Method::POST, &path, Some(&body)).await.expect(422);
        assert_eq!(refused.code(), code, "{body}");
    }
}
