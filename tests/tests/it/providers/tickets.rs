//! Tickets have a life: one for each subject, opened, commented on and closed.

use mock_providers::{Answer, Matcher, MockProviders};
use serde_json::{Value, json};
use tests::{LONG, World, event, new_id, wait_until};

use super::{found, resolved};

/// What a provider has of one ticket.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    is_open: bool,
    comments: usize,
}

/// Providers with tickets, and the call that makes one.
const TICKETING: [(&str, &str); 5] = [
    ("jira", "/ex/jira/{cloud}/rest/api/3/issue"),
    ("linear", "/graphql"),
    ("asana", "/api/1.0/tasks"),
    ("github", "/repos/{owner}/{repo}/issues"),
    ("gitlab", "/api/v4/projects/{id}/issues"),
];

fn tickets(mocks: &MockProviders, provider: &str) -> Vec<Seen> {
    let seen = |is_open, comments| Seen { is_open, comments };
    match provider {
        "jira" => mocks
            .jira_cloud()
            .issues()
            .iter()
            .map(|i| seen(!i.is_done(), i.comments.len()))
            .collect(),
        "linear" => {
            mocks.linear().issues().iter().map(|i| seen(!i.is_done(), i.comments.len())).collect()
        }
        "asana" => {
            mocks.asana().tasks().iter().map(|t| seen(!t.completed, t.stories.len())).collect()
        }
        "github" => mocks
            .github()
            .issues("acme/shop")
            .iter()
            .map(|i| seen(i.is_open, i.comments.len()))
            .collect(),
        "gitlab" => mocks
            .gitlab()
            .issues("acme/shop")
            .iter()
            .map(|i| seen(i.is_open, i.notes.len()))
            .collect(),
        other => panic!("{other} has no tickets"),
    }
}

fn breaks(mocks: &MockProviders, provider: &str, matcher: Matcher, answer: Answer) {
    match provider {
        "jira" => mocks.jira_cloud().fail_next(matcher, answer),
        "linear" => mocks.linear().fail_next(matcher, answer),
        "asana" => mocks.asana().fail_next(matcher, answer),
        "github" => mocks.github().fail_next(matcher, answer),
        "gitlab" => mocks.gitlab().fail_next(matcher, answer),
        other => panic!("{other} has no tickets"),
    }
}

async fn until(world: &World, provider: &str, expected: &[Seen]) {
    wait_until(&format!("{provider}: {expected:?}"), LONG, || async {
        (tickets(world.mocks(), provider) == expected).then_some(())
    })
    .await;
    world.run_until_idle().await;
    assert_eq!(tickets(world.mocks(), provider), expected, "{provider}");
}

/// `found` opens, repeats comment, `resolved` comments and closes, `found` opens the same one again.
#[tokio::test]
async fn a_subject_has_one_ticket_through_its_whole_life() {
    let world = World::builder().providers().start().await;
    for (provider, _) in TICKETING {
        let org = new_id();
        let connection = world.relay.connect_whole(world.mocks(), org, provider).await;
        let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
        let first = world.relay.emit(&found(org, "1")).await;
        until(&world, provider, &[Seen { is_open: true, comments: 0 }]).await;
        let delivery = world.relay.delivery_of(org, first, id).await;
        assert!(delivery["external_id"].is_string(), "{provider}: {delivery}");
        assert!(
            delivery["external_url"].as_str().is_some_and(|url| url.starts_with("http")),
            "{provider}: {delivery}"
        );
        world.relay.emit(&found(org, "1")).await;
        until(&world, provider, &[Seen { is_open: true, comments: 1 }]).await;
        world.relay.emit(&resolved(org, "1")).await;
        until(&world, provider, &[Seen { is_open: false, comments: 2 }]).await;
        // What is closed already is left alone.
        let again = world.relay.emit(&resolved(org, "1")).await;
        world.run_until_idle().await;
        let delivery = world.relay.delivery_of(org, again, id).await;
        assert_eq!(
            (&delivery["status"], &delivery["reason"]),
            (&json!("skipped"), &json!("already_closed"))
        );
        world.relay.emit(&found(org, "1")).await;
        until(&world, provider, &[Seen { is_open: true, comments: 3 }]).await;
        // Another subject is another ticket.
        world.relay.emit(&found(org, "2")).await;
        until(
            &world,
            provider,
            &[Seen { is_open: true, comments: 3 }, Seen { is_open: true, comments: 0 }],
        )
        .await;
    }
}

/// The provider made the ticket and its answer was lost: the repeat finds it.
#[tokio::test]
async fn a_lost_answer_never_makes_a_second_ticket() {
    let world = World::builder().providers().start().await;
    for (provider, path) in TICKETING {
        let org = new_id();
        world.relay.connect_whole(world.mocks(), org, provider).await;
        let creating = match provider {
            "linear" => Matcher::post(path).containing("issueCreate"),
            _ => Matcher::post(path),
        };
        breaks(world.mocks(), provider, creating, Answer::lost());
        world.relay.emit(&found(org, "1")).await;
        until(&world, provider, &[Seen { is_open: true, comments: 0 }]).await;
        // And it is known from then on.
        world.relay.emit(&resolved(org, "1")).await;
        until(&world, provider, &[Seen { is_open: false, comments: 1 }]).await;
    }
}

/// Killed after the provider made the ticket and before we wrote it down.
#[tokio::test]
async fn a_worker_killed_between_creation_and_commit_makes_no_second_ticket() {
    let world = World::builder().providers().env("RELAY_LEASE", "2s").start().await;
    for (provider, path) in TICKETING {
        let org = new_id();
        world.relay.connect_whole(world.mocks(), org, provider).await;
        let creating = match provider {
            "linear" => Matcher::post(path).containing("issueCreate"),
            _ => Matcher::post(path),
        };
        breaks(world.mocks(), provider, creating, Answer::real().held());
        world.relay.emit(&found(org, "1")).await;
        wait_until("the ticket to be made", LONG, || async {
            (tickets(world.mocks(), provider).len() == 1).then_some(())
        })
        .await;
        world.workers[0].kill9();
        world.workers[0].restart();
        until(&world, provider, &[Seen { is_open: true, comments: 0 }]).await;
    }
}

/// Two events of one subject at one moment, on several workers: still one ticket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_about_one_subject_makes_one_ticket() {
    let world = World::builder().providers().workers(3).start().await;
    for (provider, _) in TICKETING {
        let org = new_id();
        world.relay.connect_whole(world.mocks(), org, provider).await;
        let burst: Vec<Value> = (0..6).map(|_| found(org, "1")).collect();
        world.relay.emit_batch(&burst).await;
        until(&world, provider, &[Seen { is_open: true, comments: 5 }]).await;
    }
}

/// Nothing was chosen: the queue waits with a clear reason, and goes on once somebody chooses.
#[tokio::test]
async fn without_a_destination_events_are_parked_until_one_is_chosen() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    let connection = world.relay.connect(world.mocks(), org, "jira").await;
    let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let event = world.relay.emit(&found(org, "1")).await;
    let parked = wait_until("the delivery to be parked", LONG, || async {
        let delivery = world.relay.delivery_of(org, event, id).await;
        (delivery["status"] == "parked").then_some(delivery)
    })
    .await;
    assert_eq!(parked["reason"], "no_destination", "{parked}");
    assert_eq!(world.mocks().jira_cloud().issues().len(), 0);
    let choices = world.relay.destinations(org, &connection["id"]).await;
    let chosen = json!({ "id": choices[0]["id"] });
    world.relay.choose(org, &connection["id"], &chosen).await.expect(200);
    until(&world, "jira", &[Seen { is_open: true, comments: 0 }]).await;
}

/// An event without a subject has no ticket's row to remember it. The answer to a later attempt is
/// lost, the next one comes a second after, and Jira's search does not know the issue yet.
#[tokio::test]
async fn a_lost_answer_of_a_late_attempt_makes_no_second_issue() {
    let waits = vec!["1s"; 20].join(",");
    let world = World::builder().providers().env("RELAY_RETRY_SCHEDULE", &waits).start().await;
    let org = new_id();
    let connection = world.relay.connect(world.mocks(), org, "jira").await;
    let mut violation = event(org, "policy.violation", json!({ "rule": "no GPL" }));
    violation["priority"] = json!("high");
    let event_id = world.relay.emit(&violation).await;
    let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    world.relay.settled(org, event_id, id, "parked").await;
    // It has been tried before, long ago.
    sqlx::query("update relay.outbox set attempt = 2 where connection_id = $1")
        .bind(id)
        .execute(world.sql())
        .await
        .expect("the database answers");
    let jira = world.mocks().jira_cloud();
    jira.fail_next(Matcher::post(TICKETING[0].1), Answer::lost());
    jira.search_blindly(2);
    let choices = world.relay.destinations(org, &connection["id"]).await;
    let chosen = json!({ "id": choices[0]["id"], "issue_type": "Bug" });
    world.relay.choose(org, &connection["id"], &chosen).await.expect(200);
    wait_until("it to be delivered", 3 * LONG, || async {
        (world.outbox_len().await == 0).then_some(())
    })
    .await;
    assert_eq!(jira.issues().len(), 1);
    let delivery = world.relay.delivery_of(org, event_id, id).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
}
