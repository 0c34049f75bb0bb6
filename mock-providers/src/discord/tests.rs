//! Discord as a client meets it.

use std::time::Duration;

use serde_json::{Value, json};

use super::Scope;
use crate::{
    Matcher, MockProviders,
    testing::{Back, parameter, request, send, send_form},
};

const CALLBACK: &str = "http://relay.test/api/integrations/discord/org-callback";
const AGENT: &str = "DiscordBot (https://deptex.io, 1.0)";

async fn connected(mocks: &MockProviders) -> Value {
    let (id, secret) = mocks.discord().client();
    let web = mocks.discord().url("web");
    let page = format!(
        "{web}/oauth2/authorize?response_type=code&client_id={id}&redirect_uri={CALLBACK}\
         &scope=bot%20identify&state=s1&permissions=19456"
    );
    let back = mocks.consent(&page).await;
    assert!(parameter(&back, "guild_id").is_some());
    let code = parameter(&back, "code").expect("a code");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("client_id", &id),
        ("client_secret", &secret),
    ];
    let url = format!("{web}/api/oauth2/token");
    send_form(request("POST", &url), &fields).await.json
}

async fn call(mocks: &MockProviders, method: &str, path: &str, body: &Value) -> Back {
    let token = mocks.discord().inner().state.bot_token().to_owned();
    let url = format!("{}/api/v10{path}", mocks.discord().url("web"));
    let request = request(method, &url)
        .header("user-agent", AGENT)
        .header("authorization", format!("Bot {token}"));
    send(if body.is_null() { request } else { request.json(body) }).await
}

fn message(nonce: &str) -> Value {
    json!({
        "content": "Found @everyone", "allowed_mentions": { "parse": [] },
        "nonce": nonce, "enforce_nonce": true,
    })
}

#[tokio::test]
async fn the_same_nonce_shows_once() {
    let mocks = MockProviders::start().await;
    let granted = connected(&mocks).await;
    assert_eq!(granted["guild"]["name"], "Acme");
    assert!(mocks.discord().has_bot("Acme"));
    let channels = call(&mocks, "GET", "/guilds/1000000000000000001/channels", &Value::Null).await;
    assert_eq!(channels.json.as_array().map(Vec::len), Some(5));
    let path = format!("/channels/{}/messages", mocks.discord().channel("security").id);
    let first = call(&mocks, "POST", &path, &message("a")).await;
    let again = call(&mocks, "POST", &path, &message("a")).await;
    assert_eq!((first.status, &first.json["id"]), (200, &again.json["id"]));
    assert_eq!(mocks.discord().messages_in("security").len(), 1);
    assert!(!mocks.discord().messages()[0].pings());
    call(&mocks, "POST", &path, &message("b")).await;
    mocks.advance(Duration::from_secs(600));
    call(&mocks, "POST", &path, &message("a")).await;
    assert_eq!(mocks.discord().messages().len(), 3, "a nonce is forgotten");
    mocks.finish().expect("all was in order");
}

#[tokio::test]
async fn every_refusal_has_its_code() {
    let mocks = MockProviders::start().await;
    connected(&mocks).await;
    let discord = mocks.discord();
    let id = |name: &str| discord.channel(name).id;
    let (voice, forum, text) = (id("Lounge"), id("ideas"), id("security"));
    let post = |channel: &str| {
        let path = format!("/channels/{channel}/messages");
        let mocks = &mocks;
        async move { call(mocks, "POST", &path, &message("x")).await }
    };
    let code = |back: Back| (back.status, back.json["code"].as_u64().unwrap_or_default());
    assert_eq!(code(post("1").await), (404, 10003));
    assert_eq!(code(post(&voice).await), (400, 50008));
    assert_eq!(code(post(&forum).await), (400, 50024));
    discord.change_channel("security", |channel| channel.may_send = false);
    assert_eq!(code(post(&text).await), (403, 50013));
    discord.change_channel("security", |channel| channel.may_see = false);
    assert_eq!(code(post(&text).await), (403, 50001));
    discord.kick_bot("Acme");
    let guild = call(&mocks, "GET", "/guilds/1000000000000000001", &Value::Null).await;
    assert_eq!(code(guild), (403, 50001));
    let limited = discord.rate_limited(Duration::from_millis(1500), Scope::Global);
    discord.fail_next(Matcher::any(), limited);
    let back = post(&text).await;
    assert_eq!((back.status, back.header("retry-after")), (429, "2"));
    assert_eq!((&back.json["retry_after"], &back.json["global"]), (&json!(1.5), &json!(true)));
    mocks.finish().expect("nobody's mistake");
}

#[tokio::test]
async fn a_caller_without_a_name_or_with_too_much_text_fails_the_test() {
    let mocks = MockProviders::start().await;
    connected(&mocks).await;
    let url = format!("{}/api/v10/users/@me", mocks.discord().url("web"));
    assert_eq!(send(request("GET", &url)).await.status, 403);
    let path = format!("/channels/{}/messages", mocks.discord().channel("security").id);
    let long = json!({ "content": "x".repeat(2001), "allowed_mentions": { "parse": [] } });
    assert_eq!(call(&mocks, "POST", &path, &long).await.json["code"], 50035);
    let pinging = json!({ "content": "x" });
    assert_eq!(call(&mocks, "POST", &path, &pinging).await.json["code"], 50035);
    assert_eq!(mocks.violations().len(), 3, "{:?}", mocks.violations());
    mocks.discord().change_bot_token();
    let wrong = format!("{}/api/v10/guilds/1", mocks.discord().url("web"));
    let wrong = request("GET", &wrong).header("user-agent", AGENT).header("authorization", "Bot x");
    assert_eq!(send(wrong).await.status, 401);
}
