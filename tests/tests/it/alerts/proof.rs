//! Processes that really fail, a real Prometheus that sees it, and a real Alertmanager that tells.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tests::{Answer, Flow, Ledger, Load, Receiver, World, event, new_id, wait_until};
use uuid::Uuid;

use super::{
    boards, list,
    pictures::{self, Answered},
    root, text,
    watch::Watch,
};

/// Receivers that go down together: more than one alert's threshold.
const DOWN: usize = 12;
/// How long nothing is wrong, for the pictures and for counters to have two readings.
const QUIET: Duration = Duration::from_secs(10);

/// How many requests a worker of these worlds has under way at most.
const CONCURRENCY: usize = 32;

/// What panels ask that has no answer here, and why.
const EMPTY: [(&str, &str); 5] = [
    ("overview: Spans", "no traces are collected here"),
    ("providers: Operator faults", "no registration is wrong"),
    ("providers: Returns refused", "nobody comes back from a consent page"),
    ("providers: Tokens", "custom webhooks have no tokens"),
    ("providers: Waits for a turn", "custom webhooks have no limits but their own"),
];

/// A receiver is gone, the database stands still, many receivers fail while a transaction stays open, and
/// all workers die one after the other. Each time the right people are told, and told again when it is
/// over. At the end every query of every dashboard has an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_told_to_the_right_people_and_so_is_its_end() {
    let world = World::builder()
        .workers(2)
        .through_proxy()
        .env("RELAY_BREAKER_OPEN", "2s")
        // Who fails is looked at forty times within it.
        .env("RELAY_DISABLE_AFTER", "4m")
        .start()
        .await;
    let (steady, troubled, gone) = (new_id(), new_id(), new_id());
    world.relay.create_custom(steady, &world.receiver.url("/hook")).await;
    // Those in trouble answer elsewhere, so that the account is of the steady ones alone.
    let others = Receiver::start().await;
    let ledger = Ledger::default();
    let load = Load::start(&world.relay, &ledger, steady, 1);
    let watch = Watch::start(&world).await;
    let mut moments = Moments::begin();
    wait_until("all processes to be scraped, and nothing to be wrong", 9 * QUIET, || async {
        let up = watch.query("sum(up)").await;
        let all_up = up.first().is_some_and(|sum| sum["value"][1] == "3");
        (all_up && watch.firing().await.is_empty()).then_some(())
    })
    .await;
    tokio::time::sleep(QUIET).await;
    // Before the first scrape there was nothing, which may have been told.
    let told_before = watch.times_told("RelayNoData");

    moments.now("a receiver is gone");
    others.answer("/gone", [Answer::status(410)]);
    world.relay.create_custom(gone, &others.url("/gone")).await;
    world.relay.emit(&found(gone, "gone")).await;
    let told = watch.fires("RelayConnectionDisabled", "note").await;
    assert_eq!(told["commonLabels"]["reason"], "receiver_gone", "{told}");

    moments.now("the database stands still");
    world.proxy().set(Flow::Frozen);
    let unheard = emit_in_vain(&world, gone);
    watch.fires("RelayDatabaseDown", "page").await;
    moments.now("it is cut off");
    world.proxy().set(Flow::Cut);
    watch.fires("RelayAcceptingBurnsFast", "page").await;
    moments.now("it is back");
    world.proxy().set(Flow::Open);
    watch.resolves("RelayDatabaseDown", "page").await;
    unheard.await.expect("it does not panic");

    moments.now("receivers fail, and a transaction stays open");
    fail_together(&world, &others, troubled).await;
    let mut pinned = world.sql().acquire().await.expect("the database answers");
    for statement in ["begin isolation level repeatable read", "select count(*) from relay.outbox"]
    {
        sqlx::query(statement).execute(&mut *pinned).await.expect("it may be read");
    }
    watch.fires("RelayConnectionsFailing", "work").await;
    watch.fires("RelaySnapshotPinned", "work").await;
    moments.now("both end");
    sqlx::query("rollback").execute(&mut *pinned).await.expect("it ends");
    drop(pinned);
    recover_together(&world, &others, troubled).await;
    watch.resolves("RelaySnapshotPinned", "work").await;
    watch.resolves("RelayConnectionsFailing", "work").await;
    assert_eq!(watch.times_told("RelayNoWorkers"), 0, "workers have nothing to do with it");

    moments.now("one worker is killed");
    world.workers[0].kill9();
    let told = watch.fires("RelayTargetDown", "work").await;
    let mut down = list(&told, "alerts").iter();
    assert!(down.any(|alert| alert["labels"]["instance"] == "workers-0"), "{told}");
    assert_eq!(watch.times_told("RelayNoWorkers"), 0, "the other one is there");
    moments.now("and the other");
    world.workers[1].kill9();
    watch.fires("RelayNoWorkers", "page").await;
    moments.now("both start again");
    for worker in &world.workers {
        worker.restart();
    }
    watch.resolves("RelayNoWorkers", "page").await;
    watch.resolves("RelayTargetDown", "work").await;
    watch.resolves("RelayAcceptingBurnsFast", "page").await;
    watch.resolves("RelayConnectionDisabled", "note").await;
    assert_eq!(watch.times_told("RelayNoData"), told_before, "the API told all the time");
    moments.now("all is over");

    load.end().await;
    world.run_until_idle().await;
    // Both workers, and those of the time when nothing could be settled.
    ledger.tally(&world.receiver, &["/hook"]).assert_kept(4 * CONCURRENCY);
    shows(&watch, &moments).await;
}

/// Brings many events for nobody while they cannot be recorded, which is answered some time.
fn emit_in_vain(world: &World, org: Uuid) -> tokio::task::JoinHandle<()> {
    let events: Vec<Value> = (0..500).map(|n| found(org, &format!("unheard-{n}"))).collect();
    let relay = world.relay.clone();
    tokio::spawn(async move {
        let answer = relay.try_post_events(json!(events).to_string()).await;
        let status = answer.expect("the API answers").status;
        assert!([503, 504].contains(&status), "{status}");
    })
}

fn found(org: Uuid, marker: &str) -> Value {
    event(org, "vulnerability.found", json!({ "marker": marker }))
}

fn down(n: usize) -> String {
    format!("/down-{n}")
}

/// Many receivers of one organization answer 500 from now on, and are sent something.
async fn fail_together(world: &World, others: &Receiver, org: Uuid) {
    for path in (0..DOWN).map(down) {
        others.answer(&path, [Answer::status(500)]);
        world.relay.create_custom(org, &others.url(&path)).await;
    }
    world.relay.emit(&found(org, "down")).await;
}

/// They answer again, and what died meanwhile is replayed, which the dashboard of replays shows.
async fn recover_together(world: &World, others: &Receiver, org: Uuid) {
    for path in (0..DOWN).map(down) {
        others.answer(&path, [Answer::ok()]);
    }
    let since = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let body = json!({ "reason": "they are back", "selection": { "failed_since": since } });
    let path = format!("/api/organizations/{org}/replays");
    world.relay.admin(org, reqwest::Method::POST, &path, Some(&body)).await.expect(202);
    world.relay.emit(&found(org, "back")).await;
}

/// What was done, and when.
struct Moments {
    from: i64,
    done: Vec<(f64, &'static str)>,
}

impl Moments {
    fn begin() -> Self {
        Self { from: chrono::Utc::now().timestamp(), done: Vec::new() }
    }

    fn now(&mut self, what: &'static str) {
        let at = chrono::Utc::now().timestamp() - self.from;
        println!("{at} s: {what}");
        self.done.push((at as f64, what));
    }
}

/// Every query of every dashboard answers with something. With `RELAY_PICTURES` set, what they answer is
/// drawn to `docs/pictures/dashboard-*.svg`.
async fn shows(watch: &Watch, moments: &Moments) {
    let time = (moments.from, chrono::Utc::now().timestamp());
    let mut empty: BTreeMap<String, String> = BTreeMap::new();
    for board in boards() {
        let mut panels = Vec::new();
        for panel in board.panels().filter(|panel| panel["type"] != "text") {
            let mut lines = Vec::new();
            for target in list(panel, "targets") {
                let asked = asked(text(target, "expr"));
                let found = watch.query_range(&asked, time, 2).await;
                let before = lines.len();
                for series in &found {
                    let points = pictures::points(series, time.0);
                    if !points.is_empty() {
                        lines.push((
                            pictures::legend(text(target, "legendFormat"), &series["metric"]),
                            points,
                        ));
                    }
                }
                if lines.len() == before {
                    empty.insert(format!("{}: {}", board.name, text(panel, "title")), asked);
                }
            }
            panels.push(Answered { panel, lines });
        }
        let picture = pictures::svg(&board, panels, &moments.done);
        assert!(!picture.contains("NaN"), "{}: a picture of what is no number", board.name);
        if std::env::var_os("RELAY_PICTURES").is_some() {
            let file = root().join(format!("docs/pictures/dashboard-{}.svg", board.name));
            std::fs::write(file, picture).expect("the pictures can be written");
        }
    }
    let named: Vec<&str> = empty.keys().map(String::as_str).collect();
    let expected: Vec<&str> = EMPTY.iter().map(|(panel, _)| *panel).collect();
    assert_eq!(named, expected, "panels without an answer: {empty:#?}");
}

/// A panel's query with Grafana's variables set as they are at first.
fn asked(query: &str) -> String {
    query.replace("$__rate_interval", "20s").replace("$provider", ".*")
}
