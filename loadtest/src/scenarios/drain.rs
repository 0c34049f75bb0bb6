//! Deliveries that have been due since before the workers start.

use super::{Playing, Scenario};
use crate::bench::Bench;
use crate::load::Load;
use crate::round::Round;
use crate::trial::Lot;

pub(crate) const DRAIN: Scenario = Scenario {
    name: "drain",
    question: "When workers come back to a backlog, how many deliveries a second do they send?",
    load: Load { events: 100_000, batch: 200, drain_timeout: 300, ..Load::STEADY },
    settings: &[],
    play: Some(play),
    baseline: None,
};

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title))
}

async fn round(bench: &mut Bench<'_>, load: &Load, title: &str) -> anyhow::Result<Round> {
    let tenant = bench.only_tenant(load).await?;
    bench.cluster.stop_workers().await?;
    let lot = Lot { name: "backlog", ..Lot::of(load, tenant.organization_id) };
    let mut trial = bench.open(title, vec![lot], load)?;
    trial.send(0).await?;
    trial.counts_from_first_arrival()?;
    bench.cluster.start_workers()?;
    trial.arrived(0).await;
    let mut round = trial.finish(&bench.watched()).await?;
    tenant.leave().await?;
    // They all waited for the workers: how long says nothing.
    round.watch(|_| false);
    Ok(round)
}
