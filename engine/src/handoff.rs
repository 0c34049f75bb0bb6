//! What a process records is its own to deliver, if it delivers: handed over in memory once it is
//! committed, under a lease that was inserted with it. Whatever is not handed over is found by a claim.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    event::{NewEvent, RecordedEvent},
    ids::EventId,
    outbox::{Claimed, Class},
    shards::{WorkerId, shard_of},
};

/// The most deliveries of one commit that are handed over.
const HANDED_MAX: usize = 500;

/// Whom the pump of this process takes deliveries for.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Who it is.
    pub worker: WorkerId,
    /// Its shards. Those that have become another's meanwhile are left out where the row is inserted.
    pub shards: Arc<[i16]>,
    /// Connections of which more is waiting in the outbox, or which may not be called now.
    pub busy: Arc<[Uuid]>,
}

/// A delivery with its event, under a lease of this process.
#[derive(Clone, Debug)]
pub struct Handed {
    /// The promise, as a claim would have brought it.
    pub claimed: Claimed,
    /// The event, as it was recorded.
    pub event: Arc<RecordedEvent>,
}

/// What one commit hands over.
#[derive(Debug)]
pub struct Group {
    /// Its deliveries.
    pub deliveries: Vec<Handed>,
    /// Just before the statement that leased them was sent.
    pub asked_at: Instant,
}

/// The way from the committers to the pump.
#[derive(Debug)]
pub struct Handoff {
    offer: Mutex<Option<Offer>>,
    /// How many deliveries more the pump takes.
    room: AtomicUsize,
    groups: mpsc::UnboundedSender<Group>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Group>>>,
}

/// The part of the pump's room that a commit may fill.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    handoff: &'a Handoff,
    pub(crate) offer: Offer,
    /// How many deliveries.
    pub(crate) most: usize,
}

impl Default for Handoff {
    fn default() -> Self {
        // Unbounded, but never more than the room that the pump gave.
        let (groups, receiver) = mpsc::unbounded_channel();
        Self {
            offer: Mutex::default(),
            room: AtomicUsize::new(0),
            groups,
            receiver: Mutex::new(Some(receiver)),
        }
    }
}

impl Handoff {
    /// The pump's end; there is only one.
    #[must_use]
    pub fn receiver(&self) -> Option<mpsc::UnboundedReceiver<Group>> {
        self.receiver.lock().expect("no holder of this lock panics").take()
    }

    /// What the pump takes from now on; `None`: nothing.
    pub fn offer(&self, offer: Option<Offer>) {
        *self.offers() = offer;
    }

    /// How many deliveries more it takes, in all.
    pub fn room(&self, room: usize) {
        self.room.store(room, Ordering::Relaxed);
    }

    /// Asks for room before a commit. Committers share what there is.
    pub(crate) fn ask(&self) -> Option<Asked<'_>> {
        let offer = self.offers().clone()?;
        let share = |room: usize| Some(room - (room / 2).min(HANDED_MAX));
        let before = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, share).ok()?;
        let most = (before / 2).min(HANDED_MAX);
        (most > 0).then_some(Asked { handoff: self, offer, most })
    }

    fn offers(&self) -> MutexGuard<'_, Option<Offer>> {
        self.offer.lock().expect("no holder of this lock panics")
    }
}

impl Asked<'_> {
    /// Hands over what was committed; what is left if the pump has ended.
    pub(crate) fn hand_over(self, group: Group) -> Result<(), Group> {
        self.handoff.groups.send(group).map_err(|refused| refused.0)
    }
}

/// What a commit leased to us, column by column.
pub(crate) struct Leased {
    pub(crate) events: Vec<Uuid>,
    pub(crate) connections: Vec<Uuid>,
    pub(crate) deliveries: Vec<Uuid>,
    pub(crate) leases: Vec<i64>,
    pub(crate) versions: Vec<i64>,
}

impl Leased {
    /// Each with its event. `recorded` are the events that were, with their ids: another one that was
    /// answered with the same id, as a duplicate or a conflict, is not what the log has.
    pub(crate) fn with_events<'a>(
        self,
        recorded: impl Iterator<Item = (Uuid, &'a NewEvent)>,
        recorded_at: Timestamp,
    ) -> Vec<Handed> {
        let by_id: HashMap<Uuid, &NewEvent> = recorded.collect();
        let mut last: Option<Arc<RecordedEvent>> = None;
        let mut handed = Vec::with_capacity(self.deliveries.len());
        let columns = self.events.into_iter().zip(self.connections).zip(self.deliveries);
        let rows = columns.zip(self.leases.into_iter().zip(self.versions));
        for (((event_id, connection_id), delivery_id), (lease, connection_version)) in rows {
            let Some(new) = by_id.get(&event_id) else { continue };
            let event = match last.take() {
                Some(event) if event.id.0 == event_id => event,
                _ => Arc::new(as_recorded(new, event_id.into(), recorded_at)),
            };
            let claimed = Claimed {
                organization_id: new.organization_id,
                delivery_id: delivery_id.into(),
                connection_id: connection_id.into(),
                event_id: event_id.into(),
                shard: shard_of(connection_id.into()),
                class: Class::Live,
                lease,
                attempt: 0,
                step: 0,
                crashes: 0,
                connection_version,
                late: Duration::ZERO,
            };
            handed.push(Handed { claimed, event: event.clone() });
            last = Some(event);
        }
        handed
    }
}

/// The event as reading it from the log would give it.
fn as_recorded(new: &NewEvent, id: EventId, recorded_at: Timestamp) -> RecordedEvent {
    RecordedEvent {
        id,
        organization_id: new.organization_id,
        kind: new.kind.as_str().to_owned(),
        payload: Bytes::copy_from_slice(new.data.get().as_bytes()),
        project_id: new.project_id,
        team_id: new.team_id,
        subject: new.subject.clone(),
        priority: new.priority.as_str().to_owned(),
        source: new.source.clone(),
        occurred_at: new.occurred_at.unwrap_or(recorded_at),
        hops: i16::from(new.hops),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_for_without_an_offer_or_room() {
        let handoff = Handoff::default();
        handoff.room(100);
        assert!(handoff.ask().is_none(), "no pump is here");
        let offer =
            Offer { worker: WorkerId::new(), shards: Arc::new([1, 2]), busy: Arc::default() };
        handoff.offer(Some(offer));
        assert_eq!(handoff.ask().map(|asked| asked.most), Some(50));
        assert_eq!(handoff.ask().map(|asked| asked.most), Some(25), "two commits share the room");
        handoff.room(1);
        assert!(handoff.ask().is_none());
        handoff.room(10_000);
        assert_eq!(handoff.ask().map(|asked| asked.most), Some(HANDED_MAX));
        handoff.offer(None);
        assert!(handoff.ask().is_none());
    }
}
