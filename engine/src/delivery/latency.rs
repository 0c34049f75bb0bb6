//! How long it took to bring an event, as the metrics tell it.

use super::receivers::Receiver;
use crate::{
    clock, id_time, metrics,
    outbox::{Claimed, Class},
};

/// Counts a delivery that arrived just now, from when its event was recorded. A replay is late because
/// somebody asked late, and what a digest collects because its admin wants it so.
pub(super) fn count(claimed: &Claimed, receiver: &Receiver) {
    let Some(provider) = receiver.provider else { return };
    if claimed.class != Class::Replay && receiver.connection.digest_minutes.is_none() {
        let took = clock::now() - id_time::made_at_exactly(claimed.event_id.0);
        metrics::delivered(provider.id, claimed.class.as_str(), took.to_std().unwrap_or_default());
    }
}
