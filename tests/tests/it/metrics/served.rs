//! What real processes tell after a day in small.

use std::{collections::BTreeSet, time::Duration};

use engine::metrics::{self, Kind};
use reqwest::Method;
use serde_json::json;
use tests::{Answer, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

use super::{Scrape, metric_of};
use crate::delivery::found;

/// Told only where somebody asked for it by a setting.
const ON_REQUEST: &[&str] = &["relay_spans_total"];

/// Only after a look at the database, which comes every 10 seconds, and at connections.
async fn when_all_is_read(world: &World) {
    wait_until("the gauges to be read", 3 * LONG, || async {
        let scrape = Scrape::of(&world.workers[0]).await;
        let read = ["relay_connections_failing", "relay_postgres_oldest_snapshot_seconds"];
        read.iter().all(|name| scrape.value(name, &[]).is_some()).then_some(())
    })
    .await;
}

/// A webhook for findings, and an event for it.
async fn hook(world: &World, path: &str) -> (Uuid, Uuid) {
    let org = new_id();
    let id = world.relay.create_custom(org, &world.receiver.url(path)).await.id;
    (org, id)
}

/// Delivered, retried, given up on, skipped, replayed; at a provider; refused and misconfigured.
async fn a_day(world: &World) {
    let (org, id) = hook(world, "/fine").await;
    let first = world.relay.emit(&found(org, "1")).await;
    let delivery = world.relay.settled(org, first, id, "delivered").await;
    let delivery = delivery["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    world.relay.replay(org, delivery).await.expect(202);
    world.relay.change(org, id, &json!({ "paused": true })).await.expect(200);
    world.relay.emit(&found(org, "2")).await;

    world.receiver.answer("/shaky", [Answer::status(500), Answer::ok()]);
    let (org, id) = hook(world, "/shaky").await;
    let shaky = world.relay.emit(&found(org, "3")).await;
    world.relay.settled(org, shaky, id, "delivered").await;

    world.receiver.answer("/dead", [Answer::status(500)]);
    let (org, id) = hook(world, "/dead").await;
    let dead = world.relay.emit(&found(org, "4")).await;
    world.relay.settled(org, dead, id, "dead").await;
    let again = json!({ "selection": { "status": ["dead"] }, "reason": "a test" });
    let path = format!("/api/organizations/{org}/replays");
    world.relay.admin(org, Method::POST, &path, Some(&again)).await;

    // As if a newer version had connected it: a word that is no provider.
    let (org, id) = hook(world, "/odd").await;
    sqlx::query("update relay.organization_integrations set provider = 'teams_next' where id = $1")
        .bind(id)
        .execute(world.sql())
        .await
        .expect("the tests' role may");
    world.relay.emit(&found(org, "5")).await;

    let org = new_id();
    world.relay.connect_whole(world.mocks(), org, "slack").await;
    world.relay.connect_whole(world.mocks(), org, "github").await;
    let finding = |n: usize| {
        let data = json!({
            "vulnerability_id": format!("CVE-2026-{n}"), "severity": "critical",
            "package": "lodash", "version": "4.17.20", "project": "my-project",
        });
        event(org, "vulnerability.found", data)
    };
    world.relay.emit_batch(&(0..4).map(finding).collect::<Vec<_>>()).await;
    let odd = "/api/integrations/slack/org-callback?state=bogus&code=x";
    world.relay.send(world.relay.request(Method::GET, odd)).await;
    world.relay.send(world.relay.request(Method::GET, "/nothing/here")).await;
}

/// Every metric that there is, described, with labels of its own and no others, whose values come from
/// their sets.
#[tokio::test]
async fn every_metric_is_served_and_described_and_its_labels_come_from_closed_sets() {
    let world = World::builder().providers().env("RELAY_DISABLE_AFTER", "200s").start().await;
    a_day(&world).await;
    when_all_is_read(&world).await;
    let wanted: BTreeSet<&str> = metrics::all()
        .map(|metric| metric.name)
        .filter(|name| !ON_REQUEST.contains(name))
        .collect();
    let told = |scrapes: &[Scrape]| -> BTreeSet<&'static str> {
        let samples = scrapes.iter().flat_map(|scrape| &scrape.samples);
        samples.filter_map(|sample| Some(metric_of(&sample.name)?.name)).collect()
    };
    let mut tries = 0;
    let scrapes = loop {
        let scrapes = [Scrape::of(&world.apis[0]).await, Scrape::of(&world.workers[0]).await];
        let told = told(&scrapes);
        let missing: Vec<_> = wanted.difference(&told).collect();
        if missing.is_empty() {
            break scrapes;
        }
        tries += 1;
        assert!(tries < 300, "nobody tells {missing:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    for scrape in &scrapes {
        check(scrape);
    }
    // What concerns all processes is told by those that read it.
    let [api, worker] = &scrapes;
    assert_eq!(api.value("relay_outbox_deliveries", &[]), None);
    for scrape in [api, worker] {
        assert_eq!(scrape.value("relay_database_up", &[]), Some(1.0));
        assert!(
            scrape.value("process_resident_memory_bytes", &[]).is_some_and(|bytes| bytes > 0.0)
        );
    }
    // Some of it is told only once it was settled or counted.
    let happened = [
        ("relay_skipped_total", &[("reason", "connection_paused")][..]),
        ("relay_dead_total", &[("reason", "retries_exhausted")]),
        ("relay_settlements_total", &[("settlement", "retrying")]),
        ("relay_delivery_lag_seconds_count", &[("class", "replay")]),
        (
            "relay_delivery_seconds_count",
            &[("provider", "custom_notification"), ("class", "retry")],
        ),
        ("relay_verdicts_total", &[("provider", "slack"), ("verdict", "delivered")]),
        ("relay_operator_faults_total", &[("provider", "other"), ("what", "unknown_provider")]),
    ];
    for (name, labels) in happened {
        wait_until(&format!("{name}{labels:?} to be told"), 2 * LONG, || async {
            let worker = Scrape::of(&world.workers[0]).await;
            worker.value(name, labels).filter(|n| *n >= 1.0)
        })
        .await;
    }
    for (surface, status) in [("ingest", "2xx"), ("callback", "3xx"), ("other", "4xx")] {
        let labels = [("surface", surface), ("status", status)];
        let value = api.value("relay_http_requests_total", &labels);
        assert!(value.is_some_and(|n| n >= 1.0), "{labels:?}: {value:?}");
    }
}

fn check(scrape: &Scrape) {
    for sample in &scrape.samples {
        let Some(metric) = metric_of(&sample.name) else {
            assert!(sample.name.starts_with("process_"), "{} stands in no list", sample.name);
            continue;
        };
        assert!(scrape.helps.contains(metric.name), "{} is not described", metric.name);
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert_eq!(
            scrape.types.get(metric.name).map(String::as_str),
            Some(kind),
            "{}",
            metric.name
        );
        let mut names: BTreeSet<&str> = metric.labels.iter().map(|label| label.name).collect();
        if sample.name.ends_with("_bucket") {
            names.insert("le");
        }
        assert_eq!(sample.labels.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
        for label in metric.labels {
            let value = &sample.labels[label.name];
            assert!(label.values.allow(value), "{}: {} = {value}", sample.name, label.name);
        }
    }
}

/// The number of series is the same for one organization as for fifty, of four connections each.
#[tokio::test]
async fn the_number_of_series_does_not_grow_with_organizations_and_connections() {
    const ORGANIZATIONS: usize = 50;
    const CONNECTIONS: usize = 4;
    let world = World::start().await;
    let settle = async |world: &World, count: usize| {
        for org in (0..count).map(|_| new_id()) {
            for _ in 0..CONNECTIONS {
                let wants = json!({ "event_types": ["vulnerability.*"] });
                world.relay.create_custom_with(org, &world.receiver.url("/hook"), &wants).await;
            }
            world.relay.emit(&found(org, "1")).await;
        }
        world.run_until_idle().await;
    };
    let counted = async |world: &World, organizations: usize| {
        wait_until("all to be counted", LONG, || async {
            let settled = world.workers[0].metric("relay_settlements_total").await;
            (settled >= (organizations * CONNECTIONS) as f64).then_some(())
        })
        .await;
    };
    settle(&world, 2).await;
    counted(&world, 2).await;
    when_all_is_read(&world).await;
    let both = || async {
        [Scrape::of(&world.apis[0]).await.series(), Scrape::of(&world.workers[0]).await.series()]
    };
    let before = both().await;
    settle(&world, ORGANIZATIONS).await;
    counted(&world, ORGANIZATIONS + 2).await;
    assert_eq!(world.receiver.count("/hook"), (ORGANIZATIONS + 2) * CONNECTIONS);
    for (before, after) in before.iter().zip(both().await) {
        // What happens seldom may be told for the first time; what is told of each would be as many.
        let new: Vec<_> = after.difference(before).collect();
        assert!(new.len() < ORGANIZATIONS, "{new:#?}");
        assert!(after.len() < 600, "{} series", after.len());
    }
}
