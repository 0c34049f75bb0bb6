//! GitHub's pages: where an app is installed, and where a user says who they are.

use chrono::TimeDelta;
use serde_json::json;

use super::GitHub;
use crate::{
    oauth::{self, Bodies, Choice, ClientAuth, Pkce, Refresh, Refusal, Rules},
    page,
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// Of users' tokens. An App's are not asked for scopes: what it may is set where it is registered.
const RULES: Rules = Rules {
    provider: "GitHub",
    callback: "/api/integrations/github/callback",
    redirect_uri_is_optional: true,
    fixed: &[],
    separator: None,
    scopes: &[],
    pkce: Pkce::Ignored,
    bodies: Bodies::Form,
    client_auth: ClientAuth::Parameters,
    refresh: Refresh::Rotates,
    refresh_wants_redirect: false,
    refresh_ends_access: true,
    lifetime: Some(TimeDelta::hours(8)),
    prefixes: ("ghu_", "ghr_"),
    refuse,
};

/// 200 whatever became of it:
/// <https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors>.
fn refuse(refusal: Refusal) -> Reply {
    let (code, description) = match refusal {
        Refusal::Client => (
            "incorrect_client_credentials",
            "The client_id and/or client_secret passed are incorrect.",
        ),
        Refusal::RedirectUri => (
            "redirect_uri_mismatch",
            "The redirect_uri MUST match the registered callback URL for this application.",
        ),
        Refusal::RefreshToken => {
            ("bad_refresh_token", "The refresh token passed is incorrect or expired.")
        }
        Refusal::GrantType => ("unsupported_grant_type", "The grant type is not supported."),
        Refusal::Code | Refusal::Verifier | Refusal::ContentType | Refusal::Parameter(_) => {
            ("bad_verification_code", "The code passed is incorrect or expired.")
        }
    };
    Reply::json(200, &json!({ "error": code, "error_description": description }))
}

/// Where a user says who they are: it is whoever is signed in.
pub(super) fn authorize(turn: &mut Turn<'_, GitHub>) -> Outcome {
    let user = turn.state.user.clone();
    // What was chosen is an account to install the app for, not a user.
    let chosen = turn.oauth.consent.choice.replace(user.clone());
    let outcome = oauth::consent(turn, &RULES, &[(user.clone(), user)], |_| Vec::new());
    turn.oauth.consent.choice = chosen;
    outcome
}

pub(super) fn access_token(turn: &mut Turn<'_, GitHub>) -> Outcome {
    let granted = oauth::token(turn, &RULES)?;
    let answer = json!({
        "access_token": granted.access_token,
        "expires_in": granted.expires_in,
        "refresh_token": granted.refresh_token,
        "refresh_token_expires_in": TimeDelta::days(184).num_seconds(),
        "scope": "",
        "token_type": "bearer",
    });
    if turn.request.header("accept").contains("json") {
        return Ok(Reply::json(200, &answer));
    }
    // Without being asked for JSON it answers a form.
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in answer.as_object().into_iter().flatten() {
        form.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    Ok(Reply::new(200, "application/x-www-form-urlencoded; charset=utf-8", form.finish()))
}

/// A person chooses the account that the app is installed for, and comes back to the setup address:
/// <https://docs.github.com/en/apps/creating-github-apps/registering-a-github-app/about-the-setup-url>.
pub(super) fn install(turn: &mut Turn<'_, GitHub>) -> Outcome {
    let refused = |why: &str| page::refusal(400, why);
    if turn.param("slug") != turn.state.app.slug {
        return Err(page::refusal(404, "there is no app of this name"));
    }
    let state = turn.request.query("state").filter(|state| !state.is_empty());
    let state = state.ok_or_else(|| refused("state is missing"))?.to_owned();
    let home = oauth::home(turn.oauth, &RULES).map_err(|why| refused(&why))?;
    let choices: Vec<Choice> = turn
        .state
        .of_user(&turn.state.user)
        .map(|known| (known.login.clone(), known.login.clone()))
        .collect();
    let decision = turn.request.query("decision");
    if turn.oauth.place.is_interactive && decision.is_none() {
        let query = oauth::sent_back(&turn.request.path, &[("state", state)]);
        let wanted: Vec<String> =
            super::PERMISSIONS.iter().map(|(name, level)| format!("{name}: {level}")).collect();
        return Ok(page::consent(RULES.provider, &query, &wanted, &choices));
    }
    if decision == Some("deny") || std::mem::take(&mut turn.oauth.consent.denies) {
        // Whoever closes GitHub's page is not sent anywhere.
        return Ok(page::refusal(200, "The app was not installed."));
    }
    let told = turn.request.query("choice").map(str::to_owned);
    let login = told.or_else(|| turn.oauth.consent.choice.clone());
    let login = login.or_else(|| choices.first().map(|(login, _)| login.clone()));
    let login = login.ok_or_else(|| refused("this person may install it nowhere"))?;
    let mut back = Vec::new();
    if turn.state.app.asks_user {
        let user = turn.state.user.clone();
        back.push(("code", oauth::code_for(turn, &user)));
    }
    if std::mem::take(&mut turn.state.app.only_requests) {
        back.push(("setup_action", "request".to_owned()));
    } else {
        let (id, action) = turn.state.install(&login).ok_or_else(|| refused("no such account"))?;
        back.push(("installation_id", id.to_string()));
        back.push(("setup_action", action.to_owned()));
    }
    back.push(("state", state));
    Ok(Reply::redirect(&oauth::sent_back(&home, &back)))
}
