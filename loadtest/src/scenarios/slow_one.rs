//! Many healthy webhooks, and one that takes every request and answers none.

use super::{Baseline, Playing, Scenario};
use crate::arrivals::Audience;
use crate::bench::Bench;
use crate::door::Manner;
use crate::load::Load;
use crate::round::Round;
use crate::trial::Lot;

/// What Relay allows one connection where no setting says otherwise; `settings` says it too.
const IN_FLIGHT_MAX: u32 = 64;

pub(crate) const SLOW_ONE: Scenario = Scenario {
    name: "slow-one",
    question: "When one webhook of 100 hangs, how much later do the other 99 get theirs?",
    load: Load {
        concurrency: 64,
        events: 1_000,
        rate: Some(50.0),
        connections: 100,
        ..Load::STEADY
    },
    settings: &[("RELAY_CONNECTION_CONCURRENCY", "64")],
    play: Some(play),
    baseline: Some(Baseline { label: "the healthy ones alone", play: play_alone, is_first: false }),
};

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title, 1))
}

fn play_alone<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title, 0))
}

async fn round(bench: &Bench<'_>, load: &Load, title: &str, hanging: u16) -> anyhow::Result<Round> {
    let healthy = load.connections.max(2) - 1;
    let tenant =
        bench.only_tenant(&Load { connections: healthy + hanging, ..load.clone() }).await?;
    let the_hanging_one = usize::from(healthy);
    if hanging > 0 {
        bench.receiver.set_manner(the_hanging_one, Manner::Hangs);
    }
    // What the hanging one was sent never arrives, so the ledger asks only for the others.
    let lot = Lot {
        name: "healthy",
        audience: Audience::All(healthy.into()),
        ..Lot::of(load, tenant.organization_id)
    };
    let mut trial = bench.open(title, vec![lot], load)?;
    trial.send(0).await?;
    trial.arrived(0).await;
    let mut round = trial.finish(&bench.watched()).await?;
    if hanging > 0 {
        let most = bench.receiver.in_flight_max(the_hanging_one);
        round.check(
            format!("the hanging one held {most} requests at most, of {IN_FLIGHT_MAX} allowed"),
            0 < most && most <= IN_FLIGHT_MAX,
        );
    }
    tenant.leave().await?;
    Ok(round)
}
