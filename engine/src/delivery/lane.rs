//! What one that fails does to those behind it in its lane: the head-of-line policy. Pure.

use super::state::{DeliveryReason, Settlement};
use crate::connection::{HeadOfLine, Ordering};

/// What follows for the first delivery of a lane after so many attempts, and whether it goes on
/// outside of the lane.
///
/// Only one that failed makes room. What merely waits does so because of something that holds for the
/// whole connection, and those behind it would wait as well.
pub(super) fn in_lane(
    settlement: Settlement,
    attempts: i32,
    ordering: Ordering,
) -> (Settlement, bool) {
    if !matches!(settlement, Settlement::Retrying(_)) {
        return (settlement, false);
    }
    match ordering.policy {
        HeadOfLine::Skip => (settlement, true),
        HeadOfLine::Park if ordering.after.is_some_and(|most| attempts >= i32::from(most)) => {
            (Settlement::Parked(DeliveryReason::HeadOfLine), false)
        }
        HeadOfLine::Block | HeadOfLine::Park => (settlement, false),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn f24_one_that_fails_blocks_is_passed_or_is_parked_as_the_policy_says() {
        let retrying = Settlement::Retrying(Duration::from_secs(5));
        let parked = Settlement::Parked(DeliveryReason::HeadOfLine);
        let paced = Settlement::Deferred(Duration::from_secs(1), DeliveryReason::Paced);
        let dead = Settlement::Dead(DeliveryReason::RetriesExhausted);
        let ordering = |policy, after| Ordering { policy, after };
        let block = ordering(HeadOfLine::Block, None);
        let skip = ordering(HeadOfLine::Skip, None);
        let park = ordering(HeadOfLine::Park, Some(3));
        for (settlement, attempts, ordering, expected) in [
            (retrying, 9, block, (retrying, false)),
            (retrying, 1, skip, (retrying, true)),
            (retrying, 2, park, (retrying, false)),
            (retrying, 3, park, (parked, false)),
            (retrying, 4, park, (parked, false)),
            // Nothing else makes room: it is over, or the whole connection waits.
            (Settlement::Delivered, 3, park, (Settlement::Delivered, false)),
            (dead, 3, park, (dead, false)),
            (paced, 3, park, (paced, false)),
            (paced, 1, skip, (paced, false)),
        ] {
            let told = in_lane(settlement, attempts, ordering);
            assert_eq!(told, expected, "{settlement:?} {attempts} {ordering:?}");
        }
    }
}
