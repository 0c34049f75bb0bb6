//! Very many webhooks in many organizations, of which one matches each event.

use std::sync::Arc;

use super::{Baseline, Playing, Scenario};
use crate::arrivals::Audience;
use crate::bench::Bench;
use crate::load::Load;
use crate::round::Round;
use crate::trial::Lot;

pub(crate) const CONNECTIONS: Scenario = Scenario {
    name: "connections",
    question: "Does a delivery cost more when there are 10,000 webhooks in 1,000 organizations?",
    load: Load { concurrency: 256, connections: 10_000, organizations: 1_000, ..Load::STEADY },
    settings: &[],
    play: Some(play),
    baseline: Some(Baseline {
        label: "one webhook in one organization",
        play: play_one,
        is_first: false,
    }),
};

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load.clone(), title))
}

fn play_one<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, Load { connections: 1, organizations: 1, ..load.clone() }, title))
}

async fn round(bench: &Bench<'_>, load: Load, title: &str) -> anyhow::Result<Round> {
    let organizations = usize::from(load.organizations);
    let crowd = bench.crowd(organizations, load.connections.into()).await?;
    bench.receiver.forget_manners();
    bench.receiver.expect_signatures(crowd.verifiers, load.verify_every);
    let lot = Lot {
        audience: Audience::OneOf(organizations),
        organizations: Arc::clone(&crowd.organizations),
        ..Lot::of(&load, crowd.organizations[0])
    };
    let mut trial = bench.open(title, vec![lot], &load)?;
    trial.send(0).await?;
    trial.arrived(0).await;
    // Nothing is under way any more, so the webhooks may stay; the next round has others.
    trial.finish(&bench.watched()).await
}
