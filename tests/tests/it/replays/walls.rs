//! B40d: nothing of another organization can be replayed, seen or steered; and who may only look, may
//! only look.

use reqwest::Method;
use serde_json::json;
use tests::{World, new_id};
use uuid::Uuid;

use super::{ask, id_of, patch, show, start, with_missed};

#[tokio::test]
async fn b40d_one_organization_cannot_replay_what_is_anothers() {
    let world = World::builder().workers(0).start().await;
    let (org, hook) = with_missed(&world, "/hook", (0..3).map(|n| n.to_string())).await;
    let (stranger, _) = with_missed(&world, "/other", (0..1).map(|n| n.to_string())).await;
    let theirs: Vec<Uuid> = world.relay.deliveries(org).await.iter().map(id_of).collect();
    let own = id_of(&world.relay.deliveries(stranger).await[0]);
    let id = id_of(&start(&world, org, &json!({ "selection": { "status": ["skipped"] } })).await);
    // Named, what is another's is as what is nobody's.
    for selection in [
        json!({ "delivery_ids": theirs }),
        json!({ "delivery_ids": [own, theirs[0]] }),
        json!({ "delivery_ids": [own, new_id()] }),
        json!({ "connection_id": hook.id, "status": ["skipped"] }),
        json!({ "connection_id": new_id(), "status": ["skipped"] }),
    ] {
        for dry_run in [true, false] {
            let body = json!({ "selection": selection, "dry_run": dry_run });
            assert_eq!(
                ask(&world, stranger, &body).await.expect(404).code(),
                "not_found",
                "{body}"
            );
        }
    }
    let path = format!("/api/organizations/{stranger}/replays/{id}");
    world.relay.admin(stranger, Method::GET, &path, None).await.expect(404);
    patch(&world, stranger, id, &json!({ "status": "cancelled" })).await.expect(404);
    let list = format!("/api/organizations/{stranger}/replays");
    let listed = world.relay.admin(stranger, Method::GET, &list, None).await.expect(200).json();
    assert_eq!(listed, json!({ "items": [], "next_cursor": null }));
    // With the other organization in the path, its own admin is a stranger.
    for (method, path) in [
        (Method::GET, format!("/api/organizations/{org}/replays")),
        (Method::GET, format!("/api/organizations/{org}/replays/{id}")),
        (Method::POST, format!("/api/organizations/{org}/replays")),
        (Method::PATCH, format!("/api/organizations/{org}/replays/{id}")),
    ] {
        let token = world.relay.admin_token(stranger);
        let request = world.relay.request(method.clone(), &path).bearer_auth(token);
        let body = json!({ "selection": { "status": ["skipped"] } });
        let request = if method == Method::GET { request } else { request.json(&body) };
        assert_eq!(world.relay.send(request).await.status, 404, "{method} {path}");
    }
    assert_eq!(show(&world, org, id).await["status"], "counting");
    // A selection of the stranger's finds nothing of theirs.
    let dry = json!({ "selection": { "status": ["skipped"] }, "dry_run": true });
    let told = ask(&world, stranger, &dry).await.expect(200).json();
    assert_eq!(told["total"], 1);
}

#[tokio::test]
async fn b40d_who_may_only_look_may_not_replay() {
    let world = World::builder().workers(0).start().await;
    let (org, _) = with_missed(&world, "/hook", (0..1).map(|n| n.to_string())).await;
    let body = json!({ "selection": { "status": ["skipped"] } });
    let id = id_of(&start(&world, org, &body).await);
    let token = world.relay.member_token(org, &json!({ "role": "member" }));
    let path = format!("/api/organizations/{org}/replays");
    for (method, path, body, status) in [
        (Method::POST, path.clone(), Some(body), 403),
        (Method::PATCH, format!("{path}/{id}"), Some(json!({ "status": "cancelled" })), 403),
        (Method::GET, format!("{path}/{id}"), None, 200),
        (Method::GET, format!("{path}?status=counting&limit=1"), None, 200),
    ] {
        let mut request = world.relay.request(method.clone(), &path).bearer_auth(&token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        assert_eq!(world.relay.send(request).await.status, status, "{method} {path}");
    }
}
