//! What is recorded when somebody asks for something, or something happens. No I/O, no clock; asking
//! twice records nothing.

use serde_json::{Value, json};

use super::{
    event::ConnectionEvent,
    limits::{Ordering, RateLimit},
    state::{Connection, DESTINATION, INVALID_GRANT, Status},
};
use crate::provider::{Account, Destination};

impl Connection {
    /// What pausing or resuming records.
    #[must_use]
    pub fn set_paused(&self, paused: bool) -> Option<ConnectionEvent> {
        match (paused, self.paused, self.status) {
            (true, false, _) => Some(ConnectionEvent::Paused {}),
            (false, true, _) | (false, _, Status::Suspended | Status::Error) => {
                Some(ConnectionEvent::Resumed {})
            }
            _ => None,
        }
    }

    /// What a change of subscription records.
    #[must_use]
    pub fn subscribe(
        &self,
        event_types: Vec<String>,
        conditions: Option<Value>,
    ) -> Option<ConnectionEvent> {
        (self.event_types != event_types || self.conditions != conditions)
            .then_some(ConnectionEvent::SubscriptionChanged { event_types, conditions })
    }

    /// What a change of name or settings records.
    #[must_use]
    pub fn update(&self, display_name: String, metadata: Value) -> Option<ConnectionEvent> {
        (self.display_name != display_name || self.metadata != metadata)
            .then_some(ConnectionEvent::Updated { display_name, metadata })
    }

    /// What a change of the retry schedule records.
    #[must_use]
    pub fn set_retry_schedule(&self, seconds: Option<Vec<i32>>) -> Option<ConnectionEvent> {
        (self.retry_schedule != seconds)
            .then_some(ConnectionEvent::RetryScheduleChanged { seconds })
    }

    /// What a change of its own rate limit records.
    #[must_use]
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) -> Option<ConnectionEvent> {
        (self.rate_limit != limit).then_some(ConnectionEvent::RateLimitChanged { limit })
    }

    /// What a change of its order records.
    #[must_use]
    pub fn set_ordering(&self, ordering: Option<Ordering>) -> Option<ConnectionEvent> {
        (self.ordering != ordering).then_some(ConnectionEvent::OrderingChanged { ordering })
    }

    /// What a change of its digest records.
    #[must_use]
    pub fn set_digest(&self, minutes: Option<u16>) -> Option<ConnectionEvent> {
        (self.digest_minutes != minutes).then_some(ConnectionEvent::DigestChanged { minutes })
    }

    /// What the log begins with for a connection that is older than the log. The address of an
    /// incoming webhook is left out: whoever has it can post.
    #[must_use]
    pub fn adopted(&self) -> ConnectionEvent {
        let mut metadata = self.metadata.clone();
        if let Some(webhook) = metadata.get_mut("incoming_webhook").and_then(Value::as_object_mut) {
            webhook.remove("url");
        }
        ConnectionEvent::Adopted {
            provider: self.provider.clone(),
            installation_id: self.installation_id.clone(),
            display_name: self.display_name.clone(),
            metadata,
            team_id: self.scope.team_id(),
            project_id: self.scope.project_id(),
            event_types: self.event_types.clone(),
            conditions: self.conditions.clone(),
            status: self.status,
            status_reason: self.status_reason.clone(),
            paused: self.paused,
            retry_schedule: self.retry_schedule.clone(),
            created_at: self.created_at,
            connected_at: self.connected_at,
        }
    }

    /// What connecting the same account again records. The destination stays, unless the admin chose
    /// another one on the way; so do the subscription, the schedule and a pause.
    #[must_use]
    pub fn reconnect(&self, account: Account) -> ConnectionEvent {
        let kept = || self.metadata.get(DESTINATION).cloned();
        let destination = account.destination.map(|chosen| json!(chosen)).or_else(kept);
        let mut metadata = account.metadata;
        if let Some((metadata, destination)) = metadata.as_object_mut().zip(destination) {
            metadata.insert(DESTINATION.to_owned(), destination);
        }
        ConnectionEvent::Reconnected { display_name: account.display_name, metadata }
    }

    /// What choosing a destination records.
    #[must_use]
    pub fn choose(&self, destination: Destination) -> Option<ConnectionEvent> {
        let is_so = self.destination().as_ref() == Some(&destination);
        (!is_so || self.destination_problem().is_some())
            .then_some(ConnectionEvent::DestinationChosen { destination })
    }

    /// What a destination's refusal records: once, until another one is chosen.
    #[must_use]
    pub fn destination_failing(&self, reason: &str) -> Option<ConnectionEvent> {
        (self.status != Status::Disconnected && self.destination_problem().is_none())
            .then(|| ConnectionEvent::DestinationFailing { reason: reason.to_owned() })
    }

    /// What losing the provider's trust records; a connection that is off already is left alone.
    #[must_use]
    pub fn errored(&self, reason: &str) -> Option<ConnectionEvent> {
        (self.status == Status::Connected)
            .then(|| ConnectionEvent::Errored { reason: reason.to_owned() })
    }

    /// What a suspension at the provider records; a connection that is off already is left alone.
    #[must_use]
    pub fn suspended(&self, reason: &str) -> Option<ConnectionEvent> {
        (self.status == Status::Connected)
            .then(|| ConnectionEvent::Suspended { reason: reason.to_owned() })
    }

    /// What a token that is taken after all records: only a lost grant is mended by one.
    #[must_use]
    pub fn recovered(&self) -> Option<ConnectionEvent> {
        (self.status == Status::Error && self.status_reason.as_deref() == Some(INVALID_GRANT))
            .then_some(ConnectionEvent::Recovered {})
    }

    /// What switching it off records.
    #[must_use]
    pub fn disable(&self, reason: &str) -> Option<ConnectionEvent> {
        (self.status == Status::Connected)
            .then(|| ConnectionEvent::Disabled { reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        clock::Timestamp,
        ids::{ConnectionId, OrganizationId},
    };

    fn at(second: u32) -> Timestamp {
        format!("2026-02-25T12:00:{second:02}Z").parse().expect("a timestamp")
    }

    fn connected() -> Connection {
        let event = ConnectionEvent::Connected {
            provider: "custom_notification".into(),
            installation_id: "x".into(),
            display_name: "Ops".into(),
            metadata: json!({ "webhook_url": "https://example.com" }),
            team_id: None,
            project_id: None,
            event_types: vec!["*".into()],
            conditions: None,
        };
        let id = Uuid::from_u128(1);
        Connection::begin(ConnectionId(id), OrganizationId(id), &event, at(0)).expect("a beginning")
    }

    #[test]
    fn asking_twice_records_one_event() {
        let mut connection = connected();
        let pause = connection.set_paused(true).expect("a change");
        connection.apply(&pause, at(1));
        assert_eq!(connection.set_paused(true), None);
        assert_eq!(connection.silent_because(), Some("connection_paused"));
        assert_eq!(connection.update("Ops".into(), connection.metadata.clone()), None);
        assert_eq!(connection.subscribe(vec!["*".into()], None), None);
        assert_eq!(connection.set_rate_limit(None), None);
        assert_eq!(connection.set_ordering(None), None);
        assert_eq!(connection.set_digest(None), None);
        assert_eq!((connection.version, connection.updated_at), (2, at(1)));
    }

    #[test]
    fn resuming_lifts_a_pause_and_a_suspension() {
        let mut connection = connected();
        let off = connection.disable("receiver_gone").expect("a change");
        connection.apply(&off, at(1));
        assert_eq!(connection.disable("receiver_gone"), None);
        assert_eq!(connection.silent_because(), Some("connection_suspended"));
        let on = connection.set_paused(false).expect("a change");
        connection.apply(&on, at(2));
        assert_eq!(
            (connection.status, connection.status_reason.clone()),
            (Status::Connected, None)
        );
    }

    fn account(destination: Option<Destination>) -> Account {
        Account {
            installation_id: "x".into(),
            display_name: "New".into(),
            metadata: json!({ "team_name": "New" }),
            destination,
        }
    }

    fn channel(id: &str) -> Destination {
        Destination { id: id.into(), name: format!("#{id}"), settings: Value::Null }
    }

    #[test]
    fn a_destination_fails_once_until_another_one_is_chosen() {
        let mut connection = connected();
        let chosen = connection.choose(channel("C1")).expect("a change");
        connection.apply(&chosen, at(1));
        assert_eq!(connection.destination(), Some(channel("C1")));
        assert_eq!(connection.choose(channel("C1")), None);
        let failing = connection.destination_failing("not_in_channel").expect("a change");
        connection.apply(&failing, at(2));
        assert_eq!(connection.destination_failing("archived"), None);
        assert_eq!(connection.destination_problem(), Some("not_in_channel"));
        // Choosing the same one again says that it was put right.
        let again = connection.choose(channel("C1")).expect("a change");
        connection.apply(&again, at(3));
        assert_eq!(connection.destination_problem(), None);
        assert_eq!(connection.status, Status::Connected);
    }

    #[test]
    fn what_slack_shows_of_a_channel_is_the_chosen_one() {
        let consented = json!({
            "team_name": "Example", "channel": "#first", "channel_id": "C0",
            "incoming_webhook": { "channel": "#first", "channel_id": "C0", "configuration_url": "x" },
        });
        let mut slack = connected();
        slack.provider = "slack".into();
        slack.metadata = consented.clone();
        let chosen = slack.choose(channel("C1")).expect("a change");
        slack.apply(&chosen, at(1));
        let shown = |connection: &Connection| {
            let metadata = &connection.metadata;
            let webhook = &metadata["incoming_webhook"];
            let names = [&metadata["channel"], &webhook["channel"]];
            let ids = [&metadata["channel_id"], &webhook["channel_id"]];
            names
                .map(Value::to_string)
                .into_iter()
                .chain(ids.map(Value::to_string))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&slack), ["\"#C1\"", "\"#C1\"", "\"C1\"", "\"C1\""]);
        assert_eq!(slack.metadata["incoming_webhook"]["configuration_url"], "x");
        // Connected again without another choice, it stays with the one that was made.
        let account = Account { metadata: consented, ..account(None) };
        slack.apply(&slack.reconnect(account), at(2));
        assert_eq!(shown(&slack), ["\"#C1\"", "\"#C1\"", "\"C1\"", "\"C1\""]);
        // Without a webhook none is made up; and no other provider gets a channel.
        slack.metadata = json!({ "channel": null });
        slack.apply(&chosen, at(3));
        assert_eq!(
            (&slack.metadata["channel"], slack.metadata.get("incoming_webhook")),
            (&json!("#C1"), None)
        );
        let mut discord = connected();
        discord.provider = "discord".into();
        discord.apply(&chosen, at(1));
        assert_eq!(discord.metadata.get("channel"), None);
    }

    #[test]
    fn b21_the_public_half_of_a_key_pair_is_shown_for_as_long_as_it_signs() {
        let rotated = |key: Option<&str>| ConnectionEvent::SecretRotated {
            secret_version: 2,
            overlap_until: None,
            public_key: key.map(str::to_owned),
        };
        let mut connection = connected();
        let before = connection.metadata.clone();
        connection.apply(&rotated(None), at(1));
        assert_eq!(connection.metadata, before);
        connection.apply(&rotated(Some("whpk_AAAA")), at(2));
        assert_eq!(connection.metadata["public_key"], "whpk_AAAA");
        let renamed = connection.update("New".into(), connection.metadata.clone());
        connection.apply(&renamed.expect("a change"), at(3));
        assert_eq!(connection.metadata["public_key"], "whpk_AAAA");
        connection.apply(&rotated(None), at(4));
        assert_eq!(connection.metadata, before);
    }

    #[test]
    fn reconnecting_keeps_what_the_admin_set_and_lifts_every_trouble() {
        let mut connection = connected();
        for (second, event) in [
            (1, connection.choose(channel("C1")).expect("a change")),
            (2, connection.subscribe(vec!["policy.*".into()], None).expect("a change")),
            (3, connection.errored(INVALID_GRANT).expect("a change")),
        ] {
            connection.apply(&event, at(second));
        }
        assert_eq!(connection.errored("unauthorized"), None, "once is enough");
        connection.apply(&connection.reconnect(account(None)), at(4));
        assert_eq!(
            (connection.status, connection.status_reason.clone()),
            (Status::Connected, None)
        );
        assert_eq!(connection.destination(), Some(channel("C1")));
        assert_eq!(connection.event_types, ["policy.*"]);
        assert_eq!((connection.display_name.as_str(), connection.connected_at), ("New", at(4)));
        connection.apply(&connection.reconnect(account(Some(channel("C2")))), at(5));
        assert_eq!(connection.destination(), Some(channel("C2")));
        connection.apply(&ConnectionEvent::Disconnected { cancelled: 0 }, at(6));
        assert_eq!(connection.suspended("x"), None, "a removed connection stays removed");
        connection.apply(&connection.reconnect(account(None)), at(7));
        assert_eq!(connection.status, Status::Connected);
    }

    #[test]
    fn only_a_lost_grant_is_mended_by_a_new_token() {
        for (reason, is_mended) in [(INVALID_GRANT, true), ("missing_scope", false)] {
            let mut connection = connected();
            assert_eq!(connection.recovered(), None);
            connection.apply(&connection.errored(reason).expect("a change"), at(1));
            assert_eq!(connection.recovered().is_some(), is_mended, "{reason}");
        }
    }

    #[test]
    fn an_adopted_connection_is_what_it_was_without_the_webhook_of_its_channel() {
        let mut old = connected();
        old.apply(&ConnectionEvent::Paused {}, at(1));
        old.apply(&ConnectionEvent::Disabled { reason: "x".into() }, at(2));
        old.retry_schedule = Some(vec![5]);
        let hook = json!({ "channel": "#ops", "url": "https://hooks.example.com/T1/B1/x" });
        old.metadata = json!({ "incoming_webhook": hook });
        let event = old.adopted();
        assert!(!event.payload().to_string().contains("hooks.example.com"));
        let begun = Connection::begin(old.id, old.organization_id, &event, at(9));
        let begun = begun.expect("a stream may begin with it");
        old.metadata = json!({ "incoming_webhook": { "channel": "#ops" } });
        assert_eq!(begun, Connection { updated_at: at(9), version: 1, ..old });
    }
}
