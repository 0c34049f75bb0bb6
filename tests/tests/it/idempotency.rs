//! Saying a thing twice: one event by its key, over HTTP and in SQL, whoever says it and when.

use std::collections::HashSet;

use serde_json::{Value, json};
use tests::{World, new_id};
use uuid::Uuid;

use super::ingest::{id_of, keyed, stored};

/// What the core does inside its own transaction.
async fn sql_emit(world: &World, org: Uuid, key: &str, data: Value) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar("select relay.emit($1, $2, $3, idempotency_key => $4)")
        .bind("vulnerability.found")
        .bind(org)
        .bind(data)
        .bind(key)
        .fetch_one(world.sql())
        .await
}

/// B11: the second call gets the first one's answer, and nothing is sent twice.
#[tokio::test]
async fn b11_the_same_key_twice_is_one_event_and_one_delivery() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let body = keyed(org, "once", json!({ "marker": "a" }));
    let first = world.relay.try_emit(&body).await.expect(202).json();
    let second = world.relay.try_emit(&body).await.expect(202).json();
    assert_eq!(id_of(&first), id_of(&second));
    assert_eq!((&first["duplicate"], &second["duplicate"]), (&json!(false), &json!(true)));
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 1);
    assert_eq!(stored(&world, org).await, 1);
}

/// B11: callers at one moment, over HTTP by two processes and in SQL, all get the same id.
#[tokio::test]
async fn b11_many_callers_at_once_record_one_event() {
    let world = World::builder().api(2).workers(1).start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let data = json!({ "marker": "a", "n": 1.5 });
    let body = keyed(org, "storm", data.clone());
    let callers: Vec<_> = (0..24)
        .map(|_| {
            let (relay, body) = (world.relay.clone(), body.clone());
            tokio::spawn(async move { relay.try_emit(&body).await.expect(202).json() })
        })
        .collect();
    let mut ids = HashSet::new();
    for _ in 0..6 {
        ids.insert(sql_emit(&world, org, "storm", data.clone()).await.expect("it is emitted"));
    }
    let mut new = 0;
    for caller in callers {
        let answer = caller.await.expect("no caller panics");
        ids.insert(id_of(&answer));
        new += usize::from(answer["duplicate"] == false);
    }
    assert_eq!(ids.len(), 1, "everybody is told the same id");
    assert!(new <= 1, "{new} callers were told that theirs is the new one");
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 1);
    assert_eq!(stored(&world, org).await, 1);
}

/// B11: a key holds over midnight: the day before is looked at too, and its answer is carried on.
#[tokio::test]
async fn b11_a_key_of_yesterday_is_still_known() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let body = keyed(org, "late", json!({ "marker": "a" }));
    let first = world.relay.emit(&body).await;
    let today = "(now() at time zone 'UTC')::date";
    for statement in [
        "delete from relay.idempotency_keys where day < (now() at time zone 'UTC')::date",
        "update relay.idempotency_keys set day = day - 1",
    ] {
        sqlx::query(statement).execute(world.sql()).await.expect("the keys can be moved");
    }
    let again = world.relay.try_emit(&body).await.expect(202).json();
    assert_eq!((id_of(&again), &again["duplicate"]), (first, &json!(true)));
    let other = keyed(org, "late", json!({ "marker": "b" }));
    let refused = world.relay.try_emit(&other).await.expect(409);
    assert_eq!(refused.code(), "idempotency_conflict");
    assert_eq!(stored(&world, org).await, 1);
    // Its use today makes it hold until tomorrow.
    let kept: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "select count(*) from relay.idempotency_keys where day = {today} and event_id = $1"
    )))
    .bind(first)
    .fetch_one(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(kept, 1);
}

/// B15: in SQL a refusal is an error, so the caller's transaction cannot commit without the event.
#[tokio::test]
async fn b15_sql_emit_refuses_what_http_refuses_and_leaves_nothing() {
    let world = World::builder().api(0).workers(0).start().await;
    let org = new_id();
    let table = [
        ("select relay.emit('not a kind', $1, '{}')", "22023"),
        ("select relay.emit('Vulnerability.Found', $1, '{}')", "22023"),
        ("select relay.emit('vulnerability', $1, '{}')", "22023"),
        ("select relay.emit(repeat('a', 126) || '.bc', $1, '{}')", "22023"),
        ("select relay.emit(null, $1, '{}')", "22004"),
        ("select relay.emit('a.b', $1, null)", "22004"),
        ("select relay.emit('a.b', null, '{}'::jsonb) where $1::uuid is not null", "22004"),
        ("select relay.emit('a.b', $1, '[1]')", "22023"),
        ("select relay.emit('a.b', $1, '\"x\"')", "22023"),
        ("select relay.emit('a.b', $1, 'null')", "22023"),
        ("select relay.emit('a.b', $1, jsonb_build_object('x', repeat('y', 262144)))", "54000"),
        ("select relay.emit('a.b', $1, '{}', priority => 'urgent')", "23514"),
        ("select relay.emit('a.b', $1, '{}', idempotency_key => '')", "23514"),
        ("select relay.emit('a.b', $1, '{}', idempotency_key => repeat('k', 257))", "23514"),
    ];
    for (statement, code) in table {
        let error = sqlx::query(statement).bind(org).execute(world.sql()).await;
        let error = error.expect_err(statement).into_database_error().expect("the database's own");
        assert_eq!(error.code().as_deref(), Some(code), "{statement}: {error}");
    }
    assert_eq!(stored(&world, org).await, 0);
    let keys: i64 = sqlx::query_scalar("select count(*) from relay.idempotency_keys")
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(keys, 0);

    // The same key with other content is a broken constraint, by its name; an alias is understood.
    sql_emit(&world, org, "k", json!({ "a": 1 })).await.expect("the first is recorded");
    let error = sql_emit(&world, org, "k", json!({ "a": 2 })).await.expect_err("other content");
    let error = error.into_database_error().expect("the database's own");
    assert_eq!(error.constraint(), Some("idempotency_keys_key"));
    sqlx::query("select relay.emit('vulnerability_discovered', $1, '{}')")
        .bind(org)
        .execute(world.sql())
        .await
        .expect("an older name is a name");
    let kinds: Vec<String> =
        sqlx::query_scalar("select distinct kind from relay.event_log where organization_id = $1")
            .bind(org)
            .fetch_all(world.sql())
            .await
            .expect("the database answers");
    assert_eq!(kinds, ["vulnerability.found"]);
}

/// I37: in SQL and over HTTP the same is refused, in the same words, but for the name of the kind.
#[tokio::test]
async fn i37_sql_emit_is_as_strict_as_http() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let nested = |levels: usize| {
        let inner = "[".repeat(levels - 1) + &"]".repeat(levels - 1);
        serde_json::from_str::<Value>(&format!(r#"{{"a":{inner}}}"#)).expect("JSON")
    };
    let keys = |count: usize| (0..count).map(|n| (format!("k{n}"), json!(n))).collect::<Value>();
    let nine = ["a"; 9].join(".");
    let of = |field: &str, value: &str| (field.to_owned(), json!(value));
    let table: Vec<(Vec<(String, Value)>, bool)> = vec![
        (vec![of("type", &["a"; 8].join("."))], true),
        (vec![of("type", &nine)], false),
        (vec![of("type", &format!("a.{}", "b".repeat(126)))], true),
        (vec![of("type", &format!("a.{}", "b".repeat(127)))], false),
        (vec![of("type", "a.b\n")], false),
        (vec![of("source", &"s".repeat(128))], true),
        (vec![of("source", &"é".repeat(65))], false),
        (vec![of("source", "a\u{1f}b")], false),
        (vec![of("source", "a\u{7f}")], false),
        (vec![of("subject", &"s".repeat(512))], true),
        (vec![of("subject", &"s".repeat(513))], false),
        (vec![of("subject", "\u{85}")], false),
        (vec![of("subject", "“quoted” \u{a0}\u{2028}")], true),
        (vec![of("idempotency_key", "")], false),
        (vec![of("idempotency_key", &"k".repeat(257))], false),
        (vec![of("idempotency_key", "a\tb")], false),
        (vec![of("priority", "urgent")], false),
        (vec![("data".to_owned(), nested(63))], true),
        (vec![("data".to_owned(), nested(64))], false),
        (vec![("data".to_owned(), json!({ "text": "[{".repeat(500) }))], true),
        (vec![("data".to_owned(), keys(9_990))], true),
        (vec![("data".to_owned(), keys(10_000))], false),
        (vec![("data".to_owned(), json!({ "text": "\": ".repeat(10_000) }))], true),
        (vec![("data".to_owned(), json!([1]))], false),
        (vec![("data".to_owned(), json!({ "text": "y".repeat(262_144) }))], false),
    ];
    let mut accepted = 0;
    for (fields, is_good) in table {
        let mut body = json!({ "type": "a.b", "organization_id": org, "data": {} });
        for (field, value) in fields {
            body[field] = value;
        }
        let shown: String = body.to_string().chars().take(120).collect();
        let by_http = world.relay.try_emit(&body).await;
        let by_sql: Result<Uuid, sqlx::Error> = sqlx::query_scalar(
            "select relay.emit($1, $2, $3, source => $4, subject => $5, idempotency_key => $6,
                               priority => coalesce($7, 'normal'))",
        )
        .bind(body["type"].as_str())
        .bind(org)
        .bind(&body["data"])
        .bind(body["source"].as_str())
        .bind(body["subject"].as_str())
        .bind(body["idempotency_key"].as_str())
        .bind(body["priority"].as_str())
        .fetch_one(world.sql())
        .await;
        if is_good {
            by_http.expect(202);
            by_sql.expect(&shown);
            accepted += 2;
            continue;
        }
        assert!((400..500).contains(&by_http.status), "{shown}: {}", by_http.status);
        let error = by_sql.expect_err(&shown).into_database_error().expect("the database's own");
        let theirs = by_http.json()["error"].as_str().expect("a sentence").to_owned();
        // Over HTTP it is told where in the body; the two write control characters differently; and
        // Postgres prints a blank after a colon.
        let words = |text: &str| {
            let text = text.replacen("type must", "kind must", 1).replace("262156", "262155");
            let ends = [", not \"", "characters: ", " (line"];
            let end = ends.iter().find_map(|end| text.find(end)).unwrap_or(text.len());
            text[..end].to_owned()
        };
        assert_eq!(words(error.message()), words(&theirs), "{shown}");
    }
    assert_eq!(stored(&world, org).await, accepted, "nothing of what was refused is there");
    // Numbers as only SQL can be given them.
    for number in ["1e309", "-1e400", &format!("0.{}1", "0".repeat(1_000))] {
        let data = format!(r#"{{"a": [{number}]}}"#);
        let error = sqlx::query("select relay.emit('a.b', $1, $2::jsonb)")
            .bind(org)
            .bind(&data)
            .execute(world.sql())
            .await
            .expect_err(number);
        let error = error.into_database_error().expect("the database's own");
        assert_eq!(error.code().as_deref(), Some("54000"), "{number}: {error}");
    }
    assert_eq!(stored(&world, org).await, accepted);
}

/// I40: a key is of its organization, and stands for one content.
#[tokio::test]
async fn i40_a_key_with_other_content_conflicts_and_another_organizations_key_is_its_own() {
    let world = World::builder().workers(0).start().await;
    let (org, other) = (new_id(), new_id());
    let first = world.relay.emit(&keyed(org, "k", json!({ "a": 1, "b": 2 }))).await;
    let refused = world.relay.try_emit(&keyed(org, "k", json!({ "a": 2 }))).await.expect(409);
    assert_eq!(refused.code(), "idempotency_conflict");
    assert!(refused.json()["error"].as_str().is_some_and(|e| e.contains(&first.to_string())));
    for (field, value) in [
        ("subject", json!("s")),
        ("priority", json!("high")),
        ("project_id", json!(new_id())),
        ("source", json!("x")),
        ("occurred_at", json!("2026-02-25T12:00:00Z")),
        ("type", json!("vulnerability.resolved")),
    ] {
        let mut body = keyed(org, "k", json!({ "a": 1, "b": 2 }));
        body[field] = value;
        world.relay.try_emit(&body).await.expect(409);
    }
    // Content is what the JSON says: neither blanks nor the order of keys.
    let text = format!(
        r#"{{"type":"vulnerability_discovered","organization_id":"{org}","idempotency_key":"k","data":{{ "b":2, "a":1 }}}}"#
    );
    let same = world.relay.post_events(text).await.expect(202).json();
    assert_eq!((id_of(&same), &same["duplicate"]), (first, &json!(true)));
    let theirs = world.relay.try_emit(&keyed(other, "k", json!({ "a": 3 }))).await.expect(202);
    assert_ne!(id_of(&theirs.json()), first);
    assert_eq!((stored(&world, org).await, stored(&world, other).await), (1, 1));
}

/// B11: a transaction of the core's that holds a key and does not end stops only those who bring
/// the same key; they are told to come again, and everybody else is served meanwhile.
#[tokio::test]
async fn b11_a_key_held_by_an_open_transaction_stops_nobody_else() {
    let world = World::builder().workers(0).start().await;
    let (org, other) = (new_id(), new_id());
    let mut tx = world.sql().begin().await.expect("a transaction");
    let held: Uuid = sqlx::query_scalar(
        "select relay.emit('vulnerability.found', $1, '{\"a\": 1}', idempotency_key => 'held')",
    )
    .bind(org)
    .fetch_one(&mut *tx)
    .await
    .expect("it is emitted");
    let same: Vec<_> = (0..6)
        .map(|_| {
            let (relay, body) = (world.relay.clone(), keyed(org, "held", json!({ "a": 1 })));
            tokio::spawn(async move { relay.try_emit(&body).await })
        })
        .collect();
    let served = async {
        for n in 0..20 {
            world.relay.emit(&keyed(other, &n.to_string(), json!({ "n": n }))).await;
        }
    };
    let deadline = std::time::Duration::from_secs(12);
    tokio::time::timeout(deadline, served).await.expect("others are served meanwhile");
    for call in same {
        let answer = call.await.expect("no caller panics").expect(503);
        assert_eq!(answer.code(), "database_unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    tx.commit().await.expect("it commits");
    let again = world.relay.try_emit(&keyed(org, "held", json!({ "a": 1 }))).await.expect(202);
    assert_eq!((id_of(&again.json()), &again.json()["duplicate"]), (held, &json!(true)));
    assert_eq!((stored(&world, org).await, stored(&world, other).await), (1, 20));
}

/// B15, B39: a moment that is no date is refused in SQL as over HTTP: whoever reads it would stop.
#[tokio::test]
async fn b15_b39_a_moment_that_is_no_date_is_refused_and_stops_no_delivery() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    for moment in ["infinity", "-infinity", "4000-01-01 BC", "294276-12-31", "1969-12-31"] {
        let statement = "select relay.emit('a.b', $1, '{}', occurred_at => $2::text::timestamptz)";
        let error = sqlx::query(statement).bind(org).bind(moment).execute(world.sql()).await;
        let error = error.expect_err(moment).into_database_error().expect("the database's own");
        assert_eq!(error.constraint(), Some("event_log_occurred_at_is_a_date"), "{moment}");
    }
    world.relay.emit(&tests::event(org, "a.b", json!({ "marker": "usual" }))).await;
    world.receiver.wait_for("/hook", 1).await;
    assert_eq!(stored(&world, org).await, 1);
}
