//! As `steady`, with many attempts kept from before.

use std::ops::Range;

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

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(async move {
        if !bench.is_prepared {
            bench.fill("recording the history", load.history as usize, fill).await?;
            bench.cluster.postgres().settle("relay.attempts").await?;
            bench.is_prepared = true;
        }
        round(bench, load, title).await
    })
}

/// Numbers are from 0 on, leases from 1.
fn fill(numbers: Range<usize>) -> String {
    let first = numbers.start + 1;
    FILL.replace(":first", &first.to_string()).replace(":last", &numbers.end.to_string())
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
