//! What happened to a connection in one plain sentence.

use super::{Connection, ConnectionEvent, HeadOfLine};

/// Says what an event did to a connection; `before` is how it stood.
pub(super) fn sentence(event: &ConnectionEvent, before: Option<&Connection>) -> String {
    match event {
        ConnectionEvent::Connected { display_name, .. } if before.is_none() => {
            format!("Connected as {display_name}.")
        }
        ConnectionEvent::Connected { display_name, .. }
        | ConnectionEvent::Reconnected { display_name, .. } => {
            format!("Connected again as {display_name}.")
        }
        ConnectionEvent::Adopted { display_name, .. } => {
            format!("Taken over from before this history, as {display_name}.")
        }
        ConnectionEvent::DestinationChosen { destination } => {
            format!("Events go to {} from here on.", destination.name)
        }
        ConnectionEvent::DestinationFailing { reason } => {
            format!("Where events go does not take them: {reason}.")
        }
        ConnectionEvent::TokenRefreshed { .. } => "The access token was renewed.".to_owned(),
        ConnectionEvent::Errored { reason } => {
            format!("The provider no longer lets us in ({reason}): it must be connected again.")
        }
        ConnectionEvent::Recovered {} => "Works again.".to_owned(),
        ConnectionEvent::Suspended { reason } => {
            format!("Switched off at the provider ({reason}).")
        }
        ConnectionEvent::Revoked { outcome } => revoked(outcome).to_owned(),
        ConnectionEvent::Updated { display_name, metadata } => {
            updated(display_name, metadata, before)
        }
        ConnectionEvent::SubscriptionChanged { event_types, conditions } => {
            let wants = event_types.join(", ");
            match conditions {
                Some(_) => format!("Takes {wants} from here on, under conditions."),
                None => format!("Takes {wants} from here on."),
            }
        }
        ConnectionEvent::RetryScheduleChanged { seconds } => match seconds.as_deref() {
            None => "Waits between attempts as by default.".to_owned(),
            Some([]) => "Is tried only once from here on.".to_owned(),
            Some(waits) => {
                let waits: Vec<String> = waits.iter().map(|wait| format!("{wait} s")).collect();
                format!("Waits between attempts: {}.", waits.join(", "))
            }
        },
        ConnectionEvent::HeadersChanged { names } if names.is_empty() => {
            "Sends no headers of its own from here on.".to_owned()
        }
        ConnectionEvent::HeadersChanged { names } => {
            format!("Sends these headers of its own: {}.", names.join(", "))
        }
        ConnectionEvent::RateLimitChanged { limit: None } => {
            "Is sent to as fast as we may.".to_owned()
        }
        ConnectionEvent::RateLimitChanged { limit: Some(limit) } => {
            format!("Gets at most {} requests in {} s.", limit.count, limit.seconds)
        }
        ConnectionEvent::OrderingChanged { ordering: None } => {
            "Gets its deliveries in no order from here on.".to_owned()
        }
        ConnectionEvent::OrderingChanged { ordering: Some(ordering) } => match ordering.policy {
            HeadOfLine::Block => {
                "Gets its deliveries in order; those behind one that fails wait.".to_owned()
            }
            HeadOfLine::Skip => {
                "Gets its deliveries in order; those behind one that fails go first.".to_owned()
            }
            HeadOfLine::Park => format!(
                "Gets its deliveries in order; one that fails is parked after {} attempts.",
                ordering.after.unwrap_or(1)
            ),
        },
        ConnectionEvent::DigestChanged { minutes: None } => {
            "Gets each event by itself from here on.".to_owned()
        }
        ConnectionEvent::DigestChanged { minutes: Some(minutes) } => {
            format!("Gets the events of {minutes} min as one message.")
        }
        ConnectionEvent::SecretRotated { overlap_until: None, .. } => {
            "The signing secret was replaced; the old one ended at once.".to_owned()
        }
        ConnectionEvent::SecretRotated { overlap_until: Some(until), .. } => {
            format!(
                "The signing secret was replaced; the old one signs too until {}.",
                until.format("%Y-%m-%d %H:%M UTC")
            )
        }
        ConnectionEvent::Paused {} => "Paused.".to_owned(),
        ConnectionEvent::Resumed {} => "Resumed.".to_owned(),
        ConnectionEvent::Failing { percent, failing_since } => format!(
            "Has taken nothing since {}: {percent} % of the time until it is switched off.",
            failing_since.format("%Y-%m-%d %H:%M UTC")
        ),
        ConnectionEvent::Exhausted { .. } => {
            "A delivery was given up after its last attempt.".to_owned()
        }
        ConnectionEvent::Disabled { reason } => format!("Switched off by us ({reason})."),
        ConnectionEvent::Disconnected { cancelled: 0 } => "Removed.".to_owned(),
        ConnectionEvent::Disconnected { cancelled } => {
            format!("Removed; {cancelled} deliveries that waited were cancelled.")
        }
        ConnectionEvent::DeliveryReplayed { reason: None, .. } => {
            "A delivery was sent once more.".to_owned()
        }
        ConnectionEvent::DeliveryReplayed { reason: Some(reason), .. } => {
            format!("A delivery was sent once more: {reason}")
        }
    }
}

fn revoked(outcome: &str) -> &'static str {
    match outcome {
        "revoked" => "Our access was taken back at the provider.",
        "kept_shared" => "Our access stays at the provider: another connection uses it.",
        "refused" => "The provider refused to take our access back.",
        _ => "The provider could not be asked to take our access back.",
    }
}

fn updated(name: &str, metadata: &serde_json::Value, before: Option<&Connection>) -> String {
    let Some(before) = before else { return format!("Is called {name}.") };
    let mut changes = Vec::new();
    if before.display_name != name {
        changes.push(format!("Renamed from {} to {name}.", before.display_name));
    }
    for (key, what) in [
        ("webhook_url", "The address that events are posted to was changed."),
        ("icon_url", "The picture was changed."),
    ] {
        if before.metadata.get(key) != metadata.get(key) {
            changes.push(what.to_owned());
        }
    }
    if changes.is_empty() {
        return "Settings were changed.".to_owned();
    }
    changes.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Ordering, RateLimit};
    use serde_json::json;

    fn connected() -> ConnectionEvent {
        let payload = json!({
            "provider": "custom_notification", "installation_id": "x", "display_name": "Ops",
            "metadata": { "webhook_url": "https://a.example/" }, "event_types": ["*"],
        });
        ConnectionEvent::from_stored("connection.connected", &payload).expect("readable")
    }

    fn before() -> Connection {
        let (nobody, at) =
            (uuid::Uuid::nil(), "2026-02-25T12:00:00Z".parse().expect("a timestamp"));
        Connection::begin(nobody.into(), nobody.into(), &connected(), at).expect("it begins")
    }

    #[test]
    fn what_changed_is_told_by_how_it_stood_before() {
        assert_eq!(sentence(&connected(), None), "Connected as Ops.");
        assert_eq!(sentence(&connected(), Some(&before())), "Connected again as Ops.");
        for (name, url, said) in [
            ("Ops", "https://a.example/", "Settings were changed."),
            ("Dev", "https://a.example/", "Renamed from Ops to Dev."),
            (
                "Dev",
                "https://b.example/",
                "Renamed from Ops to Dev. The address that events are posted to was changed.",
            ),
        ] {
            let event = ConnectionEvent::Updated {
                display_name: name.into(),
                metadata: json!({ "webhook_url": url }),
            };
            assert_eq!(sentence(&event, Some(&before())), said);
        }
    }

    #[test]
    fn each_setting_is_told_in_one_sentence() {
        let rate = RateLimit { count: 10, seconds: 60 };
        for (event, said) in [
            (
                ConnectionEvent::SubscriptionChanged {
                    event_types: vec!["a.*".into(), "b.c".into()],
                    conditions: Some(json!({})),
                },
                "Takes a.*, b.c from here on, under conditions.",
            ),
            (
                ConnectionEvent::RetryScheduleChanged { seconds: Some(vec![5, 30]) },
                "Waits between attempts: 5 s, 30 s.",
            ),
            (
                ConnectionEvent::RetryScheduleChanged { seconds: Some(vec![]) },
                "Is tried only once from here on.",
            ),
            (
                ConnectionEvent::RateLimitChanged { limit: Some(rate) },
                "Gets at most 10 requests in 60 s.",
            ),
            (
                ConnectionEvent::OrderingChanged {
                    ordering: Some(Ordering { policy: HeadOfLine::Park, after: Some(3) }),
                },
                "Gets its deliveries in order; one that fails is parked after 3 attempts.",
            ),
            (ConnectionEvent::Disconnected { cancelled: 0 }, "Removed."),
            (
                ConnectionEvent::Disconnected { cancelled: 3 },
                "Removed; 3 deliveries that waited were cancelled.",
            ),
        ] {
            assert_eq!(sentence(&event, Some(&before())), said);
        }
    }
}
