//! Random sequences of real operations on a real database, beside a model that says what each of them means:
//! after each step the two agree.
//!
//! A run tells its seed, by which it is played again: `RELAY_MACHINE_SEED=7`. `RELAY_MACHINE_CASES=500` plays
//! more sequences. Of one that fails, the shortest that still does is told.

mod connection;
mod delivery;

use std::{cell::Cell, fmt::Debug, sync::Arc, time::Duration};

use engine::{
    Engine, EngineConfig,
    connection::{
        Actor, ConnectionChange, ConnectionError, CustomCategory, NewCustom, Scope, change,
        changing::Changed, create_custom,
    },
    db::{Db, PoolSizes},
    egress::EgressPolicy,
    http::{HttpClient, system_lookup},
    ids::{ConnectionId, OrganizationId},
    retry::RetrySchedule,
    secret::{KeyRing, Secret},
};
use proptest::{
    collection::vec,
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tests::World;

/// Longer than any run: a lease runs out when a step says so.
const LEASE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many steps a sequence has at most.
const STEPS_MAX: usize = 60;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

/// Plays sequences of steps; `cases` of them, unless the environment says otherwise. Must be called on a
/// runtime of several threads.
fn play<Step: Debug>(
    name: &str,
    cases: u32,
    step: impl Strategy<Value = Step>,
    case: impl AsyncFn(Vec<Step>),
) {
    let seed = number("RELAY_MACHINE_SEED").unwrap_or_else(rand::random);
    let cases = number("RELAY_MACHINE_CASES").map_or(cases, |n| n.try_into().unwrap_or(u32::MAX));
    println!("{name}: {cases} sequences, RELAY_MACHINE_SEED={seed}");
    let bytes: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let played = Cell::new(0);
    let outcome = TestRunner::new_with_rng(config, rng).run(&vec(step, 1..=STEPS_MAX), |steps| {
        played.set(played.get() + steps.len());
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(case(steps)));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{name}, RELAY_MACHINE_SEED={seed}: {error}");
    }
    println!("{name}: {} steps", played.get());
}

/// The engine itself over a world's database, with two retries and no waits between them.
async fn engine_of(world: &World) -> Engine {
    let url = Secret::new(world.database_url());
    let db = Db::connect(&url, PoolSizes::default()).await.expect("the world has a database");
    db.migrate().await.expect("an empty database can be migrated");
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".into();
    let keys = KeyRing::new(&key, []).expect("a good key");
    let policy = EgressPolicy { allow_http: true, ..EgressPolicy::default() };
    let http = HttpClient::new(Arc::new(policy), system_lookup(), None).expect("a client");
    let retry = RetrySchedule::new(vec![Duration::ZERO; 2]);
    Engine::new(db, keys, http, EngineConfig { retry, lease: LEASE, ..EngineConfig::default() })
}

/// A webhook that nothing is ever sent to. It wants `a.*` alone: what is told of other connections is not
/// for it.
async fn new_webhook(engine: &Engine, org: OrganizationId) -> ConnectionId {
    let new = NewCustom {
        name: "machine".into(),
        category: CustomCategory::Notification,
        webhook_url: "https://receiver.example/hook".into(),
        icon_url: None,
        scope: Scope::Organization,
        event_types: Some(vec!["a.*".into()]),
        conditions: None,
    };
    create_custom(engine, org, new, &Actor::system()).await.expect("it can be made").id
}

async fn changed(
    engine: &Engine,
    org: OrganizationId,
    id: ConnectionId,
    wanted: ConnectionChange,
) -> Result<Changed, ConnectionError> {
    change(engine, org, id, None, wanted, &Actor::system()).await
}
