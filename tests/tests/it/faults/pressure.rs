//! Receivers that fail, ask for peace or come back, and what that means for them.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::{Answer, Arrival, LONG, Ledger, Relay, World, new_id, wait_until};
use uuid::Uuid;

use super::emit_noted;

/// How exact the receiver's clock is at best on a busy machine.
const BLUR: Duration = Duration::from_millis(100);
/// Deliveries wait for their retries in vain.
const NO_RETRY: &str = "1h";

/// Emits events of which nobody keeps account.
async fn emit_each(relay: &Relay, org: Uuid, name: &str, count: usize) {
    emit_noted(relay, &Ledger::default(), org, name, count).await;
}

/// How many of the arrivals before each were still unanswered when it came, itself counted.
fn in_flight(arrivals: &[Arrival], took: Duration) -> Vec<usize> {
    let at_once = |n: usize| {
        let before = arrivals[..n].iter().filter(|other| arrivals[n].at < other.at + took);
        before.count() + 1
    };
    (0..arrivals.len()).map(at_once).collect()
}

fn gap(arrivals: &[Arrival], from: usize) -> Duration {
    arrivals[from + 1].at - arrivals[from].at
}

/// How many requests arrived on a path, once no more have for a while.
async fn settled_count(world: &World, path: &str, quiet: Duration) -> usize {
    let (mut count, mut since) = (world.receiver.count(path), Instant::now());
    wait_until("requests to cease", LONG, || {
        let now = world.receiver.count(path);
        if now != count {
            (count, since) = (now, Instant::now());
        }
        let is_quiet = since.elapsed() >= quiet;
        async move { is_quiet.then_some(now) }
    })
    .await
}

/// B28: what fails again and again is left alone, one request finds out, and nobody else notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b28_a_breaker_is_one_tenants_own_and_is_probed_by_one() {
    const OPEN: Duration = Duration::from_secs(2);
    let world = World::builder()
        .env("RELAY_BREAKER_OPEN", "2s")
        .env("RELAY_RETRY_SCHEDULE", NO_RETRY)
        .start()
        .await;
    let (one, other) = (new_id(), new_id());
    world.receiver.answer("/down", [Answer::status(500)]);
    world.relay.create_custom(one, &world.receiver.url("/down")).await;
    world.relay.create_custom(other, &world.receiver.url("/well")).await;
    emit_each(&world.relay, one, "down", 60).await;
    let burst = settled_count(&world, "/down", Duration::from_millis(500)).await;
    assert!((10..=26).contains(&burst), "ten failures, and what was under way: {burst}");
    // The other tenant's go out meanwhile, and nothing more to the first.
    emit_each(&world.relay, other, "well", 20).await;
    world.receiver.wait_for("/well", 20).await;
    assert_eq!(world.receiver.count("/down"), burst);

    // The first probe fails, and is alone although it takes its time.
    let took = Duration::from_millis(400);
    world.receiver.answer("/down", [Answer::status(500).after(took), Answer::ok().after(took)]);
    world.receiver.wait_for("/down", 60).await;
    let arrivals = world.receiver.arrivals("/down");
    let waited = gap(&arrivals, burst - 1);
    assert!(waited >= OPEN.mul_f64(0.8) - BLUR, "it was left alone for {waited:?}");
    let waited = gap(&arrivals, burst);
    assert!(waited >= took + OPEN.mul_f64(1.6) - BLUR, "and then for twice as long: {waited:?}");
    assert_eq!(in_flight(&arrivals, took)[burst + 1], 1);
    let waited = gap(&arrivals, burst + 1);
    assert!(
        waited + BLUR >= took,
        "the next comes when the probe was answered, not {waited:?} after"
    );
}

/// B29: whoever waits for a hold or a breaker to end has not used up a retry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b29_waiting_for_a_receiver_is_no_attempt() {
    let world = World::builder()
        .env("RELAY_CONNECTION_CONCURRENCY", "1")
        .env("RELAY_BREAKER_OPEN", "1s")
        .env("RELAY_RETRY_SCHEDULE", "100ms,100ms,100ms")
        .start()
        .await;
    let org = new_id();
    let busy = Answer::status(429).header("retry-after", "2");
    world.receiver.answer("/held", [busy, Answer::ok()]);
    world.receiver.answer("/down", (0..10).map(|_| Answer::status(500)).chain([Answer::ok()]));
    let held = json!({ "event_types": ["vulnerability.found"] });
    world.relay.create_custom_with(org, &world.receiver.url("/held"), &held).await;
    emit_each(&world.relay, org, "held", 12).await;
    let arrivals = world.receiver.wait_for("/held", 13).await;
    assert!(gap(&arrivals, 0) >= Duration::from_secs(2), "held for {:?}", gap(&arrivals, 0));
    let again: Vec<u32> = arrivals.iter().map(Arrival::attempt).filter(|n| *n > 1).collect();
    assert_eq!(again, [2], "only what was sent is sent again");

    let other = new_id();
    world.relay.create_custom(other, &world.receiver.url("/down")).await;
    emit_each(&world.relay, other, "down", 12).await;
    world.run_until_idle().await;
    let arrivals = world.receiver.arrivals("/down");
    // Ten failed; each delivery arrived once more than it failed.
    assert_eq!(arrivals.len(), 10 + 12);
    let attempts = |id| arrivals.iter().filter(move |arrival| arrival.delivery_id() == id);
    for arrival in &arrivals {
        let id = arrival.delivery_id();
        let most = attempts(id).map(Arrival::attempt).max().unwrap_or(0);
        assert_eq!(
            usize::try_from(most).ok(),
            Some(attempts(id).count()),
            "{id} was charged for a wait"
        );
    }
    assert!(gap(&arrivals, 9) >= Duration::from_millis(700), "the breaker was open");
}

/// B30: whatever number of processes there are, a limit is kept; and a lower one at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b30_a_limit_is_kept_by_all_processes_together() {
    /// Within this a worker knows of a change.
    const KNOWN_WITHIN: Duration = Duration::from_secs(2);
    let world = World::builder().workers(2).env("RELAY_LEASE", "3s").start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let wide = json!({ "rate_limit": { "count": 10, "seconds": 1 } });
    world.relay.change(org, hook.id, &wide).await.expect(200);
    emit_each(&world.relay, org, "a", 60).await;
    world.receiver.wait_for("/hook", 20).await;
    world.workers[0].kill9();
    world.receiver.wait_for("/hook", 35).await;
    let narrow = json!({ "rate_limit": { "count": 2, "seconds": 1 } });
    world.relay.change(org, hook.id, &narrow).await.expect(200);
    let known_at = Instant::now() + KNOWN_WITHIN;
    wait_until("all to arrive", LONG, || async {
        (world.receiver.count("/hook") >= 60).then_some(())
    })
    .await;
    let arrivals = world.receiver.arrivals("/hook");
    let within = |some: &[Arrival], most: usize| {
        some.windows(most + 1)
            .all(|some| some[most].at - some[0].at + BLUR >= Duration::from_secs(1))
    };
    assert!(within(&arrivals, 10), "more than ten in a second");
    let after: Vec<Arrival> = arrivals.into_iter().filter(|a| a.at > known_at).collect();
    assert!(after.len() > 5, "{} came after the change", after.len());
    assert!(within(&after, 2), "more than two in a second");
}

/// What an admin changes is heard although nothing may be sent just then: a limit is lifted, and who
/// asked for an hour's peace at one address is not held to it at another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b30_who_waits_hears_that_its_settings_changed() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", NO_RETRY).start().await;
    let org = new_id();
    let slow = world.relay.create_custom(org, &world.receiver.url("/slow")).await;
    let limit = json!({ "rate_limit": { "count": 1, "seconds": 3600 } });
    world.relay.change(org, slow.id, &limit).await.expect(200);
    let peace = Answer::status(429).header("retry-after", "3600");
    world.receiver.answer("/busy", [peace]);
    let busy = world.relay.create_custom(org, &world.receiver.url("/busy")).await;
    emit_each(&world.relay, org, "a", 1).await;
    world.receiver.wait_for("/busy", 1).await;
    // A worker that has just begun does not know what another one sent within the hour: it waits.
    assert_eq!(world.receiver.count("/slow"), 0);
    wait_until("the hold to be written down", LONG, || async {
        let held: i64 = sqlx::query_scalar(
            "select count(*) from relay.connection_health where held_until > now()",
        )
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
        (held == 1).then_some(())
    })
    .await;
    emit_each(&world.relay, org, "b", 1).await;
    let none = json!({ "rate_limit": null });
    world.relay.change(org, slow.id, &none).await.expect(200);
    let elsewhere = json!({ "webhook_url": world.receiver.url("/idle") });
    world.relay.change(org, busy.id, &elsewhere).await.expect(200);
    world.receiver.wait_for("/slow", 2).await;
    world.receiver.wait_for("/idle", 1).await;
    assert_eq!((world.receiver.count("/slow"), world.receiver.count("/busy")), (2, 1));
}

/// F19: who comes back is not overrun: few at first, what is new before what is old, no second fall.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f19_who_comes_back_is_not_overrun() {
    const TOOK: Duration = Duration::from_millis(50);
    let world = World::builder()
        .env("RELAY_BREAKER_OPEN", "600ms")
        .env("RELAY_RETRY_SCHEDULE", "500ms,500ms,500ms,500ms,500ms")
        .start()
        .await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(500)]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    emit_noted(&world.relay, &ledger, org, "old", 400).await;
    let failed = settled_count(&world, "/hook", Duration::from_millis(400)).await;
    assert!(failed <= 26, "{failed} requests to one that is down");
    // An hour passes.
    sqlx::query("update relay.outbox set due_at = due_at - interval '1 hour' where lease is null")
        .execute(world.sql())
        .await
        .expect("the database answers");
    emit_noted(&world.relay, &ledger, org, "new", 100).await;
    world.receiver.answer("/hook", [Answer::ok().after(TOOK)]);
    let back_at = Instant::now();
    world.run_until_idle().await;
    let recovered = back_at.elapsed();

    let arrivals = world.receiver.arrivals("/hook");
    let first = arrivals.iter().position(|a| a.answered == Some(200)).expect("it came back");
    let back = &arrivals[first..];
    assert!(back.iter().all(|arrival| arrival.answered == Some(200)));
    assert_eq!(back.len(), 500, "each arrived once after it was back");
    for (n, at_once) in in_flight(back, TOOK).into_iter().enumerate() {
        let trips = (back[n].at - back[0].at + BLUR).as_nanos() / TOOK.as_nanos();
        assert!(at_once as u128 <= 1 + trips, "{at_once} under way after {trips} round trips");
    }
    let news = back[..100].iter().filter(|arrival| arrival.marker().starts_with("new")).count();
    assert!((60..=95).contains(&news), "{news} of the first hundred are new");
    let openings: i64 = sqlx::query_scalar("select count(*) from relay.connection_health")
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(openings, 0, "no second opening, and nothing left to remember");
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F19", "a receiver comes back after an hour, with a backlog")
        .recovered(recovered)
        .kept(0);
}

/// F21: whoever asks for peace is heard, in any spelling and within reason, for all of its deliveries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f21_whoever_asks_for_peace_gets_it() {
    let world = World::builder()
        .env("RELAY_CONNECTION_CONCURRENCY", "1")
        .env("RELAY_BREAKER_OPEN", "3s")
        .start()
        .await;
    let org = new_id();
    let until = chrono::Utc::now() + chrono::TimeDelta::seconds(8);
    let date = until.format("%a, %d %b %Y %T GMT").to_string();
    let asked = [
        ("/seconds", 429, Some("3".to_owned()), Duration::from_secs(3)),
        ("/date", 503, Some(date), Duration::from_secs(1)),
        ("/negative", 429, Some("-5".to_owned()), Duration::from_secs(1)),
        ("/garbage", 503, Some("soon".to_owned()), Duration::from_secs(3)),
        ("/nothing", 503, None, Duration::from_secs(3)),
    ];
    let with = |status, after: &Option<String>| match after {
        Some(after) => Answer::status(status).header("retry-after", after),
        None => Answer::status(status),
    };
    for (path, status, after, _) in &asked {
        world.receiver.answer(path, [with(*status, after), Answer::ok()]);
        world.relay.create_custom(org, &world.receiver.url(path)).await;
    }
    world.receiver.answer("/absurd", [with(503, &Some("99999999999".to_owned())), Answer::ok()]);
    let absurd = world.relay.create_custom(org, &world.receiver.url("/absurd")).await;
    let ledger = Ledger::default();
    emit_noted(&world.relay, &ledger, org, "n", 3).await;
    for (path, _, _, least) in &asked {
        let arrivals = world.receiver.wait_for(path, 4).await;
        let waited = gap(&arrivals, 0);
        assert!(waited >= *least, "{path}: {waited:?}");
        assert_eq!(arrivals[0].answered.map(|status| status >= 400), Some(true), "{path}");
    }
    let back = world.receiver.arrivals("/date")[1].wall;
    assert!(back.timestamp() >= until.timestamp(), "asked for {until}, came at {back}");

    // A day is the most, and all of its deliveries wait for that: none was tried but the first.
    assert_eq!(world.receiver.count("/absurd"), 1);
    let hours: Option<f64> = sqlx::query_scalar(
        "select (extract(epoch from held_until - now()) / 3600)::float8 from relay.connection_health
         where connection_id = $1",
    )
    .bind(absurd.id)
    .fetch_one(world.sql())
    .await
    .expect("it is known to be held");
    assert!(hours.is_some_and(|hours| (23.0..=24.0).contains(&hours)), "{hours:?}");
    let tried: Vec<(i32, f64)> = sqlx::query_as(
        "select attempt, (extract(epoch from due_at - now()) / 3600)::float8 from relay.outbox
         where connection_id = $1 order by attempt desc",
    )
    .bind(absurd.id)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(tried.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 0, 0]);
    assert!((23.0..=29.0).contains(&tried[0].1), "due again in {} hours", tried[0].1);
    wait_until("all others to be settled", LONG, || async {
        (world.outbox_len().await == 3).then_some(())
    })
    .await;
    let paths: Vec<&str> = asked.iter().map(|(path, ..)| *path).collect();
    ledger
        .tally_at(&world.receiver, &paths)
        .outcome("F21", "receivers answer 429 and 503 with every kind of Retry-After")
        .kept(0);
}
