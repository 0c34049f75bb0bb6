//! Watching what happens: each thing once, to those it concerns, through interruptions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tests::{Answer, LONG, World, event, new_id, wait_until};
use tokio::task::JoinSet;
use uuid::Uuid;

/// One event of a stream; a comment or a mere `id:` is none.
#[derive(Debug)]
struct Told {
    name: String,
    data: Value,
}

impl Told {
    fn id(&self) -> String {
        self.data["id"].as_str().unwrap_or_default().to_owned()
    }
}

/// Somebody who watches.
struct Stream {
    response: Response,
    buffer: String,
    last_id: String,
}

impl Stream {
    async fn try_open(world: &World, org: Uuid, query: &str, last_id: &str) -> Response {
        let path = format!("/api/organizations/{org}/live?{query}");
        let mut request =
            world.relay.request(Method::GET, &path).bearer_auth(world.relay.admin_token(org));
        if !last_id.is_empty() {
            request = request.header("last-event-id", last_id);
        }
        request.send().await.expect("the API answers")
    }

    async fn open(world: &World, org: Uuid, query: &str, last_id: &str) -> Self {
        let response = Self::try_open(world, org, query, last_id).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new(), last_id: last_id.to_owned() }
    }

    /// The next event; `None` where the stream ends.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let lines = block.lines().filter_map(|line| line.split_once(": "));
                let fields: BTreeMap<&str, &str> = lines.collect();
                if let Some(id) = fields.get("id") {
                    (*id).clone_into(&mut self.last_id);
                }
                let told = fields.get("data").map(|data| Told {
                    name: fields.get("event").copied().unwrap_or_default().to_owned(),
                    data: serde_json::from_str(data).expect("data is JSON"),
                });
                self.buffer = rest.to_owned();
                if told.is_some() {
                    return told;
                }
                continue;
            }
            let chunk = tokio::time::timeout(LONG, self.response.chunk()).await;
            let chunk = chunk.expect("something comes every 15 seconds").ok().flatten()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).expect("streams are UTF-8"));
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Told> {
        let mut told = Vec::new();
        while told.len() < count {
            told.push(self.next().await.expect("the stream goes on"));
        }
        told
    }

    /// Reads until there is an id to go on from.
    async fn wait_for_id(&mut self) -> String {
        while self.last_id.is_empty() {
            let chunk = tokio::time::timeout(LONG, self.response.chunk()).await;
            let chunk = chunk.expect("an id comes soon").expect("it goes on").expect("it goes on");
            self.buffer.push_str(std::str::from_utf8(&chunk).expect("streams are UTF-8"));
            for block in self.buffer.split("\n\n") {
                if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                    id.clone_into(&mut self.last_id);
                }
            }
        }
        self.last_id.clone()
    }
}

/// Attempts of made-up deliveries; their ids.
async fn record(
    executor: impl sqlx::PgExecutor<'_>,
    org: Uuid,
    count: i32,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "insert into relay.attempts (organization_id, delivery_id, number, connection_id, event_id,
                                     settlement, reason)
         select $1, relay.uuid7(), 0, $1, relay.uuid7(), 'skipped', 'connection_paused'
         from generate_series(1, $2)
         returning delivery_id::text",
    )
    .bind(org)
    .bind(count)
    .fetch_all(executor)
    .await
}

#[tokio::test]
async fn what_happens_is_told_to_its_own_organization_as_it_is_filtered() {
    let world = World::start().await;
    let (org, stranger) = (new_id(), new_id());
    world.receiver.answer("/flaky", [Answer::status(503), Answer::ok()]);
    let flaky = world.relay.create_custom(org, &world.receiver.url("/flaky")).await;
    let fine = world.relay.create_custom(org, &world.receiver.url("/fine")).await;
    world.relay.create_custom(stranger, &world.receiver.url("/theirs")).await;
    let mut all = Stream::open(&world, org, "", "").await;
    let mut theirs = Stream::open(&world, stranger, "", "").await;
    let query = format!("connection_id={}&status=delivered&status=dead", flaky.id);
    let mut some = Stream::open(&world, org, &query, "").await;
    let id = world.relay.emit(&event(org, "a.b", json!({ "marker": "1" }))).await;
    let told = all.take(3).await;
    assert!(told.iter().all(|told| told.name == "delivery" && told.data["event_id"] == json!(id)));
    let of = |connection: Uuid| -> Vec<&Value> {
        let to_it = |told: &&Told| told.data["connection_id"] == json!(connection);
        told.iter().filter(to_it).map(|told| &told.data).collect()
    };
    let (failed, arrived) = (of(flaky.id)[0], of(flaky.id)[1]);
    assert_eq!((&failed["status"], &failed["status_code"]), (&json!("pending"), &json!(503)));
    assert_eq!((&failed["attempts"], &failed["event"]), (&json!(1), &json!("a.b")));
    assert_eq!((&arrived["status"], &arrived["attempts"]), (&json!("delivered"), &json!(2)));
    assert_eq!((&arrived["event"], &arrived["class"]), (&json!("a.b"), &json!("retry")));
    assert!(arrived["at"].is_string() && arrived["id"] == failed["id"]);
    assert_eq!(of(fine.id).len(), 1);
    let told = some.next().await.expect("it goes on");
    assert_eq!((&told.data["status"], told.id()), (&json!("delivered"), told.id()));
    assert_eq!(told.data["connection_id"], json!(flaky.id), "the first that it hears at all");
    // The stranger hears of its own, and of nothing before that.
    let own = world.relay.emit(&event(stranger, "c.d", json!({ "marker": "2" }))).await;
    let told = theirs.next().await.expect("it goes on");
    assert_eq!(told.data["event_id"], json!(own), "the first that it hears at all");

    let path = format!("/api/organizations/{org}/live");
    world.relay.admin(stranger, Method::GET, &path, None).await.expect(404);
    for (query, code) in [
        ("status=lost", "invalid_filter"),
        ("connection_id=7", "invalid_filter"),
        ("event=a.b", "unknown_filter"),
    ] {
        let path = format!("{path}?{query}");
        let refused = world.relay.admin(org, Method::GET, &path, None).await.expect(422);
        assert_eq!(refused.code(), code, "{query}");
    }
}

/// F16: whatever order transactions end in, an unbroken stream tells of each once, and of none that
/// was rolled back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_each_commit_is_told_once_in_whatever_order_they_come() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let mut stream = Stream::open(&world, org, "", "").await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(16)
        .connect(&world.database_url())
        .await
        .expect("the database answers");
    let mut open = pool.begin().await.expect("a transaction can begin");
    let mut late = record(&mut *open, org, 2).await.expect("it records");
    let mut writers = JoinSet::new();
    for writer in 0..12_u32 {
        let pool = pool.clone();
        writers.spawn(async move {
            let mut committed = Vec::new();
            for n in 0..10 {
                let mut tx = pool.begin().await.expect("a transaction can begin");
                let ids = record(&mut *tx, org, 2).await.expect("it records");
                let pause = u64::from(rand::random::<u8>()) * 2;
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if (writer + n) % 10 == 0 {
                    tx.rollback().await.expect("it rolls back");
                } else {
                    tx.commit().await.expect("it commits");
                    committed.extend(ids);
                }
            }
            committed
        });
    }
    let mut expected: BTreeSet<String> = writers.join_all().await.into_iter().flatten().collect();
    let told = stream.take(expected.len()).await;
    let heard: BTreeSet<String> = told.iter().map(Told::id).collect();
    assert_eq!(heard, expected, "the open one holds nobody up");
    late.extend(record(&mut *open, org, 1).await.expect("it records"));
    open.commit().await.expect("it commits");
    expected = late.into_iter().collect();
    let heard: BTreeSet<String> = stream.take(3).await.iter().map(Told::id).collect();
    assert_eq!(heard, expected, "nothing comes twice before it");
}

/// Who comes back goes on where it was, at another process too, and misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_comes_back_misses_nothing() {
    let world = World::builder().api(2).workers(0).start().await;
    let org = new_id();
    let mut stream = Stream::open(&world, org, "", "").await;
    let mut last_id = stream.wait_for_id().await;
    let mut open = world.sql().begin().await.expect("a transaction can begin");
    let late = record(&mut *open, org, 1).await.expect("it records");
    let mut expected: BTreeSet<String> = late.into_iter().collect();
    let mut open = Some(open);
    let mut heard: Vec<String> = Vec::new();
    for round in 0..6 {
        // Things go on while nobody listens, and somebody who was open before ends.
        drop(stream);
        expected.extend(record(world.sql(), org, 20).await.expect("it records"));
        if let (3, Some(open)) = (round, open.take_if(|_| round == 3)) {
            open.commit().await.expect("it commits");
        }
        stream = Stream::open(&world, org, "", &last_id).await;
        expected.extend(record(world.sql(), org, 20).await.expect("it records"));
        // It is cut off in the middle of what it is told, or at its end.
        let count = if round % 2 == 0 { 40 } else { 7 };
        heard.extend(stream.take(count).await.iter().map(Told::id));
        last_id.clone_from(&stream.last_id);
    }
    while !heard.iter().collect::<BTreeSet<_>>().is_superset(&expected.iter().collect()) {
        heard.push(stream.next().await.expect("it goes on").id());
    }
    let repeated = heard.len() - expected.len();
    assert!(heard.iter().all(|id| expected.contains(id)));
    assert!(repeated <= 3 * 40, "only what a cut stream had half told comes again: {repeated}");

    // From where nobody can go on, one is told so; what is no position of ours is none.
    for (last_id, is_told) in [("1-1-", true), ("9999999999-1-", true), ("nonsense-\u{e9}", false)]
    {
        let mut stream = Stream::open(&world, org, "", last_id).await;
        let ids = record(world.sql(), org, 1).await.expect("it records");
        let mut next = stream.next().await.expect("it goes on");
        assert_eq!(next.name == "lagged", is_told, "{last_id}: {next:?}");
        while next.id() != ids[0] {
            next = stream.next().await.expect("it goes on");
        }
    }
}

/// B40: who watches sees how a replay of many gets on, to its end and the last arrival.
#[tokio::test]
async fn b40_the_progress_of_a_replay_is_told() {
    const COUNT: usize = 30;
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "100ms").start().await;
    let (org, stranger) = (new_id(), new_id());
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.change(org, hook.id, &json!({ "paused": true })).await.expect(200);
    let body = |n: usize| event(org, "a.b", json!({ "marker": n.to_string() }));
    world.relay.emit_batch(&(0..COUNT).map(body).collect::<Vec<_>>()).await;
    world.relay.change(org, hook.id, &json!({ "paused": false })).await.expect(200);
    let mut stream = Stream::open(&world, org, "status=dead", "").await;
    let mut theirs = Stream::open(&world, stranger, "", "").await;
    let path = format!("/api/organizations/{org}/replays");
    let asked = json!({ "selection": { "status": ["skipped"] }, "rate_per_second": 20 });
    let replay = world.relay.admin(org, Method::POST, &path, Some(&asked)).await.expect(202).json();
    let mut heard: Vec<Value> = Vec::new();
    while heard.last().is_none_or(|last| last["delivered"] != json!(COUNT)) {
        let told = stream.next().await.expect("it goes on");
        assert_eq!((told.name.as_str(), &told.data["id"]), ("replay", &replay["id"]));
        heard.push(told.data);
    }
    let last = heard.last().expect("it was told");
    assert_eq!((&last["total"], &last["done"]), (&json!(COUNT), &json!(COUNT)), "{heard:?}");
    assert!(heard.len() > 1, "it was told on the way as well");
    let done: Vec<i64> = heard.iter().filter_map(|one| one["done"].as_i64()).collect();
    assert!(done.is_sorted() && done.len() == heard.len(), "{done:?}");
    let own = record(world.sql(), stranger, 1).await.expect("it records");
    assert_eq!(theirs.next().await.expect("it goes on").id(), own[0], "the first that they hear");
}

/// More than can be told one by one is said to be so, to those whom it concerns.
#[tokio::test]
async fn a_flood_is_not_told_one_by_one() {
    let world = World::builder().workers(0).start().await;
    let (org, other) = (new_id(), new_id());
    let mut stream = Stream::open(&world, org, "", "").await;
    let mut others = Stream::open(&world, other, "", "").await;
    record(world.sql(), org, 1_500).await.expect("it records");
    let lagged = stream.next().await.expect("it goes on");
    assert_eq!((lagged.name.as_str(), &lagged.data), ("lagged", &json!({ "goes_on": true })));
    let own = record(world.sql(), org, 1).await.expect("it records").remove(0);
    assert_eq!(stream.next().await.expect("it goes on").id(), own);
    let ids = record(world.sql(), other, 1).await.expect("it records");
    assert_eq!(others.next().await.expect("it goes on").id(), ids[0], "it hears of no flood");
    // The same for who comes back after it.
    let last_id = stream.wait_for_id().await;
    drop(stream);
    record(world.sql(), org, 1_500).await.expect("it records");
    let mut stream = Stream::open(&world, org, "", &last_id).await;
    let mut told = stream.next().await.expect("it goes on");
    while told.name == "delivery" {
        assert_eq!(told.id(), own, "what was half told comes again, and nothing of the flood");
        told = stream.next().await.expect("it goes on");
    }
    assert_eq!(told.name, "lagged");
}

/// A made-up position with very much behind it has nobody read all that: the lists are read anew.
#[tokio::test]
async fn a_position_too_far_back_is_answered_by_lagged() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    record(world.sql(), org, 1).await.expect("it is recorded");
    sqlx::raw_sql(
        "do $$ begin
             for n in 1..51000 loop perform pg_current_xact_id(); commit; end loop;
         end $$",
    )
    .execute(world.sql())
    .await
    .expect("many transactions end");
    let id = Stream::open(&world, org, "", "").await.wait_for_id().await;
    let begins: Vec<&str> = id.split('-').take(2).collect(); // The database and the time.
    let id = format!("{}-3-", begins.join("-"));
    let mut stream = Stream::open(&world, org, "", &id).await;
    let told = stream.next().await.expect("it is answered");
    assert_eq!((told.name.as_str(), &told.data["goes_on"]), ("lagged", &json!(true)));
    let recorded = record(world.sql(), org, 1).await.expect("it is recorded");
    assert_eq!(stream.next().await.map(|told| told.id()).as_deref(), Some(&*recorded[0]));
}

/// Whoever stands between keeps a stream open on which nothing happens.
#[tokio::test]
async fn something_comes_while_nothing_happens() {
    let world = World::builder().workers(0).start().await;
    let mut stream = Stream::open(&world, new_id(), "", "").await;
    stream.wait_for_id().await;
    // Fifteen seconds, and some for a slow machine.
    let chunk = tokio::time::timeout(Duration::from_secs(20), stream.response.chunk()).await;
    let chunk = chunk.expect("something comes").expect("it goes on").expect("it goes on");
    let text = std::str::from_utf8(&chunk).expect("streams are UTF-8");
    let says_nothing = |line: &str| line.starts_with(':') || line.starts_with("id: ");
    let mut lines = text.lines().filter(|line| !line.is_empty()).peekable();
    assert!(lines.peek().is_some() && lines.all(says_nothing), "{text:?}");
}

/// Only so many watch one organization; who leaves makes room.
#[tokio::test]
async fn the_streams_of_an_organization_are_counted() {
    let world = World::builder().workers(0).start().await;
    let (org, other) = (new_id(), new_id());
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(Stream::open(&world, org, "", "").await);
    }
    let refused = Stream::try_open(&world, org, "", "").await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let body: Value = refused.json().await.expect("a refusal is JSON");
    assert_eq!(body["code"], "too_many_streams");
    Stream::open(&world, other, "", "").await;
    streams.pop();
    wait_until("there to be room again", LONG, || async {
        // What is written to one who left shows that it left.
        record(world.sql(), org, 1).await.expect("it records");
        tokio::time::sleep(Duration::from_millis(500)).await;
        (Stream::try_open(&world, org, "", "").await.status() == 200).then_some(())
    })
    .await;
}

/// B38: a process that is asked to stop ends its streams instead of waiting for them.
#[tokio::test]
async fn b38_streams_end_when_the_process_stops() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let mut stream = Stream::open(&world, org, "", "").await;
    stream.wait_for_id().await;
    let began = Instant::now();
    world.apis[0].sigterm();
    while stream.next().await.is_some() {}
    let status = world.apis[0].wait_exit(Duration::from_secs(15)).await;
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < Duration::from_secs(15), "it waited for the stream");
    // And goes on from there once it is back.
    let last_id = stream.last_id.clone();
    let ids = record(world.sql(), org, 1).await.expect("it records");
    world.apis[0].restart();
    world.apis[0].wait_ready().await;
    let mut stream = Stream::open(&world, org, "", &last_id).await;
    assert_eq!(stream.next().await.expect("it goes on").id(), ids[0]);
}
