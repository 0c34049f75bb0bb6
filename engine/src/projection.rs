//! Folds the log into the read model anew: to repair it, or to show that it needs no repair.

use futures_util::TryStreamExt;
use serde_json::Value;

use crate::{
    clock::Timestamp,
    connection::{Connection, ConnectionEvent, store},
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
};

/// What a rebuild or check found.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct ProjectionReport {
    /// Streams folded.
    pub streams: u64,
    /// Events read.
    pub events: u64,
    /// Connections whose row differs from what the log says.
    pub different: Vec<ConnectionId>,
    /// Rows of connections that the log does not know.
    pub unknown: u64,
    /// Rows that were written anew.
    pub repaired: u64,
}

/// The projection could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// An event in the log cannot be read.
    #[error("connection {0}: {1}")]
    Unreadable(ConnectionId, crate::connection::event::UnreadableEvent),
    /// A stream does not begin as it must, or has a gap.
    #[error("connection {0}: the stream is not whole")]
    Broken(ConnectionId),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for ProjectionError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Folds every stream and compares it with its row; with `repair`, writes the row that differs.
/// `progress` hears how many streams are done, of how many. Sealed tokens are left as they are:
/// they are not in the log.
pub async fn run(
    engine: &Engine,
    repair: bool,
    mut progress: impl FnMut(u64, u64),
) -> Result<ProjectionReport, ProjectionError> {
    let total: i64 = sqlx::query_scalar!(r#"select count(*) as "count!" from relay.streams"#)
        .fetch_one(&engine.db.api)
        .await?;
    let total = u64::try_from(total).unwrap_or(0);
    let mut report = ProjectionReport::default();
    let mut after = uuid::Uuid::nil();
    loop {
        let streams = sqlx::query!(
            r#"select stream_id, organization_id from relay.streams where stream_id > $1
               order by stream_id limit 500"#,
            after,
        )
        .fetch_all(&engine.db.api)
        .await?;
        let Some(last) = streams.last() else { break };
        after = last.stream_id;
        for stream in &streams {
            let (id, owner) = (stream.stream_id.into(), stream.organization_id.into());
            one(engine, id, owner, repair, &mut report).await?;
            report.streams += 1;
            progress(report.streams, total);
        }
    }
    report.unknown = u64::try_from(
        sqlx::query_scalar!(
            r#"select count(*) as "count!" from relay.organization_integrations c
               where not exists (select from relay.streams s where s.stream_id = c.id)"#
        )
        .fetch_one(&engine.db.api)
        .await?,
    )
    .unwrap_or(0);
    Ok(report)
}

async fn one(
    engine: &Engine,
    id: ConnectionId,
    owner: OrganizationId,
    repair: bool,
    report: &mut ProjectionReport,
) -> Result<(), ProjectionError> {
    let mut tx = engine.db.api.begin().await?;
    // The writers of this stream wait, so that the log and the row are read as of one moment.
    sqlx::query!("select version from relay.streams where stream_id = $1 for update", id.0)
        .fetch_one(&mut *tx)
        .await?;
    let mut folded: Option<Connection> = None;
    {
        let mut events = sqlx::query!(
            r#"select kind, version as "version!", payload as "payload: Value", occurred_at
               from relay.event_log where category = 'connection' and stream_id = $1
               order by version"#,
            id.0,
        )
        .fetch(&mut *tx);
        while let Some(row) = events.try_next().await? {
            let event = ConnectionEvent::from_stored(&row.kind, &row.payload)
                .map_err(|error| ProjectionError::Unreadable(id, error))?;
            match &mut folded {
                None => folded = begin(id, owner, &event, row.occurred_at, row.version),
                Some(state) => state.apply(&event, row.occurred_at),
            }
            if folded.as_ref().map(|state| state.version) != Some(row.version) {
                return Err(ProjectionError::Broken(id));
            }
            report.events += 1;
        }
    }
    let folded = folded.ok_or(ProjectionError::Broken(id))?;
    let stored = store::load(&mut tx, owner, id).await?;
    if stored.as_ref() != Some(&folded) {
        report.different.push(id);
        if repair {
            store::save(&mut tx, &folded).await?;
            report.repaired += 1;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// A stream begins with version 1, unless it adopted a connection that had one already.
pub(crate) fn begin(
    id: ConnectionId,
    owner: OrganizationId,
    event: &ConnectionEvent,
    at: Timestamp,
    version: i64,
) -> Option<Connection> {
    let begun = Connection::begin(id, owner, event, at)?;
    let is_adopted = matches!(event, ConnectionEvent::Adopted { .. });
    Some(Connection { version: if is_adopted { version } else { 1 }, ..begun })
}
