//! Which of the last events a subscription would have taken, before it is set.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    ConnectionError, Status, checked_subscription,
    matching::{self, Judgement, Subscription},
    state::Scope,
    store,
};
use crate::{
    engine::Engine,
    event::history::{self, EventView},
    ids::{ConnectionId, EventId, OrganizationId, ProjectId, TeamId},
    subscription::Conditions,
};

/// How many events are looked at.
pub const EVENTS_MAX: i64 = 100;

/// A subscription to try; what is `None` is as the connection has it.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    /// Patterns of kinds.
    pub event_types: Option<Vec<String>>,
    /// Conditions, or none.
    pub conditions: Option<Option<Value>>,
    /// A project, or none.
    pub project_id: Option<Option<ProjectId>>,
    /// A team, or none.
    pub team_id: Option<Option<TeamId>>,
}

/// An event, and why it would not be taken; `None` where it would be.
#[derive(Clone, Debug)]
pub struct Previewed {
    /// The event.
    pub event: EventView,
    /// `scope`, `type`, `its_own` or `conditions`.
    pub why: Option<&'static str>,
}

/// Judges the last [`EVENTS_MAX`] events of the organization, the newest first. Changes nothing.
pub async fn preview(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    proposal: Proposal,
) -> Result<Vec<Previewed>, ConnectionError> {
    let mut connection = engine.db.api.acquire().await?;
    let state = store::load(&mut connection, organization_id, id)
        .await?
        .filter(|state| state.status != Status::Disconnected)
        .ok_or(ConnectionError::NotFound)?;
    // Not held while another is asked for: who waits for one must not keep one.
    drop(connection);
    let subscription = proposed(Subscription::of(&state), proposal)?;
    let ids = history::last(engine, organization_id, EVENTS_MAX).await?;
    let mut connection = engine.db.api.acquire().await?;
    let judged = matching::judge(&mut connection, organization_id, &subscription, &ids).await?;
    drop(connection);
    let judged: HashMap<EventId, Judgement> =
        judged.into_iter().map(|judgement| (judgement.event_id, judgement)).collect();
    let events = history::by_id(engine, organization_id, &ids).await?;
    let previewed = events.into_iter().filter_map(|event| {
        let why = why_not(judged.get(&event.id)?);
        Some(Previewed { event, why })
    });
    Ok(previewed.collect())
}

fn proposed(
    mut subscription: Subscription,
    proposal: Proposal,
) -> Result<Subscription, ConnectionError> {
    let has = (proposal.event_types.is_some(), proposal.conditions.is_some());
    let (event_types, checked) =
        checked_subscription(proposal.event_types, proposal.conditions.flatten())?;
    if has.0 {
        subscription.event_types = event_types;
    }
    if has.1 {
        subscription.conditions = checked.and_then(|json| Conditions::parse(&json).ok());
    }
    subscription.scope = match (proposal.team_id, proposal.project_id) {
        (Some(Some(_)), Some(Some(_))) => {
            let message = "A connection serves one team or one project, not both";
            return Err(ConnectionError::refused("invalid_scope", message));
        }
        (Some(Some(team)), _) => Scope::Team(team),
        (_, Some(Some(project))) => Scope::Project(project),
        (Some(None), _) if subscription.scope.team_id().is_some() => Scope::Organization,
        (_, Some(None)) if subscription.scope.project_id().is_some() => Scope::Organization,
        _ => subscription.scope,
    };
    Ok(subscription)
}

fn why_not(judgement: &Judgement) -> Option<&'static str> {
    match judgement {
        Judgement { scope: false, .. } => Some("scope"),
        Judgement { kind: false, .. } => Some("type"),
        Judgement { not_its_own: false, .. } => Some("its_own"),
        Judgement { conditions: false, .. } => Some("conditions"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn subscription(scope: Scope) -> Subscription {
        let conditions = Conditions::parse(&json!({ "field": "severity", "eq": "high" })).ok();
        Subscription { id: Uuid::nil().into(), event_types: vec!["a.*".into()], conditions, scope }
    }

    #[test]
    fn what_is_not_proposed_is_as_it_was() {
        let team = Scope::Team(TeamId(Uuid::from_u128(1)));
        let same = proposed(subscription(team), Proposal::default()).expect("fine");
        assert_eq!((same.event_types, same.scope), (vec!["a.*".to_owned()], team));
        assert!(same.conditions.is_some());
        let none = Proposal { conditions: Some(None), ..Proposal::default() };
        assert!(proposed(subscription(team), none).expect("fine").conditions.is_none());
        let kinds =
            Proposal { event_types: Some(vec!["status_changed".into()]), ..Proposal::default() };
        let kinds = proposed(subscription(team), kinds).expect("fine").event_types;
        assert_eq!(kinds, ["project.status_changed"]);
    }

    #[test]
    fn a_scope_replaces_the_other_and_null_removes_it() {
        let team = Scope::Team(TeamId(Uuid::from_u128(1)));
        let project = ProjectId(Uuid::from_u128(2));
        let scope = |from: Scope, proposal: Proposal| {
            proposed(subscription(from), proposal).map(|s| s.scope)
        };
        let to = Proposal { project_id: Some(Some(project)), ..Proposal::default() };
        assert_eq!(scope(team, to.clone()).ok(), Some(Scope::Project(project)));
        let gone = Proposal { team_id: Some(None), ..Proposal::default() };
        assert_eq!(scope(team, gone.clone()).ok(), Some(Scope::Organization));
        assert_eq!(scope(Scope::Project(project), gone).ok(), Some(Scope::Project(project)));
        let both = Proposal { team_id: Some(team.team_id()), ..to };
        assert!(matches!(
            scope(team, both),
            Err(ConnectionError::Refused { code: "invalid_scope", .. })
        ));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() {
        for (proposal, expected) in [
            (
                Proposal { event_types: Some(vec!["vuln*".into()]), ..Proposal::default() },
                "invalid_event_types",
            ),
            (
                Proposal { conditions: Some(Some(json!({}))), ..Proposal::default() },
                "invalid_conditions",
            ),
        ] {
            match proposed(subscription(Scope::Organization), proposal) {
                Err(ConnectionError::Refused { code, .. }) => assert_eq!(code, expected),
                other => panic!("not refused: {other:?}"),
            }
        }
    }

    #[test]
    fn the_first_test_that_fails_is_told() {
        let all = Judgement {
            event_id: Uuid::nil().into(),
            scope: true,
            kind: true,
            not_its_own: true,
            conditions: true,
        };
        assert_eq!(why_not(&all), None);
        assert!(all.is_match());
        for (judgement, why) in [
            (Judgement { scope: false, kind: false, ..all.clone() }, "scope"),
            (Judgement { kind: false, conditions: false, ..all.clone() }, "type"),
            (Judgement { not_its_own: false, ..all.clone() }, "its_own"),
            (Judgement { conditions: false, ..all.clone() }, "conditions"),
        ] {
            assert_eq!(why_not(&judgement), Some(why));
            assert!(!judgement.is_match());
        }
    }
}
