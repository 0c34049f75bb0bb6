//! GitLab's consent page and tokens: PKCE, rotation, and a refresh that names the address again.
//! <https://docs.gitlab.com/api/oauth2/>

use chrono::TimeDelta;
use serde_json::json;

use super::GitLab;
use crate::{
    oauth::{
        self, BearerProblem, Bodies, Choice, ClientAuth, Pkce, Refresh, Refusal, Rules, TokenKind,
    },
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

const RULES: Rules = Rules {
    provider: "GitLab",
    callback: "/api/integrations/gitlab/org-callback",
    redirect_uri_is_optional: false,
    fixed: &[],
    separator: Some(' '),
    scopes: &["api", "read_user", "read_repository"],
    pkce: Pkce::S256,
    bodies: Bodies::Form,
    client_auth: ClientAuth::Either,
    refresh: Refresh::Rotates,
    refresh_wants_redirect: true,
    refresh_ends_access: true,
    lifetime: Some(TimeDelta::hours(2)),
    prefixes: ("", ""),
    refuse,
};

fn refuse(refusal: Refusal) -> Reply {
    let (status, code, description) = match refusal {
        Refusal::Client => (
            401,
            "invalid_client",
            "Client authentication failed due to unknown client, no client authentication included, \
             or unsupported authentication method.",
        ),
        Refusal::Code | Refusal::RedirectUri | Refusal::Verifier | Refusal::RefreshToken => (
            400,
            "invalid_grant",
            "The provided authorization grant is invalid, expired, revoked, does not match the \
             redirection URI used in the authorization request, or was issued to another client.",
        ),
        Refusal::GrantType => (
            400,
            "unsupported_grant_type",
            "The authorization grant type is not supported by the authorization server.",
        ),
        Refusal::ContentType | Refusal::Parameter(_) => {
            (400, "invalid_request", "Missing required parameter.")
        }
    };
    Reply::json(status, &json!({ "error": code, "error_description": description }))
}

/// A user lets us in as themselves.
pub(super) fn authorize(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let choice = |user: &super::User| (user.username.to_owned(), user.name.to_owned());
    let choices: Vec<Choice> = turn.state.users.iter().map(choice).collect();
    oauth::authorize(turn, &RULES, &choices, |_| Vec::new())
}

pub(super) fn token(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let granted = oauth::token(turn, &RULES)?;
    Ok(Reply::json(
        200,
        &json!({
            "access_token": granted.access_token,
            "token_type": "Bearer",
            "expires_in": granted.expires_in,
            "refresh_token": granted.refresh_token,
            "scope": granted.scopes.join(" "),
            "created_at": turn.now.timestamp(),
        }),
    ))
}

/// 200 also for a token that is unknown.
pub(super) fn revoke(turn: &mut Turn<'_, GitLab>) -> Outcome {
    if !oauth::form_shows_client(turn.oauth, turn.request) {
        let why = "You are not authorized to revoke this token";
        let body = json!({ "error": "unauthorized_client", "error_description": why });
        return Err(Reply::json(403, &body));
    }
    let form = turn.request.form();
    let token = form.iter().find(|(name, _)| name == "token").map(|(_, token)| token.clone());
    let token = token.ok_or_else(|| {
        let what = "token is missing";
        Reply::json(400, &json!({ "error": "invalid_request" })).violating(what)
    })?;
    turn.oauth.revoke(&token, TokenKind::Any);
    Ok(Reply::json(200, &json!({})))
}

pub(super) fn info(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let access = turn.oauth.bearer(turn.request.authorization("Bearer"), turn.now);
    let access = access.map_err(|problem| {
        let state = if problem == BearerProblem::Expired { "expired" } else { "invalid" };
        let why = format!("The access token is {state}");
        Reply::json(401, &json!({ "error": "invalid_token", "error_description": why }))
    })?;
    let users = &turn.state.users;
    let id = users.iter().find(|known| known.username == access.account).map(|known| known.id);
    Ok(Reply::json(
        200,
        &json!({
            "resource_owner_id": id,
            "scope": access.scopes,
            "expires_in": 7_200,
            "application": { "uid": turn.oauth.client_id },
            "created_at": turn.now.timestamp(),
        }),
    ))
}
