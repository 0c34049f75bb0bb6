//! Secrets that were planted everywhere, looked for everywhere else: while all that can succeed does,
//! and all that can fail does, with the log at its finest.

pub(crate) mod forms;

use mock_providers::{Answer as MockAnswer, Matcher};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{Answer, Answered, LONG, Process, World, event, new_id, wait_until};
use url::Url;
use uuid::Uuid;

use self::forms::Canary;
use super::{secrets::everything, tracing::collector::Collector};

const KEY: &str = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmE=";
const OLD_KEY: &str = "b2xkLW9sZC1vbGQtb2xkLW9sZC1jYW5hcnktY2FuYXI=";
const PASSWORD: &str = "canary-p4ssw0rd-of-the-database";
const COLLECTOR_KEY: &str = "canary-key-of-the-collector-77aa";
const HEADER: &str = "canary-header-value-1f2e3d";
const WRONG_SERVICE_KEY: &str = "canary-wrong-service-key-91b3";
const COOKIE: &str = "canary-cookie-of-the-receiver-5e6f";

/// What was found out about while the scenario ran.
#[derive(Default)]
struct Seen {
    secrets: Vec<Canary>,
    /// Where, and what stands there.
    texts: Vec<(String, String)>,
}

impl Seen {
    fn plant(&mut self, name: &str, secret: impl AsRef<str>) {
        self.secrets.push(Canary::new(name, secret.as_ref()));
    }

    fn text(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.texts.push((place.into(), text.into()));
    }

    /// Keeps an answer, its headers and all.
    fn answer(&mut self, place: &str, answer: &Answered) {
        let body = String::from_utf8_lossy(&answer.body);
        self.text(format!("{place} ({})", answer.status), format!("{:?}\n{body}", answer.headers));
    }

    /// Sends what is to be refused.
    async fn refused(&mut self, world: &World, place: &str, request: RequestBuilder) {
        let answer = world.relay.send(request).await;
        assert!((400..600).contains(&answer.status), "{place}: {}", answer.status);
        self.answer(place, &answer);
    }

    async fn process(&mut self, process: &Process) {
        let metrics = process.metrics().await;
        assert!(metrics.contains("relay_"), "{metrics}");
        self.text(format!("the metrics of {}", process.name), metrics);
    }

    fn leaks(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (place, text) in &self.texts {
            let here =
                self.secrets.iter().filter_map(|secret| Some((secret, secret.stands_in(text)?)));
            found.extend(here.map(|(secret, how)| format!("{} in {place}, {how}", secret.name)));
        }
        found.sort();
        found.dedup();
        found
    }
}

async fn world(collector: &Collector) -> World {
    let mut world = World::builder()
        .providers()
        .workers(0)
        .env("RUST_LOG", "info,engine=trace,workers=trace,api=trace,relay=trace")
        .env("RELAY_LOG_FORMAT", "json")
        .env("RELAY_ENCRYPTION_KEY", KEY)
        .env("RELAY_ENCRYPTION_KEY_PREVIOUS", OLD_KEY)
        .env("RELAY_RETRY_SCHEDULE", "200ms")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .env("OTEL_EXPORTER_OTLP_HEADERS", &format!("x-api-key={COLLECTOR_KEY}"))
        .start()
        .await;
    // Where the tests' Postgres asks for none, it does not mind a password either.
    let mut url = Url::parse(&world.database_url()).expect("a URL");
    if url.password().is_none() {
        url.set_password(Some(PASSWORD)).expect("it can have one");
    }
    world.add_worker(&[("DATABASE_URL", url.as_str())]);
    world.wait_ready().await;
    world
}

/// A custom webhook whose receiver repeats what it is told, first in an error.
async fn webhooks(world: &World, seen: &mut Seen, org: Uuid) {
    let repeats = format!("{{\"you sent\":\"{HEADER}\"}}");
    let refusal = |status| {
        let cookie = format!("session={COOKIE}");
        Answer::status(status)
            .header("Set-Cookie", &cookie)
            .header("X-Seen", HEADER)
            .body(repeats.clone())
    };
    world.receiver.answer("/fails", [refusal(500), refusal(403)]);
    world.receiver.answer("/works", [refusal(200)]);
    world.receiver.answer("/breaks", [Answer::Gibberish]);
    let mut last = None;
    for path in ["/fails", "/works", "/breaks"] {
        let hook = world.relay.create_custom(org, &world.receiver.url(path)).await;
        let headers =
            json!({ "headers": { "X-Team": HEADER, "Authorization": format!("Bearer {HEADER}") } });
        world.relay.change(org, hook.id, &headers).await.expect(200);
        seen.plant("a signing secret", &hook.secret);
        seen.plant("a signing secret's bytes", hook.secret.trim_start_matches("whsec_"));
        last = Some(hook);
    }
    let hook = last.expect("three were made");
    let custom = format!("/api/integrations/organizations/{org}/custom-integrations/{}", hook.id);
    let change = json!({ "regenerate_secret": true, "secret_overlap_seconds": 60 });
    let fresh = world.relay.admin(org, Method::PUT, &custom, Some(&change)).await.expect(200);
    let fresh = fresh.json()["secret"].as_str().expect("shown once").to_owned();
    world.relay.keep_secret(&world.receiver.url("/breaks"), &fresh);
    seen.plant("a new signing secret", fresh);
    let test = world.relay.admin(org, Method::POST, &format!("{custom}/test"), None).await;
    seen.answer("a test", &test);
    let bad = json!({ "headers": { "X-Bad": format!("{HEADER}\n") } });
    let refused = world.relay.change(org, hook.id, &bad).await;
    assert_eq!(refused.status / 100, 4);
    seen.answer("a header that is refused", &refused);
}

/// Consents that end well, twice, with an invented code, and with somebody else's state.
async fn consents(world: &World, seen: &mut Seen, org: Uuid) {
    let visit = world.relay.visit(org, "linear", &[]).await;
    let back = world.mocks().consent(&visit.redirect_url).await;
    let cookie = visit.cookie.as_deref();
    if let Some((_, value)) = cookie.and_then(|cookie| cookie.split_once('=')) {
        seen.plant("a browser's cookie", value);
    }
    let parameter = |address: &str, name: &str| {
        let url = Url::parse(address).expect("an address");
        let found = url.query_pairs().find(|(found, _)| found == name);
        found.map(|(_, value)| value.into_owned()).expect("a provider sends it")
    };
    seen.plant("a code", parameter(&back, "code"));
    seen.plant("a state", parameter(&back, "state"));
    seen.answer("a consent", &world.relay.come_back(&back, cookie).await.expect(302));
    seen.answer("the same again", &world.relay.come_back(&back, cookie).await.expect(302));

    let visit = world.relay.visit(org, "asana", &[]).await;
    let back = world.mocks().consent(&visit.redirect_url).await;
    seen.plant("an unused code", parameter(&back, "code"));
    seen.plant("a second state", parameter(&back, "state"));
    let forged = back.replace(&parameter(&back, "code"), "canary-forged-code-8d7c");
    seen.plant("a forged code", "canary-forged-code-8d7c");
    seen.answer("a forged code", &world.relay.come_back(&forged, visit.cookie.as_deref()).await);
    let forged = back.replace(&parameter(&back, "state"), "canary-forged-state-6b5a");
    seen.plant("a forged state", "canary-forged-state-6b5a");
    seen.answer("a forged state", &world.relay.come_back(&forged, visit.cookie.as_deref()).await);
}

/// Providers that work, whose tokens run out, and that take them back.
async fn providers(world: &World, seen: &mut Seen, org: Uuid) {
    let mocks = world.mocks();
    for provider in ["linear", "asana"] {
        world.relay.connect_whole(mocks, org, provider).await;
    }
    let slack = world.relay.connect_whole(mocks, org, "slack").await;
    let slack = slack["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let data = json!({
        "vulnerability_id": "CVE-2026-1", "severity": "critical", "package": "lodash",
        "version": "4.17.20", "project": "my-project", "marker": "works",
    });
    let body = event(org, "vulnerability.found", data);
    world.relay.emit(&body).await;
    world.run_until_idle().await;

    mocks.linear().expire_tokens();
    mocks.asana().fail_times(1, Matcher::post("/-/oauth_token"), MockAnswer::status(503));
    mocks.asana().expire_tokens();
    mocks.slack().revoke_grants();
    world.relay.emit(&body).await;
    wait_until("slack to be in error", LONG, || async {
        let now = world.relay.connection(org, slack).await.expect(200).json();
        (now["status"] == "error").then_some(())
    })
    .await;
    world.run_until_idle().await;
    // The operator's own registration is wrong.
    mocks.asana().change_client_secret();
    mocks.asana().expire_tokens();
    world.relay.emit(&body).await;
    wait_until("the operator's fault to be counted", LONG, || async {
        (world.workers[0].metric("relay_operator_faults_total").await > 0.0).then_some(())
    })
    .await;
    for secret in mocks.secrets() {
        seen.plant("a secret of a provider", secret);
    }
}

/// Callers without a right to call, or with nothing sensible to say.
async fn strangers(world: &World, seen: &mut Seen, org: Uuid) {
    let relay = &world.relay;
    let token = relay.admin_token(org);
    let foreign = relay.admin_token(new_id());
    let broken = format!("{}x", relay.admin_token(org));
    seen.plant("a user's token", &token);
    seen.plant("a stranger's token", &foreign);
    seen.plant("a broken token", &broken);
    seen.plant("a wrong service key", WRONG_SERVICE_KEY);
    let path = format!("/api/organizations/{org}/deliveries");
    let with = |token: &str| relay.request(Method::GET, &path).bearer_auth(token);
    seen.answer("an admin's list", &relay.send(with(&token)).await.expect(200));
    seen.refused(world, "a stranger", with(&foreign)).await;
    seen.refused(world, "a broken token", with(&broken)).await;
    let post =
        |key: &str| relay.request(Method::POST, "/v1/events").header("x-internal-api-key", key);
    let one = event(org, "a.b", json!({}));
    seen.refused(world, "a wrong key", post(WRONG_SERVICE_KEY).json(&one)).await;
    for (place, body) in [("no JSON", "{"), ("no event", r#"{"type":"a.b"}"#), ("no list", "[]")] {
        let request = post(relay.service_key()).header("content-type", "application/json");
        seen.refused(world, place, request.body(body)).await;
    }
    let lease = format!("/internal/connections/{}/token", new_id());
    let request =
        relay.request(Method::POST, &lease).header("x-internal-api-key", relay.service_key());
    seen.refused(world, "a token of nobody's", request).await;
    let nowhere = relay.request(Method::GET, &format!("{path}/{}", new_id())).bearer_auth(&token);
    seen.refused(world, "a delivery of nobody's", nowhere).await;
}

/// B22: no secret is in a log, a span, a metric, an answer or a table, in no form that it can be written
/// in; not even when everything fails.
#[tokio::test]
async fn b22_no_canary_is_found_in_logs_spans_metrics_answers_or_tables() {
    let collector = Collector::start().await;
    let world = world(&collector).await;
    let mut seen = Seen::default();
    let org = new_id();
    for (name, secret) in [
        ("the encryption key", KEY),
        ("the previous encryption key", OLD_KEY),
        ("the database's password", PASSWORD),
        ("the collector's key", COLLECTOR_KEY),
        ("a header's value", HEADER),
        ("a receiver's cookie", COOKIE),
    ] {
        seen.plant(name, secret);
    }
    seen.plant("the service key", world.relay.service_key());
    seen.plant("the secret of tokens", world.relay.jwt_secret());

    webhooks(&world, &mut seen, org).await;
    consents(&world, &mut seen, org).await;
    providers(&world, &mut seen, org).await;
    strangers(&world, &mut seen, org).await;
    for delivery in world.relay.deliveries(org).await {
        let path = format!(
            "/api/organizations/{org}/deliveries/{}",
            delivery["id"].as_str().expect("an id")
        );
        let shown = world.relay.admin(org, Method::GET, &path, None).await.expect(200);
        seen.answer("a delivery", &shown);
    }
    for process in world.apis.iter().chain(&world.workers) {
        seen.process(process).await;
    }
    for process in world.workers.iter().chain(&world.apis) {
        process.sigterm();
        assert!(process.wait_exit(LONG).await.success(), "{}", process.log());
    }
    for process in world.apis.iter().chain(&world.workers) {
        let log = process.log();
        check_lines(&log);
        seen.text(format!("the log of {}", process.name), log);
    }
    let arrivals = collector.0.all();
    assert!(collector.spans().len() > 10, "spans were told");
    assert!(arrivals.iter().all(|arrival| arrival.header("x-api-key") == COLLECTOR_KEY));
    for arrival in arrivals {
        seen.text("what the collector was told", String::from_utf8_lossy(&arrival.body));
    }
    for (table, row) in everything(&world).await {
        seen.text(table, row);
    }
    assert!(seen.secrets.len() > 30 && seen.texts.len() > 100);
    assert_eq!(seen.leaks(), Vec::<String>::new());
}

/// Each line is an object with the documented names; some line is about a delivery and its trace.
fn check_lines(log: &str) {
    let mut is_in_a_trace = false;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        for name in ["timestamp", "level", "target", "message"] {
            assert!(line[name].is_string(), "{name} in {line}");
        }
        if line["delivery.id"].is_string() && line["trace_id"].is_string() {
            is_in_a_trace = true;
            let names = ["event.id", "connection.id", "organization.id", "provider"];
            assert!(names.iter().all(|name| line[name].is_string()), "{line}");
        }
    }
    assert!(is_in_a_trace || !log.contains("the workers are delivering"), "{log}");
}
