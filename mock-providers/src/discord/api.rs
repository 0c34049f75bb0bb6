//! Discord's interface for bots.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Channel, Discord, Message, limits};
use crate::server::{
    reply::{Outcome, Reply},
    route::Turn,
};

/// How long the same nonce gives the same message.
const NONCE_HOLDS: TimeDelta = TimeDelta::minutes(5);

fn error(status: u16, code: u64, message: &str) -> Reply {
    Reply::json(status, &json!({ "code": code, "message": message }))
}

fn admit(turn: &Turn<'_, Discord>) -> Result<(), Reply> {
    match turn.request.authorization("Bot") {
        Some(token) if token == turn.state.bot_token => Ok(()),
        _ => Err(error(401, 0, "401: Unauthorized")),
    }
}

pub(super) fn me(turn: &mut Turn<'_, Discord>) -> Outcome {
    admit(turn)?;
    Ok(Reply::json(200, &json!({ "id": "900000000000000001", "username": "Deptex", "bot": true })))
}

fn wanted_guild<'t>(turn: &'t Turn<'_, Discord>) -> Result<&'t super::Guild, Reply> {
    let id = turn.param("guild");
    let guild = turn.state.guilds.iter().find(|guild| guild.id == id);
    match guild {
        None => Err(error(404, 10004, "Unknown Guild")),
        Some(guild) if !guild.has_bot => Err(error(403, 50001, "Missing Access")),
        Some(guild) => Ok(guild),
    }
}

pub(super) fn guild(turn: &mut Turn<'_, Discord>) -> Outcome {
    admit(turn)?;
    let guild = wanted_guild(turn)?;
    Ok(Reply::json(200, &json!({ "id": guild.id, "name": guild.name, "icon": null })))
}

pub(super) fn leave(turn: &mut Turn<'_, Discord>) -> Outcome {
    admit(turn)?;
    let id = wanted_guild(turn)?.id.clone();
    turn.state.guilds.iter_mut().filter(|guild| guild.id == id).for_each(|g| g.has_bot = false);
    Ok(Reply::empty(204))
}

fn shown(channel: &Channel, guild: &str, position: usize) -> Value {
    json!({
        "id": channel.id, "name": channel.name, "type": channel.kind, "guild_id": guild,
        "position": position, "permission_overwrites": [],
    })
}

pub(super) fn channels(turn: &mut Turn<'_, Discord>) -> Outcome {
    admit(turn)?;
    let guild = wanted_guild(turn)?;
    let all = guild.channels.iter().enumerate().filter(|(_, channel)| channel.may_see);
    let all: Vec<Value> = all.map(|(at, channel)| shown(channel, &guild.id, at)).collect();
    Ok(Reply::json(200, &all.into()))
}

/// The channel, with its server's id and its place there.
fn wanted_channel(turn: &Turn<'_, Discord>) -> Result<(Channel, String, usize), Reply> {
    let id = turn.param("channel");
    for guild in &turn.state.guilds {
        let found = guild.channels.iter().position(|channel| channel.id == id);
        let Some(at) = found else { continue };
        let channel = guild.channels[at].clone();
        return match guild.has_bot && channel.may_see {
            true => Ok((channel, guild.id.clone(), at)),
            false => Err(error(403, 50001, "Missing Access")),
        };
    }
    Err(error(404, 10003, "Unknown Channel"))
}

pub(super) fn channel(turn: &mut Turn<'_, Discord>) -> Outcome {
    admit(turn)?;
    let (channel, guild, at) = wanted_channel(turn)?;
    Ok(Reply::json(200, &shown(&channel, &guild, at)))
}

pub(super) fn post(turn: &mut Turn<'_, Discord>) -> Outcome {
    admit(turn)?;
    let body = turn.json()?;
    let (channel, ..) = wanted_channel(turn)?;
    match channel.kind {
        2 | 4 => return Err(error(400, 50008, "Cannot send messages in a non-text channel")),
        15 => return Err(error(400, 50024, "Cannot execute action on this channel type")),
        _ => {}
    }
    if !channel.may_send {
        return Err(error(403, 50013, "Missing Permissions"));
    }
    if let Err((code, what)) = limits::check(&body) {
        let refused = json!({ "code": code, "message": "Invalid Form Body", "errors": what });
        return Err(Reply::json(400, &refused).violating(format!("{code}: {what}")));
    }
    if let Some(before) = twin(turn, &channel.id, &body) {
        return Ok(Reply::json(200, &posted(&before)));
    }
    let id = (1_300_000_000_000_000_000_u64 + turn.state.messages.len() as u64).to_string();
    let message = Message { id, channel: channel.id, body, at: turn.now };
    let answer = posted(&message);
    turn.state.messages.push(message);
    Ok(Reply::json(200, &answer))
}

/// The message that the same nonce made some minutes ago.
fn twin(turn: &Turn<'_, Discord>, channel: &str, body: &Value) -> Option<Message> {
    if body["enforce_nonce"] != true || body["nonce"].is_null() {
        return None;
    }
    let is_twin = |message: &&Message| {
        message.channel == channel
            && message.body["nonce"] == body["nonce"]
            && turn.now.signed_duration_since(message.at) < NONCE_HOLDS
    };
    turn.state.messages.iter().find(is_twin).cloned()
}

fn posted(message: &Message) -> Value {
    json!({
        "id": message.id, "channel_id": message.channel, "type": 0,
        "content": message.body["content"].as_str().unwrap_or_default(),
        "embeds": message.body["embeds"], "nonce": message.body["nonce"],
        "author": { "id": "900000000000000001", "username": "Deptex", "bot": true },
    })
}

/// Where links to a message lead: here everything is on one page.
pub(super) fn for_people(_turn: &mut Turn<'_, Discord>) -> Outcome {
    Ok(Reply::redirect("/"))
}
