//! Discord's consent page and tokens. What the token answer says of the server can be trusted; what
//! the callback's query says cannot.

use chrono::TimeDelta;
use serde_json::json;

use super::Discord;
use crate::{
    oauth::{self, Bodies, Choice, ClientAuth, Pkce, Refresh, Refusal, Rules, TokenKind},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

const RULES: Rules = Rules {
    provider: "Discord",
    callback: "/api/integrations/discord/org-callback",
    redirect_uri_is_optional: false,
    fixed: &[],
    separator: Some(' '),
    scopes: &["bot", "identify", "guilds", "applications.commands"],
    pkce: Pkce::Ignored,
    bodies: Bodies::Form,
    client_auth: ClientAuth::Either,
    refresh: Refresh::Rotates,
    refresh_wants_redirect: false,
    refresh_ends_access: false,
    lifetime: Some(TimeDelta::days(7)),
    prefixes: ("discord-access-", "discord-refresh-"),
    refuse,
};

fn refuse(refusal: Refusal) -> Reply {
    let (status, body) = match refusal {
        Refusal::Client => (401, json!({ "error": "invalid_client" })),
        Refusal::ContentType => (400, json!({ "error": "invalid_request" })),
        Refusal::GrantType => (400, json!({ "error": "unsupported_grant_type" })),
        Refusal::Parameter(name) => {
            (400, json!({ "error": "invalid_request", "error_description": name }))
        }
        Refusal::RedirectUri => (
            400,
            json!({
                "error": "invalid_grant", "error_description": "Invalid \"redirect_uri\" in request.",
            }),
        ),
        _ => (
            400,
            json!({
                "error": "invalid_grant", "error_description": "Invalid \"code\" in request.",
            }),
        ),
    };
    Reply::json(status, &body)
}

/// View channels, send messages, embed links.
const NEEDED: u64 = 1 << 10 | 1 << 11 | 1 << 14;

pub(super) fn authorize(turn: &mut Turn<'_, Discord>) -> Outcome {
    let permissions = turn.request.query("permissions").unwrap_or_default().to_owned();
    let bits: u64 = permissions.parse().unwrap_or(0);
    if bits & NEEDED != NEEDED {
        let why = format!("permissions {permissions:?} do not let the bot send messages");
        return Err(crate::page::refusal(400, &why).violating(why));
    }
    let choice = |guild: &super::Guild| (guild.id.clone(), guild.name.clone());
    let choices: Vec<Choice> = turn.state.guilds.iter().map(choice).collect();
    let reply = oauth::authorize(turn, &RULES, &choices, |guild| {
        vec![("guild_id", guild.to_owned()), ("permissions", permissions)]
    })?;
    Ok(reply)
}

pub(super) fn token(turn: &mut Turn<'_, Discord>) -> Outcome {
    let granted = oauth::token(turn, &RULES)?;
    let mut body = json!({
        "access_token": granted.access_token, "token_type": "Bearer",
        "expires_in": granted.expires_in, "refresh_token": granted.refresh_token,
        "scope": granted.scopes.join(" "),
    });
    let guild = turn.state.guilds.iter_mut().find(|guild| guild.id == granted.account);
    if let Some(guild) = guild.filter(|_| granted.scopes.iter().any(|scope| scope == "bot")) {
        guild.has_bot = true;
        body["guild"] = json!({ "id": guild.id, "name": guild.name });
    }
    Ok(Reply::json(200, &body))
}

pub(super) fn revoke(turn: &mut Turn<'_, Discord>) -> Outcome {
    if !turn.request.is_form() {
        return Err(refuse(Refusal::ContentType).violating("a revocation is a form"));
    }
    if !oauth::form_shows_client(turn.oauth, turn.request) {
        return Err(refuse(Refusal::Client));
    }
    let token = turn.request.form().into_iter().find(|(name, _)| name == "token");
    turn.oauth.revoke(&token.unwrap_or_default().1, TokenKind::Any);
    Ok(Reply::json(200, &json!({})))
}
