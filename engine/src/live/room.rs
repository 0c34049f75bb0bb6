//! The one task that reads for everybody who watches in this process.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, MissedTickBehavior},
};
use uuid::Uuid;

use super::{Batch, WATCHERS_MAX, WatchError, position::Position, reader, replays};
use crate::{db::DbError, engine::Engine, ids::OrganizationId};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(500);
/// How often watchers hear something, so that positions stay young.
const BEAT: Duration = Duration::from_secs(15);
/// How many batches wait for a watcher. They are shared by all who watch an organization.
const BATCHES_MAX: usize = 32;

/// Where hearing begins, and what is heard.
type Seat = (broadcast::Receiver<Arc<Batch>>, Position);

/// Somebody wants to watch.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) organization_id: OrganizationId,
    pub(super) reply: oneshot::Sender<Result<Seat, WatchError>>,
}

/// Those who watch, by organization.
#[derive(Default)]
struct Room {
    speakers: HashMap<OrganizationId, broadcast::Sender<Arc<Batch>>>,
    /// Everything before has been said.
    position: Position,
    replays: replays::Told,
    said_at: Option<Instant>,
}

/// Reads and tells until nobody can join any more.
pub(super) async fn run(engine: Engine, mut joining: mpsc::Receiver<Join>) {
    let mut room = Room::default();
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        room.speakers.retain(|_, speaker| speaker.receiver_count() > 0);
        let is_empty = room.speakers.is_empty();
        tokio::select! {
            join = joining.recv() => match join {
                Some(join) => room.admit(&engine, join).await,
                None => return,
            },
            _ = due.tick(), if !is_empty => {
                if let Err(error) = room.look(&engine).await {
                    tracing::debug!(error = %error, "what happens is told later");
                }
            }
        }
    }
}

impl Room {
    /// Gives somebody a seat. What ends from here on is said to it.
    async fn admit(&mut self, engine: &Engine, join: Join) {
        let seat = self.seat(engine, join.organization_id).await;
        let _ = join.reply.send(seat);
    }

    async fn seat(
        &mut self,
        engine: &Engine,
        organization_id: OrganizationId,
    ) -> Result<Seat, WatchError> {
        if self.speakers.is_empty() {
            self.position = reader::position(engine).await?;
        }
        let speaker = self
            .speakers
            .entry(organization_id)
            .or_insert_with(|| broadcast::Sender::new(BATCHES_MAX));
        if speaker.receiver_count() >= WATCHERS_MAX {
            return Err(WatchError::TooMany);
        }
        Ok((speaker.subscribe(), self.position.clone()))
    }

    async fn look(&mut self, engine: &Engine) -> Result<(), DbError> {
        let organizations: Vec<Uuid> = self.speakers.keys().map(|id| id.0).collect();
        let mut read = reader::since(engine, &organizations, &self.position).await?;
        let is_beat = self.said_at.is_none_or(|at| at.elapsed() >= BEAT);
        if is_beat {
            self.said_at = Some(Instant::now());
        }
        let mut replays = replays::changed(engine, &organizations, &mut self.replays).await?;
        for (id, speaker) in &self.speakers {
            let replays = replays.remove(id).unwrap_or_default();
            let is_said = is_beat || read.is_gap || !replays.is_empty();
            let nothing = || Batch { is_cut: read.is_gap, ..Batch::at(read.position.clone()) };
            if let Some(mut said) = read.batches.remove(id).or_else(|| is_said.then(nothing)) {
                said.replays = replays;
                // Whoever left meanwhile does not hear it.
                let _ = speaker.send(Arc::new(said));
            }
        }
        self.position = read.position;
        Ok(())
    }
}
