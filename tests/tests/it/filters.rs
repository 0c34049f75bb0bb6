//! Conditions that are meant to hurt: refused where they are saved, or bounded where they are applied.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{World, event, new_id};

/// The heaviest condition that is taken: 99 parts of 100 values each, none of which holds.
fn heavy() -> Value {
    json!({ "any": vec![json!({ "field": "data.n", "in": vec![1; 100] }); 99] })
}

/// The same with the longest fields there may be.
fn deep() -> Value {
    let field = format!("data.{}", vec!["n".repeat(64); 8].join("."));
    json!({ "any": vec![json!({ "field": field, "in": vec![1; 100] }); 40] })
}

/// I45: Relay has no transformations, and of filters only conditions, which know no regular expression,
/// no loop and no script. One that is too large for its bounds, or wants such a thing, is refused where
/// it is saved, and its author told where it is wrong; nothing is left that could run away later. So of
/// this line the part about marked deliveries and warned endpoints does not apply.
#[tokio::test]
async fn i45_a_filter_that_could_run_away_is_refused_where_it_is_saved() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let before = world.relay.connection(org, hook.id).await.expect(200).json();
    let test = json!({ "field": "data.n", "eq": 1 });
    let nested = |depth| (1..depth).fold(test.clone(), |inner, _| json!({ "not": inner }));
    let evil = |operator: &str| json!({ "field": "data.s", operator: "^(a+)+$" });
    let table = [
        (evil("like_regex"), "is not one of"),
        (evil("regex"), "is not one of"),
        (evil("$where"), "is not one of"),
        (json!({ "script": "while (true) {}" }), "is not all, any, not"),
        (json!({ "field": "$.** ? (@ like_regex \"(a+)+\")", "eq": 1 }), "is not one of"),
        (json!({ "field": "data.a\" ? (1 == 1)", "eq": 1 }), "must have, behind data."),
        (nested(9), "nested deeper than 8"),
        (nested(60), "nested deeper than 8"),
        (json!({ "all": vec![test.clone(); 100] }), "more than 100 parts"),
        (json!({ "field": "data.n", "in": vec![1; 101] }), "an array of 1 to 100 values"),
        (json!({ "field": "source", "starts_with": "x".repeat(513) }), "512 bytes"),
        (json!({ "field": "source", "in": vec!["x".repeat(512); 100] }), "32768 bytes"),
    ];
    let custom = format!("/api/integrations/organizations/{org}/custom-integrations");
    let preview = format!("/api/organizations/{org}/connections/{}/preview", hook.id);
    for (conditions, says) in table {
        let url = world.receiver.url("/more");
        let made = json!({ "name": "X", "type": "notification", "webhook_url": url, "conditions": conditions });
        let changed = json!({ "conditions": conditions });
        for (refused, status) in [
            (world.relay.admin(org, Method::POST, &custom, Some(&made)).await, 400),
            (world.relay.change(org, hook.id, &changed).await, 422),
            (world.relay.admin(org, Method::POST, &preview, Some(&changed)).await, 422),
        ] {
            let refused = refused.expect(status);
            assert_eq!(refused.code(), "invalid_conditions", "{conditions}");
            let error = refused.json()["error"].as_str().unwrap_or_default().to_owned();
            assert!(error.starts_with("conditions") && error.contains(says), "{error}");
        }
    }
    assert_eq!(world.relay.connection(org, hook.id).await.expect(200).json(), before);
}

/// I45: the heaviest filters that are taken, at many connections, over the largest events: what they ask
/// for is decided for each, within the time that a statement may take and without the process growing;
/// who shares the transaction with them is not held up to the point of a refusal.
#[tokio::test]
async fn i45_the_heaviest_filters_are_applied_within_bounds() {
    const CONNECTIONS: usize = 12;
    const EVENTS: usize = 6;
    let world = World::start().await;
    let (org, other) = (new_id(), new_id());
    for (n, conditions) in [heavy(), deep()].iter().cycle().take(CONNECTIONS).enumerate() {
        // Half of them hold after all, by their last part.
        let or =
            json!({ "any": [conditions["any"][0], { "field": "data.marker", "exists": true }] });
        let holds = n % 4 >= 2;
        let mut more = conditions.clone();
        if holds {
            *more["any"].as_array_mut().and_then(|all| all.last_mut()).expect("it has parts") =
                or["any"][1].clone();
        }
        let path = if holds { "/wanted" } else { "/unwanted" };
        let conditions = json!({ "conditions": more });
        world.relay.create_custom_with(org, &world.receiver.url(path), &conditions).await;
    }
    world.relay.create_custom(other, &world.receiver.url("/other")).await;
    let data = json!({ "marker": "large", "n": 0.5, "pad": "x".repeat(250 * 1024) });
    let large = event(org, "a.b", data);
    world.relay.try_emit(&large).await.expect(202);
    let before = world.apis[0].resident_bytes();
    let mut emitting = tokio::task::JoinSet::new();
    for n in 0..EVENTS {
        let (relay, large) = (world.relay.clone(), large.clone());
        emitting.spawn(async move { relay.try_emit(&large).await });
        let (relay, small) =
            (world.relay.clone(), event(other, "a.b", json!({ "marker": n.to_string() })));
        emitting.spawn(async move { relay.try_emit(&small).await });
    }
    for answer in emitting.join_all().await {
        answer.expect(202);
    }
    let growth = world.apis[0].resident_bytes().saturating_sub(before);
    assert!(growth < 64 << 20, "the process grew by {growth} bytes");
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/wanted"), (EVENTS + 1) * CONNECTIONS / 2);
    assert_eq!(world.receiver.count("/unwanted"), 0);
    assert_eq!(world.receiver.count("/other"), EVENTS);
}
