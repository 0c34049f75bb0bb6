//! Both Jiras as a client meets them.

use serde_json::{Value, json};

use super::{IssueType, Transition};
use crate::{
    Matcher, MockProviders,
    testing::{Back, parameter, request, send, send_form},
};

const CALLBACK: &str = "http://relay.test/api/integrations/jira/org-callback";

/// A code, and what the token endpoint answers to it.
async fn connected(mocks: &MockProviders) -> Value {
    let jira = mocks.jira_cloud();
    let (id, secret) = jira.client();
    let page = format!(
        "{}/authorize?response_type=code&client_id={id}&redirect_uri={CALLBACK}&state=s1\
         &scope=read:jira-work%20write:jira-work%20offline_access\
         &audience=api.atlassian.com&prompt=consent",
        jira.url("auth")
    );
    let code = parameter(&mocks.consent(&page).await, "code").expect("a code");
    let body = json!({
        "grant_type": "authorization_code", "client_id": id, "client_secret": secret,
        "code": code, "redirect_uri": CALLBACK,
    });
    let url = format!("{}/oauth/token", jira.url("auth"));
    let back = send(request("POST", &url).json(&body)).await;
    assert_eq!(back.status, 200, "{}", back.text);
    back.json
}

async fn call(mocks: &MockProviders, token: &str, method: &str, path: &str, body: Value) -> Back {
    let jira = mocks.jira_cloud();
    let base = format!("{}/ex/jira/{}/rest/api/3", jira.url("api"), jira.cloud_id("acme"));
    let request = request(method, &format!("{base}{path}")).bearer_auth(token);
    send(if body.is_null() { request } else { request.json(&body) }).await
}

fn document(text: &str) -> Value {
    json!({ "type": "doc", "version": 1, "content": [
        { "type": "paragraph", "content": [{ "type": "text", "text": text }] }
    ] })
}

fn issue(description: &Value) -> Value {
    json!({ "fields": {
        "project": { "key": "SEC" }, "issuetype": { "name": "Bug" }, "summary": "lodash",
        "description": description, "labels": ["deptex-1"],
    } })
}

#[tokio::test]
async fn an_issue_lives_from_to_do_to_done() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let token = granted["access_token"].as_str().expect("a token");
    let made = call(&mocks, token, "POST", "/issue", issue(&document("critical"))).await;
    assert_eq!((made.status, &made.json["key"]), (201, &json!("SEC-1")));
    let id = made.json["id"].as_str().expect("an id");
    let comment = json!({ "body": document("again") });
    let path = format!("/issue/{id}/comment");
    assert_eq!(call(&mocks, token, "POST", &path, comment).await.status, 201);
    let path = format!("/issue/{id}/transitions");
    let steps = call(&mocks, token, "GET", &path, Value::Null).await.json;
    let done = steps["transitions"].as_array().expect("steps").iter();
    let done = done.clone().find(|step| step["to"]["statusCategory"]["key"] == "done");
    let step = json!({ "transition": { "id": done.expect("a way to done")["id"] } });
    assert_eq!(call(&mocks, token, "POST", &path, step).await.status, 204);
    let seen = &mocks.jira_cloud().issues()[0];
    assert!(seen.is_done() && seen.text() == "critical" && seen.comments[0].text() == "again");
    let jql = json!({ "jql": "labels = \"deptex-1\" ORDER BY created ASC", "fields": ["status"] });
    mocks.jira_cloud().search_blindly(1);
    let found = call(&mocks, token, "POST", "/search/jql", jql.clone()).await.json;
    assert_eq!(found["issues"], json!([]), "the index lags");
    let found = call(&mocks, token, "POST", "/search/jql", jql).await.json;
    assert_eq!(found["issues"][0]["fields"]["status"]["name"], "Done");
    mocks.finish().expect("all was in order");
}

#[tokio::test]
async fn texts_are_documents_in_the_cloud_and_wiki_markup_elsewhere() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let token = granted["access_token"].as_str().expect("a token");
    let made = call(&mocks, token, "POST", "/issue", issue(&json!("plain"))).await;
    let why = made.json["errors"]["description"].as_str().unwrap_or_default();
    assert!(made.status == 400 && why.contains("Atlassian Document"), "{}", made.text);
    assert!(mocks.finish().expect_err("a violation").contains("Atlassian Document"));
    mocks.forgive();
    let server = mocks.jira_data_center();
    let post = |body: Value| {
        let url = format!("{}/rest/api/2/issue", server.base_url());
        send(request("POST", &url).bearer_auth(server.token()).json(&body))
    };
    assert_eq!(post(issue(&document("x"))).await.status, 400);
    mocks.forgive();
    assert_eq!(post(issue(&json!("h1. wiki"))).await.status, 201);
    assert_eq!(server.issues()[0].text(), "h1. wiki");
    let wrong = format!("{}/rest/api/2/myself", server.base_url());
    assert_eq!(send(request("GET", &wrong).bearer_auth("other")).await.status, 401);
    assert_eq!(send(request("GET", &wrong).basic_auth("ada", Some("x"))).await.status, 401);
    mocks.finish().expect("nobody's mistake");
}

#[tokio::test]
async fn summaries_and_labels_keep_their_limits() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let token = granted["access_token"].as_str().expect("a token");
    let long = "x".repeat(256);
    for (field, value) in [
        ("summary", json!(long)),
        ("summary", json!("two\nlines")),
        ("labels", json!(["with blank"])),
        ("colour", json!("red")),
    ] {
        let mut body = issue(&document("x"));
        body["fields"][field] = value;
        let back = call(&mocks, token, "POST", "/issue", body).await;
        assert!(back.status == 400 && back.json["errors"][field].is_string(), "{}", back.text);
        assert!(mocks.finish().is_err(), "{field}");
        mocks.forgive();
    }
}

#[tokio::test]
async fn a_project_may_demand_fields_and_a_step_a_resolution() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let token = granted["access_token"].as_str().expect("a token");
    mocks.jira_cloud().project("SEC", |project| {
        project.issue_types[1] =
            IssueType::plain("10002", "Bug").requiring("customfield_1", "Team");
        project.workflow.transitions =
            vec![Transition { needs_resolution: true, ..Transition::to("5", "Resolve", "Done") }];
    });
    let back = call(&mocks, token, "POST", "/issue", issue(&document("x"))).await;
    assert_eq!(back.json["errors"]["customfield_1"], "Team is required.");
    let fields = "/issue/createmeta/SEC/issuetypes/10002?maxResults=100";
    let fields = call(&mocks, token, "GET", fields, Value::Null).await.json;
    let demanded = fields["fields"].as_array().expect("fields").iter();
    assert!(demanded.clone().any(|f| f["fieldId"] == "customfield_1" && f["required"] == true));
    let mut task = issue(&document("x"));
    task["fields"]["issuetype"] = json!({ "name": "Task" });
    assert_eq!(call(&mocks, token, "POST", "/issue", task).await.status, 201);
    let path = "/issue/SEC-1/transitions";
    let bare = json!({ "transition": { "id": "5" } });
    assert_eq!(call(&mocks, token, "POST", path, bare).await.status, 400);
    let full =
        json!({ "transition": { "id": "5" }, "fields": { "resolution": { "id": "10000" } } });
    assert_eq!(call(&mocks, token, "POST", path, full).await.status, 204);
    mocks.finish().expect("nobody's mistake");
}

#[tokio::test]
async fn tokens_are_asked_for_in_json_and_each_refresh_token_once() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let (id, secret) = mocks.jira_cloud().client();
    let url = format!("{}/oauth/token", mocks.jira_cloud().url("auth"));
    let refresh = granted["refresh_token"].as_str().expect("a refresh token");
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", id.as_str()),
        ("client_secret", &secret),
        ("refresh_token", refresh),
    ];
    assert_eq!(send_form(request("POST", &url), &fields).await.status, 400);
    assert!(mocks.finish().is_err(), "a form is a mistake");
    mocks.forgive();
    let body: Value = fields.into_iter().map(|(n, v)| (n.to_owned(), json!(v))).collect();
    let post = || send(request("POST", &url).json(&body));
    assert_eq!(post().await.status, 200);
    let back = post().await;
    assert_eq!((back.status, &back.json["error"]), (403, &json!("invalid_grant")));
}

#[tokio::test]
async fn a_token_opens_the_sites_that_were_granted() {
    let mocks = MockProviders::start().await;
    let resources = |token: String| {
        let url = format!("{}/oauth/token/accessible-resources", mocks.jira_cloud().url("api"));
        send(request("GET", &url).bearer_auth(token))
    };
    let token = |granted: &Value| granted["access_token"].as_str().expect("a token").to_owned();
    let one = token(&connected(&mocks).await);
    assert_eq!(resources(one.clone()).await.json.as_array().map(Vec::len), Some(1));
    let other = mocks.jira_cloud().cloud_id("globex");
    let url = format!("{}/ex/jira/{other}/rest/api/3/myself", mocks.jira_cloud().url("api"));
    assert_eq!(send(request("GET", &url).bearer_auth(&one)).await.status, 404);
    mocks.jira_cloud().choose_all_sites();
    let both = token(&connected(&mocks).await);
    assert_eq!(resources(both).await.json.as_array().map(Vec::len), Some(2));
    let spent = mocks.jira_cloud().quota_spent();
    mocks.jira_cloud().fail_next(Matcher::any(), spent);
    let back = resources(one).await;
    assert_eq!(back.header("ratelimit-reason"), "jira-quota-global-based");
    assert!(back.header("x-ratelimit-reset").ends_with(":00:00Z"), "the full hour");
}
