//! The checks and the sentence of a [`Why`](super::Why).

use serde_json::Value;

use super::{Check, Met, short};
use crate::{
    clock::Timestamp,
    connection::{Connection, Scope, Status},
    delivery::DeliveryView,
    event::history::EventView,
};

/// The part of `all` at this place, which does not hold.
pub(super) fn part(place: usize, part: &Value) -> String {
    format!("all[{place}] does not: {}", short(part))
}

/// All that was asked, in the order of a person's questions. Of a connection that was not there nothing
/// but that is asked.
pub(super) fn checks(met: Option<&Met>, event: &EventView) -> Vec<Check> {
    let check = |check, passed, detail: String| Check { check, passed, detail };
    let Some(met) = met else {
        return vec![check("existed", false, "It was connected only later.".to_owned())];
    };
    let (state, judgement) = (&met.state, &met.judgement);
    if state.status == Status::Disconnected {
        let detail = format!("It had been removed at {}.", time(state.updated_at));
        return vec![check("existed", false, detail)];
    }
    let because = state.status_reason.as_deref().map(|reason| format!(" ({reason})"));
    let status = state.status.as_str();
    vec![
        check("existed", true, format!("It was first connected at {}.", time(state.created_at))),
        check(
            "connected",
            state.status == Status::Connected,
            format!("Its status was {status}{}.", because.unwrap_or_default()),
        ),
        check(
            "not_paused",
            !state.paused,
            (if state.paused { "It was paused." } else { "It was not paused." }).to_owned(),
        ),
        check("scope", judgement.scope, scope(state.scope, event)),
        check(
            "type",
            judgement.kind,
            format!("It takes {}; the event is {}.", state.event_types.join(", "), event.kind),
        ),
        check("conditions", judgement.conditions, conditions(met)),
        check(
            "not_its_own",
            judgement.not_its_own,
            (if judgement.not_its_own {
                "The event does not tell of this connection."
            } else {
                "The event tells of this very connection: that is for the others."
            })
            .to_owned(),
        ),
    ]
}

fn scope(scope: Scope, event: &EventView) -> String {
    let id = |id: Option<String>| id.unwrap_or_else(|| "none".to_owned());
    match scope {
        Scope::Organization => "It serves the whole organization.".to_owned(),
        Scope::Team(team) => {
            let of = id(event.team_id.map(|id| id.to_string()));
            format!("It serves the team {team}; the event's team is {of}.")
        }
        Scope::Project(project) => {
            let of = id(event.project_id.map(|id| id.to_string()));
            format!("It serves the project {project}; the event's project is {of}.")
        }
    }
}

fn conditions(met: &Met) -> String {
    match (&met.state.conditions, met.judgement.conditions, &met.failing_part) {
        (None, ..) => "It has no conditions.".to_owned(),
        (Some(_), true, _) => "Its conditions hold.".to_owned(),
        (Some(_), false, Some(part)) => format!("Its conditions do not hold: {part}"),
        (Some(all), false, None) => format!("Its conditions do not hold: {}", short(all)),
    }
}

/// The verdict in a sentence; `now` is the connection as it is now.
pub(super) fn sentence(
    verdict: &str,
    checks: &[Check],
    delivery: Option<&DeliveryView>,
    met: Option<&Met>,
    now: &Connection,
) -> String {
    if let Some(delivery) = delivery {
        return became(delivery);
    }
    match verdict {
        "connected_later" => {
            format!("The connection was made after the event, at {}.", time(now.created_at))
        }
        "removed_before" => match met {
            Some(met) => {
                let at = time(met.state.updated_at);
                format!("The connection had been removed before the event, at {at}.")
            }
            None => "The connection had been removed before the event.".to_owned(),
        },
        _ => match checks.iter().find(|check| !check.passed && decides(check.check)) {
            Some(failed) => format!("The event did not match. {}", failed.detail),
            None => "The event matches the connection as it is recorded, but it was not promised: \
                     the connection changed in that moment."
                .to_owned(),
        },
    }
}

/// Whether a check decides if there is a delivery at all: one that is paused has it skipped.
fn decides(check: &str) -> bool {
    check != "connected" && check != "not_paused"
}

fn became(delivery: &DeliveryView) -> String {
    let attempts = match delivery.attempts {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    };
    let reason = delivery.reason.as_deref().or(delivery.error_class.as_deref()).unwrap_or_default();
    let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    match delivery.status.as_str() {
        "delivered" => format!("The event was delivered after {attempts}."),
        "pending" if delivery.attempts == 0 => {
            format!("The event matched and waits to be sent{because}.")
        }
        "pending" => match delivery.next_due_at {
            Some(at) => format!(
                "{attempts} did not bring it there{because}; the next is due at {}.",
                time(at)
            ),
            None => format!("{attempts} did not bring it there{because}."),
        },
        "parked" => {
            format!("The event matched and is kept until the connection is set right{because}.")
        }
        "dead" => format!("The event matched, and was given up after {attempts}{because}."),
        "skipped" => match reason {
            "connection_paused" => {
                "The event matched, but the connection was paused. It can be replayed.".to_owned()
            }
            _ => format!("The event matched, but was not sent{because}. It can be replayed."),
        },
        "cancelled" => {
            format!(
                "The event matched, but the connection was removed before it was sent{because}."
            )
        }
        _ => format!("The event matched, but was of no use any more when its turn came{because}."),
    }
}

fn time(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
