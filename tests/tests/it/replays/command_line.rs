//! `relay replay` and `relay replays`: the same, from a terminal.

use serde_json::{Value, json};
use tests::World;

use super::{id_of, number, with_missed};
use crate::command::{self, Finished};

async fn relay(world: &World, arguments: &[&str]) -> Finished {
    let database = world.database_url();
    command::relay(arguments, &[("DATABASE_URL", &database)]).await
}

#[tokio::test]
async fn b40b_a_replay_is_asked_for_watched_and_called_off_by_commands_alone() {
    let world = World::start().await;
    let (org, hook) = with_missed(&world, "/hook", (0..40).map(|n| n.to_string())).await;
    let (organization, connection) = (org.to_string(), hook.id.to_string());
    let base = ["replay", "--organization", &organization, "--connection", &connection];
    let dry = [&base[..], &["--missed-since", "1h", "--dry-run", "--json"]].concat();
    let told = relay(&world, &dry).await.good().json();
    assert_eq!((&told["total"], &told["is_exact"]), (&json!(40), &json!(true)), "{told}");
    let shown = relay(&world, &[&base[..], &["--since", "1h", "--dry-run"]].concat()).await.good();
    assert!(shown.stdout.contains("40 deliveries would be looked at"), "{shown:?}");
    assert!(shown.stdout.contains("connection_paused"), "{shown:?}");

    // Slowly, without waiting, and then not at all.
    let slow = ["--status", "skipped", "--rate", "1", "--detach", "--reason", "a try", "--json"];
    let begun = relay(&world, &[&base[..], &slow].concat()).await.good().json();
    let id = id_of(&begun).to_string();
    let on = |what: &'static str| {
        let arguments = ["replays", what, &id, "--organization", &organization, "--json"]
            .map(ToOwned::to_owned);
        let world = &world;
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            relay(world, &arguments).await
        }
    };
    for (what, status) in [("pause", "paused"), ("cancel", "cancelled"), ("show", "cancelled")] {
        assert_eq!(on(what).await.good().json()["status"], status);
    }
    let refused = on("resume").await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    world.run_until_idle().await;
    let first = world.receiver.count("/hook");
    assert!(first < 40);

    // And to the end, under the eyes of whoever asked.
    let fast = ["--status", "skipped", "--rate", "1000", "--json"];
    let done = relay(&world, &[&base[..], &fast].concat()).await.good().json();
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(number(&done, "replayed"), 40 - first as i64);
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 40);
    let list = ["replays", "list", "--organization", &organization];
    let listed = relay(&world, &[&list[..], &["--json"]].concat()).await.good().json_lines();
    let stands: Vec<&Value> = listed.iter().map(|replay| &replay["status"]).collect();
    assert_eq!(stands, ["completed", "cancelled"]);
    let lines =
        relay(&world, &[&list[..], &["--status", "cancelled"]].concat()).await.good().stdout;
    assert!(lines.contains(&id) && lines.contains("a try"), "{lines}");
}

#[tokio::test]
async fn b40b_what_makes_no_sense_is_told_on_standard_error() {
    let world = World::builder().api(0).workers(0).start().await;
    let organization = uuid::Uuid::now_v7().to_string();
    let of = ["--organization", &organization];
    for (arguments, says) in [
        (vec!["replay"], "--organization"),
        ([&["replay"][..], &of].concat(), "Say which deliveries"),
        ([&["replay"][..], &of, &["--since", "yesterday"]].concat(), "--since"),
        ([&["replay"][..], &of, &["--status", "lost"]].concat(), "status must be one of"),
        ([&["replay"][..], &of, &["--status", "dead", "--rate", "0"]].concat(), "rate_per_second"),
        (
            [&["replay"][..], &of, &["--since", "1h", "--configuration", "x"]].concat(),
            "--configuration",
        ),
        (vec!["replays", "list"], "--organization"),
        ([&["replays", "show", &organization][..], &of].concat(), "has no replay"),
    ] {
        let finished = relay(&world, &arguments).await;
        assert!(finished.code.is_some_and(|code| code != 0), "{arguments:?}: {finished:?}");
        assert!(finished.stdout.is_empty(), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(says), "{arguments:?}: {finished:?}");
    }
}
