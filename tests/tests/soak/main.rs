//! Everything at once, for as long as you like: a steady load, faults drawn by a seed, and after each
//! round a look at whether anything was lost or has leaked.
//!
//! ```text
//! make soak MINUTES=30              # prints its seed first
//! make soak MINUTES=30 SEED=42      # the same faults at the same times
//! make soak SEED=42 ROUND=17        # only that round
//! ```
//!
//! Without any of these, as among the other tests, it plays one round.

mod faults;
mod plan;
mod rest;

use std::{
    env, io,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use tests::{Answer, Arrived, Ledger, Load, Tally, World, new_id, wait_until};

use self::{
    plan::{Fault, ILL, What},
    rest::{REST, Watch},
};

const CONCURRENCY: usize = 16;
const WORKERS: usize = 3;
const APIS: usize = 2;
const WELL: [&str; 3] = ["/well-0", "/well-1", "/well-2"];
/// Who emits for an organization: enough that some are heard while an API process is frozen, and each
/// waits so long after an event.
const PRODUCERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(500);

/// One organization: its account, and where its events go.
struct Side {
    org: uuid::Uuid,
    name: &'static str,
    paths: Vec<&'static str>,
    ledger: Ledger,
    arrived: Arrived,
}

impl Side {
    async fn new(world: &World, name: &'static str, paths: &[&'static str]) -> Self {
        let org = new_id();
        for path in paths {
            world.receiver.answer(path, [Answer::ok().after(Duration::from_millis(20))]);
            world.relay.create_custom(org, &world.receiver.url(path)).await;
        }
        let (ledger, arrived) = (Ledger::default(), Arrived::default());
        Self { org, name, paths: paths.to_vec(), ledger, arrived }
    }

    fn load(&self, world: &World, round: u64) -> Load {
        let name = format!("{}-{round}", self.name);
        Load::paced(&world.relay, &self.ledger, self.org, &name, PRODUCERS, PAUSE)
    }

    fn tally(&self) -> Tally {
        self.ledger.compare(&self.arrived, &self.paths)
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Says how to see it again, should it fail.
struct Again {
    seed: u64,
    round: u64,
}

impl Drop for Again {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, round } = self;
            println!(
                "failed in round {round}; that one again: make soak SEED={seed} ROUND={round}"
            );
        }
    }
}

/// F1, F5, F8, F10, F17 and F20 at once: whatever is drawn, nothing is lost, and nothing leaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_f5_f8_f10_f17_f20_all_at_once_lose_and_leak_nothing() {
    let only = number("RELAY_SOAK_ROUND");
    let minutes = number("RELAY_SOAK_MINUTES").unwrap_or(0);
    let seed = number("RELAY_SOAK_SEED").unwrap_or_else(|| match minutes {
        0 => 1,
        _ => u64::from(rand::random::<u32>()),
    });
    let again = if minutes == 0 { "ROUND=1".to_owned() } else { format!("MINUTES={minutes}") };
    println!("seed {seed}; the same again: make soak SEED={seed} {again}");
    let world = world().await;
    let mut well = Side::new(&world, "well", &WELL).await;
    let mut ill = Side::new(&world, "ill", &ILL).await;
    let mut watch = Watch::begin(&world).await;
    let bar = bar(minutes * 60);
    let began = Instant::now();
    let (mut bound, mut slowest) = (0, Duration::ZERO);
    let mut again = Again { seed, round: only.unwrap_or(1) };
    loop {
        let faults = plan::round(seed, again.round);
        bar.set_message(format!("round {}", again.round));
        bar.suspend(|| tell(again.round, &faults));
        let loads = [well.load(&world, again.round), ill.load(&world, again.round)];
        let ticking = tick(&bar, began);
        faults::play(&world, &faults).await;
        let healed_at = Instant::now();
        for load in loads {
            load.end().await;
        }
        world.wait_ready().await;
        settled(&world).await;
        slowest = slowest.max(healed_at.elapsed());
        bound += faults.iter().map(duplicates_max).sum::<usize>();
        let tally = count(&world, &mut well, &mut ill).await;
        bar.suspend(|| {
            println!(
                "  {} events, {} deliveries, {} lost, {} twice (at most {bound}), idle after {:.1} s",
                tally.promised,
                tally.arrived,
                tally.lost.len(),
                tally.duplicates.len(),
                healed_at.elapsed().as_secs_f64()
            );
        });
        tally.assert_kept(bound);
        watch.at_rest(&world).await;
        let uses = watch.uses(&world).await;
        bar.suspend(|| println!("{uses}"));
        ticking.abort();
        if only.is_some() || began.elapsed() >= Duration::from_secs(minutes * 60) {
            break;
        }
        again.round += 1;
    }
    bar.finish_and_clear();
    well.tally()
        .and(ill.tally())
        .outcome("soak", "everything at once, drawn by lot")
        .recovered(slowest)
        .seed(seed)
        .measured("rounds", if only.is_some() { 1 } else { again.round })
        .measured("minutes", began.elapsed().as_secs() / 60)
        .kept(bound);
}

async fn world() -> World {
    World::builder()
        .api(APIS)
        .workers(WORKERS)
        .through_proxy()
        .env("RELAY_LEASE", "3s")
        .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
        .env("RELAY_CONNECTION_CONCURRENCY", "4")
        .env("RELAY_BREAKER_OPEN", "1s")
        // Enough for any illness of one round, or two after each other.
        .env(
            "RELAY_RETRY_SCHEDULE",
            "500ms,1s,1s,2s,2s,3s,3s,3s,4s,4s,4s,5s,5s,5s,5s,5s,5s,5s,5s,5s",
        )
        .env("RUST_LOG", "info")
        .start()
        .await
}

/// What a fault may make come twice: what a process had under way; and for a fault of the database, what
/// every worker sent and could not record, of which it takes up to four times as much.
fn duplicates_max(fault: &Fault) -> usize {
    match fault.what {
        What::Kill(..) | What::Freeze(..) => CONCURRENCY,
        What::EndSessions | What::Line(_) => WORKERS * 4 * CONCURRENCY,
        What::Ill(..) => 0,
    }
}

/// Waits until no promise is left, not even one that waits.
async fn settled(world: &World) {
    wait_until("the outbox to be empty", REST, || async {
        let left: i64 = sqlx::query_scalar("select count(*) from relay.outbox")
            .fetch_one(world.sql())
            .await
            .expect("the database answers");
        (left == 0).then_some(())
    })
    .await;
}

/// Takes what has arrived into the accounts, and out of memory.
async fn count(world: &World, well: &mut Side, ill: &mut Side) -> Tally {
    // The answer that was read may not be written down yet at this side.
    wait_until("every answer to be written down", REST, || async {
        let arrivals = world.receiver.all();
        let pending = arrivals.iter().filter(|one| one.accepts && one.answered.is_none()).count();
        (pending == 0).then_some(())
    })
    .await;
    assert_eq!(world.receiver.unverified(), Vec::<String>::new());
    let (of_well, of_ill): (Vec<_>, Vec<_>) =
        world.receiver.take_all().into_iter().partition(|one| WELL.contains(&one.path.as_str()));
    well.ledger.read(&mut well.arrived, &of_well, &well.paths);
    ill.ledger.read(&mut ill.arrived, &of_ill, &ill.paths);
    well.tally().and(ill.tally())
}

fn tell(round: u64, faults: &[Fault]) {
    println!("round {round}");
    for fault in faults {
        println!("  {fault}");
    }
}

/// A bar for a person who waits, and nothing for a pipe.
fn bar(seconds: u64) -> ProgressBar {
    use io::IsTerminal as _;
    if seconds == 0 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:10} [{bar:32}] {elapsed} of {len} s");
    let style = style.expect("the template is well formed").progress_chars("=> ");
    ProgressBar::new(seconds).with_style(style)
}

fn tick(bar: &ProgressBar, began: Instant) -> tokio::task::JoinHandle<()> {
    let bar = bar.clone();
    tokio::spawn(async move {
        loop {
            bar.set_position(began.elapsed().as_secs());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
}
