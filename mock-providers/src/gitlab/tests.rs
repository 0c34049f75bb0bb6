//! GitLab as a client meets it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    MockProviders,
    testing::{Back, parameter, request, send, send_form},
};

const HOME: &str = "http://relay.test/api/integrations/gitlab/org-callback";
const SHA: &str = "e10dae226959c2194f2b07b077c07762d93821cf";
/// The pair of <https://www.rfc-editor.org/rfc/rfc7636#appendix-B>.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Client {
    mocks: MockProviders,
    base: String,
    id: String,
    secret: String,
}

impl Client {
    async fn new(is_below_path: bool) -> Self {
        let mocks = MockProviders::start().await;
        mocks.set_relay_url("http://relay.test");
        let gitlab = mocks.gitlab();
        let base = match is_below_path {
            true => gitlab.url_below_path(),
            false => gitlab.url("web").to_owned(),
        };
        let (id, secret) = {
            let inner = gitlab.inner();
            (inner.oauth.client_id.clone(), inner.oauth.client_secret.clone())
        };
        Self { mocks, base, id, secret }
    }

    async fn code(&self) -> String {
        let page = format!(
            "{}/oauth/authorize?response_type=code&client_id={}&redirect_uri={HOME}&state=s1\
             &scope=api+read_user&code_challenge={CHALLENGE}&code_challenge_method=S256",
            self.base, self.id
        );
        parameter(&self.mocks.consent(&page).await, "code").expect("a code")
    }

    async fn token(&self, more: &[(&str, &str)]) -> Back {
        let mut fields = vec![("client_id", self.id.as_str()), ("client_secret", &self.secret)];
        fields.extend(more);
        send_form(request("POST", &format!("{}/oauth/token", self.base)), &fields).await
    }

    async fn tokens(&self) -> (String, String) {
        let code = self.code().await;
        let more = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", HOME),
            ("code_verifier", VERIFIER),
        ];
        let back = self.token(&more).await;
        assert_eq!(back.status, 200, "{}", back.text);
        let text = |name: &str| back.json[name].as_str().expect("a token").to_owned();
        (text("access_token"), text("refresh_token"))
    }

    async fn call(&self, token: &str, method: &str, path: &str, body: Value) -> Back {
        let request = request(method, &format!("{}/api/v4{path}", self.base)).bearer_auth(token);
        send(if body.is_null() { request } else { request.json(&body) }).await
    }

    async fn get(&self, token: &str, path: &str) -> Back {
        self.call(token, "GET", path, Value::Null).await
    }
}

#[tokio::test]
async fn both_tokens_die_when_one_is_refreshed_and_the_address_must_be_named_again() {
    let client = Client::new(false).await;
    let (access, refresh) = client.tokens().await;
    assert_eq!(client.get(&access, "/user").await.json["username"], "ada");
    let renew = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_eq!(client.token(&renew).await.status, 400);
    client.mocks.forgive();
    let renew = [renew[0], renew[1], ("redirect_uri", HOME)];
    let renewed = client.token(&renew).await;
    assert_eq!((renewed.status, &renewed.json["expires_in"]), (200, &json!(7_200)));
    assert_eq!(client.get(&access, "/user").await.json["error"], "invalid_token");
    let again = client.token(&renew).await;
    assert_eq!((again.status, &again.json["error"]), (400, &json!("invalid_grant")));
    assert_eq!(client.mocks.gitlab().refresh_token_reuses(), 1);
    let token = renewed.json["access_token"].as_str().expect("a token").to_owned();
    let form =
        [("client_id", client.id.as_str()), ("client_secret", &client.secret), ("token", &token)];
    let url = format!("{}/oauth/revoke", client.base);
    assert_eq!(send_form(request("POST", &url), &form).await.status, 200);
    assert_eq!(client.get(&token, "/user").await.status, 401);
    client.mocks.finish().expect("nothing was wrong");
}

#[tokio::test]
async fn a_code_takes_the_verifier_that_it_began_with() {
    let client = Client::new(false).await;
    let code = client.code().await;
    let more = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", HOME),
        ("code_verifier", "another one"),
    ];
    assert_eq!(client.token(&more).await.json["error"], "invalid_grant");
    client.mocks.gitlab().change_client_secret();
    assert_eq!(client.token(&more).await.json["error"], "invalid_client");
}

#[tokio::test]
async fn everything_is_there_below_a_path_as_well() {
    let client = Client::new(true).await;
    let (access, _) = client.tokens().await;
    let id = client.mocks.gitlab().project_id("acme/shop");
    let issue = json!({ "title": "CVE-1" });
    let made = client.call(&access, "POST", &format!("/projects/{id}/issues"), issue).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.json["web_url"], format!("{}/acme/shop/-/issues/1", client.base));
    client.mocks.finish().expect("nothing was wrong");
}

#[tokio::test]
async fn projects_come_in_pages_and_only_where_one_may_write() {
    let client = Client::new(false).await;
    let (access, _) = client.tokens().await;
    let path = "/projects?membership=true&min_access_level=30&simple=true&per_page=1";
    let first = client.get(&access, path).await;
    assert_eq!((first.header("x-next-page"), first.header("x-total")), ("2", "2"));
    assert!(first.header("link").contains("rel=\"next\""), "{}", first.header("link"));
    assert_eq!(first.header("ratelimit-remaining"), "1999");
    let last = client.get(&access, &format!("{path}&page=2")).await;
    assert_eq!(last.header("x-next-page"), "");
    assert_eq!(last.json[0]["path_with_namespace"], "acme/shop");
    assert_eq!(client.get(&access, "/projects?search=hand").await.json[0]["id"], 503);
    assert_eq!(client.get(&access, "/projects?min_access_level=31").await.status, 400);
    assert!(client.mocks.finish().is_err());
}

#[tokio::test]
async fn a_finding_is_marked_reported_and_closed() {
    let client = Client::new(false).await;
    let (access, _) = client.tokens().await;
    let gitlab = client.mocks.gitlab();
    let id = gitlab.project_id("acme/shop");
    let post = async |below: &str, body: Value| {
        client.call(&access, "POST", &format!("/projects/{id}{below}"), body).await.status
    };
    let status = format!("/statuses/{SHA}");
    for state in ["failed", "success"] {
        assert_eq!(post(&status, json!({ "state": state, "name": "deptex/scan" })).await, 201);
    }
    assert_eq!(gitlab.statuses("acme/shop").len(), 1);
    let running = json!({ "state": "running", "name": "deptex/scan" });
    assert_eq!(post(&status, running.clone()).await, 201);
    assert_eq!(post(&status, running).await, 400);
    assert_eq!(post("/issues", json!({ "title": "CVE-1", "labels": ["deptex"] })).await, 201);
    assert_eq!(post("/issues/1/notes", json!({ "body": "again" })).await, 201);
    assert_eq!(post("/merge_requests/7/notes", json!({ "body": "here" })).await, 201);
    let close = json!({ "state_event": "close" });
    let closed = client.call(&access, "PUT", &format!("/projects/{id}/issues/1"), close).await;
    assert_eq!(closed.json["state"], "closed");
    let found =
        client.get(&access, &format!("/projects/{id}/issues?labels=deptex&search=cve")).await;
    assert_eq!(found.json[0]["iid"], 1);
    let notes = client.get(&access, &format!("/projects/{id}/issues/1/notes?sort=desc")).await;
    assert_eq!(notes.json[0]["body"], "again");
    assert_eq!(gitlab.merge_request_notes("acme/shop", 7).len(), 1);
    client.mocks.finish().expect("nothing was wrong");
    assert_eq!(post("/issues", json!({ "title": "t", "description": "x\n/close" })).await, 201);
    assert!(client.mocks.finish().expect_err("it would be done").contains("/close"));
}

#[tokio::test]
async fn limits_and_refusals_are_worded_as_gitlab_words_them() {
    let client = Client::new(false).await;
    let (access, _) = client.tokens().await;
    let gitlab = client.mocks.gitlab();
    let (shop, handbook) = (gitlab.project_id("acme/shop"), gitlab.project_id("acme/handbook"));
    let post = async |path: String, body: Value| client.call(&access, "POST", &path, body).await;
    let good = json!({ "state": "success" });
    let back = post(format!("/projects/{handbook}/statuses/{SHA}"), good.clone()).await;
    assert_eq!((back.status, &back.json["message"]), (403, &json!("403 Forbidden")));
    gitlab.forget_commit("acme/shop", SHA);
    assert_eq!(post(format!("/projects/{shop}/statuses/{SHA}"), good.clone()).await.status, 404);
    assert_eq!(post(format!("/projects/999/statuses/{SHA}"), good).await.status, 404);
    gitlab.fail_next(crate::Matcher::any(), gitlab.rate_limited(Duration::from_secs(9)));
    let back = client.get(&access, "/user").await;
    assert_eq!(
        (back.status, back.text.as_str(), back.header("retry-after")),
        (429, "Retry later\n", "9")
    );
    client.mocks.finish().expect("nothing was wrong");
    let long = json!({ "title": "x".repeat(256) });
    assert_eq!(post(format!("/projects/{shop}/issues"), long).await.status, 400);
    assert!(client.mocks.finish().is_err());
}
