//! Who did and saw what: recorded before it is shown, and never taken back.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answered, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

const SECRET: &str = "what the payload says";

/// A person with a token of an organization.
struct Person {
    org: Uuid,
    id: Uuid,
    token: String,
}

impl Person {
    fn of(world: &World, org: Uuid, role: &str) -> Self {
        let id = Uuid::new_v4();
        let organizations = json!({ org.to_string(): { "role": role } });
        let claims = json!({ "sub": id, "app_metadata": { "organizations": organizations } });
        Self { org, id, token: world.relay.token(&claims) }
    }

    async fn ask(&self, world: &World, method: Method, path: &str) -> Answered {
        let path = format!("/api/organizations/{}/{path}", self.org);
        world.relay.send(world.relay.request(method, &path).bearer_auth(&self.token)).await
    }

    async fn get(&self, world: &World, path: &str) -> Answered {
        self.ask(world, Method::GET, path).await
    }

    async fn audit(&self, world: &World, query: &str) -> Vec<Value> {
        let page = self.get(world, &format!("audit?{query}")).await.expect(200).json();
        page["items"].as_array().expect("a page has items").clone()
    }
}

/// An organization with a webhook and one delivery that arrived.
async fn with_delivery(world: &World) -> (Uuid, Uuid, Uuid) {
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let body = event(org, "a.b", json!({ "marker": "1", "secret": SECRET }));
    let event = world.relay.emit(&body).await;
    let delivery = world.relay.settled(org, event, hook.id, "delivered").await;
    let id = delivery["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    (org, event, id)
}

/// Who reads a payload is known afterwards, once for each hour; looking at lists is not reading one.
#[tokio::test]
async fn i48_reading_a_payload_is_recorded_once_an_hour() {
    let world = World::start().await;
    let (org, event, delivery) = with_delivery(&world).await;
    let (owner, member) = (Person::of(&world, org, "owner"), Person::of(&world, org, "member"));
    for list in
        ["deliveries", "events", "overview", &format!("events/{event}/why?connection_id={org}")]
    {
        let answer = member.get(&world, list).await;
        assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET), "{list}");
    }
    assert!(owner.audit(&world, &format!("actor={}", member.id)).await.is_empty());
    let (of_event, of_delivery) = (format!("events/{event}"), format!("deliveries/{delivery}"));
    // A console that asks again and again, also twice at once.
    for _ in 0..3 {
        for path in [&of_event, &of_delivery] {
            let (one, two) = tokio::join!(member.get(&world, path), member.get(&world, path));
            for read in [one, two] {
                assert!(String::from_utf8_lossy(&read.expect(200).body).contains(SECRET));
            }
        }
    }
    let read = owner.audit(&world, &format!("actor={}", member.id)).await;
    let facts: Vec<(&Value, &Value)> =
        read.iter().map(|fact| (&fact["type"], &fact["about"])).collect();
    assert_eq!(
        facts,
        [
            (&json!("delivery.payload_read"), &json!(delivery)),
            (&json!("event.payload_read"), &json!(event)),
        ]
    );
    assert_eq!(read[0]["data"], json!({ "event_id": event }));
    assert!(!json!(read).to_string().contains(SECRET));
    // Another person's reading is a fact of its own; so is the same person's an hour later.
    owner.get(&world, &of_event).await.expect(200);
    assert_eq!(owner.audit(&world, "type=event.payload_read").await.len(), 2);
    let earlier = Person::of(&world, org, "member");
    sqlx::query(
        "insert into relay.event_log (
             id, category, organization_id, stream_id, kind, payload, actor, occurred_at)
         values (relay.uuid7(), 'audit', $1, $2, 'event.payload_read', '{}', $3,
                 now() - interval '61 minutes')",
    )
    .bind(org)
    .bind(event)
    .bind(format!("user:{}", earlier.id))
    .execute(world.sql())
    .await
    .expect("the tests' role may");
    earlier.get(&world, &of_event).await.expect(200);
    assert_eq!(owner.audit(&world, &format!("actor={}", earlier.id)).await.len(), 2);
    // What is not there, or another organization's, was not read.
    let stranger = Person::of(&world, new_id(), "owner");
    stranger.get(&world, &of_event).await.expect(404);
    assert!(stranger.audit(&world, "").await.is_empty());
}

/// An export is recorded with who, which and why, each time, before its first byte.
#[tokio::test]
async fn i48_an_export_is_recorded_with_its_filter_and_reason() {
    let world = World::start().await;
    let (org, event, _) = with_delivery(&world).await;
    let owner = Person::of(&world, org, "owner");
    let query =
        format!("status=dead&status=delivered&event_id={event}&reason=%20for%20the%20auditor%20");
    owner.get(&world, &format!("deliveries/export?{query}")).await.expect(200);
    let long = "x".repeat(600);
    owner.get(&world, &format!("deliveries/export?reason={long}")).await.expect(200);
    owner.get(&world, "deliveries/export?state=dead").await.expect(422);
    let exports = owner.audit(&world, "type=deliveries").await;
    assert_eq!(exports.len(), 2, "{exports:?}");
    assert_eq!(
        exports[1]["data"],
        json!({ "filter": { "status": ["dead", "delivered"], "event_id": event },
                "reason": "for the auditor" })
    );
    assert_eq!(exports[0]["data"], json!({ "filter": {}, "reason": "x".repeat(500) }));
    assert!(exports.iter().all(|fact| fact["actor"]["id"] == json!(owner.id)));
}

/// What cannot be recorded is not shown.
#[tokio::test]
async fn i48_nothing_is_read_in_silence() {
    let world = World::start().await;
    let (org, event, delivery) = with_delivery(&world).await;
    let owner = Person::of(&world, org, "owner");
    sqlx::query("alter table relay.event_log_audit add constraint full_up check (false) not valid")
        .execute(world.sql())
        .await
        .expect("the tests' role owns it");
    for path in [
        format!("events/{event}"),
        format!("deliveries/{delivery}"),
        "deliveries/export".to_owned(),
    ] {
        let refused = owner.get(&world, &path).await;
        assert!(refused.status >= 500, "{path}: {refused:?}");
        let said = String::from_utf8_lossy(&refused.body).into_owned();
        assert!(!said.contains(SECRET) && !said.contains("full_up"), "{said}");
    }
    assert!(owner.audit(&world, &format!("actor={}", owner.id)).await.is_empty());
}

/// No route removes a fact, and the database refuses it to the role that the API runs as.
#[tokio::test]
async fn i48_no_fact_can_be_changed_or_removed() {
    let world = World::start().await;
    let (org, event, _) = with_delivery(&world).await;
    let owner = Person::of(&world, org, "owner");
    owner.get(&world, &format!("events/{event}")).await.expect(200);
    for method in [Method::DELETE, Method::PUT, Method::PATCH, Method::POST] {
        let refused = owner.ask(&world, method.clone(), "audit").await;
        assert_eq!(refused.status, 405, "{method}");
    }
    let before = owner.audit(&world, "").await;
    let owner_of_log: bool = sqlx::query_scalar(
        "select pg_has_role(current_user, relowner, 'member') from pg_class
         where oid = 'relay.event_log_audit'::regclass",
    )
    .fetch_one(world.sql())
    .await
    .expect("the log is there");
    assert!(owner_of_log, "the API's role, which has every right that can be granted");
    for statement in [
        "delete from relay.event_log",
        "delete from relay.event_log where category = 'audit'",
        "delete from relay.event_log_audit",
        "delete from relay.event_log_connection",
        "update relay.event_log_audit set actor = 'system'",
        "update relay.event_log set payload = '{}' where category = 'connection'",
        "truncate relay.event_log_audit",
        "truncate relay.event_log",
        "truncate relay.event_log_connection",
        "truncate relay.event_log_replay",
    ] {
        let error = sqlx::query(statement).execute(world.sql()).await.expect_err(statement);
        let code = error.as_database_error().and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("23001"), "{statement}: {error}");
    }
    // Retention, of whatever length, does not reach it.
    sqlx::query("select relay.drop_old_partitions('-10 days')")
        .execute(world.sql())
        .await
        .expect("the duty runs");
    assert_eq!(owner.audit(&world, "").await, before);
}

/// One list has all that people did: what they changed, replayed, read and took away, page after page.
#[tokio::test]
async fn i48_what_was_done_is_listed_for_managers() {
    let world = World::start().await;
    let (org, event, delivery) = with_delivery(&world).await;
    let (owner, member) = (Person::of(&world, org, "owner"), Person::of(&world, org, "member"));
    let hooks = owner.get(&world, "connections").await.expect(200).json();
    let hook = hooks["items"][0]["id"].as_str().expect("an id").to_owned();
    let send = async |method: Method, path: &str, body: &Value| {
        let path = format!("/api/organizations/{org}/{path}");
        let request = world.relay.request(method, &path).bearer_auth(&owner.token).json(body);
        let answer = world.relay.send(request).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
    };
    send(Method::PATCH, &format!("connections/{hook}"), &json!({ "name": "Renamed" })).await;
    let why = json!({ "reason": "they lost it" });
    send(Method::POST, &format!("deliveries/{delivery}/replay"), &why).await;
    let many = json!({ "selection": { "status": ["dead"] }, "reason": "all of them" });
    send(Method::POST, "replays", &many).await;
    owner.get(&world, &format!("events/{event}")).await.expect(200);
    owner.get(&world, "deliveries/export?reason=quarter").await.expect(200);

    let done = owner.audit(&world, &format!("actor={}", owner.id)).await;
    let kinds: Vec<&str> = done.iter().filter_map(|fact| fact["type"].as_str()).collect();
    assert_eq!(
        kinds,
        [
            "deliveries.exported",
            "event.payload_read",
            "replay.requested",
            "connection.delivery_replayed",
            "connection.updated",
        ]
    );
    assert_eq!(done[4]["about"], json!(hook));
    assert_eq!(
        (&done[4]["version"], &done[4]["data"]["display_name"]),
        (&json!(2), &json!("Renamed"))
    );
    for (fact, reason) in [(0, "quarter"), (2, "all of them"), (3, "they lost it")] {
        assert_eq!(done[fact]["data"]["reason"], reason);
    }
    // What it was before: in words in the history, and in full as of then.
    let history =
        owner.get(&world, &format!("connections/{hook}/history")).await.expect(200).json();
    let changed =
        history["items"].as_array().and_then(|items| items.iter().find(|i| i["version"] == 2));
    assert_eq!(changed.expect("it is there")["summary"], "Renamed from Test to Renamed.");

    // What Relay does of its own accord is listed as well; after the replay's end that is all.
    wait_until("the replay to be over", 2 * LONG, || async {
        let own = owner.audit(&world, "actor=system").await;
        own.iter().any(|fact| fact["type"] == "replay.completed").then_some(())
    })
    .await;
    let everything = owner.audit(&world, "limit=200").await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            owner.get(&world, &format!("audit?limit=2&cursor={cursor}")).await.expect(200).json();
        seen.extend(page["items"].as_array().expect("items").iter().map(|i| i["id"].clone()));
        // What comes meanwhile is on no page any more.
        owner.get(&world, "deliveries/export").await.expect(200);
        let Some(next) = page["next_cursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    let expected: Vec<Value> = everything.iter().map(|fact| fact["id"].clone()).collect();
    assert_eq!(seen, expected);
    for (query, beginning) in [
        ("type=connection&actor=people", "connection."),
        ("type=replay.requested", "replay.requested"),
    ] {
        let found = owner.audit(&world, query).await;
        assert!(!found.is_empty(), "{query}");
        let mut kinds = found.iter().filter_map(|fact| fact["type"].as_str());
        assert!(kinds.all(|kind| kind.starts_with(beginning)), "{query}: {found:?}");
    }
    assert!(owner.audit(&world, "type=conn").await.is_empty(), "half a word is no family");
    assert!(owner.audit(&world, "until=2020-01-01T00:00:00Z").await.is_empty());
    assert!(
        owner
            .audit(&world, "actor=system")
            .await
            .iter()
            .all(|fact| fact["actor"]["kind"] == "system")
    );
    member.get(&world, "audit").await.expect(403);
    let refused = owner.get(&world, "audit?user=x").await.expect(422);
    assert_eq!(refused.code(), "unknown_filter");
    let stranger = Person::of(&world, new_id(), "owner");
    let path = format!("/api/organizations/{org}/audit");
    let request = world.relay.request(Method::GET, &path).bearer_auth(&stranger.token);
    world.relay.send(request).await.expect(404);
}
