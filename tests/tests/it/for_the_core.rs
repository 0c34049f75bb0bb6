//! What docs/for-the-core.md shows, done: its TypeScript against Relay, its SQL against the core's tables.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tests::{World, new_id};
use uuid::Uuid;

use super::{command, secrets::everything, signing::verifiers};

const ADOPT: &str = include_str!("../../../examples/core/adopt-connections.sql");
const BRIDGE: &str = include_str!("../../../examples/core/bridge-events.sql");
const LEFT: &str = include_str!("../../../examples/core/what-is-left.sql");
const LET_GO: &str = include_str!("../../../examples/core/let-go.sql");

/// The organization of `core_tables.sql`.
const ORG: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001);

fn connection(number: u128) -> Uuid {
    Uuid::from_u128(ORG.as_u128() - 1 + number)
}

async fn run(world: &World, script: &str) {
    world.sql().execute(AssertSqlSafe(script.to_owned())).await.expect("the script runs");
}

async fn adopt(world: &World, providers: &str, paused: bool) {
    let settings = format!("set adopt.providers = '{providers}'; set adopt.paused = '{paused}';");
    run(world, &format!("begin; {settings} {ADOPT}; commit;")).await;
}

async fn rows(world: &World, query: &str) -> Vec<Value> {
    let query = format!("select to_jsonb(q) from ({query}) q");
    let rows = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(world.sql());
    rows.await.expect("the database answers")
}

async fn succeeds(world: &World, arguments: &[&str]) -> String {
    let (status, log) = world.run("command", arguments).await;
    assert!(status.success(), "relay {arguments:?}: {log}");
    log
}

/// The plan of moving over, step by step: ids stay, secrets are sealed and still sign, histories are
/// whole, what the core inserts arrives, and the core's readers find what they read.
#[tokio::test]
async fn the_core_moves_over_and_nothing_is_lost_on_the_way() {
    let mut world = World::builder().bare().await;
    let hook = world.receiver.url("/hook");
    let secret = format!("whsec_{}", "5e".repeat(32));
    world.relay.keep_secret(&hook, &secret);
    let tables = include_str!("core_tables.sql");
    run(&world, &tables.replace("HOOK", &hook).replace("CLEAR-SECRET", &secret)).await;

    // Beside the core's own table nothing of its name is made.
    succeeds(&world, &["migrate"]).await;
    let kind =
        "select relkind from pg_class where oid = 'public.organization_integrations'::regclass";
    assert_eq!(rows(&world, kind).await, [json!({ "relkind": "r" })]);

    // Provider by provider, and again without doing anything.
    adopt(&world, "custom_notification,custom_ticketing", false).await;
    for _ in 0..2 {
        adopt(&world, "slack,jira,linear,asana", true).await;
    }
    let adopted = "select id, provider, display_name, status, status_reason, paused, team_id is not null as of_team,
                          project_id is not null as of_project
                   from relay.organization_integrations order by id";
    let row = |number, provider: &str, name: &str, status: &str, paused, of_team, of_project| {
        let reason = (status == "error").then_some("adopted_as_it_stood");
        json!({
            "id": connection(number), "provider": provider, "display_name": name, "status": status,
            "status_reason": reason, "paused": paused, "of_team": of_team, "of_project": of_project,
        })
    };
    let expected = [
        row(0x101, "custom_notification", "Our hook", "connected", false, false, false),
        row(0x102, "slack", "Acme", "connected", true, false, false),
        row(0x104, "jira", "Site", "error", true, false, false),
        row(0x202, "slack", "Newer", "connected", true, true, false),
        row(0x301, "jira", "Site", "connected", true, false, true),
    ];
    assert_eq!(rows(&world, adopted).await, expected);

    // The histories are whole at once, and stay so when the secrets are sealed.
    succeeds(&world, &["projection", "check"]).await;
    succeeds(&world, &["secrets", "reseal"]).await;
    succeeds(&world, &["projection", "check"]).await;
    for (table, text) in everything(&world).await {
        let is_clear = text.contains("clear") || text.contains(&secret);
        assert!(!is_clear, "a secret stands in {table}: {text}");
    }

    // What is left, and why.
    let left = rows(&world, LEFT.trim_end().trim_end_matches(';')).await;
    let why: Vec<(&str, &str)> = left
        .iter()
        .map(|row| (row["provider"].as_str().expect("text"), row["why"].as_str().expect("text")))
        .collect();
    let expected = [
        ("asana", "never whole: connect it again"),
        ("gitlab", "not adopted yet"),
        ("linear", "removed before: nothing to do"),
        ("pagerduty", "Relay has no such provider"),
    ];
    assert_eq!(why, expected);

    what_the_core_inserts_arrives(&mut world, &hook, &secret).await;

    adopt(&world, "gitlab,github,bitbucket", true).await;
    run(&world, &format!("begin; {LET_GO} commit;")).await;
    let seen = "select id from public.organization_integrations where provider = 'gitlab'";
    assert_eq!(rows(&world, seen).await, [json!({ "id": connection(0x103) })]);
    let kept = "select integration_id from public.project_repositories";
    assert_eq!(rows(&world, kept).await, [json!({ "integration_id": connection(0x103) })]);
    let tokens = "select 1 from public.organization_integrations_before_relay where access_token is not null";
    assert!(rows(&world, tokens).await.is_empty());
    succeeds(&world, &["secrets", "reseal"]).await;
    succeeds(&world, &["projection", "check"]).await;
}

async fn what_the_core_inserts_arrives(world: &mut World, hook: &str, secret: &str) {
    run(world, BRIDGE).await;
    let insert = |kind: &str, payload: &str, key: &str| {
        format!(
            "insert into public.notification_events
                 (event_type, organization_id, payload, source, priority, deduplication_key)
             values ('{kind}', '{ORG}', '{payload}', 'extraction_worker', 'high', {key});"
        )
    };
    let first = insert("malicious_package_detected", r#"{"marker": "first"}"#, "'org|run'");
    run(world, &format!("begin; {first} rollback;")).await;
    assert!(
        rows(world, "select 1 from relay.event_log where category = 'product'").await.is_empty()
    );
    let second = insert("extraction_completed", r#"["an array"]"#, "null");
    run(world, &format!("begin; {first} {second} commit;")).await;
    let events = "select kind, payload, priority, source from relay.event_log
                  where category = 'product' order by id";
    let expected = [
        json!({ "kind": "malicious.package_detected", "payload": { "marker": "first" }, "priority": "high", "source": "extraction_worker" }),
        json!({ "kind": "core.extraction_completed", "payload": { "value": ["an array"] }, "priority": "high", "source": "extraction_worker" }),
    ];
    assert_eq!(rows(world, events).await, expected);
    let status = rows(world, "select distinct status from public.notification_events").await;
    assert_eq!(status, [json!({ "status": "dispatched" })], "the former dispatcher passes over it");

    world.add_worker(&[]);
    world.wait_ready().await;
    let path = hook.strip_prefix(&world.receiver.url("")).expect("one of ours").to_owned();
    for arrival in world.receiver.wait_for(&path, 2).await {
        assert_eq!(arrival.verify(secret), Ok(()), "by the secret that the customer has");
    }
    world.run_until_idle().await;
    let skipped =
        "select distinct reason from relay.attempts where settlement = 'skipped' order by reason";
    let expected =
        [json!({ "reason": "connection_error" }), json!({ "reason": "connection_paused" })];
    assert_eq!(rows(world, skipped).await, expected, "to be replayed once they are resumed");
}

/// Where the compiled example lies; removed with the value.
struct Compiled(PathBuf);

impl Drop for Compiled {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the TypeScript compiler over a file, strictly.
async fn compile(file: &Path, out: &Path) -> command::Finished {
    let tsc = verifiers().join("npm/node_modules/typescript/bin/tsc");
    let [tsc, file, out] = [&tsc, file, out].map(|path| path.to_str().expect("a plain path"));
    let arguments = [
        tsc,
        "--strict",
        "--noUncheckedIndexedAccess",
        "--target",
        "es2022",
        "--module",
        "es2022",
        "--moduleResolution",
        "bundler",
        "--lib",
        "es2022,dom",
        "--outDir",
        out,
        file,
    ];
    command::run(Path::new("node"), &arguments, &[], None).await
}

/// The core's module in TypeScript compiles strictly, refuses to post without a key, and does what it
/// says: in a transaction, over HTTP, and where an answer is lost.
#[tokio::test]
async fn the_typescript_of_the_core_compiles_and_reports() {
    let world = World::builder().through_proxy().start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let out = Compiled(std::env::temp_dir().join(format!("relay-core-{}", new_id())));
    std::fs::create_dir_all(&out.0).expect("the temporary directory can be written");
    let write = |name: &str, text: &str| {
        let path = out.0.join(name);
        std::fs::write(&path, text).expect("it can be written");
        path
    };
    let source = write("relay.ts", include_str!("../../../examples/core/relay.ts"));
    write("package.json", r#"{ "type": "module" }"#);
    compile(&source, &out.0).await.good();
    let event = "{ type: 'a.b', organizationId: '', data: {} }";
    let keyless = format!(
        "import {{ post }} from './relay';\nvoid post({{ url: '', serviceKey: '' }}, {event});\n"
    );
    let keyless = compile(&write("keyless.ts", &keyless), &out.0.join("none")).await;
    assert!(keyless.code != Some(0) && keyless.stdout.contains("idempotencyKey"), "{keyless:?}");

    let (organization, connection) = (org.to_string(), hook.id.to_string());
    let module = out.0.join("relay.js");
    let (database, verifiers) = (world.proxied_url(), verifiers());
    let environment = [
        ("MODULE", module.to_str().expect("a plain path")),
        ("DATABASE_URL", &database),
        ("RELAY", world.relay.base_url()),
        ("KEY", world.relay.service_key()),
        ("ORG", &organization),
        ("CONNECTION", &connection),
        ("RELAY_VERIFIERS_DIR", verifiers.to_str().expect("a plain path")),
    ];
    let script = ["--input-type=module", "-e", include_str!("for_the_core.mjs")];
    let did = command::run(Path::new("node"), &script, &environment, None).await.good().json();
    let arrivals = world.receiver.wait_for("/hook", 2).await;
    let mut markers: Vec<String> = arrivals.iter().map(tests::Arrival::marker).collect();
    markers.sort();
    assert_eq!(markers, ["over http", "with the change"]);
    let expected = json!({
        "rolled_back": 0, "committed": 1, "again_is_the_same": true, "other_content": "23505",
        "posted": false, "posted_again": true, "posted_other_content": [409, "idempotency_conflict"],
        "misnamed": [422, "invalid_field"], "no_token": [404, "not_found"],
        "stubborn": { "id": "x", "duplicate": false }, "keys": ["k", "k", "k"],
    });
    assert_eq!(did, expected);
}
