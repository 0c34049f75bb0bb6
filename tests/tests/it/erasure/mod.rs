//! Erasing an organization, and a person: looked for afterwards in a whole dump of the database and in
//! every log, while what others have, and all accounts, stay as they are.

mod interrupted;

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

use super::{
    canaries::forms::Canary,
    command::{self, Finished},
};

const KEY: &str = "ZXJhc3VyZS1lcmFzdXJlLWVyYXN1cmUtZXJhc3VyZS0=";
/// Of the organization that goes, in everything that it can write something into.
const CANARY: &str = "canary-erase-7f3c9d";
/// Of the person, who works for two organizations.
const ADA: &str = "ada.canary@example.com";

/// A program of the tests' own Postgres.
pub(crate) async fn program(world: &World, name: &str) -> PathBuf {
    let dir: String = sqlx::query_scalar("select setting from pg_config where name = 'BINDIR'")
        .fetch_one(world.sql())
        .await
        .expect("a superuser may ask");
    PathBuf::from(dir).join(name)
}

/// All that the database holds, as a backup has it.
async fn dump(world: &World) -> String {
    let url = world.database_url();
    let pg_dump = program(world, "pg_dump").await;
    let done = command::run(&pg_dump, &["--dbname", &url], &[], None).await.good();
    assert!(done.stdout.contains("COPY relay.event_log"), "a dump has its rows");
    done.stdout
}

/// What of the planted stands in a dump or in a log.
async fn found(world: &World, planted: &[Canary], outputs: &[&Finished]) -> Vec<String> {
    let mut texts = vec![("the dump".to_owned(), dump(world).await)];
    for process in world.apis.iter().chain(&world.workers) {
        texts.push((format!("the log of {}", process.name), process.log()));
    }
    for output in outputs {
        texts.push(("a command".to_owned(), format!("{}{}", output.stdout, output.stderr)));
    }
    let mut found = Vec::new();
    for (place, text) in &texts {
        for canary in planted {
            if let Some(how) = canary.stands_in(text) {
                found.push(format!("{} in {place}, {how}", canary.name));
            }
        }
    }
    found
}

async fn relay(world: &World, arguments: &[&str]) -> Finished {
    let database = world.database_url();
    let mut environment = vec![
        ("DATABASE_URL", database.as_str()),
        ("RELAY_ENCRYPTION_KEY", KEY),
        ("RELAY_ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8"),
        ("RUST_LOG", "trace,sqlx=info"),
    ];
    let settings = world.mocks().settings();
    environment.extend(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    command::relay(&[&["erase"], arguments].concat(), &environment).await
}

async fn world() -> World {
    World::builder()
        .providers()
        .env("RELAY_ENCRYPTION_KEY", KEY)
        .env("RELAY_RETRY_SCHEDULE", "1h")
        .start()
        .await
}

/// How many rows there are of an organization, whatever they say.
async fn accounts(world: &World, org: Uuid) -> (i64, i64, i64, i64) {
    sqlx::query_as(
        "select (select count(*) from relay.event_log
                 where organization_id = $1 and category <> 'audit'),
                (select count(*) from relay.attempts where organization_id = $1),
                (select count(distinct (delivery_id)) from relay.deliveries where organization_id = $1),
                (select count(*) from relay.attempts
                 where organization_id = $1 and settlement = 'delivered')",
    )
    .bind(org)
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}

/// Every row of an organization in every table, as text.
async fn rows_of(world: &World, org: Uuid) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c
         join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id'
         where c.relnamespace = 'relay'::regnamespace and c.relkind in ('r', 'p')
           and not c.relispartition and c.relname not in ('connection_hours', 'connection_health')
         order by 1",
    )
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    assert!(tables.len() > 8, "{tables:?}");
    let mut rows = Vec::new();
    for table in tables {
        let text = format!("select t::text from {table} t where organization_id = $1 order by 1");
        let some: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(text))
            .bind(org)
            .fetch_all(world.sql())
            .await
            .expect("a table can be read");
        rows.extend(some.into_iter().map(|row| format!("{table} {row}")));
    }
    rows
}

/// An organization that writes a text wherever it can: what it reports, connects, asks for and is answered.
async fn furnished(world: &World, org: Uuid, path: &str, text: &str) -> Uuid {
    let works = world.receiver.url(&format!("/{path}-works/{text}"));
    let fails = world.receiver.url(&format!("/{path}-fails/{text}"));
    let answer = |status| Answer::status(status).header("X-Said", text).body(text.to_owned());
    world.receiver.answer(&format!("/{path}-works/{text}"), [answer(200)]);
    world.receiver.answer(&format!("/{path}-fails/{text}"), [answer(500)]);
    let named = json!({ "name": text });
    let hook = world.relay.create_custom_with(org, &works, &named).await;
    let filter = json!({ "name": text, "conditions": { "field": "severity", "at_least": "high" } });
    let failing = world.relay.create_custom_with(org, &fails, &filter).await;
    let headers = json!({ "headers": { "X-Team": text } });
    world.relay.change(org, failing.id, &headers).await.expect(200);
    world.relay.connect_whole(world.mocks(), org, "linear").await;
    world.relay.connect_whole(world.mocks(), org, "slack").await;
    for n in 0..4 {
        let data = json!({
            "marker": format!("{text}-{n}"), "severity": "high", "package": text,
            "vulnerability_id": text, "project": text, "deep": { "er": [text] },
        });
        let mut body = event(org, "vulnerability.found", data);
        body["subject"] = json!(format!("{text}-{n}"));
        body["source"] = json!(text);
        body["idempotency_key"] = json!(format!("{text}:{n}"));
        world.relay.emit(&body).await;
    }
    wait_until("all to have been tried", LONG, || async {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from relay.outbox where organization_id = $1 and attempt = 0",
        )
        .bind(org)
        .fetch_one(world.sql())
        .await
        .ok()?;
        (waiting == 0).then_some(())
    })
    .await;
    for (method, path, body) in [
        (Method::GET, format!("deliveries/export?subject={text}&reason={text}"), None),
        (
            Method::POST,
            "replays".to_owned(),
            Some(json!({ "selection": { "subject": text }, "reason": text })),
        ),
    ] {
        let path = format!("/api/organizations/{org}/{path}");
        let done = world.relay.admin(org, method, &path, body.as_ref()).await;
        assert_eq!(done.status / 100, 2, "{path}: {}", done.status);
    }
    wait_until("the replay to be over", LONG, || async {
        let under_way: i64 =
            sqlx::query_scalar("select count(*) from relay.replay_jobs where finished_at is null")
                .fetch_one(world.sql())
                .await
                .ok()?;
        (under_way == 0).then_some(())
    })
    .await;
    let deliveries = world.relay.deliveries_where(org, "status=delivered").await;
    let id = deliveries[0]["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    world.relay.delivery(org, id).await;
    hook.id
}

/// An organization that is erased is found nowhere: in no table, no log and no output, in no form. What
/// was promised of it is cancelled, its access is taken back, its accounts are kept, and whoever else
/// there is keeps everything. A second time there is nothing left to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_organization_is_in_no_dump_and_no_log_and_its_accounts_are_kept() {
    let world = world().await;
    let (org, other) = (new_id(), new_id());
    let organization = org.to_string();
    furnished(&world, org, "goes", CANARY).await;
    let stays = furnished(&world, other, "stays", "somebody-else").await;
    let planted = [Canary::new("what it wrote", CANARY)];
    assert!(!found(&world, &planted, &[]).await.is_empty(), "it was planted");

    let (neighbour, before) = (rows_of(&world, other).await, accounts(&world, org).await);
    let waiting: i64 =
        sqlx::query_scalar("select count(*) from relay.outbox where organization_id = $1")
            .bind(org)
            .fetch_one(world.sql())
            .await
            .expect("the database answers");
    assert!(waiting >= 4, "what failed waits for an hour");
    let base = ["--organization", organization.as_str(), "--json"];
    let looked = relay(&world, &[&base[..], &["--dry-run"]].concat()).await.good();
    assert_eq!(accounts(&world, org).await, before, "a rehearsal changes nothing");
    let operator = new_id().to_string();
    let erase = [&base[..], &["--reason", "contract ended", "--by", &operator]].concat();
    let erased = relay(&world, &erase).await.good();
    let (would, did) = (looked.json()["erased"].clone(), erased.json()["erased"].clone());
    for name in ["connections", "deliveries", "events", "attempts"] {
        assert_eq!(would[name], did[name], "{name}: {would} {did}");
    }
    assert_eq!((&did["connections"], &did["deliveries"]), (&json!(4), &json!(waiting)));
    assert!(did["events"].as_i64() >= Some(4) && did["attempts"].as_i64() >= Some(12), "{did}");

    let after = accounts(&world, org).await;
    assert_eq!(after.1, before.1 + waiting, "each that waited has a last word");
    assert_eq!((after.2, after.3), (before.2, before.3));
    assert!(after.0 >= before.0, "removing connections was recorded: {before:?} {after:?}");
    assert_eq!(rows_of(&world, other).await, neighbour, "nobody else is touched");
    assert_eq!(found(&world, &planted, &[&looked, &erased]).await, Vec::<String>::new());

    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from relay.outbox where organization_id = $1)
                + (select count(*) from relay.secrets where organization_id = $1)
                + (select count(*) from relay.organization_integrations
                   where organization_id = $1 and (status <> 'disconnected' or access_token is not null))
                + (select count(*) from relay.event_log
                   where organization_id = $1 and actor like 'user:%' and kind not like 'erasure.%')",
    )
    .bind(org)
    .fetch_one(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(left, 0, "nothing is promised, opens, lives, or tells who did it");
    // The read model is what the log says, as erased as it is.
    let check = command::relay(
        &["projection", "check", "--json"],
        &[("DATABASE_URL", &world.database_url())],
    )
    .await
    .good()
    .json();
    assert_eq!((&check["different"], &check["unknown"]), (&json!([]), &json!(0)), "{check}");
    audited(&world, org, &operator).await;

    let again = relay(&world, &erase).await.good();
    assert_eq!(again.json()["erased"]["events"], json!(0), "{}", again.stdout);
    // The others' events still arrive.
    let body = event(other, "vulnerability.found", json!({ "marker": "later" }));
    let later = world.relay.emit(&body).await;
    world.relay.settled(other, later, stays, "delivered").await;
}

/// Who asked, why, and how much it was: twice, before and after, for ever.
async fn audited(world: &World, org: Uuid, operator: &str) {
    let facts: Vec<(String, String, Value)> = sqlx::query_as(
        "select kind, actor, payload from relay.event_log
         where category = 'audit' and organization_id = $1 and kind like 'erasure.%' order by id",
    )
    .bind(org)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    let kinds: Vec<&str> = facts.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds, ["erasure.requested", "erasure.completed"]);
    for (_, actor, data) in &facts {
        assert_eq!(*actor, format!("user:{operator}"));
        assert_eq!(
            (&data["reason"], &data["scope"]),
            (&json!("contract ended"), &json!("organization"))
        );
    }
    assert!(facts[1].2["counts"]["events"].as_i64() >= Some(4));
}

async fn said(world: &World, id: Uuid) -> Value {
    sqlx::query_scalar("select payload from relay.event_log where category = 'product' and id = $1")
        .bind(id)
        .fetch_one(world.sql())
        .await
        .expect("its row stays")
}

/// A person is erased wherever they are named, in every organization, and nobody whose name is longer:
/// events that name them say nothing and are sent to nobody, in the first place or once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_is_in_no_dump_and_no_log_and_others_are_untouched() {
    let world = world().await;
    let (org, second, third) = (new_id(), new_id(), new_id());
    world.receiver.answer("/slow", [Answer::status(503)]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.create_custom(second, &world.receiver.url("/slow")).await;
    let gone = world
        .relay
        .create_custom_with(org, &world.receiver.url("/gone"), &json!({ "name": ADA }))
        .await;
    world.relay.delete_connection(org, gone.id).await.expect(200);
    let labelled = json!({ "name": format!("Of {ADA}") });
    let labelled =
        world.relay.create_custom_with(third, &world.receiver.url("/third"), &labelled).await;

    let of = |org, data: Value| event(org, "administrative.member_added", data);
    let mut by_subject = of(org, json!({ "marker": "by-subject", "role": "admin" }));
    by_subject["subject"] = json!(format!("member:{ADA}"));
    let mut by_key = of(org, json!({ "marker": "by-key" }));
    by_key["idempotency_key"] = json!(format!("invite:{ADA}"));
    let names = [
        of(org, json!({ "marker": "plain", "email": ADA, "name": "Ada" })),
        of(
            org,
            json!({ "marker": "deep", "members": [{ "note": format!("line\n{ADA}, admin") }] }),
        ),
        of(org, json!({ "marker": "shout", "email": ADA.to_uppercase() })),
        of(org, json!({ "marker": "key", ADA: true })),
        by_subject,
    ];
    let keeps = [
        of(org, json!({ "marker": "longer", "email": format!("n{ADA}") })),
        of(org, json!({ "marker": "domain", "email": format!("{ADA}.au") })),
        of(org, json!({ "marker": "dotted", "email": format!("mary.{ADA}") })),
        by_key,
    ];
    let mut ids = Vec::new();
    for body in names.iter().chain(&keeps) {
        ids.push(world.relay.emit(body).await);
    }
    world.run_until_idle().await;
    let waits = world.relay.emit(&of(second, json!({ "marker": "waits", "email": ADA }))).await;
    world.receiver.wait_for("/slow", 1).await;
    let delivery = world.relay.delivery_of(org, ids[0], hook.id).await;
    let delivery: Uuid = delivery["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let (before, longer) = (accounts(&world, org).await, said(&world, ids[5]).await);

    let named =
        relay(&world, &["--subject", ADA, "--reason", "asked by Ada.Canary@example.com"]).await;
    assert_eq!(named.code, Some(1), "a reason that names them would keep the name: {named:?}");
    let base = ["--subject", ADA, "--json"];
    let looked = relay(&world, &[&base[..], &["--dry-run"]].concat()).await.good();
    let erased = relay(&world, &[&base[..], &["--reason", "request 4711"]].concat()).await.good();
    let count = |finished: &Finished, org: Uuid, name: &str| {
        let lines = finished.json_lines();
        let line =
            lines.iter().find(|line| line["organization_id"] == json!(org)).expect("named there");
        line["erased"][name].as_i64().expect("a number")
    };
    for finished in [&looked, &erased] {
        assert_eq!(finished.json_lines().len(), 3, "{finished:?}");
        assert_eq!((count(finished, org, "events"), count(finished, org, "attempts")), (5, 5));
        assert_eq!(
            (count(finished, second, "events"), count(finished, second, "deliveries")),
            (1, 1)
        );
        assert!(count(finished, third, "facts") >= 1);
    }
    for id in &ids[..5] {
        assert_eq!(said(&world, *id).await, json!({}));
    }
    assert_eq!(said(&world, ids[5]).await, longer, "somebody whose address is longer");
    assert_eq!(said(&world, ids[6]).await["marker"], "domain");
    assert_eq!(said(&world, ids[7]).await["marker"], "dotted");
    assert_eq!(accounts(&world, org).await, before, "every row is still there");
    assert_eq!(world.outbox_len().await, 0, "what waited for the receiver is not sent");
    assert_eq!(said(&world, waits).await, json!({}));
    let view = world.relay.connection(third, labelled.id).await.expect(200).json();
    assert_eq!(
        (&view["display_name"], &view["status"]),
        (&json!("Of erased"), &json!("connected"))
    );
    // Nothing is left to send once more.
    let again = world.relay.replay(org, delivery).await;
    assert_eq!(again.status / 100, 4, "{}", again.status);

    // A form in lower case is not looked for: nobody but the longer ones has it.
    let text = dump(&world).await.to_lowercase();
    let text = text.replace(&format!("n{ADA}"), "").replace(&format!("{ADA}.au"), "");
    let text = text.replace(&format!("mary.{ADA}"), "");
    assert!(!text.contains(ADA), "{:?}", text.lines().find(|line| line.contains(ADA)));
    for process in world.apis.iter().chain(&world.workers) {
        assert!(!process.log().to_lowercase().contains(ADA), "the log of {}", process.name);
    }
    for output in [&looked, &erased] {
        assert!(!format!("{}{}", output.stdout, output.stderr).to_lowercase().contains(ADA));
    }
    let none = relay(&world, &[&base[..], &["--dry-run"]].concat()).await.good();
    assert_eq!(none.stdout, "", "nobody names them any more");
}
