//! Linear as a client meets it, over HTTP.

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::{
    Matcher, MockProviders,
    testing::{Back, Consenting, request, send, send_form},
};

const ALL: &str = "read,write,issues:create,comments:create";
const ISSUE: &str = "query($id: String!) { issue(id: $id) { id identifier trashed state { name type } \
                     team { id states(first: 100) { nodes { id name type position } } } \
                     comments { nodes { id body } } } }";
const CREATE: &str = "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { id identifier url } } }";
const UPDATE: &str = "mutation($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success issue { state { type } } } }";
const COMMENT: &str = "mutation($input: CommentCreateInput!) { commentCreate(input: $input) { success comment { id } } }";
const TEAMS: &str = "query($first: Int, $after: String, $filter: TeamFilter) { teams(first: $first, after: $after, filter: $filter, orderBy: updatedAt) { nodes { id key name archivedAt } pageInfo { hasNextPage endCursor } } }";

struct World {
    mocks: MockProviders,
    /// The answer of the token endpoint.
    tokens: Value,
}

async fn consent(
    mocks: &MockProviders,
    scope: &str,
    fields: &[(&str, &str)],
) -> Result<Back, String> {
    let linear = mocks.linear();
    let page = format!("{}/oauth/authorize", linear.url("web"));
    let token = format!("{}/oauth/token", linear.url("api"));
    let consenting =
        Consenting { page, token, client: linear.client(), provider: "linear", scope, fields };
    consenting.tokens(mocks).await
}

const USUAL: &[(&str, &str)] = &[("prompt", "consent"), ("actor", "app")];

async fn world(scope: &str) -> World {
    let mocks = MockProviders::start().await;
    let tokens = consent(&mocks, scope, USUAL).await.unwrap();
    assert_eq!(tokens.status, 200, "{tokens:?}");
    World { tokens: tokens.json, mocks }
}

impl World {
    async fn ask(&self, query: &str, variables: Value) -> Back {
        let url = format!("{}/graphql", self.mocks.linear().url("api"));
        let token = self.tokens["access_token"].as_str().unwrap();
        let body = json!({ "query": query, "variables": variables });
        send(request("POST", &url).bearer_auth(token).json(&body)).await
    }

    async fn refresh(&self, refresh_token: &str) -> Back {
        let (id, secret) = self.mocks.linear().client();
        let url = format!("{}/oauth/token", self.mocks.linear().url("api"));
        send_form(
            request("POST", &url),
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh_token),
                ("client_id", &id),
                ("client_secret", &secret),
            ],
        )
        .await
    }

    async fn issue(&self, id: &str) -> Back {
        let team = self.mocks.linear().team_id("SEC");
        self.ask(CREATE, json!({ "input": { "id": id, "teamId": team, "title": "A finding" } }))
            .await
    }
}

fn kind(answer: &Back) -> &str {
    answer.at("/errors/0/extensions/type")
}

fn id() -> String {
    Uuid::new_v4().to_string()
}

#[tokio::test]
async fn consent_wants_commas_between_scopes_and_the_app_as_actor() {
    let world = world(ALL).await;
    assert_eq!(world.tokens["expires_in"], 86_399);
    assert_eq!(world.tokens["scope"], "read write issues:create comments:create");
    for (scope, fields) in [
        ("read write", USUAL),
        ("read,everything", USUAL),
        (ALL, &[("prompt", "consent")]),
        (ALL, &[("actor", "app")]),
    ] {
        assert!(consent(&world.mocks, scope, fields).await.is_err(), "{scope} {fields:?}");
    }
}

#[tokio::test]
async fn the_workspace_that_was_chosen_is_the_one_that_is_seen() {
    let mocks = MockProviders::start().await;
    let globex = mocks.linear().organization_id("globex");
    mocks.linear().choose(&globex);
    let tokens = consent(&mocks, ALL, USUAL).await.unwrap().json;
    let world = World { mocks, tokens };
    let answer =
        world.ask("{ viewer { name } organization { id urlKey __typename } }", json!({})).await;
    assert_eq!(
        answer.json,
        json!({ "data": {
            "viewer": { "name": "Deptex" },
            "organization": { "id": globex, "urlKey": "globex", "__typename": "Organization" },
        }})
    );
    assert_eq!(answer.header("x-ratelimit-requests-limit"), "5000");
    let foreign = world.issue(&id()).await;
    assert!(foreign.at("/errors/0/message").starts_with("Entity not found: Team"), "{foreign:?}");
}

#[tokio::test]
async fn the_same_refresh_gives_the_same_pair_for_half_an_hour_and_nothing_afterwards() {
    let world = world(ALL).await;
    let first = world.tokens["refresh_token"].as_str().unwrap();
    let pair = world.refresh(first).await;
    assert_ne!(pair.json["refresh_token"], world.tokens["refresh_token"]);
    assert_eq!(world.refresh(first).await.json, pair.json);
    world.mocks.advance(Duration::from_secs(31 * 60));
    let late = world.refresh(first).await;
    assert_eq!((late.status, late.at("/error")), (400, "invalid_grant"));
    assert_eq!(world.mocks.linear().refresh_token_reuses(), 1);
    assert_eq!(world.refresh(pair.at("/refresh_token")).await.status, 200);
}

#[tokio::test]
async fn a_token_opens_for_a_day_with_bearer_and_until_it_is_revoked() {
    let world = world(ALL).await;
    let question = "{ viewer { id } }";
    assert_eq!(world.ask(question, json!({})).await.status, 200);
    let revoke = format!("{}/oauth/revoke", world.mocks.linear().url("api"));
    let token = world.tokens["refresh_token"].as_str().unwrap();
    world.mocks.advance(Duration::from_secs(86_399));
    let late = world.ask(question, json!({})).await;
    assert_eq!((late.status, kind(&late)), (401, "authentication error"));
    let revocation = [("token", token), ("token_type_hint", "refresh_token")];
    assert_eq!(send_form(request("POST", &revoke), &revocation).await.status, 200);
    assert_eq!(world.mocks.linear().live_grants(), 0);
    assert_eq!(send_form(request("POST", &revoke), &revocation).await.status, 400);
    assert_eq!(world.refresh(token).await.at("/error"), "invalid_grant");
    world.mocks.finish().unwrap();
    assert_eq!(send_form(request("POST", &revoke), &[]).await.status, 401);
    assert!(world.mocks.finish().is_err());
}

#[tokio::test]
async fn an_id_that_is_taken_is_refused_and_the_issue_can_be_looked_at() {
    let world = world(ALL).await;
    let id = id();
    let made = world.issue(&id).await;
    assert_eq!(made.at("/data/issueCreate/issue/identifier"), "SEC-1");
    let url = made.at("/data/issueCreate/issue/url");
    assert!(url.ends_with("/acme/issue/SEC-1/a-finding"), "{url}");
    assert!(send(request("GET", url)).await.text.contains("A finding"));
    let twin = world.issue(&id).await;
    assert_eq!((twin.status, kind(&twin)), (200, "invalid input"));
    assert_eq!(twin.json["data"], Value::Null);
    world.mocks.linear().refuse_twins_as(ErrorType::InternalError);
    assert_eq!(kind(&world.issue(&id).await), "internal error");
    let found = world.ask(ISSUE, json!({ "id": id })).await;
    assert_eq!(found.at("/data/issue/state/type"), "backlog");
    assert_eq!(world.mocks.linear().issues().len(), 1);
    world.mocks.finish().unwrap();
}

#[tokio::test]
async fn an_issue_is_closed_by_a_state_of_its_own_team() {
    let world = world(ALL).await;
    let id = id();
    world.issue(&id).await;
    let state = |team: usize, name: &str| {
        let team = world.mocks.linear().teams().remove(team);
        team.states.into_iter().find(|state| state.name == name).unwrap().id
    };
    let (done, foreign) = (state(0, "Done"), state(1, "Done"));
    let moved = world.ask(UPDATE, json!({ "id": id, "input": { "stateId": foreign } })).await;
    assert!(moved.at("/errors/0/message").starts_with("Entity not found: WorkflowState"));
    let moved = world.ask(UPDATE, json!({ "id": id, "input": { "stateId": done } })).await;
    assert_eq!(moved.at("/data/issueUpdate/issue/state/type"), "completed");
    assert!(world.mocks.linear().issues()[0].is_done());
    world.mocks.linear().set_state("SEC-1", "Todo");
    assert!(!world.mocks.linear().issues()[0].is_done());
    world.mocks.finish().unwrap();
}

#[tokio::test]
async fn a_comment_has_an_id_of_its_own_and_needs_a_living_issue() {
    let world = world(ALL).await;
    let (issue, own) = (id(), id());
    world.issue(&issue).await;
    let comment = json!({ "input": { "id": own, "issueId": issue, "body": "**again** \\*" } });
    let made = world.ask(COMMENT, comment.clone()).await;
    assert_eq!(made.at("/data/commentCreate/comment/id"), own);
    assert_eq!(kind(&world.ask(COMMENT, comment).await), "invalid input");
    assert_eq!(world.mocks.linear().comments()[0].text(), "again *");
    let there =
        world.ask("query($id: String!) { comment(id: $id) { id } }", json!({ "id": own })).await;
    assert_eq!(there.at("/data/comment/id"), own);
    world.mocks.linear().trash_issue("SEC-1");
    assert_eq!(
        world.ask(ISSUE, json!({ "id": issue })).await.json["data"]["issue"]["trashed"],
        true
    );
    let late = json!({ "input": { "id": id(), "issueId": issue, "body": "late" } });
    assert!(
        world
            .ask(COMMENT, late)
            .await
            .at("/errors/0/message")
            .starts_with("Entity not found: Issue")
    );
    world.mocks.linear().delete_issue("SEC-1");
    let gone = world.ask(ISSUE, json!({ "id": issue })).await;
    assert_eq!(gone.at("/errors/0/message"), "Entity not found: Issue");
    world.mocks.finish().unwrap();
}

#[tokio::test]
async fn each_mutation_needs_its_scope_and_write_is_the_widest() {
    let world = world("read,issues:create").await;
    let issue = id();
    assert_eq!(world.issue(&issue).await.json["data"]["issueCreate"]["success"], true);
    let update = json!({ "id": issue, "input": { "title": "Other" } });
    let comment = json!({ "input": { "issueId": issue, "body": "again" } });
    for (query, variables) in [(UPDATE, update), (COMMENT, comment)] {
        let refused = world.ask(query, variables).await;
        assert_eq!((refused.status, kind(&refused)), (200, "forbidden"), "{query}");
    }
    assert_eq!(world.mocks.linear().issues()[0].title, "A finding");
}

#[tokio::test]
async fn mistakes_of_ours_fail_the_test_and_do_nothing() {
    let world = world(ALL).await;
    let team = world.mocks.linear().team_id("SEC");
    let cases = [
        json!({ "teamId": team, "title": "x".repeat(256) }),
        json!({ "teamId": team, "title": " " }),
        json!({ "teamId": team, "title": "a", "priority": 5 }),
        json!({ "teamId": team, "title": "a", "id": Uuid::nil().to_string() }),
        json!({ "teamId": team, "title": "a", "description": "x".repeat(10_001) }),
        json!({ "teamId": team, "title": "a", "colour": "red" }),
        json!({ "title": "a" }),
    ];
    for input in cases {
        let refused = world.ask(CREATE, json!({ "input": input })).await;
        assert!(refused.json["errors"].is_array(), "{refused:?}");
        // The published schema may refuse it as well.
        assert!(!world.mocks.violations().is_empty(), "{input}");
        world.mocks.forgive();
    }
    let broken = world.ask("{ viewer { id }", json!({})).await;
    assert_eq!((broken.status, kind(&broken)), (400, "graphql error"));
    assert!(world.mocks.linear().issues().is_empty());
}

#[tokio::test]
async fn teams_come_page_by_page_and_filtered() {
    let world = world(ALL).await;
    for number in 0..3 {
        world.mocks.linear().add_team(&format!("OPS{number}"), "Operations");
    }
    world.mocks.linear().change_team("OPS1", |team| team.is_archived = true);
    world.mocks.linear().change_team("OPS2", |team| team.is_private = true);
    let mut keys = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = world.ask(TEAMS, json!({ "first": 2, "after": after })).await.json;
        let teams = &page["data"]["teams"];
        keys.extend(teams["nodes"].as_array().unwrap().iter().map(|team| team["key"].clone()));
        after = teams["pageInfo"]["endCursor"].clone();
        if teams["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(keys, ["SEC", "ENG", "OPS0"]);
    let contains = json!({ "containsIgnoreCase": "secu" });
    let filter = json!({ "or": [{ "name": contains }, { "key": contains }] });
    let found = world.ask(TEAMS, json!({ "filter": filter })).await;
    assert_eq!(found.json["data"]["teams"]["nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(kind(&world.ask(TEAMS, json!({ "after": "nowhere" })).await), "invalid input");
    world.mocks.finish().unwrap();
}

#[tokio::test]
async fn limits_and_broken_answers_are_worded_as_linear_words_them() {
    let world = world(ALL).await;
    let linear = world.mocks.linear();
    let any = || Matcher::post("/graphql");
    linear.fail_next(any(), linear.rate_limited(Duration::from_secs(90), Budget::Requests));
    let limited = world.issue(&id()).await;
    assert_eq!((limited.status, limited.at("/errors/0/extensions/code")), (400, "RATELIMITED"));
    let reset = limited.header("x-ratelimit-requests-reset").parse().unwrap();
    let wait = DateTime::from_timestamp_millis(reset).unwrap() - linear.now();
    assert!((85..=90).contains(&wait.num_seconds()), "{wait}");
    assert_eq!(limited.header("x-ratelimit-requests-remaining"), "0");
    linear.fail_next(any(), linear.partial("issueCreate", "issue").but_done());
    let partial = world.issue(&id()).await;
    assert_eq!(partial.json["data"]["issueCreate"], json!({ "success": true, "issue": null }));
    assert_eq!((kind(&partial), linear.issues().len()), ("internal error", 1));
    linear.set_plan_used_up(true);
    assert_eq!(kind(&world.issue(&id()).await), "usage limit exceeded");
    linear.set_plan_used_up(false);
    linear.change_team("SEC", |team| team.may_write = false);
    assert_eq!(kind(&world.issue(&id()).await), "forbidden");
    linear.delete_team("SEC");
    assert!(linear.issues().is_empty());
    world.mocks.finish().unwrap();
}
