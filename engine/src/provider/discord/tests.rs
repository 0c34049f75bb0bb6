//! Tests of Discord's requests and of what its answers mean.

use serde_json::{Value, json};

use super::*;
use crate::provider::{
    Client, Hold, Hosts,
    contract_suite::{Markup, Sample, check as check_contract, reply, reply_with},
};

const GUILD: &str = "197038439483310086";
const CHANNEL: &str = "345626669114982999";

fn sample() -> Sample {
    Sample {
        credential: "not-a-real-bot-token",
        metadata: json!({"guild_id": GUILD, "guild_name": "Example"}),
        installation_id: GUILD,
        destination: Some(Destination {
            id: CHANNEL.into(),
            name: "#security".into(),
            settings: Value::Null,
        }),
        answer: |_| reply(200, &json!({"id": "334385199974967042", "channel_id": CHANNEL})),
        limits: &[
            ("/embeds/*/title", 256),
            ("/embeds/*/description", 4_096),
            ("/embeds/*/url", 2_048),
            ("/embeds/*/fields/*/name", 256),
            ("/embeds/*/fields/*/value", 1_024),
            ("/embeds/*/footer/text", 2_048),
            ("/components/*/components/*/label", 80),
            ("/components/*/components/*/url", 512),
            ("/nonce", 25),
        ],
        markup: &[
            ("/embeds/*/title", Markup::Discord),
            ("/embeds/*/description", Markup::Discord),
            ("/embeds/*/fields/*/value", Markup::Discord),
        ],
        body_bytes_max: 24_000,
        ..Sample::default()
    }
}

fn end(replies: &[Reply]) -> Verdict {
    match sample().advance(&DISCORD, 1, replies) {
        Step::End(verdict) => verdict,
        Step::Call(call) => panic!("{call:?}"),
    }
}

fn refused(status: u16, code: u64) -> Reply {
    reply(status, &json!({"message": "In words", "code": code}))
}

#[test]
fn discord_holds_to_the_contract() {
    check_contract(&DISCORD, &sample());
}

/// No schema says it: <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>.
#[test]
fn all_texts_of_an_embed_together_keep_their_limit() {
    let all = "*".repeat(100_000);
    let data = json!({
        "package": all, "version": all, "project": all, "vulnerability_id": all, "status": all,
        "message": all, "severity": "critical",
    });
    let call = sample().call(&DISCORD, "vulnerability.found", &data);
    let body: Value = serde_json::from_slice(&call.body).expect("JSON");
    let embed = &body["embeds"][0];
    let length = |value: &Value| value.as_str().map_or(0, |text| text.encode_utf16().count());
    let fields = embed["fields"].as_array().expect("fields");
    assert_eq!(fields.len(), 6);
    let fields: usize = fields.iter().map(|f| length(&f["name"]) + length(&f["value"])).sum();
    let rest = length(&embed["title"]) + length(&embed["description"]);
    let total = fields + rest + length(&embed["footer"]["text"]);
    assert!((4_000..=6_000).contains(&total), "{total}");
}

#[test]
fn a_message_that_arrived_has_its_id_and_page() {
    let delivered = Verdict::Delivered(crate::provider::Delivered {
        external_id: Some("334385199974967042".into()),
        url: Some(format!("https://discord.com/channels/{GUILD}/{CHANNEL}/334385199974967042")),
        ticket: None,
    });
    assert_eq!(end(&[reply(200, &json!({"id": "334385199974967042"}))]), delivered);
    assert_eq!(end(&[reply_with(200, &[], r#"{"embeds": [{"#)]), Verdict::delivered());
}

#[test]
fn each_refusal_means_what_discord_says_of_it() {
    let elsewhere = |code: &'static str| Verdict::WrongDestination(code.into());
    let rejected = |code: &'static str| Verdict::Rejected(code.into());
    for (status, code, verdict) in [
        (401, 0, Verdict::OperatorFault("discord_bot_token")),
        (401, 40_001, Verdict::OperatorFault("discord_bot_token")),
        (401, 50_014, Verdict::OperatorFault("discord_bot_token")),
        (403, 50_001, elsewhere("missing_access")),
        (403, 50_013, elsewhere("missing_permission")),
        (404, 10_003, elsewhere("unknown_channel")),
        (404, 10_004, Verdict::Disconnected("unknown_guild")),
        (400, 50_008, elsewhere("not_a_text_channel")),
        (400, 50_024, elsewhere("wrong_channel_type")),
        (400, 50_083, elsewhere("thread_archived")),
        (400, 50_035, rejected("invalid_form_body")),
        (400, 50_006, rejected("empty_message")),
        (400, 50_109, rejected("invalid_json")),
        (400, 200_000, rejected("blocked_by_moderation")),
        (400, 240_000, rejected("blocked_link")),
        (400, 99_999, rejected("http_400")),
        (403, 99_999, elsewhere("forbidden")),
        (503, 130_000, Verdict::Retry { after: None, hold: None }),
        (500, 0, Verdict::Retry { after: None, hold: None }),
    ] {
        assert_eq!(end(&[refused(status, code)]), verdict, "{status} {code}");
    }
    let five = Verdict::hold(Duration::from_secs(5), SharedBy::Destination);
    for code in [20_016, 20_028, 20_029, 40_062, 130_000] {
        assert_eq!(end(&[refused(400, code)]), five, "{code}");
    }
}

#[test]
fn limits_are_waited_for_by_those_who_share_them() {
    let limited =
        |headers: &[(&'static str, &str)], body: &str| end(&[reply_with(429, headers, body)]);
    let own =
        limited(&[("retry-after", "1")], r#"{"message":"","retry_after":1.336,"global":false}"#);
    assert_eq!(own, Verdict::hold(Duration::from_secs_f64(1.336), SharedBy::Destination));
    let shared = [("x-ratelimit-scope", "shared"), ("x-ratelimit-reset-after", "2.5")];
    let shared = limited(&shared, r#"{"message":"","retry_after":2.0,"global":false}"#);
    assert_eq!(shared, Verdict::hold(Duration::from_secs_f64(2.5), SharedBy::Destination));
    let all = limited(&[], r#"{"message":"","retry_after":64.57,"global":true}"#);
    assert_eq!(all, Verdict::hold(Duration::from_secs_f64(64.57), SharedBy::Provider));
    for header in [("x-ratelimit-global", "true"), ("x-ratelimit-scope", "global")] {
        let all = limited(&[header, ("retry-after", "3")], "{}");
        assert_eq!(all, Verdict::hold(Duration::from_secs(3), SharedBy::Provider));
    }
    let nonsense = limited(&[("x-ratelimit-reset-after", "-1")], r#"{"retry_after":1e300}"#);
    assert_eq!(nonsense, Verdict::hold(Duration::from_secs(5), SharedBy::Destination));
}

#[test]
fn the_last_message_that_a_channel_takes_holds_the_next() {
    let step = sample().advance(&DISCORD, 1, &[]);
    let Step::Call(call) = step else { panic!("{step:?}") };
    let after = |remaining, reset_after| {
        let headers =
            [("x-ratelimit-remaining", remaining), ("x-ratelimit-reset-after", reset_after)];
        (call.heeds)(&reply_with(200, &headers, "{}"))
    };
    let hold = Hold { wait: Duration::from_millis(2_470), shared_by: SharedBy::Destination };
    assert_eq!(after("0", "2.470"), Some(hold));
    for (remaining, reset_after) in [("4", "2.470"), ("0", "-1"), ("0", "soon"), ("", "1")] {
        assert_eq!(after(remaining, reset_after), None, "{remaining} {reset_after}");
    }
}

#[test]
fn the_gatekeeper_is_left_alone_by_everybody() {
    let minute = Verdict::hold(Duration::from_secs(60), SharedBy::Provider);
    for status in [403, 429] {
        assert_eq!(end(&[reply_with(status, &[], "<html>error code: 1015</html>")]), minute);
    }
}

#[test]
fn what_is_not_an_id_never_becomes_part_of_an_address() {
    for id in ["", "../users/@me", "12/messages", "1?x", "１２"] {
        let mut sample = sample();
        sample.destination =
            Some(Destination { id: id.into(), name: String::new(), settings: Value::Null });
        let step = sample.advance(&DISCORD, 1, &[]);
        assert!(matches!(step, Step::End(Verdict::WrongDestination(_))), "{id} {step:?}");
        sample.account(&DISCORD, |account| {
            let step = check(&Choosing { account, id, issue_type: None }, &[]);
            assert!(matches!(step, CheckStep::Unusable(_)), "{id} {step:?}");
        });
    }
}

fn account_of(answer: Value) -> AccountStep {
    let tokens =
        Tokens { access_token: Secret::new("t"), refresh_token: None, expires_in: None, answer };
    let hosts = Hosts::of(&DISCORD, |_| None);
    account(&Newcomer { tokens: &tokens, own: None, hosts: &hosts }, &[])
}

#[test]
fn the_account_is_the_server_that_the_token_names() {
    let step = account_of(json!({"guild": {"id": GUILD, "name": "Example"}, "scope": "bot"}));
    let AccountStep::Accounts(accounts) = step else { panic!("{step:?}") };
    assert_eq!(accounts[0].installation_id, GUILD);
    assert_eq!(accounts[0].display_name, "Example");
    let expected = json!({"guild_id": GUILD, "guild_name": "Example", "scope": "bot"});
    assert_eq!(accounts[0].metadata, expected);
    assert_eq!(accounts[0].destination, None);
    for answer in [json!({}), json!({"guild": {"id": "../x", "name": "Example"}})] {
        assert!(matches!(account_of(answer), AccountStep::Unreadable(_)));
    }
}

#[test]
fn the_picker_lists_channels_that_take_messages() {
    let channel = |id: &str, kind: u8, position: u8| json!({"id": id, "name": format!("c{id}"), "type": kind, "position": position});
    sample().account(&DISCORD, |account| {
        let picking = Picking { account, page: None, search: None };
        let PickStep::Call(call) = list(&picking, &[]) else { panic!("asks nothing") };
        let path = format!("https://discord.com/api/v10/guilds/{GUILD}/channels");
        assert_eq!(call.url.as_str(), path);
        assert_eq!(call.headers["authorization"], "Bot not-a-real-bot-token");
        assert_eq!(call.headers["user-agent"], USER_AGENT);
        let channels = json!([
            channel("3", 0, 2),
            channel("1", 0, 0),
            channel("2", 5, 1),
            channel("4", 2, 3),
            channel("5", 4, 4),
            channel("6", 15, 5),
        ]);
        let PickStep::Page(found, None) = list(&picking, &[reply(200, &channels)]) else {
            panic!("no page")
        };
        let names: Vec<&str> = found.iter().map(|channel| channel.name.as_str()).collect();
        assert_eq!(names, ["#c1", "#c2", "#c3"]);
        for refusal in [refused(403, 50_001), refused(404, 10_004)] {
            let step = list(&picking, &[refusal]);
            let gone = matches!(step, PickStep::Refused(Verdict::Disconnected("unknown_guild")));
            assert!(gone, "{step:?}");
        }
        let step = list(&picking, &[refused(401, 0)]);
        assert!(matches!(step, PickStep::Refused(Verdict::OperatorFault(_))), "{step:?}");
    });
}

#[test]
fn a_choice_must_be_a_channel_of_the_connected_server() {
    sample().account(&DISCORD, |account| {
        let choosing = Choosing { account, id: CHANNEL, issue_type: None };
        let seen = |guild: &str, kind: u8| {
            let channel = json!({"id": CHANNEL, "name": "x", "type": kind, "guild_id": guild});
            check(&choosing, &[reply(200, &channel)])
        };
        assert!(matches!(check(&choosing, &[]), CheckStep::Call(_)));
        assert!(matches!(seen(GUILD, 0), CheckStep::Fine(channel) if channel.name == "#x"));
        assert!(matches!(seen("1", 0), CheckStep::Unusable(_)), "another customer's server");
        assert!(matches!(seen(GUILD, 15), CheckStep::Unusable(_)), "a forum");
        let unseen = check(&choosing, &[refused(403, 50_001)]);
        assert!(matches!(unseen, CheckStep::Unusable(_)));
        let ours = check(&choosing, &[refused(401, 0)]);
        assert!(matches!(ours, CheckStep::Refused(Verdict::OperatorFault(_))));
    });
}

#[test]
fn revoking_ends_the_authorization_by_the_token_that_lasts() {
    let client = Client { id: "app".into(), secret: Secret::new("hidden") };
    let (access, refresh) = (Secret::new("a"), Secret::new("r"));
    let hosts = Hosts::of(&DISCORD, |_| None);
    let mut revocation = Revocation {
        access_token: Some(&access),
        refresh_token: Some(&refresh),
        client: &client,
        metadata: &Value::Null,
        hosts: &hosts,
    };
    let call = revoke(&revocation).expect("there are tokens");
    assert_eq!(call.url.as_str(), "https://discord.com/api/oauth2/token/revoke");
    assert_eq!(call.body, "token=r&token_type_hint=refresh_token");
    assert_eq!(call.headers["authorization"], "Basic YXBwOmhpZGRlbg==");
    assert!(call.headers["authorization"].is_sensitive());
    revocation.refresh_token = None;
    let call = revoke(&revocation).expect("there is a token");
    assert_eq!(call.body, "token=a&token_type_hint=access_token");
    revocation.access_token = None;
    assert!(revoke(&revocation).is_none());
}
