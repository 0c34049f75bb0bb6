//! Recording events: what is answered, what is kept, and that a refusal keeps nothing.

use serde_json::{Value, json};
use tests::{World, event, new_id};
use uuid::Uuid;

/// How many events of an organization the log holds.
pub(crate) async fn stored(world: &World, org: Uuid) -> i64 {
    sqlx::query_scalar(
        "select count(*) from relay.event_log where category = 'product' and organization_id = $1",
    )
    .bind(org)
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}

pub(crate) fn keyed(org: Uuid, key: &str, data: Value) -> Value {
    let mut body = event(org, "vulnerability.found", data);
    body["idempotency_key"] = json!(key);
    body
}

pub(crate) fn id_of(answer: &Value) -> Uuid {
    answer["id"].as_str().and_then(|id| id.parse().ok()).expect("the answer tells the id")
}

/// B12: ids are ours to make. One that a caller gives is refused, so no two events can share it.
#[tokio::test]
async fn b12_an_id_of_the_callers_own_is_refused() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let mut body = keyed(org, "k", json!({}));
    body["id"] = json!(Uuid::now_v7());
    let refused = world.relay.try_emit(&body).await.expect(422);
    assert_eq!(refused.code(), "unknown_field");
    assert!(refused.json()["error"].as_str().is_some_and(|e| e.starts_with("id cannot be given")));
    assert_eq!(stored(&world, org).await, 0);
    // Nor did the key remain: the corrected event is a new one.
    body.as_object_mut().expect("an object").remove("id");
    let answer = world.relay.try_emit(&body).await.expect(202).json();
    assert_eq!(answer["duplicate"], false);
}

/// B13, I39: what is not an event is refused with a code and the field's name; nothing is stored.
#[tokio::test]
async fn b13_i39_what_is_not_an_event_is_refused_and_nothing_is_stored() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let with = |name: &str, value: Value| {
        let mut body = keyed(org, "k", json!({}));
        body[name] = value;
        body
    };
    let without = |name: &str| {
        let mut body = event(org, "a.b", json!({}));
        body.as_object_mut().expect("an object").remove(name);
        body
    };
    let long = "x".repeat(1_024);
    let segments = vec!["a"; 300].join(".");
    let table = [
        (without("type"), "missing_field", "type"),
        (without("organization_id"), "missing_field", "organization_id"),
        (without("data"), "missing_field", "data"),
        (with("type", json!("vulnerability.*")), "invalid_field", "type"),
        (with("type", json!("*")), "invalid_field", "type"),
        (with("type", json!(segments)), "invalid_field", "type"),
        (with("type", json!("Vulnerability.Found")), "invalid_field", "type"),
        (with("type", json!("vulnerability")), "invalid_field", "type"),
        (with("type", json!("a.b\n")), "invalid_field", "type"),
        (with("type", json!(7)), "invalid_type", "type"),
        (with("organization_id", json!("org")), "invalid_field", "organization_id"),
        (with("project_id", json!("p\n")), "invalid_field", "project_id"),
        (with("team_id", json!(1)), "invalid_type", "team_id"),
        (with("data", json!([1])), "data_not_object", "data"),
        (with("data", json!("x")), "data_not_object", "data"),
        (with("data", Value::Null), "data_not_object", "data"),
        (with("occurred_at", json!("yesterday")), "invalid_field", "occurred_at"),
        (with("priority", json!("urgent")), "invalid_field", "priority"),
        (with("idempotency_key", json!("")), "invalid_field", "idempotency_key"),
        (with("idempotency_key", json!(long)), "invalid_field", "idempotency_key"),
        (with("idempotency_key", json!("a\nb")), "invalid_field", "idempotency_key"),
        (with("subject", json!("a\u{1b}[2Jb")), "invalid_field", "subject"),
        (with("source", json!(long)), "invalid_field", "source"),
        (with("event", json!("a.b")), "unknown_field", "event"),
        (json!("x"), "invalid_type", "The body"),
        (json!(null), "invalid_type", "The body"),
        (json!([]), "batch_empty", "The array"),
    ];
    for (body, code, names) in table {
        let refused = world.relay.try_emit(&body).await.expect(422);
        let error = refused.json()["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!(refused.code(), code, "{error}");
        assert!(error.contains(names), "{error} does not name {names}");
    }
    // No word of it: neither events nor keys.
    assert_eq!(stored(&world, org).await, 0);
    let answer = world.relay.try_emit(&keyed(org, "k", json!({}))).await.expect(202).json();
    assert_eq!(answer["duplicate"], false);
}

/// B13: the three limits, each exactly at its edge.
#[tokio::test]
async fn b13_sizes_are_taken_up_to_the_limit_and_refused_beyond_it() {
    const DATA_MAX: usize = 256 * 1024;
    const BODY_MAX: usize = 8 * 1024 * 1024;
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let sized = |bytes: usize| event(org, "a.b", json!({ "x": "y".repeat(bytes - 8) }));
    assert_eq!(sized(DATA_MAX)["data"].to_string().len(), DATA_MAX);
    world.relay.try_emit(&sized(DATA_MAX)).await.expect(202);
    let refused = world.relay.try_emit(&sized(DATA_MAX + 1)).await.expect(413);
    assert_eq!(refused.code(), "event_too_large");
    assert_eq!(stored(&world, org).await, 1);

    let many = |count: usize| Value::from(vec![event(org, "a.b", json!({})); count]);
    let results = world.relay.try_emit(&many(1_000)).await.expect(202).json();
    assert_eq!(results["results"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(world.relay.try_emit(&many(1_001)).await.expect(413).code(), "batch_too_large");
    assert_eq!(stored(&world, org).await, 1_001);

    // Blanks are bytes too.
    let padded = |bytes: usize| {
        let mut text = event(org, "a.b", json!({})).to_string();
        text.push_str(&" ".repeat(bytes - text.len()));
        text
    };
    world.relay.post_events(padded(BODY_MAX)).await.expect(202);
    let refused = world.relay.post_events(padded(BODY_MAX + 1)).await.expect(413);
    assert_eq!(refused.code(), "body_too_large");
    assert_eq!(stored(&world, org).await, 1_002);
}

/// B14: an event that conflicts, or is none, leaves its siblings alone; each result has its place.
#[tokio::test]
async fn b14_one_bad_event_of_a_batch_is_named_and_its_siblings_are_stored() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let known = world.relay.emit(&keyed(org, "taken", json!({ "marker": "first" }))).await;
    let batch = [
        event(org, "a.b", json!({ "marker": "0" })),
        keyed(org, "taken", json!({ "marker": "other" })),
        event(org, "a.b", json!({ "marker": "2" })),
        event(org, "not a kind", json!({})),
        keyed(org, "taken", json!({ "marker": "first" })),
        event(org, "a.b", json!({ "x": "y".repeat(256 * 1024) })),
        keyed(org, "twice", json!({ "marker": "6" })),
        keyed(org, "twice", json!({ "marker": "6" })),
        keyed(org, "twice", json!({ "marker": "8" })),
    ];
    let results = world.relay.emit_batch(&batch).await;
    assert_eq!(results.len(), batch.len());
    for (index, code) in [
        (1, "idempotency_conflict"),
        (3, "invalid_field"),
        (5, "event_too_large"),
        (8, "idempotency_conflict"),
    ] {
        assert_eq!(results[index]["index"], index, "{}", results[index]);
        assert_eq!(results[index]["code"], code, "{}", results[index]);
        assert!(results[index]["error"].is_string());
    }
    for (index, duplicate) in [(0, false), (2, false), (4, true), (6, false), (7, true)] {
        assert_eq!(results[index]["duplicate"], duplicate, "{}", results[index]);
    }
    assert_eq!(id_of(&results[4]), known);
    assert_eq!(id_of(&results[6]), id_of(&results[7]));
    assert_eq!(stored(&world, org).await, 4);
    world.run_until_idle().await;
    let mut markers: Vec<_> = world.receiver.all().iter().map(tests::Arrival::marker).collect();
    markers.sort_unstable();
    assert_eq!(markers, ["0", "2", "6", "first"]);
}

/// I32: what our own deliveries led to three times is a loop; each delivery says how many.
#[tokio::test]
async fn i32_a_loop_ends_at_the_third_round() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let post = |hops: &'static str| {
        let request = world
            .relay
            .request(reqwest::Method::POST, "/v1/events")
            .header("x-internal-api-key", world.relay.service_key())
            .header("x-deptex-hops", hops)
            .body(event(org, "a.b", json!({ "marker": hops })).to_string());
        world.relay.send(request)
    };
    for hops in ["0", "1", "2"] {
        post(hops).await.expect(202);
    }
    for hops in ["3", "4", "300"] {
        assert_eq!(post(hops).await.expect(508).code(), "loop_detected");
    }
    assert_eq!(post("x").await.expect(400).code(), "invalid_hops");
    world.run_until_idle().await;
    let mut sent: Vec<(String, String)> = world
        .receiver
        .all()
        .iter()
        .map(|arrival| (arrival.marker(), arrival.header("x-deptex-hops").to_owned()))
        .collect();
    sent.sort_unstable();
    let expected = [("0", "1"), ("1", "2"), ("2", "3")].map(|(a, b)| (a.into(), b.into()));
    assert_eq!(sent, expected);
    assert_eq!(stored(&world, org).await, 3);
}

/// Calls at one moment share transactions, and each still gets its own answer.
#[tokio::test]
async fn concurrent_calls_are_committed_in_groups() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let callers: Vec<_> = (0..200)
        .map(|n| {
            let relay = world.relay.clone();
            tokio::spawn(async move { relay.emit(&event(org, "a.b", json!({ "n": n }))).await })
        })
        .collect();
    for (n, caller) in callers.into_iter().enumerate() {
        let id = caller.await.expect("no caller panics");
        let data: Value = sqlx::query_scalar(
            "select payload::jsonb from relay.event_log where category = 'product' and id = $1",
        )
        .bind(id)
        .fetch_one(world.sql())
        .await
        .expect("what was acknowledged is there");
        assert_eq!(data["n"], n, "every caller is told the id of its own event");
    }
    let (events, commits): (i64, i64) = sqlx::query_as(
        "select count(*), count(distinct transaction_id) from relay.event_log
         where organization_id = $1",
    )
    .bind(org)
    .fetch_one(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(events, 200);
    assert!(commits < events, "{events} events took {commits} commits");
}

/// Both ways in know the same older names.
#[tokio::test]
async fn the_older_names_of_kinds_are_the_same_in_sql_and_in_the_catalogue() {
    let world = World::builder().api(0).workers(0).start().await;
    let rows: Vec<(String, String)> =
        sqlx::query_as("select alias, kind from relay.kind_aliases order by alias")
            .fetch_all(world.sql())
            .await
            .expect("the database answers");
    let mut known: Vec<(String, String)> = engine::event::ALIASES
        .iter()
        .map(|(alias, kind)| ((*alias).to_owned(), (*kind).to_owned()))
        .collect();
    known.sort_unstable();
    assert_eq!(rows, known);
}
