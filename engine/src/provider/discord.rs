//! Discord: posts as the operator's bot to a channel of the server that an admin added it to.

mod message;
mod verdict;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use self::verdict::{of_asking, verdict};
use super::{
    Account, AccountAccess, AccountStep, Call, Category, CheckStep, Choosing, ClientAuth,
    ClientSettings, Connect, CredentialOf, Destination, Destinations, Host, Newcomer, OAuth2,
    Outgoing, Pace, PickStep, Picking, Provider, Refresh, Reply, Revocation, Revoke, SharedBy,
    Step, TokenBody, Tokens, Verdict,
};
use crate::secret::Secret;

/// Discord.
pub(super) const DISCORD: Provider = Provider {
    id: "discord",
    label: "Discord",
    category: Category::Notification,
    hosts: &[Host { name: "web", url: "https://discord.com", setting: "RELAY_DISCORD_URL" }],
    connect: Connect::OAuth2(OAuth2 {
        client: ClientSettings { id: "DISCORD_CLIENT_ID", secret: "DISCORD_CLIENT_SECRET" },
        callback: "org-callback",
        authorize: ("web", "/oauth2/authorize"),
        token: ("web", "/api/oauth2/token"),
        scopes: &["bot", "identify", "guilds"],
        scope_separator: " ",
        // View channels 1 << 10, send messages 1 << 11, embed links 1 << 14, and send messages in
        // threads 1 << 38.
        extra: &[("permissions", "274877926400")],
        pkce: false,
        token_body: TokenBody::Form,
        refresh_wants_redirect: false,
        client_auth: ClientAuth::Parameters,
        // We send with the bot's token, which does not expire.
        refresh: Refresh::None,
        tokens: Tokens::standard,
        account,
        revoke: Some(Revoke::by(revoke)),
        revoke_url: |_, metadata| {
            let guild_id = metadata["guild_id"].as_str()?;
            Some(format!("https://discord.com/channels/{guild_id}"))
        },
    }),
    credential: CredentialOf::Operator("DISCORD_BOT_TOKEN"),
    destinations: Some(Destinations { noun: "channel", list, check }),
    // What a channel takes is not published; 429 and its headers tell, and the bot has 50 a second.
    pace: Pace {
        burst: 5,
        count: 1,
        per: Duration::from_secs(1),
        shared_by: SharedBy::Destination,
    },
    event_types: &["*"],
    advance,
    limits: "title 256 characters, text 3,000",
};

/// Demanded: without such a name, requests may be blocked.
/// https://discord.com/developers/docs/reference#user-agent
const USER_AGENT: &str = "DiscordBot (https://deptex.io, 1.0)";
/// Text channels and announcement channels. A forum would need a thread.
const TAKES_MESSAGES: [u64; 2] = [0, 5];

fn advance(out: &Outgoing<'_>, replies: &[Reply]) -> Step {
    match (out.destination, replies.last()) {
        (None, _) => Step::End(Verdict::NoDestination),
        (Some(channel), None) if !is_id(&channel.id) => {
            Step::End(Verdict::WrongDestination("unknown_channel".into()))
        }
        (Some(channel), None) => Step::Call(post(out, channel)),
        (Some(channel), Some(reply)) => Step::End(verdict(reply, out, channel)),
    }
}

fn post(out: &Outgoing<'_>, channel: &Destination) -> Call {
    let url = out.account.hosts.url("web", &format!("/api/v10/channels/{}/messages", channel.id));
    as_bot(Call::post(url), &out.account).json(&message::message(out)).creating()
}

/// Every request but those about tokens is the bot's.
fn as_bot(call: Call, account: &AccountAccess<'_>) -> Call {
    let call = call.authorization("Bot", account.credential).header("user-agent", USER_AGENT);
    call.heeding(verdict::budget)
}

/// Ids of Discord are numbers. What else an admin's browser sends never becomes part of a path.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The server that the admin added the bot to. The callback names one too, but anybody can write
/// that; the token's own answer cannot be forged.
fn account(new: &Newcomer<'_>, _: &[Reply]) -> AccountStep {
    let answer = &new.tokens.answer;
    let guild = &answer["guild"];
    let Some(id) = guild["id"].as_str().filter(|id| is_id(id)) else {
        return AccountStep::Unreadable("Discord did not say which server Deptex was added to.");
    };
    let name = guild["name"].as_str().filter(|name| !name.is_empty());
    AccountStep::Accounts(vec![Account {
        installation_id: id.to_owned(),
        display_name: name.unwrap_or("Discord Server").to_owned(),
        metadata: json!({"guild_id": id, "guild_name": name, "scope": answer["scope"]}),
        destination: None,
    }])
}

/// The channels of the server, in the order that people see them; Discord has but one page.
fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    let account = &picking.account;
    let Some(reply) = replies.last() else {
        let path = format!("/api/v10/guilds/{}/channels", account.installation_id);
        return PickStep::Call(as_bot(Call::get(account.hosts.url("web", &path)), account));
    };
    let answer = reply.json();
    let Some(channels) = answer.as_array().filter(|_| reply.is_success()) else {
        // Who may not see the server is no longer in it.
        return PickStep::Refused(match of_asking(reply) {
            Verdict::WrongDestination(_) => Verdict::Disconnected("unknown_guild"),
            refusal => refusal,
        });
    };
    let mut channels: Vec<&Value> = channels.iter().filter(|channel| takes(channel)).collect();
    channels.sort_by_key(|channel| channel["position"].as_i64().unwrap_or(i64::MAX));
    PickStep::Page(channels.into_iter().filter_map(destination).collect(), None)
}

fn takes(channel: &Value) -> bool {
    channel["type"].as_u64().is_some_and(|kind| TAKES_MESSAGES.contains(&kind))
}

fn destination(channel: &Value) -> Option<Destination> {
    Some(Destination {
        id: channel["id"].as_str().filter(|id| is_id(id))?.to_owned(),
        name: format!("#{}", channel["name"].as_str()?),
        settings: Value::Null,
    })
}

/// The bot is in the servers of many customers, so a channel must be of this connection's own.
fn check(choosing: &Choosing<'_>, replies: &[Reply]) -> CheckStep {
    let account = &choosing.account;
    let unusable = |why: &str| CheckStep::Unusable(why.to_owned());
    if !is_id(choosing.id) {
        return unusable("Discord does not know this channel.");
    }
    let Some(reply) = replies.last() else {
        let url = account.hosts.url("web", &format!("/api/v10/channels/{}", choosing.id));
        return CheckStep::Call(as_bot(Call::get(url), account));
    };
    if !reply.is_success() {
        return match of_asking(reply) {
            Verdict::WrongDestination(_) => unusable(
                "Discord does not know this channel, or Deptex may not see it. Give Deptex access \
                 in the channel's permissions, and choose again.",
            ),
            refusal => CheckStep::Refused(refusal),
        };
    }
    let channel = reply.json();
    if channel["guild_id"] != account.installation_id {
        return unusable("This channel is not in the connected server.");
    }
    match destination(&channel).filter(|_| takes(&channel)) {
        Some(channel) => CheckStep::Fine(channel),
        None => unusable("Choose a text or announcement channel."),
    }
}

/// Ends every token of the authorization. The bot stays in the server until somebody removes it.
fn revoke(revocation: &Revocation<'_>) -> Option<Call> {
    let (token, kind) = revocation.token()?;
    let client = revocation.client;
    let basic = STANDARD.encode(format!("{}:{}", client.id, client.secret.reveal()));
    let call = Call::post(revocation.hosts.url("web", "/api/oauth2/token/revoke"))
        .authorization("Basic", &Secret::new(basic))
        .header("user-agent", USER_AGENT);
    Some(call.form(&[("token", token.reveal()), ("token_type_hint", kind)]))
}

#[cfg(test)]
mod tests;
