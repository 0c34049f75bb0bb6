//! The scheduler under virtual time: a modelled outbox, a pump like the real one, receivers that are
//! slow, hang, fail, ask for peace or are down, and a watch over every step.
//!
//! What is simulated is the real [`Scheduler`](super::Scheduler) and the real retry schedule. A seed
//! says everything else, so what fails once fails again:
//!
//! ```text
//! RELAY_SIMULATE_SEEDS=5000 cargo test -p engine --lib simulation   # that many seeds
//! RELAY_SIMULATE_SEED=17    cargo test -p engine --lib simulation   # one, step by step
//! ```

mod dice;
mod outbox;
mod receiver;
mod run;
mod scenario;
mod watch;

use self::{run::Simulation, scenario::Kind};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 200;

fn setting(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn simulate(kind: Kind, seed: u64, is_traced: bool) {
    let done = std::panic::catch_unwind(|| Simulation::new(kind, seed, is_traced).run());
    if let Err(panic) = done {
        eprintln!("seed {seed} ({kind:?}) failed: RELAY_SIMULATE_SEED={seed} replays it");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn whatever_the_seed_caps_orders_and_promises_are_kept() {
    if let Some(seed) = setting("RELAY_SIMULATE_SEED") {
        return simulate(Kind::of(seed), seed, true);
    }
    for seed in 0..setting("RELAY_SIMULATE_SEEDS").unwrap_or(SEEDS) {
        simulate(Kind::of(seed), seed, false);
    }
}

/// F19: an hour away with ten thousand waiting, then back.
#[test]
fn f19_a_receiver_that_was_away_for_an_hour_is_not_overrun() {
    simulate(Kind::LongOutage, 1, false);
}

/// F18: one organization with a thousand connections floods.
#[test]
fn f18_a_thousand_connections_of_one_organization_delay_nobody_else() {
    simulate(Kind::Crowd, 1, false);
}

/// F17: a hundred connections of one organization hang.
#[test]
fn f17_connections_that_hang_delay_nobody_else() {
    simulate(Kind::Hanging, 1, false);
}
