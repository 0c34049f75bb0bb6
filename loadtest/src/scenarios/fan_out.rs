//! Each event to many webhooks at once.

use super::{Baseline, Playing, Scenario};
use crate::bench::Bench;
use crate::load::Load;
use crate::round::Round;
use crate::scenarios::steady;

pub(crate) const FAN_OUT: Scenario = Scenario {
    name: "fan-out",
    question: "When each event goes to 100 webhooks, how many deliveries a second, and how does that compare with 50?",
    load: Load { events: 2_000, connections: 100, ..Load::STEADY },
    settings: &[],
    play: Some(play),
    baseline: Some(Baseline {
        label: "half as many webhooks and twice as many events",
        play: play_half,
        is_first: false,
    }),
};

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load.clone(), title))
}

fn play_half<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, half(load), title))
}

/// As many deliveries to half as many webhooks.
fn half(load: &Load) -> Load {
    let connections = (load.connections / 2).max(1);
    Load { connections, events: load.events.saturating_mul(2), ..load.clone() }
}

async fn round(bench: &Bench<'_>, load: Load, title: &str) -> anyhow::Result<Round> {
    let tenant = bench.only_tenant(&load).await?;
    let (stage, watched) = (bench.stage(), bench.watched());
    let round = steady::round(&stage, &load, tenant.organization_id, &watched, title).await?;
    tenant.leave().await?;
    Ok(round)
}
