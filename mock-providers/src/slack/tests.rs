//! Slack as a client meets it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Answer, Matcher, MockProviders,
    testing::{Back, parameter, request, send, send_form},
};

const CALLBACK: &str = "http://relay.test/api/integrations/slack/org-callback";
const SCOPES: &str = "chat:write,channels:read,channels:join,incoming-webhook";

fn page(mocks: &MockProviders, scopes: &str, more: &str) -> String {
    let mut url = url::Url::parse(mocks.slack().url("web")).expect("an address");
    url.set_path("/oauth/v2/authorize");
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &mocks.slack().client().0)
        .append_pair("redirect_uri", CALLBACK)
        .append_pair("scope", scopes)
        .append_pair("state", "s1");
    format!("{url}{more}")
}

async fn token(mocks: &MockProviders, fields: &[(&str, &str)]) -> Value {
    let (id, secret) = mocks.slack().client();
    let mut all = vec![("client_id", id.as_str()), ("client_secret", &secret)];
    all.extend(fields);
    let url = format!("{}/api/oauth.v2.access", mocks.slack().url("web"));
    let back = send_form(request("POST", &url), &all).await;
    assert_eq!(back.status, 200, "Slack's refusals are 200 too");
    back.json
}

/// The answer with the first tokens.
async fn connected(mocks: &MockProviders) -> Value {
    let back = mocks.consent(&page(mocks, SCOPES, "")).await;
    assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
    let code = parameter(&back, "code").expect("a code");
    token(mocks, &[("code", &code), ("redirect_uri", CALLBACK)]).await
}

async fn call(mocks: &MockProviders, token: &str, method: &str, body: &Value) -> Back {
    let url = format!("{}/api/{method}", mocks.slack().url("web"));
    let request = request("POST", &url).bearer_auth(token);
    let kind = "application/json; charset=utf-8";
    send(request.header("content-type", kind).body(body.to_string())).await
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_message_arrives_once_the_app_is_in_the_channel() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    assert_eq!(granted["incoming_webhook"]["channel"], "#security");
    let access = text(&granted, "access_token");
    let message = json!({ "channel": "C0SECURITY", "text": "A &lt;critical&gt; finding" });
    let back = call(&mocks, access, "chat.postMessage", &message).await;
    assert_eq!(back.json["error"], "not_in_channel");
    let back =
        call(&mocks, access, "conversations.join", &json!({ "channel": "C0SECURITY" })).await;
    assert_eq!(back.json["ok"], true);
    let back = call(&mocks, access, "chat.postMessage", &message).await;
    assert!(back.text.starts_with("{\"ok\":true,"), "{}", back.text);
    let messages = mocks.slack().messages_in("security");
    assert_eq!(messages[0].rendered(), "A <critical> finding");
    assert!(!messages[0].pings());
    let shown = send(request("GET", &format!("{}/", mocks.slack().url("web")))).await;
    assert!(shown.text.contains("A &lt;critical&gt; finding"), "{}", shown.text);
    mocks.finish().expect("all was in order");
}

#[tokio::test]
async fn a_refresh_token_is_taken_once() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let refresh = text(&granted, "refresh_token");
    assert!(refresh.starts_with("xoxe-1-"));
    mocks.slack().expire_tokens();
    let access = text(&granted, "access_token");
    assert_eq!(call(&mocks, access, "auth.test", &json!({})).await.json["error"], "token_expired");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let renewed = token(&mocks, &fields).await;
    let access = text(&renewed, "access_token");
    assert_eq!(call(&mocks, access, "auth.test", &json!({})).await.json["ok"], true);
    assert_eq!(token(&mocks, &fields).await["error"], "invalid_refresh_token");
    assert_eq!(mocks.slack().refresh_token_reuses(), 1);
    let secrets = mocks.secrets();
    assert!([refresh, access].iter().all(|secret| secrets.iter().any(|known| known == secret)));
    let shown = format!("{:?}", mocks.requests());
    assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
}

#[tokio::test]
async fn without_rotation_tokens_hold_for_ever() {
    let mocks = MockProviders::start().await;
    mocks.slack().set_rotation(false);
    let granted = connected(&mocks).await;
    assert!(granted["refresh_token"].is_null() && granted["expires_in"].is_null());
    mocks.advance(Duration::from_secs(100_000));
    let access = text(&granted, "access_token");
    assert_eq!(call(&mocks, access, "auth.test", &json!({})).await.json["ok"], true);
}

#[tokio::test]
async fn the_consent_page_refuses_what_slack_refuses() {
    let mocks = MockProviders::start().await;
    for (page, why) in [
        (page(&mocks, "chat:write channels:read", ""), "scope"),
        (page(&mocks, SCOPES, "&code_challenge=x&code_challenge_method=S256"), "PKCE"),
        (page(&mocks, SCOPES, "").replace("state=s1", "state="), "state"),
        (page(&mocks, SCOPES, "").replace("client_id=", "client_id=other"), "client_id"),
        (page(&mocks, SCOPES, "").replace("org-callback", "callback"), "redirect_uri"),
        (
            page(&mocks, SCOPES, "").replace("response_type=code", "response_type=token"),
            "response_type",
        ),
    ] {
        let refusal = mocks.try_consent(&page).await.expect_err("refused");
        assert!(refusal.contains(why), "{refusal}");
    }
    mocks.set_relay_url("http://relay.example");
    let refusal = mocks.try_consent(&page(&mocks, SCOPES, "")).await.expect_err("elsewhere");
    assert!(refusal.contains("redirect_uri"), "{refusal}");
    mocks.set_relay_url("http://relay.test/");
    mocks.slack().deny_next();
    let back = mocks.consent(&page(&mocks, SCOPES, "")).await;
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
}

#[tokio::test]
async fn a_code_is_for_one_exchange_with_its_own_address_and_client() {
    let mocks = MockProviders::start().await;
    let new_code = || async {
        parameter(&mocks.consent(&page(&mocks, SCOPES, "")).await, "code").expect("a code")
    };
    let code = new_code().await;
    let other = "http://relay.test/other";
    let back = token(&mocks, &[("code", &code), ("redirect_uri", other)]).await;
    assert_eq!(back["error"], "bad_redirect_uri");
    let back = token(&mocks, &[("code", &code), ("redirect_uri", CALLBACK)]).await;
    assert_eq!(back["error"], "invalid_code", "it was taken");
    let code = new_code().await;
    mocks.advance(Duration::from_secs(601));
    let back = token(&mocks, &[("code", &code), ("redirect_uri", CALLBACK)]).await;
    assert_eq!(back["error"], "invalid_code", "it was too old");
    let code = new_code().await;
    let (id, secret) = mocks.slack().client();
    mocks.slack().change_client_secret();
    let url = format!("{}/api/oauth.v2.access", mocks.slack().url("web"));
    let fields = [("client_id", id.as_str()), ("client_secret", &secret), ("code", &code)];
    assert_eq!(send_form(request("POST", &url), &fields).await.json["error"], "bad_client_secret");
    let json = json!({ "client_id": id, "client_secret": secret, "code": code });
    let back = send(request("POST", &url).json(&json)).await;
    assert_eq!(back.json["error"], "invalid_post_type");
    let complaint = mocks.finish().expect_err("a token request is a form");
    assert!(complaint.contains("ContentType"), "{complaint}");
}

#[tokio::test]
async fn what_is_broken_fails_as_told_and_then_works_again() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let access = text(&granted, "access_token");
    mocks.slack().set_member("security", true);
    let slack = mocks.slack();
    let (path, message) =
        ("/api/chat.postMessage", json!({ "channel": "C0SECURITY", "text": "x" }));
    slack.fail_next(Matcher::post(path), slack.rate_limited(Duration::from_secs(30)));
    let back = call(&mocks, access, "chat.postMessage", &message).await;
    assert_eq!((back.status, back.header("retry-after")), (429, "30"));
    assert_eq!(slack.messages().len(), 0);

    let url = format!("{}{path}", slack.url("web"));
    let post = || {
        let request = request("POST", &url).bearer_auth(access).json(&message);
        async move { request.send().await?.bytes().await }
    };
    slack.fail_next(Matcher::post(path), Answer::lost());
    assert!(post().await.is_err(), "no answer came");
    assert_eq!(slack.messages().len(), 1, "but it was posted");
    slack.fail_next(Matcher::post(path), Answer::half());
    assert!(post().await.is_err(), "half an answer came");
    assert_eq!(slack.messages().len(), 2);
    slack.fail_next(Matcher::post(path), Answer::unreached());
    assert!(post().await.is_err());
    assert_eq!(slack.messages().len(), 2, "nothing was posted");
    assert!(post().await.is_ok());
    assert_eq!(slack.messages().len(), 3);
    let statuses: Vec<Option<u16>> =
        slack.matching("POST", path).iter().map(|r| r.status).collect();
    assert_eq!(statuses, [Some(429), None, None, None, Some(200)]);
}

#[tokio::test]
async fn a_held_answer_comes_when_it_is_released() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let access = text(&granted, "access_token").to_owned();
    mocks.slack().fail_next(Matcher::post("/api/auth.test"), Answer::real().held());
    let url = format!("{}/api/auth.test", mocks.slack().url("web"));
    let waiting = tokio::spawn(send(request("POST", &url).bearer_auth(access)));
    while mocks.slack().count("POST", "/api/auth.test") == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    mocks.release();
    assert_eq!(waiting.await.expect("an answer").json["ok"], true);
}

#[tokio::test]
async fn mistakes_of_the_caller_fail_the_test() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let access = text(&granted, "access_token");
    mocks.slack().set_member("security", true);
    let long =
        json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "x".repeat(3001) } }]);
    let message = json!({ "channel": "C0SECURITY", "text": "x", "blocks": long });
    let back = call(&mocks, access, "chat.postMessage", &message).await;
    assert_eq!(back.json["error"], "invalid_blocks");
    assert!(mocks.finish().expect_err("a violation").contains("invalid_blocks"));
    mocks.forgive();
    call(&mocks, access, "chat.delete", &json!({})).await;
    assert_eq!(mocks.unexpected(), ["slack: POST /api/chat.delete"]);
    mocks.forgive();
    // These happen to everybody.
    mocks.slack().archive("security");
    let message = json!({ "channel": "C0SECURITY", "text": "x" });
    let back = call(&mocks, access, "chat.postMessage", &message).await;
    assert_eq!(back.json["error"], "is_archived");
    mocks.slack().revoke_grants();
    let back = call(&mocks, access, "chat.postMessage", &message).await;
    assert_eq!(back.json["error"], "token_revoked");
    mocks.finish().expect("nobody's mistake");
}

#[tokio::test]
async fn the_channel_of_the_consent_page_is_of_the_workspace_that_was_chosen() {
    let mocks = MockProviders::start().await;
    mocks.slack().choose_channel("alerts");
    let granted = connected(&mocks).await;
    assert_eq!(granted["team"]["name"], "Globex");
    assert_eq!(granted["incoming_webhook"]["channel"], "#alerts");
}

#[tokio::test]
async fn channels_come_page_by_page() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    let list = |query: &str| {
        let url = format!("{}/api/conversations.list?{query}", mocks.slack().url("web"));
        send(request("GET", &url).bearer_auth(text(&granted, "access_token")))
    };
    let first = list("limit=1").await.json;
    assert_eq!(first["channels"][0]["name"], "security");
    let cursor = text(&first["response_metadata"], "next_cursor");
    let second = list(&format!("limit=1&cursor={cursor}")).await.json;
    assert_eq!(second["channels"][0]["name"], "general");
    assert_eq!(second["response_metadata"]["next_cursor"], "");
    let private = list("types=public_channel,private_channel").await.json;
    assert_eq!(private["error"], "missing_scope", "groups:read was not asked for");
}
