//! How long a delivery may be put off: no longer than its event is kept. Pure.

use std::time::Duration;

use uuid::Uuid;

use super::state::{DeliveryReason, Settlement};
use crate::{clock::Timestamp, ids::EventId};

/// What follows for a delivery that would be put off once more. Nobody is charged for such a wait, so
/// nothing else would end it, and it would keep all events of its event's day.
pub(super) fn within_retention(
    settlement: Settlement,
    event_id: EventId,
    now: Timestamp,
    retention: Duration,
) -> Settlement {
    match settlement {
        Settlement::Deferred(..) if age(event_id.0, now) > retention => {
            Settlement::Expired(DeliveryReason::WaitedTooLong)
        }
        other => other,
    }
}

/// How long ago something was recorded, as its id tells.
pub(super) fn age(id: Uuid, now: Timestamp) -> Duration {
    let Some(recorded) = id.get_timestamp() else { return Duration::ZERO };
    let (seconds, nanos) = recorded.to_unix();
    let now = Duration::from_millis(u64::try_from(now.timestamp_millis()).unwrap_or(0));
    now.saturating_sub(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use uuid::NoContext;

    use super::*;

    #[test]
    fn nothing_is_put_off_for_longer_than_its_event_is_kept() {
        let now: Timestamp = "2026-11-23T02:00:00Z".parse().expect("a timestamp");
        let day = Duration::from_secs(24 * 60 * 60);
        let recorded_before = |span: Duration| {
            let at = u64::try_from(now.timestamp()).expect("after 1970") - span.as_secs();
            EventId(Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, at, 0)))
        };
        let put_off = Settlement::Deferred(day, DeliveryReason::OperatorFault);
        let expired = Settlement::Expired(DeliveryReason::WaitedTooLong);
        let retrying = Settlement::Retrying(day);
        for (settlement, age, expected) in [
            (put_off, Duration::ZERO, put_off),
            (put_off, 30 * day - Duration::from_secs(1), put_off),
            (put_off, 30 * day + Duration::from_secs(1), expired),
            // A schedule ends by itself.
            (retrying, 31 * day, retrying),
            (Settlement::Delivered, 31 * day, Settlement::Delivered),
        ] {
            let told = within_retention(settlement, recorded_before(age), now, 30 * day);
            assert_eq!(told, expected, "{settlement:?} {age:?}");
        }
        let of_another_kind = EventId(Uuid::from_u128(1));
        assert_eq!(within_retention(put_off, of_another_kind, now, day), put_off);
    }
}
