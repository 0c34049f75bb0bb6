//! One organization that floods, beside another one that sends now and then.

use super::{Playing, Scenario};
use crate::arrivals::Audience;
use crate::bench::Bench;
use crate::load::Load;
use crate::round::Round;
use crate::schedule::Schedule;
use crate::trial::Lot;

const FLOOD: usize = 0;
const QUIET: usize = 1;

pub(crate) const NOISY: Scenario = Scenario {
    name: "noisy",
    question: "When one organization sends 100,000 events at once, how late does another one get its own?",
    load: Load { events: 100_000, batch: 100, rate: Some(1.0), drain_timeout: 300, ..Load::STEADY },
    settings: &[],
    play: Some(play),
    baseline: None,
};

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title))
}

async fn round(bench: &Bench<'_>, load: &Load, title: &str) -> anyhow::Result<Round> {
    let (loud, quiet) = (bench.tenant(0..1).await?, bench.tenant(1..2).await?);
    bench.receiver.forget_manners();
    let verifiers = [loud.verifiers(), quiet.verifiers()].concat();
    bench.receiver.expect_signatures(verifiers, load.verify_every);
    let flood = Lot {
        name: "flood",
        audience: Audience::Only(0),
        schedule: None,
        ..Lot::of(load, loud.organization_id)
    };
    let rate = load.rate.unwrap_or(1.0);
    let now_and_then = Lot {
        name: "quiet",
        audience: Audience::Only(1),
        schedule: Some(Schedule::steady(rate)),
        // As many as could become due in the whole time that is allowed.
        events: (rate * f64::from(load.timeout)).ceil() as usize,
        batch: 1,
        ..Lot::of(load, quiet.organization_id)
    };
    let mut trial = bench.open(title, vec![flood, now_and_then], load)?;
    trial.start(QUIET)?;
    trial.send(FLOOD).await?;
    trial.arrived(FLOOD).await;
    trial.call_off(QUIET);
    trial.sent(QUIET).await?;
    trial.arrived(QUIET).await;
    let mut round = trial.finish(&bench.watched()).await?;
    loud.leave().await?;
    quiet.leave().await?;
    round.watch(|part| part == "quiet");
    Ok(round)
}
