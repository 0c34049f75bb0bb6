//! A receiver that hangs or an organization that floods, and what the others notice of it.

use std::time::Duration;

use tests::{Answer, LONG, Ledger, World, WorldBuilder, new_id, wait_until};

use super::emit_noted;

/// At most four requests to a connection, eight to an organization, sixteen in all.
fn small() -> WorldBuilder {
    World::builder().env("RELAY_WORKER_CONCURRENCY", "16").env("RELAY_CONNECTION_CONCURRENCY", "4")
}

/// F17: who hangs holds no more than its share, and the others' deliveries all arrive meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_one_that_hangs_keeps_nobody_waiting() {
    let world = small().start().await;
    let org = new_id();
    world.receiver.answer("/hangs", [Answer::ok().held()]);
    for path in ["/hangs", "/a", "/b", "/c"] {
        world.relay.create_custom(org, &world.receiver.url(path)).await;
    }
    let ledger = Ledger::default();
    emit_noted(&world.relay, &ledger, org, "n", 100).await;
    for path in ["/a", "/b", "/c"] {
        world.receiver.wait_for(path, 100).await;
    }
    assert_eq!(world.receiver.count("/hangs"), 4, "as many as one may have under way");
    world.receiver.release();
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hangs"), 100);
    ledger
        .tally(&world.receiver, &["/hangs", "/a", "/b", "/c"])
        .outcome("F17", "one receiver hangs; three others of its organization get theirs meanwhile")
        .kept(0);
}

/// F17: nor do twelve of one organization: together they have half of all places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_many_that_hang_keep_no_other_organization_waiting() {
    let world = small().start().await;
    let (stuck, other) = (new_id(), new_id());
    let paths: Vec<String> = (0..12).map(|n| format!("/hangs/{n}")).collect();
    for path in &paths {
        world.receiver.answer(path, [Answer::ok().held()]);
        world.relay.create_custom(stuck, &world.receiver.url(path)).await;
    }
    world.relay.create_custom(other, &world.receiver.url("/well")).await;
    let hanging = || paths.iter().map(|path| world.receiver.count(path)).sum::<usize>();
    let (of_stuck, of_other) = (Ledger::default(), Ledger::default());
    emit_noted(&world.relay, &of_stuck, stuck, "stuck", 20).await;
    wait_until("half of the places to hang", LONG, || async { (hanging() >= 8).then_some(()) })
        .await;
    for n in 0..20 {
        emit_noted(&world.relay, &of_other, other, &format!("well-{n}"), 1).await;
        world.receiver.wait_for("/well", n + 1).await;
    }
    assert_eq!(hanging(), 8, "no more than half of the places, whatever they wait for");
    world.receiver.release();
    world.run_until_idle().await;
    assert_eq!(hanging(), 12 * 20);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    of_stuck
        .tally_at(&world.receiver, &paths)
        .and(of_other.tally_at(&world.receiver, &["/well"]))
        .outcome("F17", "twelve receivers of one organization hang; another's events go on")
        .kept(0);
}

/// F18: one organization floods through many connections; another's events overtake the flood.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f18_a_flood_of_one_organization_delays_no_other() {
    const CONNECTIONS: usize = 20;
    const EVENTS: usize = 200;
    /// Deliveries of the flood that may go before one of the others: what is claimed already, and
    /// what one search for all that is ready brings.
    const BEFORE_MAX: usize = 400;
    let world = small().start().await;
    let (loud, quiet) = (new_id(), new_id());
    for n in 0..CONNECTIONS {
        let url = world.receiver.url(&format!("/loud?{n}"));
        world
            .receiver
            .answer(&format!("/loud?{n}"), [Answer::ok().after(Duration::from_millis(20))]);
        world.relay.create_custom(loud, &url).await;
    }
    world.relay.create_custom(quiet, &world.receiver.url("/quiet")).await;
    let flooded =
        || world.receiver.all().iter().filter(|arrival| arrival.path.starts_with("/loud")).count();
    let of_quiet = Ledger::default();
    emit_noted(&world.relay, &Ledger::default(), loud, "loud", EVENTS).await;
    wait_until("the flood", LONG, || async { (flooded() > 50).then_some(()) }).await;
    let mut before = Vec::new();
    for n in 0..15 {
        let from = flooded();
        emit_noted(&world.relay, &of_quiet, quiet, &format!("quiet-{n}"), 1).await;
        world.receiver.wait_for("/quiet", n + 1).await;
        before.push(flooded() - from);
    }
    assert!(before.iter().all(|count| *count <= BEFORE_MAX), "so many went before: {before:?}");
    assert!(flooded() < CONNECTIONS * EVENTS, "the flood was over");
    let half = wait_until("half of the flood", 4 * LONG, || async {
        (flooded() >= CONNECTIONS * EVENTS / 2).then(|| world.receiver.all())
    })
    .await;
    // And within the flood all connections take turns.
    let of = |n| half.iter().filter(|arrival| arrival.path == format!("/loud?{n}")).count();
    let counts: Vec<usize> = (0..CONNECTIONS).map(of).collect();
    assert!(counts.iter().all(|count| *count >= EVENTS / 4), "{counts:?}");
    of_quiet
        .tally_at(&world.receiver, &["/quiet"])
        .outcome("F18", "one organization floods; another's events overtake the flood")
        .measured("most of the flood before one of the others", before.iter().max().unwrap_or(&0))
        .measured("deliveries of the flood", CONNECTIONS * EVENTS)
        .kept(0);
}
