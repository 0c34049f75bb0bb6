//! GitHub as a client meets it.

use std::time::Duration;

use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{
    Matcher, MockProviders,
    testing::{Back, parameter, request, send, send_form},
};

const RELAY: &str = "http://relay.test";
const SHA: &str = "e10dae226959c2194f2b07b077c07762d93821cf";

async fn started() -> MockProviders {
    let mocks = MockProviders::start().await;
    mocks.set_relay_url(RELAY);
    mocks
}

/// A JWT that is issued and ends so many seconds from now.
fn jwt(mocks: &MockProviders, issuer: &str, issued: i64, ends: i64) -> String {
    let key = EncodingKey::from_rsa_pem(mocks.github().private_key().as_bytes());
    let now = Utc::now().timestamp();
    let claims = json!({ "iat": now + issued, "exp": now + ends, "iss": issuer });
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key.expect("a key"))
        .expect("a token")
}

async fn call(mocks: &MockProviders, token: &str, method: &str, path: &str, body: Value) -> Back {
    let url = format!("{}{path}", mocks.github().url("api"));
    let request = request(method, &url)
        .bearer_auth(token)
        .header("accept", "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28");
    send(if body.is_null() { request } else { request.json(&body) }).await
}

async fn get(mocks: &MockProviders, token: &str, path: &str) -> Back {
    call(mocks, token, "GET", path, Value::Null).await
}

/// A token for the installation at acme.
async fn minted(mocks: &MockProviders) -> String {
    let github = mocks.github();
    let jwt = jwt(mocks, &github.app_id(), -60, 540);
    let path = format!("/app/installations/{}/access_tokens", github.installation_id("acme"));
    let back = call(mocks, &jwt, "POST", &path, Value::Null).await;
    assert_eq!(back.status, 201, "{}", back.text);
    back.json["token"].as_str().expect("a token").to_owned()
}

async fn user_token(mocks: &MockProviders, code: &str, redirect_uri: &str) -> Back {
    let url = format!("{}/login/oauth/access_token", mocks.github().url("web"));
    let (id, secret) = {
        let inner = mocks.github().inner();
        (inner.oauth.client_id.clone(), inner.oauth.client_secret.clone())
    };
    let fields = [
        ("client_id", id.as_str()),
        ("client_secret", &secret),
        ("code", code),
        ("redirect_uri", redirect_uri),
    ];
    send_form(request("POST", &url).header("accept", "application/json"), &fields).await
}

#[tokio::test]
async fn installing_leads_back_with_a_code_that_tells_whose_installations_there_are() {
    let mocks = started().await;
    let page = format!("{}/apps/deptex/installations/new?state=s1", mocks.github().url("web"));
    let back = mocks.consent(&page).await;
    assert!(back.starts_with("http://relay.test/api/integrations/github/callback?"), "{back}");
    assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
    assert_eq!(parameter(&back, "setup_action").as_deref(), Some("update"));
    let id = mocks.github().installation_id("acme").to_string();
    assert_eq!(parameter(&back, "installation_id"), Some(id.clone()));
    let code = parameter(&back, "code").expect("a code");
    let wrong = user_token(&mocks, &code, "http://elsewhere.test/callback").await;
    assert_eq!(wrong.json["error"], "redirect_uri_mismatch");

    let back = mocks.consent(&page).await;
    let code = parameter(&back, "code").expect("a code");
    let home = "http://relay.test/api/integrations/github/callback";
    let answer = user_token(&mocks, &code, home).await;
    let token = answer.json["access_token"].as_str().expect("a token");
    let listed = get(&mocks, token, "/user/installations?per_page=1&page=2").await;
    assert_eq!(listed.json["total_count"], 2);
    assert_eq!(listed.json["installations"][0]["account"]["login"], "globex");
    assert_eq!(user_token(&mocks, &code, home).await.json["error"], "bad_verification_code");

    // Somebody else sees none of it, whatever number they write into the address.
    mocks.github().sign_in("mallory");
    let back = mocks.consent(&page).await;
    let answer = user_token(&mocks, &parameter(&back, "code").expect("a code"), home).await;
    let token = answer.json["access_token"].as_str().expect("a token");
    let listed = get(&mocks, token, "/user/installations").await.json.to_string();
    assert!(listed.contains("evil-corp") && !listed.contains(&id), "{listed}");
}

#[tokio::test]
async fn whoever_must_ask_an_owner_comes_back_without_an_installation() {
    let mocks = started().await;
    mocks.github().only_request_next();
    mocks.github().ask_user_while_installing(false);
    let page = format!("{}/apps/deptex/installations/new?state=s1", mocks.github().url("web"));
    let back = mocks.consent(&page).await;
    assert_eq!(parameter(&back, "setup_action").as_deref(), Some("request"));
    assert_eq!((parameter(&back, "installation_id"), parameter(&back, "code")), (None, None));
    mocks.github().uninstall("acme");
    let before = mocks.github().installation_id("acme");
    let back = mocks.consent(&page).await;
    assert_eq!(parameter(&back, "setup_action").as_deref(), Some("install"));
    assert_ne!(before, mocks.github().installation_id("acme"));
    let nameless = format!("{}/apps/other/installations/new?state=s", mocks.github().url("web"));
    assert!(mocks.try_consent(&nameless).await.is_err());
}

#[tokio::test]
async fn only_a_jwt_of_the_apps_own_key_opens_and_for_ten_minutes_at_most() {
    let mocks = started().await;
    let id = mocks.github().app_id();
    let status = async |token: String| get(&mocks, &token, "/app").await.status;
    assert_eq!(status(jwt(&mocks, &id, -60, 540)).await, 200);
    for (issuer, issued, ends) in
        [("1", -60, 540), (id.as_str(), -60, -1), (&id, 120, 540), (&id, -60, 700)]
    {
        let answer = status(jwt(&mocks, issuer, issued, ends)).await;
        assert_eq!(answer, 401, "{issuer} {issued} {ends}");
    }
    assert_eq!(status("nonsense".to_owned()).await, 401);
    assert!(mocks.finish().expect_err("a JWT for too long").contains("too far in the future"));
    mocks.github().replace_private_key();
    assert_eq!(status(jwt(&mocks, &id, -60, 540)).await, 401);
}

#[tokio::test]
async fn a_finding_is_marked_reported_and_closed() {
    let mocks = started().await;
    let token = minted(&mocks).await;
    let body = json!({ "state": "failure", "context": "deptex/scan", "description": "1 critical" });
    let path = format!("/repos/acme/shop/statuses/{SHA}");
    assert_eq!(call(&mocks, &token, "POST", &path, body).await.status, 201);
    let run = json!({ "name": "deptex/scan", "head_sha": SHA, "external_id": "deptex-1",
        "status": "completed", "conclusion": "failure",
        "output": { "title": "1 critical", "summary": "lodash" } });
    let run = call(&mocks, &token, "POST", "/repos/acme/shop/check-runs", run).await;
    let listed = format!("/repos/acme/shop/commits/{SHA}/check-runs?check_name=deptex/scan");
    assert_eq!(get(&mocks, &token, &listed).await.json["check_runs"][0]["external_id"], "deptex-1");
    let change = format!("/repos/acme/shop/check-runs/{}", run.json["id"]);
    let green = json!({ "status": "completed", "conclusion": "success" });
    let changed = call(&mocks, &token, "PATCH", &change, green).await;
    assert_eq!((changed.status, &changed.json["conclusion"]), (200, &json!("success")));

    let issue = json!({ "title": "CVE-1", "body": "lodash", "labels": ["deptex"] });
    let issue = call(&mocks, &token, "POST", "/repos/acme/shop/issues", issue).await;
    assert_eq!((issue.status, &issue.json["number"]), (201, &json!(8)));
    let (comment, comments) = (json!({ "body": "again" }), "/repos/acme/shop/issues/8/comments");
    assert_eq!(call(&mocks, &token, "POST", comments, comment.clone()).await.status, 201);
    let on_request = "/repos/acme/shop/issues/7/comments";
    assert_eq!(call(&mocks, &token, "POST", on_request, comment).await.status, 201);
    let closed = json!({ "state": "closed", "state_reason": "completed" });
    assert_eq!(
        call(&mocks, &token, "PATCH", "/repos/acme/shop/issues/8", closed).await.status,
        200
    );
    let github = mocks.github();
    let issues = github.issues("acme/shop");
    assert_eq!((issues.len(), issues[0].is_open, issues[0].comments.len()), (1, false, 1));
    assert_eq!(github.pull_request_comments("acme/shop", 7).len(), 1);
    let open = get(&mocks, &token, "/repos/acme/shop/issues?labels=deptex").await;
    assert_eq!(open.json, json!([]));
    mocks.finish().expect("nothing was wrong");
}

#[tokio::test]
async fn limits_of_text_are_kept_to_the_letter() {
    let mocks = started().await;
    let token = minted(&mocks).await;
    let status = format!("/repos/acme/shop/statuses/{SHA}");
    let (issues, runs) = ("/repos/acme/shop/issues", "/repos/acme/shop/check-runs");
    let line = |count| json!({ "state": "success", "description": "ä".repeat(count) });
    let named = |count| json!({ "state": "success", "context": "x".repeat(count) });
    let issue = |count| json!({ "title": "t", "body": "ä".repeat(count) });
    let run = |count| {
        json!({ "name": "n", "head_sha": SHA,
        "output": { "title": "t", "summary": "x".repeat(count) } })
    };
    for (path, fits, too_much) in [
        (status.as_str(), line(140), line(141)),
        (&status, named(255), named(256)),
        (issues, issue(65_536), issue(65_537)),
        (runs, run(65_535), run(65_536)),
    ] {
        assert_eq!(call(&mocks, &token, "POST", path, fits).await.status, 201, "{path}");
        mocks.finish().expect("nothing was wrong");
        assert_eq!(call(&mocks, &token, "POST", path, too_much).await.status, 422, "{path}");
        assert!(mocks.finish().is_err(), "{path}");
        mocks.forgive();
    }
}

#[tokio::test]
async fn a_renamed_repository_answers_where_it_is_now_by_the_same_method() {
    let mocks = started().await;
    let token = minted(&mocks).await;
    let id = mocks.github().repository_id("acme/shop");
    mocks.github().rename_repository("acme/shop", "acme/store");
    let api = mocks.github().url("api").to_owned();
    let moved = get(&mocks, &token, "/repos/acme/shop/issues?state=all").await;
    let there = format!("{api}/repositories/{id}/issues?state=all");
    assert_eq!((moved.status, moved.header("location")), (301, there.as_str()));
    let issue = json!({ "title": "t" });
    let moved = call(&mocks, &token, "POST", "/repos/acme/shop/issues", issue.clone()).await;
    assert_eq!(moved.status, 307);
    let path = moved.header("location").strip_prefix(&api).expect("the same host").to_owned();
    assert_eq!(call(&mocks, &token, "POST", &path, issue).await.status, 201);
    assert_eq!(mocks.github().issues("acme/store").len(), 1);
}

#[tokio::test]
async fn what_an_installation_may_not_do_is_refused_as_github_refuses_it() {
    let mocks = started().await;
    let token = minted(&mocks).await;
    let github = mocks.github();
    let post = async |path: &str, body: Value| call(&mocks, &token, "POST", path, body).await;
    let status = format!("/repos/acme/shop/statuses/{SHA}");
    let good = json!({ "state": "success" });
    // Not given, or not there: the same.
    for path in
        [format!("/repos/globex/api/statuses/{SHA}"), format!("/repos/acme/no/statuses/{SHA}")]
    {
        assert_eq!(post(&path, good.clone()).await.status, 404);
    }
    github.forget_commit("acme/shop", SHA);
    let back = post(&status, good.clone()).await;
    assert_eq!((back.status, back.text.contains("No commit found for SHA")), (422, true));
    github.forbid("acme", "statuses");
    let back = post(&status, good).await;
    assert_eq!(back.json["message"], "Resource not accessible by integration");
    assert_eq!(back.header("x-accepted-github-permissions"), "statuses=write");
    github.disable_issues("acme/shop");
    let issue = json!({ "title": "t" });
    assert_eq!(post("/repos/acme/shop/issues", issue.clone()).await.status, 410);
    github.archive_repository("acme/website");
    assert_eq!(post("/repos/acme/website/issues", issue.clone()).await.status, 403);
    github.set_remaining("acme", 0);
    let back = post("/repos/acme/shop/issues", issue.clone()).await;
    assert_eq!((back.status, back.header("x-ratelimit-remaining")), (403, "0"));
    github.set_suspended("acme", true);
    let back = post("/repos/acme/shop/issues", issue.clone()).await;
    assert_eq!((back.status, back.text.contains("suspended")), (403, true));
    github.set_suspended("acme", false);
    github.uninstall("acme");
    assert_eq!(post("/repos/acme/shop/issues", issue).await.status, 401);
    mocks.finish().expect("all of it happens to those who do nothing wrong");
}

#[tokio::test]
async fn minting_ends_with_the_installation_and_tokens_with_their_hour() {
    let mocks = started().await;
    let token = minted(&mocks).await;
    mocks.advance(Duration::from_secs(3_599));
    assert_eq!(get(&mocks, &token, "/installation/repositories").await.json["total_count"], 2);
    mocks.advance(Duration::from_secs(1));
    assert_eq!(get(&mocks, &token, "/installation/repositories").await.status, 401);
    let github = mocks.github();
    let path = format!("/app/installations/{}/access_tokens", github.installation_id("acme"));
    let jwt = jwt(&mocks, &github.app_id(), -60, 540);
    let mint = async |body: Value| call(&mocks, &jwt, "POST", &path, body).await.status;
    assert_eq!(mint(json!({ "permissions": { "contents": "write" } })).await, 422);
    github.set_suspended("acme", true);
    assert_eq!(mint(Value::Null).await, 403);
    github.uninstall("acme");
    assert_eq!(mint(Value::Null).await, 404);
}

#[tokio::test]
async fn a_request_that_names_no_kind_of_answer_fails_the_test() {
    let mocks = started().await;
    let url = format!("{}/app", mocks.github().url("api"));
    assert_eq!(send(request("GET", &url)).await.status, 415);
    assert!(mocks.finish().is_err());
    mocks.forgive();
    let limited = mocks.github().secondary_limit(Some(Duration::from_secs(7)));
    mocks.github().fail_next(Matcher::get("/app"), limited);
    let back = get(&mocks, "x", "/app").await;
    assert_eq!((back.status, back.header("retry-after")), (403, "7"));
    assert!(back.text.contains("secondary rate limit"));
}
