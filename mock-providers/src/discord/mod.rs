//! Discord: servers (guilds) and their channels, where one bot of ours posts for everybody.

mod api;
mod consent;
mod limits;
mod page;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    breakage::Answer,
    mock::Mock,
    oauth::random,
    server::{
        reply::Reply,
        request::Request,
        route::{Route, Service, Urls},
    },
};

/// How many messages a channel takes in a second. More are taken all the same, unless a test says
/// otherwise.
const BUCKET: usize = 5;

/// What Discord knows.
#[derive(Debug)]
pub struct Discord {
    bot_token: String,
    secrets: Vec<String>,
    guilds: Vec<Guild>,
    messages: Vec<Message>,
}

/// A server.
#[derive(Debug)]
struct Guild {
    id: String,
    name: String,
    has_bot: bool,
    channels: Vec<Channel>,
}

/// A channel of a server.
#[derive(Clone, Debug)]
pub struct Channel {
    /// A number.
    pub id: String,
    /// Without the `#`.
    pub name: String,
    /// 0 text, 2 voice, 4 category, 5 announcement, 15 forum.
    pub kind: u64,
    /// Whether our bot may see it.
    pub may_see: bool,
    /// Whether our bot may write there.
    pub may_send: bool,
}

/// A message as it was posted.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// The channel's id.
    pub channel: String,
    /// As it was sent.
    pub body: Value,
    /// When.
    pub at: DateTime<Utc>,
}

impl Message {
    /// The message as a person reads it, line by line. Markdown is left as it is.
    #[must_use]
    pub fn rendered(&self) -> String {
        limits::rendered(&self.body)
    }

    /// Whether somebody is notified by it: by name in its text, and allowed.
    #[must_use]
    pub fn pings(&self) -> bool {
        limits::pings(&self.body)
    }
}

impl Service for Discord {
    const ID: &'static str = "discord";
    const HOSTS: &'static [&'static str] = &["web"];
    const ROUTES: &'static [Route<Self>] = &[
        Route::new("web", "GET", "/oauth2/authorize", consent::authorize),
        Route::new("web", "GET", "/api/oauth2/authorize", consent::authorize),
        Route::new("web", "POST", "/api/oauth2/token", consent::token),
        Route::new("web", "POST", "/api/oauth2/token/revoke", consent::revoke),
        Route::new("web", "GET", "/api/v10/users/@me", api::me),
        Route::new("web", "DELETE", "/api/v10/users/@me/guilds/{guild}", api::leave),
        Route::new("web", "GET", "/api/v10/guilds/{guild}", api::guild),
        Route::new("web", "GET", "/api/v10/guilds/{guild}/channels", api::channels),
        Route::new("web", "GET", "/api/v10/channels/{channel}", api::channel),
        Route::new("web", "POST", "/api/v10/channels/{channel}/messages", api::post),
        Route::new("web", "GET", "/channels/{guild}/{channel}/{message}", api::for_people),
    ];

    /// Two servers. Acme has `#security`, `#news`, a voice channel and a forum.
    fn new(_urls: &Urls) -> Self {
        let channel = |id: &str, name: &str, kind| Channel {
            id: id.to_owned(),
            name: name.to_owned(),
            kind,
            may_see: true,
            may_send: true,
        };
        let guild = |id: &str, name: &str, channels| Guild {
            id: id.to_owned(),
            name: name.to_owned(),
            has_bot: false,
            channels,
        };
        let acme = vec![
            channel("1000000000000000010", "Text channels", 4),
            channel("1000000000000000011", "security", 0),
            channel("1000000000000000012", "news", 5),
            channel("1000000000000000013", "Lounge", 2),
            channel("1000000000000000014", "ideas", 15),
        ];
        let globex = vec![channel("2000000000000000011", "alerts", 0)];
        let bot_token = random("bot-token-");
        Self {
            secrets: vec![bot_token.clone()],
            bot_token,
            guilds: vec![
                guild("1000000000000000001", "Acme", acme),
                guild("2000000000000000001", "Globex", globex),
            ],
            messages: Vec::new(),
        }
    }

    fn admit(request: &Request) -> Result<(), Reply> {
        let agent = request.header("user-agent");
        let inside = agent.strip_prefix("DiscordBot (").and_then(|rest| rest.split_once(')'));
        let is_named = inside.is_some_and(|(inside, _)| {
            inside.split_once(", ").is_some_and(|(url, version)| {
                url.starts_with("http") && version.starts_with(|c: char| c.is_ascii_digit())
            })
        });
        match request.path.starts_with("/api/v10/") && !is_named {
            // Cloudflare answers for Discord here.
            true => Err(Reply::html(403, "<html>error code: 1010</html>".to_owned())
                .violating(format!("user-agent {agent:?} is not DiscordBot (url, version)"))),
            false => Ok(()),
        }
    }

    fn dress(&self, reply: Reply, request: &Request, now: DateTime<Utc>) -> Reply {
        match request.path.starts_with("/api/") && reply.status != 429 {
            true => reply
                .header("x-ratelimit-limit", BUCKET)
                .header("x-ratelimit-remaining", self.left(request, now))
                .header("x-ratelimit-reset", format!("{}.470", now.timestamp() + 1))
                .header("x-ratelimit-reset-after", "1.000")
                .header("x-ratelimit-bucket", "abcd1234"),
            false => reply,
        }
    }

    fn nothing(status: u16) -> Reply {
        let message =
            format!("{status}: {}", if status == 405 { "Method Not Allowed" } else { "Not Found" });
        Reply::json(status, &json!({ "message": message, "code": 0 }))
    }

    fn page(&self, _urls: &Urls) -> String {
        page::page(self)
    }
}

impl Discord {
    /// How many more messages a channel takes in this second.
    fn left(&self, request: &Request, now: DateTime<Utc>) -> usize {
        let is_there = |m: &&Message| request.path.contains(&format!("/{}/", m.channel));
        let is_recent = |m: &&Message| now.signed_duration_since(m.at) < TimeDelta::seconds(1);
        BUCKET.saturating_sub(self.messages.iter().filter(is_there).filter(is_recent).count())
    }

    pub(crate) fn bot_token(&self) -> &str {
        &self.bot_token
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }

    fn guild_mut(&mut self, name: &str) -> &mut Guild {
        let found = self.guilds.iter_mut().find(|guild| guild.name == name);
        found.expect("the test named a server that is there")
    }

    fn named(&mut self, name: &str) -> &mut Channel {
        let mut channels = self.guilds.iter_mut().flat_map(|guild| &mut guild.channels);
        channels
            .find(|channel| channel.name == name)
            .expect("the test named a channel that is there")
    }
}

/// Who has to wait: the `X-RateLimit-Scope` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Our bot, at this channel.
    User,
    /// Our bot, everywhere.
    Global,
    /// Everybody, at this channel.
    Shared,
}

impl Mock<Discord> {
    /// Everything that was posted, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.inner().state.messages.clone()
    }

    /// What was posted to a channel, by its name.
    #[must_use]
    pub fn messages_in(&self, channel: &str) -> Vec<Message> {
        let id = self.channel(channel).id;
        self.messages().into_iter().filter(|message| message.channel == id).collect()
    }

    /// A channel, by its name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Channel {
        self.inner().state.named(name).clone()
    }

    /// Changes a channel: whether the bot may see it, or write there.
    pub fn change_channel(&self, name: &str, change: impl FnOnce(&mut Channel)) {
        change(self.inner().state.named(name));
    }

    /// Deletes a channel.
    pub fn delete_channel(&self, name: &str) {
        for guild in &mut self.inner().state.guilds {
            guild.channels.retain(|channel| channel.name != name);
        }
    }

    /// The id of a server, by its name.
    #[must_use]
    pub fn guild_id(&self, name: &str) -> String {
        self.inner().state.guild_mut(name).id.clone()
    }

    /// Whether our bot is in a server.
    #[must_use]
    pub fn has_bot(&self, guild: &str) -> bool {
        self.inner().state.guild_mut(guild).has_bot
    }

    /// Somebody throws our bot out of a server.
    pub fn kick_bot(&self, guild: &str) {
        self.inner().state.guild_mut(guild).has_bot = false;
    }

    /// Changes the bot's token, so that the one in Relay's settings is wrong.
    pub fn change_bot_token(&self) {
        self.inner().state.bot_token = random("changed-bot-token-");
    }

    /// A refusal as Discord words it.
    #[must_use]
    pub fn error(&self, status: u16, code: u64, message: &str) -> Answer {
        Answer::json(status, &json!({ "code": code, "message": message }))
    }

    /// What was asked is done, and it was the last that the channel takes for a while.
    #[must_use]
    pub fn last_of_bucket(&self, wait: Duration) -> Answer {
        Answer::real()
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset-after", format!("{:.3}", wait.as_secs_f64()))
    }

    /// 429: seconds with decimals in the body, whole ones in the header.
    #[must_use]
    pub fn rate_limited(&self, wait: Duration, scope: Scope) -> Answer {
        let (is_global, name) = match scope {
            Scope::User => (false, "user"),
            Scope::Global => (true, "global"),
            Scope::Shared => (false, "shared"),
        };
        let body = json!({
            "message": "You are being rate limited.", "retry_after": wait.as_secs_f64(),
            "global": is_global,
        });
        let answer = Answer::json(429, &body)
            .header("retry-after", wait.as_secs_f64().ceil())
            .header("x-ratelimit-scope", name);
        if is_global { answer.header("x-ratelimit-global", "true") } else { answer }
    }
}
