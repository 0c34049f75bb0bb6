//! Shards that pass from one worker to another: in peace, by force, and unnoticed by their owner.

use std::{collections::HashSet, time::Duration};

use serde_json::json;
use sqlx::PgPool;
use tests::{Answer, LONG, Ledger, Load, World, new_id, wait_until};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{emit_all, emit_some, found, leased, owned_evenly, owner_of};

const HOUR: &str = "1 hour";

/// A word of a pretended worker: what it owns then, and its share.
async fn tend(pool: &PgPool, worker: Uuid, gives_up: &[i16], leaves: bool) -> (Vec<i16>, usize) {
    let (shards, share): (Vec<i16>, i32) = sqlx::query_as(
        "select shards, share from relay.tend_shards($1, 'pretended', $2::interval, $3, $4)",
    )
    .bind(worker)
    .bind(HOUR)
    .bind(gives_up)
    .bind(leaves)
    .fetch_one(pool)
    .await
    .expect("the database answers");
    (shards, usize::try_from(share).expect("a share is not negative"))
}

/// All of them at once, each giving up what it has too much of; what each owns at the end.
async fn tend_all(world: &World, workers: &[Uuid], rounds: usize) -> Vec<usize> {
    for _ in 0..rounds {
        let mut tending = JoinSet::new();
        for worker in workers.iter().copied() {
            let pool = world.sql().clone();
            tending.spawn(async move {
                let (shards, share) = tend(&pool, worker, &[], false).await;
                if shards.len() > share {
                    tend(&pool, worker, &shards[share..], false).await;
                }
            });
        }
        tending.join_all().await;
    }
    let mut owned = Vec::new();
    for worker in workers {
        let of_it = "select count(*) from relay.shard_owners where worker = $1";
        let count: i64 = sqlx::query_scalar(of_it)
            .bind(worker)
            .fetch_one(world.sql())
            .await
            .expect("the database answers");
        owned.push(usize::try_from(count).expect("a count is not negative"));
    }
    owned.sort_unstable();
    owned
}

/// How often shards have changed hands.
async fn changes(world: &World) -> i64 {
    sqlx::query_scalar("select sum(epoch)::bigint from relay.shard_owners")
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
}

/// Shards are split evenly by whoever is there, and stay where they are while nobody comes or goes.
#[tokio::test]
async fn shards_settle_evenly_and_then_stay() {
    let world = World::builder().api(0).workers(0).start().await;
    let workers: Vec<Uuid> = (0..10).map(|_| new_id()).collect();
    assert_eq!(tend_all(&world, &workers[..1], 1).await, [64], "the first has all at once");
    for count in [2, 3, 7, 10] {
        let owned = tend_all(&world, &workers[..count], 4).await;
        let (least, most) = (64 / count, 64_usize.div_ceil(count));
        assert!(owned.iter().all(|n| (least..=most).contains(n)), "{owned:?}");
        assert_eq!(owned.iter().sum::<usize>(), 64, "{owned:?}");
    }
    let before = changes(&world).await;
    tend_all(&world, &workers, 5).await;
    assert_eq!(changes(&world).await, before, "nothing moves without need");
    // Three say nothing any more: what they had goes to the others, and nothing else moves.
    sqlx::query("update relay.workers set until = now() where worker = any($1)")
        .bind(&workers[..3])
        .execute(world.sql())
        .await
        .expect("the database answers");
    let had: i64 =
        sqlx::query_scalar("select count(*) from relay.shard_owners where worker = any($1)")
            .bind(&workers[..3])
            .fetch_one(world.sql())
            .await
            .expect("the database answers");
    let owned = tend_all(&world, &workers[3..], 3).await;
    assert!(owned.iter().all(|n| (9..=10).contains(n)), "{owned:?}");
    assert_eq!(owned.iter().sum::<usize>(), 64);
    assert!(changes(&world).await <= before + had + 1, "{had} were free");
    // Who leaves takes nothing more, and is forgotten with its last shard.
    let (all, share) = tend(world.sql(), workers[3], &[], true).await;
    assert_eq!(share, 0);
    let (left, _) = tend(world.sql(), workers[3], &all, true).await;
    assert!(left.is_empty());
    let known = "select count(*) from relay.workers where worker = $1";
    let known: i64 = sqlx::query_scalar(known)
        .bind(workers[3])
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(known, 0);
}

/// F24: a worker that believes it owns a shard claims nothing of it, not even before it has heard.
#[tokio::test]
async fn f24_who_has_lost_a_shard_unawares_claims_nothing_of_it() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.emit(&found(org, "before")).await;
    world.receiver.wait_for("/hook", 1).await;
    world.run_until_idle().await;
    // Somebody else has them all, by the same commit that makes work for the one that had them.
    let somebody = new_id();
    let mut tx = world.sql().begin().await.expect("a transaction can begin");
    for statement in [
        "insert into relay.workers (worker, name, until) values ($1, 'somebody', now() + '1 hour')",
        "update relay.shard_owners set worker = $1, epoch = epoch + 1",
    ] {
        sqlx::query(statement).bind(somebody).execute(&mut *tx).await.expect("it is ours");
    }
    for n in 0..20 {
        sqlx::query("select relay.emit('vulnerability.found', $1, $2)")
            .bind(org)
            .bind(json!({ "marker": n.to_string() }))
            .execute(&mut *tx)
            .await
            .expect("relay.emit takes it");
    }
    tx.commit().await.expect("it commits");
    wait_until("the worker to hear of it", LONG, || async {
        (world.workers[0].metric("relay_shards_owned").await == 0.0).then_some(())
    })
    .await;
    assert_eq!((leased(&world).await, world.outbox_len().await), (0, 20));
    assert_eq!(world.receiver.count("/hook"), 1);
    sqlx::query("update relay.workers set until = now() where worker = $1")
        .bind(somebody)
        .execute(world.sql())
        .await
        .expect("the database answers");
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 21);
}

/// One at a time, in the order of recording. The API says the same of it.
async fn in_order(world: &World, connection: Uuid, policy: &str, after: Option<i16>) {
    sqlx::query(
        "update relay.organization_integrations set ordering = $2, ordering_after = $3 where id = $1",
    )
    .bind(connection)
    .bind(policy)
    .bind(after)
    .execute(world.sql())
    .await
    .expect("the database answers");
}

fn markers(world: &World, path: &str) -> Vec<String> {
    world.receiver.arrivals(path).iter().map(tests::Arrival::marker).collect()
}

fn numbered(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| n.to_string()).collect()
}

/// F24, F5: the owner sleeps past its time with one under way; the next one repeats that and goes on
/// in order; the sleeper wakes up to nothing.
#[tokio::test]
async fn f24_a_frozen_owner_s_settlements_are_void_and_the_order_stands() {
    let mut world = World::builder().env("RELAY_LEASE", "2s").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().held(), Answer::ok()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    in_order(&world, hook.id, "block", None).await;
    let ledger = Ledger::default();
    emit_all(&world, &ledger, org, 12).await;
    world.receiver.wait_for("/hook", 1).await;
    assert_eq!(leased(&world).await, 1, "one at a time");
    world.workers[0].sigstop();
    world.add_worker(&[]);
    world.run_until_idle().await;
    let settled = "select count(*), coalesce(max(lease), 0) from relay.attempts";
    let look = || sqlx::query_as::<_, (i64, i64)>(settled).fetch_one(world.sql());
    let before = look().await.expect("the database answers");
    world.receiver.release();
    world.workers[0].sigcont();
    wait_until("the late settlement to be refused", LONG, || async {
        let lost = world.workers[0].metric("relay_leases_lost_total").await;
        (lost >= 1.0).then_some(())
    })
    .await;
    assert_eq!(look().await.expect("the database answers"), before);
    let mut expected = vec!["0".to_owned()];
    expected.extend(numbered(0..12));
    assert_eq!(markers(&world, "/hook"), expected);
    // The two share from here on, and the order holds whoever has it.
    emit_some(&world, &ledger, org, 12..30).await;
    world.run_until_idle().await;
    expected.extend(numbered(12..30));
    assert_eq!(markers(&world, "/hook"), expected);
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F24", "the owner of an ordered connection sleeps past its time, and wakes up")
        .kept(1);
}

/// F24: whoever dies or leaves, an ordered connection sees each event after the one before; only
/// the one that was under way may come twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_the_order_holds_through_kills_and_stops() {
    const ROUNDS: usize = 4;
    let world = World::builder().workers(2).env("RELAY_LEASE", "1s").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().after(Duration::from_millis(20))]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    in_order(&world, hook.id, "block", None).await;
    let ledger = Ledger::default();
    let mut sent = 0;
    for round in 0..ROUNDS {
        emit_some(&world, &ledger, org, sent..sent + 40).await;
        sent += 40;
        let arrived = world.receiver.count("/hook");
        world.receiver.wait_for("/hook", arrived + 10).await;
        let owner = owner_of(&world, hook.id).await;
        if round % 2 == 0 {
            owner.kill9();
        } else {
            owner.sigterm();
            owner.wait_exit(LONG).await;
        }
        owner.restart();
    }
    world.wait_ready().await;
    world.run_until_idle().await;
    let mut next = 0;
    for marker in markers(&world, "/hook") {
        let n: usize = marker.parse().expect("they are numbered");
        assert!(n == next || n + 1 == next, "{n} came where {next} was to come");
        next = next.max(n + 1);
    }
    assert_eq!(next, sent);
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F24", "owners of an ordered connection are killed and stopped in turns")
        .kept(ROUNDS);
}

/// F24: what one that fails does to those behind it.
#[tokio::test]
async fn f24_an_ordered_connection_waits_passes_or_parks() {
    let world = World::start().await;
    let org = new_id();
    for (path, policy, after, failures) in
        [("/block", "block", None, 2), ("/skip", "skip", None, 1), ("/park", "park", Some(2), 2)]
    {
        let mut script = vec![Answer::status(500); failures];
        script.push(Answer::ok());
        world.receiver.answer(path, script);
        let hook = world.relay.create_custom(org, &world.receiver.url(path)).await;
        in_order(&world, hook.id, policy, after).await;
    }
    emit_all(&world, &Ledger::default(), org, 5).await;
    world.run_until_idle().await;
    assert_eq!(markers(&world, "/block"), numbered([0, 0, 0, 1, 2, 3, 4]));
    let skipped = markers(&world, "/skip");
    assert_eq!(skipped.first().map(String::as_str), Some("0"));
    let others: Vec<String> = skipped[1..].iter().filter(|&m| m != "0").cloned().collect();
    assert_eq!(others, numbered(1..5), "the others go on in order: {skipped:?}");
    assert_eq!(skipped.len(), 6, "the first came again: {skipped:?}");
    assert_eq!(markers(&world, "/park"), numbered([0, 0, 1, 2, 3, 4]));
    let parked = world.relay.deliveries_where(org, "status=parked").await;
    assert_eq!(parked.len(), 1, "{parked:?}");
}

/// A worker that is asked to end hands over what it does not work on, before it is done with the rest.
#[tokio::test]
async fn f4_a_stopping_worker_hands_its_idle_shards_over_at_once() {
    // Leases and shards of the old worker would outlast the test by far.
    let world = World::builder().workers(2).env("RELAY_LEASE", "10m").start().await;
    owned_evenly(&world, 2).await;
    let stopping = &world.workers[0];
    let org = new_id();
    world.receiver.answer("/slow", [Answer::ok().held()]);
    // Two connections of the one that will be stopped, in different shards.
    let (mut paths, mut shards) = (Vec::new(), HashSet::new());
    for n in 0.. {
        let path = if paths.is_empty() { "/slow".to_owned() } else { format!("/quick-{n}") };
        let hook = world.relay.create_custom(org, &world.receiver.url(&path)).await;
        let is_its = owner_of(&world, hook.id).await.id() == stopping.id();
        if is_its && shards.insert(hook.id.as_bytes()[15] & 63) {
            paths.push(path);
        } else {
            world.relay.delete_connection(org, hook.id).await;
        }
        if paths.len() == 2 {
            break;
        }
    }
    let ledger = Ledger::default();
    emit_all(&world, &ledger, org, 1).await;
    world.receiver.wait_for(&paths[0], 1).await;
    world.receiver.wait_for(&paths[1], 1).await;
    stopping.sigterm();
    emit_some(&world, &ledger, org, 1..5).await;
    world.receiver.wait_for(&paths[1], 5).await;
    assert_eq!(stopping.exit_status(), None, "it still waits for its request");
    world.receiver.release();
    assert!(stopping.wait_exit(LONG).await.success());
    world.run_until_idle().await;
    owned_evenly(&world, 1).await;
    ledger
        .tally(&world.receiver, &[&paths[0], &paths[1]])
        .outcome("F4", "a worker that is asked to end hands over what it has not begun")
        .kept(0);
}

/// Ten workers come and go under load, by their own will and without: nothing is lost, and at the end
/// the shards are split evenly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_workers_come_and_go_under_load_and_lose_nothing() {
    const CONCURRENCY: usize = 4;
    const PATHS: [&str; 6] = ["/a", "/b", "/c", "/d", "/e", "/f"];
    let mut world = World::builder()
        .env("RELAY_LEASE", "2s")
        .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
        .env("RELAY_DATABASE_CONNECTIONS", "6")
        .start()
        .await;
    let org = new_id();
    for path in PATHS {
        world.relay.create_custom(org, &world.receiver.url(path)).await;
    }
    let ledger = Ledger::default();
    let load = Load::start(&world.relay, &ledger, org, 1);
    while world.workers.len() < 10 {
        world.add_worker(&[]);
    }
    world.wait_ready().await;
    owned_evenly(&world, 10).await;
    let mut killed = 0;
    for round in 0..5 {
        let (dies, leaves) = (&world.workers[round * 2], &world.workers[round * 2 + 1]);
        dies.kill9();
        killed += 1;
        leaves.sigterm();
        assert!(leaves.wait_exit(LONG).await.success());
        let arrived = world.receiver.count("/a");
        world.receiver.wait_for("/a", arrived + 10).await;
        dies.restart();
        leaves.restart();
    }
    world.wait_ready().await;
    owned_evenly(&world, 10).await;
    load.end().await;
    world.run_until_idle().await;
    let tally = ledger.tally(&world.receiver, &PATHS);
    tally
        .outcome("F1", "ten workers come and go under load; five of them are killed")
        .kept(killed * CONCURRENCY);
    assert_eq!(tally.arrived, ledger.promised() * PATHS.len());
}
