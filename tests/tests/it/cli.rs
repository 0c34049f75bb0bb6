//! The command line: what it prints for people and for programs, and what it refuses.

use serde_json::{Value, json};
use tests::{Answer, World, event, new_id};

use super::command::{self, Finished};

async fn relay(world: &World, arguments: &[&str]) -> Finished {
    let database = world.database_url();
    command::relay(arguments, &[("DATABASE_URL", &database)]).await
}

/// From the event to its replay, by commands alone.
#[tokio::test]
async fn an_event_is_emitted_listed_looked_at_and_replayed() {
    let world = World::start().await;
    let org = new_id();
    let organization = org.to_string();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.receiver.answer("/hook", [Answer::status(410).body("gone for good"), Answer::ok()]);
    let emit = [
        "emit",
        "vulnerability_discovered",
        "--organization",
        &organization,
        "--data",
        r#"{"marker":"cli","severity":"high"}"#,
        "--subject",
        "CVE-2026-1",
        "--priority",
        "high",
        "--idempotency-key",
        "once",
        "--json",
    ];
    let first = relay(&world, &emit).await.good().json();
    let again = relay(&world, &emit).await.good().json();
    assert_eq!((&first["duplicate"], &again["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["id"], again["id"]);
    world.receiver.wait_for("/hook", 1).await;
    world.run_until_idle().await;

    let list = ["deliveries", "--organization", &organization];
    let listed = relay(&world, &[&list[..], &["--json"]].concat()).await.good().json_lines();
    assert_eq!(listed.len(), 1);
    let delivery = &listed[0];
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("dead"), &json!(1)));
    assert_eq!(delivery["event_id"], first["id"]);
    assert_eq!(delivery["event"], "vulnerability.found");
    let id = delivery["id"].as_str().expect("an id").to_owned();
    let shown = relay(&world, &list).await.good().stdout;
    assert!(shown.contains(&id) && shown.contains("vulnerability.found"), "{shown}");
    for (filter, count) in [
        (["--status", "dead"], 1),
        (["--status", "delivered"], 0),
        (["--kind", "vulnerability.found"], 1),
        (["--kind", "a.b"], 0),
        (["--connection", &hook.id.to_string()], 1),
        (["--connection", &new_id().to_string()], 0),
        (["--event", first["id"].as_str().expect("an id")], 1),
    ] {
        let arguments = [&list[..], &filter, &["--json"]].concat();
        let found = relay(&world, &arguments).await.good().json_lines();
        assert_eq!(found.len(), count, "{filter:?}");
    }

    let one = ["deliveries", &id, "--organization", &organization];
    let detail = relay(&world, &[&one[..], &["--json"]].concat()).await.good().json();
    assert_eq!(detail["attempt_list"].as_array().map(Vec::len), Some(1), "{detail}");
    let shown = relay(&world, &one).await.good().stdout;
    assert!(shown.contains("410") && shown.contains("gone for good"), "{shown}");

    // It was switched off by the 410, so a replay waits until somebody resumes it.
    let replay = ["replay", &id, "--organization", &organization, "--reason", "fixed", "--json"];
    let refused = relay(&world, &replay).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    assert!(refused.stderr.starts_with("error: "), "{refused:?}");
    world.relay.change(org, hook.id, &json!({ "paused": false })).await.expect(200);
    let replayed = relay(&world, &replay).await.good().json();
    assert_eq!(replayed, json!({ "id": id, "success": true }));
    let arrivals = world.receiver.wait_for("/hook", 2).await;
    assert_eq!(arrivals[1].delivery_id().to_string(), id);
    assert_eq!(arrivals[1].header("x-deptex-replay"), "true");
}

/// B13: what the API refuses the command refuses, with the sentence and a failing status.
#[tokio::test]
async fn b13_what_is_wrong_is_told_on_standard_error_and_nothing_is_stored() {
    let world = World::builder().api(0).workers(0).start().await;
    let organization = new_id().to_string();
    for (arguments, says) in [
        (vec!["emit", "not a kind", "--organization", &organization], "type must be a dotted name"),
        (vec!["emit", "a.b", "--organization", "x"], "--organization"),
        (vec!["emit", "a.b", "--organization", &organization, "--data", "{"], "--data is not JSON"),
        (vec!["emit", "a.b", "--organization", &organization, "--data", "[]"], "data must be"),
        (vec!["emit", "a.b", "--organization", &organization, "--priority", "urgent"], "priority"),
        (vec!["emit", "a.b"], "--organization"),
        (vec!["deliveries", "--organization", &organization, "--status", "lost"], "--status"),
        (vec!["deliveries", &organization, "--organization", &organization], "has no delivery"),
        (vec!["replay", &organization, "--organization", &organization], "error: "),
        (vec!["projection", "polish"], "polish"),
    ] {
        let finished = relay(&world, &arguments).await;
        assert!(finished.code.is_some_and(|code| code != 0), "{arguments:?}: {finished:?}");
        assert!(finished.stdout.is_empty(), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(says), "{arguments:?}: {finished:?}");
    }
    let count: i64 = sqlx::query_scalar("select count(*) from relay.event_log")
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(count, 0);
}

/// I46: names, kinds and answers come from outside; none of them steers a terminal, on any line.
#[tokio::test]
async fn i46_nothing_from_outside_steers_a_terminal_or_a_browser() {
    const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\r\n<script>alert(1)</script>";
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let organization = org.to_string();
    world.receiver.answer("/hook", [Answer::status(500).body(EVIL)]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    for name in ["\u{1b}[2J", "a\nb", "a\u{7f}"] {
        let refused = world.relay.change(org, hook.id, &json!({ "name": name })).await.expect(422);
        assert_eq!(refused.code(), "invalid_name");
    }
    // A name that came in by another way, as from the old core's table.
    sqlx::query("update relay.organization_integrations set display_name = $2 where id = $1")
        .bind(hook.id)
        .bind(EVIL)
        .execute(world.sql())
        .await
        .expect("a superuser may");
    let body = event(org, "a.b", json!({ "marker": "=1+1", "text": EVIL }));
    let body = serde_json::to_string_pretty(&body).expect("JSON").replace('\n', "\r\n\t");
    let emitted = world.relay.post_events(body).await.expect(202).json();
    let emitted = emitted["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let delivery = world.relay.settled(org, emitted, hook.id, "dead").await;
    let id = delivery["id"].as_str().expect("an id");
    let list = ["deliveries", "--organization", &organization];
    let one = ["deliveries", id, "--organization", &organization];
    for (arguments, lines) in [(&list[..], 1), (&one[..], 2)] {
        let shown = relay(&world, arguments).await.good().stdout;
        assert!(shown.contains("<script>"), "{shown:?}");
        let unsafe_ones: Vec<char> = shown
            .chars()
            .filter(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c))
            .collect();
        assert!(unsafe_ones.is_empty(), "{shown:?}");
        assert_eq!(shown.lines().count(), lines, "{shown:?}");
        let machine = relay(&world, &[arguments, &["--json"]].concat()).await.good();
        assert!(!machine.stdout.trim_end().chars().any(char::is_control), "{:?}", machine.stdout);
        machine.json();
    }
    // The API gives it as JSON and nothing else; the page of documentation runs no script of a stranger.
    let path = format!("/api/organizations/{org}/deliveries/{id}");
    let answer = world.relay.admin(org, reqwest::Method::GET, &path, None).await.expect(200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(
        answer.headers["content-security-policy"]
            .to_str()
            .expect("text")
            .contains("default-src 'none'")
    );
    let page =
        world.relay.send(world.relay.request(reqwest::Method::GET, "/docs")).await.expect(200);
    let policy = page.headers["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-eval"), "{policy}");
    let html = String::from_utf8_lossy(&page.body).into_owned();
    assert!(
        !html.contains("https://cdn") && !html.contains(" src=\"http"),
        "it needs no other host"
    );
}

/// All that is wrong with the settings is told at once, by name and never by value.
#[tokio::test]
async fn wrong_settings_are_reported_all_at_once_by_name_and_never_by_value() {
    let wrong = [
        ("DATABASE_URL", "hunter2://db"),
        ("RELAY_LISTEN", "hunter2-listen"),
        ("RELAY_METRICS_LISTEN", "hunter2:x"),
        ("RELAY_ENCRYPTION_KEY", "hunter2"),
        ("RELAY_ENCRYPTION_KEY_PREVIOUS", "hunter2,hunter2"),
        ("RELAY_ALLOW_PRIVATE_NETWORKS", "hunter2/8"),
        ("RELAY_ALLOW_HTTP", "hunter2"),
        ("RELAY_RETRY_SCHEDULE", "5s,hunter2"),
        ("RELAY_LEASE", "hunter2"),
        ("RELAY_WORKER_CONCURRENCY", "hunter2"),
        ("RELAY_MEMBERSHIP", "hunter2"),
        ("FRONTEND_URL", "hunter2"),
        ("BACKEND_URL", "https://user:hunter2@example.com"),
        ("RELAY_RETENTION", "1h"),
        ("RELAY_LOG_FORMAT", "hunter2"),
    ];
    let finished = command::relay(&["api"], &wrong).await;
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{finished:?}");
    for (name, _) in wrong {
        assert!(finished.stderr.contains(&format!("\n  {name} ")), "{name}: {}", finished.stderr);
    }
    for missing in ["RELAY_SERVICE_KEY is required", "SUPABASE_JWT_SECRET or SUPABASE_JWKS_URL"] {
        assert!(finished.stderr.contains(missing), "{}", finished.stderr);
    }
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    for command in ["workers", "migrate", "emit"] {
        let rest: &[&str] = match command {
            "emit" => &["emit", "a.b", "--organization", "00000000-0000-7000-8000-000000000000"],
            _ => &[command],
        };
        let finished = command::relay(rest, &wrong).await;
        assert_eq!(finished.code, Some(1), "{command}");
        assert!(finished.stderr.contains("RELAY_LEASE") && !finished.stderr.contains("hunter2"));
    }
}

/// `relay settings` tells every setting and whether it is set, and never what to.
#[tokio::test]
async fn settings_are_listed_without_their_values() {
    let environment = [
        ("RELAY_SERVICE_KEY", "hunter2"),
        ("DATABASE_URL", "postgres://u:hunter2@h/d"),
        ("RELAY_LEASE", "hunter2"),
    ];
    let lines = command::relay(&["settings", "--json"], &environment).await.good();
    assert!(!lines.stdout.contains("hunter2"));
    let lines = lines.json_lines();
    let of = |name: &str| lines.iter().find(|line| line["name"] == name).expect(name).clone();
    assert_eq!(of("RELAY_SERVICE_KEY")["is_set"], true);
    assert_eq!(of("RELAY_ENCRYPTION_KEY")["is_set"], false);
    assert_eq!(of("RELAY_LISTEN")["default"], "127.0.0.1:3001");
    assert_eq!(of("DATABASE_URL")["secret"], true);
    let text = command::relay(&["settings"], &environment).await.good().stdout;
    assert!(text.contains("RELAY_RETRY_SCHEDULE") && !text.contains("hunter2"));
    // The page of the documentation is made from the same list.
    let page = command::relay(&["settings", "--markdown"], &[]).await.good().stdout;
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    assert_eq!(std::fs::read_to_string(kept).expect("it is there"), page);
}

/// The doctor finds nothing wrong where nothing is, and says what is where something is.
#[tokio::test]
async fn the_doctor_tells_a_good_database_from_a_bad_one() {
    let world = World::builder().api(0).workers(0).env("X", "").start().await;
    let database = world.database_url();
    let key = "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0=";
    let environment = [("DATABASE_URL", database.as_str()), ("RELAY_ENCRYPTION_KEY", key)];
    let findings = command::relay(&["doctor", "--json"], &environment).await.good().json_lines();
    assert!(findings.len() >= 5, "{findings:?}");
    assert!(findings.iter().all(|finding| finding["good"] == true), "{findings:?}");

    let bad = |findings: Vec<Value>| -> Vec<String> {
        let bad = findings.into_iter().filter(|finding| finding["good"] == false);
        bad.map(|finding| finding["what"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let keyless = relay(&world, &["doctor", "--json"]).await;
    assert_eq!(
        (keyless.code, bad(keyless.json_lines())),
        (Some(1), vec!["encryption key".to_owned()])
    );
    // A file of certificates that is not there is told by the setting's name.
    let lacking = [&environment[..], &[("RELAY_CA_FILE", "/nowhere/ca.pem")]].concat();
    let finished = command::relay(&["doctor"], &lacking).await;
    assert!(finished.code == Some(1) && finished.stdout.contains("RELAY_CA_FILE"), "{finished:?}");
    let empty = World::builder().bare().await;
    let database = empty.database_url();
    let environment = [("DATABASE_URL", database.as_str()), ("RELAY_ENCRYPTION_KEY", key)];
    let finished = command::relay(&["doctor", "--json"], &environment).await;
    assert_eq!((finished.code, bad(finished.json_lines())), (Some(1), vec!["schema".to_owned()]));
    let text = command::relay(&["doctor"], &environment).await;
    assert!(text.stdout.contains("BAD  schema"), "{text:?}");
}
