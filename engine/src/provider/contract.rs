//! What a provider is: facts and pure functions. It opens no socket, reads no clock, keeps nothing;
//! the engine connects, refreshes, sends, retries and remembers for all of them.

mod call;
mod connect;
mod delivering;
mod destination;
mod hosts;

use std::time::Duration;

pub use self::{call::*, connect::*, delivering::*, destination::*, hosts::*};

/// A service that an organization can connect.
#[derive(Debug)]
pub struct Provider {
    /// Stored with every connection and part of its routes, so never renamed.
    pub id: &'static str,
    /// As people call it.
    pub label: &'static str,
    /// Where the console shows it, and what is done for an event.
    pub category: Category,
    /// The addresses that it is reached at.
    pub hosts: &'static [Host],
    /// How an admin links an account.
    pub connect: Connect,
    /// Whose credential deliveries carry.
    pub credential: CredentialOf,
    /// What an admin may choose between for events to go to; `None` where the account says it all.
    pub destinations: Option<Destinations>,
    /// How fast one destination may be called.
    pub pace: Pace,
    /// Patterns of the kinds that a new connection wants.
    pub event_types: &'static [&'static str],
    /// What to do next for one event, given the answers so far. Pure: called again after each answer.
    pub advance: fn(&Outgoing<'_>, &[Reply]) -> Step,
    /// The most text that it takes, for the guide.
    pub limits: &'static str,
}

/// What kind of service it is; decides what is done for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Commits and pull requests are marked; findings become issues.
    CiCd,
    /// Each event is one message.
    Notification,
    /// One ticket a subject: opened, commented on, closed.
    Ticketing,
}

/// Whose credential [`AccountAccess::credential`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialOf {
    /// The connection's own token.
    Connection,
    /// The operator's, from the setting of this name; the connection's own token is not sent.
    Operator(&'static str),
}

/// How an admin links an account.
#[derive(Debug)]
pub enum Connect {
    /// Consent on the provider's page, then a code for tokens.
    OAuth2(OAuth2),
    /// An app is installed; tokens are minted with the app's own key.
    GitHubApp(GitHubApp),
    /// The admin gives an address and a token.
    AccessToken(AccessToken),
    /// The admin gives an address; we make a signing secret.
    Webhook,
}

/// How fast one destination may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Requests that may come at once.
    pub burst: u32,
    /// Requests in `per` after that.
    pub count: u32,
    /// The span.
    pub per: Duration,
    /// Whose requests count together.
    pub shared_by: SharedBy,
}

impl Pace {
    /// For a receiver whose own answers say how fast it may be called: no pace is kept.
    pub const AS_FAST_AS_IT_ANSWERS: Self = Self {
        burst: u32::MAX,
        count: u32::MAX,
        per: Duration::from_secs(1),
        shared_by: SharedBy::Destination,
    };
}

/// Whose requests a pace counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SharedBy {
    /// One destination of one connection.
    Destination,
    /// Everything of one installation, whichever connections use it.
    Installation,
    /// Everything that this provider gets from us.
    Provider,
}
