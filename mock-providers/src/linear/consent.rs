//! Linear's consent page and tokens.

use chrono::TimeDelta;
use serde_json::json;

use super::Linear;
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
    provider: "Linear",
    callback: "/api/integrations/linear/org-callback",
    redirect_uri_is_optional: false,
    // Linear would do without. But then people could not choose another workspace, and issues would
    // be those of the admin who happened to connect it.
    fixed: &[("prompt", "consent"), ("actor", "app")],
    separator: Some(','),
    scopes: &["read", "write", "issues:create", "comments:create"],
    pkce: Pkce::S256,
    bodies: Bodies::Form,
    client_auth: ClientAuth::Either,
    refresh: Refresh::RotatesWithReplay(TimeDelta::minutes(30)),
    refresh_wants_redirect: false,
    refresh_ends_access: false,
    // A second short of a day, as Linear says it.
    lifetime: Some(TimeDelta::seconds(86_399)),
    prefixes: ("lin_oauth_", "lin_refresh_"),
    refuse,
};

fn refuse(refusal: Refusal) -> Reply {
    let (status, error, why) = match refusal {
        Refusal::Client => (401, "invalid_client", "Invalid client: client is invalid"),
        Refusal::Code => (400, "invalid_grant", "Invalid grant: authorization code is invalid"),
        Refusal::RedirectUri => {
            (400, "invalid_grant", "Invalid grant: redirect_uri does not match")
        }
        Refusal::Verifier => (400, "invalid_grant", "Invalid grant: code verifier is invalid"),
        Refusal::RefreshToken => (400, "invalid_grant", "Invalid grant: refresh token is invalid"),
        Refusal::ContentType => (
            400,
            "invalid_request",
            "Invalid request: content must be application/x-www-form-urlencoded",
        ),
        Refusal::GrantType => {
            (400, "unsupported_grant_type", "Unsupported grant type: `grant_type` is invalid")
        }
        Refusal::Parameter(name) => (400, "invalid_request", name),
    };
    Reply::json(status, &json!({ "error": error, "error_description": why }))
}

/// A person chooses a workspace.
pub(super) fn authorize(turn: &mut Turn<'_, Linear>) -> Outcome {
    let choices = turn.state.workspaces.iter().map(|known| (known.id.clone(), known.name.clone()));
    let choices: Vec<Choice> = choices.collect();
    oauth::authorize(turn, &RULES, &choices, |_| Vec::new())
}

pub(super) fn token(turn: &mut Turn<'_, Linear>) -> Outcome {
    let granted = oauth::token(turn, &RULES)?;
    let mut body = json!({
        "access_token": granted.access_token, "token_type": "Bearer",
        "expires_in": granted.expires_in, "scope": granted.scopes.join(" "),
    });
    if let Some(refresh_token) = granted.refresh_token {
        body["refresh_token"] = refresh_token.into();
    }
    Ok(Reply::json(200, &body))
}

/// Ends what a token belongs to: the field `token`, or the bearer itself.
pub(super) fn revoke(turn: &mut Turn<'_, Linear>) -> Outcome {
    let refused = |status: u16, error: &str| Reply::json(status, &json!({ "error": error }));
    let bearer = turn.request.authorization("Bearer").map(str::to_owned);
    let form = turn.request.form();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, v)| v.clone());
    if let Some(hint) = field("token_type_hint")
        && !["access_token", "refresh_token"].contains(&hint.as_str())
    {
        let what = format!("token_type_hint {hint} is unknown");
        return Err(refused(400, "unsupported_token_type").violating(what));
    }
    if let Some(bearer) = &bearer
        && let Err(problem) = turn.oauth.bearer(Some(bearer), turn.now)
        && problem != BearerProblem::Revoked
    {
        return Err(refused(401, "invalid_token"));
    }
    let token = field("token").filter(|token| !token.is_empty()).or(bearer);
    let token =
        token.ok_or_else(|| refused(401, "invalid_request").violating("no token to revoke"))?;
    match turn.oauth.revoke(&token, TokenKind::Any) {
        true => Ok(Reply::empty(200)),
        false => Err(refused(400, "invalid_token")),
    }
}
