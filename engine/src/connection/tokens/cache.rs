//! Access tokens in memory, so that a busy connection costs no query.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::sync::{Mutex as Turn, OwnedRwLockReadGuard, RwLock};

use super::{MINTED_MARGIN, Need, OPERATOR_LATER, TokenUnavailable};
use crate::{
    clock::Timestamp,
    connection::Connection,
    ids::ConnectionId,
    oauth::github_app::Minted,
    retry::RETRY_AFTER_MAX,
    secret::{Secret, same_secret},
};

/// Tokens kept in memory before the cache starts anew.
const CACHED_MAX: usize = 20_000;

/// A token that was had.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) token: Secret,
    /// From when on it is too near to its end; `None` where nobody knows of an end.
    pub(super) stale_at: Option<Instant>,
    pub(super) expires_at: Option<Timestamp>,
    /// The version of the connection at which it was read: a newer one may have another token.
    pub(super) version: i64,
}

impl Held {
    /// One that no connection's change concerns, and without an end.
    pub(super) fn lasting(token: Secret) -> Self {
        Self { token, stale_at: None, expires_at: None, version: i64::MAX }
    }

    /// One that depends on the installation alone, whatever becomes of the connection.
    pub(super) fn minted(minted: Minted) -> Self {
        let good_for = minted.good_for.saturating_sub(MINTED_MARGIN);
        Self {
            token: minted.token,
            stale_at: Some(Instant::now() + good_for),
            expires_at: Some(minted.expires_at),
            version: i64::MAX,
        }
    }

    fn serves(&self, connection: &Connection, need: &Need, now: Instant) -> bool {
        let is_wanted = match need {
            Need::Valid => true,
            Need::OtherThan(than) => !same_secret(than.reveal(), self.token.reveal()),
            // The duty looks at the dates in the database.
            Need::Ahead => false,
        };
        is_wanted
            && self.version >= connection.version
            && self.stale_at.is_none_or(|stale_at| now < stale_at)
    }
}

/// Tokens by connection, and whose turn it is to get one.
#[derive(Debug, Default)]
pub struct TokenCache {
    held: Mutex<HashMap<ConnectionId, Held>>,
    turns: Mutex<HashMap<ConnectionId, Arc<Turn<()>>>>,
    /// Until when there is no use in asking, and why.
    cooling: Mutex<HashMap<ConnectionId, (Instant, TokenUnavailable)>>,
    /// Read by every refresh while it is under way.
    under_way: Arc<RwLock<()>>,
}

impl TokenCache {
    pub(super) fn find(&self, connection: &Connection, need: &Need) -> Option<Held> {
        let held = self.held.lock().expect("no holder of this lock panics");
        let held = held.get(&connection.id)?;
        held.serves(connection, need, Instant::now()).then(|| held.clone())
    }

    pub(super) fn keep(&self, id: ConnectionId, held: Held) {
        let mut cache = self.held.lock().expect("no holder of this lock panics");
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        cache.insert(id, held);
    }

    /// Why there is no use in asking yet, if there is none.
    pub(super) fn cooling(&self, id: ConnectionId) -> Option<TokenUnavailable> {
        let mut cooling = self.cooling.lock().expect("no holder of this lock panics");
        let (until, why) = cooling.get(&id)?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            cooling.remove(&id);
            return None;
        }
        Some(match why {
            TokenUnavailable::Later(_) => TokenUnavailable::Later(left),
            why => why.clone(),
        })
    }

    /// Remembers for a while that there was no token.
    pub(super) fn cool(&self, id: ConnectionId, why: TokenUnavailable) {
        let span = match &why {
            TokenUnavailable::Later(span) => (*span).min(RETRY_AFTER_MAX),
            TokenUnavailable::Reauth(_) | TokenUnavailable::Operator(_) => OPERATOR_LATER,
        };
        let mut cooling = self.cooling.lock().expect("no holder of this lock panics");
        if cooling.len() >= CACHED_MAX {
            cooling.clear();
        }
        cooling.insert(id, (Instant::now() + span, why));
    }

    /// Forgets the token of a connection that was removed or connected again.
    pub(crate) fn forget(&self, id: ConnectionId) {
        self.cooling.lock().expect("no holder of this lock panics").remove(&id);
        self.held.lock().expect("no holder of this lock panics").remove(&id);
    }

    /// Held by a refresh until what it brought is stored.
    pub(super) async fn under_way(&self) -> OwnedRwLockReadGuard<()> {
        self.under_way.clone().read_owned().await
    }

    /// Waits until no refresh is under way.
    pub(crate) async fn idle(&self) {
        drop(self.under_way.write().await);
    }

    /// What callers of one connection take turns at. Forgotten once nobody waits for it.
    pub(super) fn turn(&self, id: ConnectionId) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().expect("no holder of this lock panics");
        if turns.len() >= CACHED_MAX {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        turns.entry(id).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::delivery::receivers::Receiver;

    fn connection(version: i64) -> Connection {
        Connection { version, ..Receiver::for_tests(1).connection }
    }

    fn held(token: &str, version: i64) -> Held {
        Held { version, ..Held::lasting(Secret::new(token)) }
    }

    #[test]
    fn a_token_serves_until_it_ends_is_refused_or_the_connection_changed() {
        let now = Instant::now();
        let refused = |than: &str| Need::OtherThan(Secret::new(than));
        let soon = Held { stale_at: Some(now + Duration::from_secs(1)), ..held("a", 3) };
        for (held, need, at, version, serves) in [
            (held("a", 3), Need::Valid, now, 3, true),
            (held("a", 3), Need::Valid, now, 4, false),
            (held("a", 3), refused("b"), now, 3, true),
            (held("a", 3), refused("a"), now, 3, false),
            (held("a", 3), Need::Ahead, now, 3, false),
            (soon.clone(), Need::Valid, now, 3, true),
            (soon, Need::Valid, now + Duration::from_secs(1), 3, false),
            (Held::lasting(Secret::new("a")), Need::Valid, now, 9, true),
        ] {
            assert_eq!(held.serves(&connection(version), &need, at), serves, "{need:?} {version}");
        }
    }

    #[test]
    fn what_was_forgotten_is_not_found() {
        let cache = TokenCache::default();
        let connection = connection(1);
        assert_eq!(connection.id.0, Uuid::from_u128(1));
        cache.keep(connection.id, held("a", 1));
        assert!(cache.find(&connection, &Need::Valid).is_some());
        cache.forget(connection.id);
        assert!(cache.find(&connection, &Need::Valid).is_none());
    }

    #[test]
    fn who_did_not_answer_is_left_alone_for_a_while_unless_connected_again() {
        let cache = TokenCache::default();
        let id = connection(1).id;
        assert_eq!(cache.cooling(id), None);
        cache.cool(id, TokenUnavailable::Later(Duration::from_secs(60)));
        let left = cache.cooling(id).expect("a minute");
        assert!(matches!(left, TokenUnavailable::Later(left) if left > Duration::from_secs(50)));
        cache.forget(id);
        assert_eq!(cache.cooling(id), None);
        cache.cool(id, TokenUnavailable::Operator("invalid_client"));
        assert_eq!(cache.cooling(id), Some(TokenUnavailable::Operator("invalid_client")));
        cache.cool(id, TokenUnavailable::Later(Duration::ZERO));
        assert_eq!(cache.cooling(id), None);
    }

    #[test]
    fn a_minted_token_is_minted_anew_five_minutes_before_its_end() {
        let minted = Minted {
            token: Secret::new("ghs_x"),
            expires_at: "2026-02-25T13:00:00Z".parse().expect("a timestamp"),
            good_for: Duration::from_secs(3_600),
        };
        let before = Instant::now();
        let stale_at = Held::minted(minted).stale_at.expect("it ends");
        let left = stale_at - before;
        assert!(
            (Duration::from_secs(3_300)..Duration::from_secs(3_310)).contains(&left),
            "{left:?}"
        );
    }
}
