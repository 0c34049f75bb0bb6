//! What happens to deliveries, told to whoever watches, about a second later.
//!
//! One task for each process reads the attempts of transactions that ended since it last looked (`reader`),
//! for all organizations that somebody watches, and how their `replays` get on, and only while somebody does
//! (`room`). What it says carries a [`Position`], from which any process can go on for a few minutes.

mod position;
mod reader;
mod replays;
mod room;

use std::sync::Arc;

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};

pub use self::{position::Position, reader::Update, replays::ReplayProgress};
use crate::{db::DbError, engine::Engine, ids::OrganizationId};

/// How many may watch one organization at once in one process.
pub const WATCHERS_MAX: usize = 20;
/// How many may be asking to watch at once.
const JOINING_MAX: usize = 64;
/// How many may be told at once what they missed; the others wait for their turn.
const CATCHING_UP_MAX: usize = 2;

/// Why somebody cannot watch.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// So many watch this organization already.
    #[error("too many watch already")]
    TooMany,
    /// The database did not say where to begin.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What a watcher hears.
#[derive(Clone, Debug)]
pub enum News {
    /// What happened since the last news, which may be nothing.
    Updates(Arc<Batch>),
    /// More happened than is told one by one: look anew. From here on, all is told again.
    Skipped(Position),
    /// The watcher took too long, and hears no more: it may go on from the last position it has.
    TooSlow,
}

/// What happened between two looks in one organization.
#[derive(Debug)]
pub struct Batch {
    /// What became of deliveries, the oldest first.
    pub updates: Vec<Update>,
    /// How replays get on that got on.
    pub replays: Vec<ReplayProgress>,
    /// Whether there was more than that, and so nothing is told.
    is_cut: bool,
    /// Behind the last of them.
    pub position: Position,
}

impl Batch {
    fn at(position: Position) -> Self {
        Self { updates: Vec::new(), replays: Vec::new(), is_cut: false, position }
    }
}

/// Lets people watch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live {
    engine: Engine,
    door: mpsc::Sender<room::Join>,
    catching_up: Arc<Semaphore>,
}

impl Live {
    /// Starts the task, which does nothing until somebody watches and ends with the last `Live`. Must be
    /// called inside a Tokio runtime.
    #[must_use]
    pub fn start(engine: Engine) -> Self {
        let (door, joining) = mpsc::channel(JOINING_MAX);
        tokio::spawn(room::run(engine.clone(), joining));
        Self { engine, door, catching_up: Arc::new(Semaphore::new(CATCHING_UP_MAX)) }
    }

    /// Watches an organization from now on, or from a position of its own.
    pub async fn watch(
        &self,
        organization_id: OrganizationId,
        since: Option<Position>,
    ) -> Result<Watch, WatchError> {
        let away = || DbError::Unavailable("nobody reads what happens".into());
        let (reply, answer) = oneshot::channel();
        let join = room::Join { organization_id, reply };
        self.door.send(join).await.map_err(|_| away())?;
        let (heard, from) = answer.await.map_err(|_| away())??;
        let first = match since {
            None => None,
            Some(since) => Some(self.catch_up(organization_id, &since, &from).await?),
        };
        Ok(Watch { first, heard, is_over: false })
    }

    /// What happened between a position and the one where hearing begins.
    async fn catch_up(
        &self,
        organization_id: OrganizationId,
        since: &Position,
        from: &Position,
    ) -> Result<News, DbError> {
        if !since.can_go_on_at(from) || !since.is_near(from) {
            return Ok(News::Skipped(from.clone()));
        }
        let _turn = self.catching_up.acquire().await;
        let batch = reader::between(&self.engine, organization_id, since, from).await?;
        Ok(News::from(Arc::new(batch)))
    }
}

impl From<Arc<Batch>> for News {
    fn from(batch: Arc<Batch>) -> Self {
        if batch.is_cut { Self::Skipped(batch.position.clone()) } else { Self::Updates(batch) }
    }
}

/// One watcher. Dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    first: Option<News>,
    heard: broadcast::Receiver<Arc<Batch>>,
    is_over: bool,
}

impl Watch {
    /// The next news, every so often even if nothing happened; `None` once there will be no more.
    pub async fn next(&mut self) -> Option<News> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.is_over {
            return None;
        }
        match self.heard.recv().await {
            Ok(batch) => Some(News::from(batch)),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                self.is_over = true;
                Some(News::TooSlow)
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(is_cut: bool) -> Arc<Batch> {
        Arc::new(Batch { is_cut, ..Batch::at(Position::default()) })
    }

    #[tokio::test]
    async fn a_slow_watcher_is_told_once_and_hears_no_more() {
        let (speaker, heard) = broadcast::channel(2);
        let mut watch = Watch { first: None, heard, is_over: false };
        for _ in 0..3 {
            speaker.send(batch(false)).expect("somebody listens");
        }
        assert!(matches!(watch.next().await, Some(News::TooSlow)));
        assert!(watch.next().await.is_none());
    }

    #[tokio::test]
    async fn what_was_missed_comes_first() {
        let (speaker, heard) = broadcast::channel(2);
        let first = Some(News::Skipped(Position::default()));
        let mut watch = Watch { first, heard, is_over: false };
        speaker.send(batch(false)).expect("somebody listens");
        speaker.send(batch(true)).expect("somebody listens");
        drop(speaker);
        assert!(matches!(watch.next().await, Some(News::Skipped(_))));
        assert!(matches!(watch.next().await, Some(News::Updates(_))));
        assert!(matches!(watch.next().await, Some(News::Skipped(_))), "a batch that was cut");
        assert!(watch.next().await.is_none());
    }
}
