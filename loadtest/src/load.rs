//! How much load, and for how long: what the command line says, over what the scenario would do.

use anyhow::ensure;
use serde::Serialize;

use crate::budgets::Shape;
use crate::schedule::Schedule;

/// A load with every number decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Load {
    pub(crate) concurrency: u16,
    pub(crate) events: u32,
    pub(crate) rate: Option<f64>,
    pub(crate) batch: u16,
    pub(crate) connections: u16,
    pub(crate) organizations: u16,
    pub(crate) idempotency: bool,
    pub(crate) verify_every: u64,
    pub(crate) seconds: u16,
    pub(crate) limit: u32,
    pub(crate) history: u32,
    pub(crate) rounds: u8,
    pub(crate) timeout: u16,
    pub(crate) drain_timeout: u16,
}

impl Load {
    /// What `steady` does; the other scenarios say where they differ.
    pub(crate) const STEADY: Self = Self {
        concurrency: 32,
        events: 50_000,
        rate: None,
        batch: 1,
        connections: 1,
        organizations: 1,
        idempotency: false,
        verify_every: 1,
        seconds: 10,
        limit: 100,
        history: 0,
        rounds: 1,
        timeout: 300,
        drain_timeout: 60,
    };

    pub(crate) fn shape(&self) -> Shape {
        Shape {
            concurrency: self.concurrency.into(),
            connections: self.connections.into(),
            rate: self.rate,
            batch: self.batch.into(),
        }
    }

    pub(crate) fn schedule(&self) -> Option<Schedule> {
        self.rate.map(Schedule::steady)
    }
}

/// What may be said on the command line; what is not said is the scenario's to decide.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct LoadArguments {
    /// Callers that each wait for their answer before the next request [steady: 32].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: Option<u16>,
    /// Events in each round [steady: 50000].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    events: Option<u32>,
    /// Events a second whatever the answers (open loop); latencies then count from the intended time.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Events in each request [steady: 1].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: Option<u16>,
    /// Webhooks that each get every event; none measures only the recording of events [steady: 1].
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=20_000))]
    connections: Option<u16>,
    /// Gives each event an idempotency key of its own.
    #[arg(long)]
    idempotency: bool,
    /// The receiver checks both signatures of every n-th request of each of its connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    verify_every: u64,
    /// Rounds; medians are taken over the valid ones.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    rounds: u8,
    /// Seconds after which a round sends no more [steady: 300].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=3600))]
    timeout: Option<u16>,
    /// Seconds that deliveries may take after the last answer [steady: 60].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=3600))]
    drain_timeout: Option<u16>,
}

/// What only some scenarios look at.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ScenarioArguments {
    /// connections: the organizations that the webhooks belong to.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    organizations: Option<u16>,
    /// burst: how long it lasts; recovery: how long the receiver stays down after the backlog; replay:
    /// how long live events come alone.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: Option<u16>,
    /// paced: requests that the receiver takes in a second.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: Option<u32>,
    /// history: attempts that are kept beforehand.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000_000))]
    history: Option<u32>,
}

fn rate(text: &str) -> anyhow::Result<f64> {
    let rate: f64 = text.parse()?;
    ensure!((0.1..=1e6).contains(&rate), "a rate is between 0.1 and 1,000,000");
    Ok(rate)
}

impl LoadArguments {
    /// The load, where nothing else is said that of the scenario.
    pub(crate) fn over(&self, defaults: &Load) -> Load {
        Load {
            concurrency: self.concurrency.unwrap_or(defaults.concurrency),
            events: self.events.unwrap_or(defaults.events),
            rate: self.rate.or(defaults.rate),
            batch: self.batch.unwrap_or(defaults.batch),
            connections: self.connections.unwrap_or(defaults.connections),
            idempotency: self.idempotency,
            verify_every: self.verify_every,
            rounds: self.rounds,
            timeout: self.timeout.unwrap_or(defaults.timeout),
            drain_timeout: self.drain_timeout.unwrap_or(defaults.drain_timeout),
            ..defaults.clone()
        }
    }
}

impl ScenarioArguments {
    pub(crate) fn over(&self, defaults: &Load) -> Load {
        Load {
            organizations: self.organizations.unwrap_or(defaults.organizations),
            seconds: self.seconds.unwrap_or(defaults.seconds),
            limit: self.limit.unwrap_or(defaults.limit),
            history: self.history.unwrap_or(defaults.history),
            ..defaults.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Both {
        #[command(flatten)]
        load: LoadArguments,
        #[command(flatten)]
        scenario: ScenarioArguments,
    }

    fn load(arguments: &[&str], defaults: &Load) -> Load {
        let given: Both = clap::Parser::parse_from(["test"].iter().chain(arguments));
        given.load.over(&given.scenario.over(defaults))
    }

    #[test]
    fn without_a_word_the_scenario_decides() {
        let defaults = Load { events: 7, rate: Some(5.0), history: 3, ..Load::STEADY };
        assert_eq!(load(&[], &Load::STEADY), Load::STEADY);
        assert_eq!(load(&[], &defaults), defaults);
    }

    #[test]
    fn what_is_said_counts_more() {
        let defaults = Load { events: 7, seconds: 4, ..Load::STEADY };
        let load = load(&["--events", "9", "--rate", "2.5", "--seconds", "3"], &defaults);
        assert_eq!((load.events, load.rate, load.seconds), (9, Some(2.5), 3));
    }
}
