//! Slack: workspaces, channels and what an app may post in them.

mod api;
mod blocks;
mod consent;
mod mrkdwn;
mod page;
mod rich_text;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    breakage::Answer,
    mock::Mock,
    oauth::{Refresh, random},
    server::{
        reply::Reply,
        request::Request,
        route::{Route, Service, Urls},
    },
};

/// What Slack knows.
#[derive(Debug)]
pub struct Slack {
    teams: Vec<Team>,
    messages: Vec<Message>,
}

/// A workspace.
#[derive(Debug)]
struct Team {
    id: String,
    name: String,
    channels: Vec<Channel>,
}

/// A channel of a workspace.
#[derive(Clone, Debug)]
pub struct Channel {
    /// `C…`.
    pub id: String,
    /// Without the `#`.
    pub name: String,
    /// Whether only its members know of it.
    pub is_private: bool,
    /// Whether our app is in it.
    pub is_member: bool,
    /// Whether nobody may write there any more.
    pub is_archived: bool,
}

/// A message as it was posted.
#[derive(Clone, Debug)]
pub struct Message {
    /// The workspace.
    pub team: String,
    /// The channel's id.
    pub channel: String,
    /// The message's id in its channel.
    pub ts: String,
    /// What notifications show.
    pub text: String,
    /// What the channel shows, if it is not just the text.
    pub blocks: Value,
    /// What only apps see.
    pub metadata: Value,
}

impl Message {
    /// The message as a person reads it, line by line.
    #[must_use]
    pub fn rendered(&self) -> String {
        match self.blocks.as_array() {
            Some(blocks) if !blocks.is_empty() => blocks::rendered(blocks),
            _ => mrkdwn::text(&self.text),
        }
    }

    /// Whether somebody is notified by name by it.
    #[must_use]
    pub fn pings(&self) -> bool {
        mrkdwn::pings(&self.text) || blocks::pings(&self.blocks)
    }
}

impl Service for Slack {
    const ID: &'static str = "slack";
    const HOSTS: &'static [&'static str] = &["web"];
    const ROUTES: &'static [Route<Self>] = &[
        Route::new("web", "GET", "/oauth/v2/authorize", consent::authorize),
        Route::new("web", "GET", "/app_redirect", page::app_redirect),
        Route::new("web", "POST", "/api/oauth.v2.access", consent::access),
        Route::new("web", "POST", "/api/auth.test", api::auth_test),
        Route::new("web", "POST", "/api/auth.revoke", api::auth_revoke),
        Route::new("web", "GET", "/api/auth.revoke", api::auth_revoke),
        Route::new("web", "POST", "/api/apps.uninstall", api::uninstall),
        Route::new("web", "GET", "/api/team.info", api::team_info),
        Route::new("web", "GET", "/api/conversations.list", api::list),
        Route::new("web", "GET", "/api/conversations.info", api::info),
        Route::new("web", "GET", "/api/conversations.history", api::history),
        Route::new("web", "POST", "/api/conversations.join", api::join),
        Route::new("web", "POST", "/api/chat.postMessage", api::post_message),
    ];

    /// Two workspaces. Acme has `#security`, `#general`, and `#leadership`, which is private.
    fn new(_urls: &Urls) -> Self {
        let channel = |id: &str, name: &str, is_private, is_member| Channel {
            id: id.to_owned(),
            name: name.to_owned(),
            is_private,
            is_member,
            is_archived: false,
        };
        let team = |id: &str, name: &str, channels| Team {
            id: id.to_owned(),
            name: name.to_owned(),
            channels,
        };
        let acme = vec![
            channel("C0SECURITY", "security", false, false),
            channel("C0GENERAL", "general", false, true),
            channel("C0LEADERSHIP", "leadership", true, false),
        ];
        let globex = vec![channel("C0ALERTS", "alerts", false, false)];
        let teams = vec![team("T0ACME", "Acme", acme), team("T0GLOBEX", "Globex", globex)];
        Self { teams, messages: Vec::new() }
    }

    fn dress(&self, reply: Reply, _request: &Request, _now: DateTime<Utc>) -> Reply {
        reply.header("x-slack-req-id", random(""))
    }

    fn nothing(status: u16) -> Reply {
        match status {
            405 => Reply::text(405, "method not allowed"),
            _ => Reply::json(200, &json!({ "ok": false, "error": "unknown_method" })),
        }
    }

    fn page(&self, _urls: &Urls) -> String {
        page::page(self)
    }
}

impl Slack {
    fn channel(&self, team: &str, id: &str) -> Option<&Channel> {
        let team = self.teams.iter().find(|known| known.id == team)?;
        team.channels.iter().find(|channel| channel.id == id)
    }

    fn channel_mut(&mut self, team: &str, id: &str) -> Option<&mut Channel> {
        let team = self.teams.iter_mut().find(|known| known.id == team)?;
        team.channels.iter_mut().find(|channel| channel.id == id)
    }

    fn named(&mut self, name: &str) -> &mut Channel {
        let mut channels = self.teams.iter_mut().flat_map(|team| &mut team.channels);
        channels
            .find(|channel| channel.name == name)
            .expect("the test named a channel that is there")
    }
}

impl Mock<Slack> {
    /// Everything that was posted, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.inner().state.messages.clone()
    }

    /// What was posted to a channel, by its name without the `#`.
    #[must_use]
    pub fn messages_in(&self, channel: &str) -> Vec<Message> {
        let id = self.channel(channel).id;
        self.messages().into_iter().filter(|message| message.channel == id).collect()
    }

    /// A channel, by its name without the `#`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn channel(&self, name: &str) -> Channel {
        self.inner().state.named(name).clone()
    }

    /// Every channel of the first workspace, Acme.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel> {
        self.inner().state.teams[0].channels.clone()
    }

    /// The next people at the consent page choose this channel, by its name without the `#`.
    pub fn choose_channel(&self, name: &str) {
        let mut inner = self.inner();
        let channel = inner.state.named(name).id.clone();
        let mut teams = inner.state.teams.iter();
        let team = teams.find(|team| team.channels.iter().any(|known| known.id == channel));
        let key = team.map(|team| format!("{}/{channel}", team.id));
        inner.oauth.consent.choice = key;
    }

    /// Adds a channel to the first workspace, Acme; its id.
    pub fn add_channel(&self, name: &str, is_private: bool) -> String {
        let id = format!("C{}", random("").to_uppercase().chars().take(10).collect::<String>());
        let channel = Channel {
            id: id.clone(),
            name: name.to_owned(),
            is_private,
            is_member: false,
            is_archived: false,
        };
        self.inner().state.teams[0].channels.push(channel);
        id
    }

    /// Archives a channel.
    pub fn archive(&self, name: &str) {
        self.inner().state.named(name).is_archived = true;
    }

    /// Deletes a channel.
    pub fn delete_channel(&self, name: &str) {
        for team in &mut self.inner().state.teams {
            team.channels.retain(|channel| channel.name != name);
        }
    }

    /// Puts our app into a channel, or out of it.
    pub fn set_member(&self, name: &str, is_member: bool) {
        self.inner().state.named(name).is_member = is_member;
    }

    /// Switches token rotation; it is on at first. Without it tokens hold for ever.
    pub fn set_rotation(&self, is_on: bool) {
        let refresh = if is_on { Refresh::Rotates } else { Refresh::None };
        self.inner().oauth.set_refresh(refresh);
    }

    /// A refusal as Slack words it: 200 and a code.
    #[must_use]
    pub fn error(&self, code: &str) -> Answer {
        Answer::json(200, &json!({ "ok": false, "error": code }))
    }

    /// 429 with whole seconds.
    #[must_use]
    pub fn rate_limited(&self, wait: Duration) -> Answer {
        Answer::json(429, &json!({ "ok": false, "error": "ratelimited" }))
            .header("retry-after", wait.as_secs())
    }
}
