//! Bitbucket's consent page and tokens: the consumer names itself by Basic, and refresh tokens rotate.
//! <https://developer.atlassian.com/cloud/bitbucket/oauth-2/>

use chrono::TimeDelta;
use serde_json::json;

use super::{Bitbucket, SCOPES};
use crate::{
    oauth::{self, Bodies, Choice, ClientAuth, Pkce, Refresh, Refusal, Rules},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

const RULES: Rules = Rules {
    provider: "Bitbucket",
    callback: "/api/integrations/bitbucket/org-callback",
    redirect_uri_is_optional: true,
    fixed: &[],
    separator: None,
    scopes: SCOPES,
    pkce: Pkce::Ignored,
    bodies: Bodies::Form,
    client_auth: ClientAuth::Basic,
    refresh: Refresh::Rotates,
    refresh_wants_redirect: false,
    refresh_ends_access: false,
    lifetime: Some(TimeDelta::hours(2)),
    prefixes: ("", ""),
    refuse,
};

fn refuse(refusal: Refusal) -> Reply {
    let (status, code, description) = match refusal {
        Refusal::Client => (401, "invalid_client", "Invalid OAuth client credentials"),
        Refusal::Code | Refusal::Verifier => {
            (400, "invalid_grant", "The specified code is not valid.")
        }
        Refusal::RedirectUri => {
            (400, "invalid_grant", "redirect_uri does not match the one of the consent page")
        }
        Refusal::RefreshToken => (400, "invalid_grant", "Invalid refresh_token"),
        Refusal::GrantType => (400, "unsupported_grant_type", "Unsupported grant type"),
        Refusal::ContentType | Refusal::Parameter(_) => {
            (400, "invalid_request", "A parameter is missing")
        }
    };
    Reply::json(status, &json!({ "error": code, "error_description": description }))
}

/// A user lets us in as themselves, into all of their workspaces.
pub(super) fn authorize(turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    let choice = |user: &super::User| (user.username.to_owned(), user.display_name.to_owned());
    let choices: Vec<Choice> = turn.state.users.iter().map(choice).collect();
    oauth::authorize(turn, &RULES, &choices, |_| Vec::new())
}

pub(super) fn access_token(turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    let granted = oauth::token(turn, &RULES)?;
    let name = if turn.state.names_scopes_as_before { "scopes" } else { "scope" };
    Ok(Reply::json(
        200,
        &json!({
            "access_token": granted.access_token,
            "refresh_token": granted.refresh_token,
            "token_type": "bearer",
            "expires_in": granted.expires_in,
            name: turn.state.scopes.join(" "),
        }),
    ))
}
