//! A webhook that takes so many requests a second, and answers 429 with `Retry-After` above that.

use super::{Playing, Scenario};
use crate::bench::Bench;
use crate::door::Manner;
use crate::load::Load;
use crate::round::Round;
use crate::trial::Lot;

const RETRY_AFTER: u32 = 1;

pub(crate) const PACED: Scenario = Scenario {
    name: "paced",
    question: "When a webhook limits its rate, how much of that rate is used, and is anything lost?",
    load: Load { events: 2_000, batch: 100, drain_timeout: 300, ..Load::STEADY },
    // Long enough that nothing is given up while it waits for its second.
    settings: &[(
        "RELAY_RETRY_SCHEDULE",
        "1s,1s,1s,1s,1s,1s,1s,1s,2s,2s,2s,2s,2s,2s,2s,2s,4s,4s,4s,4s,4s,4s,4s,4s,4s,4s,4s,4s,4s,4s",
    )],
    play: Some(play),
    baseline: None,
};

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title))
}

async fn round(bench: &Bench<'_>, load: &Load, title: &str) -> anyhow::Result<Round> {
    let tenant = bench.only_tenant(load).await?;
    let manner = Manner::Limited { per_second: load.limit, retry_after: RETRY_AFTER };
    for connection in 0..usize::from(load.connections) {
        bench.receiver.set_manner(connection, manner);
    }
    let mut trial = bench.open(title, vec![Lot::of(load, tenant.organization_id)], load)?;
    trial.send(0).await?;
    trial.arrived(0).await;
    let mut round = trial.finish(&bench.watched()).await?;
    tenant.leave().await?;
    let per_second = round.ledger.unique as f64 / round.delivered_seconds.max(0.001);
    let allowed = f64::from(load.limit) * f64::from(load.connections);
    round.note(format!(
        "{per_second:.1} arrivals/s of {allowed} allowed; {:.2} refusals for each arrival",
        round.refused as f64 / round.ledger.unique.max(1) as f64
    ));
    Ok(round)
}
