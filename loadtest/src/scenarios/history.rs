//! As `steady`, with many attempts kept from before.

use super::{Baseline, Playing, Scenario};
use crate::bench::Bench;
use crate::load::Load;
use crate::round::Round;
use crate::scenarios::steady;

pub(crate) const HISTORY: Scenario = Scenario {
    name: "history",
    question: "Does a delivery cost more when a million attempts are kept?",
    load: Load { history: 1_000_000, ..Load::STEADY },
    settings: &[],
    play: Some(play),
    baseline: Some(Baseline { label: "no history", play: play_without, is_first: true }),
};

/// Deliveries of a thousand organizations that nobody else here knows, each delivered at first try.
const FILL: &str = "insert into relay.attempts (organization_id, delivery_id, number, connection_id, \
    event_id, started_at, duration_us, status_code, response_head, settlement, lease) \
    select o.id, relay.uuid7(), 1, o.id, relay.uuid7(), now(), 1500, 200, 'ok', 'delivered', n \
    from generate_series(:first, :last) n \
    join (select g, md5('organization ' || g)::uuid as id from generate_series(0, 999) g) o \
    on o.g = n % 1000";

/// Recorded in one transaction: as many as many settlements together.
const AT_ONCE: usize = 50_000;

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(async move {
        if !bench.is_prepared {
            fill(bench, load.history as usize).await?;
            bench.is_prepared = true;
        }
        round(bench, load, title).await
    })
}

async fn fill(bench: &Bench<'_>, rows: usize) -> anyhow::Result<()> {
    let postgres = bench.cluster.postgres();
    let bar = bench.progress.bar("recording the history", rows);
    for first in (0..rows).step_by(AT_ONCE) {
        let last = (first + AT_ONCE).min(rows);
        let statement =
            FILL.replace(":first", &(first + 1).to_string()).replace(":last", &last.to_string());
        postgres.execute(&statement).await?;
        bar.inc((last - first) as u64);
    }
    bar.finish_and_clear();
    postgres.settle("relay.attempts").await
}

fn play_without<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title))
}

async fn round(bench: &Bench<'_>, load: &Load, title: &str) -> anyhow::Result<Round> {
    let tenant = bench.only_tenant(load).await?;
    let (stage, watched) = (bench.stage(), bench.watched());
    let round = steady::round(&stage, load, tenant.organization_id, &watched, title).await?;
    tenant.leave().await?;
    Ok(round)
}
