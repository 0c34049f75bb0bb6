//! What refusals and the headers of good answers lead to: no needless wait, no needless refusal, and
//! no blame for what only one event named.

use std::time::Duration;

use mock_providers::Matcher;
use serde_json::json;
use tests::{LONG, World, event, new_id, wait_until};

use super::found;

const JIRA_CREATE: &str = "/ex/jira/{cloud}/rest/api/3/issue";
const DISCORD_POST: &str = "/api/v10/channels/{channel}/messages";
const SHA: &str = "e10dae226959c2194f2b07b077c07762d93821cf";

/// B35: what was refused is not there, so nobody waits until a search would find it; what was lost
/// may be, and is looked for.
#[tokio::test]
async fn b35_only_a_lost_creation_waits_for_the_index() {
    let world = World::builder().providers().start().await;
    let jira = world.mocks().jira_cloud();
    let org = new_id();
    let connection = world.relay.connect_whole(world.mocks(), org, "jira").await;
    let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let limited = jira.burst_limited(Duration::from_secs(1));
    jira.fail_next(Matcher::post(JIRA_CREATE), limited);
    let refused = world.relay.emit(&found(org, "1")).await;
    wait_until("the ticket", LONG, || async { (jira.issues().len() == 1).then_some(()) }).await;
    world.run_until_idle().await;
    let creations = jira.matching("POST", JIRA_CREATE);
    assert_eq!(creations.len(), 2);
    let attempts = &world.relay.delivery_of(org, refused, id).await["attempts"];
    assert_eq!(attempts, &json!(2), "one that is refused, and one that makes it");
    let unheard: i64 =
        sqlx::query_scalar("select count(*) from relay.tickets where external_id is null")
            .fetch_one(world.sql())
            .await
            .expect("the database answers");
    assert_eq!(unheard, 0);
}

/// B24: the answer that was the last of its bucket is heeded before the next would be refused.
#[tokio::test]
async fn b24_the_last_message_that_a_channel_takes_holds_the_next() {
    let world = World::builder().providers().start().await;
    let discord = world.mocks().discord();
    let org = new_id();
    world.relay.connect_whole(world.mocks(), org, "discord").await;
    let wait = Duration::from_millis(2_500);
    discord.fail_next(Matcher::post(DISCORD_POST), discord.last_of_bucket(wait));
    world.relay.emit(&found(org, "1")).await;
    world.run_until_idle().await;
    world.relay.emit(&found(org, "2")).await;
    wait_until("both messages", LONG, || async { (discord.messages().len() == 2).then_some(()) })
        .await;
    let posts = discord.matching("POST", DISCORD_POST);
    assert_eq!(posts.len(), 2);
    let waited = posts[1].at - posts[0].at;
    assert!(waited >= chrono::TimeDelta::milliseconds(2_500), "{waited}");
}

/// An event names a commit that nobody pushed: it is dead, and the repository is as good as before.
#[tokio::test]
async fn a_commit_that_is_not_there_is_no_fault_of_the_repository() {
    let world = World::builder().providers().start().await;
    world.mocks().github().forget_commit("acme/shop", SHA);
    world.mocks().gitlab().forget_commit("acme/shop", SHA);
    world.mocks().bitbucket().forget_commit("acme/shop", SHA);
    for provider in ["github", "gitlab", "bitbucket"] {
        let org = new_id();
        let connection = world.relay.connect_whole(world.mocks(), org, provider).await;
        let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
        let data = json!({
            "vulnerability_id": "CVE-2026-1", "severity": "high", "package": "lodash",
            "version": "4.17.20", "project": "my-project", "commit_sha": SHA,
        });
        let lost = world.relay.emit(&event(org, "vulnerability.found", data)).await;
        world.relay.settled(org, lost, id, "dead").await;
        world.run_until_idle().await;
        let delivery = world.relay.delivery_of(org, lost, id).await;
        assert_eq!(delivery["reason"], "rejected", "{provider}");
        let now = world.relay.connection(org, id).await.expect(200).json();
        assert_eq!(now["status"], "connected", "{provider}");
        assert_eq!(now["metadata"]["destination_problem"], json!(null), "{provider}: {now}");
    }
}
