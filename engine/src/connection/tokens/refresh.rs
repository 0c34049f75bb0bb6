//! One refresh: the refresh token is spent, and what comes back is stored, as long as the lease holds.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    Assessed, Held, LATER, LEASE, MARGIN, Need, TokenUnavailable, WAIT_MAX, load, release,
};
use crate::{
    connection::{
        Actor, Connection, ConnectionError, ConnectionEvent, Status, install, record,
        secrets::{self, TokenSet},
        state::INVALID_GRANT,
        store,
    },
    delivery,
    engine::Engine,
    event_log, fault,
    ids::ConnectionId,
    metrics,
    oauth::exchange::{Grant, exchange, token_call},
    provider::{OAuth2, Provider, TokenRefused, Tokens},
    secret::{Place, Purpose, Secret, same_secret},
};

/// The least that must be left of the lease when the provider is asked.
const LEFT_MIN: Duration = Duration::from_secs(135);
/// How long it is tried once to store what cannot be had a second time.
const STORE_ONCE_MAX: Duration = Duration::from_secs(10);
/// The wait before it is tried again.
const STORE_AGAIN: Duration = Duration::from_millis(500);

/// Who renews what.
pub(super) struct Renewing {
    pub(super) provider: &'static Provider,
    pub(super) oauth: &'static OAuth2,
    pub(super) id: ConnectionId,
    /// Whose the lease is.
    pub(super) holder: Uuid,
    /// When it was asked for: it holds from then on at least.
    pub(super) taken_at: Instant,
}

/// What is being spent.
struct Spent {
    grant_id: Uuid,
    refresh_token: Secret,
}

/// Renews under the lease, and gives it back. `None`: somebody else was faster, look again.
///
/// Goes on to its end even when the caller does not wait for it: what the provider answers exists
/// only here. Where it cannot be stored at once the caller has it all the same.
pub(super) async fn renew(
    engine: &Engine,
    renewing: Renewing,
    need: Need,
) -> Result<Option<Held>, TokenUnavailable> {
    let engine = engine.clone();
    let (unstored, had) = oneshot::channel();
    let task = tokio::spawn(async move {
        let _under_way = engine.tokens.under_way().await;
        let done = renewing.run(&engine, &need, unstored).await;
        if let Err(error) = release(&engine, renewing.holder).await {
            tracing::warn!(error = %error, "the right to refresh lapses by itself");
        }
        done
    });
    tokio::select! {
        done = task => done.unwrap_or(Err(TokenUnavailable::Later(LATER))),
        Ok(held) = had => Ok(Some(held)),
        () = tokio::time::sleep(WAIT_MAX) => Err(TokenUnavailable::Later(LATER)),
    }
}

impl Renewing {
    async fn run(
        &self,
        engine: &Engine,
        need: &Need,
        unstored: oneshot::Sender<Held>,
    ) -> Result<Option<Held>, TokenUnavailable> {
        // Between the look and the lease somebody may have renewed it.
        let Some(stored) = load(engine, self.id).await? else { return Ok(None) };
        if stored.status == Status::Disconnected || stored.assess(need, true) != Assessed::Renew {
            return Ok(None);
        }
        let (grant_id, refresh_token) = (stored.grant_id, stored.refresh_token);
        let Some(refresh_token) = refresh_token else { return Ok(None) };
        let spent = Spent { grant_id, refresh_token };
        let set = &engine.config.providers;
        let client = set.client(&self.oauth.client).ok_or_else(|| self.operator("no_client"))?;
        let redirect_uri = install::redirect_uri(engine, self.provider, self.oauth.callback);
        let call = token_call(
            self.oauth,
            &set.hosts(self.provider),
            &client,
            &redirect_uri.unwrap_or_default(),
            Grant::Refresh(&spent.refresh_token),
        );
        if self.left() < LEFT_MIN {
            return Ok(None);
        }
        let answer = exchange(engine, self.provider, self.oauth, call).await;
        fault::point("connection.token_refreshed");
        match answer {
            Ok(tokens) => Ok(self.keep(engine, &spent, tokens, unstored).await),
            Err(TokenRefused::Grant(code)) => self.lost(engine, &spent, &code).await,
            Err(TokenRefused::Client(code)) => {
                tracing::error!(provider = self.provider.id, code, "our registration is not taken");
                Err(self.operator("invalid_client"))
            }
            Err(TokenRefused::Later(why)) => {
                metrics::token_refreshed(self.provider.id, "later");
                tracing::warn!(connection.id = %self.id, why, "a token was not refreshed");
                Err(TokenUnavailable::Later(LATER))
            }
        }
    }

    fn operator(&self, what: &'static str) -> TokenUnavailable {
        metrics::token_refreshed(self.provider.id, "operator_fault");
        metrics::operator_fault(self.provider.id, what);
        TokenUnavailable::Operator(what)
    }

    /// How long nobody else may refresh.
    fn left(&self) -> Duration {
        LEASE.saturating_sub(self.taken_at.elapsed())
    }

    /// Stores the new pair, as long as the lease holds: the old one is worth nothing any more.
    async fn keep(
        &self,
        engine: &Engine,
        spent: &Spent,
        tokens: Tokens,
        unstored: oneshot::Sender<Held>,
    ) -> Option<Held> {
        let kept = || spent.refresh_token.clone();
        let tokens = TokenSet {
            access_token: tokens.access_token,
            refresh_token: Some(tokens.refresh_token.unwrap_or_else(kept)),
            expires_in: tokens.expires_in,
            is_renewed: true,
        };
        let mut unstored = Some(unstored);
        loop {
            let storing = self.keep_once(engine, spent, &tokens);
            let error = match tokio::time::timeout(STORE_ONCE_MAX, storing).await {
                Ok(Ok(held)) => {
                    let outcome = if held.is_some() { "refreshed" } else { "superseded" };
                    metrics::token_refreshed(self.provider.id, outcome);
                    match &held {
                        Some(held) => engine.tokens.keep(self.id, held.clone()),
                        // Either somebody connected anew, or it was stored and we did not hear.
                        None => engine.tokens.forget(self.id),
                    }
                    return held;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the database does not answer".to_owned(),
            };
            let held = held(&tokens, None, i64::MAX);
            if let Some(unstored) = unstored.take() {
                // What is not stored yet serves this process already.
                engine.tokens.keep(self.id, held.clone());
                let _ = unstored.send(held.clone());
            }
            if self.left() < STORE_ONCE_MAX + STORE_AGAIN {
                metrics::token_refreshed(self.provider.id, "not_stored");
                tracing::error!(connection.id = %self.id, error, "a new token could not be stored; it serves this process until it ends");
                return Some(held);
            }
            tracing::warn!(connection.id = %self.id, error, "a new token is not stored yet");
            tokio::time::sleep(STORE_AGAIN).await;
        }
    }

    /// `None` where the refresh token that was spent is no longer anybody's: somebody connected anew.
    async fn keep_once(
        &self,
        engine: &Engine,
        spent: &Spent,
        tokens: &TokenSet,
    ) -> Result<Option<Held>, ConnectionError> {
        let mut tx = engine.db.work.begin().await?;
        let mut ours = None;
        let mut has_resumed = false;
        for mut state in self.sharing(engine, &mut tx, spent).await? {
            let (keys, owner, id) = (&engine.keys, state.organization_id, state.id);
            let grant = spent.grant_id;
            let expires_at = secrets::keep_tokens(&mut tx, keys, owner, id, grant, tokens).await?;
            let mut events = vec![ConnectionEvent::TokenRefreshed { expires_at }];
            let recovered = state.recovered();
            let has_recovered = recovered.is_some();
            events.extend(recovered);
            record(&mut tx, &mut state, &events, &Actor::system()).await?;
            if has_recovered {
                delivery::resume(&mut tx, id).await?;
                has_resumed = true;
            }
            if id == self.id {
                ours = Some(held(tokens, expires_at, state.version));
            }
        }
        tx.commit().await?;
        if has_resumed {
            engine.made_due();
        }
        Ok(ours)
    }

    /// The grant is over. Whoever still has the refresh token that was refused must connect again.
    async fn lost(
        &self,
        engine: &Engine,
        spent: &Spent,
        code: &str,
    ) -> Result<Option<Held>, TokenUnavailable> {
        let recorded = self.lost_once(engine, spent).await.map_err(|error| {
            tracing::warn!(error = %error, "a lost grant was not recorded yet");
            TokenUnavailable::Later(Duration::from_secs(2))
        })?;
        if !recorded {
            return Ok(None);
        }
        metrics::token_refreshed(self.provider.id, "lost");
        tracing::warn!(connection.id = %self.id, provider = self.provider.id, code, "the grant is over: an admin must connect again");
        Err(TokenUnavailable::Reauth(INVALID_GRANT.to_owned()))
    }

    async fn lost_once(&self, engine: &Engine, spent: &Spent) -> Result<bool, ConnectionError> {
        let mut tx = engine.db.work.begin().await?;
        let sharing = self.sharing(engine, &mut tx, spent).await?;
        let is_ours = sharing.iter().any(|state| state.id == self.id);
        for mut state in sharing {
            let Some(event) = state.errored(INVALID_GRANT) else { continue };
            record(&mut tx, &mut state, &[event], &Actor::system()).await?;
            delivery::park(&mut tx, &state).await?;
        }
        tx.commit().await?;
        Ok(is_ours)
    }

    /// The connections of the consent that hold the very refresh token that was spent, held for this
    /// transaction.
    async fn sharing(
        &self,
        engine: &Engine,
        tx: &mut PgConnection,
        spent: &Spent,
    ) -> Result<Vec<Connection>, ConnectionError> {
        let ids = sqlx::query_scalar!(
            "select id from relay.organization_integrations
             where id = $1 or grant_id = $2 order by id",
            self.id.0,
            spent.grant_id,
        )
        .fetch_all(&mut *tx)
        .await?;
        event_log::hold(tx, &ids).await?;
        let rows = sqlx::query!(
            r#"select id, organization_id, refresh_token as "refresh_token!"
               from relay.organization_integrations
               where id = any($1) and status <> 'disconnected' and refresh_token is not null
               order by id for update"#,
            &ids,
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut sharing = Vec::new();
        for row in rows {
            let place = Place {
                organization_id: row.organization_id.into(),
                connection_id: row.id.into(),
                purpose: Purpose::RefreshToken,
            };
            let is_the_same = engine
                .keys
                .open(&row.refresh_token, &place)
                .is_ok_and(|held| same_secret(held.reveal(), spent.refresh_token.reveal()));
            if is_the_same {
                let state = store::load(tx, place.organization_id, place.connection_id).await?;
                sharing.extend(state);
            }
        }
        Ok(sharing)
    }
}

fn held(tokens: &TokenSet, expires_at: Option<crate::clock::Timestamp>, version: i64) -> Held {
    let life = tokens.expires_in.map(|life| life.saturating_sub(MARGIN));
    Held {
        token: tokens.access_token.clone(),
        stale_at: life.map(|life| Instant::now() + life),
        expires_at,
        version,
    }
}
