//! A quiet time, ten times as much for some seconds, and a quiet time again.

use super::{Playing, Scenario};
use crate::bench::Bench;
use crate::load::Load;
use crate::round::Round;
use crate::schedule::{Phase, Schedule};
use crate::trial::Lot;

const TIMES: f64 = 10.0;

pub(crate) const BURST: Scenario = Scenario {
    name: "burst",
    question: "When ten times as much comes for some seconds, how late does it get, and how soon is that over?",
    load: Load { concurrency: 256, rate: Some(500.0), seconds: 5, ..Load::STEADY },
    settings: &[],
    play: Some(play),
    baseline: None,
};

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title))
}

/// As long quiet before as after as the burst itself takes.
fn schedule(load: &Load) -> Schedule {
    let seconds = f64::from(load.seconds);
    let quiet = Phase { per_second: load.rate.unwrap_or(1.0), seconds };
    Schedule::of(&[quiet, Phase { per_second: quiet.per_second * TIMES, seconds }, quiet])
}

async fn round(bench: &Bench<'_>, load: &Load, title: &str) -> anyhow::Result<Round> {
    let schedule = schedule(load);
    let tenant = bench.only_tenant(load).await?;
    let parts: Vec<(&'static str, usize)> =
        ["before", "burst", "after"].into_iter().zip(schedule.ends()).collect();
    let events = parts.last().map_or(0, |(_, end)| *end);
    let lot =
        Lot { events, parts, schedule: Some(schedule), ..Lot::of(load, tenant.organization_id) };
    let mut trial = bench.open(title, vec![lot], load)?;
    trial.send(0).await?;
    trial.arrived(0).await;
    let mut round = trial.finish(&bench.watched()).await?;
    tenant.leave().await?;
    let ended = round.timeline.counts_from_seconds + f64::from(load.seconds) * 2.0;
    let last = round.part("burst").map_or(0.0, |part| part.last_seconds);
    round.note(format!("the burst's last event arrived {:.2} s after it had ended", last - ended));
    Ok(round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_as_much_is_sent_between_two_quiet_times() {
        let load = Load { rate: Some(20.0), seconds: 3, ..BURST.load };
        assert_eq!(schedule(&load).ends(), [60, 660, 720]);
    }
}
