//! Tests of what verdicts mean.

use super::*;
use crate::{
    outbox::Class,
    provider::{Delivered, SharedBy},
};
use uuid::Uuid;

fn settled(verdict: &Verdict) -> Settlement {
    settle(verdict, 0, &RetrySchedule::default(), 0.0)
}

fn claimed(crashes: i16) -> Claimed {
    let id = Uuid::from_u128(1);
    Claimed {
        organization_id: id.into(),
        delivery_id: id.into(),
        connection_id: id.into(),
        event_id: id.into(),
        shard: 0,
        class: Class::Live,
        lease: 1,
        attempt: 0,
        step: 0,
        crashes,
        connection_version: 1,
        late: Duration::ZERO,
    }
}

#[test]
fn b24_retry_after_reaches_the_settlement() {
    let verdict = Verdict::Retry { after: Some(Duration::from_secs(120)), hold: None };
    assert_eq!(settled(&verdict), Settlement::Retrying(Duration::from_secs(120)));
}

#[test]
fn b3_the_last_failure_is_a_dead_letter_with_its_reason() {
    let once = RetrySchedule::new(vec![]);
    let verdict = Verdict::Retry { after: None, hold: Some(SharedBy::Installation) };
    let settlement = settle(&verdict, 0, &once, 0.5);
    assert_eq!(settlement, Settlement::Dead(DeliveryReason::RetriesExhausted));
}

/// What each verdict does to the delivery, to the connection, and what is written beside the attempt.
#[test]
fn every_verdict_has_its_settlement_its_consequence_and_its_code() {
    use DeliveryReason as Reason;
    for (verdict, settlement, consequence_of, code) in [
        (Verdict::Delivered(Delivered::default()), Settlement::Delivered, None, None),
        (
            Verdict::NothingToDo("already_closed"),
            Settlement::Skipped(Reason::NothingToDo("already_closed")),
            None,
            None,
        ),
        (
            Verdict::Unauthorized,
            Settlement::Parked(Reason::ReauthRequired),
            Some(Consequence::Errored("unauthorized".into())),
            None,
        ),
        (
            Verdict::Reauth("token_revoked".into()),
            Settlement::Parked(Reason::ReauthRequired),
            Some(Consequence::Errored("token_revoked".into())),
            Some("token_revoked"),
        ),
        (
            Verdict::Suspended("account_inactive"),
            Settlement::Parked(Reason::SuspendedAtProvider),
            Some(Consequence::Suspended("account_inactive")),
            Some("account_inactive"),
        ),
        (
            Verdict::Disconnected("unknown_guild"),
            Settlement::Parked(Reason::DisconnectedAtProvider),
            Some(Consequence::Errored("disconnected_at_provider".into())),
            Some("unknown_guild"),
        ),
        (
            Verdict::WrongDestination("channel_not_found".into()),
            Settlement::Dead(Reason::WrongDestination),
            Some(Consequence::DestinationFailing("channel_not_found".into())),
            Some("channel_not_found"),
        ),
        (
            Verdict::Rejected("invalid_blocks".into()),
            Settlement::Dead(Reason::Rejected),
            None,
            Some("invalid_blocks"),
        ),
        (
            Verdict::Gone,
            Settlement::Dead(Reason::Gone),
            Some(Consequence::Disabled("receiver_gone")),
            None,
        ),
        (
            Verdict::OperatorFault("bot_token"),
            Settlement::Deferred(OPERATOR_WAIT, Reason::OperatorFault),
            None,
            Some("bot_token"),
        ),
        (Verdict::NoDestination, Settlement::Parked(Reason::NoDestination), None, None),
    ] {
        assert_eq!(settled(&verdict), settlement, "{verdict:?}");
        assert_eq!(consequence(&verdict), consequence_of, "{verdict:?}");
        assert_eq!(verdict_code(&verdict).as_deref(), code, "{verdict:?}");
    }
}

#[test]
fn only_what_is_final_leaves_the_outbox() {
    let reason = DeliveryReason::NoDestination;
    for kept in [
        Settlement::Retrying(Duration::ZERO),
        Settlement::Deferred(Duration::ZERO, reason),
        Settlement::Parked(reason),
    ] {
        assert!(!kept.is_final(), "{kept:?}");
    }
    for ended in [
        Settlement::Delivered,
        Settlement::Dead(reason),
        Settlement::Skipped(reason),
        Settlement::Cancelled(reason),
    ] {
        assert!(ended.is_final(), "{ended:?}");
    }
}

#[test]
fn what_a_broken_connection_was_promised_is_kept_for_it() {
    use DeliveryReason as Reason;
    for (because, is_webhook, settlement) in [
        (None, false, None),
        (Some("connection_error"), false, Some(Settlement::Parked(Reason::ConnectionError))),
        (
            Some("connection_suspended"),
            false,
            Some(Settlement::Parked(Reason::ConnectionSuspended)),
        ),
        (
            Some("connection_suspended"),
            true,
            Some(Settlement::Skipped(Reason::ConnectionSuspended)),
        ),
        (Some("connection_paused"), false, Some(Settlement::Skipped(Reason::ConnectionPaused))),
        (
            Some("connection_disconnected"),
            false,
            Some(Settlement::Cancelled(Reason::ConnectionRemoved)),
        ),
    ] {
        assert_eq!(settled_unsent(&claimed(0), because, is_webhook), settlement, "{because:?}");
    }
    let poison = settled_unsent(&claimed(CRASHES_MAX), None, false);
    assert_eq!(poison, Some(Settlement::Dead(Reason::Poison)));
}
