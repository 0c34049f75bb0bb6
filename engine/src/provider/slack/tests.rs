//! Tests of Slack's requests and of what its answers mean.

use serde_json::{Value, json};

use super::*;
use crate::{
    provider::{
        Client,
        contract_suite::{Markup, Sample, check, reply, reply_with},
    },
    secret::Secret,
};

const TOKEN: &str = "xoxb-not-a-real-token";

fn sample() -> Sample {
    Sample {
        credential: TOKEN,
        metadata: json!({"team_id": "T0EXAMPLE", "team_name": "Example"}),
        installation_id: "T0EXAMPLE:C0EXAMPLE",
        destination: Some(channel()),
        answer: |_| posted(),
        limits: &[
            ("/text", 3_000),
            ("/blocks/0/text/text", 150),
            ("/blocks/*/text/text", 3_000),
            ("/blocks/*/elements/*/text", 3_000),
            ("/blocks/*/elements/*/elements/*/text", 300),
            ("/blocks/*/elements/*/text/text", 75),
            ("/blocks/*/elements/*/url", 3_000),
        ],
        markup: &[("/text", Markup::Slack), ("/blocks/*/elements/*/text", Markup::Slack)],
        // Blocks that sum to more than about 13,200 characters are refused.
        body_bytes_max: 24_000,
        ..Sample::default()
    }
}

fn channel() -> Destination {
    Destination { id: "C0EXAMPLE".into(), name: "#security".into(), settings: Value::Null }
}

fn posted() -> Reply {
    reply(200, &json!({"ok": true, "channel": "C0EXAMPLE", "ts": "1503435956.000247"}))
}

fn refused(code: &str) -> Reply {
    reply(200, &json!({"ok": false, "error": code}))
}

fn end(attempt: i32, replies: &[Reply]) -> Verdict {
    match sample().advance(&SLACK, attempt, replies) {
        Step::End(verdict) => verdict,
        Step::Call(call) => panic!("{call:?}"),
    }
}

#[test]
fn slack_holds_to_the_contract() {
    check(&SLACK, &sample());
}

#[test]
fn a_message_that_arrived_has_its_id_and_a_page() {
    let delivered = Verdict::Delivered(crate::provider::Delivered {
        external_id: Some("1503435956.000247".into()),
        url: Some("https://slack.com/app_redirect?team=T0EXAMPLE&channel=C0EXAMPLE".into()),
        ticket: None,
    });
    assert_eq!(end(1, &[posted()]), delivered);
    let cut = reply_with(200, &[], r#"{"ok":true,"channel":"C0EXAMPLE","message":{"text":"hal"#);
    assert_eq!(end(1, &[cut]), Verdict::delivered(), "a long answer is not read to its end");
}

#[test]
fn each_refusal_means_what_slack_says_of_it() {
    let reauth = |code: &str| Verdict::Reauth(code.to_owned().into());
    let elsewhere = |code: &str| Verdict::WrongDestination(code.to_owned().into());
    let rejected = |code: &str| Verdict::Rejected(code.to_owned().into());
    let later = Verdict::Retry { after: None, hold: None };
    for code in [
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "account_inactive",
        "missing_scope",
        "not_allowed_token_type",
        "no_permission",
        "app_access_restricted",
        "two_factor_setup_required",
    ] {
        assert_eq!(end(1, &[refused(code)]), reauth(code));
    }
    for code in [
        "channel_not_found",
        "is_archived",
        "restricted_action",
        "restricted_action_read_only_channel",
        "messages_tab_disabled",
        "ekm_access_denied",
        "team_not_found",
        "access_denied",
    ] {
        assert_eq!(end(1, &[refused(code)]), elsewhere(code));
    }
    for code in [
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
    ] {
        assert_eq!(end(1, &[refused(code)]), later, "{code}");
        assert_eq!(end(9, &[refused(code)]), later, "{code}");
    }
    for code in [
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "no_text",
        "too_many_attachments",
        "attachment_payload_limit_exceeded",
        "invalid_arg_name",
        "invalid_array_arg",
        "invalid_charset",
        "invalid_form_data",
        "invalid_post_type",
        "missing_post_type",
        "markdown_text_conflict",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_too_large",
        "cannot_reply_to_message",
    ] {
        assert_eq!(end(1, &[refused(code)]), rejected(code));
    }
    assert_eq!(end(1, &[refused("token_expired")]), Verdict::Unauthorized);
}

#[test]
fn limits_are_waited_for_by_those_who_share_them() {
    let limited =
        reply_with(429, &[("retry-after", "30")], r#"{"ok":false,"error":"ratelimited"}"#);
    let thirty = Duration::from_secs(30);
    assert_eq!(end(1, &[limited]), Verdict::hold(thirty, SharedBy::Destination));
    for code in ["ratelimited", "rate_limited"] {
        assert_eq!(end(1, &[refused(code)]), Verdict::hold(thirty, SharedBy::Destination));
    }
    let hours = Duration::from_secs(4 * 60 * 60);
    let used_up = end(1, &[refused("message_limit_exceeded")]);
    assert_eq!(used_up, Verdict::hold(hours, SharedBy::Installation));
}

#[test]
fn doubt_ends_after_some_attempts() {
    let later = Verdict::Retry { after: None, hold: None };
    assert_eq!(end(3, &[refused("brand_new_error")]), later);
    assert_eq!(end(4, &[refused("brand_new_error")]), Verdict::Rejected("brand_new_error".into()));
    let ten_minutes = Duration::from_secs(600);
    let moves = "org_login_required";
    assert_eq!(end(1, &[refused(moves)]), Verdict::hold(ten_minutes, SharedBy::Installation));
    assert_eq!(end(4, &[refused(moves)]), Verdict::Reauth(moves.into()));
    let page = reply_with(200, &[], "<html>Be right back</html>");
    assert_eq!(end(1, &[page]), later, "what is not Slack's answer says nothing");
}

#[test]
fn a_public_channel_is_joined_once_and_posted_to_again() {
    let call = |replies: &[Reply]| match sample().advance(&SLACK, 1, replies) {
        Step::Call(call) => call,
        Step::End(verdict) => panic!("{verdict:?}"),
    };
    let outside = refused("not_in_channel");
    let join = call(std::slice::from_ref(&outside));
    assert_eq!(join.url.as_str(), "https://slack.com/api/conversations.join");
    assert_eq!(join.body, r#"{"channel":"C0EXAMPLE"}"#);
    let joined = reply(200, &json!({"ok": true, "channel": {"id": "C0EXAMPLE"}}));
    let again = call(&[outside.clone(), joined.clone()]);
    assert_eq!(again.body, call(&[]).body);
    let still_outside = end(1, &[outside.clone(), joined, outside.clone()]);
    assert_eq!(still_outside, Verdict::WrongDestination("not_in_channel".into()));
    let private = refused("method_not_supported_for_channel_type");
    let nobody_invited_us = end(1, &[outside, private]);
    assert_eq!(nobody_invited_us, Verdict::WrongDestination("not_in_channel".into()));
}

#[test]
fn a_grant_is_read_and_a_refused_one_blames_whom_it_should() {
    let granted = json!({
        "ok": true, "access_token": "xoxe.xoxb-1", "token_type": "bot", "expires_in": 43_200,
        "refresh_token": "xoxe-1", "scope": "chat:write", "app_id": "A1",
    });
    let tokens = tokens(&reply(200, &granted)).expect("a grant");
    assert_eq!(tokens.access_token.reveal(), "xoxe.xoxb-1");
    assert_eq!(tokens.expires_in, Some(Duration::from_secs(43_200)));
    assert!(tokens.refresh_token.is_some());
    let refusal = |code: &str| super::tokens(&refused(code)).expect_err(code);
    for code in ["invalid_code", "invalid_refresh_token", "token_revoked"] {
        assert_eq!(refusal(code), TokenRefused::Grant(code.into()));
    }
    for code in ["bad_client_secret", "invalid_client_id", "bad_redirect_uri"] {
        assert_eq!(refusal(code), TokenRefused::Client(code.into()));
    }
    for code in ["ratelimited", "internal_error", "brand_new_error"] {
        assert_eq!(refusal(code), TokenRefused::Later(code.into()));
    }
    let down = super::tokens(&reply_with(503, &[], "")).expect_err("down");
    assert_eq!(down, TokenRefused::Later("http_503".into()));
}

fn account_of(answer: Value) -> AccountStep {
    let tokens =
        Tokens { access_token: Secret::new(TOKEN), refresh_token: None, expires_in: None, answer };
    let hosts = crate::provider::Hosts::of(&SLACK, |_| None);
    account(&Newcomer { tokens: &tokens, own: None, hosts: &hosts }, &[])
}

#[test]
fn the_account_is_the_workspace_with_the_channel_of_the_consent() {
    let step = account_of(json!({
        "ok": true, "access_token": TOKEN, "bot_user_id": "U1", "scope": "chat:write",
        "team": {"id": "T1", "name": "Example"}, "authed_user": {"id": "U2"},
        "incoming_webhook": {
            "channel": "#security", "channel_id": "C1", "url": "https://hooks.slack.com/secret",
            "configuration_url": "https://example.slack.com/services/B1",
        },
    }));
    let AccountStep::Accounts(accounts) = step else { panic!("{step:?}") };
    let account = &accounts[0];
    assert_eq!(account.installation_id, "T1:C1");
    assert_eq!(account.display_name, "Example");
    let channel = account.destination.as_ref().expect("a channel");
    assert_eq!((channel.id.as_str(), channel.name.as_str()), ("C1", "#security"));
    let expected = json!({
        "bot_user_id": "U1", "team_id": "T1", "team_name": "Example", "channel": "#security",
        "channel_id": "C1", "authed_user_id": "U2", "scope": "chat:write",
        "incoming_webhook": {
            "channel": "#security", "channel_id": "C1",
            "configuration_url": "https://example.slack.com/services/B1",
        },
    });
    assert_eq!(account.metadata, expected, "neither the hook's address nor a token is kept");
}

#[test]
fn without_a_channel_or_a_workspace_the_account_is_what_there_is() {
    let step = account_of(json!({"team": {"id": "T1"}}));
    let AccountStep::Accounts(accounts) = step else { panic!("{step:?}") };
    assert_eq!(accounts[0].installation_id, "T1");
    assert_eq!(accounts[0].display_name, "Slack Workspace");
    assert_eq!(accounts[0].destination, None);
    let step = account_of(json!({"team": null, "enterprise": {"id": "E1", "name": "Group"}}));
    let AccountStep::Accounts(accounts) = step else { panic!("{step:?}") };
    assert_eq!(accounts[0].installation_id, "E1");
    assert!(matches!(account_of(json!({"ok": true})), AccountStep::Unreadable(_)));
}

#[test]
fn the_picker_lists_open_channels_page_by_page() {
    let page = |names: &[&str], next: &str| {
        let channels: Vec<Value> = names
            .iter()
            .map(|name| json!({"id": format!("C-{name}"), "name": name, "is_archived": false}))
            .chain([json!({"id": "C-old", "name": "old", "is_archived": true})])
            .collect();
        let mark = json!({"next_cursor": next});
        reply(200, &json!({"ok": true, "channels": channels, "response_metadata": mark}))
    };
    let names = |step: PickStep| match step {
        PickStep::Page(channels, next) => {
            (channels.into_iter().map(|channel| channel.name).collect::<Vec<_>>(), next)
        }
        step => panic!("{step:?}"),
    };
    sample().account(&SLACK, |account| {
        let all = Picking { account, page: Some("mark=1"), search: None };
        let PickStep::Call(call) = list(&all, &[]) else { panic!("asks nothing") };
        assert!(call.url.as_str().ends_with("&limit=200&cursor=mark%3D1"), "{}", call.url);
        let (found, next) = names(list(&all, &[page(&["general", "random"], "mark=2")]));
        assert_eq!(
            (found, next.as_deref()),
            (vec!["#general".into(), "#random".into()], Some("mark=2"))
        );
        assert_eq!(names(list(&all, &[page(&["general"], "")])).1, None);
        let search = Picking { account, page: None, search: Some("#SEC") };
        let first = page(&["general"], "mark=2");
        let PickStep::Call(call) = list(&search, std::slice::from_ref(&first)) else {
            panic!("gives up")
        };
        assert!(call.url.as_str().contains("cursor=mark%3D2"));
        let (found, _) = names(list(&search, &[first.clone(), page(&["security"], "mark=3")]));
        assert_eq!(found, ["#security"]);
        let long = vec![first; PAGES_A_SEARCH];
        assert_eq!(names(list(&search, &long)), (Vec::new(), Some("mark=2".into())));
        let limited = list(&all, &[reply_with(429, &[("retry-after", "5")], "")]);
        assert!(matches!(limited, PickStep::Refused(Verdict::Retry { .. })), "{limited:?}");
    });
}

#[test]
fn a_choice_is_checked_before_it_is_kept() {
    sample().account(&SLACK, |account| {
        let choosing = Choosing { account, id: "C1", issue_type: None };
        let seen = |channel: Value| {
            super::check(&choosing, &[reply(200, &json!({"ok": true, "channel": channel}))])
        };
        let CheckStep::Call(call) = super::check(&choosing, &[]) else { panic!("asks nothing") };
        assert_eq!(call.url.as_str(), "https://slack.com/api/conversations.info?channel=C1");
        let public = seen(json!({"id": "C1", "name": "general", "is_member": false}));
        assert!(matches!(public, CheckStep::Fine(channel) if channel.name == "#general"));
        for channel in [
            json!({"id": "C1", "name": "old", "is_archived": true}),
            json!({"id": "C1", "name": "secret", "is_private": true, "is_member": false}),
            json!({"id": "D1", "is_im": true}),
        ] {
            assert!(matches!(seen(channel.clone()), CheckStep::Unusable(_)), "{channel}");
        }
        let unknown = super::check(&choosing, &[refused("channel_not_found")]);
        assert!(matches!(unknown, CheckStep::Unusable(_)));
        let revoked = super::check(&choosing, &[refused("token_revoked")]);
        assert!(matches!(revoked, CheckStep::Refused(Verdict::Reauth(_))));
    });
}

#[test]
fn revoking_carries_the_token_in_its_header_only() {
    let client = Client { id: "1".into(), secret: Secret::new("s") };
    let (token, hosts) = (Secret::new(TOKEN), crate::provider::Hosts::of(&SLACK, |_| None));
    let call = revoke(&Revocation {
        access_token: Some(&token),
        refresh_token: None,
        client: &client,
        metadata: &Value::Null,
        hosts: &hosts,
    });
    let call = call.expect("there is a token");
    assert_eq!(call.url.as_str(), "https://slack.com/api/auth.revoke");
    assert_eq!(call.headers["authorization"], format!("Bearer {TOKEN}"));
    assert!(call.headers["authorization"].is_sensitive() && call.body.is_empty());
    for (body, is_over) in [
        (json!({"ok": true, "revoked": true}), true),
        (json!({"ok": false, "error": "token_revoked"}), true),
        (json!({"ok": false, "error": "internal_error"}), false),
        (json!("<html>"), false),
    ] {
        assert_eq!(is_revoked(&reply(200, &body)), is_over, "{body}");
    }
}
