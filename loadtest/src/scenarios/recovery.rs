//! A webhook that is down while a backlog builds up, and then comes up again, slowly.

use std::time::Duration;

use super::{Playing, Scenario};
use crate::bench::Bench;
use crate::door::Manner;
use crate::load::Load;
use crate::round::{Round, Timeline};
use crate::schedule::Schedule;
use crate::trial::Lot;

const BACKLOG: usize = 0;
const LIVE: usize = 1;
/// What Relay allows one connection; `settings` says it too.
const IN_FLIGHT_MAX: u32 = 64;
/// Slow enough for requests to be under way at the same time.
const ANSWERS_AFTER: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) const RECOVERY: Scenario = Scenario {
    name: "recovery",
    question: "When a webhook comes up after an outage, how fast does its backlog arrive, and do new events wait behind it?",
    load: Load {
        events: 10_000,
        batch: 100,
        rate: Some(20.0),
        seconds: 5,
        drain_timeout: 300,
        ..Load::STEADY
    },
    settings: &[
        ("RELAY_CONNECTION_CONCURRENCY", "64"),
        ("RELAY_RETRY_SCHEDULE", "2s,2s,4s,4s,8s,8s,8s,8s,8s,8s,8s,8s,8s,8s,8s,8s,8s,8s,8s,8s"),
    ],
    play: Some(play),
    baseline: None,
};

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title))
}

async fn round(bench: &Bench<'_>, load: &Load, title: &str) -> anyhow::Result<Round> {
    let load = &Load { connections: 1, ..load.clone() };
    let tenant = bench.only_tenant(load).await?;
    bench.receiver.set_manner(0, Manner::Down);
    let backlog = Lot { schedule: None, name: "backlog", ..Lot::of(load, tenant.organization_id) };
    let rate = load.rate.unwrap_or(1.0);
    let live = Lot {
        name: "live",
        schedule: Some(Schedule::steady(rate)),
        // As many as could become due in the whole time that is allowed.
        events: (rate * f64::from(load.timeout)).ceil() as usize,
        batch: 1,
        ..backlog.clone()
    };
    let mut trial = bench.open(title, vec![backlog, live], load)?;
    trial.send(BACKLOG).await?;
    tokio::time::sleep(Duration::from_secs(load.seconds.into())).await;
    bench.receiver.set_manner(0, Manner::Slow(ANSWERS_AFTER));
    trial.counts_from_here()?;
    trial.start(LIVE)?;
    let until = tokio::time::Instant::now() + Duration::from_secs(load.drain_timeout.into());
    while !trial.has_arrived(BACKLOG) && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    trial.call_off(LIVE);
    trial.sent(LIVE).await?;
    trial.arrived(LIVE).await;
    let (most, is_ramp) = (bench.receiver.in_flight_max(0), bench.receiver.kept_to_ramp(0));
    let mut round = trial.finish(&bench.watched()).await?;
    tenant.leave().await?;
    round.watch(|part| part == "live");
    round.check(
        format!("{most} requests were under way at once at most, of {IN_FLIGHT_MAX} allowed"),
        most <= IN_FLIGHT_MAX,
    );
    round.check("they began with one, and grew by one in a round trip".to_owned(), is_ramp);
    let (sent, arrived) = live_before_the_end(&round.timeline);
    round.check(
        format!("of {sent} live events sent before the backlog's end, {arrived} arrived before it"),
        sent == 0 || 2 * arrived >= sent,
    );
    Ok(round)
}

/// Live events that were sent, and that arrived, before the step in which the backlog ended. Were
/// they to wait behind it, next to none would have arrived.
fn live_before_the_end(timeline: &Timeline) -> (u64, u64) {
    let [backlog, live] = timeline.lots.as_slice() else { return (0, 0) };
    let end = backlog.points.iter().rposition(|point| point.arrived > 0).unwrap_or(0);
    let sent = live.accepted.iter().take(end).sum();
    let arrived = live.points.iter().take(end).map(|point| point.arrived).sum();
    (sent, arrived)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Reconciliation;
    use crate::round::LotLine;
    use crate::timeline::Point;

    fn line(name: &str, accepted: &[u64], arrived: &[u64]) -> LotLine {
        let points = arrived.iter().map(|arrived| Point { arrived: *arrived, ..Point::default() });
        LotLine {
            name: name.into(),
            ledger: Reconciliation::default(),
            accepted: accepted.into(),
            points: points.collect(),
        }
    }

    #[test]
    fn live_events_count_up_to_the_end_of_the_backlog() {
        let lots = vec![
            line("backlog", &[90], &[0, 40, 50, 0]),
            line("live", &[0, 5, 5, 5], &[0, 3, 6, 6]),
        ];
        let timeline = Timeline { lots, ..Timeline::default() };
        assert_eq!(live_before_the_end(&timeline), (5, 3));
    }
}
