//! Why an event reached a connection, or did not: by the connection as it stood when the event was
//! recorded, and by what Postgres says of the two.

mod words;

use chrono::TimeDelta;
use serde_json::Value;
use sqlx::PgConnection;

use super::{
    Connection, Status,
    matching::{self, Judgement, Subscription},
    past, store,
};
use crate::{
    clock::Timestamp,
    db::DbError,
    delivery::{self, DeliveryFilter, DeliveryView},
    engine::Engine,
    event::history::{self, EventView},
    id_time,
    ids::{ConnectionId, EventId, OrganizationId},
    subscription::Conditions,
};

/// For how long a change may be under way: it has its time before it is seen by others.
const MEANWHILE: TimeDelta = TimeDelta::seconds(30);
/// How many parts of `all` are asked one by one.
const PARTS_MAX: usize = 20;

/// Why an event reached a connection, or did not.
#[derive(Clone, Debug)]
pub struct Why {
    /// The status of its delivery, or `not_matched`, `connected_later`, `removed_before`.
    pub verdict: &'static str,
    /// The same for people.
    pub sentence: String,
    /// All that was asked.
    pub checks: Vec<Check>,
    /// The version that the event met; `None` where the connection was not there.
    pub connection_version: Option<i64>,
    /// The delivery, if there is one.
    pub delivery: Option<DeliveryView>,
}

/// One thing that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `existed`, `connected`, `not_paused`, `scope`, `type`, `conditions` or `not_its_own`.
    pub check: &'static str,
    /// Whether it was so.
    pub passed: bool,
    /// For people.
    pub detail: String,
}

/// What is not there to ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The event belongs to another organization, or is no longer kept.
    Event,
    /// The connection belongs to another organization.
    Connection,
}

/// A state of the connection, and what Postgres says of it and the event.
#[derive(Debug)]
struct Met {
    state: Connection,
    judgement: Judgement,
    /// Of conditions that do not hold, the part that does not.
    failing_part: Option<String>,
}

impl Met {
    fn takes(&self) -> bool {
        self.judgement.is_match() && self.state.status != Status::Disconnected
    }
}

/// Explains what became of an event at a connection.
pub async fn explain(
    engine: &Engine,
    organization_id: OrganizationId,
    event_id: EventId,
    connection_id: ConnectionId,
) -> Result<Result<Why, Missing>, DbError> {
    let found = history::by_id(engine, organization_id, &[event_id]).await?.pop();
    let Some(event) = found else { return Ok(Err(Missing::Event)) };
    let mut connection = engine.db.api.acquire().await?;
    let Some(now) = store::load(&mut connection, organization_id, connection_id).await? else {
        return Ok(Err(Missing::Connection));
    };
    let at = id_time::made_at_exactly(event_id.0);
    let (from, until) = (at - MEANWHILE, at + MEANWHILE);
    let states =
        past::between(&mut connection, organization_id, connection_id, from, until).await?;
    drop(connection);
    let of_both = DeliveryFilter {
        event_id: Some(event_id),
        connection_id: Some(connection_id),
        limit: 1,
        ..DeliveryFilter::default()
    };
    let delivery = delivery::list(engine, organization_id, &of_both).await?.items.pop();
    let mut connection = engine.db.api.acquire().await?;
    let met = meeting(&mut connection, states, &event, at, delivery.is_some()).await?;
    let checks = words::checks(met.as_ref(), &event);
    let verdict = verdict(met.as_ref(), delivery.as_ref());
    Ok(Ok(Why {
        verdict,
        sentence: words::sentence(verdict, &checks, delivery.as_ref(), met.as_ref(), &now),
        checks,
        connection_version: met
            .filter(|met| met.state.status != Status::Disconnected)
            .map(|met| met.state.version),
        delivery,
    }))
}

/// The state that the event met. A change has its time a little before others can see it: where the
/// state of the event's moment does not go with what happened, one of about that moment may.
async fn meeting(
    connection: &mut PgConnection,
    states: Vec<Connection>,
    event: &EventView,
    at: Timestamp,
    is_promised: bool,
) -> Result<Option<Met>, sqlx::Error> {
    let (states, stood) = by_nearness(states, at);
    // That it was not there at all explains that nothing was promised.
    let is_explained = |met: &Met| met.takes() == is_promised;
    if !stood && !is_promised {
        return Ok(None);
    }
    let mut first = None;
    for state in states {
        let met = judged(connection, state, event).await?;
        if is_explained(&met) {
            return Ok(Some(met));
        }
        first = first.or(Some(met));
    }
    Ok(first)
}

/// The states with the one of this moment first, if it stood then, and the nearest ones after it.
fn by_nearness(mut states: Vec<Connection>, at: Timestamp) -> (Vec<Connection>, bool) {
    let stands = |place: usize, state: &Connection| {
        state.updated_at <= at || (place == 0 && state.created_at <= at)
    };
    let stood = states.iter().enumerate().rposition(|(place, state)| stands(place, state));
    let stood_state = stood.map(|place| states.remove(place));
    states.sort_by_key(|state| (state.updated_at - at).abs());
    states.splice(0..0, stood_state);
    (states, stood.is_some())
}

async fn judged(
    connection: &mut PgConnection,
    state: Connection,
    event: &EventView,
) -> Result<Met, sqlx::Error> {
    let subscription = Subscription::of(&state);
    let judgement = judge(connection, &state, &subscription, event).await?;
    let mut failing_part = None;
    if !judgement.conditions {
        let parts = state.conditions.as_ref().and_then(|json| json["all"].as_array());
        for (place, part) in parts.into_iter().flatten().take(PARTS_MAX).enumerate() {
            let only =
                Subscription { conditions: Conditions::parse(part).ok(), ..subscription.clone() };
            if !judge(connection, &state, &only, event).await?.conditions {
                failing_part = Some(words::part(place, part));
                break;
            }
        }
    }
    Ok(Met { state, judgement, failing_part })
}

async fn judge(
    connection: &mut PgConnection,
    state: &Connection,
    subscription: &Subscription,
    event: &EventView,
) -> Result<Judgement, sqlx::Error> {
    let judged =
        matching::judge(connection, state.organization_id, subscription, &[event.id]).await?.pop();
    // Retention may have dropped the event since it was read.
    judged.ok_or(sqlx::Error::RowNotFound)
}

fn verdict(met: Option<&Met>, delivery: Option<&DeliveryView>) -> &'static str {
    match (delivery, met) {
        (Some(delivery), _) => {
            delivery.status.parse().map_or("pending", delivery::DeliveryStatus::as_str)
        }
        (None, None) => "connected_later",
        (None, Some(met)) if met.state.status == Status::Disconnected => "removed_before",
        (None, Some(_)) => "not_matched",
    }
}

/// JSON in a sentence, not too much of it.
fn short(json: &Value) -> String {
    let text = json.to_string();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectionEvent;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        let zero: Timestamp = "2026-02-25T12:00:00Z".parse().expect("a timestamp");
        zero + TimeDelta::seconds(second)
    }

    fn state(version: i64, created: i64, updated: i64) -> Connection {
        let payload = json!({
            "provider": "custom_notification", "installation_id": "x", "display_name": "Ops",
            "metadata": {}, "event_types": ["*"],
        });
        let event = ConnectionEvent::from_stored("connection.connected", &payload).expect("fine");
        let nobody = uuid::Uuid::nil();
        let begun = Connection::begin(nobody.into(), nobody.into(), &event, at(created));
        Connection { version, updated_at: at(updated), ..begun.expect("it begins") }
    }

    fn order(states: Vec<Connection>, second: i64) -> (Vec<i64>, bool) {
        let (states, stood) = by_nearness(states, at(second));
        (states.iter().map(|state| state.version).collect(), stood)
    }

    #[test]
    fn the_state_of_the_moment_comes_first_and_then_the_nearest() {
        let states =
            || vec![state(4, -100, -20), state(5, -100, -2), state(6, -100, 1), state(7, -100, 9)];
        assert_eq!(order(states(), 0), (vec![5, 6, 7, 4], true));
        assert_eq!(order(states(), 8), (vec![6, 7, 5, 4], true));
        assert_eq!(order(states(), 9), (vec![7, 6, 5, 4], true), "a change holds from its time on");
        assert_eq!(order(vec![state(1, 3, 3)], 0), (vec![1], false), "connected later");
        assert_eq!(order(vec![state(9, -100, 3)], 0), (vec![9], true), "older than its log");
        assert_eq!(order(vec![], 0), (vec![], false));
    }

    #[test]
    fn long_conditions_are_cut_between_characters() {
        let cut = short(&json!("é".repeat(500)));
        assert_eq!(cut.chars().count(), 201);
        assert_eq!(short(&json!({ "a": 1 })), r#"{"a":1}"#);
    }
}
