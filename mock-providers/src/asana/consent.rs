//! Asana's consent page and tokens. Its refresh token stays and is told only once.

use chrono::TimeDelta;
use serde_json::json;

use super::Asana;
use crate::{
    oauth::{
        self, BearerProblem, Bodies, Choice, ClientAuth, Pkce, Refresh, Refusal, Rules, TokenKind,
    },
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// The choice that stands for a person in every workspace.
pub(super) const BOTH: &str = "both";

const RULES: Rules = Rules {
    provider: "Asana",
    callback: "/api/integrations/asana/org-callback",
    redirect_uri_is_optional: false,
    fixed: &[],
    separator: Some(' '),
    scopes: &[
        "tasks:write",
        "tasks:read",
        "stories:write",
        "stories:read",
        "projects:read",
        "workspaces:read",
        "users:read",
    ],
    pkce: Pkce::S256,
    bodies: Bodies::Form,
    client_auth: ClientAuth::Parameters,
    refresh: Refresh::Keeps,
    refresh_wants_redirect: false,
    refresh_ends_access: false,
    lifetime: Some(TimeDelta::hours(1)),
    prefixes: ("asana-access-", "asana-refresh-"),
    refuse,
};

fn refuse(refusal: Refusal) -> Reply {
    let (status, error, why) = match refusal {
        Refusal::Client => (401, "invalid_client", "The client_id or client_secret is wrong."),
        Refusal::Code => (400, "invalid_grant", "The code has expired or was used."),
        Refusal::RedirectUri => (400, "invalid_grant", "The redirect_uri does not match."),
        Refusal::Verifier => (400, "invalid_grant", "The code_verifier does not match."),
        Refusal::RefreshToken => (400, "invalid_grant", "The refresh token was revoked."),
        Refusal::ContentType => (400, "invalid_request", "The body must be a form."),
        Refusal::GrantType => (400, "unsupported_grant_type", "The grant_type is unknown."),
        Refusal::Parameter(name) => (400, "invalid_request", name),
    };
    Reply::json(status, &json!({ "error": error, "error_description": why }))
}

/// A person says who they are: somebody in one workspace, or in both.
pub(super) fn authorize(turn: &mut Turn<'_, Asana>) -> Outcome {
    let one = turn.state.workspaces.iter().map(|w| (w.gid.clone(), w.name.clone()));
    let mut choices: Vec<Choice> = one.collect();
    choices.push((BOTH.to_owned(), "all workspaces".to_owned()));
    oauth::authorize(turn, &RULES, &choices, |_| Vec::new())
}

pub(super) fn token(turn: &mut Turn<'_, Asana>) -> Outcome {
    let granted = oauth::token(turn, &RULES)?;
    let mut body = json!({
        "access_token": granted.access_token, "token_type": "bearer",
        "expires_in": granted.expires_in,
        "data": { "id": 9001, "gid": "9001", "name": "Ada Admin", "email": "ada@example.com" },
    });
    if let Some(refresh_token) = granted.refresh_token {
        body["refresh_token"] = refresh_token.into();
    }
    Ok(Reply::json(200, &body))
}

/// Ends what a refresh token belongs to. One that is unknown is none to complain about.
pub(super) fn revoke(turn: &mut Turn<'_, Asana>) -> Outcome {
    if !turn.request.is_form() {
        return Err(refuse(Refusal::ContentType).violating("a revocation is a form"));
    }
    let form = turn.request.form();
    let field = |name: &'static str| {
        let found = form.iter().find(|(known, value)| known == name && !value.is_empty());
        let missing = || refuse(Refusal::Parameter(name)).violating(format!("{name} is missing"));
        found.map(|(_, value)| value.clone()).ok_or_else(missing)
    };
    let (client, token) = ((field("client_id")?, field("client_secret")?), field("token")?);
    if !oauth::is_client(turn.oauth, &client) {
        return Err(refuse(Refusal::Client));
    }
    if !matches!(turn.oauth.bearer(Some(&token), turn.now), Err(BearerProblem::Unknown)) {
        let what = "an access token cannot be revoked, only a refresh token";
        return Err(refuse(Refusal::Parameter(what)).violating(what));
    }
    turn.oauth.revoke(&token, TokenKind::Refresh);
    Ok(Reply::json(200, &json!({})))
}
