//! Slack's consent page and tokens.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::Slack;
use crate::{
    oauth::{self, Bodies, Choice, ClientAuth, Granted, Pkce, Refresh, Refusal, Rules},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

const RULES: Rules = Rules {
    provider: "Slack",
    callback: "/api/integrations/slack/org-callback",
    redirect_uri_is_optional: false,
    fixed: &[],
    separator: Some(','),
    scopes: &[
        "chat:write",
        "chat:write.public",
        "channels:read",
        "channels:join",
        "channels:history",
        "groups:read",
        "groups:history",
        "team:read",
        "incoming-webhook",
    ],
    pkce: Pkce::Off,
    bodies: Bodies::Form,
    client_auth: ClientAuth::Either,
    refresh: Refresh::Rotates,
    refresh_wants_redirect: false,
    refresh_ends_access: false,
    lifetime: Some(TimeDelta::hours(12)),
    prefixes: ("xoxb-", "xoxe-1-"),
    refuse,
};

fn refuse(refusal: Refusal) -> Reply {
    let code = match refusal {
        Refusal::Client => "bad_client_secret",
        Refusal::Code => "invalid_code",
        Refusal::RedirectUri => "bad_redirect_uri",
        Refusal::Verifier => "invalid_code_verifier",
        Refusal::RefreshToken => "invalid_refresh_token",
        Refusal::ContentType => "invalid_post_type",
        Refusal::GrantType => "invalid_grant_type",
        Refusal::Parameter(_) => "invalid_arguments",
    };
    Reply::json(200, &json!({ "ok": false, "error": code }))
}

/// A person chooses a workspace, and a channel too if a webhook is asked for.
pub(super) fn authorize(turn: &mut Turn<'_, Slack>) -> Outcome {
    let scope = turn.request.query("scope").unwrap_or_default();
    let wants_channel = scope.split(',').any(|scope| scope == "incoming-webhook");
    let mut choices: Vec<Choice> = Vec::new();
    for team in &turn.state.teams {
        if !wants_channel {
            choices.push((team.id.clone(), team.name.clone()));
            continue;
        }
        for channel in team.channels.iter().filter(|channel| !channel.is_archived) {
            let key = format!("{}/{}", team.id, channel.id);
            choices.push((key, format!("{}, #{}", team.name, channel.name)));
        }
    }
    oauth::authorize(turn, &RULES, &choices, |_| Vec::new())
}

pub(super) fn access(turn: &mut Turn<'_, Slack>) -> Outcome {
    let granted = oauth::token(turn, &RULES)?;
    Ok(Reply::json(200, &answer(turn, granted)))
}

fn answer(turn: &Turn<'_, Slack>, granted: Granted) -> Value {
    let (team, channel) = parts(&granted.account);
    let name = turn.state.teams.iter().find(|known| known.id == team).map(|known| &known.name);
    let mut answer = json!({
        "ok": true,
        "app_id": "A0DEPTEX",
        "authed_user": { "id": "U0ADMIN" },
        "scope": granted.scopes.join(","),
        "token_type": "bot",
        "access_token": granted.access_token,
        "bot_user_id": "U0DEPTEX",
        "team": { "id": team, "name": name },
        "enterprise": null,
        "is_enterprise_install": false,
    });
    if let Some(expires_in) = granted.expires_in {
        answer["expires_in"] = expires_in.into();
    }
    if let Some(refresh_token) = granted.refresh_token {
        answer["refresh_token"] = refresh_token.into();
    }
    if let Some(channel) = channel.and_then(|id| turn.state.channel(team, id)) {
        answer["incoming_webhook"] = json!({
            "channel": format!("#{}", channel.name),
            "channel_id": channel.id,
            "configuration_url": format!("https://acme.slack.com/services/{}", channel.id),
            "url": format!("https://hooks.slack.com/services/{team}/B0DEPTEX/secret"),
        });
    }
    answer
}

/// The workspace and the channel of a grant's account.
pub(super) fn parts(account: &str) -> (&str, Option<&str>) {
    match account.split_once('/') {
        Some((team, channel)) => (team, Some(channel)),
        None => (account, None),
    }
}
