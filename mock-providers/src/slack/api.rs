//! Slack's Web API: always 200, and `ok` tells.

use serde_json::{Value, json};

use super::{Channel, Message, Slack, blocks, consent};
use crate::{
    oauth::{self, Access, BearerProblem, TokenKind},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// Longer texts are cut.
const TEXT_MAX: usize = 40_000;

fn error(code: &str) -> Reply {
    Reply::json(200, &json!({ "ok": false, "error": code }))
}

/// A refusal that only a mistake of the caller's explains.
fn mistake(code: &str, what: &str) -> Reply {
    let body = json!({ "ok": false, "error": code, "response_metadata": { "messages": [what] } });
    Reply::json(200, &body).violating(format!("{code}: {what}"))
}

/// `ok` comes first, as Slack writes it: a reader of the beginning alone can tell.
fn fine(body: &Value) -> Outcome {
    let rest = body.to_string();
    let rest = rest.trim_start_matches('{');
    let comma = if rest == "}" { "" } else { "," };
    let mut reply = Reply::json(200, &Value::Null);
    reply.body = format!("{{\"ok\":true{comma}{rest}").into();
    Ok(reply)
}

/// Whose token it is, if it may do this; the workspace's id beside it.
fn access(turn: &Turn<'_, Slack>, scope: Option<&str>) -> Result<(Access, String), Reply> {
    let credential = turn.request.authorization("Bearer");
    let access = turn.oauth.bearer(credential, turn.now).map_err(|problem| {
        error(match problem {
            BearerProblem::Missing => "not_authed",
            BearerProblem::Unknown => "invalid_auth",
            BearerProblem::Expired => "token_expired",
            BearerProblem::Revoked => "token_revoked",
        })
    })?;
    if let Some(needed) = scope.filter(|scope| !access.has(scope)) {
        let provided = access.scopes.join(",");
        let body = json!({ "ok": false, "error": "missing_scope", "needed": needed, "provided": provided });
        return Err(Reply::json(200, &body));
    }
    let team = consent::parts(&access.account).0.to_owned();
    Ok((access, team))
}

/// An argument, from wherever Slack reads it.
fn argument(turn: &Turn<'_, Slack>, name: &str) -> Option<String> {
    if turn.request.is_json() {
        return turn.request.json()[name].as_str().map(str::to_owned);
    }
    let form = turn.request.form().into_iter().find(|(known, _)| known == name);
    form.map(|(_, value)| value).or_else(|| turn.request.query(name).map(str::to_owned))
}

pub(super) fn auth_test(turn: &mut Turn<'_, Slack>) -> Outcome {
    let (_, team) = access(turn, None)?;
    let name = turn.state.teams.iter().find(|known| known.id == team).map(|known| &known.name);
    fine(&json!({
        "url": "https://acme.slack.com/", "team": name, "team_id": team,
        "user": "deptex", "user_id": "U0DEPTEX", "bot_id": "B0DEPTEX", "is_enterprise_install": false,
    }))
}

pub(super) fn auth_revoke(turn: &mut Turn<'_, Slack>) -> Outcome {
    access(turn, None)?;
    let credential = turn.request.authorization("Bearer").unwrap_or_default().to_owned();
    let revoked = turn.oauth.revoke(&credential, TokenKind::Access);
    fine(&json!({ "revoked": revoked }))
}

pub(super) fn uninstall(turn: &mut Turn<'_, Slack>) -> Outcome {
    let (access, _) = access(turn, None)?;
    let shown = |name| argument(turn, name).or_else(|| turn.request.query(name).map(str::to_owned));
    let (Some(id), Some(secret)) = (shown("client_id"), shown("client_secret")) else {
        return Err(mistake("invalid_arguments", "client_id or client_secret is missing"));
    };
    if !oauth::is_client(turn.oauth, &(id, secret)) {
        return Err(error("bad_client_secret"));
    }
    let team = consent::parts(&access.account).0;
    turn.oauth.revoke_where(|account| consent::parts(account).0 == team);
    fine(&json!({}))
}

pub(super) fn team_info(turn: &mut Turn<'_, Slack>) -> Outcome {
    let (_, team) = access(turn, Some("team:read"))?;
    let name = turn.state.teams.iter().find(|known| known.id == team).map(|known| &known.name);
    fine(&json!({ "team": { "id": team, "name": name, "domain": "acme" } }))
}

fn shown(channel: &Channel) -> Value {
    json!({
        "id": channel.id, "name": channel.name, "name_normalized": channel.name,
        "is_channel": !channel.is_private, "is_group": channel.is_private, "is_im": false,
        "is_private": channel.is_private, "is_archived": channel.is_archived,
        "is_member": channel.is_member, "is_general": channel.name == "general",
    })
}

pub(super) fn list(turn: &mut Turn<'_, Slack>) -> Outcome {
    let (access, team) = access(turn, Some("channels:read"))?;
    let types = turn.request.query("types").unwrap_or("public_channel").to_owned();
    let wants = |kind: &str| types.split(',').any(|wanted| wanted.trim() == kind);
    if wants("private_channel") && !access.has("groups:read") {
        return Err(error("missing_scope"));
    }
    let limit = turn.request.number("limit", 100);
    if limit == 0 || limit > 999 {
        return Err(mistake("invalid_limit", "limit must be from 1 to 999"));
    }
    let skip_archived = turn.request.query("exclude_archived") == Some("true");
    let from = match turn.request.query("cursor").filter(|cursor| !cursor.is_empty()) {
        None => 0,
        Some(cursor) => cursor
            .strip_prefix("page:")
            .and_then(|at| at.parse::<usize>().ok())
            .ok_or_else(|| error("invalid_cursor"))?,
    };
    let team = turn.state.teams.iter().find(|known| known.id == team);
    let all: Vec<Value> = team
        .into_iter()
        .flat_map(|team| &team.channels)
        .filter(|c| {
            if c.is_private {
                c.is_member && wants("private_channel")
            } else {
                wants("public_channel")
            }
        })
        .filter(|channel| !(skip_archived && channel.is_archived))
        .map(shown)
        .collect();
    let page: Vec<&Value> = all.iter().skip(from).take(limit).collect();
    let end = from + page.len();
    let next = if end < all.len() { format!("page:{end}") } else { String::new() };
    fine(&json!({ "channels": page, "response_metadata": { "next_cursor": next } }))
}

fn wanted_channel(turn: &Turn<'_, Slack>, team: &str) -> Result<Channel, Reply> {
    let id = argument(turn, "channel").unwrap_or_default();
    let channel = turn.state.channel(team, &id).filter(|c| !c.is_private || c.is_member);
    channel.cloned().ok_or_else(|| error("channel_not_found"))
}

pub(super) fn info(turn: &mut Turn<'_, Slack>) -> Outcome {
    let (_, team) = access(turn, Some("channels:read"))?;
    let channel = wanted_channel(turn, &team)?;
    fine(&json!({ "channel": shown(&channel) }))
}

pub(super) fn join(turn: &mut Turn<'_, Slack>) -> Outcome {
    let (_, team) = access(turn, Some("channels:join"))?;
    let mut channel = wanted_channel(turn, &team)?;
    if channel.is_private {
        return Err(error("method_not_supported_for_channel_type"));
    }
    if channel.is_archived {
        return Err(error("is_archived"));
    }
    if let Some(joined) = turn.state.channel_mut(&team, &channel.id) {
        joined.is_member = true;
        channel.is_member = true;
    }
    fine(&json!({ "channel": shown(&channel) }))
}

pub(super) fn history(turn: &mut Turn<'_, Slack>) -> Outcome {
    let (_, team) = access(turn, Some("channels:history"))?;
    let channel = wanted_channel(turn, &team)?;
    if !channel.is_member {
        return Err(error("not_in_channel"));
    }
    let with_metadata = turn.request.query("include_all_metadata") == Some("true");
    let oldest = turn.request.query("oldest").unwrap_or("0").to_owned();
    let limit = turn.request.number("limit", 100);
    let there =
        turn.state.messages.iter().rev().filter(|m| m.team == team && m.channel == channel.id);
    // Of one length, these compare as the times that they are.
    let newest: Vec<Value> = there
        .filter(|message| oldest.len() < message.ts.len() || oldest.as_str() < message.ts.as_str())
        .take(limit)
        .map(|message| {
            let mut shown = posted(message);
            if !with_metadata && let Some(fields) = shown.as_object_mut() {
                fields.remove("metadata");
            }
            shown
        })
        .collect();
    fine(&json!({ "messages": newest, "has_more": false }))
}

fn posted(message: &Message) -> Value {
    let mut shown = json!({
        "type": "message", "subtype": "bot_message", "ts": message.ts, "text": message.text,
        "bot_id": "B0DEPTEX", "app_id": "A0DEPTEX", "user": "U0DEPTEX", "team": message.team,
    });
    if message.blocks.is_array() {
        shown["blocks"] = message.blocks.clone();
    }
    if message.metadata.is_object() {
        shown["metadata"] = message.metadata.clone();
    }
    shown
}

pub(super) fn post_message(turn: &mut Turn<'_, Slack>) -> Outcome {
    let (access, team) = access(turn, Some("chat:write"))?;
    if !turn.request.is_json() {
        return Err(mistake("invalid_post_type", "the body does not say that it is JSON"));
    }
    let body = turn.request.json();
    let channel = wanted_channel(turn, &team)?;
    if channel.is_archived {
        return Err(error("is_archived"));
    }
    if !channel.is_member && (channel.is_private || !access.has("chat:write.public")) {
        return Err(error("not_in_channel"));
    }
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    if text.is_empty() && body["blocks"].as_array().is_none_or(Vec::is_empty) {
        return Err(mistake("no_text", "neither text nor blocks"));
    }
    if text.is_empty() {
        return Err(mistake("no_text", "blocks without a text: notifications would be empty"));
    }
    if text.chars().count() > TEXT_MAX {
        return Err(mistake("msg_too_long", "text has more than 40,000 characters"));
    }
    if let Err((code, what)) = blocks::check(&body["blocks"]) {
        return Err(mistake(code, &what));
    }
    let number = turn.state.messages.len() + 1;
    let message = Message {
        team,
        channel: channel.id.clone(),
        ts: format!("{}.{number:06}", turn.now.timestamp()),
        text,
        blocks: body["blocks"].clone(),
        metadata: body["metadata"].clone(),
    };
    let answer =
        json!({ "channel": message.channel, "ts": message.ts, "message": posted(&message) });
    turn.state.messages.push(message);
    fine(&answer)
}
