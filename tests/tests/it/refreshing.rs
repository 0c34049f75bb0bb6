//! Tokens of providers: refreshed once however many ask, never lost, shared where a consent is shared.
//! The engine is used as a library here, twice where two processes are meant.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine::{
    Engine, EngineConfig,
    connection::{
        self, Actor, Connection, ConnectionChange, Scope, Status,
        install::{self, Callback, Install, InstallError, Outcome, StateRefused},
        secrets,
        tokens::{self, Freshness, TokenUnavailable},
    },
    db::{Db, PoolSizes},
    delivery::receivers,
    egress::EgressPolicy,
    http::{HttpClient, system_lookup},
    ids::{ConnectionId, OrganizationId},
    oauth::config::{self, ProvidersConfig},
    projection,
    secret::{KeyRing, Secret},
};
use mock_providers::{Answer, Matcher, MockProviders};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{World, WorldBuilder};
use url::Url;
use uuid::Uuid;

const RELAY_URL: &str = "https://relay.example";

/// A database, pretended providers, and an organization.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) mocks: MockProviders,
    pub(crate) organization_id: OrganizationId,
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::of(World::builder()).await
    }

    pub(crate) async fn of(builder: WorldBuilder) -> Self {
        let mocks = MockProviders::start().await;
        mocks.set_relay_url(RELAY_URL);
        let world = builder.api(0).workers(0).start().await;
        Self { world, mocks, organization_id: Uuid::now_v7().into() }
    }

    pub(crate) fn sql(&self) -> &PgPool {
        self.world.sql()
    }

    /// What one process has.
    pub(crate) async fn process(&self) -> Engine {
        self.process_at(self.world.database_url()).await
    }

    /// The same, where the database is found elsewhere.
    pub(crate) async fn process_at(&self, database_url: String) -> Engine {
        let url = Secret::new(database_url);
        let sizes = PoolSizes { api: 4, ingest: 1, work: 4 };
        let db = Db::connect(&url, sizes).await.expect("a database");
        let policy = EgressPolicy::default();
        let http = HttpClient::new(Arc::new(policy), system_lookup(), None).expect("a client");
        let keys = KeyRing::new(&STANDARD.encode([7; 32]).into(), []).expect("a key");
        let mut set: HashMap<String, String> = self.mocks.settings().into_iter().collect();
        let named = config::settings().into_iter().map(|setting| setting.name);
        let values = named.filter_map(|name| Some((name, set.remove(name)?))).collect();
        let config = EngineConfig {
            backend_url: Some(RELAY_URL.parse().expect("a URL")),
            frontend_url: Some("https://app.example".parse().expect("a URL")),
            providers: ProvidersConfig::new(values).expect("good settings"),
            ..EngineConfig::default()
        };
        Engine::new(db, keys, http, config)
    }

    pub(crate) fn install(&self) -> Install {
        Install {
            organization_id: self.organization_id,
            user_id: Uuid::from_u128(5),
            scope: Scope::Organization,
            success_redirect: None,
            browser: None,
        }
    }

    /// An admin goes through the provider's pages.
    pub(crate) async fn connect(&self, engine: &Engine, provider: &str) -> Vec<ConnectionId> {
        let page = install::begin(engine, provider, self.install()).await.expect("a page");
        self.come_back(engine, provider, &self.mocks.consent(page.as_str()).await).await
    }

    pub(crate) async fn come_back(
        &self,
        engine: &Engine,
        provider: &str,
        to: &str,
    ) -> Vec<ConnectionId> {
        let state = Secret::new(parameter(to, "state").expect("a state"));
        let returned = install::consume(engine, provider, Some(&state), None).await;
        let returned = returned.expect("a good state");
        let callback = Callback {
            code: parameter(to, "code").map(Secret::new),
            installation_id: parameter(to, "installation_id"),
            setup_action: parameter(to, "setup_action"),
            ..Callback::default()
        };
        match install::finish(engine, returned, &callback).await.expect("it is linked") {
            Outcome::Linked(ids) => ids,
            Outcome::GoOn(page) => {
                let to = self.mocks.consent(page.as_str()).await;
                Box::pin(self.come_back(engine, provider, &to)).await
            }
        }
    }

    pub(crate) async fn kinds(&self, id: ConnectionId) -> Vec<String> {
        sqlx::query_scalar(
            "select substr(kind, 12) from relay.event_log
             where category = 'connection' and stream_id = $1 order by version",
        )
        .bind(id.0)
        .fetch_all(self.sql())
        .await
        .expect("the database answers")
    }
}

pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).expect("an address");
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

pub(crate) async fn now(engine: &Engine, id: ConnectionId) -> Connection {
    let mut loaded = receivers::load(engine, &[id]).await.expect("the database answers");
    loaded.remove(&id).expect("it is there").connection
}

pub(crate) async fn agrees_with_its_log(engine: &Engine) {
    let report = projection::run(engine, false, |_, _| {}).await.expect("it can be folded");
    assert!(report.different.is_empty(), "{report:?}");
}

pub(crate) async fn token(engine: &Engine, connection: &Connection) -> Secret {
    tokens::access(engine, connection, Freshness::Valid).await.expect("a token")
}

pub(crate) fn other_than(token: &Secret) -> Freshness {
    Freshness::Renewed { than: token.clone() }
}

/// I43: a state that is missing, invented, another provider's or browser's, late, or shown twice.
#[tokio::test]
async fn i43_a_state_is_good_once_for_its_provider_and_its_browser() {
    let place = Place::new().await;
    let engine = place.process().await;
    let browser = Secret::new("a cookie");
    let install = Install { browser: Some(browser.clone()), ..place.install() };
    let page = install::begin(&engine, "linear", install).await.expect("a page");
    let state = Secret::new(parameter(page.as_str(), "state").expect("a state"));
    let why = async |provider: &str, state: Option<&Secret>, browser: Option<&Secret>| {
        match install::consume(&engine, provider, state, browser).await {
            Err(InstallError::State { refused, .. }) => refused,
            other => panic!("not refused for its state: {other:?}"),
        }
    };
    let stranger = Secret::new("another cookie");
    assert_eq!(why("linear", None, None).await, StateRefused::Missing);
    assert_eq!(why("linear", Some(&stranger), None).await, StateRefused::Unknown);
    assert_eq!(why("asana", Some(&state), Some(&browser)).await, StateRefused::ForeignProvider);
    assert_eq!(why("linear", Some(&state), None).await, StateRefused::ForeignBrowser);
    assert_eq!(why("linear", Some(&state), Some(&stranger)).await, StateRefused::ForeignBrowser);
    let returned = install::consume(&engine, "linear", Some(&state), Some(&browser)).await;
    assert_eq!(returned.expect("the right one").organization_id(), place.organization_id);
    assert_eq!(why("linear", Some(&state), Some(&browser)).await, StateRefused::Replayed);

    let page = install::begin(&engine, "linear", place.install()).await.expect("a page");
    let late = Secret::new(parameter(page.as_str(), "state").expect("a state"));
    sqlx::query(
        "update relay.oauth_states
         set created_at = now() - interval '11 minutes', expires_at = now() - interval '1 minute'",
    )
    .execute(place.sql())
    .await
    .expect("the database answers");
    assert_eq!(why("linear", Some(&late), None).await, StateRefused::Expired);
    let kept: Vec<String> =
        sqlx::query_scalar("select to_jsonb(s)::text from relay.oauth_states s")
            .fetch_all(place.sql())
            .await
            .expect("the database answers");
    assert!(kept.iter().all(|row| !row.contains(state.reveal())), "a state is kept as a hash only");
}

#[tokio::test]
async fn twenty_callers_in_two_processes_make_one_token_request() {
    let place = Place::new().await;
    let (one, two) = (place.process().await, place.process().await);
    let id = place.connect(&one, "linear").await[0];
    let connection = now(&one, id).await;
    let old = token(&one, &connection).await;
    let asked = place.mocks.linear().count("POST", "/oauth/token");
    place.mocks.linear().expire_tokens();
    let callers = (0..20).map(|n| {
        let (engine, connection) =
            (if n % 2 == 0 { &one } else { &two }.clone(), connection.clone());
        let fresh = other_than(&old);
        tokio::spawn(async move { tokens::access(&engine, &connection, fresh).await })
    });
    let mut got = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        got.push(caller.await.expect("no panic").expect("a token").reveal().to_owned());
    }
    got.dedup();
    assert_eq!(got.len(), 1, "all have the same new one");
    assert_eq!(place.mocks.linear().count("POST", "/oauth/token"), asked + 1);
    assert_eq!(place.mocks.linear().refresh_token_reuses(), 0);
    assert_eq!(place.kinds(id).await, ["connected", "token_refreshed"]);
    agrees_with_its_log(&one).await;
}

/// Whoever asks may be gone before the provider answers: what it answers is kept all the same.
#[tokio::test]
async fn a_caller_who_gives_up_loses_no_token() {
    let place = Place::new().await;
    let engine = place.process().await;
    let id = place.connect(&engine, "linear").await[0];
    let connection = now(&engine, id).await;
    let old = token(&engine, &connection).await;
    let token_call = Matcher::post("/oauth/token");
    place.mocks.linear().fail_next(token_call, Answer::real().held());
    let waiting = tokens::access(&engine, &connection, other_than(&old));
    assert!(tokio::time::timeout(Duration::from_millis(300), waiting).await.is_err());
    place.mocks.release();
    let new = tokens::access(&engine, &connection, other_than(&old)).await.expect("a token");
    assert_ne!(new.reveal(), old.reveal());
    assert_eq!(place.mocks.linear().refresh_token_reuses(), 0);
    engine.close().await;
}

#[tokio::test]
async fn a_lost_grant_is_recorded_once_and_connecting_again_mends_the_same_connection() {
    let place = Place::new().await;
    let engine = place.process().await;
    let id = place.connect(&engine, "linear").await[0];
    let connection = now(&engine, id).await;
    let old = token(&engine, &connection).await;
    place.mocks.linear().revoke_grants();
    let asked = place.mocks.linear().count("POST", "/oauth/token");
    for _ in 0..3 {
        let refused = tokens::access(&engine, &connection, other_than(&old)).await;
        assert_eq!(refused.err(), Some(TokenUnavailable::Reauth("invalid_grant".into())));
    }
    assert_eq!(place.mocks.linear().count("POST", "/oauth/token"), asked + 1);
    let broken = now(&engine, id).await;
    assert_eq!(broken.status, Status::Error);
    assert_eq!(broken.status_reason.as_deref(), Some("invalid_grant"));
    assert_eq!(place.connect(&engine, "linear").await, [id]);
    let mended = now(&engine, id).await;
    assert_eq!((mended.status, mended.status_reason.clone()), (Status::Connected, None));
    assert_ne!(token(&engine, &mended).await.reveal(), old.reveal());
    assert_eq!(place.kinds(id).await, ["connected", "errored", "reconnected"]);

    // Removed and connected once more, it is still the same one.
    let organization_id = place.organization_id;
    let system = Actor::system();
    connection::disconnect(&engine, organization_id, id, None, &system).await.expect("removed");
    assert_eq!(place.mocks.linear().live_grants(), 0, "access is taken back");
    assert_eq!(place.connect(&engine, "linear").await, [id]);
    let after = ["disconnected", "revoked", "reconnected"];
    assert_eq!(place.kinds(id).await[3..], after);
    agrees_with_its_log(&engine).await;
}

#[tokio::test]
async fn an_operators_mistake_and_a_bad_hour_leave_the_connection_alone() {
    let place = Place::new().await;
    let engine = place.process().await;
    let id = place.connect(&engine, "linear").await[0];
    let connection = now(&engine, id).await;
    let old = token(&engine, &connection).await;
    let elsewhere = place.process().await;
    place.mocks.linear().fail_next(Matcher::post("/oauth/token"), Answer::status(503));
    let later = tokens::access(&engine, &connection, other_than(&old)).await;
    assert!(matches!(later, Err(TokenUnavailable::Later(_))), "{later:?}");
    // This process leaves it alone for some seconds; another one asks.
    place.mocks.linear().change_client_secret();
    let ours = tokens::access(&elsewhere, &connection, other_than(&old)).await;
    assert_eq!(ours.err(), Some(TokenUnavailable::Operator("invalid_client")));
    assert_eq!(now(&engine, id).await, connection);
    assert_eq!(place.kinds(id).await, ["connected"]);
}

/// Rows of the old core have no history: the first change begins it with what they were.
#[tokio::test]
async fn rows_of_the_old_core_are_adopted_by_their_first_change() {
    let place = Place::new().await;
    let engine = place.process().await;
    let hook = json!({ "channel": "#ops", "url": "https://hooks.example/secret" });
    let mut ids = Vec::new();
    for (provider, version) in [("slack", 1), ("custom_notification", 7)] {
        let id = ConnectionId::new();
        sqlx::query(
            "insert into relay.organization_integrations
                 (id, organization_id, provider, installation_id, display_name, access_token,
                  metadata, connected_at, version)
             values ($1, $2, $3, 'old', 'Old', 'whsec_clear', $4, now(), $5)",
        )
        .bind(id.0)
        .bind(place.organization_id.0)
        .bind(provider)
        .bind(json!({ "webhook_url": "https://example.com", "incoming_webhook": hook }))
        .bind(i64::from(version))
        .execute(place.sql())
        .await
        .expect("a row of the old core fits the table");
        ids.push(id);
    }
    let change = async |id: ConnectionId, change: ConnectionChange| {
        let (owner, system) = (place.organization_id, Actor::system());
        connection::change(&engine, owner, id, None, change, &system).await.expect("changed");
    };
    change(ids[0], ConnectionChange { paused: Some(true), ..ConnectionChange::default() }).await;
    assert_eq!(place.kinds(ids[0]).await, ["adopted", "paused"]);
    let rotate = ConnectionChange {
        regenerate_secret: true,
        secret_overlap: Some(Duration::from_secs(600)),
        ..ConnectionChange::default()
    };
    change(ids[1], rotate).await;
    assert_eq!(now(&engine, ids[1]).await.version, 8);
    let receiver = receivers::load(&engine, &ids[1..]).await.expect("the database answers");
    let signing = receiver[&ids[1]].secrets_at(engine::clock::now());
    assert_eq!(signing.len(), 2, "the old secret signs through the overlap");
    assert_eq!(signing[1].reveal(), "whsec_clear");
    let report = secrets::reseal(&engine, |_, _| {}).await.expect("sealed");
    assert_eq!((report.sealed_first_time, report.unreadable), (1, 0));
    assert_eq!(token(&engine, &now(&engine, ids[0]).await).await.reveal(), "whsec_clear");
    agrees_with_its_log(&engine).await;
    let log: Vec<Value> = sqlx::query_scalar("select payload::jsonb from relay.event_log")
        .fetch_all(place.sql())
        .await
        .expect("the database answers");
    let log = json!(log).to_string();
    assert!(!log.contains("whsec_clear") && !log.contains("hooks.example/secret"), "{log}");
}
