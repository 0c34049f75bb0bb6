//! What code hosts show: a commit is marked, its pull request gets one comment.

use serde_json::{Value, json};
use tests::{World, event, new_id};
use uuid::Uuid;

const SHA: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
const SHOP: &str = "acme/shop";

fn found_in_a_pull_request(org: Uuid, marker: &str) -> Value {
    let data = json!({
        "vulnerability_id": format!("CVE-2026-{marker}"), "severity": "critical",
        "package": "lodash", "version": "4.17.20", "project": "my-project",
        "commit_sha": SHA, "pull_request": 7,
    });
    event(org, "vulnerability.found", data)
}

/// How often the commit is marked, and how often the pull request was commented on.
fn seen(world: &World, provider: &str) -> (usize, usize) {
    let mocks = world.mocks();
    match provider {
        "github" => (
            mocks.github().statuses(SHOP).len(),
            mocks.github().pull_request_comments(SHOP, 7).len(),
        ),
        "gitlab" => {
            (mocks.gitlab().statuses(SHOP).len(), mocks.gitlab().merge_request_notes(SHOP, 7).len())
        }
        _ => (
            mocks.bitbucket().statuses(SHOP).len(),
            mocks.bitbucket().pull_request_comments(SHOP, 7).len(),
        ),
    }
}

#[tokio::test]
async fn a_commit_and_its_pull_request_are_marked_once() {
    let world = World::builder().providers().start().await;
    for provider in ["github", "gitlab", "bitbucket"] {
        let org = new_id();
        let connection = world.relay.connect_whole(world.mocks(), org, provider).await;
        let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
        let emitted = world.relay.emit(&found_in_a_pull_request(org, "1")).await;
        let delivery = world.relay.settled(org, emitted, id, "delivered").await;
        assert_eq!(seen(&world, provider), (1, 1), "{provider}: {delivery}");
        // Replayed, it finds what it made.
        let replayed = delivery["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
        world.relay.replay(org, replayed).await.expect(202);
        world.run_until_idle().await;
        let delivery = world.relay.settled(org, emitted, id, "delivered").await;
        assert_eq!(delivery["attempts"], 2, "{provider}: {delivery}");
        assert_eq!(seen(&world, provider).1, 1, "{provider}: one comment");
    }
}
