//! Good requests pass and broken ones are refused. Without `CONTRACTS_DIR` there is nothing to compare
//! with: these say so and pass.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{files, problems};
use crate::server::request::Request;

const SHA: &str = "e10dae226959c2194f2b07b077c07762d93821cf";

/// A request for a path with its query, and its body as JSON or, if it is a text, as a form.
fn request(host: &'static str, method: &str, target: &str, body: &Value) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (kind, bytes) = match body {
        Value::Null => ("", String::new()),
        Value::String(form) => ("application/x-www-form-urlencoded", form.clone()),
        body => ("application/json", body.to_string()),
    };
    let mut headers = HeaderMap::new();
    if !kind.is_empty() {
        headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static(kind));
    }
    Request {
        host,
        method: method.to_owned(),
        path: path.to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers,
        body: bytes.into(),
    }
}

/// A request to one provider's host.
struct At(&'static str, &'static str);

impl At {
    fn passes(&self, method: &str, target: &str, body: &Value) {
        let found = problems(self.0, &request(self.1, method, target, body));
        assert_eq!(found, Vec::<String>::new(), "{method} {target} {body}");
    }

    fn refuses(&self, method: &str, target: &str, body: &Value, why: &str) {
        let found = problems(self.0, &request(self.1, method, target, body)).join("\n");
        assert!(found.contains(why), "{method} {target} {body}: {found:?} does not say {why:?}");
    }
}

fn is_there() -> bool {
    files::root().is_some()
}

#[test]
fn the_published_examples_pass() {
    let Some(root) = files::root() else { return };
    let examples = files::json(root, "request-examples.json");
    let known = [
        ("github", "github", "api", ""),
        ("gitlab", "gitlab", "web", ""),
        ("bitbucket", "bitbucket", "api", "/2.0"),
        ("discord", "discord", "web", "/api/v10"),
        ("asana", "asana", "web", "/api/1.0"),
        ("jira-cloud", "jira_cloud", "api", "/ex/jira/c-1"),
        ("jira-dc", "jira_data_center", "web", "/jira/rest"),
    ];
    let mut passed = 0;
    for example in examples["examples"].as_array().expect("a list") {
        let of = |known: &&(&str, _, _, _)| known.0 == example["contract"];
        let Some((_, provider, host, below)) = known.iter().find(of) else { continue };
        let path = example["path"].as_str().expect("a path").replace("{sha}", SHA);
        let path = path.replace("{commit}", SHA).replace("{workspace}", "acme");
        // The other values are numbers or names; a number is both.
        let numbers =
            |part: &str| if part.starts_with('{') { "12".to_owned() } else { part.to_owned() };
        let path: Vec<String> = path.split('/').map(numbers).collect();
        let mut target = path.join("/");
        if !target.starts_with(below) {
            target = format!("{below}{target}");
        }
        let method = example["method"].as_str().expect("a method");
        At(provider, host).passes(method, &target, &example["request"]);
        passed += 1;
    }
    assert!(20 <= passed, "only {passed} examples were compared");
}

#[test]
fn what_is_published_nowhere_needs_a_reason() {
    if !is_there() {
        return;
    }
    let (github, gitlab) = (At("github", "api"), At("gitlab", "web"));
    github.refuses("PUT", "/repos/a/b/subscription", &Value::Null, "neither a published file");
    github.passes("PATCH", "/repositories/5/issues/7", &json!({ "state": "closed" }));
    // A path by id is the same operation.
    github.refuses("POST", "/repositories/5/issues", &json!({ "body": "x" }), "title");
    gitlab.passes("PUT", "/gitlab/api/v4/projects/5/issues/7", &json!({ "state_event": "close" }));
    gitlab.refuses("POST", "/gitlab/api/v4/projects/5/issues", &json!({ "name": "x" }), "title");
}

#[test]
fn paths_queries_and_bodies_are_judged_each() {
    if !is_there() {
        return;
    }
    let (github, bitbucket) = (At("github", "api"), At("bitbucket", "api"));
    let status = format!("/repos/acme/shop/statuses/{SHA}");
    github.passes("POST", &status, &json!({ "state": "failure", "context": "deptex/scan" }));
    github.refuses("POST", &status, &json!({ "state": "failed" }), "/state");
    github.refuses("POST", &status, &json!({ "context": "x" }), "state");
    let stray = json!({ "state": "failure", "contxt": "x" });
    github.refuses("POST", &status, &stray, "/contxt: no schema declares this");
    github.refuses("POST", &status, &Value::Null, "the body is missing");
    github.refuses("POST", &status, &json!("state=failure"), "is not taken");
    github.passes("GET", "/user/installations?per_page=100&page=2", &Value::Null);
    github.refuses("GET", "/user/installations?per_page=all", &Value::Null, "per_page cannot be");
    github.refuses(
        "GET",
        "/user/installations?size=100",
        &Value::Null,
        "no parameter is called size",
    );
    github.refuses("GET", "/app/installations/acme", &Value::Null, "installation_id cannot be");
    let list = "/2.0/repositories/acme?role=member&pagelen=50&page=2";
    bitbucket.passes("GET", list, &Value::Null);
    bitbucket.refuses("GET", "/2.0/repositories/acme?role=boss", &Value::Null, "role cannot be");
    let comment = "/2.0/repositories/acme/shop/pullrequests/7/comments";
    bitbucket.refuses("POST", comment, &json!({ "content": { "raw": "x" } }), "type");
}

#[test]
fn a_text_at_jira_cloud_is_a_document_and_none_elsewhere() {
    if !is_there() {
        return;
    }
    let (cloud, own) = (At("jira_cloud", "api"), At("jira_data_center", "web"));
    let issue = |description: Value| {
        json!({ "fields": { "project": { "key": "SEC" }, "issuetype": { "name": "Bug" },
            "summary": "CVE-1", "description": description } })
    };
    let document = |text: &str| {
        json!({ "version": 1, "type": "doc", "content": [
            { "type": "paragraph", "content": [{ "type": "text", "text": text }] },
        ] })
    };
    let path = "/ex/jira/c-1/rest/api/3/issue";
    cloud.passes("POST", path, &issue(document("lodash")));
    cloud.refuses("POST", path, &issue(json!("lodash")), "/fields/description");
    cloud.refuses("POST", path, &issue(document("")), "/fields/description");
    cloud.passes("POST", &format!("{path}/SEC-1/comment"), &json!({ "body": document("again") }));
    cloud.refuses("POST", &format!("{path}/SEC-1/comment"), &json!({ "body": "again" }), "/body");
    let close = json!({ "transition": { "id": "5" },
        "update": { "comment": [{ "add": { "body": "done" } }] } });
    cloud.refuses("POST", &format!("{path}/SEC-1/transitions"), &close, "/update/comment");
    own.passes("POST", "/jira/rest/api/2/issue", &issue(json!("h1. lodash")));
    let steps = "/jira/rest/api/2/issue/SEC-1/transitions?expand=transitions.fields";
    own.passes("GET", steps, &Value::Null);
    own.refuses(
        "POST",
        "/rest/api/2/issue/SEC-1/comment",
        &json!({ "body": document("x") }),
        "/body",
    );
}

#[test]
fn a_message_to_slack_keeps_block_kit() {
    if !is_there() {
        return;
    }
    let slack = At("slack", "web");
    let section = json!({ "type": "section", "text": { "type": "mrkdwn", "text": "x" } });
    let message = |blocks: Vec<Value>| json!({ "channel": "C1", "text": "x", "blocks": blocks });
    let path = "/api/chat.postMessage";
    slack.passes("POST", path, &message(vec![section.clone(); 50]));
    slack.refuses("POST", path, &message(vec![section; 51]), "/blocks");
    slack.refuses("POST", path, &message(vec![json!({ "type": "divider", "x": 1 })]), "/blocks");
    slack.refuses("POST", path, &json!({ "text": "x" }), "channel");
    slack.passes("GET", "/api/conversations.list?types=public_channel&limit=200", &Value::Null);
    slack.refuses(
        "GET",
        "/api/conversations.list?kind=x",
        &Value::Null,
        "no argument is called kind",
    );
    slack.refuses("POST", "/api/conversations.join", &json!({}), "channel is missing");
    slack.refuses("GET", "/api/conversations.join?channel=C1", &Value::Null, "called by POST");
    slack.refuses("POST", "/api/chat.shout", &json!({}), "no published method");
}

#[test]
fn an_operation_at_linear_fits_its_schema_and_its_variables() {
    if !is_there() {
        return;
    }
    let linear = At("linear", "api");
    let create = "mutation IssueCreate($input: IssueCreateInput!) \
                  { issueCreate(input: $input) { success issue { id identifier url } } }";
    let body = |query: &str, variables: Value| json!({ "query": query, "variables": variables });
    let good = json!({ "input": { "teamId": "t-1", "title": "CVE-1", "priority": 1 } });
    linear.passes("POST", "/graphql", &body(create, good.clone()));
    linear.passes("POST", "/graphql", &json!({ "query": "{ viewer { id name } }" }));
    let bad = create.replace("identifier", "number_of_it");
    linear.refuses("POST", "/graphql", &body(&bad, good), "number_of_it");
    let no_team = json!({ "input": { "title": "CVE-1" } });
    linear.refuses("POST", "/graphql", &body(create, no_team), "teamId");
    let word = json!({ "input": { "teamId": "t-1", "priority": "high" } });
    linear.refuses("POST", "/graphql", &body(create, word), "priority");
    let stray = json!({ "input": { "teamId": "t-1", "titel": "x" } });
    linear.refuses("POST", "/graphql", &body(create, stray), "titel");
    let undeclared = json!({ "input": { "teamId": "t-1" }, "more": 1 });
    linear.refuses("POST", "/graphql", &body(create, undeclared), "/variables/more");
}

#[test]
fn a_message_to_discord_and_a_task_at_asana_keep_their_schemas() {
    if !is_there() {
        return;
    }
    let (discord, asana) = (At("discord", "web"), At("asana", "web"));
    let path = "/api/v10/channels/41771983423143937/messages";
    discord.passes("POST", path, &json!({ "content": "x", "allowed_mentions": { "parse": [] } }));
    discord.refuses("POST", path, &json!({ "embeds": vec![json!({}); 11] }), "/embeds");
    discord.refuses("POST", path, &json!({ "content": "x", "nonce": "x".repeat(26) }), "/nonce");
    discord.refuses(
        "POST",
        path,
        &json!({ "contents": "x" }),
        "/contents: no schema declares this",
    );
    let tasks = "/api/1.0/tasks";
    let task =
        json!({ "data": { "name": "CVE-1", "projects": ["12"], "external": { "gid": "d-1" } } });
    asana.passes("POST", tasks, &task);
    asana.refuses("POST", tasks, &json!({ "name": "CVE-1" }), "data");
    asana.refuses("POST", tasks, &json!({ "data": { "title": "CVE-1" } }), "/data/title");
    asana.passes("GET", "/api/1.0/tasks/external:d-1?opt_fields=permalink_url", &Value::Null);
    asana.passes("PUT", "/api/1.0/tasks/12", &json!({ "data": { "completed": true } }));
}

#[test]
fn token_requests_have_their_fields_and_no_others() {
    if !is_there() {
        return;
    }
    let (gitlab, jira) = (At("gitlab", "web"), At("jira_cloud", "auth"));
    let refresh = "grant_type=refresh_token&client_id=a&client_secret=b&refresh_token=c";
    let whole = format!("{refresh}&redirect_uri=https%3A%2F%2Frelay.test");
    gitlab.passes("POST", "/oauth/token", &json!(whole));
    gitlab.passes("POST", "/gitlab/oauth/token", &json!(whole));
    gitlab.refuses("POST", "/oauth/token", &json!(refresh), "not valid");
    gitlab.refuses("POST", "/oauth/token", &json!({ "grant_type": "refresh_token" }), "and not");
    gitlab.passes("POST", "/oauth/revoke", &json!("client_id=a&client_secret=b&token=c"));
    gitlab.refuses(
        "POST",
        "/oauth/revoke",
        &json!("client_id=a&client_secret=b"),
        "token is missing",
    );
    let fields = json!({ "grant_type": "refresh_token", "client_id": "a", "client_secret": "b",
        "refresh_token": "c" });
    jira.passes("POST", "/oauth/token", &fields);
    jira.refuses("POST", "/oauth/token", &json!(refresh), "and not application/json");
    let found = problems("gitlab", &request("web", "POST", "/oauth/token", &json!("code=s3cret")));
    assert!(!found.is_empty() && !found.join(" ").contains("s3cret"), "{found:?}");
}
