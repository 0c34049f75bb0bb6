//! Relay as a whole: what a test needs to run real processes against a real Postgres and receiver.
//!
//! A test starts a [`World`], says how its [`Receiver`] answers, and acts through [`World::relay`]:
//!
//! ```no_run
//! use std::time::Duration;
//! use serde_json::json;
//! use tests::{Answer, World, event, new_id};
//!
//! # async fn example() {
//! // A database of its own, migrated; one `relay api` and one `relay workers` beside it, ready.
//! let world = World::builder().api(1).workers(1).env("RELAY_LEASE", "2s").start().await;
//! let org = new_id();
//!
//! // The first request to /hook is answered 500, every later one 200.
//! world.receiver.answer("/hook", [Answer::status(500), Answer::ok()]);
//! let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
//!
//! // A service-key call; `emit` expects 202, `try_emit` and `post_events` give whatever comes.
//! let id = world.relay.emit(&event(org, "vulnerability.found", json!({"marker": "a"}))).await;
//!
//! // Never a sleep: poll with a deadline. Both signatures of every arrival are verified at the end.
//! let arrivals = world.receiver.wait_for("/hook", 2).await;
//! assert_eq!(arrivals[0].delivery_id(), arrivals[1].delivery_id());
//! world.run_until_idle().await;
//!
//! // An admin's call; any other request: `relay.send(relay.request(Method::GET, path).bearer_auth(…))`.
//! let delivery = world.relay.delivery_of(org, id, hook.id).await;
//! assert_eq!(delivery["status"], "delivered");
//!
//! // The database, for what no route shows.
//! let left: i64 =
//!     sqlx::query_scalar("select count(*) from relay.outbox").fetch_one(world.sql()).await.unwrap();
//! assert_eq!(left, 0);
//! tests::wait_until("the world to be as it should", Duration::from_secs(5), || async {
//!     Some(())
//! })
//! .await;
//! # }
//! ```
//!
//! A `World` that is dropped kills its processes, drops its database, and fails the test if a secret
//! stands in any log or an arrival does not verify. A test that fails prints the end of every log.
//! `world.workers[0]` and `world.apis[0]` can be killed, stopped and started again: see [`Process`].

pub mod harness;

pub use harness::{
    answer::Answer,
    arrival::Arrival,
    client::{Answered, Connection, Relay, event, new_id},
    closed_port::ClosedPort,
    fault_proxy::{Ending, FaultProxy, Flow, Upstream},
    ledger::{Arrived, Ledger, Tally},
    load::Load,
    name_server::{NameServer, Said},
    outcome::Outcome,
    own_postgres::OwnPostgres,
    process::{Process, free_port},
    receiver::Receiver,
    shards::owned_evenly,
    wait::{LONG, wait_until},
    world::{FRONTEND_URL, World, WorldBuilder},
};
