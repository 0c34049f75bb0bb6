//! What a process records is its own to deliver, if it delivers: handed over in memory once it is
//! committed, under a lease that was inserted with it. Whatever is not handed over is found by a claim.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
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
    /// Taken up until the pump has queued them.
    pub room: Room,
}

/// The way from the committers to the pump.
#[derive(Debug)]
pub struct Handoff {
    state: Mutex<State>,
    groups: mpsc::UnboundedSender<Group>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Group>>>,
}

#[derive(Debug, Default)]
struct State {
    offer: Option<Offer>,
    /// How many deliveries more the pump takes.
    room: usize,
    /// How many of those are asked for by commits, or on their way to the pump.
    taken: usize,
}

/// Part of the pump's room; given back when it goes.
#[derive(Debug)]
pub struct Room {
    handoff: Arc<Handoff>,
    deliveries: usize,
}

/// The room that a commit may fill.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) offer: Offer,
    room: Room,
}

impl Default for Handoff {
    fn default() -> Self {
        // Unbounded, but never more than the room that the pump gave.
        let (groups, receiver) = mpsc::unbounded_channel();
        Self { state: Mutex::default(), groups, receiver: Mutex::new(Some(receiver)) }
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
        self.state().offer = offer;
    }

    /// How many deliveries more it takes, those on the way among them.
    pub fn set_room(&self, room: usize) {
        self.state().room = room;
    }

    /// Asks for room before a commit: half of what there is, for there may be another.
    pub(crate) fn ask(self: &Arc<Self>) -> Option<Asked> {
        let mut state = self.state();
        let deliveries = (state.room.saturating_sub(state.taken) / 2).min(HANDED_MAX);
        let offer = state.offer.clone().filter(|_| deliveries > 0)?;
        state.taken += deliveries;
        Some(Asked { offer, room: Room { handoff: self.clone(), deliveries } })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl Room {
    fn keep(&mut self, deliveries: usize) {
        let left = self.deliveries.saturating_sub(deliveries);
        self.deliveries -= left;
        self.handoff.state().taken -= left;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.keep(0);
    }
}

impl Asked {
    /// How many deliveries may be handed over.
    pub(crate) fn most(&self) -> usize {
        self.room.deliveries
    }

    /// Hands over what was committed; gives it back if the pump has ended.
    pub(crate) fn hand_over(
        self,
        deliveries: Vec<Handed>,
        asked_at: Instant,
    ) -> Result<(), Vec<Handed>> {
        let Self { mut room, .. } = self;
        room.keep(deliveries.len());
        let handoff = room.handoff.clone();
        let group = Group { deliveries, asked_at, room };
        handoff.groups.send(group).map_err(|refused| refused.0.deliveries)
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
        traceparent: new.traceparent.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Arc<Handoff> {
        let handoff = Arc::new(Handoff::default());
        let (worker, shards) = (WorkerId::new(), Arc::new([1, 2]));
        handoff.offer(Some(Offer { worker, shards, busy: Arc::default() }));
        handoff
    }

    fn most(handoff: &Arc<Handoff>) -> Option<usize> {
        handoff.ask().map(|asked| asked.most())
    }

    #[test]
    fn nothing_is_asked_for_without_an_offer_or_room() {
        let handoff = Arc::new(Handoff::default());
        handoff.set_room(100);
        assert_eq!(most(&handoff), None, "no pump is here");
        let handoff = offered();
        assert_eq!(most(&handoff), None);
        handoff.set_room(1);
        assert_eq!(most(&handoff), None);
        handoff.set_room(10_000);
        assert_eq!(most(&handoff), Some(HANDED_MAX));
        handoff.offer(None);
        assert_eq!(most(&handoff), None);
    }

    #[test]
    fn commits_share_the_room_and_give_back_what_they_did_not_need() {
        let handoff = offered();
        handoff.set_room(100);
        for _ in 0..50 {
            assert_eq!(most(&handoff), Some(50), "a commit that hands nothing over takes nothing");
        }
        let first = handoff.ask().expect("there is room");
        assert_eq!(most(&handoff), Some(25), "two share it");
        let mut groups = handoff.receiver().expect("it is ours");
        first.hand_over(Vec::new(), Instant::now()).expect("we listen");
        assert_eq!(most(&handoff), Some(50));
        drop(groups.try_recv());
    }

    #[test]
    fn what_is_on_its_way_takes_up_room_until_it_is_queued() {
        let handoff = offered();
        handoff.set_room(100);
        let mut groups = handoff.receiver().expect("it is ours");
        let mut asked = handoff.ask().expect("there is room");
        asked.room.keep(40);
        // As a group of forty would; what is in it does not matter.
        let Asked { room, .. } = asked;
        let group = Group { deliveries: Vec::new(), asked_at: Instant::now(), room };
        handoff.groups.send(group).expect("we listen");
        // However often the pump says so, the room is not free.
        handoff.set_room(100);
        assert_eq!(most(&handoff), Some(30));
        let group = groups.try_recv().expect("it came");
        assert_eq!(most(&handoff), Some(30), "it is being prepared");
        drop(group);
        assert_eq!(most(&handoff), Some(50));
    }
}
