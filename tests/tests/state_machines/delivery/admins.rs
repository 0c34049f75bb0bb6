//! What admins do to connections while deliveries are on their way.

use engine::{
    connection::{self, Actor, ConnectionChange, ConnectionError, HeadOfLine, Ordering},
    ids::ConnectionId,
};

use super::Machine;
use crate::changed;

impl Machine<'_> {
    pub(super) async fn pause(&mut self, which: usize) {
        let id = self.connection_at(which);
        let outcome = self.set_paused(id, true).await;
        if self.is_gone(id, outcome) {
            return;
        }
        let connection = self.model.connections.get_mut(&id.0).expect("it was made");
        if !connection.paused {
            connection.paused = true;
            connection.version += 1;
        }
    }

    pub(super) async fn resume(&mut self, which: usize) {
        let id = self.connection_at(which);
        let outcome = self.set_paused(id, false).await;
        if self.is_gone(id, outcome) {
            return;
        }
        let connection = self.model.connections.get_mut(&id.0).expect("it was made");
        if connection.is_on() {
            return;
        }
        connection.version += 1;
        (connection.paused, connection.status) = (false, "connected");
        connection.resumed_at = connection.version;
        self.model.go_on(id.0);
    }

    async fn set_paused(&self, id: ConnectionId, paused: bool) -> Result<(), ConnectionError> {
        let wanted = ConnectionChange { paused: Some(paused), ..ConnectionChange::default() };
        changed(self.engine, self.org, id, wanted).await.map(drop)
    }

    /// Whether a change was refused, as it is of a connection that was removed, and only there.
    fn is_gone(&self, id: ConnectionId, outcome: Result<(), ConnectionError>) -> bool {
        let is_gone = self.model.connections[&id.0].status == "disconnected";
        match outcome {
            Ok(()) => assert!(!is_gone, "{id} was removed and changes"),
            Err(ConnectionError::NotFound) => assert!(is_gone, "{id} is there"),
            Err(error) => panic!("{id}: {error}"),
        }
        is_gone
    }

    pub(super) async fn order(&mut self, which: usize, policy: usize) {
        let id = self.connection_at(which);
        let ordering = [
            None,
            Some(Ordering { policy: HeadOfLine::Block, after: None }),
            Some(Ordering { policy: HeadOfLine::Skip, after: None }),
            Some(Ordering { policy: HeadOfLine::Park, after: Some(2) }),
        ][policy % 4];
        let wanted = ConnectionChange { ordering: Some(ordering), ..ConnectionChange::default() };
        let outcome = changed(self.engine, self.org, id, wanted).await.map(drop);
        if !self.is_gone(id, outcome) {
            self.model.order(id.0, ordering);
        }
    }

    pub(super) async fn remove(&mut self, which: usize) {
        let id = self.connection_at(which);
        let actor = Actor::system();
        let outcome =
            connection::disconnect(self.engine, self.org, id, None, &actor).await.map(drop);
        if self.is_gone(id, outcome) {
            return;
        }
        let connection = self.model.connections.get_mut(&id.0).expect("it was made");
        (connection.status, connection.paused) = ("disconnected", false);
        connection.version += 1;
        self.model.cancel(id.0);
    }
}
