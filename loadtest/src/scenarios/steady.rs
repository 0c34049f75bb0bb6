//! Events through `POST /v1/events` to a verifying receiver, counted until the last has arrived.

use anyhow::ensure;
use uuid::Uuid;

use super::Scenario;
use crate::cpu::Watched;
use crate::load::Load;
use crate::round::Round;
use crate::trial::{Lot, Stage, Trial};

/// Enough to open connections, prepare statements and fill caches.
const WARM_UP_EVENTS_MAX: u32 = 2_000;

pub(crate) const STEADY: Scenario = Scenario {
    name: "steady",
    question: "How many deliveries a second, how soon, and at what cost?",
    load: Load::STEADY,
    settings: &[],
    play: None,
    baseline: None,
};

/// A short warm-up, then the rounds, all from one organization to the receiver's connections.
pub(crate) async fn measure(
    stage: &Stage<'_>,
    load: &Load,
    organization_id: Uuid,
    watched: &[Watched],
) -> anyhow::Result<Vec<Round>> {
    warm_up(stage, load, organization_id, watched).await?;
    let mut rounds = Vec::new();
    for number in 1..=load.rounds {
        let title = format!("round {number} of {}", load.rounds);
        rounds.push(round(stage, load, organization_id, watched, &title).await?);
    }
    Ok(rounds)
}

/// The same load, shorter, and as fast as it goes. It has to go well.
pub(crate) async fn warm_up(
    stage: &Stage<'_>,
    load: &Load,
    organization_id: Uuid,
    watched: &[Watched],
) -> anyhow::Result<()> {
    let events = (load.events / 10).clamp(1, WARM_UP_EVENTS_MAX);
    let load = Load { events, rate: None, ..load.clone() };
    let warm = round(stage, &load, organization_id, watched, "warm-up").await?;
    ensure!(
        stage.is_floor || (warm.ledger.is_clean() && warm.rejected == 0),
        "already the warm-up went wrong: {:?}; first trouble: {}",
        warm.ledger,
        warm.first_trouble.as_deref().unwrap_or("none seen by this tool")
    );
    Ok(())
}

/// One round: everything is sent, and then waited for.
pub(crate) async fn round(
    stage: &Stage<'_>,
    load: &Load,
    organization_id: Uuid,
    watched: &[Watched],
    title: &str,
) -> anyhow::Result<Round> {
    let mut trial = Trial::open(stage.clone(), title, vec![Lot::of(load, organization_id)], load)?;
    trial.send(0).await?;
    trial.arrived(0).await;
    trial.finish(watched).await
}
