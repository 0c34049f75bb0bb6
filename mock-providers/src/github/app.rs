//! The app and its installations: what is there, and tokens for them.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};

use super::{
    GitHub, Installation, PERMISSIONS,
    access::{self, INSTALLATION, as_installation, error, not_suspended, paged},
    repositories::shown as shown_repository,
};
use crate::{
    oauth::{Bodies, ClientAuth, Pkce, Refresh, Refusal, Rules, TokenKind},
    server::{
        reply::{Outcome, Reply},
        route::{Turn, Urls},
    },
};

/// Of installations' tokens: an hour, and nothing to renew them with.
const MINTED: Rules = Rules {
    provider: "GitHub",
    callback: "",
    redirect_uri_is_optional: true,
    fixed: &[],
    separator: None,
    scopes: &[],
    pkce: Pkce::Ignored,
    bodies: Bodies::Json,
    client_auth: ClientAuth::Parameters,
    refresh: Refresh::Keeps,
    refresh_wants_redirect: false,
    refresh_ends_access: false,
    lifetime: Some(TimeDelta::hours(1)),
    prefixes: ("ghs_", ""),
    refuse: |_: Refusal| error(404, "Not Found"),
};

pub(super) fn app(turn: &mut Turn<'_, GitHub>) -> Outcome {
    access::app(turn)?;
    let app = &turn.state.app;
    Ok(Reply::json(
        200,
        &json!({
            "id": app.id,
            "slug": app.slug,
            "client_id": turn.oauth.client_id,
            "name": "Deptex",
            "html_url": format!("{}/apps/{}", turn.urls["web"], app.slug),
            "permissions": permissions(PERMISSIONS.iter().map(|(name, level)| (*name, *level))),
            "events": [],
        }),
    ))
}

fn permissions<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    all.map(|(name, level)| (name.to_owned(), Value::from(level))).collect()
}

/// An installation that is there, by the number in the path.
fn wanted<'t>(turn: &'t Turn<'_, GitHub>) -> Result<&'t Installation, Reply> {
    let id = turn.param("installation_id").parse::<u64>().ok();
    let known = id.and_then(|id| turn.state.installation(id));
    known.filter(|known| known.is_installed).ok_or_else(|| error(404, "Not Found"))
}

pub(super) fn installation(turn: &mut Turn<'_, GitHub>) -> Outcome {
    access::app(turn)?;
    let known = wanted(turn)?;
    Ok(Reply::json(200, &shown(known, turn.state, turn.urls)))
}

fn shown(known: &Installation, github: &GitHub, urls: &Urls) -> Value {
    let (web, login) = (&urls["web"], &known.login);
    json!({
        "id": known.id,
        "app_id": github.app.id,
        "app_slug": github.app.slug,
        "account": {
            "login": login,
            "id": known.account_id,
            "type": known.kind,
            "avatar_url": format!("{web}/avatars/{login}.png"),
            "html_url": format!("{web}/{login}"),
        },
        "target_id": known.account_id,
        "target_type": known.kind,
        "repository_selection": "selected",
        "permissions": permissions(known.permissions.iter().map(|(n, l)| (n.as_str(), l.as_str()))),
        "events": [],
        "html_url": format!("{web}/settings/installations/{}", known.id),
        "suspended_at": known.suspended_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
    })
}

/// Uninstalls the app.
pub(super) fn delete(turn: &mut Turn<'_, GitHub>) -> Outcome {
    access::app(turn)?;
    let login = wanted(turn)?.login.clone();
    turn.state.uninstall(&login);
    Ok(Reply::empty(204))
}

pub(super) fn access_tokens(turn: &mut Turn<'_, GitHub>) -> Outcome {
    access::app(turn)?;
    let known = wanted(turn)?;
    not_suspended(known)?;
    let asked = if turn.request.body.is_empty() { json!({}) } else { turn.json()? };
    let level = |name: &str| known.permissions.get(name).map(String::as_str);
    let mut granted: Vec<(String, String)> =
        known.permissions.iter().map(|(name, level)| (name.clone(), level.clone())).collect();
    if let Some(wanted) = asked["permissions"].as_object() {
        let may = |(name, wanted): (&String, &Value)| {
            level(name) == wanted.as_str() || level(name) == Some("write") && wanted == "read"
        };
        if !wanted.iter().all(may) {
            let why = "The permissions requested are not granted to this installation.";
            return Err(error(422, why));
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        granted = wanted.iter().map(|(name, level)| (name.clone(), text(level))).collect();
        granted.push(("metadata".to_owned(), "read".to_owned()));
    }
    let account = format!("{INSTALLATION}{}", known.id);
    let scopes = granted.iter().map(|(name, level)| format!("{name}:{level}")).collect();
    let minted = turn.oauth.mint(&account, scopes, &MINTED, turn.now);
    let expires_at = turn.now + TimeDelta::hours(1);
    Ok(Reply::json(
        201,
        &json!({
            "token": minted.access_token,
            "expires_at": expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "permissions": permissions(granted.iter().map(|(n, l)| (n.as_str(), l.as_str()))),
            "repository_selection": "selected",
        }),
    ))
}

/// Ends the token that asks for it.
pub(super) fn revoke_token(turn: &mut Turn<'_, GitHub>) -> Outcome {
    as_installation(turn, |turn, _| {
        let token = turn.request.authorization("Bearer").unwrap_or_default().to_owned();
        turn.oauth.revoke(&token, TokenKind::Access);
        Ok(Reply::empty(204))
    })
}

/// The installations that a user may see: nobody else's.
pub(super) fn of_user(turn: &mut Turn<'_, GitHub>) -> Outcome {
    let user = access::user(turn)?;
    let all: Vec<Value> = turn
        .state
        .of_user(&user)
        .filter(|known| known.is_installed)
        .map(|known| shown(known, turn.state, turn.urls))
        .collect();
    Ok(paged(turn, &all, Some("installations")))
}

/// Who somebody is.
pub(super) fn me(turn: &mut Turn<'_, GitHub>) -> Outcome {
    let login = access::user(turn)?;
    let own = turn.state.installations.iter().find(|known| known.login == login);
    let id = own.map_or(1, |known| known.account_id);
    Ok(Reply::json(200, &json!({ "login": login, "id": id, "type": "User" })))
}

/// What somebody is in an organization.
pub(super) fn membership(turn: &mut Turn<'_, GitHub>) -> Outcome {
    let user = access::user(turn)?;
    let organization = turn.param("org").to_owned();
    let known = turn.state.installations.iter().find(|known| {
        known.login == organization && known.kind == "Organization" && known.members.contains(&user)
    });
    let known = known.ok_or_else(|| error(404, "Not Found"))?;
    let organization = json!({ "login": known.login, "id": known.account_id });
    let membership = json!({
        "state": "active", "role": "admin", "organization": organization,
        "user": { "login": user, "type": "User" },
    });
    Ok(Reply::json(200, &membership))
}

/// The repositories that the installation was given.
pub(super) fn repositories(turn: &mut Turn<'_, GitHub>) -> Outcome {
    as_installation(turn, |turn, caller| {
        let all: Vec<Value> = turn
            .state
            .given_to(caller.installation)
            .map(|repository| shown_repository(repository, turn.urls))
            .collect();
        let mut reply = paged(turn, &all, Some("repositories"));
        // The selection stands beside the list.
        let mut body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        body["repository_selection"] = "selected".into();
        reply.body = body.to_string().into();
        Ok(reply)
    })
}
