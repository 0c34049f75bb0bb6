//! Names as receivers' name servers have them: mixed, moving, aliased, slow, broken; and our own away.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Answer, Arrival, LONG, NameServer, Outcome, Said, World, WorldBuilder, event, new_id,
    wait_until,
};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{bad_urls::strict, delivery::found};

/// Where the organization's people read what happens to its connections.
const OPS: &str = "/ops";
/// The one inner address that the operator opened: our receiver's.
const OPENED: &str = "127.0.0.1";
/// Another, that is as closed as all others.
const CLOSED: &str = "127.0.0.2";

/// A world that asks this name server, and sends to no inner address but [`OPENED`].
fn asking(names: &NameServer) -> WorldBuilder {
    World::builder()
        .env("RELAY_DNS_SERVERS", &names.setting())
        .env("RELAY_ALLOW_PRIVATE_NETWORKS", &format!("{OPENED}/32"))
}

/// Addresses where nobody may knock, on the port of the receiver.
struct Traps(Vec<TcpListener>);

impl Traps {
    async fn on(port: u16) -> Self {
        let closed = TcpListener::bind((CLOSED, port)).await.expect("all of 127.0.0.0/8 is ours");
        // Not every machine has the other family.
        let other = TcpListener::bind(("::1", port)).await.ok();
        Self(std::iter::once(closed).chain(other).collect())
    }

    async fn untouched(&self) {
        for trap in &self.0 {
            let knock = tokio::time::timeout(Duration::from_millis(100), trap.accept()).await;
            assert!(knock.is_err(), "a connection arrived: {knock:?}");
        }
    }
}

/// A webhook that wants findings, at this name and the receiver's port; its arrivals will be verified.
async fn hook_at(world: &World, org: Uuid, name: &str, path: &str) -> Uuid {
    let url = format!("http://{name}:{}{path}", world.receiver.port());
    let wants = json!({ "event_types": ["vulnerability.*"] });
    let hook = world.relay.create_custom_with(org, &url, &wants).await;
    world.relay.keep_secret(&world.receiver.url(path), &hook.secret);
    hook.id
}

fn attempts(delivery: &Value) -> Vec<&Value> {
    delivery["attempt_list"].as_array().expect("attempts").iter().collect()
}

fn classes(delivery: &Value) -> Vec<&str> {
    attempts(delivery).iter().map(|a| a["error_class"].as_str().unwrap_or("none")).collect()
}

/// The connections of which people were told that deliveries ran out of retries.
fn told(world: &World) -> Vec<String> {
    let exhausted = |body: &Value| body["event"] == "connection.deliveries_exhausted";
    let told = world.receiver.arrivals(OPS);
    let mut told: Vec<String> = told
        .iter()
        .map(Arrival::json)
        .filter(exhausted)
        .map(|body| body["data"]["connection_id"].as_str().expect("an id").to_owned())
        .collect();
    told.sort();
    told
}

/// I19, I20, I22: any inner address among the answers, of either family and behind any alias, blocks
/// the name, though another address of it would be allowed. Each attempt is recorded as blocked, the
/// endpoint's owner is told, and nobody tries for ever.
#[tokio::test]
async fn i19_i20_i22_one_inner_address_among_the_answers_blocks_the_name() {
    let names = NameServer::start().await;
    let world = asking(&names)
        .env("RELAY_RETRY_SCHEDULE", "200ms")
        .env("RELAY_DISABLE_AFTER", "1m")
        .start()
        .await;
    let traps = Traps::on(world.receiver.port()).await;
    let org = new_id();
    let wants = json!({ "event_types": ["connection.*"] });
    world.relay.create_custom_with(org, &world.receiver.url(OPS), &wants).await;

    let alias = |target: &str| Said::Alias(target.to_owned());
    names.says("inner.chain.example", [Said::addresses(&[CLOSED])]);
    names.says("two.chain.example", [alias("inner.chain.example")]);
    names.says("one.chain.example", [alias("two.chain.example")]);
    names.says("metadata.google.internal", [Said::addresses(&["169.254.169.254"])]);
    let blocked = [
        ("families.example", Said::addresses(&[OPENED, "::1"])), // I19
        ("mixed.example", Said::addresses(&[OPENED, CLOSED])),   // I20
        ("mixed-again.example", Said::addresses(&["10.0.0.7", OPENED])),
        ("inner.example", Said::addresses(&[CLOSED])),
        ("zero.example", Said::addresses(&["0.0.0.0"])),
        ("mapped.example", Said::addresses(&["::ffff:127.0.0.2"])),
        ("translated.example", Said::addresses(&["64:ff9b::7f00:2"])),
        ("unique.example", Said::addresses(&["fd00:ec2::254"])),
        ("chain.example", alias("one.chain.example")), // I22
        ("metadata.example", alias("metadata.google.internal")),
    ];
    let mut hooks = Vec::new();
    for (n, (name, said)) in blocked.iter().enumerate() {
        names.says(name, [said.clone()]);
        hooks.push(hook_at(&world, org, name, &format!("/blocked-{n}")).await);
    }
    // What is not blocked is sent: by its own address, by an alias, and beside a family that is empty.
    names.says("good.example", [Said::addresses(&[OPENED])]);
    names.says("alias.example", [alias("good.example")]);
    let mut good = Vec::new();
    for name in ["good.example", "alias.example"] {
        good.push(hook_at(&world, org, name, &format!("/{name}")).await);
    }

    let emitted = world.relay.emit(&found(org, "names")).await;
    for hook in good {
        world.relay.settled(org, emitted, hook, "delivered").await;
    }
    for (hook, (name, _)) in hooks.iter().zip(&blocked) {
        let delivery = world.relay.settled(org, emitted, *hook, "dead").await;
        assert_eq!(classes(&delivery), ["blocked", "blocked"], "{name}: {delivery}");
        for attempt in attempts(&delivery) {
            assert_eq!(attempt["status_code"], Value::Null, "{name}");
            let error = attempt["error"].as_str().unwrap_or_default();
            assert!(error.contains("is not public"), "{name}: {error}");
        }
    }
    let arrived = world.receiver.all();
    assert!(!arrived.iter().any(|arrival| arrival.path.starts_with("/blocked")), "{arrived:?}");
    traps.untouched().await;

    let mut owners: Vec<String> = hooks.iter().map(Uuid::to_string).collect();
    owners.sort();
    wait_until("the owner to be told of each", 2 * LONG, || async {
        (told(&world) == owners).then_some(())
    })
    .await;
}

/// I21, F22: a name that is public when it is given, and loopback when it is sent to: in a world as in
/// production, where nothing inner is opened.
#[tokio::test]
async fn i21_a_name_that_moved_to_loopback_gets_no_packet() {
    let names = NameServer::start().await;
    let world = strict()
        .env("RELAY_DNS_SERVERS", &names.setting())
        .env("RELAY_RETRY_SCHEDULE", "200ms")
        .start()
        .await;
    let trap = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = trap.local_addr().expect("it is bound").port();
    let org = new_id();
    let name = "rebound.example";
    names.says(name, [Said::addresses(&["93.184.216.34"])]);
    let hook = world.relay.create_custom(org, &format!("https://{name}:{port}/hook")).await;
    names.says(name, [Said::addresses(&["127.0.0.1"])]);

    let emitted = world.relay.emit(&event(org, "a.b", json!({ "marker": "moved" }))).await;
    let delivery = world.relay.settled(org, emitted, hook.id, "dead").await;
    assert_eq!(classes(&delivery), ["blocked", "blocked"], "{delivery}");
    // The test button is no way around.
    let path =
        format!("/api/integrations/organizations/{org}/custom-integrations/{}/test", hook.id);
    let tested = world.relay.admin(org, Method::POST, &path, None).await.expect(200).json();
    assert_eq!((&tested["success"], &tested["statusText"]), (&json!(false), &json!("blocked")));
    assert!(names.asked(name) >= 3, "each of them looked the name up anew");
    Traps(vec![trap]).untouched().await;
}

/// I21, B31, F22: a name that says another address each time it is asked. What was checked is what is
/// connected to: every look-up is one request at the good address, or one blocked attempt, and the bad
/// address never hears of us.
#[tokio::test]
async fn i21_f22_a_name_that_rebinds_between_check_and_connect_is_looked_up_once() {
    const ROUNDS: usize = 15;
    let names = NameServer::start().await;
    let world = asking(&names).env("RELAY_RETRY_SCHEDULE", "").start().await;
    let traps = Traps::on(world.receiver.port()).await;
    let org = new_id();
    let name = "turns.example";
    let is_bad = |round: usize| round % 3 == 1;
    let says = |round| Said::addresses(if is_bad(round) { &[CLOSED] } else { &[OPENED] });
    names.says(name, (0..ROUNDS).map(says));
    // No connection is kept, so that each request needs one.
    world.receiver.answer("/hook", [Answer::ok().header("connection", "close")]);
    let hook = hook_at(&world, org, name, "/hook").await;
    for round in 0..ROUNDS {
        let emitted = world.relay.emit(&found(org, &round.to_string())).await;
        let expected = if is_bad(round) { "dead" } else { "delivered" };
        let delivery = world.relay.settled(org, emitted, hook, expected).await;
        if is_bad(round) {
            assert_eq!(classes(&delivery), ["blocked"], "{delivery}");
        }
        assert_eq!(names.asked(name), round + 1, "looked up once for each");
    }
    let blocked = (0..ROUNDS).filter(|round| is_bad(*round)).count();
    assert_eq!(world.receiver.count("/hook"), ROUNDS - blocked);
    traps.untouched().await;
    Outcome::of("F22", "a name that changes to an inner address between two questions")
        .measured("look-ups", ROUNDS)
        .measured("connections to the inner address", 0)
        .kept(0);
}

/// F22, B10: a name that does not exist, has no address, fails, never answers or leads nowhere is its
/// owner's: a failed attempt, tried again by the schedule. One that is slow is sent to.
#[tokio::test]
async fn f22_a_name_that_cannot_be_looked_up_is_a_failed_attempt() {
    let names = NameServer::start().await;
    let world = asking(&names).env("RELAY_RETRY_SCHEDULE", "200ms").start().await;
    let org = new_id();
    names.says("loop-a.example", [Said::Alias("loop-b.example".to_owned())]);
    names.says("loop-b.example", [Said::Alias("loop-a.example".to_owned())]);
    let failing = [
        ("nowhere.example", Said::NoSuchName),
        ("empty.example", Said::Addresses(Vec::new())),
        ("broken.example", Said::Fails),
        ("silent.example", Said::Silence),
        ("dangling.example", Said::Alias("nowhere.example".to_owned())),
        ("loop.example", Said::Alias("loop-a.example".to_owned())),
    ];
    let mut hooks = Vec::new();
    for (name, said) in &failing {
        names.says(name, [said.clone()]);
        hooks.push(hook_at(&world, org, name, "/never").await);
    }
    let late = Said::Late(Duration::from_millis(500), Box::new(Said::addresses(&[OPENED])));
    names.says("slow.example", [late]);
    let slow = hook_at(&world, org, "slow.example", "/slow").await;

    let emitted = world.relay.emit(&found(org, "theirs")).await;
    for (hook, (name, _)) in hooks.iter().zip(&failing) {
        let delivery = world.relay.settled(org, emitted, *hook, "dead").await;
        assert_eq!(classes(&delivery), ["dns", "dns"], "{name}: {delivery}");
        assert_eq!(delivery["reason"], "retries_exhausted", "{name}: {delivery}");
        assert!(attempts(&delivery).iter().all(|a| a["error"].is_string()), "{name}: {delivery}");
    }
    let delivery = world.relay.settled(org, emitted, slow, "delivered").await;
    assert_eq!(attempts(&delivery).len(), 1, "slow is not broken: {delivery}");
    assert_eq!(world.receiver.count("/never"), 0);
    assert_eq!(world.workers[0].metric("relay_deferred_total").await, 0.0, "none of it was ours");
    Outcome::of(
        "F22",
        "names that do not exist, have no address, fail, never answer, or lead nowhere",
    )
    .measured("deliveries that failed as their owners'", failing.len())
    .measured("deliveries put off as ours", 0)
    .kept(0);
}

/// F22, B29: while our own name servers answer nobody, or nobody's names, deliveries wait and nobody is
/// charged; then they arrive once. There is no second attempt here: one that was charged would be dead.
#[tokio::test]
async fn f22_while_our_own_name_server_is_away_deliveries_wait_uncharged() {
    let names = NameServer::start().await;
    let world = asking(&names).env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let hook = hook_at(&world, org, "good.example", "/hook").await;
    names.says("good.example", [Said::addresses(&[OPENED])]);
    // The receiver of this one needs no name server.
    let wants = json!({ "event_types": ["a.b"] });
    let literal =
        world.relay.create_custom_with(org, &world.receiver.url("/literal"), &wants).await;

    let mut emitted = Vec::new();
    for (fault, said) in [("silent", Said::Silence), ("failing", Said::Fails)] {
        names.says_of_all(Some(said));
        let event_id = world.relay.emit(&found(org, fault)).await;
        let waiting = wait_until("the delivery to be put off", LONG, || async {
            tokio::time::sleep(Duration::from_millis(100)).await; // An admin's calls are rationed.
            let delivery = world.relay.delivery_of(org, event_id, hook).await;
            (delivery["reason"] == "own_fault").then_some(delivery)
        })
        .await;
        assert_eq!((&waiting["attempts"], attempts(&waiting).len()), (&json!(0), 0), "{waiting}");
        emitted.push(event_id);
    }
    let other = world.relay.emit(&event(org, "a.b", json!({ "marker": "literal" }))).await;
    world.relay.settled(org, other, literal.id, "delivered").await;
    let path = format!("/api/integrations/organizations/{org}/custom-integrations/{hook}/test");
    let tested = world.relay.admin(org, Method::POST, &path, None).await.expect(200).json();
    assert_eq!((&tested["success"], &tested["statusText"]), (&json!(false), &json!("resolver")));
    let put_off = world.workers[0].metric("relay_deferred_total").await;
    assert!(put_off >= 2.0, "operators see it: {put_off}");

    names.says_of_all(None);
    for event_id in emitted {
        let delivery = world.relay.settled(org, event_id, hook, "delivered").await;
        assert_eq!(
            (&delivery["attempts"], attempts(&delivery).len()),
            (&json!(1), 1),
            "{delivery}"
        );
    }
    assert_eq!(world.receiver.count("/hook"), 2);
    Outcome::of("F22", "our own name server is silent, then answers every question with SERVFAIL")
        .measured("deliveries that waited, charged nothing", 2)
        .measured("failed attempts", 0)
        .kept(0);
}
