//! A webhook that answers every tenth request with 500; Relay tries those again.

use super::{Playing, Scenario};
use crate::bench::Bench;
use crate::door::Manner;
use crate::load::Load;
use crate::round::Round;
use crate::trial::Lot;

const EVERY: u64 = 10;

pub(crate) const FAILING: Scenario = Scenario {
    name: "failing",
    question: "When a tenth of all requests fails, does everything arrive, once, and what do the retries cost?",
    load: Load { events: 20_000, rate: Some(1_000.0), concurrency: 256, ..Load::STEADY },
    settings: &[("RELAY_RETRY_SCHEDULE", "1s,2s,2s,4s,4s,4s,8s,8s,8s,8s")],
    play: Some(play),
    baseline: None,
};

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title))
}

async fn round(bench: &Bench<'_>, load: &Load, title: &str) -> anyhow::Result<Round> {
    let tenant = bench.only_tenant(load).await?;
    for connection in 0..usize::from(load.connections) {
        bench.receiver.set_manner(connection, Manner::FailsEvery(EVERY));
    }
    let mut trial = bench.open(title, vec![Lot::of(load, tenant.organization_id)], load)?;
    trial.send(0).await?;
    trial.arrived(0).await;
    let mut round = trial.finish(&bench.watched()).await?;
    tenant.leave().await?;
    let asked = round.refused + round.ledger.arrived;
    round.check(
        format!("{} of {asked} requests were answered with 500", round.refused),
        round.refused == asked / EVERY,
    );
    Ok(round)
}
