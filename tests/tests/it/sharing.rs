//! What connections share: one consent for several sites, one installation for several organizations
//! and teams. And what they must not: another's GitHub installation.

use engine::{
    connection::{
        self, Actor, Scope, Status,
        install::{self, Callback, Install, InstallError},
        tokens::{self, TokenUnavailable},
    },
    ids::{ConnectionId, OrganizationId, TeamId},
    secret::Secret,
};
use serde_json::Value;
use uuid::Uuid;

use crate::refreshing::{Place, agrees_with_its_log, now, other_than, parameter, token};

#[tokio::test]
async fn sites_of_one_consent_are_refreshed_together_and_lost_together() {
    let place = Place::new().await;
    let engine = place.process().await;
    place.mocks.jira_cloud().choose_all_sites();
    let ids = place.connect(&engine, "jira").await;
    assert_eq!(ids.len(), 2, "each site is a connection");
    let (one, two) = (now(&engine, ids[0]).await, now(&engine, ids[1]).await);
    let old = token(&engine, &one).await;
    let (first, second) = tokio::join!(
        tokens::access(&engine, &one, other_than(&old)),
        tokens::access(&engine, &two, other_than(&old)),
    );
    let new = first.expect("a token");
    assert_eq!(new.reveal(), second.expect("a token").reveal());
    assert_eq!(place.mocks.jira_cloud().refresh_token_reuses(), 0);
    for id in &ids {
        assert_eq!(place.kinds(*id).await, ["connected", "token_refreshed"]);
    }
    // The duty renews both with one request, and finds nothing more to do.
    sqlx::query("update relay.organization_integrations set refresh_after = now()")
        .execute(place.sql())
        .await
        .expect("the database answers");
    let asked = place.mocks.jira_cloud().count("POST", "/oauth/token");
    let tended = tokens::tend(&engine).await.expect("the database answers");
    assert_eq!((tended.renewed, tended.failed), (2, 0));
    assert_eq!(tokens::tend(&engine).await.expect("the database answers").renewed, 0);
    assert_eq!(place.mocks.jira_cloud().count("POST", "/oauth/token"), asked + 1);

    place.mocks.jira_cloud().revoke_grants();
    let newest = token(&engine, &now(&engine, ids[0]).await).await;
    let lost = tokens::access(&engine, &one, other_than(&newest)).await;
    assert_eq!(lost.err(), Some(TokenUnavailable::Reauth("invalid_grant".into())));
    for id in &ids {
        assert_eq!(now(&engine, *id).await.status, Status::Error);
    }
    agrees_with_its_log(&engine).await;
}

#[tokio::test]
async fn access_that_another_connection_still_uses_is_not_taken_back() {
    let mut place = Place::new().await;
    let engine = place.process().await;
    let ours = place.connect(&engine, "slack").await[0];
    let owner = place.organization_id;
    place.organization_id = Uuid::now_v7().into();
    let theirs = place.connect(&engine, "slack").await[0];
    let outcome = async |owner: OrganizationId, id: ConnectionId| {
        let system = Actor::system();
        connection::disconnect(&engine, owner, id, None, &system).await.expect("it is removed");
        let last: Value = sqlx::query_scalar(
            "select payload::jsonb from relay.event_log
             where category = 'connection' and stream_id = $1 order by version desc limit 1",
        )
        .bind(id.0)
        .fetch_one(place.sql())
        .await
        .expect("the database answers");
        last["outcome"].as_str().map(str::to_owned)
    };
    assert_eq!(outcome(owner, ours).await.as_deref(), Some("kept_shared"));
    let connection = now(&engine, theirs).await;
    assert_eq!(connection.status, Status::Connected);
    assert_eq!(outcome(place.organization_id, theirs).await.as_deref(), Some("revoked"));
    assert_eq!(place.mocks.slack().count("POST", "/api/auth.revoke"), 1);
    agrees_with_its_log(&engine).await;
}

#[tokio::test]
async fn a_team_may_have_its_own_connection_to_what_the_organization_has() {
    let place = Place::new().await;
    let engine = place.process().await;
    let whole = place.connect(&engine, "linear").await[0];
    let scope = Scope::Team(TeamId(Uuid::from_u128(9)));
    let mut teams = Vec::new();
    for _ in 0..2 {
        let install = Install { scope, ..place.install() };
        let page = install::begin(&engine, "linear", install).await.expect("a page");
        let back = place.mocks.consent(page.as_str()).await;
        teams.extend(place.come_back(&engine, "linear", &back).await);
    }
    assert_eq!(teams[0], teams[1], "connected again, it is the same one");
    assert_ne!(teams[0], whole);
    assert_eq!(now(&engine, teams[0]).await.scope, scope);
    assert_eq!(now(&engine, whole).await.scope, Scope::Organization);
}

/// Anybody can write the number of an installation into an address, and whoever may read a single
/// repository is shown the installation of its account.
#[tokio::test]
async fn a_github_installation_is_linked_only_to_an_owner_of_its_account() {
    for reads in [false, true] {
        a_foreign_installation_is_refused(reads).await;
    }
}

async fn a_foreign_installation_is_refused(reads: bool) {
    let place = Place::new().await;
    let engine = place.process().await;
    let id = place.connect(&engine, "github").await[0];
    let linked = now(&engine, id).await;
    let page = install::begin(&engine, "github", place.install()).await.expect("a page");
    let back = place.mocks.consent(page.as_str()).await;
    let state = parameter(&back, "state").map(Secret::new);
    let returned = install::consume(&engine, "github", state.as_ref(), None).await;
    place.mocks.github().sign_in("mallory");
    let foreign = place.mocks.github().add_account("stranger");
    place.mocks.github().sign_in("octo-admin");
    if reads {
        // Whoever may read one repository is shown the installation of them all.
        place.mocks.github().add_reader("stranger", "octo-admin");
    }
    let forged = Callback {
        code: parameter(&back, "code").map(Secret::new),
        installation_id: Some(foreign.to_string()),
        ..Callback::default()
    };
    let mut done = install::finish(&engine, returned.expect("a good state"), &forged).await;
    if let Ok(install::Outcome::GoOn(page)) = done {
        let back = place.mocks.consent(page.as_str()).await;
        let state = parameter(&back, "state").map(Secret::new);
        let returned = install::consume(&engine, "github", state.as_ref(), None).await;
        let code = parameter(&back, "code").map(Secret::new);
        let callback = Callback { code, ..Callback::default() };
        done = install::finish(&engine, returned.expect("a good state"), &callback).await;
    }
    let Err(InstallError::Refused { code, .. }) = done else { panic!("linked: {done:?}") };
    assert_eq!(code, "not_your_installation");

    // Tokens are minted, kept in memory, and minted anew when one is refused.
    let first = token(&engine, &linked).await;
    assert_eq!(token(&engine, &linked).await.reveal(), first.reveal());
    let second = tokens::access(&engine, &linked, other_than(&first)).await.expect("a token");
    assert_ne!(second.reveal(), first.reveal());
    let login = linked.metadata["account_login"].as_str().expect("a login").to_owned();
    place.mocks.github().uninstall(&login);
    let gone = tokens::access(&engine, &linked, other_than(&second)).await;
    assert_eq!(gone.err(), Some(TokenUnavailable::Reauth("disconnected_at_provider".into())));
    assert_eq!(now(&engine, id).await.status, Status::Error);
    agrees_with_its_log(&engine).await;
}
