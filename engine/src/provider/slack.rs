//! Slack: posts to the channel that the admin picked while consenting, or chose later.

mod message;
mod verdict;

use std::time::Duration;

use serde_json::{Value, json};

use self::verdict::{error_code, verdict};
use super::{
    Account, AccountAccess, AccountStep, Call, Category, CheckStep, Choosing, ClientAuth,
    ClientSettings, Connect, CredentialOf, Destination, Destinations, Host, Newcomer, OAuth2,
    Outgoing, Pace, PickStep, Picking, Provider, Refresh, Reply, Revocation, Revoke, SharedBy,
    Step, TokenBody, TokenRefused, Tokens, Verdict,
};

/// Slack.
pub(super) const SLACK: Provider = Provider {
    id: "slack",
    label: "Slack",
    category: Category::Notification,
    hosts: &[Host { name: "web", url: "https://slack.com", setting: "RELAY_SLACK_URL" }],
    connect: Connect::OAuth2(OAuth2 {
        client: ClientSettings { id: "SLACK_CLIENT_ID", secret: "SLACK_CLIENT_SECRET" },
        callback: "org-callback",
        authorize: ("web", "/oauth/v2/authorize"),
        token: ("web", "/api/oauth.v2.access"),
        scopes: &[
            "chat:write",
            "chat:write.public",
            "channels:read",
            "groups:read",
            "channels:join",
            "incoming-webhook",
            "team:read",
        ],
        scope_separator: ",",
        extra: &[],
        // An app that takes PKCE at Slack becomes a public client for good.
        pkce: false,
        token_body: TokenBody::Form,
        refresh_wants_redirect: false,
        client_auth: ClientAuth::Parameters,
        // Only apps with token rotation get refresh tokens; each is spent by its use.
        refresh: Refresh::Rotates,
        tokens,
        account,
        revoke: Some(Revoke { call: revoke, is_done: is_revoked }),
        revoke_url: |_, _| Some("https://app.slack.com/".to_owned()),
    }),
    credential: CredentialOf::Connection,
    destinations: Some(Destinations { noun: "channel", list, check }),
    // https://docs.slack.dev/apis/web-api/rate-limits: a message a second and channel, short bursts.
    pace: Pace {
        burst: 3,
        count: 1,
        per: Duration::from_secs(1),
        shared_by: SharedBy::Destination,
    },
    event_types: &["*"],
    advance,
    limits: "title 150 characters, text 3,000",
};

/// How many channels one page of Slack's list has: their JSON must fit into what we read of it.
const CHANNELS_A_PAGE: &str = "200";
/// How many pages one search looks through; the admin may go on from there.
const PAGES_A_SEARCH: usize = 6;

/// Posts. An app that is not in a public channel joins it, and posts once more.
fn advance(out: &Outgoing<'_>, replies: &[Reply]) -> Step {
    let Some(channel) = out.destination else {
        return Step::End(Verdict::NoDestination);
    };
    let understood = |reply: &Reply| verdict(reply, out);
    match replies {
        [] => Step::Call(post(out, channel)),
        [posted] if error_code(posted).as_deref() == Some("not_in_channel") => {
            Step::Call(join(&out.account, &channel.id))
        }
        [_, joined] => match understood(joined) {
            Verdict::Delivered(_) => Step::Call(post(out, channel)),
            refusal => Step::End(refusal),
        },
        [.., last] => Step::End(understood(last)),
    }
}

/// Slack takes no key by which it knows a repeat: a message whose answer was lost may show twice.
/// The metadata lets a person, or an app, tell the twin.
fn post(out: &Outgoing<'_>, channel: &Destination) -> Call {
    let mut body = message::message(out);
    body["channel"] = json!(channel.id);
    body["metadata"] = json!({
        "event_type": "deptex_delivery",
        "event_payload": {"id": out.delivery_id.to_string()},
    });
    method(&out.account, "chat.postMessage", &body).creating()
}

fn join(account: &AccountAccess<'_>, channel_id: &str) -> Call {
    method(account, "conversations.join", &json!({"channel": channel_id}))
}

fn method(account: &AccountAccess<'_>, name: &str, body: &Value) -> Call {
    Call::post(account.hosts.url("web", &format!("/api/{name}")))
        .bearer(account.credential)
        .json(body)
        .header("content-type", "application/json; charset=utf-8")
}

/// Slack answers 200 to refusals too: `ok` tells.
fn tokens(reply: &Reply) -> Result<Tokens, TokenRefused> {
    let code = match error_code(reply) {
        None => return Tokens::standard(reply),
        Some(code) => code,
    };
    Err(match code.as_str() {
        "invalid_code"
        | "code_already_used"
        | "code_expired"
        | "invalid_code_verifier"
        | "invalid_refresh_token"
        | "token_revoked"
        | "token_expired"
        | "account_inactive"
        | "access_denied"
        | "no_permission"
        | "not_allowed_token_type"
        | "cannot_install_an_org_installed_app"
        | "user_email_unverified" => TokenRefused::Grant(code),
        "invalid_client_id"
        | "bad_client_secret"
        | "bad_redirect_uri"
        | "oauth_authorization_url_mismatch"
        | "invalid_grant_type"
        | "no_scopes"
        | "pkce_not_allowed"
        | "invalid_form_data"
        | "missing_post_type"
        | "invalid_post_type" => TokenRefused::Client(code),
        _ => TokenRefused::Later(code),
    })
}

/// The answer with the token says it all: the workspace, and the channel of the consent page.
fn account(new: &Newcomer<'_>, _: &[Reply]) -> AccountStep {
    let answer = &new.tokens.answer;
    // An app that a whole organization installed has no team.
    let owner = if answer["team"]["id"].is_string() { "team" } else { "enterprise" };
    let Some(id) = answer[owner]["id"].as_str() else {
        return AccountStep::Unreadable("Slack did not say which workspace was connected.");
    };
    let name = answer[owner]["name"].as_str().filter(|name| !name.is_empty());
    let hook = &answer["incoming_webhook"];
    let destination = hook["channel_id"].as_str().map(|channel_id| Destination {
        id: channel_id.to_owned(),
        name: hook["channel"].as_str().unwrap_or(channel_id).to_owned(),
        settings: Value::Null,
    });
    let mut metadata = json!({
        "bot_user_id": answer["bot_user_id"],
        "team_id": id,
        "team_name": name,
        "channel": hook["channel"],
        "channel_id": hook["channel_id"],
        "authed_user_id": answer["authed_user"]["id"],
        "scope": answer["scope"],
    });
    if destination.is_some() {
        // Not its `url`: whoever has it can post.
        metadata["incoming_webhook"] = json!({
            "channel": hook["channel"],
            "channel_id": hook["channel_id"],
            "configuration_url": hook["configuration_url"],
        });
    }
    AccountStep::Accounts(vec![Account {
        installation_id: match &destination {
            Some(channel) => format!("{id}:{}", channel.id),
            None => id.to_owned(),
        },
        display_name: name.unwrap_or("Slack Workspace").to_owned(),
        metadata,
        destination,
    }])
}

/// One page of channels; with a search, as many pages as it takes to find one.
fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    let Some(last) = replies.last() else {
        return PickStep::Call(page(picking, picking.page));
    };
    let answer = last.json();
    if answer["ok"] != true {
        return PickStep::Refused(verdict::of_asking(last));
    }
    let wanted = picking.search.map(|text| text.trim_start_matches('#').to_lowercase());
    let channels: Vec<Destination> = answer["channels"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|channel| channel["is_archived"] != true)
        .filter_map(destination)
        .filter(|channel| {
            wanted.as_deref().is_none_or(|text| channel.name.to_lowercase().contains(text))
        })
        .collect();
    let next = answer["response_metadata"]["next_cursor"].as_str().filter(|mark| !mark.is_empty());
    match next {
        Some(_) if channels.is_empty() && replies.len() < PAGES_A_SEARCH => {
            PickStep::Call(page(picking, next))
        }
        _ => PickStep::Page(channels, next.map(str::to_owned)),
    }
}

fn page(picking: &Picking<'_>, cursor: Option<&str>) -> Call {
    let call = Call::get(picking.account.hosts.url("web", "/api/conversations.list"))
        .bearer(picking.account.credential)
        .query("types", "public_channel,private_channel")
        .query("exclude_archived", "true")
        .query("limit", CHANNELS_A_PAGE);
    match cursor {
        Some(cursor) => call.query("cursor", cursor),
        None => call,
    }
}

fn destination(channel: &Value) -> Option<Destination> {
    Some(Destination {
        id: channel["id"].as_str()?.to_owned(),
        name: format!("#{}", channel["name"].as_str()?),
        settings: json!({"is_private": channel["is_private"] == true}),
    })
}

fn check(choosing: &Choosing<'_>, replies: &[Reply]) -> CheckStep {
    let Some(reply) = replies.last() else {
        let url = choosing.account.hosts.url("web", "/api/conversations.info");
        let call = Call::get(url).bearer(choosing.account.credential);
        return CheckStep::Call(call.query("channel", choosing.id));
    };
    let unusable = |why: &str| CheckStep::Unusable(why.to_owned());
    let answer = reply.json();
    let channel = &answer["channel"];
    if answer["ok"] != true {
        return match verdict::of_asking(reply) {
            Verdict::WrongDestination(_) => unusable(
                "Slack does not know this channel, or Deptex cannot see it. Invite Deptex to a \
                 private channel before choosing it.",
            ),
            refusal => CheckStep::Refused(refusal),
        };
    }
    if channel["is_archived"] == true {
        return unusable("This channel is archived. Choose another one.");
    }
    if channel["is_private"] == true && channel["is_member"] != true {
        return unusable(
            "Deptex is not in this private channel. Invite it there, and choose again.",
        );
    }
    match destination(channel) {
        Some(channel) => CheckStep::Fine(channel),
        None => unusable("Choose a channel: direct messages are not supported."),
    }
}

/// Only a token itself can be taken back.
fn revoke(revocation: &Revocation<'_>) -> Option<Call> {
    let call = Call::post(revocation.hosts.url("web", "/api/auth.revoke")).form(&[]);
    revocation.access_token.map(|token| call.bearer(token))
}

/// A token that opens nothing any more needs no taking back.
fn is_revoked(reply: &Reply) -> bool {
    match error_code(reply) {
        Some(code) => matches!(code.as_str(), "token_revoked" | "account_inactive"),
        None => reply.is_success() && reply.json()["ok"] == true,
    }
}

#[cfg(test)]
mod tests;
