//! One webhook is sent again all that it missed, beside another organization's live events.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Playing, Scenario};
use crate::arrivals::Audience;
use crate::bench::Bench;
use crate::clock;
use crate::cpu::Usage;
use crate::event::EventWriter;
use crate::ledger::Reconciliation;
use crate::load::Load;
use crate::replays::Replay;
use crate::round::{LotLine, Round};
use crate::schedule::Schedule;
use crate::trial::{Lot, new_run};

const REPLAYED: usize = 0;
const LIVE: usize = 1;
/// For the last settlements to be counted.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const REPLAY: Scenario = Scenario {
    name: "replay",
    question: "When a million deliveries are sent again, how much memory does that take, and how much later do live events of others arrive?",
    load: Load {
        events: 1_000_000,
        rate: Some(200.0),
        seconds: 20,
        timeout: 3_600,
        drain_timeout: 1_800,
        ..Load::STEADY
    },
    settings: &[],
    play: Some(play),
    baseline: None,
};

/// Deliveries of one webhook that it missed while it was paused, each of an event of its own.
const FILL: &str = "with missed as materialized ( \
        select n, relay.uuid7() as event_id, relay.uuid7() as delivery_id \
        from generate_series(:first, :last) n \
    ), facts as ( \
        insert into relay.event_log_product ( \
            id, category, organization_id, kind, payload, occurred_at, recorded_at) \
        select event_id, 'product', ':organization', 'vulnerability.found', \
               ($event$:before$event$ || n || $event$:after$event$)::json, now(), now() \
        from missed \
    ) \
    insert into relay.attempts ( \
        organization_id, delivery_id, number, connection_id, event_id, settlement, reason) \
    select ':organization', delivery_id, 0, ':connection', event_id, 'skipped', 'connection_paused' \
    from missed";

fn play<'a>(bench: &'a mut Bench<'_>, load: &'a Load, title: &'a str) -> Playing<'a> {
    Box::pin(round(bench, load, title))
}

async fn round(bench: &Bench<'_>, load: &Load, title: &str) -> anyhow::Result<Round> {
    let (absent, present) = (bench.tenant(0..1).await?, bench.tenant(1..2).await?);
    bench.receiver.forget_manners();
    let verifiers = [absent.verifiers(), present.verifiers()].concat();
    bench.receiver.expect_signatures(verifiers, load.verify_every);
    let webhook = absent.webhooks().ids()[0];
    let replayed = prepare(bench, load, absent.organization_id, webhook).await?;
    let mut trial = bench.open(title, vec![replayed, live(load, present.organization_id)], load)?;
    trial.start(LIVE)?;
    tokio::time::sleep(Duration::from_secs(load.seconds.into())).await;
    trial.counts_from_here()?;
    let asked = Instant::now();
    let replay = Replay::of_skipped(absent.webhooks().relay(), webhook).await?;
    trial.arrived(REPLAYED).await;
    let took = asked.elapsed();
    trial.call_off(LIVE);
    trial.sent(LIVE).await?;
    trial.arrived(LIVE).await;
    let mut round = trial.finish(&bench.watched()).await?;
    let replay = replay.until_over(absent.webhooks().relay(), PATIENCE).await?;
    let left = absent.leave().await;
    present.leave().await?;

    round.watch(|part| part == "beside");
    round.compare_with("alone");
    round.check(replay.summary(), replay.is_whole(load.events.into()));
    let notes: Vec<String> = round.timeline.lots.iter().map(ledger_of).collect();
    notes.into_iter().for_each(|note| round.note(note));
    let arrived = round.timeline.lots[REPLAYED].ledger.unique;
    round.note(rate_of(arrived, took));
    round.note(peaks(&round.usages));
    // A replay that did not end in time may be in the way; what was measured stands.
    if let Err(error) = left {
        round.note(format!("{error:#}"));
    }
    Ok(round)
}

/// Records all that the webhook missed, and gives it as a lot to be waited for.
async fn prepare(
    bench: &Bench<'_>,
    load: &Load,
    organization_id: Uuid,
    webhook: Uuid,
) -> anyhow::Result<Lot> {
    let (run, now_ns) = (new_run(), clock::now_ns());
    let writer =
        EventWriter { organizations: Arc::new([organization_id]), run, with_idempotency: false };
    let data = writer.data(0, now_ns);
    let fill = |numbers| fill(&data, organization_id, webhook, &numbers);
    bench.fill("recording what was missed", load.events as usize, fill).await?;
    bench.cluster.postgres().settle("relay.attempts, relay.event_log_product").await?;
    Ok(Lot {
        name: "replayed",
        audience: Audience::Only(0),
        schedule: None,
        prepared: Some(run),
        ..Lot::of(load, organization_id)
    })
}

/// The statement that records the events of these numbers, all with the data of the first one but each
/// with its own number in its mark.
fn fill(data: &str, organization_id: Uuid, webhook: Uuid, numbers: &Range<usize>) -> String {
    // The mark comes first, and its number is the first that stands between colons.
    let (before, after) = data.split_once(":0:").unwrap_or((data, ""));
    FILL.replace(":first", &numbers.start.to_string())
        .replace(":last", &numbers.end.saturating_sub(1).to_string())
        .replace(":organization", &organization_id.to_string())
        .replace(":connection", &webhook.to_string())
        .replace(":before", &format!("{before}:"))
        .replace(":after", &format!(":{after}"))
}

/// Events at the load's rate: those of the first seconds, and then as many as could become due in the
/// whole time that is allowed.
fn live(load: &Load, organization_id: Uuid) -> Lot {
    let rate = load.rate.unwrap_or(1.0);
    let alone = ((rate * f64::from(load.seconds)).round() as usize).max(1);
    let events = ((rate * f64::from(load.timeout)).ceil() as usize).max(alone);
    Lot {
        name: "live",
        audience: Audience::Only(1),
        schedule: Some(Schedule::steady(rate)),
        events,
        parts: vec![("alone", alone), ("beside", events)],
        batch: 1,
        ..Lot::of(load, organization_id)
    }
}

/// What came of one lot, in words.
fn ledger_of(lot: &LotLine) -> String {
    let Reconciliation { accepted, unique, lost, duplicates, unexpected, .. } = lot.ledger;
    format!(
        "{}: {unique} of {accepted} arrived, lost {lost}, duplicate {duplicates}, unexpected \
         {unexpected}",
        lot.name
    )
}

/// How fast the replayed ones came, from the question to the last arrival.
fn rate_of(arrived: u64, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    format!("{arrived} arrived in {seconds:.1} s, {:.0} a second", arrived as f64 / seconds)
}

/// The most that each process of Relay had in memory.
fn peaks(usages: &[Usage]) -> String {
    let ours = usages.iter().filter(|usage| !usage.name.starts_with("postgres"));
    let each: Vec<String> =
        ours.map(|usage| format!("{} {:.0} MiB", usage.name, usage.peak_mib)).collect();
    format!("at their peaks: {}", each.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Mark;

    fn load() -> Load {
        Load { rate: Some(20.0), seconds: 3, timeout: 10, ..REPLAY.load }
    }

    #[test]
    fn live_events_are_alone_for_some_seconds_and_then_beside_the_replay() {
        let lot = live(&load(), Uuid::nil());
        assert_eq!(lot.parts, [("alone", 60), ("beside", 200)]);
        assert_eq!(lot.events, 200);
        let short = live(&Load { timeout: 1, ..load() }, Uuid::nil());
        assert_eq!(short.events, 60, "those alone at the least");
    }

    #[test]
    fn each_missed_event_has_a_mark_with_its_number() {
        let writer =
            EventWriter { organizations: Arc::new([Uuid::nil()]), run: 0, with_idempotency: false };
        let fill = fill(&writer.data(0, 5), Uuid::nil(), Uuid::max(), &(50..70));
        assert!(fill.contains("generate_series(50, 69)"), "{fill}");
        assert!(!fill.contains("::organization") && !fill.contains("':"), "{fill}");
        // What Postgres makes of it for the number 61.
        let payload = fill.replace("$event$ || n || $event$", "61");
        let data = payload.split("$event$").nth(1).expect("the payload is quoted");
        let mark = Mark { run: 0, sequence: 61, emitted_ns: 5 };
        assert_eq!(Mark::find(data.as_bytes()), Some(mark));
        assert!(serde_json::from_str::<serde_json::Value>(data).is_ok(), "{data}");
    }

    #[test]
    fn the_rate_is_told_from_the_question_on() {
        let told = rate_of(5_000, Duration::from_millis(2_500));
        assert_eq!(told, "5000 arrived in 2.5 s, 2000 a second");
    }
}
