//! Bitbucket as a client meets it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Matcher, MockProviders,
    testing::{Back, parameter, request, send, send_form},
};

const HOME: &str = "http://relay.test/api/integrations/bitbucket/org-callback";
const SHA: &str = "e10dae226959c2194f2b07b077c07762d93821cf";

struct Client {
    mocks: MockProviders,
    id: String,
    secret: String,
}

impl Client {
    async fn new() -> Self {
        let mocks = MockProviders::start().await;
        mocks.set_relay_url("http://relay.test");
        let (id, secret) = {
            let inner = mocks.bitbucket().inner();
            (inner.oauth.client_id.clone(), inner.oauth.client_secret.clone())
        };
        Self { mocks, id, secret }
    }

    async fn token(&self, fields: &[(&str, &str)], is_basic: bool) -> Back {
        let url = format!("{}/site/oauth2/access_token", self.mocks.bitbucket().url("web"));
        let request = request("POST", &url);
        let mut fields = fields.to_vec();
        if is_basic {
            return send_form(request.basic_auth(&self.id, Some(&self.secret)), &fields).await;
        }
        fields.extend([("client_id", self.id.as_str()), ("client_secret", &self.secret)]);
        send_form(request, &fields).await
    }

    async fn tokens(&self) -> Back {
        let web = self.mocks.bitbucket().url("web");
        let id = &self.id;
        let page = format!(
            "{web}/site/oauth2/authorize?response_type=code&client_id={id}&redirect_uri={HOME}&state=s1"
        );
        let code = parameter(&self.mocks.consent(&page).await, "code").expect("a code");
        let fields =
            [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", HOME)];
        self.token(&fields, true).await
    }

    async fn access(&self) -> String {
        let back = self.tokens().await;
        back.json["access_token"].as_str().expect("a token").to_owned()
    }

    async fn call(&self, token: &str, method: &str, path: &str, body: Value) -> Back {
        let url = format!("{}/2.0{path}", self.mocks.bitbucket().url("api"));
        let request = request(method, &url).bearer_auth(token);
        send(if body.is_null() { request } else { request.json(&body) }).await
    }

    async fn get(&self, token: &str, path: &str) -> Back {
        self.call(token, "GET", path, Value::Null).await
    }
}

#[tokio::test]
async fn the_consumer_names_itself_by_basic_and_its_refresh_tokens_rotate() {
    let client = Client::new().await;
    client.mocks.bitbucket().name_scopes_as_before(true);
    let first = client.tokens().await;
    assert_eq!(first.json["scopes"], "account repository pullrequest:write");
    client.mocks.bitbucket().name_scopes_as_before(false);
    let refresh = first.json["refresh_token"].as_str().expect("a token");
    let renew = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let refused = client.token(&renew, false).await;
    assert_eq!((refused.status, &refused.json["error"]), (401, &json!("invalid_client")));
    // What is published knows no client in the form either.
    client.mocks.forgive();
    let second = client.token(&renew, true).await;
    assert_eq!(second.json["scope"], "account repository pullrequest:write");
    assert_eq!(client.token(&renew, true).await.json["error"], "invalid_grant");
    // Its access tokens live on until they expire.
    let access = first.json["access_token"].as_str().expect("a token");
    assert_eq!(client.get(access, "/user").await.status, 200);
    client.mocks.advance(Duration::from_secs(7_200));
    let expired = client.get(access, "/user").await;
    assert_eq!((expired.status, expired.text.contains("Access token expired.")), (401, true));
    client.mocks.finish().expect("nothing was wrong");
}

#[tokio::test]
async fn a_token_stands_in_the_header_only() {
    let client = Client::new().await;
    let access = client.access().await;
    let url = client.mocks.bitbucket().url("api");
    let back = send(request("GET", &format!("{url}/2.0/user?access_token={access}"))).await;
    assert_eq!(back.status, 401);
    assert!(client.mocks.finish().is_err());
}

#[tokio::test]
async fn workspaces_and_repositories_are_found_by_what_survives_renames() {
    let client = Client::new().await;
    let access = client.access().await;
    let bitbucket = client.mocks.bitbucket();
    let listed = client.get(&access, "/user/workspaces?pagelen=1").await;
    assert_eq!(listed.json["values"][0]["workspace"]["slug"], "globex");
    assert_eq!(listed.json["values"][0]["administrator"], false);
    let next = listed.json["next"].as_str().expect("another page");
    let api = format!("{}/2.0", bitbucket.url("api"));
    let listed = client.get(&access, next.strip_prefix(&api).expect("the same host")).await;
    assert_eq!((&listed.json["size"], &listed.json["next"]), (&json!(2), &Value::Null));

    let uuid = bitbucket.workspace_uuid("acme").replace('{', "%7B").replace('}', "%7D");
    bitbucket.rename_workspace("acme", "acme-inc");
    let path = format!("/repositories/{uuid}?role=member&q=name+~+%22SHOP%22");
    let found = client.get(&access, &path).await;
    assert_eq!(found.json["values"][0]["full_name"], "acme-inc/shop");
    assert_eq!(client.get(&access, "/repositories/initech/tps").await.status, 404);
    bitbucket.set_scopes(&["account"]);
    let refused = client.get(&access, &path).await;
    assert_eq!(
        (refused.status, &refused.json["error"]["detail"]["required"][0]),
        (403, &json!("repository"))
    );
    client.mocks.finish().expect("nothing was wrong");
    assert_eq!(client.get(&access, "/user/workspaces?pagelen=101").await.status, 400);
    assert!(client.mocks.finish().is_err());
}

#[tokio::test]
async fn a_status_takes_the_place_of_the_one_with_its_key() {
    let client = Client::new().await;
    let access = client.access().await;
    let path = format!("/repositories/acme/shop/commit/{SHA}/statuses/build");
    let status = |key: &str, state: &str| {
        json!({ "type": "build", "key": key, "state": state,
        "name": "deptex/scan", "url": "https://app.deptex.dev" })
    };
    let post = async |body: Value| client.call(&access, "POST", &path, body).await.status;
    for state in ["FAILED", "SUCCESSFUL"] {
        assert_eq!(post(status(&"k".repeat(40), state)).await, 201);
    }
    let bitbucket = client.mocks.bitbucket();
    let statuses = bitbucket.statuses("acme/shop");
    assert_eq!((statuses.len(), statuses[0].state.as_str()), (1, "SUCCESSFUL"));
    client.mocks.finish().expect("nothing was wrong");
    let nowhere = json!({ "type": "build", "key": "k", "state": "FAILED" });
    for bad in [status(&"k".repeat(41), "FAILED"), status("k", "failed"), nowhere] {
        assert_eq!(post(bad).await, 400);
        assert!(!client.mocks.violations().is_empty());
        client.mocks.forgive();
    }
    bitbucket.forget_commit("acme/shop", SHA);
    assert_eq!(post(status("k", "FAILED")).await, 404);
}

#[tokio::test]
async fn comments_are_listed_in_both_orders() {
    let client = Client::new().await;
    let access = client.access().await;
    let path = "/repositories/acme/shop/pullrequests/7/comments";
    for text in ["first", "second"] {
        let body = json!({ "type": "pullrequest_comment", "content": { "raw": text } });
        let made = client.call(&access, "POST", path, body).await;
        assert_eq!(made.status, 201);
        assert!(
            made.json["links"]["html"]["href"].as_str().expect("a page").contains("/acme/shop/")
        );
    }
    let raw = async |query: &str| {
        let listed = client.get(&access, &format!("{path}{query}")).await;
        listed.json["values"][0]["content"]["raw"].clone()
    };
    assert_eq!((raw("").await, raw("?sort=-created_on").await), (json!("first"), json!("second")));
    assert_eq!(client.mocks.bitbucket().pull_request_comments("acme/shop", 7).len(), 2);
    client.mocks.finish().expect("nothing was wrong");
    let long = json!({ "content": { "raw": "x".repeat(32_769) } });
    assert_eq!(client.call(&access, "POST", path, long).await.status, 400);
    let limited = client.mocks.bitbucket().rate_limited(None);
    client.mocks.bitbucket().fail_next(Matcher::any(), limited);
    let back = client.get(&access, "/user").await;
    assert_eq!((back.status, back.header("retry-after")), (429, ""));
    assert!(back.text.contains("Rate limit for this resource has been exceeded"));
}
