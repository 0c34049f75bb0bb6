//! Looking into it: events, deliveries by every filter, and whose they are.

mod connections;
mod search;
mod why;

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, World, event, new_id};
use uuid::Uuid;

async fn get(world: &World, org: Uuid, path: &str) -> Value {
    let path = format!("/api/organizations/{org}/{path}");
    world.relay.admin(org, Method::GET, &path, None).await.expect(200).json()
}

async fn preview(world: &World, org: Uuid, connection: Uuid, body: Value) -> Value {
    let path = format!("/api/organizations/{org}/connections/{connection}/preview");
    world.relay.admin(org, Method::POST, &path, Some(&body)).await.expect(200).json()
}

/// Every item of a list, page by page; what `between` does happens after each page.
async fn all(world: &World, org: Uuid, path: &str, between: impl AsyncFn()) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = get(world, org, &format!("{path}&cursor={cursor}")).await;
        items.append(page["items"].as_array_mut().expect("a page has items"));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return items,
        }
        between().await;
    }
}

fn texts(items: &[Value], name: &str) -> Vec<String> {
    items.iter().map(|item| item[name].as_str().unwrap_or_default().to_owned()).collect()
}

async fn hook(world: &World, org: Uuid, name: &str, more: Value) -> Uuid {
    let url = world.receiver.url(&format!("/{name}"));
    world.relay.create_custom_with(org, &url, &more).await.id
}

/// Each filter alone and together, with what became of each event.
#[tokio::test]
async fn events_are_found_by_every_filter_and_their_deliveries_counted() {
    let world = World::start().await;
    let (org, project, team) = (new_id(), new_id(), new_id());
    hook(&world, org, "one", json!({})).await;
    let paused = hook(&world, org, "two", json!({ "event_types": ["a.*"] })).await;
    world.relay.change(org, paused, &json!({ "paused": true })).await.expect(200);
    let mut first = event(org, "a.b", json!({ "marker": "first" }));
    first["subject"] = json!("CVE-1");
    first["project_id"] = json!(project);
    first["source"] = json!("scanner");
    first["priority"] = json!("high");
    let first = world.relay.emit(&first).await;
    let mut second = event(org, "project.status_changed", json!({ "marker": "second" }));
    second["team_id"] = json!(team);
    let second = world.relay.emit(&second).await;
    world.relay.emit(&event(new_id(), "a.b", json!({ "marker": "stranger" }))).await;
    world.run_until_idle().await;
    for (query, expected) in [
        (String::new(), vec![second, first]),
        ("type=a.b".into(), vec![first]),
        ("type=status_changed".into(), vec![second]),
        ("subject=CVE-1".into(), vec![first]),
        ("subject=CVE".into(), vec![]),
        (format!("project_id={project}"), vec![first]),
        (format!("team_id={team}"), vec![second]),
        ("source=scanner&type=a.b".into(), vec![first]),
        ("source=scanner&type=x.y".into(), vec![]),
        ("since=2020-01-01T00:00:00Z".into(), vec![second, first]),
        ("until=2020-01-01T00:00:00Z".into(), vec![]),
        ("limit=1".into(), vec![second]),
        (format!("cursor={second}"), vec![first]),
    ] {
        let found = get(&world, org, &format!("events?{query}")).await;
        let ids = texts(found["items"].as_array().expect("items"), "id");
        assert_eq!(ids, expected.iter().map(Uuid::to_string).collect::<Vec<_>>(), "{query}");
    }
    let shown = get(&world, org, &format!("events/{first}")).await;
    assert_eq!(shown["data"], json!({ "marker": "first" }));
    for (name, value) in [
        ("type", json!("a.b")),
        ("subject", json!("CVE-1")),
        ("priority", json!("high")),
        ("source", json!("scanner")),
        ("project_id", json!(project)),
        ("team_id", Value::Null),
        ("hops", json!(0)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let mut counts = json!({ "pending": 0, "parked": 0, "delivered": 1, "dead": 0, "skipped": 1,
                             "cancelled": 0, "expired": 0 });
    assert_eq!(shown["deliveries"], counts);
    counts["skipped"] = json!(0);
    assert_eq!(get(&world, org, &format!("events/{second}")).await["deliveries"], counts);
}

/// B40: pages neither repeat nor leave out what was there when the first was read; of events, and of
/// deliveries from each source that their search has.
#[tokio::test]
async fn b40_pages_stay_apart_under_inserts_whatever_is_asked_for() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let good = hook(&world, org, "good", json!({})).await;
    // Each fails so rarely that its breaker stays closed.
    let mut bad = Vec::new();
    for n in 0..10 {
        world.receiver.answer(&format!("/bad-{n}"), [Answer::status(500).body("no")]);
        let some = json!({ "conditions": { "field": "data.bad", "eq": n } });
        bad.push(hook(&world, org, &format!("bad-{n}"), some).await);
    }
    let body = |n: usize| {
        let mut body = event(org, "a.b", json!({ "marker": n.to_string(), "bad": n / 2 }));
        body["subject"] = json!("CVE-1");
        body
    };
    world.relay.emit_batch(&(0..20).map(body).collect::<Vec<_>>()).await;
    for (query, count) in [
        ("events?limit=7".to_owned(), 20),
        ("events?limit=7&subject=CVE-1".to_owned(), 20),
        ("deliveries?limit=7&status=dead".to_owned(), 20),
        ("deliveries?limit=7&status=dead&status=delivered&status=pending".to_owned(), 40),
        ("deliveries?limit=7&event=a.b".to_owned(), 40),
        ("deliveries?limit=7&subject=CVE-1&provider=custom_notification".to_owned(), 40),
        (format!("deliveries?limit=7&connection_id={good}"), 20),
        (format!("deliveries?limit=1&connection_id={}&error_class=http_5xx", bad[0]), 2),
        ("deliveries?limit=7&error_class=http_5xx&subject=CVE-1".to_owned(), 20),
        ("deliveries?limit=7&class=live".to_owned(), 40),
    ] {
        // What is still on its way might change its place between two pages.
        world.run_until_idle().await;
        let before = texts(&all(&world, org, &query, async || ()).await, "id");
        let before: HashSet<String> = before.into_iter().collect();
        assert!(before.len() >= count, "{query}: {}", before.len());
        let insert = async || {
            world.relay.emit_batch(&[body(1000), body(1001)]).await;
        };
        let seen = texts(&all(&world, org, &query, insert).await, "id");
        assert!(seen.is_sorted_by(|a, b| a > b), "{query}: in order, and nothing twice");
        let seen: HashSet<String> = seen.into_iter().collect();
        assert_eq!(seen, before, "{query}: all that was there, and nothing of what came later");
    }
}

/// The filters of deliveries that are not in `deliveries_api`, alone and together.
#[tokio::test]
async fn deliveries_are_found_by_the_filters_of_inspection() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    world.receiver.answer("/bad", [Answer::status(500).body("no")]);
    let good = hook(&world, org, "good", json!({})).await;
    let bad = hook(&world, org, "bad", json!({})).await;
    let paused = hook(&world, org, "paused", json!({ "type": "ticketing" })).await;
    world.relay.change(org, paused, &json!({ "paused": true })).await.expect(200);
    for (kind, subject) in [("a.b", Some("CVE-1")), ("a.b", None), ("c.d", Some("CVE-1"))] {
        let mut body = event(org, kind, json!({ "marker": kind }));
        body["subject"] = json!(subject);
        world.relay.emit(&body).await;
    }
    world.run_until_idle().await;
    let replayed = world.relay.deliveries_where(org, &format!("connection_id={good}")).await;
    let replayed = replayed[0]["id"].as_str().expect("an id").parse().expect("a UUID");
    world.relay.replay(org, replayed).await.expect(202);
    world.run_until_idle().await;
    for (query, count) in [
        ("status=dead&status=skipped".to_owned(), 6),
        ("status=dead&status=delivered".to_owned(), 6),
        ("provider=custom_notification".to_owned(), 6),
        ("provider=custom_ticketing".to_owned(), 3),
        ("provider=slack".to_owned(), 0),
        ("subject=CVE-1".to_owned(), 6),
        ("subject=CVE-2".to_owned(), 0),
        ("subject=CVE-1&event=a.b".to_owned(), 3),
        ("subject=CVE-1&event=a.b&status=skipped".to_owned(), 1),
        ("error_class=http_5xx".to_owned(), 3),
        ("error_class=http_5xx&event=c.d".to_owned(), 1),
        ("error_class=timeout".to_owned(), 0),
        (format!("error_class=http_5xx&connection_id={good}"), 0),
        ("class=replay".to_owned(), 1),
        (format!("class=replay&connection_id={bad}"), 0),
        ("external_id=SEC-1".to_owned(), 0),
        (format!("connection_id={}", new_id()), 0),
    ] {
        let found = world.relay.deliveries_where(org, &query).await;
        assert_eq!(found.len(), count, "{query}");
    }
}

/// B40: nobody sees anything of another organization, whatever ids they know.
#[tokio::test]
async fn b40_every_route_of_inspection_stops_at_the_organization() {
    let world = World::builder().workers(0).start().await;
    let (org, stranger) = (new_id(), new_id());
    let id = hook(&world, org, "hook", json!({})).await;
    let emitted = world.relay.emit(&event(org, "a.b", json!({ "marker": "1" }))).await;
    let own = hook(&world, stranger, "own", json!({})).await;
    let own_event = world.relay.emit(&event(stranger, "a.b", json!({ "marker": "2" }))).await;
    for path in [
        format!("events/{emitted}"),
        format!("events/{emitted}/why?connection_id={id}"),
        format!("events/{emitted}/why?connection_id={own}"),
        format!("events/{own_event}/why?connection_id={id}"),
        format!("connections/{id}"),
        format!("connections/{id}?as_of=2099-01-01T00:00:00Z"),
        format!("connections/{id}/history"),
    ] {
        let path = format!("/api/organizations/{stranger}/{path}");
        let refused = world.relay.admin(stranger, Method::GET, &path, None).await.expect(404);
        assert_eq!(refused.code(), "not_found", "{path}");
    }
    let path = format!("/api/organizations/{stranger}/connections/{id}/preview");
    world.relay.admin(stranger, Method::POST, &path, Some(&json!({}))).await.expect(404);
    for (path, count) in [
        (format!("deliveries?connection_id={id}"), 0),
        (format!("deliveries?event_id={emitted}"), 0),
        ("deliveries?provider=custom_notification".to_owned(), 1),
        ("deliveries?event=a.b".to_owned(), 1),
        ("events?type=a.b".to_owned(), 1),
        ("connections?provider=custom_notification".to_owned(), 1),
    ] {
        let found = get(&world, stranger, &path).await;
        assert_eq!(found["items"].as_array().map(Vec::len), Some(count), "{path}");
    }
    let previewed = preview(&world, stranger, own, json!({})).await;
    assert_eq!(previewed["considered"], 1);
    // A member who may change nothing may look, and somebody from elsewhere finds nothing at all.
    let member = world.relay.member_token(org, &json!({ "role": "member" }));
    let outsider = world.relay.admin_token(stranger);
    for path in ["events", "connections", "deliveries", "deliveries/export"] {
        for (token, status) in [(&member, 200), (&outsider, 404)] {
            let path = format!("/api/organizations/{org}/{path}");
            let request = world.relay.request(Method::GET, &path).bearer_auth(token);
            world.relay.send(request).await.expect(status);
        }
    }
}
