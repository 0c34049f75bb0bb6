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
    from generate_series(1, :rows) n \
    join (select g, gen_random_uuid() as id from generate_series(0, 999) g) o on o.g = n % 1000";

/// What Postgres would do by itself at some time after so much was written: now, so that it does not
/// do it beside what is measured.
const SETTLE: [&str; 2] = ["vacuum (freeze, analyze) relay.attempts", "checkpoint"];

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(async move {
        if !bench.is_prepared {
            let fill = FILL.replace(":rows", &load.history.to_string());
            for statement in [fill.as_str()].into_iter().chain(SETTLE) {
                bench.cluster.postgres().execute(statement).await?;
            }
            bench.is_prepared = true;
        }
        round(bench, load, title).await
    })
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
