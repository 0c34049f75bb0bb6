//! One trace from what the core did to every attempt, told to a collector of the test's own.

pub(crate) mod collector;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Answered, ClosedPort, LONG, World, WorldBuilder, event, new_id, wait_until};
use uuid::Uuid;

use self::collector::Collector;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CORE: &str = "00f067aa0ba902b7";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn given() -> String {
    format!("00-{TRACE}-{CORE}-01")
}

fn collected(collector: &Collector) -> WorldBuilder {
    World::builder().env(ENDPOINT, &collector.endpoint())
}

async fn post(world: &World, body: &Value, traceparents: &[&str]) -> Answered {
    let mut request = world.relay.request(Method::POST, "/v1/events");
    for traceparent in traceparents {
        request = request.header("traceparent", *traceparent);
    }
    let request = request.header("x-internal-api-key", world.relay.service_key()).json(body);
    world.relay.send(request).await.expect(202)
}

fn id_of(answer: &Answered) -> Uuid {
    answer.json()["id"].as_str().and_then(|id| id.parse().ok()).expect("202 tells the id")
}

/// What the log keeps of an event's trace.
async fn kept(world: &World, event: Uuid) -> Option<String> {
    let asked = sqlx::query_scalar("select traceparent from relay.event_log where id = $1");
    asked.bind(event).fetch_one(world.sql()).await.expect("it is recorded")
}

/// Records an event as the core does, in a transaction that may have been given a trace.
async fn emit_in_sql(world: &World, org: Uuid, traceparent: Option<&str>) -> Uuid {
    let mut tx = world.sql().begin().await.expect("the database answers");
    if let Some(traceparent) = traceparent {
        sqlx::query("select set_config('relay.traceparent', $1, true)")
            .bind(traceparent)
            .execute(&mut *tx)
            .await
            .expect("a setting of our own can be set");
    }
    let id = sqlx::query_scalar("select relay.emit('a.b', $1, '{}')")
        .bind(org)
        .fetch_one(&mut *tx)
        .await
        .expect("no trace keeps an event from being recorded");
    tx.commit().await.expect("the database answers");
    id
}

/// One trace: the core's span, the recording in the API's process, two attempts in the worker's.
#[tokio::test]
async fn one_trace_goes_from_the_core_through_the_recording_to_every_attempt() {
    let collector = Collector::start().await;
    let world = collected(&collector).env("OTEL_SERVICE_NAME", "relay-under-test").start().await;
    let org = new_id();
    world.receiver.answer("/hook?token=canary-url", [Answer::status(500), Answer::ok()]);
    let url = world.receiver.url("/hook?token=canary-url");
    let hook = world.relay.create_custom(org, &url).await;
    let data = json!({ "marker": "canary-data" });
    let emitted = id_of(&post(&world, &event(org, "a.b", data), &[&given()]).await);
    let delivery = world.relay.settled(org, emitted, hook.id, "delivered").await;
    let spans = collector.wait_for(TRACE, 3).await;

    assert_eq!(spans.len(), 3, "{spans:#?}");
    assert!(spans.iter().all(|span| span.service == "relay-under-test"));
    let recording = spans.iter().find(|span| span.name == "POST /v1/events").expect("it was told");
    assert_eq!((recording.parent.as_str(), recording.failed), (CORE, false));
    assert_eq!(recording.says("http.response.status_code"), "202");
    assert_eq!(recording.says("events"), "1");
    let parent = format!("00-{TRACE}-{}-01", recording.id);
    assert_eq!(kept(&world, emitted).await, Some(parent));
    let mut attempts: Vec<_> = spans.iter().filter(|span| span.name == "deliver").collect();
    attempts.sort_by_key(|span| span.says("attempt").to_owned());
    let told: Vec<_> = attempts
        .iter()
        .map(|span| {
            let says = ["attempt", "settlement", "verdict", "http.response.status_code"];
            (says.map(|name| span.says(name)), span.failed)
        })
        .collect();
    assert_eq!(
        told,
        [
            (["1", "retrying", "retry", "500"], true),
            (["2", "delivered", "delivered", "200"], false)
        ]
    );
    let arrivals = world.receiver.arrivals("/hook?token=canary-url");
    for (attempt, arrival) in attempts.iter().zip(&arrivals) {
        assert_eq!(attempt.parent, recording.id, "{attempt:?}");
        assert_eq!(attempt.says("event.id"), emitted.to_string());
        assert_eq!(attempt.says("delivery.id"), delivery["id"]);
        assert_eq!(attempt.says("connection.id"), hook.id.to_string());
        assert_eq!(attempt.says("organization.id"), org.to_string());
        assert_eq!(attempt.says("provider"), "custom_notification");
        // The receiver's own spans can be children of the attempt.
        assert_eq!(arrival.header("traceparent"), format!("00-{TRACE}-{}-01", attempt.id));
    }
    let shown = &delivery["attempt_list"][1]["request"]["headers"];
    assert!(shown.to_string().contains(arrivals[1].header("traceparent")), "{shown}");
    for arrival in collector.0.all() {
        let told = String::from_utf8_lossy(&arrival.body).into_owned();
        assert!(!told.contains("canary"), "a span tells what was sent, or where to");
    }
}

/// The core's own transaction says which trace it is part of; without that an event has the
/// trace of its id, so that its attempts are found together all the same.
#[tokio::test]
async fn what_is_recorded_in_sql_is_in_the_trace_of_its_transaction() {
    let collector = Collector::start().await;
    let world = collected(&collector).start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok(), Answer::status(500), Answer::ok()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let traced = emit_in_sql(&world, org, Some(&given())).await;
    assert_eq!(kept(&world, traced).await, Some(given()));
    world.relay.settled(org, traced, hook.id, "delivered").await;
    let spans = collector.wait_for(TRACE, 1).await;
    assert_eq!((spans[0].name.as_str(), spans[0].parent.as_str()), ("deliver", CORE));

    // On the same connection perhaps: the setting ended with its transaction.
    let untraced = emit_in_sql(&world, org, None).await;
    assert_eq!(kept(&world, untraced).await, None);
    world.relay.settled(org, untraced, hook.id, "delivered").await;
    let spans = collector.wait_for(&untraced.simple().to_string(), 2).await;
    assert!(spans.iter().all(|span| span.parent.is_empty()), "{spans:?}");
    assert_ne!(spans[0].id, spans[1].id);
    let said = world.receiver.arrivals("/hook")[2].header("traceparent").to_owned();
    assert!(said.contains(&untraced.simple().to_string()), "{said}");
}

/// A malformed traceparent harms nothing, over HTTP and in SQL; and off by default nothing is
/// made or sent, while what the core gave is kept and passed on as it is.
#[tokio::test]
async fn a_malformed_traceparent_is_passed_over_and_without_a_collector_none_is_made() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let (upper, zero) = (given().to_uppercase(), given().replace(TRACE, &"0".repeat(32)));
    let later = given().replacen("00", "01", 1);
    let long = format!("{}-{}", given(), "x".repeat(5_000));
    let odd =
        [upper.as_str(), &zero, &later, &long, "", "nonsense", "00-~-~-01", "'; drop table x; --"];
    let mut sent = 0;
    for text in odd {
        let emitted = emit_in_sql(&world, org, Some(text)).await;
        assert_eq!(kept(&world, emitted).await, None, "{text}");
        let answer = post(&world, &event(org, "a.b", json!({})), &[text]).await;
        assert_eq!(kept(&world, id_of(&answer)).await, None, "{text}");
        sent += 2;
    }
    // Two of them contradict each other.
    post(&world, &event(org, "a.b", json!({})), &[&given(), &given()]).await;
    let arrivals = world.receiver.wait_for("/hook", sent + 1).await;
    assert!(arrivals.iter().all(|arrival| arrival.header("traceparent").is_empty()));

    // All of a batch, one that is refused aside.
    let batch =
        json!([event(org, "a.b", json!({})), { "type": "a.b" }, event(org, "a.c", json!({}))]);
    let results = post(&world, &batch, &[&given()]).await.json();
    assert_eq!(results["results"][1]["code"], "missing_field");
    let arrivals = world.receiver.wait_for("/hook", sent + 3).await;
    let said: Vec<_> =
        arrivals.iter().map(|a| a.header("traceparent")).filter(|v| !v.is_empty()).collect();
    assert_eq!(said, [given(), given()], "as it came: nobody tells of the attempts");
    world.run_until_idle().await;
    for process in world.apis.iter().chain(&world.workers) {
        assert!(!process.metrics().await.contains("relay_spans_total{"), "{}", process.name);
        assert!(!process.log().contains("spans are exported"));
    }
}

/// The database itself takes no other form, whoever writes.
#[tokio::test]
async fn the_log_takes_no_malformed_traceparent() {
    let world = World::builder().api(0).workers(0).start().await;
    for text in ["", "nonsense", &given().to_uppercase(), &format!("{}0", given())] {
        let error = sqlx::query(
            "insert into relay.event_log (id, category, organization_id, kind, payload, occurred_at, traceparent)
             values (relay.uuid7(), 'product', $1, 'a.b', '{}', now(), $2)",
        )
        .bind(new_id())
        .bind(text)
        .execute(world.sql())
        .await
        .expect_err(text);
        let error = error.into_database_error().expect("the database's own");
        assert_eq!(error.constraint(), Some("event_log_traceparent_grammar"), "{text}");
    }
}

/// Whether spans are told is the caller's decision, and else a share's; all is delivered, and the
/// receiver hears the same.
#[tokio::test]
async fn unsampled_traces_are_kept_and_passed_on_but_not_told() {
    let collector = Collector::start().await;
    let world = collected(&collector).env("OTEL_TRACES_SAMPLER_ARG", "0").start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let unwanted = given().replace("-01", "-00");
    post(&world, &event(org, "a.b", json!({})), &[&unwanted]).await;
    emit_in_sql(&world, org, None).await;
    let arrivals = world.receiver.wait_for("/hook", 2).await;
    for arrival in &arrivals {
        assert!(arrival.header("traceparent").ends_with("-00"), "{:?}", arrival.headers);
    }
    // One that the core wants is told, and comes after the others would have.
    post(&world, &event(org, "a.b", json!({})), &[&given()]).await;
    collector.wait_for(TRACE, 2).await;
    assert_eq!(collector.spans().len(), 2, "{:#?}", collector.spans());
}

/// What is gathered when a process ends is told before it does.
#[tokio::test]
async fn the_last_spans_are_told_when_a_process_ends() {
    let collector = Collector::start().await;
    let world = collected(&collector).start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    post(&world, &event(org, "a.b", json!({})), &[&given()]).await;
    world.receiver.wait_for("/hook", 1).await;
    world.run_until_idle().await;
    for process in world.workers.iter().chain(&world.apis) {
        process.sigterm();
        assert!(process.wait_exit(LONG).await.success(), "{}", process.log());
    }
    assert_eq!(collector.of(TRACE).len(), 2, "nothing is to wait for");
}

/// A collector that is away, refuses, or never answers costs spans, never a delivery; and a
/// process that ends does not wait for it.
#[tokio::test]
async fn a_collector_that_does_not_work_costs_spans_and_no_delivery() {
    let collector = Collector::start().await;
    collector.answer(Answer::ok().held());
    let closed = ClosedPort::take();
    let mut world = collected(&collector).workers(0).start().await;
    let away = format!("http://127.0.0.1:{}", closed.port);
    world.add_worker(&[(ENDPOINT, &away)]);
    world.wait_ready().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    for _ in 0..5 {
        post(&world, &event(org, "a.b", json!({})), &[&given()]).await;
    }
    world.receiver.wait_for("/hook", 5).await;
    world.run_until_idle().await;
    wait_until("the spans to be counted as refused", LONG, || async {
        let refused = world.workers[0].metric("relay_spans_total").await;
        (refused >= 5.0).then_some(())
    })
    .await;
    wait_until("the log to say so", LONG, || async {
        world.workers[0].log().contains("the collector does not take spans").then_some(())
    })
    .await;
    wait_until("the collector to hold its answer", LONG, || async {
        (collector.0.connections() > 0).then_some(())
    })
    .await;
    for process in world.apis.iter().chain(&world.workers) {
        process.sigterm();
        let status = process.wait_exit(LONG).await;
        assert!(status.success(), "{}", process.log());
    }
}
