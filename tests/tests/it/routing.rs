//! Who gets an event: kinds, conditions, scope; and what happens while somebody changes their mind.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use engine::subscription::{CONDITION_CASES, Conditions, EventPatterns};
use serde_json::{Value, json};
use tests::{World, event, new_id};
use uuid::Uuid;

/// Which hooks got each event, by its marker.
fn routes(world: &World) -> HashMap<String, BTreeSet<String>> {
    let mut routes: HashMap<String, BTreeSet<String>> = HashMap::new();
    for arrival in world.receiver.all() {
        let path = arrival.path.trim_start_matches('/').to_owned();
        assert!(routes.entry(arrival.marker()).or_default().insert(path), "sent twice");
    }
    routes
}

async fn hook(world: &World, org: Uuid, name: &str, more: Value) -> Uuid {
    let url = world.receiver.url(&format!("/{name}"));
    world.relay.create_custom_with(org, &url, &more).await.id
}

fn names(text: &str) -> BTreeSet<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// B16: a kind, a prefix, several, everything; with a condition, without, or with both.
#[tokio::test]
async fn b16_an_event_reaches_the_hooks_that_its_kind_and_its_data_match() {
    let world = World::start().await;
    let org = new_id();
    let severe = json!({ "field": "severity", "at_least": "high" });
    for (name, more) in [
        ("all", json!({})),
        ("star", json!({ "event_types": ["*"] })),
        ("found", json!({ "event_types": ["vulnerability.found"] })),
        ("vulnerability", json!({ "event_types": ["vulnerability.*"] })),
        ("deep", json!({ "event_types": ["vulnerability.found.*"] })),
        ("alias", json!({ "event_types": ["vulnerability_discovered", "sla.*"] })),
        ("severe", json!({ "conditions": severe })),
        ("both", json!({ "event_types": ["vulnerability.*"], "conditions": severe })),
        ("none", json!({ "event_types": ["policy.violation"] })),
    ] {
        hook(&world, org, name, more).await;
    }
    hook(&world, new_id(), "stranger", json!({})).await;
    for (kind, data) in [
        ("vulnerability.found", json!({ "marker": "low", "severity": "low" })),
        ("vulnerability.found", json!({ "marker": "high", "severity": "High" })),
        ("vulnerability_discovered", json!({ "marker": "older" })),
        ("vulnerability.found.again", json!({ "marker": "deeper" })),
        ("vulnerabilities.found", json!({ "marker": "near" })),
        ("sla.breached", json!({ "marker": "sla", "severity": "critical" })),
    ] {
        world.relay.emit(&event(org, kind, data)).await;
    }
    world.run_until_idle().await;
    let routes = routes(&world);
    for (marker, expected) in [
        ("low", "all star found vulnerability alias"),
        ("high", "all star found vulnerability alias severe both"),
        ("older", "all star found vulnerability alias"),
        ("deeper", "all star vulnerability deep"),
        ("near", "all star"),
        ("sla", "all star alias severe"),
    ] {
        assert_eq!(routes[marker], names(expected), "{marker}");
    }
}

/// Who is concerned: the organization's hooks always, a team's or a project's by the event's own.
#[tokio::test]
async fn b16_a_team_or_project_hook_gets_its_own_events_alone() {
    let world = World::start().await;
    let (org, team, project) = (new_id(), new_id(), new_id());
    hook(&world, org, "organization", json!({})).await;
    for (scope, id) in [("teams", team), ("projects", project)] {
        let path = format!("/api/organizations/{org}/{scope}/{id}/custom-integrations");
        let url = world.receiver.url(&format!("/{scope}"));
        let body = json!({ "name": "Scoped", "type": "notification", "webhook_url": url });
        let made = world.relay.admin(org, reqwest::Method::POST, &path, Some(&body)).await;
        let secret = made.expect(200).json()["secret"].as_str().map(str::to_owned);
        world.relay.keep_secret(&url, &secret.expect("a secret is shown"));
    }
    for (marker, project_id, team_id) in [
        ("neither", None, None),
        ("team", None, Some(team)),
        ("project", Some(project), None),
        ("both", Some(project), Some(team)),
        ("others", Some(new_id()), Some(new_id())),
    ] {
        let mut body = event(org, "a.b", json!({ "marker": marker }));
        body["project_id"] = json!(project_id);
        body["team_id"] = json!(team_id);
        world.relay.emit(&body).await;
    }
    world.run_until_idle().await;
    let routes = routes(&world);
    for (marker, expected) in [
        ("neither", "organization"),
        ("team", "organization teams"),
        ("project", "organization projects"),
        ("both", "organization teams projects"),
        ("others", "organization"),
    ] {
        assert_eq!(routes[marker], names(expected), "{marker}");
    }
}

/// B17: every case of the condition language, answered by the Postgres that fans out.
#[tokio::test]
async fn b17_postgres_answers_every_case_of_the_condition_language() {
    let world = World::builder().api(0).workers(0).start().await;
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect(text);
    for (condition, document, expected) in CONDITION_CASES {
        let path = Conditions::parse(&parse(condition)).expect(condition).to_jsonpath();
        // As the append function has it: whatever is not true is false.
        let found: bool =
            sqlx::query_scalar("select coalesce($1::text::jsonb @@ $2::text::jsonpath, false)")
                .bind(*document)
                .bind(&path)
                .fetch_one(world.sql())
                .await
                .expect(&path);
        assert_eq!(found, *expected, "{condition} of {document}: {path}");
    }
}

/// B17: the document that conditions see holds what an event says of itself, and its data.
#[tokio::test]
async fn b17_conditions_see_the_event_and_its_data() {
    let world = World::start().await;
    let (org, project, team) = (new_id(), new_id(), new_id());
    for (name, condition) in [
        ("project", json!({ "field": "project_id", "eq": project.to_string().to_uppercase() })),
        ("team", json!({ "field": "team_id", "ne": team })),
        ("subject", json!({ "field": "subject", "starts_with": "CVE-" })),
        ("source", json!({ "field": "source", "in": ["scanner", "cron"] })),
        ("priority", json!({ "field": "priority", "at_least": "high" })),
        ("event", json!({ "field": "event", "eq": "vulnerability_discovered" })),
        ("nested", json!({ "field": "data.package.scores.epss", "gte": 0.5 })),
        (
            "tree",
            json!({ "all": [
                { "not": { "field": "data.package.dev", "eq": true } },
                { "any": [{ "field": "severity", "eq": "critical" }, { "field": "data.kev", "eq": true }] },
            ] }),
        ),
    ] {
        hook(&world, org, name, json!({ "conditions": condition })).await;
    }
    let full = json!({
        "type": "vulnerability.found", "organization_id": org, "project_id": project, "team_id": team,
        "subject": "CVE-2026-1", "source": "scanner", "priority": "critical",
        "data": { "marker": "full", "severity": "critical", "package": { "scores": { "epss": 0.5 } } },
    });
    let odd = json!({
        "type": "sla.warning", "organization_id": org,
        "data": { "marker": "odd", "kev": true, "package": { "dev": "true", "scores": [0.9] } },
    });
    let dev = json!({
        "type": "sla.warning", "organization_id": org, "subject": "cve-2026-1", "priority": "low",
        "data": { "marker": "dev", "kev": true, "package": { "dev": true, "scores": { "epss": "0.9" } } },
    });
    for body in [&full, &odd, &dev] {
        world.relay.emit(body).await;
    }
    world.run_until_idle().await;
    let routes = routes(&world);
    assert_eq!(routes["full"], names("project subject source priority event nested tree"));
    assert_eq!(routes["odd"], names("team tree"));
    assert_eq!(routes["dev"], names("team"));
}

/// B17: what is not a condition, or not a pattern, is refused with its place; nothing is created.
#[tokio::test]
async fn b17_wrong_subscriptions_are_refused_with_their_place() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let path = format!("/api/integrations/organizations/{org}/custom-integrations");
    let deep = (0..20)
        .fold(json!({ "field": "severity", "exists": true }), |inner, _| json!({ "not": inner }));
    for (more, code, says) in [
        (json!({ "event_types": ["vuln*"] }), "invalid_event_types", "event_types[0]"),
        (json!({ "event_types": [] }), "invalid_event_types", "1 to 100"),
        (json!({ "event_types": vec!["a.b"; 101] }), "invalid_event_types", "1 to 100"),
        (json!({ "conditions": {} }), "invalid_conditions", "conditions"),
        (json!({ "conditions": [] }), "invalid_conditions", "conditions"),
        (json!({ "conditions": deep }), "invalid_conditions", "deeper"),
        (
            json!({ "conditions": { "all": [{ "field": "severity", "regex": "(a+)+$" }] } }),
            "invalid_conditions",
            "conditions.all[0]",
        ),
        (
            json!({ "conditions": { "field": "data.a\") || (1 == 1", "eq": 1 } }),
            "invalid_conditions",
            "conditions.field",
        ),
    ] {
        let mut body = json!({
            "name": "X", "type": "notification", "webhook_url": world.receiver.url("/hook"),
        });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let refused = world.relay.admin(org, reqwest::Method::POST, &path, Some(&body)).await;
        let refused = refused.expect(400);
        assert_eq!(refused.code(), code, "{more}");
        let error = refused.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(says), "{error} does not say {says}");
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from relay.organization_integrations")
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(rows, 0);
}

/// B18: while a connection that wants everything is paused, resumed and edited without rest, each
/// event is promised to it or skipped with the reason, once: never both, never neither.
#[tokio::test]
async fn b18_an_event_is_promised_or_skipped_however_the_connection_changes_meanwhile() {
    let world = World::builder().api(2).workers(1).start().await;
    let org = new_id();
    let connection = hook(&world, org, "hook", json!({})).await;
    let done = Arc::new(AtomicBool::new(false));
    let changing = {
        let (relay, done) = (world.relay.clone(), done.clone());
        tokio::spawn(async move {
            let mut changes = 0;
            while !done.load(Ordering::Relaxed) && changes < 300 {
                let change = match changes % 4 {
                    0 => json!({ "paused": true }),
                    1 => json!({ "name": format!("Test {changes}") }),
                    2 => json!({ "paused": false }),
                    _ => {
                        json!({ "event_types": if changes % 8 == 3 { vec!["*"] } else { vec!["a.*"] } })
                    }
                };
                relay.change(org, connection, &change).await.expect(200);
                changes += 1;
            }
            // Paused deliveries are skipped in the end, so leave it as it was found.
            relay.change(org, connection, &json!({ "paused": false })).await.expect(200);
            changes
        })
    };
    let emitting: Vec<_> = (0..8)
        .map(|caller| {
            let relay = world.relay.clone();
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for n in 0..25 {
                    let marker = format!("{caller}-{n}");
                    ids.push(relay.emit(&event(org, "a.b", json!({ "marker": marker }))).await);
                }
                ids
            })
        })
        .collect();
    let mut ids = HashSet::new();
    for task in emitting {
        ids.extend(task.await.expect("no caller panics"));
    }
    done.store(true, Ordering::Relaxed);
    let changes = changing.await.expect("no admin panics");
    assert!(changes > 8, "the connection was changed meanwhile, {changes} times");
    world.run_until_idle().await;
    let rows: Vec<(Uuid, i64, i64, i64)> = sqlx::query_as(
        "select event_id, count(distinct delivery_id),
                count(*) filter (where settlement = 'delivered'),
                count(*) filter (where settlement = 'skipped' and reason = 'connection_paused')
         from relay.attempts where connection_id = $1 group by event_id",
    )
    .bind(connection)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    let found: HashSet<Uuid> = rows.iter().map(|row| row.0).collect();
    assert_eq!(found, ids, "each event has its delivery, and no other event has one");
    for (event, deliveries, delivered, skipped) in &rows {
        assert_eq!((*deliveries, delivered + skipped), (1, 1), "{event}");
    }
    let delivered: i64 = rows.iter().map(|row| row.2).sum();
    assert_eq!(world.receiver.count("/hook"), usize::try_from(delivered).expect("few"));
}

/// B16: the arrays that Postgres overlaps and the patterns of the engine's previews agree.
#[tokio::test]
async fn b16_patterns_match_alike_in_postgres_and_in_the_engine() {
    let world = World::builder().api(0).workers(0).start().await;
    let patterns =
        ["*", "a.*", "a.b", "a.b.*", "a.b.c", "a.b.c.*", "ab.*", "a_b.c", "b.*", "a.b.c.d.e.f.g.h"];
    let kinds = ["a.b", "a.b.c", "a.c", "ab.c", "a_b.c", "b.a", "a.b.c.d.e.f.g.h", "a.b_c"];
    for kind in kinds {
        for pattern in patterns {
            let ours = EventPatterns::parse(&[pattern.to_owned()]).expect(pattern).matches(kind);
            let theirs: bool =
                sqlx::query_scalar("select array[$2::text] && relay.kind_patterns($1)")
                    .bind(kind)
                    .bind(pattern)
                    .fetch_one(world.sql())
                    .await
                    .expect("the database answers");
            assert_eq!(ours, theirs, "{pattern} of {kind}");
        }
    }
}

/// B18: the connection changes while the transaction that fanned an event out is still open. What
/// was promised is settled by how the connection is found then; what came later was not promised.
#[tokio::test]
async fn b18_a_change_during_the_callers_transaction_comes_before_or_after_it() {
    let world = World::start().await;
    let org = new_id();
    let mut hooks = Vec::new();
    for name in ["steady", "paused", "removed", "narrowed"] {
        hooks.push(hook(&world, org, name, json!({})).await);
    }
    let mut tx = world.sql().begin().await.expect("a transaction");
    let emitted: Uuid =
        sqlx::query_scalar("select relay.emit('a.b', $1, '{\"marker\": \"open\"}')")
            .bind(org)
            .fetch_one(&mut *tx)
            .await
            .expect("it is emitted");
    world.relay.change(org, hooks[1], &json!({ "paused": true })).await.expect(200);
    world.relay.delete_connection(org, hooks[2]).await.expect(200);
    world.relay.change(org, hooks[3], &json!({ "event_types": ["x.*"] })).await.expect(200);
    hook(&world, org, "late", json!({})).await;
    tx.commit().await.expect("it commits");
    world.run_until_idle().await;
    let rows: Vec<(Uuid, String, Option<String>)> = sqlx::query_as(
        "select connection_id, settlement, reason from relay.attempts where event_id = $1",
    )
    .bind(emitted)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    let found: HashMap<Uuid, (&str, Option<&str>)> = rows
        .iter()
        .map(|(id, settlement, why)| (*id, (settlement.as_str(), why.as_deref())))
        .collect();
    assert_eq!(rows.len(), 4, "one settlement each: {rows:?}");
    assert_eq!(found[&hooks[0]], ("delivered", None));
    assert_eq!(found[&hooks[1]], ("skipped", Some("connection_paused")));
    assert_eq!(found[&hooks[2]].0, "cancelled", "{rows:?}");
    assert_eq!(found[&hooks[3]], ("delivered", None), "it was wanted when it was fanned out");
    assert_eq!(routes(&world)["open"], names("steady narrowed"));
}
