//! The loads that can be put on Relay, one file each, and the table of them.

mod burst;
mod connections;
mod drain;
mod failing;
mod fan_out;
mod history;
mod noisy;
mod paced;
mod recovery;
mod replay;
mod slow_one;
pub(crate) mod steady;

use std::future::Future;
use std::pin::Pin;

use crate::bench::Bench;
use crate::load::Load;
use crate::round::Round;

/// One round under way.
type Playing<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Round>> + 'a>>;
/// Plays one round, of this load and under this title, from preparation to reconciliation.
type Play = for<'a> fn(&'a mut Bench<'_>, &'a Load, &'a str) -> Playing<'a>;

/// A load with a question.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What its figures answer.
    pub(crate) question: &'static str,
    /// The load where the command line says nothing else.
    pub(crate) load: Load,
    /// Settings for Relay that make it fit into minutes.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// `None` for `steady`, which needs no Relay of its own.
    play: Option<Play>,
    /// The same without what is asked about, for the ratio.
    pub(crate) baseline: Option<Baseline>,
}

/// What a scenario is compared with in the same run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Baseline {
    pub(crate) label: &'static str,
    play: Play,
    /// Before the first round instead of before each: where a round leaves its traces behind.
    is_first: bool,
}

/// Every scenario, in the order that `loadtest list` shows them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    steady::STEADY,
    burst::BURST,
    fan_out::FAN_OUT,
    slow_one::SLOW_ONE,
    failing::FAILING,
    recovery::RECOVERY,
    drain::DRAIN,
    noisy::NOISY,
    connections::CONNECTIONS,
    history::HISTORY,
    paced::PACED,
    replay::REPLAY,
];

pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

/// The rounds of a scenario, and those of its baseline.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) rounds: Vec<Round>,
    pub(crate) baseline_rounds: Vec<Round>,
}

/// A warm-up, then the rounds, each beside one of the baseline where there is one.
pub(crate) async fn measure(
    scenario: &Scenario,
    bench: &mut Bench<'_>,
    load: &Load,
) -> anyhow::Result<Measured> {
    warm_up(bench, load).await?;
    let mut measured = Measured::default();
    let rounds = load.rounds;
    let first = scenario.baseline.filter(|baseline| baseline.is_first);
    for number in 1..=first.map_or(0, |_| rounds) {
        measured.baseline(first, bench, load, number).await?;
    }
    let beside = scenario.baseline.filter(|baseline| !baseline.is_first);
    for number in 1..=rounds {
        measured.baseline(beside, bench, load, number).await?;
        if let Some(play) = scenario.play {
            let title = format!("round {number} of {rounds}");
            measured.rounds.push(play(bench, load, &title).await?);
        }
    }
    Ok(measured)
}

impl Measured {
    async fn baseline(
        &mut self,
        baseline: Option<Baseline>,
        bench: &mut Bench<'_>,
        load: &Load,
        number: u8,
    ) -> anyhow::Result<()> {
        if let Some(Baseline { play, .. }) = baseline {
            let title = format!("baseline {number} of {}", load.rounds);
            self.baseline_rounds.push(play(bench, load, &title).await?);
        }
        Ok(())
    }
}

/// Some events to one prompt webhook, as fast as they go.
async fn warm_up(bench: &Bench<'_>, load: &Load) -> anyhow::Result<()> {
    let load = Load {
        connections: 1,
        verify_every: load.verify_every,
        events: load.events,
        ..Load::STEADY
    };
    let tenant = bench.only_tenant(&load).await?;
    steady::warm_up(&bench.stage(), &load, tenant.organization_id, &bench.watched()).await?;
    tenant.leave().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_questions_are_questions() {
        for (at, scenario) in SCENARIOS.iter().enumerate() {
            let others = &SCENARIOS[at + 1..];
            assert!(others.iter().all(|other| other.name != scenario.name), "{}", scenario.name);
            assert!(scenario.question.ends_with('?'), "{}", scenario.question);
            assert_eq!(scenario.play.is_none(), scenario.name == "steady");
        }
    }

    #[test]
    fn each_is_found_by_its_name_and_nothing_else_is() {
        for scenario in SCENARIOS {
            assert_eq!(find(scenario.name).map(|found| found.question), Some(scenario.question));
        }
        assert!(find("nothing").is_none());
    }
}
