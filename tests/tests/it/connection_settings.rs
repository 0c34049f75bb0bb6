//! One connection's settings: versions, pausing, suspension, team and project scope.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Answered, World, event, new_id};
use uuid::Uuid;

/// Two admins at once: the second is told, and loses nothing of the first one's change.
#[tokio::test]
async fn of_two_changes_after_the_same_version_one_is_told_of_the_conflict() {
    let world = World::builder().api(2).workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let seen = world.relay.connection(org, hook.id).await.expect(200);
    assert_eq!(seen.json()["version"], 1);
    assert_eq!(seen.headers["etag"], "\"1\"");
    let path = format!("/api/organizations/{org}/connections/{}", hook.id);
    let change = |name: &str, version: &str| {
        let request = world.relay.request(Method::PATCH, &path).header("if-match", version);
        let request = request.bearer_auth(world.relay.admin_token(org));
        world.relay.send(request.json(&json!({ "name": name })))
    };
    let (a, b) = tokio::join!(change("A", "\"1\""), change("B", "\"1\""));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let (won, lost) = if a.status == 200 { (a, b) } else { (b, a) };
    assert_eq!(lost.code(), "version_conflict");
    let now = world.relay.connection(org, hook.id).await.expect(200);
    assert_eq!(now.json()["display_name"], won.json()["display_name"]);
    assert_eq!(
        (now.json()["version"].as_i64(), won.headers["etag"].to_str().ok()),
        (Some(2), Some("\"2\""))
    );
    // The same in the body; and a change that changes nothing is no event.
    let stale = json!({ "name": "C", "expected_version": 1 });
    world.relay.change(org, hook.id, &stale).await.expect(409);
    let same = json!({ "name": won.json()["display_name"], "expected_version": 2 });
    assert_eq!(world.relay.change(org, hook.id, &same).await.expect(200).json()["version"], 2);
}

/// Without a version everybody's change is made, one after the other; each is one event.
#[tokio::test]
async fn changes_without_a_version_are_all_made_and_all_recorded() {
    let world = World::builder().api(2).workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let changing: Vec<_> = (0..6)
        .map(|n| {
            let (relay, id) = (world.relay.clone(), hook.id);
            tokio::spawn(async move {
                let name = json!({ "name": format!("name {n}") });
                loop {
                    // Five lost races in a row are told, as they must be; then it is tried again.
                    match relay.change(org, id, &name).await.status {
                        200 => return,
                        status => assert_eq!(status, 409),
                    }
                }
            })
        })
        .collect();
    for task in changing {
        task.await.expect("no admin panics");
    }
    let versions: Vec<i64> = sqlx::query_scalar(
        "select version from relay.event_log where category = 'connection' and stream_id = $1
         order by version",
    )
    .bind(hook.id)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(versions, (1..=7).collect::<Vec<i64>>(), "no version is missing, none is twice");
    let now = world.relay.connection(org, hook.id).await.json();
    assert_eq!(now["version"], 7);
}

/// Who changed what is in the log.
#[tokio::test]
async fn every_change_is_an_event_with_its_actor() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let user = Uuid::new_v4();
    let token = world.relay.token(&json!({
        "sub": user,
        "app_metadata": { "organizations": { org.to_string(): { "role": "owner" } } },
    }));
    let path = format!("/api/organizations/{org}/connections/{}", hook.id);
    let change = json!({
        "name": "New", "paused": true, "event_types": ["vulnerability.*"], "retry_schedule": [1, 2],
    });
    let request = world.relay.request(Method::PATCH, &path).bearer_auth(&token).json(&change);
    world.relay.send(request).await.expect(200);
    let events: Vec<(String, String)> = sqlx::query_as(
        "select kind, actor from relay.event_log where category = 'connection' and stream_id = $1
         order by version",
    )
    .bind(hook.id)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds[0], "connection.connected");
    assert!(kinds.contains(&"connection.updated"), "{kinds:?}");
    assert!(kinds.contains(&"connection.subscription_changed"), "{kinds:?}");
    assert!(events[1..].iter().all(|(_, actor)| actor == &format!("user:{user}")), "{events:?}");
}

/// B8: what a paused connection misses is listed with the reason; afterwards events flow again.
#[tokio::test]
async fn b8_a_paused_connection_gets_nothing_and_what_it_missed_is_listed() {
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.change(org, hook.id, &json!({ "paused": true })).await.expect(200);
    let missed = world.relay.emit(&event(org, "a.b", json!({ "marker": "missed" }))).await;
    let delivery = world.relay.delivery_of(org, missed, hook.id).await;
    assert_eq!(delivery["status"], "skipped");
    assert_eq!(delivery["reason"], "connection_paused");
    world.relay.change(org, hook.id, &json!({ "paused": false })).await.expect(200);
    world.relay.emit(&event(org, "a.b", json!({ "marker": "got" }))).await;
    let arrivals = world.receiver.wait_for("/hook", 1).await;
    assert_eq!(arrivals[0].marker(), "got");
    let id = delivery["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    world.relay.replay(org, id).await.expect(202);
    let arrivals = world.receiver.wait_for("/hook", 2).await;
    assert_eq!(
        (arrivals[1].marker().as_str(), arrivals[1].header("x-deptex-replay")),
        ("missed", "true")
    );
}

/// A receiver that says 410 is switched off, with the reason; resuming lifts it.
#[tokio::test]
async fn a_suspended_connection_tells_why_and_resumes() {
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.receiver.answer("/hook", [Answer::status(410), Answer::ok()]);
    let id = world.relay.emit(&event(org, "a.b", json!({ "marker": "gone" }))).await;
    world.relay.settled(org, id, hook.id, "dead").await;
    let view = tests::wait_until("the connection to be off", tests::LONG, || async {
        let view = world.relay.connection(org, hook.id).await.expect(200).json();
        (view["status"] != "connected").then_some(view)
    })
    .await;
    assert!(
        ["suspended", "error"].contains(&view["status"].as_str().unwrap_or_default()),
        "{view}"
    );
    assert!(view["status_reason"].is_string(), "{view}");
    let list = format!("/api/integrations/organizations/{org}/connections");
    let listed = world.relay.admin(org, Method::GET, &list, None).await.expect(200).json();
    assert_eq!(listed, json!([]), "the frontend's list holds what is connected");
    let missed = world.relay.emit(&event(org, "a.b", json!({ "marker": "missed" }))).await;
    let delivery = world.relay.delivery_of(org, missed, hook.id).await;
    assert_eq!(delivery["status"], "skipped");
    let resumed = world.relay.change(org, hook.id, &json!({ "paused": false })).await.expect(200);
    assert_eq!(resumed.json()["status"], "connected");
    assert_eq!(resumed.json()["status_reason"], Value::Null);
    world.relay.emit(&event(org, "a.b", json!({ "marker": "again" }))).await;
    assert_eq!(world.receiver.wait_for("/hook", 2).await[1].marker(), "again");
}

/// Wrong settings are refused whole, by name.
#[tokio::test]
async fn wrong_settings_are_refused_and_nothing_is_changed() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let before = world.relay.connection(org, hook.id).await.json();
    let refuse = async |body: Value, status: u16, code: &str| {
        let refused: Answered = world.relay.change(org, hook.id, &body).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{body}");
    };
    refuse(json!({ "name": "" }), 422, "invalid_name").await;
    refuse(json!({ "webhook_url": "https://10.0.0.1/" }), 422, "invalid_webhook_url").await;
    refuse(json!({ "name": "ok", "event_types": ["**"] }), 422, "invalid_event_types").await;
    refuse(json!({ "conditions": 5 }), 422, "invalid_conditions").await;
    refuse(json!({ "retry_schedule": vec![1; 21] }), 422, "invalid_retry_schedule").await;
    refuse(json!({ "retry_schedule": [604_801] }), 422, "invalid_retry_schedule").await;
    refuse(json!({ "retry_schedule": [-1] }), 422, "invalid_field").await;
    for (limit, code) in [
        (json!({ "count": 0, "seconds": 1 }), "invalid_rate_limit"),
        (json!({ "count": 100_001, "seconds": 1 }), "invalid_rate_limit"),
        (json!({ "count": 1, "seconds": 3_601 }), "invalid_rate_limit"),
        (json!({ "count": 1 }), "invalid_field"),
        (json!({ "count": -1, "seconds": 1 }), "invalid_field"),
        (json!({ "count": 1, "seconds": 1, "burst": 1 }), "unknown_field"),
        (json!(10), "invalid_field"),
    ] {
        refuse(json!({ "rate_limit": limit }), 422, code).await;
    }
    for (ordering, code) in [
        (json!({ "policy": "park" }), "invalid_ordering"),
        (json!({ "policy": "park", "after": 0 }), "invalid_ordering"),
        (json!({ "policy": "park", "after": 300 }), "invalid_ordering"),
        (json!({ "policy": "block", "after": 1 }), "invalid_ordering"),
        (json!({ "policy": "strict" }), "invalid_field"),
        (json!("block"), "invalid_field"),
    ] {
        refuse(json!({ "ordering": ordering }), 422, code).await;
    }
    refuse(json!({ "digest_minutes": 15 }), 422, "digest_unsupported").await;
    refuse(json!({ "digest_minutes": -1 }), 422, "invalid_field").await;
    refuse(json!({ "paused": "yes" }), 422, "invalid_field").await;
    refuse(json!({ "access_token": "x" }), 422, "unknown_field").await;
    refuse(json!([]), 400, "malformed_json").await;
    assert_eq!(world.relay.connection(org, hook.id).await.json(), before);
}

/// What an admin asks of us for a connection is kept, told, recorded once, and taken back with null.
#[tokio::test]
async fn limits_orders_and_digests_are_set_and_taken_back() {
    let world = World::builder().workers(0).providers().start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let slack = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let slack: Uuid = slack["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let jira = world.relay.connect(world.mocks(), org, "jira").await;
    let jira: Uuid = jira["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let set = async |id: Uuid, change: Value| world.relay.change(org, id, &change).await;
    let limit = json!({ "count": 10, "seconds": 1 });
    let park = json!({ "policy": "park", "after": 3 });
    let all = json!({ "rate_limit": limit, "ordering": park });
    let view = set(hook.id, all.clone()).await.expect(200).json();
    assert_eq!((&view["rate_limit"], &view["ordering"]), (&limit, &park));
    assert_eq!((&view["digest_minutes"], &view["version"]), (&Value::Null, &json!(3)));
    assert_eq!(set(hook.id, all).await.expect(200).json(), view, "asked twice, recorded once");
    let other = set(hook.id, json!({ "name": "Other" })).await.expect(200).json();
    assert_eq!(
        (&other["rate_limit"], &other["ordering"]),
        (&limit, &park),
        "what is left out stays"
    );
    let none = json!({ "rate_limit": null, "ordering": null, "digest_minutes": null });
    let view = set(hook.id, none).await.expect(200).json();
    assert_eq!((&view["rate_limit"], &view["ordering"]), (&Value::Null, &Value::Null));
    for (id, change, code) in [
        (jira, json!({ "ordering": { "policy": "skip" } }), "ordering_unsupported"),
        (jira, json!({ "digest_minutes": 5 }), "digest_unsupported"),
        (slack, json!({ "digest_minutes": 0 }), "invalid_digest"),
        (slack, json!({ "digest_minutes": 70_000 }), "invalid_digest"),
        (
            slack,
            json!({ "digest_minutes": 5, "ordering": { "policy": "skip" } }),
            "ordering_with_digest",
        ),
    ] {
        let refused = set(id, change.clone()).await.expect(422);
        assert_eq!(refused.code(), code, "{change}");
    }
    set(jira, json!({ "rate_limit": limit })).await.expect(200);
    let view = set(slack, json!({ "digest_minutes": 1_440 })).await.expect(200).json();
    assert_eq!(view["digest_minutes"], 1_440);
    let refused = set(slack, json!({ "ordering": { "policy": "block" } })).await.expect(422);
    assert_eq!(refused.code(), "ordering_with_digest");
    let instead = json!({ "ordering": { "policy": "block" }, "digest_minutes": null });
    let view = set(slack, instead).await.expect(200).json();
    assert_eq!(
        (&view["ordering"], &view["digest_minutes"]),
        (&json!({ "policy": "block" }), &Value::Null)
    );
}

/// The frontend's list shows Slack's channel from the metadata: it is the one that was chosen.
#[tokio::test]
async fn another_channel_is_the_one_that_the_list_shows() {
    let world = World::builder().workers(0).providers().start().await;
    let org = new_id();
    let slack = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let consented = slack["metadata"]["channel"].clone();
    let choices = world.relay.destinations(org, &slack["id"]).await;
    let another = choices.iter().find(|c| c["name"] != consented).expect("a second channel");
    world.relay.choose(org, &slack["id"], &json!({ "id": another["id"] })).await.expect(200);
    let path = format!("/api/integrations/organizations/{org}/connections");
    let list = world.relay.admin(org, Method::GET, &path, None).await.expect(200).json();
    let shown = &list[0]["metadata"];
    assert_eq!((&shown["channel"], &shown["channel_id"]), (&another["name"], &another["id"]));
    assert_eq!(shown["incoming_webhook"]["channel"], another["name"]);
}

/// What was promised and not tried goes into the lane with the setting, and comes out of it due at once.
#[tokio::test]
async fn what_waits_follows_its_connection_into_a_lane_and_out_of_it() {
    let world = World::builder().workers(0).providers().start().await;
    let org = new_id();
    let slack = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let id: Uuid = slack["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let (in_lane, tried) = (new_id(), new_id());
    let waiting = async || -> Vec<(bool, bool)> {
        let look = "select shard >= 64, due_at <= now() from relay.outbox order by event_id";
        sqlx::query_as(look).fetch_all(world.sql()).await.expect("the database answers")
    };
    let change = async |change: Value| {
        world.relay.change(org, id, &change).await.expect(200);
    };
    world.relay.emit(&event(org, "policy.violation", json!({ "rule": in_lane }))).await;
    world.relay.emit(&event(org, "policy.violation", json!({ "rule": tried }))).await;
    sqlx::query(
        "update relay.outbox set attempt = 1, class = 1, due_at = now() + interval '1 hour'
         where event_id = (select max(event_id::text)::uuid from relay.outbox)",
    )
    .execute(world.sql())
    .await
    .expect("a superuser may");
    assert_eq!(waiting().await, [(false, true), (false, false)]);
    change(json!({ "ordering": { "policy": "block" } })).await;
    assert_eq!(waiting().await, [(true, true), (false, false)], "what was tried stays outside");
    change(json!({ "ordering": null, "digest_minutes": 60 })).await;
    assert_eq!(waiting().await, [(true, true), (false, false)]);
    world.relay.emit(&event(org, "policy.violation", json!({ "rule": "later" }))).await;
    assert_eq!(waiting().await[2], (true, false), "it waits for the end of the hour");
    change(json!({ "digest_minutes": null })).await;
    assert_eq!(waiting().await, [(false, true), (false, false), (false, true)]);
}

/// The routes of teams and projects mirror the organization's; each serves its own alone.
#[tokio::test]
async fn team_and_project_routes_serve_their_own_connections() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let (team, project) = (new_id(), new_id());
    let inherited = world.relay.create_custom(org, &world.receiver.url("/org")).await;
    for (scope, id, own) in [("teams", team, "team"), ("projects", project, "project")] {
        let base = format!("/api/organizations/{org}/{scope}/{id}");
        let custom = format!("{base}/custom-integrations");
        let url = world.receiver.url(&format!("/{own}"));
        let admin = async |method: Method, path: &str, body: Option<Value>| {
            world.relay.admin(org, method, path, body.as_ref()).await
        };
        let refused = admin(Method::POST, &custom, Some(json!({}))).await.expect(400);
        assert_eq!(refused.json()["error"], "name, type, and webhook_url are required");
        let body = json!({ "name": "Own", "type": "ticketing", "webhook_url": url });
        let made = admin(Method::POST, &custom, Some(body)).await.expect(200).json();
        let connection = made["id"].as_str().expect("an id").to_owned();
        world.relay.keep_secret(&url, made["secret"].as_str().expect("a secret"));

        let lists =
            admin(Method::GET, &format!("{base}/connections"), None).await.expect(200).json();
        assert_eq!(lists["inherited"][0]["id"], json!(inherited.id));
        assert_eq!(lists["inherited"][0]["source"], "organization");
        assert_eq!(lists["inherited"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&lists[own][0]["id"], &lists[own][0]["source"]),
            (&json!(connection), &json!(own))
        );
        assert_eq!(lists[own].as_array().map(Vec::len), Some(1));

        let one = format!("{custom}/{connection}");
        let test = admin(Method::POST, &format!("{one}/test"), None).await.expect(200).json();
        assert_eq!(test["success"], true);
        assert_eq!(world.receiver.count(&format!("/{own}")), 1);
        let change = json!({ "name": "New", "regenerate_secret": true });
        let changed = admin(Method::PUT, &one, Some(change)).await.expect(200).json();
        world.relay.keep_secret(&url, changed["secret"].as_str().expect("a new secret"));

        // Neither through another team's path, nor through the organization's.
        let strange = format!("/api/organizations/{org}/{scope}/{}", new_id());
        let other = format!("{strange}/custom-integrations/{connection}");
        admin(Method::PUT, &other, Some(json!({ "name": "x" }))).await.expect(404);
        admin(Method::POST, &format!("{other}/test"), None).await.expect(404);
        admin(Method::DELETE, &format!("{strange}/connections/{connection}"), None)
            .await
            .expect(404);
        let of_org = format!("/api/integrations/organizations/{org}");
        admin(Method::DELETE, &format!("{of_org}/connections/{connection}"), None)
            .await
            .expect(404);
        let of_org = format!("{of_org}/custom-integrations/{connection}");
        admin(Method::PUT, &of_org, Some(json!({ "name": "x" }))).await.expect(404);
        // And what is inherited is not removed here.
        let inherited = format!("{base}/connections/{}", inherited.id);
        admin(Method::DELETE, &inherited, None).await.expect(404);

        let removed =
            admin(Method::DELETE, &format!("{base}/connections/{connection}"), None).await;
        let removed = removed.expect(200).json();
        assert_eq!(removed["success"], true);
        assert_eq!(removed["message"], "Connection removed");
        assert_eq!(removed["provider"], "custom_ticketing");
    }
}
